"""Spread of a source over the scalp.

In: unit vectors of electrodes and sources (``devices/electrodes.py``). Out: topographies. Nothing is kept.
"""

from __future__ import annotations

import numpy as np

from neurofb.chunk import FloatArray


def spread(sources: FloatArray, electrodes: FloatArray, width_rad: float) -> FloatArray:
    """Return how strongly each electrode sees each source: a Gaussian of the angle between them.

    Parameters
    ----------
    sources : ndarray, shape (n_sources, 3)
    electrodes : ndarray, shape (n_electrodes, 3)
        Unit vectors.
    width_rad : float
        Standard deviation of the Gaussian. A cortical patch blurs to a full width at half maximum of some 5
        to 10 cm on the scalp, so 0.25 to 0.5 rad on a head of 9 cm radius (assumed; no volume conductor is
        solved, so that the answer is known in closed form).

    Returns
    -------
    ndarray, shape (n_sources, n_electrodes)
        1 at the source, falling smoothly to 0.
    """
    angle = np.arccos(np.clip(sources @ electrodes.T, -1.0, 1.0))
    return np.asarray(np.exp(-0.5 * (angle / width_rad) ** 2), dtype=float)


def sunflower(n_points: int) -> FloatArray:
    """Return ``n_points`` spread evenly over the part that electrodes cover, shape (n_points, 3)."""
    index = np.arange(n_points) + 0.5
    up = 1.0 - 1.3 * index / n_points
    around = np.pi * (1.0 + np.sqrt(5.0)) * index
    level = np.sqrt(1.0 - up**2)
    return np.column_stack([level * np.sin(around), level * np.cos(around), up])


def mix_into(out: FloatArray, sources: FloatArray, topographies: FloatArray) -> None:
    """Add ``sources @ topographies`` to ``out``, with the same bits however the samples are cut into chunks.

    A BLAS product rounds differently for different numbers of rows, so it cannot be used here; one
    multiplication and one addition per source are as fast at these sizes, and start no threads.
    """
    scratch = np.empty_like(out)
    for source, topography in zip(sources.T, topographies, strict=True):
        np.multiply(source[:, None], topography, out=scratch)
        out += scratch
