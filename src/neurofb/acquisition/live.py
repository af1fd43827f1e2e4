"""LSL in: a stream on the network as a ``Source``.

The way of a sample: liblsl's buffer → one preallocated array → columns of EEG in µV → ``ChunkBuilder``.
Stamps stay as they came: liblsl's own smoothing is switched off, because it hides gaps; ``sample_clock`` does it.

Two things may block for seconds and never do so in ``pull``: asking the sender for its clock, and looking for an
outlet that died. Each has a thread of its own, which hands over finished results.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from neurofb.acquisition.arrival_timing import ArrivalTiming, ExpectedArrival
from neurofb.acquisition.chunking import NO_COUNT, ChunkBuilder, PacketFormat, joined
from neurofb.acquisition.clock_offset import ClockOffset
from neurofb.acquisition.outlet_search import CORRECTION_TIMEOUT_S, FoundOutlet, OutletSearch, Wanted
from neurofb.acquisition.received import ReceivedBlock, recorded_info
from neurofb.acquisition.sample_indexing import MAX_GAP_S
from neurofb.acquisition.second_sender import SecondSenderWatch, change_of_sender
from neurofb.acquisition.sender_clock import SenderClock, StampClock
from neurofb.acquisition.source import Batch, SourceState
from neurofb.acquisition.stream_health import MagnitudeCheck, StreamHealth
from neurofb.acquisition.value_limits import ValueLimits
from neurofb.chunk import Chunk, FloatArray
from neurofb.clock import APART_S, LEAST_STEP_S, readings_of
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import EegColumns
from neurofb.errors import StreamLost, StreamMissing, WrongInput, WrongStream
from neurofb.events import Event
from neurofb.format import clean
from neurofb.lsl.description_change import Adaptation
from neurofb.lsl.inlet import FACTS_TIMEOUT_S, LslClock, NumericInlet, find_streams, read_info
from neurofb.lsl.matching import StreamInfo, StreamQuery, burst_s, choose, eeg_columns
from neurofb.lsl.senders import Sender, sender_of

CORRECTION_EVERY_S = 5.0
#: A stamp that is no number is recorded as LSL says that there is none.
NO_STAMP_S = 0.0
_CLOCK = LslClock()
#: As LSL names this computer in the descriptions of its streams.
_HOST = socket.gethostname()


class LslSource:
    """An LSL stream as a ``Source``: samples in µV, indexed and timed; faults are events.

    Parameters
    ----------
    query : StreamQuery
        Which stream; its profile gives labels, unit and packets that the stream does not.
    unit : str, optional
        The unit, if both the stream and the profile are wrong about it.
    wait_s : float
        How long to look for the stream, in seconds.
    keep_raw : bool
        Whether batches hold the samples as they were received, for the record.
    program : str, optional
        The program that sends, where the stream does not tell.
    """

    def __init__(
        self,
        query: StreamQuery,
        unit: str | None = None,
        wait_s: float = 10.0,
        *,
        keep_raw: bool = False,
        program: str | None = None,
    ) -> None:
        self.query = query
        self.program = program
        #: Who sends the stream; None before ``start``, and without a profile.
        self.sender: Sender | None = None
        self.unit = unit
        self.wait_s = wait_s
        self._keep_raw = keep_raw
        self._connection: LslConnection | None = None

    def __repr__(self) -> str:
        return f"LslSource({self.query!r}, unit={self.unit!r}, wait_s={self.wait_s!r})"

    @property
    def connection(self) -> LslConnection:
        """The open stream; WrongInput before ``start``."""
        if self._connection is None:
            raise WrongInput("the source is not open yet: channels and rate are known after start()")
        return self._connection

    @property
    def labels(self) -> tuple[str, ...]:
        """Channel labels in the order of the columns."""
        return self.connection.eeg.labels

    @property
    def rate_hz(self) -> float:
        """The nominal rate."""
        return self.connection.builder.indexer.clock.nominal_hz

    @property
    def state(self) -> SourceState:
        """The state of the stream, as of the last ``pull``."""
        return "waiting" if self._connection is None else self._connection.state

    @property
    def stream_info(self) -> StreamInfo:
        """The description of the stream, every column labelled."""
        return recorded_info(self.connection.first_info, self.connection.eeg)

    @property
    def eeg_columns(self) -> EegColumns:
        """The EEG columns of the received samples."""
        return self.connection.eeg

    @property
    def next_arrival(self) -> ExpectedArrival | None:
        """Expected time of the next arrival in seconds; None while it is not certain to a millisecond."""
        return None if self._connection is None else self._connection.next_arrival

    def start(self) -> None:
        """Find the stream and open it.

        Raises
        ------
        StreamMissing
            If there is none, or several; the message lists what was seen.
        WrongStream
            If it contradicts the profile, or its labels or unit are known from nowhere.
        """
        profile = self.query.profile
        seen = find_streams(self.query, self.wait_s)
        info = choose([each for each, _ in seen], self.query, self.wait_s)
        handle = next(handle for each, handle in seen if each.uid == info.uid)
        if not info.answered and not (info := read_info(handle)).answered:
            raise StreamMissing(
                f"the stream {info.describe()} was seen but does not tell its channels. Is its program still running, "
                "and may this computer reach it through the firewall?"
            )
        eeg = eeg_columns(info, profile, self.unit, self.program)
        if profile is not None:
            self.sender = sender_of(info, profile, self.program)
            profile = self.sender.profile
        if not info.rate_hz:
            raise WrongStream(
                f"the stream {info.describe()} says that it has no fixed rate (0 Hz): no band can be made of it. "
                "Choose an EEG stream, or set the rate in the program that sends"
            )
        inlet = NumericInlet(info, handle)
        self._connection = LslConnection(
            inlet,
            eeg,
            info.rate_hz,
            profile,
            keep_raw=self._keep_raw,
            start_hint="" if self.sender is None else self.sender.start_hint(),
            programs=self.query.profile,
        )

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return all samples that have come, waiting at most ``timeout_s`` for the first; maybe none."""
        return self.connection.pull(timeout_s)

    def flush(self) -> Batch:
        """Return the samples that are held in doubt, at the end of a session."""
        return self.connection.flush()

    def stop(self) -> None:
        """Close the stream; harmless when it is closed."""
        if self._connection is not None:
            self._connection.close()


