"""Sections of the report: what happened and what was measured, in figures, tables and plain words."""

from __future__ import annotations

import math

from neurofb.offline.report import figures, timeline
from neurofb.offline.report.facts import Facts
from neurofb.offline.report.html import (
    DASH,
    Raw,
    clock,
    figure,
    folded,
    heading,
    number,
    paragraph,
    percent,
    section,
    signed,
    table,
)
from neurofb.offline.report.reward_stats import feature_names, mean_features
from neurofb.offline.report.spectra import MOST_UV, WINDOW_S


def course(facts: Facts) -> Raw:
    """Phases, stimuli, feedback and ratings over time."""
    svg = timeline.timeline(facts.recording, facts.course, facts.answers)
    rows = [
        (
            clock(phase.start_s),
            clock(phase.duration_s),
            phase.label,
            phase.kind.replace("_", " "),
            phase.eyes,
            f"{phase.last - phase.first}",
        )
        for phase in facts.course.phases
    ]
    return section(
        "timeline",
        "The session over time",
        figure(
            svg,
            "Tinted: feedback blocks; hatched: paused. Temperature: range of the measured values, target as a line; a "
            "triangle marks heat that was refused, aborted or faulty. Level: mean, and range around it. Crosses below "
            "the ratings: asked, not answered.",
        ),
        folded(
            "Phases",
            table(("from", "lasted", "phase", "kind", "eyes", "EEG samples"), rows, (0, 1, 5)),
        ),
    )


def spectra(facts: Facts) -> Raw:
    """Spectra by phase for regions and channels, and topographies."""
    found = facts.spectra
    if not len(found.freqs_hz) or not found.n_windows.any():
        return section("spectra", "Spectra", paragraph("There is no EEG long enough for a spectrum.", "lead"))
    theta, alpha = facts.course.bands_hz.values()
    peak = facts.course.iaf_hz
    origin = "no alpha peak is known, 10 Hz is taken" if peak is None else f"alpha peak {peak:.2f} Hz"
    rows = [
        (
            phase.label,
            f"{n}",
            percent(float(clean.mean() / n) if n else math.nan),
            *_extremes(clean, found.labels),
        )
        for phase, n, clean in zip(found.phases, found.n_windows, found.n_clean, strict=True)
    ]
    channels = [(label, [label]) for label in found.labels]
    return section(
        "spectra",
        "Spectra and topographies",
        figure(
            figures.spectra_by_place(found, _regions(facts), facts.course),
            f"Welch spectra by phase, mean of the channels of each region; windows of {WINDOW_S:g} s, those in which "
            f"a channel swings over {MOST_UV:g} µV left out for it. Tinted: theta {theta[0]:.1f}–{theta[1]:.1f} Hz and "
            f"alpha {alpha[0]:.1f}–{alpha[1]:.1f} Hz ({origin}). Phases of one name are taken together; instructions, "
            "pauses, questions and calibration are left out.",
        ),
        figure(
            figures.topographies(found, facts.course, _positions(facts)),
            "Power by phase, one scale for each band: that of the phases with open eyes; what is beyond it has the "
            "colour of its end. Between electrodes a map is interpolated: with few of them, look at the channels' own "
            "spectra.",
        ),
        folded(
            "Spectra of every channel",
            figure(
                figures.spectra_by_place(found, channels, facts.course), "As above, one panel for each channel."
            ),
        ),
        folded(
            "Windows that went in",
            table(("phase", "windows", "clean, mean of channels", "worst channel", ""), rows, (1, 2, 4)),
        ),
    )  # fmt: skip


def _extremes(clean: object, labels: tuple[str, ...]) -> tuple[str, str]:
    import numpy as np

    counts = np.asarray(clean)
    if not counts.size:
        return DASH, ""
    worst = int(counts.argmin())
    return labels[worst], f"{counts[worst]}"


