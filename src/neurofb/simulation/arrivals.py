"""Records of packets: how they arrived, what the head gave, and exact counts of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.simulation.head import HeadSignal

Fate = Literal["zeros", "lost"]


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """One packet as received by the computer."""

    #: µV, with the converter's steps and rails, the DC level and the zeros of lost packets; shape (n_samples,
    #: n_channels).
    samples: FloatArray
    #: Which channels are zeros because their packet was lost; shape (n_channels,).
    zeroed: NDArray[np.bool_]
    #: Index of the first sample among all that were taken.
    first_index: int
    #: The time stamps that come with it; shape (n_samples,).
    stamps_s: FloatArray
    #: True times of the samples; shape (n_samples,).
    true_s: FloatArray
    arrival_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """One packet as the head sent it, delivered or not."""

    signal: HeadSignal
    #: True times of its samples; shape (n_samples,).
    true_s: FloatArray
    #: Which channels did not get through; shape (n_channels,).
    lost: NDArray[np.bool_]
    #: True if the link was up.
    connected: bool


@dataclass(frozen=True, slots=True)
class SentEntry:
    """A run of samples that did not get through.

    ``fate`` is ``lost`` or ``zeros``, ``cause`` is ``radio``, ``fault`` or ``disconnect``; ``channel`` is the
    column if only one was hit, else None; ``true_s`` is when the first was taken.
    """

    first_index: int
    n_samples: int
    fate: Fate
    cause: str
    true_s: float
    channel: int | None = None


class SentLog:
    """The exact counts: ``sent == delivered + zeroed + lost + in_flight``, in samples of all channels."""

    def __init__(self) -> None:
        self.sent = self.delivered = self.zeroed = self.lost = self.in_flight = 0
        self.entries: list[SentEntry] = []

    def add(self, entry: SentEntry) -> None:
        """Add a run of samples that did not get through, joined to the last one if it goes on from there."""
        last = self.entries[-1] if self.entries else None
        same = last is not None and (last.fate, last.cause, last.channel) == (
            entry.fate,
            entry.cause,
            entry.channel,
        )
        if last is not None and same and last.first_index + last.n_samples == entry.first_index:
            n_samples = last.n_samples + entry.n_samples
            entry = SentEntry(last.first_index, n_samples, last.fate, last.cause, last.true_s, last.channel)
            self.entries.pop()
        self.entries.append(entry)

    def __repr__(self) -> str:
        return (
            f"SentLog(sent={self.sent}, delivered={self.delivered}, zeroed={self.zeroed}, "
            f"lost={self.lost}, in_flight={self.in_flight})"
        )
