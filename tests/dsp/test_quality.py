"""Channel quality and artifact limits: every state on its own signal, with the reason, and none on good EEG."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.acquisition.readers.open import read_recording
from neurofb.devices import QualityLimits, load_profile
from neurofb.dsp.artifacts import ArtifactFinder, Calibration, eye_channels
from neurofb.dsp.bands import BandFilter
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.quality import OK, ChannelQuality, ChannelState, Converter, Membership
from neurofb.dsp.rules import CURRENT, FIRST
from neurofb.errors import WrongInput, WrongShape
from neurofb.simulation.head import Head, HeadSettings

OPENBCI = "openbci_gui_samples/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
RATE_HZ = 250.0
QUARTER = 56
LIMITS = QualityLimits(flat_uv=0.2, noisy_uv=100.0, max_dc_uv=2000.0, line_uv=20.0, source="for the tests")


def eeg(n_s=3.0, n_channels=4, seed=0):
    """Smoothed noise of some 15 µV."""
    x = np.random.default_rng(seed).standard_normal((int(n_s * RATE_HZ) + 20, n_channels))
    x = np.apply_along_axis(np.convolve, 0, x, np.ones(20) / 20, "valid")
    return 15 * x / x.std()


def mains(n, uv, hz=50.0):
    return uv * np.sin(2 * np.pi * hz * np.arange(n) / RATE_HZ)


def states_of(x, converter=None, line_hz=None, rules=CURRENT):
    quality = ChannelQuality(x.shape[1], RATE_HZ, QUARTER, LIMITS, converter, line_hz, rules)
    for start in range(0, len(x) - QUARTER + 1, QUARTER):
        quality.process(x[start : start + QUARTER])
    return quality.states


def spoiled(what):
    x = eeg()
    what(x)
    return x


def hit_rails(x):
    np.clip(x[:, 1] * 100, -1000, 1000, out=x[:, 1])


@pytest.mark.parametrize(
    "what, state, why",
    [
        (lambda x: x[:, 1].fill(7.0), "flat", "deviation 0 µV, limit 0.2"),
        (lambda x: np.multiply(x[:, 1], 12, out=x[:, 1]), "noisy", r"deviation 1\d\d µV, limit 100"),
        (hit_rails, "railed", r"\d+ samples cut off"),
        (lambda x: np.add(x[:, 1], 2500, out=x[:, 1]), "ok", ""),
        (lambda x: np.add(x[:, 1], mains(len(x), 40), out=x[:, 1]), "line noise", "4. µV of mains, limit 20"),
        (
            lambda x: np.add(x[:, 1], mains(len(x), 250, 60.0), out=x[:, 1]),
            "detached",
            "2.. µV of mains: it touches nothing",
        ),
        (lambda x: x[::3, 1].fill(np.nan), "ok", ""),
        (lambda x: x[-200:, 1].fill(np.nan), "missing", "of the last second did not come"),
    ],
)
def test_each_state_is_detected_with_its_reason(what, state, why):
    states = states_of(spoiled(what), Converter(rails_uv=(-1000.0, 1000.0)) if what is hit_rails else None)
    assert states[1].state == state
    assert states[1].bad == (state != "ok")
    assert re.search(why, states[1].why)
    assert [states[i] for i in (0, 2, 3)] == [OK] * 3


def test_session_that_judged_levels_is_judged_again_as_it_was():
    x = spoiled(lambda x: np.add(x[:, 1], 2500, out=x[:, 1]))
    state = states_of(x, Converter(judges_level=True))[1]
    assert state.state == "detached"
    assert re.search(r"level is 2[45]\d\d µV off, limit 2000", state.why)
    beyond = states_of(x, Converter(rails_uv=(-1000.0, 1000.0), judges_level=True))[1]
    assert beyond.state == "railed"


@pytest.mark.parametrize("low, high", [(-4000, 4000), (-4000, np.inf), (-np.inf, 4000)])
def test_unknown_rails_are_detected_by_plateau(low, high):
    x = eeg() * 1.0
    x[:, 0] = np.clip(x[:, 0] * 500, low, high)
    assert states_of(x)[0].state == "railed"


@pytest.mark.parametrize("rails", [(-1000.0, 1000.0), (-400.0, 1200.0), (0.0, 2000.0)])
@pytest.mark.parametrize("which", ["low", "high"])
@pytest.mark.parametrize("short, is_railed", [(0.0005, True), (0.0015, False)])
def test_amplifier_that_saturates_just_short_of_its_rail_is_railed(rails, which, short, is_railed):
    """Within 0.1 % of the whole range counts, at either rail and wherever the middle lies."""
    low, high = rails
    middle, stop = (low + high) / 2, short * (high - low)
    x = eeg() + middle
    x[:, 1] = np.clip(
        (x[:, 1] - middle) * 100 + middle,
        low + stop if which == "low" else -np.inf,
        high - stop if which == "high" else np.inf,
    )
    # Away from the other rail, which would count as well.
    x[:, 1] = np.minimum(x[:, 1], middle) if which == "low" else np.maximum(x[:, 1], middle)
    assert (states_of(x, Converter(rails_uv=rails))[1].state == "railed") == is_railed


def test_mains_shared_by_all_channels_are_tolerated():
    """All channels of a battery amplifier without a notch have alike 200 µV of it; below lies good EEG."""
    x = eeg() + mains(int(3 * RATE_HZ) + 1, 200.0)[:, None]
    for state in states_of(x):
        assert state == ChannelState("line noise", state.why, tolerable=True)
        assert "with EEG below them" in state.why
        assert not state.bad


def line_noise(n, uv):
    """60 Hz that swells and wanes, with harmonics of a third and a fifth of it, one of them folded by the rate."""
    swell = 1 + 0.2 * np.sin(2 * np.pi * 0.7 * np.arange(n) / RATE_HZ)
    return swell * (mains(n, uv, 60.02) + mains(n, uv / 3, 120.04) + mains(n, uv / 5, 180.06))


def open_wires(x):
    """Mains of a millivolt, and noise instead of EEG."""
    rng = np.random.default_rng(1)
    x += 1500 * mains(len(x), 1.0, 60.0)[:, None] + 400 * rng.standard_normal(x.shape)


@pytest.mark.parametrize(
    "others",
    [
        open_wires,
        lambda x: np.clip(x * 1e6, -4000, 4000, out=x),
        lambda x: x.fill(0.0),
        lambda x: np.add(x / 50, mains(len(x), 90, 60.0)[:, None], out=x),
    ],
    ids=["open", "railed", "off", "shorted"],
)
@pytest.mark.parametrize("n_others", [0, 1, 7])
@pytest.mark.parametrize("level", [460.0, 810.0])
def test_good_electrode_among_unconnected_ones_is_used(others, n_others, level):
    x = eeg(n_channels=1 + n_others)
    x[:, 0] += line_noise(len(x), level)
    others(x[:, 1:])
    rails = Converter(rails_uv=(-4000.0, 4000.0)) if n_others and np.abs(x[:, 1:]).max() == 4000.0 else None
    states = states_of(x, rails)
    assert states[0] == ChannelState("line noise", states[0].why, tolerable=True)
    assert all(state.bad for state in states[1:]) or others.__name__ != "open_wires"
    assert states_of(x, rails, rules=FIRST)[0].bad


def test_badly_worn_headset_is_not_tolerated_for_mains_that_all_have():
    """Mains of 355 to 595 µV on every channel, and below them what is no EEG."""
    x = (
        eeg()
        + np.array([355.0, 420.0, 500.0, 595.0]) / 400 * line_noise(int(3 * RATE_HZ) + 1, 400.0)[:, None]
    )
    assert not any(state.bad for state in states_of(x))
    x += 250 * eeg(seed=3) / 15
    assert all(state.bad and state.state == "noisy" for state in states_of(x))


def test_cyton_with_mains_of_450_uv_is_used_at_every_electrode(data_dir):
    """Judged on a recording that no limit was set on; each electrode alone as well, as if no other was connected."""
    x = read_recording(data_dir / OPENBCI).samples_uv[28 * 250 : 40 * 250]
    limits = load_profile("openbci-cyton").quality
    for channels in (list(range(8)), [0], [1], [6]):
        quality = ChannelQuality(len(channels), RATE_HZ, QUARTER, limits)
        seen = [quality.process(x[at : at + QUARTER, channels]) for at in range(0, len(x) - QUARTER, QUARTER)]
        bad = np.mean([state.bad for states in seen[4:] for state in states])
        assert bad < 0.02
        first = ChannelQuality(len(channels), RATE_HZ, QUARTER, limits, rules=FIRST)
        seen = [first.process(x[at : at + QUARTER, channels]) for at in range(0, len(x) - QUARTER, QUARTER)]
        assert np.mean([state.bad for states in seen[4:] for state in states]) > 0.5 or len(channels) > 1


def test_mains_are_detected_at_declared_frequency_only():
    x = eeg()
    x[:, 2] += mains(len(x), 50.0, 60.0)
    assert states_of(x, line_hz=60.0)[2].state == "line noise"
    assert states_of(x, line_hz=50.0)[2].state == "ok"


def test_blink_is_not_noise():
    x = eeg()
    x[-150:-60, 0] += 600 * np.hanning(90)
    assert states_of(x)[0] == OK


def test_bad_channel_leaves_after_2_s_and_returns_after_5_s():
    membership, bad = Membership(2), ChannelState("noisy", "because")
    changes = [membership.update([bad, OK]) for _ in range(8)]
    assert changes == [[]] * 7 + [[0]]
    assert membership.out == [True, False]
    assert membership.update([bad, OK]) == []
    changes = [membership.update([OK, OK]) for _ in range(20)]
    assert changes == [[]] * 19 + [[0]]
    assert membership.out == [False, False]


@pytest.mark.parametrize("rate_hz", [64, 128, 160, 200, 250, 256, 300, 500, 512, 1000, 1024, 2000, 2048])
def test_hop_size_keeps_update_rates(rate_hz):
    hop_size = HopSize.at(rate_hz)
    assert 30 <= hop_size.fast_hz < 45
    assert 4 <= hop_size.slow_hz < 6
    assert hop_size.hop % hop_size.every == 0
    assert rate_hz / hop_size.every >= min(rate_hz, 125)
    assert hop_size.count(1.0) >= hop_size.fast_hz > hop_size.count(1.0) - 1


def test_eye_channels_are_forehead_else_frontal_row():
    assert eye_channels(["Fp1", "AF7", "F3", "Cz"]) == (0, 1)
    assert eye_channels(["F3", "Fz", "FC1", "FT7", "Cz"]) == (0, 1)
    assert eye_channels(["FC1", "Cz", "O1"]) == ()


# -- artifacts -----------------------------------------------------------------------------------------------------


def measures(x, calibration, hop):
    finder = ArtifactFinder(x.shape[1], RATE_HZ, hop, calibration)
    bands = BandFilter({"muscle": (28.0, 38.0)}, RATE_HZ, x.shape[1], 0.05)
    rows = []
    for start in range(0, len(x) - hop + 1, hop):
        block = x[start : start + hop]
        finder.process(block, bands.process(block)[-1, 0])
        rows.append(np.stack([finder.swing, finder.jumped, finder.muscle_db]))
    return np.array(rows)


def test_artifact_measures_equal_numpy():
    """Swing of the means of three hops over half a second, step between hops, muscle power: over hops with gaps."""
    rng, hop = np.random.default_rng(5), 8
    blocks, muscle = rng.normal(0, 40, (200, hop, 3)), rng.normal(0, 2, (200, 3, 2)) @ (1, 1j)
    blocks[70, 2, 1] = muscle[70, 1] = np.nan
    blocks[120:123, :, 0] = muscle[120:123, 0] = np.nan
    calibration = Calibration((60.0,) * 3, (60.0,) * 3, (4.0,) * 3, "for the test")
    finder = ArtifactFinder(3, RATE_HZ, hop, calibration)
    n_hops, gain = round(0.5 * RATE_HZ / hop), 1 - np.exp(-hop / RATE_HZ / 0.1)
    means, power = blocks.mean(axis=1), np.full(3, np.nan)
    smooth = np.array([means[i - 2 : i + 1].mean(axis=0) if i > 1 else [np.nan] * 3 for i in range(200)])
    for i in range(200):
        is_over = finder.process(blocks[i], muscle[i])
        now = abs(muscle[i]) ** 2 / 2
        power = np.where(np.isnan(now), power, np.where(np.isnan(power), now, power + gain * (now - power)))
        np.testing.assert_allclose(finder.muscle_uv2, power, rtol=1e-12)
        if i < n_hops + 2:
            continue
        swing = np.ptp(smooth[i - n_hops + 1 : i + 1], axis=0)
        step = abs(means[i] - means[i - 1])
        np.testing.assert_allclose(finder.swing_uv, swing, rtol=1e-9)
        np.testing.assert_allclose(finder.jumped * 60.0, step, rtol=1e-9, atol=1e-9)
        over = (swing > 60) | (step > 60) | (finder.muscle_db > 7)
        assert is_over == over.any()


def test_calibration_scales_with_gain():
    """Twice the signal has twice the limits: whether something is an artifact does not depend on the gain."""
    x = Head(["Fp1", "Fz", "T7", "Oz"], RATE_HZ, HeadSettings(seed=1)).generate(int(30 * RATE_HZ)).samples
    once, twice = Calibration.from_baseline(3 * x, RATE_HZ), Calibration.from_baseline(6 * x, RATE_HZ)
    np.testing.assert_allclose(np.array(twice.swing_uv), 2 * np.array(once.swing_uv))
    np.testing.assert_allclose(np.array(twice.muscle_uv2), 4 * np.array(once.muscle_uv2))
    np.testing.assert_allclose(
        measures(6 * x, twice, 8), measures(3 * x, once, 8), rtol=1e-9, atol=1e-9, equal_nan=True
    )
    assert once.source.startswith("30.0 s of baseline")


def test_calibration_is_robust_to_artifacts_in_baseline():
    x = Head(["Fp1", "Fz"], RATE_HZ, HeadSettings(seed=1)).generate(int(40 * RATE_HZ)).samples
    clean = Calibration.from_baseline(x, RATE_HZ)
    x[:2000] += 500 * np.random.default_rng(0).standard_normal((2000, 1))
    spoilt = Calibration.from_baseline(x, RATE_HZ)
    assert max(np.array(spoilt.swing_uv) / np.array(clean.swing_uv)) < 1.6


def test_artifact_kinds_are_distinguished():
    n, hop = int(6 * RATE_HZ), 8
    calibration = Calibration((50.0,), (80.0,), (0.5,), "for the test")
    still = np.random.default_rng(0).standard_normal((n, 1))
    blink, step, muscle = still.copy(), still.copy(), still.copy()
    blink[1000:1080, 0] += 150 * np.hanning(80)
    step[1000:, 0] += 200
    muscle[1000:, 0] *= 10
    worst = {
        name: np.nanmax(measures(x, calibration, hop)[60:, :, 0], axis=0)
        for name, x in (("still", still), ("blink", blink), ("step", step), ("muscle", muscle))
    }
    assert (worst["still"][:2] < 1).all()
    assert worst["still"][2] < 7
    assert worst["blink"][0] > 1 > worst["blink"][1]
    assert worst["step"][1] > 1
    assert worst["muscle"][2] > 15


def test_wrong_calibration_is_refused():
    x = np.random.default_rng(0).standard_normal((2500, 2))
    x[500:, 1] = np.nan
    with pytest.raises(WrongInput, match="channel 1 has 1.. s without gaps"):
        Calibration.from_baseline(x, RATE_HZ)
    with pytest.raises(WrongInput, match="6 s of every channel"):
        Calibration.from_baseline(np.zeros((500, 2)), RATE_HZ)
    with pytest.raises(WrongShape, match="n_samples, n_channels"):
        Calibration.from_baseline(np.zeros(5000), RATE_HZ)
    with pytest.raises(WrongShape, match="as many limits of each kind"):
        Calibration((1.0,), (1.0, 2.0), (1.0,), "")
    with pytest.raises(WrongInput, match="finite and above 0"):
        Calibration((1.0,), (0.0,), (1.0,), "")
    with pytest.raises(WrongShape, match=r"a hop needs shape \(8, 2\), found \(8, 3\)"):
        ArtifactFinder(2, RATE_HZ, 8, Calibration.assumed(2)).process(np.zeros((8, 3)), np.zeros(2, complex))
    with pytest.raises(WrongShape, match="2 channels need a calibration of as many, found 3"):
        ArtifactFinder(2, RATE_HZ, 8, Calibration.assumed(3))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), missing=st.floats(0, 0.6))
def test_quality_with_missing_samples_has_a_state(seed, missing):
    rng = np.random.default_rng(seed)
    x = eeg(seed=seed)
    x[rng.random(x.shape) < missing] = np.nan
    states = states_of(x)
    assert {state.state for state in states} <= {"ok", "missing"}
    if missing < 0.3:
        assert set(states) == {OK}


def test_simulated_channels_are_ok_by_limits_of_profile():
    profile = load_profile("simulated")
    x = Head(profile.labels, RATE_HZ, HeadSettings(seed=2)).generate(int(20 * RATE_HZ)).samples
    quality = ChannelQuality(16, RATE_HZ, QUARTER, profile.quality, Converter(profile.rails_uv))
    seen = [quality.process(x[i : i + QUARTER]) for i in range(0, len(x) - QUARTER + 1, QUARTER)]
    assert np.mean([state == OK for states in seen for state in states]) > 0.99
