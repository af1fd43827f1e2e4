"""``neurofb screen … --pair``: what would keep the window from opening is found before a code is spent."""

import pytest
from click.testing import CliRunner

pytest.importorskip("spake2", reason="pairing needs it: pip install 'neurofb[network]'")

from neurofb.cli import commands
from neurofb.lsl import pairing_streams
from neurofb.screens import start
from neurofb.signing import SessionKey

UID = "abc"


def opened(monkeypatch, role, check_display=lambda: None):
    """Return the result of the command, the codes that were typed, and the keys that windows got."""
    typed, keys = [], []

    def pair(uid, asked_role, _host, ask_code):
        typed.append(ask_code())
        return SessionKey(uid, b"k").window(asked_role)

    def run(kind, uid, key, **_options):
        keys.append((kind, uid, key))
        return 0

    monkeypatch.setattr(pairing_streams, "pair", pair)
    monkeypatch.setattr(start, "find_session", lambda uid, _wait_s=0.0: uid or UID)
    monkeypatch.setattr(start, "check_display", check_display)
    monkeypatch.setattr(start, "run", run)
    result = CliRunner().invoke(commands, ["screen", role, "--pair", "--session", UID], input="123 456\n")
    return result, typed, keys


@pytest.mark.parametrize("role", ["operator", "participant"])
def test_window_that_paired_has_its_key(monkeypatch, role):
    result, typed, keys = opened(monkeypatch, role)
    assert result.exit_code == 0, result.output
    assert typed == ["123 456"]
    assert keys == [(role, UID, SessionKey(UID, b"k").window(role))]
    assert "paired with session abc" in result.output
    assert "no key" not in result.output


def test_code_is_not_asked_for_where_no_window_can_open(monkeypatch):
    def no_display():
        raise start.NoScreen("there is no display")

    result, typed, keys = opened(monkeypatch, "operator", no_display)
    assert isinstance(result.exception, start.NoScreen)
    assert not typed
    assert not keys
