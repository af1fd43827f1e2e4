"""Whether samples come as they should: waiting, flowing, stale or lost, and the events that say so.

In: the time, and whether samples came. Out: the state, and an event at each change. Kept: when samples came
last, and how long the stream is usually silent between its bursts.
"""

from __future__ import annotations

from neurofb.acquisition.source import SourceState
from neurofb.events import Event

LOST_S = 2.0
#: A stream that is there and sends nothing is spoken of after this time.
SILENT_S = 5.0
#: Silences up to this length are taken for the stream's way of sending and remembered, fading slowly.
USUAL_S = 0.5
FADING = 0.999


class StreamHealth:
    """Knows how long a stream has been silent and what that means.

    Parameters
    ----------
    name : str
        The stream, for the messages.
    rate_hz : float
        Nominal rate.
    burst_s : float
        How long the samples last that are sent at once, if known.
    """

    def __init__(self, name: str, rate_hz: float, burst_s: float = 0.0) -> None:
        self.name = name
        self.state: SourceState = "waiting"
        self._periods_s = 3.0 / rate_hz
        self._burst_s = burst_s
        self._usual_s = burst_s
        self._since_s: float | None = None
        self._said_silent = False

    @property
    def stale_after_s(self) -> float:
        """How long a silence must last to be called stale: 3 sample periods and a burst."""
        return min(self._periods_s + self._usual_s, LOST_S)

    def open(self, now_s: float) -> None:
        """Say that the stream was opened, from when on its silence counts."""
        self._since_s = now_s

    def came(self, now_s: float, index: int) -> list[Event]:
        """Say that samples came; give the event if they had stayed away."""
        silent_s = now_s - self._since_s if self._since_s is not None else 0.0
        before, self.state = self.state, "flowing"
        self._since_s = now_s
        if before == "waiting":
            return []
        if silent_s < USUAL_S:
            self._usual_s = max(self._burst_s, silent_s, FADING * self._usual_s)
        if before == "flowing":
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

    def silence(self, now_s: float, index: int) -> list[Event]:
        """Say that nothing came; give an event if that changes the state."""
        if self._since_s is None:
            return []
        silent_s = now_s - self._since_s
        if self.state == "waiting":
            if silent_s < SILENT_S or self._said_silent:
                return []
            self._said_silent = True
            message = (
                f"the stream {self.name!r} is there but has sent nothing for {silent_s:.1f} s; "
                "look whether the device is connected and its program is streaming"
            )
            return [Event("silent", now_s, message, None, {"silent_s": silent_s})]
        if silent_s > LOST_S and self.state != "lost":
            self.state = "lost"
            return [self._event("lost", now_s, silent_s, index)]
        if silent_s > self.stale_after_s and self.state == "flowing":
            self.state = "stale"
            return [self._event("stale", now_s, silent_s, index)]
        return []

    def cut(self, now_s: float, index: int) -> list[Event]:
        """Say that the outlet is gone: no need to wait until it has been silent for long."""
        if self.state == "lost":
            return []
        self.state = "lost"
        silent_s = now_s - self._since_s if self._since_s is not None else 0.0
        message = f"the outlet of {self.name!r} is gone; it is looked for, and samples go on when it is back"
        return [Event("lost", now_s, message, index, {"silent_s": silent_s, "outlet_gone": True})]

    def _event(self, kind: str, now_s: float, silent_s: float, index: int) -> Event:
        message = f"no samples of {self.name!r} for {silent_s:.3f} s"
        return Event(kind, now_s, message, index, {"silent_s": silent_s})
