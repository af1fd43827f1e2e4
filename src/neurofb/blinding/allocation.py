"""Draws the list of an allocation: permuted blocks, simple, or minimisation after Pocock and Simon.

In: a study, a seed from the operating system, for minimisation the people. Out: slots with their arms. Kept: nothing.

Numbers come from SHA-256 over seed, words and a counter, so that a list can be drawn again from its seed by any
program, on any computer, in ten years.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurofb.blinding.study_file import StudyArm, StudyFile
from neurofb.errors import WrongInput
from neurofb.folding import folded

_WORD = 8
_TOP = 1 << (8 * _WORD)


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the list. Its representation does not show the arm."""

    slot: int
    stratum: str
    arm: str = field(repr=False)
    donor_seed: int = field(repr=False)
    #: Whose it is from the beginning, with minimisation; "" for the next in the stratum.
    participant: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to be allocated by minimisation."""

    participant: str
    stratum: str


class Draws:
    """Random numbers of a seed, each stream named by words."""

    def __init__(self, seed: str, *words: str) -> None:
        self._prefix = "\n".join((seed, *words)).encode()
        self._counter = 0
        self._left = b""

    def below(self, n: int) -> int:
        """Return a whole number from 0 to below ``n``, each equally likely."""
        while True:
            if not self._left:
                self._left = hashlib.sha256(self._prefix + b"\n%d" % self._counter).digest()
                self._counter += 1
            word, self._left = int.from_bytes(self._left[:_WORD], "big"), self._left[_WORD:]
            if word < _TOP - _TOP % n:  # the rest would make small numbers likelier
                return word % n

    def share(self) -> float:
        """Return a number from 0 to below 1."""
        return self.below(1 << 53) / (1 << 53)

    def shuffle(self, items: list[str]) -> None:
        """Bring a list into a random order."""
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]


def draw_slots(
    study: StudyFile, seed: str, people: Sequence[Person] = (), earlier: Sequence[Slot] = ()
) -> list[Slot]:
    """Return the slots of one batch.

    Parameters
    ----------
    study : StudyFile
    seed : str
        Hexadecimal digits from the operating system.
    people : sequence of Person
        For minimisation, in the order in which they were enrolled.
    earlier : sequence of Slot
        Those of earlier batches: numbers go on after them, and minimisation counts them.

    Raises
    ------
    WrongInput
        If people are given for another method, none for minimisation, or one a second time.
    """
    method = study.allocation.method
    if (method == "minimise") != bool(people):
        raise WrongInput(
            f"method {method!r} "
            + (
                "needs people and their factors: give --people"
                if method == "minimise"
                else "takes no --people"
            )
        )
    _check_people(people, earlier)
    if method == "minimise":
        placed = _minimised(study, Draws(seed, "minimise"), people, earlier)
    else:
        placed = [
            (stratum, arm, "")
            for stratum in study.all_strata
            for arm in _stratum_arms(study, Draws(seed, method, stratum))
        ]
    donors = Draws(seed, "donors")
    first = len(earlier) + 1
    return [
        Slot(first + i, stratum, arm, donors.below(1 << 31), who)
        for i, (stratum, arm, who) in enumerate(placed)
    ]


def _check_people(people: Sequence[Person], earlier: Sequence[Slot]) -> None:
    known = {folded(slot.participant) for slot in earlier if slot.participant}
    for person in people:
        if folded(person.participant) in known:
            raise WrongInput(f"{person.participant} stands there twice or has a slot; a person gets one")
        known.add(folded(person.participant))


def _stratum_arms(study: StudyFile, draws: Draws) -> list[str]:
    """Return the arms of a stratum's slots in their order."""
    plan = study.allocation
    assert plan.slots is not None  # the study file was checked
    once = [arm.id for arm in study.arms for _ in range(arm.ratio)]
    if plan.method == "simple":
        return [once[draws.below(len(once))] for _ in range(plan.slots)]
    found: list[str] = []
    while len(found) < plan.slots:
        block = once * (plan.block_sizes[draws.below(len(plan.block_sizes))] // len(once))
        draws.shuffle(block)
        found += block
    return found


def _minimised(
    study: StudyFile, draws: Draws, people: Sequence[Person], earlier: Sequence[Slot]
) -> list[tuple[str, str, str]]:
    """Return stratum, arm and participant of each person, one after another."""
    counts: dict[str, dict[str, int]] = {}
    for slot in earlier:
        _count(counts, study.arms, slot.stratum, slot.arm)
    found = []
    for person in people:
        arm = _preferred(study, draws, counts, person.stratum)
        _count(counts, study.arms, person.stratum, arm)
        found.append((person.stratum, arm, person.participant))
    return found


def _count(counts: dict[str, dict[str, int]], arms: Sequence[StudyArm], stratum: str, arm: str) -> None:
    for level in stratum.split("/"):
        counts.setdefault(level, {each.id: 0 for each in arms})[arm] += 1


def _preferred(study: StudyFile, draws: Draws, counts: Mapping[str, Mapping[str, int]], stratum: str) -> str:
    """Return the arm of the next person: the one that balances best with the probability of the biased coin."""
    arms = [arm.id for arm in study.arms]
    spread = [
        sum(
            _spread([counts.get(level, {}).get(each, 0) + (each == arm) for each in arms], study)
            for level in stratum.split("/")
        )
        for arm in arms
    ]
    best = [arm for arm, value in zip(arms, spread, strict=True) if value <= min(spread) + 1e-9]
    others = [arm for arm in arms if arm not in best]
    if others and draws.share() >= study.allocation.biased_coin:
        return others[draws.below(len(others))]
    return best[draws.below(len(best))]


def _spread(numbers: Sequence[int], study: StudyFile) -> float:
    """Return how far the numbers of a level are from equal, with the measure of the study."""
    if study.allocation.imbalance == "range":
        return max(numbers) - min(numbers)
    mean = sum(numbers) / len(numbers)
    return math.sqrt(sum((n - mean) ** 2 for n in numbers) / (len(numbers) - 1))
