"""The participant's screen as a program of its own on a display without a monitor, pressed by xdotool."""

import os
import subprocess
import sys

import pylsl
import pytest

pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")

from stand_in import StandIn, prompt

BOUND_S = 40.0


class Program:
    """A screen that runs as a program, and somebody at its keyboard."""

    def __init__(self, session: StandIn, display: str) -> None:
        self.session = session
        self.environment = {**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"}
        self.process = self.open()

    def open(self) -> subprocess.Popen:
        command = [sys.executable, "-m", "neurofb.screens", "participant", "--session", self.session.uid]
        return subprocess.Popen(
            command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def press(self, *keys: str) -> None:
        subprocess.run(["xdotool", "key", "--delay", "40", *keys], env=self.environment, check=True)

    def until(self, name: str, *keys: str, **status) -> None:
        """Send a status and press keys until a command of that name comes."""
        end_s = pylsl.local_clock() + BOUND_S
        before = len(self.session.heard)
        while not any(each.name == name for each in self.session.heard[before:]):
            self.session.status(**status)
            self.press(*keys)
            self.session.listen()
            assert self.process.poll() is None, self.process.communicate()[0]
            assert pylsl.local_clock() < end_s, f"no {name} came; heard {self.session.heard}"


def test_screens_on_display_survive_rating_kill_and_stop(display, session):
    program = Program(session, display)
    try:
        program.until("rating", "Right", "Right", "Return", prompt=prompt(id="p1"))
        rating = next(each for each in session.heard if each.name == "rating")
        assert rating.content["prompt"] == "p1"
        assert 50 <= rating.content["value"] <= 100
        program.process.kill()
        program.process.communicate(timeout=10)
        program.process = program.open()
        program.until("stop", "Escape", heat={"state": "plateau"}, step={"kind": "heat"})
        stop = next(each for each in session.heard if each.name == "stop")
        assert (stop.by, stop.session) == ("participant", session.uid)
    finally:
        program.process.terminate()
        program.process.communicate(timeout=10)
