"""Which clock a stream's stamps are of: judged when its outlet is opened, and on every sample after.

In: stamps as they came, with the time of their arrival. Out: stamps in seconds near this computer's clock, or stamps
made of arrivals where theirs say nothing; which clock it is. Kept: the last half second of stamps.

Stamps of another clock still say how long the time between two samples was, so that a lost sample is seen exactly. They
are moved by what lies between them and the earliest arrival, and only stamps that say nothing (all the same, running
backwards, without order) are replaced. Of samples that share a stamp, the last is meant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from neurofb.acquisition.arrival_bound import AHEAD_S, BEHIND_S, CATCHES_UP
from neurofb.acquisition.stamp_steps import UNITS, StampSteps, unit_of, usually_sharing
from neurofb.chunk import FloatArray

#: Stamps further behind this computer's clock than this are of another clock.
FOREIGN_S = 120.0
#: Stamps beyond this count from 1970: no computer has been up for 30 years.
UNIX_S = 1e9
#: Stamps are judged over so long, and so many arrivals.
JUDGED_S, N_ARRIVALS = 0.5, 3
#: Samples that came no faster than they were taken for so long had not waited.
CAUGHT_UP_S = 0.25
#: A buffer is fetched in less than this.
MOST_WAITED_S = 0.75
#: Samples come at their rate if they do so nearly; stamps do not tell their time if they advance by more or less.
AT_RATE, MOST_PACE = 0.8, 1.35
#: Of samples that came at once it is not known how long they took: those that were first may be so many of all.
MOST_FIRST = 0.4
OTHER_PACE = "times that run at another pace than samples come"

TimedBy = Literal["sender", "arrival"]


class StampClock(NamedTuple):
    """The clock of a stream's stamps."""

    #: In words, for the operator; "" for LSL's own clock.
    words: str
    #: Seconds per unit, and what is then added to them.
    scale_s: float
    shift_s: float
    timed_by: TimedBy
    #: How far the stamps were ahead of the earliest arrival, in seconds; NaN where stamps say nothing.
    difference_s: float

    @property
    def is_foreign(self) -> bool:
        """Whether stamps are not of LSL's clock."""
        return self.words != ""


LSL = StampClock("", 1.0, 0.0, "sender", 0.0)


class Judged(NamedTuple):
    """The clock of the first stamps, and what they are on this computer's clock."""

    clock: StampClock
    steps: StampSteps
    local_s: FloatArray


class Came(NamedTuple):
    """Samples that came at once: how many, the first and the last stamp without jumps, and when."""

    n: int
    first_s: float
    newest_s: float
    arrival_s: float


def judge(blocks: Sequence[tuple[FloatArray, float]], rate_hz: float) -> Judged:
    """Return the clock of stamps: in which unit, and how far from the arrivals of their samples.

    Parameters
    ----------
    blocks : sequence of (ndarray, float)
        Stamps that came at once, with LSL's correction, and when.
    rate_hz : float
        Nominal.
    """
    received_s = np.concatenate([stamps_s for stamps_s, _ in blocks])
    scale_s = unit_of(received_s, rate_hz)
    if scale_s is None:
        clock = StampClock(_disorder(received_s), 1.0, 0.0, "arrival", math.nan)
        return Judged(clock, StampSteps(rate_hz), np.empty(0))
    steps = StampSteps(rate_hz, scale_s, usually_sharing(received_s))
    parts, lead_s = [], _lead_s(scale_s, *blocks[0])
    leads_s: dict[float, float] = {}
    for stamps_s, arrival_s in blocks:
        local_s = steps.follow(stamps_s, arrival_s, 0.0 if _is_near(scale_s, lead_s) else lead_s)
        parts.append(local_s)
        lead_s = max(lead_s, float(local_s.max()) - arrival_s)
        own_s = float(local_s[-1]) - steps.shift_s - arrival_s
        leads_s[steps.shift_s] = max(leads_s.pop(steps.shift_s, -math.inf), own_s)
    came = [
        Came(len(part), float(part[0]), float(part[-1]), at_s)
        for part, (_, at_s) in zip(parts, blocks, strict=True)
    ]
    if _contradict(came, rate_hz):
        return Judged(StampClock(OTHER_PACE, 1.0, 0.0, "arrival", math.nan), steps, np.empty(0))
    passed_s, stamped_s = blocks[-1][1] - blocks[0][1], float(parts[-1][-1] - parts[0][0])
    is_live = passed_s > 0.5 * JUDGED_S and stamped_s < CATCHES_UP * passed_s
    for shift_s, ahead_s in reversed(leads_s.items()):
        if _is_near(scale_s, ahead_s, BEHIND_S if is_live else FOREIGN_S):
            steps.move(-shift_s)
            return Judged(LSL, steps, np.concatenate(parts) - shift_s)
    steps.move(-lead_s)
    newest_s, ahead_s = scale_s * float(received_s[-1]), leads_s[next(reversed(leads_s))]
    words = "unix time (seconds since 1970)" if newest_s > UNIX_S else "another clock"
    if scale_s != 1.0:
        words = f"{UNITS[scale_s]} of {words}"
    clock = StampClock(words, scale_s, steps.shift_s, "sender", ahead_s)
    return Judged(clock, steps, np.concatenate(parts) - lead_s)


