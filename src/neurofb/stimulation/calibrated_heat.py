"""The temperatures that a calibration found, kept for the next visit.

In: what was found. Out: what was found last. Kept: every version, the newest last, in a file
``<data>/sourcedata/neurofb/sub-<participant>/heat-<site>.json``; a new visit appends, nothing is overwritten.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from pydantic import Field, ValidationError

from neurofb import limits
from neurofb.config import Table
from neurofb.errors import WrongFile, WrongInput
from neurofb.folding import folded


class CalibratedHeat(Table):
    """Temperatures for asked pain ratings, one participant, one place, one date."""

    participant: str = Field(description="the pseudonym")
    site: str = Field(description="the place on the skin")
    date: str = Field(description="the date of the calibration, as it was given")
    plateau_s: float = Field(description="how long each stimulus was, in s: pain grows with it")
    slope: float = Field(description="rating points per °C")
    intercept: float = Field(description="rating points at 0 °C: rating = intercept + slope × T")
    threshold_c: float | None = Field(
        default=None, description="the heat pain threshold by limits, in °C, if it was measured"
    )
    temperatures: dict[float, float] = Field(description="°C for each asked rating")
    verified: dict[float, float] = Field(
        default_factory=dict, description="mean rating of each temperature that was tried again and agreed"
    )
    notes: tuple[str, ...] = Field(default=(), description="what a person should know about it")
    answers: tuple[tuple[str, float, float | None], ...] = Field(
        default=(), description="every stimulus: kind, °C, rating; null for no answer"
    )


def calibration_path(data: Path, participant: str, site: str) -> Path:
    """Return the file of a participant and a place.

    Raises
    ------
    WrongInput
        If one of the two cannot be part of a file name.
    """
    if re.fullmatch(r"[A-Za-z0-9]+", participant) is None:
        raise WrongInput(f"a participant's code has letters and digits only; found {participant!r}")
    name = re.sub(r"[^a-z0-9]+", "-", site.lower()).strip("-")
    if not name:
        raise WrongInput(f"a place on the skin needs a name with letters or digits; found {site!r}")
    return data / "sourcedata" / "neurofb" / f"sub-{participant}" / f"heat-{name}.json"


def load_calibration(data: Path, participant: str, site: str) -> CalibratedHeat | None:
    """Return the newest calibration of a participant at a place; None if there is none.

    Raises
    ------
    WrongFile
        If the file is there and cannot be read.
    """
    versions = _versions(calibration_path(data, participant, site))
    return next((each for each in reversed(versions) if folded(each.site) == folded(site)), None)


def save_calibration(data: Path, found: CalibratedHeat) -> Path:
    """Append a calibration to those of its participant and place; return the path of the file.

    Raises
    ------
    WrongFile
        If what is there cannot be read: then it stays as it is.
    """
    path = calibration_path(data, found.participant, found.site)
    versions = [*_versions(path), found]
    text = json.dumps(
        {"versions": [each.model_dump(mode="json") for each in versions]}, indent=1, ensure_ascii=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    # A whole new file beside the old one takes its place at once: a crash leaves one of the two, whole.
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return path


def _versions(path: Path) -> list[CalibratedHeat]:
    if not path.exists():
        return []
    try:
        content = limits.read_json(path)
        return [CalibratedHeat.model_validate(each) for each in content["versions"]]
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise WrongFile(
            f"{path} is no file of heat calibrations ({type(error).__name__}: {str(error).splitlines()[0]}); it was "
            "left as it is: repair it, or move it away and calibrate again"
        ) from None
