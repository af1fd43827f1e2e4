"""Times of a recorded stream: the sender's clock put on the recording computer's, piece by piece.

In: the stamps of an XDF stream, its clock offsets. Out: corrected times. Kept: how far the sender's clock has come.

The rules are those of pyxdf's ``load_xdf`` (the reference reader of XDF):

- offsets are split where the sender's clock was reset: time runs backwards between two measurements, or both the time
  and the offset jump far outside of their usual steps (median absolute deviations);
- each part gets a line through its offsets that outliers hardly move (Huber's loss, quadratic up to 0.1 ms).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray

#: A reset of the sender's clock: both limits must be passed, in deviations and in seconds.
_RESET_TIME_MADS, _RESET_TIME_S = 5.0, 5.0
_RESET_OFFSET_MADS, _RESET_OFFSET_S = 10.0, 1.0
#: Residuals of clock offsets above this count as outliers.
_OUTLIER_S = 1e-4
#: The fit has converged when no offset moves by more than this.
_CONVERGED_S, _MOST_STEPS = 1e-12, 1000
#: The last offset is garbage beyond this many usual intervals, or deviations from the other offsets.
_GARBAGE_INTERVALS, _GARBAGE_DEVIATIONS = 10.0, 10.0
#: A stamp or an offset further from 0 than 30,000 years is damage.
_LATEST_S = 1e12
#: Measurements all made within this say nothing of a drift.
_LEAST_SPREAD_S = 1e-3
#: Median absolute deviations to standard deviations of a normal distribution.
_MAD_TO_STD = 1.4826

#: First sample and the one behind the last.
Segment = tuple[int, int]


class ClockCorrection:
    """Puts stamps on the recording computer's clock; each part between resets of the sender's has its own line.

    Parameters
    ----------
    offsets : ndarray, shape (n_offsets, 2)
        Measurements of the sender's clock: when, on the recording computer, and what to add to a stamp, in s.
    """

    def __init__(self, offsets: FloatArray) -> None:
        self._measured_s = offsets[:, 0]
        resets = _segments(_clock_resets(offsets)) if len(offsets) else []
        self._parts = [(end, *fit_offsets(offsets[first:end])) for first, end in resets]
        self._part = 0

    def push(self, stamps_s: FloatArray) -> FloatArray:
        """Return the times of the next stamps, in the order of the stream."""
        times_s, start = stamps_s.copy(), 0
        while self._parts and start < len(stamps_s):
            end, intercept_s, drift = self._parts[self._part]
            stop = len(stamps_s)
            if self._part + 1 < len(self._parts):
                rest = stamps_s[start:]
                later = np.abs(rest - self._measured_s[end - 1]) >= np.abs(rest - self._measured_s[end])
                stop = start + int(later.argmax()) if later.any() else stop
                self._part += bool(later.any())
            times_s[start:stop] += intercept_s + drift * stamps_s[start:stop]
            start = stop
        return times_s


def fit_offsets(offsets: FloatArray) -> tuple[float, float]:
    """Return the offset at time 0 in s, and its drift in s/s: a line by Huber's loss, by reweighted least squares."""
    at_s, offsets_s = offsets.T
    if len(offsets) == 1 or np.ptp(at_s) < _LEAST_SPREAD_S:
        return float(np.median(offsets_s)), 0.0
    middle_s, level_s = float(at_s.mean()), float(np.median(offsets_s))
    x, y = at_s - middle_s, offsets_s - level_s
    weights, fitted = np.ones_like(x), np.full_like(x, np.inf)
    intercept_s, drift = 0.0, 0.0
    for _ in range(_MOST_STEPS):
        x_mean, y_mean = np.average(x, weights=weights), np.average(y, weights=weights)
        drift = float((weights * (x - x_mean) * (y - y_mean)).sum() / (weights * (x - x_mean) ** 2).sum())
        intercept_s = float(y_mean - drift * x_mean)
        before, fitted = fitted, intercept_s + drift * x
        if np.abs(fitted - before).max() < _CONVERGED_S:
            break
        weights = _OUTLIER_S / np.maximum(np.abs(y - fitted), _OUTLIER_S)
    return level_s + intercept_s - drift * middle_s, drift


def finite_offsets(offsets: FloatArray) -> FloatArray:
    """Return the clock offsets without those that damage has made impossible."""
    possible: FloatArray = offsets[_possible(offsets).all(axis=1)]
    return possible


def ends_in_garbage(n_samples: int, n_counted: int | None, offsets: FloatArray) -> bool:
    """Return whether the samples beyond the footer's count and the last clock offset are garbage.

    An outlet that is destroyed while it is read can leave one more sample and one more clock offset behind, both of
    random numbers (https://github.com/sccn/liblsl/issues/246). More samples than counted alone are no sign of it.
    """
    if n_counted is None or not 0 < n_counted < n_samples or len(offsets) < 3:
        return False
    intervals_s = np.diff(offsets[:, 0])
    usual_s, last_s = float(np.median(intervals_s[:-1])), abs(float(intervals_s[-1]))
    late = last_s > _GARBAGE_INTERVALS * max(usual_s, 0.0)
    values_s = offsets[:, 1]
    median_s = float(np.median(values_s[:-1]))
    mad_s = float(np.median(np.abs(values_s[:-1] - median_s)))
    far_s = abs(float(values_s[-1]) - median_s)
    return bool(late or (mad_s > np.finfo(float).eps and far_s > _GARBAGE_DEVIATIONS * _MAD_TO_STD * mad_s))


def _clock_resets(offsets: FloatArray) -> NDArray[np.bool_]:
    """Return after which measurements the sender's clock was reset, shape (n_offsets - 1,)."""
    if len(offsets) < 2:
        return np.zeros(0, dtype=bool)
    steps_s, changes_s = np.diff(offsets, axis=0).T
    jumps = _far_out(steps_s, _RESET_TIME_MADS, _RESET_TIME_S)
    resets: NDArray[np.bool_] = jumps & _far_out(changes_s, _RESET_OFFSET_MADS, _RESET_OFFSET_S)
    resets |= steps_s < 0
    return resets


def _far_out(steps: FloatArray, n_mads: float, limit: float) -> NDArray[np.bool_]:
    """Return which steps lie outside of the usual ones, by their deviation from the median."""
    away = np.abs(steps - np.median(steps))
    mad = np.median(away) + np.finfo(float).eps
    far: NDArray[np.bool_] = (away > n_mads * mad) & (away > limit)
    return far


def _segments(breaks: NDArray[np.bool_]) -> list[Segment]:
    """Return the runs between breaks; ``breaks[i]`` says whether one lies after item ``i``."""
    edges: Sequence[int] = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(breaks) + 1]
    return list(pairwise(edges))


def _possible(times_s: FloatArray) -> NDArray[np.bool_]:
    return np.isfinite(times_s) & (np.abs(times_s) < _LATEST_S)
