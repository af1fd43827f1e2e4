"""Read the headers and footers of an XDF file: XML to plain mappings, and the facts of a stream."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import numpy as np

from neurofb.errors import WrongFile
from neurofb.xdf.encoding import DTYPES

_DEEPEST = 64
_MOST_CHANNELS = 2**31


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
class StreamFacts:
    """Description of a stream, from its header.

    Attributes
    ----------
    number : int
        Of the stream in its file.
    name, type, source_id, uid, hostname : str
    channel_format : str
        One of ``xdf.DTYPES``.
    n_channels : int
    rate_hz : float
        Nominal; 0 for an irregular stream.
    labels, units : tuple of str
        Of the channels that are described; empty if none is.
    desc : mapping
        Everything else it says, nested.
    info : mapping
        The whole header.
    """

    number: int
    name: str
    type: str
    source_id: str
    uid: str
    hostname: str
    channel_format: str
    n_channels: int
    rate_hz: float
    labels: tuple[str, ...]
    units: tuple[str, ...]
    desc: Mapping[str, Any]
    info: Mapping[str, Any]

    @classmethod
    def read(cls, number: int, info: Mapping[str, Any]) -> StreamFacts:
        """Return the facts of a stream from its header.

        Raises
        ------
        WrongFile
            If nothing of the stream can be read with it.
        """
        given = _text(info, "channel_format")
        form = {"float": "float32", "double": "double64"}.get(given, given)
        if form not in DTYPES:
            raise WrongFile(f"its header names the channel format {given!r}; there are: {', '.join(DTYPES)}")
        n_channels = _number(_text(info, "channel_count"))
        if not (n_channels.is_integer() and 1 <= n_channels <= _MOST_CHANNELS):
            raise WrongFile(f"its header counts {_text(info, 'channel_count')!r} channels")
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
            info=info,
        )

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The number format; None for text."""
        form = DTYPES[self.channel_format]
        return None if form is None else np.dtype(form)

    @property
    def period_s(self) -> float:
        """Seconds between samples; 0 for an irregular stream."""
        return 1.0 / self.rate_hz if self.rate_hz else 0.0


def read_footer(content: bytes) -> dict[str, Any]:
    """Return a footer: ``first_timestamp``, ``last_timestamp`` (s), ``sample_count``, and all else it says."""
    info = parse_xml(content)
    for key in ("first_timestamp", "last_timestamp"):
        info[key] = _number(_text(info, key))
    count = _number(_text(info, "sample_count"))
    info["sample_count"] = int(count) if count.is_integer() else None
    return info


def channel_texts(desc: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return what ``desc`` says of each described channel, "" where it says nothing; empty if of none."""
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
