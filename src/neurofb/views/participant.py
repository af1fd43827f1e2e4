"""The participant's view: from a snapshot of the session to a picture, without Qt.

In: a ``Snapshot`` for each frame. Out: a ``Picture``. Kept: how calm, how present and how visible things are, because
they move slowly (see ``flash_limits``).

Three appearances must not be taken for each other: *feedback* (a filled shape, the smoother the calmer), *no feedback
now* (an open ring: neutral, it is nobody's failure), and *waiting* (a dotted ring and a line of words: something
technical). Where the protocol wants the eyes to rest, a point stands still in place of the shape. The shape breathes
only where the protocol says how often: a pace that nobody has asked for would change the breath, and with it the heart,
the EEG and the pain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from neurofb import messages
from neurofb.status import (
    OPERATOR,
    BlockSummary,
    FeedbackStatus,
    PhaseStatus,
    PromptStatus,
    SessionStatus,
)
from neurofb.views.flash_limits import Faded, Slow
from neurofb.views.rating import Rating
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

Appearance = Literal["feedback", "neutral", "waiting"]
#: Of the last row of feedback: an older one is no feedback.
FEEDBACK_AGE_S = 1.0
#: Without a sign that a stop was heard, the participant is told to help themselves.
UNHEARD_S = 1.0
SIGNS = ("cue", "anticipation", "heat", "relief")
#: Steps of a trial up to its heat.
BEFORE_RELIEF = ("cue", "anticipation", "heat")
#: States of the stimulator in which a stimulus is on.
ON = ("rising", "plateau")


@dataclass(frozen=True, slots=True)
class Words:
    """A headline and a text."""

    headline: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign of what comes or is: its kind is told by its shape, not by its colour."""

    kind: str = ""
    words: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame."""

    appearance: Appearance = "waiting"
    #: 0–1: smoothness of the shape, its filling, its dots, its glow (reward), and how far it has breathed in.
    calm: float = 0.5
    filled: float = 0.0
    dotted: float = 1.0
    glow: float = 0.0
    breath: float = 0.5
    #: How visible the point is that stands in place of the shape, 0–1.
    point: float = 0.0
    words: Words = Words()
    #: 0–1; ``scene`` is the shape.
    words_opacity: float = 0.0
    sign: Sign = Sign()
    sign_opacity: float = 0.0
    scene_opacity: float = 0.0
    #: How much of the present step is left, 0–1; None where nothing runs out.
    left: float | None = None
    #: The small line at the bottom.
    note: str = ""
    #: Whether a question is open.
    asks: bool = False
    ask_opacity: float = 0.0
    #: Whether "continue" can be chosen; ``proceed_opacity`` is how visible it is.
    proceed: bool = False
    proceed_opacity: float = 0.0
    #: Whether the session has heat, which can be stopped by itself; ``heat_opacity`` is how visible that is.
    heat: bool = False
    heat_opacity: float = 0.0
    #: Whether "now it hurts" can be chosen; ``button_opacity`` is how visible it is.
    button: bool = False
    button_opacity: float = 0.0
    eyes_closed: bool = False
    over: bool = False
    #: Whether the stop can be chosen: until the engine itself has said, signed, that the session is over.
    stop: bool = True


class ParticipantView:
    """Makes the pictures of one participant's screen."""

    def __init__(self, wording: Wording) -> None:
        self._wording = wording
        #: How far the shape breathes, and how often at last.
        self._breathes, self._breaths_per_min = Slow(0.0), 6.0
        self._point = Slow(0.0)
        #: When the question that is open was seen first, on the session's clock.
        self._asked_s: float | None = None
        self.rating = Rating()
        self._calm, self._filled, self._dotted = Slow(0.5), Slow(0.0), Slow(1.0)
        self._glow, self._scene = Slow(0.0), Slow(0.0, 0.6)
        self._words: Faded[Words] = Faded(Words(), Words())
        self._sign: Faded[Sign] = Faded(Sign(), Sign())
        self._note: Faded[str] = Faded("", "")
        self._ask: Faded[str] = Faded("", "")
        self._proceed: Faded[bool] = Faded(False, False)
        self._heat: Faded[bool] = Faded(False, False)
        self._button: Faded[bool] = Faded(False, False)
        self._block: int | None = None
        self._prompt: PromptStatus | None = None
        self._last_s: float | None = None
        self._stop_s: float | None = None
        self._stop_heat_s: float | None = None

    def note_stop_heat(self, now_s: float) -> None:
        """Note that the participant has asked to stop this heat."""
        self._stop_heat_s = now_s

    def note_stop(self, now_s: float) -> None:
        """Note that the participant has asked to stop."""
        self._stop_s = now_s if self._stop_s is None else self._stop_s

    def picture(self, snapshot: Snapshot) -> Picture:
        """Return the picture of this moment."""
        elapsed_s = 0.0 if self._last_s is None else snapshot.now_s - self._last_s
        self._last_s = snapshot.now_s
        status = snapshot.status
        self._forget_stopped_heat(status)
        self._ask_what_is_wanted(
            status.prompt if status is not None and not snapshot.is_over else None, elapsed_s
        )
        appearance, level, reward = _feedback(snapshot)
        asks = self.rating.is_open
        # While a question is there, the rest makes room.
        self._words.become(Words() if asks else self._wanted_words(snapshot), elapsed_s)
        self._sign.become(Sign() if asks else self._wanted_sign(status), elapsed_s)
        self._note.become(self._wanted_note(snapshot, appearance), elapsed_s)
        can_stop = not (snapshot.is_over and snapshot.is_verified)
        heat = status is not None and status.heat is not None and can_stop
        button = _has_button(status)
        waits = status is not None and bool(status.phase and status.phase.waits) and not asks
        self._proceed.become(waits, elapsed_s)
        self._heat.become(heat, elapsed_s)
        self._button.become(button, elapsed_s)
        return Picture(
            appearance=appearance,
            calm=self._calm.follow(level, elapsed_s),
            filled=self._filled.follow(float(appearance == "feedback"), elapsed_s),
            dotted=self._dotted.follow(float(appearance == "waiting"), elapsed_s),
            glow=self._glow.follow(float(reward), elapsed_s),
            breath=self._breath(status, snapshot.now_s, elapsed_s),
            point=self._point.follow(float(_has_point(status)), elapsed_s),
            words=self._words.content,
            words_opacity=self._words.opacity,
            sign=self._sign.content,
            sign_opacity=self._sign.opacity,
            scene_opacity=self._scene.follow(0.25 if asks or snapshot.is_over else 1.0, elapsed_s),
            left=self._answer_left(status, snapshot.status_age_s)
            if asks
            else _left(status, snapshot.status_age_s),
            note=self._note.content if self._note.opacity > 0 else "",
            asks=asks,
            ask_opacity=self._ask.opacity,
            proceed=waits,
            proceed_opacity=self._proceed.opacity,
            heat=heat,
            heat_opacity=self._heat.opacity,
            button=button,
            button_opacity=self._button.opacity,
            eyes_closed=status is not None and bool(status.phase and status.phase.eyes == "closed"),
            over=snapshot.is_over,
            stop=can_stop,
        )

    def _breath(self, status: SessionStatus | None, now_s: float, elapsed_s: float) -> float:
        """Return how far the shape has breathed in, 0–1; one that does not breathe stays halfway."""
        asked = status.phase.breaths_per_min if status is not None and status.phase is not None else None
        if asked is not None:
            self._breaths_per_min = asked
        strength = self._breathes.follow(float(asked is not None), elapsed_s)
        return 0.5 - 0.5 * strength * math.cos(2 * math.pi * now_s * self._breaths_per_min / 60.0)

    def _answer_left(self, status: SessionStatus | None, age_s: float) -> float | None:
        """Return how much of the time for an answer is left, 0–1; None where it has no end."""
        prompt = status.prompt if status is not None else None
        if status is None or prompt is None or prompt.due_s is None:
            return None
        if self._asked_s is None:
            self._asked_s = status.now_s
        long_s = prompt.due_s - self._asked_s
        return min(1.0, max(0.0, (prompt.due_s - status.now_s - age_s) / long_s)) if long_s > 0 else None

    def _forget_stopped_heat(self, status: SessionStatus | None) -> None:
        """Forget that this heat was stopped when its trial goes on."""
        step = status.step if status is not None else None
        is_over = step is None or step.kind not in BEFORE_RELIEF
        if is_over and not _is_on(status):
            self._stop_heat_s = None

    def _ask_what_is_wanted(self, prompt: PromptStatus | None, elapsed_s: float) -> None:
        """Fade a question in or out; one that fades out is still seen, but not answered any more."""
        is_wanted = prompt is not None and prompt.id not in self.rating.answered
        self._ask.become(str(prompt.id) if prompt is not None and is_wanted else "", elapsed_s)
        if prompt is not None and str(prompt.id) == self._ask.content:
            if self._prompt is None or self._prompt.id != prompt.id:
                self._asked_s = None
            self._prompt = prompt
        shown = self._prompt if self._ask.content else None
        is_same = shown is not None and prompt is not None and shown.id == prompt.id
        self.rating.ask(shown, is_closed=not is_same)

    def _wanted_words(self, snapshot: Snapshot) -> Words:
        status = snapshot.status
        if self._stop_s is not None and (status is None or not snapshot.is_over):
            unheard = "stop" in snapshot.unconfirmed and snapshot.now_s - self._stop_s > UNHEARD_S
            return Words(
                self._wording("participant.stopping"),
                self._wording("participant.stop_unheard") if unheard else "",
            )
        if status is None:
            return Words()
        if snapshot.is_over:
            done = status.state == "finished" or (
                status.ended is not None and status.ended.outcome == "finished"
            )
            early = "participant.aborted" if self._stop_s is None else "participant.stopped"
            key = "participant.ended" if done else early
            return Words(self._wording(key), self._wording("participant.thanks"))
        if self._stop_heat_s is not None and _is_on(status):
            unheard = snapshot.now_s - self._stop_heat_s > UNHEARD_S
            return Words(
                self._wording("participant.heat_stopping"),
                self._wording("participant.stop_unheard") if unheard else "",
            )
        if status.probe is not None and status.probe.waits:
            return Words(self._wording("participant.paused"), self._wording("participant.probe_text"))
        if status.state == "paused":
            is_alone = any(each.name == OPERATOR and not each.alive for each in status.views)
            text = "participant.no_operator_text" if is_alone else "participant.paused_text"
            return Words(self._wording("participant.paused"), self._wording(text))
        phase = status.phase
        if phase is None:
            return Words()
        if self._is_after_block(phase, status.feedback):
            return Words(self._wording("participant.summary"), self._summary(phase.summary))
        if status.step is not None and status.step.kind in SIGNS:
            return Words()  # a sign speaks for itself
        hint = self._wording("participant.button_hint") if _has_button(status) else ""
        closed = self._wording("participant.eyes_closed") if phase.eyes == "closed" else ""
        return Words(closed, "\n".join(filter(None, [phase.text, hint])))

    def _is_after_block(self, phase: PhaseStatus, feedback: FeedbackStatus) -> bool:
        """Return whether this is the phase after a block, to be summed up; a summary stays in the status for long."""
        if feedback.on:
            self._block = phase.index
        elif self._block is not None and phase.index > self._block + 1:
            self._block = None
        is_due = self._block is not None and not feedback.on and feedback.mode == "summary"
        return is_due and phase.summary is not None

    def _summary(self, summary: BlockSummary | None) -> str:
        if summary is None or summary.success is None:
            return ""
        return self._wording("participant.summary_share", percent=round(10 * summary.success) * 10)

    def _wanted_sign(self, status: SessionStatus | None) -> Sign:
        step = status.step if status is not None and status.state == "running" else None
        if step is None or step.kind not in SIGNS:
            return Sign()
        kind = step.kind
        if self._stop_heat_s is not None and kind in BEFORE_RELIEF:  # this heat is over, or will not be given
            return Sign() if _is_on(status) else Sign("relief", self._wording("sign.relief"))
        if kind == "cue":
            language = self._wording.language
            level = step.labels.get(language) or self._wording.find("level", step.level or "none")
            return Sign(
                kind, self._wording("sign.cue", level=level) if level else self._wording("sign.cue_plain")
            )
        return Sign(kind, self._wording(f"sign.{kind}"))

    def _wanted_note(self, snapshot: Snapshot, appearance: Appearance) -> str:
        status = snapshot.status
        if snapshot.is_over:
            return ""
        if snapshot.second_voices:
            return self._wording("participant.second_voice")
        if messages.STATUS in snapshot.missing or status is None:
            return self._wording("participant.waiting_session")
        if status.stream.state in ("lost", "changed", "waiting", "silent"):
            return self._wording("participant.waiting_eeg")
        if not status.feedback.on or status.feedback.mode != "continuous" or self.rating.is_open:
            return ""
        if messages.FEEDBACK in snapshot.missing:
            return self._wording("participant.waiting_feedback")
        return self._wording("participant.no_feedback") if appearance == "neutral" else ""

    @property
    def note_opacity(self) -> float:
        """How visible the small line at the bottom is, 0–1."""
        return self._note.opacity


