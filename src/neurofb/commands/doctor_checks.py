"""Checks of `neurofb doctor` on this computer: Python, kernels, libraries, disk, clock, memory.

Each check gives findings: what was looked at, how it is, what was found, and the fix. A check that fails itself is a
finding, too (`looked`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from neurofb.clock import Clock

#: "missing": a session cannot run. "limited": it can, with less than it could have.
State = Literal["ok", "limited", "missing"]
LEAST_PYTHON = (3, 11)
FSYNCS, FSYNC_BYTES = 20, 64 * 1024
#: A recording is written twice a second; a disk this slow takes a tenth of that.
SLOW_FSYNC_MS = 50.0
#: Five hours of 64 channels at 1,000 Hz are about so much.
LEAST_DISK_GB = 5.0
LEAST_MEMORY_GB = 1.0
#: A sleep that wakes this late makes feedback late.
LATE_WAKE_MS = 5.0
REBUILD = "python -m pip install . (in a checkout: python setup.py build_ext --inplace)"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    state: State
    found: str
    #: The remedy; empty where none is needed.
    fix: str = ""


def run_check(check: str, find: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return the findings of a check; if it fails itself, that is one."""
    try:
        return list(find())
    except Exception as error:
        return [
            Finding(
                check, "limited", f"could not be looked at: {type(error).__name__}: {error}", "report this"
            )
        ]


def python_findings(version: Sequence[int] = tuple(sys.version_info[:3])) -> list[Finding]:
    """Check the interpreter's version."""
    found = f"{platform.python_implementation()} {'.'.join(map(str, version[:3]))} at {sys.executable}"
    if tuple(version[:2]) >= LEAST_PYTHON:
        return [Finding("Python", "ok", found)]
    least = ".".join(map(str, LEAST_PYTHON))
    return [
        Finding(
            "Python", "missing", found, f"install Python {least} or later and make a new environment with it"
        )
    ]


def kernel_findings() -> list[Finding]:
    """Check the compiled kernels: built, fast, not older than their source."""
    try:
        kernels = importlib.import_module("neurofb._kernels")
    except ImportError as error:
        return [
            Finding(
                "kernels", "missing", f"not built, or for another Python: {error}", f"build them: {REBUILD}"
            )
        ]
    built = Path(str(kernels.__file__))
    source = built.with_name("_kernels.pyx")
    if kernels.CHECKED:
        return [
            Finding(
                "kernels",
                "limited",
                f"{built.name} tests every index: for the test suite, too slow for a session",
                f"build them without NEUROFB_CHECKED: {REBUILD}",
            )
        ]
    if source.exists() and source.stat().st_mtime > built.stat().st_mtime:
        return [
            Finding("kernels", "limited", f"{built.name} is older than {source.name}", f"rebuild: {REBUILD}")
        ]
    return [Finding("kernels", "ok", f"{built.name}, unchecked, up to date")]


def library_findings() -> list[Finding]:
    """Load every library that neurofb needs, and compare its version with the least that is asked for."""
    try:
        asked = importlib.metadata.requires("neurofb") or []
    except importlib.metadata.PackageNotFoundError:
        return [Finding("libraries", "missing", "neurofb is not installed", "python -m pip install .")]
    needed = [line for line in asked if "extra ==" not in line]
    findings = [_library(*_parsed(line)) for line in needed]
    bad = [finding for finding in findings if finding.state != "ok"]
    return bad or [Finding("libraries", "ok", ", ".join(finding.found for finding in findings))]


def _parsed(requirement: str) -> tuple[str, str]:
    found = re.match(r"([A-Za-z0-9_.-]+)\s*(?:>=\s*([0-9.]+))?", requirement)
    assert found is not None
    return found[1], found[2] or "0"


