"""A recording as a source, and ``neurofb play``, which sends one on the network as a headset would.

In: a ``Recording`` and a clock. Out: chunks, as a headset would send them. Kept: how far it has played.

At another speed samples come sooner, but the EEG is the same: rate and time stamps are those of real time, so
that every number made of them is the same too. The stamps then run ahead of the clock, or fall behind it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from neurofb.acquisition.generated_source import GeneratedSource
from neurofb.acquisition.readers.recording import Recording
from neurofb.acquisition.received import ReceivedBlock
from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import Clock
from neurofb.errors import WrongInput
from neurofb.events import Event

#: Clocks are read in doubles: a sample due now must not be late by the last digit.
_ROUNDING_SAMPLES = 1e-6
#: How long one pull may wait: progress and interrupts are served at least this often.
_PULL_TIMEOUT_S = 0.25
#: How many samples are read from the file at a time.
_PIECE_SAMPLES = 1 << 12
#: What one pull returns at most: at a speed that no disk keeps up with all of a file would be due at once.
_MOST_SAMPLES = 1 << 14
#: How often a waiting stream polls for a listener.
_POLL_S = 0.05


class PlaybackSource(GeneratedSource):
    """The samples of a recording as an ``acquisition.source.Source``.

    Sample ``i`` has the time ``start + i / rate_hz`` and is due at ``start + i / rate_hz / speed``; a chunk comes
    when its last sample is due.

    Parameters
    ----------
    recording : Recording
        The recording to play.
    clock : Clock
        When samples are due, and what ``pull`` waits on.
    chunk_samples : int
        How many samples come at once, as packets of a headset do.
    speed : float
        How many times as fast as it was recorded.
    loop : bool
        Begin again at the end, on and on; else the source is ``lost`` when the recording is over.
    keep_raw : bool
        Whether batches hold the samples as they came, for the record.
    """

    def __init__(
        self,
        recording: Recording,
        clock: Clock,
        *,
        chunk_samples: int = 8,
        speed: float = 1.0,
        loop: bool = False,
        keep_raw: bool = False,
    ) -> None:
        if chunk_samples < 1:
            raise WrongInput(f"a chunk holds at least 1 sample, found chunk_samples = {chunk_samples}")
        if not (speed > 0 and math.isfinite(speed)):
            raise WrongInput(f"a speed is a number above 0, such as 1 or 2.5; found {speed}")
        super().__init__("recording", recording.labels, recording.rate_hz, keep_raw=keep_raw)
        self.recording = recording
        self.chunk_samples = chunk_samples
        self.loop = loop
        self._clock = clock
        self._speed = speed
        self._gaps = recording.gaps()
        self._start_s: float | None = None
        #: The piece of the recording that is played now, and the index of its first sample.
        self._piece = recording.read(0, min(_PIECE_SAMPLES, self._n_samples))
        self._piece_first = 0

    def __repr__(self) -> str:
        return (
            f"<PlaybackSource of {self._n_samples} samples, {len(self.labels)} channels, "
            f"{self.rate_hz:g} Hz{', looped' if self.loop else ''}>"
        )

    @property
    def finished(self) -> bool:
        """True once the whole recording has been played; never in a loop."""
        return not self.loop and self._next_index >= self._n_samples

    @property
    def n_played(self) -> int:
        """Number of samples played since the start, in all rounds together."""
        return self._next_index

    @property
    def _n_samples(self) -> int:
        return self.recording.n_samples

    def start(self) -> None:
        """Start at sample 0, due now; a source that was started before starts again."""
        self._start_s = self._clock.now_s()
        self._next_index = 0
        self._state = "waiting"

    def stop(self) -> None:
        """Stop; harmless when stopped."""
        self._start_s = None

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return the samples that are due, waiting at most ``timeout_s`` for the first; maybe none.

        Where more than some thousand are due, the others come with the next pull.
        """
        if self._start_s is None:
            raise WrongInput("a playback gives samples between start() and stop(); call start() first")
        end = self._due(self._start_s)
        if end == self._next_index and timeout_s > 0 and not self.finished:
            last_of_next = self._chunk_end(self._next_index + self.chunk_samples) - 1
            due_s = self._start_s + last_of_next / (self.rate_hz * self._speed)
            self._clock.wait_until(min(due_s, self._clock.now_s() + timeout_s))
            end = self._due(self._start_s)
        return self._batch(self._emit(end, self._start_s))

    def _due(self, start_s: float) -> int:
        """Return the index up to which whole chunks are due."""
        passed_s = self._clock.now_s() - start_s
        n_due = math.floor(passed_s * self.rate_hz * self._speed + _ROUNDING_SAMPLES) + 1
        n_due = min(n_due, self._next_index + max(_MOST_SAMPLES, self.chunk_samples))
        if not self.loop and n_due >= self._n_samples:
            return self._n_samples
        return max(self._next_index, n_due // self.chunk_samples * self.chunk_samples)

    def _chunk_end(self, index: int) -> int:
        """Return the end of the chunk that ``index`` completes: the last one may be shorter."""
        whole = index // self.chunk_samples * self.chunk_samples
        return whole if self.loop else min(whole, self._n_samples)

    def _emit(self, end: int, start_s: float) -> Chunk:
        first, self._next_index = self._next_index, end
        indices = np.arange(first, end)
        samples = self._samples(first, end)
        times_s = start_s + indices / self.rate_hz
        received_s = np.where(np.isnan(samples).all(axis=1), np.nan, times_s)
        if end > first:
            if self._keep_raw:
                there = ~np.isnan(received_s)
                self._raw.append(ReceivedBlock(samples[there], received_s[there]))
            self._state = "flowing"
            self._log_gaps(first, end, start_s)
            self._log_ends(first, end, start_s)
        return Chunk(samples, first, received_s, times_s)

    def _samples(self, first: int, end: int) -> FloatArray:
        """Return samples by their index since the start, read from the file a piece at a time."""
        samples = np.empty((end - first, len(self.labels)))
        done = first
        while done < end:
            index = done % self._n_samples
            if not self._piece_first <= index < self._piece_first + len(self._piece):
                self._piece_first = index // _PIECE_SAMPLES * _PIECE_SAMPLES
                last = min(self._piece_first + _PIECE_SAMPLES, self._n_samples)
                self._piece = self.recording.read(self._piece_first, last)
            at = index - self._piece_first
            part = self._piece[at : at + end - done]
            samples[done - first : done - first + len(part)] = part
            done += len(part)
        return samples

    def _log_gaps(self, first: int, end: int, start_s: float) -> None:
        """Log each gap that begins in this chunk."""
        for round_start in range(first // self._n_samples * self._n_samples, end, self._n_samples):
            for gap_first, length in self._gaps:
                index = round_start + gap_first
                if first <= index < end:
                    lasts_s = length / self.rate_hz
                    self._log(
                        "gap",
                        index,
                        start_s,
                        f"{length} samples ({lasts_s:.3f} s) are missing in the recording",
                        missing_samples=length,
                        missing_s=lasts_s,
                    )

    def _log_ends(self, first: int, end: int, start_s: float) -> None:
        """Log that the recording begins again or is over."""
        for index in range(-(-max(first, 1) // self._n_samples) * self._n_samples, end, self._n_samples):
            self._log("looped", index, start_s, "the recording begins again; the samples do not join")
        if self.finished:
            self._state = "lost"
            self._log("ended", end - 1, start_s, f"the recording is over after {end} samples", n_samples=end)

    def _log(self, kind: str, index: int, start_s: float, message: str, **details: float) -> None:
        self._events.append(Event(kind, start_s + index / self.rate_hz, message, index, details))


class Sink(Protocol):
    """Receiver of played samples, such as an LSL outlet."""

    def push(self, samples_uv: FloatArray, stamps_s: FloatArray) -> None:
        """Send samples of shape ``(n_samples, n_channels)`` with their time stamps in seconds."""
        ...

    def has_listeners(self) -> bool:
        """Return whether there is a listener."""
        ...


def wait_for_listener(sink: Sink, clock: Clock) -> None:
    """Wait until the outlet has a listener, so that it receives the first sample."""
    while not sink.has_listeners():
        clock.wait_until(clock.now_s() + _POLL_S)


def play(
    source: PlaybackSource,
    sink: Sink,
    on_progress: Callable[[int], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> None:
    """Send a whole recording; returns at its end, never in a loop.

    Parameters
    ----------
    source : PlaybackSource
        Started and stopped here.
    sink : Sink
        Receives the samples that are there; missing ones are not sent.
    on_progress : callable, optional
        Called with the number of samples played, missing ones counted.
    on_event : callable, optional
        Called with each event: gaps, and the end.
    """
    source.start()
    try:
        while not source.finished:
            batch = source.pull(_PULL_TIMEOUT_S)
            chunk = batch.chunk
            came = ~np.isnan(chunk.received_s)
            if came.any():
                sink.push(chunk.samples[came], chunk.times_s[came])
            for event in batch.events:
                if on_event is not None:
                    on_event(event)
            if on_progress is not None:
                on_progress(source.n_played)
    finally:
        source.stop()
