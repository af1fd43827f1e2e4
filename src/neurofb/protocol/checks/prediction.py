"""Predictions before a session: channels, the filters' accuracy and delay, the rate of reward."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import special

from neurofb.dsp.artifacts import eye_channels
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.spectrum import Spectrum
from neurofb.errors import NeurofbError
from neurofb.features.feature_estimators import key_of
from neurofb.features.feature_specs import band_hz
from neurofb.features.presets import AnyFeature
from neurofb.feedback.settings import FeedbackSettings, ThresholdSettings
from neurofb.feedback.threshold import Threshold
from neurofb.feedback.threshold_rules import ONE_UP_TWO_DOWN
from neurofb.loop.blink_effects import BOUND_DB, LEFT_DB
from neurofb.loop.participant_fit import ParticipantRecord
from neurofb.protocol.design import Protocol
from neurofb.spatial.blinks import n_projected
from neurofb.spatial.montage import Montage


@dataclass(frozen=True, slots=True)
class FeatureOutlook:
    """The channels and expected accuracy of one feature."""

    name: str
    channels: tuple[str, ...]
    #: Edges of its first band; None where it has none.
    band_hz: tuple[float, float] | None
    #: Declared delay of the band filter.
    delay_s: float | None
    #: Time constant or window.
    averaged_s: float
    #: Expected correlation of its envelope with that of an offline analysis.
    correlation: float | None
    #: True if that is from the participant's own spectrum instead of a prior.
    own: bool
    #: What happens to it in blinks, in words; empty for what has no gate for them.
    in_blinks: str = ""


#: How far the first block's rate lies from the one aimed at for nine in ten people, in SD of a normal distribution:
#: where the threshold stands during the block, and where it moves at once. Measured (``benchmarks/first_block.py``).
FIRST_BLOCK_SD = {"between blocks": 0.6, "at once": 0.2}


@dataclass(frozen=True, slots=True)
class RewardOutlook:
    """The expected rate of reward."""

    #: Share of clean time; None if only a baseline could predict it.
    rate: float | None
    #: Source of that rate, in words.
    why: str
    #: Where the rate of the first block lies for nine in ten people who do not learn: the baseline is one minute of a
    #: rhythm that waxes and wanes; None without a rate.
    first_block: tuple[float, float] | None = None


def feature_outlook(
    feature: AnyFeature, montage: Montage, rate_hz: float, earlier: ParticipantRecord | None
) -> FeatureOutlook | None:
    """Return the outlook of a feature; None if this headset cannot provide it."""
    try:
        labels = [label for selection in feature.selections for label in montage.channels(selection)]
        channels = tuple(dict.fromkeys(labels)) or montage.labels
        if not feature.bands:
            return FeatureOutlook(feature.name, channels, None, None, feature.averaged_s, None, False)
        return _with_band(feature, channels, rate_hz, earlier)
    except NeurofbError:
        return None  # the check of features has said why


def _with_band(
    feature: AnyFeature, channels: tuple[str, ...], rate_hz: float, earlier: ParticipantRecord | None
) -> FeatureOutlook:
    iaf_hz = earlier.fit.iaf_hz if earlier else None
    low, high, delay_s = key_of(feature, feature.bands[0], iaf_hz)
    own = earlier.fit.spectrum if earlier else None
    spectrum = None if own is None else Spectrum(own.freqs_hz, own.density.mean(axis=0))
    filtering = BandFilter({feature.name: (low, high)}, rate_hz, 1, delay_s, spectrum)
    return FeatureOutlook(
        feature.name,
        channels,
        band_hz(feature.bands[0], iaf_hz),
        delay_s,
        feature.averaged_s,
        filtering.expected_correlation.item(0),
        own is not None,
    )


def blink_outlook(
    feature: AnyFeature, montage: Montage, protocol: Protocol, earlier: ParticipantRecord | None
) -> str:
    """Return in words what happens to a feature in blinks, as far as it is known before the baseline."""
    if "blink" not in feature.checks or not feature.bands:
        return ""
    eyes, blinks = eye_channels(montage.positions), protocol.cleaning.blinks
    if not eyes:
        return "blinks are not seen: no channel at the forehead or in the frontal row"
    known = earlier.fit.blinks if earlier else None
    if known is not None and (effect := known.effect(feature, protocol.reference)) is not None:
        return effect.describe(blinks).removeprefix(f"{feature.name} ").replace(" in blinks", "", 1)
    places = {label for place in feature.selections for label in montage.channels(place)}
    at_eyes = sorted(places & {montage.labels[eye] for eye in eyes})
    if at_eyes:
        return (
            f"withheld: {', '.join(at_eyes)} see the eyes, and what takes a blink out there takes EEG with it"
        )
    goes_on = f"goes on if the baseline shows that blinks move it by less than {BOUND_DB:g} dB"
    n_patterns = n_projected(len(montage.labels), len(eyes))
    if blinks == "withhold":
        return f"{goes_on}; else withheld"
    if not n_patterns:
        return (
            f"{goes_on}; else withheld: projecting blinks out needs 8 channels, found {len(montage.labels)}"
        )
    patterns = "1 pattern is" if n_patterns == 1 else f"up to {n_patterns} patterns are"
    return f"{goes_on}; else {patterns} projected out if that leaves less than {LEFT_DB:g} dB of them; else withheld"


def reward_outlook(
    settings: FeedbackSettings, feature: AnyFeature, rate_hz: float, earlier: ParticipantRecord | None
) -> RewardOutlook:
    """Return the expected rate of reward: measured on a baseline if there is one, else the rule's nominal rate."""
    mine = [each for each in earlier.baselines if each.feature == feature.name] if earlier else []
    if mine:
        shares = []
        for baseline in mine:
            threshold = Threshold(settings.threshold, baseline, settings.direction, rate_hz)
            above = sum(threshold.sign * z > threshold.start for z in baseline.z_values)
            shares.append(above / len(baseline.z_values))
        conditions = ", ".join(each.condition for each in mine)
        rate = sum(shares) / len(shares)
        return RewardOutlook(
            rate,
            f"rehearsed on the participant's baseline: {conditions}",
            _first_block(rate, settings.threshold),
        )
    return _promised(settings.threshold)


def _promised(asked: ThresholdSettings) -> RewardOutlook:
    if asked.rule == "fixed":
        return RewardOutlook(None, f"a fixed threshold of {asked.z:g} SD: only a baseline can tell")
    rate = ONE_UP_TWO_DOWN if asked.rule == "one_up_two_down" else asked.success_rate
    return RewardOutlook(rate, f"what rule {asked.rule!r} aims at, of clean time", _first_block(rate, asked))


def _first_block(rate: float, asked: ThresholdSettings) -> tuple[float, float] | None:
    if not 0 < rate < 1:
        return None
    centre, away = float(special.ndtri(rate)), FIRST_BLOCK_SD[asked.change]
    return float(special.ndtr(centre - away)), float(special.ndtr(centre + away))
