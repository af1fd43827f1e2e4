"""Reward rate and reasons for withheld feedback, per phase and block; the slope over blocks; the age of feedback.

In: a recording and its annotations. Out: statistics, all counted from the values that were delivered.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.features.value import kind_of
from neurofb.offline.annotations import Annotation, SessionAnnotations, reason_changes
from neurofb.recording.session_recording import SessionRecording

N_BINS = 60
#: The histogram ends this many times the 99th percentile, or with the greatest age; what is older is counted beside it.
HISTOGRAM_END = 1.25
#: A slope within a shorter block says nothing.
SHORTEST_BLOCK_S = 10.0


@dataclass(frozen=True)
class RewardRates:
    """Reward rate of one phase, in its feedback blocks."""

    label: str
    kind: str
    #: Feedback values in the phase.
    n: int
    #: Shares of them; NaN if there were none.
    usable: float
    rewarded: float
    #: Reason for withheld feedback → number of values.
    reasons: Counter[str] = field(default_factory=Counter)
    #: Share of usable values of each feature, also where no feedback was given.
    features: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Ages:
    """The age of feedback when it went out: from the newest EEG sample's time to output, in s."""

    n: int
    median_s: float
    p95_s: float
    p99_s: float
    most_s: float
    #: The histogram.
    counts: NDArray[np.int64]
    edges_s: FloatArray
    #: Values beyond the last edge.
    n_older: int
    #: Delay of the filters, which comes on top; NaN if none was recorded.
    filter_s: float


@dataclass(frozen=True)
class BlockStats:
    """Reward rate, means and slope of a block, counted from delivered values."""

    span: Annotation
    n: int
    #: Shares of all values.
    usable: float
    rewarded: float
    #: Means of the usable ones.
    value: float
    z: float
    #: The fixed-baseline success index at the block's end.
    success: float
    #: At the block's end.
    threshold_z: float
    #: Of z over the block, least squares; NaN if it is too short.
    slope_z_per_min: float


def feature_names(recording: SessionRecording) -> list[str]:
    """Return the features of a session in their order."""
    columns = [name for name in recording.features if name not in ("index", "time_s")]
    return [name for name in columns if f"{name}.usable" in columns]


def reasons_of(recording: SessionRecording) -> list[str]:
    """Return for each feedback value the reason for which it was withheld; empty where it could be earned."""
    changes: dict[int, list[str]] = {}
    for event in reason_changes(recording.events):
        why = kind_of(event.message) if event.kind == "withheld" else ""
        changes.setdefault(event.index or 0, []).append(why)
    reasons, now = [], ""
    usable = recording.feedback.get("usable", np.empty(0))
    for index, is_usable in zip(recording.feedback.get("index", ()), usable, strict=True):
        if changes.get(int(index)):  # more than one where a value came after its sample was already stale
            now = changes[int(index)].pop(0)
        reasons.append("" if is_usable else now or "reason not recorded")
    return reasons


def rates_by_phase(recording: SessionRecording, annotations: SessionAnnotations) -> list[RewardRates]:
    """Return the reward rate of each phase, counted in its feedback blocks; between blocks nothing can be earned."""
    reasons = reasons_of(recording)
    given = recording.feedback
    in_blocks = np.zeros(len(reasons), dtype=bool)
    for block in annotations.blocks:
        in_blocks |= _rows(given, block)
    found = []
    for span in annotations.phases:
        inside = _rows(given, span) & in_blocks
        n, usable, rewarded = _shares(given, inside)
        why = Counter(reasons[i] for i in np.flatnonzero(inside) if reasons[i])
        features = _usable_features(recording, span)
        found.append(RewardRates(span.label, span.phase_kind, n, usable, rewarded, why, features))
    return found


def _rows(table: dict[str, FloatArray], span: Annotation) -> NDArray[np.bool_]:
    index = table.get("index", np.empty(0))
    return np.asarray((index >= span.first) & (index < span.stop))


def _shares(given: dict[str, FloatArray], inside: NDArray[np.bool_]) -> tuple[int, float, float]:
    n = int(inside.sum())
    if not n:
        return 0, math.nan, math.nan
    return n, float(given["usable"][inside].mean()), float(given["reward"][inside].mean())


