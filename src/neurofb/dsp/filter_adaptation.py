"""Running spectra of the input, and cross-fades from one set of taps to the next.

All of it happens at ticks, counted in samples, so that a recording gives the same taps again. At every tick at most
one channel's taps are designed anew: the work is spread, no sample waits for a whole bank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy import fft, signal

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.dsp.checks import positive
from neurofb.dsp.spectrum import SEGMENT_S, Spectrum

#: Ticks per second; a cross-fade takes one second.
TICKS_PER_S = 16
#: A channel is designed anew every so many ticks (4 s), or less often with more channels than that.
TICKS_PER_DESIGN = 64
#: The running spectrum takes in a new segment every so many ticks (0.5 s).
TICKS_PER_SEGMENT = 8


class Adaptation:
    """The running spectrum of every channel and the state of every cross-fade.

    Parameters
    ----------
    rate_hz : float
        Sampling rate.
    spectrum : Spectrum
        Where the running spectrum starts.
    n_channels : int
        Number of channels.
    time_constant_s : float
        Weight of the past falls to 1/e in this time; 30–60 s suit EEG.
    """

    def __init__(self, rate_hz: float, spectrum: Spectrum, n_channels: int, time_constant_s: float) -> None:
        self._keep = math.exp(-TICKS_PER_SEGMENT / TICKS_PER_S / positive(time_constant_s, "adapt_s"))
        self._step = max(1, round(rate_hz / TICKS_PER_S))
        self._cycle = max(TICKS_PER_DESIGN, n_channels)
        length = round(SEGMENT_S * rate_hz)
        self._window = signal.get_window("hann", length)
        self._scale = 2.0 / (rate_hz * np.sum(self._window**2))
        self.freqs_hz = fft.rfftfreq(length, 1 / rate_hz)
        self._density = np.broadcast_to(spectrum.at(self.freqs_hz), (n_channels, len(self.freqs_hz))).copy()
        self._seen = np.zeros(n_channels, bool)
        self._recent = np.full((length, n_channels), np.nan)
        self._tick = 0
        self._in_tick = 0
        self._goals: dict[int, tuple[ComplexArray, int]] = {}

    def pieces(self, x: FloatArray) -> Iterator[FloatArray]:
        """Cut a chunk where ticks fall."""
        start = 0
        while start < len(x):
            stop = min(len(x), start + self._step - self._in_tick)
            yield x[start:stop]
            start = stop

    def update(self, piece: FloatArray) -> tuple[int, FloatArray] | None:
        """Add a piece; return (channel, running density) if a tick completes and a channel is due."""
        self._recent = np.concatenate([self._recent[len(piece) :], piece])
        self._in_tick += len(piece)
        if self._in_tick < self._step:
            return None
        self._in_tick = 0
        self._tick += 1
        if self._tick % TICKS_PER_SEGMENT == 0:
            self._add_segment()
        channel = self._tick % self._cycle
        if channel < len(self._seen) and self._seen[channel]:
            return channel, self._density[channel]
        return None

    def _add_segment(self) -> None:
        """Add the completed segment to the running spectrum of each channel without missing samples in it."""
        spread = np.ptp(self._recent, axis=0)
        whole = np.flatnonzero(np.isfinite(spread) & (spread > 0))
        segment = self._recent[:, whole]
        windowed = self._window[:, None] * (segment - segment.mean(axis=0))
        new = (self._scale * np.abs(fft.rfft(windowed, axis=0)) ** 2).T
        # A prior has a shape but no scale: the first segment sets it.
        old = self._density[whole]
        scale = np.where(self._seen[whole], 1.0, new.sum(axis=1) / old.sum(axis=1))
        self._density[whole] = self._keep * old * scale[:, None] + (1 - self._keep) * new
        self._seen[whole] = True

    def fade_to(self, channel: int, taps: ComplexArray) -> None:
        """Start a cross-fade to new taps, shape (n_bands, n_taps)."""
        self._goals[channel] = (taps, TICKS_PER_S)

    @property
    def fades_now(self) -> bool:
        """True if a tick has just completed while a channel fades."""
        return not self._in_tick and bool(self._goals)

    def fading(self, taps: ComplexArray) -> list[tuple[int, ComplexArray]]:
        """Yield the next taps of each channel in a cross-fade. Call it when `fades_now`."""
        steps = []
        for channel, (goal, left) in list(self._goals.items()):
            steps.append((channel, taps[:, channel] + (goal - taps[:, channel]) / left))
            if left == 1:
                del self._goals[channel]
            else:
                self._goals[channel] = (goal, left - 1)
        return steps
