"""``neurofb blinding``: what people guessed about arms, and the indices of Bang and of James."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from neurofb.commands.options import AS_JSON
from neurofb.errors import NeurofbError, WrongInput
from neurofb.events import plain

if TYPE_CHECKING:
    from neurofb.blinding.indices import Index
    from neurofb.offline.guesses import Guess, GuessTable

FILE = click.Path(dir_okay=False, path_type=Path)
#: Exit code where a session of a dataset could not be read.
FAILED = 2


@click.command("blinding")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--envelope",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of neurofb allocate, with bound/ as it is in the lab; needs --key.",
)
@click.option("--key", type=FILE, help="The statistician's private key, which opens the list of arms.")
@click.option("--allocation", type=FILE, help="In place of both: the list of neurofb run --allocation.")
@AS_JSON
def command(
    dataset: Path, folder: Path | None, key: Path | None, allocation: Path | None, as_json: bool
) -> None:
    """Count the blinding guesses in the sessions of DATASET, for each question and each time it was asked.

    With the arms, by --envelope and --key or by --allocation: Bang's index of each arm (-1 all guessed another, 0 at
    random, 1 all guessed their own) and James' of all (0 all knew, 0.5 at random, 1 nobody knew), each with its 95 %
    interval. Without: counts only. With few people a table can tell somebody's arm: only for whoever may know it.
    """
    from neurofb.commands.export import sessions
    from neurofb.offline.guesses import count_guesses, read_guesses
    from neurofb.recording.session_recording import open_session_recording

    arms = _arms(folder, key, allocation)
    guesses: list[Guess] = []
    failed: list[tuple[Path, str]] = []
    folders, n_simulated = sessions(dataset), 0
    for path in folders:
        try:
            recording = open_session_recording(path)
            found = read_guesses(recording)
        except NeurofbError as error:
            if len(folders) == 1:
                raise
            failed.append((path, str(error)))
            continue
        n_simulated += bool(found and recording.settings.get("simulated"))
        guesses += found
    tables = count_guesses(guesses, arms)
    if as_json:
        document = {
            "sessions": len(folders),
            "simulated_sessions": n_simulated,
            "arms_known": arms is not None,
            "tables": [_document(table) for table in tables],
            "failed": [{"folder": str(path), "why": why} for path, why in failed],
        }
        click.echo(json.dumps(plain(document), ensure_ascii=False))
    else:
        for line in (
            *_lines(tables, arms is not None, n_simulated),
            *(f"not counted  {path.name}: {why}" for path, why in failed),
        ):
            click.echo(line)
    if failed:
        sys.exit(FAILED)


def _arms(folder: Path | None, key: Path | None, allocation: Path | None) -> dict[str, str] | None:
    """Return who had which arm; None if nothing was given."""
    from neurofb.blinding.keys import read_private_key
    from neurofb.offline.guesses import arms_of_envelopes, arms_of_list

    if allocation is not None and (folder is not None or key is not None):
        raise WrongInput("arms come from --envelope and --key, or from --allocation; give one of both")
    if (folder is None) != (key is None):
        raise WrongInput(
            "--envelope DIR and --key FILE belong together: the folder of neurofb allocate, and the statistician's key "
            "that opens its list; without both, only guesses are counted"
        )
    if folder is not None and key is not None:
        return arms_of_envelopes(folder, read_private_key(key))
    return None if allocation is None else arms_of_list(allocation)


def _document(table: GuessTable) -> dict[str, Any]:
    arms, indices = list(table.conditions), table.indices
    keys = [*arms, "unknown"]
    return {
        "who": table.who,
        "session": table.session,
        "phase": table.phase,
        "scale": table.scale,
        "conditions": dict(table.conditions),
        "guessed": dict(zip(keys, table.guessed, strict=True)),
        "unanswered": table.n_unanswered,
        "without_arm": table.n_without_arm,
        "certainty": table.certainty,
        "guessed_by_arm": None
        if table.counts is None
        else {arm: dict(zip(keys, column, strict=True)) for arm, column in table.counts.items()},
        "james": None if indices is None else _index(indices.james),
        "bang": None
        if indices is None
        else {arm: _index(each) for arm, each in zip(arms, indices.bang, strict=True)},
    }


def _index(index: Index) -> dict[str, Any]:
    """Return an index for JSON, which has no NaN."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in dataclasses.asdict(index).items()
    }


def _lines(tables: list[GuessTable], arms_known: bool, n_simulated: int) -> Iterator[str]:
    if not tables:
        yield (
            "no blinding guess was asked in these sessions; a protocol asks for one with a scale of kind "
            '"blinding_guess"'
        )
        return
    for table in tables:
        yield from _of(table)
    if n_simulated:
        yield f"sessions with simulated participants, who guess at random, are in it: {n_simulated}"
    if not arms_known:
        yield (
            "arms are not known, so guesses are only counted; indices need --envelope DIR --key statistician.key, or "
            "--allocation FILE"
        )


def _of(table: GuessTable) -> Iterator[str]:
    n = sum(table.guessed)
    missing = f", {table.n_unanswered} did not answer" if table.n_unanswered else ""
    yield f"{table.who}, session {table.session}, phase {table.phase} ({table.scale}): {n} answered{missing}"
    rows = [*table.conditions.values(), "did not know"]
    for words, number in zip(rows, table.guessed, strict=True):
        yield f"  guessed {words}: {number}" if words != rows[-1] else f"  {words}: {number}"
    if table.certainty is not None:
        yield f"  certain of their guess: {table.certainty:.0f} of 100 on average"
    if table.counts is None:
        return
    if table.n_without_arm:
        yield f"  not in the indices, because no arm is known for them: {table.n_without_arm}"
    if table.indices is None:
        yield "  no index: nobody with a known arm answered"
        return
    for arm, column, index in zip(table.counts, table.counts.values(), table.indices.bang, strict=True):
        right = column[list(table.conditions).index(arm)]
        yield (
            f"  Bang, arm {arm}: {_words(index)}; {right} right, {sum(column[:-1]) - right} wrong, {column[-1]} "
            "did not know"
        )
    yield f"  James: {_words(table.indices.james)}"


def _words(index: Index) -> str:
    """Return an index with its interval and the number of answers it is made of."""
    if math.isnan(index.value):
        return f"not defined (n = {index.n})"
    if (
        not index.se > 0
    ):  # where all answer alike, the first-order interval has no width, and would look like certainty
        return f"{index.value:.2f}, no interval, because all answered alike or are too few (n = {index.n})"
    return f"{index.value:.2f}, 95 % {index.low:.2f} to {index.high:.2f} (n = {index.n})"
