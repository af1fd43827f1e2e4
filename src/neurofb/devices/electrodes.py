"""Names of places on the head: the 10-05 system, its old names, and the ways files spell them."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Front to back, the rows between the rows included; each has a midline, odd places left and even ones right.
_ROWS = "Fp|AFp|AF|AFF|F|FFT|FFC|FT|FC|FTT|FCC|T|C|TTP|CCP|TP|CP|TPP|CPP|P|PPO|PO|POO|O|OI|I"
_PLACE = rf"({_ROWS})(z|(?:10|[1-9])h?)|(N)(z|1|2)|([AM])([12])"
_POSITION = re.compile(_PLACE)
_LIKE_POSITION = re.compile(_PLACE, re.IGNORECASE)
_ROW_SPELLINGS = {row.lower(): row for row in [*_ROWS.split("|"), "N", "A", "M"]}
_AROUND = re.compile(r"^(?:EEG[ _-]+)?(.*?)(?:[ _-]+(REF|LE|RE|AR|AVG|[AM][12]))?$", re.IGNORECASE)

#: Places that were renamed when the 10-20 system grew; old files and devices still say them.
OLD_POSITIONS = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}


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
    place = _LIKE_POSITION.fullmatch(found[1]) if found else None
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
