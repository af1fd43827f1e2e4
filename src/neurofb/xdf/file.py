"""Reading of XDF files, whole or damaged: readable samples, and the rest listed as problems.

In: a path. Out: streams, described at once; their samples are read on request, piece by piece. A file that was cut
anywhere opens; ``problems`` lists in words what it lacks.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from neurofb import limits
from neurofb.errors import UnknownFile, WrongFile, nearest
from neurofb.xdf import encoding
from neurofb.xdf.chunks import Chunk, ChunkWalk, variable_length
from neurofb.xdf.headers import StreamHeader, parse_xml, read_footer
from neurofb.xdf.stream import XdfStream

#: Problems of one kind that are listed one by one.
_MOST_LISTED = 10
#: Chunks of an unknown stream that are remembered: more are a stream without its header.
_MOST_UNKNOWN = 10
_NUMBER, _OFFSET = struct.Struct("<I"), struct.Struct("<Idd")


@dataclass(frozen=True, slots=True)
class XdfFile:
    """An opened file."""

    path: Path
    #: In the order of their headers.
    streams: tuple[XdfStream, ...]
    #: What is wrong with the file, in words; none if it is whole.
    problems: tuple[str, ...] = ()
    #: Those of ``problems`` that are about the file's bytes, not about streams without footer or samples.
    damage: tuple[str, ...] = ()
    #: The byte from which on the file makes no sense; None if it ends where a chunk ends.
    broken_off_at: int | None = None

    @property
    def is_whole(self) -> bool:
        """True if the file has no problems and all footers."""
        return not self.problems

    def stream(self, name: str) -> XdfStream:
        """Return the first stream of a name."""
        for stream in self.streams:
            if stream.name == name:
                return stream
        raise UnknownFile(
            f"{self.path} has no stream {name!r}; {nearest(name, {each.name for each in self.streams})}"
        )


def read_xdf_file(path: Path | str) -> XdfFile:
    """Open an XDF file.

    Parameters
    ----------
    path : path-like
        The file; samples are read from it later, when they are asked for.

    Raises
    ------
    UnknownFile
        If there is none.
    WrongFile
        If it is no XDF file. One that is broken off or damaged is no error: its ``problems`` say so.
    """
    path = Path(path)
    if "\0" in str(path) or path.exists():
        limits.require_regular(path)
    if not path.is_file():
        raise UnknownFile(f"no recording {path}; give the file, or the folder of a session")
    with path.open("rb") as file:
        magic = file.read(len(encoding.MAGIC))
        if not encoding.MAGIC.startswith(magic):
            packed = "; it is packed: unpack it with gunzip first" if magic.startswith(b"\x1f\x8b") else ""
            raise WrongFile(f"{path} is no XDF file: it does not begin with 'XDF:'{packed}")
        return _Opening(path, ChunkWalk(file, path.stat().st_size)).read(len(magic) == len(encoding.MAGIC))


class _Opening:
    """The state while a file is opened, chunk by chunk."""

    def __init__(self, path: Path, walk: ChunkWalk) -> None:
        self._path, self._walk = path, walk
        self._streams: dict[int, XdfStream] = {}
        self._problems: list[str] = []
        self._without_header: dict[int, int] = {}
        #: Of each unknown stream, how much of all others came before each of its first chunks of samples.
        self._unknown: dict[int, list[dict[int, int]]] = {}
        self._readers = {
            encoding.FILE_HEADER: self._file_header,
            encoding.STREAM_HEADER: self._header,
            encoding.SAMPLES: self._samples,
            encoding.CLOCK_OFFSET: self._offset,
            encoding.BOUNDARY: self._boundary,
            encoding.STREAM_FOOTER: self._footer,
        }

    def read(self, has_magic: bool) -> XdfFile:
        """Read to the end and return the opened file."""
        walk, n_damages = self._walk, 0
        while has_magic and (chunk := walk.next()) is not None:
            if walk.n_damages > n_damages:
                self._mark_holes()  # what was left out stood before this chunk
            n_damages = walk.n_damages
            read = self._readers.get(chunk.tag)
            if read is None or not read(chunk):
                walk.skip_damaged(chunk)
            if walk.n_damages > n_damages:
                self._mark_holes()
            n_damages = walk.n_damages
        self._mark_unknown()
        self._add_damage(has_magic)
        damage = tuple(self._problems)
        self._add_losses()
        return XdfFile(
            self._path, tuple(self._streams.values()), tuple(self._problems), damage, walk.broken_off_at
        )

    def _mark_holes(self) -> None:
        """Mark where samples of any stream may be missing: a damaged chunk's stream number may be wrong, too."""
        for stream in self._streams.values():
            if stream.n_samples not in stream.holes[-1:]:
                stream.holes.append(stream.n_samples)

    def _mark_unknown(self) -> None:
        """Mark samples that may be missing for chunks of unknown streams: a single one has a damaged number."""
        for before in self._unknown.values():
            if len(before) > 1 and (self._problems or self._walk.skipped):
                continue  # a stream whose header is lost
            for counts in before:
                for number, n_samples in counts.items():
                    stream = self._streams[number]
                    stream.holes = sorted({*stream.holes, n_samples})

    def _add_damage(self, has_magic: bool) -> None:
        """Add damage in the bytes of the file to the problems."""
        walk, problems = self._walk, self._problems
        for start, to in walk.skipped[:_MOST_LISTED]:
            problems.append(f"bytes {start} to {to} are damaged and were left out")
        if len(walk.skipped) > _MOST_LISTED:
            problems.append(f"{len(walk.skipped) - _MOST_LISTED} more places are damaged and were left out")
        if not has_magic:
            problems.append("the file is empty: the recording was broken off before it began")
        elif not self._streams:
            problems.append(
                "the file has no stream: the recording was broken off before one began, or is no recording"
            )
        if walk.broken_off_at is not None:
            problems.append(
                f"the file was broken off or is damaged from byte {walk.broken_off_at} of {walk.size} on; "
                "everything before is read"
            )
        for number, n in self._without_header.items():
            problems.append(f"{n} chunks belong to stream {number}, which has no header that can be read")

    def _add_losses(self) -> None:
        """Add missing parts of the streams to the problems."""
        problems = self._problems
        without = [s.name for s in self._streams.values() if s.footer is None]
        if without:
            which = "all streams" if len(without) == len(self._streams) else ", ".join(map(repr, without))
            problems.append(f"no footer for {which}: the recording was broken off, or its end is damaged")
        for stream in self._streams.values():
            count = None if stream.footer is None else stream.footer["sample_count"]
            # More than counted is no loss: LabRecorder has long left the first sample out of its count.
            if count is not None and count > stream.n_samples:
                problems.append(
                    f"{stream.name!r} has {stream.n_samples} samples, but its footer counts {count}"
                )

    # -- one chunk each: False if it cannot be right -----------------------------------------------------------

    def _number(self, chunk: Chunk) -> int:
        content = self._walk.read(chunk.body, min(chunk.body + _NUMBER.size, chunk.end))
        return int(_NUMBER.unpack(content)[0]) if len(content) == _NUMBER.size else -1

    def _file_header(self, chunk: Chunk) -> bool:
        if chunk.end - chunk.body > limits.MOST_HEADER_BYTES:
            return False
        try:
            parse_xml(self._walk.read(chunk.body, chunk.end))
        except WrongFile:
            return False
        return True

    def _header(self, chunk: Chunk) -> bool:
        number = self._number(chunk)
        if chunk.end - chunk.body > limits.MOST_HEADER_BYTES:
            self._problems.append(
                f"the header of stream {number} has {chunk.end - chunk.body:,} bytes and is not read; a header has "
                f"{limits.MOST_HEADER_BYTES:,} at most"
            )
            return True
        try:
            info = parse_xml(self._walk.read(chunk.body + _NUMBER.size, chunk.end))
        except WrongFile as error:
            self._problems.append(f"a header cannot be read: {error}")
            return False
        try:
            header = StreamHeader.read(number, info)
        except WrongFile as error:
            self._problems.append(f"stream {number} cannot be read: {error}")
            return True
        if number in self._streams:
            self._problems.append(f"stream {number} has a second header, {header.name!r}; the first is kept")
            return True
        self._streams[number] = XdfStream(self._path, header)
        return True

    def _samples(self, chunk: Chunk) -> bool:
        content = self._walk.read(chunk.body, min(chunk.body + _NUMBER.size + 9, chunk.end))
        found = variable_length(content, _NUMBER.size)
        if found is None:
            return False
        number = int(_NUMBER.unpack_from(content)[0])
        stream = self._streams.get(number)
        if stream is None:
            if len(before := self._unknown.setdefault(number, [])) < _MOST_UNKNOWN:
                before.append({known: each.n_samples for known, each in self._streams.items()})
            return self._count_headerless(number)
        return stream.add_chunk(self._walk, chunk.body + found[1], found[0], chunk.end)

    def _offset(self, chunk: Chunk) -> bool:
        content = self._walk.read(chunk.body, chunk.end)
        if len(content) != _OFFSET.size:
            return False
        number, time_s, offset_s = _OFFSET.unpack(content)
        stream = self._streams.get(number)
        if stream is None:
            return self._count_headerless(number)
        stream.add_offset(time_s, offset_s)
        return True

    def _boundary(self, chunk: Chunk) -> bool:
        return self._walk.read(chunk.body, chunk.end) == encoding.BOUNDARY_MARK

    def _footer(self, chunk: Chunk) -> bool:
        number = self._number(chunk)
        stream = self._streams.get(number)
        if stream is None:
            return self._count_headerless(number)
        if chunk.end - chunk.body > limits.MOST_FOOTER_BYTES:
            self._problems.append(
                f"the footer of {stream.name!r} has {chunk.end - chunk.body:,} bytes; it is not read"
            )
            return True
        try:
            stream.footer = read_footer(self._walk.read(chunk.body + _NUMBER.size, chunk.end))
        except WrongFile as error:
            self._problems.append(f"the footer of {stream.name!r} cannot be read: {error}")
            return False
        return True

    def _count_headerless(self, number: int) -> bool:
        self._without_header[number] = self._without_header.get(number, 0) + 1
        return True
