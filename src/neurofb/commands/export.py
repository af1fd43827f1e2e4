"""What ``neurofb export`` does and says: a session, or all sessions of a dataset, as BIDS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from neurofb.errors import NeurofbError, UnknownFile, WrongInput

#: Exit codes: all is there; something could not be exported.
DONE, FAILED = 0, 2


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked of an export.

    Attributes
    ----------
    out : Path or None
        Another dataset than the session's own.
    shift_dates : int or None
        By how many days dates are moved back.
    """

    out: Path | None = None
    shift_dates: int | None = None


def run(what: Path, options: Options, as_json: bool) -> int:
    """Export a session, or every session of a dataset that is not exported yet; give the exit code.

    Raises
    ------
    NeurofbError
        If there is no session, or the only one that is meant cannot be exported.
    """
    found = sessions(what)
    alone = not (what / "sourcedata").is_dir()
    rows = []
    for folder in found:
        row = _one(folder, options, alone=alone)
        rows.append(row)
        if not as_json:
            _say(row)
    if as_json:
        click.echo(json.dumps({"sessions": rows}, ensure_ascii=False))
    return FAILED if any(row["state"] == "failed" for row in rows) else DONE


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


def _one(folder: Path, options: Options, *, alone: bool) -> dict[str, Any]:
    from neurofb.offline.bids.export import export_session, is_exported

    row: dict[str, Any] = {"session": str(folder), "state": "exported", "path": None, "notes": []}
    try:
        data = options.out or dataset_of(folder)
        if not alone and is_exported(folder, data):
            return {**row, "state": "there already"}
        done = export_session(folder, data, shift_dates=options.shift_dates)
    except NeurofbError as error:
        if alone:
            raise
        return {**row, "state": "failed", "notes": [str(error)]}
    return {**row, "path": str(done.path), "notes": list(done.notes)}


def _say(row: dict[str, Any]) -> None:
    where = row["path"] or row["session"]
    click.echo(f"{row['state']}: {where}", err=row["state"] == "failed")
    for note in row["notes"]:
        click.echo(f"  note: {note}")
