"""The process that owns the stimulator, as it runs: its engine dies, hangs, lets go; and it dies itself.

Everything is waited for by what happens; how fast it is, the benchmark says.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import asdict

import pytest
from stimulation_parts import SITE, Bench

from neurofb.errors import SafetyStop, StimulatorMissing, UnknownName, WrongInput
from neurofb.stimulation import watchdog_pipe
from neurofb.stimulation.client import WatchdogClient, make_driver, open_stimulator
from neurofb.stimulation.conditions import NOTHING, Facts, Required
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile, dose
from neurofb.stimulation.watchdog import EngineClock, Watchdog

#: Fast ramps, so that the tests are short.
PROFILE = HeatProfile(46.0, 0.3, rise_c_per_s=40.0, return_c_per_s=40.0)
LONG = HeatProfile(45.0, 60.0, rise_c_per_s=40.0, return_c_per_s=40.0)
PATIENCE_S = 30.0
#: How far the two clocks may be apart: a ramp of 8 °C/s moves by 0.4 °C in that time, less than a stimulus may deviate.
CLOCK_S = 0.05
#: What no call of the engine's thread may take, whatever the watchdog does. It takes a tenth of a ms; on a machine that
#: is busy a thread may stand for longer.
WAITS_S = 0.2


class SteadyClock:
    def now_s(self):
        return time.monotonic()

    def wait_until(self, time_s):
        while (left_s := time_s - time.monotonic()) > 0:
            time.sleep(left_s)


@pytest.fixture
def opened(tmp_path):
    """Give a function that opens a stimulator with a watchdog; all are closed in the end."""
    clients = []

    def give(**how):
        how = {"required": NOTHING, **how}
        client = open_stimulator(envelope=Envelope(), clock=SteadyClock(), log=tmp_path / "log.jsonl", **how)
        clients.append(client)
        assert client.connect().simulated
        client.seen = []
        place(client, SITE)
        client.pop_events()
        return client

    yield give
    for client in clients:
        client.close()


def until(client, kind, beating=True):
    """Wait for an event, as an engine that steps; give it."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if beating:
            client.beat()
        new = client.pop_events()
        client.seen += new
        for event in new:
            if event.kind == kind:
                return event
        time.sleep(0.005)
    pytest.fail(f"no {kind}; there were {[event.kind for event in client.seen]}")


def answer(client, number):
    """Wait for the answer to a request, as an engine that steps; give why it was refused, "" if it was not."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        client.beat()
        for found in client.pop_replies():
            if found.number == number:
                return found.refusal
        time.sleep(0.005)
    return pytest.fail(f"no answer to request {number}")


def place(client, site):
    assert answer(client, client.place(site, "operator")) == ""


def schedule(client, profile=LONG, site=SITE, in_s=0.05):
    """Ask for a stimulus; give why it was refused, "" if it was not."""
    return answer(client, client.schedule(profile, site, time.monotonic() + in_s))


def fire(client, profile=LONG):
    assert schedule(client, profile) == ""


def log_until(path, kind):
    """Wait for an entry in a watchdog's log; give all entries by kind."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        entries = [json.loads(line) for line in lines if line.endswith("\n")]
        found = {entry["kind"]: entry for entry in entries}
        if kind in found:
            return found
        time.sleep(0.005)
    return pytest.fail(f"no {kind} in the log")


def test_stimulus_through_the_process_is_given_on_time(opened):
    client = opened(seed=5, used={SITE: 0.25})
    assert isinstance(client, WatchdogClient)
    assert client.self_test() == []
    assert client.used() == {SITE: 0.25}
    at_s = time.monotonic() + 0.1
    assert answer(client, client.schedule(PROFILE, SITE, at_s)) == ""
    until(client, "heat_ended")
    kinds = [event.kind for event in client.seen]
    assert kinds == ["heat_armed", "heat_fired", "heat_plateau", "heat_returning", "heat_ended"]
    fired = client.seen[1]
    assert fired.details["scheduled_s"] == at_s
    assert fired.details["fired_s"] >= at_s
    readings = client.readings()
    assert max(reading.measured_c for reading in readings) == pytest.approx(46.0, abs=0.3)
    assert [r.time_s for r in readings] == sorted(r.time_s for r in readings)
    assert 0.25 < client.used()[SITE] < 0.25 + 2 * dose(PROFILE)


