"""Plain pylsl outlets for the tests, as other programs make them, and a loop that pulls until something holds."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pylsl

from neurofb.acquisition.live import LslSource
from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk
from neurofb.events import Event

BOUND_S = 30.0
MUSE = ("TP9", "AF7", "AF8", "TP10")


def unique(prefix: str) -> str:
    """Return a stream name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def outlet(
    name: str,
    labels: Sequence[str] = MUSE,
    unit: str = "microvolts",
    *,
    n_channels: int | None = None,
    rate_hz: float = 256.0,
    type_: str = "EEG",
    value_format: str = "float32",
    source_id: str | None = None,
) -> pylsl.StreamOutlet:
    """Make an outlet; without labels it has no description at all."""
    n = n_channels or len(labels)
    info = pylsl.StreamInfo(name, type_, n, rate_hz, value_format, source_id or f"id of {name}")
    if labels:
        channels = info.desc().append_child("channels")
        for label in labels:
            channel = channels.append_child("channel")
            channel.append_child_value("label", label)
            if unit:
                channel.append_child_value("unit", unit)
    return pylsl.StreamOutlet(info)


@dataclass
class Sender:
    """Sends numbered samples with the stamps of a device that started with the test."""

    out: pylsl.StreamOutlet
    rate_hz: float = 256.0
    scale: float = 20.0
    offset_s: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        # In the past: minutes are sent at once, and nothing can be stamped later than it arrives.
        self.start_s = pylsl.local_clock() - 40.0
        self.rng = np.random.default_rng(self.seed)
        self.sent: list[np.ndarray] = []

    def send(self, first: int, n: int, values: np.ndarray | None = None) -> None:
        """Send samples ``first`` … ``first + n - 1`` at once, each with its own stamp."""
        if values is None:
            values = self.rng.normal(0.0, self.scale, (n, self.out.channel_count))
        stamps_s = self.start_s + self.offset_s + np.arange(first, first + n) / self.rate_hz
        self.out.push_chunk(values.astype(np.float32), stamps_s.tolist())
        self.sent.append(values)


class Pulled:
    """Everything a source has returned so far."""

    def __init__(self, source: LslSource) -> None:
        self.source = source
        self.batches: list[Batch] = []
        self.chunks: list[Chunk] = []
        self.events: list[Event] = []

    def append(self, batch: Batch) -> None:
        """Keep a batch."""
        self.batches.append(batch)
        self.chunks.append(batch.chunk)
        self.events += batch.events

    @property
    def samples(self) -> np.ndarray:
        """All samples in one array."""
        return np.concatenate([chunk.samples for chunk in self.chunks])

    @property
    def kinds(self) -> list[str]:
        """The kinds of all events, in order."""
        return [event.kind for event in self.events]

    def event(self, kind: str) -> Event:
        """Return the first event of a kind."""
        return next(event for event in self.events if event.kind == kind)

    def until(self, holds: Callable[[], bool]) -> None:
        """Pull until ``holds()``; fail if it never does."""
        end_s = pylsl.local_clock() + BOUND_S
        while True:
            self.append(self.source.pull(0.05))
            if holds():
                return
            assert pylsl.local_clock() < end_s, f"never happened; events: {self.events}"

    def until_received(self, n: int) -> None:
        """Pull until ``n`` samples are received and indexed, then flush the rest."""
        builder = self.source.connection.builder
        self.until(lambda: builder.indexer.n_received + builder.n_held >= n)
        self.append(self.source.flush())
