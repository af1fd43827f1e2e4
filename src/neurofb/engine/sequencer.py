"""Runs each step of the timeline when it is due, and commands from outside.

In: the time, and calls of ``commands``. Out: instructions to the loop, stimuli with their due times, prompts, events.
Kept: the schedule, the phase and step that are on, open prompts, and whether the session is paused or over.

Nothing from outside starts or raises heat (see ``commands``): its calls only end, lower, answer or wait.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from neurofb.engine.heat_calibration import HeatCalibration
from neurofb.engine.heat_steps import HeatSteps
from neurofb.engine.planning import SessionPlan
from neurofb.engine.probe_place import PROBE, ProbePlace
from neurofb.engine.prompting import Prompting
from neurofb.engine.recorded_loop import AHEAD_S, RecordedLoop
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import UnsafeHeat, WrongInput
from neurofb.loop.loop import WITHOUT_VALUES
from neurofb.protocol.delivery import block_number, trial_number
from neurofb.protocol.schedule import Schedule, SessionState, State
from neurofb.protocol.stop_rules import Action, StopRules
from neurofb.protocol.timeline import PlannedPhase, Step

#: What pauses a session when the EEG is lost, and when another condition of heat does not hold: the engine.
STREAM, UNWATCHED = "stream", "conditions of heat"
#: Nobody else pauses or resumes under these names.
ENGINES_PAUSES = (STREAM, UNWATCHED)
#: What a pause of the engine waits for.
_WAITS_FOR = {
    STREAM: "the EEG is lost or unfit, it goes on when that comes again as it should",
    UNWATCHED: "a condition of heat does not hold, it goes on when it does again",
}
#: From the confirmation of a place that was waited for to what comes next: time to take the hands away. Assumed.
SETTLE_S = 3.0
#: A baseline that lacks clean EEG is made longer by so much at a time.
EXTEND_S = 5.0
#: A baseline goes on for so long while it is being computed whether it suffices.
PENDING_S = 0.05


def closing(close: Callable[[], object]) -> Callable[[object, BaseException | None, object], None]:
    """Return an exit callback of an `ExitStack` that runs ``close``; of several errors the stack raises the first."""

    def leave(_type: object, earlier: BaseException | None, _trace: object) -> None:
        try:
            close()
        except BaseException:
            if earlier is None:
                raise

    return leave


class Sequencer:
    """Runs a session along its timeline.

    ``calibration`` finds this participant's temperatures in a phase of that kind.
    """

    def __init__(
        self,
        uid: str,
        plan: SessionPlan,
        recorded_loop: RecordedLoop,
        stimulus_control: StimulusController | None,
        calibration: HeatCalibration | None,
        prompting: Prompting,
        session_log: SessionLog,
    ) -> None:
        self.uid, self._plan, self.timeline = uid, plan, plan.timeline
        self._recorded_loop, self._session_log = recorded_loop, session_log
        self._stimulus_control, self.calibration, self.prompting = stimulus_control, calibration, prompting
        rules = StopRules(plan.protocol.stop)
        self._heat = HeatSteps(stimulus_control, recorded_loop, rules, session_log, self._set_message)
        self.probe_place = ProbePlace(stimulus_control, calibration, session_log)
        #: Who or what has paused the session; it resumes when none is left.
        self._paused_by: set[str] = set()
        self.session = SessionState()
        self.schedule: Schedule[Step] = Schedule((), 0.0)
        self.phase: PlannedPhase | None = None
        self.phase_due_s = self.start_s = 0.0
        self.step_on: Step | None = None
        self.step_due_s = 0.0
        self.ended: tuple[str, str] | None = None
        self.block: str | None = None
        self.last_block: dict[str, Any] | None = None
        self.message = ""
        self._pending_block: str | None = None
        self._pending_baseline: str | None = None
        self._collecting = False
        self._collecting_since_s = self._now_s = self.extended_s = 0.0
        self._is_over = self._phase_is_closed = False

    # -- time --------------------------------------------------------------------------------------------------

    def prepare(self, now_s: float) -> None:
        """Begin the session without its timeline: nothing is due until ``start``."""
        self._change_state("preparing", "preparing")
        self.start_s = now_s
        self.schedule = Schedule(self.timeline.steps, now_s)

    def start(self, now_s: float) -> None:
        """Start the timeline now."""
        if self.session.state == "idle":
            self.prepare(now_s)
        self._change_state("running", "the session begins")
        self.start_s = now_s
        self.schedule = Schedule(self.timeline.steps, now_s)
        self.probe_place.look(self.schedule, now_s)

    @property
    def is_running(self) -> bool:
        """Whether the timeline has started and is not over; a pause belongs to it."""
        return self.session.state in ("running", "paused") and not self._is_over

    @property
    def is_over(self) -> bool:
        """Whether the last step has ended, or something ended the session."""
        return self._is_over

    @property
    def next_due_s(self) -> float:
        """When the sequencer must be asked again at the latest."""
        is_waiting = not self.is_running or self._heat.is_waiting(self.schedule)
        return float("inf") if is_waiting else self.schedule.next_due_s

    def step(self, now_s: float) -> None:
        """Run what is due by now."""
        if not self.is_running:
            return
        self._now_s = now_s
        self._recorded_loop.poll_fit()
        self._start_pending()
        for rating in self.prompting.expire(now_s):
            self._apply_rating(rating, now_s)
        if self.calibration is not None and self.calibration.is_on:
            self._calibrate(now_s)
        self._go_on_at_place(now_s)
        self._heat.ask(self.schedule, now_s)
        if self._ends_baseline() and self.schedule.next_due_s - now_s < AHEAD_S:
            self._recorded_loop.start_trial_fit()
        while now_s >= self.schedule.next_due_s and not self._is_over:
            self._heat.ask(self.schedule, now_s)  # a phase may begin with heat
            if self._heat.is_waiting(self.schedule):
                return  # the guard answers, or a fault ends the session; until then the loop goes on
            if now_s < self.schedule.next_due_s or self._needs_longer(now_s) or self._waits_for_probe(now_s):
                continue
            due = self.schedule.pop_due(now_s)
            if due is None:
                self._end_phase()
                self._is_over = True
                return
            self._run_step(due.step, due.due_s, now_s)
        self.probe_place.look(self.schedule, now_s)

    def _start_pending(self) -> None:
        """Start the block or baseline that waited for the participant's own pipeline."""
        if self._recorded_loop.is_fitting or self.session.state != "running":
            return
        if self._pending_block is not None:
            condition, self._pending_block = self._pending_block, None
            self._recorded_loop.do("start_block", condition=condition)
            self._follow_donor("", 0)
            self.block = condition
            self._session_log.log("block", f"feedback against the {condition!r} baseline begins", self._index)
        if self._pending_baseline is not None:
            condition, self._pending_baseline = self._pending_baseline, None
            self._recorded_loop.do("collect", condition=condition)
            self._collecting, self._collecting_since_s = True, self._now_s

    def _follow_donor(self, level: str, number: int) -> None:
        """Tell the loop of a blinded session, in every arm, where it is: what a donor had there may be delivered."""
        if self._recorded_loop.loop.is_blinded and self.phase is not None:
            block = block_number(self.timeline, self.phase.index)
            self._recorded_loop.do("enter", phase=self.phase.name, block=block, level=level, number=number)

    @property
    def _index(self) -> int:
        return self._recorded_loop.loop.next_index

    # -- steps -------------------------------------------------------------------------------------------------

    def _run_step(self, step: Step, due_s: float, now_s: float) -> None:
        self.step_on, self.step_due_s = step, due_s
        if step.kind == "phase":
            self._end_phase()
            self._start_phase(self.timeline.phases[step.phase], due_s, now_s)
            return
        self._session_log.log(
            "step", f"{step.kind}{'' if step.level is None else f', {step.level}'}", self._index, now_s,
            step=step.kind, phase=step.phase, trial=step.trial, level=step.level, due_s=due_s,
            duration_s=step.duration_s,
        )  # fmt: skip
        if step.kind == "heat":
            self._heat.onset()
            if self.block is not None:
                number = trial_number(self.timeline, step.phase, step.level, step.trial)
                self._follow_donor(step.level or "", number)
        elif step.kind == "rating":
            self._prompt(step, now_s)
        elif step.kind == "calibration" and self.calibration is not None:
            self.calibration.begin(now_s)

    def _start_phase(self, phase: PlannedPhase, due_s: float, now_s: float) -> None:
        self.phase, self.phase_due_s, self.extended_s = phase, due_s, 0.0
        self.message = ""  # what was so before is over
        self._phase_is_closed = False
        self._heat.rules.start_block()
        self._session_log.log(
            "phase", f"{phase.name} ({phase.kind})", self._index, now_s,
            name=phase.name, phase_kind=phase.kind, number=phase.index, due_s=due_s, duration_s=phase.duration_s,
            eyes=phase.eyes,
        )  # fmt: skip
        if phase.collects != "none":
            self._pending_baseline = phase.collects
        if phase.collects not in ("rest", *WITHOUT_VALUES):
            self._recorded_loop.start_fit()  # the last of the first baselines has ended, if there were any
        if phase.kind == "training":
            self._pending_block = phase.feedback  # none for an arm that gets none
        self._start_pending()

    def _end_phase(self) -> None:
        """End what belongs to the phase that is on; nothing happens the second time."""
        if self._phase_is_closed:
            return
        self._phase_is_closed = True
        for rating in self.prompting.end():
            event = rating.to_event()
            self._session_log.log_event(replace(event, time_s=min(event.time_s, self._now_s)))
        self._pending_block = self._pending_baseline = None
        if self._collecting:
            self._collecting = False
            self._recorded_loop.do("collected")
        self.last_block = None
        if self.block is not None:
            self.block = None
            self._recorded_loop.do("end_block")
            self.last_block = dict(self._recorded_loop.loop.block_result or {})
            self._session_log.log_block(
                "block_ended", "the feedback block ends", self._index, self.last_block
            )

    def _ends_baseline(self) -> bool:
        """Return whether the step that is on is the last of a baseline."""
        upcoming = self.schedule.upcoming
        return self._collecting and (upcoming is None or upcoming.kind in ("phase", "end"))

    def _needs_longer(self, now_s: float) -> bool:
        """Make a baseline longer that has too little clean EEG when its time is over, and a calibration that is on."""
        calibrates = self.step_on is not None and self.step_on.kind == "calibration"
        if calibrates and self.calibration is not None and self.calibration.is_on:
            self.schedule.extend(PENDING_S)  # how long it takes was an estimate
            return True
        if not self._ends_baseline():
            return False
        missing = self._recorded_loop.missing()
        if missing == "" or (missing and self.extended_s >= self._plan.protocol.baseline.longest_s):
            return False
        by_s = PENDING_S if missing is None else EXTEND_S
        self.extended_s += by_s
        self.schedule.extend(by_s)
        if missing:
            self.message = f"the baseline goes on for {EXTEND_S:g} s: {missing}"
            self._session_log.log("baseline_extended", self.message, self._index, now_s, by_s=by_s)
        return True

    def _prompt(self, step: Step, now_s: float) -> None:
        assert step.scales is not None
        if not self._heat.may_ask(step, now_s):
            return
        name = "" if self.phase is None else self.phase.name
        for scale in step.scales:
            self.prompting.ask(scale, now_s, trial=step.trial, level=step.level, site=step.site, phase=name)

    def left_s(self, now_s: float) -> float:
        """Return how long the session still takes, if nothing delays it."""
        if self._is_over:
            return 0.0
        if not self.is_running:
            return self.schedule.left_s
        on_s = self.schedule.next_due_s - now_s
        return self.schedule.left_s + (on_s if on_s < float("inf") else 0.0)

    # -- heat --------------------------------------------------------------------------------------------------

    def _waits_for_probe(self, now_s: float) -> bool:
        """Pause before a step whose heat is at a place that nobody has confirmed; the phase before it ends."""
        site = self.probe_place.lacking(self.schedule)
        if site is None:
            return False
        upcoming = self.schedule.upcoming
        if upcoming is not None and upcoming.kind == "phase":
            self._end_phase()
        self.pause(now_s, f"waits until the operator confirms that the probe is at {site!r}", PROBE)
        return True

    def _go_on_at_place(self, now_s: float) -> None:
        """End the pause for the probe when it is at its place."""
        if PROBE in self._paused_by and self.probe_place.lacking(self.schedule) is None:
            self.resume(now_s, "the probe is at its place", PROBE)
            self.schedule.extend(SETTLE_S)

    def _calibrate(self, now_s: float) -> None:
        assert self.calibration is not None
        self.calibration.step(now_s)
        if self.calibration.is_on:
            return
        self.timeline = self._plan.again(self.calibration.found)
        self.schedule.replace_rest(self.timeline.steps)
        self.schedule.end_now(now_s)
        used = {} if self._stimulus_control is None else self._stimulus_control.used
        if found := self._plan.heat_ahead(self.timeline, self.schedule.n_taken, used):
            raise UnsafeHeat(
                "with the temperatures that the calibration found, this session would give too much heat; they are "
                "kept for another, with lower or shorter stimuli or more places: " + "; ".join(found)
            )

    def _apply_rating(self, rating: Any, now_s: float) -> None:
        """Log an answer, lower heat that hurts too much, pass it on to a calibration."""
        self._session_log.log_event(rating.to_event())
        on = self.calibration if self.calibration is not None and self.calibration.is_on else None
        self._heat.rated(rating, now_s, self._reduce_heat if on is None else on.too_much)
        if on is not None:
            on.rated(rating, now_s)

    def _reduce_heat(self, action: Action) -> None:
        if self._stimulus_control is None:
            return
        if action.kind == "lower":
            self._stimulus_control.lower(action.by_c)
        elif self.phase is not None:
            self._stimulus_control.end(action.message)
            self.schedule.skip_phase(self.phase.index, self._now_s)

    # -- what commands ask for ---------------------------------------------------------------------------------

    def answer(self, prompt: str, value: Any, now_s: float) -> None:
        """Apply the answer to a question.

        The first is the rating. One that comes after it, or too late, is logged and heard by the stop rules, which it
        can only make more careful: the highest of all that was answered counts for heat.
        """
        later = self.prompting.later_answer(prompt, value, now_s)
        if later is None:
            self._apply_rating(self.prompting.answer(prompt, value, now_s), now_s)
            return
        on = self.calibration if self.calibration is not None and self.calibration.is_on else None
        self._heat.rated(later, now_s, self._reduce_heat if on is None else on.too_much_after_all)
        if on is not None:
            on.rated_again(later)

    def button(self) -> None:
        """Apply the participant's button: "now it hurts"."""
        if self.calibration is None or not self.calibration.is_on:
            raise WrongInput("the button means something in the method of limits only; to end heat use stop")
        self.calibration.button()

    def place_probe(self, site: str, by: str) -> None:
        """Apply the operator's confirmation that the probe is at a site."""
        self.probe_place.confirm(site, by)

    def continue_phase(self, now_s: float) -> None:
        """Continue from a phase that waits for somebody."""
        if self.phase is None or not self.phase.waits:
            raise WrongInput("nothing waits for somebody now")
        if self.session.state == "paused":
            raise WrongInput("the session is paused; resume it first, then continue")
        self.schedule.skip_phase(self.phase.index, now_s)

    def stop_heat(self, by: str, now_s: float) -> None:
        """End the stimulus that is on, or leave out the one that is about to come; the session goes on."""
        why = f"this heat was stopped by {by}"
        on = self.calibration if self.calibration is not None and self.calibration.is_on else None
        was_there = (
            self._heat.stop(self.step_on, self.schedule.upcoming, why) if on is None else on.stop(why, now_s)
        )
        if not was_there:
            raise WrongInput("no heat is on or about to come")
        self.message = why

    def stop(self, by: str) -> None:
        """End heat at once, and the session."""
        if self._stimulus_control is not None:
            self._stimulus_control.abort(f"stopped by {by}")
        self.end_early(f"stopped by {by}", "stopped")

    def end_early(self, message: str, kind: str) -> None:
        """End the session after this step."""
        self.ended = (kind, message)
        self._is_over = True

    @property
    def waits_for_probe(self) -> bool:
        """Whether the session is paused until the operator confirms the place of the probe."""
        return PROBE in self._paused_by

    @property
    def paused_by(self) -> tuple[str, ...]:
        """Who has asked for the pause, people and parts of the engine; empty while it runs."""
        return tuple(sorted(self._paused_by))

    @property
    def is_held(self) -> bool:
        """Whether somebody has asked for the pause, rather than the engine."""
        return bool(self._paused_by - set(_WAITS_FOR))

    def is_heat_near(self, now_s: float) -> bool:
        """Return whether a stimulus is on or comes soon; a calibration may ask for one at any time."""
        calibrates = self.calibration is not None and self.calibration.is_on
        return calibrates or self._heat.is_near(self.schedule, now_s)

    def pause(self, now_s: float, why: str, by: str = "somebody") -> None:
        """Stop the time of the schedule; a stimulus that is on ends in order, and no feedback is earned.

        A baseline that was being collected is collected anew afterwards, because nobody sits as still in a pause. A
        question waits; a stimulus of a calibration is given again. A second pause for another reason lasts until both
        reasons are gone.
        """
        if self.session.state not in ("running", "paused") or by in self._paused_by:
            raise WrongInput(f"a session that is {self.session.state} cannot pause")
        self._paused_by.add(by)
        if self.session.state == "paused":
            self.message = why
            self._session_log.log("paused", why, self._index, now_s)
            return
        if self.calibration is not None:
            self.calibration.pause()
        if self._stimulus_control is not None:
            self._stimulus_control.end(why)
        self.prompting.hold()
        if self._collecting and self.phase is not None:
            self._collecting = False
            self._recorded_loop.do("discard")
            self._pending_baseline = self.phase.collects
            self.schedule.extend(now_s - self._collecting_since_s)
        if self.block is not None:
            self._pending_block, self.block = self.block, None
            self._recorded_loop.do("end_block")
        self.schedule.pause(now_s)
        self._change_state("paused", why)

    def resume(self, now_s: float, why: str, by: str = "somebody") -> None:
        """Resume what ``by`` has paused, if nobody else wants a pause.

        Nothing starts before its time, which the pause has moved.
        """
        if by not in self._paused_by:
            waits_for = {**_WAITS_FOR, PROBE: "it goes on when the operator confirms the place of the probe"}
            people = " and ".join(sorted(self._paused_by - set(waits_for)))
            reasons = [f"it is paused by {people}, and only who paused resumes"] if people else []
            reasons += [words for key, words in waits_for.items() if key in self._paused_by]
            what = "; ".join(reasons) or "it is not paused"
            raise WrongInput(f"a session that is {self.session.state} cannot resume: {what}")
        self._paused_by.discard(by)
        if self._paused_by:
            self.message = f"{why}, and the session stays paused"
            self._session_log.log("paused", self.message, self._index, now_s)
            return
        lasted_s = self.schedule.resume(now_s)
        self.prompting.release(lasted_s)
        if self.calibration is not None:
            self.calibration.resume(now_s)
        self._change_state("running", f"{why}, after {lasted_s:.1f} s")

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self, kind: str, message: str, *, failed: bool) -> None:
        """Close the phase that is on and log how the session ended; each step even if one before it fails."""
        if self.session.state == "idle":
            return
        self.ended = (kind, message)  # known to screens also if the record takes nothing any more
        over: State = "aborted" if failed or kind == "stopped" else "finished"
        with contextlib.ExitStack() as stack:  # last in, first out
            stack.push(closing(lambda: self._change_state(over, message)))
            stack.push(closing(lambda: self._session_log.log("end", message, self._index, outcome=kind)))
            stack.push(closing(self._end_phase))
            stack.push(closing(lambda: self._change_state("stopping", message)))

    def _set_message(self, message: str) -> None:
        self.message = message

    def _change_state(self, state: State, why: str) -> None:
        before, after = self.session.change_to(state)
        self.message = why
        self._session_log.log("state", f"{before} → {after}: {why}", self._index, before=before, after=after)
