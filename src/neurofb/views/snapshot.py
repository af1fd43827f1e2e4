"""Everything that is known of a session at one moment: the one input of every view."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from neurofb.status import SessionStatus


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session at one moment.

    Attributes
    ----------
    now_s : float
        When, on this screen's clock, in seconds.
    status : SessionStatus or None
        The newest; None before the first.
    status_age_s : float
        How long ago it came; infinite before the first.
    missing : tuple of str
        Streams that are wanted and not there, or silent.
    feedback : mapping or None
        The newest row of the feedback stream by column, with ``time_s``, and ``came_s`` on this screen's clock.
    unconfirmed : tuple of str
        Commands that no status has confirmed yet.
    """

    now_s: float
    status: SessionStatus | None = None
    status_age_s: float = float("inf")
    missing: tuple[str, ...] = ()
    feedback: Mapping[str, float] | None = None
    unconfirmed: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the session has ended, as far as is known."""
        return self.status is not None and self.status.is_over
