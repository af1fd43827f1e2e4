"""Values that no converter measures: infinite ones, the limits of a number format, voltages that do not exist.

In: received values and the same in µV. Out: the µV with NaN in their place, channel by channel, and events. Kept: how
many of each channel are not told yet. The values stay in the record as they were received; the sample map notes which
are missing, so that a re-run reads them as the session did.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.devices.columns import EegColumns
from neurofb.events import Event

#: 10 V. Assumed: twice the supply of any amplifier of EEG; the largest range of a profile is 0.75 V (Unicorn).
MOST_UV = 1e7
#: After the first of a channel, others are summed up and logged so often.
SUMMARY_S = 60.0


class ValueLimits:
    """Replaces values that cannot have been measured by missing samples.

    Parameters
    ----------
    eeg : EegColumns
    """

    def __init__(self, eeg: EegColumns) -> None:
        self._labels, self._columns = eeg.labels, list(eeg.columns)
        n = len(eeg.labels)
        self._n_untold = np.zeros(n, dtype=np.int64)
        self._first_s = np.zeros(n)
        self._told_s = np.full(n, -np.inf)
        self._first = [""] * n
        self._events: list[Event] = []

    def __repr__(self) -> str:
        return f"ValueLimits({self._labels!r})"

    def push(self, values: NDArray[Any], samples: FloatArray, stamps_s: FloatArray) -> None:
        """Set what was not measured to NaN, in place.

        Parameters
        ----------
        values : ndarray, shape (n_samples, n_columns)
            As received, with every column of the stream.
        samples : ndarray, shape (n_samples, n_channels)
            Its EEG in µV.
        stamps_s : ndarray, shape (n_samples,)
        """
        with np.errstate(invalid="ignore"):
            wrong = ~(np.abs(samples) <= MOST_UV)
        if values.dtype.kind in "iu":
            limits = np.iinfo(values.dtype)
            eeg = values[:, self._columns]
            wrong |= (eeg == limits.min) | (eeg == limits.max)
        if wrong.any():
            self._count(wrong, values, stamps_s)
            samples[wrong] = np.nan
        if self._n_untold.any():
            due = self._told_s + SUMMARY_S <= stamps_s[-1]
            self._told_s[due & (self._n_untold > 0)] = stamps_s[-1]
            self._tell(due)

    def flush(self) -> None:
        """Log what is not told yet: no more samples will come."""
        self._tell(np.ones(len(self._labels), dtype=np.bool_))

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, at the time of the stamps."""
        events, self._events = self._events, []
        return events

    def _count(self, wrong: NDArray[np.bool_], values: NDArray[Any], stamps_s: FloatArray) -> None:
        n_wrong = wrong.sum(axis=0)
        for channel in np.flatnonzero(n_wrong).tolist():
            if not self._n_untold[channel]:
                row = int(wrong[:, channel].argmax())
                self._first_s[channel] = stamps_s[row]
                self._first[channel] = str(values[row, self._columns[channel]])
            self._n_untold[channel] += n_wrong[channel]

    def _tell(self, due: NDArray[np.bool_]) -> None:
        channels = np.flatnonzero(due & (self._n_untold > 0)).tolist()
        if not channels:
            return
        counts = {self._labels[i]: int(self._n_untold[i]) for i in channels}
        first = min(channels, key=lambda i: float(self._first_s[i]))
        listed = ", ".join(f"{n} of {label}" for label, n in counts.items())
        self._events.append(
            Event(
                "no_value",
                float(self._first_s[first]),
                f"values that no amplifier measures are missing samples: {listed}, the first {self._first[first]}",
                None,
                {"channels": list(counts), "n_samples": list(counts.values()), "first": self._first[first]},
            )
        )
        self._n_untold[channels] = 0
