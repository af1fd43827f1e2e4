"""Feedback and baselines as a protocol plans them: the settings, and how the participant meets them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Positive
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings


class FeedbackPlan(FeedbackSettings):
    """All about feedback: what is trained, and when the participant hears of it."""

    mode: Literal["continuous", "summary", "instruction"] = Field(
        default="continuous",
        description="'continuous', 'summary' (a sum after each block) or 'instruction' (none is shown, only recorded)",
    )


class BaselinePlan(BaselineSettings):
    """When a baseline is enough, and how long one waits for it."""

    longest_s: Positive = Field(
        default=180.0,
        validate_default=True,
        description="after how long a baseline that is still not enough ends the session: least_s or more, in s",
    )

    @field_validator("longest_s")
    @classmethod
    def _long_enough(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("least_s", value):
            raise ValueError(f"it is not shorter than least_s, {info.data['least_s']:g} s")
        return value
