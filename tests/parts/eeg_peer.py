"""An LSL outlet in a process of its own, as a headset's program: ``python eeg_peer.py '{"name": …}'``.

In: one JSON object (see ``PLAN``). Out: four channels, the first of which holds the number of each sample, in steps of
0.01 µV; a line of JSON at the end: how many samples were sent, how many left out, and when the first was taken.
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

LABELS = ("Fz", "Cz", "Pz", "Oz")
PLAN: dict[str, Any] = {
    "name": "",
    "says_hz": 250.0,
    "sends_hz": 250.0,
    "packet": 10,
    #: ``clock`` (LSL's), ``ahead`` (30 s), ``unix``, ``ms`` or ``zero``.
    "stamps": "clock",
    #: Each packet whose number leaves this rest by 7 is lost; -1: none.
    "lost": -1,
    #: It ends after so many packets, if its input has not closed before; it begins when somebody listens.
    "packets": 10_000,
    #: µV of all channels but the first, around a level of their own; 0: each holds the number of its sample.
    "noise_uv": 0.0,
}


def main(plan: dict[str, Any]) -> None:
    """Send until the input closes or all is sent."""
    import numpy as np
    import pylsl

    info = pylsl.StreamInfo(plan["name"], "EEG", 4, plan["says_hz"], "float32", f"{plan['name']}-id")
    channels = info.desc().append_child("channels")
    for label in LABELS:
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", "microvolts")
        channel.append_child_value("type", "EEG")
    outlet = pylsl.StreamOutlet(info, chunk_size=plan["packet"])
    outlet.wait_for_consumers(60.0)
    n, random, sent, lost = plan["packet"], np.random.default_rng(1), 0, 0
    start_s = pylsl.local_clock()
    for packet in range(plan["packets"]):
        k = packet * n + np.arange(n)
        taken_s = start_s + k / plan["sends_hz"]
        time.sleep(max(0.0, taken_s[-1] - pylsl.local_clock()))
        if select.select([sys.stdin], [], [], 0.0)[0]:
            break
        if packet % 7 == plan["lost"]:
            lost += n
            continue
        made = {
            "clock": taken_s,
            "ahead": taken_s + 30.0,
            "unix": taken_s - start_s + 1.79e9,
            "ms": 1e3 * taken_s,
            "zero": 0.0 * taken_s + 1e-9,  # a stamp of 0 itself asks LSL to stamp
        }[plan["stamps"]]
        values = np.repeat(0.01 * k[:, None], 4, axis=1)
        if plan["noise_uv"]:
            values[:, 1:] = plan["noise_uv"] * random.standard_normal((n, 3)) + [20.0, 30.0, 40.0]
        outlet.push_chunk(values.astype(np.float32).tolist(), made.tolist())
        sent += n
    print(json.dumps({"sent": sent, "lost": lost, "start_s": start_s}), flush=True)
    select.select([sys.stdin], [], [], 60.0)  # what is sent must be fetched


@contextlib.contextmanager
def peer(**plan: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a peer; it ends when its input is closed, at the latest here."""
    words = [sys.executable, __file__, json.dumps(plan)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


if __name__ == "__main__":
    main(PLAN | json.loads(sys.argv[1]))
