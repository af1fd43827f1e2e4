"""Whether somebody else sends under the name of the stream that is read: an imposter, or a program started twice.

In: the streams on the network, which stream is read. Out: an event for each outlet that looks like it. Kept: the uids
that were seen. Nothing switches to such an outlet while the stream lives; who looks at the event decides.
"""

from __future__ import annotations

from neurofb.events import Event
from neurofb.format import clean
from neurofb.lsl.inlet import Resolver
from neurofb.lsl.matching import StreamInfo

#: So many imposters are told, each once; who makes more of them is known by then.
MOST_TOLD = 20
NAME_LETTERS = 80


class SecondSenderWatch:
    """Looks for outlets with the identity of a stream and another uid; called from a thread that may wait."""

    def __init__(self, info: StreamInfo) -> None:
        self._resolver = Resolver.by_name(info.name)
        self._known = {info.uid}
        self._n_told = 0

    def look(self, info: StreamInfo, now_s: float) -> list[Event]:
        """Return an event for each outlet that is new and looks like the stream that is read."""
        self._known.add(info.uid)
        events = []
        for handle in self._resolver.results():
            uid = handle.uid()
            said = (handle.name(), handle.type(), handle.source_id(), handle.channel_count())
            if uid in self._known or said != (info.name, info.type, info.source_id, info.n_channels):
                continue
            if self._n_told < MOST_TOLD:
                self._known.add(uid)
                self._n_told += 1
                events.append(_event(info, uid, handle.hostname(), now_s))
        return events


def change_of_sender(before: StreamInfo, after: StreamInfo) -> tuple[str, dict[str, str]]:
    """Return in words and as details how one outlet differs from the one before it."""
    elsewhere = before.hostname != after.hostname
    kind = "another computer" if elsewhere else "another outlet of the same computer"
    details = {
        "uid_before": before.uid,
        "uid": after.uid,
        "host_before": before.hostname,
        "host": after.hostname,
        "change": kind,
    }
    return (
        f"{kind}: {_place(before.hostname, before.uid)} before, {_place(after.hostname, after.uid)} now",
        details,
    )


def _event(info: StreamInfo, uid: str, host: str, now_s: float) -> Event:
    name = clean(info.name, NAME_LETTERS)
    return Event(
        "second_sender",
        now_s,
        f"a second sender calls itself {name!r}: {_place(host, uid)}; the session reads "
        f"{_place(info.hostname, info.uid)}. "
        "Stop the second one, or its samples may be taken when the first falls silent",
        details={"uid": uid, "host": host, "uid_read": info.uid, "host_read": info.hostname},
    )


def _place(host: str, uid: str) -> str:
    return f"{clean(host, NAME_LETTERS) or 'an unnamed computer'} (uid {clean(uid, NAME_LETTERS)})"
