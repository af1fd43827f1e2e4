"""The feedback settings of a protocol, as frozen, checked data.

Every key has a ``description`` that says what would be right: it is the documentation, and it is the answer to a
mistake. Checks that concern two keys belong to the later one, so that all problems of a table are found at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Level, Name, NotNegative, Number, Positive, Share, Table

Condition = Literal["rest", "warm", "pain"]
Direction = Literal["up", "down"]
Rule = Literal["fixed", "percentile", "one_up_two_down", "weighted", "settled"]

#: After this long without a value the level is neutral, whatever the settings; the last tenth is the engine's step.
NEUTRAL_WITHIN_S = 0.9


class BaselineSettings(Table):
    """Settings of a sufficient baseline."""

    least_s: Positive = Field(
        default=60.0, description="the seconds of clean EEG without which a baseline may not end"
    )
    least_share: Share = Field(
        default=0.5, description="the share of the offered time that must be clean, above 0 and below 1"
    )
    robust: bool = Field(default=False, description="true for median and MAD, false for mean and SD")


#: Which keys each rule reads; a key that a rule does not read is a mistake, not a comment.
_KEYS: dict[str, set[str]] = {
    "fixed": {"z"},
    "percentile": {"success_rate", "memory_s", "trial_s", "max_change_z"},
    "one_up_two_down": {"z", "trial_s", "step_z", "least_step_z", "max_change_z"},
    "weighted": {"z", "success_rate", "trial_s", "step_z", "least_step_z", "max_change_z"},
    "settled": {"success_rate", "trial_s", "clean_s", "recheck_s", "too_easy", "too_hard"},
}


class ThresholdSettings(Table):
    """Settings of the threshold: its rule and when it may change."""

    rule: Rule = Field(default="percentile", description=f"one of {', '.join(_KEYS)}")
    change: Literal["between blocks", "at once"] = Field(
        default="between blocks", description="'between blocks', or 'at once' for after any trial"
    )
    z: Number | None = Field(
        default=None,
        validate_default=True,
        description="the threshold of rule 'fixed', or where a staircase starts, in SD of the matching baseline",
    )
    success_rate: Share = Field(
        default=0.65, description="the share of clean time above threshold, between 0 and 1"
    )
    memory_s: Positive = Field(
        default=60.0, description="the seconds of clean EEG that a percentile looks back on"
    )
    trial_s: Positive = Field(
        default=0.5, description="the seconds after which one value counts as the next trial"
    )
    step_z: Positive = Field(default=0.3, description="a staircase's first step in SD")
    least_step_z: Positive = Field(
        default=0.02, validate_default=True, description="a staircase's last step in SD, at most step_z"
    )
    max_change_z: Positive = Field(
        default=0.5, description="the most a threshold may change at a time, in SD"
    )
    clean_s: Positive = Field(
        default=180.0, description="the seconds of clean EEG after which rule 'settled' sets it"
    )
    recheck_s: Positive = Field(
        default=90.0, description="the seconds of clean EEG over which 'settled' looks again"
    )
    too_hard: Share = Field(default=0.30, description="the success below which 'settled' sets it again, once")
    too_easy: Share = Field(
        default=0.85, validate_default=True, description="the success above which 'settled' sets it again"
    )

    @field_validator("*")
    @classmethod
    def _belongs_to_the_rule(cls, value: Any, info: ValidationInfo) -> Any:
        rule, key = info.data.get("rule"), info.field_name
        if rule is None or key in ("rule", "change", None) or key in _KEYS[rule]:
            return value
        if value == cls.model_fields[key].default:
            return value
        raise ValueError(f"rule {rule!r} does not read it; it reads {', '.join(sorted(_KEYS[rule]))}")

    @field_validator("z")
    @classmethod
    def _require_fixed(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is None and info.data.get("rule") == "fixed":
            raise ValueError("rule 'fixed' needs z, the threshold in SD of the baseline")
        return value

    @field_validator("least_step_z")
    @classmethod
    def _not_above_the_first(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("step_z", value):
            raise ValueError(f"a staircase's steps grow smaller: at most step_z, {info.data['step_z']:g}")
        return value

    @field_validator("too_easy")
    @classmethod
    def _around_the_promise(cls, value: float, info: ValidationInfo) -> float:
        low, rate = info.data.get("too_hard"), info.data.get("success_rate")
        if (
            info.data.get("rule") == "settled"
            and low is not None
            and rate is not None
            and not low < rate < value
        ):
            raise ValueError(
                f"needed is too_hard < success_rate < too_easy, found {low:g}, {rate:g}, {value:g}"
            )
        return value


class LevelSettings(Table):
    """Settings of the level 0–1: the mapping from a value's distance to its threshold."""

    neutral: Level = Field(
        default=0.5, description="the level at threshold, and where feedback fades to: 0 to 1"
    )
    span_z: Positive = Field(default=2.0, description="the SD from threshold to full level, and to none")
    limit_per_s: Positive | None = Field(
        default=None,
        description="the most the level may change in a second, above 0; leave it out for no limit",
    )
    hold_s: Annotated[NotNegative, Field(le=1.0)] = Field(
        default=0.5, description="how long the last level stays when a value cannot be used: 0 to 1 s"
    )
    fade_s: Annotated[NotNegative, Field(le=NEUTRAL_WITHIN_S)] = Field(
        default=0.4, description=f"how long the fade to neutral takes: 0 to {NEUTRAL_WITHIN_S:g} s"
    )
    stale_s: Annotated[Positive, Field(le=NEUTRAL_WITHIN_S)] = Field(
        validate_default=True,
        default=0.3,
        description=f"after how long without a value the feature is stale: up to {NEUTRAL_WITHIN_S:g} s",
    )

    @field_validator("stale_s")
    @classmethod
    def _leaves_time_to_fade(cls, value: float, info: ValidationInfo) -> float:
        fade_s = info.data.get("fade_s")
        if fade_s is not None and value + fade_s > NEUTRAL_WITHIN_S:
            raise ValueError(
                f"stale_s and fade_s together are at most {NEUTRAL_WITHIN_S:g} s, so that a stream that stops "
                f"leaves the level neutral within 1 s; fade_s is {fade_s:g} s"
            )
        return value


