"""Read a session back: the EEG on its sample grid, features, feedback, stimulus, events and settings.

In: a session's folder, or its recording. Out: arrays, events and settings, read on request. A session that was broken
off anywhere opens, too; ``problems`` lists what it lacks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from neurofb import limits, messages
from neurofb.blinding.side_file import MOST_BYTES as MOST_SIDE_BYTES
from neurofb.blinding.side_file import UNLOCKED, SealedRows, parsed_rows
from neurofb.chunk import FloatArray
from neurofb.devices.columns import EegColumns
from neurofb.errors import UnknownFile, WrongFile
from neurofb.events import Event
from neurofb.loop.participant_fit import BASELINE_FILE
from neurofb.recording.folder import PROTOCOL, RECORDING, SETTINGS
from neurofb.recording.sample_map import MappedEeg, read_layout
from neurofb.xdf.file import XdfFile, read_xdf_file
from neurofb.xdf.stream import XdfStream

SAMPLE_MAP = "neurofb-placement"
#: Streams whose rows a blinded session seals → their tables in the side file.
_SEALED = {messages.FEATURES: "features", messages.FEEDBACK: "feedback"}
#: Streams of a session in the order of their headers; the EEG comes first, under its own name.
STREAMS = (SAMPLE_MAP, messages.FEATURES, messages.FEEDBACK, messages.STIMULUS, messages.EVENTS)


class SessionRecording:
    """A recorded session."""

    def __init__(self, file: XdfFile) -> None:
        self.file, self.path, self.folder = file, file.path, file.path.parent
        self._problems = list(file.problems)
        streams = {stream.name: stream for stream in file.streams if stream.name in STREAMS}
        sample_map = streams.get(SAMPLE_MAP)
        if sample_map is None and self._is_foreign():
            raise WrongFile(
                f"{self.path} is no session of neurofb: it has no stream {SAMPLE_MAP!r}; its EEG can be played with "
                "neurofb play, and every other program that reads XDF reads it"
            )
        self._streams = streams
        self._mapped = self._map_samples(sample_map)
        self._problems += self._mapped.problems
        self._is_whole = not self._problems

    def __repr__(self) -> str:
        return f"SessionRecording({str(self.path)!r})"

    def _is_foreign(self) -> bool:
        """Whether the file is whole enough to know that it never had a session's streams."""
        names = [stream.name for stream in self.file.streams]
        return (self.file.is_whole or len(names) > 1) and not any(name in STREAMS for name in names)

    def _map_samples(self, sample_map: XdfStream | None) -> MappedEeg:
        nothing = np.empty((0, 4)), np.empty(0)
        if sample_map is None:
            self._problems.append(
                "where samples stand is not known: the recording ends before it was written"
            )
            return MappedEeg(None, EegColumns(), float("nan"), *nothing)
        try:
            eeg_columns, rate_hz = read_layout(str(sample_map.header.desc["layout"]))
        except (ValueError, KeyError, TypeError) as error:
            self._problems.append(f"the layout of the EEG cannot be read: {error!r}")
            return MappedEeg(None, EegColumns(), float("nan"), *nothing)
        eeg = next((s for s in self.file.streams if s.header.number == sample_map.header.number - 1), None)
        if (
            eeg is None
            or eeg.header.dtype is None
            or max(eeg_columns.columns, default=0) >= eeg.header.n_channels
            or sample_map.header.dtype != np.dtype("<f8")
            or sample_map.header.n_channels != 4
        ):
            self._problems.append("the EEG cannot be read: its stream, or the one that places it, is damaged")
            return MappedEeg(None, eeg_columns, rate_hz, *nothing)
        return MappedEeg(eeg, eeg_columns, rate_hz, *sample_map.read())

    # -- condition ---------------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Whether the recording was ended in order and nothing in it is damaged."""
        return self._is_whole

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the session, in words; files beside the recording are read on request."""
        return tuple(self._problems)

    @property
    def lost_s(self) -> float | None:
        """Seconds of EEG that are in the file and cannot be placed; None if the session is whole.

        What was not on the disk yet when the recording broke off (0.3 s after a kill) cannot be counted.
        """
        if self.is_whole:
            return None
        stream, rate_hz = self._mapped.stream, self.rate_hz
        if stream is None or not rate_hz > 0:
            return 0.0
        return max(stream.n_samples - self._mapped.n_mapped, 0) / rate_hz

    @property
    def is_sealed(self) -> bool:
        """Whether features and feedback are sealed: a blinded session that was not unlocked yet."""
        return bool(self.settings.get("blinding")) and not (self.folder / UNLOCKED).is_file()

    @property
    def is_blinded(self) -> bool:
        """Whether the session was blinded, unlocked since or not."""
        return bool(self.settings.get("blinding"))

    # -- EEG ---------------------------------------------------------------------------------------------------

    @property
    def n_samples(self) -> int:
        """Samples of the grid, up to the last that is known."""
        return self._mapped.n_samples

    @property
    def rate_hz(self) -> float:
        """The nominal rate; NaN if the recording broke off before it was written."""
        return self._mapped.rate_hz

    @property
    def labels(self) -> tuple[str, ...]:
        """The EEG channels."""
        return self._mapped.columns.labels

    @property
    def eeg_stream(self) -> XdfStream | None:
        """The EEG exactly as it was received."""
        return self._mapped.stream

    def eeg(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the EEG from sample ``start`` to ``stop`` in µV, shape (n_samples, n_channels).

        To the last bit what the session ran on; NaN where a sample is missing.
        """
        return self._mapped.eeg(*self._range(start, stop))

    def times_s(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return corrected times on the recording computer's LSL clock, in s."""
        return self._mapped.times_s(*self._range(start, stop))

    def received_s(self, start: int = 0, stop: int | None = None) -> FloatArray:
        """Return the time stamps as received, in s; NaN for samples that never came."""
        return self._mapped.received_s(*self._range(start, stop))

    def index_of(self, time_s: float) -> int:
        """Return the sample nearest to a time of this computer's LSL clock."""
        return self._mapped.index_of(time_s)

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        start, stop, _ = slice(start, stop).indices(self.n_samples)
        return start, max(start, stop)

    # -- features, feedback, stimulus --------------------------------------------------------------------------

    @cached_property
    def features(self) -> dict[str, FloatArray]:
        """Values: "index", then each feature and "<name>.usable" (NaN: none at this index), and "time_s"."""
        return self._table(messages.FEATURES)

    @cached_property
    def feedback(self) -> dict[str, FloatArray]:
        """Feedback by column: "index", "level", "reward", "usable", "value", "z", "threshold" …, and "time_s"."""
        return self._table(messages.FEEDBACK)

    @cached_property
    def stimulus(self) -> dict[str, FloatArray]:
        """Readings of the stimulator: "target_c", "measured_c", "state", "site", and "time_s"."""
        return self._table(messages.STIMULUS)

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """The names behind the numbers of sites in ``stimulus``."""
        stream = self._streams.get(messages.STIMULUS)
        text = "[]" if stream is None else str(stream.header.desc.get("sites", "[]"))
        found = self._read_json("the names of the sites", lambda: text, [])
        return tuple(map(str, found)) if isinstance(found, list) else ()

    def units(self, name: str) -> dict[str, str]:
        """Return label → unit of one of ``STREAMS``."""
        stream = self._streams.get(name)
        if stream is None:
            return {}
        units = stream.header.units or ("",) * len(stream.header.labels)
        return dict(zip(stream.header.labels, units, strict=False))

    @cached_property
    def measured(self) -> dict[str, FloatArray]:
        """The participant's own values of an unlocked session; ``features`` are the delivered ones. Empty if sealed."""
        return self._table(messages.FEATURES, "measured")

    def unseal(self, rows: SealedRows) -> None:
        """Take features and feedback from rows that were sealed."""
        for name in ("features", "feedback", "measured"):
            self.__dict__.pop(name, None)
        self.__dict__["_unlocked"] = rows

    def labels_of(self, table: str) -> tuple[str, ...]:
        """Return the columns of a table of the side file, without times."""
        name = next(name for name, each in _SEALED.items() if each == table)
        return self._streams[name].header.labels

    @cached_property
    def _unlocked(self) -> SealedRows | None:
        path = self.folder / UNLOCKED
        if not self.is_blinded or not path.is_file():
            return None
        try:
            return parsed_rows(limits.read_bytes(path, MOST_SIDE_BYTES), path)
        except (OSError, WrongFile) as error:
            self._problems.append(f"{UNLOCKED} cannot be read: {error}")
            return None

    def _table(self, name: str, unlocked: str = "") -> dict[str, FloatArray]:
        stream = self._streams.get(name)
        if stream is None or stream.header.dtype is None:
            return {"time_s": np.empty(0)}
        values, stamps_s = stream.read()
        rows = (
            None if self._unlocked is None else self._unlocked.tables.get(unlocked or _SEALED.get(name, ""))
        )
        if rows is not None and rows.shape[1] == len(stream.header.labels) + 1:
            values, stamps_s = rows[:, :-1], np.ascontiguousarray(rows[:, -1])
        labels = stream.header.labels
        columns = {
            label: values[:, i].astype(np.float64) for i, label in enumerate(labels[: values.shape[1]])
        }
        return {**columns, "time_s": stamps_s}

    # -- events ------------------------------------------------------------------------------------------------

    @cached_property
    def events(self) -> list[Event]:
        """All events, in the order of the file."""
        stream = self._streams.get(messages.EVENTS)
        if stream is None or stream.header.dtype is not None:
            return []
        found = []
        for row in stream.texts():
            try:
                found.append(_event(json.loads(row[0])))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self._problems.append(f"an event cannot be read: {row[0][:60]!r}")
        return found

    @property
    def ratings(self) -> list[dict[str, Any]]:
        """Every rating, given or missing: "prompt", "scale", "value", "trial" …, with its "time_s" and "index"."""
        return [
            {**event.details, "time_s": event.time_s, "index": event.index}
            for event in self.events
            if event.kind == "rating"
        ]

    # -- files beside the recording ----------------------------------------------------------------------------

    @cached_property
    def settings(self) -> dict[str, Any]:
        """``session.json``: all that is needed to re-run the session; empty if it is lost."""
        found = self._read_json(
            SETTINGS, lambda: limits.read_text(self.folder / SETTINGS, limits.MOST_JSON_BYTES), {}
        )
        return found if isinstance(found, dict) else {}

    @cached_property
    def protocol_text(self) -> str:
        """The protocol as it was given; empty if it is lost."""
        try:
            return limits.read_text(self.folder / PROTOCOL, limits.MOST_TOML_BYTES)
        except (OSError, ValueError) as error:
            self._problems.append(f"{PROTOCOL} cannot be read: {error}")
            return ""

    @cached_property
    def baseline(self) -> dict[str, Any] | None:
        """``baseline.json``: the fit to the participant; None if the session made none."""
        if not (self.folder / BASELINE_FILE).is_file():
            return None
        found = self._read_json(
            BASELINE_FILE, lambda: limits.read_text(self.folder / BASELINE_FILE, limits.MOST_JSON_BYTES), None
        )
        return found if isinstance(found, dict) else None

    def _read_json(self, what: str, read: Callable[[], str], otherwise: Any) -> Any:
        try:
            return json.loads(read())
        except (OSError, ValueError, RecursionError) as error:
            self._problems.append(f"{what} cannot be read: {error}")
            return otherwise


def _event(document: dict[str, Any]) -> Event:
    time_s, index = document["time_s"], document["index"]
    return Event(
        str(document["kind"]),
        math.nan if time_s is None else float(time_s),
        str(document["message"]),
        None if index is None else int(index),
        dict(document["details"]),
    )


def open_session_recording(path: Path | str) -> SessionRecording:
    """Open a recorded session.

    Parameters
    ----------
    path : path-like
        The session's folder, or its recording.

    Raises
    ------
    UnknownFile
        If there is none.
    WrongFile
        If it is no session of neurofb. One that was broken off is no error: its ``problems`` say so.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / RECORDING).is_file():
            raise UnknownFile(
                f"the folder {path} has no {RECORDING}: it is no session, or one that never began"
            )
        path = path / RECORDING
    return SessionRecording(read_xdf_file(path))
