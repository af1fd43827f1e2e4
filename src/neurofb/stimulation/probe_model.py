"""A model of the probe: its temperature by the commands, and whether its readings can be true.

In: the commanded temperature and the readings, tick by tick. Out: a cause in words as soon as a stimulus must end.
Kept: the temperature that a probe with the device's lag would have, the last usable reading, and since when the two
have been too far apart.
"""

from __future__ import annotations

import math
from collections import deque

from neurofb.stimulation.driver import Reading
from neurofb.stimulation.envelope import Envelope

#: A probe that reads this much above the cap is aborted at once. Assumed: fifteen times the noise of the
#: simulated readings, well below a degree.
CAP_TOLERANCE_C = 0.3
#: A probe within this of its baseline, or below, is at baseline: no heat. Assumed: as far as it may deviate
#: (``Envelope.deviation_c``); at 36 °C, 1 °C above the warmest baseline, the contact-burn line lies at 45 h.
AT_BASELINE_C = 1.0
#: What a stimulus starts and ends on: a reading of at most this age. Assumed: five readings at the guard's 50 Hz, in
#: which a ramp of 8 °C/s moves by less than a degree.
FRESH_S = 0.1
#: The same for a device that is read more seldom, as a multiple of its period. Assumed: one reading, and half of one
#: that is late.
PERIODS = 1.5
#: So much hotter than it should be is not waited for: a multiple of ``Envelope.deviation_c``. Assumed: at 49 instead
#: of 47 °C the contact-burn line comes three times as soon, and a probe that only lags reads cooler than it should.
AT_ONCE = 2.0
#: What no thermode in use reads: such a number comes from the link or a broken sensor. Medoc's range is 0 to 55 °C
#: (Pathway manual), a TCS II without its probe reads above 65 °C (WhitmireLab/StimControl); the margins are assumed.
COLDEST_C, HOTTEST_C = -10.0, 70.0
#: A reading may be this far ahead of the clock. Assumed: the clocks of two processes that were compared are 0.05 s
#: apart at most (a test holds it), and a device's clock as much again.
AHEAD_S = 0.1


