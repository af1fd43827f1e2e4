"""The health of a stream: whether samples come (waiting, silent, flowing, stale or lost), and whether they can be EEG.

In: the time, and whether samples came; the first seconds in µV. Out: the state, an event at each change, and one if the
values cannot be EEG in µV. Kept: when samples came last, how long the stream is usually silent between its bursts, and
those first seconds until they are checked.
"""

from __future__ import annotations

import numpy as np

from neurofb.acquisition.source import SourceState
from neurofb.chunk import FloatArray
from neurofb.events import Event
from neurofb.format import clean
from neurofb.status import SILENT_S

LOST_S = 2.0
NO_HINT = "look whether the device is connected and its program is streaming"
#: A stall that a person is told, and that is recorded, lasts so many of the stream's usual bursts, and so long.
BURSTS_TOLD, LEAST_TOLD_S = 3.0, 0.25
#: Silences up to this length are taken for the stream's way of sending and remembered, fading slowly.
USUAL_S = 0.5
FADING = 0.999
#: The magnitude of the first seconds is checked.
CHECK_S = 3.0
#: What the slow level leaves of EEG in µV, bad contacts and blinks included: the median channel's deviation.
LEAST_UV, MOST_UV = 0.05, 5_000.0
TYPICAL_UV = 20.0
_UNITS = {1e6: "volts", 1e3: "millivolts", 1.0: "microvolts", 1e-3: "nanovolts"}


class StreamHealth:
    """Follows how long a stream has been silent, and the state that follows from it.

    Parameters
    ----------
    name : str
        Of the stream, for messages.
    rate_hz : float
        Nominal rate.
    burst_s : float
        How long the samples last that are sent at once, if known.
    hint : str
        What to do where the stream is there and sends nothing.
    """

    def __init__(self, name: str, rate_hz: float, burst_s: float = 0.0, hint: str = "") -> None:
        self.name, self._hint = name, hint or NO_HINT
        self.state: SourceState = "waiting"
        self._periods_s = 3.0 / rate_hz
        self._burst_s = burst_s
        self._usual_s = burst_s
        self._since_s: float | None = None
        self._is_told = False

    @property
    def stale_after_s(self) -> float:
        """Silence in seconds after which the stream is stale: 3 sample periods and a burst."""
        return min(self._periods_s + self._usual_s, LOST_S)

    @property
    def told_after_s(self) -> float:
        """Silence in seconds that is an event: beyond the stream's own pattern, and never one that is lost already."""
        return min(max(LEAST_TOLD_S, BURSTS_TOLD * (self._periods_s + self._usual_s)), LOST_S)

    def opened(self, now_s: float) -> None:
        """Record that the stream was opened: silence counts from here."""
        self._since_s = now_s

    def samples_came(self, now_s: float, index: int) -> list[Event]:
        """Record that samples arrived; return the event if the stream had been silent."""
        silent_s = now_s - self._since_s if self._since_s is not None else 0.0
        before, self.state = self.state, "flowing"
        self._since_s = now_s
        was_told, self._is_told = self._is_told, False
        if before not in ("waiting", "silent") and silent_s < USUAL_S:
            self._usual_s = max(self._burst_s, silent_s, FADING * self._usual_s)
        if not was_told:
            return []
        return [
            Event(
                "resumed",
                now_s,
                f"samples of {self.name!r} come again after {silent_s:.3f} s",
                index,
                {"silent_s": silent_s},
            )
        ]

    def nothing_came(self, now_s: float, index: int) -> list[Event]:
        """Record that nothing arrived; return an event if that changes the state."""
        if self._since_s is None:
            return []
        silent_s = now_s - self._since_s
        if self.state in ("waiting", "silent"):
            if silent_s < SILENT_S or self.state == "silent":
                return []
            self.state, self._is_told = "silent", True
            message = f"connected to {clean(self.name)!r}, no sample in {SILENT_S:g} s: {self._hint}"
            return [Event("silent", now_s, message, None, {"silent_s": silent_s})]
        if silent_s > LOST_S and self.state != "lost":
            self.state, self._is_told = "lost", True
            return [self._event("lost", now_s, silent_s, index)]
        if silent_s > self.stale_after_s and self.state == "flowing":
            self.state = "stale"
        if silent_s > self.told_after_s and self.state == "stale" and not self._is_told:
            self._is_told = True
            return [self._event("stale", now_s, silent_s, index)]
        return []

    def outlet_gone(self, now_s: float, index: int) -> list[Event]:
        """Record that the outlet is gone: the stream is lost at once."""
        if self.state == "lost":
            return []
        self.state, self._is_told = "lost", True
        silent_s = now_s - self._since_s if self._since_s is not None else 0.0
        message = f"the outlet of {self.name!r} is gone; it is looked for, and samples go on when it is back"
        return [Event("lost", now_s, message, index, {"silent_s": silent_s, "outlet_gone": True})]

    def _event(self, kind: str, now_s: float, silent_s: float, index: int) -> Event:
        message = f"no samples of {self.name!r} for {silent_s:.3f} s"
        return Event(kind, now_s, message, index, {"silent_s": silent_s})


