"""Pairing by a code: who has it gets the keys of one window, and nobody else does, whatever is sent or changed."""

import json
import re

import pytest

pytest.importorskip("spake2", reason="pairing needs it: pip install 'neurofb[network]'")

from neurofb import pairing
from neurofb.errors import WrongInput
from neurofb.pairing import ROLES, TRIES, VALID_S, Asker, Pairing, read_code
from neurofb.signing import SessionKey

UID = "abc123"
KEY = SessionKey(UID, b"k" * 32)
START_S = 100.0


class Session:
    """A session that has made a code, and what it said."""

    def __init__(self, uid=UID, key=KEY, code=None):
        self.told = []
        self.pairing = Pairing(uid, key, self.told.append)
        if code is not None:  # the same by chance
            pairing.new_code, before = lambda: code, pairing.new_code
        try:
            self.code = self.pairing.new_code(START_S)
        finally:
            if code is not None:
                pairing.new_code = before
        self.heard = []

    def hear(self, content, role="operator", now_s=START_S + 1.0):
        reply = self.pairing.hear(role, json.loads(json.dumps(content)), now_s)
        self.heard.append((content, reply))
        return reply


def other(code):
    """Return another code."""
    return f"{(int(code) + 1) % 10**6:06d}"


def asker(session, code=None, role="operator", uid=UID):
    return Asker(session.code if code is None else code, uid, role, "lab2")


@pytest.mark.parametrize("role", ROLES)
def test_window_with_the_code_gets_its_own_keys_and_the_person_sees_who_it_is(role):
    session = Session()
    window = asker(session, role=role)
    key = window.open(session.hear(window.confirm(session.hear(window.request(), role)), role))
    assert key == KEY.window(role)
    assert session.told == [
        f"a window asks to pair: {role} on 'lab2'; 2 tries are left",
        f"paired: {role} on 'lab2' has its key; the code is spent",
    ]


def test_code_is_spent_after_one_success():
    session = Session()
    window = asker(session)
    session.hear(window.confirm(session.hear(window.request())))
    assert session.pairing.code(START_S) == ""
    assert "no code is valid" in session.hear(asker(session).request())["refused"]


def test_wrong_code_is_told_to_the_window_and_gets_nothing():
    session = Session()
    window = asker(session, other(session.code))
    with pytest.raises(WrongInput, match="the session has another code than was typed"):
        window.confirm(session.hear(window.request()))
    assert asked_again_with_right_code(session)


def asked_again_with_right_code(session):
    window = asker(session)
    return window.open(session.hear(window.confirm(session.hear(window.request())))) == KEY.window("operator")


def test_third_try_spends_the_code_and_each_request_is_a_try():
    session = Session()
    for _ in range(TRIES):
        assert "confirm" in session.hear(asker(session, other(session.code)).request())
    assert "no code is valid" in session.hear(asker(session).request())["refused"]
    assert session.told[-1] == "a window asks to pair: operator on 'lab2'; no try is left"
    assert len(session.told) == TRIES  # what comes then fills neither terminal nor record


def test_third_try_with_the_right_code_is_one():
    session = Session()
    for _ in range(TRIES - 1):
        session.hear(asker(session, other(session.code)).request())
    assert asked_again_with_right_code(session)


def test_request_that_is_sent_again_is_one_try_and_has_the_same_reply():
    session = Session()
    window = asker(session)
    first = session.hear(window.request())
    assert all(session.hear(window.request()) == first for _ in range(10))
    confirmed = window.confirm(first)
    sealed = session.hear(confirmed)
    assert session.hear(confirmed) == sealed
    assert window.open(sealed) == KEY.window("operator")


def test_message_that_is_none_is_a_try_and_ends_nothing():
    for message in ("", "zz", "41", "41" + "00" * 32, "42" + "11" * 32, "5" * 5000):
        session = Session()
        reply = session.hear({"exchange": "1", "host": "a", "message": message})
        assert reply["refused"] == "this is no message of the pairing"
        assert session.told == ["a window asks to pair: operator on 'a'; 2 tries are left"]


def test_code_is_too_old_after_five_minutes():
    session = Session()
    assert "no code is valid" in session.hear(asker(session).request(), now_s=START_S + VALID_S)["refused"]
    window = asker(session)
    confirmed = window.confirm(session.hear(window.request(), now_s=START_S + VALID_S - 0.1))
    assert "not valid any more" in session.hear(confirmed, now_s=START_S + VALID_S)["refused"]


def test_new_code_ends_what_was_begun_with_the_one_before():
    session = Session()
    window = asker(session)
    confirmed = window.confirm(session.hear(window.request()))
    session.pairing.new_code(START_S)
    assert "refused" in session.hear(confirmed)


