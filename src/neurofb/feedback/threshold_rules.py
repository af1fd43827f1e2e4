"""Threshold rules, which propose a threshold from scores: one class for each rule.

In: scores, one for each usable value (SD of the baseline, positive in the trained direction), with the clean time
each stands for. Out, when asked: where the threshold should be. Whether and how far it goes there is not decided
here (`threshold`).
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from neurofb.feedback.settings import ThresholdSettings

#: 1-up/2-down settles where two successes in a row are as likely as not: p² = ½ (Levitt 1971).
ONE_UP_TWO_DOWN = math.sqrt(0.5)
#: How much of what was missed is leaned against: after each trial, and after each block, where more was seen.
LEAN_AT_ONCE = 0.3
LEAN_BETWEEN_BLOCKS = 0.5
#: The rate aimed at stays this far from none and all, where percentiles say nothing.
LEAST_AIM = 0.02
#: At once, what was missed is remembered this far beyond none and all, so that it is made good; between blocks it
#: is not, lest a whole block pays for the one before.
MOST_OWED = 1.0


@dataclass(frozen=True, slots=True)
class ThresholdInUse:
    """The threshold in use, and the share of scores above it since the last proposal (NaN if there were none)."""

    threshold: float
    success_rate: float


class ThresholdRule:
    """The interface of a threshold rule; this one, rule 'fixed', never moves."""

    def update(self, score: float, clean_s: float) -> None:
        """Add the score of a usable value and the clean time it stands for."""

    def add_trial(self, score: float) -> None:
        """Add the score of a value that stands for a trial."""

    def proposal(self, used: ThresholdInUse) -> float:
        """Return where the threshold should be next."""
        return used.threshold


def quantile_for(scores: Sequence[float], success_rate: float) -> float:
    """Return the threshold that a further score of the same kind exceeds with probability ``success_rate``.

    Parameters
    ----------
    scores : sequence of float
        In ascending order.
    success_rate : float
        Above 0 and below 1.

    Notes
    -----
    The k-th of n scores is exceeded by the next one with probability 1 − k/(n + 1) whatever their distribution
    (Weibull's plotting position), so the promise is kept on average even for small n.
    """
    place = (1.0 - success_rate) * (len(scores) + 1) - 1.0
    below = min(max(math.floor(place), 0), len(scores) - 1)
    above = min(below + 1, len(scores) - 1)
    share = min(max(place - below, 0.0), 1.0)
    return scores[below] + share * (scores[above] - scores[below])


class RecentScores:
    """The scores of the last ``memory_s`` of clean time, in order of time and of size."""

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._by_time: deque[tuple[float, float]] = deque()
        self.ordered: list[float] = []
        self._now_s = 0.0

    def clear(self) -> None:
        """Remove all scores."""
        self._by_time.clear()
        self.ordered.clear()
        self._now_s = 0.0

    def push(self, score: float, clean_s: float) -> None:
        """Add a score that stands for ``clean_s`` and let go of those that are too old."""
        self._now_s += clean_s
        self._by_time.append((self._now_s, score))
        insort(self.ordered, score)
        while self._now_s - self._by_time[0][0] >= self._memory_s:
            _, old = self._by_time.popleft()
            del self.ordered[bisect_right(self.ordered, old) - 1]

    @property
    def clean_s(self) -> float:
        """Clean time since it was empty."""
        return self._now_s

    def share_above(self, threshold: float) -> float:
        """Return the share of scores above ``threshold``."""
        return 1.0 - bisect_right(self.ordered, threshold) / len(self.ordered)


class Percentile(ThresholdRule):
    """The percentile of the last ``memory_s`` of clean time; the baseline fills it at first.

    Where power drifts, the percentile of what was is not that of what comes, and successes exceed their promise
    for as long as the drift lasts. So the rate that is aimed at leans against what was missed (adaptive conformal
    inference, Gibbs & Candès 2021), which keeps the promise in the long run whatever the scores do.
    """

    def __init__(self, settings: ThresholdSettings, baseline: Sequence[float], baseline_s: float) -> None:
        self._promised = self._aim = settings.success_rate
        at_once = settings.change == "at once"
        self._lean = LEAN_AT_ONCE if at_once else LEAN_BETWEEN_BLOCKS
        self._owed = MOST_OWED if at_once else 0.0
        self._recent = RecentScores(settings.memory_s)
        for score in baseline:
            self._recent.push(score, baseline_s / len(baseline))

    def update(self, score: float, clean_s: float) -> None:
        """Add the score."""
        self._recent.push(score, clean_s)

    def proposal(self, used: ThresholdInUse) -> float:
        """Return the percentile."""
        if not math.isnan(used.success_rate):
            self._aim += self._lean * (self._promised - used.success_rate)
            self._aim = min(max(self._aim, -self._owed), 1 + self._owed)
        return quantile_for(self._recent.ordered, min(max(self._aim, LEAST_AIM), 1 - LEAST_AIM))


class Staircase(ThresholdRule):
    """1-up/2-down (Levitt 1971) or weighted up-down (Kaernbach 1991), with steps that shrink at each reversal.

    A trial's score is compared with the staircase's own place, which moves after every trial, even where the
    threshold in use may change between blocks only: a place that stood still while its moves were added up would
    leave the block far beyond its goal. What it proposes is the mean of its places since the last proposal, which
    scatters less than the last one.

    Notes
    -----
    Weighted: up by (1 − p), down by p, so the moves cancel exactly when the share of successes is p, whatever the
    scores' distribution or correlation. Steps shrink as 1/(1 + reversals) down to ``least_step_z`` (Kesten 1958):
    large ones find the place, small ones keep it, and are never zero because people learn. Fixed large steps, and
    moves as large for a success as for a failure, are what makes a staircase settle where it does not promise to.
    """

    def __init__(self, settings: ThresholdSettings, start: float, bounds: tuple[float, float]) -> None:
        self._two_down = settings.rule == "one_up_two_down"
        self._step, self._least = settings.step_z, settings.least_step_z
        p = settings.success_rate
        self._up, self._down = (1 - p) / max(p, 1 - p), p / max(p, 1 - p)
        self._place, self._bounds = start, bounds
        self._reversals, self._streak = 0, 0
        self._rising: bool | None = None
        self._sum, self._count = 0.0, 0

    def add_trial(self, score: float) -> None:
        """Move after a trial: up makes it harder, down easier."""
        move = self._move(score > self._place)
        if move:
            self._reversals += self._rising is not None and self._rising != (move > 0)
            self._rising = move > 0
            step = max(self._least, self._step / (1 + self._reversals))
            low, high = self._bounds
            self._place = min(max(self._place + move * step, low), high)
        self._sum += self._place
        self._count += 1

    def _move(self, success: bool) -> float:
        if not self._two_down:
            return self._up if success else -self._down
        self._streak = self._streak + 1 if success else 0
        if self._streak == 2:
            self._streak = 0
            return 1.0
        return 0.0 if success else -1.0

    def proposal(self, used: ThresholdInUse) -> float:
        """Return the mean place since the last proposal."""
        place = self._sum / self._count if self._count else used.threshold
        self._sum, self._count = 0.0, 0
        return place


class Settled(ThresholdRule):
    """Three clean minutes, then stable: set once, and set again once if it proves far too easy or too hard.

    After Myndlift's published rule: set from the first ``clean_s`` of clean EEG; if later the success over the last
    ``recheck_s`` of clean EEG is above ``too_easy`` or below ``too_hard``, set again from these, and never after.
    """

    def __init__(self, settings: ThresholdSettings) -> None:
        self._settings = settings
        self._recent = RecentScores(settings.clean_s)
        self._times_set = 0

    def update(self, score: float, clean_s: float) -> None:
        """Add the score, while a decision is still due."""
        if self._times_set < 2:
            self._recent.push(score, clean_s)

    def proposal(self, used: ThresholdInUse) -> float:
        """Return the percentile of the clean minutes when they are full, else the same threshold."""
        asked = self._settings
        # Sums of steps that are no binary fractions fall short by rounding alone.
        enough_s = (asked.recheck_s if self._times_set else asked.clean_s) * (1 - 1e-9)
        if self._recent.clean_s < enough_s:
            return used.threshold
        if self._times_set == 1 and (
            asked.too_hard <= self._recent.share_above(used.threshold) <= asked.too_easy
        ):
            return used.threshold
        place = quantile_for(self._recent.ordered, asked.success_rate)
        self._times_set += 1
        self._recent = RecentScores(asked.recheck_s)
        return place
