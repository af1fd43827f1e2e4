"""The live clock, the resolver of streams, and the numeric inlet.

In: streams on the network. Out: what they say of themselves, and their samples in arrays or ``StreamLost``. Kept: one
connection for each inlet, one search for each resolver. Nothing waits unless it is asked to. No other room knows pylsl.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pylsl

from neurofb.chunk import FloatArray
from neurofb.errors import StreamLost, WrongInput
from neurofb.lsl.matching import StreamInfo, StreamQuery, xpath_text

#: After the first stream that fits, others are waited for so long: two that fit must be seen as two.
GRACE_S = 0.6
POLL_S = 0.05
FACTS_TIMEOUT_S = 2.0
OPEN_TIMEOUT_S = 2.0
#: Samples of so many seconds are pulled at once, if they have waited.
WAITED_S = 10.0
#: A stream that is gone is listed for so long.
FORGET_S = 3.0

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


class Resolver:
    """Finds streams in a thread of liblsl's, as long as the object lives.

    Parameters
    ----------
    predicate : str, optional
        A condition of XPath 1.0; without it, all streams are found.

    Raises
    ------
    WrongInput
        If LSL does not understand the predicate.
    """

    def __init__(self, predicate: str | None = None) -> None:
        try:
            self._resolver = pylsl.ContinuousResolver(pred=predicate or None, forget_after=FORGET_S)
        except RuntimeError:  # all that pylsl raises
            raise WrongInput(
                f"{predicate!r} is no predicate that LSL understands; right is a condition of XPath 1.0, such as "
                "name='Muse' or starts-with(name,'Muse') and hostname='lab2'"
            ) from None

    @classmethod
    def by_name(cls, name: str) -> Resolver:
        """Return a resolver of the streams of one name."""
        return cls(f"name={xpath_text(name)}")

    @classmethod
    def by_source_id(cls, prefix: str) -> Resolver:
        """Return a resolver of streams whose ``source_id`` begins with a text.

        ``neurofb-<uid>-`` finds the streams of one session, ``neurofb-`` those of all.
        """
        return cls(f"starts-with(source_id,{xpath_text(prefix)})")

    def results(self) -> list[pylsl.StreamInfo]:
        """Return the streams that are there now; one that died is listed for some seconds."""
        found: list[pylsl.StreamInfo] = self._resolver.results()
        return found


def find_streams(
    query: StreamQuery | None = None, wait_s: float = 2.0, stop: threading.Event | None = None
) -> list[tuple[StreamInfo, pylsl.StreamInfo]]:
    """Find streams on the network.

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
    list of (StreamInfo, pylsl.StreamInfo)
        All that was seen, those that ``query`` does not accept as well: the description, and what an inlet connects to.

    Raises
    ------
    WrongInput
        If the predicate of ``query`` is none.
    """
    pause = stop or threading.Event()
    resolver = Resolver(query.predicate if query else None)
    until_s = pylsl.local_clock() + wait_s
    seen: dict[str, tuple[StreamInfo, pylsl.StreamInfo]] = {}
    while True:
        for handle in resolver.results():
            if handle.uid() not in seen:
                seen[handle.uid()] = (read_info(handle), handle)
                if query is not None and query.accepts(seen[handle.uid()][0]):
                    until_s = min(until_s, pylsl.local_clock() + GRACE_S)
        if pylsl.local_clock() >= until_s or pause.wait(POLL_S):
            return list(seen.values())


def read_info(handle: pylsl.StreamInfo) -> StreamInfo:
    """Return the whole description of a stream; if it does not answer in time, what it announces of itself."""
    inlet = pylsl.StreamInlet(handle, max_buflen=1, recover=False)
    answered = False
    # The outlet may have died since it was seen: then what its announcement said is all there is.
    with contextlib.suppress(pylsl.util.TimeoutError, pylsl.util.LostError):
        handle = inlet.info(timeout=FACTS_TIMEOUT_S)
        answered = True
    channels = list(_children(handle.desc().child("channels"), "channel"))
    labels = tuple(channel.child_value("label") for channel in channels)
    units = tuple(channel.child_value("unit") for channel in channels)
    whole = len(channels) == handle.channel_count()
    return StreamInfo(
        name=handle.name(),
        type=handle.type(),
        source_id=handle.source_id(),
        uid=handle.uid(),
        hostname=handle.hostname(),
        n_channels=handle.channel_count(),
        rate_hz=handle.nominal_srate(),
        value_format=_FORMATS.get(handle.channel_format(), ("undefined", np.object_))[0],
        labels=labels if any(labels) else (),
        units=units if whole and any(units) else (),
        manufacturer=handle.desc().child_value("manufacturer"),
        answered=answered,
    )


def _children(element: pylsl.info.XMLElement, name: str) -> Iterator[pylsl.info.XMLElement]:
    child = element.child(name)
    while not child.empty():
        yield child
        child = child.next_sibling(name)


class NumericInlet:
    """A connection to a stream of numbers: pulls into arrays of its own.

    Parameters
    ----------
    info : StreamInfo
    handle : pylsl.StreamInfo
        Of the same stream.

    Attributes
    ----------
    values : ndarray, shape (n_rows, n_channels)
        The samples of the last ``pull``, in the first rows.
    stamps_s : ndarray, shape (n_rows,)
        Their time stamps, as they came.
    """

    def __init__(self, info: StreamInfo, handle: pylsl.StreamInfo) -> None:
        self.info = info
        # No smoothing, and no recovery by liblsl: it goes by the source_id, and says nothing when it happens.
        self._inlet = pylsl.StreamInlet(handle, recover=False, processing_flags=pylsl.proc_none)
        dtype = _FORMATS[handle.channel_format()][1]
        # What has waited comes at once: the last of it is what came now.
        self._n_rows = max(256, round(WAITED_S * info.rate_hz))
        self.values = np.zeros((self._n_rows, info.n_channels), dtype=dtype)
        self.stamps_s = np.zeros(self._n_rows)
        self._error = ctypes.c_int()
        self._error_at = ctypes.byref(self._error)
        self._pull = self._inlet.do_pull_chunk
        # Made once: to make them for each call costs more than the call.
        self._timeout_s = ctypes.c_double()
        self._all = self._rows(0, self._n_rows)
        self._first = self._rows(0, 1)
        self._others = self._rows(1, self._n_rows - 1)

    @classmethod
    def connect(cls, handle: pylsl.StreamInfo) -> NumericInlet:
        """Return an open inlet of a stream; its description is read for it.

        Raises
        ------
        StreamLost
            If it does not answer within some seconds.
        """
        try:
            inlet = cls(read_info(handle), handle)
            inlet.open(OPEN_TIMEOUT_S)
        except (RuntimeError, StreamLost) as error:
            raise no_answer(handle.name(), error) from error
        return inlet

    def _rows(
        self, first: int, n: int
    ) -> tuple[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]:
        return (
            ctypes.c_void_p(self.values.ctypes.data + first * self.values.strides[0]),
            ctypes.c_void_p(self.stamps_s.ctypes.data + first * self.stamps_s.itemsize),
            ctypes.c_size_t(n * self.info.n_channels),
            ctypes.c_size_t(n),
        )

    def pull(self, timeout_s: float) -> int:
        """Fill the arrays with what is there, waiting for the first sample if nothing is; return how many.

        This is pylsl's ``pull_chunk(dest_obj=…, min_samples=1)`` without what it makes anew each time.

        Raises
        ------
        StreamLost
            If the sender is gone.
        """
        if timeout_s <= 0.0:
            return self._fill(self._all, 0.0)
        n = self._fill(self._first, timeout_s)
        return n + self._fill(self._others, 0.0) if n else 0

    def _fill(
        self,
        rows: tuple[ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t],
        timeout_s: float,
    ) -> int:
        self._timeout_s.value = timeout_s
        n_values: int = self._pull(self._inlet.obj, *rows, self._timeout_s, self._error_at)
        if self._error.value:
            raise gone(self.info.name)
        return n_values // self.info.n_channels

    def pop(self) -> tuple[FloatArray, FloatArray]:
        """Return copies of what has come, shape (n_samples, n_channels), and its time stamps in seconds; never wait.

        Raises
        ------
        StreamLost
            If the sender is gone.
        """
        n = self.pull(0.0)
        return self.values[:n].astype(float), self.stamps_s[:n].copy()

    def correction_s(self, timeout_s: float) -> float:
        """Ask for the sender's clock; return what to add to its stamps. StreamLost if there is no answer in time."""
        with _no_answer_in_time():
            return float(self._inlet.time_correction(timeout=timeout_s))

    def open(self, timeout_s: float) -> None:
        """Connect; from now on liblsl keeps what comes. StreamLost if there is no answer in time."""
        with _no_answer_in_time():
            self._inlet.open_stream(timeout=timeout_s)

    def close(self) -> None:
        """End the connection."""
        self._inlet.close_stream()


