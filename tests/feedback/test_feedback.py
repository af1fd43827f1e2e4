"""The loop: what earns and what does not: stalls, artifacts, inhibits, heat, blocks; the same bits in any batches."""

import dataclasses
import math

import numpy as np
import pytest
from feedback_parts import EMG, HOP, MEASURES, RATE_HZ, THETA, baseline, feedback, value, values
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.config import checked
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.power import BandPower
from neurofb.errors import UnknownName, WrongInput
from neurofb.feedback.baseline import BaselineCollector, Measure
from neurofb.feedback.feedback import Feedback
from neurofb.feedback.settings import FeedbackSettings

INHIBIT = {"feature": "emg", "limit": 2.0}


def at(seconds):
    return round(seconds * RATE_HZ)


def same(a, b):
    """Equal to the last bit, NaN equal to NaN."""
    return [repr(dataclasses.astuple(x)) for x in a] == [repr(dataclasses.astuple(x)) for x in b]


def test_sample_has_value_score_threshold_and_level():
    (sample,) = feedback(threshold={"rule": "fixed", "z": 0.5}).step([value(1.5, 800)])
    assert sample.index == 800
    assert sample.value == 1.5
    assert sample.z == pytest.approx(1.5)
    assert sample.threshold == 0.5
    assert sample.level == pytest.approx(0.75)
    assert (sample.reward, sample.usable, sample.why) == (True, True, "")
    assert (sample.success_index, sample.delay_s) == (1.0, 0.1)
    assert math.isnan(sample.age_s)
    assert sample.with_age(0.25).age_s == 0.25


def test_z_uses_baseline_of_block_condition():
    """Heat lowers the feature by 3: against the rest baseline all fails, against that of pain it is as it was."""
    made = [baseline(), baseline(condition="pain", mean=-3.0, sd=2.0)]
    loop = feedback(("rest", "pain"), made)
    assert loop.step([value(-2.0, 0)])[0].z == pytest.approx(-2.0)
    loop.end_block()
    loop.start_block("pain")
    (sample,) = loop.step([value(-2.0, 8)])
    assert sample.z == pytest.approx(0.5)
    assert sample.reward


def test_direction_down_rewards_decrease():
    loop = feedback(direction="down", threshold={"rule": "fixed", "z": -0.5})
    high, low = loop.step([value(1.0, 0), value(-1.5, 8)])
    assert (high.reward, high.z, high.threshold) == (False, pytest.approx(1.0), -0.5)
    assert (low.reward, low.level) == (True, pytest.approx(0.75))
    assert high.level == pytest.approx(0.125)


def test_stall_is_neutral_within_a_second_and_resumes():
    loop = feedback()
    assert all(s.reward for s in loop.step(values([2.0] * 32)))
    last = 31 * HOP
    stale = [s for k in range(1, 200) for s in loop.step([], last + k * HOP)]
    assert stale[0].index - last == at(0.3) - at(0.3) % HOP + HOP
    assert {s.why for s in stale} == {"stale: no value for more than 0.3 s"}
    assert not any(s.reward or s.usable for s in stale)
    assert all(math.isnan(s.value) and math.isnan(s.z) for s in stale)
    assert all(s.level == 0.5 for s in stale if s.index - last >= at(1.0) - HOP)
    assert stale[0].level == 1.0  # held
    (resumed,) = loop.step([value(2.0, last + 200 * HOP)], last + 200 * HOP)
    assert (resumed.usable, resumed.reward, resumed.level) == (True, True, 1.0)


def test_single_expectation_after_long_stall_is_enough():
    loop = feedback()
    loop.step(values([2.0] * 4))
    (sample,) = loop.step([], at(1.0))
    assert sample.level == 0.5


def test_stream_that_never_starts_is_stale():
    (sample,) = feedback().step([], 4000)
    assert (sample.level, sample.reward, sample.why[:5]) == (0.5, False, "stale")


def test_late_values_are_not_rewarded():
    """A burst after a stall: what belongs to the time that was already told stale is not fed back again."""
    loop = feedback()
    loop.step(values([2.0] * 8))
    loop.step([], 600)
    late = loop.step(values([2.0] * 70, first=64), 620)
    assert [s.usable for s in late] == [64 + k * HOP >= 600 for k in range(70)]
    assert late[0].why == "late: it came after its time was told to be stale"
    assert late[0].level == 0.5


