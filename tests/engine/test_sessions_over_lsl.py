"""A session on the real clock as others see it: plain pylsl follows it, ends it by a command, and is refused heat."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pylsl
import pytest
import pyxdf

from neurofb import messages
from neurofb.signing import SessionKey, read_key_file, sign

SHORT = str(Path(__file__).parents[1] / "parts" / "short-session.toml")
BOUND_S = 60.0


@pytest.fixture
def session(tmp_path):
    """A short simulated session in another process; killed if a test leaves it running."""
    words = [
        SHORT,
        "--participant",
        "P01",
        "--simulate",
        "--headless",
        "--json",
        "--data",
        str(tmp_path),
        "--seed",
        "1",
        "--key-file",
        str(tmp_path / "lab.key"),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "neurofb", "run", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def inlet(name):
    found = pylsl.resolve_byprop("name", name, timeout=BOUND_S)
    assert found, f"{name} was never seen"
    stream = pylsl.StreamInlet(found[0], max_buflen=60, recover=False)
    stream.open_stream(timeout=BOUND_S)
    return stream


def documents(stream, until):
    """Documents of a text stream, up to the first for which ``until`` holds."""
    end_s, seen = pylsl.local_clock() + BOUND_S, []
    while pylsl.local_clock() < end_s:
        sample, _ = stream.pull_sample(timeout=1.0)
        if sample:
            seen.append(json.loads(sample[0]))
            if until(seen[-1]):
                return seen
    raise AssertionError(f"never came; seen: {[each.get('kind') for each in seen]}")


def commander(uid):
    info = pylsl.StreamInfo(messages.COMMANDS, "Commands", 1, 0.0, "string", f"test-{uid}")
    outlet = pylsl.StreamOutlet(info)
    assert outlet.wait_for_consumers(BOUND_S)
    return outlet


def end_of(session):
    out, err = session.communicate(timeout=BOUND_S)
    return json.loads(out.splitlines()[-1]), err


def test_outside_program_follows_session_and_ends_it_with_its_key(session, tmp_path):
    status = inlet(messages.STATUS)
    events, features, feedback = inlet(messages.EVENTS), inlet(messages.FEATURES), inlet(messages.FEEDBACK)
    eeg, stimulus = inlet(messages.EEG), inlet(messages.STIMULUS)
    first = documents(status, lambda each: each["state"] == "running")[-1]
    uid = first["session"]
    for stream in (events, features, feedback, eeg, stimulus):
        assert stream.info().source_id() == messages.source_id(uid, stream.info().name())
        assert stream.info().desc().child_value("session") == uid
    assert features.info().get_channel_labels() == ["frontal_midline_theta", "frontal_midline_theta.usable"]
    assert features.info().get_channel_units() == ["dB", "none"]
    assert feedback.info().get_channel_labels() == list(messages.FEEDBACK_COLUMNS)
    assert eeg.info().get_channel_labels()[:3] == ["Fp1", "Fp2", "F3"]

    outlet = commander(uid)
    outlet.push_sample([json.dumps({"command": "fire", "session": uid})])
    refused = documents(events, lambda each: each["kind"] == "refused")[-1]
    assert "'fire' would start or raise heat" in refused["message"]
    told = documents(status, lambda each: each["feedback"]["on"])[-1]
    assert told["phase"]["name"] == "training"
    assert told["channels"]["Fz"]["state"] == "ok"
    heard, stamps = eeg.pull_chunk(timeout=1.0, max_samples=10_000)
    unsigned = json.dumps({"command": "end", "session": uid, "by": "operator"})
    outlet.push_sample([unsigned])
    refused = documents(events, lambda each: each["kind"] == "refused")[-1]
    assert "'end' is not signed by a window of this session" in refused["message"]
    secret = read_key_file(tmp_path / "lab.key")
    outlet.push_sample([sign(unsigned, SessionKey(uid, secret).own("operator"), messages.COMMANDS, 1)])
    documents(events, lambda each: each["kind"] == "end")

    outcome, _ = end_of(session)
    assert (outcome["outcome"], outcome["exit_code"], session.returncode) == ("ended", 0, 0)
    streams, _ = pyxdf.load_xdf(
        Path(outcome["folder"]) / "recording.xdf", dejitter_timestamps=False, synchronize_clocks=False
    )
    recorded = {stream["info"]["name"][0]: stream for stream in streams}
    assert len(stamps) > 250
    at = np.searchsorted(recorded["simulated"]["time_stamps"], stamps[100])
    near = recorded["simulated"]["time_series"][max(0, at - 3) : at + 4]
    assert (near == np.array(heard[100])).all(axis=1).any()  # what was sent is what is recorded


def test_ctrl_c_ends_stimulus_first(session):
    events = inlet(messages.EVENTS)
    documents(events, lambda each: each["kind"] == "heat_plateau")
    session.send_signal(signal.SIGINT)
    outcome, _ = end_of(session)
    assert (outcome["outcome"], session.returncode) == ("interrupted", 130)
    streams, _ = pyxdf.load_xdf(
        Path(outcome["folder"]) / "recording.xdf", dejitter_timestamps=False, synchronize_clocks=False
    )
    recorded = {stream["info"]["name"][0]: stream for stream in streams}
    kinds = [json.loads(row[0])["kind"] for row in recorded[messages.EVENTS]["time_series"]]
    assert kinds.index("heat_aborted") < kinds.index("end")
    assert recorded[messages.STIMULUS]["time_series"][-1, 1] < 33.0
    assert all(stream["footer"] for stream in streams)


def test_outside_stop_without_session_reaches_probe_at_once(session):
    events = inlet(messages.EVENTS)
    uid = documents(inlet(messages.STATUS), lambda each: True)[-1]["session"]
    outlet = commander(uid)
    documents(events, lambda each: each["kind"] == "heat_plateau")
    outlet.push_sample([json.dumps({"command": "stop", "by": "participant"})])
    aborted = documents(events, lambda each: each["kind"] == "heat_aborted")[-1]
    assert "stopped" in aborted["message"]
    outcome, _ = end_of(session)
    assert (outcome["outcome"], session.returncode) == ("stopped", 4)
    streams, _ = pyxdf.load_xdf(
        Path(outcome["folder"]) / "recording.xdf", dejitter_timestamps=False, synchronize_clocks=False
    )
    recorded = {stream["info"]["name"][0]: stream for stream in streams}
    stamps, target = (
        recorded[messages.STIMULUS]["time_stamps"],
        recorded[messages.STIMULUS]["time_series"][:, 0],
    )
    assert target[stamps < aborted["time_s"]].max() > 40.0
    assert (target[stamps > aborted["time_s"] + 0.1] == 32.0).all()
    assert (stamps > aborted["time_s"] + 0.1).any()


def test_killed_engine_leaves_readable_record_and_cool_probe(session, tmp_path):
    events = inlet(messages.EVENTS)
    documents(events, lambda each: each["kind"] == "heat_plateau")
    killed_s = pylsl.local_clock()
    os.kill(session.pid, signal.SIGKILL)
    session.wait(timeout=BOUND_S)
    (recording,) = tmp_path.rglob("recording.xdf")
    streams, _ = pyxdf.load_xdf(recording, dejitter_timestamps=False, synchronize_clocks=False)
    recorded = {stream["info"]["name"][0]: stream for stream in streams}
    last_s = recorded["simulated"]["time_stamps"][-1]
    assert killed_s - last_s < 1.0
    assert not any(stream.get("footer") for stream in streams)
    log, end_s = recording.with_name("watchdog.jsonl"), pylsl.local_clock() + BOUND_S
    while "watchdog_ended" not in log.read_text("utf-8") and pylsl.local_clock() < end_s:
        threading.Event().wait(0.01)
    said = {entry["kind"]: entry for entry in map(json.loads, log.read_text("utf-8").splitlines())}
    assert "pipe has ended" in said["heat_ended"]["message"]  # said by the one who outlived the engine
    assert said["heat_ended"]["time_s"] - killed_s < BOUND_S
    assert said["watchdog_ended"]["time_s"] >= said["heat_ended"]["time_s"]
