"""Who may send which command: what is signed, by whom, once, in order, and what a key file may look like."""

import json
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_parts import Window

from neurofb import messages
from neurofb.errors import WrongFile, WrongInput
from neurofb.messages import Command
from neurofb.signing import (
    MAY,
    UNSIGNED,
    CommandGate,
    EngineVoice,
    SessionKey,
    Signer,
    WindowKey,
    is_signed,
    read_key_file,
    sign,
)

UID = "abc123"
KEY = SessionKey(UID, b"k" * 32)


def window(role="operator", key=KEY, sender="w1", uid=UID):
    return Window(role, key, uid, sender)


def reasons(gate):
    return [each.reason for each in gate.pop_refused()]


def test_signed_command_passes_with_its_content():
    gate = CommandGate(UID, KEY)
    command = gate.admit(window().says("mark", text="Köln „ø“ \u2028"))
    assert (command.name, command.content, command.by) == ("mark", {"text": "Köln „ø“ \u2028"}, "operator")
    assert (command.sender, command.counter) == ("w1", 1)
    assert not reasons(gate)


@pytest.mark.parametrize("name", sorted(MAY["operator"] & set(messages.COMMAND_KEYS)))
def test_unsigned_command_is_refused(name):
    gate = CommandGate(UID, KEY)
    content = {
        "rating": {"prompt": "p1", "value": 2},
        "mark": {"text": "a"},
        "alive": {"view": "operator", "drew_s": 1.0},
        "placed": {"site": "left hand"},
    }.get(name, {})
    assert gate.admit(Command(name, content, "operator", UID).to_json()) is None
    words = (
        "a window without this session's key"
        if name == "alive"
        else "is not signed by a window of this session"
    )
    assert words in reasons(gate)[0]


@pytest.mark.parametrize(
    "key", [SessionKey(UID), SessionKey("other", b"k" * 32)], ids=["wrong", "of another session"]
)
def test_command_signed_with_another_key_is_refused(key):
    gate = CommandGate(UID, KEY)
    assert gate.admit(window(key=key).says("pause")) is None
    assert "is not signed" in reasons(gate)[0]


def test_participants_key_signs_for_no_operator():
    gate = CommandGate(UID, KEY)
    text = Signer(KEY.own("participant"), messages.COMMANDS).sign(
        Command("resume", {}, "operator", UID).to_json()
    )
    assert gate.admit(text) is None
    assert gate.admit(window("participant").says("end")) is None
    assert [each.split(";")[0] for each in reasons(gate)][1] == "the window 'participant' may not send 'end'"


def test_changed_command_is_refused():
    gate = CommandGate(UID, KEY)
    text = window().says("rating", prompt="p1", value=95)
    for changed in (
        text.replace("95", "2"),
        text.replace("p1", "p2"),
        text[:-3] + "0" + text[-2:],
        text + " ",
    ):
        assert changed == text or gate.admit(changed) is None
    assert gate.admit(text).content["value"] == 95


def test_repeated_and_reordered_commands_are_refused():
    gate, sender = CommandGate(UID, KEY), window()
    first, second = sender.says("pause"), sender.says("resume")
    assert gate.admit(second).name == "resume"
    assert gate.admit(first) is None
    assert gate.admit(second) is None
    assert gate.admit(sender.says("pause")).name == "pause"
    assert all("was sent before" in each for each in reasons(gate))


def test_each_window_counts_for_itself():
    gate, first = CommandGate(UID, KEY), window()
    first.says("pause"), first.says("pause")
    assert gate.admit(first.says("pause"))
    assert gate.admit(window(sender="w2").says("resume"))


def test_command_of_another_session_is_passed_over_in_silence():
    gate = CommandGate(UID, KEY)
    assert gate.admit(window(uid="other", key=SessionKey("other")).says("pause")) is None
    assert gate.admit(json.dumps({"command": "stop", "session": "other"})) is None
    assert not reasons(gate)


@pytest.mark.parametrize(
    "text",
    ['{"command": "stop"}', json.dumps({"command": "stop", "session": UID, "counter": -1, "signature": "x"})],
)
def test_stop_needs_no_signature(text):
    assert CommandGate(UID, KEY).admit(text).name == "stop"


def test_trusted_network_obeys_unsigned_commands():
    gate = CommandGate(UID, None)
    assert gate.admit(Command("pause", {}, "anybody", UID).to_json()).by == "anybody"


