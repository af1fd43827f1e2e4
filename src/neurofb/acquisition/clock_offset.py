"""The sender's clock against this computer's: measured again and again, applied smoothly.

In: offsets as LSL measures them, each off by its own part of a network's delay (1.8 ms was seen between two
computers). Out: what to add to the sender's stamps, and a correction that follows the drift. Kept: five minutes of
measurements.

Samples are placed by the sender's own clock, on which a lost sample is a whole period: a newly measured offset
would move all later stamps at once, and 2 ms more look like two lost samples at 1,000 Hz. So stamps get an offset
that stays (``base_s``), and only the times that the sample indexer returns are corrected, never by a step.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from neurofb.chunk import FloatArray

#: Measurements that bear the line: five minutes of them, one each five seconds.
KEPT = 60
#: Fewer than this say nothing of a drift.
MIN_FOR_DRIFT = 4
#: Two quartzes differ by less; times are corrected no faster, so that they always increase.
MOST_DRIFT = 5e-4


class ClockOffset:
    """Follows the offset of a sender's clock.

    Parameters
    ----------
    offset_s : float
        What to add to the sender's stamps, by the first measurement.

    Attributes
    ----------
    base_s : float
        What is added to stamps before they are placed.
    correction_s : float
        What is added to the newest times that come out.
    """

    def __init__(self, offset_s: float = 0.0) -> None:
        self.base_s = offset_s
        self.correction_s = 0.0
        self._corrected_to_s: float | None = None
        self._slept_s = 0.0
        self._measured: deque[tuple[float, float]] = deque(maxlen=KEPT)
        #: When, offset and drift of the line through the measurements; replaced as a whole by another thread.
        self._line = (0.0, offset_s, 0.0)

    def __repr__(self) -> str:
        return f"ClockOffset({self.base_s!r})"

    def reopen(self, offset_s: float) -> None:
        """Continue with another sender without a step in the sample times."""
        self._measured.clear()
        offset_s += self._slept_s
        self.base_s = offset_s - self.correction_s
        self._line = (0.0, offset_s, 0.0)

    def sleep(self, slept_s: float, *, sender_slept: bool) -> None:
        """Continue after a sleep of this computer, in which its clock stood still: the grid goes on by that.

        The clock of a sender on this computer stood still with it; another's is measured to be so far ahead now.
        """
        self._slept_s += slept_s
        if sender_slept:
            self.base_s += slept_s
            self._measured = deque(((at_s, each_s + slept_s) for at_s, each_s in self._measured), maxlen=KEPT)
            measured_s, offset_s, drift = self._line
            self._line = measured_s, offset_s + slept_s, drift

    def add(self, time_s: float, offset_s: float) -> None:
        """Add a measurement, made at ``time_s``."""
        offset_s += self._slept_s
        self._measured.append((time_s, offset_s))
        at_s, offsets_s = np.array(self._measured).T
        drift = 0.0
        if len(at_s) >= MIN_FOR_DRIFT:
            i, j = np.triu_indices(len(at_s), 1)
            # The median of all slopes: a few answers that were late themselves change nothing.
            drift = float(np.median((offsets_s[j] - offsets_s[i]) / np.maximum(at_s[j] - at_s[i], 1e-3)))
            drift = min(max(drift, -MOST_DRIFT), MOST_DRIFT)
        level_s = float(np.median(offsets_s - drift * (at_s - time_s)))
        self._line = (time_s, level_s, drift)

    def correct(self, times_s: FloatArray) -> None:
        """Correct times that the indexer returned, in order, to this computer's clock, in place."""
        n = len(times_s)
        if n == 0:
            return
        last_s = float(times_s[n - 1])
        from_s = float(times_s[0]) if self._corrected_to_s is None else self._corrected_to_s
        measured_s, level_s, drift = self._line
        wanted_s = level_s + (drift * (last_s - measured_s) if drift else 0.0) - self.base_s
        before_s, most_s = self.correction_s, MOST_DRIFT * (last_s - from_s)
        self.correction_s = after_s = before_s + min(max(wanted_s - before_s, -most_s), most_s)
        self._corrected_to_s = last_s
        if n == 1 or after_s == before_s:
            times_s += after_s
        else:
            times_s += np.interp(times_s, (from_s, last_s), (before_s, after_s))
