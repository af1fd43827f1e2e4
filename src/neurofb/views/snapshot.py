"""Everything that is known of a session at one moment: the one input of every view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neurofb.status import SessionStatus


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment."""

    #: Time on this screen's clock, in s.
    now_s: float
    #: The newest; None before the first.
    status: SessionStatus | None = None
    #: Since it came; infinite before the first.
    status_age_s: float = float("inf")
    #: Streams that are wanted and absent or silent.
    missing: tuple[str, ...] = ()
    #: The newest row of the feedback stream by column, with ``time_s``, and ``came_s`` on this screen's clock.
    feedback: Mapping[str, float] | None = None
    #: Commands that no status has confirmed yet.
    unconfirmed: tuple[str, ...] = ()
    #: Whether status and events were checked to be the engine's; without a key nothing can be.
    is_verified: bool = False
    #: Computers from which others speak as this session, or send its old documents again.
    second_voices: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, as far as is known."""
        return self.status is not None and self.status.is_over
