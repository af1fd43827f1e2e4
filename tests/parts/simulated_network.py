"""LSL without LSL: outlets of a simulated network on a manual clock, read by ``acquisition.live`` itself.

In: descriptions, and what their outlets send when. Out: an open ``LslConnection`` that finds them. No thread runs: a
lost stream is looked for between two pulls.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neurofb.acquisition import live, outlet_search
from neurofb.acquisition.live import LslConnection
from neurofb.acquisition.source import Batch
from neurofb.clock import ManualClock
from neurofb.devices import DeviceProfile
from neurofb.errors import StreamLost
from neurofb.lsl.matching import StreamInfo, eeg_columns


@dataclass(eq=False)
class Outlet:
    """An outlet, and the inlet of whoever reads it: both ends of one line."""

    info: StreamInfo
    #: When samples are there, their values as sent, their stamps.
    sent: list[tuple[float, np.ndarray, np.ndarray]] = field(default_factory=list)
    gone: bool = False
    now_s: float = 0.0

    def pull(self, timeout_s: float) -> int:
        """Fill the arrays with what is there."""
        due = [each for each in self.sent if each[0] <= self.now_s]
        self.sent = self.sent[len(due) :]
        if not due and self.gone:
            raise StreamLost("gone")
        if due:
            self.values = np.concatenate([values for _, values, _ in due])
            self.stamps_s = np.concatenate([stamps_s for *_, stamps_s in due])
        return sum(len(values) for _, values, _ in due)

    def correction_s(self, timeout_s: float) -> float:
        """Both ends have one clock."""
        return 0.0

    def open(self, timeout_s: float) -> None:
        """From now on what comes is kept, and nothing of before."""
        self.sent = [each for each in self.sent if each[0] > self.now_s]

    def close(self) -> None:
        """Nothing is open."""


class Network:
    """Outlets that come and go."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.outlets: list[Outlet] = []
        self.connection: LslConnection

    def connect(self, profile: DeviceProfile | None) -> None:
        """Read the only outlet, as a session does."""
        (outlet,) = self.outlets
        eeg = eeg_columns(outlet.info, profile)
        self.connection = LslConnection(outlet, eeg, outlet.info.rate_hz, profile, keep_raw=True)  # type: ignore[arg-type]

    def pull(self) -> Batch:
        """Return what has come by now; a lost stream is looked for."""
        for outlet in self.outlets:
            outlet.now_s = self.clock.now_s()
        batch = self.connection.pull()
        search = self.connection._search
        if search is not None and not search.found:
            search.look([(each.info, each) for each in self.outlets if not each.gone])
        return batch


class _NoThread(SimpleNamespace):
    """A thread that never runs."""

    def start(self) -> None:
        """Nothing runs."""

    def join(self, timeout: float | None = None) -> None:
        """Nothing ran."""


@contextlib.contextmanager
def simulated_network(start_s: float = 5000.0) -> Iterator[Network]:
    """Put a simulated network in the place of LSL."""
    clock = ManualClock(start_s)

    def handle(_info: StreamInfo, outlet: Any) -> Any:
        return outlet

    with pytest.MonkeyPatch.context() as patch:
        threads = SimpleNamespace(Thread=_NoThread, Event=threading.Event)
        for module in (live, outlet_search):
            patch.setattr(module, "_CLOCK", clock)
            patch.setattr(module, "threading", threads)
        patch.setattr(outlet_search, "NumericInlet", handle)
        yield Network(clock)
