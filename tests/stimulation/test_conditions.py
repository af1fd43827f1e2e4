"""No heat unwatched: the guard alone refuses, does not start and ends what lacks fresh EEG, a recording or a view."""

import contextlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stimulation_parts import SITE, Bench

from neurofb.clock import ManualClock
from neurofb.errors import UnsafeHeat, WrongInput
from neurofb.stimulation import registry
from neurofb.stimulation.client import open_stimulator
from neurofb.stimulation.conditions import FACTS_S, NOTHING, SAMPLE_S, Facts, Required, unmet
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile

PROFILE = HeatProfile(45.0, 3.0, rise_c_per_s=20.0, return_c_per_s=20.0)


def facts(now_s, sample_age_s=0.1, recording=True, view=True):
    return Facts(now_s, sample_age_s, recording, view)


@pytest.mark.parametrize(
    ("given_facts", "words"),
    [
        (None, "has not said yet"),
        (Facts(10.0 - FACTS_S - 0.01, 0.0, recording=True, view=True), "is 0.51 s old"),
        (Facts(10.0 + FACTS_S + 0.01, 0.0, recording=True, view=True), "is -0.51 s old"),
        (Facts(math.nan, 0.0, recording=True, view=True), "is nan s old"),
        (Facts(10.0, None, recording=True, view=True), "no sample of EEG has come yet"),
        (Facts(10.0, SAMPLE_S + 0.1, recording=True, view=True), "the newest sample of EEG is 1.1 s old"),
        (Facts(9.7, SAMPLE_S - 0.2, recording=True, view=True), "the newest sample of EEG is 1.1 s old"),
        (Facts(10.0, math.nan, recording=True, view=True), "the newest sample of EEG is nan s old"),
        (Facts(10.0, 0.1, recording=False, view=True), "the recording fails"),
        (Facts(10.0, 0.1, recording="no", view=True), "the recording fails"),
        (Facts(10.0, 0.1, recording=True, view=False), "no operator's view is alive"),
        (Facts(10.0, 0.1, recording=True, view=1), "no operator's view is alive"),
    ],
)
def test_unmet_condition_is_named(given_facts, words):
    (found,) = unmet(Required(), given_facts, 10.0)
    assert words in found


def test_met_conditions_give_no_words():
    assert unmet(Required(), Facts(10.0, SAMPLE_S, recording=True, view=True), 10.0) == []
    assert unmet(Required(), Facts(10.0 - FACTS_S, 0.0, recording=True, view=True), 10.0) == []


def test_heat_without_eeg_keeps_the_other_two_conditions():
    needed = Required(eeg=False)
    assert unmet(needed, Facts(10.0, None, recording=True, view=True), 10.0) == []
    assert len(unmet(needed, Facts(10.0, None, recording=False, view=False), 10.0)) == 2
    assert unmet(needed, None, 10.0) != []


def test_guard_requires_all_conditions_unless_told_otherwise():
    bench = Bench()
    guard = Guard(bench.thermode, Envelope(), bench.clock)
    guard.connect()
    with pytest.raises(UnsafeHeat, match="has not said yet"):
        guard.schedule(PROFILE, SITE, bench.clock.now_s())


def test_real_stimulator_is_not_opened_without_recording_or_view(monkeypatch):
    monkeypatch.setattr(registry, "OURS", {**registry.OURS, "real": registry.OURS["simulated"]})
    for required in (NOTHING, Required(view=False), Required(recording=False)):
        with pytest.raises(WrongInput, match="heats a person"):
            open_stimulator("real", envelope=Envelope(), clock=ManualClock(), required=required)
    open_stimulator("real", envelope=Envelope(), clock=ManualClock(), required=Required(eeg=False))


@pytest.mark.parametrize(
    "missing", [{"sample_age_s": 1.1}, {"sample_age_s": None}, {"recording": False}, {"view": False}]
)
def test_armed_stimulus_is_not_started_without_a_condition(missing):
    bench = Bench(required=Required())
    bench.guard.note_facts(facts(bench.clock.now_s()))
    bench.fire(PROFILE, in_s=0.2)
    for _ in range(60):
        bench.guard.note_facts(facts(bench.clock.now_s() + bench.tick_s, **missing))
        bench.step()
    (event,) = bench.said("heat_refused")
    assert event.message.startswith("not started: ")
    assert "heat_fired" not in bench.kinds()
    assert bench.commanded_c < 33.0


