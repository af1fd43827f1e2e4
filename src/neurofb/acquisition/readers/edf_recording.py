"""EDF, EDF+, BDF and BDF+ by their published layout: units, rates and breaks as the file says them.

In: a path. Out: a ``Recording`` that reads data records when they are asked for. It is read here and not by a library,
as none keeps apart what must be: MNE takes an unknown unit as volts, resamples to the fastest signal and joins EDF+D
over its breaks (mne-tools/mne-python#2850, #10635, #13429); pyedflib refuses EDF+D; edfio maps whole files into memory.

Layout: Kemp et al. 1992 and Kemp & Olivan 2003 (https://www.edfplus.info/specs/); BDF: BioSemi's 24-bit variant.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from neurofb.acquisition.readers.eeg_signals import Asked, EegSignals, Signal, choose_eeg
from neurofb.acquisition.readers.recording import Break, Recording, laid_out
from neurofb.chunk import FloatArray
from neurofb.errors import WrongFile

_HEAD = 256
#: Widths of a signal's fields in the header, in order.
_FIELDS = {
    "label": 16, "transducer": 80, "unit": 8, "physical_min": 8, "physical_max": 8,
    "digital_min": 8, "digital_max": 8, "filter": 80, "n_samples": 8, "reserved": 32,
}  # fmt: skip
#: The start of a data record is the first text of its first annotation signal: "+12.5\x14\x14".
_ONSET = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15[\d.]*)?\x14")
#: Records larger than this are not read whole, but signal by signal.
_MOST_RECORD_BYTES = 1 << 22
#: A file of more signals than this is damage: EDF counts them in four digits, and a header takes 256 bytes each.
_MOST_SIGNALS = 9999


@dataclass(frozen=True, slots=True)
class _Column:
    """One signal of the header."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    n_samples: int
    #: Where its samples begin in a record, in samples.
    at: int

    @property
    def is_annotations(self) -> bool:
        return self.label in ("EDF Annotations", "BDF Annotations")


@dataclass(frozen=True, slots=True)
class _Head:
    """The header of a file."""

    columns: tuple[_Column, ...]
    n_records: int
    record_s: float
    start: int
    sample_bytes: int
    says_breaks: bool

    @property
    def record_samples(self) -> int:
        return sum(column.n_samples for column in self.columns)

    @property
    def record_bytes(self) -> int:
        return self.record_samples * self.sample_bytes


def read_edf(path: Path, asked: Asked) -> Recording:
    """Return the EEG of an EDF or BDF file.

    Raises
    ------
    WrongFile
        If it is none, holds no samples, or does not say what its values are.
    """
    notes: list[str] = []
    with path.open("rb") as file:
        head = _read_head(path, file, notes)
        signals = [column for column in head.columns if not column.is_annotations]
        if not signals:
            raise WrongFile(
                f"{path} holds no samples, only annotations; choose the file with the EEG beside it"
            )
        if head.n_records == 0:
            raise WrongFile(f"{path} holds no samples: it is a header alone; was the recording broken off?")
        if not (head.record_s > 0 and math.isfinite(head.record_s)):
            raise WrongFile(f"{path}: its data records last {head.record_s:g} s, so its signals have no rate")
        said = [
            Signal(column.label, column.unit, rate_hz=column.n_samples / head.record_s) for column in signals
        ]
        eeg = choose_eeg(path, said, asked, notes)
        chosen = [signals[i] for i in eeg.columns]
        breaks = _breaks(path, file, head, chosen[0].n_samples, eeg.rate_hz, notes)
    n_stored = head.n_records * chosen[0].n_samples
    stretches = laid_out(n_stored, breaks, eeg.rate_hz, notes)
    return Recording(eeg.labels, eeg.rate_hz, _stored(path, head, chosen, eeg), stretches, tuple(notes))


