"""Takes offset and line noise out of broadband signals.

The band filters need neither: their taps ignore an offset, and are designed around drift and line noise. These stages
are for what looks at the whole band: displays, quality marks, muscle and eye indices.

In and out: samples ``(n_samples, n_channels)`` in µV. A missing sample comes out as NaN; inside, the last value
stands for it, so that it leaves no trace. A channel's first sample is taken to have been there forever, so an offset
present from the start gives no transient at all; a step of the offset is forgotten within a second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.dsp.checks import count, positive, samples_2d
from neurofb.errors import WrongInput


class _Held:
    """The last value of each channel, to stand in for missing ones."""

    def __init__(self, n_channels: int) -> None:
        self.last = np.full(n_channels, np.nan)

    def fill(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return x with missing values held, and each channel's first value where it has only now begun (else NaN)."""
        missing = np.isnan(x)
        began = np.isnan(self.last)
        if missing.any() or began.any():
            known = np.concatenate([self.last[None], x])
            rows = np.where(np.isnan(known), 0, np.arange(len(known))[:, None])
            rows = np.maximum.accumulate(rows, axis=0)
            filled = np.take_along_axis(known, rows, axis=0)
            # Before its first sample a channel is taken to have stood where it begins.
            first = np.where(began, _first_values(x), np.nan)
            filled = np.where(np.isnan(filled), np.where(np.isnan(first), 0.0, first), filled)
            self.last = np.where(np.isnan(known[rows[-1], np.arange(x.shape[1])]), np.nan, filled[-1])
            return np.ascontiguousarray(filled[1:]), first
        if len(x):
            self.last = x[-1].copy()
        return x, np.full(x.shape[1], np.nan)


def _first_values(x: FloatArray) -> FloatArray:
    if not len(x):
        return np.full(x.shape[1], np.nan)
    rows = np.argmax(np.isfinite(x), axis=0)
    values: FloatArray = x[rows, np.arange(x.shape[1])]
    return values


class OffsetRemoval:
    """Subtracts from each sample a mean of the last second, with weights that rise and fall in a triangle.

    A finite filter: whatever the size of a step, it is gone after ``window_s``, and without a kink that would set
    later filters ringing. The gain is within sinc²(f·window_s/2) of 1: 2 % above 4 Hz for 1 s.

    Parameters
    ----------
    n_channels : int
        Number of channels.
    rate_hz : float
        Sampling rate.
    window_s : float
        Length of the triangle.
    """

    def __init__(self, n_channels: int, rate_hz: float, window_s: float = 1.0) -> None:
        self._n_channels = count(n_channels, "n_channels")
        # Two means of half the length, one of the other, make the triangle.
        length = max(1, round(positive(window_s, "window_s") * positive(rate_hz, "rate_hz") / 2))
        self._rings = np.zeros((2, length, self._n_channels))
        self._sums = np.zeros((2, 2, self._n_channels))
        self._at = 0
        self._held = _Held(self._n_channels)

    def process(self, samples: ArrayLike) -> FloatArray:
        """Return the samples without their offset."""
        x = samples_2d(samples, self._n_channels)
        filled, first = self._held.fill(x)
        for channel in np.flatnonzero(np.isfinite(first)):
            self._rings[:, :, channel] = first[channel]
            self._sums[:, 0, channel] = first[channel] * self._rings.shape[1]
            self._sums[:, 1, channel] = 0.0
        fast, slow = np.empty_like(x), np.empty_like(x)
        _kernels.subtract_moving_mean(filled, self._rings[0], self._sums[0], self._at, fast)
        mean = filled - fast
        self._at = _kernels.subtract_moving_mean(mean, self._rings[1], self._sums[1], self._at, slow)
        out: FloatArray = fast + slow
        out[np.isnan(x)] = np.nan
        return out


class LineNotch:
    """Takes 50 or 60 Hz and its harmonics out.

    Parameters
    ----------
    line_hz : float
        Frequency of the mains: 50 or 60.
    n_channels : int
        Number of channels.
    rate_hz : float
        Sampling rate; harmonics at or above half of it are left alone.
    width_hz : float
        Width of each notch at -3 dB. 4 Hz ring for 0.16 s to a thousandth; narrower ones ring longer.
    """

    def __init__(self, line_hz: float, n_channels: int, rate_hz: float, width_hz: float = 4.0) -> None:
        line_hz, rate_hz = positive(line_hz, "line_hz"), positive(rate_hz, "rate_hz")
        width_hz = positive(width_hz, "width_hz")
        self._n_channels = count(n_channels, "n_channels")
        self.notches_hz = tuple(np.arange(line_hz, rate_hz / 2 - width_hz / 2, line_hz).tolist())
        if not self.notches_hz:
            raise WrongInput(
                f"a notch at {line_hz:g} Hz, {width_hz:g} Hz wide, needs a rate above "
                f"{2 * line_hz + width_hz:g} Hz; found {rate_hz:g} Hz"
            )
        coefficients = [signal.iirnotch(f, f / width_hz, fs=rate_hz) for f in self.notches_hz]
        self._sos = np.ascontiguousarray([[*b, *a] for b, a in coefficients])
        self._steady = signal.sosfilt_zi(self._sos)
        self._state = np.zeros((len(self._sos), 2, self._n_channels))
        self._held = _Held(self._n_channels)

    def process(self, samples: ArrayLike) -> FloatArray:
        """Return the samples without line noise."""
        x = samples_2d(samples, self._n_channels)
        filled, first = self._held.fill(x)
        for channel in np.flatnonzero(np.isfinite(first)):
            self._state[:, :, channel] = self._steady * first[channel]
        out = np.empty_like(x)
        _kernels.sos_filter(filled, self._sos, self._state, out)
        out[np.isnan(x)] = np.nan
        return out
