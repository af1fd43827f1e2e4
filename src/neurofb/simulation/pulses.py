"""Random pulses: rhythm bursts, blinks, gaze shifts, clenches.

In: sample times, block after block, without gaps. Out: the sum of all pulses at these times. Kept between
blocks: the pulses that are not over yet and when the next one starts. Since a pulse is a function of time
alone, what it adds to a sample does not depend on the blocks.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput

#: From seconds since the start and the duration in seconds (0 ≤ elapsed ≤ duration) to a height.
Shape = Callable[[FloatArray, float], FloatArray]


def random_stream(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers that belong to one part of the simulation.

    Each part has its own stream, named, so that switching one part off leaves all others as they were.
    """
    if seed < 0:
        raise WrongInput(f"a seed is a whole number from 0 on, found {seed}")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, zlib.crc32(name.encode())])))


@dataclass(frozen=True, slots=True)
class Pulse:
    """One pulse: when it starts, how long it lasts (seconds) and its height."""

    start_s: float
    duration_s: float
    height: float


@dataclass(frozen=True, slots=True)
class PulseLaw:
    """The distribution of random pulses."""

    #: How many start per second on average; 0 for none.
    rate_hz: float
    #: Mean of their duration (gamma distributed).
    duration_s: float
    #: Median of their height.
    height: float = 1.0
    #: Coefficient of variation of their duration.
    duration_cv: float = 0.3
    #: Standard deviation of the logarithm of their height.
    height_sigma: float = 0.0
    #: True if half of them are negative.
    signed: bool = False
    #: True if a pulse starts only after the last one is over.
    apart: bool = False


class PulseTrain:
    """Random and scheduled pulses of one shape, rendered block after block.

    Parameters
    ----------
    rng : Generator
        Belongs to this train alone.
    law : PulseLaw
        How they come at random.
    shape : callable
        See ``Shape``.
    scheduled : sequence of Pulse
        Pulses that come for certain.
    from_s : float
        When the first can start; before 0, so that time 0 is a moment like any other.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        law: PulseLaw,
        shape: Shape,
        scheduled: Sequence[Pulse] = (),
        from_s: float = -30.0,
    ) -> None:
        self._rng = rng
        self._law = law
        self._shape = shape
        self._pulses = list(scheduled)
        self._next_s = from_s + self._wait_s(0.0) if law.rate_hz > 0 else np.inf

    def _wait_s(self, duration_s: float) -> float:
        mean_s = 1.0 / self._law.rate_hz
        if not self._law.apart:
            return float(self._rng.exponential(mean_s))
        return duration_s + float(self._rng.exponential(max(mean_s - duration_s, 0.1 * mean_s)))

    def _draw(self) -> Pulse:
        law = self._law
        shape = 1.0 / law.duration_cv**2
        duration_s = float(self._rng.gamma(shape, law.duration_s / shape))
        height = law.height * float(np.exp(law.height_sigma * self._rng.standard_normal()))
        if law.signed and self._rng.random() < 0.5:
            height = -height
        return Pulse(self._next_s, duration_s, height)

    def render(self, times_s: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the sum of all pulses at ``times_s``, and whether any is on.

        Parameters
        ----------
        times_s : ndarray, shape (n_samples,)
            Rising, and later than all times rendered before.

        Returns
        -------
        values : ndarray, shape (n_samples,)
        on : ndarray of bool, shape (n_samples,)
        """
        while self._next_s <= times_s[-1]:
            pulse = self._draw()
            self._pulses.append(pulse)
            self._next_s += self._wait_s(pulse.duration_s)
        self._pulses = [pulse for pulse in self._pulses if pulse.start_s + pulse.duration_s >= times_s[0]]
        values, on = np.zeros(len(times_s)), np.zeros(len(times_s), dtype=bool)
        for pulse in self._pulses:
            first = np.searchsorted(times_s, pulse.start_s)
            last = np.searchsorted(times_s, pulse.start_s + pulse.duration_s, side="right")
            elapsed_s = times_s[first:last] - pulse.start_s
            values[first:last] += pulse.height * self._shape(elapsed_s, pulse.duration_s)
            on[first:last] = True
        return values, on


def hann(elapsed_s: FloatArray, duration_s: float) -> FloatArray:
    """Rise and fall as sin²: mean 1/2, mean square 3/8."""
    return np.asarray(np.sin(np.pi * elapsed_s / duration_s) ** 2, dtype=float)


def lid(elapsed_s: FloatArray, duration_s: float) -> FloatArray:
    """Close fast and open slowly, as an eyelid does: the peak comes after a third of it (assumed)."""
    closing = 0.35
    part = elapsed_s / duration_s
    phase = np.where(part < closing, part / closing, 1.0 + (part - closing) / (1.0 - closing))
    return np.asarray(np.sin(0.5 * np.pi * phase) ** 2, dtype=float)


def plateau(elapsed_s: FloatArray, duration_s: float) -> FloatArray:
    """Rise in 40 ms, stay, and fall in 40 ms: a gaze shift there and back, a clench."""
    ramp_s = min(0.04, duration_s / 2)
    nearer_end_s = np.minimum(elapsed_s, duration_s - elapsed_s)
    return np.asarray(np.sin(0.5 * np.pi * np.clip(nearer_end_s / ramp_s, 0.0, 1.0)) ** 2, dtype=float)
