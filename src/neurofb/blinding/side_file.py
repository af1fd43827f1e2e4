"""The sealed half of a blinded session: what was delivered and what was measured, for the statistician alone.

In: rows of values and feedback, and notes, as the session gives them. Out: one age file beside the recording, written
when the session ends. Kept: the rows until then.

Numbers are stored as they are, without compression, and texts are padded, so that the size follows from the number of
values alone. The recording itself has no row of features or feedback: with the EEG beside them, anybody could compute
whether one follows from the other. A session that broke off has no such file; what was in it follows from the EEG and
the envelope (``neurofb unlock`` computes it), but for the ages of feedback.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurofb import limits
from neurofb.blinding.envelopes import decrypted
from neurofb.blinding.keys import PrivateKey, pyrage
from neurofb.chunk import FloatArray
from neurofb.errors import RecordingFailed, UnknownFile, WrongFile

#: In a session's folder: its envelope, the sealed rows, and those rows when they have been unlocked.
ENVELOPE, SIDE_FILE, UNLOCKED = "envelope.age", "sealed.age", "unlocked.npz"
#: Notes are padded to a multiple of this, and have so much room each: a block's result has 500 bytes (assumed).
NOTE_BYTES = 2048
#: Bytes of a side file at most: 5 hours of 20 features (assumed).
MOST_BYTES = 2_000_000_000
#: The tables, each with a last column of times in s.
TABLES = ("features", "measured", "feedback")


@dataclass(frozen=True, eq=False)
class SealedRows:
    """The content of a side file; its representation does not show it."""

    #: Rows of each of `TABLES`.
    tables: dict[str, FloatArray] = field(repr=False)
    #: What happened that would tell: results of blocks, in order.
    notes: list[dict[str, Any]] = field(repr=False)


class SideFile:
    """Collects what is sealed and writes it once.

    Parameters
    ----------
    folder : Path
        The session's.
    public_keys : sequence of str
        Who may open it.
    """

    def __init__(self, folder: Path, public_keys: Sequence[str]) -> None:
        self._path, self._public_keys = folder / SIDE_FILE, tuple(public_keys)
        self._rows: dict[str, list[FloatArray]] = {name: [] for name in TABLES}
        self._notes: list[dict[str, Any]] = []
        self._is_written = False

    def append(self, table: str, rows: FloatArray, times_s: FloatArray) -> None:
        """Add rows with their times."""
        self._rows[table].append(np.column_stack([rows, times_s]))

    def note(self, kind: str, **details: Any) -> None:
        """Add a note."""
        self._notes.append({"kind": kind, **details})

    def write(self) -> None:
        """Seal and write everything, once.

        Raises
        ------
        RecordingFailed
            If it cannot be written.
        """
        if self._is_written:
            return
        self._is_written = True
        tables = {
            name: np.concatenate(rows) if rows else np.empty((0, 0)) for name, rows in self._rows.items()
        }
        content = rows_bytes(SealedRows(tables, self._notes))
        library = pyrage()
        sealed = library.encrypt(
            content, [library.x25519.Recipient.from_str(key) for key in self._public_keys]
        )
        write_whole(self._path, sealed)


def rows_bytes(rows: SealedRows) -> bytes:
    """Return rows as a file; its size depends on the number of rows and notes alone."""
    notes = json.dumps(rows.notes).encode()
    room = NOTE_BYTES * (1 + len(rows.notes))
    padded = notes.ljust(-(-max(len(notes), room) // NOTE_BYTES) * NOTE_BYTES)
    buffer = io.BytesIO()
    np.savez(buffer, notes=np.frombuffer(padded, dtype=np.uint8), **rows.tables)  # type: ignore[arg-type]
    return buffer.getvalue()


def parsed_rows(content: bytes, path: Path) -> SealedRows:
    """Return the rows in a file of `rows_bytes`.

    Raises
    ------
    WrongFile
        If it is none.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            tables = {name: np.asarray(file[name], dtype=np.float64) for name in TABLES}
            notes = json.loads(bytes(file["notes"]))
        return SealedRows(tables, [dict(note) for note in notes])
    except Exception:  # whatever a damaged file makes of the readers; no message has anything of the content
        raise WrongFile(f"{path} is damaged, or no sealed half of a session") from None


def open_side_file(folder: Path, key: PrivateKey) -> SealedRows:
    """Return the sealed half of the session in a folder.

    Raises
    ------
    UnknownFile, WrongFile
        If there is none, or the key does not open it.
    """
    path = folder / SIDE_FILE
    try:
        content = limits.read_bytes(path, MOST_BYTES)
    except FileNotFoundError:
        raise UnknownFile(
            f"no {SIDE_FILE} in {folder}: the session broke off before it was written"
        ) from None
    except OSError as error:
        raise WrongFile(f"{path} cannot be read: {error.strerror}") from None
    return parsed_rows(decrypted(content, key, path), path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file of a session, whole or not at all.

    Raises
    ------
    RecordingFailed
        If it cannot be written.
    """
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise RecordingFailed(f"{path} cannot be written: {error.strerror}") from None
