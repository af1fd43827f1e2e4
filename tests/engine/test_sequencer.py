"""The sequencer by itself: a stub for the loop, stand-ins for stimulator and log, and any time at all."""

import math
from types import SimpleNamespace

import pytest

from neurofb.engine.prompting import Prompting
from neurofb.engine.sequencer import EXTEND_S, PENDING_S, STREAM, Sequencer
from neurofb.errors import UnsafeHeat, WrongInput
from neurofb.protocol.design import load_protocol
from neurofb.protocol.timeline import expand

START_S = 100.0
#: A welcome that waits for somebody until 5 s, rest until 15 s, two trials of 45 °C, at last a rating.
PROTOCOL = """
neurofb = ">=0.1"
[study]
id = "steps"
title = "Steps"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
[feedback]
feature = "frontal_midline_theta"
[baseline]
least_s = 8.0
longest_s = 12.0
[heat]
sites = ["left forearm"]
[heat.levels.hot]
celsius = 45.0
plateau_s = 2.0
[[scales]]
name = "intensity"
kind = "vas"
asks = "intensity"
question = "How strong was it?"
low = "not at all"
high = "as strong as I can imagine"
answer_s = 4.0
[[phases]]
name = "welcome"
kind = "instruction"
text = "Sit."
waits = true
duration_s = 5.0
[[phases]]
name = "rest"
kind = "rest_baseline"
duration_s = 10.0
[[phases]]
name = "training"
kind = "training"
feedback = "rest"
[phases.trials]
order = ["hot", "hot"]
lead_s = 2.0
relief_s = 9.0
ratings = ["intensity"]
[[phases]]
name = "after"
kind = "rating"
ratings = ["intensity"]
"""


class Loop:
    """A recorded loop that computes nothing: it keeps what it was told, and says what it is told to say."""

    def __init__(self):
        self.loop = SimpleNamespace(next_index=0, is_blinded=False, block_result={"rewards": 3})
        self.done, self.is_fitting, self.lacks = [], False, ""
        self.n_fits = self.n_trial_fits = self.n_polls = 0

    def do(self, instruction, **details):
        self.done.append((instruction, *details.values()))

    def missing(self):
        return self.lacks

    def poll_fit(self):
        self.n_polls += 1

    def start_fit(self):
        self.n_fits += 1

    def start_trial_fit(self):
        self.n_trial_fits += 1


class Stimulator:
    """A stimulator that grants everything at once, and keeps what it was asked."""

    def __init__(self):
        self.done, self.site, self.used = [], "left forearm", {}
        self.is_armed = self.is_unanswered = self.is_hot = self.is_placing = False
        self.is_given = True
        self.last = None

    def schedule(self, profile, site, at_s):
        self.done.append(("schedule", profile.target_c, at_s))
        self.is_armed = True

    def forget(self):
        self.is_armed = False

    def pop_refusal(self):
        return ""

    def unmet(self, now_s):
        return []

    def lower(self, by_c):
        self.done.append(("lower", by_c))

    def end(self, why):
        self.done.append(("end", why))
        self.forget()

    def abort(self, why):
        self.done.append(("abort", why))

    def place(self, site, by):
        self.site = site


class Log:
    """The events that were logged."""

    def __init__(self):
        self.events = []

    def log(self, kind, message, index=None, time_s=None, **details):
        self.events.append(SimpleNamespace(kind=kind, message=message, time_s=time_s, details=details))

    def log_block(self, kind, message, index, result):
        self.log(kind, message, index, **result)

    def log_event(self, event):
        self.events.append(event)


class Bench:
    """A sequencer with its stand-ins, started at ``START_S``; times are of the session."""

    def __init__(self, tmp_path, text=PROTOCOL, step_s=0.25, calibration=None):
        path = tmp_path / "steps.toml"
        path.write_text(text)
        protocol = load_protocol(path)
        plan = SimpleNamespace(protocol=protocol, timeline=expand(protocol))
        self.loop, self.stimulator, self.log = Loop(), Stimulator(), Log()
        self.prompting = Prompting(self.log)
        self.sequencer = Sequencer(
            "uid", plan, self.loop, self.stimulator, calibration, self.prompting, self.log
        )
        self.t_s, self.step_s = 0.0, step_s
        self.sequencer.start(START_S)

    @property
    def now_s(self):
        return START_S + self.t_s

    def to(self, t_s):
        """Step until then."""
        while self.t_s < t_s and not self.sequencer.is_over:
            self.sequencer.step(self.now_s)
            self.t_s += self.step_s
        self.sequencer.step(self.now_s)
        return self

    def kinds(self, kind):
        return [event for event in self.log.events if event.kind == kind]

    def phases(self):
        return [event.details["name"] for event in self.kinds("phase")]

    @property
    def states(self):
        return [event.details["after"] for event in self.kinds("state")]


