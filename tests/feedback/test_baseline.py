"""Baselines: clean seconds only, refusals that name feature and reason, z-scores, the same again from JSON."""

import json
import math
import statistics

import numpy as np
import pytest
from feedback_parts import HOP, RATE_HZ, baseline
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.config import checked
from neurofb.errors import UnknownName, WrongInput
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import Baseline, BaselineCollector, Measure
from neurofb.feedback.settings import BaselineSettings

POWER = Measure("fm theta", 0.25, log=True, unit="µV²")


def collected(powers, *, measure=POWER, condition="rest", unusable=None, **wanted):
    collector = BaselineCollector(measure, condition, RATE_HZ, BaselineSettings(**wanted))
    unusable = unusable or {}
    collector.add(
        FeatureValue(measure.name, float(p), k * HOP, k not in unusable, unusable.get(k, ""))
        for k, p in enumerate(powers)
    )
    return collector


def powers(seconds, seed=0):
    """Values at 32 Hz, one more than the steps between them."""
    return np.random.default_rng(seed).lognormal(2, 0.7, int(seconds * 32) + 1)


def test_z_scores_of_power_use_logarithm():
    p = powers(60)
    made = collected(p).finish()
    db = [10 * math.log10(x) for x in p]
    assert made.centre == pytest.approx(statistics.fmean(db), rel=1e-12)
    assert made.spread == pytest.approx(statistics.stdev(db), rel=1e-12)
    assert made.z(p[5]) == pytest.approx((db[5] - statistics.fmean(db)) / statistics.stdev(db))
    assert made.z_values[5] == made.z(p[5])
    assert made.z(2 * p[5]) - made.z(p[5]) == pytest.approx(10 * math.log10(2) / made.spread)


def test_z_scores_of_power_do_not_depend_on_gain():
    p = powers(60)
    one, other = collected(p).finish(), collected(4 * p).finish()
    np.testing.assert_allclose(one.z_values, other.z_values, atol=1e-9)


def test_z_scores_without_logarithm_use_raw_value():
    x = np.random.default_rng(1).normal(-3, 2, 2000)
    made = collected(x, measure=Measure("asymmetry", 0.25)).finish()
    assert made.z(1.0) == pytest.approx((1.0 - x.mean()) / x.std(ddof=1))


def test_robust_z_scores_resist_outliers():
    p = powers(60)
    spoiled = p.copy()
    spoiled[100:150] *= 1e4
    plain, robust = (collected(spoiled, robust=r).finish() for r in (False, True))
    truth = collected(p).finish()
    assert robust.centre == pytest.approx(truth.centre, abs=0.2)
    assert robust.spread == pytest.approx(truth.spread, rel=0.1)
    assert plain.spread > 2 * truth.spread


def test_collector_adds_clean_values_and_counts_withheld_by_reason():
    p = powers(100)
    bad = dict.fromkeys(range(320, 640), "blink on Fp1") | dict.fromkeys(range(640, 704), "T7 is detached")
    p[list(bad)] = 1e9
    made = collected(p, unusable=bad).finish()
    assert made.clean_s == pytest.approx(88.0)
    assert made.withheld_s == {"blink on Fp1": 10.0, "T7 is detached": 2.0}
    assert max(made.values) < 1e6
    assert len(made.values) == 3201 - 384


def test_finish_too_early_is_refused_with_withheld_reasons():
    bad = dict.fromkeys(range(320, 640), "blink on Fp1") | dict.fromkeys(range(640, 704), "T7 is detached")
    collector = collected(powers(50), condition="pain", unusable=bad)
    message = (
        r"this baseline cannot end yet: feature 'fm theta', pain without feedback: 38\.0 s of clean EEG, needed are "
        r"60\.0 s; withheld: 10\.0 s 'blink on Fp1', 2\.0 s 'T7 is detached'"
    )
    with pytest.raises(WrongInput, match=message):
        collector.finish()
    assert collector.missing() in message.replace("\\", "")


def test_collector_continues_after_refusal():
    collector = collected(powers(50))
    with pytest.raises(
        WrongInput, match=r"feature 'fm theta', rest: 50\.0 s of clean EEG, needed are 60\.0 s$"
    ):
        collector.finish()
    more = powers(10, seed=1)[1:]
    collector.add(FeatureValue("fm theta", float(p), (1601 + k) * HOP, True) for k, p in enumerate(more))
    assert collector.missing() == ""
    assert collector.finish().clean_s == pytest.approx(60)


def test_mostly_dirty_baseline_is_refused():
    bad = dict.fromkeys((k for k in range(6401) if k % 3), "muscle on T7")
    with pytest.raises(
        WrongInput, match=r"33% of 200\.0 s was clean, needed are 50%; withheld: .*'muscle on T7'"
    ):
        collected(powers(200), unusable=bad).finish()


