"""One stream of an XDF file: its header at once, its samples on request."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.errors import WrongFile, WrongInput
from neurofb.xdf.chunks import ChunkWalk
from neurofb.xdf.headers import StreamHeader
from neurofb.xdf.samples import runs, stamped, stamped_size, stamps_of, texts, values_of

_T = TypeVar("_T")


class StoredChunk(NamedTuple):
    """The position of a chunk of samples in the file, and the stamp before it, from which deduced stamps continue."""

    body: int
    n_samples: int
    size: int
    uniform: bool
    before_s: float


class ChunkTable:
    """The chunks of a stream, in columns: a file of gigabytes has millions."""

    __slots__ = ("_before_s", "_body", "_n_samples", "_size", "_uniform")

    def __init__(self) -> None:
        self._body, self._n_samples, self._size = array("q"), array("q"), array("q")
        self._uniform, self._before_s = array("b"), array("d")

    def __len__(self) -> int:
        return len(self._body)

    def __getitem__(self, at: int) -> StoredChunk:
        return StoredChunk(
            self._body[at], self._n_samples[at], self._size[at], bool(self._uniform[at]), self._before_s[at]
        )

    def append(self, chunk: StoredChunk) -> None:
        """Add the next chunk."""
        self._body.append(chunk.body)
        self._n_samples.append(chunk.n_samples)
        self._size.append(chunk.size)
        self._uniform.append(chunk.uniform)
        self._before_s.append(chunk.before_s)

    def starts(self) -> NDArray[np.int64]:
        """Return the number of the first sample of each chunk, and the one behind the last."""
        counts = np.array(self._n_samples, dtype=np.int64)
        return np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


@dataclass(slots=True)
class XdfStream:
    """One stream of a file."""

    path: Path
    header: StreamHeader
    #: None if the recording was broken off before it.
    footer: Mapping[str, Any] | None = None
    #: Sample numbers before which samples may be missing, because the file is damaged there.
    holes: list[int] = field(default_factory=list)
    _offsets: list[tuple[float, float]] = field(default_factory=list)
    _chunks: ChunkTable = field(default_factory=ChunkTable)
    _n_samples: int = 0
    _last_s: float | None = 0.0
    _starts: NDArray[np.int64] | None = None

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.header.name

    @property
    def n_samples(self) -> int:
        """Number of readable samples."""
        return self._n_samples

    @property
    def offsets(self) -> FloatArray:
        """Measurements of the sender's clock."""
        return np.array(self._offsets, dtype=np.float64).reshape(-1, 2)

    @property
    def last_s(self) -> float:
        """The last stamp, NaN without samples."""
        return float(self.stamps_s(self._n_samples - 1)[0]) if self._n_samples else float("nan")

    def values(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """Return samples ``start`` to ``stop``, shape (n_samples, n_channels), in the stream's own format."""
        return self.read(start, stop)[0]

    def stamps_s(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the stamps of samples ``start`` to ``stop`` as they stand in the file, in s."""
        start, stop = self._range(start, stop)
        stamps_s = np.empty(stop - start)
        for content, stored, first, last, done in self._parts(start, stop):
            stamps_s[done : done + last - first] = self._readable(self._stamps(content, stored))[first:last]
        return stamps_s

    def read(self, start: int = 0, stop: int | None = None) -> tuple[NDArray[Any], FloatArray]:
        """Return values and stamps of samples ``start`` to ``stop``."""
        start, stop = self._range(start, stop)
        dtype, n_channels = self.header.dtype, self.header.n_channels
        if dtype is None:
            raise WrongInput(f"the stream {self.name!r} holds texts, not numbers; read its texts()")
        values, stamps_s = np.empty((stop - start, n_channels), dtype), np.empty(stop - start)
        for content, stored, first, last, done in self._parts(start, stop):
            to = slice(done, done + last - first)
            if stored.uniform:
                found = stamped(content, stored.n_samples, dtype, n_channels)
                values[to], stamps_s[to] = found["values"][first:last], found["stamp"][first:last]
                continue
            parts = self._readable(runs(content, stored.n_samples, self._width))
            values[to] = values_of(content, parts, stored.n_samples, dtype, n_channels)[first:last]
            stamps_s[to] = stamps_of(content, parts, self._width, stored.before_s, self.header.period_s)[
                first:last
            ]
        return values, stamps_s

    def texts(self, start: int = 0, stop: int | None = None) -> list[list[str]]:
        """Return the texts of samples ``start`` to ``stop``, each a list with one text for each channel."""
        start, stop = self._range(start, stop)
        if self.header.dtype is not None:
            raise WrongInput(f"the stream {self.name!r} holds numbers, not texts; read its values()")
        rows: list[list[str]] = []
        for content, stored, first, last, _ in self._parts(start, stop):
            found = self._readable(texts(content, stored.n_samples, self.header.n_channels, 0.0, 0.0))
            rows += found[0][first:last]
        return rows

    def pieces(self, n_samples: int = 1 << 16) -> Iterator[tuple[NDArray[Any], FloatArray]]:
        """Return values and stamps of the whole stream, ``n_samples`` at a time."""
        for start in range(0, self._n_samples, n_samples):
            yield self.read(start, min(start + n_samples, self._n_samples))

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        start, stop, _ = slice(start, stop).indices(self._n_samples)
        return start, max(start, stop)

    def _readable(self, found: _T | None) -> _T:
        """Return ``found``; raise if a chunk cannot be read that could be when the file was opened."""
        if found is None:
            raise self._changed()
        return found

    def _changed(self) -> WrongFile:
        return WrongFile(f"{self.path} has changed since it was opened; open it again")

    def _parts(self, start: int, stop: int) -> Iterator[tuple[bytes, StoredChunk, int, int, int]]:
        """Return the bytes of each chunk in a range, where in it the range lies, and how much came before."""
        if start >= stop:
            return
        if self._starts is None or len(self._starts) != len(self._chunks) + 1:
            self._starts = self._chunks.starts()
        at = int(np.searchsorted(self._starts, start, "right")) - 1
        done = 0
        with self.path.open("rb", buffering=0) as file:
            while done < stop - start:
                stored, begins = self._chunks[at], int(self._starts[at])
                first, last = max(start - begins, 0), min(stop - begins, stored.n_samples)
                if stored.uniform and last > first:  # its samples stand at known places: only those are read
                    row = stamped_size(self._width)
                    stored = StoredChunk(
                        stored.body + first * row, last - first, (last - first) * row, True, 0.0
                    )
                    first, last = 0, stored.n_samples
                file.seek(stored.body)
                content = file.read(stored.size)
                if len(content) < stored.size:
                    raise self._changed()
                if last > first:
                    yield content, stored, first, last, done
                done += last - first
                at += 1

    def _stamps(self, content: bytes, stored: StoredChunk) -> FloatArray | None:
        """Return the stamps of a chunk; None if it is none."""
        dtype, n_channels = self.header.dtype, self.header.n_channels
        if dtype is None:
            found = texts(content, stored.n_samples, n_channels, stored.before_s, self.header.period_s)
            return found[1] if found else None
        if stored.uniform:
            stamps_s: FloatArray = stamped(content, stored.n_samples, dtype, n_channels)["stamp"]
            return stamps_s
        parts = runs(content, stored.n_samples, self._width)
        if parts is None:
            return None
        return stamps_of(content, parts, self._width, stored.before_s, self.header.period_s)

    # -- as the file is opened ---------------------------------------------------------------------------------

    def add_chunk(self, walk: ChunkWalk, body: int, n: int, end: int) -> bool:
        """Add a chunk of ``n`` samples between two places of the file; False if it cannot be one."""
        size, dtype = end - body, self.header.dtype
        if n > size:
            return False
        if n == 0:
            return size == 0
        if dtype is not None and size == n * stamped_size(self._width):
            # Whatever a damaged flag says: only samples that all have a stamp fill this many bytes.
            self._chunks.append(StoredChunk(body, n, size, True, 0.0))
            self._last_s = None
        else:
            stored = StoredChunk(body, n, size, False, self._stamp_before(walk))
            stamps_s = self._stamps(walk.read(body, end), stored)
            if stamps_s is None:
                return False
            self._chunks.append(stored)
            self._last_s = float(stamps_s[-1])
        self._n_samples += n
        return True

    def add_offset(self, time_s: float, offset_s: float) -> None:
        """Add a measurement of the sender's clock."""
        self._offsets.append((time_s, offset_s))

    @property
    def _width(self) -> int:
        dtype = self.header.dtype
        return 0 if dtype is None else dtype.itemsize * self.header.n_channels

    def _stamp_before(self, walk: ChunkWalk) -> float:
        """Return the last stamp; that of a chunk of stamped samples is read only when a deduced one follows."""
        if self._last_s is None:
            stored = self._chunks[-1]
            last = stored.body + stored.size - self._width
            self._last_s = float(np.frombuffer(walk.read(last - 8, last), "<f8")[0])
        return self._last_s
