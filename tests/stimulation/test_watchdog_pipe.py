"""The engine's end of the pipe to the watchdog; the test itself plays the process at the other end."""

import io
import json
import os
import queue
import subprocess
import threading
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from neurofb.clock import ManualClock
from neurofb.errors import SafetyStop, StimulatorMissing, UnsafeHeat
from neurofb.stimulation import watchdog_pipe
from neurofb.stimulation.watchdog_pipe import (
    COMMAND,
    MOST_UNSENT,
    PRIORITY,
    START_S,
    WatchdogPipe,
    read_lines,
    write_line,
)

PATIENCE_S = 10.0
#: Whoever waits for a line that never comes has failed.
pytestmark = pytest.mark.timeout(20)


class SteadyClock:
    def now_s(self):
        return time.monotonic()


class StandIn:
    """A process as ``Popen`` gives one; its other ends are here."""

    pid = 4711

    def __init__(self, command, stdin, stdout, **how):
        self.started = (command, stdin, stdout, how)
        self._requests, engine_out = os.pipe()
        engine_in, self._answers = os.pipe()
        self.stdin, self.stdout = io.FileIO(engine_out, "w"), io.FileIO(engine_in, "r")
        self.lines = map(json.loads, read_lines(self._requests))
        self.waits, self.ends, self.unread = [], True, []

    def answer(self, **document):
        write_line(self._answers, document)

    def end(self):
        if self._answers is not None:
            os.close(self._answers)
            self._answers = None

    def wait(self, wait_s):
        self.waits.append(wait_s)
        if not self.ends:
            raise subprocess.TimeoutExpired("watchdog", wait_s)
        self.end()

    def reads(self):
        """Give the next request."""
        return next(self.lines)


@pytest.fixture
def processes(monkeypatch):
    """Give the processes that were started; each answers the first question."""
    found, priorities = [], []

    def start(*how, **more):
        found.append(StandIn(*how, **more))
        found[-1].answer(id=1, value=0.0)
        return found[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    if hasattr(os, "setpriority"):
        monkeypatch.setattr(os, "setpriority", lambda *how: priorities.append(how))
    before = set(threading.enumerate())
    yield SimpleNamespace(found=found, priorities=priorities)
    for each in found:
        each.end()
    for thread in set(threading.enumerate()) - before:
        if "_read" in thread.name:
            thread.join(PATIENCE_S)


@pytest.fixture
def started(processes):
    pipe = WatchdogPipe(SteadyClock())
    pipe.start()
    process = processes.found[0]
    assert process.reads() == {"do": "clock", "id": 1}
    return pipe, process


def until(condition):
    end_s = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.001)
    assert condition()


def test_process_is_started_in_a_session_of_its_own_before_others_and_without_buffers(processes):
    pipe = WatchdogPipe(SteadyClock())
    before = set(threading.enumerate())
    assert pipe.pid is None
    pipe.start()
    assert pipe.pid == 4711
    command, stdin, stdout, how = processes.found[0].started
    assert (command, stdin, stdout) == (COMMAND, subprocess.PIPE, subprocess.PIPE)
    assert how == {"bufsize": 0, "start_new_session": True}
    if hasattr(os, "setpriority"):
        assert processes.priorities == [(os.PRIO_PROCESS, 4711, PRIORITY)]
    threads = set(threading.enumerate()) - before
    assert len(threads) == 2
    assert all(each.daemon for each in threads), "whoever ends does not wait for them"


def test_process_starts_where_no_priority_may_be_set(processes, monkeypatch):
    monkeypatch.delattr(os, "setpriority", raising=False)
    WatchdogPipe(SteadyClock()).start()
    assert len(processes.found) == 1


def test_start_waits_for_the_first_answer(processes, monkeypatch):
    asked = []
    monkeypatch.setattr(WatchdogPipe, "ask", lambda _, do: asked.append(do))
    WatchdogPipe(SteadyClock()).start()
    assert asked == ["clock"]


