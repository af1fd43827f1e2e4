"""A recorded session for whoever analyses it: EEG for MNE, everything else as columns."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from neurofb.errors import UnknownName, nearest
from neurofb.events import Event
from neurofb.offline.annotations import Annotation, SampleTimes, annotate
from neurofb.offline.to_mne import RecordedRaw, to_raw
from neurofb.recording.session_recording import SessionRecording, open_session_recording

Columns = dict[str, NDArray[Any]]


class Session:
    """A session that was recorded, whole or broken off.

    Tables are columns by name, as NumPy arrays; ``pandas.DataFrame(session.features)`` makes a frame of one. Each has
    ``onset_s``, seconds from the recording's first sample on, which are the times of ``raw()``, and ``time_s``, the
    recording computer's LSL clock.

    Parameters
    ----------
    recording : SessionRecording

    Attributes
    ----------
    recording : SessionRecording
        The same without MNE: µV, on the session's grid.
    """

    def __init__(self, recording: SessionRecording) -> None:
        self.recording = recording

    def __repr__(self) -> str:
        broken = "" if self.is_whole else ", broken off"
        return f"<Session {self.recording.folder.name}: {self.duration_s:.1f} s{broken}>"

    # -- how it is ---------------------------------------------------------------------------------------------

    @property
    def is_whole(self) -> bool:
        """Whether the recording was ended in order and nothing in it is damaged."""
        return self.recording.is_whole

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems of the session and its files, in words."""
        return self.recording.problems

    @property
    def settings(self) -> dict[str, Any]:
        """``session.json``: all that is needed to run the session again."""
        return self.recording.settings

    @property
    def duration_s(self) -> float:
        """Length of the EEG, in s."""
        return self.recording.n_samples / self.recording.rate_hz if self.recording.n_samples else 0.0

    # -- EEG ---------------------------------------------------------------------------------------------------

    def raw(self) -> RecordedRaw:
        """Return the EEG for MNE, in V, with positions and annotations.

        Samples are read when they are asked for; ``raw().load_data()`` reads them all. Positions are those of the
        standard 10-05 system: no head was measured. Annotations: ``phase/…``, ``step/…``, ``heat/…`` (from real onset
        to real end), ``rating/…``, ``feedback/…``, ``pause``, ``note``, ``artifact/…`` (what withheld feedback),
        ``channel_left/…`` and ``BAD_gap``. Samples in a ``BAD_gap`` are missing: a straight line takes their place, so
        that filters find no step; where it is longer than 1 s, ``BAD_ACQ_SKIP`` makes MNE's filters skip it.

        Raises
        ------
        WrongFile
            If no sample of the session is left.
        """
        return to_raw(self.recording, self.annotations)

    def epochs(self, event: str = "heat", tmin: float = -1.0, tmax: float = 5.0, **more: Any) -> mne.Epochs:
        """Return epochs around annotations.

        Parameters
        ----------
        event : str
            As annotations name it: ``heat`` for all of ``heat/…``, ``heat/hot`` for one level.
        tmin, tmax : float
            In s, from each onset.
        **more
            Whatever `mne.Epochs` takes. ``baseline`` is None if not said otherwise.

        Raises
        ------
        UnknownName
            If there is no annotation of that name; the message names those there are.
        """
        raw = self.raw()
        names = sorted(set(raw.annotations.description))
        wanted = [name for name in names if name == event or name.startswith(f"{event}/")]
        if not wanted:
            raise UnknownName(f"there is no event {event!r} in this session; {nearest(event, names)}")
        ids = {name: number for number, name in enumerate(wanted, 1)}
        found, ids = mne.events_from_annotations(raw, ids, verbose="error")
        given = {"baseline": None, "preload": True, "verbose": "error", "event_repeated": "drop", **more}
        return mne.Epochs(raw, found, ids, tmin, tmax, **given)

    # -- what was made of it -----------------------------------------------------------------------------------

    @cached_property
    def features(self) -> Columns:
        """Values: ``index``, each feature, and ``<name>.usable``; NaN where there was none."""
        return self._by_index(self.recording.features)

    @cached_property
    def feedback(self) -> Columns:
        """Delivered feedback: ``level``, ``reward``, ``usable``, ``value``, ``z``, ``threshold``, ``age_s`` …"""
        return self._by_index(self.recording.feedback)

    @cached_property
    def stimulus(self) -> Columns:
        """The stimulator: ``target_c``, ``measured_c``, ``state``, and the name of the ``site``."""
        table: Columns = dict(self.recording.stimulus)
        if "site" in table:
            names = {float(number): name for number, name in enumerate(self.recording.sites)}
            table["site"] = np.array(
                [names.get(number, "") for number in table["site"].tolist()], dtype=object
            )
        return {"onset_s": self._times.onset_s(table["time_s"]), **table}

    @cached_property
    def ratings(self) -> Columns:
        """Answers: ``scale``, ``value`` (None without an answer), ``phase``, ``trial``, ``level``, ``reaction_s`` …"""
        rows = self.recording.ratings
        keys = list(dict.fromkeys(key for row in rows for key in row if key != "index"))
        table: Columns = {key: np.array([row.get(key) for row in rows], dtype=object) for key in keys}
        table["time_s"] = np.array([row["time_s"] for row in rows], dtype=np.float64)
        return {"onset_s": self._times.onset_s(table["time_s"]), **table}

    @property
    def events(self) -> list[Event]:
        """All events, in the order of the file."""
        return self.recording.events

    @cached_property
    def annotations(self) -> list[Annotation]:
        """Spans and moments that have samples: the annotations of ``raw()``, with more details."""
        return annotate(self.recording, self._times).with_samples()

    def onset_s(self, time_s: Any) -> NDArray[np.float64]:
        """Return times of the recording computer's LSL clock as seconds from the first sample on."""
        return self._times.onset_s(time_s)

    @cached_property
    def _times(self) -> SampleTimes:
        return SampleTimes(self.recording, self.recording.rate_hz)

    def _by_index(self, table: dict[str, NDArray[np.float64]]) -> Columns:
        index = table.get("index", np.empty(0))
        return {"onset_s": index / self.recording.rate_hz, **table}


def read_session(path: Path | str) -> Session:
    """Open a recorded session.

    Parameters
    ----------
    path : path-like
        Its folder, or the recording in it. One that was broken off opens as far as it goes; ``problems`` says so.

    Raises
    ------
    UnknownFile
        If there is none.
    WrongFile
        If it is no session of neurofb.
    """
    return Session(open_session_recording(path))
