"""Files of other programs, made by their published layouts: four channels that differ, so that a wrong place shows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from xdf_parts import foreign_file, foreign_samples

from neurofb.xdf import encoding

LABELS = ("Fz", "Cz", "Pz", "Oz")
#: The typical size of each channel, in µV, and a level of its own.
SIZES_UV = (10.0, 14.0, 18.0, 22.0)


def made_eeg(n_samples: int, seed: int = 0, n_channels: int = 4) -> np.ndarray:
    """Make EEG in µV, in steps of 0.1 µV, shape (n_samples, n_channels)."""
    rng = np.random.default_rng(seed)
    sizes = np.resize(SIZES_UV, n_channels)
    noise = rng.normal(0.0, 1.0, (n_samples, n_channels)) * sizes
    return np.round(np.clip(noise, -400, 400) + 2.0 * np.arange(n_channels), 1)


@dataclass
class EdfSignal:
    """A signal of an EDF file: its samples in its own unit, at its own rate."""

    label: str
    values: np.ndarray
    unit: str | bytes = "uV"
    rate_hz: int = 250
    #: One digital step, in its unit.
    step: float = 0.1


def write_edf(
    path: Path, signals: Sequence[EdfSignal], onsets_s: Sequence[float] | None = None, form: str = ""
) -> Path:
    """Write EDF, or BDF by the ending, in records of 1 s.

    ``onsets_s`` is where each record begins: then the file has annotations. ``form`` is "EDF+C", "EDF+D" or empty.
    """
    is_bdf = path.suffix == ".bdf"
    width = 3 if is_bdf else 2
    low, high = -8000, 8000  # so that the physical range fits its eight letters in any unit
    n_records = min(
        (len(s.values) // s.rate_hz for s in signals), default=0 if onsets_s is None else len(onsets_s)
    )
    n_marks = 30  # samples of the annotation signal in a record
    marks = [f"{'BDF' if is_bdf else 'EDF'} Annotations"] if onsets_s is not None else []
    head = [b"\xffBIOSEMI" if is_bdf else b"0".ljust(8), b"X X X X".ljust(80), b"Startdate X X X X".ljust(80)]
    n = len(signals) + len(marks)
    reserved = form or ("24BIT" if is_bdf else "")
    head.append(
        f"{'01.01.20'}{'00.00.00'}{256 * (n + 1):<8}{reserved:<44}{n_records:<8}{1:<8}{n:<4}".encode("ascii")
    )
    fields = [
        (16, [s.label for s in signals] + marks),
        (80, [""] * n),
        (8, [s.unit for s in signals] + [""] * len(marks)),
        (8, [f"{low * s.step:.8g}"[:8] for s in signals] + ["-1"] * len(marks)),
        (8, [f"{high * s.step:.8g}"[:8] for s in signals] + ["1"] * len(marks)),
        (8, [str(low)] * n),
        (8, [str(high)] * n),
        (80, [""] * n),
        (8, [str(s.rate_hz) for s in signals] + [str(n_marks)] * len(marks)),
        (32, [""] * n),
    ]
    for size, texts in fields:
        head += [(t if isinstance(t, bytes) else t.encode("latin-1"))[:size].ljust(size) for t in texts]
    body = []
    for record in range(n_records):
        for s in signals:
            at = slice(record * s.rate_hz, (record + 1) * s.rate_hz)
            steps = np.clip(np.round(s.values[at] / s.step), low, high).astype("<i4")
            body.append(steps.view("u1").reshape(-1, 4)[:, :width].tobytes())
        if onsets_s is not None:
            body.append(f"{onsets_s[record]:+g}\x14\x14\0".encode().ljust(n_marks * width, b"\0"))
    path.write_bytes(b"".join(head + body))
    return path


def eeg_edf(path: Path, samples_uv: np.ndarray, unit: str | bytes = "uV", uv: float = 1.0, **more) -> Path:
    """Write EEG of four channels in a unit of ``uv`` µV."""
    signals = [EdfSignal(label, samples_uv[:, i] / uv, unit, step=0.1 / uv) for i, label in enumerate(LABELS)]
    return write_edf(path, signals, **more)


def write_brainvision(
    path: Path,
    samples_uv: np.ndarray,
    *,
    unit: str = "µV",
    uv: float = 1.0,
    labels: Sequence[str] = LABELS,
    units: Sequence[str] | None = None,
    data: str | None = None,
    markers: Sequence[str] = ("New Segment,,1,1,0,20240101100000000000",),
    vectorized: bool = False,
    encoding_: str = "utf-8",
    rate_hz: float = 250.0,
    more: str = "",
) -> Path:
    """Write INT_16 in steps of 0.1 µV, with the header's unit; each marker is a line without its number."""
    stem = path.stem
    units = units or [unit] * len(labels)
    channels = "\n".join(
        f"Ch{i}={label},,{0.1 / uv:.10g},{text}"
        for i, (label, text) in enumerate(zip(labels, units, strict=True), 1)
    )
    orientation = "VECTORIZED" if vectorized else "MULTIPLEXED"
    path.write_bytes(
        (
            "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\n"
            f"DataFile={data or stem + '.eeg'}\nMarkerFile={stem}.vmrk\nDataFormat=BINARY\n"
            f"DataOrientation={orientation}\nNumberOfChannels={len(labels)}\nSamplingInterval={1e6 / rate_hz:g}\n"
            f"[Binary Infos]\nBinaryFormat=INT_16\n[Channel Infos]\n{channels}\n{more}"
        ).encode(encoding_)
    )
    lines = "\n".join(f"Mk{i}={text}" for i, text in enumerate(markers, 1))
    path.with_suffix(".vmrk").write_text(
        f"Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n{lines}\n", encoding="utf-8"
    )
    steps = np.round(samples_uv / 0.1).astype("<i2")
    path.with_suffix(".eeg").write_bytes((steps.T if vectorized else steps).tobytes())
    return path


