"""The loop of a live session: every instruction is recorded with the sample at which it held.

In: batches, instructions. Out: feedback, sent and recorded; events from which, with the samples, a re-run computes
every value and feedback sample again (``neurofb.loop.loop``). Kept: a fit that is being computed beside the session.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk
from neurofb.engine.low_latency import CacheWarmer
from neurofb.engine.session_log import SessionLog
from neurofb.features.value import FeatureValue
from neurofb.feedback.feedback import FeedbackSample
from neurofb.feedback.settings import Condition
from neurofb.loop.loop import Loop, Output
from neurofb.loop.participant_fit import ParticipantFit

#: Kind of the events that a re-run follows.
INSTRUCTION = "loop"
#: Feedback learns that samples are missing after so long without any, and then this often.
SILENT_S = 0.1
#: So long before its end a baseline is tried, so that the end need not wait for it.
AHEAD_S = 2.0


class RecordedLoop:
    """A loop whose input, output and instructions are in the record.

    ``at_once`` computes a fit on the spot, as on a manual clock, instead of beside the session.
    """

    def __init__(self, loop: Loop, session_log: SessionLog, *, at_once: bool) -> None:
        self.loop, self._session_log = loop, session_log
        self._worker = None if at_once else ThreadPoolExecutor(1, "neurofb-fit")
        self._fitting: Future[ParticipantFit] | None = None
        self._trial_fit: Future[str] | None = None
        self._is_ahead = False
        self._cache_warmer: Future[CacheWarmer] | None = None
        self._silent_since_s: float | None = None
        self._expected_at_s = float("-inf")
        self.last: FeedbackSample | None = None
        self.newest: dict[str, FeatureValue] = {}

    def push(self, batch: Batch, now_s: float) -> list[FeedbackSample]:
        """Process a batch, or the absence of samples; return the feedback it earned, sent and recorded."""
        if len(batch.chunk):
            expected: list[FeedbackSample] = []
            self._silent_since_s = now_s
        else:
            expected = self._expect_samples(now_s)
        try:
            output = self.loop.push(batch.chunk)
        except BaseException:  # what was received is kept all the same
            received = replace(batch, chunk=Chunk.empty(self.loop.next_index, batch.chunk.samples.shape[1]))
            self._session_log.write(received, Output([], []))
            raise
        aged = self._with_last(self._session_log.write(batch, output))
        for value in output.values:
            self.newest[value.name] = value
        return expected or aged

    def _expect_samples(self, now_s: float) -> list[FeedbackSample]:
        """Pass the sample that should have come by now to feedback."""
        if self._silent_since_s is None or now_s - max(self._silent_since_s, self._expected_at_s) < SILENT_S:
            return []
        self._expected_at_s = now_s
        missed = int((now_s - self._silent_since_s) * self.loop.settings.rate_hz)
        return self.do("expect", expected=self.loop.next_index - 1 + missed)

    def do(self, instruction: str, **details: Any) -> list[FeedbackSample]:
        """Follow an instruction and record it; return the feedback it leads to, sent and recorded."""
        index = self.loop.next_index
        samples = self.loop.do(instruction, **details)
        if instruction != "expect" or samples:
            words = ", ".join(f"{key} {value}" for key, value in details.items())
            self._session_log.log(
                INSTRUCTION, f"{instruction} {words}".strip(), index, do=instruction, **details
            )
        if instruction == "start_block":
            self._start_cache_warmer(**details)
        return self._with_last(self._session_log.write_feedback(samples))

    def _with_last(self, aged: list[FeedbackSample]) -> list[FeedbackSample]:
        if aged:
            self.last = aged[-1]
        return aged

    def missing(self) -> str | None:
        """Return what is missing of the present baseline, empty if nothing; None while that is unknown.

        Before the pipeline is fitted to the participant, a trial fit decides. Default artifact limits do not decide
        whether the baseline suffices.
        """
        if self.loop.participant_fit is not None:
            return self.loop.missing()
        if self._worker is None:
            return self.loop.trial_fit_job()()
        was_ahead = self._is_ahead
        self.start_trial_fit(ahead=False)
        if self._trial_fit is None or not self._trial_fit.done():
            return None
        job, self._trial_fit, self._is_ahead = self._trial_fit, None, False
        found = job.result()
        if (
            found and was_ahead
        ):  # there is more by now than it was tried on: tried again before anybody tries ahead
            self.start_trial_fit(ahead=False)
            return None
        return found

    def start_trial_fit(self, *, ahead: bool = True) -> None:
        """Start to compute, beside the session, whether the baseline suffices: before its end if ``ahead``."""
        if self._worker is None or self._trial_fit is not None or self.loop.participant_fit is not None:
            return
        job = self.loop.trial_fit_job(AHEAD_S if ahead else 0.0)
        self._trial_fit, self._is_ahead = self._worker.submit(job), ahead

    # -- the participant's own pipeline ------------------------------------------------------------------------

    @property
    def is_fitting(self) -> bool:
        """Whether a fit is under way."""
        return self._fitting is not None

    def start_fit(self) -> None:
        """Start to fit the pipeline to this participant, if there are baselines for it."""
        if not self.loop.can_fit or self._fitting is not None:
            return
        if self._worker is None:
            self.do("fit", until=self.loop.next_index)
            self._log_fit()
        else:
            self._fitting = self._worker.submit(self.loop.fit_job())

    def poll_fit(self) -> None:
        """Adopt a fit that is ready.

        Raises
        ------
        WrongInput
            If the baselines do not suffice: what is missing.
        """
        if self._fitting is None or not self._fitting.done():
            return
        job, self._fitting = self._fitting, None
        participant_fit, index = job.result(), self.loop.next_index
        self.loop.adopt(participant_fit)
        self._session_log.log(
            INSTRUCTION, f"fit until {participant_fit.until}", index, do="fit", until=participant_fit.until
        )
        self._log_fit()

    def _log_fit(self) -> None:
        participant_fit = self.loop.participant_fit
        assert participant_fit is not None
        peak = (
            "no clear alpha peak"
            if participant_fit.iaf_hz is None
            else f"alpha peak {participant_fit.iaf_hz:.2f} Hz"
        )
        lines = self.loop.pipeline.describe()
        self._session_log.log(
            "fitted",
            f"the pipeline is made for this participant: {peak}",
            self.loop.next_index,
            iaf_hz=participant_fit.iaf_hz,
            notes=list(participant_fit.notes),
            pipeline=lines,
            baselines=[f"{name}, {condition}" for name, condition in self.loop.baselines],
        )

    # -- cache warm-up -----------------------------------------------------------------------------------------

    def _start_cache_warmer(self, condition: Condition) -> None:
        """Make a cache warmer beside the session; on a manual clock latency does not matter."""
        if self._worker is not None and self._cache_warmer is None:
            try:
                self._cache_warmer = self._worker.submit(partial(CacheWarmer, self.loop, condition))
            except RuntimeError as error:  # no thread to be had: the session goes on without
                self._stop_cache_warmer(error)

    def warm_caches(self) -> None:
        """Process the last hop once more, if there is a cache warmer; one that fails is switched off."""
        self._with_cache_warmer(CacheWarmer.process_hop)

    def run_deferred(self) -> None:
        """Run the cache warmer's deferred work."""
        self._with_cache_warmer(CacheWarmer.run_deferred)

    def _with_cache_warmer(self, act: Callable[[CacheWarmer], None]) -> None:
        if self._cache_warmer is None or not self._cache_warmer.done():
            return
        try:
            act(self._cache_warmer.result())
        except Exception as error:
            self._stop_cache_warmer(error)

    def _stop_cache_warmer(self, error: Exception) -> None:
        self._cache_warmer = Future()  # never done
        self._session_log.log("error", f"the practice of a hop failed and is off now: {error!r}")

    def close(self) -> None:
        """End the work beside the session."""
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)
