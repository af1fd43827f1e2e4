"""A session in the hands of people and programs that mean no good, or are in pain: heat becomes less, never more."""

import contextlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pylsl
import pytest
from session_parts import START_S, command, run

from neurofb import messages
from neurofb.clock import ManualClock
from neurofb.commands import run as run_command
from neurofb.commands import terminal
from neurofb.engine.earlier_dose import used_before, used_in
from neurofb.engine.sequencer import closing
from neurofb.errors import RecordingFailed, SafetyStop, StimulatorMissing, UnsafeHeat, WrongFile, WrongInput
from neurofb.loop.loop import Loop
from neurofb.lsl.session_streams import CommandInlet
from neurofb.lsl.text import TextInlet
from neurofb.protocol.ratings import Prompts, Scale, SimulatedRater
from neurofb.protocol.schedule import Schedule
from neurofb.signing import CommandGate, SessionKey
from neurofb.stimulation.calibration import Answer, CalibrationSettings, CalibrationVisit, PainCalibration
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.watchdog_log import WatchdogLog

BASELINE_C = 32.0
SHORT = str(Path(__file__).parents[1] / "parts" / "short-session.toml")

#: A calibration at one place, then a block at another.
CALIBRATES = """
neurofb = ">=0.1"
[study]
id = "finds"
title = "Finds temperatures"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
[heat]
sites = ["left forearm", "right forearm"]
[heat.levels.hot]
pain = 60.0
fallback_c = 45.0
plateau_s = PLATEAU
[calibration]
limits_n = 2
ladder_n = 4
ladder_step_c = 0.5
plateau_s = 1.0
verify_n = 1
[[scales]]
name = "intensity"
kind = "vas"
asks = "intensity"
question = "How strong was it?"
low = "not at all"
high = "as strong as I can imagine"
answer_s = 1.5
[[phases]]
name = "finding"
kind = "calibration"
duration_s = 200.0
[[phases]]
name = "move"
kind = "pause"
duration_s = 20.0
[[phases]]
name = "heat"
kind = "heat"
[phases.trials]
counts = { hot = 2 }
lead_s = LEAD
anticipation_s = 0.0
relief_s = 9.0
ratings = ["intensity"]
"""


def protocol(tmp_path, text=CALIBRATES, plateau="4.0", lead="3.0"):
    path = tmp_path / "finds.toml"
    path.write_text(text.replace("PLATEAU", plateau).replace("LEAD", lead))
    return str(path)


def stimulus(ran):
    return ran.streams["neurofb-stimulus"]["time_stamps"] - START_S, ran.column(
        "neurofb-stimulus", "measured_c"
    )


# -- what is heard from outside ------------------------------------------------------------------------------------

EVIL = [
    "[" * 100_000,
    "[" * 5_000,
    '{"command": "rating", "session": "UID", "prompt": "p1", "value": 1' + "0" * 400 + "}",
    '{"command": "rating", "session": "UID", "prompt": "p1", "value": 1' + "0" * 5_000 + "}",
    '{"command": "mark", "session": "UID", "text": "\\ud800"}',
    '{"command": "mark", "session": "UID", "by": "\\udc00", "text": "a"}',
    '{"command": "mark", "session": "UID", "text": ' + "[" * 600 + "]" * 600 + "}",
    '{"command": "rating", "session": "UID", "prompt": {"a": 1}, "value": 5}',
    "\ud800",
]


@pytest.mark.parametrize("text", EVIL, ids=range(len(EVIL)))
def test_malformed_document_is_refused(text):
    assert not messages.asks_to_stop(text, "UID")
    with pytest.raises(WrongInput):
        messages.Command.read(text)


def test_session_continues_and_records_malformed_commands(tmp_path):
    ran = run(tmp_path, [*((5, text) for text in EVIL), (6, command("end"))])
    assert ran.outcome.exit_code == 0
    assert len(ran.of_kind("refused")) == len(EVIL)


@pytest.mark.parametrize(
    "text",
    [
        '{"command": "stop"}',
        '{"command": "stop", "reason": "pain", "level": 95}',
        '{"command": "stop", "session": null, "by": null}',
    ],
)
def test_malformed_stop_is_obeyed(text):
    assert messages.asks_to_stop(text, "UID")
    assert messages.Command.read(text) == messages.Command("stop", {}, "", "")


