"""The account of a stream: every sample that was sent is received or recorded as missing.

In: time stamps in the order in which they came. Out: which index each sample has, which indices are missing,
and the smooth time of all of them. Kept: the sample clock, the present block, and samples held in doubt.

A stamp that is later than expected means that samples are missing, or only that this one was delayed. The two
differ in what follows: after a loss the stamps *stay* late, after a delay they catch up. So samples after a
suspicious stamp are held, by count, until the level they keep is known; nothing is held otherwise. A loss
that hides in the jitter is found when two blocks of half a second stay late, and is entered there.

Lost samples come in whole packets, so the level is rounded to packets. Measured with 5 % of packets of 47 ms
lost, three disconnections and 300 ppm drift: the account is exact with late jitter up to 10 ms and symmetric
jitter up to 10 ms; with 20 ms it may be off by some packets in ten minutes, and with no losses it is exact there,
too. Single samples lost below the jitter cannot be counted from stamps by anyone, and need a counter column.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurofb.acquisition.timing import Jitter, SampleClock
from neurofb.chunk import FloatArray
from neurofb.documents import Event
from neurofb.errors import WrongInput

#: A stamp this far after its own arrival is no gap: the sender's clock has jumped.
FUTURE_S = 0.25
#: Levels that move by less are followed as stamps; larger ones are jumps of the sender's clock.
FOLLOW_S = 0.25
#: How long the stamps after a suspicious one must keep their level, at least.
CONFIRM_S = 0.1
#: Samples are never held in doubt for longer.
MAX_HOLD_S = 2.0
#: Missing time beyond this is taken for a new beginning of the sender's clock, not filled with NaN.
MAX_GAP_S = 3600.0
#: Blocks before a level can be judged.
MIN_BLOCKS = 4
RATE_LIMIT = 0.005
SUMMARY_S = 60.0


class Placed(NamedTuple):
    """Where the samples stand that are now certain.

    ``present`` has an entry for each index from ``first_index`` on: True takes the next sample in the order
    of arrival, False is a missing one.
    """

    first_index: int
    present: NDArray[np.bool_]
    times_s: FloatArray


@dataclass(slots=True)
class _Backwards:
    """Stamps that ran backwards since the last event that said so."""

    n: int = 0
    largest_s: float = 0.0
    said_s: float = -math.inf


class Ledger:
    """Gives each received sample its index and counts what is missing.

    Parameters
    ----------
    rate_hz : float
        Nominal rate.
    packet_samples : int
        How many samples are lost at once; 1 if unknown.
    jitter : {"auto", "late", "symmetric"}
        See ``timing``.
    counter_modulus : int or None
        Where a counter column comes with the samples: the count at which it starts again from 0.

    Attributes
    ----------
    n_received, n_missing : int
        The account so far; samples held in doubt are in neither.
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
        self.packet_samples = packet_samples
        self.counter_modulus = counter_modulus
        self.n_received = 0
        self.n_missing = 0
        self.next_index = 0
        self._period_s = 1.0 / rate_hz
        self._packet_s = packet_samples / rate_hz
        self._events: list[Event] = []
        self._started = False
        self._bias_s = 0.0
        self._held = np.empty((0, 3))
        self._cleared = 0
        self._cleared_burst = False
        size = self.clock.block_samples
        self._block = np.empty((size, 2))
        self._n_block = 0
        self._block_end = size
        self._roughness: deque[tuple[int, int, float]] = deque(maxlen=60)
        self._rough_s = 0.0
        self._together = packet_samples
        self._off_level_s = 0.0
        self._backwards = _Backwards()
        self._last_stamp_s = -math.inf
        self._last_count = math.nan
        self._counted = False
        self._noting = True
        self._restarted = False
        self._rate_is_off = False
        self._limit_s = 0.0

    def __repr__(self) -> str:
        return f"Ledger(rate_hz={self.clock.nominal_hz!r}, packet_samples={self.packet_samples!r})"

    @property
    def n_held(self) -> int:
        """How many samples are held in doubt."""
        return len(self._held)

    def take_events(self) -> list[Event]:
        """Give what was found since the last call, in order."""
        events, self._events = self._events, []
        return events

    def push(
        self,
        stamps_s: FloatArray,
        arrivals_s: FloatArray | None = None,
        counts: FloatArray | None = None,
    ) -> Placed:
        """Enter samples.

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
        Placed
            The samples that are now certain, maybe earlier ones, maybe none.
        """
        n = len(stamps_s)
        if n:
            self._note_backwards(stamps_s)
        if self._started and not len(self._held) and counts is None and not self._cleared:
            if self.next_index + n < self._block_end:
                times_s = self.clock.times_of(self.next_index, n)
                stamps_s = stamps_s - self._bias_s if self._bias_s else stamps_s
                if not (stamps_s - times_s > self._limit_s).any():
                    first_index = self.next_index
                    self._enter(stamps_s, n)
                    return Placed(first_index, np.ones(n, dtype=np.bool_), times_s)
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
        """Enter a single sample as ``push`` would and give its time; None, and nothing done, if in any doubt.

        Headsets that send sample by sample take this way nearly always, and it must cost next to nothing.
        """
        index = self.next_index
        if not self._started or self._cleared or len(self._held) or index + 1 >= self._block_end:
            return None
        time_s = self.clock.time_of(index)
        placed_s = stamp_s - self._bias_s
        if placed_s - time_s > self._limit_s or stamp_s < self._last_stamp_s or self._counted:
            return None
        self._last_stamp_s = stamp_s
        row = self._n_block
        self._block[row, 0] = index
        self._block[row, 1] = placed_s
        self._n_block = row + 1
        self.next_index = index + 1
        self.n_received += 1
        self._restarted = False
        return time_s

    def flush(self) -> Placed:
        """Decide on what is held, because no more samples will come."""
        return self._place(self._held, final=True)

    def _place(self, rows: FloatArray, final: bool) -> Placed:
        first_index = self.next_index
        present: list[NDArray[np.bool_]] = []
        times: list[FloatArray] = []
        if not self._started and len(rows) and (len(rows) >= self.clock.block_samples or final):
            self._start(rows[: self.clock.block_samples])
        done = 0 if self._started else len(rows)
        self._held = rows[:0] if self._started else rows
        bias_s = self._bias_s
        while done < len(rows):
            if self._bias_s != bias_s:
                rows[done:, 0] -= self._bias_s - bias_s
                bias_s = self._bias_s
            n = min(len(rows) - done, self._block_end - self.next_index)
            n, missing, jump_s = self._certain(rows[done:], n, final)
            if n:
                present.append(np.ones(n, dtype=np.bool_))
                times.append(self.clock.times_of(self.next_index, n))
                self._enter(rows[done : done + n, 0], n)
                self._noting = True
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
        return Placed(
            first_index,
            np.concatenate(present) if present else np.empty(0, dtype=np.bool_),
            np.concatenate(times) if times else np.empty(0),
        )

    def _start(self, rows: FloatArray) -> None:
        """Guess level, rate and roughness from the first half second, where packets may be missing already."""
        late_s = rows[:, 0] - rows[0, 0] - np.arange(len(rows)) * self._period_s
        self._note_roughness(late_s)
        deviation = 0.0
        lag = max(4, 2 * self.packet_samples)
        if len(rows) > 2 * lag and self._rough_s < 0.1 * self._period_s:
            deviation = float(np.median(late_s[lag:] - late_s[:-lag])) / (lag * self._period_s)
            late_s -= deviation * np.arange(len(rows)) * self._period_s
        beginning = late_s[: 2 * self._together]
        level_s = self._level(beginning)
        self.clock.start(float(rows[0, 0] + level_s), deviation)
        self._started = True
        self._limit_s = self._suspicious_s()

    def _note_roughness(self, late_s: FloatArray) -> None:
        """Measure the jitter by the steps back to the line: lost samples make steps forward only."""
        steps = np.diff(late_s)
        back = -steps[steps < -0.02 * self._period_s]
        self._roughness.append((len(late_s), len(back), float(np.median(back)) if len(back) else 0.0))
        seen, n_back, _ = np.sum(self._roughness, axis=0)
        sizes = [size for _, n, size in self._roughness if n]
        # Stamps that step together: half of the steps go back, one between any two such groups.
        together = seen / (2.0 * n_back) if n_back else math.inf
        if together > 0.3 * self.clock.nominal_hz:
            self._rough_s, self._together = 0.0, self.packet_samples
        else:
            self._rough_s, self._together = (
                statistics.median(sizes),
                max(self.packet_samples, round(together)),
            )

    def _suspicious_s(self) -> float:
        return max(0.5 * self._packet_s, 4.0 * self._rough_s)

    def _batch(self) -> int:
        """Give how many samples must follow a suspicious one before their level can be trusted.

        The chance that a packet is late by half a packet's duration falls exponentially with the number of
        packets looked at (late jitter), or the error of their median with its root (symmetric jitter).
        """
        least = math.ceil(max(CONFIRM_S * self.clock.nominal_hz, 2 * self.packet_samples))
        ratio = self._rough_s / self._packet_s
        if ratio < 0.02:
            return least
        packets = 33.0 * ratio if self.clock.jitter == "late" else (11.0 * ratio) ** 2
        longest = max(2, int(0.5 * MAX_HOLD_S * self.clock.nominal_hz / self._together))
        return max(least, self._together * min(max(2, 1 + math.ceil(packets)), longest))

    def _noise_s(self, n: int) -> float:
        """Give how far the level of ``n`` samples may be off by chance, once in some hundred thousand times."""
        others = max(1.0, n / self._together - 1.0)
        if self.clock.jitter == "late":
            return 16.0 * self._rough_s / others
        return 4.0 * self._rough_s if self._sharp else 5.5 * self._rough_s / math.sqrt(others)

    def _certain(self, rows: FloatArray, n: int, final: bool) -> tuple[int, int, float]:
        """Give how many of the next ``n`` samples stand where they are expected; else what is missing or jumped."""
        if self._cleared:
            n = min(n, self._cleared)
            self._cleared -= n
            self._noting = not self._cleared_burst
            return n, 0, 0.0
        if self.next_index == 0:
            return 1, 0, 0.0
        if not math.isnan(rows[0, 2]):
            if not math.isnan(self._last_count):
                return self._by_counter(rows, n)
            n = 1
        expected_s = self.clock.times_of(self.next_index, n)
        suspicious = rows[:n, 0] - expected_s > self._limit_s
        first = int(suspicious.argmax())
        if not suspicious[first]:
            return n, 0, 0.0
        if first:
            return first, 0, 0.0
        return self._judge(rows, final)

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
            self._say("counter", f"the counter went from {last:g} to {rows[0, 2]:g}: it begins again there")
            missing = max(0, round(late))
            if missing == 0 and rows[0, 2] <= 1.0:
                self.counter_modulus = int(last + 1.0 - rows[0, 2])
        if missing == 0:
            return 1, 0, 0.0
        self._say_gap(missing, "the counter")
        return 0, missing, 0.0

    def restart(self) -> None:
        """Say that the stream was opened anew: a counter may begin at any number."""
        self._last_count = math.nan
        self._restarted = True

    def _judge(self, rows: FloatArray, final: bool) -> tuple[int, int, float]:
        """Look at ever more samples after a suspicious one until their level shows what it was."""
        batch = self._batch()
        on_time_s = max(0.5 * self._packet_s, self._noise_s(batch))
        before_s = self._level(self._late_s(rows[: batch // 2]))
        for size in range(batch, len(rows) + batch, batch):
            late_s = self._late_s(rows[:size])
            on_time = late_s <= on_time_s
            first = int(on_time.argmax())
            if self._sharp and on_time[first]:
                # One that is on time settles it: nothing was lost before it.
                return self._clear(rows, max(1, first), final)
            if size > len(rows) and not final:
                return 0, 0, 0.0
            if size > len(rows) and self._rough_s > 0.02 * self._packet_s:
                break  # too few came at the end to tell a loss from jitter
            # The edge is the lowest so far; the middle is that of the newest, for a burst that catches up.
            level_s = self._level(late_s if self._sharp else late_s[-batch:])
            if level_s <= on_time_s:
                break
            caught_up = (before_s - level_s) / (batch * self._period_s)
            too_long = size * self._period_s > MAX_HOLD_S and caught_up < 0.25
            if caught_up < 0.125 or too_long or (final and size >= len(rows)):
                return self._verdict(rows, level_s)
            before_s = level_s
        return self._clear(rows, min(size, len(rows)), final)

    def _clear(self, rows: FloatArray, n: int, final: bool) -> tuple[int, int, float]:
        """Let ``n`` samples pass that were late but not after a loss."""
        self._cleared = n
        # The burst after a stall says nothing about the line, unlike everyday lateness.
        self._cleared_burst = float(self._late_s(rows[:n]).max()) > max(CONFIRM_S, 12.0 * self._rough_s)
        return self._certain(rows, min(n, self._block_end - self.next_index), final)

    def _late_s(self, rows: FloatArray) -> FloatArray:
        return rows[:, 0] - self.clock.times_of(self.next_index, len(rows))

    def _verdict(self, rows: FloatArray, level_s: float) -> tuple[int, int, float]:
        if rows[0, 0] - rows[0, 1] > FUTURE_S or level_s > MAX_GAP_S:
            return 0, 0, level_s
        missing = self._whole_packets(level_s)
        self._say_gap(missing, "the time stamps")
        return 0, missing, 0.0

    def _whole_packets(self, level_s: float) -> int:
        """Round to packets, or to samples where a device began anew and its packets may stand anywhere."""
        samples = level_s * self.clock.rate_hz
        packets = max(1, round(samples / self.packet_samples))
        off_s = abs(samples - packets * self.packet_samples) * self._period_s
        if self._restarted and off_s > max(0.1 * self._packet_s, 2.0 * self._rough_s):
            return max(1, round(samples))
        return packets * self.packet_samples

    def _level(self, late_s: FloatArray) -> float:
        """Give where the stamps stand: their edge where that is sharp (a next loss only adds), else their middle."""
        return float(late_s.min()) if self._sharp else float(np.median(late_s))

    @property
    def _sharp(self) -> bool:
        return self.clock.jitter == "late" or self._rough_s < 0.1 * self._packet_s

    def _enter(self, stamps_s: FloatArray, n: int) -> None:
        if self._noting:
            rows = self._block[self._n_block : self._n_block + n]
            rows[:, 0] = np.arange(self.next_index, self.next_index + n)
            rows[:, 1] = stamps_s
            self._n_block += n
        self.next_index += n
        self.n_received += n
        self._restarted = False

    def _skip(self, missing: int) -> FloatArray:
        """Pass over missing samples, through as many blocks as they last."""
        times = []
        while missing:
            n = min(missing, self._block_end - self.next_index)
            times.append(self.clock.times_of(self.next_index, n))
            self.next_index += n
            self.n_missing += n
            missing -= n
            # What a block's end may find missing counts only once: the rest of the gap comes first.
            missing += self._end_block()
        return np.concatenate(times)

    def _end_block(self) -> int:
        """Close the block if it is full; give how many samples its level shows to be missing."""
        if self.next_index < self._block_end:
            return 0
        block = self._block[: self._n_block]
        missing = self._close(block) if len(block) else 0
        self.clock.next_block(self.next_index)
        self._limit_s = self._suspicious_s()
        self._n_block = 0
        self._block_end += self.clock.block_samples
        return missing

    def _close(self, block: FloatArray) -> int:
        late_s = block[:, 1] - self.clock.times_at(block[:, 0])
        level_s = self._level(late_s) if self._sharp else float(late_s.mean())
        known = self.clock.n_steady >= MIN_BLOCKS and not self._counted
        # Late jitter has a long tail on one side.
        tail = 12.0 if self.clock.jitter == "late" and level_s > 0 else 5.0
        limit_s = max(0.5 * self._packet_s, tail * self.clock.scatter_s, 3.0 * self.clock.error_s)
        if known and abs(level_s) > limit_s and len(block) > self.clock.block_samples // 4:
            return self._off_level(level_s)
        self._off_level_s = 0.0
        self._note_roughness(late_s)
        self.clock.add_block(block[:, 0], block[:, 1])
        self._note_rate()
        return 0

    def _off_level(self, level_s: float) -> int:
        """Act when two blocks in a row are off to the same side; one alone is left out of the fit."""
        before_s, self._off_level_s = self._off_level_s, level_s
        if before_s * level_s <= 0:
            return 0
        self._off_level_s = 0.0
        if level_s > 0:
            missing = self._whole_packets(level_s)
            self._say_gap(missing, "the level of the time stamps; their place is known to a second")
            return missing
        self._jump(level_s, followed=level_s > -FOLLOW_S)
        return 0

    def _jump(self, jump_s: float, followed: bool) -> None:
        if followed:
            self.clock.follow(jump_s)
        else:
            self._bias_s += jump_s
        self._say(
            "clock_jump",
            f"the sender's time stamps jumped by {jump_s:+.3f} s; "
            + ("the clock follows" if followed else "the clock goes on as before; no samples are missing"),
            jump_s=jump_s,
            followed=followed,
        )

    def _say(self, kind: str, message: str, **details: object) -> None:
        index = self.next_index
        self._events.append(Event(kind, self.clock.time_of(index), message, index, details))

    def _say_gap(self, missing: int, found_by: str) -> None:
        seconds = missing * self._period_s
        self._say(
            "gap",
            f"{missing} samples ({seconds:.3f} s) are missing from sample {self.next_index} on, found by {found_by}",
            n_samples=missing,
            duration_s=seconds,
            found_by=found_by,
        )

    def _note_backwards(self, stamps_s: FloatArray) -> None:
        first_s, last_s = self._last_stamp_s, float(stamps_s[-1])
        self._last_stamp_s = last_s
        if len(stamps_s) == 1:
            if last_s >= first_s:
                return
            back = np.array([first_s - last_s])
        else:
            back = -np.diff(stamps_s, prepend=first_s)
            back = back[back > 0]
            if not len(back):
                return
        note = self._backwards
        note.n += len(back)
        note.largest_s = max(note.largest_s, float(back.max()))
        if last_s - note.said_s < SUMMARY_S:
            return
        self._say(
            "backwards",
            f"{note.n} time stamps ran backwards, by up to {1e3 * note.largest_s:.1f} ms; the smooth clock does not",
            n_stamps=note.n,
            largest_s=note.largest_s,
        )
        self._backwards = _Backwards(said_s=last_s)

    def _note_rate(self) -> None:
        if not self.clock.settled:
            return
        off = self.clock.rate_hz / self.clock.nominal_hz - 1.0
        if abs(off) > RATE_LIMIT and not self._rate_is_off:
            self._rate_is_off = True
            self._say(
                "rate",
                f"samples come at {self.clock.rate_hz:.2f} Hz, {100 * off:+.2f} % off the nominal "
                f"{self.clock.nominal_hz:g} Hz; if the stream loses single samples, this is how it shows",
                rate_hz=self.clock.rate_hz,
                nominal_hz=self.clock.nominal_hz,
            )
        elif abs(off) < 0.5 * RATE_LIMIT:
            self._rate_is_off = False
