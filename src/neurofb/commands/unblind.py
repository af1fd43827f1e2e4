"""``neurofb unblind``: opens the envelope of one participant, with two people and a reason."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from neurofb.commands.options import dataset
from neurofb.errors import WrongInput

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("unblind")
@click.argument("participant")
@click.option(
    "--envelope",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The folder of neurofb allocate.",
)
@click.option(
    "--key", type=FILE, required=True, help="The private key for emergencies, or the statistician's."
)
@click.option("--first", help="Who unblinds.  [default: asked]")
@click.option("--second", help="Who is there as the second.  [default: asked]")
@click.option("--reason", help="Why; goes into the record.  [default: asked]")
@click.option("--planned/--not-planned", default=False, show_default=True, help="Whether the study plans it.")
@dataset()
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def command(
    participant: str,
    folder: Path,
    key: Path,
    first: str | None,
    second: str | None,
    reason: str | None,
    planned: bool,
    data: Path,
    as_json: bool,
) -> None:
    """Open the envelope of PARTICIPANT, and of nobody else, and record who did it and why.

    For an emergency, or where the study's plan says so. The arm is printed once, on this terminal; the participant
    stays in the analysis. The reports of the participant's sessions say that it was done.
    """
    from neurofb.blinding.keys import read_private_key
    from neurofb.blinding.unblinding import Unblinding, slot_of, unblind
    from neurofb.recording.unblinded import note_unblinding

    binding, identity = slot_of(folder, participant), read_private_key(key)
    given = []
    for value, name, question in (
        (first, "--first", "Who unblinds (name or initials)"),
        (second, "--second", "Who is there as the second person"),
        (reason, "--reason", "Why"),
    ):
        if value is None and as_json:
            raise WrongInput(f"{name} is missing; unblinding needs two people and a reason")
        given.append(click.prompt(question, err=True) if value is None else value)
    asked = Unblinding(
        binding.participant,
        binding.slot,
        given[0],
        given[1],
        given[2],
        planned,
        time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    )
    sealed = unblind(folder, asked, identity)
    noted = note_unblinding(data, asked.participant, folder)
    if as_json:
        found = {
            "participant": binding.participant,
            "slot": binding.slot,
            "arm": sealed.arm,
            "noted_in": noted,
        }
        click.echo(json.dumps(found))
        return
    click.echo(f"{binding.participant}, slot {binding.slot}: arm {sealed.arm!r}")
    click.echo(
        f"Recorded in {folder}, and in {len(noted)} session{'s' * (len(noted) != 1)} of {data}. Tell only those who "
        "must know; the participant stays in the analysis, and the ethics board is told of one that was not planned."
    )
