"""The simulated learner: rewarded rhythms grow, at the stated rate, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from neurofb.errors import UnknownName, WrongInput
from neurofb.simulation.head import Head, HeadSettings
from neurofb.simulation.learner import Learner, LearnerSettings

THETA = "frontal_midline.theta"


def learner(rate_per_min: float, ceiling: float = 2.0) -> tuple[Learner, Head]:
    head = Head(("Fz",), 250.0, HeadSettings(seed=4))
    return Learner(head, LearnerSettings(THETA, rate_per_min, ceiling)), head


def test_rate_0_changes_no_bit() -> None:
    someone, head = learner(0.0)
    untouched = Head(("Fz",), 250.0, HeadSettings(seed=4))
    for _ in range(20):
        someone.update(1.0, 0.25)
        np.testing.assert_array_equal(head.generate(50).samples, untouched.generate(50).samples)
    assert someone.gain == 1.0


def test_reward_raises_gain_to_ceiling() -> None:
    someone, head = learner(0.5)
    gains = []
    for _ in range(600):
        someone.update(1.0, 1.0)
        gains.append(someone.gain)
    assert np.all(np.diff(gains) > 0)
    assert gains[5] - 1 == pytest.approx(0.05, rel=0.05)
    assert gains[-1] == pytest.approx(2 - np.exp(-0.5 * 10), rel=1e-9)
    assert head.gain(THETA) == someone.gain
    assert head.gain("posterior.alpha") == 1.0


def test_gain_is_applied_to_signal() -> None:
    someone, head = learner(100.0, ceiling=3.0)
    untouched = Head(("Fz",), 250.0, HeadSettings(seed=4))
    someone.update(1.0, 600.0)
    column = head.rhythm_names.index(THETA)
    grown, plain = (each.generate(1000).truth.amplitude_uv[:, column] for each in (head, untouched))
    np.testing.assert_allclose(grown, 3 * plain)


def test_gain_does_not_depend_on_update_steps() -> None:
    whole, pieces = learner(0.3)[0], learner(0.3)[0]
    whole.update(0.6, 60.0)
    for _ in range(600):
        pieces.update(0.6, 0.1)
    assert pieces.gain == pytest.approx(whole.gain, rel=1e-12)


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.2), (0.5, 1.0)])
def test_gain_increases_with_reward_and_rate(low: float, high: float) -> None:
    gains = []
    for level, rate in [(low, 0.1), (high, 0.1), (high, 0.2)]:
        someone, _ = learner(rate)
        someone.update(level, 60.0)
        gains.append(someone.gain)
    assert gains[0] < gains[1] < gains[2]


def test_neutral_or_unusable_feedback_keeps_gain() -> None:
    someone, _ = learner(1.0)
    someone.update(0.0, 60.0)
    someone.update(1.0, 60.0, usable=False)
    someone.update(float("nan"), 60.0)
    someone.update(-3.0, 60.0)
    someone.update(1.0, 0.0)
    assert someone.gain == 1.0


def test_level_above_1_counts_as_1() -> None:
    full, beyond = learner(0.2)[0], learner(0.2)[0]
    full.update(1.0, 60.0)
    beyond.update(7.0, 60.0)
    assert full.gain == beyond.gain


def test_amplitude_rises_only_for_learners() -> None:
    """A baseline, a threshold, ten blocks of reward for theta above it: amplitude rises block by block, or not."""
    amplitudes = {}
    for rate_per_min in (0.0, 0.2):
        someone, head = learner(rate_per_min)
        column = head.rhythm_names.index(THETA)
        threshold_uv = np.median(head.generate(60 * 250).truth.amplitude_uv[:, column])
        blocks = []
        for _ in range(10):
            block = []
            for _ in range(120):
                amplitude_uv = head.generate(250).truth.amplitude_uv[:, column]
                someone.update(float(np.mean(amplitude_uv > threshold_uv)), 1.0)
                block.append(np.sqrt(np.mean(amplitude_uv**2)))
            blocks.append(np.mean(block))
        amplitudes[rate_per_min] = np.array(blocks)
    ratio = amplitudes[0.2] / amplitudes[0.0]
    assert np.all(np.diff(ratio) > 0)
    assert ratio[-1] > 1.5
    slope = np.polyfit(np.arange(10), amplitudes[0.0] / amplitudes[0.0].mean(), 1)[0]
    assert abs(slope) < 0.03


def test_impossible_learner_is_refused() -> None:
    with pytest.raises(WrongInput, match="0 \\(cannot learn\\) or more, found -1"):
        LearnerSettings(rate_per_min=-1.0)
    with pytest.raises(WrongInput, match="above 1, found 1"):
        LearnerSettings(ceiling=1.0)
    with pytest.raises(UnknownName, match="no rhythm 'theta'"):
        Learner(Head(("Fz",), 250.0), LearnerSettings("theta"))
    with pytest.raises(WrongInput, match="0 s or more, found -1"):
        learner(0.1)[0].update(1.0, -1.0)
