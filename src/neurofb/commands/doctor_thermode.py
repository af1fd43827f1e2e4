"""The checks of ``neurofb doctor --thermode``: talk to a thermode, without heat, and say what it is."""

from __future__ import annotations

from neurofb.clock import Clock
from neurofb.commands.doctor_checks import Finding
from neurofb.errors import NeurofbError
from neurofb.recording.bench_record import bench_refusal
from neurofb.stimulation.registry import find_thermode, make_driver
from neurofb.stimulation.thermode_file import ThermodeFile

#: What a device may command that is only asked questions, °C: a baseline of neurofb's.
COOL_C = 32.0


def thermode_findings(name_or_path: str, clock: Clock | None = None) -> list[Finding]:
    """Return what a thermode says of itself; it stays at 32 °C."""
    try:
        file = find_thermode(name_or_path)
    except NeurofbError as error:
        return [Finding("thermode", "missing", str(error), "correct the name or the file")]
    if file is None:
        return [Finding("thermode", "ok", "the simulated one: nobody is heated")]
    if clock is None:
        from neurofb.stimulation.watchdog import EngineClock

        clock = EngineClock(0.0)
    try:
        return _asked(file, clock)
    except NeurofbError as error:
        return [Finding("thermode", "missing", str(error), f"see that the {file.title} is on and connected")]


def _asked(file: ThermodeFile, clock: Clock) -> list[Finding]:
    driver = make_driver(file.kind, clock, file=file)
    driver.connect(COOL_C)
    try:
        abilities, wrong = driver.capabilities(), driver.self_test()
        reads_c = driver.read().measured_c
    finally:
        driver.close()
    firmware, probe = abilities.firmware or "not told", abilities.serial or "not told"
    found = [
        Finding("thermode", "ok", f"{abilities.name} at {file.where}, firmware {firmware}, probe {probe}"),
        Finding("thermode's readings", "ok", f"{reads_c:.1f} °C"),
    ]
    found += [Finding("thermode's self-test", "missing", each, "see the maker's manual") for each in wrong]
    found += [
        Finding("thermode's cables", "limited", each, "do it before each session")
        for each in abilities.warnings
    ]
    found.append(
        Finding("without the computer", "limited", file.outlives(), "know where its power switch is")
    )
    if refusal := bench_refusal(file, abilities):
        found.append(Finding("thermode's bench", "missing", refusal, "docs: bench a thermode"))
    return found
