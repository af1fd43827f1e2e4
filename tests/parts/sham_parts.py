"""Pools of donors for tests: slow noise as the scores of a smoothed feature are."""

import numpy as np

from neurofb.blinding.donors import Donor, DonorPool, Need, Piece

TRAINING = "a" * 64
STEP_S = 1 / 16
NEEDS = [
    Need(session, phase, level, 30.0)
    for session in ("1", "2")
    for phase, level in (("rest", ""), ("heat", ""), ("heat", "hot"))
]


def slow_noise(seed, n=2000):
    """Noise of SD 1 with a memory of a second."""
    z = np.convolve(np.random.default_rng(seed).normal(size=n + 160), np.exp(-np.arange(161) / 16), "valid")
    return (z - z.mean()) / z.std()


def piece(phase, block, level, number, z=None, seed=0, n=2000):
    return Piece(phase, block, level, number, slow_noise(seed, n) if z is None else np.asarray(z, float))


def donor(code, z=None, n=2000):
    seed = sum(map(ord, code))
    pieces = (
        piece("rest", 0, "", 0, z, seed, n),
        piece("heat", 0, "", 0, z, seed + 1, n),
        piece("heat", 0, "hot", 0, z, seed + 2, n),
        piece("heat", 0, "hot", 1, z, seed + 3, n),
    )
    return Donor(code, {"1": pieces, "2": pieces})


def pool(donors=None, n=2000):
    return DonorPool(
        TRAINING, "theta", "up", STEP_S, tuple(donors or (donor(f"D{i}", n=n) for i in range(12)))
    )
