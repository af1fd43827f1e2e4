"""The words of a Medoc TSA-2 at its own serial interface: frames, commands, and what its status means.

A frame: a checksum over all that follows, a length (the bytes after the checksum), the command, a token that counts
up, a tag (0 is the main thermode), and data; an answer repeats command and token and has an acknowledgement before its
data. All numbers are big-endian, temperatures in 0.01 °C. Sources: the maker's Python interface as public experiments
have it, with its test vectors. Nothing was tried on a device. No time, no port.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from neurofb.stimulation.heat_profile import HeatProfile


class Command(IntEnum):
    """What is asked; the rest of the maker's list is never sent."""

    SET_ACTIVE = 18
    RUN_TEST = 22
    END_TEST = 25
    CLEAR = 27
    RAMP = 28
    STATUS = 33
    ERRORS = 35
    VERSION = 37
    SET_STATE = 41
    ENABLE = 83


class State(IntEnum):
    """What the device's controller is doing."""

    SAFE = 0
    SELF_TEST = 1
    REST = 2
    TEST_INIT = 3
    TEST_RUN = 4
    PAUSED = 5


class Health(IntEnum):
    """The bit of its health that means more than a fault: somebody pressed the emergency button."""

    EMERGENCY = 512


#: What its acknowledgement means; 0 is well.
ACKNOWLEDGEMENTS = {
    1: "unsupported", 2: "wrong checksum", 3: "an illegal parameter", 4: "not possible in its state",
    5: "the thermode is disabled", 6: "wrong sequence", 7: "its buffer is full", 8: "no data", 9: "data exists",
    10: "failed", 11: "a wrong address", 12: "a wrong size",
}  # fmt: skip
#: Errors that an operator can do something about; the others are said by their number.
ERRORS = {
    0x8001: "overheated", 0x8002: "its own table of temperatures and times ended the stimulus",
    0x8003: "sensors disagree", 0x8004: "sensors disagree", 0x8008: "its water is hot", 0x8009: "a sensor is broken",
    0x800A: "a sensor is broken", 0x800B: "a sensor is broken", 0x800C: "it lost the computer",
    0x800D: "no thermode is enabled", 0x800F: "the thermode is missing", 0x8010: "the thermode is missing",
    0x8012: "sensors disagree", 0x8019: "its emergency button was pressed",
    0x8020: "its safety temperature was reached",
    0x400C: "its buffer of ramps was empty",
}  # fmt: skip
#: Errors with one of these bits are fatal (0x8000) or end a test (0x4000); the third class, warnings, ends nothing: the
#: maker's list.
GRAVE = 0xC000
#: The emergency button: the maker's list.
EMERGENCY_ERROR = 0x8019

