"""Heat as the schedule asks for it: asked for a little ahead, armed and fired on time by the guard, never from outside.

In: profiles with their due times, the stimulator's answers, readings and events. Out: the last two in the session log.
Kept: what is asked for or armed, the newest reading, and the first fault. The engine's thread never waits here for
another process, but in ``close``: a request is sent, and what becomes of it comes with a later ``step``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurofb.clock import Clock
from neurofb.engine.heat_conditions import HeatConditions
from neurofb.engine.session_log import SessionLog
from neurofb.errors import SafetyStop, StimulatorMissing
from neurofb.events import Event
from neurofb.stimulation.client import Reply, StimulatorClient
from neurofb.stimulation.driver import Reading
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.probe_model import AT_BASELINE_C

#: A stimulus is asked for so long before its time, if there is that much. Assumed: a thousand times what arming takes.
LEAD_S = 1.0
#: A probe that is not at baseline by then after the end is in the record as it is. Assumed: twice ``guard.RETURN_S``;
#: a slow device has twice the time that it needs.
COOLING_S = 3.0


class StimulusController:
    """The stimulator of a session.

    Parameters
    ----------
    client : StimulatorClient
    log : SessionLog
    clock : Clock
    conditions : HeatConditions
        What the guard is told with each heartbeat.
    on_reading : callable, optional
        Called with each reading: a simulated head feels it.
    return_s : float
        How long the device takes to baseline at most.

    Attributes
    ----------
    site : str or None
        Where somebody has confirmed the probe to be; None before that.
    last : Reading or None
        The newest.
    fault : str
        Why the session must end; "" if it need not.
    is_given : bool
        Whether the stimulus that was asked for last has begun.
    """

    def __init__(
        self,
        client: StimulatorClient,
        log: SessionLog,
        clock: Clock,
        conditions: HeatConditions,
        on_reading: Callable[[Reading], None] | None = None,
        return_s: float = 0.0,
    ) -> None:
        self._conditions = conditions
        self._cooling_s = max(COOLING_S, 2.0 * return_s)
        self._client, self._log, self._clock, self._on_reading = client, log, clock, on_reading
        self.site: str | None = None
        self.last: Reading | None = None
        self.fault = ""
        self.highest_c = float("-inf")
        self.is_given = False
        self._events: list[Event] = []
        #: Numbers of the requests that are not answered yet, with their sites: a stimulus, a place of the probe.
        self._asked: tuple[int, str] | None = None
        self._placing: tuple[int, str] | None = None
        self._is_armed = self._is_aborting = self._is_closed = self._is_lost = self._is_let_go = False
        self._refusal = ""

    # -- where the probe is ------------------------------------------------------------------------------------

    def place(self, site: str, by: str) -> None:
        """Pass on that the probe is at a site; ``site`` says so once the guard has taken it."""
        self._placing = self._client.place(site, by), site
        self._read_answers()

    @property
    def is_placing(self) -> bool:
        """Whether the guard has not answered yet where the probe is."""
        return self._placing is not None

    # -- the next stimulus -------------------------------------------------------------------------------------

    def schedule(self, profile: HeatProfile, site: str, at_s: float) -> None:
        """Ask for a stimulus at ``at_s``; a later step knows whether it is armed or refused."""
        self.is_given = False
        self._refusal = ""
        self._asked = self._client.schedule(profile, site, at_s), site
        self._read_answers()

    @property
    def is_unanswered(self) -> bool:
        """Whether the guard has not answered yet."""
        return self._asked is not None

    def unmet(self, now_s: float) -> list[str]:
        """Return which conditions of heat do not hold, in words: nothing is asked for then."""
        return self._conditions.unmet(now_s)

    @property
    def is_hot(self) -> bool:
        """Whether a stimulus was on when the newest reading was taken."""
        return self.last is not None and self.last.state in ("rising", "plateau", "returning")

    @property
    def is_armed(self) -> bool:
        """Whether the next stimulus is armed and has its time."""
        return self._is_armed

    def pop_refusal(self) -> str:
        """Return why the stimulus that was asked for last is refused; "" if it is not, or on the second call."""
        refusal, self._refusal = self._refusal, ""
        return refusal

    def forget(self) -> None:
        """Forget what is asked for or armed: its time has come, or it is to come no more."""
        self._asked, self._is_armed, self._refusal = None, False, ""

    def _read_answers(self) -> None:
        for answer in self._client.pop_replies():
            self._read_place(answer)
            asked = self._asked  # once: an abort in another thread forgets it
            if asked is None or answer.number != asked[0]:
                continue
            self._asked, self._refusal = None, answer.refusal
            if not answer.refusal:
                self._is_armed, self.highest_c = True, float("-inf")

    def _read_place(self, answer: Reply) -> None:
        """Read the guard's answer to a place; a refusal is logged."""
        if self._placing is None or answer.number != self._placing[0]:
            return
        site, self._placing = self._placing[1], None
        if answer.refusal:
            self._log.log("refused", f"not done: {answer.refusal}", time_s=self._clock.now_s(), site=site)
        else:
            self.site = site

    # -- what goes on ------------------------------------------------------------------------------------------

    @property
    def used(self) -> dict[str, float]:
        """The dose of each site, as a fraction of the contact-burn limit."""
        return self._client.used()

    @property
    def is_accounted(self) -> bool:
        """Whether ``used`` is the guard's last word: it let the device go in order, and no fault came before."""
        return self._is_let_go and not self._is_lost and not self.fault

    def step(self) -> None:
        """Send a heartbeat to the guard; read its answers, readings and events.

        Raises
        ------
        SafetyStop
            If the guard cannot be relied on any more; an event says so first.
        """
        try:
            self._client.beat(self._conditions.facts(self._clock.now_s()))
        except (SafetyStop, StimulatorMissing) as error:
            self._read()
            if not self._is_lost:
                self._is_lost = True
                self._log_lost(str(error))
            raise
        self._read()

    def _log_lost(self, message: str) -> None:
        details: dict[str, Any] = {"cause": message, "site": self.site or ""}
        asked = self._asked
        if asked is not None:
            message = f"{message}. The stimulus at {asked[1]!r} is not given"
        self._log.log("heat_fault", message, time_s=self._clock.now_s(), **details)

    def _read(self) -> None:
        self._read_answers()
        readings = self._client.readings()
        if readings:
            self.last = readings[-1]
            self.highest_c = max(self.highest_c, *(each.measured_c for each in readings))
            self._log.write_readings(readings, self.site)
            if self._on_reading is not None:
                for each in readings:
                    self._on_reading(each)
        for event in self._client.pop_events():
            self._log.log_event(event)
            self._events.append(event)
            self.is_given = self.is_given or event.kind == "heat_fired"
            # An abort that nobody here asked for: the watchdog did not trust this program, or the device.
            unasked = event.kind == "heat_aborted" and not self._is_aborting
            if (event.kind == "heat_fault" or unasked) and not self.fault:
                self.fault = event.message

    def pop_events(self) -> list[Event]:
        """Return the stimulator's events since the last call."""
        events, self._events = self._events, []
        return events

    # -- less of it --------------------------------------------------------------------------------------------

    def lower(self, by_c: float) -> None:
        """Lower this stimulus and all later ones."""
        self._client.lower(by_c)

    def end(self, why: str) -> None:
        """End a stimulus in order; nothing happens if there is none."""
        self.forget()
        self._client.end(why)

    def abort(self, why: str) -> None:
        """End everything at once, from any thread; whatever goes wrong with it is a fault, not an error."""
        self._is_aborting = True
        self.forget()
        if self._is_closed:
            return
        try:
            self._client.abort(why)
        except (SafetyStop, StimulatorMissing) as error:
            self.fault = self.fault or str(error)

    def close(self) -> None:
        """Wait until the probe is at baseline, record that, and let the device go, whatever fails before."""
        try:
            self._try(self._cool)
        finally:  # also where the recording takes no readings any more
            self._try(self._let_go)

    def _try(self, close: Callable[[], None]) -> None:
        try:
            close()
        except (SafetyStop, StimulatorMissing) as error:
            self.fault = self.fault or str(error)

    def _cool(self) -> None:
        asked_s = self._clock.now_s()
        while self._clock.now_s() < asked_s + self._cooling_s:
            self.step()
            if self.last is not None and self.last.time_s > asked_s and _is_cool(self.last):
                break
            self._clock.wait_until(self._clock.now_s() + 0.01)

    def _let_go(self) -> None:
        self._is_closed = True  # a stop that comes from now on has nothing left to end
        self._client.close()
        self._read()  # what was sent last
        self._is_let_go = True


def _is_cool(reading: Reading) -> bool:
    """Return whether the probe is at the commanded temperature, and that is no stimulus."""
    return (
        reading.state in ("baseline", "aborted", "off")
        and reading.measured_c <= reading.target_c + AT_BASELINE_C
    )
