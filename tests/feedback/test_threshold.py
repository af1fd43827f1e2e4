"""Thresholds: each rule keeps its promise, moves only when and as far as it may, never outside the baseline."""

import mne
import numpy as np
import pytest
from feedback_parts import RATE_HZ, baseline
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.config import checked
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.power import BandPower
from neurofb.errors import WrongInput
from neurofb.feedback.settings import ThresholdSettings
from neurofb.feedback.threshold import Threshold
from neurofb.feedback.threshold_rules import RecentScores, quantile_for

N_TRIALS, TRIALS_A_BLOCK = 10_000, 120
BOTH = pytest.mark.parametrize("change", ["at once", "between blocks"])
RULES = pytest.mark.parametrize(
    "rule, promised",
    [
        ({"rule": "percentile", "success_rate": 0.65}, 0.65),
        ({"rule": "percentile", "success_rate": 0.4}, 0.4),
        ({"rule": "one_up_two_down"}, 0.7071),
        ({"rule": "one_up_two_down", "z": -2.0}, 0.7071),
        ({"rule": "weighted", "success_rate": 0.5}, 0.5),
        ({"rule": "weighted", "success_rate": 0.65}, 0.65),
        ({"rule": "weighted", "success_rate": 0.8}, 0.8),
        ({"rule": "weighted", "success_rate": 0.65, "z": 1.0}, 0.65),
    ],
)


def threshold(direction="up", made=None, **content):
    asked = checked(ThresholdSettings, content, "threshold")
    return Threshold(asked, made or baseline(), direction, RATE_HZ)


def train(found, scores, per_trial=1, block=TRIALS_A_BLOCK):
    """Give one score after another, ``per_trial`` in each second, and end blocks."""
    hop = int(RATE_HZ) // per_trial
    for k, score in enumerate(scores):
        found.update(float(score), k * hop)
        if k % (block * per_trial) == block * per_trial - 1:
            found.end_block()
    return found


@RULES
@BOTH
@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
def test_reward_rate_is_kept_over_10000_trials(rule, promised, change, noise):
    """Participants steadier, alike and noisier than in their baseline; the first trials count too."""
    for seed in range(3):
        scores = noise * np.random.default_rng(seed).standard_normal(N_TRIALS)
        found = train(threshold(change=change, **rule), scores)
        assert found.promised == pytest.approx(promised, abs=1e-4)
        assert found.total.values == N_TRIALS
        assert found.total.rate == pytest.approx(promised, abs=0.03)


@BOTH
@pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rate", [0.4, 0.65])
def test_settled_rule_keeps_reward_rate(change, noise, rate):
    """32 values a second, as fast features give them: the first three minutes, at the baseline's percentile, apart."""
    scores = noise * np.random.default_rng(1).standard_normal(320_000)
    found = threshold(rule="settled", success_rate=rate, change=change, too_easy=0.95, too_hard=0.05)
    train(found, scores[: 240 * 32], per_trial=32)
    before = (found.total.values, found.total.above)
    for k, score in enumerate(scores[240 * 32 :], 240 * 32):
        found.update(float(score), k * 8)
    later = (found.total.above - before[1]) / (found.total.values - before[0])
    assert later == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize("rule", [{"rule": "weighted"}, {"rule": "percentile"}])
@BOTH
def test_autocorrelated_scores_keep_reward_rate(rule, change):
    noise = np.random.default_rng(3).standard_normal(N_TRIALS)
    scores = np.zeros(N_TRIALS)
    for k in range(1, N_TRIALS):
        scores[k] = 0.7 * scores[k - 1] + 0.7 * noise[k]
    assert train(threshold(change=change, **rule), scores).total.rate == pytest.approx(0.65, abs=0.03)


@pytest.mark.parametrize("rule", ["percentile", "weighted", "one_up_two_down"])
def test_learning_raises_index_not_rate(rule):
    """Somebody who gains 2 SD in 10,000 trials: the rate hides it, the fixed-baseline index shows it."""
    scores = np.random.default_rng(0).standard_normal(N_TRIALS) + np.linspace(0, 2, N_TRIALS)
    found = train(threshold(rule=rule), scores)
    assert found.total.rate == pytest.approx(found.promised, abs=0.03)
    assert found.total.index > found.promised + 0.15
    assert found.start == threshold(rule=rule).start


