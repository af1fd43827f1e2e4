"""A sealed envelope for each slot of an allocation: an age file that several keys open, each alone.

In: what one slot gets, public keys. Out: files that do not differ in size, time or kind of name. Kept: nothing.

Inside is a JSON object, padded with spaces to `PLAIN_BYTES`, since the length of what is sealed shows from outside.
The library adds a stanza of random length to the header of each age file, so a file is sealed again until it has
`file_bytes`. An envelope is not signed: who has the public keys can make another; the statistician's list tells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neurofb import limits
from neurofb.blinding.keys import PrivateKey, pyrage
from neurofb.errors import NeurofbError, UnknownFile, WrongFile, WrongInput

#: Of what is sealed, padded.
PLAIN_BYTES = 512
#: Of an age file with so many recipients: one of the likeliest sizes, and a stanza for each recipient.
_FILE_BYTES, _RECIPIENTS, _STANZA_BYTES = 1010, 3, 98
#: One in a hundred has the size that is wanted.
_MOST_TRIES = 20_000
#: Bytes of an envelope at most (assumed).
_MOST_BYTES = 20_000
#: The time that all envelopes have as their last change: 1980-01-01, the earliest that zip files can hold.
MTIME_S = 315_532_800
_VERSION = 1
_NAME = re.compile(r"slot-(\d{3,})\.age")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Sealed:
    """The content of one envelope. Its representation does not show the arm."""

    #: Of the study file's text, so that no envelope of another study is taken.
    study_sha256: str
    #: Its number, from 1.
    slot: int
    #: As "site=A/sex=f"; "" for a study without strata.
    stratum: str
    #: The arm's id in the protocol.
    arm: str = field(repr=False)
    #: Draws the donor of a sham arm; there in all arms, so that no arm has more in its envelope.
    donor_seed: int = field(default=0, repr=False)
    #: Of the frozen pool of donors; "" for a study without one.
    donor_pool_sha256: str = ""


def envelope_name(slot: int) -> str:
    """Return the name of a slot's file."""
    return f"slot-{slot:03d}.age"


def file_bytes(n_recipients: int) -> int:
    """Return the size of an envelope that so many keys open."""
    return _FILE_BYTES + (n_recipients - _RECIPIENTS) * _STANZA_BYTES


def envelope_bytes(sealed: Sealed, public_keys: Sequence[str]) -> bytes:
    """Return an envelope.

    Raises
    ------
    WrongInput
        If its content is longer than an envelope.
    """
    content = json.dumps({"v": _VERSION, **dataclasses.asdict(sealed)}, ensure_ascii=False).encode()
    if len(content) > PLAIN_BYTES:
        raise WrongInput(
            f"slot {sealed.slot} has {len(content)} bytes to seal and an envelope holds {PLAIN_BYTES}; give strata "
            "shorter names"
        )
    library = pyrage()
    recipients = [library.x25519.Recipient.from_str(key) for key in public_keys]
    wanted = file_bytes(len(recipients))
    for _ in range(_MOST_TRIES):
        file: bytes = library.encrypt(content.ljust(PLAIN_BYTES), recipients)
        if len(file) == wanted:
            return file
    raise NeurofbError(
        f"this version of the library pyrage makes no envelopes of {wanted} bytes, and sizes that differ may tell "
        "arms apart; install pyrage 1.4"
    )


def write_envelope(folder: Path, sealed: Sealed, public_keys: Sequence[str]) -> str:
    """Write an envelope into a folder and return its SHA-256.

    Raises
    ------
    WrongInput
        If it exists, or cannot be written.
    """
    path, content = folder / envelope_name(sealed.slot), envelope_bytes(sealed, public_keys)
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o444)
        os.utime(path, (MTIME_S, MTIME_S))
    except OSError as error:
        raise WrongInput(f"the envelope {path} cannot be written: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()


def read_envelope(path: Path) -> bytes:
    """Return an envelope as it is, closed.

    Raises
    ------
    UnknownFile, WrongFile
        If there is none, or it cannot be one.
    """
    try:
        return limits.read_bytes(path, _MOST_BYTES)
    except FileNotFoundError:
        raise UnknownFile(f"no envelope {path}; a folder of neurofb allocate has one for each slot") from None
    except OSError as error:
        raise WrongFile(f"the envelope {path} cannot be read: {error.strerror}") from None


def open_envelope(path: Path, key: PrivateKey) -> Sealed:
    """Return the content of an envelope.

    Parameters
    ----------
    path : Path
        Of the file; a name as ``slot-017.age`` must be that of the slot inside.
    key : PrivateKey
        One of those it was sealed for.

    Raises
    ------
    UnknownFile
        If there is no such file.
    WrongFile
        If one bit of it was changed, it was sealed for other keys, or it belongs to another slot. No message has
        anything of its content.
    """
    return parse_envelope(read_envelope(path), key, path)


def parse_envelope(content: bytes, key: PrivateKey, path: Path) -> Sealed:
    """Return the content of an envelope that was read from a path before, as `open_envelope` does."""
    sealed = _parsed(decrypted(content, key, path), path)
    named = _NAME.fullmatch(path.name)
    if named is not None and int(named[1]) != sealed.slot:
        raise WrongFile(
            f"the envelope {path} is that of another slot: files were renamed or exchanged; take the folder as the "
            "statistician sent it"
        )
    return sealed


def decrypted(content: bytes, key: PrivateKey, path: Path) -> bytes:
    """Return what an age file holds, whole and unchanged, or refuse it as `open_envelope` does."""
    if not content.startswith(b"age-encryption.org/v1\n"):
        raise WrongFile(f"{path} is no age file; expected: one that neurofb allocate made, unchanged")
    try:
        opened: bytes = pyrage().decrypt(content, [key.identity])
    except NeurofbError:
        raise
    except Exception:
        raise WrongFile(
            f"{path} cannot be opened: it was sealed for other keys than {key.public}, or was changed or damaged since "
            "(one bit is enough); take the file as the statistician sent it, and the key that was named to them"
        ) from None
    return opened


def _parsed(content: bytes, path: Path) -> Sealed:
    """Return the checked content; the padding has one length."""
    found: dict[str, Any] = {}
    if len(content) == PLAIN_BYTES:
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(content)
    names = [each.name for each in dataclasses.fields(Sealed)]
    if isinstance(found, dict) and found.pop("v", None) == _VERSION and sorted(found) == sorted(names):
        sealed = Sealed(**found)
        if _is_valid(sealed):
            return sealed
    raise WrongFile(
        f"{path} opens and holds no slot of an allocation; expected: an envelope of neurofb allocate, format {_VERSION}"
    )


def _is_valid(sealed: Sealed) -> bool:
    numbers = (sealed.slot, sealed.donor_seed)
    texts = (sealed.stratum, sealed.arm, sealed.study_sha256, sealed.donor_pool_sha256)
    return (
        all(type(each) is int for each in numbers)
        and all(type(each) is str for each in texts)
        and sealed.slot >= 1
        and sealed.donor_seed >= 0
        and bool(sealed.arm)
        and _HASH.fullmatch(sealed.study_sha256) is not None
    )
