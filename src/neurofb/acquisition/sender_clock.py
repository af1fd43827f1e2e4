"""Which clock a stream's stamps are of: judged when its outlet is opened, and on every sample after.

In: stamps as they came, with the time of their arrival. Out: stamps in seconds near this computer's clock, or stamps
made of arrivals where theirs say nothing; which clock it is. Kept: the last half second of stamps.

Stamps of another clock still say how long the time between two samples was, so that a lost sample is seen exactly. They
are moved by what lies between them and the earliest arrival, and only stamps that say nothing (all the same, running
backwards, without order) are replaced. Of samples that share a stamp, the last is meant.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from neurofb.acquisition.arrival_bound import AHEAD_S, BEHIND_S, CATCHES_UP
from neurofb.chunk import FloatArray

#: Stamps further behind this computer's clock than this are of another clock.
FOREIGN_S = 120.0
#: Stamps beyond this count from 1970: no computer has been up for 30 years.
UNIX_S = 1e9
#: Units that stamps come in, in seconds.
UNITS = {1.0: "seconds", 1e-3: "milliseconds", 1e-6: "microseconds", 1e-9: "nanoseconds"}
#: Stamps are in a unit if the rate that they then say is within this factor of the nominal one.
WITHIN = 5.0
#: A step further off than this is a jump; where so large a share jumps, stamps are without order.
JUMP_S, MOST_JUMPS = 0.25, 0.4
#: Stamps are judged over so long, and so many arrivals.
JUDGED_S, N_ARRIVALS = 0.5, 3
#: Samples that came no faster than they were taken for so long had not waited.
CAUGHT_UP_S = 0.25
#: A buffer is fetched in less than this.
MOST_WAITED_S = 0.75
#: So many samples that came at once tell by themselves that stamps go on in another unit.
WHOLE_BLOCK = 8

TimedBy = Literal["sender", "arrival"]


class StampClock(NamedTuple):
    """The clock of a stream's stamps."""

    #: In words, for the operator; "" for LSL's own clock.
    words: str
    #: Seconds per unit, and what is then added to them.
    scale_s: float
    shift_s: float
    timed_by: TimedBy
    #: How far the stamps were ahead of the earliest arrival, in seconds; NaN where stamps say nothing.
    difference_s: float

    @property
    def is_foreign(self) -> bool:
        """Whether stamps are not of LSL's clock."""
        return self.words != ""


LSL = StampClock("", 1.0, 0.0, "sender", 0.0)


def judge(received_s: FloatArray, arrivals_s: FloatArray, rate_hz: float) -> StampClock:
    """Return the clock of stamps: in which unit, and how far from the arrivals of their samples.

    Parameters
    ----------
    received_s : ndarray, shape (n_samples,)
        Stamps as they came, with LSL's correction.
    arrivals_s : ndarray, shape (n_samples,)
        When each arrived.
    rate_hz : float
        Nominal.
    """
    scale_s = unit_of(received_s, rate_hz)
    if scale_s is None:
        return StampClock(_disorder(received_s), 1.0, 0.0, "arrival", math.nan)
    ahead_s = float((scale_s * received_s - arrivals_s).max())
    passed_s, stamped_s = arrivals_s[-1] - arrivals_s[0], scale_s * (received_s[-1] - received_s[0])
    is_live = passed_s > 0.5 * JUDGED_S and stamped_s < CATCHES_UP * passed_s
    if scale_s == 1.0 and -(BEHIND_S if is_live else FOREIGN_S) < ahead_s <= AHEAD_S:
        return LSL
    newest_s = scale_s * float(received_s[-1])
    words = "unix time (seconds since 1970)" if newest_s > UNIX_S else "another clock"
    if scale_s != 1.0:
        words = f"{UNITS[scale_s]} of {words}"
    return StampClock(words, scale_s, -ahead_s, "sender", ahead_s)


