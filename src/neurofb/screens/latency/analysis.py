"""The true delay of screen and sound: from the moment of a mark to its being seen or heard in a recorded channel.

In: samples and time stamps of a photodiode, or of a cable from the loudspeaker, recorded over LSL; the LSL times at
which the marks were ordered. Out: each mark's delay, or that it was missed; their median and spread.

How: a mark is a step (for sound, in the rectified channel). The common delay is where the median step over all marks,
as a function of delay, is largest: noise, drift, mains and other light do not step with the marks. It counts only
where it is beyond what the same marks in shuffled order give anywhere. Around it, each mark's own step is the
change point of largest likelihood between two levels, and its time where the channel passes half way.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput, WrongShape, WrongStream

#: A channel slower than this says nothing useful about a delay.
SLOWEST_HZ = 50.0
LONGEST_S = 0.6
#: Delays below 0 are looked for only to say that a clock is wrong.
EARLIEST_S = -0.15
#: Mean levels before and after a step are taken over this.
STEP_S: Mapping[str, float] = {"screen": 0.06, "sound": 0.025}
#: A single delay lies within this of the common one; screens and sound buffers stray less.
STRAY_S = 0.1
N_SHUFFLED = 20
#: The common step must be this many times what shuffled marks give, and a single one this near the usual size.
CLEARLY = 2.0
NEAR_USUAL = (0.5, 2.0)
LEAST_FOUND = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Delays:
    """The result of a latency test."""

    #: ``screen`` or ``sound``.
    kind: str
    #: When each mark was ordered, on LSL's clock, shape (n_marks,).
    marks_s: FloatArray
    #: Delay until each was seen or heard, shape (n_marks,); NaN for those that were missed.
    delays_s: FloatArray
    #: Of the channel.
    rate_hz: float
    #: 1 where a mark raises the channel, −1 where it lowers it; for sound always 1.
    polarity: int
    #: The common step divided by that of shuffled marks.
    clearness: float

    @property
    def found_s(self) -> FloatArray:
        """The delays of the marks that were found."""
        return self.delays_s[np.isfinite(self.delays_s)]

    @property
    def n_missed(self) -> int:
        """How many were not."""
        return len(self.delays_s) - len(self.found_s)

    @property
    def median_s(self) -> float:
        """The delay."""
        return float(np.median(self.found_s))

    @property
    def quartiles_s(self) -> tuple[float, float]:
        """Between which half of the delays lie."""
        low, high = np.quantile(self.found_s, [0.25, 0.75])
        return float(low), float(high)

    def document(self, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the result as JSON can hold it, times in ms, after the entries of ``about``."""
        low_s, high_s = self.quartiles_s
        found_ms = 1e3 * self.found_s
        return {
            **(about or {}),
            "kind": self.kind,
            "median_ms": round(1e3 * self.median_s, 3),
            "q1_ms": round(1e3 * low_s, 3),
            "q3_ms": round(1e3 * high_s, 3),
            "iqr_ms": round(1e3 * (high_s - low_s), 3),
            "least_ms": round(float(found_ms.min()), 3),
            "most_ms": round(float(found_ms.max()), 3),
            "n_marks": len(self.marks_s),
            "n_missed": self.n_missed,
            "rate_hz": round(self.rate_hz, 3),
            "resolution_ms": round(500 / self.rate_hz, 3),
            "polarity": self.polarity,
            "clearness": round(self.clearness, 2),
            "marks_s": [round(float(each), 6) for each in self.marks_s],
            "delays_ms": [None if math.isnan(each) else round(1e3 * each, 3) for each in self.delays_s],
        }


def find_delays(
    samples: FloatArray, stamps_s: FloatArray, marks_s: FloatArray, kind: str, longest_s: float = LONGEST_S
) -> Delays:
    """Find the marks in a recorded channel.

    Parameters
    ----------
    samples, stamps_s : ndarray, shape (n_samples,)
        The channel, in any unit, and its time stamps on the clock of the marks, in seconds.
    marks_s : ndarray, shape (n_marks,)
        When the marks were ordered.
    kind : {"screen", "sound"}
    longest_s : float
        The longest delay that is looked for.

    Raises
    ------
    WrongStream
        If the marks cannot be found, or where they cannot be; the message says what to do.
    WrongInput
        If samples, stamps and marks do not belong together.
    """
    x, stamps_s, rate_hz = _checked(samples, stamps_s, marks_s, kind)
    if kind == "sound":
        x = np.abs(x - _smoothed(x, max(3, round(0.3 * rate_hz))))
    x = x - np.mean(x)
    m = max(2, round(STEP_S[kind] * rate_hz))
    steps = _steps(x, m)
    common_s, polarity, clearness = _common(steps, stamps_s, marks_s, rate_hz, longest_s, kind)
    delays_s = _single(polarity * x, polarity * steps, stamps_s, marks_s, common_s, m)
    delays = Delays(kind, np.asarray(marks_s, dtype=np.float64), delays_s, rate_hz, polarity, clearness)
    n = len(delays.found_s)
    if n < max(3, LEAST_FOUND * len(marks_s)):
        raise WrongStream(
            f"only {n} of {len(marks_s)} marks can be told apart in the channel, needed is at least half: there is "
            f"something at {1e3 * common_s:.0f} ms, but it is too weak or too irregular. {_advice(kind)}"
        )
    if delays.median_s < -1 / rate_hz:
        raise WrongStream(
            f"the marks are in the channel {-1e3 * delays.median_s:.0f} ms before they were ordered, which cannot be: "
            "its time stamps are not on LSL's clock. Let its program stamp with LSL's clock, or record it with the "
            "EEG's own amplifier"
        )
    return delays


