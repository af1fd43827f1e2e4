"""A session as screens see it: plain pylsl outlets that follow ``neurofb.messages``, and inlets for commands."""

from __future__ import annotations

import copy
import json
import uuid
from typing import Any

import numpy as np
import pylsl

from neurofb import messages
from neurofb.events import Event, plain
from neurofb.signing import SessionKey, Signer
from neurofb.status import SessionStatus

LABELS = ("TP9", "AF7", "AF8", "TP10")
FEATURES = ("frontal_midline_theta", "frontal_midline_theta.usable")


def status(uid: str = "u", **changes: Any) -> SessionStatus:
    """Return a whole status, with some keys of its document changed."""
    return SessionStatus.from_json(json.dumps(plain(status_document(uid, **changes))))


def status_document(uid: str = "u", **changes: Any) -> dict[str, Any]:
    """Return a whole status document, with some keys changed; a mapping changes the keys in it alone."""
    document: dict[str, Any] = {
        "session": uid,
        "participant": "p01",
        "protocol": "mindful-heat",
        "title": "Mindfulness and heat",
        "state": "running",
        "now_s": 312.0,
        "clock_s": 8123.4,
        "progress": 0.42,
        "left_s": 430.0,
        "phase": {
            "name": "training 2",
            "kind": "training",
            "text": "Rest with the breath.",
            "index": 3,
            "n": 6,
            "start_s": 240.0,
            "end_s": 420.0,
            "eyes": "open",
            "sound": None,
            "waits": False,
            "summary": None,
            "shows": "shape",
            "breaths_per_min": None,
        },
        "step": {
            "kind": "rest",
            "level": None,
            "trial": 3,
            "n_trials": 8,
            "start_s": 300.0,
            "end_s": 330.0,
            "labels": {},
        },
        "timeline": [
            {"name": "welcome", "kind": "instruction", "start_s": 0.0, "duration_s": 60.0},
            {"name": "baseline", "kind": "rest_baseline", "start_s": 60.0, "duration_s": 120.0},
            {"name": "training 1", "kind": "training", "start_s": 180.0, "duration_s": 60.0},
            {"name": "training 2", "kind": "training", "start_s": 240.0, "duration_s": 180.0},
            {"name": "heat", "kind": "heat", "start_s": 420.0, "duration_s": 240.0},
            {"name": "ratings", "kind": "rating", "start_s": 660.0, "duration_s": 82.0},
        ],
        "feedback": {
            "on": True,
            "mode": "continuous",
            "level": 0.5,
            "reward": False,
            "usable": True,
            "why": "",
            "value": 3.2,
            "z": 0.4,
            "threshold": 0.1,
            "success_index": 0.6,
        },
        "prompt": None,
        "heat": {
            "site": "left forearm",
            "target_c": 32.0,
            "measured_c": 32.1,
            "state": "baseline",
            "used": {"left forearm": 0.31, "right forearm": 0.0},
            "limit": 1.0,
            "button": False,
        },
        "ratings": [{"scale": "intensity", "trial": 1, "level": "warm", "value": 21.0}],
        "channels": {label: {"state": "ok", "why": "", "out": False} for label in LABELS},
        "features": {"frontal_midline_theta": {"value": 3.2, "usable": True, "why": ""}},
        "latency_ms": {"median": 0.5, "p99": 2.1, "filter": 120.0},
        "stream": {"name": "Muse", "state": "flowing", "rate_hz": 256.0, "received": 80_000, "missing": 0},
        "recording": {"path": "/data/recording.xdf", "bytes": 1_234_567, "ok": True},
        "message": "",
        "ended": None,
        "warnings": [],
        "streams": {},
        "probe": None,
    }
    for key, value in copy.deepcopy(changes).items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            document[key] |= value
        else:
            document[key] = value
    return document


def prompt(kind: str = "vas", id: str = "p1", **changes: Any) -> dict[str, Any]:
    """Return a prompt as a status document has it."""
    document: dict[str, Any] = {
        "id": id,
        "scale": "intensity",
        "kind": kind,
        "question": "How intense was it?",
        "low": "not at all",
        "high": "as intense as imaginable",
        "choices": [],
        "due_s": 330.0,
    }
    if kind == "probe":
        document |= {
            "question": "Where was your mind?",
            "choices": ["with the breath", "elsewhere", "nowhere"],
        }
    return document | changes


