"""`neurofb run` with a stream whose stamps or rate are not what they should be: what is recorded, told and refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from eeg_peer import peer
from lsl_senders import unique

from neurofb.offline.bids.export import export
from neurofb.offline.session import Session, read_session

FOUR = """name = "four-dry"
title = "Four dry electrodes"
manufacturer = "neurofb"
labels = ["Fz", "Cz", "Pz", "Oz"]
montage = "fixed"
rate_hz = 250.0
unit = "microvolts"
dc_level_uv = 0.0
reference = "left earlobe"
ground = "right earlobe"
[regions]
posterior = ["Pz", "Oz"]
[quality]
flat_uv = 0.5
noisy_uv = 100.0
max_dc_uv = 1000.0
line_uv = 20.0
source = "chosen for tests"
[sources]
labels = "chosen for tests"
rate_hz = "chosen for tests"
unit = "chosen for tests"
dc_level_uv = "chosen for tests"
reference = "chosen for tests"
ground = "chosen for tests"
"""
SHORT = """neurofb = ">=0.1"
[study]
id = "stamps"
title = "A few seconds"
status = "adapted"
experimental = true
[[features]]
name = "posterior_alpha"
kind = "power"
at = { region = "posterior" }
band = [8.0, 12.0]
scale = "db"
[feedback]
feature = "posterior_alpha"
direction = "up"
[baseline]
least_s = 0.5
longest_s = 20.0
[[phases]]
name = "rest"
kind = "rest_baseline"
eyes = "open"
duration_s = 2.0
[[phases]]
name = "practice"
kind = "training"
feedback = "rest"
eyes = "open"
duration_s = 1.5
[sources]
phases = "assumed: a test"
"""


def command(tmp_path: Path) -> tuple[list[str], str]:
    """Return the command that runs a session of some seconds with a peer's stream, and the name of that."""
    name = unique("Peer")
    device, protocol = tmp_path / "four-dry.toml", tmp_path / "short.toml"
    device.write_text(FOUR, "utf-8")
    protocol.write_text(SHORT, "utf-8")
    words = [protocol, "--participant", "P01", "--device", device, "--stream", name, "--headless"]
    words += ["--skin-account", tmp_path / "account", "--data", tmp_path / "data"]
    return [sys.executable, "-m", "neurofb", "run", *map(str, words)], name


def run(tmp_path: Path, **plan: object) -> tuple[subprocess.CompletedProcess[str], Session, float]:
    """Run a session; return also when the first sample was taken."""
    words, name = command(tmp_path)
    with peer(name=name, noise_uv=8.0, **plan) as sender:
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60.0)
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.close()
        start_s = json.loads(sender.stdout.readline())["start_s"]
    recordings = list((tmp_path / "data").rglob("recording.xdf"))
    assert len(recordings) == 1, done.stdout + done.stderr
    (recording,) = recordings
    return done, read_session(recording.parent), start_s


def test_run_refuses_a_stream_that_sends_twice_as_fast_as_it_says(tmp_path: Path) -> None:
    done, session, _ = run(tmp_path, sends_hz=500.0)
    said = done.stdout + done.stderr
    assert done.returncode == 3, said
    assert "the EEG is refused: 500." in said
    assert "samples come a second, not the 250 that the stream or its profile says" in said
    assert "Traceback" not in said
    assert not session.feedback["reward"].any()


def test_run_refuses_a_stream_without_a_fixed_rate(tmp_path: Path) -> None:
    words, name = command(tmp_path)
    with peer(name=name, noise_uv=8.0, says_hz=0.0):
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60.0)
    said = done.stdout + done.stderr
    assert done.returncode == 3, said
    assert "it says that it has no fixed rate (0 Hz), not 250" in said
    assert "Traceback" not in said
    assert not list((tmp_path / "data").rglob("recording.xdf"))


#: Each kind of stamps, and how the session calls their clock.
CLOCKS = {
    "ahead": r"another clock, \+(29\.9|30\.0) s off LSL's clock",
    "unix": r"unix time \(seconds since 1970\)",
    "ms": r"milliseconds of another clock",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Session, float]]:
    """Run a session with each kind of stamps, all at once: each waits for its stream most of the time."""
    with ThreadPoolExecutor(len(CLOCKS)) as pool:
        runs = {kind: pool.submit(run, tmp_path_factory.mktemp(kind), stamps=kind) for kind in CLOCKS}
    done = {kind: each.result() for kind, each in runs.items()}
    assert {kind: each.returncode for kind, (each, *_) in done.items()} == dict.fromkeys(CLOCKS, 0)
    return {kind: (each.stdout + each.stderr, *rest) for kind, (each, *rest) in done.items()}


@pytest.mark.parametrize("kind", CLOCKS)
def test_run_keeps_one_axis_with_stamps_of_another_clock(
    kind: str, ran: dict[str, tuple[str, Session, float]], tmp_path: Path
) -> None:
    said, session, start_s = ran[kind]
    assert re.search("stamps its samples with " + CLOCKS[kind], said)
    ages_s = session.feedback["age_s"]
    assert len(ages_s) > 10
    assert 0.0 <= ages_s.min() <= np.median(ages_s) < 0.5
    raw = session.raw()
    numbers = raw.get_data(["Fz"])[0] / 0.01e-6
    header = export(session.recording.folder, tmp_path / "bids")
    rows = header.with_name(header.name.replace("_eeg.vhdr", "_events.tsv")).read_text("utf-8").splitlines()
    columns = rows[0].split("\t")
    events = [dict(zip(columns, row.split("\t"), strict=True)) for row in rows[1:]]
    for kind, name in (("phase", "rest"), ("phase", "practice")):
        told_s = next(e.time_s for e in session.events if e.kind == kind and name in e.message)
        onset_s = next(a["onset"] for a in raw.annotations if a["description"] == f"{kind}/{name}")
        # The EEG at the annotation is the one that was taken when the phase began.
        taken_s = start_s + numbers[round(onset_s * 250.0)] / 250.0
        assert taken_s == pytest.approx(told_s, abs=0.03)
        exported_s = next(float(each["onset"]) for each in events if each["trial_type"] == f"{kind}/{name}")
        assert exported_s == pytest.approx(onset_s, abs=0.004)