def evened(stamps_s: FloatArray, rate_hz: float) -> FloatArray:
    """Return the stamps of a regular stream without the jitter of their arrival.

    A straight line through them where they are one (no sample lost, the rate as it says); else they stay as they are.
    """
    n = len(stamps_s)
    if rate_hz <= 0 or n < 3:
        return stamps_s
    index = np.arange(n) - (n - 1) / 2
    slope = float(index @ stamps_s / (index @ index))
    line = np.mean(stamps_s) + slope * index
    is_line = abs(slope * rate_hz - 1) < 0.01 and np.max(np.abs(stamps_s - line)) < 0.1
    return np.asarray(line) if is_line else stamps_s


def store(folder: Path, document: Mapping[str, Any]) -> Path:
    """Write the result into a session's folder as ``latency.json``, or with a number if there is one already.

    Raises
    ------
    WrongInput
        If there is no such folder.
    """
    if not folder.is_dir():
        raise WrongInput(
            f"no session folder {folder}; give the folder that holds the session's recording.xdf"
        )
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    number = 1
    while True:
        path = folder / ("latency.json" if number == 1 else f"latency_{number}.json")
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            number += 1
        else:
            return path


def _checked(
    samples: FloatArray, stamps_s: FloatArray, marks_s: FloatArray, kind: str
) -> tuple[FloatArray, FloatArray, float]:
    if kind not in STEP_S:
        raise WrongInput(f"a latency test is of 'screen' or 'sound', found {kind!r}")
    x, stamps_s = np.asarray(samples, dtype=np.float64), np.asarray(stamps_s, dtype=np.float64)
    if x.ndim != 1 or x.shape != stamps_s.shape:
        raise WrongShape(
            f"needed is one channel and a stamp for each sample, found {x.shape} and {stamps_s.shape}"
        )
    if len(marks_s) < 3:
        raise WrongInput(f"needed are at least 3 marks, found {len(marks_s)}")
    good = np.isfinite(x) & np.isfinite(stamps_s)
    x, stamps_s = x[good], stamps_s[good]
    covered = len(stamps_s) > 2 and stamps_s[0] < marks_s[-1] and stamps_s[-1] > marks_s[0]
    if not covered:
        span = f"{stamps_s[0]:.3f} to {stamps_s[-1]:.3f} s" if len(stamps_s) else "nothing"
        raise WrongStream(
            f"the channel was recorded from {span}, the marks are at {marks_s[0]:.3f} to {marks_s[-1]:.3f} s: it "
            "stopped, or its time stamps are of another clock than LSL's"
        )
    order = np.argsort(stamps_s, kind="stable")
    x, stamps_s = x[order], stamps_s[order]
    rate_hz = (len(stamps_s) - 1) / float(stamps_s[-1] - stamps_s[0])
    if rate_hz < SLOWEST_HZ:
        raise WrongStream(
            f"the channel has {rate_hz:.3g} samples a second; needed are {SLOWEST_HZ:g}, better 1000: a delay cannot "
            "be known better than half a sample"
        )
    if np.ptp(x) == 0.0:
        raise WrongStream(f"the channel is flat: every sample is {x[0]:g}. {_advice(kind)}")
    return x, stamps_s, rate_hz


def _advice(kind: str) -> str:
    if kind == "screen":
        return (
            "Does the photodiode lie flat on the patch in the corner of that screen, shielded from other light, and "
            "is this its channel? The patch must be at full brightness"
        )
    return (
        "Does the cable lead from the sound output that plays the clicks to this channel, the volume turned up, and "
        "nothing else sounding?"
    )


