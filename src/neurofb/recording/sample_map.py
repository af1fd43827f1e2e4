"""The map from received samples to the session's sample grid: written while it runs, read back afterwards.

In: stamps in the order in which samples were received, and the chunks that a source made of them. Out: rows

    first_index, n_samples, first_received, blank_channel

A row with ``blank_channel`` -1 says: the received samples from ``first_received`` on, counted from 0, stand at the
``n_samples`` indices from ``first_index`` on. Indices in no row are missing, received samples in no row were dropped. A
row with a ``blank_channel`` says that this channel is not a number at these indices; so, with the first channel, do
missing samples after which none came any more, since the features of a session were computed of those, too.

From the received stream and these rows ``MappedEeg`` returns any range of the grid in µV, to the last bit what the
session ran on, NaN where nothing is known; the rest of the file is not read.
"""

from __future__ import annotations

import json
import math
from collections import deque

import numpy as np
from numpy.typing import NDArray

from neurofb import limits
from neurofb.chunk import Chunk, FloatArray
from neurofb.devices.columns import EegColumns
from neurofb.errors import WrongInput
from neurofb.xdf.stream import XdfStream

IntArray = NDArray[np.int64]
_JUMP_S = 60.0
#: Missing samples at a recording's end are believed up to this; a sleep of the computer adds no more either.
LONGEST_END_S = 3600.0

PRESENT = -1


class SampleMap:
    """Rows that map received samples to their indices on the grid, made while the session runs."""

    def __init__(self, n_channels: int) -> None:
        self._n_channels = n_channels
        self._waiting: deque[FloatArray] = deque()
        self._at = 0
        self._n_received = 0
        self._rows: list[list[float]] = []
        self._stamps_s: list[float] = []
        self._open: dict[int, int] = {}

    def add_received(self, stamps_s: FloatArray) -> None:
        """Add received samples, by their stamps."""
        if len(stamps_s):
            self._waiting.append(stamps_s)

    def add_chunk(self, chunk: Chunk) -> None:
        """Add a chunk: its samples are found among those received."""
        with np.errstate(over="ignore", invalid="ignore"):
            is_complete = math.isfinite(chunk.received_s.sum() + chunk.samples.sum())
        if is_complete:  # the usual case, in every step of feedback
            self._map(chunk, 0, len(chunk))
            return
        present = ~np.isnan(chunk.received_s)
        for first, last in _runs(present):
            self._map(chunk, first, last)
        if not present[-1]:  # perhaps the last there is: without a row nothing would tell of them
            first = int(np.flatnonzero(present)[-1]) + 1 if present.any() else 0
            self._add_row(chunk, first, len(chunk) - first, 0, 0)
        blank = np.isnan(chunk.samples) & present[:, None]
        if blank.any():
            for channel in np.flatnonzero(blank.any(axis=0)).tolist():
                for first, last in _runs(blank[:, channel]):
                    self._add_row(chunk, first, last - first, 0, channel)

    def pop_rows(self) -> tuple[FloatArray, FloatArray]:
        """Return the rows since the last call, shape (n_rows, 4), and the corrected time of each row's first sample."""
        rows = np.array(self._rows, dtype=np.float64).reshape(-1, 4)
        stamps_s = np.array(self._stamps_s, dtype=np.float64)
        self._rows, self._stamps_s, self._open = [], [], {}
        return rows, stamps_s

    def _map(self, chunk: Chunk, first: int, last: int) -> None:
        """Map the samples ``first`` to ``last`` of a chunk to received ones; others between were dropped."""
        while first < last:
            if not self._waiting:
                raise WrongInput(
                    f"the source gave {last - first} samples from index {chunk.first_index + first} on that it was "
                    "never seen to receive"
                )
            stamps_s = self._waiting[0][self._at :]
            n = min(len(stamps_s), last - first)
            same = stamps_s[:n] == chunk.received_s[first : first + n]
            alike = n if same.all() else int(same.argmin())
            if alike:
                self._add_row(chunk, first, alike, self._n_received, PRESENT)
                first += alike
                self._skip_received(alike)
            else:
                self._skip_received(1)

    def _skip_received(self, n: int) -> None:
        self._at += n
        self._n_received += n
        if self._at == len(self._waiting[0]):
            self._waiting.popleft()
            self._at = 0

    def _add_row(self, chunk: Chunk, at: int, n: int, received: int, channel: int) -> None:
        """Add a row, or extend the one before if this continues it."""
        index = chunk.first_index + at
        number = self._open.get(channel)
        if number is not None:
            row = self._rows[number]
            joins = channel != PRESENT or row[2] + row[1] == received
            if row[0] + row[1] == index and joins:
                row[1] += n
                return
        self._open[channel] = len(self._rows)
        self._rows.append([index, n, received, channel])
        self._stamps_s.append(float(chunk.times_s[at]))


def layout_text(eeg: EegColumns, rate_hz: float) -> str:
    """Return the header's text on the EEG in the received stream: labels, columns, scale and nominal rate."""
    layout = {
        "labels": list(eeg.labels),
        "columns": list(eeg.columns),
        "scale_uv": eeg.scale_uv.tolist(),
        "rate_hz": rate_hz,
    }
    return json.dumps(layout, sort_keys=True)


