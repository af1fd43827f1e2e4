"""Signatures of the documents of a session: who may send which command, and which status is the engine's.

In: a session's secret, documents as JSON texts. Out: signed texts, and whether a signature is right. Kept: the highest
counter of each sender, and how many documents were refused.

A signed document is the JSON object with two keys more, ``counter`` and, as its very last, ``signature``: HMAC-SHA256
in hexadecimal over the stream's name, a line feed, and every byte of the text before ``, "signature"``. The bytes that
were signed are the bytes that are read, so no two programs need to agree on how JSON is written.

Keys are derived from one secret of a session by HMAC, one for each role and one for the engine: a participant's window
cannot speak as the operator. The secret itself never leaves the engine, and nothing here writes a key anywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from neurofb.errors import WrongFile, WrongInput
from neurofb.messages import COMMANDS, STOPS, Command

#: Who may send which commands, beside a stop, which anybody may. The participant's window cannot end a session in
#: order, nor do what only the person who watches may.
MAY: Mapping[str, frozenset[str]] = {
    "participant": frozenset({"rating", "button", "continue", "pause", "resume", "mark", "alive"}),
    "operator": frozenset(
        {"rating", "button", "continue", "pause", "resume", "mark", "end", "alive", "placed"}
    ),
    #: A program of the lab with the key file, such as an experiment in PsychoPy.
    "program": frozenset({"rating", "button", "continue", "pause", "resume", "mark", "end"}),
    "sound": frozenset({"alive"}),
}
#: Commands that need no signature: those that end or lower heat, and how a window asks for its key.
UNSIGNED = frozenset({*STOPS, "pair"})
KEY_BYTES = 32
_MARK = ', "signature": "'
_TAIL = len(_MARK) + 64 + len('"}')


def _derived(key: bytes, *words: str) -> bytes:
    return hmac.new(key, "\n".join(words).encode(), hashlib.sha256).digest()


def _signature(text: str, key: bytes, stream: str) -> str:
    return hmac.new(key, f"{stream}\n{text}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def sign(text: str, key: bytes, stream: str, counter: int) -> str:
    """Return a JSON object with its counter and signature added."""
    body = text.rstrip()
    if not body.endswith("}") or body == "{}":
        raise WrongInput(f"only a JSON object with keys can be signed; found {text[:80]!r}")
    body = f'{body[:-1]}, "counter": {counter}'
    return f'{body}{_MARK}{_signature(body, key, stream)}"}}'


def is_signed(text: str, key: bytes, stream: str) -> bool:
    """Return whether a document carries the signature of this key, for this stream."""
    body, tail = text[:-_TAIL], text[-_TAIL:]
    if not (body and tail.startswith(_MARK) and tail.endswith('"}')):
        return False
    found = tail[len(_MARK) : -2].encode("utf-8", "replace")
    return hmac.compare_digest(found, _signature(body, key, stream).encode())


@dataclass(frozen=True, slots=True)
class WindowKey:
    """The keys of one window: its own to sign commands with, and the engine's to check what it shows."""

    role: str
    own: bytes = field(repr=False)
    engine: bytes = field(repr=False)

    def to_line(self) -> str:
        """Return it as one line, for a pipe that only this window reads."""
        return f"{self.role} {self.own.hex()} {self.engine.hex()}\n"

    @classmethod
    def from_line(cls, line: str) -> WindowKey:
        """Return the key that a line holds.

        Raises
        ------
        WrongInput
            If it holds none; the message does not repeat the line, which may be a part of a key.
        """
        words = line.split()
        with contextlib.suppress(ValueError):
            if len(words) == 3 and words[0] in MAY:
                own, engine = bytes.fromhex(words[1]), bytes.fromhex(words[2])
                if len(own) == len(engine) == KEY_BYTES:
                    return cls(words[0], own, engine)
        raise WrongInput(
            "no key came through the pipe of the program that opened this window; expected: one line with role and two "
            "keys. Open the window with `neurofb run --screens`, or with --key-file"
        )


class SessionKey:
    """The keys of one session; only the engine has it.

    Parameters
    ----------
    uid : str
        The session's.
    secret : bytes, optional
        From a key file; left out: drawn anew.
    """

    def __init__(self, uid: str, secret: bytes | None = None) -> None:
        self._root = _derived(secrets.token_bytes(KEY_BYTES) if secret is None else secret, "session", uid)
        self.engine = _derived(self._root, "engine")

    def __repr__(self) -> str:
        return "SessionKey(…)"

    def own(self, role: str) -> bytes:
        """Return the key that commands of a role are signed with."""
        return _derived(self._root, "role", role)

    def window(self, role: str) -> WindowKey:
        """Return the keys that a window of a role needs."""
        return WindowKey(role, self.own(role), self.engine)


