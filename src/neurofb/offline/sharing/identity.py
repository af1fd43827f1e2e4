"""What names a person, a computer, a device or a day: collected, taken out of texts, looked for in bytes.

In: headers, settings and texts of a session. Out: texts without it, and the places where any of it still stands. Kept:
the values to be removed, by kind, and how often each kind was.
"""

from __future__ import annotations

import getpass
import gzip
import html
import json
import platform
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from neurofb.errors import WrongFile

#: What stands in the place of a removed value.
REMOVED = "removed"
#: Shorter values are only looked for as whole words in texts: in numbers they come by chance.
_LEAST_BYTES = 6
#: Even shorter ones are parts of words, as "vm" of ".vmrk": only a text that is nothing else is one.
_LEAST_WORD = 4
#: Seconds since 1970 in text, from 2001 to 2033.
_EPOCH = r"(?<![\d.])1\d{9}(?:\.\d+)?(?![\d.])"
PATTERNS: Mapping[str, re.Pattern[str]] = {
    "hardware address": re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}(?![0-9A-Fa-f])"),
    "network address": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),
    "e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+\w"),
    "path": re.compile(
        r"(?<![\w./])/(?:home|Users|root|mnt|media|tmp|data|srv|var)/[^\s\"'<>,;:]+|\b[A-Za-z]:\\[^\s\"'<>,;]+"
    ),
    "absolute time": re.compile(
        r"\b(?:19|20)\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d(?::[\d.]+)?(?:Z|[+-]\d\d:?\d\d)?"
        rf"|{_EPOCH}"
    ),
}
#: What a serial number looks like in the name of a stream, as "Muse-1A2B" or "EPOCX (E2020A3F)".
_SERIAL = re.compile(r"(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{4,}")


class Identity:
    """The values that a copy must not have.

    Parameters
    ----------
    kept : collection of str
        Words that name nobody although they stand where names stand, as the name of a device's profile.
    """

    def __init__(self, kept: set[str]) -> None:
        self._kept = {"", REMOVED, *kept}
        self.values: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def add(self, kind: str, value: str, by: str = REMOVED) -> None:
        """Note a value that is to be replaced wherever it stands."""
        if value not in self._kept and value != by and len(value) > 1:
            self.values[value] = by
            self.counts[kind] += 1

    def add_computer(self) -> None:
        """Note the names of this computer and of its user, which programs write where nobody looks."""
        self.add("host name", platform.node())
        try:
            user = getpass.getuser()
        except (OSError, KeyError, ImportError):
            return
        if user != "root":
            self.add("user name", user)

    def add_stream(self, name: str, source_id: str, uid: str, hostname: str) -> None:
        """Note what a stream's header says of its sender."""
        self.add("host name", hostname)
        self.add("source_id", source_id)
        self.add("uid", uid)
        if name not in self._kept:
            self.add("name of a stream", name)
        for word in _SERIAL.findall(f"{name} {source_id}"):
            if len(word) >= _LEAST_BYTES:
                self.add("serial number", word)

    def clean(self, text: str) -> str:
        """Return a text without any of the values, and without what looks like one."""
        for value in sorted(self.values, key=len, reverse=True):
            if len(value) < _LEAST_WORD:
                text = self.values[value] if text == value else text
            elif value in text:
                text = _as_word(value).sub(self.values[value], text)
        for kind, pattern in PATTERNS.items():
            text, n = pattern.subn(REMOVED, text)
            if n:
                self.counts[kind] += n
        return text

    def clean_document(self, document: Any) -> Any:
        """Return a JSON document with all its texts cleaned; numbers keep their bits."""
        if isinstance(document, str):
            return self.clean(document)
        if isinstance(document, Mapping):
            return {self.clean(str(key)): self.clean_document(value) for key, value in document.items()}
        if isinstance(document, list | tuple):
            return [self.clean_document(value) for value in document]
        return document

    def found_in(self, path: Path, name: str) -> list[str]:
        """Return the values that still stand in a file or its name, also packed, or as JSON, XML and HTML spell it."""
        content = path.read_bytes()
        if path.suffix == ".gz":
            try:
                content = gzip.decompress(content)
            except (OSError, EOFError, zlib.error) as error:
                raise WrongFile(
                    f"{path} cannot be unpacked, so it cannot be looked through: {error}"
                ) from None
        is_text = b"\0" not in content
        text = content.decode("utf-8", "replace") if is_text else ""
        return [
            value
            for value in self.values
            if _stands_in(value, content, text)
            or (len(value) >= _LEAST_WORD and _as_word(value).search(name))
        ]


def _stands_in(value: str, content: bytes, text: str) -> bool:
    if len(value) < _LEAST_WORD:
        return any(f"{a}{value}{b}".encode() in content for a, b in ('""', "><", "''"))
    if len(value.encode()) < _LEAST_BYTES:
        return bool(text) and _as_word(value).search(text) is not None
    spellings = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    spellings |= {escape(value), html.escape(value), value.encode("ascii", "xmlcharrefreplace").decode()}
    if value.isalpha():
        return any(_as_word(each).search(text) for each in spellings) if text else value.encode() in content
    forms = [each.encode() for each in spellings] + [value.encode("utf-16-le")]
    return any(each in content for each in forms)


def _as_word(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])")
