"""The folder of an allocation: study file, list of slots without arms, envelopes, the statistician's sealed list, and
who has which slot.

In: what `allocation` drew and public keys; later a participant and a stratum. Out: the folder; the slot of a
participant, bound once and for all. Kept: nothing; each call reads the folder.

A binding is one entry of a log in ``bound/``, a file for each: written whole beside it, synced, and then given the next
number by a hard link, which fails if another program took that number first. So each entry is there whole or not at
all, whenever a program is killed, and two programs never bind one slot or one participant twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofb import limits
from neurofb.blinding.allocation import Person, Slot, draw_slots
from neurofb.blinding.envelopes import (
    MTIME_S,
    Sealed,
    decrypted,
    envelope_name,
    parse_envelope,
    read_envelope,
    write_envelope,
)
from neurofb.blinding.keys import PrivateKey, pyrage
from neurofb.blinding.study_file import StudyFile, read_study, study_hash
from neurofb.errors import RecordingFailed, UnknownFile, WrongFile, WrongInput
from neurofb.folding import folded

STUDY, SLOTS, LIST, BOUND, UNBLINDED = "study.toml", "slots.json", "list.age", "bound", "unblinded"
#: The list is padded to multiples of this, so that its length tells nothing of arms.
_LIST_STEP = 1 << 16
_MOST_LIST_BYTES = 1 << 26
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Recipients:
    """The public keys of a study: each opens every envelope; the list is for the statistician alone."""

    statistician: str
    emergency: str
    engine: str

    def __post_init__(self) -> None:
        """Refuse one key in two places: the engine's could then open the list."""
        if len({self.statistician, self.emergency, self.engine}) < 3:
            raise WrongInput(
                "statistician, emergency and engine need three different keys: who has the engine's or the emergency "
                "key must not be able to open the list; neurofb keys makes them"
            )


@dataclass(frozen=True, slots=True)
class ListedSlot:
    """A slot as everybody may see it."""

    slot: int
    stratum: str
    sha256: str
    #: Whose it is from the beginning, with minimisation.
    participant: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """Who has a slot."""

    participant: str
    slot: int
    stratum: str


# -- the statistician's side -----------------------------------------------------------------------------------------


def allocate(
    study_path: Path, folder: Path, keys: Recipients, people: Sequence[Person] = (), seed: str | None = None
) -> int:
    """Draw a study's slots from the operating system's entropy, and write the folder; return how many slots it has.

    Raises
    ------
    UnknownFile, WrongFile, WrongInput
        If something is wrong in the study, the folder is not empty, or it cannot be written.
    """
    study, text = read_study(study_path)
    if folder.exists() and any(folder.iterdir()):
        raise WrongInput(
            f"{folder} is not empty, and no allocation is overwritten; choose another folder with --out, or add slots "
            "to this one with --identity"
        )
    batch = _Batch(seed or secrets.token_hex(32), tuple(people))
    slots = draw_slots(study, batch.seed, batch.people)
    folder.mkdir(parents=True, exist_ok=True)
    _write_new(folder / STUDY, text.encode())
    _write_batches(folder, text, keys, [batch], slots, ())
    return len(slots)


