"""The watchdog's own log: events and doses, a JSON document a line, written also after the engine has died.

In: events, and the state of a guard. Out: the file, and what it says of the dose of each site. Kept: what the disk has
not got yet. With the doses stands what the stimulus that is armed or on may still give if nobody guards it any more
(``Outlook``): a log that breaks off counts it in full.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neurofb.events import Event
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.thermal_dose import Outlook

Document = dict[str, Any]

#: Kinds of lines that are no events.
OPENED, DOSES, ENDED = "watchdog_opened", "doses", "watchdog_ended"
#: From one line of doses to the next while there is heat. Assumed: at 49 °C that is 0.4 % of the contact-burn limit.
DOSES_S = 0.1
#: The baseline of a stimulus in a log of an older version, which does not say it. Assumed: the coolest that an envelope
#: allows.
COOLEST_C = 30.0
#: The ramps of such a stimulus. Assumed: slow ones, whose dose is large.
SLOWEST_C_PER_S = 1.0


class WatchdogLog:
    """Writes the log; whoever writes does not wait for the disk, nor fail with it.

    Parameters
    ----------
    path : Path or None
        None: nothing is written.
    at_once : bool
        Without a thread: for sessions on a manual clock.
    """

    def __init__(self, path: Path | None, *, at_once: bool = False) -> None:
        self._path = path
        self._doses_s = -math.inf
        self._was_hot = False
        self._documents: queue.Queue[Document | None] = queue.Queue()
        self._writer = None if at_once else threading.Thread(target=self._write, daemon=True)
        if self._writer is not None:
            self._writer.start()

    def open(self, guard: Guard, wall_s: float, time_s: float) -> None:
        """Write the first line: the doses so far, and what the device does when the computer is silent."""
        link_s = guard.link_s if math.isfinite(guard.link_s) else None
        self.write(
            {"kind": OPENED, "time_s": time_s, "wall_s": wall_s, "used": guard.used(), "link_s": link_s}
        )

    def write(self, document: Document) -> None:
        """Write a document, as soon as the disk takes it."""
        if self._path is None:
            return
        if self._writer is None:
            self._append([document])
        else:
            self._documents.put(document)

    def write_news(self, guard: Guard, events: Sequence[Event], wall_s: float, time_s: float) -> None:
        """Write what happened, and the doses if they are due; times as of ``write_doses``."""
        for event in events:
            self.write(json.loads(event.to_json()))
        self.write_doses(guard, wall_s, time_s, news=bool(events))

    def write_doses(self, guard: Guard, wall_s: float, time_s: float, *, news: bool) -> None:
        """Write the doses if they are due: with news, when heat begins or ends, and in between.

        Parameters
        ----------
        guard : Guard
        wall_s, time_s : float
            The time of day, and the engine's.
        news : bool
            Whether anything happened.
        """
        is_hot = guard.is_hot
        if not (news or is_hot != self._was_hot or (is_hot and time_s - self._doses_s >= DOSES_S)):
            return
        self._doses_s, self._was_hot = time_s, is_hot
        outlook = guard.outlook()
        self.write(
            {
                "kind": DOSES,
                "time_s": time_s,
                "wall_s": wall_s,
                "used": guard.used(),
                "outlook": None if outlook is None else asdict(outlook),
            }
        )

    def finish(self) -> None:
        """Write what is left, for a second at most."""
        if self._writer is not None:
            self._documents.put(None)
            self._writer.join(1.0)

    def _write(self) -> None:
        document = self._documents.get()
        while document is not None:
            waiting: list[Document | None] = [document]
            with contextlib.suppress(queue.Empty):
                while waiting[-1] is not None:
                    waiting.append(self._documents.get_nowait())
            self._append([each for each in waiting if each is not None])
            document = None if waiting[-1] is None else self._documents.get()

    def _append(self, documents: Sequence[Document]) -> None:
        assert self._path is not None
        # What cannot be written the next line of doses says again.
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in documents)
            if self._writer is not None:
                file.flush()
                os.fsync(file.fileno())


@dataclass(frozen=True, slots=True)
class LoggedDose:
    """What a log says."""

    #: The dose of each site, as a fraction of the contact-burn limit, that of earlier runs included.
    used: Mapping[str, float] = field(default_factory=dict)
    #: The doses that the run began with; None in a log of an older version.
    before: Mapping[str, float] | None = None
    #: The heat that no later line ends; None if the last line was written at baseline.
    outlook: Outlook | None = None
    #: When the computer is silent for so long the device goes to baseline by itself; infinite if it never does.
    link_s: float = math.inf
    #: The time of day of the first line, when the device was at baseline, and of the last; NaN if unknown.
    opened_wall_s: float = math.nan
    last_wall_s: float = math.nan
    #: Whether the watchdog ended in order, at baseline.
    is_closed: bool = False

    def with_outlook(self, proof_wall_s: float) -> dict[str, float]:
        """Return the doses with what may have come after the last line.

        Parameters
        ----------
        proof_wall_s : float
            When the device is known to have been at baseline again, or now, as time of day.
        """
        used = dict(self.used)
        if self.outlook is not None:
            alone_s = 0.0 if math.isnan(self.last_wall_s) else proof_wall_s - self.last_wall_s
            site = self.outlook.site
            used[site] = used.get(site, 0.0) + self.outlook.most_dose(self.link_s, alone_s)
        return used


def read_watchdog_log(path: Path) -> LoggedDose | None:
    """Return what a log says, a last line that was broken off left out; None if there is no line at all."""
    documents = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return None
    for line in lines:
        with contextlib.suppress(ValueError):
            document = json.loads(line)
            if isinstance(document, dict):
                documents.append(document)
    found = None
    for document in documents:
        with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged line says nothing
            found = _after(found or LoggedDose(), document)
    return found


def _after(found: LoggedDose, document: Document) -> LoggedDose:
    """Return what is known after one more line."""
    kind = document["kind"]
    if kind == OPENED:
        link_s = math.inf if document["link_s"] is None else float(document["link_s"])
        used, wall_s = _numbers(document["used"]), float(document["wall_s"])
        return LoggedDose(used, used, None, link_s, wall_s, wall_s)
    if kind == DOSES:
        outlook = None if document["outlook"] is None else Outlook(**document["outlook"])
        wall_s = float(document["wall_s"])
        return replace(found, used=_numbers(document["used"]), outlook=outlook, last_wall_s=wall_s)
    if kind == ENDED:
        return replace(found, is_closed=True)
    return found if found.before is not None else _after_event(found, document)


def _after_event(found: LoggedDose, document: Document) -> LoggedDose:
    """Return what is known after an event in a log of an older version, which has no lines of doses."""
    details = document.get("details") or {}
    if document["kind"] == "heat_armed":
        target_c, plateau_s = float(details["target_c"]), float(details["plateau_s"])
        ramps_s = 2 * max(0.0, target_c - COOLEST_C) / SLOWEST_C_PER_S
        return replace(found, outlook=Outlook(str(details["site"]), target_c, plateau_s + ramps_s))
    if document["kind"] == "heat_ended":
        used = {**found.used, str(details["site"]): float(details["used"])}
        return replace(found, used=used, outlook=None)
    return found


def _numbers(content: Mapping[str, float]) -> dict[str, float]:
    return {str(site): float(share) for site, share in content.items()}