class LslConnection:
    """An open stream: its inlet, its chunk builder, and the reconnection after its outlet is lost.

    Parameters
    ----------
    inlet : NumericInlet
        Not yet opened.
    eeg : EegColumns
        Of the stream.
    rate_hz : float
        The nominal rate.
    profile : DeviceProfile or None
    keep_raw : bool
        Whether batches hold the samples as they were received.
    start_hint : str
        What to do in the program that sends, if it sends nothing.
    programs : DeviceProfile, optional
        The profile with all programs that may send: another one is not read.

    Attributes
    ----------
    first_info : StreamInfo
        What the stream said of itself at first: the header of the recording, and what each later outlet must fit.
    info : StreamInfo
        What it says of itself now, if its outlet came again as another.
    builder : ChunkBuilder
        With the indices of samples, and the sample clock with its stated error.
    offsets : deque of (float, float)
        Each correction of the sender's clock: when it was measured, and what it adds to a stamp, in seconds.

    Raises
    ------
    StreamMissing
        If the stream cannot be opened.
    """

    def __init__(
        self,
        inlet: NumericInlet,
        eeg: EegColumns,
        rate_hz: float,
        profile: DeviceProfile | None,
        *,
        keep_raw: bool,
        start_hint: str = "",
        programs: DeviceProfile | None = None,
    ) -> None:
        info = self.info = self.first_info = inlet.info
        self._programs = programs
        self.eeg = eeg
        self.builder = ChunkBuilder(eeg.labels, rate_hz, PacketFormat.of(profile))
        self._arrivals = ArrivalTiming(rate_hz)
        self._health = StreamHealth(info.name, rate_hz, burst_s(profile, info), start_hint)
        self._rails_uv = None if profile is None else profile.rails_uv
        self._check = self._new_check()
        self._adaptation, self._value_limits = Adaptation(), ValueLimits(eeg)
        self._keep_raw = keep_raw
        self._raw: list[ReceivedBlock] = []
        self.offsets: deque[tuple[float, float]] = deque(maxlen=10_000)
        self._new_offsets: deque[tuple[float, float]] = deque(maxlen=10_000)
        self._events: list[Event] = []
        self._seen: deque[Event] = deque()
        self._sender_clock = SenderClock(rate_hz)
        self._held: list[_Block] = []
        self._arrival_shift_s = 0.0
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._search: OutletSearch | None = None
        self._offset = ClockOffset(self._first_correction(inlet))
        try:
            inlet.open(CORRECTION_TIMEOUT_S)
        except StreamLost as error:
            raise StreamMissing(
                f"the stream {info.describe()} was seen but cannot be opened ({error}). "
                "Is its program still running, and may this computer reach it through the firewall?"
            ) from error
        self._inlet: NumericInlet | None = inlet
        self._looked_s = _CLOCK.now_s()  #: When it was looked for samples last.
        self._readings = readings_of(_CLOCK)
        self._clocks_s = self._looked_s, self._readings().total_s
        self._health.opened(self._looked_s)
        self._offset_thread = threading.Thread(
            target=self._measure_offsets, name="neurofb-offset", daemon=True
        )
        self._offset_thread.start()

    @property
    def next_arrival(self) -> ExpectedArrival | None:
        """Expected time of the next arrival in seconds; None while it is not certain to a millisecond."""
        return self._arrivals.next_arrival

    @property
    def state(self) -> SourceState:
        """The state of the stream, as of the last ``pull``."""
        if self._health.state == "lost" and self._search is not None and self._search.is_changed:
            return "changed"
        return self._health.state

    def _new_check(self) -> MagnitudeCheck:
        return MagnitudeCheck(
            self.builder.indexer.clock.nominal_hz,
            float(self.eeg.scale_uv[0]),
            self.eeg.unit_from,
            self._rails_uv,
        )

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return all samples that have come, waiting at most ``timeout_s`` for the first; maybe none."""
        waited = self._no_samples()
        if self._search is not None and self._search.found:
            # What waits is of the sender before: what comes next tells nothing of it.
            waited = joined(self._placed(_CLOCK.now_s(), final=True), self._corrected(self.builder.flush()))
            self._switch_to(self._search.found[0])
        inlet, n, begun_s = self._inlet, 0, _CLOCK.now_s()
        if inlet is None:
            self._wake.wait(timeout_s)
            self._wake.clear()
        else:
            try:
                n = inlet.pull(timeout_s)
            except StreamLost:
                self._lose()
        now_s = _CLOCK.now_s()
        unlooked_s, self._looked_s = begun_s - self._looked_s, now_s
        index = self.builder.indexer.next_index
        if n == 0 or inlet is None:
            self._events += self._health.nothing_came(now_s, index)
            if self._health.state == "lost" and (self._search is None or self._search.is_over):
                self._end_search()
                wanted = Wanted(self.first_info, self.eeg, self.info.uid, self._programs)
                self._search = OutletSearch(
                    wanted, index, lambda: self._health.state == "lost", self._wake, self._stopped
                )
            # Of an outlet that is gone, no more will come to tell its clock by; of another, that nothing comes tells.
            return self._batch(joined(waited, self._placed(now_s, final=inlet is None)))
        self._watch_sleep()
        self._events += self._health.samples_came(now_s, index)
        self._arrivals.add(now_s, n)
        gap_detector = self.builder.indexer.gap_detector
        gap_detector.likely_packet = self._arrivals.packet_samples
        gap_detector.unsure_s = unlooked_s
        chunk = self._to_chunk(inlet, n, now_s)
        return self._batch(joined(waited, chunk) if len(waited) else chunk)

    def _watch_sleep(self) -> None:
        """Let the grid go on by a sleep of the computer in which LSL's clock stood still: its samples are missing."""
        (last_s, last_total_s), now_s, total_s = self._clocks_s, _CLOCK.now_s(), self._readings().total_s
        if _CLOCK.now_s() - now_s > APART_S:
            return  # they were not read together: the next time tells
        self._clocks_s = now_s, total_s
        slept_s = total_s - last_total_s - (now_s - last_s)
        if not LEAST_STEP_S <= slept_s <= MAX_GAP_S:
            return
        sender_slept = self.info.hostname == _HOST
        self._offset.sleep(slept_s, sender_slept=sender_slept)
        if sender_slept:
            self.builder.bound.sleep(slept_s)
            self._arrival_shift_s -= slept_s

    def flush(self) -> Batch:
        """Return the samples that are held in doubt, at the end of a session."""
        self._value_limits.flush()
        return self._batch(
            joined(self._placed(_CLOCK.now_s(), final=True), self._corrected(self.builder.flush()))
        )

    def _batch(self, chunk: Chunk) -> Batch:
        """Return a batch of samples, with the raw samples, offsets and events since the last one."""
        raw, self._raw = self._raw, []
        offsets = []
        while self._new_offsets:  # filled by a thread
            offsets.append(self._new_offsets.popleft())
        events, self._events = self._events, []
        while self._seen:  # filled by a thread
            events.append(self._seen.popleft())
        if self._search is not None:
            events += self._search.pop_events()
        correction_s = self._offset.correction_s
        found = [*self._value_limits.pop_events(), *self.builder.pop_events()]
        events += [replace(event, time_s=event.time_s + correction_s) for event in found]
        return Batch(chunk, raw, offsets, events, self.builder.unfit)

    def close(self) -> None:
        """Close the stream; harmless when it is closed."""
        self._stopped.set()
        self._wake.set()
        for thread in (self._offset_thread, self._search.thread if self._search else None):
            if thread is not None:
                thread.join(timeout=FACTS_TIMEOUT_S + CORRECTION_TIMEOUT_S + 1.0)
        if self._inlet is not None:
            self._inlet.close()
        self._inlet = None
        self._end_search()

    def _to_chunk(self, inlet: NumericInlet, n: int, now_s: float) -> Chunk:
        raw = self._adaptation.apply(inlet.values[:n])
        samples = self.eeg.to_uv(raw)
        stamps_s = received_s = inlet.stamps_s[:n].copy()
        if not np.isfinite(stamps_s).all():
            received_s = np.where(np.isfinite(stamps_s), stamps_s, NO_STAMP_S)
        if self._keep_raw:
            self._raw.append(ReceivedBlock(raw.copy(), received_s))
        if not self._check.done:
            self._events += self._check.push(samples, now_s)
        counter = self.eeg.counter
        counts = raw[:, counter].astype(np.float64) if counter is not None else NO_COUNT
        here_s = now_s - self._offset.correction_s  # on the clock that samples are placed by
        self._value_limits.push(raw, samples, np.full(n, here_s))
        self._held.append(_Block(samples, stamps_s, received_s, here_s, counts))
        return self._placed(now_s, final=False)

    def _no_samples(self) -> Chunk:
        return Chunk.empty(self.builder.indexer.next_index, len(self.builder.labels))

    def _placed(self, now_s: float, *, final: bool) -> Chunk:
        """Place the samples that wait, when it is known which clock theirs is; ``final`` if no more will come."""
        if not self._held:
            return self._no_samples()
        sender_clock = self._sender_clock
        if sender_clock.clock is None:
            first = [(block.stamps_s, self._on_grid(block.here_s)) for block in self._held]
            here_s = self._on_grid(now_s - self._offset.correction_s)
            clock = sender_clock.find(first, here_s, final=final)
            if clock is None:
                return self._no_samples()
            self._log_clock(clock, float(self._held[0].received_s[0]))
        blocks, self._held = self._held, []
        if len(blocks) == 1:
            block = blocks[0]
            stamps_s = self._local(block)
            chunk = self.builder.push(block.samples, stamps_s, block.received_s, block.here_s, block.counts)
        else:
            chunk = self.builder.push(
                np.concatenate([block.samples for block in blocks]),
                np.concatenate([self._local(block) for block in blocks]),
                np.concatenate([block.received_s for block in blocks]),
                np.concatenate([np.full(len(block.samples), block.here_s) for block in blocks]),
                np.concatenate([np.broadcast_to(block.counts, len(block.samples)) for block in blocks]),
            )
        return self._corrected(chunk)

    def _on_grid(self, here_s: float) -> float:
        """Return an arrival on LSL's clock of its sender: there are no steps between its offsets."""
        return here_s - self.builder.bound.expected_shift_s - self._offset.base_s

    def _local(self, block: _Block) -> FloatArray:
        """Return the stamps that samples are placed by."""
        sender_clock, indexer, base_s = self._sender_clock, self.builder.indexer, self._offset.base_s
        before = sender_clock.clock
        local_s = sender_clock.local(block.stamps_s, self._on_grid(block.here_s), indexer.jumped_s)
        for jump_s in sender_clock.pop_jumps():
            indexer.findings.log_jump(indexer.next_index, jump_s, followed=False)
        if local_s is not None:
            return local_s + base_s
        if sender_clock.clock is not None and sender_clock.clock is not before:
            indexer.forget_jumps()
            self._log_clock(sender_clock.clock, float(block.received_s[0]))
        arrival_s = block.here_s - self._arrival_shift_s - base_s
        return sender_clock.by_arrival(len(block.samples), arrival_s) + base_s

    def _corrected(self, chunk: Chunk) -> Chunk:
        clock = self._sender_clock.clock
        if clock is not None and not clock.is_foreign:
            self._offset.correct(chunk.times_s)
        elif self._offset.correction_s:  # of a sender before this one
            chunk.times_s[:] += self._offset.correction_s
        return chunk

    def _log_clock(self, clock: StampClock, received_s: float) -> None:
        if not clock.is_foreign:
            return
        if clock.timed_by == "arrival":
            self._arrival_shift_s = self.builder.bound.expected_shift_s
            self.builder.time_by_arrival(self._arrivals.packet_samples)
        if clock.timed_by == "sender":
            how = (
                f", {clock.difference_s:+.1f} s off LSL's clock; they are moved by what lies between them and the "
                "earliest arrival, and still tell what is missing"
            )
        else:
            how = ", which tells no time; they are timed by their arrival instead"
        self._events.append(
            Event(
                "foreign_clock",
                _CLOCK.now_s(),
                f"{self.info.name!r} stamps its samples with {clock.words}{how}. If its program can stamp with LSL's "
                "clock, switch that on (muselsl: --lsltime)",
                self.builder.indexer.next_index,
                {
                    "difference_s": clock.difference_s,
                    "received_s": received_s,
                    "timed_by": clock.timed_by,
                    "scale_s": clock.scale_s,
                    "shift_s": clock.shift_s,
                },
            )
        )

    def _first_correction(self, inlet: NumericInlet) -> float:
        try:
            offset_s = inlet.correction_s(CORRECTION_TIMEOUT_S)
        except StreamLost as error:
            message = (
                f"the clock of {inlet.info.name!r} did not answer ({error}); its stamps are taken as they are"
            )
            self._events.append(Event("no_clock_offset", _CLOCK.now_s(), message))
            return 0.0
        self._log_offset(_CLOCK.now_s(), offset_s)
        return offset_s

    def _log_offset(self, measured_s: float, offset_s: float) -> None:
        self.offsets.append((measured_s, offset_s))
        self._new_offsets.append((measured_s, offset_s))

    def _measure_offsets(self) -> None:
        """Measure the sender's clock offset repeatedly, in a thread: an answer may take seconds.

        The same thread looks whether somebody else sends under the stream's name.
        """
        watch = SecondSenderWatch(self.info)
        while not self._stopped.wait(CORRECTION_EVERY_S):
            self._seen.extend(watch.look(self.info, _CLOCK.now_s()))
            inlet = self._inlet
            if inlet is None:
                continue
            try:
                offset_s = inlet.correction_s(CORRECTION_TIMEOUT_S)
            except StreamLost:
                continue  # no answer: the last one holds, and silence is watched in pull
            if inlet is self._inlet:
                measured_s = _CLOCK.now_s()
                self._log_offset(measured_s, offset_s)
                self._offset.add(measured_s, offset_s)

    def _lose(self) -> None:
        self._events += self._health.outlet_gone(_CLOCK.now_s(), self.builder.indexer.next_index)
        self._inlet = None

    def _end_search(self) -> None:
        if self._search is not None:
            self._events += self._search.pop_events()
        self._search = None

    def _switch_to(self, found: FoundOutlet) -> None:
        """Switch to the outlet that was found."""
        if self._inlet is not None:
            self._inlet.close()
        self._inlet = found.inlet
        self._end_search()
        before, self.info = self.info, found.inlet.info
        self._adaptation, self._check = found.adaptation, self._new_check()
        self._log_offset(found.measured_s, found.offset_s)
        self._offset.reopen(found.offset_s)
        self._sender_clock = SenderClock(self.builder.indexer.clock.nominal_hz)
        self.builder.restart()
        words, details = change_of_sender(before, self.info)
        now_s, index = _CLOCK.now_s(), self.builder.indexer.next_index
        self._events.append(
            Event(
                "reopened",
                now_s,
                f"{clean(self.info.name)!r} is there again from {words}; the session goes on with it",
                index,
                details,
            )
        )
        described = {
            "labels_before": list(self.first_info.labels),
            "labels": list(self.info.labels),
            "units_before": list(self.first_info.units),
            "units": list(self.info.units),
        }
        self._events += [Event(kind, now_s, text, index, described) for kind, text in self._adaptation.notes]


class _Block(NamedTuple):
    """Samples that came at once."""

    samples: FloatArray
    #: As they came, and as they are recorded: there each is a number.
    stamps_s: FloatArray
    received_s: FloatArray
    #: When they arrived, on the clock that samples are placed by.
    here_s: float
    counts: FloatArray | float
