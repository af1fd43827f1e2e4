"""The one place where a session is recorded and sent over LSL.

In: batches of the source, output of the loop, readings, events. Out: the streams of the recording and of LSL. Kept: the
times of the newest samples, ages of feedback for the latency in the status.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Protocol

import numpy as np

from neurofb import messages
from neurofb.acquisition.source import Batch
from neurofb.blinding.side_file import SideFile
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import Clock
from neurofb.devices.columns import EegColumns
from neurofb.events import Event
from neurofb.features.value import FeatureValue
from neurofb.feedback.feedback import FeedbackSample
from neurofb.format import clean
from neurofb.loop.loop import Output
from neurofb.lsl.matching import StreamInfo
from neurofb.recording.disk_state import RecorderState
from neurofb.recording.sample_map import SampleMap, layout_text
from neurofb.recording.writer import Recorder
from neurofb.stimulation.driver import STATES, Reading
from neurofb.xdf.headers import StreamHeader

#: Columns of the feedback in the record; those that LSL sends are among them.
FEEDBACK_COLUMNS: Mapping[str, str] = {
    "index": "sample",
    "level": "none",
    "reward": "none",
    "usable": "none",
    "value": "feature",
    "z": "SD",
    "threshold": "SD",
    "success_index": "none",
    "delay_s": "s",
    "age_s": "s",
}
_FEEDBACK_OF = attrgetter(*FEEDBACK_COLUMNS)
#: What LSL sends of a sample; the age, its last column, is known when it is sent.
_FEEDBACK_SENT = attrgetter(*(name for name in messages.FEEDBACK_COLUMNS if name != "age_s"))
SAMPLE_MAP_COLUMNS = ("first_index", "n_samples", "first_received", "blank_channel")
#: How many of the newest ages are kept for the latency in the status, about five minutes.
N_AGES = 10_000
#: So many different failures of the listener are logged: one that raises with a new text each time does not fill the
#: record.
N_LISTENER_ERRORS = 5
#: A warning is in the status for so long after it was logged last. Assumed: somebody looks twice a minute.
WARNED_S = 30.0
#: Events that the operator's screen shows as warnings, whoever logs them.
WARNINGS = (
    "reopened",
    "reordered",
    "converted",
    "changed",
    "other_source",
    "second_sender",
    "several",
    "foreign_clock",
    "rate",
)


class Publishing(Protocol):
    """The outlets of a session."""

    def eeg(self, chunk: Chunk) -> None: ...
    def features(self, row: FloatArray, time_s: float) -> None: ...
    def feedback(self, row: Sequence[float], time_s: float) -> None: ...
    def yield_after_send(self) -> None: ...
    def stimulus(self, target_c: float, measured_c: float, state: int, site: int, time_s: float) -> None: ...
    def event(self, document: str, time_s: float) -> None: ...
    @property
    def uids(self) -> Mapping[str, str]: ...
    def status(self, document: str, time_s: float) -> None: ...
    @property
    def is_watched(self) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class LogColumns:
    """The columns of a session's record."""

    #: The source's stream, every column labelled.
    info: StreamInfo
    #: The columns that are the channels of chunks.
    eeg: EegColumns
    #: Name → unit, in their order.
    features: Mapping[str, str]
    #: Where heat may be applied; the record numbers them in this order.
    sites: Sequence[str] = ()


