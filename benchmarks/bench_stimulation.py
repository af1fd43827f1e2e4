"""How fast heat ends: a stop key, an engine that is killed; how exactly it begins; and what a guard's step costs.

All but the last go through the real watchdog process with its simulated thermode. Times are read on the system's
steady clock, which both processes share.
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
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile

PLATEAU = HeatProfile(45.0, 60.0, rise_c_per_s=60.0, return_c_per_s=40.0)
ENGINE = """
import sys, time
from pathlib import Path
from benchmarks.bench_stimulation import PLATEAU, SteadyClock, opened, until
heater = opened(Path(sys.argv[1]))
heater.schedule(PLATEAU, "arm", time.monotonic() + 0.05)
until(heater, "heat_plateau")
print("plateau", flush=True)
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
    stops_ms, homes_ms, onsets_ms = [], [], []
    n_stops = 5 if short else 40
    for number in range(n_stops):
        onset_ms, stop_ms, home_ms = stopped(client, f"place {number}")
        onsets_ms.append(onset_ms)
        stops_ms.append(stop_ms)
        homes_ms.append(home_ms)
    client.close()
    yield row(
        "stop key to commanded baseline, median",
        statistics.median(stops_ms),
        "ms",
        at_most=100.0,
        detail=f"{n_stops} stops on a plateau, through the watchdog process; the driver has been told by then",
    )
    yield row("stop key to commanded baseline, slowest", max(stops_ms), "ms", at_most=100.0)
    yield row(
        "stop key to probe at baseline, slowest",
        max(homes_ms),
        "ms",
        at_most=1500.0,
        detail=f"from {PLATEAU.target_c:g} °C to within 1 °C of {PLATEAU.baseline_c:g} °C, cooling by 40 °C/s",
    )
    yield row(
        "onset of a stimulus against its schedule, median",
        statistics.median(onsets_ms),
        "ms",
        at_most=5.0,
        detail=f"slowest of {n_stops}: {max(onsets_ms):.2f} ms",
    )
    kills_ms = [killed() for _ in range(2 if short else 10)]
    yield row(
        "kill -9 of the engine on a plateau to probe at baseline, slowest",
        max(kills_ms),
        "ms",
        at_most=1000.0,
        detail=f"{len(kills_ms)} engines, median {statistics.median(kills_ms):.0f} ms",
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
    client = WatchdogClient("simulated", Envelope(), SteadyClock(), log=log)
    client.connect()
    return client


def until(client: WatchdogClient, kind: str) -> Event:
    """Step like an engine until something happens; give it."""
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        client.beat()
        for event in client.pop_events():
            if event.kind == kind:
                return event
        time.sleep(0.002)
    raise RuntimeError(f"no {kind} within {PATIENCE_S:g} s")


def stopped(client: WatchdogClient, site: str) -> tuple[float, float, float]:
    """Give the ms from schedule to onset, and from a stop to commanded baseline and to the probe at baseline."""
    client.schedule(PLATEAU, site, time.monotonic() + 0.05)
    details = until(client, "heat_fired").details
    until(client, "heat_plateau")
    stop_s = time.monotonic()
    client.abort("stop key")
    commanded_s = until(client, "heat_aborted").time_s
    home_s = until(client, "heat_ended").time_s
    client.reset()
    onset_s = details["fired_s"] - details["scheduled_s"]
    return 1e3 * onset_s, 1e3 * (commanded_s - stop_s), 1e3 * (home_s - stop_s)


def killed() -> float:
    """Give the ms from the kill of an engine to the probe at baseline."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        command = [sys.executable, "-c", ENGINE, str(log)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
            assert engine.stdout is not None
            engine.stdout.readline()
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
    guard = Guard(SimulatedThermode(clock), Envelope(), clock)
    guard.connect()
    guard.fire(guard.arm(HeatProfile(38.0, 600.0), "arm"), 0.0)

    def step() -> None:
        clock.advance(0.002)
        guard.step()
        guard.readings()

    for _ in range(1000):
        step()
    return step
