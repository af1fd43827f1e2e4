"""Baselines: clean seconds of a feature, against which later values are z-scores.

In: the values of one feature under one condition. Out: a frozen `Baseline` that JSON can hold to the last bit.
Kept while collecting: the clean values, and how long others were withheld for which reason.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import Field

from neurofb.config import Name, NotNegative, Number, Positive, Table, checked
from neurofb.errors import UnknownName, WrongInput
from neurofb.features.presets import AnyFeature
from neurofb.features.value import FeatureValue, kind_of
from neurofb.feedback.settings import BaselineSettings, Condition

#: A value stands for the time since the one before it, and for no more than this: slow features come at 4 Hz.
LONGEST_STEP_S = 0.25
#: Normal SD over median absolute deviation.
MAD_TO_SD = 1.4826022185056018
#: What each condition is called in words.
CONDITIONS: dict[Condition, str] = {
    "rest": "rest",
    "warm": "warm stimulus",
    "pain": "pain without feedback",
}


@dataclass(frozen=True, slots=True)
class Measure:
    """The properties of a feature that baseline and feedback must agree on."""

    name: str
    #: Window or time constant over which it is averaged.
    window_s: float
    #: True if z-scores use its logarithm: for powers, their shares and ratios; false for what is in dB
    #: already or may fall below 0.
    log: bool = False
    unit: str = ""
    #: The whole declaration as JSON: the same name with another band or place needs another baseline.
    declared: str = ""

    @classmethod
    def of(cls, feature: AnyFeature) -> Measure:
        """Return the properties of a feature specification."""
        return cls(
            feature.name, feature.averaged_s, feature.is_power, feature.unit, feature.model_dump_json()
        )


def measures_of(features: Iterable[AnyFeature]) -> dict[str, Measure]:
    """Return the measure of each declared feature, such as those of a pipeline, by name."""
    return {feature.name: Measure.of(feature) for feature in features}


class Elapsed:
    """The clean time that each value of a feature stands for, from its sample index alone."""

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self._last: int | None = None

    def since_last_s(self, index: int) -> float:
        """Return the seconds since the value before; the first stands for none."""
        last, self._last = self._last, index
        if last is None:
            return 0.0
        if index <= last:
            raise WrongInput(
                f"a value of sample {index} came after one of sample {last}; they come in their order"
            )
        return (index - last) / self._rate_hz


class Baseline(Table):
    """The distribution of a feature under one condition without feedback.

    ``model_dump(mode="json")`` gives a plain dict, `Baseline.read` the same baseline again, to the last bit.
    """

    feature: Name = Field(description="the feature's name")
    condition: Condition = Field(description=f"one of {', '.join(CONDITIONS)}")
    window_s: Positive = Field(description="the window that the feature was averaged over, in s")
    log: bool = Field(description="whether z-scores are taken of 10·log₁₀ of the value")
    unit: str = Field(default="", description="the unit of a value")
    declared: str = Field(default="", description="the feature's whole declaration, as JSON")
    robust: bool = Field(default=False, description="median and MAD instead of mean and SD")
    clean_s: NotNegative = Field(description="the seconds of clean EEG in it")
    withheld_s: dict[str, NotNegative] = Field(description="for each reason, the seconds left out")
    values: tuple[Number, ...] = Field(
        min_length=2, description="the clean values, in order, at least 2 different ones"
    )

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Baseline:
        """Return the baseline that a dict from ``model_dump`` holds; all problems at once in words."""
        baseline = checked(cls, content, "the baseline")
        if not (baseline.spread > 0 and math.isfinite(baseline.centre)):
            raise WrongInput(
                f"the baseline of feature {baseline.feature!r} does not vary or has values without a logarithm: "
                "no z-score can be taken"
            )
        return baseline

    @cached_property
    def scaled(self) -> tuple[float, ...]:
        """The values, in dB where ``log``."""
        return tuple(_scaled(value, self.log) for value in self.values)

    @cached_property
    def centre(self) -> float:
        """Mean or median of the scaled values."""
        return _median(self.scaled) if self.robust else math.fsum(self.scaled) / len(self.values)

    @cached_property
    def spread(self) -> float:
        """SD, or MAD scaled to it, of the scaled values."""
        away = [x - self.centre for x in self.scaled]
        if self.robust:
            return MAD_TO_SD * _median([abs(x) for x in away])
        return math.sqrt(math.fsum(x * x for x in away) / (len(away) - 1))

    @cached_property
    def z_values(self) -> tuple[float, ...]:
        """The baseline's own z-scores, in order."""
        return tuple((x - self.centre) / self.spread for x in self.scaled)

    def z(self, value: float) -> float:
        """Return how many SD ``value`` lies from the centre; NaN for what has no logarithm."""
        return (_scaled(value, self.log) - self.centre) / self.spread

    def value(self, z: float) -> float:
        """Return the value that lies ``z`` SD from the centre; mirrored at 0 for what was never below it."""
        scaled = self.centre + z * self.spread
        if self.log:
            return float(10.0 ** (scaled / 10.0))
        return abs(scaled) if min(self.values) >= 0.0 else scaled

    def mismatch(self, measure: Measure) -> str:
        """Return in words how it differs from a baseline of ``measure``; empty if it does not."""
        pairs = {
            "window_s": (self.window_s, measure.window_s),
            "log": (self.log, measure.log),
            "unit": (self.unit, measure.unit),
        }
        different = [f"{key} {was!r}, now {now!r}" for key, (was, now) in pairs.items() if was != now]
        if not different and self.declared != measure.declared:
            different = [f"the declaration {self.declared}, now {measure.declared}"]
        if not different:
            return ""
        return (
            f"the {self.condition!r} baseline of feature {self.feature!r} was taken with {'; '.join(different)}: "
            "baseline and training need the same; take the baseline again"
        )


