"""A stream on a manual clock, through the parts that index a live one, with whatever a headset does wrong.

In: faults with their times. Out: batches as ``acquisition.live`` makes them, without LSL. Kept: what arrived when.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofb.acquisition.chunking import ChunkBuilder
from neurofb.acquisition.received import ReceivedBlock, generated_info
from neurofb.acquisition.source import Batch, SourceState
from neurofb.acquisition.stream_health import StreamHealth
from neurofb.acquisition.value_limits import ValueLimits
from neurofb.chunk import Chunk
from neurofb.clock import Clock
from neurofb.devices.columns import EegColumns
from neurofb.events import Event

LABELS, RATE_HZ, PACKET = ("Fz", "Pz"), 100.0, 8
DELAY_S = 0.02
_BAD = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "1e300": 1e300}


def _noise() -> np.ndarray:
    """Half a minute of slow noise with some theta and alpha, over and over; this generator's numbers never change."""
    n = round(30 * RATE_HZ)
    white = np.random.RandomState(1).standard_normal((n, len(LABELS)))
    t_s = np.arange(n) / RATE_HZ
    x = np.zeros_like(white)
    for i in range(1, n):
        x[i] = 0.9 * x[i - 1] + 3.0 * white[i]
    swell = 1.0 + 0.5 * np.sin(2 * np.pi * 0.2 * t_s)
    x[:, 0] += 8.0 * swell * np.sin(2 * np.pi * 6.0 * t_s)
    x[:, 1] += 12.0 * swell * np.sin(2 * np.pi * 10.0 * t_s)
    return x


NOISE_UV = _noise()
#: The packet that does not come.
_NEVER = math.inf, np.empty((0, len(LABELS))), np.empty(0)


@dataclass
class PretendedStream:
    """Implements ``acquisition.source.Source``; samples leave in packets of eight, ``DELAY_S`` after the last of them.

    Faults are tuples of kind, start and more: ``waits`` (nothing before), ``never``, ``ends``, ``stall`` and its
    length (late, all at once), ``gap`` and its length (lost), ``gone`` and its length (the outlet is made anew),
    ``jump`` and by how much (of its clock), ``bad``, length and value, ``rate`` and its factor.
    """

    clock: Clock
    faults: Sequence[tuple[Any, ...]] = ()
    state: SourceState = "waiting"
    #: When rows arrived that hold a number, in s of the clock.
    arrivals_s: list[float] = field(default_factory=list)

    labels, rate_hz, next_arrival = LABELS, RATE_HZ, None
    stream_info = generated_info("pretended", LABELS, RATE_HZ)
    eeg_columns = EegColumns.in_microvolts(LABELS)

    def __post_init__(self) -> None:
        self._start_s = self.clock.now_s()
        self._builder, self._value_limits = ChunkBuilder(LABELS, RATE_HZ), ValueLimits(self.eeg_columns)
        self._health = StreamHealth("pretended", RATE_HZ, PACKET / RATE_HZ)
        self._health.opened(self._start_s)
        self._true_hz = RATE_HZ * math.prod(fault[2] for fault in self.faults if fault[0] == "rate")
        self._n_packets, self._is_gone = 0, False
        self._events: list[Event] = []
        self._next = self._packet()

    def start(self) -> None:
        """Nothing to start."""

    def stop(self) -> None:
        """Nothing to stop."""

    def flush(self) -> Batch:
        """Return the samples that are held in doubt."""
        self._value_limits.flush()
        return self._batch(self._builder.flush(), [])

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return what has arrived, waiting at most ``timeout_s`` for the first."""
        now_s = self.clock.now_s()
        if self._next[0] > now_s and timeout_s > 0:
            self.clock.wait_until(min(now_s + timeout_s, self._next[0]))
            now_s = self.clock.now_s()
        packets = []
        while self._next[0] <= now_s:
            packets.append(self._next[1:])
            self._next = self._packet()
        self._look_for_outlet(now_s)
        index = self._builder.indexer.next_index
        if not packets:
            self._events += self._health.nothing_came(now_s, index)
            self.state = self._health.state
            return self._batch(Chunk.empty(index, len(LABELS)), [])
        self._events += self._health.samples_came(now_s, index)
        self.state = self._health.state
        values, stamps_s = (np.concatenate(parts) for parts in zip(*packets, strict=True))
        if np.isfinite(values).any():
            self.arrivals_s.append(now_s)
        samples = self.eeg_columns.to_uv(values)
        self._value_limits.push(values, samples, stamps_s)
        chunk = self._builder.push(samples, stamps_s, stamps_s.copy(), now_s)
        return self._batch(chunk, [ReceivedBlock(values.copy(), stamps_s.copy())])

    def _batch(self, chunk: Chunk, raw: list[ReceivedBlock]) -> Batch:
        events, self._events = self._events, []
        events += [*self._value_limits.pop_events(), *self._builder.pop_events()]
        return Batch(chunk, raw, (), events, self._builder.unfit)

    def _look_for_outlet(self, now_s: float) -> None:
        is_gone = self._during("gone", now_s - self._start_s)
        if is_gone and not self._is_gone:
            self._events += self._health.outlet_gone(now_s, self._builder.indexer.next_index)
        elif self._is_gone and not is_gone:
            self._builder.restart()
            self._events.append(Event("reopened", now_s, "there again", self._builder.indexer.next_index))
        self._is_gone = is_gone

    def _during(self, kind: str, t_s: float) -> bool:
        return any(each[0] == kind and each[1] <= t_s < each[1] + each[2] for each in self.faults)

    def _packet(self) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the next packet that is not lost: its arrival, samples and stamps."""
        if any(fault[0] == "never" for fault in self.faults):
            return _NEVER
        while True:
            first, self._n_packets = PACKET * self._n_packets, self._n_packets + 1
            t_s = (first + np.arange(PACKET)) / self._true_hz
            sent_s = float(t_s[-1]) + DELAY_S
            if any(fault[0] == "ends" and sent_s >= fault[1] for fault in self.faults):
                return _NEVER
            if self._is_lost(sent_s):
                continue
            values = NOISE_UV[(first + np.arange(PACKET)) % len(NOISE_UV)].copy()
            stamps_s = self._start_s + t_s
            arrival_s = sent_s
            for fault in self.faults:
                if fault[0] == "bad" and fault[1] <= sent_s < fault[1] + fault[2]:
                    values[:] = _BAD[fault[3]]
                elif fault[0] == "jump" and sent_s >= fault[1]:
                    stamps_s = stamps_s + fault[2]
                elif fault[0] == "stall" and fault[1] <= sent_s < fault[1] + fault[2]:
                    arrival_s = max(arrival_s, fault[1] + fault[2])
            return self._start_s + arrival_s, values, stamps_s

    def _is_lost(self, sent_s: float) -> bool:
        waits = any(fault[0] == "waits" and sent_s < fault[1] for fault in self.faults)
        return waits or self._during("gap", sent_s) or self._during("gone", sent_s)
