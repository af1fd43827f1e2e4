"""Whether a stream sends as many samples a second as it says: measured over seconds, all the time.

In: stamps, what the sample clock and the arrivals say. Out: whether the rate is right, and the measured one. Kept: five
seconds of stamps.

A band of another frequency comes out of filters that run at another rate. Three measures tell it, as none sees all:

- *steps* between stamps a quarter of a second apart: within a second, where stamps scatter little. Lost samples make
  some steps longer by whole samples and leave the others as they are; at a lower rate all are longer. So the low side
  is judged by the shortest steps, and without what is lost: a loss is no lower rate.
- *the sample clock*, after ten seconds: where stamps scatter more than the steps differ.
- *arrivals*: stamps that are counted up from the nominal rate always look right. If samples come faster, such stamps
  run ahead of the clock; if slower, they fall behind it, more and more.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurofb.acquisition.arrival_bound import AHEAD_S, ArrivalBound
from neurofb.acquisition.sample_clock import SETTLED_S, SampleClock
from neurofb.chunk import FloatArray

#: A rate further off than this is another one. Source: the promise that no session rewards with other bands; a quartz
#: is within 0.02 %, the headsets that were measured are within 0.1 %.
MOST_OFF = 0.01
#: It is right again below this.
RIGHT_AGAIN = 0.005
#: Steps are taken over so long at least, and points are so far apart at least; samples sent at once are one point.
LAG_S, POINT_S = 0.25, 0.04
#: The last seconds that are looked at: as few as suffice.
WINDOWS_S = (1.0, 5.0)
#: A measure is certain at so many standard errors.
SURE = 4.0
#: Stamps that fell behind their arrivals by so much, each second more: not by chance. A way becomes longer by itself,
#: on a busy network; never shorter than nothing.
LATE_S = 0.2
#: Steps longer by a whole number of samples, or of packets, as near as this: some are lost.
WHOLE, WHOLE_PACKETS = 0.1, 0.35
#: Where so large a share of all blocks begins with samples lost, none are: it is the rate.
MOST_LOST = 0.9
#: A step longer than this, in seconds, is a break.
MOST_LONGER = 1.0
#: A period longer or shorter than by this comes of stamps that tell no time.
LEAST, MOST = -0.85, 20.0

Finding = Literal["unknown", "right", "wrong"]


class RateCheck:
    """Compares a stream's rate with the one it says.

    Parameters
    ----------
    clock : SampleClock
    bound : ArrivalBound
        Of the same samples.

    Attributes
    ----------
    finding : {"unknown", "right", "wrong"}
    measured_hz : float
        The rate that was measured last; nominal before.
    is_other_sender : bool
        Whether another sender has taken over since the first.
    """

    def __init__(self, clock: SampleClock, bound: ArrivalBound) -> None:
        self._clock, self._bound = clock, bound
        self.finding: Finding = "unknown"
        self.measured_hz = clock.nominal_hz
        self.is_other_sender = False
        #: Samples so far, the newest stamp, samples lost so far, blocks so far, and how many of them began with a loss.
        self._points: deque[tuple[int, float, int, int, int]] = deque()
        self._n = self._n_lost = self._n_blocks = self._n_after_loss = 0
        self._n_point = self._n_looked = 0
        self._newest_s = math.nan
        self._largest = 1
        #: Whether stamps are made of arrivals: whole pulls, which may hold a packet more or less.
        self._is_by_arrival = False
        #: From so many samples on the sample clock is asked: it is of these samples.
        self._clock_from = 0

    def __repr__(self) -> str:
        return f"RateCheck({self._clock!r}, finding={self.finding!r})"

    def restart(self) -> None:
        """Begin again: another sender's samples follow."""
        self._forget()
        self._is_by_arrival = False
        self.finding = "unknown"
        self.is_other_sender = True

    def time_by_arrival(self) -> None:
        """Judge by what follows alone, which is timed by its arrival."""
        self._forget()
        self._is_by_arrival = True

    def _forget(self) -> None:
        self._points.clear()
        self._newest_s = math.nan
        self._clock_from = self._n + round(SETTLED_S * self._clock.nominal_hz)

    def add(self, stamps_s: FloatArray, packet_samples: int = 1) -> bool:
        """Add a block of stamps; return whether the finding is now wrong and was not, or the other way round.

        Parameters
        ----------
        stamps_s : ndarray, shape (n_samples,)
        packet_samples : int
            How many samples are likely to be lost at once.
        """
        self._add_lost(stamps_s, packet_samples)
        self._n += len(stamps_s)
        nominal_hz = self._clock.nominal_hz
        if self._n - self._n_point < POINT_S * nominal_hz:
            return False
        self._largest = max(self._n - self._n_point, round(0.98 * self._largest))
        self._n_point = self._n
        self._points.append((self._n, self._newest_s, self._n_lost, self._n_blocks, self._n_after_loss))
        while self._points[0][0] < self._n - WINDOWS_S[-1] * nominal_hz:
            self._points.popleft()
        if self._n - self._n_looked < 0.5 * LAG_S * nominal_hz:
            return False
        self._n_looked = self._n
        was_wrong = self.finding == "wrong"
        self._look()
        return was_wrong != (self.finding == "wrong")

    def _add_lost(self, stamps_s: FloatArray, packet_samples: int) -> None:
        """Count the samples that whole steps say are lost."""
        longer = np.diff(stamps_s, prepend=self._newest_s) * self._clock.nominal_hz - 1.0
        self._newest_s = float(stamps_s[-1])
        self._n_blocks += 1
        longer[~(longer < MOST_LONGER * self._clock.nominal_hz)] = 0.0
        if not (longer > 0.5).any():
            return
        whole, packets = np.round(longer), packet_samples * np.round(longer / packet_samples)
        whole[np.abs(longer - whole) > WHOLE] = 0.0
        near = (packets > 0) & (np.abs(longer - packets) <= WHOLE_PACKETS * packet_samples)
        lost = np.maximum(np.where(near & (packet_samples > 1), packets, whole), 0.0)
        self._n_lost += int(lost.sum())
        self._n_after_loss += bool(lost[0])

    def _look(self) -> None:
        off = self._off_by_steps()
        certain = off is not None
        if off is None or abs(off) <= MOST_OFF:
            off = self._off_by_arrivals(0.0 if off is None else off)
        if not certain and abs(off) <= MOST_OFF and self._clock.settled and self._n >= self._clock_from:
            certain, off = True, self._clock.nominal_hz / self._clock.rate_hz - 1.0
        if certain or abs(off) > MOST_OFF:
            self.measured_hz = self._clock.nominal_hz / (1.0 + off)
        if abs(off) > MOST_OFF:
            self.finding = "wrong"
        elif certain and (self.finding != "wrong" or abs(off) < RIGHT_AGAIN):
            self.finding = "right"

    def _off_by_steps(self) -> float | None:
        """Return by how much the periods are longer than the nominal one, as a share; None if stamps do not tell."""
        table = np.array(self._points, dtype=np.float64)
        period_s = 1.0 / self._clock.nominal_hz
        lag = max(LAG_S / period_s, 2.5 * self._largest)
        for window_s in WINDOWS_S:
            window_s = max(window_s, 4.0 * lag * period_s)
            passed_s = np.maximum(table[-1, 1] - table[:, 1], (table[-1, 0] - table[:, 0]) * period_s)
            if not passed_s[0] >= 0.9 * window_s:
                return None
            seen = table[passed_s <= window_s]
            off = _off(seen, lag, period_s, self._largest if self._is_by_arrival else 0)
            if off is not None:
                return off
        return None

    def _off_by_arrivals(self, otherwise: float) -> float:
        """Return the same by what stamps gain or lose against arrivals; ``otherwise`` if they do neither."""
        gained = np.diff(self._bound.shifts_s)[::-1]
        lost = np.diff(self._bound.ages_s)[::-1]
        n_ahead, n_behind = _n_first(gained < -MOST_OFF), _n_first(lost > MOST_OFF)
        if n_ahead > 1 and gained[:n_ahead].sum() < -AHEAD_S:
            per_s = float(np.median(gained[:n_ahead]))
        elif n_behind > 2 and lost[:n_behind].sum() > LATE_S:
            per_s = min(float(np.median(lost[:n_behind])), 0.9)
        else:
            return otherwise
        return 1.0 / (1.0 - per_s) - 1.0


