"""Where electrodes and sources lie on the head, and how far one is seen at the other.

In: 10-05 names. Out: unit vectors (x to the left, y to the front, z up) and topographies. Nothing is kept.

The sphere is the one of the 10-20 system as EEGLAB and BESA draw it: the ring Fpz-T7-Oz-T8 lies 92° from Cz,
midline rows are 23° apart, and each row is the circle through its left ring electrode, its midline electrode
and its right ring electrode (F3 comes out at 61° and 39° from the front; the BESA table says 60° and 39°).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import UnknownName, nearest

#: Rows from front to back in steps of 23°, halves being the 10-05 rows; T rows are the ends of C rows.
_ROWS = {
    "N": 5.0, "FP": 4.0, "AFP": 3.5, "AF": 3.0, "AFF": 2.5, "F": 2.0,
    "FFC": 1.5, "FFT": 1.5, "FC": 1.0, "FT": 1.0, "FCC": 0.5, "FTT": 0.5,
    "C": 0.0, "T": 0.0, "CCP": -0.5, "TTP": -0.5, "CP": -1.0, "TP": -1.0, "CPP": -1.5, "TPP": -1.5,
    "P": -2.0, "PPO": -2.5, "PO": -3.0, "POO": -3.5, "O": -4.0, "OI": -4.5, "I": -5.0,
}  # fmt: skip
#: Older names of the same places; ear lobes and mastoids are taken as the 10-10 electrode nearest to them.
_ALIASES = {
    "T3": "T7",
    "T4": "T8",
    "T5": "P7",
    "T6": "P8",
    "A1": "TP9",
    "A2": "TP10",
    "M1": "TP9",
    "M2": "TP10",
}
_NAME = re.compile(r"([A-Z]+)(Z|\d{1,2}H?)")
_STEP_RAD = np.deg2rad(23.0)


def position(name: str) -> FloatArray:
    """Return the place of a 10-05 electrode on the unit sphere, as (left, front, up).

    Parameters
    ----------
    name : str
        For example ``Fz``, ``AF7``, ``CPP5h``; upper and lower case are the same; ``T3`` … ``T6``, ``A1``,
        ``A2``, ``M1``, ``M2`` are understood.

    Returns
    -------
    ndarray, shape (3,)
    """
    asked = name.strip().upper()
    found = _NAME.fullmatch(_ALIASES.get(asked, asked))
    if found is None or found[1] not in _ROWS:
        examples = ["Fp1", "AF7", "F3", "Fz", "FC5", "C3", "Cz", "T7", "TP9", "P4", "Pz", "PO7", "Oz"]
        raise UnknownName(f"no 10-05 position {name!r}; for example {nearest(name, examples)}")
    row = _ROWS[found[1]]
    if found[2] == "Z":
        return _midline(row)
    number = int(found[2].rstrip("H"))
    odd = number if number % 2 else number - 1
    fraction = odd / 8 if found[2].endswith("H") else (odd + 1) / 8
    if abs(row) >= 4:  # these rows lie on the ring itself; their outermost electrodes are Fp1 and O1
        fraction = min(1.0, 4 * fraction)
    place = _along_row(row, fraction)
    return place if number % 2 else place * (-1.0, 1.0, 1.0)


def positions(names: Sequence[str]) -> FloatArray:
    """Return the places of several electrodes, shape (n_names, 3)."""
    return np.array([position(name) for name in names]).reshape(-1, 3)


def _midline(row: float) -> FloatArray:
    return np.array([0.0, np.sin(row * _STEP_RAD), np.cos(row * _STEP_RAD)])


def _ring(row: float, polar_rad: float) -> FloatArray:
    """Return the left end of a row: ring electrodes are 18° apart around the vertical axis, from the front."""
    azimuth_rad = np.deg2rad(18.0) * (5.0 - row)
    level = np.sin(polar_rad)
    return np.array([level * np.sin(azimuth_rad), level * np.cos(azimuth_rad), np.cos(polar_rad)])


def _along_row(row: float, fraction: float) -> FloatArray:
    """Return the point at ``fraction`` of the way from the midline (0) to the left ring (1), or beyond."""
    if fraction >= 1.0:  # columns 9 and 10 lie one step below the ring
        return _ring(row, (4.0 + 4.0 * (fraction - 1.0)) * _STEP_RAD)
    middle, left = _midline(row), _ring(row, 4.0 * _STEP_RAD)
    across = np.array([0.0, middle[1] - left[1], middle[2] - left[2]])
    depth, width = float(np.linalg.norm(across)), float(left[0])
    radius = (depth**2 + width**2) / (2 * depth)
    angle = fraction * np.arctan2(width, radius - depth)
    point = middle - across / depth * radius * (1 - np.cos(angle))
    point[0] = radius * np.sin(angle)
    return np.asarray(point / np.linalg.norm(point), dtype=float)


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
