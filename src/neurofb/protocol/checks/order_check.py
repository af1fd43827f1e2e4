"""The check of a session's phases: their order and durations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from neurofb.blinding.sham import PICKS
from neurofb.config import Place
from neurofb.errors import nearest
from neurofb.features.feature_specs import SynchronyOf
from neurofb.feedback.baseline import CONDITIONS
from neurofb.loop.participant_fit import ParticipantRecord
from neurofb.protocol.design import Protocol
from neurofb.protocol.study import Visit
from neurofb.protocol.timeline import HEATED, PlannedPhase, Step, Timeline

#: Somebody lifts the probe, puts it somewhere else and fastens it. Assumed.
MOVE_S = 20.0
#: Words in a label that tell participants, or whoever looks at the screen, which arm it is.
TELLING = ("mindful", "sham", "placebo", "control", "book", "waitlist", "active", "treatment", "real")


def order_problems(
    protocol: Protocol,
    timeline: Timeline,
    earlier: ParticipantRecord | None,
    temperatures: Mapping[str, float],
) -> Iterator[tuple[Place, str]]:
    """Return the problems in the order of a session's phases."""
    yield from _training_problems(protocol, timeline, earlier)
    yield from _baseline_problems(protocol, timeline)
    yield from _calibration_problems(protocol, timeline, temperatures)
    yield from _move_problems(protocol, timeline)
    yield from _sham_problems(protocol)


def _sham_problems(protocol: Protocol) -> Iterator[tuple[Place, str]]:
    """Return the problems of arms whose feedback is a sham: what it needs, and that it must be blinded."""
    for i, arm in enumerate(protocol.arms):
        if not arm.feedback.startswith("sham"):
            continue
        place = ("arms", i, "feedback")
        if arm.feedback not in PICKS:
            yield place, f"found {arm.feedback!r}; {nearest(arm.feedback, PICKS)}"
        elif protocol.feedback is None:
            yield place, "a sham needs a table [feedback]: it stands for what that gives"
        elif not {"participant", "operator"} <= set(protocol.masked):
            yield (
                place,
                "a sham that participant or operator know of is none: add a table [blinding] with masked = "
                '["participant", "operator"]',
            )
        elif arm.feedback == "sham:other_band" and protocol.feedback.control_feature is None:
            yield place, "it needs the feature that is fed back instead: set feedback.control_feature"


def _training_problems(
    protocol: Protocol, timeline: Timeline, earlier: ParticipantRecord | None
) -> Iterator[tuple[Place, str]]:
    asked = protocol.feedback
    if asked is None:
        return
    trained = next(each for each in protocol.features if each.name == asked.feature)
    there = (
        {each.condition for each in earlier.baselines if each.feature == asked.feature} if earlier else set()
    )
    has_own = earlier is not None
    for phase in timeline.phases:
        if phase.feedback is not None and phase.feedback not in there:
            yield (
                (*_place(protocol, phase), "feedback"),
                f"feedback is scored against the {phase.feedback!r} baseline, and no phase before this one in session "
                f'{timeline.session!r} gives it: put one with collects = "{phase.feedback}" before it, or give the '
                "session in which it was taken",
            )
            there = {*there, phase.feedback}  # told once
        if phase.feedback is not None and isinstance(trained, SynchronyOf) and not has_own:
            yield (
                ("feedback", "feature"),
                f"{trained.name!r} is synchrony, and no baseline of the participant comes before training: filters "
                "made for nobody in particular let strong independent rhythms look like synchrony and earn rewards. "
                "Put a rest_baseline before training, or give the session in which one was taken",
            )
            has_own = True
        if phase.collects != "none":
            has_own = True
            if phase.collects in CONDITIONS:
                there = {*there, phase.collects}


def _baseline_problems(protocol: Protocol, timeline: Timeline) -> Iterator[tuple[Place, str]]:
    least_s = protocol.baseline.least_s
    for phase in timeline.phases:
        if phase.collects in CONDITIONS and phase.duration_s < least_s:
            yield (
                (*_place(protocol, phase), "duration_s"),
                f"it lasts {phase.duration_s:g} s and must give {least_s:g} s of clean EEG for the "
                f"{phase.collects!r} baseline: make it longer (a half more than needed is usual), or lower "
                "baseline.least_s",
            )
        if phase.collects in ("warm", "pain") and not phase.n_trials:
            yield (
                (*_place(protocol, phase), "collects"),
                f"it gives the {phase.collects!r} baseline and has no stimuli: add a table [phases.trials]",
            )


