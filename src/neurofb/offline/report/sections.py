"""The sections of the report: what was measured and what happened, in figures, tables and plain words."""

from __future__ import annotations

import math
from collections import Counter

from neurofb.offline.report import figures, timeline
from neurofb.offline.report.earned import feature_names, mean_features, total_reasons
from neurofb.offline.report.facts import Facts
from neurofb.offline.report.heat import calibrations, summaries
from neurofb.offline.report.page import (
    DASH,
    Raw,
    bar,
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
    text,
)
from neurofb.offline.report.signals import MOST_UV, WINDOW_S


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
            "Tinted: feedback blocks. Temperature: range of the measured values, target as a line; a triangle marks "
            "heat that was refused, aborted or faulty. Level: mean, and range around it. Crosses below the ratings: "
            "asked, not answered.",
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
            "Power by phase, one scale for each band. Between electrodes a map is interpolated: with few of them, "
            "look at the channels' own spectra.",
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
    """Give the regions that features use, then the usual ones; every channel where there are no regions."""
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


def feedback(facts: Facts) -> Raw:
    """Rates with their reasons, and latency."""
    if not facts.n_feedback:
        parts: list[str] = [paragraph("No feedback was given in this session.", "lead")]
        return section("feedback", "Reward, artifacts and latency", *parts, _usable(facts))
    shown = [each for each in facts.rates if each.n]
    total = total_reasons(facts.rates)
    n = facts.n_feedback
    rows = [
        (each.label, f"{each.n}", percent(each.usable, 1), percent(each.rewarded, 1),
         percent(each.rewarded / each.usable if each.usable else math.nan, 1))
        for each in shown
    ]  # fmt: skip
    reasons = [(why, f"{count}", percent(count / n, 1)) for why, count in total.most_common()]
    parts = [
        figure(figures.reasons(facts.rates), "Every feedback value of a block is one of these. An artifact holds the "
               "level for a moment and then lets it go neutral; it never rewards."),
        Raw(
            '<div class="two"><div>'
            + heading("Rates")
            + table(("phase", "values", "usable", "rewarded", "rewarded of usable"), rows, (1, 2, 3, 4))
            + "</div><div>"
            + heading("Withheld, by reason")
            + table(("reason", "values", "of all"), reasons, (1, 2))
            + "</div></div>"
        ),
        _usable(facts),
    ]  # fmt: skip
    return section("feedback", "Reward, artifacts and latency", *parts, *_latency(facts))


def _usable(facts: Facts) -> Raw:
    names = feature_names(facts.recording)
    rows = [
        (each.label, *(percent(each.features.get(name, math.nan)) for name in names)) for each in facts.rates
    ]
    header = ("phase", *(name.replace("_", " ") for name in names))
    return folded("Usable values of every feature, by phase", table(header, rows, range(1, len(header))))


def _latency(facts: Facts) -> list[str]:
    ages = facts.ages
    if ages is None:
        return []
    older = f"; {ages.n_older} values beyond the right end" if ages.n_older else ""
    return [
        heading("Latency"),
        figure(
            figures.latency(ages),
            f"Age of {ages.n} feedback values when they went out: median {1000 * ages.median_s:.1f} ms, 95 % below "
            f"{1000 * ages.p95_s:.1f} ms, 99 % below {1000 * ages.p99_s:.1f} ms, most {1000 * ages.most_s:.1f} ms"
            f"{older}. The delay of the filters is declared, not measured, and comes on top; so do headset, radio, "
            "screen and loudspeaker.",
        ),
    ]


def quality(facts: Facts) -> Raw:
    """How every channel was."""
    states = Counter[str]()
    for channel in facts.channels:
        states += channel.states
    names = [name for name, _ in states.most_common() if name != "ok"]
    rows = [
        (
            channel.label,
            Raw(f"{bar(channel.good, 'good')} {percent(channel.good, 1)}"),
            *(percent(channel.states[name] / max(channel.states.total(), 1), 1) for name in names),
            percent(channel.missing, 2),
            number(channel.deviation_uv, 1),
            f"{channel.left}" if channel.left else DASH,
        )
        for channel in facts.channels
    ]
    header = ("channel", "ok", *names, "missing samples", "median deviation, µV", "taken out")
    words = (
        "Every quarter of a second judged by the second that ends with it, as in the session."
        if facts.judged
        else "The session's settings are lost: channels cannot be judged, only counted."
    )
    gaps = [event for event in facts.recording.events if event.kind in ("gap", "stale", "lost")]
    counted = Counter(event.kind for event in gaps)
    said = (
        ", ".join(f"{count} × {kind}" for kind, count in counted.items()) or "no gap and no stall was noticed"
    )
    return section(
        "quality",
        "Signal quality",
        paragraph(words, "lead"),
        table(header, rows, range(2, len(header))),
        paragraph(f"Stream: {said}.", "note"),
    )


