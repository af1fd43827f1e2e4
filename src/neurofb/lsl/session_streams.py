"""The streams of a session over LSL: those that it sends, and the commands that come back (see ``neurofb.messages``).

In: samples, values, readings and documents as they become known. Out: LSL streams that every LSL program finds;
status and events are signed. Kept: the outlets, and commands that came, passed the gate and were not yet popped.
Nothing here waits for an answer.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
import pylsl

from neurofb import messages
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import yield_processor
from neurofb.errors import StreamLost
from neurofb.lsl.inlet import LslClock, Resolver
from neurofb.lsl.outlet import Channel, NumericOutlet, OutletFormat
from neurofb.lsl.text import KEPT_S, TextInlet, TextOutlet
from neurofb.signing import CommandGate, Refused, SessionKey, Signer

LOOK_EVERY_S = 0.2
#: All inlets together are waited at for so long in a round: a stop is not read later than that.
ROUND_S = 0.02
#: A round in which something was refused is followed by so long a rest: a flood takes this thread no more of the
#: processor than a thousand documents a second do. Assumed: a stop may be read a millisecond later.
REFUSED_REST_S = 0.001
#: So many commands wait for the engine at most; a stop always has room.
MOST_WAITING = 500
#: How long a sample of feedback takes from here to its listener on the same computer (measured: 0.1 to 0.2 ms).
PASSING_S = 0.0002
#: LSL sends in the background, and drops what is not yet sent when an outlet closes.
LINGER_S = 0.3


class Listener(Protocol):
    """Where commands come from."""

    def pop(self) -> list[str]:
        """Return the texts of commands since the last call."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Publisher:
    """The outlets of one session.

    Parameters
    ----------
    uid : str
        The session's own.
    features : mapping of str to str
        Name → unit.
    labels : sequence of str
        The EEG channels.
    rate_hz, hop_hz : float
        Of the EEG and of features and feedback.
    stimulus : bool
        Whether there is a stimulator.
    key : SessionKey, optional
        Signs status and events; left out: one that nobody else has.
    """

    def __init__(
        self,
        uid: str,
        features: Mapping[str, str],
        labels: Sequence[str],
        rate_hz: float,
        hop_hz: float,
        *,
        stimulus: bool,
        key: SessionKey | None = None,
    ) -> None:
        columns: dict[str, str] = {}
        for name, unit in features.items():
            columns |= {name: unit or "none", f"{name}.usable": "none"}
        self._clock = LslClock()
        self._eeg = _numbers(uid, messages.EEG, "EEG", dict.fromkeys(labels, "microvolts"), rate_hz)
        self._features = _numbers(uid, messages.FEATURES, "Features", columns, hop_hz)
        self._feedback = _numbers(uid, messages.FEEDBACK, "Feedback", messages.FEEDBACK_COLUMNS)
        self._stimulus = (
            _numbers(uid, messages.STIMULUS, "Stimulus", messages.STIMULUS_COLUMNS) if stimulus else None
        )
        self._events = _texts(uid, messages.EVENTS, "Markers")
        self._status = _texts(uid, messages.STATUS, "Status")
        engine = (key or SessionKey(uid)).engine
        self._sign_event = Signer(engine, messages.EVENTS).sign
        self._sign_status = Signer(engine, messages.STATUS).sign
        outlets = (self._eeg, self._features, self._feedback, self._stimulus, self._events, self._status)
        self.uids = {outlet.name: outlet.uid for outlet in outlets if outlet is not None}

    def eeg(self, chunk: Chunk) -> None:
        """Send samples on their grid, with their corrected times."""
        if len(chunk) and self._eeg.has_listeners():
            self._eeg.push(chunk.samples, chunk.times_s)

    def features(self, row: FloatArray, time_s: float) -> None:
        """Send the values of one sample index: value and usable flag of each feature."""
        self._features.push_row(row, time_s)

    def feedback(self, row: Sequence[float], time_s: float) -> None:
        """Send one row of ``messages.FEEDBACK_COLUMNS``, stamped with the time at which it is sent."""
        self._feedback.push_row(row, time_s)

    def yield_after_send(self) -> None:
        """Yield the processor to the feedback just sent, if anybody listens.

        LSL's thread, the network and those who listen carry it on. Where they wait for this thread's processor, what
        this thread does next would come before it.
        """
        if self._feedback.has_listeners():
            until_s = self._clock.now_s() + PASSING_S
            while self._clock.now_s() < until_s:
                yield_processor()

    def stimulus(self, target_c: float, measured_c: float, state: int, site: int, time_s: float) -> None:
        """Send a reading of the stimulator."""
        if self._stimulus is not None:
            self._stimulus.push_row((target_c, measured_c, state, site), time_s)

    def event(self, document: str, time_s: float) -> None:
        """Send an event as it is recorded, signed."""
        self._events.push(self._sign_event(document), time_s)

    @property
    def is_watched(self) -> bool:
        """Whether anybody receives the status."""
        return self._status.has_listeners()

    def status(self, document: str, time_s: float) -> None:
        """Send the status of the session, signed."""
        self._status.push(self._sign_status(document), time_s)

    def close(self) -> None:
        """Remove the streams from the network, when those who listen have had time to receive the end."""
        outlets = (self._feedback, self._events, self._status, self._stimulus)
        if any(outlet is not None and outlet.has_listeners() for outlet in outlets):
            threading.Event().wait(LINGER_S)
        for outlet in (self._eeg, self._features, *outlets):
            if outlet is not None:
                outlet.close()


