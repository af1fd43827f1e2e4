"""A playback sent on, chunk by chunk: what ``neurofb play`` does between opening and closing.

In: a ``PlaybackSource`` and something that takes samples. Out: the samples, in time. Samples that the recording
lacks are not sent, as no headset sends them: whoever receives the stream has to find the gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from neurofb.acquisition.playback import PlaybackSource
from neurofb.chunk import FloatArray
from neurofb.documents import Event

#: How long one pull may wait: the progress is shown and an interrupt is heard at least this often.
_PATIENCE_S = 0.25


class Sink(Protocol):
    """What takes samples, such as an LSL outlet."""

    def push(self, samples_uv: FloatArray, stamps_s: FloatArray) -> None:
        """Send samples of shape ``(n_samples, n_channels)`` with their time stamps in seconds."""
        ...


def play(
    source: PlaybackSource,
    sink: Sink,
    on_progress: Callable[[int], None] | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> None:
    """Send a whole recording; returns when it is over, in a loop never.

    Parameters
    ----------
    source : PlaybackSource
        Started here.
    sink : Sink
        Takes the samples that are there; those that are missing in the recording are not sent.
    on_progress : callable, optional
        Told how many samples have been played, missing ones counted.
    on_event : callable, optional
        Told of gaps, and of the end.
    """
    source.start()
    try:
        while not source.finished:
            chunk = source.pull(_PATIENCE_S)
            came = ~np.isnan(chunk.received_s)
            if came.any():
                sink.push(chunk.samples[came], chunk.times_s[came])
            for event in source.take_events():
                if on_event is not None:
                    on_event(event)
            if on_progress is not None:
                on_progress(source.n_given)
    finally:
        source.stop()
