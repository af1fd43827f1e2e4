"""Cache warm-up just before the sample that completes a hop.

In: the time at which samples are due, the loop. Out: batches of the source, sooner. Kept: how long a warm-up takes.

A computation that runs once in 32 ms takes three times as long as the same computation repeated at once, because other
programs have used the processor's caches in between. So a second loop processes the previous hop just before the sample
is due that completes the next. The output of that loop is discarded; no bit of any result changes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from neurofb.acquisition.arrival_timing import ExpectedArrival
from neurofb.acquisition.source import Batch, Source
from neurofb.chunk import Chunk
from neurofb.clock import Clock
from neurofb.feedback.settings import Condition
from neurofb.loop.loop import Loop

#: After a warm-up that was too long or too late, the time reckoned for one shrinks by this factor until it is tried.
RECOVERY = 0.98
#: A computer whose warm-up takes longer is too slow for it.
LONGEST_WARM_UP_S = 0.001


class CacheWarmer:
    """A second loop that processes the last hop of the first one again (from samples to feedback in half the time).

    It does not change the loop of the session, ``main``.
    """

    def __init__(self, main: Loop, condition: Condition) -> None:
        self._main = main
        self._loop = Loop(main.settings, main.participant_fit, tuple(main.baselines.values()))
        self._loop.do("start_block", condition=condition)

    def process_hop(self) -> None:
        """Process the main loop's last hop: most of it, then the sample that completes it."""
        samples = self._main.pipeline.last_hop
        times_s = np.full(len(samples), np.nan)
        for part in (slice(0, -1), slice(-1, None)):
            self._loop.push(Chunk(samples[part], self._loop.next_index, times_s[part], times_s[part]))

    def run_deferred(self) -> None:
        """Run the second loop's deferred work, e.g. the judgement of channels, when there is time for it."""
        self._loop.pop_events()


class HopWaiter:
    """Waits for samples, and calls ``warm_up`` just before one that completes a hop, if there is time for it."""

    def __init__(self, source: Source, loop: Loop, warm_up: Callable[[], None], clock: Clock) -> None:
        self._source, self._loop, self._warm_up, self._clock = source, loop, warm_up, clock
        self._warm_up_s = 0.0

    def pull(self, longest_s: float, until_s: float) -> Batch:
        """Return the samples that have come, waiting at most ``longest_s`` for the first, or until they are due.

        Something else is due at ``until_s``: there is no warm-up for a sample beyond that.
        """
        now_s = self._clock.now_s()
        due = self._due(now_s, until_s)
        if due is None or (left_s := due.time_s - due.within_s - self._warm_up_s - now_s) > longest_s:
            return self._source.pull(longest_s)
        batch = self._source.pull(max(0.0, left_s))
        if len(batch.chunk):
            return batch
        self._warm_caches(due.time_s)
        left_s = due.time_s + due.within_s - self._clock.now_s()
        return batch.followed_by(self._source.pull(max(0.0, left_s)))

    def _due(self, now_s: float, until_s: float) -> ExpectedArrival | None:
        """Return when the samples are due that complete a hop, if they are the next and feedback waits for them."""
        if not self._loop.is_giving_feedback:
            return None
        due = self._source.next_arrival
        if due is None or self._loop.samples_to_hop > due.n_samples:
            return None
        return due if now_s < due.time_s + due.within_s < until_s else None

    def _warm_caches(self, before_s: float) -> None:
        """Warm the caches if that is likely to be over before the sample comes."""
        begun_s = self._clock.now_s()
        if self._warm_up_s > LONGEST_WARM_UP_S or begun_s + self._warm_up_s > before_s:
            self._warm_up_s *= RECOVERY
            return
        self._warm_up()
        took_s = min(self._clock.now_s() - begun_s, 2.0 * LONGEST_WARM_UP_S)
        self._warm_up_s += 0.1 * (took_s - self._warm_up_s)
