"""A row of results, and how a time is taken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


def median_us(
    task: Callable[[], object],
    *,
    at_least_s: float = 0.3,
    rounds: int = 7,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Give the median time of one call in µs, over rounds of as many calls as make a round long enough.

    ``time.process_time`` as clock counts only what this process used of the processor.
    """
    task()
    start = clock()
    task()
    once = max(clock() - start, 1e-7)
    calls = max(1, int(at_least_s / rounds / once))
    times = []
    for _ in range(rounds):
        start = clock()
        for _ in range(calls):
            task()
        times.append((clock() - start) / calls)
    return 1e6 * statistics.median(times)


def row(
    name: str,
    value: float,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    peer: str | None = None,
    peer_value: float | None = None,
    ratio: float | None = None,
    detail: str = "",
) -> dict[str, Any]:
    """Give a row; the target is a bound on ``ratio`` where there is one, else on ``value``."""
    judged = value if ratio is None else ratio
    target = None
    meets = None
    if at_most is not None:
        target, meets = f"≤ {at_most:g}", judged <= at_most
    if at_least is not None:
        target, meets = f"≥ {at_least:g}", judged >= at_least
    return {
        "name": name,
        "value": value,
        "unit": unit,
        "target": target,
        "meets_target": meets,
        "peer": None
        if peer is None
        else f"{peer}: {peer_value:.4g} {unit}"
        if peer_value is not None
        else peer,
        "ratio": ratio,
        "detail": detail,
    }
