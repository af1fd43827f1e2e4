"""What every stimulator's driver promises: the words between the guard and a device.

A driver sends what it is told and reads what the device says. It decides nothing: the limits are the guard's
(``guard``), which is the only one that calls it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

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

    ``measured_c`` is NaN where the device gave nothing usable. A probe of several zones gives each that is on in
    ``zones_c``, and the hottest as ``measured_c``. ``state`` is what the device says of itself: the guard ends a
    stimulus at "fault", "aborted" and "off".
    """

    time_s: float
    target_c: float
    measured_c: float
    state: State
    zones_c: tuple[float, ...] = ()


class Onset(NamedTuple):
    """The device began the stimulus that was fired: when, on the engine's clock, and from what that is known."""

    time_s: float
    source: str


class Stopped(NamedTuple):
    """Somebody stopped the device itself: the participant with its button, or anybody with its emergency button."""

    by: Literal["participant", "emergency"]
    time_s: float


class Failed(NamedTuple):
    """The device reports that something is wrong with it: whatever is on ends, and nothing starts until a reset."""

    what: str
    time_s: float


class Confirmed(NamedTuple):
    """The device holds the settings of the ticket with this number."""

    ticket: int


#: What a device tells by itself.
News = Onset | Stopped | Failed | Confirmed


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to fire one stimulus once."""

    number: int
    profile: HeatProfile
    site: str = ""


#: The slowest readings that a stimulus can be guarded by. Assumed: a ramp of 8 °C/s moves by 2.4 °C between two.
SLOWEST_READING_S = 0.3
#: A device may begin so long after it was told to. Assumed: half of what a stimulus is late at most (``guard.LATE_S``).
LATEST_ONSET_S = 0.5
#: A device may take so long to confirm its settings. Assumed: the time between a request and its stimulus.
LATEST_CONFIRMATION_S = 1.0
#: Rounding down leaves a number alone that is this near to a step. Assumed: a millionth of a step, far above the error
#: of a division and far below what any device resolves.
_NEAR = 1e-6

Silence = Literal["returns", "finishes", "holds"]


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
    on_silence : {"returns", "finishes", "holds"}
        What it does when the computer says nothing any more: it returns to baseline after ``silence_s``, it finishes
        its stimulus by its own clock, or it holds what it was told last. Then only the power switch ends a stimulus
        whose computer has died: no such device heats a person.
    silence_s : float
        After so long without a word it returns by itself; for "returns".
    simulated : bool
        No device at all.
    period_s : float
        From one reading to the next; 0 where each call gives a new one.
    onset_s : float
        So long after ``fire`` it begins at the latest, and says when (``Onset``); 0 where it begins at once.
    confirm_s : float
        So long after ``arm`` it confirms its settings at the latest (``Confirmed``); 0 where ``arm`` does.
    longest_s : float
        The longest that it holds rise and plateau together.
    step_c, step_c_per_s, step_s : float
        What it resolves; 0 where there is no such step. A profile is rounded down to them.
    dwell : tuple of (float, float)
        Rows of the device's own table: from so many °C on it ends a plateau after so many seconds. The rows of higher
        temperatures hold as well.
    spread_c : float
        So far apart its zones may be.
    programs : tuple of HeatProfile
        All that it can give, where each stimulus is a program that was set up in it by hand; else empty.
    firmware, serial : str
        As the device says; "" where it says nothing.
    warnings : tuple of str
        What somebody must do by hand before this device heats.
    """

    name: str
    max_c: float
    rise_c_per_s: float
    return_c_per_s: float
    abort_c_per_s: float
    lag_s: float
    lowers: bool = True
    on_silence: Silence = "holds"
    silence_s: float = math.inf
    simulated: bool = False
    period_s: float = 0.0
    onset_s: float = 0.0
    confirm_s: float = 0.0
    longest_s: float = math.inf
    step_c: float = 0.0
    step_c_per_s: float = 0.0
    step_s: float = 0.0
    dwell: tuple[tuple[float, float], ...] = ()
    spread_c: float = math.inf
    programs: tuple[HeatProfile, ...] = ()
    firmware: str = ""
    serial: str = ""
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Capabilities:
        """Return what ``dataclasses.asdict`` and JSON made a document of."""
        rows = tuple((at_c, s) for at_c, s in document.get("dwell", ()))
        programs = tuple(HeatProfile(**each) for each in document.get("programs", ()))
        warnings = tuple(document.get("warnings", ()))
        return cls(**{**document, "dwell": rows, "programs": programs, "warnings": warnings})

    @property
    def outlasts_s(self) -> float:
        """How long heat can outlast its plan when nobody guards it; infinite for a device that holds it."""
        return {"returns": self.silence_s, "finishes": 0.0, "holds": math.inf}[self.on_silence]

    def unfit(self) -> list[str]:
        """Return why no guard can keep the envelope with this device; nothing: an empty list."""
        found = []
        if not self.abort_c_per_s > 0:
            found.append(f"how fast an abort cools is above 0 °C/s: found {self.abort_c_per_s:g}")
        if not 0 <= self.lag_s < 1.0:
            found.append(f"the lag of the probe is below 1 s: found {self.lag_s:g} s")
        if not self.simulated and not math.isfinite(self.outlasts_s):
            found.append(
                "it never returns to baseline by itself when the computer dies: it must not heat a person"
            )
        for what, value_s, most_s in (
            ("the time between two readings", self.period_s, SLOWEST_READING_S),
            ("the time until it begins", self.onset_s, LATEST_ONSET_S),
            ("the time until it confirms its settings", self.confirm_s, LATEST_CONFIRMATION_S),
        ):
            if not 0 <= value_s <= most_s:
                found.append(f"{what} is from 0 to {most_s:g} s: found {value_s:g} s")
        return found

    def cannot(self, profile: HeatProfile) -> list[str]:
        """Return why the device can't give a stimulus as it is; nothing: an empty list."""
        found = [
            f"{name} of {getattr(profile, name):g} is asked; the device follows {getattr(self, name):g} at most"
            for name in ("rise_c_per_s", "return_c_per_s")
            if getattr(profile, name) > getattr(self, name)
        ]
        found += [
            f"{name} of {getattr(profile, name):g} is asked; {self.step_c_per_s:g} is the least that the device takes"
            for name in ("rise_c_per_s", "return_c_per_s")
            if getattr(profile, name) < self.step_c_per_s * (1.0 - _NEAR)
        ]
        if profile.rise_s + profile.plateau_s > self.longest_s:
            most_s = max(0.0, self.longest_s - profile.rise_s)
            found.append(
                f"a rise of {profile.rise_s:g} s and a plateau of {profile.plateau_s:g} s are asked; the device ends "
                f"both after {self.longest_s:g} s: a plateau of at most {most_s:g} s would be right"
            )
        most_s = min((s for at_c, s in self.dwell if profile.target_c >= at_c), default=math.inf)
        if profile.plateau_s > most_s:
            found.append(
                f"{profile.plateau_s:g} s at {profile.target_c:g} °C are asked; the device's own table ends them after "
                f"{most_s:g} s"
            )
        if self.programs and profile not in self.programs:
            near = min(self.programs, key=lambda each: _apart(each, profile))
            found.append(
                f"no program of the device gives {_in_words(profile)}; the nearest gives {_in_words(near)}: set one "
                "up, and add its row to [[programs]]"
            )
        return found

    def rounded(self, profile: HeatProfile) -> HeatProfile:
        """Return a stimulus as the device will give it: each number rounded down to the device's step."""
        if not (self.step_c or self.step_c_per_s or self.step_s):
            return profile
        baseline_c = _down(profile.baseline_c, self.step_c)
        return replace(
            profile,
            target_c=max(baseline_c, _down(profile.target_c, self.step_c)),
            plateau_s=_down(profile.plateau_s, self.step_s),
            baseline_c=baseline_c,
            rise_c_per_s=_down(profile.rise_c_per_s, self.step_c_per_s),
            return_c_per_s=_down(profile.return_c_per_s, self.step_c_per_s),
        )

    def longest_return_s(self, from_c: float, baseline_c: float) -> float:
        """Return how long a way back to 1 °C above baseline takes at most, with a second for the link and the lag."""
        return max(0.0, from_c - baseline_c - 1.0) / self.abort_c_per_s + self.lag_s + 1.0