class BadSender:
    """A pylsl inlet whose sender sends what is no text, then something worse, then a stop."""

    def __init__(self, *arguments, **options):
        self.samples = [
            UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid start byte"),
            ["[" * 100_000],
            ['{"command": "stop"}'],
        ]

    def name(self):
        return "bad"

    uid = name

    def pull_sample(self, timeout):
        if not self.samples:
            return None, None
        sample = self.samples.pop(0)
        if isinstance(sample, Exception):
            raise sample
        return sample, 0.0


def test_command_inlet_receives_stop_after_nonsense(monkeypatch):
    stops = []
    commands = CommandInlet(CommandGate("UID", SessionKey("UID")), stops.append)
    commands.close()  # its thread; the rest is called by hand
    monkeypatch.setattr(pylsl, "StreamInlet", BadSender)
    inlet = TextInlet(BadSender(), open_timeout_s=None)
    for _ in range(4):
        commands._receive(inlet, 0.0)
    assert stops == ['{"command": "stop"}']
    assert [each.name for each in commands.pop(10)] == ["stop"]
    refused = commands.pop_refused()
    assert [each.n for each in refused] == [1, 1]
    assert refused[0].asked == "no text, but bytes: b'\\xff\\xfe'"


# -- pauses --------------------------------------------------------------------------------------------------------


def test_pause_holds_calibration_and_is_no_answer(tmp_path):
    """Before a slow ramp begins and within it: that no button ended it says nothing about what hurts."""
    acts = [(0.2, command("pause")), (10, command("resume")), (25, command("pause")), (60, command("resume"))]
    ran = run(tmp_path, acts, protocol=protocol(tmp_path))
    times_s, measured = stimulus(ran)
    assert measured[(times_s > 20) & (times_s < 25)].max() > BASELINE_C + 3
    assert measured[times_s < 18].max() < BASELINE_C + 1
    assert measured[(times_s > 26) & (times_s < 68)].max() < BASELINE_C + 1
    assert ran.outcome.exit_code == 0
    result = ran.of_kind("calibrated_heat")[0]["details"]["result"]
    assert len([answer for answer in result["answers"] if answer[0] == "limits"]) == 2
    assert result["threshold_c"] == pytest.approx(SimulatedRater(1).threshold_c, abs=1.0)


def test_session_without_eeg_cannot_be_resumed(tmp_path):
    acts = [
        (5, command("resume")),
        (5.2, command("pause")),
        (14, command("resume")),
        (16, command("end")),
    ]
    ran = run(tmp_path, acts, headset_faults=("disconnect@2+6",))
    assert ran.outcome.exit_code == 0
    assert "the EEG is lost" in ran.of_kind("refused")[0]["message"]
    running = [e["time_s"] - START_S for e in ran.of_kind("state") if e["details"]["after"] == "running"]
    assert running[1] == pytest.approx(14, abs=0.1)


def test_lost_stream_in_pause_does_not_end_session(tmp_path):
    acts = [(40, command("pause")), (90, command("resume")), (91, command("end"))]
    ran = run(tmp_path, acts, headset_faults=("disconnect@42+40",))
    assert ran.outcome.exit_code == 0
    times_s, measured = stimulus(ran)
    assert measured[(times_s > 41) & (times_s < 90)].max() < BASELINE_C + 1
    changes = [(e["details"]["after"], e["time_s"] - START_S) for e in ran.of_kind("state")]
    assert changes[3] == ("running", pytest.approx(90, abs=0.1))
    assert any("stays paused" in event["message"] for event in ran.of_kind("paused"))


def test_prompt_waits_during_pause():
    scale = Scale(name="a", kind="vas", question="?", low="0", high="1", answer_s=3.0)
    prompts = Prompts()
    prompt = prompts.open(scale, 10.0)
    prompts.hold()
    assert prompts.expire(100.0) == []
    prompts.release(90.0)
    assert prompts.expire(102.9) == []
    assert prompts.answer(prompt.id, 5, 102.9).value == 5.0
    prompts.open(scale, 200.0)
    assert len(prompts.expire(203.1)) == 1


