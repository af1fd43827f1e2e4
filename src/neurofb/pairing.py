"""Pairing of a window on another computer by a short code that a person reads out: SPAKE2, both sides confirmed.

In: a code of six digits, documents of the other side. Out: documents, and in the end the keys of a window. Kept: the
code while it is valid, its tries, and the exchanges that were begun with it.

The code never leaves either side. SPAKE2 turns it into a key that only two sides with the same code share; who listens,
replays or sits in between learns nothing by which a code could be guessed later, and who guesses spends a try for each
guess. Session, role, computer and both messages are bound into what is confirmed, so that no changed document passes.

======= ======== ======================================================================
step    from     document
======= ======== ======================================================================
1       window   ``exchange``, ``host``, ``message``: its message of SPAKE2
2       session  ``exchange``, ``message``, ``confirm``: its own, and that it has the key
3       window   ``exchange``, ``confirm``: that it has the key
4       session  ``exchange``, ``sealed``: the window's keys, encrypted and authenticated
======= ======== ======================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from neurofb.errors import WrongInput
from neurofb.signing import SessionKey, WindowKey

#: With ``TRIES`` a guesser succeeds with 3 in a million codes. Assumed: what a person reads out without a mistake.
DIGITS = 6
#: Assumed: the way to another room, and opening a terminal there.
VALID_S = 300.0
TRIES = 3
#: Who may pair: windows and the sound, not programs of others.
ROLES = ("operator", "participant", "sound")
#: Longer names of computers are cut.
_LONGEST_HOST = 64
#: A sealing key is used once, so that its number may be a constant one.
_NONCE = bytes(12)


def _spake2() -> Any:
    try:
        import spake2
    except ImportError:
        raise _missing("spake2") from None
    return spake2


def _aead() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers import aead
    except ImportError:
        raise _missing("cryptography") from None
    return aead


def _missing(package: str) -> WrongInput:
    return WrongInput(
        f"pairing needs the package {package}, which is not installed: pip install 'neurofb[network]'. A key file "
        "needs none: --key-file"
    )


def check_installed() -> None:
    """Check that the extra ``network`` is installed.

    Raises
    ------
    WrongInput
        If it is not.
    """
    _spake2(), _aead()


def new_code() -> str:
    """Return a code, drawn by the system's generator."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}"


def read_code(words: str) -> str:
    """Return the code that a person typed, spaces left out.

    Raises
    ------
    WrongInput
        If it is none.
    """
    code = "".join(words.split())
    if len(code) != DIGITS or not (code.isascii() and code.isdigit()):
        raise WrongInput(
            f"a code has {DIGITS} digits; found {len(code)} letters. The key k at the session's terminal makes one"
        )
    return code


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom an exchange is with: the session, the window's role and its computer, as the window says."""

    uid: str
    role: str
    host: str
    exchange: str

    def names(self) -> tuple[bytes, bytes]:
        """Return the names of window and session for SPAKE2."""
        bound = "\n".join(("neurofb pairing 1", self.uid, self.role, self.exchange, self.host))
        return f"window\n{bound}".encode(), f"session\n{bound}".encode()


class _Keys:
    """What both sides make of the key that SPAKE2 gave them."""

    def __init__(self, shared: bytes, peer: Peer, window_message: bytes, session_message: bytes) -> None:
        transcript = hashlib.sha256()
        for part in (*peer.names(), window_message, session_message):
            transcript.update(hashlib.sha256(part).digest())
        self._shared, self._transcript = shared, transcript.digest()

    def _derived(self, word: str) -> bytes:
        return hmac.new(self._shared, word.encode() + b"\n" + self._transcript, hashlib.sha256).digest()

    def confirmation(self, side: str) -> str:
        """Return what shows that a side, ``window`` or ``session``, has the key."""
        return self._derived(f"confirm {side}").hex()

    def is_confirmed(self, side: str, found: str) -> bool:
        """Return whether a confirmation is right."""
        return hmac.compare_digest(found.encode("utf-8", "replace"), self.confirmation(side).encode())

    def _cipher(self) -> Any:
        return _aead().ChaCha20Poly1305(self._derived("seal"))

    def seal(self, line: str) -> str:
        return str(self._cipher().encrypt(_NONCE, line.encode(), self._transcript).hex())

    def unseal(self, sealed: str) -> str:
        """Return what was sealed; anything else raises, by whatever the libraries raise."""
        return str(self._cipher().decrypt(_NONCE, bytes.fromhex(sealed), self._transcript).decode())


def _finished(side: Any, message: str, otherwise: str) -> tuple[bytes, bytes]:
    """Return the shared key and the other side's message as bytes."""
    try:
        received = bytes.fromhex(message)
        return bytes(side.finish(received)), received
    except (
        Exception
    ):  # the library raises its own kinds, ValueError and AssertionError for what is no message
        raise WrongInput(otherwise) from None


