"""Pictures of the screens in telling states, from a pretended session: ``python tests/screens/shots.py docs/img``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parts"))

import numpy as np
from pretended_source import MUSE, PretendedSource, facts
from PySide6.QtCore import QPoint
from PySide6.QtGui import QPainter, QPixmap
from PySide6.QtWidgets import QApplication, QWidget
from stand_in import prompt, status, status_document

from neurofb.devices import load_profile
from neurofb.screens.operator import OperatorScreen
from neurofb.screens.participant import ParticipantScreen
from neurofb.screens.setup_page import SetupPage
from neurofb.screens.theme import theme
from neurofb.status import SessionStatus
from neurofb.views.setup import ContactCheck, Need
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

LABELS = (
    "Fp1",
    "Fp2",
    "F7",
    "F3",
    "Fz",
    "F4",
    "F8",
    "T7",
    "C3",
    "Cz",
    "C4",
    "T8",
    "P3",
    "Pz",
    "P4",
    "O1",
    "Oz",
    "O2",
)
RATE_HZ = 250.0
GREATEST_BYTES = 300_000


class Pretended:
    """A session of which the shot says what is known."""

    uid = "3f9c41d20b7e"

    def __init__(self, level: float | None = None, usable: float = 1.0, **changes: Any) -> None:
        self.now_s, self.changes, self.level, self.usable = 0.0, changes, level, usable
        self.eeg = eeg(9.0)

    def snapshot(self) -> Snapshot:
        row = {"level": self.level or 0.0, "usable": self.usable, "reward": 0.0, "came_s": self.now_s}
        return Snapshot(
            self.now_s, status(self.uid, **self.changes), 0.1, (), row if self.level is not None else None
        )

    def pop_eeg(self) -> tuple[np.ndarray, int, tuple[str, ...], float]:
        part, self.eeg = self.eeg[:20], self.eeg[20:]
        return part, 0, LABELS, RATE_HZ

    def history(self, name: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        t = np.arange(0.0, 60.0, 0.2)
        if name == "stimulus":
            return ("target_c", "measured_c"), t, np.column_stack([*heat(t)])
        slow = np.convolve(
            np.random.default_rng(3).normal(0, 1.0, len(t) + 20), np.hanning(21) / 4.0, "valid"
        )
        z = slow + 0.3
        return (
            ("z", "threshold", "level"),
            t,
            np.column_stack([z, 0.2 + 0 * z, 1 / (1 + np.exp(-1.5 * (z - 0.2)))]),
        )

    def events(self) -> list[dict[str, Any]]:
        told = (
            (36, "the session begins: mindful-heat, seed 7"),
            (62, "phase: baseline, eyes open"),
            (131, "T7 is flat: it leaves the features"),
            (182, "baseline of frontal midline theta: 112 s clean"),
            (241, "phase: training 2"),
            (262, "heat 44.5 °C on the left forearm, trial 1 of 8"),
            (281, "rating: intensity 21"),
            (303, "heat 46.0 °C on the left forearm, trial 2 of 8"),
            (309, "note: cough"),
        )
        start_s = 8123.4 - 312.0
        return [{"kind": "told", "message": text, "time_s": start_s + at} for at, text in told]

    def report_drawn(self, clock_s: float) -> None:
        """Nobody is told."""

    def has_listeners(self) -> bool:
        return True

    def send(self, *asked: Any, **more: Any) -> None:
        """Nobody listens."""

    stop = stop_heat = rate = send


def heat(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return target and measured temperature of two stimuli."""
    target = np.where((t > 9) & (t < 19), 44.5, np.where((t > 52), 46.0, 32.0))
    measured = np.empty_like(t)
    now = 32.0
    for i, wanted in enumerate(target):
        now += np.clip(wanted - now, -1.4, 1.4) * 0.9
        measured[i] = now
    return target, measured


def eeg(seconds: float) -> np.ndarray:
    """Return EEG as it looks: slow noise, alpha at the back, blinks in front, one flat and one noisy channel."""
    rng, n = np.random.default_rng(1), round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(rng.normal(0, 1, (n, len(LABELS))), axis=0)
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)[:, None]
    x = np.fft.irfft(spectrum / np.maximum(hz, 0.8) ** 0.75, n, axis=0)
    x *= 9.0 / x.std(axis=0)
    t = np.arange(n) / RATE_HZ
    waxing = 0.6 + 0.4 * np.sin(2 * np.pi * 0.23 * t)
    for i, label in enumerate(LABELS):
        back = {"O": 14.0, "P": 8.0, "C": 3.0}.get(label[0], 1.0)
        x[:, i] += back * waxing * np.sin(2 * np.pi * 10.1 * t + 0.2 * i)
        front = {"Fp1": 90.0, "Fp2": 90.0, "F7": 30.0, "F3": 25.0, "Fz": 22.0, "F4": 25.0, "F8": 30.0}.get(
            label, 3.0
        )
        for at in (1.6, 5.1):
            x[:, i] += front * np.exp(-(((t - at) / 0.09) ** 2))
    x[:, LABELS.index("T7")] = 0.0
    x[:, LABELS.index("F8")] += rng.normal(0, 26, n)
    return x


