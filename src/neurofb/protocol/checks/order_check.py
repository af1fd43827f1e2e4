"""The check of a session's phases: their order and durations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from neurofb.config import Place
from neurofb.features.feature_specs import SynchronyOf
from neurofb.loop.participant_fit import ParticipantRecord
from neurofb.protocol.design import Protocol
from neurofb.protocol.study import Visit
from neurofb.protocol.timeline import PlannedPhase, Timeline

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
    for i, arm in enumerate(protocol.arms):
        if arm.feedback.startswith("sham"):
            text = (
                f'found {arm.feedback!r}: sham feedback is not built yet and nobody may believe it is; "real" and '
                '"none" are'
            )
            yield ("arms", i, "feedback"), text


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
            if phase.collects != "iaf":
                there = {*there, phase.collects}


def _baseline_problems(protocol: Protocol, timeline: Timeline) -> Iterator[tuple[Place, str]]:
    least_s = protocol.baseline.least_s
    for phase in timeline.phases:
        if phase.collects not in ("none", "iaf") and phase.duration_s < least_s:
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
    if heat is not None and heat.rotation == "by trial" and len({step.site for step in timeline.heats}) > 1:
        found.append(
            "the site changes with every trial: as many probes are needed, or somebody who moves one each time"
        )
    if heat is not None and heat.rotation == "by block":
        found += _hurried_moves(timeline)
    if heat is not None and heat.calibrated:
        levels = ", ".join(f"{name} {heat.levels[name].usual_c:g} °C" for name in heat.calibrated)
        found.append(
            f"temperatures that calibration will find are shown as assumed ({levels}); heat is checked again when they "
            "are known"
        )
    return found


def _hurried_moves(timeline: Timeline) -> list[str]:
    """Find blocks at another site with no phase before them in which somebody can move the probe."""
    found = []
    site: str | None = None
    has_time = True
    for phase in timeline.phases:
        has_time = has_time or phase.kind in ("pause", "instruction")
        if phase.site is None:
            continue
        if site not in (None, phase.site) and not has_time:
            found.append(
                f"phase {phase.name!r} needs the probe at {phase.site}, and no pause or instruction lies between to "
                f"move it there from {site}"
            )
        site, has_time = phase.site, False
    return found


def _place(protocol: Protocol, phase: PlannedPhase) -> Place:
    return ("phases", [each.name for each in protocol.phases].index(phase.name))
