"""Estimators: the value of each feature from band power or complex bands, hop by hop; one object each.

In: power ``(n_bands, n_channels)`` in µV², or complex bands ``(n_outputs, n_channels)``. Out: a float, NaN where there
is none. Kept between hops: which channels are in use, and for synchrony its window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.artifacts import MUSCLE_DELAY_S, MUSCLE_HZ, ArtifactFinder
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.spectrum import Spectrum
from neurofb.dsp.synchrony import Synchrony
from neurofb.features.feature_specs import (
    Asymmetry,
    Band,
    MuscleIndex,
    OcularIndex,
    Power,
    Ratio,
    SynchronyOf,
    band_hz,
)
from neurofb.features.presets import AnyFeature
from neurofb.features.usability import Watch
from neurofb.spatial.filters import SpatialFilter, regions, rereference
from neurofb.spatial.montage import Montage

Reference = str | Sequence[str] | None
BandKey = tuple[float, float, float]
MUSCLE_KEY: BandKey = (*MUSCLE_HZ, MUSCLE_DELAY_S)


def usual_delay_s(low_hz: float) -> float:
    """Return the default delay of a band filter, as long as its accuracy needs (see the accuracy benchmark)."""
    if low_hz >= 7:
        return 0.1
    return 0.15 if low_hz >= 3 else 0.3


@dataclass(frozen=True, eq=False)
class Bank:
    """The one band filter that serves all features, the muscle band last."""

    keys: tuple[BandKey, ...]
    filter: BandFilter
    #: What is known of each channel, and of how sharp its rhythms are; None if nothing.
    fine: Spectrum | None = None

    @classmethod
    def of(
        cls,
        features: Sequence[AnyFeature],
        hop_size: HopSize,
        n_channels: int,
        iaf_hz: float | None,
        spectrum: Spectrum | None,
    ) -> Bank:
        """Design a filter with every band that the features name, each once."""
        keys = [key_of(feature, band, iaf_hz) for feature in features for band in feature.bands]
        unique = (*(key for key in dict.fromkeys(keys) if key != MUSCLE_KEY), MUSCLE_KEY)
        names = [f"band {i}" for i in range(len(unique))]
        filtering = BandFilter(
            {name: (low, high) for name, (low, high, _) in zip(names, unique, strict=True)},
            hop_size.rate_hz,
            n_channels,
            {name: delay_s for name, (_, _, delay_s) in zip(names, unique, strict=True)},
            None if spectrum is None else spectrum.without_fine().mean_over(),
            every=hop_size.every,
        )
        return cls(unique, filtering, None if spectrum is None or spectrum.fine is None else spectrum)

    def index(self, feature: AnyFeature, band: Band, iaf_hz: float | None) -> int:
        """Return the place of a feature's band in the bank."""
        return self.keys.index(key_of(feature, band, iaf_hz))

    def autocorrelation(self, band: int, places: Sequence[Sequence[int]]) -> ComplexArray:
        """Return that of a band's output for each place, or one for all where nothing is known of the places."""
        if self.fine is None:
            return self.filter.autocorrelation[band : band + 1]
        rows = [self.fine.mean_over(place) for place in places]
        each = [self.filter.autocorrelation_under(row, [band]) for row in rows]
        return np.concatenate(each, axis=1)

    def reach_s(self, bands: Sequence[int]) -> float:
        """Return how far back the taps of these bands reach, in s."""
        return float(self.filter.reach_s[list(bands)].max())


def key_of(feature: AnyFeature, band: Band, iaf_hz: float | None) -> BandKey:
    """Return low, high and delay of a feature's band; all bands of a feature are as late as its first."""
    delay_s = getattr(feature, "delay_s", None)
    if delay_s is None:
        delay_s = usual_delay_s(band_hz(feature.bands[0], iaf_hz)[0])
    return (*band_hz(band, iaf_hz), float(delay_s))


