"""What an earlier session found out about a participant, as far as a check can use it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.dsp.spectrum import Spectrum
from neurofb.errors import UnknownFile, WrongFile
from neurofb.feedback.baseline import Baseline

FILE = "baseline.json"


@dataclass(frozen=True, eq=False)
class Known:
    """A participant's baselines.

    Attributes
    ----------
    spectrum : Spectrum or None
    iaf_hz : float or None
        The alpha peak; None if no clear one was found.
    baselines : tuple of Baseline
    """

    spectrum: Spectrum | None
    iaf_hz: float | None
    baselines: tuple[Baseline, ...]


def read_baseline(path: str | Path) -> Known:
    """Return what the folder of a session holds of its participant.

    Raises
    ------
    UnknownFile
        If there is nothing.
    WrongFile
        If it cannot be understood; what is wrong.
    """
    file = Path(path)
    file = file / FILE if file.is_dir() else file
    if not file.is_file():
        raise UnknownFile(
            f"no baseline in {path}: a session's folder has {FILE} once its baselines are taken; give such a folder"
        )
    try:
        return known_from(json.loads(file.read_text("utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WrongFile(
            f"{file} is not what a session writes about its participant: {error}; give the folder of a session that "
            "neurofb recorded"
        ) from None


def known_from(content: Any) -> Known:
    """Return what a document of a session says: keys spectrum, iaf_hz and baselines."""
    if not isinstance(content, dict):
        raise TypeError("needed is a table with spectrum, iaf_hz and baselines")
    found = content.get("spectrum")
    spectrum = Spectrum(np.array(found["freqs_hz"]), np.array(found["density"])) if found else None
    iaf_hz = content.get("iaf_hz")
    return Known(
        spectrum,
        None if iaf_hz is None else float(iaf_hz),
        tuple(Baseline.read(each) for each in content.get("baselines", ())),
    )
