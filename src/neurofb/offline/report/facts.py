"""All that a report of one session is made of, gathered once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from neurofb.errors import NeurofbError
from neurofb.offline.report.course import Course, course_of
from neurofb.offline.report.heat import Answer, Stimulus, answers_of, ledger_of, stimuli_of
from neurofb.offline.report.reward_stats import (
    Ages,
    BlockAccount,
    Learning,
    Rates,
    ages_of,
    block_accounts,
    learning,
    rates_by_phase,
)
from neurofb.offline.report.spectra import ChannelAccount, Spectra, channel_accounts, spectra_of
from neurofb.protocol.design import Protocol, read_protocol
from neurofb.recording.session_recording import SessionRecording


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a session.

    Attributes
    ----------
    recording : SessionRecording
    settings : mapping
        ``session.json``; empty if it is lost.
    protocol : Protocol or None
        None if its text is lost or this version cannot read it.
    course : Course
    spectra : Spectra
    channels : list of ChannelAccount
    judged : bool
        Whether the channels could be judged.
    rates : list of Rates
    ages : Ages or None
    blocks : list of BlockAccount
    slopes : list of Learning
    stimuli : list of Stimulus
    used : dict
        Site → share of the contact line.
    ledger_closed : bool
    answers : list of Answer
    """

    recording: SessionRecording
    settings: Mapping[str, Any]
    protocol: Protocol | None
    course: Course
    spectra: Spectra
    channels: list[ChannelAccount]
    judged: bool
    rates: list[Rates]
    ages: Ages | None
    blocks: list[BlockAccount]
    slopes: list[Learning]
    stimuli: list[Stimulus]
    used: dict[str, float]
    ledger_closed: bool
    answers: list[Answer]

    def at(self, *keys: str) -> Any:
        """Return what stands in the settings under ``keys``; None if it is not there."""
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
        """Return the pipeline as it was made for the participant, a line for each feature."""
        fitted = [event for event in self.recording.events if event.kind == "fitted"]
        return [str(line) for line in fitted[-1].details.get("pipeline", ())] if fitted else []

    def texts(self) -> Iterator[tuple[str, str]]:
        """Return what participants read in each phase, as the protocol has it for everybody."""
        if self.protocol is not None:
            for phase in self.protocol.phases:
                if phase.text:
                    yield phase.name, phase.text


def facts_of(recording: SessionRecording) -> Facts:
    """Gather all that is known of a session, whole or broken off."""
    course = course_of(recording)
    channels, judged = channel_accounts(recording)
    used, ledger_closed = ledger_of(recording)
    blocks = block_accounts(recording, course)
    return Facts(
        recording,
        recording.settings,
        _protocol(recording),
        course,
        spectra_of(recording, course),
        channels,
        judged,
        rates_by_phase(recording, course),
        ages_of(recording),
        blocks,
        learning(blocks),
        stimuli_of(recording, course),
        used,
        ledger_closed,
        answers_of(recording, course),
    )


def _protocol(recording: SessionRecording) -> Protocol | None:
    if not recording.protocol_text:
        return None
    try:
        protocol, problems = read_protocol(recording.protocol_text, "protocol.toml")
    except NeurofbError:
        return None
    return None if problems else protocol
