"""A re-run compared with its record: equal to the last bit, or where the first difference lies.

In: a recording and what was computed of it again. Out: a `Verdict`. Bits are demanded where the kernels, the processor
and the libraries that design filters are those of the session; elsewhere 1e-9, relative, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.features.value import kind_of
from neurofb.offline.rerun import FEEDBACK, Computed, settings_of
from neurofb.recording.provenance import NOT_SHARED, provenance, text_hash
from neurofb.recording.session_recording import SessionRecording

#: Relative difference that another build or processor may make.
TOLERANCE = 1e-9
#: What must be the same for the same bits: the kernels, and what the filters are designed with.
DECISIVE = ("kernels_sha256", "machine", "processor")
LIBRARIES = ("numpy", "scipy")
#: The end of a broken-off recording in which an instruction may be lost while values are not: one writing of all
#: streams, twice as long as the recorder waits for it.
TORN_S = 1.0


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference between record and re-run."""

    stream: str
    #: Row of that stream, counted from 0.
    row: int
    #: The sample index.
    index: int
    #: When it was recorded, from the recording's first sample on.
    time_s: float
    column: str
    recorded: Any
    now: Any

    def __str__(self) -> str:
        return (
            f"{self.stream}, {self.column!r} at sample {self.index} ({self.time_s:.2f} s, row {self.row}): recorded "
            f"{_shown(self.recorded)}, now {_shown(self.now)}"
        )


@dataclass(frozen=True, eq=False)
class Verdict:
    """The result of comparing a re-run with its record."""

    #: Differences from the session: kernels, processor, libraries; then 1e-9 is demanded instead of equal bits.
    others: tuple[str, ...]
    #: Rows that were compared.
    n_values: int
    n_feedback: int
    n_reasons: int
    #: Rows of values and feedback that are equal to the last bit.
    n_same_bits: int
    #: The greatest relative difference of any number.
    worst: float
    #: The first difference beyond the tolerance.
    difference: Difference | None
    #: Recorded rows whose samples are lost with the end of a broken-off recording.
    n_lost: int = 0
    #: Notes for a reader: how far the recording goes, what is uncertain.
    notes: tuple[str, ...] = field(default=())

    @property
    def is_equal(self) -> bool:
        """Whether the re-run is what it has to be."""
        return self.difference is None

    @property
    def demands_bits(self) -> bool:
        """Whether equality to the last bit is demanded."""
        return not self.others


def compare(
    recording: SessionRecording, computed: Computed, here: Mapping[str, Any] | None = None
) -> Verdict:
    """Compare the values computed again with the record.

    Parameters
    ----------
    recording : SessionRecording
    computed : Computed
    here : mapping, optional
        With what it was computed, as `neurofb.recording.provenance` says. Default: this program on this machine.
    """
    settings = settings_of(recording)
    others = tuple(what_differs(settings.get("provenance", {}), provenance() if here is None else here))
    tolerance = TOLERANCE if others else 0.0
    found: list[Difference] = []
    n_same = n_lost = 0
    worst = 0.0
    notes = list(_notes(recording, settings, computed))
    for stream, recorded, now in (
        ("features", recording.features, computed.features),
        ("feedback", recording.feedback, computed.feedback),
    ):
        table = _Compared(stream, recorded, now, recording, computed.rate_hz, tolerance)
        found += table.differences()
        n_same, n_lost, worst = n_same + table.n_same, n_lost + table.n_lost, max(worst, table.worst)
    reasons = _recorded_reasons(recording, computed.n_samples)
    found += _reasons_differ(recording, reasons, computed, exact=not others)
    found.sort(key=lambda each: each.index)
    first = found[0] if found else None
    if n_lost:
        notes.append(f"{n_lost} recorded rows are of samples that were lost with the end of the recording")
    if computed.stopped:
        notes.append(f"the re-run could not follow an instruction: {computed.stopped}")
    torn = _torn_from(recording, computed.rate_hz)
    if first is not None and first.index >= torn:
        notes.append(
            f"from sample {torn} on the recording may lack instructions that broke off with it, so this difference "
            f"says nothing: {first}"
        )
        first = None
    return Verdict(
        others,
        _n_rows(recording.features),
        _n_rows(recording.feedback),
        len(reasons),
        n_same,
        worst,
        first,
        n_lost,
        tuple(notes),
    )


