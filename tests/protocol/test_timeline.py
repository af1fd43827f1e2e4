"""Timelines: sums that are exact, times within what was asked, the same again from the same seed."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_parts import protocol_with

from neurofb.errors import UnknownName, WrongInput
from neurofb.protocol.design import Protocol
from neurofb.protocol.randomization import random_generator
from neurofb.protocol.timeline import expand
from neurofb.stimulation.heat_profile import contact_line_s

SECONDS = st.floats(0.0, 30.0).map(lambda s: round(s, 4))
SPAN = SECONDS | st.tuples(SECONDS, SECONDS).map(sorted)


@st.composite
def protocols(draw):
    """Sessions of a few phases with trials, ratings and waiting, at several sites."""
    levels = {
        name: {"celsius": draw(st.floats(33, 48)), "plateau_s": draw(st.floats(0, 12))}
        for name in ("warm", "hot")
    }
    phases = [{"name": "rest", "kind": "rest_baseline", "duration_s": draw(st.floats(1, 300))}]
    for i in range(draw(st.integers(1, 4))):
        trials = {
            "counts": {"warm": draw(st.integers(1, 4)), "hot": draw(st.integers(1, 4))},
            "shuffle": draw(st.booleans()),
            **{key: draw(SPAN) for key in ("lead_s", "cue_s", "anticipation_s", "relief_s")},
            "ratings": draw(st.sampled_from([[], ["intensity"], ["intensity", "words"]])),
        }
        phases.append(
            {
                "name": f"block{i}",
                "kind": "heat",
                "trials": trials,
                "eyes": draw(st.sampled_from(["open", "closed"])),
                "ratings": draw(st.sampled_from([[], ["words"]])),
            }
        )
        if draw(st.booleans()):
            phases.append(
                {"name": f"pause{i}", "kind": "pause", "waits": True, "duration_s": draw(st.floats(1, 60))}
            )
    return Protocol.model_validate(
        {
            "neurofb": ">=0.1",
            "study": {"id": "made", "title": "made", "status": "adapted"},
            "features": [{"preset": "posterior_alpha"}],
            "heat": {
                "sites": draw(st.sampled_from([["a"], ["a", "b"], ["a", "b", "c"]])),
                "rotation": draw(st.sampled_from(["fixed", "by block", "by trial"])),
                "rise_c_per_s": draw(st.floats(0.5, 40)),
                "levels": levels,
            },
            "scales": [
                {
                    "name": "intensity",
                    "kind": "vas",
                    "question": "?",
                    "low": "0",
                    "high": "1",
                    "answer_s": 3.7,
                },
                {"name": "words", "kind": "text", "question": "?", "answer_s": 11.1},
            ],
            "phases": phases,
        }
    )


@settings(max_examples=60, deadline=None)
@given(protocols(), st.integers(0, 2**32))
def test_step_onsets_have_no_gap_or_rounding(protocol, seed):
    """Summed as fractions of nanoseconds, each onset is the double nearest to the sum of all durations before."""
    timeline = expand(protocol, seed=seed)
    passed = Fraction(0)
    for step in timeline.steps:
        assert step.onset_s == float(passed)
        passed += Fraction(round(step.duration_s * 1e9), 10**9)
    assert timeline.duration_s == float(passed)
    assert timeline.steps[-1].kind == "end"
    assert [step.kind for step in timeline.steps].count("end") == 1


@settings(max_examples=60, deadline=None)
@given(protocols(), st.integers(0, 2**32))
def test_drawn_times_are_within_their_range(protocol, seed):
    timeline = expand(protocol, seed=seed)
    for phase in timeline.phases:
        spec = protocol.phase(phase.name)
        steps = [step for step in timeline.steps if step.phase == phase.index and step.kind != "end"]
        assert steps[0].kind == "phase"
        assert steps[0].duration_s == 0.0
        assert phase.onset_s == steps[0].onset_s
        assert phase.duration_s == pytest.approx(math.fsum(step.duration_s for step in steps), abs=1e-8)
        if spec.trials is None:
            continue
        for step in steps:
            if step.kind in ("cue", "anticipation", "relief"):
                span = getattr(spec.trials, f"{step.kind}_s")
                assert span.low_s - 1e-9 <= step.duration_s <= span.high_s + 1e-9
        levels = [step.level for step in steps if step.kind == "heat"]
        assert sorted(levels) == sorted(spec.trials.levels)
        if not spec.trials.shuffle:
            assert tuple(levels) == spec.trials.levels
        assert [step.trial for step in steps if step.kind == "heat"] == list(range(1, len(levels) + 1))


@settings(max_examples=40, deadline=None)
@given(protocols(), st.integers(0, 2**32))
def test_timeline_is_seeded(protocol, seed):
    assert expand(protocol, seed=seed) == expand(protocol, seed=seed)
    for step, again in zip(
        expand(protocol, seed=seed).heats, expand(protocol, seed=seed + 1).heats, strict=True
    ):
        assert step.trial == again.trial
        assert step.site == again.site


@settings(max_examples=25, deadline=None)
@given(protocols(), st.integers(0, 2**32))
def test_site_dose_equals_numerical_sum(protocol, seed):
    """An independent sum: midpoints of 5 ms pieces of the commanded temperature against the contact-burn line."""
    timeline = expand(protocol, seed=seed)
    expected = {}
    for step in timeline.heats:
        n = max(1, round(step.profile.duration_s / 0.005))
        edge_s = step.profile.duration_s / n
        given = math.fsum(
            edge_s / contact_line_s(step.profile.temperature_c((i + 0.5) * edge_s)) for i in range(n)
        )
        expected[step.site] = expected.get(step.site, 0.0) + given
    assert set(timeline.doses) == set(expected)
    for site, dose in timeline.doses.items():
        assert dose == pytest.approx(expected[site], rel=2e-3)


@settings(max_examples=40, deadline=None)
@given(protocols(), st.integers(0, 2**32))
def test_sites_alternate_as_set(protocol, seed):
    timeline, heat = expand(protocol, seed=seed), protocol.heat
    sites = [step.site for step in timeline.heats]
    if heat.rotation == "fixed":
        assert set(sites) == {heat.sites[0]}
    elif heat.rotation == "by trial":
        assert sites == [heat.sites[i % len(heat.sites)] for i in range(len(sites))]
    else:
        blocks = list(dict.fromkeys(step.phase for step in timeline.heats))
        for step in timeline.heats:
            assert step.site == heat.sites[blocks.index(step.phase) % len(heat.sites)]
            assert timeline.phases[step.phase].site == step.site


def test_seeds_differ_and_jitter_covers_its_range():
    protocol = protocol_with(
        ('order = ["warm", "hot"]', "counts = { warm = 40, hot = 40 }\nshuffle = true"),
        ("anticipation_s = 2.0", "anticipation_s = [2.0, 6.0]"),
    )
    timelines = [expand(protocol, seed=seed) for seed in range(8)]
    assert len({timeline.heat_onsets_s for timeline in timelines}) == 8
    waits = [s.duration_s for t in timelines for s in t.steps if s.kind == "anticipation"]
    assert 2.0 <= min(waits) < 2.05
    assert 5.95 < max(waits) <= 6.0
    assert np.mean(waits) == pytest.approx(4.0, abs=0.15)
    firsts = [timeline.heats[0].level for timeline in timelines]
    assert len(set(firsts)) == 2


def test_added_choice_does_not_change_others():
    """A jittered cue, or a phase more before it, changes neither the order of the trials nor their anticipation."""
    order = ('order = ["warm", "hot"]', "counts = { warm = 4, hot = 4 }\nshuffle = true")
    wait = ("anticipation_s = 2.0", "anticipation_s = [2.0, 6.0]")
    plain = expand(protocol_with(order, wait), seed=5)
    cued = expand(protocol_with(order, (wait[0], f"{wait[1]}\ncue_s = [0.5, 1.5]")), seed=5)
    for kind in ("heat", "anticipation"):
        one, other = ([(s.level, s.duration_s) for s in t.steps if s.kind == kind] for t in (plain, cued))
        assert one == other


def test_repeated_phase_has_its_own_draws():
    more = '\n[[sessions]]\nid = "1"\nphases = ["rest", "training", "training"]\n'
    protocol = protocol_with(
        ('order = ["warm", "hot"]', "counts = { warm = 8, hot = 8 }\nshuffle = true"), more=more
    )
    timeline = expand(protocol, seed=1)
    first, second = ([s.level for s in timeline.heats if s.phase == phase] for phase in (1, 2))
    assert sorted(first) == sorted(second)
    assert first != second
    assert timeline.phases[1].site == "left"
    assert timeline.phases[2].site == "right"


def test_random_generators_are_named():
    assert random_generator(1, "a", "b").random() == random_generator(1, "a", "b").random()
    draws = {
        random_generator(seed, *names).random()
        for seed in (1, 2)
        for names in (("a", "b"), ("b", "a"), ("a",))
    }
    assert len(draws) == 6


def test_timeline_of_small_protocol():
    timeline = expand(
        protocol_with(more='\n[[phases]]\nname = "end"\nkind = "pause"\neyes = "closed"\nduration_s = 5.0\n')
    )
    kinds = [(step.kind, step.level) for step in timeline.steps]
    trial = ("anticipation", "heat", "relief", "rating")
    assert kinds == [
        ("phase", None),
        ("rest", None),
        ("phase", None),
        *((kind, "warm") for kind in trial),
        *((kind, "hot") for kind in trial),
        ("phase", None),
        ("pause", None),
        ("end", None),
    ]
    heat = timeline.heats[1]
    assert heat.duration_s == heat.profile.duration_s == 14 / 8 + 5 + 14 / 8
    assert timeline.heat_onsets_s == (32.0, 32.0 + 4.0 + 3.0 + 6.0 + 2.0)
    assert timeline.steps[6].scales[0].name == "intensity"
    assert timeline.eyes == ((0.0, "open"), (timeline.phases[2].onset_s, "closed"))
    assert timeline.phases[0].collects == "rest"
    assert timeline.phases[1].feedback == "rest"
    assert heat.end_s == heat.onset_s + heat.duration_s


CALIBRATED = ("celsius = 46.0", "pain = 60.0\nfallback_c = 45.0")


def test_calibrated_temperatures_replace_pain_levels():
    protocol = protocol_with(CALIBRATED, more="\n[calibration]\n")
    assert expand(protocol).heats[1].profile.target_c == 45.0
    assert expand(protocol, temperatures={"hot": 47.1}).heats[1].profile.target_c == 47.1
    both = {"hot": 47.1, "hot@right": 46.0}
    assert expand(protocol, temperatures=both).heats[1].profile.target_c == 46.0
    with pytest.raises(WrongInput, match="level 'warm' is 36 °C in the protocol"):
        expand(protocol, temperatures={"warm": 40.0})
    with pytest.raises(UnknownName, match="a temperature is given for level 'hott'; did you mean 'hot'"):
        expand(protocol, temperatures={"hott": 40.0})


def test_new_temperatures_shift_later_steps_and_keep_draws():
    protocol = protocol_with(
        CALIBRATED,
        ('order = ["warm", "hot"]', "counts = { warm = 4, hot = 4 }\nshuffle = true"),
        ("anticipation_s = 2.0", "anticipation_s = [2.0, 6.0]"),
        more="\n[calibration]\n",
    )
    before, after = expand(protocol, seed=3), expand(protocol, seed=3, temperatures={"hot": 46.0})
    assert [step.level for step in before.heats] == [step.level for step in after.heats]
    n_hot = sum(step.level == "hot" for step in before.heats)
    assert after.duration_s - before.duration_s == pytest.approx(n_hot * 2 / 8)
    assert [replace(s, onset_s=0.0) for s in before.steps if s.kind == "anticipation"] == [
        replace(s, onset_s=0.0) for s in after.steps if s.kind == "anticipation"
    ]


def test_level_below_baseline_stays_at_baseline():
    protocol = protocol_with(("celsius = 36.0", "celsius = 30.0"))
    assert expand(protocol).heats[0].profile.target_c == 32.0
