"""What `neurofb doctor` says: is everything there that a session needs, and if not, what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import click

from neurofb.commands.doctor_checks import (
    Finding,
    clock_findings,
    disk_findings,
    kernel_findings,
    library_findings,
    looked,
    memory_findings,
    python_findings,
)
from neurofb.commands.doctor_links import (
    LSL_SETTING,
    lsl_findings,
    network_findings,
    sound_findings,
    window_findings,
)
from neurofb.commands.tables import show_table

HEADER = ("looked at", "state", "found", "what to do")
#: Exit codes: all that a session needs is there; something is not.
WELL, MISSING = 0, 3


def run(as_json: bool, data: Path = Path("neurofb-data")) -> int:
    """Look at everything and say it; give the exit code.

    Parameters
    ----------
    as_json : bool
        As JSON, for programs; else as a table.
    data : Path
        Where sessions would be recorded.
    """
    findings = list(examine(data))
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
    return MISSING if missing else WELL


def examine(data: Path) -> Iterator[Finding]:
    """Return all findings, one check after the other."""
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
        yield from looked(name, check)


def _lsl_clock_findings() -> list[Finding]:
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
