"""Tables for a person at a terminal, and the same rows as plain lines for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click

from neurofb.format import clean


def show_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: ruled and wrapped on a terminal, else one row a line with tabs between its cells.

    A pipe has no width, so nothing may be wrapped or cut there: the lines are for grep and cut.
    """
    if not sys.stdout.isatty():
        for row in (header, *rows):
            click.echo("\t".join(map(clean, row)))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", header_style="bold")
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        # As Text, so that [brackets] in a cell are no markup.
        table.add_row(*(Text(clean(cell, lines=True)) for cell in row))
    Console().print(table)
