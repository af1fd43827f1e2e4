"""The threshold that a score must exceed: its start, its moves and their bounds, and the success rate.

In: scores of usable values with their sample index. Out: the threshold in use, and success against it and against
the one it started from. Time is index over rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurofb.errors import WrongInput
from neurofb.feedback.baseline import LONGEST_STEP_S, Baseline, Elapsed
from neurofb.feedback.settings import Direction, ThresholdSettings
from neurofb.feedback.threshold_rules import (
    ONE_UP_TWO_DOWN,
    Percentile,
    Settled,
    Staircase,
    ThresholdInUse,
    ThresholdRule,
    quantile_for,
)


@dataclass(slots=True)
class Success:
    """Counts of usable values and of those that exceeded each threshold."""

    values: int = 0
    above: int = 0
    above_start: int = 0

    def __add__(self, other: Success) -> Success:
        return Success(
            self.values + other.values, self.above + other.above, self.above_start + other.above_start
        )

    def __sub__(self, other: Success) -> Success:
        return Success(
            self.values - other.values, self.above - other.above, self.above_start - other.above_start
        )

    @property
    def rate(self) -> float:
        """The share above the threshold that was in use; NaN before the first value."""
        return self.above / self.values if self.values else float("nan")

    @property
    def index(self) -> float:
        """The share above the threshold the session started from, which never moves.

        A threshold that follows the participant equalises the rate and so hides learning; this does not.
        """
        return self.above_start / self.values if self.values else float("nan")


class Threshold:
    """The threshold in use.

    Scores are z-scores against the matching baseline, with their sign turned where the feature should go down, so
    that more is always better. The threshold never leaves the range that the baseline reached.

    Parameters
    ----------
    settings : ThresholdSettings
        The rule.
    baseline : Baseline
        The matching one.
    direction : str
        ``up`` or ``down``.
    rate_hz : float
        Rate of the samples that values are counted by.

    Attributes
    ----------
    promised : float or None
        The success rate that the rule promises; None for a fixed threshold.
    score : float
        The threshold in use, as a score.
    start : float
        Where it started.
    block, total : Success
        In this block, and since the start.
    """

    def __init__(
        self, settings: ThresholdSettings, baseline: Baseline, direction: Direction, rate_hz: float
    ) -> None:
        self._settings = settings
        self.sign = 1.0 if direction == "up" else -1.0
        ordered = sorted(self.sign * z for z in baseline.z_values)
        self._bounds = (ordered[0], ordered[-1])
        self.promised = {"fixed": None, "one_up_two_down": ONE_UP_TWO_DOWN}.get(
            settings.rule, settings.success_rate
        )
        if settings.z is not None:
            self._refuse_unreached(settings.z, baseline)
            self.start = self.sign * settings.z
        else:
            assert self.promised is not None  # settings hold z for a fixed one
            self.start = quantile_for(ordered, self.promised)
        self.score = self.start
        self.block, self._ended, self._at_last_move = Success(), Success(), Success()
        self._rule = self._rule_of(settings, baseline)
        self._elapsed, self._trial_samples = Elapsed(rate_hz), max(1, round(settings.trial_s * rate_hz))
        self._trial: int | None = None

    def _refuse_unreached(self, z: float, baseline: Baseline) -> None:
        low, high = sorted(self.sign * bound for bound in self._bounds)
        if not low <= z <= high:
            raise WrongInput(
                f"a threshold of z = {z:g} for feature {baseline.feature!r} lies outside what its "
                f"{baseline.condition!r} baseline ever reached, {low:.2f} to {high:.2f}: it would be exceeded "
                "always or never; choose one within"
            )

    def _rule_of(self, settings: ThresholdSettings, baseline: Baseline) -> ThresholdRule:
        if settings.rule == "percentile":
            scores = [self.sign * z for z in baseline.z_values]
            return Percentile(settings, scores, baseline.clean_s)
        if settings.rule in ("one_up_two_down", "weighted"):
            return Staircase(settings, self.start, self._bounds)
        return Settled(settings) if settings.rule == "settled" else ThresholdRule()

    @property
    def z(self) -> float:
        """The threshold in use as a z-score of the feature, whatever the direction."""
        return self.sign * self.score

    @property
    def total(self) -> Success:
        """The success since the start."""
        return self._ended + self.block

    def update(self, score: float, index: int) -> bool:
        """Add the score of a usable value; return whether it is a success. The threshold moves after it.

        One value in each ``trial_s`` counts as a trial: it is drawn from the same distribution as all, so the
        promised rate is that of all values, and successive trials are less alike than successive values.
        """
        success = score > self.score
        block = self.block
        block.values += 1
        block.above += success
        block.above_start += score > self.start
        trial = index // self._trial_samples
        new_trial, self._trial = trial != self._trial, trial
        self._rule.update(score, min(self._elapsed.since_last_s(index), LONGEST_STEP_S))
        if new_trial:
            self._rule.add_trial(score)
        if new_trial and self._settings.change == "at once":
            self._move()
        return success

    def end_block(self) -> Success:
        """Move the threshold; return the success of the block."""
        ended, self._ended, self.block = self.block, self.total, Success()
        if self._settings.change == "between blocks":
            self._move()
        return ended

    def _move(self) -> None:
        total = self.total
        proposal = self._rule.proposal(ThresholdInUse(self.score, (total - self._at_last_move).rate))
        self._at_last_move = total
        if self._settings.rule != "settled":  # set twice at most: a bound would leave it short for good
            most = self._settings.max_change_z
            proposal = min(max(proposal, self.score - most), self.score + most)
        self.score = min(max(proposal, self._bounds[0]), self._bounds[1])
