"""A stream as it was received: for the recording, from which every placed sample can be made again.

µV are ``EegColumns.to_uv(values)``, with infinite values missing; nothing else is done to a value on its way in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.devices import UNIT_UV
from neurofb.devices.columns import EegColumns
from neurofb.lsl.matching import StreamInfo

_UNIT_OF_SCALE = {uv: unit for unit, uv in UNIT_UV.items()}


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedBlock:
    """Samples as they came, in the order in which they came."""

    #: In the stream's own number format and unit, with every column the stream has; shape (n_samples, n_columns).
    values: NDArray[Any]
    #: Their time stamps as received, on the sender's clock; shape (n_samples,).
    stamps_s: FloatArray


def recorded_info(info: StreamInfo, eeg: EegColumns) -> StreamInfo:
    """Return the description of a stream as it is recorded.

    Columns without a label get one that says where they stand; the unit of an EEG column is the one that was taken.
    """
    scales_uv = dict(zip(eeg.columns, eeg.scale_uv.tolist(), strict=True))
    labels = dict(zip(eeg.columns, eeg.labels, strict=True))
    units = info.units or ("",) * info.n_channels
    return replace(
        info,
        labels=tuple(
            said or labels.get(i, f"column {i + 1}")
            for i, said in enumerate(info.labels or ("",) * info.n_channels)
        ),
        units=tuple(
            _UNIT_OF_SCALE.get(scales_uv[i], "") if i in scales_uv else units[i]
            for i in range(info.n_channels)
        ),
    )


def generated_info(name: str, labels: Sequence[str], rate_hz: float) -> StreamInfo:
    """Return the description of a source that makes its samples itself: float64, µV, nothing but EEG."""
    return StreamInfo(
        name=name,
        type="EEG",
        source_id=name,
        uid="",
        hostname="",
        n_channels=len(labels),
        rate_hz=rate_hz,
        value_format="double64",
        labels=tuple(labels),
        units=("microvolts",) * len(labels),
        manufacturer="neurofb",
    )