def read_key_file(path: Path, *, create: bool = False) -> bytes:
    """Return the secret in a key file, which both computers have.

    Parameters
    ----------
    path : Path
        Of a file with 64 hexadecimal digits, readable by its owner alone.
    create : bool
        Whether to make one with a new secret where there is none.

    Raises
    ------
    WrongFile
        If there is none, others may read it, or it holds something else.
    """
    try:
        if create:
            with contextlib.suppress(FileExistsError):
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(handle, "w", encoding="ascii") as file:
                    file.write(secrets.token_hex(KEY_BYTES) + "\n")
        # Not to wait for a writer where the path is a pipe.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            words = opened.read(1024) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise WrongFile(
            f"the key file {path} cannot be read: {error.strerror}. `neurofb run … --key-file {path}` makes one; copy "
            "it to the other computer by hand"
        ) from None
    if os.name == "posix" and mode & 0o077:
        raise WrongFile(
            f"others may read the key file {path}: its mode is {stat.S_IMODE(mode):04o}, expected: 0600. Run "
            f"chmod 600 {path}, or delete it and let `neurofb run` make a new one if others have read it"
        )
    with contextlib.suppress(ValueError):
        if len(secret := bytes.fromhex(words.decode("ascii"))) == KEY_BYTES:
            return secret
    raise WrongFile(f"{path} is no key file; expected: {2 * KEY_BYTES} hexadecimal digits and nothing else")


class Signer:
    """Signs the documents of one sender on one stream, each with a higher counter."""

    def __init__(self, key: bytes, stream: str) -> None:
        self._key, self._stream, self._counter = key, stream, 0
        self._lock = threading.Lock()

    def sign(self, text: str) -> str:
        """Return a JSON object with the next counter and its signature."""
        with self._lock:
            self._counter += 1
            return sign(text, self._key, self._stream, self._counter)


class EngineVoice:
    """Tells the documents of the engine on one stream from those of others.

    ``n_refused`` counts those that were not signed by it, ``n_repeated`` those that it had sent before.
    """

    def __init__(self, key: bytes, stream: str) -> None:
        self._key, self._stream, self._highest = key, stream, 0
        self.n_refused = self.n_repeated = 0

    def is_genuine(self, text: str) -> bool:
        """Return whether the engine has signed a document that it had not sent before."""
        if not is_signed(text, self._key, self._stream):
            self.n_refused += 1
            return False
        counter = json.loads(text)["counter"]
        if counter <= self._highest:
            self.n_repeated += 1
            return False
        self._highest = counter
        return True


@dataclass(slots=True)
class Refused:
    """Documents that were refused for one reason since they were told last."""

    reason: str
    #: The first of them, as it came.
    asked: str
    n: int = 1


class Refusals:
    """What was refused and is not told yet, by reason."""

    #: So many reasons are kept apart; what comes beyond counts as the last of them.
    MOST_REASONS = 8

    def __init__(self) -> None:
        self._by_reason: dict[str, Refused] = {}

    def __bool__(self) -> bool:
        return bool(self._by_reason)

    def add(self, refused: Refused) -> None:
        """Add documents that were refused for one reason."""
        known = self._by_reason.get(refused.reason)
        if known is None and len(self._by_reason) >= self.MOST_REASONS:
            known = next(reversed(self._by_reason.values()))
        if known is None:
            self._by_reason[refused.reason] = refused
        else:
            known.n += refused.n

    def pop(self) -> list[Refused]:
        """Return what was added since the last call."""
        refused, self._by_reason = list(self._by_reason.values()), {}
        return refused


class CommandGate:
    """Lets the commands of one session through: signed, each once, in the order in which their sender sent them.

    Called from the thread that receives, so that a flood costs the engine's thread nothing.

    Parameters
    ----------
    uid : str
        The session's.
    key : SessionKey or None
        None trusts the network: whatever is a command of this session passes.
    """

    def __init__(self, uid: str, key: SessionKey | None) -> None:
        self._uid = uid
        self._keys = None if key is None else {role: key.own(role) for role in MAY}
        self._highest: dict[tuple[str, str], int] = {}
        self._refused = Refusals()
        self._lock = threading.Lock()

    def admit(self, text: str) -> Command | None:
        """Return the command in a document, or None: it is for another session, or refused, which is counted."""
        try:
            command = Command.read(text)
            if command.session not in ("", self._uid):
                return None
            if self._keys is not None and command.name not in UNSIGNED:
                self._check(command, text, self._keys)
        except WrongInput as error:
            self.refuse(str(error), text)
            return None
        return command

    def refuse(self, reason: str, text: str) -> None:
        """Count a document as refused, also one that was let through and cannot be taken."""
        with self._lock:
            self._refused.add(Refused(reason, text))

    def pop_refused(self) -> list[Refused]:
        """Return what was refused since the last call, by reason."""
        with self._lock:
            return self._refused.pop()

    def _check(self, command: Command, text: str, keys: Mapping[str, bytes]) -> None:
        """Refuse a command without the right signature, that was sent before, or that its sender may not send."""
        key = keys.get(command.by)
        is_right = key is not None and is_signed(text, key, COMMANDS)
        if not is_right and command.name == "alive":
            raise WrongInput(
                "a window without this session's key is open: it counts as no view, and only its stop is obeyed. Open "
                "it with the key w at the session's terminal, or with --key-file"
            )
        if not is_right:
            raise WrongInput(
                f"the command {command.name!r} is not signed by a window of this session: somebody else on the network "
                "sends commands, or a window was opened without --key-file. A stop needs no signature"
            )
        sender = (command.by, command.sender)
        if command.counter <= self._highest.get(sender, 0):
            raise WrongInput(
                f"the command {command.name!r} was sent before: somebody on the network sends a window's commands again"
            )
        self._highest[sender] = command.counter
        if command.name not in MAY[command.by]:
            may = ", ".join(sorted(MAY[command.by]))
            raise WrongInput(
                f"the window {command.by!r} may not send {command.name!r}; it may send: {may}, stop"
            )
