"""Declared features: what is refused and in which words, what presets ask for, and what the formulas give."""

import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from neurofb.chunk import Chunk
from neurofb.devices import load_profile
from neurofb.dsp.artifacts import Calibration
from neurofb.errors import UnknownName, WrongInput
from neurofb.features.checks import check_features, problems
from neurofb.features.feature_specs import (
    Asymmetry,
    Feature,
    MuscleIndex,
    OcularIndex,
    Power,
    Ratio,
    SynchronyOf,
    band_hz,
)
from neurofb.features.presets import DEFAULT_PRESET, PRESETS, preset
from neurofb.loop.pipeline import Pipeline
from neurofb.spatial.montage import ChannelSelection, Montage

RATE_HZ = 250.0
MONTAGE = Montage.of(load_profile("simulated"))
FZ, O1, O2 = (
    ChannelSelection(channels=("Fz",)),
    ChannelSelection(channels=("O1",)),
    ChannelSelection(channels=("O2",)),
)


def power(name="power", at=FZ, band=(4.0, 8.0), **others):
    return Power(name=name, at=at, band=band, **others)


def tone(hz, uv, n_s=8.0, labels=("Fz",)):
    """A sine on some channels, a hundredth of it on all others, and so far below any limit."""
    t = np.arange(int(n_s * RATE_HZ)) / RATE_HZ
    x = np.outer(uv * np.sin(2 * np.pi * hz * t), np.full(len(MONTAGE.labels), 0.01))
    for label in labels:
        x[:, MONTAGE.labels.index(label)] *= 100
    return x + 0.5 * np.random.default_rng(0).standard_normal(x.shape)


def last_values(features, x, **settings):
    values = Pipeline(features, MONTAGE, RATE_HZ, **settings).push(chunk(x))
    return {value.name: value for value in values}


def chunk(x, first=0):
    times = (first + np.arange(len(x))) / RATE_HZ
    return Chunk(x, first, times, times)


# -- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "feature, words",
    [
        (
            power(at=ChannelSelection(region="frontal_middle")),
            "no region 'frontal_middle'.*did you mean 'frontal_m",
        ),
        (power(at=ChannelSelection(channels=("FZ",))), "there is no channel 'FZ'.*did you mean 'Fz'"),
        (power(band=(8.0, 4.0)), r"needs 0 < low < high in Hz, found \(8, 4\); it is upside down"),
        (power(band=("iaf-12", "iaf")), r"iaf-12 to iaf' needs 0 < low < high in Hz, found \(-2, 10\)"),
        (power(band=("alpha", 12.0)), "a number of Hz or as .iaf-4.*found 'alpha'"),
        (power(band=(20.0, 125.0)), "at 250 Hz a band must end below the Nyquist frequency 125 Hz"),
        (
            power(band=(30.0, 45.0)),
            "reaches above 30 Hz, where the scalp shows muscle.*Declare a feature of kind",
        ),
        (power(inhibits=("emg",)), "inhibits names 'emg', which is not declared"),
        (
            Ratio(name="r", at=FZ, band=(4.0, 8.0), over=(4.0, 8.0)),
            "the same at the same place: the ratio is always 1",
        ),
        (
            Asymmetry(
                name="a",
                left=ChannelSelection(region="posterior"),
                right=ChannelSelection(region="occipital"),
                band=(8.0, 12.0),
            ),
            "posterior and occipital share O1, O2, Oz; choose places without a common channel",
        ),
        (
            SynchronyOf(name="s", between=(ChannelSelection(region="frontal"), FZ), band=(8.0, 12.0)),
            "frontal and Fz share Fz",
        ),
        (MuscleIndex(name="m", channels=("T9",)), "there is no channel 'T9'.*there are"),
    ],
)
def test_impossible_feature_is_refused_with_reason(feature, words):
    with pytest.raises(WrongInput, match=f"(?s)problems?:.*feature '{feature.name}'.*{words}"):
        check_features([feature], MONTAGE, RATE_HZ)
    with pytest.raises(WrongInput, match=words):
        Pipeline([feature], MONTAGE, RATE_HZ)


