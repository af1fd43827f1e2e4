"""Levels of unrelated channels that repeat themselves: each measure over many windows of Gaussian noise of their kind.

In: the weights of a window, and two autocorrelations. Out: the measures of unrelated windows, in order. Nothing is
kept, and the draws are always the same.

A number of independent samples tells the mean of squared coherence, and no more. How far a measure scatters beyond
that depends on what it is made of: the phases of a narrow band are less alike from sample to sample than the band is,
envelopes less still, and wPLI asks how many *signs* a window holds. So at one and the same number, 5 % of windows of
truly independent samples are above a level that a band's windows pass in 2.5 % (PLV), in 0.1–2 % (orthogonalised
amplitude correlation) or, in short windows, never (wPLI). What is drawn here has the band's own autocorrelation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy import fft

from neurofb.chunk import ComplexArray, FloatArray

#: Windows that are drawn: 5.0 % are above a 5 % level with a standard error of 0.2 %.
N_WINDOWS = 10_000
#: Drawn at a time, for the memory's sake.
AT_A_TIME = 1_000
#: Samples that are more alike than this are not drawn one by one.
ALIKE = 0.9
#: Lags from which on samples are never more alike than this are taken for 0.
UNLIKE = 0.01
#: What lies no further below 1 than single precision may move it reads 1.
END = 1e-4
SEED = 17


def simulated_measures(
    weights: FloatArray, first: ComplexArray, second: ComplexArray, near: int
) -> Mapping[str, FloatArray]:
    """Return each measure of `Synchrony` over windows of two unrelated channels, in ascending order.

    Parameters
    ----------
    weights : ndarray, shape (n_samples,)
        Of a window, newest first.
    first, second : ndarray, complex, shape (n_lags,)
        Autocorrelations of the two, lag 0 first, in samples.
    near : int
        Samples no further apart than this are left out of debiasing.
    """
    step = _step(first, second, len(weights))
    thinned = weights[::step]
    rng = np.random.default_rng(SEED)
    parts = []
    for _ in range(N_WINDOWS // AT_A_TIME):
        x, y = (_noise(each[::step], len(thinned), rng) for each in (first, second))
        parts.append(_measures(x, y, thinned, round(near / step)))
    return {name: np.sort(np.concatenate([part[name] for part in parts])) for name in parts[0]}


def _step(first: ComplexArray, second: ComplexArray, n_samples: int) -> int:
    n = min(len(first), len(second))
    unlike = np.flatnonzero(np.minimum(np.abs(first[:n]), np.abs(second[:n])) < ALIKE)
    alike = int(unlike[0]) - 1 if len(unlike) else n - 1
    return max(1, min(alike, n_samples // 16))


def _noise(autocorrelation: ComplexArray, n: int, rng: np.random.Generator) -> ComplexArray:
    """Return Gaussian noise of an autocorrelation, shape (`AT_A_TIME`, n): a piece of a circle that is longer."""
    lags = autocorrelation[: 1 + np.flatnonzero(np.abs(autocorrelation) > UNLIKE)[-1]]
    length = fft.next_fast_len(max(n + len(lags), 2 * len(lags)))
    circle = np.zeros(length, complex)
    circle[: len(lags)] = lags
    circle[length - len(lags) + 1 :] = lags[:0:-1].conj()
    power = np.maximum(np.fft.fft(circle).real, 0.0)
    # Single precision: at half the cost, and far below what the draws leave open.
    drawn = rng.standard_normal((AT_A_TIME, 2 * length), np.float32).view(np.complex64)
    noise = fft.ifft(drawn * np.sqrt(power).astype(np.float32), axis=1)
    return np.asarray(noise[:, :n])


def _measures(x: ComplexArray, y: ComplexArray, weights: FloatArray, near: int) -> dict[str, FloatArray]:
    share = (weights / weights.sum()).astype(np.float32)
    cross = x * y.conj()
    size_x, size_y, lagged = np.abs(x), np.abs(y), cross.imag
    power = np.sqrt((size_x**2 @ share) * (size_y**2 @ share))
    mean, unit = cross @ share, (cross / np.abs(cross)) @ share
    signed, whole = lagged * share, np.abs(lagged) * share
    debiased = signed.sum(axis=1) ** 2 - _near_products(signed, near)
    of = whole.sum(axis=1) ** 2 - _near_products(whole, near)
    orthogonal = np.abs(lagged)
    return {
        "coherence": np.abs(mean) / power,
        "imaginary_coherence": np.abs(mean.imag) / power,
        "plv": np.abs(unit),
        "ciplv": np.abs(unit.imag) / np.sqrt(1 - unit.real**2),
        "wpli": np.abs(signed.sum(axis=1)) / whole.sum(axis=1),
        "debiased_wpli2": np.divide(debiased, of, out=np.zeros_like(of), where=of > 1e-6),
        "aec_orth": (
            _correlation(size_x, orthogonal / size_x, share)
            + _correlation(size_y, orthogonal / size_y, share)
        )
        / 2,
    }


def _near_products(values: FloatArray, near: int) -> FloatArray:
    """Sum of the products of all samples no further apart than ``near``, over each row."""
    n = values.shape[1]
    sums = np.concatenate([np.zeros((len(values), 1), values.dtype), np.cumsum(values, axis=1)], axis=1)
    at = np.arange(n)
    around = sums[:, np.minimum(n, at + near + 1)] - sums[:, np.maximum(0, at - near)]
    products: FloatArray = (values * around).sum(axis=1)
    return products


def _correlation(a: FloatArray, b: FloatArray, share: FloatArray) -> FloatArray:
    mean_a, mean_b = a @ share, b @ share
    spread = np.sqrt((a**2 @ share - mean_a**2) * (b**2 @ share - mean_b**2))
    correlation: FloatArray = ((a * b) @ share - mean_a * mean_b) / spread
    return correlation


def level_of(ordered: FloatArray, quantile: float) -> float:
    """Return the level below which that share lies; NaN where as many lie at the very end, 1."""
    level = float(np.quantile(ordered, quantile))
    return math.nan if level >= 1 - END else level
