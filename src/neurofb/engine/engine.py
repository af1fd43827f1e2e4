"""The thread that runs a session: pull a batch → send feedback → record → stimulator and schedule, in that order.

In: batches of the source, the time, commands. Out: feedback, the record, status documents, how the session ended. Kept:
when the stream was lost, and what can wait until feedback is out.

Feedback goes out before anything is handed to the recorder; either takes well under a millisecond. Whatever ends a
session, the order is the same: stimulus off, phases closed, record closed, streams closed. A failed recording ends it;
a failed screen or listener does not, but heat needs a view that is alive: without one a session with heat is paused,
and ends after ``UNWATCHED_S``. The engine reads the clock that it was given and no other.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from neurofb.acquisition.source import AWAY, Batch, Source
from neurofb.clock import Clock, ClockWatch, clock_step_words, readings_of
from neurofb.engine.commands import Commands
from neurofb.engine.heat_conditions import HeatConditions
from neurofb.engine.low_latency import HopWaiter
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.sequencer import STREAM, UNWATCHED, Sequencer, closing
from neurofb.engine.session_log import SessionLog
from neurofb.engine.status import StatusBuilder
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import NeurofbError, RecordingFailed, SafetyStop, StreamLost, WrongInput, WrongStream
from neurofb.events import Event
from neurofb.feedback.feedback import FeedbackSample
from neurofb.messages import STATUS_RATE_HZ
from neurofb.status import OPERATOR, SessionStatus
from neurofb.stimulation.conditions import SAMPLE_S

#: The longest that the engine waits for a sample before it checks anything else.
PULL_S = 0.005
#: What is deferred until feedback is out is deferred for no longer than this.
LATEST_S = 0.1
#: A stream that sends nothing for so long pauses the session, also one that never sent; with heat near, one that
#: sends nothing for ``conditions.SAMPLE_S``. Source: ``stream_health.LOST_S``, after which a stream is lost.
AWAY_S = 2.0
#: Before the first sample nothing is paused for so long; no stimulus comes meanwhile. Assumed: a headset's first packet
#: is there by then.
FIRST_S = 0.5
#: A stream that stays away for longer than this ends the session.
LOST_S = 30.0
#: A stream that is found unfit so soon after the start of a session is refused. Assumed: the time that it takes to be
#: sure of a rate (``rate_check``), and no block of feedback has begun.
REFUSED_S = 10.0
#: A session with heat that nobody watches, or whose disk does not answer, is held for so long; then it ends. So is one
#: that was paused by the computer's sleep, while nobody is there to resume it. Assumed: a window is opened again within
#: two minutes, and a participant is not left alone for longer.
UNWATCHED_S = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended."""

    #: In this order: to its last step, in order before that, by a stop, by Ctrl-C, by an error or fault.
    kind: str
    message: str
    exit_code: int


@dataclass(frozen=True, slots=True, eq=False)
class SessionParts:
    """The parts that an engine runs; the source is started."""

    source: Source
    recorded_loop: RecordedLoop
    sequencer: Sequencer
    stimulus_control: StimulusController | None
    commands: Commands
    session_log: SessionLog
    status_builder: StatusBuilder
    conditions: HeatConditions


