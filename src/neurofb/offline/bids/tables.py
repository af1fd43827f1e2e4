"""The tables of a BIDS dataset, made of a session: events, channels, ratings, temperatures and feedback.

In: a `Session`. Out: columns with their descriptions, as TSV and its JSON. What is missing is ``n/a``.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.format import clean
from neurofb.offline.session import Session
from neurofb.offline.to_mne import BAD_SHARE, seconds_out

MISSING = "n/a"

#: Columns of events beside onset and duration, and what they are.
EVENT_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "sample": {"Description": "The sample at the onset, counted from 0"},
    "trial_type": {"Description": "What happened, as kind/name"},
    "phase": {"Description": "Name of the phase of the protocol"},
    "trial": {"Description": "Number of the trial within its phase, from 1"},
    "level": {"Description": "Level of the stimulus, as the protocol names it"},
    "site": {"Description": "Where on the skin the stimulus was"},
    "target_c": {"Description": "Temperature of the stimulus' plateau", "Units": "oC"},
    "scale": {"Description": "What was asked"},
    "rating": {"Description": "The answer: 0-100 on a visual analogue scale, or the choice"},
    "response_time": {"Description": "From the question to the answer", "Units": "s"},
    "channel": {"Description": "The channels it concerns; n/a: all"},
}


@dataclass(frozen=True, slots=True)
class Sampled:
    """Regularly sampled columns, as BIDS wants them beside the EEG."""

    #: The first row is at ``start_s`` from the first sample of the EEG on.
    rate_hz: float
    start_s: float
    columns: Mapping[str, FloatArray]
    #: The description of each column.
    about: Mapping[str, Mapping[str, Any]]


def cell(value: Any) -> str:
    """Return a value as a cell of a table: ``n/a`` if missing, without tabs and line breaks."""
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, float) and math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return " ".join(clean(str(value)).split()) or MISSING


def write_tsv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table."""
    lines = ["\t".join(header), *("\t".join(map(cell, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8", newline="\n")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a document."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8", newline="\n")


def write_sampled(stem: Path, sampled: Sampled, more: Mapping[str, Any]) -> None:
    """Write ``stem``.tsv.gz, which has no header, and its JSON."""
    table = np.column_stack(list(sampled.columns.values()))
    lines = "".join("\t".join(map(cell, row)) + "\n" for row in table.tolist())
    path = stem.with_name(stem.name + ".tsv.gz")
    # Without a name or a date in its header: neither belongs into a dataset that may be shared.
    with path.open("wb") as plain, gzip.GzipFile("", "wb", fileobj=plain, mtime=0) as file:
        file.write(lines.encode("utf-8"))
    document = {
        "SamplingFrequency": sampled.rate_hz,
        "StartTime": sampled.start_s,
        "Columns": list(sampled.columns),
        **sampled.about,
        **more,
    }
    write_json(stem.with_name(stem.name + ".json"), document)


def rounded(seconds: float | None) -> float | None:
    """Return a time without digits that nothing measures."""
    return None if seconds is None else round(seconds, 6)


# -- channels --------------------------------------------------------------------------------------------------

CHANNEL_COLUMNS = (
    "name",
    "type",
    "units",
    "low_cutoff",
    "high_cutoff",
    "description",
    "sampling_frequency",
    "reference",
    "notch",
    "status",
    "status_description",
)


def channel_rows(session: Session) -> list[list[Any]]:
    """Return a row for each channel: good, or bad where it was out of use for more than a quarter of the session."""
    recording = session.recording
    device = session.settings.get("device") or {}
    filters = device.get("hardware_filter") or {}
    out_s, whole_s = seconds_out(session.annotations), session.duration_s
    notches = ", ".join(f"{hz:g}" for hz in filters.get("notches_hz", ()))
    rows = []
    for label in recording.labels:
        was_out_s = out_s.get(label, 0.0)
        states = sorted({each.name for each in session.annotations if label in each.channels})
        why = (
            f"out of use for {was_out_s:.1f} of {whole_s:.1f} s: {', '.join(states)}"
            if was_out_s
            else MISSING
        )
        rows.append(
            [
                label,
                "EEG",
                "µV",
                filters.get("high_pass_hz"),
                filters.get("low_pass_hz"),
                "ElectroEncephaloGram",
                recording.rate_hz,
                device.get("reference"),
                notches,
                "bad" if was_out_s > BAD_SHARE * whole_s else "good",
                why,
            ]
        )
    return rows


# -- ratings ---------------------------------------------------------------------------------------------------

RATING_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "trial": EVENT_COLUMNS["trial"],
    "phase": EVENT_COLUMNS["phase"],
    "level": EVENT_COLUMNS["level"],
    "site": EVENT_COLUMNS["site"],
    "scale": EVENT_COLUMNS["scale"],
    "response": {
        "Description": "The answer: 0-100 on a visual analogue scale, or the choice; n/a: none came"
    },
    "response_time": EVENT_COLUMNS["response_time"],
}


def rating_rows(session: Session) -> list[list[Any]]:
    """Return a row for each question, in the order of the answers."""
    rows = []
    for rating in session.recording.ratings:
        about = {
            **rating,
            "response": rating.get("value"),
            "response_time": rounded(rating.get("reaction_s")),
        }
        rows.append([about.get(name) for name in RATING_COLUMNS])
    return rows


def ratings_document(session: Session) -> dict[str, Any]:
    """Return the content of beh.json: the questions with their words at both ends."""
    levels = {}
    for scale in session.settings.get("scales") or ():
        ends = f" (0: {scale['low']}; 100: {scale['high']})" if scale.get("low") else ""
        choices = f" ({', '.join(scale['choices'])})" if scale.get("choices") else ""
        levels[scale["name"]] = f"{scale['question']}{ends}{choices}"
    return {**RATING_COLUMNS, "scale": {**RATING_COLUMNS["scale"], "Levels": levels}}


# -- what was sampled on the way -------------------------------------------------------------------------------


def thermode(session: Session) -> Sampled | None:
    """Return the thermode's temperatures on a regular grid; None if there were none."""
    table = session.stimulus
    if len(table["onset_s"]) < 2:
        return None
    onsets_s, rate_hz, grid_s = _grid(table["onset_s"])
    return Sampled(
        rate_hz,
        float(grid_s[0]),
        {
            "target_temperature": table["target_c"][_newest(onsets_s, grid_s)],
            "measured_temperature": np.interp(grid_s, onsets_s, table["measured_c"]),
        },
        {
            "target_temperature": {"Description": "What the thermode was to have", "Units": "oC"},
            "measured_temperature": {"Description": "What its probe measured", "Units": "oC"},
        },
    )


def feedback(session: Session, hop_s: float) -> Sampled | None:
    """Return feedback on a regular grid, at the time of its output; None without any.

    A moment without any for two hops is n/a.
    """
    table = session.feedback
    if len(table["onset_s"]) < 2:
        return None
    out_s = session.onset_s(table["time_s"])
    onsets_s, rate_hz, grid_s = _grid(out_s, hop_s)
    newest = _newest(onsets_s, grid_s)
    fresh = grid_s - onsets_s[newest] <= 2 * hop_s
    columns = {
        f"feedback_{name}": np.where(fresh, table[name][newest], np.nan)
        for name in ("level", "reward", "usable")
    }
    return Sampled(
        rate_hz,
        float(grid_s[0]),
        columns,
        {
            "feedback_level": {"Description": "How much was fed back, 0 to 1", "Units": "arbitrary"},
            "feedback_reward": {"Description": "1 while a reward was given", "Units": "arbitrary"},
            "feedback_usable": {"Description": "1 where the EEG could earn feedback", "Units": "arbitrary"},
        },
    )


def _grid(onsets_s: FloatArray, step_s: float | None = None) -> tuple[FloatArray, float, FloatArray]:
    """Return onsets in order, a rate, and regular times over the same span."""
    onsets_s = np.maximum.accumulate(onsets_s)
    step_s = float(np.median(np.diff(onsets_s))) if step_s is None else step_s
    rate_hz = round(1.0 / step_s, 3) if step_s > 0 else 1.0
    n = int((onsets_s[-1] - onsets_s[0]) * rate_hz) + 1
    return onsets_s, rate_hz, onsets_s[0] + np.arange(n) / rate_hz


def _newest(onsets_s: FloatArray, grid_s: FloatArray) -> Any:
    return np.clip(np.searchsorted(onsets_s, grid_s + 1e-9, "right") - 1, 0, len(onsets_s) - 1)
