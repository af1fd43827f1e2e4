"""The whole loop on a simulated participant: head → headset → pipeline → baseline → feedback, all settings default."""

import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from loop_parts import MONTAGE, RATE_HZ, THETA, Loop, bits, chunk, chunks, head, played, record
from pydantic import TypeAdapter, ValidationError

from neurofb.acquisition.readers.open import read_recording
from neurofb.config import checked
from neurofb.dsp.artifacts import Calibration
from neurofb.errors import WrongInput
from neurofb.features.feature_specs import (
    Asymmetry,
    Feature,
    MuscleIndex,
    OcularIndex,
    Power,
    Ratio,
    SynchronyOf,
)
from neurofb.features.presets import PRESETS, frontal_midline_theta, posterior_alpha, region_synchrony
from neurofb.feedback.baseline import BaselineCollector, Measure, measures_of
from neurofb.feedback.feedback import Feedback
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings
from neurofb.loop.pipeline import Pipeline
from neurofb.simulation.artifacts import NO_ARTIFACTS, ArtifactSettings, BadContact
from neurofb.simulation.faults import Disconnect, Stall
from neurofb.simulation.rhythms import resting_rhythms
from neurofb.spatial.montage import ChannelSelection, Montage

NEUTRAL = FeedbackSettings(feature=THETA).level.neutral
DELAY_S = 0.15
FZ, OZ = ChannelSelection(channels=("Fz",)), ChannelSelection(channels=("Oz",))


@pytest.fixture(scope="module")
def rest():
    """A minute and a half of rest of the simulated participant."""
    return record(90, seed=100).samples


# -- a feature says of itself what its baseline must share ---------------------------------------------------------


@pytest.mark.parametrize(
    "feature, expected",
    [
        (frontal_midline_theta(), ("frontal_midline_theta", 0.12, False, "dB")),
        (Power(name="a", at=FZ, band=(4, 8), scale="absolute"), ("a", 0.12, True, "µV²")),
        (Power(name="a", at=FZ, band=(4, 8), scale="relative", smoothing_s=0.5), ("a", 0.5, True, "")),
        (Ratio(name="r", at=FZ, band=(4, 8), over=(8, 12)), ("r", 0.12, False, "dB")),
        (Ratio(name="r", at=FZ, band=(4, 8), over=(8, 12), scale="absolute"), ("r", 0.12, True, "")),
        (Asymmetry(name="s", left=FZ, right=OZ, band=(8, 12)), ("s", 0.12, False, "")),
        (SynchronyOf(name="c", between=(FZ, OZ), band=(8, 12), window_s=8.0), ("c", 8.0, False, "")),
        (MuscleIndex(name="emg"), ("emg", 0.1, False, "dB")),
        (OcularIndex(name="eyes"), ("eyes", 0.5, False, "")),
    ],
)
def test_measures_of_feature(feature, expected):
    assert measures_of([feature]) == {feature.name: Measure(*expected, feature.model_dump_json())}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_can_be_trained(name):
    """Its own baseline, taken through the pipeline, starts feedback; scores of the baseline have mean 0 and SD 1."""
    x = record(75, seed=3).samples
    loop = Loop(x, [PRESETS[name]()])
    z = np.array([sample.z for sample in loop.run(x) if sample.usable])
    assert len(z) == len(loop.baseline.values)
    assert z.mean() == pytest.approx(0, abs=1e-9)
    assert z.std(ddof=1) == pytest.approx(1, abs=1e-9)


def test_scores_in_db_equal_those_in_square_microvolts(rest):
    plain = frontal_midline_theta().model_copy(update={"scale": "absolute"})
    x = record(20, seed=5).samples
    in_db, in_uv2 = Loop(rest).run(x), Loop(rest, [plain]).run(x)
    np.testing.assert_allclose([s.z for s in in_uv2], [s.z for s in in_db], atol=1e-9)
    assert [s.reward for s in in_uv2] == [s.reward for s in in_db]


def test_feature_with_other_window_needs_other_baseline(rest):
    slower = [frontal_midline_theta().model_copy(update={"smoothing_s": 0.5})]
    with pytest.raises(
        WrongInput, match=r"was taken with window_s 0\.12, now 0\.5: baseline and training need"
    ):
        Feedback(
            FeedbackSettings(feature=THETA), measures_of(slower), [Loop(rest).baseline], ["rest"], RATE_HZ
        )


