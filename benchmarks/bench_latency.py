"""From a sample pushed in one process to the feedback received in a third, a session with its recorder in between.

Beside it, in the same run and in turn, a bare LSL relay: a process that pulls and pushes what it pulled, nothing else.
The sender stamps each sample as it pushes it; the receiver notes its clock as each arrives. Which sample a feedback is
of stands in the record, so that the session's own ``age_s`` can be held against the outside measurement as well.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_lsl import _loopback
from benchmarks.rows import row
from neurofb.dsp.hop_size import HopSize

STREAMS = ((8, 256.0), (64, 1000.0))
SMALL = ("Fp1", "Fp2", "Fz", "C3", "C4", "Pz", "O1", "O2")
BASELINE_S = 10.0
RELAY, EEG = "bench-relay", "bench-eeg"

PROTOCOL = """
neurofb = ">=0.1"
[study]
id = "latency"
title = "Latency"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
[feedback]
feature = "frontal_midline_theta"
[baseline]
least_s = 4.0
least_share = 0.05
longest_s = 60.0
[[phases]]
name = "rest"
kind = "rest_baseline"
duration_s = {baseline_s}
[[phases]]
name = "training"
kind = "training"
feedback = "rest"
duration_s = {training_s}
"""


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give one row for each figure."""
    turn_s = 8.0 if short else 30.0
    for n_channels, rate_hz in STREAMS:
        yield from _beside_a_relay(n_channels, rate_hz, turn_s)
    yield from _with_screens(*STREAMS[0], turn_s)


