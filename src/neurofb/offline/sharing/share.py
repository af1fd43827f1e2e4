"""Make a copy of sessions that others may have, look through it, and say what was taken out.

In: folders of sessions. Out: a dataset with copies, its BIDS made anew, and ``share.json``; or nothing, where the copy
still tells something. Kept: beside the original, by how much the dates of each participant are shifted.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from neurofb import limits
from neurofb.engine.earlier_dose import LEDGER, WATCHDOG_LOG
from neurofb.errors import NeurofbError, RecordingFailed, WrongFile, WrongInput
from neurofb.loop.participant_fit import BASELINE_FILE
from neurofb.offline.bids.export import export_session
from neurofb.offline.sharing.identity import REMOVED, Identity
from neurofb.recording.folder import PROTOCOL, RECORDING, SETTINGS
from neurofb.recording.provenance import NOT_SHARED, text_hash
from neurofb.recording.session_recording import STREAMS, SessionRecording, open_session_recording
from neurofb.xdf.copy import Changes, copy_xdf
from neurofb.xdf.headers import StreamHeader

#: In the source data of the copy, where BIDS takes any file.
SUMMARY = "share.json"
#: Beside the original and never in a copy: who has it can undo the shift.
SHIFTS = "share-shifts.json"
#: What is copied of a session; reports are made anew from it, and files of others are left out.
_COPIED = (RECORDING, PROTOCOL, SETTINGS, BASELINE_FILE, LEDGER, WATCHDOG_LOG)
#: What of a stream's description neurofb writes itself.
_DESCRIBED = ("layout", "sites", "manufacturer")
#: BIDS asks for dates before 1925 where they were shifted: a hundred years, and up to ten more by chance.
_LEAST_SHIFT_DAYS, _MORE_DAYS = 102 * 365 + 25, 3650
#: A stamp above this is seconds since 1970, no time since a computer's start: it tells the day.
_EPOCH_FROM_S = 1e9
#: Events whose texts somebody typed.
_TYPED = ("note", "mark", "rating", "command")


@dataclass(frozen=True, slots=True)
class Shared:
    """What was made."""

    out: Path
    #: The copied sessions, as paths in ``out``.
    sessions: tuple[str, ...]
    #: Kind of what was taken out → how many times it was met.
    removed: dict[str, int]
    #: Files that were not copied, by their place in the original.
    left_out: tuple[str, ...]
    #: Texts that only a person can judge: place and text.
    texts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it; nothing of what was taken out stands in it."""
        return {
            "sessions": list(self.sessions),
            "removed": dict(sorted(self.removed.items())),
            "left_out": list(self.left_out),
            "look_at": [{"where": where, "text": text} for where, text in self.texts],
            "notes": list(self.notes),
            "dates": "one random shift for each participant, the same for all their sessions",
            "kept": [
                "participant codes",
                "times since the start of the recording computer (LSL's clock)",
                "brain signals, ratings and all settings",
            ],
        }


@dataclass(slots=True)
class _Account:
    """What is known while a copy is made."""

    identity: Identity
    left_out: list[str] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def share(folders: Sequence[Path], out: Path) -> Shared:
    """Copy sessions into a new dataset without what names a computer, a device or a day.

    Parameters
    ----------
    folders : sequence of Path
        The sessions.
    out : Path
        The dataset to be made; must not be there.

    Raises
    ------
    WrongInput
        If ``out`` is there already.
    WrongFile
        If a session cannot be copied, or the copy still tells something: then there is no copy.
    RecordingFailed
        If the disk does not take it.
    """
    if out.exists():
        raise WrongInput(f"{out} is there already, and nothing is overwritten; name a new folder with --out")
    recordings = [open_session_recording(folder) for folder in folders]
    account = _Account(_identity_of(recordings))
    try:
        made = [_copy_session(recording, out, account) for recording in recordings]
        account.notes += [note for folder in made for note in _exported(folder, out)]
        shared = Shared(
            out,
            tuple(folder.relative_to(out).as_posix() for folder in made),
            dict(account.identity.counts),
            tuple(account.left_out),
            tuple(dict.fromkeys(account.texts)),
            tuple(account.identity.clean(note.replace(str(out), "the copy")) for note in account.notes),
        )
        (out / "sourcedata" / "neurofb" / SUMMARY).write_text(
            json.dumps(shared.as_dict(), indent=1, ensure_ascii=False) + "\n", "utf-8"
        )
        check_copy(out, account.identity)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        raise RecordingFailed(
            f"the copy {out} cannot be written: {error.strerror or error}; name a folder with room by --out"
        ) from error
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return shared


