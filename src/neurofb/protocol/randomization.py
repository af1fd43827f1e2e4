"""Random choices of a session: each has a generator of its own, so that one more does not change the others."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from neurofb.protocol.phases import TimeRange


def random_generator(seed: int, *names: str) -> np.random.Generator:
    """Return the generator of one random choice: the same for the same seed and names, whatever else is drawn."""
    key = tuple(zlib.crc32(name.encode()) for name in names)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def random_times_ns(span: TimeRange, n: int, rng: np.random.Generator) -> Iterator[int]:
    """Return ``n`` times in ns, drawn evenly from a span in steps of 1 ms."""
    for step in rng.integers(0, span.n_steps, size=n, endpoint=True).tolist():
        yield span.at_ns(step)
