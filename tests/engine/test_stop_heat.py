"""Stop this heat: one stimulus ends or is left out, and the session goes on."""

import pytest
from sequencer_parts import HeatSession, place_at_once
from test_probe_place import protocol

from neurofb.engine.heat_calibration import RAMPS_AGAIN
from neurofb.errors import WrongInput
from neurofb.messages import Command


def until(session, holds, within_s=60.0):
    """Run until something holds."""
    until_s = session.now_s + within_s
    while not holds() and session.now_s < until_s:
        session.run(0.04)
    assert holds()


def session_with(tmp_path, **how):
    return HeatSession(protocol(1, n_blocks=1, **how), tmp_path, place_at_once).run(0.5)


def stop_heat(session):
    session.sequencer.stop_heat("participant", session.clock.now_s())


def test_stopped_stimulus_ends_at_baseline_and_the_next_is_given(tmp_path):
    session = session_with(tmp_path)
    until(session, lambda: session.stimulus.last is not None and session.stimulus.last.state == "plateau")
    stop_heat(session)
    session.run(1.0)
    (ended,) = session.of_kind("heat_ended")
    assert ended.details["early"]
    assert "stopped by participant" in ended.message
    assert session.stimulus.last.measured_c < 33.0
    session.run(120.0)
    assert session.sequencer.ended is None
    assert session.sequencer.is_over
    assert len(session.of_kind("heat_fired")) == 2


@pytest.mark.parametrize("before_s", [6.0, 1.6, 0.5, 0.1])
def test_stop_before_onset_leaves_that_stimulus_out(tmp_path, before_s):
    """While its sign is shown, when it is asked for and when it is armed."""
    session = session_with(tmp_path)
    session.run(9.0 - before_s - session.now_s)
    stop_heat(session)
    session.run(120.0)
    assert session.sequencer.is_over
    assert [event.details["trial"] for event in session.of_kind("heat_left_out")] == [1]
    assert len(session.of_kind("heat_fired")) == 1
    assert len(session.of_kind("prompt_left_out")) == 1


def test_stop_without_heat_is_refused_and_changes_nothing(tmp_path):
    made = protocol(1, n_blocks=1)
    session = HeatSession(made, tmp_path, place_at_once).run(0.5)
    until(session, lambda: session.sequencer.step_on.kind == "rating")
    session.run(2.0)
    if session.sequencer.step_on.kind == "rating":
        with pytest.raises(WrongInput, match="no heat is on or about to come"):
            stop_heat(session)
    session.run(120.0)
    assert len(session.of_kind("heat_fired")) == 2


@pytest.mark.parametrize("state", ["armed", "rising"])
def test_calibration_goes_on_after_a_stopped_stimulus(tmp_path, state):
    session = session_with(tmp_path, calibrates=True)
    until(session, lambda: session.stimulus.last is not None and session.stimulus.last.state == state)
    stop_heat(session)
    session.run(300.0)
    assert session.sequencer.ended is None
    assert session.error is None
    assert len(session.of_kind("calibrated_heat")) == 1
    assert session.sequencer.is_over


@pytest.mark.parametrize("before_s", [0.45, 0.1])
def test_stop_just_before_a_calibration_asks_for_its_next_stimulus_is_heard(tmp_path, before_s):
    first = session_with(tmp_path / "heard", calibrates=True)
    until(first, lambda: len(first.of_kind("heat_armed")) == 2)
    armed_s = first.of_kind("heat_armed")[1].time_s
    session = session_with(tmp_path / "stopped", calibrates=True)
    session.run(armed_s - before_s - session.clock.now_s())
    stopped_s = session.clock.now_s()
    stop_heat(session)
    until(session, lambda: len(session.of_kind("heat_armed")) == 2)
    ended_s = session.of_kind("heat_ended")[0].time_s
    assert session.of_kind("heat_armed")[1].time_s - stopped_s >= armed_s - ended_s - 0.1  # a whole interval


def test_calibration_ends_when_every_ramp_is_stopped(tmp_path):
    session = session_with(tmp_path, calibrates=True)
    for _ in range(RAMPS_AGAIN + 1):
        until(session, lambda: session.stimulus.last.state == "rising")
        stop_heat(session)
        session.run(1.0)
    session.run(60.0)
    assert "a ramp was aborted" in str(session.error)


@pytest.mark.parametrize("name", ["stop", "stop_heat"])
def test_what_only_lowers_is_obeyed_in_whatever_form(name):
    asked = Command.read(f'{{"command": "{name}", "unknown": 1, "heat": 50}}')
    assert (asked.name, asked.content, asked.session) == (name, {}, "")