def heat(facts: Facts) -> Raw:
    """What was given, what each place has had, and what a calibration found."""
    if not facts.stimuli and not facts.used and facts.at("heat") is None:
        return section("heat", "Heat", paragraph("There was no heat in this session.", "lead"))
    budget = facts.at("heat", "budget")
    limit = float(budget) if isinstance(budget, int | float) else math.nan
    ledger = [
        (site, f"{sum(s.site == site for s in facts.stimuli)}", number(used, 4), number(limit, 2),
         Raw(f"{bar(used / limit)} {percent(used / limit, 1)}") if limit > 0 else DASH)
        for site, used in facts.used.items()
    ]  # fmt: skip
    closed = (
        "As the session closed it."
        if facts.ledger_closed
        else "The session did not close its ledger: these are the last values its events say; a stimulus that was on "
        "at the end is not in them."
    )
    rows = [
        (clock(s.at_s), s.phase, s.site, number(s.target_c, 1), number(s.highest_c, 2), number(s.plateau_s, 1),
         number(1000 * s.late_s, 1), number(s.dose, 4), s.end)
        for s in facts.stimuli
    ]  # fmt: skip
    header = ("at", "phase", "site", "target °C", "highest °C", "plateau s", "late ms", "dose", "end")
    found = [
        f"{each.get('site')}: threshold {number(each.get('threshold_c'), 2)} °C, "
        + ", ".join(f"{float(c):g} °C for {float(p):g}" for p, c in (each.get("temperatures") or {}).items())
        for each in calibrations(facts.recording.events)
    ]
    return section(
        "heat",
        "Heat",
        heading("Ledger by site"),
        table(("site", "stimuli", "used", "budget", ""), ledger, (1, 2, 3))
        or paragraph("No heat was applied.", "lead"),
        paragraph(
            f"{closed} Unit: share of the contact line, ramps included; no credit for recovery.", "note"
        ),
        *(heading("Calibration") if found else "", *(paragraph(line) for line in found)),
        folded(f"Stimuli ({len(rows)})", table(header, rows, (0, 3, 4, 5, 6, 7))) if rows else "",
    )


def ratings(facts: Facts) -> Raw:
    """What was answered, and what was not."""
    if not facts.answers:
        return section("ratings", "Ratings", paragraph("Nothing was asked in this session.", "lead"))
    means = [
        (
            each.scale,
            each.level or DASH,
            f"{each.n_asked}",
            f"{each.n_missing}",
            number(each.mean, 1),
            number(each.sd, 1),
        )
        for each in summaries(facts.answers)
    ]
    missing = Raw('<span class="missing">missing</span>')
    rows = [
        (clock(a.at_s), a.phase, a.trial or DASH, a.level or DASH, a.scale,
         missing if a.value is None else number(a.value, 1) if isinstance(a.value, int | float) else a.value,
         number(a.reaction_s, 1))
        for a in facts.answers
    ]  # fmt: skip
    return section(
        "ratings",
        "Ratings",
        table(("scale", "level", "asked", "missing", "mean", "SD"), means, (2, 3, 4, 5)),
        paragraph("A missing answer is missing: it stands in no mean.", "note"),
        folded(
            f"All answers ({len(rows)})",
            table(("at", "phase", "trial", "level", "scale", "answer", "after s"), rows, (0, 2, 6)),
        ),
    )


def events(facts: Facts) -> Raw:
    """Everything that was said."""
    counted = Counter(event.kind for event in facts.recording.events)
    zero_s = facts.course.zero_s
    rows = [
        (
            number(event.time_s - zero_s, 2),
            DASH if event.index is None else f"{event.index}",
            event.kind,
            event.message,
        )
        for event in facts.recording.events
    ]
    words = ", ".join(f"{text(kind)} {count}" for kind, count in counted.most_common())
    return section(
        "events",
        "Events",
        Raw(f'<p class="lead">{words or "none"}</p>'),
        folded(f"All events ({len(rows)})", table(("s", "sample", "kind", "what"), rows, (0, 1))),
    )
