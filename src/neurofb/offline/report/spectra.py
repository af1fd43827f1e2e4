"""What the EEG says, read in pieces: spectra of each phase, and how good each channel was.

In: a recording and its course. Out: `Spectra` and `ChannelAccount`. However long the session, only a few seconds of EEG
and the sums are held.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.dsp.quality import ChannelQuality
from neurofb.errors import NeurofbError
from neurofb.loop.settings import LoopSettings
from neurofb.offline.report.course import Course, Span
from neurofb.recording.session_recording import SessionRecording

#: Length of a window in s; windows overlap by half (Welch 1967).
WINDOW_S = 2.0
#: A window that swings further than this on a channel, drift removed, and than so many times what is usual there, is
#: left out: blinks, movement. Strong alpha alone may swing by 250 µV.
MOST_UV, MOST_TIMES = 150.0, 2.5
HIGHEST_HZ = 45.0
#: Numbers held at a time, whatever the rate and the number of channels.
PIECE = 2_000_000


@dataclass(frozen=True, eq=False)
class Spectra:
    """Power spectra by phase.

    Attributes
    ----------
    phases : tuple of Span
        Those that were measured; spans of one name count as one.
    labels : tuple of str
    freqs_hz : array (n_freqs,)
    power : array (n_phases, n_channels, n_freqs)
        In µV²/Hz; NaN where a channel had no clean window.
    n_clean, n_windows : array (n_phases, n_channels), array (n_phases,)
        Windows that went in, and all there were.
    """

    phases: tuple[Span, ...]
    labels: tuple[str, ...]
    freqs_hz: FloatArray
    power: FloatArray
    n_clean: NDArray[np.int64]
    n_windows: NDArray[np.int64]

    def band_uv2(self, band_hz: tuple[float, float]) -> FloatArray:
        """Return the power within a band in µV², shape (n_phases, n_channels)."""
        inside = (self.freqs_hz >= band_hz[0]) & (self.freqs_hz <= band_hz[1])
        width_hz = self.freqs_hz[1] - self.freqs_hz[0] if len(self.freqs_hz) > 1 else 1.0
        power: FloatArray = self.power[..., inside].sum(axis=-1) * width_hz
        return power

    def of(self, channels: Sequence[str]) -> FloatArray:
        """Return the mean power of channels, shape (n_phases, n_freqs)."""
        columns = [self.labels.index(channel) for channel in channels if channel in self.labels]
        power = self.power[:, columns]
        known = np.isfinite(power).all(axis=-1, keepdims=True)
        count = known.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: FloatArray = np.where(known, power, 0.0).sum(axis=1) / count
        return np.where(count > 0, mean, np.nan)


def spectra_of(recording: SessionRecording, course: Course) -> Spectra:
    """Compute the spectra of the phases in which something is measured.

    Notes
    -----
    Welch's mean of windows of ``WINDOW_S``, the line through each removed, Hann taper, one-sided, in µV²/Hz.
    """
    rate_hz = recording.rate_hz
    n = round(WINDOW_S * rate_hz) if rate_hz > 0 else 0
    phases = _by_name([phase for phase in course.measured if phase.last - phase.first >= max(n, 1)])
    freqs: FloatArray = np.fft.rfftfreq(n, 1 / rate_hz).astype(float) if n else np.empty(0)
    kept = freqs <= HIGHEST_HZ
    shape = (len(phases), len(recording.labels), int(kept.sum()))
    total, n_clean = np.zeros(shape), np.zeros(shape[:2], dtype=np.int64)
    n_windows = np.zeros(len(phases), dtype=np.int64)
    for i, (_, spans) in enumerate(phases):
        for span in spans:
            for windows in _windows(recording, span, n):
                power, clean = _power(windows, rate_hz, kept)
                total[i] += np.where(clean[..., None], power, 0.0).sum(axis=0)
                n_clean[i] += clean.sum(axis=0)
                n_windows[i] += len(windows)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n_clean[..., None]
    return Spectra(
        tuple(phase for phase, _ in phases), recording.labels, freqs[kept], mean, n_clean, n_windows
    )


def _by_name(phases: Sequence[Span]) -> list[tuple[Span, list[Span]]]:
    found: dict[str, list[Span]] = {}
    for phase in phases:
        found.setdefault(phase.name, []).append(phase)
    return [
        (
            Span(
                name,
                spans[0].kind,
                name.replace("_", " ") + (f" ×{len(spans)}" if len(spans) > 1 else ""),
                spans[0].start_s,
                spans[-1].end_s,
                spans[0].first,
                spans[-1].last,
                spans[0].eyes,
            ),
            spans,
        )
        for name, spans in found.items()
    ]


def _windows(recording: SessionRecording, span: Span, n: int) -> Iterator[FloatArray]:
    """Return the windows of a span in pieces, each of shape (n_windows, n_channels, n)."""
    hop, n_channels = n // 2, max(len(recording.labels), 1)
    if not hop:
        return
    at_once = max(1, PIECE // (n_channels * n))
    starts = range(span.first, span.last - n + 1, hop)
    for k in range(0, len(starts), at_once):
        some = starts[k : k + at_once]
        x = recording.eeg(some[0], some[-1] + n)
        if len(x) < n:
            return
        yield np.lib.stride_tricks.sliding_window_view(x, n, axis=0)[::hop]


def _power(
    windows: FloatArray, rate_hz: float, kept: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return one-sided power of each window and channel, and which may be used."""
    n = windows.shape[-1]
    t = (np.arange(n) - (n - 1) / 2) / n
    x = windows - windows.mean(axis=-1, keepdims=True)
    x -= (x @ t / (t @ t))[..., None] * t
    swing = np.ptp(x, axis=-1)
    usual = np.percentile(np.nan_to_num(swing), 25, axis=0)  # half of the windows may have blinks in them
    clean = swing <= np.maximum(
        MOST_UV, MOST_TIMES * usual
    )  # false where a sample is missing: NaN is not below
    taper = np.hanning(n + 1)[:n]
    parts = np.fft.rfft(np.where(clean[..., None], x, 0.0) * taper, axis=-1)[..., kept]
    power = np.square(np.abs(parts)) * (2.0 / (rate_hz * (taper @ taper)))
    power[..., 0] /= 2
    return power, clean


