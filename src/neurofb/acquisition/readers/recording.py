"""A recording of any file format: µV on a regular grid, NaN where samples are missing, read piece by piece.

In: what a reader found in a file, and where its samples lie in time. Out: samples of any range. Nothing is kept: a file
of gigabytes takes no more memory than the piece that is asked for.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput, WrongShape

#: All gaps of a recording together are played as this long, or as long as its samples, whichever is longer:
#: beyond that they are rather a clock that was set than pauses.
LONGEST_GAPS_S = 600.0
#: A break whose length the file does not say is played as a gap of this length, so that nothing joins over it.
UNKNOWN_BREAK_S = 1.0
#: How many samples are read at a time where all are wanted.
_PIECE_SAMPLES = 1 << 16


class StoredSamples(Protocol):
    """The samples that a file holds, by their number in it."""

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV, shape (n_samples, n_channels)."""
        ...


class Stretch(NamedTuple):
    """Successive samples without a gap between them."""

    #: Place of the first in the recording, its number in the file, and how many there are.
    at: int
    stored: int
    n_samples: int


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """Samples in an array, shape (n_samples, n_channels)."""

    samples_uv: FloatArray

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV."""
        return self.samples_uv[first:end]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The EEG of one recording."""

    #: Channel labels, spelled as the 10-05 system does where they name places; no two are the same.
    labels: tuple[str, ...]
    rate_hz: float
    stored: StoredSamples
    #: In order; what lies between them is missing.
    stretches: tuple[Stretch, ...]
    #: What a user should know: what was left out, assumed or found odd.
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.rate_hz > 0 and np.isfinite(self.rate_hz)):
            raise WrongInput(f"a recording needs a regular rate above 0 Hz, found {self.rate_hz}")
        if not self.stretches:
            raise WrongInput("a recording needs at least one sample, found none")

    @classmethod
    def of_array(
        cls, labels: Sequence[str], rate_hz: float, samples_uv: FloatArray, notes: Sequence[str] = ()
    ) -> Recording:
        """Return a recording of samples in µV, shape (n_samples, n_channels); rows of NaN are gaps."""
        if samples_uv.ndim != 2 or samples_uv.shape[1] != len(labels):
            raise WrongShape(
                f"a recording of {len(labels)} labels needs samples of shape (n_samples, "
                f"{len(labels)}), found {samples_uv.shape}"
            )
        runs = runs_of(np.logical_not(np.isnan(samples_uv).all(axis=1)))
        stretches = [Stretch(first, first, n) for first, n in runs]
        if stretches and sum(runs[-1]) < len(samples_uv):
            stretches.append(Stretch(len(samples_uv), len(samples_uv), 0))  # a gap at the end
        return cls(tuple(labels), rate_hz, InMemory(samples_uv), tuple(stretches), tuple(notes))

    @property
    def n_samples(self) -> int:
        """Number of samples, missing ones counted."""
        last = self.stretches[-1]
        return last.at + last.n_samples

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return self.n_samples / self.rate_hz

    @property
    def samples_uv(self) -> FloatArray:
        """All samples in µV, NaN where the file has a gap; shape (n_samples, n_channels)."""
        samples_uv = np.empty((self.n_samples, len(self.labels)))
        for first in range(0, self.n_samples, _PIECE_SAMPLES):
            samples_uv[first : first + _PIECE_SAMPLES] = self.read(
                first, min(first + _PIECE_SAMPLES, self.n_samples)
            )
        return samples_uv

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV, NaN where they are missing or no numbers."""
        samples_uv = np.full((end - first, len(self.labels)), np.nan)
        at = bisect_right(self.stretches, first, key=attrgetter("at")) - 1
        for stretch in self.stretches[max(at, 0) :]:
            if stretch.at >= end:
                break
            start, stop = max(first, stretch.at), min(end, stretch.at + stretch.n_samples)
            if start < stop:
                shift = stretch.stored - stretch.at
                samples_uv[start - first : stop - first] = self.stored.read(start + shift, stop + shift)
        samples_uv[~np.isfinite(samples_uv)] = np.nan
        return samples_uv

    def gaps(self) -> list[tuple[int, int]]:
        """Return the first sample and the length of each run that the file does not hold."""
        found, end = [], 0
        for stretch in self.stretches:
            if stretch.at > end:
                found.append((end, stretch.at - end))
            end = stretch.at + stretch.n_samples
        return found


def runs_of(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the first index and the length of each run of True."""
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return [(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


class Break(NamedTuple):
    """A place in a file before which samples are missing."""

    #: Number of the stored sample that comes after it.
    before: int
    n_missing: int
    #: Stored samples from ``before`` on that only fill the pause and are no data; they count as missing.
    n_filled: int = 0


def laid_out(n_stored: int, breaks: Sequence[Break], rate_hz: float, notes: list[str]) -> tuple[Stretch, ...]:
    """Return where stored samples lie in time, and note how many are missing.

    All gaps together are limited; the longest are cut first, so that short ones keep their exact length.
    """
    breaks = sorted(b for b in breaks if b.n_missing + b.n_filled > 0 and b.before + b.n_filled > 0)
    lengths = _limited(
        np.array([b.n_missing + b.n_filled for b in breaks], dtype=np.int64), n_stored, rate_hz, notes
    )
    stretches: list[Stretch] = []
    index = stored = 0
    for each, length in zip(breaks, lengths.tolist(), strict=True):
        n = max(min(each.before, n_stored) - stored, 0)
        if n:
            stretches.append(Stretch(index, stored, n))
        if each.before >= n_stored:
            stored = n_stored
            break  # nothing comes after it
        index, stored = index + n + length, max(stored + n, each.before + each.n_filled)
    if stored < n_stored:
        stretches.append(Stretch(index, stored, n_stored - stored))
    if len(breaks):
        n_gaps = sum(later.at > one.at + one.n_samples for one, later in itertools.pairwise(stretches))
        missing = sum(later.at - one.at - one.n_samples for one, later in itertools.pairwise(stretches))
        if n_gaps:
            notes.append(f"{missing} samples are missing in {n_gaps} gaps")
    return tuple(stretches)


def _limited(
    lengths: NDArray[np.int64], n_stored: int, rate_hz: float, notes: list[str]
) -> NDArray[np.int64]:
    """Return the lengths of gaps, cut to a common longest one if their sum is beyond the limit."""
    most, total = max(round(LONGEST_GAPS_S * rate_hz), n_stored), int(lengths.sum())
    if total <= most:
        return lengths
    ordered = np.sort(lengths)
    before = np.concatenate(([0], np.cumsum(ordered)[:-1]))
    fits = before + ordered * np.arange(len(ordered), 0, -1) > most
    first_cut = int(fits.argmax())
    cap = max((most - int(before[first_cut])) // (len(ordered) - first_cut), 1)
    limited: NDArray[np.int64] = np.minimum(lengths, cap)
    notes.append(
        f"gaps of {total / rate_hz:.0f} s in all are played as {int(limited.sum()) / rate_hz:.0f} s, the longest "
        f"cut to {cap / rate_hz:g} s: so much is rather a clock that was set; times after them are no longer the file's"
    )
    return limited
