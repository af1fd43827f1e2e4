"""Foreign XDF files are played as pyxdf reads them: the same µV, times, gaps; damaged files further than by pyxdf."""

from __future__ import annotations

import gzip
import logging
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import pyxdf.pyxdf
from xdf_parts import FORMATS, foreign_file, foreign_samples, gaps_of, header, numbers, played_by_pyxdf

from neurofb.acquisition.readers.open import read_recording
from neurofb.acquisition.readers.xdf_times import (
    ClockCorrection,
    ends_in_garbage,
    finite_offsets,
    fit_offsets,
)
from neurofb.errors import StreamMissing, WrongFile
from neurofb.xdf import encoding
from neurofb.xdf.file import read_xdf_file
from neurofb.xdf.stream import XdfStream

RATE_HZ = 100.0


def times_of(stream: XdfStream) -> np.ndarray:
    """Return all times on the recording computer's clock, corrected some thousand at a time."""
    offsets, n_samples = finite_offsets(stream.offsets), stream.n_samples
    counted = stream.footer and stream.footer["sample_count"]
    if ends_in_garbage(n_samples, counted, offsets):
        n_samples, offsets = counted, offsets[:-1]
    correction = ClockCorrection(offsets)
    stamps_s = stream.stamps_s(0, n_samples)
    return np.concatenate([correction.push(part) for part in np.array_split(stamps_s, 1 + n_samples // 700)])


def synchronized_by_pyxdf(path: Path) -> dict[int, dict]:
    logging.disable(logging.CRITICAL)
    try:
        streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False)
    finally:
        logging.disable(logging.NOTSET)
    return {stream["info"]["stream_id"]: stream for stream in streams}


def assert_times_are_those_of_pyxdf(stream: XdfStream, theirs: dict) -> None:
    np.testing.assert_allclose(times_of(stream), theirs["time_stamps"], rtol=0, atol=2e-8)


def assert_played_as_by_pyxdf(path: Path, number: int, theirs: dict, most_off: int = 0) -> None:
    """Hold a recording against pyxdf's samples, in their own unit (uV), and its gaps.

    pyxdf joins over holes of less than half a second, which are gaps here; those that it finds are as long here, or off
    by ``most_off`` samples where stamps scatter.
    """
    recording = read_recording(path, str(number))
    ours = {first - sum(n for at, n in recording.gaps() if at < first): n for first, n in recording.gaps()}
    joined = 0
    for first, length in gaps_of(theirs, recording.rate_hz):
        stored = first - joined
        joined += length
        near = [n for at, n in ours.items() if abs(at - stored) <= most_off]
        assert near, f"no gap at sample {stored}, but {ours}"
        assert min(abs(n - length) for n in near) <= most_off
    there = np.isfinite(recording.samples_uv).all(axis=1)
    columns = slice(0, len(recording.labels))
    values = np.asarray(theirs["time_series"], dtype=np.float64)[:, columns]
    np.testing.assert_array_equal(recording.samples_uv[there], values)


def made_file(
    path: Path,
    stamps_s: np.ndarray,
    offsets: np.ndarray,
    form: str = "float32",
    every: int = 25,
    counted: int | None = None,
    **more,
) -> Path:
    """Write one stream of two channels in uV, with offsets and, unless ``counted`` is -1, a footer."""
    head = header(form=form, rate_hz=RATE_HZ, units=("uV", "uV"), **more)
    values, n = numbers(form, len(stamps_s), 2, seed=3), len(stamps_s)
    chunks = [encoding.stream_header(1, head)]
    chunks += [encoding.clock_offset(1, time_s, offset_s) for time_s, offset_s in offsets]
    for start in range(0, n, every):
        at = slice(start, start + every)
        chunks.append(
            foreign_samples(1, values[at], [None if np.isnan(s) else s for s in stamps_s[at].tolist()])
        )
    if counted != -1:
        chunks.append(
            encoding.stream_footer(1, stamps_s[0], stamps_s[-1], n if counted is None else counted, offsets)
        )
    return foreign_file(path, *chunks)


def clock(seed: int, n: int = 3000, holes: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return stamps with jitter, drift and holes, and offsets with outliers, measured every 5 s."""
    rng = np.random.default_rng(seed)
    stamps_s = (
        1e3 * rng.random() + np.arange(n) / RATE_HZ * (1 + 1e-4 * rng.normal()) + rng.normal(0, 2e-3, n)
    )
    if holes:
        for at in np.sort(rng.integers(1, n, 3)):
            stamps_s[at:] += rng.uniform(0.2, 20)
    at_s = np.arange(stamps_s[0], stamps_s[-1] + 5, 5.0)
    offsets_s = 4e4 * rng.normal() + 2e-5 * rng.normal() * at_s + rng.normal(0, 5e-5, len(at_s))
    offsets_s[rng.random(len(at_s)) < 0.15] += 3e-3
    return stamps_s, np.column_stack((at_s, offsets_s))


# -- the same as pyxdf -------------------------------------------------------------------------------------------


def test_times_of_every_real_stream_are_those_of_pyxdf(data_dir: Path) -> None:
    n_streams = 0
    for path in sorted(data_dir.glob("*/*.xdf")):
        if "odd" in path.parent.name:
            continue
        theirs = synchronized_by_pyxdf(path)
        for stream in read_xdf_file(path).streams:
            if stream.header.rate_hz and stream.header.dtype is not None and stream.n_samples:
                assert_times_are_those_of_pyxdf(stream, theirs[stream.header.number])
                n_streams += 1
    assert n_streams > 25


def test_every_real_eeg_stream_is_played_as_by_pyxdf(data_dir: Path) -> None:
    n_played = 0
    for path in sorted(data_dir.glob("*/*.xdf")):
        if "odd" in path.parent.name:
            continue
        for number, theirs in played_by_pyxdf(path).items():
            try:
                read_recording(path, str(number))
            except (StreamMissing, WrongFile):
                continue
            assert_played_as_by_pyxdf(path, number, theirs, most_off=3)
            n_played += 1
    assert n_played >= 14


@pytest.mark.parametrize("form", FORMATS)
def test_made_stream_of_each_format_is_played_as_by_pyxdf(tmp_path: Path, form: str) -> None:
    path = made_file(tmp_path / "a.xdf", *clock(FORMATS.index(form)), form=form)
    theirs = played_by_pyxdf(path)[1]
    assert len(theirs["info"]["segments"]) > 1
    assert_played_as_by_pyxdf(path, 1, theirs, most_off=2)


@pytest.mark.parametrize("seed", range(12))
def test_times_of_drifting_jittering_clocks_are_those_of_pyxdf(tmp_path: Path, seed: int) -> None:
    stamps_s, offsets = clock(seed)
    stamps_s[5:9] = np.nan  # deduced from the rate
    path = made_file(tmp_path / "a.xdf", stamps_s, offsets[: 1 + seed % 4 * 20])
    (stream,) = read_xdf_file(path).streams
    assert_times_are_those_of_pyxdf(stream, synchronized_by_pyxdf(path)[1])
    assert_played_as_by_pyxdf(path, 1, played_by_pyxdf(path)[1], most_off=2)


@pytest.mark.parametrize("back", [False, True])
def test_clock_reset_gives_each_part_its_own_line_as_in_pyxdf(tmp_path: Path, back: bool) -> None:
    """The sender restarts: its clock begins anew, and so do the times at which its offsets are measured."""
    first_s, offsets = clock(1, holes=False)
    restart = 40.0 if back else first_s[-1] + 1800.0
    later_s = restart + first_s - first_s[0]
    later = np.column_stack((restart + offsets[:, 0] - offsets[0, 0], offsets[:, 1] - 500.0))
    path = made_file(tmp_path / "a.xdf", np.concatenate((first_s, later_s)), np.concatenate((offsets, later)))
    (stream,) = read_xdf_file(path).streams
    theirs = synchronized_by_pyxdf(path)[1]
    assert len(theirs["info"]["clock_segments"]) == 2
    assert_times_are_those_of_pyxdf(stream, theirs)


def test_measurements_at_one_moment_are_used_where_pyxdf_uses_none() -> None:
    offsets = np.array([(50.0, 3.0), (50.0, 3.2), (50.0, 3.1)])
    assert fit_offsets(offsets) == (pytest.approx(3.1), 0.0)


@pytest.mark.parametrize("outlier_s", [2e-3, 5.0])
def test_outlier_hardly_moves_the_line_through_offsets(outlier_s: float) -> None:
    rng, at_s = np.random.default_rng(0), np.arange(0.0, 500.0, 5.0)
    offsets_s = -7.0 + 1e-5 * at_s + rng.normal(0, 3e-5, len(at_s))
    offsets_s[30] += outlier_s
    intercept_s, drift = fit_offsets(np.column_stack((at_s, offsets_s)))
    line_s = intercept_s + drift * at_s
    assert np.abs(line_s - (-7.0 + 1e-5 * at_s)).max() < 2e-5
    theirs = pyxdf.pyxdf._robust_fit(np.column_stack((np.ones(len(at_s)), at_s / 1e-4)), offsets_s / 1e-4)
    np.testing.assert_allclose(line_s, theirs[0] * 1e-4 + theirs[1] * at_s, rtol=0, atol=1e-12)


@pytest.mark.parametrize("garbage", [None, "offset", "interval"])
def test_sample_beyond_the_count_is_left_out_only_with_a_garbage_offset(
    tmp_path: Path, garbage: str | None
) -> None:
    stamps_s, offsets = clock(4, holes=False)
    if garbage == "offset":
        offsets[-1, 1] = 1e9
    elif garbage == "interval":
        offsets[-1, 0] += 600.0
    path = made_file(tmp_path / "a.xdf", stamps_s, offsets, counted=len(stamps_s) - 1)
    theirs = played_by_pyxdf(path)[1]
    assert len(theirs["time_stamps"]) == len(stamps_s) - (garbage is not None)
    assert_played_as_by_pyxdf(path, 1, theirs)
    noted = any("1 samples of garbage" in note for note in read_recording(path).notes)
    assert noted == (garbage is not None)


# -- further than pyxdf, where it stops or raises ----------------------------------------------------------------


@pytest.mark.parametrize("stamp_s", [np.inf, -1e300])
def test_impossible_stamp_is_taken_from_its_neighbours(tmp_path: Path, stamp_s: float) -> None:
    """pyxdf refuses the file, or gives every sample of the segment an impossible time."""
    stamps_s, offsets = clock(5, holes=False)
    whole = read_recording(made_file(tmp_path / "a.xdf", stamps_s, offsets))
    stamps_s[1000] = stamp_s
    recording = read_recording(made_file(tmp_path / "b.xdf", stamps_s, offsets))
    np.testing.assert_array_equal(recording.samples_uv, whole.samples_uv)
    assert recording.notes == whole.notes


def test_impossible_offset_is_left_out(tmp_path: Path) -> None:
    stamps_s, offsets = clock(6)
    path = made_file(tmp_path / "a.xdf", stamps_s, offsets)
    broken = made_file(tmp_path / "b.xdf", stamps_s, np.insert(offsets, 4, (offsets[4, 0], np.nan), axis=0))
    np.testing.assert_array_equal(read_recording(broken).samples_uv, read_recording(path).samples_uv)


def test_file_without_footer_and_with_a_damaged_middle_is_played_with_a_gap(tmp_path: Path) -> None:
    """What a damaged place leaves out is as long as the stamps around it say; pyxdf finds the same samples."""
    n = 1000
    head, values = header(rate_hz=RATE_HZ, units=("uV", "uV")), numbers("float32", n, 2)
    chunks = [encoding.stream_header(1, head)]
    for start in range(0, n, 100):
        at = slice(start, start + 100)
        chunks += [foreign_samples(1, values[at], (np.arange(n) / RATE_HZ)[at].tolist()), encoding.boundary()]
    broken = bytearray(chunks[9])
    broken[:7] = b"\xff" * 7  # length and tag
    chunks[9] = bytes(broken)
    path = foreign_file(tmp_path / "a.xdf", *chunks)
    recording = read_recording(path)
    assert recording.gaps() == [(400, 100)]
    assert_played_as_by_pyxdf(path, 1, played_by_pyxdf(path)[1])
    assert any("are damaged and were left out" in note for note in recording.notes)
    assert any("the stream has no footer" in note for note in recording.notes)


def test_stream_without_header_does_not_hide_the_others(tmp_path: Path) -> None:
    stamps_s, offsets = clock(7)
    path = made_file(tmp_path / "a.xdf", stamps_s, offsets)
    stray = foreign_samples(9, numbers("float32", 10, 2), [1.0] * 10)
    (tmp_path / "b.xdf").write_bytes(path.read_bytes() + stray + encoding.boundary())
    recording = read_recording(tmp_path / "b.xdf")
    np.testing.assert_array_equal(recording.samples_uv, read_recording(path).samples_uv)


def test_packed_file_broken_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """pyxdf refuses it."""
    stamps_s, offsets = clock(8, holes=False)
    whole = made_file(tmp_path / "a.xdf", stamps_s, offsets)
    packed = gzip.compress(whole.read_bytes())
    (tmp_path / "b.xdfz").write_bytes(packed[: len(packed) // 2])
    recording = read_recording(tmp_path / "b.xdfz")
    n = len(recording.samples_uv)
    assert 500 < n < len(stamps_s)
    np.testing.assert_array_equal(recording.samples_uv, read_recording(whole).samples_uv[:n])
    assert any("the packed file is broken off or damaged" in note for note in recording.notes)
    (tmp_path / "c.xdfz").write_bytes(gzip.compress(b"hello"))
    with pytest.raises(WrongFile, match=r"c\.xdfz is no XDF file: it does not begin with 'XDF:'"):
        read_recording(tmp_path / "c.xdfz")


def test_footer_that_counts_more_samples_is_noted(tmp_path: Path) -> None:
    path = made_file(tmp_path / "a.xdf", *clock(9), counted=5000)
    assert "the stream has 3000 samples, but its footer counts 5000" in read_recording(path).notes


# -- memory ------------------------------------------------------------------------------------------------------


def test_only_the_chosen_stream_is_read_and_not_twice(tmp_path: Path) -> None:
    """Beside 40 MB of another stream, a recording takes what one piece needs."""
    n, n_other = 400_000, 1250
    head = header(rate_hz=1000.0, units=("uV", "uV"))
    other = header("other", "double64", n_channels=64, rate_hz=0.0)
    block = numbers("double64", 64, 64)
    chunks = [encoding.stream_header(1, head), encoding.stream_header(2, other)]
    values, stamps_s = numbers("float32", n, 2), np.arange(n) / 1000.0
    for start in range(0, n, 500):
        body = encoding.numeric_body(values[start : start + 500], stamps_s[start : start + 500])
        chunks.append(encoding.samples(1, 500, body))
    body = encoding.numeric_body(block, np.arange(64.0))
    chunks += [encoding.samples(2, 64, body)] * n_other
    path = foreign_file(tmp_path / "a.xdf", *chunks)
    del chunks
    assert path.stat().st_size > 45e6
    tracemalloc.start()
    recording = read_recording(path, "1")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(recording.samples_uv) == n
    assert peak < 4e6, "stamps are read in pieces, and values only when they are played"


def test_wild_length_is_no_memory(tmp_path: Path) -> None:
    path = made_file(tmp_path / "a.xdf", *clock(10))
    (tmp_path / "b.xdf").write_bytes(path.read_bytes() + struct.pack("<BQH", 8, 1 << 50, 3))
    recording = read_recording(tmp_path / "b.xdf")
    np.testing.assert_array_equal(recording.samples_uv, read_recording(path).samples_uv)
