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

import pytest
from stimulation_parts import SITE, Bench

from neurofb.errors import SafetyStop, StimulatorMissing, UnknownName, UnsafeHeat, WrongInput
from neurofb.stimulation.client import WatchdogClient, make_driver, open_stimulator
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile, dose
from neurofb.stimulation.watchdog import EngineClock, Watchdog

#: Fast ramps, so that the tests are short.
PROFILE = HeatProfile(46.0, 0.3, rise_c_per_s=40.0, return_c_per_s=40.0)
LONG = HeatProfile(45.0, 60.0, rise_c_per_s=40.0, return_c_per_s=40.0)
PATIENCE_S = 30.0


class SteadyClock:
    def now_s(self):
        return time.monotonic()

    def wait_until(self, time_s):
        while (left_s := time_s - time.monotonic()) > 0:
            time.sleep(left_s)


@pytest.fixture
def opened(tmp_path):
    """Give a function that opens a heater with a watchdog; all are closed in the end."""
    heaters = []

    def give(**how):
        heater = open_stimulator(envelope=Envelope(), clock=SteadyClock(), log=tmp_path / "log.jsonl", **how)
        heaters.append(heater)
        assert heater.connect().simulated
        heater.seen = []
        return heater

    yield give
    for heater in heaters:
        heater.close()


def until(heater, kind, beating=True):
    """Wait for an event, as an engine that steps; give it."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        if beating:
            heater.beat()
        new = heater.pop_events()
        heater.seen += new
        for event in new:
            if event.kind == kind:
                return event
        time.sleep(0.005)
    pytest.fail(f"no {kind}; there were {[event.kind for event in heater.seen]}")


def fire(heater, profile=LONG, in_s=0.05):
    ticket = heater.arm(profile, SITE)
    heater.fire(ticket, time.monotonic() + in_s)
    return ticket


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


def test_a_stimulus_through_the_process(opened):
    heater = opened(seed=5, used={SITE: 0.25})
    assert isinstance(heater, WatchdogClient)
    assert heater.self_test() == []
    assert heater.used() == {SITE: 0.25}
    at_s = time.monotonic() + 0.1
    ticket = heater.arm(PROFILE, SITE)
    assert (ticket.profile, ticket.site) == (PROFILE, SITE)
    heater.fire(ticket, at_s)
    until(heater, "heat_ended")
    kinds = [event.kind for event in heater.seen]
    assert kinds == ["heat_armed", "heat_fired", "heat_plateau", "heat_returning", "heat_ended"]
    fired = heater.seen[1]
    assert fired.details["scheduled_s"] == at_s
    assert fired.details["fired_s"] >= at_s
    readings = heater.readings()
    assert max(reading.measured_c for reading in readings) == pytest.approx(46.0, abs=0.3)
    assert [r.time_s for r in readings] == sorted(r.time_s for r in readings)
    assert abs(readings[-1].time_s - time.monotonic()) < PATIENCE_S
    assert 0.25 < heater.used()[SITE] < 0.25 + 2 * dose(PROFILE)


def test_what_the_guard_refuses_is_refused_here(opened):
    heater = opened()
    with pytest.raises(UnsafeHeat, match="50 °C is asked; at most 49 °C is allowed"):
        heater.arm(HeatProfile(50.0, 1.0), SITE)
    with pytest.raises(WrongInput, match="lowered by more than 0 °C"):
        heater.lower(-1.0)
    fire(heater)
    until(heater, "heat_plateau")
    with pytest.raises(UnsafeHeat, match="another stimulus is on"):
        heater.arm(PROFILE, SITE)
    heater.lower(2.0)
    assert until(heater, "heat_lowered").details["by_c"] == 2.0


def test_a_used_ticket_is_refused_in_an_event(opened):
    heater = opened()
    ticket = fire(heater, PROFILE)
    until(heater, "heat_ended")
    heater.fire(ticket, time.monotonic() + 60.0)
    assert "a ticket is good for once" in until(heater, "heat_refused").message


def test_abort_from_another_thread_then_reset(opened):
    heater = opened()
    fire(heater)
    until(heater, "heat_plateau")
    threading.Thread(target=heater.abort, args=("stop key",)).start()
    assert until(heater, "heat_aborted").details["why"] == "stop key"
    assert "stop key" in until(heater, "heat_ended").message
    with pytest.raises(UnsafeHeat, match="the schedule must reset it"):
        heater.arm(PROFILE, "right forearm")
    heater.reset()
    heater.arm(PROFILE, "right forearm")


def test_end_goes_on_with_the_next(opened):
    heater = opened()
    fire(heater)
    until(heater, "heat_plateau")
    heater.end("button")
    until(heater, "heat_ended")
    heater.arm(PROFILE, "right forearm")


def test_a_heartbeat_that_stops_ends_the_heat(opened):
    heater = opened()
    fire(heater)
    until(heater, "heat_plateau")
    event = until(heater, "heat_aborted", beating=False)
    assert "nothing was heard from the engine for 0.5" in event.message
    until(heater, "heat_ended", beating=False)


def test_without_heat_a_silent_engine_is_no_alarm(opened):
    heater = opened()
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        time.sleep(0.05)
    assert heater.pop_events() == []
    heater.arm(PROFILE, SITE)


@pytest.mark.parametrize(
    "fault", ["lost@0.4+0.4", "wrong_readback@0.4+1.2:5", "runaway@0.4+3", "stale@0.4+1.6"]
)
def test_faults_in_the_real_process(opened, fault):
    heater = opened(faults=(fault,))
    fire(heater)
    until(heater, "heat_fault")
    until(heater, "heat_ended")
    assert "heat_aborted" in [event.kind for event in heater.seen]


def test_closing_ends_a_stimulus_first(opened, tmp_path):
    heater = opened()
    fire(heater)
    until(heater, "heat_plateau")
    heater.close()
    log = log_until(tmp_path / "log.jsonl", "watchdog_ended")
    assert log["heat_aborted"]["time_s"] <= log["heat_ended"]["time_s"] <= log["watchdog_ended"]["time_s"]
    heater.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_sigterm_ends_in_order_and_ctrl_c_not_at_all(opened, tmp_path):
    heater = opened()
    os.kill(heater.pid, signal.SIGINT)
    fire(heater)
    until(heater, "heat_plateau")
    os.kill(heater.pid, signal.SIGTERM)
    log = log_until(tmp_path / "log.jsonl", "watchdog_ended")
    assert "SIGTERM" in log["heat_aborted"]["message"]
    assert "heat_ended" in log


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_it_is_in_a_session_of_its_own(opened):
    assert os.getsid(opened().pid) != os.getsid(0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_watchdog_that_is_killed_is_noticed(opened):
    heater = opened()
    fire(heater)
    until(heater, "heat_plateau")
    os.kill(heater.pid, signal.SIGKILL)
    with pytest.raises(SafetyStop, match="watchdog is gone|has said nothing"):
        until(heater, "never")
    with pytest.raises(SafetyStop, match="take the probe off the skin"):
        heater.arm(PROFILE, SITE)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_watchdog_that_hangs_is_noticed(opened):
    heater = opened()
    os.kill(heater.pid, signal.SIGSTOP)
    try:
        with pytest.raises(SafetyStop, match="has said nothing for .*switch the stimulator off"):
            until(heater, "never")
    finally:
        os.kill(heater.pid, signal.SIGCONT)


def test_an_engine_that_was_busy_does_not_blame_the_watchdog(opened):
    """What was said while this process could not listen lies in the pipe: it is looked at before any alarm."""
    heater = opened()
    heater._pipe.heard_s -= 100.0
    heater.beat()
    fire(heater, PROFILE)
    until(heater, "heat_ended")


ENGINE = """
    import sys, time
    from pathlib import Path
    from neurofb.stimulation.envelope import Envelope
    from neurofb.stimulation.heat_profile import HeatProfile
    from neurofb.stimulation.client import open_stimulator

    class SteadyClock:
        def now_s(self):
            return time.monotonic()

    heater = open_stimulator(envelope=Envelope(), clock=SteadyClock(), log=Path(sys.argv[1]))
    heater.connect()
    heater.fire(heater.arm(HeatProfile(45.0, 60.0, rise_c_per_s=40.0), "arm"), time.monotonic() + 0.05)
    while True:
        heater.beat()
        if any(event.kind == "heat_plateau" for event in heater.pop_events()):
            print("plateau", heater.pid, flush=True)
        time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_engine_that_is_killed_mid_plateau_leaves_no_heat(tmp_path):
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


