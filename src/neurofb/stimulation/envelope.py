"""The limits of every heat stimulus, and of the dose of each place on the skin.

A protocol may draw them closer (``Envelope.loosened_by`` finds where it does not); nothing widens them beyond the
bounds below. Where the numbers come from: ``heat_profile`` for the contact-burn limit; half of it for one contact, the
whole for one place in a session without credit for recovery, 49 °C, 8 s and 30–35 °C are assumed: this project's
choice, more careful than the studies (up to 51 °C: Bishop 2009, PMC2822036). An ethics approval may ask for less.
"""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Table
from neurofb.stimulation.heat_profile import (
    ABORT_C_PER_S,
    ABSOLUTE_CAP_C,
    HeatProfile,
    abort_dose,
    contact_line_s,
    dose,
    dose_per_s,
)

#: A planned dose is counted with this on top, and with what it costs to end it at once: so a stimulus that was planned
#: up to the limit is not ended in its last moment because the probe reads a little high, and one that must be ended
#: there still keeps the limit. Assumed: a probe that reads 0.03 °C too high at 49 °C, as much as a reading's noise.
RESERVE = 0.02

_Limit = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def planned_dose(profile: HeatProfile, abort_c_per_s: float = ABORT_C_PER_S) -> float:
    """Return the dose that a stimulus is counted with before it starts: with the reserve, and a sudden end."""
    leaving = abort_dose(profile.target_c, abort_c_per_s=abort_c_per_s)
    return dose(profile) * (1.0 + RESERVE) + leaving


class Envelope(Table):
    """The limits that hold for one session."""

    cap_c: Annotated[_Limit, Field(gt=30.0, le=ABSOLUTE_CAP_C)] = Field(
        default=49.0, description=f"the hottest that is ever commanded, in °C, {ABSOLUTE_CAP_C:g} at most"
    )
    single: Annotated[_Limit, Field(gt=0.0, le=0.5)] = Field(
        default=0.5, description="the share of the contact-burn line that one stimulus may use: up to 0.5"
    )
    budget: Annotated[_Limit, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="the share that one place on the skin may have in a session: up to 1"
    )
    interval_s: Annotated[_Limit, Field(ge=8.0)] = Field(
        default=8.0, description="the seconds at baseline between two stimuli at one place: 8 or more"
    )
    baseline_low_c: Annotated[_Limit, Field(ge=30.0, le=35.0)] = Field(
        default=30.0, description="the coolest baseline, in °C: 30 to 35"
    )
    baseline_high_c: Annotated[_Limit, Field(ge=30.0, le=35.0)] = Field(
        default=35.0, validate_default=True, description="the warmest baseline, in °C: baseline_low_c to 35"
    )
    stale_s: Annotated[_Limit, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="the age of a reading, in s, at which a stimulus is ended: up to 1"
    )
    deviation_c: Annotated[_Limit, Field(gt=0.0, le=1.0)] = Field(
        default=1.0, description="how far, in °C, the probe may be from where it should be: up to 1"
    )
    deviation_s: Annotated[_Limit, Field(ge=0.0, le=1.0)] = Field(
        default=1.0, description="for how long it may be further away, in s: up to 1"
    )

    @field_validator("baseline_high_c")
    @classmethod
    def _in_order(cls, value: float, info: ValidationInfo) -> float:
        low_c = info.data.get("baseline_low_c", value)
        if value < low_c:
            raise ValueError(f"the warmest baseline is not below baseline_low_c, {low_c:g} °C")
        return value

    def problems(
        self,
        profile: HeatProfile,
        *,
        used: float = 0.0,
        since_last_s: float = math.inf,
        abort_c_per_s: float = ABORT_C_PER_S,
    ) -> list[str]:
        """Return all that forbids a stimulus.

        Parameters
        ----------
        profile : HeatProfile
            The stimulus.
        used : float
            The dose that its site has had already, as a fraction of the contact-burn limit.
        since_last_s : float
            Seconds that this place has been at baseline since its last stimulus.
        abort_c_per_s : float
            How fast the device cools when the stimulus is aborted.

        Returns
        -------
        list of str
            A sentence for each problem: what was asked, what is the limit, what would be right. Empty: it may be.
        """
        found = []
        if profile.target_c > self.cap_c:
            found.append(f"{profile.target_c:g} °C is asked; at most {self.cap_c:g} °C is allowed")
        if not self.baseline_low_c <= profile.baseline_c <= self.baseline_high_c:
            found.append(
                f"a baseline of {profile.baseline_c:g} °C is asked; it is from {self.baseline_low_c:g} to "
                f"{self.baseline_high_c:g} °C"
            )
        if since_last_s < self.interval_s:
            found.append(
                f"the last stimulus at this place ended {since_last_s:.1f} s before; at least "
                f"{self.interval_s:g} s must lie between"
            )
        return [*found, *self._too_much(profile, used, abort_c_per_s)]

    def _too_much(self, profile: HeatProfile, used: float, abort_c_per_s: float) -> list[str]:
        found = []
        share = planned_dose(profile, abort_c_per_s)
        most_s = self.longest_plateau_s(profile, abort_c_per_s)
        if share > self.single or profile.plateau_s > self.single * contact_line_s(profile.target_c):
            right = f"at most {most_s:.1f} s would be right" if most_s > 0 else "its ramps alone are too much"
            found.append(
                f"{profile.plateau_s:g} s at {profile.target_c:g} °C with its ramps is {share:.2f} of the "
                f"contact-burn line; one stimulus may be {self.single:g} of it: {right}"
            )
        if used + share > self.budget:
            found.append(
                f"this place on the skin has had {used:.2f} of its budget of {self.budget:g} and the stimulus adds "
                f"{share:.2f}; another place, or a lower or shorter stimulus, would be right"
            )
        return found

    def longest_plateau_s(self, profile: HeatProfile, abort_c_per_s: float = ABORT_C_PER_S) -> float:
        """Return the longest plateau that one stimulus with this target and these ramps may have; 0 if none."""
        ramps = dose(profile) - profile.plateau_s * dose_per_s(profile.target_c)
        leaving = abort_dose(profile.target_c, abort_c_per_s=abort_c_per_s)
        left = (self.single - leaving) / (1.0 + RESERVE) - ramps
        return max(0.0, left / dose_per_s(profile.target_c))

    def loosened_by(self, other: Envelope) -> list[str]:
        """Return where ``other`` allows more than this envelope does: a protocol may only tighten."""
        found = []
        for name in type(self).model_fields:
            mine, theirs = getattr(self, name), getattr(other, name)
            least = name in ("interval_s", "baseline_low_c")
            if theirs < mine if least else theirs > mine:
                found.append(
                    f"{name}: {theirs:g} is asked, {mine:g} is the limit of this place; a protocol may only "
                    f"tighten it, to {mine:g} or {'more' if least else 'less'}"
                )
        return found
