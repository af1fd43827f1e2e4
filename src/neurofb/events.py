"""Events of a stream or a session: shown, sent as JSON and recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: NaN is null, NumPy scalars are numbers, dataclasses are mappings."""
    if value is None or isinstance(value, str | bool):
        return value
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a known time, logged once."""

    #: One word for what happened: ``gap``, ``stale``, ``lost``, ``resumed``, ``clock_jump`` ….
    kind: str
    #: On this computer's LSL clock, seconds.
    time_s: float
    #: In words, for a person.
    message: str
    #: The sample it concerns, counted as in ``Chunk.first_index``; None if it concerns no sample.
    index: int | None = None
    #: Sizes and causes, with units in their names.
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the event as one line of JSON with sorted keys."""
        line = {
            "kind": self.kind,
            "time_s": self.time_s,
            "index": self.index,
            "message": self.message,
            "details": self.details,
        }
        return json.dumps(plain(line), sort_keys=True, ensure_ascii=False)
