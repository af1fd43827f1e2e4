"""What a screen knows of a session: the newest, what is missing, and that its commands arrive."""

import numpy as np
import pytest
from stand_in import prompt, status

from neurofb import messages
from neurofb.clock import ManualClock
from neurofb.lsl.inlet import LslClock
from neurofb.views.history import Course, PendingEeg, Sweep
from neurofb.views.session_client import FOR_OPERATOR, FOR_PARTICIPANT, SILENT_S, STATUS_KEYS, SessionClient


@pytest.fixture
def bridge(session):
    bridge = SessionClient(session.uid, "operator", LslClock(), FOR_OPERATOR)
    yield bridge
    bridge.close()


def connected(bridge, session, until):
    def both():
        session.status()
        session.listen()
        bridge.step()

    until(both, lambda: not bridge.snapshot().missing and bridge.is_heard())


def test_the_newest_of_every_stream_is_known(bridge, session, until):
    connected(bridge, session, until)
    session.status(message="well")
    session.feedback(0.25)
    session.feedback(0.75, reward=True)
    session.stimulus(45.0, 44.9, 3)
    session.event("trial", "trial 1")
    session.eeg(np.full((8, 4), 7.0))

    def all_came():
        snapshot = bridge.snapshot()
        return bool(
            snapshot.status["message"] == "well"
            and snapshot.feedback
            and snapshot.feedback["level"] == 0.75
            and bridge.events()
            and len(bridge.course("stimulus")[1])
        )

    until(bridge.step, all_came)
    assert bridge.snapshot().feedback["reward"] == 1.0
    assert bridge.course("stimulus")[2].tolist() == [[45.0, 44.9, 3.0, 0.0]]
    assert bridge.events()[-1]["message"] == "trial 1"
    columns, _, rows = bridge.course("status")
    assert columns == ("z", "threshold", "level")
    assert rows[-1].tolist() == [0.4, 0.1, 0.5]
    taken = []
    until(bridge.step, lambda: taken.append(bridge.pop_eeg()) or sum(len(t[0]) for t in taken) == 8)
    assert taken[-1][2:] == (session.labels, 256.0)


def test_a_screen_that_comes_late_catches_up_with_the_next_status(session, until):
    session.status(message="long before")
    late = SessionClient(session.uid, "participant", LslClock(), FOR_PARTICIPANT)
    assert late.snapshot().status is None
    assert late.snapshot().missing == FOR_PARTICIPANT
    until(lambda: (session.status(message="now"), late.step()), lambda: late.snapshot().status is not None)
    assert late.snapshot().status["message"] == "now"
    late.close()


def test_a_stream_that_goes_is_missing_until_it_comes_again(bridge, session, until):
    connected(bridge, session, until)
    session.lose(messages.EEG)
    until(bridge.step, lambda: messages.EEG in bridge.snapshot().missing)
    session.open(messages.EEG)
    until(lambda: (session.status(), bridge.step()), lambda: not bridge.snapshot().missing)


def test_a_silent_session_is_missing_too(session, until):
    clock = ManualClock(100.0)
    bridge = SessionClient(session.uid, "participant", clock, FOR_PARTICIPANT)

    def both():
        clock.advance(0.3)
        session.status()
        bridge.step()

    until(both, lambda: not bridge.snapshot().missing)
    clock.advance(SILENT_S + 0.1)
    assert bridge.snapshot().missing == (messages.STATUS,)
    bridge.close()


def test_a_session_without_a_stimulator_lacks_no_stimulus(bridge, session, until):
    session.lose(messages.STIMULUS)
    until(
        lambda: (session.status(heat=None), bridge.step()),
        lambda: bridge.snapshot().status is not None and not bridge.snapshot().missing,
    )


def test_commands_name_their_session_and_who_asks(bridge, session, until):
    connected(bridge, session, until)
    bridge.send("mark", text="cough")
    bridge.send("pause")
    until(session.listen, lambda: len(session.heard) == 2)
    assert session.heard[0] == messages.Command("mark", {"text": "cough"}, "operator", session.uid)


def test_a_stop_is_said_again_until_the_session_stops(bridge, session, until):
    connected(bridge, session, until)
    bridge.stop()
    until(
        lambda: (session.listen(), bridge.step()),
        lambda: sum(each.name == "stop" for each in session.heard) >= 3,
    )
    assert bridge.snapshot().unheard == ("stop",)
    until(lambda: (session.status(state="stopping"), bridge.step()), lambda: not bridge.snapshot().unheard)


