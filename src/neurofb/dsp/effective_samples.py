"""The number of independent samples in a window, and the level of unrelated noise at that number.

A band-limited stream repeats itself: 1 s of an 8–12 Hz band at 250 Hz is not 250 samples but about seven. For two
independent Gaussian channels with known autocorrelation, the mean of squared coherence can be computed exactly. With
x = Σ √λₖ gₖ eₖ in the eigenvectors of the window's weighted covariance, and Mₖ the mean of channel power k over total,

    Mₖ = E[λₖ|gₖ|² / Σ λⱼ|gⱼ|²] = ∫₀^∞ λₖ / (1 + tλₖ) Πⱼ 1/(1 + tλⱼ) dt,     E[coh²] = Σ Mₖ²,

because coherence is the squared cosine between two independent random directions. Its inverse is the effective
number of independent samples N: E[coh²] = 1/N exactly, as it is for N truly independent samples.

Two channels with different autocorrelations (a clear rhythm in one) have a mean of tr(A B), where tr(A²) and tr(B²)
are the means for two channels of each kind. By Cauchy and Schwarz it is at most √(tr A² · tr B²): N = √(Nx Ny) is
cautious for such a pair and exact for a pair of one kind.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special, stats

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.null_level_table import LEVELS, QUANTILES, SAMPLES
from neurofb.errors import WrongInput

#: Samples whose lagged parts are correlated more than this are near: debiasing leaves such pairs out.
NEAR_CORRELATION = 0.1
#: From here on the first-order form of the effective number does.
MANY = 30.0
#: Up to so many samples wPLI's level is computed exactly.
MANY_SIGNS = 60
#: A window is looked at on this many points for each independent sample.
POINTS_PER_SAMPLE = 4


def default_autocorrelation(rate_hz: float) -> ComplexArray:
    """Return the autocorrelation of flat noise in a band 4 Hz wide between its edges (as 8–12 Hz, transitions 2 Hz).

    What is assumed where a filter does not say its own. Shape (n_lags,), 1 at lag 0.
    """
    lags_s = np.arange(max(2, round(2.0 * rate_hz))) / rate_hz
    # Two raised-cosine edges around a 4 Hz plateau: 6 Hz between the half-power points, nothing beyond 8.
    shape = (
        np.sinc(6 * lags_s)
        * np.cos(2 * np.pi * lags_s)
        / np.where(np.isclose(lags_s, 0.25), 1.0, 1 - (4 * lags_s) ** 2)
    )
    shape[np.isclose(lags_s, 0.25)] = np.sinc(1.5) * np.pi / 4
    return shape.astype(complex)


def near_samples(autocorrelation: ComplexArray) -> int:
    """Return the lag up to which the lagged cross-products of two of the channels still resemble each other.

    The product's autocorrelation is |rx||ry|; the last lag at which it exceeds `NEAR_CORRELATION` for any pair of
    the channels, shape (n_channels, n_lags), or for two of one kind, shape (1, n_lags).
    """
    highest = np.sort(np.abs(autocorrelation), axis=0)[-2:]
    return int(np.flatnonzero(highest[0] * highest[-1] > NEAR_CORRELATION)[-1])


@dataclass(frozen=True, eq=False)
class Independence:
    """Effective number of independent samples against the sum of the weights, for one band."""

    #: Sums of weights, ascending: a window being filled; shape (n_fills,).
    weights: FloatArray
    #: Effective number of independent samples at each; one row serves all pairs; shape (n_pairs or 1, n_fills).
    samples: FloatArray

    def at(self, weight: FloatArray) -> FloatArray:
        """Return the effective number of each pair at its sum of weights, shape (n_pairs,)."""
        if len(self.samples) == 1:
            shared: FloatArray = np.interp(weight, self.weights, self.samples[0])
            return shared
        rows = np.arange(len(self.samples))
        above = np.clip(np.searchsorted(self.weights, weight), 1, len(self.weights) - 1)
        low, high = self.weights[above - 1], self.weights[above]
        part = np.clip((weight - low) / (high - low), 0.0, 1.0)
        numbers: FloatArray = (1 - part) * self.samples[rows, above - 1] + part * self.samples[rows, above]
        return numbers

    def weight_for(self, samples: float) -> FloatArray:
        """Return each row's sum of weights at which that many samples are reached; infinite if never."""
        return np.array(
            [
                np.interp(samples, row, self.weights) if samples <= row[-1] else math.inf
                for row in self.samples
            ]
        )


