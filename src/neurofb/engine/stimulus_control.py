"""Heat as the schedule asks for it: armed a little ahead, fired on time by the watchdog, never from outside.

In: profiles with their due times, the stimulator's readings and events. Out: both in the journal. Kept: what is armed,
the newest reading, and the first fault that was told.
"""

from __future__ import annotations

from collections.abc import Callable

from neurofb.clock import Clock
from neurofb.engine.session_log import SessionLog
from neurofb.errors import SafetyStop, StimulatorMissing, UnsafeHeat
from neurofb.events import Event
from neurofb.stimulation.client import StimulatorClient
from neurofb.stimulation.driver import Reading, Ticket
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.probe_model import AT_BASELINE_C

#: A stimulus is armed so long before its time, if there is that much.
LEAD_S = 1.0
#: A probe that is not at baseline by then after the end is in the record as it is.
COOLING_S = 3.0


class StimulusController:
    """The stimulator of a session.

    Parameters
    ----------
    heater : StimulatorClient
    journal : SessionLog
    clock : Clock
    on_reading : callable, optional
        Called with each reading: a simulated head feels it.
    """

    def __init__(
        self,
        heater: StimulatorClient,
        journal: SessionLog,
        clock: Clock,
        on_reading: Callable[[Reading], None] | None = None,
    ) -> None:
        self._clock = clock
        self.heater, self._journal, self.on_reading = heater, journal, on_reading
        self.site: str | None = None
        self.last: Reading | None = None
        self.fault = ""
        self.highest_c = float("-inf")
        self.events: list[Event] = []
        self._ticket: Ticket | None = None
        #: Whether the stimulus that was prepared last has begun.
        self.is_given = False
        self._is_aborting = self._is_closed = False

    @property
    def is_armed(self) -> bool:
        """Whether the next stimulus is armed and has its time."""
        return self._ticket is not None

    def prepare(self, profile: HeatProfile, site: str, at_s: float) -> bool:
        """Arm a stimulus and give it its time; False if it is refused, which the record then says."""
        self.is_given = False
        try:
            ticket = self.heater.arm(profile, site)
            self.heater.fire(ticket, at_s)
        except UnsafeHeat:
            return False  # the guard has said why, in an event
        self._ticket, self.site, self.highest_c = ticket, site, float("-inf")
        return True

    def fired(self) -> None:
        """Forget the ticket: its time has come."""
        self._ticket = None

    @property
    def used(self) -> dict[str, float]:
        """What each place on the skin has had, as a share of the contact-burn line."""
        return self.heater.used()

    def step(self) -> None:
        """Let the guard know that the engine lives, and take what it says."""
        self.heater.beat()
        self._take_in()

    def _take_in(self) -> None:
        readings = self.heater.readings()
        if readings:
            self.last = readings[-1]
            self.highest_c = max(self.highest_c, *(each.measured_c for each in readings))
            self._journal.write_readings(readings, self.site)
            if self.on_reading is not None:
                for each in readings:
                    self.on_reading(each)
        for event in self.heater.pop_events():
            self._journal.log_event(event)
            self.events.append(event)
            self.is_given = self.is_given or event.kind == "heat_fired"
            # An abort that nobody here asked for: the watchdog did not trust this program, or the device.
            unasked = event.kind == "heat_aborted" and not self._is_aborting
            if (event.kind == "heat_fault" or unasked) and not self.fault:
                self.fault = event.message

    def pop_events(self) -> list[Event]:
        """Return what the stimulator did since the last call."""
        events, self.events = self.events, []
        return events

    def end(self, why: str) -> None:
        """End a stimulus in order; nothing happens if there is none."""
        self._ticket = None
        self.heater.end(why)

    def abort(self, why: str) -> None:
        """End everything at once; whatever goes wrong with it is a fault, not an error."""
        self._is_aborting, self._ticket = True, None
        if self._is_closed:
            return
        try:
            self.heater.abort(why)
        except (SafetyStop, StimulatorMissing) as error:
            self.fault = self.fault or str(error)

    @staticmethod
    def _is_cool(reading: Reading) -> bool:
        """Return whether the probe is at the commanded temperature, and that is no stimulus."""
        return (
            reading.state in ("baseline", "aborted", "off")
            and reading.measured_c <= reading.target_c + AT_BASELINE_C
        )

    def lower(self, by_c: float) -> None:
        """Lower this stimulus and all later ones."""
        self.heater.lower(by_c)

    def close(self) -> None:
        """Stay until the probe is at baseline, record that, and let the device go."""
        try:
            until_s = self._clock.now_s() + COOLING_S
            asked_s = self._clock.now_s()
            while self._clock.now_s() < until_s:
                self.step()
                if self.last is not None and self.last.time_s > asked_s and self._is_cool(self.last):
                    break
                self._clock.wait_until(self._clock.now_s() + 0.01)
            self._is_closed = True  # a stop that comes from now on has nothing left to end
            self.heater.close()
            self._take_in()  # what it said last
        except (SafetyStop, StimulatorMissing) as error:
            self.fault = self.fault or str(error)
