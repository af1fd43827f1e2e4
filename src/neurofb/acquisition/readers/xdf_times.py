"""Times of a recorded stream: the sender's clock put on the recording computer's, jitter removed, breaks found.

In: the stamps of an XDF stream, its clock offsets, its rate. Out: corrected times and the segments between breaks.
Nothing is kept.

The rules are those of pyxdf's ``load_xdf`` (the reference reader of XDF), so that a recording has the same gaps here:

- offsets are split where the sender's clock was reset: time runs backwards between two measurements, or both the time
  and the offset jump far outside of their usual steps (median absolute deviations);
- each part gets a line through its offsets that outliers hardly move (Huber's loss, quadratic up to 0.1 ms);
- times further apart than a break end a segment, and each segment gets the straight line through its times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, eq=False)
class StreamTimes:
    """The sample times of a stream."""

    #: On the recording computer's clock, evenly spaced within each segment; shape (n_samples,).
    times_s: FloatArray
    #: First sample and the one behind the last of each run without a break.
    segments: list[Segment]

    @property
    def rate_hz(self) -> float | None:
        """The mean rate within segments; None if none has two samples."""
        steps = [
            (last - first - 1, self.times_s[last - 1] - self.times_s[first]) for first, last in self.segments
        ]
        n_steps, lasts_s = (sum(column) for column in zip(*steps, strict=True))
        return float(n_steps / lasts_s) if n_steps and lasts_s > 0 else None

    def breaks_s(self) -> list[float]:
        """Return the time from the last sample of each segment to the first of the next."""
        ends, starts = self.segments[:-1], self.segments[1:]
        return [
            float(self.times_s[first] - self.times_s[end - 1])
            for (_, end), (first, _) in zip(ends, starts, strict=True)
        ]


def read_times(
    stamps_s: FloatArray, offsets: FloatArray, break_s: float, *, can_drop_samples: bool = False
) -> StreamTimes:
    """Return the times of a regular stream.

    Parameters
    ----------
    stamps_s : ndarray, shape (n_samples,)
        As the sender gave them; at least one.
    offsets : ndarray, shape (n_offsets, 2)
        Measurements of the sender's clock: when, on the recording computer, and what to add to a stamp, in s.
    break_s : float
        Samples further apart belong to two segments.
    can_drop_samples : bool
        Whether the stream says that it leaves samples out: then its times are kept as they are, in one segment.
    """
    times_s = synchronized(_mended(stamps_s), offsets)
    if can_drop_samples:
        return StreamTimes(times_s, [(0, len(times_s))])
    segments = _segments(np.abs(np.diff(times_s)) > break_s)
    for first, end in segments:
        times_s[first:end] = _line(times_s[first:end])
    return StreamTimes(times_s, segments)


def synchronized(stamps_s: FloatArray, offsets: FloatArray) -> FloatArray:
    """Return stamps on the recording computer's clock; each part between resets of the sender's has its own line."""
    times_s, measured_s = stamps_s.copy(), offsets[:, 0]
    resets = _segments(_clock_resets(offsets)) if len(offsets) else []
    start = 0
    for first, end in resets:
        stop = len(stamps_s)
        if end < len(offsets):
            rest = stamps_s[start:]
            later = np.abs(rest - measured_s[end - 1]) >= np.abs(rest - measured_s[end])
            stop = start + int(later.argmax()) if later.any() else stop
        intercept_s, drift = fit_offsets(offsets[first:end])
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


def _line(times_s: FloatArray) -> FloatArray:
    """Return the straight line through times, by least squares."""
    n = len(times_s)
    if n < 2:
        return times_s
    x = np.arange(n) - (n - 1) / 2
    middle_s = times_s.mean()
    slope_s = float(x @ (times_s - middle_s)) / (n * (n * n - 1) / 12)
    line_s: FloatArray = middle_s + slope_s * x
    return line_s


def _mended(stamps_s: FloatArray) -> FloatArray:
    """Return stamps with those that damage has made impossible replaced by the line between their neighbours."""
    fine = _possible(stamps_s)
    if fine.all() or not fine.any():
        return np.where(fine, stamps_s, 0.0)
    index = np.arange(len(stamps_s))
    between_s: FloatArray = np.interp(index, index[fine], stamps_s[fine])
    return between_s


def _possible(times_s: FloatArray) -> NDArray[np.bool_]:
    return np.isfinite(times_s) & (np.abs(times_s) < _LATEST_S)
