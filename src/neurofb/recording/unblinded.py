"""The note in the folders of a participant's sessions that they were unblinded.

In: a dataset, the record of an allocation's unblindings. Out: a file beside each recording, which stays as it is. Kept:
nothing. The arm is in none of them.
"""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from neurofb import limits
from neurofb.blinding.envelope_folder import UNBLINDED, read_log
from neurofb.errors import RecordingFailed
from neurofb.folding import folded
from neurofb.recording.folder import sync_folder

UNBLINDINGS = "unblindings.json"


def note_unblinding(data: Path, participant: str, envelopes: Path) -> list[str]:
    """Write all unblindings of a participant beside each of their recordings; return the names of the sessions.

    Raises
    ------
    RecordingFailed
        If a note cannot be written; the record in the folder of envelopes is there all the same.
    """
    found = [each for each in read_log(envelopes / UNBLINDED) if each["participant"] == participant]
    noted = []
    for path in sorted((data / "sourcedata" / "neurofb").glob("sub-*_run-*")):
        code = path.name.removeprefix("sub-").split("_")[0]
        if path.is_dir() and folded(code) == folded(participant):
            _write(path / UNBLINDINGS, json.dumps(found, indent=1, ensure_ascii=False))
            noted.append(path.name)
    return noted


def read_unblindings(folder: Path) -> list[dict[str, Any]]:
    """Return the unblindings that are noted beside a recording; none if there is no readable note."""
    try:
        found = limits.parse_json(limits.read_text(folder / UNBLINDINGS, limits.MOST_JSON_BYTES))
    except (OSError, ValueError):
        return []
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _write(path: Path, text: str) -> None:
    whole = path.with_name(f".{secrets.token_hex(8)}")
    try:
        with whole.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        whole.replace(path)
    except OSError as error:
        raise RecordingFailed(
            f"{path} cannot be written: {error.strerror}; the unblinding is recorded beside the envelopes all the same"
        ) from None
    sync_folder(path.parent)