def test_latest_expectation_counts():
    """An engine whose clock jumped says 100,000, then better: feedback does not wait for sample 100,000."""
    loop = feedback()
    loop.step(values([2.0] * 8))
    loop.step([], 100_000)
    loop.step([], 400)
    assert loop.step([value(2.0, 408)])[0].usable


def test_wrong_expectation_is_corrected_by_next():
    loop = feedback()
    loop.step(values([2.0] * 8))
    loop.step([], 100_000)
    assert not loop.step([value(2.0, 64)], 70)[0].usable
    assert loop.step([value(2.0, 72)], 78)[0].usable


def test_pulse_cut_by_artifact_does_not_continue():
    loop = feedback(reward={"kind": "discrete", "hold_s": 1.0, "refractory_s": 2.0})
    assert loop.step([value(2.0, 0)])[0].reward
    bad, after = loop.step([value(2.0, 8, usable=False), value(2.0, 16)])
    assert (bad.reward, after.reward, after.usable) == (False, False, True)
    assert loop.step([value(2.0, 8 + at(2.0))])[0].reward
    assert not loop.step([], 624)[0].reward
    assert not loop.step([value(2.0, 624)])[0].reward
    assert loop.step([value(2.0, 624 + at(2.0))])[0].reward


def test_expectation_has_no_effect_while_values_arrive():
    zs = np.random.default_rng(0).standard_normal(200)
    quiet, expecting = feedback(), feedback()
    one = [s for v in values(zs) for s in quiet.step([v])]
    other = [s for v in values(zs) for s in expecting.step([v], v.index + 20)]
    assert same(one, other)


def test_artifact_holds_then_fades_with_reason():
    loop = feedback()
    loop.step(values([2.0] * 4))
    bad = loop.step(values([9.0] * 64, first=4 * HOP, usable=False, why="blink on Fp1"))
    assert not any(s.reward or s.usable for s in bad)
    assert {s.why for s in bad} == {"blink on Fp1"}
    since = np.array([s.index - 3 * HOP for s in bad]) / RATE_HZ
    levels = np.array([s.level for s in bad])
    assert np.all(levels[since <= 0.5] == 1.0)
    assert np.all(np.diff(levels) <= 0)
    assert np.all(levels[since >= 0.91] == 0.5)
    assert bad[0].z == pytest.approx(9.0)


def test_artifact_below_threshold_returns_to_neutral():
    loop = feedback()
    loop.step(values([-2.0] * 4))
    bad = loop.step(values([-9.0] * 64, first=4 * HOP, usable=False))
    assert np.all(np.diff([s.level for s in bad]) >= 0)
    assert bad[-1].level == 0.5


@pytest.mark.parametrize(
    "change, number, why",
    [
        ({}, math.nan, "the feature has no value"),
        ({"log": True, "mean": 5.0, "sd": 0.5}, 0.0, "a power of 0 has no logarithm"),
    ],
)
def test_nan_value_gives_no_feedback(change, number, why):
    made = baseline(**change)
    measure = dataclasses.replace(THETA, log=made.log)
    asked = FeedbackSettings(feature="theta")
    loop = Feedback(asked, {"theta": measure}, [made], ["rest"], RATE_HZ)
    loop.start_block("rest")
    (sample,) = loop.step([value(number, 0)])
    assert (sample.usable, sample.reward, sample.why) == (False, False, why)


def test_withheld_values_do_not_move_threshold_or_index():
    clean, dirty = (feedback(threshold={"rule": "percentile", "change": "at once"}) for _ in range(2))
    zs = np.random.default_rng(2).standard_normal(600)
    a = [s for k, z in enumerate(zs) for s in clean.step([value(z, 2 * k * HOP)])]
    b = []
    for k, z in enumerate(zs):
        b += dirty.step([value(z, 2 * k * HOP), value(50, (2 * k + 1) * HOP, usable=False)])[:1]
    assert [s.threshold for s in a] == [s.threshold for s in b]
    assert a[-1].success_index == b[-1].success_index


def with_inhibit(zs, emg, **inhibit):
    loop = feedback(inhibits=[INHIBIT | inhibit])
    return [
        s
        for k, (z, e) in enumerate(zip(zs, emg, strict=True))
        for s in loop.step([value(z, k * HOP), value(e, k * HOP, name="emg")])
    ]


def test_inhibit_withholds_and_lingers():
    samples = with_inhibit([2.0] * 40, [0.0] * 8 + [3.0] * 8 + [0.0] * 24)
    withheld = [k for k, s in enumerate(samples) if not s.usable]
    assert withheld == list(range(8, 24))  # and 0.25 s after the last value beyond
    assert {samples[k].why for k in withheld} == {"inhibit 'emg' is above its limit z = 2"}
    assert not any(samples[k].reward for k in withheld)


