"""A smooth sample clock out of jittered time stamps.

In: time stamps of samples whose place in the stream (index) is known. Out: the time of any index, on a
clock that is continuous, always increasing and slow to change. Kept: one summary per block of samples.

The model is a line, time = offset + index x period, refitted after each block of half a second over the last
five minutes. The time of a sample depends only on the blocks before its own, so it is known at once and does
not depend on how the samples were chunked. What the line is drawn through depends on the jitter:

- ``late``: a radio or a driver can only delay a stamp, so the truth is the lower edge. The line is an
  asymmetric least-squares fit (an expectile near 0) of each block's earliest stamp; the mean would be late by
  the mean delay, tens of milliseconds with Bluetooth.
- ``symmetric``: the stamps scatter to both sides, so the truth is the middle: a robust (Huber) fit of each
  block's mean. The lower edge would be early by two or three standard deviations.
- ``auto``: decided from the skewness of the stamps, again after each block. A jitter that is spread evenly
  cannot be told from a late one by its stamps alone: there the middle is taken, unless ``late`` is asked for.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput

Jitter = Literal["auto", "late", "symmetric"]

BLOCK_S = 0.5
WINDOW_S = 300.0
#: What is believed of a sampling rate before it is measured: its relative deviation from nominal (quartz:
#: below 200 ppm). A deviation that is certain widens the belief, so wrong nominal rates are learned too.
RATE_PRIOR = 2e-4
#: Weight of what lies above the line against what lies below it, in the ``late`` fit.
LATE_WEIGHT = 0.01
#: How many standard errors make a deviation certain there, where few stamps bear the line.
LATE_SURE = 8.0
#: Skewness (0 symmetric, 1 all on one side) above which jitter counts as late, below which as symmetric; of
#: few blocks more is asked, three times their own scatter.
SKEW_LATE, SKEW_SYMMETRIC, SKEW_SCATTER = 0.15, 0.1, 0.3
#: The line has seen enough for its rate to be stated.
SETTLED_S = 10.0


#: Columns of the table of blocks; stamps are kept as deviations from the nominal clock, in seconds.
MEAN_AT, MEAN_S, LOW_AT, LOW_S, SKEW_S, RANGE_S, N = range(7)


class SampleClock:
    """The time of every sample of a stream, from jittered stamps.

    With 200 ppm drift and 20 ms jitter (late, or symmetric and different for each sample, or spread evenly over
    ±20 ms and shared by the samples of a packet) the time of any sample is within 2 ms (95 %) and 5 ms (all) of
    the truth from 30 s after the start. Normal jitter of 20 ms (SD) shared by packets of 47 ms leaves 640
    independent stamps in 30 s: there no line is better than 3 ms (95 %) and 5 ms (all).

    Parameters
    ----------
    rate_hz : float
        Nominal rate.
    jitter : {"auto", "late", "symmetric"}
        What the stamps' scatter looks like; see the module's text.
    """

    def __init__(self, rate_hz: float, jitter: Jitter = "auto") -> None:
        if not (math.isfinite(rate_hz) and rate_hz > 0):
            raise WrongInput(f"a sample clock needs a rate above 0 Hz, found {rate_hz}")
        self.nominal_hz = float(rate_hz)
        self.asked_jitter = jitter
        self.jitter: Literal["late", "symmetric"] = "late" if jitter == "late" else "symmetric"
        self.block_samples = max(8, round(BLOCK_S * rate_hz))
        self._window = round(WINDOW_S / BLOCK_S)
        # Twice the window, so that the newest rows stand together and are moved only once per window.
        self._rows = np.empty((2 * self._window, 7))
        self._n_rows = 0
        self._period_s = 1.0 / rate_hz
        self._zero_s = 0.0
        # The line in use: through (_from_index, _from_s) with _slope_s per sample.
        self._from_index = 0
        self._from_s = 0.0
        self._slope_s = self._period_s
        self._offset_s = 0.0
        self._deviation = self._believed = 0.0
        #: Twice the standard error of the newest times, and the scatter of the blocks about the line.
        self.error_s = math.inf
        self.scatter_s = 0.0
        #: Blocks since the start, or since the jitter was found to be of the other kind and the line moved.
        self.n_steady = 0

    def __repr__(self) -> str:
        return f"SampleClock(rate_hz={self.nominal_hz!r}, jitter={self.asked_jitter!r})"

    def start(self, time_s: float, deviation: float = 0.0) -> None:
        """Set the time of sample 0 and the relative deviation of the period: the best guess before any block."""
        self._zero_s = self._from_s = float(time_s)
        self._deviation = self._believed = deviation
        self._slope_s = self._period_s * (1.0 + deviation)

    @property
    def rate_hz(self) -> float:
        """The measured rate; nominal until measured."""
        return self.nominal_hz / (1.0 + self._deviation)

    @property
    def n_blocks(self) -> int:
        """Number of blocks in the fit."""
        return len(self._table)

    @property
    def settled(self) -> bool:
        """True once enough blocks were seen to state rate and error."""
        return self.n_blocks * self.block_samples >= SETTLED_S * self.nominal_hz

    def time_of(self, index: int) -> float:
        """Return the time of a sample of the present block, in seconds."""
        return self._from_s + (index - self._from_index) * self._slope_s

    def times_at(self, indices: FloatArray) -> FloatArray:
        """Return the times of any samples of the present block, in seconds."""
        return self._from_s + (indices - self._from_index) * self._slope_s

    def times_of(self, first_index: int, n: int) -> FloatArray:
        """Return the times of ``n`` samples of the present block, in seconds."""
        steps = np.arange(
            first_index - self._from_index, first_index - self._from_index + n, dtype=np.float64
        )
        steps *= self._slope_s
        steps += self._from_s
        return steps

    def add_block(self, indices: FloatArray, stamps_s: FloatArray) -> None:
        """Add a block's stamps and refit; the line bends at the block's end, never jumps.

        Parameters
        ----------
        indices, stamps_s : ndarray, shape (n_samples,)
            Place and stamp of the samples received; missing ones are left out.
        """
        if len(indices):
            if self._n_rows == len(self._rows):
                self._rows[: self._window] = self._rows[self._window :]
                self._n_rows = self._window
            self._summarise(indices, stamps_s, self._rows[self._n_rows])
            self._n_rows += 1
            self._choose_jitter()
            self._fit()

    def next_block(self, first_index: int) -> None:
        """Begin a block at ``first_index``, on the line from here to the fit's value at its end."""
        here_s = self.time_of(first_index)
        ahead = self.block_samples
        target_s = float(self._fitted_s(first_index + ahead))
        slope_s = (target_s - here_s) / ahead
        self._slope_s = min(max(slope_s, 0.5 * self._period_s), 2.0 * self._period_s)
        self._from_index, self._from_s = first_index, here_s

    def follow(self, jump_s: float) -> None:
        """Follow stamps that have moved by ``jump_s`` for good: the line reaches them within a block."""
        self._rows[: self._n_rows, MEAN_S] += jump_s
        self._rows[: self._n_rows, LOW_S] += jump_s
        self._offset_s += jump_s

    def _fitted_s(self, index: int) -> float:
        newest_at = self._rows[self._n_rows - 1, MEAN_AT] if self._n_rows else 0.0
        nominal_s = self._zero_s + index * self._period_s
        return nominal_s + self._offset_s + self._deviation * (index - newest_at) * self._period_s

    @property
    def _table(self) -> FloatArray:
        return self._rows[max(0, self._n_rows - self._window) : self._n_rows]

    def _summarise(self, indices: FloatArray, stamps_s: FloatArray, row: FloatArray) -> None:
        late_s = stamps_s - (self._zero_s + indices * self._period_s)
        lowest = late_s.argmin()
        row[MEAN_AT], row[MEAN_S] = indices.mean(), late_s.mean()
        row[LOW_AT], row[LOW_S] = indices[lowest], late_s[lowest]
        row[SKEW_S] = late_s.max() + row[LOW_S] - 2.0 * np.median(late_s)
        row[RANGE_S] = late_s.max() - row[LOW_S]
        row[N] = len(indices)

    def _choose_jitter(self) -> None:
        if self.asked_jitter != "auto":
            self.n_steady += 1
            return
        table = self._table
        range_s = float(table[:, RANGE_S].sum())
        skew = float(table[:, SKEW_S].sum()) / range_s if range_s > 0 else 0.0
        self.n_steady += 1
        if self.jitter == "symmetric" and skew > SKEW_LATE + 2.0 * SKEW_SCATTER / math.sqrt(len(table)):
            self.jitter, self.n_steady = "late", 0
        elif self.jitter == "late" and skew < SKEW_SYMMETRIC:
            self.jitter, self.n_steady = "symmetric", 0

    def _fit(self) -> None:
        """Refit offset (at the newest block) and rate deviation by reweighted, regularised least squares."""
        table = self._table
        columns = (LOW_AT, LOW_S) if self.jitter == "late" else (MEAN_AT, MEAN_S)
        at, y = table[:, columns[0]], table[:, columns[1]]
        newest_at = table[-1, MEAN_AT]
        x = (at - newest_at) * self._period_s
        y = y - self._believed * x
        weight = table[:, N] / self.block_samples
        offset, deviation = float(np.median(y)), self._deviation - self._believed
        scale, spread = 0.0, 0.0
        for _ in range(4):
            residual = y - offset - deviation * x
            scale = max(_scale(residual), 1e-6)
            w = weight * np.minimum(1.0, 1.5 * scale / np.maximum(np.abs(residual), 1e-12))
            offset, deviation, spread = _line(x, y, w, scale)
        if self.jitter == "late":
            # A lone stamp far below the middle is a fault, not an edge.
            weight = np.where(y - offset - deviation * x < -8.0 * scale, 0.0, weight)
            for _ in range(6):
                w = weight * np.where(y - offset - deviation * x > 0, LATE_WEIGHT, 1.0)
                offset, deviation, spread = _line(x, y, w, scale, sure=LATE_SURE)
        self._offset_s, self._deviation = offset, self._believed + deviation
        self.error_s, self.scatter_s = 2.0 * scale * spread, scale


def _scale(residual: FloatArray) -> float:
    """Return a robust standard deviation."""
    return 1.4826 * float(np.median(np.abs(residual - np.median(residual))))


def _line(
    x: FloatArray, y: FloatArray, w: FloatArray, scale: float, sure: float = 3.0
) -> tuple[float, float, float]:
    """Return offset at x = 0, slope, and the offset's standard error for unit noise; the slope's prior is 0.

    A slope of ``sure`` standard errors is certain.
    """
    sw, swx, swxx = float(w.sum()), float(w @ x), float(w @ (x * x))
    swy, swxy = float(w @ y), float(w @ (x * y))
    free = sw * swxx - swx * swx
    slope = (sw * swxy - swx * swy) / free if free > 0 else 0.0
    certain = free > 0 and abs(slope) > sure * scale * math.sqrt(sw / free)
    swxx += (scale / (max(RATE_PRIOR, abs(slope)) if certain else RATE_PRIOR)) ** 2
    determinant = sw * swxx - swx * swx
    slope = (sw * swxy - swx * swy) / determinant
    return (swy - slope * swx) / sw, slope, math.sqrt(swxx / determinant)
