"""Heat that was given, what each place on the skin has had of its budget, and what was answered.

In: a recording and its course. Out: stimuli, the ledger, ratings. A missing answer is missing, never zero.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofb.events import Event
from neurofb.offline.report.course import Course
from neurofb.recording.session_recording import SessionRecording

LEDGER = "heat-ledger.json"
#: Events that end a stimulus, and how the report calls it.
ENDS = {"heat_ended": "ended", "heat_aborted": "aborted", "heat_fault": "fault"}


@dataclass(frozen=True)
class Stimulus:
    """A stimulus that was fired.

    Attributes
    ----------
    at_s : float
        Of the session's time.
    phase, site : str
    target_c, plateau_s : float
    late_s : float
        From its scheduled time to its real one.
    highest_c : float
        The highest measured temperature; NaN if nothing was read.
    dose : float
        Share of the contact line it used; NaN if its end is not in the record.
    end : str
        How it ended.
    """

    at_s: float
    phase: str
    site: str
    target_c: float
    plateau_s: float
    late_s: float
    highest_c: float
    dose: float
    end: str


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes
    ----------
    at_s : float
    phase, scale, level : str
    trial : int or None
    value : float, str or None
        None: no answer.
    reaction_s : float or None
    """

    at_s: float
    phase: str
    scale: str
    level: str
    trial: int | None
    value: float | str | None
    reaction_s: float | None


@dataclass(frozen=True)
class Summary:
    """Answers of one scale at one level.

    Attributes
    ----------
    scale, level : str
    n_asked, n_missing : int
    mean, sd : float
        Of numbers; NaN where there are none.
    """

    scale: str
    level: str
    n_asked: int
    n_missing: int
    mean: float
    sd: float


def stimuli_of(recording: SessionRecording, course: Course) -> list[Stimulus]:
    """Return every stimulus that was fired, calibration included."""
    fired = [event for event in recording.events if event.kind == "heat_fired"]
    ends = [event for event in recording.events if event.kind in ENDS]
    found = []
    for i, event in enumerate(fired):
        until_s = fired[i + 1].time_s if i + 1 < len(fired) else math.inf
        end = next((e for e in ends if event.time_s <= e.time_s <= until_s), None)
        details = event.details
        at_s = event.time_s - course.zero_s
        stop_s = min(until_s, event.time_s + 600.0) if end is None else end.time_s
        found.append(
            Stimulus(
                at_s,
                _phase_at(course, at_s),
                str(details.get("site", "")),
                _number(details.get("target_c")),
                _number(details.get("plateau_s")),
                _number(details.get("fired_s")) - _number(details.get("scheduled_s")),
                _highest_c(recording, event.time_s, stop_s),
                math.nan if end is None else _number(end.details.get("dose")),
                "end not recorded" if end is None else ENDS[end.kind],
            )
        )
    return found


def _highest_c(recording: SessionRecording, start_s: float, end_s: float) -> float:
    readings = recording.stimulus
    inside = (readings["time_s"] >= start_s) & (readings["time_s"] <= end_s)
    measured = readings.get("measured_c", np.empty(0))[inside]
    measured = measured[np.isfinite(measured)]
    return float(measured.max()) if len(measured) else math.nan


def _phase_at(course: Course, at_s: float) -> str:
    return next((p.label for p in reversed(course.phases) if p.start_s <= at_s + 1e-6), "")


def ledger_of(recording: SessionRecording) -> tuple[dict[str, float], bool]:
    """Return what each site has had, in shares of the contact line, and whether the session closed its ledger.

    A session that broke off has no closed ledger; then the newest that its events say.
    """
    try:
        written = json.loads((recording.folder / LEDGER).read_text("utf-8"))
    except (OSError, ValueError):
        written = None
    if isinstance(written, dict):
        return {str(site): _number(used) for site, used in written.items()}, True
    used: dict[str, float] = {}
    for event in recording.events:
        if "used" in event.details and "site" in event.details:
            used[str(event.details["site"])] = _number(event.details["used"])
    return used, False


def answers_of(recording: SessionRecording, course: Course) -> list[Answer]:
    """Return what came of every question, in order."""
    return [
        Answer(
            float(each["time_s"]) - course.zero_s,
            str(each.get("phase") or "").replace("_", " "),
            str(each.get("scale", "")),
            str(each.get("level") or ""),
            each.get("trial"),
            each.get("value"),
            each.get("reaction_s"),
        )
        for each in recording.ratings
    ]


def summaries(answers: Sequence[Answer]) -> list[Summary]:
    """Return number, missing ones, mean and standard deviation for each scale and level."""
    found = []
    for scale, level in sorted({(each.scale, each.level) for each in answers}):
        some = [each for each in answers if (each.scale, each.level) == (scale, level)]
        numbers = np.array([each.value for each in some if isinstance(each.value, int | float)], dtype=float)
        found.append(
            Summary(
                scale,
                level,
                len(some),
                sum(each.value is None for each in some),
                float(numbers.mean()) if len(numbers) else math.nan,
                float(numbers.std(ddof=1)) if len(numbers) > 1 else math.nan,
            )
        )
    return found


def calibrations(events: Sequence[Event]) -> list[Mapping[str, Any]]:
    """Return the results of heat calibrations."""
    return [
        event.details["result"]
        for event in events
        if event.kind == "calibrated_heat" and isinstance(event.details.get("result"), dict)
    ]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan
