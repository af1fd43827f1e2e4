"""Signal quality of each channel: the EEG judged once more, in pieces, as the session did.

In: a recording. Out: `ChannelStats`. However long the session, only a few seconds of EEG and the sums are held.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.dsp.quality import ChannelQuality
from neurofb.errors import NeurofbError
from neurofb.events import Event
from neurofb.loop.settings import LoopSettings
from neurofb.recording.session_recording import SessionRecording

#: Numbers held at a time, whatever the rate and the number of channels.
PIECE = 2_000_000


@dataclass(frozen=True)
class ChannelStats:
    """Signal quality of one channel."""

    label: str
    #: Fraction of samples that never came.
    missing: float
    #: Median over quarters of a second of the standard deviation; NaN if there is none.
    deviation_uv: float
    #: How often it was taken out during the session.
    left: int
    #: Quarters of a second in each state.
    states: Counter[str] = field(default_factory=Counter)

    @property
    def good(self) -> float:
        """Fraction of quarters in which nothing was wrong with it; NaN if there was none."""
        n = self.states.total()
        return self.states["ok"] / n if n else math.nan

    def fraction(self, state: str) -> float:
        """Return the fraction of quarters in a state."""
        return self.states[state] / max(self.states.total(), 1)


def channel_stats(recording: SessionRecording) -> tuple[list[ChannelStats], bool]:
    """Judge every quarter of a second of every channel once more, as the session did.

    Returns
    -------
    channels : list of ChannelStats
    is_judged : bool
        False if the settings of the session are lost: then states are empty.
    """
    labels, n_samples = recording.labels, recording.n_samples
    quarter = round(recording.rate_hz / 4) if recording.rate_hz > 0 else 0
    checker = _channel_quality(recording, quarter) if quarter else None
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
        for piece in whole if checker is not None else ():
            assert checker is not None
            for counted, found in zip(states, checker.process(piece), strict=True):
                counted[found.state] += 1
    left = Counter(e.details.get("channel") for e in recording.events if e.kind == "channel_left")
    spread = np.concatenate(spreads) if spreads else np.empty((0, len(labels)))
    channels = [
        ChannelStats(
            label,
            float(n_missing[i] / n_samples) if n_samples else math.nan,
            _median(spread[:, i]),
            left[label],
            states[i],
        )
        for i, label in enumerate(labels)
    ]
    return channels, checker is not None


def _median(values: FloatArray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan


def _channel_quality(recording: SessionRecording, quarter: int) -> ChannelQuality | None:
    try:
        settings = LoopSettings.from_dict(recording.settings["loop"])
    except (NeurofbError, KeyError, TypeError):
        return None
    montage = settings.montage
    if montage.labels != recording.labels:
        return None
    return ChannelQuality(
        len(montage.labels), settings.rate_hz, quarter, montage.limits, montage.converter, settings.line_hz,
        settings.rules,
    )  # fmt: skip


def quality_context(
    channels: Sequence[ChannelStats], is_judged: bool, events: Sequence[Event]
) -> dict[str, Any]:
    """Return the context of the section on signal quality."""
    states = Counter[str]()
    for channel in channels:
        states += channel.states
    stream = Counter(event.kind for event in events if event.kind in ("gap", "stale", "lost"))
    return {
        "channels": channels,
        "is_judged": is_judged,
        "states": [name for name, _ in states.most_common() if name != "ok"],
        "stream": list(stream.items()),
    }
