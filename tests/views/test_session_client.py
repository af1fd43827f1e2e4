"""The client of a session: newest values, missing streams, refused documents, commands that arrive."""

import json
import math
import uuid

import numpy as np
import pytest
from stand_in import StandIn, prompt, status_document

from neurofb import messages
from neurofb.clock import ManualClock
from neurofb.lsl.inlet import LslClock
from neurofb.lsl.session_streams import CommandInlet
from neurofb.signing import CommandGate, SessionKey
from neurofb.views.history import PendingEeg, RingBuffer, SweepEnvelope
from neurofb.views.operator import operator_view
from neurofb.views.session_client import FOR_OPERATOR, FOR_PARTICIPANT, SILENT_S, SessionClient
from neurofb.views.texts import Wording


@pytest.fixture
def client(session):
    client = SessionClient(session.uid, "operator", LslClock(), FOR_OPERATOR)
    yield client
    client.close()


def connected(client, session, until):
    def both():
        session.status()
        session.listen()
        client.step()

    until(both, lambda: not client.snapshot().missing and client.has_listeners())


def test_snapshot_has_the_newest_of_every_stream(client, session, until):
    connected(client, session, until)
    session.status(message="well")
    session.feedback(0.25)
    session.feedback(0.75, reward=True)
    session.stimulus(45.0, 44.9, 3)
    session.event("trial", "trial 1")
    session.eeg(np.full((8, 4), 7.0))

    def all_came():
        snapshot = client.snapshot()
        return bool(
            snapshot.status.message == "well"
            and snapshot.feedback
            and snapshot.feedback["level"] == 0.75
            and client.events()
            and len(client.history("stimulus")[1])
        )

    until(client.step, all_came)
    assert client.snapshot().feedback["reward"] == 1.0
    assert client.history("stimulus")[2].tolist() == [[45.0, 44.9, 3.0, 0.0]]
    assert client.events()[-1]["message"] == "trial 1"
    columns, _, rows = client.history("status")
    assert columns == ("z", "threshold", "level")
    assert rows[-1].tolist() == [0.4, 0.1, 0.5]
    taken = []
    until(client.step, lambda: taken.append(client.pop_eeg()) or sum(len(t[0]) for t in taken) == 8)
    assert taken[-1][2:] == (session.labels, 256.0)


def test_late_client_has_the_next_status(session, until):
    session.status(message="long before")
    late = SessionClient(session.uid, "participant", LslClock(), FOR_PARTICIPANT)
    assert late.snapshot().status is None
    assert late.snapshot().missing == FOR_PARTICIPANT
    until(lambda: (session.status(message="now"), late.step()), lambda: late.snapshot().status is not None)
    assert late.snapshot().status.message == "now"
    late.close()


def test_lost_stream_is_missing_until_it_returns(client, session, until):
    connected(client, session, until)
    session.lose(messages.EEG)
    until(client.step, lambda: messages.EEG in client.snapshot().missing)
    session.open(messages.EEG)
    until(lambda: (session.status(), client.step()), lambda: not client.snapshot().missing)


def test_silent_session_is_missing(session, until):
    clock = ManualClock(100.0)
    client = SessionClient(session.uid, "participant", clock, FOR_PARTICIPANT)

    def both():
        clock.advance(0.3)
        session.status()
        client.step()

    until(both, lambda: not client.snapshot().missing)
    clock.advance(SILENT_S + 0.1)
    assert client.snapshot().missing == (messages.STATUS,)
    client.close()


def test_stimulus_stream_is_not_missing_without_a_stimulator(client, session, until):
    session.lose(messages.STIMULUS)
    until(
        lambda: (session.status(heat=None), client.step()),
        lambda: client.snapshot().status is not None and not client.snapshot().missing,
    )


def test_command_names_its_session_and_sender(client, session, until):
    connected(client, session, until)
    client.send("mark", text="cough")
    client.send("pause")
    until(session.listen, lambda: len(session.heard) == 2)
    assert session.heard[0] == messages.Command("mark", {"text": "cough"}, "operator", session.uid)


def test_stop_is_resent_until_the_session_stops(client, session, until):
    connected(client, session, until)
    client.stop()
    until(
        lambda: (session.listen(), client.step()),
        lambda: sum(each.name == "stop" for each in session.heard) >= 3,
    )
    assert client.snapshot().unconfirmed == ("stop",)
    until(
        lambda: (session.status(state="stopping"), client.step()), lambda: not client.snapshot().unconfirmed
    )


