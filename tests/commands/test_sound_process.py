"""The sound that ``--screens`` starts: heard, or said that it cannot be."""

import io
import subprocess

import pytest

from neurofb.commands import sound_process
from neurofb.commands.run import _is_heard
from neurofb.protocol.design import load_protocol, read_protocol
from neurofb.signing import SessionKey


class Process:
    """A process that says these lines and ends with a code; None: it hangs until it is ended."""

    def __init__(self, code, *lines):
        self.code, self.ended = code, []
        self.stdin, self.stdout = io.StringIO(), iter(f"{line}\n" for line in lines)
        self.stdin.close = lambda: None

    def wait(self, timeout=None):
        if self.code is None and timeout is not None:
            raise subprocess.TimeoutExpired("sound", timeout)
        return -9 if self.code is None else self.code

    def terminate(self):
        self.ended.append("terminate")

    def kill(self):
        self.ended.append("kill")


@pytest.fixture
def started(monkeypatch):
    """Return the sound of a session whose process is this one, what was told, and what was noted."""

    def start(process):
        given = []

        def popen(words, **_options):
            given.append(words)
            if isinstance(process, OSError):
                raise process
            return process

        monkeypatch.setattr(sound_process.subprocess, "Popen", popen)
        told, noted = [], []
        sound = sound_process.SoundProcess("abc", SessionKey("abc", b"secret"), told.append, noted.append)
        if sound._thread is not None:
            sound._thread.join(10)
        return sound, told, noted, given[0]

    return start


def test_key_goes_through_the_pipe_and_not_on_the_command_line(started):
    process = Process(0)
    sound, told, noted, words = started(process)
    assert process.stdin.getvalue() == SessionKey("abc", b"secret").window("sound").to_line()
    assert process.stdin.getvalue().strip() not in " ".join(words)
    assert (told, noted) == ([], [])
    sound.close()
    assert process.ended == []


@pytest.mark.parametrize(
    ("process", "why"),
    [
        (Process(0, "NO SOUND: no device", "The session's sound runs on"), "no device"),
        (Process(3, "neurofb: the device 'A' does not play any more"), "the device 'A' does not play any more"),
        (Process(1), "its process ended with code 1"),
        (OSError("no more processes"), "no more processes"),
    ],
)  # fmt: skip
def test_session_that_cannot_be_heard_is_told_and_recorded(started, process, why):
    sound, told, noted, _words = started(process)
    assert noted == [f"the session cannot be heard: {why}"]
    assert told == [
        f"note: {noted[0]}. `neurofb screen sound --session abc` plays it, also on another computer"
    ]
    sound.close()


def test_sound_that_hangs_is_ended(started):
    process = Process(None)
    sound, *_ = started(process)
    sound.close()
    assert process.ended == ["terminate", "kill"]


def test_protocol_with_feedback_is_heard_unless_it_says_otherwise():
    class Plan:
        protocol = load_protocol("demo")

    assert _is_heard(Plan)
    text = load_protocol("demo").text.replace("[feedback]\n", "[feedback]\nsound = false\n")
    Plan.protocol, found = read_protocol(text, "demo")
    assert not found
    assert not _is_heard(Plan)
    Plan.protocol = load_protocol("wielgosz-adapted")  # nothing is trained
    assert not _is_heard(Plan)
