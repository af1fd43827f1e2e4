"""Other features that withhold feedback: muscle, eyes, other bands.

In: their values with the sample index. Out, when asked: why feedback is withheld, in words, or nothing. Kept: the
last value and when it was last beyond its limit.
"""

from __future__ import annotations

import math

from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import Baseline
from neurofb.feedback.settings import InhibitSettings

#: Without a value for this long an inhibit says nothing, and so nothing is rewarded: slow features come at 4 Hz.
SILENT_AFTER_S = 0.5
#: An inhibit that would withhold more than this share of its own baseline is a mistake in the protocol.
MOST_OF_BASELINE = 0.5


class Inhibit:
    """One feature and its limit."""

    def __init__(self, settings: InhibitSettings, rate_hz: float) -> None:
        self.settings = settings
        self._baseline: Baseline | None = None
        self._linger_samples = round(settings.linger_s * rate_hz)
        self._silent_samples = round(SILENT_AFTER_S * rate_hz)
        self._last: FeatureValue | None = None
        self._beyond_at: int | None = None
        unit = "z = " if settings.unit == "z" else ""
        self._name = f"inhibit {settings.feature!r}"
        self._beyond_words = f"{self._name} is {settings.side} its limit {unit}{settings.limit:g}"

    def set_baseline(self, baseline: Baseline | None) -> None:
        """Compute z-scores against this baseline from now on."""
        self._baseline = baseline

    def update(self, value: FeatureValue) -> None:
        """Set its newest value."""
        self._last = value
        if value.usable and self._beyond(value.value, self._baseline):
            self._beyond_at = value.index

    def _beyond(self, value: float, baseline: Baseline | None) -> bool:
        if self.settings.unit == "z":
            value = baseline.z(value) if baseline is not None else math.nan
        return value > self.settings.limit if self.settings.side == "above" else value < self.settings.limit

    def why(self, index: int) -> str:
        """Return in words why a value of sample ``index`` earns nothing; empty if it may."""
        last = self._last
        if last is None or index - last.index > self._silent_samples:
            return f"{self._name} gives no values"
        if not last.usable or not math.isfinite(last.value):
            return f"{self._name} cannot be judged: {last.why or 'it has no value'}"
        if self._beyond_at is not None and index <= self._beyond_at + self._linger_samples:
            return self._beyond_words
        return ""

    def too_tight(self, baseline: Baseline) -> str:
        """Return in words that the limit would withhold most of a baseline; empty if it would not."""
        share = sum(self._beyond(value, baseline) for value in baseline.values) / len(baseline.values)
        if share <= MOST_OF_BASELINE:
            return ""
        return (
            f"{self._name}: its limit {self.settings.limit:g} would have withheld {share:.0%} of the "
            f"{baseline.condition!r} baseline; at most {MOST_OF_BASELINE:.0%} is sensible"
        )