def test_inhibit_below_limit_in_own_unit():
    samples = with_inhibit([2.0] * 3, [0.0, -3.0, 0.0], side="below", limit=-2.5, unit="value", linger_s=0.0)
    assert [s.why for s in samples] == ["", "inhibit 'emg' is below its limit -2.5", ""]


def test_inhibit_without_value_withholds():
    loop = feedback(inhibits=[INHIBIT])
    assert loop.step([value(2.0, 0)])[0].why == "inhibit 'emg' gives no values"
    assert loop.step([value(0.0, 8, name="emg"), value(2.0, 8)])[0].usable
    assert loop.step([value(2.0, 8 + at(0.5))])[0].usable
    assert loop.step([value(2.0, 16 + at(0.5))])[0].why == "inhibit 'emg' gives no values"
    (sample,) = loop.step([value(0.0, 400, name="emg", usable=False, why="T7 is flat"), value(2.0, 400)])
    assert sample.why == "inhibit 'emg' cannot be judged: T7 is flat"


def test_inhibit_of_same_sample_applies_in_either_order():
    for order in (1, -1):
        loop = feedback(inhibits=[INHIBIT])
        (sample,) = loop.step([value(2.0, 0), value(3.0, 0, name="emg")][::order])
        assert not sample.usable


def test_response_to_heat_onset_is_withheld():
    loop = feedback()
    loop.heat_onset(800)
    loop.heat_onset(2000)
    samples = loop.step(values([2.0] * 400))
    out = {s.index for s in samples if not s.usable}
    # 1.5 s, and the filter's 0.1 s by which the value is late.
    assert out == {s.index for s in samples if 0 <= s.index - 800 < 409.6 or 0 <= s.index - 2000 < 409.6}
    assert {s.why for s in samples if not s.usable} == {"evoked response to heat onset"}
    assert not any(s.reward for s in samples if not s.usable)


def test_end_of_block_moves_threshold_and_returns_result():
    loop = feedback(threshold={"rule": "weighted", "success_rate": 0.5})
    zs = np.random.default_rng(0).standard_normal(3200) + 1.0
    samples = loop.step(values(zs)) + loop.step([value(0, 3200 * HOP, usable=False)])
    assert len({s.threshold for s in samples}) == 1
    result = loop.end_block()
    assert result.condition == "rest"
    assert result.success.values == 3200
    assert result.rewarded == sum(s.reward for s in samples) == result.success.above
    assert result.withheld == {"blink on Fp1": 1}
    assert result.threshold_z == samples[0].threshold
    assert result.next_threshold_z == pytest.approx(result.threshold_z + 0.5)
    assert loop.step([value(5.0, 3201 * HOP)])[0].why == "no block is running"
    loop.start_block("rest")
    (sample,) = loop.step([value(5.0, 3202 * HOP)])
    assert sample.threshold == result.next_threshold_z
    assert sample.success_index == 1.0


def test_conditions_have_separate_thresholds():
    loop = feedback(("rest", "pain"), threshold={"rule": "percentile"})
    loop.step(values(np.full(3200, 2.5)))
    moved = loop.end_block().next_threshold_z
    loop.start_block("pain")
    assert loop.step([value(0.0, 3200 * HOP)])[0].threshold < moved - 0.4


EVENTS = st.lists(
    st.tuples(
        st.sampled_from([8, 8, 8, 16, 200]),
        st.floats(-4, 4),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([0.0, 0.0, 0.0, 3.0, None]),
    ),
    max_size=80,
)
LOOPS = st.sampled_from(
    [
        {"threshold": {"rule": "percentile", "change": "at once", "trial_s": 0.1}},
        {"reward": {"kind": "discrete", "hold_s": 0.2, "refractory_s": 0.3}},
        {"reward": {"kind": "burst", "above_s": 0.05, "hold_s": 0.1}, "level": {"limit_per_s": 0.7}},
        {"threshold": {"rule": "weighted", "change": "at once"}, "level": {"neutral": 0.1, "hold_s": 1.0}},
        {"threshold": {"rule": "settled", "change": "at once", "clean_s": 1.0, "recheck_s": 0.5}},
    ]
)


def arrivals(events):
    """The values of each sample index together, as a pipeline gives them."""
    index, groups = 0, []
    for hop, z, usable, emg in events:
        index += hop
        groups.append([value(z, index, usable=usable)])
        if emg is not None:
            groups[-1].append(value(emg, index, name="emg"))
    return groups


