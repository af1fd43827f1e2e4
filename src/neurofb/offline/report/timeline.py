"""The session over time: phases, stimuli, feedback and ratings; features and threshold; events.

Long sessions are drawn as means and ranges of a thousand parts of their time.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from neurofb.chunk import FloatArray
from neurofb.format import DASH, clock, number
from neurofb.offline.annotations import SessionAnnotations
from neurofb.offline.report.heat import Answer
from neurofb.offline.report.reward_stats import feature_names
from neurofb.offline.report.svg import (
    BAD,
    COOL,
    GOOD,
    HEAT,
    INK,
    LINE,
    SERIES,
    SOFT,
    colour_of,
    drawn,
    grid,
    minutes,
    svg_of,
)
from neurofb.recording.session_recording import SessionRecording

PARTS = 1000
#: Parts in which shares are counted.
SHARES = 150
MARKS = ("o", "D", "s", "^", "v")


def binned(
    time_s: FloatArray, values: FloatArray, end_s: float, parts: int = PARTS
) -> tuple[FloatArray, ...]:
    """Return the middles of equal parts of the session, and mean, least and most of the values in each.

    Parts without a value are NaN, so that lines break there.
    """
    edges = np.linspace(0.0, max(end_s, 1e-3), parts + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    known = np.isfinite(values) & (time_s >= 0) & (time_s <= edges[-1])
    part = np.minimum((time_s[known] / edges[-1] * parts).astype(int), parts - 1)
    values = values[known]
    n = np.bincount(part, minlength=parts)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(part, weights=values, minlength=parts) / n
    least, most = np.full(parts, np.inf), np.full(parts, -np.inf)
    np.minimum.at(least, part, values)
    np.maximum.at(most, part, values)
    least[n == 0] = most[n == 0] = np.nan
    return middles, mean, least, most


def parts_for(time_s: FloatArray, end_s: float) -> int:
    """Return in how many parts to draw, so that sparse values are joined."""
    if len(time_s) < 3:
        return 1
    step_s = float(np.median(np.diff(time_s)))
    return int(min(PARTS, max(1.0, end_s / max(2 * step_s, 1e-3))))


def session_figure(
    recording: SessionRecording, annotations: SessionAnnotations, answers: Sequence[Answer]
) -> Markup:
    """Draw phases, stimuli, feedback and ratings on one axis of time."""
    rows: list[tuple[float, Callable[[Axes], None]]] = [(0.62, lambda axes: _phases(axes, annotations))]
    if len(recording.stimulus["time_s"]):
        rows.append((1.5, lambda axes: _temperature(axes, recording, annotations)))
    if len(recording.feedback["time_s"]) and annotations.blocks:
        rows.append((1.5, lambda axes: _level(axes, recording, annotations)))
        rows.append((0.7, lambda axes: _shares(axes, recording, annotations)))
    if any(isinstance(each.value, int | float) or each.value is None for each in answers):
        rows.append((1.5, lambda axes: _ratings(axes, answers)))
    heights = [height for height, _ in rows]
    with drawn(0.55 + 0.95 * sum(heights)) as figure:
        found = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (_, draw) in zip(found, rows, strict=True):
            draw(axes)
            _shade(axes, annotations)
            axes.yaxis.set_label_coords(-0.055, 0.5)
        label_time(found[-1], annotations.end_s)
        words = "phases, temperatures, feedback and ratings over the session's time"
        return svg_of(figure, words)


def label_time(axes: Axes, end_s: float) -> None:
    """Label the axis of a session's time, in seconds or minutes, with ticks at whole ones."""
    axes.set_xlim(0, max(end_s, 1e-3))
    divisor = minutes(axes, end_s)
    if divisor > 1:
        step = next(s for s in (30, 60, 120, 300, 600, 1200, 3600, 7200, 36000) if end_s / s <= 14)
        ticks = np.arange(0, end_s + 1, step)
        axes.set_xticks(ticks, [f"{tick / divisor:g}" for tick in ticks])


