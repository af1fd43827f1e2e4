"""What happened in a session, as spans: phases, steps, stimuli, ratings, artifacts, channels that left.

In: the events of a recording. Out: `Happening`, in order of time, that MNE's annotations and BIDS events are made of.
A stimulus has the times at which it really began and ended, as the stimulator's guard told them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neurofb.events import Event
from neurofb.features.value import kind_of
from neurofb.offline.sample_times import SampleTimes

#: Reasons without feedback that are artifacts, by their first words.
ARTIFACTS = ("blink", "movement", "jump", "muscle", "bad contact")
#: Steps that nothing needs to be said of: the phase says it, or the stimulator does.
_SILENT_STEPS = ("rest", "end", "heat", "calibration")
_HEAT_OVER = ("heat_ended", "heat_aborted", "heat_fault")
#: A stimulus and the step that asked for it lie no further apart.
_TOGETHER_S = 0.5


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened in a session.

    Attributes
    ----------
    onset_s, duration_s : float
        From the recording's first sample on, counted by its samples.
    kind : str
        ``phase``, ``step``, ``heat``, ``rating``, ``feedback``, ``pause``, ``note``, ``artifact`` or ``channel_left``.
    name : str
        Which one: of the phase, of the level, of the scale …; may be empty.
    details : mapping
        ``phase``, ``trial``, ``level``, ``site``, ``target_c``, ``scale``, ``value`` …, as far as it has them.
    channels : tuple of str
        What it concerns; none: all.
    """

    onset_s: float
    duration_s: float
    kind: str
    name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        """Kind and name as MNE's hierarchical event names: ``heat/hot``."""
        return f"{self.kind}/{self.name}" if self.name else self.kind


def happenings(events: Sequence[Event], times: SampleTimes) -> list[Happening]:
    """Return what happened while there were samples, in order of time; what reaches beyond them is cut there."""
    found: list[Happening] = []
    for each in (_phases, _steps, _heat, _ratings, _blocks, _pauses, _notes, _artifacts, _channels):
        found += each(events, times)
    end_s = times.n_samples / times.rate_hz
    kept = [_within(each, end_s) for each in found]
    return sorted(
        (each for each in kept if each is not None), key=lambda each: (each.onset_s, -each.duration_s)
    )


def _within(each: Happening, end_s: float) -> Happening | None:
    onset_s, until_s = max(0.0, each.onset_s), min(each.onset_s + each.duration_s, end_s)
    if each.onset_s >= end_s or until_s < 0:
        return None
    return replace(each, onset_s=onset_s, duration_s=max(0.0, until_s - onset_s))


def _at(times: SampleTimes, time_s: float) -> float:
    return float(times.onset_s(time_s))


def _until_next(
    events: Sequence[Event], first: Event, is_end: Callable[[Event], bool], times: SampleTimes
) -> float:
    """Return when what began with ``first`` is over: with the next event that ends it, or with the samples."""
    seen = False
    for event in events:
        if seen and is_end(event):
            return _at(times, event.time_s)
        seen = seen or event is first
    return times.n_samples / times.rate_hz


