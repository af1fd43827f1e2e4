"""The one place where the status of a session is made (see ``neurofb.status``).

In: the parts of the session, asked when the status is due. Out: a ``SessionStatus``. Kept: the summary of latency,
which is made anew every two seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neurofb.acquisition.source import Source
from neurofb.engine.heat_conditions import HeatConditions
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.sequencer import Sequencer
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import StimulusController
from neurofb.feedback.feedback import FeedbackSample
from neurofb.status import (
    BlockSummary,
    ChannelStatus,
    EndStatus,
    FeatureStatus,
    FeedbackStatus,
    HeatStatus,
    LatencyStatus,
    PhaseStatus,
    ProbeStatus,
    PromptStatus,
    RatingStatus,
    RecordingStatus,
    SessionStatus,
    StepStatus,
    StreamStatus,
    TimelinePhase,
)

N_RATINGS = 20
LATENCY_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Heading:
    """The part of the status that stays the same through a session."""

    #: The session's.
    uid: str
    participant: str
    protocol: str
    title: str
    #: How the participant meets the feedback.
    mode: str
    #: The level where none is earned.
    neutral: float
    #: The EEG stream's name.
    stream: str
    recording: Path
    #: The dose that one place on the skin may have.
    budget: float
    #: What to do if the EEG stream sends nothing, by language.
    hints: Mapping[str, str] = field(default_factory=dict)
    #: What a participant reads for each level of heat, by language.
    level_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


class StatusBuilder:
    """Makes the status of a session."""

    def __init__(
        self,
        heading: Heading,
        source: Source,
        recorded_loop: RecordedLoop,
        sequencer: Sequencer,
        stimulus_control: StimulusController | None,
        session_log: SessionLog,
        conditions: HeatConditions,
    ) -> None:
        self._conditions = conditions
        self._heading, self._source, self._recorded_loop = heading, source, recorded_loop
        self._sequencer, self._stimulus_control, self._session_log = sequencer, stimulus_control, session_log
        self._latency: LatencyStatus | None = None
        self._latency_at_s = float("-inf")

    def build(self, now_s: float) -> SessionStatus:
        """Return the status at ``now_s`` on the engine's clock."""
        heading, sequencer = self._heading, self._sequencer
        planned_s = sequencer.timeline.duration_s
        left_s = max(0.0, sequencer.left_s(now_s))
        return SessionStatus(
            session=heading.uid,
            participant=heading.participant,
            protocol=heading.protocol,
            title=heading.title,
            state=sequencer.session.state,
            paused_by=sequencer.paused_by,
            now_s=now_s - sequencer.start_s,
            clock_s=now_s,
            progress=1.0 - left_s / planned_s if planned_s > 0 else 1.0,
            left_s=left_s,
            phase=self._phase(),
            step=self._step(),
            timeline=tuple(
                TimelinePhase(each.name, each.kind, each.onset_s, each.duration_s)
                for each in sequencer.timeline.phases
            ),
            feedback=self._feedback(),
            prompt=self._prompt(),
            heat=self._heat(),
            ratings=tuple(
                RatingStatus(each.prompt.scale.name, each.prompt.trial, each.prompt.level, each.value)
                for each in sequencer.prompting.ratings[-N_RATINGS:]
            ),
            channels=self._channels(),
            features={
                name: FeatureStatus(_finite_or_none(value.value), value.usable, value.why)
                for name, value in self._recorded_loop.newest.items()
            },
            latency_ms=self._latency_ms(now_s),
            stream=self._stream(),
            recording=self._recording(now_s),
            message=sequencer.message,
            ended=None if sequencer.ended is None else EndStatus(*sequencer.ended),
            warnings=self._session_log.warnings(now_s),
            streams=self._session_log.outlet_uids,
            views=self._conditions.views.statuses(now_s),
            unmet=() if self._stimulus_control is None else tuple(self._conditions.unmet(now_s)),
            probe=self._probe(),
        )

    def _latency_ms(self, now_s: float) -> LatencyStatus | None:
        """Return the summary of latency, which takes a millisecond, anew every two seconds."""
        if now_s >= self._latency_at_s:
            self._latency_at_s = now_s + LATENCY_EVERY_S
            filter_s = 0.0 if self._recorded_loop.last is None else self._recorded_loop.last.delay_s
            self._latency = latency_ms(self._session_log.ages_s, filter_s)
        return self._latency

    def _phase(self) -> PhaseStatus | None:
        sequencer = self._sequencer
        phase = sequencer.phase
        if phase is None:
            return None
        start_s = sequencer.phase_due_s - sequencer.start_s
        return PhaseStatus(
            name=phase.name,
            kind=phase.kind,
            text=phase.text,
            index=phase.index,
            n=len(sequencer.timeline.phases),
            start_s=start_s,
            end_s=start_s + phase.duration_s + sequencer.extended_s,
            eyes=phase.eyes,
            sound=phase.sound,
            waits=phase.waits,
            summary=self._summary(),
            shows=phase.shows,
            breaths_per_min=phase.breaths_per_min,
        )

    def _summary(self) -> BlockSummary | None:
        block = self._sequencer.last_block
        if not block:
            return None
        success = block["success"]
        share = success["above"] / success["values"] if success["values"] else None
        return BlockSummary(share, block["rewarded"])

    def _step(self) -> StepStatus | None:
        sequencer = self._sequencer
        step = sequencer.step_on
        if step is None:
            return None
        start_s = sequencer.step_due_s - sequencer.start_s
        return StepStatus(
            step.kind,
            step.level,
            step.trial,
            step.n_trials,
            start_s,
            start_s + step.duration_s,
            self._heading.level_labels.get(step.level or "", {}),
        )

    def _feedback(self) -> FeedbackStatus:
        on, sample = self._sequencer.block is not None, self._recorded_loop.last
        if sample is None or not on:
            sample = FeedbackSample(
                -1, math.nan, math.nan, math.nan, self._heading.neutral, False, False, "", math.nan, 0.0
            )
        return FeedbackStatus(
            on=on,
            mode=self._heading.mode,
            level=_finite_or_none(sample.level),
            reward=sample.reward,
            usable=sample.usable,
            why=sample.why,
            value=_finite_or_none(sample.value),
            z=_finite_or_none(sample.z),
            threshold=_finite_or_none(sample.threshold),
            success_index=_finite_or_none(sample.success_index),
        )

    def _prompt(self) -> PromptStatus | None:
        prompt = self._sequencer.prompting.open_prompt
        if prompt is None:
            return None
        scale = prompt.scale
        return PromptStatus(
            id=prompt.id,
            scale=scale.name,
            kind=scale.kind,
            question=scale.question,
            low=scale.low,
            high=scale.high,
            choices=tuple(scale.choices),
            due_s=prompt.due_s - self._sequencer.start_s,
        )

    def _heat(self) -> HeatStatus | None:
        stimulus_control, calibration = self._stimulus_control, self._sequencer.calibration
        if stimulus_control is None or stimulus_control.last is None:
            return None
        return HeatStatus(
            site=stimulus_control.site,
            target_c=_finite_or_none(stimulus_control.last.target_c),
            measured_c=_finite_or_none(stimulus_control.last.measured_c),
            state=stimulus_control.last.state,
            used=stimulus_control.used,
            limit=self._heading.budget,
            button=calibration is not None and calibration.limits_on,
        )

    def _probe(self) -> ProbeStatus | None:
        move = self._sequencer.probe_place.move
        if move is None:
            return None
        return ProbeStatus(move.site, move.before, waits=self._sequencer.waits_for_probe)

    def _channels(self) -> dict[str, ChannelStatus]:
        pipeline = self._recorded_loop.loop.pipeline
        out = pipeline.channels_out
        return {
            label: ChannelStatus(state.state, state.why, label in out)
            for label, state in pipeline.channel_states.items()
        }

    def _stream(self) -> StreamStatus:
        return StreamStatus(
            name=self._heading.stream,
            state=self._source.state,
            rate_hz=self._source.rate_hz,
            received=self._session_log.n_received,
            missing=self._session_log.n_missing,
            hints=self._heading.hints,
        )

    def _recording(self, now_s: float) -> RecordingStatus:
        state = self._session_log.recorder_state(now_s)
        return RecordingStatus(
            path=str(self._heading.recording),
            bytes=state.n_bytes,
            ok=state.is_ok,
            why=state.why,
            write_age_s=state.write_age_s,
            sync_age_s=state.sync_age_s,
            queued_bytes=state.queued_bytes,
            free_bytes=state.free_bytes,
        )


def latency_ms(ages_s: Iterable[float], filter_s: float) -> LatencyStatus | None:
    """Return median and 99th percentile of the ages of feedback, and the declared delay of the filters.

    None where there is no age yet.
    """
    ages = np.fromiter(ages_s, dtype=np.float64)
    ages = ages[np.isfinite(ages)]
    if not len(ages):
        return None
    median, p99 = np.percentile(ages, (50, 99)) * 1000
    return LatencyStatus(round(float(median), 3), round(float(p99), 3), round(1000 * filter_s, 1))


def _finite_or_none(value: float) -> float | None:
    """Return a number, None where it is NaN or infinite: a status says that as null."""
    value = float(value)
    return value if math.isfinite(value) else None
