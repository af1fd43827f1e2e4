"""What is found in a stream's time stamps, in words: gaps, jumps, stamps that run backwards, a rate that is off.

In: findings of the ``SampleIndexer``. Out: events. Kept: what is said only once, or summed up and said once a minute.
"""

from __future__ import annotations

import math

import numpy as np

from neurofb.acquisition.sample_clock import SampleClock
from neurofb.chunk import FloatArray
from neurofb.events import Event

RATE_LIMIT = 0.005
SUMMARY_S = 60.0


class Findings:
    """Turns findings into events.

    Parameters
    ----------
    clock : SampleClock
        Tells when a sample was.

    Attributes
    ----------
    last_stamp_s : float
        The newest stamp that was looked at.
    """

    def __init__(self, clock: SampleClock) -> None:
        self.clock = clock
        self.last_stamp_s = -math.inf
        self._events: list[Event] = []
        self._n_backwards = 0
        self._largest_back_s = 0.0
        self._said_backwards_s = -math.inf
        self._rate_is_off = False

    def __repr__(self) -> str:
        return f"Findings({self.clock!r})"

    def take(self) -> list[Event]:
        """Return what was found since the last call, in order."""
        events, self._events = self._events, []
        return events

    def say(self, kind: str, index: int, message: str, **details: object) -> None:
        """Say something about the sample ``index``."""
        self._events.append(Event(kind, self.clock.time_of(index), message, index, details))

    def say_gap(self, index: int, missing: int, found_by: str) -> None:
        """Say that ``missing`` samples are missing from ``index`` on."""
        seconds = missing / self.clock.nominal_hz
        self.say(
            "gap",
            index,
            f"{missing} samples ({seconds:.3f} s) are missing from sample {index} on, found by {found_by}",
            n_samples=missing,
            duration_s=seconds,
            found_by=found_by,
        )

    def say_jump(self, index: int, jump_s: float, followed: bool) -> None:
        """Say that the sender's clock jumped, and whether the sample clock goes with it."""
        self.say(
            "clock_jump",
            index,
            f"the sender's time stamps jumped by {jump_s:+.3f} s; "
            + ("the clock follows" if followed else "the clock goes on as before; no samples are missing"),
            jump_s=jump_s,
            followed=followed,
        )

    def say_counter(self, index: int, before: float, count: float) -> None:
        """Say that the device's counter began again."""
        self.say("counter", index, f"the counter went from {before:g} to {count:g}: it begins again there")

    def look_backwards(self, index: int, stamps_s: FloatArray) -> None:
        """Look for stamps that run backwards; the first is said at once, others once a minute."""
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
        if last_s - self._said_backwards_s < SUMMARY_S:
            return
        n, largest_s = self._n_backwards, self._largest_back_s
        self.say(
            "backwards",
            index,
            f"{n} time stamps ran backwards, by up to {1e3 * largest_s:.1f} ms; the smooth clock does not",
            n_stamps=n,
            largest_s=largest_s,
        )
        self._n_backwards, self._largest_back_s, self._said_backwards_s = 0, 0.0, last_s

    def look_at_rate(self, index: int) -> None:
        """Look whether the measured rate is off nominal; it is said once, until it has come back."""
        if not self.clock.settled:
            return
        off = self.clock.rate_hz / self.clock.nominal_hz - 1.0
        if abs(off) > RATE_LIMIT and not self._rate_is_off:
            self._rate_is_off = True
            self.say(
                "rate",
                index,
                f"samples come at {self.clock.rate_hz:.2f} Hz, {100 * off:+.2f} % off the nominal "
                f"{self.clock.nominal_hz:g} Hz; if the stream loses single samples, this is how it shows",
                rate_hz=self.clock.rate_hz,
                nominal_hz=self.clock.nominal_hz,
            )
        elif abs(off) < 0.5 * RATE_LIMIT:
            self._rate_is_off = False