def _library(name: str, least: str) -> Finding:
    install = f"python -m pip install '{name}>={least}'"
    check = f"library {name}"
    try:
        version = importlib.metadata.version(name)
        importlib.import_module(name.replace("-", "_"))
    except importlib.metadata.PackageNotFoundError:
        return Finding(check, "missing", "not installed", install)
    except Exception as error:  # a broken library raises whatever it likes
        text = f"{version} is installed but cannot be loaded: {type(error).__name__}: {error}"
        return Finding(check, "missing", text, install.replace("install", "install --force-reinstall"))
    if _numbers(version) < _numbers(least):
        return Finding(check, "missing", f"{version}; needed is {least} or later", install)
    return Finding(check, "ok", f"{name} {version}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def disk_findings(data: Path, monotonic_s: Callable[[], float] = time.perf_counter) -> list[Finding]:
    """Write where sessions would be recorded, and measure how long it takes until it is on the disk.

    Parameters
    ----------
    data : Path
        The dataset; where it does not exist yet, the nearest folder above it that does.
    monotonic_s : callable
        What the time is taken with, in s.
    """
    folder = next(each for each in (data.absolute(), *data.absolute().parents) if each.is_dir())
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            taken_ms = []
            for _ in range(FSYNCS):
                before_s = monotonic_s()
                file.write(bytes(FSYNC_BYTES))
                file.flush()
                os.fsync(file.fileno())
                taken_ms.append(1000 * (monotonic_s() - before_s))
    except OSError as error:
        return [
            Finding(
                "disk",
                "missing",
                f"nothing can be written in {folder}: {error.strerror}",
                "choose another folder with --data, or make this one writable",
            )
        ]
    return [_speed(folder, taken_ms), _space(folder)]


def _speed(folder: Path, taken_ms: list[float]) -> Finding:
    median, worst = statistics.median(taken_ms), max(taken_ms)
    found = f"{FSYNC_BYTES // 1024} kB are safe in {folder} after {median:.1f} ms (median), {worst:.1f} ms (worst)"
    if median <= SLOW_FSYNC_MS:
        return Finding("disk speed", "ok", found)
    fix = "a recording may fall behind: record on a local disk, not on a network folder or a memory stick"
    return Finding("disk speed", "limited", found, fix)


def _space(folder: Path) -> Finding:
    free_gb = shutil.disk_usage(folder).free / 1e9
    found = f"{free_gb:.1f} GB free in {folder}"
    if free_gb >= LEAST_DISK_GB:
        return Finding("disk space", "ok", found)
    return Finding("disk space", "limited", found, f"make room: at least {LEAST_DISK_GB:g} GB")


def clock_findings(clock: Clock, other_s: Callable[[], float] = time.monotonic) -> list[Finding]:
    """Compare the session's clock with another, and measure how late it wakes after a millisecond.

    ``other_s`` returns the time of another steady clock, in s.
    """
    first_s, other_first_s = clock.now_s(), other_s()
    backwards, late_ms, last_s = 0, [], first_s
    for _ in range(100):
        due_s = clock.now_s() + 0.001
        clock.wait_until(due_s)
        now_s = clock.now_s()
        late_ms.append(1000 * (now_s - due_s))
        backwards += now_s < last_s
        last_s = now_s
    apart_ms = 1000 * abs((clock.now_s() - first_s) - (other_s() - other_first_s))
    return [_steadiness(backwards, apart_ms), _waking(late_ms)]


def _steadiness(backwards: int, apart_ms: float) -> Finding:
    found = f"LSL's clock ran backwards {backwards} times in 100; {apart_ms:.2f} ms apart from the system's"
    if not backwards and apart_ms < 5.0:
        return Finding("clock", "ok", found)
    fix = "time stamps would be wrong: in a virtual machine choose another clock source; else restart the computer"
    return Finding("clock", "missing", found, fix)


def _waking(late_ms: list[float]) -> Finding:
    median, worst = statistics.median(late_ms), max(late_ms)
    found = f"a wait of 1 ms ends {median:.2f} ms late (median), {worst:.2f} ms (worst of 100)"
    if median <= LATE_WAKE_MS:
        return Finding("timer", "ok", found)
    return Finding("timer", "limited", found, "close other programs; on a laptop leave power saving")


def memory_findings(meminfo: Path = Path("/proc/meminfo")) -> list[Finding]:
    """Check the free memory."""
    cores = os.cpu_count() or 1
    free_gb = _free_gb(meminfo)
    if free_gb is None:
        return [Finding("memory", "ok", f"not told by this system; {cores} cores")]
    found = f"{free_gb:.1f} GB free, {cores} cores"
    if free_gb >= LEAST_MEMORY_GB:
        return [Finding("memory", "ok", found)]
    return [
        Finding("memory", "limited", found, f"close other programs: {LEAST_MEMORY_GB:g} GB should be free")
    ]


def _free_gb(meminfo: Path) -> float | None:
    if not meminfo.exists():
        return None
    found = re.search(r"^MemAvailable:\s+(\d+) kB", meminfo.read_text("utf-8"), re.MULTILINE)
    return int(found[1]) * 1024 / 1e9 if found else None