class Calibration:
    """A calibration that is on, and keeps what it was told."""

    def __init__(self, *, is_on=True):
        self.done, self.is_on, self.limits_on, self.site, self.found = [], is_on, False, "left forearm", {}

    def step(self, now_s):
        self.done.append("step")

    def pause(self):
        self.done.append("pause")

    def resume(self, now_s):
        self.done.append(("resume", now_s))

    def button(self):
        self.done.append("button")

    def rated(self, rating, now_s):
        self.done.append(("rated", rating.value))

    def too_much(self, action):
        self.done.append(("too_much", action.kind))


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_every_step_comes_once_in_order_at_its_time(bench):
    bench.to(100.0)
    assert bench.sequencer.is_over
    assert bench.phases() == ["welcome", "rest", "training", "after"]
    due_s = [event.details["due_s"] - START_S for event in bench.kinds("phase")]
    assert due_s[:3] == [0.0, 5.0, 15.0]
    for event in (*bench.kinds("phase"), *bench.kinds("step")):
        assert 0.0 <= event.time_s - event.details["due_s"] <= bench.step_s
    heat = [event for event in bench.kinds("step") if event.details["step"] == "heat"]
    assert [act[0] for act in bench.stimulator.done] == ["schedule", "schedule"]
    assert [act[2] for act in bench.stimulator.done] == [event.details["due_s"] for event in heat]
    assert bench.loop.done.count(("heat_onset",)) == 2
    assert bench.loop.n_polls >= bench.t_s / bench.step_s
    assert bench.sequencer.left_s(bench.now_s) == 0.0


def test_baseline_is_collected_and_fitted_before_the_block_begins(bench):
    bench.to(5.5)
    assert bench.loop.done == [("collect", "rest")]
    assert bench.loop.n_fits == 0 or bench.phases()[-1] == "rest"
    bench.to(12.75)
    assert bench.loop.n_trial_fits == 0
    bench.to(13.25)
    assert bench.loop.n_trial_fits > 0
    bench.loop.is_fitting = True
    bench.to(16.0)
    assert bench.loop.done == [("collect", "rest"), ("collected",)]
    assert bench.sequencer.block is None
    bench.loop.is_fitting = False
    bench.to(16.5)
    assert bench.loop.done[-1] == ("start_block", "rest")
    assert bench.sequencer.block == "rest"
    assert len(bench.kinds("block")) == 1


def test_result_of_a_block_is_known_until_the_next_phase_ends(bench):
    while bench.phases()[-1:] != ["after"]:
        bench.to(bench.t_s + bench.step_s)
    assert bench.sequencer.block is None
    assert bench.sequencer.last_block == {"rewards": 3}
    assert [event.details for event in bench.kinds("block_ended")] == [{"rewards": 3}]
    bench.to(100.0)
    assert bench.sequencer.last_block is None


def test_calibration_is_stepped_paused_and_resumed_and_has_the_answers(tmp_path):
    calibration = Calibration()
    bench = Bench(tmp_path, calibration=calibration)
    bench.to(1.0)
    assert "step" in calibration.done
    assert bench.sequencer.is_heat_near(bench.now_s)
    bench.sequencer.button()
    assert calibration.done[-1] == "button"
    scale = bench.sequencer._plan.protocol.scales[0]
    for value in (40.0, 95.0):
        prompt = bench.prompting.ask(scale, bench.now_s, trial=1, level="ladder", site="left forearm")
        bench.sequencer.answer(prompt.id, value, bench.now_s)
    assert calibration.done[-3:] == [("rated", 40.0), ("too_much", "lower"), ("rated", 95.0)]
    assert bench.stimulator.done == []
    bench.sequencer.pause(bench.now_s, "a break")
    assert calibration.done[-1] == "pause"
    bench.sequencer.resume(bench.now_s, "goes on")
    assert calibration.done[-1] == ("resume", bench.now_s)


