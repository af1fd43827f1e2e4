"""``neurofb keys``: pairs of keys for a blinded study."""

from __future__ import annotations

from pathlib import Path

import click

#: Where a key of this name belongs.
PLACES = {
    "statistician": "stays with the statistician: opens the list and every envelope",
    "emergency": "to whoever may unblind at night, not to the lab: opens every envelope, one by one",
    "engine": "to the lab's computer, readable by the account that runs sessions alone: opens every envelope",
}


@click.command("keys")
@click.argument("names", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder to write to.  [default: this one]",
)
def command(names: tuple[str, ...], out: Path) -> None:
    """Make a pair of keys for each of NAMES: NAME.key, which opens, and NAME.pub, which seals.

    Each person makes their own pair on their own computer and sends the .pub alone. `age-keygen` makes the same.
    """
    from neurofb.blinding.keys import make_keys

    for name in names:
        private, public = make_keys(name, out)
        click.echo(f"{public}  to everybody who seals")
        click.echo(f"{private}  {PLACES.get(name, 'stays with its owner')}")