def test_phase_ended_in_pause_starts_no_sooner():
    step = type("S", (), {"duration_s": 5.0, "phase": 0})
    schedule = Schedule([step(), step(), step()], 0.0)
    schedule.pop_due(0.0)
    schedule.pause(2.0)
    schedule.skip_phase(0, 10.0)
    schedule.resume(12.0)
    assert schedule.next_due_s == pytest.approx(12.0)


def test_continue_is_refused_in_pause(tmp_path):
    acts = [(1, command("pause")), (2, command("continue")), (4, command("resume")), (5, command("continue"))]
    ran = run(tmp_path, [*acts, (9, command("end"))], protocol="breath-heat")
    assert "resume it first" in ran.of_kind("refused")[0]["message"]
    assert ran.of_kind("phase")[1]["time_s"] == pytest.approx(START_S + 5, abs=0.1)


# -- stimuli that are not given ------------------------------------------------------------------------------------


def fixed(tmp_path, lead="0.0"):
    text = CALIBRATES.replace("pain = 60.0\nfallback_c", "celsius")
    start, end = text.index("[calibration]"), text.index("[[scales]]")
    text = text[:start] + text[end:]
    start, end = text.index("[[phases]]"), text.index('[[phases]]\nname = "heat"')
    return protocol(tmp_path, text[:start] + text[end:], lead=lead)


def test_phase_starts_with_heat_when_first_samples_have_come(tmp_path):
    first_s = []

    def prepare(assembled):
        conditions = assembled.engine._conditions
        add = conditions.add_samples

        def added(chunk, now_s):
            first_s.append(now_s)
            add(chunk, now_s)

        conditions.add_samples = added

    ran = run(tmp_path, [(5, command("end"))], protocol=fixed(tmp_path), prepare=prepare)
    assert first_s[0] < START_S + 0.1
    assert ran.of_kind("heat_fired")[0]["time_s"] == pytest.approx(first_s[0], abs=0.02)
    assert [event["details"]["after"] for event in ran.of_kind("state")][:3] == [
        "preparing",
        "running",
        "stopping",
    ]


def test_missed_stimulus_is_logged_and_its_prompt_left_out(tmp_path):
    """The engine is away for three seconds in which the second stimulus is due, then everything comes at once."""

    def prepare(assembled):
        step, away = assembled.engine._step, []

        def late():
            now_s = assembled.engine._clock.now_s()
            if now_s > START_S + 16.6 and not away:
                away.append(now_s)
                assembled.engine._clock.wait_until(now_s + 3.0)
            step()

        assembled.engine._step = late

    ran = run(tmp_path, protocol=fixed(tmp_path), prepare=prepare)
    due = [e["details"]["due_s"] - START_S for e in ran.of_kind("heat_left_out")]
    assert len(due) == 1
    assert "s ago" in ran.of_kind("heat_left_out")[0]["message"]
    assert len(ran.of_kind("heat_fired")) == 1
    assert len(ran.of_kind("prompt_left_out")) == 1
    assert len(ran.of_kind("rating")) == 1


# -- calibration ---------------------------------------------------------------------------------------------------


def test_heat_is_checked_again_with_calibrated_temperatures(tmp_path):
    """Four of 60 s are within the budget at the assumed 45 °C; this participant's are hotter."""
    text = CALIBRATES.replace("hot = 2", "hot = 4").replace("ladder_n = 4", "ladder_n = 8")
    ran = run(tmp_path, protocol=protocol(tmp_path, text, plateau="60.0"))
    assert ran.outcome.exit_code == UnsafeHeat.exit_code
    assert "this session would give too much heat" in ran.outcome.message
    calibrated_s = ran.of_kind("calibrated_heat")[0]["time_s"]
    assert [e for e in ran.of_kind("heat_armed") if e["time_s"] > calibrated_s] == []
    assert (tmp_path / "sourcedata" / "neurofb" / "sub-P01" / "heat-left-forearm.json").exists()


