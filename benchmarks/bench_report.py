"""How long the report of an hour of 8 channels takes, and what memory it needs."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import row

#: An hour with calibration, baselines, three feedback blocks, 44 stimuli and 57 questions; and one of minutes.
LONG, SHORT = "breath-heat", "demo"
EIGHT = "unicorn-hybrid-black"
#: In a process of its own, from its start on, as whoever waits for a report does.
REPORT = """
import json, resource, sys, time
began = time.perf_counter()
from neurofb.offline.report import write_report
path = write_report(sys.argv[1])
took_s, used_s = time.perf_counter() - began, time.process_time()
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([took_s, used_s, peak_mb, path.stat().st_size / 1e6]))
"""


def record(protocol: str, data: Path) -> tuple[Path, float]:
    """Record a simulated session as fast as it goes; give its folder and its length in s."""
    from neurofb.commands.run import Presentation, run_session
    from neurofb.engine.planning import Asked
    from neurofb.recording.session_recording import open_session_recording

    asked = Asked(protocol, EIGHT, "B01", data=data, seed=1, simulate=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run_session(asked, Presentation(headless=True, fast=True, as_json=True, export=False))
    folder = next(data.glob("sourcedata/neurofb/*_run-*"))
    recording = open_session_recording(folder)
    return folder, recording.n_samples / recording.rate_hz


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows."""
    with tempfile.TemporaryDirectory() as place:
        folder, lasted_s = record(SHORT if short else LONG, Path(place))
        done = subprocess.run(
            [sys.executable, "-c", REPORT, folder], capture_output=True, text=True, check=True
        )
        took_s, used_s, peak_mb, size_mb = json.loads(done.stdout)
        detail = (
            f"{lasted_s / 60:.0f} min × 8 ch, 250 Hz; {used_s:.1f} s of processor; a page of {size_mb:.1f} MB"
        )
        yield row("report of an hour, 8 ch", took_s, "s", at_most=20, detail=detail)
        yield row("report of an hour, 8 ch: memory at its highest", peak_mb, "MB", detail="imports included")