def test_replayed_transcript_gets_nothing():
    """Neither from the same session, whose next code may be the same by chance, nor from the window."""
    session = Session()
    window = asker(session)
    reply = session.hear(window.request())
    confirmed = window.confirm(reply)
    sealed = session.hear(confirmed)
    again = Session(code=session.code)
    assert again.hear(window.request())["message"] != reply["message"]
    assert "refused" in again.hear(confirmed)
    assert again.told[1:] == []
    with pytest.raises(WrongInput, match="another code"):
        asker(session).confirm(reply)
    late = asker(session)
    with pytest.raises(WrongInput, match="changed on its way"):
        late.open(sealed)


def changed(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


@pytest.mark.parametrize("part", ["exchange", "host", "message", "role"])
def test_changed_request_gets_nothing(part):
    session = Session()
    window = asker(session)
    request, role = window.request(), "operator"
    if part == "role":  # the person would see another one than is asked for
        role = "participant"
    else:
        request[part] = changed(request[part])
    with pytest.raises(WrongInput, match="somebody on the network answered in its place"):
        window.confirm(session.hear(request, role))
    assert not any("paired" in each for each in session.told)


@pytest.mark.parametrize("part", ["message", "confirm"])
def test_changed_reply_gets_nothing(part):
    session = Session()
    window = asker(session)
    reply = session.hear(window.request())
    with pytest.raises(WrongInput, match="somebody on the network answered in its place"):
        window.confirm(reply | {part: changed(reply[part])})
    with pytest.raises(WrongInput):
        window.open(reply)


def test_changed_confirmation_and_changed_keys_get_nothing():
    session = Session()
    window = asker(session)
    confirmed = window.confirm(session.hear(window.request()))
    for wrong in (changed(confirmed["confirm"]), "", "ü", confirmed["confirm"].upper()):
        assert "refused" in session.hear(confirmed | {"confirm": wrong})
    sealed = session.hear(confirmed)
    for wrong in (changed(sealed["sealed"]), sealed["sealed"][:-2], "", "no hex"):
        with pytest.raises(WrongInput, match="changed on its way"):
            window.open({"sealed": wrong})
    assert window.open(sealed) == KEY.window("operator")


def test_confirmation_of_the_session_is_not_that_of_the_window():
    session = Session()
    reply = session.hear(asker(session).request())
    assert "refused" in session.hear({"exchange": reply["exchange"], "confirm": reply["confirm"]})


def test_man_in_the_middle_without_the_code_gets_no_key():
    """He answers the window and asks the session, each with a code of his own."""
    session = Session()
    window = asker(session)
    guessed = other(session.code)
    his = Session(code=guessed)
    with pytest.raises(WrongInput):
        window.confirm(his.hear(window.request()))
    with pytest.raises(WrongInput):
        asker(session, guessed).confirm(session.hear(asker(session, guessed).request()))
    assert not any("paired" in each for each in [*session.told, *his.told])


def test_other_session_with_the_same_code_is_no_partner():
    session = Session()
    elsewhere = Session("other", SessionKey("other"), session.code)
    window = asker(session)
    with pytest.raises(WrongInput):
        window.confirm(elsewhere.hear(window.request()))


def test_neither_code_nor_keys_are_in_what_is_sent_or_told():
    session = Session()
    window = asker(session)
    session.hear(window.confirm(session.hear(window.request())))
    sent = json.dumps(session.heard) + repr(session.told)
    assert not re.search(rf"(?<![0-9a-f]){session.code}(?![0-9a-f])", sent)
    key = KEY.window("operator")
    assert key.own.hex() not in sent
    assert key.engine.hex() not in sent


def test_other_roles_cannot_pair_and_spend_no_try():
    session = Session()
    reply = session.hear(asker(session, role="program").request(), "program")
    assert reply["refused"] == "'program' cannot pair; those who can: operator, participant, sound"
    assert session.told == []


def test_name_of_a_computer_is_only_words():
    session = Session()
    session.hear({"exchange": "1", "host": "\x1b[2Ja\u202eb" * 40, "message": "41"})
    (told,) = session.told
    assert told.isprintable()
    assert len(told) < 400


@pytest.mark.parametrize("words", ["", "12345", "1234567", "12345a", "１２３４５６"])
def test_what_is_no_code_is_refused_before_it_is_a_try(words):
    with pytest.raises(WrongInput, match="a code has 6 digits"):
        Asker(words, UID, "operator", "lab2")


def test_code_may_be_typed_with_spaces():
    assert read_code(" 123 456 ") == "123456"


def test_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "spake2", None)
    with pytest.raises(WrongInput, match=r"needs the package spake2, .* pip install 'neurofb\[network\]'"):
        Pairing(UID, KEY, print).new_code(0.0)
