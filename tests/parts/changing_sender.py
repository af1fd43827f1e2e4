"""A headset's program in a process of its own: ``python changing_sender.py NAME``.

Each channel rests on a level of its own, by which it is known wherever it stands. Lines on standard input are JSON:
``{"labels": [...], "unit": "volts", "rate_hz": 250}`` closes the outlet and opens one so described;
``{"bad": ["Cz", "inf"]}`` replaces the next value of a channel. The end of the input ends it.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
import pylsl

LEVELS_UV = {"Fz": 40.0, "Cz": -30.0, "Pz": 75.0, "Oz": -90.0}
#: How far a value may lie from its level, in µV.
SWING_UV = 9.0
#: A whole number of samples at each rate that is asked for.
BURST_S = 0.04
_SCALES = {"microvolts": 1.0, "volts": 1e-6}


def make_outlet(name: str, labels: Sequence[str], unit: str, rate_hz: float) -> pylsl.StreamOutlet:
    """Open an outlet that describes its channels."""
    info = pylsl.StreamInfo(name, "EEG", len(labels), rate_hz, "float32", f"headset of {name}")
    channels = info.desc().append_child("channels")
    for label in labels:
        channel = channels.append_child("channel")
        for key, text in (("label", label), ("unit", unit), ("type", "EEG")):
            channel.append_child_value(key, text)
    return pylsl.StreamOutlet(info)


def swing_uv(first: int, n: int, n_channels: int) -> np.ndarray:
    """Return waves of 10 Hz that differ between channels."""
    turns = np.arange(first, first + n)[:, None] / 25.0 + np.arange(n_channels) / 7.0
    return SWING_UV * np.sin(2 * np.pi * turns)


def _read_commands(into: queue.Queue[dict[str, object] | None]) -> None:
    for line in sys.stdin:
        into.put(json.loads(line))
    into.put(None)


def main(name: str) -> None:
    """Send until the input ends."""
    commands: queue.Queue[dict[str, object] | None] = queue.Queue()
    threading.Thread(target=_read_commands, args=(commands,), daemon=True).start()
    how: dict[str, object] = {"labels": list(LEVELS_UV), "unit": "microvolts", "rate_hz": 250.0}
    outlet: pylsl.StreamOutlet | None = make_outlet(name, **how)  # type: ignore[arg-type]
    at = pylsl.local_clock()
    first = 0
    while True:
        labels, rate_hz = list(how["labels"]), float(how["rate_hz"])  # type: ignore[call-overload, arg-type]
        n = round(BURST_S * rate_hz)
        values = np.array([LEVELS_UV[label] for label in labels]) + swing_uv(first, n, len(labels))
        values *= _SCALES[str(how["unit"])]
        while not commands.empty():
            command = commands.get()
            if command is None:
                return
            if "bad" in command:
                label, value = command["bad"]  # type: ignore[misc]
                values[n // 2, labels.index(label)] = float(value)
            else:
                how, outlet = {**how, **command}, None
        if outlet is None:  # the old one is closed before the new one is there
            outlet, at = make_outlet(name, **how), pylsl.local_clock()  # type: ignore[arg-type]
            continue
        time.sleep(max(0.0, at + BURST_S - pylsl.local_clock()))
        outlet.push_chunk(values.tolist(), (at + np.arange(n) / rate_hz).tolist())
        at, first = at + BURST_S, first + n


if __name__ == "__main__":
    main(sys.argv[1])
