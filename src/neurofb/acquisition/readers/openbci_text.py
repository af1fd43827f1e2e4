"""Read text files of the OpenBCI GUI: µV with a sample index that shows lost packets.

The index counts up to 255 (Cyton; Daisy in steps) or 199 or 200 (Ganglion) and begins again, so it shows
losses of less than one turn; the computer's time stamps, coarse as they are, show whole turns.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurofb.acquisition.readers.recording import Recording, limited_gap, with_gaps
from neurofb.chunk import FloatArray
from neurofb.devices import DeviceProfile, load_profile
from neurofb.devices.columns import columns_of_profile
from neurofb.errors import WrongFile

#: Which profile lends its labels to a file that names none, by number of channels.
_PROFILES = {4: "openbci-ganglion", 8: "openbci-cyton", 16: "openbci-cyton-daisy"}


def read_openbci_text(path: Path, profile: DeviceProfile | None = None) -> Recording:
    """Return the EEG of an OpenBCI text file.

    Parameters
    ----------
    path : Path
        The file: ``%`` lines with rate and number of channels, perhaps a line of column names, the numbers.
    profile : DeviceProfile, optional
        Whose labels the channels get; by default the OpenBCI board with as many channels.
    """
    lines = path.read_text("utf-8", errors="replace").splitlines()
    n_channels, rate_hz = _head(path, lines)
    first, names = _columns(lines)
    notes: list[str] = []
    if profile is None:
        if n_channels not in _PROFILES:
            raise WrongFile(
                f"{path} has {n_channels} channels without labels; name a device whose labels they get"
            )
        profile = load_profile(_PROFILES[n_channels])
        notes.append(f"the file names no electrodes: labels as {profile.title}'s default montage")
    columns = columns_of_profile(profile, n_channels)
    rows = _numbers(path, lines, first, notes)
    samples_uv = rows[:, 1 : 1 + n_channels][:, columns]
    stamps_s = _stamps(rows, names)
    missing = _missing(rows[:, 0], stamps_s, rate_hz)
    if missing.any():
        lost = int(missing.sum())
        notes.append(f"{lost} samples are missing in {np.count_nonzero(missing)} places, by the sample index")
    return Recording(profile.labels, rate_hz, _on_grid(samples_uv, missing, rate_hz, notes), tuple(notes))


def _head(path: Path, lines: list[str]) -> tuple[int, float]:
    """Return the number of channels and the rate from the lines that begin with ``%``."""
    head = "\n".join(line for line in lines[:50] if line.startswith("%"))
    channels = re.search(r"Number of channels\s*=\s*(\d+)", head)
    rate = re.search(r"Sample Rate\s*=\s*([\d.]+)", head)
    if not channels or not rate:
        raise WrongFile(
            f"{path} is no text file of the OpenBCI GUI: it needs the lines '%Number of channels = 8' and "
            "'%Sample Rate = 250 Hz' at its beginning"
        )
    return int(channels[1]), float(rate[1])


def _columns(lines: list[str]) -> tuple[int, list[str]]:
    """Return the number of the first line of numbers, and the column names if there are any."""
    first = next((i for i, line in enumerate(lines) if line and not line.startswith("%")), len(lines))
    names = [name.strip() for name in lines[first].split(",")] if first < len(lines) else []
    if names and re.fullmatch(r"[-+.\deE]+", names[0]):
        return first, []
    return first + 1, names


def _numbers(path: Path, lines: list[str], first: int, notes: list[str]) -> FloatArray:
    """Return the table; text such as ``12:00:53.329`` becomes NaN, a broken last line is left out."""
    body = [line for line in lines[first:] if line.strip()]
    if not body:
        raise WrongFile(f"{path} holds no samples; was the recording stopped before it began?")
    width = body[0].count(",")
    if body[-1].count(",") < width:
        body.pop()
        notes.append("the last line is broken off and left out")
    for number, line in enumerate(body, first + 1):
        if line.count(",") != width:
            raise WrongFile(
                f"{path} has {line.count(',') + 1} columns in line {number}, but {width + 1} before; "
                "cut the file there, or remove the line"
            )
    try:
        return np.array(np.loadtxt(body, delimiter=",", ndmin=2, converters=_number), dtype=np.float64)
    except ValueError as error:
        raise WrongFile(f"{path} cannot be read as numbers: {error}") from None


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _stamps(rows: FloatArray, names: list[str]) -> FloatArray | None:
    """Return the computer's time stamps in seconds; old files have milliseconds."""
    if "Timestamp" not in names:
        return None
    stamps = rows[:, names.index("Timestamp")]
    return stamps / 1000.0 if np.nanmax(stamps) > 1e11 else stamps


def _missing(index: FloatArray, stamps_s: FloatArray | None, rate_hz: float) -> NDArray[np.int64]:
    """Return how many samples are missing after each but the last."""
    turn = 256 if index.max() > 200 else int(index.max()) + 1
    steps = (np.diff(index) % turn).astype(np.int64)
    usual = int(np.bincount(steps).argmax()) if len(steps) else 1
    missing = steps // max(usual, 1) - 1  # -1: the same index again, which is a whole turn lost or a repeat
    if stamps_s is not None and len(steps):
        per_turn = turn // max(usual, 1)
        late = np.diff(stamps_s) * rate_hz - 1 - missing
        # Stamps come with a burst of samples and are off by some: only a loss of near a turn can be told.
        turns = np.round(np.nan_to_num(late) / per_turn).astype(np.int64)
        missing += np.maximum(turns, 0) * per_turn
    return np.maximum(missing, 0)


def _on_grid(
    samples_uv: FloatArray, missing: NDArray[np.int64], rate_hz: float, notes: list[str]
) -> FloatArray:
    places = np.flatnonzero(missing)
    gaps = [limited_gap(int(missing[place]), rate_hz, notes) for place in places]
    return with_gaps(np.split(samples_uv, places + 1), gaps)
