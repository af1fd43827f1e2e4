"""Chunks of an XDF file, version 1.0: bytes from headers and arrays. Nothing here opens a file.

Layout of the format: https://github.com/sccn/xdf/wiki/Specifications.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.xdf.headers import StreamHeader, to_bytes

MAGIC = b"XDF:"
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, BOUNDARY, STREAM_FOOTER = range(1, 7)
#: Readers resume here after damage.
BOUNDARY_MARK = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")


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
    return chunk(FILE_HEADER, to_bytes(info))


def stream_header(stream: int, header: StreamHeader) -> bytes:
    """Return the chunk that begins a stream."""
    return chunk(STREAM_HEADER, struct.pack("<I", stream), header.to_xml())


def boundary() -> bytes:
    """Return the chunk at which readers resume after damage."""
    return chunk(BOUNDARY, BOUNDARY_MARK)


def clock_offset(stream: int, time_s: float, offset_s: float) -> bytes:
    """Return a clock offset: its time on this computer, and the term to add to the sender's stamps."""
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
    return chunk(STREAM_FOOTER, struct.pack("<I", stream), to_bytes(info))
