"""Features in blinks: each goes on where the participant's baseline shows that it may, and only there.

The truth is EEG without blinks (simulated, or EEGMAT, which its providers cleaned); blinks are added to it. What is
judged comes after the baseline that the participant is measured on.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from loop_parts import MONTAGE, RATE_HZ, chunk

from neurofb.acquisition.readers.open import read_recording
from neurofb.features.feature_specs import Power, SynchronyOf
from neurofb.features.presets import posterior_alpha
from neurofb.loop.blink_effects import BlinkEffect
from neurofb.loop.participant_fit import ParticipantFit, fit
from neurofb.loop.pipeline import Pipeline
from neurofb.loop.settings import LoopSettings
from neurofb.simulation.artifacts import NO_ARTIFACTS
from neurofb.simulation.head import Head, HeadSettings
from neurofb.spatial.montage import ChannelSelection, Montage

THETA = Power(name="theta", at=ChannelSelection(channels=("Fz",)), band=(4.0, 8.0))
FOREHEAD = Power(name="forehead", at=ChannelSelection(channels=("Fp1",)), band=(4.0, 8.0))
ALPHA = posterior_alpha()
SYNCHRONY = SynchronyOf(
    name="synchrony",
    between=(ChannelSelection(channels=("Fz",)), ChannelSelection(region="posterior")),
    band=(6.0, 9.0),
    window_s=2.0,
)
FEATURES = (THETA, FOREHEAD, ALPHA, SYNCHRONY)
#: How much of the forehead's blink a site sees, by its row; as in Jung 2000 and in what the recordings show, roughly.
ROWS = {"Fp": 1.0, "AF": 0.9, "F": 0.4, "C": 0.2, "T": 0.2, "P": 0.08, "O": 0.04}
BASELINE = int(75 * RATE_HZ)


def topography(labels):
    return np.array([ROWS[label.rstrip("z0123456789")] for label in labels])


def with_blinks(x, labels, every_s, seed, lasting_s=0.35):
    """Add blinks of 60–225 µV at the forehead that differ by 2 % in each channel; return also when they are."""
    rng, n = np.random.default_rng(seed), int(lasting_s * RATE_HZ)
    y, on, at = x.copy(), np.zeros(len(x), bool), int(0.5 * RATE_HZ)
    while at + n < len(x):
        size = 150 * rng.uniform(0.4, 1.5)
        map_ = topography(labels) * (1 + 0.02 * rng.standard_normal(len(labels)))
        y[at : at + n] += size * np.outer(np.hanning(n) ** 1.5, map_)
        on[at : at + n] = True
        at += int(RATE_HZ * every_s * rng.uniform(0.6, 1.4))
    return y, on


def measure(x, montage, features, **others):
    """Give the fit to 15 s of eyes and 60 s of rest."""
    eyes = int(15 * RATE_HZ)
    return fit(
        {"eyes": x[:eyes], "rest": x[eyes:BASELINE]}, montage, RATE_HZ, BASELINE, features=features, **others
    )


def pipeline(fitted, montage, features, blinks="project", **others):
    return Pipeline(
        features, montage, RATE_HZ, iaf_hz=10.0, calibration=fitted.calibration, spectrum=fitted.spectrum,
        blink_fit=fitted.blinks, blinks=blinks, **others,
    )  # fmt: skip


def run(made, x, sizes=(100_000,)):
    values, start, turn = [], 0, 0
    while start < len(x):
        values += made.push(chunk(x[start : start + sizes[turn % len(sizes)]], start))
        start, turn = start + sizes[turn % len(sizes)], turn + 1
    return values


def of(values, name):
    """Give values, indices and usability of a feature, without its first two seconds."""
    mine = [value for value in values if value.name == name][60:]
    return (np.array([getattr(value, key) for value in mine]) for key in ("value", "index", "usable"))


@pytest.fixture(scope="module")
def story():
    """A simulated head of 135 s, the same with blinks at 15 a minute (more in the first 15 s), and its fit."""
    clean = Head(MONTAGE.labels, RATE_HZ, HeadSettings(seed=2, artifacts=NO_ARTIFACTS)).generate(
        int(135 * RATE_HZ)
    )
    eyes = int(15 * RATE_HZ)
    first, _ = with_blinks(clean.samples[:eyes], MONTAGE.labels, 1.5, 1)
    rest, on = with_blinks(clean.samples[eyes:], MONTAGE.labels, 4.0, 2)
    x = np.concatenate([first, rest])
    return clean.samples[BASELINE:], x[BASELINE:], on[BASELINE - eyes :], measure(x, MONTAGE, FEATURES)


def courses(fitted, blinks):
    return {each.feature: each.course(blinks) for each in fitted.blinks.effects}


def test_each_feature_goes_on_where_blinks_do_not_reach_it(story):
    fitted = story[3]
    assert courses(fitted, "withhold") == {
        "theta": "withheld", "forehead": "withheld", "posterior_alpha": "goes on", "synchrony": "withheld",
    }  # fmt: skip
    assert courses(fitted, "project") == {
        "theta": "projected", "forehead": "withheld", "posterior_alpha": "goes on", "synchrony": "projected",
    }  # fmt: skip


def test_what_goes_on_is_usable_and_true(story):
    clean, x, on, fitted = story
    before = run(pipeline(fitted, MONTAGE, FEATURES, rules=2), x)
    now, truth = run(pipeline(fitted, MONTAGE, FEATURES), x), run(pipeline(fitted, MONTAGE, FEATURES), clean)
    raw = run(pipeline(fitted, MONTAGE, FEATURES, "withhold"), clean)
    for name in ("theta", "posterior_alpha"):
        usable_before, usable = np.mean([*of(before, name)][2]), np.mean([*of(now, name)][2])
        assert usable_before < 0.8
        assert usable > 0.95
        value, index, _ = of(now, name)
        expected, unprojected = next(of(truth, name)), next(of(raw, name))
        late = on[np.maximum(index - int(0.15 * RATE_HZ), 0)]

        def power(db, where):
            return 10 * np.log10(np.mean(10 ** (db[where] / 10)))

        assert abs(power(value, late) - power(expected, late)) < 0.2
        assert np.corrcoef(value, expected)[0, 1] > 0.98
        assert abs(power(expected, ~late) - power(unprojected, ~late)) < 0.3
    assert np.mean([*of(now, "synchrony")][2]) > 0.95
    assert np.mean([*of(now, "forehead")][2]) < 0.8


def test_projected_values_do_not_depend_on_chunking_and_json_gives_equal_bits(story):
    _, x, _, fitted = story
    again = ParticipantFit.from_dict(json.loads(json.dumps(fitted.as_dict())))
    piece = x[: int(6 * RATE_HZ)].copy()
    piece[700:720] = np.nan
    for reference in (None, "average"):
        values = [
            [
                repr(value)
                for value in run(pipeline(each, MONTAGE, FEATURES, reference=reference), piece, sizes)
            ]
            for each, sizes in ((fitted, (100_000,)), (again, (1, 7, 40)), (again, (1000,)))
        ]
        assert values[0] == values[1] == values[2]


def test_other_declaration_or_reference_or_rules_are_withheld(story):
    fitted = story[3]
    piece = story[1][: int(8 * RATE_HZ)]

    def shares(features, **others):
        return [
            np.mean([*of(run(pipeline(fitted, MONTAGE, features, **others), piece), f.name)][2])
            for f in features
        ]

    assert shares((ALPHA,))[0] > 0.95
    wider = ALPHA.model_copy(update={"band": (7.0, 12.0)})
    assert shares((wider,))[0] < 0.8
    assert shares((ALPHA,), reference="average")[0] < 0.8
    assert shares((ALPHA,), rules=2)[0] < 0.8


def test_lost_channel_closes_the_gate_of_projected_features_in_blinks(story):
    """What was rehearsed was rehearsed with all channels."""
    _, x, _, fitted = story
    lost = x[: int(20 * RATE_HZ)].copy()
    lost[:, MONTAGE.labels.index("T7")] = 0.0
    values = run(pipeline(fitted, MONTAGE, (THETA, ALPHA)), lost)
    late = [value for value in values if value.index > 6 * RATE_HZ]
    assert {value.why for value in late if value.name == "theta"} == {"", "blink"}
    assert {value.why for value in late if value.name == "posterior_alpha"} == {""}


def test_movement_that_is_no_blink_still_withholds(story):
    clean, _, _, fitted = story
    moved = clean[: int(10 * RATE_HZ)].copy()
    at = int(5 * RATE_HZ)
    moved[at : at + 100, [MONTAGE.labels.index(label) for label in ("Fz", "O1", "Oz", "O2", "Pz", "P3")]] += (
        200 * np.hanning(100)[:, None]
    )
    values = run(pipeline(fitted, MONTAGE, (THETA, ALPHA)), moved)
    for name in ("theta", "posterior_alpha"):
        assert any(v.why.startswith("movement") for v in values if v.name == name and at < v.index < at + 150)


def test_forehead_spike_that_projecting_spreads_withholds_what_it_reaches(story):
    """The projector takes much of Fp1 from Fz: what one electrode alone does there must not come through."""
    clean, _, _, fitted = story
    spoilt = clean[: int(10 * RATE_HZ)].copy()
    at = int(5 * RATE_HZ)
    spoilt[at : at + 40, MONTAGE.labels.index("Fp1")] += 1500 * np.hanning(40)
    values = run(pipeline(fitted, MONTAGE, (THETA, ALPHA)), spoilt)
    around = [v for v in values if at + 40 < v.index < at + 100]
    assert not any(v.usable for v in around if v.name == "theta")
    assert all(v.usable for v in around if v.name == "posterior_alpha")


def test_too_few_blinks_or_channels_keep_the_gate_shut(story):
    x = story[0]
    few = fit({"rest": x[: int(30 * RATE_HZ)]}, MONTAGE, RATE_HZ, 7500, features=FEATURES)
    assert few.blinks is None
    assert "0 blinks and " in few.notes[-1]
    assert few.notes[-1].endswith("needed are 5 and about 10 s; each feature is withheld in blinks")
    labels = ("Fp1", "Fp2", "Fz", "Cz", "Pz", "O1", "O2")
    montage = Montage(labels)
    columns = [MONTAGE.labels.index(label) for label in labels]
    seen, _ = with_blinks(x[:, columns], labels, 2.0, 5)
    fitted = fit({"rest": seen}, montage, RATE_HZ, len(seen), features=(THETA,))
    (effect,) = fitted.blinks.effects
    assert effect.projected_at_most_db is None
    assert effect.course("project") == "withheld"
    assert "needed are" not in " ".join(fitted.notes)


def test_dead_channel_leaves_the_effects_on_others_known(story):
    _, x, _, _ = story
    dead = x.copy()
    dead[:, MONTAGE.labels.index("Oz")] = np.nan
    dead[:, MONTAGE.labels.index("T8")] = 5.0
    fitted = fit({"rest": dead}, MONTAGE, RATE_HZ, len(dead), features=(THETA, ALPHA))
    assert [each.feature for each in fitted.blinks.effects] == ["theta"]  # alpha needs Oz
    assert fitted.blinks.effects[0].at_most_db > 3
    json.dumps(fitted.as_dict(), allow_nan=False)


def test_veto_of_power_that_the_waveform_does_not_explain():
    effect = BlinkEffect("theta", "{}", "", 0.1, 2.0, 0.1, 2.0, 0.0)
    assert effect.course("withhold") == effect.course("project") == "withheld"
    assert replace(effect, at_least_db=-1.0).course("withhold") == "goes on"
    assert replace(effect, at_most_db=3.0, projected_at_least_db=-1.0).course("project") == "projected"
    costly = replace(effect, at_most_db=3.0, projected_at_least_db=-1.0, projected_beside_db=-0.3)
    assert costly.course("project") == "withheld"
    assert "-0.30 dB change beside them" in costly.describe("project")


def test_settings_keep_what_is_done_about_blinks():
    settings = LoopSettings((THETA,), MONTAGE, RATE_HZ, blinks="project")
    assert LoopSettings.from_dict(json.loads(json.dumps(settings.as_dict()))).blinks == "project"
    content = {key: value for key, value in settings.as_dict().items() if key != "blinks"}
    assert LoopSettings.from_dict(content).blinks == "withhold"


@pytest.mark.parametrize("subject", [0, 3])
def test_real_eeg_goes_on_in_added_blinks(data_dir, subject):
    """EEGMAT, linked ears, 19 channels; nothing was set on these two people."""
    recording = read_recording(data_dir / f"eegmat/Subject0{subject}_1.edf")
    older = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
    labels = tuple(older.get(label, label) for label in recording.labels)
    clean = np.ascontiguousarray(recording.samples_uv[: (105 * 500) : 2])
    montage, alpha = (
        Montage(labels),
        Power(name="alpha", at=ChannelSelection(channels=("O1", "O2")), band=(8.0, 12.0)),
    )
    first, _ = with_blinks(clean[: int(15 * RATE_HZ)], labels, 1.5, 3)
    rest, _ = with_blinks(clean[int(15 * RATE_HZ) :], labels, 4.0, 4)
    x = np.concatenate([first, rest])
    fitted = measure(x, montage, (THETA, alpha))
    assert courses(fitted, "project") == {"theta": "projected", "alpha": "goes on"}
    now = run(pipeline(fitted, montage, (THETA, alpha)), x[BASELINE:])
    truth = run(pipeline(fitted, montage, (THETA, alpha)), clean[BASELINE:])
    for name in ("theta", "alpha"):
        value, _, usable = of(now, name)
        assert usable.mean() > 0.9
        assert np.corrcoef(value[usable], next(of(truth, name))[usable])[0, 1] > 0.97
