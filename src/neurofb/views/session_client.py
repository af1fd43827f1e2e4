"""One session as a screen knows it: the newest of everything it publishes, and the commands that go back.

In: the session's streams over LSL (see ``neurofb.messages``). Out: ``Snapshot``s, EEG that waits to be drawn, commands.
Kept: a minute of numbers, the last events; never more. Streams that go are looked for until they come again. No Qt.
"""

from __future__ import annotations

import contextlib
import json
import logging
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
from neurofb.errors import StreamLost, WrongInput
from neurofb.lsl.inlet import NumericInlet, Resolver
from neurofb.lsl.text import TextInlet, TextOutlet
from neurofb.status import OVER, SessionStatus
from neurofb.views.history import PendingEeg, RingBuffer
from neurofb.views.snapshot import Snapshot

RESOLVE_EVERY_S = 0.25
#: A status comes five times a second: after so long without, the session is waited for.
SILENT_S = 2.0
#: Rows of numbers that are kept: a minute at 40 a second.
HISTORY_ROWS = 2400
EEG_WAITS_S = 2.0
EVENTS_KEPT = 200
STEP_S = 0.015
#: A stop and a rating are sent again so often, for so long, until a status confirms them.
RESEND_EVERY_S, RESEND_FOR_S = 0.3, 30.0

TEXTS = (messages.STATUS, messages.EVENTS)
FOR_PARTICIPANT = (messages.STATUS, messages.FEEDBACK)
FOR_OPERATOR = (messages.STATUS, messages.FEEDBACK, messages.STIMULUS, messages.EVENTS, messages.EEG)
#: Columns of the history of the status.
STATUS_COLUMNS = ("z", "threshold", "level")
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _PendingCommand:
    command: messages.Command
    is_confirmed: Callable[[SessionStatus], bool]
    since_s: float
    sent_s: float


@dataclass(slots=True)
class _Connection:
    uid: str
    inlet: TextInlet | NumericInlet


@dataclass(slots=True)
class _Histories:
    """The last minute of each stream of numbers; each is None until its stream is there."""

    feedback: RingBuffer | None = None
    stimulus: RingBuffer | None = None
    eeg: PendingEeg | None = None
    eeg_labels: tuple[str, ...] = ()
    eeg_rate_hz: float = 0.0
    status: RingBuffer = field(default_factory=lambda: RingBuffer(STATUS_COLUMNS, HISTORY_ROWS))


