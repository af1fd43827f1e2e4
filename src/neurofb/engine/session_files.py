"""Files beside a session's recording: settings, protocol, baselines and doses, all that a repetition needs."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

from neurofb.blinding.side_file import ENVELOPE
from neurofb.engine.earlier_dose import BEFORE, LEDGER
from neurofb.engine.planning import SessionPlan, wall_time_s
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import RecordingFailed
from neurofb.loop.loop import Loop
from neurofb.loop.participant_fit import BASELINE_FILE, ParticipantRecord
from neurofb.loop.settings import LoopSettings
from neurofb.protocol.ratings import OF_GUESSES
from neurofb.recording.folder import PROTOCOL, SETTINGS, SessionFolder
from neurofb.recording.provenance import provenance, text_hash
from neurofb.recording.skin_account import AccountEntry, note_begin, note_end


def write_settings(plan: SessionPlan, uid: str, settings: LoopSettings, folder: SessionFolder) -> None:
    """Write the protocol as it was given, and everything else that the session was made of. Not the arm."""
    note_allocation(plan, uid)
    folder.write_text(PROTOCOL, plan.protocol.text)
    if plan.opened is not None:
        folder.write_bytes(ENVELOPE, plan.opened.closed)
    elif plan.blinded is not None:
        folder.write_bytes(ENVELOPE, plan.blinded.envelope)
    folder.write_text(
        SETTINGS, json.dumps(settings_document(plan, uid, settings, folder), indent=1, sort_keys=True)
    )


def note_account_begin(plan: SessionPlan, folder: SessionFolder) -> None:
    """Note in the account of the skin that a session begins, before its device is opened; not for a simulated one."""
    if plan.account is None:
        return
    asked, heat = plan.asked, plan.protocol.heat
    entry = AccountEntry(
        asked.participant,
        str(asked.data.resolve()),
        folder.path.name,
        plan.visit,
        asked.date,
        wall_time_s(asked.date),
        () if heat is None else heat.sites,
        0.0 if heat is None else heat.budget,
    )
    note_begin(plan.account, entry)


def note_account_unused(plan: SessionPlan, folder: SessionFolder) -> None:
    """Note in the account of the skin that a session gave no heat, because a part of it could not be opened."""
    if plan.account is not None:
        with contextlib.suppress(RecordingFailed):  # then it counts in full; what went wrong first is told
            note_end(plan.account, str(plan.asked.data.resolve()), folder.path.name, {})


def write_results(
    plan: SessionPlan, loop: Loop, stimulus_control: StimulusController | None, folder: SessionFolder
) -> None:
    """Write the baselines and the dose of each site, which the next session needs.

    The doses only if they are the guard's last word: after a safety stop the account is made of recording and log.
    """
    if stimulus_control is not None and stimulus_control.is_accounted:
        used = stimulus_control.used
        if plan.account is not None:  # first: the folder may be gone
            added = {site: max(0.0, share - plan.used.get(site, 0.0)) for site, share in used.items()}
            note_end(plan.account, str(plan.asked.data.resolve()), folder.path.name, added)
        folder.write_text(LEDGER, json.dumps(used, indent=1, sort_keys=True))
    if loop.participant_fit is None or not loop.baselines:
        return
    record = ParticipantRecord(loop.participant_fit, tuple(loop.baselines.values()))
    folder.write_text(BASELINE_FILE, json.dumps(record.as_dict()))


def note_allocation(plan: SessionPlan, uid: str) -> None:
    """Append which arm a session had to the list that is kept apart from the data, if there is one."""
    path = plan.asked.allocation
    if path is None:
        return
    entry = {
        "date": plan.asked.date,
        "session": uid,
        "participant": plan.asked.participant,
        "visit": plan.visit,
        "arm": plan.timeline.arm,
        "protocol_sha256": text_hash(plan.protocol.text),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RecordingFailed(
            f"the list of allocations {path} cannot be written: {error.strerror}"
        ) from error


def settings_document(
    plan: SessionPlan, uid: str, settings: LoopSettings, folder: SessionFolder
) -> dict[str, Any]:
    """Return all that is needed to do the session again, and to say with what it was done."""
    asked, study = plan.asked, plan.protocol.study
    return {
        "format": 1,
        "uid": uid,
        "participant": asked.participant,
        "session": folder.session,
        "task": folder.task,
        "run": folder.run,
        "date": asked.date,
        "seed": asked.seed,
        "simulated": asked.simulate,
        "answers": asked.answers if asked.simulate else True,
        "protocol": {
            "id": study.id,
            "title": study.title,
            "status": study.status,
            "citation": study.citation,
            "doi": study.doi,
            "sha256": text_hash(plan.protocol.text),
            "assumed": list(plan.protocol.assumed),
        },
        "device": plan.profile.model_dump(mode="json"),
        "program": None if plan.sender is None else plan.sender.as_dict(),
        "loop": settings.as_dict(),
        "blinding": None if plan.blinded is None else plan.blinded.as_dict(),
        "given": None if plan.earlier is None else plan.earlier.as_dict(),
        "heat": None if plan.protocol.heat is None else plan.protocol.heat.model_dump(mode="json"),
        BEFORE: dict(plan.used),
        "scales": [
            part.model_dump(mode="json", exclude=set(OF_GUESSES))
            for scale in plan.protocol.scales
            for part in scale.parts
        ],
        **({} if plan.opened is None else {"envelope": plan.opened.document}),
        "provenance": provenance(),
    }
