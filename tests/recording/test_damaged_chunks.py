"""A byte that is damaged in the head of a chunk may cost samples; it never moves others to a wrong place."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from xdf_parts import SmallSession, header, numbers, record

from neurofb.recording.session_recording import open_session_recording
from neurofb.xdf.file import read_xdf_file

#: From the first byte of a chunk of samples to its samples: length, tag, stream, count.
HEAD = 16


@pytest.fixture(scope="module", params=["int16", "double64"])
def made(request, tmp_path_factory) -> tuple[bytes, np.ndarray, list[int], dict[int, int]]:
    """Return a session; four columns of double64 are as wide as a row of the stream that places samples."""
    folder = tmp_path_factory.mktemp(request.param)
    session = SmallSession(folder, n_steps=120, form=request.param)
    session.session_log.close()
    path = folder / "recording.xdf"
    streams = read_xdf_file(path).streams
    widths = {stream.header.number: stream._width for stream in streams}
    return path.read_bytes(), session.expected, [stored.body for stored in streams[0]._chunks], widths


def n_wrong(path: Path, content: bytes, expected: np.ndarray) -> tuple[int, float]:
    """Return the number of wrong samples, and the share of samples that are left."""
    path.write_bytes(content)
    session = open_session_recording(path)
    assert session.problems
    read = session.eeg()
    n = min(len(read), len(expected))
    assert np.isnan(read[n:]).all()
    there = ~np.isnan(read[:n])
    wrong = int((there & (read[:n] != expected[:n])).sum())
    return wrong, there.sum() / (~np.isnan(expected)).sum()


@pytest.mark.parametrize("at", range(HEAD))
def test_damaged_chunk_head_moves_no_sample(made, tmp_path: Path, at: int) -> None:
    content, expected, bodies, widths = made
    for cut in (len(content), int(0.9 * len(content))):
        for body in (bodies[len(bodies) // 12], bodies[len(bodies) // 6]):
            for bit in range(8):
                damaged = bytearray(content[:cut])
                damaged[body - HEAD + at] ^= 1 << bit
                wrong, part = n_wrong(tmp_path / "recording.xdf", bytes(damaged), expected)
                assert wrong == 0, (cut, body, bit)
                # Samples taken for those of a stream as wide leave no trace of where they stood.
                number = struct.unpack_from("<I", damaged, body - 9)[0]
                if widths.get(number) == widths[1] and number != 1:
                    continue
                assert part > (0.75 if cut == len(content) else 0.05), (cut, body, bit)


@pytest.mark.parametrize("number", [0, 2, 3, 4, 5, 6, 7, 2**32 - 1])
def test_chunk_with_wrong_stream_number_moves_no_sample(made, tmp_path: Path, number: int) -> None:
    content, expected, bodies, _ = made
    for cut in (len(content), int(0.9 * len(content))):
        damaged = bytearray(content[:cut])
        assert struct.unpack_from("<I", damaged, bodies[5] - 9) == (1,)
        struct.pack_into("<I", damaged, bodies[5] - 9, number)
        assert n_wrong(tmp_path / "recording.xdf", bytes(damaged), expected)[0] == 0


def test_hole_is_recorded_where_chunk_is_damaged(tmp_path: Path) -> None:
    """Not behind the chunk that follows it."""
    path = record(tmp_path / "a.xdf", [(header(), numbers("float32", 1000, 2), np.arange(1000) / 100.0)])
    whole = read_xdf_file(path).streams[0].values()
    content = bytearray(path.read_bytes())
    stored = read_xdf_file(path).streams[0]._chunks[4]
    content[stored.body - HEAD] = 3  # no length is stored so
    path.write_bytes(content)
    stream = read_xdf_file(path).streams[0]
    (hole,) = stream.holes
    n_lost = 1000 - stream.n_samples
    assert n_lost > 0
    np.testing.assert_array_equal(stream.values(0, hole), whole[:hole])
    np.testing.assert_array_equal(stream.values(hole), whole[hole + n_lost :])
