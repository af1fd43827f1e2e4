"""``neurofb bench``: the bench procedure of a thermode on a dummy load."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

import click

from neurofb.commands.options import AS_JSON
from neurofb.commands.tables import show_table
from neurofb.errors import WrongInput

HEADER = ("tried", "passed", "found")
WARNING = (
    "The probe lies on a dummy load, as a bag of water or a metal block, and touches nobody. You stand beside the "
    "power switch. The probe gets as hot as 44 °C, for two minutes in all."
)


@click.command("bench")
@click.argument("thermode")
@click.option("--by", required=True, help="Who stands there, for the record.")
@click.option("--on-a-dummy", is_flag=True, help="Yes, the probe lies on a dummy load, and touches nobody.")
@AS_JSON
def command(thermode: str, by: str, on_a_dummy: bool, as_json: bool) -> None:
    """Try a thermode on a dummy load, and record the result: without it `neurofb run` refuses the device.

    THERMODE is the name of a bundled one, such as tcs-ii, or the path of a file of your own.
    """
    from neurofb.recording.bench_record import note_bench
    from neurofb.stimulation.bench import ThermodeBench
    from neurofb.stimulation.driver import Capabilities
    from neurofb.stimulation.registry import find_thermode, make_driver
    from neurofb.stimulation.watchdog import EngineClock

    file = find_thermode(thermode)
    if file is None:
        raise WrongInput("the simulated thermode needs no bench; give the file of a real one")
    click.echo(WARNING, err=True)
    if not (on_a_dummy or click.confirm("Is that so?", err=True)):
        raise WrongInput("the bench needs a dummy load; nothing was started")
    clock = EngineClock(0.0)
    bench = ThermodeBench(
        make_driver(file.kind, clock, file=file), file, clock, lambda text: click.confirm(text, err=True)
    )
    checks = bench.run()
    abilities = bench.abilities or Capabilities(file.title, 0.0, 0.0, 0.0, 0.0, 0.0)
    result = note_bench(file, abilities, checks, by=by, date=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2, ensure_ascii=False))
    else:
        show_table(
            f"Bench of {file.title}", HEADER, [(c.name, "yes" if c.passed else "NO", c.found) for c in checks]
        )
        click.echo(
            "Passed and recorded." if result.passed else "NOT passed: this device must not heat a person."
        )
    if not result.passed:
        sys.exit(4)