def calibration(pains=(60.0,), **settings):
    settings = {"limits_n": 1, "ladder_n": 8, "verify_n": 2, **settings}
    return PainCalibration(CalibrationSettings(**settings), CalibrationVisit("P01", "arm"), pains, Envelope())


def test_calibration_stays_below_temperature_rated_too_much():
    """A protocol whose ladder goes on up to 100: a rating of 92 ends it, and all later stimuli are cooler."""
    finding = calibration(stop_rating=100.0, least_answers=3)
    finding.next()
    finding.add_answer(Answer(None, 44.0))
    for rating in (20.0, 30.0, 40.0, 92.0):
        hot_c = finding.next().profile.target_c
        if rating > 90:
            finding.not_above(hot_c - 1.0)
        finding.add_answer(Answer(rating, hot_c))
    given = []
    while (request := finding.next()) is not None:
        assert request.kind == "verify"
        given.append(request.profile.target_c)
        finding.add_answer(Answer(30.0, given[-1]))
    assert given
    assert max(given) <= hot_c - 1.0 + 1e-9
    assert max(finding.result().temperatures.values()) <= hot_c - 1.0 + 1e-9


def test_two_ratings_of_ninety_in_a_row_end_calibration(tmp_path, monkeypatch):
    """Every answer of the participant is 95."""
    monkeypatch.setattr(SimulatedRater, "answer", lambda *_: (95.0, 0.0))
    path = tmp_path / "p.toml"
    path.write_text(
        Path(protocol(tmp_path)).read_text().replace("ladder_n = 4", "ladder_n = 4\nstop_rating = 100.0")
    )
    ran = run(tmp_path, protocol=str(path))
    rated = ran.of_kind("rating")
    assert len(rated) <= 2
    assert ran.outcome.kind == "aborted"
    assert "no temperatures for 'P01'" in ran.outcome.message
    assert len(ran.of_kind("heat_rule_lower")) == len(rated)


# -- the end -------------------------------------------------------------------------------------------------------


def test_abort_by_watchdog_ends_session(tmp_path):
    def prepare(assembled):
        client, act = assembled.engine._stimulus_control._client, assembled.engine._each_step[0]

        def losing_trust(now_s):
            act(now_s)
            if START_S + 49 < now_s < START_S + 49.03:
                client.abort("nothing was heard from the engine for 0.51 s")

        assembled.engine._each_step = (losing_trust,)

    ran = run(tmp_path, prepare=prepare)
    assert ran.outcome.exit_code == 4
    assert "nothing was heard from the engine" in ran.outcome.message
    assert ran.column("neurofb-stimulus", "measured_c")[-1] < BASELINE_C + 1


def test_probe_not_back_at_baseline_is_in_the_outcome(tmp_path):
    def prepare(assembled):
        def close():
            raise SafetyStop("the probe is not back at baseline after 10 s: switch it off")

        assembled.engine._stimulus_control._client.close = close

    ran = run(tmp_path, [(5, command("end"))], prepare=prepare)
    assert ran.outcome.exit_code == 4
    assert "switch it off" in ran.outcome.message


def test_program_error_leaves_closed_record_and_cool_probe(tmp_path):
    ran = []

    def prepare(assembled):
        ran.append(assembled)
        act = assembled.engine._each_step[0]

        def failing(now_s):
            act(now_s)
            if now_s > START_S + 49:
                raise ZeroDivisionError("division by zero")

        assembled.engine._each_step = (failing,)
        assembled.engine._on_end = lambda: 1 / 0

    with pytest.raises(ZeroDivisionError):
        run(tmp_path, prepare=prepare)
    from session_parts import Ran

    seen = Ran(None, ran[0])
    kinds = [event["kind"] for event in seen.events]
    assert kinds.index("heat_aborted") < kinds.index("error") < kinds.index("end")
    assert "ZeroDivisionError" in seen.of_kind("error")[0]["details"]["traceback"]
    assert all(stream["footer"] for stream in seen.streams.values())
    assert seen.column("neurofb-stimulus", "measured_c")[-1] < BASELINE_C + 1