def test_a_rating_is_said_again_until_its_prompt_is_gone(bridge, session, until):
    connected(bridge, session, until)
    asked = prompt(id="p7")
    until(
        lambda: (session.status(prompt=asked), bridge.step()),
        lambda: bridge.snapshot().status["prompt"] is not None,
    )
    bridge.rate("p7", 12.0)
    until(
        lambda: (session.status(prompt=asked), bridge.step(), session.listen()),
        lambda: sum(each.name == "rating" for each in session.heard) >= 2,
    )
    assert session.heard[-1].content == {"prompt": "p7", "value": 12.0}
    until(lambda: (session.status(), bridge.step()), lambda: not bridge.snapshot().unheard)


def test_what_is_no_status_of_this_session_is_passed_over(bridge, session, until):
    connected(bridge, session, until)
    session.outlets[messages.STATUS].push_sample(["{broken"])
    session.outlets[messages.STATUS].push_sample(['{"session": "another"}'])
    session.outlets[messages.STATUS].push_sample([f'{{"session": "{session.uid}", "state": "running"}}'])
    session.outlets[messages.STATUS].push_sample(["[1, 2]"])
    session.status(message="after")
    until(bridge.step, lambda: bridge.snapshot().status["message"] == "after")


def test_the_bridge_steps_by_itself(bridge, session, until):
    bridge.start()
    until(lambda: session.status(message="alone"), lambda: bridge.snapshot().status is not None)
    assert bridge.snapshot().status["message"] == "alone"


def test_the_status_of_an_engine_has_what_a_screen_needs():
    from inspect import getsource

    from neurofb.engine.status import StatusSheet

    told = getsource(StatusSheet.fill)
    assert all(f'"{key}":' in told for key in STATUS_KEYS)
    assert status().keys() >= STATUS_KEYS


def test_a_course_keeps_its_newest_rows():
    course = Course(("a", "b"), 3)
    assert course.newest() is None
    course.add(np.array([1.0, 2.0]), np.array([[1, 10], [2, 20.0]]))
    course.add(np.array([3.0, 4.0]), np.array([[3, 30], [4, 40.0]]))
    times_s, rows = course.rows()
    assert times_s.tolist() == [2, 3, 4]
    assert rows[:, 1].tolist() == [20, 30, 40]
    assert course.newest() == {"time_s": 4.0, "a": 4.0, "b": 40.0}
    course.add(np.arange(10.0), np.zeros((10, 2)))
    assert course.rows()[0].tolist() == [7, 8, 9]


def test_eeg_that_nobody_draws_is_dropped_and_counted():
    waiting = PendingEeg(10)
    for _ in range(5):
        waiting.add(np.ones((4, 2)))
    samples, dropped = waiting.take(2)
    assert (len(samples), dropped) == (8, 12)
    assert waiting.take(2)[0].shape == (0, 2)


def test_a_sweep_shows_the_extremes_of_each_column():
    sweep = Sweep(1, 100.0, 1.6, 16)  # ten samples a column
    x = np.zeros((25, 1))
    x[3], x[14], x[15] = 50.0, -30.0, 20.0
    changed = sweep.add(x)
    assert changed == [0, 1, 2]
    assert sweep.greatest[0] - np.median(sweep.least[0]) == pytest.approx(50.0)
    assert sweep.greatest[1] - sweep.least[1] == pytest.approx(50.0)


def test_a_sweep_in_pieces_is_the_sweep_at_once():
    x = np.random.default_rng(0).normal(0, 10, (230, 3))
    x -= x.mean(axis=0)
    whole, pieces = Sweep(3, 100.0, 1.6, 16), Sweep(3, 100.0, 1.6, 16)
    whole._level = pieces._level = np.zeros(3)
    whole._smoothing = pieces._smoothing = 0.0
    whole.add(x)
    for start in range(0, 230, 7):
        pieces.add(x[start : start + 7])
    np.testing.assert_allclose(whole.least, pieces.least)
    np.testing.assert_allclose(whole.greatest, pieces.greatest)


def test_a_sweep_of_missing_samples_is_a_gap_and_dropped_ones_move_on():
    sweep = Sweep(1, 100.0, 1.6, 16)
    sweep.add(np.zeros((10, 1)))
    assert sweep.add(np.full((10, 1), np.nan)) == [1]
    assert np.isnan(sweep.least[1]).all()
    assert sweep.add(np.zeros((10, 1)), n_dropped=40)[-1] == 6
