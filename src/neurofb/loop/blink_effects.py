"""What the participant's own blinks and glances do to each feature, as it is and with them projected out.

In: samples of the baselines in which the eyes are open, features, montage. Out: a frozen `BlinkFit` of the topography
and a `BlinkEffect` for each feature, which JSON holds to the last bit (``baseline.json``); by that a feature goes on in
blinks, goes on from projected channels, or is withheld. Nothing is kept.

Nothing is judged on what it was measured on: of two halves of the blinks each gives a projector, which the other half
and the other half of the EEG beside blinks judge. How far a blink reaches into a feature is told by the forehead: its
waveform below 8 Hz is regressed on the feature's channels, and what the forehead has of the feature's band arrives
there by these weights; the bound is 99 % over blinks (jackknife). So the question can be decided with ten blinks, for
which the power itself, unsure by a decibel, is too few. It has a veto: if power in blinks is surely higher, something
else than that waveform arrives, and the feature is withheld.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.artifacts import eye_channels
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.spectrum import Spectrum
from neurofb.features.feature_estimators import Bank, Reference, band_weights
from neurofb.features.feature_specs import MuscleIndex, OcularIndex
from neurofb.features.presets import AnyFeature
from neurofb.spatial.blinks import (
    BLINK_HZ,
    EEG_HZ,
    FEWEST_BLINKS,
    BlinkTopography,
    EyeActivity,
    banded_parts,
    blink_topography,
    eye_activity,
    eye_weights,
    n_projected,
)
from neurofb.spatial.montage import Montage

#: A feature goes on as it is if blinks move it by less than this, dB, at the 99 % level.
BOUND_DB = 0.25
#: It goes on from projected channels if less than this is left at the 99 % level, and if projecting changes it by less
#: beside blinks. (75 s of baseline tell what is left in frontal theta to 0.3–0.6 dB; what is left is
#: 0.2 dB at most in the middle of people, and 0.3 in the worst of sixteen.)
LEFT_DB, BESIDE_DB = 0.5, 0.25
#: Beside blinks, halves are made of pieces so long.
_PIECE_S = 5.0

Blinks = Literal["withhold", "project"]
Course = Literal["goes on", "projected", "withheld"]


@dataclass(frozen=True, slots=True)
class BlinkEffect:
    """What blinks do to one feature, dB."""

    feature: str
    #: The feature's whole declaration as JSON, and the reference: others need another baseline.
    declared: str
    reference: str
    #: By how much blinks raise it at most (99 %), and by how much its power is higher in them at least (99 %).
    at_most_db: float
    at_least_db: float
    #: The same of projected channels, and what projecting changes beside blinks; None where nothing is projected.
    projected_at_most_db: float | None = None
    projected_at_least_db: float | None = None
    projected_beside_db: float | None = None

    def course(self, blinks: Blinks) -> Course:
        """Return how the feature is treated in blinks."""
        if self.at_most_db < BOUND_DB and self.at_least_db < BOUND_DB:
            return "goes on"
        if blinks == "withhold" or self.projected_at_most_db is None:
            return "withheld"
        assert self.projected_at_least_db is not None
        assert self.projected_beside_db is not None
        is_small = self.projected_at_most_db < LEFT_DB and self.projected_at_least_db < BOUND_DB
        return "projected" if is_small and abs(self.projected_beside_db) < BESIDE_DB else "withheld"

    def describe(self, blinks: Blinks) -> str:
        """Return what is done in blinks and why, in one sentence."""
        raw = f"blinks move it by up to {self.at_most_db:.2f} dB"
        if self.at_most_db < BOUND_DB <= self.at_least_db:
            raw = f"its power is higher in blinks by at least {self.at_least_db:.2f} dB"
        course = self.course(blinks)
        if course == "goes on":
            return f"{self.feature} goes on in blinks: {raw}"
        if self.projected_at_most_db is None or blinks == "withhold":
            return f"{self.feature} is withheld in blinks: {raw}"
        left = (
            f"up to {self.projected_at_most_db:.2f} dB of them are left (power {self.projected_at_least_db:+.2f} dB at "
            f"least), and {self.projected_beside_db:+.2f} dB change beside them"
        )
        if course == "projected":
            return f"{self.feature} goes on in blinks, which are projected out: {left}"
        return f"{self.feature} is withheld in blinks: {raw}; projected out, {left}"


@dataclass(frozen=True, eq=False)
class BlinkFit:
    """A participant's blinks: their topography, and what they do to each feature of the session."""

    topography: BlinkTopography
    effects: tuple[BlinkEffect, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "patterns": self.topography.patterns.tolist(),
            "covariance": self.topography.covariance.tolist(),
            "n_blinks": self.topography.n_blinks,
            "effects": [asdict(each) for each in self.effects],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> BlinkFit:
        """Return the fit that ``as_dict`` was called on."""
        topography = BlinkTopography(
            np.array(content["patterns"], dtype=np.float64),
            np.array(content["covariance"], dtype=np.float64),
            int(content["n_blinks"]),
        )
        return cls(topography, tuple(BlinkEffect(**each) for each in content["effects"]))

    def effect(self, feature: AnyFeature, reference: Reference) -> BlinkEffect | None:
        """Return the effect on a feature; None if it was not measured for this declaration and reference."""
        declared = feature.model_dump_json()
        for each in self.effects:
            if each.declared == declared and each.reference == _named(reference):
                return each
        return None


def _named(reference: Reference) -> str:
    return reference if isinstance(reference, str) else " ".join(reference or ())


@dataclass(frozen=True, eq=False)
class _Measured:
    """Sums over the baselines, from which the effect on any weights follows."""

    #: Of each blink, forehead waveform times itself and times each channel; shapes (n_blinks, s, s), (n_blinks, s, n).
    forehead: FloatArray
    across: FloatArray
    #: Covariance of each band in each blink with the number of outputs, and beside blinks in either half.
    in_blinks: FloatArray
    counts: FloatArray
    beside: FloatArray
    #: Weights of the channels in the forehead's signals.
    weights: FloatArray


def fit_blinks(
    parts: Sequence[FloatArray],
    good: NDArray[np.bool_],
    features: Sequence[AnyFeature],
    montage: Montage,
    rate_hz: float,
    reference: Reference,
    fitted: tuple[float | None, Spectrum],
) -> tuple[BlinkFit | None, str]:
    """Measure blinks and their effects; return None with the reason in words if there is too little.

    Parameters
    ----------
    parts : sequence of ndarray, shape (n_samples, n_channels)
        µV, NaN where missing.
    good : ndarray of bool, shape (n_channels,)
        Channels that measure something.
    features, montage, rate_hz, reference
        As the pipeline will have them.
    fitted : (alpha peak or None, spectrum)
        As the bands will follow them.
    """
    iaf_hz, spectrum = fitted
    eyes = [eye for eye in eye_channels(montage.positions) if good[eye]]
    if not eyes:
        return None, "no channel sees the eyes"
    parts = [np.where(good, part, 0.0) for part in parts]
    x = np.concatenate(parts)
    there = np.asarray(np.isfinite(x[:, good]).all(axis=1))
    eyes_only = [part[:, eyes] for part in parts]
    weights = eye_weights([montage.positions[eye] for eye in eyes], range(len(eyes)))
    activity = eye_activity(banded_parts(eyes_only, BLINK_HZ, rate_hz), there, weights, rate_hz)
    n, beside_s = len(activity.runs), activity.beside.sum() / rate_hz
    half_s = min(_half(activity, half, rate_hz).beside.sum() / rate_hz for half in (0, 1))
    if n < FEWEST_BLINKS or half_s < _PIECE_S:
        return None, (
            f"{n} blinks and {beside_s:.0f} s beside them in the baselines, needed are {FEWEST_BLINKS} and about "
            f"{2 * _PIECE_S:g} s"
        )
    banded, eeg = (banded_parts(parts, band, rate_hz) for band in (BLINK_HZ, EEG_HZ))
    bank = Bank.of(features, HopSize.at(rate_hz), x.shape[1], iaf_hz, spectrum)
    all_weights = np.zeros((x.shape[1], weights.shape[1]))
    all_weights[eyes] = weights
    measured = _measure(parts, activity, banded, bank, all_weights)
    halves = [
        blink_topography(banded, eeg, _half(activity, half, rate_hz), activity.runs[half::2], good)
        for half in (0, 1)
    ]
    whole = blink_topography(banded, eeg, activity, activity.runs, good)
    k = n_projected(int(good.sum()), len(eyes))
    projectors = [each.projector(k, montage.labels).weights for each in (*halves, whole)] if k else []
    effects = []
    for feature in features:
        columns = [column for place in feature.selections for column in montage.columns(place)]
        if isinstance(feature, MuscleIndex | OcularIndex) or not good[columns].all():
            continue
        places = band_weights(feature, montage, bank, iaf_hz, reference)
        effects.append(_effect(feature, reference, measured, places, projectors))
    return BlinkFit(whole, tuple(effects)), ""


def _half(activity: EyeActivity, half: int, rate_hz: float) -> EyeActivity:
    """Return the activity with every second piece beside blinks."""
    piece = np.arange(len(activity.beside)) // round(_PIECE_S * rate_hz)
    return EyeActivity(
        activity.signals, activity.weights, activity.runs, activity.beside & (piece % 2 == half)
    )


def _measure(
    parts: Sequence[FloatArray], activity: EyeActivity, banded: FloatArray, bank: Bank, weights: FloatArray
) -> _Measured:
    forehead, across = [], []
    for start, stop in activity.runs:
        signals = activity.signals[start:stop]
        forehead.append(signals.T @ signals)
        across.append(signals.T @ banded[start:stop])
    covariances, counts = [], []
    n, rate_hz = banded.shape[1], bank.filter.rate_hz
    z, at = _outputs(parts, bank)
    halves = [_half(activity, half, rate_hz).beside for half in (0, 1)]
    beside = np.zeros((2, len(bank.keys), n, n))
    for b, delay_s in enumerate(bank.filter.delay_s):
        late = at - round(delay_s * rate_hz)
        known = (late >= 0) & np.isfinite(z[:, b]).all(axis=1)
        late = np.maximum(late, 0)
        for half, mask in enumerate(halves):
            beside[half, b] = _power(z[known & mask[late], b])[0]
        runs = [_power(z[known & (late >= start) & (late < stop), b]) for start, stop in activity.runs]
        covariances.append([each for each, _ in runs])
        counts.append([n_outputs for _, n_outputs in runs])
    return _Measured(
        np.array(forehead),
        np.array(across),
        np.array(covariances),
        np.array(counts, dtype=float),
        beside,
        weights,
    )


def _outputs(parts: Sequence[FloatArray], bank: Bank) -> tuple[ComplexArray, NDArray[np.int64]]:
    """Return the bank's outputs of all parts and their samples in the whole; none reaches from one into another."""
    x, first = np.concatenate(parts), 0
    for part in parts[:-1]:
        first += len(part)
        x[first] = np.nan
    return bank.filter.process(x), bank.filter.output_indices(0, len(x))


def _power(z: ComplexArray) -> tuple[FloatArray, int]:
    """Return the mean power matrix of complex outputs, real part, and how many there were."""
    if not len(z):
        return np.zeros((z.shape[1], z.shape[1])), 0
    matrix: FloatArray = (z.real.T @ z.real + z.imag.T @ z.imag) / len(z)
    return matrix, len(z)


def _effect(
    feature: AnyFeature,
    reference: Reference,
    measured: _Measured,
    places: Sequence[tuple[int, FloatArray]],
    projectors: Sequence[FloatArray],
) -> BlinkEffect:
    """Return the effect on a feature: that on the band and place which blinks move most."""
    every = np.arange(len(measured.forehead))
    mean = measured.beside.mean(axis=0)
    raw = np.array([_bounds(measured, band, weights, every, mean[band]) for band, weights in places])
    most_db, least_db = raw.max(axis=0)
    effect = BlinkEffect(
        feature.name, feature.model_dump_json(), _named(reference), _rounded(most_db), _rounded(least_db)
    )
    if not projectors:
        return effect
    judged = np.array([_projected(measured, band, weights, projectors) for band, weights in places])
    change_db = judged[np.abs(judged[:, 2]).argmax(), 2]
    return replace(
        effect,
        projected_at_most_db=_rounded(judged[:, 0].max()),
        projected_at_least_db=_rounded(judged[:, 1].max()),
        projected_beside_db=_rounded(change_db),
    )


def _projected(
    measured: _Measured, band: int, weights: FloatArray, projectors: Sequence[FloatArray]
) -> tuple[float, float, float]:
    """Return what is left of blinks, at most and at least, and the change beside them, dB.

    The last projector, of all blinks, is the one in use; how well its patterns are known says what it may leave. The
    other two are each judged by the half that it was not made from.
    """
    every, usual = np.arange(len(measured.forehead)), measured.beside[:, band]
    *halves, whole = (projector @ weights for projector in projectors)
    most_db, _ = _bounds(measured, band, whole, every, usual.mean(axis=0))
    least_db, change_db = 0.0, 0.0
    for half, cleaned in enumerate(halves):
        other = 1 - half
        least_db += _bounds(measured, band, cleaned, every[other::2], usual[other])[1] / 2
        change_db += _db(_mean_power(cleaned, usual[other]) / _mean_power(weights, usual[other])) / 2
    return most_db, least_db, change_db


def _bounds(
    measured: _Measured, band: int, weights: FloatArray, runs: NDArray[np.int64], beside: FloatArray
) -> tuple[float, float]:
    """Return by how many dB the blinks ``runs`` raise the power of ``weights``, at most and at least (99 %)."""
    usual, counts = _mean_power(weights, beside), measured.counts[band, runs]
    forehead, across = measured.forehead[runs], measured.across[runs] @ weights
    at_forehead = _within(measured.weights, measured.in_blinks[band, runs])
    powers = np.einsum("im,rij,jm->r", weights, measured.in_blinks[band, runs], weights, optimize=True)
    forehead_usual = _within(measured.weights, beside[None])[0]

    def arriving(chosen: NDArray[np.bool_]) -> float:
        more = _positive(_averaged(at_forehead[chosen], counts[chosen]) - forehead_usual)
        reached = np.linalg.solve(forehead[chosen].sum(axis=0), across[chosen].sum(axis=0))
        return float(np.sqrt(((more @ reached) * reached).sum() / weights.shape[1]))

    def higher(chosen: NDArray[np.bool_]) -> float:
        return _db(float(_averaged(powers[chosen], counts[chosen])) / weights.shape[1] / usual)

    sure = float(special.stdtrit(len(runs) - 1, 0.99))
    amplitude, error = _jackknifed(arriving, len(runs))
    excess_db, error_db = _jackknifed(higher, len(runs))
    return _db(1.0 + (amplitude + sure * error) ** 2 / usual), excess_db - sure * error_db


def _within(weights: FloatArray, power: FloatArray) -> FloatArray:
    """Return power matrices, shape (n, n_channels, n_channels), of weighted channels."""
    within: FloatArray = weights.T @ power @ weights
    return within


def _averaged(values: FloatArray, counts: FloatArray) -> FloatArray:
    averaged: FloatArray = np.tensordot(counts, values, 1) / max(counts.sum(), 1.0)
    return averaged


def _jackknifed(of: Callable[[NDArray[np.bool_]], float], n: int) -> tuple[float, float]:
    """Return a measure of blinks and its standard error, by leaving out one blink after another."""
    chosen = ~np.eye(n, dtype=bool)
    without = np.array([of(each) for each in chosen])
    return of(np.ones(n, bool)), float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))


def _positive(power: FloatArray) -> FloatArray:
    """Return a power matrix without what is negative in it."""
    values, vectors = np.linalg.eigh(power)
    positive: FloatArray = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return positive


def _mean_power(weights: FloatArray, power: FloatArray) -> float:
    return float(np.einsum("im,ij,jm->m", weights, power, weights).mean())


def _db(ratio: float) -> float:
    return float(10.0 * np.log10(max(ratio, 1e-12)))


def _rounded(db: float) -> float:
    """Round to thousandths, so that the last bits of a linear algebra library decide nothing."""
    return round(float(db), 3)
