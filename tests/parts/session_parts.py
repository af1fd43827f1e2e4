"""What tests of sessions share: whole simulated sessions on a manual clock, and their record as pyxdf reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyxdf

from neurofb.clock import ManualClock
from neurofb.engine.assembly import Assembled, Hooks, assemble
from neurofb.engine.engine import Outcome
from neurofb.engine.planning import Asked, plan_session
from neurofb.messages import Command

START_S = 1000.0


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


def run(data: Path, acts=(), *, prepare=None, on_event=None, **asked) -> Ran:
    """Run a simulated session as fast as it can; ``prepare`` may change the parts before it starts."""
    words = {"protocol": "demo", "device": "simulated", "participant": "P01", "seed": 1, **asked}
    plan = plan_session(Asked(**words, data=data, simulate=True))
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
    return Ran(assembled.engine.run(), assembled, statuses)
