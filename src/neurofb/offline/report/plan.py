"""The page of a plan: what a participant would get, drawn to scale, before anything starts.

In: the report of a check. Out: HTML that opens offline and prints, in the style of a session's report.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from neurofb import __version__
from neurofb.format import clock
from neurofb.offline.report.html import environment
from neurofb.offline.report.svg import (
    COOL,
    DASHES,
    GOOD,
    HEAT,
    INK,
    LINE,
    SERIES,
    SOFT,
    colour_of,
    drawn,
    grid,
    svg_of,
)
from neurofb.offline.report.timeline import label_phases, label_time
from neurofb.protocol.checks.check import CheckReport
from neurofb.protocol.checks.heat_check import calibration_share
from neurofb.protocol.timeline import PlannedPhase, Step, Timeline
from neurofb.stimulation.heat_profile import HeatProfile, dose

#: A page of a plan begins with this, after its doctype.
MARK = "<!-- neurofb plan -->"
NOTICE = "Research software. Not a medical device. Not for diagnosis, treatment or relief of pain."


def plan_page(report: CheckReport) -> str:
    """Return the page of a checked protocol; one whose file has mistakes has its problems and no figure."""
    plan = _context(report)
    return (
        environment().get_template("plan.html").render(page_title=f"neurofb plan {plan['title']}", plan=plan)
    )


def _context(report: CheckReport) -> dict[str, Any]:
    timeline, protocol = report.timeline, report.protocol
    plan: dict[str, Any] = {
        "title": Path(report.title).name if protocol is None else protocol.study.title,
        "file": Path(report.title).name,
        "version": __version__,
        "notice": NOTICE,
        "problems": report.problems,
        "warnings": report.warnings,
        "known": (),
        "key_figures": (),
        "figure": None,
        "seen": (),
        "features": [_feature_row(each) for each in report.features],
        "budgets": report.budgets,
        "reward": report.reward,
    }
    if timeline is None or protocol is None:
        return plan
    study = protocol.study
    plan["known"] = (
        study.id,
        study.status.replace("_", " "),
        f"session {timeline.session}",
        f"seed {timeline.seed}",
    )
    plan["key_figures"] = _key_figures(timeline)
    plan["figure"] = plan_figure(report)
    plan["seen"] = [_seen(timeline, phase) for phase in timeline.phases]
    return plan


def _key_figures(timeline: Timeline) -> list[tuple[str, str]]:
    return [
        (clock(timeline.duration_s), "min:s at most" if timeline.waits else "min:s in all"),
        (clock(timeline.trained_s), "min:s with feedback"),
        (f"{len(timeline.heats)}", "stimuli"),
        (f"{timeline.n_questions}", "questions"),
    ]


def _feature_row(each: Any) -> tuple[str, ...]:
    band = "" if each.band_hz is None else f"{each.band_hz[0]:g}–{each.band_hz[1]:g} Hz"
    delay = "" if each.delay_s is None else f"{1000 * each.delay_s:.0f} ms"
    r = "" if each.correlation is None else f"{each.correlation:.2f}"
    return (each.name, " ".join(each.channels), band, delay, f"{each.averaged_s:g} s", r)


def _seen(timeline: Timeline, phase: PlannedPhase) -> dict[str, Any]:
    """Return what a participant meets in a phase: its text, what is heard, and which questions come."""
    steps = [step for step in timeline.steps if step.phase == phase.index]
    asked = dict.fromkeys(scale.question for step in steps for scale in step.scales or ())
    texts = dict.fromkeys(step.text for step in steps if step.kind != "rating" and step.text)
    return {
        "from": clock(phase.onset_s),
        "lasts": ("≤ " if phase.waits else "") + clock(phase.duration_s),
        "name": phase.name,
        "kind": phase.kind,
        "eyes": phase.eyes,
        "text": phase.text,
        "texts": [text for text in texts if text != phase.text],
        "feedback": "" if phase.feedback is None else f"feedback against {phase.feedback}",
        "sound": phase.sound or "",
        "stimuli": sum(step.kind == "heat" for step in steps),
        "asked": list(asked),
    }


# -- the figure ---------------------------------------------------------------------------------------------------


def plan_figure(report: CheckReport) -> Markup:
    """Draw phases, temperatures, questions and the dose of each site on one axis of time."""
    timeline = report.timeline
    assert timeline is not None
    rows: list[tuple[float, Callable[[Axes], None]]] = [(0.62, lambda axes: _phases(axes, timeline))]
    if timeline.heats:
        rows.append((1.5, lambda axes: _temperature(axes, timeline)))
    if timeline.n_questions:
        rows.append((0.5, lambda axes: _questions(axes, timeline)))
    if report.budgets:
        rows.append((1.5, lambda axes: _doses(axes, report, timeline)))
    heights = [height for height, _ in rows]
    with drawn(0.75 + 0.95 * sum(heights)) as figure:
        found = figure.subplots(len(rows), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (_, draw) in zip(found, rows, strict=True):
            draw(axes)
            _shade(axes, timeline)
            axes.yaxis.set_label_coords(-0.055, 0.5)
        label_time(found[-1], timeline.duration_s)
        return svg_of(figure, "planned phases, temperatures, questions and doses over the session's time")


def _phases(axes: Axes, timeline: Timeline) -> None:
    spans = [(each.onset_s, each.duration_s, each.name, colour_of(each.kind)) for each in timeline.phases]
    label_phases(axes, spans, timeline.duration_s)


def _shade(axes: Axes, timeline: Timeline) -> None:
    for phase in timeline.phases:
        if phase.onset_s > 0:
            axes.axvline(phase.onset_s, color=LINE, linewidth=0.5, alpha=0.7, zorder=0)
        if phase.feedback is not None:
            end_s = phase.onset_s + phase.duration_s
            axes.axvspan(phase.onset_s, end_s, color=GOOD, alpha=0.06, linewidth=0, zorder=0)


def _temperature(axes: Axes, timeline: Timeline) -> None:
    colours = _level_colours(timeline)
    axes.axhline(
        min(_profile(step).baseline_c for step in timeline.heats), color=HEAT, linewidth=0.8, alpha=0.6
    )
    for step in timeline.heats:
        profile, colour = _profile(step), colours[str(step.level)]
        base_c, on_plateau_s = profile.baseline_c, profile.rise_s + profile.plateau_s
        times_s = step.onset_s + np.array([0.0, profile.rise_s, on_plateau_s, profile.duration_s])
        shown_c = [base_c, profile.target_c, profile.target_c, base_c]
        axes.fill_between(times_s, shown_c, base_c, color=colour, alpha=0.35, linewidth=0)
        axes.plot(times_s, shown_c, color=colour, linewidth=1.1)
    for level, colour in colours.items():
        axes.plot([], [], color=colour, linewidth=2, label=level)
    axes.set_ylabel("°C")
    grid(axes)
    axes.margins(y=0.12)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=6, borderaxespad=0.0, borderpad=0.1)


def _level_colours(timeline: Timeline) -> dict[str, str]:
    """Return a colour for each level, the hottest in that of heat."""
    hottest_c: dict[str, float] = {}
    for step in timeline.heats:
        level = str(step.level)
        hottest_c[level] = max(_profile(step).target_c, hottest_c.get(level, 0.0))
    falling = sorted(hottest_c, key=lambda level: -hottest_c[level])
    others = [colour for colour in SERIES if colour != HEAT]
    return {level: HEAT if i == 0 else others[(i - 1) % len(others)] for i, level in enumerate(falling)}


def _questions(axes: Axes, timeline: Timeline) -> None:
    asked = [step for step in timeline.steps if step.kind == "rating"]
    times_s = [step.onset_s for step in asked]
    axes.plot(times_s, [0.0] * len(times_s), "D", color=COOL, markersize=3.5, alpha=0.9)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("questions", rotation=0, ha="right", va="center")


def _doses(axes: Axes, report: CheckReport, timeline: Timeline) -> None:
    """Draw the dose of each site as it grows; that of a calibration is a usual one, at the end of its phase."""
    limit = max(each.limit for each in report.budgets)
    for i, budget in enumerate(report.budgets):
        times_s, shares = _growth(report, timeline, budget.site)
        axes.plot(
            times_s, shares, color=SERIES[i % len(SERIES)], linestyle=DASHES[i % len(DASHES)], linewidth=1.3,
            drawstyle="steps-post", label=budget.site,
        )  # fmt: skip
    axes.axhline(limit, color=INK, linewidth=0.8, linestyle=(0, (4, 1.6)))
    axes.annotate(
        "budget of a site", (0, limit), (3, -3), textcoords="offset points", va="top", fontsize=7, color=SOFT
    )
    axes.set_ylim(0, 1.12 * limit)
    axes.set_ylabel("dose")
    grid(axes)
    if len(report.budgets) <= 8:
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 1.0),
            ncols=4,
            borderaxespad=0.0,
            borderpad=0.1,
            fontsize=6.5,
        )


def _growth(report: CheckReport, timeline: Timeline, site: str) -> tuple[list[float], list[float]]:
    """Return the times at which a site's dose grows, and the dose from then on."""
    assert report.protocol is not None
    assert report.protocol.heat is not None
    given = [
        (step.onset_s + _profile(step).duration_s, dose(_profile(step)))
        for step in timeline.heats
        if step.site == site
    ]
    if site == report.protocol.heat.calibration_site:
        share = calibration_share(report.protocol)
        given += [(p.onset_s + p.duration_s, share) for p in timeline.phases if p.kind == "calibration"][:1]
    times_s, shares = [0.0], [0.0]
    for at_s, share in sorted(given):
        times_s.append(at_s)
        shares.append(shares[-1] + share)
    return [*times_s, timeline.duration_s], [*shares, shares[-1]]


def _profile(step: Step) -> HeatProfile:
    assert step.profile is not None
    return step.profile
