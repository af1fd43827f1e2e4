"""Detection of blinks, muscle and jumps, by limits from a participant's own baseline.

In: hops of samples ``(hop, n_channels)`` in µV as recorded, about 32 ms each and cut by sample index, and the filtered
28–38 Hz of the same hops. Out: for each hop and channel how far slow swings, jumps and muscle power go, against their
limits. Kept between hops: half a second of hop means and the running muscle power.

- *Swing*: how far the mean of 0.1 s, which leaves out alpha and mains, goes up and down within 0.5 s. On frontal
  channels that is a blink or a glance, elsewhere a movement.
- *Jump*: the step from one hop's mean to the next. No brain is so quick and so large.
- *Muscle*: power in 28–38 Hz, above alpha and low beta and clear of the mains, over its usual level.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from neurofb import _kernels
from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.checks import count, samples_2d
from neurofb.dsp.hop_size import HopSize
from neurofb.errors import WrongInput, WrongShape

#: The band in which muscle is looked for, with transitions from 21 to 47.5 Hz, and the delay of its filter.
MUSCLE_HZ, MUSCLE_DELAY_S = (28.0, 38.0), 0.05
SWING_S, SMOOTHED_HOPS, MUSCLE_S = 0.5, 3, 0.1
#: Limits: so many times the median swing of the baseline, between these bounds in µV.
SWING_TIMES, SWING_BOUNDS_UV = 2.5, (30.0, 400.0)
#: A jump is so many times the median swing within one hop, at least this many µV.
JUMP_TIMES, JUMP_LEAST_UV = 6.0, 60.0
#: dB over the usual muscle power: on a channel that a feature uses, and on any other.
MUSCLE_OWN_DB, MUSCLE_ANY_DB = 7.0, 9.0
SHORTEST_BASELINE_S = 6.0

_EYES = re.compile(r"^(Fp|AFp|AF|AFF|F)(z|\d+h?)$")


def eye_channels(positions: Sequence[str]) -> tuple[int, ...]:
    """Return the columns for ocular artifacts: those at the forehead, else the frontal row."""
    nearest = [i for i, place in enumerate(positions) if re.match(r"^(Fp|AFp|AF)(z|\d+h?)$", place)]
    return tuple(nearest or [i for i, place in enumerate(positions) if _EYES.match(place)])


@dataclass(frozen=True, slots=True)
class Calibration:
    """Artifact limits of each channel, as measured on a participant's baseline.

    Attributes
    ----------
    swing_uv, jump_uv : tuple of float
        Limits, µV.
    muscle_uv2 : tuple of float
        Usual power in 28–38 Hz, µV².
    source : str
        Where it is from, in words.
    """

    swing_uv: tuple[float, ...]
    jump_uv: tuple[float, ...]
    muscle_uv2: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        if not len(self.swing_uv) == len(self.jump_uv) == len(self.muscle_uv2) >= 1:
            raise WrongShape("a calibration has as many limits of each kind as channels")
        if not all(v > 0 and math.isfinite(v) for v in (*self.swing_uv, *self.jump_uv, *self.muscle_uv2)):
            raise WrongInput("the limits of a calibration are finite and above 0")

    @classmethod
    def assumed(cls, n_channels: int) -> Calibration:
        """Return the limits before a baseline: 75 µV of swing, 100 µV of jump, 2 µV rms of muscle (assumed)."""
        n = count(n_channels, "n_channels")
        return cls((75.0,) * n, (100.0,) * n, (4.0,) * n, "assumed: no baseline yet")

    @classmethod
    def from_baseline(cls, samples: ArrayLike, rate_hz: float) -> Calibration:
        """Measure the limits on a baseline; medians throughout, so that up to half of it may be artifacts.

        Parameters
        ----------
        samples : array_like, shape (n_samples, n_channels)
            µV as recorded, NaN where missing; at least 6 s.
        rate_hz : float

        Raises
        ------
        WrongInput
            If fewer than 6 s of a channel are there.
        """
        x = np.asarray(samples, dtype=np.float64)
        if x.ndim != 2:
            raise WrongShape(f"a baseline needs shape (n_samples, n_channels), found {x.shape}")
        x = samples_2d(x, x.shape[1])
        hop = HopSize.at(rate_hz).hop
        finder = ArtifactFinder(x.shape[1], rate_hz, hop, cls.assumed(x.shape[1]))
        bands = BandFilter({"muscle": MUSCLE_HZ}, rate_hz, x.shape[1], MUSCLE_DELAY_S)
        swings, muscles = [], []
        for start in range(0, len(x) - hop + 1, hop):
            block = x[start : start + hop]
            finder.process(block, bands.process(block)[-1, 0])
            swings.append(finder.swing_uv)
            muscles.append(np.where(np.isnan(block).any(axis=0), np.nan, finder.muscle_uv2))
        return cls._of_measures(np.array(swings), np.array(muscles), hop / rate_hz)

    @classmethod
    def _of_measures(cls, swings: FloatArray, muscles: FloatArray, hop_s: float) -> Calibration:
        there = np.isfinite(swings).sum(axis=0) if len(swings) else np.zeros(1)
        if there.min() * hop_s < SHORTEST_BASELINE_S - SWING_S - 0.2:
            raise WrongInput(
                f"a calibration needs {SHORTEST_BASELINE_S:g} s of every channel; channel {int(there.argmin())} has "
                f"{there.min() * hop_s:.1f} s without gaps"
            )
        usual = np.nanmedian(swings, axis=0)
        muscle = np.maximum(np.nanmedian(muscles, axis=0), 1e-6)
        return cls(
            tuple(np.clip(SWING_TIMES * usual, *SWING_BOUNDS_UV).tolist()),
            tuple(np.maximum(JUMP_TIMES * usual, JUMP_LEAST_UV).tolist()),
            tuple(muscle.tolist()),
            f"{len(swings) * hop_s:.1f} s of baseline",
        )


class ArtifactFinder:
    """Measures swings, jumps and muscle, hop by hop.

    Parameters
    ----------
    n_channels : int
    rate_hz : float
    hop : int
        Samples of a hop.
    calibration : Calibration
    """

    def __init__(self, n_channels: int, rate_hz: float, hop: int, calibration: Calibration) -> None:
        self._hop, hop_s = hop, hop / rate_hz
        # Sums, not means: what is constant stands in the limits, which are computed once.
        self._scale = np.array([1.0 / (SMOOTHED_HOPS * hop), 1.0 / hop, 1.0])
        self._sums = np.full((2, n_channels), np.nan)
        self._smooth = np.full((max(2, round(SWING_S / hop_s)), n_channels), np.nan)
        self._at = 0
        self._gain = 1.0 - math.exp(-hop_s / MUSCLE_S)
        # Rows: swing, step, muscle power; and the limits of the same.
        self._measures = np.full((3, n_channels), np.nan)
        self._limits, self._muscle_usual = np.empty((3, n_channels)), np.empty(n_channels)
        self.calibrate(calibration)

    def calibrate(self, calibration: Calibration) -> None:
        """Replace the limits."""
        n_channels = self._measures.shape[1]
        if len(calibration.swing_uv) != n_channels:
            raise WrongShape(
                f"{n_channels} channels need a calibration of as many, found {len(calibration.swing_uv)}"
            )
        self._muscle_usual = np.array(calibration.muscle_uv2)
        self._limits[0], self._limits[1] = calibration.swing_uv, calibration.jump_uv
        self._limits[2] = self._muscle_usual * 10 ** (MUSCLE_OWN_DB / 10)
        self._limits /= self._scale[:, None]

    def process(self, block: FloatArray, muscle: ComplexArray) -> bool:
        """Process the next hop; return whether any measure is over its limit.

        Parameters
        ----------
        block : ndarray, shape (hop, n_channels)
        muscle : ndarray, complex, shape (n_channels,)
            The band `MUSCLE_HZ` at the end of the hop: its envelope changes little within one.
        """
        n = self._measures.shape[1]
        if block.shape != (self._hop, n):
            raise WrongShape(f"a hop needs shape ({self._hop}, {n}), found {block.shape}")
        parts = muscle.view(np.float64).reshape(n, 2)
        at, self._at = self._at, (self._at + 1) % len(self._smooth)
        return _kernels.artifacts(
            block, parts, self._sums, self._smooth, at, self._gain, self._limits, self._measures
        )

    @property
    def swing_uv(self) -> FloatArray:
        """Swing of each channel, µV."""
        swing: FloatArray = self._measures[0] * self._scale[0]
        return swing

    @property
    def muscle_uv2(self) -> FloatArray:
        """Muscle power of each channel, µV²."""
        power: FloatArray = self._measures[2].copy()
        return power

    @property
    def swing(self) -> FloatArray:
        """Swing of each channel over its limit: from 1 on it is an artifact."""
        ratio: FloatArray = self._measures[0] / self._limits[0]
        return ratio

    @property
    def jumped(self) -> FloatArray:
        """Step of each channel over its limit: from 1 on it is an artifact."""
        ratio: FloatArray = self._measures[1] / self._limits[1]
        return ratio

    @property
    def muscle_db(self) -> FloatArray:
        """Muscle power of each channel over its usual level, dB."""
        ratio = np.maximum(self._measures[2] / self._muscle_usual, 1e-12)
        levels: FloatArray = 10.0 * np.log10(ratio)
        return levels