class Engine:
    """Runs one session.

    Parameters
    ----------
    parts : SessionParts
    clock : Clock
    on_status : callable, optional
        Called with each status document; if it raises, that is logged once and it is called no more.
    each_step : sequence of callables
        Called with the present time in every step: a simulated participant acts here.
    on_end : callable
        Called before the record is closed.
    """

    def __init__(
        self,
        parts: SessionParts,
        clock: Clock,
        on_status: Callable[[SessionStatus], None] | None = None,
        each_step: Sequence[Callable[[float], None]] = (),
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._source, self._recorded_loop = parts.source, parts.recorded_loop
        self._sequencer, self._commands = parts.sequencer, parts.commands
        self._stimulus_control = parts.stimulus_control
        self._session_log, self._status_builder = parts.session_log, parts.status_builder
        self._conditions = parts.conditions
        self._clock = clock
        self._on_status, self._each_step, self._on_end = on_status, tuple(each_step), on_end
        self._hop_waiter = HopWaiter(
            parts.source, parts.recorded_loop.loop, parts.recorded_loop.warm_caches, clock
        )
        self._status_at_s = self._deferred_since_s = float("-inf")
        self._lost_s: float | None = None
        self._has_view_failed = False
        self._clock_watch = ClockWatch(readings_of(clock))
        self._unwatched_s: float | None = None
        #: Since when a pause after a sleep waits, and nobody is there to end it.
        self._slept_s: float | None = None
        self._started_s = 0.0
        self._source_events: list[Event] = []
        #: How the stream that is there again differs from the one that was lost.
        self._changed = ""
        self._unfit = ""
        self._unprocessed: Batch | None = None
        self._closing_words: list[Callable[[], None]] = []
        self.is_interrupted = False

    def interrupt(self) -> None:
        """End in order, stimulus first; safe to call from a signal handler."""
        self.is_interrupted = True

    def run(self, is_ready: Callable[[float], bool] = lambda _now_s: True) -> Outcome:
        """Run the session to whatever end it has.

        Parameters
        ----------
        is_ready : callable
            Takes the present time; the timeline starts when it returns True. It may raise a NeurofbError, and never
            waits.
        """
        try:
            self._sequencer.prepare(self._clock.now_s())
            while not is_ready(self._clock.now_s()):
                self._step()
                if self.is_interrupted:
                    return self._end(Outcome("interrupted", "interrupted from the terminal", 130))
                if self._sequencer.is_over:
                    return self._end(self._outcome())
            self._started_s = self._clock.now_s()
            self._sequencer.start(self._started_s)
            while not self._sequencer.is_over:
                self._step()
                if self.is_interrupted:
                    return self._end(Outcome("interrupted", "interrupted from the terminal", 130))
            return self._end(self._outcome())
        except NeurofbError as error:
            return self._end(Outcome("aborted", str(error), error.exit_code), failed=True)
        except BaseException as error:
            words, trace = repr(error), traceback.format_exc()
            self._closing_words.append(lambda: self._session_log.log("error", words, traceback=trace))
            self._end(Outcome("aborted", f"an error of the program: {words}", 1), failed=True)
            raise

    def _outcome(self) -> Outcome:
        kind, message = self._sequencer.ended or ("finished", "the session went to its end")
        return Outcome(kind, message, 4 if kind == "stopped" else 0)

    def _step(self) -> None:
        now_s = self._clock.now_s()
        due_s = self._sequencer.next_due_s
        batch = self._hop_waiter.pull(min(PULL_S, max(0.0, due_s - now_s)), due_s)
        now_s = self._clock.now_s()
        self._check_clocks(now_s)
        feedback = self._process(batch, now_s)
        if self._stimulus_control is not None:
            self._stimulus_control.step()
            if self._stimulus_control.fault:
                raise SafetyStop(f"the stimulator was sent to baseline. {self._stimulus_control.fault}")
        self._commands.run_pending(self._recorded_loop.loop.next_index, now_s)
        self._sequencer.step(now_s)
        for act in self._each_step:
            act(now_s)
        self._log_events()
        self._watch_stream(now_s)
        self._watch_views(now_s)
        self._watch_sleep(now_s)
        if feedback or now_s > self._deferred_since_s + LATEST_S:
            self._deferred_since_s = now_s
            self._run_deferred(now_s)

    def _run_deferred(self, now_s: float) -> None:
        """Run what takes a millisecond or more: right after feedback, when the next is a hop away."""
        if now_s >= self._status_at_s:
            self._status_at_s = max(self._status_at_s, now_s - 1.0) + 1.0 / STATUS_RATE_HZ
            self._send_status(now_s)
        self._session_log.flush()
        self._check_recording(now_s)
        self._recorded_loop.run_deferred()

    def _check_recording(self, now_s: float) -> None:
        """End the session if its recording fails, also where the disk takes everything: the file may be gone."""
        if failure := self._session_log.recorder_state(now_s).failure:
            raise RecordingFailed(f"the recording fails: {failure}. The session is over")

    def _process(self, batch: Batch, now_s: float) -> list[FeedbackSample]:
        if len(batch.chunk):
            self._conditions.add_samples(batch.chunk, now_s)
        for event in batch.events:
            if event.kind == "changed":
                self._changed = event.message
        self._source_events += batch.events  # logged at the end of the step, also if the step fails
        self._unfit, was_unfit = batch.unfit, self._unfit
        if self._unfit and not was_unfit:
            self._unprocessed = batch  # where this ends the session, they are recorded after its last phase
            self._watch_stream(now_s)  # before these samples earn anything
            self._unprocessed = None
        return self._recorded_loop.push(batch, now_s)

    def _log_events(self) -> None:
        events, self._source_events = self._source_events, []
        for event in (*events, *self._recorded_loop.loop.pop_events()):
            self._session_log.log_event(event)

    def _send_status(self, now_s: float) -> None:
        if self._on_status is None and not self._session_log.is_watched:
            return
        status = self._status_builder.build(now_s)
        self._session_log.send_status(status.to_json())
        if self._on_status is None:
            return
        try:
            self._on_status(status)
        except Exception as error:  # a picture that fails must not end a session with a person in it
            if self._has_view_failed:  # the next picture is drawn all the same
                return
            self._has_view_failed = True
            self._session_log.log("error", f"the view at the terminal failed, and is tried again: {error!r}")

    def _check_clocks(self, now_s: float) -> None:
        """Log a sleep of the computer and steps of its wall clock; after a sleep the session is held."""
        change = self._clock_watch.check()
        if change.wall_step_s:
            self._session_log.log("clock_step", clock_step_words(change), step_s=change.wall_step_s)
        if change.slept_s:
            words = f"the computer slept for {change.slept_s:.1f} s: what was sent meanwhile is missing"
            index = self._recorded_loop.loop.next_index
            self._session_log.log("computer_slept", words, index, slept_s=change.slept_s)
            with contextlib.suppress(WrongInput):  # it is paused already, or over
                # In the operator's name: only who paused resumes.
                self._sequencer.pause(now_s, f"the computer slept for {change.slept_s:.1f} s", OPERATOR)
            self._slept_s = now_s

    def _watch_sleep(self, now_s: float) -> None:
        """End a session that a sleep has paused, if nobody is there to resume it."""
        if self._slept_s is None:
            return
        if OPERATOR not in self._sequencer.paused_by:
            self._slept_s = None
        elif self._conditions.views.is_watched(now_s):
            self._slept_s = now_s
        elif now_s - self._slept_s > UNWATCHED_S:
            raise SafetyStop(
                "the computer slept, and nobody is there to resume the session: no operator's view was alive for "
                f"{UNWATCHED_S:g} s. The session is over; keep the computer awake (its lid, its power settings)"
            )

    def _watch_stream(self, now_s: float) -> None:
        """Pause the session when the stream is lost, unfit or sends nothing, and end it if that lasts."""
        if not self._conditions.required.eeg:
            return
        if self._unfit and self._lost_s is None and now_s - self._started_s < REFUSED_S:
            raise WrongStream(f"the EEG is refused: {self._unfit}")
        if not self._sequencer.is_running:
            return
        if self._lost_s is None:
            if away := self._away(now_s):
                self._lost_s = now_s
                self._sequencer.pause(now_s, away, STREAM)
        elif self._is_back(now_s):
            self._lost_s = None
            self._sequencer.resume(now_s, "the EEG comes again", STREAM)
        elif self._sequencer.is_held:
            self._lost_s = now_s  # in a pause that somebody asked for, a headset may be taken off
        elif now_s - self._lost_s > LOST_S and self._unfit:
            raise WrongStream(f"the EEG was unfit for {LOST_S:g} s; the session is over: {self._unfit}")
        elif now_s - self._lost_s > LOST_S:
            look = "Look at the headset, its battery and its program"
            if self._source.state == "changed":
                look = self._changed
            raise StreamLost(f"no EEG for {LOST_S:g} s; the session is over. {look}")

    def _away(self, now_s: float) -> str:
        """Return why the session must wait for the stream; "" if it need not."""
        if self._source.state in AWAY:
            return "the EEG stream is lost" if self._source.state == "lost" else self._changed
        if self._unfit:
            return f"the EEG earns nothing: {self._unfit}"
        arrived_s = self._conditions.arrived_s
        silent_s = now_s - (self._started_s if arrived_s is None else arrived_s)
        if silent_s > AWAY_S:
            return f"the EEG stream is there but has sent nothing for {silent_s:.1f} s"
        if arrived_s is None and silent_s <= FIRST_S:
            return ""
        age_s = self._conditions.sample_age_s(now_s)
        if self._sequencer.is_heat_near(now_s) and (age_s is None or not age_s <= SAMPLE_S):
            words = "no sample of EEG has come" if age_s is None else f"the newest EEG is {age_s:.1f} s old"
            return f"{words}, and heat needs fresh EEG"
        return ""

    def _is_back(self, now_s: float) -> bool:
        """Return whether the stream that was waited for sends again, fresh enough for heat where there is any."""
        arrived_s, age_s = self._conditions.arrived_s, self._conditions.sample_age_s(now_s)
        if self._source.state in AWAY or self._unfit or arrived_s is None or age_s is None:
            return False
        if now_s - arrived_s > AWAY_S:
            return False
        return self._stimulus_control is None or age_s <= SAMPLE_S

    def _watch_views(self, now_s: float) -> None:
        """Log views that come and go; pause a session with heat that is not watched or recorded, and end it later."""
        for kind, message in self._conditions.views.pop_changes(now_s):
            self._session_log.log(kind, message, time_s=now_s)
        if self._stimulus_control is None or not self._sequencer.is_running:
            return
        missing = self._unwatched(now_s)
        if not missing:
            if self._unwatched_s is not None:
                self._unwatched_s = None
                self._sequencer.resume(now_s, "the conditions of heat hold again", UNWATCHED)
        elif self._unwatched_s is None:
            self._unwatched_s = now_s
            self._sequencer.pause(now_s, f"paused by the engine: {missing}", UNWATCHED)
        elif self._sequencer.is_held:
            self._unwatched_s = now_s  # somebody is there who asked for the pause
        elif now_s - self._unwatched_s > UNWATCHED_S:
            raise SafetyStop(f"{missing}. It was so for {UNWATCHED_S:g} s; the session is over, without heat")

    def _unwatched(self, now_s: float) -> str:
        """Return what heat lacks besides EEG, and what to do; "" if nothing."""
        facts, required = self._conditions.facts(now_s), self._conditions.required
        found = []
        if required.view and not facts.view:
            found.append(
                "no operator's view is alive: open one with `neurofb screen operator --key-file FILE`, the file of "
                "`neurofb run --key-file`, or run the session with --screens or in a terminal where somebody sits"
            )
        if required.recording and not facts.recording:
            found.append("the disk does not answer, so nothing is recorded for sure")
        return "; ".join(found)

    def _end(self, outcome: Outcome, *, failed: bool = False) -> Outcome:
        """Stimulus first, then the record, then the streams; each even if the one before fails.

        A NeurofbError changes the outcome of a session that went well. Of other errors the first is raised at the end.
        """

        def close(part: Callable[[], object]) -> None:
            nonlocal outcome
            try:
                part()
            except NeurofbError as error:
                if outcome.exit_code == 0:
                    outcome = Outcome("aborted", str(error), error.exit_code)
            finally:
                outcome = self._with_fault(outcome)

        parts = [
            *self._closing_words,
            lambda: self._sequencer.close(outcome.kind, outcome.message, failed=failed),
            self._last_samples,
            self._recorded_loop.close,
            self._commands.close,
            self._source.stop,
            self._last_status,
            self._on_end,
            self._session_log.close,
            lambda: self._check_recording(self._clock.now_s()),
        ]
        if self._stimulus_control is not None:
            if outcome.kind != "finished":
                self._stimulus_control.abort(outcome.message)
            parts.insert(0, self._stimulus_control.close)
        with contextlib.ExitStack() as stack:  # last in, first out
            for part in reversed(parts):
                stack.push(closing(partial(close, part)))
        return outcome

    def _with_fault(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the stimulator's fault, if there is one, whatever else ended the session."""
        fault = "" if self._stimulus_control is None else self._stimulus_control.fault
        if not fault or fault in outcome.message:
            return outcome
        return Outcome("aborted", f"{outcome.message}. The stimulator: {fault}", SafetyStop.exit_code)

    def _last_samples(self) -> None:
        """Process samples that ended the session, and those that the source still held in doubt."""
        if self._unprocessed is not None:
            self._recorded_loop.push(self._unprocessed, self._clock.now_s())
        self._process(self._source.flush(), self._clock.now_s())
        self._log_events()

    def _last_status(self) -> None:
        self._status_at_s = float("-inf")
        self._send_status(self._clock.now_s())
