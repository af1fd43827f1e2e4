"""Whole sessions on a manual clock, judged by what pyxdf reads in their record."""

import json
from dataclasses import replace

import numpy as np
import pytest
from session_parts import START_S, command, run

from neurofb.engine.planning import Asked, plan_session
from neurofb.engine.session_log import N_LISTENER_ERRORS
from neurofb.errors import NeurofbError, RecordingFailed, WrongInput
from neurofb.events import Event
from neurofb.stimulation.driver import STATES
from neurofb.stimulation.heat_profile import contact_line_s

BASELINE_C = 32.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return run(tmp_path_factory.mktemp("demo"))


def times(ran, stream):
    return ran.streams[stream]["time_stamps"]


# -- the record ----------------------------------------------------------------------------------------------------


def test_record_holds_all_streams_on_one_time_axis(demo):
    assert demo.outcome.exit_code == 0
    assert demo.outcome.kind == "finished"
    end_s = START_S + 90
    for name in (
        "simulated",
        "neurofb-placement",
        "neurofb-features",
        "neurofb-feedback",
        "neurofb-stimulus",
    ):
        stamps = times(demo, name)
        assert len(stamps) > 10
        assert START_S - 0.1 <= stamps[0]
        assert stamps[-1] <= end_s + 0.1
    kinds = {event["kind"] for event in demo.events}
    assert kinds >= {
        "start",
        "phase",
        "step",
        "heat_fired",
        "heat_ended",
        "prompt",
        "rating",
        "fitted",
        "loop",
        "end",
    }
    assert [event["details"]["name"] for event in demo.of_kind("phase")] == ["welcome", "rest", "training"]
    assert len(demo.of_kind("heat_fired")) == 4
    assert len(demo.of_kind("rating")) == 8


def test_each_sample_is_recorded_once(demo):
    eeg = demo.streams["simulated"]
    n = len(eeg["time_stamps"])
    assert n == pytest.approx(90 * 250, abs=10)
    np.testing.assert_allclose(np.diff(eeg["time_stamps"]), 1 / 250, atol=1e-9)
    sample_map = demo.streams["neurofb-placement"]["time_series"]
    assert sample_map[:, 1].sum() == n
    np.testing.assert_array_equal(
        sample_map[:, 0], sample_map[:, 2]
    )  # nothing was lost, so places are counts


def test_same_seed_gives_same_bytes(demo, tmp_path):
    again, other = run(tmp_path / "again"), run(tmp_path / "other", seed=2)
    recorded = (demo.folder / "recording.xdf").read_bytes()
    assert (again.folder / "recording.xdf").read_bytes() == recorded
    assert (other.folder / "recording.xdf").read_bytes() != recorded


def test_phases_and_stimuli_start_on_time(demo):
    for event in (*demo.of_kind("phase"), *demo.of_kind("step")):
        assert event["time_s"] - event["details"]["due_s"] == pytest.approx(0, abs=0.005)
    for event in demo.of_kind("heat_fired"):
        assert event["details"]["fired_s"] - event["details"]["scheduled_s"] == pytest.approx(0, abs=0.005)


def test_temperature_follows_protocol_within_envelope(demo):
    measured = demo.column("neurofb-stimulus", "measured_c")
    assert measured.max() == pytest.approx(46, abs=0.3)
    assert measured[-1] == pytest.approx(BASELINE_C, abs=0.2)
    dt_s = np.diff(times(demo, "neurofb-stimulus"))
    dose = sum(dt / contact_line_s(c) for dt, c in zip(dt_s, measured[1:], strict=True))
    ledger = json.loads((demo.folder / "heat-ledger.json").read_text())
    assert ledger["left forearm"] == pytest.approx(dose, rel=0.05)
    states = demo.column("neurofb-stimulus", "state")
    assert {STATES[int(s)] for s in states} >= {"baseline", "armed", "rising", "plateau", "returning"}