def _feedback(snapshot: Snapshot) -> tuple[Appearance, float, bool]:
    """Return the appearance of the shape, the level and the reward: of the feedback stream while it is fresh."""
    status = snapshot.status
    if status is None or messages.STATUS in snapshot.missing:
        return "waiting", 0.5, False
    given = status.feedback
    if not given.on or given.mode != "continuous" or status.state != "running":
        return "neutral", 0.5, False
    if messages.FEEDBACK in snapshot.missing:
        return "waiting", 0.5, False
    row = snapshot.feedback
    level, usable, reward = given.level, given.usable, given.reward
    if row is not None and snapshot.now_s - row["came_s"] < FEEDBACK_AGE_S:
        level, usable, reward = row["level"], row["usable"] >= 0.5, row["reward"] >= 0.5
    if not usable or level is None or not math.isfinite(level):
        return "neutral", 0.5, False
    return "feedback", level, reward


def _is_on(status: SessionStatus | None) -> bool:
    """Return whether a stimulus is on."""
    heat = status.heat if status is not None else None
    return bool(heat and heat.state in ON)


def _has_button(status: SessionStatus | None) -> bool:
    """Return whether "now it hurts" means something: in the method of limits, and nowhere else."""
    heat = status.heat if status is not None else None
    return bool(heat and heat.button)


def _has_point(status: SessionStatus | None) -> bool:
    """Return whether the eyes rest on a point: never where feedback changes the shape."""
    if status is None or status.phase is None or status.state != "running":
        return False
    has_feedback = status.feedback.on and status.feedback.mode == "continuous"
    return status.phase.shows == "point" and status.phase.eyes == "open" and not has_feedback


def _left(status: SessionStatus | None, age_s: float) -> float | None:
    """Return how much of a sign's time is left, 0–1."""
    step = status.step if status is not None else None
    if status is None or step is None or step.kind not in SIGNS or step.start_s is None or step.end_s is None:
        return None
    long_s = step.end_s - step.start_s
    return float(min(1.0, max(0.0, (step.end_s - status.now_s - age_s) / long_s))) if long_s > 0 else None
