"""The marks of the latency test: moments that nothing else in a recording coincides with, and the click that sounds.

In: a seed. Out: when each mark comes and how long it lasts; samples of the click.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.screens.sound.synthesis import check_rate

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
    """Marks in time."""

    #: When each mark begins, from the start, shape (n_marks,).
    offsets_s: FloatArray
    #: How long the patch stays, shape (n_marks,).
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
    """A renderer that is silent but for clicks, each as soon as it is asked for."""

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
