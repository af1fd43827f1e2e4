"""Spans of a session on both clocks: BIDS, MNE's annotations and the report agree, however the session went."""

import functools
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from offline_parts import session
from session_parts import command

import neurofb
from neurofb.events import Event
from neurofb.offline.annotations import SampleTimes, annotate
from neurofb.offline.bids.events import event_rows
from neurofb.offline.bids.tables import EVENT_COLUMNS
from neurofb.offline.report.facts import facts_of
from neurofb.offline.report.reward_stats import reasons_of
from neurofb.recording.session_recording import open_session_recording

RATE_HZ, FIRST_S = 100.0, 500.0
#: Phases and the samples of their values: as late as samples are on a manual clock.
DELAY_S = 0.05

ACTS = {
    "whole": [],
    "block cut by a pause": [(17.0, command("pause")), (19.0, command("resume"))],
    "stimulus cut by a pause": [(23.5, command("pause")), (26.0, command("resume"))],
    "stopped in a stimulus": [(23.0, command("stop"))],
    "stopped in a pause": [(23.5, command("pause")), (26.0, command("stop"))],
    "ended in a step": [(20.4, command("end"))],
    "broken off": [],
}
_FOLDER = tempfile.TemporaryDirectory(prefix="neurofb-annotations-")


@functools.cache
def recorded(name):
    """The folder of a session that went so."""
    if name == "broken off":
        broken = Path(shutil.copytree(recorded("whole"), Path(_FOLDER.name) / "broken"))
        content = (broken / "recording.xdf").read_bytes()
        (broken / "recording.xdf").write_bytes(content[: int(len(content) * 0.62)])
        return broken
    data = Path(_FOLDER.name) / name.replace(" ", "-")
    data.mkdir()
    return session(data, ACTS[name]).folder


@pytest.fixture(params=ACTS, scope="module")
def both(request):
    """A session as MNE and BIDS get it, and the facts of its report."""
    folder = recorded(request.param)
    return neurofb.read_session(folder), facts_of(open_session_recording(folder))


def bids_spans(session, kind):
    """Onset and end of the rows of events.tsv of a kind."""
    at = 2 + list(EVENT_COLUMNS).index("trial_type")
    rows = event_rows(session, [])
    return np.array([(row[0], row[0] + row[1]) for row in rows if row[at].split("/")[0] == kind]).reshape(
        -1, 2
    )


def report_spans(session, facts, kind):
    """The spans of the report, on the sample clock."""
    found = facts.annotations.of_kind(kind)
    times_s = facts.annotations.zero_s + np.array([(each.start_s, each.end_s) for each in found]).reshape(
        -1, 2
    )
    spans = session.onset_s(times_s)
    return np.clip(spans[spans[:, 0] < session.duration_s], 0, session.duration_s)


@pytest.mark.parametrize("kind", ["phase", "step", "heat", "rating", "pause"])
def test_bids_and_report_agree_on_spans_between_times(both, kind):
    session, facts = both
    np.testing.assert_allclose(bids_spans(session, kind), report_spans(session, facts, kind), atol=2e-6)


def test_bids_and_report_agree_on_blocks(both):
    """By their samples to the sample; between their times within the delay of samples."""
    session, facts = both
    spans, blocks = bids_spans(session, "feedback"), [block.span for block in facts.blocks]
    assert len(spans) == len(blocks) > 0
    np.testing.assert_array_equal(np.round(spans * 250), [(block.first, block.stop) for block in blocks])
    np.testing.assert_allclose(spans, report_spans(session, facts, "feedback"), atol=DELAY_S)


def test_mne_and_bids_have_the_same_annotations(both):
    session, _ = both
    raw = session.raw()
    ours = sorted((round(a.onset_s, 6), a.description) for a in session.annotations)
    theirs = [(round(a["onset"], 6), a["description"]) for a in raw.annotations]
    assert ours == sorted(each for each in theirs if not each[1].startswith("BAD_"))
    at = 2 + list(EVENT_COLUMNS).index("trial_type")
    assert ours == sorted((row[0], row[at]) for row in event_rows(session, []))


def test_values_of_a_phase_begin_within_the_delay_of_samples(both):
    session, facts = both
    for phase in facts.annotations.phases:
        if phase.onset_s < session.duration_s:
            assert phase.onset_s - DELAY_S <= phase.first / 250 <= phase.onset_s + 1e-6


def test_artifacts_in_blocks_are_the_counted_reasons(both):
    """The report's counts of withheld values are the values within BIDS' artifacts."""
    session, facts = both
    given, reasons = session.feedback, np.array(reasons_of(session.recording), dtype=object)
    inside = np.zeros(len(reasons), dtype=bool)
    for each in (a for a in session.annotations if a.kind == "artifact"):
        in_it = (given["index"] >= each.first) & (given["index"] < each.stop)
        assert {why.partition(":")[0] for why in reasons[in_it]} == {each.name}
        inside |= in_it
    blocks = [(given["index"] >= b.span.first) & (given["index"] < b.span.stop) for b in facts.blocks]
    artifacts = ("blink", "movement", "jump", "muscle", "bad contact")
    is_artifact = np.array([why.partition(":")[0] in artifacts for why in reasons])
    in_blocks = np.any(blocks, axis=0)
    assert np.sum(inside & in_blocks) == np.sum(is_artifact & in_blocks)


