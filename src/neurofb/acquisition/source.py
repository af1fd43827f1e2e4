"""The contract of every source: a headset over LSL, a file, a simulated head. A source returns one `Batch` a call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from neurofb.acquisition.arrival_timing import ExpectedArrival
from neurofb.acquisition.received import ReceivedBlock
from neurofb.chunk import Chunk
from neurofb.devices.columns import EegColumns
from neurofb.events import Event
from neurofb.lsl.matching import StreamInfo

#: ``waiting`` before the first sample, ``silent`` when none has come for seconds, ``flowing``, ``stale`` when samples
#: are overdue, ``lost`` when they stay away; a source comes back to ``flowing`` by itself when samples do. ``changed``:
#: the stream is there again under a description that does not fit, and is not read.
SourceState = Literal["waiting", "silent", "flowing", "stale", "lost", "changed"]
#: States in which nothing comes that could be used.
AWAY: tuple[SourceState, ...] = ("lost", "changed")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The output of a source since the last ``pull``."""

    #: The next samples in µV, each index once; maybe none.
    chunk: Chunk
    #: Samples as received, for the recording; may hold samples that are not in the chunk yet.
    raw: Sequence[ReceivedBlock] = ()
    #: New corrections of the sender's clock: when measured, and what to add to a stamp, in s.
    clock_offsets: Sequence[tuple[float, float]] = ()
    #: In order of time.
    events: Sequence[Event] = ()
    #: Why these samples, and those to come, must earn nothing: what the stream is found to be; "" if they may.
    unfit: str = ""

    def followed_by(self, later: Batch) -> Batch:
        """Return both as one batch; this one has no samples in its chunk."""
        if not (self.raw or self.clock_offsets or self.events):
            return later
        return Batch(
            later.chunk,
            (*self.raw, *later.raw),
            (*self.clock_offsets, *later.clock_offsets),
            (*self.events, *later.events),
            later.unfit,
        )


class Source(Protocol):
    """Samples in µV, in order, with nothing lost in silence.

    Every index from 0 on is delivered once: what never arrived is delivered as NaN, with an event. ``pull`` never
    raises for trouble on the line: trouble is a state and an event.
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """Channel labels in the order of the columns."""
        ...

    @property
    def rate_hz(self) -> float:
        """The nominal rate."""
        ...

    @property
    def state(self) -> SourceState:
        """The state of the stream, as of the last ``pull``."""
        ...

    @property
    def stream_info(self) -> StreamInfo:
        """The description of the stream, every column labelled; known after ``start``."""
        ...

    @property
    def eeg_columns(self) -> EegColumns:
        """The EEG columns of the received samples; known after ``start``."""
        ...

    def start(self) -> None:
        """Open the stream."""
        ...

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return all new samples, waiting at most ``timeout_s`` for the first, with raw samples and events."""
        ...

    @property
    def next_arrival(self) -> ExpectedArrival | None:
        """Expected time of the next arrival, on the live clock; None while it is not certain to a millisecond."""
        ...

    def flush(self) -> Batch:
        """Return the samples held at the end of a session, with raw samples and events."""
        ...

    def stop(self) -> None:
        """Close the stream; harmless when it is closed."""
        ...
