"""What tests of the screens share: how to count flashes, and a photodiode or cable that is not there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.screens.latency.marks import CLICK_S

#: A swing of this much of the range from black to white is a change.
CHANGE = 0.1


def relative_luminance(red: float, green: float, blue: float) -> float:
    """Return the relative luminance, 0–1, of an sRGB colour with parts 0–255 (WCAG 2.2)."""

    def linear(part: float) -> float:
        share = part / 255.0
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def most_changes_per_s(times_s: Sequence[float], luminances: Sequence[float], size: float = CHANGE) -> int:
    """Return the largest number of changes in any second.

    A change is complete when the luminance has moved by ``size`` from its last turning point.
    """
    moments: list[float] = []
    low = high = luminances[0]
    direction = 0
    for time_s, value in zip(times_s, luminances, strict=True):
        low, high = min(low, value), max(high, value)
        if direction <= 0 and value - low >= size:
            moments.append(time_s)
            direction, high, low = 1, value, value
        elif direction >= 0 and high - value >= size:
            moments.append(time_s)
            direction, high, low = -1, value, value
    return max(
        (sum(1 for other in moments if 0 <= other - first < 1.0 - 1e-9) for first in moments), default=0
    )


@dataclass(frozen=True, slots=True)
class SimulatedChannel:
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
