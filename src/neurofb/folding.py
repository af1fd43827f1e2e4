"""One name for one thing, however it is spelt: places on the skin, and participants' codes.

In: a name. Out: what it is compared by. Kept: the newest answers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from neurofb.format import INVISIBLE

#: Unicode's categories of what does not tell two names apart: spaces, hyphens, underscores, control and format letters
#: (zero width, direction, soft hyphen).
_LEFT_OUT = {"Zs", "Zl", "Zp", "Pd", "Pc", "Cc", "Cf"}


@lru_cache(maxsize=1024)  # the guard folds the place of the probe in each of its steps
def folded(name: str) -> str:
    """Return what a name is compared by: without case, width, spaces, hyphens, underscores and invisible letters."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    kept = "".join(
        letter
        for letter in text
        if unicodedata.category(letter) not in _LEFT_OUT
        and letter not in INVISIBLE
        and not 0xE0000 <= ord(letter) <= 0xE0FFF
    )
    return unicodedata.normalize("NFC", kept)


def first_twins(names: Iterable[str]) -> tuple[str, str] | None:
    """Return the first two names that are the same but for their spelling; None if all differ."""
    seen: dict[str, str] = {}
    for name in names:
        if folded(name) in seen:
            return seen[folded(name)], name
        seen[folded(name)] = name
    return None


def spelt_as(name: str, known: Iterable[str]) -> str | None:
    """Return the known spelling of a name that differs from it; None if there is none, or the name itself is known."""
    same = [each for each in known if folded(each) == folded(name)]
    return None if not same or name in same else same[0]