def test_feature_with_other_band_needs_other_baseline(rest):
    wider = [frontal_midline_theta().model_copy(update={"band": ("iaf-6", "iaf-1")})]
    with pytest.raises(WrongInput, match=r"was taken with the declaration \{.*iaf-2.*, now \{.*iaf-1"):
        Feedback(
            FeedbackSettings(feature=THETA), measures_of(wider), [Loop(rest).baseline], ["rest"], RATE_HZ
        )


# -- stall ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", [Stall, Disconnect])
def test_stopped_source_is_neutral_within_a_second_and_resumes(rest, kind, seed):
    """Stopped from 10 s on for 4 s; a stall then gives all that waited at once, a broken link has lost it."""
    stop_s, back_s = 10.0 + 0.01 * seed, 14.0 + 0.01 * seed
    rows = list(played(rest, kind(stop_s, back_s - stop_s), 24, seed))
    before = [s for now_s, _, s in rows if now_s < stop_s]
    last = max(s.index for s in before if s.usable)
    assert last / RATE_HZ > stop_s - 0.1
    assert any(s.reward for s in before[-32:])
    assert before[-1].level != NEUTRAL
    silent = [s for now_s, _, s in rows if stop_s + 0.1 < now_s < back_s]
    assert not any(s.reward or s.usable for s in silent)
    assert {s.why for s in silent} == {"stale: no value for more than 0.3 s"}
    assert min(s.index for s in silent) - last <= 0.35 * RATE_HZ
    assert max(s.index for s in silent) - last > 3.8 * RATE_HZ
    assert all(s.level == NEUTRAL for s in silent if s.index - last >= 1.0 * RATE_HZ)
    after = [(expected, s) for now_s, expected, s in rows if now_s >= back_s]
    # What waited is of a time that was told stale, and what came after a hole waits for the filter to fill.
    assert not any(s.reward for expected, s in after if expected - s.index > 0.3 * RATE_HZ)
    assert all(
        s.reward is False and s.level == NEUTRAL for _, s in after if not s.usable and s.index < 14 * RATE_HZ
    )
    resumed = min(s.index for _, s in after if s.usable) / RATE_HZ
    assert resumed - back_s < (0.2 if kind is Stall else 1.5)
    assert np.mean([s.usable for _, s in after if s.index > (resumed + 1) * RATE_HZ]) > 0.95
    assert any(s.reward for _, s in after)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_lost_source_is_never_rewarded(rest, share):
    rows = list(played(rest, Disconnect(4.0 + share, math.inf), 64, 1))
    gone = [s for now_s, _, s in rows if now_s > 4.6 + share]
    assert len(gone) > 2900
    assert {(s.reward, s.usable, s.why) for s in gone} == {
        (False, False, "stale: no value for more than 0.3 s")
    }
    assert {s.level for s in gone if s.index > (5.0 + share) * RATE_HZ} == {NEUTRAL}


# -- artifacts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("rates", [{"blink": 0.15, "jaw": 0.05}, {"blink": 0.25, "jaw": 0.02}], ids=str)
def test_artifacts_are_withheld_and_clean_seconds_are_not(rest, rates, seed):
    """The truth is the simulator's, and the same head without artifacts is its twin.

    A value carries an artifact while the artifact, delayed as the filter is (0.15 s), is on: a contaminated second has
    such values, and not one of them is rewarded. Before that the value is still of the time before: then nothing may
    be rewarded that the twin would not have earned. A clean second has no artifact in it nor in the second before.
    """
    n_s, late = 240, round(DELAY_S * RATE_HZ)
    rates = {"saccade": 0.0, "sweat": 0.0} | rates
    signal = record(n_s, seed, ArtifactSettings(rates_hz=rates))
    on = signal.truth.artifacts.any(axis=1)
    carried = np.concatenate([np.zeros(late, bool), on[:-late]])
    samples, twin = Loop(rest).run(signal.samples), Loop(rest).run(record(n_s, seed).samples)
    index = np.array([s.index for s in samples])
    reward, usable = np.array([s.reward for s in samples]), np.array([s.usable for s in samples])
    rewarded = np.array([s.reward for s in twin])
    refused, harmless, withheld, kept = [], [], [], []
    for start in range(3 * int(RATE_HZ), len(on), int(RATE_HZ)):
        here = (index >= start) & (index < start + RATE_HZ)
        if on[start : start + int(RATE_HZ)].any():
            harmless.append(not (reward & ~rewarded)[here & (on | carried)[index]].any())
        if carried[start : start + int(RATE_HZ)].any():
            refused.append(not reward[here & carried[index]].any())
        elif not on[start - int(RATE_HZ) : start + int(RATE_HZ)].any():
            withheld.append(usable[here].mean() < 0.5)
            kept += reward[here & rewarded].tolist()
    assert len(refused) > 40
    assert len(withheld) > 80
    assert np.mean(refused) >= 0.95
    assert np.mean(harmless) >= 0.95
    assert np.mean(withheld) <= 0.05
    assert np.mean(kept) >= 0.95
    assert not (reward & ~usable).any()


