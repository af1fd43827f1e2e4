"""The watchdog turn by turn, in this process: a guard that writes down what it is asked, on a manual clock."""

import contextlib
import json
import math
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import asdict
from types import SimpleNamespace
from unittest import mock

import pytest
from stimulation_parts import SITE, START_S, thermode_text

from neurofb.clock import ManualClock
from neurofb.errors import UnsafeHeat
from neurofb.events import Event
from neurofb.stimulation import watchdog as watchdogs
from neurofb.stimulation.conditions import NOTHING, Facts, Required
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermode_file import load_thermode
from neurofb.stimulation.watchdog import (
    HEARTBEAT_S,
    IDLE_TICK_S,
    STAY_S,
    TICK_S,
    USED_S,
    EngineClock,
    Lines,
    Watchdog,
    open_watchdog,
)
from neurofb.stimulation.watchdog_log import DOSES, ENDED, OPENED
from neurofb.stimulation.watchdog_pipe import read_lines, write_line

PROFILE = HeatProfile(45.0, 1.0)
FACTS = Facts(START_S, 0.1, recording=True, view=True)
ABILITIES = Capabilities("x", 50.0, 70.0, 40.0, 40.0, 0.1)
PATIENCE_S = 10.0
#: Whoever waits for a line that never comes has failed.
pytestmark = pytest.mark.timeout(20)


class StubGuard:
    """Writes down what it is asked; ``refuses`` names what it refuses."""

    link_s = 0.5

    def __init__(self):
        self.calls, self.refuses, self.news, self.batch = [], (), [], []
        self.state, self.is_hot, self.due_s = "baseline", False, math.inf

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            if name in self.refuses:
                raise UnsafeHeat(f"{name} is refused")
            answers = {"connect": ABILITIES, "prepare": ["a valve"], "self_test": ["a fan"]}
            return answers.get(name, f"{name} done")

        return call

    def pop_events(self):
        found, self.news = self.news, []
        return found

    def readings(self):
        found, self.batch = self.batch, []
        return found

    def used(self):
        return {SITE: 0.25}

    def outlook(self):
        return None


class StubLines:
    def __init__(self):
        self.requests, self.sent, self.finished = queue.Queue(), [], 0

    def send(self, document):
        self.sent.append(document)

    def finish(self):
        self.finished += 1


class Turns:
    """A watchdog with stubs, and its log."""

    def __init__(self, path):
        self.clock, self.guard, self.lines = ManualClock(START_S), StubGuard(), StubLines()
        self.watchdog = Watchdog(self.guard, self.clock, self.lines, path)
        self.path = path

    def ask(self, do, **content):
        """Send a request; give what is answered."""
        self.watchdog.turn({"do": do, "id": 7, **content})
        answers = [each for each in self.lines.sent if "id" in each]
        self.lines.sent.clear()
        return answers

    def aborts(self):
        return [call[1] for call in self.guard.calls if call[0] == "abort"]

    def logged(self):
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]


@pytest.fixture
def turns(tmp_path):
    return Turns(tmp_path / "log.jsonl")


@pytest.mark.parametrize(
    "do, content, call, value",
    [
        ("beat", {}, None, None),
        ("abort", {"why": "stop key"}, ("abort", "stop key"), "abort done"),
        ("end", {"why": "button"}, ("end", "button"), "end done"),
        ("lower", {"by_c": 1.5}, ("lower", 1.5), "lower done"),
        (
            "schedule",
            {"profile": asdict(PROFILE), "site": SITE, "at_s": 101.0, "answer_by_s": 102.0},
            ("schedule", PROFILE, SITE, 101.0, 102.0),
            "schedule done",
        ),
        ("place", {"site": SITE, "by": "operator"}, ("place", SITE, "operator"), "place done"),
        ("reset", {}, ("reset",), "reset done"),
        ("connect", {}, ("connect",), asdict(ABILITIES)),
        ("prepare", {}, ("prepare",), ["a valve"]),
        ("self_test", {}, ("self_test",), ["a fan"]),
        ("odd", {}, None, None),
    ],
)
def test_request_reaches_the_guard_and_its_answer_goes_back(turns, do, content, call, value):
    assert turns.ask(do, **content) == [{"id": 7, "value": value}]
    assert turns.guard.calls == ([call] if call else []) + [("step",)]
    turns.guard.calls.clear()
    turns.ask(do, **content, facts=asdict(FACTS))
    assert turns.guard.calls[0] == ("note_facts", FACTS), "before anything is decided"
    turns.guard.calls.clear()
    turns.ask(do, **content, facts=None)
    assert ("note_facts", FACTS) not in turns.guard.calls


