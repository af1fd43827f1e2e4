"""Somebody who is not there: feels heat, hears feedback, answers ratings, presses the button when it hurts.

In: readings, feedback, prompts. Out: the head's temperature and gains, and commands as a person would send them.
Kept: answers that are still being thought about.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.feedback.feedback import FeedbackSample
from neurofb.protocol.ratings import Prompt, SimulatedRater
from neurofb.simulation.head import Head
from neurofb.simulation.learner import Learner
from neurofb.stimulation.stimulator import Reading
from neurofb.wire import Command


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
    """

    def __init__(
        self,
        uid: str,
        head: Head,
        rater: SimulatedRater,
        learner: Learner | None,
        ask: Callable[[str], None],
    ) -> None:
        self._uid, self._rater, self._learner, self._ask = uid, rater, learner, ask
        self._temperature_c = head.settings.heat.rest_c
        head.temperature = self._temperatures
        self._answers: list[tuple[float, Prompt, Any]] = []
        self._heard: FeedbackSample | None = None
        self._heard_s: float | None = None

    def _temperatures(self, times_s: FloatArray) -> FloatArray:
        return np.full(len(times_s), self._temperature_c)

    def feel(self, reading: Reading) -> None:
        """Feel the probe."""
        if np.isfinite(reading.measured_c):
            self._temperature_c = reading.measured_c

    def hear(self, sample: FeedbackSample | None, now_s: float) -> None:
        """Hear the feedback for as long as it lasted since the last call."""
        if self._heard is not None and self._heard_s is not None and self._learner is not None:
            self._learner.feel(self._heard.level, now_s - self._heard_s, self._heard.usable)
        self._heard, self._heard_s = sample, now_s

    def think(self, prompt: Prompt, felt_c: float) -> None:
        """Begin to answer a prompt, about what was felt."""
        value, takes_s = self._rater.answer(prompt, felt_c)
        self._answers.append((prompt.prompted_s + takes_s, prompt, value))

    def act(self, now_s: float, limits_on: bool) -> None:
        """Give the answers whose time has come, and press the button if it hurts."""
        due = [answer for answer in self._answers if answer[0] <= now_s]
        for answer in due:
            self._answers.remove(answer)
            _, prompt, value = answer
            self._say("rating", prompt=prompt.id, value=value)
        if limits_on and self._rater.hurts(self._temperature_c):
            self._say("button")

    def _say(self, name: str, **content: Any) -> None:
        self._ask(Command(name, content, "participant", self._uid).to_json())
