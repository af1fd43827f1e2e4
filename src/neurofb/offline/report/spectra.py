"""Spectra of each phase, and topographies.

In: a recording and its annotations. Out: `Spectra`. However long the session, only a few seconds of EEG and the sums
are held.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.format import DASH, percent
from neurofb.offline.annotations import Annotation, SessionAnnotations
from neurofb.offline.report import figures
from neurofb.recording.session_recording import SessionRecording

#: Length of a window in s; windows overlap by half (Welch 1967).
WINDOW_S = 2.0
#: A window that swings further than this on a channel, drift removed, and than so many times what is usual there, is
#: left out: blinks, movement. Strong alpha alone may swing by 250 µV.
MOST_UV, MOST_TIMES = 150.0, 2.5
HIGHEST_HZ = 45.0
#: Numbers held at a time, whatever the rate and the number of channels.
PIECE = 2_000_000
#: Taken for the alpha peak where none was found, as the pipeline does.
USUAL_IAF_HZ = 10.0
#: Regions that a reader looks for first.
USUAL_REGIONS = ("frontal_midline", "frontal", "sensorimotor", "temporal", "posterior")


@dataclass(frozen=True, eq=False)
class Spectra:
    """Power spectra by phase."""

    #: The phases that were measured; phases of one name count as one.
    phases: tuple[Annotation, ...]
    labels: tuple[str, ...]
    #: Shape (n_freqs,).
    freqs_hz: FloatArray
    #: In µV²/Hz, shape (n_phases, n_channels, n_freqs); NaN where a channel had no clean window.
    power: FloatArray
    #: Clean windows, shape (n_phases, n_channels), and all windows, shape (n_phases,).
    n_clean: NDArray[np.int64]
    n_windows: NDArray[np.int64]
    #: The alpha peak that the session found or was given.
    iaf_hz: float | None = None

    @property
    def bands_hz(self) -> dict[str, tuple[float, float]]:
        """Theta and alpha against the alpha peak."""
        peak = USUAL_IAF_HZ if self.iaf_hz is None else self.iaf_hz
        return {"theta": (max(peak - 6, 1.0), peak - 2), "alpha": (peak - 2, peak + 2)}

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
        finite = np.isfinite(power).all(axis=-1, keepdims=True)
        count = finite.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: FloatArray = np.where(finite, power, 0.0).sum(axis=1) / count
        return np.where(count > 0, mean, np.nan)


def spectra_of(recording: SessionRecording, annotations: SessionAnnotations) -> Spectra:
    """Compute the spectra of the phases in which something is measured.

    Notes
    -----
    Welch's mean of windows of ``WINDOW_S``, the line through each removed, Hann taper, one-sided, in µV²/Hz.
    """
    rate_hz = recording.rate_hz
    n = round(WINDOW_S * rate_hz) if rate_hz > 0 else 0
    phases = _by_name([phase for phase in annotations.measured if phase.stop - phase.first >= max(n, 1)])
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
        tuple(phase for phase, _ in phases),
        recording.labels,
        freqs[kept],
        mean,
        n_clean,
        n_windows,
        iaf_hz_of(recording),
    )


def iaf_hz_of(recording: SessionRecording) -> float | None:
    """Return the alpha peak that the session found, or was given; None without one."""
    fits = [event.details for event in recording.events if event.kind == "fitted"]
    given = recording.settings.get("given")
    for document in (*reversed(fits), given if isinstance(given, dict) else {}):
        peak = document.get("iaf_hz")
        if isinstance(peak, int | float) and math.isfinite(peak):
            return float(peak)
    return None


def _by_name(phases: Sequence[Annotation]) -> list[tuple[Annotation, list[Annotation]]]:
    found: dict[str, list[Annotation]] = {}
    for phase in phases:
        found.setdefault(phase.name, []).append(phase)
    return [(_joined(some), some) for some in found.values()]


def _joined(phases: Sequence[Annotation]) -> Annotation:
    """Return phases of one name as one."""
    first, often = phases[0], f" ×{len(phases)}" if len(phases) > 1 else ""
    return replace(first, details={**first.details, "label": first.name.replace("_", " ") + often})


def _windows(recording: SessionRecording, span: Annotation, n: int) -> Iterator[FloatArray]:
    """Return the windows of a span in pieces, each of shape (n_windows, n_channels, n)."""
    hop, n_channels = n // 2, max(len(recording.labels), 1)
    if not hop:
        return
    at_once = max(1, PIECE // (n_channels * n))
    starts = range(span.first, span.stop - n + 1, hop)
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


# -- the section -------------------------------------------------------------------------------------------------


def spectra_context(
    spectra: Spectra, montage: Mapping[str, Any], specs: Sequence[Any]
) -> dict[str, Any] | None:
    """Return figures and captions of the section on spectra; None without EEG that is long enough.

    ``montage`` and ``specs`` are the session's, as far as they are known.
    """
    if not len(spectra.freqs_hz) or not spectra.n_windows.any():
        return None
    regions = _regions(spectra.labels, montage.get("regions") or {}, specs)
    positions = dict(zip(montage.get("labels", ()), montage.get("positions", ()), strict=False))
    return {
        "by_region": figures.spectra_by_place(spectra, regions),
        "by_channel": figures.spectra_by_place(spectra, [(label, [label]) for label in spectra.labels]),
        "topographies": figures.topographies(spectra, positions),
        "window_s": WINDOW_S,
        "most_uv": MOST_UV,
        "theta_hz": spectra.bands_hz["theta"],
        "alpha_hz": spectra.bands_hz["alpha"],
        "peak_hz": spectra.iaf_hz,
        "windows": [
            (
                phase.label,
                f"{n}",
                percent(float(clean.mean() / n) if n else math.nan),
                *_worst(clean, spectra.labels),
            )
            for phase, n, clean in zip(spectra.phases, spectra.n_windows, spectra.n_clean, strict=True)
        ],
    }


def _worst(clean: NDArray[np.int64], labels: tuple[str, ...]) -> tuple[str, str]:
    """Return the channel with the fewest clean windows, and how many those are."""
    if not clean.size:
        return DASH, ""
    worst = int(clean.argmin())
    return labels[worst], f"{clean[worst]}"


def _regions(
    labels: Sequence[str], regions: Mapping[str, Sequence[str]], specs: Sequence[Any]
) -> list[tuple[str, list[str]]]:
    """Return the regions that features use, then the usual ones; every channel where there are no regions."""
    used = [place.get("region") for each in specs
            for place in (each.get("at") or {}, *(each.get("between") or ()))]  # fmt: skip
    names = [name for name in dict.fromkeys((*used, *USUAL_REGIONS)) if name in regions]
    places = [(name, [channel for channel in regions[name] if channel in labels]) for name in names]
    return [place for place in places if place[1]][:8] or [(label, [label]) for label in labels[:8]]
