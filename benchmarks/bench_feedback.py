"""Cost of feedback: one value of the trained feature and one of an inhibit become a level and a reward."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import median_us, row
from neurofb.config import checked
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import Baseline, Measure
from neurofb.feedback.feedback import Feedback
from neurofb.feedback.settings import Condition, FeedbackSettings

RATE_HZ, HOP = 256.0, 8
MEASURES = {name: Measure(name, 0.25, log=True, unit="µV²") for name in ("theta", "emg")}
RULES = ("fixed", "percentile", "one_up_two_down", "weighted", "settled")
#: A whole chunk of 8 samples through pipeline and feedback may take 40 µs; feedback is to take a quarter of it.
AT_MOST_US = 10.0


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    at_least_s = 0.1 if short else 0.5
    for rule in RULES:
        loop = running(rule)
        numbers = itertools.cycle(np.random.default_rng(0).lognormal(2.0, 0.7, 4096).tolist())
        index = itertools.count(HOP, HOP)

        def step(
            loop: Feedback = loop, numbers: Iterator[float] = numbers, index: Iterator[int] = index
        ) -> None:
            at = next(index)
            emg = FeatureValue("emg", 5.0, at, True)
            loop.step([emg, FeatureValue("theta", next(numbers), at, True, "", 0.1)], at)

        yield row(
            f"one step, threshold rule {rule!r}, changed at once",
            median_us(step, at_least_s=at_least_s),
            "µs/step",
            at_most=AT_MOST_US,
            detail="trained feature and one inhibit, level with a limit, discrete reward; 32 such steps a second",
        )
    loop = running("percentile")
    yield row(
        "one step without a value", median_us(lambda: loop.step([], 4096), at_least_s=at_least_s), "µs/step"
    )


def running(rule: str) -> Feedback:
    """Give feedback in a running block."""
    threshold: dict[str, Any] = {"rule": rule, "change": "at once"} | ({"z": 0.0} if rule == "fixed" else {})
    content = {
        "feature": "theta",
        "threshold": threshold,
        "level": {"limit_per_s": 1.0},
        "reward": {"kind": "discrete", "hold_s": 0.25, "refractory_s": 0.5},
        "inhibits": [{"feature": "emg", "limit": 3.0}],
    }
    settings = checked(FeedbackSettings, content, "feedback")
    condition: Condition = "pain"
    loop = Feedback(
        settings, MEASURES, [baseline(name, condition) for name in MEASURES], [condition], RATE_HZ
    )
    loop.start_block(condition)
    return loop


def baseline(name: str, condition: Condition) -> Baseline:
    """Give two minutes of baseline."""
    powers = np.random.default_rng(1).lognormal(2.0, 0.7, 120 * 32)
    return Baseline(
        feature=name,
        condition=condition,
        window_s=0.25,
        log=True,
        unit="µV²",
        clean_s=120.0,
        withheld_s={},
        values=tuple(powers.tolist()),
    )
