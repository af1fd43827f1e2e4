"""The timeline of one session: the steps of a protocol, and their times after the start.

In: protocol, session, arm, seed, temperatures. Out: a frozen `Timeline`. The same input gives the same timeline. Times
are summed as whole nanoseconds, so that nothing adds up; every random choice has its own generator, named by session,
phase and purpose, so that a choice more leaves the others as they were. Arms do not differ in time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.feedback.settings import Condition
from neurofb.protocol.design import Protocol
from neurofb.protocol.phases import NS_PER_S, Collects, Eyes, Kind, Phase, Trials, in_ns
from neurofb.protocol.randomization import random_generator, random_times_ns
from neurofb.protocol.ratings import Scale
from neurofb.protocol.study import Arm
from neurofb.stimulation.heat_profile import HeatProfile, dose

StepKind = Literal[
    "phase",
    "wait",
    "rest",
    "cue",
    "anticipation",
    "heat",
    "relief",
    "rating",
    "pause",
    "calibration",
    "end",
]


#: Steps in which the skin may get warm.
HEATED = ("heat", "calibration")


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a session, with onset and duration."""

    #: "phase" (takes no time: a phase begins), "wait" (for somebody, at the latest until its end), "rest" (nothing else
    #: happens), "cue", "anticipation", "heat" (begins to rise at the onset, is at baseline again at the end), "relief",
    #: "rating" (one question), "pause", "calibration" (its duration is an estimate), "end".
    kind: StepKind
    #: Index in ``Timeline.phases``.
    phase: int
    #: Seconds after the session's start.
    onset_s: float
    duration_s: float
    #: Counted from 1 within the phase.
    trial: int | None = None
    n_trials: int | None = None
    #: Of the stimulus that this step belongs to.
    level: str | None = None
    #: The stimulus, for a step of kind "heat".
    profile: HeatProfile | None = None
    #: Of the stimulus that this step belongs to, or of the calibration.
    site: str | None = None
    #: The question, for a step of kind "rating".
    scales: tuple[Scale, ...] | None = None
    #: For the participant.
    text: str = ""

    @property
    def end_s(self) -> float:
        """End in seconds."""
        return self.onset_s + self.duration_s


@dataclass(frozen=True, slots=True)
class PlannedPhase:
    """A phase with its place in the session."""

    #: Its number, from 0.
    index: int
    #: As declared; text and sound as the arm has them.
    name: str
    kind: Kind
    text: str
    eyes: Eyes
    sound: str | None
    waits: bool
    #: The baseline it gives: "rest", "warm", "pain", "iaf", "eyes" or "none".
    collects: Collects
    #: The condition against which feedback is given.
    feedback: Condition | None
    onset_s: float
    duration_s: float
    #: Site of the phase's heat or calibration; None without heat, or where it changes with each trial.
    site: str | None = None
    n_trials: int = 0
    #: What the eyes rest on, and how often the shape breathes; None where it does not.
    shows: Literal["shape", "point"] = "shape"
    breaths_per_min: float | None = None


@dataclass(frozen=True)
class Timeline:
    """The planned steps of one session."""

    session: str
    arm: str = field(repr=False)
    #: Seed of the random choices.
    seed: int
    phases: tuple[PlannedPhase, ...]
    #: In order; the last is of kind "end".
    steps: tuple[Step, ...]
    #: Feedback of the arm: "real", "none" or a sham.
    feedback: str = field(default="real", repr=False)

    @property
    def duration_s(self) -> float:
        """Total duration in seconds; with phases that wait, the maximum."""
        return self.steps[-1].onset_s

    @property
    def waits(self) -> bool:
        """Whether a phase waits for somebody, so that ``duration_s`` is the most it takes."""
        return any(phase.waits for phase in self.phases)

    @property
    def trained_s(self) -> float:
        """Time with feedback in seconds."""
        return sum(phase.duration_s for phase in self.phases if phase.feedback is not None)

    @property
    def n_questions(self) -> int:
        """How many questions are asked."""
        return sum(step.kind == "rating" for step in self.steps)

    @property
    def heats(self) -> tuple[Step, ...]:
        """The steps that are stimuli."""
        return tuple(step for step in self.steps if step.kind == "heat")

    @property
    def heat_onsets_s(self) -> tuple[float, ...]:
        """Times at which heat begins to rise, in seconds."""
        return tuple(step.onset_s for step in self.heats)

    @property
    def eyes(self) -> tuple[tuple[float, Eyes], ...]:
        """The times from which the eyes are open or closed."""
        changes: list[tuple[float, Eyes]] = []
        for phase in self.phases:
            if not changes or changes[-1][1] != phase.eyes:
                changes.append((phase.onset_s, phase.eyes))
        return tuple(changes)

    @cached_property
    def doses(self) -> Mapping[str, float]:
        """For each site, the fraction of the contact-burn limit that its planned stimuli use, without calibration."""
        given: dict[str, list[float]] = {}
        for step in self.heats:
            assert step.site is not None
            assert step.profile is not None
            given.setdefault(step.site, []).append(dose(step.profile))
        return {site: math.fsum(shares) for site, shares in given.items()}


