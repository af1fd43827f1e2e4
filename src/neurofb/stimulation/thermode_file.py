"""Thermodes as they are described: a TOML file each, with the source of every fact, or "assumed".

In: a name (``devices/thermodes/*.toml``), or the path of a lab's own file. Out: a ``ThermodeFile``: which driver, where
the device is, and what it can do. Kept: nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from neurofb.config import (
    Count,
    Flag,
    NotNegative,
    Positive,
    Table,
    Text,
    TomlFiles,
    parse_toml,
    require_sources,
    toml_content,
)
from neurofb.errors import WrongInput
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.heat_profile import HeatProfile

#: The thermode that is simulated needs no file.
SIMULATED_THERMODE = "simulated"


class Link(Table):
    """Where the device is: at a serial port, or at an address in the network."""

    port: Text | None = Field(None, description='the serial port, as "/dev/ttyACM0" or "COM3"')
    baud: Count | None = Field(None, description="the speed of the serial port, as 115200")
    host: Text | None = Field(None, description='the address of the maker\'s program, as "192.168.0.5"')
    tcp_port: Count | None = Field(None, description="its port, as 20121")


class Limits(Table):
    """What the device can do; the words of ``driver.Capabilities``."""

    max_c: Positive = Field(description="where the device itself cuts its power, in °C")
    rise_c_per_s: Positive = Field(description="the steepest rise that it follows, in °C/s")
    return_c_per_s: Positive = Field(description="the steepest return that it follows, in °C/s")
    abort_c_per_s: Positive = Field(description="how fast it cools after an abort, in °C/s; lower is safer")
    lag_s: NotNegative = Field(description="the time constant of the probe behind its command, in s")
    lowers: Flag = Field(
        False, description="true or false: can the target of a stimulus that is on be lowered"
    )
    on_silence: Literal["returns", "finishes", "holds"] = Field(
        description='what it does when the computer dies: "returns", "finishes" its stimulus, or "holds" it'
    )
    silence_s: Positive | None = Field(None, description='for "returns": after so many s')
    period_s: NotNegative = Field(0.0, description="from one reading to the next, in s")
    onset_s: NotNegative = Field(0.0, description="so many s after the command it begins at the latest")
    confirm_s: NotNegative = Field(
        0.0, description="so many s after its settings it confirms them at the latest"
    )
    longest_s: Positive | None = Field(None, description="the longest rise and plateau together, in s")
    step_c: NotNegative = Field(0.0, description="the step of its temperatures, in °C")
    step_c_per_s: NotNegative = Field(0.0, description="the step of its ramps, in °C/s")
    step_s: NotNegative = Field(0.0, description="the step of its times, in s")
    dwell: tuple[tuple[Positive, NotNegative], ...] = Field(
        (), description="rows [°C, s]: from so many °C on it ends a plateau after so many s"
    )
    spread_c: Positive | None = Field(None, description="so far apart its zones may be, in °C")

    def capabilities(self, name: str) -> Capabilities:
        """Return them for the guard."""
        given = {key: value for key, value in self.model_dump().items() if value is not None}
        return Capabilities(name, **given)


class Program(Table):
    """A stimulus that was set up by hand in the device's own program."""

    code: Annotated[int, Field(strict=True, ge=0, le=255)] = Field(
        description="the number by which the device knows it, from 0 to 255"
    )
    target_c: Positive = Field(description="the temperature of its plateau, in °C")
    plateau_s: NotNegative = Field(description="how long that is held, in s")
    baseline_c: Positive = Field(32.0, description="where it starts and ends, in °C")
    rise_c_per_s: Positive = Field(8.0, description="its rise, in °C/s")
    return_c_per_s: Positive = Field(8.0, description="its return, in °C/s")

    @model_validator(mode="after")
    def _is_a_stimulus(self) -> Program:
        try:
            _ = self.profile
        except WrongInput as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def profile(self) -> HeatProfile:
        """What it gives."""
        return HeatProfile(**self.model_dump(exclude={"code"}))


#: What needs a line in ``[sources]``.
FACTS = ("link", *Limits.model_fields)


