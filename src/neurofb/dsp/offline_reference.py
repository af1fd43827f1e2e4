"""Offline analysis of the same samples, the reference for a real-time filter."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import signal

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.wiener import zero_phase_taps


def offline_band(x: FloatArray, low_hz: float, high_hz: float, rate_hz: float) -> ComplexArray:
    """Return the analytic zero-phase band of each channel, as MNE's defaults would, shape of ``x``."""
    taps = zero_phase_taps(low_hz, high_hz, rate_hz)
    half = len(taps) // 2
    # Odd reflection at both ends, as MNE pads: the offset at an edge is no step.
    margin = min(half, len(x) - 1)
    padded = np.pad(x, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    banded = signal.fftconvolve(padded, taps[:, None], mode="same", axes=0)
    analytic: ComplexArray = np.asarray(signal.hilbert(banded, axis=0), dtype=np.complex128)
    return analytic[margin : margin + len(x)]


def offline_correlation(
    x: FloatArray,
    z: ComplexArray,
    bands: Mapping[str, tuple[float, float]],
    delays_s: FloatArray,
    rate_hz: float,
) -> FloatArray:
    """Correlate the envelopes of a causal filter's output with those of the offline bands, each band its delay late.

    Parameters
    ----------
    x : ndarray, shape (n_samples, n_channels)
        µV, NaN where missing.
    z : ndarray, complex, shape (n_samples, n_bands, n_channels)
        The causal filter's output.
    bands, delays_s, rate_hz
        As the filter has them.

    Returns
    -------
    ndarray, shape (n_bands, n_channels)
    """
    filled = np.where(np.isnan(x), np.nanmean(np.where(np.isnan(x).all(axis=0), 0.0, x), axis=0), x)
    correlations = np.empty((len(bands), x.shape[1]))
    # The offline band is itself unsure within half a second of the ends.
    margin = round(rate_hz / 2)
    for b, ((low, high), delay_s) in enumerate(zip(bands.values(), delays_s, strict=True)):
        truth = np.abs(offline_band(filled, low, high, rate_hz))
        late = round(delay_s * rate_hz)
        shifted = np.full_like(truth, np.nan)
        shifted[late + margin : len(x) - margin + late] = truth[margin : len(x) - margin][
            : len(x) - late - margin
        ]
        for c in range(x.shape[1]):
            correlations[b, c] = _correlation(np.abs(z[:, b, c]), shifted[:, c])
    return correlations


def _correlation(a: FloatArray, b: FloatArray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3 or np.ptp(a[both]) == 0:
        return float("nan")
    return float(np.corrcoef(a[both], b[both])[0, 1])
