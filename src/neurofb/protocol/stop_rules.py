"""Stop rules: a rating that is too high lowers the heat, two such trials in a row end the block.

In: ratings as they come. Out: what is to be done, in order. Kept: how many trials in a row were too much. Nothing here
can raise a temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from neurofb.protocol.ratings import Rating
from neurofb.protocol.study import StopSettings


@dataclass(frozen=True, slots=True)
class Action:
    """The action of a stop rule."""

    kind: Literal["lower", "end_block"]
    #: Decrease of all later stimuli, °C; 0 for "end_block".
    by_c: float
    #: Reason, for the participant and the operator.
    message: str


class StopRules:
    """Reads ratings of one session.

    Ratings of intensity and of unpleasantness count, if they are about heat. A trial counts once, however many of its
    ratings are too high; a missing answer neither breaks a row nor adds to it. Rows are counted over all trials and
    over those of each level, so that warm stimuli in between do not hide that every hot one was too much.
    """

    def __init__(self, settings: StopSettings | None = None) -> None:
        self.settings = settings or StopSettings()
        self._rows: dict[str | None, int] = {}
        self._trial: tuple[str, int | None] | None = None
        self._level: str | None = None
        self._was_too_much = False

    def start_block(self) -> None:
        """Reset the counts: a phase with heat begins."""
        self._rows.clear()
        self._trial, self._level, self._was_too_much = None, None, False

    def check(self, rating: Rating) -> list[Action]:
        """Return the action that a rating calls for; most often none."""
        value = rating.value
        if not (rating.scale.of_heat and rating.level is not None and isinstance(value, float)):
            return []
        self._begin_trial((rating.prompt.phase, rating.trial), rating.level)
        asked = self.settings
        if value < asked.rating_limit or self._was_too_much:
            return []
        self._was_too_much = True
        for row in (None, rating.level):
            self._rows[row] = self._rows.get(row, 0) + 1
        words = f"{rating.scale.name} was rated {value:g}, the limit is {asked.rating_limit:g}"
        actions = [Action("lower", asked.lower_by_c, f"{words}: heat is lowered by {asked.lower_by_c:g} °C")]
        longest = max(self._rows.values())
        if longest >= asked.in_a_row:
            count = f"{longest} trials in a row were too much" if longest > 1 else words
            actions.append(Action("end_block", 0.0, f"{count}: this block ends"))
        return actions

    def _begin_trial(self, trial: tuple[str, int | None], level: str) -> None:
        """Close the trial before, if this is another: was all of it bearable, its rows end."""
        if trial == self._trial:
            return
        if not self._was_too_much:
            self._rows[None] = 0
            self._rows[self._level] = 0
        self._trial, self._level, self._was_too_much = trial, level, False
