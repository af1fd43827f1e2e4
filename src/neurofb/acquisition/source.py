"""The contract of every source, be it a headset over LSL, a file or a simulated head."""

from __future__ import annotations

from typing import Literal, Protocol

from neurofb.acquisition.arrival_timing import ExpectedArrival
from neurofb.acquisition.received import ReceivedBlock
from neurofb.chunk import Chunk
from neurofb.devices.columns import EegColumns
from neurofb.events import Event
from neurofb.lsl.matching import StreamInfo

#: ``waiting`` before the first sample, ``flowing``, ``stale`` when samples are overdue, ``lost`` when they
#: stay away; a source comes back to ``flowing`` by itself when samples do.
SourceState = Literal["waiting", "flowing", "stale", "lost"]


class Source(Protocol):
    """Samples in µV, in order, with nothing lost in silence.

    Every index from 0 on is delivered exactly once: what never arrived is delivered as NaN, and an event
    says so. ``pull`` never raises for trouble on the line: trouble is a state and an event.
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
        """Which columns of what is received are the EEG; known after ``start``."""
        ...

    def start(self) -> None:
        """Open the stream."""
        ...

    def pull(self, timeout_s: float = 0.0) -> Chunk:
        """Return all samples that have come, waiting at most ``timeout_s`` for the first; maybe none."""
        ...

    @property
    def next_arrival(self) -> ExpectedArrival | None:
        """When the next samples should come, on the live clock; None where that is not known to a millisecond."""
        ...

    def pop_events(self) -> list[Event]:
        """Return what has happened since the last call, in order."""
        ...

    def pop_received(self) -> list[ReceivedBlock]:
        """Return what was received since the last call, as it came: for the record."""
        ...

    def pop_offsets(self) -> list[tuple[float, float]]:
        """Return new corrections of the sender's clock: when measured, and what to add to a stamp, in s."""
        ...

    def flush(self) -> Chunk:
        """Return the samples that are held in doubt, at the end of a session; maybe none."""
        ...

    def stop(self) -> None:
        """Close the stream; harmless when it is closed."""
        ...
