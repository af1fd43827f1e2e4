"""Reads as much as can be understood of a protocol with mistakes in it, so that all other mistakes are found as well.

What is wrong is left out, again and again, until the rest can be understood. The rest is never run: it only serves to
find what is wrong with the heat and with the headset in the same reading.
"""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurofb.config import Place
from neurofb.protocol.design import Problems, Protocol, understood

_ROUNDS = 12


@dataclass(frozen=True)
class PartialProtocol:
    """What could be understood of a file.

    Attributes
    ----------
    protocol : Protocol
    rows : mapping of str to sequence of int
        For each array of tables, where its rows stand in the file.
    """

    protocol: Protocol
    rows: Mapping[str, Sequence[int]]

    def place_in_file(self, place: Place) -> Place:
        """Return the place in the file of a place in what is left of it."""
        if len(place) > 1 and isinstance(place[1], int) and place[0] in self.rows:
            return (place[0], self.rows[str(place[0])][place[1]], *place[2:])
        return place


def salvaged(text: str, found: Problems) -> PartialProtocol | None:
    """Return what can be understood of a file without what was found to be wrong; None if that is too little."""
    content = copy.deepcopy(tomllib.loads(text))
    content["neurofb"] = ">=0.0"
    content["study"] = {"id": "salvaged", "title": "salvaged", "status": "adapted"}
    content.pop("sources", None)
    tables = {name: list(value) for name, value in content.items() if isinstance(value, list)}
    for _ in range(_ROUNDS):
        for place in sorted((place for place, _ in found), key=_depth, reverse=True):
            _leave_out(content, place)
        protocol, found = understood(content, text)
        if protocol is not None:
            return PartialProtocol(
                protocol, {name: _kept(content.get(name), rows) for name, rows in tables.items()}
            )
        if not any(content.get(table) for table in ("phases", "features")):
            return None
    return None


def _kept(left: Any, rows: Sequence[Any]) -> list[int]:
    """Return which of the rows are left, by identity: two rows may be equal."""
    numbers = {id(row): i for i, row in enumerate(rows)}
    return [numbers[id(row)] for row in left] if isinstance(left, list) else []


def _depth(place: Place) -> tuple[int, tuple[tuple[int, str], ...]]:
    """Order places so that later rows are left out first: the others then keep their numbers."""
    return 0, tuple((part, "") if isinstance(part, int) else (0, part) for part in place)


def _leave_out(content: dict[str, Any], place: Place) -> None:
    """Leave out what stands at a place; where nothing stands, a key is missing, and its table is left out."""
    while place and place[0] not in ("neurofb", "study", "sources"):
        above: Any = content
        try:
            for part in place[:-1]:
                above = above[part]
            del above[place[-1]]
            return
        except (KeyError, IndexError, TypeError):
            place = place[:-1]
