"""A sequencer with a real guard and a simulated thermode, and neither EEG nor record: heat and steps of a session,
many simulated minutes in a second."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from neurofb.clock import ManualClock
from neurofb.devices import load_profile
from neurofb.engine.assembly import _calibration
from neurofb.engine.heat_conditions import HeatConditions
from neurofb.engine.planning import Asked, SessionPlan
from neurofb.engine.prompting import Prompting
from neurofb.engine.sequencer import Sequencer
from neurofb.engine.stimulus_control import StimulusController
from neurofb.engine.view_heartbeats import ViewHeartbeats
from neurofb.errors import NeurofbError, WrongInput
from neurofb.events import Event
from neurofb.protocol.design import Protocol
from neurofb.protocol.ratings import SimulatedRater
from neurofb.protocol.timeline import expand
from neurofb.stimulation.client import LocalClient
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.thermal_dose import SiteLedger

START_S = 1000.0
TICK_S = 0.04


class NoLoop:
    """A loop that has nothing to compute."""

    is_fitting = False
    loop = SimpleNamespace(next_index=0, block_result=None)

    def do(self, instruction, **details):
        return []

    def missing(self):
        return ""

    def poll_fit(self):
        pass

    start_fit = start_trial_fit = poll_fit


class Events(list):
    """A session log that keeps events."""

    def log(self, kind, message, index=None, time_s=0.0, **details):
        self.append(Event(kind, time_s or 0.0, message, index, details))

    log_event = list.append

    def write_readings(self, readings, site):
        pass


class HeatSession:
    """A session of a protocol with heat, on a manual clock; ``act`` is called in each step before the schedule."""

    def __init__(self, protocol: Protocol, data: Path, act=lambda session: None) -> None:
        heat = protocol.heat
        assert heat is not None
        self.act, self.clock, self.events = act, ManualClock(START_S), Events()
        self.guard = Guard(
            SimulatedThermode(self.clock), heat.envelope, self.clock, SiteLedger(), required=NOTHING
        )
        self.guard.connect()
        asked = Asked("made", "simulated", "P01", data=data, simulate=True)
        plan = SessionPlan(asked, protocol, load_profile("simulated"), expand(protocol))
        conditions = HeatConditions(
            NOTHING, lambda _now_s: SimpleNamespace(is_alive=True), ViewHeartbeats(lambda: True)
        )
        client = LocalClient(self.guard, self.clock)
        self.stimulus = StimulusController(client, self.events, self.clock, conditions)
        self.rater = SimulatedRater(1)
        self.prompting = Prompting(self.events)
        calibration = _calibration(plan, self.stimulus, self.prompting, self.events)
        self.sequencer = Sequencer(
            "uid", plan, NoLoop(), self.stimulus, calibration, self.prompting, self.events
        )
        self.error: NeurofbError | None = None

    @property
    def now_s(self) -> float:
        return self.clock.now_s() - START_S

    def run(self, for_s: float) -> HeatSession:
        """Run to the end of the session, or for so long."""
        if self.sequencer.session.state == "idle":
            self.sequencer.start(self.clock.now_s())
        until_s = self.clock.now_s() + for_s
        while not self.sequencer.is_over and self.clock.now_s() < until_s and self.error is None:
            try:
                self.step()
            except NeurofbError as error:
                self.error = error
        return self

    def step(self) -> None:
        now_s = self.clock.advance(TICK_S)
        now_s = self.clock.now_s()
        self.stimulus.step()
        self.act(self)
        self.sequencer.step(now_s)
        prompt = self.prompting.open_prompt
        if prompt is not None and self.sequencer.session.state == "running":
            value, _ = self.rater.answer(prompt, self.stimulus.highest_c)
            self.sequencer.answer(prompt.id, value, now_s)
        calibration = self.sequencer.calibration
        if (
            calibration is not None
            and calibration.limits_on
            and self.rater.hurts(self.stimulus.last.measured_c)
        ):
            self.sequencer.button()

    def place(self, site: str | None = None) -> bool:
        """Confirm a place, by default the one that is waited for; return whether it was taken."""
        move = self.sequencer.probe_place.move
        try:
            self.sequencer.place_probe(site or (move.site if move else ""), "operator")
        except WrongInput:
            return False
        return True

    def of_kind(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def place_at_once(session: HeatSession) -> None:
    """Confirm each place as soon as it is waited for."""
    if session.sequencer.probe_place.move is not None:
        session.place()
