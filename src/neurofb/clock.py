"""Where time comes from: a clock is passed in, never read by a stage.

All clocks count seconds from an arbitrary zero and never run backwards. The live clock is LSL's, so that
its readings can be compared with time stamps; it lives with pylsl in ``lsl/inlet.py``.
"""

from __future__ import annotations

import os
import time
from typing import Protocol

from neurofb.errors import WrongInput


def yield_processor() -> None:
    """Let others run that wait for this thread's processor; come back at once if nobody does."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()
    else:
        time.sleep(0.0)


class Clock(Protocol):
    """What the engine, the sources and the session may ask of a clock."""

    def now_s(self) -> float:
        """Return the present time in seconds."""
        ...

    def wait_until(self, time_s: float) -> None:
        """Return when ``now_s()`` has reached ``time_s``; at once if it already has."""
        ...


class ManualClock:
    """A clock that moves only when told: simulations and tests run on it, as fast as they can.

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
