"""Where a stimulus is that a device runs by itself, as far as its readings show.

In: what was armed, when it was fired, and each reading. Out: the state for the guard, the onset, and the temperature
that is right now. Kept: the stimulus that is on.
"""

from __future__ import annotations

from neurofb.stimulation.driver import Capabilities, News, Onset, State
from neurofb.stimulation.heat_profile import HeatProfile

#: A stimulus has begun when the hottest zone is so far above its start. Assumed: five steps of a reading.
ONSET_C = 0.5
#: A zone that falls so far below its plateau without an abort has been stopped. Assumed: as far as a healthy one may
#: deviate from its course.
FALLEN_C = 1.0
#: Where a probe rests before the first stimulus.
REST = HeatProfile(32.0, 0.001)


class Progress:
    """Follows one stimulus after the other.

    Parameters
    ----------
    abilities : Capabilities
        What the device can do, as its file says.

    Attributes
    ----------
    state : State
        For the guard.
    """

    def __init__(self, abilities: Capabilities) -> None:
        self._abilities = abilities
        self.state: State = "off"
        self._profile = REST
        self._fired_s: float | None = None
        self._onset_s: float | None = None
        self._start_c = REST.baseline_c
        self._has_settled = False

    @property
    def is_on(self) -> bool:
        """Whether a stimulus was fired and not stopped since."""
        return self._fired_s is not None

    @property
    def has_begun(self) -> bool:
        """Whether the onset of what was fired is known."""
        return self._onset_s is not None

    def arm(self, profile: HeatProfile) -> None:
        """Take a stimulus that waits for its start."""
        self._profile, self._fired_s, self.state = profile, None, "armed"

    def fire(self, now_s: float, start_c: float) -> list[News]:
        """Note the start; return the onset, where no reading could show it."""
        profile = self._profile
        self._fired_s, self._onset_s, self._start_c, self.state = now_s, None, start_c, "rising"
        is_slow = profile.rise_c_per_s * self._abilities.onset_s < 2 * ONSET_C
        if is_slow or profile.target_c - profile.baseline_c < 2 * ONSET_C:
            return self._begin(now_s, "the command: its rise is too small or too slow to be seen")
        return []

    def stop(self, state: State = "aborted") -> None:
        """Note that nothing goes on by what was commanded."""
        self._fired_s, self.state = None, state

    def target_c(self, time_s: float, rest_c: float) -> float:
        """Return the temperature that is right at a time; ``rest_c`` where nothing is on."""
        if self._fired_s is None or self._onset_s is None:
            return rest_c
        return self._profile.temperature_c(time_s - self._onset_s)

    def follow(self, hottest_c: float, time_s: float, may_begin: bool = True) -> list[News]:
        """Take a reading: note the onset, the phase, and an end that nobody has asked for.

        Parameters
        ----------
        hottest_c : float
            The hottest zone.
        time_s : float
            When that was.
        may_begin : bool
            Whether the device says that its stimulus is on; without that a rise is none.
        """
        if self._fired_s is None or time_s <= self._fired_s:
            return []
        if self._onset_s is None:
            risen_c = hottest_c - self._start_c
            if not (may_begin and risen_c >= ONSET_C):
                return []
            at_s = max(self._fired_s, time_s - risen_c / self._profile.rise_c_per_s)
            return self._begin(at_s, "its readings")
        t_s, profile = time_s - self._onset_s, self._profile
        if t_s < profile.rise_s:
            self.state = "rising"
        elif t_s < profile.rise_s + profile.plateau_s:
            is_settled = t_s > profile.rise_s + 5 * self._abilities.lag_s
            is_fallen = is_settled and hottest_c < profile.target_c - FALLEN_C and self._has_settled
            self._has_settled = self._has_settled or hottest_c >= profile.target_c - FALLEN_C / 2
            self.state = "aborted" if is_fallen else "plateau"
        else:
            self.state = "returning" if t_s < profile.duration_s else "baseline"
        return []

    def _begin(self, time_s: float, source: str) -> list[News]:
        self._onset_s, self._has_settled = time_s, False
        return [Onset(time_s, source)]
