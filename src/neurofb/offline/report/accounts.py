"""Sections of the report: what was given and counted, as feedback, heat, ratings and events; signal quality."""

from __future__ import annotations

import math
from collections import Counter

from neurofb.offline.report import figures
from neurofb.offline.report.facts import Facts
from neurofb.offline.report.heat import calibrations, summaries
from neurofb.offline.report.html import (
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
    table,
    text,
)
from neurofb.offline.report.reward_stats import feature_names, total_reasons


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
    before = facts.at("heat_used_before")
    if isinstance(before, dict) and any(before.values()):
        earlier = ", ".join(f"{site} {number(float(used), 4)}" for site, used in before.items())
        closed += f" Of it, earlier runs of the same session: {earlier}."
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
