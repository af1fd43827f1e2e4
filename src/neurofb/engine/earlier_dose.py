"""The dose of each site in earlier runs: the most of what ledger, recording and watchdog's log say.

In: the folders of a participant's runs. Out: fractions of the contact-burn limit by site, and which of the three says
so. Only a run that ended in order leaves a ledger; the recording has the temperatures that the engine heard of, the
watchdog's log what the guard charged and what a stimulus that was on may have given afterwards. A run that left neither
ledger nor log counts as the whole budget at each of its sites. In doubt it is more, never less.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neurofb import limits
from neurofb.errors import UnknownFile, WrongFile
from neurofb.folding import folded
from neurofb.messages import EVENTS, STIMULUS, STIMULUS_COLUMNS
from neurofb.recording.folder import PROTOCOL, RECORDING, SETTINGS
from neurofb.recording.skin_account import AccountEntry
from neurofb.stimulation.heat_profile import abort_dose
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.stimulation.watchdog_log import LoggedDose, read_watchdog_log
from neurofb.xdf.file import XdfFile, read_xdf_file
from neurofb.xdf.stream import XdfStream

LEDGER = "heat-ledger.json"
#: The watchdog's own log, which it also writes after the engine has died.
WATCHDOG_LOG = "watchdog.jsonl"
#: In the settings of a run: the doses that it began with.
BEFORE = "heat_used_before"
#: After the last reading on the disk a stimulus may have gone on: for what was not written yet, 0.3 s, and until the
#: watchdog missed the engine, 0.5 s (``watchdog.HEARTBEAT_S``). Assumed: a fifth of a second on top.
UNKNOWN_S = 1.0
#: A probe above this was in the middle of a stimulus: 1 °C above the warmest baseline that an envelope allows.
WARM_C = 36.0
#: Heat that was given longer ago in another session or dataset is not counted. Assumed: skin that had less than a burn
#: needs less than a day; within it no recovery is credited.
RECOVERS_S = 86_400.0
#: The budget of a run whose settings cannot be read: the widest that an envelope allows.
WHOLE_BUDGET = 1.0

_NAME = re.compile(r"sub-([A-Za-z0-9]+)_ses-([A-Za-z0-9]+)_")


@dataclass(frozen=True, slots=True)
class SiteDose:
    """The dose of one site in one run."""

    site: str
    #: Fraction of the contact-burn limit.
    share: float
    #: Which source says so: ``ledger``, ``recording``, ``watchdog log``, ``account``, or ``unknown`` if none can.
    source: str


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of a run with its labels."""

    path: Path
    participant: str
    session: str


def run_folders(data: Path) -> list[RunFolder]:
    """Return the runs of a dataset, sorted by name."""
    found = []
    for path in sorted((data / "sourcedata" / "neurofb").glob("sub-*_ses-*_run-*")):
        if name := _NAME.match(path.name):
            found.append(RunFolder(path, name[1], name[2]))
    return found


def used_before(data: Path, participant: str, visit: str, now_wall_s: float = math.inf) -> dict[str, float]:
    """Return the dose of each site in earlier runs of a session, however code and session are spelt.

    Parameters
    ----------
    data : Path
    participant, visit : str
    now_wall_s : float
        The time of day; infinite if it is not known.

    Raises
    ------
    WrongFile
        If a run left nothing that can be read.
    """
    asked = folded(participant), folded(visit)
    runs = [run for run in run_folders(data) if (folded(run.participant), folded(run.session)) == asked]
    used = SiteLedger()
    for doses in doses_of_runs([run.path for run in runs], now_wall_s):
        used.add_shares({each.site: each.share for each in doses})
    return used.as_dict()


def doses_of_runs(folders: Sequence[Path], now_wall_s: float) -> Iterator[list[SiteDose]]:
    """Return the doses of each run; a later run that found the device at baseline bounds what came before it."""
    opened_s = [log.opened_wall_s for folder in folders if (log := read_watchdog_log(folder / WATCHDOG_LOG))]
    for folder in folders:
        yield doses_in(folder, now_wall_s, opened_s)


@dataclass(frozen=True, slots=True)
class AccountedRun:
    """One session of the account, and the dose that it added."""

    entry: AccountEntry
    doses: Sequence[SiteDose]


def doses_by_account(
    entries: Sequence[AccountEntry], data: Path, session: str, now_wall_s: float
) -> list[AccountedRun]:
    """Return what a participant's entries add to what the dataset itself says of a session.

    That is: all of the last ``RECOVERS_S``, wherever they are, and runs of this session whose folder is gone. Of a run
    of this session that is there, ``used_before`` counts what its folder says; here is what the account knows beyond.
    """
    here, found = str(data.resolve()), []
    for entry in entries:
        is_same = entry.dataset == here and folded(entry.session) == folded(session)
        is_old = math.isfinite(now_wall_s) and now_wall_s - entry.wall_s > RECOVERS_S
        if (is_old and not is_same) or not entry.sites:
            continue
        if is_same and _says_anything(entry.path):
            doses = _beyond(entry.used, doses_in(entry.path, now_wall_s)) if entry.used else []
        else:
            doses = doses_of_entry(entry, now_wall_s)
        if doses:
            found.append(AccountedRun(entry, doses))
    return found


def doses_of_entry(entry: AccountEntry, now_wall_s: float) -> list[SiteDose]:
    """Return the doses of a run by the account and by its folder; the whole budget if neither says it."""
    sources = {} if entry.used is None else {"account": entry.used}
    doses = _most(sources)
    if _says_anything(entry.path):
        return _hottest([*doses_in(entry.path, now_wall_s), *doses])
    return doses if entry.used is not None else _most({"unknown": dict.fromkeys(entry.sites, entry.budget)})


