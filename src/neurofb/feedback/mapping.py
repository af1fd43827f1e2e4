"""Mapping from a score's distance to its threshold to a level 0–1 and a reward.

In: margins and successes with their sample index, or word that there is nothing usable. Out: a level and whether
there is a reward. Kept: the last level, when it was last earned, and where a reward stands. Time is index over rate.
"""

from __future__ import annotations

from neurofb.feedback.settings import NEUTRAL_WITHIN_S, LevelSettings, RewardSettings


class FeedbackLevel:
    """A level 0–1: neutral at threshold, full ``span_z`` beyond it, none as far on the other side.

    Without ``limit_per_s`` the level follows the value at once and adds no delay to it. With it, the level moves no
    faster than that while values are usable. When nothing is usable it holds, then fades linearly to neutral; being
    neutral in time outweighs being calm, so the fade follows ``fade_s`` and not the limit.
    """

    def __init__(self, settings: LevelSettings, rate_hz: float) -> None:
        self._settings, self._rate_hz = settings, rate_hz
        self._level = self._held = settings.neutral
        self._at: int | None = None
        self._held_at: int | None = None
        self._faded = 0.0

    def update(self, margin: float, index: int) -> float:
        """Return the level for a usable score.

        Parameters
        ----------
        margin : float
            Score minus threshold, in SD.
        index : int
            The sample it belongs to.
        """
        neutral = self._settings.neutral
        room = 1.0 - neutral if margin > 0 else neutral
        target = min(max(neutral + room * (margin / self._settings.span_z), 0.0), 1.0)
        limit = self._settings.limit_per_s
        if limit is not None:
            most = 0.0 if self._at is None else limit * max(index - self._at, 0) / self._rate_hz
            target = min(max(target, self._level - most), self._level + most)
        self._level = self._held = target
        self._at = self._held_at = index
        self._faded = 0.0
        return target

    def hold(self, index: int, silent_s: float) -> float:
        """Return the level when nothing usable is there.

        Parameters
        ----------
        index : int
            The sample that the level is for.
        silent_s : float
            How long before it the last value came at all.
        """
        neutral, hold_s, fade_s = self._settings.neutral, self._settings.hold_s, self._settings.fade_s
        self._at = index
        if self._held_at is None:
            return self._level
        faded_s = max(
            (index - self._held_at) / self._rate_hz - hold_s, silent_s - (NEUTRAL_WITHIN_S - fade_s)
        )
        share = min(faded_s / fade_s, 1.0) if fade_s > 0 else float(faded_s >= 0)
        self._faded = max(self._faded, share)  # an unusable value after silence brings nothing back
        self._level = neutral if self._faded == 1.0 else self._held + self._faded * (neutral - self._held)
        return self._level


class Reward:
    """The reward: while above threshold, in pulses, or once for each burst.

    A pulse ends at once when values become unusable; what was a rise above threshold before then counts no more.
    """

    def __init__(self, settings: RewardSettings, rate_hz: float) -> None:
        self._kind = settings.kind
        self._above_samples = round(settings.above_s * rate_hz)
        self._hold_samples = round(settings.hold_s * rate_hz)
        self._refractory_samples = round(settings.refractory_s * rate_hz)
        self._above_from: int | None = None
        self._on_until: int | None = None
        self._free_from: int | None = None
        self._onset_seen = False

    def update(self, success: bool, index: int) -> bool:
        """Return whether there is a reward, for a usable value that is a success or not."""
        if not success:
            self._above_from, self._onset_seen = None, True
        elif self._above_from is None:
            self._above_from = index
        long_enough = self._above_from is not None and index - self._above_from >= self._above_samples
        if self._kind == "continuous":
            return long_enough
        if self._on_until is not None:
            if index < self._on_until:
                return True
            self._end(self._on_until)
        return long_enough and self._starts(index)

    def _starts(self, index: int) -> bool:
        if self._free_from is not None and index < self._free_from:
            return False
        if self._kind == "burst":
            if not self._onset_seen:
                return False
            self._onset_seen = False
        self._on_until = index + self._hold_samples
        return True

    def withheld(self, index: int) -> None:
        """End a reward in progress, as there is no usable value."""
        if self._on_until is not None:
            self._end(min(index, self._on_until))
        self._above_from, self._onset_seen = None, False

    def _end(self, index: int) -> None:
        self._on_until, self._free_from = None, index + self._refractory_samples
