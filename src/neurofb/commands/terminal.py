"""The terminal's side of a running session: the process that draws, keys that act, and plain lines for a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from neurofb.events import Event, Told
from neurofb.format import clean
from neurofb.messages import Command

if TYPE_CHECKING:
    from neurofb.status import SessionStatus

#: Esc, and s: they end the session at once.
STOP_KEYS = ("\x1b", "s", "S")
#: From the code of a key on Windows to the letter that a POSIX terminal sends.
_ON_WINDOWS = {"\x08": "\x7f"}
#: On Windows a key without a letter comes as one of these and a second code.
_TWO_CODES = ("\x00", "\xe0")
#: How often a terminal without a wait for keys is looked at.
LOOK_EVERY_S = 0.05
_CTRL_C = "\x03"
#: Keys that answer a question, beside digits: Enter sends what was typed, Backspace takes a digit back.
_TYPED = ("\r", "\n", "\x7f")
#: Keys that always send the same: the command, who sends it, and its content.
_PLAIN: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    " ": ("stop_heat", "operator", {}),
    "h": ("button", "participant", {}),
    "c": ("continue", "operator", {}),
    "m": ("mark", "operator", {"text": "marked by key"}),
    "q": ("end", "operator", {}),
}
#: So many lines wait at most for a terminal that stands still.
MOST_LINES = 10_000


def has_person() -> bool:
    """Return whether somebody can sit at this terminal: it is one for input and messages, and ours at the moment."""
    try:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        return os.name != "posix" or os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # the terminal is gone
        return False


class Picture:
    """Draws status documents in a process of its own; the newest replaces one that is still waiting."""

    def __init__(self) -> None:
        self._newest: queue.Queue[str | None] = queue.Queue(1)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "neurofb.commands.terminal_view"], stdin=subprocess.PIPE, encoding="utf-8"
        )
        self._thread = threading.Thread(target=self._write, name="neurofb-picture", daemon=True)
        self._thread.start()

    def show(
        self, status: SessionStatus, typed: str = "", said: str = "", events: Sequence[str] = ()
    ) -> None:
        """Draw this next, with the rating that is being typed, what was said about pairing, and events; never waits."""
        with contextlib.suppress(queue.Empty):
            self._newest.get_nowait()
        with contextlib.suppress(queue.Full):
            self._newest.put_nowait(f"{json.dumps([typed, said, *events])}\t{status.to_json()}\n")

    def _write(self) -> None:
        assert self._process.stdin is not None
        while (line := self._newest.get()) is not None:
            try:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            except (OSError, ValueError):
                return  # the picture is gone; the session is not

    def close(self) -> None:
        """End the picture; what it drew last stays on the terminal."""
        with contextlib.suppress(queue.Empty):
            self._newest.get_nowait()
        self._newest.put(None)
        self._thread.join(timeout=2.0)
        if self._thread.is_alive():  # the picture hangs and its pipe is full: nothing waits for it
            self._process.kill()
            self._thread.join(timeout=2.0)
            click.echo("\x1b[?25h")  # it had hidden the cursor
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()


class Keys:
    """Keys of the terminal as commands of the session; a stop does not wait for the engine.

    ``on_stop`` is called at once, from the thread that reads keys. ``actions`` are what other keys do that ask nothing
    of the engine; called from there as well, they must not wait.
    """

    def __init__(self, uid: str, on_stop: Callable[[], None]) -> None:
        self._uid, self._on_stop = uid, on_stop
        self._commands: deque[str] = deque()
        self.actions: dict[str, Callable[[], object]] = {}
        self.typed = ""
        self.prompt: str | None = None
        self.is_paused = False
        #: The place of the probe that waits for a confirmation.
        self.site: str | None = None

    def pop(self) -> list[str]:
        """Return commands since the last call."""
        taken = []
        while self._commands:
            taken.append(self._commands.popleft())
        return taken

    def close(self) -> None:
        """Nothing is kept open here; ``reading`` gives the terminal back."""

    def press(self, key: str) -> None:
        """Act on a key; each has one meaning through the whole session."""
        if key in STOP_KEYS:
            self._on_stop()
            self._queue("stop", by="operator")
        elif key in _TYPED or key.isdigit():
            if self.prompt is not None:
                self._type(key)
        elif key == "y":
            if self.site is not None:
                self._queue("placed", site=self.site)
        elif key == "p":
            self._queue("resume" if self.is_paused else "pause")
        elif key in _PLAIN:
            name, by, content = _PLAIN[key]
            self._queue(name, by=by, **content)
        elif key in self.actions:
            self.actions[key]()

    def note(self, words: str) -> None:
        """Write a sentence about this terminal or its windows into the record."""
        self._queue("mark", by="session", text=words)

    def _type(self, key: str) -> None:
        if key.isdigit():
            self.typed = (self.typed + key)[-3:]
        elif key == "\x7f":
            self.typed = self.typed[:-1]
        elif self.typed and int(self.typed) <= 100:
            self._queue("rating", by="participant", prompt=self.prompt, value=int(self.typed))
            self.typed = ""

    def _queue(self, name: str, by: str = "operator", **content: Any) -> None:
        self._commands.append(Command(name, content, by, self._uid).to_json())

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read the terminal key by key while this lasts; nothing happens where there is no terminal."""
        if not sys.stdin.isatty():
            yield
        elif os.name == "posix":
            with self._reading_posix():
                yield
        else:
            import msvcrt

            with self._reading_windows(msvcrt):
                yield

    @contextlib.contextmanager
    def _reading_windows(self, console: Any) -> Iterator[None]:
        """Read a Windows console; ``console`` is the module ``msvcrt``, or what stands in for it."""
        while console.kbhit():  # typed before the session was ready: only a stop was meant for it
            key = self._windows_key(console)
            if key in STOP_KEYS:
                self.press(key)
        with self._thread(self._read_windows, console):
            yield

    @contextlib.contextmanager
    def _thread(self, read: Callable[[Any, threading.Event], None], terminal: Any) -> Iterator[None]:
        """Run ``read`` in a thread of its own while this lasts; it is told by an event when to end."""
        stop = threading.Event()
        thread = threading.Thread(target=read, args=(terminal, stop), name="neurofb-keys", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=1.0)

    def _read_windows(self, console: Any, stop: threading.Event) -> None:
        while not stop.is_set():
            while console.kbhit():
                key = self._windows_key(console)
                if key == _CTRL_C:
                    signal.raise_signal(signal.SIGINT)
                elif key:
                    self.press(key)
            stop.wait(LOOK_EVERY_S)

    @staticmethod
    def _windows_key(console: Any) -> str:
        """Return the key that was pressed as a POSIX terminal sends it; "" for one without a letter."""
        key = console.getwch()
        if key in _TWO_CODES:
            console.getwch()
            return ""
        return _ON_WINDOWS.get(key, str(key))

    @contextlib.contextmanager
    def _reading_posix(self) -> Iterator[None]:
        import termios
        import tty

        handle = sys.stdin.fileno()
        before = termios.tcgetattr(handle)
        tty.setcbreak(handle, termios.TCSADRAIN)
        self._obey_early_stops(handle)
        try:
            with self._thread(self._read, handle):
                yield
        finally:
            termios.tcsetattr(handle, termios.TCSADRAIN, before)

    def _obey_early_stops(self, handle: int) -> None:
        """Obey a stop that was typed before the session was ready; drop other keys, meant for something else."""
        import select

        while select.select([handle], [], [], 0)[0] and (typed := os.read(handle, 1024)):
            for key in typed.decode("utf-8", "replace"):
                if key in STOP_KEYS:
                    self.press(key)

    def _read(self, handle: int, stop: threading.Event) -> None:
        import select

        while not stop.is_set():
            if not select.select([handle], [], [], 0.05)[0]:
                continue
            try:
                key = os.read(handle, 1)
                # An arrow begins as Escape does, and is no stop: the rest of it is there at once.
                if key == b"\x1b" and select.select([handle], [], [], 0.0)[0]:
                    os.read(handle, 16)
                    continue
            except OSError:  # the terminal is gone
                return
            if not key:
                return
            self.press(key.decode("utf-8", "replace"))


class EventLines:
    """Prints events as lines in a thread of its own: a terminal that stands still (Ctrl-S) holds nothing up."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[tuple[Event, float] | None] = queue.Queue(MOST_LINES)
        self._thread: threading.Thread | None = None

    def print(self, event: Event, start_s: float) -> None:
        """Print this next; never waits. Where thousands of lines wait already, it is not printed."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._print, name="neurofb-lines", daemon=True)
            self._thread.start()
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait((event, start_s))

    def _print(self) -> None:
        told = Told()
        while (line := self._waiting.get()) is not None:
            # A line that fails is no reason to lose the next: a pipe may be gone, the record has it all.
            with contextlib.suppress(OSError, ValueError):
                print_event(*line, told)

    def close(self) -> None:
        """Print what waits, for two seconds at most."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._waiting.put_nowait(None)
            self._thread.join(timeout=2.0)
            self._thread = None


def print_event(event: Event, start_s: float, told: Told | None = None) -> None:
    """Print an event as a line, if a person must know of it."""
    words = (told or Told()).words(event)
    if words is not None:
        click.echo(f"{event.time_s - start_s:8.1f} s  {event.kind:14} {clean(words)}")