def band_weights(
    feature: AnyFeature, montage: Montage, bank: Bank, iaf_hz: float | None, reference: Reference
) -> list[tuple[int, FloatArray]]:
    """Return the bands of a feature, each with the weights of channels in what its power is the mean of.

    Shape of weights: (n_channels, n), a column for each channel of a place, or for the place as a whole.
    """
    bands = [bank.index(feature, band, iaf_hz) for band in feature.bands]
    labels, places = montage.labels, feature.selections
    if isinstance(feature, SynchronyOf):
        groups = {f"{i}": montage.channels(place) for i, place in enumerate(places)}
        columns = list(regions(labels, groups, reference=reference).weights.T[:, :, None])
    else:
        matrix = np.eye(len(labels)) if reference is None else rereference(labels, reference).weights
        columns = [matrix[:, list(montage.columns(place))] for place in places]
    pairs = (
        zip(bands, columns, strict=True) if isinstance(feature, Ratio) else
        ((band, column) for band in bands for column in columns)
    )  # fmt: skip
    return list(pairs)


class PowerEstimator:
    """Power, ratio or asymmetry: a formula of mean powers at one place or two."""

    slow = False
    #: Whether it reads power of channels with blinks projected out.
    projected = False

    def __init__(
        self,
        spec: Power | Ratio | Asymmetry,
        montage: Montage,
        bank: Bank,
        iaf_hz: float | None,
        reference: Reference,
    ) -> None:
        self.spec = spec
        self._places = tuple(montage.columns(place) for place in spec.selections)
        bands = [bank.index(spec, band, iaf_hz) for band in spec.bands]
        self._upper, self._lower = bands[0], bands[-1]
        self.delay_s = bank.keys[self._upper][2]
        self.reach_s = bank.reach_s(bands)
        watched = _watched(self._places, montage, reference)
        after_s = self.delay_s + 2 * spec.smoothing_s
        self.watch = Watch(watched, spec.checks, after_s, self.reach_s)
        self._columns = [list(place) for place in self._places]

    def exclude(self, out: Sequence[bool]) -> None:
        """Leave these channels out from now on."""
        self._columns = [[channel for channel in place if not out[channel]] for place in self._places]

    def value(self, power: FloatArray) -> float:
        """Return the feature from power, shape (n_bands, n_channels)."""
        spec = self.spec
        upper = _mean(power[self._upper], self._columns[0])
        if isinstance(spec, Asymmetry):
            right = _mean(power[self._upper], self._columns[1])
            return _log(right) - _log(upper)
        if isinstance(spec, Power) and spec.scale != "relative":
            return 10 / _LN10 * _log(upper) if spec.scale == "db" else upper
        lower = _mean(power[self._lower], self._columns[-1])
        ratio = upper / lower if lower > 0 else math.nan
        return 10 / _LN10 * _log(ratio) if spec.scale == "db" else ratio


class SynchronyEstimator:
    """Synchrony of places, from a window that leaves artifacts out."""

    slow = True

    def __init__(
        self, spec: SynchronyOf, montage: Montage, bank: Bank, iaf_hz: float | None, reference: Reference
    ) -> None:
        self.spec = spec
        self._labels, self._reference = montage.labels, reference
        self._groups = {f"{i} {place}": montage.channels(place) for i, place in enumerate(spec.between)}
        self.band = bank.index(spec, spec.band, iaf_hz)
        self.delay_s = bank.keys[self.band][2]
        self.reach_s = bank.reach_s([self.band])
        places = tuple(montage.columns(place) for place in spec.between)
        self.watch = Watch(_watched(places, montage, reference), spec.checks, 0.2, self.reach_s)
        self._synchrony = Synchrony(
            len(places),
            1,
            bank.filter.output_rate_hz,
            window_s=spec.window_s,
            pairs=spec.pairs or "all",
            autocorrelation=bank.autocorrelation(self.band, places),
            refuse=bank.fine is None,
            most_near=0.5 if bank.fine else 1.0,
        )
        self._spatial = self._without([])

    def exclude(self, out: Sequence[bool]) -> None:
        """Leave these channels out from now on; their weight goes to the others of the selection."""
        self._spatial = self._without([label for label, gone in zip(self._labels, out, strict=True) if gone])

    def project(self, projector: SpatialFilter) -> None:
        """Take blinks out before the channels are mixed; until the next `exclude`."""
        self._spatial = None if self._spatial is None else self._spatial.after(projector)

    def _without(self, bad: Sequence[str]) -> SpatialFilter | None:
        """Return the filter from channels to selections; None while one, or the reference, has no channel left."""
        named = () if self._reference is None or isinstance(self._reference, str) else (self._reference,)
        needed = (*self._groups.values(), *named)
        if not all(any(label not in bad for label in group) for group in needed):
            return None
        return regions(self._labels, self._groups, bad=bad, reference=self._reference)

    def process(self, z: ComplexArray, unusable: bool) -> None:
        """Add a hop of the band, shape (n_outputs, n_channels), to the window; as missing if it is not usable."""
        out = np.full((len(z), 1, len(self._groups)), complex(math.nan, math.nan))
        if not unusable and self._spatial is not None:
            out[:, 0] = project_complex(self._spatial, z)
        self._synchrony.process(out)

    @property
    def is_too_short(self) -> bool:
        """True if the window never holds enough for some pair, so sharp are the rhythms there."""
        return self._synchrony.is_too_short

    def value(self) -> float:
        """Return the mean of the measure over the pairs; NaN while the window holds too little."""
        measured: FloatArray = getattr(self._synchrony, self.spec.measure)()
        return float(np.add.reduce(measured[0]) / measured.shape[1])


