"""Events become spans, once for BIDS, MNE and the report: phases, steps, stimuli, blocks, pauses, ratings, artifacts.

In: a recording. Out: `SessionAnnotations`, and for MNE and BIDS those that have samples.

Each `Annotation` has its times on two clocks. *Sample clock*: seconds from the recording's first sample on, counted by
its samples; MNE and BIDS use it. *Session clock*: seconds on the recording computer's clock from where the session
began to run; the report uses it. What the events hold decides onset and end on both:

==================== ==================================== ============================================================
kind                 onset                                end
==================== ==================================== ============================================================
phase                time of its event                    next phase, or the session's end
step                 time of its event                    its planned duration, moved by a pause, cut by what comes next
heat                 time at which the guard fired it     the probe is at baseline again; at latest the next stimulus
feedback             sample of ``start_block``            sample of ``end_block``, or the session's end
pause                state "paused"                       next state, or the session's end
rating, note         time of the event                    0 s
artifact             sample from which it withheld        sample of the next reason
channel_left         sample at which it left              sample at which it was back
==================== ==================================== ============================================================

A recording that broke off has no end: there, a span ends with the last sample, and with the last record.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from neurofb.chunk import FloatArray
from neurofb.events import Event
from neurofb.features.value import kind_of
from neurofb.recording.session_recording import SessionRecording

#: Reasons without feedback that are artifacts, by their first words.
ARTIFACTS = ("blink", "movement", "jump", "muscle", "bad contact")
#: Phases in which nothing is measured: left out where phases are compared.
IDLE = ("instruction", "pause", "rating", "calibration")
#: Steps without an annotation: the phase or the stimulus has it.
_SILENT_STEPS = ("rest", "end", "heat", "calibration")
#: Events that cut a stimulus short; ``heat_ended`` follows when the probe is at baseline.
_CUT_SHORT = {"heat_aborted": "aborted", "heat_fault": "fault"}
#: A stimulus and the step that asked for it lie no further apart.
_TOGETHER_S = 0.5
#: Due times closer than this are the same.
_SAME_S = 1e-3
#: So many sample times are kept at most: of longer recordings every second one, third one …
MOST_TIMES = 2_000_000
_PIECE = 500_000


class SampleTimes:
    """Sample indices of times of the recording computer's LSL clock."""

    def __init__(self, recording: SessionRecording, rate_hz: float) -> None:
        self.rate_hz, self.n_samples = (rate_hz if rate_hz > 0 else math.nan), recording.n_samples
        step = 1 + self.n_samples // MOST_TIMES
        pieces = [
            recording.times_s(first, min(first + _PIECE * step, self.n_samples))[::step]
            for first in range(0, self.n_samples, _PIECE * step)
        ]
        times_s = np.concatenate([np.empty(0), *pieces])
        self._times_s = np.maximum.accumulate(times_s)  # a clock that was set back must not lead back
        self._indices = np.arange(len(times_s)) * float(step)

    @property
    def end_s(self) -> float:
        """End of the samples, in s from the first one on."""
        return self.n_samples / self.rate_hz if self.n_samples else 0.0

    def index(self, time_s: ArrayLike) -> FloatArray:
        """Return the places of times, as fractional sample indices; beyond the ends at the nominal rate."""
        times_s = np.asarray(time_s, dtype=np.float64)
        if not len(self._times_s):
            return np.zeros_like(times_s)
        first_s, last_s = self._times_s[0], self._times_s[-1]
        found = np.interp(times_s, self._times_s, self._indices)
        found = np.where(times_s < first_s, (times_s - first_s) * self.rate_hz, found)
        beyond = self._indices[-1] + (times_s - last_s) * self.rate_hz
        return np.asarray(np.where(times_s > last_s, beyond, found))

    def onset_s(self, time_s: ArrayLike) -> FloatArray:
        """Return times as seconds from the recording's first sample on, counted by its samples."""
        return self.index(time_s) / self.rate_hz


