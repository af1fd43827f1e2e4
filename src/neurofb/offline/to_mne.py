"""A recording as MNE knows it: µV become V here, once, and places get their positions.

In: a recording. Out: a `RecordedRaw`, which reads the file when samples are asked for: two hours of 64 channels at
1 kHz open in little memory. Missing samples are bridged by a straight line, since neither NaN nor a step to 0 would
survive a filter, and annotated ``BAD_gap``; gaps longer than `LONG_GAP_S` also ``BAD_ACQ_SKIP``, so that MNE filters
both sides apart.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

import mne
import numpy as np
from numpy.typing import NDArray

from neurofb.errors import WrongFile
from neurofb.offline.annotations import Annotation
from neurofb.offline.gaps import Gap, find_gaps
from neurofb.recording.session_recording import SessionRecording

UV_TO_V = 1e-6
#: MNE's 10-05 positions, by their name since MNE 1.13 and by the one before.
MONTAGES = ("colin27_1005", "standard_1005")
BAD_GAP, SKIPPED = "BAD_gap", "BAD_ACQ_SKIP"
#: Gaps longer than this split the recording for MNE's filters; across shorter ones the bridge does less harm.
LONG_GAP_S = 1.0
#: A channel that was out of use for more than this share of the session is bad.
BAD_SHARE = 0.25
_DATE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)([+-]\d\d):?(\d\d)$")


class _Source:
    """A recording with its gaps; a copy of a raw shares it, for nothing in it changes."""

    def __init__(self, recording: SessionRecording, gaps: Sequence[Gap]) -> None:
        self.recording, self.gaps = recording, tuple(gaps)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Source:
        return self

    def volts(self, start: int, stop: int) -> NDArray[np.float64]:
        """Return samples in V, shape (n_channels, n_samples), gaps bridged."""
        samples = self.recording.eeg(start, stop)
        for gap in self.gaps:
            gap.bridge(samples, start)
        return samples.T * UV_TO_V


class RecordedRaw(mne.io.BaseRaw):  # type: ignore[misc]
    """The EEG of a session, read from its recording when it is asked for."""

    def __init__(self, recording: SessionRecording, info: mne.Info, gaps: Sequence[Gap]) -> None:
        super().__init__(
            info,
            preload=False,
            filenames=[recording.path],
            last_samps=[recording.n_samples - 1],
            raw_extras=[{"source": _Source(recording, gaps)}],
            verbose="error",
        )

    def _read_segment_file(
        self, data: Any, idx: Any, fi: int, start: int, stop: int, cals: Any, mult: Any
    ) -> None:
        volts = self._raw_extras[fi]["source"].volts(start, stop)
        data[:] = volts[idx] * cals if mult is None else mult @ volts


def to_raw(recording: SessionRecording, annotations: Sequence[Annotation]) -> RecordedRaw:
    """Return the EEG of a session with its annotations, and with its gaps as more of them.

    Raises
    ------
    WrongFile
        If no sample of it is left.
    """
    if not recording.n_samples:
        raise WrongFile(
            f"{recording.path} has no EEG: {'; '.join(recording.problems) or 'no sample was received'}"
        )
    gaps = find_gaps(recording, recording.rate_hz)
    raw = RecordedRaw(recording, _info(recording), gaps)
    raw.set_montage(_montage(recording), on_missing="ignore", verbose="error")
    date = session_date(recording)
    if date is not None:
        raw.set_meas_date(date)
    raw.set_annotations(_annotations(annotations, gaps, recording), verbose="error")
    out_s = seconds_out(annotations)
    raw.info["bads"] = [
        label
        for label in recording.labels
        if out_s.get(label, 0.0) > BAD_SHARE * recording.n_samples / recording.rate_hz
    ]
    return raw


def seconds_out(annotations: Sequence[Annotation]) -> dict[str, float]:
    """Return for how long channels were out of use because they were bad."""
    out_s: dict[str, float] = {}
    for each in annotations:
        if each.kind == "channel_left":
            for channel in each.channels:
                out_s[channel] = out_s.get(channel, 0.0) + each.duration_s
    return out_s


def session_date(recording: SessionRecording) -> datetime.datetime | None:
    """Return when the session was started, in UTC, to a few seconds; None if it is not known."""
    found = _DATE.match(str(recording.settings.get("date", "")))
    if not found:
        return None
    return datetime.datetime.fromisoformat(f"{found[1]}{found[2]}:{found[3]}").astimezone(datetime.UTC)


def positions(recording: SessionRecording) -> dict[str, str]:
    """Return the 10-05 name of each channel's place."""
    montage = recording.settings.get("loop", {}).get("montage", {})
    known = dict(zip(montage.get("labels", ()), montage.get("positions", ()), strict=False))
    return {label: known.get(label, label) for label in recording.labels}


def _info(recording: SessionRecording) -> mne.Info:
    settings = recording.settings
    info = mne.create_info(list(recording.labels), recording.rate_hz, "eeg", verbose="error")
    device, loop = settings.get("device", {}), settings.get("loop", {})
    study = settings.get("protocol", {}).get("title", "")
    info["description"] = f"neurofb session {settings.get('uid', '')}: {study}".strip(": ")
    info["line_freq"] = loop.get("line_hz")
    if settings.get("participant"):
        info["subject_info"] = {"his_id": settings["participant"]}
    if device:
        info["device_info"] = {"type": device.get("manufacturer", ""), "model": device.get("title", "")}
    return info


def standard_montage() -> mne.channels.DigMontage:
    """Return MNE's 10-05 positions."""
    there = mne.channels.get_builtin_montages()
    return mne.channels.make_standard_montage(next(name for name in MONTAGES if name in there))


def _montage(recording: SessionRecording) -> mne.channels.DigMontage:
    """Return the standard positions of those channels that have one; no head was measured."""
    standard = standard_montage().get_positions()
    places = {
        label: standard["ch_pos"][place]
        for label, place in positions(recording).items()
        if place in standard["ch_pos"]
    }
    fiducials = {name: standard[name] for name in ("nasion", "lpa", "rpa")}
    return mne.channels.make_dig_montage(places, **fiducials, coord_frame=standard["coord_frame"])


def _annotations(
    annotations: Sequence[Annotation], gaps: Sequence[Gap], recording: SessionRecording
) -> mne.Annotations:
    rate_hz, labels = recording.rate_hz, recording.labels
    rows: list[tuple[float, float, str, tuple[str, ...]]] = [
        (each.onset_s, each.duration_s, each.description, each.channels) for each in annotations
    ]
    for gap in gaps:
        where = () if len(gap.channels) == len(labels) else tuple(labels[i] for i in gap.channels)
        lasts_s = (gap.end - gap.first) / rate_hz
        rows.append((gap.first / rate_hz, lasts_s, BAD_GAP, where))
        if lasts_s > LONG_GAP_S and not where:
            rows.append((gap.first / rate_hz, lasts_s, SKIPPED, ()))
    rows.sort(key=lambda row: row[0])
    onsets, durations, descriptions, channels = zip(*rows, strict=True) if rows else ((), (), (), ())
    return mne.Annotations(onsets, durations, descriptions, ch_names=list(channels) if rows else None)