class Asker:
    """The window's side of one exchange.

    Parameters
    ----------
    code : str
        As the operator read it out.
    uid, role, host : str
        The session, what this window is, and this computer's name.
    """

    def __init__(self, code: str, uid: str, role: str, host: str) -> None:
        self._peer = Peer(uid, role, host[:_LONGEST_HOST], secrets.token_hex(16))
        window, session = self._peer.names()
        self._side = _spake2().SPAKE2_A(read_code(code).encode(), idA=window, idB=session)
        self._message: bytes = self._side.start()
        self._keys: _Keys | None = None

    @property
    def exchange(self) -> str:
        """The number of this exchange."""
        return self._peer.exchange

    def request(self) -> dict[str, str]:
        """Return step 1."""
        return {"exchange": self.exchange, "host": self._peer.host, "message": self._message.hex()}

    def confirm(self, reply: Mapping[str, Any]) -> dict[str, str]:
        """Return step 3, if step 2 comes from a session with the same code.

        Raises
        ------
        WrongInput
            If it does not.
        """
        wrong = (
            "the session has another code than was typed, or somebody on the network answered in its place. Each try "
            "counts: ask the operator for the code once more, or for a new one (key k at the session's terminal)"
        )
        shared, received = _finished(self._side, str(reply.get("message", "")), wrong)
        keys = _Keys(shared, self._peer, self._message, received)
        if not keys.is_confirmed("session", str(reply.get("confirm", ""))):
            raise WrongInput(wrong)
        self._keys = keys
        return {"exchange": self.exchange, "confirm": keys.confirmation("window")}

    def open(self, reply: Mapping[str, Any]) -> WindowKey:
        """Return the keys in step 4.

        Raises
        ------
        WrongInput
            If they are not from the session, or not for this window.
        """
        wrong = "the answer of the session was changed on its way; ask the operator for a new code (key k)"
        if self._keys is None:
            raise WrongInput(wrong)
        try:
            key = WindowKey.from_line(self._keys.unseal(str(reply.get("sealed", ""))))
        except Exception:  # cryptography's own kinds, and those of bytes and texts
            raise WrongInput(wrong) from None
        if key.role != self._peer.role:
            raise WrongInput(wrong)
        return key


def _counted(n_tries: int) -> str:
    return {0: "no try is", 1: "1 try is"}.get(n_tries, f"{n_tries} tries are")


@dataclass(slots=True)
class _Exchange:
    peer: Peer
    keys: _Keys = field(repr=False)
    request: str
    #: Sent again where the request comes again.
    reply: dict[str, str]
    sealed: dict[str, str] | None = None


class Pairing:
    """The session's side: one code at a time.

    Parameters
    ----------
    uid : str
        The session's.
    key : SessionKey
    tell : callable
        Takes a sentence for terminal and record about each request and how it ended; never the code.
    """

    def __init__(self, uid: str, key: SessionKey, tell: Callable[[str], object]) -> None:
        self._uid, self._key, self._tell = uid, key, tell
        self._code = ""
        self._until_s, self._n_left = 0.0, 0
        self._exchanges: dict[str, _Exchange] = {}

    def new_code(self, now_s: float) -> str:
        """Return a new code, valid from now on in place of the one before.

        Raises
        ------
        WrongInput
            If what pairing needs is not installed.
        """
        check_installed()
        self._code, self._until_s, self._n_left = new_code(), now_s + VALID_S, TRIES
        self._exchanges.clear()
        return self._code

    def code(self, now_s: float) -> str:
        """Return the code that is valid; empty if none is."""
        return self._code if self._code and now_s < self._until_s and self._n_left > 0 else ""

    def hear(self, role: str, content: Mapping[str, Any], now_s: float) -> dict[str, str]:
        """Return the reply to step 1 or 3; one with ``refused`` says why there is no other."""
        number = str(content.get("exchange", ""))[:_LONGEST_HOST]
        try:
            if "confirm" in content:
                reply = self._confirmed(number, str(content["confirm"]), now_s)
            else:
                reply = self._answered(number, role, content, now_s)
        except WrongInput as error:
            reply = {"refused": str(error)}
        return {"exchange": number, "session": self._uid, **reply}

    def _answered(self, number: str, role: str, content: Mapping[str, Any], now_s: float) -> dict[str, str]:
        message = str(content.get("message", ""))
        known = self._exchanges.get(number)
        if known is not None and known.request == message:
            return known.reply
        code = self.code(now_s)
        if not code:
            raise WrongInput("no code is valid; the key k at the session's terminal makes one")
        if role not in ROLES:
            raise WrongInput(f"{role[:40]!r} cannot pair; those who can: {', '.join(ROLES)}")
        self._n_left -= 1
        peer = Peer(self._uid, role, str(content.get("host", ""))[:_LONGEST_HOST], number)
        self._tell(f"a window asks to pair: {role} on {peer.host!r}; {_counted(self._n_left)} left")
        window, session = peer.names()
        side = _spake2().SPAKE2_B(code.encode(), idA=window, idB=session)
        own: bytes = side.start()
        shared, received = _finished(side, message, "this is no message of the pairing")
        keys = _Keys(shared, peer, received, own)
        reply = {"message": own.hex(), "confirm": keys.confirmation("session")}
        self._exchanges[number] = _Exchange(peer, keys, message, reply)
        return reply

    def _confirmed(self, number: str, confirmation: str, now_s: float) -> dict[str, str]:
        found = self._exchanges.get(number)
        if found is None or not found.keys.is_confirmed("window", confirmation):
            raise WrongInput("the code was another one, or the exchange was changed on its way")
        if found.sealed is not None:
            return found.sealed
        if not self._code or now_s >= self._until_s:
            raise WrongInput("the code is not valid any more; the key k at the session's terminal makes one")
        self._code = ""
        self._exchanges = {number: found}
        found.sealed = {"sealed": found.keys.seal(self._key.window(found.peer.role).to_line())}
        self._tell(f"paired: {found.peer.role} on {found.peer.host!r} has its key; the code is spent")
        return found.sealed
