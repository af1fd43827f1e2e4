"""Profiles of headsets and amplifiers: a TOML file each, read into a frozen, checked model.

What comes in is a name (``devices/*.toml``) or the path of a user's own file; what goes out is a
``DeviceProfile``. A profile says for every fact where it comes from, or ``assumed``: labels and rails decide
what a participant is rewarded for, so it must be known which of them are assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Field, StringConstraints, ValidationInfo, field_validator

from neurofb.config import (
    Number,
    Place,
    Positive,
    Table,
    Text,
    TomlFiles,
    parse_toml,
    require_sources,
    several,
    unknown_facts,
)
from neurofb.devices.electrodes import OLD_POSITIONS, is_position
from neurofb.devices.tables import HardwareFilter, OtherStream, Packets, Program, QualityLimits, Unit
from neurofb.errors import UnknownDevice, UnknownName, WrongProfile, nearest

RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]

#: How many µV one of the unit is.
UNIT_UV: Mapping[str, float] = {"nanovolts": 1e-3, "microvolts": 1.0, "millivolts": 1e3, "volts": 1e6}


#: Facts of the device that stand at the top of a profile; each that is given needs a line in ``[sources]``.
FACTS = ("labels", "rate_hz", "unit", "resolution_uv", "rails_uv", "dc_level_uv", "reference", "ground")


class DeviceProfile(Table):
    """One headset or amplifier: its EEG channels and its stream.

    The order of the fields matters: a check sees the fields above its own, so that all problems of a file
    are found in one reading.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] = Field(
        description='the profile\'s own name in small letters, digits and hyphens, as "muse-2"'
    )
    title: Text = Field(description='the device as people call it, as "Muse 2"')
    manufacturer: Text = Field(description='who makes it, as "InteraXon"')
    labels: tuple[Text, ...] = Field(
        min_length=1,
        description='the EEG channels in the order of the stream, as ["TP9", "AF7"]',
    )
    montage: Literal["fixed", "default"] = Field(
        description='"fixed" if electrodes cannot be moved, "default" if the user may place them elsewhere'
    )
    positions: Mapping[str, Text] = Field(
        {}, validate_default=True, description='the 10-05 name of labels that are not one, as T3 = "T7"'
    )
    regions: Mapping[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], tuple[Text, ...]] = (
        Field(description='groups of channels, as frontal_left = ["AF7"]')
    )
    rate_hz: Positive = Field(description="the sampling rate in Hz, above 0, as 256.0")
    allowed_rates_hz: tuple[Positive, ...] = Field(
        (), description="every rate the device can be set to, in Hz; left out: rate_hz only"
    )
    unit: Unit = Field(
        description='the unit its software gives: "microvolts", "millivolts", "nanovolts" or "volts"'
    )
    resolution_uv: Positive | None = Field(None, description="the step of its converter in µV, as 0.488")
    rails_uv: tuple[Number, Number] | None = Field(
        None, description="the lowest and the highest value in µV before it clips, as [-1000.0, 999.5]"
    )
    dc_level_uv: Number = Field(description="the level in µV that a silent channel rests on, as 0.0")
    reference: Text = Field(description='the reference electrode in words, as "Fpz"')
    ground: Text = Field(description='the ground or driven electrode in words, as "forehead"')
    hardware_filter: HardwareFilter | None = Field(None, description="the table [hardware_filter]")
    other_streams: tuple[OtherStream, ...] = Field((), description="tables [[other_streams]]")
    programs: tuple[Program, ...] = Field(
        (),
        validation_alias=AliasChoices("programs", "lsl"),
        description="tables [[programs]], one for each program that sends its EEG (older profiles: [[lsl]])",
    )
    packets: Packets | None = Field(None, description="the table [packets]")
    quality: QualityLimits = Field(description="the table [quality] with the limits of usable EEG")
    notes: tuple[Text, ...] = Field((), description="what a user should know, as a list of sentences")
    disputed: Mapping[str, Text] = Field(
        {}, description="the table [disputed]: for a fact on which sources differ, what each of them says"
    )
    sources: Mapping[str, Text] = Field(
        description='the table [sources]: for each fact where it is known from, or "assumed: why"'
    )

    @field_validator("labels")
    @classmethod
    def _labels_differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} stands there more than once; each label names one channel")
        return labels

    @field_validator("positions")
    @classmethod
    def _places_exist(cls, positions: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        labels = info.data.get("labels", ())
        found: list[tuple[Place, str]] = []
        for label in positions:
            if labels and label not in labels:
                found.append(((label,), f"no channel has this label; {nearest(label, labels)}"))
        for label in labels:
            place = positions.get(label, label)
            if not is_position(place):
                hint = OLD_POSITIONS.get(place)
                right = f'{label} = "{hint}"' if hint else f'{label} = "…", as Fz, AF7 or CCP3h'
                found.append(
                    ((label,), f"{place!r} is no place of the 10-05 system; [positions] needs {right}")
                )
        if found:
            raise several(found)
        return positions

    @field_validator("regions")
    @classmethod
    def _channels_exist(
        cls, regions: Mapping[str, tuple[str, ...]], info: ValidationInfo
    ) -> Mapping[str, tuple[str, ...]]:
        labels = info.data.get("labels", ())
        found: list[tuple[Place, str]] = []
        for region, channels in regions.items():
            if not channels:
                found.append(((region,), "has no channels; leave the region out, or name its channels"))
            if len(set(channels)) < len(channels):
                found.append(((region,), f"found {list(channels)}: a channel counts once in a region"))
            absent = [channel for channel in channels if labels and channel not in labels]
            found.extend(((region,), f"no channel {each!r}; {nearest(each, labels)}") for each in absent)
        if found:
            raise several(found)
        return regions

    @field_validator("allowed_rates_hz")
    @classmethod
    def _rate_allowed(cls, allowed: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        rate_hz = info.data.get("rate_hz")
        if allowed and rate_hz is not None and rate_hz not in allowed:
            raise ValueError(f"rate_hz = {rate_hz} is not among them; add it, or correct rate_hz")
        return allowed

    @field_validator("rails_uv")
    @classmethod
    def _rails_in_order(cls, rails_uv: tuple[float, float] | None) -> tuple[float, float] | None:
        if rails_uv is not None and not rails_uv[0] < rails_uv[1]:
            raise ValueError(f"the low rail comes first and lies below the high one, as {sorted(rails_uv)}")
        return rails_uv

    @field_validator("dc_level_uv")
    @classmethod
    def _level_within_rails(cls, dc_level_uv: float, info: ValidationInfo) -> float:
        rails_uv = info.data.get("rails_uv")
        if rails_uv is not None and not rails_uv[0] <= dc_level_uv <= rails_uv[1]:
            raise ValueError(f"a channel cannot rest outside its rails {list(rails_uv)} µV")
        return dc_level_uv

    @field_validator("programs")
    @classmethod
    def _programs_fit(cls, programs: tuple[Program, ...], info: ValidationInfo) -> tuple[Program, ...]:
        n = len(info.data.get("labels", ()))
        found: list[tuple[Place, str]] = [
            (
                (i, "labels"),
                f"found {len(each.labels)} labels for {n} EEG channels; name each, in order",
            )
            for i, each in enumerate(programs)
            if n and each.labels and len(each.labels) != n
        ]
        found += [
            ((i, "order"), f"found {list(each.order)}; name each of {list(info.data['labels'])} once")
            for i, each in enumerate(programs)
            if n and each.order and sorted(each.order) != sorted(info.data["labels"])
        ]
        names = [each.program for each in programs]
        found += [
            ((i, "program"), f"{name!r} stands there already; give each program one table")
            for i, name in enumerate(names)
            if name in names[:i]
        ]
        if found:
            raise several(found)
        return programs

    @field_validator("disputed")
    @classmethod
    def _facts_exist(cls, disputed: Mapping[str, str]) -> Mapping[str, str]:
        if found := unknown_facts(disputed, FACTS):
            raise several(found)
        return disputed

    @field_validator("sources")
    @classmethod
    def _every_fact_sourced(cls, sources: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        given = [fact for fact in FACTS if info.data.get(fact) is not None]
        require_sources(sources, given, FACTS)
        return sources

    @property
    def n_channels(self) -> int:
        """Number of EEG channels."""
        return len(self.labels)

    @property
    def unit_uv(self) -> float:
        """Factor from ``unit`` to µV."""
        return UNIT_UV[self.unit]

    @property
    def rates_hz(self) -> tuple[float, ...]:
        """Sampling rates of the device, in Hz."""
        return self.allowed_rates_hz or (self.rate_hz,)

    @property
    def assumed(self) -> tuple[str, ...]:
        """Facts and tables whose source is assumed, in whole or in part."""
        marked = dict(self.sources)
        tables: dict[str, Any] = {
            "hardware_filter": self.hardware_filter,
            "packets": self.packets,
            "quality": self.quality,
        }
        tables |= {f"other_streams {stream.type}": stream for stream in self.other_streams}
        tables |= {f"program {each.program}": each for each in self.programs}
        marked |= {name: table.source for name, table in tables.items() if table is not None}
        return tuple(name for name, text in marked.items() if "assumed" in text.lower())

    def program(self, name: str) -> Program:
        """Return the program of a name, in small or capital letters.

        Raises
        ------
        UnknownName
            If the profile knows none of this name; the message lists those it knows.
        """
        for each in self.programs:
            if each.program.casefold() == name.strip().casefold():
                return each
        raise UnknownName(
            f"the profile of {self.title} knows no program {name!r}; "
            + (nearest(name, [each.program for each in self.programs]) if self.programs else "it names none")
        )

    def sent_by(self, program: Program) -> DeviceProfile:
        """Return the profile of the device as one of its programs sends it: that program alone, and its facts."""
        rails_uv = self.rails_uv if program.rails_uv is None else program.rails_uv
        given = {
            "unit": program.unit,
            "resolution_uv": program.resolution_uv or program.uv_per_count,
            "dc_level_uv": program.dc_level_uv,
        }
        return self.model_copy(
            update={
                "programs": (program,),
                "rails_uv": None if rails_uv == "unknown" else rails_uv,
                **{fact: value for fact, value in given.items() if value is not None},
            }
        )

    def sent_by_unknown(self) -> DeviceProfile:
        """Return the profile as a program sends it that nobody can name: without rails, if it names any programs.

        Rails belong to the program that sends; those of another would call good channels railed.
        """
        return self.model_copy(update={"rails_uv": None}) if self.programs else self

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units that its programs send, each once."""
        return tuple(dict.fromkeys(each.unit or self.unit for each in self.programs)) or (self.unit,)

    def position(self, label: str) -> str:
        """Return the 10-05 name of the place where channel ``label`` sits."""
        self.index(label)
        return self.positions.get(label, label)

    def index(self, label: str) -> int:
        """Return the column of channel ``label`` among the EEG channels."""
        if label not in self.labels:
            raise UnknownName(f"{self.title} has no channel {label!r}; {nearest(label, self.labels)}")
        return self.labels.index(label)

    def region_indices(self, name: str) -> tuple[int, ...]:
        """Return the columns of the channels in region ``name``, among the EEG channels.

        Raises
        ------
        UnknownName
            If the montage has no such region; the message lists those it has.
        """
        if name not in self.regions:
            raise UnknownName(f"{self.title} has no region {name!r}; {nearest(name, self.regions)}")
        return tuple(self.labels.index(label) for label in self.regions[name])


_PROFILES = TomlFiles(
    "device profile",
    "profile",
    "neurofb._devices",
    "./my-headset.toml",
    no_name=UnknownDevice,
    no_file=UnknownDevice,
    wrong=WrongProfile,
)


def profile_names() -> list[str]:
    """Return the names of all profiles that come with neurofb, sorted."""
    return _PROFILES.names()


def load_profiles() -> list[DeviceProfile]:
    """Return every profile that comes with neurofb, by name."""
    return [load_profile(name) for name in profile_names()]


def load_profile(name_or_path: str | Path) -> DeviceProfile:
    """Return the profile of a device.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a bundled profile (``muse-2``; ``Muse 2`` and ``muse_2`` are the same), or the path of a
        user's own file: a ``Path``, or a text that ends in ``.toml`` or has a folder in it.

    Raises
    ------
    UnknownDevice
        If there is no such profile or file; the message lists what exists.
    WrongProfile
        If the profile has something wrong in it; the message lists every problem with its line.
    """
    text, title = _PROFILES.read(name_or_path)
    return parse_toml(DeviceProfile, text, title, WrongProfile)