class MagnitudeCheck:
    """Checks once, at the beginning of a stream, whether its values can be EEG in their stated unit.

    Parameters
    ----------
    rate_hz : float
    scale_uv : float
        µV per unit of the stream.
    unit_from : str
        Where the unit is known from, for the message.
    rails_uv : tuple of float, optional
        Lowest and highest value that the program can send.
    """

    def __init__(
        self,
        rate_hz: float,
        scale_uv: float,
        unit_from: str,
        rails_uv: tuple[float, float] | None = None,
    ) -> None:
        self._rails_uv = rails_uv
        self._n = max(8, round(CHECK_S * rate_hz))
        self._scale_uv = scale_uv
        self._unit_from = unit_from
        self._parts: list[FloatArray] = []
        self._n_seen = 0

    @property
    def done(self) -> bool:
        """True once enough samples were checked."""
        return self._n_seen >= self._n

    def push(self, samples: FloatArray, time_s: float) -> list[Event]:
        """Add samples; return the event if their magnitude is wrong."""
        if self.done or not len(samples):
            return []
        self._parts.append(samples[: self._n - self._n_seen].copy())
        self._n_seen += len(self._parts[-1])
        if not self.done:
            return []
        seen, self._parts = np.concatenate(self._parts), []
        return self._check(seen[np.isfinite(seen).all(axis=1)], time_s)

    def _check(self, seen: FloatArray, time_s: float) -> list[Event]:
        if len(seen) < 2:
            return []
        # A channel that never changes says nothing of the unit.
        steps_uv = np.abs(np.diff(seen, axis=0))
        moving = steps_uv.max(axis=0) > 0
        if not moving.any():
            return []
        with np.errstate(over="ignore"):
            rails = self._check_rails(seen[:, moving], time_s)
        if rails:
            return rails
        deviation_uv = float(np.median(seen[:, moving].std(axis=0)))
        if LEAST_UV <= deviation_uv <= MOST_UV:
            return []
        raw = deviation_uv / self._scale_uv
        likely = min(_UNITS, key=lambda uv: abs(np.log(raw * uv / TYPICAL_UV)))
        return [
            Event(
                "unit",
                time_s,
                f"the values deviate by {deviation_uv:.3g} µV if they are {self._unit_from}: that is no EEG; "
                f"as {_UNITS[likely]} they would deviate by {raw * likely:.3g} µV. Check the unit, and give it "
                "with --unit if it is wrong",
                details={"deviation_uv": deviation_uv, "likely_unit": _UNITS[likely]},
            )
        ]

    def _check_rails(self, seen: FloatArray, time_s: float) -> list[Event]:
        """Return the event if most channels rest beyond the rails: then another program sends, or another unit."""
        if self._rails_uv is None:
            return []
        low_uv, high_uv = self._rails_uv
        levels_uv = np.median(seen, axis=0)
        level_uv = float(np.median(levels_uv))
        if ((levels_uv >= low_uv) & (levels_uv <= high_uv)).mean() > 0.5:
            return []
        return [
            Event(
                "rails",
                time_s,
                f"the values lie around {level_uv:.4g} µV, beyond {low_uv:g} to {high_uv:g} µV, which the program that "
                "is assumed can send; these rails are not used. Look at the unit (--unit) and the program (--program)",
                details={"level_uv": level_uv, "rails_uv": [low_uv, high_uv]},
            )
        ]