# -- step response -------------------------------------------------------------------------------------------------


def reached_s(curve, after_s, share):
    """When a share of the whole change is reached for the first time."""
    change = curve / curve[after_s > 1].mean()
    return after_s[(after_s > 0) & (change >= share)][0]


def test_doubled_rhythm_reaches_half_level_within_delay_and_120_ms():
    """A head with theta of 10 µV, doubled at 20 s, against the same head without: the mean of twenty of them."""
    rhythms = tuple(
        dataclasses.replace(each, rms_uv=10.0) if each.name == "frontal_midline.theta" else each
        for each in resting_rhythms()
    )
    x_rest = record(90, seed=100, rhythms=rhythms).samples
    n, curves = int(20 * RATE_HZ), []
    for seed in range(20):
        same, doubled = (head(seed, rhythms=rhythms) for _ in range(2))
        doubled.generate(n)
        doubled.set_gain("frontal_midline.theta", 2.0)
        x = same.generate(2 * n).samples
        x_doubled = np.concatenate([x[:n], doubled.generate(n).samples])
        pairs = list(zip(Loop(x_rest).run(x), Loop(x_rest).run(x_doubled), strict=True))[300:]
        curves.append([(b.value - a.value, b.level - a.level) for a, b in pairs])
    after_s = np.array([(a.index + 1) / RATE_HZ - 20 for a, _ in pairs])
    value, level = np.mean(curves, axis=0).T
    assert pairs[-1][0].delay_s == DELAY_S
    assert value[after_s > 1].mean() > 5.0  # of 6 dB; the rest is background
    assert level[after_s > 1].mean() > 0.1
    for curve in (value, level):
        assert np.max(np.abs(curve[after_s <= 0])) == 0.0
        assert reached_s(curve, after_s, 0.5) <= DELAY_S + 0.120
        assert reached_s(curve, after_s, 0.9) <= DELAY_S + 0.400


@pytest.mark.parametrize("seed", range(8))
def test_single_step_of_steady_rhythm_is_as_fast(rest, seed):
    """One doubling at any phase, 3 µV to 6 µV of 6 Hz in little noise, against the participant's own baseline."""
    rng, start_s = np.random.default_rng(seed), 10 + 0.013 * seed
    t = np.arange(int(20 * RATE_HZ)) / RATE_HZ
    x = 0.5 * rng.standard_normal((len(t), len(MONTAGE.labels)))
    wave = np.sin(2 * np.pi * 6 * t + rng.uniform(0, 2 * np.pi)) * np.where(t < start_s, 3.0, 6.0)
    x[:, MONTAGE.labels.index("Fz")] += wave
    samples = Loop(rest).run(x)
    after_s = np.array([(s.index + 1) / RATE_HZ for s in samples]) - start_s
    for name in ("value", "level"):
        curve = np.array([getattr(s, name) for s in samples])
        before = curve[(after_s > -5) & (after_s < -1)].mean()
        assert curve.max() < 1.0 or name == "value"  # a level at its end would be quicker than its value
        assert reached_s(curve - before, after_s, 0.5) <= DELAY_S + 0.120
        assert reached_s(curve - before, after_s, 0.9) <= DELAY_S + 0.400


