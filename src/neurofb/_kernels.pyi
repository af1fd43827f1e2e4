from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray

_Indices = NDArray[Any]

LANES: int
OUTPUTS: int
SUMS_PER_PAIR: int
FIELDS: int
MEASURES: tuple[str, ...]
CHECKED: bool
FLAGS: str
INSTRUCTION_SETS: str

def first_infinite(x: FloatArray) -> int: ...
def project(x: FloatArray, weights: FloatArray, out: FloatArray) -> None: ...
def band_filter(
    x: FloatArray,
    index: int,
    every: int,
    taps: NDArray[np.float32],
    n_taps: _Indices,
    raw: FloatArray,
    missing_at: _Indices,
    line: FloatArray,
    end: int,
    missed: _Indices,
    work: FloatArray,
    out: FloatArray,
) -> int: ...
def artifacts(
    block: FloatArray,
    muscle: FloatArray,
    sums: FloatArray,
    smooth: FloatArray,
    at: int,
    gain: float,
    limits: FloatArray,
    measures: FloatArray,
) -> bool: ...
def power_exponential(
    z: FloatArray, decay: float, least_weight: float, total: FloatArray, weight: FloatArray, out: FloatArray
) -> None: ...
def power_box(
    z: FloatArray,
    least_weight: float,
    ring: FloatArray,
    at: int,
    total: FloatArray,
    fresh: FloatArray,
    weight: FloatArray,
    out: FloatArray,
) -> int: ...
def store_columns(z: FloatArray, column_channel: _Indices, ring: FloatArray, at: int) -> int: ...
def synchrony_exponential(
    ring: FloatArray,
    at: int,
    pending: int,
    group_seed: _Indices,
    group_column: _Indices,
    near: _Indices,
    decay_near: FloatArray,
    decay: float,
    sums: FloatArray,
) -> None: ...
def synchrony_box(
    ring: FloatArray,
    at: int,
    pending: int,
    window: int,
    age: int,
    group_seed: _Indices,
    group_column: _Indices,
    near: _Indices,
    sums: FloatArray,
    fresh: FloatArray,
    ahead: FloatArray,
    peak: FloatArray,
) -> None: ...
def synchrony_read(
    sums: FloatArray,
    peak: FloatArray,
    pair_of: _Indices,
    least_weight: FloatArray,
    out: FloatArray,
    weight_out: FloatArray,
) -> None: ...
