"""The check of a timeline's heat against the safety envelope, and against what the thermode can do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from neurofb.config import Place
from neurofb.protocol.design import Protocol
from neurofb.protocol.phases import NO_TIME
from neurofb.protocol.timeline import Step, Timeline
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile, dose

#: Where heat begins to hurt most people (42 to 45.7 °C in studies).
USUAL_THRESHOLD_C = 44.0


@dataclass(frozen=True, slots=True)
class SiteBudget:
    """The planned heat of one site on the skin."""

    site: str
    stimuli: int
    #: Fraction of the contact-burn limit, with ramps and a usual calibration.
    share: float
    #: Largest allowed ``share``.
    limit: float


def site_budgets(protocol: Protocol, timeline: Timeline) -> list[SiteBudget]:
    """Return the budget of every site that has heat."""
    if protocol.heat is None:
        return []
    counts: dict[str, int] = {}
    for step in timeline.heats:
        counts[str(step.site)] = counts.get(str(step.site), 0) + 1
    shares = dict(timeline.doses)
    if _calibrates(timeline):
        first = protocol.heat.calibration_site
        shares[first] = shares.get(first, 0.0) + calibration_share(protocol)
    return [
        SiteBudget(site, counts.get(site, 0), share, protocol.heat.budget) for site, share in shares.items()
    ]


def _calibrates(timeline: Timeline) -> bool:
    return any(phase.kind == "calibration" for phase in timeline.phases)


def calibration_share(protocol: Protocol) -> float:
    """Return the dose that a calibration adds to its site, the first one, for a participant with the usual threshold.

    Nobody can know it before. The engine counts what was really given, and checks the rest of the session again.
    """
    heat, asked = protocol.heat, protocol.calibration
    if heat is None or asked is None:
        return 0.0
    ramps = asked.limits_n * dose(
        HeatProfile(USUAL_THRESHOLD_C, 0.0, heat.baseline_c, asked.limits_c_per_s, heat.return_c_per_s)
    )
    lowest_c = USUAL_THRESHOLD_C - asked.ladder_below_c
    rungs_c = [lowest_c + i * asked.ladder_step_c for i in range(asked.ladder_n)]
    tried_c = [heat.levels[name].usual_c for name in heat.calibrated for _ in range(asked.verify_n)]
    given = [
        HeatProfile(
            min(celsius, heat.cap_c), asked.plateau_s, heat.baseline_c, heat.rise_c_per_s, heat.return_c_per_s
        )
        for celsius in (*rungs_c, *tried_c)
    ]
    return ramps + math.fsum(dose(profile) for profile in given)


def heat_problems(
    protocol: Protocol,
    timeline: Timeline,
    used: Mapping[str, float] | None = None,
    thermode: Capabilities | None = None,
) -> Iterator[tuple[Place, str]]:
    """Return all that the envelope forbids, or the thermode cannot give, each once.

    Parameters
    ----------
    protocol : Protocol
    timeline : Timeline
    used : mapping of str to float, optional
        What a site has had before this session.
    thermode : Capabilities, optional
        What the device can do; left out, nothing is known of it.
    """
    if protocol.heat is None:
        return
    envelope = protocol.heat.envelope
    yield from _level_problems(protocol, timeline, envelope)
    if thermode is not None:
        yield from _device_problems(protocol, timeline, thermode)
    before = dict(used or {})
    if _calibrates(timeline):
        first = protocol.heat.calibration_site
        before[first] = before.get(first, 0.0) + calibration_share(protocol)
    yield from _site_problems(protocol, timeline, envelope, before)


def heat_problems_from(
    protocol: Protocol,
    timeline: Timeline,
    n_taken: int,
    used: Mapping[str, float],
    thermode: Capabilities | None = None,
) -> list[str]:
    """Return the steps of the rest of a session that the envelope forbids, with its temperatures calibrated.

    Parameters
    ----------
    protocol : Protocol
    timeline : Timeline
    n_taken : int
        How many of its steps are over.
    used : mapping of str to float
        What each site has had by now, the calibration included.
    thermode : Capabilities, optional
        What the device can do.
    """
    if protocol.heat is None:
        return []
    ahead = replace(timeline, steps=timeline.steps[n_taken:])
    found = [
        *_level_problems(protocol, ahead, protocol.heat.envelope),
        *_site_problems(protocol, ahead, protocol.heat.envelope, dict(used)),
        *(() if thermode is None else _device_problems(protocol, ahead, thermode)),
    ]
    return [text for _, text in found]


def _level_problems(
    protocol: Protocol, timeline: Timeline, envelope: Envelope
) -> Iterator[tuple[Place, str]]:
    """Return the problems of a stimulus by itself."""
    for level, profile in _profiles(protocol, timeline):
        for text in envelope.problems(profile):
            yield ("heat", "levels", level), text


def _device_problems(
    protocol: Protocol, timeline: Timeline, thermode: Capabilities
) -> Iterator[tuple[Place, str]]:
    """Return what the thermode cannot give: of each level, and of the calibration."""
    assert protocol.heat is not None
    envelope = protocol.heat.envelope
    for level, profile in _profiles(protocol, timeline):
        slow = envelope.problems(profile, abort_c_per_s=thermode.abort_c_per_s)
        for text in (
            *thermode.cannot(profile),
            *(each for each in slow if each not in envelope.problems(profile)),
        ):
            yield ("heat", "levels", level), f"{thermode.name}: {text}"
    asked = protocol.calibration
    if asked is None or not _calibrates(timeline):
        return
    heat = protocol.heat
    ramp = HeatProfile(heat.cap_c, 0.0, heat.baseline_c, asked.limits_c_per_s, heat.return_c_per_s)
    rung = HeatProfile(heat.cap_c, asked.plateau_s, heat.baseline_c, heat.rise_c_per_s, heat.return_c_per_s)
    for key, profile in (("limits_c_per_s", ramp), ("plateau_s", rung)):
        for text in thermode.cannot(profile):
            yield ("calibration", key), f"{thermode.name}, at the cap: {text}"


def _profiles(protocol: Protocol, timeline: Timeline) -> list[tuple[str, HeatProfile]]:
    """Return each different stimulus with its level; levels that no trial has, at their usual temperature."""
    assert protocol.heat is not None
    profiles = {(step.level, step.profile) for step in timeline.heats}
    used = {level for level, _ in profiles}
    profiles |= {
        (name, protocol.heat.profile(name, level.usual_c))
        for name, level in protocol.heat.levels.items()
        if name not in used
    }
    return [(str(level), profile) for level, profile in sorted(profiles, key=str) if profile is not None]


def _site_problems(
    protocol: Protocol, timeline: Timeline, envelope: Envelope, used: dict[str, float]
) -> Iterator[tuple[Place, str]]:
    """Return the problems from earlier stimuli at the same site: the first of each kind."""
    reported: set[tuple[str, str]] = set()
    ended_s: dict[str, float] = {}
    for step, at_s in _earliest(timeline):
        site, profile = str(step.site), step.profile
        assert profile is not None
        alone = set(envelope.problems(profile))
        before = used.get(site, 0.0)
        since_s = at_s - ended_s.get(site, -math.inf)
        for what, texts in (
            (site, envelope.problems(profile, used=before)),
            (timeline.phases[step.phase].name, envelope.problems(profile, since_last_s=since_s)),
        ):
            fresh = [text for text in texts if text not in alone]
            if fresh and (what, "") not in reported:
                reported.add((what, ""))
                where = f"trial {step.trial} at {site}, {step.onset_s:.1f} s after the start"
                more = _all(timeline, site) if what == site else _longer(protocol, envelope)
                yield _place(protocol, timeline, step), f"{where}: {fresh[0]}{more}"
        used[site] = before + dose(profile)
        ended_s[site] = at_s + profile.duration_s


def _all(timeline: Timeline, site: str) -> str:
    """Return the whole session's dose of a site whose budget is exceeded."""
    return f"; the whole session is {timeline.doses[site]:.2f} there"


def _longer(protocol: Protocol, envelope: Envelope) -> str:
    """Return what makes the time between two stimuli longer."""
    if any(phase.trials is not None and phase.trials.relief_s != NO_TIME for phase in protocol.phases):
        return ""
    return (
        "; give the trials relief_s, the time from the end of heat to the ratings, as "
        f"relief_s = {envelope.interval_s:g}"
    )


def _earliest(timeline: Timeline) -> Iterator[tuple[Step, float]]:
    """Return stimuli with the earliest time they can have: who waits may be answered at once."""
    waited_s = 0.0
    for step in timeline.steps:
        if step.kind == "wait":
            waited_s += step.duration_s
        if step.kind == "heat":
            yield step, step.onset_s - waited_s


def _place(protocol: Protocol, timeline: Timeline, step: Step) -> Place:
    """Return where in the file the phase of a step stands."""
    names = [phase.name for phase in protocol.phases]
    return ("phases", names.index(timeline.phases[step.phase].name), "trials")
