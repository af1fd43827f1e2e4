"""The phases of a session as a protocol declares them, the trials inside them, and their times.

A time is plain seconds, or a range from which each trial gets its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from neurofb.config import Name, Table
from neurofb.feedback.settings import Condition
from neurofb.protocol.study import Word

Kind = Literal[
    "instruction",
    "rest_baseline",
    "iaf_baseline",
    "eyes_baseline",
    "calibration",
    "training",
    "heat",
    "rating",
    "transfer",
    "pause",
]
Collects = Literal["rest", "warm", "pain", "iaf", "eyes", "none"]
Eyes = Literal["open", "closed"]
#: What a phase collects if it does not say.
USUALLY_COLLECTS: Mapping[str, Collects] = {
    "rest_baseline": "rest",
    "iaf_baseline": "iaf",
    "eyes_baseline": "eyes",
}
#: Phases in which the eyes rest on a point if they do not say otherwise.
USUALLY_POINT = ("rest_baseline", "iaf_baseline", "heat", "transfer")
#: Phases that consist of trials, or of time in which nothing else happens.
WITH_TRIALS = ("training", "heat", "transfer")

#: Nothing in a session is planned to last longer.
LONGEST_S = 4 * 3600.0
NS_PER_S = 1_000_000_000
_STEP_NS = 1_000_000

Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=LONGEST_S)]
SecondsOrNone = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=LONGEST_S)]


def in_ns(seconds: float) -> int:
    """Return seconds as whole nanoseconds: their sums are exact."""
    return round(seconds * NS_PER_S)


class TimeRange(Table):
    """A time between ``low_s`` and ``high_s``; the same twice for a fixed time."""

    low_s: SecondsOrNone = Field(description="the shortest, in s")
    high_s: SecondsOrNone = Field(description="the longest, in s")

    @property
    def mean_s(self) -> float:
        """The middle."""
        return (self.low_s + self.high_s) / 2

    @property
    def n_steps(self) -> int:
        """Number of steps of 1 ms between the shortest and the longest."""
        return (in_ns(self.high_s) - in_ns(self.low_s)) // _STEP_NS

    def at_ns(self, step: int) -> int:
        """Return the time ``step`` ms above the shortest, in ns."""
        return in_ns(self.low_s) + step * _STEP_NS

    def __str__(self) -> str:
        return f"{self.low_s:g}" if self.low_s == self.high_s else f"{self.low_s:g}–{self.high_s:g}"


def _time_range(value: Any) -> Any:
    if isinstance(value, TimeRange | dict):
        return value
    pair = value if isinstance(value, list | tuple) else (value, value)
    numbers = [
        float(each)
        for each in pair
        if isinstance(each, int | float) and not isinstance(each, bool) and math.isfinite(each)
    ]
    right = f"a number of seconds from 0 to {LONGEST_S:g}, or [shortest, longest]"
    if len(numbers) != 2 or len(pair) != 2:
        raise ValueError(f"that is no time; right is {right}")
    if not all(0 <= each <= LONGEST_S for each in numbers):
        raise ValueError(f"no time is negative or longer than {LONGEST_S:g} s; right is {right}")
    if numbers[0] > numbers[1]:
        raise ValueError(f"the shorter time comes first: [{numbers[1]:g}, {numbers[0]:g}]")
    return {"low_s": numbers[0], "high_s": numbers[1]}


#: A number of seconds, or ``[shortest, longest]``: then each trial gets its own, drawn evenly in steps of 1 ms.
Jittered = Annotated[TimeRange, BeforeValidator(_time_range)]
NO_TIME = TimeRange(low_s=0.0, high_s=0.0)


class Trials(Table):
    """Stimuli one after another: cue, anticipation, heat, relief, ratings."""

    order: tuple[Word, ...] = Field(
        max_length=1000,
        default=(),
        description='levels one after another, as ["warm", "hot"]; or counts instead',
    )
    counts: Mapping[Word, Annotated[int, Field(strict=True, ge=1, le=1000)]] = Field(
        default={},
        validate_default=True,
        description="how many stimuli of each level, as { warm = 4, hot = 4 }",
    )
    shuffle: bool = Field(
        default=False, description="true to draw the order anew for each session, from its seed"
    )
    lead_s: Jittered = Field(
        default=NO_TIME, description="time before the first trial: seconds, or [shortest, longest]"
    )
    cue_s: Jittered = Field(
        default=NO_TIME, description="how long the cue is shown: seconds, or [shortest, longest]"
    )
    anticipation_s: Jittered = Field(
        default=NO_TIME, description="from cue to heat: seconds, or [shortest, longest]"
    )
    relief_s: Jittered = Field(
        default=NO_TIME, description="from the end of heat to the ratings: seconds, or [shortest, longest]"
    )
    ratings: tuple[Word, ...] = Field(default=(), description="names of scales that follow each stimulus")

    @field_validator("counts")
    @classmethod
    def _one_of_two(cls, value: Mapping[str, int], info: ValidationInfo) -> Mapping[str, int]:
        if "order" in info.data and bool(value) == bool(info.data["order"]):
            found = "both" if value else "neither"
            raise ValueError(f"trials need either an order of levels or counts of them; found {found}")
        return value

    @property
    def levels(self) -> tuple[str, ...]:
        """The level of each trial before any shuffling."""
        return self.order or tuple(level for level, n in self.counts.items() for _ in range(n))


class Phase(Table):
    """A part of a session."""

    name: Word = Field(description='small letters, digits and underscores, as "pain_baseline"')
    kind: Kind = Field(
        description="instruction, rest_baseline, iaf_baseline, eyes_baseline (blinks and glances, 15 s), calibration, "
        "training, heat, rating, transfer or pause"
    )
    text: str = Field(default="", description="what the participant reads or hears")
    eyes: Eyes = Field(default="open", description='"open" or "closed"')
    sound: str | None = Field(
        default=None, description="the file of a recorded instruction, or words for one; left out: none"
    )
    collects: Collects | None = Field(
        default=None,
        description='the baseline this phase gives: "rest", "warm", "pain", "iaf", "eyes" or "none"; left out: by kind',
    )
    feedback: Condition | None = Field(
        default=None,
        validate_default=True,
        description='for training: the baseline that counts, "rest", "warm" or "pain"',
    )
    trials: Trials | None = Field(
        default=None, validate_default=True, description="a table [phases.trials] with stimuli"
    )
    ratings: tuple[Word, ...] = Field(
        default=(), validate_default=True, description="names of scales at the end of the phase"
    )
    waits: bool = Field(
        default=False, description="true if it ends when somebody says so, at the latest after duration_s"
    )
    shows: Literal["shape", "point"] | None = Field(
        default=None,
        description='where the eyes rest: "shape", which feedback changes, or "point", which stands still; left out: '
        "the point in baselines, in heat and in a transfer without feedback, else the shape",
    )
    breaths_per_min: Annotated[float, Field(strict=True, ge=2, le=30)] | None = Field(
        default=None,
        description="how often the shape breathes for the participant to follow, 2 to 30 a minute; left out: it does "
        "not, and breath is the participant's own",
    )
    duration_s: Seconds | None = Field(
        default=None,
        validate_default=True,
        description="how long it lasts in s, ratings not counted; left out where trials or ratings say so",
    )

    @field_validator("feedback")
    @classmethod
    def _training_only(cls, value: Condition | None, info: ValidationInfo) -> Condition | None:
        kind = info.data.get("kind")
        if value is not None and kind not in (None, "training"):
            raise ValueError(f"a phase of kind {kind!r} has no feedback; only training has")
        if value is None and kind == "training":
            raise ValueError('training needs to say which baseline counts: "rest", "warm" or "pain"')
        return value

    @field_validator("trials")
    @classmethod
    def _heat_has_trials(cls, value: Trials | None, info: ValidationInfo) -> Trials | None:
        kind = info.data.get("kind")
        if value is not None and kind not in (None, *WITH_TRIALS):
            raise ValueError(
                f"a phase of kind {kind!r} has no trials; phases that may: {', '.join(WITH_TRIALS)}"
            )
        if value is None and kind == "heat":
            raise ValueError("a phase of kind 'heat' needs a table [phases.trials]")
        return value

    @field_validator("ratings")
    @classmethod
    def _rates(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and info.data.get("kind") == "rating":
            raise ValueError("a phase of kind 'rating' names the scales that are asked")
        return value

    @field_validator("waits")
    @classmethod
    def _may_wait(cls, value: bool, info: ValidationInfo) -> bool:
        kind = info.data.get("kind")
        if value and kind not in (None, "instruction", "pause"):
            raise ValueError(f"a phase of kind {kind!r} ends by itself; an instruction or a pause may wait")
        return value

    @field_validator("duration_s")
    @classmethod
    def _lasts(cls, value: float | None, info: ValidationInfo) -> float | None:
        kind = info.data.get("kind")
        is_implied = info.data.get("trials") is not None or kind == "rating"
        if value is not None and is_implied:
            raise ValueError(
                "how long it lasts follows from its trials and ratings; leave duration_s out (lead_s and relief_s "
                "give time around stimuli)"
            )
        if value is None and not is_implied and kind is not None and "trials" in info.data:
            raise ValueError(f"a phase of kind {kind!r} without trials needs duration_s, in s")
        return value

    @property
    def shown(self) -> Literal["shape", "point"]:
        """What the eyes rest on."""
        return self.shows or ("point" if self.kind in USUALLY_POINT else "shape")

    @property
    def baseline(self) -> Collects:
        """The baseline it collects."""
        return self.collects or USUALLY_COLLECTS.get(self.kind, "none")

    @property
    def scales(self) -> tuple[Name, ...]:
        """The scales rated in it."""
        return (*(self.trials.ratings if self.trials else ()), *self.ratings)
