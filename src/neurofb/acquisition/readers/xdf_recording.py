"""The EEG stream of an XDF file: chosen among its streams, in µV, on a regular grid with its gaps.

In: a path, packed or not, whole or broken off. Out: a ``Recording`` that reads samples when they are asked for. Only
the chosen stream's samples are read.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurofb import limits
from neurofb.acquisition.readers.eeg_signals import Asked, EegSignals, Signal, choose_eeg
from neurofb.acquisition.readers.recording import Recording, laid_out
from neurofb.acquisition.readers.xdf_holes import find_holes, survey, true_rate_hz
from neurofb.acquisition.readers.xdf_times import ClockCorrection, ends_in_garbage, finite_offsets
from neurofb.chunk import FloatArray
from neurofb.errors import StreamMissing, WrongFile
from neurofb.xdf.file import XdfFile, read_xdf_file
from neurofb.xdf.headers import channel_texts
from neurofb.xdf.stream import XdfStream

#: How much is unpacked, and how many stamps are read, at a time.
_PIECE_BYTES, _PIECE_SAMPLES = 1 << 20, 1 << 14
#: Stamps are surveyed in so many places, so many in each.
_SURVEYED, _SURVEYED_SAMPLES = 16, 1 << 11
#: A stamp further from 0 than 30,000 years is damage.
_LATEST_S = 1e12


def read_xdf(path: Path, query: str | None, asked: Asked) -> Recording:
    """Return one EEG stream of an XDF file.

    Parameters
    ----------
    path : Path
        The file; one that was broken off is read as far as it goes.
    query : str or None
        Which stream: its name, its type or its number; needed if several could be meant.
    asked : Asked
        The device: chooses the EEG columns, and gives labels and unit where the stream has none; and the unit.

    Raises
    ------
    StreamMissing
        If no stream, or several, could be meant; the message lists what is there.
    WrongFile
        If the file has no stream that can be read.
    """
    notes: list[str] = []
    plain, folder = _unpacked(path, notes)
    file = read_xdf_file(plain)
    if not file.streams:
        raise WrongFile(f"{path} cannot be read as XDF: {'; '.join(file.problems)}")
    notes += file.damage
    stream = _chosen(path, file, query)
    eeg = _eeg(path, stream, asked, notes)
    n_samples, offsets = _trusted(stream, notes)
    times = _Times(stream, n_samples, offsets)
    nominal_hz = stream.header.rate_hz
    found = survey(times.some_raw(), nominal_hz)
    if found.per_s != 1.0:
        notes.append(f"its time stamps are in {found.unit}, and are taken so")
        times.per_s = found.per_s
    rate_hz = true_rate_hz(found, nominal_hz, notes)
    packets = asked.profile.packets if asked.profile is not None else None
    breaks = find_holes(times.pieces, found, rate_hz, packets.samples if packets else 1, notes)
    stretches = laid_out(n_samples, breaks, rate_hz, notes)
    return Recording(eeg.labels, rate_hz, _XdfSamples(stream, eeg, folder), stretches, tuple(notes))


@dataclass(slots=True)
class _Times:
    """The times of a stream on the recording computer's clock, in s, piece by piece."""

    stream: XdfStream
    n_samples: int
    offsets: FloatArray
    #: How many of the stamps' unit are a second.
    per_s: float = 1.0

    def some_raw(self) -> Iterator[FloatArray]:
        """Return stamps as they stand in the file, of some places."""
        last = max(self.n_samples - _SURVEYED_SAMPLES, 0)
        for first in np.unique(np.linspace(0, last, _SURVEYED).astype(np.int64)).tolist():
            yield self.stream.stamps_s(first, min(first + _SURVEYED_SAMPLES, self.n_samples))

    def pieces(self) -> Iterator[FloatArray]:
        """Return all times; those that damage has made impossible are NaN."""
        correction = ClockCorrection(self.offsets)
        for first in range(0, self.n_samples, _PIECE_SAMPLES):
            stamps_s = self.stream.stamps_s(first, min(first + _PIECE_SAMPLES, self.n_samples)) / self.per_s
            stamps_s[~(np.abs(stamps_s) < _LATEST_S)] = np.nan
            yield correction.push(stamps_s)


