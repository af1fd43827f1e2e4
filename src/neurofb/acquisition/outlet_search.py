"""Finds a stream that is lost when it is there again, in a thread of its own.

In: the description under which a session began, and streams on the network. Out: an open inlet of the one stream that
fits, and how its samples become those of the stream before; or, as events, why none is taken. Kept: what was told.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from neurofb.acquisition.second_sender import MOST_TOLD
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import EegColumns
from neurofb.errors import StreamLost, WrongStream
from neurofb.events import Event
from neurofb.format import clean
from neurofb.lsl.description_change import Adaptation, adapt
from neurofb.lsl.inlet import LslClock, NumericInlet, find_streams
from neurofb.lsl.matching import StreamInfo

CORRECTION_TIMEOUT_S = 3.0
_CLOCK = LslClock()


class Wanted(NamedTuple):
    """What an outlet must be to take the place of one that is lost."""

    #: The description under which the session began, and the columns that were made of it.
    info: StreamInfo
    eeg: EegColumns
    #: LSL's id of the outlet that is lost: it is listed for a while.
    lost_uid: str
    #: Of the device, with all programs that may send its stream.
    profile: DeviceProfile | None = None

    def may_be(self, info: StreamInfo) -> bool:
        """Return whether a stream is another outlet of the one that is lost, or is called like it."""
        kinds = (self.info.type.strip().lower(), info.type.strip().lower())
        return (
            info.answered
            and info.uid != self.lost_uid
            and info.name == self.info.name
            and len(set(kinds)) == 1
        )


class FoundOutlet(NamedTuple):
    """An open inlet of the stream that is there again."""

    inlet: NumericInlet
    adaptation: Adaptation
    #: The offset of its sender's clock: when it was measured, and what to add to a stamp, in s.
    measured_s: float
    offset_s: float


class OutletSearch:
    """Finds the outlet of a lost stream, in a thread of its own, until it is there again or no longer lost.

    Parameters
    ----------
    wanted : Wanted
    index : int
        The next sample, for events.
    is_lost : callable
        Whether to look on: what silenced the stream may end.
    wake, stopped : threading.Event
        Set when it is found; ends the search when set from outside.

    Attributes
    ----------
    found : list of FoundOutlet
        One, or none so far.
    is_changed : bool
        Whether the stream is there under a description that does not fit.
    is_over : bool
        Whether it ended without.
    """

    def __init__(
        self,
        wanted: Wanted,
        index: int,
        is_lost: Callable[[], bool],
        wake: threading.Event,
        stopped: threading.Event,
    ) -> None:
        self._wanted, self._index, self._is_lost = wanted, index, is_lost
        self._wake, self._stopped = wake, stopped
        self._events: deque[Event] = deque()
        self._told: set[str] = set()
        self.found: list[FoundOutlet] = []
        self.is_changed = self.is_over = False
        self.thread = threading.Thread(target=self._run, name="neurofb-search", daemon=True)
        self.thread.start()

    def pop_events(self) -> list[Event]:
        """Return the events since the last call."""
        events = []
        while self._events:  # filled by the thread
            events.append(self._events.popleft())
        return events

    def _run(self) -> None:
        while not self._stopped.is_set() and self._is_lost() and not self.found:
            self.look(find_streams(None, 1.0, self._stopped))
        self.is_over = not self.found

    def look(self, seen: Sequence[tuple[StreamInfo, Any]]) -> None:
        """Connect to the one stream that fits among those that are there."""
        fits = self._fitting(seen)
        if len(fits) == 1 and (found := _opened(*fits[0])) is not None:
            self.found.append(found)
            self._wake.set()

    def _fitting(self, seen: Sequence[tuple[StreamInfo, Any]]) -> list[tuple[StreamInfo, Any, Adaptation]]:
        """Return the streams that may take the place of the lost one; log those that may not, each once."""
        fits, is_changed = [], False
        for info, handle in seen:
            if not self._wanted.may_be(info):
                continue
            try:
                fits.append(
                    (info, handle, adapt(self._wanted.info, self._wanted.eeg, info, self._wanted.profile))
                )
            except WrongStream as error:
                is_changed |= info.source_id == self._wanted.info.source_id
                self._log_refused(info, str(error))
        self.is_changed = is_changed and not fits
        if len(fits) > 1 and "several" not in self._told:
            self._told.add("several")
            self._events.append(self._several([info for info, *_ in fits]))
        return fits

    def _log_refused(self, info: StreamInfo, differences: str) -> None:
        if info.uid in self._told or len(self._told) >= MOST_TOLD:
            return
        self._told.add(info.uid)
        is_same = info.source_id == self._wanted.info.source_id
        self._events.append(
            Event(
                "changed" if is_same else "other_source",
                _CLOCK.now_s(),
                f"{clean(info.name)!r} is there again, but not as it was: {differences}. It is not read, so that no "
                "value stands at a wrong electrode. Set its program as before, or end this session and start another"
                if is_same
                else f"a stream named {clean(info.name)!r} is there, but it is another source than the one that is "
                f"lost: {differences}. It is not read. If it is the same headset, end this session and start another",
                self._index,
                {"uid": info.uid, "host": info.hostname, "differences": differences},
            )
        )

    def _several(self, found: list[StreamInfo]) -> Event:
        seen = "; ".join(info.describe() for info in found)
        return Event(
            "several",
            _CLOCK.now_s(),
            f"{len(found)} streams look like {clean(self._wanted.info.name)!r}, which is lost: {seen}. None is taken "
            "until only one is left; stop the others",
            self._index,
            {"uids": [info.uid for info in found]},
        )


def _opened(info: StreamInfo, handle: Any, adaptation: Adaptation) -> FoundOutlet | None:
    """Return an open inlet of a stream; None if it is gone again."""
    inlet = NumericInlet(info, handle)
    try:
        offset_s = inlet.correction_s(CORRECTION_TIMEOUT_S)
        measured_s = _CLOCK.now_s()
        inlet.open(CORRECTION_TIMEOUT_S)
    except StreamLost:
        return None
    return FoundOutlet(inlet, adaptation, measured_s, offset_s)
