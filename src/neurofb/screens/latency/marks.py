"""What the latency test shows and plays: marks at moments that nothing else in a recording coincides with.

In: a seed. Out: when each mark comes and how long it lasts, the click that sounds, and, to try it all without
hardware, what a photodiode or a cable from the loudspeaker would record of them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.screens.sound.parts import check_rate

#: From mark to mark, in seconds: no two gaps alike, and in no second more than three changes of on and off.
LEAST_GAP_S, MOST_GAP_S = 0.86, 1.25
#: A patch stays for so long, each time differently: so its going can never be taken for its coming.
LEAST_ON_S, MOST_ON_S = 0.15, 0.35
#: A click is one push of this length and one pull: as much of both, so it passes amplifiers that stop direct current.
CLICK_S = 0.03
CLICK_PEAK, CLICK_EDGE_S = 0.25, 0.001
#: What is recorded meanwhile waits in LSL's own buffer, which holds six minutes.
FEWEST_MARKS, MOST_MARKS = 10, 300


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """Marks in time.

    Attributes
    ----------
    offsets_s : ndarray, shape (n_marks,)
        When each begins, from the start.
    on_s : ndarray, shape (n_marks,)
        How long a patch stays.
    seed : int
    """

    offsets_s: FloatArray
    on_s: FloatArray
    seed: int

    @classmethod
    def make(cls, seed: int = 0, n_marks: int = 60) -> Pattern:
        """Return the pattern of a seed."""
        if not FEWEST_MARKS <= n_marks <= MOST_MARKS:
            raise WrongInput(
                f"a latency test needs {FEWEST_MARKS} to {MOST_MARKS} marks, asked for {n_marks}; 60 take a minute"
            )
        rng = np.random.default_rng(seed)
        gaps = rng.uniform(LEAST_GAP_S, MOST_GAP_S, n_marks)
        return cls(np.cumsum(gaps), rng.uniform(LEAST_ON_S, MOST_ON_S, n_marks), seed)

    @property
    def length_s(self) -> float:
        """How long it takes, the last mark included."""
        return float(self.offsets_s[-1]) + MOST_GAP_S


def click(rate_hz: float) -> FloatArray:
    """Return the click: the only sound of ours that begins at once, played in the latency test and nowhere else."""
    n = round(CLICK_S * rate_hz / 2)
    edge = max(1, round(CLICK_EDGE_S * rate_hz))
    half = np.ones(n)
    half[:edge] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    half[n - edge :] = half[:edge][::-1]
    return CLICK_PEAK * np.concatenate([half, -half])


class Clicks:
    """A renderer that is silent but for clicks, each as soon as it is asked for.

    Parameters
    ----------
    rate_hz : float
    """

    def __init__(self, rate_hz: float = 48_000.0) -> None:
        check_rate(rate_hz)
        self.rate_hz = float(rate_hz)
        self._click = click(rate_hz)
        self._asked: deque[None] = deque()
        self._left = self._click[:0]

    def ring(self) -> None:
        """Click with the next samples that are rendered; may be called from any thread."""
        self._asked.append(None)

    def render_into(self, out: FloatArray) -> None:
        """Fill an array of shape (n_samples,)."""
        if self._asked:
            self._asked.clear()
            self._left = self._click
        n = min(len(out), len(self._left))
        out[:n] = self._left[:n]
        out[n:] = 0.0
        self._left = self._left[n:]


@dataclass(frozen=True, slots=True)
class Simulated:
    """A recorded channel that is not there: what a photodiode or a cable gives.

    Attributes
    ----------
    kind : str
        ``screen`` or ``sound``.
    delay_s, jitter_s : float
        From a mark to its being seen or heard: the mean and the SD.
    noise : float
        SD of white noise, as a share of a mark's size.
    drift : float
        How far it wanders within a minute, in sizes of a mark.
    missed : float
        Share of the marks that are not seen at all.
    inverted : bool
        Whether light gives less, not more.
    size : float
        Of a mark, in the channel's unit.
    seed : int
    """

    kind: str = "screen"
    delay_s: float = 0.05
    jitter_s: float = 0.0
    noise: float = 0.02
    drift: float = 0.0
    missed: float = 0.0
    inverted: bool = False
    size: float = 100.0
    seed: int = 0

    def record(
        self, stamps_s: FloatArray, marks_s: FloatArray, on_s: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the channel at each stamp, and each mark's true delay in seconds, NaN for those not seen."""
        rng = np.random.default_rng(self.seed)
        delays_s = np.maximum(0.0, rng.normal(self.delay_s, self.jitter_s, len(marks_s)))
        unseen = rng.permutation(len(marks_s))[: math.floor(self.missed * len(marks_s))]
        delays_s[unseen] = np.nan
        x = np.zeros(len(stamps_s))
        for begin_s, lasts_s in zip(marks_s + delays_s, on_s, strict=True):
            if math.isnan(begin_s):
                continue
            if self.kind == "screen":
                x[(stamps_s >= begin_s) & (stamps_s < begin_s + lasts_s)] = 1.0
            else:
                x[(stamps_s >= begin_s) & (stamps_s < begin_s + CLICK_S)] = -1.0
                x[(stamps_s >= begin_s) & (stamps_s < begin_s + CLICK_S / 2)] = 1.0
        past_s = stamps_s - stamps_s[0]
        x = -x if self.inverted else x
        x += self.drift * np.sin(2 * np.pi * past_s / 60 + 1) + self.noise * rng.standard_normal(len(x))
        return self.size * (x + 3.0), delays_s
