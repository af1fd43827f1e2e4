"""``neurofb play`` over real LSL: another process receives what the file holds, in time, with labels and units."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import mne
import numpy as np
import pytest

RATE_HZ, LABELS = 250.0, ("C3", "Cz", "C4")
GAP = slice(200, 250)
PLAY = [sys.executable, "-c", "from neurofb.cli import main; main()", "play"]

#: Receives by pylsl alone, in a process of its own: liblsl reads its settings once, when it is loaded.
RECEIVE = """
import sys, numpy as np, pylsl
name, wanted, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
found = pylsl.resolve_byprop("name", name, timeout=30)
assert len(found) == 1, found
inlet = pylsl.StreamInlet(found[0])
info = inlet.info()
values, stamps = [], []
while len(stamps) < wanted:
    value, stamp = inlet.pull_sample(timeout=20)
    assert stamp is not None, f"no more than {len(stamps)} samples came"
    values.append(value)
    stamps.append(stamp)
np.savez(
    path, values=values, stamps=stamps, labels=info.get_channel_labels(), units=info.get_channel_units(),
    types=info.get_channel_types(), rate=info.nominal_srate(), type=info.type(), source_id=info.source_id(),
)
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Keep LSL on this machine, on loopback without multicast too, and each test in a session of its own."""
    settings = tmp_path / "lsl_api.cfg"
    settings.write_text(
        "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {uuid.uuid4().hex}\n[log]\nlevel = -2\n"
    )
    return {**os.environ, "LSLAPICFG": str(settings), "COLUMNS": "200"}


@pytest.fixture
def samples_uv() -> np.ndarray:
    return np.random.default_rng(11).normal(0.0, 20.0, (500, 3))


@pytest.fixture
def file(tmp_path: Path, samples_uv: np.ndarray) -> Path:
    """Return a recording of two seconds in which the amplifier paused."""
    raw = mne.io.RawArray(samples_uv.T * 1e-6, mne.create_info(list(LABELS), RATE_HZ, "eeg"), verbose="error")
    raw.set_annotations(
        mne.Annotations(GAP.start / RATE_HZ, (GAP.stop - GAP.start) / RATE_HZ, "BAD_ACQ_SKIP")
    )
    raw.save(tmp_path / "rest_raw.fif", fmt="double", verbose="error")
    return tmp_path / "rest_raw.fif"


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def received(
    tmp_path: Path, environment: dict[str, str], wanted: int, play: subprocess.Popen[str], name: str
) -> dict[str, np.ndarray]:
    result = subprocess.run(
        [sys.executable, "-c", RECEIVE, name, str(wanted), str(tmp_path / "received.npz")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    if result.returncode:
        play.kill()
        pytest.fail(f"{result.stderr}\nthe player said: {play.communicate()}")
    with np.load(tmp_path / "received.npz") as document:
        return dict(document)


def test_played_stream_equals_file(
    tmp_path: Path, environment: dict[str, str], file: Path, samples_uv: np.ndarray
) -> None:
    name = f"played-{uuid.uuid4().hex}"
    play = start([*PLAY, str(file), "--name", name, "--wait", "--chunk", "10"], environment)
    stream = received(tmp_path, environment, 450, play, name)
    said, errors = play.communicate(timeout=60)
    assert play.returncode == 0, errors
    there = np.delete(np.arange(500), GAP)
    np.testing.assert_array_equal(stream["values"], samples_uv[there].astype(np.float32))
    np.testing.assert_allclose(stream["stamps"] - stream["stamps"][0], there / RATE_HZ, atol=1e-6)
    assert tuple(stream["labels"]) == LABELS
    assert set(stream["units"]) == {"microvolts"}
    assert set(stream["types"]) == {"EEG"}
    assert (float(stream["rate"]), str(stream["type"])) == (RATE_HZ, "EEG")
    assert str(stream["source_id"]) in said
    assert f"as '{name}': 3 channels at 250 Hz in microvolts, 2.0 s at 1 × real time" in said
    assert "Sent 450 samples; 50 are missing in the recording." in said
    assert "sample 200: 50 samples (0.200 s) are missing in the recording" in errors
    assert "the recording is over after 500 samples" in errors


def test_play_loop_runs_until_interrupted(
    tmp_path: Path, environment: dict[str, str], file: Path, samples_uv: np.ndarray
) -> None:
    name = f"looped-{uuid.uuid4().hex}"
    play = start([*PLAY, str(file), "--name", name, "--wait", "--loop", "--speed", "8"], environment)
    stream = received(tmp_path, environment, 1000, play, name)
    play.send_signal(signal.SIGINT)
    said, errors = play.communicate(timeout=60)
    assert play.returncode == 130
    assert "neurofb: interrupted" in errors
    assert "Traceback" not in errors
    assert "Sent " in said
    there = np.delete(np.arange(500), GAP)
    rounds = np.concatenate([there, there + 500, there + 1000])[:1000]
    np.testing.assert_array_equal(stream["values"], samples_uv[rounds % 500].astype(np.float32))
    np.testing.assert_allclose(stream["stamps"] - stream["stamps"][0], rounds / RATE_HZ, atol=1e-6)
    assert "sample 500: the recording begins again; the samples do not join" in errors


def test_play_shows_progress_on_terminal(environment: dict[str, str], file: Path) -> None:
    leader, follower = pytest.importorskip("pty").openpty()
    command = [*PLAY, str(file), "--name", f"shown-{uuid.uuid4().hex}", "--speed", "4"]
    play = subprocess.Popen(
        command, env={**environment, "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=follower
    )
    os.close(follower)
    shown = b""
    try:
        while part := os.read(leader, 4096):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(leader)
    assert play.wait(timeout=60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert "━━━" in text
    assert "2 s" in text
    assert "sample 200: 50 samples (0.200 s) are missing in the recording" in text


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["rast_raw.fif"], 3, "did you mean 'rest_raw.fif'?"),
        (["rest_raw.fif", "--device", "muse2"], 3, "no device profile 'muse2'; did you mean 'muse-2'?"),
        (["rest_raw.fif", "--device", "muse-2"], 3, "missing or twice TP9, AF7, AF8, TP10"),
        (["rest_raw.fif", "--stream", "EEG"], 2, "holds no streams to choose 'EEG' from"),
        (["rest_raw.fif", "--speed", "0"], 2, "a speed is a number above 0"),
        (["rest_raw.fif", "--chunk", "0"], 2, "a chunk holds at least 1 sample"),
    ],
)
def test_play_mistakes_are_one_message(
    tmp_path: Path,
    environment: dict[str, str],
    file: Path,
    arguments: list[str],
    exit_code: int,
    message: str,
) -> None:
    result = subprocess.run(
        [*PLAY, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == exit_code
    assert message in result.stderr
    assert result.stderr.startswith("neurofb: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
