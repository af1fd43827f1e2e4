"""A stream that came back: whether it may go on, and how its samples become those of the stream before.

In: the description under which a session began, and the one under which the stream is there again. Out: an
``Adaptation`` of received samples, or the reason in words why nobody can know what they mean. No LSL here.

A recording has one header for a stream. So samples of a stream that came back in another order or unit are brought to
the header's order and unit before they are recorded, and all that follows is made of what is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import EegColumns, unit_uv
from neurofb.errors import WrongStream
from neurofb.format import clean
from neurofb.lsl.matching import StreamInfo
from neurofb.lsl.senders import sender_of

#: Formats in which a converted value is still the value: a number of microvolts in volts is no integer.
FLOATS = ("float32", "double64")


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """Brings samples to the order and unit of the header.

    Attributes
    ----------
    columns : tuple of int or None
        For each channel of the header, the column it now has; None if the order is the same.
    factors : ndarray, shape (n_channels,), or None
        By what each channel of the header is multiplied; None if the units are the same.
    notes : tuple of (str, str)
        Kind and words of the event for each difference.
    """

    columns: tuple[int, ...] | None = None
    factors: FloatArray | None = None
    notes: tuple[tuple[str, str], ...] = ()

    def apply(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return samples in the header's order, unit and number format; shape (n_samples, n_channels)."""
        if self.columns is not None:
            values = values[:, list(self.columns)]
        if self.factors is not None:
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                values = (values.astype(np.float64) * self.factors).astype(values.dtype)
        return values


def adapt(
    before: StreamInfo, eeg: EegColumns, now: StreamInfo, profile: DeviceProfile | None = None
) -> Adaptation:
    """Return how samples of a stream that came back become those of the stream before.

    Parameters
    ----------
    before : StreamInfo
        Under which the session began, and which the header of the recording has.
    eeg : EegColumns
        What was made of it.
    now : StreamInfo
    profile : DeviceProfile, optional
        Of the device, with all its programs: by them it is known whether another one sends now.

    Raises
    ------
    WrongStream
        If it is not the same channels at the same rate in the same format; the message lists every difference.
    """
    differences = [*_differences(before, now), *_senders(before, now, profile)]
    columns = None if differences else _order(before, now)
    if columns is None and not differences:
        differences.append(f"channels {_listed(before.labels)} before, {_listed(now.labels)} now")
    if columns is None or differences:
        raise WrongStream("; ".join(differences))
    factors = _factors(before, eeg, now, columns)
    notes = []
    if moved := columns != tuple(range(before.n_channels)):
        notes.append(
            (
                "reordered",
                f"{clean(now.name)!r} sends its channels in another order now, {_listed(now.labels)}: each is taken by "
                f"its name, and the recording keeps the order {_listed(before.labels)}",
            )
        )
    if converted := bool((factors != 1.0).any()):
        notes.append(
            (
                "converted",
                f"{clean(now.name)!r} sends in another unit now, {_units(now, eeg.columns, columns)}: its values are "
                f"converted to the unit before, {_units(before, eeg.columns) or eeg.unit_from}, also in the recording",
            )
        )
    return Adaptation(columns if moved else None, factors if converted else None, tuple(notes))


def _differences(before: StreamInfo, now: StreamInfo) -> Iterator[str]:
    """Yield what differs beside order and unit, in words."""
    if now.source_id != before.source_id:
        yield f"source_id {clean(before.source_id)!r} before, {clean(now.source_id)!r} now"
    if now.n_channels != before.n_channels:
        yield f"{before.n_channels} channels before, {now.n_channels} now"
    if now.rate_hz != before.rate_hz:
        yield f"{before.rate_hz:g} Hz before, {now.rate_hz:g} Hz now"
    if now.value_format != before.value_format:
        yield f"numbers as {before.value_format} before, as {now.value_format} now"


def _senders(before: StreamInfo, now: StreamInfo, profile: DeviceProfile | None) -> Iterator[str]:
    """Yield in words that another program sends now: it is another one that gives the values their meaning.

    A program that is not recognised is known by what it says of its maker alone.
    """
    names = ["" if profile is None else sender_of(info, profile).name for info in (before, now)]
    if names[0] != names[1]:
        was, is_now = (name or "a program that is not recognised" for name in names)
        yield f"sent by {was} before, by {is_now} now"
    elif not names[0] and now.manufacturer != before.manufacturer:
        yield f"manufacturer {clean(before.manufacturer)!r} before, {clean(now.manufacturer)!r} now"


def _order(before: StreamInfo, now: StreamInfo) -> tuple[int, ...] | None:
    """Return for each channel before the column it has now; None if that is not certain."""
    known, found = ([_plain(label) for label in info.labels] for info in (before, now))
    if known == found:
        return tuple(range(before.n_channels))
    if sorted(known) != sorted(found) or len(set(found)) < len(found):
        return None
    return tuple(found.index(label) for label in known)


def _plain(label: str) -> str:
    return label.strip().strip(".").strip().casefold()


def _factors(before: StreamInfo, eeg: EegColumns, now: StreamInfo, columns: tuple[int, ...]) -> FloatArray:
    """Return by what each channel is multiplied to be in the unit before.

    Raises
    ------
    WrongStream
        If that is not known, or its numbers cannot hold the product.
    """
    scale_uv = dict(zip(eeg.columns, eeg.scale_uv.tolist(), strict=True))
    units_before = before.units or ("",) * before.n_channels
    units_now = now.units or ("",) * now.n_channels
    factors = np.ones(before.n_channels)
    for i, at in enumerate(columns):
        was, is_now = units_before[i].strip(), units_now[at].strip()
        if was == is_now or (unit_uv(was) is not None and unit_uv(was) == unit_uv(is_now)):
            continue
        uv, was_uv = unit_uv(is_now), scale_uv.get(i, unit_uv(was))
        if uv is None or was_uv is None:
            raise WrongStream(f"the unit of {_name(before, eeg, i)} {_said(was)} before, {_said(is_now)} now")
        factors[i] = uv / was_uv
    if (factors != 1.0).any() and before.value_format not in FLOATS:
        raise WrongStream(
            f"its unit {_units(before, eeg.columns) or eeg.unit_from} before, {_units(now, eeg.columns, columns)} now, "
            f"and numbers as {before.value_format} cannot be converted without loss"
        )
    return factors


def _said(unit: str) -> str:
    return f"was named {clean(unit)!r}" if unit else "was not named"


def _name(info: StreamInfo, eeg: EegColumns, column: int) -> str:
    if info.labels:
        return clean(info.labels[column])
    return eeg.labels[eeg.columns.index(column)] if column in eeg.columns else f"column {column + 1}"


def _units(info: StreamInfo, eeg: Sequence[int], columns: Sequence[int] = ()) -> str:
    """Return the units of the EEG in words; "" if it names none."""
    at = [columns[i] if columns else i for i in eeg]
    return " ".join(sorted({clean(info.units[i]) for i in at if info.units and info.units[i]}))


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(clean(label) or "(no name)" for label in labels) or "without names"