def test_all_problems_are_listed_at_once():
    features = [
        power("one", at=ChannelSelection(region="nowhere"), band=(70.0, 200.0)),
        power("one", at=ChannelSelection(channels=("Xy", "Zz"))),
    ]
    found = problems(features, MONTAGE, RATE_HZ)
    assert len(found) == 5
    with pytest.raises(WrongInput, match="the features have 5 problems:\n.*\n.*\n.*\n.*\n.*'Zz'") as refused:
        check_features(features, MONTAGE, RATE_HZ)
    for words in ("two features are named 'one'", "'nowhere'", "Nyquist", "above 30 Hz", "'Xy'"):
        assert words in str(refused.value)


def test_other_impossible_settings_are_refused():
    with pytest.raises(WrongInput, match="no feature is declared"):
        check_features([], MONTAGE, RATE_HZ)
    with pytest.raises(WrongInput, match="at least 64 Hz, found 50 Hz"):
        check_features([power()], MONTAGE, 50.0)
    with pytest.raises(WrongInput, match="no channel sees the eyes"):
        check_features([OcularIndex(name="eyes")], Montage(("C3", "C4", "Pz")), RATE_HZ)
    with pytest.raises(WrongInput, match="the band 28–38 Hz of muscle|Nyquist"):
        check_features([MuscleIndex(name="emg")], MONTAGE, 70.0)
    with pytest.raises(WrongInput, match="'other', which has no limit; give 'other' a limit"):
        check_features([power(inhibits=("other",)), power("other")], MONTAGE, RATE_HZ)
    with pytest.raises(WrongInput, match="it cannot inhibit itself"):
        check_features([power(inhibits=("power",), limit=3.0)], MONTAGE, RATE_HZ)
    slow = SynchronyOf(name="slow", between=(O1, O2), band=(8.0, 12.0))
    with pytest.raises(WrongInput, match="'slow', a slow feature; choose a power, muscle or ocular"):
        check_features([power(inhibits=("slow",)), slow], MONTAGE, RATE_HZ)
    with pytest.raises(
        WrongInput, match=r"the reference names channel .A1., which is not there; .*there are"
    ):
        Pipeline([power()], MONTAGE, RATE_HZ, reference=["A1", "T8"])
    with pytest.raises(WrongInput, match=r'a reference is "average" or a list of channels .*found .REST.'):
        Pipeline([power()], MONTAGE, RATE_HZ, reference="REST")
    with pytest.raises(WrongInput, match="a montage needs labels, each once"):
        Montage(("Fz", "Fz"))


@pytest.mark.parametrize("measure", ["coherence", "plv", "PLV"])
def test_volume_conducted_measure_is_refused_as_reward(measure):
    with pytest.raises(ValidationError, match="volume conduction.*Right are debiased_wpli2"):
        SynchronyOf(name="s", between=(O1, FZ), band=(8.0, 12.0), measure=measure)


def test_wrong_specification_is_refused():
    for wrong, words in [
        ({"kind": "power", "name": "p", "at": {}, "band": [4, 8]}, "one of them; found neither"),
        ({"kind": "power", "name": "p", "at": {"region": "a", "channels": ["b"]}, "band": [4, 8]}, "found both"),
        ({"kind": "power", "name": "p", "at": {"channels": ["b", "b"]}, "band": [4, 8]}, "counts once"),
        ({"kind": "power", "name": "p", "at": {"region": "a"}, "band": [4, 8], "bnad": 1}, "Extra inputs"),
        ({"kind": "synchrony", "name": "s", "between": [{"region": "a"}], "band": [4, 8]}, "at least 2 items"),
        (
            {
                "kind": "synchrony", "name": "s", "band": [4, 8], "pairs": [[0, 2]],
                "between": [{"region": "a"}, {"region": "b"}],
            },
            "needs two different places between 0 and 1",
        ),
        (
            {
                "kind": "synchrony", "name": "s", "band": [4, 8], "pairs": [[0, 1], [1, 0]],
                "between": [{"region": "a"}, {"region": "b"}],
            },
            "given twice",
        ),
    ]:  # fmt: skip
        with pytest.raises(ValidationError, match=words):
            TypeAdapter(Feature).validate_python(wrong)
    kept = TypeAdapter(Feature).validate_python(
        {"kind": "power", "name": "p", "at": {"region": "frontal"}, "band": ["iaf-6", 8]}
    )
    with pytest.raises(ValidationError, match="frozen"):
        kept.band = (1.0, 2.0)


