"""The heat settings of a protocol: sites, temperatures, rates. They may only tighten the safety envelope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Name, Number, Table
from neurofb.folding import first_twins
from neurofb.protocol.study import Word
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import ABSOLUTE_CAP_C, LONGEST_PLATEAU_S, STEEPEST_C_PER_S, HeatProfile

Celsius = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=20, le=ABSOLUTE_CAP_C)]
Ramp = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=STEEPEST_C_PER_S)]

_WIDEST = Envelope()


class HeatLevel(Table):
    """One level of the stimulus: a temperature, or a pain rating whose temperature the calibration finds."""

    celsius: Celsius | None = Field(
        default=None, description=f"the temperature in °C, up to {ABSOLUTE_CAP_C:g}; or pain instead"
    )
    pain: Annotated[float, Field(strict=True, gt=0, lt=90)] | None = Field(
        default=None,
        validate_default=True,
        description="the rating 0–90 that the calibrated temperature should get; or celsius instead",
    )
    fallback_c: Celsius | None = Field(
        default=None,
        validate_default=True,
        description="of a level with pain: the temperature in °C that checks and simulations take before a calibration",
    )
    label: Mapping[str, Name] = Field(
        default={},
        description='what a participant reads for it, by language, as label = { en = "warm", de = "warm" }; left out: '
        "a usual word of that name, or none",
    )
    plateau_s: Annotated[float, Field(strict=True, ge=0, le=LONGEST_PLATEAU_S)] = Field(
        description=f"how long the temperature is held, without ramps: 0 to {LONGEST_PLATEAU_S:g} s"
    )

    @field_validator("pain")
    @classmethod
    def _one_of_two(cls, value: float | None, info: ValidationInfo) -> float | None:
        if "celsius" in info.data and (value is None) == (info.data["celsius"] is None):
            found = "neither" if value is None else "both"
            raise ValueError(f"a level has either celsius, as 45.0, or pain, as 60.0; found {found}")
        return value

    @field_validator("fallback_c")
    @classmethod
    def _only_for_pain(cls, value: float | None, info: ValidationInfo) -> float | None:
        if info.data.get("pain") is not None and value is None:
            raise ValueError("a level with pain needs fallback_c, for checks before there is a calibration")
        if info.data.get("celsius") is not None and value is not None:
            raise ValueError("a level with celsius has that temperature; leave fallback_c out")
        return value

    @property
    def usual_c(self) -> float:
        """The temperature, or the one taken for it before a calibration."""
        value = self.celsius if self.celsius is not None else self.fallback_c
        assert value is not None
        return value


class HeatPlan(Table):
    """The heat settings of a protocol."""

    sites: tuple[Name, ...] = Field(
        min_length=1,
        description='places on the skin in the order of their use, as ["left forearm, middle"]; with levels given as '
        "pain calibration is at the first and stimuli begin at the second; from three places on the first is for the "
        "calibration only",
    )
    rotation: Literal["fixed", "by block", "by trial"] = Field(
        default="fixed",
        description='"fixed" (all stimuli at one site), "by block" (another with each phase that has heat) or '
        '"by trial"',
    )
    baseline_c: Celsius = Field(default=32.0, description="the temperature between stimuli, in °C: 30 to 35")
    rise_c_per_s: Ramp = Field(
        default=8.0, description=f"how steep it rises, up to {STEEPEST_C_PER_S:g} °C/s"
    )
    return_c_per_s: Ramp = Field(
        default=8.0, description=f"how steep it returns, up to {STEEPEST_C_PER_S:g} °C/s"
    )
    cap_c: Annotated[Number, Field(gt=30, le=_WIDEST.cap_c)] = Field(
        default=_WIDEST.cap_c,
        description=f"the hottest that this protocol allows: up to {_WIDEST.cap_c:g} °C",
    )
    interval_s: Annotated[Number, Field(ge=_WIDEST.interval_s)] = Field(
        default=_WIDEST.interval_s,
        description=f"the least time at baseline between two stimuli at one site: {_WIDEST.interval_s:g} s or more",
    )
    single: Annotated[Number, Field(gt=0, le=_WIDEST.single)] = Field(
        default=_WIDEST.single,
        description=f"the share of the contact-burn line that one stimulus may use: up to {_WIDEST.single:g}",
    )
    budget: Annotated[Number, Field(gt=0, le=_WIDEST.budget)] = Field(
        default=_WIDEST.budget,
        description=f"the share that one site may have in a session: up to {_WIDEST.budget:g}",
    )
    levels: Mapping[Word, HeatLevel] = Field(
        min_length=1, description="tables [heat.levels.NAME], one for each kind of stimulus"
    )

    @field_validator("sites")
    @classmethod
    def _sites_differ(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if twins := first_twins(value):
            first, second = twins
            raise ValueError(
                "a site is named twice; each place has its own name"
                if first == second
                else f"{first!r} and {second!r} are one place spelt in two ways; each place has its own name"
            )
        return value

    @property
    def envelope(self) -> Envelope:
        """The safety envelope as tightened by this protocol."""
        return Envelope(cap_c=self.cap_c, interval_s=self.interval_s, single=self.single, budget=self.budget)

    @property
    def calibrated(self) -> tuple[str, ...]:
        """Levels whose temperature a calibration finds."""
        return tuple(name for name, level in self.levels.items() if level.pain is not None)

    @property
    def calibration_site(self) -> str:
        """The site of the calibration: the first."""
        return self.sites[0]

    @property
    def trial_sites(self) -> tuple[str, ...]:
        """Sites for trials, in the order of their use.

        With a calibration its site comes last, and is left out if the others are enough to rotate.
        """
        first, *others = self.sites
        if not self.calibrated or not others:
            return self.sites
        return tuple(others) if len(others) > 1 else (*others, first)

    def profile(self, level: str, celsius: float) -> HeatProfile:
        """Return a stimulus of a level at a temperature, no cooler than the baseline."""
        return HeatProfile(
            max(celsius, self.baseline_c),
            self.levels[level].plateau_s,
            self.baseline_c,
            self.rise_c_per_s,
            self.return_c_per_s,
        )
