"""``neurofb share``: a copy of sessions without what names a computer, a device or a day."""

from __future__ import annotations

import json
from pathlib import Path

import click

from neurofb.commands.options import AS_JSON, SESSION_FOLDER


@click.command("share")
@SESSION_FOLDER
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The new dataset for the copy; must not exist.",
)
@AS_JSON
def command(session: Path, out: Path, as_json: bool) -> None:
    """Copy the session in the folder SESSION, or all sessions of a dataset, for others.

    Without host names, hardware addresses, serial numbers, user names, paths, processor and true dates. The copy is
    looked through; if it still tells any of it, none is left.
    """
    from neurofb.commands.export import sessions
    from neurofb.offline.sharing.share import SHIFTS, share

    done = share(sessions(session), out)
    if as_json:
        click.echo(json.dumps({"out": str(done.out), **done.as_dict()}, ensure_ascii=False))
        return
    click.echo(f"{len(done.sessions)} copied to {done.out}; looked through, and nothing of this was found:")
    for kind, n in sorted(done.removed.items()):
        click.echo(f"  removed  {kind} ({n} ×)")
    for name in done.left_out:
        click.echo(f"  not copied  {name}")
    for where, text in done.texts:
        click.echo(f"  look at  {where}: {text}")
    for note in done.notes:
        click.echo(f"  note  {note}")
    click.echo(
        "Texts above only you can judge. Participant codes are kept. Never share the original's "
        f"{SHIFTS}: with it the dates can be moved back."
    )