class StandIn:
    """Sends what a session would, when it is told to.

    Parameters
    ----------
    labels : sequence of str
    rate_hz : float
    uid : str, optional
    key : SessionKey, optional
        Signs status and events, and the status names the outlets; left out: as an impostor without it would.
    """

    def __init__(
        self,
        labels: tuple[str, ...] = LABELS,
        rate_hz: float = 256.0,
        uid: str | None = None,
        key: SessionKey | None = None,
    ) -> None:
        self.uid = uid or uuid.uuid4().hex[:12]
        self._signers = (
            {} if key is None else {n: Signer(key.engine, n) for n in (messages.STATUS, messages.EVENTS)}
        )
        self.labels, self.rate_hz = labels, rate_hz
        self.outlets: dict[str, pylsl.StreamOutlet] = {}
        self._resolver = pylsl.ContinuousResolver("name", messages.COMMANDS, forget_after=3.0)
        self._inlets: dict[str, pylsl.StreamInlet] = {}
        self._gone: set[str] = set()
        self.heard: list[messages.Command] = []
        self.open()

    def open(self, *names: str) -> None:
        """Put streams on the network, by default all of them."""
        columns = {
            messages.EEG: (dict.fromkeys(self.labels, "microvolts"), "EEG", self.rate_hz),
            messages.FEATURES: (dict.fromkeys(FEATURES, "none"), "Features", 32.0),
            messages.FEEDBACK: (messages.FEEDBACK_COLUMNS, "Feedback", 0.0),
            messages.STIMULUS: (messages.STIMULUS_COLUMNS, "Stimulus", 0.0),
            messages.EVENTS: (None, "Markers", 0.0),
            messages.STATUS: (None, "Status", 0.0),
        }
        for name in names or columns:
            units, kind, rate_hz = columns[name]
            n, form = (len(units), "double64") if units else (1, "string")
            info = pylsl.StreamInfo(name, kind, n, rate_hz, form, messages.source_id(self.uid, name))
            info.desc().append_child_value("session", self.uid)
            channels = info.desc().append_child("channels")
            for label, unit in (units or {}).items():
                channel = channels.append_child("channel")
                channel.append_child_value("label", label)
                channel.append_child_value("unit", unit)
            self.outlets[name] = pylsl.StreamOutlet(info, max_buffered=10)

    def status(self, **changes: Any) -> None:
        """Send a status."""
        changes.setdefault("clock_s", pylsl.local_clock())
        if self._signers:
            changes["streams"] = {name: outlet.get_info().uid() for name, outlet in self.outlets.items()}
        self.send(messages.STATUS, json.dumps(status_document(self.uid, **changes)))

    def send(self, name: str, document: str) -> None:
        """Send a document, signed if there is a key."""
        signer = self._signers.get(name)
        self.outlets[name].push_sample([document if signer is None else signer.sign(document)])

    def feedback(self, level: float, *, reward: bool = False, usable: bool = True) -> None:
        """Send a row of feedback."""
        self.outlets[messages.FEEDBACK].push_sample(np.array([level, reward, usable, 3.2, 0.1, 0.15]))

    def stimulus(self, target_c: float, measured_c: float, state: int = 0, site: int = 0) -> None:
        """Send a reading."""
        self.outlets[messages.STIMULUS].push_sample(
            np.array([target_c, measured_c, state, site], dtype=float)
        )

    def event(self, kind: str, message: str, **details: Any) -> None:
        """Send an event."""
        event = Event(kind, pylsl.local_clock(), message, None, details)
        self.send(messages.EVENTS, event.to_json())

    def eeg(self, samples_uv: np.ndarray) -> None:
        """Send EEG."""
        self.outlets[messages.EEG].push_chunk(np.ascontiguousarray(samples_uv, dtype=float))

    def listen(self) -> list[messages.Command]:
        """Read commands that came for this session; return all so far."""
        for info in self._resolver.results():
            uid = info.uid()
            if uid in self._inlets or uid in self._gone or info.channel_format() != pylsl.cf_string:
                continue
            try:
                inlet = pylsl.StreamInlet(info, recover=False)
                inlet.open_stream(timeout=2.0)
            except (pylsl.util.LostError, pylsl.util.TimeoutError):
                self._gone.add(uid)
            else:
                self._inlets[uid] = inlet
        for uid, inlet in list(self._inlets.items()):
            try:
                samples, _ = inlet.pull_chunk(timeout=0.0)
            except pylsl.util.LostError:
                del self._inlets[uid]
                self._gone.add(uid)
                continue
            commands = [messages.Command.read(sample[0]) for sample in samples]
            self.heard += [each for each in commands if each.session in ("", self.uid)]
        return self.heard

    def lose(self, *names: str) -> None:
        """Remove streams from the network, by default all."""
        for name in names or list(self.outlets):
            self.outlets.pop(name, None)

    def close(self) -> None:
        """Remove all streams."""
        self.lose()
        self._inlets.clear()
