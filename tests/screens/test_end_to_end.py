"""Sessions as a person meets them: the real command opens both windows on a display, real keys answer and stop.

The pictures of the windows stay in the test's folder (``pytest --basetemp=…`` says where that is).
"""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import numpy as np
import pylsl
import pytest
import pyxdf

pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")

from PySide6.QtGui import QImage
from stand_in import StandIn

from neurofb import messages
from neurofb.commands import screen_processes
from neurofb.commands.terminal import Keys
from neurofb.engine.view_heartbeats import VIEW_S
from neurofb.errors import ScreenMissing
from neurofb.messages import Command
from neurofb.signing import SessionKey
from neurofb.views.texts import Wording

pytestmark = pytest.mark.timeout(180)
SHORT = Path(__file__).parent.parent / "parts" / "short-session.toml"
BOUND_S = 60.0
TITLES = {"participant": "^neurofb$", "operator": "^neurofb .*operator$"}
#: More time to answer: windows draw slowly without a graphics card.
CHANGES = {"answer_s = 2.0": "answer_s = 7.0"}
#: A program of its own takes the pictures, as another program on the desktop would.
GRAB = """
import sys
from PySide6.QtGui import QGuiApplication
app = QGuiApplication([])
for line in sys.stdin:
    window, path = line.rstrip().split(" ", 1)
    print(app.primaryScreen().grabWindow(int(window)).save(path), flush=True)
"""
#: Commands that come in any session: the probe is confirmed, and where nobody can hear it, that is noted.
OF_ITSELF = ("placed", "mark")