def _numbers(
    uid: str, name: str, kind: str, columns: Mapping[str, str], rate_hz: float = 0.0
) -> NumericOutlet:
    format = OutletFormat(value_format="double64", session=uid, buffered_s=KEPT_S)
    channels = [Channel(label, unit, kind) for label, unit in columns.items()]
    return NumericOutlet(name, channels, rate_hz, kind, messages.source_id(uid, name), format)


def _texts(uid: str, name: str, kind: str) -> TextOutlet:
    return TextOutlet(name, kind, messages.source_id(uid, name), uid)


class CommandInlet:
    """Receives every ``neurofb-commands`` stream on the network, in a thread of its own.

    Parameters
    ----------
    gate : CommandGate
        Lets commands through or refuses them, in that thread.
    on_stop : callable, optional
        Called at once, from that thread, with a document that asks to stop: a stop waits for nobody.
    on_pair : callable, optional
        Called from that thread with a command ``pair``, which the engine never sees; must not wait.
    """

    def __init__(
        self,
        gate: CommandGate,
        on_stop: Callable[[str], None] | None = None,
        on_pair: Callable[[messages.Command], None] | None = None,
    ) -> None:
        self._gate = gate
        self._on_stop, self._on_pair = on_stop, on_pair
        self._commands: deque[messages.Command] = deque()
        self._stopped = threading.Event()
        self._inlets: dict[str, TextInlet] = {}
        self._resolver = Resolver.by_name(messages.COMMANDS)
        self._thread = threading.Thread(target=self._run, name="neurofb-commands", daemon=True)
        self._thread.start()

    def pop(self, most: int) -> list[messages.Command]:
        """Return up to ``most`` commands that came since the last call and passed the gate, a stop before others."""
        commands: list[messages.Command] = []
        while self._commands and len(commands) < most:
            commands.append(self._commands.popleft())
        return commands

    def pop_refused(self) -> list[Refused]:
        """Return what was refused since the last call."""
        return self._gate.pop_refused()

    def close(self) -> None:
        """Stop listening."""
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        clock, resolved_s = LslClock(), -np.inf
        while not self._stopped.is_set():
            now_s = clock.now_s()
            if now_s - resolved_s > LOOK_EVERY_S:
                resolved_s = now_s
                self._connect()
            if not self._inlets:
                self._stopped.wait(0.05)
            passed = [
                self._receive(each, ROUND_S / len(self._inlets)) for each in list(self._inlets.values())
            ]
            if not all(passed):
                self._stopped.wait(REFUSED_REST_S)

    def _connect(self) -> None:
        for handle in self._resolver.results():
            if handle.uid() not in self._inlets and handle.channel_format() == pylsl.cf_string:
                # In the background: a sender that does not answer must not hold up a stop by another.
                with contextlib.suppress(StreamLost):
                    self._inlets[handle.uid()] = TextInlet(handle, open_timeout_s=None)

    def _receive(self, inlet: TextInlet, wait_s: float) -> bool:
        """Receive one text, and return whether nothing was refused.

        One bad sender must not make the session deaf for a stop by others.
        """
        try:
            return all(self._take(text) for text, _ in inlet.pop(wait_s, most=1))
        except StreamLost:
            self._inlets.pop(inlet.uid, None)
        except Exception as error:
            self._gate.admit(f"not understood: {error!r}")
            self._inlets.pop(inlet.uid, None)
        return True

    def _take(self, text: str) -> bool:
        """Queue the command in a text if it passes the gate; return whether it did."""
        command = self._gate.admit(text)
        if command is None:
            return False
        if command.name == "pair":
            if self._on_pair is not None:
                self._on_pair(command)
            return False  # a flood of them is taken as slowly as one of refused commands
        if command.name == "stop":
            if self._on_stop is not None:
                self._on_stop(text)
            if self._next_name() != "stop":  # one is enough
                self._commands.appendleft(command)
            return True
        if command.name in messages.STOPS:  # of this heat: before what waits, and one is enough
            if self._next_name() not in messages.STOPS:
                self._commands.appendleft(command)
            return True
        if len(self._commands) >= MOST_WAITING:
            self._gate.refuse(
                f"{MOST_WAITING} commands wait already: a window or program sends more than the session can take",
                text,
            )
            return False
        self._commands.append(command)
        return True

    def _next_name(self) -> str:
        """Return the name of the command that is popped next; "" if none waits: another thread may pop it meanwhile."""
        try:
            return self._commands[0].name
        except IndexError:
            return ""
