"""Keys at the terminal: each has one meaning through the whole session, on POSIX and on Windows."""

import json
import signal
import threading

import pytest

from neurofb.commands import terminal
from neurofb.commands.terminal import Keys

SCENES = {
    "rest": {},
    "question": {"prompt": "p1"},
    "paused": {"is_paused": True},
    "probe": {"site": "left hand"},
    "all": {"prompt": "p1", "is_paused": True, "site": "left hand"},
}
ALWAYS = {
    "\x1b": "stop",
    "s": "stop",
    " ": "stop_heat",
    "h": "button",
    "c": "continue",
    "m": "mark",
    "q": "end",
    **dict.fromkeys("bx\r\n\x7f5é", None),
}


def keys_in(scene):
    keys = Keys("UID", lambda: None)
    for name, value in SCENES[scene].items():
        setattr(keys, name, value)
    return keys


def names(keys):
    return [json.loads(text)["command"] for text in keys.pop()]


@pytest.mark.parametrize("scene", SCENES)
def test_each_key_has_its_one_meaning_in_each_scene(scene):
    for key, name in ALWAYS.items():
        keys = keys_in(scene)
        keys.press(key)
        assert names(keys) == ([] if name is None else [name]), key
    keys = keys_in(scene)
    keys.press("p")
    assert names(keys) == ["resume" if keys.is_paused else "pause"]
    keys.press("y")
    assert names(keys) == (["placed"] if keys.site else [])


def test_digits_and_enter_answer_the_question():
    keys = keys_in("question")
    for key in "97\x7f\x7f42\r":
        keys.press(key)
    (sent,) = [json.loads(text) for text in keys.pop()]
    assert (sent["command"], sent["prompt"], sent["value"], sent["by"]) == ("rating", "p1", 42, "participant")


def test_confirmation_of_the_probe_names_its_place():
    keys = keys_in("probe")
    keys.press("y")
    (sent,) = [json.loads(text) for text in keys.pop()]
    assert (sent["command"], sent["site"], sent["by"]) == ("placed", "left hand", "operator")


class Console:
    """Stands in for ``msvcrt``: keys that are pressed one after another."""

    def __init__(self, *codes):
        self.codes, self.is_empty = list(codes), threading.Event()

    def kbhit(self):
        if not self.codes:
            self.is_empty.set()
        return bool(self.codes)

    def getwch(self):
        return self.codes.pop(0)


def test_keys_work_at_a_windows_terminal():
    """An arrow comes as two codes and is no command, its second code none either."""
    keys = keys_in("question")
    console = Console()
    with keys._reading_windows(console):
        console.codes += ["\xe0", "s", "\x00", "q", "4", "3", "\x08", "2", "\r", " ", "\x1b"]
        console.is_empty.clear()
        assert console.is_empty.wait(10.0)
    assert names(keys) == ["rating", "stop_heat", "stop"]


def test_only_a_stop_counts_among_keys_typed_early_on_windows():
    keys = keys_in("rest")
    console = Console("c", "q", "s", "\xe0", "s")
    with keys._reading_windows(console):
        assert console.is_empty.wait(10.0)
    assert names(keys) == ["stop"]


def test_ctrl_c_at_a_windows_terminal_interrupts(monkeypatch):
    raised = []
    monkeypatch.setattr(terminal.signal, "raise_signal", raised.append)
    keys, console = keys_in("rest"), Console()
    with keys._reading_windows(console):
        console.codes.append("\x03")
        console.is_empty.clear()
        assert console.is_empty.wait(10.0)
    assert raised == [signal.SIGINT]


def test_help_of_run_names_every_key():
    from neurofb.commands.run import command

    for words in (
        "Esc or s ends",
        "Space stops this heat",
        "y confirms",
        "h says",
        "c continues",
        "p pauses",
        "q ends",
    ):
        assert words in " ".join(command.help.split()), words
