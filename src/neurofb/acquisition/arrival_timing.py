"""Arrival timing: when the next samples of a stream should come.

In: when samples came, and how many at once. Out: when the next should come, and how far around that; nothing where
arrivals scatter too much to be waited for. Kept: the line that arrivals follow. When samples were
taken is another question: ``sample_clock`` answers it from their stamps.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

#: How much of its error an arrival moves the line by, and the period: critically damped, 20 arrivals long.
PHASE_GAIN, PERIOD_GAIN = 0.1, 0.0025
#: A true rate is this near the nominal one.
MOST_DEVIATION = 0.02
#: Arrivals over which the scatter is taken; a single one adds no more than if it were so far off.
SCATTER_OVER, MOST_LATE_S = 32, 0.01
#: Arrivals fall within so many times their mean deviation of the line, and this, which a busy computer adds.
WITHIN_TIMES, WITHIN_S = 4.0, 0.0001
#: Where arrivals fall no nearer to the line than this, nobody can be ready for them.
MOST_WITHIN_S = 0.001
#: Arrivals from which is taken how many samples come at once.
SIZES = 64


class ExpectedArrival(NamedTuple):
    """The expected arrival of the next samples."""

    time_s: float
    #: Half width of the expected interval, seconds.
    within_s: float
    #: Number of samples at once.
    n_samples: int


class ArrivalTiming:
    """Follows the arrivals of one stream.

    Parameters
    ----------
    rate_hz : float
        Nominal rate of the samples.
    """

    def __init__(self, rate_hz: float) -> None:
        self._nominal_s = self._period_s = 1.0 / rate_hz
        self._newest_s: float | None = None
        self._scatter_s = MOST_WITHIN_S
        self._burst = self._last_n = 0
        self._sizes: deque[int] = deque(maxlen=SIZES)

    def __repr__(self) -> str:
        return f"ArrivalTiming(rate_hz={1.0 / self._nominal_s:g})"

    def add(self, now_s: float, n_samples: int) -> None:
        """Add an arrival of so many samples at once."""
        self._sizes.append(n_samples)
        if n_samples == self._last_n:
            self._burst = n_samples
        self._last_n = n_samples
        if self._newest_s is None:
            self._newest_s = now_s
            return
        due_s = self._newest_s + n_samples * self._period_s
        late_s = now_s - due_s
        self._scatter_s += (min(abs(late_s), MOST_LATE_S) - self._scatter_s) / SCATTER_OVER
        if abs(late_s) > 0.5 * n_samples * self._period_s:  # lost or held up: begin again from here
            self._newest_s = now_s
            return
        self._newest_s = due_s + PHASE_GAIN * late_s
        period_s = self._period_s + PERIOD_GAIN * late_s / n_samples
        most_s = MOST_DEVIATION * self._nominal_s
        self._period_s = min(max(period_s, self._nominal_s - most_s), self._nominal_s + most_s)

    @property
    def packet_samples(self) -> int:
        """How many samples come at once as a rule; 1 if there is no rule."""
        size, n = Counter(self._sizes).most_common(1)[0] if self._sizes else (1, 0)
        return size if n > 0.5 * len(self._sizes) and n > 2 else 1

    @property
    def next_arrival(self) -> ExpectedArrival | None:
        """Expected time of the next arrival in seconds; None while it is not certain to a millisecond."""
        within_s = WITHIN_S + WITHIN_TIMES * self._scatter_s
        if self._newest_s is None or not self._burst or within_s > MOST_WITHIN_S:
            return None
        return ExpectedArrival(self._newest_s + self._burst * self._period_s, within_s, self._burst)
