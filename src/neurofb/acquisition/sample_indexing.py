"""The index of every sample of a stream: each that was sent is received or logged as missing.

In: time stamps in the order in which they came. Out: which index each sample has, which indices are missing,
the smooth time of all of them, and events of what was found in the stamps. Kept: the sample clock, the present
block, and samples held in doubt.

A stamp that is later than expected means that samples are missing, or only that this one was delayed. The two
differ in what follows: after a loss the stamps *stay* late, after a delay they catch up. So samples after a
suspicious stamp are held, by count, until the level they keep is known; nothing is held otherwise. A loss
that hides in the jitter is found when two blocks of half a second stay late, and is entered there.

Lost samples come in whole packets, so the level is rounded to packets. Measured over ten minutes with 5 % of packets
of 47 ms lost, three disconnections and 300 ppm drift: the count is exact without jitter and, but for one packet in
one of some hundred runs, with jitter up to 5 ms of any kind. With 10 ms about one run in eight is off by a packet or
two, rarely more (288 samples were seen). With 20 ms *and* losses stamps do not tell any more what is missing: late
jitter leaves a packet in a few runs, symmetric jitter tens to hundreds of samples (up to 700 were seen); without losses
it is exact there, too. Single samples lost below the jitter cannot be counted from stamps by anyone. Where that
matters, the device must send a counter column, by which the count is exact.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurofb.acquisition.arrival_bound import AHEAD_S
from neurofb.acquisition.gap_detection import GapDetector
from neurofb.acquisition.sample_clock import Jitter, SampleClock
from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput
from neurofb.events import Event

#: A stamp this far after its own arrival is no gap: the sender's clock has jumped. Stamps that scatter may be so many
#: times their scatter ahead.
FUTURE_S, FUTURE_TIMES = 0.25, 4.0
#: Levels that move by less are followed as stamps; larger ones are jumps of the sender's clock.
FOLLOW_S = 0.25
#: Of samples that are timed by their arrival, none is lost before others have come for so long.
LATE_S = 0.5
#: Missing time beyond this is taken for a new beginning of the sender's clock, not filled with NaN.
MAX_GAP_S = 3600.0
#: Blocks before a level can be judged.
MIN_BLOCKS = 4
#: A rate this far off nominal is logged.
RATE_LIMIT = 0.005
#: Stamps that run backwards are summed up and logged so often.
SUMMARY_S = 60.0
#: So many jumps a minute are told one by one.
MOST_JUMPS_TOLD = 5


class IndexedSamples(NamedTuple):
    """Samples whose index is certain.

    ``present`` has an entry for each index from ``first_index`` on: True takes the next sample in the order
    of arrival, False is a missing one.
    """

    first_index: int
    present: NDArray[np.bool_]
    times_s: FloatArray


class SampleIndexer:
    """Assigns each received sample its index and counts missing ones.

    Parameters
    ----------
    rate_hz : float
        Nominal rate.
    packet_samples : int
        How many samples are lost at once; 1 if unknown.
    jitter : {"auto", "late", "symmetric"}
        See ``sample_clock``.
    counter_modulus : int or None
        Where a counter column comes with the samples: the count at which it starts again from 0.

    Attributes
    ----------
    n_received, n_missing : int
        How many so far; samples held in doubt are in neither.
    """

    def __init__(
        self,
        rate_hz: float,
        packet_samples: int = 1,
        jitter: Jitter = "auto",
        counter_modulus: int | None = None,
    ) -> None:
        if packet_samples < 1:
            raise WrongInput(f"a packet holds at least 1 sample, found {packet_samples}")
        self.clock = SampleClock(rate_hz, jitter)
        self.gap_detector = GapDetector(self.clock, packet_samples)
        self.findings = StampFindings(self.clock)
        self.packet_samples = packet_samples
        self.counter_modulus = counter_modulus
        self.n_received = 0
        self.n_missing = 0
        self.next_index = 0
        self._period_s = 1.0 / rate_hz
        self._started = False
        self._bias_s = 0.0
        self._held = np.empty((0, 3))
        self._cleared = 0
        self._cleared_burst = False
        size = self.clock.block_samples
        self._block = np.empty((size, 2))
        self._n_block = 0
        self._block_end = size
        self._off_level_s = 0.0
        self._last_count = math.nan
        self._counted = False
        self._in_fit = True
        self._restarted = False
        self._by_arrival = False

    def __repr__(self) -> str:
        return f"SampleIndexer(rate_hz={self.clock.nominal_hz!r}, packet_samples={self.packet_samples!r})"

    @property
    def n_held(self) -> int:
        """Number of samples held until their index is certain."""
        return len(self._held)

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        return self.findings.pop_events()

    def push(
        self,
        stamps_s: FloatArray,
        arrivals_s: FloatArray | None = None,
        counts: FloatArray | None = None,
    ) -> IndexedSamples:
        """Index samples.

        Parameters
        ----------
        stamps_s : ndarray, shape (n_samples,)
            Time stamps, corrected to this computer's clock.
        arrivals_s : ndarray, shape (n_samples,), optional
            When each was received, on this computer's clock: tells a jump of the sender's clock from a gap.
        counts : ndarray, shape (n_samples,), optional
            The counter column.

        Returns
        -------
        IndexedSamples
            The samples that are now certain, maybe earlier ones, maybe none.
        """
        n = len(stamps_s)
        if n:
            self.findings.check_order(self.next_index, stamps_s)
        if self._started and not len(self._held) and counts is None and not self._cleared:
            if self.next_index + n <= self._block_end:
                times_s = self.clock.times_of(self.next_index, n)
                stamps_s = stamps_s - self._bias_s if self._bias_s else stamps_s
                if not (stamps_s - times_s > self.gap_detector.limit_s).any():
                    first_index = self.next_index
                    self._enter(stamps_s, n)
                    return IndexedSamples(first_index, np.ones(n, dtype=np.bool_), times_s)
            else:
                stamps_s = stamps_s - self._bias_s
        elif self._started:
            stamps_s = stamps_s - self._bias_s
        rows = np.empty((n, 3))
        rows[:, 0] = stamps_s
        rows[:, 1] = np.inf if arrivals_s is None else arrivals_s
        rows[:, 2] = np.nan if counts is None else counts
        self._counted = counts is not None
        return self._place(np.concatenate((self._held, rows)), final=False)

    def enter_one(self, stamp_s: float) -> float | None:
        """Index a single sample as ``push`` would and return its time; None, and nothing done, if in any doubt.

        Headsets that send sample by sample take this way nearly always, and it must cost next to nothing.
        """
        index = self.next_index
        if not self._started or self._cleared or len(self._held) or index >= self._block_end:
            return None
        time_s = self.clock.time_of(index)
        corrected_s = stamp_s - self._bias_s
        if (
            corrected_s - time_s > self.gap_detector.limit_s
            or stamp_s < self.findings.last_stamp_s
            or self._counted
        ):
            return None
        self.findings.last_stamp_s = stamp_s
        row = self._n_block
        self._block[row, 0] = index
        self._block[row, 1] = corrected_s
        self._n_block = row + 1
        self.next_index = index + 1
        self.n_received += 1
        self._restarted = False
        return time_s

    def flush(self) -> IndexedSamples:
        """Return the held samples, as no more will arrive."""
        return self._place(self._held, final=True)

    def _place(self, rows: FloatArray, final: bool) -> IndexedSamples:
        first_index = self.next_index
        present: list[NDArray[np.bool_]] = []
        times: list[FloatArray] = []
        if not self._started and len(rows) and (len(rows) >= self.clock.block_samples or final):
            self._start(rows[: self.clock.block_samples, 0])
        done = 0 if self._started else len(rows)
        self._held = rows[:0] if self._started else rows
        bias_s = self._bias_s
        if missing := self._end_block():
            present.append(np.zeros(missing, dtype=np.bool_))
            times.append(self._skip(missing))
        while done < len(rows):
            if self._bias_s != bias_s:
                rows[done:, 0] -= self._bias_s - bias_s
                bias_s = self._bias_s
            n = min(len(rows) - done, self._block_end - self.next_index)
            n, missing, jump_s = self._decide(rows[done:], n, final)
            if n:
                present.append(np.ones(n, dtype=np.bool_))
                times.append(self.clock.times_of(self.next_index, n))
                self._enter(rows[done : done + n, 0], n)
                self._in_fit = True
                self._last_count = rows[done + n - 1, 2]
                done += n
            elif jump_s:
                self._jump(jump_s, followed=False)
            elif missing == 0:
                self._held = rows[done:].copy()
                break
            missing += self._end_block()
            if missing:
                present.append(np.zeros(missing, dtype=np.bool_))
                times.append(self._skip(missing))
        return IndexedSamples(
            first_index,
            np.concatenate(present) if present else np.empty(0, dtype=np.bool_),
            np.concatenate(times) if times else np.empty(0),
        )

    def _start(self, stamps_s: FloatArray) -> None:
        level_s, deviation = self.gap_detector.first_guess(stamps_s, is_by_arrival=self._by_arrival)
        self.clock.start(float(stamps_s[0] + level_s), deviation)
        self.findings.begin()
        self._started = True

    def _decide(self, rows: FloatArray, n: int, final: bool) -> tuple[int, int, float]:
        """Return how many of the next ``n`` samples are on time; else how many are missing, or the jump."""
        if self._cleared:
            n = min(n, self._cleared)
            self._cleared -= n
            self._in_fit = not self._cleared_burst
            return n, 0, 0.0
        if self.next_index == 0:
            return 1, 0, 0.0
        if not math.isnan(rows[0, 2]):
            if not math.isnan(self._last_count):
                return self._by_counter(rows, n)
            n = 1
        expected_s = self.clock.times_of(self.next_index, n)
        suspicious = rows[:n, 0] - expected_s > self.gap_detector.limit_s
        first = int(suspicious.argmax())
        if not suspicious[first]:
            return n, 0, 0.0
        if first:
            return first, 0, 0.0
        late_s = rows[:, 0] - self.clock.times_of(self.next_index, len(rows))
        if self._by_arrival and not final and not rows[-1, 1] - rows[0, 1] >= LATE_S:
            # What came at once is as late as the last of it: only later arrivals tell whether samples were lost.
            return 0, 0, 0.0
        decision = None
        if self._by_arrival:
            decision = self.gap_detector.caught_up(late_s, final)
        decision = decision or self.gap_detector.decide(late_s, final)
        if decision is None:
            return 0, 0, 0.0
        if decision.n_late:
            self._cleared = decision.n_late
            self._cleared_burst = self.gap_detector.is_burst(late_s[: decision.n_late])
            return self._decide(rows, min(decision.n_late, self._block_end - self.next_index), final)
        most_ahead_s = max(FUTURE_S, FUTURE_TIMES * self.gap_detector.rough_s)
        # What had waited in a buffer may be ahead already: a jump is as large as what it makes of that.
        is_ahead = (rows[:, 0] - rows[:, 1]).max() > most_ahead_s
        if (is_ahead and decision.level_s > most_ahead_s - AHEAD_S) or decision.level_s > MAX_GAP_S:
            return 0, 0, decision.level_s
        missing = self.gap_detector.n_missing(decision.level_s, self._restarted)
        self.findings.log_gap(self.next_index, missing, "the time stamps")
        return 0, missing, 0.0

    def _by_counter(self, rows: FloatArray, n: int) -> tuple[int, int, float]:
        """Place by the counter; its steps are exact up to whole turns, which the stamps tell apart."""
        modulus = self.counter_modulus
        steps = np.diff(rows[:n, 2], prepend=self._last_count)
        odd = (steps % modulus if modulus else steps) != 1
        first = int(odd.argmax())
        if not odd[first]:
            return n, 0, 0.0
        if first:
            return first, 0, 0.0
        late = (rows[0, 0] - self.clock.time_of(self.next_index)) / self._period_s
        missing = int(steps[0]) - 1
        if modulus:
            missing = missing % modulus + modulus * max(0, round((late - missing % modulus) / modulus))
        self._last_count = rows[0, 2] - 1
        if not modulus and missing < 0:
            last = float(rows[0, 2] - steps[0])
            self.findings.log_counter_restart(self.next_index, last, rows[0, 2])
            missing = max(0, round(late))
            if missing == 0 and rows[0, 2] <= 1.0:
                self.counter_modulus = int(last + 1.0 - rows[0, 2])
        if missing == 0:
            return 1, 0, 0.0
        self.findings.log_gap(self.next_index, missing, "the counter")
        return 0, missing, 0.0

    def restart(self) -> None:
        """Expect any count next: the stream was opened anew."""
        self._last_count = math.nan
        self._restarted = True

    def time_by_arrival(self, packet_samples: int) -> None:
        """Expect stamps that are made of arrivals: late is not lost, and what is lost is lost in whole packets."""
        self._by_arrival = True
        self.packet_samples = packet_samples
        self.gap_detector.set_packet(packet_samples)

    @property
    def jumped_s(self) -> float:
        """How far the stamps have jumped from the grid's time, in seconds."""
        return self._bias_s

    def forget_jumps(self) -> None:
        """Take stamps as they are again: those that follow are made anew, on the time of the grid."""
        self._bias_s = 0.0

    def _enter(self, stamps_s: FloatArray, n: int) -> None:
        if self._in_fit:
            rows = self._block[self._n_block : self._n_block + n]
            rows[:, 0] = np.arange(self.next_index, self.next_index + n)
            rows[:, 1] = stamps_s
            self._n_block += n
        self.next_index += n
        self.n_received += n
        self._restarted = False

    def _skip(self, missing: int) -> FloatArray:
        """Advance over missing samples, through as many blocks as they last."""
        times = []
        while missing:
            n = min(missing, self._block_end - self.next_index)
            times.append(self.clock.times_of(self.next_index, n))
            self.next_index += n
            self.n_missing += n
            missing -= n
            self._end_block(in_gap=True)
        return np.concatenate(times)

    def _end_block(self, in_gap: bool = False) -> int:
        """Close the block if it is full; return how many samples its level shows to be missing.

        The fit takes half a millisecond, so a block that samples beyond doubt have filled is closed when the next one
        comes: its last sample may complete a hop, and feedback would wait.
        """
        if self.next_index < self._block_end:
            return 0
        block = self._block[: self._n_block]
        missing = self._close(block, in_gap) if len(block) else 0
        self.clock.next_block(self.next_index)
        self._n_block = 0
        self._block_end += self.clock.block_samples
        return missing

    def _close(self, block: FloatArray, in_gap: bool) -> int:
        late_s = block[:, 1] - self.clock.times_at(block[:, 0])
        level_s = self.gap_detector.level_s(late_s) if self.gap_detector.sharp else float(late_s.mean())
        known = self.clock.n_steady >= MIN_BLOCKS and not self._counted
        # Late jitter has a long tail on one side.
        tail = 12.0 if self.clock.jitter == "late" and level_s > 0 else 5.0
        limit_s = max(0.5 * self.gap_detector.packet_s, tail * self.clock.scatter_s, 3.0 * self.clock.error_s)
        if known and abs(level_s) > limit_s and len(block) > self.clock.block_samples // 4:
            if in_gap:
                # The gap was measured from the line, so it holds what this block lacks: not to be counted twice.
                self._off_level_s = 0.0
                return 0
            return self._off_level(level_s)
        self._off_level_s = 0.0
        self.gap_detector.measure_jitter(late_s)
        self.clock.add_block(block[:, 0], block[:, 1])
        self.findings.check_rate(self.next_index)
        return 0

    def _off_level(self, level_s: float) -> int:
        """Act when two blocks in a row are off to the same side; one alone is left out of the fit."""
        before_s, self._off_level_s = self._off_level_s, level_s
        if before_s * level_s <= 0:
            return 0
        self._off_level_s = 0.0
        if level_s > 0:
            missing = self.gap_detector.n_missing(level_s, self._restarted)
            found_by = "the level of the time stamps; their place is known to a second"
            self.findings.log_gap(self.next_index, missing, found_by)
            return missing
        self._jump(level_s, followed=level_s > -FOLLOW_S)
        return 0

    def _jump(self, jump_s: float, followed: bool) -> None:
        if followed:
            self.clock.follow(jump_s)
        else:
            self._bias_s += jump_s
        self.findings.log_jump(self.next_index, jump_s, followed)


