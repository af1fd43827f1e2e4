"""Blinding guesses of recorded sessions, counted by guess and arm.

In: recordings, and perhaps who had which arm. Out: a `GuessTable` for each question and each time it was asked. Kept:
nothing. What a guess could be stands in the protocol beside the recording; the arm is in no recording.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofb import limits
from neurofb.blinding.envelope_folder import open_list, read_bindings
from neurofb.blinding.indices import BlindingIndices, blinding_indices
from neurofb.blinding.keys import PrivateKey
from neurofb.errors import UnknownFile, WrongFile, WrongInput
from neurofb.folding import folded
from neurofb.protocol.design import read_protocol
from neurofb.protocol.ratings import GUESS, GUESS_PARTS, Scale
from neurofb.recording.session_recording import SessionRecording

#: Where a list of arms may end (assumed): far more than a study has sessions.
_MOST_LIST_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Guess:
    """One person's answer about one participant, at one time."""

    participant: str
    session: str
    phase: str
    #: Name of the scale, and who was asked.
    scale: str
    who: str
    #: The arms that could be guessed, in the protocol's order, and the words for them.
    conditions: Mapping[str, str]
    is_answered: bool
    #: The arm; None if it was not answered, or with "I do not know".
    arm: str | None
    #: 0–100; None without an answer.
    certainty: float | None
    why: str


@dataclass(frozen=True, slots=True)
class GuessTable:
    """The guesses of one question at one time, from each participant one."""

    who: str
    session: str
    phase: str
    scale: str
    conditions: Mapping[str, str]
    #: Guesses by arm that was guessed, in the order of ``conditions``, and the last: did not know.
    guessed: tuple[int, ...]
    #: People who were asked and did not answer, and who answered and have no known arm.
    n_unanswered: int
    n_without_arm: int
    #: Mean certainty of those who named an arm, 0–100; None if nobody said.
    certainty: float | None
    #: ``guessed`` for each arm that people had; None where arms are not known.
    counts: Mapping[str, tuple[int, ...]] | None
    indices: BlindingIndices | None


def read_guesses(recording: SessionRecording) -> list[Guess]:
    """Return the guesses of a session, answered or not, in the order in which they were asked.

    Raises
    ------
    WrongFile
        If an answer is none that the protocol beside the recording has.
    """
    scales = _guess_scales(recording)
    asked: dict[tuple[str, str], dict[str, Any]] = {}
    for row in recording.ratings:
        name, _, part = str(row.get("scale")).rpartition("_")
        if name in scales and part in GUESS_PARTS:
            asked.setdefault((name, str(row.get("phase", ""))), {})[part] = row.get("value")
    return [
        _guess(recording, scales[name], phase, answers)
        for (name, phase), answers in asked.items()
        if GUESS_PARTS[0] in answers  # the session may have ended between two parts, never before the first
    ]


def _guess_scales(recording: SessionRecording) -> dict[str, Scale]:
    text = recording.protocol_text
    if GUESS not in text:
        return {}
    protocol, problems = read_protocol(text, "protocol.toml")
    if protocol is None:
        raise WrongFile(
            f"the protocol in {recording.folder} cannot be read by this version ({problems[0][1]}), and without it "
            "nobody knows which answers are guesses"
        )
    return {scale.name: scale for scale in protocol.scales if scale.kind == GUESS}


def _guess(recording: SessionRecording, scale: Scale, phase: str, answers: Mapping[str, Any]) -> Guess:
    chosen, certainty = (answers.get(part) for part in GUESS_PARTS[:2])
    arms = {words: arm for arm, words in scale.conditions.items()}
    if chosen is not None and chosen not in arms and chosen != scale.guess_words.unknown:
        raise WrongFile(
            f"{recording.folder} has the answer {chosen!r} to {scale.name!r}, and its protocol.toml has none such; was "
            "that file changed? Bring back the one that was recorded"
        )
    settings = recording.settings
    return Guess(
        str(settings.get("participant", "")),
        str(settings.get("session", "")),
        phase,
        scale.name,
        str(scale.who),
        scale.conditions,
        chosen is not None,
        None if chosen is None else arms.get(chosen),
        float(certainty) if isinstance(certainty, int | float) else None,
        str(answers.get(GUESS_PARTS[2]) or ""),
    )


# -- who had which arm -----------------------------------------------------------------------------------------


