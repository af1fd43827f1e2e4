"""Feature specifications of a protocol: frozen, and checked before a session starts.

In: tables ``[[features]]`` of a protocol, or keyword arguments. Out: declarations that `neurofb.loop.pipeline.Pipeline`
computes. Nothing here knows the montage or the rate: `neurofb.features.checks` holds declarations against those.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from neurofb.config import Table
from neurofb.dsp.artifacts import MUSCLE_S, SWING_S
from neurofb.errors import WrongInput
from neurofb.spatial.montage import ChannelSelection

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Edge = Annotated[float, Field(gt=0, allow_inf_nan=False)] | str
Band = tuple[Edge, Edge]
Check = Literal["blink", "muscle", "jump"]
ALL_CHECKS: tuple[Check, ...] = ("blink", "muscle", "jump")
Measure = Literal["debiased_wpli2", "imaginary_coherence", "ciplv", "wpli"]

#: Where the alpha peak is taken to lie while nobody has measured it (the mean of adults).
USUAL_IAF_HZ = 10.0
_RELATIVE = re.compile(r"^iaf\s*(?:([+-])\s*(\d+(?:\.\d+)?))?$")
_VOLUME_CONDUCTION = (
    "{found} cannot be a feature: one source seen by two electrodes (volume conduction) makes it high without any "
    "synchrony between regions, and the participant would be rewarded for that. Right are debiased_wpli2 (default), "
    "imaginary_coherence, ciplv or wpli; coherence and PLV remain for display"
)


class _FeatureSpec(Table):
    """The common part of feature specifications."""

    name: Name = Field(description='what values and rewards call it, as "theta"')
    checks: tuple[Check, ...] = Field(
        default=ALL_CHECKS, description='which artifacts make it unusable, of "blink", "muscle" and "jump"'
    )
    inhibits: tuple[Name, ...] = Field(
        default=(),
        description="names of muscle, ocular or power features over whose limit this one is not usable",
    )

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands it is made of, as declared."""
        return ()

    @property
    def selections(self) -> tuple[ChannelSelection, ...]:
        """The channels it is made of, by region or label."""
        return ()

    @property
    def unit(self) -> str:
        """The unit of its values; empty for a plain number."""
        return ""

    @property
    def is_power(self) -> bool:
        """True if scores are of its logarithm: a power, a share or a ratio of powers, not yet in dB."""
        return False


class _Filtered(_FeatureSpec):
    """The common part of features of band-filtered samples."""

    delay_s: Annotated[float, Field(ge=0, le=2)] | None = Field(
        default=None,
        description="how late the band filter may be, in s; left out: 0.1, below 7 Hz 0.15, below 3 Hz 0.3",
    )


class _Smoothed(_Filtered):
    smoothing_s: Positive = Field(default=0.12, description="time constant of the power's running mean, in s")
    limit: float | None = Field(
        default=None,
        description="above it, features that name this one in inhibits are not usable; in this one's unit",
    )

    @property
    def averaged_s(self) -> float:
        """The time constant of the power's running mean."""
        return self.smoothing_s


class Power(_Smoothed):
    """Power of a band, the mean over channels: µV² (absolute), dB over 1 µV² (db), a share of ``whole`` (relative)."""

    kind: Literal["power"] = "power"
    at: ChannelSelection = Field(description='where, as { region = "posterior" }')
    band: Band = Field(
        description='edges in Hz or against the alpha peak, as [8.0, 12.0] or ["iaf-2", "iaf+2"]'
    )
    scale: Literal["absolute", "relative", "db"] = Field(
        default="db", description='"absolute", "relative" or "db"'
    )
    whole: Band = Field(
        default=(3.0, 40.0), description="what a relative power is a share of, in Hz, as [3.0, 40.0]"
    )

    @property
    def bands(self) -> tuple[Band, ...]:
        """The band, and the whole where it is relative."""
        return (self.band, self.whole) if self.scale == "relative" else (self.band,)

    @property
    def selections(self) -> tuple[ChannelSelection, ...]:
        """The channels it is made of, by region or label."""
        return (self.at,)

    @property
    def unit(self) -> str:
        """µV², dB over 1 µV², or none for a share."""
        return {"absolute": "µV²", "db": "dB", "relative": ""}[self.scale]

    @property
    def is_power(self) -> bool:
        """True unless in dB."""
        return self.scale != "db"


class Ratio(_Smoothed):
    """Power of one band over that of another, at one place or two: a plain ratio, or in dB."""

    kind: Literal["ratio"] = "ratio"
    at: ChannelSelection = Field(description="where the upper power is taken")
    band: Band = Field(description="the upper band")
    over: Band = Field(description="the band that divides")
    over_at: ChannelSelection | None = Field(
        default=None, description="where the lower power is taken; left out: the same place"
    )
    scale: Literal["absolute", "db"] = Field(
        default="db", description='"absolute" for the plain ratio, or "db"'
    )

    @property
    def bands(self) -> tuple[Band, ...]:
        """Upper and lower band."""
        return (self.band, self.over)

    @property
    def selections(self) -> tuple[ChannelSelection, ...]:
        """Those of the upper and of the lower power."""
        return (self.at, self.over_at or self.at)

    @property
    def unit(self) -> str:
        """dB, or none for the plain ratio."""
        return "dB" if self.scale == "db" else ""

    @property
    def is_power(self) -> bool:
        """True unless in dB."""
        return self.scale != "db"


