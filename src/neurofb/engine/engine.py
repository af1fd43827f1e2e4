"""The thread that runs a session: pull samples → give out feedback → record → stimulator and schedule, in that order.

Feedback goes out before anything is handed to the recorder, which costs the record nothing: either takes well under a
millisecond.

Whatever ends a session, the order is the same: stimulus off, phases closed, record closed, streams closed. A failed
recording ends it; a failed screen or listener does not. It reads the clock that it was given and no other.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from neurofb.acquisition.source import Source
from neurofb.chunk import Chunk
from neurofb.clock import Clock
from neurofb.engine.commands import Commands
from neurofb.engine.low_latency import HopWaiter
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.requests import Requests
from neurofb.engine.sequencer import STREAM, Sequencer
from neurofb.engine.session_log import SessionLog
from neurofb.engine.status import StatusSheet
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import NeurofbError, SafetyStop, StreamLost
from neurofb.messages import STATUS_RATE_HZ

#: The longest that the engine waits for a sample before it looks at anything else.
PULL_S = 0.005
#: What can wait for feedback to be out waits no longer than this.
LATEST_S = 0.1
#: A stream that stays away for longer than this ends the session.
LOST_S = 30.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended.

    Attributes
    ----------
    kind : {"finished", "ended", "stopped", "interrupted", "aborted"}
        To its last step; in order before that; by a stop; by Ctrl-C; by something that went wrong.
    message : str
        In words.
    exit_code : int
    """

    kind: str
    message: str
    exit_code: int


