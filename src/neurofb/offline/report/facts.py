"""The facts of one session, gathered once for its report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurofb.errors import NeurofbError
from neurofb.offline.annotations import SessionAnnotations, annotate
from neurofb.offline.report.heat import Answer, Stimulus, answers_of, doses_of, stimuli_of
from neurofb.offline.report.quality import ChannelStats, channel_stats
from neurofb.offline.report.reward_stats import (
    Ages,
    BlockStats,
    Learning,
    RewardRates,
    ages_of,
    block_stats,
    learning,
    rates_by_phase,
)
from neurofb.offline.report.spectra import Spectra, spectra_of
from neurofb.protocol.design import Protocol, read_protocol
from neurofb.recording.session_recording import SessionRecording


@dataclass(frozen=True, eq=False)
class Facts:
    """A session's record, and the statistics of its report."""

    recording: SessionRecording
    #: ``session.json``; empty if it is lost.
    settings: Mapping[str, Any]
    #: None if its text is lost or this version cannot read it.
    protocol: Protocol | None
    annotations: SessionAnnotations
    spectra: Spectra
    channels: list[ChannelStats]
    #: Whether the channels could be judged.
    is_judged: bool
    rates: list[RewardRates]
    ages: Ages | None
    blocks: list[BlockStats]
    slopes: list[Learning]
    stimuli: list[Stimulus]
    #: Site → fraction of the contact-burn limit.
    doses: dict[str, float]
    #: Whether the session closed its ledger of doses.
    is_ledger_closed: bool
    answers: list[Answer]

    def at(self, *keys: str) -> Any:
        """Return the value in the settings under ``keys``; None if there is none."""
        found: Any = self.settings
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    @property
    def uid(self) -> str:
        """The session's own name; empty if it is lost."""
        return str(self.at("uid") or "")

    @property
    def n_feedback(self) -> int:
        """Feedback values in blocks."""
        return sum(each.n for each in self.rates)

    def share(self, name: str) -> float:
        """Return the share of feedback values in blocks that were ``usable`` or ``rewarded``."""
        n = self.n_feedback
        return sum(getattr(each, name) * each.n for each in self.rates if each.n) / n if n else float("nan")

    def pipeline(self) -> list[str]:
        """Return the participant's pipeline, a line for each feature."""
        fits = [event for event in self.recording.events if event.kind == "fitted"]
        return [str(line) for line in fits[-1].details.get("pipeline", ())] if fits else []

    def texts(self) -> Iterator[tuple[str, str]]:
        """Return the text of each phase that has one, as the protocol has it for everybody."""
        if self.protocol is not None:
            for phase in self.protocol.phases:
                if phase.text:
                    yield phase.name, phase.text


def facts_of(recording: SessionRecording) -> Facts:
    """Return the facts of a session, whole or broken off."""
    annotations = annotate(recording)
    channels, is_judged = channel_stats(recording)
    doses, is_ledger_closed = doses_of(recording)
    blocks = block_stats(recording, annotations)
    return Facts(
        recording,
        recording.settings,
        _protocol(recording),
        annotations,
        spectra_of(recording, annotations),
        channels,
        is_judged,
        rates_by_phase(recording, annotations),
        ages_of(recording),
        blocks,
        learning(blocks),
        stimuli_of(recording, annotations),
        doses,
        is_ledger_closed,
        answers_of(annotations),
    )


def _protocol(recording: SessionRecording) -> Protocol | None:
    if not recording.protocol_text:
        return None
    try:
        protocol, problems = read_protocol(recording.protocol_text, "protocol.toml")
    except NeurofbError:
        return None
    return None if problems else protocol
