"""``neurofb donors``: the frozen pool that a yoked sham is fed with, made and judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from neurofb.commands.options import AS_JSON
from neurofb.commands.tables import show_table

#: Exit code of ``check`` where the pool cannot serve the study.
UNFIT = 2


@click.group("donors")
def command() -> None:
    """Make or check the pool of donors of a yoked sham.

    Donors are people whose feedback was real: pilot or earlier participants of the same training, twelve or more. The
    pool is made before the study begins and never changes: envelopes hold its SHA-256.
    """


@command.command("build")
@click.argument("dataset", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The pool; must not exist."
)
@AS_JSON
def build(dataset: Path, out: Path, as_json: bool) -> None:
    """Make a pool of the sessions in DATASET.

    Each session is computed again, and serves only if its feedback followed from its own EEG.
    """
    from neurofb.blinding.donors import write_pool
    from neurofb.commands.export import sessions
    from neurofb.offline.donor_sessions import build_pool

    built = build_pool(sessions(dataset))
    sha256 = write_pool(built.pool, out)
    n_sessions = sum(len(donor.sessions) for donor in built.pool.donors)
    if as_json:
        document = {
            "pool": str(out),
            "sha256": sha256,
            "donors": len(built.pool.donors),
            "sessions": n_sessions,
            "left_out": [{"session": path.name, "why": why} for path, why in built.left_out],
        }
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    for path, why in built.left_out:
        click.echo(f"left out  {path.name}: {why}")
    click.echo(f"{out}: {len(built.pool.donors)} donors with {n_sessions} sessions; SHA-256 {sha256}")
    click.echo("Whether it can serve a study: neurofb donors check POOL --protocol PROTOCOL")


@command.command("check")
@click.argument("pool", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--protocol", required=True, help="The study's: a name, or the path of a file.")
@AS_JSON
def check(pool: Path, protocol: str, as_json: bool) -> None:
    """Judge whether POOL can serve a study: how many donors, and how much they have for each phase and level."""
    from neurofb.blinding.donors import coverage, pool_problems, read_pool
    from neurofb.protocol.delivery import needs_of, training_sha256
    from neurofb.protocol.design import load_protocol

    study, found = load_protocol(protocol), read_pool(pool)
    needs = needs_of(study)
    problems = list(pool_problems(found, needs, training_sha256(study)))
    rows = coverage(found, needs)
    if as_json:
        document = {
            "pool": str(pool),
            "sha256": found.sha256,
            "donors": len(found.donors),
            "problems": problems,
            "coverage": [
                {
                    "session": each.need.session,
                    "phase": each.need.phase,
                    "level": each.need.level,
                    "needed_s": each.need.duration_s,
                    "least_s": each.least_s,
                    "total_s": each.total_s,
                    "donors": each.n_donors,
                }
                for each in rows
            ],
        }
        click.echo(json.dumps(document, ensure_ascii=False))
    else:
        show_table(
            f"{len(found.donors)} donors, SHA-256 {found.sha256}",
            ("session", "phase", "level", "needed", "least donor", "all", "donors"),
            [
                (
                    each.need.session,
                    each.need.phase,
                    each.need.level,
                    f"{each.need.duration_s:.0f} s",
                    f"{each.least_s:.0f} s",
                    f"{each.total_s:.0f} s",
                    str(each.n_donors),
                )
                for each in rows
            ],
        )
        for text in problems:
            click.echo(f"problem: {text}", err=True)
        if not problems:
            click.echo("this pool can serve the study")
    if problems:
        sys.exit(UNFIT)
