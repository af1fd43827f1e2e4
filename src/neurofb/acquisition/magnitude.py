"""Whether the values look like the unit they are said to have.

In: the first seconds in µV. Out: an event if they cannot be EEG in µV. Kept: those seconds.
"""

from __future__ import annotations

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.events import Event

CHECK_S = 3.0
#: What the slow level leaves of EEG in µV, bad contacts and blinks included: the median channel's deviation.
LEAST_UV, MOST_UV = 0.05, 5_000.0
TYPICAL_UV = 20.0
_UNITS = {1e6: "volts", 1e3: "millivolts", 1.0: "microvolts", 1e-3: "nanovolts"}


class MagnitudeCheck:
    """Looks once at the beginning of a stream.

    Parameters
    ----------
    rate_hz : float
    scale_uv : float
        µV per unit, as it was taken.
    unit_from : str
        Where the unit is known from, for the message.
    """

    def __init__(self, rate_hz: float, scale_uv: float, unit_from: str) -> None:
        self._n = max(8, round(CHECK_S * rate_hz))
        self._scale_uv = scale_uv
        self._unit_from = unit_from
        self._parts: list[FloatArray] = []
        self._n_seen = 0

    @property
    def done(self) -> bool:
        """Whether enough was seen."""
        return self._n_seen >= self._n

    def push(self, samples: FloatArray, time_s: float) -> list[Event]:
        """Take in samples; give the event, if there is one to give."""
        if self.done or not len(samples):
            return []
        self._parts.append(samples[: self._n - self._n_seen].copy())
        self._n_seen += len(self._parts[-1])
        if not self.done:
            return []
        seen, self._parts = np.concatenate(self._parts), []
        return self._judge(seen[np.isfinite(seen).all(axis=1)], time_s)

    def _judge(self, seen: FloatArray, time_s: float) -> list[Event]:
        if len(seen) < 2:
            return []
        # Steps from sample to sample know nothing of levels and drifts.
        steps_uv = np.abs(np.diff(seen, axis=0))
        moving = steps_uv.max(axis=0) > 0
        if not moving.any():
            return []
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