class SessionClient:
    """Subscribes to one session and sends commands to it.

    ``by`` is ``participant`` or ``operator``; ``wanted`` are the streams of ``neurofb.messages`` that the screen needs.
    """

    def __init__(self, uid: str, by: str, clock: Clock, wanted: Iterable[str]) -> None:
        self.uid, self.by = uid, by
        #: Documents of the status stream that were no status of this session.
        self.n_refused = 0
        self._clock = clock
        self._wanted = tuple(wanted)
        self._streams = Resolver.by_source_id(messages.source_id(uid, ""))
        self._outlet = TextOutlet(
            messages.COMMANDS, "Commands", f"{messages.COMMANDS}-{by}-{uuid.uuid4().hex}", session=uid
        )
        self._connections: dict[str, _Connection] = {}
        self._gone: deque[str] = deque(maxlen=1000)
        self._lock = threading.Lock()
        self._status: SessionStatus | None = None
        self._status_s = -np.inf
        self._feedback_s = -np.inf
        self._resolved_s = -np.inf
        self._pending: list[_PendingCommand] = []
        self._events: deque[Mapping[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._histories = _Histories()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # -- what is known -----------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return everything that is known now."""
        with self._lock:
            now_s = self._clock.now_s()
            newest = self._histories.feedback.newest() if self._histories.feedback else None
            silent = now_s - self._status_s > SILENT_S
            missing = [name for name in self._wanted if name not in self._connections and self._is_due(name)]
            if silent and messages.STATUS not in missing:
                missing.insert(0, messages.STATUS)
            return Snapshot(
                now_s,
                self._status,
                now_s - self._status_s,
                tuple(missing),
                {**newest, "came_s": self._feedback_s} if newest else None,
                tuple(each.command.name for each in self._pending),
            )

    def _is_due(self, name: str) -> bool:
        """Return whether the session has that stream at all: without a stimulator there is none of it."""
        return name != messages.STIMULUS or self._status is None or self._status.heat is not None

    def pop_eeg(self) -> tuple[FloatArray, int, tuple[str, ...], float]:
        """Return EEG in µV since the last call, how many samples were dropped before it, labels and rate in Hz."""
        with self._lock:
            kept = self._histories
            samples, dropped = kept.eeg.pop(len(kept.eeg_labels)) if kept.eeg else (np.empty((0, 0)), 0)
            return samples, dropped, kept.eeg_labels, kept.eeg_rate_hz

    def history(self, name: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Return columns, times and values of the last minute of ``feedback``, ``stimulus`` or ``status``."""
        with self._lock:
            history: RingBuffer | None = getattr(self._histories, name)
            if history is None:
                return (), np.empty(0), np.empty((0, 0))
            return (history.columns, *history.rows())

    def events(self) -> list[Mapping[str, Any]]:
        """Return the last events, oldest first."""
        with self._lock:
            return list(self._events)

    # -- commands ----------------------------------------------------------------------------------------------

    def send(
        self, name: str, is_confirmed: Callable[[SessionStatus], bool] | None = None, **content: Any
    ) -> None:
        """Send a command; with ``is_confirmed``, again and again until a status confirms it."""
        command = messages.Command(name, content, self.by, self.uid)
        with self._lock:
            now_s = self._clock.now_s()
            if is_confirmed is not None:
                self._pending = [each for each in self._pending if each.command != command]
                self._pending.append(_PendingCommand(command, is_confirmed, now_s, now_s))
            self._outlet.push(command.to_json())

    def stop(self) -> None:
        """Send a stop, until the session stops."""
        self.send("stop", lambda status: status.state in ("stopping", *OVER))

    def rate(self, prompt: str, value: float | str | None) -> None:
        """Answer a prompt, until it is gone."""
        self.send(
            "rating",
            lambda status: status.prompt is None or status.prompt.id != prompt,
            prompt=prompt,
            value=value,
        )

    def has_listeners(self) -> bool:
        """Return whether anybody receives this screen's commands."""
        return self._outlet.has_listeners()

    # -- connections -------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Step in a thread of its own, so that resolving a stream never holds up a frame."""
        self._thread = threading.Thread(target=self._run, name="neurofb-session-client", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(STEP_S):
            self.step()

    def step(self) -> None:
        """Connect to streams that are missing, read what came, send again what is not confirmed."""
        now_s = self._clock.now_s()
        if now_s - self._resolved_s >= RESOLVE_EVERY_S and len(self._connections) < len(self._wanted):
            self._resolved_s = now_s
            self._connect()
        for name, connection in list(self._connections.items()):
            try:
                self._read(name, connection)
            except StreamLost:
                with self._lock:
                    del self._connections[name]
                    self._gone.append(connection.uid)
        with self._lock:
            self._resend()

    def close(self) -> None:
        """End all connections; harmless when they are ended."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        for connection in self._connections.values():
            connection.inlet.close()
        self._connections.clear()
        self._outlet.close()

    def _connect(self) -> None:
        for info in self._streams.results():
            name = info.name()
            if name not in self._wanted or name in self._connections or info.uid() in self._gone:
                continue
            with contextlib.suppress(StreamLost):
                inlet = TextInlet(info) if name in TEXTS else NumericInlet.connect(info)
                with self._lock:
                    self._connections[name] = _Connection(info.uid(), inlet)
                    if isinstance(inlet, NumericInlet):
                        self._begin_history(name, inlet)

    def _begin_history(self, name: str, inlet: NumericInlet) -> None:
        kept = self._histories
        if name == messages.EEG:
            kept.eeg = PendingEeg(max(1, round(EEG_WAITS_S * inlet.info.rate_hz)))
            kept.eeg_labels, kept.eeg_rate_hz = inlet.info.labels, inlet.info.rate_hz
        elif name == messages.FEEDBACK:
            kept.feedback = kept.feedback or RingBuffer(inlet.info.labels, HISTORY_ROWS)
        elif name == messages.STIMULUS:
            kept.stimulus = kept.stimulus or RingBuffer(inlet.info.labels, HISTORY_ROWS)

    def _read(self, name: str, connection: _Connection) -> None:
        if isinstance(connection.inlet, TextInlet):
            texts = connection.inlet.pop()
            add = self._add_status if name == messages.STATUS else self._add_event
            with self._lock:
                for text, _ in texts:
                    add(text)
            return
        values, stamps_s = connection.inlet.pop()
        if not len(values):
            return
        kept = self._histories
        with self._lock:
            if name == messages.EEG and kept.eeg:
                kept.eeg.add(values)
            elif name == messages.FEEDBACK and kept.feedback:
                kept.feedback.add(stamps_s, values)
                self._feedback_s = self._clock.now_s()
            elif name == messages.STIMULUS and kept.stimulus:
                kept.stimulus.add(stamps_s, values)

    def _add_event(self, text: str) -> None:
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return  # not from an engine; the next one will be
        if isinstance(document, dict):
            self._events.append(document)

    def _add_status(self, text: str) -> None:
        """Keep a status; one that is none, or of another session, is counted and leaves the last good one."""
        try:
            status = SessionStatus.from_json(text)
            if status.session != self.uid:
                raise WrongInput(f"a status of another session: {status.session[:80]!r}")
        except WrongInput as error:
            self.n_refused += 1
            if self.n_refused == 1:  # five a second would fill the terminal
                _LOG.warning("refused on %s: %s", messages.STATUS, error)
            return
        self._status, self._status_s = status, self._clock.now_s()
        given = status.feedback
        row = [np.nan if value is None else value for value in (given.z, given.threshold, given.level)]
        self._histories.status.add(np.array([status.clock_s]), np.array([row]))
        self._pending = [each for each in self._pending if not each.is_confirmed(status)]

    def _resend(self) -> None:
        now_s = self._clock.now_s()
        self._pending = [each for each in self._pending if now_s - each.since_s < RESEND_FOR_S]
        for each in self._pending:
            if now_s - each.sent_s >= RESEND_EVERY_S:
                each.sent_s = now_s
                self._outlet.push(each.command.to_json())
