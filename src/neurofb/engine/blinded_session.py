"""What the engine holds of a blinded session: the opened envelope, the pool of donors, and who may open the side file.

Nothing here shows the arm: neither representation nor message. Whatever is checked is checked in every arm.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurofb.blinding.donors import DonorPool
from neurofb.blinding.envelopes import Sealed
from neurofb.blinding.sham import Delivery
from neurofb.blinding.side_file import SideFile
from neurofb.protocol.delivery import delivery_of
from neurofb.protocol.design import Protocol
from neurofb.protocol.timeline import Timeline

#: Stands for the arm wherever a blinded session would show it.
HIDDEN = "sealed"


@dataclass(frozen=True, eq=False)
class BlindedSession:
    """A participant's envelope, opened by the engine."""

    #: The file as it is, which goes into the session's folder.
    envelope: bytes = field(repr=False)
    sealed: Sealed = field(repr=False)
    pool: DonorPool = field(repr=False)
    #: Of the statistician, the emergency and the engine: they open the side file.
    public_keys: tuple[str, ...]

    @property
    def arm(self) -> str:
        """The arm's id; for the timeline alone."""
        return self.sealed.arm

    def delivery(self, protocol: Protocol, participant: str, session: str) -> Delivery:
        """Return what decides which value is delivered.

        Raises
        ------
        WrongInput
            If the pool cannot serve the study; in the same words for every arm.
        """
        return delivery_of(protocol, self.sealed, self.pool, participant, session)

    def side_file(self, folder: Path) -> SideFile:
        """Return the side file of a session."""
        return SideFile(folder, self.public_keys)

    def as_dict(self) -> dict[str, Any]:
        """Return what the settings say of it: the same for every participant of a study."""
        return {"donor_pool_sha256": self.pool.sha256, "feature": self.pool.feature}


def hidden(timeline: Timeline) -> Timeline:
    """Return a timeline that does not tell its arm, but by the texts and sounds that a participant gets."""
    return replace(timeline, arm=HIDDEN, feedback=HIDDEN)