def test_feedback_is_in_blocks_only_and_none_at_heat_onsets(demo):
    index, usable = demo.column("neurofb-feedback", "index"), demo.column("neurofb-feedback", "usable")
    begun = demo.of_kind("block")[0]["index"]
    assert not usable[index < begun].any()
    assert usable[index > begun].mean() > 0.5
    for onset in (e["index"] for e in demo.of_kind("loop") if e["details"]["do"] == "heat_onset"):
        evoked = (index > onset + 5) & (index < onset + 1.4 * 250)
        assert not usable[evoked].any()
    reward = demo.column("neurofb-feedback", "reward")
    assert not (reward[usable == 0]).any()


def test_ratings_hold_prompt_and_answer_and_hot_exceeds_warm(demo):
    rated = {"warm": [], "hot": []}
    for event in demo.of_kind("rating"):
        details = event["details"]
        assert details["answered_s"] > details["prompted_s"]
        rated[details["level"]].append(details["value"])
    assert min(rated["hot"]) > max(rated["warm"])


def test_status_document_has_all_keys_of_screens(demo):
    status = demo.statuses[len(demo.statuses) // 2]
    assert set(status) >= {
        "session", "participant", "protocol", "title", "state", "now_s", "clock_s", "progress", "left_s", "phase",
        "step", "timeline", "feedback", "prompt", "heat", "ratings", "channels", "features", "latency_ms", "stream",
        "recording", "message", "ended",
    }  # fmt: skip
    assert status["phase"]["name"] == "training"
    assert 0 < status["progress"] < 1
    assert status["left_s"] == pytest.approx(90 - status["now_s"], abs=0.01)
    assert demo.statuses[-1]["ended"]["outcome"] == "finished"
    json.dumps(demo.statuses, allow_nan=False)


def test_arm_is_in_no_file_of_the_session(tmp_path):
    ran = run(tmp_path, [(10, command("end"))], protocol="zeidan-adapted", arm="sham_mindfulness")
    for path in ran.folder.rglob("*"):
        if path.name != "protocol.toml":
            assert b"sham_mindfulness" not in path.read_bytes()


def test_arm_is_appended_to_allocation_list(tmp_path):
    """The list is kept apart: a hash of a word from a short list would be no seal."""
    allocation = tmp_path / "elsewhere" / "allocation.jsonl"
    for _ in range(2):
        asked = {"protocol": "zeidan-adapted", "arm": "book", "allocation": allocation}
        run(tmp_path / "data", [(1, command("end"))], **asked)
    entries = [json.loads(line) for line in allocation.read_text().splitlines()]
    assert [(each["participant"], each["arm"]) for each in entries] == [("P01", "book")] * 2
    with pytest.raises(WrongInput, match="lies inside the dataset"):
        run(tmp_path / "data", **{**asked, "allocation": tmp_path / "data" / "list.jsonl"})


# -- what is asked from outside ------------------------------------------------------------------------------------


def test_commands_that_raise_heat_are_refused_and_logged(tmp_path):
    acts = [
        (30, '{"command": "heat", "target_c": 49, "session": "UID"}'),
        (30, '{"command": "resume", "session": "UID", "temperature": 50}'),
        (30, "heat now"),
        (30, command("button")),
        (30, command("rating", prompt="p99", value=3)),
        (30, command("resume")),
        (31, command("end")),
    ]
    ran = run(tmp_path, acts)
    refused = [event["message"] for event in ran.of_kind("refused")]
    assert [any(words in text for text in refused) for words in (
        "'heat' would start or raise heat", "'resume' would start or raise heat", "a command is a JSON document",
        "the method of limits only", "no prompt 'p99'", "it is not paused",
    )] == [True] * 6  # fmt: skip
    assert ran.of_kind("heat_fired") == []
    assert ran.outcome == type(ran.outcome)("ended", "ended before its time", 0)


def test_command_for_another_session_is_ignored(tmp_path):
    other = command("end").replace("UID", "somebody else")
    ran = run(tmp_path, [(5, other), (10, '{"command": "end"}'), (12, command("end"))])
    assert ran.of_kind("end")[0]["time_s"] == pytest.approx(START_S + 12, abs=0.1)
    assert "does not say which session" in ran.of_kind("refused")[0]["message"]


@pytest.mark.parametrize("by", ["participant", "operator"])
def test_stop_ends_heat_at_once_and_session(tmp_path, by):
    """On the plateau of the first hot stimulus; without a confirmation, without a session's name."""
    ran = run(tmp_path, [(49, json.dumps({"command": "stop", "by": by}))])
    assert ran.outcome.exit_code == 4
    assert ran.outcome.kind == "stopped"
    stamps = times(ran, "neurofb-stimulus") - START_S
    target = ran.column("neurofb-stimulus", "target_c")
    assert target[stamps < 49][-1] == 46
    assert (target[stamps > 49.1] == BASELINE_C).all()
    assert ran.column("neurofb-stimulus", "measured_c")[-1] == pytest.approx(BASELINE_C, abs=1)
    assert ran.of_kind("state")[-1]["details"]["after"] == "aborted"


def test_pause_ends_stimulus_and_moves_the_rest(tmp_path):
    ran = run(tmp_path, [(49, command("pause")), (69, command("resume"))])
    assert ran.outcome.exit_code == 0
    assert ran.of_kind("end")[0]["time_s"] == pytest.approx(START_S + 110, abs=0.1)
    stamps, measured = times(ran, "neurofb-stimulus") - START_S, ran.column("neurofb-stimulus", "measured_c")
    assert measured[(stamps > 51) & (stamps < 69)].max() < BASELINE_C + 1
    usable, index = ran.column("neurofb-feedback", "usable"), ran.column("neurofb-feedback", "index")
    assert not usable[(index > 49.1 * 250) & (index < 68.9 * 250)].any()
    assert len(ran.of_kind("heat_fired")) == 4


def test_paused_baseline_is_collected_anew(tmp_path):
    ran = run(tmp_path, [(15, command("pause")), (25, command("resume"))])
    told = [(e["details"]["do"], e["index"] / 250) for e in ran.of_kind("loop")][:5]
    assert [do for do, _ in told] == ["collect", "discard", "collect", "collected", "fit"]
    assert told[3][1] - told[2][1] == pytest.approx(24, abs=0.1)


def test_notes_are_logged(tmp_path):
    ran = run(tmp_path, [(5, command("mark", text="coughed")), (6, command("end"))])
    assert [event["message"] for event in ran.of_kind("note")] == ["coughed"]


def test_rating_of_ninety_lowers_heat_and_two_in_a_row_end_block(tmp_path):
    """The ratings of the first two trials, given before the simulated participant has thought."""
    acts = []
    for prompt, at_s in (("p1", 37.05), ("p3", 53.55)):
        acts.append((at_s, command("rating", by="participant", prompt=prompt, value=95)))
    ran = run(tmp_path, acts)
    assert len(ran.of_kind("heat_lowered")) == 2
    assert [e["message"] for e in ran.of_kind("heat_rule_end_block")] == [
        "2 trials in a row were too much: this block ends"
    ]
    assert len(ran.of_kind("heat_fired")) == 2
    assert ran.outcome.kind == "finished"


# -- what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["stuck@47.2", "runaway@49", "lost@49", "wrong_readback@48:3", "stale@48"])
def test_stimulator_fault_ends_at_baseline_with_exit_code_4(tmp_path, fault):
    ran = run(tmp_path, thermode_faults=(fault,))
    assert ran.outcome.exit_code == 4
    assert ran.of_kind("heat_fault")
    assert ran.of_kind("end")[0]["details"]["outcome"] == "aborted"
    assert ran.column("neurofb-stimulus", "target_c")[-1] == BASELINE_C


def test_lost_stream_pauses_and_session_resumes(tmp_path):
    ran = run(tmp_path, headset_faults=("disconnect@49+10",))
    assert ran.outcome.exit_code == 0
    assert [e["details"]["after"] for e in ran.of_kind("state")] == [
        "preparing", "running", "paused", "running", "stopping", "finished",
    ]  # fmt: skip
    sample_map = ran.streams["neurofb-placement"]["time_series"]
    gaps = sample_map[1:, 0] - (sample_map[:-1, 0] + sample_map[:-1, 1])
    assert gaps.sum() == pytest.approx(2500, abs=10)


def test_stream_lost_for_long_ends_session(tmp_path):
    ran = run(tmp_path, headset_faults=("disconnect@49+100",))
    assert ran.outcome.exit_code == 3
    assert ran.outcome.message.startswith("no EEG for 30 s; the session is over. Look at the headset")


class _ComesBackChanged:
    """A source whose stream, once lost, is there again under a description that does not fit."""

    def __init__(self, source):
        self._source, self._told = source, False

    def __getattr__(self, name):
        return getattr(self._source, name)

    @property
    def state(self):
        return "changed" if self._source.state == "lost" else self._source.state

    def pull(self, timeout_s=0.0):
        batch = self._source.pull(timeout_s)
        if self.state != "changed" or self._told:
            return batch
        self._told = True
        event = Event("changed", batch.events[-1].time_s, "'X' is there again, but not as it was: 4 channels")
        return replace(batch, events=[*batch.events, event])


def test_stream_that_comes_back_changed_is_told_holds_heat_and_ends_session(tmp_path):
    def prepare(assembled):
        engine = assembled.engine
        engine._source = engine._hop_waiter._source = _ComesBackChanged(engine._source)

    ran = run(tmp_path, headset_faults=("disconnect@40+100",), prepare=prepare)
    assert ran.outcome.exit_code == 3
    assert ran.outcome.message.startswith(
        "no EEG for 30 s; the session is over. 'X' is there again, but not as"
    )
    told_s = ran.of_kind("changed")[0]["time_s"]
    assert not any(event["time_s"] > told_s for event in ran.of_kind("heat_armed"))
    after = times(ran, "neurofb-feedback") > told_s
    assert not ran.column("neurofb-feedback", "usable")[after].any()
    assert not ran.column("neurofb-feedback", "reward")[after].any()
    states = [event["details"]["after"] for event in ran.of_kind("state")]
    assert states[:4] == ["preparing", "running", "paused", "stopping"]


def test_failed_disk_ends_session_stimulus_first(tmp_path):
    def prepare(assembled):
        recorder = assembled.session_log._recorder
        flush = recorder.flush

        def failing(now_s):
            if now_s > START_S + 48:
                raise RecordingFailed("the recording cannot go on: No space left on device")
            flush(now_s)

        recorder.flush = failing

    ran = run(tmp_path, prepare=prepare)
    assert ran.outcome.exit_code == 3
    assert "No space left" in ran.outcome.message
    kinds = [event["kind"] for event in ran.events]
    assert kinds.index("heat_aborted") < kinds.index("end")
    assert ran.column("neurofb-stimulus", "target_c")[-1] == BASELINE_C


def test_failing_view_is_logged_once_and_changes_no_feedback(demo, tmp_path):
    seen = []

    def prepare(assembled):
        def fail(status):
            seen.append(status.state)
            raise RuntimeError("no colours")

        assembled.engine._on_status = fail

    ran = run(tmp_path, prepare=prepare)
    assert ran.outcome.exit_code == 0
    (error,) = ran.of_kind("error")
    assert "no colours" in error["message"]
    assert len(seen) > 10  # the next picture is drawn all the same
    np.testing.assert_array_equal(
        ran.streams["neurofb-feedback"]["time_series"], demo.streams["neurofb-feedback"]["time_series"]
    )


def test_failing_event_listener_is_logged_once_and_hears_the_next_event(tmp_path):
    """A line that a terminal cannot show silenced all later ones of the session."""
    heard = []

    def fail(event):
        heard.append(event.kind)
        if event.kind in ("phase", "command"):
            raise RuntimeError("no paper")

    ran = run(tmp_path, [(4, command("mark", text="a")), (5, command("end"))], on_event=fail)
    assert ran.outcome.exit_code == 0
    (error,) = ran.of_kind("error")
    assert error["message"] == "the listener of events missed one: RuntimeError('no paper')"
    kinds = [event["kind"] for event in ran.events]
    first = min(kinds.index("phase"), kinds.index("command"))
    assert kinds.index("error") == first + 1
    assert heard == kinds


def test_listener_that_fails_differently_each_time_does_not_fill_the_record(tmp_path):
    def fail(event):
        raise RuntimeError(f"number {len(seen)} {seen.append(event)}")

    seen: list[object] = []
    marks = [(1 + 0.2 * i, command("mark", text="a")) for i in range(20)]
    ran = run(tmp_path, [*marks, (6, command("end"))], on_event=fail)
    assert len(seen) == len(ran.events) > 20
    assert len(ran.of_kind("error")) == N_LISTENER_ERRORS


def test_interrupt_ends_in_order(tmp_path):
    def prepare(assembled):
        act = assembled.engine._each_step[0]

        def interrupting(now_s):
            act(now_s)
            if now_s > START_S + 49:
                assembled.engine.interrupt()

        assembled.engine._each_step = (interrupting,)

    ran = run(tmp_path, prepare=prepare)
    assert ran.outcome.exit_code == 130
    kinds = [event["kind"] for event in ran.events]
    assert kinds.index("heat_aborted") < kinds.index("end")
    assert all(stream["footer"] for stream in ran.streams.values())


def test_runs_are_numbered_and_earlier_heat_counts(tmp_path):
    first, second = run(tmp_path), run(tmp_path)
    assert (first.folder.name[-6:], second.folder.name[-6:]) == ("run-01", "run-02")
    used = [
        json.loads((ran.folder / "heat-ledger.json").read_text())["left forearm"] for ran in (first, second)
    ]
    assert used[1] == pytest.approx(2 * used[0], rel=0.1)


def test_baseline_of_earlier_session_is_used(tmp_path):
    first = run(tmp_path / "a")
    ran = run(tmp_path / "b", baseline=first.folder, seed=3)
    assert "fit" not in [event["details"]["do"] for event in ran.of_kind("loop")]
    assert ran.column("neurofb-feedback", "usable").any()


# -- bad input: nothing is started, nothing written ----------------------------------------------------------------


@pytest.mark.parametrize(
    "asked, words",
    [
        ({"participant": "Ann 1990-01-02"}, "looks like a date"),
        ({"participant": "ann@example.org"}, "looks like an e-mail address"),
        ({"device": "muse-2"}, "there is no region 'frontal_midline'"),
        ({"device": "nosuch"}, "no device profile 'nosuch'"),
        ({"protocol": "nosuch"}, "no protocol 'nosuch'"),
        ({"protocol": "zeidan-adapted"}, "several arms"),
        ({"session": "x", "protocol": "zeidan-adapted", "arm": "book"}, "no session 'x'"),
    ],
)
def test_wrong_input_is_refused_before_start(tmp_path, asked, words):
    words_given = {"protocol": "demo", "device": "simulated", "participant": "P01", **asked}
    with pytest.raises(NeurofbError, match=words):
        plan_session(Asked(**words_given, data=tmp_path / "data", simulate=True))
    assert not (tmp_path / "data").exists()


def test_all_problems_are_reported_at_once(tmp_path):
    asked = Asked("nosuch", "nothing", "a b", data=tmp_path, simulate=True, baseline=tmp_path / "none")
    with pytest.raises(WrongInput) as caught:
        plan_session(asked)
    for words in (
        "4 things are wrong",
        "no protocol 'nosuch'",
        "no device profile 'nothing'",
        "has a space",
        "no baseline in",
    ):
        assert words in str(caught.value)
    assert caught.value.exit_code == 2
