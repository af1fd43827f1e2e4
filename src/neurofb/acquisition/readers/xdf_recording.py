"""The EEG stream of an XDF file: chosen among its streams, in µV, on a regular grid with its gaps."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neurofb.acquisition.readers.recording import Recording, limited_gap, with_gaps
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import columns_of_profile, columns_on_head, unit_uv
from neurofb.devices.electrodes import standard_labels
from neurofb.errors import StreamMissing, WrongFile, WrongStream

#: A hole this long ends a segment. Radio headsets send bursts up to 0.2 s apart: those are no holes.
_BREAK_S = 0.5
_BREAK_SAMPLES = 4
_RATE_LIMIT = 0.005

_Stream = dict[str, Any]


def read_xdf(path: Path, query: str | None = None, profile: DeviceProfile | None = None) -> Recording:
    """Return one EEG stream of an XDF file.

    Parameters
    ----------
    path : Path
        The file; one that was broken off is read as far as it goes.
    query : str, optional
        Which stream: its name, its type or its number; needed if several could be meant.
    profile : DeviceProfile, optional
        The device: chooses the EEG columns, and gives labels and unit where the stream has none.

    Raises
    ------
    StreamMissing
        If no stream, or several, could be meant; the message lists what is there.
    """
    streams, notes = _load(path)
    stream = _chosen(path, streams, query)
    if "footer" not in stream:
        notes.append("the stream has no footer: its recording was broken off, and is read as far as it goes")
    labels = _texts(stream, "label")
    columns, names = _eeg(path, stream, labels, profile)
    if left_out := [labels[i] for i in range(len(labels)) if i not in columns]:
        notes.append(f"left out, as no EEG: {', '.join(left_out)}")
    values = np.asarray(stream["time_series"], dtype=np.float64)[:, columns]
    values *= _scales_uv(path, stream, columns, profile)
    return Recording(names, _rate_hz(stream), _on_grid(stream, values, notes), tuple(notes))


class _Said(logging.Handler):
    """Keeps what pyxdf warns of: a repaired file is a fact the user should know."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        # Said of every file with a gap, about pyxdf's own bookkeeping.
        if "Segments and clock-segments differ" not in text:
            self.texts.append(f"pyxdf: {text}")


def _load(path: Path) -> tuple[list[_Stream], list[str]]:
    import pyxdf

    said = _Said()
    logger = logging.getLogger("pyxdf.pyxdf")
    spread, logger.propagate = logger.propagate, False
    logger.addHandler(said)
    try:
        with _opened(path) as file:
            streams, _ = pyxdf.load_xdf(
                file, jitter_break_threshold_seconds=_BREAK_S, jitter_break_threshold_samples=_BREAK_SAMPLES
            )
    except (OSError, WrongFile):
        raise
    except Exception as error:  # a malformed file makes pyxdf raise whatever it stumbles over
        raise WrongFile(f"{path} cannot be read as XDF: {type(error).__name__}: {error}") from error
    finally:
        logger.removeHandler(said)
        logger.propagate = spread
    return streams, said.texts


@contextmanager
def _opened(path: Path) -> Iterator[BufferedIOBase]:
    """Open the file here: pyxdf leaves one open that turns out to be no XDF."""
    packed = path.name.lower().endswith("z")
    with gzip.open(path) if packed else path.open("rb") as file:
        if file.read(4) != b"XDF:":
            raise WrongFile(f"{path} is no XDF file: it does not begin with 'XDF:'")
        file.seek(0)
        yield file


def _chosen(path: Path, streams: Sequence[_Stream], query: str | None) -> _Stream:
    """Return the one stream that is meant; which of several is for the user to say."""
    if query is None:
        found = [s for s in streams if _says(s, "type").lower() == "eeg" and _playable(s)]
        asked = "exactly one EEG stream with samples"
    else:
        found = [
            s for s in streams if query in (_says(s, "name"), _says(s, "type"), str(s["info"]["stream_id"]))
        ]
        asked = f"exactly one stream of the name, type or number {query!r}"
    if len(found) == 1 and _playable(found[0]):
        return found[0]
    listed = "".join(
        f"\n  {_described(s)}" for s in sorted(streams, key=lambda s: str(s["info"]["stream_id"]))
    )
    meant = f"{len(found)} fit" if found else "none fits"
    if len(found) == 1:
        meant = "the one that fits has no regular samples of EEG"
    raise StreamMissing(
        f"{path}: needed is {asked}, {meant}; choose one by --stream with its number, or its name or type. "
        f"There are:{listed or ' no streams'}"
    )


