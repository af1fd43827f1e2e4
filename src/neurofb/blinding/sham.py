"""Which value of the trained feature is delivered: the participant's own, a donor's, or that of another band.

In: values of the pipeline, blocks, and the phase and level that the session is in. Out: the values that feedback is
made of, and those that may be seen. Kept: the place in the donor's scores. No clock is read and nothing is drawn: the
same values and instructions give the same bits.

All candidates are computed in every arm and one index picks, so that no arm does more work than another. Everything
after the value is the participant's own: usability, artifacts, contact, gaps, inhibits, threshold, mapping, hold.

What may be seen is the delivered series alone. A value that earned nothing is hidden in every arm, since it would
follow the participant's own artifacts in one of them only; so are other features, which go with the true one.

================= ============================================== ================================================
feedback          keeps                                          breaks
================= ============================================== ================================================
real              everything                                     nothing
sham:yoked        time course, learning curve, artifacts, heat   contingency: the value is another person's
sham:self         the same, and the person                       contingency: the value is of an earlier session
sham:other_band   contingency, artifacts                         the band: something else is trained
none              heat, ratings, instructions                    feedback: the participant knows that there is none
================= ============================================== ================================================
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from neurofb.blinding.donors import Donor, DonorPool, Filler, Piece, is_replayable, patched
from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import Baseline
from neurofb.feedback.feedback import FeedbackSample

#: Feedback of an arm → which candidate is delivered: own, donor's, of the control feature.
PICKS = {"real": 0, "none": 0, "sham:yoked": 1, "sham:self": 1, "sham:other_band": 2}


class DonorTrack:
    """A donor's scores, value by value, for the phase and level that the recipient is in.

    Parameters
    ----------
    pool : DonorPool
    donors : sequence of Donor
        The participant's donor, then those whose scores follow where theirs end.
    session : str
        The recipient's session: the donor's of the same name is replayed.
    """

    def __init__(self, pool: DonorPool, donors: Sequence[Donor], session: str) -> None:
        self._n_fade = pool.n_fade
        angle = (np.arange(self._n_fade) + 1.0) / (self._n_fade + 1.0) * (np.pi / 2)
        self._out, self._in = np.cos(angle).tolist(), np.sin(angle).tolist()
        self._pieces: dict[tuple[str, str], list[list[Piece]]] = {}
        for donor in donors:
            mine: dict[tuple[str, str], list[Piece]] = {}
            for piece in donor.sessions.get(session, ()):
                if is_replayable(piece, self._n_fade):
                    mine.setdefault(piece.key, []).append(piece)
            for key, pieces in mine.items():
                self._pieces.setdefault(key, []).append(pieces)
        self._filled: dict[int, FloatArray] = {}
        self._fillers = {
            key: Filler(list(itertools.chain(*reversed(pieces[1:] or pieces))))
            for key, pieces in self._pieces.items()
        }
        self._scores: Iterator[float] | None = None

    def enter(self, phase: str, block: int, level: str, number: int, *, joined: bool) -> None:
        """Go on with the donor's piece of this phase, block, level and number; ``joined``: fade over from the last.

        Raises
        ------
        WrongInput
            If the pool has nothing of this phase and level, which its check refuses before a session begins.
        """
        chain = self._chain(phase, block, level, number)
        before = self._scores if joined else None
        self._scores = self._faded_in(before, chain) if before is not None else chain

    def next(self) -> float:
        """Return the score for the next value; NaN before the first piece."""
        return math.nan if self._scores is None else next(self._scores)

    def leave(self) -> None:
        """End the block: the next piece is not joined to this one."""
        self._scores = None

    def _chain(self, phase: str, block: int, level: str, number: int) -> Iterator[float]:
        """Return the scores from a piece on: the donor's pieces of its key in turn, then those of the next donors."""
        found = self._pieces.get((phase, level))
        if not found:
            raise WrongInput(
                f"no donor has scores for the phase {phase!r}; check the pool with neurofb donors check"
            )
        own = found[0]
        first = next(
            (i for i, piece in enumerate(own) if (piece.block, piece.number) >= (block, number)),
            len(own) - 1,
        )
        order = [*own[first:], *itertools.chain(*found[1:]), *own[:first]]
        return self._joined(itertools.cycle(order))

    def _joined(self, pieces: Iterator[Piece]) -> Iterator[float]:
        """Yield the scores of pieces, each faded over into the next."""
        n = self._n_fade
        now = self._scores_of(next(pieces))
        start = 0
        while True:
            self._mean = float(now.mean())
            yield from now[start : len(now) - n].tolist()
            following = self._scores_of(next(pieces))
            yield from self._mixed(
                iter(now[-n:].tolist()), iter(following[:n].tolist()), self._mean, float(following.mean())
            )
            now, start = following, n

    def _faded_in(self, before: Iterator[float], after: Iterator[float]) -> Iterator[float]:
        """Yield the scores of a new piece, to which those of the one that is left fade over."""
        of_old, first = self._mean, next(after)
        yield from self._mixed(before, itertools.chain([first], after), of_old, self._mean)
        del before  # else each piece would keep all before it
        yield from after

    def _mixed(
        self, old: Iterator[float], new: Iterator[float], old_mean: float, new_mean: float
    ) -> Iterator[float]:
        """Yield one score for each step of the fade; mean and variance stay."""
        for out, in_ in zip(self._out, self._in, strict=True):
            mean = out * out * old_mean + in_ * in_ * new_mean
            yield mean + out * (next(old) - old_mean) + in_ * (next(new) - new_mean)

    def _scores_of(self, piece: Piece) -> FloatArray:
        """Return a piece without gaps; made once."""
        if id(piece) not in self._filled:
            self._filled[id(piece)] = patched(piece.z, self._fillers[piece.key], self._n_fade // 2)
        return self._filled[id(piece)]


class Delivery:
    """Decides what is delivered; its representation does not show the arm.

    Parameters
    ----------
    feature : str
        The trained one.
    feedback : str
        Of the arm, a key of `PICKS`.
    track : DonorTrack
        There in every arm.
    control : str, optional
        The feature of another band that ``sham:other_band`` delivers.
    """

    __slots__ = ("_control", "_control_baseline", "_control_z", "_feature", "_pick", "_track", "_trained")

    def __init__(self, feature: str, feedback: str, track: DonorTrack, control: str | None = None) -> None:
        if feedback not in PICKS:
            raise WrongInput(f"there is no feedback of this kind; there are: {', '.join(PICKS)}")
        self._feature, self._control, self._track = feature, control, track
        self._pick = PICKS[feedback]
        self._trained: Baseline | None = None
        self._control_baseline: Baseline | None = None
        self._control_z = 0.0

    def __repr__(self) -> str:
        return "<Delivery>"

    @property
    def control(self) -> str | None:
        """The feature of another band; named by the protocol, the same in every arm."""
        return self._control

    def start_block(self, trained: Baseline, control: Baseline | None) -> None:
        """Start a block, whose scores are against these baselines."""
        self._trained, self._control_baseline = trained, control

    def end_block(self) -> None:
        """End the block."""
        self._trained = self._control_baseline = None
        self._track.leave()

    def enter(self, phase: str, block: int, level: str, number: int) -> None:
        """Follow the session into a piece: a block's start, or an onset of heat in it."""
        self._track.enter(phase, block, level, number, joined=self._trained is not None)

    def delivered(self, values: Sequence[FeatureValue]) -> list[FeatureValue]:
        """Return the values that feedback is made of: the trained one replaced by what the arm gets."""
        if self._trained is None:
            return list(values)
        control = {value.index: value.value for value in values if value.name == self._control}
        return [
            self._replaced(value, self._trained, control.get(value.index, math.nan))
            if value.name == self._feature
            else value
            for value in values
        ]

    def _replaced(self, value: FeatureValue, trained: Baseline, control: float) -> FeatureValue:
        if self._control_baseline is not None and math.isfinite(z := self._control_baseline.z(control)):
            self._control_z = (
                z  # the last one holds where there is none, so that usability stays the trained feature's
            )
        candidates = (value.value, trained.value(self._track.next()), trained.value(self._control_z))
        # A value that is not there or not usable stays so in every arm.
        picked = candidates[self._pick] if math.isfinite(trained.z(value.value)) else value.value
        return dataclasses.replace(value, value=picked)

    def shown(
        self, values: Sequence[FeatureValue], samples: Sequence[FeedbackSample]
    ) -> tuple[list[FeatureValue], list[FeedbackSample]]:
        """Return values and feedback as they may be sent: no number but the delivered one, where it earned."""
        earned = {sample.index for sample in samples if sample.usable}
        seen = [
            value
            if value.name == self._feature and value.index in earned
            else dataclasses.replace(value, value=math.nan)
            for value in values
        ]
        return seen, [
            sample if sample.usable else dataclasses.replace(sample, value=math.nan, z=math.nan)
            for sample in samples
        ]
