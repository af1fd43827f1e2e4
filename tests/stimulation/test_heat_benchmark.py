"""What the benchmark of heat calls a temperature is one that was measured."""

from __future__ import annotations

import pytest
from benchmarks.bench_stimulation import CLOSE_C, FROM_C, plateau, until_hot
from benchmarks.table import table

from neurofb.clock import ManualClock
from neurofb.stimulation.client import LocalClient
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard


@pytest.mark.parametrize("from_c", FROM_C)
def test_stop_begins_at_the_measured_temperature(from_c: float, monkeypatch) -> None:
    """At the commanded plateau the probe is degrees cooler, which would shorten its way back."""
    clock = ManualClock()
    client = LocalClient(Guard(SimulatedThermode(clock), Envelope(), clock, required=NOTHING), clock)
    client.connect()
    monkeypatch.setattr("time.sleep", lambda _: clock.advance(0.002))
    client.place("arm", "operator")
    client.schedule(plateau(from_c), "arm", 0.05)
    while not any(event.kind == "heat_plateau" for event in client.pop_events()):
        clock.advance(0.002)
        client.beat()
    at_command_c = client.readings()[-1].measured_c
    assert at_command_c < from_c - 1.0
    assert until_hot(client, from_c) >= from_c - CLOSE_C


def test_table_names_the_machine_of_each_row_and_marks_a_shared_one() -> None:
    common = {"unit": "ms", "peer": None, "ratio": None, "target": "", "meets_target": None}
    here = {"processor": "A", "cores": 2, "system": "x"}
    rows = [
        {
            **common,
            "name": "re-run, x",
            "value": 1.0,
            "benchmark": "rerun",
            "date": "2026-01-01",
            "load": 0.1,
        },
        {
            **common,
            "name": "onset of y",
            "value": 2.0,
            "benchmark": "timing",
            "date": "2026-01-02",
            "load": 3.0,
        },
    ]
    rows[0]["machine"] = {"processor": "B", "cores": 4, "system": "y"}
    shown = table({**here, "python": "3.11", "rows": rows})
    assert "on 4 cores of B (2026-01-01: rerun) and on 2 cores of A (2026-01-02: timing)" in shown
    assert "| re-run, x |" in shown
    assert "| onset of y\\* |" in shown
