"""The words of Medoc's Main Station, its external control: what is sent, and what its answers mean. No time, no link.

A request: length (the bytes after it), time, command, and for some a parameter. An answer: the same time and command,
the states, a result, and what the thermode is. All numbers are little-endian; of the request's length published
clients differ. Sources: the maker's addendum and MATLAB functions, and six published clients. Nothing was tried on a
device.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

Order = Literal["little", "big"]


class Command(IntEnum):
    """What is asked; the rest of the maker's list is never sent."""

    STATUS = 0
    SELECT = 1
    START = 2
    TRIGGER = 4
    STOP = 5
    ABORT = 6


class Result(IntEnum):
    """What became of it."""

    OK = 0
    ILLEGAL_ARGUMENT = 1
    ILLEGAL_STATE = 2
    ILLEGAL_TEST_STATE = 3
    DEVICE_ERROR = 0x1000
    WARNING = 0x2000
    WAITS = 0x3000
    SAFETY_ERROR = 0x4000


#: States of the system and of its test.
SYSTEM = ("idle", "ready", "test")
TEST = ("idle", "running", "paused", "ready")

#: Results by their whole values; the rest may be several at once.
RESULTS: dict[int, str] = {
    Result.OK: "all well",
    Result.ILLEGAL_ARGUMENT: "what was asked has an argument that it does not know",
    Result.ILLEGAL_STATE: "what was asked cannot be done in its state",
    Result.ILLEGAL_TEST_STATE: "what was asked cannot be done in the state of its test",
    Result.DEVICE_ERROR: "it does not reach its device",
    Result.WARNING: "a safety warning",
    Result.WAITS: "it waits for somebody to do something by hand",
    Result.SAFETY_ERROR: "a safety error: it has gone to its safe state",
}
#: Those that say no more than that one request was not obeyed.
REFUSALS = (Result.ILLEGAL_ARGUMENT, Result.ILLEGAL_STATE, Result.ILLEGAL_TEST_STATE)

#: What follows an answer's length: with a temperature and buttons, 19 bytes, and of older servers without, 13.
_ANSWER = struct.Struct("<IBBBHIhBBBB")
_OLD_ANSWER = struct.Struct("<IBBBHI")
#: The text of an answer is not longer. Assumed: the longest known has twelve letters.
_MOST_TEXT = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server says: states by their names, the thermode in °C (NaN where it tells none), buttons, a text."""

    time: int
    command: int
    system: str
    test: str
    result: int
    measured_c: float
    yes: bool
    no: bool
    text: str

    @property
    def is_old(self) -> bool:
        """Whether it is of a server that tells no temperature."""
        return math.isnan(self.measured_c)

    @property
    def trouble(self) -> str:
        """What ends a stimulus that is on; "" if nothing does. A result that is not known counts as trouble."""
        if self.result in (Result.OK, Result.WARNING, *REFUSALS):
            return ""
        return self.why

    @property
    def why(self) -> str:
        """The result in words."""
        what = RESULTS.get(self.result, "a result that is not known")
        return f"{what} (result 0x{self.result:04x})" + (f": {self.text}" if self.text else "")


def request(command: int, time: int, order: Order, parameter: int | None = None) -> bytes:
    """Return a request as bytes; ``time`` comes back with its answer."""
    body = struct.pack("<IB", time, command) + (b"" if parameter is None else struct.pack("<I", parameter))
    return len(body).to_bytes(4, order) + body


def answer_in(data: bytes) -> Answer | None:
    """Return the answer that these bytes begin with; None if it is not whole, or none at all."""
    n_bytes = int.from_bytes(data[:4], "little")
    if (
        len(data) < 4
        or not _OLD_ANSWER.size <= n_bytes <= _ANSWER.size + _MOST_TEXT
        or len(data) < 4 + n_bytes
    ):
        return None
    body = data[4 : 4 + n_bytes]
    if n_bytes < _ANSWER.size:
        time, command, system, test, result, _ = _OLD_ANSWER.unpack_from(body)
        hundredths, yes, no, text = None, 0, 0, body[_OLD_ANSWER.size :]
    else:
        time, command, system, test, result, _, hundredths, _, yes, no, _ = _ANSWER.unpack_from(body)
        text = body[_ANSWER.size :]
    return Answer(
        time,
        command,
        _name(SYSTEM, system),
        _name(TEST, test),
        result,
        math.nan if hundredths is None else hundredths / 100,
        yes != 0,
        no != 0,
        text.decode("ascii", "replace").strip("\x00 \r\n"),
    )


def _name(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else f"unknown ({number})"