def ending_calibration(tmp_path, problems):
    """A bench whose calibration ends in its next step, with temperatures that the plan has something against or not."""
    calibration = Calibration()
    bench = Bench(tmp_path, calibration=calibration)
    bench.to(1.0)
    asked, plan = [], bench.sequencer._plan
    plan.again = lambda found: asked.append(found) or expand(plan.protocol)
    plan.heat_ahead = lambda timeline, n_taken, used: asked.append((n_taken, used)) or problems
    bench.stimulator.used, calibration.found = {"left forearm": 0.2}, {60.0: 46.1}

    def last_step(now_s):
        calibration.is_on = False

    calibration.step = last_step
    return bench, asked


def test_calibration_that_ends_gives_the_rest_its_temperatures_at_once(tmp_path):
    bench, asked = ending_calibration(tmp_path, [])
    before = bench.sequencer.timeline
    bench.to(bench.t_s)
    assert asked == [{60.0: 46.1}, (2, {"left forearm": 0.2})]
    assert bench.sequencer.timeline is not before
    bench.to(bench.t_s + bench.step_s)
    assert bench.phases() == ["welcome", "rest"]  # the step of the calibration ends with it


def test_calibration_that_would_give_too_much_heat_ends_the_session(tmp_path):
    bench, _ = ending_calibration(tmp_path, ["the left forearm has had enough"])
    with pytest.raises(UnsafeHeat, match="kept for another, .*: the left forearm has had enough"):
        bench.to(bench.t_s)


def test_calibration_that_is_not_on_has_nothing_to_do_with_answers(tmp_path):
    calibration = Calibration(is_on=False)
    bench = Bench(tmp_path, calibration=calibration)
    bench.to(1.0)
    with pytest.raises(WrongInput, match="method of limits"):
        bench.sequencer.button()
    scale = bench.sequencer._plan.protocol.scales[0]
    prompt = bench.prompting.ask(scale, bench.now_s, trial=1, level="hot", site="left forearm")
    bench.sequencer.answer(prompt.id, 95.0, bench.now_s)
    assert calibration.done == []
    assert bench.stimulator.done == [("lower", 1.0)]


def test_baseline_that_lacks_eeg_goes_on_as_long_as_it_may(bench):
    bench.loop.lacks = "2 s more are needed"
    bench.to(14.75)
    assert bench.sequencer.extended_s == 0.0
    bench.to(29.75)
    assert bench.phases() == ["welcome", "rest"]
    assert bench.sequencer.extended_s == 3 * EXTEND_S
    assert [event.details["by_s"] for event in bench.kinds("baseline_extended")] == [EXTEND_S] * 3
    assert "2 s more are needed" in bench.sequencer.message
    bench.to(30.25)  # 12 s is the longest: one extension more than that is not given
    assert bench.phases() == ["welcome", "rest", "training"]
    assert bench.sequencer.message == ""  # what is said of a phase ends with it


def test_baseline_waits_briefly_while_nobody_knows_what_it_lacks(bench):
    bench.step_s = PENDING_S / 2
    bench.loop.lacks = None
    bench.to(15.5)
    assert bench.phases() == ["welcome", "rest"]
    assert 0.4 < bench.sequencer.extended_s <= 0.5 + 2 * PENDING_S
    assert bench.kinds("baseline_extended") == []
    bench.loop.lacks = ""
    bench.to(15.75)
    assert bench.phases() == ["welcome", "rest", "training"]


def test_time_that_is_left_runs_down_and_stands_still_in_a_pause(bench):
    all_s = sum(step.duration_s for step in bench.sequencer.timeline.steps)
    for t_s in (1.0, 17.0, 30.0):
        bench.to(t_s)
        assert bench.sequencer.left_s(bench.now_s) == pytest.approx(all_s - t_s)
    bench.sequencer.pause(bench.now_s, "a break")
    left_s = bench.sequencer.left_s(bench.now_s)
    bench.to(40.0)
    assert bench.sequencer.left_s(bench.now_s) == left_s <= all_s - 30.0


def test_nothing_is_due_while_the_guard_has_not_answered(bench):
    bench.to(16.5)
    bench.stimulator.is_armed, bench.stimulator.is_unanswered = False, True
    assert bench.sequencer.next_due_s == math.inf
    bench.to(17.5)
    assert [event.details["step"] for event in bench.kinds("step")].count("heat") == 0
    bench.stimulator.is_unanswered = False
    assert bench.sequencer.next_due_s == START_S + 17.0