def test_refusal_goes_back_with_its_kind_and_what_happened_before_it(turns):
    turns.guard.refuses = ("reset",)
    turns.guard.news = [Event("heat_refused", START_S, "no")]
    turns.watchdog.turn({"do": "reset", "id": 8})
    event, used, answer = turns.lines.sent
    assert event["event"]["kind"] == "heat_refused"
    assert used == {"used": {SITE: 0.25}}
    assert answer == {"id": 8, "error": "UnsafeHeat", "message": "reset is refused"}
    turns.lines.sent.clear()
    turns.watchdog.turn({"do": "beat"})
    assert turns.lines.sent == [], "nobody waits for an answer"


def test_all_waiting_requests_are_handled_before_a_step(turns):
    for do in ("reset", "prepare"):
        turns.lines.requests.put({"do": do, "id": 1})
    turns.watchdog.turn({"do": "self_test", "id": 0})
    assert turns.guard.calls == [("self_test",), ("reset",), ("prepare",), ("step",)]
    turns.watchdog.turn()
    assert turns.guard.calls[4:] == [("step",)]


def test_news_readings_and_doses_are_sent_and_logged(turns):
    turns.ask("connect")
    turns.guard.batch = [[1.0, 32.0, 32.0, "baseline"]]
    turns.guard.news = [Event("heat_fault", START_S, "a fault")]
    turns.clock.advance(USED_S / 2)
    turns.watchdog.turn()
    (event, readings) = turns.lines.sent
    assert event["event"]["message"] == "a fault"
    assert readings == {"readings": [[1.0, 32.0, 32.0, "baseline"]]}
    turns.lines.sent.clear()
    turns.watchdog.turn()
    assert turns.lines.sent == [], "no empty readings"
    turns.clock.advance(USED_S / 2)
    turns.watchdog.turn()
    turns.watchdog.turn()
    assert turns.lines.sent == [{"used": {SITE: 0.25}}]
    opened, fault, doses = turns.logged()
    assert (opened["kind"], opened["time_s"], opened["wall_s"]) == (OPENED, START_S, START_S)
    assert (fault["kind"], doses["kind"]) == ("heat_fault", DOSES)
    assert turns.watchdog._log._writer is None, "on a manual clock"


@pytest.mark.parametrize("state", ["armed", "rising", "plateau", "returning"])
def test_silent_engine_ends_what_is_armed_or_on(turns, state):
    turns.guard.state = state
    turns.clock.advance(HEARTBEAT_S)
    turns.watchdog.turn()
    assert turns.aborts() == [], "so long is allowed"
    turns.clock.advance(0.25)
    turns.watchdog.turn()
    assert turns.aborts() == ["nothing was heard from the engine for 0.75 s"]
    assert not turns.watchdog.is_over


@pytest.mark.parametrize("state", ["baseline", "aborted", "off"])
def test_silent_engine_ends_nothing_where_there_is_no_heat(turns, state):
    turns.guard.state = state
    turns.clock.advance(100.0)
    turns.watchdog.turn()
    assert turns.aborts() == []


def test_every_request_is_a_sign_of_life(turns):
    turns.guard.state = "plateau"
    for _ in range(20):
        turns.clock.advance(HEARTBEAT_S / 2)
        turns.watchdog.turn({"do": "beat"})
        turns.clock.advance(HEARTBEAT_S / 2)
        turns.watchdog.turn()
    assert turns.aborts() == []


