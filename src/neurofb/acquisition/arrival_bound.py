"""No sample is later than its own arrival: times that stamps alone would get wrong are held to this computer's clock.

In: the times that the sample clock gave, and when their samples arrived. Out: the same times, moved so that none lies
ahead of its arrival and none is steadily far behind; each larger move. Kept: how far times are moved, and the least age
of the last seconds.

Where a sample stands on the grid does not depend on this: only its time is moved. Stamps that are counted up from a
nominal rate run ahead of a device that is a little faster; such a drift is followed without a step.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray

#: Times that are ahead by less are followed smoothly: two clocks compared over a network are off by milliseconds.
AHEAD_S = 0.1
#: Of the time that has passed, so much may be taken back at once: times always increase.
MOST_BACK = 0.9
#: A sleep, in which the clock stood still, is so much of the grid's time at most: times always increase.
MOST_SLEEP = 1.0 - 1e-6
#: No device takes longer to send a sample that is not held up; one held up catches up. Source: as
#: ``stream_health.LOST_S``.
BEHIND_S = 2.0
#: The least age is taken over so long, and so many of these in a row must say the same.
WINDOW_S, N_BEHIND = 1.0, 2
#: Samples that advance faster than the clock by this are catching up.
CATCHES_UP = 1.25
#: Times come back to their stamps so fast, in seconds per second, when they need no longer be moved.
RELAXES = 1e-3


class ArrivalBound:
    """Keeps times at or before arrivals.

    Attributes
    ----------
    shift_s : float
        What is added to the newest times.
    ages_s : list of float
        The least age of each whole second of arrivals, the newest last; at most half a minute.
    shifts_s : list of float
        ``shift_s`` at the end of each of these.
    """

    def __init__(self) -> None:
        self.shift_s = 0.0
        self.ages_s: list[float] = []
        self.shifts_s: list[float] = []
        self._moves_s: list[float] = []
        self._last_s: float | None = None
        self._least_s = math.inf
        self._n_behind = 0
        self._window: tuple[float, float] | None = None
        #: Seconds of sleep that the grid does not have yet, and where it has the last: from, to, and both shifts.
        self._asleep_s = 0.0
        self._sleep: tuple[float, float, float, float] | None = None

    def __repr__(self) -> str:
        return f"ArrivalBound(shift_s={self.shift_s!r})"

    def pop_moves(self) -> list[float]:
        """Return the steps since the last call, in seconds: below 0 where times were ahead, above where far behind."""
        moves, self._moves_s = self._moves_s, []
        return moves

    @property
    def expected_shift_s(self) -> float:
        """What will be added to the times of what arrives now."""
        return self.shift_s - self._asleep_s

    @property
    def is_asleep(self) -> bool:
        """Whether samples of a sleep are still to come as missing ones."""
        return self._asleep_s > 0.0

    def sleep(self, slept_s: float) -> None:
        """Expect that the grid advances by a sleep of the computer, in which its clock stood still."""
        self._asleep_s += slept_s

    def local_s(self, grid_s: float) -> float:
        """Return a time of the grid on this computer's clock."""
        if self._sleep is None or grid_s >= self._sleep[1]:
            return grid_s + self.shift_s
        from_s, to_s, before_s, after_s = self._sleep
        return grid_s + float(np.interp(grid_s, (from_s, to_s), (before_s, after_s)))

    def hold(self, times_s: FloatArray, arrival_s: float, missing: NDArray[np.bool_] | None = None) -> None:
        """Move times, the newest of which arrived at ``arrival_s``, in place; of samples that are ``missing``."""
        n = len(times_s)
        if n == 0 or not math.isfinite(arrival_s):
            return
        first_s, last_s = float(times_s[0]), float(times_s[-1])
        from_s = first_s if self._last_s is None else self._last_s
        self._last_s = last_s
        if self._asleep_s and missing is not None and self._hold_sleep(times_s, missing, from_s):
            return
        before_s = self.shift_s
        lead_s = last_s + self.shift_s - arrival_s
        if lead_s > AHEAD_S:
            self._step(-lead_s)
            before_s = self.shift_s
        elif lead_s > 0.0:
            self.shift_s -= min(lead_s, MOST_BACK * max(0.0, last_s - from_s))
        self._watch_age(last_s, arrival_s)
        if self.shift_s == before_s or n == 1 or last_s <= from_s:
            times_s += self.shift_s
        else:
            times_s += np.interp(times_s, (from_s, last_s), (before_s, self.shift_s))

    def _hold_sleep(self, times_s: FloatArray, missing: NDArray[np.bool_], from_s: float) -> bool:
        """Take a sleep out of the times of the samples that are missing by it; False if they are not here yet."""
        edges = np.flatnonzero(np.diff(missing.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
        if not len(edges):
            return False
        first, after = edges[np.diff(edges, axis=1)[:, 0].argmax()].tolist()
        begin_s = float(times_s[first - 1]) if first else from_s
        next_s = 2.0 * times_s[after - 1] - times_s[after - 2] if after == len(times_s) else times_s[after]
        end_s, before_s = float(next_s), self.shift_s
        if end_s - begin_s <= MOST_BACK * self._asleep_s:
            return False
        self.shift_s -= min(self._asleep_s, MOST_SLEEP * (end_s - begin_s))
        self._asleep_s, self._window, self._least_s = 0.0, None, math.inf
        self._sleep = begin_s, end_s, before_s, self.shift_s
        times_s += np.interp(times_s, (begin_s, end_s), (before_s, self.shift_s))
        return True

    def _step(self, move_s: float) -> None:
        self.shift_s += move_s
        self._moves_s.append(move_s)
        self.ages_s.clear()
        self.shifts_s.clear()
        self._window, self._least_s, self._n_behind = None, math.inf, 0

    def _watch_age(self, last_s: float, arrival_s: float) -> None:
        if self._window is None:
            self._window = last_s, arrival_s
        self._least_s = min(self._least_s, arrival_s - last_s - self.shift_s)
        passed_s = arrival_s - self._window[1]
        if passed_s < WINDOW_S:
            return
        advanced_s, least_s = last_s - self._window[0], self._least_s
        self._window, self._least_s = (last_s, arrival_s), math.inf
        self.ages_s = [*self.ages_s[-29:], least_s]
        self.shifts_s = [*self.shifts_s[-29:], self.shift_s]
        flows = advanced_s > 0.5 * passed_s and advanced_s < CATCHES_UP * passed_s
        self._n_behind = self._n_behind + 1 if flows and least_s > BEHIND_S else 0
        if self._n_behind == N_BEHIND:
            self._step(min(self.ages_s[-N_BEHIND:]))
        elif self.shift_s < 0.0 and least_s > 0.0 and not self._moved_far:
            self.shift_s += min(least_s, RELAXES * passed_s, -self.shift_s)

    @property
    def _moved_far(self) -> bool:
        """Whether times are of another clock altogether: there is nothing to come back to."""
        return abs(self.shift_s) > AHEAD_S