@contextlib.contextmanager
def _no_answer_in_time() -> Iterator[None]:
    try:
        yield
    except (pylsl.util.TimeoutError, pylsl.util.LostError) as error:
        raise StreamLost(str(error)) from error


def gone(name: str) -> StreamLost:
    """Return the error of a stream that ended."""
    return StreamLost(f"the stream {name!r} is gone; its program ended or the network broke")


def no_answer(name: str, error: Exception) -> StreamLost:
    """Return the error of a stream that was seen but cannot be connected to."""
    return StreamLost(f"the stream {name!r} was seen but does not answer ({error})")


class LatestSample:
    """The newest sample of a stream that may come, go and come again.

    Parameters
    ----------
    name : str
        The stream's name.
    labels : sequence of str
        The channels that are wanted.
    """

    def __init__(self, name: str, labels: Sequence[str]) -> None:
        self.name = name
        self._labels = tuple(labels)
        self._resolver: Resolver | None = Resolver.by_name(name)
        self._inlet: NumericInlet | None = None
        self._columns: list[int] = []
        #: A stream that was lost is listed for a while, and is not connected to meanwhile.
        self._lost_uid, self._lost_s = "", -np.inf

    def pop(self) -> tuple[float, ...] | None:
        """Return the wanted channels of the newest sample since the last call; None if there was none.

        Raises
        ------
        WrongInput
            If the stream lacks one of the channels.
        """
        self._inlet = inlet = self._inlet or self._connect()
        if inlet is None:
            return None
        newest = None
        try:
            while len(values := inlet.pop()[0]):
                newest = tuple(values[-1, self._columns].tolist())
        except StreamLost:
            self._lost_uid, self._lost_s = inlet.info.uid, pylsl.local_clock()
            self._inlet = None
        return newest

    def _connect(self) -> NumericInlet | None:
        now_s = pylsl.local_clock()
        found = self._resolver.results() if self._resolver else []
        found = [each for each in found if each.uid() != self._lost_uid or now_s > self._lost_s + FORGET_S]
        if not found:
            return None
        try:
            inlet = NumericInlet.connect(found[0])
        except StreamLost:
            self._lost_uid, self._lost_s = found[0].uid(), pylsl.local_clock()
            return None
        labels = list(inlet.info.labels)
        if missing := [label for label in self._labels if label not in labels]:
            raise WrongInput(
                f"the stream {self.name!r} has no channel {', '.join(missing)}; it has {labels}; "
                "stop the program that sends it, or name its channels so"
            )
        self._columns = [labels.index(label) for label in self._labels]
        return inlet

    def close(self) -> None:
        """Stop looking and end the connection."""
        self._resolver = None
        if self._inlet is not None:
            self._inlet.close()
        self._inlet = None