def test_sigterm_ends_heat_once_and_the_watchdog_at_baseline(turns):
    turns.watchdog.turn()
    assert not turns.watchdog.is_over
    assert turns.aborts() == []
    turns.guard.is_hot, turns.watchdog.terminated = True, True
    for _ in range(3):
        turns.watchdog.turn()
    assert turns.aborts() == ["the watchdog was told to end (SIGTERM)"]
    assert turns.watchdog.is_over is False
    turns.guard.is_hot = False
    assert turns.watchdog.is_over is True


def test_device_that_stays_hot_is_left_to_itself_after_a_minute(turns):
    turns.guard.is_hot = True
    assert turns.watchdog.is_over is False
    turns.clock.advance(1000.0)
    turns.ask("eof")
    turns.clock.advance(STAY_S)
    turns.ask("eof")
    assert turns.aborts() == ["the engine is gone: its pipe has ended"], "the first reason holds"
    assert turns.watchdog.is_over is False
    turns.clock.advance(0.001)
    assert turns.watchdog.is_over is True


@pytest.mark.parametrize("is_hot, aborts", [(True, ["closed"]), (False, [])])
def test_close_aborts_only_what_is_on(turns, is_hot, aborts):
    turns.guard.is_hot = is_hot
    turns.ask("close")
    assert turns.aborts() == aborts
    assert turns.watchdog.is_over is not is_hot
    turns.watchdog.turn({"do": "eof"})
    assert turns.aborts() == aborts
    turns.guard.is_hot = True
    turns.clock.advance(STAY_S)
    assert not turns.watchdog.is_over
    turns.clock.advance(1.0)
    assert turns.watchdog.is_over


def test_run_goes_on_until_it_is_over_and_writes_its_last_words(turns):
    for do in ("connect", "close"):
        turns.lines.requests.put({"do": do})
    turns.guard.due_s = START_S
    turns.watchdog.run()
    assert turns.guard.calls == [("connect",), ("step",), ("close",)]
    assert turns.logged()[-1] == {"kind": ENDED, "time_s": START_S, "why": "closed"}
    assert turns.lines.sent == [{"used": {SITE: 0.25}}] * 2, "once more, at the end"


def test_last_news_are_sent_after_the_device_was_let_go(turns):
    class LastWords(StubGuard):
        def close(self):
            self.news = [Event("heat_ended", START_S, "let go")]

    turns.watchdog._guard = LastWords()
    with mock.patch.object(turns.watchdog._log, "finish") as finish:
        turns.watchdog.close()
    assert [each["event"]["kind"] for each in turns.lines.sent if "event" in each] == ["heat_ended"]
    assert [each["kind"] for each in turns.logged()] == ["heat_ended", DOSES, ENDED]
    assert finish.call_count == 1


def test_failure_aborts_for_two_seconds_then_lets_the_device_go(turns):
    with mock.patch.object(turns.watchdog._log, "finish") as finish:
        turns.watchdog.fail(RuntimeError("a bug"))
    assert turns.guard.calls[-1] == ("close",)
    assert set(turns.aborts()) == {"the watchdog failed: RuntimeError('a bug')"}
    assert 195 <= len(turns.aborts()) <= 202
    assert turns.clock.now_s() == pytest.approx(START_S + 2.0, abs=0.011)
    failed, doses = turns.logged()
    assert (failed["kind"], failed["time_s"]) == ("watchdog_failed", START_S)
    assert "a bug" in failed["why"]
    assert (doses["kind"], doses["used"]) == (DOSES, {SITE: 0.25})
    assert finish.call_count == 1


