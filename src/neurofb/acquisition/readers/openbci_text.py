"""Text files of the OpenBCI GUI: µV with a sample index that shows lost packets, in any of their dialects.

In: a path. Out: a ``Recording`` that reads lines when they are asked for. Every line is looked at once when the file
is opened, so that a cell that is no number is refused with its line, and not found in the middle of a session.

The index counts up to 255 (Cyton; Daisy in steps) or 199 or 200 (Ganglion) and begins again, so it shows
losses of less than one turn; the computer's time stamps, coarse as they are, show whole turns. An index may be wrong
itself: one that comes back to its course at once, or that leaps while no time passes, has lost no sample.

Dialects: the GUI separates by ", ", spreadsheets save by ";" or tabs, and computers set to many languages write decimal
commas (OpenBCI_Processing#49). Headers before GUI 4.0.2 do not count the channels (OpenBCI_GUI#399).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofb import limits
from neurofb.acquisition.readers.eeg_signals import Asked
from neurofb.acquisition.readers.recording import Break, Recording, laid_out
from neurofb.chunk import FloatArray
from neurofb.devices import DeviceProfile, load_profile
from neurofb.devices.columns import columns_of_profile
from neurofb.errors import WrongFile

#: Which profile lends its labels to a file that names none, by number of channels.
_PROFILES = {4: "openbci-ganglion", 8: "openbci-cyton", 16: "openbci-cyton-daisy"}
#: Beside the channels, lines without names of columns hold an index, three of the accelerometer and up to two stamps.
_OTHER_COLUMNS = (4, 5, 6)
_HEAD_BYTES, _PIECE_BYTES = 1 << 16, 1 << 20
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)", re.IGNORECASE)
_HEX = re.compile(r"[0-9A-F]{2}(,[0-9A-F]{4,6}){4,}", re.IGNORECASE)
#: A sample index is below this on any board.
_LONGEST_TURN = 256
#: Unix time in seconds is below this for three thousand years.
_LEAST_MS = 1e11
#: A whole turn of the index lasts longer than this on any board.
_LEAP_S = 0.25
#: Time stamps come with bursts of samples: means over blocks of so many lines are kept, and so many blocks compared.
_BLOCK, _BLOCKS = 32, 4
#: The stamps are asked about losses of so many samples and more (assumed).
_LEAST_TOLD = 8.0
#: Jumps of the index no more than so many lines apart are looked at together: what a wrong index does, the next undoes.
_TOGETHER = 8
#: An index that is out of range, or the same twice, in up to this share of the lines is wrong there; else the board's.
_FEW = 0.01


@dataclass(frozen=True, slots=True)
class _Dialect:
    """How the cells of a file are separated and its numbers written."""

    separator: bytes
    decimal_comma: bool

    def plain(self, content: bytes) -> bytes:
        """Return lines with commas between cells and points in numbers."""
        content = content.replace(b"\r", b"").replace(b'"', b"")
        if not self.decimal_comma:
            return content if self.separator == b"," else content.replace(self.separator, b",")
        content = content.replace(self.separator, b"\x1f").replace(b".", b"")
        return content.replace(b",", b".").replace(b"\x1f", b",")


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column holds what; None where there is none."""

    n_columns: int
    eeg: tuple[int, ...]
    index: int | None
    stamp: int | None

    @property
    def wanted(self) -> tuple[int, ...]:
        """The columns that are looked at: the EEG, the index, the stamp."""
        return (*self.eeg, *(column for column in (self.index, self.stamp) if column is not None))


@dataclass(slots=True)
class _Lines:
    """Where the lines of samples are in a file, and what their index and stamps say."""

    #: First byte of each piece, the number of its first line among the samples, and behind the last piece.
    starts: list[int] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    #: The sample index of each piece; None once it is found to be none.
    index: list[NDArray[np.uint8]] | None = field(default_factory=list)
    #: Of lines that come long after the one before: their number, and how long after, in s.
    late_s: dict[int, float] = field(default_factory=dict)
    last_stamp_s: float = np.nan
    #: Mean stamp of each whole block of lines, and the stamps of the block that is not whole yet.
    stamps_s: list[FloatArray] = field(default_factory=list)
    begun_s: FloatArray = field(default_factory=lambda: np.empty(0))
    #: Lines whose index is out of range.
    n_wrong: int = 0
    n_samples: int = 0
    n_empty: int = 0