def _with_screens(n_channels: int, rate_hz: float, turn_s: float) -> Iterator[dict[str, Any]]:
    """Give what both screens, drawn by software on the same two cores, cost the feedback."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _loopback(folder) | {"QT_QPA_PLATFORM": "offscreen"}
        profile = _profile(folder, n_channels, rate_hz)
        sender = _start(environment, "send", profile, rate_hz)
        try:
            alone_s, *_ = _session(environment, folder, profile, turn_s)
            beside_s, *_ = _session(environment, folder, profile, turn_s, screens=True)
        finally:
            sender.terminate()
            sender.wait()
    p99_ms = [1e3 * float(np.percentile(late_s, 99)) for late_s in (alone_s, beside_s)]
    yield row(
        f"feedback with both screens open, {n_channels} ch, {rate_hz:g} Hz, 99 % over that without",
        p99_ms[1] - p99_ms[0],
        "ms",
        at_most=2.0,
        peer="without screens, 99 %",
        peer_value=p99_ms[0],
        detail=f"medians {1e3 * np.median(alone_s):.3g} and {1e3 * np.median(beside_s):.3g} ms; {turn_s:g} s each",
    )


def _beside_a_relay(n_channels: int, rate_hz: float, turn_s: float) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = _loopback(folder)
        profile = _profile(folder, n_channels, rate_hz)
        sender = _start(environment, "send", profile, rate_hz)
        try:
            before = _relay(environment, turn_s)
            late_s, ages_s, loaded = _session(environment, folder, profile, turn_s)
            after = _relay(environment, turn_s)
            seldom = _relay(environment, turn_s, every=HopSize.at(rate_hz).hop)
        finally:
            sender.terminate()
            sender.wait()
    bare_ms, ours_ms = 1e3 * np.concatenate([before, after]), 1e3 * late_s
    what = f"{n_channels} ch, {rate_hz:g} Hz"
    medians = np.median(ours_ms), np.median(bare_ms)
    tails = np.percentile(ours_ms, 99), np.percentile(bare_ms, 99)
    detail = (
        f"{len(ours_ms)} feedback samples, recorder on; relay before and after, {turn_s:g} s each; {loaded}"
    )
    yield row(
        f"sample pushed to feedback received, {what}, median",
        float(medians[0]),
        "ms",
        at_most=1.5,
        peer="bare LSL relay",
        peer_value=float(medians[1]),
        ratio=float(medians[0] / medians[1]),
        detail=detail,
    )
    yield row(
        f"relay that passes on one sample a hop and computes nothing, {what}, median",
        1e3 * float(np.median(seldom)),
        "ms",
        peer="bare LSL relay",
        peer_value=float(medians[1]),
        ratio=1e3 * float(np.median(seldom)) / float(medians[1]),
        detail="what comes seldom meets threads that sleep: the receiver's and LSL's own, in every program",
    )
    yield row(
        f"sample pushed to feedback received, {what}, 99 % over the relay's",
        float(tails[0] - tails[1]),
        "ms",
        at_most=2.0,
        peer="bare LSL relay, 99 %",
        peer_value=float(tails[1]),
        detail=f"99 % of feedback within {tails[0]:.3g} ms; {detail}",
    )
    yield row(
        f"age_s against the outside measurement, {what}, median difference",
        float(1e3 * abs(np.median(ages_s))),
        "ms",
        at_most=1.0,
        detail="age as recorded, less output time minus the sender's own stamp of that sample",
    )


def _profile(folder: Path, n_channels: int, rate_hz: float) -> Path:
    """Write the profile of a headset of that size."""
    from neurofb.devices import load_profile

    big = load_profile("actichamp-64" if n_channels == 64 else "simulated")
    labels = big.labels if n_channels == 64 else SMALL
    regions = {name: [each for each in channels if each in labels] for name, channels in big.regions.items()}
    lines = [
        'name = "bench"', 'title = "Benchmark"', 'manufacturer = "none"', f"labels = {json.dumps(list(labels))}",
        'montage = "fixed"', f"rate_hz = {rate_hz}", 'unit = "microvolts"', "dc_level_uv = 0.0", 'reference = "none"',
        'ground = "none"', "[regions]", *(f"{name} = {json.dumps(each)}" for name, each in regions.items() if each),
        "[quality]", "flat_uv = 0.1", "noisy_uv = 500.0", "max_dc_uv = 10000.0", "line_uv = 100.0",
        'source = "assumed"', "[sources]",
        *(f'{fact} = "assumed"' for fact in ("labels", "rate_hz", "unit", "dc_level_uv", "reference", "ground")),
    ]  # fmt: skip
    path = folder / "bench.toml"
    path.write_text("\n".join(lines), "utf-8")
    return path


def _start(environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.bench_latency", *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _relay(environment: dict[str, str], turn_s: float, every: int = 1) -> np.ndarray:
    relay = _start(environment, "relay", every)
    receiver = _start(environment, "receive", RELAY, turn_s)
    out, _ = receiver.communicate(timeout=120 + turn_s)
    relay.terminate()
    relay.wait()
    found = json.loads(out)
    return np.array(found["came_s"]) - np.array(found["stamp_s"])


def _session(
    environment: dict[str, str], folder: Path, profile: Path, turn_s: float, *, screens: bool = False
) -> tuple[np.ndarray, np.ndarray, str]:
    """Give the latency of each feedback, and how far its age is from what was measured outside."""
    from neurofb.recording.session_recording import open_session_recording

    protocol = folder / "latency.toml"
    protocol.write_text(PROTOCOL.format(baseline_s=BASELINE_S, training_s=turn_s + 4.0), "utf-8")
    words = [
        str(protocol),
        "--device",
        str(profile),
        "--participant",
        "B1",
        "--stream",
        EEG,
        "--headless",
        "--json",
    ]
    words += ["--data", str(folder / "data"), "--seed", "1"]
    words += ["--again", "--skin-account", str(folder / "skin-account.jsonl")]  # nobody's skin
    engine = subprocess.Popen(
        [sys.executable, "-m", "neurofb", "run", *words],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    receiver = _start(environment, "receive", "neurofb-feedback", turn_s)
    windows = []
    if screens:
        time.sleep(5.0)  # the session must be there to be shown
        command = [sys.executable, "-m", "neurofb", "screen"]
        windows = [
            subprocess.Popen([*command, kind], env=environment) for kind in ("participant", "operator")
        ]
    heard = json.loads(receiver.communicate(timeout=240 + turn_s)[0])
    cpu_s = _cpu_s(engine.pid)
    is_shown = all(window.poll() is None for window in windows)
    for window in windows:
        window.terminate()
        window.wait()
    if not is_shown:
        raise RuntimeError("a screen did not stay open: what was measured is a session without it")
    out, _ = engine.communicate(timeout=240 + turn_s)
    recording = open_session_recording(Path(json.loads(out.splitlines()[-1])["folder"]))
    feedback = recording.feedback
    index_of = dict(zip(feedback["time_s"].tolist(), range(len(feedback["time_s"])), strict=True))
    rows = [(index_of[stamp], came) for stamp, came in zip(heard["stamp_s"], heard["came_s"], strict=True)]
    at = np.array([i for i, _ in rows])
    samples = feedback["index"][at].astype(int)
    pushed = recording.received_s(0, recording.n_samples)[samples]
    came = np.array([came for _, came in rows])
    outside_age_s = feedback["time_s"][at] - pushed
    share = f"engine {100 * cpu_s / (BASELINE_S + turn_s + 4.0):.0f} % of a core"
    return came - pushed, feedback["age_s"][at] - outside_age_s, share


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# -- the other processes -------------------------------------------------------------------------------------------


def _send(profile_path: str, rate_hz: float) -> None:
    """Push single samples of simulated EEG at the rate, each stamped as it is pushed, until ended."""
    import pylsl

    from neurofb.devices import load_profile
    from neurofb.simulation.artifacts import NO_ARTIFACTS
    from neurofb.simulation.head import Head, HeadSettings

    profile = load_profile(Path(profile_path))
    head = Head(profile.labels, rate_hz, HeadSettings(seed=1, artifacts=NO_ARTIFACTS), labels=profile.labels)
    samples = head.generate(int(20 * rate_hz)).samples.astype(np.float32).tolist()
    info = pylsl.StreamInfo(EEG, "EEG", len(profile.labels), rate_hz, "float32", EEG)
    channels = info.desc().append_child("channels")
    for label in profile.labels:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", "microvolts")
    outlet = pylsl.StreamOutlet(info)
    due_s, i = pylsl.local_clock(), 0
    while True:
        due_s += 1.0 / rate_hz
        if (left_s := due_s - pylsl.local_clock()) > 0:
            time.sleep(left_s)
        outlet.push_sample(samples[i % len(samples)])
        i += 1


def _pass_on(every: int) -> None:
    """The bare relay: what is pulled is pushed, with its stamp; or one of so many."""
    import pylsl

    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", EEG, timeout=30.0)[0])
    inlet.open_stream()
    n = inlet.info().channel_count()
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(RELAY, "EEG", n, 0.0, "float32", RELAY))
    n_pulled = 0
    while True:
        values, stamps = inlet.pull_chunk(timeout=1.0, max_samples=1024, min_samples=1, as_numpy=True)
        for value, stamp in zip(values, stamps.tolist(), strict=True):
            n_pulled += 1
            if n_pulled % every == 0:
                outlet.push_sample(value, stamp)


def _receive(name: str, turn_s: float) -> None:
    """Note stamp and arrival of each sample; of feedback only what was earned, once it is earned steadily."""
    import pylsl

    inlet = pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=120.0)[0], recover=False)
    inlet.open_stream()
    stamps, came = [], []
    start_s = None
    while start_s is None or came[-1] < start_s + turn_s:
        sample, stamp = inlet.pull_sample(timeout=120.0)
        now_s = pylsl.local_clock()
        if start_s is None:
            if name != RELAY and not sample[2]:
                continue
            start_s = now_s
        stamps.append(stamp)
        came.append(now_s)
    print(json.dumps({"stamp_s": stamps[50:], "came_s": came[50:]}))


if __name__ == "__main__":
    what, *arguments = sys.argv[1:] or ["rows"]
    if what == "send":
        _send(arguments[0], float(arguments[1]))
    elif what == "relay":
        _pass_on(int(arguments[0]))
    elif what == "receive":
        _receive(arguments[0], float(arguments[1]))
    else:
        for each in rows(short="--short" in arguments):
            print(json.dumps(each))
