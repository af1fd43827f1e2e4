"""Parts that the tests of arithmetic share: noise, chunkings, and comparison to the last bit."""

import numpy as np
from hypothesis import strategies as st

CHUNKINGS = st.one_of(
    st.sampled_from([[1], [7], [25], [1000], [0, 5, 0, 0, 300]]),
    st.lists(st.integers(0, 300), min_size=1, max_size=20).filter(any),
)


def noise(n, n_channels, seed=0):
    return np.random.default_rng(seed).standard_normal((n, n_channels)) * 20


def same_bits(a, b):
    return a.shape == b.shape and np.array_equal(a.view(np.float64), b.view(np.float64), equal_nan=True)


def in_chunks(process, x, sizes):
    outputs, start, turn = [process(x[:0])], 0, 0
    while start < len(x):
        size = sizes[turn % len(sizes)]
        outputs.append(process(x[start : start + size]))
        start, turn = start + size, turn + 1
    outputs.append(process(x[:0]))
    return np.concatenate(outputs)