def test_requests_are_numbered_lines_in_order(started):
    pipe, process = started
    assert [pipe.send("end", why="button"), pipe.send("beat", facts=None)] == [2, 3]
    assert process.reads() == {"do": "end", "id": 2, "why": "button"}
    assert process.reads() == {"do": "beat", "id": 3, "facts": None}


def test_what_comes_is_sorted_and_says_that_the_watchdog_lives(started):
    pipe, process = started
    pipe.heard_s = -1.0
    assert pipe.used is None
    for document in (
        {"readings": [[1.0, 32.0, 32.0, "baseline"]]},
        {"event": {"kind": "heat_fired"}},
        {"readings": [[2.0, 33.0, 32.0, "rising"]]},
        {"used": {"hand": 0.5}},
        {"event": {"kind": "heat_ended"}},
        {"id": 9, "value": None},
    ):
        process.answer(**document)
    answers = []
    until(lambda: answers.extend(pipe.pop_answers()) or answers)
    assert answers == [{"id": 9, "value": None}]
    assert [batch[0][0] for batch in pipe.pop_readings()] == [1.0, 2.0]
    assert [event["kind"] for event in pipe.pop_events()] == ["heat_fired", "heat_ended"]
    assert (pipe.pop_answers(), pipe.pop_readings(), pipe.pop_events()) == ([], [], [])
    assert pipe.used == {"hand": 0.5}
    assert pipe.heard_s > 0.0


def test_pipe_that_was_never_heard_counts_from_its_beginning():
    assert WatchdogPipe(ManualClock(5.0)).heard_s == 5.0


def test_answer_to_another_question_is_passed_over(started):
    pipe, process = started
    process.answer(id=77, value="another's")
    process.answer(id=2, value="mine")
    assert pipe.ask("connect", seed=3) == "mine"
    assert process.reads() == {"do": "connect", "id": 2, "seed": 3}


@pytest.mark.parametrize(
    "name, kind",
    [("UnsafeHeat", UnsafeHeat), ("Oddity", StimulatorMissing), ("Any", StimulatorMissing)],
)
def test_error_that_the_watchdog_met_is_raised_here(started, name, kind, monkeypatch):
    monkeypatch.setattr(watchdog_pipe.errors, "Oddity", ValueError, raising=False)
    pipe, process = started
    process.answer(id=2, error=name, message="what it met")
    with pytest.raises(kind, match="what it met"):
        pipe.ask("connect")


def test_name_of_an_error_that_is_no_class_is_no_kind_of_error(started, monkeypatch):
    monkeypatch.setattr(watchdog_pipe.errors, "number", 3, raising=False)
    pipe, process = started
    process.answer(id=2, error="number", message="what it met")
    with pytest.raises(StimulatorMissing, match="what it met"):
        pipe.ask("connect")


@pytest.mark.parametrize("wait_s", [0.01, -1.0])
def test_watchdog_that_does_not_answer_is_missing(started, wait_s):
    pipe, _ = started
    with pytest.raises(StimulatorMissing, match=f"did not answer 'connect' in {wait_s:g} s; .*: switch the"):
        pipe.ask("connect", wait_s=wait_s)


def test_question_waits_as_long_as_is_said_on_the_clock_of_the_engine(started, monkeypatch):
    pipe, _ = started
    pipe._clock, waits = ManualClock(100.0), []

    def get(timeout):
        waits.append(timeout)
        pipe._clock.advance(min(timeout, 4.75))
        return {"id": 77}

    monkeypatch.setattr(pipe, "_answers", SimpleNamespace(get=get, put=print))
    with pytest.raises(StimulatorMissing, match="did not answer 'connect' in 10 s"):
        pipe.ask("connect")
    assert waits == [START_S, 5.25, 0.5]


