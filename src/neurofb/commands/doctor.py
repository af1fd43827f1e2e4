"""``neurofb doctor``: checks of all that a session needs, with remedies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofb.commands.options import AS_JSON
from neurofb.commands.tables import show_table

if TYPE_CHECKING:
    from neurofb.commands.doctor_checks import Finding

HEADER = ("looked at", "state", "found", "what to do")
#: Exit code where something that a session needs is missing.
MISSING = 3


@click.command("doctor")
@click.option("--thermode", help="Talk to a thermode as well, without heat: a name, or the path of its file.")
@AS_JSON
def command(thermode: str | None, as_json: bool) -> None:
    """Look whether this computer has all that a session needs: each thing is well, or comes with its remedy."""
    if not examine_and_print(as_json, thermode=thermode):
        sys.exit(MISSING)


def examine_and_print(as_json: bool, data: Path = Path("neurofb-data"), thermode: str | None = None) -> bool:
    """Print all findings, as a table or as JSON; return whether nothing is missing.

    Sessions would be recorded below ``data``.
    """
    from neurofb.commands.doctor_links import LSL_SETTING

    findings = list(examine(data))
    if thermode is not None:
        from neurofb.commands.doctor_thermode import thermode_findings

        findings += thermode_findings(thermode)
    missing = [each.check for each in findings if each.state == "missing"]
    if as_json:
        document = {"ok": not missing, "findings": [asdict(each) for each in findings]}
        if _needs_setting(findings):
            document["lsl_setting"] = LSL_SETTING
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        show_table("neurofb doctor", HEADER, [(e.check, e.state, e.found, e.fix) for e in findings])
        if _needs_setting(findings):
            click.echo(f"\nThe LSL setting that helps:\n\n{LSL_SETTING}")
        click.echo(_verdict(findings, missing))
    return not missing


def examine(data: Path) -> Iterator[Finding]:
    """Return all findings, one check after the other."""
    from neurofb.commands.doctor_checks import (
        disk_findings,
        kernel_findings,
        library_findings,
        memory_findings,
        python_findings,
        run_check,
    )
    from neurofb.commands.doctor_links import lsl_findings, network_findings, sound_findings, window_findings

    checks: dict[str, Callable[[], list[Finding]]] = {
        "Python": python_findings,
        "kernels": kernel_findings,
        "libraries": library_findings,
        "LSL on this computer": lsl_findings,
        "LSL on the network": network_findings,
        "clock": _lsl_clock_findings,
        "disk": lambda: disk_findings(data),
        "memory": memory_findings,
        "Qt": window_findings,
        "sound": sound_findings,
    }
    for name, check in checks.items():
        yield from run_check(name, check)


def _lsl_clock_findings() -> list[Finding]:
    from neurofb.commands.doctor_checks import clock_findings
    from neurofb.lsl.inlet import LslClock

    return clock_findings(LslClock())


def _needs_setting(findings: list[Finding]) -> bool:
    return any("LSL setting below" in each.fix for each in findings)


def _verdict(findings: list[Finding], missing: list[str]) -> str:
    if missing:
        return f"A session cannot run here yet. Missing: {', '.join(missing)}."
    limited = [each.check for each in findings if each.state == "limited"]
    if limited:
        return f"A session can run here. Could be better: {', '.join(limited)}."
    return "All that a session needs is there."
