"""A frozen pool of donors: the scores that people with real feedback had, which a yoked sham is fed with.

In: scores (z) of the trained feature, value by value, cut at block starts and heat onsets. Out: one file that does not
change during a study, known by its SHA-256; what is wrong with it; the order in which a seed draws its donors.

A score stands for one value of the feature, usable or not: a value that could not earn is NaN. It is not replayed:
`patched` puts scores of other donors into its place, so that time goes on and the texture stays.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb import limits
from neurofb.chunk import FloatArray
from neurofb.errors import UnknownFile, WrongFile, WrongInput
from neurofb.folding import folded

#: Fewer donors would be recognised, and each would serve too many (programmes.md: assumed).
LEAST_DONORS = 12
#: Nothing is repeated before so many seconds have been replayed (assumed).
LEAST_LOOP_S = 60.0
#: A piece with a smaller share of usable values is not replayed (assumed).
LEAST_USABLE = 0.5
#: Pieces are joined over so many seconds.
FADE_S = 1.0
#: With a fixed threshold donors are drawn whose rate of success is so near to the pool's median.
RATE_WITHIN = 0.03
#: Steps between values that differ by less are the same.
STEP_TOLERANCE_S = 1e-6
#: Bytes of a pool at most: 100 donors with 10 sessions of an hour have 300 MB (assumed).
MOST_BYTES = 500_000_000
#: A score is stored in steps of 1/4000 SD, up to 8 SD: far below what anybody sees of it.
STEPS_PER_SD = 4000.0
_MOST_STEPS, _UNUSABLE = 32_000, -32_768
_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The scores from a block's start, or from an onset of heat, until the next onset or the block's end."""

    phase: str
    #: Which block of this phase in the session, from 0.
    block: int
    #: The stimulus level; "" for what comes before the first onset, and in phases without heat.
    level: str
    #: Which piece of this level in the block, from 0.
    number: int
    #: One for each value; NaN where it could not earn.
    z: FloatArray

    @property
    def key(self) -> tuple[str, str]:
        """What it may stand for: phase and level."""
        return self.phase, self.level

    @property
    def n_usable(self) -> int:
        """The number of values that could earn."""
        return int(np.isfinite(self.z).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Donor:
    """A participant whose feedback was real, with the pieces of each session."""

    #: The pseudonym: nobody is their own donor.
    code: str
    #: By the session's id in the protocol.
    sessions: Mapping[str, tuple[Piece, ...]]


@dataclass(frozen=True, slots=True)
class Need:
    """What a session of the study will ask of its donor."""

    session: str
    phase: str
    level: str
    duration_s: float


@dataclass(frozen=True, eq=False)
class DonorPool:
    """Donors that were chosen before a study began."""

    #: Of what the training consists of (``protocol.training_hash``): the same in donors and recipients.
    training_sha256: str
    #: The trained feature, and where it should go.
    feature: str
    direction: str
    #: From one value to the next.
    step_s: float
    donors: tuple[Donor, ...]
    #: Of the file; "" before it is written.
    sha256: str = field(default="", compare=False)

    @cached_property
    def n_fade(self) -> int:
        """The number of values over which two pieces are joined."""
        return max(2, round(FADE_S / self.step_s))

    def order(self, seed: int, participant: str, fixed_z: float | None = None) -> tuple[Donor, ...]:
        """Return the donors of a participant, the first of them theirs for the whole course, as a seed draws them.

        With a fixed threshold those come first whose rate of success is within `RATE_WITHIN` of the pool's median,
        which is what a participant may expect: rules that follow a participant make rates equal by themselves.

        Raises
        ------
        WrongInput
            If nobody else is in the pool.
        """
        others = [donor for donor in self.donors if folded(donor.code) != folded(participant)]
        if not others:
            raise WrongInput(
                "the pool of donors has nobody but the participant; add donors before the study begins"
            )
        drawn = [others[i] for i in np.random.default_rng(seed).permutation(len(others))]
        if fixed_z is not None:
            sign = 1.0 if self.direction == "up" else -1.0
            rates = {id(donor): success_rate(donor, sign, fixed_z) for donor in drawn}
            usual = float(np.median(list(rates.values())))
            drawn.sort(key=lambda donor: max(0.0, abs(rates[id(donor)] - usual) - RATE_WITHIN))  # stable
        return tuple(drawn)


def success_rate(donor: Donor, sign: float, z: float) -> float:
    """Return the share of a donor's usable scores beyond a threshold, over the whole course."""
    scores = np.concatenate([piece.z for pieces in donor.sessions.values() for piece in pieces])
    scores = scores[np.isfinite(scores)]
    return float(np.mean(sign * scores > sign * z)) if len(scores) else 0.0


def is_replayable(piece: Piece, n_fade: int) -> bool:
    """Return whether a piece is long and clean enough to be replayed."""
    return len(piece.z) >= 2 * n_fade and piece.n_usable >= LEAST_USABLE * len(piece.z)


class Filler:
    """Gives scores that fill gaps: pieces of usable runs, as long as they are asked for, each in turn.

    Parameters
    ----------
    pieces : sequence of Piece
        Of other donors, in the order in which they are used.
    """

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._runs: list[FloatArray] = []
        for piece in pieces:
            there = np.isfinite(piece.z)
            edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
            self._runs += [
                piece.z[a:b] for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
            ]
        self._run = self._at = 0

    def take(self, n: int) -> FloatArray:
        """Return the next ``n`` scores of one run; the longest mirrored where none is long enough."""
        for _ in range(len(self._runs) + 1):
            found = self._runs[self._run][self._at : self._at + n]
            if len(found) == n:
                self._at += n
                return found
            self._run, self._at = (self._run + 1) % len(self._runs), 0
        return _mirrored(max(self._runs, key=len), n)


def patched(z: FloatArray, others: Filler, n_fade: int) -> FloatArray:
    """Return scores without gaps: those of others fill them, faded over into what lies before and after.

    Mirrored scores would do, but for a memory that real ones do not have. Where a side is too short to fade, less is.
    Weights are cosine and sine, of distances to the mean, so that mean and variance stay.
    """
    there = np.isfinite(z)
    if there.all():
        return z
    result, mean = z.copy(), float(z[there].mean())
    edges = np.flatnonzero(np.diff(np.concatenate([[True], there, [True]]).astype(np.int8)))
    gaps = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    for i, (first, end) in enumerate(gaps):
        left = (first - (gaps[i - 1][1] if i else 0)) // 2
        right = ((gaps[i + 1][0] if i + 1 < len(gaps) else len(z)) - end) // 2
        before, after = min(n_fade, left), min(n_fade, right)
        new = others.take(end - first + before + after)
        result[first:end] = new[before : len(new) - after]
        for at, part, turn in (
            (first - before, new[:before], 1),
            (end, new[len(new) - after :], -1),
        ):
            n = len(part)
            angle = ((np.arange(n) + 1.0) / (n + 1.0) * (np.pi / 2))[::turn]
            old = result[at : at + n]
            result[at : at + n] = mean + np.cos(angle) * (old - mean) + np.sin(angle) * (part - mean)
    return result


def _mirrored(run: FloatArray, n: int) -> FloatArray:
    """Return ``n`` scores that go through a run forwards, backwards, forwards; nothing for an empty run."""
    if not len(run):
        return run
    there_and_back = np.concatenate([run, run[::-1]])
    return there_and_back[np.arange(n) % len(there_and_back)]


# -- the file ------------------------------------------------------------------------------------------------------


def pool_bytes(pool: DonorPool) -> bytes:
    """Return the file of a pool: the same pool gives the same bytes."""
    pieces = [piece for donor in pool.donors for key in donor.sessions for piece in donor.sessions[key]]
    head = {
        "v": _VERSION,
        "training_sha256": pool.training_sha256,
        "feature": pool.feature,
        "direction": pool.direction,
        "step_s": pool.step_s,
        "donors": [
            {
                "code": donor.code,
                "sessions": {
                    name: [[p.phase, p.block, p.level, p.number, len(p.z)] for p in found]
                    for name, found in donor.sessions.items()
                },
            }
            for donor in pool.donors
        ],
    }
    buffer = io.BytesIO()
    z = _stored(np.concatenate([np.empty(0), *(piece.z for piece in pieces)]))
    np.savez_compressed(buffer, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), z=z)
    return buffer.getvalue()