class Engine:
    """Runs one session.

    Parameters
    ----------
    source : Source
        Started.
    recorded_loop : RecordedLoop
    sequencer : Sequencer
    stimuli : StimulusController or None
    requests : Requests
        What comes from outside and from the terminal.
    session_log : SessionLog
    sheet : StatusSheet
    clock : Clock
    on_status : callable, optional
        Called with each status document; whatever it raises is told once and changes nothing.
    each_step : sequence of callables
        Called with the present time in every step: a simulated participant acts here.
    on_end : callable
        Called before the record is closed.
    """

    def __init__(
        self,
        source: Source,
        recorded_loop: RecordedLoop,
        sequencer: Sequencer,
        stimuli: StimulusController | None,
        requests: Requests,
        session_log: SessionLog,
        sheet: StatusSheet,
        clock: Clock,
        on_status: Callable[[dict[str, Any]], None] | None = None,
        each_step: Sequence[Callable[[float], None]] = (),
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._source, self._recorded_loop, self._sequencer, self._stimuli = (
            source,
            recorded_loop,
            sequencer,
            stimuli,
        )
        self._hop_waiter = HopWaiter(source, recorded_loop, clock)
        self._commands = Commands(sequencer, session_log)
        self._requests, self._session_log, self._sheet, self._clock = requests, session_log, sheet, clock
        self._on_status, self._each_step, self._on_end = on_status, tuple(each_step), on_end
        self._status_at_s = self._waited_since_s = float("-inf")
        self._lost_s: float | None = None
        self._closing_words: list[Callable[[], None]] = []
        self.is_interrupted = False

    def interrupt(self) -> None:
        """End in order, stimulus first; safe to call from a signal handler."""
        self.is_interrupted = True

    def run(self) -> Outcome:
        """Run the session to whatever end it has."""
        try:
            self._sequencer.begin(self._clock.now_s())
            while not self._sequencer.is_over:
                self._step()
                if self.is_interrupted:
                    return self._end(Outcome("interrupted", "interrupted from the terminal", 130))
            return self._end(self._outcome())
        except NeurofbError as error:
            return self._end(Outcome("aborted", str(error), error.exit_code), failed=True)
        except BaseException as error:
            words, told = repr(error), traceback.format_exc()
            self._closing_words.append(lambda: self._session_log.log("error", words, traceback=told))
            self._end(Outcome("aborted", f"an error of the program: {words}", 1), failed=True)
            raise

    def _outcome(self) -> Outcome:
        kind, message = self._sequencer.ended or ("finished", "the session went to its end")
        return Outcome(kind, message, 4 if kind == "stopped" else 0)

    def _step(self) -> None:
        now_s = self._clock.now_s()
        due_s = self._sequencer.next_due_s
        chunk = self._hop_waiter.pull(min(PULL_S, max(0.0, due_s - now_s)), due_s)
        now_s = self._clock.now_s()
        has_given = self._take_in(chunk, now_s)
        if self._stimuli is not None:
            self._stimuli.step()
            if self._stimuli.fault:
                raise SafetyStop(f"the stimulator was sent to baseline. {self._stimuli.fault}")
        for text in self._requests.take():
            self._commands.ask(text, self._recorded_loop.loop.next_index, now_s)
        self._sequencer.step(now_s)
        for act in self._each_step:
            act(now_s)
        self._tell_events()
        self._watch_stream(now_s)
        if has_given or now_s > self._waited_since_s + LATEST_S:
            self._waited_since_s = now_s
            self._do_what_waited(now_s)

    def _take_in(self, chunk: Chunk, now_s: float) -> bool:
        """Publish the feedback of these samples before anything else is done; return whether there was any."""
        given = self._recorded_loop.push(chunk, now_s)
        self._session_log.received(self._source.pop_received(), self._source.pop_offsets())
        self._session_log.placed(chunk)
        return bool(given)

    def _do_what_waited(self, now_s: float) -> None:
        """Do what takes a millisecond or more: right after feedback, when the next is a hop away."""
        if now_s >= self._status_at_s:
            self._status_at_s = max(self._status_at_s, now_s - 1.0) + 1.0 / STATUS_RATE_HZ
            self._show(now_s)
        self._session_log.flush()
        self._recorded_loop.tidy()

    def _tell_events(self) -> None:
        for event in (*self._source.pop_events(), *self._recorded_loop.loop.pop_events()):
            self._session_log.log_event(event)

    def _show(self, now_s: float) -> None:
        if self._on_status is None and not self._session_log.is_watched:
            return
        status = self._sheet.fill(now_s)
        self._session_log.send_status(json.dumps(status, sort_keys=True))
        if self._on_status is None:
            return
        try:
            self._on_status(status)
        except Exception as error:  # a picture that fails must not end a session with a person in it
            self._on_status = None
            self._session_log.log("error", f"the view at the terminal failed and is off now: {error!r}")

    def _watch_stream(self, now_s: float) -> None:
        """A stream that is lost pauses the session, and ends it if it stays away."""
        if self._source.state != "lost":
            if self._lost_s is not None:
                self._lost_s = None
                self._sequencer.resume(now_s, "the EEG comes again", STREAM)
            return
        if self._lost_s is None:
            self._lost_s = now_s
            self._sequencer.pause(now_s, "the EEG stream is lost", STREAM)
        elif self._sequencer.is_held:
            self._lost_s = now_s  # in a pause that somebody asked for, a headset may be taken off
        elif now_s - self._lost_s > LOST_S:
            raise StreamLost(
                f"no EEG for {LOST_S:g} s; the session is over. Look at the headset, its battery and its program"
            )

    def _end(self, outcome: Outcome, *, failed: bool = False) -> Outcome:
        """Stimulus first, then the record, then the streams; each even if the one before fails.

        What an error of the program leaves behind is raised when all is closed.
        """
        closers: list[Callable[[], None]] = []
        if self._stimuli is not None:
            if outcome.kind != "finished":
                self._stimuli.abort(outcome.message)
            closers.append(self._stimuli.close)
        closers += [
            *self._closing_words,
            lambda: self._sequencer.close(outcome.kind, outcome.message, failed=failed),
            self._last_samples,
        ]
        closers += [self._recorded_loop.close, self._requests.close, self._source.stop, self._last_status]
        closers += [self._on_end, self._session_log.close]
        broken: BaseException | None = None
        for close in closers:
            try:
                close()
            except NeurofbError as error:
                if outcome.exit_code == 0:
                    outcome = Outcome("aborted", str(error), error.exit_code)
            except BaseException as error:  # the record and the device come after it
                broken = broken or error
            outcome = self._with_fault(outcome)
        if broken is not None:
            raise broken
        return outcome

    def _with_fault(self, outcome: Outcome) -> Outcome:
        """Return the outcome that says as well what is wrong with the stimulator, whatever else ended the session."""
        fault = "" if self._stimuli is None else self._stimuli.fault
        if not fault or fault in outcome.message:
            return outcome
        return Outcome("aborted", f"{outcome.message}. The stimulator: {fault}", SafetyStop.exit_code)

    def _last_samples(self) -> None:
        """Take what the source still held in doubt."""
        chunk = self._source.flush()
        self._take_in(chunk, self._clock.now_s())
        self._tell_events()

    def _last_status(self) -> None:
        self._status_at_s = float("-inf")
        self._show(self._clock.now_s())
