"""Clocks: one is passed in, and no stage reads the time by itself.

All clocks count seconds from an arbitrary zero and never run backwards. The live clock is LSL's, so that
its readings can be compared with time stamps; it lives with pylsl in ``lsl/inlet.py``.

A computer that sleeps stops the steady clock on Linux and macOS, and anybody may set the wall clock. ``ClockWatch``
finds both by comparing three clocks.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from neurofb.errors import WrongInput


def yield_processor() -> None:
    """Yield this thread's processor to waiting threads; return at once if there are none."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0.0)


class Clock(Protocol):
    """The clock that engine, sources and session use."""

    def now_s(self) -> float:
        """Return the present time in seconds."""
        ...

    def wait_until(self, time_s: float) -> None:
        """Return when ``now_s()`` has reached ``time_s``; at once if it already has."""
        ...


class ManualClock:
    """A clock that moves only by ``wait_until`` and ``advance``: simulations and tests run on it faster than real time.

    Parameters
    ----------
    start_s : float
        The first reading, in seconds.
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = float(start_s)
        self._slept_s = self._set_by_s = 0.0

    def now_s(self) -> float:
        """Return the present time in seconds."""
        return self._now_s

    def wait_until(self, time_s: float) -> None:
        """Move to ``time_s``, if that lies ahead."""
        self._now_s = max(self._now_s, float(time_s))

    def advance(self, step_s: float) -> None:
        """Move ahead by ``step_s`` seconds."""
        if not step_s >= 0:
            raise WrongInput(f"a clock moves only ahead: asked to advance by {step_s} s")
        self._now_s += float(step_s)

    def sleep_computer(self, slept_s: float) -> None:
        """Let the computer sleep: this clock stands still, and time goes on without it."""
        self._slept_s += slept_s

    def set_wall_clock(self, by_s: float) -> None:
        """Set the wall clock ahead or back."""
        self._set_by_s += by_s

    def readings(self) -> ClockReadings:
        """Return the three clocks of a computer whose steady clock is this one."""
        total_s = self._now_s + self._slept_s
        return ClockReadings(self._now_s, total_s, total_s + self._set_by_s)

    def __repr__(self) -> str:
        return f"ManualClock(start_s={self._now_s!r})"


class ClockReadings(NamedTuple):
    """Three clocks of a computer, read together, in seconds from zeros of their own."""

    #: Stands still while the computer sleeps.
    awake_s: float
    #: Goes on while the computer sleeps.
    total_s: float
    #: The time of day, in seconds since 1970; anybody may set it.
    wall_s: float


#: Clocks that are read further apart than this are read again. Assumed: they take a microsecond together.
APART_S = 0.002
#: So often at most.
_MOST_READS = 5


def system_readings() -> ClockReadings:
    """Return the clocks of this computer.

    Linux: ``CLOCK_MONOTONIC`` stands still in a suspend and ``CLOCK_BOOTTIME`` does not. macOS: Python's steady clock
    (``mach_absolute_time``) stands still and ``CLOCK_MONOTONIC`` does not. Windows: ``QueryUnbiasedInterruptTime``
    stands still and Python's steady clock does not. Elsewhere both are the steady clock, and only steps of the wall
    clock are found.
    """
    for _ in range(_MOST_READS):
        before_s, total_s, wall_s, awake_s = _awake_s(), _total_s(), time.time(), _awake_s()
        if awake_s - before_s < APART_S:
            break
    return ClockReadings(awake_s, total_s, wall_s)


if sys.platform == "win32":

    def _awake_s() -> float:
        hundred_ns = ctypes.c_ulonglong()
        ctypes.windll.kernel32.QueryUnbiasedInterruptTime(ctypes.byref(hundred_ns))
        return hundred_ns.value * 1e-7

    def _total_s() -> float:
        return time.monotonic()
else:

    def _awake_s() -> float:
        return time.monotonic()

    def _total_s() -> float:
        if sys.platform == "darwin":
            return time.clock_gettime(time.CLOCK_MONOTONIC)
        return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def readings_of(clock: Clock) -> Callable[[], ClockReadings]:
    """Return what reads the clocks of the computer that ``clock`` belongs to: this one, but for a manual clock."""
    return clock.readings if isinstance(clock, ManualClock) else system_readings


#: A sleep or a step of the wall clock below this is not looked at. Assumed: no computer sleeps and wakes within it;
#: two readings of the clocks are apart by far less, and a slewed wall clock needs 200 s for it (500 ppm).
LEAST_STEP_S = 0.1


class ClockChange(NamedTuple):
    """What happened to a computer's clocks since they were compared last."""

    #: Seconds that it slept; 0 if it did not.
    slept_s: float = 0.0
    #: By how many seconds the wall clock was set, ahead if above 0; 0 if it was not.
    wall_step_s: float = 0.0


def clock_step_words(change: ClockChange) -> str:
    """Return a step of the wall clock in words."""
    way = "ahead" if change.wall_step_s > 0 else "back"
    return f"the computer's wall clock was set {way} by {abs(change.wall_step_s):.1f} s; no time stamp depends on it"


class ClockWatch:
    """Finds sleep and steps of the wall clock between two calls of ``check``.

    Parameters
    ----------
    readings : callable
        Returns the clocks: ``readings_of``.
    """

    def __init__(self, readings: Callable[[], ClockReadings]) -> None:
        self._readings = readings
        self._last = readings()

    def check(self) -> ClockChange:
        """Compare the clocks; return what changed since the last call."""
        last, now = self._last, self._readings()
        self._last = now
        total_s = now.total_s - last.total_s
        slept_s = total_s - (now.awake_s - last.awake_s)
        step_s = now.wall_s - last.wall_s - total_s
        return ClockChange(
            slept_s if slept_s >= LEAST_STEP_S else 0.0, step_s if abs(step_s) >= LEAST_STEP_S else 0.0
        )
