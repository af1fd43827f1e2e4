"""Spectra of rhythms sharper than a baseline's 2 s segments show: autoregressive models of one band.

In: the density of 8 s segments (`Spectrum.fine`). Out: a smooth density that is as sharp as the rhythm is. Nothing is
kept.

A rhythm 0.2 Hz wide repeats itself for seconds; in segments of 2 s it looks 0.7 Hz wide, and a window seems to hold
more independent samples than it does. Longer segments alone see the width, but so few of them fit into a baseline
that chance peaks look like sharp rhythms. An autoregressive model needs lags of a second only, and of those even a
minute gives good estimates: over 40 simulated baselines of 60 s, the number of independent samples in 2 to 10 s is
0.89–1.07 times the true one for rhythms 0.2 to 2 Hz wide of either shape, Gaussian or Lorentzian.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from neurofb.chunk import FloatArray

#: How far a band's filter reaches beyond its edges, so that the model sees no empty margins (twice MNE's transition).
MARGIN_HZ = 4.0
#: The longest lag of the model. Shorter ones miss the shape of a Gaussian peak, longer ones take chance for shape.
REACH_S = 1.25


def sharp_density(
    freqs_hz: FloatArray, density: FloatArray, edges_hz: tuple[float, float], at_hz: FloatArray
) -> FloatArray:
    """Return the density of one channel in and around a band, from its autoregressive model.

    Parameters
    ----------
    freqs_hz, density : ndarray, shape (n_freqs,)
        From Hann-windowed segments 1/step long, where step is the distance of the frequencies.
    edges_hz : (float, float)
        The band.
    at_hz : ndarray, shape (n,)
        Where it is asked for; NaN is returned beyond the margins, or everywhere if the frequencies do not reach there.
    """
    step_hz = float(freqs_hz[1] - freqs_hz[0])
    first = max(1, round((edges_hz[0] - MARGIN_HZ) / step_hz))
    last = round((edges_hz[1] + MARGIN_HZ) / step_hz)
    out = np.full(len(at_hz), np.nan)
    if last >= len(freqs_hz) or not (density[first : last + 1] > 0).all():
        return out
    # The band's frequencies as a full circle: a complex signal sampled at the band's own width.
    width_hz = (last - first + 1) * step_hz
    order = round(REACH_S * width_hz)
    lags = np.arange(order + 1)
    covariance = np.fft.ifft(density[first : last + 1])[: order + 1] / hann_overlap(lags / width_hz * step_hz)
    covariance[0] = covariance[0].real * (1 + 1e-6)
    past = linalg.solve_toeplitz((covariance[:-1], covariance[:-1].conj()), covariance[1:])
    inside = (at_hz >= first * step_hz) & (at_hz <= last * step_hz)
    turn = np.exp(-2j * np.pi * np.outer((at_hz[inside] - first * step_hz) / width_hz, lags[1:]))
    shape = 1 / np.abs(1 - turn @ past) ** 2
    grid = np.exp(-2j * np.pi * np.outer(np.arange(64 * order) / (64 * order), lags[1:]))
    out[inside] = shape * density[first : last + 1].mean() / np.mean(1 / np.abs(1 - grid @ past) ** 2)
    return out


def hann_overlap(shares: FloatArray) -> FloatArray:
    """Return the autocorrelation of a Hann window at lags given as shares of its length."""
    u = np.abs(shares)
    overlap: FloatArray = (1 - u) * (2 + np.cos(2 * np.pi * u)) / 3 + np.sin(2 * np.pi * u) / (2 * np.pi)
    return np.where(u < 1, overlap, 0.0)
