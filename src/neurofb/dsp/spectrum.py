"""Power spectra of channels, for which the filters are designed.

A spectrum comes from the participant's own baseline where there is one, else from a documented prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal

from neurofb.chunk import FloatArray
from neurofb.dsp.checks import positive, recording_2d
from neurofb.errors import WrongInput, WrongShape

#: Seconds of a Welch segment; 2 s resolve what a filter of 1–2 s can use (accuracy is flat from 2 to 8 s).
SEGMENT_S = 2.0
#: Seconds of the segments that show how sharp rhythms are, and up to which frequency they are kept.
FINE_SEGMENT_S, FINE_TO_HZ = 8.0, 50.0
#: With fewer such segments (a quarter of their length apart) none are kept: 16 s without a gap.
LEAST_FINE = 5
#: A baseline shorter than this is refused: 10 s is within 0.006 of the accuracy that 88 s give.
SHORTEST_BASELINE_S = 6.0
#: Density of the mains in the prior, 1 Hz wide (SD); its rhythms have 1 at 1 Hz and 0.8 at 10.
MAINS = 0.3


@dataclass(frozen=True, eq=False)
class Spectrum:
    """One-sided power spectral densities.

    Attributes
    ----------
    freqs_hz : ndarray, shape (n_freqs,)
        Ascending, from 0 upwards.
    density : ndarray, shape (1, n_freqs) or (n_channels, n_freqs)
        µV²/Hz (any scale does for a filter's design); one row serves all channels.
    fine : Spectrum, optional
        The same measured on longer segments: what is known of how sharp rhythms are. Filters are not designed for it.
    """

    freqs_hz: FloatArray
    density: FloatArray
    fine: Spectrum | None = None

    def __post_init__(self) -> None:
        freqs = np.asarray(self.freqs_hz, dtype=np.float64)
        density = np.atleast_2d(np.asarray(self.density, dtype=np.float64))
        if freqs.ndim != 1 or len(freqs) < 2 or np.any(np.diff(freqs) <= 0) or freqs[0] < 0:
            raise WrongInput("a spectrum needs ascending frequencies in Hz, the first at or above 0")
        if density.ndim != 2 or density.shape[1] != len(freqs):
            raise WrongShape(
                f"a spectrum of {len(freqs)} frequencies needs densities of shape (n_channels, {len(freqs)}), "
                f"found {density.shape}"
            )
        if not np.all(np.isfinite(density)) or np.any(density < 0) or np.any(density.max(axis=1) <= 0):
            raise WrongInput("a spectrum needs finite densities, none negative and no channel all zero")
        if self.fine is not None and len(self.fine.density) != len(density):
            raise WrongShape(
                f"a spectrum of {len(density)} rows needs as many fine ones, found {len(self.fine.density)}"
            )
        object.__setattr__(self, "freqs_hz", freqs)
        object.__setattr__(self, "density", density)

    @property
    def n_channels(self) -> int:
        """Number of rows; 1 serves any number of channels."""
        return len(self.density)

    def at(self, freqs_hz: FloatArray) -> FloatArray:
        """Return densities, shape (n_channels, len(freqs_hz)), linear between and constant beyond."""
        return np.stack([np.interp(freqs_hz, self.freqs_hz, row) for row in self.density])

    def mean_over(self, rows: Sequence[int] | None = None) -> Spectrum:
        """Return the mean of these rows, or of all, as one."""
        chosen = slice(None) if rows is None else list(rows)
        fine = None if self.fine is None else self.fine.mean_over(rows)
        return Spectrum(self.freqs_hz, self.density[chosen].mean(axis=0), fine)

    def without_fine(self) -> Spectrum:
        """Return what segments of 2 s show alone."""
        return Spectrum(self.freqs_hz, self.density)


def baseline_spectrum(samples: ArrayLike, rate_hz: float) -> Spectrum:
    """Measure the spectrum of each channel of a baseline.

    Welch's method, Hann windows of 2 s, three quarters overlap, each segment's mean removed; segments with a
    missing sample are left out. The fine one has windows of 8 s, and is there if 16 s or more have no gap.

    Parameters
    ----------
    samples : array_like, shape (n_samples, n_channels)
        µV, NaN where missing.
    rate_hz : float
        Sampling rate.

    Raises
    ------
    WrongInput
        If fewer than 6 s are whole, or a channel is flat.
    """
    rate_hz = positive(rate_hz, "rate_hz")
    x = recording_2d(samples, "a baseline")
    length = round(SEGMENT_S * rate_hz)
    segments = _whole_segments(x, length)
    if len(segments) * length / 4 < (SHORTEST_BASELINE_S - SEGMENT_S) * rate_hz:
        absent = np.flatnonzero(np.isnan(x).all(axis=0)).tolist()
        raise WrongInput(
            f"a baseline needs at least {SHORTEST_BASELINE_S:g} s without gaps; found {len(x) / rate_hz:.1f} s, "
            f"with {len(segments)} whole segments of {SEGMENT_S:g} s"
            + (f". Leave out channels {absent}, which never came" if absent else "")
        )
    flat = np.flatnonzero(np.ptp(x, axis=0) == 0)
    if len(flat):
        raise WrongInput(f"channels {flat.tolist()} are flat throughout the baseline: no spectrum")
    freqs, density = signal.periodogram(segments, rate_hz, "hann", detrend="constant", axis=1)
    return Spectrum(freqs, density.mean(axis=0).T, _fine(x, rate_hz))


def _fine(x: FloatArray, rate_hz: float) -> Spectrum | None:
    segments = _whole_segments(x, round(FINE_SEGMENT_S * rate_hz))
    if len(segments) < LEAST_FINE:
        return None
    freqs, density = signal.periodogram(segments, rate_hz, "hann", detrend="constant", axis=1)
    kept = freqs <= FINE_TO_HZ
    fine = density.mean(axis=0).T[:, kept]
    return Spectrum(freqs[kept], fine) if np.all(fine.max(axis=1) > 0) else None


def _whole_segments(x: FloatArray, length: int) -> FloatArray:
    starts = range(0, len(x) - length + 1, max(1, length // 4))
    pieces = [x[start : start + length] for start in starts]
    whole = [piece for piece in pieces if np.isfinite(piece).all()]
    return np.stack(whole) if whole else np.empty((0, length, x.shape[1]))


def prior_spectrum(rate_hz: float) -> Spectrum:
    """Return the assumed spectrum of an adult's scalp EEG, straight from an amplifier, while there is no baseline.

    In units of the density of 1/f at 1 Hz: 1/f; alpha, 0.8 at 10 Hz with a standard deviation of 1 Hz; drift and
    eye movements, 10/f² above 0.5 Hz; mains, 0.3 at 50 and 60 Hz and their doubles; a floor of 0.001. The shape is
    assumed. Drift and mains stand in it because a filter that expects none lets them through: on a raw Cyton
    recording they raise the accuracy of alpha at 50 ms from 0.51 to 0.79, and cost 0.002 on cleaned recordings.
    """
    n_freqs = max(2048, round(2 * positive(rate_hz, "rate_hz")))  # no peak falls between two of them
    freqs = np.linspace(0.0, rate_hz / 2, n_freqs)
    density = 1 / np.maximum(freqs, 1.0) + 0.8 * np.exp(-0.5 * (freqs - 10.0) ** 2) + 1e-3
    density += 10 / np.maximum(freqs, 0.5) ** 2
    for hz in _lines((50.0, 60.0)):
        density += MAINS * np.exp(-0.5 * (freqs - hz) ** 2)
    return Spectrum(freqs, density)


def with_mains(spectrum: Spectrum, line_hz: float | None = None) -> Spectrum:
    """Return a spectrum with at least the mains of `prior_spectrum`, at the spectrum's own level from 3 to 30 Hz.

    A baseline may have been filtered, or taken where there were none; taps designed for it would let through those
    that come later.
    """
    freqs, usual = spectrum.freqs_hz, (spectrum.freqs_hz >= 3) & (spectrum.freqs_hz <= 30)
    if not usual.any():
        return spectrum
    prior = prior_spectrum(2 * float(freqs[-1])).at(freqs)
    lines = np.zeros_like(freqs)
    for hz in _lines((50.0, 60.0) if line_hz is None else (line_hz,)):
        lines += MAINS * np.exp(-0.5 * (freqs - hz) ** 2)
    level = (spectrum.density[:, usual] / prior[:, usual]).mean(axis=1, keepdims=True)
    return Spectrum(freqs, np.maximum(spectrum.density, level * lines), spectrum.fine)


def _lines(mains_hz: tuple[float, ...]) -> list[float]:
    """Return the frequencies of the mains, and twice these."""
    return [order * hz for order in (1, 2) for hz in mains_hz]