def _usable_features(recording: SessionRecording, span: Annotation) -> dict[str, float]:
    table, found = recording.features, {}
    inside = _rows(table, span)
    for name in feature_names(recording):
        usable = table[f"{name}.usable"][inside]
        usable = usable[np.isfinite(usable)]
        found[name] = float(usable.mean()) if len(usable) else math.nan
    return found


def mean_features(recording: SessionRecording, span: Annotation) -> dict[str, tuple[float, float, int]]:
    """Return mean, standard deviation and number of the usable values of each feature in a span."""
    table, found = recording.features, {}
    inside = _rows(table, span)
    for name in feature_names(recording):
        values = table[name][inside & (table[f"{name}.usable"] == 1)]
        values = values[np.isfinite(values)]
        n = len(values)
        found[name] = (
            float(values.mean()) if n else math.nan,
            float(values.std(ddof=1)) if n > 1 else math.nan,
            n,
        )
    return found


def ages_of(recording: SessionRecording) -> Ages | None:
    """Return the age of feedback; None if there was none."""
    given = recording.feedback
    ages = given.get("age_s", np.empty(0))
    ages = ages[np.isfinite(ages)]
    if not len(ages):
        return None
    median, p95, p99 = np.percentile(ages, (50, 95, 99))
    top = max(min(float(ages.max()), HISTOGRAM_END * float(p99)), 1e-3)
    counts, edges = np.histogram(ages, bins=N_BINS, range=(0.0, top))
    delays = given["delay_s"][np.isfinite(given["delay_s"])]
    return Ages(
        len(ages),
        float(median),
        float(p95),
        float(p99),
        float(ages.max()),
        counts.astype(np.int64),
        edges,
        n_older=int((ages > top).sum()),
        filter_s=float(np.median(delays)) if len(delays) else math.nan,
    )


def block_stats(recording: SessionRecording, annotations: SessionAnnotations) -> list[BlockStats]:
    """Return the statistics of each block."""
    given, found = recording.feedback, []
    for span in annotations.blocks:
        inside = _rows(given, span)
        n, usable, rewarded = _shares(given, inside)
        good = inside & (given.get("usable", np.empty(0)) == 1)
        z, minutes = given.get("z", np.empty(0))[good], given.get("index", np.empty(0))[good]
        minutes = minutes / (60 * recording.rate_hz)
        found.append(
            BlockStats(
                span,
                n,
                usable,
                rewarded,
                value=_mean(given.get("value", np.empty(0))[good]),
                z=_mean(z),
                success=_last(given.get("success_index", np.empty(0))[inside]),
                threshold_z=_last(given.get("threshold", np.empty(0))[inside]),
                slope_z_per_min=slope(minutes, z)
                if span.end_s - span.start_s >= SHORTEST_BLOCK_S
                else math.nan,
            )
        )
    return found


@dataclass(frozen=True)
class Learning:
    """The slope over blocks of one condition, by least squares (as Peng et al. 2020 use it)."""

    condition: str
    n_blocks: int
    #: NaN with fewer than two blocks.
    z_per_block: float
    success_per_block: float


def learning(blocks: Sequence[BlockStats]) -> list[Learning]:
    """Return the slopes over blocks; blocks of different conditions are never mixed."""
    found = []
    for condition in dict.fromkeys(block.span.name for block in blocks):
        some = [block for block in blocks if block.span.name == condition]
        at = np.arange(len(some), dtype=float)
        z = np.array([block.z for block in some])
        success = np.array([block.success for block in some])
        found.append(Learning(condition, len(some), slope(at, z), slope(at, success)))
    return found


def slope(x: FloatArray, y: FloatArray) -> float:
    """Return the slope of y over x by least squares; NaN with fewer than two different places."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    around = x - x.mean() if len(x) else x
    spread = float(around @ around)
    return float(around @ y / spread) if spread > 0 else math.nan


def total_reasons(rates: Iterable[RewardRates]) -> Counter[str]:
    """Return all reasons of a session."""
    found: Counter[str] = Counter()
    for each in rates:
        found += each.reasons
    return found


def _mean(values: FloatArray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else math.nan


def _last(values: FloatArray) -> float:
    values = values[np.isfinite(values)]
    return float(values[-1]) if len(values) else math.nan
