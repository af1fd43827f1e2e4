"""A recording in memory, from any file format: µV on a regular grid, NaN where samples are missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput, WrongShape

#: A longer hole is no pause in a recording but a clock that was set: it is filled only this far.
LONGEST_GAP_S = 600.0


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """The EEG of one recording."""

    #: Channel labels, spelled as the 10-05 system does where they name places.
    labels: tuple[str, ...]
    rate_hz: float
    #: µV; NaN where the file has a gap; shape (n_samples, n_channels).
    samples_uv: FloatArray
    #: What a user should know: what was left out, assumed or found odd.
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.samples_uv.ndim != 2 or self.samples_uv.shape[1] != len(self.labels):
            raise WrongShape(
                f"a recording of {len(self.labels)} labels needs samples of shape (n_samples, "
                f"{len(self.labels)}), found {self.samples_uv.shape}"
            )
        if not self.rate_hz > 0:
            raise WrongInput(f"a recording needs a regular rate above 0 Hz, found {self.rate_hz}")
        if not len(self.samples_uv):
            raise WrongInput("a recording needs at least one sample, found none")

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        return len(self.samples_uv) / self.rate_hz

    def gaps(self) -> list[tuple[int, int]]:
        """Return the first sample and the length of each run in which every channel is missing."""
        missing = np.isnan(self.samples_uv).all(axis=1)
        edges = np.flatnonzero(np.diff(missing, prepend=False, append=False))
        return [(int(first), int(end - first)) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def with_gaps(pieces: Sequence[FloatArray], gaps: Sequence[int]) -> FloatArray:
    """Return ``pieces`` in one array, with ``gaps[i]`` rows of NaN after piece ``i``."""
    if len(gaps) != len(pieces) - 1:
        raise WrongShape(f"{len(pieces)} pieces have {len(pieces) - 1} gaps between them, found {len(gaps)}")
    n_channels = pieces[0].shape[1]
    rows: list[FloatArray] = [pieces[0]]
    for gap, piece in zip(gaps, pieces[1:], strict=True):
        rows += [np.full((gap, n_channels), np.nan), piece]
    return np.concatenate(rows).astype(np.float64, copy=False)


def limited_gap(n_missing: int, rate_hz: float, notes: list[str]) -> int:
    """Return how many missing samples to lay out, with a note if that is fewer than the file's clock says."""
    longest = round(LONGEST_GAP_S * rate_hz)
    if n_missing > longest:
        notes.append(
            f"a gap of {n_missing / rate_hz:.0f} s is played as {LONGEST_GAP_S:.0f} s: "
            "so long a hole is rather a clock that was set"
        )
    return min(n_missing, longest)
