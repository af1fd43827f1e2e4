"""Writes the EEG of a recording as BrainVision, piece by piece: header, markers (none but the start), samples.

In: samples in V, as MNE's raw gives them. Out: three files. A sample is a float32 in µV: what a headset sent as one
comes back to the last bit, others within 6e-8 of their size.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np

_PIECE_S = 60.0
_UV = 1e6
_LARGEST_UV = float(np.finfo(np.float32).max)

_HEADER = """Brain Vision Data Exchange Header File Version 1.0
; written by neurofb

[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg
MarkerFile={stem}.vmrk
DataFormat=BINARY
DataOrientation=MULTIPLEXED
NumberOfChannels={n_channels}
SamplingInterval={interval_us!r}

[Binary Infos]
BinaryFormat=IEEE_FLOAT_32

[Channel Infos]
{channels}
"""
_MARKERS = """Brain Vision Data Exchange Marker File, Version 1.0

[Common Infos]
Codepage=UTF-8
DataFile={stem}.eeg

[Marker Infos]
Mk1=New Segment,,1,1,0{date}
"""


def write_brainvision(raw: Any, folder: Path, stem: str, date: datetime.datetime | None) -> Path:
    """Write ``stem``.vhdr, .vmrk and .eeg into a folder; return the header's path.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        Read piece by piece.
    folder : Path
    stem : str
    date : datetime or None
        Of the first sample; None to write none.
    """
    with (folder / f"{stem}.eeg").open("xb") as file:
        step = max(1, round(_PIECE_S * raw.info["sfreq"]))
        for first in range(0, raw.n_times, step):
            volts = raw.get_data(start=first, stop=min(first + step, raw.n_times))
            samples = np.clip(_UV * volts.T, -_LARGEST_UV, _LARGEST_UV)  # damage may leave any number
            file.write(np.ascontiguousarray(samples, dtype="<f4").tobytes())
    channels = "\n".join(
        f"Ch{number}={name.replace(',', chr(92) + '1')},,1,µV" for number, name in enumerate(raw.ch_names, 1)
    )
    header = _HEADER.format(
        stem=stem,
        n_channels=len(raw.ch_names),
        interval_us=1e6 / raw.info["sfreq"],
        channels=channels,
    )
    stamp = "" if date is None else "," + date.astimezone(datetime.UTC).strftime("%Y%m%d%H%M%S%f")
    (folder / f"{stem}.vmrk").write_text(_MARKERS.format(stem=stem, date=stamp), "utf-8", newline="\n")
    path = folder / f"{stem}.vhdr"
    path.write_text(header, "utf-8", newline="\n")
    return path
