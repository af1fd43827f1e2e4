"""The status of a running session: all that a screen needs to draw itself, also when it comes late.

In: the parts as the engine knows them, or the JSON document of ``neurofb-status``. Out: one frozen `SessionStatus`,
or the document. Keys of the document are the names of the fields; a key that is not known here is passed over, so
that an older screen reads a newer engine.

Times are in seconds of the session, from its start, where nothing else is said. None stands for what is not known.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from neurofb.config import Number
from neurofb.errors import WrongInput
from neurofb.events import plain
from neurofb.format import clean

#: States in which a session has ended.
OVER = ("finished", "aborted")
#: A longer text is no status: 256 channels and 50 phases take a tenth of it.
LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class BlockSummary:
    """The result of a block of feedback."""

    #: Values above the threshold, as a fraction of all; None where there was none.
    success: Number | None
    #: How many rewards.
    rewarded: int


@dataclass(frozen=True, slots=True)
class PhaseStatus:
    """The phase that is on."""

    name: str
    kind: str
    text: str
    index: int
    #: How many phases the session has.
    n: int
    start_s: Number | None
    end_s: Number | None
    eyes: str
    sound: str | None
    #: Whether it goes on only when somebody says so.
    waits: bool
    #: Of the last block; None before the first.
    summary: BlockSummary | None
    #: What the eyes rest on: "shape" or "point".
    shows: str = "shape"
    #: How often the shape breathes; None where it does not.
    breaths_per_min: Number | None = None


@dataclass(frozen=True, slots=True)
class StepStatus:
    """The step of the phase that is on: a rest, a cue, a stimulus …."""

    kind: str
    level: str | None
    trial: int | None
    n_trials: int | None
    start_s: Number | None
    end_s: Number | None
    #: What a participant reads for the level, by language, as the protocol has it.
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TimelinePhase:
    """A phase of the plan."""

    name: str
    kind: str
    start_s: Number | None
    duration_s: Number | None


@dataclass(frozen=True, slots=True)
class FeedbackStatus:
    """The newest sample of feedback, as it was delivered."""

    #: Whether feedback is given in this phase.
    on: bool
    mode: str
    level: Number | None
    reward: bool
    usable: bool
    #: Why it is not usable, in words.
    why: str
    value: Number | None
    z: Number | None
    threshold: Number | None
    success_index: Number | None


@dataclass(frozen=True, slots=True)
class PromptStatus:
    """The question that is open."""

    id: str
    scale: str
    kind: str
    question: str
    low: str
    high: str
    choices: tuple[str, ...]
    due_s: Number | None


@dataclass(frozen=True, slots=True)
class HeatStatus:
    """The stimulator."""

    #: Where the probe was confirmed last.
    site: str | None
    target_c: Number | None
    measured_c: Number | None
    state: str
    #: Dose by site, as a fraction of the contact-burn limit.
    used: Mapping[str, Number]
    #: The most that one site may have.
    limit: Number
    #: Whether "now it hurts" means something (method of limits).
    button: bool = False


@dataclass(frozen=True, slots=True)
class ProbeStatus:
    """The place where the operator is to put the probe, and to confirm it: no heat is armed before."""

    site: str
    #: Where it was confirmed before; None for the first placement.
    before: str | None
    #: Whether the session waits for it now.
    waits: bool


@dataclass(frozen=True, slots=True)
class RatingStatus:
    """An answer; its value is None where none came."""

    scale: str
    trial: int | None
    level: str | None
    value: Number | str | None


@dataclass(frozen=True, slots=True)
class ChannelStatus:
    """The quality of a channel, and whether features are computed without it."""

    state: str
    why: str
    out: bool


@dataclass(frozen=True, slots=True)
class FeatureStatus:
    """The newest value of a feature."""

    value: Number | None
    usable: bool
    why: str


@dataclass(frozen=True, slots=True)
class LatencyStatus:
    """Ages of feedback when it is sent, and the declared delay of the filters, in ms."""

    median: Number
    p99: Number
    filter: Number


#: A stream that is there and has sent nothing for so long is silent, in seconds: an assumed patience.
SILENT_S = 5.0


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """The EEG stream; ``received`` and ``missing`` count samples."""

    name: str
    state: str
    rate_hz: Number
    received: int
    missing: int
    #: What to do if it sends nothing, by language; empty where the program that sends is not known.
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """The recording on disk."""

    path: str
    #: Given to the disk so far, written or not.
    bytes: int
    ok: bool
    #: Why it is not ok, in words.
    why: str = ""
    #: Since when nothing more was written, or synced, although something waits; 0 if nothing waits.
    write_age_s: Number | None = None
    sync_age_s: Number | None = None
    queued_bytes: int = 0
    free_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """A window of the session, as its heartbeats say."""

    #: ``operator`` or ``participant``.
    name: str
    #: Whether it draws what this session sends now.
    alive: bool
    #: Age of the status that it has drawn last, in s.
    drew_age_s: Number
    #: The streams that it lacks, with commas; empty if it has all.
    missing: str = ""


@dataclass(frozen=True, slots=True)
class EndStatus:
    """How the session ended."""

    outcome: str
    message: str


#: How the operator is called among those who paused, and as the sender of commands.
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """The whole status; made by ``engine.status`` alone."""

    #: The session's uid.
    session: str
    participant: str
    protocol: str
    title: str
    state: str
    now_s: Number
    #: The same moment on LSL's clock.
    clock_s: Number
    #: 0–1.
    progress: Number | None
    left_s: Number | None
    phase: PhaseStatus | None
    step: StepStatus | None
    timeline: tuple[TimelinePhase, ...]
    feedback: FeedbackStatus
    prompt: PromptStatus | None
    #: None in a session without a stimulator.
    heat: HeatStatus | None
    #: The newest, oldest first.
    ratings: tuple[RatingStatus, ...]
    channels: Mapping[str, ChannelStatus]
    features: Mapping[str, FeatureStatus]
    latency_ms: LatencyStatus | None
    stream: StreamStatus
    recording: RecordingStatus
    message: str
    ended: EndStatus | None
    #: What the operator must see, such as refused commands; the newest first.
    warnings: tuple[str, ...]
    #: LSL's own ids of the engine's outlets, by name: a screen reads no other.
    streams: Mapping[str, str]
    #: None where the probe is at its place.
    probe: ProbeStatus | None
    #: The windows that have drawn this session.
    views: tuple[ViewStatus, ...] = ()
    #: Conditions of heat that do not hold, in words; empty in a session without heat.
    unmet: tuple[str, ...] = ()
    #: Who has asked for the pause: ``operator``, ``participant`` or a part of the engine. Each resumes their own.
    paused_by: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self.state in OVER or self.ended is not None

    def to_json(self) -> str:
        """Return the document that is sent."""
        return json.dumps(plain(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> SessionStatus:
        """Return the status that a document holds.

        Raises
        ------
        WrongInput
            If it is no status: no JSON, a key is missing, or a value is of another type. The message names the key.
        """
        if len(text) > LONGEST:
            raise WrongInput(f"a status has {LONGEST} letters at most; found {len(text)}")
        try:
            return cast(SessionStatus, _cleaned(_reader().validate_json(text, strict=True)))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"])) or "document"
            raise WrongInput(
                f"no status of a session: {key}: {first['msg']}, found {str(first['input'])[:80]!r}"
            ) from None


def _cleaned(value: Any) -> Any:
    """Return a status whose words may be shown as they are; choices go back to the engine as they came."""
    if isinstance(value, str):
        return clean(value, lines=True)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: getattr(value, each.name) for each in fields(value) if each.name != "choices"}
        return replace(value, **{name: _cleaned(each) for name, each in changed.items()})
    if isinstance(value, tuple):
        return tuple(map(_cleaned, value))
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(each) for key, each in value.items()}
    return value


@functools.cache
def _reader() -> TypeAdapter[SessionStatus]:
    return TypeAdapter(SessionStatus)
