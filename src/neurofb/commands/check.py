"""``neurofb check``: the timeline of a participant's session, and all problems, before anything starts."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON, DEVICE, SESSION
from neurofb.commands.tables import show_table
from neurofb.errors import WrongFile, WrongInput
from neurofb.format import clock

if TYPE_CHECKING:
    from neurofb.protocol.checks.check import CheckReport
    from neurofb.protocol.timeline import PlannedPhase, Timeline

TIMELINE_HEADER = ("from", "lasts", "phase", "kind", "eyes", "what happens", "baseline or feedback", "site")
FEATURE_HEADER = ("feature", "channels", "band", "delay", "averaged over", "expected r")
BUDGET_HEADER = ("site", "stimuli", "dose", "of at most", "used")
#: A letter and a colour for each kind of phase, for the bar.
LETTERS = {
    "instruction": ("i", "white"),
    "rest_baseline": ("r", "cyan"),
    "iaf_baseline": ("a", "blue"),
    "eyes_baseline": ("e", "blue"),
    "calibration": ("c", "magenta"),
    "training": ("T", "green"),
    "heat": ("H", "red"),
    "rating": ("?", "yellow"),
    "transfer": ("t", "bright_green"),
    "pause": ("-", "bright_black"),
}
BAR_WIDTH = 78


@click.command("check")
@click.argument("protocol")
@DEVICE
@SESSION
@click.option("--arm", help="Which arm, by its id.")
@click.option("--baseline", help="The folder of an earlier session of the participant.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--participant", help="A code to be checked as well.")
@click.option(
    "--thermode", default="simulated", help="What is to give the heat: a name, or the path of a file."
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also draw it as a page, to scale: FILE.html.",
)
@AS_JSON
def command(
    protocol: str,
    device: str,
    baseline: str | None,
    thermode: str,
    page: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Say what a participant will get, and everything that is wrong, before anything starts.

    PROTOCOL is the name of a bundled one, such as breath-heat, or the path of a file of your own.
    """
    from neurofb.devices import load_profile
    from neurofb.loop.participant_fit import read_baseline
    from neurofb.protocol.checks.check import RunContext, check_protocol
    from neurofb.stimulation.registry import find_thermode

    earlier = read_baseline(baseline) if baseline else None
    file = find_thermode(thermode)
    able = None if file is None else file.capabilities()
    report = check_protocol(
        protocol, RunContext(load_profile(device), earlier=earlier, thermode=able, **asked)
    )
    if file is not None:
        report = replace(report, warnings=(*report.warnings, file.outlives()))
    if page is not None:
        write_plan(report, page)
    if as_json:
        click.echo(json.dumps(document(report), indent=2, ensure_ascii=False))
        if report.problems:
            sys.exit(WrongFile.exit_code)
        return
    show(report)
    if page is not None:
        click.echo(f"drawn: {page}")
    if report.problems:
        raise WrongFile(report.refusal)


def write_plan(report: CheckReport, page: Path) -> None:
    """Write the page of a plan; only another page of a plan is replaced.

    Raises
    ------
    WrongInput
        If there is another file, or none can be written.
    """
    from neurofb.offline.report.html import has_mark
    from neurofb.offline.report.plan import MARK, plan_page

    if page.exists() and not has_mark(page, MARK):
        raise WrongInput(f"{page} is there and is no plan of neurofb; give another name: --html FILE.html")
    try:
        page.write_text(plan_page(report), encoding="utf-8")
    except OSError as error:
        raise WrongInput(f"{page} cannot be written: {error.strerror}; give another path") from None


def show(report: CheckReport) -> None:
    """Print a report: tables, and a bar where there is a terminal."""
    if report.timeline is not None and report.protocol is not None:
        study = report.protocol.study
        title = (
            f"{study.title} ({study.id}, {study.status.replace('_', ' ')}), session {report.timeline.session}"
        )
        show_table(title, TIMELINE_HEADER, timeline_rows(report.timeline))
        if sys.stdout.isatty():
            _show_bar(report.timeline)
        click.echo(totals(report))
    if report.features:
        show_table("Features", FEATURE_HEADER, feature_rows(report))
    for each in report.features:
        if each.in_blinks:
            click.echo(f"{each.name} in blinks: {each.in_blinks}")
    if report.budgets:
        show_table("Heat, planned", BUDGET_HEADER, budget_rows(report))
    if report.reward is not None:
        rate = "not known" if report.reward.rate is None else f"{report.reward.rate:.0%}"
        first = report.reward.first_block
        click.echo(
            f"reward: {rate} ({report.reward.why})"
            + (
                f"; in the first block {first[0]:.0%} to {first[1]:.0%} for nine in ten people"
                if first
                else ""
            )
        )
    for warning in report.warnings:
        click.echo(f"note: {warning}")


def timeline_rows(timeline: Timeline) -> list[tuple[str, ...]]:
    """Return a row for each phase, as ``TIMELINE_HEADER`` names its cells."""
    return [
        (
            clock(phase.onset_s, tenths=True),
            ("≤ " if phase.waits else "≈ " if phase.kind == "calibration" else "")
            + clock(phase.duration_s, tenths=True),
            phase.name,
            phase.kind.replace("_", " "),
            phase.eyes,
            happens(timeline, phase),
            _earns(phase, timeline),
            _sites(timeline, phase),
        )
        for phase in timeline.phases
    ]