@dataclass(frozen=True, slots=True, eq=False)
class _XdfSamples:
    """The EEG columns of a stream."""

    stream: XdfStream
    eeg: EegSignals
    #: Where a packed file was unpacked; it is removed with the last recording that reads from it.
    folder: _Unpacked | None

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV."""
        values = self.stream.values(first, end)[:, list(self.eeg.columns)]
        samples_uv: FloatArray = np.multiply(values, self.eeg.scales_uv, dtype=np.float64)
        return samples_uv


class _Unpacked:
    """A folder that is removed with the last that reads from it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="neurofb-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _unpacked(path: Path, notes: list[str]) -> tuple[Path, _Unpacked | None]:
    """Return a plain file, and the folder to which a packed one was unpacked."""
    if not path.name.lower().endswith("z"):
        return path, None
    folder = _Unpacked()
    plain = folder.path / path.name
    with gzip.open(path) as packed, plain.open("wb") as file:
        try:
            most = max(_PIECE_BYTES, limits.MOST_UNPACKED * path.stat().st_size)
            while piece := packed.read1(_PIECE_BYTES):
                file.write(piece)
                if file.tell() > most:
                    raise WrongFile(
                        f"{path} becomes more than {limits.MOST_UNPACKED} times longer unpacked; no recording does"
                    )
        except (EOFError, zlib.error) as error:
            notes.append(f"the packed file is broken off or damaged, and is read as far as it goes: {error}")
    with plain.open("rb") as file:
        if file.read(4) != b"XDF:":
            raise WrongFile(f"{path} is no XDF file: it does not begin with 'XDF:'")
    return plain, folder


def _chosen(path: Path, file: XdfFile, query: str | None) -> XdfStream:
    """Return the one stream that matches; raise if several do."""
    if query is None:
        found = [s for s in file.streams if s.header.type.lower() == "eeg" and _playable(s)]
        asked = "exactly one EEG stream with samples"
    else:
        found = [s for s in file.streams if query in (s.name, s.header.type, str(s.header.number))]
        asked = f"exactly one stream of the name, type or number {query!r}"
    if len(found) == 1 and _playable(found[0]):
        return found[0]
    listed = "".join(f"\n  {_described(s)}" for s in sorted(file.streams, key=lambda s: str(s.header.number)))
    meant = f"{len(found)} fit" if found else "none fits"
    if len(found) == 1:
        meant = "the one that fits has no regular samples of EEG"
    raise StreamMissing(
        f"{path}: needed is {asked}, {meant}; choose one by --stream with its number, or its name or type. "
        f"There are:{listed}"
    )


def _playable(stream: XdfStream) -> bool:
    return stream.header.rate_hz > 0 and stream.header.dtype is not None and stream.n_samples > 0


def _described(stream: XdfStream) -> str:
    header = stream.header
    size = f"{header.n_channels} channels, {header.rate_hz:g} Hz"
    return f"{header.number}: {header.name!r}, type {header.type!r}, {size}, {stream.n_samples} samples"


def _eeg(path: Path, stream: XdfStream, asked: Asked, notes: list[str]) -> EegSignals:
    """Return the EEG among the columns of a stream."""
    header = stream.header
    n = header.n_channels
    labels, units, kinds = (_channel_texts(stream, key) for key in ("label", "unit", "type"))
    if asked.profile is None and not any(labels):
        raise WrongFile(
            f"{path}: the stream {_described(stream)}, names no channels; say by --device which device "
            "it was, and its profile gives labels and unit"
        )
    if asked.profile is None and not any(units) and asked.unit is None:
        raise WrongFile(
            f"{path}: the stream {_described(stream)}, names no unit; say by --device which device it was, "
            "and its profile gives it, or say the unit by --unit uV"
        )
    signals = [Signal(labels[i], units[i], kinds[i], header.rate_hz) for i in range(n)]
    if not any(kind.lower() == "eeg" for kind in kinds):
        # Nothing is said to be EEG: types in a program's own words do not decide.
        signals = [Signal(signal.label, signal.unit, "", header.rate_hz) for signal in signals]
    return choose_eeg(path, signals, asked, notes)


def _channel_texts(stream: XdfStream, key: str) -> tuple[str, ...]:
    """Return a property of each channel from the stream's header, empty where it has none."""
    texts = channel_texts(stream.header.desc, key)
    n = stream.header.n_channels
    return texts if len(texts) == n else ("",) * n


def _trusted(stream: XdfStream, notes: list[str]) -> tuple[int, FloatArray]:
    """Return the number of usable samples and the usable clock offsets, and note what the stream lacks."""
    n_there, footer, offsets = stream.n_samples, stream.footer, finite_offsets(stream.offsets)
    if footer is None:
        notes.append("the stream has no footer: its recording was broken off, and is read as far as it goes")
        return n_there, offsets
    counted = footer["sample_count"]
    if counted is not None and counted > n_there:
        notes.append(f"the stream has {n_there} samples, but its footer counts {counted}")
    if not ends_in_garbage(n_there, counted, offsets):
        return n_there, offsets
    notes.append(f"left out: {n_there - counted} samples of garbage that the sender left behind at its end")
    return counted, offsets[:-1]
