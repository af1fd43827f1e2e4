"""Electrodes of the 10-05 system: their names and how files spell them, their places on the head and on a drawing.

The head is the unit sphere of the 10-20 system as EEGLAB and BESA draw it: the ring Fpz-T7-Oz-T8 lies 92° from Cz,
midline rows are 23° apart, and each row is the circle through its left ring electrode, its midline electrode and its
right ring electrode (F3 comes out at 61° and 39° from the front; the BESA table says 60° and 39°). The drawing is this
sphere seen from above, azimuthal equidistant, so that nasion and inion lie on a circle of radius 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import UnknownName, nearest

#: Rows from front to back in steps of 23° along the midline, halves being the 10-05 rows; T rows are the ends of C
#: rows. Each has a midline, odd places left and even ones right.
ROWS: Mapping[str, float] = {
    "N": 5.0, "Fp": 4.0, "AFp": 3.5, "AF": 3.0, "AFF": 2.5, "F": 2.0,
    "FFC": 1.5, "FFT": 1.5, "FC": 1.0, "FT": 1.0, "FCC": 0.5, "FTT": 0.5,
    "C": 0.0, "T": 0.0, "CCP": -0.5, "TTP": -0.5, "CP": -1.0, "TP": -1.0, "CPP": -1.5, "TPP": -1.5,
    "P": -2.0, "PPO": -2.5, "PO": -3.0, "POO": -3.5, "O": -4.0, "OI": -4.5, "I": -5.0,
}  # fmt: skip
#: Places that were renamed when the 10-20 system grew; old files and devices still say them.
OLD_POSITIONS = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
#: Ear lobes and mastoids: on the sphere they are taken as the 10-10 electrode nearest to them.
_BESIDE = {"A1": "TP9", "A2": "TP10", "M1": "TP9", "M2": "TP10"}
#: On the drawing they lie outside of the circle, so many degrees from the front (assumed).
_BESIDE_DEG, _BESIDE_RADIUS = {"A": 100.0, "M": 112.0}, 1.08

_STEP_RAD = np.deg2rad(23.0)
#: The circle through nasion and inion, from Cz.
_NASION_RAD = math.radians(115.0)

_PLACE = rf"({'|'.join(row for row in ROWS if row != 'N')})(z|(?:10|[1-9])h?)|(N)(z|1|2)|([AM])([12])"
_POSITION = re.compile(_PLACE)
_ANY_CASE = re.compile(_PLACE, re.IGNORECASE)
_ROW_SPELLINGS = {row.lower(): row for row in [*ROWS, "A", "M"]}
_AROUND = re.compile(r"^(?:EEG[ _-]+)?(.*?)(?:[ _-]+(REF|LE|RE|AR|AVG|[AM][12]))?$", re.IGNORECASE)


class Place(NamedTuple):
    """A place of the 10-05 system: its row, how many columns from the midline (1–10 as 1–5), and its side."""

    row: str
    steps: float
    side: str


def is_position(name: str) -> bool:
    """Return whether ``name`` is spelled as a place of the 10-05 system: ``Fz``, ``AF7``, ``CCP3h``.

    T3, T4, T5 and T6 are the old names of T7, T8, P7 and P8 and are not.
    """
    return name not in OLD_POSITIONS and _POSITION.fullmatch(name) is not None


def standard_label(text: str) -> str:
    """Return a channel label as the 10-05 system spells it: ``Fc5.``, ``EEG FC5-REF``, ``FC5-A2`` are ``FC5``.

    Old names stay as they are (``T3``), for they are what the file calls its channel; a label that is no
    place on the head comes back unchanged but for blanks and dots around it.
    """
    bare = text.strip().strip(".").strip()
    found = _AROUND.match(bare)
    place = _ANY_CASE.fullmatch(found[1]) if found else None
    if place is None:
        return bare
    row, column = (part for part in place.groups() if part)
    if found and found[2] and row.upper() in "AM":
        return bare  # one ear against the other is no place
    return _ROW_SPELLINGS[row.lower()] + column.lower()


def standard_labels(texts: Sequence[str]) -> tuple[str, ...]:
    """Return all labels of a recording in standard spelling; where two would become one, both stay."""
    cleaned = [standard_label(text) for text in texts]
    return tuple(
        clean if cleaned.count(clean) == 1 else text for clean, text in zip(cleaned, texts, strict=True)
    )


def place_of(label: str) -> Place | None:
    """Return the place that a label names in any spelling, old names included; None if it names none."""
    name = standard_label(label)
    found = _POSITION.fullmatch(OLD_POSITIONS.get(name, name))
    if found is None:
        return None
    row, column = (part for part in found.groups() if part)
    if column == "z":
        return Place(row, 0.0, "middle")
    number = int(column.removesuffix("h"))
    steps = (number + 1) // 2 - (0.5 if column.endswith("h") else 0.0)
    return Place(row, steps, "left" if number % 2 else "right")


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
    label = standard_label(name)
    place = place_of(_BESIDE.get(label, label))
    if place is None:
        examples = ["Fp1", "AF7", "F3", "Fz", "FC5", "C3", "Cz", "T7", "TP9", "P4", "Pz", "PO7", "Oz"]
        raise UnknownName(f"no 10-05 position {name!r}; for example {nearest(name, examples)}")
    row = ROWS[place.row]
    if place.side == "middle":
        return _midline(row)
    fraction = place.steps / 4
    if abs(row) >= 4:  # these rows lie on rings; their outermost electrodes are N1, Fp1, O1, OI1 and I1
        fraction = min(1.0, 4 * fraction)
    if abs(row) > 4:  # on rings of their own, below the one of Fp1 and O1
        left = _ring(math.copysign(5.0 - fraction, row), abs(row) * _STEP_RAD)
    else:
        left = _along_row(row, fraction)
    return left if place.side == "left" else left * (-1.0, 1.0, 1.0)


def positions(names: Sequence[str]) -> FloatArray:
    """Return the places of several electrodes, shape (n_names, 3)."""
    return np.array([position(name) for name in names]).reshape(-1, 3)


def top_view(label: str) -> tuple[float, float] | None:
    """Return where an electrode is on the drawing, x to the right and y to the front; None if its name is no place."""
    place = place_of(label)
    if place is None:
        return None
    if place.row in _BESIDE_DEG:
        angle = math.radians(_BESIDE_DEG[place.row])
        x = _BESIDE_RADIUS * math.sin(angle)
        return (-x if place.side == "left" else x, _BESIDE_RADIUS * math.cos(angle))
    left, front, up = position(label).tolist()
    level = math.hypot(left, front)
    if level == 0.0:
        return (0.0, 0.0)
    radius = math.atan2(level, up) / _NASION_RAD
    return (round(-left / level * radius, 6), round(front / level * radius, 6))


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
