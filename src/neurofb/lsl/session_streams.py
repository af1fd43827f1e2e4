"""What a session says over LSL, and the commands that come back (see ``neurofb.messages``).

In: samples, values, readings and documents as they become known. Out: LSL streams that every LSL program finds.
Kept: the outlets, and commands that came and were not yet taken. Nothing here waits for an answer.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import pylsl

from neurofb import messages
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import give_way
from neurofb.feedback.feedback import FeedbackSample

LOOK_EVERY_S = 0.2
#: Nobody far away is waited for; what is older than this is not sent to those who come late.
KEPT_S = 10
#: How long a sample of feedback takes from here to its listener on the same computer (measured: 0.1 to 0.2 ms).
PASSING_S = 0.0002
#: LSL sends in the background, and drops what is not yet sent when an outlet closes.
LINGER_S = 0.3


class Listener(Protocol):
    """Where commands come from."""

    def take(self) -> list[str]:
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
        self._uid = uid
        columns: dict[str, str] = {}
        for name, unit in features.items():
            columns |= {name: unit or "none", f"{name}.usable": "none"}
        self._eeg = self._numbers(messages.EEG, "EEG", dict.fromkeys(labels, "microvolts"), rate_hz)
        self._features = self._numbers(messages.FEATURES, "Features", columns, hop_hz)
        self._feedback = self._numbers(messages.FEEDBACK, "Feedback", messages.FEEDBACK_COLUMNS, 0.0)
        self._stimulus = (
            self._numbers(messages.STIMULUS, "Stimulus", messages.STIMULUS_COLUMNS, 0.0) if stimulus else None
        )
        self._events = self._texts(messages.EVENTS, "Markers")
        self._status = self._texts(messages.STATUS, "Status")

    def _info(self, name: str, kind: str, n: int, rate_hz: float, value_format: str) -> pylsl.StreamInfo:
        info = pylsl.StreamInfo(name, kind, n, rate_hz, value_format, messages.source_id(self._uid, name))
        info.desc().append_child_value("manufacturer", "neurofb")
        info.desc().append_child_value("session", self._uid)
        return info

    def _numbers(
        self, name: str, kind: str, columns: Mapping[str, str], rate_hz: float
    ) -> pylsl.StreamOutlet:
        info = self._info(name, kind, len(columns), rate_hz, "double64")
        channels = info.desc().append_child("channels")
        for label, unit in columns.items():
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            channel.append_child_value("unit", unit)
            channel.append_child_value("type", kind)
        return pylsl.StreamOutlet(info, max_buffered=KEPT_S)

    def _texts(self, name: str, kind: str) -> pylsl.StreamOutlet:
        return pylsl.StreamOutlet(self._info(name, kind, 1, 0.0, "string"), max_buffered=KEPT_S)

    def eeg(self, chunk: Chunk) -> None:
        """Send samples on their grid, with their corrected times."""
        if len(chunk) and self._eeg.have_consumers():
            self._eeg.push_chunk(chunk.samples, chunk.times_s.tolist())

    def features(self, row: FloatArray, time_s: float) -> None:
        """Send the values of one sample index: value and usable flag of each feature."""
        self._features.push_sample(row, time_s)

    def feedback(self, sample: FeedbackSample, age_s: float, time_s: float) -> None:
        """Send what was earned, stamped with when it was given out."""
        values = (sample.level, sample.reward, sample.usable, sample.value, sample.threshold, age_s)
        self._feedback.push_sample(values, time_s)

    def let_pass(self) -> None:
        """Yield the processor to the feedback just sent, if anybody listens.

        LSL's thread, the network and those who listen carry it on. Where they wait for this thread's processor, what
        this thread does next would come before it.
        """
        if self._feedback.have_consumers():
            until_s = pylsl.local_clock() + PASSING_S
            while pylsl.local_clock() < until_s:
                give_way()

    def stimulus(self, target_c: float, measured_c: float, state: int, site: int, time_s: float) -> None:
        """Send a reading of the stimulator."""
        if self._stimulus is not None:
            self._stimulus.push_sample((target_c, measured_c, state, site), time_s)

    def event(self, document: str, time_s: float) -> None:
        """Send an event as it is recorded."""
        self._events.push_sample([document], time_s)

    @property
    def is_watched(self) -> bool:
        """Whether anybody reads how things are."""
        return bool(self._status.have_consumers())

    def status(self, document: str, time_s: float) -> None:
        """Send how things are."""
        self._status.push_sample([document], time_s)

    def close(self) -> None:
        """Take the streams off the network, when those who listen have had time to hear the end."""
        outlets = (self._feedback, self._events, self._status, self._stimulus)
        if any(outlet is not None and outlet.have_consumers() for outlet in outlets):
            threading.Event().wait(LINGER_S)
        for name in ("_eeg", "_features", "_feedback", "_stimulus", "_events", "_status"):
            if hasattr(self, name):
                delattr(self, name)


class CommandInlet:
    """Hears every ``neurofb-commands`` stream on the network; a thread of its own waits for them.

    Parameters
    ----------
    uid : str
        The session's own.
    on_stop : callable, optional
        Called at once, from the ear's thread, when a document asks to stop: a stop waits for nobody.
    """

    def __init__(self, uid: str, on_stop: object = None) -> None:
        self._uid = uid
        self._on_stop = on_stop
        self._texts: deque[str] = deque()
        self._stopped = threading.Event()
        self._inlets: dict[str, pylsl.StreamInlet] = {}
        self._resolver = pylsl.ContinuousResolver("name", messages.COMMANDS, forget_after=3.0)
        self._thread = threading.Thread(target=self._listen, name="neurofb-commands", daemon=True)
        self._thread.start()

    def take(self) -> list[str]:
        """Return the texts of commands since the last call."""
        texts = []
        while self._texts:
            texts.append(self._texts.popleft())
        return texts

    def close(self) -> None:
        """Stop listening."""
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _listen(self) -> None:
        looked_s = -np.inf
        while not self._stopped.is_set():
            now_s = pylsl.local_clock()
            if now_s - looked_s > LOOK_EVERY_S:
                looked_s = now_s
                self._look()
            if not self._inlets:
                self._stopped.wait(0.05)
            for uid, inlet in list(self._inlets.items()):
                try:
                    self._hear(uid, inlet, 0.02 / len(self._inlets))
                except Exception as error:  # one bad sender must not make this deaf for a stop by others
                    self._texts.append(f"not understood: {error!r}")
                    self._inlets.pop(uid, None)

    def _look(self) -> None:
        for info in self._resolver.results():
            if info.uid() not in self._inlets and info.channel_format() == pylsl.cf_string:
                self._inlets[info.uid()] = pylsl.StreamInlet(info, max_buflen=KEPT_S, recover=False)

    def _hear(self, uid: str, inlet: pylsl.StreamInlet, wait_s: float) -> None:
        try:
            sample, _ = inlet.pull_sample(timeout=wait_s)
            if sample is None:
                return
            text = str(sample[0])
        except pylsl.util.LostError:
            del self._inlets[uid]
            return
        except (
            UnicodeDecodeError
        ) as error:  # no text: refused and recorded like everything that is no command
            text = f"no text, but bytes: {error.object[:80]!r}"
        if callable(self._on_stop) and messages.asks_to_stop(text, self._uid):
            self._on_stop(text)
        self._texts.append(text)
