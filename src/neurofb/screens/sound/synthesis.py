"""The parts of the soundscape: loops of noise and drone, bells and chimes, all made once from a seed.

In: a seed and a rate. Out: arrays that are only mixed afterwards, so that what is heard can be bounded before it is
played: each part's peak, jump and loudness are fixed here (``BUDGETS``), and the mix can be no more than their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.screens.sound.loudness import jump_limit, scaled_to

#: Inner block in samples: what is asked for takes effect at the next one (5.3 ms at 48,000 Hz).
BLOCK = 256
RATES_HZ = (16_000, 192_000)
#: The shortest rise of anything that begins, in seconds.
RAMP_S = 0.05
ATTACK_S = 0.08
#: A bell within this of the last one is not rung: bursts of rewards sound as one bell, then the next.
BELL_GAP_S = 0.8
#: Bells sound into one another; so much louder than one can they be together.
BELLS_TOGETHER = 1.3


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that a part may be, at gain 1."""

    #: Loudness of its loudest 400 ms.
    lufs: float
    #: Largest sample, and largest difference of neighbours as a share of ``jump_limit``.
    peak: float
    jump: float


#: Chosen so that the loudest blend, bells and a chime together stay below the limits even if all peaks coincide;
#: a recording's consonants may come on top of the limit of jumps, once.
BUDGETS: Mapping[str, Budget] = {
    "sea": Budget(-30.0, 0.2, 0.3),
    "wind": Budget(-33.0, 0.15, 0.3),
    "air": Budget(-39.0, 0.08, 0.3),
    "drone": Budget(-30.0, 0.15, 0.2),
    "bell": Budget(-34.0, 0.12, 0.12),
    "chime": Budget(-30.0, 0.15, 0.2),
    "speech": Budget(-24.0, 0.3, 1.0),
}
LOOPS = ("sea", "wind", "air", "drone")
#: Blocks in each loop: products of 2, 3 and 5, for the Fourier transform, and so unlike that they seldom meet again.
_BLOCKS = {"sea": 3600, "wind": 3125, "air": 2592, "drone": 2700}
CHIMES: Mapping[str, tuple[float, ...]] = {
    "phase": (261.63, 392.00),
    "instruction": (392.00, 523.25),
    "question": (329.63, 440.00),
    "end": (392.00, 329.63, 261.63),
}
BELLS_HZ = (523.25, 587.33, 659.26)
NOTE_GAP_S = 0.4


def blend(level: float) -> FloatArray:
    """Return the gain of each loop, 0 to 1, for a level 0 to 1: from wind on rough water to a deep calm swell.

    Level and timbre both follow: at 0 there is more air and less depth, at 1 sea and drone alone. None of them is an
    alarm, and all are about equally loud, so that nobody hears a low level as a penalty.
    """
    level = min(1.0, max(0.0, level))
    return np.array([0.6 + 0.4 * level, 1.0 - 0.8 * level, 0.7 * (1.0 - level) ** 2, 0.1 + 0.9 * level])


#: No feedback now: the middle of the way, a little further off. It is not what a low level sounds like.
NEUTRAL = 0.8 * blend(0.5)


def loop(name: str, seed: int, rate_hz: float) -> FloatArray:
    """Return one of ``LOOPS``: it ends where it begins, so it can be played round and round."""
    n = _BLOCKS[name] * BLOCK
    rng = np.random.default_rng([seed, LOOPS.index(name)])
    if name == "sea":
        x = _noise(rng, n, rate_hz, 50, 700, slope=-1.0) * (0.55 + 0.45 * _swell(n, 2, 0.0))
    elif name == "wind":
        x = _noise(rng, n, rate_hz, 200, 1100, slope=-0.5) * (0.7 + 0.3 * _slow(rng, n, rate_hz))
    elif name == "air":
        x = _noise(rng, n, rate_hz, 900, 3500, slope=-1.0) * (0.8 + 0.2 * _swell(n, 3, 1.0))
    else:
        x = _drone(rng, n, rate_hz)
    return _within(x, name, rate_hz, circular=True)


def bells(rate_hz: float) -> list[FloatArray]:
    """Return the reward tones: soft bells that swell within ``ATTACK_S``, in turn at three pitches."""
    made = [_note(frequency_hz, 2.6, 0.5, rate_hz) for frequency_hz in BELLS_HZ]
    return [_whole_blocks(_within(x, "bell", rate_hz)) for x in made]


