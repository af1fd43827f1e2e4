"""Whether what was delivered followed the participant's own feature: a correlation, and what chance makes of it.

In: two series of one length and rate, NaN where nothing was delivered. Out: the largest correlation over lags, and the
band within which 95 of 100 pairs without any relation lie: the own series with random phases, which keep its spectrum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray

#: Feedback may be late, and a person may answer it: so far apart the two are compared.
LAGS_S = 10.0
N_SURROGATES = 200
#: A band that 95 of 100 unrelated pairs are within.
WITHIN = 95.0


@dataclass(frozen=True, slots=True)
class Contingency:
    """How much a delivered series went with the own one."""

    #: Largest absolute correlation over lags; NaN where one of them is constant.
    r: float
    #: What 95 % of pairs without relation stay below.
    band: float

    @property
    def is_within(self) -> bool:
        """Whether it is no more than chance makes it."""
        return bool(self.r <= self.band)


def contingency(delivered: FloatArray, own: FloatArray, step_s: float, seed: int = 0) -> Contingency:
    """Return the largest correlation of two series over lags of ±10 s, and its band.

    Parameters
    ----------
    delivered, own : ndarray, shape (n_values,)
        NaN in either: the value counts in neither.
    step_s : float
        From one value to the next.
    seed : int
        Of the random phases.
    """
    there = np.isfinite(delivered) & np.isfinite(own)
    x, y = _standard(delivered, there), _standard(own, there)
    if not (x.any() and y.any()):
        return Contingency(float("nan"), float("nan"))
    n_lags = min(len(x) - 1, round(LAGS_S / step_s))
    rng = np.random.default_rng(seed)
    n_fft = 1 << int(2 * len(x) - 1).bit_length()
    of_x = np.conj(np.fft.rfft(x, n_fft))
    found = _largest(of_x, y, n_lags, n_fft)
    spectrum = np.fft.rfft(y)
    chance = np.empty(N_SURROGATES)
    for i in range(N_SURROGATES):
        turned = spectrum * np.exp(2j * np.pi * rng.random(len(spectrum)))
        chance[i] = _largest(of_x, _standard(np.fft.irfft(turned, len(y)), there), n_lags, n_fft)
    return Contingency(found, float(np.percentile(chance, WITHIN)))


def _standard(series: FloatArray, there: np.ndarray) -> FloatArray:
    """Return a series of mean 0 and length 1, 0 where it does not count."""
    x = np.where(there, series, 0.0)
    x = np.where(there, x - x.sum() / max(1, there.sum()), 0.0)
    length = float(np.sqrt((x * x).sum()))
    return x / length if length > 0 else np.zeros(len(x))


def _largest(of_x: np.ndarray, y: FloatArray, n_lags: int, n_fft: int) -> float:
    r = np.fft.irfft(of_x * np.fft.rfft(y, n_fft), n_fft)
    return float(np.abs(np.concatenate([r[: n_lags + 1], r[len(r) - n_lags :]])).max())
