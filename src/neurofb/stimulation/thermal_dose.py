"""The thermal dose of the skin, and the events and readings of a guard until somebody reads them.

In: temperatures with every tick, events, readings. Out: what forbids a stimulus or must end it. Kept: the dose of each
site (``DoseTracker``), events and readings (``EventBuffer``).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from neurofb.events import Event
from neurofb.stimulation.driver import Reading, Ticket
from neurofb.stimulation.envelope import Envelope, SiteLedger
from neurofb.stimulation.heat_profile import HeatProfile, abort_dose

#: From one reading that is kept to the next: 50 Hz. Assumed: a ramp of 8 °C/s moves by 0.16 °C between two of them.
READING_S = 0.02
#: A minute of readings, if nobody reads them. Assumed; dropped readings are no loss for the guard, which has its own.
_MOST_READINGS = 3000


class DoseTracker:
    """Adds up the dose of the site under the probe, and keeps when each site was last at baseline.

    Attributes
    ----------
    site : str
        The place under the probe; "" before the first stimulus is armed.
    contact : float
        The dose of the present stimulus, as a fraction of the contact-burn limit.
    """

    def __init__(self, envelope: Envelope, ledger: SiteLedger) -> None:
        self._envelope, self._ledger = envelope, ledger
        self.site = ""
        self.contact = 0.0
        self._ended_s: dict[str, float] = {}
        self._was_c = 0.0

    def charge(self, dt_s: float, worst_c: float) -> None:
        """Add ``dt_s`` seconds at the hotter of now and the tick before."""
        if self.site:
            self.contact += self._ledger.add(self.site, dt_s, max(worst_c, self._was_c))
        self._was_c = worst_c

    def problems(self, profile: HeatProfile, site: str, at_s: float = math.inf) -> list[str]:
        """Return what forbids a stimulus that starts at ``at_s``."""
        since_s = at_s - self._ended_s.get(site, -math.inf)
        return self._envelope.problems(profile, used=self.used(site), since_last_s=since_s)

    def too_much(self, worst_c: float, baseline_c: float) -> str:
        """Return which limit would be passed if the stimulus went on; "" if none."""
        leaving, limits = abort_dose(worst_c, baseline_c), self._envelope
        if self.contact + leaving > limits.single:
            return f"this contact reaches {limits.single:g} of the contact-burn line"
        if self.used(self.site) + leaving > limits.budget:
            return f"{self.site!r} reaches its budget of {limits.budget:g} of the contact-burn line"
        return ""

    def end(self, now_s: float) -> None:
        """Keep when the site under the probe was at baseline again."""
        self._ended_s[self.site] = now_s

    def used(self, site: str) -> float:
        """Return the dose of a site."""
        return self._ledger.used(site)

    def as_dict(self) -> dict[str, float]:
        """Return the dose of each site."""
        return self._ledger.as_dict()


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
