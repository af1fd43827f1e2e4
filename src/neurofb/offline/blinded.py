"""A blinded session afterwards: checked with its envelope, and unlocked when its study is locked.

In: the folder of a session, a private key, the pool of donors. Out: equal or not; or the rows that were sealed, beside
the recording, from which every reader of sessions takes them. A check tells nothing but whether they are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.blinding.contingency import Contingency, contingency
from neurofb.blinding.donors import DonorPool
from neurofb.blinding.envelopes import Sealed, parse_envelope, read_envelope
from neurofb.blinding.keys import PrivateKey
from neurofb.blinding.side_file import (
    ENVELOPE,
    SIDE_FILE,
    UNLOCKED,
    SealedRows,
    open_side_file,
    rows_bytes,
    write_whole,
)
from neurofb.chunk import FloatArray
from neurofb.errors import WrongFile, WrongInput
from neurofb.loop.loop import Loop
from neurofb.offline.comparison import Verdict, compare
from neurofb.offline.rerun import Computed, Progress, compute, loop_of, settings_of
from neurofb.protocol.delivery import delivery_of
from neurofb.protocol.design import Protocol, read_protocol
from neurofb.recording.session_recording import SessionRecording


@dataclass(frozen=True, eq=False)
class Unlocked:
    """What an unlocked session tells."""

    folder: Path
    participant: str
    session: str
    arm: str
    feedback: str
    #: Share of usable values with a reward; NaN without any.
    rewarded: float
    #: Between the delivered scores and the participant's own.
    contingency: Contingency


def envelope_of(recording: SessionRecording, key: PrivateKey) -> Sealed:
    """Return the content of a session's envelope.

    Raises
    ------
    UnknownFile, WrongFile
        If there is none, or the key does not open it.
    """
    path = recording.folder / ENVELOPE
    return parse_envelope(read_envelope(path), key, path)


def blinded_loop(recording: SessionRecording, key: PrivateKey, pool: DonorPool) -> Loop:
    """Return the loop as it was when a blinded session began."""
    settings = settings_of(recording)
    delivery = delivery_of(
        _protocol(recording),
        envelope_of(recording, key),
        pool,
        str(settings["participant"]),
        str(settings["session"]),
    )
    return loop_of(recording, delivery)


def _protocol(recording: SessionRecording) -> Protocol:
    protocol, problems = read_protocol(recording.protocol_text, "protocol.toml")
    if protocol is None or problems or protocol.feedback is None:
        raise WrongFile(f"the protocol beside {recording.path} is not the one that the session was run with")
    return protocol


def check_blinded(
    recording: SessionRecording, key: PrivateKey, pool: DonorPool, progress: Progress | None = None
) -> Verdict:
    """Return the verdict on a blinded session, of which nobody may see more than ``is_equal``."""
    rows = open_side_file(recording.folder, key)
    recording.unseal(rows)
    computed = compute(recording, blinded_loop(recording, key, pool), progress)
    return compare(recording, computed)


def unlock(recording: SessionRecording, key: PrivateKey, pool: DonorPool | None = None) -> Unlocked:
    """Write what was sealed beside the recording, in the clear.

    Parameters
    ----------
    recording : SessionRecording
        Of a blinded session.
    key : PrivateKey
        The statistician's.
    pool : DonorPool, optional
        Needed for a session that broke off: its rows are computed again.

    Raises
    ------
    WrongInput, UnknownFile, WrongFile
        If it was not blinded, the key does not open it, or it broke off and there is no pool.
    """
    if not recording.is_blinded:
        raise WrongInput(f"{recording.folder} was not blinded: nothing in it is sealed")
    sealed, protocol = envelope_of(recording, key), _protocol(recording)
    assert protocol.feedback is not None  # else it would be no protocol of a blinded session
    if (recording.folder / SIDE_FILE).is_file():
        rows = open_side_file(recording.folder, key)
    elif pool is None:
        raise WrongInput(
            f"{recording.folder} broke off before its half was sealed; what was in it can be computed again with the "
            "pool of donors: give --donors POOL"
        )
    else:
        rows = _computed_rows(recording, key, pool)
    feedback = protocol.arm(sealed.arm).feedback
    about = {
        "kind": "allocation",
        "arm": sealed.arm,
        "feedback": feedback,
        "slot": sealed.slot,
        "stratum": sealed.stratum,
    }
    rows = SealedRows(
        rows.tables, [about, *(note for note in rows.notes if note.get("kind") != "allocation")]
    )
    write_whole(recording.folder / UNLOCKED, rows_bytes(rows))
    recording.unseal(rows)
    settings = settings_of(recording)
    return Unlocked(
        recording.folder,
        str(settings["participant"]),
        str(settings["session"]),
        sealed.arm,
        feedback,
        _rewarded(recording.feedback),
        contingency_of(recording, protocol.feedback.feature),
    )


def _computed_rows(recording: SessionRecording, key: PrivateKey, pool: DonorPool) -> SealedRows:
    """Return the rows of a session that broke off, from its EEG and envelope; the ages of feedback are lost."""
    delivered = compute(recording, blinded_loop(recording, key, pool))
    own = compute(recording, loop_of(recording, own_values=True))
    tables = {
        "features": _rows(delivered.features, recording.labels_of("features"), recording),
        "measured": _rows(own.features, recording.labels_of("features"), recording),
        "feedback": _rows(delivered.feedback, recording.labels_of("feedback"), recording),
    }
    return SealedRows(tables, _notes(delivered))


def _rows(table: Any, labels: tuple[str, ...], recording: SessionRecording) -> FloatArray:
    n = len(table["index"])
    columns = [table.get(label, np.full(n, np.nan)) for label in labels]
    index = np.clip(table["index"].astype(np.int64), 0, max(0, recording.n_samples - 1))
    times_s = recording.times_s()[index] if n else np.empty(0)
    return np.column_stack([*columns, times_s])


def _notes(computed: Computed) -> list[dict[str, Any]]:
    return [
        {"kind": "block_ended", "index": block.end, **block.result}
        for block in computed.blocks
        if block.result is not None
    ]


def _rewarded(given: dict[str, FloatArray]) -> float:
    usable = given.get("usable", np.empty(0)) == 1
    return float(given["reward"][usable].mean()) if usable.any() else float("nan")


def contingency_of(recording: SessionRecording, feature: str) -> Contingency:
    """Return how much the delivered level went with the participant's own feature in an unlocked session's blocks."""
    given, own = recording.feedback, recording.measured
    there = np.isfinite(own[f"{feature}.usable"])
    index, values = own["index"][there], own[feature][there]
    if len(index) < 2:
        return Contingency(float("nan"), float("nan"))
    usable = given["usable"] == 1
    level = dict(zip(given["index"][usable].tolist(), given["level"][usable].tolist(), strict=True))
    delivered = np.array([level.get(each, np.nan) for each in index.tolist()])
    step_s = float(np.median(np.diff(index))) / recording.rate_hz
    return contingency(delivered, np.where(values > 0, np.log(np.abs(values) + 1e-300), values), step_s)
