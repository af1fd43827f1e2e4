"""Recorded sessions as donors of a yoked sham: whose feedback was real, and what they scored.

In: sessions of a dataset. Out: a `DonorPool`, and why sessions were left out. Kept: nothing.

That a session's feedback was real is not taken from a label: it is computed again from its EEG, and must be equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.blinding.donors import Donor, DonorPool, Piece
from neurofb.errors import NeurofbError, WrongInput
from neurofb.offline.comparison import compare
from neurofb.offline.rerun import INSTRUCTION, compute, loop_of, settings_of
from neurofb.protocol.delivery import training_sha256
from neurofb.protocol.design import Protocol, read_protocol
from neurofb.recording.session_recording import SessionRecording, open_session_recording


@dataclass(frozen=True, eq=False)
class BuiltPool:
    """A pool, and the sessions that did not come into it with the reason for each."""

    pool: DonorPool
    left_out: tuple[tuple[Path, str], ...]


@dataclass(eq=False)
class _Found:
    """What has been found of one protocol's training."""

    protocol: Protocol
    training_sha256: str
    step_s: float
    donors: dict[str, dict[str, tuple[Piece, ...]]] = field(default_factory=dict)


def build_pool(folders: Sequence[Path], progress: Callable[[Path], None] | None = None) -> BuiltPool:
    """Return the pool that sessions make; of several runs of a session the last that can serve.

    Raises
    ------
    WrongInput
        If none can serve, or they trained by different protocols.
    """
    found: _Found | None = None
    left_out: list[tuple[Path, str]] = []
    for folder in sorted(folders):
        if progress is not None:
            progress(folder)
        try:
            recording = open_session_recording(folder)
            found = _add(found, recording)
        except NeurofbError as error:
            left_out.append((folder, str(error).splitlines()[0]))
    if found is None:
        reasons = "; ".join(f"{path.name}: {why}" for path, why in left_out[:3])
        raise WrongInput(f"no session can be a donor{': ' if reasons else ''}{reasons}")
    feedback = found.protocol.feedback
    assert feedback is not None  # else it would have no donors
    donors = tuple(Donor(code, sessions) for code, sessions in sorted(found.donors.items()))
    pool = DonorPool(found.training_sha256, feedback.feature, feedback.direction, found.step_s, donors)
    return BuiltPool(pool, tuple(left_out))


def _add(found: _Found | None, recording: SessionRecording) -> _Found:
    """Add a session, or raise why it cannot be a donor's."""
    settings = settings_of(recording)
    if not recording.is_whole:
        raise WrongInput("it was broken off")
    protocol, problems = read_protocol(recording.protocol_text, "protocol.toml")
    if protocol is None or problems or protocol.feedback is None:
        raise WrongInput("its protocol has mistakes or no feedback")
    if recording.is_sealed:
        raise WrongInput("it is sealed: unlock it when its study is over")
    if not _is_real(recording, protocol.feedback.feature):
        raise WrongInput("its feedback does not follow from its own EEG: it was not real")
    pieces, step_s = pieces_of(recording, protocol.feedback.feature)
    if not pieces:
        raise WrongInput("it has no feedback block")
    sha256 = training_sha256(protocol)
    if found is None:
        found = _Found(protocol, sha256, step_s)
    if sha256 != found.training_sha256:
        raise WrongInput("it trained by another protocol than the first session of this pool")
    if abs(step_s - found.step_s) > 1e-6:
        raise WrongInput(
            f"its feature comes every {1000 * step_s:g} ms, that of the others every {1000 * found.step_s:g} ms"
        )
    sessions = found.donors.setdefault(str(settings["participant"]), {})
    sessions[str(settings["session"])] = tuple(pieces)
    return found


def _is_real(recording: SessionRecording, feature: str) -> bool:
    """Return whether feedback followed from the session's own EEG."""
    if not recording.is_blinded:
        return compare(recording, compute(recording, loop_of(recording))).is_equal
    own, given = compute(recording, loop_of(recording, own_values=True)).features, recording.feedback
    value_at = dict(zip(own["index"].tolist(), own[feature].tolist(), strict=True))
    usable = given["usable"] == 1
    pairs = zip(given["index"][usable].tolist(), given["value"][usable].tolist(), strict=True)
    return bool(usable.any()) and all(value_at.get(index) == value for index, value in pairs)


def pieces_of(recording: SessionRecording, feature: str) -> tuple[list[Piece], float]:
    """Return the pieces of a session's blocks, and the seconds from one value to the next."""
    table, given = recording.features, recording.feedback
    usable_at = given["usable"] == 1
    z_at = dict(zip(given["index"][usable_at].tolist(), given["z"][usable_at].tolist(), strict=True))
    index = table["index"][np.isfinite(table[f"{feature}.usable"])]
    step = float(np.median(np.diff(index))) if len(index) > 1 else recording.rate_hz
    pieces = []
    for phase, block, level, number, first, end in _marks(recording):
        there = index[(index >= first) & (index < end)].tolist()
        z = np.array([z_at.get(each, np.nan) for each in there])
        if len(z):
            pieces.append(Piece(phase, block, level, number, z))
    return pieces, step / recording.rate_hz


def _marks(recording: SessionRecording) -> Iterator[tuple[str, int, str, int, int, int]]:
    """Return phase, block, level, number, first sample and end of each piece."""
    blocks: dict[str, int] = {}
    phase, level, numbers = "", "", {"": 0}
    begun: tuple[str, int, str, int, int] | None = None
    for event in recording.events:
        details: dict[str, Any] = dict(event.details)
        if event.kind == "phase":
            phase = str(details.get("name", ""))
        elif event.kind == "step" and details.get("step") == "heat":
            level = str(details.get("level") or "")
        if event.kind != INSTRUCTION or event.index is None:
            continue
        do = details.get("do")
        if begun is not None and do in ("heat_onset", "end_block"):
            yield *begun, event.index
        if do == "start_block":
            block = blocks[phase] = blocks.get(phase, -1) + 1
            numbers, begun = {}, (phase, block, "", 0, event.index)
        elif do == "end_block":
            begun = None
        elif do == "heat_onset" and begun is not None:
            number = numbers[level] = numbers.get(level, -1) + 1
            begun = (phase, begun[1], level, number, event.index)
