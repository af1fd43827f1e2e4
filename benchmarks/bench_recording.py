"""Cost of the record: what writing takes of a core, how long opening takes, and that a long session needs no memory."""

from __future__ import annotations

import gc
import logging
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import row
from neurofb.acquisition.raw import RawBlock, microvolt_layout
from neurofb.chunk import Chunk
from neurofb.clock import ManualClock
from neurofb.documents import Event
from neurofb.engine.journal import Journal
from neurofb.features.value import FeatureValue
from neurofb.recording.session_recording import SessionRecording, open_session_recording
from neurofb.recording.writer import Recorder

FEATURES = {"frontal_midline_theta": "dB", "posterior_alpha": "dB"}
#: What the issue of crash-safe recording asks: a part of one core, in %.
AT_MOST_PERCENT = 3.0
AT_MOST_OPEN_S = 2.0
AT_MOST_STEP_MS = 0.2
START_S = 1000.0


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        yield from writing(folder / "64", 5.0 if short else 60.0)
        yield from opening(folder / "8", 300.0 if short else 3600.0)
        yield lasting(folder / "long", 600.0 if short else 8 * 3600.0)
        yield reading(folder / "big", 60.0 if short else 7200.0)


class Session:
    """A session of journal and recorder alone: EEG, values at the hop rate, an event each second."""

    def __init__(
        self, folder: Path, n_channels: int, rate_hz: float, step_s: float, form: str, waits: bool = True
    ) -> None:
        folder.mkdir()
        self.folder, self.rate_hz, self.clock = folder, rate_hz, ManualClock(START_S)
        labels = tuple(f"E{i + 1}" for i in range(n_channels))
        self._n = round(rate_hz * step_s)
        self._index = 0
        self._raw = np.random.default_rng(0).normal(0.0, 20.0, (self._n, n_channels)).astype(form)
        self._uv = self._raw.astype(np.float64)
        layout = microvolt_layout("bench", labels, rate_hz)
        if form == "<f4":
            layout = type(layout)(
                **{key: getattr(layout, key) for key in layout.__slots__ if key != "value_format"},
                value_format="float32",
            )
        self._recorder = Recorder(folder / "recording.xdf", waits=waits)
        self.journal = Journal(self._recorder, None, self.clock, layout, labels, FEATURES)

    def run(self, duration_s: float) -> None:
        """Go on for as long."""
        for _ in range(round(duration_s * self.rate_hz / self._n)):
            self.record(*self.next())
            self.flush()

    def wait_for_disk(self) -> None:
        """Wait until nothing waits for the disk, which comes and goes."""
        while self._recorder._written < self._recorder.n_bytes:
            time.sleep(0.01)
        gc.collect()

    def next(self) -> tuple[RawBlock, Chunk, list[FeatureValue]]:
        """Give what comes next, and what is made of it."""
        stamps_s = START_S + (self._index + np.arange(self._n)) / self.rate_hz
        at = self._index + self._n - 1
        values = [FeatureValue(name, 3.0, at, True, "", 0.1) for name in FEATURES]
        return RawBlock(self._raw, stamps_s), Chunk(self._uv, self._index, stamps_s, stamps_s), values

    def record(self, block: RawBlock, chunk: Chunk, values: list[FeatureValue]) -> None:
        """Do what the engine does for the record before feedback goes out."""
        self.journal.received([block], [])
        self.journal.placed(chunk)
        self.journal.values(values)

    def flush(self) -> None:
        """Do what it does at the end of a step."""
        if self._index % round(self.rate_hz) < self._n:
            self.journal.event(Event("note", self.clock.now_s(), "a second more", self._index))
        self.journal.flush()
        self._index += self._n
        self.clock.advance(self._n / self.rate_hz)