class SessionLog:
    """The record of a session and its streams.

    Parameters
    ----------
    recorder : Recorder
    publisher : Publishing or None
        None for a session that is not sent anywhere.
    clock : Clock
    columns : LogColumns
    on_event : callable, optional
        Called with each event; what it raises is logged once, and it is called with the next all the same.
    side_file : SideFile, optional
        Of a blinded session: features, feedback and results of blocks are sealed in it, and not in the record.
    """

    def __init__(
        self,
        recorder: Recorder,
        publisher: Publishing | None,
        clock: Clock,
        columns: LogColumns,
        on_event: Callable[[Event], None] | None = None,
        side_file: SideFile | None = None,
    ) -> None:
        self._side_file = side_file
        self._recorder, self._publisher, self._clock = recorder, publisher, clock
        self._on_event = on_event
        self._listener_errors: set[str] = set()
        self._names = {name: 1 + 2 * i for i, name in enumerate(columns.features)}
        self._row = np.full(1 + 2 * len(columns.features), np.nan)
        self._sites = {site: i for i, site in enumerate(columns.sites)}
        self._sample_map = SampleMap(len(columns.eeg.labels))
        self._times_s, self._times_from = np.empty(0), 0
        self._warnings: dict[str, float] = {}
        self._last_why = ""
        self._late_sync_s: float | None = None
        self.ages_s: deque[float] = deque(maxlen=N_AGES)
        self.newest_s = float("nan")
        self.n_received = self.n_missing = 0
        self._streams = {name: recorder.add_stream(header) for name, header in _headers(columns).items()}

    def recorder_state(self, now_s: float) -> RecorderState:
        """Return how the recording is; never waits for the disk."""
        return self._recorder.state(now_s)

    # -- samples and what is made of them ----------------------------------------------------------------------

    def write(self, batch: Batch, output: Output) -> list[FeedbackSample]:
        """Send and record a batch and the loop's output for it; return the feedback with its age.

        Feedback goes out before anything is recorded. Events of the batch are logged by themselves (`log_event`), when
        what follows from the samples has been done.
        """
        chunk = batch.chunk
        if len(chunk):
            self._times_s, self._times_from = chunk.times_s, chunk.first_index
            self.newest_s = chunk.times_s.item(-1)
        try:
            aged = self.write_feedback(output.samples)
            self._write_values(output.values)
            if self._side_file is not None and output.measured is not None:
                self._keep_measured(self._side_file, output.measured)
        finally:
            self._write_received(batch)
        if len(chunk):
            self._sample_map.add_chunk(chunk)
            self.n_missing += int(np.isnan(chunk.received_s).sum())
            if self._publisher is not None:
                self._publisher.eeg(chunk)
        return aged

    def _write_received(self, batch: Batch) -> None:
        for block in batch.raw:
            self._recorder.append(self._streams["eeg"], block.values, block.stamps_s)
            self._sample_map.add_received(block.stamps_s)
            self.n_received += len(block.stamps_s)
        for time_s, offset_s in batch.clock_offsets:
            self._recorder.append_offset(self._streams["eeg"], time_s, offset_s)

    def time_of(self, index: int) -> float:
        """Return the time of a sample of the newest chunk; of an older or later one by the nearest of it."""
        if not len(self._times_s):
            return self._clock.now_s()
        return float(self._times_s[min(max(index - self._times_from, 0), len(self._times_s) - 1)])

    def _write_values(self, values: Sequence[FeatureValue]) -> None:
        """Send and record values, those of one sample index in one row."""
        for row, time_s in self._rows(values):
            if self._publisher is not None:
                self._publisher.features(row[1:], time_s)
            self._keep("features", row[None], np.array((time_s,)))

    def _keep_measured(self, side_file: SideFile, values: Sequence[FeatureValue]) -> None:
        for row, time_s in self._rows(values):
            side_file.append("measured", row[None], np.array((time_s,)))

    def _rows(self, values: Sequence[FeatureValue]) -> Iterator[tuple[FloatArray, float]]:
        """Yield a row for each sample index, and its time."""
        row = self._row
        for i, value in enumerate(values):
            at = self._names[value.name]
            row[at], row[at + 1] = value.value, value.usable
            if i + 1 == len(values) or values[i + 1].index != value.index:
                row[0] = value.index
                yield row.copy(), self.time_of(value.index)
                row.fill(np.nan)

    def _keep(self, stream: str, rows: FloatArray, times_s: FloatArray) -> None:
        """Record rows of features or feedback; of a blinded session in its sealed half."""
        if self._side_file is None:
            self._recorder.append(self._streams[stream], rows, times_s)
        else:
            self._side_file.append(stream, rows, times_s)

    def write_feedback(self, samples: Sequence[FeedbackSample]) -> list[FeedbackSample]:
        """Send and record feedback; return it with its age. A new reason for withheld feedback is an event."""
        if not samples:
            return []
        out_s, ages_s = [], []
        for sample in samples:  # all are out before anything else is done
            now_s = self._clock.now_s()
            age_s = now_s - min(self.time_of(sample.index), self.newest_s)
            if self._publisher is not None:
                self._publisher.feedback((*_FEEDBACK_SENT(sample), age_s), now_s)
            out_s.append(now_s)
            ages_s.append(age_s)
        if self._publisher is not None:
            self._publisher.yield_after_send()
        aged = [sample.with_age(age_s) for sample, age_s in zip(samples, ages_s, strict=True)]
        self.ages_s.extend(ages_s)
        rows = np.array([_FEEDBACK_OF(sample) for sample in aged], dtype=np.float64)
        self._keep("feedback", rows, np.array(out_s))
        for sample, now_s in zip(aged, out_s, strict=True):
            self._log_reason(sample, now_s)
        return aged

    def _log_reason(self, sample: FeedbackSample, now_s: float) -> None:
        if sample.why == self._last_why:
            return
        self._last_why = sample.why
        kind = "withheld" if sample.why else "earning"
        self.log_event(Event(kind, now_s, sample.why or "feedback can be earned", sample.index))

    def write_readings(self, readings: Sequence[Reading], site: str | None) -> None:
        """Record and send readings of the stimulator."""
        number = self._sites.get(site or "", -1)
        for each in readings:
            state = STATES.index(each.state)
            row = np.array([[each.target_c, each.measured_c, state, number]])
            self._recorder.append(self._streams["stimulus"], row, np.array((each.time_s,)))
            if self._publisher is not None:
                self._publisher.stimulus(each.target_c, each.measured_c, state, number, each.time_s)

    # -- what happens ------------------------------------------------------------------------------------------

    def log(
        self, kind: str, message: str, index: int | None = None, time_s: float | None = None, **details: Any
    ) -> None:
        """Log an event of a kind; it happened now if ``time_s`` is None."""
        self.log_event(
            Event(kind, self._clock.now_s() if time_s is None else time_s, message, index, details)
        )

    def log_event(self, event: Event) -> None:
        """Record and send an event, and pass it to the listener."""
        event = replace(event, message=clean(event.message, lines=True))
        if event.kind in WARNINGS:
            self._warnings[event.message] = event.time_s
        document = event.to_json()
        self._recorder.append(self._streams["events"], [document], np.array((event.time_s,)))
        if self._publisher is not None:
            self._publisher.event(document, event.time_s)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception as error:  # a listener that fails must not end a session with a person in it
                self._log_listener_failure(repr(error))

    def _log_listener_failure(self, error: str) -> None:
        """Log a failure of the listener the first time; the next event is passed to it all the same."""
        if error not in self._listener_errors and len(self._listener_errors) < N_LISTENER_ERRORS:
            self._listener_errors.add(error)
            self.log("error", f"the listener of events missed one: {error}")

    def log_block(self, kind: str, message: str, index: int, result: Mapping[str, Any]) -> None:
        """Log the result of a block; of a blinded session its numbers are sealed, and what was withheld is not."""
        if self._side_file is None:
            self.log(kind, message, index, **result)
            return
        self._side_file.note(kind, index=index, **result)
        self.log(kind, message, index, condition=result.get("condition"), withheld=result.get("withheld"))

    def warn(self, kind: str, message: str, index: int | None, now_s: float, **details: Any) -> None:
        """Log an event that the operator must see; its message is among ``warnings`` for a while."""
        self._warnings[message] = now_s
        self.log(kind, message, index, now_s, **details)

    def warnings(self, now_s: float) -> tuple[str, ...]:
        """Return what the operator must see, the newest first."""
        self._warnings = {each: at_s for each, at_s in self._warnings.items() if now_s - at_s < WARNED_S}
        return tuple(sorted(self._warnings, key=lambda each: -self._warnings[each]))

    @property
    def outlet_uids(self) -> Mapping[str, str]:
        """LSL's own ids of the session's outlets, by name; empty where nothing is sent."""
        return {} if self._publisher is None else self._publisher.uids

    @property
    def is_watched(self) -> bool:
        """Whether anybody reads the status over LSL."""
        return self._publisher is not None and self._publisher.is_watched

    def send_status(self, document: str) -> None:
        """Send the status; it is not recorded, because all of it is in the other streams."""
        if self._publisher is not None:
            self._publisher.status(document, self._clock.now_s())

    def flush(self) -> None:
        """Write to disk what is due."""
        now_s = self._clock.now_s()
        if not self._recorder.is_due(now_s):
            self._recorder.flush(now_s)  # the first begins the period
            return
        self._write_sample_map()  # samples without their places are lost
        self._recorder.flush(now_s)
        self._log_late_sync(now_s)

    def _log_late_sync(self, now_s: float) -> None:
        """Log when the disk syncs so late that a power cut would cost more than promised, and when it syncs again."""
        state = self._recorder.state(now_s)
        if state.is_sync_late:
            if self._late_sync_s is None:
                words = (
                    f"{state.why}: a power cut now costs that much of the recording, not at most a second; after the "
                    "session, choose a faster disk with --data"
                )
                self.log("sync_late", words, sync_age_s=state.sync_age_s)
            self._late_sync_s = state.sync_age_s
        elif self._late_sync_s is not None:
            words = f"the disk syncs again, after more than {self._late_sync_s:.1f} s"
            self.log("sync_resumed", words, sync_age_s=self._late_sync_s)
            self._late_sync_s = None

    def _write_sample_map(self) -> None:
        rows, stamps_s = self._sample_map.pop_rows()
        if len(rows):
            self._recorder.append(self._streams["placement"], rows, stamps_s)

    def close(self) -> None:
        """Close the record and the streams."""
        try:
            self._write_sample_map()
            self._recorder.close()
        finally:
            self._close_others()

    def _close_others(self) -> None:
        try:
            if self._side_file is not None:
                self._side_file.write()
        finally:
            if self._publisher is not None:
                self._publisher.close()


