"""The stimuli of a timeline by themselves: a stand-in for the stimulator, a stub for the loop, no session around."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from stimulation_parts import SITE

from neurofb.engine.heat_steps import HeatSteps
from neurofb.engine.stimulus_control import LEAD_S
from neurofb.protocol.ratings import Prompt, Rating, Scale
from neurofb.protocol.schedule import Schedule
from neurofb.protocol.stop_rules import StopRules
from neurofb.protocol.study import StopSettings
from neurofb.protocol.timeline import Step
from neurofb.stimulation.guard import LATE_S
from neurofb.stimulation.heat_profile import HeatProfile

START_S, DUE_S = 100.0, 110.0
PROFILE = HeatProfile(45.0, 2.0)
INTENSITY = Scale(
    name="intensity", kind="vas", asks="intensity", question="How strong?", low="not", high="most"
)


@dataclass
class Stimulator:
    """What the steps see of a stimulator, and what they asked of it."""

    refuses_at_once: str = ""
    is_armed: bool = False
    is_unanswered: bool = False
    is_hot: bool = False
    is_given: bool = True
    site: str = SITE
    refusal: str = ""
    lacks: list[str] = field(default_factory=list)
    asked: list[tuple] = field(default_factory=list)
    forgotten: int = 0

    def schedule(self, profile, site, at_s):
        self.asked.append((profile, site, at_s))
        self.refusal = self.refuses_at_once

    def pop_refusal(self):
        refusal, self.refusal = self.refusal, ""
        return refusal

    def forget(self):
        self.forgotten += 1

    def unmet(self, now_s):
        return self.lacks


class Loop:
    """A loop that computes nothing."""

    loop = SimpleNamespace(next_index=77)

    def __init__(self):
        self.done = []

    def do(self, instruction, **details):
        self.done.append((instruction, details))


class Log:
    """The events that were logged."""

    def __init__(self):
        self.events = []

    def log(self, kind, message, index=None, time_s=None, **details):
        self.events.append((kind, message, index, time_s, details))


class Bench:
    """Heat steps whose every part is a stand-in, and a schedule of one trial whose stimulus is due at ``DUE_S``."""

    def __init__(self, stimulator=None, **settings):
        self.stimulator = stimulator
        self.loop, self.log, self.shown = Loop(), Log(), []
        rules = StopRules(StopSettings(**settings))
        self.steps = HeatSteps(stimulator, self.loop, rules, self.log, self.shown.append)
        trial = {"phase": 0, "trial": 3, "level": "hot", "site": SITE}
        steps = (
            Step("anticipation", onset_s=0.0, duration_s=DUE_S - START_S, **trial),
            Step("heat", onset_s=DUE_S - START_S, duration_s=6.0, profile=PROFILE, **trial),
            Step("relief", onset_s=16.0, duration_s=4.0, **trial),
        )
        self.schedule = Schedule(steps, START_S)
        self.schedule.pop_due(START_S)

    def ask(self, now_s):
        self.steps.ask(self.schedule, now_s)
        return self.stimulator.asked


def test_stimulus_is_asked_for_within_its_lead_and_not_before():
    bench = Bench(Stimulator())
    assert bench.ask(DUE_S - LEAD_S - 1e-6) == []
    assert bench.ask(DUE_S - LEAD_S) == [(PROFILE, SITE, DUE_S)]


def test_stimulus_that_is_asked_for_late_starts_now():
    bench = Bench(Stimulator())
    assert bench.ask(DUE_S + LATE_S) == [(PROFILE, SITE, DUE_S + LATE_S)]
    assert bench.log.events == []


def test_stimulus_that_is_too_late_is_left_out_and_its_time_passes():
    bench = Bench(Stimulator())
    assert bench.ask(DUE_S + LATE_S + 1e-6) == []
    ((kind, message, index, time_s, details),) = bench.log.events
    assert (kind, index, time_s) == ("heat_left_out", 77, DUE_S + LATE_S + 1e-6)
    assert "its time was 1.0 s ago" in message
    assert details == {"phase": 0, "trial": 3, "level": "hot", "site": SITE, "due_s": DUE_S}
    assert bench.shown == [message]
    assert not bench.stimulator.is_given
    assert (bench.schedule.upcoming.kind, bench.schedule.next_due_s) == ("relief", DUE_S + 6.0)


@pytest.mark.parametrize("when", ["at once", "later"])
def test_refused_stimulus_is_left_out_once(when):
    bench = Bench(Stimulator(refuses_at_once="the place has had enough" if when == "at once" else ""))
    bench.ask(DUE_S - 0.5)
    if when == "later":
        assert bench.log.events == []
        bench.stimulator.refusal = "the place has had enough"
        bench.ask(DUE_S - 0.4)
    assert [event[0] for event in bench.log.events] == ["heat_left_out"]
    assert "it was refused" in bench.log.events[0][1]
    assert len(bench.stimulator.asked) == 1
    bench.ask(DUE_S - 0.3)
    assert bench.schedule.upcoming.kind == "relief"
    assert len(bench.log.events) == len(bench.stimulator.asked) == 1


@pytest.mark.parametrize(
    "stimulator", [Stimulator(is_armed=True), Stimulator(is_unanswered=True)], ids=["armed", "unanswered"]
)
def test_nothing_is_asked_for_while_a_stimulus_is_armed_or_unanswered(stimulator):
    bench = Bench(stimulator)
    assert bench.ask(DUE_S) == []
    assert bench.ask(DUE_S + LATE_S + 5.0) == []
    assert bench.log.events == []


def test_stimulus_waits_while_a_condition_of_heat_is_missing():
    bench = Bench(Stimulator(lacks=["no operator's view is alive"]))
    assert bench.ask(DUE_S) == []
    assert bench.steps.is_waiting(bench.schedule)
    assert bench.schedule.upcoming.kind == "heat"
    assert bench.log.events == []
    bench.stimulator.lacks = []
    assert bench.ask(DUE_S + 0.5) == [(PROFILE, SITE, DUE_S + 0.5)]
    assert not bench.steps.is_waiting(bench.schedule)


def test_heat_is_near_from_its_lead_on_and_while_it_is_armed_or_on():
    bench = Bench(Stimulator())
    assert not bench.steps.is_near(bench.schedule, DUE_S - LEAD_S - 1e-6)
    assert bench.steps.is_near(bench.schedule, DUE_S - LEAD_S)
    for name in ("is_armed", "is_hot"):
        setattr(bench.stimulator, name, True)
        assert bench.steps.is_near(bench.schedule, START_S)
        setattr(bench.stimulator, name, False)
    bench.schedule.skip_trial()
    assert not bench.steps.is_near(bench.schedule, DUE_S + 6.0)
    assert not Bench().steps.is_near(bench.schedule, DUE_S)


def test_other_steps_ask_for_no_heat():
    bench = Bench(Stimulator())
    bench.schedule.skip_trial()
    assert bench.ask(DUE_S + 6.0) == []
    bench.schedule.skip_trial()
    assert bench.ask(DUE_S + 10.0) == []


def test_schedule_waits_for_an_unanswered_stimulus_only():
    bench = Bench(Stimulator(is_unanswered=True))
    assert bench.steps.is_waiting(bench.schedule)
    bench.stimulator.is_unanswered = False
    assert not bench.steps.is_waiting(bench.schedule)
    bench.stimulator.is_unanswered = True
    bench.schedule.skip_trial()
    assert not bench.steps.is_waiting(bench.schedule)


def test_without_stimulator_nothing_is_asked_or_waited_for():
    bench = Bench()
    bench.steps.ask(bench.schedule, DUE_S)
    assert not bench.steps.is_waiting(bench.schedule)
    bench.steps.onset()
    assert bench.loop.done == [("heat_onset", {})]
    assert bench.steps.may_ask(bench.schedule.upcoming, DUE_S)
    assert bench.log.events == []


def test_onset_forgets_the_stimulus_and_tells_the_loop():
    bench = Bench(Stimulator())
    bench.steps.onset()
    assert bench.stimulator.forgotten == 1
    assert bench.loop.done == [("heat_onset", {})]


def test_stimulus_that_was_not_given_is_not_asked_about():
    bench = Bench(Stimulator(is_given=False))
    rating = Step("rating", 0, 20.0, 5.0, trial=3, level="hot", site=SITE, scales=(INTENSITY,))
    assert not bench.steps.may_ask(rating, 125.0)
    assert bench.log.events == [
        (
            "prompt_left_out",
            "intensity: not asked, as the stimulus was not given",
            77,
            125.0,
            {"phase": 0, "trial": 3, "level": "hot"},
        )
    ]
    of_no_trial = Step("rating", 0, 20.0, 5.0, scales=(INTENSITY,))
    assert bench.steps.may_ask(of_no_trial, 125.0)
    bench.stimulator.is_given = True
    assert bench.steps.may_ask(rating, 125.0)
    assert len(bench.log.events) == 1


def rated(value, trial):
    prompt = Prompt("p1", INTENSITY, 120.0, 125.0, trial, "hot", SITE, "block")
    return Rating(prompt, value, 121.0)


def test_rating_at_the_limit_lowers_and_the_second_ends_the_block():
    bench, done = Bench(Stimulator(), rating_limit=80.0, lower_by_c=1.5), []
    bench.steps.rated(rated(79.9, 1), 121.0, done.append)
    assert done == []
    bench.steps.rated(rated(80.0, 2), 131.0, done.append)
    assert [(each.kind, each.by_c) for each in done] == [("lower", 1.5)]
    bench.steps.rated(rated(95.0, 3), 141.0, done.append)
    assert [each.kind for each in done] == ["lower", "lower", "end_block"]
    kinds = [(kind, index, time_s, details) for kind, _, index, time_s, details in bench.log.events]
    assert kinds == [
        ("heat_rule_lower", 77, 131.0, {"by_c": 1.5}),
        ("heat_rule_lower", 77, 141.0, {"by_c": 1.5}),
        ("heat_rule_end_block", 77, 141.0, {"by_c": 0.0}),
    ]
    assert bench.shown == [each.message for each in done]