def _n_first(mask: NDArray[np.bool_]) -> int:
    """Return how many entries are True before the first that is not."""
    return len(mask) if mask.all() else int(mask.argmin())


def _off(points: FloatArray, lag: float, period_s: float, uncertain: int) -> float | None:
    """Return by how much the periods of these points are longer; None if they scatter too much to tell.

    ``uncertain`` is the number of samples that the first or the last point may have more or less.
    """
    counts, stamps_s, lost = points[:, 0], points[:, 1], points[:, 2]
    steps = _steps(counts, stamps_s, lag, period_s)
    if len(steps) < 5:
        return None
    n_apart = max(1.0, (counts[-1] - counts[0]) / lag)
    middle = float(np.median(steps))
    error = SURE * 1.25 * 1.4826 * float(np.median(np.abs(steps - middle))) / math.sqrt(n_apart)
    # Most stretches of whole pulls may hold one packet too many: then all of them together do not.
    whole = float(stamps_s[-1] - stamps_s[0]) / ((counts + lost)[-1] - (counts + lost)[0]) / period_s - 1.0
    is_whole = not uncertain or whole < -MOST_OFF - uncertain / (counts[-1] - counts[0])
    if middle + error < -MOST_OFF and is_whole:
        return middle
    n_blocks, n_after_loss = points[-1, 3:] - points[0, 3:]
    is_loss = n_after_loss < MOST_LOST * n_blocks
    without = _steps(counts + lost, stamps_s, lag, period_s) if is_loss else steps
    edge, spread = _edge(steps)
    shortest, scatter = _edge(_steps(counts, stamps_s, 1.0, period_s))
    rest = float(np.median(without)) if len(without) else edge
    low = min(edge, rest)
    if low - 0.4 * spread - 1.5 * SURE * spread / math.sqrt(n_apart) > MOST_OFF and shortest > 0.5 * low:
        return low
    is_steady = max(spread, error) < MOST_OFF and middle - error > -MOST_OFF
    if is_steady and (edge + spread < MOST_OFF or rest < RIGHT_AGAIN or max(shortest, scatter) < RIGHT_AGAIN):
        return max(min(middle, low, RIGHT_AGAIN), -MOST_OFF)
    return None


def _steps(counts: FloatArray, stamps_s: FloatArray, lag: float, period_s: float) -> FloatArray:
    """Return the relative excess of time over each stretch of at least ``lag`` samples, as far as it tells a time."""
    later = np.searchsorted(counts, counts + lag)
    there = later < len(counts)
    first, last = np.flatnonzero(there), later[there]
    excess = (stamps_s[last] - stamps_s[first]) / ((counts[last] - counts[first]) * period_s) - 1.0
    told: FloatArray = excess[(excess > LEAST) & (excess < MOST)]
    return told if 2 * len(told) > len(excess) else told[:0]


def _edge(steps: FloatArray) -> tuple[float, float]:
    """Return the middle and the spread that steps had without the longer ones, from those that are shortest."""
    if not len(steps):
        return math.nan, math.nan
    low, lower = np.quantile(steps, (0.2, 0.05))
    spread = float(low - lower) / 0.803  # of a normal distribution between these two
    return float(low) + 0.842 * spread, spread