def read_openbci_text(path: Path, asked: Asked) -> Recording:
    """Return the EEG of an OpenBCI text file.

    Parameters
    ----------
    path : Path
        The file: ``%`` lines with rate and number of channels, perhaps a line of column names, the numbers.
    asked : Asked
        The profile whose labels the channels get, by default the OpenBCI board with as many channels; the unit.

    Raises
    ------
    WrongFile
        If it is no such file, or a line of it cannot be right.
    """
    notes: list[str] = []
    with path.open("rb") as file:
        start = file.read(_HEAD_BYTES)
    head, titles, rows, begin = _parts(path, start)
    dialect = _dialect(path, head, rows)
    names = [name.strip() for name in dialect.plain(titles).decode("utf-8", "replace").split(",") if titles]
    rate_hz = _rate_hz(path, head)
    layout = _layout(path, head, names, dialect.plain(rows[0]).count(b",") + 1, asked.profile)
    profile = asked.profile or _profile(path, len(layout.eeg), notes)
    columns = columns_of_profile(profile, len(layout.eeg))
    lines = _scan(path, begin, dialect, layout, notes)
    if lines.n_empty:
        notes.append(f"{lines.n_empty} cells are empty or 'nan': those values are missing")
    breaks = _breaks(lines, rate_hz, notes)
    stretches = laid_out(lines.n_samples, breaks, rate_hz, notes)
    scale_uv = 1.0 if asked.unit_uv is None else asked.unit_uv
    eeg = tuple(layout.eeg[i] for i in columns)
    stored = _TextSamples(path, dialect, layout, eeg, scale_uv, lines)
    return Recording(profile.labels, rate_hz, stored, stretches, tuple(notes))


def _parts(path: Path, start: bytes) -> tuple[str, bytes, list[bytes], int]:
    """Return the header, the line of column names, the first lines of numbers, and the byte at which they begin."""
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise WrongFile(f"{path} is text in UTF-16; save it as UTF-8, or as the OpenBCI GUI wrote it")
    head, at = [], 3 if start.startswith(b"\xef\xbb\xbf") else 0
    names, begin = b"", len(start)
    rows: list[bytes] = []
    while at < len(start):
        end = start.find(b"\n", at)
        end = len(start) if end < 0 else end
        line = start[at:end].strip().strip(b'"').strip()
        bare = line.strip(b',;\t "')
        if bare.startswith(b"%"):
            head.append(bare.decode("utf-8", "replace"))
        elif bare and not rows and not names and not re.match(rb"[-+.\d]", bare):
            names = line
        elif bare:
            begin = begin if rows else at
            rows.append(start[at:end].strip())
        at = end + 1
    text = "\n".join(head)
    if any(_HEX.fullmatch(row.decode("latin-1")) for row in rows[:50]) or re.search(
        r"%\s*(Total time|STOP AT)", text
    ):
        raise WrongFile(
            f"{path} is a recording of the board's SD card in hexadecimal, which is not read; convert it to text with "
            "OpenBCI's SD card converter first"
        )
    if not re.search(r"OpenBCI|Sample Rate|Number of channels", text, re.IGNORECASE):
        raise WrongFile(
            f"{path} is no text file of the OpenBCI GUI: it needs the lines '%Number of channels = 8' and "
            "'%Sample Rate = 250 Hz' at its beginning"
        )
    if not rows:
        raise WrongFile(f"{path} holds no samples; was the recording stopped before it began?")
    return text, names, rows[:100], begin


def _dialect(path: Path, head: str, rows: list[bytes]) -> _Dialect:
    """Return how cells are separated, by the first lines."""
    joined = b"\n".join(rows)
    for separator in (b"\t", b";"):
        if separator in rows[0]:
            return _Dialect(separator, decimal_comma=b"," in joined)
    spaced = [cell.strip() for row in rows for cell in row.split(b", ")]
    with_comma = sum(re.fullmatch(rb"[-+]?\d+,\d+", cell) is not None for cell in spaced)
    if (
        b", " in rows[0]
        and 2 * with_comma > len(spaced)
        and not any(re.fullmatch(rb"[-+]?\d+\.\d+", cell) for cell in spaced)
    ):
        return _Dialect(b", ", decimal_comma=True)
    counted = re.search(r"Number of channels\s*=\s*(\d+)", head)
    n_channels = int(counted[1]) if counted else 4
    if b"." not in joined and rows[0].count(b",") >= 2 * n_channels:
        raise WrongFile(
            f"{path} has decimal commas that cannot be told from the commas between its columns; save it with points "
            "in its numbers, or with semicolons between its columns"
        )
    return _Dialect(b",", decimal_comma=False)


