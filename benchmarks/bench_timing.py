"""How exactly a session keeps its schedule while the computer is busy: onsets in the record against when they were due.

A whole simulated session on the real clock, in a process of its own with watchdog, recorder and LSL outlets, beside two
loops that take all the processor they get. Read from its record when it is over.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import row
from neurofb.messages import EVENTS
from neurofb.xdf.file import read_xdf_file

N_BUSY = 2
HEAD = """
neurofb = ">=0.1"
[study]
id = "timing"
title = "Onsets under load"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
[feedback]
feature = "frontal_midline_theta"
[baseline]
least_s = 4.0
longest_s = 30.0
[heat]
sites = ["left forearm", "right forearm"]
rotation = "by trial"
rise_c_per_s = 30.0
return_c_per_s = 30.0
[heat.levels.warm]
celsius = 38.0
plateau_s = 0.5
[[scales]]
name = "intensity"
kind = "vas"
asks = "intensity"
question = "How strong was it?"
low = "not at all"
high = "as strong as I can imagine"
answer_s = 1.0
[[phases]]
name = "rest"
kind = "rest_baseline"
duration_s = 8.0
[[phases]]
name = "training"
kind = "training"
feedback = "rest"
[phases.trials]
counts = { warm = TRIALS }
lead_s = 1.0
cue_s = 0.5
anticipation_s = 1.0
relief_s = 2.0
ratings = ["intensity"]
"""
PHASE = """
[[phases]]
name = "look_NUMBER"
kind = "instruction"
text = "Look."
duration_s = 0.5
"""


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    n_trials, n_phases = (2, 5) if short else (12, 30)
    protocol = HEAD.replace("TRIALS", str(n_trials))
    protocol += "".join(PHASE.replace("NUMBER", str(number)) for number in range(n_phases))
    with tempfile.TemporaryDirectory() as folder, busy():
        events = recorded(Path(folder), protocol)
    late = {
        "phases": [each for each in events if each["kind"] == "phase"],
        "steps of trials": [each for each in events if each["kind"] == "step"],
    }
    errors_ms = {
        name: [1e3 * (each["time_s"] - each["details"]["due_s"]) for each in found]
        for name, found in late.items()
    }
    errors_ms["heat stimuli"] = [
        1e3 * (each["details"]["fired_s"] - each["details"]["scheduled_s"])
        for each in events
        if each["kind"] == "heat_fired"
    ]
    if len(errors_ms["heat stimuli"]) != n_trials:
        raise RuntimeError(f"{n_trials} stimuli were planned, {len(errors_ms['heat stimuli'])} given")
    for name, each_ms in errors_ms.items():
        yield row(
            f"onset of {name} against schedule under load, median",
            statistics.median(map(abs, each_ms)),
            "ms",
            at_most=5.0,
            detail=f"{len(each_ms)} onsets beside {N_BUSY} busy loops on {os.cpu_count()} cores; "
            f"latest {max(each_ms):.2f} ms, earliest {min(each_ms):.2f} ms",
        )


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Keep the processor busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(N_BUSY)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def recorded(folder: Path, protocol: str) -> list[dict[str, Any]]:
    """Run a session of a protocol; give its events as they were recorded."""
    file = folder / "timing.toml"
    file.write_text(protocol, "utf-8")
    words = [
        str(file),
        "--participant",
        "P01",
        "--simulate",
        "--headless",
        "--json",
        "--no-export",
        "--seed",
        "1",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "neurofb", "run", *words, "--data", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"the session ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    recording = Path(json.loads(ended.stdout.splitlines()[-1])["folder"]) / "recording.xdf"
    return [json.loads(text) for (text,) in read_xdf_file(recording).stream(EVENTS).texts()]
