"""The common part of sources that make their samples themselves: a played recording, a simulated headset.

Out: batches in µV, as doubles, on this computer's clock; no sample is ever in doubt. Kept: raw blocks and events until
the next batch.
"""

from __future__ import annotations

from neurofb.acquisition.arrival_timing import ExpectedArrival
from neurofb.acquisition.received import ReceivedBlock, generated_info
from neurofb.acquisition.source import Batch, SourceState
from neurofb.chunk import Chunk
from neurofb.devices.columns import EegColumns
from neurofb.events import Event
from neurofb.lsl.matching import StreamInfo


class GeneratedSource:
    """The part of an ``acquisition.source.Source`` that does not depend on where samples are from.

    Parameters
    ----------
    name : str
        Of the stream, in the recording.
    labels : tuple of str
    rate_hz : float
    keep_raw : bool
        Whether batches hold the samples as they came, for the record.
    """

    def __init__(self, name: str, labels: tuple[str, ...], rate_hz: float, *, keep_raw: bool) -> None:
        self._name, self._labels, self._rate_hz = name, labels, rate_hz
        self._keep_raw = keep_raw
        self._next_index = 0
        self._state: SourceState = "waiting"
        self._raw: list[ReceivedBlock] = []
        self._events: list[Event] = []

    @property
    def labels(self) -> tuple[str, ...]:
        """Channel labels in the order of the columns."""
        return self._labels

    @property
    def rate_hz(self) -> float:
        """The nominal rate."""
        return self._rate_hz

    @property
    def state(self) -> SourceState:
        """The state of the stream, as of the last ``pull``; ``lost`` when a recording is over."""
        return self._state

    @property
    def next_arrival(self) -> ExpectedArrival | None:
        """None: samples are made when they are asked for."""
        return None

    @property
    def stream_info(self) -> StreamInfo:
        """The description of the stream."""
        return generated_info(self._name, self._labels, self._rate_hz)

    @property
    def eeg_columns(self) -> EegColumns:
        """Which columns are the EEG: all."""
        return EegColumns.in_microvolts(self._labels)

    def flush(self) -> Batch:
        """Return no samples: none is held in doubt."""
        return self._batch(Chunk.empty(self._next_index, len(self._labels)))

    def _batch(self, chunk: Chunk) -> Batch:
        """Return a batch of samples, with the raw samples and events since the last one."""
        raw, self._raw = self._raw, []
        events, self._events = self._events, []
        return Batch(chunk, raw, (), events)
