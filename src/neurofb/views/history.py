"""The last minute of a few numbers, and the last seconds of EEG, each in a fixed amount of memory.

In: rows and samples as they come. Out: arrays to draw. Kept: the newest alone; old rows make room for new ones, so a
screen that draws too slowly misses frames, and nothing piles up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from neurofb.chunk import FloatArray


class RingBuffer:
    """The newest rows of a numeric stream."""

    def __init__(self, columns: Sequence[str], n_rows: int) -> None:
        self.columns = tuple(columns)
        self._values = np.full((n_rows, len(self.columns)), np.nan)
        self._times_s = np.full(n_rows, np.nan)
        self._n_seen = 0

    def add(self, times_s: FloatArray, values: FloatArray) -> None:
        """Add rows, shape (n, n_columns), and their times in seconds."""
        kept = min(len(times_s), len(self._times_s))
        if not kept:
            return
        self._n_seen += len(times_s)
        at = np.arange(self._n_seen - kept, self._n_seen) % len(self._times_s)
        self._values[at], self._times_s[at] = values[-kept:], times_s[-kept:]

    def rows(self) -> tuple[FloatArray, FloatArray]:
        """Return the times, shape (n,), and the values, shape (n, n_columns), oldest first; copies."""
        n = len(self._times_s)
        at = np.arange(max(0, self._n_seen - n), self._n_seen) % n
        return self._times_s[at], self._values[at]

    def newest(self) -> dict[str, float] | None:
        """Return the last row by column, and its time as ``time_s``; None before the first."""
        if not self._n_seen:
            return None
        at = (self._n_seen - 1) % len(self._times_s)
        row = dict(zip(self.columns, self._values[at].tolist(), strict=True))
        return {"time_s": float(self._times_s[at]), **row}


class PendingEeg:
    """EEG that was received and not drawn yet; the oldest is dropped and counted where more than a limit waits."""

    def __init__(self, n_samples: int) -> None:
        self._limit = n_samples
        self._blocks: deque[FloatArray] = deque()
        self._n = 0
        self.n_dropped = 0

    def add(self, samples_uv: FloatArray) -> None:
        """Add samples, shape (n_samples, n_channels), in µV."""
        self._blocks.append(samples_uv)
        self._n += len(samples_uv)
        while self._n > self._limit:
            oldest = self._blocks.popleft()
            self._n -= len(oldest)
            self.n_dropped += len(oldest)

    def pop(self, n_channels: int) -> tuple[FloatArray, int]:
        """Return the samples that wait, shape (n_samples, n_channels), and how many were dropped before them."""
        blocks, dropped = list(self._blocks), self.n_dropped
        self._blocks.clear()
        self._n, self.n_dropped = 0, 0
        return (np.concatenate(blocks) if blocks else np.empty((0, n_channels))), dropped


class SweepEnvelope:
    """EEG as columns of pixels: the least and the greatest value of each channel in each column.

    The screen sweeps: a column is written once, and stays until the sweep comes round again. So a frame costs as much
    as what is new in it, not as much as what is seen.

    ``span_s`` is the time from one edge of the screen to the other, ``n_columns`` its width in pixels.
    """

    def __init__(self, n_channels: int, rate_hz: float, span_s: float, n_columns: int) -> None:
        self.n_columns, self.span_s = max(16, n_columns), span_s
        self._per_column = rate_hz * span_s / self.n_columns
        self.least = np.full((self.n_columns, n_channels), np.nan)
        self.greatest = np.full((self.n_columns, n_channels), np.nan)
        self._level: FloatArray | None = None
        self._smoothing = 1.0 / max(1.0, rate_hz)  # of the level that is taken away: one second
        self._n_seen = 0
        self._last: FloatArray | None = None
        self.head = 0

    def add(self, samples_uv: FloatArray, n_dropped: int = 0) -> list[int]:
        """Add samples, shape (n, n_channels), after some that were dropped; return the columns that changed."""
        self._n_seen += n_dropped
        n = len(samples_uv)
        if not n:
            return []
        around = samples_uv - self._levels(samples_uv)
        columns = ((np.arange(self._n_seen, self._n_seen + n)) / self._per_column).astype(int)
        starts = np.flatnonzero(np.diff(columns, prepend=-1))
        self._n_seen += n
        low = np.fmin.reduceat(around, starts, axis=0)
        high = np.fmax.reduceat(around, starts, axis=0)
        changed: list[int] = []
        for i, column in enumerate(columns[starts].tolist()):
            changed += self._write(column, low[i], high[i])
        self._last = around[-1]
        return changed

    def _write(self, column: int, low: FloatArray, high: FloatArray) -> list[int]:
        """Write a column, and those between it and the one before, if samples are wider than pixels."""
        at = column % self.n_columns
        if column == self.head and not np.all(np.isnan(self.least[at])):
            self.least[at], self.greatest[at] = np.fmin(self.least[at], low), np.fmax(self.greatest[at], high)
            return [at]
        first = max(self.head + 1, column - self.n_columns + 1) if self.head else column
        between = [each % self.n_columns for each in range(first, column + 1)]
        self.least[between], self.greatest[between] = low, high
        self.head = column
        return between

    def _levels(self, samples_uv: FloatArray) -> FloatArray:
        """Return the slow mean of each channel, which is subtracted for display, so that it stays on its line."""
        present = np.where(np.isnan(samples_uv).all(axis=0), 0.0, 1.0)
        mean = np.nan_to_num(
            np.nansum(samples_uv, axis=0) / np.maximum(1, (~np.isnan(samples_uv)).sum(axis=0))
        )
        if self._level is None:
            self._level = mean
        weight = np.minimum(1.0, self._smoothing * len(samples_uv)) * present
        self._level = self._level + weight * (mean - self._level)
        return self._level
