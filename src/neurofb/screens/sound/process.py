"""The sound of a session: a process of its own that subscribes to it and plays, as the screens show.

In: what a session with a uid says over LSL. Out: sound, and words on the terminal. A session runs without it: when it
starts late it catches up with the next status document, and when it dies the session goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from neurofb import messages
from neurofb.clock import Clock
from neurofb.screens.sound.player import Player, open_player
from neurofb.screens.sound.score import Score
from neurofb.screens.sound.soundscape import RATE_HZ, Soundscape

if TYPE_CHECKING:
    from neurofb.views.session_client import SessionClient

WANTED = (messages.STATUS, messages.FEEDBACK)
STEP_S = 0.01
#: After the end the last chime rings out, then the process ends.
LINGER_S = 3.5
#: A line says that the session is waited for when nothing was heard for so long.
WAITING_S = 5.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a session said since the last look.

    Attributes
    ----------
    statuses : sequence of mapping
        Status documents.
    rows : sequence of (float, float, float)
        Level, reward, usable.
    """

    statuses: Sequence[Mapping[str, Any]] = ()
    rows: Sequence[tuple[float, float, float]] = ()


class Ear(Protocol):
    """What listens to a session, without ever waiting for it."""

    def take(self) -> Heard:
        """Return what came since the last call."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class SessionEar:
    """Listens to a session over LSL through a ``SessionClient``, whose thread waits for streams.

    Parameters
    ----------
    bridge : SessionClient
        With ``WANTED`` streams; started here.
    """

    def __init__(self, bridge: SessionClient) -> None:
        self._bridge = bridge
        self._status: Mapping[str, Any] | None = None
        self._row_s = -math.inf
        bridge.start()

    def take(self) -> Heard:
        """Return what came since the last call; of several status documents the newest alone."""
        snapshot = self._bridge.snapshot()
        statuses = (
            [snapshot.status] if snapshot.status is not None and snapshot.status is not self._status else []
        )
        self._status = snapshot.status
        if snapshot.feedback is None or snapshot.feedback["time_s"] <= self._row_s:
            return Heard(statuses)
        columns, times_s, values = self._bridge.course("feedback")
        new = np.asarray(times_s) > self._row_s
        # What was there before this process heard anything is the past: it is not played after.
        new[:-1] &= self._row_s > -math.inf
        self._row_s = float(times_s[-1])
        wanted = [columns.index(name) for name in ("level", "reward", "usable")]
        return Heard(statuses, [(row[0], row[1], row[2]) for row in values[new][:, wanted].tolist()])

    def close(self) -> None:
        """Stop listening."""
        self._bridge.close()


class SessionSound:
    """A session's ear, score and player, stepped together.

    Parameters
    ----------
    ear : Ear
    score : Score
    player : Player
    clock : Clock
    say : callable
        Takes lines for the terminal.
    """

    def __init__(
        self, ear: Ear, score: Score, player: Player, clock: Clock, say: Callable[[str], None] = print
    ) -> None:
        self._ear, self._score, self._player, self._clock, self._say = ear, score, player, clock, say
        self._heard_s = clock.now_s()
        self._waiting = False
        self._ends_s: float | None = None

    def step(self) -> bool:
        """Hear, order, play; give whether to go on."""
        now_s = self._clock.now_s()
        heard = self._ear.take()
        for document in heard.statuses:
            self._score.status(document, now_s)
        for level, reward, usable in heard.rows:
            self._score.feedback(level, reward, usable, now_s)
        self._score.step(now_s)
        self._player.step()
        self._mind(bool(heard.statuses or heard.rows), now_s)
        if self._score.over and self._ends_s is None:
            self._ends_s = now_s + LINGER_S
        return self._ends_s is None or now_s < self._ends_s

    def _mind(self, came: bool, now_s: float) -> None:
        if came:
            if self._waiting:
                self._say("the session is there")
            self._heard_s, self._waiting = now_s, False
        elif now_s - self._heard_s > WAITING_S and not self._waiting and not self._score.over:
            self._waiting = True
            self._say(
                f"waiting for the session: nothing heard for {WAITING_S:g} s. Is it running, and its uid right?"
            )


def run(
    uid: str,
    clock: Clock,
    *,
    seed: int = 0,
    volume: float = 1.0,
    device: str | int | None = None,
    silent: bool = False,
    rewards: bool = True,
    speech: Path | None = None,
    say: Callable[[str], None] = print,
    ear: Ear | None = None,
) -> None:
    """Play a session until it ends.

    Parameters
    ----------
    uid : str
        The session's.
    clock : Clock
    seed : int
        Of the soundscape.
    volume : float
        0 to 1, of the full loudness.
    device : str or int or None
        Which sound device; None for the system's own.
    silent : bool
        True for none.
    rewards : bool
        Whether rewards ring.
    speech : Path or None
        The folder of recorded instructions.
    say : callable
        Takes lines for the terminal.
    ear : Ear, optional
        What listens; LSL by default.
    """
    soundscape = Soundscape(seed, RATE_HZ, volume)
    score = Score(soundscape, rewards=rewards, speech=speech, say=say)
    player = open_player(soundscape, clock, device=device, silent=silent, say=say)
    ear = ear or _ear_of(uid, clock)
    session = SessionSound(ear, score, player, clock, say)
    player.start()
    due_s = clock.now_s()
    try:
        while session.step():
            due_s = max(due_s + STEP_S, clock.now_s() - STEP_S)
            clock.wait_until(due_s)
    finally:
        player.stop()
        ear.close()


def _ear_of(uid: str, clock: Clock) -> Ear:
    from neurofb.views.session_client import SessionClient  # loads LSL, which an audition does without

    return SessionEar(SessionClient(uid, "sound", clock, WANTED))


def audition(
    clock: Clock,
    *,
    seed: int = 0,
    volume: float = 1.0,
    device: str | int | None = None,
    silent: bool = False,
    length_s: float = 12.0,
    say: Callable[[str], None] = print,
) -> None:
    """Play the soundscape from level 0 to 1 with a bell and a chime, to set the loudness at the headphones by."""
    soundscape = Soundscape(seed, RATE_HZ, volume)
    player = open_player(soundscape, clock, device=device, silent=silent, say=say)
    say("set the headphones so that this is comfortable and soft; in the session nothing is louder")
    start_s = clock.now_s()
    soundscape.ring("phase")
    player.start()
    try:
        while (past_s := clock.now_s() - start_s) < length_s:
            soundscape.follow(past_s / length_s, True)
            if past_s > length_s / 2:
                soundscape.ring("reward")
            player.step()
            clock.wait_until(start_s + past_s + 0.05)
        soundscape.silence(True)
        clock.wait_until(start_s + length_s + 1.0)
        player.step()
    finally:
        player.stop()
