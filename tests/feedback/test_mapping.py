"""Level and reward: no delay unless asked for, never faster than asked, never outside 0–1, never in a pause."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.config import checked
from neurofb.errors import WrongInput
from neurofb.feedback.mapping import FeedbackLevel, Reward
from neurofb.feedback.settings import LevelSettings, RewardSettings

RATE_HZ, HOP = 256.0, 8


def level(**content):
    return FeedbackLevel(checked(LevelSettings, content, "level"), RATE_HZ)


def reward(**content):
    return Reward(checked(RewardSettings, content, "reward"), RATE_HZ)


def at(seconds):
    return round(seconds * RATE_HZ)


def rewards(asked, successes, first=0):
    """The reward after each of many values, 32 in a second; None stands for an unusable one."""
    found = []
    for k, success in enumerate(successes):
        index = first + k * HOP
        if success is None:
            asked.withheld(index)
        found.append(False if success is None else asked.update(success, index))
    return found


@pytest.mark.parametrize(
    "neutral, margin, expected",
    [
        (0.5, 0.0, 0.5), (0.5, 1.0, 0.75), (0.5, -1.0, 0.25), (0.5, 2.0, 1.0), (0.5, 9.0, 1.0), (0.5, -9.0, 0.0),
        (0.2, 0.0, 0.2), (0.2, 1.0, 0.6), (0.2, -1.0, 0.1), (0.0, -1.0, 0.0), (0.0, 1.0, 0.5), (1.0, 5.0, 1.0),
    ],
)  # fmt: skip
def test_level_is_neutral_at_threshold_and_full_beyond_span(neutral, margin, expected):
    assert level(neutral=neutral, span_z=2.0).update(margin, 0) == pytest.approx(expected)


def test_level_without_rate_limit_adds_no_delay():
    """A slow rise of the value: 50 % and 90 % of the level's change come with the very value that passes them."""
    made, margins = level(span_z=2.0), [min(k / 50, 1.0) * 2.0 for k in range(80)]
    levels = [made.update(margin, k * HOP) for k, margin in enumerate(margins)]
    for share in (0.5, 0.9):
        first_value = next(k for k, m in enumerate(margins) if m >= share * 2.0 - 1e-9)
        first_level = next(k for k, x in enumerate(levels) if x >= 0.5 + share * 0.5 - 1e-9)
        assert first_level == first_value
    step = level()
    assert [step.update(m, k * HOP) for k, m in enumerate([-2.0, -2.0, 2.0, -2.0])] == [0.0, 0.0, 1.0, 0.0]


def test_level_rate_is_limited():
    made = level(limit_per_s=0.25)
    levels = [made.update(5.0, at(k / 32)) for k in range(97)]
    assert levels[0] == 0.5
    assert levels[32] == pytest.approx(0.75)
    assert levels[64] == pytest.approx(1.0)
    assert levels[96] == 1.0


@given(
    st.lists(
        st.tuples(st.integers(1, 600), st.one_of(st.none(), st.floats(-20, 20))), min_size=1, max_size=60
    ),
    st.floats(0.05, 3.0),
    st.floats(0.0, 1.0),
    st.floats(0.1, 0.6),
    st.floats(0.0, 1.0),
)
def test_level_stays_within_bounds_and_rate(moves, limit, neutral, fade_s, hold_s):
    made = level(limit_per_s=limit, neutral=neutral, fade_s=fade_s, hold_s=hold_s)
    index, before = 0, neutral
    for hop, margin in moves:
        index += hop
        now = made.hold(index, 0.0) if margin is None else made.update(margin, index)
        assert 0.0 <= now <= 1.0
        speed = limit if margin is not None else max(neutral, 1 - neutral) / fade_s
        assert abs(now - before) <= speed * hop / RATE_HZ + 1e-12
        if margin is None:  # never punished, never rewarded: towards neutral only
            assert min(before, neutral) - 1e-12 <= now <= max(before, neutral) + 1e-12
        before = now


@pytest.mark.parametrize("hold_s", [0.0, 0.5, 1.0])
def test_level_holds_then_fades_to_neutral(hold_s):
    made = level(hold_s=hold_s, fade_s=0.4)
    made.update(2.0, 0)
    levels = {t: made.hold(at(t / 100), 0.0) for t in range(1, 200)}
    assert all(x == 1.0 for t, x in levels.items() if t / 100 < hold_s - 0.01)
    assert levels[round(100 * hold_s) + 20] == pytest.approx(0.75, abs=0.02)
    assert all(x == 0.5 for t, x in levels.items() if t / 100 > hold_s + 0.41)


