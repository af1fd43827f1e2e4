"""A session without a person: a simulated headset, and somebody in it who feels, hears, answers and presses.

In: readings, feedback, prompts. Out: the head's temperature and gains, and commands as a person would send them.
Kept: answers that are still being thought about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurofb.acquisition.source import Source
from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.engine.planning import SessionPlan
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.requests import Requests
from neurofb.engine.sequencer import Sequencer
from neurofb.engine.stimulus_control import StimulusController
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
    """Takes part in a session.

    Parameters
    ----------
    uid : str
        The session's own.
    head : Head
    rater : SimulatedRater
    learner : Learner or None
        None for somebody who learns nothing.
    ask : callable
        Takes the texts of commands.
    answers : bool
        Whether this one answers and presses; without, somebody else does.
    """

    def __init__(
        self,
        uid: str,
        head: Head,
        rater: SimulatedRater,
        learner: Learner | None,
        ask: Callable[[str], None],
        *,
        answers: bool = True,
    ) -> None:
        self._uid, self._rater, self._learner, self._ask = uid, rater, learner, ask
        self._is_silent = not answers
        self._temperature_c = head.settings.heat.rest_c
        head.temperature = self._temperatures
        self._answers: list[tuple[float, Prompt, Any]] = []
        self._heard: FeedbackSample | None = None
        self._heard_s: float | None = None

    def _temperatures(self, times_s: FloatArray) -> FloatArray:
        return np.full(len(times_s), self._temperature_c)

    def take_part(
        self, recorded_loop: RecordedLoop, sequencer: Sequencer, stimuli: StimulusController | None
    ) -> None:
        """Take part in a session from now on; ``act`` is to be called in every step of it."""
        self._recorded_loop, self._sequencer, self._stimuli = recorded_loop, sequencer, stimuli
        sequencer.prompting.on_prompt = self._think
        if stimuli is not None:
            stimuli.on_reading = self._feel

    def act(self, now_s: float) -> None:
        """Hear what is given, answer what was asked long enough ago, press the button if it hurts."""
        self._hear(self._recorded_loop.last if self._sequencer.block is not None else None, now_s)
        if self._is_silent:
            return
        for answer in [answer for answer in self._answers if answer[0] <= now_s]:
            self._answers.remove(answer)
            _, prompt, value = answer
            self._say("rating", prompt=prompt.id, value=value)
        calibration = self._sequencer.calibration
        if calibration is not None and calibration.limits_on and self._rater.hurts(self._temperature_c):
            self._say("button")

    def _feel(self, reading: Reading) -> None:
        if np.isfinite(reading.measured_c):
            self._temperature_c = reading.measured_c

    def _hear(self, sample: FeedbackSample | None, now_s: float) -> None:
        """Learn from what was heard since the last call, for as long as it lasted."""
        if self._heard is not None and self._heard_s is not None and self._learner is not None:
            self._learner.feel(self._heard.level, now_s - self._heard_s, self._heard.usable)
        self._heard, self._heard_s = sample, now_s

    def _think(self, prompt: Prompt) -> None:
        """Begin to answer a question, about the hottest that was felt."""
        if self._is_silent:
            return
        felt_c = float("nan") if self._stimuli is None else self._stimuli.highest_c
        value, takes_s = self._rater.answer(prompt, felt_c)
        self._answers.append((prompt.prompted_s + takes_s, prompt, value))

    def _say(self, name: str, **content: Any) -> None:
        self._ask(Command(name, content, "participant", self._uid).to_json())


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


def simulated_participant(
    plan: SessionPlan, uid: str, head: Head, requests: Requests
) -> SimulatedParticipant:
    """Return somebody with that head, who learns if there is a rhythm to learn with."""
    learner = None
    if plan.protocol.feedback is not None and LearnerSettings().rhythm in head.rhythm_names:
        learner = Learner(head, LearnerSettings(rate_per_min=LEARNS_PER_MIN))
    rater = SimulatedRater(plan.asked.seed)
    return SimulatedParticipant(uid, head, rater, learner, requests.add, answers=plan.asked.answers)