def expand(
    protocol: Protocol,
    *,
    session: str | None = None,
    arm: str | None = None,
    seed: int = 0,
    temperatures: Mapping[str, float] | None = None,
) -> Timeline:
    """Return the timeline of one session.

    Parameters
    ----------
    protocol : Protocol
    session : str, optional
        Which one; left out: the first.
    arm : str, optional
        The arm's id; may be left out where there is one at most.
    seed : int
        What random choices are drawn from.
    temperatures : mapping of str to float, optional
        Calibrated temperatures in °C by level, or by ``level@site``, for levels that are given as pain; left out:
        their ``fallback_c``.

    Raises
    ------
    UnknownName
        If there is no such session, arm or level.
    WrongInput
        If a temperature is given for a level that has a fixed one.
    """
    visit, group = protocol.session(session), protocol.arm(arm)
    given = dict(temperatures or {})
    _check_temperatures(protocol, given)
    writer = _Writer(protocol, group, visit.id, seed, given)
    for name in visit.phases:
        writer.add_phase(protocol.phase(name))
    return writer.timeline()


def _check_temperatures(protocol: Protocol, temperatures: Mapping[str, float]) -> None:
    levels = {} if protocol.heat is None else protocol.heat.levels
    for key in temperatures:
        level = key.split("@")[0]
        if level not in levels:
            raise UnknownName(f"a temperature is given for level {level!r}; {nearest(level, levels)}")
        if levels[level].pain is None:
            raise WrongInput(
                f"level {level!r} is {levels[level].celsius:g} °C in the protocol; only a level given as pain takes "
                "a calibrated temperature"
            )


