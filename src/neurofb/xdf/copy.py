"""Copy an XDF file chunk by chunk, with other headers, other texts and other clocks of senders.

In: a file, and what is to be changed. Out: another file; samples keep their bits and their chunks. Kept: nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurofb.errors import WrongFile
from neurofb.xdf import encoding
from neurofb.xdf.chunks import Chunk, ChunkWalk, variable_length
from neurofb.xdf.file import XdfFile, read_xdf_file
from neurofb.xdf.headers import StreamHeader
from neurofb.xdf.samples import stamped, stamped_size, texts
from neurofb.xdf.stream import XdfStream

_NUMBER, _OFFSET = struct.Struct("<I"), struct.Struct("<Idd")


@dataclass(frozen=True, slots=True)
class Changes:
    """What is changed in a copy."""

    header: Callable[[StreamHeader], StreamHeader]
    text: Callable[[str], str]
    #: By stream number, whole seconds that are taken from the sender's stamps: exact, because a stamp near 0 is finer.
    shifts_s: Mapping[int, float]


def copy_xdf(path: Path, to: Path, changes: Changes) -> None:
    """Copy a recording of neurofb with ``changes``; what follows the place where it broke off is left out.

    Raises
    ------
    WrongFile
        If it is damaged before its end: what stands there cannot be read, so nobody can say what it tells.
    """
    opened = read_xdf_file(path)
    with path.open("rb") as file, to.open("xb") as out:
        walk = ChunkWalk(file, path.stat().st_size)
        copying = _Copying(opened, walk, changes)
        out.write(encoding.MAGIC)
        while (chunk := walk.next()) is not None:
            if walk.skipped:
                break
            out.write(copying.chunk(chunk))
        if walk.skipped:
            start, end = walk.skipped[0]
            raise WrongFile(
                f"{path} is damaged from byte {start} to {end}, and what stands there cannot be looked at"
            )
        out.flush()
        os.fsync(out.fileno())


class _Copying:
    """The chunks of one file, as they are in its copy."""

    def __init__(self, opened: XdfFile, walk: ChunkWalk, changes: Changes) -> None:
        self._path, self._walk, self._changes = opened.path, walk, changes
        self._streams = {stream.header.number: stream for stream in opened.streams}
        self._offsets: dict[int, list[tuple[float, float]]] = {number: [] for number in self._streams}

    def chunk(self, chunk: Chunk) -> bytes:
        """Return a chunk with the changes."""
        if chunk.tag == encoding.FILE_HEADER:
            return encoding.file_header()
        if chunk.tag == encoding.BOUNDARY:
            return encoding.boundary()
        content = self._walk.read(chunk.body, chunk.end)
        stream = self._streams.get(_NUMBER.unpack_from(content)[0]) if len(content) >= _NUMBER.size else None
        if stream is None:
            raise WrongFile(
                f"{self._path}: what stands at byte {chunk.at} belongs to no stream that can be read"
            )
        number = stream.header.number
        if chunk.tag == encoding.STREAM_HEADER:
            return encoding.stream_header(number, self._changes.header(stream.header))
        if chunk.tag == encoding.CLOCK_OFFSET:
            _, time_s, offset_s = _OFFSET.unpack(content)
            self._offsets[number].append((time_s, offset_s + self._shift_s(number)))
            return encoding.clock_offset(number, *self._offsets[number][-1])
        if chunk.tag == encoding.STREAM_FOOTER:
            return self._footer(stream)
        if chunk.tag == encoding.SAMPLES:
            return self._samples(stream, content)
        raise WrongFile(f"{self._path}: what stands at byte {chunk.at} is of no known kind")

    def _shift_s(self, number: int) -> float:
        return self._changes.shifts_s.get(number, 0.0)

    def _footer(self, stream: XdfStream) -> bytes:
        number, footer = stream.header.number, stream.footer or {}
        first_s, last_s = (
            float(footer.get(key, 0.0)) - self._shift_s(number)
            for key in ("first_timestamp", "last_timestamp")
        )
        count = footer.get("sample_count")
        return encoding.stream_footer(
            number, first_s, last_s, stream.n_samples if count is None else count, self._offsets[number]
        )

    def _samples(self, stream: XdfStream, content: bytes) -> bytes:
        number, header = stream.header.number, stream.header
        found = variable_length(content, _NUMBER.size)
        if found is None:
            raise self._unreadable(stream)
        n_samples, at = found
        body = content[at:]
        if header.dtype is None:
            read = texts(body, n_samples, header.n_channels, 0.0, 0.0)
            if read is None or header.n_channels != 1:
                raise self._unreadable(stream)
            return encoding.samples(
                number,
                n_samples,
                encoding.text_body([self._changes.text(row[0]) for row in read[0]], np.asarray(read[1])),
            )
        if len(body) != n_samples * stamped_size(header.dtype.itemsize * header.n_channels):
            raise self._unreadable(stream)
        shift_s = self._shift_s(number)
        if not shift_s:
            return encoding.chunk(encoding.SAMPLES, content)
        table = stamped(body, n_samples, header.dtype, header.n_channels)
        return encoding.samples(
            number, n_samples, encoding.numeric_body(table["values"], table["stamp"] - shift_s)
        )

    def _unreadable(self, stream: XdfStream) -> WrongFile:
        return WrongFile(f"{self._path}: samples of {stream.name!r} cannot be read, so they cannot be shared")
