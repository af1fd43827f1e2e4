"""The sound of a session: a process of its own that subscribes to the session and plays it.

In: status and feedback of the session with a uid, over LSL. Out: sound, and words on the terminal. A session runs
without it: when it starts late it catches up with the next status, and when it dies the session goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from neurofb import messages
from neurofb.clock import Clock
from neurofb.screens.sound.cues import Score
from neurofb.screens.sound.player import Player, open_player
from neurofb.screens.sound.soundscape import RATE_HZ, Soundscape
from neurofb.status import SessionStatus

if TYPE_CHECKING:
    from neurofb.signing import WindowKey
    from neurofb.views.session_client import SessionClient

WANTED = (messages.STATUS, messages.FEEDBACK)
STEP_S = 0.01
#: After the end the last chime rings out, then the process ends.
LINGER_S = 3.5
#: A line says that the session is waited for when nothing was heard for so long.
WAITING_S = 5.0


@dataclass(frozen=True, slots=True)
class Received:
    """Everything that came from a session since the last pull."""

    statuses: Sequence[SessionStatus] = ()
    #: Level, reward, usable.
    rows: Sequence[tuple[float, float, float]] = ()


class Inlet(Protocol):
    """Receives a session, without ever waiting for it."""

    def pull(self) -> Received:
        """Return everything that came since the last call."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class SessionInlet:
    """Receives a session over LSL through a ``SessionClient``, whose thread waits for streams.

    The client wants the ``WANTED`` streams and is started here.
    """

    def __init__(self, client: SessionClient) -> None:
        self._client = client
        self._status: SessionStatus | None = None
        self._row_s = -math.inf
        client.start()

    def pull(self) -> Received:
        """Return everything that came since the last call; of several statuses the newest alone."""
        snapshot = self._client.snapshot()
        statuses = (
            [snapshot.status] if snapshot.status is not None and snapshot.status is not self._status else []
        )
        self._status = snapshot.status
        if snapshot.feedback is None or snapshot.feedback["time_s"] <= self._row_s:
            return Received(statuses)
        columns, times_s, values = self._client.history("feedback")
        new = np.asarray(times_s) > self._row_s
        # Rows from before this process received anything are the past: they are not played after.
        new[:-1] &= self._row_s > -math.inf
        self._row_s = float(times_s[-1])
        wanted = [columns.index(name) for name in ("level", "reward", "usable")]
        return Received(statuses, [(row[0], row[1], row[2]) for row in values[new][:, wanted].tolist()])

    def close(self) -> None:
        """End the connection."""
        self._client.close()


class SessionSound:
    """A session's inlet, score and player, stepped together.

    ``echo`` prints a line at the terminal.
    """

    def __init__(
        self, inlet: Inlet, score: Score, player: Player, clock: Clock, echo: Callable[[str], None] = print
    ) -> None:
        self._inlet, self._score, self._player, self._clock, self._echo = inlet, score, player, clock, echo
        self._came_s = clock.now_s()
        self._waiting = False
        self._ends_s: float | None = None

    def step(self) -> bool:
        """Receive, order, play; return whether to go on."""
        now_s = self._clock.now_s()
        received = self._inlet.pull()
        for status in received.statuses:
            self._score.play_status(status, now_s)
        for level, reward, usable in received.rows:
            self._score.play_feedback(level, reward, usable, now_s)
        self._score.step(now_s)
        self._player.step()
        self._report_silence(bool(received.statuses or received.rows), now_s)
        if self._score.over and self._ends_s is None:
            self._ends_s = now_s + LINGER_S
        return self._ends_s is None or now_s < self._ends_s

    def _report_silence(self, came: bool, now_s: float) -> None:
        if came:
            if self._waiting:
                self._echo("the session is there")
            self._came_s, self._waiting = now_s, False
        elif now_s - self._came_s > WAITING_S and not self._waiting and not self._score.over:
            self._waiting = True
            self._echo(
                f"waiting for the session: nothing heard for {WAITING_S:g} s. Is it running, and its uid right?"
            )


@dataclass(frozen=True, slots=True)
class SoundOptions:
    """How a session sounds."""

    #: Of the soundscape.
    seed: int = 0
    #: 0 to 1, of the full loudness.
    volume: float = 1.0
    #: Which sound device; None for the system's own.
    device: str | int | None = None
    #: Whether nothing is played.
    silent: bool = False
    #: Whether rewards ring.
    rewards: bool = True
    #: The folder of recorded instructions.
    speech: Path | None = None


def run(
    uid: str,
    clock: Clock,
    options: SoundOptions = SoundOptions(),
    *,
    echo: Callable[[str], None] = print,
    inlet: Inlet | None = None,
    key: WindowKey | None = None,
) -> None:
    """Play a session until it ends.

    Parameters
    ----------
    uid : str
        The session's.
    clock : Clock
    options : SoundOptions
    echo : callable
        Takes lines for the terminal.
    inlet : Inlet, optional
        Where the session comes from; LSL by default.
    key : WindowKey, optional
        To check that it is the session that is heard.
    """
    soundscape = Soundscape(options.seed, RATE_HZ, options.volume)
    score = Score(soundscape, rewards=options.rewards, speech=options.speech, echo=echo)
    player = open_player(soundscape, clock, device=options.device, silent=options.silent, echo=echo)
    inlet = inlet or _lsl_inlet(uid, clock, key)
    session = SessionSound(inlet, score, player, clock, echo)
    player.start()
    due_s = clock.now_s()
    try:
        while session.step():
            due_s = max(due_s + STEP_S, clock.now_s() - STEP_S)
            clock.wait_until(due_s)
    finally:
        player.stop()
        inlet.close()


def _lsl_inlet(uid: str, clock: Clock, key: WindowKey | None) -> Inlet:
    from neurofb.views.session_client import SessionClient  # loads LSL, which an audition does without

    return SessionInlet(SessionClient(uid, "sound", clock, WANTED, key))


def audition(
    clock: Clock,
    options: SoundOptions = SoundOptions(),
    *,
    length_s: float = 12.0,
    echo: Callable[[str], None] = print,
) -> None:
    """Play the soundscape from level 0 to 1 with a bell and a chime, to set the loudness at the headphones by."""
    soundscape = Soundscape(options.seed, RATE_HZ, options.volume)
    player = open_player(soundscape, clock, device=options.device, silent=options.silent, echo=echo)
    echo("set the headphones so that this is comfortable and soft; in the session nothing is louder")
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
