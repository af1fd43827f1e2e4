"""Every real recording goes the whole way: played, run, exported, reported, run again, validated (test-long)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from neurofb.acquisition.readers.open import read_recording
from neurofb.devices import load_profile
from neurofb.devices.electrodes import OLD_POSITIONS, is_position

PROTOCOL = Path(__file__).parents[1] / "parts" / "played-chain.toml"
BOUND_S = 300.0
#: Recordings with EEG in them, by folder: which stream, and which device gives labels where there are none.
RECORDINGS = [
    *[(f"eegmat/Subject{n:02d}_1.edf", None, None) for n in range(8)],
    ("eegmat/Subject00_2.edf", None, None),
    ("eegmat/Subject01_2.edf", None, None),
    *[(f"physionet_eegmmidb/S001R0{n}.edf", None, None) for n in (1, 2, 3)],
    *[
        (f"muse_xdf_labrecorder/sub-P{n}_ses-S001_task-Default_run-001_eeg.xdf", None, None)
        for n in ("001", "002", "003", "023", "031", "032", "050")
    ],
    ("labrecorder_made_here/multi_format_reconnect.xdf", "eeg_float32", None),
    ("labrecorder_made_here/multi_format_reconnect.xdf", "eeg_int16", None),
    ("labrecorder_made_here/killed_no_footer.xdf", "eeg_int16", None),
    ("labrecorder_made_here/truncated_muse_P001_60000bytes.xdf", None, None),
    ("xdf_example_files/clock_resets.xdf", None, "openbci-cyton"),
    ("openbci_gui_samples/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt", None, None),
]


def neurofb(*words: object) -> list[str]:
    return [sys.executable, "-m", "neurofb", *map(str, words)]


def ran(*words: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(neurofb(*words), capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert "Traceback" not in done.stderr
    return done


def write_profile(path: Path, labels: tuple[str, ...], rate_hz: float) -> Path:
    """Write the profile of whatever was recorded: its labels, its rate, the last of its channels as posterior."""
    sources = "\n".join(
        f'{fact} = "the recording"'
        for fact in ("labels", "rate_hz", "unit", "dc_level_uv", "reference", "ground")
    )
    free = (
        place for place in ("AF3", "AF4", "PO3", "PO4", "CP1", "CP2", "FC1", "FC2") if place not in labels
    )
    positions = "\n".join(
        f"{json.dumps(label)} = {json.dumps(OLD_POSITIONS.get(label) or next(free))}"
        for label in labels
        if not is_position(label)
    )
    path.write_text(
        f'name = "recorded"\ntitle = "What was recorded"\nmanufacturer = "somebody"\nlabels = {json.dumps(labels)}\n'
        f'montage = "fixed"\nrate_hz = {rate_hz!r}\nunit = "microvolts"\ndc_level_uv = 0.0\nreference = "unknown"\n'
        f'ground = "unknown"\n[positions]\n{positions}\n[regions]\nposterior = {json.dumps(labels[-2:])}\n'
        "[quality]\nflat_uv = 0.01\nnoisy_uv = 100000.0\nmax_dc_uv = 1000000.0\nline_uv = 100000.0\n"
        f'source = "assumed: whatever was recorded"\n[sources]\n{sources}\n',
        encoding="utf-8",
    )
    return path


@pytest.mark.skipif(not os.environ.get("NEUROFB_LONG"), reason="half a minute each: make test-long")
@pytest.mark.parametrize(("file", "stream", "device"), RECORDINGS)
def test_recording_goes_the_whole_way(
    data_dir: Path, tmp_path: Path, file: str, stream: str | None, device: str | None
) -> None:
    path, name = data_dir / file, f"chain-{uuid.uuid4().hex[:8]}"
    recording = read_recording(path, stream, load_profile(device) if device else None)
    profile = write_profile(tmp_path / "recorded.toml", recording.labels, recording.rate_hz)
    chosen = ["--stream", stream] if stream else []
    chosen += ["--device", device] if device else []
    player = subprocess.Popen(
        neurofb("play", path, "--loop", "--name", name, *chosen), stdout=subprocess.PIPE, text=True
    )
    try:
        assert player.stdout is not None
        assert any("Ctrl-C stops" in line for line in player.stdout)
        run = ran(
            *("run", PROTOCOL, "--device", profile, "--stream", name, "--participant", "P01"),
            *("--seed", 1, "--data", tmp_path / "data", "--headless", "--json"),
        )
    finally:
        player.terminate()
        player.communicate()
    said = json.loads(run.stdout.splitlines()[-1])
    # Some were recorded on moving heads: no baseline of them is taken, and what was recorded goes the whole way too.
    is_refused = run.returncode == 2 and "this baseline cannot end yet: feature" in said["message"]
    assert run.returncode == 0 or is_refused, run.stdout + run.stderr
    folder = Path(said["folder"])
    again = tmp_path / "exported again"
    for words in (("rerun", folder, "--check"), ("export", folder, "--out", again), ("report", folder)):
        done = ran(*words)
        assert done.returncode == 0, done.stdout + done.stderr
    validator = Path(sys.executable).with_name("bids-validator-deno")
    if not validator.exists():
        pytest.skip("all but the BIDS validator, which is not installed: pip install bids-validator-deno")
    for dataset in (tmp_path / "data", again):
        checked = subprocess.run(
            [validator, dataset, "--json"], capture_output=True, text=True, timeout=BOUND_S, check=False
        )
        issues = json.loads(checked.stdout)["issues"]["issues"]
        assert [issue for issue in issues if issue["severity"] == "error"] == []
