"""The kernels give the same bits everywhere: on every instruction set, checked or not, this year and next.

Inputs are small whole numbers over powers of two, so that they are the same on every machine. The digests were taken
once; the suite runs on kernels compiled for AVX-512, AVX2 and the baseline (each takes what the processor has) and
again on checked kernels, which are compiled for the baseline only. A change here is a change in what a participant
gets: a major version.
"""

import hashlib

import numpy as np
import pytest

from neurofb import _kernels
from neurofb.dsp.channel_pairs import Pairing


def exact(shape, seed):
    return np.random.Generator(np.random.PCG64(seed)).integers(-1000, 1000, shape) / 64.0


def digest(*arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def band_filter_output():
    n_channels, n_bands, n_taps, width = 11, 3, 60, 2
    out = np.empty((150, n_bands, n_channels, 2))
    _kernels.band_filter(
        exact((300, n_channels), 1), 0, 2, exact((n_bands, 2, n_taps * 2 * _kernels.LANES), 2).astype(np.float32),
        np.array([n_taps, n_taps - 7, 20]),
        np.zeros((width, n_channels)), np.full(n_channels, -1), np.zeros((700, 16)), n_taps * width,
        np.zeros((_kernels.OUTPUTS, n_channels), np.int64), np.zeros((_kernels.OUTPUTS, n_bands, 2, 16)), out,
    )  # fmt: skip
    return digest(out[80:])


def power_output():
    z = exact((200, 2, 5, 2), 3)
    exponential, box = np.empty((200, 2, 5)), np.empty((200, 2, 5))
    _kernels.power_exponential(z, 0.96875, 1.0, np.zeros((2, 5)), np.zeros((2, 5)), exponential)
    ring = np.full((30, 2, 5), np.nan)
    _kernels.power_box(z, 1.0, ring, 0, *np.zeros((2, 2, 2, 5)), np.zeros((2, 5)), box)
    return digest(exponential, box)


def synchrony_output(window):
    z, pairing = exact((120, 2, 11, 2), 4), Pairing.of("all", 11)
    near = np.array([7, 12])
    shape = (2, pairing.n_groups, _kernels.SUMS_PER_PAIR, _kernels.LANES)
    ring = np.zeros((200, 2, _kernels.FIELDS, pairing.n_columns))
    at = _kernels.store_columns(z, pairing.column_channel, ring, 0)
    sums, out, weights = np.zeros(shape), np.empty((7, 2, 55)), np.empty((2, 55))
    peak = np.zeros((2, pairing.n_groups, _kernels.LANES))
    groups = (pairing.group_seed, pairing.group_column)
    if window is None:
        decay = 0.96875
        powers = np.array([np.multiply.reduce(np.full(n + 1, decay)) for n in near])
        _kernels.synchrony_exponential(ring, at, 120, *groups, near, powers, decay, sums)
    else:
        fresh, ahead = np.zeros(shape), np.zeros((2, 2, pairing.n_groups, 2, _kernels.LANES))
        for start in range(0, 120, window):
            now = start + window
            _kernels.synchrony_box(ring, now, window, window, 0, *groups, near, sums, fresh, ahead, peak)
    _kernels.synchrony_read(sums, peak, pairing.pair_of, np.ones_like(peak), out, weights)
    return digest(sums, out, weights)


def projection_output():
    regions = np.empty((300, 3))
    _kernels.project(exact((300, 5), 6), exact((5, 3), 7), regions)
    return digest(regions)


def artifacts_output():
    hops, muscle, digests = exact((40, 8, 5), 8), exact((40, 5, 2), 9), []
    hops[20, 3, 1] = np.nan
    muscle[25, 2] = np.nan
    sums, smooth, found = np.zeros((2, 5)), np.zeros((16, 5)), np.full((3, 5), np.nan)
    limits = np.full((3, 5), 150.0)
    for i in range(40):
        is_over = _kernels.artifacts(hops[i], muscle[i], sums, smooth, i % 16, 0.25, limits, found)
        digests.append(np.append(np.nan_to_num(found, nan=-1.0).ravel(), is_over))
    return digest(*digests)


@pytest.mark.parametrize(
    "output, expected",
    [
        (band_filter_output, "2625fd8be7bed371"),
        (power_output, "effebe148d61685f"),
        (lambda: synchrony_output(None), "b293a0f8c7f7d3f9"),
        (lambda: synchrony_output(40), "fbd5643d13d3c909"),
        (projection_output, "a717ac9e34c02a19"),
        (artifacts_output, "e01d695359b58912"),
    ],
    ids=["bands", "power", "exponential synchrony", "box synchrony", "projection", "artifacts"],
)
def test_kernel_outputs_equal_recorded_digests(output, expected):
    assert output() == expected