class RewardSettings(Table):
    """Settings of the reward."""

    kind: Literal["continuous", "discrete", "burst"] = Field(
        default="continuous",
        description="'continuous' (while above threshold), 'discrete' (for hold_s, then none for refractory_s) "
        "or 'burst' (as discrete, once for each time the feature rises above threshold)",
    )
    above_s: NotNegative = Field(
        default=0.0, description="how long it must be above threshold first: 0 s or more"
    )
    hold_s: NotNegative = Field(default=0.0, description="how long a reward lasts: 0 s or more")
    refractory_s: NotNegative = Field(
        default=0.0, description="how long after a reward there is none: 0 s or more"
    )

    @field_validator("hold_s", "refractory_s")
    @classmethod
    def _not_if_continuous(cls, value: float, info: ValidationInfo) -> float:
        if value and info.data.get("kind") == "continuous":
            raise ValueError("a continuous reward lasts while the feature is above threshold; say 'discrete'")
        return value


class InhibitSettings(Table):
    """Another feature that withholds feedback while it is beyond a limit."""

    feature: Name = Field(description="the name of a feature of this protocol, such as an EMG index")
    limit: Number = Field(description="the limit, a number in the unit that is said")
    unit: Literal["z", "value"] = Field(
        default="z", description="'z' for SD of its own matching baseline, 'value' for the feature's own unit"
    )
    side: Literal["above", "below"] = Field(
        default="above", description="'above' or 'below': where it inhibits"
    )
    linger_s: NotNegative = Field(
        default=0.25, description="how long it goes on after the last value beyond the limit"
    )


class FeedbackSettings(Table):
    """The feedback settings of a protocol."""

    feature: Name = Field(description="the name of the trained feature")
    direction: Direction = Field(default="up", description="'up' or 'down': where the feature should go")
    after_heat_s: NotNegative = Field(
        default=1.5,
        description="how long after heat onset the evoked response is kept out of feedback: 0 s or more",
    )
    threshold: ThresholdSettings = Field(default_factory=ThresholdSettings, description="a threshold table")
    level: LevelSettings = Field(default_factory=LevelSettings, description="a level table")
    reward: RewardSettings = Field(default_factory=RewardSettings, description="a reward table")
    inhibits: tuple[InhibitSettings, ...] = Field(default=(), description="a list of inhibit tables")

    @field_validator("inhibits")
    @classmethod
    def _not_the_trained(
        cls, value: tuple[InhibitSettings, ...], info: ValidationInfo
    ) -> tuple[InhibitSettings, ...]:
        names = [each.feature for each in value]
        if info.data.get("feature") in names:
            raise ValueError(f"feature {info.data['feature']!r} is trained and cannot inhibit itself")
        if len(set(names)) < len(names):
            raise ValueError("one feature inhibits twice; give each one limit")
        return value