def test_refusal_by_the_guard_is_a_reply_and_an_event(opened):
    client = opened()
    assert "50 °C is asked; at most 49 °C is allowed" in schedule(client, HeatProfile(50.0, 1.0))
    assert "50 °C is asked" in until(client, "heat_refused").message
    with pytest.raises(WrongInput, match="lowered by more than 0 °C"):
        client.lower(-1.0)
    fire(client)
    until(client, "heat_plateau")
    assert "another stimulus is on" in schedule(client, PROFILE)
    assert answer(client, client.lower(2.0)) == ""
    assert until(client, "heat_lowered").details["by_c"] == 2.0


def test_request_that_is_read_too_late_is_refused(opened):
    client = opened()
    late_s = time.monotonic() - 0.5
    number = client._request("schedule", late_s, profile=asdict(PROFILE), site=SITE, at_s=late_s)
    assert "s too late" in answer(client, number)
    assert "s too late" in until(client, "heat_refused").message


def test_readings_are_on_the_engines_clock(opened):
    """The quickest of many readings says how far the clocks are apart; a slow machine only makes others older."""
    client = opened()
    ages_s = []
    end_s = time.monotonic() + PATIENCE_S
    while len(ages_s) < 50 and time.monotonic() < end_s:
        client.beat()
        ages_s += [time.monotonic() - reading.time_s for reading in client.readings()]
        time.sleep(0.002)
    assert len(ages_s) >= 50
    assert -CLOCK_S <= min(ages_s) <= CLOCK_S


def test_abort_from_another_thread_forbids_heat_until_reset(opened):
    client = opened()
    fire(client)
    until(client, "heat_plateau")
    threading.Thread(target=client.abort, args=("stop key",)).start()
    assert until(client, "heat_aborted").details["why"] == "stop key"
    assert "stop key" in until(client, "heat_ended").message
    assert "the schedule must reset it" in schedule(client, PROFILE, SITE)
    assert answer(client, client.reset()) == ""
    place(client, "right forearm")
    assert schedule(client, PROFILE, "right forearm") == ""


def test_next_stimulus_is_armed_after_an_orderly_end(opened):
    client = opened()
    fire(client)
    until(client, "heat_plateau")
    client.end("button")
    until(client, "heat_ended")
    assert "the operator confirms 'right forearm' first" in schedule(client, PROFILE, "right forearm")
    place(client, "right forearm")
    assert schedule(client, PROFILE, "right forearm") == ""


def test_watchdog_ends_the_heat_of_an_engine_without_heartbeat(opened):
    client = opened()
    fire(client)
    until(client, "heat_plateau")
    event = until(client, "heat_aborted", beating=False)
    assert "nothing was heard from the engine for 0.5" in event.message
    until(client, "heat_ended", beating=False)


def test_silent_engine_is_no_alarm_without_heat(opened):
    client = opened()
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        time.sleep(0.05)
    assert client.pop_events() == []
    assert schedule(client, PROFILE) == ""


@pytest.mark.parametrize(
    "fault", ["lost@0.4+0.4", "wrong_readback@0.4+1.2:5", "runaway@0.4+3", "stale@0.4+1.6"]
)
def test_fault_of_the_device_ends_the_heat(opened, fault):
    client = opened(faults=(fault,))
    fire(client)
    until(client, "heat_fault")
    until(client, "heat_ended")
    assert "heat_aborted" in [event.kind for event in client.seen]


