"""``neurofb unlock``: the analyst's full files of blinded sessions, when their study is locked."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON, SESSION_FOLDER
from neurofb.errors import NeurofbError, WrongInput
from neurofb.events import plain

if TYPE_CHECKING:
    from neurofb.offline.blinded import Unlocked

#: Exit code where a session of a dataset could not be unlocked.
FAILED = 2


@click.command("unlock")
@SESSION_FOLDER
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The statistician's private key.",
)
@click.option(
    "--donors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The pool of donors, for sessions that broke off.",
)
@click.option(
    "--study-is-locked",
    "is_locked",
    is_flag=True,
    help="Yes, data entry has ended and the analysis is written down: arms may be known from now on.",
)
@AS_JSON
def command(session: Path, key: Path, donors: Path | None, is_locked: bool, as_json: bool) -> None:
    """Write what was sealed in the session in the folder SESSION, or in all sessions of a dataset, beside it.

    Reports, exports and what-if re-runs have features and feedback from then on, and everybody who reads them knows
    the arm. For one participant in an emergency there is neurofb unblind.
    """
    from neurofb.blinding.donors import read_pool
    from neurofb.blinding.keys import read_private_key
    from neurofb.commands.export import sessions
    from neurofb.offline.blinded import unlock
    from neurofb.recording.session_recording import open_session_recording

    if not is_locked:
        raise WrongInput(
            "whoever reads the files knows the arms when they are unlocked; if data entry has ended and the analysis "
            "is written down, say so with --study-is-locked"
        )
    private = read_private_key(key)
    pool = None if donors is None else read_pool(donors)
    found: list[Unlocked] = []
    failed: list[tuple[Path, str]] = []
    folders = sessions(session)
    for folder in folders:
        try:
            recording = open_session_recording(folder)
            if len(folders) > 1 and not recording.is_blinded:
                continue
            found.append(unlock(recording, private, pool))
        except NeurofbError as error:
            if len(folders) == 1:
                raise
            failed.append((folder, str(error)))
    if as_json:
        click.echo(json.dumps(plain(_document(found, failed)), ensure_ascii=False))
    else:
        for line in (*_lines(found), *(f"not unlocked  {path.name}: {why}" for path, why in failed)):
            click.echo(line)
    if failed:
        sys.exit(FAILED)


def _document(found: list[Unlocked], failed: list[tuple[Path, str]]) -> dict[str, Any]:
    return {
        "sessions": [
            {
                "folder": str(each.folder),
                "participant": each.participant,
                "session": each.session,
                "arm": each.arm,
                "feedback": each.feedback,
                "rewarded": each.rewarded,
                "contingency_r": each.contingency.r,
                "contingency_band": each.contingency.band,
            }
            for each in found
        ],
        "failed": [{"folder": str(path), "why": why} for path, why in failed],
    }


def _lines(found: list[Unlocked]) -> Iterator[str]:
    for each in found:
        r, band = each.contingency.r, each.contingency.band
        words = "no correlation" if math.isnan(r) else f"largest |r| {r:.2f}, by chance up to {band:.2f}"
        yield f"{each.folder.name}: arm {each.arm} ({each.feedback}); rewarded {each.rewarded:.0%}; {words}"
    for feedback in sorted({each.feedback for each in found}):
        here = [each for each in found if each.feedback == feedback]
        rates = [each.rewarded for each in here if math.isfinite(each.rewarded)]
        within = [each.contingency.is_within for each in here if math.isfinite(each.contingency.r)]
        if rates:
            yield (
                f"{feedback}: {len(here)} sessions, rewarded {sum(rates) / len(rates):.1%} of clean time; delivered "
                f"within chance of the own feature in {sum(within)} of {len(within)}"
            )