def _rate_hz(path: Path, head: str) -> float:
    rate = re.search(r"Sample Rate\s*=\s*(\d+(?:[.,]\d+)?)", head)
    if not rate or not float(rate[1].replace(",", ".")) > 0:
        raise WrongFile(
            f"{path} is no text file of the OpenBCI GUI, or lacks part of its header: it needs a line such as "
            "'%Sample Rate = 250 Hz' at its beginning"
        )
    return float(rate[1].replace(",", "."))


def _layout(
    path: Path, head: str, names: list[str], n_columns: int, profile: DeviceProfile | None
) -> _Layout:
    """Return which column holds what: by their names, by the header, by the device, else by how many there are."""
    counted = re.search(r"Number of channels\s*=\s*(\d+)", head)
    n_channels = int(counted[1]) if counted else None
    lower = [name.lower() for name in names]
    eeg = tuple(i for i, name in enumerate(lower) if re.match(r"(exg|eeg)[ _]channel|(exg|eeg) ?\d+$", name))
    if eeg:
        if len(names) != n_columns:
            raise WrongFile(
                f"{path} names {len(names)} columns, but its lines have {n_columns}; a column was lost or added, so "
                "nobody can say which is which"
            )
        if n_channels is not None and len(eeg) != n_channels:
            raise WrongFile(f"{path} says that it has {n_channels} channels, but its columns name {len(eeg)}")
        index = next((i for i, name in enumerate(lower) if name.replace(" ", "") == "sampleindex"), None)
        stamp = next((i for i, name in enumerate(lower) if name == "timestamp"), None)
        return _Layout(n_columns, eeg, index, stamp)
    if n_channels is None and profile is not None:
        n_channels = profile.n_channels
    if n_channels is None:
        fits = [n for n in _PROFILES if n_columns - n in _OTHER_COLUMNS]
        if len(fits) != 1:
            raise WrongFile(
                f"{path} does not say how many channels it has, and {n_columns} columns fit no board; say by --device "
                "which it was"
            )
        n_channels = fits[0]
    if n_columns < 1 + n_channels:
        raise WrongFile(
            f"{path} has {n_columns} columns, but an index and {n_channels} channels need {1 + n_channels}: "
            "columns are missing"
        )
    return _Layout(n_columns, tuple(range(1, 1 + n_channels)), 0, None)


def _profile(path: Path, n_channels: int, notes: list[str]) -> DeviceProfile:
    if n_channels not in _PROFILES:
        raise WrongFile(
            f"{path} has {n_channels} channels without labels; name a device whose labels they get"
        )
    profile = load_profile(_PROFILES[n_channels])
    notes.append(f"the file names no electrodes: labels as {profile.title}'s default montage")
    return profile


def _pieces(path: Path, begin: int) -> Iterator[tuple[int, bytes]]:
    """Return whole lines, some megabytes at a time, with the byte at which they begin."""
    with path.open("rb") as file:
        file.seek(begin)
        rest, at = b"", begin
        while content := file.read(_PIECE_BYTES):
            lines, newline, rest_now = (rest + content).rpartition(b"\n")
            if newline:
                yield at, lines + newline
                at += len(lines) + 1
            rest = rest_now
            if len(rest) > limits.LONGEST_LINE:
                raise WrongFile(
                    f"{path} has a line of more than {limits.LONGEST_LINE:,} letters; a line is one sample"
                )
        if rest.strip():
            yield at, rest