def _contradict(came: Sequence[Came], rate_hz: float) -> bool:
    """Return whether stamps run at another pace than samples come, which come at their rate."""
    first, last = came[0], came[-1]
    counted_s = sum(each.n for each in came) / rate_hz
    passed_s = last.arrival_s - first.arrival_s + first.n / rate_hz
    stamped_s = last.newest_s - first.first_s + 1.0 / rate_hz
    if first.n > MOST_FIRST * sum(each.n for each in came):
        return False  # most had waited: it is not known when it was sent
    comes_at_rate = AT_RATE * passed_s < counted_s < passed_s / AT_RATE
    is_pace = min(counted_s, passed_s) / MOST_PACE < stamped_s < MOST_PACE * max(counted_s, passed_s)
    return comes_at_rate and not is_pace


def _lead_s(scale_s: float, stamps_s: FloatArray, arrival_s: float) -> float:
    """Return how far the first sample that has a stamp is ahead of its arrival."""
    numbers_s = stamps_s[np.isfinite(stamps_s)]
    return scale_s * float(numbers_s[0]) - arrival_s if len(numbers_s) else 0.0


def _is_near(scale_s: float, lead_s: float, behind_s: float = FOREIGN_S) -> bool:
    """Whether stamps are so near to their arrivals that they may be of LSL's clock."""
    return scale_s == 1.0 and -behind_s < lead_s <= AHEAD_S


def _disorder(received_s: FloatArray) -> str:
    steps = np.diff(received_s)
    if not np.isfinite(received_s).all():
        return "no numbers"
    if not steps.any():
        return f"one and the same time ({received_s[0]:g})"
    return "times that run backwards" if (steps <= 0.0).mean() > 0.9 else "times without order"


def _has_caught_up(local_s: FloatArray, blocks: Sequence[tuple[FloatArray, float]], now_s: float) -> bool:
    """Return whether samples came as they were taken lately, or none came: nothing waits in a buffer any more.

    True also where they come faster for long: that is no buffer but a rate.
    """
    arrivals_s = np.repeat([arrival_s for _, arrival_s in blocks], [len(stamps_s) for stamps_s, _ in blocks])
    if now_s - arrivals_s[0] >= MOST_WAITED_S:
        return True
    before = int(np.searchsorted(arrivals_s, now_s - CAUGHT_UP_S, side="right"))
    if not before:
        return False
    passed_s = now_s - arrivals_s[before - 1]
    return bool(local_s[-1] - local_s[before - 1] <= CATCHES_UP * passed_s)