class StampFindings:
    """Logs findings in time stamps as events: gaps, jumps, stamps that run backwards, a rate off nominal.

    Parameters
    ----------
    clock : SampleClock
        The time of each sample.

    Attributes
    ----------
    last_stamp_s : float
        The newest stamp that was checked.
    """

    def __init__(self, clock: SampleClock) -> None:
        self.clock = clock
        self.last_stamp_s = -math.inf
        self._events: list[Event] = []
        self._has_begun = False
        self._n_backwards = 0
        self._largest_back_s = 0.0
        self._backwards_logged_s = -math.inf
        self._rate_is_off = False
        #: Jumps in this minute, since when, and how many were not told.
        self._n_jumps, self._jumps_from_s, self._n_untold = 0, -math.inf, 0

    def __repr__(self) -> str:
        return f"StampFindings({self.clock!r})"

    def begin(self) -> None:
        """Give what was found so far its time: the clock has one now."""
        self._has_begun = True
        self._events = [replace(event, time_s=self.clock.time_of(event.index or 0)) for event in self._events]

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, in order; none before the clock has a time."""
        events, self._events = (self._events, []) if self._has_begun else ([], self._events)
        return events

    def log(self, kind: str, index: int, message: str, **details: object) -> None:
        """Log an event of the sample ``index``."""
        self._events.append(Event(kind, self.clock.time_of(index), message, index, details))

    def log_gap(self, index: int, missing: int, found_by: str) -> None:
        """Log that ``missing`` samples are missing from ``index`` on."""
        seconds = missing / self.clock.nominal_hz
        self.log(
            "gap",
            index,
            f"{missing} samples ({seconds:.3f} s) are missing from sample {index} on, found by {found_by}",
            n_samples=missing,
            duration_s=seconds,
            found_by=found_by,
        )

    def log_jump(self, index: int, jump_s: float, followed: bool) -> None:
        """Log a jump of the sender's clock, and whether the sample clock follows it; of many, a sum once a minute."""
        time_s = self.clock.time_of(index)
        if time_s - self._jumps_from_s > SUMMARY_S:
            self._jumps_from_s, self._n_jumps = time_s, 0
        self._n_jumps += 1
        if self._n_jumps > MOST_JUMPS_TOLD:
            self._n_untold += 1
            return
        n, self._n_untold = self._n_untold, 0
        self.log(
            "clock_jump",
            index,
            f"the sender's time stamps jumped by {jump_s:+.3f} s"
            + (f", and {n} times before that in the last minutes; " if n else "; ")
            + ("the clock follows" if followed else "the clock goes on as before; no samples are missing"),
            jump_s=jump_s,
            followed=followed,
            n_before=n,
        )

    def log_counter_restart(self, index: int, before: float, count: float) -> None:
        """Log that the device's counter began again."""
        self.log("counter", index, f"the counter went from {before:g} to {count:g}: it begins again there")

    def check_order(self, index: int, stamps_s: FloatArray) -> None:
        """Check for stamps that run backwards; the first is logged at once, others once a minute."""
        first_s, last_s = self.last_stamp_s, float(stamps_s[-1])
        self.last_stamp_s = last_s
        if len(stamps_s) == 1:
            if last_s >= first_s:
                return
            back = np.array([first_s - last_s])
        else:
            back = -np.diff(stamps_s, prepend=first_s)
            back = back[back > 0]
            if not len(back):
                return
        self._n_backwards += len(back)
        self._largest_back_s = max(self._largest_back_s, float(back.max()))
        if last_s - self._backwards_logged_s < SUMMARY_S:
            return
        n, largest_s = self._n_backwards, self._largest_back_s
        self.log(
            "backwards",
            index,
            f"{n} time stamps ran backwards, by up to {1e3 * largest_s:.1f} ms; the smooth clock does not",
            n_stamps=n,
            largest_s=largest_s,
        )
        self._n_backwards, self._largest_back_s, self._backwards_logged_s = 0, 0.0, last_s

    def check_rate(self, index: int) -> None:
        """Check the measured rate against the nominal one; log it once, until it has come back."""
        if not self.clock.settled:
            return
        off = self.clock.rate_hz / self.clock.nominal_hz - 1.0
        if abs(off) > RATE_LIMIT and not self._rate_is_off:
            self._rate_is_off = True
            self.log(
                "rate",
                index,
                f"samples come at {self.clock.rate_hz:.2f} Hz, {100 * off:+.2f} % off the nominal "
                f"{self.clock.nominal_hz:g} Hz; if the stream loses single samples, this is how it shows",
                rate_hz=self.clock.rate_hz,
                nominal_hz=self.clock.nominal_hz,
            )
        elif abs(off) < 0.5 * RATE_LIMIT:
            self._rate_is_off = False
