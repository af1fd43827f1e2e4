"""Find the EEG columns of a stream or file, and read units of voltage.

Streams of type EEG carry counters, markers and auxiliary inputs, too. A profile settles it; without one the
labels do, if they name places on the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.devices.electrodes import OLD_POSITIONS, is_position, standard_label, standard_labels
from neurofb.devices.profile import DeviceProfile
from neurofb.devices.tables import Program
from neurofb.errors import WrongStream

_PREFIXES_UV = {"": 1e6, "milli": 1e3, "micro": 1.0, "nano": 1e-3}
#: Both signs for micro are in use: µ (U+00B5) and μ (U+03BC). MNE's outlets give the power of ten of a volt.
_TEXTS_UV = {
    "v": 1e6,
    "mv": 1e3,
    "uv": 1.0,
    "µv": 1.0,
    "μv": 1.0,
    "mcv": 1.0,
    "microv": 1.0,
    "uvolt": 1.0,
    "uvolts": 1.0,
    "µvolt": 1.0,
    "µvolts": 1.0,
    # µV in UTF-8 read as Latin-1 (both signs), in code page 437 and in Shift JIS.
    "âµv": 1.0,
    "î¼v": 1.0,
    "æv": 1.0,
    "\x83êv": 1.0,
    "nv": 1e-3,
    "0": 1e6,
    "-3": 1e3,
    "-6": 1.0,
    "-9": 1e-3,
} | {f"{prefix}{volt}": uv for prefix, uv in _PREFIXES_UV.items() for volt in ("volt", "volts")}


class UnknownOrder(WrongStream):
    """A stream names no channels, and the programs that may send it order them differently."""


def columns_on_head(labels: Sequence[str]) -> tuple[int, ...]:
    """Return the columns whose labels are places on the head, or all if fewer than half of them are.

    A cap that numbers its electrodes (``E1`` … ``E128``) names no places: then all columns count as EEG.
    """
    standard = [standard_label(label) for label in labels]
    on_scalp = tuple(i for i, label in enumerate(standard) if is_position(label) or label in OLD_POSITIONS)
    return on_scalp if 2 * len(on_scalp) >= len(labels) else tuple(range(len(labels)))


def columns_of_profile(profile: DeviceProfile, n_columns: int, labels: Sequence[str] = ()) -> tuple[int, ...]:
    """Return the columns of a profile's EEG channels, in the profile's order.

    Parameters
    ----------
    profile : DeviceProfile
        Whose channels are sought.
    n_columns : int
        How many columns there are.
    labels : sequence of str
        Their labels, empty if the stream names none: then the layouts of the profile's programs decide.

    Raises
    ------
    WrongStream
        If the columns contradict the profile.
    """
    if labels:
        return _by_label(profile, labels)
    fitting = [each for each in profile.programs if n_columns in each.column_counts(profile.n_channels)]
    layouts = list(dict.fromkeys(_layout(profile, each) for each in fitting))
    if len(layouts) > 1:
        raise UnknownOrder(
            f"found {n_columns} columns without labels, and the programs that send {profile.title} so order them "
            f"differently: {', '.join(each.program for each in fitting)}; name the one that sends with --program"
        )
    if layouts:
        return layouts[0]
    if n_columns == profile.n_channels:
        return tuple(range(n_columns))
    counts = {n for each in profile.programs for n in each.column_counts(profile.n_channels)}
    right = " or ".join(map(str, sorted(counts | {profile.n_channels})))
    raise WrongStream(
        f"found {n_columns} columns without labels, but {profile.title} has {right}; "
        "choose the profile of the device that was recorded, or write one with its channels"
    )


def _layout(profile: DeviceProfile, program: Program) -> tuple[int, ...]:
    """Return the columns of a profile's channels in the unlabelled stream of a program."""
    order, first = program.order or profile.labels, len(program.columns_before)
    return tuple(first + order.index(label) for label in profile.labels)


def _by_label(profile: DeviceProfile, labels: Sequence[str]) -> tuple[int, ...]:
    found = [standard_label(label) for label in labels]
    places = tuple(profile.position(label) for label in profile.labels)
    spellings = [profile.labels, *(each.labels for each in profile.programs if each.labels), places]
    for spelling in spellings:
        wanted = standard_labels(spelling)
        if all(found.count(label) == 1 for label in wanted):
            return tuple(found.index(label) for label in wanted)
    raise WrongStream(
        f"{profile.title} has the channels {', '.join(profile.labels)}; found {', '.join(labels)}: "
        f"missing or twice {', '.join(absent_labels(profile, labels))}. "
        "Choose the profile of the device that was used, or write one with its channels"
    )


def absent_labels(profile: DeviceProfile, labels: Sequence[str]) -> list[str]:
    """Return the channels of a profile that do not stand exactly once among ``labels``, in any spelling of a place."""
    found = [standard_label(label) for label in labels]
    return [label for label in standard_labels(profile.labels) if found.count(label) != 1]


def unit_uv(text: str) -> float | None:
    """Return how many µV one of the unit is; None if the text is no unit of voltage.

    ``microvolts``, ``uV``, ``µV`` and ``-6`` are 1; ``volts``, ``V`` and ``0`` are 1,000,000.
    """
    plain = text.strip()
    if plain in ("MV", "NV"):  # mega is not meant, but nobody can say what is
        return None
    return _TEXTS_UV.get(plain.lower())


@dataclass(frozen=True, slots=True, eq=False)
class EegColumns:
    """Which columns of a stream are the EEG, and how their values become µV."""

    labels: tuple[str, ...] = ()
    #: Index of each EEG channel in the stream.
    columns: tuple[int, ...] = ()
    #: µV per unit of the stream; shape (n_channels,).
    scale_uv: FloatArray = field(default_factory=lambda: np.empty(0))
    #: Source of the unit, in words.
    unit_from: str = ""
    #: The column in which the device counts its samples.
    counter: int | None = None
    #: Columns that stand together are a slice, which copies faster.
    _at: slice | list[int] = field(init=False, repr=False)
    _is_scaled: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first, n = self.columns[0] if self.columns else 0, len(self.columns)
        together = self.columns == tuple(range(first, first + n))
        object.__setattr__(self, "_at", slice(first, first + n) if together else list(self.columns))
        object.__setattr__(self, "_is_scaled", bool(np.any(self.scale_uv != 1.0)))

    @classmethod
    def in_microvolts(cls, labels: Sequence[str]) -> EegColumns:
        """Return the columns of a stream that has nothing but EEG in µV."""
        n = len(labels)
        return cls(tuple(labels), tuple(range(n)), np.ones(n), "microvolts, as they were made")

    def to_uv(self, values: NDArray[Any]) -> FloatArray:
        """Return the EEG in µV, shape (n_samples, n_channels), of values with every column of the stream.

        An infinite value, which no converter measures, is a missing one: NaN.
        """
        samples: FloatArray = values[:, self._at].astype(np.float64)
        if self._is_scaled:
            with np.errstate(over="ignore"):  # beyond float64 it is infinite, and missing
                samples *= self.scale_uv
        infinite = np.isinf(samples)
        if infinite.any():
            samples[infinite] = np.nan
        return samples
