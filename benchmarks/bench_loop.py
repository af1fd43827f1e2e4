"""Cost of the loop from samples to features, and to feedback, in the sizes people use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import median_us, row
from neurofb.chunk import Chunk
from neurofb.dsp.artifacts import Calibration
from neurofb.features.feature_specs import SynchronyOf
from neurofb.features.presets import AnyFeature, preset
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import BaselineCollector, measures_of
from neurofb.feedback.feedback import Feedback
from neurofb.feedback.settings import FeedbackSettings
from neurofb.loop.pipeline import Pipeline
from neurofb.spatial.montage import ChannelSelection, Montage

EIGHT = ("Fp1", "Fp2", "Fz", "C3", "C4", "P3", "P4", "Oz")
N_REGIONS = 8


def eeg(n_s: float, n_channels: int, rate_hz: float) -> np.ndarray:
    """Smoothed noise of 15 µV, without artifacts."""
    x = np.random.default_rng(0).standard_normal((int(n_s * rate_hz) + 12, n_channels))
    x = np.apply_along_axis(np.convolve, 0, x, np.hanning(13), "valid")
    return np.ascontiguousarray(15 * x / x.std())


class Loop:
    """A pipeline fed with chunks of a recording, round and round, its indices running on."""

    def __init__(
        self,
        montage: Montage,
        rate_hz: float,
        chunk: int,
        features: list[AnyFeature],
        reference: str | None = None,
    ) -> None:
        x = eeg(20.0, len(montage.labels), rate_hz)
        calibration = Calibration.from_baseline(x, rate_hz)
        self.pipeline = Pipeline(
            features, montage, rate_hz, reference=reference, iaf_hz=10.0, calibration=calibration
        )
        self.chunk, self.rate_hz, self.at = chunk, rate_hz, 0
        whole = len(x) // chunk * chunk
        self.pieces = [x[start : start + chunk] for start in range(0, whole, chunk)]
        self.times = [np.arange(start, start + chunk) / rate_hz for start in range(0, whole, chunk)]
        self.turn(4.0)

    def next(self) -> list[FeatureValue]:
        i = self.at // self.chunk % len(self.pieces)
        values = self.pipeline.push(Chunk(self.pieces[i], self.at, self.times[i], self.times[i]))
        self.at += self.chunk
        return values

    def turn(self, n_s: float) -> None:
        for _ in range(round(n_s * self.rate_hz / self.chunk)):
            self.next()

    def load(self, n_s: float) -> float:
        """Give the share of a core that this takes in real time."""
        start = time.perf_counter()
        self.turn(n_s)
        return (time.perf_counter() - start) / n_s


class Whole(Loop):
    """The same and feedback on its first feature, in a running block, scored against a baseline of its own."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        measures = measures_of(self.pipeline.features)
        trained = self.pipeline.features[0].name
        collector = BaselineCollector(measures[trained], "rest", self.rate_hz)
        for _ in range(round(70 * self.rate_hz / self.chunk)):
            collector.add(super().next())
        self.feedback = Feedback(
            FeedbackSettings(feature=trained), measures, [collector.finish()], ["rest"], self.rate_hz
        )
        self.feedback.start_block("rest")
        self.earned = 0

    def next(self) -> list[FeatureValue]:
        values = super().next()
        feedback = getattr(self, "feedback", None)  # none yet while the pipeline fills
        if feedback is not None:
            self.earned += sum(sample.usable for sample in feedback.step(values, self.at - 1))
        return values


def small() -> Montage:
    return Montage(EIGHT, {"frontal_midline": ("Fz",), "posterior": ("P3", "P4", "Oz")})


def large() -> Montage:
    labels = tuple(f"E{i}" for i in range(64))
    return Montage(labels, {f"region_{r}": labels[8 * r : 8 * r + 8] for r in range(N_REGIONS)})


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    one = Loop(small(), 256.0, 8, [preset()])
    yield row(
        "8 channels, 256 Hz, frontal-midline theta: a chunk of 8 samples",
        median_us(lambda: one.turn(1.0)) / 32,
        "µs",
        at_most=40,
        detail="mean over whole seconds, the judgement of the channels included; without feedback",
    )
    whole = Whole(small(), 256.0, 8, [preset()])
    yield row(
        "the same with feedback, all settings default: a chunk of 8 samples",
        median_us(lambda: whole.turn(1.0), clock=time.process_time, rounds=15, at_least_s=1.5) / 32,
        "µs",
        at_most=40,
        detail="samples to level and reward, each chunk told what was expected; processor time, median of 15 rounds",
    )
    assert whole.earned > 0
    by_ones = Loop(small(), 256.0, 1, [preset()])
    yield row(
        "the same, sample by sample",
        median_us(lambda: by_ones.turn(1.0)) / 256,
        "µs/sample",
    )
    every_preset = Loop(small(), 256.0, 8, [preset(), preset("posterior_alpha"), preset("region_synchrony")])
    yield row(
        "the same, theta, alpha and synchrony at once: a chunk of 8 samples",
        median_us(lambda: every_preset.turn(1.0)) / 32,
        "µs",
    )
    yield from big(short)
    yield from many(short)


def big(short: bool) -> Iterator[dict[str, Any]]:
    places = tuple(ChannelSelection(region=f"region_{r}") for r in range(N_REGIONS))
    features: list[AnyFeature] = [SynchronyOf(name="all_pairs", between=places, band=(8.0, 12.0))]
    loop = Loop(large(), 1000.0, 20, features, reference="average")
    yield row(
        "64 channels, 1,000 Hz, 28 pairs of 8 regions, average reference: share of a core",
        100 * loop.load(3.0 if short else 20.0),
        "%",
        at_most=25,
        detail="chunks of 20 samples",
    )


def many(short: bool) -> Iterator[dict[str, Any]]:
    loops = [Loop(small(), 256.0, 8, [preset()]) for _ in range(32)]
    n_s = 2.0 if short else 10.0
    start = time.perf_counter()
    for _ in range(round(n_s * 32)):
        for loop in loops:
            loop.next()
    yield row(
        "32 participants of 8 channels on one core: times faster than real time",
        n_s / (time.perf_counter() - start),
        "×",
        at_least=1,
    )