@pytest.mark.parametrize(
    "missing", [{"sample_age_s": 1.1}, {"sample_age_s": None}, {"recording": False}, {"view": False}]
)
def test_running_stimulus_ends_in_order_without_a_condition(missing):
    """Told once, at baseline within the time of an abort, and the next may follow when the condition holds again."""
    bench = Bench(required=Required())
    for i in range(600):
        words = missing if 100 <= i < 400 else {}
        bench.guard.note_facts(facts(bench.clock.now_s() + bench.tick_s, **words))
        if i in (0, 200):
            with pytest.raises(UnsafeHeat) if i else contextlib.nullcontext():
                bench.fire(PROFILE)
        bench.step()
    (event,) = bench.said("heat_unwatched")
    assert event.time_s == pytest.approx(101.01, abs=0.02)
    (ended,) = bench.said("heat_ended")
    assert ended.details["early"]
    assert ended.time_s - event.time_s < 1.0
    assert bench.guard.state == "baseline"
    bench.guard.note_facts(facts(bench.clock.now_s()))
    later_s = bench.clock.now_s() + 8.0
    bench.guard.schedule(PROFILE, SITE, later_s)


def test_facts_that_are_not_renewed_end_the_stimulus():
    bench = Bench(required=Required())
    bench.guard.note_facts(facts(bench.clock.now_s()))
    bench.fire(PROFILE)
    bench.run(2.0)
    (event,) = bench.said("heat_unwatched")
    assert event.time_s == pytest.approx(100.0 + FACTS_S, abs=0.02)


#: For how many of the guard's steps, and what the engine says meanwhile: nothing, or age of EEG, recording and view.
SAYS = st.tuples(
    st.integers(1, 80),
    st.none() | st.tuples(st.none() | st.floats(0.0, 3.0), st.booleans(), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(Required, eeg=st.booleans(), recording=st.just(True), view=st.booleans()),
    st.lists(SAYS, min_size=3, max_size=12),
)
def test_guard_commands_no_heat_without_the_conditions(required, sayings):
    """Whatever the engine says when, and however often heat is asked for: what is commanded follows the conditions."""
    bench = Bench(required=required, tick_s=0.02)
    said = None
    for n_steps, words in [(2, (0.0, True, True)), *sayings]:
        for _ in range(n_steps):
            now_s = bench.clock.now_s() + bench.tick_s
            if words is not None:
                said = Facts(now_s, *words)
                bench.guard.note_facts(said)
            if not bench.guard.is_hot:
                with contextlib.suppress(UnsafeHeat):
                    bench.fire(HeatProfile(45.0, 0.5, rise_c_per_s=40.0, return_c_per_s=40.0))
            bench.step()
            if unmet(required, said, now_s):
                assert bench.thermode.commanded_c <= 32.0
                assert bench.guard.state not in ("rising", "plateau")


@pytest.mark.parametrize(
    "sample_age_s, facts_age_s, is_met",
    [(0.75, 0.25, True), (0.75, 0.3, False), (1.0, -0.25, True), (1.05, -0.25, False), (0.25, 0.5, True)],
)
def test_sample_is_as_old_as_it_was_and_as_its_message_is(sample_age_s, facts_age_s, is_met):
    """A message from ahead of the clock makes no sample fresher."""
    found = unmet(Required(), Facts(10.0 - facts_age_s, sample_age_s, recording=True, view=True), 10.0)
    assert (found == []) is is_met
    if not is_met:
        assert f"is {sample_age_s + max(0.0, facts_age_s):.1f} s old" in found[0]


@pytest.mark.parametrize("name", ["eeg", "recording", "view"])
def test_each_condition_is_asked_for_alone(name):
    needed = Required(**{each: each == name for each in ("eeg", "recording", "view")})
    assert unmet(needed, Facts(10.0, 0.1, recording=True, view=True), 10.0) == []
    assert len(unmet(needed, Facts(10.0, None, recording=False, view=False), 10.0)) == 1


def test_bench_needs_nothing():
    assert unmet(NOTHING, None, 10.0) == []
    assert (NOTHING.eeg, NOTHING.recording, NOTHING.view) == (False, False, False)
    assert (Required().eeg, Required().recording, Required().view) == (True, True, True)


@pytest.mark.parametrize("fixed", [Required(), Facts(10.0, 0.1, recording=True, view=True)])
def test_conditions_do_not_change(fixed):
    with pytest.raises(AttributeError):
        fixed.view = True
    assert not hasattr(fixed, "__dict__")
