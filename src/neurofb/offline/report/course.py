"""The course of a session in its own time: phases, feedback blocks, and how it ended.

In: a recording. Out: a `Course`; its seconds count from where the session began to run, its samples from the first of
the recording.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from neurofb.events import Event
from neurofb.recording.session_recording import SessionRecording

#: Phases in which nothing is measured: left out where phases are compared.
IDLE = ("instruction", "pause", "rating", "calibration")
#: Taken for the alpha peak where none was found, as the pipeline does.
USUAL_IAF_HZ = 10.0


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a session.

    Attributes
    ----------
    name : str
        Of the phase, or the condition of a block.
    kind : str
        Kind of the phase, or "block".
    label : str
        The name as a person reads it; numbered where it comes more than once.
    start_s, end_s : float
        Of the session's time.
    first, last : int
        Its samples: from ``first``, before ``last``.
    eyes : str
    result : mapping
        For a block: how it went, as the session recorded it; empty if it broke off.
    """

    name: str
    kind: str
    label: str
    start_s: float
    end_s: float
    first: int
    last: int
    eyes: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        """How long it lasted."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Course:
    """How a session went.

    Attributes
    ----------
    zero_s : float
        Where the session began to run, on the recording computer's clock.
    end_s : float
        When the last thing was recorded, in the session's time.
    phases, blocks : tuple of Span
    outcome : str
        "finished", "aborted", "stopped" …; "broken off" if the record has no end.
    message : str
        The same in words.
    iaf_hz : float or None
        The alpha peak the session found or was given.
    pauses : tuple of (float, float)
        When the session was paused: from, to.
    """

    zero_s: float
    end_s: float
    phases: tuple[Span, ...]
    blocks: tuple[Span, ...]
    outcome: str
    message: str
    iaf_hz: float | None
    pauses: tuple[tuple[float, float], ...] = ()

    @property
    def measured(self) -> tuple[Span, ...]:
        """The phases in which something is measured; all of them if there is no such phase."""
        return tuple(phase for phase in self.phases if phase.kind not in IDLE) or self.phases

    @property
    def bands_hz(self) -> dict[str, tuple[float, float]]:
        """Theta and alpha against the alpha peak."""
        peak = USUAL_IAF_HZ if self.iaf_hz is None else self.iaf_hz
        return {"theta": (max(peak - 6, 1.0), peak - 2), "alpha": (peak - 2, peak + 2)}

    def rests(self) -> tuple[Span, Span] | None:
        """Return the last rest before the first block and the first rest after the last, if there are both.

        Without blocks: the first and the last rest.
        """
        rests = [phase for phase in self.phases if phase.kind == "rest_baseline"]
        active = [p for p in self.phases if p.kind in ("training", "heat", "transfer")]
        if not active or len(rests) < 2:
            return None
        before = [rest for rest in rests if rest.end_s <= active[0].start_s + 1e-6]
        after = [rest for rest in rests if rest.start_s >= active[-1].end_s - 1e-6]
        return (before[-1], after[0]) if before and after else None


def course_of(recording: SessionRecording) -> Course:
    """Return the course of a session, whole or broken off."""
    events = recording.events
    zero_s = _zero_s(recording, events)
    end_s = max(0.0, *_last_times_s(recording, events, zero_s))
    ended = next((event for event in events if event.kind == "end"), None)
    if ended is None:
        outcome, message = "broken off", "the record has no end: the session broke off, or its end was lost"
    else:
        outcome, message = str(ended.details.get("outcome", "ended")), ended.message
        end_s = max(ended.time_s - zero_s, 0.0)
    last = recording.n_samples if ended is None or ended.index is None else ended.index
    last = min(last, recording.n_samples)
    phases = _phases(events, zero_s, end_s, last)
    if not phases and recording.n_samples:
        phases = (Span("recording", "recording", "recording", 0.0, end_s, 0, recording.n_samples),)
    return Course(
        zero_s,
        end_s,
        phases,
        _blocks(events, zero_s, end_s, last),
        outcome,
        message,
        _iaf_hz(recording, events),
        _pauses(events, zero_s, end_s),
    )


def _zero_s(recording: SessionRecording, events: list[Event]) -> float:
    started = [e.time_s for e in events if e.kind == "state" and e.details.get("after") == "running"]
    times_s = [*started[:1], *(event.time_s for event in events[:1]), *recording.times_s(0, 1)]
    return next((float(time_s) for time_s in times_s if math.isfinite(time_s)), 0.0)


def _last_times_s(recording: SessionRecording, events: list[Event], zero_s: float) -> list[float]:
    n = recording.n_samples
    newest = [*recording.times_s(max(n - 1, 0), n)]
    newest += [event.time_s for event in events[-20:]]
    for table in (recording.features, recording.feedback, recording.stimulus):
        newest += [*table["time_s"][-1:]]
    return [float(time_s) - zero_s for time_s in newest if math.isfinite(time_s)] or [0.0]


def _phases(events: list[Event], zero_s: float, end_s: float, last: int) -> tuple[Span, ...]:
    begun = [event for event in events if event.kind == "phase"]
    often = Counter(str(event.details.get("name", "phase")) for event in begun)
    seen: Counter[str] = Counter()
    found = []
    for event, after in zip(begun, [*begun, None][1:], strict=True):
        name = str(event.details.get("name", "phase"))
        seen[name] += 1
        words = name.replace("_", " ")
        first = min(event.index or 0, last)
        found.append(
            Span(
                name,
                str(event.details.get("phase_kind", "")),
                f"{words} {seen[name]}" if often[name] > 1 else words,
                event.time_s - zero_s,
                end_s if after is None else after.time_s - zero_s,
                first,
                last if after is None else max(min(after.index or 0, last), first),
                str(event.details.get("eyes", "")),
            )
        )
    return tuple(found)


def _blocks(events: list[Event], zero_s: float, end_s: float, last: int) -> tuple[Span, ...]:
    """Return the blocks: from their start to their end, a pause or whatever else ended them."""
    begun: list[Event] = []
    ended: list[Event] = []
    results: dict[int, Mapping[str, Any]] = {}
    for event in events:
        do = event.details.get("do") if event.kind == "loop" else None
        if do == "start_block" and len(begun) == len(ended):
            begun.append(event)
        elif do == "end_block" and len(begun) > len(ended):
            ended.append(event)
        elif event.kind == "block_ended" and ended:
            results.setdefault(len(ended) - 1, event.details)
    spans = []
    for i, start in enumerate(begun):
        end = ended[i] if i < len(ended) else None
        spans.append(
            Span(
                str(start.details.get("condition", "")),
                "block",
                f"block {i + 1}",
                start.time_s - zero_s,
                end_s if end is None else end.time_s - zero_s,
                min(start.index or 0, last),
                last if end is None or end.index is None else min(end.index, last),
                result=results.get(i, {}),
            )
        )
    return tuple(spans)


def _pauses(events: list[Event], zero_s: float, end_s: float) -> tuple[tuple[float, float], ...]:
    found: list[tuple[float, float]] = []
    since_s: float | None = None
    for event in events:
        if event.kind != "state":
            continue
        if event.details.get("after") == "paused":
            since_s = event.time_s - zero_s
        elif since_s is not None:
            found.append((since_s, event.time_s - zero_s))
            since_s = None
    return (*found, (since_s, end_s)) if since_s is not None else tuple(found)


def _iaf_hz(recording: SessionRecording, events: list[Event]) -> float | None:
    fitted = [event.details for event in events if event.kind == "fitted"]
    given = recording.settings.get("given")
    for document in (*reversed(fitted), given if isinstance(given, dict) else {}):
        peak = document.get("iaf_hz")
        if isinstance(peak, int | float) and math.isfinite(peak):
            return float(peak)
    return None
