"""What ``neurofb report`` does and says: a session as one page, or its CRED-nf checklist as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import click


def run(session: Path, out: Path | None, as_json: bool) -> None:
    """Write the report of a session and say where it stands; with ``as_json`` print the checklist as well.

    Raises
    ------
    NeurofbError
        If there is no session to report on, or no place to write to.
    """
    from neurofb.offline.report.document import checklist_path, report_of, save

    report = report_of(session)
    path = save(report, out)
    if as_json:
        click.echo(json.dumps(report.checklist, indent=2, ensure_ascii=False))
        return
    counts = report.checklist["counts"]
    if not report.checklist["whole"]:
        click.echo("note: the recording is not whole; the report says what it lacks")
    click.echo(f"report: {path}")
    click.echo(
        f"CRED-nf: {checklist_path(path)}; of {report.checklist['n_boxes']} boxes {counts['filled']} are filled, "
        f"{counts['partly']} partly, {counts['author']} left to the author"
    )