def arms_of_envelopes(folder: Path, identity: PrivateKey) -> dict[str, str]:
    """Return the arm of each participant who has an envelope, from the statistician's list.

    Raises
    ------
    UnknownFile, WrongFile
        If the folder is none of an allocation, or the key is not the statistician's.
    """
    _, slots = open_list(folder, identity)
    arms = {slot.slot: slot.arm for slot in slots}
    found = {}
    for binding in read_bindings(folder):
        if binding.slot not in arms:
            raise WrongFile(
                f"{folder} binds {binding.participant} to slot {binding.slot}, and its list has none such; take bound/ "
                "and list.age of one allocation"
            )
        found[binding.participant] = arms[binding.slot]
    return found


def arms_of_list(path: Path) -> dict[str, str]:
    """Return the arm of each participant from the list that ``neurofb run --allocation`` writes.

    Raises
    ------
    UnknownFile, WrongFile
        If there is none, a line is none of it, or a participant had two arms.
    """
    try:
        text = limits.read_text(path, _MOST_LIST_BYTES)
    except FileNotFoundError:
        raise UnknownFile(f"no {path}; give the file that neurofb run --allocation wrote") from None
    except (OSError, ValueError) as error:
        raise WrongFile(f"{path} cannot be read: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            participant, arm = str(entry["participant"]), str(entry["arm"])
        except (ValueError, KeyError, TypeError):
            raise WrongFile(
                f"{path}, line {number}: found {line[:60]!r}; right is a line as neurofb run --allocation writes it: "
                '{"participant": "P07", "arm": "real", …}'
            ) from None
        if found.setdefault(participant, arm) != arm:
            raise WrongFile(
                f"{path}, line {number}: {participant} has two arms, {found[participant]} and {arm}; a guess of "
                "somebody who had both says nothing. Leave out the line that is wrong"
            )
    return found


# -- counting --------------------------------------------------------------------------------------------------


def count_guesses(guesses: Iterable[Guess], arms: Mapping[str, str] | None = None) -> list[GuessTable]:
    """Return a table for each question and time; of a participant who was asked twice, the last answer counts.

    Raises
    ------
    WrongInput
        If a question was asked about different arms, or a participant had an arm that it is not about.
    """
    groups: dict[tuple[str, str, str, str], dict[str, Guess]] = {}
    for guess in guesses:
        group = groups.setdefault((guess.who, guess.session, guess.phase, guess.scale), {})
        code, first = folded(guess.participant), next(iter(group.values()), guess)
        if list(guess.conditions) != list(first.conditions):
            raise WrongInput(
                f"{guess.scale!r} in session {guess.session} was asked about {', '.join(first.conditions)} of "
                f"{first.participant} and about {', '.join(guess.conditions)} of {guess.participant}; count "
                "sessions of one protocol"
            )
        if guess.is_answered or code not in group:
            group[code] = guess
    known = None if arms is None else {folded(code): arm for code, arm in arms.items()}
    return [_table(list(group.values()), known) for group in groups.values()]


def _table(guesses: list[Guess], arms: Mapping[str, str] | None) -> GuessTable:
    first, answered = guesses[0], [each for each in guesses if each.is_answered]
    rows = [*first.conditions, None]
    certain = [each.certainty for each in answered if each.arm is not None and each.certainty is not None]
    counts, indices, n_without = None, None, 0
    if arms is not None:
        columns = {arm: [0] * len(rows) for arm in first.conditions}
        for each in answered:
            arm = arms.get(folded(each.participant))
            if arm is None:
                n_without += 1
            elif arm not in columns:
                raise WrongInput(
                    f"{each.participant} had arm {arm!r}, and {first.scale!r} is about {', '.join(columns)}; give the "
                    "allocation of this study"
                )
            else:
                columns[arm][rows.index(each.arm)] += 1
        counts = {arm: tuple(column) for arm, column in columns.items()}
        if any(map(sum, columns.values())):
            indices = blinding_indices(list(zip(*columns.values(), strict=True)))
    return GuessTable(
        first.who,
        first.session,
        first.phase,
        first.scale,
        first.conditions,
        tuple(sum(each.arm == row for each in answered) for row in rows),
        len(guesses) - len(answered),
        n_without,
        sum(certain) / len(certain) if certain else None,
        counts,
        indices,
    )