class IndexEstimator:
    """The muscle or the ocular index, straight from the artifact finder."""

    slow = False
    reach_s = 1.0

    def __init__(self, spec: MuscleIndex | OcularIndex, montage: Montage, eyes: tuple[int, ...]) -> None:
        self.spec = spec
        self._muscle = isinstance(spec, MuscleIndex)
        columns = eyes
        if isinstance(spec, MuscleIndex):
            columns = tuple(montage.labels.index(label) for label in spec.channels or montage.labels)
        self._all, self._columns = columns, list(columns)
        self.delay_s = MUSCLE_DELAY_S if self._muscle else 0.0
        # It measures artifacts: only contact may make it unusable.
        self.watch = Watch((), (), 0.0, 0.0)

    def exclude(self, out: Sequence[bool]) -> None:
        """Leave these channels out from now on."""
        self._columns = [channel for channel in self._all if not out[channel]]

    def value(self, finder: ArtifactFinder) -> float:
        """Return the index: that of the channel that has most of it."""
        if not self._columns:
            return math.nan
        measured = finder.muscle_db if self._muscle else finder.swing
        return float(np.maximum.reduce(measured[self._columns]))


#: Up to so many channels, each weighs enough in an average reference to spoil it.
SMALL_AVERAGE = 16


def _watched(
    places: tuple[tuple[int, ...], ...], montage: Montage, reference: Reference
) -> tuple[tuple[int, ...], ...]:
    """Return the places to watch: a feature's own, and the reference, which is in every channel.

    Of an average of many channels a single one is not felt; it is not watched.
    """
    if reference is None:
        return places
    if isinstance(reference, str):
        n = len(montage.labels)
        return (*places, tuple(range(n))) if n <= SMALL_AVERAGE else places
    return (*places, tuple(montage.labels.index(label) for label in reference))


Estimator = PowerEstimator | SynchronyEstimator | IndexEstimator
_LN10 = math.log(10)


def _mean(power: FloatArray, columns: Sequence[int]) -> float:
    if not columns:
        return math.nan
    total = 0.0
    for column in columns:
        total += power.item(column)
    return total / len(columns)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else math.nan


def project_complex(spatial: SpatialFilter, z: ComplexArray) -> ComplexArray:
    """Mix the last axis of complex bands by a spatial filter: real and imaginary parts as rows of their own.

    Filters that are the same for all channels and mixing commute, so weights may change from one hop to the next
    without a step in front of the filter, which would ring.
    """
    parts = np.stack([z.real, z.imag])
    mixed = spatial.process(parts.reshape(-1, z.shape[-1])).reshape(*parts.shape[:-1], -1)
    out: ComplexArray = mixed[0] + 1j * mixed[1]
    return out
