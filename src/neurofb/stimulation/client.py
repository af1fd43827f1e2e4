"""What the engine holds of a stimulator: a guard it steps itself, or one in a process of its own.

On a manual clock, in simulations and tests, ``LocalClient`` is enough. With a person under the probe it is
``WatchdogClient``: the guard must outlive the engine. ``open_stimulator`` makes either.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from neurofb.clock import Clock
from neurofb.errors import SafetyStop, UnknownName, UnsafeHeat, nearest
from neurofb.events import Event
from neurofb.stimulation.driver import Capabilities, Reading, StimulatorDriver, Ticket
from neurofb.stimulation.drivers.simulated import SimulatedThermode, parse_heat_faults
from neurofb.stimulation.envelope import Envelope, SiteLedger
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.pipe import WatchdogPipe


def _simulated(clock: Clock, seed: int, faults: Sequence[str]) -> StimulatorDriver:
    return SimulatedThermode(clock, seed, parse_heat_faults(faults))


#: The stimulators there are, and what makes the driver of each from a clock, a seed and faults.
DRIVERS: Mapping[str, Callable[[Clock, int, Sequence[str]], StimulatorDriver]] = {"simulated": _simulated}
#: How often the watchdog is told that the engine lives; a tenth of what it waits for.
BEAT_S = 0.05
#: A watchdog that sends nothing for so long (it sends readings 50 times a second) can no longer be relied on.
SILENT_S = 1.0
#: How long a stimulus may take to end when the device is let go.
END_S = 10.0
_N_CLOCK_QUESTIONS = 16


def check_kind(kind: str) -> None:
    """Refuse a stimulator that does not exist."""
    if kind not in DRIVERS:
        raise UnknownName(f"no stimulator {kind!r}; {nearest(kind, DRIVERS)}; say which with --thermode")


def make_driver(kind: str, clock: Clock, seed: int = 0, faults: Sequence[str] = ()) -> StimulatorDriver:
    """Return the driver of a stimulator, not connected yet.

    Raises
    ------
    UnknownName
        If there is none of that kind.
    """
    check_kind(kind)
    return DRIVERS[kind](clock, seed, faults)


class StimulatorClient(Protocol):
    """What the engine may ask. Only ``arm`` and ``fire`` lead to heat, and only the schedule calls them."""

    def connect(self) -> Capabilities:
        """Open the device at baseline."""
        ...

    def self_test(self) -> list[str]:
        """Return what is wrong with the device; nothing: an empty list."""
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
        """Return the readings since the last call, about 50 a second."""
        ...

    def pop_events(self) -> list[Event]:
        """Return what happened since the last call."""
        ...

    def used(self) -> dict[str, float]:
        """Return what each place on the skin has had."""
        ...

    def close(self) -> None:
        """Go to baseline and let the device go."""
        ...


class LocalClient:
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
        self.pop_events = guard.pop_events
        self.used = guard.used
        self.close = guard.close

    def fire(self, ticket: Ticket, at_s: float) -> None:
        """Start an armed stimulus at ``at_s``, at once if that is now; a refusal is an event, as in a process."""
        with contextlib.suppress(UnsafeHeat):
            self._guard.fire(ticket, at_s)
        self._guard.step()


class WatchdogClient:
    """A guard in a process of its own, which ends all heat when this one dies.

    ``abort`` may be called from any thread, and waits for nothing. All else belongs to the engine's thread.

    Parameters
    ----------
    kind, envelope, seed, faults, used :
        As for ``open_stimulator``.
    clock : Clock
        The engine's clock, which its thread reads as well: any clock that is safe to read from threads.
    log : Path, optional
        Where the watchdog writes its events, last words included.
    """

    def __init__(
        self,
        kind: str,
        envelope: Envelope,
        clock: Clock,
        *,
        seed: int = 0,
        faults: Sequence[str] = (),
        used: Mapping[str, float] | None = None,
        log: Path | None = None,
    ) -> None:
        parse_heat_faults(faults)
        self._clock = clock
        self._opening: dict[str, Any] = {
            "kind": kind,
            "envelope": envelope.model_dump(),
            "seed": seed,
            "faults": list(faults),
            "used": dict(used or {}),
            "log": None if log is None else str(log),
        }
        self._pipe = WatchdogPipe(clock)
        self._beat_s = clock.now_s()

    def connect(self) -> Capabilities:
        """Start the process, agree on the time, and open the device at baseline."""
        self._pipe.start()
        self._pipe.ask("open", offset_s=self._offset_s(), **self._opening)
        return Capabilities(**self._pipe.ask("connect"))

    def self_test(self) -> list[str]:
        """Return what is wrong with the device; nothing: an empty list."""
        return list(self._pipe.ask("self_test"))

    def arm(self, profile: HeatProfile, site: str) -> Ticket:
        """Prepare a stimulus; raises ``UnsafeHeat`` with every reason if it may not be."""
        content = self._pipe.ask("arm", profile=asdict(profile), site=site)
        return Ticket(content["number"], HeatProfile(**content["profile"]), content["site"])

    def fire(self, ticket: Ticket, at_s: float) -> None:
        """Start it at ``at_s``; if it may not be then, a ``heat_refused`` event says why."""
        self._pipe.tell("fire", ticket=asdict(ticket), at_s=at_s)

    def lower(self, by_c: float) -> None:
        """Lower what is on, what is armed and all later stimuli."""
        self._pipe.ask("lower", by_c=by_c)

    def end(self, why: str) -> None:
        """End what is on or armed, in order; the next stimulus may follow."""
        self._pipe.tell("end", why=why)

    def abort(self, why: str) -> None:
        """Go to baseline at once; from any thread."""
        self._pipe.tell("abort", why=why)

    def reset(self) -> None:
        """Allow stimuli again after an abort, at baseline; for the schedule only."""
        self._pipe.ask("reset")

    def beat(self) -> None:
        """Say that the engine is alive, and see that the watchdog is.

        Raises
        ------
        SafetyStop
            If it is not; then nothing guards the device any more but its own cut-off.
        """
        silent_s = self._pipe.silent_s(SILENT_S)
        now_s = self._clock.now_s()
        if silent_s > SILENT_S:
            raise SafetyStop(
                f"the watchdog has said nothing for {silent_s:.1f} s; it should say something 50 times "
                "a second: switch the stimulator off at its power switch, take the probe off the skin"
            )
        if now_s - self._beat_s >= BEAT_S:
            self._beat_s = now_s
            self._pipe.tell("beat")

    def readings(self) -> list[Reading]:
        """Return the readings since the last call."""
        return [Reading(*each) for several in self._pipe.pop_readings() for each in several]

    def pop_events(self) -> list[Event]:
        """Return what happened since the last call."""
        return [Event(**each) for each in self._pipe.pop_events()]

    def used(self) -> dict[str, float]:
        """Return what each place on the skin has had, as of half a second ago."""
        return dict(self._pipe.used or self._opening["used"])

    def close(self) -> None:
        """Go to baseline and let the device go; the process ends when it is there."""
        self._pipe.close(END_S)

    @property
    def pid(self) -> int | None:
        """The watchdog's process, None before ``connect``."""
        return self._pipe.pid

    def _offset_s(self) -> float:
        """Return this clock minus the watchdog's; the answer that came fastest tells it best."""
        found = []
        for _ in range(_N_CLOCK_QUESTIONS):
            asked_s = self._clock.now_s()
            theirs_s = self._pipe.ask("clock")
            answered_s = self._clock.now_s()
            found.append((answered_s - asked_s, (asked_s + answered_s) / 2 - theirs_s))
        return float(min(found)[1])