def _phases(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    def is_end(event: Event) -> bool:
        return event.kind in ("phase", "end")

    for event in events:
        if event.kind == "phase":
            onset_s = _at(times, event.time_s)
            about = {"phase": event.details["name"], "phase_kind": event.details["phase_kind"]}
            until_s = _until_next(events, event, is_end, times)
            yield Happening(onset_s, until_s - onset_s, "phase", str(event.details["name"]), about)


def _phase_names(events: Sequence[Event]) -> dict[int, str]:
    return {int(e.details["number"]): str(e.details["name"]) for e in events if e.kind == "phase"}


def _step_details(event: Event, names: Mapping[int, str]) -> dict[str, Any]:
    details = event.details
    return {"phase": names.get(details["phase"], ""), "trial": details["trial"], "level": details["level"]}


def _steps(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    names = _phase_names(events)
    for event in events:
        if event.kind != "step" or event.details["step"] in _SILENT_STEPS:
            continue
        name = "/".join(filter(None, (event.details["step"], event.details["level"])))
        onset_s = _at(times, event.time_s)
        yield Happening(
            onset_s, float(event.details["duration_s"]), "step", name, _step_details(event, names)
        )


def _heat(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    names = _phase_names(events)
    asked = [event for event in events if event.kind == "step" and event.details["step"] == "heat"]
    fired = [event for event in events if event.kind == "heat_fired"]
    for event in fired:
        began_s = float(event.details["fired_s"])
        over = [e.time_s for e in events if e.kind in _HEAT_OVER and e.time_s > began_s]
        until_s = _at(times, min(over)) if over else times.n_samples / times.rate_hz
        details = {key: event.details.get(key) for key in ("site", "target_c", "plateau_s")}
        scheduled_s = float(event.details["scheduled_s"])
        step = min(asked, key=lambda e: abs(float(e.details["due_s"]) - scheduled_s), default=None)
        if step is not None and abs(float(step.details["due_s"]) - scheduled_s) <= _TOGETHER_S:
            details |= _step_details(step, names)
        onset_s = _at(times, began_s)
        yield Happening(onset_s, until_s - onset_s, "heat", str(details.get("level") or ""), details)


def _ratings(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    for event in events:
        if event.kind == "rating":
            asked = event.details
            keys = ("scale", "value", "reaction_s", "phase", "trial", "level", "site")
            details = {key: asked.get(key) for key in keys}
            yield Happening(_at(times, event.time_s), 0.0, "rating", str(asked["scale"]), details)


def _blocks(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    begun: Event | None = None
    for event in (e for e in events if e.kind == "loop"):
        if event.details.get("do") == "start_block":
            begun = event
        elif event.details.get("do") == "end_block" and begun is not None:
            yield _block(begun, event.index or 0, times)
            begun = None
    if begun is not None:
        yield _block(begun, times.n_samples, times)


def _block(begun: Event, end: int, times: SampleTimes) -> Happening:
    first, condition = begun.index or 0, str(begun.details["condition"])
    details = {"condition": condition}
    return Happening(first / times.rate_hz, (end - first) / times.rate_hz, "feedback", condition, details)


def _pauses(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    for event in events:
        if event.kind == "state" and event.details.get("after") == "paused":
            onset_s = _at(times, event.time_s)
            until_s = _until_next(events, event, lambda e: e.kind == "state", times)
            yield Happening(onset_s, until_s - onset_s, "pause")


def _notes(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    for event in events:
        if event.kind == "note":
            yield Happening(_at(times, event.time_s), 0.0, "note", "", {"text": event.message})


def _artifacts(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    """Return the artifacts that withheld feedback: what the gate saw, in the features that were trained."""
    changes = [e for e in events if e.kind in ("withheld", "earning") and e.index is not None]
    ends = [*(e.index for e in changes[1:]), times.n_samples]
    for event, end in zip(changes, ends, strict=False):
        kind, _, where = kind_of(event.message).partition(": ")
        if event.kind == "withheld" and kind in ARTIFACTS:
            first = event.index or 0
            details = {"where": where} if where else {}
            lasts_s = max(0, (end or first) - first) / times.rate_hz
            yield Happening(first / times.rate_hz, lasts_s, "artifact", kind, details)


def _channels(events: Sequence[Event], times: SampleTimes) -> Iterator[Happening]:
    """Return the times for which channels had left the features because they were bad for long."""
    left: dict[str, Event] = {}
    for event in events:
        if event.kind == "channel_left":
            left.setdefault(str(event.details["channel"]), event)
        elif event.kind == "channel_back":
            begun = left.pop(str(event.details["channel"]), None)
            if begun is not None:
                yield _channel(begun, event.index or 0, times)
    for begun in left.values():
        yield _channel(begun, times.n_samples, times)


def _channel(begun: Event, end: int, times: SampleTimes) -> Happening:
    first, channel = begun.index or 0, str(begun.details["channel"])
    return Happening(
        first / times.rate_hz,
        (end - first) / times.rate_hz,
        "channel_left",
        str(begun.details["state"]),
        {"why": begun.message},
        (channel,),
    )
