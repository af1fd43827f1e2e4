"""Feedback from feature values: a level, a reward, and why it is withheld.

In: values of the trained feature and of those that inhibit it, heat onsets, blocks, and word from the engine when
nothing comes. Out: one `FeedbackSample` for each value of the trained feature, and one for each word that it is stale.
Kept: threshold, level, reward and inhibits. No clock is read: time is sample index over rate.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.features.value import FeatureValue, kind_of
from neurofb.feedback.baseline import CONDITIONS, Baseline, Measure, no_number
from neurofb.feedback.inhibits import Inhibit
from neurofb.feedback.mapping import FeedbackLevel, Reward
from neurofb.feedback.settings import Condition, FeedbackSettings
from neurofb.feedback.threshold import Success, Threshold


@dataclass(frozen=True, slots=True)
class FeedbackSample:
    """One sample of feedback, and the numbers that led to it."""

    #: The newest sample it is made of; when stale, the sample that was expected by then.
    index: int
    #: Value of the trained feature, in its unit; NaN where there is none.
    value: float
    #: The value in SD of the matching baseline; NaN outside a block.
    z: float
    #: The threshold in the same SD; NaN outside a block.
    threshold: float
    #: 0 to 1.
    level: float
    #: Never true while ``usable`` is false.
    reward: bool
    #: True if level and reward follow from this value.
    usable: bool
    #: Why not, in words; empty when usable.
    why: str
    #: Share of this block's usable values beyond the threshold that the session started from, to date.
    success_index: float
    #: Declared delay of the feature's filters.
    delay_s: float
    #: From the newest sample's time to output; NaN until `aged` sets it.
    age_s: float = math.nan

    def with_age(self, age_s: float) -> FeedbackSample:
        """Return the same with its age."""
        return dataclasses.replace(self, age_s=age_s)


@dataclass(frozen=True, slots=True)
class BlockResult:
    """The result of a block."""

    #: Condition of the baseline it was scored against.
    condition: Condition
    #: Usable values, and how many exceeded the threshold in use and the one of the start.
    success: Success
    #: Samples with a reward.
    rewarded: int
    #: Number of withheld samples for each reason.
    withheld: Mapping[str, int]
    #: The threshold at the block's end, and that of the next block of this condition.
    threshold_z: float
    next_threshold_z: float


@dataclass(slots=True)
class _Block:
    condition: Condition
    baseline: Baseline
    threshold: Threshold
    rewarded: int = 0
    withheld: Counter[str] = field(default_factory=Counter)


class Feedback:
    """Feedback on one feature.

    Parameters
    ----------
    settings : FeedbackSettings
        From the protocol.
    measures : mapping of str to Measure
        The features that the pipeline gives, by name.
    baselines : iterable of Baseline
        Of the trained feature for each of ``conditions``, and of each inhibit whose limit is in SD.
    conditions : sequence of str
        The conditions that blocks will have: each is scored against its own baseline, with its own threshold.
    rate_hz : float
        Rate of the samples that values are counted by.

    Raises
    ------
    WrongInput
        With every problem, before a session starts.

    Notes
    -----
    Values of one sample index are to come in one `step`; how steps are cut between them makes no difference. A
    `heat_onset`, `start_block` or `end_block` holds for the values that come after it.
    """

    def __init__(
        self,
        settings: FeedbackSettings,
        measures: Mapping[str, Measure],
        baselines: Iterable[Baseline],
        conditions: Sequence[Condition],
        rate_hz: float,
    ) -> None:
        self.settings, self._rate_hz = settings, rate_hz
        self._baselines = {(each.feature, each.condition): each for each in baselines}
        self._inhibits = {each.feature: Inhibit(each, rate_hz) for each in settings.inhibits}
        self._thresholds: dict[Condition, Threshold] = {}
        problems = [text for each in conditions for text in self._problems(each, measures)]
        if not conditions:
            problems = [f"no condition is given; there are: {', '.join(CONDITIONS)}"]
        if problems:
            raise WrongInput("feedback cannot start:\n  " + "\n  ".join(dict.fromkeys(problems)))
        self._level, self._reward = FeedbackLevel(settings.level, rate_hz), Reward(settings.reward, rate_hz)
        self._block: _Block | None = None
        self._last: FeatureValue | None = None
        self._stale_index: int | None = None
        self._heat_at: list[int] = []

    def _problems(self, condition: Condition, measures: Mapping[str, Measure]) -> Iterable[str]:
        """Return the problems of one condition, and make its threshold if there are none."""
        trained = self.settings.feature
        in_sd = [name for name, each in self._inhibits.items() if each.settings.unit == "z"]
        for name in (trained, *self._inhibits):
            if name not in measures:
                yield f"there is no feature {name!r}; {nearest(name, measures)}"
                continue
            baseline = self._baselines.get((name, condition))
            if baseline is None and (name == trained or name in in_sd):
                there = [c for f, c in self._baselines if f == name]
                yield (
                    f"feature {name!r} has no {condition!r} baseline ({CONDITIONS[condition]}), "
                    f"there are: {', '.join(there) or 'none'}"
                )
            elif baseline is not None:
                text = baseline.mismatch(measures[name])
                if text or name != trained:
                    yield from filter(None, [text or self._inhibits[name].too_tight(baseline)])
                    continue
                try:
                    self._thresholds[condition] = self._threshold(baseline)
                except WrongInput as error:
                    yield str(error)

    def _threshold(self, baseline: Baseline) -> Threshold:
        return Threshold(self.settings.threshold, baseline, self.settings.direction, self._rate_hz)

    @property
    def is_in_block(self) -> bool:
        """True while a block is running."""
        return self._block is not None

    def start_block(self, condition: Condition) -> None:
        """Start a block: scores are against this condition's baseline from the next value on."""
        if self._block is not None:
            raise WrongInput(f"a {self._block.condition!r} block is running; end it first")
        if condition not in self._thresholds:
            raise UnknownName(
                f"this feedback has no condition {condition!r}; {nearest(condition, self._thresholds)}"
            )
        trained = self._baselines[self.settings.feature, condition]
        self._block = _Block(condition, trained, self._thresholds[condition])
        for name, inhibit in self._inhibits.items():
            inhibit.set_baseline(self._baselines.get((name, condition)))

    def end_block(self) -> BlockResult:
        """End the block, move the threshold, and return the block's result."""
        if self._block is None:
            raise WrongInput("no block is running, so none can end; start one first")
        block, self._block = self._block, None
        before = block.threshold.z
        success = block.threshold.end_block()
        return BlockResult(
            block.condition, success, block.rewarded, dict(block.withheld), before, block.threshold.z
        )

    def heat_onset(self, index: int) -> None:
        """Keep the evoked response to heat that rises from sample ``index`` on out of feedback.

        It ends ``after_heat_s`` and the feature's own delay later: so late is what the value shows.
        """
        self._heat_at.append(index)

    def step(self, values: Sequence[FeatureValue], expected_index: int | None = None) -> list[FeedbackSample]:
        """Process the next values; return a feedback sample for each.

        Parameters
        ----------
        values : sequence of FeatureValue
            In the order of their sample index, of any features; may be empty.
        expected_index : int, optional
            The sample that should have come by now, told by the engine, which knows the clock. Where the newest value
            of the trained feature is more than ``stale_s`` older, one further sample says so. Tell it at each step
            or only while nothing comes: without staleness it changes nothing.

        Returns
        -------
        list of FeedbackSample
            One for each value of the trained feature, then one if it is stale. Values from before a sample that was
            already told stale are too late: they earn nothing.
        """
        # Inhibits speak before the value of the same sample that they inhibit.
        trained = self.settings.feature
        samples = []
        if len(values) > 1:
            values = sorted(values, key=lambda each: (each.index, each.name == trained))
        for value in values:
            if value.name == trained:
                samples.append(self._scored_sample(value))
            elif value.name in self._inhibits:
                self._inhibits[value.name].update(value)
        if expected_index is not None and self._is_stale(expected_index):
            self._stale_index = expected_index
            why = f"stale: no value for more than {self.settings.level.stale_s:g} s"
            samples.append(self._unusable_sample(expected_index, None, why))
        return samples

    def _is_stale(self, expected_index: int) -> bool:
        if self._stale_index is not None and expected_index < self._stale_index:
            self._stale_index = expected_index  # the engine's latest word on where the stream is counts
        return self._silent_s(expected_index) > self.settings.level.stale_s

    def _silent_s(self, index: int) -> float:
        return math.inf if self._last is None else (index - self._last.index) / self._rate_hz

    def _scored_sample(self, value: FeatureValue) -> FeedbackSample:
        if self._last is not None and value.index <= self._last.index:
            raise WrongInput(
                f"feature {value.name!r}: a value of sample {value.index} came after one of sample "
                f"{self._last.index}; they come in their order"
            )
        self._last = value
        why = self._why_unusable(value)
        if why:
            return self._unusable_sample(value.index, value, why)
        assert self._block is not None  # else there was a reason
        block, threshold = self._block, self._block.threshold
        z = block.baseline.z(value.value)
        score = threshold.sign * z
        used, used_z = threshold.score, threshold.z
        reward = self._reward.update(threshold.update(score, value.index), value.index)
        block.rewarded += reward
        return FeedbackSample(
            index=value.index,
            value=value.value,
            z=z,
            threshold=used_z,
            level=self._level.update(score - used, value.index),
            reward=reward,
            usable=True,
            why="",
            success_index=threshold.block.index,
            delay_s=value.delay_s,
        )

    def _why_unusable(self, value: FeatureValue) -> str:
        """Return in words why a value earns nothing; empty if it may."""
        if self._stale_index is not None:
            if value.index < self._stale_index:
                return "late: it came after its time was told to be stale"
            self._stale_index = None
        if not value.usable:
            return value.why or "unusable, no reason given"
        if self._block is None:
            return "no block is running"
        if not math.isfinite(self._block.baseline.z(value.value)):
            return no_number(value.value)
        if self._heat_at and self._is_evoked(value):
            return "evoked response to heat onset"
        for inhibit in self._inhibits.values():
            if why := inhibit.why(value.index):
                return why
        return ""

    def _is_evoked(self, value: FeatureValue) -> bool:
        lasts = (self.settings.after_heat_s + value.delay_s) * self._rate_hz
        self._heat_at = [at for at in self._heat_at if value.index - at < lasts]
        return any(at <= value.index for at in self._heat_at)

    def _unusable_sample(self, index: int, value: FeatureValue | None, why: str) -> FeedbackSample:
        """Return the sample for a value that earns nothing, or for no value."""
        self._reward.withheld(index)
        shown_at = index if self._stale_index is None else max(index, self._stale_index)
        block, number = self._block, math.nan if value is None else value.value
        if block is not None:
            block.withheld[kind_of(why)] += 1
        return FeedbackSample(
            index=index,
            value=number,
            z=math.nan if block is None else block.baseline.z(number),
            threshold=math.nan if block is None else block.threshold.z,
            level=self._level.hold(shown_at, self._silent_s(shown_at)),
            reward=False,
            usable=False,
            why=why,
            success_index=math.nan if block is None else block.threshold.block.index,
            delay_s=0.0 if self._last is None else self._last.delay_s,
        )