def _scan(path: Path, begin: int, dialect: _Dialect, layout: _Layout, notes: list[str]) -> _Lines:
    """Look at every line once."""
    lines, line_number = _Lines(), 1
    with path.open("rb") as file:
        line_number += file.read(begin).count(b"\n")
    size = path.stat().st_size
    for at, content in _pieces(path, begin):
        lines.starts.append(at)
        lines.first.append(lines.n_samples)
        is_last = at + len(content) >= size
        plain = dialect.plain(content)
        rows = _rows(path, plain, layout, layout.wanted, line_number, notes if is_last else None)
        lines.n_empty += int(np.isnan(rows[:, : len(layout.eeg)]).sum())
        _add_counts(lines, rows, layout)
        _refuse_text(path, plain, rows, layout, line_number)
        lines.n_samples += len(rows)
        line_number += content.count(b"\n")
    lines.starts.append(size)
    if not lines.n_samples:
        raise WrongFile(f"{path} holds no samples; was the recording stopped before it began?")
    return lines


def _add_counts(lines: _Lines, rows: FloatArray, layout: _Layout) -> None:
    """Keep what tells lost packets: the sample index, and the computer's stamps where they make a leap."""
    if not len(rows):
        return
    if layout.index is None:
        lines.index = None
    if lines.index is not None:
        index = _counted(rows[:, len(layout.eeg)], lines)
        lines.index = None if index is None else [*lines.index, index]
    if layout.stamp is not None:
        stamps_s = rows[:, -1]
        stamps_s = np.where(stamps_s > _LEAST_MS, stamps_s / 1000.0, stamps_s)  # old files have milliseconds
        steps_s = np.diff(stamps_s, prepend=lines.last_stamp_s)
        for place in np.flatnonzero(steps_s > _LEAP_S).tolist():
            lines.late_s[lines.n_samples + place] = float(steps_s[place])
        lines.last_stamp_s = float(stamps_s[-1])
        begun_s = np.concatenate((lines.begun_s, stamps_s))
        whole = len(begun_s) // _BLOCK * _BLOCK
        lines.stamps_s.append(begun_s[:whole].reshape(-1, _BLOCK).mean(axis=1))
        lines.begun_s = begun_s[whole:]


def _counted(index: FloatArray, lines: _Lines) -> NDArray[np.uint8] | None:
    """Return the sample index; a few that are out of range repeat the one before. None if it is no such index."""
    fits = (index >= 0) & (index < _LONGEST_TURN) & (index == np.floor(index))
    wrong = int(len(index) - fits.sum())
    if wrong > max(1.0, _FEW * len(index)) or not fits.any():
        return None
    lines.n_wrong += wrong
    before = np.maximum.accumulate(np.where(fits, np.arange(len(index)), 0))
    before[: int(fits.argmax())] = fits.argmax()
    return index[before].astype(np.uint8)


def _rows(
    path: Path,
    content: bytes,
    layout: _Layout,
    columns: tuple[int, ...],
    line_number: int,
    last_notes: list[str] | None = None,
) -> FloatArray:
    """Return some columns of plain lines as numbers, NaN where they are none, shape (n_lines, n_columns).

    ``last_notes`` are given with the file's last lines, of which the very last may be broken off.
    """
    texts = content.split(b"\n")
    numbers = [i for i, line in enumerate(texts) if line.strip(b" ,")]
    body = [texts[i] for i in numbers]
    if last_notes is not None and body and body[-1].count(b",") < layout.n_columns - 1:
        body.pop()
        last_notes.append("the last line is broken off and left out")
    for i, line in zip(numbers, body, strict=False):
        if line.count(b",") != layout.n_columns - 1:
            raise WrongFile(
                f"{path} has {line.count(b',') + 1} columns in line {line_number + i}, but {layout.n_columns} before; "
                "cut the file there, or remove the line"
            )
    if not body:
        return np.empty((0, len(columns)))
    try:
        lines = [line.decode("latin-1") for line in body]
        return np.loadtxt(lines, delimiter=",", usecols=columns, ndmin=2, comments=None)
    except ValueError:
        cells = [line.split(b",") for line in body]
        return np.array([[_value(row[column]) for column in columns] for row in cells])


