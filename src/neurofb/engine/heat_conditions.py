"""The engine's facts about the conditions of heat (see ``stimulation.conditions``), and since when one is missing.

In: chunks of the source, the state of the recording, heartbeats of views. Out: facts for the guard, what is missing in
words. Kept: when samples came last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurofb.chunk import Chunk
from neurofb.engine.view_heartbeats import ViewHeartbeats
from neurofb.recording.disk_state import RecorderState
from neurofb.stimulation.conditions import Facts, Required, unmet


class HeatConditions:
    """The conditions of heat in one session.

    Parameters
    ----------
    required : Required
        Those that must hold in this session.
    recorder_state : callable
        Returns the state of the recording at a time on the engine's clock.
    views : ViewHeartbeats
    """

    def __init__(
        self, required: Required, recorder_state: Callable[[float], RecorderState], views: ViewHeartbeats
    ) -> None:
        self.required, self.views = required, views
        self._recorder_state = recorder_state
        self._arrived_s: float | None = None
        self._sampled_s = 0.0

    def add_samples(self, chunk: Chunk, now_s: float) -> None:
        """Note the newest sample of a chunk; one that is missing, or holds no number, changes nothing."""
        received = np.isfinite(chunk.received_s) & np.isfinite(chunk.samples).any(axis=1)
        if received.any():
            self._arrived_s = now_s
            self._sampled_s = float(chunk.times_s[received][-1])

    @property
    def arrived_s(self) -> float | None:
        """When samples came last, on the engine's clock; None before the first."""
        return self._arrived_s

    def sample_age_s(self, now_s: float) -> float | None:
        """Return the age of the newest sample, by its own time stamp or its arrival, whichever is older."""
        return None if self._arrived_s is None else now_s - min(self._arrived_s, self._sampled_s)

    def facts(self, now_s: float) -> Facts:
        """Return what holds at ``now_s``."""
        recording, view = self._recorder_state(now_s).is_alive, self.views.is_watched(now_s)
        return Facts(now_s, self.sample_age_s(now_s), recording, view)

    def unmet(self, now_s: float) -> list[str]:
        """Return which conditions do not hold at ``now_s``, in words, as the guard sees them."""
        return unmet(self.required, self.facts(now_s), now_s)
