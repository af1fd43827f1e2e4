"""Holes in a recorded stream, from one sample up: found where its time stamps stay later than the samples explain.

In: time stamps, piece by piece, and the rate that the stream states. Out: the rate at which samples came, and before
which of them how many are missing. Kept: one level for each stretch without a jump; never all stamps.

A stamp's *level* is how far it is ahead of its sample's number at the rate at which samples really came, in samples.
Missing samples raise the level for good, jitter does not. Where stamps are steady (the usual case: most steps within a
quarter of the period) every step that is off by half a sample begins a new stretch, and the stretches' levels say
what is missing between them. As time does not run backwards, a few stamps whose level is above that of what follows,
or below that of what came before, are wrong, and move nothing: the heaviest series of stretches with rising levels is
right.
Where stamps scatter more (stamped on arrival, in bursts), ``SampleIndexer`` decides, as it does on a live stream.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurofb.acquisition.readers.recording import Break, runs_of
from neurofb.acquisition.sample_indexing import SampleIndexer
from neurofb.chunk import FloatArray

#: Steps between stamps are steady that are within this part of the period (assumed), if so many of them are.
_STEADY_STEP, _STEADY_SHARE = 0.3, 0.8
#: A level is the middle of so many stamps at the end of a stretch: a few wrong or late ones do not move it.
_LEVEL_SAMPLES = 64
#: A stretch off its neighbours' level for longer is no glitch: the sender's clock was set there.
_GLITCH_S = 1.0
#: Stamps in other units than seconds: what they are called, and how many are a second.
_UNITS = {"milliseconds": 1e3, "microseconds": 1e6, "nanoseconds": 1e9}
#: Rates off by more than this are told, and beyond the second the measured one is used.
_RATE_TOLD, _RATE_WRONG = 0.005, 0.01
#: Scattered stamps tell a rate less well: losses alone can look like this much.
_RATE_WRONG_SCATTERED = 0.1
_LAG = 64
#: Steps that are too short are glitches if there are so few of them, or so small a part (assumed).
_FEW_SHORT, _SHORT_SHARE = 8, 0.003
#: No device sends more samples at once; fewer stand apart by chance where each stamp scatters by itself.
_LEAST_TOGETHER, _MOST_TOGETHER = 4, 256


@dataclass(frozen=True, slots=True)
class StampSurvey:
    """What a stream's stamps are like."""

    #: How many of their unit are a second, and what that unit is called; 1 and "seconds" as a rule.
    per_s: float
    unit: str
    #: The rate at which samples came; NaN if the stamps do not say.
    rate_hz: float
    #: Whether nearly every step between stamps is a period.
    is_steady: bool
    #: How many samples come together, by steps that stand out; 1 if none do.
    together: int = 1
    #: Whether those that come together have one stamp, that of their arrival.
    in_bursts: bool = False


def survey(pieces: Iterable[FloatArray], nominal_hz: float) -> StampSurvey:
    """Return what stamps are like, judged by some pieces of successive ones."""
    finite = [stamps[np.isfinite(stamps)] for stamps in pieces]
    finite = [stamps for stamps in finite if len(stamps) > 1]
    if not finite:
        return StampSurvey(1.0, "seconds", np.nan, False)
    step = np.concatenate([np.diff(stamps) for stamps in finite])
    usual = float(np.median(step))
    steady = np.abs(step / usual - 1.0) < _STEADY_STEP if usual > 0 else np.zeros(len(step), dtype=bool)
    # Holes only lengthen steps: where many are short as well, packets come with a jitter of their own.
    n_short = int((step < (1.0 - _STEADY_STEP) * usual).sum())
    scatters = n_short > _FEW_SHORT and n_short > _SHORT_SHARE * len(step)
    is_steady = bool(steady.mean() >= _STEADY_SHARE) and not scatters
    together = _together(finite, usual if steady.mean() >= _STEADY_SHARE else 0.0)
    period = float(step[steady].mean()) if is_steady else _period(finite, together)
    if not (np.isfinite(period) and period > 0):
        return StampSurvey(1.0, "seconds", np.nan, False)
    in_bursts = together > 1 and usual < _STEADY_STEP * period
    for unit, per_s in _UNITS.items():
        if 0.5 < period * nominal_hz / per_s < 2.0:
            return StampSurvey(per_s, unit, per_s / period, is_steady, together, in_bursts)
    return StampSurvey(1.0, "seconds", 1.0 / period, is_steady, together, in_bursts)


def _together(pieces: list[FloatArray], usual: float) -> int:
    """Return how many samples come together: the commonest distance between steps that stand out; 1 if none is common.

    ``usual`` is the usual step, 0 if steps have no usual length.
    """
    distances = []
    for stamps in pieces:
        step = np.diff(stamps)
        if usual > 0:
            edges = np.flatnonzero(np.abs(step / usual - 1.0) >= _STEADY_STEP)
        else:
            edges = np.flatnonzero(step > (stamps[-1] - stamps[0]) / len(step))
        distances.append(np.diff(edges))
    found = np.concatenate(distances)
    found = found[found < _MOST_TOGETHER]
    counts = np.bincount(found) if len(found) else np.zeros(1, dtype=np.int64)
    commonest = int(counts.argmax())
    is_common = counts[commonest] * 3 > len(found) and len(found) > _FEW_SHORT
    return commonest if is_common and commonest >= _LEAST_TOGETHER else 1


