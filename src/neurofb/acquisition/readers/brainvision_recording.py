"""BrainVision: a header that names its data and its markers, units as it writes them, breaks as its markers say.

In: the path of a ``.vhdr``. Out: a ``Recording`` that reads the data file piece by piece. It is read here, as MNE takes
a unit that it doesn't know as volts, makes a channel without coordinates no EEG, and joins segments over their breaks
(mne-tools/mne-python#2634, #6610).

Layout: Brain Products' "BrainVision Core Data Format 1.0" (https://www.brainproducts.com/support-resources/
brainvision-core-data-format-1-0/).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from neurofb import limits
from neurofb.acquisition.readers.eeg_signals import Asked, Signal, choose_eeg
from neurofb.acquisition.readers.recording import (
    UNKNOWN_BREAK_S,
    Break,
    InMemory,
    Recording,
    StoredSamples,
    laid_out,
)
from neurofb.chunk import FloatArray
from neurofb.errors import WrongFile, nearest

_FORMATS = {"INT_16": "i2", "UINT_16": "u2", "INT_32": "i4", "IEEE_FLOAT_32": "f4", "IEEE_FLOAT_64": "f8"}
_MOST_HEADER_BYTES = 1 << 24

Sections = dict[str, dict[str, str]]


def read_brainvision(path: Path, asked: Asked) -> Recording:
    """Return the EEG of a BrainVision recording.

    Raises
    ------
    WrongFile
        If the header is none, or one of the files that it names is not there.
    """
    notes: list[str] = []
    header = _sections(path)
    common = header.get("common infos", {})
    data_path = _beside(path, common, "DataFile", notes)
    if data_path is None:
        raise WrongFile(f"{path} is no BrainVision header: it names no DataFile in [Common Infos]")
    marker_path = _beside(path, common, "MarkerFile", notes)
    interval_us = _number(path, common, "SamplingInterval")
    if common.get("datatype", "TIMEDOMAIN").upper() != "TIMEDOMAIN" or not interval_us > 0:
        raise WrongFile(
            f"{path} holds no samples in time: its DataType or its SamplingInterval says otherwise"
        )
    rate_hz = 1e6 / interval_us
    names, signals, resolutions = _channels(path, header, rate_hz, notes)
    eeg = choose_eeg(path, signals, asked, notes)
    scales_uv = np.array(eeg.scales_uv) * [resolutions[i] for i in eeg.columns]
    stored, n_stored = _stored(path, header, data_path, len(names), eeg.columns, scales_uv, notes)
    if n_stored == 0:
        raise WrongFile(f"{path} holds no samples: {data_path.name} is empty")
    breaks = [] if marker_path is None else _breaks(marker_path, rate_hz, notes)
    stretches = laid_out(n_stored, breaks, rate_hz, notes)
    return Recording(eeg.labels, rate_hz, stored, stretches, tuple(notes))


def _sections(path: Path) -> Sections:
    """Return the keys of each section of a header or marker file, in lower case."""
    content = limits.read_bytes(path, _MOST_HEADER_BYTES)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if not re.match(r"\s*(;.*\s*)*(Brain ?Vision|BrainVision|V-?Amp)", text, re.IGNORECASE):
        raise WrongFile(f"{path} is no BrainVision file: it does not begin with 'Brain Vision Data Exchange'")
    sections: Sections = {}
    keys: dict[str, str] = {}
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("[") and line.endswith("]"):
            keys = sections.setdefault(line[1:-1].strip().lower(), {})
        elif "=" in line and not line.startswith(";"):
            key, value = line.split("=", 1)
            keys.setdefault(key.strip().lower(), value.strip())
    return sections


def _beside(path: Path, common: dict[str, str], key: str, notes: list[str]) -> Path | None:
    """Return the file that a header names, in its own folder; None if it names none."""
    name = common.get(key.lower(), "").replace("$b", path.stem)
    if not name:
        return None
    name = re.split(r"[\\/]", name)[-1]  # some writers leave the path of their own computer
    if (there := path.parent / name).is_file():
        return there
    files = [each.name for each in path.parent.iterdir() if each.is_file()]
    alike = [each for each in files if each.lower() == name.lower()]
    if len(alike) == 1:
        notes.append(f"{key} is {alike[0]}, which the header spells {name}")
        return path.parent / alike[0]
    kin = [each for each in files if each.lower().endswith(Path(name).suffix.lower()) and each != path.name]
    raise WrongFile(
        f"{path} asks for {key}={name}, which is not in its folder; was it renamed? Give it that name again, or "
        f"write its new name there ({nearest(name, kin)})"
    )


def _number(path: Path, section: dict[str, str], key: str) -> float:
    text = section.get(key.lower(), "").replace(",", ".")
    try:
        return float(text)
    except ValueError:
        raise WrongFile(f"{path}: {key} should be a number, found {text!r}") from None


def _channels(
    path: Path, header: Sections, rate_hz: float, notes: list[str]
) -> tuple[list[str], list[Signal], list[float]]:
    """Return names, descriptions and resolutions of all channels."""
    infos = header.get("channel infos", {})
    counted = _number(path, header["common infos"], "NumberOfChannels")
    if not 0 <= counted <= limits.MOST_CHANNELS:  # also what is no number at all
        raise WrongFile(
            f"{path}: NumberOfChannels is {counted:g}; a recording has 1 to {limits.MOST_CHANNELS} channels"
        )
    n_channels = int(counted)
    texts = [infos.get(f"ch{i + 1}", "") for i in range(n_channels)]
    if not texts or not all(texts):
        lacking = next((f"Ch{i + 1}" for i, text in enumerate(texts) if not text), "[Channel Infos]")
        raise WrongFile(f"{path}: NumberOfChannels is {n_channels}, but there is no {lacking}")
    names, signals, resolutions, without_unit = [], [], [], []
    for text in texts:
        parts = [part.strip().replace("\\1", ",") for part in text.split(",")] + [""] * 3
        name, resolution, unit = parts[0], parts[2], parts[3]
        if not unit:
            without_unit.append(name)
        names.append(name)
        signals.append(Signal(name, unit or "µV", rate_hz=rate_hz))
        try:
            resolutions.append(float(resolution or "1"))
        except ValueError:
            raise WrongFile(f"{path}: the resolution of {name} is no number: {resolution!r}") from None
    if without_unit:
        notes.append(f"µV, as the format says of channels without a unit: {', '.join(without_unit[:20])}")
    return names, signals, resolutions


def _stored(
    path: Path,
    header: Sections,
    data_path: Path,
    n_channels: int,
    columns: tuple[int, ...],
    scales_uv: FloatArray,
    notes: list[str],
) -> tuple[StoredSamples, int]:
    """Return the data file's samples and how many there are."""
    common = header["common infos"]
    is_multiplexed = common.get("dataorientation", "MULTIPLEXED").upper() == "MULTIPLEXED"
    if common.get("dataformat", "BINARY").upper() == "ASCII":
        values = _ascii_values(path, header.get("ascii infos", {}), data_path, n_channels, is_multiplexed)
        return InMemory(values[:, list(columns)] * scales_uv), len(values)
    binary = header.get("binary infos", {})
    form = binary.get("binaryformat", "INT_16").upper()
    if form not in _FORMATS:
        raise WrongFile(f"{path}: BinaryFormat={form} is unknown; known are {', '.join(_FORMATS)}")
    order = ">" if binary.get("usebigendianorder", "NO").upper() == "YES" else "<"
    dtype = np.dtype(order + _FORMATS[form])
    n_stored, rest = divmod(data_path.stat().st_size, dtype.itemsize * n_channels)
    if rest:
        notes.append(f"{data_path.name} is broken off within a sample; it is read up to there")
    stored = _BinarySamples(data_path, dtype, n_channels, n_stored, is_multiplexed, columns, scales_uv)
    return stored, n_stored


