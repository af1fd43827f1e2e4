"""What LSL itself gives: the live clock, what streams there are, and one connection that pulls into arrays.

Only this file, ``lsl`` and ``simulation/outlet.py`` know pylsl.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator

import numpy as np
import pylsl

from neurofb.errors import WrongInput
from neurofb.lsl.matching import StreamFacts, StreamQuery

#: After the first stream that fits, others are waited for so long: two that fit must be seen as two.
GRACE_S = 0.6
POLL_S = 0.05
FACTS_TIMEOUT_S = 2.0

_FORMATS = {
    pylsl.cf_float32: ("float32", np.float32),
    pylsl.cf_double64: ("double64", np.float64),
    pylsl.cf_int32: ("int32", np.int32),
    pylsl.cf_int16: ("int16", np.int16),
    pylsl.cf_int8: ("int8", np.int8),
    pylsl.cf_int64: ("int64", np.int64),
    pylsl.cf_string: ("string", np.object_),
}


class LslClock:
    """The live clock: LSL's, so that its readings compare with time stamps. It never runs backwards."""

    def now_s(self) -> float:
        """Return the present time in seconds."""
        return float(pylsl.local_clock())

    def wait_until(self, time_s: float) -> None:
        """Return when ``now_s()`` has reached ``time_s``; at once if it already has."""
        while (left_s := time_s - pylsl.local_clock()) > 0:
            time.sleep(left_s)


def find_streams(
    query: StreamQuery | None = None, wait_s: float = 2.0, stop: threading.Event | None = None
) -> list[tuple[StreamFacts, pylsl.StreamInfo]]:
    """Look for streams on the network.

    Parameters
    ----------
    query : StreamQuery, optional
        Come back soon after the first stream that it accepts; without it, look for the whole time.
    wait_s : float
        How long to look, in seconds.
    stop : threading.Event, optional
        Set from outside to give up.

    Returns
    -------
    list of (StreamFacts, pylsl.StreamInfo)
        All that was seen, those that ``query`` does not accept as well.

    Raises
    ------
    WrongInput
        If the predicate of ``query`` is none.
    """
    pause = stop or threading.Event()
    resolver = _resolver(query.predicate if query else None)
    until_s = pylsl.local_clock() + wait_s
    seen: dict[str, tuple[StreamFacts, pylsl.StreamInfo]] = {}
    while True:
        for info in resolver.results():
            if info.uid() not in seen:
                seen[info.uid()] = (read_facts(info), info)
                if query is not None and query.accepts(seen[info.uid()][0]):
                    until_s = min(until_s, pylsl.local_clock() + GRACE_S)
        if pylsl.local_clock() >= until_s or pause.wait(POLL_S):
            return list(seen.values())


def _resolver(predicate: str | None) -> pylsl.ContinuousResolver:
    if not predicate:
        return pylsl.ContinuousResolver()
    try:
        return pylsl.ContinuousResolver(pred=predicate)
    except RuntimeError:  # all that pylsl raises
        raise WrongInput(
            f"{predicate!r} is no predicate that LSL understands; right is a condition of XPath 1.0, such as "
            "name='Muse' or starts-with(name,'Muse') and hostname='lab2'"
        ) from None


def read_facts(info: pylsl.StreamInfo) -> StreamFacts:
    """Ask a stream for its whole description; what it does not answer in time stays empty."""
    inlet = pylsl.StreamInlet(info, max_buflen=1, recover=False)
    # The outlet may have died since it was seen: then what its announcement said is all there is.
    with contextlib.suppress(pylsl.util.TimeoutError, pylsl.util.LostError):
        info = inlet.info(timeout=FACTS_TIMEOUT_S)
    channels = list(_children(info.desc().child("channels"), "channel"))
    labels = tuple(channel.child_value("label") for channel in channels)
    units = tuple(channel.child_value("unit") for channel in channels)
    whole = len(channels) == info.channel_count()
    return StreamFacts(
        name=info.name(),
        type=info.type(),
        source_id=info.source_id(),
        uid=info.uid(),
        hostname=info.hostname(),
        n_channels=info.channel_count(),
        rate_hz=info.nominal_srate(),
        value_format=_FORMATS.get(info.channel_format(), ("undefined", np.object_))[0],
        labels=labels if whole and all(labels) else (),
        units=units if whole and any(units) else (),
        manufacturer=info.desc().child_value("manufacturer"),
    )


def _children(element: pylsl.info.XMLElement, name: str) -> Iterator[pylsl.info.XMLElement]:
    child = element.child(name)
    while not child.empty():
        yield child
        child = child.next_sibling(name)


class Inlet:
    """One connection: pulls into arrays of its own.

    Attributes
    ----------
    facts : StreamFacts
        What the stream says of itself.
    values : ndarray, shape (n_rows, n_channels)
        The samples of the last ``pull``, in the first rows.
    stamps_s : ndarray, shape (n_rows,)
        Their time stamps, as they came.
    """

    def __init__(self, facts: StreamFacts, info: pylsl.StreamInfo) -> None:
        self.facts = facts
        # No smoothing, and no recovery by liblsl: it goes by the source_id, and says nothing when it happens.
        self._inlet = pylsl.StreamInlet(info, recover=False, processing_flags=pylsl.proc_none)
        dtype = _FORMATS[info.channel_format()][1]
        self._rows = max(256, round(facts.rate_hz))
        self.values = np.zeros((self._rows, facts.n_channels), dtype=dtype)
        self.stamps_s = np.zeros(self._rows)
        self._error = ctypes.c_int()
        self._error_at = ctypes.byref(self._error)
        self._pull = self._inlet.do_pull_chunk
        # Made once: to make them for each call costs more than the call.
        self._timeout_s = ctypes.c_double()
        self._all = self._room(0, self._rows)
        self._first = self._room(0, 1)
        self._others = self._room(1, self._rows - 1)

    def _room(
        self, first: int, n: int
    ) -> tuple[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]:
        n_channels = self.facts.n_channels
        return (
            ctypes.c_void_p(self.values.ctypes.data + first * self.values.strides[0]),
            ctypes.c_void_p(self.stamps_s.ctypes.data + first * self.stamps_s.itemsize),
            ctypes.c_size_t(n * n_channels),
            ctypes.c_size_t(n),
        )

    def pull(self, timeout_s: float) -> int:
        """Fill the arrays with what is there, waiting for the first sample if nothing is; give how many.

        This is pylsl's ``pull_chunk(dest_obj=…, min_samples=1)`` without what it makes anew each time.
        """
        if timeout_s <= 0.0:
            return self._fill(self._all, 0.0)
        n = self._fill(self._first, timeout_s)
        return n + self._fill(self._others, 0.0) if n else 0

    def _fill(
        self,
        room: tuple[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t],
        timeout_s: float,
    ) -> int:
        self._timeout_s.value = timeout_s
        n_values: int = self._pull(self._inlet.obj, *room, self._timeout_s, self._error_at)
        if self._error.value:
            pylsl.util.handle_error(self._error)
        return n_values // self.facts.n_channels

    def correction_s(self, timeout_s: float) -> float:
        """Ask for the sender's clock: what to add to its stamps."""
        return float(self._inlet.time_correction(timeout=timeout_s))

    def open(self, timeout_s: float) -> None:
        """Connect; from now on liblsl keeps what comes."""
        self._inlet.open_stream(timeout=timeout_s)

    def close(self) -> None:
        """End the connection."""
        self._inlet.close_stream()
