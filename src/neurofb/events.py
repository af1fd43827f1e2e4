"""Events of a stream or a session: shown, sent as JSON and recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

#: Kinds that nobody need be told, each with the reason. All others are told: at the terminal, on the operator's screen.
SILENT: Mapping[str, str] = {
    "state": "the picture shows it; a pause is told",
    "step": "the parts of a trial: picture and screens show them",
    "prompt": "the question is on the participant's screen, and its answer is told",
    "loop": "an instruction to the loop, for a computation of the session again",
    "calibrated": "told with the fit to the participant",
    "withheld": "several a minute; the line of the feedback says why",
    "earning": "several a minute; the line of the feedback says it",
    "heat_armed": "what is fired is told",
    "heat_plateau": "the measured temperature shows it",
    "heat_returning": "the measured temperature shows it",
    "heat_ended": "the measured temperature shows it",
    "looped": "a recording that is played again, in no session with a participant",
    "ended": "a recording that is played ends, in no session with a participant",
    "repeat": "packets that come twice are taken once: nothing is lost",
}
#: Kinds that may come many times a minute, as with a weak radio: one in so many seconds is told, with their number.
#: Not ``no_value``, which sums itself up.
FREQUENT = ("gap", "zeros", "backwards", "counter", "stale", "resumed", "late")
TOLD_EVERY_S = 10.0


def is_told(kind: str, details: Mapping[str, Any]) -> bool:
    """Return whether a person must know of an event."""
    if kind == "state":
        return "paused" in (details.get("before"), details.get("after"))
    return kind not in SILENT


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


class Told:
    """The events that a person is told: each that matters, and of frequent ones some, with their number."""

    def __init__(self) -> None:
        self._last_s: dict[str, float] = {}
        self._kept_back: dict[str, int] = {}

    def words(self, event: Event) -> str | None:
        """Return what is told of an event; None if nothing."""
        if not is_told(event.kind, event.details):
            return None
        if event.kind in FREQUENT:
            last_s = self._last_s.get(event.kind, -math.inf)
            if 0.0 <= event.time_s - last_s < TOLD_EVERY_S:
                self._kept_back[event.kind] = self._kept_back.get(event.kind, 0) + 1
                return None
            self._last_s[event.kind] = event.time_s
        n = self._kept_back.pop(event.kind, 0)
        return f"{event.message} (and {n} more since the last)" if n else event.message
