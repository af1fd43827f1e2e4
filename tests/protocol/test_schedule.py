"""States of a session and its schedule: nothing adds up, nothing is skipped in silence."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurofb.errors import WrongInput
from neurofb.protocol.schedule import TRANSITIONS, Schedule, SessionState


@dataclass(frozen=True)
class Step:
    duration_s: float
    phase: int = 0


def test_session_states_change_in_order():
    session = SessionState()
    for state in ("preparing", "running", "paused", "running", "stopping", "finished"):
        session.change_to(state)
    assert session.is_over


@pytest.mark.parametrize("state", TRANSITIONS)
def test_session_ends_only_from_stopping(state):
    """Only from 'stopping', where the stimulus has been ended, may a session be over."""
    for over in ("finished", "aborted"):
        assert (over in TRANSITIONS[state]) == (state == "stopping")


def test_unknown_transition_is_refused():
    session = SessionState()
    with pytest.raises(
        WrongInput, match="a session that is idle cannot become running; it can become preparing"
    ):
        session.change_to("running")
    for state in ("preparing", "stopping", "aborted"):
        session.change_to(state)
    with pytest.raises(WrongInput, match="aborted cannot become running; it can become nothing: it is over"):
        session.change_to("running")


def test_lateness_does_not_accumulate_in_30_minutes():
    """Taken always 3 ms late, the last of 18,000 steps is due exactly when it was planned."""
    steps = [Step(0.1)] * 18_000
    schedule = Schedule(steps, 1e6)
    for _ in steps:
        due = schedule.pop_due(schedule.next_due_s + 0.003)
    assert due.due_s == pytest.approx(1e6 + math.fsum([0.1] * 17_999), abs=1e-9)
    assert schedule.is_over
    assert schedule.next_due_s == pytest.approx(1e6 + 1800, abs=1e-9)


@given(
    durations=st.lists(st.floats(0, 60), min_size=1, max_size=40),
    start_s=st.floats(0, 1e7),
    late=st.lists(st.floats(0, 5), min_size=40, max_size=40),
)
def test_due_times_equal_sums_of_durations(durations, start_s, late):
    schedule = Schedule([Step(d) for d in durations], start_s)
    for i, _ in enumerate(durations):
        assert schedule.pop_due(schedule.next_due_s - 1e-3) is None
        due = schedule.pop_due(schedule.next_due_s + late[i])
        assert due.due_s == pytest.approx(start_s + math.fsum(durations[:i]), abs=1e-8)
    assert schedule.pop_due(1e12) is None


def test_pause_shifts_later_steps_and_returns_none():
    schedule = Schedule([Step(10.0), Step(5.0)], 100.0)
    schedule.pop_due(100.0)
    schedule.pause(104.0)
    assert schedule.pop_due(1000.0) is None
    assert schedule.resume(134.0) == 30.0
    assert schedule.next_due_s == 140.0
    assert schedule.resume(150.0) == 0.0


def test_extension_shifts_later_steps():
    schedule = Schedule([Step(10.0), Step(5.0)], 0.0)
    schedule.pop_due(0.0)
    schedule.extend(2.5)
    assert schedule.next_due_s == 12.5
    with pytest.raises(WrongInput, match="can only be made longer, found -1"):
        schedule.extend(-1)


def test_skip_phase_drops_its_remaining_steps():
    steps = [Step(1.0, 0), Step(2.0, 1), Step(3.0, 1), Step(4.0, 2)]
    schedule = Schedule(steps, 0.0)
    schedule.pop_due(0.0)
    schedule.pop_due(1.0)
    assert schedule.skip_phase(1, 1.7) == [steps[2]]
    assert schedule.next_due_s == 1.7
    assert schedule.pop_due(1.7).step is steps[3]