class Asymmetry(_Smoothed):
    """ln(power right) - ln(power left): above 0 where the right side has more."""

    kind: Literal["asymmetry"] = "asymmetry"
    left: ChannelSelection = Field(description="the left place")
    right: ChannelSelection = Field(description="the right place")
    band: Band = Field(description="edges in Hz or against the alpha peak")

    @property
    def bands(self) -> tuple[Band, ...]:
        """The band."""
        return (self.band,)

    @property
    def selections(self) -> tuple[ChannelSelection, ...]:
        """Left and right."""
        return (self.left, self.right)


class SynchronyOf(_Filtered):
    """Synchrony between regions: the mean of a measure over pairs of places, from the last ``window_s``.

    Samples under an artifact do not enter it. The default, debiased wPLI², is around 0 without synchrony, may be
    slightly below, and does not rise by volume conduction.
    """

    kind: Literal["synchrony"] = "synchrony"
    between: tuple[ChannelSelection, ...] = Field(min_length=2, description="two places or more")
    pairs: tuple[tuple[int, int], ...] = Field(
        default=(), description="which pairs of them, counted from 0, as [[0, 1]]; left out: all"
    )
    band: Band = Field(description="edges in Hz or against the alpha peak")
    measure: Measure = Field(
        default="debiased_wpli2", description='"debiased_wpli2", "imaginary_coherence", "ciplv" or "wpli"'
    )
    window_s: Annotated[float, Field(ge=2, le=60)] = Field(
        default=6.0, description="length of its window, in s; 4 to 8"
    )

    @field_validator("measure", mode="before")
    @classmethod
    def _not_conducted(cls, measure: object) -> object:
        if str(measure).lower() in ("coherence", "coh", "plv", "debiased_coherence2", "aec", "correlation"):
            raise ValueError(_VOLUME_CONDUCTION.format(found=measure))
        return measure

    @model_validator(mode="after")
    def _pairs_exist(self) -> SynchronyOf:
        n = len(self.between)
        for first, second in self.pairs:
            if not (0 <= first < n and 0 <= second < n) or first == second:
                raise ValueError(f"pair [{first}, {second}] needs two different places between 0 and {n - 1}")
        if len({frozenset(pair) for pair in self.pairs}) < len(self.pairs):
            raise ValueError("a pair of places is given twice; each is measured once")
        return self

    @property
    def bands(self) -> tuple[Band, ...]:
        """The band."""
        return (self.band,)

    @property
    def selections(self) -> tuple[ChannelSelection, ...]:
        """The channels it is measured between."""
        return self.between

    @property
    def averaged_s(self) -> float:
        """The length of its window."""
        return self.window_s


class MuscleIndex(_FeatureSpec):
    """Power of 28–38 Hz over its usual level in the baseline, in dB: that of the channel that has most of it."""

    kind: Literal["muscle"] = "muscle"
    channels: tuple[str, ...] = Field(default=(), description="channels to look at; left out: all")
    limit: float = Field(
        default=6.0, description="dB above which features that name this one in inhibits are not usable"
    )

    @property
    def averaged_s(self) -> float:
        """The time constant of the muscle's power."""
        return MUSCLE_S

    @property
    def unit(self) -> str:
        """Decibels over the usual."""
        return "dB"


class OcularIndex(_FeatureSpec):
    """Slow swing of the frontal channels within half a second over its limit: from 1 on, the eyes are at work."""

    kind: Literal["ocular"] = "ocular"
    limit: float = Field(
        default=1.0, description="above it, features that name this one in inhibits are not usable"
    )

    @property
    def averaged_s(self) -> float:
        """The time over which a swing is measured."""
        return SWING_S


Feature = Annotated[
    Power | Ratio | Asymmetry | SynchronyOf | MuscleIndex | OcularIndex, Field(discriminator="kind")
]


def band_hz(band: Band, iaf_hz: float | None = None) -> tuple[float, float]:
    """Return the edges of a band in Hz.

    Parameters
    ----------
    band : pair of float or str
        Hz, or against the individual alpha frequency: ``"iaf"``, ``"iaf-4"``, ``"iaf+2.5"``.
    iaf_hz : float, optional
        The individual alpha frequency; 10 Hz where it is not known.
    """
    low, high = (_edge_hz(edge, USUAL_IAF_HZ if iaf_hz is None else iaf_hz) for edge in band)
    return low, high


def is_relative(band: Band) -> bool:
    """Return whether a band follows the individual alpha frequency."""
    return any(isinstance(edge, str) for edge in band)


def _edge_hz(edge: Edge, iaf_hz: float) -> float:
    if not isinstance(edge, str):
        return float(edge)
    found = _RELATIVE.match(edge.strip().lower())
    if found is None:
        raise WrongInput(f'a band\'s edge is a number of Hz or as "iaf-4", "iaf" or "iaf+2"; found {edge!r}')
    step = float(found[2] or 0.0)
    return iaf_hz - step if found[1] == "-" else iaf_hz + step