@dataclass(frozen=True, slots=True)
class Annotation:
    """A span of a session, or a moment."""

    #: On the sample clock.
    onset_s: float
    duration_s: float
    #: ``phase``, ``step``, ``heat``, ``rating``, ``feedback``, ``pause``, ``note``, ``artifact`` or ``channel_left``.
    kind: str
    #: Of the phase, the level, the scale, the block's baseline …; may be empty.
    name: str = ""
    #: ``phase``, ``trial``, ``level``, ``site``, ``target_c``, ``scale``, ``value`` …, as far as known.
    details: Mapping[str, Any] = field(default_factory=dict)
    #: The channels it is about; none: all.
    channels: tuple[str, ...] = ()
    #: On the session clock.
    start_s: float = 0.0
    end_s: float = 0.0
    #: Phases and blocks: the samples that the loop took in meanwhile, ``first`` to before ``stop``. A phase's first one
    #: was taken some ms before its onset, for it came in with a delay.
    first: int = 0
    stop: int = 0

    @property
    def description(self) -> str:
        """Kind and name as MNE's hierarchical event names: ``heat/hot``."""
        return f"{self.kind}/{self.name}" if self.name else self.kind

    @property
    def label(self) -> str:
        """The name for a person; phases and blocks that come more than once are numbered."""
        return str(self.details.get("label", self.name))

    @property
    def phase_kind(self) -> str:
        """The kind of a phase."""
        return str(self.details.get("phase_kind", ""))

    @property
    def eyes(self) -> str:
        """The eyes in a phase: "open", "closed", or empty."""
        return str(self.details.get("eyes", ""))


@dataclass(frozen=True, eq=False)
class SessionAnnotations:
    """How a session went."""

    #: Start of the session on the recording computer's clock.
    zero_s: float
    #: Its end, or the last record, on the session clock.
    end_s: float
    #: "finished", "aborted", "stopped" …; "broken off" if the record has no end.
    outcome: str
    message: str
    #: In order of onset, also those without samples.
    annotations: tuple[Annotation, ...]
    n_samples: int
    #: Nominal; NaN if it is lost.
    rate_hz: float

    def of_kind(self, kind: str) -> tuple[Annotation, ...]:
        """Return the annotations of one kind."""
        return tuple(each for each in self.annotations if each.kind == kind)

    @property
    def phases(self) -> tuple[Annotation, ...]:
        """The phases, in order; the recording as one where no phase is known."""
        return self.of_kind("phase") or self._whole()

    def _whole(self) -> tuple[Annotation, ...]:
        if not self.n_samples:
            return ()
        name, lasts_s = "recording", self.n_samples / self.rate_hz
        return (
            Annotation(
                0.0, lasts_s, "phase", name, {"phase_kind": name}, end_s=self.end_s, stop=self.n_samples
            ),
        )

    @property
    def blocks(self) -> tuple[Annotation, ...]:
        """The feedback blocks, in order; a pause ends one and the next begins after it."""
        return self.of_kind("feedback")

    @property
    def measured(self) -> tuple[Annotation, ...]:
        """The phases in which something is measured; all of them if there is no such phase."""
        return tuple(phase for phase in self.phases if phase.phase_kind not in IDLE) or self.phases

    def rests(self) -> tuple[Annotation, Annotation] | None:
        """Return the last rest before the first block and the first rest after the last, if there are both.

        Without blocks: the first and the last rest.
        """
        rests = [phase for phase in self.phases if phase.phase_kind == "rest_baseline"]
        active = [p for p in self.phases if p.phase_kind in ("training", "heat", "transfer")]
        if not active or len(rests) < 2:
            return None
        before = [rest for rest in rests if rest.end_s <= active[0].start_s + 1e-6]
        after = [rest for rest in rests if rest.start_s >= active[-1].end_s - 1e-6]
        return (before[-1], after[0]) if before and after else None

    def with_samples(self) -> list[Annotation]:
        """Return the annotations for which there are samples, cut to them on the sample clock, in order."""
        end_s = self.n_samples / self.rate_hz if self.n_samples else 0.0
        cut = []
        for each in self.annotations:
            onset_s, until_s = max(0.0, each.onset_s), min(each.onset_s + each.duration_s, end_s)
            if onset_s < end_s and until_s >= 0:
                cut.append(replace(each, onset_s=onset_s, duration_s=max(0.0, until_s - onset_s)))
        return sorted(cut, key=lambda each: (each.onset_s, -each.duration_s))


