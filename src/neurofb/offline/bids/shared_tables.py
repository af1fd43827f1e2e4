"""Tables that a dataset shares among its runs and with other programs: participants, scans, electrodes.

In: the bytes of a table that is there, a row of ours. Out: the same bytes with that row at their end, in the table's
own columns and line ends, or an error that says why the row cannot be added. No byte of another row is changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from neurofb.config import text_of
from neurofb.errors import WrongFile, WrongInput
from neurofb.offline.bids.tables import MISSING

_BOM = "\ufeff"


class SharedTable:
    """A table with tabs that others write as well.

    Parameters
    ----------
    path : Path
    key : str
        The column that names a row, as ``participant_id``.

    Raises
    ------
    WrongFile
        If it is there and is no table in UTF-8 with tabs and this column.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key = path, key
        self._content = path.read_bytes() if path.exists() else b""
        try:
            text = text_of(self._content)
        except WrongInput as error:
            raise self._refusal(f"{error}; save it as UTF-8") from None
        self._end = "\r\n" if "\r\n" in text else "\r" if "\r" in text and "\n" not in text else "\n"
        lines = text.removeprefix(_BOM).split(self._end)
        self.columns = tuple(_plain(cell) for cell in lines[0].split("\t")) if text else ()
        if text and key not in self.columns:
            raise self._refusal(
                f"has no column {key!r} between tabs; its first line is {lines[0][:80]!r}{_hint(lines[0])}"
            )
        if text.count('"') % 2:
            raise self._refusal("has a quotation mark that is not closed")
        at = self.columns.index(key) if text else 0
        self._keys = {cells[at] for cells in map(_cells, lines[1:]) if len(cells) > at}

    def _refusal(self, why: str) -> WrongFile:
        return WrongFile(
            f"{self._path} {why}. Nothing was exported, as its rows must be kept: mend the table, or export to "
            "another dataset with --out"
        )

    def has(self, key: str) -> bool:
        """Return whether there is a row of this name."""
        return key in self._keys

    def add(self, row: Mapping[str, str]) -> None:
        """Add a row at the end, unless there is one of its name; unknown columns get ``n/a``, ours no new ones."""
        if self.has(row[self._key]):
            return
        columns, content = self.columns, self._content
        if not columns:
            columns, content = tuple(row), "\t".join(row).encode()
        end = self._end.encode()
        if not content.endswith(end):
            content += end
        line = "\t".join(row.get(column) or MISSING for column in columns)
        replace_bytes(self._path, content + line.encode() + end)


def remove_row(path: Path, beginning: str) -> None:
    """Remove the rows that begin with a text, and the table if nothing but its header is left; all others are kept."""
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(beginning.encode())]
    if len(kept) == len(lines):
        return
    if len(kept) <= 1:
        path.unlink()
    else:
        replace_bytes(path, b"".join(kept))


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is the old one or the new one, whatever happens meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)


def _cells(line: str) -> list[str]:
    return [_plain(cell) for cell in line.split("\t")]


def _plain(cell: str) -> str:
    """Return a cell without the quotation marks that some programs put around it."""
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def _hint(line: str) -> str:
    for separator in ";,":
        if separator in line:
            return f", separated by {separator!r}"
    return ""