def happens(timeline: Timeline, phase: PlannedPhase) -> str:
    """Return the content of a phase in words: stimuli by level with temperatures, and questions."""
    steps = [step for step in timeline.steps if step.phase == phase.index]
    levels: dict[str, list[float]] = {}
    for step in steps:
        if step.kind == "heat" and step.profile is not None:
            levels.setdefault(str(step.level), []).append(step.profile.target_c)
    parts = [f"{len(found)} × {level} {_between(found)} °C" for level, found in levels.items()]
    asked = dict.fromkeys(scale.name for step in steps for scale in step.scales or ())
    if asked:
        parts.append(f"asks {', '.join(asked)}")
    return "; ".join(parts) or ("waits" if phase.waits else "")


def _sites(timeline: Timeline, phase: PlannedPhase) -> str:
    """Return where the probe is in a phase; several sites in the order of the trials."""
    steps = (step for step in timeline.steps if step.phase == phase.index and step.site is not None)
    return " → ".join(dict.fromkeys(str(step.site) for step in steps))


def _earns(phase: PlannedPhase, timeline: Timeline) -> str:
    if phase.collects != "none":
        return f"gives the {phase.collects} baseline"
    if phase.feedback is None:
        return ""
    sham = "" if timeline.feedback == "real" else f" ({timeline.feedback})"
    return f"feedback against {phase.feedback}{sham}"


def _between(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def totals(report: CheckReport) -> str:
    """Return the session's totals in one line."""
    timeline = report.timeline
    assert timeline is not None
    at_most = "at most " if timeline.waits else ""
    return (
        f"in all: {at_most}{clock(timeline.duration_s, tenths=True)}, {clock(timeline.trained_s, tenths=True)} "
        f"with feedback, {len(timeline.heats)} stimuli, {timeline.n_questions} questions"
    )


def feature_rows(report: CheckReport) -> list[tuple[str, ...]]:
    """Return a row for each feature, as ``FEATURE_HEADER`` names its cells."""
    return [
        (
            each.name,
            " ".join(each.channels),
            "" if each.band_hz is None else f"{each.band_hz[0]:g}–{each.band_hz[1]:g} Hz",
            "" if each.delay_s is None else f"{1000 * each.delay_s:.0f} ms",
            f"{each.averaged_s:g} s",
            ""
            if each.correlation is None
            else f"{each.correlation:.2f} ({'own spectrum' if each.own else 'usual spectrum'})",
        )
        for each in report.features
    ]


def budget_rows(report: CheckReport) -> list[tuple[str, ...]]:
    """Return a row for each site, as ``BUDGET_HEADER`` names its cells."""
    return [
        (
            each.site,
            str(each.stimuli),
            f"{each.share:.2f}",
            f"{each.limit:.2f}",
            f"{each.share / each.limit:.0%}",
        )
        for each in report.budgets
    ]


def document(report: CheckReport) -> dict[str, Any]:
    """Return a report as JSON can hold it."""
    timeline = report.timeline
    content: dict[str, Any] = {
        "protocol": report.protocol.study.id if report.protocol else None,
        "file": report.title,
        "problems": list(report.problems),
        "warnings": list(report.warnings),
        "features": [asdict(each) for each in report.features],
        "heat": [asdict(each) for each in report.budgets],
        "reward": None if report.reward is None else asdict(report.reward),
    }
    if timeline is not None:
        content |= {
            "session": timeline.session,
            "seed": timeline.seed,
            "duration_s": timeline.duration_s,
            "phases": [asdict(phase) for phase in timeline.phases],
            "steps": list(_step_documents(timeline)),
        }
    return content


def _step_documents(timeline: Timeline) -> Iterator[dict[str, Any]]:
    for step in timeline.steps:
        yield {
            "kind": step.kind,
            "phase": step.phase,
            "onset_s": step.onset_s,
            "duration_s": step.duration_s,
            "trial": step.trial,
            "level": step.level,
            "site": step.site,
            "target_c": None if step.profile is None else step.profile.target_c,
            "scale": None if step.scales is None else step.scales[0].name,
        }


def bar(timeline: Timeline, width: int = BAR_WIDTH) -> tuple[list[tuple[str, str]], str]:
    """Return the session as a bar: pieces of letters with their colour, and a line that marks stimuli with ``^``."""
    whole_s = timeline.duration_s or 1.0
    marks = [" "] * width
    for onset_s in timeline.heat_onsets_s:
        marks[min(int(onset_s / whole_s * width), width - 1)] = "^"
    pieces = []
    for phase in timeline.phases:
        first, last = (
            round(at_s / whole_s * width) for at_s in (phase.onset_s, phase.onset_s + phase.duration_s)
        )
        letter, colour = LETTERS[phase.kind]
        if last > first:
            pieces.append((letter * (last - first), colour))
    return pieces, "".join(marks).rstrip()


def _show_bar(timeline: Timeline) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    pieces, marks = bar(timeline, max(20, min(console.width - 2, 160)))
    console.print(Text.assemble(*((letters, f"bold {colour} reverse") for letters, colour in pieces)))
    if marks:
        console.print(Text(marks, style="red"))
    kinds = dict.fromkeys(phase.kind for phase in timeline.phases)
    legend = [(f"{LETTERS[kind][0]} {kind}  ", LETTERS[kind][1]) for kind in kinds]
    console.print(Text.assemble(*legend, ("^ stimulus" if marks else "", "red")))