def _apart(one: HeatProfile, other: HeatProfile) -> tuple[float, ...]:
    """Return how far apart two stimuli are: first by their temperature, then by their plateau, then by the rest."""
    return tuple(
        abs(getattr(one, name) - getattr(other, name))
        for name in ("target_c", "plateau_s", "baseline_c", "rise_c_per_s", "return_c_per_s")
    )


def _in_words(profile: HeatProfile) -> str:
    return (
        f"{profile.target_c:g} °C for {profile.plateau_s:g} s from {profile.baseline_c:g} °C, up at "
        f"{profile.rise_c_per_s:g} and back at {profile.return_c_per_s:g} °C/s"
    )


def _down(value: float, step: float) -> float:
    """Return a number rounded down to a step, as its nearest decimal."""
    return value if step <= 0 else round(math.floor(value / step + _NEAR) * step, 9)


class StimulatorDriver(Protocol):
    """A driver. Every call may raise ``StimulatorMissing``.

    ``connect``, ``self_test`` and ``close`` may talk to the device for 5 s, ``prepare`` for 60 s; there is no heat
    then. Every other call takes a few ms at most: what the device answers comes with a later ``read``.
    """

    def connect(self, cap_c: float) -> None:
        """Open the device at baseline, and write the cap into it where it can hold one."""
        ...

    def capabilities(self) -> Capabilities:
        """Return what the device can do."""
        ...

    def prepare(self) -> list[str]:
        """Let the device test itself, which may move its temperature by 2 °C; return what is wrong.

        For 60 s at most, with the probe off the skin.
        """
        ...

    def self_test(self) -> list[str]:
        """Return what is wrong with the device, without heat; nothing: an empty list."""
        ...

    def arm(self, profile: HeatProfile) -> Ticket:
        """Prepare a stimulus and go to its baseline; what was armed before is void.

        The ticket has the profile as the device will give it, nowhere hotter or longer than what was asked.
        """
        ...

    def fire(self, ticket: Ticket) -> None:
        """Start the armed stimulus now; a ticket is good for one time."""
        ...

    def lower(self, target_c: float) -> None:
        """Lower the target of the stimulus that is on; a higher one is ignored."""
        ...

    def abort(self) -> None:
        """Return to baseline as fast as possible, whatever is going on; void what is armed.

        The guard calls this in each of its steps, 500 times a second, until the readings are at baseline. A driver
        coalesces: the first byte of the first is on the wire within 20 ms, whatever waits in the port; the next
        follow every 50 ms at most.
        """
        ...

    def read(self) -> Reading:
        """Return the newest reading, with the time at which it was taken."""
        ...

    def pop_news(self) -> list[News]:
        """Return what the device has told by itself since the last call."""
        ...

    def close(self) -> None:
        """Return to baseline and let the device go."""
        ...