@dataclass
class _Writer:
    """Writes steps one after another."""

    protocol: Protocol
    arm: Arm
    session: str
    seed: int
    temperatures: Mapping[str, float]
    steps: list[Step] = field(default_factory=list)
    phases: list[PlannedPhase] = field(default_factory=list)
    _at_ns: int = 0
    _n_blocks: int = 0
    _n_heats: int = 0

    def timeline(self) -> Timeline:
        """Return all that was written, with its end."""
        end = Step("end", max(len(self.phases) - 1, 0), self._at_ns / NS_PER_S, 0.0)
        return Timeline(
            self.session,
            self.arm.id,
            self.seed,
            tuple(self.phases),
            (*self.steps, end),
            self.arm.feedback,
        )

    def add_phase(self, phase: Phase) -> None:
        """Write a phase."""
        start_ns, index = self._at_ns, len(self.phases)
        text = self.arm.texts.get(phase.name, phase.text)
        occurrence = sum(each.name == phase.name for each in self.phases)
        self._add("phase", 0, text=text)
        first = len(self.steps)
        if phase.trials is not None:
            self._add_trials(phase.trials, phase.name, occurrence)
        elif phase.duration_s is not None:
            of = _Trial(site=self._calibration_site()) if phase.kind == "calibration" else None
            self._add(_kind_of(phase), in_ns(phase.duration_s), text=text, of=of)
        self._add_ratings(phase.ratings)
        sites = {step.site for step in self.steps[first:] if step.kind in HEATED}
        self.phases.append(
            PlannedPhase(
                index,
                phase.name,
                phase.kind,
                text,
                phase.eyes,
                self.arm.sounds.get(phase.name, phase.sound),
                phase.waits,
                phase.baseline,
                None if self.arm.feedback == "none" else phase.feedback,
                start_ns / NS_PER_S,
                (self._at_ns - start_ns) / NS_PER_S,
                sites.pop() if len(sites) == 1 else None,
                0 if phase.trials is None else len(phase.trials.levels),
                phase.shown,
                phase.breaths_per_min,
            )
        )

    def _add(
        self,
        kind: StepKind,
        duration_ns: int,
        *,
        text: str = "",
        scales: tuple[Scale, ...] | None = None,
        of: _Trial | None = None,
    ) -> None:
        """Write a step that begins where the last one ended."""
        trial = of or _Trial()
        profile = trial.profile if kind == "heat" else None
        self.steps.append(
            Step(
                kind,
                len(self.phases),
                self._at_ns / NS_PER_S,
                duration_ns / NS_PER_S,
                trial.number,
                trial.n,
                trial.level,
                profile,
                trial.site,
                scales,
                text,
            )
        )
        self._at_ns += duration_ns

    def _add_trials(self, trials: Trials, name: str, occurrence: int) -> None:
        words = (self.session, name, str(occurrence))
        levels = list(trials.levels)
        if trials.shuffle:
            levels = [
                levels[i] for i in random_generator(self.seed, *words, "order").permutation(len(levels))
            ]
        spans = {"cue": trials.cue_s, "anticipation": trials.anticipation_s, "relief": trials.relief_s}
        drawn = {
            kind: list(random_times_ns(span, len(levels), random_generator(self.seed, *words, kind)))
            for kind, span in spans.items()
        }
        lead_ns = next(random_times_ns(trials.lead_s, 1, random_generator(self.seed, *words, "lead")))
        if lead_ns:
            self._add("rest", lead_ns)
        for i, level in enumerate(levels):
            self._add_trial(trials, self._trial(level, i, len(levels)), {k: v[i] for k, v in drawn.items()})
        self._n_blocks += 1

    def _add_trial(self, trials: Trials, trial: _Trial, times_ns: Mapping[str, int]) -> None:
        assert trial.profile is not None
        if times_ns["cue"]:
            self._add("cue", times_ns["cue"], of=trial)
        if times_ns["anticipation"]:
            self._add("anticipation", times_ns["anticipation"], of=trial)
        self._add("heat", in_ns(trial.profile.duration_s), of=trial)
        if times_ns["relief"]:
            self._add("relief", times_ns["relief"], of=trial)
        self._add_ratings(trials.ratings, trial)

    def _trial(self, level: str, i: int, n: int) -> _Trial:
        heat = self.protocol.heat
        assert heat is not None  # the design has checked it
        turn = {"fixed": 0, "by block": self._n_blocks, "by trial": self._n_heats}[heat.rotation]
        site = heat.trial_sites[turn % len(heat.trial_sites)]
        usual_c = self.temperatures.get(level, heat.levels[level].usual_c)
        celsius = self.temperatures.get(f"{level}@{site}", usual_c)
        self._n_heats += 1
        return _Trial(i + 1, n, level, site, heat.profile(level, celsius))

    def _calibration_site(self) -> str | None:
        return None if self.protocol.heat is None else self.protocol.heat.calibration_site

    def _add_ratings(self, names: Sequence[str], trial: _Trial | None = None) -> None:
        for name in names:
            for scale in self.protocol.scale(name).parts:
                self._add("rating", in_ns(scale.answer_s), scales=(scale,), of=trial, text=scale.question)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A trial that steps belong to; none of its fields for steps that belong to none."""

    number: int | None = None
    n: int | None = None
    level: str | None = None
    site: str | None = None
    profile: HeatProfile | None = None


def _kind_of(phase: Phase) -> StepKind:
    """Return the kind of step of a phase without trials."""
    if phase.waits:
        return "wait"
    if phase.kind == "calibration":
        return "calibration"
    return "pause" if phase.kind == "pause" else "rest"
