"""A real LSL peer that counts what it sends, beside two busy processes: sent = received + missing, exactly."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pylsl
import pytest
from eeg_peer import peer
from lsl_senders import BOUND_S, Pulled, unique

from neurofb.acquisition.live import LslSource
from neurofb.lsl.matching import StreamQuery

#: The last is not lost: nobody can know of one that nothing follows.
N_PACKETS, PACKET = 41, 10
LOST_OF_7 = 3


@pytest.fixture
def busy() -> Iterator[None]:
    """Two processes that do nothing but compute."""
    words = [sys.executable, "-c", "while True: pass"]
    with contextlib.ExitStack() as loops:
        for _ in range(2):
            loop = subprocess.Popen(words)
            loops.callback(loop.wait)
            loops.callback(loop.kill)
        yield


# What is lost of a stream without stamps nobody can count while arrivals are later than a packet is long: there only
# that late is not lost.
@pytest.mark.parametrize(("stamps", "lost"), [("clock", LOST_OF_7), ("unix", LOST_OF_7), ("zero", -1)])
def test_sent_is_received_and_missing_beside_busy_loops(stamps: str, lost: int, busy: None) -> None:
    name = unique("Busy")
    n_lost = sum(packet % 7 == lost for packet in range(N_PACKETS))
    with peer(name=name, stamps=stamps, lost=lost, packets=N_PACKETS, packet=PACKET) as sender:
        source = LslSource(StreamQuery(name=name), wait_s=BOUND_S)
        source.start()
        pulled = Pulled(source)
        pulled.until_received(PACKET * (N_PACKETS - n_lost))
        source.stop()
        assert sender.stdin is not None
        assert sender.stdout is not None
        sender.stdin.close()
        assert_exact(pulled, json.loads(sender.stdout.readline()))


def assert_exact(pulled: Pulled, counted: dict[str, int]) -> None:
    """Assert that each sample stands once, at its place, and what is lost is missing there."""
    numbers = pulled.samples[:, 0] / 0.01
    received = np.isfinite(numbers)
    assert received.sum() == counted["sent"]
    assert len(numbers) == counted["sent"] + counted["lost"]
    np.testing.assert_array_equal(np.round(numbers[received]), np.flatnonzero(received))
    times_s = np.concatenate([chunk.times_s for chunk in pulled.chunks])
    assert times_s[-1] <= pylsl.local_clock()
    assert "rate" not in pulled.kinds