# -- the same bits -------------------------------------------------------------------------------------------------

#: Everything at once: inhibits, a threshold that moves, a calm level, pulses.
BUSY = {
    "feature": THETA,
    "threshold": {"change": "at once"},
    "level": {"limit_per_s": 1.0},
    "reward": {"kind": "discrete", "hold_s": 0.25, "refractory_s": 0.5},
    "inhibits": [
        {"feature": "emg", "limit": 5.0, "unit": "value"},
        {"feature": "alpha", "limit": 15.0, "unit": "value"},
    ],
}
ALPHA = posterior_alpha().model_copy(update={"name": "alpha"})
SETUPS = {
    "default": {},
    "busy": {
        "features": [frontal_midline_theta(), ALPHA, region_synchrony(), MuscleIndex(name="emg")],
        "asked": checked(FeedbackSettings, BUSY, "feedback"),
    },
}


@pytest.fixture(scope="module")
def eventful():
    """Fifteen seconds with blinks, a clench, a channel that falls off and a gap."""
    contacts = (BadContact("C3", 4.0, 8.0, "off"), BadContact("Fz", 12.0, 1.0, "noisy"))
    x = record(15, 3, ArtifactSettings(rates_hz={"jaw": 0.2}, contacts=contacts)).samples
    x[1200:1230] = np.nan
    return x


@pytest.fixture(scope="module")
def at_once(rest, eventful):
    """What each setup gives of all samples in one chunk: bits of the feedback, the block's result, events."""
    found = {}
    for setup, words in SETUPS.items():
        loop = Loop(rest, **words)
        once = loop.run(eventful, (len(eventful),))
        assert any(s.reward for s in once)
        assert len({s.why for s in once}) > 3
        result = loop.feedback.end_block()
        found[setup] = bits(once), result, [e.to_json() for e in loop.pipeline.pop_events()]
    return found


@pytest.mark.parametrize("setup", SETUPS)
@settings(max_examples=15, deadline=None)
@example(sizes=[1])
@example(sizes=[8])
@given(sizes=st.lists(st.integers(0, 400), min_size=1, max_size=12).filter(any))
def test_feedback_does_not_depend_on_chunking(rest, eventful, at_once, setup, sizes):
    cut = Loop(rest, **SETUPS[setup])
    once, result, events = at_once[setup]
    again = bits(cut.run(eventful, sizes))
    assert again == once
    assert cut.feedback.end_block() == result
    assert [e.to_json() for e in cut.pipeline.pop_events()] == events


def test_baseline_does_not_depend_on_chunking(rest):
    made = []
    for sizes in ((len(rest),), (1,), (7, 300)):
        pipeline = Pipeline(None, MONTAGE, RATE_HZ)
        collector = BaselineCollector(measures_of(pipeline.features)[THETA], "rest", RATE_HZ)
        for piece in chunks(rest, sizes):
            collector.add(pipeline.push(piece))
        made.append(collector.finish().model_dump_json())
    assert made[0] == made[1] == made[2]