def test_gamma_with_muscle_inhibit_is_accepted():
    gamma = power("gamma", band=(30.0, 45.0), inhibits=("emg",))
    assert problems([gamma, MuscleIndex(name="emg")], MONTAGE, RATE_HZ) == []
    unchecked = power("gamma", band=(30.0, 45.0), inhibits=("emg",), checks=("blink",))
    assert len(problems([unchecked, MuscleIndex(name="emg")], MONTAGE, RATE_HZ)) == 1
    assert len(problems([gamma, power("emg", limit=1.0)], MONTAGE, RATE_HZ)) == 1


# -- presets and bands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_preset_runs_and_states_its_evidence(name):
    assert "vidence:" in PRESETS[name].__doc__
    assert preset(name).name == name
    values = last_values([preset(name)], tone(10.0, 20.0, 10.0, MONTAGE.labels))
    assert math.isfinite(values[name].value)


def test_default_feature_is_frontal_midline_theta():
    assert DEFAULT_PRESET == preset().name == "frontal_midline_theta"
    assert [f.name for f in Pipeline(None, MONTAGE, RATE_HZ).features] == ["frontal_midline_theta"]
    assert "xperimental" in PRESETS["region_synchrony"].__doc__
    with pytest.raises(UnknownName, match="no preset 'theta'; .*there are: frontal_midline_theta"):
        preset("theta")


def test_relative_bands_follow_alpha_peak():
    assert band_hz(("iaf-6", "iaf-2"), 11.0) == (5.0, 9.0)
    assert band_hz(("iaf", "IAF + 2.5"), 9.5) == (9.5, 12.0)
    assert band_hz((4.0, "iaf-2")) == (4.0, 8.0)
    assert "5–9 Hz" in Pipeline(None, MONTAGE, RATE_HZ, iaf_hz=11.0).describe()[0]
    known, unknown = Pipeline(None, MONTAGE, RATE_HZ, iaf_hz=11.0), Pipeline(None, MONTAGE, RATE_HZ)
    for pipeline in (known, unknown):
        pipeline.push(chunk(tone(6.0, 10.0, 1.0)))
    assert known.pop_events() == []
    event = unknown.pop_events()[0]
    assert event.kind == "assumed"
    assert "take 10 Hz" in event.message


# -- formulas ------------------------------------------------------------------------------------------------------


def test_power_has_three_scales():
    """A sine of 20 µV has 200 µV²; taps that expect 1/f noise give 1 dB more in the middle of the band."""
    features = [power(scale, scale=scale) for scale in ("absolute", "db", "relative")]
    values = last_values(features, tone(6.0, 20.0))
    assert values["absolute"].value == pytest.approx(200.0, rel=0.3)
    assert values["db"].value == pytest.approx(10 * math.log10(values["absolute"].value), abs=1e-9)
    assert 0.8 < values["relative"].value < 1.35
    assert all(value.usable for value in values.values())


def test_region_power_is_mean_of_its_channels():
    both = power("both", at=ChannelSelection(channels=("O1", "O2")), band=(8.0, 12.0), scale="absolute")
    one = power("one", at=O1, band=(8.0, 12.0), scale="absolute")
    values = last_values([both, one], tone(10.0, 20.0, labels=("O1",)))
    assert values["both"].value == pytest.approx(values["one"].value / 2, rel=0.01)


