"""Where received samples stand on their grid: what turns the record of a stream back into the very same chunks.

In: stamps in the order in which samples were received, and the chunks that a source made of them. Out: rows

    first_index, n_samples, first_received, blank_channel

A row with ``blank_channel`` -1 says: the received samples from ``first_received`` on, counted from 0, stand at the
``n_samples`` indices from ``first_index`` on. Indices in no row are missing, received samples in no row were dropped. A
row with a ``blank_channel`` says that this channel is not a number at these indices.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import Chunk, FloatArray
from neurofb.errors import WrongInput

PRESENT = -1


class SampleMap:
    """Follows received samples to their places.

    Parameters
    ----------
    n_channels : int
        EEG channels.
    """

    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        self._waiting: deque[FloatArray] = deque()
        self._at = 0
        self._n_received = 0
        self._rows: list[list[float]] = []
        self._stamps_s: list[float] = []
        self._open: dict[int, int] = {}

    def received(self, stamps_s: FloatArray) -> None:
        """Note samples that were received, by their stamps."""
        if len(stamps_s):
            self._waiting.append(stamps_s)

    def push(self, chunk: Chunk) -> None:
        """Note where a chunk's samples stand."""
        with np.errstate(over="ignore", invalid="ignore"):
            nothing_lacks = math.isfinite(chunk.received_s.sum() + chunk.samples.sum())
        if nothing_lacks:  # the usual case, in every step of feedback
            self._place(chunk, 0, len(chunk))
            return
        present = ~np.isnan(chunk.received_s)
        for first, last in _runs(present):
            self._place(chunk, first, last)
        blank = np.isnan(chunk.samples) & present[:, None]
        if blank.any():
            for channel in np.flatnonzero(blank.any(axis=0)).tolist():
                for first, last in _runs(blank[:, channel]):
                    self._row(chunk, first, last - first, 0, channel)

    def take(self) -> tuple[FloatArray, FloatArray]:
        """Return the rows since the last call, shape (n_rows, 4), and the corrected time of each row's first sample."""
        rows = np.array(self._rows, dtype=np.float64).reshape(-1, 4)
        stamps_s = np.array(self._stamps_s, dtype=np.float64)
        self._rows, self._stamps_s, self._open = [], [], {}
        return rows, stamps_s

    def _place(self, chunk: Chunk, first: int, last: int) -> None:
        """Find the samples ``first`` to ``last`` of a chunk among those received; others between were dropped."""
        while first < last:
            if not self._waiting:
                raise WrongInput(
                    f"the source gave {last - first} samples from index {chunk.first_index + first} on that it was "
                    "never seen to receive"
                )
            stamps_s = self._waiting[0][self._at :]
            n = min(len(stamps_s), last - first)
            same = stamps_s[:n] == chunk.received_s[first : first + n]
            alike = n if same.all() else int(same.argmin())
            if alike:
                self._row(chunk, first, alike, self._n_received, PRESENT)
                first += alike
                self._pass(alike)
            else:
                self._pass(1)

    def _pass(self, n: int) -> None:
        self._at += n
        self._n_received += n
        if self._at == len(self._waiting[0]):
            self._waiting.popleft()
            self._at = 0

    def _row(self, chunk: Chunk, at: int, n: int, received: int, channel: int) -> None:
        """Add a row, or let the one before grow if this goes on where it ends."""
        index = chunk.first_index + at
        number = self._open.get(channel)
        if number is not None:
            row = self._rows[number]
            joins = channel != PRESENT or row[2] + row[1] == received
            if row[0] + row[1] == index and joins:
                row[1] += n
                return
        self._open[channel] = len(self._rows)
        self._rows.append([index, n, received, channel])
        self._stamps_s.append(float(chunk.times_s[at]))


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last + 1 of each run of True."""
    if mask.all():
        return [(0, len(mask))] if len(mask) else []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