def test_flood_of_unsigned_commands_is_counted_and_not_kept():
    gate, sender = CommandGate(UID, KEY), window()
    texts = [json.dumps({"command": "mark", "session": UID, "text": str(n)}) for n in range(1000)]
    texts += [f'{{"command": "x{n}"}}' for n in range(1000)]
    assert not any(map(gate.admit, texts))
    assert gate.admit('{"command": "stop"}').name == "stop"
    assert gate.admit(sender.says("pause")).name == "pause"
    refused = gate.pop_refused()
    assert sum(each.n for each in refused) == 2000
    assert len(refused) <= 8
    assert not gate.pop_refused()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
documents = st.one_of(
    st.text(),
    st.dictionaries(
        st.sampled_from(
            ["command", "by", "session", "sender", "counter", "signature", "prompt", "value", "text"]
        ),
        json_values | st.sampled_from([*messages.COMMAND_KEYS, "operator", "participant", UID, 1]),
    ).map(lambda each: json.dumps(each)),
)


@settings(max_examples=30)
@given(documents)
def test_random_document_is_refused_unless_its_kind_needs_no_signature(text):
    command = CommandGate(UID, KEY).admit(text)
    assert command is None or command.name in UNSIGNED


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["pause", "resume", "end", "stop"]), max_size=12), st.integers(0, 2**32))
def test_replayed_and_shuffled_commands_pass_once_in_order_and_stops_always(names, seed):
    gate, sender, order = CommandGate(UID, KEY), window(), random.Random(seed)
    texts = [sender.says(name) for name in names]
    sent = [order.choice(texts) for _ in range(3 * len(texts))] if texts else []
    passed = [(text, gate.admit(text)) for text in sent]
    counters = [each.counter for _, each in passed if each is not None and each.name != "stop"]
    assert counters == sorted(set(counters))
    assert all(each is not None for text, each in passed if '"command": "stop"' in text)


def test_signature_covers_the_stream():
    text = sign('{"a": 1}', KEY.engine, messages.STATUS, 1)
    assert json.loads(text)["counter"] == 1
    assert is_signed(text, KEY.engine, messages.STATUS)
    assert not is_signed(text, KEY.engine, messages.EVENTS)
    assert not is_signed(text, KEY.own("operator"), messages.STATUS)
    assert not is_signed('{"a": 1}', KEY.engine, messages.STATUS)


def test_engines_voice_is_genuine_once():
    voice, signer = EngineVoice(KEY.engine, messages.STATUS), Signer(KEY.engine, messages.STATUS)
    first, second = signer.sign('{"a": 1}'), signer.sign('{"a": 2}')
    assert voice.is_genuine(second)
    assert not voice.is_genuine(first)
    assert not voice.is_genuine(second)
    assert not voice.is_genuine('{"a": 3}')
    assert (voice.n_refused, voice.n_repeated) == (1, 2)


def test_window_key_passes_a_pipe_and_is_never_shown():
    key = KEY.window("participant")
    assert WindowKey.from_line(key.to_line()) == key
    for words in (repr(key), repr(KEY), str(key)):
        assert key.own.hex() not in words
        assert str(key.own) not in words
    for line in ("", "operator abc def\n", f"boss {'0' * 64} {'0' * 64}\n", key.to_line()[:-9]):
        with pytest.raises(WrongInput, match="no key came through the pipe") as error:
            WindowKey.from_line(line)
        assert "abc" not in str(error.value)


def test_key_file_is_made_private_and_gives_both_sides_the_same_key(tmp_path):
    path = tmp_path / "lab.key"
    secret = read_key_file(path, create=True)
    assert path.stat().st_mode & 0o777 == 0o600 or os.name != "posix"
    assert read_key_file(path) == read_key_file(path, create=True) == secret
    assert SessionKey(UID, secret).engine == SessionKey(UID, secret).engine
    assert SessionKey(UID, secret).engine != SessionKey("other", secret).engine


def test_key_file_that_others_may_read_or_that_is_none_is_refused(tmp_path):
    path = tmp_path / "lab.key"
    with pytest.raises(WrongFile, match="makes one"):
        read_key_file(path)
    read_key_file(path, create=True)
    path.write_text("hello")
    with pytest.raises(WrongFile, match="64 hexadecimal digits") as error:
        read_key_file(path)
    assert "hello" not in str(error.value)
    if os.name == "posix":
        path.chmod(0o640)
        with pytest.raises(WrongFile, match="its mode is 0640, expected: 0600"):
            read_key_file(path)
