"""How a session is, as one document: all that a screen needs to draw itself, also when it comes late.

In: the parts of the session, asked when the document is due. Out: a plain dict that JSON holds. Kept: the newest
feedback sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurofb.acquisition.source import Source
from neurofb.engine.latency import summary_ms
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.sequencer import Sequencer
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import StimulusController
from neurofb.events import plain
from neurofb.feedback.feedback import FeedbackSample

N_RATINGS = 20
LATENCY_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Heading:
    """What stays the same through a session.

    Attributes
    ----------
    uid, participant, protocol, title : str
    mode : str
        How the participant meets the feedback.
    neutral : float
        The level where none is earned.
    stream : str
        The EEG stream's name.
    recording : Path
    budget : float
        What one place on the skin may have.
    """

    uid: str
    participant: str
    protocol: str
    title: str
    mode: str
    neutral: float
    stream: str
    recording: Path
    budget: float


class StatusSheet:
    """Fills in the status document.

    Parameters
    ----------
    heading : Heading
    source, looped, conductor, stimuli, journal
        The parts of the session.
    """

    def __init__(
        self,
        heading: Heading,
        source: Source,
        looped: RecordedLoop,
        conductor: Sequencer,
        stimuli: StimulusController | None,
        journal: SessionLog,
    ) -> None:
        self._heading, self._source, self._looped = heading, source, looped
        self._conductor, self._stimuli, self._journal = conductor, stimuli, journal
        self._latency: dict[str, float] | None = None
        self._latency_at_s = float("-inf")

    def fill(self, now_s: float) -> dict[str, Any]:
        """Return the document."""
        heading, conductor = self._heading, self._conductor
        start_s, planned_s = conductor.start_s, conductor.timeline.duration_s
        left_s = max(0.0, conductor.left_s(now_s))
        document = {
            "session": heading.uid,
            "participant": heading.participant,
            "protocol": heading.protocol,
            "title": heading.title,
            "state": conductor.session.state,
            "now_s": now_s - start_s,
            "clock_s": now_s,
            "progress": 1.0 - left_s / planned_s if planned_s > 0 else 1.0,
            "left_s": left_s,
            "phase": self._phase(),
            "step": self._step(),
            "timeline": [
                {"name": each.name, "kind": each.kind, "start_s": each.onset_s, "duration_s": each.duration_s}
                for each in conductor.timeline.phases
            ],
            "feedback": self._feedback(),
            "prompt": self._prompt(),
            "heat": self._heat(),
            "ratings": self._ratings(),
            "channels": self._channels(),
            "features": {
                name: {"value": value.value, "usable": value.usable, "why": value.why}
                for name, value in self._looped.newest.items()
            },
            "latency_ms": self._latency_ms(now_s),
            "stream": self._stream(),
            "recording": {"path": str(heading.recording), "bytes": self._journal.n_bytes, "ok": True},
            "message": conductor.message,
            "ended": self._ended(),
        }
        filled: dict[str, Any] = plain(document)
        return filled

    def _latency_ms(self, now_s: float) -> dict[str, float] | None:
        """Return the account of latency, which takes a millisecond, anew every two seconds."""
        if now_s >= self._latency_at_s:
            self._latency_at_s = now_s + LATENCY_EVERY_S
            self._latency = summary_ms(self._journal.ages_s, self._filter_s)
        return self._latency

    @property
    def _filter_s(self) -> float:
        return 0.0 if self._looped.last is None else self._looped.last.delay_s

    def _phase(self) -> dict[str, Any] | None:
        conductor = self._conductor
        phase = conductor.phase
        if phase is None:
            return None
        start_s = conductor.phase_due_s - conductor.start_s
        return {
            "name": phase.name,
            "kind": phase.kind,
            "text": phase.text,
            "index": phase.index,
            "n": len(conductor.timeline.phases),
            "start_s": start_s,
            "end_s": start_s + phase.duration_s + conductor.extended_s,
            "eyes": phase.eyes,
            "sound": phase.sound,
            "waits": phase.waits,
            "summary": self._summary(),
        }

    def _summary(self) -> dict[str, Any] | None:
        block = self._conductor.last_block
        if not block:
            return None
        success = block["success"]
        share = success["above"] / success["values"] if success["values"] else math.nan
        return {"success": share, "rewarded": block["rewarded"]}

    def _step(self) -> dict[str, Any] | None:
        conductor = self._conductor
        step = conductor.step_on
        if step is None:
            return None
        start_s = conductor.step_due_s - conductor.start_s
        return {
            "kind": step.kind,
            "level": step.level,
            "trial": step.trial,
            "n_trials": step.n_trials,
            "start_s": start_s,
            "end_s": start_s + step.duration_s,
        }

    def _feedback(self) -> dict[str, Any]:
        on, sample = self._conductor.block is not None, self._looped.last
        if sample is None or not on:
            sample = FeedbackSample(
                -1, math.nan, math.nan, math.nan, self._heading.neutral, False, False, "", math.nan, 0.0
            )
        return {
            "on": on,
            "mode": self._heading.mode,
            "level": sample.level,
            "reward": sample.reward,
            "usable": sample.usable,
            "why": sample.why,
            "value": sample.value,
            "z": sample.z,
            "threshold": sample.threshold,
            "success_index": sample.success_index,
        }

    def _prompt(self) -> dict[str, Any] | None:
        prompt = self._conductor.prompting.open_prompt
        if prompt is None:
            return None
        scale = prompt.scale
        return {
            "id": prompt.id,
            "scale": scale.name,
            "kind": scale.kind,
            "question": scale.question,
            "low": scale.low,
            "high": scale.high,
            "choices": list(scale.choices),
            "due_s": prompt.due_s - self._conductor.start_s,
        }

    def _heat(self) -> dict[str, Any] | None:
        stimuli = self._stimuli
        if stimuli is None or stimuli.last is None:
            return None
        return {
            "site": stimuli.site,
            "target_c": stimuli.last.target_c,
            "measured_c": stimuli.last.measured_c,
            "state": stimuli.last.state,
            "used": stimuli.heater.used(),
            "limit": self._heading.budget,
            "button": self._conductor.calibration is not None and self._conductor.calibration.limits_on,
        }

    def _ratings(self) -> list[dict[str, Any]]:
        return [
            {
                "scale": each.prompt.scale.name,
                "trial": each.prompt.trial,
                "level": each.prompt.level,
                "value": each.value,
            }
            for each in self._conductor.prompting.ratings[-N_RATINGS:]
        ]

    def _channels(self) -> dict[str, Any]:
        pipeline = self._looped.loop.pipeline
        out = pipeline.channels_out
        return {
            label: {"state": state.state, "why": state.why, "out": label in out}
            for label, state in pipeline.channel_states.items()
        }

    def _stream(self) -> dict[str, Any]:
        return {
            "name": self._heading.stream,
            "state": self._source.state,
            "rate_hz": self._source.rate_hz,
            "received": self._journal.n_received,
            "missing": self._journal.n_missing,
        }

    def _ended(self) -> Mapping[str, str] | None:
        if self._conductor.ended is None:
            return None
        kind, message = self._conductor.ended
        return {"outcome": kind, "message": message}
