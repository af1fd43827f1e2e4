"""Folders of sessions: numbers never collide, nothing is overwritten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from neurofb.errors import RecordingFailed, WrongInput
from neurofb.recording.folder import SessionFolder

CREATE = """
import sys
from pathlib import Path
from neurofb.recording.folder import SessionFolder
print("ready", flush=True)
sys.stdin.readline()
for _ in range(40):
    print(SessionFolder.create(Path(sys.argv[1]), "P1", "1", "demo").run)
"""


def test_concurrent_session_folders_get_different_runs(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", CREATE, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for racer in racers:
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    runs = [int(line) for racer in racers for line in racer.communicate(timeout=60)[0].split()]
    assert sorted(runs) == list(range(1, 121))
    assert len(list((tmp_path / "sourcedata/neurofb").iterdir())) == 120


def test_session_folder_run_follows_the_highest(tmp_path: Path) -> None:
    parent = tmp_path / "sourcedata/neurofb"
    (parent / "sub-P1_ses-1_task-demo_run-07").mkdir(parents=True)
    (parent / "sub-P1_ses-1_task-demo_run-xx").mkdir()
    (parent / "sub-P1_ses-1_task-demo2_run-90").mkdir()
    folder = SessionFolder.create(tmp_path, "P1", "1", "demo")
    assert (folder.run, folder.path.name) == (8, "sub-P1_ses-1_task-demo_run-08")
    assert folder.recording == folder.path / "recording.xdf"
    assert SessionFolder.create(tmp_path, "P2", "1", "demo").run == 1


@pytest.mark.parametrize(
    "labels", [("P 1", "1", "demo"), ("P1", "../1", "demo"), ("P1", "1", ""), ("P1\n", "1", "demo")]
)
def test_session_folder_refuses_labels_bids_forbids(tmp_path: Path, labels) -> None:
    with pytest.raises(WrongInput, match="is no BIDS label: letters and digits only"):
        SessionFolder.create(tmp_path, *labels)
    assert not list(tmp_path.iterdir())


def test_session_folder_overwrites_no_file(tmp_path: Path) -> None:
    folder = SessionFolder.create(tmp_path, "P1", "1", "demo")
    assert folder.write_text("a.txt", "µ\n").read_bytes() == "µ\n".encode()
    with pytest.raises(RecordingFailed, match=r"a\.txt cannot be written: File exists"):
        folder.write_text("a.txt", "other")
    assert (folder.path / "a.txt").read_text("utf-8") == "µ\n"


def test_session_folder_with_file_in_the_way_fails(tmp_path: Path) -> None:
    (tmp_path / "sourcedata").write_text("")
    with pytest.raises(
        RecordingFailed, match=r"no folder for the session can be made in .*: (Not a d|File e)"
    ):
        SessionFolder.create(tmp_path, "P1", "1", "demo")
