"""A session without a person: a simulated headset, a participant who feels, hears, answers and presses the button, and
an operator who puts the probe where it is to be.

In: readings, feedback, prompts. Out: the head's temperature and gains, and commands as a person would send them.
Kept: answers that are still being thought about, commands that nobody has read yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurofb.acquisition.source import Source
from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.engine.planning import SessionPlan
from neurofb.feedback.feedback import FeedbackSample
from neurofb.messages import Command
from neurofb.protocol.ratings import Prompt, SimulatedRater
from neurofb.simulation.artifacts import ArtifactSettings
from neurofb.simulation.faults import parse_faults
from neurofb.simulation.head import Head, HeadSettings
from neurofb.simulation.headset import Headset, settings_of
from neurofb.simulation.learner import Learner, LearnerSettings
from neurofb.simulation.source import SimulatedSource
from neurofb.stimulation.driver import Reading

#: How much a simulated participant learns: more than people do, so that a short session shows it.
LEARNS_PER_MIN = 0.1


class SimulatedParticipant:
    """Perceives a session and answers in it; a `Listener` that the session reads commands from.

    ``answers``: whether this participant answers and presses; otherwise a person at a screen does. Without a
    ``learner``, nothing is learnt.
    """

    def __init__(
        self, uid: str, head: Head, rater: SimulatedRater, learner: Learner | None, *, answers: bool = True
    ) -> None:
        self._uid, self._rater, self._learner = uid, rater, learner
        self._is_silent = not answers
        self._temperature_c = head.settings.heat.rest_c
        head.temperature = self._temperatures
        self._answers: list[tuple[float, Prompt, Any]] = []
        self._commands: list[str] = []
        self._heard: FeedbackSample | None = None
        self._heard_s: float | None = None

    def _temperatures(self, times_s: FloatArray) -> FloatArray:
        return np.full(len(times_s), self._temperature_c)

    def feel(self, reading: Reading) -> None:
        """Feel the probe."""
        if np.isfinite(reading.measured_c):
            self._temperature_c = reading.measured_c

    def think(self, prompt: Prompt, felt_c: float) -> None:
        """Start to answer a question about ``felt_c``, the highest temperature of the stimulus; NaN without one."""
        if self._is_silent:
            return
        value, takes_s = self._rater.answer(prompt, felt_c)
        self._answers.append((prompt.prompted_s + takes_s, prompt, value))

    def act(self, now_s: float, feedback: FeedbackSample | None, *, rising: bool) -> None:
        """Hear the feedback that is on, answer questions when it is time, press the button if a rising ramp hurts."""
        self._hear(feedback, now_s)
        if self._is_silent:
            return
        for answer in [answer for answer in self._answers if answer[0] <= now_s]:
            self._answers.remove(answer)
            _, prompt, value = answer
            self._send("rating", prompt=prompt.id, value=value)
        if rising and self._rater.hurts(self._temperature_c):
            self._send("button")

    def pop(self) -> list[str]:
        """Return the texts of commands since the last call."""
        commands, self._commands = self._commands, []
        return commands

    def close(self) -> None:
        """Do nothing: no stream is open."""

    def _hear(self, sample: FeedbackSample | None, now_s: float) -> None:
        """Learn from what was heard since the last call, for as long as it lasted."""
        if self._heard is not None and self._heard_s is not None and self._learner is not None:
            self._learner.update(self._heard.level, now_s - self._heard_s, self._heard.usable)
        self._heard, self._heard_s = sample, now_s

    def _send(self, name: str, **content: Any) -> None:
        self._commands.append(Command(name, content, "participant", self._uid).to_json())


class SimulatedOperator:
    """Confirms each place of the probe at once; a `Listener` that the session reads commands from.

    ``wanted`` returns the place that is waited for. The record says who confirmed: ``simulated operator``.
    """

    def __init__(self, uid: str, wanted: Callable[[], str | None]) -> None:
        self._uid, self._wanted = uid, wanted

    def pop(self) -> list[str]:
        """Return the confirmation of the place that is waited for."""
        site = self._wanted()
        if site is None:
            return []
        return [Command("placed", {"site": site}, "simulated operator", self._uid).to_json()]

    def close(self) -> None:
        """Do nothing: no stream is open."""


def simulated_source(plan: SessionPlan, clock: Clock) -> tuple[Source, Head]:
    """Return the plan's headset on a simulated head, started, and that head."""
    asked, profile = plan.asked, plan.profile
    faults = parse_faults(asked.headset_faults)
    artifacts = ArtifactSettings(scheduled=faults.artifacts, contacts=faults.contacts)
    settings = HeadSettings(seed=asked.seed, eyes=plan.timeline.eyes or ((0.0, "open"),), artifacts=artifacts)
    places = [profile.position(label) for label in profile.labels]
    head = Head(places, profile.rate_hz, settings, labels=profile.labels)
    radio = settings_of(profile, seed=asked.seed, faults=faults.headset, **faults.steady)
    headset = Headset(head, radio, profile.labels, clock.now_s())
    source = SimulatedSource(headset, profile.labels, clock, keep_raw=True)
    source.start()
    return source, head


def simulated_participant(plan: SessionPlan, uid: str, head: Head) -> SimulatedParticipant:
    """Return a participant with that head, who learns if there is a rhythm to learn with."""
    learner = None
    if plan.protocol.feedback is not None and LearnerSettings().rhythm in head.rhythm_names:
        learner = Learner(head, LearnerSettings(rate_per_min=LEARNS_PER_MIN))
    rater = SimulatedRater(plan.asked.seed)
    return SimulatedParticipant(uid, head, rater, learner, answers=plan.asked.answers)