def test_received_samples_are_recorded_if_loop_fails(tmp_path, monkeypatch):
    """The samples of the batch on which the program fails are in the record all the same."""
    push, batches = Loop.push, []

    def failing(loop, chunk):
        if chunk.first_index > 5000:
            batches.append(chunk)
            raise ZeroDivisionError("division by zero")
        return push(loop, chunk)

    monkeypatch.setattr(Loop, "push", failing)
    ran = []
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, prepare=ran.append)
    from session_parts import Ran

    stamps_s = Ran(None, ran[0]).streams["simulated"]["time_stamps"]
    assert len(stamps_s) == batches[0].first_index + len(batches[0])


def test_first_error_is_raised_and_later_closers_run():
    closed = []

    def fail(error):
        closed.append(error)
        raise error

    stack = contextlib.ExitStack()
    stack.push(closing(lambda: closed.append("last")))
    stack.push(closing(lambda: fail(KeyError("later"))))
    stack.push(closing(lambda: fail(ZeroDivisionError("first"))))
    with pytest.raises(ZeroDivisionError):
        stack.close()
    assert [type(each) for each in closed] == [ZeroDivisionError, KeyError, str]


def test_status_shows_the_end_if_recording_failed(tmp_path):
    def prepare(assembled):
        recorder = assembled.session_log._recorder
        append = recorder.append

        def full(stream, values, stamps_s):
            if len(stamps_s) and assembled.engine._clock.now_s() > START_S + 10:
                raise RecordingFailed("the recording cannot go on: No space left on device")
            append(stream, values, stamps_s)

        recorder.append = full

    ran = run(tmp_path, prepare=prepare)
    assert ran.outcome.exit_code == 3
    assert ran.statuses[-1]["ended"] == {"outcome": "aborted", "message": ran.outcome.message}
    assert ran.statuses[-1]["state"] == "aborted"


def test_silent_stimulator_leaves_no_folder(tmp_path):
    with pytest.raises(StimulatorMissing, match="no answer from the thermode"):
        run(tmp_path / "data", thermode_faults=("lost@0",))
    assert not (tmp_path / "data").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(StimulatorMissing):
        run(tmp_path / "mine", thermode_faults=("lost@0",))
    assert list((tmp_path / "mine").iterdir()) == []


def test_watchdog_continues_without_its_log(tmp_path):
    log = WatchdogLog(tmp_path / "no such folder" / "log.jsonl")
    log.write({"kind": "heat_plateau"})
    log.finish()
    written = WatchdogLog(tmp_path / "log.jsonl")
    written.write({"kind": "heat_plateau"})
    written.finish()
    assert json.loads((tmp_path / "log.jsonl").read_text()) == {"kind": "heat_plateau"}


# -- heat of earlier runs ------------------------------------------------------------------------------------------


def test_earlier_runs_count_once_and_broken_off_run_by_its_record(tmp_path):
    acts, text = [(30, command("end"))], fixed(tmp_path)
    runs = [run(tmp_path, acts, protocol=text) for _ in range(3)]
    doses = [json.loads((ran.folder / "heat-ledger.json").read_text())["left forearm"] for ran in runs]
    assert doses == pytest.approx([doses[0] * n for n in (1, 2, 3)], rel=0.05)
    whole = used_before(tmp_path, "P01", "1")["left forearm"]
    assert doses[2] <= whole < 1.05 * doses[2]  # the recording counts the hotter of two readings

    (runs[2].folder / "heat-ledger.json").unlink()
    (runs[1].folder / "heat-ledger.json").write_text('{"left forearm": 0.')
    recovered = used_before(tmp_path, "P01", "1")["left forearm"]
    assert whole <= recovered < 1.05 * whole


