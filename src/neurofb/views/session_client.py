"""One session as a screen knows it: the newest of everything it publishes, and the commands that go back.

In: the session's streams over LSL (see ``neurofb.messages``). Out: ``Snapshot``s, EEG that waits to be drawn, commands.
Kept: a minute of numbers, the last events; never more. Streams that go are looked for until they come again. No Qt.

With a key, only what the engine has signed is believed: status and events carry its signature, and the status names
the outlets of the numbers. Who else speaks as this session is counted and shown. Without a key, whoever comes first is.
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
from neurofb.format import clean
from neurofb.lsl.inlet import OPEN_TIMEOUT_S, NumericInlet, Resolver
from neurofb.lsl.text import TextInlet, TextOutlet
from neurofb.signing import EngineVoice, Signer, WindowKey
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
#: A window says so often that it draws; a sixth of what the engine waits for (``view_heartbeats.VIEW_S``).
ALIVE_EVERY_S = 0.5
#: A stop and a rating are sent again so often, for so long, until a status confirms them.
RESEND_EVERY_S, RESEND_FOR_S = 0.3, 30.0
#: A stop of one heat for less long than two stimuli are apart (``Envelope.interval_s``): it must not end the next.
STOP_HEAT_FOR_S = 5.0

#: So many outlets are heard at once of which none has been proven to be the engine's; each in turn for so long.
MOST_CANDIDATES, CANDIDATE_S = 8, 2.0
VOICES_SHOWN = 3
#: Of one outlet in one step: a flood waits, and is dropped by LSL.
MOST_TEXTS = 64

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
    #: It is sent again for so long.
    for_s: float


@dataclass(slots=True)
class _Connection:
    name: str
    uid: str
    host: str
    inlet: TextInlet | NumericInlet
    since_s: float
    #: Whether it is the engine's; without a key every one is taken for it.
    is_proven: bool


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

    ``by`` is ``participant`` or ``operator``; ``wanted`` are the streams of ``neurofb.messages`` that the screen needs;
    without ``key`` nothing is checked, and the engine obeys nothing but a stop.
    """

    def __init__(
        self, uid: str, by: str, clock: Clock, wanted: Iterable[str], key: WindowKey | None = None
    ) -> None:
        self.uid, self.by = uid, by if key is None else key.role
        self._sender = f"{self.by}-{uuid.uuid4().hex[:12]}"
        self._signer = None if key is None else Signer(key.own, messages.COMMANDS)
        self._voices = {} if key is None else {name: EngineVoice(key.engine, name) for name in TEXTS}
        self._second_voices: dict[str, None] = {}
        self._heard: dict[str, float] = {}
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
        #: The clock of the newest status that was drawn, of the one that the session was told, and when it was told.
        self._drew_s = self._told_s = self._alive_s = -np.inf
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
            missing = [name for name in self._wanted if not self._is_connected(name) and self._is_due(name)]
            if silent and messages.STATUS not in missing:
                missing.insert(0, messages.STATUS)
            return Snapshot(
                now_s,
                self._status,
                now_s - self._status_s,
                tuple(missing),
                {**newest, "came_s": self._feedback_s} if newest else None,
                tuple(each.command.name for each in self._pending),
                is_verified=bool(self._voices),
                second_voices=tuple(self._second_voices)[:VOICES_SHOWN],
            )

    def _is_connected(self, name: str) -> bool:
        return any(each.name == name and each.is_proven for each in self._connections.values())

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
        command = messages.Command(name, content, self.by, self.uid, self._sender)
        with self._lock:
            now_s = self._clock.now_s()
            if is_confirmed is not None:
                for_s = STOP_HEAT_FOR_S if name == "stop_heat" else RESEND_FOR_S
                self._pending = [each for each in self._pending if each.command != command]
                self._pending.append(_PendingCommand(command, is_confirmed, now_s, now_s, for_s))
            self._push(command)

    def _push(self, command: messages.Command) -> None:
        """Send a command, signed where there is a key; called with the lock, so that counters leave in their order."""
        text = command.to_json()
        self._outlet.push(text if self._signer is None else self._signer.sign(text))

    def stop(self) -> None:
        """Send a stop, until the session stops."""
        self.send("stop", lambda status: status.state in ("stopping", *OVER))

    def stop_heat(self) -> None:
        """Send a stop of this heat, until no stimulus is on."""
        self.send(
            "stop_heat", lambda status: status.heat is None or status.heat.state not in ("rising", "plateau")
        )

    def rate(self, prompt: str, value: float | str | None) -> None:
        """Answer a prompt, until it is gone."""
        self.send(
            "rating",
            lambda status: status.prompt is None or status.prompt.id != prompt,
            prompt=prompt,
            value=value,
        )

    def report_drawn(self, clock_s: float) -> None:
        """Note that the status of ``clock_s`` was drawn; ``step`` tells the session."""
        self._drew_s = max(self._drew_s, clock_s)

    def _send_alive(self, now_s: float) -> None:
        """Send a heartbeat if something newer was drawn: a window that draws an old status again is not alive."""
        drew_s = self._drew_s
        if drew_s <= self._told_s or now_s - self._alive_s < ALIVE_EVERY_S:
            return
        self._told_s, self._alive_s = drew_s, now_s
        self.send("alive", view=self.by, drew_s=drew_s, missing=", ".join(self.snapshot().missing))

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
        if now_s - self._resolved_s >= RESOLVE_EVERY_S and self._must_resolve():
            self._resolved_s = now_s
            self._connect(now_s)
        for connection in list(self._connections.values()):
            try:
                self._read(connection)
            except StreamLost:
                with self._lock:
                    del self._connections[connection.uid]
                    self._gone.append(connection.uid)
        with self._lock:
            self._resend()
        self._send_alive(now_s)

    def close(self) -> None:
        """End all connections; harmless when they are ended."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        for connection in self._connections.values():
            connection.inlet.close()
        self._connections.clear()
        self._outlet.close()

    def _must_resolve(self) -> bool:
        """Return whether to look for streams: while one is missing; with a key always, to see who else speaks."""
        return bool(self._voices) or not all(self._is_connected(name) for name in self._wanted)

    def _connect(self, now_s: float) -> None:
        seen = [info for info in self._streams.results() if info.name() in self._wanted]
        # Those that were heard longest ago come last: each candidate gets its turn.
        for info in sorted(seen, key=lambda info: self._heard.get(info.uid(), -np.inf)):
            name, uid = info.name(), info.uid()
            if uid in self._connections or uid in self._gone:
                continue
            if self._is_connected(name) or not self._may_be_genuine(name, uid):
                self._note_second_voice(name, info.hostname())
                continue
            if not self._has_room(name, now_s):
                continue
            with contextlib.suppress(StreamLost):
                # In the background where it may be anybody's: one that does not answer must not hold up the others.
                is_proven = not (self._voices and name == messages.STATUS)
                wait_s = OPEN_TIMEOUT_S if is_proven else None
                inlet = TextInlet(info, wait_s) if name in TEXTS else NumericInlet.connect(info)
                with self._lock:
                    self._heard[uid] = now_s
                    self._connections[uid] = _Connection(name, uid, info.hostname(), inlet, now_s, is_proven)
                    if isinstance(inlet, NumericInlet):
                        self._begin_history(name, inlet)

    def _may_be_genuine(self, name: str, uid: str) -> bool:
        """Return whether an outlet may be the engine's: what is no status must be named in one."""
        if not self._voices or name == messages.STATUS:
            return True
        return self._status is not None and self._status.streams.get(name) == uid

    def _note_second_voice(self, name: str, host: str) -> None:
        """Note who else speaks as this session, once it is known which outlets are the engine's."""
        if self._voices and self._status is not None and host not in self._second_voices:
            _LOG.warning("another program at %s sends %s as session %s", clean(host), name, self.uid)
            with self._lock:
                self._second_voices[host] = None

    def _has_room(self, name: str, now_s: float) -> bool:
        """Return whether one more outlet of a name may be heard; the oldest candidate that said nothing makes room."""
        rivals = [each for each in self._connections.values() if each.name == name and not each.is_proven]
        if len(rivals) < MOST_CANDIDATES:
            return True
        oldest = min(rivals, key=lambda each: each.since_s)
        if now_s - oldest.since_s < CANDIDATE_S:
            return False
        self._drop(oldest)
        return True

    def _drop(self, connection: _Connection) -> None:
        with self._lock:
            del self._connections[connection.uid]
        connection.inlet.close()

    def _begin_history(self, name: str, inlet: NumericInlet) -> None:
        kept = self._histories
        if name == messages.EEG:
            kept.eeg = PendingEeg(max(1, round(EEG_WAITS_S * inlet.info.rate_hz)))
            kept.eeg_labels, kept.eeg_rate_hz = inlet.info.labels, inlet.info.rate_hz
        elif name == messages.FEEDBACK:
            kept.feedback = kept.feedback or RingBuffer(inlet.info.labels, HISTORY_ROWS)
        elif name == messages.STIMULUS:
            kept.stimulus = kept.stimulus or RingBuffer(inlet.info.labels, HISTORY_ROWS)

    def _read(self, connection: _Connection) -> None:
        name = connection.name
        if isinstance(connection.inlet, TextInlet):
            texts = connection.inlet.pop(most=MOST_TEXTS)
            add = self._add_status if name == messages.STATUS else self._add_event
            with self._lock:
                genuine = [text for text, _ in texts if self._is_genuine(text, connection)]
                for text in genuine:
                    add(text)
            if genuine and not connection.is_proven:
                self._prove(connection)
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

    def _is_genuine(self, text: str, connection: _Connection) -> bool:
        """Return whether the engine sent a document, as far as that can be known."""
        voice = self._voices.get(connection.name)
        if voice is None or voice.is_genuine(text):
            return True
        if connection.host not in self._second_voices:
            _LOG.warning("%s of session %s is not the engine's: refused", connection.name, self.uid)
            self._second_voices[connection.host] = None
        return False

    def _prove(self, connection: _Connection) -> None:
        """Mark an outlet as the engine's, and hear no other of its name any more."""
        connection.is_proven = True
        for each in list(self._connections.values()):
            if each.name == connection.name and each is not connection:
                self._note_second_voice(each.name, each.host)
                self._drop(each)

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
                _LOG.warning("refused on %s: %s", messages.STATUS, clean(str(error)))
            return
        self._status, self._status_s = status, self._clock.now_s()
        given = status.feedback
        row = [np.nan if value is None else value for value in (given.z, given.threshold, given.level)]
        self._histories.status.add(np.array([status.clock_s]), np.array([row]))
        self._pending = [each for each in self._pending if not each.is_confirmed(status)]

    def _resend(self) -> None:
        now_s = self._clock.now_s()
        self._pending = [each for each in self._pending if now_s - each.since_s < each.for_s]
        for each in self._pending:
            if now_s - each.sent_s >= RESEND_EVERY_S:
                each.sent_s = now_s
                self._push(each.command)
