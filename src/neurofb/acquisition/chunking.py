"""Chunks from received samples: packets screened, samples indexed, gaps filled with NaN.

In: samples in µV with their stamps, raw and corrected. Out: chunks in which every index stands once. Kept:
values that wait until their index is certain. Without LSL and without a clock, so that the same
object serves live streams and recorded stamps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neurofb.acquisition.packets import ARRIVAL, COUNT, RECEIVED, STAMP, PacketScreen, Rows
from neurofb.acquisition.sample_clock import Jitter
from neurofb.acquisition.sample_indexing import IndexedSamples, SampleIndexer
from neurofb.chunk import Chunk, FloatArray
from neurofb.devices import DeviceProfile
from neurofb.events import Event

NO_COUNT = float("nan")


@dataclass(frozen=True, slots=True)
class PacketFormat:
    """The packet format of a device, as its profile states it."""

    #: Samples that are lost together; 1 if unknown.
    packet_samples: int = 1
    #: What a lost packet leaves.
    lost: Literal["zeros", "gap"] = "gap"
    #: How the stamps scatter.
    jitter: Jitter = "auto"
    #: Where the counter column begins again, if there is one that does.
    counter_modulus: int | None = None

    @classmethod
    def of(cls, profile: DeviceProfile | None) -> PacketFormat:
        """Return the packet format of a device's profile."""
        if profile is None or profile.packets is None:
            return cls()
        return cls(packet_samples=profile.packets.samples, lost=profile.packets.lost)


class ChunkBuilder:
    """Builds chunks from received samples; what is lost is NaN and an event.

    Parameters
    ----------
    labels : tuple of str
    rate_hz : float
        Nominal rate.
    format : PacketFormat, optional
    """

    def __init__(self, labels: tuple[str, ...], rate_hz: float, format: PacketFormat | None = None) -> None:
        format = format or PacketFormat()
        self.labels = labels
        self.screen = PacketScreen(labels, format.packet_samples, format.lost)
        self.indexer = SampleIndexer(rate_hz, format.packet_samples, format.jitter, format.counter_modulus)
        self._waiting: list[Rows] = []

    def __repr__(self) -> str:
        return f"ChunkBuilder({self.labels!r}, rate_hz={self.indexer.clock.nominal_hz!r})"

    @property
    def n_held(self) -> int:
        """Number of received samples that are not yet in a chunk."""
        return self.screen.n_held + self.indexer.n_held

    def push(
        self,
        samples: FloatArray,
        stamps_s: FloatArray,
        received_s: FloatArray | None = None,
        arrivals_s: FloatArray | float = np.inf,
        counts: FloatArray | float = NO_COUNT,
    ) -> Chunk:
        """Add samples; return those whose index is certain.

        Parameters
        ----------
        samples : ndarray, shape (n_samples, n_channels)
            µV.
        stamps_s : ndarray, shape (n_samples,)
            Their stamps on this computer's clock.
        received_s : ndarray, shape (n_samples,), optional
            The stamps as they came, if they differ.
        arrivals_s : ndarray, shape (n_samples,), or float, optional
            When they came.
        counts : ndarray, shape (n_samples,), optional
            The device's own count of its samples.
        """
        if len(samples) == 1 and not self._waiting and counts is NO_COUNT:
            stamp_s = float(stamps_s[0])
            if self.screen.passes_one(samples, stamp_s):
                index = self.indexer.next_index
                time_s = self.indexer.enter_one(stamp_s)
                received_s = stamps_s if received_s is None else received_s
                if time_s is not None:
                    return Chunk(samples, index, received_s, np.array((time_s,)))
                times = np.array(((stamp_s, float(received_s[0]), _one(arrivals_s), np.nan),))
                return self._place(Rows(samples, times))
        times = np.empty((len(samples), 4))
        times[:, STAMP] = stamps_s
        times[:, RECEIVED] = stamps_s if received_s is None else received_s
        times[:, ARRIVAL] = arrivals_s
        times[:, COUNT] = counts
        return self._place(self.screen.push(Rows(samples, times)))

    def flush(self) -> Chunk:
        """Return the samples that wait, because no more will come."""
        n = len(self.labels)
        first = self._place(self.screen.push(Rows(np.empty((0, n)), np.empty((0, 4))), final=True))
        last = self._fill(self.indexer.flush())
        return Chunk(
            np.concatenate((first.samples, last.samples)),
            first.first_index,
            np.concatenate((first.received_s, last.received_s)),
            np.concatenate((first.times_s, last.times_s)),
        )

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, in order of time."""
        events = self.screen.pop_events() + self.indexer.pop_events()
        return sorted(events, key=lambda event: event.time_s) if len(events) > 1 else events

    def _place(self, rows: Rows) -> Chunk:
        times = rows.times
        counts = times[:, COUNT]
        indexed = self.indexer.push(
            times[:, STAMP], times[:, ARRIVAL], None if np.isnan(counts).all() else counts
        )
        n = len(indexed.present)
        if not self._waiting and n == len(rows.samples) and indexed.present.all():
            return Chunk(rows.samples, indexed.first_index, times[:, RECEIVED], indexed.times_s)
        if len(rows.samples):
            self._waiting.append(rows)
        return self._fill(indexed)

    def _fill(self, indexed: IndexedSamples) -> Chunk:
        """Return the placed samples, out of those that wait, with NaN between them."""
        n, n_present = len(indexed.present), int(indexed.present.sum())
        samples = np.full((n, len(self.labels)), np.nan)
        received_s = np.full(n, np.nan)
        if n_present:
            waiting = Rows(*(np.concatenate(parts) for parts in zip(*self._waiting, strict=True)))
            samples[indexed.present] = waiting.samples[:n_present]
            received_s[indexed.present] = waiting.times[:n_present, RECEIVED]
            rest = Rows(waiting.samples[n_present:], waiting.times[n_present:])
            self._waiting = [rest] if len(rest.samples) else []
        return Chunk(samples, indexed.first_index, received_s, indexed.times_s)


def _one(value: FloatArray | float) -> float:
    return float(value) if isinstance(value, float) else float(np.asarray(value).reshape(-1)[0])