def what_differs(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[str]:
    """Return the differences from the session in whatever the last bits depend on: kernels, processor, libraries."""
    for key in DECISIVE:
        if recorded.get(key) not in (here.get(key), NOT_SHARED):
            words = {"kernels_sha256": "another build of the kernels"}.get(key, f"another {key}")
            yield f"{words} ({_short(recorded.get(key))} then, {_short(here.get(key))} now)"
    then, now = recorded.get("packages", {}), here.get("packages", {})
    for name in LIBRARIES:
        if then.get(name) != now.get(name):
            yield f"another {name} ({then.get(name)} then, {now.get(name)} now)"


class _Compared:
    """One stream's rows, held against each other."""

    def __init__(
        self,
        stream: str,
        recorded: Mapping[str, FloatArray],
        now: Mapping[str, FloatArray],
        recording: SessionRecording,
        rate_hz: float,
        tolerance: float,
    ) -> None:
        self._stream, self._recorded, self._now, self._rate_hz = stream, recorded, now, rate_hz
        self._columns = [name for name in (FEEDBACK if stream == "feedback" else now) if name in now]
        self._lacking = [name for name in self._columns if name not in recorded]
        n_recorded, n_now = _n_rows(recorded), _n_rows(now)
        self._n = n = min(n_recorded, n_now)
        columns = [name for name in self._columns if name in recorded]
        self.n_lost = 0
        if not recording.is_whole and n_recorded > n:
            self.n_lost = int((recorded["index"][n:] >= recording.n_samples).sum())
        self._n_more = n_recorded - n - self.n_lost
        self._n_less = n_now - n if recording.is_whole else 0
        wrong = np.zeros((n, len(columns)), dtype=bool)
        same = np.ones(n, dtype=bool)
        self.worst = 0.0
        for i, name in enumerate(columns):
            ours, theirs = now[name][:n], recorded[name][:n]
            alike = same_bits(theirs, ours)
            same &= alike
            if not alike.all():
                relative = relative_difference(theirs, ours)
                self.worst = max(self.worst, float(relative.max(initial=0.0)))
                wrong[:, i] = ~alike & ~(relative <= tolerance)
        self.n_same = int(same.sum())
        self._names, self._wrong = columns, wrong

    def differences(self) -> Iterator[Difference]:
        """Return the first difference, if there is one."""
        if self._lacking and self._n:
            yield self._at(0, self._lacking[0], "no such column", "a value")
        elif self._wrong.any():
            row = int(self._wrong.any(axis=1).argmax())
            name = self._names[int(self._wrong[row].argmax())]
            yield self._at(row, name, float(self._recorded[name][row]), float(self._now[name][row]))
        elif self._n_more > 0:
            yield self._at(self._n, "index", float(self._recorded["index"][self._n]), "no row")
        elif self._n_less > 0:
            yield self._at(self._n, "index", "no row", float(self._now["index"][self._n]))

    def _at(self, row: int, column: str, recorded: Any, now: Any) -> Difference:
        indices = (self._recorded if row < _n_rows(self._recorded) else self._now)["index"]
        index = int(indices[row])
        return Difference(self._stream, row, index, index / self._rate_hz, column, recorded, now)


def _n_rows(table: Mapping[str, FloatArray]) -> int:
    """Return how many rows there are: none where the recording broke off before a stream began."""
    return len(table.get("index", ()))


def same_bits(a: FloatArray, b: FloatArray) -> np.ndarray:
    """Return which numbers are the same to the last bit; not-a-number is not-a-number, whichever it is."""
    bits = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
    return np.asarray(bits | (np.isnan(a) & np.isnan(b)))


def relative_difference(recorded: FloatArray, now: FloatArray) -> FloatArray:
    """Return by how much numbers differ, relative to the recorded one or to the usual size of its column.

    A z-score near 0 is a small difference of large numbers: relative to itself, nothing could be said about it.
    """
    sizes = np.abs(recorded[np.isfinite(recorded)])
    usual = float(np.median(sizes)) if len(sizes) else 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.abs(now - recorded) / np.maximum(np.abs(recorded), usual or 1.0)
    difference[np.isnan(recorded) & np.isnan(now) | (recorded == now)] = 0.0
    return np.nan_to_num(difference, nan=np.inf, posinf=np.inf)


def _recorded_reasons(recording: SessionRecording, n_samples: int) -> list[tuple[int, str]]:
    return [
        (event.index, event.message if event.kind == "withheld" else "")
        for event in recording.events
        if event.kind in ("withheld", "earning") and event.index is not None
        and (recording.is_whole or event.index < n_samples)
    ]  # fmt: skip


def _reasons_differ(
    recording: SessionRecording, reasons: list[tuple[int, str]], computed: Computed, *, exact: bool
) -> Iterator[Difference]:
    """Return the first reason that is another; the numbers in it count only where bits do."""

    def judged(reason: tuple[int, str]) -> tuple[int, str]:
        return reason if exact else (reason[0], kind_of(reason[1]))

    now = computed.reasons
    for row in range(max(len(reasons), len(now))):
        if row >= len(reasons) and not recording.is_whole:
            return  # told after the recording broke off
        theirs = reasons[row] if row < len(reasons) else None
        ours = now[row] if row < len(now) else None
        if theirs is None or ours is None or judged(theirs) != judged(ours):
            index = min(each[0] for each in (theirs, ours) if each is not None)
            yield Difference(
                "reasons", row, index, index / computed.rate_hz, "why", _reason(theirs), _reason(ours)
            )
            return


def _reason(reason: tuple[int, str] | None) -> str:
    if reason is None:
        return "no change of the reason"
    return f"{reason[1] or 'feedback can be earned'} (from sample {reason[0]})"


def _torn_from(recording: SessionRecording, rate_hz: float) -> int:
    """Return from which sample on instructions may be lost; beyond all samples in a whole recording."""
    if recording.is_whole:
        return recording.n_samples + 1_000_000_000
    return max(0, recording.n_samples - round(TORN_S * rate_hz))


def _notes(recording: SessionRecording, settings: Mapping[str, Any], computed: Computed) -> Iterator[str]:
    if not recording.is_whole:
        until_s = computed.n_samples / computed.rate_hz
        yield f"the recording was broken off; it is compared as far as it goes, {until_s:.1f} s"
    yield from recording.problems
    stated = settings.get("protocol", {}).get("sha256")
    if stated and recording.protocol_text and text_hash(recording.protocol_text) != stated:
        yield "protocol.toml is not the text that the session was run with: its hash is another"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


def _shown(value: Any) -> str:
    return f"{value!r} ({value.hex()})" if isinstance(value, float) else str(value)