def test_rating_is_resent_until_its_prompt_is_gone(client, session, until):
    connected(client, session, until)
    asked = prompt(id="p7")
    until(
        lambda: (session.status(prompt=asked), client.step()),
        lambda: client.snapshot().status.prompt is not None,
    )
    client.rate("p7", 12.0)
    until(
        lambda: (session.status(prompt=asked), client.step(), session.listen()),
        lambda: sum(each.name == "rating" for each in session.heard) >= 2,
    )
    assert session.heard[-1].content == {"prompt": "p7", "value": 12.0}
    until(lambda: (session.status(), client.step()), lambda: not client.snapshot().unconfirmed)


MALFORMED = {
    "broken JSON": "{broken",
    "a list": "[1, 2]",
    "of another session": json.dumps(status_document("another")),
    "lacks keys": '{"session": "UID", "state": "running"}',
    "a nest of lists": "[" * 100_000,
    "a text for a level": json.dumps(status_document("UID", feedback={"level": "high"})),
    "no feedback": json.dumps(status_document("UID", feedback=None)),
    "a number for a phase": json.dumps(status_document("UID", phase=3)),
    "an object for a state": json.dumps(status_document("UID", state={"a": 1})),
    "an infinite time": json.dumps(status_document("UID", now_s=math.inf)),
    "a channel without a state": json.dumps(status_document("UID", channels={"AF7": {}})),
    "no text at all": "\0\ud800".encode("utf-8", "replace").decode(),
    "too long": json.dumps(status_document("UID", message="a" * 2_000_000)),
}


@pytest.mark.parametrize("document", MALFORMED.values(), ids=MALFORMED)
def test_malformed_or_foreign_status_is_refused_and_the_last_good_one_kept(
    client, session, until, caplog, document
):
    """A refusal ends no thread: the client's own thread receives it, and the next good status after it."""
    client.start()
    until(lambda: session.status(message="before"), lambda: client.snapshot().status is not None)
    session.outlets[messages.STATUS].push_sample([document.replace("UID", session.uid)])
    until(lambda: None, lambda: client.n_refused == 1)
    assert client.snapshot().status.message == "before"
    assert "refused on neurofb-status" in caplog.text
    until(lambda: session.status(message="after"), lambda: client.snapshot().status.message == "after")
    assert client.n_refused == 1


def test_malformed_event_is_passed_over(client, session, until):
    client.start()
    until(session.status, lambda: not client.snapshot().missing)
    for text in ("{broken", "[1]", "[" * 100_000):
        session.outlets[messages.EVENTS].push_sample([text])
    session.event("trial", "trial 1")
    until(lambda: None, lambda: bool(client.events()))
    assert [each["message"] for each in client.events()] == ["trial 1"]


def test_started_client_steps_in_its_own_thread(client, session, until):
    client.start()
    until(lambda: session.status(message="alone"), lambda: client.snapshot().status is not None)
    assert client.snapshot().status.message == "alone"


def test_ring_buffer_keeps_its_newest_rows():
    history = RingBuffer(("a", "b"), 3)
    assert history.newest() is None
    history.add(np.array([1.0, 2.0]), np.array([[1, 10], [2, 20.0]]))
    history.add(np.array([3.0, 4.0]), np.array([[3, 30], [4, 40.0]]))
    times_s, rows = history.rows()
    assert times_s.tolist() == [2, 3, 4]
    assert rows[:, 1].tolist() == [20, 30, 40]
    assert history.newest() == {"time_s": 4.0, "a": 4.0, "b": 40.0}
    history.add(np.arange(10.0), np.zeros((10, 2)))
    assert history.rows()[0].tolist() == [7, 8, 9]


def test_pending_eeg_beyond_its_limit_is_dropped_and_counted():
    waiting = PendingEeg(10)
    for _ in range(5):
        waiting.add(np.ones((4, 2)))
    samples, dropped = waiting.pop(2)
    assert (len(samples), dropped) == (8, 12)
    assert waiting.pop(2)[0].shape == (0, 2)


def test_sweep_has_the_extremes_of_each_column():
    sweep = SweepEnvelope(1, 100.0, 1.6, 16)  # ten samples a column
    x = np.zeros((25, 1))
    x[3], x[14], x[15] = 50.0, -30.0, 20.0
    changed = sweep.add(x)
    assert changed == [0, 1, 2]
    assert sweep.greatest[0] - np.median(sweep.least[0]) == pytest.approx(50.0)
    assert sweep.greatest[1] - sweep.least[1] == pytest.approx(50.0)


def test_sweep_does_not_depend_on_chunks():
    x = np.random.default_rng(0).normal(0, 10, (230, 3))
    x -= x.mean(axis=0)
    whole, pieces = SweepEnvelope(3, 100.0, 1.6, 16), SweepEnvelope(3, 100.0, 1.6, 16)
    whole._level = pieces._level = np.zeros(3)
    whole._smoothing = pieces._smoothing = 0.0
    whole.add(x)
    for start in range(0, 230, 7):
        pieces.add(x[start : start + 7])
    np.testing.assert_allclose(whole.least, pieces.least)
    np.testing.assert_allclose(whole.greatest, pieces.greatest)