def test_heat_is_near_before_a_stimulus_and_not_after_the_start(bench):
    bench.to(1.0)
    assert not bench.sequencer.is_heat_near(bench.now_s)
    bench.to(16.25)
    assert bench.sequencer.is_heat_near(bench.now_s)


def test_trials_that_were_too_much_are_counted_anew_in_each_block(tmp_path):
    trial = 'order = ["hot"]'
    start = PROTOCOL.index('[[phases]]\nname = "training"')
    block = PROTOCOL[start : PROTOCOL.index('[[phases]]\nname = "after"')].replace(
        'order = ["hot", "hot"]', trial
    )
    bench = Bench(tmp_path, PROTOCOL[:start] + block + block.replace('"training"', '"again"', 1))
    for n in (1, 2):
        while not (prompt := bench.prompting.open_prompt):
            bench.to(bench.t_s + bench.step_s)
        bench.sequencer.answer(prompt.id, 95.0, bench.now_s)
        assert len(bench.kinds("heat_rule_lower")) == n
    assert bench.kinds("heat_rule_end_block") == []


def test_pause_stops_time_ends_heat_and_the_block_and_resume_begins_it_again(bench):
    bench.to(19.0)
    assert bench.sequencer.block == "rest"
    due_s = bench.sequencer.schedule.next_due_s
    bench.sequencer.pause(bench.now_s, "a break")
    assert bench.stimulator.done[-1] == ("end", "a break")
    assert bench.loop.done[-1] == ("end_block",)
    assert bench.sequencer.block is None
    assert bench.sequencer.next_due_s == math.inf
    n_steps = len(bench.kinds("step"))
    bench.to(60.0)
    assert len(bench.kinds("step")) == n_steps
    assert bench.loop.done[-1] == ("end_block",)
    bench.sequencer.resume(bench.now_s, "goes on")
    assert bench.sequencer.schedule.next_due_s == pytest.approx(due_s + 41.0)
    bench.to(60.5)
    assert bench.loop.done[-1] == ("start_block", "rest")
    assert bench.states == ["preparing", "running", "paused", "running"]


def test_pause_throws_a_baseline_away_and_it_is_collected_whole(bench):
    bench.to(11.0)
    bench.sequencer.pause(bench.now_s, "a break")
    assert bench.loop.done == [("collect", "rest"), ("discard",)]
    bench.to(20.0)
    assert bench.sequencer.extended_s == 0.0
    bench.sequencer.resume(bench.now_s, "goes on")
    bench.to(20.5)
    assert bench.loop.done[-1] == ("collect", "rest")
    assert bench.sequencer.schedule.next_due_s == pytest.approx(START_S + 30.0, abs=2 * bench.step_s)


def test_two_reasons_for_a_pause_both_end_before_it_goes_on(bench):
    bench.to(6.0)
    bench.sequencer.pause(bench.now_s, "the EEG is lost", STREAM)
    assert not bench.sequencer.is_held
    with pytest.raises(WrongInput, match="cannot resume"):
        bench.sequencer.resume(bench.now_s, "somebody wants to")
    bench.sequencer.pause(bench.now_s, "a break")
    assert bench.sequencer.is_held
    with pytest.raises(WrongInput, match="cannot pause"):
        bench.sequencer.pause(bench.now_s, "the same again")
    bench.sequencer.resume(bench.now_s, "the EEG comes again", STREAM)
    assert bench.sequencer.session.state == "paused"
    assert "stays paused" in bench.sequencer.message
    assert [event.message for event in bench.kinds("paused")] == [
        "a break",
        "the EEG comes again, and the session stays paused",
    ]
    bench.sequencer.resume(bench.now_s, "goes on")
    assert bench.sequencer.session.state == "running"
    with pytest.raises(WrongInput, match="not paused"):
        bench.sequencer.resume(bench.now_s, "once more")


def test_question_waits_in_a_pause(bench):
    bench.to(40.0)
    while bench.prompting.open_prompt is None:
        bench.to(bench.t_s + bench.step_s)
    prompt, left_s = bench.prompting.open_prompt, bench.prompting.open_prompt.due_s - bench.now_s
    bench.sequencer.pause(bench.now_s, "a break")
    bench.to(bench.t_s + 50.0)
    assert bench.prompting.open_prompt.id == prompt.id
    bench.sequencer.resume(bench.now_s, "goes on")
    assert bench.prompting.open_prompt.due_s - bench.now_s == pytest.approx(left_s)
    bench.sequencer.answer(prompt.id, 40.0, bench.now_s)
    assert bench.prompting.open_prompt is None


