"""From times on the recording computer's clock to places among the samples, and so to seconds of the recording."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from neurofb.chunk import FloatArray
from neurofb.recording.session_recording import SessionRecording

#: So many times are kept at most: of longer recordings every second one, third one …
MOST = 2_000_000
_PIECE = 500_000


class SampleTimes:
    """Where times lie among the samples of a recording.

    Parameters
    ----------
    recording : SessionRecording
    rate_hz : float
        Nominal; the recording's grid is made of it.
    """

    def __init__(self, recording: SessionRecording, rate_hz: float) -> None:
        self.rate_hz, self.n_samples = rate_hz, recording.n_samples
        step = 1 + self.n_samples // MOST
        pieces = [
            recording.times_s(first, min(first + _PIECE * step, self.n_samples))[::step]
            for first in range(0, self.n_samples, _PIECE * step)
        ]
        times_s = np.concatenate([np.empty(0), *pieces])
        self._times_s = np.maximum.accumulate(times_s)  # a clock that was set back must not lead back
        self._indices = np.arange(len(times_s)) * float(step)

    def index(self, time_s: ArrayLike) -> FloatArray:
        """Return the places of times, as fractional sample indices; beyond the ends at the nominal rate."""
        times_s = np.asarray(time_s, dtype=np.float64)
        if not len(self._times_s):
            return np.zeros_like(times_s)
        first_s, last_s = self._times_s[0], self._times_s[-1]
        found = np.interp(times_s, self._times_s, self._indices)
        found = np.where(times_s < first_s, (times_s - first_s) * self.rate_hz, found)
        beyond = self._indices[-1] + (times_s - last_s) * self.rate_hz
        return np.asarray(np.where(times_s > last_s, beyond, found))

    def onset_s(self, time_s: ArrayLike) -> FloatArray:
        """Return times as seconds from the recording's first sample on, counted by its samples."""
        return self.index(time_s) / self.rate_hz
