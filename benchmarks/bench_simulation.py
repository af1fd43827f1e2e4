"""Cost of the simulated head and headset: sent over LSL in real time, and made as fast as it can be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.rows import row

DEVICE, RATE_HZ, N_CHANNELS = "actichamp-64", 1000.0, 64

#: Sends in a process of its own and prints its CPU time, without that of starting.
SEND = """
import sys, time
from neurofb.lsl.inlet import LslClock
from neurofb.simulation.sender import Sender
from neurofb.commands.simulate import plan_of
sender = Sender(plan_of(sys.argv[1], rate=float(sys.argv[2]), name=sys.argv[3]), LslClock())
print("ready", flush=True)
sys.stdin.readline()
before_s = time.process_time()
done = sender.run(float(sys.argv[4]))
print(time.process_time() - before_s)
"""
#: The floor: the same samples and packets, made beforehand, in a bare pylsl loop.
BARE = """
import sys, time, numpy as np, pylsl
n_channels, rate_hz, name, last_s = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], float(sys.argv[4])
outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "EEG", n_channels, rate_hz, "float32", name))
packet = np.random.default_rng(0).normal(0, 20, (int(rate_hz / 50), n_channels)).astype(np.float32)
print("ready", flush=True)
sys.stdin.readline()
before_s, start_s, n = time.process_time(), pylsl.local_clock(), 0
while n < last_s * 50:
    n += 1
    time.sleep(max(0.0, start_s + n / 50 - pylsl.local_clock()))
    outlet.push_chunk(packet)
print(time.process_time() - before_s)
"""
#: Receives and throws away, so that the sender does send; in a process of its own, so that it costs it nothing.
LISTEN = """
import sys, pylsl
inlets = [pylsl.StreamInlet(pylsl.resolve_byprop("name", name, timeout=30)[0]) for name in sys.argv[1:]]
for inlet in inlets:
    inlet.open_stream(timeout=30)
print("ready", flush=True)
while True:
    for inlet in inlets:
        inlet.pull_chunk(timeout=0.05, max_samples=4096, min_samples=1, as_numpy=True)
"""


def environment(folder: str) -> dict[str, str]:
    """Keep LSL on this machine, on a loopback without multicast too."""
    settings = Path(folder) / "lsl_api.cfg"
    settings.write_text(
        "[ports]\nIPv6 = disable\n[multicast]\nResolveScope = machine\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {uuid.uuid4().hex}\n[log]\nlevel = -2\n",
        "utf-8",
    )
    return {**os.environ, "LSLAPICFG": str(settings)}


def start(code: str, *arguments: object, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a process and wait until it says that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env,
    )  # fmt: skip
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"a process of the benchmark ended with exit code {process.wait()}")
    return process


def cpu_percent(code: str, first: object, lasting_s: float, with_truth: bool) -> float:
    """Give how much of a core a sender takes while somebody listens to all that it sends."""
    name = f"neurofb-bench-{uuid.uuid4().hex}"
    with tempfile.TemporaryDirectory() as folder:
        env = environment(folder)
        sender = start(code, first, RATE_HZ, name, lasting_s, env=env)
        listener = start(LISTEN, name, *([f"{name}-truth"] if with_truth else []), env=env)
        try:
            out, _ = sender.communicate("go\n", timeout=lasting_s + 60)
        finally:
            listener.kill()
            listener.communicate()
            sender.kill()
    return 100 * float(out) / lasting_s


def made_per_second(lasting_s: float) -> float:
    """Give seconds of EEG per second, from head and headset in this process."""
    from neurofb.commands.simulate import plan_of
    from neurofb.simulation.sender import make_headset

    headset = make_headset(plan_of(DEVICE, rate=RATE_HZ))
    headset.advance_to(1.0)
    before_s = time.process_time()
    for step in range(int(lasting_s * 50)):
        headset.advance_to(1.0 + step / 50)
    return lasting_s / (time.process_time() - before_s)


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows of this benchmark."""
    lasting_s = 2.0 if short else 20.0
    bare = cpu_percent(BARE, N_CHANNELS, lasting_s, with_truth=False)
    whole = cpu_percent(SEND, DEVICE, lasting_s, with_truth=True)
    yield row(
        f"simulator sends {N_CHANNELS} ch at {RATE_HZ:g} Hz, with its truth stream",
        whole,
        "% of a core",
        at_most=15.0,
        peer="bare pylsl push_chunk of ready-made samples, no truth",
        peer_value=bare,
        detail=f"{lasting_s:g} s in real time, a process listening to each stream",
    )
    yield row(
        f"head and headset, {N_CHANNELS} ch at {RATE_HZ:g} Hz, on a manual clock",
        made_per_second(lasting_s),
        "× real time",
        detail="one core, packets of 20 samples, truth included",
    )


def main() -> None:
    """Print the rows, one a line, as JSON."""
    for each in rows("--short" in sys.argv):
        print(json.dumps(each))


if __name__ == "__main__":
    main()
