"""A window on another computer pairs with its session over LSL, and a stop waits for none of it."""

import json
import re
import threading
import uuid

import pytest

pytest.importorskip("spake2", reason="pairing needs it: pip install 'neurofb[network]'")

from neurofb import messages
from neurofb.errors import StreamMissing, WrongInput
from neurofb.lsl import pairing_streams
from neurofb.lsl.pairing_streams import MOST_WAITING, PairingDesk, pair
from neurofb.lsl.session_streams import CommandInlet
from neurofb.messages import Command
from neurofb.signing import CommandGate, SessionKey

BOUND_S = 30.0


class Session:
    """The part of a session that listens."""

    def __init__(self):
        self.uid = uuid.uuid4().hex[:12]
        self.key = SessionKey(self.uid)
        self.shown, self.noted, self.has_shown = [], [], threading.Event()
        self.desk = PairingDesk(self.uid, self.key, self.show, self.noted.append)
        self.inlet = CommandInlet(CommandGate(self.uid, self.key), None, self.desk.hear)

    def show(self, words):
        self.shown.append(words)
        self.has_shown.set()

    def code(self):
        self.desk.make_code()
        assert self.has_shown.wait(BOUND_S)
        return re.search(r"code (\d{3} \d{3})", self.shown[0])[1]

    def close(self):
        self.inlet.close()
        self.desk.close()


@pytest.fixture
def session():
    found = Session()
    yield found
    found.close()


def test_window_pairs_over_the_network_after_a_wrong_code(session):
    code = session.code()
    wrong = f"{(int(code.replace(' ', '')) + 1) % 10**6:06d}"
    with pytest.raises(WrongInput, match="another code"):
        pair(session.uid, "operator", "lab2", lambda: wrong)
    assert pair(session.uid, "operator", "lab2", lambda: code) == session.key.window("operator")
    assert session.noted == [
        "a code to pair a window on another computer was made",
        "a window asks to pair: operator on 'lab2'; 2 tries are left",
        "a window asks to pair: operator on 'lab2'; 1 try is left",
        "paired: operator on 'lab2' has its key; the code is spent",
    ]
    assert session.shown[1:] == session.noted[1:]
    assert not session.inlet.pop(10)  # nothing of it is for the engine
    assert not session.inlet.pop_refused()
    with pytest.raises(WrongInput, match="the session did not pair: no code is valid"):
        pair(session.uid, "operator", "lab2", lambda: code)


def test_session_without_a_code_asks_nobody_for_one(session, monkeypatch):
    monkeypatch.setattr(pairing_streams, "FIND_S", 0.3)
    with pytest.raises(StreamMissing, match="press k at its terminal"):
        pair(session.uid, "operator", "lab2", lambda: pytest.fail("asked for a code"))


def test_stop_waits_for_no_pairing(session, monkeypatch):
    """The pairing's thread hangs and requests pile up: they are dropped, and a stop goes through at once."""
    hangs, goes_on = threading.Event(), threading.Event()

    def hanging(*_given):
        hangs.set()
        goes_on.wait(BOUND_S)
        return {}

    session.code()
    monkeypatch.setattr(session.desk._pairing, "hear", hanging)
    request = Command(
        "pair", {"exchange": "1", "host": "a", "message": "00"}, "operator", session.uid
    ).to_json()
    session.inlet._take(request)
    assert hangs.wait(BOUND_S)
    for _ in range(10 * MOST_WAITING):
        session.inlet._take(request)
    session.inlet._take(json.dumps({"command": "stop", "by": "somebody"}))
    assert [each.name for each in session.inlet.pop(10)] == ["stop"]
    goes_on.set()


def test_pairing_is_only_for_its_session_and_needs_a_listener():
    heard = []
    inlet = CommandInlet(CommandGate("abc", SessionKey("abc")), None, heard.append)
    alone = CommandInlet(CommandGate("abc", SessionKey("abc")))
    try:
        for uid in ("other", "abc"):
            text = Command("pair", {"exchange": "1"}, "operator", uid).to_json()
            inlet._take(text)
            alone._take(text)
        assert [each.session for each in heard] == ["abc"]
        assert not alone.pop(10)
        assert not inlet.pop(10)
    finally:
        inlet.close()
        alone.close()


def test_pairing_stream_has_the_name_that_is_documented():
    assert messages.source_id("abc", messages.PAIRING) == "neurofb-abc-pairing"
