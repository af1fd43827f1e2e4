"""From the status and feedback of a session to sound: statuses and rows in, a soundscape's orders out.

In: the status and the rows of ``neurofb-feedback``, as they come. Kept: the phase, prompt and state of the last status,
to detect what is new. A value that is not known, or does not come any more, leaves the neutral sound: that there is no
feedback now is no failure, and does not sound like one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from neurofb.errors import NeurofbError
from neurofb.screens.sound.soundscape import Soundscape
from neurofb.screens.sound.wav_file import read_speech
from neurofb.status import OVER, PhaseStatus, SessionStatus

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
    echo : callable
        Takes a line for the terminal.
    """

    def __init__(
        self,
        soundscape: Soundscape,
        *,
        rewards: bool = True,
        speech: Path | None = None,
        echo: Callable[[str], None] = print,
    ) -> None:
        self._sound, self._rewards, self._folder, self._echo = soundscape, rewards, speech, echo
        self._phase: tuple[int, str] | None = None
        self._prompt: str | None = None
        self._state = ""
        self._came_s = self._row_s = -math.inf
        self._open = self._rewarded = self._neutral = self._gone = False

    @property
    def over(self) -> bool:
        """Whether the session has ended."""
        return self._state in OVER

    def play_status(self, status: SessionStatus, now_s: float) -> None:
        """Order the sounds of a status that came at ``now_s``."""
        self._came_s = now_s
        if self._gone:
            self._gone = False
            self._sound.silence(self._state in QUIET_STATES)
        self._play_state(status.state)
        if status.phase is not None:
            self._play_phase(status.phase, status.now_s)
        prompt = None if status.prompt is None else status.prompt.id
        if prompt is not None and prompt != self._prompt and self._state not in QUIET_STATES:
            self._sound.ring("question")
        self._prompt = prompt
        feedback = status.feedback
        self._open = feedback.on and feedback.mode == "continuous"
        if not self._open or now_s - self._row_s > ROWS_STALE_S:
            level = math.nan if feedback.level is None else feedback.level
            self._follow(level, reward=feedback.reward, usable=feedback.usable)

    def play_feedback(self, level: float, reward: float, usable: float, now_s: float) -> None:
        """Order the sound of a row of the feedback stream that came at ``now_s``."""
        self._row_s = self._came_s = now_s
        self._follow(level, reward=reward > 0.5, usable=usable > 0.5)

    def step(self, now_s: float) -> None:
        """Fade to neutral, then to silence, when nothing new comes; to be called a few times a second."""
        silent_s = now_s - self._came_s
        if silent_s > STALE_S:
            self._rewarded = False
            self._rest()
        if silent_s > GONE_S and not self._gone and self._came_s > -math.inf and not self.over:
            self._gone = True
            self._sound.silence(True)

    def _follow(self, level: float, *, reward: bool, usable: bool) -> None:
        good = self._open and usable and math.isfinite(level)
        if good:
            self._neutral = False
            self._sound.follow(level, True)
        else:
            self._rest()
        rewarded = good and reward
        # The beginning of a reward rings, not its being there.
        if rewarded and not self._rewarded and self._rewards:
            self._sound.ring("reward")
        self._rewarded = rewarded

    def _rest(self) -> None:
        if not self._neutral:
            self._neutral = True
            self._sound.neutral()

    def _play_state(self, state: str) -> None:
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

    def _play_phase(self, phase: PhaseStatus, session_s: float) -> None:
        key, is_first = (phase.index, phase.name), self._phase is None
        if key == self._phase:
            return
        self._phase = key
        late = is_first and phase.start_s is not None and session_s - phase.start_s > LATE_S
        self._sound.hush()
        if self._state not in QUIET_STATES and not late:
            self._sound.ring("instruction" if phase.kind == "instruction" else "phase")
            self._speak(phase.sound)

    def _speak(self, sound: str | None) -> None:
        """Play the recording that a phase names; where it names words, the chime has rung for them."""
        if self._folder is None or sound is None or not sound.lower().endswith(".wav"):
            return
        try:
            self._sound.speak(read_speech(self._folder / sound, self._sound.rate_hz))
        except NeurofbError as error:
            self._echo(f"no spoken instruction, a chime instead: {error}")
