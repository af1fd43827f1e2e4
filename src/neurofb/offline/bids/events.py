"""The events of a BIDS dataset: ``events.tsv`` and ``events.json``, made of a session's annotations and gaps.

In: a `Session`, and the gaps in its EEG. Out: two files. What is missing is ``n/a``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from neurofb import __version__
from neurofb.offline.bids.tables import EVENT_COLUMNS, rounded, write_json, write_tsv
from neurofb.offline.session import Session

#: What the kinds of ``trial_type`` are.
KINDS: Mapping[str, str] = {
    "phase": "A phase of the protocol",
    "step": "A step of a trial: cue, anticipation, relief, question",
    "heat": "A heat stimulus, from its real onset until the thermode was at baseline again",
    "rating": "An answer was given, or was missing when its time was over",
    "feedback": "Feedback was scored against this baseline",
    "pause": "The session was paused",
    "note": "Somebody made a note; its text is not exported",
    "artifact": "An artifact kept feedback from being earned",
    "channel_left": "A channel was out of use because it was bad",
    "BAD_gap": "Samples are missing; a straight line takes their place",
    "BAD_ACQ_SKIP": "The same for more than a second, in the words that MNE's filters know",
}


def write_events(stem: Path, session: Session, gaps: Iterable[tuple[float, float, str]]) -> None:
    """Write ``stem``_events.tsv and ``stem``_events.json; a gap is onset and duration in s, and its name."""
    rows = event_rows(session, gaps)
    write_tsv(stem.with_name(f"{stem.name}_events.tsv"), ("onset", "duration", *EVENT_COLUMNS), rows)
    write_json(stem.with_name(f"{stem.name}_events.json"), events_document(rows))


def event_rows(session: Session, gaps: Iterable[tuple[float, float, str]]) -> list[list[Any]]:
    """Return a row for each annotation and gap: onset, duration, then ``EVENT_COLUMNS``; gaps as in annotations."""
    rate_hz = session.recording.rate_hz
    rows: list[list[Any]] = []
    for each in session.annotations:
        about = {**each.details, "trial_type": each.description, "channel": ", ".join(each.channels)}
        about |= {"rating": about.get("value"), "response_time": rounded(about.get("reaction_s"))}
        about["sample"] = round(each.onset_s * rate_hz)
        rows.append(
            [rounded(each.onset_s), rounded(each.duration_s), *(about.get(name) for name in EVENT_COLUMNS)]
        )
    for onset_s, duration_s, name in gaps:
        about = {"sample": round(onset_s * rate_hz), "trial_type": name}
        rows.append([rounded(onset_s), rounded(duration_s), *(about.get(column) for column in EVENT_COLUMNS)])
    return sorted(rows, key=lambda row: (row[0], -row[1]))


def events_document(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return the content of events.json."""
    at = 2 + list(EVENT_COLUMNS).index("trial_type")
    names = sorted({str(row[at]) for row in rows})
    levels = {name: KINDS.get(name.partition("/")[0], "") for name in names}
    return {
        "onset": {"Description": "From the first sample of the EEG on", "Units": "s"},
        "duration": {"Description": "0: a moment", "Units": "s"},
        **EVENT_COLUMNS,
        "trial_type": {**EVENT_COLUMNS["trial_type"], "Levels": levels},
        "StimulusPresentation": {"SoftwareName": "neurofb", "SoftwareVersion": __version__},
    }
