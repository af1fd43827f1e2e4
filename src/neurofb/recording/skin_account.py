"""Which participants had sessions, in which datasets, and the dose of each place on their skin: one file for a user.

In: what a session begins and ends with. Out: entries, the oldest first. Kept: a file of JSON lines with codes, places,
doses, dates and the paths of datasets; no names. A session that begins is noted before its device is opened, so that
one whose folder is lost is not forgotten.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path

from neurofb.errors import RecordingFailed, WrongFile
from neurofb.folding import folded
from neurofb.recording.user_files import user_file

#: Names another file than the one in the user's own folder.
ENVIRONMENT = "NEUROFB_SKIN_ACCOUNT"
FILE = "skin-account.jsonl"


def account_path(chosen: Path | None = None) -> Path:
    """Return the account's file: the chosen one, that of the environment, or the one in the user's data folder."""
    if chosen is not None:
        return chosen
    return user_file(FILE, ENVIRONMENT)


@dataclass(frozen=True, slots=True)
class AccountEntry:
    """One session of a participant."""

    code: str
    #: The dataset's path, and the name of the run's folder in it.
    dataset: str
    folder: str
    session: str
    #: Date and time of its start, as given, and in seconds since 1970.
    date: str
    wall_s: float
    #: Its places on the skin, and the fraction of the contact-burn limit that each may have.
    sites: tuple[str, ...]
    budget: float
    #: The dose that the run added at each site; None if it did not end in order.
    used: Mapping[str, float] | None = None

    @property
    def path(self) -> Path:
        """The run's folder."""
        return Path(self.dataset) / "sourcedata" / "neurofb" / self.folder


def read_account(path: Path) -> list[AccountEntry]:
    """Return all entries; none if there is no file. A last line that was broken off is left out.

    Raises
    ------
    WrongFile
        If another line cannot be read.
    """
    try:
        lines = path.read_text("utf-8").split("\n")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise WrongFile(f"the account of the skin {path} cannot be read: {error}") from None
    entries: dict[tuple[str, str], AccountEntry] = {}
    for i, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            _add_line(entries, json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            if i == len(lines) - 1:
                break
            raise WrongFile(
                f"line {i + 1} of the account of the skin {path} cannot be read; repair it, or name another file with "
                "--skin-account"
            ) from None
    return list(entries.values())


def _add_line(entries: dict[tuple[str, str], AccountEntry], content: Mapping[str, object]) -> None:
    key = str(content["dataset"]), str(content["folder"])
    if content["kind"] == "ended":
        used = content["used"]
        assert isinstance(used, Mapping)
        entries[key] = replace(entries[key], used={str(site): float(share) for site, share in used.items()})
        return
    sites = content["sites"]
    assert isinstance(sites, list)
    words = {name: str(content[name]) for name in ("code", "dataset", "folder", "session", "date")}
    numbers = {name: float(str(content[name])) for name in ("wall_s", "budget")}
    entries[key] = AccountEntry(**words, **numbers, sites=tuple(str(site) for site in sites))  # type: ignore[arg-type]


def entries_of(entries: list[AccountEntry], code: str) -> list[AccountEntry]:
    """Return the entries of a code, however it is spelt."""
    return [entry for entry in entries if folded(entry.code) == folded(code)]


def note_begin(path: Path, entry: AccountEntry) -> None:
    """Append that a session begins.

    Raises
    ------
    RecordingFailed
        If it cannot be written.
    """
    _append(path, {"kind": "begun", **{k: v for k, v in asdict(entry).items() if k != "used"}})


def note_end(path: Path, dataset: str, folder: str, used: Mapping[str, float]) -> None:
    """Append what a session that ended in order added at each site; errors as of ``note_begin``."""
    _append(path, {"kind": "ended", "dataset": dataset, "folder": folder, "used": dict(used)})


def _append(path: Path, content: Mapping[str, object]) -> None:
    line = json.dumps(content, ensure_ascii=False, sort_keys=True) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with open(number, "r+b", buffering=0) as file:
            _drop_torn_line(file)
            file.write(line.encode())
            os.fsync(number)
    except OSError as error:
        raise RecordingFailed(
            f"the account of the skin {path} cannot be written: {error.strerror}; name another file with "
            "--skin-account, or make this one writable"
        ) from error


def _drop_torn_line(file: FileIO) -> None:
    """Cut a last line that was broken off: what follows it would be lost with it."""
    file.seek(0)
    content = file.read()
    if content and not content.endswith(b"\n"):
        file.truncate(content.rfind(b"\n") + 1)
