"""Headers and footers of an XDF file: XML to plain mappings, and the header of a stream, read and written.

Headers are spelled as LabRecorder's are, so that everything that reads those reads ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np

from neurofb import limits
from neurofb.errors import WrongFile, WrongInput

#: Channel formats as XDF names them; None for text.
DTYPES: Mapping[str, str | None] = {
    "float32": "<f4",
    "double64": "<f8",
    "int64": "<i8",
    "int32": "<i4",
    "int16": "<i2",
    "int8": "i1",
    "string": None,
}
_DEEPEST = 64


def parse_xml(content: bytes) -> dict[str, Any]:
    """Return an XML document as nested mappings; children of the same name become a list, all else is text.

    Raises
    ------
    WrongFile
        If it is no XML, or tries to define entities.
    """
    text = content.decode("utf-8", "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise WrongFile("a header defines XML entities; no recording needs them, and none are expanded")
    try:
        # An encoding named in the text would be taken for that of the decoded text.
        start = text.index("?>") + 2 if text.lstrip().startswith("<?xml") else 0
        root = ElementTree.fromstring(text[start:])
    except (ElementTree.ParseError, ValueError) as error:
        raise WrongFile(f"a header is no XML: {error}") from None
    found = _plain(root, 0)
    return found if isinstance(found, dict) else {}


def _plain(element: ElementTree.Element, depth: int) -> Any:
    if not len(element) or depth > _DEEPEST:
        return element.text or ""
    found: dict[str, Any] = {}
    for child in element:
        value = _plain(child, depth + 1)
        if child.tag not in found:
            found[child.tag] = value
        elif isinstance(found[child.tag], list):
            found[child.tag].append(value)
        else:
            found[child.tag] = [found[child.tag], value]
    return found


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """The header of a stream: its description before the first sample."""

    name: str
    type: str
    #: One of ``DTYPES``.
    channel_format: str
    #: Nominal rate; 0 for an irregular stream.
    rate_hz: float
    #: One for each channel; units may be left out. In a file that was read: of the channels that it describes.
    labels: tuple[str, ...]
    units: tuple[str, ...] = ()
    #: As LSL has them.
    source_id: str = ""
    uid: str = ""
    hostname: str = ""
    session_id: str = ""
    #: On the sender's clock.
    created_s: float = 0.0
    #: Further children of ``desc``; mappings nest, all else is text. In a file that was read: all of them.
    desc: Mapping[str, Any] = field(default_factory=dict)
    #: Values of each sample; by default one for each label.
    n_channels: int = 0
    #: Of the stream in the file that was read.
    number: int = 0

    def __post_init__(self) -> None:
        if self.channel_format not in DTYPES:
            raise WrongInput(
                f"no channel format {self.channel_format!r} in XDF; there are: {', '.join(DTYPES)}"
            )
        if self.n_channels:  # read from a file, which may describe some of its channels, or none
            return
        if not self.labels:
            raise WrongInput(f"the stream {self.name!r} has no channels; a stream has at least one")
        if self.units and len(self.units) != len(self.labels):
            raise WrongInput(
                f"the stream {self.name!r} has {len(self.labels)} channels and {len(self.units)} units; "
                "give one for each, or none"
            )
        object.__setattr__(self, "n_channels", len(self.labels))

    @classmethod
    def read(cls, number: int, info: Mapping[str, Any]) -> StreamHeader:
        """Return the header of stream ``number`` of a file.

        Raises
        ------
        WrongFile
            If nothing of the stream can be read with it.
        """
        given = _text(info, "channel_format")
        form = {"float": "float32", "double": "double64"}.get(given, given)
        if form not in DTYPES:
            raise WrongFile(
                f"its header names the channel format {given[:20]!r}; there are: {', '.join(DTYPES)}"
            )
        n_channels = _number(_text(info, "channel_count"))
        if not (n_channels.is_integer() and 1 <= n_channels <= limits.MOST_CHANNELS):
            raise WrongFile(
                f"its header counts {_text(info, 'channel_count')[:20]!r} channels; 1 to {limits.MOST_CHANNELS} can be"
            )
        rate_hz = _number(_text(info, "nominal_srate"))
        desc = info.get("desc")
        desc = desc if isinstance(desc, dict) else {}
        return cls(
            number=number,
            name=_text(info, "name"),
            type=_text(info, "type"),
            source_id=_text(info, "source_id"),
            uid=_text(info, "uid"),
            hostname=_text(info, "hostname"),
            channel_format=form,
            n_channels=int(n_channels),
            rate_hz=rate_hz if 0 < rate_hz < math.inf else 0.0,
            labels=channel_texts(desc, "label"),
            units=channel_texts(desc, "unit"),
            desc=desc,
        )

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The number format; None for text."""
        name = DTYPES[self.channel_format]
        return None if name is None else np.dtype(name)

    @property
    def period_s(self) -> float:
        """The time between samples; 0 for an irregular stream."""
        return 1.0 / self.rate_hz if self.rate_hz else 0.0

    def to_xml(self) -> bytes:
        """Return the header as XDF stores it."""
        info = ElementTree.Element("info")
        for key, value in (
            ("name", self.name),
            ("type", self.type),
            ("channel_count", str(self.n_channels)),
            ("channel_format", self.channel_format),
            ("source_id", self.source_id),
            ("nominal_srate", repr(float(self.rate_hz))),
            ("version", "1.10"),
            ("created_at", repr(float(self.created_s))),
            ("uid", self.uid),
            ("session_id", self.session_id),
            ("hostname", self.hostname),
        ):
            ElementTree.SubElement(info, key).text = _clean(value)
        desc = ElementTree.SubElement(info, "desc")
        channels = ElementTree.SubElement(desc, "channels")
        units = self.units or ("",) * self.n_channels
        for label, unit in zip(self.labels, units, strict=True):
            channel = ElementTree.SubElement(channels, "channel")
            ElementTree.SubElement(channel, "label").text = _clean(label)
            if unit:
                ElementTree.SubElement(channel, "unit").text = _clean(unit)
            ElementTree.SubElement(channel, "type").text = _clean(self.type)
        _add_children(desc, self.desc)
        return to_bytes(info)


