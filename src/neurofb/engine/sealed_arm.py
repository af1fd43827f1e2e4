"""The arm of a session out of an envelope: checked beforehand, bound and opened when the session begins.

In: the folder of an allocation, a participant's stratum, the engine's key. Out: the opened envelope. Kept: nothing. No
message here names an arm, or differs with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurofb.blinding.envelope_folder import (
    STUDY,
    UNBLINDED,
    bind,
    bound_slot,
    free_slot,
    open_slot,
    read_log,
    read_public_keys,
    read_slots,
)
from neurofb.blinding.envelopes import Sealed, envelope_name, read_envelope
from neurofb.blinding.keys import PrivateKey, engine_key
from neurofb.blinding.study_file import StudyFile, parse_levels, read_study, study_hash
from neurofb.errors import WrongInput
from neurofb.protocol.design import Protocol
from neurofb.recording.provenance import text_hash

if TYPE_CHECKING:
    from neurofb.engine.planning import Asked


@dataclass(frozen=True, eq=False)
class OpenedEnvelope:
    """The envelope of a session, open."""

    sealed: Sealed
    listed_sha256: str
    #: As it was closed, for the session's folder.
    closed: bytes = field(repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """What everybody may know of it, for the session's settings."""
        return {
            "study_sha256": self.sealed.study_sha256,
            "slot": self.sealed.slot,
            "stratum": self.sealed.stratum,
            "sha256": self.listed_sha256,
        }


@dataclass(frozen=True, eq=False)
class SealedArm:
    """The envelope that a session will open."""

    folder: Path
    study: StudyFile
    study_sha256: str
    key: PrivateKey
    participant: str
    stratum: str
    #: The slot that is theirs, or the next that would be.
    slot: int
    is_bound: bool
    #: How often this participant was unblinded before.
    unblindings: tuple[dict[str, Any], ...] = ()

    def public_keys(self) -> tuple[str, ...]:
        """Return the keys that open the sealed half of a session: the statistician's, the emergency's, the engine's."""
        return read_public_keys(self.folder)

    def open(self, protocol: Protocol) -> OpenedEnvelope:
        """Bind the participant's slot, if it is not yet, and open its envelope."""
        slot = bind(self.folder, self.study, self.participant, self.stratum).slot
        listed = next((each for each in read_slots(self.folder) if each.slot == slot), None)
        sealed = open_slot(self.folder, listed, self.study_sha256, self.key)
        assert listed is not None  # open_slot refuses it
        require_same_protocol(self.study, sealed, protocol)
        closed = read_envelope(self.folder / envelope_name(slot))
        return OpenedEnvelope(sealed, listed.sha256, closed)


def check_envelope(asked: Asked, protocol: Protocol) -> SealedArm | None:
    """Return the envelope of a session, which opens; None for a session without one.

    Nothing is bound or written.

    Raises
    ------
    NeurofbError
        If an arm or envelope was given that this protocol does not allow, the folder or the key is wrong, or no slot is
        free.
    """
    _check_options(asked, protocol)
    if asked.envelope is None:
        return None
    folder = asked.envelope
    study, text = read_study(folder / STUDY)
    sha256, key = study_hash(text), engine_key(asked.engine_key)
    bound = bound_slot(folder, asked.participant)
    asks = bound is None or bool(asked.stratum)
    stratum = bound.stratum if bound and not asks else study.stratum(parse_levels(asked.stratum))
    if bound is not None and bound.stratum != stratum:
        raise WrongInput(
            f"{asked.participant} has slot {bound.slot} of {bound.stratum}, not of {stratum}; leave --stratum out, or "
            "correct the participant's code"
        )
    slot = (free_slot(folder, study, asked.participant, stratum) if bound is None else bound).slot
    listed = next((each for each in read_slots(folder) if each.slot == slot), None)
    require_same_protocol(study, open_slot(folder, listed, sha256, key), protocol)
    unblindings = tuple(each for each in read_log(folder / UNBLINDED) if each.get("slot") == slot)
    return SealedArm(
        folder, study, sha256, key, asked.participant, stratum, slot, bound is not None, unblindings
    )


def require_same_protocol(study: StudyFile, sealed: Sealed, protocol: Protocol) -> None:
    """Refuse a protocol that is not the one of the sealed arm, in the same words for each arm."""
    arm = study.arm(sealed.arm)
    same = arm is not None and arm.protocol_sha256 == text_hash(protocol.text)
    if arm is None or not same or sealed.arm not in [each.id for each in protocol.arms]:
        raise WrongInput(
            f"{protocol.title} is not the protocol that the study {study.study.id!r} was allocated for: its text "
            "differs, if by one letter; run the file as it was then"
        )


def _check_options(asked: Asked, protocol: Protocol) -> None:
    """Refuse what reveals an arm, or belongs to envelopes and comes without."""
    several = len(protocol.arms) > 1
    if asked.envelope is None:
        given = {"--stratum": asked.stratum, "--engine-key": asked.engine_key, "--enrol": asked.enrol}
        if names := [name for name, value in given.items() if value]:
            raise WrongInput(f"{names[0]} is for sealed arms: give the folder of envelopes with --envelope")
        if protocol.masked and several and not asked.simulate:
            raise WrongInput(
                f"{protocol.title} masks {', '.join(protocol.masked)}, so nobody types or sees an arm: give the folder "
                "of envelopes with --envelope, without --arm"
            )
        protocol.arm(asked.arm)
        if protocol.blinding is None and several and not asked.simulate:
            raise WrongInput(
                f"{protocol.title} has several arms and does not say who must not know them: add a table [blinding] "
                'with masked = ["participant", "operator"], or blinding = "open" at its top'
            )
        return
    if asked.arm is not None:
        raise WrongInput("--arm and --envelope: the envelope says the arm; leave --arm out")
    if asked.allocation is not None:
        raise WrongInput(
            "--allocation notes the arm in plain words, and it is sealed: leave it out; the statistician has the list"
        )
    if not several:
        raise WrongInput(f"{protocol.title} has no arms to be sealed; leave --envelope out")