def _period(pieces: list[FloatArray], together: int) -> float:
    """Return the middle of the periods over whole packets."""
    lagged = []
    for stamps in pieces:
        lag = min(-(-_LAG // together) * together, len(stamps) - 1)
        lagged.append((stamps[lag:] - stamps[:-lag]) / lag)
    return float(np.median(np.concatenate(lagged)))


def true_rate_hz(found: StampSurvey, nominal_hz: float, notes: list[str]) -> float:
    """Return the rate at which to play: the stream's own, unless its samples plainly came at another."""
    if not np.isfinite(found.rate_hz):
        notes.append("its time stamps do not rise, so they cannot tell whether samples are missing")
        return nominal_hz
    off = abs(found.rate_hz / nominal_hz - 1.0)
    wrong = _RATE_WRONG if found.is_steady else _RATE_WRONG_SCATTERED
    if off > _RATE_TOLD:
        taken = f"; {found.rate_hz:.2f} Hz is taken, by its time stamps" if off > wrong else ""
        notes.append(f"samples came at {found.rate_hz:.2f} Hz, but the stream says {nominal_hz:g} Hz{taken}")
    return round(found.rate_hz, 2) if off > wrong else nominal_hz


def find_holes(
    times: Callable[[], Iterator[FloatArray]],
    found: StampSurvey,
    rate_hz: float,
    packet_samples: int,
    notes: list[str],
) -> list[Break]:
    """Return before which samples others are missing.

    Parameters
    ----------
    times : callable
        Begins to give all times of the stream in s, on one clock, in pieces.
    found : StampSurvey
    rate_hz : float
        The rate that counts.
    packet_samples : int
        How many samples are lost together, if stamps scatter too much to tell.
    notes : list of str
        Gets what was odd.
    """
    if not np.isfinite(found.rate_hz):
        return []
    if not found.is_steady:
        pieces = _spread(times(), 1.0 / found.rate_hz) if found.in_bursts else times()
        return _holes_by_indexer(pieces, rate_hz, packet_samples if packet_samples > 1 else found.together)
    stretches = _Stretches(1.0 / found.rate_hz)
    for piece in times():
        stretches.push(piece)
    return stretches.holes(notes)


def _spread(pieces: Iterator[FloatArray], period_s: float) -> Iterator[FloatArray]:
    """Return times of which those of one burst lie periods apart, the last at its stamp."""
    waiting = np.empty(0)
    for piece in pieces:
        times_s = np.concatenate((waiting, piece))
        begins = np.flatnonzero(np.diff(times_s, prepend=-np.inf) > 0.5 * period_s)
        done = int(begins[-1]) if len(begins) else 0
        yield _spread_back(times_s[:done], begins, period_s)
        waiting = times_s[done:]
    yield _spread_back(waiting, np.zeros(1, dtype=np.int64), period_s)


def _spread_back(times_s: FloatArray, begins: NDArray[np.int64], period_s: float) -> FloatArray:
    n = len(times_s)
    ends = np.append(begins[(begins > 0) & (begins < n)], n) - 1
    index = np.arange(n)
    spread: FloatArray = times_s - (ends[np.searchsorted(ends, index)] - index) * period_s
    return spread


def _holes_by_indexer(pieces: Iterator[FloatArray], rate_hz: float, packet_samples: int) -> list[Break]:
    indexer = SampleIndexer(rate_hz, packet_samples)
    breaks: list[Break] = []
    n_stored = n_missing = 0
    for present in _placed(indexer, pieces):
        at = 0
        for first, n in runs_of(present):
            n_missing += first - at
            if n_missing:
                breaks.append(Break(n_stored, n_missing))
            n_stored, n_missing, at = n_stored + n, 0, first + n
        n_missing += len(present) - at
    return breaks


def _placed(indexer: SampleIndexer, pieces: Iterator[FloatArray]) -> Iterator[NDArray[np.bool_]]:
    last_s = 0.0
    for piece in pieces:
        filled, last_s = _filled(piece, last_s, 1.0 / indexer.clock.nominal_hz)
        yield indexer.push(filled).present
    yield indexer.flush().present


def _filled(times_s: FloatArray, last_s: float, period_s: float) -> tuple[FloatArray, float]:
    """Return times with impossible ones replaced by periods counted from the last possible one, and the last."""
    fine = np.isfinite(times_s)
    if not fine.all():
        at = np.maximum.accumulate(np.where(fine, np.arange(len(times_s)), -1))
        since = np.arange(len(times_s)) - at
        times_s = np.where(at >= 0, times_s[at], last_s) + since * period_s
    return times_s, float(times_s[-1]) if len(times_s) else last_s


@dataclass(slots=True)
class _Stretch:
    """Successive samples without a jump in their stamps; levels in samples."""

    first: int
    n_samples: int = 0
    head: FloatArray = field(default_factory=lambda: np.empty(0))
    tail: FloatArray = field(default_factory=lambda: np.empty(0))
    start: float = 0.0
    end: float = 0.0

    def add(self, levels: FloatArray) -> None:
        self.n_samples += len(levels)
        if len(self.head) < _LEVEL_SAMPLES:
            self.head = np.concatenate((self.head, levels[: _LEVEL_SAMPLES - len(self.head)]))
        self.tail = np.concatenate((self.tail, levels[-_LEVEL_SAMPLES:]))[-_LEVEL_SAMPLES:]

    def close(self) -> None:
        self.start, self.end = float(np.median(self.head)), float(np.median(self.tail))
        self.head = self.tail = np.empty(0)


class _Stretches:
    """The stretches of a stream with steady stamps.

    Parameters
    ----------
    period_s : float
        The measured one.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._closed: list[_Stretch] = []
        self._open = _Stretch(0)
        self._n = 0
        self._zero_s = self._last_s = 0.0

    def push(self, times_s: FloatArray) -> None:
        """Add the next times."""
        if not len(times_s):
            return
        if self._n == 0:
            fine = times_s[np.isfinite(times_s)]
            self._zero_s = float(fine[0]) if len(fine) else 0.0
            self._last_s = self._zero_s - self._period_s
        times_s, last_s = _filled(times_s, self._last_s, self._period_s)
        steps = np.diff(times_s, prepend=self._last_s) / self._period_s
        levels = (times_s - self._zero_s) / self._period_s - np.arange(self._n, self._n + len(times_s))
        jumps = np.flatnonzero(np.abs(steps - 1.0) > 0.5).tolist()
        edges = [*jumps, len(times_s)]
        if edges[0]:  # what comes first goes on where the last piece ended
            self._open.add(levels[: edges[0]])
        for start, stop in itertools.pairwise(edges):
            self._begin(self._n + start)
            self._open.add(levels[start:stop])
        self._n, self._last_s = self._n + len(times_s), last_s

    def _begin(self, first: int) -> None:
        if self._open.n_samples:
            self._open.close()
            self._closed.append(self._open)
            self._open = _Stretch(first)

    def holes(self, notes: list[str]) -> list[Break]:
        """Return the holes, once all times are there."""
        self._begin(self._n)
        stretches = self._closed
        if len(stretches) < 2:
            return []
        base, bases = 0.0, [0.0]
        for before, after in itertools.pairwise(stretches):
            base += after.start - before.end
            bases.append(base)
        return self._between(list(range(len(stretches))), bases, notes)

    def _between(self, which: list[int], bases: list[float], notes: list[str]) -> list[Break]:
        """Return the holes between stretches; where time cannot have them in this order, the lighter move nothing."""
        stretches = self._closed
        kept = heaviest_rising([bases[i] for i in which], [stretches[i].n_samples for i in which])
        breaks = []
        for before, after in itertools.pairwise(kept):
            missing = round(bases[which[after]] - bases[which[before]])
            if missing > 0:
                breaks.append(Break(stretches[which[after]].first, missing))
        in_kept, run, glitches = set(kept), list[int](), list[list[int]]()
        for place, i in enumerate(which):
            if place in in_kept:
                run = []
            else:
                if not run:
                    glitches.append(run)
                run.append(i)
        n_wrong = 0
        for run in glitches:
            n_samples = sum(stretches[i].n_samples for i in run)
            if n_samples * self._period_s <= _GLITCH_S:
                n_wrong += n_samples
                continue
            for i in (run[0], run[-1] + 1):
                if 0 < i < len(stretches) and (step := bases[i] - bases[i - 1]) < -0.5:
                    back_s = -(step + 1.0) * self._period_s
                    notes.append(
                        f"the clock was set back by {back_s:.3f} s; the samples before and after are joined"
                    )
            breaks += self._between(run, bases, notes)
        if n_wrong:
            notes.append(f"{n_wrong} time stamps do not fit those around them, and move nothing")
        return breaks


def heaviest_rising(levels: list[float], weights: list[int]) -> list[int]:
    """Return the places of the series of levels, each at most half a sample below any before it, that weighs most."""
    rounded = [round(level) for level in levels]
    if all(after >= before for before, after in itertools.pairwise(rounded)):
        return list(range(len(levels)))
    ranks = sorted(set(rounded))
    # A binary indexed tree of the heaviest series that ends at a level or below: (weight, its last place).
    tree = [(0, -1)] * (len(ranks) + 1)
    before = [-1] * len(levels)
    best = (0, -1)
    for place, (level, weight) in enumerate(zip(rounded, weights, strict=True)):
        rank = at = bisect_right(ranks, level)
        heaviest = (0, -1)
        while at > 0:
            heaviest, at = max(heaviest, tree[at]), at & (at - 1)
        before[place] = heaviest[1]
        entry = (heaviest[0] + weight, place)
        best = max(best, entry)
        while rank < len(tree):
            tree[rank], rank = max(tree[rank], entry), rank + (rank & -rank)
    series = []
    place = best[1]
    while place >= 0:
        series.append(place)
        place = before[place]
    return series[::-1]
