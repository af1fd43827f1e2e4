"""``neurofb export``: a session, or all sessions of a dataset, as BIDS."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from neurofb.commands.options import AS_JSON, SESSION_FOLDER
from neurofb.errors import NeurofbError, UnknownFile, WrongInput

#: Exit code where a session of a dataset could not be exported.
FAILED = 2


@click.command("export")
@SESSION_FOLDER
@click.option("--out", type=click.Path(path_type=Path), help="Another dataset than the session's own.")
@click.option("--shift-dates", type=int, help="Move dates back by so many days.")
@AS_JSON
def command(session: Path, out: Path | None, shift_dates: int | None, as_json: bool) -> None:
    """Write BIDS from the session in the folder SESSION, or from all sessions of a dataset."""
    alone = not (session / "sourcedata").is_dir()
    rows = []
    for folder in sessions(session):
        row = _export_one(folder, out, shift_dates, alone=alone)
        rows.append(row)
        if not as_json:
            _print_row(row)
    if as_json:
        click.echo(json.dumps({"sessions": rows}, ensure_ascii=False))
    if any(row["state"] == "failed" for row in rows):
        sys.exit(FAILED)


def sessions(what: Path) -> list[Path]:
    """Return the session that a folder (or the recording in it) is, or those of the dataset that it is.

    Raises
    ------
    UnknownFile
        If it is neither.
    WrongInput
        If it is another file.
    """
    from neurofb.recording.folder import RECORDING

    if what.is_file() and what.name != RECORDING:
        raise WrongInput(f"{what} is no session; give the folder of one, which has {RECORDING}")
    if what.is_file():
        return [what.parent]
    if (what / RECORDING).is_file():
        return [what]
    found = sorted(path.parent for path in (what / "sourcedata" / "neurofb").glob(f"*/{RECORDING}"))
    if not found:
        raise UnknownFile(
            f"{what} is neither a session, which has {RECORDING}, nor a dataset with sessions in sourcedata/neurofb"
        )
    return found


def dataset_of(folder: Path) -> Path:
    """Return the dataset that a session's folder is in.

    Raises
    ------
    WrongInput
        If it is in none.
    """
    parents = folder.resolve().parents
    if len(parents) > 2 and parents[0].name == "neurofb" and parents[1].name == "sourcedata":
        return parents[2]
    raise WrongInput(
        f"{folder} does not lie in a dataset, as DATASET/sourcedata/neurofb/…; say with --out where the export is to go"
    )


def _export_one(folder: Path, out: Path | None, shift_dates: int | None, *, alone: bool) -> dict[str, Any]:
    from neurofb.offline.bids.export import export_session, is_exported

    row: dict[str, Any] = {"session": str(folder), "state": "exported", "path": None, "notes": []}
    try:
        data = out or dataset_of(folder)
        if not alone and is_exported(folder, data):
            return {**row, "state": "there already"}
        done = export_session(folder, data, shift_dates=shift_dates)
    except NeurofbError as error:
        if alone:
            raise
        return {**row, "state": "failed", "notes": [str(error)]}
    return {**row, "path": str(done.path), "notes": list(done.notes)}


def _print_row(row: dict[str, Any]) -> None:
    where = row["path"] or row["session"]
    click.echo(f"{row['state']}: {where}", err=row["state"] == "failed")
    for note in row["notes"]:
        click.echo(f"  note: {note}")
