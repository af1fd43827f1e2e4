"""``neurofb play``: a recording on the network, as a headset would send it.

In: a ``PlaybackSource`` and something that takes samples. Out: the samples, in time. Samples that the recording
lacks are not sent, as no headset sends them: whoever receives the stream has to find the gap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from neurofb.acquisition.playback import PlaybackSource
from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.events import Event

#: How long one pull may wait: the progress is shown and an interrupt is heard at least this often.
_PATIENCE_S = 0.25
#: How often a stream that waits looks for somebody who listens.
_LOOK_S = 0.05


class Sink(Protocol):
    """What takes samples, such as an LSL outlet."""

    def push(self, samples_uv: FloatArray, stamps_s: FloatArray) -> None:
        """Send samples of shape ``(n_samples, n_channels)`` with their time stamps in seconds."""
        ...

    def has_listeners(self) -> bool:
        """Return whether anybody takes them."""
        ...


def wait_for_listener(sink: Sink, clock: Clock) -> None:
    """Return when somebody listens, so that nobody misses the beginning."""
    while not sink.has_listeners():
        clock.wait_until(clock.now_s() + _LOOK_S)


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
        Started and stopped here.
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
            for event in source.pop_events():
                if on_event is not None:
                    on_event(event)
            if on_progress is not None:
                on_progress(source.n_given)
    finally:
        source.stop()