def writing(folder: Path, duration_s: float) -> Iterator[dict[str, Any]]:
    """Record 64 channels at 1,000 Hz in chunks of 32 ms as they would come: in real time, synced twice a second."""
    session = Session(folder, 64, 1000.0, 0.032, "<f4", waits=False)
    session.run(2.0)
    took_ms: list[float] = []
    wall_ms: list[float] = []
    after_ms: list[float] = []
    used_s, start_s = time.process_time(), time.perf_counter()
    for step in range(round(duration_s / 0.032)):
        time.sleep(max(0.0, start_s + step * 0.032 - time.perf_counter()))
        made = session.next()
        before_s, before_wall_s = time.thread_time(), time.perf_counter()
        session.record(*made)
        took_ms.append(1e3 * (time.thread_time() - before_s))
        wall_ms.append(1e3 * (time.perf_counter() - before_wall_s))
        before_s = time.thread_time()
        session.flush()
        after_ms.append(1e3 * (time.thread_time() - before_s))
    used_s = time.process_time() - used_s
    session.journal.close()
    yield row(
        "recording 64 channels at 1,000 Hz",
        100.0 * used_s / duration_s,
        "% of a core",
        at_most=AT_MOST_PERCENT,
        detail="float32, with values at 31 Hz and events, in real time; both threads, every fsync included",
    )
    yield row(
        "what recording adds to the latency of feedback, 99th percentile",
        float(np.percentile(took_ms, 99)),
        "ms",
        at_most=AT_MOST_STEP_MS,
        detail=f"the processor's time of the engine's thread, median {np.median(took_ms):.3f} ms; by the clock on "
        f"the wall, beside whatever else ran: median {np.median(wall_ms):.3f}, "
        f"99th percentile {np.percentile(wall_ms, 99):.3f} ms; after feedback has gone out: "
        f"{np.percentile(after_ms, 99):.3f} ms",
    )


def opening(folder: Path, duration_s: float) -> Iterator[dict[str, Any]]:
    """Open a session of 8 channels at 256 Hz, beside pyxdf."""
    session = Session(folder, 8, 256.0, 0.03125, "<f4")
    session.run(duration_s)
    session.journal.close()
    start_s = time.perf_counter()
    opened = open_session_recording(folder)
    events = opened.events
    ours_s = time.perf_counter() - start_s
    assert opened.is_whole, opened.problems
    assert len(events) == round(duration_s)
    start_s = time.perf_counter()
    eeg = opened.eeg()
    whole_s = time.perf_counter() - start_s
    assert np.isfinite(eeg).all()
    theirs_s = by_pyxdf(opened)
    name = f"{duration_s / 3600:.2g} h of 8 channels at 256 Hz"
    yield row(
        f"opening {name}, with all events",
        ours_s,
        "s",
        at_most=AT_MOST_OPEN_S,
        peer="pyxdf.load_xdf, which loads all at once",
        peer_value=theirs_s,
    )
    yield row(f"then reading all EEG of {name}", whole_s, "s")


def by_pyxdf(opened: SessionRecording) -> float:
    """Give how long pyxdf takes for the same file."""
    import pyxdf

    logging.getLogger("pyxdf.pyxdf").setLevel(logging.CRITICAL)
    start_s = time.perf_counter()
    streams, _ = pyxdf.load_xdf(opened.path, dejitter_timestamps=False, synchronize_clocks=False)
    took_s = time.perf_counter() - start_s
    assert sum(len(stream["time_stamps"]) for stream in streams) >= opened.n_samples
    return took_s


def lasting(folder: Path, duration_s: float) -> dict[str, Any]:
    """Record for hours and look at what Python holds."""
    session = Session(folder, 8, 256.0, 0.125, "<f4")
    session.run(
        1400.0 if duration_s > 1400 else 100.0
    )  # the account of latency and the newest events are full
    tracemalloc.start()
    session.run(10.0)
    session.wait_for_disk()
    before = tracemalloc.get_traced_memory()[0]
    session.run(duration_s)
    session.wait_for_disk()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    session.journal.close()
    opened = open_session_recording(folder)
    assert opened.is_whole, opened.problems
    assert opened.n_samples >= duration_s * 256
    return row(
        f"memory that {duration_s / 3600:.2g} h of recording add",
        (after - before) / 1e6,
        "MB",
        at_most=4.0,
        detail=f"the file has {opened.path.stat().st_size / 1e6:.0f} MB; by tracemalloc, nothing waiting for the disk",
    )


def reading(folder: Path, duration_s: float) -> dict[str, Any]:
    """Read 64 channels at 1,000 Hz in pieces of a minute, in this process, which has held less before."""
    session = Session(folder, 64, 1000.0, 0.5, "<f4")
    session.run(duration_s)
    session.journal.close()
    start_s = time.perf_counter()
    opened = open_session_recording(folder)
    for start in range(0, opened.n_samples, 60_000):
        assert np.isfinite(opened.eeg(start, start + 60_000)[-1]).all()
    took_s = time.perf_counter() - start_s
    highest_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return row(
        f"highest memory after reading {duration_s / 3600:.2g} h of 64 channels at 1,000 Hz in pieces",
        highest_gb,
        "GB",
        at_most=1.5,
        detail=f"{took_s:.2f} s for {opened.path.stat().st_size / 1e9:.2f} GB; pyxdf's share of the run included",
    )
