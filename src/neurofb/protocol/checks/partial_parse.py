"""Parsing of the valid part of a protocol with mistakes, so that its other mistakes are found at once.

In: the parsed TOML and the problems found in it. Out: a `PartialProtocol` without the invalid keys, or None. It is
never run: it only serves to find what is wrong with the heat and with the headset.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurofb.config import Place
from neurofb.protocol.design import Problems, Protocol, validated

_ROUNDS = 12


@dataclass(frozen=True)
class PartialProtocol:
    """The valid part of a protocol file."""

    protocol: Protocol
    #: For each array of tables, where the rows that are left stand in the file.
    rows: Mapping[str, Sequence[int]]

    def place_in_file(self, place: Place) -> Place:
        """Return the place in the file of a place in the valid part."""
        if len(place) > 1 and isinstance(place[1], int) and place[0] in self.rows:
            return (place[0], self.rows[str(place[0])][place[1]], *place[2:])
        return place


def partial_parse(parsed: Mapping[str, Any], found: Problems) -> PartialProtocol | None:
    """Return the protocol without the keys that problems were found at; None if too little is left."""
    content = copy.deepcopy(dict(parsed))
    content["neurofb"] = ">=0.0"
    content["study"] = {"id": "partial", "title": "partial", "status": "adapted"}
    content.pop("sources", None)
    tables = {name: list(value) for name, value in content.items() if isinstance(value, list)}
    for _ in range(_ROUNDS):
        for place in sorted((place for place, _ in found), key=_depth, reverse=True):
            _leave_out(content, place)
        protocol, found = validated(content)
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
    """Remove the value at a place; where there is none, a key is missing, and its table is removed."""
    while place and place[0] not in ("neurofb", "study", "sources"):
        above: Any = content
        try:
            for part in place[:-1]:
                above = above[part]
            del above[place[-1]]
            return
        except (KeyError, IndexError, TypeError):
            place = place[:-1]