@given(st.floats(0, 1), st.floats(0, 0.6), st.floats(-3, 3), st.integers(230, 2000))
def test_silence_is_neutral_within_a_second_with_any_settings(hold_s, fade_s, margin, silent):
    made = level(hold_s=hold_s, fade_s=fade_s)
    made.update(margin, 1000)
    silent = max(silent, at(0.9) + 1)
    assert made.hold(1000 + silent, silent / RATE_HZ) == 0.5


def test_unusable_value_after_silence_keeps_neutral():
    made = level(hold_s=1.0)
    made.update(2.0, 0)
    assert made.hold(at(0.95), 0.95) == 0.5
    assert made.hold(at(0.96), 0.0) == 0.5
    assert made.update(2.0, at(0.97)) == 1.0


def test_level_before_first_value_is_neutral():
    assert level(neutral=0.3).hold(5, 0.0) == 0.3


def test_continuous_reward_lasts_while_above():
    assert rewards(reward(), [0, 1, 1, None, 1, 0]) == [False, True, True, False, True, False]
    assert rewards(reward(above_s=HOP / RATE_HZ), [1, 1, 1, None, 1, 1]) == [
        False,
        True,
        True,
        False,
        False,
        True,
    ]


def test_discrete_reward_holds_and_pauses():
    found = rewards(reward(kind="discrete", hold_s=0.25, refractory_s=0.5), [True] * 60)
    assert [k for k, on in enumerate(found) if on] == [*range(8), *range(24, 32), *range(48, 56)]


def test_discrete_reward_holds_through_failure_but_not_artifacts():
    asked = {"kind": "discrete", "hold_s": 0.25, "refractory_s": 0.25}
    assert sum(rewards(reward(**asked), [True] + [False] * 20)) == 8
    found = rewards(reward(**asked), [True, True, None] + [True] * 12)
    assert [k for k, on in enumerate(found) if on] == [0, 1, 10, 11, 12, 13, 14]


def test_burst_is_rewarded_once_after_onset():
    asked = reward(kind="burst", above_s=0.125, hold_s=0.0625, refractory_s=0.0)
    found = rewards(asked, [True] * 10 + [False] + [True] * 20 + [False] + [True] * 3 + [False] + [True] * 9)
    # What is above at the start has no onset; 3 values are too short; 4 hops above are 0.125 s.
    assert [k for k, on in enumerate(found) if on] == [15, 16, 40, 41]


def test_burst_without_onset_is_not_rewarded():
    assert not any(rewards(reward(kind="burst"), [False, None, True, True, True]))
    assert any(rewards(reward(kind="burst"), [False, None, False, True]))


@given(
    st.lists(st.tuples(st.integers(1, 100), st.sampled_from([True, True, True, False, None])), max_size=120),
    st.sampled_from(["discrete", "burst"]),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 0.5),
)
@settings(max_examples=300)
def test_no_reward_while_refractory_or_unusable(moves, kind, hold_s, refractory_s, above_s):
    asked = reward(kind=kind, hold_s=hold_s, refractory_s=refractory_s, above_s=above_s)
    hold, pause, above = (round(x * RATE_HZ) for x in (hold_s, refractory_s, above_s))
    index, started, ended, rose, onset = 0, None, None, None, False
    for hop, success in moves:
        index += hop
        if success is None:
            asked.withheld(index)
            rose, onset = None, False
            if started is not None:
                started, ended = None, min(started + hold, index)
            continue
        now = asked.update(success, index)
        rose = (index if rose is None else rose) if success else None
        onset |= not success
        if started is not None and index >= started + hold:
            started, ended = None, started + hold
        if now and started is None:
            assert rose is not None
            assert index - rose >= above
            assert ended is None or index - ended >= pause
            assert onset or kind == "discrete"
            started, onset = index, False
        assert now == (started is not None)


@pytest.mark.parametrize(
    "model, content, message",
    [
        (LevelSettings, {"hold_s": 2.0}, "hold_s: found 2.0: it should be less than or equal to 1"),
        (LevelSettings, {"neutral": 1.5}, "neutral: found 1.5: .*needed is the level at threshold"),
        (LevelSettings, {"limit_per_s": 0.0}, "limit_per_s: found 0.0: it should be greater than 0"),
        (LevelSettings, {"span_z": -1}, "span_z: found -1"),
        (
            LevelSettings,
            {"fade_s": 0.8},
            r"stale_s: found 0.3: stale_s and fade_s together are at most 0.9 s, .* fade_s is 0.8 s",
        ),
        (RewardSettings, {"kind": "rare"}, "kind: found 'rare'"),
        (RewardSettings, {"hold_s": 1.0}, "hold_s: found 1.0: a continuous reward lasts while"),
        (RewardSettings, {"kind": "burst", "refractory_s": -1.0}, "refractory_s: found -1.0"),
    ],
)
def test_wrong_settings_are_refused(model, content, message):
    with pytest.raises(WrongInput, match=message):
        checked(model, content, "it")
