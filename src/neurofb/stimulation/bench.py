"""The bench procedure of a thermode, on a dummy load: what is tried before it may touch a person.

In: a driver, the thermode's file, and somebody who stands beside it and answers. Out: checks, each with what was found.
Kept: nothing; ``recording.bench_record`` writes the result down.

It needs no session and no watchdog: nobody is under the probe. The guard is the one of a session all the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from neurofb.clock import Clock
from neurofb.errors import NeurofbError
from neurofb.events import Event
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.driver import Capabilities, Reading, StimulatorDriver
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.stimulation.thermode_file import ThermodeFile

#: What the dummy gets: as hot as a session's calibration usually ends. Assumed.
WARM = HeatProfile(44.0, 3.0)
#: A plateau that is off by more than this is not what was asked for. Assumed: as far as a reading may deviate.
PLATEAU_OFF_C = 1.0
#: So long the operator has to press the participant's button. Assumed.
PRESS_S = 10.0
#: A silent device is left alone for so long after its time. Assumed: twice the margin that the guard allows.
ALONE_S = 2.0
#: From one step to the next, as the watchdog's while there is heat. Assumed.
TURN_S = 0.002
DUMMY = "a dummy"

QUESTIONS = (
    (
        "the power switch",
        "Switch the thermode off at its power switch, and on again. Did it go dark at once?",
    ),
    (
        "the emergency button",
        "If the device has an emergency button: press it. Did the display say so? (yes also if it has none)",
    ),
    (
        "the cable",
        "Was the cable pulled once during a stimulus on the dummy, and was the probe back at baseline by itself?",
    ),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    passed: bool
    #: What was found, with numbers.
    found: str


def fingerprint(file: ThermodeFile) -> str:
    """Return a digest of what a file says of the device: a bench result holds for these facts only."""
    facts: dict[str, Any] = {
        "kind": file.kind,
        "zones": file.zones,
        "limits": file.limits.model_dump(mode="json"),
    }
    # Left out where there is none, so that results hold that were recorded before there were any.
    if file.programs:
        facts["programs"] = [each.model_dump(mode="json") for each in file.programs]
    if file.settings:
        facts["settings"] = dict(file.settings)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


class ThermodeBench:
    """Runs the procedure.

    Parameters
    ----------
    driver : StimulatorDriver
    file : ThermodeFile
    clock : Clock
    ask : callable
        Asks whoever stands there a question; returns whether the answer is yes.
    """

    def __init__(
        self, driver: StimulatorDriver, file: ThermodeFile, clock: Clock, ask: Callable[[str], bool]
    ) -> None:
        self._driver, self._file, self._clock, self._ask = driver, file, clock, ask
        self._guard = Guard(driver, Envelope(cap_c=49.0, interval_s=8.0), clock, SiteLedger(), NOTHING)
        self._readings: list[Reading] = []
        self._events: list[Event] = []
        self.abilities: Capabilities | None = None
        self.checks: list[Check] = []

    def run(self) -> list[Check]:
        """Try everything, and stop at the first thing that makes the next one dangerous."""
        try:
            for step in (
                self._connect,
                self._device_test,
                self._stimulus,
                self._abort,
                self._button,
                self._silence,
            ):
                step()
                if not all(check.passed for check in self.checks):
                    break
            else:
                for name, question in QUESTIONS:
                    self._note(name, self._ask(question), "as the operator says")
        except NeurofbError as error:
            self._note("the device", False, str(error))
        finally:
            self._guard.close()
        return self.checks

    # -- what is tried -----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        abilities = self.abilities = self._guard.connect()
        found = self._guard.self_test()
        words = f"firmware {abilities.firmware or 'not told'}, probe {abilities.serial or 'not told'}"
        self._note("connection and self-test", not found, "; ".join(found) or words)

    def _device_test(self) -> None:
        found = self._guard.prepare()
        self._note("the device's own test", not found, "; ".join(found) or "passed")
        self._guard.place(DUMMY, "the bench")

    def _stimulus(self) -> None:
        profile = self._give()
        self._go(profile.duration_s + 3.0)
        fired, onset = self._event("heat_fired"), self._event("heat_onset")
        plateau = self._plateau(profile)
        off_c = max((abs(each - profile.target_c) for each in plateau), default=math.inf)
        late_s = 0.0 if fired is None or onset is None else onset.details["onset_s"] - fired.time_s
        ended = self._event("heat_ended")
        passed = off_c <= PLATEAU_OFF_C and ended is not None and not ended.details["early"]
        words = self._faults() or f"began {late_s:.3f} s after its command; off by {off_c:.2f} °C at most"
        self._note("a stimulus of 44 °C", passed, words)

    def _abort(self) -> None:
        profile = self._give()
        self._go(profile.rise_s + 1.5)
        at_s, from_c = self._clock.now_s(), self._newest_c()
        self._guard.abort("the bench")
        assert self.abilities is not None
        self._go(self.abilities.longest_return_s(from_c, profile.baseline_c))
        falls_s = next(
            (r.time_s - at_s for r in self._readings if r.time_s > at_s and r.measured_c < from_c - 1),
            math.inf,
        )
        cool_s = next(
            (
                r.time_s - at_s
                for r in self._readings
                if r.time_s > at_s and r.measured_c <= profile.baseline_c + 1.0
            ),
            math.inf,
        )
        rate = (from_c - profile.baseline_c - 1.0) / cool_s
        is_hot_enough = from_c > profile.target_c - PLATEAU_OFF_C
        passed = is_hot_enough and rate >= self.abilities.abort_c_per_s * 0.9
        self._note(
            "an abort",
            passed,
            f"from {from_c:.1f} °C: 1 °C cooler after {falls_s:.2f} s, at baseline after {cool_s:.2f} s, {rate:.1f} "
            f"°C/s; the file says {self.abilities.abort_c_per_s:g} °C/s",
        )
        if passed:
            self._guard.reset()

    def _button(self) -> None:
        if not self._ask(
            "Press the participant's button during the next stimulus, as soon as it is warm. Ready?"
        ):
            self._note("the participant's button", False, "not tried")
            return
        self._give(replace(WARM, target_c=42.0, plateau_s=PRESS_S))
        self._go(PRESS_S + 6.0, until="heat_ended")
        stopped = self._event("heat_stopped")
        self._note(
            "the participant's button",
            stopped is not None,
            "it ended the stimulus" if stopped is not None else self._faults() or "no press was seen",
        )

    def _silence(self) -> None:
        """Fire, and say nothing more, as a computer does that has died: the device must come back by itself."""
        assert self.abilities is not None
        self._go(9.0)
        profile = self.abilities.rounded(WARM)
        ticket = self._driver.arm(profile)
        self._look(self.abilities.confirm_s + 0.2)
        self._driver.fire(ticket)
        longest_s = profile.duration_s + self.abilities.outlasts_s + self.abilities.onset_s + ALONE_S
        self._clock.wait_until(self._clock.now_s() + longest_s)
        reading = self._look(0.5)
        passed = reading.measured_c <= profile.baseline_c + 1.0
        words = f"{reading.measured_c:.1f} °C {longest_s:.1f} s after the last word of the computer"
        self._note("a computer that dies", passed, words)

    # -- how ---------------------------------------------------------------------------------------------------

    def _note(self, name: str, passed: bool, found: str) -> None:
        self.checks.append(Check(name, passed, found))

    def _give(self, profile: HeatProfile = WARM) -> HeatProfile:
        self._go(9.0)  # what must lie between two stimuli at one place
        self._readings, self._events = [], []
        assert self.abilities is not None
        profile = self.abilities.rounded(profile)
        self._guard.schedule(profile, DUMMY, self._clock.now_s() + 1.0)
        self._go(5.0, until="heat_fired")
        return profile

    def _go(self, for_s: float, until: str = "") -> None:
        end_s = self._clock.now_s() + for_s
        while self._clock.now_s() < end_s:
            self._guard.step()
            self._readings += self._guard.readings()
            self._events += self._guard.pop_events()
            if until and self._event(until) is not None:
                return
            self._clock.wait_until(self._clock.now_s() + TURN_S)

    def _look(self, for_s: float) -> Reading:
        end_s = self._clock.now_s() + for_s
        while True:
            reading = self._driver.read()
            self._driver.pop_news()
            if self._clock.now_s() >= end_s:
                return reading
            self._clock.wait_until(self._clock.now_s() + TURN_S)

    def _event(self, kind: str) -> Event | None:
        return next((event for event in self._events if event.kind == kind), None)

    def _faults(self) -> str:
        return "; ".join(e.message for e in self._events if e.kind in ("heat_fault", "heat_refused"))

    def _newest_c(self) -> float:
        return self._readings[-1].measured_c if self._readings else math.nan

    def _plateau(self, profile: HeatProfile) -> list[float]:
        """Return what was measured in the middle of the plateau."""
        begun = self._event("heat_plateau")
        if begun is None:
            return []
        first_s, last_s = begun.time_s + 0.3 * profile.plateau_s, begun.time_s + 0.8 * profile.plateau_s
        return [r.measured_c for r in self._readings if first_s <= r.time_s <= last_s]
