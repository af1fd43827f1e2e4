"""The EEG stream of an XDF file: chosen among its streams, in µV, on a regular grid with its gaps.

In: a path, packed or not, whole or broken off. Out: a ``Recording``. Only the chosen stream's samples are read.
"""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from neurofb.acquisition.readers.recording import Recording, limited_gap
from neurofb.acquisition.readers.xdf_times import (
    StreamTimes,
    ends_in_garbage,
    finite_offsets,
    read_times,
)
from neurofb.chunk import FloatArray
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import columns_of_profile, columns_on_head, unit_uv
from neurofb.devices.electrodes import standard_labels
from neurofb.errors import StreamMissing, WrongFile, WrongStream
from neurofb.xdf.file import XdfFile, read_xdf_file
from neurofb.xdf.headers import channel_texts
from neurofb.xdf.stream import XdfStream

#: A hole this long ends a segment. Radio headsets send bursts up to 0.2 s apart: those are no holes.
_BREAK_S = 0.5
_BREAK_SAMPLES = 4
_RATE_LIMIT = 0.005
#: How much is unpacked, and how many samples are scaled, at a time.
_PIECE_BYTES, _PIECE_SAMPLES = 1 << 20, 1 << 16


def read_xdf(path: Path, query: str | None = None, profile: DeviceProfile | None = None) -> Recording:
    """Return one EEG stream of an XDF file.

    Parameters
    ----------
    path : Path
        The file; one that was broken off is read as far as it goes.
    query : str, optional
        Which stream: its name, its type or its number; needed if several could be meant.
    profile : DeviceProfile, optional
        The device: chooses the EEG columns, and gives labels and unit where the stream has none.

    Raises
    ------
    StreamMissing
        If no stream, or several, could be meant; the message lists what is there.
    WrongFile
        If the file has no stream that can be read.
    """
    notes: list[str] = []
    with _unpacked(path, notes) as plain:
        file = read_xdf_file(plain)
        if not file.streams:
            raise WrongFile(f"{path} cannot be read as XDF: {'; '.join(file.problems)}")
        notes += file.damage
        stream = _chosen(path, file, query)
        labels = _channel_texts(stream, "label")
        columns, names = _eeg(path, stream, labels, profile)
        scales_uv = _scales_uv(path, stream, columns, profile)
        n_samples, offsets = _trusted(stream, notes)
        if left_out := [labels[i] for i in range(len(labels)) if i not in columns]:
            notes.append(f"left out, as no EEG: {', '.join(left_out)}")
        samples_uv = _samples_uv(stream, columns, scales_uv, _times(stream, n_samples, offsets), notes)
    return Recording(names, stream.header.rate_hz, samples_uv, tuple(notes))


@contextmanager
def _unpacked(path: Path, notes: list[str]) -> Iterator[Path]:
    """Unpack a packed file to the disk while it is read: samples are read from it piece by piece."""
    if not path.name.lower().endswith("z"):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="neurofb-") as folder:
        plain = Path(folder) / path.name
        with gzip.open(path) as packed, plain.open("wb") as file:
            try:
                while piece := packed.read1(_PIECE_BYTES):
                    file.write(piece)
            except (EOFError, zlib.error) as error:
                notes.append(
                    f"the packed file is broken off or damaged, and is read as far as it goes: {error}"
                )
        with plain.open("rb") as file:
            if file.read(4) != b"XDF:":
                raise WrongFile(f"{path} is no XDF file: it does not begin with 'XDF:'")
        yield plain


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


def _channel_texts(stream: XdfStream, key: str) -> tuple[str, ...]:
    """Return a property of each channel from the stream's header; empty unless it has it for all."""
    texts = channel_texts(stream.header.desc, key)
    return texts if len(texts) == stream.header.n_channels and all(texts) else ()