def open_stimulator(
    kind: str = "simulated",
    *,
    envelope: Envelope,
    clock: Clock,
    seed: int = 0,
    faults: Sequence[str] = (),
    local: bool = False,
    used: Mapping[str, float] | None = None,
    log: Path | None = None,
) -> StimulatorClient:
    """Return a heater, not connected yet.

    Parameters
    ----------
    kind : str
        One of ``DRIVERS``.
    envelope : Envelope
        The limits.
    clock : Clock
        The engine's.
    seed : int
        Of a simulated device's noise.
    faults : sequence of str
        What goes wrong with a simulated device, as ``drivers.simulated.parse_heat_faults`` reads it.
    local : bool
        True for a guard in this process, which the clock may be manual for; False for a watchdog.
    used : mapping of str to float, optional
        What each place on the skin has had before in this session.
    log : Path, optional
        Where a watchdog writes its events.

    Raises
    ------
    UnknownName, WrongInput
        If there is no stimulator of that kind, or no such fault; no process is started then.
    """
    check_kind(kind)
    parse_heat_faults(faults)
    if local:
        return LocalClient(Guard(make_driver(kind, clock, seed, faults), envelope, clock, SiteLedger(used)))
    return WatchdogClient(kind, envelope, clock, seed=seed, faults=faults, used=used, log=log)
