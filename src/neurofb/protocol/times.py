"""Times in a protocol: plain seconds, and seconds that are drawn anew for each trial."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from neurofb.config import Table

#: Nothing in a session is planned to last longer.
LONGEST_S = 4 * 3600.0
NS_PER_S = 1_000_000_000
_STEP_NS = 1_000_000

Seconds = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=LONGEST_S)]
SecondsOrNone = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=LONGEST_S)]


def in_ns(seconds: float) -> int:
    """Return seconds as whole nanoseconds: their sums are exact."""
    return round(seconds * NS_PER_S)


class Span(Table):
    """From ``low_s`` to ``high_s``; the same twice for a fixed time."""

    low_s: SecondsOrNone = Field(description="the shortest, in s")
    high_s: SecondsOrNone = Field(description="the longest, in s")

    @property
    def mean_s(self) -> float:
        """The middle."""
        return (self.low_s + self.high_s) / 2

    @property
    def n_steps(self) -> int:
        """How many steps of 1 ms fit between the shortest and the longest."""
        return (in_ns(self.high_s) - in_ns(self.low_s)) // _STEP_NS

    def at_ns(self, step: int) -> int:
        """Return the time ``step`` ms above the shortest, in ns."""
        return in_ns(self.low_s) + step * _STEP_NS

    def __str__(self) -> str:
        return f"{self.low_s:g}" if self.low_s == self.high_s else f"{self.low_s:g}–{self.high_s:g}"


def _span(value: Any) -> Any:
    if isinstance(value, Span | dict):
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
Jittered = Annotated[Span, BeforeValidator(_span)]
NO_TIME = Span(low_s=0.0, high_s=0.0)
