"""What a protocol says about how each participant's temperatures are found."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from neurofb.config import Positive, Table

Count = Annotated[int, Field(strict=True, ge=1, le=20)]
Points = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=100)]


class CalibrationSettings(Table):
    """How a protocol finds each participant's temperatures."""

    limits_n: Count = Field(default=3, description="how many slow ramps find the threshold: 1 to 20")
    limits_c_per_s: Annotated[Positive, Field(le=4.0)] = Field(
        default=1.0, description="how steep they are, in °C/s: up to 4, so that the button can follow"
    )
    ladder_n: Annotated[int, Field(strict=True, ge=3, le=20)] = Field(
        default=8, description="how many stimuli the ladder has at most: 3 to 20"
    )
    ladder_step_c: Annotated[Positive, Field(le=1.0)] = Field(
        default=0.5, description="from one to the next, in °C: up to 1"
    )
    ladder_below_c: Annotated[float, Field(strict=True, ge=0.0, le=5.0)] = Field(
        default=1.0, description="how far below the threshold it starts, in °C: 0 to 5"
    )
    plateau_s: Annotated[Positive, Field(le=60.0)] = Field(
        default=5.0, description="how long its stimuli are, in s; those of the protocol should be alike"
    )
    stop_rating: Points = Field(
        default=80.0, description="the rating, 0 to 100, at which nothing hotter is tried"
    )
    least_answers: Annotated[int, Field(strict=True, ge=3, le=20)] = Field(
        default=4, description="the fewest ratings that a line is drawn through: 3 to 20"
    )
    verify_n: Count = Field(default=3, description="how many times each temperature is given again: 1 to 20")
    tolerance: Points = Field(
        default=10.0, description="how far their mean may be from the asked rating, in points"
    )
