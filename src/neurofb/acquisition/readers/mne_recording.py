"""FIF, EEGLAB and GDF, which MNE reads; imported here and not only in ``offline/``, as playback comes before a session.

In: a path. Out: a ``Recording``. MNE gives volts: those of FIF are stored as volts, those of EEGLAB as µV, and neither
says so in the file. Values that cannot be EEG in that unit, but are in the other, are refused: they were saved wrong.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.acquisition.readers.eeg_signals import Asked, Signal, choose_eeg
from neurofb.acquisition.readers.recording import UNKNOWN_BREAK_S, Break, Recording, laid_out
from neurofb.chunk import FloatArray
from neurofb.errors import WrongFile

#: How MNE and EEGLAB mark where two recordings were joined.
_JOINED = re.compile(r"(bad|edge)?[ _]?boundary", re.IGNORECASE)
#: GDF's codes of units of voltage (https://arxiv.org/abs/cs/0608052, table of physical units) and the texts for them.
_GDF_UNITS = {4256: "V", 4274: "mV", 4275: "µV", 4276: "nV"}


def read_by_mne(path: Path, asked: Asked) -> Recording:
    """Return the EEG of a file that MNE reads.

    Raises
    ------
    WrongFile
        If MNE cannot read it, or it holds no EEG.
    """
    raw, notes = _opened(path)
    rate_hz, form = float(raw.info["sfreq"]), path.suffix.lower()
    units, file_uv = _units(path, form, raw)
    kinds = raw.get_channel_types()
    signals = [
        Signal(name, unit, "" if kind == "misc" and form == ".gdf" else kind, rate_hz)
        for name, unit, kind in zip(raw.ch_names, units, kinds, strict=True)
    ]
    if "eeg" not in kinds:
        raise WrongFile(f"{path} has no EEG channels; it has {', '.join(raw.ch_names[:20])}")
    if raw.n_times == 0:
        raise WrongFile(f"{path} holds no samples")
    eeg = choose_eeg(path, signals, asked, notes)
    if bad := [raw.ch_names[i] for i in eeg.columns if raw.ch_names[i] in raw.info["bads"]]:
        notes.append(f"marked as bad in the file, but played: {', '.join(bad)}")
    factors_uv = np.array(
        [scale_uv / file_uv[i] for i, scale_uv in zip(eeg.columns, eeg.scales_uv, strict=True)]
    )
    stretches = laid_out(raw.n_times, _breaks(raw, rate_hz, notes), rate_hz, notes)
    stored = _MneSamples(raw, eeg.columns, factors_uv * 1e6)
    return Recording(eeg.labels, rate_hz, stored, stretches, tuple(notes))


def _opened(path: Path) -> tuple[Any, list[str]]:
    import mne

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            raw = mne.io.read_raw(path, preload=False, verbose="warning")
        except OSError as error:
            raise WrongFile(f"{path} cannot be read: {_one_line(error)}") from error
        except Exception as error:  # a malformed file makes MNE raise whatever it stumbles over
            raise WrongFile(
                f"{path} cannot be read by MNE: {type(error).__name__}: {_one_line(error)}"
            ) from error
    told = [_one_line(warning.message) for warning in warned]
    return raw, [f"MNE: {text}" for text in dict.fromkeys(told) if "boundary" not in text]


def _one_line(error: object) -> str:
    return " ".join(str(error).split())[:300]


def _units(path: Path, form: str, raw: Any) -> tuple[Sequence[str], Sequence[float]]:
    """Return the unit of each channel as the file has it, and how many µV MNE has taken one of it for."""
    n_channels = len(raw.ch_names)
    if form == ".gdf":
        texts = _gdf_units(path, n_channels)
        return texts, [{"µV": 1.0, "mV": 1e3}.get(text, 1e6) for text in texts]
    unit, taken_uv = ("µV", 1.0) if form == ".set" else ("V", 1e6)
    return [unit] * n_channels, [taken_uv] * n_channels


def _gdf_units(path: Path, n_channels: int) -> list[str]:
    """Return the unit of each channel of a GDF file, as a text that is no voltage where the code is of none."""
    with path.open("rb") as file:
        head = file.read(256)
        (n_signals,) = (
            struct.unpack("<H", head[252:254])
            if head[3:8] >= b" 1.94"
            else struct.unpack("<I", head[252:256])
        )
        table = file.read(256 * n_signals)
    if head[3:8] < b" 1.94":
        at = (16 + 80) * n_signals
        texts = [
            table[at + 8 * i : at + 8 * (i + 1)].decode("latin-1").strip(" \0") for i in range(n_signals)
        ]
    else:
        codes = np.frombuffer(table, "<u2", n_signals, (16 + 80 + 6) * n_signals)
        texts = [_GDF_UNITS.get(int(code), f"GDF unit {code}" if code else "") for code in codes]
    return (texts + [""] * n_channels)[:n_channels]


def _breaks(raw: Any, rate_hz: float, notes: list[str]) -> list[Break]:
    """Return pauses of the amplifier, where MNE itself lays zeros, and places where recordings were joined."""
    shift_s = raw.first_time if raw.annotations.orig_time is not None else 0.0
    breaks: dict[int, Break] = {}
    n_unknown = 0
    for onset_s, lasts_s, text in zip(
        raw.annotations.onset, raw.annotations.duration, raw.annotations.description, strict=True
    ):
        first = round((float(onset_s) - shift_s) * rate_hz)
        if text.upper() == "BAD_ACQ_SKIP":
            end = round((float(onset_s) - shift_s + float(lasts_s)) * rate_hz)
            breaks[first] = Break(first, 0, min(end, raw.n_times) - max(first, 0))
        elif _JOINED.fullmatch(text) and 0 < first < raw.n_times and first not in breaks:
            missing = round(float(lasts_s) * rate_hz) if np.isfinite(lasts_s) else 0
            n_unknown += missing <= 0
            breaks[first] = Break(first, missing if missing > 0 else round(UNKNOWN_BREAK_S * rate_hz))
    if n_unknown:
        notes.append(
            f"{n_unknown} joins do not say how long the break was: each is played as a gap of {UNKNOWN_BREAK_S:g} s"
        )
    return list(breaks.values())


@dataclass(frozen=True, slots=True, eq=False)
class _MneSamples:
    """The chosen channels of MNE's reader."""

    raw: Any
    columns: tuple[int, ...]
    factors: FloatArray

    def read(self, first: int, end: int) -> FloatArray:
        """Return samples ``first`` to ``end`` in µV."""
        volts: FloatArray = self.raw.get_data(list(self.columns), first, end, verbose="error").T
        return volts * self.factors
