"""Where electrodes are: on a drawing of the head, and in words for somebody who puts them on.

Places on the drawing are those of the 10-05 system seen from above (azimuthal equidistant: a tenth of the way from
nasion to inion is a fifth of the radius), computed from the names; 1.0 is the line around the head through nasion,
inion and the ears.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from neurofb.devices.electrodes import OLD_POSITIONS, is_position, standard_label

#: Rows from nasion to inion: radius of the midline place (front is positive), and angle of the place on the ring
#: through T7 and Oz, from the front, in degrees.
_ROWS: Mapping[str, tuple[float, float]] = {
    "N": (1.0, 0.0),
    "Fp": (0.8, 18.0),
    "AFp": (0.7, 27.0),
    "AF": (0.6, 36.0),
    "AFF": (0.5, 45.0),
    "F": (0.4, 54.0),
    "FFT": (0.3, 63.0),
    "FFC": (0.3, 63.0),
    "FT": (0.2, 72.0),
    "FC": (0.2, 72.0),
    "FTT": (0.1, 81.0),
    "FCC": (0.1, 81.0),
    "T": (0.0, 90.0),
    "C": (0.0, 90.0),
    "TTP": (-0.1, 99.0),
    "CCP": (-0.1, 99.0),
    "TP": (-0.2, 108.0),
    "CP": (-0.2, 108.0),
    "TPP": (-0.3, 117.0),
    "CPP": (-0.3, 117.0),
    "P": (-0.4, 126.0),
    "PPO": (-0.5, 135.0),
    "PO": (-0.6, 144.0),
    "POO": (-0.7, 153.0),
    "O": (-0.8, 162.0),
    "OI": (-0.9, 171.0),
    "I": (-1.0, 171.0),
}
_NAME = re.compile(r"([A-Z][A-Za-z]*?)(z|\d+h?)")
RING = 0.8


def _parts(label: str) -> tuple[str, float, str] | None:
    """Return row, how far from the midline (columns 1–10 as 1–5) and side of a place; None if it is none."""
    name = standard_label(label)
    name = OLD_POSITIONS.get(name, name)
    found = _NAME.fullmatch(name) if is_position(name) else None
    if found is None:
        return None
    row, column = found.groups()
    if column == "z":
        return row, 0.0, "middle"
    number = int(column.removesuffix("h"))
    steps = (number + 1) // 2 - (0.5 if column.endswith("h") else 0.0)
    return row, steps, "left" if number % 2 else "right"


def place_2d(label: str) -> tuple[float, float] | None:
    """Return the place of an electrode from above, x to the right and y to the front; None if its name is none."""
    parts = _parts(label)
    if parts is None:
        return None
    row, steps, side = parts
    sign = {"left": -1.0, "right": 1.0, "middle": 0.0}[side]
    if row in ("A", "M"):
        angle = math.radians(100.0 if row == "A" else 112.0)
        return (sign * 1.08 * math.sin(angle), 1.08 * math.cos(angle))
    middle, degrees = _ROWS[row]
    ring_x, ring_y = RING * math.sin(math.radians(degrees)), RING * math.cos(math.radians(degrees))
    # Fp1 and O1 stand on the ring itself; elsewhere columns 7 and 8 do.
    share = steps / 4.0 if row not in ("Fp", "O", "I", "N", "OI") else steps
    if share > 1.0:
        outer = min(share, 1.4)  # columns 9 and 10: a quarter outside the ring
        return (sign * ring_x * outer, ring_y * outer)
    return (sign * ring_x * share, middle + (ring_y - middle) * share**2)


def places_2d(labels: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Return the place of each channel; those whose name is no place stand in a row below the head."""
    places = {label: place_2d(label) for label in labels}
    elsewhere = [label for label, place in places.items() if place is None]
    for i, label in enumerate(elsewhere):
        share = (i + 0.5) / len(elsewhere)
        places[label] = (2.0 * share - 1.0, -1.3)
    return {label: place for label, place in places.items() if place is not None}


def place_key(label: str) -> str:
    """Return the key of the words for a place, as ``place.eyebrow_left`` for AF7."""
    parts = _parts(label)
    if parts is None:
        return "place.unknown"
    row, steps, side = parts
    if row in ("A", "M"):
        return f"place.{'earlobe' if row == 'A' else 'behind_ear'}_{side}"
    if row in ("N", "Fp", "AFp", "AF", "AFF"):
        return f"place.{'eyebrow' if steps >= 3 else 'forehead'}_{side}"
    if row in ("F", "FFT", "FT", "FFC") and steps >= 3.5:
        return f"place.temple_{side}"
    if row in ("F", "FFT", "FFC", "FT", "FC", "FTT", "FCC"):
        return f"place.front_{side}"
    if row in ("T", "TTP", "TP", "C", "CP", "CCP", "TPP", "P") and steps >= 3.5:
        return (
            f"place.{'behind_ear' if steps > 4 else 'ear'}_{side}"
            if row != "P" or steps > 4
            else f"place.back_{side}"
        )
    return f"place.{'back' if _ROWS[row][0] <= -0.3 else 'top'}_{side}"
