"""XDF files for tests: ours by the recorder, others' byte by byte, and what pyxdf says of both."""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyxdf

from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk
from neurofb.engine.session_log import LogColumns, SessionLog
from neurofb.events import Event
from neurofb.loop.loop import Output
from neurofb.recording.writer import Recorder
from neurofb.xdf import encoding
from neurofb.xdf.headers import DTYPES, StreamHeader
from neurofb.xdf.stream import XdfStream

FORMATS = ("float32", "double64", "int64", "int32", "int16", "int8")


def header(name: str = "made", form: str = "float32", n_channels: int = 2, rate_hz: float = 100.0, **more):
    """Make a header with labels C1 …"""
    labels = tuple(f"C{i + 1}" for i in range(n_channels))
    return StreamHeader(name, "EEG", form, rate_hz, labels, **more)


def numbers(form: str, n: int, n_channels: int, seed: int = 0) -> np.ndarray:
    """Return values that use the whole range of a format."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(DTYPES[form])
    if dtype.kind == "f":
        return (rng.standard_normal((n, n_channels)) * 10.0 ** rng.integers(-8, 8, (n, 1))).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, (n, n_channels), dtype=dtype, endpoint=True)


def record(path: Path, streams: Sequence[tuple[StreamHeader, Any, np.ndarray]], every: int = 50) -> Path:
    """Record whole streams, ``every`` samples at a time, a flush each 0.5 s of a clock of its own."""
    recorder = Recorder(path, flush_s=0.5, waits=True)
    ids = [recorder.add_stream(each) for each, _, _ in streams]
    now_s = 0.0
    for start in range(0, max(len(stamps_s) for _, _, stamps_s in streams), every):
        for stream, (_, values, stamps_s) in zip(ids, streams, strict=True):
            recorder.append(stream, values[start : start + every], stamps_s[start : start + every])
        recorder.flush(now_s)
        now_s += 0.5
    recorder.close()
    return path


def by_pyxdf(path: Path) -> dict[int, dict[str, Any]]:
    """Return every stream as pyxdf reads it, stamps untouched; by number."""
    logging.disable(logging.CRITICAL)
    try:
        streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, synchronize_clocks=False)
    finally:
        logging.disable(logging.NOTSET)
    return {stream["info"]["stream_id"]: stream for stream in streams}


def played_by_pyxdf(path: Path) -> dict[int, dict[str, Any]]:
    """Return every stream with times on the recording computer's clock by pyxdf, with the breaks of `neurofb play`."""
    logging.disable(logging.CRITICAL)
    try:
        streams, _ = pyxdf.load_xdf(
            path, jitter_break_threshold_seconds=0.5, jitter_break_threshold_samples=4
        )
    finally:
        logging.disable(logging.NOTSET)
    return {stream["info"]["stream_id"]: stream for stream in streams}


def gaps_of(stream: dict[str, Any], rate_hz: float) -> list[tuple[int, int]]:
    """Return the gaps between the segments that pyxdf found: first missing sample and length."""
    times_s, gaps = stream["time_stamps"], []
    for (_, last), (first, _) in pairwise(stream["info"]["segments"]):
        missing = round((times_s[first] - times_s[last]) * rate_hz) - 1
        if missing > 0:
            gaps.append((first + sum(n for _, n in gaps), missing))
    return gaps


def assert_same(ours: XdfStream, theirs: dict[str, Any]) -> None:
    """Hold values, stamps, offsets and header of a stream against what pyxdf read."""
    np.testing.assert_array_equal(ours.stamps_s(), np.asarray(theirs["time_stamps"]).ravel())
    if ours.header.dtype is None:
        assert ours.texts() == [list(row) for row in theirs["time_series"]]
    else:
        values = np.asarray(theirs["time_series"]).reshape(ours.n_samples, ours.header.n_channels)
        assert ours.values().tobytes() == values.astype(ours.header.dtype).tobytes()
    info = theirs["info"]
    assert (ours.name, ours.header.type) == (info["name"][0] or "", info["type"][0] or "")
    assert ours.header.rate_hz == float(info["nominal_srate"][0])
    assert ours.header.n_channels == int(info["channel_count"][0])
    times_s, offsets_s = theirs.get("clock_times", []), theirs.get("clock_values", [])
    np.testing.assert_array_equal(ours.offsets, np.column_stack((times_s, offsets_s)).reshape(-1, 2))
    assert (ours.footer is None) == ("footer" not in theirs)


