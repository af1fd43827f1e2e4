"""A session whose watchdog does not answer: the engine goes on, no heat comes, and a safety stop ends the session."""

import json
import os
import signal
import sys
import time
from dataclasses import asdict

import numpy as np
import pytest
from session_parts import START_S, Ran, run
from stimulation_parts import SITE

from neurofb.clock import ManualClock
from neurofb.engine.assembly import Hooks, assemble
from neurofb.engine.planning import Asked, plan_session
from neurofb.errors import SafetyStop
from neurofb.stimulation import client
from neurofb.stimulation.driver import Capabilities

PATIENCE_S = 30.0
PROTOCOL = f"""
neurofb = ">=0.1"
[study]
id = "soon"
title = "Heat soon"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
[heat]
sites = ["{SITE}"]
[heat.levels.hot]
celsius = 45.0
plateau_s = 2.0
[[phases]]
name = "heat"
kind = "heat"
[phases.trials]
counts = {{ hot = 1 }}
lead_s = 4.0
anticipation_s = 0.0
relief_s = 9.0
"""


class UnansweringPipe:
    """A watchdog on any clock that sends readings, hears everything, and answers all but one kind of request."""

    def __init__(self, clock, unanswered="schedule"):
        self._clock, self._unanswered = clock, unanswered
        self.sent, self._answers = [], []
        self.pid, self.used = None, None

    @property
    def heard_s(self):
        return self._clock.now_s()

    def start(self):
        """Nothing to start."""

    def ask(self, do, **_):
        capabilities = asdict(Capabilities("x", 50.0, 70.0, 40.0, 40.0, 0.1))
        return {"clock": self._clock.now_s(), "connect": capabilities, "self_test": []}.get(do)

    def send(self, do, **_):
        self.sent.append((self._clock.now_s(), do))
        if do != self._unanswered:
            self._answers.append({"id": len(self.sent), "value": None})
        return len(self.sent)

    def pop_answers(self):
        found, self._answers = self._answers, []
        return found

    def pop_events(self):
        return []

    def pop_readings(self):
        return [[[self._clock.now_s(), 32.0, 32.0, "baseline"]]]

    def close(self, _wait_s):
        """Nothing to close."""


@pytest.fixture
def pipes(monkeypatch):
    """Sessions on a manual clock whose client is that of a watchdog, with a pipe that does not answer."""
    made = []

    def pipe(clock):
        made.append(UnansweringPipe(clock))
        return made[-1]

    def opened(kind, *, envelope, clock, **how):
        return client.WatchdogClient(kind, envelope, clock, **how)

    monkeypatch.setattr(client, "WatchdogPipe", pipe)
    monkeypatch.setattr("neurofb.engine.assembly.open_stimulator", opened)
    return made


def test_feedback_and_record_go_on_until_the_due_time_then_the_session_stops(tmp_path, pipes):
    ran = run(tmp_path)
    asked_s = next(time_s for time_s, do in pipes[0].sent if do == "schedule")
    assert ran.outcome.exit_code == SafetyStop.exit_code
    assert "has not answered 'schedule' in time" in ran.outcome.message
    (fault,) = ran.of_kind("heat_fault")
    assert f"The stimulus at '{SITE}' is not given" in fault["message"]
    assert asked_s + 1.0 <= fault["time_s"] < asked_s + 1.0 + 2 * client.DOUBT_S
    assert ran.of_kind("heat_fired") == ran.of_kind("heat_onset") == []
    assert [do for time_s, do in pipes[0].sent if time_s >= fault["time_s"] and do != "beat"] == ["abort"]
    feedback_s = ran.streams["neurofb-feedback"]["time_stamps"]
    in_time_s = feedback_s[(feedback_s >= asked_s) & (feedback_s <= fault["time_s"])]
    assert np.diff(in_time_s).max() < 0.15
    assert in_time_s[-1] > fault["time_s"] - 0.15
    assert isinstance(ran.assembled.engine._clock, ManualClock)
    assert fault["time_s"] > START_S


class SteadyClock:
    def now_s(self):
        return time.monotonic()

    def wait_until(self, time_s):
        while (left_s := time_s - time.monotonic()) > 0:
            time.sleep(left_s)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_session_with_a_stopped_watchdog_goes_on_and_ends_by_the_safety_stop(tmp_path, monkeypatch):
    """The process is stopped before the stimulus is asked for; when it runs again nothing of it comes late."""
    monkeypatch.setattr(client, "END_S", 0.5)
    path = tmp_path / "soon.toml"
    path.write_text(PROTOCOL)
    asked = Asked(
        protocol=str(path), device="simulated", participant="P01", seed=1, data=tmp_path, simulate=True
    )
    assembled = assemble(plan_session(asked), SteadyClock(), Hooks(), publish=False)
    watchdog = assembled.engine._stimulus_control._client
    start_s, pid, steps_s = time.monotonic(), watchdog.pid, []
    stopped_s = []

    def stop(now_s):
        steps_s.append(time.monotonic())
        if now_s > start_s + 2.5 and not stopped_s:
            stopped_s.append(now_s)
            os.kill(pid, signal.SIGSTOP)

    assembled.engine._each_step = (stop,)
    try:
        outcome = assembled.engine.run()
    finally:
        os.kill(pid, signal.SIGCONT)
        monkeypatch.undo()
        watchdog.close()
    assert outcome.exit_code == SafetyStop.exit_code
    assert "has said nothing for" in outcome.message
    assert np.diff(steps_s).max() < 1.0
    ran = Ran(outcome, assembled)
    features_s = ran.streams["neurofb-features"]["time_stamps"]
    assert features_s[-1] > stopped_s[0] + 0.8
    assert len(ran.of_kind("heat_fault")) == 1
    log = assembled.folder.path / "watchdog.jsonl"
    end_s = time.monotonic() + PATIENCE_S
    kinds = []
    while "watchdog_ended" not in kinds and time.monotonic() < end_s:
        lines = log.read_text("utf-8").splitlines(keepends=True) if log.exists() else []
        kinds = [json.loads(line)["kind"] for line in lines if line.endswith("\n")]
        time.sleep(0.005)
    assert "watchdog_ended" in kinds
    assert "heat_fired" not in kinds