def _regions(facts: Facts) -> list[tuple[str, list[str]]]:
    """Return the regions that features use, then the usual ones; every channel where there are no regions."""
    known = facts.at("loop", "montage", "regions") or {}
    declared = facts.at("loop", "features") or []
    used = [place.get("region") for each in declared
            for place in (each.get("at") or {}, *(each.get("between") or ()))]  # fmt: skip
    names = [name for name in dict.fromkeys((*used, *figures.USUAL_REGIONS)) if name in known]
    labels = facts.spectra.labels
    places = [(name, [channel for channel in known[name] if channel in labels]) for name in names]
    return [place for place in places if place[1]][:8] or [(label, [label]) for label in labels[:8]]


def _positions(facts: Facts) -> dict[str, str]:
    montage = facts.at("loop", "montage") or {}
    return dict(zip(montage.get("labels", ()), montage.get("positions", ()), strict=False))


def features(facts: Facts) -> Raw:
    """Features over time, blocks and their slope, rest before and after."""
    names = feature_names(facts.recording)
    if not names:
        return Raw("")
    parts: list[str] = [
        figure(
            timeline.feature_course(facts.recording, facts.course),
            "Usable values: mean and one standard deviation around it. Outside blocks nothing is scored.",
        )
    ]
    if facts.blocks:
        parts += _blocks(facts)
    else:
        parts.append(paragraph("There was no feedback block in this session.", "lead"))
    parts += _rests(facts, names)
    return section("features", "Features, threshold and blocks", *parts)


def _blocks(facts: Facts) -> list[str]:
    rows = [
        (
            block.span.label,
            block.span.name,
            clock(block.span.duration_s),
            f"{block.n}",
            percent(block.usable),
            percent(block.rewarded),
            percent(block.success, 1),
            signed(block.z),
            signed(block.threshold_z),
            signed(block.slope_z_per_min, 3),
        )
        for block in facts.blocks
    ]
    header = (
        "block", "against", "lasted", "values", "usable", "rewarded", "success", "mean z", "threshold", "z per min",
    )  # fmt: skip
    slopes = [
        (
            each.condition,
            f"{each.n_blocks}",
            signed(each.z_per_block, 3, " SD"),
            signed(100 * each.success_per_block, 2, " % points"),
        )
        for each in facts.slopes
    ]
    return [
        heading("Across blocks"),
        _across(facts),
        table(header, rows, range(2, 10)),
        heading("Learning index: slope over blocks"),
        table(("blocks against", "blocks", "mean z per block", "success per block"), slopes, (1, 2, 3)),
        paragraph(
            "Least squares over the blocks of one condition. Two blocks give a difference, not a course; one session "
            "of one person says nothing of learning in general.", "note",
        ),
    ]  # fmt: skip


def _across(facts: Facts) -> str:
    if len(facts.blocks) < 2:
        return ""
    return figure(
        figures.block_course(facts.blocks),
        "Success counts usable values beyond the threshold of the start, so it does not follow the threshold; the "
        "rewarded share does.",
    )


def _rests(facts: Facts, names: list[str]) -> list[str]:
    rests = facts.course.rests()
    if rests is None:
        return [paragraph("There is no pair of rests before and after to compare.", "lead")]
    before, after = (mean_features(facts.recording, rest) for rest in rests)
    units = facts.recording.units("neurofb-features")
    rows = [
        (
            name.replace("_", " "),
            units.get(name, "").replace("none", "") or DASH,
            f"{number(before[name][0], 3)} ± {number(before[name][1], 3)}",
            f"{number(after[name][0], 3)} ± {number(after[name][1], 3)}",
            signed(after[name][0] - before[name][0], 3),
            signed((after[name][0] - before[name][0]) / before[name][1] if before[name][1] else math.nan),
        )
        for name in names
    ]
    header = (
        "feature", "unit", f"{rests[0].label} (mean ± SD)", f"{rests[1].label} (mean ± SD)", "after − before",
        "in SD of before",
    )  # fmt: skip
    return [
        heading("Rest before and after"),
        table(header, rows, (2, 3, 4, 5)),
        paragraph(
            "Usable values. Neighbouring values overlap, so these spreads give no test; time and heat alone may change "
            "both rests.",
            "note",
        ),
    ]
