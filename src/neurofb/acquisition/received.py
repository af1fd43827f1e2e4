"""A stream as it was received: for the record, from which every placed sample can be made again.

µV are ``values.astype(float64)[:, columns] * scale_uv``; nothing else is done to a value on its way in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.devices import UNIT_UV
from neurofb.lsl.matching import Layout, StreamFacts

_UNIT_OF_SCALE = {uv: unit for unit, uv in UNIT_UV.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedBlock:
    """Samples as they came, in the order in which they came.

    Attributes
    ----------
    values : ndarray, shape (n_samples, n_columns)
        In the stream's own number format and unit, with every column the stream has.
    stamps_s : ndarray, shape (n_samples,)
        Their time stamps as received, on the sender's clock.
    """

    values: NDArray[Any]
    stamps_s: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedLayout:
    """What a stream is, and which of its columns are the EEG.

    Attributes
    ----------
    name, type, source_id, uid, hostname, manufacturer : str
        As the stream says them.
    value_format : str
        ``float32``, ``double64``, ``int16`` ….
    rate_hz : float
        Nominal rate; 0 where the stream has none.
    labels, units : tuple of str
        Of every column, as far as they are known.
    columns : tuple of int
        Where the EEG channels stand.
    scale_uv : ndarray, shape (n_channels,)
        µV per unit of each EEG channel.
    """

    name: str
    type: str
    source_id: str
    uid: str
    hostname: str
    manufacturer: str
    value_format: str
    rate_hz: float
    labels: tuple[str, ...]
    units: tuple[str, ...]
    columns: tuple[int, ...]
    scale_uv: FloatArray

    def to_uv(self, values: NDArray[Any]) -> FloatArray:
        """Return the EEG of raw values in µV, exactly as the source does it."""
        samples: FloatArray = values[:, list(self.columns)].astype(np.float64)
        if np.any(self.scale_uv != 1.0):
            samples *= self.scale_uv
        return samples


def layout_of(facts: StreamFacts, where: Layout) -> ReceivedLayout:
    """Return the layout of a stream; columns without a label get one that says where they stand."""
    eeg = dict(zip(where.columns, zip(where.labels, where.scale_uv.tolist(), strict=True), strict=True))
    columns = range(facts.n_channels)
    return ReceivedLayout(
        name=facts.name,
        type=facts.type,
        source_id=facts.source_id,
        uid=facts.uid,
        hostname=facts.hostname,
        manufacturer=facts.manufacturer,
        value_format=facts.value_format,
        rate_hz=facts.rate_hz,
        labels=facts.labels or tuple(eeg[i][0] if i in eeg else f"column {i + 1}" for i in columns),
        units=tuple(
            _UNIT_OF_SCALE.get(eeg[i][1], "") if i in eeg else (facts.units[i] if facts.units else "")
            for i in columns
        ),
        columns=where.columns,
        scale_uv=where.scale_uv,
    )


def microvolt_layout(name: str, labels: tuple[str, ...], rate_hz: float) -> ReceivedLayout:
    """Return the layout of a source that makes its samples itself: float64, µV, nothing but EEG."""
    n = len(labels)
    return ReceivedLayout(
        name=name,
        type="EEG",
        source_id=name,
        uid="",
        hostname="",
        manufacturer="neurofb",
        value_format="double64",
        rate_hz=rate_hz,
        labels=labels,
        units=("microvolts",) * n,
        columns=tuple(range(n)),
        scale_uv=np.ones(n),
    )
