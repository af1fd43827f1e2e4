"""How fast heat ends: a stop, an engine that is killed; how exactly it begins; and what a guard's step costs.

All but the last go through the real watchdog process with its simulated thermode. Times are read on the system's
steady clock, which both processes share. A stop or a kill begins when the measured temperature has reached the one that
the row names: the probe lags behind its command, and from a commanded plateau it has less far to cool.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import median_us, row
from neurofb.clock import ManualClock
from neurofb.events import Event
from neurofb.stimulation.client import WatchdogClient
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile

#: Where the probe is when it is stopped: a usual stimulus, and the hottest that the envelope lets pass, less the noise
#: of a reading.
FROM_C = (45.0, 48.9)
#: A stop comes when the measured temperature is this close, five times the noise of a reading.
CLOSE_C = 0.1
ENGINE = """
import sys, time
from pathlib import Path
from benchmarks.bench_stimulation import opened, plateau, until_hot
heater = opened(Path(sys.argv[1]))
heater.place("arm", "benchmark")
heater.schedule(plateau(float(sys.argv[2])), "arm", time.monotonic() + 0.05)
print(until_hot(heater, float(sys.argv[2])), flush=True)
while True:
    heater.beat()
    time.sleep(0.01)
"""
PATIENCE_S = 30.0


class SteadyClock:
    """The system's steady clock."""

    def now_s(self) -> float:
        """Give the present time in seconds."""
        return time.monotonic()

    def wait_until(self, time_s: float) -> None:
        """Return when ``now_s()`` has reached ``time_s``."""
        while (left_s := time_s - time.monotonic()) > 0:
            time.sleep(left_s)


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    start_s = time.monotonic()
    client = opened()
    started_s = time.monotonic() - start_s
    n_stops, n_kills = (3, 2) if short else (20, 10)
    stops = {
        from_c: [stopped(client, from_c, f"{from_c:g} {i}") for i in range(n_stops)] for from_c in FROM_C
    }
    client.close()
    every = [each for of_one in stops.values() for each in of_one]
    onsets_ms, stops_ms = [each[0] for each in every], [each[1] for each in every]
    yield row(
        "stop in the engine to commanded baseline, median",
        statistics.median(stops_ms),
        "ms",
        at_most=100.0,
        detail=f"{len(every)} stops on a measured plateau, through the watchdog process; the driver has been told by "
        f"then; slowest {max(stops_ms):.2f} ms; the way from a key to the engine is not in it",
    )
    for from_c in FROM_C:
        yield from from_named("stop in the engine", from_c, [each[2] for each in stops[from_c]], 1500.0)
    yield row(
        "command of a stimulus against its schedule, median",
        statistics.median(onsets_ms),
        "ms",
        at_most=5.0,
        detail=f"until the device is told; slowest of {len(every)}: {max(onsets_ms):.2f} ms",
    )
    for from_c in FROM_C:
        yield from from_named(
            "kill -9 of the engine", from_c, [killed(from_c) for _ in range(n_kills)], 1000.0
        )
    yield row("start of the watchdog, until the device is open", 1e3 * started_s, "ms", at_most=500.0)
    yield row(
        "one step of the guard on a plateau",
        median_us(running(), at_least_s=0.1 if short else 0.5),
        "µs/step",
        detail="the simulated thermode with it; the watchdog steps every 2 ms",
    )


def opened(log: Path | None = None) -> WatchdogClient:
    """Give a heater with its watchdog, at baseline."""
    client = WatchdogClient("simulated", Envelope(), SteadyClock(), log=log, required=NOTHING)
    client.connect()
    return client


def until(client: WatchdogClient, kind: str) -> dict[str, Event]:
    """Step like an engine until something happens; give what happened meanwhile, by kind."""
    found: dict[str, Event] = {}
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        client.beat()
        found |= {event.kind: event for event in client.pop_events()}
        if kind in found:
            return found
        time.sleep(0.002)
    raise RuntimeError(f"no {kind} within {PATIENCE_S:g} s")


def plateau(target_c: float) -> HeatProfile:
    """Give a stimulus that the envelope lets pass, long enough to be stopped."""
    return HeatProfile(target_c, 5.0, rise_c_per_s=60.0, return_c_per_s=40.0)


def from_named(what: str, from_c: float, times_ms: list[float], at_most: float) -> Iterator[dict[str, Any]]:
    """Give the rows of what ends heat, from the measured temperature to the measured baseline."""
    for figure, value in (("median", statistics.median(times_ms)), ("slowest", max(times_ms))):
        yield row(
            f"{what} to probe at baseline, from {from_c:.1f} °C measured, {figure}",
            value,
            "ms",
            at_most=at_most,
            detail=f"{len(times_ms)} times, from a reading of at least {from_c - CLOSE_C:.1f} °C to one within 1 °C of "
            f"{plateau(from_c).baseline_c:g} °C; simulated thermode, cooling by 40 °C/s at most",
        )


def until_hot(client: WatchdogClient, target_c: float) -> float:
    """Step like an engine until the probe measures the temperature of the plateau; give what it measures."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        client.beat()
        for reading in client.readings():
            if reading.measured_c >= target_c - CLOSE_C:
                return reading.measured_c
        time.sleep(0.002)
    raise RuntimeError(f"the probe did not reach {target_c:g} °C within {PATIENCE_S:g} s")


def stopped(client: WatchdogClient, from_c: float, site: str) -> tuple[float, float, float]:
    """Give the ms from schedule to command, and from a stop to commanded baseline and to the probe at baseline."""
    client.place(site, "benchmark")
    client.schedule(plateau(from_c), site, time.monotonic() + 0.05)
    details = until(client, "heat_fired")["heat_fired"].details
    until_hot(client, from_c)
    stop_s = time.monotonic()
    client.abort("a stop")
    happened = until(client, "heat_ended")
    commanded_s, home_s = happened["heat_aborted"].time_s, happened["heat_ended"].time_s
    client.reset()
    onset_s = details["fired_s"] - details["scheduled_s"]
    return 1e3 * onset_s, 1e3 * (commanded_s - stop_s), 1e3 * (home_s - stop_s)


def killed(from_c: float) -> float:
    """Give the ms from the kill of an engine to the probe at baseline."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        command = [sys.executable, "-c", ENGINE, str(log), str(from_c)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
            assert engine.stdout is not None
            assert float(engine.stdout.readline()) >= from_c - CLOSE_C
            killed_s = time.monotonic()
            engine.kill()
        end_s = time.monotonic() + PATIENCE_S
        while "watchdog_ended" not in log.read_text("utf-8") and time.monotonic() < end_s:
            time.sleep(0.01)
        entries = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        ended = next(entry for entry in entries if entry["kind"] == "heat_ended")
        return 1e3 * (float(ended["time_s"]) - killed_s)


def running() -> Any:
    """Give a step of a guard that is on a plateau, 2 ms after the one before; it never gets too long."""
    clock = ManualClock()
    guard = Guard(SimulatedThermode(clock), Envelope(), clock, required=NOTHING)
    guard.connect()
    guard.place("arm")
    guard.fire(guard.arm(HeatProfile(38.0, 600.0), "arm"), 0.0)

    def step() -> None:
        clock.advance(0.002)
        guard.step()
        guard.readings()

    for _ in range(1000):
        step()
    return step