def _calibration_problems(
    protocol: Protocol, timeline: Timeline, temperatures: Mapping[str, float]
) -> Iterator[tuple[Place, str]]:
    heat = protocol.heat
    wanted = set(heat.calibrated) if heat is not None else set()
    missing = wanted - {key.split("@")[0] for key in temperatures}
    visit: Visit = protocol.session(timeline.session)
    is_done = visit.temperatures_of is not None
    is_reported = False
    for phase in timeline.phases:
        if phase.kind == "calibration":
            is_done = True
            if not any(scale.asks == "intensity" for scale in protocol.scales):
                yield (
                    _place(protocol, phase),
                    'calibration asks how strong heat is: add a scale with asks = "intensity"',
                )
            if not wanted:
                yield _place(protocol, phase), "there is no level with pain, so nothing to calibrate"
        steps = [step for step in timeline.heats if step.phase == phase.index and step.level in missing]
        if steps and not is_done and not is_reported:
            is_reported = True
            yield (
                _place(protocol, phase),
                f"level {steps[0].level!r} is given as pain, and no phase of kind 'calibration' comes before it in "
                f"session {timeline.session!r}: add one, or say temperatures_of = an earlier session",
            )


def order_warnings(protocol: Protocol, timeline: Timeline) -> list[str]:
    """Return the warnings about the order of a session's phases."""
    study, heat = protocol.study, protocol.heat
    found = [
        f"arm {arm.label!r}: the label tells which arm it is (“{word}”); everybody sees it: call it A, B, C"
        for arm in protocol.arms
        for word in TELLING
        if word in arm.label.lower()
    ]
    if study.experimental:
        found.append("experimental: there is no evidence that this can be trained; no result is promised")
    if study.deception:
        found.append(
            "participants are told something that is not so: an ethics approval and the debriefing are needed"
        )
    if protocol.needs.also:
        found.append(f"record beside the EEG: {', '.join(protocol.needs.also)} (neurofb does not check it)")
    if protocol.cleaning.blinks == "project" and not any(p.collects == "eyes" for p in timeline.phases):
        found.append(
            'blinks are projected out, and no phase of kind "eyes_baseline" shows them: the other baselines may have '
            "too few; put one of 15 s first (blink ten times, look left and right)"
        )
    if heat is not None and heat.rotation == "by trial" and len({step.site for step in timeline.heats}) > 1:
        found.append(
            "the site changes with every trial: somebody moves the probe and confirms its place each time"
        )
    if heat is not None and heat.calibrated:
        levels = ", ".join(f"{name} {heat.levels[name].usual_c:g} °C" for name in heat.calibrated)
        found.append(
            f"temperatures that calibration will find are shown as assumed ({levels}); heat is checked again when they "
            "are known"
        )
        found += _longer_than_rated(protocol)
    return found


def _longer_than_rated(protocol: Protocol) -> list[str]:
    """Return a warning for each calibrated level that is held for longer than its calibration's stimuli are rated.

    Pain grows while heat is held, so a temperature that was bearable for the shorter time may not be for the longer.
    """
    heat, calibration = protocol.heat, protocol.calibration
    if heat is None or calibration is None:
        return []
    rated_s = calibration.plateau_s
    return [
        f"level {name!r} is held for {heat.levels[name].plateau_s:g} s, but its calibration rates {rated_s:g} s: what "
        "was bearable for the shorter time may not be for the longer. Set calibration.plateau_s to at least "
        f"{heat.levels[name].plateau_s:g}"
        for name in heat.calibrated
        if heat.levels[name].plateau_s > rated_s
    ]


def _move_problems(protocol: Protocol, timeline: Timeline) -> Iterator[tuple[Place, str]]:
    """Return changes of site without time to move the probe, the first of each phase."""
    heated = [step for step in timeline.steps if step.kind in HEATED and step.site is not None]
    found: set[int] = set()
    for before, after in itertools.pairwise(heated):
        time_s, where = _time_to_move(timeline, before, after)
        if before.site == after.site or time_s >= MOVE_S or after.phase in found:
            continue
        found.add(after.phase)
        phase = timeline.phases[after.phase]
        yield (
            _place(protocol, phase),
            f"the probe moves from {before.site!r} to {after.site!r} for {where}, and there are {time_s:g} s for it; "
            f"expected: {MOVE_S:g} s or more, in a phase of kind pause or instruction before it, or between two "
            "stimuli of a phase",
        )


def _time_to_move(timeline: Timeline, before: Step, after: Step) -> tuple[float, str]:
    """Return the time in s in which nothing else happens between two stimuli, and what comes after it in words."""
    if before.phase == after.phase:
        first = next(
            step
            for step in timeline.steps
            if step.phase == after.phase and step.trial == after.trial and step.site == after.site
        )
        return first.onset_s - before.end_s, f"trial {after.trial}"
    between = timeline.phases[before.phase + 1 : after.phase]
    free_s = sum(phase.duration_s for phase in between if phase.kind in ("pause", "instruction"))
    return free_s, f"phase {timeline.phases[after.phase].name!r}"


def _place(protocol: Protocol, phase: PlannedPhase) -> Place:
    return ("phases", [each.name for each in protocol.phases].index(phase.name))