def _read_head(path: Path, file: BinaryIO, notes: list[str]) -> _Head:
    fixed = file.read(_HEAD)
    is_bdf = fixed[:8] == b"\xffBIOSEMI"
    if len(fixed) < _HEAD or not (is_bdf or fixed[:8].strip() == b"0"):
        raise WrongFile(f"{path} is no EDF or BDF file: it does not begin with their header")
    n_signals = _integer(path, "number of signals", fixed[252:256])
    if not 0 <= n_signals <= _MOST_SIGNALS:
        raise WrongFile(f"{path} cannot be read: its header counts {n_signals} signals")
    table = file.read(_HEAD * n_signals)
    if len(table) < _HEAD * n_signals:
        raise WrongFile(
            f"{path} is broken off in its header: {n_signals} signals need {_HEAD * (n_signals + 1)} bytes"
        )
    columns = _columns(path, table, n_signals)
    sample_bytes = 3 if is_bdf else 2
    record_bytes = sum(column.n_samples for column in columns) * sample_bytes
    start = _HEAD * (n_signals + 1)
    counted = _integer(path, "number of data records", fixed[236:244])
    there, rest = divmod(max(path.stat().st_size - start, 0), record_bytes) if record_bytes else (0, 0)
    if counted >= 0 and there < counted and (there or counted):
        notes.append(
            f"the header counts {counted} data records, but the file holds {there}: it was broken off"
        )
    elif counted >= 0 and (there > counted or rest):
        notes.append(f"left out: what lies beyond the {counted} data records that the header counts")
    reserved = fixed[192:236].strip()
    return _Head(
        columns,
        there if counted < 0 else min(there, counted),
        _number(path, "duration of a data record", fixed[244:252]),
        start,
        sample_bytes,
        reserved[:5] in (b"EDF+D", b"BDF+D"),
    )


def _columns(path: Path, table: bytes, n_signals: int) -> tuple[_Column, ...]:
    fields: dict[str, list[bytes]] = {}
    start = 0
    for name, width in _FIELDS.items():
        fields[name] = [table[start + i * width : start + (i + 1) * width] for i in range(n_signals)]
        start += width * n_signals
    columns, at = [], 0
    for i in range(n_signals):
        label = _text(fields["label"][i])

        def number(name: str, i: int = i, label: str = label) -> float:
            return _number(path, f"{name.replace('_', ' ')} of {label or f'signal {i + 1}'}", fields[name][i])

        n_samples = _integer(
            path, f"number of samples of {label or f'signal {i + 1}'}", fields["n_samples"][i]
        )
        if n_samples < 0:
            raise WrongFile(f"{path}: {label} has {n_samples} samples in a data record")
        physical = number("physical_min"), number("physical_max")
        digital = number("digital_min"), number("digital_max")
        columns.append(_Column(label, _unit(fields["unit"][i]), physical, digital, n_samples, at))
        at += n_samples
    return tuple(columns)


def _text(field: bytes) -> str:
    """Return a text; the standard says ASCII, but µ and ° stand in files as UTF-8 and as Latin-1."""
    try:
        return field.decode("utf-8").strip(" \0")
    except UnicodeDecodeError:
        return field.decode("latin-1").strip(" \0")


def _unit(field: bytes) -> str:
    """Return a unit; long names lose their end in a field of eight letters."""
    text = _text(field)
    return {"microvol": "microvolts", "millivol": "millivolts"}.get(text.lower(), text)


def _number(path: Path, what: str, field: bytes) -> float:
    text = _text(field).replace(",", ".")
    try:
        return float(text)
    except ValueError:
        raise WrongFile(f"{path}: the {what} is no number: {text!r}") from None


def _integer(path: Path, what: str, field: bytes) -> int:
    number = _number(path, what, field)
    if not number.is_integer():
        raise WrongFile(f"{path}: the {what} is no whole number: {_text(field)!r}")
    return int(number)