def unit_of(received_s: FloatArray, rate_hz: float) -> float | None:
    """Return the unit of stamps, in seconds; None if they say nothing."""
    n = len(received_s)
    if n < 2:
        return 1.0
    if not np.isfinite(received_s).all():
        return None
    for lag in sorted({max(1, n // part) for part in (2, 4, 8, n)}, reverse=True):
        steps = (received_s[lag:] - received_s[:-lag]) / lag
        middle = float(np.median(steps))
        for scale_s in UNITS:
            if 1.0 / WITHIN < scale_s * middle * rate_hz < WITHIN:
                jumps = np.abs(scale_s * (steps - middle)) * lag > JUMP_S
                if jumps.mean() <= MOST_JUMPS:
                    return scale_s
    return None


def _disorder(received_s: FloatArray) -> str:
    steps = np.diff(received_s)
    if not np.isfinite(received_s).all():
        return "no numbers"
    if not steps.any():
        return f"one and the same time ({received_s[0]:g})"
    return "times that run backwards" if (steps <= 0.0).mean() > 0.9 else "times without order"


def _has_caught_up(stamps_s: FloatArray, arrivals_s: FloatArray, now_s: float) -> bool:
    """Return whether samples came as they were taken lately, or none came: nothing waits in a buffer any more.

    True also where they come faster for long: that is no buffer but a rate.
    """
    if now_s - arrivals_s[0] >= MOST_WAITED_S:
        return True
    before = int(np.searchsorted(arrivals_s, now_s - CAUGHT_UP_S, side="right"))
    if not before:
        return False
    passed_s = now_s - arrivals_s[before - 1]
    return bool(stamps_s[-1] - stamps_s[before - 1] <= CATCHES_UP * passed_s)


def _n_before_last(stamps_s: FloatArray) -> FloatArray:
    """Return for each sample how many with its stamp follow it."""
    n = len(stamps_s)
    ends = np.flatnonzero(np.append(stamps_s[1:] != stamps_s[:-1], True))
    before: FloatArray = (ends[np.searchsorted(ends, np.arange(n))] - np.arange(n)).astype(np.float64)
    return before


class SenderClock:
    """Makes stamps of one outlet comparable to this computer's clock.

    Parameters
    ----------
    rate_hz : float
        Nominal.

    Attributes
    ----------
    clock : StampClock or None
        None until it is known.
    age_s : float
        The least age of samples in the last half second, by their stamps.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self.clock: StampClock | None = None
        self.age_s = 0.0
        self._newest_s = math.nan
        self._stamps_s: list[FloatArray] = []
        self._arrivals_s: list[float] = []

    def __repr__(self) -> str:
        return f"SenderClock(rate_hz={self._rate_hz!r}, clock={self.clock!r})"

    def find(
        self, stamps_s: FloatArray, arrivals_s: FloatArray, now_s: float = math.inf, *, final: bool = False
    ) -> StampClock | None:
        """Find the clock from the first samples; None if more are needed, and no more are if ``final``.

        How far another clock is ahead is known once what had waited has come: before, arrivals say nothing of it, and
        a loss among what comes next would look like a jump. ``now_s`` is the present on the clock of the arrivals.
        """
        n, n_arrivals = len(stamps_s), len(np.unique(arrivals_s))
        if not final:
            if n < max(8.0, JUDGED_S * self._rate_hz):
                return None
            if (
                n_arrivals < N_ARRIVALS
                and unit_of(stamps_s, self._rate_hz) is None
                and n < 10.0 * self._rate_hz
            ):
                return None
        clock = judge(stamps_s, arrivals_s, self._rate_hz)
        is_moved = clock.is_foreign and clock.timed_by == "sender"
        if is_moved and not final and not _has_caught_up(clock.scale_s * stamps_s, arrivals_s, now_s):
            return None
        self.clock = clock
        return clock

    def local(self, stamps_s: FloatArray, arrival_s: float) -> FloatArray:
        """Return stamps, corrected by LSL, on this computer's clock; ``find`` has found theirs."""
        assert self.clock is not None
        if self.clock.timed_by == "arrival":
            # The last sample came now; those before it were sent a period apart.
            return arrival_s - self.age_s - _n_before_last(np.zeros_like(stamps_s)) / self._rate_hz
        local_s = self.clock.scale_s * stamps_s + self.clock.shift_s if self.clock.is_foreign else stamps_s
        if len(stamps_s) > 1 and (stamps_s[1:] == stamps_s[:-1]).any():
            return local_s - _n_before_last(stamps_s) / self._rate_hz
        return local_s

    def lost_order(self, stamps_s: FloatArray, arrival_s: float, jumped_s: float) -> StampClock | None:
        """Return the clock from here on, if the last stamps say nothing any more: their arrivals; else None.

        Called with each block of stamps, as they came, and how far they have jumped by now.
        """
        assert self.clock is not None
        if self.clock.timed_by == "arrival":
            return None
        self._stamps_s.append(stamps_s)
        self._arrivals_s.append(arrival_s)
        if len(stamps_s) >= WHOLE_BLOCK and unit_of(stamps_s, self._rate_hz) not in (
            self.clock.scale_s,
            None,
        ):
            return self._by_arrival("times in another unit")
        if len(self._arrivals_s) < N_ARRIVALS or sum(map(len, self._stamps_s)) < JUDGED_S * self._rate_hz:
            return None
        seen_s, arrivals_s = np.concatenate(self._stamps_s), np.array(self._arrivals_s)
        newest_s = np.array([each[-1] for each in self._stamps_s])
        self._stamps_s, self._arrivals_s = [], []
        if unit_of(seen_s, self._rate_hz) == self.clock.scale_s:
            self.age_s = float((arrivals_s + jumped_s - self.local(newest_s, 0.0)).min())
            return None
        return self._by_arrival(
            "times in another unit" if unit_of(seen_s, self._rate_hz) else _disorder(seen_s)
        )

    def _by_arrival(self, words: str) -> StampClock:
        self.clock = StampClock(words, 1.0, 0.0, "arrival", math.nan)
        return self.clock
