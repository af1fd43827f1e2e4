"""Gap detection: whether stamps that are later than expected are delayed, or samples before them lost.

In: how late the stamps of successive samples are against the sample clock. Out: a decision, as far as what followed
allows one. Kept: how rough the stamps were in the last half minute.

A stamp that is later than expected means that samples are missing, or only that this one was delayed. The two
differ in what follows: after a loss the stamps *stay* late, after a delay they catch up. How many must be looked
at depends on how the stamps scatter, and where they stand is their edge or their middle, as in ``sample_clock``.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from typing import NamedTuple

import numpy as np

from neurofb.acquisition.sample_clock import SampleClock
from neurofb.chunk import FloatArray

#: How long the stamps after a suspicious one must keep their level, at least.
CONFIRM_S = 0.1
#: Samples are never held in doubt for longer.
MAX_HOLD_S = 2.0
#: A level within so many times the jitter of whole packets is whole packets.
LIKELY_TIMES = 3.0
#: A first guess of the rate must be so many times the scatter of what it is made of.
SURE = 5.0
#: It is no further off: where stamps say so, samples are missing, or stamps are wrong.
MOST_GUESSED = 0.05


class Decision(NamedTuple):
    """The meaning of suspicious stamps."""

    #: So many samples were late and nothing is missing before them; 0 if something is.
    n_late: int
    #: How late the stamps stay, if something is missing.
    level_s: float


class GapDetector:
    """Distinguishes delayed samples from lost ones.

    Parameters
    ----------
    clock : SampleClock
        Of the stream: its rate, and the kind of its jitter.
    packet_samples : int
        How many samples are lost at once; 1 if unknown.

    Attributes
    ----------
    limit_s : float
        Stamps are suspicious that are later than this.
    rough_s : float
        The jitter, as the typical step back to the line.
    likely_packet : int
        How many samples come at once as a rule: where stamps are too rough to count single ones, these are lost.
    unsure_s : float
        How long the newest samples may have waited to be fetched.
    """

    def __init__(self, clock: SampleClock, packet_samples: int) -> None:
        self.clock = clock
        self.rough_s = 0.0
        self.likely_packet = 1
        self.unsure_s = 0.0
        self._period_s = 1.0 / clock.nominal_hz
        self.set_packet(packet_samples)
        self._roughness: deque[tuple[int, int, float]] = deque(maxlen=60)

    def set_packet(self, packet_samples: int) -> None:
        """Expect that so many samples are lost at once."""
        self.packet_samples = self._together = packet_samples
        self.packet_s = packet_samples / self.clock.nominal_hz
        self.limit_s = max(0.5 * self.packet_s, 4.0 * self.rough_s)

    def __repr__(self) -> str:
        return f"GapDetector({self.clock!r}, {self.packet_samples!r})"

    @property
    def sharp(self) -> bool:
        """True if the edge of the jitter distribution is a sharper estimate than its middle."""
        return self.clock.jitter == "late" or self.rough_s < 0.1 * self.packet_s

    def measure_jitter(self, late_s: FloatArray) -> None:
        """Measure the jitter by the steps back to the line: lost samples make steps forward only."""
        steps = np.diff(late_s)
        back = -steps[steps < -0.02 * self._period_s]
        self._roughness.append((len(late_s), len(back), float(np.median(back)) if len(back) else 0.0))
        seen, n_back, _ = np.sum(self._roughness, axis=0)
        sizes = [size for _, n, size in self._roughness if n]
        # Stamps that step together: half of the steps go back, one between any two such groups.
        together = seen / (2.0 * n_back) if n_back else math.inf
        if together > 0.3 * self.clock.nominal_hz:
            self.rough_s, self._together = 0.0, self.packet_samples
        else:
            self.rough_s = statistics.median(sizes)
            self._together = max(self.packet_samples, round(together))
        self.limit_s = max(0.5 * self.packet_s, 4.0 * self.rough_s)

    def first_guess(self, stamps_s: FloatArray, *, is_by_arrival: bool = False) -> tuple[float, float]:
        """Guess level and rate deviation from the first stamps, where packets may be missing already."""
        late_s = stamps_s - stamps_s[0] - np.arange(len(stamps_s)) * self._period_s
        self.measure_jitter(late_s)
        deviation = 0.0
        lag = max(4, 2 * self.packet_samples)
        # Half a second of arrivals tells no rate.
        if not is_by_arrival and len(stamps_s) > 2 * lag and self.rough_s < 0.1 * self._period_s:
            steps_s = late_s[lag:] - late_s[:-lag]
            step_s = float(np.median(steps_s))
            # Jitter of 1 ms looks like 1 % here: only what stands out of the steps' own scatter is a rate.
            if abs(step_s) > SURE * float(np.median(np.abs(steps_s - step_s))):
                deviation = min(max(step_s / (lag * self._period_s), -MOST_GUESSED), MOST_GUESSED)
                late_s -= deviation * np.arange(len(stamps_s)) * self._period_s
        return self.level_s(late_s[: 2 * self._together]), deviation

    def level_s(self, late_s: FloatArray) -> float:
        """Return where the stamps stand: their edge where that is sharp (a next loss only adds), else their middle."""
        return float(late_s.min()) if self.sharp else float(np.median(late_s))

    def caught_up(self, late_s: FloatArray, final: bool) -> Decision | None:
        """Return the decision that samples were late, if a later one is on time; else None.

        No later one comes if ``final``: then samples were late that may have waited to be fetched.
        """
        on_time = late_s <= 0.5 * self.packet_s
        first = int(on_time.argmax())
        if on_time[first]:
            return Decision(max(1, first), 0.0)
        may_be_late = final and self.level_s(late_s) - self.unsure_s <= 0.5 * self.packet_s
        return Decision(len(late_s), 0.0) if may_be_late else None

    def decide(self, late_s: FloatArray, final: bool) -> Decision | None:
        """Decide from the samples after a suspicious one, once their level shows whether any are lost.

        Parameters
        ----------
        late_s : ndarray, shape (n_samples,)
            How late they are, from the suspicious one on.
        final : bool
            No more will come.

        Returns
        -------
        Decision or None
            None if more samples are needed.
        """
        n = len(late_s)
        batch = self._batch()
        on_time_s = max(0.5 * self.packet_s, self._noise_s(batch))
        before_s = self.level_s(late_s[: batch // 2])
        for size in range(batch, n + batch, batch):
            seen_s = late_s[:size]
            on_time = seen_s <= on_time_s
            first = int(on_time.argmax())
            if self.sharp and on_time[first]:
                # One that is on time settles it: nothing was lost before it.
                return Decision(max(1, first), 0.0)
            if size > n and not final:
                return None
            if size > n and self.rough_s > 0.02 * self.packet_s:
                break  # too few came at the end to tell a loss from jitter
            # The edge is the lowest so far; the middle is that of the newest, for a burst that catches up.
            level_s = self.level_s(seen_s if self.sharp else seen_s[-batch:])
            if level_s <= on_time_s:
                break
            caught_up = (before_s - level_s) / (batch * self._period_s)
            too_long = size * self._period_s > MAX_HOLD_S and caught_up < 0.25
            if caught_up < 0.125 or too_long or (final and size >= n):
                return Decision(0, level_s)
            before_s = level_s
        return Decision(min(size, n), 0.0)

    def is_burst(self, late_s: FloatArray) -> bool:
        """Return whether late samples are the burst after a stall, which must not enter the fit."""
        return float(late_s.max()) > max(CONFIRM_S, 12.0 * self.rough_s)

    def n_missing(self, level_s: float, anywhere: bool) -> int:
        """Return how many samples a level is: whole packets, or any number where a device began anew ``anywhere``."""
        samples = level_s * self.clock.rate_hz
        likely = self.likely_packet * round(samples / self.likely_packet)
        near = abs(samples - likely) <= LIKELY_TIMES * self.rough_s / self._period_s
        if self.packet_samples == 1 and likely and near:
            return likely
        packets = max(1, round(samples / self.packet_samples))
        off_s = abs(samples - packets * self.packet_samples) * self._period_s
        if anywhere and off_s > max(0.1 * self.packet_s, 2.0 * self.rough_s):
            return max(1, round(samples))
        return packets * self.packet_samples

    def _batch(self) -> int:
        """Return how many samples must follow a suspicious one before their level can be trusted.

        The chance that a packet is late by half a packet's duration falls exponentially with the number of
        packets looked at (late jitter), or the error of their median with its root (symmetric jitter).
        """
        least = math.ceil(max(CONFIRM_S * self.clock.nominal_hz, 2 * self.packet_samples))
        ratio = self.rough_s / self.packet_s
        if ratio < 0.02:
            return least
        packets = 33.0 * ratio if self.clock.jitter == "late" else (11.0 * ratio) ** 2
        longest = max(2, int(0.5 * MAX_HOLD_S * self.clock.nominal_hz / self._together))
        return max(least, self._together * min(max(2, 1 + math.ceil(packets)), longest))

    def _noise_s(self, n: int) -> float:
        """Return how far the level of ``n`` samples may be off by chance, once in some hundred thousand times."""
        others = max(1.0, n / self._together - 1.0)
        if self.clock.jitter == "late":
            return 16.0 * self.rough_s / others
        return 4.0 * self.rough_s if self.sharp else 5.5 * self.rough_s / math.sqrt(others)
