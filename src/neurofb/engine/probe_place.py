"""Where the probe must be for the heat that comes next, and whether the operator has confirmed it.

In: the schedule, the calibration, the stimulator; what the operator confirms. Out: the step that asks for a
confirmation, events. Kept: the move that is asked for. The stimulator's guard has the last word: it arms heat nowhere
but at the place that was confirmed last.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurofb.engine.heat_calibration import HeatCalibration
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import WrongInput
from neurofb.folding import folded
from neurofb.protocol.schedule import Schedule
from neurofb.protocol.timeline import HEATED, Step

#: Who pauses a session until the probe is confirmed at its place.
PROBE = "probe"
#: Steps of a trial before which the probe must be at its place: from here on its heat is expected.
_BEFORE_HEAT = ("cue", "anticipation", "heat", "calibration")


@dataclass(frozen=True, slots=True)
class ProbeMove:
    """A place that waits for the operator's confirmation."""

    site: str
    #: Where the probe was confirmed before; None for the first placement.
    before: str | None


class ProbePlace:
    """The place of the probe in one session; ``stimulator`` is None in a session without heat."""

    def __init__(
        self,
        stimulator: StimulusController | None,
        calibration: HeatCalibration | None,
        log: SessionLog,
    ) -> None:
        self._stimulator, self._calibration, self._log = stimulator, calibration, log
        self.move: ProbeMove | None = None
        self._told: ProbeMove | None = None

    def look(self, schedule: Schedule[Step], now_s: float) -> None:
        """Ask for the place of the heat that comes next, as soon as nothing is warm where the probe is."""
        self.move = None
        stimulator = self._stimulator
        if stimulator is None or stimulator.is_placing:
            return
        if stimulator.is_hot or stimulator.is_armed or stimulator.is_unanswered:
            return
        site = self._next_site(schedule)
        if site is None or site == stimulator.site:
            return
        self.move = ProbeMove(site, stimulator.site)
        if self.move != self._told:
            self._told = self.move
            words = f"move it from {stimulator.site!r} to" if stimulator.site else "put it on at"
            self._log.log(
                "probe_move", f"the probe: {words} {site!r} and confirm it", time_s=now_s,
                site=site, before=stimulator.site,
            )  # fmt: skip

    def lacking(self, schedule: Schedule[Step]) -> str | None:
        """Return the site that must be confirmed before the next step may begin; None if it may."""
        step = schedule.upcoming
        if step is None or self._stimulator is None:
            return None
        if step.kind == "phase":
            here = (each for each in schedule.rest if each.phase == step.phase and each.kind in HEATED)
            step = next(here, step)
        elif step.kind not in _BEFORE_HEAT:
            return None
        return step.site if step.site is not None and step.site != self._stimulator.site else None

    def confirm(self, site: str, by: str) -> None:
        """Accept that somebody has put the probe where the next heat is.

        Raises
        ------
        WrongInput
            If no place is waited for, or another one.
        """
        if self.move is None or self._stimulator is None:
            raise WrongInput(f"the probe is not to be moved now; found {site!r}")
        if folded(site) != folded(self.move.site):  # a screen shows it without invisible letters
            raise WrongInput(
                f"the next heat is at {self.move.site!r}; found {site!r}; put the probe there and confirm that place"
            )
        self._stimulator.place(self.move.site, by)
        self.move = None

    def _next_site(self, schedule: Schedule[Step]) -> str | None:
        """Return the site of the heat that is on or comes next."""
        if self._calibration is not None and self._calibration.is_on:
            return self._calibration.site
        return next((step.site for step in schedule.rest if step.kind in HEATED), None)