class Desk:
    """A session that runs with its windows on a display, and somebody who sits there."""

    def __init__(self, folder: Path, display: str | None, *words: str) -> None:
        self.folder = folder
        self.environment = {**os.environ, "QT_QPA_PLATFORM": "xcb"}
        self.environment.pop("DISPLAY", None)
        self.environment.pop("WAYLAND_DISPLAY", None)
        if display is not None:
            self.environment["DISPLAY"] = display
        protocol, text = folder / "short.toml", SHORT.read_text("utf-8")
        for words_there, words_here in CHANGES.items():
            assert words_there in text
            text = text.replace(words_there, words_here)
        protocol.write_text(text, "utf-8")
        command = [
            sys.executable,
            "-m",
            "neurofb",
            "run",
            str(protocol),
            "--participant",
            "P01",
            "--simulate",
        ]
        command += ["--no-answers", "--screens", "--no-export", "--seed", "1", "--data", str(folder / "data")]
        self.process = subprocess.Popen(
            [*command, *words],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.told: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.windows: dict[str, str] = {}
        self._camera = None if display is None else self._opened_camera()

    def _opened_camera(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", GRAB],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.told.extend(
            self.process.stdout
        )  # ends with the last program that holds the pipe: the windows, too

    # -- what is said ------------------------------------------------------------------------------------------

    @property
    def text(self) -> str:
        return "".join(self.told)

    def follow(self) -> None:
        """Wait for the session's events, and hear them from now on."""
        found = pylsl.resolve_byprop("name", messages.EVENTS, timeout=BOUND_S)
        assert found, self.text
        self._events = pylsl.StreamInlet(found[0], max_buflen=60, recover=False)
        self._events.open_stream(timeout=BOUND_S)

    def next_event(self, wait_s: float) -> list[str] | None:
        try:
            return self._events.pull_sample(timeout=wait_s)[0]
        except pylsl.util.LostError:
            self._reader.join(10.0)
            raise AssertionError(f"the session is over: {self.text}") from None

    # -- what is done ------------------------------------------------------------------------------------------

    def tool(self, *words: str) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=self.environment, capture_output=True, text=True, timeout=BOUND_S
        )
        assert done.returncode == 0, (words, done.stderr, self.text)
        return done.stdout.strip()

    def find(self) -> None:
        """Wait for both windows."""
        for kind, title in TITLES.items():
            self.windows[kind] = self.tool("search", "--sync", "--onlyvisible", "--name", title).split()[0]
        # There is no window manager that fits a window to the screen.
        for window in self.windows.values():
            self.tool("windowmove", window, "0", "0", "windowsize", window, "1280", "720")

    def freeze(self, kind: str) -> None:
        """Stop a window's process, so that it hangs."""
        os.kill(int(self.tool("getwindowpid", self.windows[kind])), signal.SIGSTOP)

    def press(self, kind: str, *keys: str) -> None:
        """Press keys in a window: through the server, as a keyboard does."""
        self.tool("windowraise", self.windows[kind], "windowfocus", "--sync", self.windows[kind])
        self.tool("key", "--delay", "40", *keys)

    def picture(self, kind: str, name: str) -> QImage:
        """Keep what a window shows, raised, when it has drawn itself over the other one."""
        self.tool("windowraise", self.windows[kind])
        end_s = pylsl.local_clock() + BOUND_S
        while True:
            image = self._grabbed(kind, name)
            assert (image.width(), image.height()) == (1280, 720)
            # At the top, the operator has the timeline, and the participant the sky.
            if (image.pixelColor(200, 70).lightness() > 50) == (kind == "operator"):
                return image
            assert pylsl.local_clock() < end_s, f"the {kind}'s window does not come to the top"

    def _grabbed(self, kind: str, name: str) -> QImage:
        path = self.folder / f"{name}.png"
        self._camera.stdin.write(f"{self.windows[kind]} {path}\n")
        self._camera.stdin.flush()
        assert self._camera.stdout.readline() == "True\n"
        return QImage(str(path))

    # -- how it ends -------------------------------------------------------------------------------------------

    def end(self) -> int:
        """Wait for the end: of the session, and of its windows, which hold the same pipe."""
        code = self.process.wait(BOUND_S)
        self._reader.join(10.0)
        assert not self._reader.is_alive(), "a window outlives its session"
        return code

    @property
    def record(self) -> dict[str, dict]:
        (path,) = self.folder.rglob("recording.xdf")
        streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, synchronize_clocks=False)
        assert all(stream["footer"] for stream in streams)
        return {stream["info"]["name"][0]: stream for stream in streams}

    def recorded(self, kind: str) -> list[dict]:
        rows = [json.loads(row[0]) for row in self.record[messages.EVENTS]["time_series"]]
        return [row for row in rows if row["kind"] == kind]

    def check(self) -> None:
        """Compute it again, to the last bit."""
        (folder,) = (self.folder / "data").glob("sourcedata/neurofb/sub-*")
        done = subprocess.run(
            [sys.executable, "-m", "neurofb", "rerun", "--check", str(folder)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._reader.join(5.0)
        self.process.stdout.close()
        if self._camera is not None:
            self._camera.kill()
            self._camera.communicate()


@pytest.fixture
def sit(tmp_path):
    """Begin sessions; end what a test leaves running."""
    desks = []

    def begin(display: str | None, *words: str) -> Desk:
        desks.append(Desk(tmp_path, display, *words))
        return desks[-1]

    yield begin
    for desk in desks:
        desk.close()


def until(desk: Desk, kind: str, act=lambda: None, every_s: float = 1.0) -> dict:
    """Do something again and again until an event of that kind comes; give the event."""
    end_s = pylsl.local_clock() + BOUND_S
    while pylsl.local_clock() < end_s:
        act()
        sample = desk.next_event(every_s)
        while sample:
            event = json.loads(sample[0])
            if event["kind"] == kind:
                return event
            sample = desk.next_event(0.0)
    raise AssertionError(f"no {kind}; told: {desk.text}")


def colours(image: QImage) -> int:
    """Count different colours on a grid: a window that draws nothing has one."""
    return len({image.pixel(x, y) for x in range(0, image.width(), 7) for y in range(0, image.height(), 7)})


def brightest(image: QImage, top: float, bottom: float) -> int:
    """Return the lightness, up to 255, of the brightest point between two heights, as shares."""
    rows = range(round(top * image.height()), round(bottom * image.height()))
    return max(image.pixelColor(x, y).lightness() for y in rows for x in range(0, image.width(), 2))


def drawn_question(desk: Desk) -> QImage:
    """Return the participant's window when the question at its top has come up wholly."""
    end_s = pylsl.local_clock() + BOUND_S
    while True:
        image = desk.picture("participant", "participant-question")
        if brightest(image, 0.08, 0.15) > 200:
            return image
        assert pylsl.local_clock() < end_s, "no question is seen"


def test_rating_by_keys_reaches_session_from_its_window(display, sit):
    desk = sit(display)
    desk.follow()
    desk.find()
    until(desk, "heat_plateau")
    assert colours(desk.picture("operator", "operator-heat")) > 100
    assert colours(desk.picture("participant", "participant-heat")) > 100

    asked = until(desk, "prompt")["details"]["prompt"]
    drawn_question(desk)
    desk.press("participant", "Right", "Right", "Right")
    desk.picture("participant", "participant-answer")
    rating = until(desk, "rating", lambda: desk.press("participant", "Return"), 0.5)["details"]
    assert (rating["prompt"], rating["missing"]) == (asked, False)

    assert desk.end() == 0, desk.text
    (rating,) = desk.recorded("rating")
    assert rating["details"]["value"] == 52.0  # the middle first, then a step with each key
    (command,) = [each for each in desk.recorded("command") if each["details"]["command"] not in OF_ITSELF]
    assert (command["details"]["command"], command["details"]["by"]) == ("rating", "participant")
    assert len(re.findall(r"waiting for session \w+, 30 s at most", desk.text)) == 2
    assert "ended by itself" not in desk.text
    desk.check()


def test_stop_key_ends_heat_session_and_hanging_window(display, sit):
    desk = sit(display)
    desk.follow()
    desk.find()
    until(desk, "heat_plateau")
    desk.freeze("operator")
    until(desk, "heat_aborted", lambda: desk.press("participant", "Escape"), 0.3)
    assert desk.end() == 4, desk.text

    stops = [
        each["details"] for each in desk.recorded("command") if each["details"]["command"] not in OF_ITSELF
    ]
    assert (stops[0]["command"], stops[0]["by"]) == ("stop", "participant")
    (end,) = desk.recorded("end")
    assert (end["message"], end["details"]["outcome"]) == ("stopped by participant", "stopped")
    readings, names = desk.record[messages.STIMULUS]["time_series"], described(desk.record[messages.STIMULUS])
    target_c, measured_c = (readings[:, names.index(name)] for name in ("target_c", "measured_c"))
    assert np.nanmax(measured_c) > 44.0  # there was heat
    assert target_c[-1] == 32.0
    assert measured_c[-1] < 33.0
    desk.check()


def described(stream: dict) -> list[str]:
    """Return the names of a stream's columns."""
    return [each["label"][0] for each in stream["info"]["desc"][0]["channels"][0]["channel"]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there is always a display elsewhere")
def test_session_does_not_begin_when_windows_do_not_open(sit):
    """Each window is started three times; the record says that nothing began."""
    desk = sit(None)
    assert desk.end() == 3, desk.text
    for number, after in ((2, "it is started again"), (1, "the session does not begin")):
        notes = re.findall(rf"note: the (\w+)'s window ended by itself, with code 2; {after}", desk.text)
        assert max(map(notes.count, notes)) == number, desk.text
    assert "there is no display" in desk.text
    assert "3 times; the session does not begin. `neurofb doctor` looks for what is missing" in desk.text
    assert desk.recorded("phase") == []
    assert desk.recorded("end")[0]["details"]["outcome"] == "aborted"


def test_window_waits_for_a_later_session(display):
    uid = uuid.uuid4().hex[:12]
    window = subprocess.Popen(
        [sys.executable, "-m", "neurofb", "screen", "operator", "--session", uid, "--wait", "60"],
        env={**os.environ, "QT_QPA_PLATFORM": "xcb", "DISPLAY": display},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert "this window has no key" in window.stderr.readline()
        assert f"waiting for session {uid}, 60 s at most" in window.stderr.readline()
        session = StandIn(uid=uid)
        end_s = pylsl.local_clock() + BOUND_S
        while not session.outlets[messages.STATUS].wait_for_consumers(0.5):
            assert window.poll() is None, window.stderr.read()
            assert pylsl.local_clock() < end_s, "the window never came"
        session.close()
    finally:
        window.kill()
        window.communicate()


class Pipe(io.BytesIO):
    """A window's standard input, which remembers what was written when it is closed."""

    def close(self):
        self.written = self.getvalue()
        super().close()


class Process:
    """A window's process that ends by itself, with this code, or goes on (None)."""

    def __init__(self, code):
        self.code, self.ended, self.stdin = code, threading.Event(), Pipe()

    def wait(self, timeout=None):
        if self.code is not None:
            self.ended.set()
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired("window", timeout)
        return -15 if self.code is None else self.code

    def terminate(self):
        self.ended.set()

    kill = terminate


def windows(monkeypatch, *processes, draws=lambda _kind: False, kind="operator", has_person=True):
    """Return a window whose processes are these, one after another, and the notes about it."""
    left, told, noted = list(processes), [], []

    def started(*_words, **_options):
        found = left.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(screen_processes.subprocess, "Popen", started)
    monkeypatch.setattr(screen_processes, "DRAWS_S", 0.2)
    monkeypatch.setattr(screen_processes, "KINDS", (kind,))
    key = SessionKey("abc", b"secret")
    opened = screen_processes.Windows(
        "abc", told.append, key, draws, (kind,), noted.append, lambda: has_person
    )
    opened.noted = noted
    return opened, told


def test_window_that_never_starts_ends_the_wait_with_its_reason(monkeypatch):
    """It cannot be opened, ends by itself, draws nothing: each is a note, and the third is the end."""
    opened, told = windows(monkeypatch, OSError("no more processes"), Process(2), Process(None))
    opened._threads["operator"].join(BOUND_S)
    assert told == [
        "note: the operator's window could not be opened: no more processes; it is started again",
        "note: the operator's window ended by itself, with code 2; it is started again",
        "note: the operator's window drew nothing of the session in 0.2 s; the session does not begin",
    ]
    with pytest.raises(
        ScreenMissing, match=r"the operator's window drew nothing of the session in 0.2 s, 3 times"
    ):
        opened.are_ready()
    assert ScreenMissing.exit_code == 3
    opened.close()


def test_window_is_waited_for_until_it_draws_and_reported_when_it_ends(monkeypatch):
    drawing = threading.Event()
    window = Process(None)
    opened, told = windows(monkeypatch, Process(2), window, draws=lambda _kind: drawing.is_set())
    assert not opened.are_ready()
    while len(told) < 1:
        threading.Event().wait(0.01)
    drawing.set()
    while not opened.are_ready():
        threading.Event().wait(0.01)
    window.code = 0  # closed by a person: it stays closed until one asks for it
    window.terminate()
    opened._threads["operator"].join(BOUND_S)
    assert told[1:] == [
        "note: the operator's window was closed; the key w at the session's terminal opens it again"
    ]
    opened.close()


def wait_until(is_so):
    for _ in range(int(BOUND_S / 0.01)):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError(is_so)


def test_operators_window_that_fails_is_opened_again_three_times_with_its_key(monkeypatch):
    """Then only a person opens it, by a key; every time it is in the record, and it has the authority it had."""
    monkeypatch.setattr(screen_processes, "OLD_BEATS_S", 0.0)
    processes = [Process(None) for _ in range(5)]
    opened, told = windows(monkeypatch, *processes, draws=lambda _kind: True)
    for number, each in enumerate(processes[:4], 1):
        wait_until(lambda number=number: opened._processes.get("operator") is processes[number - 1])
        each.terminate()
    opened._threads["operator"].join(BOUND_S)
    ended = "the operator's window ended by itself, with code -15"
    again = [f"{ended}; it is opened again ({number} of 3)" for number in (1, 2, 3)]
    assert opened.noted == [*again, f"{ended}; the key w at the session's terminal opens it again"]
    assert opened.are_ready()  # what fails in the session ends no session
    opened.open_again()
    wait_until(lambda: opened._processes["operator"] is processes[4])
    assert opened.noted[-1] == "the operator's window is opened by a key"
    wait_until(lambda: processes[4].stdin.closed)
    line = SessionKey("abc", b"secret").window("operator").to_line()
    assert {each.stdin.written.decode() for each in processes} == {line}
    opened.open_again()
    assert told[-1] == "note: the participant's and the operator's windows are open"
    opened.close()


def test_heartbeat_of_the_window_before_does_not_count_for_the_next(monkeypatch):
    """A window that is opened again and draws nothing is known to fail, though the one before drew a moment ago."""
    assert screen_processes.OLD_BEATS_S > VIEW_S
    monkeypatch.setattr(screen_processes, "OLD_BEATS_S", 0.2)
    first = Process(None)
    opened, told = windows(monkeypatch, first, *(Process(2) for _ in range(3)), draws=lambda _kind: True)
    wait_until(opened.are_ready)
    first.terminate()
    opened._threads["operator"].join(BOUND_S)
    assert told[-1] == (
        "note: the operator's window ended by itself, with code 2; the key w at the session's terminal opens it again"
    )
    assert opened.are_ready()
    opened.close()


def test_key_opens_windows_and_asks_nothing_of_the_engine():
    asked = []
    keys = Keys("abc", lambda: asked.append("stop"))
    keys.press("w")  # nothing to open
    keys.actions["w"] = lambda: asked.append("windows")
    keys.press("w")
    assert (asked, keys.pop()) == (["windows"], [])
    keys.note("the operator's window was closed")
    (noted,) = [Command.read(text) for text in keys.pop()]
    assert (noted.name, noted.content, noted.by) == (
        "mark", {"text": "the operator's window was closed"}, "session",
    )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("kind", ["operator", "participant"])
def test_words_of_a_closed_window_lead_to_one_that_is_obeyed(language, kind):
    """A window that is opened without a key is obeyed in nothing but a stop: no text advises that."""
    words = Wording(language)(f"{kind}.closed", uid="abc")
    assert re.search(r"\bw\b", words)
    assert f"neurofb screen {kind} --session abc --pair" in words
    assert "--key-file" in words


@pytest.mark.parametrize("kind", ["operator", "participant"])
def test_window_that_is_closed_by_hand_is_opened_again_where_nobody_has_a_terminal(monkeypatch, kind):
    """No key could open it. After the third time the record says which command does."""
    monkeypatch.setattr(screen_processes, "OLD_BEATS_S", 0.0)
    processes = [Process(None) for _ in range(4)]
    opened, _ = windows(monkeypatch, *processes, draws=lambda _kind: True, kind=kind, has_person=False)
    for number, each in enumerate(processes):
        wait_until(lambda number=number: opened._processes.get(kind) is processes[number])
        wait_until(opened.are_ready)
        each.code = 0
        each.terminate()
    opened._threads[kind].join(BOUND_S)
    closed = f"the {kind}'s window was closed"
    assert opened.noted[:3] == [f"{closed}; it is opened again ({n} of 3)" for n in (1, 2, 3)]
    assert opened.noted[3:] == [
        f"{closed}; neurofb screen {kind} --session abc --key-file FILE opens it again, with the file of "
        "neurofb run --key-file"
    ]
    opened.close()


def test_participants_window_that_fails_is_opened_again(monkeypatch):
    monkeypatch.setattr(screen_processes, "OLD_BEATS_S", 0.0)
    first, second = Process(None), Process(None)
    opened, _ = windows(monkeypatch, first, second, draws=lambda _kind: True, kind="participant")
    wait_until(opened.are_ready)
    first.terminate()
    wait_until(lambda: opened._processes.get("participant") is second)
    assert opened.noted == [
        "the participant's window ended by itself, with code -15; it is opened again (1 of 3)"
    ]
    opened.close()
