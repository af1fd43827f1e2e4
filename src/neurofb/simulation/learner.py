"""A simulated learner: a rhythm grows while it is rewarded.

In: feedback levels and how long they lasted. Out: the gain of one rhythm of a ``Head``. Kept: that gain.

The amplitude approaches a ceiling, ``d gain/dt = rate · level · (ceiling - gain)/(ceiling - 1)``, so that
it grows by ``rate`` a minute at first under full reward and never runs away. Neither loss nor forgetting is
simulated, nor whether the feedback was earned: somebody who is shown feedback that does not follow the
rhythm (sham) learns as well. Rates of people are far below those that make a simulation short; all numbers
here are assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from neurofb.errors import WrongInput
from neurofb.simulation.head import Head


@dataclass(frozen=True, slots=True)
class LearnerSettings:
    """Settings of a simulated learner."""

    #: The rhythm that is trained, as ``frontal_midline.theta``.
    rhythm: str = "frontal_midline.theta"
    #: By how much of its amplitude the rhythm grows in the first minute of full reward; 0 cannot learn.
    rate_per_min: float = 0.02
    #: What the amplitude can at most become, as a multiple of what it was.
    ceiling: float = 2.0

    def __post_init__(self) -> None:
        if not (self.rate_per_min >= 0 and math.isfinite(self.rate_per_min)):
            raise WrongInput(f"a learning rate is 0 (cannot learn) or more, found {self.rate_per_min}")
        if not self.ceiling > 1:
            raise WrongInput(f"a learner's ceiling lies above 1, found {self.ceiling}")


class Learner:
    """A learner whose rhythm follows the feedback.

    Parameters
    ----------
    head : Head
        Its gain for the trained rhythm is set from here.
    settings : LearnerSettings
    """

    def __init__(self, head: Head, settings: LearnerSettings | None = None) -> None:
        self._head = head
        self.settings = settings or LearnerSettings()
        self._gain = head.gain(self.settings.rhythm)  # refuses a rhythm that the head does not have

    @property
    def gain(self) -> float:
        """Present factor of the trained rhythm's amplitude."""
        return self._gain

    def update(self, level: float, duration_s: float, usable: bool = True) -> None:
        """Learn from feedback.

        Parameters
        ----------
        level : float
            0 to 1, as on the feedback stream; beyond these it counts as 0 or 1.
        duration_s : float
            For how long it was shown.
        usable : bool
            False if the feedback was neutral because the signal could not be trusted: nothing is learnt then.
        """
        if not duration_s >= 0:
            raise WrongInput(f"feedback lasts 0 s or more, found {duration_s}")
        if not usable or math.isnan(level):
            return
        settings = self.settings
        reward = min(1.0, max(0.0, level))
        grown = settings.rate_per_min * reward * duration_s / 60.0
        # The exact solution of the equation above, so that it does not matter how the time is cut.
        left = (settings.ceiling - self._gain) * math.exp(-grown / (settings.ceiling - 1.0))
        if grown > 0:
            self._gain = max(self._gain, settings.ceiling - left)
            self._head.set_gain(settings.rhythm, self._gain)