def check_copy(out: Path, identity: Identity) -> None:
    """Look through every byte of a copy for what was to be taken out.

    Raises
    ------
    WrongFile
        With each file and what still stands in it.
    """
    found = [
        f"{path.relative_to(out)}: {value!r}"
        for path in sorted(out.rglob("*"))
        if path.is_file()
        for value in identity.found_in(path, path.relative_to(out).as_posix())
    ]
    if found:
        raise WrongFile(
            "the copy is not kept: it still tells "
            + "; ".join(found[: limits.MOST_LISTED])
            + ". Take that out of the "
            "original, or rename what is called so"
        )


# -- what names somebody ----------------------------------------------------------------------------------------


def _identity_of(recordings: Sequence[SessionRecording]) -> Identity:
    devices = [recording.settings.get("device") or {} for recording in recordings]
    words = {str(device.get(key, "")) for device in devices for key in ("name", "title", "manufacturer")}
    words |= {
        stream.name
        for recording in recordings
        for stream in recording.file.streams
        if _is_ours(stream.header)
    }
    identity = Identity(words)
    identity.add_computer()
    for recording in recordings:
        for stream in recording.file.streams:
            header = stream.header
            identity.add_stream(header.name, header.source_id, header.uid, header.hostname)
            if header.session_id != "default":  # as LSL calls it where nobody named it
                identity.add("session id of LSL", header.session_id)
        settings = recording.settings
        if uid := str(settings.get("uid", "")):
            identity.add("uid of a session", uid, secrets.token_hex(6))
        made = settings.get("provenance") or {}
        identity.add("operating system", str(made.get("system", "")), NOT_SHARED)
        identity.add("processor", str(made.get("processor", "")), NOT_SHARED)
        date = str(settings.get("date", ""))
        identity.add("date", date)
        identity.add("date", date[:10])
    return identity


def _is_ours(header: StreamHeader) -> bool:
    return header.name in STREAMS


# -- the copy ---------------------------------------------------------------------------------------------------


def _copy_session(recording: SessionRecording, out: Path, account: _Account) -> Path:
    to = out / "sourcedata" / "neurofb" / recording.folder.name
    to.mkdir(parents=True)
    identity, folder = account.identity, recording.folder
    account.left_out += [
        f"{folder.name}/{path.name}" for path in sorted(folder.iterdir()) if path.name not in _COPIED
    ]
    settings = dict(recording.settings)
    if not settings:
        raise WrongFile(f"{folder} has no {SETTINGS} that can be read; it cannot be said what it tells")
    protocol = identity.clean(recording.protocol_text)
    (to / PROTOCOL).write_text(protocol, "utf-8", newline="\n")
    settings["date"] = _shifted(
        str(settings.get("date", "")), _shift_of(folder, str(settings.get("participant")))
    )
    settings["provenance"] = {
        **(settings.get("provenance") or {}),
        "system": NOT_SHARED,
        "processor": NOT_SHARED,
        "shared": "a copy by neurofb share; dates are shifted",
    }
    cleaned = identity.clean_document({key: value for key, value in settings.items() if key != "date"})
    if isinstance(cleaned.get("protocol"), dict):
        cleaned["protocol"]["sha256"] = text_hash(protocol)
    _write_json(to / SETTINGS, {**cleaned, "date": settings["date"]})
    for name in (BASELINE_FILE, LEDGER):
        if (folder / name).is_file():
            _write_json(to / name, identity.clean_document(limits.read_json(folder / name)))
    _copy_lines(folder / WATCHDOG_LOG, to / WATCHDOG_LOG, identity)
    copy_xdf(recording.path, to / RECORDING, _changes(recording, account))
    return to


