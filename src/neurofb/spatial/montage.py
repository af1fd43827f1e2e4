"""What features need to know of a headset: labels, places, regions, and where its channels stop being EEG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from neurofb.devices import DeviceProfile, QualityLimits
from neurofb.dsp.quality import Converter
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.features.feature_specs import Place

#: Where no profile says better: common practice for gel electrodes.
USUAL_LIMITS = QualityLimits(
    flat_uv=0.1, noisy_uv=100.0, max_dc_uv=100000.0, line_uv=20.0, source="assumed: common practice"
)


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

    def channels(self, place: Place) -> tuple[str, ...]:
        """Return the labels of a place's channels.

        Raises
        ------
        UnknownName
            If the region or a channel does not exist; the message lists those that do.
        """
        if place.region is not None:
            if place.region not in self.regions:
                raise UnknownName(
                    f"there is no region {place.region!r} in this montage; {nearest(place.region, self.regions)}"
                )
            return tuple(self.regions[place.region])
        absent = [label for label in place.channels if label not in self.labels]
        if absent:
            raise UnknownName(
                "; ".join(f"there is no channel {label!r}; {nearest(label, self.labels)}" for label in absent)
            )
        return place.channels

    def columns(self, place: Place) -> tuple[int, ...]:
        """Return the columns of a place's channels."""
        return tuple(self.labels.index(label) for label in self.channels(place))
