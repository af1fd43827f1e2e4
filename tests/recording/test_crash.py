"""Kills and power cuts: a kill costs at most 0.3 s on a slow disk too; a file that was cut opens and says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from xdf_parts import SmallSession

from neurofb.recording.session_recording import open_session_recording
from neurofb.xdf.file import read_xdf_file

N_KILLS = int(os.environ.get("NEUROFB_KILLS", 200 if os.environ.get("NEUROFB_LONG") else 8))
RATE_HZ = 500.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[bytes, np.ndarray, list[dict]]:
    folder = tmp_path_factory.mktemp("whole")
    made = SmallSession(folder, n_steps=150)
    made.session_log.close()
    session = open_session_recording(folder)
    assert session.is_whole
    streams = [
        {
            "ends": [stored.body + stored.size for stored in stream._chunks],
            "counts": np.cumsum([0, *(stored.n_samples for stored in stream._chunks)]),
            "stamps_s": stream.stamps_s(),
        }
        for stream in session.file.streams
    ]
    return (folder / "recording.xdf").read_bytes(), made.expected, streams


def test_cut_file_opens_up_to_last_whole_chunk(whole, tmp_path: Path) -> None:
    content, expected, streams = whole
    cuts = np.random.default_rng(500).integers(0, len(content), 496).tolist()
    path = tmp_path / "recording.xdf"
    for cut in [*cuts, 0, 3, 4, len(content) - 1]:
        path.write_bytes(content[:cut])
        session = open_session_recording(path)
        assert not session.is_whole
        assert any("broken off" in problem for problem in session.problems), cut
        for stream, known in zip(session.file.streams, streams, strict=False):
            n_chunks = sum(end <= cut for end in known["ends"])
            assert stream.n_samples == known["counts"][n_chunks]
            np.testing.assert_array_equal(stream.stamps_s(), known["stamps_s"][: stream.n_samples])
        assert session.eeg().tobytes() == expected[: session.n_samples].tobytes()
        assert session.lost_s <= 1.0
        assert all(event.kind == "note" for event in session.events)
    path.write_bytes(content)
    assert open_session_recording(path).is_whole


def test_file_cut_between_chunks_lists_problem(whole, tmp_path: Path) -> None:
    content, _, streams = whole
    path = tmp_path / "recording.xdf"
    path.write_bytes(content[: streams[0]["ends"][5]])
    session = open_session_recording(path)
    assert session.problems == (
        "no footer for all streams: the recording was broken off, or its end is damaged",
    )


#: A child that receives samples in real time and says of each, before it is given to the recorder, that it is there.
#: Its disk never comes to the end of a sync.
WRITER = """
import os, sys, threading, time
from pathlib import Path
import numpy as np
from neurofb.recording.writer import Recorder
from neurofb.xdf.headers import StreamHeader
recorder = Recorder(Path(sys.argv[1]))
os.fsync = lambda file: threading.Event().wait()
stream = recorder.add_stream(StreamHeader("made", "EEG", "float32", 500.0, tuple("ABCDEFGH")))
values = np.arange(800_000, dtype="<f4").reshape(-1, 8)
start_s = time.monotonic()
n = 0
while True:
    due = min(int((time.monotonic() - start_s) * 500.0), 100_000)
    if due > n:
        os.write(1, f"{due} {time.monotonic()}\\n".encode())
        recorder.append(stream, values[n:due], np.arange(n, due) / 500.0)
        n = due
    recorder.flush(time.monotonic())
    time.sleep(0.004)
"""


def kill_together(paths: list[Path], moments_s: list[float]) -> list[float]:
    """Kill recording processes, each after its time; give how old the oldest was that each lost, in s."""
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) for path in paths
    ]
    said, killed_s = {}, {}
    try:
        for child in children:
            assert child.stdout.readline(), "the child never began"
        start_s = time.monotonic()
        for i in np.argsort(moments_s).tolist():
            time.sleep(
                max(0.0, start_s + moments_s[i] - time.monotonic())
            )  # the moment is what is random here
            children[i].kill()
            killed_s[i] = time.monotonic()
            said[i] = children[i].communicate()[0].decode()
    finally:
        for child in children:
            child.kill()
            child.wait()
            child.stdout.close()
    return [lost_of(path, said[i], killed_s[i]) for i, path in enumerate(paths)]


def lost_of(path: Path, said: str, killed_s: float) -> float:
    """Return how long before the kill the oldest sample was received that is not in the file."""
    lines = [line.split() for line in said.splitlines() if line.count(" ") == 1]
    file = read_xdf_file(path)
    n = file.streams[0].n_samples if file.streams else 0
    assert not file.is_whole
    assert any("broken off" in problem for problem in file.problems)
    if n:
        np.testing.assert_array_equal(file.streams[0].values(), np.arange(8.0 * n).reshape(-1, 8))
        np.testing.assert_array_equal(file.streams[0].stamps_s(), np.arange(n) / RATE_HZ)
    return max((killed_s - float(when_s) for count, when_s in lines if int(count) > n), default=0.0)


@pytest.mark.timeout(120 + 5 * N_KILLS)
def test_kill_in_a_slow_sync_costs_at_most_300_ms(tmp_path: Path) -> None:
    moments_s = np.random.default_rng(9).uniform(0.0, 1.5, N_KILLS)
    moments_s[0] = 2.0
    lost_s: list[float] = []
    for first in range(0, N_KILLS, 4):
        numbered = range(first, min(first + 4, N_KILLS))
        lost_s += kill_together([tmp_path / f"{i}.xdf" for i in numbered], [moments_s[i] for i in numbered])
    print(f"lost at most {max(lost_s):.3f} s, median {np.median(lost_s):.3f} s, of {N_KILLS} kills")
    assert max(lost_s) <= 0.3
    assert max(lost_s) > 0.0, "nothing is ever lost? then nothing was killed at work"
    long = read_xdf_file(tmp_path / "0.xdf").streams[0]
    assert long.n_samples >= 0.5 * RATE_HZ, "who writes nothing loses little as well"
