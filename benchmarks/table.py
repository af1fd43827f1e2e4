"""The table of the README, out of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- measured: written by `make bench` -->", "<!-- /measured -->"

#: More work than this before a benchmark began, as the load of the last minute, is noted with its rows.
SHARED_LOAD = 0.5

#: Rows whose names begin like this are for the README; the rest are in results.json.
SHOWN = (
    "64 channels, 6 bands",
    "all measures, one update",
    "band power of 64 channels",
    "alpha envelope, electrodes, 0 ms late: median r:",
    "alpha envelope, electrodes, 50 ms late: median r:",
    "alpha envelope, electrodes, 100 ms late: median r:",
    "alpha envelope, SSD, 50 ms late: median r:",
    "8 ch",
    "64 ch",
    "32 participants",
    "sample pushed to feedback received",
    "age_s against",
    "feedback with both screens",
    "recording 64 channels",
    "what recording adds",
    "stop in the engine",
    "kill -9 of the engine",
    "command of",
    "onset of",
    "re-run,",
    "report of an hour, 8 ch:",
    "opening 1 h",
    "operator, 64 channels at 1,000 Hz, 1440 × 900: frames",
)


def write_table(results: dict[str, Any]) -> None:
    """Put the table between its marks in the README."""
    before, rest = README.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", "utf-8")


def table(results: dict[str, Any]) -> str:
    """Give the rows as Markdown, with the date and the machine."""
    lines = [
        f"Measured with Python {results['python']} {' and '.join(machines(results))}. Medians, where a row does not "
        "say otherwise; rows with * while other work ran on the machine. Targets are the project's own.",
        "",
        "| what | measured | beside it, in the same run | target |",
        "|---|---|---|---|",
    ]
    for row in results["rows"]:
        if f"{row['name']}:".startswith(SHOWN):
            ratio = "" if row["ratio"] is None else f" ({row['ratio']:,.4g} ×)"
            missed = "" if row["meets_target"] is not False else " **missed**"
            shared = "\\*" if (row.get("load") or 0.0) > SHARED_LOAD else ""
            cells = (
                f"{row['name']}{shared}",
                f"{row['value']:.4g} {row['unit']}",
                f"{row['peer'] or ''}{ratio}",
            )
            lines.append(f"| {' | '.join(cells)} | {row['target'] or ''}{missed} |")
    return "\n".join(lines)


def machines(results: dict[str, Any]) -> list[str]:
    """Give each machine in words, with what was measured on it and when; the newest last."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(results["rows"], key=lambda row: str(row["date"])):
        machine = row.get("machine", results)
        groups.setdefault(f"on {machine['cores']} cores of {machine['processor']}", []).append(row)
    said = []
    for machine, rows in groups.items():
        dates = " and ".join(sorted({str(row["date"]) for row in rows}))
        names = ", ".join(sorted({str(row["benchmark"]) for row in rows}))
        said.append(f"{machine} ({dates}{f': {names}' if len(groups) > 1 else ''})")
    return said
