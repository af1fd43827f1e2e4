"""An LSL inlet on a manual clock: samples that a device takes, how its program stamps them, when they arrive.

In: how the device samples, how its program stamps, what is lost and what is late. Out: what ``acquisition.live`` makes
of it. Every sample holds its own number, so that a value in a wrong place shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from neurofb.acquisition import live
from neurofb.acquisition.live import LslConnection
from neurofb.acquisition.source import Batch
from neurofb.clock import ManualClock
from neurofb.devices.columns import EegColumns
from neurofb.events import Event
from neurofb.lsl.matching import StreamInfo

LABELS = ("Fz", "Pz")
START_S = 5000.0
#: Samples hold their number times this, in µV.
STEP_UV = 0.01


@dataclass
class Device:
    """A device and its program. Times are in seconds from the start."""

    says_hz: float = 250.0
    #: When each sample is taken: from its number.
    taken_s: Callable[[np.ndarray], np.ndarray] = lambda k: k / 250.0
    #: The stamps of the samples of a packet: from their numbers, when they were taken and when they are sent.
    stamps: Callable[[np.ndarray, np.ndarray, float], np.ndarray] = lambda _k, taken_s, _sent_s: (
        START_S + taken_s
    )
    packet: int = 10
    delay_s: float = 0.004
    #: The way of each packet takes longer by up to this.
    jitter_s: float = 0.0
    #: Which packets are lost.
    lost: Callable[[int], bool] = lambda _packet: False
    #: Nothing arrives between the two times; then all of it does.
    stalls: tuple[tuple[float, float], ...] = ()
    seed: int = 0
    #: The computer sleeps at a time, for so long; its clock stands still.
    sleeps: tuple[tuple[float, float], ...] = ()


@dataclass
class SimulatedInlet:
    """Implements what ``LslConnection`` uses of ``NumericInlet``."""

    device: Device
    clock: ManualClock
    until_s: float
    #: A pull returns about so many samples of those that wait; 0: all of them.
    piece: int = 0
    info: StreamInfo = field(init=False)

    def __post_init__(self) -> None:
        device = self.device
        self.info = StreamInfo(
            "simulated", "EEG", "s", "u", "h", 2, device.says_hz, "double64", LABELS, ("microvolts",) * 2
        )
        self.values, self.stamps_s = np.zeros((5000, 2)), np.zeros(5000)
        self.sent: list[int] = []
        rng, packet, latest_s = np.random.default_rng(device.seed), 0, 0.0
        self._packets: list[tuple[float, np.ndarray, np.ndarray]] = []
        while True:
            k = np.arange(packet * device.packet, (packet + 1) * device.packet)
            taken_s = device.taken_s(k)
            if taken_s[-1] >= self.until_s:
                break
            sent_s = float(taken_s[-1]) + device.delay_s
            arrives_s = sent_s + device.jitter_s * rng.random()
            for begin_s, end_s in device.stalls:
                if begin_s <= arrives_s < end_s:
                    arrives_s = end_s
            latest_s = max(latest_s, arrives_s)
            if not device.lost(packet):
                self._packets.append((START_S + latest_s, k, device.stamps(k, taken_s, START_S + sent_s)))
                self.sent += k.tolist()
            packet += 1
        self.n_taken = packet * device.packet
        self._next = 0

    def pull(self, timeout_s: float) -> int:
        """Return how many samples have arrived and are now in the arrays."""
        n = 0
        while self._next < len(self._packets) and self._packets[self._next][0] <= self.clock.now_s():
            _, k, stamps_s = self._packets[self._next]
            self.values[n : n + len(k)] = STEP_UV * k[:, None]
            self.stamps_s[n : n + len(k)] = stamps_s
            n += len(k)
            self._next += 1
            if 0 < self.piece <= n:
                break
        return n

    @property
    def next_arrival_s(self) -> float:
        """When the next packet arrives."""
        return self._packets[self._next][0] if self._next < len(self._packets) else float("inf")

    def correction_s(self, timeout_s: float) -> float:
        """Return the offset of the sender's clock: it is this computer's."""
        return 0.0

    def open(self, timeout_s: float) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class Taken:
    """What came out of a connection."""

    inlet: SimulatedInlet
    connection: LslConnection
    numbers: np.ndarray
    times_s: np.ndarray
    #: The age of the newest sample whenever some came.
    ages_s: np.ndarray
    events: list[Event]
    #: When the samples were unfit to earn anything: first and last time, from the start; NaN if never.
    unfit_s: tuple[float, float]
    unfit: str

    def told(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if event.kind == kind]

    @property
    def n_missing(self) -> int:
        """How many samples are missing between others."""
        return int(np.isnan(self.numbers).sum())

    @property
    def misplaced(self) -> np.ndarray:
        """Return by how many samples each stands away from its number, as the first does not."""
        there = np.flatnonzero(np.isfinite(self.numbers))
        off = np.round(self.numbers[there]) - there
        return off - off[0]


def take(
    device: Device, until_s: float, monkeypatch: pytest.MonkeyPatch, *, piece: int = 0, looks_s: float = 0.0
) -> Taken:
    """Take samples in for so long: each packet when it arrives, and nothing every 5 ms; of many, a piece at a time.

    With ``looks_s`` they are taken in only so often, and what came in between has waited.
    """
    clock = ManualClock(START_S)
    monkeypatch.setattr(live, "_CLOCK", clock)
    monkeypatch.setattr(LslConnection, "_measure_offsets", lambda _self: None)  # waits in real time
    inlet = SimulatedInlet(device, clock, until_s, piece)
    columns = EegColumns.in_microvolts(LABELS)
    connection = LslConnection(inlet, columns, device.says_hz, None, keep_raw=True)  # type: ignore[arg-type]
    batches: list[Batch] = []
    ages_s, unfit_s, unfit = [], [], ""
    sleeps = list(device.sleeps)
    try:
        while clock.now_s() < START_S + until_s + 0.2:
            waits = inlet.next_arrival_s <= clock.now_s()  # a piece is left
            clock.wait_until(
                clock.now_s() + looks_s
                if looks_s
                else clock.now_s() + 0.001
                if waits
                else min(clock.now_s() + 0.005, inlet.next_arrival_s)
            )
            if sleeps and clock.now_s() >= START_S + sleeps[0][0]:
                clock.sleep_computer(sleeps.pop(0)[1])
            batches.append(connection.pull(0.0))
            chunk = batches[-1].chunk
            if len(chunk):
                ages_s.append(clock.now_s() - float(chunk.times_s[-1]))
            if batches[-1].unfit:
                unfit = batches[-1].unfit
                unfit_s.append(clock.now_s() - START_S)
        batches.append(connection.flush())
    finally:
        connection.close()
    return Taken(
        inlet,
        connection,
        np.concatenate([batch.chunk.samples[:, 0] for batch in batches]) / STEP_UV,
        np.concatenate([batch.chunk.times_s for batch in batches]),
        np.array(ages_s),
        [event for batch in batches for event in batch.events],
        (unfit_s[0], unfit_s[-1]) if unfit_s else (float("nan"), float("nan")),
        unfit,
    )