def foreign_samples(
    stream: int, values: np.ndarray | list[list[str]], stamps_s: Sequence[float | None], wide: int = 4
) -> bytes:
    """Make a chunk as others write it: a stamp where there is one; ``wide`` bytes for its count of samples."""
    parts = [struct.pack("<I", stream), bytes((wide,)), len(stamps_s).to_bytes(wide, "little")]
    for row, stamp_s in zip(values, stamps_s, strict=True):
        parts.append(b"\0" if stamp_s is None else struct.pack("<Bd", 8, stamp_s))
        if isinstance(row, np.ndarray):
            parts.append(row.tobytes())
            continue
        for text in row:
            encoded = text.encode()
            size = 1 if len(encoded) < 256 else 4
            parts += [bytes((size,)), len(encoded).to_bytes(size, "little"), encoded]
    return encoding.chunk(encoding.SAMPLES, *parts)


def foreign_file(path: Path, *chunks: bytes) -> Path:
    """Write a file from chunks."""
    path.write_bytes(b"".join((encoding.MAGIC, encoding.file_header(), *chunks)))
    return path


class SmallSession:
    """A session as an engine writes it, on a clock of its own: EEG with a gap and a lost channel, values, events.

    Attributes
    ----------
    expected : ndarray
        The EEG as the engine had it.
    """

    def __init__(self, path: Path, n_steps: int = 200, seed: int = 0, form: str = "int16") -> None:
        from neurofb.acquisition.received import ReceivedBlock
        from neurofb.devices.columns import EegColumns
        from neurofb.lsl.matching import StreamInfo

        self.clock = ManualNow()
        labels = ("counter", "Fz", "Cz", "Oz")
        units = ("",) + ("uV",) * 3
        info = StreamInfo("head", "EEG", "id", "uid", "here", 4, 100.0, form, labels, units, "somebody")
        eeg = EegColumns(("Fz", "Oz"), (1, 3), np.array([0.5, 0.25]))
        path.mkdir(parents=True, exist_ok=True)
        self.recorder = Recorder(path / "recording.xdf", waits=True)
        columns = LogColumns(info, eeg, {"alpha": "dB"}, ("arm",))
        session_log = SessionLog(self.recorder, None, self.clock, columns)
        rng, expected, index = np.random.default_rng(seed), [], 0
        for step in range(n_steps):
            n = int(rng.integers(1, 20))
            raw = numbers(form, n, 4, seed + step)
            stamps_s = 50.0 + (index + np.arange(n)) / 100.0
            offsets = [(self.clock.now, -0.25)] if step % 20 == 0 else []
            missing = int(rng.integers(1, 30)) if step % 40 == 20 else 0
            uv = np.concatenate((np.full((missing, 2), np.nan), eeg.to_uv(raw)))
            if step % 15 == 7:
                uv[missing:, 1] = np.nan
            received_s = np.concatenate((np.full(missing, np.nan), stamps_s))
            chunk = Chunk(uv, index, received_s, 1000.0 + (index + np.arange(n + missing)) / 100.0)
            session_log.write(Batch(chunk, [ReceivedBlock(raw, stamps_s)], offsets), Output([], []))
            expected.append(uv)
            index += n + missing
            if step % 10 == 0:
                session_log.log_event(Event("note", self.clock.now, f"step {step}: µ", index, {"step": step}))
            self.clock.now = 1000.0 + index / 100.0
            session_log.flush()
        self.session_log = session_log
        self.expected = np.concatenate(expected)


class ManualNow:
    """A clock that stands where it is put."""

    now = 1000.0

    def now_s(self) -> float:
        return self.now

    def wait_until(self, time_s: float) -> None:
        self.now = max(self.now, time_s)
