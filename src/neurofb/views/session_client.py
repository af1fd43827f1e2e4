"""One session as a screen knows it: the newest of everything it publishes, and the commands that go back.

In: the session's streams over LSL (see ``neurofb.messages``). Out: ``Snapshot``s, EEG that waits to be drawn, commands.
Kept: a minute of numbers, the last events; never more. Streams that go are looked for until they come again. No Qt.
"""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofb import messages
from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.errors import StreamLost
from neurofb.lsl.inlet import NumericInlet, Resolver
from neurofb.lsl.text import TextInlet, TextOutlet
from neurofb.views.history import Course, PendingEeg

LOOK_EVERY_S = 0.25
#: A status comes five times a second: after so long without, the session is waited for.
SILENT_S = 2.0
#: Rows of numbers that are kept: a minute at 40 a second.
COURSE_ROWS = 2400
EEG_WAITS_S = 2.0
EVENTS_KEPT = 200
STEP_S = 0.015
#: A stop and a rating are said again so often, for so long, until the status shows that they were heard.
AGAIN_S, AGAIN_FOR_S = 0.3, 30.0

Status = Mapping[str, Any]
TEXTS = (messages.STATUS, messages.EVENTS)
FOR_PARTICIPANT = (messages.STATUS, messages.FEEDBACK)
FOR_OPERATOR = (messages.STATUS, messages.FEEDBACK, messages.STIMULUS, messages.EVENTS, messages.EEG)
OVER = ("finished", "aborted")
#: What every status has (see ``engine.status``); a document without is none of an engine that this screen knows.
STATUS_KEYS = frozenset(
    [
        "session",
        "participant",
        "title",
        "state",
        "now_s",
        "clock_s",
        "left_s",
        "phase",
        "step",
        "timeline",
        "feedback",
        "prompt",
        "heat",
        "ratings",
        "channels",
        "features",
        "latency_ms",
        "stream",
        "recording",
        "message",
        "ended",
    ]
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a session at one moment.

    Attributes
    ----------
    now_s : float
        When, on this screen's clock, in seconds.
    status : mapping or None
        The newest status document; None before the first.
    status_age_s : float
        How long ago it came; infinite before the first.
    missing : tuple of str
        Streams that are wanted and not there, or silent.
    feedback : mapping or None
        The newest row of the feedback stream by column, with ``time_s``, and ``came_s`` on this screen's clock.
    unheard : tuple of str
        Commands that the session has not shown to have heard yet.
    """

    now_s: float
    status: Status | None = None
    status_age_s: float = float("inf")
    missing: tuple[str, ...] = ()
    feedback: Mapping[str, float] | None = None
    unheard: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, as far as is known."""
        return self.status is not None and (self.status["state"] in OVER or self.status["ended"] is not None)


@dataclass(slots=True)
class _Unheard:
    command: messages.Command
    heard: Callable[[Status], bool]
    since_s: float
    said_s: float


@dataclass(slots=True)
class _Line:
    uid: str
    inlet: TextInlet | NumericInlet


@dataclass(slots=True)
class Courses:
    """What has a history; each is None until its stream is there."""

    feedback: Course | None = None
    stimulus: Course | None = None
    eeg: PendingEeg | None = None
    eeg_labels: tuple[str, ...] = ()
    eeg_rate_hz: float = 0.0
    status: Course = field(default_factory=lambda: Course(("z", "threshold", "level"), COURSE_ROWS))


class SessionClient:
    """Subscribes to one session and speaks to it.

    Parameters
    ----------
    uid : str
        The session's own.
    by : str
        Who commands: ``participant`` or ``operator``.
    clock : Clock
    wanted : iterable of str
        The streams of ``neurofb.messages`` that this screen needs.
    """

    def __init__(self, uid: str, by: str, clock: Clock, wanted: Iterable[str]) -> None:
        self.uid, self.by = uid, by
        self._clock = clock
        self._wanted = tuple(wanted)
        self._streams = Resolver.by_source_id(messages.source_id(uid, ""))
        self._out = TextOutlet(
            messages.COMMANDS, "Commands", f"{messages.COMMANDS}-{by}-{uuid.uuid4().hex}", session=uid
        )
        self._lines: dict[str, _Line] = {}
        self._gone: deque[str] = deque(maxlen=1000)
        self._lock = threading.Lock()
        self._status: Status | None = None
        self._status_s = -np.inf
        self._feedback_s = -np.inf
        self._looked_s = -np.inf
        self._unheard: list[_Unheard] = []
        self._events: deque[Mapping[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._courses = Courses()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what is known -----------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        with self._lock:
            now_s = self._clock.now_s()
            newest = self._courses.feedback.newest() if self._courses.feedback else None
            silent = now_s - self._status_s > SILENT_S
            missing = [name for name in self._wanted if name not in self._lines and self._is_due(name)]
            if silent and messages.STATUS not in missing:
                missing.insert(0, messages.STATUS)
            return Snapshot(
                now_s,
                self._status,
                now_s - self._status_s,
                tuple(missing),
                {**newest, "came_s": self._feedback_s} if newest else None,
                tuple(each.command.name for each in self._unheard),
            )

    def _is_due(self, name: str) -> bool:
        """Return whether the session has that stream at all: without a stimulator there is none of it."""
        return name != messages.STIMULUS or self._status is None or self._status["heat"] is not None

    def pop_eeg(self) -> tuple[FloatArray, int, tuple[str, ...], float]:
        """Return EEG in µV since the last call, how many samples were dropped before it, labels and rate."""
        with self._lock:
            courses = self._courses
            samples, dropped = (
                courses.eeg.take(len(courses.eeg_labels)) if courses.eeg else (np.empty((0, 0)), 0)
            )
            return samples, dropped, courses.eeg_labels, courses.eeg_rate_hz

    def course(self, name: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Return columns, times and values of the last minute of ``feedback``, ``stimulus`` or ``status``."""
        with self._lock:
            course: Course | None = getattr(self._courses, name)
            if course is None:
                return (), np.empty(0), np.empty((0, 0))
            return (course.columns, *course.rows())

    def events(self) -> list[Mapping[str, Any]]:
        """Return the last events, oldest first."""
        with self._lock:
            return list(self._events)

    # -- what is asked -----------------------------------------------------------------------------------------

    def send(self, name: str, heard: Callable[[Status], bool] | None = None, **content: Any) -> None:
        """Send a command; with ``heard``, again and again until a status shows that it was."""
        command = messages.Command(name, content, self.by, self.uid)
        with self._lock:
            now_s = self._clock.now_s()
            if heard is not None:
                self._unheard = [each for each in self._unheard if each.command != command]
                self._unheard.append(_Unheard(command, heard, now_s, now_s))
            self._out.push(command.to_json())

    def stop(self) -> None:
        """Ask to stop, until the session does."""
        self.send("stop", lambda status: status["state"] in ("stopping", *OVER))

    def rate(self, prompt: str, value: float | str | None) -> None:
        """Answer a prompt, until it is gone."""
        self.send(
            "rating",
            lambda status: status["prompt"] is None or status["prompt"]["id"] != prompt,
            prompt=prompt,
            value=value,
        )

    def is_heard(self) -> bool:
        """Return whether anybody receives this screen's commands."""
        return self._out.has_listeners()

    # -- what it does ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Step in a thread of its own, so that looking for a stream never holds up a frame."""
        self._thread = threading.Thread(target=self._run, name="neurofb-bridge", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(STEP_S):
            self.step()

    def step(self) -> None:
        """Look for streams that are missing, take what came, say again what was not heard."""
        now_s = self._clock.now_s()
        if now_s - self._looked_s >= LOOK_EVERY_S and len(self._lines) < len(self._wanted):
            self._looked_s = now_s
            self._look()
        for name, line in list(self._lines.items()):
            try:
                self._take(name, line)
            except StreamLost:
                with self._lock:
                    del self._lines[name]
                    self._gone.append(line.uid)
        with self._lock:
            self._say_again()

    def close(self) -> None:
        """End all connections; harmless when they are ended."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        for line in self._lines.values():
            line.inlet.close()
        self._lines.clear()
        self._out.close()

    def _look(self) -> None:
        for info in self._streams.results():
            name = info.name()
            if name not in self._wanted or name in self._lines or info.uid() in self._gone:
                continue
            with contextlib.suppress(StreamLost):
                inlet = TextInlet(info) if name in TEXTS else NumericInlet.connect(info)
                with self._lock:
                    self._lines[name] = _Line(info.uid(), inlet)
                    if isinstance(inlet, NumericInlet):
                        self._make_room(name, inlet)

    def _make_room(self, name: str, inlet: NumericInlet) -> None:
        courses = self._courses
        if name == messages.EEG:
            courses.eeg = PendingEeg(max(1, round(EEG_WAITS_S * inlet.info.rate_hz)))
            courses.eeg_labels, courses.eeg_rate_hz = inlet.info.labels, inlet.info.rate_hz
        elif name == messages.FEEDBACK:
            courses.feedback = courses.feedback or Course(inlet.info.labels, COURSE_ROWS)
        elif name == messages.STIMULUS:
            courses.stimulus = courses.stimulus or Course(inlet.info.labels, COURSE_ROWS)

    def _take(self, name: str, line: _Line) -> None:
        if isinstance(line.inlet, TextInlet):
            texts = line.inlet.pop()
            with self._lock:
                for text, _ in texts:
                    self._take_text(name, text)
            return
        values, stamps_s = line.inlet.pop()
        if not len(values):
            return
        with self._lock:
            if name == messages.EEG and self._courses.eeg:
                self._courses.eeg.add(values)
            elif name == messages.FEEDBACK and self._courses.feedback:
                self._courses.feedback.add(stamps_s, values)
                self._feedback_s = self._clock.now_s()
            elif name == messages.STIMULUS and self._courses.stimulus:
                self._courses.stimulus.add(stamps_s, values)

    def _take_text(self, name: str, text: str) -> None:
        try:
            document = json.loads(text)
        except ValueError:
            return  # not from an engine; the next one will be
        if not isinstance(document, dict):
            return
        if name == messages.EVENTS:
            self._events.append(document)
        elif document.get("session") == self.uid and document.keys() >= STATUS_KEYS:
            self._status, self._status_s = document, self._clock.now_s()
            feedback = document["feedback"]
            row = [
                np.nan if feedback[key] is None else float(feedback[key])
                for key in ("z", "threshold", "level")
            ]
            self._courses.status.add(np.array([float(document["clock_s"])]), np.array([row]))
            self._unheard = [each for each in self._unheard if not each.heard(document)]

    def _say_again(self) -> None:
        now_s = self._clock.now_s()
        self._unheard = [each for each in self._unheard if now_s - each.since_s < AGAIN_FOR_S]
        for each in self._unheard:
            if now_s - each.said_s >= AGAIN_S:
                each.said_s = now_s
                self._out.push(each.command.to_json())
