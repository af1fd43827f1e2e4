"""What tests of the offline part share: a short protocol, and whole sessions of it on a manual clock."""

import functools
import tempfile
from pathlib import Path

from session_parts import command, run

PROTOCOL = """
neurofb = ">=0.1"

[study]
id = "short-heat"
title = "A short session for tests"
status = "adapted"
arms_note = ""

[[features]]
preset = "frontal_midline_theta"

[feedback]
feature = "frontal_midline_theta"
direction = "up"
mode = "continuous"

[baseline]
least_s = 7.0
longest_s = 60.0

[heat]
sites = ["left forearm"]
rotation = "fixed"
baseline_c = 32.0
rise_c_per_s = 8.0
return_c_per_s = 8.0
cap_c = 47.0

[heat.levels.hot]
celsius = 46.0
plateau_s = 2.0

[[scales]]
name = "intensity"
kind = "vas"
asks = "intensity"
question = "How strong was it?"
low = "not at all"
high = "as strong as I can imagine"
answer_s = 3.0

[[phases]]
name = "rest"
kind = "rest_baseline"
eyes = "open"
duration_s = 16.0

[[phases]]
name = "training"
kind = "training"
feedback = "rest"
eyes = "open"

[phases.trials]
order = ["hot"]
lead_s = 4.0
cue_s = 1.0
anticipation_s = 1.0
relief_s = 5.0
ratings = ["intensity"]

[sources]
heat = "assumed: for tests"
scales = "assumed: for tests"
phases = "assumed: for tests"
""".replace('arms_note = ""\n', "")


def protocol(folder, text=PROTOCOL, name="short-heat.toml"):
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


def session(folder, acts=(), text=PROTOCOL, **asked):
    """Run a session; give what came of it."""
    return run(folder, acts, protocol=protocol(folder, text), **asked)


_FOLDER = tempfile.TemporaryDirectory(prefix="neurofb-offline-")


@functools.cache
def eventful():
    """The folder of a session in which much went wrong; tests that change something copy it first."""
    data = Path(_FOLDER.name)
    faults = ("loss@20+0.1", "disconnect@30+2", "off@22+6:P3", "blink@27")
    ran = session(data, [(5.0, command("mark", text="a door"))], headset_faults=faults)
    assert ran.outcome.kind == "finished", ran.outcome.message
    return ran.folder
