"""What tests of sessions share: whole simulated sessions on a manual clock, and their record as pyxdf reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import pyxdf

from neurofb.clock import ManualClock
from neurofb.engine import engine as engine_module
from neurofb.engine.assembly import Assembled, Hooks, assemble
from neurofb.engine.engine import Outcome
from neurofb.engine.planning import Asked, plan_session
from neurofb.messages import COMMANDS, Command
from neurofb.signing import CommandGate, Refused, SessionKey, Signer

START_S = 1000.0
#: What the engine waits for samples at most in these sessions, unless a test asks for the real ``engine.PULL_S``: four
#: steps become one, and a session of a minute takes a third of the time. Not more than a packet of the headset.
STEP_S = 0.02


@dataclass
class Script:
    """Asks for things at given times of the session, as somebody outside would."""

    clock: ManualClock
    acts: list[tuple[float, str]]  # session time in s, text of a command
    uid: str = ""
    done: int = 0

    def pop(self) -> list[str]:
        """Return the commands that are due."""
        texts = []
        while self.done < len(self.acts) and self.clock.now_s() - START_S >= self.acts[self.done][0]:
            texts.append(self.acts[self.done][1].replace("UID", self.uid))
            self.done += 1
        return texts

    def close(self) -> None:
        """Nothing is open."""


def command(name: str, by: str = "operator", **content) -> str:
    """Return the text of a command for whichever session the script runs in."""
    return Command(name, content, by, "UID").to_json()


@dataclass
class Wire:
    """The network of a session on a manual clock: texts at given times pass the session's own gate."""

    assembled: Assembled
    acts: list[tuple[float, str]]  # session time in s, text
    gate: CommandGate
    clock: ManualClock
    done: int = 0
    waiting: list[Command] = field(default_factory=list)

    def pop(self, most: int) -> list[Command]:
        """Return the commands that passed by now."""
        while self.done < len(self.acts) and self.clock.now_s() - START_S >= self.acts[self.done][0]:
            command = self.gate.admit(self.acts[self.done][1].replace("UID", self.assembled.uid))
            self.waiting += [] if command is None else [command]
            self.done += 1
        popped, self.waiting = self.waiting[:most], self.waiting[most:]
        return popped

    def pop_refused(self) -> list[Refused]:
        """Return what was refused."""
        return self.gate.pop_refused()

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class Window:
    """A window that signs its commands with its session's key, known when they are sent."""

    role: str
    key: SessionKey
    uid: str
    sender: str = "w1"

    def __post_init__(self) -> None:
        self.signer = Signer(self.key.own(self.role), COMMANDS)

    def says(self, name: str, **content) -> str:
        """Return the text of a signed command."""
        return self.signer.sign(Command(name, content, self.role, self.uid, self.sender).to_json())


def wired(make, *, trusts: bool = False):
    """Return a ``prepare`` for ``run``: ``make(key, uid)`` returns what comes over the network, (time in s, text)."""

    def prepare(assembled: Assembled) -> None:
        gate = CommandGate(assembled.uid, None if trusts else assembled.key)
        engine = assembled.engine
        engine._commands._network = Wire(assembled, make(assembled.key, assembled.uid), gate, engine._clock)

    return prepare


@dataclass
class Ran:
    """A session that is over."""

    outcome: Outcome
    assembled: Assembled
    statuses: list[dict] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.assembled.folder.path

    @property
    def streams(self) -> dict:
        """Every stream by its name, read by pyxdf with nothing changed."""
        streams, _ = pyxdf.load_xdf(
            self.folder / "recording.xdf", dejitter_timestamps=False, synchronize_clocks=False
        )
        return {stream["info"]["name"][0]: stream for stream in streams}

    @property
    def events(self) -> list[dict]:
        return [json.loads(row[0]) for row in self.streams["neurofb-events"]["time_series"]]

    def of_kind(self, kind: str) -> list[dict]:
        return [event for event in self.events if event["kind"] == kind]

    def column(self, stream: str, label: str) -> np.ndarray:
        found = self.streams[stream]
        labels = [each["label"][0] for each in found["info"]["desc"][0]["channels"][0]["channel"]]
        return found["time_series"][:, labels.index(label)]


def run(
    data: Path, acts=(), *, prepare=None, on_event=None, step_s: float = STEP_S, blinded=None, **asked
) -> Ran:
    """Run a simulated session as fast as it can; ``prepare`` may change the parts before it starts."""
    words = {"protocol": "demo", "device": "simulated", "participant": "P01", "seed": 1, **asked}
    plan = plan_session(Asked(**words, data=data, simulate=True), blinded)
    clock = ManualClock(START_S)
    script = Script(clock, list(acts))
    statuses: list[dict] = []

    def listeners(uid, _stop):
        script.uid = uid
        return [script]

    def on_status(status):
        statuses.append(json.loads(status.to_json()))

    assembled = assemble(plan, clock, Hooks(listeners, on_status, on_event), publish=False)
    if prepare is not None:
        prepare(assembled)
    with mock.patch.object(engine_module, "PULL_S", step_s):
        return Ran(assembled.engine.run(), assembled, statuses)
