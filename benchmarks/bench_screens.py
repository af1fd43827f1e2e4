"""Frames a second of the screens, drawn by the processor alone, and what a long run of them keeps in memory."""

from __future__ import annotations

import gc
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import row

N_CHANNELS, RATE_HZ, FRAMES_PER_S = 64, 1000.0, 60
LABELS = tuple(f"E{i + 1}" for i in range(N_CHANNELS))
#: Under software rendering on two cores.
AT_LEAST_FPS = 30.0
#: An hour is 216,000 frames; a leak of a byte a frame would be 0.2 MB, one of a small object 10 MB and more.
GROWS_AT_MOST_MB_PER_H = 8.0


class Pretended:
    """A session that sends 64 channels at 1,000 Hz, a frame's worth each time."""

    uid = "bench"

    def __init__(self) -> None:
        self.now_s = 0.0
        self._eeg = np.random.default_rng(0).normal(0.0, 20.0, (int(RATE_HZ), N_CHANNELS))
        self._at = 0
        self._status: tuple[int, Any] = (-1, None)
        self._t = np.arange(0.0, 60.0, 0.2)
        self._rows = np.random.default_rng(1).normal(0.0, 1.0, (len(self._t), 3))

    def snapshot(self) -> Any:
        """Give the next frame's."""
        from neurofb.status import SessionStatus
        from neurofb.views.snapshot import Snapshot

        self.now_s += 1.0 / FRAMES_PER_S
        n = round(self.now_s * 5)
        if n != self._status[0]:
            self._status = n, SessionStatus.from_json(json.dumps(self._document(n)))
        level = 0.5 + 0.5 * np.sin(self.now_s)
        feedback = {"level": level, "usable": 1.0, "reward": 0.0, "came_s": self.now_s}
        return Snapshot(self.now_s, self._status[1], 0.1, (), feedback)

    def _document(self, n: int) -> Mapping[str, Any]:
        return {
            "session": self.uid,
            "participant": "p01",
            "protocol": "bench",
            "title": "bench",
            "state": "running",
            "now_s": self.now_s % 600.0,
            "clock_s": self.now_s,
            "progress": 0.5,
            "left_s": 600.0 - self.now_s % 600.0,
            "phase": {"name": "training", "kind": "training", "text": f"words {n // 50}", "index": 0, "n": 1}
            | {
                "start_s": 0.0,
                "end_s": 600.0,
                "eyes": "open",
                "sound": None,
                "waits": False,
                "summary": None,
            },
            "step": None,
            "timeline": [{"name": "training", "kind": "training", "start_s": 0.0, "duration_s": 600.0}],
            "feedback": {
                "on": True,
                "mode": "continuous",
                "level": 0.5,
                "reward": False,
                "usable": True,
                "why": "",
            }
            | {"value": 1.0, "z": 0.1, "threshold": 0.2, "success_index": 0.5},
            "prompt": None,
            "heat": None,
            "ratings": [{"scale": "intensity", "trial": n % 50, "level": None, "value": float(n % 100)}],
            "channels": {label: {"state": "ok", "why": "", "out": False} for label in LABELS},
            "features": {"theta": {"value": float(n), "usable": True, "why": ""}},
            "latency_ms": {"median": 0.5, "p99": 2.0, "filter": 100.0},
            "stream": {"name": "bench", "state": "flowing", "rate_hz": RATE_HZ, "received": n, "missing": 0},
            "recording": {"path": "", "bytes": n * 1000, "ok": True},
            "message": "",
            "ended": None,
        }

    def pop_eeg(self) -> tuple[np.ndarray, int, tuple[str, ...], float]:
        """Give a frame's worth of EEG."""
        n = round(RATE_HZ / FRAMES_PER_S)
        self._at = (self._at + n) % (len(self._eeg) - n)
        return self._eeg[self._at : self._at + n], 0, LABELS, RATE_HZ

    def history(self, name: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:  # noqa: ARG002
        """Give a minute of numbers."""
        return ("z", "threshold", "level"), self._t + self.now_s, self._rows

    def events(self) -> list[dict[str, Any]]:
        """Give the last events; a new one each ten seconds."""
        n = int(self.now_s // 10)
        return [
            {"kind": "trial", "message": f"trial {i}", "time_s": 10.0 * i} for i in range(max(0, n - 200), n)
        ]

    def has_listeners(self) -> bool:
        """Say that somebody hears."""
        return True

    def send(self, *asked: Any, **more: Any) -> None:
        """Nobody hears."""

    stop = rate = send


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    os.environ.setdefault("QT_QPA_PLATFORM", "xcb" if os.environ.get("DISPLAY") else "offscreen")
    from PySide6.QtWidgets import QApplication

    from neurofb.screens.operator import OperatorScreen
    from neurofb.screens.participant import ParticipantScreen
    from neurofb.screens.theme import DARK
    from neurofb.views.texts import Wording

    app = QApplication.instance() or QApplication(["bench"])
    where = f"platform {app.platformName()}, drawn by the processor, one thread"
    screens = {
        "operator, 64 channels at 1,000 Hz, 1440 × 900": (OperatorScreen, (1440, 900)),
        "participant, 1920 × 1080": (ParticipantScreen, (1920, 1080)),
    }
    n = 300 if short else 1800
    for name, (kind, size) in screens.items():
        screen = kind(Pretended(), Wording("en"), DARK)
        screen.resize(*size)
        screen.show()
        frame = _frame(app, screen, getattr(screen, "eeg", screen))
        times = _timed(frame, n)
        yield row(
            f"{name}: frames a second, median",
            1.0 / statistics.median(times),
            "frames/s",
            at_least=AT_LEAST_FPS,
            detail=f"{where}; {len(times) / sum(times):.0f} frames/s sustained, 99 % within "
            f"{1000 * sorted(times)[int(0.99 * len(times))]:.1f} ms",
        )
        yield row(
            f"{name}: memory that an hour adds",
            _growth_mb_per_h(frame, 1500 if short else 20_000),
            "MB/h",
            at_most=GROWS_AT_MOST_MB_PER_H,
            detail="from the frames of minutes as fast as they can be drawn, after as many to warm up, to 60 a second",
        )
        screen.blockSignals(True)
        screen.deleteLater()
        app.processEvents()


def _frame(app: Any, screen: Any, drawn: Any) -> Callable[[], None]:
    """Give what makes a frame: take in what is new, and wait until it has been painted."""
    from PySide6.QtCore import QEvent, QEventLoop, QObject

    class Painted(QObject):
        n = 0

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: ARG002
            self.n += event.type() == QEvent.Type.Paint
            return False

    painted = Painted(screen)
    drawn.installEventFilter(painted)

    def frame() -> None:
        before = painted.n
        screen.tick()
        while painted.n == before:
            app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)

    return frame


def _timed(frame: Callable[[], None], n: int) -> list[float]:
    for _ in range(60):
        frame()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        frame()
        times.append(time.perf_counter() - start)
    return times


def _growth_mb_per_h(frame: Callable[[], None], n: int) -> float:
    """Give the slope of the resident memory: the least of each quarter, so that garbage that waits does not count."""
    for _ in range(n):
        frame()
    held = []
    for _ in range(16):
        for _ in range(n // 16):
            frame()
        gc.collect()
        held.append(_resident_mb())
    half = len(held) // 2
    grown_mb = min(held[half:]) - min(held[:half])
    return grown_mb / (n / 2) * FRAMES_PER_S * 3600


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