def annotate(recording: SessionRecording, times: SampleTimes | None = None) -> SessionAnnotations:
    """Return the spans of a session, whole or broken off."""
    session = _Session(recording, SampleTimes(recording, recording.rate_hz) if times is None else times)
    phases = [*session.phases()]
    found = [
        *phases,
        *session.steps(phases),
        *session.heat(phases),
        *session.ratings(),
        *session.blocks(),
        *session.pauses(),
        *session.notes(),
        *session.artifacts(),
        *session.channels(),
    ]
    found.sort(key=lambda each: each.onset_s if math.isfinite(each.onset_s) else -math.inf)
    return SessionAnnotations(
        session.zero_s,
        session.end_s,
        session.outcome,
        session.message,
        tuple(found),
        session.times.n_samples,
        session.times.rate_hz,
    )


class _Session:
    """The events of a recording with both clocks."""

    def __init__(self, recording: SessionRecording, times: SampleTimes) -> None:
        self.events, self.times = recording.events, times
        self.zero_s = _zero_s(recording)
        self.ended = next((event for event in self.events if event.kind == "end"), None)
        n_samples = recording.n_samples
        if self.ended is None:
            self.outcome = "broken off"
            self.message = "the record has no end: the session broke off, or its end was lost"
            self.end_s, self.last = max(0.0, *_last_times_s(recording, self.zero_s)), n_samples
        else:
            self.outcome, self.message = str(self.ended.details.get("outcome", "ended")), self.ended.message
            self.end_s = max(self.ended.time_s - self.zero_s, 0.0)
            self.last = n_samples if self.ended.index is None else min(self.ended.index, n_samples)

    # -- both clocks -------------------------------------------------------------------------------------------

    def between(
        self, start_s: float, until_s: float | None, kind: str, name: str = "", **more: Any
    ) -> Annotation:
        """Return the span between two times of the LSL clock; without an end it goes on to the session's."""
        onset_s = float(self.times.onset_s(start_s))
        end_s = self._open_end_s() if until_s is None else float(self.times.onset_s(until_s))
        return Annotation(
            onset_s,
            end_s - onset_s,
            kind,
            name,
            start_s=start_s - self.zero_s,
            end_s=self.end_s if until_s is None else until_s - self.zero_s,
            **more,
        )

    def _open_end_s(self) -> float:
        return self.times.end_s if self.ended is None else float(self.times.onset_s(self.ended.time_s))

    def at(self, event: Event, kind: str, name: str = "", **details: Any) -> Annotation:
        """Return the moment of an event."""
        return self.between(event.time_s, event.time_s, kind, name, details=details)

    def by_sample(
        self, begun: Event, over: Event | None, stop: int, kind: str, name: str, **more: Any
    ) -> Annotation:
        """Return the span from the sample of one event to ``stop``, and between the times of both."""
        first, rate_hz = begun.index or 0, self.times.rate_hz
        return Annotation(
            first / rate_hz,
            max(0, stop - first) / rate_hz,
            kind,
            name,
            start_s=begun.time_s - self.zero_s,
            end_s=self.end_s if over is None else over.time_s - self.zero_s,
            first=min(first, self.last),
            stop=min(stop, self.last),
            **more,
        )

    # -- kinds -------------------------------------------------------------------------------------------------

    def phases(self) -> Iterator[Annotation]:
        begun = [event for event in self.events if event.kind == "phase"]
        often = Counter(str(event.details.get("name", "phase")) for event in begun)
        seen: Counter[str] = Counter()
        for event, after in zip(begun, [*begun, None][1:], strict=True):
            name = str(event.details.get("name", "phase"))
            seen[name] += 1
            words = name.replace("_", " ")
            details = {
                "phase": name,
                "label": f"{words} {seen[name]}" if often[name] > 1 else words,
                **{key: event.details.get(key, "") for key in ("phase_kind", "eyes", "number")},
            }
            first = min(event.index or 0, self.last)
            stop = self.last if after is None else max(min(after.index or 0, self.last), first)
            until_s = None if after is None else after.time_s
            yield self.between(event.time_s, until_s, "phase", name, details=details, first=first, stop=stop)

    def blocks(self) -> Iterator[Annotation]:
        begun: Event | None = None
        found: list[Annotation] = []
        for event in self.events:
            do = event.details.get("do") if event.kind == "loop" else None
            if do == "start_block" and begun is None:
                begun = event
            elif do == "end_block" and begun is not None:
                found.append(self._block(begun, event, len(found)))
                begun = None
            elif event.kind == "block_ended" and found and "result" not in found[-1].details:
                found[-1] = replace(found[-1], details={**found[-1].details, "result": event.details})
        if begun is not None:
            found.append(self._block(begun, None, len(found)))
        yield from found

    def _block(self, begun: Event, over: Event | None, n_before: int) -> Annotation:
        condition = str(begun.details.get("condition", ""))
        stop = self.last if over is None or over.index is None else over.index
        details = {"condition": condition, "label": f"block {n_before + 1}"}
        return self.by_sample(begun, over, stop, "feedback", condition, details=details)

    def steps(self, phases: Sequence[Annotation]) -> Iterator[Annotation]:
        marks = [event for event in self.events if event.kind in ("step", "phase", "end")]
        for event, after in zip(marks, [*marks, None][1:], strict=True):
            step, level = event.details.get("step"), event.details.get("level")
            if event.kind == "step" and step not in _SILENT_STEPS:
                found = self.at(
                    event, "step", "/".join(filter(None, (step, level))), **_step_details(event, phases)
                )
                lasts_s = self._step_length_s(event, after)
                yield replace(found, duration_s=lasts_s, end_s=found.start_s + lasts_s)

    def _step_length_s(self, event: Event, after: Event | None) -> float:
        """Return how long a step lasted: as planned, unless a pause made it longer or something came before its end."""
        planned_s = _number(event.details.get("duration_s"))
        if after is None:
            return planned_s
        lasted_s = after.time_s - event.time_s
        due_s, next_due_s = _number(event.details.get("due_s")), _number(after.details.get("due_s"))
        left_out_s = due_s + planned_s - (next_due_s if after.kind != "end" else due_s + lasted_s)
        was_paused = any(
            each.kind == "state" and each.details.get("after") == "paused"
            and event.time_s <= each.time_s <= after.time_s
            for each in self.events
        )  # fmt: skip
        return max(0.0, lasted_s) if was_paused or left_out_s > _SAME_S else planned_s

    def heat(self, phases: Sequence[Annotation]) -> Iterator[Annotation]:
        asked = [
            event for event in self.events if event.kind == "step" and event.details.get("step") == "heat"
        ]
        places = [i for i, event in enumerate(self.events) if event.kind == "heat_fired"]
        for place, next_place in zip(places, [*places, None][1:], strict=True):
            event = self.events[place]
            scheduled_s = _number(event.details.get("scheduled_s"))
            details = {key: event.details.get(key) for key in ("site", "target_c", "plateau_s")}
            step = min(asked, key=lambda e: abs(_number(e.details.get("due_s")) - scheduled_s), default=None)
            if step is not None and abs(_number(step.details.get("due_s")) - scheduled_s) <= _TOGETHER_S:
                details |= _step_details(step, phases)
            else:
                details |= _phase_details(phases, event.time_s - self.zero_s)
            its_own = self.events[place + 1 : next_place]
            how, over = _end_of_stimulus(its_own)
            dose = math.nan if over is None else _number(over.details.get("dose"))
            start_s = _onset_of_stimulus(event, its_own)
            details |= {"late_s": start_s - scheduled_s, "end": how, "dose": dose}
            over = self.events[next_place] if over is None and next_place is not None else over
            name = str(details.get("level") or "")
            found = self.between(
                start_s, None if over is None else over.time_s, "heat", name, details=details
            )
            # A stimulus that is on at the session's end goes on until the last sample.
            yield found if over is not None else replace(found, duration_s=self.times.end_s - found.onset_s)

    def ratings(self) -> Iterator[Annotation]:
        keys = ("scale", "value", "reaction_s", "phase", "trial", "level", "site")
        for event in self.events:
            if event.kind == "rating":
                details = {key: event.details.get(key) for key in keys}
                yield self.at(event, "rating", str(event.details.get("scale", "")), **details)

    def pauses(self) -> Iterator[Annotation]:
        states = [event for event in self.events if event.kind == "state"]
        for event, after in zip(states, [*states, None][1:], strict=True):
            if event.details.get("after") == "paused":
                yield self.between(event.time_s, None if after is None else after.time_s, "pause")

    def notes(self) -> Iterator[Annotation]:
        for event in self.events:
            if event.kind == "note":
                yield self.at(event, "note", text=event.message)

    def artifacts(self) -> Iterator[Annotation]:
        """Return the artifacts that withheld feedback, in the features that were trained."""
        changes = reason_changes(self.events)
        for event, after in zip(changes, [*changes, None][1:], strict=True):
            kind, _, where = kind_of(event.message).partition(": ")
            if event.kind == "withheld" and kind in ARTIFACTS:
                stop = self.times.n_samples if after is None else after.index or 0
                details = {"where": where} if where else {}
                yield self.by_sample(event, after, stop, "artifact", kind, details=details)

    def channels(self) -> Iterator[Annotation]:
        """Return the times for which channels had left the features because they were bad for long."""
        left: dict[str, Event] = {}
        for event in self.events:
            if event.kind == "channel_left":
                left.setdefault(str(event.details["channel"]), event)
            elif event.kind == "channel_back":
                begun = left.pop(str(event.details["channel"]), None)
                if begun is not None:
                    yield self._channel(begun, event)
        for begun in left.values():
            yield self._channel(begun, None)

    def _channel(self, begun: Event, back: Event | None) -> Annotation:
        stop = self.times.n_samples if back is None else back.index or 0
        name, channels = str(begun.details.get("state", "")), (str(begun.details["channel"]),)
        return self.by_sample(
            begun, back, stop, "channel_left", name, details={"why": begun.message}, channels=channels
        )