def _numbers(name: str, kind: str, columns: Mapping[str, str], **desc: str) -> StreamHeader:
    return StreamHeader(
        name=name,
        type=kind,
        channel_format="double64",
        rate_hz=0.0,
        labels=tuple(columns),
        units=tuple(columns.values()),
        desc=desc,
    )


def _headers(columns: LogColumns) -> dict[str, StreamHeader]:
    """Return the headers of the record's streams, in the order in which people look for them."""
    info, eeg = columns.info, columns.eeg
    value_columns = {"index": "sample"}
    for name, unit in columns.features.items():
        value_columns |= {name: unit or "none", f"{name}.usable": "none"}
    return {
        "eeg": StreamHeader(
            name=info.name,
            type=info.type or "EEG",
            channel_format=info.value_format,
            rate_hz=info.rate_hz,
            labels=info.labels,
            units=info.units,
            source_id=info.source_id,
            uid=info.uid,
            hostname=info.hostname,
            desc={"manufacturer": info.manufacturer},
        ),
        "placement": StreamHeader(
            name="neurofb-placement",
            type="Placement",
            channel_format="double64",
            rate_hz=0.0,
            labels=SAMPLE_MAP_COLUMNS,
            desc={"layout": layout_text(eeg, info.rate_hz)},
        ),
        "features": _numbers(messages.FEATURES, "Features", value_columns),
        "feedback": _numbers(messages.FEEDBACK, "Feedback", FEEDBACK_COLUMNS),
        "stimulus": _numbers(
            messages.STIMULUS, "Stimulus", messages.STIMULUS_COLUMNS, sites=json.dumps(list(columns.sites))
        ),
        "events": StreamHeader(
            name=messages.EVENTS,
            type="Markers",
            channel_format="string",
            rate_hz=0.0,
            labels=("document",),
        ),
    }
