"""The sound of a session: a process of its own that subscribes to it and plays, as the screens show.

In: what a session with a uid says over LSL. Out: sound, and words on the terminal. A session runs without it: when it
starts late it catches up with the next status document, and when it dies the session goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from neurofb import wire
from neurofb.clock import Clock
from neurofb.errors import StreamLost
from neurofb.screens.sound_player import Player, open_player
from neurofb.screens.soundscape import RATE_HZ, Soundscape
from neurofb.screens.soundscape_score import Score

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

    statuses: Sequence[dict[str, Any]] = ()
    rows: Sequence[tuple[float, float, float]] = ()


class Ear(Protocol):
    """What listens to a session, without ever waiting for it."""

    def take(self) -> Heard:
        """Give what came since the last call."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


@dataclass(slots=True)
class SessionEar:
    """Listens to a session over LSL; its streams may come late, go and come again.

    Parameters
    ----------
    uid : str
        The session's.
    """

    uid: str
    _streams: Any = field(init=False, repr=False)
    _inlets: dict[str, tuple[str, Any]] = field(init=False, default_factory=dict, repr=False)
    _lost: set[str] = field(init=False, default_factory=set, repr=False)

    def __post_init__(self) -> None:
        from neurofb.acquisition.lsl_text import SessionStreams

        self._streams = SessionStreams(f"neurofb-{self.uid}-")

    def take(self) -> Heard:
        """Give what came since the last call; of many status documents the newest, so that nothing is replayed."""
        self._connect()
        texts = self._from(wire.STATUS)
        statuses = [_document(text) for text, _ in texts[-1:]] if texts else []
        values = self._from(wire.FEEDBACK)
        rows = [] if values is None else [(row[0], row[1], row[2]) for row in values[0].tolist()]
        return Heard([each for each in statuses if each is not None], rows)

    def close(self) -> None:
        """Stop listening."""
        for _, inlet in self._inlets.values():
            inlet.close()
        self._inlets.clear()

    def _connect(self) -> None:
        from neurofb.acquisition.lsl_text import NumberInlet, TextInlet

        if len(self._inlets) == 2:
            return
        for info in self._streams.seen():
            name, uid = info.name(), info.uid()
            if name not in (wire.STATUS, wire.FEEDBACK) or name in self._inlets or uid in self._lost:
                continue
            try:
                self._inlets[name] = (uid, TextInlet(info) if name == wire.STATUS else NumberInlet(info))
            except StreamLost:
                self._lost.add(uid)

    def _from(self, name: str) -> Any:
        if name not in self._inlets:
            return None
        uid, inlet = self._inlets[name]
        try:
            return inlet.take()
        except StreamLost:
            # The dead stream is listed for some seconds more: it must not be taken for a new one.
            self._lost.add(uid)
            del self._inlets[name]
            return None


def _document(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


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
    ear = ear or SessionEar(uid)
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