def add_slots(folder: Path, keys: Recipients, identity: PrivateKey, people: Sequence[Person] = ()) -> int:
    """Draw more slots for an allocation, after those that it has; return how many were added."""
    document, slots = open_list(folder, identity)
    study, text = read_study(folder / STUDY)
    batches = [_Batch.of(each) for each in document["batches"]]
    batch = _Batch(secrets.token_hex(32), tuple(people))
    added = draw_slots(study, batch.seed, batch.people, slots)
    _write_batches(folder, text, keys, [*batches, batch], added, slots)
    return len(added)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one run of the drawing was made from."""

    seed: str
    people: tuple[Person, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> _Batch:
        return cls(document["seed"], tuple(Person(**each) for each in document["people"]))


def _write_batches(
    folder: Path,
    text: str,
    keys: Recipients,
    batches: Sequence[_Batch],
    new: Sequence[Slot],
    before: Sequence[Slot],
) -> None:
    """Write new envelopes, then the two lists that name them."""
    study, _ = read_study(folder / STUDY)
    sha256, listed = study_hash(text), list(read_slots(folder)) if before else []
    to = [keys.statistician, keys.emergency, keys.engine]
    for slot in new:
        sealed = Sealed(sha256, slot.slot, slot.stratum, slot.arm, slot.donor_seed, study.donor_pool_sha256)
        listed.append(
            ListedSlot(slot.slot, slot.stratum, write_envelope(folder, sealed, to), slot.participant)
        )
    document = {
        "format": _FORMAT,
        "study_sha256": sha256,
        "batches": [dataclasses.asdict(each) for each in batches],
        "slots": [dataclasses.asdict(each) for each in (*before, *new)],
    }
    content = json.dumps(document, ensure_ascii=False).encode()
    padded = content.ljust(-(-len(content) // _LIST_STEP) * _LIST_STEP)
    recipient = pyrage().x25519.Recipient.from_str(keys.statistician)
    _replace(folder / LIST, pyrage().encrypt(padded, [recipient]))
    public = {
        "format": _FORMAT,
        "study_sha256": sha256,
        "public_keys": to,
        "slots": [dataclasses.asdict(each) for each in listed],
    }
    _replace(folder / SLOTS, json.dumps(public, indent=1, ensure_ascii=False).encode())


def open_list(folder: Path, identity: PrivateKey) -> tuple[dict[str, Any], list[Slot]]:
    """Return the statistician's list: the document, and its slots with their arms.

    Raises
    ------
    UnknownFile, WrongFile
        If there is none, or this key does not open it.
    """
    path = folder / LIST
    try:
        content = limits.read_bytes(path, _MOST_LIST_BYTES)
    except FileNotFoundError:
        raise UnknownFile(f"no {path}; give the folder that neurofb allocate made") from None
    except OSError as error:
        raise WrongFile(f"{path} cannot be read: {error.strerror}") from None
    opened = decrypted(content, identity, path)
    try:
        document = json.loads(opened)
        slots = [Slot(**each) for each in document["slots"]]
    except (ValueError, KeyError, TypeError):
        raise WrongFile(f"{path} opens and is no list of an allocation") from None
    return document, slots


def verify(folder: Path, identity: PrivateKey) -> int:
    """Draw the list again from its seeds, open every envelope, and compare; return the number of slots.

    Raises
    ------
    WrongFile
        If study, list and envelopes are not of one piece; the first slot that differs is named, not its arm.
    """
    document, slots = open_list(folder, identity)
    study, text = read_study(folder / STUDY)
    if document["study_sha256"] != study_hash(text):
        raise WrongFile(f"{folder / STUDY} was changed since the allocation; take it as it was then")
    drawn: list[Slot] = []
    for batch in map(_Batch.of, document["batches"]):
        drawn += draw_slots(study, batch.seed, batch.people, drawn)
    if drawn != slots:
        raise WrongFile(f"{folder / LIST} is not what its seeds give; do not use this allocation")
    listed = {each.slot: each for each in read_slots(folder)}
    for slot in slots:
        sealed = open_slot(folder, listed.get(slot.slot), study_hash(text), identity)
        if (sealed.slot, sealed.stratum, sealed.arm, sealed.donor_seed) != (
            slot.slot,
            slot.stratum,
            slot.arm,
            slot.donor_seed,
        ):
            raise WrongFile(f"{folder / envelope_name(slot.slot)} is not what the list says; do not use it")
    return len(slots)


# -- the lab's side --------------------------------------------------------------------------------------------------


def read_slots(folder: Path) -> tuple[ListedSlot, ...]:
    """Return the slots without their arms.

    Raises
    ------
    UnknownFile, WrongFile
        If the folder is none of an allocation.
    """
    path = folder / SLOTS
    try:
        document = limits.parse_json(limits.read_text(path, limits.MOST_JSON_BYTES))
        return tuple(ListedSlot(**each) for each in document["slots"])
    except FileNotFoundError:
        raise UnknownFile(f"no {path}; give the folder that neurofb allocate made") from None
    except OSError as error:
        raise WrongFile(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise WrongFile(f"{path} is no list of slots; take the folder as the statistician sent it") from None


def read_public_keys(folder: Path) -> tuple[str, ...]:
    """Return the public keys that an allocation was sealed for: the statistician's, the emergency's, the engine's.

    Raises
    ------
    UnknownFile, WrongFile
        If the folder is none of an allocation, or its list names no keys.
    """
    read_slots(folder)
    document = limits.parse_json(limits.read_text(folder / SLOTS, limits.MOST_JSON_BYTES))
    keys = document.get("public_keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise WrongFile(
            f"{folder / SLOTS} names no public keys, which a session's sealed half needs; ask the statistician for the "
            "folder of neurofb allocate"
        )
    return tuple(keys)


def open_slot(folder: Path, listed: ListedSlot | None, study_sha256: str, key: PrivateKey) -> Sealed:
    """Return the content of a slot's envelope, which must be the one that the list of slots names."""
    if listed is None:
        raise WrongFile(f"a slot is missing in {folder / SLOTS}; take the folder as the statistician sent it")
    path = folder / envelope_name(listed.slot)
    content = read_envelope(path)
    sealed = parse_envelope(content, key, path)
    if sealed.study_sha256 != study_sha256:
        raise WrongFile(
            f"{path} was sealed for another study than {folder / STUDY}, or that file was changed"
        )
    if hashlib.sha256(content).hexdigest() != listed.sha256 or sealed.stratum != listed.stratum:
        raise WrongFile(f"{path} is not the envelope of {folder / SLOTS}; take the folder as it was sent")
    return sealed


