"""The guard: the only caller of a stimulator's driver, which may end a stimulus at any time.

In: what the schedule asks (arm and fire, or schedule for both), where the operator says the probe is (place), what
anybody may ask (lower, end, abort), and the driver's readings.
Out: readings, events, and the thermal dose of each site. ``step`` is called every few ms; nothing waits.

What it promises, with the device as ``capabilities`` describes it:

- No temperature above the cap is commanded. A stimulus that could pass a limit by its plan is refused before it
  starts; one that would pass it by what is measured is ended in time. The skin is charged with the hotter of what is
  measured and what should be, ramps and the return included.
- A stimulus ends when readings are older than ``stale_s``, when the probe is away from its course by more than
  ``deviation_c`` for ``deviation_s`` (lag allowed for; at once if it is twice as far and hotter), when it reads above
  the cap, when the link fails, and when the guard itself was not called for ``GAP_S``. Baseline is commanded in the
  same step, again in each step until the reading is there.
- The skin stays within half a degree of the cap under each fault of ``drivers.simulated.FAULTS`` but one: a device
  that heats with full power and hears no abort. Nothing that the guard sends reaches it; its own cut-off ends it
  (``Capabilities.max_c``), and no thermode that was read about takes that as a setting. With the simulated one
  (50.5 °C, 70 °C/s) the skin comes from a plateau at a cap of 44, 46, 48, 49 or 50 °C to 46.4, 47.4, 48.6, 49.3 or
  50.1 °C. A lower cap does not lower that: such a device is left to whoever can reach the power switch.
- A computer that slept comes back to baseline: the clocks are compared in each step (``clock.ClockWatch``). The sleep
  is charged at what was commanded, as long as the device can have gone on; nothing is armed until ``reset``.
- A probe that obeys is at baseline 0.5 s after an abort. A broken one (stuck, full power) cools passively once its
  power is cut, within 1.5 s of the moment the fault is found. A device whose link is lost must end the stimulus
  itself (``Capabilities.on_silence``); nothing in this computer can.
- A stimulus is armed only at the site that was confirmed last (``place``), and charged there.
- After an abort nothing is armed until the schedule calls ``reset`` at baseline. No method raises a target.
- Nothing is armed or started, and what is on ends in order, while a condition of ``conditions`` does not hold: fresh
  EEG, a live recording, a person who watches. The engine's facts come with ``note_facts``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

from neurofb.clock import Clock, ClockWatch, readings_of
from neurofb.errors import SafetyStop, UnsafeHeat, WrongInput
from neurofb.events import Event
from neurofb.stimulation.conditions import Facts, Required, unmet
from neurofb.stimulation.driver import (
    Capabilities,
    Confirmed,
    Failed,
    News,
    Onset,
    Reading,
    State,
    StimulatorDriver,
    Stopped,
    Ticket,
)
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.event_buffer import EventBuffer
from neurofb.stimulation.heat_profile import LONGEST_PLATEAU_S, Course, HeatProfile
from neurofb.stimulation.probe_model import AT_BASELINE_C, FRESH_S, ProbeModel
from neurofb.stimulation.thermal_dose import DoseTracker, Outlook, SiteLedger

#: A guard that was not called for so long while heat was on does not know what happened meanwhile. Assumed: half the
#: age at which a reading ends a stimulus (``Envelope.stale_s``), and 250 of its steps.
GAP_S = 0.5
#: What the device tells comes so much later than it happened, besides ``Capabilities.onset_s``. Assumed: as old as a
#: fresh reading is at most.
PATIENCE_S = 0.1
#: After an abort the probe is to be at baseline within this; later is a fault of its own. Assumed, for a device that
#: cools by 40 °C/s or more: from 49 °C to 1 °C above 32 °C, and a second. Slower ones have the time that they need
#: (``Capabilities.longest_return_s``): the TCS II and the Pathway are driven at 8 to 10 °C/s too.
RETURN_S = 1.5
#: Zones of a probe that are too far apart for so long are a fault. Assumed: ten readings at the guard's 50 Hz; on a
#: steep ramp they differ for shorter.
SPREAD_S = 0.2
#: What a device says of itself when it gives no stimulus any more, whatever was commanded.
ENDS: tuple[State, ...] = ("fault", "aborted", "off")
#: A stimulus whose time has passed by more than this is not started any more. Assumed: the age at which a reading is
#: too old (``Envelope.stale_s``); what was true when it was asked for need not be true later.
LATE_S = 1.0


def check_lowering(by_c: float) -> None:
    """Refuse a number that does not lower a target."""
    if not (by_c > 0 and math.isfinite(by_c)):
        raise WrongInput(f"a target can be lowered by more than 0 °C; asked to lower it by {by_c!r} °C")


class Guard:
    """Wraps a driver so that nothing can pass the envelope.

    Parameters
    ----------
    driver : StimulatorDriver
        The device; nobody else may call it.
    envelope : Envelope
        The limits.
    clock : Clock
        The engine's, or one that agrees with it.
    ledger : SiteLedger, optional
        The dose of each site before.
    required : Required
        Which conditions must hold while there is heat; all of them if left out.

    Attributes
    ----------
    state : str
        One of ``STATES``.
    """

    def __init__(
        self,
        driver: StimulatorDriver,
        envelope: Envelope,
        clock: Clock,
        ledger: SiteLedger | None = None,
        required: Required | None = None,
    ) -> None:
        self._driver, self._envelope, self._clock = driver, envelope, clock
        self._required = Required() if required is None else required
        self._facts: Facts | None = None
        self._skin = DoseTracker(envelope, ledger if ledger is not None else SiteLedger())
        self._buffer = EventBuffer()
        self.state: State = "off"
        self._abilities: Capabilities | None = None
        self._probe = ProbeModel(envelope, 0.0, 32.0, clock.now_s())
        self._now_s = clock.now_s()
        self._clock_watch = ClockWatch(readings_of(clock))
        self._baseline_c = 32.0
        self._armed: tuple[Ticket, Ticket] | None = None
        self._due_s: float | None = None
        self._course: Course | None = None
        #: The same, as late as the device may begin; None where its onset is known.
        self._latest: Course | None = None
        self._fired_s = 0.0
        self._is_confirmed = True
        self._return_s = RETURN_S
        self._device: Reading | None = None
        self._spread_since_s: float | None = None
        self._lowered_c = 0.0
        self._n_tickets = 0
        self._return_since_s: float | None = None
        self._latched = self._acknowledged = self._overdue = False
        self._why = self._lost = ""

    # What the schedule asks.

    def connect(self) -> Capabilities:
        """Open the device at baseline.

        Raises
        ------
        UnsafeHeat
            If the device could not keep the envelope.
        """
        self._driver.connect(self._envelope.cap_c)
        abilities = self._driver.capabilities()
        if found := abilities.unfit():
            raise UnsafeHeat(f"{abilities.name} cannot be used: " + "; ".join(found))
        self._abilities = abilities
        self._skin.abort_c_per_s = abilities.abort_c_per_s
        self._now_s = self._clock.now_s()
        self._probe = ProbeModel(
            self._envelope, abilities.lag_s, self._baseline_c, self._now_s, abilities.period_s
        )
        self.state = "baseline"
        if abilities.firmware:
            words = "; ".join([f"{abilities.name}, firmware {abilities.firmware}", *abilities.warnings])
            self._log("heat_device", words, firmware=abilities.firmware, probe=abilities.serial)
        return abilities

    def prepare(self) -> list[str]:
        """Let the device test itself, with the probe off the skin; return what is wrong.

        Raises
        ------
        UnsafeHeat
            If the probe was confirmed at a place on the skin already.
        """
        if self._skin.site:
            raise UnsafeHeat(
                f"the probe is at {self._skin.site!r}; the device tests itself before it is on the skin"
            )
        found = list(self._driver.prepare())
        self._driver.abort()
        return found

    def self_test(self) -> list[str]:
        """Return what is wrong with the device and its readings; nothing: an empty list."""
        found = list(self._driver.self_test())
        self.step()
        if not self._probe.measured_c <= self._envelope.baseline_high_c + AT_BASELINE_C:
            found.append(f"the probe reads {self._probe.measured_c:.1f} °C at rest; it should be at baseline")
        self._driver.abort()
        return found

    def place(self, site: str, by: str = "") -> None:
        """Note that somebody confirms that the probe is at a site: heat is armed there only, and charged there.

        Raises
        ------
        UnsafeHeat
            If a stimulus is armed or on, or the probe is on its way back: nobody moves it then.
        """
        if not site.strip():
            raise UnsafeHeat("the probe is at a place on the skin, such as 'left forearm'; found none")
        if self.is_hot:
            raise UnsafeHeat(
                f"the probe cannot be at {site!r} now: heat is armed or on at {self._skin.site!r}; wait for its end"
            )
        before, self._skin.site = self._skin.site, site
        self._log("probe_placed", f"the probe is at {site!r}, says {by or 'somebody'}", before=before, by=by)

    def arm(self, profile: HeatProfile, site: str) -> Ticket:
        """Prepare a stimulus; return the right to fire it once.

        Raises
        ------
        UnsafeHeat
            With every reason, if the envelope, the device or an abort before forbids it.
        """
        profile = profile.lowered(self._lowered_c) if self._lowered_c else profile
        found = self._cannot_arm(profile, site)
        if not found:
            profile = self._givable(profile)
        if found := [*found, *self._skin.problems(profile, site)]:
            self._refuse(f"the stimulus at {site!r} is refused: " + "; ".join(found))
        self._baseline_c = profile.baseline_c
        self._call("arm", lambda: self._keep_ticket(self._driver.arm(profile), profile, site))
        if self._armed is None:
            raise SafetyStop("the stimulus could not be armed; the device was sent to baseline")
        self.state = "armed"
        self._log("heat_armed", f"{profile.target_c:g} °C for {profile.plateau_s:g} s armed", self._armed[0])
        return self._armed[0]

    def fire(self, ticket: Ticket, at_s: float) -> None:
        """Start an armed stimulus at ``at_s`` on the clock; it is checked once more then.

        Raises
        ------
        UnsafeHeat
            If the ticket is not the one that is armed, or was used.
        """
        if self._armed is None or ticket.number != self._armed[0].number or self._due_s is not None:
            self._refuse(f"ticket {ticket.number} is not armed, or was used: a ticket is good for once")
        if not math.isfinite(at_s):
            self._refuse(f"a stimulus starts at a time; found {at_s!r}")
        if found := self._skin.problems(self._armed[0].profile, self._armed[0].site, at_s):
            self._refuse("the stimulus cannot start then: " + "; ".join(found))
        self._due_s = at_s

    def schedule(self, profile: HeatProfile, site: str, at_s: float, answer_by_s: float = math.inf) -> None:
        """Arm a stimulus and give it its time; what may not start then does not stay armed.

        Parameters
        ----------
        profile : HeatProfile
        site : str
        at_s : float
            When it starts, in s on the clock.
        answer_by_s : float
            Whoever asked does not wait for longer: a request that is read later is refused.

        Raises
        ------
        UnsafeHeat
            With every reason.
        """
        late_s = self._clock.now_s() - answer_by_s
        if late_s > 0:
            self._refuse(f"the stimulus at {site!r} is refused: it was read {late_s:.2f} s too late")
        ticket = self.arm(profile, site)
        try:
            self.fire(ticket, at_s)
        except UnsafeHeat:
            self.end("it was refused")
            raise

    def reset(self) -> None:
        """Allow stimuli again after an abort, at baseline; for the schedule only, never for what comes from outside.

        Raises
        ------
        SafetyStop
            If the probe is not at baseline.
        """
        if self.state == "off":
            raise SafetyStop("the stimulator is off; connect it first")
        if self._return_since_s is not None:
            reads_c = self._probe.measured_c
            raise SafetyStop(f"the probe reads {reads_c:.1f} °C: heat goes on only from baseline")
        if self._latched:
            self._latched, self.state = False, "baseline"

    # What the engine tells.

    def note_facts(self, facts: Facts) -> None:
        """Note which conditions of heat hold; facts that are not renewed become too old."""
        self._facts = facts

    # What anybody may ask: it can only lower.

    def lower(self, by_c: float) -> None:
        """Lower the target of the stimulus that is on or armed, and of all later ones, by ``by_c`` °C.

        Raises
        ------
        WrongInput
            If ``by_c`` is not above 0.
        """
        check_lowering(by_c)
        self._lowered_c += by_c
        self._log("heat_lowered", f"this and all later stimuli are {by_c:g} °C lower", by_c=by_c)
        if self._course is not None and self._return_since_s is None:
            self._lower_running(self._course.target_c - by_c)
        elif self._armed is not None:
            ticket = self._armed[0]
            lower = self._givable(ticket.profile.lowered(by_c))
            self._call(
                "arm", lambda: self._keep_ticket(self._driver.arm(lower), lower, ticket.site, ticket.number)
            )

    def end(self, why: str) -> None:
        """End the stimulus that is on or armed, in order: back to baseline at once, and the next may follow."""
        if self._armed is not None or self._course is not None:
            self._start_return(why, latch=False)

    def abort(self, why: str) -> None:
        """Go to baseline at once, and allow nothing more until ``reset``."""
        self._start_return(why, latch=True)
        self._log("heat_aborted", f"aborted: {why}", why=why)

    # What goes on by itself.

    def step(self) -> None:
        """Read, add up the dose, check; fire what is due, end what must end. To be called every few ms."""
        if self.state == "off":
            return
        now_s = self._clock.now_s()
        dt_s, self._now_s = max(0.0, now_s - self._now_s), now_s
        unseen_c = self._unseen_c(dt_s)
        self._read(now_s)
        self._hear(now_s)
        self._update_model(dt_s)
        self._skin.charge(dt_s, max(unseen_c, self._probe.worst_c))
        self._check_clocks()
        if self._return_since_s is not None:
            self._continue_return(now_s)
        elif cause := self._cause(dt_s, now_s):
            self._fault(cause)
        elif self._course is not None and (found := self._unmet(now_s)):
            why = "; ".join(found)
            self._log("heat_unwatched", f"the stimulus ends: {why}", missing=found)
            self.end(why)
        elif self._course is not None:
            self._continue_stimulus(now_s)
        elif self._armed is not None and self._due_s is not None and now_s >= self._start_s:
            self._start(now_s, self._due_s, *self._armed)
        self._log_reading(now_s)

    @property
    def due_s(self) -> float:
        """When the next stimulus is to start, so that whoever steps the guard can be there; infinite if none is."""
        return math.inf if self._due_s is None else self._due_s

    @property
    def is_hot(self) -> bool:
        """Whether a stimulus is armed or on, or the probe is on its way back."""
        return self._armed is not None or self._course is not None or self._return_since_s is not None

    def readings(self) -> list[Reading]:
        """Return the readings since the last call, 50 a second."""
        return self._buffer.pop_readings()

    def pop_events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._buffer.pop_events()

    def used(self) -> dict[str, float]:
        """Return the dose of each site, as a fraction of the contact-burn limit."""
        return self._skin.as_dict()

    def outlook(self) -> Outlook | None:
        """Return the heat that may still come if this guard ends now; None at baseline."""
        site, worst_c = self._skin.site, self._probe.worst_c
        if self._armed is not None:
            profile = self._armed[0].profile
            return Outlook(site, profile.target_c, profile.duration_s)
        if self._return_since_s is not None and self._acknowledged and not self._overdue:
            return Outlook(site, worst_c, self._return_s, is_returning=True)
        if self._course is not None:
            began_s = self._fired_s + (0.0 if self._latest is None else self._onset_s)
            left_s = max(0.0, self._course.profile.duration_s - (self._now_s - began_s))
            if self._course.phase in ("returning", "ended"):
                return Outlook(site, worst_c, left_s + RETURN_S, is_returning=True)
            if self._overdue and self._abilities is not None and self._abilities.on_silence == "finishes":
                left_s = LONGEST_PLATEAU_S  # it does not do as it is told: who knows when it finishes
            return Outlook(site, max(worst_c, self._course.target_c, self._course.commanded_c), left_s)
        return None if self._return_since_s is None else Outlook(site, worst_c, 0.0)

    @property
    def link_s(self) -> float:
        """How long heat can outlast its plan when this computer is silent, s."""
        return math.inf if self._abilities is None else self._abilities.outlasts_s

    def close(self) -> None:
        """Let the device go, at baseline."""
        if self.state != "off":
            self._armed = self._course = self._latest = self._due_s = None
            self.state = "off"
            self._driver.close()

    # How.

    def _cannot_arm(self, profile: HeatProfile, site: str) -> list[str]:
        if self._abilities is None or self.state == "off":
            return ["the stimulator is not connected"]
        found = [] if site.strip() else ["a stimulus needs a place on the skin, such as 'left forearm'"]
        if self._latched:
            found.append("heat was aborted; the schedule must reset it at baseline first")
        elif self._course is not None or self._return_since_s is not None:
            found.append("another stimulus is on; one ends before the next is armed")
        if site.strip() and site != self._skin.site:
            where = (
                f"was confirmed at {self._skin.site!r}" if self._skin.site else "was confirmed nowhere yet"
            )
            found.append(f"the probe {where}; the operator confirms {site!r} first")
        found += self._unmet(self._clock.now_s())
        if self._device is not None and self._device.state in ("fault", "off"):
            found.append(f"the device says of itself: {self._device.state!r}")
        return found + self._abilities.cannot(profile)

    def _givable(self, profile: HeatProfile) -> HeatProfile:
        """Return a stimulus in the device's own steps, rounded down."""
        if self._abilities is None:
            return profile
        given = self._abilities.rounded(profile)
        if given != profile and (found := self._abilities.cannot(given)):
            self._refuse("in the device's own steps the stimulus is refused: " + "; ".join(found))
        return given

    @property
    def _onset_s(self) -> float:
        return 0.0 if self._abilities is None else self._abilities.onset_s

    @property
    def _start_s(self) -> float:
        """When what is armed is started or refused: at its time, or when its settings are confirmed too late."""
        return self.due_s if self._is_confirmed else self.due_s + self._confirm_s

    @property
    def _confirm_s(self) -> float:
        return 0.0 if self._abilities is None else self._abilities.confirm_s

    def _unmet(self, now_s: float) -> list[str]:
        return unmet(self._required, self._facts, now_s)

    def _refuse(self, text: str) -> NoReturn:
        self._log("heat_refused", text)
        raise UnsafeHeat(text)

    def _keep_ticket(
        self, driver_ticket: Ticket, profile: HeatProfile, site: str, number: int | None = None
    ) -> None:
        given = driver_ticket.profile
        if given.target_c > profile.target_c or given.rise_s + given.plateau_s > (
            profile.rise_s + profile.plateau_s + 1e-6
        ):
            raise UnsafeHeat(
                f"the device would give {given.target_c:g} °C for {given.plateau_s:g} s where {profile.target_c:g} °C "
                f"for {profile.plateau_s:g} s were asked"
            )
        if number is None:
            self._n_tickets += 1
            number, self._due_s = self._n_tickets, None
        self._is_confirmed = not self._confirm_s
        self._armed = Ticket(number, profile, site), driver_ticket

    def _call(self, what: str, action: Callable[[], object]) -> bool:
        """Call the driver; whatever it raises is a fault, and a fault ends all heat."""
        try:
            action()
        except Exception as error:  # a driver may raise anything, and none of it may leave heat on
            self._fault(f"{what} failed: {error}")
            return False
        return True

    def _read(self, now_s: float) -> None:
        try:
            self._device = reading = self._driver.read()
            if (
                reading.zones_c
            ):  # the hottest counts, whatever the driver makes of them; a broken one is no reading
                is_whole = all(math.isfinite(each) for each in (*reading.zones_c, reading.measured_c))
                hottest_c = max(*reading.zones_c, reading.measured_c) if is_whole else math.nan
                reading = reading._replace(measured_c=hottest_c)
            self._probe.add_reading(reading, now_s)
            self._lost = ""
        except Exception as error:  # as above
            self._probe.add_reading(None, now_s)
            self._lost = f"no reading: {error}"

    def _hear(self, now_s: float) -> None:
        """Obey what the device tells by itself."""
        try:
            news = self._driver.pop_news()
        except Exception as error:  # as above
            self._lost = self._lost or f"no word from the device: {error}"
            return
        for each in news:
            self._obey(each, now_s)

    def _obey(self, news: News, now_s: float) -> None:
        match news:
            case Onset() if self._latest is not None and self._course is not None:
                self._fired_s = min(now_s, max(self._fired_s, news.time_s))
                goal_c, self._latest = self._course.target_c, None
                self._course = Course(self._course.profile)
                self._course.lower_to(goal_c)
                self._probe.know_onset()
                what = f"the device began at {self._fired_s:.3f} s, known from {news.source}"
                self._log("heat_onset", what, onset_s=self._fired_s, source=news.source)
            case Confirmed() if self._armed is not None and news.ticket == self._armed[1].number:
                self._is_confirmed = True
            case Stopped(by="participant") if self._course is not None and self._return_since_s is None:
                what = "the participant pressed the device's own button"
                self._log("heat_stopped", what, by=news.by, pressed_s=news.time_s)
                self.end("the device's own button")
            case Failed():
                self._fault(f"the device reports: {news.what}")
            case Stopped(by="emergency"):
                what = "somebody pressed the device's emergency button"
                self._log("heat_stopped", what, by=news.by, pressed_s=news.time_s)
                self.abort(what)

    def _update_model(self, dt_s: float) -> None:
        if self._return_since_s is not None:
            if self._acknowledged and self._abilities is not None:
                self._probe.cool(self._baseline_c, self._abilities.abort_c_per_s, dt_s)
            elif self._course is not None:  # who did not hear the abort may go on rising, and is no cooler
                planned_c = self._course.profile.temperature_c(self._now_s - self._fired_s)
                self._probe.follow(max(planned_c, self._probe.expected_c), dt_s)
        elif self._course is not None:
            self._probe.follow(self._course.advance_to(self._now_s - self._fired_s), dt_s)
            if self._latest is not None:
                late_c = self._latest.advance_to(self._now_s - self._fired_s - self._onset_s)
                self._probe.follow_latest(late_c, dt_s)
        else:
            self._probe.follow(self._baseline_c, dt_s)

    def _cause(self, dt_s: float, now_s: float) -> str:
        if self._lost:
            return self._lost
        if self._course is not None and dt_s > GAP_S:
            return f"the guard was not called for {dt_s:.2f} s; {GAP_S:g} s at most are allowed"
        on = self._course is not None
        if found := self._says_of_itself(now_s) or self._spread(now_s):
            return found
        if self._latest is not None and now_s - self._fired_s > self._onset_s + PATIENCE_S:
            return f"the device did not begin within {self._onset_s:g} s"
        too_much = self._skin.too_much(self._probe.worst_c, self._baseline_c) if on else ""
        return self._probe.cause(on, now_s) or too_much

    def _says_of_itself(self, now_s: float) -> str:
        """Return the end that the device reports of a stimulus that is on; "" if it goes on."""
        device = self._device
        if self._course is None or device is None or device.state not in ENDS:
            return ""
        is_new = self._fired_s < device.time_s <= now_s + FRESH_S
        return f"the device says of itself: {device.state!r}" if is_new else ""

    def _spread(self, now_s: float) -> str:
        """Return that the probe's zones are too far apart, if they are for long; "" if not."""
        zones_c = () if self._device is None else self._device.zones_c
        most_c = math.inf if self._abilities is None else self._abilities.spread_c
        if not zones_c or not max(zones_c) - min(zones_c) > most_c:
            self._spread_since_s = None
            return ""
        if self._spread_since_s is None:
            self._spread_since_s = now_s
        if now_s - self._spread_since_s < SPREAD_S:
            return ""
        apart_c = max(zones_c) - min(zones_c)
        return f"the zones of the probe are {apart_c:.1f} °C apart; {most_c:g} °C at most are allowed"

    def _start(self, now_s: float, due_s: float, ticket: Ticket, driver_ticket: Ticket) -> None:
        self._armed = self._due_s = None
        if found := self._cannot_start(now_s, due_s, ticket):
            self.state = "baseline"
            self._log("heat_refused", "not started: " + "; ".join(found), ticket)
            self._call("abort", self._driver.abort)
        elif self._call("fire", lambda: self._driver.fire(driver_ticket)):
            self._course, self._fired_s, self._skin.contact = Course(ticket.profile), now_s, 0.0
            self._latest = Course(ticket.profile) if self._onset_s else None
            self._probe.restart()
            self.state = "rising"
            what = f"{ticket.profile.target_c:g} °C at {ticket.site!r}"
            self._log("heat_fired", what, ticket, scheduled_s=due_s, fired_s=now_s)

    def _cannot_start(self, now_s: float, due_s: float, ticket: Ticket) -> list[str]:
        found = self._skin.problems(ticket.profile, ticket.site, now_s) + self._unmet(now_s)
        if now_s - due_s > LATE_S:
            found.append(f"its time was {now_s - due_s:.2f} s ago; {LATE_S:g} s late is too late")
        if not self._is_confirmed:
            found.append(f"the device has not confirmed its settings within {self._confirm_s:g} s")
        if self._device is not None and self._device.state in ("fault", "off"):
            found.append(f"the device says of itself: {self._device.state!r}")
        return found + self._probe.not_at_rest(ticket.profile.baseline_c, now_s)

    def _continue_stimulus(self, now_s: float) -> None:
        assert self._course is not None
        phase = self._course.phase
        if phase == "plateau" and self.state == "rising":
            self.state = "plateau"
            self._log("heat_plateau", f"plateau at {self._course.target_c:g} °C")
        elif phase in ("returning", "ended") and self.state != "returning":
            self.state = "returning"
            self._log("heat_returning", "back to baseline")
        if phase == "ended" and self._probe.is_at(self._baseline_c, now_s - self._probe.fresh_s):
            self._course = self._latest = None
            self._ended(now_s, "")

    def _lower_running(self, target_c: float) -> None:
        assert self._course is not None
        self._course.lower_to(target_c)
        if self._latest is not None:
            self._latest.lower_to(target_c)
        goal_c = self._course.target_c
        if self._abilities is not None and self._abilities.lowers:
            self._call("lower", lambda: self._driver.lower(goal_c))
        else:
            self.end("the device cannot lower a stimulus that is on")

    def _unseen_c(self, dt_s: float) -> float:
        """Return the hottest that a stimulus may have been since a step that was long ago, before anything is read.

        It may have risen to its target and returned meanwhile: neither end of that time shows it.
        """
        outlook = self.outlook() if self._course is not None and dt_s > FRESH_S else None
        return -math.inf if outlook is None else outlook.target_c

    def _check_clocks(self) -> None:
        """After a sleep of the computer charge it, as long as the device can have gone on, and go to baseline."""
        slept_s = self._clock_watch.check().slept_s
        if not slept_s:
            return
        outlook, hottest_c, charged_s = self.outlook(), self._probe.worst_c, slept_s
        if outlook is not None:
            hottest_c = max(hottest_c, outlook.target_c)
            charged_s = min(slept_s, outlook.longest_s(self.link_s, slept_s))
        self._skin.charge(charged_s, hottest_c)
        self._fault(
            f"the computer slept for {slept_s:.1f} s; the skin is charged with {charged_s:.1f} s of heat"
        )

    def _fault(self, cause: str) -> None:
        self._log("heat_fault", f"fault: {cause}", cause=cause)
        self.abort(cause)

    def _start_return(self, why: str, *, latch: bool) -> None:
        """Command baseline now, and in every step until the probe is there."""
        self._latched = self._latched or latch
        if self.state == "off":
            return
        if self._return_since_s is None:
            self._return_since_s, self._acknowledged, self._overdue = self._clock.now_s(), False, False
            if self._abilities is not None:
                needs_s = self._abilities.longest_return_s(self._probe.worst_c, self._baseline_c)
                self._return_s = max(RETURN_S, needs_s)
            self._why = why
        self._armed = self._due_s = None
        self.state = "aborted" if self._latched else "returning"
        self._command_baseline()

    def _command_baseline(self) -> None:
        try:
            self._driver.abort()
            self._acknowledged = True
        except (
            Exception
        ) as error:  # the next step tries again; what is wrong is said once, in _continue_return
            self._lost = f"abort failed: {error}"

    def _continue_return(self, now_s: float) -> None:
        assert self._return_since_s is not None
        self._command_baseline()
        if (
            not self._lost
            and self._acknowledged
            and self._probe.is_at(self._baseline_c, self._return_since_s)
        ):
            was_on = self._course is not None
            self._course = self._latest = None
            self._return_since_s = None
            if was_on:
                self._ended(now_s, self._why)
            self.state = "aborted" if self._latched else "baseline"
        elif now_s - self._return_since_s > self._return_s and not self._overdue:
            self._overdue = self._latched = True
            self.state = "fault"
            cause = (
                self._lost
                or f"it reads {self._probe.measured_c:.1f} °C {self._return_s:.1f} s after an abort"
            )
            self._log("heat_fault", f"not at baseline: {cause}; take the probe off the skin", cause=cause)

    def _ended(self, now_s: float, why: str) -> None:
        self._skin.end(now_s)
        self.state = "baseline"
        what = f"ended early: {why}" if why else "at baseline"
        used = self._skin.used(self._skin.site)
        self._log("heat_ended", what, early=bool(why), dose=self._skin.contact, used=used)

    def _log_reading(self, now_s: float) -> None:
        on = self._course is not None and self._return_since_s is None
        target_c = self._course.commanded_c if on and self._course is not None else self._baseline_c
        self._buffer.log_reading(Reading(now_s, target_c, self._probe.measured_c, self.state))

    def _log(self, kind: str, message: str, ticket: Ticket | None = None, **details: Any) -> None:
        self._buffer.log_event(kind, self._clock.now_s(), message, self._skin.site, ticket, **details)
