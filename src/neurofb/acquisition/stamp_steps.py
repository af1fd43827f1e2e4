"""The steps between stamps: in which unit they are, and which of them are jumps of the sender's clock.

In: stamps as they came, with the time of their arrival. Out: stamps in seconds from which jumps are taken back, so that
what lies between two of them is the time between their samples. Kept: the newest stamp, the shifts used so far, and the
least ages of the last seconds.

A step forward is a loss where arrivals allow it: after a loss samples are as old as before. It is a jump where the next
samples would be younger than any was. A step back is a jump, unless it takes back a step forward: that was a delay. At
a jump the count goes on; if the samples then stay older than before, some were lost there, and are counted late.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from neurofb.acquisition.arrival_bound import AHEAD_S, CATCHES_UP
from neurofb.chunk import FloatArray

#: Units that stamps come in, in seconds.
UNITS = {1.0: "seconds", 1e-3: "milliseconds", 1e-6: "microseconds", 1e-9: "nanoseconds"}
#: Stamps are in a unit if the rate that they then say is within this factor of the nominal one.
WITHIN = 5.0
#: A step further off than this is a break; where so large a share of all are, stamps are without order.
JUMP_S, MOST_JUMPS = 0.25, 0.4
#: So few breaks among samples that came at once are none of order.
MOST_BREAKS = 2
#: Where so large a share of all steps goes back, stamps do not say which sample was first.
MOST_BACK = 0.6
#: So large a share of stamps must be numbers.
LEAST_NUMBERS = 0.6
#: A step forward may be taken back for so long. Source: as ``gap_detection.MAX_HOLD_S``.
TAKEN_BACK_S = 2.0
#: Ages are judged over so long, and so many of these are remembered.
AGES_S, N_AGES = 0.5, 20
#: Shifts that stamps may come back to.
N_SHIFTS = 4


def unit_of(received_s: FloatArray, rate_hz: float) -> float | None:
    """Return the unit of stamps, in seconds; None if they say nothing.

    Samples that share a stamp are taken together: the last is meant. More than a quarter of a second of them are no
    packet.
    """
    n = len(received_s)
    numbers = np.flatnonzero(np.isfinite(received_s))
    if len(numbers) < LEAST_NUMBERS * n:
        return None
    if n < 2:
        return 1.0
    stamps_s = received_s[numbers]
    is_last = np.append(stamps_s[1:] != stamps_s[:-1], True)
    lasts = numbers[is_last]
    if len(lasts) < 2:
        return None
    if (stamps_s[1:] < stamps_s[:-1]).mean() > MOST_BACK:
        return None
    steps, counts_s = np.diff(stamps_s[is_last]), np.diff(lasts) / rate_hz
    # Of the first and the last that share a stamp, some may not have been seen.
    counts_s[0] = min(counts_s[0], JUMP_S)
    for scale_s in UNITS:
        with np.errstate(over="ignore"):
            goes_on = (np.abs(scale_s * steps - counts_s) <= JUMP_S) & (counts_s <= JUMP_S)
        if goes_on.mean() < 1.0 - MOST_JUMPS:
            continue
        if (
            counts_s[goes_on].sum() / WITHIN
            < scale_s * steps[goes_on].sum()
            < WITHIN * counts_s[goes_on].sum()
        ):
            return scale_s
    return None


def usually_sharing(received_s: FloatArray) -> int:
    """Return how many samples share a stamp as a rule."""
    ends = np.flatnonzero(np.append(received_s[1:] != received_s[:-1], True))
    sizes = np.diff(ends, prepend=-1)
    # Of the first and the last, some may not have been seen.
    return int(np.median(sizes[1:-1])) if len(sizes) > 2 else int(sizes.max())


class StampSteps:
    """Takes jumps out of stamps.

    Parameters
    ----------
    rate_hz : float
        Nominal.
    scale_s : float
        Seconds per unit of the stamps.
    sharing : int
        How many samples share a stamp as a rule, as far as is known.

    Attributes
    ----------
    shift_s : float
        What is added to the newest stamps.
    jumps_s : list of float
        The jumps since they were last taken from here.
    """

    def __init__(self, rate_hz: float, scale_s: float = 1.0, sharing: int = 1) -> None:
        self._period_s, self._scale_s = 1.0 / rate_hz, scale_s
        self.shift_s = 0.0
        self.jumps_s: list[float] = []
        self._shifts_s = deque([0.0], maxlen=N_SHIFTS)
        #: The newest stamp in seconds, without shift, and how many samples came so far.
        self._newest_s, self._n = math.nan, 0
        #: From which stamp on, and which sample, a step forward may be taken back.
        self._before_step: tuple[float, int] | None = None
        #: The newest stamp as it came, how many samples had it, and how many have the same as a rule.
        self._shared, self._n_sharing, self._usually_sharing = math.nan, 0, sharing
        self._ages_s: deque[float] = deque(maxlen=N_AGES)
        self._ages_from: tuple[float, float] | None = None
        self._least_age_s = math.inf
        self._may_lack = False

    def __repr__(self) -> str:
        return f"StampSteps(rate_hz={1.0 / self._period_s:g}, shift_s={self.shift_s!r})"

    def move(self, by_s: float) -> None:
        """Move all stamps, also those before."""
        self.shift_s += by_s
        self._shifts_s = deque((each + by_s for each in self._shifts_s), maxlen=N_SHIFTS)

    @property
    def lead_s(self) -> float:
        """How far samples were ahead of their arrival at most, in seconds: below 0 by their least age."""
        return -min(self._ages_s) if len(self._ages_s) > 1 else 0.0

    def follow(self, received_s: FloatArray, arrival_s: float, lead_s: float | None = None) -> FloatArray:
        """Return stamps in seconds, without jumps.

        Parameters
        ----------
        received_s : ndarray, shape (n_samples,)
            As they came at once.
        arrival_s : float
            When.
        lead_s : float, optional
            How far samples were ahead at most, if it is not known by their ages.
        """
        if len(received_s) == 1 and self._usually_sharing == 1:
            stamp_s = float(received_s[0])
            step_s = self._scale_s * stamp_s - self._newest_s
            if abs(step_s - self._period_s) <= JUMP_S and stamp_s != self._shared:
                self._newest_s, self._shared, self._n_sharing = self._scale_s * stamp_s, stamp_s, 1
                self._n += 1
                return np.array((self._newest_s + self.shift_s,))
        stamps_s = self._meant(self._numbers(received_s))
        steps_s = np.diff(stamps_s, prepend=self._newest_s) - self._period_s
        local_s = stamps_s + self.shift_s
        with np.errstate(invalid="ignore"):
            breaks = np.flatnonzero(np.abs(steps_s) > JUMP_S)
        if len(breaks) > max(MOST_BREAKS, MOST_JUMPS * len(stamps_s)):
            # They say nothing: the count goes on, until enough came to judge them.
            from_s = self._newest_s if math.isfinite(self._newest_s) else float(stamps_s[0]) - self._period_s
            local_s[:] = from_s + self.shift_s + np.arange(1, len(stamps_s) + 1) * self._period_s
            self.shift_s = float(local_s[-1] - stamps_s[-1])
            breaks = breaks[:0]
        for i in breaks.tolist():
            before_s = self._newest_s if i == 0 else float(stamps_s[i - 1])
            if not self._is_jump(i, float(stamps_s[i]), before_s, arrival_s, lead_s):
                continue
            local_s[i:] += self._jump(float(steps_s[i]))
        self._newest_s = float(stamps_s[-1])
        self._n += len(stamps_s)
        return local_s

    def _is_jump(
        self, i: int, stamp_s: float, before_s: float, arrival_s: float, lead_s: float | None
    ) -> bool:
        at = self._n + i
        line = self._before_step
        if line is not None and (at - line[1]) * self._period_s > TAKEN_BACK_S:
            line = self._before_step = None
        if stamp_s > before_s:
            most_s = (self.lead_s if lead_s is None else lead_s) + JUMP_S
            if stamp_s + self.shift_s - arrival_s > most_s:
                return True
            self._before_step = line or (before_s, at - 1)
            return False
        return line is None or stamp_s - line[0] - (at - line[1]) * self._period_s < -JUMP_S

    def _jump(self, step_s: float) -> float:
        """Take back a jump; return what is added to stamps from here on."""
        before_s = self.shift_s
        shift_s = before_s - step_s
        known = [each for each in self._shifts_s if abs(each - shift_s) <= JUMP_S]
        if known:
            shift_s = min(known, key=lambda each: abs(each - shift_s))
            self._shifts_s.remove(shift_s)
        else:
            self._may_lack = True
        self._shifts_s.append(shift_s)
        self.shift_s, self._before_step, self._ages_from = shift_s, None, None
        self.jumps_s.append(before_s - shift_s)
        return shift_s - before_s

    def watch_age(self, newest_s: float, arrival_s: float) -> None:
        """Add the newest of samples that came at once: ages tell what arrivals allow, and what was lost at a jump."""
        if self._ages_from is None:
            self._ages_from, self._least_age_s = (newest_s, arrival_s), math.inf
        self._least_age_s = min(self._least_age_s, arrival_s - newest_s)
        passed_s, stamped_s = arrival_s - self._ages_from[1], newest_s - self._ages_from[0]
        if passed_s < AGES_S:
            return
        self._ages_from = None
        if not 0.5 * passed_s < stamped_s < CATCHES_UP * passed_s:
            return
        if self._may_lack and len(self._ages_s) > 1:
            usual_s = max(self._ages_s)
            lacks_s = self._least_age_s - usual_s
            if lacks_s > AHEAD_S + usual_s - min(self._ages_s):
                self.shift_s += lacks_s
                self._shifts_s[-1] = self.shift_s
                self._least_age_s = usual_s
        self._may_lack = False
        self._ages_s.append(self._least_age_s)

    def _numbers(self, received_s: FloatArray) -> FloatArray:
        """Return stamps with those that are no numbers filled by the count of samples."""
        is_number = np.isfinite(received_s)
        if is_number.all():
            return received_s
        period, at = self._period_s / self._scale_s, np.arange(len(received_s))
        if not is_number.any():
            return np.asarray(self._newest_s / self._scale_s + (at + 1) * period)
        numbers = np.flatnonzero(is_number)
        nearest = numbers[np.maximum(np.searchsorted(numbers, at, side="right") - 1, 0)]
        filled: FloatArray = received_s[nearest] + (at - nearest) * period
        return filled

    def _meant(self, received_s: FloatArray) -> FloatArray:
        """Return stamps in seconds; of samples that share one, the last is meant, which may not be here yet."""
        n = len(received_s)
        goes_on = received_s[0] == self._shared
        ends = np.flatnonzero(np.append(received_s[1:] != received_s[:-1], True))
        sizes = np.diff(ends, prepend=-1)
        if goes_on:
            sizes[0] += self._n_sharing
        complete = [*([] if goes_on else [self._n_sharing]), *sizes[:-1].tolist()]
        if self._n and complete:  # of the very first, some may not have been seen
            self._usually_sharing = max(1, complete[-1])
        self._shared, self._n_sharing = float(received_s[-1]), int(sizes[-1])
        stamps_s = self._scale_s * received_s
        if len(ends) == n and self._usually_sharing == 1:
            return stamps_s
        before = ends[np.searchsorted(ends, np.arange(n))] - np.arange(n)
        before[n - sizes[-1] if len(sizes) > 1 else 0 :] += max(0, self._usually_sharing - int(sizes[-1]))
        meant_s: FloatArray = stamps_s - before * self._period_s
        return meant_s