def _says_anything(folder: Path) -> bool:
    """Return whether a run's folder still has a file that tells of its heat: one that was emptied has none."""
    return any((folder / name).exists() for name in (SETTINGS, PROTOCOL, RECORDING, LEDGER, WATCHDOG_LOG))


def _beyond(used: Mapping[str, float], counted: Sequence[SiteDose]) -> list[SiteDose]:
    """Return what the account says beyond the doses that are counted already."""
    more = _without(used, {each.site: each.share for each in counted})
    return [SiteDose(site, share, "account") for site, share in more.items() if share > 0]


def used_in(folder: Path) -> dict[str, float]:
    """Return the dose that one run added, by site."""
    return {each.site: each.share for each in doses_in(folder, math.inf)}


def doses_in(folder: Path, now_wall_s: float, opened_s: Sequence[float] = ()) -> list[SiteDose]:
    """Return the dose that one run added at each site: the most that any source says.

    Parameters
    ----------
    folder : Path
    now_wall_s : float
        The time of day.
    opened_s : sequence of float
        The times of day at which the device is known to have been at baseline.
    """
    settings = _document(folder / SETTINGS)
    if settings is not None and settings.get("heat", True) is None:
        return []
    before = _shares((settings or {}).get(BEFORE)) or {}
    ended, log = _shares(_document(folder / LEDGER)), read_watchdog_log(folder / WATCHDOG_LOG)
    file, failed = _recording(folder / RECORDING)
    sources = {"ledger": {} if ended is None else _without(ended, before)}
    if file is not None:
        is_closed = ended is not None or (log is not None and log.is_closed and log.outlook is None)
        sources["recording"] = recorded_in(file, is_closed=is_closed)
    if log is not None:
        sources["watchdog log"] = _logged(log, before, now_wall_s, opened_s)
    elif ended is None and (file is not None or failed or _has_begun(folder)):
        sources["unknown"] = _whole_budget(folder, settings, file, failed)
    return _most(sources)


def date_of(folder: Path) -> str:
    """Return when a run began, as its settings say it; empty if they do not."""
    return str((_document(folder / SETTINGS) or {}).get("date", ""))


def _has_begun(folder: Path) -> bool:
    """Return whether a run came so far that its settings were written: heat may have begun after that."""
    return (folder / PROTOCOL).exists() or (folder / SETTINGS).exists()


def _logged(
    log: LoggedDose, before: Mapping[str, float], now_wall_s: float, opened_s: Sequence[float]
) -> dict[str, float]:
    proof_s = min([each for each in opened_s if each > log.last_wall_s], default=now_wall_s)
    return _without(log.with_outlook(proof_s), before if log.before is None else log.before)


def _whole_budget(
    folder: Path, settings: Mapping[str, object] | None, file: XdfFile | None, failed: str
) -> dict[str, float]:
    """Return the whole budget at each site that the run may have used."""
    heat = (settings or {}).get("heat")
    content = heat if isinstance(heat, Mapping) else {}
    budget, sites = content.get("budget", WHOLE_BUDGET), content.get("sites")
    if isinstance(sites, list):
        return {str(site): float(budget) for site in sites}
    if file is not None:
        return dict.fromkeys(_recorded_sites(file), WHOLE_BUDGET)
    raise WrongFile(
        f"how much heat {folder.name} has given cannot be known: it has no {LEDGER}, no {WATCHDOG_LOG}, no settings "
        f"that can be read, and its recording cannot be read ({failed or 'it is not there'}); run under another "
        "--session, at other places on the skin"
    )


def _most(sources: Mapping[str, Mapping[str, float]]) -> list[SiteDose]:
    return _hottest(
        [
            SiteDose(site, share, source)
            for source, shares in sources.items()
            for site, share in shares.items()
        ]
    )


def _hottest(doses: Sequence[SiteDose]) -> list[SiteDose]:
    """Return the largest dose of each site."""
    found: dict[str, SiteDose] = {}
    for each in doses:
        known = found.get(folded(each.site))
        if known is None or each.share > known.share:
            found[folded(each.site)] = replace(each, site=known.site if known else each.site)
    return list(found.values())


def _without(shares: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    had = SiteLedger(before)
    return {site: max(0.0, share - had.used(site)) for site, share in shares.items()}


def _recording(path: Path) -> tuple[XdfFile | None, str]:
    """Return a recording; None and why, if it is there and cannot be read."""
    try:
        return read_xdf_file(path), ""
    except UnknownFile:
        return None, ""
    except (WrongFile, OSError) as error:
        return None, str(error)


def recorded_in(file: XdfFile, *, is_closed: bool) -> dict[str, float]:
    """Return the dose of each site by the recorded temperatures: the hotter of commanded and measured, always.

    Unless the run is known to have ended at baseline (``is_closed``), a stimulus that was armed or on may have gone on.
    """
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
    if is_closed:
        return used
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
            event = limits.parse_json(text)
            if event["kind"] == "heat_armed":
                asked = str(event["details"]["site"]), float(event["details"]["target_c"])
            elif event["kind"] == "heat_ended":
                asked = None
        except (ValueError, KeyError, TypeError):  # a damaged document says nothing
            continue
    return asked


def _recorded_sites(file: XdfFile) -> list[str]:
    try:
        return _sites(file.stream(STIMULUS))
    except UnknownFile:
        return []


def _sites(stream: XdfStream) -> list[str]:
    found = limits.parse_json(str(stream.header.desc.get("sites", "[]")))
    return [str(site) for site in found]


def _document(path: Path) -> dict[str, object] | None:
    """Return the content of a file; None if it is not there, or broken off."""
    try:
        content = limits.read_json(path)
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