def read_layout(text: str) -> tuple[EegColumns, float]:
    """Return the columns and the rate of ``layout_text``; ValueError, KeyError or TypeError if it is none."""
    found = limits.parse_json(text)
    eeg = EegColumns(
        tuple(map(str, found["labels"])),
        tuple(map(int, found["columns"])),
        np.array(found["scale_uv"], dtype=np.float64),
    )
    rate_hz, n = float(found["rate_hz"]), len(eeg.labels)
    if len(eeg.columns) != n or eeg.scale_uv.shape != (n,) or min(eeg.columns, default=0) < 0:
        raise ValueError("labels, columns and scales do not belong together")
    if not 0 < rate_hz < np.inf:
        raise ValueError(f"a rate of {rate_hz} Hz")
    return eeg, rate_hz


class MappedEeg:
    """The EEG of a session on its sample grid.

    Parameters
    ----------
    stream : XdfStream or None
        As received; None if there is none: then nothing is known.
    columns : EegColumns
        Of that stream.
    rate_hz : float
        Nominal.
    rows : ndarray, shape (n_rows, 4)
        As ``SampleMap`` gave them.
    stamps_s : ndarray, shape (n_rows,)
        The corrected time of each row's first sample.
    """

    def __init__(
        self,
        stream: XdfStream | None,
        columns: EegColumns,
        rate_hz: float,
        rows: FloatArray,
        stamps_s: FloatArray,
    ) -> None:
        self.stream, self.columns, self.rate_hz = stream, columns, rate_hz
        #: Samples that cannot be mapped, and why.
        self.problems: list[str] = []
        known, stamps_s = self._plausible(rows, stamps_s)
        present = known[:, 3] == PRESENT
        self._anchors, self._anchors_s = known[present, 0], stamps_s[present]
        self._blank = known[~present]
        self._rows = _merge_rows(self._as_in_file(known[present, :3]))
        self._ends = self._rows[:, 0] + self._rows[:, 1]
        self.n_samples = self._with_missing_end(int(self._ends[-1]) if len(self._rows) else 0)
        self.n_mapped = int(self._rows[:, 1].sum())

    def eeg(self, start: int, stop: int) -> FloatArray:
        """Return samples ``start`` to ``stop`` in µV, shape (n_samples, n_channels)."""
        out = np.full((stop - start, len(self.columns.labels)), np.nan)
        for stream, at, n, received in self._parts(start, stop):
            out[at : at + n] = self.columns.to_uv(stream.values(received, received + n))
        for first, n, _, channel in self._blank.tolist():
            if first < stop and first + n > start and channel < out.shape[1]:
                out[max(first - start, 0) : first + n - start, channel] = np.nan
        return out

    def received_s(self, start: int, stop: int) -> FloatArray:
        """Return the stamps as received, NaN for samples that never came."""
        out = np.full(stop - start, np.nan)
        for stream, at, n, received in self._parts(start, stop):
            out[at : at + n] = stream.stamps_s(received, received + n)
        return out

    def times_s(self, start: int, stop: int) -> FloatArray:
        """Return corrected times: exact where a row begins, on a line between, at the nominal rate beyond."""
        index = np.arange(start, stop)
        if not len(self._anchors):
            return np.full(len(index), np.nan)
        times_s: FloatArray = np.interp(index, self._anchors, self._anchors_s)
        for beyond, at in ((index < self._anchors[0], 0), (index > self._anchors[-1], -1)):
            times_s[beyond] = self._anchors_s[at] + (index[beyond] - self._anchors[at]) / self.rate_hz
        return times_s

    def index_of(self, time_s: float) -> int:
        """Return the sample nearest to a time; before the first and after the last as the rate has it."""
        if not len(self._anchors):
            return 0
        # A clock that was set back makes times that come twice: the later sample is meant.
        at = float(np.interp(time_s, np.maximum.accumulate(self._anchors_s), self._anchors))
        if time_s > self._anchors_s[-1]:
            at = self._anchors[-1] + (time_s - self._anchors_s[-1]) * self.rate_hz
        elif time_s < self._anchors_s[0]:
            at = self._anchors[0] + (time_s - self._anchors_s[0]) * self.rate_hz
        return round(at)

    def _with_missing_end(self, end: int) -> int:
        """Return where the session's samples end: after missing ones that follow the last that came.

        Only what joins them counts, and an hour at most: damage may have made any number of a row.
        """
        if not math.isfinite(self.rate_hz):  # of a file that lost its beginning
            return end
        rows = self._blank[self._blank[:, 3] == 0]
        latest = end + round(LONGEST_END_S * self.rate_hz)
        for first, n in rows[np.argsort(rows[:, 0], kind="stable"), :2].tolist():
            if first <= end < first + n <= latest:
                end = first + n
        return end

    def _parts(self, start: int, stop: int) -> list[tuple[XdfStream, int, int, int]]:
        """Return the parts of the received stream in a range: where in the range, how many, from which sample on."""
        if self.stream is None:
            return []
        parts = []
        first_row = int(np.searchsorted(self._ends, start, "right"))
        last_row = int(np.searchsorted(self._rows[:, 0], stop, "left"))
        for first, n, received in self._rows[first_row:last_row].tolist():
            skipped = max(start - first, 0)
            n = min(first + n, stop) - first - skipped
            if n > 0:
                parts.append((self.stream, first + skipped - start, n, received + skipped))
        return parts

    def _plausible(self, rows: FloatArray, stamps_s: FloatArray) -> tuple[IntArray, FloatArray]:
        """Drop rows that damage has made impossible: they would overwrite others."""
        limit = 2.0**53
        fine = np.isfinite(rows).all(axis=1) & np.isfinite(stamps_s)
        with np.errstate(invalid="ignore"):
            fine &= (rows[:, 1] >= 1) & (rows[:, 0] >= 0) & (rows[:, 2] >= 0) & (rows[:, 3] >= PRESENT)
            fine &= (rows < limit).all(axis=1) & (rows == np.floor(rows)).all(axis=1)
        present = np.flatnonzero(fine & (rows[:, 3] == PRESENT))
        fine[present] = _are_in_order(rows[present], stamps_s[present], self.rate_hz)
        if not fine.all():
            self.problems.append(
                f"{np.count_nonzero(~fine)} of {len(rows)} rows that place samples cannot be right and are left out"
            )
        return rows[fine].astype(np.int64), stamps_s[fine]

    def _as_in_file(self, rows: IntArray) -> IntArray:
        """Return rows with received samples counted as they are in the file: fewer, if it is damaged or broken off."""
        stream = self.stream
        if stream is None or not len(rows):
            return rows[:0]
        begins, n, received = rows.T
        lost = self._count_lost(stream, int((received + n).max()))
        if lost is None:
            stop = stream.holes[0] if stream.holes else 0
            self.problems.append(
                f"the EEG is damaged in several places, or its end is lost: samples received after number {stop} "
                "cannot be placed and are NaN"
            )
            return _rows_before(rows, stop)
        if lost == 0:
            return _rows_before(rows, stream.n_samples)
        hole = stream.holes[0]
        self.problems.append(f"{lost} samples of EEG are lost to damage of the file and are NaN")
        ahead = _rows_before(rows, hole)
        skipped = np.clip(hole + lost - received, 0, n)
        after = np.stack((begins + skipped, n - skipped, received + skipped - lost), axis=1)
        return np.concatenate((ahead, _rows_before(after[after[:, 1] > 0], stream.n_samples)))

    @staticmethod
    def _count_lost(stream: XdfStream, n_mapped: int) -> int | None:
        """Return how many samples are missing in the one damaged place; None if unknown.

        The footer counts what was received, and the rows know of ``n_placed`` received samples: one may be damaged,
        but where they agree that the file has less, or more, its samples do not stand where the rows say.
        """
        there = stream.n_samples
        count = None if stream.footer is None else stream.footer["sample_count"]
        if count == there or (stream.holes and stream.holes[0] >= there):
            return 0  # nothing is missing, or only at the end
        if not stream.holes:
            fits = n_mapped <= there and (count is None or count > there or n_mapped > count)
            return 0 if fits else None
        if count is None or count < there or len(stream.holes) > 1:
            return None
        return int(count - there)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return first and last + 1 of each run of True."""
    if mask.all():
        return [(0, len(mask))] if len(mask) else []
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _are_in_order(rows: FloatArray, stamps_s: FloatArray, rate_hz: float) -> NDArray[np.bool_]:
    """Return which rows can follow each other; one that is far off must not make all others impossible."""
    if not len(rows):
        return np.ones(0, dtype=bool)
    begins, ends = rows[:, 0], rows[:, 0] + rows[:, 1]
    after_earlier = begins >= np.concatenate(([0.0], np.maximum.accumulate(ends)[:-1]))
    before_later = ends <= np.concatenate((np.minimum.accumulate(begins[::-1])[::-1][1:], [np.inf]))
    fine = max(after_earlier, before_later, key=np.count_nonzero)
    # No gap is longer than the time that passed in it; a minute, for clocks that jump.
    longest = 2.0 * np.abs(np.diff(stamps_s)) * rate_hz + _JUMP_S * rate_hz + rows[:-1, 1]
    steps = np.concatenate(([True], np.diff(begins) <= longest))
    return fine & steps


def _rows_before(rows: IntArray, stop: int) -> IntArray:
    """Return rows as far as they are about received samples before ``stop``."""
    n = np.minimum(rows[:, 1], stop - rows[:, 2])
    return np.stack((rows[:, 0], n, rows[:, 2]), axis=1)[n > 0]


def _merge_rows(rows: IntArray) -> IntArray:
    """Merge rows that continue the one before."""
    if not len(rows):
        return rows
    ends = rows[:-1, :3] + rows[:-1, 1:2]
    begins = np.concatenate(([True], (rows[1:, 0] != ends[:, 0]) | (rows[1:, 2] != ends[:, 2])))
    first = np.flatnonzero(begins)
    return np.stack((rows[first, 0], np.add.reduceat(rows[:, 1], first), rows[first, 2]), axis=1)