class BaselineCollector:
    """Collects values of one feature until there are enough clean seconds.

    Parameters
    ----------
    measure : Measure
        The feature; values of others pass by.
    condition : str
        ``rest``, ``warm`` (warm stimulus) or ``pain`` (pain without feedback).
    rate_hz : float
        Rate of the samples that values are counted by.
    settings : BaselineSettings, optional
        How much is enough.
    """

    def __init__(
        self,
        measure: Measure,
        condition: Condition,
        rate_hz: float,
        settings: BaselineSettings | None = None,
    ) -> None:
        if condition not in CONDITIONS:
            raise UnknownName(f"no baseline condition {condition!r}; there are: {', '.join(CONDITIONS)}")
        self.measure, self.condition = measure, condition
        self.settings = settings or BaselineSettings()
        self._elapsed = Elapsed(rate_hz)
        self._values: list[float] = []
        self._clean: list[float] = []
        self._withheld: defaultdict[str, float] = defaultdict(float)

    def add(self, values: Iterable[FeatureValue]) -> None:
        """Add the next values."""
        for each in values:
            if each.name != self.measure.name:
                continue
            passed_s = self._elapsed.since_last_s(each.index)
            if passed_s > LONGEST_STEP_S:
                self._withheld["no value came"] += passed_s - LONGEST_STEP_S
                passed_s = LONGEST_STEP_S
            why = self._unfit(each)
            if why:
                self._withheld[kind_of(why)] += passed_s
            else:
                self._values.append(float(each.value))
                self._clean.append(passed_s)

    def _unfit(self, each: FeatureValue) -> str:
        if not each.usable:
            return each.why or "unusable, no reason given"
        return "" if math.isfinite(_scaled(each.value, self.measure.log)) else no_number(each.value)

    @property
    def clean_s(self) -> float:
        """Seconds of clean EEG so far."""
        return math.fsum(self._clean)

    def missing(self, ahead_s: float = 0.0) -> str:
        """Return in words what is still missing; empty when the baseline may end, be no further ``ahead_s`` s clean."""
        least_s, least_share = self.settings.least_s, self.settings.least_share
        clean_s, offered_s = self.clean_s, self.clean_s + math.fsum(self._withheld.values())
        # Sums of steps that are no binary fractions fall short by rounding alone.
        if clean_s < least_s * (1 - 1e-9) or len(self._values) < 2:
            problem = f"{clean_s:.1f} s of clean EEG, needed are {least_s:.1f} s"
        elif clean_s < least_share * (offered_s + ahead_s):
            problem = (
                f"{clean_s / offered_s:.0%} of {offered_s:.1f} s was clean, needed are {least_share:.0%}"
            )
        elif not self._baseline().spread > 0:
            problem = (
                f"its values do not vary (most are {_median(self._values):g}): is the electrode connected?"
            )
        else:
            return ""
        return f"feature {self.measure.name!r}, {CONDITIONS[self.condition]}: {problem}{self._reasons()}"

    def _reasons(self) -> str:
        """Return how long values were withheld for which reason, longest first."""
        rows = sorted(self._withheld.items(), key=lambda item: (-item[1], item[0]))
        more = f" and {len(rows) - 5} more reasons" if len(rows) > 5 else ""
        return "; withheld: " + ", ".join(f"{s:.1f} s {why!r}" for why, s in rows[:5]) + more if rows else ""

    def finish(self) -> Baseline:
        """Return the baseline.

        Raises
        ------
        WrongInput
            If there is not enough: which feature, how much, and what was withheld why.
        """
        if missing := self.missing():
            raise WrongInput(f"this baseline cannot end yet: {missing}")
        return self._baseline()

    def _baseline(self) -> Baseline:
        return Baseline(
            feature=self.measure.name,
            condition=self.condition,
            window_s=float(self.measure.window_s),
            log=self.measure.log,
            unit=self.measure.unit,
            declared=self.measure.declared,
            robust=self.settings.robust,
            clean_s=self.clean_s,
            withheld_s=dict(self._withheld),
            values=tuple(self._values),
        )


def no_number(value: float) -> str:
    """Return in words why ``value`` cannot be scored."""
    return f"a power of {value:g} has no logarithm" if math.isfinite(value) else "the feature has no value"


def _scaled(value: float, log: bool) -> float:
    if not log:
        return value
    return 10.0 * math.log10(value) if value > 0 else math.nan


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
