"""Gaps in a recording, and a straight line across each, so that a filter finds no step there.

In: a recording. Out: its gaps, found in one pass, piece by piece. Nothing in a bridge was measured: every gap is
annotated as bad.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.recording.session_recording import SessionRecording

_PIECE_S = 60.0


@dataclass(frozen=True, eq=False)
class Gap:
    """Missing samples."""

    #: ``first`` to before ``end``.
    first: int
    end: int
    #: Columns in which samples are missing.
    channels: NDArray[np.int64]
    #: The samples beside it; where there is none, the one on the other side, and 0 where there is none at all.
    before_uv: FloatArray
    after_uv: FloatArray

    def bridge(self, samples: FloatArray, start: int) -> None:
        """Draw the line in ``samples``, shape (n_samples, n_channels), whose first one is sample ``start``."""
        low, high = max(self.first, start), min(self.end, start + len(samples))
        if low >= high:
            return
        share = (np.arange(low, high) - self.first + 1) / (self.end - self.first + 1)
        line = self.before_uv + share[:, None] * (self.after_uv - self.before_uv)
        samples[low - start : high - start, self.channels] = line


def find_gaps(recording: SessionRecording, rate_hz: float) -> list[Gap]:
    """Find all gaps of a recording, in order."""
    search = _GapFinder(len(recording.labels))
    step = max(1, round(_PIECE_S * rate_hz))
    for start in range(0, recording.n_samples, step):
        search.read(recording.eeg(start, min(start + step, recording.n_samples)), start)
    return search.done(recording.n_samples)


class _GapFinder:
    """Finds gaps in one pass; kept: the last sample of each channel, and gaps that are not over."""

    def __init__(self, n_channels: int) -> None:
        self._last = np.full(n_channels, np.nan)
        self._begun = np.full(n_channels, -1)
        self._found: dict[tuple[int, int], list[tuple[int, float, float]]] = {}

    def read(self, samples: FloatArray, start: int) -> None:
        missing = np.isnan(samples)
        if missing.any() or (self._begun >= 0).any():
            for channel in np.flatnonzero(missing.any(axis=0) | (self._begun >= 0)).tolist():
                self._channel(channel, samples[:, channel], missing[:, channel], start)
        whole = ~missing[-1]
        self._last[whole] = samples[-1, whole]

    def _channel(self, channel: int, x: FloatArray, missing: NDArray[np.bool_], start: int) -> None:
        edges = np.flatnonzero(
            np.diff(np.concatenate(([self._begun[channel] >= 0], missing)).astype(np.int8))
        )
        for at in edges.tolist():
            if missing[at]:
                self._begun[channel] = start + at
                if at:
                    self._last[channel] = x[at - 1]
            else:
                self._close(channel, start + at, float(x[at]))

    def _close(self, channel: int, end: int, after: float) -> None:
        key = int(self._begun[channel]), end
        self._found.setdefault(key, []).append((channel, float(self._last[channel]), after))
        self._begun[channel] = -1

    def done(self, n_samples: int) -> list[Gap]:
        """Close open gaps and return all."""
        for channel in np.flatnonzero(self._begun >= 0).tolist():
            self._close(channel, n_samples, float("nan"))
        gaps = []
        for (first, end), rows in sorted(self._found.items()):
            channels, before, after = (np.array(each) for each in zip(*rows, strict=True))
            left = np.where(np.isnan(before), after, before)
            right = np.where(np.isnan(after), before, after)
            gaps.append(Gap(first, end, channels, np.nan_to_num(left), np.nan_to_num(right)))
        return gaps
