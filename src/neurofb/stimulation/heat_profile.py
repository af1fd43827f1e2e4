"""One heat stimulus as numbers: its course in time, and how much of a contact burn it is.

The measure is the contact-burn model of Springborg et al. 2021 (doi 10.1371/journal.pone.0254790, Fig. 2): a line
parallel to the burn line that Moritz and Henriques' data give, through the exposures that are used on purpose to make
a first-degree contact burn (300 s at 45 °C). ``dose`` is the fraction of that limit which an exposure uses up: 1 is
the limit. These are model numbers for adult skin at a kept surface temperature, not a guarantee for anyone's skin; the
device's manual and the ethics approval come first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from neurofb.errors import WrongInput

#: No temperature above this can be asked for anywhere in neurofb: where quantitative sensory testing cuts off
#: (PMC7211210, Table 2).
ABSOLUTE_CAP_C = 50.0
#: No ramp can be steeper: CHEPS heats by 70 °C/s at most (README of ilalena/TSA-external-control).
STEEPEST_C_PER_S = 70.0
#: The longest plateau of a Pathway program (Medoc's manual, DC 00054).
LONGEST_PLATEAU_S = 600.0

#: The line ``exp(113.4 - 28.3 ln T)`` s: Springborg et al. 2021, Fig. 2.
_OFFSET, _POWER = 113.4, 28.3

Phase = Literal["rising", "plateau", "returning", "ended"]


def dose_per_s(temperature_c: float) -> float:
    """Return the dose of one second at a temperature, as a fraction of the contact-burn limit."""
    return math.exp(_POWER * math.log(temperature_c) - _OFFSET) if temperature_c > 0 else 0.0


def contact_line_s(temperature_c: float) -> float:
    """Return the seconds at a temperature that make a first-degree contact burn in the model.

    ``exp(113.4 - 28.3 ln T)``, T in °C: 290 s at 45 °C, 26 s at 49 °C. Infinite at 0 °C and below.
    """
    rate = dose_per_s(temperature_c)
    return 1.0 / rate if rate > 0 else math.inf


def ramp_dose(from_c: float, to_c: float, c_per_s: float) -> float:
    """Return the dose of a straight ramp, up or down: the integral of a power of T is known in closed form."""
    low, high = max(min(from_c, to_c), 0.0), max(from_c, to_c, 0.0)
    return (high * dose_per_s(high) - low * dose_per_s(low)) / ((_POWER + 1.0) * c_per_s)


#: How fast a probe cools after an abort, in an account that does not know its device. Assumed: the fastest ramp that
#: clients of a Pathway use (cosanlab/pymedoc).
ABORT_C_PER_S = 10.0


def abort_dose(temperature_c: float, baseline_c: float = 32.0, abort_c_per_s: float = ABORT_C_PER_S) -> float:
    """Return the dose that it takes at most to end a stimulus at once: from half a degree above.

    Half a degree is assumed: within what the guard lets a probe deviate. A device that cools faster than
    ``ABORT_C_PER_S`` gets no credit for it.
    """
    return ramp_dose(temperature_c + 0.5, baseline_c, min(ABORT_C_PER_S, abort_c_per_s))


@dataclass(frozen=True, slots=True)
class HeatProfile:
    """A heat stimulus: from baseline up to the target, a plateau there, and back.

    Attributes
    ----------
    target_c : float
        Temperature of the plateau in °C: at least the baseline, at most 50.
    plateau_s : float
        How long it is held, in seconds, without the ramps; 0 for a ramp that turns at its top.
    baseline_c : float
        Where it starts and ends.
    rise_c_per_s, return_c_per_s : float
        Steepness of the ramps in °C/s, both positive.
    """

    target_c: float
    plateau_s: float
    baseline_c: float = 32.0
    rise_c_per_s: float = 8.0
    return_c_per_s: float = 8.0

    def __post_init__(self) -> None:
        found = []
        if not self.baseline_c <= self.target_c <= ABSOLUTE_CAP_C:
            found.append(
                f"target_c is from the baseline, {self.baseline_c:g} °C, to {ABSOLUTE_CAP_C:g} °C: "
                f"found {self.target_c:g}"
            )
        if not 0.0 <= self.plateau_s <= LONGEST_PLATEAU_S:
            found.append(f"plateau_s is from 0 to {LONGEST_PLATEAU_S:g} s: found {self.plateau_s:g}")
        if not 10.0 <= self.baseline_c <= ABSOLUTE_CAP_C:
            found.append(f"baseline_c is from 10 to {ABSOLUTE_CAP_C:g} °C: found {self.baseline_c:g}")
        for name in ("rise_c_per_s", "return_c_per_s"):
            if not 0.0 < getattr(self, name) <= STEEPEST_C_PER_S:
                found.append(
                    f"{name} is above 0 and at most {STEEPEST_C_PER_S:g} °C/s: found {getattr(self, name):g}"
                )
        if found:
            raise WrongInput("no such heat stimulus: " + "; ".join(found))

    @property
    def rise_s(self) -> float:
        """Seconds from baseline to target."""
        return (self.target_c - self.baseline_c) / self.rise_c_per_s

    @property
    def return_s(self) -> float:
        """Seconds from target to baseline."""
        return (self.target_c - self.baseline_c) / self.return_c_per_s

    @property
    def duration_s(self) -> float:
        """Seconds from the start of the rise to the end of the return."""
        return self.rise_s + self.plateau_s + self.return_s

    def temperature_c(self, t_s: float) -> float:
        """Return the commanded temperature ``t_s`` seconds after the start; baseline before and after."""
        rising = self.baseline_c + self.rise_c_per_s * t_s
        returning = self.baseline_c + self.return_c_per_s * (self.duration_s - t_s)
        return max(self.baseline_c, min(rising, self.target_c, returning))

    def lowered(self, by_c: float) -> HeatProfile:
        """Return the same stimulus with its target ``by_c`` °C lower, never below the baseline.

        Raises
        ------
        WrongInput
            If ``by_c`` is negative or no number: a target only goes down.
        """
        if not (by_c >= 0 and math.isfinite(by_c)):
            raise WrongInput(f"a target can be lowered by 0 °C or more; asked to lower it by {by_c:g} °C")
        return replace(self, target_c=max(self.baseline_c, self.target_c - by_c))


def dose(profile: HeatProfile) -> float:
    """Return the dose of a stimulus with its ramps, as a fraction of the contact-burn limit.

    The integral of ``dt / contact_line_s(T(t))`` in closed form; no credit is given for recovery.
    """
    ramps = ramp_dose(profile.baseline_c, profile.target_c, profile.rise_c_per_s) + ramp_dose(
        profile.target_c, profile.baseline_c, profile.return_c_per_s
    )
    return ramps + profile.plateau_s * dose_per_s(profile.target_c)


class Course:
    """A stimulus that runs: its commanded temperature as time goes on, and a target that can only go down.

    Lowering does not make a stimulus longer: the plateau ends when it would have ended.

    Attributes
    ----------
    commanded_c, target_c : float
        The commanded temperature now, and where it goes.
    phase : {"rising", "plateau", "returning", "ended"}
    """

    def __init__(self, profile: HeatProfile) -> None:
        self.profile = profile
        self.commanded_c = profile.baseline_c
        self.target_c = profile.target_c
        self.phase: Phase = "rising"
        self._t_s = 0.0
        self._hold_until_s = profile.rise_s + profile.plateau_s

    def advance_to(self, t_s: float) -> float:
        """Advance to ``t_s`` seconds after the start; return the commanded temperature there."""
        if t_s > self._t_s and self._t_s < self._hold_until_s:
            upto_s = min(t_s, self._hold_until_s)
            self._towards(self.target_c, upto_s - self._t_s)
            self._t_s = upto_s
        if t_s > self._t_s:
            self._towards(self.profile.baseline_c, t_s - self._t_s)
            self._t_s = t_s
        self.phase = self._phase()
        return self.commanded_c

    def lower_to(self, target_c: float) -> None:
        """Set a lower target; one that is higher, or below the baseline, is cut to what may be."""
        self.target_c = max(self.profile.baseline_c, min(self.target_c, target_c))

    def _towards(self, goal_c: float, dt_s: float) -> None:
        if goal_c >= self.commanded_c:
            self.commanded_c = min(goal_c, self.commanded_c + self.profile.rise_c_per_s * dt_s)
        else:
            self.commanded_c = max(goal_c, self.commanded_c - self.profile.return_c_per_s * dt_s)
        if abs(goal_c - self.commanded_c) < 1e-9:
            self.commanded_c = goal_c

    def _phase(self) -> Phase:
        if self._t_s < self._hold_until_s:
            return "rising" if self.commanded_c < self.target_c else "plateau"
        return "returning" if self.commanded_c > self.profile.baseline_c else "ended"