def test_pause_ends_a_block_and_the_next_begins_after_it():
    facts = facts_of(open_session_recording(recorded("block cut by a pause")))
    (pause,) = facts.annotations.of_kind("pause")
    before, after = facts.annotations.blocks
    assert (before.end_s, after.start_s) == pytest.approx((pause.start_s, pause.end_s), abs=0.01)
    assert "result" not in before.details
    assert after.details["result"]["condition"] == "rest"
    assert [each.label for each in (before, after)] == ["block 1", "block 2"]


def test_step_ends_with_its_phase():
    """A step that the session's end cuts lasted no longer than its phase, not as long as was planned."""
    found = annotate(open_session_recording(recorded("ended in a step")))
    step, phase = found.of_kind("step")[-1], found.phases[-1]
    assert step.name == "cue/hot"
    assert step.end_s == pytest.approx(phase.end_s)
    assert step.duration_s < 0.5


def test_stopped_stimulus_lasts_until_baseline_and_has_its_dose():
    """The guard aborts at once; heat lasts until the probe is at baseline, and that event has the dose."""
    facts = facts_of(open_session_recording(recorded("stopped in a stimulus")))
    (stimulus,), (span,) = facts.stimuli, facts.annotations.of_kind("heat")
    aborted, ended = (
        next(e for e in facts.recording.events if e.kind == kind) for kind in ("heat_aborted", "heat_ended")
    )
    assert stimulus.end == "aborted"
    assert aborted.time_s < ended.time_s
    assert facts.annotations.zero_s + span.end_s == pytest.approx(ended.time_s)
    assert stimulus.dose == ended.details["dose"] > 0


# -- events made for a test ----------------------------------------------------------------------------------------


def given(*events, n_samples=10_000):
    """A recording of such events: (kind, time from the first sample on in s, details)."""
    nothing = {"time_s": np.empty(0)}
    found = [
        Event(kind, FIRST_S + at_s, kind, round(at_s * RATE_HZ), details) for kind, at_s, details in events
    ]
    return SimpleNamespace(
        events=found,
        n_samples=n_samples,
        rate_hz=RATE_HZ,
        times_s=lambda start, stop: FIRST_S + np.arange(start, min(stop, n_samples)) / RATE_HZ,
        features=nothing,
        feedback=nothing,
        stimulus=nothing,
    )


def state(at_s, after):
    return ("state", at_s, {"after": after})


def phase(at_s, name="training"):
    return ("phase", at_s, {"name": name, "phase_kind": "training", "number": 0, "due_s": at_s})


def fired(at_s):
    return ("heat_fired", at_s, {"fired_s": FIRST_S + at_s, "scheduled_s": FIRST_S + at_s, "site": "arm"})


@pytest.mark.parametrize(
    "details, begins_s",
    [({"onset_s": FIRST_S + 10.2}, 10.2), ({}, 10.0), ({"onset_s": "?"}, 10.0), (None, 10.0)],
)
def test_stimulus_begins_when_its_device_says_so(details, begins_s):
    """Where the device reported no onset, when it was told to; that of the next stimulus is not its own."""
    told = [] if details is None else [("heat_onset", 10.4, details)]
    later = [fired(30.0), ("heat_onset", 30.4, {"onset_s": FIRST_S + 30.3})]
    found = annotate(given(fired(10.0), *told, ("heat_ended", 15.0, {}), *later))
    first, second = (each for each in found.with_samples() if each.kind == "heat")
    start_s = next(each for each in found.with_samples() if each.kind == "heat").start_s
    assert first.details["late_s"] == pytest.approx(begins_s - 10.0)
    assert second.details["late_s"] == pytest.approx(0.3)
    assert second.start_s - start_s == pytest.approx(30.3 - begins_s)


def spans(found, kind):
    return [(round(a.onset_s, 6), round(a.duration_s, 6)) for a in found if a.kind == kind]


def test_both_clocks_have_their_own_zero():
    found = annotate(given(state(3.0, "running"), phase(5.0), ("end", 9.0, {"outcome": "finished"})))
    (training,) = found.phases
    assert (training.onset_s, training.duration_s) == pytest.approx((5.0, 4.0))
    assert (training.start_s, training.end_s) == pytest.approx((2.0, 6.0))
    assert (training.first, training.stop) == (500, 900)
    assert (found.zero_s, found.end_s, found.outcome) == (503.0, 6.0, "finished")


