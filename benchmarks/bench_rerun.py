"""Speed of a re-run, against the time the session took."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import row
from neurofb.clock import ManualClock
from neurofb.devices import load_profile
from neurofb.engine.assembly import assemble
from neurofb.engine.planning import Asked, plan_session
from neurofb.offline.comparison import compare
from neurofb.offline.rerun import compute, loop_of
from neurofb.protocol.bundled import protocol_text
from neurofb.recording.session_recording import open_session_recording

#: Eight channels, of a headset that the demonstration's features can be computed of.
DEVICE = "unicorn-hybrid-black"
ORDER = 'order = ["warm", "hot", "warm", "hot"]'


def session(data: Path, short: bool) -> Path:
    """Record the demonstration with so many trials that it lasts ten minutes, simulated; give its folder."""
    text = protocol_text("demo")[0]
    assert ORDER in text
    plan = data / "demo.toml"
    plan.write_text(
        text.replace(ORDER, "counts = { warm = 4, hot = 4 }" if short else "counts = { warm = 18, hot = 18 }")
    )
    asked = Asked(str(plan), DEVICE, "bench", data=data, seed=1, simulate=True)
    assembled = assemble(plan_session(asked), ManualClock(1000.0), publish=False)
    assembled.engine.run()
    return assembled.folder.path


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    n_channels = len(load_profile(DEVICE).labels)
    with tempfile.TemporaryDirectory() as data:
        recording = open_session_recording(session(Path(data), short))
        eeg_s = recording.n_samples / recording.rate_hz
        times = []
        for _ in range(3 if short else 7):
            start = time.process_time()
            computed = compute(recording, loop_of(recording))
            times.append(time.process_time() - start)
        verdict = compare(recording, computed)
        assert verdict.is_equal, verdict.difference
        yield row(
            f"re-run, theta and alpha, {n_channels} channels, {recording.rate_hz:g} Hz, {eeg_s:.0f} s: times real time",
            eeg_s / sorted(times)[len(times) // 2],
            "×",
            at_least=200,
            detail="reading, fitting, features, feedback; processor time, median of the rounds; equal to the last bit",
        )
        start = time.process_time()
        compare(recording, computed)
        yield row("comparing it with its record", 1000 * (time.process_time() - start), "ms")
