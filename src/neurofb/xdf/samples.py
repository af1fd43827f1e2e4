"""Read the samples of one chunk: at once where each has its stamp, run by run or one by one where not.

In: the bytes of a chunk's samples. Out: arrays, or None where the bytes cannot be samples.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.xdf.chunks import variable_length

_STAMP = struct.Struct("<d")
_DEDUCED, _STAMPED = 0, 8
_FIRST_GUESS = 64


class Run(NamedTuple):
    """Successive samples that all have a stamp, or all have none; ``at`` is the first byte of the first."""

    at: int
    n_samples: int
    stamped: bool


def stamped_size(width: int) -> int:
    """Return how many bytes a sample of ``width`` bytes takes with its stamp."""
    return 1 + _STAMP.size + width


def stamped(content: bytes, n_samples: int, dtype: np.dtype[Any], n_channels: int) -> NDArray[Any]:
    """Return samples that all have a stamp, as a structured array with ``stamp`` and ``values``."""
    form = np.dtype([("bytes", "u1"), ("stamp", "<f8"), ("values", dtype, (n_channels,))])
    return np.frombuffer(content, form, n_samples)


def runs(content: bytes, n_samples: int, width: int) -> list[Run] | None:
    """Return the runs of samples of ``width`` bytes; None if they do not fill ``content`` exactly."""
    flags = np.frombuffer(content, np.uint8)
    found: list[Run] = []
    at, left, guess = 0, n_samples, _FIRST_GUESS
    while left:
        if at >= len(flags) or flags[at] not in (_DEDUCED, _STAMPED):
            return None
        step = 1 + int(flags[at]) + width
        alike = flags[at : at + step * min(left, guess) : step] == flags[at]
        n = int(len(alike) if alike.all() else alike.argmin())
        found.append(Run(at, n, bool(flags[at])))
        guess = 4 * guess if n == guess else _FIRST_GUESS
        at, left = at + step * n, left - n
    return found if at == len(flags) else None


def values_of(
    content: bytes, found: list[Run], n_samples: int, dtype: np.dtype[Any], n_channels: int
) -> NDArray[Any]:
    """Return the values of runs, shape (n_samples, n_channels)."""
    width = dtype.itemsize * n_channels
    raw = np.empty((n_samples, width), np.uint8)
    done = 0
    for run in found:
        head = 1 + _STAMPED * run.stamped
        part = np.frombuffer(content, np.uint8, run.n_samples * (head + width), run.at)
        raw[done : done + run.n_samples] = part.reshape(run.n_samples, head + width)[:, head:]
        done += run.n_samples
    return raw.view(dtype)


def stamps_of(content: bytes, found: list[Run], width: int, before_s: float, period_s: float) -> FloatArray:
    """Return the stamps of runs; a sample without one comes a period after the one before."""
    parts = []
    for run in found:
        if run.stamped:
            size = stamped_size(width)
            part = np.frombuffer(content, np.uint8, run.n_samples * size, run.at).reshape(-1, size)
            stamps_s = part[:, 1:9].copy().view("<f8")[:, 0]
        else:
            # Added one by one, as other readers do it: the same bits.
            steps = np.full(run.n_samples + 1, period_s)
            steps[0] = before_s
            stamps_s = np.add.accumulate(steps)[1:]
        parts.append(stamps_s)
        before_s = float(stamps_s[-1])
    return np.concatenate(parts) if parts else np.empty(0)


def texts(
    content: bytes, n_samples: int, n_channels: int, before_s: float, period_s: float
) -> tuple[list[list[str]], FloatArray] | None:
    """Return the texts of each sample and the stamps; None if they do not fill ``content`` exactly."""
    rows: list[list[str]] = []
    stamps_s: list[float] = []
    at = 0
    for _ in range(n_samples):
        if at >= len(content) or content[at] not in (_DEDUCED, _STAMPED):
            return None
        if content[at]:
            if at + stamped_size(0) > len(content):
                return None
            before_s = _STAMP.unpack_from(content, at + 1)[0]
        else:
            before_s += period_s
        at += 1 + content[at]
        row = []
        for _ in range(n_channels):
            found = variable_length(content, at)
            if found is None or found[1] + found[0] > len(content):
                return None
            row.append(content[found[1] : found[1] + found[0]].decode("utf-8", "replace"))
            at = found[1] + found[0]
        rows.append(row)
        stamps_s.append(before_s)
    return (rows, np.array(stamps_s, dtype=np.float64)) if at == len(content) else None
