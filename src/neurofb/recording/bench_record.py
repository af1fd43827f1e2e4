"""Bench results of thermodes: one JSON document a line, in the user's data folder. Lines are only added.

In: what ``stimulation.bench`` found. Out: why a thermode may not heat a person. Kept: the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from neurofb import __version__
from neurofb.recording.user_files import user_file
from neurofb.stimulation.bench import Check, fingerprint
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.thermode_file import ThermodeFile

FILE = "thermode-bench.jsonl"
ENVIRONMENT = "NEUROFB_THERMODE_BENCH"


def bench_path() -> Path:
    """Return the file of bench results: that of the environment, or the one in the user's data folder."""
    return user_file(FILE, ENVIRONMENT)


@dataclass(frozen=True, slots=True)
class BenchResult:
    """What one bench found, and for which device."""

    date: str
    by: str
    name: str
    kind: str
    firmware: str
    serial: str
    #: Of what the file said of the device then.
    facts: str
    version: str
    passed: bool
    checks: Sequence[Check] = ()


def note_bench(
    file: ThermodeFile, abilities: Capabilities, checks: Sequence[Check], *, by: str, date: str
) -> BenchResult:
    """Write a result down and return it."""
    passed = bool(checks) and all(check.passed for check in checks)
    result = BenchResult(
        date,
        by,
        file.name,
        file.kind,
        abilities.firmware,
        abilities.serial,
        fingerprint(file),
        __version__,
        passed,
        checks,
    )
    path = bench_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
    return result


def read_benches() -> list[BenchResult]:
    """Return all results, the oldest first; a line that is damaged says nothing."""
    try:
        lines = bench_path().read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for line in lines:
        try:
            document = json.loads(line)
            document["checks"] = tuple(Check(**each) for each in document["checks"])
            found.append(BenchResult(**document))
        except (ValueError, TypeError, KeyError):
            continue
    return found


def bench_refusal(file: ThermodeFile, abilities: Capabilities) -> str:
    """Return why this device may not heat a person yet; "" if its newest bench result allows it."""
    firmware = f"firmware {abilities.firmware or 'unknown'}"
    how = f"neurofb bench FILE, on a dummy load, with {abilities.name} beside its power switch"
    mine = [
        each
        for each in read_benches()
        if (each.kind, each.firmware, each.serial) == (file.kind, abilities.firmware, abilities.serial)
    ]
    if not mine:
        return f"no bench result is recorded for this {abilities.name} with {firmware}: do {how}"
    newest = mine[-1]
    if newest.passed is not True:
        failed = ", ".join(each.name for each in newest.checks if not each.passed)
        return f"the bench of {newest.date} found this {abilities.name} unfit ({failed}): repair it, then do {how}"
    if newest.facts != fingerprint(file):
        return (
            f"{file.name} says other things of the device than at its bench of {newest.date}: do {how} again"
        )
    return ""