@pytest.mark.parametrize("p", [0.3, 0.65, 0.9])
@pytest.mark.parametrize("n", [3, 20, 500])
def test_percentile_of_few_scores_keeps_reward_rate(n, p):
    if not 1 / (n + 1) <= p <= n / (n + 1):
        pytest.skip("so few scores have no such percentile")
    rng = np.random.default_rng(n)
    tries = rng.standard_normal((20_000, n + 1))
    hits = [row[-1] > quantile_for(np.sort(row[:-1]), p) for row in tries]
    assert np.mean(hits) == pytest.approx(p, abs=0.03 if n < 10 else 0.012)


@given(st.lists(st.tuples(st.floats(-5, 5), st.sampled_from([0.03125, 0.25])), min_size=1, max_size=80))
def test_recent_scores_are_limited_to_memory(pushed):
    recent, times, now = RecentScores(3.0), [], 0.0
    for score, clean_s in pushed:
        recent.push(score, clean_s)
        now += clean_s
        times.append((now, score))
    expected = sorted(score for time_s, score in times if now - time_s < 3.0)
    assert recent.ordered == expected
    assert recent.share_above(0.0) == pytest.approx(np.mean(np.array(expected) > 0.0))


def test_fixed_threshold_never_moves():
    found = train(threshold(rule="fixed", z=0.7), np.random.default_rng(0).standard_normal(1000) + 2)
    assert (found.score, found.z, found.promised) == (0.7, 0.7, None)


@pytest.mark.parametrize("rule", ["percentile", "weighted", "one_up_two_down", "settled"])
def test_threshold_is_constant_within_block(rule):
    found = threshold(rule=rule)
    start = found.score
    for k, score in enumerate(np.random.default_rng(0).standard_normal(3000) + 1.0):
        found.update(float(score), k * 64)
        assert found.score == start
    ended = found.end_block()
    assert found.score > start
    assert (ended.values, found.block.values) == (3000, 0)


@given(
    st.sampled_from(["percentile", "weighted", "one_up_two_down"]),
    st.sampled_from(["at once", "between blocks"]),
    st.floats(0.01, 1.0),
    st.floats(-50, 50),
    st.sampled_from(["up", "down"]),
)
@settings(max_examples=60, deadline=None)
def test_change_of_threshold_is_bounded_by_step_and_baseline(rule, change, most, shift, direction):
    made = baseline(n=200)
    found = threshold(direction, made, rule=rule, change=change, max_change_z=most)
    low, high = min(made.z_values), max(made.z_values)
    for k, score in enumerate(np.random.default_rng(0).standard_normal(300) * 3 + shift):
        before = found.score
        found.update(float(score), k * 256)
        if k % 20 == 19:
            found.end_block()
        assert abs(found.score - before) <= most + 1e-12
        assert low <= found.z <= high


def test_settled_rule_sets_once_and_again_only_in_extremes():
    rng = np.random.default_rng(0)
    found = threshold(rule="settled", change="at once")
    start, moves = found.score, []

    def go(first_s, last_s, shift):
        for k in range(first_s * 32, last_s * 32):
            before = found.score
            found.update(float(rng.standard_normal() + shift), k * 8)
            if found.score != before:
                moves.append(k / 32)

    go(0, 179, 0.5)
    assert moves == []
    assert found.score == start
    go(179, 400, 0.5)
    assert len(moves) == 1
    assert moves[0] == pytest.approx(180, abs=1.1)
    go(400, 600, 0.7)
    assert len(moves) == 1
    go(600, 700, 2.5)
    assert len(moves) == 2
    assert 600 < moves[1] < 660  # most of the last 90 s, not of the last 180 s
    go(700, 1000, -2.0)
    assert len(moves) == 2


def test_settled_rule_counts_clean_time_only():
    """Fifteen seconds of values, fifteen without, and so on: after 330 s, 165 s were clean, and nothing is set."""
    found = threshold(rule="settled", change="at once")
    index, start = 0, found.score
    for _ in range(11):
        for _ in range(15 * 32):
            index += 8
            found.update(1.0, index)
        index += 15 * 256
    assert index > 320 * 256
    assert found.score == start
    for _ in range(20 * 32):
        index += 8
        found.update(1.0, index)
    assert found.score == 1.0