@given(EVENTS, LOOPS, st.data())
@settings(deadline=None)
def test_feedback_does_not_depend_on_batches(events, content, data):
    groups = arrivals(events)
    one, other = (feedback(inhibits=[INHIBIT], **content) for _ in range(2))
    for loop in (one, other):
        loop.heat_onset(500)
    single = [s for group in groups for s in one.step(group)]
    batched = []
    while groups:
        n = data.draw(st.integers(1, 9))
        batched += other.step([v for group in groups[:n] for v in group])
        groups = groups[n:]
    assert same(single, batched)
    assert one.end_block() == other.end_block()


@given(EVENTS, LOOPS, st.lists(st.integers(0, 400), max_size=80))
@settings(deadline=None)
def test_unusable_values_are_never_rewarded(events, content, silences):
    """Artifacts, inhibits, stalls and late values in any order: no reward, a reason, a level that only comes home."""
    loop = feedback(inhibits=[INHIBIT], **content)
    neutral = loop.settings.level.neutral
    before, silences, emg_at = neutral, silences + [0] * len(events), None
    for group, silence in zip(arrivals(events), silences, strict=False):
        index = group[0].index
        if len(group) > 1 and group[1].value > 2:
            emg_at = index
        for sample in loop.step(group, index + silence):
            assert 0.0 <= sample.level <= 1.0
            assert sample.usable == (sample.why == "")
            if not sample.usable:
                assert not sample.reward
                assert min(before, neutral) <= sample.level <= max(before, neutral)
            if sample.usable:
                assert group[0].usable
                assert emg_at is None or index - emg_at > 0.25 * RATE_HZ
            before = sample.level
        if silence > at(0.9):
            assert before == neutral


@pytest.mark.parametrize("seed", range(8))
def test_step_reaches_half_level_within_delay_and_120_ms(seed):
    """Theta's amplitude doubles at 70 s: filter (0.1 s), power (time constant 0.1 s), z-score, level."""
    rng, delay_s = np.random.default_rng(seed), 0.1
    t = np.arange(at(80)) / RATE_HZ
    theta = 8 * np.sqrt(2) * np.sin(2 * np.pi * 6 * t + rng.uniform(0, 2 * np.pi)) * np.where(t < 70, 1, 2)
    x = (theta + 2 * rng.standard_normal(len(t)))[:, None]
    z = BandFilter({"theta": (4, 8)}, RATE_HZ, 1, delay_s).process(x)
    power = BandPower(1, 1, RATE_HZ, time_constant_s=0.1).process(z)[HOP - 1 :: HOP, 0, 0]
    stream = [value(p, HOP - 1 + k * HOP) for k, p in enumerate(power) if np.isfinite(p)]
    measure = Measure("theta", 0.1, log=True)
    collector = BaselineCollector(measure, "rest", RATE_HZ)
    collector.add(v for v in stream if v.index < at(65))
    wide = checked(FeedbackSettings, {"feature": "theta", "level": {"span_z": 1000.0}}, "it")
    loop = Feedback(wide, {"theta": measure}, [collector.finish()], ["rest"], RATE_HZ)
    loop.start_block("rest")
    samples = loop.step(stream)
    before = np.mean([s.level for s in samples if at(66) < s.index < at(70)])
    after = np.mean([s.level for s in samples if s.index > at(74)])
    for share, within_s in ((0.5, 0.120), (0.9, 0.400)):
        goal = before + share * (after - before)
        reached = next(s.index for s in samples if s.index >= at(70) and s.level >= goal)
        assert reached / RATE_HZ - 70 <= delay_s + within_s


