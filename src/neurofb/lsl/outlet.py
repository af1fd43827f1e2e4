"""The numeric outlet: a stream as our own look, or as those of other programs.

In: samples in µV and their time stamps on LSL's clock. Out: an LSL stream. Kept: how many samples were sent.
"""

from __future__ import annotations

import platform
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pylsl

from neurofb.chunk import FloatArray
from neurofb.devices import UNIT_UV
from neurofb.errors import WrongInput, WrongShape

if TYPE_CHECKING:
    from neurofb.devices import DeviceProfile

#: Added to LSL's clock to look like a stream that is stamped with unix time. The wall clock is not read:
#: any number of this size does what the real ones do, and this one makes the same stamps every time.
UNIX_OFFSET_S = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Channel:
    """The description of one channel."""

    label: str
    unit: str
    type: str = "EEG"


@dataclass(frozen=True, slots=True)
class OutletFormat:
    """How a stream describes itself and is sent; by default as it should.

    Attributes
    ----------
    has_labels, has_unit, has_type : bool
        Whether it names them for each channel; if it names none, its description is empty.
    columns_before, columns_after : tuple of str
        Labels of columns around the EEG. One with ``Counter`` in its name counts samples, one with
        ``Timestamp`` shows the time stamp, a ``Validation`` is 1, a ``Battery`` 100; all others are 0.
    clock : {"lsl", "unix"}
        What the samples are stamped with.
    value_format : {"float32", "double64"}
        Never an integer format: programs refuse it.
    chunk_samples : int
        How many samples LSL sends on at once; 0 for as they are pushed.
    manufacturer, session : str
        As the description has them; without a session it names none.
    buffered_s : int
        Older samples are not kept for a receiver that is slow.
    """

    has_labels: bool = True
    has_unit: bool = True
    has_type: bool = True
    columns_before: tuple[str, ...] = ()
    columns_after: tuple[str, ...] = ()
    clock: Literal["lsl", "unix"] = "lsl"
    value_format: Literal["float32", "double64"] = "float32"
    chunk_samples: int = 0
    manufacturer: str = "neurofb"
    session: str = ""
    buffered_s: int = 360

    @property
    def n_extra(self) -> int:
        """The number of columns beside the EEG."""
        return len(self.columns_before) + len(self.columns_after)


def outlet_format_of(profile: DeviceProfile, program: str | None = None) -> OutletFormat:
    """Return the format of the outlet of a device's program.

    Parameters
    ----------
    profile : DeviceProfile
    program : str, optional
        One of the programs of the profile; None for a stream as it should be.

    Raises
    ------
    UnknownName
        If the profile does not know that program; the message lists those it knows.
    """
    if program is None:
        return OutletFormat()
    sender = profile.program(program)
    return OutletFormat(
        has_labels=sender.has_labels,
        has_unit=sender.has_unit,
        has_type=sender.has_unit,
        columns_before=sender.columns_before,
        columns_after=sender.columns_after,
        clock=sender.clock,
        chunk_samples=sender.chunk_sizes[0] if sender.chunk_sizes else 0,
    )


def stable_source_id(*facts: str) -> str:
    """Return an id that is the same for the same facts on this computer, and no other."""
    text = "\n".join((platform.node(), *facts))
    return f"neurofb-{uuid.uuid5(uuid.NAMESPACE_OID, text)}"


def eeg_channels(labels: Sequence[str], unit: str = "microvolts") -> list[Channel]:
    """Return the description of EEG channels that are sent in ``unit``.

    Raises
    ------
    WrongInput
        If EEG cannot be sent in it: right are ``microvolts``, ``volts``, ``millivolts`` and ``nanovolts``.
    """
    if unit not in UNIT_UV:
        raise WrongInput(f"EEG cannot be sent in {unit!r}; the unit is one of {', '.join(UNIT_UV)}")
    return [Channel(label, unit) for label in labels]


