"""The folder of a session: run numbers never collide, nothing is overwritten."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from neurofb.errors import RecordingFailed, WrongInput

RECORDING, SETTINGS, PROTOCOL = "recording.xdf", "session.json", "protocol.toml"
_LABEL = re.compile(r"[A-Za-z0-9]+")
_RUN = re.compile(r"_run-(\d+)$")


@dataclass(frozen=True, slots=True)
class SessionFolder:
    """The folder of one run."""

    path: Path
    #: BIDS labels.
    participant: str
    session: str
    task: str
    run: int

    @classmethod
    def create(cls, data: Path, participant: str, session: str, task: str) -> SessionFolder:
        """Make ``data/sourcedata/neurofb/sub-…_ses-…_task-…_run-…`` with the next free number.

        Raises
        ------
        WrongInput
            If a label has other characters than letters and digits.
        RecordingFailed
            If the folder cannot be made.
        """
        for name, label in (("participant", participant), ("session", session), ("task", task)):
            if not _LABEL.fullmatch(label):
                raise WrongInput(f"the {name} {label!r} is no BIDS label: letters and digits only, as 'P07'")
        parent = Path(data) / "sourcedata" / "neurofb"
        stem = f"sub-{participant}_ses-{session}_task-{task}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            run = 1 + max(
                (int(found[1]) for p in parent.glob(f"{stem}_run-*") if (found := _RUN.search(p.name))),
                default=0,
            )
            while True:
                path = parent / f"{stem}_run-{run:02d}"
                try:
                    path.mkdir()
                except FileExistsError:
                    run += 1  # made by another program meanwhile
                    continue
                for made in (path, parent, parent.parent, parent.parent.parent):
                    sync_folder(made.parent)
                return cls(path, participant, session, task, run)
        except OSError as error:
            raise RecordingFailed(
                f"no folder for the session can be made in {parent}: {error.strerror}; choose another with --data, "
                "or make this one writable"
            ) from error

    @property
    def recording(self) -> Path:
        """Path of the recording."""
        return self.path / RECORDING

    @property
    def loss(self) -> str:
        """What was lost with the folder or its recording, in words; empty while the recording is there."""
        if self.recording.exists():
            return ""
        gone = f"{RECORDING} is gone from {self.path}" if self.path.exists() else f"{self.path} is gone"
        return (
            f"NOT recorded: {gone}, and with it the EEG, the feedback, the events and the ratings of this session. If "
            "it was only moved, it is where it was moved to, up to that moment"
        )

    def write_text(self, name: str, text: str) -> Path:
        """Write a new file and sync it to disk."""
        return self.write_bytes(name, text.encode("utf-8"))

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write a new file and sync it to disk."""
        path = self.path / name
        try:
            with path.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RecordingFailed(f"{path} cannot be written: {error.strerror}") from error
        sync_folder(self.path)
        return path


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk, where the system can sync folders."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