def _smoothed(x: FloatArray, m: int) -> FloatArray:
    """Return the running mean over ``m`` samples."""
    padded = np.pad(x, (m // 2, m - m // 2), mode="edge")
    sums = np.cumsum(padded)
    return np.asarray((sums[m:] - sums[:-m]) / m)


def _steps(x: FloatArray, m: int) -> FloatArray:
    """Return, for each sample, the mean of the ``m`` from it on less that of the ``m`` before it; 0 at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(x)])
    steps = np.zeros(len(x))
    if len(x) > 2 * m:
        at = np.arange(m, len(x) - m + 1)
        steps[m : len(x) - m + 1] = (sums[at + m] - 2 * sums[at] + sums[at - m]) / m
    return steps


def _common(
    steps: FloatArray,
    stamps_s: FloatArray,
    marks_s: FloatArray,
    rate_hz: float,
    longest_s: float,
    kind: str,
) -> tuple[float, int, float]:
    """Return the common delay, the sign of the step, and how many times it is what shuffled marks give."""
    lags_s = np.arange(EARLIEST_S, longest_s + 0.5 / rate_hz, 1 / rate_hz)

    def score(times_s: FloatArray) -> FloatArray:
        at = np.searchsorted(stamps_s, times_s[:, None] + lags_s)
        found = np.median(steps[np.minimum(at, len(steps) - 1)], axis=0)
        return np.asarray(found if kind == "screen" else np.maximum(found, 0.0))

    marks_s = np.asarray(marks_s, dtype=np.float64)
    true = score(marks_s)
    best = int(np.argmax(np.abs(true)))
    rng = np.random.default_rng(0)
    gaps = np.diff(marks_s)
    # Shuffled, and moved: the same gaps in another order must not stand on the same first mark.
    shuffled = [
        marks_s[0] + rng.uniform(0, gaps.mean()) + np.concatenate([[0.0], np.cumsum(rng.permutation(gaps))])
        for _ in range(N_SHUFFLED)
    ]
    by_chance = max(float(np.max(np.abs(score(each)))) for each in shuffled)
    clearness = abs(float(true[best])) / max(by_chance, 1e-12 * float(np.max(np.abs(steps))), 1e-300)
    if clearness < CLEARLY:
        raise WrongStream(
            f"the marks cannot be found in the channel: no delay from 0 to {1e3 * longest_s:.0f} ms stands out from "
            f"chance (best: {clearness:.1f} times, needed: {CLEARLY:g}). {_advice(kind)}"
        )
    return float(lags_s[best]), 1 if true[best] > 0 else -1, clearness


def _single(
    y: FloatArray, steps: FloatArray, stamps_s: FloatArray, marks_s: FloatArray, common_s: float, m: int
) -> FloatArray:
    """Return each mark's own delay; NaN where there is no step of the usual size."""
    found = []
    for mark_s in marks_s:
        first, last = np.searchsorted(stamps_s, [mark_s + common_s - STRAY_S, mark_s + common_s + STRAY_S])
        if first < m or last > len(y) - m or first == last:
            found.append((-1, 0.0))
            continue
        at = int(first + np.argmax(steps[first:last]))
        found.append((at, float(steps[at])))
    usual = float(np.median([size for at, size in found if at >= 0] or [0.0]))
    delays_s = np.full(len(marks_s), np.nan)
    for i, (at, size) in enumerate(found):
        if at >= 0 and NEAR_USUAL[0] * usual <= size <= NEAR_USUAL[1] * usual:
            around = stamps_s[at - m : at + m]
            if np.max(np.diff(around)) < max(3 * np.median(np.diff(around)), 0.001):  # no gap in it
                delays_s[i] = _passes(y, stamps_s, at, m) - marks_s[i]
    return delays_s


def _passes(y: FloatArray, stamps_s: FloatArray, at: int, m: int) -> float:
    """Return when the channel passes half way in the step near sample ``at``.

    A step that lies between two samples is said to lie in the middle: wrong by half a sample at most.
    """
    margin = max(1, m // 5)
    middle = 0.5 * (np.mean(y[at - m : at - margin + 1]) + np.mean(y[at + margin - 1 : at + m]))
    first, last = at - m // 2, at + m // 2 + 1
    # Of all change points the one after which most is above the middle, and before which most is below it.
    gained = np.cumsum(y[first:last] - middle)
    change = first + int(np.argmin(np.concatenate([[0.0], gained[:-1]])))
    change = max(change, 1)
    before, after = y[change - 1], y[change]
    share = 0.5 if after == before else min(1.0, max(0.0, float((middle - before) / (after - before))))
    return float(stamps_s[change - 1] + share * (stamps_s[change] - stamps_s[change - 1]))
