"""An understudy of the loop: plays a hop just before the loop does, for no other use than practice.

In: the last hop of the loop that it stands by, so that it goes the usual way. Out: nothing. What it runs through is
then in the processor's caches when the loop itself runs (measured: from samples to feedback in half the time or less).
"""

from __future__ import annotations

import numpy as np

from neurofb.chunk import Chunk
from neurofb.feedback.settings import Condition
from neurofb.loop.loop import Loop


class CacheWarmer:
    """A second loop of the same make.

    Parameters
    ----------
    principal : Loop
        The one that counts; nothing that it computes is changed.
    condition : str
        Of the block that is practised.
    """

    def __init__(self, principal: Loop, condition: Condition) -> None:
        self._principal = principal
        self._loop = Loop(principal.settings, principal.fitted, tuple(principal.baselines.values()))
        self._loop.do("start_block", condition=condition)

    def practise(self) -> None:
        """Play the principal's last hop: most of it, then the sample that completes it."""
        samples = self._principal.pipeline.last_hop
        times_s = np.full(len(samples), np.nan)
        for part in (slice(0, -1), slice(-1, None)):
            self._loop.push(Chunk(samples[part], self._loop.next_index, times_s[part], times_s[part]))

    def tidy(self) -> None:
        """Do what need not be practised, such as judging the channels: when there is time for it."""
        self._loop.pop_events()