def _changes(recording: SessionRecording, account: _Account) -> Changes:
    identity, device = account.identity, (recording.settings.get("device") or {}).get("name") or "EEG"

    def header(given: StreamHeader) -> StreamHeader:
        own = _is_ours(given)
        return replace(
            given,
            name=given.name if own else str(device),
            source_id="",
            uid="",
            hostname="",
            session_id="",
            created_s=0.0,
            labels=tuple(identity.clean(label) for label in given.labels),
            desc={key: identity.clean(str(given.desc[key])) for key in _DESCRIBED if key in given.desc},
        )

    def text(document: str) -> str:
        try:
            event = limits.parse_json(document)
        except ValueError:
            return identity.clean(document)
        cleaned = identity.clean_document(event)
        if isinstance(cleaned, dict) and cleaned.get("kind") in _TYPED:
            where = f"{recording.folder.name}, {cleaned['kind']}"
            account.texts.extend((where, each) for each in _typed(cleaned))
        return json.dumps(cleaned, sort_keys=True, ensure_ascii=False)

    shifts_s = {}
    for stream in recording.file.streams:
        first_s = float(stream.stamps_s(0, 1)[0]) if stream.n_samples else 0.0
        if first_s > _EPOCH_FROM_S and not _is_ours(stream.header):
            shifts_s[stream.header.number] = float(int(first_s))
            identity.counts["absolute time of a sender"] += stream.n_samples
    return Changes(header, text, shifts_s)


def _typed(event: dict[str, Any]) -> list[str]:
    """Return what somebody may have typed in an event."""
    details = event.get("details") or {}
    if event["kind"] in ("note", "mark"):
        found = [event.get("message"), *details.values()]
    else:
        found = [details.get(key) for key in ("value", "text", "note") if isinstance(details, dict)]
    return [each for each in found if isinstance(each, str) and each.strip() and each != REMOVED]


def _copy_lines(path: Path, to: Path, identity: Identity) -> None:
    """Copy a log of JSON documents; a line that is none is cleaned as text."""
    if not path.is_file():
        return
    rows = []
    for line in limits.read_text(path, limits.MOST_JSON_BYTES).splitlines():
        try:
            rows.append(json.dumps(identity.clean_document(limits.parse_json(line)), ensure_ascii=False))
        except ValueError:
            rows.append(identity.clean(line))
    to.write_text("".join(f"{row}\n" for row in rows), "utf-8")


def _write_json(path: Path, document: Any) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True), "utf-8")


def _exported(folder: Path, out: Path) -> list[str]:
    try:
        return list(export_session(folder, out).notes)
    except (
        NeurofbError,
        RuntimeError,
    ) as error:  # MNE-BIDS: another headset's electrodes in the same session
        return [f"{folder.name} is not in BIDS: {error}"]


# -- dates ------------------------------------------------------------------------------------------------------


def _shift_of(folder: Path, participant: str) -> int:
    """Return by how many seconds a participant's dates are moved back: by chance, kept beside the original."""
    path = folder.parent / SHIFTS
    try:
        shifts = limits.read_json(path) if path.exists() else {}
        shift_s = shifts.get(participant)
        if shift_s is None:
            shift_s = 86_400 * (_LEAST_SHIFT_DAYS + secrets.randbelow(_MORE_DAYS)) + secrets.randbelow(86_400)
            path.touch(mode=0o600)
            beside = path.with_suffix(".new")
            beside.write_text(json.dumps({**shifts, participant: shift_s}, indent=1, sort_keys=True), "utf-8")
            beside.chmod(0o600)
            os.replace(beside, path)
        return int(shift_s)
    except (ValueError, TypeError, AttributeError) as error:
        raise WrongFile(f"{path} does not hold shifts of dates: {error}; repair it, or remove it") from None


def _shifted(date: str, shift_s: int) -> str:
    try:
        moved = datetime.datetime.fromisoformat(date) - datetime.timedelta(seconds=shift_s)
    except (ValueError, OverflowError):
        return ""
    return moved.replace(tzinfo=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
