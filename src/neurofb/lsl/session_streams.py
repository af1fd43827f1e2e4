"""The streams of a session over LSL: those that it sends, and the commands that come back (see ``neurofb.messages``).

In: samples, values, readings and documents as they become known. Out: LSL streams that every LSL program finds.
Kept: the outlets, and commands that came and were not yet popped. Nothing here waits for an answer.
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

LOOK_EVERY_S = 0.2
#: All inlets together are waited at for so long in a round: a stop is not read later than that.
ROUND_S = 0.02
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
        """Send an event as it is recorded."""
        self._events.push(document, time_s)

    @property
    def is_watched(self) -> bool:
        """Whether anybody receives the status."""
        return self._status.has_listeners()

    def status(self, document: str, time_s: float) -> None:
        """Send the status of the session."""
        self._status.push(document, time_s)

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
    uid : str
        The session's own.
    on_stop : callable, optional
        Called at once, from that thread, with a document that asks to stop: a stop waits for nobody.
    """

    def __init__(self, uid: str, on_stop: Callable[[str], None] | None = None) -> None:
        self._uid = uid
        self._on_stop = on_stop
        self._texts: deque[str] = deque()
        self._stopped = threading.Event()
        self._inlets: dict[str, TextInlet] = {}
        self._resolver = Resolver.by_name(messages.COMMANDS)
        self._thread = threading.Thread(target=self._run, name="neurofb-commands", daemon=True)
        self._thread.start()

    def pop(self) -> list[str]:
        """Return the texts of commands since the last call."""
        texts = []
        while self._texts:
            texts.append(self._texts.popleft())
        return texts

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
            for inlet in list(self._inlets.values()):
                self._receive(inlet, ROUND_S / len(self._inlets))

    def _connect(self) -> None:
        for handle in self._resolver.results():
            if handle.uid() not in self._inlets and handle.channel_format() == pylsl.cf_string:
                # In the background: a sender that does not answer must not hold up a stop by another.
                with contextlib.suppress(StreamLost):
                    self._inlets[handle.uid()] = TextInlet(handle, open_timeout_s=None)

    def _receive(self, inlet: TextInlet, wait_s: float) -> None:
        """Receive one text; one bad sender must not make the session deaf for a stop by others."""
        try:
            for text, _ in inlet.pop(wait_s, most=1):
                if self._on_stop is not None and messages.asks_to_stop(text, self._uid):
                    self._on_stop(text)
                self._texts.append(text)
        except StreamLost:
            self._inlets.pop(inlet.uid, None)
        except Exception as error:
            self._texts.append(f"not understood: {error!r}")
            self._inlets.pop(inlet.uid, None)
