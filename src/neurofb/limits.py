"""What an input may claim: files are weighed before they are read, and texts before they are parsed.

In: a path, or a text from outside. Out: its text or document, or one error that names size and limit. Kept: nothing.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from neurofb.errors import WrongFile

#: Bytes of a TOML file; the longest that comes with neurofb has 12 kB (assumed).
MOST_TOML_BYTES = 200_000
#: Names in one dotted key of TOML; a protocol has 4 (assumed).
DEEPEST_KEY = 50
#: Bytes of a JSON file; a session's longest has 100 kB (assumed).
MOST_JSON_BYTES = 20_000_000
#: Problems that one message lists (assumed).
MOST_LISTED = 100
#: Bytes of a header in a recording; that of 256 channels with places and amplifier has 100 kB (assumed).
MOST_HEADER_BYTES = 1 << 20
#: Bytes of a footer, which may list a clock offset for every 5 s of a day (assumed).
MOST_FOOTER_BYTES = 4 << 20
#: Channels of a recording, and its rate in Hz; the most that a device for EEG has are 512 and 100 kHz (assumed).
MOST_CHANNELS, MOST_RATE_HZ = 4096, 1_000_000.0
#: Letters of a line in a recording as text (assumed).
LONGEST_LINE = 100_000
#: A packed recording becomes so many times longer at most; EEG becomes 2 to 4 times (assumed).
MOST_UNPACKED = 100


def require_regular(path: Path, wrong: type[WrongFile] = WrongFile) -> int:
    """Return the size of a regular file in bytes; a pipe or a device, whose end nobody knows, is refused.

    Raises
    ------
    WrongFile
        If it is none, or its name cannot be one.
    OSError
        If there is nothing of the name, or it cannot be looked at.
    """
    if "\0" in str(path):
        raise wrong(f"{str(path)!r} cannot be the name of a file: it has the letter NUL; give a path")
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise wrong(f"{path} is a pipe, socket or device, which may never end; needed is a file on a disk")
    return found.st_size


def read_text(
    path: Path, most_bytes: int, wrong: type[WrongFile] = WrongFile, encoding: str = "utf-8"
) -> str:
    """Return the text of a file that is not too large.

    Raises
    ------
    WrongFile
        If it is too large, or no regular file.
    OSError, UnicodeDecodeError
        If it cannot be read.
    """
    return read_bytes(path, most_bytes, wrong).decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def read_bytes(path: Path, most_bytes: int, wrong: type[WrongFile] = WrongFile) -> bytes:
    """Return the content of a file that is not too large, as `read_text` does."""
    size = require_regular(path, wrong)
    with path.open("rb") as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise wrong(
            f"{path} has {size:,} bytes; a file of its kind has {most_bytes:,} at most: is it the right one?"
        )
    return content


def parse_json(text: str) -> Any:
    """Return the document of a JSON text; ValueError if it is none, or nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def read_json(path: Path) -> Any:
    """Return the document of a JSON file; OSError or ValueError, as `WrongFile` is one, if it has none."""
    return parse_json(read_text(path, MOST_JSON_BYTES))