def _value(cell: bytes) -> float:
    text = cell.decode("latin-1").strip()
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def _refuse_text(path: Path, plain: bytes, rows: FloatArray, layout: _Layout, line_number: int) -> None:
    """Raise if a cell of the EEG, or of the index, holds a text: a missing value is empty or ``nan``."""
    asked = list(layout.eeg) + ([] if layout.index is None else [layout.index])
    if not np.isnan(rows[:, : len(asked)]).any():
        return
    for i, line in enumerate(plain.split(b"\n")):
        cells = line.split(b",")
        for column in asked if len(cells) == layout.n_columns else ():
            text = cells[column].decode("utf-8", "replace").strip()
            if text and not _NUMBER.fullmatch(text):
                raise WrongFile(
                    f"{path} holds {text!r} in column {column + 1} of line {line_number + i}, where a number should "
                    "be; a spreadsheet may have rewritten it: use the file as the OpenBCI GUI wrote it"
                )


def _breaks(lines: _Lines, rate_hz: float, notes: list[str]) -> list[Break]:
    """Return where samples are missing, by the index and the computer's stamps."""
    if lines.index is None:
        notes.append("the file has no sample index of the board, so lost packets cannot be told")
        return []
    turn, usual, has_repeats = _turn(lines.index)
    per_turn = turn // usual
    jumps: dict[int, int] = {}
    for first, steps in _steps(lines.index, turn):
        missing = steps // usual - 1  # -1: the same index again, which is a whole turn lost or a repeat
        for line in (line for line in lines.late_s if first <= line < first + len(steps)):
            # Stamps come with a burst of samples and are off by some: only a loss of near a turn can be told.
            late = lines.late_s[line] * rate_hz - 1 - missing[line - first]
            missing[line - first] += max(round(late / per_turn), 0) * per_turn
        places = np.flatnonzero(missing > 0 if has_repeats else missing).tolist()
        jumps.update((first + place, int(missing[place])) for place in places)
    breaks, n_wrong = _held_against_time(jumps, lines, per_turn, rate_hz)
    if n_wrong or lines.n_wrong:
        notes.append(
            f"the sample index is wrong in {max(n_wrong, lines.n_wrong)} places, where no sample is missing by its "
            "course or the time stamps"
        )
    return breaks


def _held_against_time(
    jumps: Mapping[int, int], lines: _Lines, per_turn: int, rate_hz: float
) -> tuple[list[Break], int]:
    """Return where samples are missing after all, and in how many places the index is wrong."""
    clock = _Clock(np.concatenate([np.empty(0), *lines.stamps_s]), rate_hz)
    least_told, groups = clock.least_told, _grouped(jumps)
    borders = [-1, *(line for group in groups for line in (group[0], group[-1])), lines.n_samples]
    breaks: list[Break] = []
    n_wrong = 0
    for i, group in enumerate(groups):
        late = clock.late(group[0], group[-1], borders[2 * i], borders[2 * i + 3])
        claimed = {line: jumps[line] for line in group}
        lost = _lost(claimed, late, per_turn, least_told)
        n_wrong += lost != {line: n for line, n in claimed.items() if n > 0}
        breaks += [Break(line, n) for line, n in lost.items()]
    return breaks, n_wrong


def _turn(index: list[NDArray[np.uint8]]) -> tuple[int, int, bool]:
    """Return how many numbers the index has, its usual step, and whether samples share one, as boards may do."""
    seen = np.sum([np.bincount(part, minlength=_LONGEST_TURN) for part in index], axis=0)
    highest = int(np.flatnonzero(seen >= 0.1 * np.median(seen[seen > 0])).max())  # a wrong one is seldom seen
    turn = _LONGEST_TURN if highest > 200 else highest + 1
    counts = np.zeros(_LONGEST_TURN, dtype=np.int64)
    for _, steps in _steps(index, turn):
        counts += np.bincount(steps, minlength=_LONGEST_TURN)
    usual = max(int(counts.argmax()), 1)
    return turn, usual, bool(counts[:usual].sum() > _FEW * counts.sum())


