"""Questions at their time: opened by the schedule, answered from outside, missing when nobody answers.

In: rating steps, answers, the time. Out: prompts, ratings. Kept: the prompts that are open, all ratings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neurofb.engine.session_log import SessionLog
from neurofb.protocol.ratings import Prompt, Prompts, Rating, Scale

#: So many later answers to one prompt are logged, whatever they are. Assumed: a person corrects once or twice.
MOST_LATER = 10


class Prompting:
    """The prompts of a session.

    ``on_prompt`` is called with each prompt, e.g. for a simulated participant.
    """

    def __init__(self, session_log: SessionLog, on_prompt: Callable[[Prompt], None] | None = None) -> None:
        self._session_log, self._on_prompt = session_log, on_prompt
        self._prompts = Prompts()
        self.ratings: list[Rating] = []
        self._later: dict[str, list[Rating]] = {}

    @property
    def open_prompt(self) -> Prompt | None:
        """The question that is shown: the oldest that waits for an answer."""
        waiting = self._prompts.open_prompts
        return waiting[0] if waiting else None

    def ask(self, scale: Scale, now_s: float, **about: Any) -> Prompt:
        """Ask a question now."""
        prompt = self._prompts.open(scale, now_s, **about)
        self._session_log.log(
            "prompt",
            scale.question,
            time_s=now_s,
            prompt=prompt.id,
            scale=scale.name,
            due_s=prompt.due_s,
            trial=prompt.trial,
            level=prompt.level,
            site=prompt.site,
        )
        if self._on_prompt is not None:
            self._on_prompt(prompt)
        return prompt

    def answer(self, prompt: str, value: object, now_s: float) -> Rating:
        """Return the rating that an answer makes."""
        return self._keep(self._prompts.answer(prompt, value, now_s))

    def later_answer(self, prompt: str, value: object, now_s: float) -> Rating | None:
        """Log what is answered after a rating, and return it for the stop rules; None if it says nothing new.

        Every other value is logged, of many those that are higher than all before.
        """
        rating = self._prompts.later_answer(prompt, value, now_s)
        if rating is None:
            return None
        before = self._later.setdefault(prompt, [each for each in self.ratings if each.prompt.id == prompt])
        values = [each.value for each in before]
        numbers = [each for each in values if isinstance(each, float)]
        is_higher = isinstance(rating.value, float) and rating.value > max(numbers, default=-1.0)
        if rating.value in values or (len(before) > MOST_LATER and not is_higher):
            return None
        before.append(rating)
        event = rating.to_event()
        self._session_log.log(
            "rating_again", f"{event.message}, after the answer that is kept", time_s=now_s, **event.details
        )
        return rating

    def expire(self, now_s: float) -> list[Rating]:
        """Return the answers that did not come in time, as missing."""
        return [self._keep(rating) for rating in self._prompts.expire(now_s)]

    def hold(self) -> None:
        """Stop the time of open prompts: the session is paused."""
        self._prompts.hold()

    def release(self, by_s: float) -> None:
        """Resume the time of open prompts, each due ``by_s`` seconds later."""
        self._prompts.release(by_s)

    def end(self) -> list[Rating]:
        """Close what is open, as missing: its phase ends."""
        return [self._keep(rating) for rating in self._prompts.end()]

    def _keep(self, rating: Rating) -> Rating:
        self.ratings.append(rating)
        return rating