#: Both of the participant's buttons: one text of the maker's has their two bits the wrong way round.
BUTTONS = 0b11
#: What follows a frame's checksum: length, command, token, tag.
_HEAD = struct.Struct(">HBIB")
#: No frame is longer: the maker's interface.
_MOST = 511
#: Ramp by time: target, duration in ms, options, buttons that stop it, and 0.
_RAMP = struct.Struct(">hIBBB")
#: The only option, the maker's default: an empty buffer is allowed.
_ALLOW_EMPTY = 0x80


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame of the device."""

    command: int
    token: int
    acknowledgement: int
    data: bytes

    @property
    def why(self) -> str:
        """Why a command was not obeyed, in words."""
        return ACKNOWLEDGEMENTS.get(
            self.acknowledgement, f"for a reason that is not known ({self.acknowledgement})"
        )


@dataclass(frozen=True, slots=True)
class Status:
    """What the device is doing, and what its probe is."""

    state: int
    running_token: int
    has_error: bool
    pressed: bool
    #: Of each heater, °C; of the coolers where there is none.
    zones_c: tuple[float, ...]
    health: int


def checksum(data: bytes) -> int:
    """Return the CRC-8 of some bytes: polynomial 7, start 0, no reflection."""
    found = 0
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = (found << 1) ^ (0x107 if found & 0x80 else 0)
    return found


def frame(command: int, token: int, data: bytes = b"") -> bytes:
    """Return a command for the main thermode as bytes."""
    body = _HEAD.pack(_HEAD.size + len(data), command, token & 0xFFFFFFFF, 0) + data
    return bytes([checksum(body)]) + body


def answer_in(data: bytes) -> tuple[Answer, int] | None:
    """Return the first whole answer and where it ends; None if there is none. What makes no frame is passed over."""
    for at in range(len(data) - _HEAD.size):
        n_bytes = int.from_bytes(data[at + 1 : at + 3], "big")
        body = data[at + 1 : at + 1 + n_bytes]
        if _HEAD.size < n_bytes <= _MOST and len(body) == n_bytes and checksum(body) == data[at]:
            _, command, token, _ = _HEAD.unpack_from(body)
            found = Answer(command, token, body[_HEAD.size], body[_HEAD.size + 1 :])
            return found, at + 1 + n_bytes
    return None


def ramp(target_c: float, duration_s: float) -> bytes:
    """Return the data of a ramp to a temperature within a time, both rounded down; either button stops it."""
    return _RAMP.pack(hundredths(target_c), milliseconds(duration_s), _ALLOW_EMPTY, BUTTONS, 0)


def ramps(profile: HeatProfile) -> list[bytes]:
    """Return a stimulus as the ramps that the device queues: up, hold, back.

    The plateau is a ramp by time to the same temperature: by temperature it would be there at once, and over.
    """
    found = [(profile.target_c, profile.rise_s), (profile.target_c, profile.plateau_s)]
    found.append((profile.baseline_c, profile.return_s))
    return [ramp(to_c, lasts_s) for to_c, lasts_s in found if milliseconds(lasts_s) > 0]


def hundredths(celsius: float) -> int:
    """Return a temperature above 0 °C in hundredths, rounded down."""
    return int(celsius * 100 + 1e-6)


def milliseconds(seconds: float) -> int:
    """Return a duration in ms, rounded down."""
    return int(seconds * 1000 + 1e-6)


def status_in(data: bytes) -> Status | None:
    """Return the status in an answer's data; None if it is not whole, or of a device with another layout."""
    take = _Taker(data)
    try:
        take.number(4)
        take.number(4)
        token, status = take.number(4), take.number(1)
        take.number(1)
        pressed = take.number(1)
        take.number(2)
        heaters, coolers = take.temperatures(), take.temperatures()
        take.number(2 + 2 + 1)
        if take.number(1) == _WITH_SURFACES:
            take.number(4)
        take.number(2)
        take.temperatures()
        take.number(2)
        for _ in range(2):
            take.number(_PID_BYTES * take.number(1))
        take.number(4 + 4 + 1 + 1)
        health = take.number(2)
        take.number(1)
    except EOFError:
        return None
    if not take.is_over:
        return None
    is_pressed = bool(pressed & BUTTONS)
    return Status(status & 0x0F, token, bool(status & 0x40), is_pressed, heaters or coolers, health)


#: The version of the layout that has two temperatures more: the maker's interface.
_WITH_SURFACES = 5
#: The bytes of each of its controllers' blocks: the maker's interface.
_PID_BYTES = 13


class _Taker:
    """Takes numbers off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, n_bytes: int) -> int:
        if self._at + n_bytes > len(self._data):
            raise EOFError
        self._at += n_bytes
        return int.from_bytes(self._data[self._at - n_bytes : self._at], "big")

    def temperatures(self) -> tuple[float, ...]:
        n = self.number(1)
        if self._at + 2 * n > len(self._data):
            raise EOFError
        values = struct.unpack_from(f">{n}h", self._data, self._at)
        self._at += 2 * n
        return tuple(each / 100 for each in values)

    @property
    def is_over(self) -> bool:
        return self._at == len(self._data)


def first_error(data: bytes) -> int | None:
    """Return the code of the first error in an answer's data; None if there is none.

    The maker's own reader does not get beyond the first.
    """
    return int.from_bytes(data[1:3], "big") if len(data) >= 3 and data[0] > 0 else None


def error_in_words(code: int) -> str:
    """Return an error as an operator can use it."""
    return f"error 0x{code:04X}: {ERRORS.get(code, 'see the manual')}"
