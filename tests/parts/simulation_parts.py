"""Parts that the tests of the simulated headset share: all arrivals up to a time, and faults drawn from a seed."""

import numpy as np

from neurofb.simulation.faults import Disconnect, Stall


def arrivals_until(headset, time_s, step_s=0.05):
    """Yield all arrivals up to ``time_s``, advancing in steps so that few are held at a time."""
    now_s = headset.start_s
    while now_s < time_s:
        now_s = min(time_s, now_s + step_s)
        yield from headset.advance_to(now_s)


def random_faults(seed, duration_s, n_disconnects, n_stalls):
    """Draw disconnects of 3 to 10 s and stalls of 0.3 to 1.5 s, each in the first half of a slot of its own."""
    n_faults = n_disconnects + n_stalls
    slot_s = duration_s / n_faults
    assert slot_s >= 25.0, "a fault needs a slot of 25 s"
    rng = np.random.default_rng(seed)
    cut = rng.permutation([True] * n_disconnects + [False] * n_stalls)
    starts_s = (np.arange(n_faults) + rng.uniform(0.1, 0.5, n_faults)) * slot_s
    return tuple(
        Disconnect(float(start_s), float(rng.uniform(3.0, 10.0)))
        if is_disconnect
        else Stall(float(start_s), float(rng.uniform(0.3, 1.5)))
        for start_s, is_disconnect in zip(starts_s, cut, strict=True)
    )