def test_missing_samples_are_a_gap_in_the_sweep_and_dropped_ones_advance_it():
    sweep = SweepEnvelope(1, 100.0, 1.6, 16)
    sweep.add(np.zeros((10, 1)))
    assert sweep.add(np.full((10, 1), np.nan)) == [1]
    assert np.isnan(sweep.least[1]).all()
    assert sweep.add(np.zeros((10, 1)), n_dropped=40)[-1] == 6


# -- with a key: only the engine is believed -------------------------------------------------------------------------


@pytest.fixture
def keyed():
    """A signing session, an impostor with the same names and ``source_id``s, and a client with the session's key."""
    uid = uuid.uuid4().hex[:12]
    key = SessionKey(uid)
    engine, impostor = StandIn(uid=uid, key=key), StandIn(uid=uid)
    client = SessionClient(uid, "operator", LslClock(), FOR_OPERATOR, key.window("operator"))
    yield engine, impostor, client, key
    client.close()
    engine.close()
    impostor.close()


def test_imposters_finished_is_refused_and_shown_as_a_second_voice(keyed, until):
    engine, impostor, client, _ = keyed

    def both():
        impostor.status(state="finished", message="fake")
        impostor.outlets[messages.STATUS].push_sample(["{malformed"])
        impostor.event("end", "fake")
        engine.status(message="real")
        engine.event("trial", "real")
        client.step()
        assert client.snapshot().status is None or client.snapshot().status.message == "real"

    until(both, lambda: client.snapshot().second_voices and client.events() and not client.snapshot().missing)
    assert {each["message"] for each in client.events()} == {"real"}
    assert client.snapshot().is_verified
    view = operator_view(client.snapshot(), Wording("en"), uid=client.uid)
    assert "ANOTHER PROGRAM SPEAKS AS THIS SESSION" in view.banner.text
    assert view.banner.tone == "bad"
    assert "stop" in view.enabled


def test_numbers_are_read_from_the_outlets_that_the_status_names(keyed, until):
    engine, impostor, client, _ = keyed

    def both():
        impostor.feedback(0.9)
        engine.feedback(0.25)
        engine.status()
        client.step()

    until(both, lambda: client.snapshot().feedback is not None)
    for _ in range(20):
        both()
    columns, _, values = client.history("feedback")
    assert set(values[:, columns.index("level")].tolist()) == {0.25}


def test_old_status_sent_again_is_refused(keyed, until):
    engine, _, client, _ = keyed
    old = engine._signers[messages.STATUS].sign(json.dumps(status_document(engine.uid, state="finished")))
    until(
        lambda: (engine.status(message="real"), client.step()), lambda: client.snapshot().status is not None
    )
    engine.outlets[messages.STATUS].push_sample([old])
    until(lambda: client.step(), lambda: client.snapshot().second_voices)
    assert client.snapshot().status.state == "running"


def test_clients_commands_pass_the_gate_once_each(keyed, until):
    engine, _, client, key = keyed
    gate = CommandGate(engine.uid, key)
    inlet = CommandInlet(gate)
    until(lambda: None, client.has_listeners)
    client.send("pause")
    client.rate("p1", 3.0)
    client.step()
    heard = []
    until(
        lambda: (heard.extend(inlet.pop(10)), client.step()), lambda: len(heard) >= 3
    )  # a rating is sent again
    assert [each.name for each in heard][:3] == ["pause", "rating", "rating"]
    assert [each.counter for each in heard] == list(range(1, len(heard) + 1))
    assert not inlet.pop_refused()
    inlet.close()


def test_heartbeat_is_sent_only_for_a_newer_status_that_was_drawn(monkeypatch):
    """Twice a second at most, with the streams that are missing; a screen that hangs sends none."""
    clock = ManualClock(100.0)
    client = SessionClient("u", "operator", clock, FOR_OPERATOR)
    sent = []
    monkeypatch.setattr(client, "send", lambda name, **content: sent.append((name, content)))
    for tenth in range(30):
        clock.advance(0.1)
        if tenth < 20:
            client.report_drawn(50.0 + tenth)
        client._send_alive(clock.now_s())
    client.close()
    assert [name for name, _ in sent] == ["alive"] * len(sent)
    assert 4 <= len(sent) <= 5
    assert sent[0][1] == {"view": "operator", "drew_s": 50.0, "missing": ", ".join(FOR_OPERATOR)}
    assert sent[-1][1]["drew_s"] <= 69.0
