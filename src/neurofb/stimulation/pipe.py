"""The engine's end of the pipe to the watchdog: starts the process, tells, asks, and sorts what comes back."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from neurofb import errors
from neurofb.clock import Clock
from neurofb.errors import NeurofbError, SafetyStop, StimulatorMissing

#: How long an answer is waited for; it takes less than a ms when all is well, and a start half a second.
ANSWER_S = 10.0
_LOOK_S = 0.25

#: As ``nice`` counts, where the system allows it: nothing of ours comes before the watchdog.
PRIORITY = -15

OFF = "switch the stimulator off at its power switch and take the probe off the skin"


def read_lines(descriptor: int) -> Iterator[bytes]:
    """Return the whole lines of a pipe until its end.

    Not with Python's buffered files: a thread that waits in one of those can break the end of its process.
    """
    rest = b""
    while data := os.read(descriptor, 65536):
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def write_line(descriptor: int, document: dict[str, Any]) -> None:
    """Write a document and its end of line into a pipe."""
    data = json.dumps(document).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


class WatchdogPipe:
    """A watchdog process and the two ends of its pipes. ``tell`` may be called from any thread.

    Parameters
    ----------
    clock : Clock
        The engine's clock, safe to be read from threads.

    Attributes
    ----------
    heard_s : float
        When the watchdog last said anything, on that clock.
    used : dict or None
        What each place on the skin has had, as it said last.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._readings: queue.Queue[list[Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._spoke = threading.Event()
        self.heard_s = clock.now_s()
        self.used: dict[str, float] | None = None

    def start(self) -> None:
        """Start the process, away from this terminal's Ctrl-C, and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "neurofb.stimulation.watchdog"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):  # an ordinary user may not; the watchdog runs all the same
                os.setpriority(os.PRIO_PROCESS, self._process.pid, PRIORITY)
        self._reader.start()
        self.ask("clock")

    @property
    def pid(self) -> int | None:
        """The process, None before it is started."""
        return None if self._process is None else self._process.pid

    def tell(self, do: str, **content: Any) -> None:
        """Send a request and wait for nothing; from any thread.

        Raises
        ------
        SafetyStop
            If the watchdog is gone.
        """
        process = self._process
        if process is None or process.stdin is None:
            raise StimulatorMissing("the stimulator's watchdog is not running; connect it first")
        try:
            with self._lock:
                write_line(process.stdin.fileno(), {"do": do, **content})
        except (OSError, ValueError):
            raise _gone() from None

    def ask(self, do: str, **content: Any) -> Any:
        """Send a request and give its answer, or raise the error that the watchdog met.

        Raises
        ------
        StimulatorMissing
            If there is no answer.
        """
        number = next(self._ids)
        self.tell(do, id=number, **content)
        until_s = self._clock.now_s() + ANSWER_S
        while (left_s := until_s - self._clock.now_s()) > 0:
            try:
                answer = self._answers.get(timeout=left_s)
            except queue.Empty:
                break
            if answer.get("id") == number:
                return _value(answer)
            if answer.get("gone"):
                raise _gone()
        raise StimulatorMissing(
            f"the stimulator's watchdog did not answer {do!r} in {ANSWER_S:g} s; see that the device is on: {OFF}"
        )

    def silent_s(self, limit_s: float) -> float:
        """Return for how long nothing was heard; beyond ``limit_s`` only after one more look.

        Where this process itself was busy, what was said meanwhile lies in the pipe.
        """
        if self._clock.now_s() - self.heard_s > limit_s:
            self._spoke.clear()
            self._spoke.wait(_LOOK_S)
        return self._clock.now_s() - self.heard_s

    def pop_events(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        return _drained(self._events)

    def pop_readings(self) -> list[list[Any]]:
        """Return the readings since the last call, as they came, several at a time."""
        return _drained(self._readings)

    def close(self, wait_s: float) -> None:
        """Let the watchdog go; it ends when the probe is at baseline.

        Raises
        ------
        SafetyStop
            If it is not there within ``wait_s``.
        """
        process, self._process = self._process, None
        if process is None or process.stdin is None or process.stdout is None:
            return
        with contextlib.suppress(OSError, ValueError), self._lock:
            write_line(process.stdin.fileno(), {"do": "close"})
        process.stdin.close()
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            raise SafetyStop(f"the probe is not back at baseline after {wait_s:g} s: {OFF}") from None
        self._reader.join(ANSWER_S)
        process.stdout.close()

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in read_lines(self._process.stdout.fileno()):
            self.heard_s = self._clock.now_s()
            self._spoke.set()
            document = json.loads(line)
            if "readings" in document:
                self._readings.put(document["readings"])
            elif "event" in document:
                self._events.put(document["event"])
            elif "used" in document:
                self.used = document["used"]
            else:
                self._answers.put(document)
        self._answers.put({"gone": True})


def _gone() -> SafetyStop:
    return SafetyStop(
        "the stimulator's watchdog is gone; a device with a cut-off of its own returns to baseline now: see that it "
        f"does, else {OFF}"
    )


def _value(answer: dict[str, Any]) -> Any:
    """Return what was answered, or raise the error that the watchdog met."""
    if "error" not in answer:
        return answer["value"]
    kind = getattr(errors, answer["error"], StimulatorMissing)
    is_ours = isinstance(kind, type) and issubclass(kind, NeurofbError)
    raise (kind if is_ours else StimulatorMissing)(answer["message"])


def _drained(items: queue.Queue[Any]) -> list[Any]:
    """Return all that is in a queue."""
    found = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(items.get_nowait())
    return found
