"""Pairing over LSL: the session's side in a thread of its own, and a window that asks with a code.

In: commands ``pair`` that the session received, a code that a person typed. Out: the stream ``neurofb-pairing`` of a
session that has made a code; the keys of a window. Kept: requests that wait, a few at most.

What SPAKE2 takes (60 ms, three times for a code at most) is taken in the thread here: neither a stop nor the engine
waits for it.
"""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any

from neurofb import messages
from neurofb.errors import NeurofbError, StreamLost, StreamMissing, WrongInput
from neurofb.lsl.inlet import LslClock, Resolver
from neurofb.lsl.text import TextInlet, TextOutlet
from neurofb.messages import Command
from neurofb.pairing import DIGITS, TRIES, VALID_S, Asker, Pairing
from neurofb.signing import SessionKey, WindowKey

#: More requests than that at a time are dropped; a window asks again.
MOST_WAITING = 8
#: A window looks for the stream of replies, and then for each reply, so long.
FIND_S = 5.0
REPLY_S = 10.0
#: It asks again so often: the same request, which counts once.
AGAIN_S = 0.5


class PairingDesk:
    """Answers windows that ask to pair; nothing is on the network before the first code.

    Parameters
    ----------
    uid : str
        The session's.
    key : SessionKey
    show : callable
        Takes a sentence for the person at the terminal; one of them has the code.
    note : callable
        Takes a sentence for the record; none has the code.
    """

    def __init__(
        self, uid: str, key: SessionKey, show: Callable[[str], object], note: Callable[[str], object]
    ) -> None:
        self._uid, self._show, self._note = uid, show, note
        self._pairing = Pairing(uid, key, self._tell)
        #: None asks for a code.
        self._asked: queue.Queue[Command | None] = queue.Queue(MOST_WAITING)
        self._outlet: TextOutlet | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="neurofb-pairing", daemon=True)
        self._thread.start()

    def make_code(self) -> None:
        """Make a code and show it; never waits."""
        self._put(None)

    def hear(self, command: Command) -> None:
        """Queue a command ``pair``; never waits."""
        self._put(command)

    def close(self) -> None:
        """Remove the stream from the network."""
        self._closing.set()
        self._thread.join(5.0)

    def _put(self, asked: Command | None) -> None:
        with contextlib.suppress(queue.Full):
            self._asked.put_nowait(asked)

    def _tell(self, words: str) -> None:
        self._show(words)
        self._note(words)

    def _run(self) -> None:
        clock = LslClock()
        while not self._closing.is_set():
            try:
                asked = self._asked.get(timeout=0.1)
            except queue.Empty:
                continue
            if asked is None:
                self._show_code(clock.now_s())
            elif self._outlet is not None:
                reply = self._pairing.hear(asked.by, asked.content, clock.now_s())
                self._outlet.push(json.dumps(reply))
        if self._outlet is not None:
            self._outlet.close()

    def _show_code(self, now_s: float) -> None:
        try:
            code = self._pairing.new_code(now_s)
        except NeurofbError as error:
            self._show(str(error))
            return
        if self._outlet is None:
            name = messages.PAIRING
            self._outlet = TextOutlet(name, "Pairing", messages.source_id(self._uid, name), self._uid)
        self._note("a code to pair a window on another computer was made")
        self._show(
            f"code {code[: DIGITS // 2]} {code[DIGITS // 2 :]}, for {VALID_S / 60:g} min and {TRIES} tries; on the "
            f"other computer: neurofb screen operator --session {self._uid} --pair"
        )


class _Replies:
    """The session's replies to one exchange, from whichever stream has its name."""

    def __init__(self, uid: str) -> None:
        self._clock = LslClock()
        source_id = messages.source_id(uid, messages.PAIRING)
        streams, until_s = Resolver.by_source_id(source_id), self._clock.now_s() + FIND_S
        while not (found := [each for each in streams.results() if each.source_id() == source_id]):
            if self._clock.now_s() >= until_s:
                raise StreamMissing(
                    f"session {uid!r} has made no code to pair with: press k at its terminal, and type here what it "
                    "shows"
                )
            self._clock.wait_until(self._clock.now_s() + 0.05)
        self._inlets = [TextInlet(each) for each in found]

    def wait(self, exchange: str, wanted: str, send: Callable[[], object]) -> Mapping[str, Any]:
        """Return the reply with a key; ``send`` asks for it, again and again."""
        until_s, sent_s = self._clock.now_s() + REPLY_S, float("-inf")
        while (now_s := self._clock.now_s()) < until_s:
            if now_s - sent_s >= AGAIN_S:
                sent_s = now_s
                send()
            for inlet in self._inlets:
                for text, _ in inlet.pop(0.05, most=1):
                    reply = _read(text)
                    if reply.get("exchange") != exchange:
                        continue
                    if "refused" in reply:
                        raise WrongInput(f"the session did not pair: {str(reply['refused'])[:300]}")
                    if wanted in reply:
                        return reply
        raise StreamLost(f"the session did not answer in {REPLY_S:g} s; is it still running?")

    def close(self) -> None:
        for inlet in self._inlets:
            inlet.close()


def _read(text: str) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        if isinstance(document := json.loads(text), dict):
            return document
    return {}


def pair(uid: str, role: str, host: str, ask_code: Callable[[], str]) -> WindowKey:
    """Return the keys of a window, paired with its session by a code.

    Parameters
    ----------
    uid : str
        The session's.
    role, host : str
        What this window is, and this computer's name.
    ask_code : callable
        Returns what a person types; asked when the session is known to have made one.

    Raises
    ------
    WrongInput
        If the code is wrong, was used or is too old.
    StreamMissing, StreamLost
        If the session has made no code, or does not answer.
    """
    replies = _Replies(uid)
    outlet = None
    try:
        asker = Asker(ask_code(), uid, role, host)
        source_id = f"{messages.COMMANDS}-pair-{asker.exchange}"
        outlet = TextOutlet(messages.COMMANDS, "Commands", source_id, uid)

        def ask(content: Mapping[str, str], wanted: str) -> Mapping[str, Any]:
            text = Command("pair", content, role, uid).to_json()
            return replies.wait(asker.exchange, wanted, lambda: outlet.push(text))

        confirmed = asker.confirm(ask(asker.request(), "confirm"))
        return asker.open(ask(confirmed, "sealed"))
    finally:
        replies.close()
        if outlet is not None:
            outlet.close()