def _breaks(
    path: Path, file: BinaryIO, head: _Head, n_samples: int, rate_hz: float, notes: list[str]
) -> list[Break]:
    """Return where data records do not follow each other, by the start that each states."""
    marked = next((column for column in head.columns if column.is_annotations), None)
    if marked is None:
        if head.says_breaks:
            raise WrongFile(f"{path} says that it has breaks (EDF+D), but has no annotations that say where")
        return []
    n_bytes, at = marked.n_samples * head.sample_bytes, marked.at * head.sample_bytes
    breaks: list[Break] = []
    expected, first_s, n_overlaps = 0, math.nan, 0
    for record in range(head.n_records):
        file.seek(head.start + record * head.record_bytes + at)
        found = _ONSET.match(file.read(n_bytes))
        if found is None:
            if head.says_breaks:
                raise WrongFile(
                    f"{path} has breaks (EDF+D), but data record {record + 1} does not say when it begins"
                )
            return []  # EDF+C: its records follow each other
        start_s = float(found[1])
        first_s = start_s if record == 0 else first_s
        index = round((start_s - first_s) * rate_hz)
        if index > expected:
            breaks.append(Break(record * n_samples, index - expected))
        n_overlaps += index < expected
        expected = max(index, expected) + n_samples
    if n_overlaps:
        notes.append(f"{n_overlaps} data records begin before the one ahead of them ends; they are joined")
    return breaks


def _stored(path: Path, head: _Head, chosen: list[_Column], eeg: EegSignals) -> _EdfSamples:
    gains, offsets = [], []
    for column, scale_uv in zip(chosen, eeg.scales_uv, strict=True):
        (low, high), (least, most) = column.physical, column.digital
        if least == most or low == high:
            raise WrongFile(
                f"{path}: {column.label} has no scale: its physical range is {low:g} to {high:g}, its digital range "
                f"{least:g} to {most:g}"
            )
        gain = (high - low) / (most - least)
        gains.append(gain * scale_uv)
        offsets.append((low - least * gain) * scale_uv)
    return _EdfSamples(path, head, tuple(chosen), np.array(gains), np.array(offsets))


@dataclass(frozen=True, slots=True, eq=False)
class _EdfSamples:
    """The chosen signals, all of the same rate."""

    path: Path
    head: _Head
    columns: tuple[_Column, ...]
    gains_uv: FloatArray
    offsets_uv: FloatArray

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV."""
        digital = np.empty((end - first, len(self.columns)))
        with self.path.open("rb", buffering=0) as file:
            if self.head.record_bytes <= _MOST_RECORD_BYTES:
                self._read_whole(file, first, digital)
            else:
                self._read_signals(file, first, digital)
        samples_uv: FloatArray = digital * self.gains_uv + self.offsets_uv
        return samples_uv

    def _read_whole(self, file: BinaryIO, first: int, digital: FloatArray) -> None:
        """Read records whole, as many at a time as take some megabytes."""
        head, n = self.head, self.columns[0].n_samples
        end = first + len(digital)
        at_once = max(_MOST_RECORD_BYTES // head.record_bytes, 1)
        for record in range(first // n, -(-end // n), at_once):
            n_records = min(at_once, -(-end // n) - record)
            file.seek(head.start + record * head.record_bytes)
            values = self._values(file, n_records * head.record_bytes).reshape(n_records, -1)
            start, stop = max(first, record * n), min(end, (record + n_records) * n)
            for i, column in enumerate(self.columns):
                signal = values[:, column.at : column.at + n].reshape(-1)
                digital[start - first : stop - first, i] = signal[start - record * n : stop - record * n]

    def _read_signals(self, file: BinaryIO, first: int, digital: FloatArray) -> None:
        """Read parts of large records signal by signal."""
        head, n = self.head, self.columns[0].n_samples
        end = first + len(digital)
        for record in range(first // n, -(-end // n)):
            start, stop = max(first, record * n), min(end, (record + 1) * n)
            for i, column in enumerate(self.columns):
                at = (column.at + start - record * n) * head.sample_bytes
                file.seek(head.start + record * head.record_bytes + at)
                digital[start - first : stop - first, i] = self._values(
                    file, (stop - start) * head.sample_bytes
                )

    def _values(self, file: BinaryIO, n_bytes: int) -> NDArray[np.int32] | NDArray[np.int16]:
        content = file.read(n_bytes)
        if len(content) < n_bytes:
            raise WrongFile(f"{self.path} has changed since it was opened; open it again")
        if self.head.sample_bytes == 2:
            return np.frombuffer(content, "<i2")
        wide = np.zeros((n_bytes // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(content, np.uint8).reshape(-1, 3)
        shifted: NDArray[np.int32] = wide.view("<i4")[:, 0] >> 8
        return shifted
