"""Spatial filters from channels to regions: one fixed matrix for each sample.

In: samples ``(n_samples, n_channels)`` in µV. Out: ``(n_samples, n_regions)``. Nothing is kept between chunks.

A re-reference, a Laplacian, a region's mean and SSD are all linear, so each is a matrix, they compose by a matrix
product, and what runs in real time is one product. A channel without weight cannot spoil a region, not even by NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.dsp.checks import count, positive, recording_2d, samples_2d
from neurofb.dsp.offline_reference import offline_band
from neurofb.errors import UnknownName, WrongInput, WrongShape, nearest


class SpatialFilter:
    """A matrix applied to each sample.

    Parameters
    ----------
    weights : array_like, shape (n_channels, n_outputs)
        Weight of each channel in each output.
    names : sequence of str, optional
        Names of the outputs.
    """

    def __init__(self, weights: ArrayLike, names: Sequence[str] | None = None) -> None:
        matrix = np.ascontiguousarray(weights, dtype=np.float64)
        if matrix.ndim != 2 or 0 in matrix.shape:
            raise WrongShape(f"weights need shape (n_channels, n_outputs), found {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise WrongInput("weights must be finite; give a channel that is not to be used the weight 0")
        names = [f"output {i}" for i in range(matrix.shape[1])] if names is None else list(names)
        if len(names) != matrix.shape[1]:
            raise WrongShape(f"{matrix.shape[1]} outputs need as many names, found {len(names)}")
        self._weights = matrix
        self.names = tuple(names)

    @property
    def weights(self) -> FloatArray:
        """Weight of each channel in each output, shape (n_channels, n_outputs)."""
        return self._weights.copy()

    def process(self, samples: ArrayLike) -> FloatArray:
        """Return each output for each sample; NaN where a channel it uses is missing."""
        x = samples_2d(samples, len(self._weights))
        out = np.empty((len(x), len(self.names)))
        _kernels.project(x, self._weights, out)
        return out

    def after(self, earlier: SpatialFilter) -> SpatialFilter:
        """Return the one filter that does ``earlier`` first, then this."""
        if earlier._weights.shape[1] != len(self._weights):
            raise WrongShape(
                f"the earlier filter has {earlier._weights.shape[1]} outputs, this one needs {len(self._weights)}"
            )
        return SpatialFilter(earlier._weights @ self._weights, self.names)


def regions(
    labels: Sequence[str],
    groups: Mapping[str, Sequence[str] | Mapping[str, float]],
    *,
    bad: Sequence[str] = (),
    reference: str | Sequence[str] | None = None,
) -> SpatialFilter:
    """Return the filter from channels to regions.

    Parameters
    ----------
    labels : sequence of str
        Channel labels in the order of the columns.
    groups : mapping
        Region → its channels (equal weights), or → channel: weight. Weights of a region are scaled so that those of
        its good channels sum to 1.
    bad : sequence of str
        Channels to leave out, of regions and of the reference alike; the rest take over their weight.
    reference : "average" or sequence of str, optional
        Subtract the mean of all good channels, or of these (two mastoids: linked). Default: as recorded.

    Raises
    ------
    UnknownName
        For a channel that does not exist.
    WrongInput
        For a region or reference without a single good channel; it says which channels were dropped.
    """
    _check_labels(labels, bad)
    matrix = np.zeros((len(labels), len(groups)))
    for column, (region, members) in enumerate(groups.items()):
        weights = members if isinstance(members, Mapping) else dict.fromkeys(members, 1.0)
        matrix[:, column] = _region_weights(region, weights, labels, bad)
    region_filter = SpatialFilter(matrix, list(groups))
    return (
        region_filter if reference is None else region_filter.after(rereference(labels, reference, bad=bad))
    )


def _region_weights(
    region: str, weights: Mapping[str, float], labels: Sequence[str], bad: Sequence[str]
) -> FloatArray:
    column = np.zeros(len(labels))
    for label, weight in weights.items():
        column[_index(label, labels, f"region {region!r}")] = 0.0 if label in bad else float(weight)
    total = column.sum()
    if abs(total) < 1e-12 * max(1.0, np.abs(column).max()):
        dropped = [label for label in weights if label in bad]
        raise WrongInput(
            f"region {region!r} has no usable weight left"
            + (f": {', '.join(dropped)} dropped as bad" if dropped else "; its weights sum to 0")
            + ". Mend a channel's contact or choose another region"
        )
    scaled: FloatArray = column / total
    return scaled


def rereference(
    labels: Sequence[str], reference: str | Sequence[str], *, bad: Sequence[str] = ()
) -> SpatialFilter:
    """Return the filter that subtracts the mean of all good channels ("average") or of named ones from each channel."""
    if isinstance(reference, str) and reference != "average":
        raise WrongInput(
            f'a reference is "average" or a list of channels such as ["TP9", "TP10"], found {reference!r}'
        )
    _check_labels(labels, bad)
    named = labels if isinstance(reference, str) else list(dict.fromkeys(reference))
    rows = [_index(label, labels, "the reference") for label in named if label not in bad]
    if not rows:
        raise WrongInput("the reference has no good channel left; choose others")
    matrix = np.eye(len(labels))
    matrix[rows] -= 1.0 / len(rows)
    return SpatialFilter(matrix, labels)


def laplacian(
    labels: Sequence[str], positions: ArrayLike, *, n_neighbours: int = 4, bad: Sequence[str] = ()
) -> SpatialFilter:
    """Return the nearest-neighbour surface Laplacian (Hjorth 1975): each channel minus a mean of those around it.

    Neighbours weigh by the inverse of their distance. It spares central sites much of the muscle's reach
    (Fitzgibbon 2013) and does not depend on the recording's reference. For use from Python: no protocol key reaches it
    yet (``docs/explanation/filters.md`` has an example).

    Parameters
    ----------
    labels : sequence of str
        Channel labels.
    positions : array_like, shape (n_channels, 3)
        Positions, in any unit.
    n_neighbours : int
        How many neighbours to subtract; at least 2.
    bad : sequence of str
        Channels that serve as nobody's neighbour.
    """
    places = np.asarray(positions, dtype=np.float64)
    if places.shape != (len(labels), 3) or not np.isfinite(places).all():
        raise WrongShape(f"positions need shape ({len(labels)}, 3), finite, found {places.shape}")
    _check_labels(labels, bad)
    good = np.array([label not in bad for label in labels])
    if not 2 <= n_neighbours < good.sum():
        raise WrongInput(
            f"a Laplacian with {n_neighbours} neighbours needs at least {max(n_neighbours, 2) + 1} good channels "
            f"and at least 2 neighbours; found {int(good.sum())} good channels"
        )
    matrix = np.eye(len(labels))
    for channel, place in enumerate(places):
        distance = np.linalg.norm(places - place, axis=1)
        distance[~good] = np.inf
        distance[channel] = np.inf
        near = np.argsort(distance, kind="stable")[:n_neighbours]
        inverse = 1 / np.maximum(distance[near], 1e-9)
        matrix[near, channel] -= inverse / inverse.sum()
    return SpatialFilter(matrix, labels)


def ssd(
    baseline: ArrayLike,
    rate_hz: float,
    centre_hz: float,
    *,
    half_width_hz: float = 2.0,
    n_components: int = 1,
) -> SpatialFilter:
    """Train spatio-spectral decomposition: the weights under which a rhythm stands out most from its flanks.

    Solves C_band w = λ C_flank w (Nikulin 2011, NeuroImage 55, 1528), flanks from half_width_hz to
    half_width_hz + 3 Hz on both sides of the centre, 2 % shrinkage of C_flank. The clearer a rhythm, the better its
    next samples can be predicted: no other change lowers the delay a filter needs as much. For use from Python: no
    protocol key reaches it yet (``docs/explanation/filters.md`` has an example).

    Parameters
    ----------
    baseline : array_like, shape (n_samples, n_channels)
        µV, at least 10 s; rows with NaN are left out of the covariances.
    rate_hz : float
        Sampling rate.
    centre_hz : float
        The rhythm's frequency, e.g. the individual alpha peak.
    half_width_hz : float
        Half of the band.
    n_components : int
        How many components to keep, best first.

    Returns
    -------
    SpatialFilter
        Components scaled to the mean amplitude of the channels, signed so that the largest weight is positive.
    """
    x = recording_2d(baseline, "SSD's baseline")
    rate_hz = positive(rate_hz, "rate_hz")
    centre_hz, half_width_hz = positive(centre_hz, "centre_hz"), positive(half_width_hz, "half_width_hz")
    n_whole = int(np.isfinite(x).all(axis=1).sum())
    if n_whole < 10 * rate_hz:
        absent = np.flatnonzero(np.isnan(x).all(axis=0)).tolist()
        raise WrongShape(
            f"SSD needs a baseline at least 10 s long; found {len(x) / rate_hz:.1f} s, "
            f"{n_whole / rate_hz:.1f} s of them with every channel"
            + (f". Leave out channels {absent}, which never came" if absent else "")
        )
    if count(n_components, "n_components") > x.shape[1]:
        raise WrongInput(f"n_components lies between 1 and {x.shape[1]} channels, found {n_components}")
    low, high = centre_hz - half_width_hz, centre_hz + half_width_hz
    if low - 3 <= 0 or high + 3 >= rate_hz / 2:
        raise WrongInput(
            f"SSD at {centre_hz:g} ± {half_width_hz:g} Hz needs flanks from {low - 3:g} to {high + 3:g} Hz, "
            f"between 0 and {rate_hz / 2:g} Hz"
        )
    band = _band_covariance(x, low, high, rate_hz)
    flanks = _band_covariance(x, low - 3, low, rate_hz) + _band_covariance(x, high, high + 3, rate_hz)
    return SpatialFilter(
        _best_ratios(band, flanks, n_components), [f"SSD {i + 1}" for i in range(n_components)]
    )


def _band_covariance(x: FloatArray, low_hz: float, high_hz: float, rate_hz: float) -> FloatArray:
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(x).all(axis=1))
    filled = np.where(whole[:, None], x, np.nanmean(x, axis=0))
    margin = round(rate_hz)
    banded = offline_band(filled, low_hz, high_hz, rate_hz).real[margin:-margin]
    covariance: FloatArray = np.cov(banded[whole[margin:-margin]].T).reshape(x.shape[1], x.shape[1])
    return covariance


def _best_ratios(band: FloatArray, flanks: FloatArray, n_components: int) -> FloatArray:
    """Solve the generalised eigenproblem in the subspace that the data span (an average reference loses one)."""
    if not np.trace(flanks) > 0:
        raise WrongInput("every channel of the baseline is flat: there is no rhythm to train for")
    values, vectors = np.linalg.eigh(band + flanks)
    kept = vectors[:, values > 1e-9 * values[-1]]
    inner_band, inner_flanks = kept.T @ band @ kept, kept.T @ flanks @ kept
    shrunk = 0.98 * inner_flanks + 0.02 * np.trace(inner_flanks) / kept.shape[1] * np.eye(kept.shape[1])
    if n_components > kept.shape[1]:
        raise WrongInput(
            f"the baseline spans {kept.shape[1]} dimensions; {n_components} components are too many"
        )
    _, ratios = linalg.eigh(inner_band, shrunk)
    weights = kept @ ratios[:, ::-1][:, :n_components]
    # µV of a component mean little by themselves: give it the amplitude of a mean channel in its band.
    weights *= np.sqrt(np.trace(band) / len(band) / np.einsum("ck,cd,dk->k", weights, band, weights))
    largest = np.abs(weights).argmax(axis=0)
    signed: FloatArray = weights * np.sign(weights[largest, np.arange(n_components)])
    return signed


def _check_labels(labels: Sequence[str], bad: Sequence[str]) -> None:
    twice = sorted({label for label in labels if list(labels).count(label) > 1})
    if twice:
        raise WrongInput(f"two channels are named {', '.join(map(repr, twice))}; give each a name of its own")
    if isinstance(bad, str):
        raise WrongInput(f"bad channels are a list of labels, found {bad!r}; give [{bad!r}]")
    for label in bad:
        _index(label, labels, "bad channels")


def _index(label: str, labels: Sequence[str], where: str) -> int:
    if label not in labels:
        raise UnknownName(f"{where} names channel {label!r}, which is not there; {nearest(label, labels)}")
    return list(labels).index(label)
