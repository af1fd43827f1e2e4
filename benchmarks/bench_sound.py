"""Cost of the soundscape, and how far it stays from its limits under the worst that feedback does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.rows import median_us, row
from neurofb.screens.sound.loudness import (
    JUMP_LIMIT,
    LOUDNESS_LIMIT_LUFS,
    PEAK_LIMIT,
    largest_jump,
    loudness_lufs,
)
from neurofb.screens.sound.soundscape import RATE_HZ, Soundscape

PORTION = 512


def rows(short: bool) -> Iterator[dict[str, Any]]:
    """Give the rows one by one."""
    start = time.perf_counter()
    soundscape = Soundscape()
    yield row("soundscape: made at the start", time.perf_counter() - start, "s", at_most=3)
    room = np.zeros(PORTION)
    soundscape.follow(0.7, True)
    soundscape.ring("reward")
    used_us = median_us(
        lambda: soundscape.render_into(room), at_least_s=0.5 if short else 3.0, clock=time.process_time
    )
    yield row(
        f"soundscape: share of a core at {RATE_HZ:g} Hz",
        100 * used_us / (1e6 * PORTION / RATE_HZ),
        "%",
        at_most=5,
        detail=f"rendered in portions of {PORTION} samples, one every {1e3 * PORTION / RATE_HZ:.1f} ms",
    )
    yield from _limits(30.0 if short else 300.0)


def _limits(length_s: float) -> Iterator[dict[str, Any]]:
    heard = _wild(length_s).astype(np.float64)
    about = f"{length_s:g} s of random levels, dropouts, bursts of rewards, chimes and pauses"
    yield row(
        "soundscape: largest jump from sample to sample",
        largest_jump(heard),
        "",
        at_most=JUMP_LIMIT,
        detail=about,
    )
    yield row("soundscape: largest sample", float(np.max(np.abs(heard))), "", at_most=PEAK_LIMIT)
    yield row(
        "soundscape: loudest 400 ms", loudness_lufs(heard, RATE_HZ), "LUFS", at_most=LOUDNESS_LIMIT_LUFS
    )


def _wild(length_s: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    soundscape = Soundscape()
    pieces = []
    for i in range(round(length_s * 30)):
        soundscape.follow(rng.integers(2), bool(rng.random() > 0.1))
        if rng.random() < 0.5:
            soundscape.ring("reward")
        if rng.random() < 0.02:
            soundscape.ring("phase")
        if i % 300 in (270, 290):
            soundscape.silence(i % 300 == 270)
        pieces.append(soundscape.render(1600))
    return np.concatenate(pieces)
