"""``neurofb skin``: the account of a participant's skin, over all datasets that are known."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurofb.commands.options import AS_JSON, SKIN_ACCOUNT, dataset
from neurofb.commands.tables import show_table
from neurofb.errors import UnknownName

if TYPE_CHECKING:
    from neurofb.engine.earlier_dose import SiteDose

HEADER = ("site", "of the limit", "when", "session", "run", "dataset", "by")


@dataclass(frozen=True, slots=True)
class Line:
    """The dose of one site in one run."""

    site: str
    share: float
    date: str
    #: Whether it counts in every session now, because a day has not gone by.
    is_recent: bool
    session: str
    run: str
    dataset: str
    source: str


@click.command("skin")
@click.argument("code")
@dataset("A dataset to look into as well, e.g. of another computer.")
@SKIN_ACCOUNT
@AS_JSON
def command(code: str, data: Path, skin_account: Path | None, as_json: bool) -> None:
    """Print how much heat each place on the skin of participant CODE has had, when, and how that is known.

    1 is the contact-burn limit. What is less than a day old counts in every session at that place; a session that is
    run again counts its earlier runs whenever they were. Exit code 2: the code is not known.
    """
    lines = list(lines_of(code, data, skin_account))
    if as_json:
        click.echo(json.dumps(document(code, lines), indent=2, ensure_ascii=False))
        return
    for site, share in totals(lines).items():
        click.echo(f"{site}: {share:.3f} of the contact-burn limit in the last day")
    for words in locks(lines):
        click.echo(f"note: {words}")
    rows = [
        (
            each.site,
            f"{each.share:.3f}",
            each.date[:16].replace("T", " "),
            each.session,
            each.run,
            each.dataset,
            each.source,
        )
        for each in lines
    ]
    show_table(f"Heat of {code}", HEADER, rows)


def lines_of(code: str, data: Path, skin_account: Path | None) -> Iterator[Line]:
    """Return a line for each site and run, the oldest first.

    Raises
    ------
    UnknownName
        If neither the account nor the dataset knows the code.
    """
    from neurofb.engine.earlier_dose import RECOVERS_S, date_of, doses_in, doses_of_entry, run_folders
    from neurofb.engine.planning import wall_time_s
    from neurofb.folding import folded
    from neurofb.recording.skin_account import account_path, entries_of, read_account

    path, now_s, here = account_path(skin_account), time.time(), str(data.resolve())
    entries = entries_of(read_account(path), code)
    noted = {str(entry.path) for entry in entries}
    runs = [run for run in run_folders(Path(here)) if folded(run.participant) == folded(code)]
    if not entries and not runs:
        raise UnknownName(
            f"no participant {code!r}: neither the account of the skin {path} nor the dataset {data} knows this code; "
            "give another file with --skin-account, or a dataset with --data"
        )
    found: list[tuple[float, Line]] = []

    def add(doses: list[SiteDose], date: str, session: str, run: str, dataset: str) -> None:
        wall_s = wall_time_s(date)
        recent = not now_s - wall_s > RECOVERS_S
        found.extend(
            (wall_s, Line(each.site, each.share, date, recent, session, run, dataset, each.source))
            for each in doses
        )

    for entry in entries:
        add(doses_of_entry(entry, now_s), entry.date, entry.session, entry.folder, entry.dataset)
    for each in runs:
        if str(each.path) not in noted:
            add(doses_in(each.path, now_s), date_of(each.path), each.session, each.path.name, here)
    yield from (line for _, line in sorted(found, key=lambda pair: pair[0]))


def totals(lines: list[Line]) -> dict[str, float]:
    """Return the dose of each site in the last day, however it is spelt."""
    from neurofb.stimulation.thermal_dose import SiteLedger

    ledger = SiteLedger()
    for each in lines:
        ledger.add_shares({each.site: each.share if each.is_recent else 0.0})
    return ledger.as_dict()


def locks(lines: list[Line]) -> list[str]:
    """Return why a place counts as fully used, for each run that left nothing that says how much heat it gave."""
    return [
        locked_words(each.site, each.date, each.session, each.run)
        for each in lines
        if each.source == "unknown"
    ]


def locked_words(site: str, date: str, session: str, run: str) -> str:
    """Return why a run counts as the whole budget of a place, and for how long."""
    from neurofb.engine.earlier_dose import RECOVERS_S

    until = "for a day"
    with contextlib.suppress(ValueError):
        until = f"until {datetime.fromisoformat(date) + timedelta(seconds=RECOVERS_S):%Y-%m-%d %H:%M}"
    return (
        f"{site!r} is locked {until}, and in session {session!r} for good: nothing is left that says how much heat run "
        f"{run} gave it (its folder is gone or empty), so its whole budget counts. Use another place"
    )


def document(code: str, lines: list[Line]) -> dict[str, object]:
    """Return the account as JSON can hold it."""
    return {
        "code": code,
        "last_day": totals(lines),
        "locked": locks(lines),
        "runs": [
            {
                "site": each.site,
                "dose": each.share,
                "date": each.date,
                "in_last_day": each.is_recent,
                "session": each.session,
                "run": each.run,
                "dataset": each.dataset,
                "source": each.source,
            }
            for each in lines
        ],
    }