def reason_changes(events: Sequence[Event]) -> list[Event]:
    """Return the events from whose sample on feedback was withheld for a reason, or could be earned again."""
    return [event for event in events if event.kind in ("withheld", "earning") and event.index is not None]


def _zero_s(recording: SessionRecording) -> float:
    events = recording.events
    started = [e.time_s for e in events if e.kind == "state" and e.details.get("after") == "running"]
    times_s = [*started[:1], *(event.time_s for event in events[:1]), *recording.times_s(0, 1)]
    return next((float(time_s) for time_s in times_s if math.isfinite(time_s)), 0.0)


def _last_times_s(recording: SessionRecording, zero_s: float) -> list[float]:
    n = recording.n_samples
    newest = [*recording.times_s(max(n - 1, 0), n)]
    newest += [event.time_s for event in recording.events[-20:]]
    for table in (recording.features, recording.feedback, recording.stimulus):
        newest += [*table["time_s"][-1:]]
    return [float(time_s) - zero_s for time_s in newest if math.isfinite(time_s)] or [0.0]


def _step_details(event: Event, phases: Sequence[Annotation]) -> dict[str, Any]:
    details = event.details
    phase = next((each for each in phases if each.details["number"] == details.get("phase")), None)
    about = (
        {"phase": "", "phase_label": ""}
        if phase is None
        else {"phase": phase.name, "phase_label": phase.label}
    )
    return {**about, "trial": details.get("trial"), "level": details.get("level")}


def _phase_details(phases: Sequence[Annotation], start_s: float) -> dict[str, Any]:
    """Return the phase that was on, for a stimulus that no step asked for: a calibration's."""
    phase = next((each for each in reversed(phases) if each.start_s <= start_s + 1e-6), None)
    return {} if phase is None else {"phase": phase.name, "phase_label": phase.label}


def _onset_of_stimulus(fired: Event, after: Sequence[Event]) -> float:
    """Return when a stimulus began: as its device reported it, else when it was told to."""
    onset = next((event for event in after if event.kind == "heat_onset"), None)
    reported_s = math.nan if onset is None else _number(onset.details.get("onset_s"))
    fired_s = _number(fired.details.get("fired_s"))
    return next((each for each in (reported_s, fired_s) if math.isfinite(each)), fired.time_s)


def _end_of_stimulus(events: Sequence[Event]) -> tuple[str, Event | None]:
    """Return how a stimulus ended, and when the probe was at baseline again, from the events until the next one."""
    how = ""
    for event in events:
        if event.kind == "heat_ended":
            return how or "ended", event
        how = how or _CUT_SHORT.get(event.kind, "")
    return how or "end not recorded", None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