def independence(
    weights: FloatArray, autocorrelation: ComplexArray, pairs: NDArray[np.int64], n_steps: int = 16
) -> Independence:
    """Tabulate the effective number while a window fills.

    Parameters
    ----------
    weights : ndarray
        Weight of each sample of the full window, newest first.
    autocorrelation : ndarray, complex, shape (n_channels or 1, n_lags)
        Of the channels, lag 0 first, in samples; one row serves all.
    pairs : ndarray, shape (n_pairs, 2)
        Channels of each pair.
    n_steps : int
        Number of fill levels looked at.
    """
    fills = np.unique(np.geomspace(1, len(weights), n_steps).round().astype(int))
    sums = np.concatenate([[0.0], np.cumsum(weights)[fills - 1]])
    numbers = np.zeros((len(autocorrelation), len(sums)))
    for row in range(len(autocorrelation)) if len(autocorrelation) == 1 else np.unique(pairs):
        own = [effective_samples(weights[:fill], autocorrelation[row]) for fill in fills]
        numbers[row, 1:] = np.maximum.accumulate(own)
    if len(numbers) > 1:
        numbers = np.sqrt(numbers[pairs[:, 0]] * numbers[pairs[:, 1]])
    return Independence(sums, numbers)


def effective_samples(weights: FloatArray, autocorrelation: ComplexArray) -> float:
    """Return the effective number of independent samples of one window (see the module's text).

    Above `MANY` the first-order form (Σw)² / Σᵢⱼ wᵢ wⱼ |r(i-j)|² is given, there within 1 % of the exact one.
    """
    n_lags = min(len(weights), len(autocorrelation))
    pairs = signal.correlate(weights, weights, method="fft")[len(weights) - 1 :][:n_lags]
    repeats = np.abs(autocorrelation[:n_lags]) ** 2
    first_order = float(weights.sum() ** 2 / (2 * pairs @ repeats - pairs[0] * repeats[0]))
    if first_order > MANY or n_lags == 1:
        return first_order
    n_points = min(len(weights), max(48, math.ceil(POINTS_PER_SAMPLE * first_order)))
    at = np.linspace(0, len(weights) - 1, n_points).round().astype(int)
    lags = np.abs(at[:, None] - at[None, :])
    padded = np.append(autocorrelation, 0.0)[np.minimum(lags, len(autocorrelation))]
    covariance = np.where(at[:, None] >= at[None, :], padded, padded.conj())
    scale = np.sqrt(weights[at])
    powers = np.linalg.eigvalsh(covariance * scale[:, None] * scale[None, :])
    powers = powers[powers > 1e-10 * powers[-1]]
    return float(1 / np.sum(_mean_shares(powers / powers.sum()) ** 2))


def _mean_shares(powers: FloatArray) -> FloatArray:
    """Mean share of each component in the total; the integral over t is taken over log t."""
    log_t = np.linspace(-14, 16, 601)
    t = np.exp(log_t)[:, None]
    damping = np.exp(log_t[:, None] - np.log1p(t * powers).sum(axis=1, keepdims=True))
    shares: FloatArray = np.trapezoid(powers / (1 + t * powers) * damping, log_t, axis=0)
    total: float = shares.sum()
    return np.asarray(shares / total)


