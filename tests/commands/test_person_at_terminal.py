"""Whether a person can sit at the terminal: only in its foreground, and only where input and messages are one."""

import os
import subprocess
import sys

import pytest

from neurofb.commands.terminal import print_event
from neurofb.events import Event

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX")
#: Prints the answer of this process, and of one in the background of the same terminal.
ASKS = """
import os, sys
from neurofb.commands.terminal import has_person
if len(sys.argv) > 1:
    os.close(int(sys.argv[1]))
print("foreground", has_person(), flush=True)
if os.fork() == 0:
    os.setpgid(0, 0)
    print("background", has_person(), flush=True)
    os._exit(0)
os.wait()
"""


def read_all(handle):
    text = b""
    while True:
        try:
            data = os.read(handle, 1024)
        except OSError:  # Linux says so when the last writer is gone
            return text.decode()
        if not data:
            return text.decode()
        text += data


@pytest.mark.parametrize(("closed", "answer"), [([], True), (["0"], False), (["2"], False)])
def test_person_counts_in_the_foreground_of_a_terminal_only(closed, answer):
    import pty

    child, handle = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", ASKS, *closed])
    said = read_all(handle)
    os.close(handle)
    os.waitpid(child, 0)
    assert f"foreground {answer}" in said, said
    assert "background False" in said, said


def test_no_terminal_no_person():
    told = subprocess.run(
        [sys.executable, "-c", ASKS], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == ["foreground False", "background False"]


def test_lines_say_why_a_session_waits_and_when_it_goes_on(capsys):
    for before, after in (("running", "paused"), ("paused", "running"), ("preparing", "running")):
        details = {"before": before, "after": after}
        print_event(Event("state", 12.0, f"{before} → {after}: why", details=details), 10.0)
    assert capsys.readouterr().out.splitlines() == [
        "     2.0 s  state          running → paused: why",
        "     2.0 s  state          paused → running: why",
    ]