def test_stop_aborts_heat_before_it_ends_the_session(bench):
    bench.to(17.0)
    bench.sequencer.stop("participant")
    assert bench.stimulator.done[-1] == ("abort", "stopped by participant")
    assert bench.sequencer.is_over
    assert bench.sequencer.ended == ("stopped", "stopped by participant")
    n_events = len(bench.log.events)
    bench.to(60.0)
    assert len(bench.log.events) == n_events


def test_rating_of_too_much_lowers_heat_and_the_second_skips_the_block(bench):
    for n in (1, 2):
        while not (prompt := bench.prompting.open_prompt):
            bench.to(bench.t_s + bench.step_s)
        bench.sequencer.answer(prompt.id, 95.0, bench.now_s)
        assert [act for act in bench.stimulator.done if act[0] == "lower"] == [("lower", 1.0)] * n
    assert bench.stimulator.done[-1][0] == "end"
    bench.to(bench.t_s + bench.step_s)
    assert bench.phases()[-1] == "after"


def test_continue_is_for_a_phase_that_waits_only(bench):
    bench.to(1.0)
    bench.sequencer.pause(bench.now_s, "a break")
    with pytest.raises(WrongInput, match="resume it first"):
        bench.sequencer.continue_phase(bench.now_s)
    bench.sequencer.resume(bench.now_s, "goes on")
    bench.sequencer.continue_phase(bench.now_s)
    bench.to(1.25)
    assert bench.phases() == ["welcome", "rest"]
    with pytest.raises(WrongInput, match="nothing waits"):
        bench.sequencer.continue_phase(bench.now_s)


def test_button_means_nothing_without_a_calibration(bench):
    with pytest.raises(WrongInput, match="method of limits"):
        bench.sequencer.button()


@pytest.mark.parametrize(
    ("kind", "failed", "last"),
    [("finished", False, "finished"), ("ended", False, "finished"), ("stopped", False, "aborted")]
    + [("interrupted", True, "aborted")],
)
def test_close_ends_the_phase_within_the_states_of_an_end(bench, kind, failed, last):
    bench.to(19.0)
    bench.log.events.clear()
    bench.sequencer.close(kind, "why", failed=failed)
    assert [event.kind for event in bench.log.events] == ["state", "block_ended", "end", "state"]
    assert bench.states == ["stopping", last]
    assert bench.kinds("end")[0].details == {"outcome": kind}
    assert bench.sequencer.last_block == {"rewards": 3}
    assert bench.loop.done[-1] == ("end_block",)
    assert bench.sequencer.ended == (kind, "why")


def test_question_that_is_open_at_the_end_is_missing_and_not_from_the_future(bench):
    bench.to(40.0)
    while bench.prompting.open_prompt is None:
        bench.to(bench.t_s + bench.step_s)
    bench.log.events.clear()
    bench.sequencer.close("ended", "why", failed=False)
    (rating,) = bench.kinds("rating")
    assert rating.details["value"] is None
    assert rating.time_s <= bench.now_s


def test_close_in_a_pause_collects_nothing(bench):
    bench.to(11.0)
    bench.sequencer.pause(bench.now_s, "a break")
    bench.sequencer.close("ended", "why", failed=False)
    assert bench.loop.done == [("collect", "rest"), ("discard",)]


def test_close_does_the_rest_if_the_record_takes_nothing(bench):
    bench.to(19.0)

    def full(*_, **__):
        raise OSError("No space left on device")

    bench.log.log = full
    with pytest.raises(OSError, match="No space left"):
        bench.sequencer.close("aborted", "why", failed=True)
    assert bench.sequencer.session.state == "aborted"
    assert bench.loop.done[-1] == ("end_block",)


def test_close_before_the_start_does_nothing(tmp_path):
    bench = Bench(tmp_path)
    fresh = Sequencer(
        "uid", bench.sequencer._plan, bench.loop, bench.stimulator, None, bench.prompting, bench.log
    )
    bench.log.events.clear()
    fresh.close("aborted", "why", failed=True)
    assert bench.log.events == []
    assert fresh.ended is None