def test_ratio_and_asymmetry_equal_their_formula():
    x = tone(10.0, 20.0, labels=("O1",)) + tone(10.0, 10.0, labels=("O2",)) + tone(6.0, 5.0, labels=("O1",))
    features = [
        Asymmetry(name="asymmetry", left=O1, right=O2, band=(8.0, 12.0)),
        Ratio(name="ratio", at=O1, over_at=O2, band=(8.0, 12.0), over=(8.0, 12.0), scale="absolute"),
        Ratio(name="alpha_theta", at=O1, band=(8.0, 12.0), over=(4.0, 8.0), delay_s=0.15),
    ]
    values = last_values(features, x)
    assert values["asymmetry"].value == pytest.approx(-math.log(4.0), abs=0.1)
    assert values["ratio"].value == pytest.approx(math.exp(-values["asymmetry"].value), rel=1e-9)
    assert values["alpha_theta"].value == pytest.approx(10 * math.log10(16.0), abs=1.0)
    assert values["alpha_theta"].delay_s == 0.15


def test_muscle_and_ocular_index_rise_with_artifacts():
    rng = np.random.default_rng(1)
    x = tone(10.0, 5.0)
    x[-500:, MONTAGE.labels.index("T7")] += 30 * rng.standard_normal(500)
    x[-60:, MONTAGE.labels.index("Fp1")] += 150 * np.hanning(120)[:60]
    values = last_values([MuscleIndex(name="emg"), OcularIndex(name="eyes")], x)
    assert values["emg"].value > 9
    assert values["eyes"].value > 1
    still = last_values([MuscleIndex(name="emg"), OcularIndex(name="eyes")], tone(10.0, 5.0))
    assert still["emg"].value < 0
    assert still["eyes"].value < 1


def test_synchrony_detects_lag_and_ignores_volume_conduction():
    rng = np.random.default_rng(2)
    n = int(60 * RATE_HZ)
    x = rng.standard_normal((n, len(MONTAGE.labels)))
    source = np.convolve(rng.standard_normal(n), np.ones(3) / 3, "same") * 30
    fz, o1, o2 = (MONTAGE.labels.index(label) for label in ("Fz", "O1", "O2"))
    x[:, fz] += source
    x[:, o1] += np.roll(source, 6)
    x[:, o2] += source
    places = (FZ, O1, O2)
    lagged, blurred = (
        SynchronyOf(name=name, between=places, pairs=(pair,), band=(8.0, 12.0))
        for name, pair in (("lagged", (0, 1)), ("blurred", (0, 2)))
    )
    everything = SynchronyOf(name="all", between=places, band=(8.0, 12.0))
    calibration = Calibration.from_baseline(x, RATE_HZ)
    pipeline = Pipeline([lagged, blurred, everything], MONTAGE, RATE_HZ, calibration=calibration)
    values = [value for value in pipeline.push(chunk(x)) if value.index > 20 * RATE_HZ]
    mean = {
        name: np.nanmean([v.value for v in values if v.name == name]) for name in ("lagged", "blurred", "all")
    }
    assert mean["lagged"] > 0.8
    assert abs(mean["blurred"]) < 0.15
    assert mean["all"] == pytest.approx(mean["lagged"] * 2 / 3, abs=0.2)


def test_power_over_limit_inhibits_another():
    beta = power("beta", band=(15.0, 20.0), limit=10.0)
    features = [power("theta", inhibits=("beta",)), beta]
    quiet, loud = tone(6.0, 20.0), tone(6.0, 20.0) + tone(17.0, 20.0)
    assert last_values(features, quiet)["theta"].usable
    inhibited = last_values(features, loud)["theta"]
    assert not inhibited.usable
    assert inhibited.why == "beta is over its limit"
