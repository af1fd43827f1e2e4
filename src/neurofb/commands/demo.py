"""``neurofb demo``: a whole simulated session in a minute and a half."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from neurofb.commands.options import HEADLESS, KEY_FILE, OUTCOME_AS_JSON, SCREENS


@click.command("demo")
@click.option("--fast", is_flag=True, help="On a manual clock: in seconds, without LSL.")
@HEADLESS
@SCREENS
@click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same session."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="neurofb-demo",
    show_default=True,
    help="The dataset.",
)
@KEY_FILE
@OUTCOME_AS_JSON
def command(
    fast: bool, headless: bool, screens: bool, seed: int, out: Path, key_file: Path | None, as_json: bool
) -> None:
    """Run a whole session in a minute and a half with everything simulated: head, headset, thermode, participant."""
    from neurofb.commands.run import Presentation, run_session
    from neurofb.engine.planning import Asked

    asked = Asked("demo", "simulated", "demo", data=out, seed=seed, simulate=True, key_file=key_file)
    shown = Presentation(headless, fast, screens, as_json, export=not fast, report=True)
    sys.exit(run_session(asked, shown).exit_code)
