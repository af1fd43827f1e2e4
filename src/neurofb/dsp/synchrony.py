"""Synchrony between channels or regions from complex bands: each sample, each pair, in constant time.

In: a band filter's output ``(n_samples, n_bands, n_channels)``. Out, whenever asked: measures
``(n_bands, n_pairs)``. Kept between chunks: running sums for each pair, and the samples that will leave them.

Which measure for what (formulas: Nolte 2004, Lachaux 1999, Bruña 2018, Stam 2007, Vinck 2011, Hipp 2012):

- *Reward*: `Synchrony.debiased_wpli2` and `Synchrony.imaginary_coherence`. What two electrodes share at no lag,
  volume conduction above all, does not enter them.
- *Display and quality control only*: `Synchrony.coherence`, `Synchrony.plv`. One source seen by two electrodes
  makes them high without any synchrony between regions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.channel_pairs import Pairing
from neurofb.dsp.checks import complex_parts, count, positive, window_or_decay
from neurofb.dsp.effective_samples import (
    default_autocorrelation,
    effective_samples,
    independence,
    near_samples,
    null_level,
)
from neurofb.dsp.null_simulation import level_of, simulated_measures
from neurofb.errors import WrongInput, WrongShape

#: Samples taken into the sums in one go: a pair's sums are fetched and stored once for all of them.
BLOCK = 8
#: Exponential weights are followed for this many time constants.
TAIL = 6.0
#: Null levels of windows with more independent samples go by those of so many.
ENOUGH = 25.0
#: Channels whose numbers of independent samples differ by less than this share are of one kind to null levels.
KIND = 0.08


class Synchrony:
    """Synchrony of pairs of channels in each band.

    Parameters
    ----------
    n_channels, n_bands : int
        Size of the filter's output.
    rate_hz : float
        Rate of the filter's output.
    window_s : float, optional
        Measures over exactly this long a box.
    time_constant_s : float, optional
        Measures with exponential weights, 1/e after this long: cheaper, and at equal noise
        (2·time_constant_s = window_s) quicker to react. Give one of the two.
    pairs : "all" or sequence of (int, int)
        Pairs of channels; "all" in the order of ``numpy.triu_indices(n_channels, 1)``.
    autocorrelation : array_like of shape (n_bands, n_channels or 1, n_lags), or "independent", optional
        What the filter makes of its input: ``BandFilter.autocorrelation``. It tells how many samples are
        independent and which are too near each other to be told from a repeat. "independent" is for thinned
        samples or epochs. Default: a flat band 4 Hz wide.
    least_samples : float
        Effective number of independent samples below which a pair's measures are not given (NaN).
    refuse : bool
        Whether a window that is too short for all pairs is refused; if not, nothing is given (`is_too_short`).
    most_near : float
        Share of the window (of two time constants) that samples may be near each other: a pair of rhythms so sharp
        that theirs are for longer is not given.

    See Also
    --------
    Synchrony.of : the same from a band filter, which knows the middle three.

    Notes
    -----
    A sample enters a pair's sums where both channels are present (not NaN); a gap in one channel leaves the pairs of
    others untouched. The sums over a box are begun anew with every window: rounding does not build up.

    How little unrelated channels read is as true as the autocorrelation. A filter designed for the participant's
    own baseline knows how narrow their rhythm is (`Spectrum.fine`), down to 0.2 Hz. One designed for the prior
    does not: two independent alpha rhythms 1.2 Hz wide, twelve times as strong as the rest of their band, then read
    0.13 (2 s) and 0.07 (4 s) in `debiased_wpli2` instead of 0.02 and 0.01, and 30 % of windows lie above the 95 %
    level of `coherence`.
    """

    def __init__(
        self,
        n_channels: int,
        n_bands: int,
        rate_hz: float,
        window_s: float | None = None,
        time_constant_s: float | None = None,
        pairs: Literal["all"] | Sequence[tuple[int, int]] = "all",
        *,
        autocorrelation: ArrayLike | Literal["independent"] | None = None,
        least_samples: float = 3.0,
        refuse: bool = True,
        most_near: float = 0.5,
    ) -> None:
        self._n_channels, self._n_bands = count(n_channels, "n_channels"), count(n_bands, "n_bands")
        self._rate_hz = positive(rate_hz, "rate_hz")
        window_or_decay(window_s, time_constant_s)
        self._pairing = Pairing.of(pairs, self._n_channels)
        self._window = None if window_s is None else max(2, round(positive(window_s, "window_s") * rate_hz))
        self._decay = 1.0
        if time_constant_s is not None:
            self._decay = math.exp(-1 / (positive(time_constant_s, "time_constant_s") * self._rate_hz))
        repeats = _autocorrelation(autocorrelation, self._n_bands, self._n_channels, self._rate_hz)
        self._repeats = repeats
        self._simulated: dict[tuple[int, int, int, int], Mapping[str, FloatArray]] = {}
        longest = (self._window or round(4 * TAIL * self._rate_hz * (time_constant_s or 0) + 64)) - 2
        span = self._window or 2 * self._rate_hz * (time_constant_s or 0)
        most = max(0, min(longest, int(positive(most_near, "most_near") * span)))
        self._near = np.array([min(near_samples(r), most) for r in repeats], np.int64)
        weights = self._full_weights()
        self._independence = [independence(weights, r, self._pairing.pairs) for r in repeats]
        least = [table.weight_for(positive(least_samples, "least_samples")) for table in self._independence]
        if most < longest:
            least = [
                np.where(_repeats_for(r, self._pairing.pairs) > most, np.inf, each)
                for r, each in zip(repeats, least, strict=True)
            ]
        if refuse:
            self._refuse_too_short(least, least_samples)
        # The sum of exponential weights nears its limit from below; rounding must not keep it from the last step.
        self._least_weight = np.stack(least) * (1 - 1e-9)
        self._allocate()

    def _allocate(self) -> None:
        reach = self._window if self._window is not None else int(self._near.max())
        self._ring = np.zeros((reach + BLOCK + 2, self._n_bands, _kernels.FIELDS, self._pairing.n_columns))
        shape = (self._n_bands, self._pairing.n_groups, _kernels.SUMS_PER_PAIR, _kernels.LANES)
        self._sums = np.zeros(shape)
        self._peak = np.zeros((*shape[:2], _kernels.LANES))
        if self._window is not None:
            self._fresh = np.zeros(shape)
            self._ahead = np.zeros((2, *shape[:2], 2, _kernels.LANES))
        self._least_in_lanes = self._pairing.in_lanes(self._least_weight)
        self._decay_near: FloatArray = np.power(self._decay, self._near + 1.0)
        self._at: int = 0
        self._pending: int = 0
        self._age: int = 0
        self._read_out: bool = False

    @classmethod
    def of(
        cls,
        bands: BandFilter,
        *,
        window_s: float | None = None,
        time_constant_s: float | None = None,
        pairs: Literal["all"] | Sequence[tuple[int, int]] = "all",
        least_samples: float = 3.0,
        refuse: bool = True,
        most_near: float = 0.5,
    ) -> Synchrony:
        """Return the synchrony of a band filter's output, with the autocorrelation that filter declares."""
        return cls(
            bands.n_channels,
            bands.n_bands,
            bands.output_rate_hz,
            window_s,
            time_constant_s,
            pairs,
            autocorrelation=bands.autocorrelation,
            least_samples=least_samples,
            refuse=refuse,
            most_near=most_near,
        )

    # -- what comes in -----------------------------------------------------------------------------------------

    def process(self, z: ArrayLike) -> None:
        """Add a chunk of complex bands, shape (n_samples, n_bands, n_channels), to the running sums."""
        parts = complex_parts(z, self._n_bands, self._n_channels)
        start = 0
        while start < len(parts):
            stop = start + BLOCK - self._pending
            piece = parts[start:stop]
            self._at = _kernels.store_columns(piece, self._pairing.column_channel, self._ring, self._at)
            self._pending += len(piece)
            if self._pending == BLOCK:
                self._process_block()
            start = stop
        self._read_out = self._read_out and len(parts) == 0

    def _process_block(self) -> None:
        """Update the sums. Which samples share a call makes no difference to any of them."""
        groups = (self._pairing.group_seed, self._pairing.group_column)
        if self._window is None:
            _kernels.synchrony_exponential(
                self._ring,
                self._at,
                self._pending,
                *groups,
                self._near,
                self._decay_near,
                self._decay,
                self._sums,
            )
            self._pending = 0
        while self._pending and self._window is not None:
            n = min(self._pending, self._window - self._age)
            at = (self._at - (self._pending - n)) % len(self._ring)
            _kernels.synchrony_box(
                self._ring,
                at,
                n,
                self._window,
                self._age,
                *groups,
                self._near,
                self._sums,
                self._fresh,
                self._ahead,
                self._peak,
            )
            self._age = (self._age + n) % self._window
            self._pending -= n

    # -- what comes out ----------------------------------------------------------------------------------------

    @property
    def pairs(self) -> NDArray[np.int64]:
        """Channels of each pair, shape (n_pairs, 2)."""
        return self._pairing.pairs.copy()

    def coherence(self) -> FloatArray:
        """Return |E[xy*]| / √(E|x|² E|y|²), 0–1. For display: volume conduction raises it; see `null_level`."""
        return self._measure("coherence")

    def debiased_coherence2(self) -> FloatArray:
        """Return squared coherence with the mean that unrelated noise reads taken out: (N coh² - 1) / (N - 1).

        For display: volume conduction raises it.
        """
        share = 1 / self.effective_samples()
        debiased: FloatArray = (self._measure("coherence") ** 2 - share) / (1 - share)
        return debiased

    def imaginary_coherence(self) -> FloatArray:
        """Return Im E[xy*] / √(E|x|² E|y|²), -1–1; above 0 where the first channel of the pair leads."""
        return self._measure("imaginary_coherence")

    def plv(self) -> FloatArray:
        """Return the phase-locking value |E[xy*/|xy*|]|, 0–1. For display: volume conduction raises it."""
        return self._measure("plv")

    def ciplv(self) -> FloatArray:
        """Return the corrected imaginary phase-locking value |Im u| / √(1 - (Re u)²) of u = E[xy*/|xy*|], 0–1."""
        return self._measure("ciplv")

    def wpli(self) -> FloatArray:
        """Return the weighted phase-lag index |E[v]| / E|v| of v = Im xy*, 0–1; few samples raise it."""
        return self._measure("wpli")

    def debiased_wpli2(self) -> FloatArray:
        """Return the debiased squared weighted phase-lag index, at most 1: around 0 for unrelated channels.

        Σ v v' / Σ |v||v'| over all pairs of samples too far apart to repeat each other (`near_s`). With
        ``autocorrelation="independent"`` these are all pairs but each sample with itself, the textbook's formula.
        NaN where rounding hides it: over a box, for up to a window more after an artifact some hundred times the
        signal has left, until the sums are begun anew.
        """
        return self._measure("debiased_wpli2")

    def aec_orth(self) -> FloatArray:
        """Return the orthogonalised amplitude correlation, -1 to 1; mean of both directions."""
        return self._measure("aec_orth")

    def effective_samples(self) -> FloatArray:
        """Return the effective number of independent samples, shape (n_bands, n_pairs); NaN where too few."""
        self._read()
        numbers = np.stack([table.at(w) for table, w in zip(self._independence, self._weights, strict=True)])
        return np.where(self._weights >= self._least_weight, numbers, np.nan)

    @property
    def is_too_short(self) -> bool:
        """True if for some pair the full window holds fewer than ``least_samples``: it never gets a value."""
        return bool(np.isinf(self._least_weight).any())

    def null_level(self, measure: str, quantile: float = 0.95) -> FloatArray:
        """Return the level that unrelated channels stay below in ``quantile`` of windows, shape (n_bands, n_pairs).

        From windows of noise with the channels' own autocorrelation (`neurofb.dsp.null_simulation`); of independent
        samples, exact (`neurofb.dsp.effective_samples.null_level`). NaN where too few samples are there, and where
        so large a share of unrelated windows reads 1 that nothing can be above it. The first call takes up to a
        second for each kind of channels.
        """
        samples = self.effective_samples()
        if self._repeats.shape[-1] == 1:
            return null_level(measure, samples, quantile)
        null_level(measure, np.array([]), quantile)  # refuses what it does not know
        levels = np.full_like(samples, np.nan)
        for band, pair in np.argwhere(np.isfinite(samples)).tolist():
            levels[band, pair] = self._level(measure, quantile, band, pair, samples.item(band, pair))
        return levels

    def _level(self, measure: str, quantile: float, band: int, pair: int, samples: float) -> float:
        """Return the level of one pair: as of the longest window looked at that holds no more than there is."""
        table, kinds = self._independence[band], self._kinds[band]
        rows = self._pairing.pairs[pair] if len(kinds) > 1 else (0, 0)
        first, second = sorted(int(kinds[row]) for row in rows)
        row = table.samples[pair if len(table.samples) > 1 else 0]
        least = int(np.searchsorted(row, 2.0))
        fill = max(least, int(np.searchsorted(row, min(samples, ENOUGH) * (1 + 1e-9), side="right")) - 1)
        key = (band, first, second, fill)
        if key not in self._simulated:
            weights = self._full_weights()
            n = int(np.searchsorted(np.cumsum(weights), table.weights[fill] * (1 - 1e-9))) + 1
            near = min(int(self._near[band]), n - 2)
            repeats = self._repeats[band]
            self._simulated[key] = simulated_measures(weights[:n], repeats[first], repeats[second], near)
        level = level_of(self._simulated[key][measure], quantile)
        if row.item(fill) >= samples * (1 - 1e-6):
            return level
        held, asked = null_level(measure, np.array([row.item(fill), samples]), quantile)
        shrunk: float = level * asked / held if 0 < asked < held else level
        return shrunk

    @functools.cached_property
    def _kinds(self) -> list[NDArray[np.int64]]:
        """Of each band and row of the autocorrelation, the row that stands for it: no less alike to itself."""
        weights = self._full_weights()
        kinds = []
        for repeats in self._repeats:
            own = np.log([effective_samples(weights, row) for row in repeats])
            stands = np.zeros(len(own), np.int64)
            leader = -1
            for row in np.argsort(own, kind="stable").tolist():
                if leader < 0 or own[row] - own[leader] > KIND:
                    leader = row
                stands[row] = leader
            kinds.append(stands)
        return kinds

    @property
    def near_s(self) -> FloatArray:
        """Samples of each band no further apart than this are left out of debiasing, in seconds."""
        near: FloatArray = self._near / self._rate_hz
        return near

    def _measure(self, name: str) -> FloatArray:
        self._read()
        values: FloatArray = self._out[_kernels.MEASURES.index(name)]
        return values

    def _read(self) -> None:
        if self._read_out:
            return
        self._process_block()
        # New arrays each time: what was given out before stays as it is.
        self._out = np.empty((len(_kernels.MEASURES), self._n_bands, self._pairing.n_pairs))
        self._weights = np.empty((self._n_bands, self._pairing.n_pairs))
        _kernels.synchrony_read(
            self._sums, self._peak, self._pairing.pair_of, self._least_in_lanes, self._out, self._weights
        )
        self._read_out = True

    # -- how it is made ----------------------------------------------------------------------------------------

    def _refuse_too_short(self, least: Sequence[FloatArray], least_samples: float) -> None:
        for table, each in zip(self._independence, least, strict=True):
            if not np.isinf(each).all():
                continue
            most = table.samples.max()
            longer = max(least_samples / most, 1.1)
            raise WrongInput(
                f"this window ever holds {most:.1f} independent samples of a band, fewer than "
                f"least_samples={least_samples:g}: no measure could be given. Make it at least "
                f"{longer:.1f} times as long, or widen the band"
                if most < least_samples
                else f"samples of a rhythm as sharp as this are alike for longer than the window allows "
                f"({most:.1f} independent ones): make it twice as long, or widen the band"
            )

    def _full_weights(self) -> FloatArray:
        if self._window is not None:
            return np.ones(self._window)
        length = math.ceil(TAIL / -math.log(self._decay)) if self._decay else 1
        weights: FloatArray = np.power(self._decay, np.arange(length, dtype=np.float64))
        return weights


