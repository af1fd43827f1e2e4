"""Where on the body a site's name is, for a drawing; nothing is guessed for a name that does not say it.

In: the name of a site, in English or German. Out: a ``BodyPlace``, or None where side or part are not clear.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Side = Literal["left", "right", "middle"]
Point = tuple[float, float]

#: Centre lines of the parts on the participant's left, from the body's middle outwards and from the crown down, as
#: fractions of the height, from the end near the trunk. The drawing's own proportions.
LINES: Mapping[str, tuple[Point, Point]] = {
    "upper arm": ((0.125, 0.205), (0.185, 0.355)),
    "forearm": ((0.185, 0.355), (0.245, 0.49)),
    "hand": ((0.25, 0.505), (0.275, 0.575)),
    "thigh": ((0.062, 0.54), (0.075, 0.735)),
    "calf": ((0.075, 0.745), (0.08, 0.925)),
    "shin": ((0.075, 0.745), (0.08, 0.925)),
    "foot": ((0.083, 0.935), (0.115, 0.975)),
    "shoulder": ((0.085, 0.18), (0.135, 0.195)),
    "neck": ((0.0, 0.135), (0.0, 0.165)),
    "back": ((0.0, 0.2), (0.0, 0.47)),
    "chest": ((0.0, 0.2), (0.0, 0.32)),
    "abdomen": ((0.0, 0.34), (0.0, 0.47)),
}
_PARTS: Mapping[str, str] = {
    "upper arm": r"\bupper arms?\b|\boberarm",
    "forearm": r"\bforearms?\b|\blower arm\b|\bunterarm",
    "hand": r"\bhand(?!gelenk)|\bpalm\b|\bthenar\b",
    "thigh": r"\bthigh\b|\bupper leg\b|\boberschenkel",
    "calf": r"\bcalf\b|\bwade\b",
    "shin": r"\bshin\b|\blower leg\b|\bunterschenkel|\bschienbein",
    "foot": r"\bfoot\b|\bfu(?:ß|ss)",
    "shoulder": r"\bshoulder\b|\bschulter",
    "neck": r"\bneck\b|\bnacken\b",
    "back": r"\bback\b(?! of)|\br(?:ü|ue)cken\b",
    "chest": r"\bchest\b|\bbrust\b",
    "abdomen": r"\babdomen\b|\bbelly\b|\bbauch\b",
}
_SIDES: Mapping[Side, str] = {
    "left": r"\bleft\b|\blink(?:s|e[rsnm]?)\b",
    "right": r"\bright\b|\brecht(?:s|e[rsnm]?)\b",
}
#: Parts that may have no side.
_MIDDLE = ("neck", "back", "chest", "abdomen")
#: Parts that are seen from behind.
_BEHIND = ("calf", "neck", "back")
_DORSAL = r"\bdorsal\b|\bback of\b|\bhandrücken\b|\bstreckseite\b"
#: Where along a part, from its end near the trunk: words, and the share of its length.
_ALONG: tuple[tuple[str, tuple[float, float]], ...] = (
    (r"\bnear the (?:elbow|knee|shoulder|hip)\b|\bproximal\b|\bupper(?! arm| leg)\b|\bober(?:e[rsnm]?|halb)\b"
     r"|\boben\b|\bell(?:en)?bogen", (0.1, 0.35)),
    (r"\bnear the (?:wrist|ankle)\b|\bdistal\b|\blower(?! arm| leg)\b|\bunter(?:e[rsnm]?|halb)\b|\bunten\b"
     r"|\bhandgelenk", (0.65, 0.9)),
    (r"\bmiddle\b|\bmid\b|\bmitte\b|\bmittig\b|\bmittlere[rsnm]?\b", (0.375, 0.625)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BodyPlace:
    """A place on the body: a stretch of the centre line of a part, seen from the front or from behind."""

    part: str
    #: The participant's.
    side: Side
    #: Where along the part, from the end near the trunk, 0–1; the whole where the name does not say it.
    along: tuple[float, float]
    is_behind: bool

    @property
    def ends(self) -> tuple[Point, Point]:
        """The ends of the stretch on the drawing: right of the middle, and below the crown, in heights of the body.

        From the front the participant's left is on the right of the drawing, from behind on the left.
        """
        (x0, y0), (x1, y1) = LINES[self.part]
        sign = 0.0 if self.side == "middle" else 1.0 if (self.side == "left") != self.is_behind else -1.0
        if self.part in _MIDDLE and self.side != "middle":
            x0, x1 = 0.045, 0.045
        first, last = ((sign * (x0 + share * (x1 - x0)), y0 + share * (y1 - y0)) for share in self.along)
        return first, last


def place_on_body(site: str) -> BodyPlace | None:
    """Return where a site is; None if its name does not say one part of the body and its side."""
    name = unicodedata.normalize("NFKC", site).casefold()
    parts = [part for part, words in _PARTS.items() if re.search(words, name)]
    sides = [side for side, words in _SIDES.items() if re.search(words, name)]
    if len(parts) != 1 or len(sides) > 1 or (not sides and parts[0] not in _MIDDLE):
        return None
    found = [along for words, along in _ALONG if re.search(words, name)]
    is_behind = parts[0] in _BEHIND or bool(re.search(_DORSAL, name))
    along = found[0] if len(found) == 1 else (0.0, 1.0)
    return BodyPlace(parts[0], sides[0] if sides else "middle", along, is_behind)