def test_watchdog_that_goes_while_it_is_asked_is_gone_at_once(started):
    pipe, process = started
    process.end()
    until(lambda: pipe._is_gone)
    pipe._is_gone = False  # as if the question had been sent a moment before
    with pytest.raises(SafetyStop, match="watchdog is gone; .*switch the stimulator off"):
        pipe.ask("connect")
    pipe._is_gone = True
    with pytest.raises(SafetyStop, match="watchdog is gone"):
        pipe.send("beat")
    assert pipe.pop_answers() == []


def test_pipe_is_not_gone_before_it_is_started():
    with pytest.raises(StimulatorMissing, match="not running; connect it first"):
        WatchdogPipe(SteadyClock()).send("beat")
    WatchdogPipe(SteadyClock()).close(1.0)


def test_requests_that_nobody_reads_are_a_fault_when_they_are_too_many(started, monkeypatch):
    pipe, _ = started
    monkeypatch.setattr(pipe, "_unsent", queue.SimpleQueue())  # the writer waits at the old one
    for _ in range(MOST_UNSENT):
        pipe.send("beat")
    with pytest.raises(SafetyStop, match="reads nothing any more: switch the stimulator off"):
        pipe.send("beat")
    assert pipe._unsent.qsize() == MOST_UNSENT
    # Close is a last word, not a request: it is said whatever waits.
    assert pipe._unsent.get() == {"do": "beat", "id": 2}


def test_close_says_so_ends_the_pipe_and_waits(started):
    pipe, process = started
    reader, joined = pipe._reader, []
    pipe._reader = SimpleNamespace(join=lambda wait_s: joined.append((process.waits, wait_s)))
    pipe.close(3.0)
    assert joined == [([3.0], START_S)], "what the watchdog said last is read"
    reader.join(PATIENCE_S)
    assert process.reads() == {"do": "close"}
    assert list(process.lines) == [], "the pipe has ended"
    assert process.waits == [3.0]
    assert pipe.pid is None
    pipe.close(3.0)
    assert process.waits == [3.0], "once"


def test_watchdog_that_is_not_at_baseline_in_time_may_be_closed_again(started):
    pipe, process = started
    process.ends = False
    with pytest.raises(SafetyStop, match=r"not back at baseline after 0\.5 s: switch the stimulator off"):
        pipe.close(0.5)
    assert pipe.pid == 4711
    process.ends = True
    pipe.close(0.25)
    assert process.waits == [0.5, 0.25]
    assert pipe.pid is None


def test_writer_of_a_watchdog_that_is_gone_ends_quietly(processes):
    before = set(threading.enumerate())
    pipe = WatchdogPipe(SteadyClock())
    pipe.start()
    (writer,) = (each for each in set(threading.enumerate()) - before if "_write" in each.name)
    os.close(processes.found[0]._requests)
    with mock.patch.object(threading, "excepthook") as hook:
        for _ in range(3):
            pipe.send("beat")
        pipe._unsent.put(None)
        writer.join(PATIENCE_S)
    assert not writer.is_alive()
    assert hook.call_count == 0


def test_lines_are_whole_however_they_come(monkeypatch):
    pieces, asked = iter([b'{"a"', b": 1}\n{}", b"\n\n", b"rest", b""]), []

    def read(descriptor, n):
        asked.append(descriptor)
        assert n >= 4096
        return next(pieces)

    monkeypatch.setattr(os, "read", read)
    assert list(read_lines(5)) == [b'{"a": 1}', b"{}", b""]
    assert set(asked) == {5}


def test_line_is_written_to_its_end_however_little_the_pipe_takes(monkeypatch):
    written = []

    def write(descriptor, data):
        assert descriptor == 6
        written.append(bytes(data[:3]))
        return len(data[:3])

    monkeypatch.setattr(os, "write", write)
    write_line(6, {"a": "°"})
    assert b"".join(written) == b'{"a": "\\u00b0"}\n'
