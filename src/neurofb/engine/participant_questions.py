"""What a person should confirm about the participant's code, and about the probe, before a session starts.

In: what was asked for, the dataset, the account of the skin. Out: questions, each with the option that answers it in
advance. Nothing is asked of a simulated session: nobody sits there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from neurofb.engine.earlier_dose import run_folders
from neurofb.engine.planning import Asked
from neurofb.engine.sealed_arm import SealedArm
from neurofb.folding import folded
from neurofb.protocol.study import name_question
from neurofb.recording.skin_account import AccountEntry, entries_of
from neurofb.stimulation.thermode_file import ThermodeFile


@dataclass(frozen=True, slots=True)
class Question:
    """Something to be confirmed."""

    #: The facts, as a sentence without its full stop.
    facts: str
    #: What is to be confirmed, as a question.
    question: str
    #: The option of ``neurofb run`` that confirms it.
    option: str

    @property
    def refusal(self) -> str:
        """The error where nobody can be asked."""
        return f"{self.facts}. {self.question} If so, add {self.option}; otherwise change the code or the session"


def probe_question(asked: Asked, thermode: ThermodeFile | None) -> Question | None:
    """Return what is to be confirmed before a real thermode tests itself, in every session; None where none does."""
    if thermode is None or asked.probe_is_off:
        return None
    return Question(
        f"the {thermode.title} tests itself before the session, and moves its temperature; {thermode.outlives()}",
        "Is the probe off the skin?",
        "--probe-is-off",
    )


def envelope_question(sealed_arm: SealedArm | None, asked: Asked) -> Question | None:
    """Return what is to be confirmed before a participant gets a slot, which is theirs for good."""
    if sealed_arm is None or sealed_arm.is_bound or asked.enrol or asked.simulate:
        return None
    where = f" of {sealed_arm.stratum}" if sealed_arm.stratum else ""
    return Question(
        f"the code {asked.participant!r} has no envelope yet and gets slot {sealed_arm.slot}{where} for good",
        "Is it a new participant, with consent, eligible, and with a complete baseline?",
        "--enrol",
    )


def questions(asked: Asked, session: str, entries: Sequence[AccountEntry]) -> Iterator[Question]:
    """Return what is to be confirmed and is not yet."""
    if asked.simulate:
        return
    about_name = name_question(asked.participant)
    if about_name and not asked.code_is_no_name:
        yield Question(about_name, "Is it a pseudonym, and no part of a name?", "--code-is-no-name")
    mine = entries_of(list(entries), asked.participant)
    here = str(asked.data.resolve())
    elsewhere = [entry for entry in mine if entry.dataset != here]
    if elsewhere and len(elsewhere) == len(mine) and not asked.same_person:
        last = elsewhere[-1]
        yield Question(
            f"the participant code {asked.participant!r} is new in {asked.data} and known from {last.dataset} "
            f"({last.date[:10] or 'no date'})",
            "Is it the same person, whose skin keeps its account?",
            "--same-person",
        )
    before = [
        run.path.name
        for run in run_folders(asked.data)
        if _is_same(run.participant, run.session, asked, session)
    ]
    if before and not asked.again:
        yield Question(
            f"participant {asked.participant!r} had session {session!r} before: {before[-1]}",
            "Is it to be run again?",
            "--again",
        )


def _is_same(participant: str, label: str, asked: Asked, session: str) -> bool:
    return (folded(participant), folded(label)) == (folded(asked.participant), folded(session))
