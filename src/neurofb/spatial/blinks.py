"""How a participant's blinks and glances spread over the head, and the matrix that takes them out.

In: samples of baselines ``(n_samples, n_channels)`` in µV. Out: an `EyeActivity` (when the eyes were at work), a frozen
`BlinkTopography` of it, and from that one `SpatialFilter` before references and regions: no delay, nothing kept.

The matrix is I - A (Aᵀ C⁻¹ A)⁻¹ Aᵀ C⁻¹ (transposed: samples are rows). A holds the first k patterns by which blinks
differ from the rest of the baseline (generalised eigenvectors, as in Somers 2018, J. Neural Eng. 15, 036007), C is the
covariance of EEG beside them: what is removed has the pattern of a blink and as little EEG in it as possible. A channel
that leaves is left out of A and C; the others are then solved for anew.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from neurofb.chunk import FloatArray
from neurofb.dsp.offline_reference import offline_band
from neurofb.errors import WrongShape
from neurofb.spatial.filters import SpatialFilter

#: Where blinks are looked for, and where the EEG that the projector shall spare lies (theta and alpha).
BLINK_HZ, EEG_HZ = (1.0, 8.0), (3.0, 13.0)
#: Eyes are at work where the forehead is this many robust SD from 0, a margin around included; a blink is only what
#: somewhere goes so far that no ongoing EEG does (assumed).
EDGE_SD, PEAK_SD, MARGIN_S = 3.0, 6.0, 0.15
#: Beside blinks is what is so far from them.
BESIDE_S = 0.5
#: Fewer blinks say too little.
FEWEST_BLINKS = 5
#: White noise in the covariance, as a share of its mean variance (measured: 1 % costs 0.2 dB of frontal theta).
LOAD = 1e-3
#: Patterns are kept up to so many; one beside the first only if it has so many times the power of EEG beside blinks
#: (the first that is chance has 2; one that is kept without need costs 0.2 dB of frontal theta).
MOST_PATTERNS, LEAST_RATIO = 2, 4.0


def n_projected(n_channels: int, n_eyes: int) -> int:
    """Return how many patterns so many channels allow: with fewer, too much EEG goes with each."""
    if n_eyes == 0 or n_channels < 8:
        return 0
    return 1 if n_channels < 16 else 2


@dataclass(frozen=True, eq=False)
class EyeActivity:
    """When the eyes were at work in a recording, and what the forehead saw of it."""

    #: Forehead in `BLINK_HZ`: the mean of its channels, and half the difference of left and right where both are there.
    signals: FloatArray
    #: Weights of the channels in them, shape (n_channels, n_signals).
    weights: FloatArray
    #: First sample and end of each blink or glance.
    runs: tuple[tuple[int, int], ...]
    #: Samples beside them, with every channel there.
    beside: NDArray[np.bool_]


def eye_weights(positions: Sequence[str], eyes: Sequence[int]) -> FloatArray:
    """Return the weights of channels in the mean of the forehead, and in half the difference of its sides."""
    sides = {eye: _side(positions[eye]) for eye in eyes}
    left, right = ([eye for eye, side in sides.items() if side == each] for each in (-1, 1))
    weights = np.zeros((len(positions), 2 if left and right else 1))
    weights[list(eyes), 0] = 1.0 / len(eyes)
    if left and right:
        weights[left, 1], weights[right, 1] = 0.5 / len(left), -0.5 / len(right)
    return weights


def _side(position: str) -> int:
    digits = re.search(r"(\d+)h?$", position)
    return 0 if digits is None else (-1 if int(digits[1]) % 2 else 1)


def eye_activity(
    banded: FloatArray, there: NDArray[np.bool_], weights: FloatArray, rate_hz: float
) -> EyeActivity:
    """Find blinks and glances.

    Parameters
    ----------
    banded : ndarray, shape (n_samples, n_channels)
        Samples in `BLINK_HZ`, µV.
    there : ndarray of bool, shape (n_samples,)
        Where samples may be used.
    weights : ndarray
        From `eye_weights`.
    rate_hz : float
    """
    signals = banded @ weights
    usual = 1.4826 * np.median(np.abs(signals[there]), axis=0) if there.any() else np.ones(signals.shape[1])
    far = np.abs(signals) / np.maximum(usual, 1e-9)
    margin = round(MARGIN_S * rate_hz)
    busy = _widened(np.asarray((far > EDGE_SD).any(axis=1)), margin) & there
    edges = np.flatnonzero(np.diff(np.concatenate([[False], busy, [False]]).astype(np.int8)))
    runs = tuple(
        (int(start), int(stop))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
        if far[start:stop].max() > PEAK_SD
    )
    beside = there & ~_widened(busy, round(BESIDE_S * rate_hz) - margin)
    return EyeActivity(signals, weights, runs, beside)


def _widened(on: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    wide: NDArray[np.bool_] = np.convolve(on, np.ones(2 * by + 1), "same") > 0.5
    return wide


@dataclass(frozen=True, eq=False)
class BlinkTopography:
    """How blinks spread over the channels, and the EEG that is to be spared.

    Attributes
    ----------
    patterns : ndarray, shape (n_patterns, n_channels)
        The strongest first; 0 for a channel that was not measured.
    covariance : ndarray, shape (n_channels, n_channels)
        Of EEG beside blinks in `EEG_HZ`, µV².
    n_blinks : int
        How many it was measured on.
    """

    patterns: FloatArray
    covariance: FloatArray
    n_blinks: int

    def __post_init__(self) -> None:
        n = self.patterns.shape[-1]
        if self.patterns.ndim != 2 or self.covariance.shape != (n, n):
            raise WrongShape(
                f"patterns need shape (n_patterns, n_channels) and a covariance of as many channels; found "
                f"{self.patterns.shape} and {self.covariance.shape}"
            )

    def projector(self, k: int, labels: Sequence[str], bad: Sequence[str] = ()) -> SpatialFilter:
        """Return the filter that takes the first ``k`` patterns out; channels in ``bad`` are left as they are."""
        used = self.patterns.any(axis=0) & np.array([label not in bad for label in labels])
        matrix = np.eye(len(labels))
        good = np.flatnonzero(used)
        if len(good) > k > 0:
            patterns = self.patterns[:k, good]
            spared = np.linalg.solve(_loaded(self.covariance[np.ix_(good, good)]), patterns.T)
            removed = np.linalg.solve(patterns @ spared, patterns)
            matrix[np.ix_(good, good)] -= spared @ removed
        # To single precision, so that the last bits of a linear algebra library are in no value.
        return SpatialFilter(matrix.astype(np.float32).astype(np.float64), labels)


def blink_topography(
    banded: FloatArray,
    eeg: FloatArray,
    activity: EyeActivity,
    runs: Sequence[tuple[int, int]],
    good: NDArray[np.bool_],
) -> BlinkTopography:
    """Measure the topography.

    Parameters
    ----------
    banded, eeg : ndarray, shape (n_samples, n_channels)
        Samples in `BLINK_HZ` and in `EEG_HZ`, µV.
    activity : EyeActivity
    runs : sequence of (first, end)
        The blinks to measure it on.
    good : ndarray of bool, shape (n_channels,)
        Channels to measure.
    """
    n, columns = banded.shape[1], np.flatnonzero(good)
    beside = np.flatnonzero(activity.beside)
    blinks = np.concatenate([np.arange(start, stop) for start, stop in runs])
    rest = _loaded(_covariance(banded[np.ix_(beside, columns)]))
    # Only its directions count, so neither does the vectors' scale; the largest eigenvalue comes last.
    ratios, vectors = linalg.eigh(_covariance(banded[np.ix_(blinks, columns)]), rest)
    n_kept = max(1, int((ratios[-MOST_PATTERNS:] > LEAST_RATIO).sum()))
    found = (rest @ vectors[:, ::-1][:, :n_kept]).T
    found /= np.abs(found).max(axis=1, keepdims=True)
    patterns, covariance = np.zeros((len(found), n)), np.zeros((n, n))
    patterns[:, columns] = found
    covariance[np.ix_(columns, columns)] = _covariance(eeg[np.ix_(beside, columns)])
    return BlinkTopography(patterns, covariance, len(runs))


def _covariance(x: FloatArray) -> FloatArray:
    centred = x - x.mean(axis=0)
    covariance: FloatArray = centred.T @ centred / max(len(x) - 1, 1)
    return covariance


def _loaded(covariance: FloatArray) -> FloatArray:
    n = len(covariance)
    loaded: FloatArray = covariance + max(LOAD * np.trace(covariance) / n, 1e-12) * np.eye(n)
    return loaded


def banded_parts(parts: Sequence[FloatArray], band_hz: tuple[float, float], rate_hz: float) -> FloatArray:
    """Return parts of a recording, each in a band for itself, one after another; what is missing is 0."""
    return np.concatenate([offline_band(_filled(part), *band_hz, rate_hz).real for part in parts])


def _filled(x: FloatArray) -> FloatArray:
    missing = np.isnan(x)
    means = np.where(missing, 0.0, x).sum(axis=0) / np.maximum((~missing).sum(axis=0), 1)
    return np.where(missing, 0.0, x - means)
