"""The individual alpha frequency, from a resting baseline: peak, centre of gravity and their quality.

In: a baseline ``(n_samples, n_channels)`` in µV, eyes closed if possible. Out: ``AlphaFrequency``. Nothing is streamed:
the frequency anchors bands and describes a person, it is no target for feedback.

Written from the published description (Corcoran 2018, Psychophysiology, psyp.13064): a Savitzky–Golay filter smooths
each channel's spectrum and gives its slope; a peak is where the slope falls through 0 inside the search window, if it
rises above a line through the log-spectrum and above every other peak; the shape of the peak weighs the channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import signal

from neurofb.chunk import FloatArray
from neurofb.dsp.checks import positive
from neurofb.errors import WrongInput, WrongShape

SEARCH_HZ = (7.0, 13.0)
#: The line that peaks must rise above is laid through these frequencies.
FIT_HZ = (1.0, 40.0)
SEGMENT_S = 4.0
#: Savitzky–Golay: 11 bins of 0.25 Hz, a polynomial of degree 5.
SMOOTHED_BINS, DEGREE = 11, 5
#: How far a peak must stand out: standard deviations over the line, and share over the next peak.
OVER_LINE_SD, OVER_NEXT = 1.0, 0.2
#: A bump of less quality than this is one that noise makes, too (ours, not from the description).
LEAST_QUALITY = 1.5
LEAST_CHANNELS = 3
SHORTEST_S = 20.0


@dataclass(frozen=True, slots=True)
class AlphaFrequency:
    """An individual alpha frequency."""

    #: Mean of the channels' peaks, weighed by quality; NaN if not found.
    peak_hz: float
    #: Centre of gravity of the alpha band; NaN if not found.
    gravity_hz: float
    #: Mean over the channels that have a peak of how much power stands under it, over the mean power of the spectrum's
    #: line there: 1 is no peak at all, 2 a fair one, 5 a clear one. NaN if not found.
    quality: float
    #: Channels with a clear peak.
    n_channels: int
    #: Why not, empty if found.
    why: str = ""

    @property
    def found(self) -> bool:
        """True if there is a clear peak."""
        return not self.why


@dataclass(frozen=True, slots=True)
class _Peak:
    hz: float
    quality: float
    low_hz: float
    high_hz: float


def alpha_frequency(
    baseline: ArrayLike, rate_hz: float, *, least_channels: int = LEAST_CHANNELS
) -> AlphaFrequency:
    """Find the individual alpha frequency in a baseline.

    Parameters
    ----------
    baseline : array_like, shape (n_samples, n_channels)
        µV, NaN where missing; at least 20 s, a minute or more with closed eyes is better. Give the channels where
        alpha is expected: posterior ones for the usual measure, sensorimotor ones for that of pain studies.
    rate_hz : float
        Sampling rate.
    least_channels : int
        How many channels must agree to have a peak; with fewer channels than that, all of them.
    """
    x = np.asarray(baseline, dtype=np.float64)
    rate_hz = positive(rate_hz, "rate_hz")
    if x.ndim != 2:
        raise WrongShape(f"a baseline needs shape (n_samples, n_channels), found {x.shape}")
    if len(x) < SHORTEST_S * rate_hz:
        raise WrongInput(
            f"the alpha frequency needs at least {SHORTEST_S:g} s of baseline, found {len(x) / rate_hz:.1f} s"
        )
    freqs_hz, densities = _spectra(x, rate_hz)
    if not len(densities):
        return AlphaFrequency(
            math.nan, math.nan, math.nan, 0, f"fewer than {SHORTEST_S:g} s without gaps in every channel"
        )
    smooth = [_Smooth(freqs_hz, density) for density in densities]
    peaks = [found for each in smooth if (found := each.peak()) is not None]
    needed = min(least_channels, x.shape[1])
    if len(peaks) < needed:
        why = f"a clear peak between {SEARCH_HZ[0]:g} and {SEARCH_HZ[1]:g} Hz on {len(peaks)} of {x.shape[1]} channels"
        return AlphaFrequency(math.nan, math.nan, math.nan, len(peaks), f"{why}, {needed} needed")
    return _together(peaks, smooth)


def _spectra(x: FloatArray, rate_hz: float) -> tuple[FloatArray, FloatArray]:
    """Return frequencies and one density per channel that is whole for long enough and not flat."""
    length = round(SEGMENT_S * rate_hz)
    densities = []
    for channel in x.T:
        segments = [channel[i : i + length] for i in range(0, len(channel) - length + 1, length // 2)]
        whole = [each for each in segments if np.isfinite(each).all() and np.ptp(each) > 0]
        if (len(whole) + 1) * SEGMENT_S / 2 >= SHORTEST_S:
            _, density = signal.periodogram(np.stack(whole), rate_hz, "hamming", detrend="constant", axis=1)
            densities.append(density.mean(axis=0))
    freqs_hz: FloatArray = np.asarray(np.fft.rfftfreq(length, 1 / rate_hz), dtype=np.float64)
    return freqs_hz, np.array(densities, dtype=np.float64)


class _Smooth:
    """A smoothed spectrum, its slope, and the line through its logarithm."""

    def __init__(self, freqs_hz: FloatArray, density: FloatArray) -> None:
        used = (freqs_hz >= FIT_HZ[0]) & (freqs_hz <= FIT_HZ[1])
        self.freqs_hz, step_hz = freqs_hz[used], float(freqs_hz[1])
        relative = density[used] / density[used].mean()
        self.density = np.maximum(signal.savgol_filter(relative, SMOOTHED_BINS, DEGREE), 1e-9)
        self.slope = signal.savgol_filter(relative, SMOOTHED_BINS, DEGREE, deriv=1, delta=step_hz)
        self.curve = signal.savgol_filter(relative, SMOOTHED_BINS, DEGREE, deriv=2, delta=step_hz)
        # In log-frequency a 1/f background is straight; alpha itself is left out, or it would lift the line.
        logs, at = np.log10(relative), np.log10(self.freqs_hz)
        outside = (self.freqs_hz < SEARCH_HZ[0] - 1) | (self.freqs_hz > SEARCH_HZ[1] + 1)
        line = np.polynomial.Polynomial.fit(at[outside], logs[outside], 1)
        self.line = 10 ** line(at)
        self.spread = float(np.std(logs[outside] - line(at[outside])))

    def peak(self) -> _Peak | None:
        """Return the peak of alpha; None if there is none that stands out."""
        inside = [
            i
            for i in self._crossings(downwards=True)
            if SEARCH_HZ[0] <= self.freqs_hz[i] <= SEARCH_HZ[1] and self._over_line(i) > OVER_LINE_SD
        ]
        if not inside:
            return None
        inside.sort(key=lambda i: -self.density[i])
        if len(inside) > 1 and self.density[inside[0]] < (1 + OVER_NEXT) * self.density[inside[1]]:
            return None
        described = self._described(inside[0])
        return described if described.quality >= LEAST_QUALITY else None

    def _over_line(self, i: int) -> float:
        return float((np.log10(self.density[i]) - np.log10(self.line[i])) / self.spread)

    def _crossings(self, *, downwards: bool) -> list[int]:
        sign = self.slope > 0
        turns = sign[:-1] & ~sign[1:] if downwards else ~sign[:-1] & sign[1:]
        return [int(i) + (abs(self.slope[i]) > abs(self.slope[i + 1])) for i in np.flatnonzero(turns)]

    def _described(self, i: int) -> _Peak:
        """Return a peak's frequency, to a part of a bin, its quality between inflections, and the dips around it."""
        minima = self._crossings(downwards=False)
        low = max([j for j in minima if j < i], default=0)
        high = min([j for j in minima if j > i], default=len(self.freqs_hz) - 1)
        concave = self.curve < 0
        left = next((j for j in range(i, low, -1) if not concave[j]), low)
        right = next((j for j in range(i, high) if not concave[j]), high)
        under = slice(left, right + 1)
        quality = float(self.density[under].mean() / self.line[under].mean())
        step_hz = self.freqs_hz[1] - self.freqs_hz[0]
        shift_hz = -self.slope[i] / self.curve[i] if self.curve[i] < 0 else 0.0
        hz = self.freqs_hz[i] + float(np.clip(shift_hz, -step_hz, step_hz))
        return _Peak(hz, quality, float(self.freqs_hz[low]), float(self.freqs_hz[high]))

    def gravity_hz(self, low_hz: float, high_hz: float) -> float:
        """Return the mean frequency between two, weighed by power."""
        band = (self.freqs_hz >= low_hz) & (self.freqs_hz <= high_hz)
        return float(np.average(self.freqs_hz[band], weights=self.density[band]))


def _together(peaks: Sequence[_Peak], smooth: Sequence[_Smooth]) -> AlphaFrequency:
    """Weigh the channels' peaks by quality; the band of gravity is the mean of theirs, kept within 5 to 15 Hz."""
    weights = np.array([peak.quality for peak in peaks])
    peak_hz = float(np.average([peak.hz for peak in peaks], weights=weights))
    low_hz = float(np.mean([max(peak.low_hz, 5.0) for peak in peaks]))
    high_hz = float(np.mean([min(peak.high_hz, 15.0) for peak in peaks]))
    gravity_hz = float(np.mean([each.gravity_hz(low_hz, high_hz) for each in smooth]))
    return AlphaFrequency(peak_hz, gravity_hz, float(weights.mean()), len(peaks))
