"""Rating scales, prompts and answers; a missing answer is missing, not zero.

In: prompts at their time, answers and the clock's reading. Out: one `Rating` for each prompt. Kept: open prompts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from neurofb.config import Name, Table
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.events import Event
from neurofb.folding import folded
from neurofb.protocol.guess_words import GUESS_WORDS, GuessWords, Language, Who
from neurofb.protocol.randomization import random_generator
from neurofb.protocol.study import Word

Value = float | str
GUESS = "blinding_guess"
#: The questions of a blinding guess: each is asked and answered under the scale's name, "_" and this.
GUESS_PARTS = ("condition", "certainty", "why")
#: Keys that a scale has for guesses alone.
OF_GUESSES = ("who", "language", "conditions")
#: A longer text would make the record's events hard to read; it is cut, and says so.
LONGEST_TEXT = 2000


class Scale(Table):
    """A rating scale: a question and its possible answers."""

    name: Word = Field(description='small letters, digits and underscores, as "intensity"')
    kind: Literal["vas", "probe", "text", "blinding_guess"] = Field(
        description='"vas" (0–100 between two anchors), "probe" (one of choices), "text" (free words) or '
        '"blinding_guess" (which arm somebody thinks it is, how certain that is, and why: three questions)'
    )
    asks: Literal["intensity", "unpleasantness", "other"] = Field(
        default="other",
        description='what of pain it asks for: "intensity", "unpleasantness" or "other"; stop rules read the first two',
    )
    question: str = Field(
        default="",
        validate_default=True,
        description="what is asked, in your own words; may be left out for a blinding guess alone",
    )
    low: str = Field(
        default="", validate_default=True, description='for a VAS: the words at 0, as "no pain at all"'
    )
    high: str = Field(default="", validate_default=True, description="for a VAS: the words at 100")
    choices: tuple[Name, ...] = Field(
        default=(), validate_default=True, description="for a probe: two or more answers to choose from"
    )
    who: Who | None = Field(
        default=None,
        validate_default=True,
        description='for a blinding guess: who answers, "participant", "operator" or "assessor"',
    )
    language: Language = Field(
        default="en",
        description='for a blinding guess: "en" or "de", for the questions that the protocol gives no words for',
    )
    conditions: Mapping[Word, Name] = Field(
        default={},
        validate_default=True,
        description="for a blinding guess: each arm's id and neutral words for it, as "
        'real = "real feedback"; "I do not know" is added',
    )
    answer_s: Annotated[float, Field(strict=True, gt=0, le=600)] = Field(
        default=10.0, description="how long an answer is waited for: up to 600 s"
    )

    @field_validator("asks")
    @classmethod
    def _of_pain(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("kind") == GUESS and value != "other":
            raise ValueError("a blinding guess asks for no pain; leave it out")
        return value

    @field_validator("question")
    @classmethod
    def _asked(cls, value: str, info: ValidationInfo) -> str:
        if not value and info.data.get("kind") not in (GUESS, None):
            raise ValueError("missing; needed is what is asked, in your own words")
        return value

    @field_validator("low", "high")
    @classmethod
    def _anchored(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        if kind == "vas" and not value:
            raise ValueError("a VAS needs words at both ends, low and high")
        if kind in ("probe", "text", GUESS) and value:
            raise ValueError(f"a scale of kind {kind!r} has no ends; only a VAS has")
        return value

    @field_validator("choices")
    @classmethod
    def _to_choose(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        kind = info.data.get("kind")
        if kind == "probe" and (len(value) < 2 or len(set(value)) < len(value)):
            raise ValueError("a probe needs two or more different choices")
        if kind in ("vas", "text", GUESS) and value:
            raise ValueError(f"a scale of kind {kind!r} has no choices; only a probe has")
        return value

    @field_validator("who")
    @classmethod
    def _answers(cls, value: Who | None, info: ValidationInfo) -> Who | None:
        kind = info.data.get("kind")
        if kind == GUESS and value is None:
            raise ValueError('a blinding guess says who answers: "participant", "operator" or "assessor"')
        if kind not in (GUESS, None) and value is not None:
            raise ValueError(f"a scale of kind {kind!r} is the participant's; only a blinding guess has it")
        return value

    @field_validator("conditions")
    @classmethod
    def _to_guess(cls, value: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        kind, words = info.data.get("kind"), list(value.values())
        if kind not in (GUESS, None) and value:
            raise ValueError(f"a scale of kind {kind!r} has no conditions; only a blinding guess has")
        if kind != GUESS:
            return value
        unknown = GUESS_WORDS[info.data.get("language", "en")].unknown
        if len(words) < 2 or len({folded(each) for each in (*words, unknown)}) <= len(words):
            raise ValueError(
                f"a blinding guess needs words for two or more arms, all different, and {unknown!r} is added"
            )
        return value

    @property
    def parts(self) -> tuple[Scale, ...]:
        """The questions that are asked: itself, or those that a blinding guess consists of."""
        if self.kind != GUESS:
            return (self,)
        words = self.guess_words
        assert self.who is not None  # the check above has seen to it
        asked = self.question or words.question(self.who)
        made: tuple[dict[str, Any], ...] = (
            {"kind": "probe", "question": asked, "choices": (*self.conditions.values(), words.unknown)},
            {"kind": "vas", "question": words.certainty, "low": words.guessed, "high": words.certain},
            {"kind": "text", "question": words.why},
        )
        return tuple(
            Scale(name=f"{self.name}_{part}", answer_s=self.answer_s, **keys)
            for part, keys in zip(GUESS_PARTS, made, strict=True)
        )

    @property
    def guess_words(self) -> GuessWords:
        """The words of a blinding guess in this scale's language."""
        return GUESS_WORDS[self.language]

    @property
    def of_heat(self) -> bool:
        """True if stop rules read it where it follows heat."""
        return self.asks != "other"

    def read(self, value: object) -> Value:
        """Return an answer as this scale keeps it: 0–100, one of the choices, or a text.

        Raises
        ------
        WrongInput
            If it is no answer to this question; what would be one.
        """
        if self.kind == "vas":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and math.isfinite(float(value)) and 0 <= float(value) <= 100:  # type: ignore[arg-type]
                return float(value)  # type: ignore[arg-type]
            raise WrongInput(f"{self.name!r} takes a number from 0 to 100; found {value!r}")
        if self.kind == "probe":
            return self._choice(value)
        if not isinstance(value, str):
            raise WrongInput(f"{self.name!r} takes words; found {value!r}")
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + " … (cut)"

    def _choice(self, value: object) -> str:
        """Return the choice that was named, or numbered from 0."""
        if value in self.choices:
            return str(value)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and value in range(len(self.choices))
        ):
            return self.choices[int(value)]
        raise WrongInput(
            f"{self.name!r} takes one of {', '.join(map(repr, self.choices))}, or its number from 0; found {value!r}"
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question that was asked at a time."""

    #: Unique in its session, as "p12".
    id: str
    scale: Scale
    #: Onset and deadline on the session's clock, seconds.
    prompted_s: float
    due_s: float
    #: The trial it belongs to, counted from 1 within its phase.
    trial: int | None = None
    #: Of the stimulus it follows.
    level: str | None = None
    site: str | None = None
    phase: str = ""


@dataclass(frozen=True, slots=True)
class Rating:
    """The rating of a prompt: its answer, or none."""

    prompt: Prompt
    #: None: no answer.
    value: Value | None
    #: Time of the answer, or of the participant's own "no answer"; None if there was neither.
    answered_s: float | None

    @property
    def scale(self) -> Scale:
        """Name of the scale."""
        return self.prompt.scale

    @property
    def trial(self) -> int | None:
        """The trial it belongs to."""
        return self.prompt.trial

    @property
    def level(self) -> str | None:
        """The level of the stimulus it is about; None if it is about none."""
        return self.prompt.level

    @property
    def site(self) -> str | None:
        """Site of that stimulus."""
        return self.prompt.site

    @property
    def is_missing(self) -> bool:
        """True if there was no answer."""
        return self.value is None

    def to_event(self) -> Event:
        """Return it as it is recorded, at the time of the answer, or of the end of waiting for one."""
        asked = self.prompt
        reaction_s = None if self.answered_s is None else self.answered_s - asked.prompted_s
        return Event(
            "rating",
            asked.due_s if self.answered_s is None else self.answered_s,
            f"{asked.scale.name}: " + ("no answer" if self.value is None else str(self.value)),
            details={
                "prompt": asked.id,
                "scale": asked.scale.name,
                "value": self.value,
                "missing": self.is_missing,
                "prompted_s": asked.prompted_s,
                "answered_s": self.answered_s,
                "reaction_s": reaction_s,
                "phase": asked.phase,
                "trial": asked.trial,
                "level": asked.level,
                "site": asked.site,
            },
        )


class Prompts:
    """The prompts that wait for an answer, and the ratings that came."""

    def __init__(self) -> None:
        self._open: dict[str, Prompt] = {}
        self._closed: dict[str, tuple[Prompt, str]] = {}
        self._newest: Prompt | None = None
        self._count = 0
        self._is_held = False

    @property
    def open_prompts(self) -> tuple[Prompt, ...]:
        """Those without an answer so far, the oldest first."""
        return tuple(self._open.values())

    def open(
        self,
        scale: Scale,
        now_s: float,
        *,
        trial: int | None = None,
        level: str | None = None,
        site: str | None = None,
        phase: str = "",
    ) -> Prompt:
        """Open a prompt; an answer is accepted for ``scale.answer_s``."""
        self._count += 1
        prompt = Prompt(f"p{self._count}", scale, now_s, now_s + scale.answer_s, trial, level, site, phase)
        self._open[prompt.id] = self._newest = prompt
        return prompt

    def answer(self, prompt_id: str, value: object, at_s: float) -> Rating:
        """Answer a prompt; None is the participant's own "no answer".

        Raises
        ------
        UnknownName
            If there never was such a prompt.
        WrongInput
            If it has been answered, is too late, or is no answer to this question; an open prompt stays open.
        """
        prompt = self._open.get(prompt_id)
        if prompt is None and prompt_id in self._closed:
            raise WrongInput(f"prompt {prompt_id!r} {self._closed[prompt_id][1]}; the first answer counts")
        if prompt is None:
            raise UnknownName(f"no prompt {prompt_id!r} is open; {nearest(str(prompt_id), self._open)}")
        if at_s > prompt.due_s and not self._is_held:
            raise WrongInput(
                f"the answer to prompt {prompt_id!r} came {at_s - prompt.due_s:.2f} s too late: it was waited for "
                f"{prompt.scale.answer_s:g} s and counts as missing"
            )
        rating = Rating(prompt, None if value is None else prompt.scale.read(value), at_s)
        self._close(prompt, "has been answered")
        return rating

    def later_answer(self, prompt_id: str, value: object, at_s: float) -> Rating | None:
        """Return what is answered to a prompt after its rating: not kept as its rating, but heard by the stop rules.

        None for a prompt that still waits for its answer, that never was, or that another trial has followed; and for
        no answer.

        Raises
        ------
        WrongInput
            If it is no answer to this question.
        """
        prompt = self._closed[prompt_id][0] if prompt_id in self._closed else self._open.get(prompt_id)
        if prompt is None or value is None or self._newest is None:
            return None
        waits = prompt_id in self._open and (at_s <= prompt.due_s or self._is_held)
        newest = self._newest
        if waits or (prompt.phase, prompt.trial) != (newest.phase, newest.trial):
            return None
        return Rating(prompt, prompt.scale.read(value), at_s)

    def expire(self, now_s: float) -> list[Rating]:
        """Return the missing answers whose time is over by now; none while they are held."""
        if self._is_held:
            return []
        over = [prompt for prompt in self._open.values() if now_s > prompt.due_s]
        for prompt in over:
            self._close(prompt, "was not answered in time")
        return [Rating(prompt, None, None) for prompt in over]

    def hold(self) -> None:
        """Suspend open prompts for the length of a pause."""
        self._is_held = True

    def release(self, by_s: float) -> None:
        """End the pause: an open prompt waits for so much longer."""
        self._is_held = False
        self._open = {key: replace(each, due_s=each.due_s + by_s) for key, each in self._open.items()}

    def end(self) -> list[Rating]:
        """Return every open prompt as missing: the session, or its block, ends."""
        left = list(self._open.values())
        for prompt in left:
            self._close(prompt, "was open when its block ended")
        return [Rating(prompt, None, None) for prompt in left]

    def _close(self, prompt: Prompt, why: str) -> None:
        del self._open[prompt.id]
        self._closed[prompt.id] = (prompt, why)


class SimulatedRater:
    """A simulated participant who rates stimuli.

    Ratings rise with temperature as in studies that calibrated 30, 50 and 70 of 100 at 43.3, 45.4 and 47.1 °C on
    average, with another threshold and slope for each person; noise, reaction times and missed answers are assumed.
    The same person gives the same answer to the same prompt.

    Parameters
    ----------
    seed : int
        Who it is.
    threshold_c : float, optional
        From where on heat hurts; left out: about 44 °C.
    per_c : float, optional
        How much a rating rises with each °C; left out: about 10.5.
    noise : float
        SD of a rating.
    missed : float
        The share of prompts without an answer.
    """

    #: A rating is 0 so far below the threshold: what is warm is felt before it hurts.
    FELT_BELOW_C = 3.6
    #: How unpleasant it is, against how intense.
    UNPLEASANT = 0.9

    def __init__(
        self,
        seed: int,
        *,
        threshold_c: float | None = None,
        per_c: float | None = None,
        noise: float = 4.0,
        missed: float = 0.03,
    ) -> None:
        rng = random_generator(seed, "person")
        usual_c, usual = 44.0 + 0.7 * rng.standard_normal(), 10.5 + rng.standard_normal()
        self.threshold_c = usual_c if threshold_c is None else threshold_c
        self.per_c = max(usual, 3.0) if per_c is None else per_c
        self._seed, self._noise, self._missed = seed, noise, missed

    def hurts(self, temperature_c: float) -> bool:
        """Return whether a temperature hurts."""
        return temperature_c >= self.threshold_c

    def intensity(self, temperature_c: float) -> float:
        """Return the rating of a temperature without noise, 0–100."""
        felt_c = temperature_c - (self.threshold_c - self.FELT_BELOW_C)
        return min(max(self.per_c * felt_c, 0.0), 100.0) if math.isfinite(felt_c) else 0.0

    def answer(self, prompt: Prompt, felt_c: float) -> tuple[Value | None, float]:
        """Return the answer to a prompt, None for none, and how many seconds it takes.

        Parameters
        ----------
        prompt : Prompt
        felt_c : float
            The temperature it is about.
        """
        rng = random_generator(self._seed, "rating", prompt.id)
        noise, missed, delay = rng.standard_normal(), rng.random() < self._missed, rng.gamma(3.0, 0.15)
        reaction_s = min(0.4 + delay, 0.9 * prompt.scale.answer_s)
        scale = prompt.scale
        if missed:
            return None, reaction_s
        if scale.kind == "text":
            return "simulated words", reaction_s
        if scale.kind == "probe":
            return scale.choices[int(rng.integers(len(scale.choices)))], reaction_s
        usual = self.intensity(felt_c) * (self.UNPLEASANT if scale.asks == "unpleasantness" else 1.0)
        return round(min(max(usual + self._noise * noise, 0.0), 100.0), 1), reaction_s