def test_a_failure_of_its_own_ends_the_heat(tmp_path):
    bench = Bench()
    bench.fire(LONG)
    bench.run(2.0)
    watchdog = Watchdog(bench.guard, bench.clock, None, tmp_path / "log.jsonl")
    watchdog.fail(RuntimeError("a bug"))
    assert bench.thermode.probe_c == pytest.approx(32.0, abs=0.1)
    assert "a bug" in (tmp_path / "log.jsonl").read_text("utf-8")


def test_it_starts_light():
    """A safety process that loads half of science starts late; NumPy, LSL and MNE are none of its business."""
    code = "import sys, neurofb.stimulation.watchdog; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in found.stdout.split()}
    assert loaded.isdisjoint({"numpy", "scipy", "pylsl", "mne", "rich", "click"})


def test_the_clock_of_the_engine():
    clock = EngineClock(100.0)
    before_s = time.monotonic()
    clock.wait_until(clock.now_s() + 0.01)
    assert before_s + 100.01 <= clock.now_s()


def test_what_there_is_not():
    with pytest.raises(UnknownName, match="no stimulator 'oven'; there are: simulated"):
        open_stimulator("oven", envelope=Envelope(), clock=SteadyClock())
    with pytest.raises(UnknownName, match="no stimulator 'oven'"):
        make_driver("oven", SteadyClock())
    with pytest.raises(WrongInput, match="the thermode's fault 'x' cannot be read"):
        open_stimulator(envelope=Envelope(), clock=SteadyClock(), faults=("x",))
    heater = open_stimulator(envelope=Envelope(), clock=SteadyClock())
    with pytest.raises(StimulatorMissing, match="watchdog is not running; connect it first"):
        heater.abort("stop")
    heater.close()
