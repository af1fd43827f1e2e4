"""Cost of the record: what writing takes of a core, how long opening takes, and that a long session needs no memory."""

from __future__ import annotations

import gc
import logging
import resource
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import row
from neurofb.acquisition.received import ReceivedBlock, generated_info
from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import ManualClock
from neurofb.devices import load_profile
from neurofb.devices.columns import EegColumns
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.session_log import LogColumns, SessionLog
from neurofb.events import Event
from neurofb.features.presets import frontal_midline_theta
from neurofb.features.value import FeatureValue
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings
from neurofb.loop.loop import Loop, Output
from neurofb.loop.settings import LoopSettings
from neurofb.recording.session_recording import SessionRecording, open_session_recording
from neurofb.recording.writer import Recorder
from neurofb.simulation.artifacts import NO_ARTIFACTS
from neurofb.simulation.head import Head, HeadSettings
from neurofb.spatial.montage import Montage

FEATURES = {"frontal_midline_theta": "dB", "posterior_alpha": "dB"}
#: What the issue of crash-safe recording asks: a part of one core, in %.
AT_MOST_PERCENT = 3.0
AT_MOST_OPEN_S = 2.0
AT_MOST_STEP_MS = 0.2
START_S = 1000.0
#: EEG of the baseline that feedback is given against, and that comes again and again after it.
BASELINE_SAMPLES = 20_000


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        yield writing(folder / "64", 5.0 if short else 60.0)
        yield delaying(folder / "delay", 5.0 if short else 60.0)
        yield from opening(folder / "8", 300.0 if short else 3600.0)
        yield lasting(folder / "long", 600.0 if short else 8 * 3600.0)
        yield reading(folder / "big", 60.0 if short else 7200.0)


class Session:
    """A session of session log and recorder alone: EEG, values at the hop rate, an event each second."""

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
        info = generated_info("bench", labels, rate_hz)
        if form == "<f4":
            info = replace(info, value_format="float32")
        eeg = EegColumns.in_microvolts(labels)
        self._recorder = Recorder(folder / "recording.xdf", waits=waits)
        self.session_log = SessionLog(self._recorder, None, self.clock, LogColumns(info, eeg, FEATURES))

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

    def next(self) -> tuple[ReceivedBlock, Chunk, list[FeatureValue]]:
        """Give what comes next, and what is made of it."""
        stamps_s = START_S + (self._index + np.arange(self._n)) / self.rate_hz
        at = self._index + self._n - 1
        values = [FeatureValue(name, 3.0, at, True, "", 0.1) for name in FEATURES]
        return ReceivedBlock(self._raw, stamps_s), Chunk(self._uv, self._index, stamps_s, stamps_s), values

    def record(self, block: ReceivedBlock, chunk: Chunk, values: list[FeatureValue]) -> None:
        """Do what the engine does for the record."""
        self.session_log.write(Batch(chunk, [block]), Output(values, []))

    def flush(self) -> None:
        """Do what it does at the end of a step."""
        if self._index % round(self.rate_hz) < self._n:
            self.session_log.log_event(Event("note", self.clock.now_s(), "a second more", self._index))
        self.session_log.flush()
        self._index += self._n
        self.clock.advance(self._n / self.rate_hz)


def writing(folder: Path, duration_s: float) -> dict[str, Any]:
    """Record 64 channels at 1,000 Hz in chunks of 32 ms as they would come: in real time."""
    session = Session(folder, 64, 1000.0, 0.032, "<f4", waits=False)
    session.run(2.0)
    used_s, start_s = time.process_time(), time.perf_counter()
    for step in range(round(duration_s / 0.032)):
        time.sleep(max(0.0, start_s + step * 0.032 - time.perf_counter()))
        session.record(*session.next())
        session.flush()
    used_s = time.process_time() - used_s
    session.session_log.close()
    return row(
        "recording 64 channels at 1,000 Hz",
        100.0 * used_s / duration_s,
        "% of a core",
        at_most=AT_MOST_PERCENT,
        detail="float32, with values at 31 Hz and events, in real time; all threads, every fsync included",
    )


class Unrecorded:
    """Stands where a recorder would and keeps nothing."""

    n_bytes = 0

    def is_due(self, *_: object) -> bool:
        return False

    def add_stream(self, *_: object) -> int:
        return 1

    def append(self, *_: object) -> None:
        pass

    offset = flush = close = append