def _says(stream: _Stream, key: str) -> str:
    """Return a text of the stream's header, empty if it has none."""
    value = stream["info"].get(key) or [""]
    return str(value[0] or "")


def _rate_hz(stream: _Stream) -> float:
    return float(_says(stream, "nominal_srate") or 0)


def _playable(stream: _Stream) -> bool:
    regular = _rate_hz(stream) > 0 and _says(stream, "channel_format") != "string"
    return regular and len(stream["time_stamps"]) > 0


def _described(stream: _Stream) -> str:
    info = stream["info"]
    size = f"{_says(stream, 'channel_count')} channels, {_rate_hz(stream):g} Hz"
    named = f"{info['stream_id']}: {_says(stream, 'name')!r}, type {_says(stream, 'type')!r}"
    return f"{named}, {size}, {len(stream['time_stamps'])} samples"


def _texts(stream: _Stream, key: str) -> list[str]:
    """Return what the stream says of each channel, empty if it does not say it of all."""
    try:
        channels = stream["info"]["desc"][0]["channels"][0]["channel"]
        texts = [str(channel[key][0] or "") for channel in channels]
    except (KeyError, IndexError, TypeError):
        return []
    return texts if len(texts) == int(_says(stream, "channel_count")) and all(texts) else []


def _eeg(
    path: Path, stream: _Stream, labels: list[str], profile: DeviceProfile | None
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the EEG columns and what they are called."""
    if profile is not None:
        return columns_of_profile(profile, int(_says(stream, "channel_count")), labels), profile.labels
    if not labels:
        raise WrongStream(
            f"{path}: the stream {_described(stream)}, names no channels; say by --device which device "
            "it was, and its profile gives labels and unit"
        )
    kinds = [kind.lower() for kind in _texts(stream, "type")]
    eeg = [i for i, kind in enumerate(kinds) if kind == "eeg"] or list(range(len(labels)))
    columns = tuple(eeg[i] for i in columns_on_head([labels[i] for i in eeg]))
    return columns, standard_labels([labels[i] for i in columns])


def _scales_uv(
    path: Path, stream: _Stream, columns: Sequence[int], profile: DeviceProfile | None
) -> list[float]:
    """Return how many µV the unit of each column is: by the stream's text, else by the profile."""
    units = _texts(stream, "unit")
    if not units and profile is not None:
        return [profile.unit_uv] * len(columns)
    if not units:
        raise WrongStream(
            f"{path}: the stream {_described(stream)}, names no unit; say by --device which device it was, "
            "and its profile gives it"
        )
    scales = [unit_uv(units[i]) for i in columns]
    known = [scale for scale in scales if scale is not None]
    if len(known) < len(scales):
        strange = sorted({units[i] for i, scale in zip(columns, scales, strict=True) if scale is None})
        raise WrongStream(
            f"{path}: the stream {_described(stream)}, has the unit {', '.join(map(repr, strange))}; "
            "EEG needs a voltage, such as microvolts, uV or V: choose another stream by --stream"
        )
    return known


def _on_grid(stream: _Stream, values: np.ndarray[Any, Any], notes: list[str]) -> np.ndarray[Any, Any]:
    """Return the samples with NaN for the holes between segments, counted by their time stamps."""
    rate_hz, stamps_s, segments = _rate_hz(stream), stream["time_stamps"], stream["info"]["segments"]
    effective_hz = float(stream["info"]["effective_srate"] or rate_hz)
    if abs(effective_hz / rate_hz - 1) > _RATE_LIMIT:
        notes.append(f"samples came at {effective_hz:.2f} Hz, but the stream says {rate_hz:g} Hz")
    gaps = []
    for (_, last), (first, _) in pairwise(segments):
        hole_s = stamps_s[first] - stamps_s[last]
        if hole_s <= 0:
            notes.append(
                f"the clock was set back by {-hole_s:.3f} s; the samples before and after are joined"
            )
        missing = max(round(hole_s * rate_hz) - 1, 0)
        gaps.append(limited_gap(missing, rate_hz, notes))
    if any(gaps):
        notes.append(f"{sum(gaps)} samples are missing in {np.count_nonzero(gaps)} gaps")
    return with_gaps([values[first : last + 1] for first, last in segments], gaps)
