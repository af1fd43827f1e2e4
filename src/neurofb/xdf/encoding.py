"""Chunks of an XDF file, version 1.0: bytes from headers and arrays. Nothing here opens a file.

Layout of the format: https://github.com/sccn/xdf/wiki/Specifications. Headers are spelled as LabRecorder's are, so that
everything that reads those reads ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput

MAGIC = b"XDF:"
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, BOUNDARY, STREAM_FOOTER = range(1, 7)
#: Readers resume here after damage.
BOUNDARY_MARK = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")

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


@dataclass(frozen=True, slots=True)
class StreamHeader:
    """Description of a stream, written before its first sample.

    Attributes
    ----------
    name, type : str
    channel_format : str
        One of ``DTYPES``.
    rate_hz : float
        Nominal rate; 0 for an irregular stream.
    labels, units : tuple of str
        One for each channel; units may be left out.
    source_id, uid, hostname, session_id : str
        As LSL has them.
    created_s : float
        On the sender's clock.
    desc : mapping
        Further children of ``desc``; mappings nest, all else is text.
    """

    name: str
    type: str
    channel_format: str
    rate_hz: float
    labels: tuple[str, ...]
    units: tuple[str, ...] = ()
    source_id: str = ""
    uid: str = ""
    hostname: str = ""
    session_id: str = ""
    created_s: float = 0.0
    desc: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.channel_format not in DTYPES:
            raise WrongInput(
                f"no channel format {self.channel_format!r} in XDF; there are: {', '.join(DTYPES)}"
            )
        if not self.labels:
            raise WrongInput(f"the stream {self.name!r} has no channels; a stream has at least one")
        if self.units and len(self.units) != len(self.labels):
            raise WrongInput(
                f"the stream {self.name!r} has {len(self.labels)} channels and {len(self.units)} units; "
                "give one for each, or none"
            )

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.labels)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """The number format; None for text."""
        name = DTYPES[self.channel_format]
        return None if name is None else np.dtype(name)

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
        return _xml(info)


def _clean(text: str) -> str:
    """Leave out what XML 1.0 cannot hold, such as NUL."""
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


def _xml(element: ElementTree.Element) -> bytes:
    content: bytes = ElementTree.tostring(element, "us-ascii")
    return b'<?xml version="1.0"?>' + content


def chunk(tag: int, *content: bytes) -> bytes:
    """Return a chunk: its length, its tag, its content."""
    length = 2 + sum(map(len, content))
    if length > 0xFFFFFFFF:
        return b"".join((struct.pack("<BQH", 8, length, tag), *content))
    return b"".join((struct.pack("<BIH", 4, length, tag), *content))


def file_header() -> bytes:
    """Return the first chunk; no date is in it, so that the same session gives the same bytes."""
    info = ElementTree.Element("info")
    ElementTree.SubElement(info, "version").text = "1.0"
    return chunk(FILE_HEADER, _xml(info))


def stream_header(stream: int, header: StreamHeader) -> bytes:
    """Return the chunk that begins a stream."""
    return chunk(STREAM_HEADER, struct.pack("<I", stream), header.to_xml())


def boundary() -> bytes:
    """Return the chunk at which readers resume after damage."""
    return chunk(BOUNDARY, BOUNDARY_MARK)


def clock_offset(stream: int, time_s: float, offset_s: float) -> bytes:
    """Return a measurement of the sender's clock: when, on this computer, and what to add to its stamps."""
    return chunk(CLOCK_OFFSET, struct.pack("<Idd", stream, time_s, offset_s))


def samples(stream: int, n_samples: int, body: bytes) -> bytes:
    """Return the chunk of ``n_samples`` samples that ``numeric_body`` or ``text_body`` made."""
    return chunk(SAMPLES, struct.pack("<IBI", stream, 4, n_samples), body)


def numeric_body(values: NDArray[Any], stamps_s: FloatArray) -> bytes:
    """Return samples with a stamp each.

    Parameters
    ----------
    values : ndarray, shape (n_samples, n_channels)
        In the little-endian format of the stream.
    stamps_s : ndarray, shape (n_samples,)
    """
    n, n_channels = values.shape
    packed = np.empty(n, dtype=[("bytes", "u1"), ("stamp", "<f8"), ("values", values.dtype, (n_channels,))])
    packed["bytes"] = 8
    packed["stamp"] = stamps_s
    packed["values"] = values
    return packed.tobytes()


def text_body(texts: Sequence[str], stamps_s: FloatArray) -> bytes:
    """Return samples of one text channel with a stamp each."""
    parts = []
    for text, stamp_s in zip(texts, stamps_s.tolist(), strict=True):
        encoded = text.encode("utf-8", "replace")
        parts.append(struct.pack("<BdBI", 8, stamp_s, 4, len(encoded)))
        parts.append(encoded)
    return b"".join(parts)


def stream_footer(
    stream: int, first_s: float, last_s: float, n_samples: int, offsets: Iterable[tuple[float, float]]
) -> bytes:
    """Return the chunk that ends a stream."""
    info = ElementTree.Element("info")
    ElementTree.SubElement(info, "first_timestamp").text = repr(float(first_s))
    ElementTree.SubElement(info, "last_timestamp").text = repr(float(last_s))
    ElementTree.SubElement(info, "sample_count").text = str(n_samples)
    measured = ElementTree.SubElement(info, "clock_offsets")
    for time_s, offset_s in offsets:
        offset = ElementTree.SubElement(measured, "offset")
        ElementTree.SubElement(offset, "time").text = repr(float(time_s))
        ElementTree.SubElement(offset, "value").text = repr(float(offset_s))
    return chunk(STREAM_FOOTER, struct.pack("<I", stream), _xml(info))
