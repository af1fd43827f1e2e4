"""The EEG channels of a stream: labels, positions, regions, quality limits, and how some of them are selected.

In: a device profile. Out: a `Montage`; for a `ChannelSelection`, the labels and columns of its channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from neurofb.config import Table
from neurofb.devices import DeviceProfile, QualityLimits
from neurofb.dsp.quality import Converter
from neurofb.errors import UnknownName, WrongInput, nearest

#: Where no profile says better: common practice for gel electrodes.
USUAL_LIMITS = QualityLimits(
    flat_uv=0.1, noisy_uv=100.0, max_dc_uv=None, line_uv=20.0, source="assumed: common practice"
)

RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class ChannelSelection(Table):
    """One region of the montage, or channels by their labels."""

    region: RegionName | None = Field(
        default=None, description='a region of the device profile, as "frontal_midline"'
    )
    channels: tuple[str, ...] = Field(default=(), description='channel labels, as ["Fz", "Cz"]')

    @model_validator(mode="after")
    def _one_of_two(self) -> ChannelSelection:
        if (self.region is None) == (not self.channels):
            raise ValueError(
                'say where: region = "…" or channels = ["…"], one of them; found '
                + ("neither" if self.region is None else "both")
            )
        if len(set(self.channels)) < len(self.channels):
            raise ValueError(f"found {list(self.channels)}: a channel counts once")
        return self

    def __str__(self) -> str:
        return self.region if self.region is not None else "+".join(self.channels)


@dataclass(frozen=True, eq=False)
class Montage:
    """The EEG channels of a stream.

    Attributes
    ----------
    labels : tuple of str
        In the order of the columns.
    regions : mapping of str to tuple of str
        Region → its channels.
    positions : tuple of str
        10-05 names; left out: the labels.
    limits : QualityLimits
    converter : Converter
    """

    labels: tuple[str, ...]
    regions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    limits: QualityLimits = USUAL_LIMITS
    converter: Converter = field(default_factory=Converter)

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise WrongInput(f"a montage needs labels, each once; found {list(self.labels)}")
        object.__setattr__(self, "positions", self.positions or self.labels)

    @classmethod
    def of(cls, profile: DeviceProfile) -> Montage:
        """Return the montage of a device profile."""
        return cls(
            profile.labels,
            profile.regions,
            tuple(profile.position(label) for label in profile.labels),
            profile.quality,
            Converter(profile.rails_uv, profile.dc_level_uv),
        )

    def channels(self, selection: ChannelSelection) -> tuple[str, ...]:
        """Return the labels of the selected channels.

        Raises
        ------
        UnknownName
            If the region or a channel does not exist; the message lists those that do.
        """
        region = selection.region
        if region is not None:
            if region not in self.regions:
                raise UnknownName(
                    f"there is no region {region!r} in this montage; {nearest(region, self.regions)}"
                )
            return tuple(self.regions[region])
        absent = [label for label in selection.channels if label not in self.labels]
        if absent:
            raise UnknownName(
                "; ".join(f"there is no channel {label!r}; {nearest(label, self.labels)}" for label in absent)
            )
        return selection.channels

    def columns(self, selection: ChannelSelection) -> tuple[int, ...]:
        """Return the columns of the selected channels."""
        return tuple(self.labels.index(label) for label in self.channels(selection))
