"""Ready when the last sample of a hop comes: awake, and with the way of a hop in the processor's caches.

A thread that sleeps is woken some 0.05 ms late, and what it computes once in 32 ms takes three times as long as the
same computed again: by then other programs have the caches. So the engine is awake when the sample is due that
completes a hop, and just before that an understudy has played the part: a loop of the same make, fed with the hop
before, whose output goes nowhere. Neither changes a bit of any result.
"""

from __future__ import annotations

from neurofb.acquisition.arrival_timing import ExpectedArrival
from neurofb.acquisition.source import Source
from neurofb.chunk import Chunk
from neurofb.clock import Clock, give_way
from neurofb.engine.recorded_loop import RecordedLoop

#: Whoever gives way for longer than this is on a busy computer, where it is better to sleep: who is woken comes first.
BUSY_S = 0.0003
#: So it is not tried again for a while: for the first, twice as long each time it is found busy again, up to the last.
REST_S, LONGEST_REST_S = 0.5, 60.0
#: Each time that all goes well, the next rest gets shorter by this.
RECOVERY = 0.98
#: A computer on which practice takes longer is too slow for it.
LONGEST_PRACTICE_S = 0.001


class HopWaiter:
    """Waits for samples: asleep, but for those that complete a hop.

    Parameters
    ----------
    source : Source
    recorded_loop : RecordedLoop
        Its understudy practises, if it has one.
    clock : Clock
    """

    def __init__(self, source: Source, recorded_loop: RecordedLoop, clock: Clock) -> None:
        self._source, self._recorded_loop, self._clock = source, recorded_loop, clock
        self._asleep_until_s, self._rest_s = float("-inf"), REST_S
        self._practice_s = 0.0

    def pull(self, longest_s: float, until_s: float) -> Chunk:
        """Return the samples that have come, waiting at most ``longest_s`` for the first, or until they are due.

        At ``until_s`` something else is due, and nobody is kept from it.
        """
        now_s = self._clock.now_s()
        due = self._due(now_s, until_s)
        if due is None or (left_s := due.time_s - due.within_s - self._practice_s - now_s) > longest_s:
            return self._source.pull(longest_s)
        chunk = self._source.pull(max(0.0, left_s))
        if len(chunk):
            return chunk
        self._practise(due.time_s)
        return self._stay_awake(due.time_s + due.within_s)

    def _due(self, now_s: float, until_s: float) -> ExpectedArrival | None:
        """Return when the samples are due that complete a hop, if they are the next and feedback waits for them."""
        if not self._recorded_loop.loop.is_giving_feedback or now_s < self._asleep_until_s:
            return None
        due = self._source.next_arrival
        if due is None or self._recorded_loop.loop.samples_to_hop > due.n_samples:
            return None
        return due if now_s < due.time_s + due.within_s < until_s else None

    def _stay_awake(self, latest_s: float) -> Chunk:
        while True:
            chunk, before_s = self._source.pull(0.0), self._clock.now_s()
            if len(chunk) or before_s > latest_s:
                self._rest_s = max(REST_S, RECOVERY * self._rest_s)
                return chunk
            give_way()
            now_s = self._clock.now_s()
            if now_s - before_s > BUSY_S:
                self._asleep_until_s = now_s + self._rest_s
                self._rest_s = min(2.0 * self._rest_s, LONGEST_REST_S)
                return self._source.pull(max(0.0, latest_s - now_s))

    def _practise(self, before_s: float) -> None:
        """Practise if that is likely to be over before the sample comes."""
        begun_s = self._clock.now_s()
        if self._practice_s > LONGEST_PRACTICE_S or begun_s + self._practice_s > before_s:
            self._practice_s *= RECOVERY
            return
        self._recorded_loop.practise()
        took_s = min(self._clock.now_s() - begun_s, 2.0 * LONGEST_PRACTICE_S)
        self._practice_s += 0.1 * (took_s - self._practice_s)