def _grouped(jumps: Mapping[int, int]) -> list[list[int]]:
    """Return the lines at which the index jumps, those that are near each other together."""
    groups: list[list[int]] = []
    for line in sorted(jumps):
        if groups and line - groups[-1][-1] <= _TOGETHER:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _lost(jumps: Mapping[int, int], late: float | None, per_turn: int, least_told: float) -> dict[int, int]:
    """Return how many samples are lost before which line.

    Parameters
    ----------
    jumps : mapping of int to int
        Lines near each other, and how many samples their index leaps over; -1 for the same index again.
    late : float, optional
        How many samples fit into the time that passed in these lines, beyond those that came; None if unknown.
    per_turn : int
        Samples in a turn of the index.
    least_told : float
        Only losses of this many samples show in the stamps.
    """
    claimed = sum(jumps.values())
    course = claimed % per_turn
    lost = claimed
    if (
        claimed >= per_turn and len(jumps) > 1
    ):  # a wrong index and the way back to the course make whole turns
        lost = course + (0 if late is None else max(round((late - course) / per_turn), 0) * per_turn)
    if late is not None and lost >= least_told and late < lost / 2:
        lost = 0
    single = {line: n for line, n in jumps.items() if n > 0}
    if lost == sum(single.values()):
        return single
    return {min(jumps): lost} if lost > 0 else {}


@dataclass(frozen=True, eq=False)
class _Clock:
    """What the computer's stamps say, by their means over blocks of lines."""

    stamps_s: FloatArray
    rate_hz: float

    @property
    def least_told(self) -> float:
        """The least number of lost samples that shows in the stamps: its half is six times their noise."""
        if len(self.stamps_s) < 4 * _BLOCKS:
            return math.inf
        sums_s = np.cumsum(np.append(0.0, self.stamps_s))
        means_s = (sums_s[_BLOCKS:] - sums_s[:-_BLOCKS]) / _BLOCKS
        steps = (means_s[_BLOCKS:] - means_s[:-_BLOCKS]) * self.rate_hz - _BLOCKS * _BLOCK
        noise = 1.4826 * float(np.median(np.abs(steps - np.median(steps))))
        return max(_LEAST_TOLD, 12 * noise) if np.isfinite(noise) else math.inf

    def late(self, first: int, last: int, after: int, before: int) -> float | None:
        """Return how many samples fit into the time between the lines around ``first`` to ``last``, beyond theirs.

        Only lines behind ``after`` and before ``before`` are compared; None if there is no whole block of them.
        """
        start, end = max(-(-after // _BLOCK), first // _BLOCK - _BLOCKS, 0), first // _BLOCK
        start_2, end_2 = (
            -(-last // _BLOCK),
            min(before // _BLOCK, -(-last // _BLOCK) + _BLOCKS, len(self.stamps_s)),
        )
        if end <= start or end_2 <= start_2:
            return None
        passed_s = self.stamps_s[start_2:end_2].mean() - self.stamps_s[start:end].mean()
        lines = ((start_2 + end_2) - (start + end)) / 2 * _BLOCK
        late = float(passed_s * self.rate_hz - lines)
        return late if np.isfinite(late) else None


def _steps(index: list[NDArray[np.uint8]], turn: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Return the steps of the index up to each line but the first, with the number of the first of these lines."""
    first, last = 0, np.empty(0, np.uint8)
    for part in index:
        joined = np.concatenate((last, part)).astype(np.int64)
        yield first + 1 - len(last), np.diff(joined) % turn
        first, last = first + len(part), part[-1:]


@dataclass(slots=True, eq=False)
class _TextSamples:
    """The channels of a text file; the piece that was read last is kept."""

    path: Path
    dialect: _Dialect
    layout: _Layout
    eeg: tuple[int, ...]
    scale_uv: float
    lines: _Lines
    _piece: int = -1
    _samples_uv: FloatArray = field(default_factory=lambda: np.empty((0, 0)))

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV."""
        samples_uv = np.empty((end - first, len(self.eeg)))
        piece = int(np.searchsorted(self.lines.first, first, "right")) - 1
        done = first
        while done < end:
            begins, values = self.lines.first[piece], self._of_piece(piece)
            stop = min(end, begins + len(values))
            samples_uv[done - first : stop - first] = values[done - begins : stop - begins]
            done, piece = max(stop, done), piece + 1
        return samples_uv

    def _of_piece(self, piece: int) -> FloatArray:
        if piece != self._piece:
            start, stop = self.lines.starts[piece : piece + 2]
            with self.path.open("rb") as file:
                file.seek(start)
                content = self.dialect.plain(file.read(stop - start))
            last: list[str] | None = [] if piece == len(self.lines.first) - 1 else None
            rows = _rows(self.path, content, self.layout, self.eeg, 1, last)
            self._piece, self._samples_uv = piece, rows * self.scale_uv
        return self._samples_uv
