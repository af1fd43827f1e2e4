"""How long a baseline lasts: as planned, and on while it would not do for this participant."""

from __future__ import annotations

from neurofb.engine.recorded_loop import RecordedLoop

#: A baseline that lacks clean EEG is made longer by so much at a time.
EXTEND_S = 5.0
#: So long before its end a baseline is tried, so that the end need not wait for it.
AHEAD_S = 2.0
#: It goes on for so long while nobody knows whether it lacks any.
WONDER_S = 0.05


class BaselineTime:
    """Decides whether the baseline that is being collected may end.

    Parameters
    ----------
    recorded_loop : RecordedLoop
    longest_s : float
        By how much a baseline may be extended in all.
    """

    def __init__(self, recorded_loop: RecordedLoop, longest_s: float) -> None:
        self._recorded_loop, self._longest_s = recorded_loop, longest_s

    def look_ahead(self, left_s: float) -> None:
        """Begin to try the baseline shortly before its end."""
        if left_s < AHEAD_S:
            self._recorded_loop.rehearse()

    def extension(self, extended_s: float) -> tuple[float, str]:
        """Return by how much it goes on, 0 if it may end, and in words why; no words while that is being found out."""
        lacks = self._recorded_loop.lacks()
        if lacks is None:
            return WONDER_S, ""
        if not lacks or extended_s >= self._longest_s:
            return 0.0, ""
        return EXTEND_S, f"the baseline goes on for {EXTEND_S:g} s: {lacks}"
