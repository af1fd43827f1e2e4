"""LSL in: from ``push_sample`` in another process to a ``Chunk`` here, beside a bare pylsl loop.

Both receivers run in a process of their own and take turns on the same stream, so that a slow minute of the
machine meets both. The bare loop is ``pull_chunk(min_samples=1, as_numpy=True)`` and nothing else: no units, no
gaps, no clock. Latency is the median over all samples, from the sender's stamp; CPU is that of the process, with
liblsl's threads.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

STREAMS = ((8, 256.0), (64, 1000.0))
WARM_S = 2.0
LIMIT = 1.3


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give one row for each figure.

    Parameters
    ----------
    short : bool
        Measure for seconds instead of a minute: enough to see that it works, not to be proud of.
    """
    for n_channels, rate_hz in STREAMS:
        yield from _against_bare(n_channels, rate_hz, turns=2 if short else 4, turn_s=3.0 if short else 10.0)
    yield from _hour(*(STREAMS[0] if short else STREAMS[1]))


def _against_bare(n_channels: int, rate_hz: float, turns: int, turn_s: float) -> Iterator[dict[str, Any]]:
    name = f"bench-{uuid.uuid4().hex}"
    found: dict[str, list[dict[str, float]]] = {"bare": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        environment = _loopback(Path(folder))
        sender = _start(environment, "send", name, n_channels, rate_hz)
        try:
            for _ in range(turns):
                for kind, results in found.items():
                    receiver = _start(environment, "receive", kind, name, turn_s)
                    out, _ = receiver.communicate(timeout=60.0 + turn_s)
                    results.append(json.loads(out))
        finally:
            sender.terminate()
            sender.wait()
    what = f"{n_channels} ch, {rate_hz:g} Hz"
    for key, unit, title in (
        ("latency_ms", "ms", "push_sample to Chunk, median"),
        ("latency_p99_ms", "ms", "push_sample to Chunk, 99 %"),
        ("cpu_percent", "% of a core", "CPU of the receiver"),
    ):
        ours = float(np.median([each[key] for each in found["ours"]]))
        bare = float(np.median([each[key] for each in found["bare"]]))
        judged = key != "latency_p99_ms"
        yield {
            "name": f"{title}, {what}",
            "value": ours,
            "unit": unit,
            "target": f"≤ {LIMIT} × bare" if judged else None,
            "meets_target": ours <= LIMIT * bare if judged else None,
            "peer": f"bare pull_chunk: {bare:.3g} {unit}",
            "ratio": ours / bare,
            "detail": f"{turns} turns of {turn_s:g} s each, in turn",
        }


def _hour(n_channels: int, rate_hz: float) -> Iterator[dict[str, Any]]:
    """Pass an hour of stream time through the intake and see whether memory grows after the first ten minutes."""
    from neurofb.acquisition.chunking import ChunkBuilder, Line

    rng = np.random.default_rng(0)
    intake = ChunkBuilder(tuple(f"C{i}" for i in range(n_channels)), rate_hz, Line(packet_samples=8))
    chunk = 32
    values = rng.normal(0.0, 20.0, (chunk * 64, n_channels))
    n_chunks = int(3600 * rate_hz) // chunk
    after_ten = 0.0
    began_s = time.perf_counter()
    n_out = 0
    for i in range(n_chunks):
        first = i * chunk
        stamps_s = 1000.0 + np.arange(first, first + chunk) / rate_hz + rng.exponential(0.002)
        if i % 200 != 100:
            at = first % len(values)
            n_out += len(intake.push(values[at : at + chunk], stamps_s))
        intake.pop_events()
        if i == n_chunks // 6:
            after_ten = _resident_mb()
    grown_mb = _resident_mb() - after_ten
    speed = 3600.0 / (time.perf_counter() - began_s)
    yield {
        "name": f"memory grown from minute 10 to minute 60, {n_channels} ch, {rate_hz:g} Hz",
        "value": grown_mb,
        "unit": "MB",
        "target": "≤ 2",
        "meets_target": grown_mb <= 2.0,
        "peer": None,
        "ratio": None,
        "detail": f"{n_out} samples of stream time at {speed:.0f} x real time, 0.5 % of the chunks lost",
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _loopback(folder: Path) -> dict[str, str]:
    settings = folder / "lsl_api.cfg"
    settings.write_text(
        "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {uuid.uuid4().hex}\n[log]\nlevel = -2\n"
    )
    return {**os.environ, "LSLAPICFG": str(settings)}


def _start(environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _send(name: str, n_channels: int, rate_hz: float) -> None:
    """Push single samples at the rate, each stamped as it is pushed, until ended."""
    import pylsl

    info = pylsl.StreamInfo(name, "EEG", n_channels, rate_hz, "float32", name)
    channels = info.desc().append_child("channels")
    for i in range(n_channels):
        channel = channels.append_child("channel")
        channel.append_child_value("label", f"E{i + 1}")
        channel.append_child_value("unit", "microvolts")
    outlet = pylsl.StreamOutlet(info)
    samples = np.random.default_rng(0).normal(0, 20, (1000, n_channels)).astype(np.float32).tolist()
    due_s, i = pylsl.local_clock(), 0
    while True:
        due_s += 1.0 / rate_hz
        if (left_s := due_s - pylsl.local_clock()) > 0:
            time.sleep(left_s)
        outlet.push_sample(samples[i % 1000])
        i += 1


def _receive(kind: str, name: str, turn_s: float) -> None:
    import pylsl

    latencies: list[np.ndarray] = []
    begin_s = cpu_s = 0.0
    if kind == "ours":
        from neurofb.acquisition.live import LslSource
        from neurofb.lsl.matching import StreamQuery

        source = LslSource(StreamQuery(name=name))
        source.start()

        def pull() -> np.ndarray:
            return source.pull(1.0).chunk.received_s
    else:
        inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=20.0)[0])
        inlet.open_stream()

        def pull() -> np.ndarray:
            return inlet.pull_chunk(timeout=1.0, max_samples=1024, min_samples=1, as_numpy=True)[1]

    start_s = pylsl.local_clock()
    while (now_s := pylsl.local_clock()) < start_s + WARM_S + turn_s:
        stamps_s = pull()
        if now_s > start_s + WARM_S:
            if not begin_s:
                begin_s, cpu_s = now_s, _cpu_s()
            latencies.append(pylsl.local_clock() - stamps_s)
    used = (_cpu_s() - cpu_s) / (pylsl.local_clock() - begin_s)
    late_ms = 1e3 * np.concatenate(latencies)
    result = {
        "latency_ms": np.median(late_ms),
        "latency_p99_ms": np.percentile(late_ms, 99),
        "cpu_percent": 100 * used,
    }
    print(json.dumps({key: float(value) for key, value in result.items()}))
    if kind == "ours":
        source.stop()


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    what, *arguments = sys.argv[1:] or ["rows"]
    if what == "send":
        _send(arguments[0], int(arguments[1]), float(arguments[2]))
    elif what == "receive":
        _receive(arguments[0], arguments[1], float(arguments[2]))
    else:
        for row in rows(short="--short" in arguments):
            print(json.dumps(row))
