"""Band power: the mean square of complex bands.

In: a band filter's output ``(n_samples, n_bands, n_channels)``. Out: mean power ``(n_samples, n_bands, n_channels)``
in µV², as late as the filter and, by half a window or one time constant, the averaging make it. Kept between chunks:
the running means.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.dsp.checks import complex_parts, count, positive, window_or_decay
from neurofb.errors import WrongInput


class BandPower:
    """Mean power of each band and channel, one value per sample.

    Power is half the squared magnitude of the analytic signal: the variance of the band-passed signal, as an
    integral of its spectral density over the band would give.

    Parameters
    ----------
    n_bands, n_channels : int
        Size of the filter's output.
    rate_hz : float
        Rate of the filter's output.
    window_s : float, optional
        Mean over exactly this long a box.
    time_constant_s : float, optional
        Mean with exponential weights, 1/e after this long. Give one of the two.
    least_filled : float
        Share of the full weight that must have been usable for a value to be given.

    Notes
    -----
    While a channel's filter output is NaN its power is NaN; such samples enter no mean.
    """

    def __init__(
        self,
        n_bands: int,
        n_channels: int,
        rate_hz: float,
        *,
        window_s: float | None = None,
        time_constant_s: float | None = None,
        least_filled: float = 0.5,
    ) -> None:
        self._shape = (count(n_bands, "n_bands"), count(n_channels, "n_channels"))
        rate_hz = positive(rate_hz, "rate_hz")
        window_or_decay(window_s, time_constant_s)
        if positive(least_filled, "least_filled") > 1:
            raise WrongInput(f"least_filled is a share above 0 and at most 1, found {least_filled!r}")
        self._weight = np.zeros(self._shape)
        if window_s is not None:
            length = max(1, round(positive(window_s, "window_s") * rate_hz))
            self._ring = np.full((length, *self._shape), np.nan)
            self._sums, self._fresh = np.zeros((2, 2, *self._shape))
            self._at = 0
            self._least = least_filled * length
            self._decay = None
        else:
            assert time_constant_s is not None
            self._decay = math.exp(-1 / (positive(time_constant_s, "time_constant_s") * rate_hz))
            self._total = np.zeros(self._shape)
            self._least = least_filled / (1 - self._decay)

    def process(self, z: ArrayLike) -> FloatArray:
        """Process a chunk of complex bands; return the power after each sample, in µV²."""
        parts = complex_parts(z, *self._shape)
        out = np.empty(parts.shape[:3])
        if self._decay is None:
            self._at = _kernels.power_box(
                parts, self._least, self._ring, self._at, self._sums, self._fresh, self._weight, out
            )
        else:
            _kernels.power_exponential(parts, self._decay, self._least, self._total, self._weight, out)
        return out


def decibels(power: ArrayLike, reference: ArrayLike = 1.0) -> FloatArray:
    """Return 10·log₁₀(power / reference) in dB; NaN where one of them is 0, which has no logarithm.

    Parameters
    ----------
    power : array_like
        µV².
    reference : array_like
        µV², broadcast against ``power``: 1 µV², or a baseline.
    """
    power, reference = np.asarray(power, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    shape = np.broadcast_shapes(power.shape, reference.shape)
    ratio = np.divide(power, reference, out=np.full(shape, np.nan), where=reference > 0)
    levels: FloatArray = 10.0 * np.log10(ratio, out=np.full_like(ratio, np.nan), where=ratio > 0)
    return levels