def _stored(z: FloatArray) -> NDArray[np.int16]:
    steps = np.clip(np.rint(np.nan_to_num(z) * STEPS_PER_SD), -_MOST_STEPS, _MOST_STEPS)
    return np.where(np.isfinite(z), steps, _UNUSABLE).astype(np.int16)


def _scores(stored: NDArray[np.int16]) -> FloatArray:
    """Return scores as they were to half a step, with all the digits of measured numbers: round ones would tell."""
    spread = np.random.default_rng(0).uniform(-0.49, 0.49, len(stored))
    return np.where(stored == _UNUSABLE, np.nan, (stored + spread) / STEPS_PER_SD)


def write_pool(pool: DonorPool, path: Path) -> str:
    """Write a pool and return its SHA-256.

    Raises
    ------
    WrongInput
        If there is such a file, or it cannot be written: a pool never changes.
    """
    content = pool_bytes(pool)
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise WrongInput(
            f"{path} exists, and a pool never changes; choose another name with --out, or delete it if no study uses it"
        ) from None
    except OSError as error:
        raise WrongInput(f"the pool {path} cannot be written: {error.strerror}") from None
    return hashlib.sha256(content).hexdigest()


def read_pool(path: Path) -> DonorPool:
    """Return the pool in a file, which is read whole and closed.

    Raises
    ------
    UnknownFile
        If there is none.
    WrongFile
        If it is no pool, or damaged.
    """
    try:
        content = limits.read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise UnknownFile(f"no pool of donors {path}; neurofb donors build makes one") from None
    except OSError as error:
        raise WrongFile(f"the pool of donors {path} cannot be read: {error.strerror}") from None
    try:
        return parsed_pool(content)
    except (ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile, OSError, EOFError):
        raise WrongFile(
            f"{path} is no pool of donors, or it is damaged; expected: a file of neurofb donors build, unchanged"
        ) from None


