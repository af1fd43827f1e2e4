"""Loudness of a sound, and the limits for every sound of ours.

In: samples of full scale 1. Out: peak, largest jump from sample to sample, loudness as ITU-R BS.1770-5 weighs it.
All limits are of the digital signal: how loud that is at the ear is set once, at the headphones, with the sound that
``neurofb screen sound`` plays before a session.
"""

from __future__ import annotations

import math

import numpy as np

from neurofb.chunk import FloatArray

#: No sample is beyond this.
PEAK_LIMIT = 0.9
#: The loudest 400 ms of anything, in LUFS: far below what music is mixed to (−14), so that nothing can startle.
LOUDNESS_LIMIT_LUFS = -18.0
#: The most that two neighbouring samples may differ at 48,000 Hz; at another rate, in proportion to 1 / rate.
#: A gain that is switched instead of moved jumps by several times this. Recordings of speech may add as much again.
JUMP_LIMIT = 0.05
JUMP_RATE_HZ = 48_000.0
WINDOW_S, HOP_S = 0.4, 0.1
SILENT_LUFS = -120.0


def jump_limit(rate_hz: float) -> float:
    """Return the most that two neighbouring samples may differ at a rate."""
    return JUMP_LIMIT * JUMP_RATE_HZ / rate_hz


def largest_jump(x: FloatArray) -> float:
    """Return the largest difference of neighbouring samples."""
    return float(np.max(np.abs(np.diff(x)), initial=0.0))


def k_weighting(frequencies_hz: FloatArray, rate_hz: float) -> FloatArray:
    """Return the gain of the K-weighting at some frequencies.

    The two filters of ITU-R BS.1770-5 annex 1, a shelf of +4 dB for the head and a high-pass, redone for any rate
    from their analogue prototypes by the bilinear transform; at 48,000 Hz these are the coefficients printed there.
    """
    z = np.exp(-2j * np.pi * np.asarray(frequencies_hz) / rate_hz)
    k, q, gain = math.tan(math.pi * 1681.974450955533 / rate_hz), 0.7071752369554196, 3.999843853973347
    high = 10 ** (gain / 20)
    band = high**0.4996667741545416
    shelf = (
        (high + band * k / q + k * k) + 2 * (k * k - high) * z + (high - band * k / q + k * k) * z * z
    ) / ((1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z)
    k, q = math.tan(math.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    passed = (1 - 2 * z + z * z) * (1 + k / q + k * k)
    passed = passed / ((1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z)
    # The factor 1 + k/q + k² is the standard's: its high-pass has 1, −2, 1 for a numerator.
    return np.asarray(np.abs(shelf * passed), dtype=np.float64)


def loudness_lufs(x: FloatArray, rate_hz: float, *, circular: bool = False) -> float:
    """Return the loudness of the loudest 400 ms, in LUFS of one channel (BS.1770's momentary loudness).

    Parameters
    ----------
    x : ndarray, shape (n_samples,)
        Full scale is 1.
    rate_hz : float
    circular : bool
        Whether it is played round and round; else silence is before and after it.
    """
    if not len(x):
        return SILENT_LUFS
    n = len(x) if circular else len(x) + round(rate_hz * WINDOW_S)
    weights = k_weighting(np.fft.rfftfreq(n, 1 / rate_hz).astype(np.float64), rate_hz)
    # Without the filters' phase, which moves energy by less than 20 ms and makes none.
    weighted = np.fft.irfft(np.fft.rfft(x, n) * weights, n)
    window = min(n, round(rate_hz * WINDOW_S))
    squares = weighted**2
    if circular:
        squares = np.concatenate([squares, squares[:window]])
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    starts = np.arange(0, len(squares) - window + 1, max(1, round(rate_hz * HOP_S)))
    power = float(np.max(sums[starts + window] - sums[starts])) / window
    return max(SILENT_LUFS, -0.691 + 10 * math.log10(max(power, 1e-15)))


def scaled_to(
    x: FloatArray, rate_hz: float, *, lufs: float, peak: float, jump: float, circular: bool = False
) -> FloatArray:
    """Return ``x`` as loud as ``lufs``, or as far as peak and jump allow."""
    jump_now = largest_jump(np.append(x, x[0]) if circular else x)
    factors = [10 ** ((lufs - loudness_lufs(x, rate_hz, circular=circular)) / 20)]
    factors += [peak / max(float(np.max(np.abs(x))), 1e-12), jump / max(jump_now, 1e-12)]
    return x * min(factors)