@dataclass(frozen=True)
class ChannelAccount:
    """How a channel was.

    Attributes
    ----------
    label : str
    states : mapping of str to int
        Quarters of a second in each state, as the session judges them.
    missing : float
        Share of samples that never came.
    deviation_uv : float
        Median over quarters of the standard deviation; NaN if there is none.
    left : int
        How often it was taken out during the session.
    """

    label: str
    missing: float
    deviation_uv: float
    left: int
    states: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> float:
        """Share of quarters in which nothing was wrong with it; NaN if there was none."""
        n = self.states.total()
        return self.states["ok"] / n if n else math.nan


def channel_accounts(recording: SessionRecording) -> tuple[list[ChannelAccount], bool]:
    """Judge every quarter of a second of every channel once more, as the session did.

    Returns
    -------
    accounts : list of ChannelAccount
    judged : bool
        False if the settings of the session are lost: then states are empty.
    """
    labels, n_samples = recording.labels, recording.n_samples
    quarter = round(recording.rate_hz / 4) if recording.rate_hz > 0 else 0
    judge = _judge(recording, quarter) if quarter else None
    states: list[Counter[str]] = [Counter() for _ in labels]
    n_missing = np.zeros(len(labels), dtype=np.int64)
    spreads: list[FloatArray] = []
    step = quarter * max(1, PIECE // max(quarter * len(labels), 1)) if quarter else 0
    for start in range(0, n_samples, step or max(n_samples, 1)):
        x = np.ascontiguousarray(recording.eeg(start, start + step))
        missing = np.isnan(x)
        n_missing += missing.sum(axis=0)
        n_quarters = len(x) // quarter if quarter else 0
        whole = x[: n_quarters * quarter].reshape(n_quarters, quarter, len(labels))
        spreads.append(whole.std(axis=1))
        for piece in whole if judge is not None else ():
            assert judge is not None
            for counted, found in zip(states, judge.process(piece), strict=True):
                counted[found.state] += 1
    left = Counter(e.details.get("channel") for e in recording.events if e.kind == "channel_left")
    spread = np.concatenate(spreads) if spreads else np.empty((0, len(labels)))
    accounts = [
        ChannelAccount(
            label,
            float(n_missing[i] / n_samples) if n_samples else math.nan,
            _median(spread[:, i]),
            left[label],
            states[i],
        )
        for i, label in enumerate(labels)
    ]
    return accounts, judge is not None


def _median(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan


def _judge(recording: SessionRecording, quarter: int) -> ChannelQuality | None:
    try:
        settings = LoopSettings.from_dict(recording.settings["loop"])
    except (NeurofbError, KeyError, TypeError):
        return None
    montage = settings.montage
    if montage.labels != recording.labels:
        return None
    return ChannelQuality(
        len(montage.labels), settings.rate_hz, quarter, montage.limits, montage.converter, settings.line_hz
    )