def parsed_pool(content: bytes) -> DonorPool:
    """Return the pool that `pool_bytes` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        head, z = json.loads(bytes(file["head"])), _scores(np.asarray(file["z"], dtype=np.int16))
    if head["v"] != _VERSION:
        raise ValueError("another version")
    at = 0

    def piece(row: Sequence[Any]) -> Piece:
        nonlocal at
        n = int(row[4])
        if n < 0 or at + n > len(z):
            raise ValueError("fewer scores than are named")
        at += n
        return Piece(str(row[0]), int(row[1]), str(row[2]), int(row[3]), z[at - n : at])

    donors = tuple(
        Donor(
            str(donor["code"]),
            {str(name): tuple(piece(row) for row in rows) for name, rows in donor["sessions"].items()},
        )
        for donor in head["donors"]
    )
    if not float(head["step_s"]) > 0 or at != len(z):
        raise ValueError("no steps, or more scores than are named")
    return DonorPool(
        str(head["training_sha256"]),
        str(head["feature"]),
        str(head["direction"]),
        float(head["step_s"]),
        donors,
        hashlib.sha256(content).hexdigest(),
    )


# -- is it good enough ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much a pool has for a phase and level of a session."""

    need: Need
    #: Usable seconds of the donor who has least, and of all.
    least_s: float
    total_s: float
    #: Donors who have a piece that can be replayed.
    n_donors: int


def coverage(pool: DonorPool, needs: Sequence[Need]) -> list[Coverage]:
    """Return how much of each need the donors have."""
    found = []
    for need in needs:
        each_s = [
            pool.step_s
            * sum(
                piece.n_usable
                for piece in donor.sessions.get(need.session, ())
                if piece.key == (need.phase, need.level) and is_replayable(piece, pool.n_fade)
            )
            for donor in pool.donors
        ]
        least_s = min(each_s, default=0.0)
        found.append(Coverage(need, least_s, sum(each_s), sum(s > 0 for s in each_s)))
    return found


def pool_problems(pool: DonorPool, needs: Sequence[Need], training_sha256: str) -> Iterator[str]:
    """Return everything for which a pool cannot serve a study, in words."""
    if pool.training_sha256 != training_sha256:
        yield (
            "its donors trained by another protocol: features, feedback, phases, heat and sessions must be the same; "
            "build the pool from sessions of this one"
        )
        return
    codes = {folded(donor.code) for donor in pool.donors}
    if len(codes) < LEAST_DONORS:
        yield f"it has {len(codes)} donors, expected: {LEAST_DONORS} or more; add pilot participants with real feedback"
    for session in dict.fromkeys(need.session for need in needs):
        lacking = [donor.code for donor in pool.donors if session not in donor.sessions]
        if lacking:
            yield (
                f"session {session!r}: {len(lacking)} donors lack it ({', '.join(lacking[:5])}): a donor serves a "
                "whole course; leave them out, or record it"
            )
    for each in coverage(pool, needs):
        need = each.need
        if each.n_donors < len(pool.donors) or each.total_s < LEAST_LOOP_S:
            what = f"phase {need.phase!r}" + (f", level {need.level!r}" if need.level else "")
            yield (
                f"session {need.session!r}, {what}: {each.n_donors} of {len(pool.donors)} donors have usable scores, "
                f"{each.total_s:.0f} s together; expected: all of them, and {LEAST_LOOP_S:g} s"
            )
