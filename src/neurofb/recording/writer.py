"""Write a session to disk as it happens: appended samples survive a kill 0.1 s later, a power cut a second later.

In: samples, texts, clock offsets, at any pace. Out: an XDF file that only grows. Kept: what was appended since the last
flush, and how the disk keeps up. Chunks end where the caller's clock says, never where a thread happens to be: the same
session gives the same bytes. One thread writes, because feedback may not wait for a disk: what the operating system has
taken survives the end of this process, however it ends. Another syncs, because a slow sync must not hold up the next
write: what is synced survives a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import os
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.errors import RecordingFailed, WrongInput, WrongShape
from neurofb.recording.disk_state import Progress, RecorderState, file_problem, free_space
from neurofb.recording.folder import sync_folder
from neurofb.xdf import encoding
from neurofb.xdf.headers import StreamHeader

#: Every so many flushes a boundary mark is written, at which readers resume after damage.
BOUNDARY_EVERY = 2
#: A disk that takes longer than this to write or sync has failed.
DISK_TIMEOUT_S = 5.0
#: After how long, on the caller's clock, what was appended is written: what a kill costs at most, with the time that
#: a step of the engine and the writing thread take.
FLUSH_S = 0.1
#: A recorder with ``waits`` waits for its disk above this.
MOST_QUEUED_BYTES = 16 * 2**20
#: How long ``close`` waits for the disk, in s of real time.
CLOSE_TIMEOUT_S = 30.0
#: How long ``close`` waits for a disk that has failed already.
CLOSE_AFTER_FAILURE_S = 0.5


@dataclass(slots=True)
class _Stream:
    header: StreamHeader
    values: list[Any] = field(default_factory=list)
    stamps_s: list[FloatArray] = field(default_factory=list)
    n_samples: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    offsets: list[tuple[float, float]] = field(default_factory=list)

    def pop_chunk(self, number: int) -> bytes | _NumericChunk:
        """Return and remove what was appended, as one chunk or one to be packed later."""
        values, stamps_s = self.values, self.stamps_s
        self.values, self.stamps_s = [], []
        if self.header.dtype is not None:
            return _NumericChunk(number, values, stamps_s)
        all_s = np.concatenate(stamps_s)
        body = encoding.text_body([text for texts in values for text in texts], all_s)
        return encoding.samples(number, len(all_s), body)


class _NumericChunk:
    """A chunk that the writing thread packs: packing 64 channels would delay a step of feedback."""

    def __init__(self, number: int, values: list[NDArray[Any]], stamps_s: list[FloatArray]) -> None:
        self._number, self._values, self._stamps_s = number, values, stamps_s
        self._n = sum(map(len, stamps_s))
        # The body follows a chunk's length, tag, stream and count: 1 + 4, 2, 4 and 1 + 4 bytes.
        self._size: int = 16 + self._n * (9 + values[0].dtype.itemsize * values[0].shape[1])

    def __len__(self) -> int:
        return self._size

    def packed(self) -> bytes:
        """Return the chunk."""
        body = encoding.numeric_body(np.concatenate(self._values), np.concatenate(self._stamps_s))
        return encoding.samples(self._number, self._n, body)


class Recorder:
    """Writer of one XDF file.

    Parameters
    ----------
    path : Path
        Must not exist: nothing is ever overwritten.
    flush_s : float
        After how long, on the caller's clock, what was appended becomes chunks and is written.
    waits : bool
        Whether a flush waits for a disk that is far behind, on a manual clock, whose seconds are no measure of a
        disk; else a disk that is behind for long has failed.

    Raises
    ------
    RecordingFailed
        If the file cannot be made.
    """

    def __init__(self, path: Path, *, flush_s: float = FLUSH_S, waits: bool = False) -> None:
        self.path = Path(path)
        self._flush_s, self._waits = flush_s, waits
        self._streams: list[_Stream] = []
        self._pending: list[bytes] = []
        self._next_s: float | None = None
        self._n_flushes = 0
        self._closed = False
        self._failure: OSError | None = None
        self._is_reported = False
        self.n_bytes = 0
        # Bytes that the system took, and those of them that are synced; each set by its own thread.
        self._taken = self._written = 0
        self._taking, self._syncing = Progress(), Progress()
        self._free_bytes: int | None = None
        self._file_problem = ""
        try:
            # Appended always: in a file that was cut, a write at the old place would leave a hole of the old length.
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._file = os.open(self.path, flags, 0o644)
        except OSError as error:
            raise RecordingFailed(
                f"the recording {self.path} cannot be made: {error.strerror}; choose another folder with --data, or "
                "make this one writable"
            ) from error
        sync_folder(self.path.parent)
        self._progress = threading.Event()
        self._jobs: queue.SimpleQueue[Sequence[bytes | _NumericChunk] | None] = queue.SimpleQueue()
        self._to_sync: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="neurofb-recorder", daemon=True)
        self._sync_thread = threading.Thread(target=self._sync, name="neurofb-recorder-sync", daemon=True)
        self._thread.start()
        self._sync_thread.start()
        self._queue(encoding.MAGIC + encoding.file_header())

    def __repr__(self) -> str:
        return f"Recorder({str(self.path)!r}, flush_s={self._flush_s!r})"

    def add_stream(self, header: StreamHeader) -> int:
        """Begin a stream and return its number."""
        if header.dtype is None and header.n_channels != 1:
            raise WrongInput(
                f"a recorded stream of text has one channel; {header.name!r} has {header.n_channels}: make a stream "
                "of each"
            )
        self._streams.append(_Stream(header))
        stream = len(self._streams)
        self._queue(encoding.stream_header(stream, header))
        return stream

    def _stream(self, stream: int) -> _Stream:
        if self._closed:
            raise WrongInput(f"the recording {self.path} is closed; nothing can be appended")
        if not 1 <= stream <= len(self._streams):
            raise WrongInput(f"no stream {stream} was begun; there are 1 to {len(self._streams)}")
        return self._streams[stream - 1]

    def append(self, stream: int, values: NDArray[Any] | Sequence[str], stamps_s: FloatArray) -> None:
        """Append samples; the next flush writes them.

        Parameters
        ----------
        stream : int
            As ``add_stream`` gave it.
        values : ndarray, shape (n_samples, n_channels), or sequence of str
            In the format of the stream. Kept as it is: the caller writes into it no more.
        stamps_s : ndarray, shape (n_samples,)

        Raises
        ------
        RecordingFailed
            If what came before could not be written.
        """
        self._check()
        kept = self._stream(stream)
        n = len(stamps_s)
        if not n:
            return
        if len(values) != n:
            raise WrongShape(f"{n} time stamps need as many samples, found {len(values)}")
        dtype = kept.header.dtype
        if dtype is not None:
            array = np.asarray(values)
            if array.dtype != dtype:
                raise WrongInput(
                    f"the stream {kept.header.name!r} takes {kept.header.channel_format}, found {array.dtype}"
                )
            if array.shape != (n, kept.header.n_channels):
                raise WrongShape(
                    f"the stream {kept.header.name!r} takes samples of shape (n, {kept.header.n_channels}), "
                    f"found {array.shape}"
                )
        if not kept.n_samples:
            kept.first_s = float(stamps_s[0])
        kept.values.append(values)
        kept.stamps_s.append(stamps_s)
        kept.n_samples += n
        kept.last_s = float(stamps_s[-1])

    def append_offset(self, stream: int, time_s: float, offset_s: float) -> None:
        """Append a measurement of the sender's clock."""
        self._check()
        self._stream(stream).offsets.append((time_s, offset_s))
        self._pending.append(encoding.clock_offset(stream, time_s, offset_s))

    def is_due(self, now_s: float) -> bool:
        """Whether a flush at ``now_s`` would write something."""
        return self._next_s is not None and now_s >= self._next_s

    def flush(self, now_s: float) -> None:
        """Queue what was appended for the disk, if it is due; never waits for the disk.

        Raises
        ------
        RecordingFailed
            If the disk failed, or has not answered for ``DISK_TIMEOUT_S``.
        """
        self._check()
        if self._next_s is None:
            self._next_s = now_s + self._flush_s
        if now_s < self._next_s:
            return
        if self._waits:
            self._wait_for_disk()
        else:
            self._check_disk(now_s)
        missed = int((now_s - self._next_s) / self._flush_s)
        self._next_s += (missed + 1) * self._flush_s
        self._queue_chunks()

    def state(self, now_s: float) -> RecorderState:
        """Return how the recording is at ``now_s``, from what its thread noted; never waits for the disk."""
        failure, written = self._failure, self._written
        return RecorderState(
            self.n_bytes,
            self.n_bytes - written,
            None if self._waits else self._taking.age_s(self._taken, self.n_bytes, now_s),
            None if self._waits else self._syncing.age_s(written, self.n_bytes, now_s),
            self._free_bytes,
            self._file_problem if failure is None else failure.strerror or str(failure),
        )

    def close(self) -> None:
        """Write the rest and the footers, and close the file; after a failure only close what can be closed.

        Raises
        ------
        RecordingFailed
            If the rest could not be written. A failure is raised once: after it, a recorder just closes.
        """
        if self._closed:
            return
        self._closed = True
        was_reported = self._is_reported
        if not was_reported:
            self._queue_chunks()
            for number, kept in enumerate(self._streams, 1):
                self._queue(
                    encoding.stream_footer(number, kept.first_s, kept.last_s, kept.n_samples, kept.offsets)
                )
        self._jobs.put(None)
        self._sync_thread.join(
            CLOSE_AFTER_FAILURE_S if was_reported else CLOSE_TIMEOUT_S
        )  # ends after the other
        if self._sync_thread.is_alive() and self._failure is None:
            self._failure = OSError(errno.ETIMEDOUT, f"the disk did not answer within {CLOSE_TIMEOUT_S:g} s")
        if not was_reported:
            self._check()

    # -- to disk -----------------------------------------------------------------------------------------------

    def _queue_chunks(self) -> None:
        """Make one chunk of each stream's samples and queue all for the thread."""
        parts: list[bytes | _NumericChunk] = [*self._pending]
        self._pending = []
        for number, kept in enumerate(self._streams, 1):
            if kept.stamps_s:
                parts.append(kept.pop_chunk(number))
        if self._n_flushes % BOUNDARY_EVERY == 0:
            parts.append(encoding.boundary())
        self._n_flushes += 1
        self._queue(*parts)

    def _queue(self, *parts: bytes | _NumericChunk) -> None:
        self.n_bytes += sum(map(len, parts))
        self._jobs.put(parts)

    def _check_disk(self, now_s: float) -> None:
        taken, written = self._taken, self._written
        self._taking.note(taken, self.n_bytes, now_s)
        self._syncing.note(written, self.n_bytes, now_s)
        if self._syncing.age_s(written, self.n_bytes, now_s) > DISK_TIMEOUT_S:
            self._failure = OSError(errno.ETIMEDOUT, f"the disk has not answered for {DISK_TIMEOUT_S:g} s")
            self._check()

    def _wait_for_disk(self) -> None:
        while self.n_bytes - self._written > MOST_QUEUED_BYTES and self._failure is None:
            if not self._progress.wait(CLOSE_TIMEOUT_S):
                self._failure = OSError(
                    errno.ETIMEDOUT, f"the disk has not answered for {CLOSE_TIMEOUT_S:g} s"
                )
            self._progress.clear()
        self._check()

    def _write(self) -> None:
        """Write queued chunks, in order, until stopped; runs in its thread."""
        try:
            is_open = True
            while is_open:
                contents = [self._jobs.get()]
                with contextlib.suppress(queue.Empty):
                    while contents[-1] is not None:  # a disk that was slow gets all that waits at once
                        contents.append(self._jobs.get_nowait())
                is_open = contents[-1] is not None
                parts = [part for each in contents if each is not None for part in each]
                self._write_out(
                    b"".join(part if isinstance(part, bytes) else part.packed() for part in parts)
                )
                self._to_sync.put(True)
        except OSError as error:
            with contextlib.suppress(OSError):  # first, so that the failure names what is safe
                os.fsync(self._file)
                self._written = self._taken
            self._failure = error
        finally:
            self._to_sync.put(False)
            self._progress.set()

    def _write_out(self, content: bytes) -> None:
        """Pass content to the operating system; count what it took even if the disk gets full."""
        done = 0
        try:
            while done < len(content):
                n = os.write(self._file, memoryview(content)[done:])
                done += n
                self._taken += n
        finally:
            self._file_problem = self._file_problem or file_problem(self._file, self.path, self._taken)
            self._progress.set()

    def _sync(self) -> None:
        """Sync what was written whenever asked to, and close the file when no more comes; runs in its thread."""
        is_open = True
        try:
            while is_open:
                is_open = self._to_sync.get()
                with contextlib.suppress(queue.Empty):
                    while is_open:  # one sync for all that was written during the last
                        is_open = self._to_sync.get_nowait()
                taken = self._taken
                os.fsync(self._file)
                self._written = max(taken, self._written)
                self._free_bytes = free_space(self.path.parent)
                self._progress.set()
        except OSError as error:
            self._failure = self._failure or error
            while is_open:  # the file stays open for the other thread
                is_open = self._to_sync.get()
        finally:
            self._progress.set()
            with contextlib.suppress(OSError):  # everything was synced; what failed is told already
                os.close(self._file)

    def _check(self) -> None:
        if self._failure is not None:
            self._is_reported = True
            why = self._failure.strerror or str(self._failure)
            raise RecordingFailed(
                f"the recording {self.path} cannot go on: {why}. {self._written} bytes are safe on the disk and can "
                "be read; make room or choose another disk before the next session"
            ) from self._failure