def chime(name: str, rate_hz: float) -> FloatArray:
    """Return one of ``CHIMES``, which say that something changes or is asked."""
    notes = CHIMES[name]
    x = np.zeros(round((NOTE_GAP_S * (len(notes) - 1) + 2.0) * rate_hz))
    for i, frequency_hz in enumerate(notes):
        note = _note(frequency_hz, 2.0, 0.4, rate_hz)
        at = round(NOTE_GAP_S * i * rate_hz)
        x[at : at + len(note)] += note[: len(x) - at]
    return _whole_blocks(_within(x, "chime", rate_hz))


def speech(x: FloatArray, rate_hz: float) -> FloatArray:
    """Return a recording as it may be played: within its budget, with a soft begin and end."""
    x = np.array(x, dtype=np.float64)
    n = min(len(x) // 2, round(RAMP_S * rate_hz))
    rise = _rise(n)
    x[:n] *= rise
    x[len(x) - n :] *= rise[::-1]
    return _whole_blocks(_within(x, "speech", rate_hz))


def check_rate(rate_hz: float) -> None:
    """Refuse a rate at which nothing of this can be played."""
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise WrongInput(
            f"sound is made at {RATES_HZ[0]} to {RATES_HZ[1]} Hz, asked for {rate_hz:g} Hz; 48000 is usual"
        )


def _within(x: FloatArray, name: str, rate_hz: float, *, circular: bool = False) -> FloatArray:
    budget = BUDGETS[name]
    jump = budget.jump * jump_limit(rate_hz)
    return scaled_to(x, rate_hz, lufs=budget.lufs, peak=budget.peak, jump=jump, circular=circular)


def _noise(
    rng: np.random.Generator, n: int, rate_hz: float, low_hz: float, high_hz: float, *, slope: float
) -> FloatArray:
    """Return circular noise between two frequencies, its power as frequency to the ``slope``, with soft edges."""
    frequencies = np.fft.rfftfreq(n, 1 / rate_hz)
    high_hz = min(high_hz, 0.4 * rate_hz)
    octaves = np.log2(np.maximum(frequencies, 1e-3))
    below = np.clip(np.log2(low_hz) - octaves, 0, 4)
    above = np.clip(octaves - np.log2(high_hz), 0, 4)
    size = np.maximum(frequencies, 1.0) ** (slope / 2) * np.exp(-0.5 * ((below + above) / 0.3) ** 2)
    size[(below >= 4) | (above >= 4)] = 0.0
    spectrum = size * np.exp(2j * np.pi * rng.random(len(size)))
    spectrum[0] = 0.0
    x = np.fft.irfft(spectrum, n)
    return np.asarray(x / np.std(x))


def _swell(n: int, cycles: int, phase: float) -> FloatArray:
    return np.asarray(np.sin(2 * np.pi * cycles * np.arange(n) / n + phase))


def _slow(rng: np.random.Generator, n: int, rate_hz: float) -> FloatArray:
    """Return a slow circular random walk within ±1."""
    x = _noise(rng, n, rate_hz, 0.1, 0.4, slope=0.0)
    return np.asarray(x / np.max(np.abs(x)))


def _drone(rng: np.random.Generator, n: int, rate_hz: float) -> FloatArray:
    x = np.zeros(n)
    time = np.arange(n) / n
    for frequency_hz, size in ((98.0, 1.0), (147.0, 0.7), (196.0, 0.5), (245.0, 0.25), (294.0, 0.2)):
        cycles = round(frequency_hz * n / rate_hz)
        for detuned in (cycles - 1, cycles + 2):  # the two beat slowly, as strings do
            x += size * np.sin(2 * np.pi * (detuned * time + rng.random()))
    return x


def _note(frequency_hz: float, length_s: float, decay_s: float, rate_hz: float) -> FloatArray:
    n = round(length_s * rate_hz)
    time = np.arange(n) / rate_hz
    x = np.zeros(n)
    for ratio, size, faster in ((1.0, 1.0, 1.0), (2.003, 0.25, 1.6), (3.01, 0.08, 2.4)):
        x += size * np.sin(2 * np.pi * ratio * frequency_hz * time) * np.exp(-time * faster / decay_s)
    attack, end = round(ATTACK_S * rate_hz), round(4 * RAMP_S * rate_hz)
    x[:attack] *= _rise(attack)
    x[n - end :] *= _rise(end)[::-1]
    return x


def _rise(n: int) -> FloatArray:
    """Return a raised cosine from 0 to 1."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * (np.arange(n) + 0.5) / max(n, 1)))


def _whole_blocks(x: FloatArray) -> FloatArray:
    return np.concatenate([x, np.zeros(-len(x) % BLOCK)])
