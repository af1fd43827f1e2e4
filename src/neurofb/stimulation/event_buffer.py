"""Events and readings of a guard, until somebody reads them.

In: events, and readings as often as the device gives them. Out: both, once. Kept: what was not read yet.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from neurofb.events import Event
from neurofb.stimulation.driver import Reading, Ticket

#: From one reading that is kept to the next: 50 Hz. Assumed: a ramp of 8 °C/s moves by 0.16 °C between two of them.
READING_S = 0.02
#: A minute of readings, if nobody reads them. Assumed; dropped readings are no loss for the guard, which has its own.
_MOST_READINGS = 3000


class EventBuffer:
    """Events, and readings at 50 Hz."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._readings: deque[Reading] = deque(maxlen=_MOST_READINGS)
        self._kept_s = -math.inf

    def log_event(
        self, kind: str, time_s: float, message: str, site: str, ticket: Ticket | None = None, **details: Any
    ) -> None:
        """Add an event; a ticket adds its stimulus to it."""
        if ticket is not None:
            profile = ticket.profile
            site = ticket.site
            details |= {"ticket": ticket.number, "target_c": profile.target_c, "plateau_s": profile.plateau_s}
        self._events.append(Event(kind, time_s, message, details=details | {"site": site}))

    def log_reading(self, reading: Reading) -> None:
        """Add a reading if the last one is old enough."""
        if reading.time_s - self._kept_s >= READING_S - 1e-6:
            self._readings.append(reading)
            self._kept_s = reading.time_s

    def pop_events(self) -> list[Event]:
        """Return the events since the last call."""
        found, self._events = self._events, []
        return found

    def pop_readings(self) -> list[Reading]:
        """Return the readings since the last call."""
        found = list(self._readings)
        self._readings.clear()
        return found
