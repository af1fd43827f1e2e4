"""A calm soundscape whose level and timbre follow the feedback, and which never starts or stops at once.

In: how feedback is, what shall ring, what shall be said, each from some sample on. Out: samples, full scale 1.
Kept: where the loops stand, and gains on their way. It is computed in blocks of ``synthesis.BLOCK`` whatever
is asked for, so the samples are the same in any portions. Asking (one thread) and rendering (the sound device's
thread) share nothing but a queue, so neither waits for the other.

A gain goes to where it should be as a critically damped filter of second order does: no step in value or slope, no
overshoot, and a full change can at no moment be steeper than one within ``e · time constant`` (136 ms).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.screens.sound import synthesis
from neurofb.screens.sound.loudness import jump_limit
from neurofb.screens.sound.synthesis import BLOCK, BUDGETS

RATE_HZ = 48_000.0
#: How fast the loops' gains follow the feedback (10 to 90 % in 3.4 times this), and the whole silence and speech.
FOLLOW_S, MASTER_S = 0.05, 0.12
#: What the loops are lowered to while somebody speaks.
DUCKED = 0.5
#: A chime that cannot ring within this, because another does, is not rung.
LATE_CHIME_S = 3.0
#: How long before speech the loops begin to be lowered, and how long speech takes to end when it is cut short.
SPEECH_LEAD_S, HUSH_S = 0.3, 0.2


@dataclass(frozen=True, slots=True)
class _Voice:
    samples: FloatArray
    start: int
    spoken: bool = False

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


class Soundscape:
    """The sound of a session.

    Parameters
    ----------
    seed : int
        The same seed gives the same samples.
    rate_hz : float
        16,000 to 192,000 Hz.
    volume : float
        0 to 1: it can only be lowered from the full loudness, which is within the limits.

    Attributes
    ----------
    position : int
        How many samples have been given out.
    n_dropped : int
        How many bells and chimes were asked for too soon after another and not rung.
    """

    def __init__(self, seed: int = 0, rate_hz: float = RATE_HZ, volume: float = 1.0) -> None:
        synthesis.check_rate(rate_hz)
        if not 0 <= volume <= 1:
            raise WrongInput(f"the volume is 0 to 1 (it can only be lowered), found {volume!r}")
        self.rate_hz, self.volume = float(rate_hz), float(volume)
        self.position = self.n_dropped = 0
        self._loops = [synthesis.loop(name, seed, rate_hz).astype(np.float32) for name in synthesis.LOOPS]
        self._bells = synthesis.bells(rate_hz)
        self._chimes = {name: synthesis.chime(name, rate_hz) for name in synthesis.CHIMES}
        self._asked: deque[tuple[int, Callable[[int], None]]] = deque()
        self._last_at = 0
        self._voices: list[_Voice] = []
        self._bell_free = self._chime_free = self._speech_end = 0
        self._n_bells = 0
        n = len(self._loops)
        # Rows of gains: the loops, then ducking, then the whole; all begin at silence.
        self._target = np.array([*synthesis.NEUTRAL, 1.0, 1.0])
        self._gain, self._speed = np.array([*synthesis.NEUTRAL, 1.0, 0.0]), np.zeros(n + 2)
        self._tau = np.array([FOLLOW_S] * n + [MASTER_S] * 2)
        time = np.arange(BLOCK + 1) / rate_hz
        self._decay = np.exp(-time / self._tau[:, None])
        self._ramp = time * self._decay
        self._gains = np.zeros((n + 2, BLOCK + 1))
        self._room = np.zeros((n, BLOCK))
        self._ready = np.zeros(BLOCK)
        self._made = 0

    # What may be asked; each from sample ``at`` on, at the latest one block later; None for as soon as can be.

    def follow(self, level: float, usable: bool, at: int | None = None) -> None:
        """Move the loops to a level 0–1; to the neutral sound if it is not usable, or no number."""
        good = usable and math.isfinite(level)
        gains = synthesis.blend(level) if good else synthesis.NEUTRAL
        self._ask(at, lambda _: self._aim(gains))

    def neutral(self, at: int | None = None) -> None:
        """Move the loops to the neutral sound."""
        self.follow(math.nan, False, at)

    def silence(self, silent: bool, at: int | None = None) -> None:
        """Fade everything to silence, or back."""
        self._ask(at, lambda _: self._target.__setitem__(-1, 0.0 if silent else 1.0))

    def ring(self, name: str, at: int | None = None) -> None:
        """Ring a bell (``reward``) or a chime (``phase``, ``instruction``, ``question``, ``end``)."""
        if name == "reward":
            self._ask(at, self._ring_bell)
        elif name in self._chimes:
            self._ask(at, lambda now: self._ring_chime(name, now))
        else:
            raise WrongInput(
                f"nothing called {name!r} can ring; there are: reward, {', '.join(self._chimes)}"
            )

    def speak(self, samples: FloatArray, at: int | None = None) -> None:
        """Play a recording after what chimes now; the loops are lowered and no bells ring meanwhile."""
        ready = synthesis.speech(samples, self.rate_hz)
        self._ask(at, lambda now: self._speak(ready, now))

    def hush(self, at: int | None = None) -> None:
        """Fade recordings out before they are over."""
        self._ask(at, self._hush)

    def render_into(self, out: FloatArray) -> None:
        """Fill an array of shape (n_samples,) with what comes next."""
        n, done = len(out), 0
        while done < n:
            used = self.position % BLOCK
            if self.position == self._made:
                self._make_block()
            take = min(BLOCK - used, n - done)
            out[done : done + take] = self._ready[used : used + take]
            self.position += take
            done += take

    def render(self, n: int) -> FloatArray:
        """Return the next ``n`` samples."""
        out = np.zeros(n)
        self.render_into(out)
        return out

    def bounds(self, *, spoken: bool = True) -> tuple[float, float]:
        """Return the largest sample and jump that any course of events can lead to, with or without recordings."""
        levels = [synthesis.blend(level) for level in np.linspace(0, 1, 101)]
        peaks = np.array([np.max(np.abs(x)) for x in self._loops])
        jumps = np.array([np.max(np.abs(np.diff(x, append=x[0]))) for x in self._loops])
        peak, jump = (max(float(g @ each) for g in levels) for each in (peaks, jumps))
        bell, others = BUDGETS["bell"], [BUDGETS["chime"], *([BUDGETS["speech"]] if spoken else [])]
        highest = peak + synthesis.BELLS_TOGETHER * bell.peak + max(each.peak for each in others)
        steps = synthesis.BELLS_TOGETHER * bell.jump + max(each.jump for each in others)
        # What the gains' own slope adds: each at most its way divided by e time constants.
        slope = (float(peaks.sum()) / FOLLOW_S + 2 * highest / MASTER_S) / (math.e * self.rate_hz)
        return self.volume * highest, self.volume * (jump + steps * jump_limit(self.rate_hz) + slope)

    def _ask(self, at: int | None, act: Callable[[int], None]) -> None:
        # Never before what was asked earlier: so the order holds, and the renderer looks at the first one only.
        self._last_at = max(self._last_at, self.position if at is None else int(at))
        self._asked.append((self._last_at, act))

    def _aim(self, gains: FloatArray) -> None:
        self._target[: len(gains)] = gains

    def _ring_bell(self, now: int) -> None:
        if now < max(self._bell_free, self._speech_end):
            self.n_dropped += 1
            return
        self._voices.append(_Voice(self._bells[self._n_bells % len(self._bells)], now))
        self._n_bells += 1
        self._bell_free = now + math.ceil(synthesis.BELL_GAP_S * self.rate_hz)

    def _ring_chime(self, name: str, now: int) -> None:
        start = max(now, self._chime_free, self._speech_end)
        if start - now > LATE_CHIME_S * self.rate_hz:
            self.n_dropped += 1
            return
        self._voices.append(_Voice(self._chimes[name], start))
        self._chime_free = start + len(self._chimes[name])

    def _speak(self, ready: FloatArray, now: int) -> None:
        lead = math.ceil(SPEECH_LEAD_S * self.rate_hz / BLOCK) * BLOCK
        start = max(now + lead, self._chime_free, self._speech_end)
        self._voices.append(_Voice(ready, start, True))
        self._speech_end = start + len(ready)

    def _hush(self, now: int) -> None:
        n = math.ceil(HUSH_S * self.rate_hz / BLOCK) * BLOCK
        kept, self._speech_end = [], now
        for voice in self._voices:
            if not voice.spoken:
                kept.append(voice)
            elif voice.start < now:
                rest = voice.samples[now - voice.start :][:n]
                fall = 0.5 + 0.5 * np.cos(np.pi * np.arange(len(rest)) / n)
                kept.append(_Voice(rest * fall, now, True))
                self._speech_end = kept[-1].end
        self._voices = kept

    def _make_block(self) -> None:
        first = self._made
        while self._asked and self._asked[0][0] <= first:
            self._asked.popleft()[1](first)
        self._target[-2] = DUCKED if self._speaks(first) else 1.0
        self._move_gains()
        gains, n = self._gains[:, :BLOCK], len(self._loops)
        for row, samples in zip(self._room, self._loops, strict=True):
            at = first % len(samples)
            row[:] = samples[at : at + BLOCK]
        np.einsum("ij,ij->j", gains[:n], self._room, out=self._ready)
        self._ready *= gains[n]
        for voice in self._voices:
            if voice.start <= first:
                self._ready += voice.samples[first - voice.start : first - voice.start + BLOCK]
        self._ready *= gains[n + 1]
        self._ready *= self.volume
        self._made += BLOCK
        if any(voice.end <= self._made for voice in self._voices):
            self._voices = [voice for voice in self._voices if voice.end > self._made]

    def _speaks(self, now: int) -> bool:
        lead = SPEECH_LEAD_S * self.rate_hz
        return any(voice.spoken and voice.start - lead <= now for voice in self._voices)

    def _move_gains(self) -> None:
        """Move the gains by a block: the solution of τ²x″ + 2τx′ + x = target from where the last one ended."""
        away = self._gain - self._target
        slope = self._speed + away / self._tau
        np.multiply(self._decay, away[:, None], out=self._gains)
        self._gains += self._target[:, None]
        self._gains += self._ramp * slope[:, None]
        self._speed = (slope - (away + slope * (BLOCK / self.rate_hz)) / self._tau) * self._decay[:, BLOCK]
        self._gain = self._gains[:, BLOCK].copy()
        # At the end it is there, to the last bit: silence is zeros.
        near = (np.abs(self._gain - self._target) < 1e-7) & (np.abs(self._speed) * self._tau < 1e-7)
        self._gain[near], self._speed[near] = self._target[near], 0.0
