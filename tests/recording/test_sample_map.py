"""Samples find back to their places, whatever was dropped, doubled, missing or cut into chunks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.chunk import Chunk
from neurofb.devices.columns import EegColumns
from neurofb.errors import WrongInput
from neurofb.recording.sample_map import PRESENT, MappedEeg, SampleMap

N_CHANNELS = 3


def grid(rows: np.ndarray, received: np.ndarray, n: int) -> np.ndarray:
    """Put received samples to their places by the rows alone, as the contract of the stream says it."""
    out = np.full((n, received.shape[1]), np.nan)
    for first, count, begins, channel in rows.astype(int):
        if channel == PRESENT:
            out[first : first + count] = received[begins : begins + count]
    for first, count, _, channel in rows.astype(int):
        if channel != PRESENT:
            out[first : first + count, channel] = np.nan
    return out


@st.composite
def line(draw):
    """A stream: what was received, what was dropped of it, where samples are missing or blank."""
    fates = draw(
        st.lists(st.sampled_from(["kept"] * 6 + ["dropped", "missing", "blank", "same stamp"]), max_size=60)
    )
    chunked = draw(st.lists(st.integers(1, 15), min_size=60, max_size=60))
    blocks = draw(st.lists(st.integers(1, 15), min_size=60, max_size=60))
    taken = draw(st.lists(st.booleans(), min_size=60, max_size=60))
    blank = draw(st.integers(1, 2**N_CHANNELS - 1))
    held = draw(st.integers(0, 10))
    return fates, chunked, blocks, taken, blank, held


def play(fates, blank):
    """Return received values and stamps, and the grid with its received stamps."""
    received, stamps_s, uv, received_s = [], [], [], []
    for i, fate in enumerate(fates):
        value = np.array([i, i + 0.25, i + 0.5])
        if fate == "missing":
            uv.append(np.full(N_CHANNELS, np.nan))
            received_s.append(np.nan)
            continue
        # A stamp that comes again belongs to a sample that is kept as well: both in order.
        stamp_s = (
            stamps_s[-1]
            if fate == "same stamp" and stamps_s and received_s[-1:] == stamps_s[-1:]
            else i / 100
        )
        received.append(value)
        stamps_s.append(stamp_s)
        if fate == "dropped":
            continue
        if fate == "blank":
            value = np.where([blank >> c & 1 for c in range(N_CHANNELS)], np.nan, value)
        uv.append(value)
        received_s.append(stamp_s)
    shape = (-1, N_CHANNELS)
    return (
        np.array(received).reshape(shape),
        np.array(stamps_s),
        np.array(uv).reshape(shape),
        np.array(received_s),
    )


@settings(max_examples=300, deadline=None)
@given(line())
def test_sample_map_rebuilds_grid_bit_equal(given_line) -> None:
    fates, chunked, blocks, taken, blank, held = given_line
    received, stamps_s, uv, received_s = play(fates, blank)
    times_s = 500.0 + np.arange(len(uv)) / 100.0
    sample_map = SampleMap(N_CHANNELS)
    given_n, index, rows, stamped = 0, 0, [], []
    present = np.flatnonzero(~np.isnan(received_s))

    for step in range(60):
        n = min(blocks[step], len(stamps_s) - given_n)
        sample_map.add_received(stamps_s[given_n : given_n + n])
        given_n += n
        kept = sum(fate in ("kept", "blank", "same stamp") for fate in _fates_of(fates, given_n))
        limit = len(uv) if given_n == len(stamps_s) else (int(present[kept - 1]) + 1 if kept else 0)
        limit = limit if given_n == len(stamps_s) else max(index, limit - held)
        n = min(chunked[step], limit - index)
        if n > 0:
            at = slice(index, index + n)
            sample_map.add_chunk(Chunk(uv[at], index, received_s[at], times_s[at]))
            index += n
        if taken[step]:
            for parts, new in zip((rows, stamped), sample_map.pop_rows(), strict=True):
                parts.append(new)
    while index < len(uv):
        at = slice(index, index + 7)
        sample_map.add_received(stamps_s[given_n:])
        given_n = len(stamps_s)
        sample_map.add_chunk(Chunk(uv[at], index, received_s[at], times_s[at]))
        index = min(index + 7, len(uv))
    for parts, new in zip((rows, stamped), sample_map.pop_rows(), strict=True):
        parts.append(new)
    found, found_s = np.concatenate(rows), np.concatenate(stamped)
    np.testing.assert_array_equal(grid(found, received, len(uv)), uv)
    np.testing.assert_array_equal(found_s, times_s[found[:, 0].astype(int)])


def _fates_of(fates, n_received):
    """Return the fates of the first received samples."""
    return [fate for fate in fates if fate != "missing"][:n_received]


def chunk(values, received_s, first_index=0) -> Chunk:
    received_s = np.array(received_s, float)
    samples = np.array(values, float).reshape(len(received_s), -1)
    return Chunk(samples, first_index, received_s, received_s + 100.0)


def test_sample_map_of_undisturbed_stream_is_one_row() -> None:
    sample_map = SampleMap(1)
    for i in range(5):
        sample_map.add_received(np.array([i, i + 0.5]))
        sample_map.add_chunk(chunk([[i], [i]], [i, i + 0.5], 2 * i))
    rows, stamps_s = sample_map.pop_rows()
    assert rows.tolist() == [[0, 10, 0, -1]]
    assert stamps_s.tolist() == [100.0]
    assert sample_map.pop_rows()[0].shape == (0, 4)


def test_sample_map_has_rows_for_blank_channels() -> None:
    sample_map = SampleMap(2)
    sample_map.add_received(np.array([0.0, 1.0]))
    sample_map.add_chunk(chunk([[1, np.nan], [1, np.nan]], [0, 1]))
    sample_map.add_received(np.array([2.0, 3.0]))
    sample_map.add_chunk(chunk([[1, np.nan], [1, 5]], [2, 3], 2))
    assert sample_map.pop_rows()[0].tolist() == [[0, 4, 0, -1], [0, 3, 0, 1]]


def test_sample_map_skips_dropped_sample() -> None:
    sample_map = SampleMap(1)
    sample_map.add_received(np.array([0.0, 1.0, 2.0]))
    sample_map.add_chunk(chunk([[1], [1]], [0, 2]))
    assert sample_map.pop_rows()[0].tolist() == [[0, 1, 0, -1], [1, 1, 2, -1]]


def test_sample_map_refuses_sample_never_received() -> None:
    sample_map = SampleMap(1)
    sample_map.add_received(np.array([0.0]))
    with pytest.raises(WrongInput, match="the source gave 1 samples from index 1 on that it was never seen"):
        sample_map.add_chunk(chunk([[1], [1]], [0, 1]))


def mapped(rows: np.ndarray, stamps_s: np.ndarray) -> MappedEeg:
    """Return the EEG of two received samples of two channels, as these rows place it."""
    columns = EegColumns(("A", "B"), (0, 1), np.ones(2))
    received = SimpleNamespace(
        n_samples=2,
        holes=(),
        footer={"sample_count": 2},
        values=lambda start, stop: np.array([[1.0, 2.0], [3.0, 4.0]])[start:stop],
    )
    return MappedEeg(received, columns, 100.0, rows, stamps_s)  # type: ignore[arg-type]


def test_missing_samples_at_the_end_are_samples_of_the_session() -> None:
    """Features were computed of them; a re-run that ended before them would lack those."""
    source = SampleMap(2)
    source.add_received(np.array([1.0, 2.0]))
    nothing, times_s = [np.nan, np.nan], np.arange(5) / 100
    source.add_chunk(
        Chunk(np.array([[1.0, 2.0], [3.0, 4.0], nothing]), 0, np.array([1.0, 2.0, np.nan]), times_s[:3])
    )
    rows, stamps_s = source.pop_rows()
    source.add_chunk(Chunk(np.array([nothing] * 2), 3, np.array(nothing), times_s[3:]))
    more, more_s = source.pop_rows()
    seen = mapped(np.concatenate((rows, more)), np.concatenate((stamps_s, more_s)))
    assert seen.n_samples == 5
    assert seen.n_mapped == 2
    assert np.isnan(seen.eeg(2, 5)).all()
    assert np.isfinite(seen.eeg(0, 2)).all()


def test_missing_end_after_a_blank_channel_counts_as_well() -> None:
    rows = np.array([[0, 2, 0, PRESENT], [1, 4, 0, 0]], dtype=np.float64)
    assert mapped(rows, np.array([1.0, 1.01])).n_samples == 5


@pytest.mark.parametrize("far", [(4, 2), (2**40, 2), (2, 2**40), (0, 2**40)])
def test_damaged_row_makes_no_recording_longer_than_it_can_be(far: tuple[int, int]) -> None:
    rows = np.array([[0, 2, 0, PRESENT], [*far, 0, 0]], dtype=np.float64)
    assert mapped(rows, np.array([1.0, 1.0])).n_samples == 2
