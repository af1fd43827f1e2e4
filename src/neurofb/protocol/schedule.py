"""The states of a session, and the schedule that its steps follow.

A step is due when the one before it was *due* plus that one's duration: lateness never adds up. A pause moves all that
is still to come by its length; an extended step by its extension.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar

from neurofb.errors import WrongInput

State = Literal["idle", "preparing", "running", "paused", "stopping", "finished", "aborted"]

#: From each state, those it may change to. "stopping" is the way out of everything that may have a stimulus on.
TRANSITIONS: dict[State, tuple[State, ...]] = {
    "idle": ("preparing",),
    "preparing": ("running", "stopping"),
    "running": ("paused", "stopping"),
    "paused": ("running", "stopping"),
    "stopping": ("finished", "aborted"),
    "finished": (),
    "aborted": (),
}


class SessionState:
    """The state of a session."""

    def __init__(self) -> None:
        self.state: State = "idle"

    def change_to(self, state: State) -> tuple[State, State]:
        """Change to ``state``; return the states before and after.

        Raises
        ------
        WrongInput
            If the table does not allow it.
        """
        if state not in TRANSITIONS[self.state]:
            allowed = ", ".join(TRANSITIONS[self.state]) or "nothing: it is over"
            raise WrongInput(f"a session that is {self.state} cannot become {state}; it can become {allowed}")
        before, self.state = self.state, state
        return before, state

    @property
    def is_over(self) -> bool:
        """True if this state is final."""
        return not TRANSITIONS[self.state]


class TimedStep(Protocol):
    """The interface of a step in a schedule."""

    @property
    def duration_s(self) -> float:
        """Duration in seconds."""
        ...

    @property
    def phase(self) -> int:
        """The phase it belongs to."""
        ...


StepT = TypeVar("StepT", bound=TimedStep)


@dataclass(frozen=True, slots=True)
class DueStep(Generic[StepT]):
    """A step and the time at which it was due to begin."""

    step: StepT
    due_s: float


class Schedule(Generic[StepT]):
    """Returns steps when they are due.

    Parameters
    ----------
    steps : sequence of steps
        In their order.
    start_s : float
        When the first is due.
    """

    def __init__(self, steps: Sequence[StepT], start_s: float) -> None:
        self._steps = tuple(steps)
        self._next = 0
        self._origin_s = start_s
        #: Summed apart from the origin, so that a large clock reading costs no digits.
        self._passed_s = 0.0
        self._rounding_s = 0.0
        self._paused_at_s: float | None = None

    @property
    def next_due_s(self) -> float:
        """Time at which the next step is due, or the last one ends; infinite while paused."""
        if self._paused_at_s is not None:
            return float("inf")
        return self._origin_s + self._passed_s

    @property
    def is_over(self) -> bool:
        """True once all steps were returned and the last has ended."""
        return self._next >= len(self._steps)

    @property
    def n_taken(self) -> int:
        """Number of steps that are over or running."""
        return self._next

    @property
    def upcoming(self) -> StepT | None:
        """The step that comes next."""
        return None if self.is_over else self._steps[self._next]

    @property
    def rest(self) -> Iterator[StepT]:
        """The steps that are still to come."""
        return (self._steps[i] for i in range(self._next, len(self._steps)))

    @property
    def left_s(self) -> float:
        """Total duration of the remaining steps, in seconds."""
        return sum(step.duration_s for step in self._steps[self._next :])

    def pop_due(self, now_s: float) -> DueStep[StepT] | None:
        """Return the step that is due by now; None if none is."""
        if self.is_over or now_s < self.next_due_s:
            return None
        step, due_s = self._steps[self._next], self.next_due_s
        self._next += 1
        self._add(step.duration_s)
        return DueStep(step, due_s)

    def extend(self, by_s: float) -> None:
        """Extend the present step; later steps move with it."""
        if not by_s >= 0:
            raise WrongInput(f"a step can only be made longer, found {by_s} s")
        self._add(by_s)

    def end_now(self, now_s: float) -> None:
        """End the present step now."""
        self._origin_s, self._passed_s, self._rounding_s = now_s, 0.0, 0.0
        if self._paused_at_s is not None:
            self._paused_at_s = now_s  # the pause before now belongs to the step that has ended

    def skip_phase(self, phase: int, now_s: float) -> list[StepT]:
        """Skip the rest of a phase, which ends now; return the skipped steps."""
        skipped = []
        while self._next < len(self._steps) and self._steps[self._next].phase == phase:
            skipped.append(self._steps[self._next])
            self._next += 1
        self.end_now(now_s)
        return skipped

    def replace_rest(self, steps: Sequence[StepT]) -> None:
        """Replace the remaining steps by those of another list of as many steps, with other durations."""
        if len(steps) != len(self._steps):
            raise WrongInput(f"the schedule has {len(self._steps)} steps, the new one {len(steps)}")
        self._steps = (*self._steps[: self._next], *steps[self._next :])

    def skip_trial(self) -> None:
        """Skip the next step, whose stimulus was refused; its time passes all the same."""
        step = self.upcoming
        if step is not None:
            self._next += 1
            self._add(step.duration_s)

    def pause(self, now_s: float) -> None:
        """Stop the time of the schedule."""
        if self._paused_at_s is None:
            self._paused_at_s = now_s

    def resume(self, now_s: float) -> float:
        """Resume; return the length of the pause in seconds."""
        if self._paused_at_s is None:
            return 0.0
        lasted_s = now_s - self._paused_at_s
        self._paused_at_s = None
        self._add(lasted_s)
        return lasted_s

    def _add(self, seconds: float) -> None:
        """Add to the time that has passed, with the rounding error carried along (Kahan)."""
        corrected = seconds - self._rounding_s
        total = self._passed_s + corrected
        self._rounding_s = (total - self._passed_s) - corrected
        self._passed_s = total
