"""LSL in: a stream on the network as a ``Source``.

The way of a sample: liblsl's buffer → one preallocated array → columns of EEG in µV → ``ChunkBuilder``.
Stamps stay as they came: liblsl's own smoothing is switched off, because it hides gaps; ``sample_clock`` does it.

Two things may block for seconds and never do so in ``pull``: asking the sender for its clock, and looking for an
outlet that died. Each has a thread of its own, which hands over finished results.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

import numpy as np

from neurofb.acquisition.arrival_timing import ArrivalTiming, ExpectedArrival
from neurofb.acquisition.chunking import NO_COUNT, ChunkBuilder, PacketFormat
from neurofb.acquisition.clock_offset import ClockOffset
from neurofb.acquisition.received import ReceivedBlock, ReceivedLayout, layout_of
from neurofb.acquisition.source import SourceState
from neurofb.acquisition.stream_health import MagnitudeCheck, StreamHealth
from neurofb.chunk import Chunk, FloatArray
from neurofb.errors import StreamLost, StreamMissing, WrongInput, WrongStream
from neurofb.events import Event
from neurofb.lsl.inlet import FACTS_TIMEOUT_S, LslClock, NumericInlet, find_streams
from neurofb.lsl.matching import Layout, StreamFacts, StreamQuery, burst_s, choose, layout

CORRECTION_TIMEOUT_S = 3.0
CORRECTION_EVERY_S = 5.0
#: Stamps further from this computer's clock than this are of another clock.
FOREIGN_S = 120.0
#: Stamps beyond this count from 1970: no computer has been up for 30 years.
UNIX_S = 1e9
_CLOCK = LslClock()


class LslSource:
    """A stream on the network as a ``Source``: µV, placed, timed, and every trouble an event.

    Parameters
    ----------
    query : StreamQuery
        Which stream; its profile gives labels, unit and packets that the stream does not.
    unit : str, optional
        The unit, if both the stream and the profile are wrong about it.
    wait_s : float
        How long to look for the stream, in seconds.
    keep_raw : bool
        Whether to keep what was received for ``take_raw``; somebody must take it then.

    Attributes
    ----------
    offsets : deque of (float, float)
        Each correction of the sender's clock: when it was measured, and what it adds to a stamp, in seconds.
    """

    def __init__(
        self, query: StreamQuery, unit: str | None = None, wait_s: float = 10.0, *, keep_raw: bool = False
    ) -> None:
        self.query = query
        self.unit = unit
        self.wait_s = wait_s
        self._keep_raw = keep_raw
        self._raw: list[ReceivedBlock] = []
        self.offsets: deque[tuple[float, float]] = deque(maxlen=10_000)
        self._new_offsets: deque[tuple[float, float]] = deque(maxlen=10_000)
        self._layout: Layout | None = None
        self._inlet: NumericInlet | None = None
        self._found: deque[NumericInlet] = deque(maxlen=1)
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._searching = False
        self._threads: list[threading.Thread] = []
        self._events: list[Event] = []
        self._said_in_search: deque[Event] = deque()
        self._offset = ClockOffset()
        self._by_arrival: bool | None = None

    def __repr__(self) -> str:
        return f"LslSource({self.query!r}, unit={self.unit!r}, wait_s={self.wait_s!r})"

    @property
    def labels(self) -> tuple[str, ...]:
        """Channel labels in the order of the columns."""
        return self._opened().labels

    @property
    def rate_hz(self) -> float:
        """The nominal rate."""
        self._opened()
        return self._intake.ledger.clock.nominal_hz

    @property
    def state(self) -> SourceState:
        """What the source knows of its stream, as of the last ``pull``."""
        return self._watch.state if self._layout else "waiting"

    @property
    def facts(self) -> StreamFacts:
        """What the stream said of itself when it was opened."""
        self._opened()
        return self._facts

    @property
    def raw_layout(self) -> ReceivedLayout:
        """What the stream is, and which of its columns are the EEG."""
        return layout_of(self._facts, self._opened())

    def pop_received(self) -> list[ReceivedBlock]:
        """Return what was received since the last call, as it came."""
        raw, self._raw = self._raw, []
        return raw

    def pop_offsets(self) -> list[tuple[float, float]]:
        """Return the corrections of the sender's clock since the last call: when measured, what to add, in s."""
        new = []
        while self._new_offsets:  # filled by a thread
            new.append(self._new_offsets.popleft())
        return new

    def _note_offset(self, offset_s: float) -> float:
        measured = (_CLOCK.now_s(), offset_s)
        self.offsets.append(measured)
        self._new_offsets.append(measured)
        return measured[0]

    @property
    def next_due(self) -> ExpectedArrival | None:
        """When the next samples should come; None where that is not known to a millisecond."""
        return self._rhythm.next_due if self._layout else None

    @property
    def unit_from(self) -> str:
        """Where the unit is known from, in words."""
        return self._opened().unit_from

    @property
    def intake(self) -> ChunkBuilder:
        """The account of samples, and the sample clock with its stated error."""
        self._opened()
        return self._intake

    def _opened(self) -> Layout:
        if self._layout is None:
            raise WrongInput("the source is not open yet: channels and rate are known after start()")
        return self._layout

    def start(self) -> None:
        """Find the stream and open it.

        Raises
        ------
        StreamMissing
            If there is none, or several; the message lists what was seen.
        WrongStream
            If it contradicts the profile, or its labels or unit are known from nowhere.
        """
        seen = find_streams(self.query, self.wait_s)
        facts = choose([each for each, _ in seen], self.query, self.wait_s)
        info = next(info for each, info in seen if each.uid == facts.uid)
        where = layout(facts, self.query.profile, self.unit)
        rate_hz = facts.rate_hz or (self.query.profile.rate_hz if self.query.profile else 0.0)
        if not rate_hz:
            raise WrongStream(
                f"the stream {facts.describe()} has no rate; choose an EEG stream, or give --device"
            )
        self._facts = facts
        self._intake = ChunkBuilder(where.labels, rate_hz, PacketFormat.of(self.query.profile))
        self._rhythm = ArrivalTiming(rate_hz)
        self._watch = StreamHealth(facts.name, rate_hz, burst_s(self.query.profile, facts))
        self._check = MagnitudeCheck(rate_hz, float(where.scale_uv[0]), where.unit_from)
        self._slice = _as_slice(where.columns)
        self._scale = where.scale_uv if np.any(where.scale_uv != 1.0) else None
        self._stopped.clear()
        inlet = NumericInlet(facts, info)
        self._offset = ClockOffset(self._first_correction(inlet))
        try:
            inlet.open(CORRECTION_TIMEOUT_S)
        except StreamLost as error:
            raise StreamMissing(
                f"the stream {facts.describe()} was seen but cannot be opened ({error}). "
                "Is its program still running, and may this computer reach it through the firewall?"
            ) from error
        self._inlet, self._layout = inlet, where
        self._watch.open(_CLOCK.now_s())
        self._run(self._keep_offset, "neurofb-offset")

    def pull(self, timeout_s: float = 0.0) -> Chunk:
        """Return all samples that have come, waiting at most ``timeout_s`` for the first; maybe none."""
        if self._found or self._layout is None:
            self._opened()
            self._take_over()
        inlet, n = self._inlet, 0
        if inlet is None:
            self._wake.wait(timeout_s)
            self._wake.clear()
        else:
            try:
                n = inlet.pull(timeout_s)
            except StreamLost:
                self._lose()
        now_s = _CLOCK.now_s()
        index = self._intake.ledger.next_index
        if n == 0 or inlet is None:
            self._events += self._watch.silence(now_s, index)
            if self._watch.state == "lost" and not self._searching:
                self._search()
            return Chunk.empty(index, len(self._intake.labels))
        self._events += self._watch.came(now_s, index)
        self._rhythm.came(now_s, n)
        return self._take_in(inlet, n, now_s)

    def pop_events(self) -> list[Event]:
        """Return what has happened since the last call, in order."""
        events, self._events = self._events, []
        while self._said_in_search:
            events.append(self._said_in_search.popleft())
        if self._layout:
            correction_s = self._offset.correction_s
            events += [
                replace(event, time_s=event.time_s + correction_s) for event in self._intake.pop_events()
            ]
        return events

    def flush(self) -> Chunk:
        """Return the samples that are held in doubt, at the end of a session."""
        self._opened()
        return self._corrected(self._intake.flush())

    def stop(self) -> None:
        """Close the stream; harmless when it is closed."""
        self._stopped.set()
        self._wake.set()
        for thread in self._threads:
            thread.join(timeout=FACTS_TIMEOUT_S + CORRECTION_TIMEOUT_S + 1.0)
        self._threads.clear()
        if self._inlet is not None:
            self._inlet.close()
        self._inlet = None
        self._found.clear()

    def _take_in(self, inlet: NumericInlet, n: int, now_s: float) -> Chunk:
        raw = inlet.values[:n]
        samples: FloatArray = raw[:, self._slice].astype(np.float64)
        if self._scale is not None:
            samples *= self._scale
        received_s = inlet.stamps_s[:n].copy()
        if self._keep_raw:
            self._raw.append(ReceivedBlock(raw.copy(), received_s))
        if self._by_arrival is None:
            self._by_arrival = self._is_foreign(float(received_s[0]), now_s)
        here_s = now_s - self._offset.correction_s  # on the clock that samples are placed by
        if self._by_arrival:
            # The last sample came now; those before it were sent a period apart.
            stamps_s = here_s - np.arange(n - 1, -1, -1) / self._intake.ledger.clock.nominal_hz
        else:
            stamps_s = received_s + self._offset.base_s
        if not self._check.done:
            self._events += self._check.push(samples, now_s)
        counter = self._layout.counter if self._layout else None
        counts = raw[:, counter].astype(np.float64) if counter is not None else NO_COUNT
        return self._corrected(self._intake.push(samples, stamps_s, received_s, here_s, counts))

    def _corrected(self, chunk: Chunk) -> Chunk:
        if not self._by_arrival:
            self._offset.correct(chunk.times_s)
        return chunk

    def _is_foreign(self, received_s: float, now_s: float) -> bool:
        difference_s = received_s + self._offset.base_s - now_s
        if abs(difference_s) < FOREIGN_S:
            return False
        clock = "unix time (seconds since 1970)" if received_s > UNIX_S else "another clock"
        self._events.append(
            Event(
                "foreign_clock",
                now_s,
                f"{self._facts.name!r} stamps its samples with {clock}, {difference_s:+.1f} s off LSL's clock; they "
                "are timed by their arrival instead. If its program can stamp with LSL's clock, switch that "
                "on (muselsl: --lsltime)",
                self._intake.ledger.next_index,
                {"difference_s": difference_s, "received_s": received_s},
            )
        )
        return True

    def _first_correction(self, inlet: NumericInlet) -> float:
        try:
            offset_s = inlet.correction_s(CORRECTION_TIMEOUT_S)
        except StreamLost as error:
            message = (
                f"the clock of {inlet.info.name!r} did not answer ({error}); its stamps are taken as they are"
            )
            self._events.append(Event("no_clock_offset", _CLOCK.now_s(), message))
            return 0.0
        self._note_offset(offset_s)
        return offset_s

    def _keep_offset(self) -> None:
        """Ask for the sender's clock again and again; runs in a thread, because an answer may take seconds."""
        while not self._stopped.wait(CORRECTION_EVERY_S):
            inlet = self._inlet
            if inlet is None:
                continue
            try:
                offset_s = inlet.correction_s(CORRECTION_TIMEOUT_S)
            except StreamLost:
                continue  # no answer: the last one holds, and silence is watched in pull
            if inlet is self._inlet:
                self._offset.measured(self._note_offset(offset_s), offset_s)

    def _lose(self) -> None:
        self._events += self._watch.cut(_CLOCK.now_s(), self._intake.ledger.next_index)
        self._inlet = None

    def _search(self) -> None:
        self._searching = True
        self._run(self._look_again, "neurofb-search")

    def _look_again(self) -> None:
        """Look for the lost stream under a new uid, or for what silenced it to end; runs in a thread."""
        old_uid = self._facts.uid
        said = False
        while not self._stopped.is_set() and self._watch.state == "lost":
            again = [
                (facts, info)
                for facts, info in find_streams(None, 1.0, self._stopped)
                if facts.uid != old_uid and facts.identity == self._facts.identity
            ]
            if len(again) > 1 and not said:
                self._said_in_search.append(self._several([facts for facts, _ in again]))
                said = True
            if len(again) != 1:
                continue
            inlet = NumericInlet(*again[0])
            try:
                offset_s = inlet.correction_s(CORRECTION_TIMEOUT_S)
                inlet.open(CORRECTION_TIMEOUT_S)
            except StreamLost:
                continue  # gone again: look on
            self._note_offset(offset_s)
            self._new_offset_s = offset_s
            self._found.append(inlet)
            self._wake.set()
            return
        self._searching = False

    def _several(self, found: list[StreamFacts]) -> Event:
        seen = "; ".join(facts.describe() for facts in found)
        return Event(
            "several",
            _CLOCK.now_s(),
            f"{len(found)} streams look like {self._facts.name!r}, which is lost: {seen}. None is taken until only "
            "one is left; stop the others",
            self._intake.ledger.next_index,
            {"uids": [facts.uid for facts in found]},
        )

    def _take_over(self) -> None:
        if not self._found:
            return
        if self._inlet is not None:
            self._inlet.close()
        self._inlet = self._found.popleft()
        before, self._facts = self._facts, self._inlet.info
        self._offset.reopen(self._new_offset_s)
        self._by_arrival = None
        self._searching = False
        self._intake.ledger.restart()
        self._events.append(
            Event(
                "reopened",
                _CLOCK.now_s(),
                f"{self._facts.name!r} is there again as another outlet; the session goes on with it",
                self._intake.ledger.next_index,
                {"uid_before": before.uid, "uid": self._facts.uid},
            )
        )

    def _run(self, target: object, name: str) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=target, name=name, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()


def _as_slice(columns: tuple[int, ...]) -> slice | list[int]:
    """Return columns that stand together as a slice, which copies faster."""
    first, n = columns[0], len(columns)
    return slice(first, first + n) if columns == tuple(range(first, first + n)) else list(columns)
