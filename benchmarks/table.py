"""The table of the README, out of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- measured: written by `make bench` -->", "<!-- /measured -->"

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
    "stop key to",
    "kill -9 of the engine",
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
    dates = sorted({row["date"] for row in results["rows"]})
    lines = [
        f"Measured on {' and '.join(dates)}: {results['processor']}, {results['cores']} cores, Python "
        f"{results['python']}; one core, medians. Targets are the project's own.",
        "",
        "| what | measured | beside it, in the same run | target |",
        "|---|---|---|---|",
    ]
    for row in results["rows"]:
        if f"{row['name']}:".startswith(SHOWN):
            ratio = "" if row["ratio"] is None else f" ({row['ratio']:,.4g} ×)"
            missed = "" if row["meets_target"] is not False else " **missed**"
            cells = (row["name"], f"{row['value']:.4g} {row['unit']}", f"{row['peer'] or ''}{ratio}")
            lines.append(f"| {' | '.join(cells)} | {row['target'] or ''}{missed} |")
    return "\n".join(lines)
