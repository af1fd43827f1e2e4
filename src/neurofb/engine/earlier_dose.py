"""The dose of each site in earlier runs of the same session, also in those that broke off.

In: the folders of a participant's session. Out: fractions of the contact-burn limit by site. A run that ended left its
doses in a file; of one that did not, or whose file cannot be read, they are computed again from the recorded
temperatures, with what the watchdog needed to end a stimulus and what the disk had not got yet on top. In doubt it is
more, never less.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from neurofb.errors import UnknownFile, WrongFile
from neurofb.messages import EVENTS, STIMULUS, STIMULUS_COLUMNS
from neurofb.recording.folder import RECORDING, SETTINGS
from neurofb.stimulation.heat_profile import abort_dose
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.xdf.file import XdfFile, read_xdf_file
from neurofb.xdf.stream import XdfStream

LEDGER = "heat-ledger.json"
#: In the settings of a run: the doses that it began with.
BEFORE = "heat_used_before"
#: After the last reading on the disk a stimulus may have gone on: for what was not written yet, 0.3 s, and until the
#: watchdog missed the engine, 0.5 s (``watchdog.HEARTBEAT_S``). Assumed: a fifth of a second on top.
UNKNOWN_S = 1.0
#: A probe above this was in the middle of a stimulus: 1 °C above the warmest baseline that an envelope allows.
WARM_C = 36.0


def used_before(data: Path, participant: str, visit: str) -> dict[str, float]:
    """Return the dose of each site in earlier runs.

    Raises
    ------
    WrongFile
        If a run left neither its doses nor a recording that can be read.
    """
    used: dict[str, float] = {}
    for folder in sorted((data / "sourcedata" / "neurofb").glob(f"sub-{participant}_ses-{visit}_*")):
        for site, share in used_in(folder).items():
            used[site] = used.get(site, 0.0) + share
    return used


def used_in(folder: Path) -> dict[str, float]:
    """Return the dose that one run added, by site."""
    settings = _document(folder / SETTINGS)
    if settings is not None and settings.get("heat", True) is None:
        return {}
    ended = _shares(_document(folder / LEDGER))
    if ended is not None:
        before = _shares((settings or {}).get(BEFORE)) or {}
        return {site: max(0.0, share - before.get(site, 0.0)) for site, share in ended.items()}
    if not (folder / RECORDING).exists():
        return {}  # it did not come so far that heat could begin
    try:
        return recorded_in(read_xdf_file(folder / RECORDING))
    except WrongFile as error:
        raise WrongFile(
            f"how much heat {folder.name} has given cannot be known: it has no {LEDGER} and its recording cannot be "
            f"read ({error}); run under another --session, at other places on the skin"
        ) from None


def recorded_in(file: XdfFile) -> dict[str, float]:
    """Return the dose of each site by the recorded temperatures: the hotter of commanded and measured, always."""
    try:
        stream = file.stream(STIMULUS)
    except UnknownFile:
        return {}
    sites, (rows, stamps_s) = _sites(stream), stream.read()
    columns = list(STIMULUS_COLUMNS)
    target, measured, site = (rows[:, columns.index(name)] for name in ("target_c", "measured_c", "site"))
    hottest_c = np.fmax(target, measured)
    ledger = SiteLedger()
    for i in range(len(rows)):
        if not 0 <= site[i] < len(sites) or not math.isfinite(hottest_c[i]):
            continue
        since_s = stamps_s[i] - stamps_s[i - 1] if i else 0.0
        worst_c = float(np.nanmax(hottest_c[max(0, i - 1) : i + 1]))
        ledger.add(sites[int(site[i])], max(0.0, float(since_s)), worst_c)
    used = ledger.as_dict()
    asked = _unended(file)
    if asked is None and len(rows) and hottest_c[-1] > WARM_C and 0 <= site[-1] < len(sites):
        asked = sites[int(site[-1])], float(hottest_c[-1])
    if asked is not None:
        place, most_c = asked
        used[place] = used.get(place, 0.0) + SiteLedger().add(place, UNKNOWN_S, most_c) + abort_dose(most_c)
    return used


def _unended(file: XdfFile) -> tuple[str, float] | None:
    """Return where, and up to what, a stimulus was armed that no event ends: it may have begun or gone on unseen."""
    asked: tuple[str, float] | None = None
    try:
        rows = file.stream(EVENTS).texts()
    except UnknownFile:
        return None
    for (text,) in rows:
        try:
            event = json.loads(text)
            if event["kind"] == "heat_armed":
                asked = str(event["details"]["site"]), float(event["details"]["target_c"])
            elif event["kind"] == "heat_ended":
                asked = None
        except (ValueError, KeyError, TypeError):  # a damaged document says nothing
            continue
    return asked


def _sites(stream: XdfStream) -> list[str]:
    found = json.loads(str(stream.header.desc.get("sites", "[]")))
    return [str(site) for site in found]


def _document(path: Path) -> dict[str, object] | None:
    """Return the content of a file; None if it is not there, or broken off."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _shares(content: object) -> dict[str, float] | None:
    if not isinstance(content, Mapping):
        return None
    try:
        shares = {str(site): float(share) for site, share in content.items()}
    except (TypeError, ValueError):
        return None
    return shares if all(math.isfinite(share) and share >= 0 for share in shares.values()) else None