def participant(
    level: float | None, *, usable: float = 1.0, dark: bool = True, answer: bool = False, **changes: Any
):
    """Return the participant's screen after some seconds."""
    session = Pretended(level, usable, **changes)
    screen = ParticipantScreen(session, Wording("en"), theme(dark))
    screen.resize(1280, 720)
    for _ in range(330):
        session.now_s += 1 / 60
        screen.tick()
    if answer:
        screen.view.rating.point(0.62)
        screen.tick()
    return screen.grab()


def operator(**more: Any) -> QPixmap:
    """Return the operator's screen in the middle of a block, with some more of the status changed."""
    channels = {label: {"state": "ok", "why": "", "out": False} for label in LABELS}
    channels["T7"] |= {"state": "flat", "out": True}
    channels["F8"] |= {"state": "noisy"}
    changes = {
        "heat": {"state": "plateau", "target_c": 46.0, "measured_c": 45.9, "used": {"left forearm": 0.46}},
        "step": {"kind": "heat", "level": "moderate", "trial": 2},
        "stream": {"name": "amplifier", "rate_hz": RATE_HZ},
        **more,
        "ratings": [
            {"scale": "intensity", "trial": 1, "level": "warm", "value": 21.0},
            {"scale": "unpleasantness", "trial": 1, "level": "warm", "value": 12.0},
        ],
    }
    session = Pretended(**changes)
    session.changes["channels"] = channels
    document = status_document(session.uid, **changes)
    document["channels"] = channels
    made = SessionStatus.from_json(json.dumps(document))
    session.snapshot = lambda: Snapshot(100.0, made, 0.1)  # type: ignore[method-assign]
    screen = OperatorScreen(session, Wording("en"), theme(True))
    screen.show()
    for _ in range(8):  # words first: they settle the size of all parts
        screen.tick()
    QApplication.processEvents()
    session.eeg = eeg(9.0)
    for _ in range(96):
        screen.tick()
    return screen.grab()


def setup() -> QPixmap:
    """Return the page before a session with one electrode that is off."""
    source = PretendedSource(MUSE)
    source.flat = {"AF7"}
    page = SetupPage(Wording("en"), theme(True), search=list, source_for=lambda query: source)
    page._found([facts()])
    page.check = ContactCheck(source, load_profile("muse-2"), Wording("en"))
    page.check.start()
    page.check.needs = [Need("left forehead", ("AF7",)), Need("temporal", ("TP9", "TP10"))]
    page.show()
    for _ in range(12):
        page.tick()
    return page.grab()


def side_by_side(pictures: list[QPixmap]) -> QPixmap:
    """Return pictures as one, two in a row."""
    width, height = 640, 360
    sheet = QPixmap(2 * width, (len(pictures) + 1) // 2 * height)
    painter = QPainter(sheet)
    for i, picture in enumerate(pictures):
        at = QPoint(i % 2 * width, i // 2 * height)
        painter.drawPixmap(at.x(), at.y(), width, height, picture)
    painter.end()
    return sheet


def main(folder: Path) -> int:
    """Write the pictures."""
    app = QApplication.instance() or QApplication([])
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "participant": participant(0.9),
        "participant-states": side_by_side(
            [
                participant(0.1),
                participant(0.5, usable=0.0),
                participant(
                    None,
                    step={"kind": "calibration", "level": None, "trial": None},
                    heat={"state": "rising", "button": True},
                    phase={"kind": "calibration", "text": "Now we look for the temperature that suits you."},
                ),
                participant(
                    None, step={"kind": "cue", "level": "moderate", "end_s": 318.0, "start_s": 306.0}
                ),
                participant(0.6, dark=False, answer=True, prompt=prompt()),
                participant(
                    None,
                    feedback={"on": False},
                    phase={"waits": True, "text": "We begin when you are ready."},
                ),
            ]
        ),
        "operator": operator(),
        "operator-probe": operator(
            heat={"used": {"left forearm": 0.46}},
            step={"kind": "pause", "level": None, "trial": None},
            probe={"site": "left forearm, middle", "before": "left forearm, near the elbow", "waits": False},
        ),
        "setup": setup(),
    }
    for name, picture in pictures.items():
        path = folder / f"{name}.png"
        picture.save(str(path), "PNG", 0)
        print(f"{path}  {path.stat().st_size // 1000} kB")
        if path.stat().st_size > GREATEST_BYTES:
            print(f"{path} is larger than {GREATEST_BYTES // 1000} kB", file=sys.stderr)
            return 1
    for window in QApplication.topLevelWidgets():
        if isinstance(window, QWidget):
            window.deleteLater()
    app.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/img")))
