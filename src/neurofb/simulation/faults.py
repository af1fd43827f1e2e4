"""Faults between the head and the computer, each with its time.

Times are in seconds since the headset was started. On the command line a fault is ``kind@start``,
``kind@start+duration``, ``kind@start+duration:channel`` or ``kind=value``; ``parse_faults`` reads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from neurofb.config import FaultText, parse_fault
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.simulation.artifacts import Artifact, ArtifactKind, BadContact, ContactKind


@dataclass(frozen=True, slots=True)
class LostPackets:
    """Loss of the packets that are complete from ``at_s`` on for ``duration_s``, at least one."""

    at_s: float
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Stall:
    """A stall: nothing arrives from ``at_s`` on for ``duration_s``, then all of it at once; nothing is lost."""

    at_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The link is down from ``at_s`` on for ``duration_s``; what is measured meanwhile is lost."""

    at_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class ClockJump:
    """The device's clock is set by ``step_s`` at ``at_s``; its samples go on as before."""

    at_s: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Saturation:
    """Channels are at their high rail, or the low one, from ``at_s`` on for ``duration_s``; none: all."""

    at_s: float
    duration_s: float
    channels: tuple[str, ...] = ()
    low: bool = False


Fault = LostPackets | Stall | Disconnect | ClockJump | Saturation

_CONTACTS = ("off", "noisy", "flat")
_ARTIFACTS: Mapping[str, float] = {"blink": 0.3, "saccade": 1.0, "jaw": 1.5, "sweat": 60.0}
_TIMED = ("loss", "stall", "disconnect", "jump", "saturation", *_CONTACTS, *_ARTIFACTS)
#: Those that are there all the time, and what each sets in ``HeadsetSettings``.
STEADY: Mapping[str, str] = {
    "loss": "loss",
    "jitter": "jitter_s",
    "drift": "drift_ppm",
    "offset": "offset_s",
    "delay": "delay_s",
    "interval": "interval_s",
    "dc": "dc_spread_uv",
}
HOW = (
    "write stall@10+2 (at 10 s for 2 s), loss@10+0.5, disconnect@30+5, jump@20+0.4 (by 0.4 s), "
    "saturation@5+1:AF7, off@5+3:AF7, noisy@5+3:AF7, flat@5+3:AF7, blink@3, saccade@3, jaw@3+1, sweat@3+60, "
    "or what is always there: loss=0.05 (part of the packets), jitter=0.02 (s), drift=200 (ppm), "
    "offset=3 (s), delay=0.04 (s), interval=0.03 (s), dc=500 (µV)"
)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Faults sorted by where they happen: at the headset, at the head, or all the time."""

    headset: tuple[Fault, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    contacts: tuple[BadContact, ...] = ()
    steady: Mapping[str, float] = field(default_factory=dict)


def parse_faults(texts: Sequence[str]) -> FaultPlan:
    """Read faults as they are given on the command line.

    Parameters
    ----------
    texts : sequence of str
        See ``HOW``.

    Raises
    ------
    WrongInput
        If one cannot be read; the message shows how to write it.
    """
    headset: list[Fault] = []
    artifacts: list[Artifact] = []
    contacts: list[BadContact] = []
    steady: dict[str, float] = {}
    for text in texts:
        found = parse_fault(text)
        if found is None:
            raise WrongInput(f"the fault {text!r} cannot be read; {HOW}")
        if found.start is None:
            steady |= _steady(text, found.name, found.value or "")
            continue
        fault = _timed(text, found, found.start)
        if isinstance(fault, Artifact):
            artifacts.append(fault)
        elif isinstance(fault, BadContact):
            contacts.append(fault)
        else:
            headset.append(fault)
    return FaultPlan(tuple(headset), tuple(artifacts), tuple(contacts), steady)


def _steady(text: str, kind: str, value: str) -> dict[str, float]:
    if kind not in STEADY:
        raise UnknownName(f"no lasting fault {kind!r} as in {text!r}; {nearest(kind, STEADY)}; {HOW}")
    return {STEADY[kind]: _number(text, value)}


def _timed(text: str, found: FaultText, start: str) -> Fault | Artifact | BadContact:
    kind, channel = found.name, found.value
    if kind not in _TIMED:
        raise UnknownName(f"no fault {kind!r} as in {text!r}; {nearest(kind, _TIMED)}; {HOW}")
    at_s = _number(text, start)
    lasting = None if found.duration is None else _number(text, found.duration)
    if kind in _ARTIFACTS:
        usual_s = _ARTIFACTS[kind]
        return Artifact(cast(ArtifactKind, kind), at_s, usual_s if lasting is None else lasting)
    if kind == "loss":
        return LostPackets(at_s, lasting or 0.0)
    if lasting is None:
        raise WrongInput(f"the fault {text!r} does not say for how long; {HOW}")
    if kind == "jump":
        return ClockJump(at_s, lasting)
    if not lasting > 0:
        raise WrongInput(f"the fault {text!r} must last longer than 0 s; {HOW}")
    if kind in _CONTACTS:
        if channel is None:
            raise WrongInput(f"the fault {text!r} does not say which channel; {HOW}")
        return BadContact(channel, at_s, lasting, cast(ContactKind, kind))
    if kind == "saturation":
        return Saturation(at_s, lasting, (channel,) if channel else ())
    return Stall(at_s, lasting) if kind == "stall" else Disconnect(at_s, lasting)


def _number(text: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise WrongInput(f"{value!r} is no number in the fault {text!r}; {HOW}")
    return number