class ThermodeFile(Table):
    """One thermode: which driver speaks to it, where it is, and what it can do."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] = Field(
        description='its name in small letters, digits and hyphens, as "tcs-ii"'
    )
    title: Text = Field(description='the device as people call it, as "TCS II"')
    manufacturer: Text = Field(description='who makes it, as "QST.Lab"')
    kind: Text = Field(description='the driver that speaks to it, as "tcs2"')
    experimental: Flag = Field(
        True, description="true or false: was the driver never tried on this device by its authors"
    )
    zones: tuple[Annotated[int, Field(strict=True, ge=1, le=5)], ...] = Field(
        (), description="the zones of its probe that heat, as [1, 2, 3, 4, 5]"
    )
    programs: tuple[Program, ...] = Field(
        (), description="tables [[programs]] with the stimuli that were set up in the device"
    )
    firmware: str = Field("", description='the firmware that is expected, as "16.1.2"; left out: any')
    link: Link = Field(description="the table [link]: port and baud, or host and tcp_port")
    limits: Limits = Field(description="the table [limits] with what the device can do")
    settings: Mapping[str, Any] = Field({}, description="the table [settings], which only its driver reads")
    notes: tuple[Text, ...] = Field((), description="what a user should know, as a list of sentences")
    sources: Mapping[str, Text] = Field(
        description='the table [sources]: for each fact where it is known from, or "assumed: why"'
    )

    @field_validator("zones")
    @classmethod
    def _zones_differ(cls, zones: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(zones)) < len(zones):
            raise ValueError(f"found {list(zones)}: a zone counts once")
        return zones

    @field_validator("programs")
    @classmethod
    def _programs_differ(cls, programs: tuple[Program, ...]) -> tuple[Program, ...]:
        for what, found in (
            ("code", [each.code for each in programs]),
            ("stimulus", [each.profile for each in programs]),
        ):
            if len(set(found)) < len(found):
                raise ValueError(f"two programs have the same {what}: nobody could know which one heats")
        return programs

    @field_validator("sources")
    @classmethod
    def _every_fact_sourced(cls, sources: Mapping[str, str], info: Any) -> Mapping[str, str]:
        limits = info.data.get("limits")
        given = ["link"] + ([] if limits is None else sorted(limits.model_fields_set))
        require_sources(sources, given, FACTS)
        return sources

    @property
    def assumed(self) -> tuple[str, ...]:
        """Facts whose source is assumed, in whole or in part."""
        return tuple(fact for fact, text in self.sources.items() if "assumed" in text.lower())

    @property
    def where(self) -> str:
        """Where the device is, in words."""
        if self.link.host is not None:
            return f"{self.link.host}:{self.link.tcp_port or 'its usual port'}"
        return self.link.port or "nowhere: [link] has neither port nor host"

    def capabilities(self) -> Capabilities:
        """Return what the device can do, as the file says; the device itself may say less."""
        able = self.limits.capabilities(self.title)
        return replace(able, programs=tuple(each.profile for each in self.programs))

    def outlives(self) -> str:
        """Return what happens to a stimulus whose computer dies, in words for whoever plans a session."""
        match self.limits.on_silence:
            case "returns":
                after_s = self.limits.silence_s or math.inf
                return f"the {self.title} returns to baseline {after_s:g} s after its computer dies"
            case "finishes":
                return (
                    f"the {self.title} finishes its stimulus when its computer dies: stand at its power switch, and "
                    "take the probe off"
                )
        return f"the {self.title} holds its temperature when its computer dies: it must not heat a person"


_FILES = TomlFiles("thermode", "thermode", "neurofb._devices.thermodes", "lab/my-thermode.toml")


def thermode_names() -> list[str]:
    """Return the names of all thermodes that come with neurofb as files, sorted."""
    return _FILES.names()


def load_thermode(name_or_path: str | Path) -> ThermodeFile:
    """Return the description of a thermode.

    Raises
    ------
    UnknownName
        If there is no such thermode or file.
    WrongFile
        If the file has something wrong in it; the message lists every problem with its line.
    """
    text, title = _FILES.read(name_or_path)
    return parse_toml(ThermodeFile, text, title)


def is_thermode(name_or_path: str) -> bool:
    """Return whether this names a bundled thermode, or a file that describes one."""
    if name_or_path in thermode_names():
        return True
    path = Path(name_or_path)
    if path.suffix != ".toml" or not path.is_file():
        return False
    text, title = _FILES.read(path)
    content = toml_content(text, title)
    return "kind" in content and "limits" in content