@pytest.mark.parametrize("rule", [{"rule": "fixed", "z": 9.0}, {"rule": "weighted", "z": 9.0}])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_threshold_never_reached_in_baseline_is_refused(rule, direction):
    message = (
        r"a threshold of z = 9 for feature 'theta' lies outside what its 'rest' baseline ever reached, "
        r"-3\.\d\d to 3\.\d\d: it would be exceeded always or never"
    )
    with pytest.raises(WrongInput, match=message):
        threshold(direction, **rule)
    with pytest.raises(WrongInput, match="a threshold of z = -9 "):
        threshold(direction, **(rule | {"z": -9.0}))


def test_direction_down_mirrors_up():
    scores = np.random.default_rng(5).standard_normal(2000) + 0.4
    mirrored = baseline(values=tuple(-x for x in baseline().values))
    up = train(threshold("up", rule="percentile"), scores)
    down = train(threshold("down", mirrored, rule="percentile"), scores)
    assert down.z == pytest.approx(-up.z)
    assert down.total.above == up.total.above


@pytest.mark.parametrize(
    "content, message",
    [
        ({"rule": "best"}, "rule: found 'best': it should be 'fixed', 'percentile'"),
        ({"rule": "fixed"}, "z: rule 'fixed' needs z"),
        (
            {"rule": "percentile", "success_rate": 65},
            "success_rate: found 65: it should be less than 1; needed is the",
        ),
        (
            {"rule": "percentile", "step_z": 0.1},
            "step_z: found 0.1: rule 'percentile' does not read it; it reads max",
        ),
        (
            {"rule": "weighted", "step_z": 0.1, "least_step_z": 0.2},
            "least_step_z: found 0.2: a staircase's steps grow",
        ),
        (
            {"rule": "settled", "too_hard": 0.7},
            "too_easy: found 0.85: needed is too_hard < success_rate < too_easy",
        ),
        ({"rule": "settled", "max_change": 1}, "max_change: no such key; did you mean 'max_change_z'"),
        ({"change": "always"}, "change: found 'always'"),
        ({"memory_s": float("nan")}, "memory_s: found nan"),
    ],
)
def test_wrong_settings_are_refused(content, message):
    with pytest.raises(WrongInput, match=message):
        checked(ThresholdSettings, content, "threshold")


def test_problems_of_settings_are_listed_at_once():
    content = {"rule": "weighted", "success_rate": 65, "memory_s": 3.0, "least_step_z": 5.0, "trial_s": 0}
    with pytest.raises(WrongInput, match="threshold has 4 problems"):
        checked(ThresholdSettings, content, "threshold")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("rate", [0.4, 0.5, 0.65, 0.8])
@pytest.mark.parametrize("baseline_seconds", [10, 15, 20, 25, 30])
def test_percentile_rule_keeps_rate_on_real_alpha(data_dir, rate, baseline_seconds):
    """PhysioNet S001R02, eyes closed: alpha at O1 rises through the minute, and the rate stays within 5 %."""
    raw = mne.io.read_raw_edf(data_dir / "physionet_eegmmidb" / "S001R02.edf", verbose=False)
    x = raw.get_data(picks=["O1.."]).T * 1e6
    z = BandFilter({"alpha": (8, 12)}, 160, 1, 0.1).process(x)
    power = BandPower(1, 1, 160, time_constant_s=0.25).process(z)[4::5, 0, 0]
    index = np.arange(4, len(x), 5)
    usable = np.isfinite(power)
    power, index = power[usable], index[usable]
    n = baseline_seconds * 32
    made = baseline(values=tuple(power[:n].tolist()), log=True, clean_s=float(baseline_seconds))
    found = Threshold(
        ThresholdSettings(rule="percentile", success_rate=rate, change="at once"), made, "up", 160
    )
    for number, at in zip(power[n:], index[n:], strict=True):
        found.update(made.z(float(number)), int(at))
    assert found.total.values > 25 * 32
    assert found.total.rate == pytest.approx(rate, abs=0.05)