def test_close_ends_a_stimulus_first(opened, tmp_path):
    client = opened()
    fire(client)
    until(client, "heat_plateau")
    client.close()
    log = log_until(tmp_path / "log.jsonl", "watchdog_ended")
    assert log["heat_aborted"]["time_s"] <= log["heat_ended"]["time_s"] <= log["watchdog_ended"]["time_s"]
    client.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_ends_the_watchdog_in_order_and_ctrl_c_does_not(opened, tmp_path):
    client = opened()
    os.kill(client.pid, signal.SIGINT)
    fire(client)
    until(client, "heat_plateau")
    os.kill(client.pid, signal.SIGTERM)
    log = log_until(tmp_path / "log.jsonl", "watchdog_ended")
    assert "SIGTERM" in log["heat_aborted"]["message"]
    assert "heat_ended" in log


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_watchdog_runs_in_a_session_of_its_own(opened):
    assert os.getsid(opened().pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_client_raises_when_the_watchdog_is_killed(opened):
    client = opened()
    fire(client)
    until(client, "heat_plateau")
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(SafetyStop, match="watchdog is gone|has said nothing"):
        until(client, "never")
    with pytest.raises(SafetyStop, match="take the probe off the skin"):
        client.schedule(PROFILE, SITE, time.monotonic())


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_client_raises_when_the_watchdog_hangs(opened):
    client = opened()
    os.kill(client.pid, signal.SIGSTOP)
    try:
        with pytest.raises(SafetyStop, match="has said nothing for .*switch the stimulator off"):
            until(client, "never")
    finally:
        os.kill(client.pid, signal.SIGCONT)


UNANSWERING = """
import json, sys, threading, time
from dataclasses import asdict
from neurofb.stimulation.driver import Capabilities

unanswered, reads = MODE
lock = threading.Lock()

def send(document):
    with lock:
        print(json.dumps(document), flush=True)

def send_readings():
    while True:
        send({"readings": [[time.monotonic(), 32.0, 32.0, "baseline"]]})
        time.sleep(0.02)

threading.Thread(target=send_readings, daemon=True).start()
for line in sys.stdin:
    request = json.loads(line)
    do = request["do"]
    if do == "close":
        break
    if do not in unanswered:
        value = {"clock": time.monotonic(), "connect": asdict(Capabilities("x", 50.0, 70.0, 40.0, 40.0, 0.1))}
        send({"id": request["id"], "value": value.get(do)})
    if do == "connect" and not reads:
        sys.stdin.readline()
        threading.Event().wait()
"""


@pytest.fixture
def unanswering(monkeypatch):
    """Give a function that opens a client whose watchdog sends readings, but does not answer, or not even read."""
    opened = []

    def give(unanswered=(), reads=True):
        code = UNANSWERING.replace("MODE", repr((unanswered, reads)))
        monkeypatch.setattr(watchdog_pipe, "COMMAND", (sys.executable, "-c", code))
        opened.append(open_stimulator(envelope=Envelope(), clock=SteadyClock(), required=NOTHING))
        opened[-1].connect()
        opened[-1].seen = []
        return opened[-1]

    yield give
    for each in opened:
        os.kill(each.pid, signal.SIGKILL)
        each.close()


def longest_s(*calls):
    """Make calls; give how long the longest took."""
    taken_s = []
    for call in calls:
        start_s = time.monotonic()
        call()
        taken_s.append(time.monotonic() - start_s)
    return max(taken_s)


def requests(client):
    """Every request of a session, and everything that the engine reads in each step."""
    return (
        client.beat,
        lambda: client.place(SITE, "operator"),
        lambda: client.schedule(PROFILE, SITE, time.monotonic() + 0.1),
        lambda: client.lower(1.0),
        lambda: client.end("button"),
        lambda: client.abort("stop key"),
        client.reset,
        client.pop_replies,
        client.pop_events,
        client.readings,
        client.used,
    )


@pytest.mark.parametrize("do", ["schedule", "lower", "reset", "beat"])
def test_request_without_an_answer_does_not_block_and_stops_the_session(unanswering, do):
    client = unanswering(unanswered=(do,))
    assert longest_s(*requests(client)) < WAITS_S
    with pytest.raises(SafetyStop, match=f"has not answered '{do}' in time: switch the stimulator off"):
        until(client, "never")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_watchdog_that_is_stopped_blocks_no_request(opened):
    client = opened()
    os.kill(client.pid, signal.SIGSTOP)
    try:
        assert longest_s(*requests(client)) < WAITS_S
        with pytest.raises(SafetyStop, match="has said nothing for|has not answered 'place'"):
            until(client, "never")
    finally:
        os.kill(client.pid, signal.SIGCONT)
    end_s = time.monotonic() + PATIENCE_S
    found = []
    while not found and time.monotonic() < end_s:
        found = [each for each in client.pop_replies() if each.refusal]
        time.sleep(0.005)
    assert "s too late" in found[0].refusal
    assert "heat_fired" not in [event.kind for event in client.pop_events()]


def test_full_pipe_blocks_no_request_and_is_a_fault(unanswering):
    client = unanswering(reads=False)
    sent = []

    def fill():
        # The pipe takes some dozen of these, and the queue before it no more than it may.
        for _ in range(2000):
            sent.append(longest_s(lambda: client.end("x" * 1000)))

    with pytest.raises(SafetyStop, match="reads nothing any more: switch the stimulator off"):
        fill()
    assert len(sent) >= watchdog_pipe.MOST_UNSENT
    assert max(sent) < WAITS_S


def test_client_looks_again_before_it_blames_the_watchdog(opened):
    """What was said while this process could not listen lies in the pipe: it is looked at before any alarm."""
    client = opened()
    client._pipe.heard_s -= 100.0
    client.beat()
    fire(client, PROFILE)
    until(client, "heat_ended")


def test_facts_of_the_engine_reach_the_guard_and_end_a_stimulus_that_is_not_watched(opened):
    client, watched = opened(required=Required()), [True]
    beat = client.beat
    client.beat = lambda: beat(Facts(time.monotonic(), 0.0, recording=True, view=watched[0]))
    assert "has not said yet" in answer(client, client.schedule(LONG, SITE, time.monotonic() + 0.05))
    fire(client)
    until(client, "heat_plateau")
    watched[0] = False
    assert until(client, "heat_unwatched").details["missing"] == ["no operator's view is alive"]
    assert until(client, "heat_ended").details["early"]
    assert "no operator's view is alive" in answer(client, client.schedule(LONG, SITE, time.monotonic()))


ENGINE = """
    import sys, time
    from pathlib import Path
    from neurofb.stimulation.conditions import NOTHING
    from neurofb.stimulation.envelope import Envelope
    from neurofb.stimulation.heat_profile import HeatProfile
    from neurofb.stimulation.client import open_stimulator

    class SteadyClock:
        def now_s(self):
            return time.monotonic()

    client = open_stimulator(
        envelope=Envelope(), clock=SteadyClock(), log=Path(sys.argv[1]), required=NOTHING
    )
    client.connect()
    client.place("arm", "operator")
    client.schedule(HeatProfile(45.0, 60.0, rise_c_per_s=40.0), "arm", time.monotonic() + 0.05)
    while True:
        client.beat()
        if any(event.kind == "heat_plateau" for event in client.pop_events()):
            print("plateau", client.pid, flush=True)
        time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_watchdog_ends_the_heat_of_a_killed_engine(tmp_path):
    log = tmp_path / "log.jsonl"
    engine = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENGINE), str(log)], stdout=subprocess.PIPE, text=True
    )
    with engine:
        assert engine.stdout.readline().startswith("plateau")
        killed_s = time.monotonic()
        engine.kill()
        found = log_until(log, "watchdog_ended")
    assert "the engine is gone: its pipe has ended" in found["heat_aborted"]["message"]
    assert killed_s <= found["heat_ended"]["time_s"] <= killed_s + 10.0
    assert found["watchdog_ended"]["why"].startswith("the engine is gone")


def test_watchdog_that_fails_ends_the_heat(tmp_path):
    bench = Bench()
    bench.fire(LONG)
    bench.run(2.0)
    watchdog = Watchdog(bench.guard, bench.clock, None, tmp_path / "log.jsonl")
    watchdog.fail(RuntimeError("a bug"))
    assert bench.thermode.probe_c == pytest.approx(32.0, abs=0.1)
    assert "a bug" in (tmp_path / "log.jsonl").read_text("utf-8")


def test_watchdog_loads_nothing_heavy():
    """A safety process that loads half of science starts late; NumPy, LSL and MNE are none of its business."""
    code = "import sys, neurofb.stimulation.watchdog; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    assert loaded.isdisjoint({"numpy", "scipy", "pylsl", "mne", "rich", "click"})


def test_engine_clock_has_the_offset():
    clock = EngineClock(100.0)
    before_s = time.monotonic()
    clock.wait_until(clock.now_s() + 0.01)
    assert before_s + 100.01 <= clock.now_s()


def test_unknown_stimulator_and_fault_are_refused():
    with pytest.raises(UnknownName, match="no stimulator 'oven'; there are: mms, simulated, tcs2, tsa2"):
        open_stimulator("oven", envelope=Envelope(), clock=SteadyClock())
    with pytest.raises(UnknownName, match="no stimulator 'oven'"):
        make_driver("oven", SteadyClock())
    with pytest.raises(WrongInput, match="the thermode's fault 'x' cannot be read"):
        open_stimulator(envelope=Envelope(), clock=SteadyClock(), faults=("x",))
    client = open_stimulator(envelope=Envelope(), clock=SteadyClock())
    with pytest.raises(StimulatorMissing, match="watchdog is not running; connect it first"):
        client.abort("stop")
    client.close()