@pytest.mark.parametrize(
    "content, changes, message",
    [
        ({"feature": "tehta"}, {}, "there is no feature 'tehta'; did you mean 'theta'"),
        (
            {},
            {"baselines": []},
            r"feature 'theta' has no 'pain' baseline \(pain without feedback\), there are: none",
        ),
        (
            {},
            {"baselines": [baseline()]},
            r"feature 'theta' has no 'pain' baseline \(pain without feedback\), there are: rest",
        ),
        (
            {},
            {"measures": {"theta": Measure("theta", 1.0, unit="dB")}},
            r"the 'pain' baseline of feature 'theta' was taken with window_s 0.25, now 1.0: baseline and training",
        ),
        (
            {"threshold": {"rule": "fixed", "z": 8.0}},
            {},
            "a threshold of z = 8 for feature 'theta' lies outside what its 'pain' baseline ever reached",
        ),
        ({"inhibits": [{"feature": "eog", "limit": 1.0}]}, {}, "there is no feature 'eog'; .*emg, theta"),
        ({"inhibits": [INHIBIT]}, {}, "feature 'emg' has no 'pain' baseline"),
        (
            {"inhibits": [{"feature": "emg", "limit": -1.0}]},
            {"baselines": [baseline(condition="pain"), baseline("emg", "pain")]},
            "inhibit 'emg': its limit -1 would have withheld 8.% of the 'pain' baseline; at most 50%",
        ),
        ({}, {"conditions": []}, "no condition is given; there are: rest, warm, pain"),
    ],
)
def test_wrong_setup_is_refused(content, changes, message):
    asked = checked(FeedbackSettings, {"feature": "theta"} | content, "feedback")
    given_ = {
        "measures": MEASURES,
        "baselines": [baseline(condition="pain")],
        "conditions": ["pain"],
    } | changes
    with pytest.raises(WrongInput, match=message):
        Feedback(asked, rate_hz=RATE_HZ, **given_)


def test_problems_of_setup_are_listed_at_once():
    asked = checked(
        FeedbackSettings,
        {"feature": "theta", "threshold": {"rule": "fixed", "z": 8.0}, "inhibits": [INHIBIT]},
        "feedback",
    )
    with pytest.raises(WrongInput, match="feedback cannot start") as error:
        Feedback(asked, MEASURES, [baseline()], ["rest", "warm"], RATE_HZ)
    text = str(error.value)
    for part in ("z = 8", "'theta' has no 'warm'", "'emg' has no 'rest'", "'emg' has no 'warm'"):
        assert part in text


def test_inhibit_in_own_unit_needs_no_baseline():
    asked = {"feature": "theta", "inhibits": [{"feature": "emg", "limit": 20.0, "unit": "value"}]}
    loop = Feedback(
        checked(FeedbackSettings, asked, "it"), {"theta": THETA, "emg": EMG}, [baseline()], ["rest"], RATE_HZ
    )
    loop.start_block("rest")
    assert loop.step([value(1.0, 0), value(1.0, 0, name="emg")])[0].usable


def test_blocks_or_values_out_of_order_are_refused():
    loop = feedback()
    with pytest.raises(WrongInput, match="a 'rest' block is running; end it first"):
        loop.start_block("rest")
    loop.end_block()
    with pytest.raises(WrongInput, match="no block is running, so none can end; start one first"):
        loop.end_block()
    with pytest.raises(UnknownName, match="this feedback has no condition 'pain'; .*there are: rest"):
        loop.start_block("pain")
    loop.step([value(0.0, 80)])
    with pytest.raises(
        WrongInput, match="a value of sample 80 came after one of sample 80; they come in their"
    ):
        loop.step([value(0.0, 80)])


@pytest.mark.parametrize(
    "content, message",
    [
        ({}, "feature: missing; needed is the name of the trained feature"),
        ({"feature": "a", "direction": "left"}, "direction: found 'left': it should be 'up' or 'down'"),
        ({"feature": "a", "treshold": {}}, "treshold: no such key; did you mean 'threshold'"),
        (
            {"feature": "a", "inhibits": [{"feature": "a", "limit": 1}]},
            "feature 'a' is trained and cannot inhibit",
        ),
        (
            {"feature": "a", "inhibits": [{"feature": "b", "limit": 1}, {"feature": "b", "limit": 2}]},
            "one feature inhibits twice; give each one limit",
        ),
        (
            {"feature": "a", "inhibits": [{"feature": "b"}]},
            r"inhibits\[1\].limit: missing; needed is the limit",
        ),
        ({"feature": "a", "level": {"span": 1}}, "level.span: no such key; did you mean 'span_z'"),
    ],
)
def test_wrong_settings_are_refused(content, message):
    with pytest.raises(WrongInput, match=message):
        checked(FeedbackSettings, content, "feedback")


def test_wrong_tables_are_listed_at_once():
    content = {
        "feature": "a",
        "threshold": {"rule": "fixed"},
        "level": {"hold_s": 3.0},
        "reward": {"kind": "x"},
        "inhibits": [{"feature": "b"}],
    }
    with pytest.raises(WrongInput, match="feedback has 4 problems"):
        checked(FeedbackSettings, content, "feedback")


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        FeedbackSettings(feature="a").feature = "b"