@pytest.mark.parametrize("robust", [False, True])
def test_constant_feature_is_refused(robust):
    with pytest.raises(
        WrongInput, match=r"'fm theta', rest: its values do not vary \(most are 5\): is the electrode"
    ):
        collected(np.full(2000, 5.0), robust=robust).finish()


def test_zero_power_and_nan_are_withheld():
    p = powers(62)
    p[10:42], p[100] = 0.0, np.nan
    made = collected(p).finish()
    assert made.withheld_s == {
        "a power of 0 has no logarithm": 1.0,
        "the feature has no value": HOP / RATE_HZ,
    }


def test_long_list_of_reasons_is_shortened():
    bad = {k: f"reason {k}" for k in range(1, 9)}
    with pytest.raises(WrongInput, match=r"'reason 5' and 3 more reasons$"):
        collected(powers(1), unusable=bad).finish()


def test_time_without_values_is_not_clean():
    collector = BaselineCollector(POWER, "rest", RATE_HZ)
    collector.add(FeatureValue("fm theta", 1.0, index, True) for index in (0, 256, 512))
    assert collector.clean_s == 0.5
    assert "withheld: 1.5 s 'no value came'" in collector.missing()


def test_baseline_that_is_just_clean_enough_may_not_be_so_in_two_seconds():
    bad = dict.fromkeys(range(929), "blink on Fp1")  # 29 of 60 s
    collector = collected(powers(60), unusable=bad, least_s=10.0, least_share=0.5)
    assert collector.missing() == collector.missing(1.9) == ""
    assert "needed are 50%" in collector.missing(2.1)


def test_collector_ignores_other_features_and_requires_order():
    collector = BaselineCollector(POWER, "rest", RATE_HZ)
    collector.add([FeatureValue("emg", 1.0, 9, True), FeatureValue("fm theta", 1.0, 8, True)])
    with pytest.raises(
        WrongInput, match="a value of sample 8 came after one of sample 8; they come in their order"
    ):
        collector.add([FeatureValue("fm theta", 1.0, 8, True)])


def test_unknown_condition_is_refused():
    with pytest.raises(UnknownName, match="no baseline condition 'sleep'; there are: rest, warm, pain"):
        BaselineCollector(POWER, "sleep", RATE_HZ)


def test_baseline_does_not_depend_on_batches():
    p = powers(60)
    whole = collected(p).finish()
    collector = BaselineCollector(POWER, "rest", RATE_HZ)
    for k, x in enumerate(p):
        collector.add([FeatureValue("fm theta", float(x), k * HOP, True)])
    assert collector.finish().model_dump() == whole.model_dump()


@given(st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=30, unique=True), st.booleans())
@settings(max_examples=60)
def test_baseline_json_is_bit_equal(numbers, robust):
    made = baseline(values=tuple(numbers), log=True, robust=robust, withheld_s={"blink": 0.1 + 0.2})
    if not made.spread > 0:
        return
    again = Baseline.read(json.loads(json.dumps(made.model_dump(mode="json"))))
    assert again == made
    assert [x.hex() for x in again.values] == [x.hex() for x in made.values]
    assert (again.centre.hex(), again.spread.hex()) == (made.centre.hex(), made.spread.hex())


def test_read_baseline_lists_all_problems():
    content = baseline().model_dump(mode="json")
    content |= {"condition": "asleep", "clean_s": "long", "clean": 3}
    del content["window_s"]
    with pytest.raises(WrongInput, match="the baseline has 4 problems") as error:
        Baseline.read(content)
    for text in (
        "condition: found 'asleep'",
        "clean_s: found 'long'",
        "clean: no such key; did you mean 'clean_s'",
        "window_s: missing",
    ):
        assert text in str(error.value)


@pytest.mark.parametrize("change", [{"values": (1.0, 1.0)}, {"values": (1.0, -1.0, 2.0), "log": True}])
def test_read_baseline_without_spread_is_refused(change):
    content = baseline().model_dump(mode="json") | change
    with pytest.raises(WrongInput, match="feature 'theta' does not vary or has values without a logarithm"):
        Baseline.read(content)


def test_baseline_of_other_window_is_refused():
    made = baseline(condition="pain")
    assert made.mismatch(Measure("theta", 0.25, unit="dB")) == ""
    text = made.mismatch(Measure("theta", 0.5, log=True, unit="dB"))
    assert text == (
        "the 'pain' baseline of feature 'theta' was taken with window_s 0.25, now 0.5; log False, now True: "
        "baseline and training need the same; take the baseline again"
    )


def test_wrong_settings_are_listed_at_once():
    with pytest.raises(WrongInput, match="baseline settings has 2 problems") as error:
        checked(BaselineSettings, {"least_s": -1, "least_share": 50}, "baseline settings")
    assert "least_s: found -1: it should be greater than 0; needed is the seconds of clean EEG" in str(
        error.value
    )
    assert "least_share: found 50" in str(error.value)
