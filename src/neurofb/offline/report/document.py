"""The report of a session: one HTML page, and the CRED-nf checklist beside it as JSON."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.errors import RecordingFailed, WrongInput
from neurofb.offline.report import crednf
from neurofb.offline.report.facts import Facts, facts_of
from neurofb.offline.report.feedback import features_context, feedback_context
from neurofb.offline.report.header import header_context, software_context
from neurofb.offline.report.heat import heat_context, ratings_context
from neurofb.offline.report.html import MARK, has_mark, render
from neurofb.offline.report.quality import quality_context
from neurofb.offline.report.spectra import spectra_context
from neurofb.offline.report.timeline import events_context, timeline_context
from neurofb.recording.session_recording import SessionRecording, open_session_recording

REPORT, CHECKLIST = "report.html", "cred-nf.json"


@dataclass(frozen=True)
class Report:
    """The report of a session."""

    html: str
    #: The CRED-nf checklist as JSON can hold it.
    checklist: dict[str, Any]
    #: The session's.
    folder: Path


def report_of(session: Path | str) -> Report:
    """Make the report of a session, whole or broken off.

    Raises
    ------
    UnknownFile, WrongFile
        If there is no session, or no recording of neurofb.
    """
    return make_report(open_session_recording(session))


def make_report(recording: SessionRecording) -> Report:
    """Make the report of a session that is open; see `report_of`."""
    # A damaged recording may hold numbers that nobody measured; they become infinite, and no more than that.
    with np.errstate(all="ignore"):
        facts = facts_of(recording)
        boxes = crednf.checklist(facts)
        title = f"neurofb report {facts.uid or recording.folder.name}"
        html = render(title, _contexts(facts, boxes))
    return Report(html, crednf.as_document(facts, boxes), recording.folder)


def _contexts(facts: Facts, boxes: list[crednf.Box]) -> dict[str, dict[str, Any] | None]:
    recording, annotations = facts.recording, facts.annotations
    montage, specs = facts.at("loop", "montage") or {}, facts.at("loop", "features") or []
    return {
        "header": header_context(facts),
        "timeline": timeline_context(recording, annotations, facts.answers),
        "spectra": spectra_context(facts.spectra, montage, specs),
        "features": features_context(facts),
        "feedback": feedback_context(facts),
        "quality": quality_context(facts.channels, facts.is_judged, recording.events),
        "heat": heat_context(
            facts.settings, recording.events, facts.stimuli, facts.doses, facts.is_ledger_closed
        ),
        "ratings": ratings_context(facts.answers),
        "crednf": crednf.crednf_context(boxes),
        "software": software_context(facts),
        "events": events_context(recording, annotations),
    }


def write_report(folder: Path | str, out: Path | str | None = None) -> Path:
    """Write the report of a session, and its CRED-nf checklist beside it.

    Parameters
    ----------
    folder : path-like
        The session's folder, or its recording.
    out : path-like, optional
        The HTML file. Default: ``report.html`` in the session's folder.

    Returns
    -------
    Path
        The HTML file. The checklist is ``cred-nf.json`` beside it, or ``NAME_cred-nf.json`` beside ``NAME.html``.

    Raises
    ------
    WrongInput
        If another file stands where the report should: only an earlier report is replaced.
    RecordingFailed
        If it cannot be written.
    """
    return save(report_of(folder), out)


def save(report: Report, out: Path | str | None = None) -> Path:
    """Write a report; see `write_report`."""
    path = report.folder / REPORT if out is None else Path(out)
    beside = checklist_path(path)
    _check_free(path, MARK)
    _check_free(beside, '"checklist": "CRED-nf"')
    _write(path, report.html)
    _write(beside, json.dumps(report.checklist, indent=1, ensure_ascii=False) + "\n")
    return path


def checklist_path(path: Path) -> Path:
    """Return where the checklist of a report stands."""
    return path.with_name(CHECKLIST if path.name == REPORT else f"{path.stem}_{CHECKLIST}")


def _check_free(path: Path, mark: str) -> None:
    if path.exists() and not has_mark(path, mark):
        raise WrongInput(
            f"{path} exists and is no earlier report; a report replaces nothing else: choose another with --out"
        )


def _write(path: Path, content: str) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(content, encoding="utf-8", newline="\n")
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise RecordingFailed(
            f"the report cannot be written to {path}: {error.strerror}; choose another place with --out"
        ) from error
