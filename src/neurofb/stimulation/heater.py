"""What the engine holds of a stimulator: a guard it steps itself, or one in a process of its own.

On a manual clock, in simulations and tests, ``LocalHeater`` is enough. With a person under the probe it is
``remote.WatchdogHeater``: the guard must outlive the engine. ``opening.open_heater`` makes either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Protocol

from neurofb.clock import Clock
from neurofb.documents import Event
from neurofb.errors import UnknownName, UnsafeHeat, nearest
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat import HeatProfile
from neurofb.stimulation.heat_faults import parse_heat_faults
from neurofb.stimulation.stimulator import Capabilities, Reading, Stimulator, Ticket
from neurofb.stimulation.thermode import SimulatedThermode

#: The stimulators there are.
KINDS = ("simulated",)


def make_driver(kind: str, clock: Clock, seed: int = 0, faults: Sequence[str] = ()) -> Stimulator:
    """Give the driver of a stimulator, not connected yet.

    Raises
    ------
    UnknownName
        If there is none of that kind.
    """
    if kind not in KINDS:
        raise UnknownName(f"no stimulator {kind!r}; {nearest(kind, KINDS)}")
    return SimulatedThermode(clock, seed, parse_heat_faults(faults))


class Heater(Protocol):
    """What the engine may ask. Only ``arm`` and ``fire`` lead to heat, and only the schedule calls them."""

    def connect(self) -> Capabilities:
        """Open the device at baseline."""
        ...

    def self_test(self) -> list[str]:
        """Say what is wrong with the device; nothing: an empty list."""
        ...

    def arm(self, profile: HeatProfile, site: str) -> Ticket:
        """Prepare a stimulus; raises ``UnsafeHeat`` with every reason if it may not be."""
        ...

    def fire(self, ticket: Ticket, at_s: float) -> None:
        """Start it at ``at_s`` on the engine's clock; if it may not be then, a ``heat_refused`` event says why."""
        ...

    def lower(self, by_c: float) -> None:
        """Lower what is on, what is armed and all later stimuli."""
        ...

    def end(self, why: str) -> None:
        """End what is on or armed, in order; the next stimulus may follow."""
        ...

    def abort(self, why: str) -> None:
        """Go to baseline at once; nothing more until ``reset``."""
        ...

    def reset(self) -> None:
        """Allow stimuli again after an abort, at baseline; for the schedule only."""
        ...

    def beat(self) -> None:
        """Say that the engine is alive; to be called in every step, every 0.2 s at least."""
        ...

    def readings(self) -> list[Reading]:
        """Give the readings since the last call, about 50 a second."""
        ...

    def take_events(self) -> list[Event]:
        """Give what happened since the last call."""
        ...

    def used(self) -> dict[str, float]:
        """Give what each place on the skin has had."""
        ...

    def close(self) -> None:
        """Go to baseline and let the device go."""
        ...


class LocalHeater:
    """A guard in this process, stepped by ``beat``: for manual clocks and tests, not for a person.

    If the engine dies, so does this guard; only the device's own cut-offs are left then.

    Parameters
    ----------
    guard : Guard
        What it steps.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self.connect = guard.connect
        self.self_test = guard.self_test
        self.arm = guard.arm
        self.lower = guard.lower
        self.end = guard.end
        self.abort = guard.abort
        self.reset = guard.reset
        self.beat = guard.step
        self.readings = guard.readings
        self.take_events = guard.take_events
        self.used = guard.used
        self.close = guard.close

    def fire(self, ticket: Ticket, at_s: float) -> None:
        """Start an armed stimulus at ``at_s``, at once if that is now; a refusal is an event, as in a process."""
        with contextlib.suppress(UnsafeHeat):
            self._guard.fire(ticket, at_s)
        self._guard.step()