def write_xdf(
    path: Path,
    samples: np.ndarray,
    stamps_s: np.ndarray,
    *,
    labels: Sequence[str] = LABELS,
    units: Sequence[str] | None = None,
    types: Sequence[str] = (),
    rate_hz: float = 250.0,
    every: int = 25,
) -> Path:
    """Write one stream of doubles as other programs do, with the units that it says; empty texts are left out."""
    units = ["microvolts"] * len(labels) if units is None else units
    channels = ""
    for i, label in enumerate(labels):
        unit = f"<unit>{units[i]}</unit>" if units[i] else ""
        kind = f"<type>{types[i]}</type>" if types else ""
        channels += f"<channel><label>{label}</label>{unit}{kind}</channel>"
    info = (
        f"<?xml version='1.0'?><info><name>amp</name><type>EEG</type><channel_count>{len(labels)}</channel_count>"
        f"<nominal_srate>{rate_hz:g}</nominal_srate><channel_format>double64</channel_format>"
        f"<desc><channels>{channels}</channels></desc></info>"
    )
    chunks = [encoding.chunk(encoding.STREAM_HEADER, struct.pack("<I", 1), info.encode())]
    for start in range(0, len(samples), every):
        at = slice(start, start + every)
        chunks.append(foreign_samples(1, samples[at].astype("<f8"), stamps_s[at].tolist()))
    chunks.append(encoding.stream_footer(1, stamps_s[0], stamps_s[-1], len(samples), np.empty((0, 2))))
    return foreign_file(path, *chunks)


def openbci_text(
    samples_uv: np.ndarray,
    *,
    counted: bool = True,
    names: bool = False,
    between: str = ", ",
    decimal: str = ".",
    index: np.ndarray | None = None,
) -> str:
    """Make the text of a Cyton's file: index, eight channels, three of the accelerometer."""
    n = samples_uv.shape[1]
    lines = [
        "%OpenBCI Raw EEG Data",
        f"%Number of channels = {n}" if counted else "%",
        "%Sample Rate = 250.0 Hz",
    ]
    if names:
        columns = [
            "Sample Index",
            *(f"EXG Channel {i}" for i in range(n)),
            *(f"Accel Channel {i}" for i in range(3)),
        ]
        lines.append(between.join(columns))
    index = np.arange(len(samples_uv)) % 256 if index is None else index
    for number, row in zip(index, samples_uv, strict=True):
        cells = [str(int(number)), *(f"{value:.1f}".replace(".", decimal) for value in row)]
        cells += [f"0{decimal}000"] * 3
        lines.append(between.join(cells))
    return "\n".join(lines) + "\n"