def null_level(measure: str, samples: FloatArray, quantile: float = 0.95) -> FloatArray:
    """Return the level below which unrelated noise stays in ``quantile`` of the windows.

    Parameters
    ----------
    measure : str
        Name of a readout of `Synchrony`.
    samples : ndarray
        Effective number of independent samples N.
    quantile : float
        Share of windows under the level.

    Notes
    -----
    Exact for Gaussian channels: coherence, √(1 - (1-q)^(1/(N-1))); imaginary coherence (its magnitude), one coordinate
    of a random direction in 2N dimensions, whose square follows a beta distribution with ½ and N - ½; wPLI, whose
    lagged parts v are Laplace distributed, so that with k of N above 0 their share of Σ|v| follows a beta distribution
    with k and N - k. PLV, ciPLV, debiased wPLI² and orthogonalised amplitude correlation go by a table
    (`null_level_table`), and above 30 samples towards the normal limit. Between whole numbers of samples levels are
    interpolated; the table's quantiles lie between 0.5 and 0.999, and others take its ends.
    """
    n = np.maximum(np.asarray(samples, dtype=np.float64), 1.0 + 1e-9)
    if not 0 < quantile < 1:
        raise WrongInput(f"quantile lies between 0 and 1, found {quantile!r}")
    if measure == "coherence":
        return np.asarray(np.sqrt(1 - (1 - quantile) ** (1 / (n - 1))), dtype=np.float64)
    if measure == "imaginary_coherence":
        return np.asarray(np.sqrt(special.betaincinv(0.5, n - 0.5, quantile)), dtype=np.float64)
    two_sided = float(special.ndtri(0.5 + quantile / 2))
    # Power of N by which the level falls, and the level times that power for many samples.
    limits = {
        "plv": (0.5, math.sqrt(-math.log(1 - quantile))),
        "ciplv": (0.5, two_sided / math.sqrt(2)),
        "wpli": (0.5, two_sided * math.sqrt(2)),
        "debiased_wpli2": (1.0, 2 * (two_sided**2 - 1)),
        "aec_orth": (0.5, float(special.ndtri(quantile))),
    }
    if measure not in limits:
        known = ", ".join(("coherence", "imaginary_coherence", *limits))
        raise WrongInput(f"no null level is known for {measure!r}; there are: {known}")
    power, limit = limits[measure]
    samples_at, levels = _wpli_levels(quantile) if measure == "wpli" else _table_levels(measure, quantile)
    shares = np.append(0.0, 1 / samples_at[::-1])
    scaled = np.append(limit, (levels * samples_at**power)[::-1])
    return np.asarray(np.minimum(np.interp(1 / n, shares, scaled) / n**power, 1.0), dtype=np.float64)


def _table_levels(measure: str, quantile: float) -> tuple[FloatArray, FloatArray]:
    """Return the table's numbers of samples, and the levels at them; quantiles outside the table take its ends."""
    at = special.ndtri(QUANTILES)
    levels = [np.interp(special.ndtri(quantile), at, row) for row in LEVELS[measure]]
    return np.array(SAMPLES, dtype=np.float64), np.array(levels)


@functools.lru_cache(maxsize=32)
def _wpli_levels(quantile: float) -> tuple[FloatArray, FloatArray]:
    """Return numbers of samples up to `MANY_SIGNS`, and the exact level of wPLI at each, by bisection."""
    samples_at = np.arange(2, MANY_SIGNS + 1)
    levels = np.empty(len(samples_at))
    for i, n in enumerate(samples_at.tolist()):
        above = np.arange(1, n)
        weights = stats.binom.pmf(above, n, 0.5)
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            inside = special.betainc(above, n - above, (1 + middle) / 2) - special.betainc(
                above, n - above, (1 - middle) / 2
            )
            low, high = (middle, high) if weights @ inside < quantile else (low, middle)
        levels[i] = high
    return samples_at.astype(np.float64), levels
