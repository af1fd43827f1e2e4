"""Every kernel once more in plain NumPy: slow, obvious, and written from the formulas.

Windows are cut out and summed anew for every value; nothing is recursive, so nothing can drift or forget.
"""

from __future__ import annotations

import numpy as np


def band_filter(x, taps, reach, width):
    """Complex FIR of each band: taps (n_bands, n_channels, n_taps) on the mean of ``width`` samples.

    ``reach`` is how many samples back each band looks: NaN while one of them is missing.
    """
    n_bands, n_channels, n_taps = taps.shape
    z = np.empty((len(x), n_bands, n_channels), complex)
    for c in range(n_channels):
        averaged = np.convolve(np.where(np.isnan(x[:, c]), 0, x[:, c]), np.ones(width) / width)[: len(x)]
        for b in range(n_bands):
            spread = np.zeros(n_taps * width, complex)
            spread[::width] = taps[b, c]
            z[:, b, c] = np.convolve(averaged, spread)[: len(x)]
        for b in range(n_bands):
            missing = np.concatenate([np.ones(reach[b], bool), np.isnan(x[:, c])])
            for n in range(len(x)):
                if missing[n + 1 : n + 1 + reach[b]].any():
                    z[n, b, c] = np.nan
    return z


def power_box(z, window, least):
    p = np.abs(z) ** 2 / 2
    out = np.full(p.shape, np.nan)
    for n in range(len(p)):
        part = p[max(0, n - window + 1) : n + 1]
        there = ~np.isnan(part)
        enough = (there.sum(axis=0) >= least) & there[-1]
        out[n] = np.where(
            enough, np.where(there, part, 0).sum(axis=0) / np.maximum(there.sum(axis=0), 1), np.nan
        )
    return out


def power_exponential(z, decay, least):
    p = np.abs(z) ** 2 / 2
    out = np.full(p.shape, np.nan)
    for n in range(len(p)):
        weights = decay ** np.arange(n, -1, -1.0)[:, None, None] * ~np.isnan(p[: n + 1])
        total = (weights * np.nan_to_num(p[: n + 1])).sum(axis=0)
        enough = (weights.sum(axis=0) >= least) & ~np.isnan(p[n])
        out[n] = np.where(enough, total / np.maximum(weights.sum(axis=0), 1e-300), np.nan)
    return out


def synchrony(x, y, weights, near):
    """All measures of two complex signals with a weight for each sample; absent samples have weight 0."""
    w = np.where(np.isnan(x) | np.isnan(y), 0.0, weights)
    x, y = np.where(w > 0, x, 0), np.where(w > 0, y, 0)
    s = x * np.conj(y)
    v = s.imag
    mean = lambda q: np.sum(w * q) / np.sum(w)  # noqa: E731
    unit = np.divide(s, np.abs(s), out=np.zeros_like(s), where=np.abs(s) > 0)
    coherency = mean(s) / np.sqrt(mean(np.abs(x) ** 2) * mean(np.abs(y) ** 2))
    u = mean(unit)
    n = np.arange(len(x))
    far = np.abs(n[:, None] - n[None, :]) > near
    wv, wa = w * v, w * np.abs(v)
    return {
        "coherence": np.abs(coherency),
        "imaginary_coherence": coherency.imag,
        "plv": np.abs(u),
        "ciplv": np.abs(u.imag) / np.sqrt(1 - u.real**2),
        "wpli": np.abs(mean(v)) / mean(np.abs(v)),
        "debiased_wpli2": (wv @ far @ wv) / (wa @ far @ wa),
        "aec_orth": (orthogonal_correlation(x, y, w) + orthogonal_correlation(y, x, w)) / 2,
    }


def orthogonal_correlation(x, y, w):
    """Correlation of |x| with |Im(y conj(x)/|x|)|, weighted."""
    size = np.abs(x)
    other = np.divide(np.abs((y * np.conj(x)).imag), size, out=np.zeros_like(size), where=size > 0)
    mean = lambda q: np.sum(w * q) / np.sum(w)  # noqa: E731
    a, o = size - mean(size), other - mean(other)
    return mean(a * o) / np.sqrt(mean(a**2) * mean(o**2))


def laplacian(x, positions, n_neighbours):
    out = np.empty_like(x)
    for c, place in enumerate(positions):
        distance = np.linalg.norm(positions - place, axis=1)
        near = [i for i in np.argsort(distance, kind="stable") if i != c][:n_neighbours]
        weights = 1 / distance[near]
        out[:, c] = x[:, c] - x[:, near] @ (weights / weights.sum())
    return out
