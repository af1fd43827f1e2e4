"""Heat, the dose of each skin site, and ratings.

In: a recording and its annotations. Out: stimuli, doses, answers and their means. A missing answer is missing, never
zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurofb import limits
from neurofb.events import Event
from neurofb.format import DASH, clock, number
from neurofb.offline.annotations import Annotation, SessionAnnotations
from neurofb.recording.session_recording import SessionRecording

LEDGER = "heat-ledger.json"


@dataclass(frozen=True)
class Stimulus:
    """A stimulus that was fired."""

    #: On the session clock.
    at_s: float
    phase: str
    site: str
    target_c: float
    plateau_s: float
    #: From its scheduled time to its real one.
    late_s: float
    #: The highest measured temperature; NaN if nothing was read.
    highest_c: float
    #: Fraction of the contact-burn limit that it used; NaN if its end is not in the record.
    dose: float
    #: "ended", "aborted", "fault" or "end not recorded".
    end: str


@dataclass(frozen=True)
class Answer:
    """A question and its answer."""

    #: On the session clock.
    at_s: float
    phase: str
    scale: str
    level: str
    trial: int | None
    #: None: no answer.
    value: float | str | None
    reaction_s: float | None


@dataclass(frozen=True)
class Summary:
    """Answers of one scale at one level."""

    scale: str
    level: str
    n_asked: int
    n_missing: int
    #: Of numbers, as is ``sd``; NaN where there are none.
    mean: float
    sd: float


def stimuli_of(recording: SessionRecording, annotations: SessionAnnotations) -> list[Stimulus]:
    """Return every stimulus that was fired, calibration included."""
    return [
        Stimulus(
            each.start_s,
            str(each.details.get("phase_label") or ""),
            str(each.details.get("site") or ""),
            _number(each.details.get("target_c")),
            _number(each.details.get("plateau_s")),
            _number(each.details.get("late_s")),
            _highest_c(recording, annotations.zero_s, each),
            _number(each.details.get("dose")),
            str(each.details["end"]),
        )
        for each in annotations.of_kind("heat")
    ]


def _highest_c(recording: SessionRecording, zero_s: float, stimulus: Annotation) -> float:
    readings = recording.stimulus
    time_s = readings["time_s"] - zero_s
    inside = (time_s >= stimulus.start_s) & (time_s <= stimulus.end_s)
    measured = readings.get("measured_c", np.empty(0))[inside]
    measured = measured[np.isfinite(measured)]
    return float(measured.max()) if len(measured) else math.nan


def doses_of(recording: SessionRecording) -> tuple[dict[str, float], bool]:
    """Return the dose of each site as a fraction of the contact-burn limit, and whether the session closed its ledger.

    A session that broke off has no closed ledger; then the doses are the newest of its events.
    """
    try:
        written = limits.read_json(recording.folder / LEDGER)
    except (OSError, ValueError):
        written = None
    if isinstance(written, dict):
        return {str(site): _number(used) for site, used in written.items()}, True
    used: dict[str, float] = {}
    for event in recording.events:
        if "used" in event.details and "site" in event.details:
            used[str(event.details["site"])] = _number(event.details["used"])
    return used, False


def answers_of(annotations: SessionAnnotations) -> list[Answer]:
    """Return the answer to every question, in order."""
    return [
        Answer(
            each.start_s,
            str(each.details["phase"] or "").replace("_", " "),
            each.name,
            str(each.details["level"] or ""),
            each.details["trial"],
            each.details["value"],
            each.details["reaction_s"],
        )
        for each in annotations.of_kind("rating")
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


# -- the sections ------------------------------------------------------------------------------------------------


def heat_context(
    settings: Mapping[str, Any],
    events: Sequence[Event],
    stimuli: Sequence[Stimulus],
    doses: Mapping[str, float],
    is_closed: bool,
) -> dict[str, Any] | None:
    """Return stimuli, the dose of each site, and calibrations; None for a session without heat."""
    heat = settings.get("heat")
    if not stimuli and not doses and heat is None:
        return None
    budget = heat.get("budget") if isinstance(heat, Mapping) else None
    before = settings.get("heat_used_before")
    return {
        "budget": _number(budget),
        "doses": [(site, sum(s.site == site for s in stimuli), used) for site, used in doses.items()],
        "is_closed": is_closed,
        "before": list(before.items()) if isinstance(before, dict) and any(before.values()) else [],
        "calibrations": [
            (
                each.get("site"),
                each.get("threshold_c"),
                [(float(pain), float(c)) for pain, c in (each.get("temperatures") or {}).items()],
            )
            for each in calibrations(events)
        ],
        "stimuli": [
            (
                clock(s.at_s, hours=True),
                s.phase,
                s.site,
                number(s.target_c, 1),
                number(s.highest_c, 2),
                number(s.plateau_s, 1),
                number(1000 * s.late_s, 1),
                number(s.dose, 4),
                s.end,
            )
            for s in stimuli
        ],
    }


def ratings_context(answers: Sequence[Answer]) -> dict[str, Any] | None:
    """Return all answers and their means; None if nothing was asked."""
    if not answers:
        return None
    means = [
        (
            each.scale,
            each.level or DASH,
            f"{each.n_asked}",
            f"{each.n_missing}",
            number(each.mean, 1),
            number(each.sd, 1),
        )
        for each in summaries(answers)
    ]
    return {"means": means, "answers": answers}
