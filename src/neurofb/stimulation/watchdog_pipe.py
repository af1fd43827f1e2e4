"""The engine's end of the pipe to the watchdog: starts the process, sends requests, and sorts what comes back.

In: requests, lines from the watchdog. Out: the same requests as lines, answers, events, readings. Kept: what is not
written yet. Two threads read and write; only the start (``ask``) and ``close`` wait for the process, for so long at
most as they say. If the watchdog reads nothing any more, requests wait in this process, and too many are a fault.
"""

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
from typing import IO, Any

from neurofb import errors
from neurofb.clock import Clock
from neurofb.errors import NeurofbError, SafetyStop, StimulatorMissing

#: How long the start waits for an answer. Assumed: it takes half a second, and many times that on a loaded machine.
START_S = 10.0
#: So many requests that the watchdog has not read are a fault. Assumed: the heartbeats of 10 s, when the pipe is full.
MOST_UNSENT = 200

#: As ``nice`` counts, where the system allows it: nothing of ours comes before the watchdog. Assumed: not the highest.
PRIORITY = -15
#: What is started; the watchdog's module.
COMMAND = (sys.executable, "-m", "neurofb.stimulation.watchdog")

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
    """A watchdog process and the two ends of its pipes. ``send`` may be called from any thread, and does not wait.

    Parameters
    ----------
    clock : Clock
        The engine's clock, safe to be read from threads.

    Attributes
    ----------
    heard_s : float
        When the watchdog last sent anything, on that clock.
    used : dict or None
        The dose of each site, as the watchdog sent it last.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._ids = itertools.count(1)
        self._unsent: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._readings: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._is_gone = False
        self.heard_s = clock.now_s()
        self.used: dict[str, float] | None = None

    def start(self) -> None:
        """Start the process, away from this terminal's Ctrl-C, and wait until it answers."""
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
        )
        if hasattr(os, "setpriority"):
            with contextlib.suppress(OSError):  # an ordinary user may not; the watchdog runs all the same
                os.setpriority(os.PRIO_PROCESS, self._process.pid, PRIORITY)
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._write, args=(self._process.stdin,), daemon=True).start()
        self.ask("clock")

    @property
    def pid(self) -> int | None:
        """The process, None before it is started."""
        return None if self._process is None else self._process.pid

    def send(self, do: str, **content: Any) -> int:
        """Send a request and return its number, which its answer has too.

        Raises
        ------
        SafetyStop
            If the watchdog is gone, or has read nothing for long.
        """
        if self._process is None:
            raise StimulatorMissing("the stimulator's watchdog is not running; connect it first")
        if self._is_gone:
            raise _gone()
        if self._unsent.qsize() >= MOST_UNSENT:
            raise SafetyStop(f"the stimulator's watchdog reads nothing any more: {OFF}")
        number = next(self._ids)
        self._unsent.put({"do": do, "id": number, **content})
        return number

    def ask(self, do: str, wait_s: float = START_S, **content: Any) -> Any:
        """Send a request, wait and return its answer, or raise the error that the watchdog met; for the start only.

        Raises
        ------
        StimulatorMissing
            If there is no answer.
        """
        number = self.send(do, **content)
        until_s = self._clock.now_s() + wait_s
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
            f"the stimulator's watchdog did not answer {do!r} in {wait_s:g} s; see that the device is on: {OFF}"
        )

    def pop_answers(self) -> list[dict[str, Any]]:
        """Return the answers since the last call: each has an ``id``, and an ``error`` and ``message`` if it is no."""
        return [answer for answer in _drained(self._answers) if "id" in answer]

    def pop_events(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        return _drained(self._events)

    def pop_readings(self) -> list[list[Any]]:
        """Return the readings since the last call, as they came, several at a time."""
        return _drained(self._readings)

    def close(self, wait_s: float) -> None:
        """Let the watchdog go, and wait; it ends when the probe is at baseline.

        Raises
        ------
        SafetyStop
            If it is not there within ``wait_s``; ``close`` may be called again then.
        """
        process = self._process
        if process is None:
            return
        self._unsent.put({"do": "close"})
        self._unsent.put(None)
        try:
            process.wait(wait_s)
        except subprocess.TimeoutExpired:
            raise SafetyStop(f"the probe is not back at baseline after {wait_s:g} s: {OFF}") from None
        self._process = None
        if self._reader is not None:
            self._reader.join(START_S)

    def _write(self, stdin: IO[bytes]) -> None:
        """Write requests until the last, then close the pipe: its end tells the watchdog that nobody is here."""
        with contextlib.suppress(OSError), stdin:  # a watchdog that is gone has closed its end
            while (document := self._unsent.get()) is not None:
                write_line(stdin.fileno(), document)

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in read_lines(stdout.fileno()):
                self.heard_s = self._clock.now_s()
                document = json.loads(line)
                if "readings" in document:
                    self._readings.put(document["readings"])
                elif "event" in document:
                    self._events.put(document["event"])
                elif "used" in document:
                    self.used = document["used"]
                else:
                    self._answers.put(document)
        self._is_gone = True
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


def _drained(items: queue.SimpleQueue[Any]) -> list[Any]:
    """Return all that is in a queue."""
    found = []
    with contextlib.suppress(queue.Empty):
        while True:
            found.append(items.get_nowait())
    return found