def _clean(text: str) -> str:
    """Remove characters that XML 1.0 cannot hold, such as NUL."""
    return "".join(
        c
        for c in text
        if c in "\t\n\r" or (c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")
    )


def _add_children(parent: ElementTree.Element, children: Mapping[str, Any]) -> None:
    for key, value in children.items():
        child = ElementTree.SubElement(parent, key)
        if isinstance(value, Mapping):
            _add_children(child, value)
        else:
            child.text = _clean(str(value))


def to_bytes(element: ElementTree.Element) -> bytes:
    """Return an XML document as XDF stores it."""
    content: bytes = ElementTree.tostring(element, "us-ascii")
    return b'<?xml version="1.0"?>' + content


def read_footer(content: bytes) -> dict[str, Any]:
    """Return a footer: ``first_timestamp``, ``last_timestamp`` (s), ``sample_count``, and all else it says."""
    info = parse_xml(content)
    for key in ("first_timestamp", "last_timestamp"):
        info[key] = _number(_text(info, key))
    count = _number(_text(info, "sample_count"))
    info["sample_count"] = int(count) if count.is_integer() else None
    return info


def channel_texts(desc: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return a property of each channel in ``desc``, "" where it is missing; empty if all are."""
    channels = desc.get("channels")
    channels = channels[0] if isinstance(channels, list) else channels
    found = channels.get("channel", []) if isinstance(channels, dict) else []
    found = found if isinstance(found, list) else [found]
    texts = tuple(_text(each, key) if isinstance(each, dict) else "" for each in found)
    return texts if any(texts) else ()


def _text(info: Mapping[str, Any], key: str) -> str:
    value = info.get(key, "")
    value = value[0] if isinstance(value, list) else value
    return value if isinstance(value, str) else ""


def _number(text: str) -> float:
    """Return a number, NaN if it is none: numbers of other programs may have commas or be missing."""
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return math.nan
