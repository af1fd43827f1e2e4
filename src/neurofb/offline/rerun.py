"""A recorded session once more: the recorded samples through the same loop, led by the recorded instructions.

In: a recording with its settings. Out: every value and every feedback sample, as rows like those of the record. Kept:
the loop. Nothing is read but samples and instructions, so the rows are those of the session, to the last bit
(``neurofb.offline.comparison`` holds them against each other).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofb.blinding.sham import Delivery
from neurofb.chunk import Chunk, FloatArray
from neurofb.errors import NeurofbError, WrongFile, WrongInput
from neurofb.events import Event
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import Baseline
from neurofb.feedback.feedback import FeedbackSample
from neurofb.loop.loop import Loop
from neurofb.loop.participant_fit import ParticipantFit, ParticipantRecord
from neurofb.loop.settings import LoopSettings
from neurofb.recording.session_recording import SessionRecording

#: Kind of the events that a re-run follows.
INSTRUCTION = "loop"
#: What is compared of feedback; its age is measured, so it is another each time.
FEEDBACK = ("index", "level", "reward", "usable", "value", "z", "threshold", "success_index", "delay_s")
#: So much EEG is read and computed at a time.
PIECE_S = 10.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Instruction:
    """An instruction to the loop, and the sample from which on it held."""

    index: int
    do: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Block:
    """A feedback block."""

    #: The baseline it was scored against.
    condition: str
    #: Its samples: ``first`` to before ``end``.
    first: int
    end: int
    #: Its summary, a `BlockResult` as a mapping; None if the recording broke off in it.
    result: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Computed:
    """Values and feedback, computed from the samples of a session."""

    #: Samples that went in.
    n_samples: int
    rate_hz: float
    #: The columns of the record's streams, without times.
    features: Mapping[str, FloatArray]
    feedback: Mapping[str, FloatArray]
    #: Sample index and the reason for withheld feedback from then on; an empty one: it could be earned.
    reasons: list[tuple[int, str]]
    blocks: list[Block]
    #: The instruction that could not be followed, in words; empty if all could.
    stopped: str = ""


def instructions(events: Sequence[Event]) -> list[Instruction]:
    """Return the instructions to the loop, in order.

    Raises
    ------
    WrongFile
        If an instruction is not one, or they are not in order: the record was changed or is damaged.
    """
    found: list[Instruction] = []
    for event in events:
        if event.kind != INSTRUCTION:
            continue
        details = dict(event.details)
        do = details.pop("do", None)
        if event.index is None or not isinstance(do, str):
            raise WrongFile(f"the record has an instruction without a sample or a name: {event.to_json()}")
        if found and event.index < found[-1].index:
            raise WrongFile(
                f"the record's instructions are not in order: {do!r} at sample {event.index} comes after "
                f"{found[-1].do!r} at sample {found[-1].index}; the file was changed or is damaged"
            )
        found.append(Instruction(event.index, do, details))
    return found


def loop_of(
    recording: SessionRecording, delivery: Delivery | None = None, *, own_values: bool = False
) -> Loop:
    """Return the loop as it was when the session began; of a blinded one with what decides which value is delivered.

    ``own_values``: of a blinded session, with the participant's own values.

    Raises
    ------
    WrongInput
        If the session was blinded, and neither is given.
    """
    settings = settings_of(recording)
    if recording.is_blinded and delivery is None and not own_values:
        raise WrongInput(
            f"{recording.folder} was blinded: it can be computed again with its envelope alone; give the key that "
            "opens it and the pool of donors: neurofb rerun --check FOLDER --key FILE --donors POOL"
        )
    try:
        given = settings["given"]
        participant_fit, baselines = earlier_fit(given)
        return Loop(LoopSettings.from_dict(settings["loop"]), participant_fit, baselines, delivery)
    except (KeyError, TypeError) as error:
        raise WrongFile(
            f"the settings of {recording.path} lack {error}; was it recorded by another version of neurofb?"
        ) from None


def settings_of(recording: SessionRecording) -> Mapping[str, Any]:
    """Return the session's settings.

    Raises
    ------
    WrongFile
        If there are none: they stand in session.json beside the recording.
    """
    if not recording.settings:
        raise WrongFile(
            f"{recording.path} has no settings: what the session was made of stands in session.json beside "
            "recording.xdf; give the folder of a session with both"
        )
    return recording.settings


def earlier_fit(given: Mapping[str, Any] | None) -> tuple[ParticipantFit | None, tuple[Baseline, ...]]:
    """Return the fit and baselines that an earlier session gave; None and none without one."""
    if given is None:
        return None, ()
    earlier = ParticipantRecord.from_dict(given)
    return earlier.fit, earlier.baselines


def compute(recording: SessionRecording, loop: Loop, progress: Progress | None = None) -> Computed:
    """Feed the recorded samples and instructions to a loop.

    ``progress`` is called with the number of samples that are done, and of all.
    """
    rows = _RecordedRows(list(loop.measures))
    blocks = _Blocks()
    end, stopped = recording.n_samples, ""
    at = 0
    for each in instructions(recording.events):
        if each.index > end:
            break  # its samples are lost with the end of the recording
        _push(recording, loop, rows, at, each.index, progress)
        at = each.index
        try:
            rows.feedback(loop.do(each.do, **each.details))
        except (NeurofbError, TypeError) as error:
            stopped = f"{each.do!r} at sample {each.index}: {error}"
            break
        blocks.follow(each, loop)
    if not stopped:
        _push(recording, loop, rows, at, end, progress)
    return Computed(
        loop.next_index,
        loop.settings.rate_hz,
        rows.features(),
        rows.of_feedback(),
        rows.reasons,
        blocks.done(loop.next_index),
        stopped,
    )


def _push(
    recording: SessionRecording,
    loop: Loop,
    rows: _RecordedRows,
    start: int,
    stop: int,
    progress: Progress | None,
) -> None:
    """Feed samples to the loop; damage of a file may make them any number, which changes none of the others."""
    for piece in _pieces(recording, loop.settings.rate_hz, start, stop):
        with np.errstate(over="ignore", invalid="ignore"):
            output = loop.push(piece)
        rows.append(output)
        if progress is not None:
            progress(loop.next_index, recording.n_samples)


def _pieces(recording: SessionRecording, rate_hz: float, start: int, stop: int) -> Iterator[Chunk]:
    """Return the samples from ``start`` to before ``stop``; how they are cut makes no difference to the loop."""
    step = max(1, round(PIECE_S * rate_hz))
    for first in range(start, stop, step):
        samples = np.ascontiguousarray(recording.eeg(first, min(first + step, stop)), dtype=np.float64)
        times_s = np.full(len(samples), np.nan)
        yield Chunk(samples, first, times_s, times_s)


class _Blocks:
    """The blocks that instructions begin and end."""

    def __init__(self) -> None:
        self._done: list[Block] = []
        self._begun: Instruction | None = None

    def follow(self, each: Instruction, loop: Loop) -> None:
        if each.do == "start_block":
            self._begun = each
        elif each.do == "end_block" and self._begun is not None:
            self._end(each.index, dict(loop.block_result or {}))

    def _end(self, index: int, result: Mapping[str, Any] | None) -> None:
        assert self._begun is not None
        self._done.append(Block(str(self._begun.details["condition"]), self._begun.index, index, result))
        self._begun = None

    def done(self, end: int) -> list[Block]:
        if self._begun is not None:
            self._end(end, None)
        return self._done


class _RecordedRows:
    """Values and feedback as the session log writes them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._at = {name: 1 + 2 * i for i, name in enumerate(names)}
        self._columns = ["index", *(column for name in names for column in (name, f"{name}.usable"))]
        self._values: list[FloatArray] = []
        self._feedback: list[FloatArray] = []
        self.reasons: list[tuple[int, str]] = []
        self._why = ""

    def append(self, output: Any) -> None:
        """Append the values and feedback of one push."""
        self._append_values(output.values)
        self.feedback(output.samples)

    def _append_values(self, values: Sequence[FeatureValue]) -> None:
        if not values:
            return
        rows: list[list[float]] = []
        newest, width, at = None, len(self._columns), self._at
        for value in values:
            if value.index != newest:
                newest = value.index
                row = [np.nan] * width
                row[0] = newest
                rows.append(row)
            column = at[value.name]
            row[column], row[column + 1] = value.value, value.usable
        self._values.append(np.array(rows, dtype=np.float64))

    def feedback(self, samples: Sequence[FeedbackSample]) -> None:
        """Append feedback samples."""
        if not samples:
            return
        rows = [[getattr(sample, name) for name in FEEDBACK] for sample in samples]
        self._feedback.append(np.array(rows, dtype=np.float64))
        for sample in samples:
            if sample.why != self._why:
                self._why = sample.why
                self.reasons.append((sample.index, sample.why))

    def features(self) -> dict[str, FloatArray]:
        """Return all values by column."""
        return _by_column(self._values, self._columns)

    def of_feedback(self) -> dict[str, FloatArray]:
        """Return all feedback by column."""
        return _by_column(self._feedback, FEEDBACK)


def _by_column(pieces: Sequence[FloatArray], columns: Sequence[str]) -> dict[str, FloatArray]:
    table = np.concatenate([np.empty((0, len(columns))), *pieces])
    return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(columns)}
