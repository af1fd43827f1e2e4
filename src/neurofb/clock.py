"""Clocks: one is passed in, and no stage reads the time by itself.

All clocks count seconds from an arbitrary zero and never run backwards. The live clock is LSL's, so that
its readings can be compared with time stamps; it lives with pylsl in ``lsl/inlet.py``.
"""

from __future__ import annotations

import os
import time
from typing import Protocol

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

    def __repr__(self) -> str:
        return f"ManualClock(start_s={self._now_s!r})"