class ProbeModel:
    """Follows the commands with the lag of the device, and checks the readings against it.

    Attributes
    ----------
    expected_c : float
        Where a healthy probe would be now.
    measured_c : float
        The last usable reading; NaN if it is too old, or there is none.
    """

    def __init__(
        self, envelope: Envelope, lag_s: float, baseline_c: float, now_s: float, period_s: float = 0.0
    ) -> None:
        self._envelope = envelope
        self._lag_s = lag_s
        #: A reading of at most this age is fresh.
        self.fresh_s = max(FRESH_S, PERIODS * period_s)
        self._period_s = period_s
        #: Times, and the coolest and the hottest that a healthy probe was then: what an older reading is held against.
        self._recent: deque[tuple[float, float, float]] = deque()
        #: Where a healthy probe would be that begins as late as it may; None where its onset is known.
        self._latest_c: float | None = None
        self.expected_c = self._commanded_c = baseline_c
        self.measured_c = math.nan
        self._usable_s = now_s
        self._last_c = math.nan
        self._apart_s: float | None = None

    def follow(self, commanded_c: float, dt_s: float) -> None:
        """Advance by ``dt_s`` towards what is commanded."""
        self._commanded_c = commanded_c
        share = 1.0 if self._lag_s <= 0 else -math.expm1(-dt_s / self._lag_s)
        self.expected_c += (commanded_c - self.expected_c) * share

    def follow_latest(self, commanded_c: float, dt_s: float) -> None:
        """Advance by ``dt_s`` towards what would be commanded if the device began as late as it may."""
        before_c = self._latest_c if self._latest_c is not None else self.expected_c
        share = 1.0 if self._lag_s <= 0 else -math.expm1(-dt_s / self._lag_s)
        self._latest_c = before_c + (commanded_c - before_c) * share

    def know_onset(self) -> None:
        """Note that the device has said when it began: from now on one course is right."""
        if self._latest_c is not None and not math.isnan(self.measured_c):
            low_c, high_c = sorted((self._latest_c, self.expected_c))
            self.expected_c = min(high_c, max(low_c, self.measured_c))
        self._latest_c = None

    def cool(self, baseline_c: float, c_per_s: float, dt_s: float) -> None:
        """Advance by ``dt_s`` after an abort that the device has confirmed."""
        self.expected_c = max(min(baseline_c, self.expected_c), self.expected_c - c_per_s * dt_s)

    def add_reading(self, reading: Reading | None, now_s: float) -> None:
        """Add a reading, None if there was none."""
        if reading is not None and _usable(reading, now_s) and reading.time_s >= self._usable_s:
            self._usable_s, self._last_c = reading.time_s, reading.measured_c
        self.measured_c = self._last_c if self.age_s(now_s) <= self._envelope.stale_s else math.nan

    def age_s(self, now_s: float) -> float:
        """Return the age of the last usable reading."""
        return now_s - self._usable_s

    def is_at(self, baseline_c: float, since_s: float) -> bool:
        """Return whether a reading made after ``since_s`` is at baseline, or below."""
        return self._usable_s > since_s and self.measured_c <= baseline_c + AT_BASELINE_C

    def not_at_rest(self, baseline_c: float, now_s: float) -> list[str]:
        """Return why a stimulus from this baseline cannot start now; nothing: an empty list."""
        age_s = self.age_s(now_s)
        if age_s <= self.fresh_s and abs(self.measured_c - baseline_c) <= AT_BASELINE_C:
            return []
        return [
            f"the probe is not known to be at its baseline of {baseline_c:g} °C: it read {self.measured_c:.1f} °C "
            f"{age_s:.2f} s ago"
        ]

    @property
    def worst_c(self) -> float:
        """The hotter of what is measured and what is expected: what the skin is charged with."""
        expected_c = self._bounds_c()[1]
        return expected_c if math.isnan(self.measured_c) else max(self.measured_c, expected_c)

    def _bounds_c(self) -> tuple[float, float]:
        """Return the coolest and the hottest that a healthy probe may be now."""
        other_c = self.expected_c if self._latest_c is None else self._latest_c
        return min(self.expected_c, other_c), max(self.expected_c, other_c)

    def restart(self) -> None:
        """Forget how long the probe has been away from where it should be: a new stimulus begins."""
        self._apart_s = self._latest_c = None

    def cause(self, running: bool, now_s: float) -> str:
        """Return why the stimulus must end now; "" if it need not."""
        limits, age_s = self._envelope, self.age_s(now_s)
        if age_s > limits.stale_s:
            return f"the last reading is {age_s:.2f} s old; more than {limits.stale_s:g} s is not waited for"
        if self.measured_c > limits.cap_c + CAP_TOLERANCE_C:
            return f"the probe reads {self.measured_c:.2f} °C, above the cap of {limits.cap_c:g} °C"
        if not running:
            self._apart_s = None
            if self.measured_c > limits.baseline_high_c + AT_ONCE * limits.deviation_c:
                return f"the probe reads {self.measured_c:.2f} °C while no stimulus is on"
            return ""
        return self._apart(now_s)

    def _bounds_since_reading(self, now_s: float) -> tuple[float, float]:
        """Return the bounds since the last reading was taken: it lies within those of its own time.

        A device may follow its command sooner than it declares: what is commanded now is right as well.
        """
        low_c, high_c = self._bounds_c()
        self._recent.append((now_s, min(low_c, self._commanded_c), max(high_c, self._commanded_c)))
        since_s = max(self._usable_s, now_s - self._period_s)
        while len(self._recent) > 1 and self._recent[0][0] < since_s:
            self._recent.popleft()
        return min(low for _, low, _ in self._recent), max(high for *_, high in self._recent)

    def _apart(self, now_s: float) -> str:
        limits, (low_c, high_c) = self._envelope, self._bounds_since_reading(now_s)
        right_c = min(high_c, max(low_c, self.measured_c))
        off_c = self.measured_c - right_c
        where = (
            f"the probe reads {self.measured_c:.2f} °C where {right_c:.2f} °C would be right: "
            f"more than {limits.deviation_c:g} °C apart"
        )
        if off_c > AT_ONCE * limits.deviation_c:
            return f"{where}, and hotter"
        if abs(off_c) <= limits.deviation_c:
            self._apart_s = None
            return ""
        if self._apart_s is None:
            self._apart_s = now_s
        lasted_s = now_s - self._apart_s
        return f"{where} for {lasted_s:.2f} s" if lasted_s >= limits.deviation_s else ""


def _usable(reading: Reading, now_s: float) -> bool:
    return COLDEST_C <= reading.measured_c <= HOTTEST_C and reading.time_s <= now_s + AHEAD_S
