"""Checks of features against a montage and a rate: all problems at once, before a session starts."""

from __future__ import annotations

from collections.abc import Sequence

from neurofb.dsp.artifacts import MUSCLE_HZ, eye_channels
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.wiener import check_bands
from neurofb.errors import NeurofbError, WrongInput, nearest
from neurofb.features.feature_specs import (
    Asymmetry,
    Band,
    MuscleIndex,
    OcularIndex,
    Ratio,
    SynchronyOf,
    band_hz,
)
from neurofb.features.presets import AnyFeature
from neurofb.spatial.filters import rereference
from neurofb.spatial.montage import ChannelSelection, Montage

#: Above this the scalp shows more muscle than brain (Whitham 2007: from 20 Hz on; 30 Hz is where gamma begins).
GAMMA_HZ = 30.0


def problems(
    features: Sequence[AnyFeature],
    montage: Montage,
    rate_hz: float,
    iaf_hz: float | None = None,
    reference: str | Sequence[str] | None = None,
) -> list[str]:
    """Return everything that keeps these features from being computed, in words; empty if nothing does.

    Parameters
    ----------
    features : sequence of declared features
    montage : Montage
    rate_hz : float
        Sampling rate of the stream.
    iaf_hz : float, optional
        The individual alpha frequency that relative bands follow; 10 Hz if unknown.
    reference : "average" or sequence of str, optional
        What every channel is to be re-referenced to.
    """
    found = [] if features else ["no feature is declared; declare at least one"]
    names = [feature.name for feature in features]
    found += [
        f"two features are named {name!r}; each needs its own"
        for name in sorted({n for n in names if names.count(n) > 1})
    ]
    if reference is not None:
        try:
            rereference(montage.labels, reference)
        except NeurofbError as error:
            found.append(str(error))
    try:
        HopSize.at(rate_hz)
    except WrongInput as error:
        return [*found, str(error)]
    for feature in features:
        words = [
            *_selections(feature, montage),
            *_bands(feature, rate_hz, iaf_hz),
            *_gamma(feature, features, iaf_hz),
            *_inhibits(feature, features),
        ]
        found += [f"feature {feature.name!r}: {each}" for each in words]
    return found


def check_features(
    features: Sequence[AnyFeature],
    montage: Montage,
    rate_hz: float,
    iaf_hz: float | None = None,
    reference: str | Sequence[str] | None = None,
) -> None:
    """Raise for features that this montage or rate cannot provide; the message lists every problem."""
    found = problems(features, montage, rate_hz, iaf_hz, reference)
    if found:
        count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
        raise WrongInput("\n".join([f"the features have {count}:", *(f"  {each}" for each in found)]))


def _selections(feature: AnyFeature, montage: Montage) -> list[str]:
    if isinstance(feature, OcularIndex):
        return (
            []
            if eye_channels(montage.positions)
            else ["no channel sees the eyes; it needs one such as Fp1, AF7 or F3"]
        )
    selections: tuple[ChannelSelection, ...] = feature.selections
    if isinstance(feature, MuscleIndex) and feature.channels:
        selections = (ChannelSelection(channels=feature.channels),)
    found, known = [], []
    for selection in selections:
        try:
            known.append((str(selection), set(montage.channels(selection))))
        except NeurofbError as error:
            found.append(str(error))
    if isinstance(feature, SynchronyOf | Asymmetry):
        found += _shared(known)
    return list(dict.fromkeys(found))


def _shared(known: Sequence[tuple[str, set[str]]]) -> list[str]:
    """Return the pairs that share a channel: it is alike with itself, which is no synchrony and no asymmetry."""
    return [
        f"{first} and {second} share {', '.join(sorted(mine & theirs))}; choose places without a common channel"
        for i, (first, mine) in enumerate(known)
        for second, theirs in known[i + 1 :]
        if mine & theirs
    ]


def _bands(feature: AnyFeature, rate_hz: float, iaf_hz: float | None) -> list[str]:
    bands: list[tuple[str, tuple[float, float]]] = []
    found = []
    for band in feature.bands:
        try:
            bands.append((_shown(band), band_hz(band, iaf_hz)))
        except WrongInput as error:
            found.append(str(error))
    if isinstance(feature, MuscleIndex):
        bands.append(("28–38 Hz of muscle", MUSCLE_HZ))
    for name, edges in dict(bands).items():
        try:
            check_bands({name: edges}, rate_hz)
        except WrongInput as error:
            found.append(str(error))
    if isinstance(feature, Ratio) and feature.band == feature.over and feature.over_at in (None, feature.at):
        found.append("band and over are the same at the same place: the ratio is always 1")
    return found


def _shown(band: Band) -> str:
    return " to ".join(edge if isinstance(edge, str) else f"{edge:g} Hz" for edge in band)


def _gamma(feature: AnyFeature, features: Sequence[AnyFeature], iaf_hz: float | None) -> list[str]:
    """Refuse gamma unless muscle both makes it unusable and is measured by an index of its own."""
    reaching = []
    for position, band in enumerate(feature.bands):
        try:
            high = band_hz(band, iaf_hz)[1]
        except WrongInput:
            continue
        # The whole of a relative power may reach further: muscle there lowers the share, it cannot earn anything.
        is_whole = feature.kind == "power" and position == 1
        if high > GAMMA_HZ and not is_whole:
            reaching.append(_shown(band))
    muscles = {each.name for each in features if isinstance(each, MuscleIndex)}
    if not reaching or (muscles & set(feature.inhibits) and "muscle" in feature.checks):
        return []
    return [
        f"the band {reaching[0]} reaches above {GAMMA_HZ:g} Hz, where the scalp shows muscle rather than brain: who "
        "clenches the jaw would be rewarded. Declare a feature of kind muscle, name it in inhibits, and leave "
        '"muscle" in checks; or end the band at 30 Hz'
    ]


def _inhibits(feature: AnyFeature, features: Sequence[AnyFeature]) -> list[str]:
    by_name = {each.name: each for each in features}
    found = []
    for name in feature.inhibits:
        other = by_name.get(name)
        if other is None:
            found.append(f"inhibits names {name!r}, which is not declared; {nearest(name, by_name)}")
        elif name == feature.name:
            found.append("it cannot inhibit itself")
        elif getattr(other, "limit", None) is None:
            found.append(
                f"inhibits names {name!r}, which has no limit; give {name!r} a limit"
                if hasattr(other, "limit")
                else f"inhibits names {name!r}, a slow feature; choose a power, muscle or ocular index"
            )
    return found
