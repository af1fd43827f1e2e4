"""The words of QST.Lab's TCS II and II.1: what is sent, and what its answers mean. No time, no port.

A command is a letter, or two, and a fixed number of digits without an end; an answer begins with a carriage return.
Sources: the device's own help text of firmware 008 and 012, and the wiring of published clients. Nothing was tried on
a device.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from neurofb.stimulation.heat_profile import HeatProfile

#: A press of this many aborts is heard though a command was cut off before: none of those that are sent has more
#: digits than seven.
ABORT = b"A" * 8
QUIET, HELP, PARAMETERS, BATTERY, ERRORS, LOOK = b"F", b"H", b"P", b"B", b"Q", b"EK"

_READING = re.compile(rb"\r(\d{3})((?:[+\- ]\d{3}){5})\r([01])([01])(?!\d)")
_GROUP = re.compile(rb"[+\- ]\d{3}")
_BATTERY = re.compile(rb"\r[\d .]{7}v (\d{3})%")
_ERRORS = re.compile(rb"(?<!\d)(\d{6})(?!\d)")
_HEAD = rb"N(\d{3})\s+T\d{3,6}\s+I\d\s+Y\d{4}\s+S([01]{5})"


@dataclass(frozen=True, slots=True)
class Firmware:
    """What the device says of itself in its help."""

    version: str
    serial: str
    probe: str
    #: Digits of the duration; None where the help does not say.
    duration_digits: int | None
    #: Whether the response button can stop a stimulus in the device (``Ol``).
    has_button: bool
    #: Whether the trigger input can be switched off (``Osd``); the bare ``Os`` of older ones allows it.
    has_trigger_off: bool

    @property
    def is_slow(self) -> bool:
        """Whether it needs a pause of 1 ms after every character: before firmware 14, and where it is unknown."""
        first = re.match(r"\D*(\d+)", self.version)
        return first is None or int(first[1]) < 14


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer to ``LOOK``: the neutral and the five zones in °C, and whether the two buttons are pressed."""

    neutral_c: float
    zones_c: tuple[float, ...]
    stim: bool
    response: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """What the device holds: temperatures in 0.1 °C, speeds in 0.1 °C/s, the duration in ms."""

    neutral: int
    zones: str
    target: int
    rise: int
    fall: int
    duration: int

    def commands(self, duration_digits: int) -> list[bytes]:
        """Return the six commands that set them, for all zones."""
        return [
            b"N%03d" % self.neutral,
            b"S" + self.zones.encode(),
            b"C0%03d" % self.target,
            b"V0%04d" % self.rise,
            b"R0%04d" % self.fall,
            b"D0%0*d" % (duration_digits, self.duration),
        ]


def settings_of(profile: HeatProfile, zones: Collection[int]) -> Settings:
    """Return a stimulus as the device takes it, each number rounded down; the duration is rise and plateau."""
    return Settings(
        tenths(profile.baseline_c),
        "".join("1" if zone in zones else "0" for zone in range(1, 6)),
        tenths(profile.target_c),
        tenths(profile.rise_c_per_s),
        tenths(profile.return_c_per_s),
        max(1, int((profile.rise_s + profile.plateau_s) * 1000 + 1e-6)),
    )


def tenths(value: float) -> int:
    """Return a positive number in tenths, rounded down."""
    return int(value * 10 + 1e-6)


def cap(celsius: float) -> bytes:
    """Return the command that caps the targets that are sent after it."""
    return b"Om%03d" % tenths(celsius)


def seen_in(data: bytes) -> tuple[Seen, int] | None:
    """Return the newest answer to ``LOOK`` and where it ends; None if there is none whole."""
    found = _last(_READING, data)
    if found is None:
        return None
    zones_c = tuple(_tenths(group) for group in _GROUP.findall(found[2]))
    return Seen(int(found[1]) / 10, zones_c, found[3] == b"1", found[4] == b"1"), found.end()


def settings_in(data: bytes, duration_digits: int) -> list[Settings] | None:
    """Return the settings of each zone of the last whole answer to ``PARAMETERS``; None if there is none."""
    zone = rb"C(\d{3})\s+V(\d{4})\s+R(\d{4})\s+D(\d{%d})" % duration_digits
    found = _last(re.compile(_HEAD + rb"((?:\s+" + zone + rb"){5})(?!\d)"), data)
    if found is None:
        return None
    neutral, on = int(found[1]), found[2].decode()
    return [Settings(neutral, on, *map(int, each)) for each in re.findall(zone, found[3])]


def battery_in(data: bytes) -> int | None:
    """Return the battery's charge in %; None if there is no whole answer."""
    found = _BATTERY.search(data)
    return None if found is None else int(found[1])


def errors_in(data: bytes) -> str | None:
    """Return the six digits of errors, five zones and the neutral, 0 where all is well; None if there is no answer."""
    found = _ERRORS.search(data)
    return None if found is None else found[1].decode()


def firmware_in(data: bytes) -> Firmware | None:
    """Return what the help says; None if it has not come whole."""
    text = data.decode("ascii", "replace")
    version = re.search(r"Firmware\s*:\s*([^\r\n]+)", text)
    if version is None or "\n" not in text[version.end() :]:
        return None
    serial = re.search(r"Probe ID\s*:\s*([^\r\n]+)", text)
    probe = re.search(r"Probe TYPE\s*:\s*([^\r\n]+)", text)
    digits = re.search(r"\bDs(x{4,5})\b", text)
    return Firmware(
        version[1].strip(),
        serial[1].strip() if serial else "",
        probe[1].strip() if probe else "",
        None if digits is None else len(digits[1]),
        re.search(r"\bOl\b", text) is not None,
        re.search(r"\bOs(?:[edx]|e/d)\b", text) is not None,
    )


def _last(pattern: re.Pattern[bytes], data: bytes) -> re.Match[bytes] | None:
    return max(pattern.finditer(data), key=lambda found: found.end(), default=None)


def _tenths(group: bytes) -> float:
    value = int(group[1:]) / 10
    return -value if group[:1] == b"-" else value