def _legend(axes: Axes) -> None:
    """Explain above the axes, where nothing is drawn."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderaxespad=0.0, borderpad=0.1)


def _shade(axes: Axes, annotations: SessionAnnotations) -> None:
    for span in annotations.phases:
        if span.start_s > 0:
            axes.axvline(span.start_s, color=LINE, linewidth=0.5, alpha=0.7, zorder=0)
    for span in annotations.blocks:
        axes.axvspan(span.start_s, span.end_s, color=GOOD, alpha=0.06, linewidth=0, zorder=0)
    for span in annotations.of_kind("pause"):
        axes.axvspan(
            span.start_s, span.end_s, facecolor="none", edgecolor=SOFT, hatch="////", alpha=0.5, linewidth=0
        )


def _phases(axes: Axes, annotations: SessionAnnotations) -> None:
    spans = [
        (span.start_s, span.end_s - span.start_s, span.label, colour_of(span.phase_kind))
        for span in annotations.phases
    ]
    label_phases(axes, spans, annotations.end_s)


def label_phases(axes: Axes, spans: Sequence[tuple[float, float, str, str]], end_s: float) -> None:
    """Draw the row of phases: onset and duration in seconds, name and colour of each."""
    whole_s = max(end_s, 1e-3)
    for onset_s, lasted_s, label, colour in spans:
        axes.barh(0, lasted_s, left=onset_s, height=1.0, color=colour, alpha=0.85, linewidth=0)
        words = _wrapped(label, int(lasted_s / whole_s * 150))
        middle_s = onset_s + lasted_s / 2
        axes.text(middle_s, 0, words, ha="center", va="center", fontsize=7, color="white", linespacing=1.05)
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("phase", rotation=0, ha="right", va="center")


def _wrapped(words: str, room: int) -> str:
    """Return words on up to three lines of ``room`` letters, cut where they do not fit; nothing where nothing fits."""
    lines = textwrap.wrap(words, max(room, 1), break_long_words=False) if room >= 3 else []
    lines = [line if len(line) <= room else f"{line[: room - 1]}…" for line in lines]
    return "\n".join(lines[:3])


def _temperature(axes: Axes, recording: SessionRecording, annotations: SessionAnnotations) -> None:
    readings = recording.stimulus
    time_s = readings["time_s"] - annotations.zero_s
    parts = parts_for(time_s, annotations.end_s)
    middles, target, _, most_target = binned(time_s, readings["target_c"], annotations.end_s, parts)
    _, measured, least, most = binned(time_s, readings["measured_c"], annotations.end_s, parts)
    axes.fill_between(middles, least, most, color=HEAT, alpha=0.3, linewidth=0)
    axes.plot(middles, measured, color=HEAT, linewidth=2.2, alpha=0.75, label="measured")
    axes.plot(
        middles,
        np.fmax(target, most_target),
        color=INK,
        linewidth=0.7,
        linestyle=(0, (3, 1.5)),
        label="target",
    )
    for event in recording.events:
        if event.kind in ("heat_aborted", "heat_fault", "heat_refused"):
            at_s = event.time_s - annotations.zero_s
            axes.plot([at_s], [axes.get_ylim()[1]], marker="v", color=BAD, markersize=6, clip_on=False)
    axes.set_ylabel("°C")
    grid(axes)
    _legend(axes)
    axes.margins(y=0.1)


def _level(axes: Axes, recording: SessionRecording, annotations: SessionAnnotations) -> None:
    given = recording.feedback
    time_s = given["time_s"] - annotations.zero_s
    middles, mean, least, most = binned(
        time_s, given["level"], annotations.end_s, parts_for(time_s, annotations.end_s)
    )
    axes.fill_between(middles, least, most, color=GOOD, alpha=0.3, linewidth=0)
    axes.plot(middles, mean, color=GOOD, linewidth=1.0)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("feedback\nlevel")
    grid(axes)


def _shares(axes: Axes, recording: SessionRecording, annotations: SessionAnnotations) -> None:
    """Usable and rewarded shares of each part of the session, in the blocks."""
    given = recording.feedback
    time_s = given["time_s"] - annotations.zero_s
    inside = np.zeros(len(time_s), dtype=bool)
    for block in annotations.blocks:
        inside |= (given["index"] >= block.first) & (given["index"] < block.stop)
    part = np.floor(np.clip(time_s[inside] / max(annotations.end_s, 1e-3), 0, 1 - 1e-9) * SHARES).astype(int)
    counts = np.bincount(part, minlength=SHARES)
    sparse = (
        counts < 0.3 * np.median(counts[counts > 0]) if counts.any() else counts < 0
    )  # a block's torn edge
    for name, label, colour, alpha in (
        ("usable", "usable", SOFT, 0.25),
        ("reward", "rewarded", GOOD, 0.9),
    ):
        middles, mean, _, _ = binned(time_s[inside], given[name][inside], annotations.end_s, SHARES)
        mean[sparse] = np.nan
        width = middles[1] - middles[0]
        axes.bar(
            middles, np.nan_to_num(mean), width=width, color=colour, alpha=alpha, linewidth=0, label=label
        )
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100 %"])
    axes.set_ylabel("share")
    _legend(axes)


def _ratings(axes: Axes, answers: Sequence[Answer]) -> None:
    numeric = [each for each in answers if isinstance(each.value, int | float) or each.value is None]
    scales = dict.fromkeys(each.scale for each in numeric if isinstance(each.value, int | float))
    for i, scale in enumerate(scales):
        some = [e for e in numeric if e.scale == scale]
        colour, mark = (HEAT, COOL, *SERIES[2:])[i % 6], MARKS[i % len(MARKS)]
        given = [(e.at_s, float(e.value)) for e in some if isinstance(e.value, int | float)]
        axes.plot(*zip(*given, strict=True), mark, color=colour, markersize=4.5, label=scale, alpha=0.9)
        missing = [e.at_s for e in some if e.value is None]
        if missing:
            label = f"{scale}: no answer"
            axes.plot(missing, [-7.0] * len(missing), "x", color=colour, markersize=4.5, label=label)
    axes.set_ylim(-14, 106)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("rating")
    grid(axes)
    if scales:
        _legend(axes)


def feature_figure(recording: SessionRecording, annotations: SessionAnnotations) -> Markup:
    """Draw every feature over the session, usable values only, and z with its threshold in the blocks."""
    names, given = feature_names(recording), recording.feedback
    has_z = bool(len(given["time_s"])) and bool(annotations.blocks)
    units = recording.units("neurofb-features")
    with drawn(0.5 + 1.25 * (len(names) + has_z)) as figure:
        found = figure.subplots(len(names) + has_z, 1, sharex=True, squeeze=False)[:, 0]
        for axes, name in zip(found, names, strict=False):
            table = recording.features
            usable = table[f"{name}.usable"] == 1
            time_s = table["time_s"][usable] - annotations.zero_s
            _band(axes, time_s, table[name][usable], annotations, SERIES[0])
            axes.set_title(name.replace("_", " "))
            axes.set_ylabel(units.get(name, "").replace("none", ""))
        if has_z:
            _scores(found[-1], recording, annotations)
        for axes in found:
            grid(axes)
            _shade(axes, annotations)
            axes.yaxis.set_label_coords(-0.055, 0.5)
        label_time(found[-1], annotations.end_s)
        return svg_of(figure, "features over the session's time, and the trained one against its threshold")


def _band(
    axes: Axes, time_s: FloatArray, values: FloatArray, annotations: SessionAnnotations, colour: str
) -> None:
    parts = min(300, parts_for(time_s, annotations.end_s))
    middles, mean, _, _ = binned(time_s, values, annotations.end_s, parts)
    _, squares, _, _ = binned(time_s, values**2, annotations.end_s, parts)
    spread = np.sqrt(np.maximum(squares - mean**2, 0))
    axes.fill_between(middles, mean - spread, mean + spread, color=colour, alpha=0.22, linewidth=0)
    axes.plot(middles, mean, color=colour, linewidth=1.0)


def _scores(axes: Axes, recording: SessionRecording, annotations: SessionAnnotations) -> None:
    given = recording.feedback
    usable = given["usable"] == 1
    _band(axes, given["time_s"][usable] - annotations.zero_s, given["z"][usable], annotations, GOOD)
    for i, block in enumerate(annotations.blocks):
        inside = (given["index"] >= block.first) & (given["index"] < block.stop)
        threshold = given["threshold"][inside]
        time_s = given["time_s"][inside] - annotations.zero_s
        label = "threshold" if i == 0 else None
        axes.plot(time_s[:: max(1, len(time_s) // 200)], threshold[:: max(1, len(time_s) // 200)], color=INK,
                  linewidth=1.2, linestyle=(0, (4, 1.6)), label=label)  # fmt: skip
    axes.set_title("trained feature against its baseline, and the threshold")
    axes.set_ylabel("z (SD)")
    axes.legend(loc="upper left")


# -- the sections ------------------------------------------------------------------------------------------------


def timeline_context(
    recording: SessionRecording, annotations: SessionAnnotations, answers: Sequence[Answer]
) -> dict[str, Any]:
    """Return the figure of the session over time, and its phases."""
    rows = [
        (
            clock(phase.start_s, hours=True),
            clock(phase.end_s - phase.start_s, hours=True),
            phase.label,
            phase.phase_kind.replace("_", " "),
            phase.eyes,
            f"{phase.stop - phase.first}",
        )
        for phase in annotations.phases
    ]
    return {"figure": session_figure(recording, annotations, answers), "phases": rows}


def events_context(recording: SessionRecording, annotations: SessionAnnotations) -> dict[str, Any]:
    """Return every event, and how many there were of each kind."""
    counted = Counter(event.kind for event in recording.events)
    rows = [
        (
            number(event.time_s - annotations.zero_s, 2),
            DASH if event.index is None else f"{event.index}",
            event.kind,
            event.message,
        )
        for event in recording.events
    ]
    return {"counts": counted.most_common(), "rows": rows}