@pytest.mark.parametrize(
    "is_hot, due_s, wait_s",
    [
        (False, math.inf, IDLE_TICK_S),
        (True, math.inf, TICK_S),
        (False, START_S + 0.001, 0.001),
        (True, START_S + 0.001, 0.001),
        (True, START_S + 0.003, TICK_S),
        (True, START_S - 5.0, 0.0),
    ],
)
def test_next_turn_comes_when_the_guard_is_to_be_stepped(turns, is_hot, due_s, wait_s):
    turns.guard.is_hot, turns.guard.due_s = is_hot, due_s
    assert turns.watchdog.next_turn_s == pytest.approx(START_S + wait_s, abs=1e-9)
    with mock.patch.object(turns.lines.requests, "get", side_effect=queue.Empty) as get:
        assert turns.watchdog._next() is None
    waits = [call.kwargs["timeout"] for call in get.call_args_list if "timeout" in call.kwargs]
    assert waits == ([] if wait_s == 0.0 else [pytest.approx(wait_s, abs=1e-9)])
    for due_now in (due_s, START_S):
        turns.guard.due_s = due_now
        turns.lines.requests.put({"do": "beat"})
        assert turns.watchdog._next() == {"do": "beat"}


# Its pipes.


@pytest.fixture
def pipes(monkeypatch):
    """Give the far ends of the pipes that are the watchdog's stdin and stdout."""
    (stdin, to_stdin), (from_stdout, stdout) = os.pipe(), os.pipe()
    ends = {"stdin": mock.Mock(fileno=lambda: stdin), "stdout": mock.Mock(fileno=lambda: stdout)}
    monkeypatch.setattr(watchdogs, "sys", SimpleNamespace(**ends))
    before = set(threading.enumerate())
    yield to_stdin, from_stdout
    close(to_stdin)
    for thread in set(threading.enumerate()) - before:
        if "_read" in thread.name:
            thread.join(PATIENCE_S)
    for descriptor in (stdin, from_stdout, stdout):
        close(descriptor)


def close(descriptor):
    with contextlib.suppress(OSError):
        os.close(descriptor)


def test_lines_are_read_and_written_by_threads_that_keep_no_process(pipes):
    before = set(threading.enumerate())
    lines = Lines()
    own = set(threading.enumerate()) - before
    assert len(own) == 2
    assert all(each.daemon for each in own)
    write_line(pipes[0], {"do": "beat", "id": 1})
    assert lines.requests.get(timeout=PATIENCE_S) == {"do": "beat", "id": 1}
    lines.send({"id": 1, "value": None})
    assert json.loads(next(read_lines(pipes[1]))) == {"id": 1, "value": None}
    os.write(pipes[0], b'{"do": "be')
    os.close(pipes[0])
    assert lines.requests.get(timeout=PATIENCE_S) == {"do": "eof"}
    lines.finish()
    assert not lines._writer.is_alive()


def test_line_that_is_no_document_is_the_end(pipes):
    lines = Lines()
    os.write(pipes[0], b'{"do": "be\n')
    assert lines.requests.get(timeout=PATIENCE_S) == {"do": "eof"}
    lines.finish()


def test_engine_that_does_not_read_loses_readings_and_nothing_else(pipes):
    with mock.patch.object(threading.Thread, "start"):
        lines = Lines()
    for _ in range(2000):
        lines.send({"readings": []})
    assert lines._out.qsize() == 1000
    lines.send({"event": {}})
    lines.send({"readings": []})
    assert lines._out.qsize() == 1001


def test_writer_whose_engine_is_gone_ends_quietly(pipes):
    lines = Lines()
    os.close(pipes[1])
    with mock.patch.object(threading, "excepthook") as hook:
        lines.send({"id": 1})
        lines._writer.join(PATIENCE_S)
    assert not lines._writer.is_alive()
    assert hook.call_count == 0


def test_last_lines_are_written_for_a_second_at_most(pipes):
    with mock.patch.object(threading.Thread, "start"):
        lines = Lines()
    waits = []
    lines._writer = SimpleNamespace(join=waits.append)
    lines.finish()
    assert waits == [1.0]


# Its clock, and how it is opened.


def test_engine_clock_is_this_ones_and_the_offset(monkeypatch):
    times, waits = iter([1.0, 2.0, 2.25]), []
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    monkeypatch.setattr(time, "sleep", waits.append)
    EngineClock(100.0).wait_until(102.25)
    assert waits == [1.25, 0.25]
    assert list(times) == []