@dataclass(frozen=True, slots=True, eq=False)
class _BinarySamples:
    """The chosen channels of a binary data file."""

    path: Path
    dtype: np.dtype[np.generic]
    n_channels: int
    n_stored: int
    is_multiplexed: bool
    columns: tuple[int, ...]
    scales_uv: FloatArray

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV."""
        size = self.dtype.itemsize
        samples_uv = np.empty((end - first, len(self.columns)))
        with self.path.open("rb", buffering=0) as file:
            if self.is_multiplexed:
                file.seek(first * size * self.n_channels)
                content = self._whole(file.read((end - first) * size * self.n_channels), end - first)
                samples_uv[:] = content.reshape(-1, self.n_channels)[:, list(self.columns)]
            else:
                for i, column in enumerate(self.columns):
                    file.seek((column * self.n_stored + first) * size)
                    samples_uv[:, i] = self._whole(file.read((end - first) * size), end - first)
        samples_uv *= self.scales_uv
        return samples_uv

    def _whole(self, content: bytes, n_samples: int) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        if len(content) % self.dtype.itemsize or len(content) < n_samples * self.dtype.itemsize:
            raise WrongFile(f"{self.path} has changed since it was opened; open it again")
        return np.frombuffer(content, self.dtype)


def _ascii_values(
    path: Path, infos: dict[str, str], data_path: Path, n_channels: int, is_multiplexed: bool
) -> FloatArray:
    """Return all values of a data file in text, shape (n_samples, n_channels)."""
    text = data_path.read_text("latin-1")
    if infos.get("decimalsymbol", ".") == ",":
        text = text.replace(",", ".")
    lines = text.splitlines()[int(infos.get("skiplines", "0") or 0) :]
    skipped = int(infos.get("skipcolumns", "0") or 0)
    try:
        values = np.array([line.split()[skipped:] for line in lines if line.strip()], dtype=np.float64)
    except ValueError as error:
        raise WrongFile(f"{path}: {data_path.name} cannot be read as numbers: {error}") from None
    values = values if is_multiplexed else values.T
    if values.ndim != 2 or values.shape[1] != n_channels:
        raise WrongFile(f"{path}: {data_path.name} has not the {n_channels} channels of its header")
    return values


def _breaks(path: Path, rate_hz: float, notes: list[str]) -> list[Break]:
    """Return where segments begin, with the time between them by the date of each, where it has one."""
    markers = _sections(path).get("marker infos", {})
    segments: list[tuple[int, datetime | None]] = []
    for text in markers.values():
        parts = [part.strip() for part in text.split(",")] + [""] * 6
        if parts[0].lower() == "new segment" and parts[2].isdigit():
            segments.append((int(parts[2]) - 1, _date(parts[5])))
    segments.sort(key=lambda segment: segment[0])
    breaks, n_unknown = [], 0
    for (before, before_at), (first, at) in itertools.pairwise(segments):
        if first == before:
            continue
        missing = -1
        if before_at is not None and at is not None:
            missing = round((at - before_at).total_seconds() * rate_hz) - (first - before)
        if missing < -1 or before_at is None or at is None:
            n_unknown += 1
            missing = round(UNKNOWN_BREAK_S * rate_hz)
        breaks.append(Break(first, max(missing, 0)))
    if n_unknown:
        notes.append(
            f"{n_unknown} new segments do not say how long the break before them was: each is played as a gap of "
            f"{UNKNOWN_BREAK_S:g} s"
        )
    return breaks


def _date(text: str) -> datetime | None:
    """Return the time of "20240101100000123456", to the microsecond; None if it says none."""
    try:
        return datetime.strptime(text[:20], "%Y%m%d%H%M%S%f").replace(tzinfo=UTC)
    except ValueError:
        return None
