"""Find the chunks of an XDF file, whole or damaged: where each begins and ends, and which bytes lie between.

In: an open file. Out: one chunk after another, by place only; contents are read on request. A length is
trusted only as far as the file goes. Where a chunk cannot be right, reading resumes behind the next boundary mark, and
the bytes between are listed as skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from neurofb.xdf.encoding import BOUNDARY_MARK, FILE_HEADER, MAGIC, STREAM_FOOTER

_PIECE = 1 << 20
#: How a length is stored, by its first byte.
_LENGTHS = {1: struct.Struct("<B"), 4: struct.Struct("<I"), 8: struct.Struct("<Q")}


class Chunk(NamedTuple):
    """A chunk by its place in the file: ``at`` its first byte, ``body`` what follows its tag, ``end`` behind it."""

    tag: int
    at: int
    body: int
    end: int


def variable_length(content: bytes | memoryview, at: int) -> tuple[int, int] | None:
    """Return a number stored with its own size, and where it ends; None if there is none."""
    if at >= len(content) or (form := _LENGTHS.get(content[at])) is None:
        return None
    end = at + 1 + form.size
    if end > len(content):
        return None
    return form.unpack_from(content, at + 1)[0], end


@dataclass(slots=True)
class ChunkWalk:
    """Chunk after chunk of an open file."""

    file: BinaryIO
    #: Its length in bytes.
    size: int
    #: Where the next chunk begins.
    at: int = len(MAGIC)
    #: First byte and end of each part that is no chunk.
    skipped: list[tuple[int, int]] = field(default_factory=list)
    #: Number of damages; several may be one part of ``skipped``.
    n_damages: int = 0
    #: Where the last readable chunk ends; None if the file ends there.
    broken_off_at: int | None = None
    _mark: int | None = -1

    def next(self) -> Chunk | None:
        """Return the next chunk; None at the end."""
        while self.at < self.size:
            chunk = self._chunk(self.at)
            if chunk is not None:
                self.at = chunk.end
                return chunk
            self._resync(self.at, None)
        return None

    def skip_damaged(self, chunk: Chunk) -> None:
        """Skip the newest chunk, which is damaged: its length may be wrong, too."""
        self._resync(chunk.at, chunk.end)

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from ``start`` to ``end``, none if it lies before."""
        self.file.seek(start)
        return self.file.read(max(end - start, 0))

    def _chunk(self, at: int) -> Chunk | None:
        start = self.read(at, min(at + 11, self.size))
        found = variable_length(start, 0)
        if found is None:
            return None
        length, tag_at = found
        end = at + tag_at + length
        if length < 2 or end > self.size:
            return None
        return Chunk(int.from_bytes(start[tag_at : tag_at + 2], "little"), at, at + tag_at + 2, end)

    def _resync(self, at: int, end: int | None) -> None:
        """Resume behind the damage at ``at``: at ``end`` if a chunk follows there, else behind the next mark."""
        mark = self._next_mark(at + 1)
        if end is not None and (mark is None or mark >= end) and self._chunk_follows(end):
            to = end
        elif mark is not None:
            to = mark + len(BOUNDARY_MARK)
        else:
            self.broken_off_at, self.at = at, self.size
            return
        if self.skipped and self.skipped[-1][1] == at:
            at = self.skipped.pop()[0]
        self.skipped.append((at, to))
        self.n_damages += 1
        self.at = to

    def _chunk_follows(self, at: int) -> bool:
        following = self._chunk(at)
        return at == self.size or (following is not None and FILE_HEADER <= following.tag <= STREAM_FOOTER)

    def _next_mark(self, at: int) -> int | None:
        """Return where the next boundary mark is; each part of the file is searched once."""
        if self._mark is None or self._mark >= at:
            return self._mark
        before = b""
        while at < self.size:
            piece = before + self.read(at, min(at + _PIECE, self.size))
            if (found := piece.find(BOUNDARY_MARK)) >= 0:
                self._mark = at - len(before) + found
                return self._mark
            at += len(piece) - len(before)
            before = piece[1 - len(BOUNDARY_MARK) :]
        self._mark = None
        return None