def _eeg(
    path: Path, stream: XdfStream, labels: Sequence[str], profile: DeviceProfile | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the EEG columns and their labels."""
    if profile is not None:
        return columns_of_profile(profile, stream.header.n_channels, labels), profile.labels
    if not labels:
        raise WrongStream(
            f"{path}: the stream {_described(stream)}, names no channels; say by --device which device "
            "it was, and its profile gives labels and unit"
        )
    kinds = [kind.lower() for kind in _channel_texts(stream, "type")]
    eeg = [i for i, kind in enumerate(kinds) if kind == "eeg"] or list(range(len(labels)))
    columns = tuple(eeg[i] for i in columns_on_head([labels[i] for i in eeg]))
    return columns, standard_labels([labels[i] for i in columns])


def _scales_uv(
    path: Path, stream: XdfStream, columns: Sequence[int], profile: DeviceProfile | None
) -> list[float]:
    """Return how many µV the unit of each column is: by the stream's text, else by the profile."""
    units = _channel_texts(stream, "unit")
    if not units and profile is not None:
        return [profile.unit_uv] * len(columns)
    if not units:
        raise WrongStream(
            f"{path}: the stream {_described(stream)}, names no unit; say by --device which device it was, "
            "and its profile gives it"
        )
    scales = [unit_uv(units[i]) for i in columns]
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        strange = sorted({units[i] for i, scale in zip(columns, scales, strict=True) if scale is None})
        raise WrongStream(
            f"{path}: the stream {_described(stream)}, has the unit {', '.join(map(repr, strange))}; "
            "EEG needs a voltage, such as microvolts, uV or V: choose another stream by --stream"
        )
    return known


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


def _times(stream: XdfStream, n_samples: int, offsets: FloatArray) -> StreamTimes:
    return read_times(
        stream.stamps_s(0, n_samples),
        offsets,
        max(_BREAK_S, _BREAK_SAMPLES / stream.header.rate_hz),
        can_drop_samples=_can_drop_samples(stream.header.desc),
    )


def _samples_uv(
    stream: XdfStream,
    columns: Sequence[int],
    scales_uv: Sequence[float],
    times: StreamTimes,
    notes: list[str],
) -> FloatArray:
    """Return the samples in µV with NaN for the holes between segments, counted by their time stamps."""
    gaps = [0, *_gaps(times, stream.header.rate_hz, notes)]
    samples_uv = np.full((len(times.times_s) + sum(gaps), len(columns)), np.nan)
    for (first, end), shift in zip(times.segments, np.cumsum(gaps).tolist(), strict=True):
        for start in range(first, end, _PIECE_SAMPLES):
            stop = min(start + _PIECE_SAMPLES, end)
            values = stream.values(start, stop)[:, columns]
            np.multiply(values, scales_uv, out=samples_uv[start + shift : stop + shift], dtype=np.float64)
    return samples_uv


def _gaps(times: StreamTimes, rate_hz: float, notes: list[str]) -> list[int]:
    """Return how many samples are missing after each segment but the last."""
    found_hz = times.rate_hz or rate_hz
    if abs(found_hz / rate_hz - 1) > _RATE_LIMIT:
        notes.append(f"samples came at {found_hz:.2f} Hz, but the stream says {rate_hz:g} Hz")
    gaps = []
    for hole_s in times.breaks_s():
        if hole_s <= 0:
            notes.append(
                f"the clock was set back by {-hole_s:.3f} s; the samples before and after are joined"
            )
        missing = max(round(hole_s * rate_hz) - 1, 0)
        gaps.append(limited_gap(missing, rate_hz, notes))
    if any(gaps):
        notes.append(f"{sum(gaps)} samples are missing in {np.count_nonzero(gaps)} gaps")
    return gaps


def _can_drop_samples(desc: Mapping[str, object]) -> bool:
    """Return whether the stream states that it can drop samples, as video does: then its stamps are kept."""
    synchronization = desc.get("synchronization")
    value = synchronization.get("can_drop_samples") if isinstance(synchronization, dict) else None
    return str(value).lower() == "true"
