"""Unblinding of one participant: two people, a reason, a record that is written before the arm is shown.

In: the folder of an allocation, a private key, who asks and why. Out: the arm of one participant. Kept: nothing; the
record is a log in the folder, in the order of the unblindings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofb.blinding.envelope_folder import (
    STUDY,
    UNBLINDED,
    Binding,
    append_log,
    bound_slot,
    open_slot,
    read_bindings,
    read_slots,
)
from neurofb.blinding.envelopes import Sealed
from neurofb.blinding.keys import PrivateKey
from neurofb.blinding.study_file import read_study, study_hash
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.folding import folded


@dataclass(frozen=True, slots=True)
class Unblinding:
    """Who was unblinded, by whom and why. Not the arm."""

    participant: str
    slot: int
    #: The two people, by name or initials.
    first: str
    second: str
    reason: str
    #: Whether the study's plan foresaw it.
    planned: bool
    #: Date and time, with the offset from UTC.
    date: str


def unblinding_words(document: Mapping[str, Any]) -> str:
    """Return an unblinding as a sentence without its full stop."""
    planned = "as planned" if document.get("planned") else "not planned"
    return (
        f"unblinded on {document.get('date')} by {document.get('first')} and {document.get('second')}, {planned}: "
        f"{document.get('reason')}"
    )


def slot_of(folder: Path, participant: str) -> Binding:
    """Return the slot of a participant.

    Raises
    ------
    UnknownName
        If they have none.
    """
    found = bound_slot(folder, participant)
    if found is None:
        codes = [binding.participant for binding in read_bindings(folder)]
        raise UnknownName(f"no envelope was opened for {participant!r}; {nearest(participant, codes)}")
    return found


def unblind(folder: Path, asked: Unblinding, key: PrivateKey) -> Sealed:
    """Record an unblinding and return what is in the one envelope.

    The envelope is opened before the record is written, so that a wrong key leaves none, and the record before anybody
    is told.

    Raises
    ------
    NeurofbError
        If a name or the reason is missing, both people are one, or the key does not open the envelope.
    """
    people = [" ".join(name.split()) for name in (asked.first, asked.second)]
    if not all(people) or folded(people[0]) == folded(people[1]):
        raise WrongInput(
            f"unblinding needs two people, found {people[0]!r} and {people[1]!r}; give both names or initials"
        )
    if not asked.reason.strip():
        raise WrongInput("unblinding needs a reason, as “serious adverse event”; it goes into the record")
    _, text = read_study(folder / STUDY)
    listed = next((each for each in read_slots(folder) if each.slot == asked.slot), None)
    sealed = open_slot(folder, listed, study_hash(text), key)
    document = dataclasses.asdict(dataclasses.replace(asked, first=people[0], second=people[1]))
    append_log(folder / UNBLINDED, lambda: document)
    return sealed
