"""The state of a recording on its disk: how far behind it is, how much room is left, whether the file is still there.

In: counts of bytes, an open file. Out: a `RecorderState`. Kept: since when a count stands still.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

#: A disk that has not synced for so long is reported: a power cut should cost no more than a second (assumed).
LATE_SYNC_S = 1.0
#: Heat is held while the disk has not synced for so long. Assumed: less than ``writer.DISK_TIMEOUT_S``, after which
#: the recording has failed.
SILENT_SYNC_S = 2.0
#: More than this in the queue is reported (assumed).
LONG_QUEUE_BYTES = 16 * 2**20
#: Less free space than this is reported: 6 minutes of 64 channels of float64 at 500 Hz (assumed).
LEAST_FREE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class RecorderState:
    """The state of a recording, as far as its disk has answered."""

    #: Bytes passed to the disk so far.
    n_bytes: int
    #: Of these, bytes not synced yet.
    queued_bytes: int
    #: For how long, on the caller's clock, nothing more was written or synced although something waits; 0 if nothing
    #: waits. None on a manual clock, whose seconds are no measure of a disk.
    write_age_s: float | None
    sync_age_s: float | None
    #: Free space after the last sync; None before the first, and where the system does not report it.
    free_bytes: int | None
    #: The failure in words; empty without one.
    failure: str

    @property
    def why(self) -> str:
        """The problem in words; empty without one."""
        if self.failure:
            return self.failure
        if self.free_bytes is not None and self.free_bytes < LEAST_FREE_BYTES:
            return f"{self.free_bytes / 1e6:.0f} MB are free on the disk; needed are {LEAST_FREE_BYTES / 1e6:.0f} MB"
        if self.is_sync_late:
            return f"the disk has not answered for {self.sync_age_s:.1f} s"
        if self.sync_age_s is not None and self.queued_bytes > LONG_QUEUE_BYTES:
            return f"{self.queued_bytes / 1e6:.0f} MB wait for the disk"
        return ""

    @property
    def is_sync_late(self) -> bool:
        """Whether a power cut now would cost more than ``LATE_SYNC_S``."""
        return self.sync_age_s is not None and self.sync_age_s > LATE_SYNC_S

    @property
    def is_alive(self) -> bool:
        """Whether heat may go on: nothing failed, and the disk answers; little free space alone is no failure."""
        is_silent = self.sync_age_s is not None and self.sync_age_s > SILENT_SYNC_S
        return not (self.failure or is_silent)

    @property
    def is_ok(self) -> bool:
        """Whether all that was appended is on its way to a disk that answers and has room."""
        return not self.why


class Progress:
    """Since when a count of bytes stands still although more waits, on the caller's clock."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._done = -1

    def note(self, done: int, wanted: int, now_s: float) -> None:
        """Note how much is done at ``now_s``."""
        if done == wanted:
            self._since_s = None
        elif self._since_s is None or done != self._done:
            self._since_s, self._done = now_s, done

    def age_s(self, done: int, wanted: int, now_s: float) -> float:
        """Return for how long nothing more was done; 0 if nothing waits, or something was done since the last note."""
        if self._since_s is None or done != self._done or done == wanted:
            return 0.0
        return now_s - self._since_s


def file_problem(file: int, path: Path, n_written: int) -> str:
    """Return the problem of an open file, in words: it may be moved, deleted or cut while it is written."""
    try:
        held, named = os.fstat(file), os.stat(path)
    except OSError as error:
        return f"the file {path} is gone: {error.strerror}"
    if not os.path.samestat(held, named):
        return f"another file stands in the place of {path}"
    if held.st_size < n_written:
        return f"the file has {held.st_size} bytes, but {n_written} were written to it"
    return ""


def free_space(folder: Path) -> int | None:
    """Return the free bytes on a folder's disk; None where the system does not report it."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
