"""Recorded sessions for tests of what comes afterwards: made once, on a manual clock, everything simulated."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from neurofb.commands.run import Presentation, run_session
from neurofb.engine.planning import Asked
from neurofb.offline.report import Report, report_of

HEAD = """
neurofb = ">=0.1"

[study]
id = "small"
title = "A small <study> & its session"
status = "adapted"

[[features]]
preset = "posterior_alpha"

[baseline]
least_s = 5.0
longest_s = 40.0
"""
REST_ONLY = f"""{HEAD}
[[phases]]
name = "rest"
kind = "rest_baseline"
duration_s = 12.0
"""
#: Two arms that get the same under other names: nothing in a report may tell them apart.
BLOCKS = f"""{HEAD}
[feedback]
feature = "posterior_alpha"
direction = "up"

[[scales]]
name = "effort"
kind = "vas"
question = "How hard did you try?"
low = "not at all"
high = "as hard as I can"
answer_s = 3.0

[[scales]]
name = "strategy"
kind = "text"
question = "What did you do?"
answer_s = 3.0

[[phases]]
name = "rest_before"
kind = "rest_baseline"
duration_s = 14.0

[[phases]]
name = "practice"
kind = "training"
feedback = "rest"
text = "Stay with the breath."
duration_s = 12.0
ratings = ["effort", "strategy"]

[[phases]]
name = "rest_after"
kind = "rest_baseline"
collects = "none"
duration_s = 14.0

[[sessions]]
id = "1"
phases = ["rest_before", "practice", "practice", "practice", "rest_after"]

[[arms]]
id = "verum_of_the_trial"
label = "A"

[[arms]]
id = "placebo_of_the_trial"
label = "B"
"""


@functools.cache
def place() -> Path:
    """A folder that lasts as long as the tests."""
    path = Path(tempfile.mkdtemp(prefix="neurofb-report-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def recorded(protocol: str, name: str, arm: str | None = None) -> Path:
    """The folder of a session that is run now."""
    asked = Asked(protocol, "simulated", "T01", arm=arm, data=place() / name, seed=3, simulate=True)
    run_session(asked, Presentation(headless=True, fast=True, as_json=True, export=False))
    return next((place() / name).glob("sourcedata/neurofb/*_run-*"))


@functools.cache
def demo() -> Path:
    """The folder of a demonstration: rest, then training with heat and ratings."""
    return recorded("demo", "demo")


@functools.cache
def session(protocol: str, arm: str | None = None) -> Path:
    """The folder of a session of a protocol that is given as text."""
    n = len(list(place().iterdir()))
    file = place() / f"protocol{n}.toml"
    file.write_text(protocol)
    return recorded(str(file), f"data{n}", arm)


@functools.cache
def report(folder: Path) -> Report:
    """The report of a session."""
    return report_of(folder)


def cut(folder: Path, n_bytes: int, to: Path) -> Path:
    """A copy of a session that broke off after so many bytes of its recording, with nothing written at its end."""
    to.mkdir()
    for name in ("session.json", "protocol.toml"):
        shutil.copy(folder / name, to / name)
    (to / "recording.xdf").write_bytes((folder / "recording.xdf").read_bytes()[:n_bytes])
    return to
