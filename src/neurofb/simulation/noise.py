"""Continuous noise: the 1/f background of the brain, electrode noise, the mains, sweat.

In: sample times, block after block. Out: noises in the unit that the settings name. Kept between blocks:
filter states and the place in each random stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.simulation.pulses import random_stream
from neurofb.simulation.scalp import mix_into, spread, sunflower

#: How many independent sources make up the background: more than the channels of any headset could tell
#: apart.
_N_SOURCES = 32
#: Their blur on the scalp in rad: neighbours 3 cm apart share most of the background, opposite sides nothing.
_WIDTH_RAD = 0.5


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """Amplitudes of each noise."""

    #: Root mean square of the 1/f background of each electrode between 1 and 40 Hz, in µV (resting EEG without its
    #: rhythms; assumed).
    background_uv: float = 6.0
    #: The background's power falls as 1/f to this power (resting adults lie between about 1 and 1.5; assumed).
    exponent: float = 1.2
    #: Below this frequency the background is flat.
    lowest_hz: float = 0.3
    #: White noise of each electrode and its amplifier, µV/√Hz (0.15: some 2 µV between 0 and 128 Hz, as the Muse
    #: specification sheet of 2014 says).
    electrode_uv_rthz: float = 0.15
    #: Frequency of the mains, and the root mean square of what a good contact picks up, µV (assumed); each electrode
    #: gets between a half and one and a half of it.
    line_hz: float = 50.0
    line_uv: float = 1.0
    #: Root mean square of skin potential drifts below 0.3 Hz while it lasts, µV (assumed).
    sweat_uv: float = 80.0


def power_law_sos(rate_hz: float, exponent: float, lowest_hz: float) -> FloatArray:
    """Design a filter that turns white noise into 1/f noise from ``lowest_hz`` to half the rate.

    Poles spaced evenly in log frequency, each followed by a zero ``exponent/2`` of the way to the next
    pole, so that the power falls by ``exponent`` decades per decade on average (ripple below 0.5 dB at 3
    pairs a decade).

    Returns
    -------
    ndarray, shape (n_sections, 6)
        Second-order sections for ``scipy.signal.sosfilt``; gain 1 at 10 Hz.
    """
    if not 0 <= exponent <= 2:
        raise WrongInput(f"the background's exponent must lie between 0 and 2, found {exponent}")
    if not 0 < lowest_hz < 10 < rate_hz / 2:
        raise WrongInput(
            f"a 1/f background needs 0 < lowest_hz < 10 < rate_hz/2, found {lowest_hz} Hz and {rate_hz} Hz"
        )
    n_pairs = int(np.ceil(3 * np.log10(rate_hz / 2 / lowest_hz))) + 1
    poles_hz = lowest_hz * 10 ** (np.arange(n_pairs) / 3)
    zeros_hz = poles_hz * 10 ** (exponent / 6)
    to_z = -2 * np.pi / rate_hz
    sos = signal.zpk2sos(np.exp(to_z * zeros_hz), np.exp(to_z * poles_hz), 1.0)
    _, at_10_hz = signal.freqz_sos(sos, worN=[10.0], fs=rate_hz)
    sos[0, :3] /= abs(at_10_hz[0])
    return np.asarray(sos, dtype=float)


def _band_rms(sos: FloatArray, rate_hz: float, low_hz: float, high_hz: float) -> float:
    """Return the rms between two frequencies of white noise of variance 1 that went through ``sos``."""
    grid_hz = np.linspace(low_hz, min(high_hz, rate_hz / 2), 4001)
    _, gain = signal.freqz_sos(sos, worN=grid_hz, fs=rate_hz)
    return float(np.sqrt(np.trapezoid(np.abs(gain) ** 2 * 2 / rate_hz, grid_hz)))


class FilteredNoise:
    """White noise through a filter, several at once, from the first sample on as if it had always run.

    Parameters
    ----------
    rng : Generator
    sos : ndarray, shape (n_sections, 6)
    n_noises : int
    run_in : int
        Samples that are made and thrown away first, so that the filter has forgotten its start.
    """

    def __init__(self, rng: np.random.Generator, sos: FloatArray, n_noises: int, run_in: int) -> None:
        self._rng = rng
        self._sos = sos
        self._n_noises = n_noises
        self._state = np.zeros((len(sos), 2, n_noises))
        self.make(run_in)

    def make(self, n_samples: int) -> FloatArray:
        """Return the next samples, shape (n_samples, n_noises); always ask for whole blocks."""
        white = self._rng.standard_normal((n_samples, self._n_noises))
        noise, self._state = signal.sosfilt(self._sos, white, axis=0, zi=self._state)
        return np.asarray(noise, dtype=float)


class Background:
    """The 1/f background: independent sources all over the scalp, each seen through a blur."""

    def __init__(self, places: FloatArray, rate_hz: float, settings: NoiseSettings, seed: int) -> None:
        sos = power_law_sos(rate_hz, settings.exponent, settings.lowest_hz)
        topographies = spread(sunflower(_N_SOURCES), places, _WIDTH_RAD)
        rms = _band_rms(sos, rate_hz, 1.0, 40.0)
        norms = np.linalg.norm(topographies, axis=0)
        #: shape (n_sources, n_electrodes), µV for each unit of filtered noise
        self.topographies = topographies * (settings.background_uv / rms / norms)
        run_in = round(3 * rate_hz / settings.lowest_hz)
        self._noise = FilteredNoise(random_stream(seed, "background"), sos, _N_SOURCES, run_in)

    def add(self, out: FloatArray) -> None:
        """Add the next block to ``out``, shape (n_samples, n_electrodes), in µV."""
        mix_into(out, self._noise.make(len(out)), self.topographies)


class Pickup:
    """Noise of each electrode: white noise and its share of the mains."""

    def __init__(self, n_electrodes: int, rate_hz: float, settings: NoiseSettings, seed: int) -> None:
        self._rng = random_stream(seed, "electrodes")
        shares = random_stream(seed, "mains").uniform(0.5, 1.5, n_electrodes)
        self._noise_uv = settings.electrode_uv_rthz * np.sqrt(rate_hz / 2)
        self._line_uv = np.sqrt(2) * settings.line_uv * shares
        self._line_hz = settings.line_hz
        self._has_line = settings.line_hz < rate_hz / 2  # above, the converter's own filter takes it out

    def add(self, out: FloatArray, times_s: FloatArray) -> None:
        """Add the next block to ``out``, shape (n_samples, n_electrodes), in µV."""
        noise = self._rng.standard_normal(out.shape)
        noise *= self._noise_uv
        out += noise
        if self._has_line:
            out += np.sin(2 * np.pi * self._line_hz * times_s)[:, None] * self._line_uv