def _autocorrelation(
    given: ArrayLike | Literal["independent"] | None, n_bands: int, n_channels: int, rate_hz: float
) -> NDArray[np.complex128]:
    if given is None:
        return np.tile(default_autocorrelation(rate_hz), (n_bands, 1, 1))
    if isinstance(given, str):
        if given != "independent":
            raise WrongInput(f'autocorrelation is an array, None or "independent", found {given!r}')
        return np.ones((n_bands, 1, 1), complex)
    array = np.asarray(given, dtype=np.complex128)
    if array.ndim != 3 or len(array) != n_bands or array.shape[1] not in (1, n_channels) or not array.size:
        raise WrongShape(
            f"autocorrelation needs shape ({n_bands}, {n_channels} or 1, n_lags), found {array.shape}"
        )
    if not np.allclose(array[..., 0], 1.0) or not np.isfinite(array).all():
        raise WrongInput("autocorrelation is 1 at lag 0 and finite everywhere")
    return array


def _repeats_for(autocorrelation: NDArray[np.complex128], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return up to which lag the samples of each pair, or of all, are near: that of the less sharp of the two."""
    own = np.array([near_samples(row[None]) for row in autocorrelation])
    return own if len(own) == 1 else np.minimum(own[pairs[:, 0]], own[pairs[:, 1]])