OPENING = {
    "do": "open",
    "id": 2,
    "offset_s": 30.0,
    "kind": "simulated",
    "envelope": Envelope(cap_c=45.0).model_dump(),
    "seed": 3,
    "faults": ["lost@1"],
    "used": {SITE: 0.5},
    "log": None,
    "required": asdict(NOTHING),
    "file": None,
}


def opening_file(tmp_path):
    path = tmp_path / "tcs.toml"
    path.write_text(thermode_text("tcs2"), "utf-8")
    return load_thermode(path)


def test_watchdog_is_opened_as_the_engine_asks(tmp_path, monkeypatch):
    made = []

    def make_driver(kind, clock, seed, faults, file):
        made.append((kind, seed, faults, file))
        return SimulatedThermode(clock)

    monkeypatch.setattr(watchdogs, "make_driver", make_driver)
    watchdog = open_watchdog(OPENING, ManualClock(), StubLines())
    guard = watchdog._guard
    assert (guard._envelope.cap_c, guard.used(), guard._required) == (45.0, {SITE: 0.5}, NOTHING)
    assert watchdog._log._path is None
    file = opening_file(tmp_path)
    described = file.model_dump(mode="json", exclude_unset=True)
    log = tmp_path / "log.jsonl"
    opening = OPENING | {"file": described, "log": str(log), "required": asdict(Required())}
    watchdog = open_watchdog(json.loads(json.dumps(opening)), ManualClock(), StubLines())
    assert (watchdog._log._path, watchdog._guard._required) == (log, Required())
    assert made == [("simulated", 3, ["lost@1"], None), ("simulated", 3, ["lost@1"], file)]


class Process:
    """What the process asks of the system, written down."""

    def __init__(self, monkeypatch, requests, watchdog=None):
        self.signals, self.switch_s = {}, None
        self.lines, self.watchdog, self.opened = StubLines(), watchdog or mock.Mock(), []
        for request in requests:
            self.lines.requests.put(request)
        monkeypatch.setattr(watchdogs, "Lines", lambda: self.lines)
        monkeypatch.setattr(signal, "signal", self.signals.__setitem__)
        monkeypatch.setattr(sys, "setswitchinterval", lambda s: setattr(self, "switch_s", s))

        def open_watchdog(opening, clock, lines):
            self.opened.append((opening, clock._offset_s, lines))
            return self.watchdog

        monkeypatch.setattr(watchdogs, "open_watchdog", open_watchdog)


def test_process_answers_for_its_clock_opens_and_runs(monkeypatch):
    process = Process(monkeypatch, [{"do": "clock", "id": 1}, {"do": "clock", "id": 2}, OPENING | {"id": 3}])
    process.watchdog.terminated = False
    before_s = time.monotonic()
    assert watchdogs.main() == 0
    first, second, opened = process.lines.sent
    assert (first["id"], second["id"]) == (1, 2)
    assert before_s <= first["value"] <= second["value"] <= time.monotonic()
    assert opened == {"id": 3, "value": os.getpid()}
    assert process.opened == [(OPENING | {"id": 3}, 30.0, process.lines)]
    assert process.watchdog.run.call_count == process.lines.finished == 1
    assert process.switch_s == 0.0005
    assert process.signals[signal.SIGINT] == signal.SIG_IGN
    assert process.watchdog.terminated is False
    process.signals[signal.SIGTERM](signal.SIGTERM, None)
    assert process.watchdog.terminated is True


def test_process_whose_engine_goes_before_it_opens_ends_in_order(monkeypatch):
    process = Process(monkeypatch, [{"do": "clock", "id": 1}, {"do": "eof"}])
    assert watchdogs.main() == 0
    assert process.opened == []


def test_process_that_fails_leaves_heat_says_so_and_fails(monkeypatch):
    process = Process(monkeypatch, [OPENING])
    error = RuntimeError("a bug")
    process.watchdog.run.side_effect = error
    with pytest.raises(RuntimeError, match="a bug"):
        watchdogs.main()
    process.watchdog.fail.assert_called_once_with(error)
    event = process.lines.sent[-1]["event"]
    assert (event["kind"], event["message"]) == ("heat_fault", "RuntimeError('a bug')")
    assert process.lines.finished == 1
