"""Recordings are read in pieces: what playing takes does not grow with the file.

In CI files of some ten megabytes by what Python allocates; in ``make test-long`` the real command on 4 GB by what the
process held at most.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_files import EdfSignal, made_eeg, openbci_text, write_brainvision, write_edf, write_xdf

from neurofb.acquisition.playback import PlaybackSource
from neurofb.acquisition.readers.open import read_recording
from neurofb.clock import ManualClock
from neurofb.xdf import encoding

IS_LONG = bool(os.environ.get("NEUROFB_LONG"))
N_CHANNELS = 64
LABELS = [f"E{i + 1}" for i in range(N_CHANNELS)]
#: What a 4 GB file may take, the interpreter and all libraries included.
MOST_RSS_BYTES = 300e6


def large_edf(folder: Path, n_bytes: int) -> Path:
    samples_uv = made_eeg(250, n_channels=N_CHANNELS)
    path = write_edf(folder / "a.edf", [EdfSignal(label, samples_uv[:, i]) for i, label in enumerate(LABELS)])
    start = 256 * (N_CHANNELS + 1)
    n_records = (n_bytes - start) // (500 * N_CHANNELS)
    with path.open("r+b") as file:
        file.seek(236)
        file.write(f"{n_records:<8}".encode())
        file.truncate(start + n_records * 500 * N_CHANNELS)  # a file with a hole takes no room
    return path


def large_brainvision(folder: Path, n_bytes: int) -> Path:
    path = write_brainvision(folder / "a.vhdr", made_eeg(500, n_channels=N_CHANNELS), labels=LABELS)
    with path.with_suffix(".eeg").open("r+b") as file:
        file.truncate(n_bytes // (2 * N_CHANNELS) * 2 * N_CHANNELS)
    return path


def large_xdf(folder: Path, n_bytes: int) -> Path:
    """Write an XDF file of many chunks: the width of a Muse's sample, a lost packet here and there."""
    n, rate_hz = 128, 250.0
    path = write_xdf(folder / "a.xdf", np.empty((0, 4)), np.zeros(1))
    form = np.dtype([("bytes", "u1"), ("stamp", "<f8"), ("values", "<f8", (4,))])
    chunk = np.zeros(n, form)
    chunk["bytes"], chunk["values"] = 8, made_eeg(n)
    head = struct.pack("<IBI", 1, 4, n)
    n_chunks = n_bytes // (n * form.itemsize)
    with path.open("ab") as file:
        for i in range(n_chunks):
            chunk["stamp"] = 1000.0 + (i * n + np.arange(n) + 12 * (i // 1000)) / rate_hz
            file.write(encoding.chunk(encoding.SAMPLES, head, chunk.tobytes()))
    return path


def large_text(folder: Path, n_bytes: int) -> Path:
    lines = openbci_text(made_eeg(256 * 16, n_channels=8)).splitlines(keepends=True)
    body = "".join(lines[3:]).encode()
    path = folder / "a.txt"
    with path.open("wb") as file:
        file.write("".join(lines[:3]).encode())
        for _ in range(max(n_bytes // len(body), 1)):
            file.write(body)
    return path


MADE = [large_edf, large_brainvision, large_xdf, large_text]


@pytest.mark.parametrize("make", MADE)
@pytest.mark.parametrize("n_bytes", [4_000_000, 24_000_000])
def test_playing_takes_no_more_memory_for_a_larger_file(
    tmp_path: Path, make: Callable[[Path, int], Path], n_bytes: int
) -> None:
    path = make(tmp_path, n_bytes // (4 if make is large_text else 1))
    clock = ManualClock()
    read_recording(path)  # what is imported stays
    tracemalloc.start()
    try:
        recording = read_recording(path)
        source = PlaybackSource(recording, clock, chunk_samples=8)
        source.start()
        clock.advance(recording.duration_s)  # so much is due at a speed that no disk keeps up with
        n_seen = 0
        while n_seen < recording.n_samples // 4:
            n_seen += len(source.pull(0.0).chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 40e6


@pytest.mark.skipif(not IS_LONG, reason="4 GB: make test-long")
@pytest.mark.parametrize("make", MADE)
def test_play_of_four_gigabytes_stays_under_its_memory(
    tmp_path: Path, make: Callable[[Path, int], Path]
) -> None:
    resource = pytest.importorskip("resource", reason="Unix tells what a process held")
    path = make(tmp_path, 4_000_000_000)
    words = ["play", str(path), "--speed", "1e7", "--chunk", "4096"]
    command = f"from neurofb.cli import main; import sys; sys.argv = ['neurofb', *{words!r}]; main()"
    played = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    assert played.returncode == 0, played.stderr
    assert "Sent " in played.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MOST_RSS_BYTES
