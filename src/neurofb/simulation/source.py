"""A simulated headset as a source on a clock, for engine, studies and tests without LSL.

In: a ``Headset`` and a clock, most often a manual one. Out: chunks as every source gives them. Kept: the
place of the next sample and the state of the stream.

The source knows its headset's losses, it need not find them: lost samples are NaN (also those that arrive as
zeros), times are true times. Streams that hide their losses are for ``acquisition``, over LSL.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neurofb.acquisition.generated_source import GeneratedSource
from neurofb.acquisition.received import ReceivedBlock
from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import Clock
from neurofb.errors import WrongInput
from neurofb.events import Event
from neurofb.simulation.arrivals import Arrival
from neurofb.simulation.headset import Headset

LOST_AFTER_S = 2.0


class SimulatedSource(GeneratedSource):
    """Implements ``acquisition.source.Source``.

    Parameters
    ----------
    headset : Headset
    labels : sequence of str
    clock : Clock
        The headset's ``start_s`` is a reading of this clock.
    keep_raw : bool
        Whether batches hold the samples as they arrived, for the record.
    """

    def __init__(
        self, headset: Headset, labels: Sequence[str], clock: Clock, *, keep_raw: bool = False
    ) -> None:
        if len(labels) != headset.head.n_electrodes:
            raise WrongInput(
                f"the head has {headset.head.n_electrodes} electrodes, found {len(labels)} labels: "
                f"{', '.join(labels)}; give one for each"
            )
        super().__init__("simulated", tuple(labels), headset.head.rate_hz, keep_raw=keep_raw)
        self.headset = headset
        self._clock = clock
        self._open = False
        self._last_arrival_s = headset.start_s
        settings = headset.settings
        period_s = 1.0 / headset.head.rate_hz
        # Overdue is what is later than a packet, the radio's interval and nearly all jitter explain.
        burst_s = settings.packet_samples * period_s + settings.interval_s + 7 * settings.jitter_s
        self._stale_after_s = 3 * period_s + burst_s

    def start(self) -> None:
        """Open the stream."""
        self._open = True

    def stop(self) -> None:
        """Close the stream; harmless when it is closed."""
        self._open = False

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return all samples that have come, waiting at most ``timeout_s`` for the first; maybe none."""
        if not self._open:
            raise WrongInput("the simulated source is not started; call start() first")
        deadline_s = self._clock.now_s() + timeout_s
        arrivals = self.headset.advance_to(self._clock.now_s())
        while not arrivals and self._clock.now_s() < deadline_s:
            packet_s = self.headset.settings.packet_samples / self.rate_hz
            self._clock.wait_until(min(deadline_s, self._clock.now_s() + packet_s))
            arrivals = self.headset.advance_to(self._clock.now_s())
        self._watch(arrivals)
        return self._batch(self._chunk(arrivals))

    def _watch(self, arrivals: list[Arrival]) -> None:
        """Follow the state of the stream and log its changes."""
        now_s = self._clock.now_s()
        for arrival in arrivals:
            self._check_silence(arrival.arrival_s)
            if self._state in ("stale", "lost"):
                away_s = arrival.arrival_s - self._last_arrival_s
                message = f"samples come again after {away_s:.3f} s"
                self._log("resumed", arrival.arrival_s, message, arrival.first_index, away_s=away_s)
            self._state = "flowing"
            self._last_arrival_s = arrival.arrival_s
        self._check_silence(now_s)

    def _check_silence(self, now_s: float) -> None:
        away_s = now_s - self._last_arrival_s
        if self._state == "flowing" and away_s > self._stale_after_s:
            self._state = "stale"
            stale_s = self._last_arrival_s + self._stale_after_s
            self._log("stale", stale_s, f"no samples for {self._stale_after_s:.3f} s", None)
        if self._state == "stale" and away_s > LOST_AFTER_S:
            self._state = "lost"
            lost_s = self._last_arrival_s + LOST_AFTER_S
            self._log("lost", lost_s, f"no samples for {LOST_AFTER_S:g} s", None)

    def _log(self, kind: str, time_s: float, message: str, index: int | None, **details: object) -> None:
        self._events.append(Event(kind, time_s, message, index, details))

    def _chunk(self, arrivals: list[Arrival]) -> Chunk:
        first_index = self._next_index
        samples: list[FloatArray] = [np.empty((0, len(self._labels)))]
        received: list[FloatArray] = [np.empty(0)]
        for arrival in arrivals:
            if self._keep_raw:
                self._raw.append(ReceivedBlock(arrival.samples, arrival.stamps_s))
            missing = arrival.first_index - self._next_index
            if missing:
                samples.append(np.full((missing, len(self._labels)), np.nan))
                received.append(np.full(missing, np.nan))
                self._gap(arrival.arrival_s, self._next_index, missing, "never came", self._labels)
            values = arrival.samples
            if arrival.zeroed.any():
                values = np.where(arrival.zeroed, np.nan, values)
                hit = [label for label, lost in zip(self._labels, arrival.zeroed, strict=True) if lost]
                self._gap(arrival.arrival_s, arrival.first_index, len(values), "came as zeros", hit)
            samples.append(values)
            received.append(arrival.stamps_s)
            self._next_index = arrival.first_index + len(values)
        times_s = self.headset.true_times_s(first_index, self._next_index - first_index)
        return Chunk(np.concatenate(samples), first_index, np.concatenate(received), times_s)

    def _gap(self, time_s: float, index: int, n_samples: int, how: str, channels: Sequence[str]) -> None:
        message = f"{n_samples} samples from {index} on {how} on {', '.join(channels)}"
        self._log("gap", time_s, message, index, n_samples=n_samples, channels=list(channels))