class SenderClock:
    """Makes stamps of one outlet comparable to this computer's clock.

    Parameters
    ----------
    rate_hz : float
        Nominal.

    Attributes
    ----------
    clock : StampClock or None
        None until it is known.
    age_s : float
        The least age of samples in the last half second, by their stamps.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate_hz = rate_hz
        self.clock: StampClock | None = None
        self.age_s = 0.0
        self._steps = StampSteps(rate_hz)
        #: What the first stamps, from which the clock was found, are on this computer's clock; not asked for yet.
        self._found_s = np.empty(0)
        self._stamps_s: list[FloatArray] = []
        self._came: list[Came] = []
        self._least_age_s = math.inf

    def __repr__(self) -> str:
        return f"SenderClock(rate_hz={self._rate_hz!r}, clock={self.clock!r})"

    def find(
        self, blocks: Sequence[tuple[FloatArray, float]], now_s: float = math.inf, *, final: bool = False
    ) -> StampClock | None:
        """Find the clock from the first samples; None if more are needed, and no more are if ``final``.

        How far another clock is ahead is known once what had waited has come: before, arrivals say nothing of it, and
        a loss among what comes next would look like a jump. ``now_s`` is the present on the clock of the arrivals.
        """
        n, n_arrivals = (
            sum(len(stamps_s) for stamps_s, _ in blocks),
            len({arrival_s for _, arrival_s in blocks}),
        )
        if not final and n < max(8.0, JUDGED_S * self._rate_hz):
            return None
        judged = judge(blocks, self._rate_hz)
        clock = judged.clock
        if not final:
            if clock.timed_by == "arrival" and n_arrivals < N_ARRIVALS and n < 10.0 * self._rate_hz:
                return None
            is_moved = clock.is_foreign and clock.timed_by == "sender"
            if is_moved and not _has_caught_up(judged.local_s, blocks, now_s):
                return None
        self.clock, self._steps, self._found_s = judged
        return clock

    def pop_jumps(self) -> list[float]:
        """Return the jumps of the sender's clock since the last call, in seconds; they are taken out of stamps."""
        jumps_s, self._steps.jumps_s = self._steps.jumps_s, []
        return jumps_s

    def by_arrival(self, n: int, arrival_s: float) -> FloatArray:
        """Return stamps made of an arrival: the last sample came now, those before it were sent a period apart."""
        return arrival_s - self.age_s - np.arange(n - 1, -1, -1) / self._rate_hz

    def local(self, stamps_s: FloatArray, arrival_s: float, jumped_s: float) -> FloatArray | None:
        """Return stamps on this computer's clock, as ``find`` has found theirs; None if they tell no time.

        Called with each block of stamps, as they came, corrected by LSL. ``jumped_s`` is how far the grid knows them to
        have jumped beside that.
        """
        assert self.clock is not None
        if self.clock.timed_by == "arrival":
            return None
        n = len(stamps_s)
        if len(self._found_s):
            local_s, self._found_s = self._found_s[:n], self._found_s[n:]
        else:
            local_s = self._steps.follow(stamps_s, arrival_s)
        newest_s = float(local_s[-1])
        self._steps.watch_age(newest_s, arrival_s)
        self._stamps_s.append(stamps_s)
        self._came.append(Came(n, float(local_s[0]), newest_s, arrival_s))
        self._least_age_s = min(self._least_age_s, arrival_s + jumped_s - newest_s)
        if len(self._stamps_s) < N_ARRIVALS or sum(map(len, self._stamps_s)) < JUDGED_S * self._rate_hz:
            return local_s
        seen_s, self._stamps_s = np.concatenate(self._stamps_s), []
        came, self._came = self._came, []
        unit_s = unit_of(seen_s, self._rate_hz)
        is_other_pace = _contradict(came, self._rate_hz)
        if unit_s == self.clock.scale_s and not is_other_pace:
            self.age_s, self._least_age_s = self._least_age_s, math.inf
            return local_s
        words = OTHER_PACE if is_other_pace else "times in another unit" if unit_s else _disorder(seen_s)
        self.clock = StampClock(words, 1.0, 0.0, "arrival", math.nan)
        return None