def read_bindings(folder: Path) -> list[Binding]:
    """Return who has which slot, in the order in which they were bound."""
    return [Binding(**each) for each in read_log(folder / BOUND)]


def bound_slot(folder: Path, participant: str) -> Binding | None:
    """Return the slot that a participant has; None if there is none yet.

    Raises
    ------
    WrongInput
        If a code that differs only in its spelling has one.
    """
    found = next((b for b in read_bindings(folder) if folded(b.participant) == folded(participant)), None)
    if found is not None and found.participant != participant:
        raise WrongInput(
            f"the participant code {participant!r} is {found.participant!r} spelt another way, who has a slot; right "
            f"is --participant {found.participant}"
        )
    return found


def free_slot(folder: Path, study: StudyFile, participant: str, stratum: str) -> ListedSlot:
    """Return the slot that a participant who has none gets: their own, or the next free one of the stratum.

    Raises
    ------
    WrongInput
        If there is none.
    """
    listed, taken = read_slots(folder), {binding.slot for binding in read_bindings(folder)}
    if study.allocation.method == "minimise":
        own = next((each for each in listed if folded(each.participant) == folded(participant)), None)
        if own is None:
            raise WrongInput(
                f"{participant} has no envelope: with minimisation the statistician makes it after the person was "
                "enrolled (neurofb allocate … --people)"
            )
        if own.stratum != stratum:
            raise WrongInput(
                f"the envelope of {participant} is for {own.stratum}, and asked was {stratum}; tell the "
                "statistician"
            )
        return own
    inside = [each for each in listed if each.stratum == stratum]
    free = next((each for each in inside if each.slot not in taken), None)
    if free is None:
        raise WrongInput(
            f"all {len(inside)} slots of {stratum or 'the study'} are taken; the statistician adds more (neurofb "
            "allocate … --identity)"
        )
    return free


def bind(folder: Path, study: StudyFile, participant: str, stratum: str) -> Binding:
    """Return the slot of a participant, which is theirs from now on and for good.

    Raises
    ------
    WrongInput
        If no slot is free, or the participant has one of another stratum.
    RecordingFailed
        If it cannot be written.
    """

    def entry() -> Binding | dict[str, Any]:
        if (found := bound_slot(folder, participant)) is not None:
            return found
        slot = free_slot(folder, study, participant, stratum)
        return dataclasses.asdict(Binding(participant, slot.slot, slot.stratum))

    written = append_log(folder / BOUND, entry)
    found = written if isinstance(written, Binding) else Binding(**written)
    if found.stratum != stratum:
        raise WrongInput(
            f"{participant} has slot {found.slot} of {found.stratum}, not of {stratum}: which is right?"
        )
    return found


# -- a log whose entries are there whole or not at all -----------------------------------------------------------------


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of a log, in their order."""
    found: list[dict[str, Any]] = []
    while True:
        path = folder / f"{len(found) + 1:05d}.json"
        try:
            found.append(json.loads(limits.read_text(path, _LIST_STEP)))
        except FileNotFoundError:
            return found
        except (OSError, ValueError) as error:
            raise WrongFile(f"{path} cannot be read ({error}); bring it back from the backup") from None


def append_log(folder: Path, entry: Callable[[], Any]) -> Any:
    """Append what ``entry`` returns after it has seen all entries before; what is no mapping is returned as it is.

    It is asked again when another program was faster.
    """
    try:
        folder.mkdir(exist_ok=True)
        while True:
            number = len(read_log(folder)) + 1
            content = entry()
            if not isinstance(content, dict):
                return content
            whole = folder / f".{secrets.token_hex(8)}"
            _write_new(whole, json.dumps(content, ensure_ascii=False).encode())
            try:
                os.link(whole, folder / f"{number:05d}.json")
            except FileExistsError:
                continue
            finally:
                whole.unlink()
            _sync(folder)
            return content
    except OSError as error:
        if isinstance(error, RecordingFailed):
            raise
        raise RecordingFailed(
            f"{folder} cannot be written: {error.strerror}; it needs a disk with hard links, as those of Linux, macOS "
            "and Windows have"
        ) from None


def _write_new(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _replace(path: Path, content: bytes) -> None:
    """Write a file in one piece, with the time of all files of an allocation."""
    whole = path.with_name(f".{secrets.token_hex(8)}")
    _write_new(whole, content)
    os.utime(whole, (MTIME_S, MTIME_S))
    whole.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
