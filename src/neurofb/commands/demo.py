"""``neurofb demo``: a whole simulated session in a minute and a half."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofb.commands.options import HEADLESS, KEY_FILE, OUTCOME_AS_JSON, SCREENS

if TYPE_CHECKING:
    from neurofb.engine.blinded_session import BlindedSession

#: The bundled protocol of ``--sham``, and where its keys and pool are put in the dataset.
BLINDED, KEYS, POOL = "nf-sham", "keys", "donors.npz"


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
@click.option("--sham", is_flag=True, help="A blinded session: real feedback or a yoked sham, nobody knows.")
@KEY_FILE
@OUTCOME_AS_JSON
def command(
    fast: bool,
    headless: bool,
    screens: bool,
    seed: int,
    out: Path,
    sham: bool,
    key_file: Path | None,
    as_json: bool,
) -> None:
    """Run a whole session in a minute and a half with everything simulated: head, headset, thermode, participant.

    With --sham: the protocol nf-sham, without heat. Keys and an envelope are made on the spot; in a study the
    statistician makes them, elsewhere.
    """
    from neurofb.commands.run import Presentation, run_session
    from neurofb.engine.planning import Asked

    protocol = BLINDED if sham else "demo"
    asked = Asked(protocol, "simulated", "demo", data=out, seed=seed, simulate=True, key_file=key_file)
    shown = Presentation(headless, fast, screens, as_json, report=True)
    if not sham:
        sys.exit(run_session(asked, shown).exit_code)
    outcome = run_session(asked, shown, _blinded(out))
    if not as_json:
        engine, statistician = (out / KEYS / f"{name}.key" for name in ("engine", "statistician"))
        click.echo(
            "Feedback was real or a sham; nothing that was shown or recorded tells which. FOLDER is as above:"
        )
        click.echo(
            f"  is it what was allocated?  neurofb rerun --check FOLDER --key {engine} --donors {out / POOL}"
        )
        click.echo(
            f"  when the study is over     neurofb unlock FOLDER --key {statistician} --study-is-locked"
        )
    sys.exit(outcome.exit_code)


def _blinded(out: Path) -> BlindedSession:
    """Return a sealed slot whose arm was drawn by chance; keys, envelope and pool lie in the dataset's folder."""
    from neurofb.blinding.donors import write_pool
    from neurofb.blinding.envelopes import Sealed, envelope_bytes
    from neurofb.blinding.keys import make_keys, read_public_key
    from neurofb.engine.blinded_session import BlindedSession
    from neurofb.protocol.bundled import bundled_pool
    from neurofb.protocol.design import load_protocol
    from neurofb.recording.provenance import text_hash

    protocol, pool = load_protocol(BLINDED), bundled_pool(BLINDED)
    for name in ("statistician", "engine"):
        if not (out / KEYS / f"{name}.key").exists():
            make_keys(name, out / KEYS)
    public_keys = tuple(read_public_key(out / KEYS / f"{name}.pub") for name in ("statistician", "engine"))
    if not (out / POOL).exists():
        write_pool(pool, out / POOL)
    arm = secrets.choice(protocol.arms).id
    sealed = Sealed(text_hash(protocol.text), 1, "", arm, secrets.randbelow(2**31), pool.sha256)
    return BlindedSession(envelope_bytes(sealed, public_keys), sealed, pool, public_keys)