class NumericOutlet:
    """A stream of numbers that names the label, unit and type of each channel.

    Parameters
    ----------
    name : str
    channels : sequence of Channel
    rate_hz : float
        0 if irregular.
    type : str
    source_id : str, optional
        By default made from the name, type and labels: stable on this computer.
    format : OutletFormat, optional
    """

    def __init__(
        self,
        name: str,
        channels: Sequence[Channel],
        rate_hz: float,
        type: str = "EEG",
        source_id: str | None = None,
        format: OutletFormat | None = None,
    ) -> None:
        self.name = name
        self.format = format = format or OutletFormat()
        self._channels = tuple(channels)
        self._before = [_extra(label) for label in format.columns_before]
        self._after = [_extra(label) for label in format.columns_after]
        labels = [channel.label for channel in self._channels]
        self.source_id = source_id or stable_source_id(name, type, *labels)
        columns = [*self._before, *self._channels, *self._after]
        info = pylsl.StreamInfo(name, type, len(columns), rate_hz, format.value_format, self.source_id)
        _describe(info, columns, format)
        self.n_sent = 0
        self._outlet: pylsl.StreamOutlet | None = pylsl.StreamOutlet(
            info, chunk_size=format.chunk_samples, max_buffered=format.buffered_s
        )
        self._to_unit = np.array([1.0 / UNIT_UV.get(channel.unit, 1.0) for channel in self._channels])

    def push_row(self, values: Sequence[float] | FloatArray, time_s: float) -> None:
        """Send one sample as it is, one value for each column, stamped with ``time_s`` on LSL's clock."""
        if self._outlet is not None:
            self._outlet.push_sample(values, time_s)
            self.n_sent += 1

    def push(self, samples_uv: FloatArray, stamps_s: FloatArray | Sequence[float] | None = None) -> None:
        """Send samples.

        Parameters
        ----------
        samples_uv : ndarray, shape (n_samples, n_channels)
            µV; sent in the unit of the stream.
        stamps_s : ndarray, shape (n_samples,), optional
            On LSL's clock; by default the last sample is stamped with the present and the others before it.
        """
        samples_uv = np.asarray(samples_uv, dtype=float)
        if samples_uv.ndim != 2 or samples_uv.shape[1] != len(self._channels):
            raise WrongShape(
                f"the stream {self.name!r} takes samples of shape (n_samples, {len(self._channels)}), "
                f"found {samples_uv.shape}"
            )
        if self._outlet is None:
            raise WrongInput(f"the stream {self.name!r} is closed; make a new outlet to send more")
        if not len(samples_uv):
            return
        if stamps_s is None and (self._before or self._after or self.format.clock == "unix"):
            stamps_s = np.full(len(samples_uv), pylsl.local_clock())
        values = self._with_columns(samples_uv * self._to_unit, stamps_s)
        if stamps_s is None:
            self._outlet.push_chunk(values)
        else:
            self._outlet.push_chunk(values, self._stamps(stamps_s).tolist())
        self.n_sent += len(values)

    def _stamps(self, stamps_s: FloatArray | Sequence[float]) -> FloatArray:
        offset_s = UNIX_OFFSET_S if self.format.clock == "unix" else 0.0
        return np.asarray(stamps_s, dtype=float) + offset_s

    def _with_columns(self, values: FloatArray, stamps_s: FloatArray | Sequence[float] | None) -> FloatArray:
        if stamps_s is None or not self.format.n_extra:
            return values
        counts = self.n_sent + np.arange(len(values))
        shown = {"Counter": counts, "Timestamp": self._stamps(stamps_s)}
        shown |= {"Battery": np.full(len(values), 100.0), "Validation": np.ones(len(values))}
        silent = np.zeros(len(values))
        before = [shown.get(column.type, silent) for column in self._before]
        after = [shown.get(column.type, silent) for column in self._after]
        return np.column_stack([*before, values, *after])

    @property
    def uid(self) -> str:
        """LSL's own id of this outlet; empty when it is closed."""
        return "" if self._outlet is None else str(self._outlet.get_info().uid())

    def has_listeners(self) -> bool:
        """Return whether anybody is receiving the stream."""
        return self._outlet is not None and bool(self._outlet.have_consumers())

    def close(self) -> None:
        """Remove the stream from the network; harmless when it is closed."""
        self._outlet = None


def _extra(label: str) -> Channel:
    for kind in ("Counter", "Timestamp", "Battery", "Validation"):
        if kind.lower() in label.lower():
            return Channel(label, "none", kind)
    return Channel(label, "microvolts" if "aux" in label.lower() else "none", "AUX")


def _describe(info: pylsl.StreamInfo, columns: Sequence[Channel], format: OutletFormat) -> None:
    """Write desc/channels/channel/{label,unit,type}, as the XDF EEG meta-data norm wants them."""
    if not (format.has_labels or format.has_unit or format.has_type):
        return
    description = info.desc()
    description.append_child_value("manufacturer", format.manufacturer)
    if format.session:
        description.append_child_value("session", format.session)
    channels = description.append_child("channels")
    for column in columns:
        channel = channels.append_child("channel")
        for shown, key, text in (
            (format.has_labels, "label", column.label),
            (format.has_unit, "unit", column.unit),
            (format.has_type, "type", column.type),
        ):
            if shown:
                channel.append_child_value(key, text)
