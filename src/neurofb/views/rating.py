"""The open question to the participant and its answer: a place on a line, one of several choices, or free words.

In: the prompt of a status, keys and points. Out: the answer, once. A line begins empty, so that nothing suggests an
answer; two buttons are enough: one moves on and begins anew after the end, the other says that it fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurofb.status import PromptStatus

Kind = Literal["vas", "probe", "text"]
Action = Literal["less", "more", "much less", "much more", "next", "confirm", "decline"]
STEP, LARGE_STEP = 1.0, 10.0
#: A button held down moves so far with each repetition.
BUTTON_STEP = 4.0
GREATEST = 100.0
#: As the session keeps it.
LONGEST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """The participant's answer to a prompt; None for no answer."""

    prompt: str
    value: float | str | None


class Rating:
    """The question that is on the screen.

    Attributes
    ----------
    prompt : PromptStatus or None
    value : float or None
        The place on the line, 0–100; None while nothing is chosen.
    choice : int or None
        Of a probe.
    text : str
        Free words.
    """

    def __init__(self) -> None:
        self.prompt: PromptStatus | None = None
        self.answered: set[str] = set()
        self._is_closed = False
        self._clear()

    def _clear(self) -> None:
        self.value: float | None = None
        self.choice: int | None = None
        self.text = ""

    @property
    def kind(self) -> Kind | None:
        """The kind of answer; a probe without choices is a line."""
        if self.prompt is None:
            return None
        kind: str = self.prompt.kind
        if kind == "text":
            return "text"
        return "probe" if self.prompt.choices else "vas"

    @property
    def is_open(self) -> bool:
        """Whether there is a question without an answer yet."""
        return self.prompt is not None and not self._is_closed and self.prompt.id not in self.answered

    @property
    def is_answer(self) -> bool:
        """Whether there is something to confirm."""
        chosen = {
            "vas": self.value is not None,
            "probe": self.choice is not None,
            "text": bool(self.text.strip()),
        }
        return self.kind is not None and chosen[self.kind]

    def ask(self, prompt: PromptStatus | None, *, is_closed: bool = False) -> None:
        """Show a prompt, or none; the same one again changes nothing. One that is closed is seen, not answered."""
        self._is_closed = is_closed
        if (prompt and prompt.id) != (self.prompt and self.prompt.id):
            self._clear()
        self.prompt = prompt

    def point(self, share: float) -> None:
        """Choose the place on the line at a share of its length, from 0 to 1."""
        if self.is_open and self.kind == "vas":
            self.value = round(GREATEST * min(1.0, max(0.0, share)), 1)

    def choose(self, index: int) -> None:
        """Choose one of several."""
        if self.is_open and self.prompt is not None and 0 <= index < len(self.prompt.choices):
            self.choice = index

    def write(self, text: str) -> None:
        """Replace the free words."""
        if self.is_open and self.kind == "text":
            self.text = text[:LONGEST_TEXT]

    def act(self, action: Action) -> Answer | None:
        """Apply the action of a key; return the answer if it is confirmed or declined."""
        if not self.is_open or self.prompt is None:
            return None
        if action == "decline":
            return self._answer(None)
        if action == "confirm":
            return self._answer(self._chosen()) if self.is_answer else None
        if self.kind == "vas":
            self._move(action)
        elif self.kind == "probe":
            self._turn(action)
        return None

    def _chosen(self) -> float | str:
        assert self.prompt is not None
        if self.kind == "text":
            return self.text.strip()
        if self.kind == "probe":
            return str(self.prompt.choices[self.choice or 0])
        return float(self.value or 0.0)

    def _answer(self, value: float | str | None) -> Answer:
        assert self.prompt is not None
        self.answered.add(self.prompt.id)
        return Answer(self.prompt.id, value)

    def _move(self, action: Action) -> None:
        if action == "next":
            # The first press shows the mark at the beginning of the line; at the end it begins anew.
            over = self.value is None or self.value >= GREATEST
            self.value = 0.0 if over else min(GREATEST, (self.value or 0.0) + BUTTON_STEP)
            return
        steps = {"less": -STEP, "more": STEP, "much less": -LARGE_STEP, "much more": LARGE_STEP}
        if self.value is None:
            self.value = GREATEST / 2
        else:
            self.value = min(GREATEST, max(0.0, self.value + steps[action]))

    def _turn(self, action: Action) -> None:
        assert self.prompt is not None
        n = len(self.prompt.choices)
        if self.choice is None:
            self.choice = n - 1 if action in ("less", "much less") else 0
        elif action == "next":
            self.choice = (self.choice + 1) % n
        else:
            step = -1 if action in ("less", "much less") else 1
            self.choice = min(n - 1, max(0, self.choice + step))