def test_feedback_does_not_depend_on_cpu_load(rest, eventful):
    """Two processes spin beside it all the while; they say so before and are still at it after."""
    alone = bits(Loop(rest, **SETUPS["busy"]).run(eventful, (5,)))
    spin = "print('spinning', flush=True)\nwhile True: pass"
    hogs = [
        subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    try:
        assert [hog.stdout.readline() for hog in hogs] == ["spinning\n"] * 2
        beside = bits(Loop(rest, **SETUPS["busy"]).run(eventful, (5,)))
        assert [hog.poll() for hog in hogs] == [None, None]
    finally:
        for hog in hogs:
            hog.kill()
            hog.communicate()
    assert beside == alone


# -- refused before a session starts -------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", ["coherence", "plv"])
def test_volume_conducted_measure_cannot_be_reward(rest, measure):
    asked = {"kind": "synchrony", "name": "together", "between": [{"channels": ["Fz"]}, {"channels": ["Oz"]}],
             "band": [8.0, 12.0], "measure": measure}  # fmt: skip
    with pytest.raises(ValidationError, match=f"{measure} cannot be a feature: .*volume conduction"):
        TypeAdapter(Feature).validate_python(asked)
    with pytest.raises(WrongInput, match="there is no feature 'together'; there are: frontal_midline_theta"):
        Loop(rest, asked=FeedbackSettings(feature="together"))


def test_too_short_baseline_states_missing_time(rest):
    with pytest.raises(
        WrongInput,
        match=r"cannot end yet: feature 'frontal_midline_theta', rest: 28\.9 s of clean EEG, needed are 60\.0 s; "
        r"withheld: 1\.0 s 'not enough data yet'",
    ):
        Loop(rest[: int(30 * RATE_HZ)])


@pytest.mark.parametrize("kind, word", [("off", "detached"), ("noisy", "line noise"), ("flat", "flat")])
def test_dirty_baseline_names_channel_and_reason(kind, word):
    """Fz is bad for two thirds of it; reasons are added up, though their numbers differ each quarter of a second."""
    x = record(90, 4, ArtifactSettings(NO_ARTIFACTS.rates_hz, contacts=(BadContact("Fz", 10.0, 65.0, kind),)))
    with pytest.raises(
        WrongInput,
        match=r"s of clean EEG, needed are 60\.0 s; withheld: .*6\d\.\d s 'bad contact: no channel left of Fz'",
    ) as error:
        Loop(x.samples)
    assert f" s 'bad contact: Fz {word}'" in str(error.value)
    assert "more reasons" not in str(error.value)


def test_baseline_with_small_clean_share_is_refused():
    """More than sixty seconds are clean, yet less than half: Oz is bad again and again, too briefly to leave."""
    contacts = tuple(BadContact("Oz", 2.0 + 3.0 * k, 1.5, "off") for k in range(110))
    x = record(330, 4, ArtifactSettings(NO_ARTIFACTS.rates_hz, contacts=contacts)).samples
    with pytest.raises(
        WrongInput, match=r"\d\d% of 33\d\.\d s was clean, needed are 50%; .*'bad contact: Oz detached'"
    ):
        Loop(x, [posterior_alpha()])


def test_threshold_never_reached_in_baseline_is_refused(rest):
    asked = checked(
        FeedbackSettings, {"feature": THETA, "threshold": {"rule": "fixed", "z": 9.0}}, "feedback"
    )
    with pytest.raises(
        WrongInput, match="z = 9 for feature 'frontal_midline_theta' lies outside what its 'rest'"
    ):
        Loop(rest, asked=asked)


# -- real EEG ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("rate", [0.5, 0.65, 0.8])
@pytest.mark.parametrize("baseline_s", [20, 25, 30])
def test_percentile_rule_keeps_rate_on_real_alpha(data_dir, rate, baseline_s):
    """PhysioNet S001R02 through pipeline, baseline and feedback: baseline first, then training on what follows."""
    recording = read_recording(data_dir / "physionet_eegmmidb" / "S001R02.edf")
    x, rate_hz = recording.samples_uv, recording.rate_hz
    montage = Montage(recording.labels, {"posterior": ("P3", "Pz", "P4", "O1", "Oz", "O2")})
    pipeline = Pipeline(
        [posterior_alpha()], montage, rate_hz, calibration=Calibration.from_baseline(x, rate_hz), iaf_hz=10.0
    )
    measures = measures_of(pipeline.features)
    enough = BaselineSettings(least_s=10.0)
    collector = BaselineCollector(measures["posterior_alpha"], "rest", rate_hz, enough)
    n = int(baseline_s * rate_hz)
    collector.add(pipeline.push(chunk(x[:n], 0, rate_hz)))
    content = {"feature": "posterior_alpha", "threshold": {"success_rate": rate, "change": "at once"}}
    asked = checked(FeedbackSettings, content, "feedback")
    feedback = Feedback(asked, measures, [collector.finish()], ["rest"], rate_hz)
    feedback.start_block("rest")
    samples = feedback.step(pipeline.push(chunk(x[n:], n, rate_hz)))
    usable = [s.usable for s in samples]
    assert sum(usable) > 20 * 32
    assert np.mean([s.reward for s in samples if s.usable]) == pytest.approx(rate, abs=0.05)