class Outward:
    """Notes when feedback goes out; nobody hears it."""

    is_watched = False
    out_s = 0.0

    def feedback(self, *_: object) -> None:
        self.out_s = time.perf_counter()

    def _nothing(self, *_: object) -> None:
        pass

    eeg = features = stimulus = event = status = yield_after_send = close = _nothing


class Giving:
    """The engine's steps from a pulled chunk on, in a running block: 64 channels at 1,000 Hz, sample by sample."""

    def __init__(self, recorder: Any, eeg: FloatArray) -> None:
        profile = load_profile("actichamp-64")
        theta = frontal_midline_theta()
        settings = LoopSettings(
            (theta,),
            Montage.of(profile),
            1000.0,
            FeedbackSettings(feature=theta.name),
            BaselineSettings(least_s=5.0),
        )
        loop = Loop(settings)
        units = {name: measure.unit for name, measure in loop.measures.items()}
        info = generated_info("bench", profile.labels, 1000.0)
        self._eeg, self._at, self._out = eeg, 0, Outward()
        self.clock = ManualClock(START_S)
        columns = LogColumns(info, EegColumns.in_microvolts(profile.labels), units)
        self._session_log = SessionLog(recorder, self._out, self.clock, columns)
        self._recorded_loop = RecordedLoop(loop, self._session_log, at_once=True)
        self._recorded_loop.do("collect", condition="rest")
        while self._at < BASELINE_SAMPLES:
            self.step(1000)
        self._recorded_loop.do("collected")
        self._recorded_loop.start_fit()
        self._recorded_loop.do("start_block", condition="rest")

    def step(self, n: int = 1) -> float | None:
        """Take in the next samples; give how long feedback took to go out, if there was any."""
        rows = np.arange(self._at, self._at + n) % len(self._eeg)
        times_s = START_S + (self._at + np.arange(n)) / 1000.0
        chunk = Chunk(self._eeg[rows], self._at, times_s, times_s)
        self._at += n
        self.clock.advance(n / 1000.0)
        begun_s = time.perf_counter()
        batch = Batch(chunk, [ReceivedBlock(chunk.samples, times_s)])
        given = self._recorded_loop.push(batch, self.clock.now_s())
        if not given:
            return None
        self._session_log.flush()
        return self._out.out_s - begun_s

    def close(self) -> None:
        self._recorded_loop.close()
        self._session_log.close()


def delaying(folder: Path, duration_s: float) -> dict[str, Any]:
    """Give out feedback with a recorder and without, by turns of a second, in real time."""
    folder.mkdir()
    profile = load_profile("actichamp-64")
    head = Head(profile.labels, 1000.0, HeadSettings(seed=1, artifacts=NO_ARTIFACTS), labels=profile.labels)
    eeg = head.generate(BASELINE_SAMPLES).samples
    recorded = Giving(Recorder(folder / "recording.xdf"), eeg)
    unrecorded = Giving(Unrecorded(), eeg)
    took_ms: dict[Giving, list[float]] = {recorded: [], unrecorded: []}
    start_s, done = time.perf_counter(), 0
    for turn in range(2 * round(duration_s)):
        giving = (recorded, unrecorded)[turn % 2]
        for _ in range(1000):
            time.sleep(max(0.0, start_s + done / 1000.0 - time.perf_counter()))
            done += 1
            out_s = giving.step()
            if out_s is not None:
                took_ms[giving].append(1e3 * out_s)
    recorded.close()
    unrecorded.close()
    p99_ms = {giving: float(np.percentile(each, 99)) for giving, each in took_ms.items()}
    medians = [np.median(each) for each in took_ms.values()]
    return row(
        "what recording adds to the latency of feedback, 99th percentile",
        p99_ms[recorded] - p99_ms[unrecorded],
        "ms",
        at_most=AT_MOST_STEP_MS,
        detail=f"from a chunk to its feedback on the way out, 64 channels at 1,000 Hz, by the clock on the wall: 99 % "
        f"{p99_ms[recorded]:.3f} ms with a recorder and {p99_ms[unrecorded]:.3f} ms without, by turns in one run; "
        f"medians {medians[0]:.3f} and {medians[1]:.3f} ms",
    )


def opening(folder: Path, duration_s: float) -> Iterator[dict[str, Any]]:
    """Open a session of 8 channels at 256 Hz, beside pyxdf."""
    session = Session(folder, 8, 256.0, 0.03125, "<f4")
    session.run(duration_s)
    session.session_log.close()
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
    session.session_log.close()
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
    session.session_log.close()
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
