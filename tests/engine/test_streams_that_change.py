"""The command ``neurofb run`` on a headset's stream that changes under it: an outlet in another process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyxdf
from changing_sender import LEVELS_UV, SWING_UV
from lsl_senders import BOUND_S, unique

from neurofb.offline.comparison import compare
from neurofb.offline.rerun import compute, loop_of
from neurofb.recording.session_recording import open_session_recording

LABELS = tuple(LEVELS_UV)
SENDER = Path(__file__).parents[1] / "parts" / "changing_sender.py"
PROFILE = """
name = "four"
title = "Four electrodes"
manufacturer = "the tests"
labels = ["Fz", "Cz", "Pz", "Oz"]
montage = "fixed"
rate_hz = 250.0
unit = "microvolts"
dc_level_uv = 0.0
reference = "none"
ground = "none"
[regions]
front = ["Fz", "Cz"]
[quality]
flat_uv = 0.5
noisy_uv = 100.0
max_dc_uv = 1000.0
line_uv = 20.0
source = "assumed: a test"
[sources]
labels = "assumed: a test"
rate_hz = "assumed: a test"
unit = "assumed: a test"
dc_level_uv = "assumed: a test"
reference = "assumed: a test"
ground = "assumed: a test"
"""
PROTOCOL = """
neurofb = ">=0.1"
[study]
id = "changing"
title = "A rest while the stream changes"
status = "adapted"
experimental = true
[[features]]
name = "front_alpha"
kind = "power"
at = { region = "front" }
band = [8.0, 12.0]
[[phases]]
name = "rest"
kind = "rest_baseline"
text = "Rest."
eyes = "open"
duration_s = 100.0
[sources]
phases = "assumed: a test"
"""


class Session:
    """A sender and ``neurofb run``, each in a process."""

    def __init__(self, folder: Path) -> None:
        (folder / "four.toml").write_text(PROFILE, "utf-8")
        (folder / "rest.toml").write_text(PROTOCOL, "utf-8")
        self.folder, name = folder, unique("Changing")
        self.sender = subprocess.Popen(
            [sys.executable, str(SENDER), name], stdin=subprocess.PIPE, encoding="utf-8"
        )
        words = [
            "run",
            folder / "rest.toml",
            "--device",
            folder / "four.toml",
            "--stream",
            name,
            "--seed",
            "1",
        ]
        words += ["--participant", "P01", "--data", folder / "data", "--headless", "--no-export"]
        self.run = subprocess.Popen(
            [sys.executable, "-m", "neurofb", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.told: list[str] = []
        self._bound = threading.Timer(2 * BOUND_S, self.kill)
        self._bound.start()

    def send(self, **command: object) -> None:
        """Tell the sender what to do next."""
        assert self.sender.stdin is not None
        self.sender.stdin.write(json.dumps(command) + "\n")
        self.sender.stdin.flush()

    def wait_for(self, kind: str) -> str:
        """Return the next line of the terminal that tells an event of a kind."""
        assert self.run.stdout is not None
        for line in self.run.stdout:
            self.told.append(line)
            if f" {kind} " in line:
                return line
        raise AssertionError(f"{kind} was never told: {self.told}, {self.run.stderr.read()}")  # type: ignore[union-attr]

    def end(self) -> Path:
        """End the session as Ctrl-C does; return its folder."""
        self.run.send_signal(signal.SIGINT)
        _, err = self.run.communicate(timeout=BOUND_S)
        assert self.run.returncode == 130, err
        assert "Traceback" not in err
        (found,) = (self.folder / "data" / "sourcedata" / "neurofb").glob("*_run-*")
        return found

    def kill(self) -> None:
        """End both processes."""
        for process in (self.sender, self.run):
            process.kill()

    def close(self) -> None:
        """Leave nothing behind."""
        self._bound.cancel()
        self.kill()
        for process in (self.sender, self.run):
            process.communicate()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    made = Session(tmp_path)
    yield made
    made.close()


# One session for all that needs a second program: its two searches for an outlet take a second each.
def test_run_keeps_electrodes_apart_whatever_a_stream_does(session: Session) -> None:
    session.wait_for("phase")
    session.send(bad=["Cz", "inf"])
    assert "missing samples: 1 of Cz, the first inf" in session.wait_for("no_value")
    session.send(bad=["Oz", "-3.4e38"])
    assert "missing samples: 1 of Oz" in session.wait_for("no_value")
    session.send(labels=LABELS[::-1], unit="volts")
    assert "in another order now, Oz, Pz, Cz, Fz" in session.wait_for("reordered")
    assert "in another unit now, volts" in session.wait_for("converted")
    session.wait_for("resumed")
    session.send(bad=["Fz", "-inf"])
    assert "missing samples: 1 of Fz" in session.wait_for("no_value")
    session.send(rate_hz=500.0)
    assert "250 Hz before, 500 Hz now" in session.wait_for("changed")
    folder = session.end()

    recording = open_session_recording(folder)
    eeg, came = recording.eeg(), ~np.isnan(recording.received_s())
    assert recording.labels == LABELS
    assert np.abs(eeg - list(LEVELS_UV.values()))[~np.isnan(eeg)].max() < SWING_UV + 0.01
    assert np.isnan(eeg[came]).sum(axis=0).tolist() == [1, 1, 0, 1]
    # Nothing of the last outlet is there: no sample came after it was told.
    changed_s = next(event.time_s for event in recording.events if event.kind == "changed")
    assert recording.times_s()[came][-1] < changed_s
    verdict = compare(recording, compute(recording, loop_of(recording)))
    assert verdict.is_equal
    assert verdict.demands_bits
    # To other programs the recording is one stream in one order and unit.
    streams, _ = pyxdf.load_xdf(folder / "recording.xdf", dejitter_timestamps=False, synchronize_clocks=False)
    (raw,) = (each for each in streams if each["info"]["type"] == ["EEG"])
    channels = raw["info"]["desc"][0]["channels"][0]["channel"]
    assert [each["label"][0] for each in channels] == list(LABELS)
    assert {each["unit"][0] for each in channels} == {"microvolts"}
    finite = np.where(np.abs(raw["time_series"]) < 1e6, raw["time_series"], np.nan)
    assert np.nanmax(np.abs(finite - list(LEVELS_UV.values()))) < SWING_UV + 0.01
