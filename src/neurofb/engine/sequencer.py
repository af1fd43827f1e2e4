"""Does what each step of the timeline asks, when it is due, and answers what is asked from outside.

In: the time, and texts of commands. Out: instructions to the loop, stimuli with their due times, prompts, events. Kept:
the schedule, the phase and step that are on, open prompts, and whether the session is paused or over.

Nothing from outside starts or raises heat (see ``commanded``): what others may ask only ends, lowers, answers or waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from neurofb.engine.all_of import all_of
from neurofb.engine.baseline_time import BaselineTime
from neurofb.engine.heat_calibration import HeatCalibration
from neurofb.engine.heat_steps import HeatSteps
from neurofb.engine.prompting import Prompting
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import UnsafeHeat, WrongInput
from neurofb.protocol.schedule import Schedule, Session, State
from neurofb.protocol.stop_rules import Action, StopRules
from neurofb.protocol.timeline import PlannedPhase, Step, Timeline

#: What pauses a session when the EEG is lost.
STREAM = "stream"


class Sequencer:
    """Leads a session along its timeline.

    Parameters
    ----------
    uid : str
        The session's own.
    timeline : Timeline
    recorded_loop : RecordedLoop
    stimuli : StimulusController or None
    calibration : HeatCalibration or None
        Finds this participant's temperatures in a phase of that kind.
    prompting : Prompting
    rules : StopRules
    session_log : SessionLog
    longest_baseline_s : float
        By how much a baseline may be extended.
    with_temperatures : callable
        Gives the timeline again, from pain levels to calibrated temperatures.
    heat_ahead : callable
        Says what forbids the heat of a timeline from a step on, from what each place on the skin has had.
    """

    def __init__(
        self,
        uid: str,
        timeline: Timeline,
        recorded_loop: RecordedLoop,
        stimuli: StimulusController | None,
        calibration: HeatCalibration | None,
        prompting: Prompting,
        rules: StopRules,
        session_log: SessionLog,
        longest_baseline_s: float,
        with_temperatures: Callable[[Mapping[float, float]], Timeline],
        heat_ahead: Callable[[Timeline, int, Mapping[str, float]], list[str]] = lambda *_: [],
    ) -> None:
        self.uid, self.timeline, self._recorded_loop, self._session_log = (
            uid,
            timeline,
            recorded_loop,
            session_log,
        )
        self._stimuli, self.calibration, self.prompting = stimuli, calibration, prompting
        self._heat = HeatSteps(stimuli, recorded_loop, rules, session_log, self._tell)
        self._with_temperatures = with_temperatures
        self._baseline_time = BaselineTime(recorded_loop, longest_baseline_s)
        self._heat_ahead = heat_ahead
        #: Who or what wants the session to stand: it goes on when nobody does any more.
        self._paused_by: set[str] = set()
        self.session = Session()
        self.schedule: Schedule[Step] = Schedule((), 0.0)
        self.phase: PlannedPhase | None = None
        self.phase_due_s = self.start_s = 0.0
        self.step_on: Step | None = None
        self.step_due_s = 0.0
        self.ended: tuple[str, str] | None = None
        self.block: str | None = None
        self.last_block: dict[str, Any] | None = None
        self.message = ""
        self._block_waits: str | None = None
        self._baseline_waits: str | None = None
        self._collecting = False
        self._collecting_since_s = self._now_s = self.extended_s = 0.0
        self._is_over = False

    # -- the course of time ------------------------------------------------------------------------------------

    def begin(self, now_s: float) -> None:
        """Begin the timeline now."""
        self._go("preparing", "preparing")
        self._go("running", "the session begins")
        self.start_s = now_s
        self.schedule = Schedule(self.timeline.steps, now_s)

    @property
    def is_over(self) -> bool:
        """Whether the last step has ended, or something ended the session."""
        return self._is_over

    @property
    def next_due_s(self) -> float:
        """When the sequencer must be asked again at the latest."""
        return self.schedule.next_due_s

    def step(self, now_s: float) -> None:
        """Do what is due by now."""
        if self._is_over:
            return
        self._now_s = now_s
        self._recorded_loop.poll_fit()
        self._begin_what_waited()
        for rating in self.prompting.expire(now_s):
            self._rated(rating, now_s)
        if self.calibration is not None and self.calibration.is_on:
            self._calibrate(now_s)
        self._heat.arm(self.schedule, now_s)
        if self._ends_baseline():
            self._baseline_time.look_ahead(self.schedule.next_due_s - now_s)
        while now_s >= self.schedule.next_due_s and not self._is_over:
            self._heat.arm(self.schedule, now_s)  # a phase may begin with heat
            if now_s < self.schedule.next_due_s or self._needs_longer(now_s):
                continue
            due = self.schedule.take(now_s)
            if due is None:
                self._end_phase()
                self._is_over = True
                return
            self._do(due.step, due.due_s, now_s)

    def _begin_what_waited(self) -> None:
        """Begin the block or baseline that waited for the participant's own pipeline."""
        if self._recorded_loop.is_fitting or self.session.state != "running":
            return
        if self._block_waits is not None:
            condition, self._block_waits = self._block_waits, None
            self._recorded_loop.do("start_block", condition=condition)
            self.block = condition
            self._session_log.log("block", f"feedback against the {condition!r} baseline begins", self._index)
        if self._baseline_waits is not None:
            condition, self._baseline_waits = self._baseline_waits, None
            self._recorded_loop.do("collect", condition=condition)
            self._collecting, self._collecting_since_s = True, self._now_s

    @property
    def _index(self) -> int:
        return self._recorded_loop.loop.next_index

    # -- steps -------------------------------------------------------------------------------------------------

    def _do(self, step: Step, due_s: float, now_s: float) -> None:
        self.step_on, self.step_due_s = step, due_s
        if step.kind == "phase":
            self._end_phase()
            self._begin_phase(self.timeline.phases[step.phase], due_s, now_s)
            return
        self._session_log.log(
            "step",
            f"{step.kind}{'' if step.level is None else f', {step.level}'}",
            self._index,
            now_s,
            step=step.kind,
            phase=step.phase,
            trial=step.trial,
            level=step.level,
            due_s=due_s,
            duration_s=step.duration_s,
        )
        if step.kind == "heat":
            self._heat.onset()
        elif step.kind == "rating":
            self._ask(step, now_s)
        elif step.kind == "calibration" and self.calibration is not None:
            self.calibration.begin(now_s)

    def _begin_phase(self, phase: PlannedPhase, due_s: float, now_s: float) -> None:
        self.phase, self.phase_due_s, self.extended_s = phase, due_s, 0.0
        self._heat.rules.start_block()
        self._session_log.log(
            "phase",
            f"{phase.name} ({phase.kind})",
            self._index,
            now_s,
            name=phase.name,
            phase_kind=phase.kind,
            number=phase.index,
            due_s=due_s,
            duration_s=phase.duration_s,
            eyes=phase.eyes,
        )
        if phase.collects != "none":
            self._baseline_waits = phase.collects
        if phase.collects not in ("rest", "iaf"):
            self._recorded_loop.begin_fit()  # the last of the first baselines has ended, if there were any
        if phase.kind == "training":
            self._block_waits = phase.feedback  # none for an arm that gets none
        self._begin_what_waited()

    def _end_phase(self) -> None:
        """End what belongs to the phase that is on."""
        for rating in self.prompting.end():
            event = rating.to_event()
            self._session_log.log_event(replace(event, time_s=min(event.time_s, self._now_s)))
        self._block_waits = self._baseline_waits = None
        if self._collecting:
            self._collecting = False
            self._recorded_loop.do("collected")
        self.last_block = None
        if self.block is not None:
            self.block = None
            self._recorded_loop.do("end_block")
            self.last_block = dict(self._recorded_loop.loop.block_result or {})
            self._session_log.log("block_ended", "the feedback block ends", self._index, **self.last_block)

    def _ends_baseline(self) -> bool:
        """Return whether the step that is on is the last of a baseline."""
        upcoming = self.schedule.upcoming
        return self._collecting and (upcoming is None or upcoming.kind in ("phase", "end"))

    def _needs_longer(self, now_s: float) -> bool:
        """Make a baseline longer that has too little clean EEG when its time is over."""
        if not self._ends_baseline():
            return False
        by_s, words = self._baseline_time.extension(self.extended_s)
        if not by_s:
            return False
        self.extended_s += by_s
        self.schedule.extend(by_s)
        if words:
            self.message = words
            self._session_log.log("baseline_extended", words, self._index, now_s, by_s=by_s)
        return True

    def _ask(self, step: Step, now_s: float) -> None:
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
        on_s = self.schedule.next_due_s - now_s
        return self.schedule.left_s + (on_s if on_s < float("inf") else 0.0)

    # -- heat --------------------------------------------------------------------------------------------------

    def _calibrate(self, now_s: float) -> None:
        assert self.calibration is not None
        self.calibration.step(now_s)
        if self.calibration.is_on:
            return
        self.timeline = self._with_temperatures(self.calibration.found)
        self.schedule.replace_rest(self.timeline.steps)
        self.schedule.end_now(now_s)
        used = {} if self._stimuli is None else self._stimuli.used
        if found := self._heat_ahead(self.timeline, self.schedule.n_taken, used):
            raise UnsafeHeat(
                "with the temperatures that the calibration found, this session would give too much heat; they are "
                "kept for another, with lower or shorter stimuli or more places: " + "; ".join(found)
            )

    def _rated(self, rating: Any, now_s: float) -> None:
        """Act on an answer: record it, lower heat that hurts too much, let a calibration have it."""
        self._session_log.log_event(rating.to_event())
        on = self.calibration if self.calibration is not None and self.calibration.is_on else None
        self._heat.rated(rating, now_s, self._lower if on is None else on.too_much)
        if on is not None:
            on.rated(rating, now_s)

    def _lower(self, action: Action) -> None:
        if self._stimuli is None:
            return
        if action.kind == "lower":
            self._stimuli.lower(action.by_c)
        elif self.phase is not None:
            self._stimuli.end(action.message)
            self.schedule.skip_phase(self.phase.index, self._now_s)

    # -- what is asked: see ``commanded`` ----------------------------------------------------------------------

    def answer(self, prompt: str, value: Any, now_s: float) -> None:
        """Take an answer to a question."""
        self._rated(self.prompting.answer(prompt, value, now_s), now_s)

    def button(self) -> None:
        """The participant says "now it hurts"."""
        if self.calibration is None or not self.calibration.is_on:
            raise WrongInput("the button means something in the method of limits only; to end heat use stop")
        self.calibration.button()

    def go_on(self, now_s: float) -> None:
        """Go on from a phase that waits for somebody."""
        if self.phase is None or not self.phase.waits:
            raise WrongInput("nothing waits for somebody now")
        if self.session.state == "paused":
            raise WrongInput("the session is paused; resume it first, then continue")
        self.schedule.skip_phase(self.phase.index, now_s)

    def stop(self, by: str) -> None:
        """End heat at once, and the session."""
        if self._stimuli is not None:
            self._stimuli.abort(f"stopped by {by}")
        self.end_early(f"stopped by {by}", "stopped")

    def end_early(self, message: str, kind: str) -> None:
        """Let this step be the last."""
        self.ended = (kind, message)
        self._is_over = True

    @property
    def is_held(self) -> bool:
        """Whether somebody has asked for the pause, rather than the lack of EEG."""
        return bool(self._paused_by - {STREAM})

    def pause(self, now_s: float, why: str, by: str = "somebody") -> None:
        """Let the time of the schedule stand; a stimulus that is on ends in order, and no feedback is earned.

        A baseline that was being collected is collected anew afterwards: nobody sits as still in a pause. A question
        waits; a stimulus of a calibration is given again. Who asks for a pause while there is one already, for another
        reason, keeps it going until both reasons are gone.
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
        if self._stimuli is not None:
            self._stimuli.end(why)
        self.prompting.hold()
        if self._collecting and self.phase is not None:
            self._collecting = False
            self._recorded_loop.do("discard")
            self._baseline_waits = self.phase.collects
            self.schedule.extend(now_s - self._collecting_since_s)
        if self.block is not None:
            self._block_waits, self.block = self.block, None
            self._recorded_loop.do("end_block")
        self.schedule.pause(now_s)
        self._go("paused", why)

    def resume(self, now_s: float, why: str, by: str = "somebody") -> None:
        """Go on, if nobody else wants a pause; nothing starts before its time, which the pause has moved."""
        if by not in self._paused_by:
            what = (
                "the EEG is lost, it goes on when that comes again" if self._paused_by else "it is not paused"
            )
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
        self._go("running", f"{why}, after {lasted_s:.1f} s")

    # -- the end -----------------------------------------------------------------------------------------------

    def close(self, kind: str, message: str, *, failed: bool) -> None:
        """Close the phase that is on and say how the session ended."""
        if self.session.state == "idle":
            return
        self.ended = (kind, message)  # known to those who look, also if the record takes nothing any more
        over: State = "aborted" if failed or kind == "stopped" else "finished"
        steps: list[Callable[[], object]] = [
            lambda: self._go("stopping", message),
            self._end_phase,
            lambda: self._session_log.log("end", message, self._index, outcome=kind),
            lambda: self._go(over, message),
        ]
        all_of(steps)

    def _tell(self, message: str) -> None:
        self.message = message

    def _go(self, state: State, why: str) -> None:
        before, after = self.session.go(state)
        self.message = why
        self._session_log.log("state", f"{before} → {after}: {why}", self._index, before=before, after=after)