def test_pause_lasts_until_the_next_state_or_the_end():
    states = [state(1.0, "running"), state(5.0, "paused"), state(7.5, "running"), state(9.0, "paused")]
    assert spans(annotate(given(*states)).with_samples(), "pause") == [(5.0, 2.5), (9.0, 91.0)]
    stopped = given(*states, state(12.0, "stopping"), ("end", 12.0, {}))
    assert spans(annotate(stopped).with_samples(), "pause") == [(5.0, 2.5), (9.0, 3.0)]


def test_block_without_an_end_ends_with_the_session():
    """Samples that came after the session's end belong to no block."""
    begun = ("loop", 10.0, {"do": "start_block", "condition": "rest"})
    assert spans(annotate(given(begun)).with_samples(), "feedback") == [(10.0, 90.0)]
    ended = annotate(given(begun, ("end", 20.0, {})))
    assert spans(ended.with_samples(), "feedback") == [(10.0, 10.0)]
    assert (ended.blocks[0].first, ended.blocks[0].stop) == (1000, 2000)


def test_stimulus_without_an_end_lasts_until_the_next():
    first, second = fired(10.0), fired(30.0)
    found = annotate(given(state(0.0, "running"), first, second, ("heat_ended", 35.0, {"dose": 0.2})))
    assert spans(found.with_samples(), "heat") == [(10.0, 20.0), (30.0, 5.0)]
    assert [a.details["end"] for a in found.of_kind("heat")] == ["end not recorded", "ended"]


def test_aborted_stimulus_lasts_until_baseline():
    cut = [("heat_fault", 12.0, {}), ("heat_aborted", 12.0, {}), ("heat_ended", 14.0, {"dose": 0.1})]
    found = annotate(given(fired(10.0), *cut, ("heat_aborted", 50.0, {})))
    assert spans(found.with_samples(), "heat") == [(10.0, 4.0)]
    (heat,) = found.of_kind("heat")
    assert (heat.details["end"], heat.details["dose"]) == ("fault", 0.1)


def test_stimulus_of_a_calibration_has_its_phase():
    found = annotate(given(phase(0.0, "warm_up"), phase(5.0, "find_levels"), fired(10.0)))
    (heat,) = found.of_kind("heat")
    assert (heat.details["phase"], heat.details["phase_label"]) == ("find_levels", "find levels")


def step(at_s, name, duration_s, due_s=None):
    details = {"step": name, "level": None, "phase": 0, "trial": 1, "duration_s": duration_s}
    return ("step", at_s, {**details, "due_s": FIRST_S + (at_s if due_s is None else due_s)})


def test_step_lasts_as_planned_unless_paused_or_cut():
    # The second one is done late, the third is cut by the next phase, the last is paused.
    events = [step(1.0, "cue", 2.0), step(3.008, "relief", 4.0, 3.0), step(7.0, "wait", 60.0), phase(20.0)]
    events[-1][2]["due_s"] = FIRST_S + 20.0
    paused = [
        step(30.0, "cue", 2.0),
        state(31.0, "paused"),
        state(36.0, "running"),
        step(37.0, "relief", 1.0),
    ]
    found = annotate(given(*events, *paused))
    assert spans(found.with_samples(), "step") == [
        (1.0, 2.0), (3.008, 4.0), (7.0, 13.0), (30.0, 7.0), (37.0, 1.0),
    ]  # fmt: skip


def test_only_spans_with_samples_go_to_mne_and_bids():
    found = annotate(given(("note", 5.0, {}), ("note", 120.0, {}), phase(90.0), ("end", 130.0, {})))
    assert len(found.of_kind("note")) == 2
    assert spans(found.with_samples(), "note") == [(5.0, 0.0)]
    assert spans(found.with_samples(), "phase") == [(90.0, 10.0)]


def test_recording_without_phases_is_one_in_the_report_alone():
    found = annotate(given(n_samples=400))
    assert [(each.name, each.first, each.stop) for each in found.phases] == [("recording", 0, 400)]
    assert found.with_samples() == []
    assert annotate(given(n_samples=0)).phases == ()


def test_times_lead_to_samples_and_beyond():
    times = SampleTimes(given(n_samples=100), RATE_HZ)
    np.testing.assert_allclose(times.index([499.9, 500.0, 500.505, 500.99, 502.0]), [-10, 0, 50.5, 99, 200])
    np.testing.assert_allclose(times.onset_s(500.505), 0.505)


def test_second_reason_of_one_sample_holds_from_then_on():
    """A value may come after its sample was stale: two feedback values of one sample, the later reason holds on."""
    recording = given()
    recording.events = [
        Event("withheld", 1.0, "stale: no value for more than 0.5 s", 8),
        Event("withheld", 1.1, "late: came after its sample was stale", 8),
    ]
    recording.feedback = {"index": np.array([8.0, 8, 16]), "usable": np.zeros(3)}
    first, second, third = reasons_of(recording)
    assert first.startswith("stale")
    assert second == third
    assert second.startswith("late")
