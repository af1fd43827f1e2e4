"""From what a session says to what is heard: status documents and feedback in, a soundscape's orders out.

In: the documents of ``neurofb-status`` and the rows of ``neurofb-feedback``, as they come. Kept: what was heard of
last, to tell what is new. What cannot be understood, or does not come any more, leaves the neutral sound: that there
is no feedback now is no failure, and does not sound like one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from neurofb.errors import NeurofbError
from neurofb.screens.sound.soundscape import Soundscape
from neurofb.screens.sound.wav_file import read_speech

#: Without anything new for so long, the sound is neutral; the engine's own limit is 1 s, and it says so in time.
STALE_S = 1.0
#: Without anything new for so long, the session is gone: silence until it comes back.
GONE_S = 15.0
#: The rows of feedback come at the hop rate and are newer than the status; without one for so long, it counts.
ROWS_STALE_S = 0.5
#: A phase that began longer ago, before this process did, is neither chimed nor spoken: it would come amid it.
LATE_S = 3.0
QUIET_STATES = ("paused", "stopping", "aborted")


class Score:
    """Plays a session on a soundscape.

    Parameters
    ----------
    soundscape : Soundscape
    rewards : bool
        Whether rewards ring bells; the level is heard in any case. Some who meditate begin to strive for them.
    speech : Path or None
        The folder of recorded instructions that phases name; None for chimes alone.
    say : callable
        Takes a line for the terminal.
    """

    def __init__(
        self,
        soundscape: Soundscape,
        *,
        rewards: bool = True,
        speech: Path | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self._sound, self._rewards, self._folder, self._say = soundscape, rewards, speech, say
        self._phase: Any = None
        self._prompt: Any = None
        self._state = ""
        self._heard_s = self._row_s = -math.inf
        self._open = self._rewarded = self._neutral = self._gone = False

    @property
    def over(self) -> bool:
        """Whether the session said that it has ended."""
        return self._state in ("finished", "aborted")

    def status(self, document: Mapping[str, Any], now_s: float) -> None:
        """Take a status document that came at ``now_s``."""
        self._heard_s = now_s
        if self._gone:
            self._gone = False
            self._sound.silence(self._state in QUIET_STATES)
        self._take_state(str(document.get("state") or ""))
        self._take_phase(_table(document.get("phase")), document.get("now_s"))
        prompt = _table(document.get("prompt")).get("id")
        if prompt is not None and prompt != self._prompt and self._state not in QUIET_STATES:
            self._sound.ring("question")
        self._prompt = prompt
        feedback = _table(document.get("feedback"))
        self._open = feedback.get("on") is True and feedback.get("mode", "continuous") == "continuous"
        if not self._open or now_s - self._row_s > ROWS_STALE_S:
            self._follow(feedback.get("level"), feedback.get("reward"), feedback.get("usable"))

    def feedback(self, level: float, reward: float, usable: float, now_s: float) -> None:
        """Take a row of the feedback stream that came at ``now_s``."""
        self._row_s = self._heard_s = now_s
        self._follow(level, reward, usable)

    def step(self, now_s: float) -> None:
        """Look whether anything still comes; to be called a few times a second."""
        silent_s = now_s - self._heard_s
        if silent_s > STALE_S:
            self._rewarded = False
            self._rest()
        if silent_s > GONE_S and not self._gone and self._heard_s > -math.inf and not self.over:
            self._gone = True
            self._sound.silence(True)

    def _follow(self, level: Any, reward: Any, usable: Any) -> None:
        good = self._open and _true(usable) and _number(level)
        if good:
            self._neutral = False
            self._sound.follow(float(level), True)
        else:
            self._rest()
        rewarded = good and _true(reward)
        # The beginning of a reward rings, not its being there.
        if rewarded and not self._rewarded and self._rewards:
            self._sound.ring("reward")
        self._rewarded = rewarded

    def _rest(self) -> None:
        if not self._neutral:
            self._neutral = True
            self._sound.neutral()

    def _take_state(self, state: str) -> None:
        if state == self._state:
            return
        was, self._state = self._state, state
        if state in QUIET_STATES:
            self._sound.hush()
            self._sound.silence(True)
        elif was in QUIET_STATES:
            self._sound.silence(False)
        if state == "finished":
            self._sound.hush()
            self._sound.ring("end")

    def _take_phase(self, phase: Mapping[str, Any], session_s: Any) -> None:
        key = (phase.get("index"), phase.get("name"))
        if not phase or key == self._phase:
            return
        began_s, is_first = phase.get("start_s"), self._phase is None
        self._phase = key
        late = is_first and _number(session_s) and _number(began_s) and session_s - began_s > LATE_S
        self._sound.hush()
        if self._state not in QUIET_STATES and not late:
            self._sound.ring("instruction" if phase.get("kind") == "instruction" else "phase")
            self._speak(phase.get("sound"))

    def _speak(self, sound: Any) -> None:
        """Return what a phase names if it is a recording; words stay words, the chime has rung for them."""
        if self._folder is None or not isinstance(sound, str) or not sound.lower().endswith(".wav"):
            return
        try:
            self._sound.say(read_speech(self._folder / sound, self._sound.rate_hz))
        except NeurofbError as error:
            self._say(f"no spoken instruction, a chime instead: {error}")


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _true(value: Any) -> bool:
    return value is True or (_number(value) and value > 0.5)
