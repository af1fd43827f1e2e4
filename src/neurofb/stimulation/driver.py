"""What every stimulator's driver promises: the words between the guard and a device.

A driver sends what it is told and reads what the device says. It decides nothing: the limits are the guard's
(``guard``), which is the only one that calls it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from neurofb.stimulation.heat_profile import HeatProfile

State = Literal["baseline", "armed", "rising", "plateau", "returning", "aborted", "fault", "off"]

#: What a stimulator can be doing; the number in records is the place in this tuple.
STATES: tuple[State, ...] = (
    "baseline",
    "armed",
    "rising",
    "plateau",
    "returning",
    "aborted",
    "fault",
    "off",
)


class Reading(NamedTuple):
    """What the probe was at one time: commanded and measured, in °C, on the engine's clock.

    ``measured_c`` is NaN where the device gave nothing usable.
    """

    time_s: float
    target_c: float
    measured_c: float
    state: State


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to fire one stimulus once."""

    number: int
    profile: HeatProfile
    site: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a stimulator can do.

    Attributes
    ----------
    name : str
        The device, for records.
    max_c : float
        Where the device itself cuts its power, in °C, whatever is commanded and whatever cap it was given: the hottest
        that its probe gets if it fails with full power and hears no abort. The cap that a TCS II takes (``Om``) limits
        what is commanded, not what is measured; the TSA-2's table of temperatures and times is in its firmware.
    rise_c_per_s, return_c_per_s : float
        The steepest ramps it follows.
    abort_c_per_s : float
        How fast it cools when a stimulus is aborted.
    lag_s : float
        Time constant between the commanded and the measured temperature.
    lowers : bool
        Whether the target of a stimulus that is on can be lowered; else the guard ends it instead.
    link_s : float
        After this long without a word from the computer the device returns to baseline by itself; infinite if it
        never does. Then only the power switch ends a stimulus whose computer has died.
    simulated : bool
        No device at all.
    """

    name: str
    max_c: float
    rise_c_per_s: float
    return_c_per_s: float
    abort_c_per_s: float
    lag_s: float
    lowers: bool = True
    link_s: float = math.inf
    simulated: bool = False

    def unfit(self) -> list[str]:
        """Return why no guard can keep the envelope with this device; nothing: an empty list."""
        found = []
        if not self.abort_c_per_s > 0:
            found.append(f"how fast an abort cools is above 0 °C/s: found {self.abort_c_per_s:g}")
        if not 0 <= self.lag_s < 1.0:
            found.append(f"the lag of the probe is below 1 s: found {self.lag_s:g} s")
        return found

    def too_steep(self, profile: HeatProfile) -> list[str]:
        """Return which ramps of a stimulus the device can't follow."""
        return [
            f"{name} of {getattr(profile, name):g} is asked; the device follows {getattr(self, name):g} at most"
            for name in ("rise_c_per_s", "return_c_per_s")
            if getattr(profile, name) > getattr(self, name)
        ]


class StimulatorDriver(Protocol):
    """A driver. Every call may raise ``StimulatorMissing``, and takes a few ms at most."""

    def connect(self, cap_c: float) -> None:
        """Open the device at baseline, and write the cap into it where it can hold one."""
        ...

    def capabilities(self) -> Capabilities:
        """Return what the device can do."""
        ...

    def self_test(self) -> list[str]:
        """Return what is wrong with the device; nothing: an empty list."""
        ...

    def arm(self, profile: HeatProfile) -> Ticket:
        """Prepare a stimulus and go to its baseline; what was armed before is void."""
        ...

    def fire(self, ticket: Ticket) -> None:
        """Start the armed stimulus now; a ticket is good for one time."""
        ...

    def lower(self, target_c: float) -> None:
        """Lower the target of the stimulus that is on; a higher one is ignored."""
        ...

    def abort(self) -> None:
        """Return to baseline as fast as possible, whatever is going on; void what is armed."""
        ...

    def read(self) -> Reading:
        """Return the newest reading."""
        ...

    def close(self) -> None:
        """Return to baseline and let the device go."""
        ...
