"""Chunks from received samples: packets screened, samples indexed, gaps filled with NaN.

In: samples in µV with their stamps, raw and corrected. Out: chunks in which every index stands once. Kept:
values that wait until their index is certain. Without LSL and without a clock, so that the same
object serves live streams and recorded stamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from neurofb.acquisition.arrival_bound import ArrivalBound
from neurofb.acquisition.packets import ARRIVAL, COUNT, RECEIVED, STAMP, PacketScreen, Rows
from neurofb.acquisition.rate_check import RateCheck
from neurofb.acquisition.sample_clock import Jitter
from neurofb.acquisition.sample_indexing import IndexedSamples, SampleIndexer
from neurofb.chunk import Chunk, FloatArray
from neurofb.devices import DeviceProfile
from neurofb.events import Event

NO_COUNT = float("nan")
#: Kinds of events that a wrong rate makes many of; a sum of them is told so often.
_MADE_BY_RATE = ("gap", "clock_jump", "backwards", "rate")
UNTOLD_S = 10.0


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
        self.bound = ArrivalBound()
        self._format_packet = format.packet_samples
        self.rate_check = RateCheck(self.indexer.clock, self.bound)
        self._waiting: list[Rows] = []
        self._arrival_s = math.inf
        self._events: list[Event] = []
        self._n_untold, self._untold_since_s = 0, -math.inf

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
        arrivals_s = arrivals_s - self.bound.expected_shift_s  # as the grid counts time
        if len(samples):
            self._arrival_s = _last(arrivals_s) + self.bound.expected_shift_s
        if len(samples) == 1 and not self._waiting and counts is NO_COUNT:
            stamp_s = float(stamps_s[0])
            if self.screen.passes_one(samples, stamp_s):
                self._check_rate(stamps_s)
                index = self.indexer.next_index
                time_s = self.indexer.enter_one(stamp_s)
                received_s = stamps_s if received_s is None else received_s
                if time_s is not None:
                    return self._held_to_arrival(Chunk(samples, index, received_s, np.array((time_s,))))
                times = np.array(((stamp_s, float(received_s[0]), _last(arrivals_s), np.nan),))
                return self._held_to_arrival(self._place(Rows(samples, times)))
        times = np.empty((len(samples), 4))
        times[:, STAMP] = stamps_s
        times[:, RECEIVED] = stamps_s if received_s is None else received_s
        times[:, ARRIVAL] = arrivals_s
        times[:, COUNT] = counts
        rows = self.screen.push(Rows(samples, times))
        if len(rows.samples):
            arrivals_s = rows.times[:, ARRIVAL]
            for block in np.split(
                rows.times[:, STAMP], np.flatnonzero(arrivals_s[1:] != arrivals_s[:-1]) + 1
            ):
                self._check_rate(block)
        return self._held_to_arrival(self._place(rows))

    def flush(self) -> Chunk:
        """Return the samples that wait, because no more will come."""
        n = len(self.labels)
        first = self._place(self.screen.push(Rows(np.empty((0, n)), np.empty((0, 4))), final=True))
        return self._held_to_arrival(joined(first, self._fill(self.indexer.flush())))

    def time_by_arrival(self, packet_samples: int) -> None:
        """Expect stamps that are made of arrivals, of samples that are likely to be lost so many at once."""
        self.indexer.time_by_arrival(max(packet_samples, self._format_packet))
        self.rate_check.time_by_arrival()

    def restart(self) -> None:
        """Expect the samples of another sender next."""
        self.indexer.restart()
        self.rate_check.restart()

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, in order of time."""
        found = self.screen.pop_events() + self.indexer.pop_events()
        if self.rate_check.finding == "wrong" or self._n_untold:
            found = self._told_while_wrong(found)
        events = [replace(event, time_s=self.bound.local_s(event.time_s)) for event in found]
        events, self._events = events + self._events, []
        return sorted(events, key=lambda event: event.time_s) if len(events) > 1 else events

    def _told_while_wrong(self, found: list[Event]) -> list[Event]:
        """Leave out what a wrong rate makes of stamps, many times a second; one event says how much, now and then."""
        told, is_wrong = found, self.rate_check.finding == "wrong"
        if is_wrong:
            told = [event for event in found if event.kind not in _MADE_BY_RATE]
            self._n_untold += sum(event.details.get("n_samples", 0) for event in found if event.kind == "gap")
        if self._n_untold and (not is_wrong or self._arrival_s - self._untold_since_s > UNTOLD_S):
            n, self._n_untold, self._untold_since_s = self._n_untold, 0, self._arrival_s
            words = (
                f"{n} samples count as missing while the rate is wrong: the nominal rate would have had them"
            )
            told.append(self._gap_event(n, words))
        return told

    def _gap_event(self, n: int, words: str) -> Event:
        details = {"n_samples": n, "found_by": "the rate"}
        time_s = self._arrival_s - self.bound.shift_s
        return Event("gap", time_s, words, self.indexer.next_index, details)

    @property
    def unfit(self) -> str:
        """Why the samples must earn nothing; "" if they may."""
        if self.rate_check.finding == "unknown" and self.rate_check.is_other_sender:
            return "another sender has taken over, and its rate is being measured"
        if self.rate_check.finding != "wrong":
            return ""
        return (
            f"{self.rate_check.measured_hz:.1f} samples come a second, not the {self.indexer.clock.nominal_hz:g} that "
            "the stream or its profile says: every band would be another one. Set the rate in the program that sends"
        )

    def _check_rate(self, stamps_s: FloatArray) -> None:
        if not math.isfinite(self._arrival_s):
            return
        if not self.rate_check.add(stamps_s, self.indexer.gap_detector.likely_packet):
            return
        measured_hz, nominal_hz = self.rate_check.measured_hz, self.indexer.clock.nominal_hz
        again = f"samples come at {nominal_hz:g} Hz again"
        words = self.unfit or again
        details = {
            "rate_hz": measured_hz,
            "nominal_hz": nominal_hz,
            "wrong": self.rate_check.finding == "wrong",
        }
        self._events.append(Event("rate", self._arrival_s, words, self.indexer.next_index, details))

    def _held_to_arrival(self, chunk: Chunk) -> Chunk:
        missing = np.isnan(chunk.received_s) if self.bound.is_asleep else None
        self.bound.hold(chunk.times_s, self._arrival_s, missing)
        for move_s in self.bound.pop_moves():
            self._log_move(chunk, move_s)
        return chunk

    def _log_move(self, chunk: Chunk, move_s: float) -> None:
        where = (
            "ahead of this computer's clock" if move_s < 0 else "behind this computer's clock, all the time"
        )
        words = (
            f"the time stamps are {abs(move_s):.3f} s {where}; from sample {chunk.first_index} on they are moved by "
            "that, to the earliest arrival"
        )
        details = {"difference_s": -move_s, "timed_by": "sender"}
        self._events.append(Event("foreign_clock", self._arrival_s, words, chunk.first_index, details))

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


def joined(first: Chunk, last: Chunk) -> Chunk:
    """Return two chunks, one after the other, as one."""
    return Chunk(
        np.concatenate((first.samples, last.samples)),
        first.first_index,
        np.concatenate((first.received_s, last.received_s)),
        np.concatenate((first.times_s, last.times_s)),
    )


def _last(value: FloatArray | float) -> float:
    return float(value) if isinstance(value, float) else float(np.asarray(value).reshape(-1)[-1])