def test_run_broken_off_on_plateau_counts_possible_rest(tmp_path):
    """Cut in the record where the probe was hot: nobody knows what came after, so more is charged."""
    ran = run(tmp_path, [(30, command("end"))], protocol=fixed(tmp_path))
    full = used_in(ran.folder)["left forearm"]
    (ran.folder / "heat-ledger.json").unlink()
    log = (ran.folder / "watchdog.jsonl").read_text("utf-8").splitlines(keepends=True)
    (ran.folder / "watchdog.jsonl").write_text(log[0], "utf-8")
    recording = ran.folder / "recording.xdf"
    content, times_s = recording.read_bytes(), ran.streams["neurofb-stimulus"]["time_stamps"]
    share = (START_S + 26 - times_s[0]) / (times_s[-1] - times_s[0])
    hot = [used_after_cut(recording, content, share - back / 400)["left forearm"] for back in range(30)]
    assert max(hot) > 0.5 * full
    assert max(hot) < full + 0.2


def used_after_cut(recording, content, share):
    recording.write_bytes(content[: int(len(content) * share)])
    return used_in(recording.parent)


def test_unreadable_earlier_run_is_refused_before_start(tmp_path):
    ran = run(tmp_path, [(5, command("end"))])
    (ran.folder / "heat-ledger.json").unlink()
    (ran.folder / "watchdog.jsonl").unlink()
    (ran.folder / "recording.xdf").write_bytes(b"no XDF at all")
    assert set(used_in(ran.folder).values()) == {1.0}
    with pytest.raises(WrongInput, match="has had 1.00 of its budget"):
        run(tmp_path)
    (ran.folder / "session.json").unlink()
    with pytest.raises(WrongFile, match="how much heat .* cannot be known"):
        run(tmp_path)


# -- the terminal --------------------------------------------------------------------------------------------------


def test_failed_or_interrupted_export_keeps_outcome(tmp_path, monkeypatch, capsys):
    from neurofb.engine.planning import Asked
    from neurofb.offline.bids import export

    asked = Asked(SHORT, "simulated", "P01", data=tmp_path, seed=1, simulate=True)
    options = run_command.Presentation(fast=True, as_json=True)
    for error, code, words in ((KeyboardInterrupt(), 130, "Interrupted"), (KeyError("x"), 0, "KeyError")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(export, "export", fail)
        outcome = run_command.run_session(asked, options)
        told = capsys.readouterr()
        assert outcome.exit_code == code
        assert words in told.err
        assert json.loads(told.out)["outcome"] == "finished"


def test_signals_end_in_order_and_handlers_are_restored():
    class Assembled:
        class engine:
            asked = 0

            @classmethod
            def interrupt(cls):
                cls.asked += 1

    before = signal.getsignal(signal.SIGHUP)
    with run_command._interruptible(Assembled):
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.raise_signal(each)
    assert Assembled.engine.asked == 4
    assert signal.getsignal(signal.SIGHUP) is before


def test_closed_terminal_sends_no_half_typed_rating(monkeypatch):
    import threading

    keys = terminal.Keys("UID", lambda: None)
    keys.prompt = "p1"
    keys.press("9")
    monkeypatch.setattr("select.select", lambda *_: ([0], [], []))
    monkeypatch.setattr(terminal.os, "read", lambda *_: b"")
    keys._read(0, threading.Event())  # comes back
    assert keys.pop() == []


def test_only_stop_counts_among_keys_typed_early():
    told = []
    keys = terminal.Keys("UID", lambda: told.append("off"))
    out, into = os.pipe()
    os.write(into, b"c\nqs\n")
    os.close(into)
    keys._obey_early_stops(out)
    os.close(out)
    assert told == ["off"]
    assert [messages.Command.read(text).name for text in keys.pop()] == ["stop"]


def test_stop_keys_abort_stimulator_before_engine_reads_them():
    told = []
    keys = terminal.Keys("UID", lambda: told.append("off"))
    for key in ("\x1b", "s", "S"):
        keys.press(key)
        assert told.pop() == "off"
    assert [messages.Command.read(text).name for text in keys.pop()] == ["stop"] * 3


def test_temperature_does_not_rise_after_stop_with_heat_due(tmp_path):
    """A stop 0.5 s before a stimulus that is armed already."""
    ran = run(tmp_path, [(45.5, command("stop", by="participant"))])
    assert ran.outcome.exit_code == 4
    times_s, measured = stimulus(ran)
    assert np.nanmax(measured[times_s > 45.5]) < BASELINE_C + 1
    assert isinstance(ran.assembled.engine._clock, ManualClock)
