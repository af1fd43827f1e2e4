"""``neurofb report``: a session as one page, and its CRED-nf checklist."""

from __future__ import annotations

import json
from pathlib import Path

import click

from neurofb.commands.options import AS_JSON, SESSION_FOLDER


@click.command("report")
@SESSION_FOLDER
@click.option("--out", type=click.Path(path_type=Path), help="Where to write it.  [default: into the folder]")
@AS_JSON
def command(session: Path, out: Path | None, as_json: bool) -> None:
    """Write a report of the session in the folder SESSION: one HTML file, and the CRED-nf checklist."""
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
