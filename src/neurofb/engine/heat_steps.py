"""Heat in the timeline: the next stimulus asked for a little ahead of its time, and less of it when it hurts too much.

In: the schedule, the time, ratings. Out: stimuli with their due times, events. Kept: nothing but the stop rules. A
stimulus that is not given, for whatever reason, is an event; its time passes all the same.
"""

from __future__ import annotations

from collections.abc import Callable

from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import LEAD_S, StimulusController
from neurofb.protocol.ratings import Rating
from neurofb.protocol.schedule import Schedule
from neurofb.protocol.stop_rules import Action, StopRules
from neurofb.protocol.timeline import Step
from neurofb.stimulation.guard import LATE_S


class HeatSteps:
    """The stimuli of a timeline: asked for ahead of their time, left out where they are late or refused.

    ``stimulator`` is None in a session without heat; ``show`` takes what a person should read.
    """

    def __init__(
        self,
        stimulator: StimulusController | None,
        loop: RecordedLoop,
        rules: StopRules,
        log: SessionLog,
        show: Callable[[str], None],
    ) -> None:
        self._stimulator, self._loop, self.rules, self._log = stimulator, loop, rules, log
        self._show = show
        self._is_held = False
        #: The stimulus that somebody does not want: its phase and trial, and why.
        self._unwanted: tuple[int, int | None, str] | None = None

    def ask(self, schedule: Schedule[Step], now_s: float) -> None:
        """Ask for the stimulus that comes next, if its time is near; leave it out if it is late or refused."""
        step, due_s = schedule.upcoming, schedule.next_due_s
        self._is_held = False
        if step is None or step.kind != "heat" or self._stimulator is None or self._stimulator.is_armed:
            return
        if self._unwanted is not None and (step.phase, step.trial) == self._unwanted[:2]:
            self._stimulator.is_given = False
            self._leave_out(schedule, self._unwanted[2], now_s)
            return
        if self._stimulator.pop_refusal():
            self._leave_out(schedule, "it was refused", now_s)
            return
        if (
            self._stimulator.is_unanswered
            or due_s - now_s > LEAD_S
            or step.profile is None
            or step.site is None
            or step.site != self._stimulator.site  # the operator has not confirmed it yet
        ):
            return
        if now_s - due_s > LATE_S:
            self._stimulator.is_given = False
            self._leave_out(schedule, f"its time was {now_s - due_s:.1f} s ago", now_s)
            return
        if self._stimulator.unmet(now_s):
            self._is_held = True  # the engine pauses the session if that lasts
            return
        self._stimulator.schedule(step.profile, step.site, max(due_s, now_s))
        if self._stimulator.pop_refusal():
            self._leave_out(schedule, "it was refused", now_s)

    def stop(self, on: Step | None, upcoming: Step | None, why: str) -> bool:
        """End the stimulus that is on, or leave out the one that is about to come; return whether there was one.

        It is about to come from its cue or anticipation on, and when it is asked for or armed.
        """
        if self._stimulator is None:
            return False
        coming = on if on is not None and on.kind in ("cue", "anticipation") else None
        is_asked = self._stimulator.is_armed or self._stimulator.is_unanswered
        if is_asked:
            coming = upcoming if upcoming is not None and upcoming.kind == "heat" else coming
        if coming is not None:
            self._unwanted = coming.phase, coming.trial, why
        was_there = is_asked or self._stimulator.is_hot
        if was_there:
            self._stimulator.end(why)
        return was_there or coming is not None

    def is_waiting(self, schedule: Schedule[Step]) -> bool:
        """Return whether the stimulus that comes next is not answered by the guard, or lacks a condition of heat."""
        step = schedule.upcoming
        return (
            step is not None
            and step.kind == "heat"
            and self._stimulator is not None
            and (self._is_held or self._stimulator.is_unanswered)
        )

    def is_near(self, schedule: Schedule[Step], now_s: float) -> bool:
        """Return whether a stimulus is armed or on, or the next is due soon."""
        if self._stimulator is None:
            return False
        step = schedule.upcoming
        is_due = step is not None and step.kind == "heat" and schedule.next_due_s - now_s <= LEAD_S
        return is_due or self._stimulator.is_armed or self._stimulator.is_hot

    def _leave_out(self, schedule: Schedule[Step], why: str, now_s: float) -> None:
        step = schedule.upcoming
        assert step is not None
        message = f"a stimulus is left out, trial {step.trial} goes on without it: {why}"
        self._show(message)
        self._log.log(
            "heat_left_out", message, self._loop.loop.next_index, now_s,
            phase=step.phase, trial=step.trial, level=step.level, site=step.site, due_s=schedule.next_due_s,
        )  # fmt: skip
        schedule.skip_trial()

    def onset(self) -> None:
        """Mark the onset of the stimulus in the loop, which rewards no evoked response."""
        if self._stimulator is not None:
            self._stimulator.forget()
        self._loop.do("heat_onset")

    def may_ask(self, step: Step, now_s: float) -> bool:
        """Return whether to ask about a stimulus; one that was not given is not asked about, and an event says so."""
        if step.trial is None or self._stimulator is None or self._stimulator.is_given:
            return True
        names = ", ".join(scale.name for scale in step.scales or ())
        self._log.log(
            "prompt_left_out", f"{names}: not asked, as the stimulus was not given",
            self._loop.loop.next_index, now_s, phase=step.phase, trial=step.trial, level=step.level,
        )  # fmt: skip
        return False

    def rated(self, rating: Rating, now_s: float, do: Callable[[Action], None]) -> None:
        """Follow the stop rules: ``do`` what they ask for."""
        for action in self.rules.check(rating):
            self._show(action.message)
            self._log.log(
                f"heat_rule_{action.kind}",
                action.message,
                self._loop.loop.next_index,
                now_s,
                by_c=action.by_c,
            )
            do(action)
