"""Sham at the level of the value: whose value is delivered, and that everything after it is the participant's own."""

import dataclasses
import math

import numpy as np
import pytest
from feedback_parts import HOP, baseline, feedback, value, values
from sham_parts import STEP_S, donor, piece, pool, slow_noise

from neurofb.blinding.donors import Donor, DonorPool
from neurofb.blinding.sham import PICKS, Delivery, DonorTrack
from neurofb.errors import WrongInput
from neurofb.feedback.baseline import Baseline

NAN = math.nan


def track(donors=None, session="1"):
    made = pool()
    return DonorTrack(made, donors or made.donors, session)


def delivery(kind, **more):
    made = Delivery("theta", kind, track(), **more)
    made.start_block(baseline(), baseline("emg", mean=5.0, sd=2.0))
    made.enter("rest", 0, "", 0)
    return made


def run(kind, given, **settings):
    """Deliver values to a feedback; return what was shown."""
    made, loop = delivery(kind), feedback(**settings)
    delivered = made.delivered(given)
    return made.shown(delivered, loop.step(delivered))


def test_real_arm_gets_its_own_values_and_yoked_sham_those_of_the_donor():
    own = values(slow_noise(1, 500))
    seen, samples = run("real", own)
    assert seen == own
    seen, samples = run("sham:yoked", own)
    donors_z = donor("D0").sessions["1"][0].z[:500]
    np.testing.assert_allclose([each.z for each in samples], donors_z, atol=1e-12)
    np.testing.assert_allclose([each.value for each in seen], [baseline().value(z) for z in donors_z])


@pytest.mark.parametrize("kind", ["sham:yoked", "sham:self"])
def test_usability_reasons_and_hold_are_the_recipients_own_in_every_arm(kind):
    """Blinks, gaps, contact, inhibits and evoked responses withhold at the same values, with the same words."""
    own = values(slow_noise(1, 300))
    own[40:60] = [dataclasses.replace(v, usable=False, why="blink on Fp1") for v in own[40:60]]
    own[100:104] = [value(NAN, v.index) for v in own[100:104]]
    own[150:170] = [dataclasses.replace(v, usable=False, value=NAN, why="gap") for v in own[150:170]]
    emg = [value(9.0 if 200 <= k < 215 else 0.0, v.index, name="emg") for k, v in enumerate(own)]
    given = [each for pair in zip(own, emg, strict=True) for each in pair]
    inhibits = [{"feature": "emg", "limit": 2.0}]
    _, real = run("real", given, inhibits=inhibits)
    _, sham = run(kind, given, inhibits=inhibits)
    assert [(s.index, s.usable, s.why) for s in real] == [(s.index, s.usable, s.why) for s in sham]
    assert {s.why for s in real} == {"", "blink on Fp1", "the feature has no value", "gap", real[205].why}
    assert any(a.level != b.level for a, b in zip(real, sham, strict=True))


@pytest.mark.parametrize("kind", list(PICKS))
def test_nothing_is_seen_of_values_that_earned_nothing_or_of_other_features(kind):
    """An artifact in a value that is withheld would follow the participant's own EEG in one arm only."""
    own = values([50.0] * 20, usable=False) + values([0.1] * 20, 20 * HOP)
    emg = [value(1.0, v.index, name="emg") for v in own]
    seen, samples = run(kind, [each for pair in zip(own, emg, strict=True) for each in pair])
    assert all(math.isnan(s.value) and math.isnan(s.z) for s in samples[:20])
    assert all(math.isfinite(s.value) for s in samples[20:])
    assert [math.isfinite(v.value) for v in seen] == [v.name == "theta" and v.index >= 160 for v in seen]
    assert [v.usable for v in seen if v.name == "theta"] == [False] * 20 + [True] * 20


def test_outside_of_blocks_nothing_is_seen_in_any_arm():
    for kind in PICKS:
        made = Delivery("theta", kind, track())
        given = values([1.0, 2.0])
        assert made.delivered(given) == given  # baselines are made of them
        assert all(math.isnan(v.value) for v in made.shown(given, [])[0])


def test_scores_do_not_depend_on_how_values_are_cut():
    own = values(slow_noise(1, 400))
    whole = delivery("sham:yoked")
    whole_z = [v.value for v in whole.delivered(own)]
    parts = delivery("sham:yoked")
    cut = [v.value for first in range(0, 400, 7) for v in parts.delivered(own[first : first + 7])]
    assert cut == whole_z


def test_other_band_follows_the_own_control_feature_and_holds_where_it_has_none():
    made = Delivery("theta", "sham:other_band", track(), control="emg")
    made.start_block(baseline(mean=1.0, sd=3.0), baseline("emg", mean=5.0, sd=2.0))
    made.enter("rest", 0, "", 0)
    given = [
        value(9.0, 8), value(7.0, 8, name="emg"),  # emg: z = 1
        value(9.0, 16), value(NAN, 16, name="emg"),
        value(9.0, 24), value(3.0, 24, name="emg"),  # z = -1
    ]  # fmt: skip
    got = [v.value for v in made.delivered(given) if v.name == "theta"]
    np.testing.assert_allclose(got, [4.0, 4.0, -2.0])


def test_arm_is_in_no_representation_of_a_delivery():
    assert repr(delivery("sham:yoked")) == repr(delivery("real")) == "<Delivery>"
    with pytest.raises(WrongInput) as refused:
        Delivery("theta", "sham:replay", track())
    assert "replay" not in str(refused.value)


@pytest.mark.parametrize(
    "content", [{"log": True, "values": (1.0, 2.0, 4.0)}, {"values": (0.2, 0.4, 0.9)}, {}]
)
def test_value_of_a_score_has_that_score(content):
    made = baseline() if not content else baseline(**content)
    for z in (-0.7, 0.0, 0.4, 1.3):
        assert made.z(made.value(z)) == pytest.approx(z, abs=1e-12)
    if content and not made.log:
        assert made.value(-5.0) > 0.0  # what was never below 0 is not, either
    assert Baseline.read(made.model_dump(mode="json")).value(1.1) == made.value(1.1)


# -- where the donor's scores are followed -----------------------------------------------------------------------


def one(pieces, *others):
    """A track whose pieces are of the given numbers; each piece is constant but for a little noise."""
    made = [
        piece(phase, block, level, number, np.full(200, float(at)) + np.tile([0.0, 1e-9], 100))
        for phase, block, level, number, at in pieces
    ]
    donors = (Donor("D1", {"1": tuple(made)}), *others)
    return DonorTrack(DonorPool("a" * 64, "theta", "up", STEP_S, donors), donors, "1")


def taken(made, n):
    return np.array([made.next() for _ in range(n)])


def test_heat_goes_on_with_the_donors_trial_of_the_same_level_at_the_actual_onset():
    """Recipient: hot comes first and at another time than with the donor; each onset begins the donor's piece anew."""
    made = one(
        [("heat", 0, "", 0, 0), ("heat", 0, "warm", 0, 1), ("heat", 0, "hot", 0, 2), ("heat", 0, "hot", 1, 3)]
    )
    made.enter("heat", 0, "", 0, joined=False)
    np.testing.assert_allclose(taken(made, 37), 0.0, atol=1e-6)
    for level, number, expected in (("hot", 0, 2.0), ("warm", 0, 1.0), ("hot", 1, 3.0)):
        made.enter("heat", 0, level, number, joined=True)
        z = taken(made, 90)
        np.testing.assert_allclose(z[16:], expected, atol=1e-6)  # within a second, which earns nothing anyway
        assert np.abs(np.diff(z[:16])).max() < 0.6


def test_donor_too_short_goes_on_with_the_next_trial_of_that_level_then_with_the_next_donor():
    other = Donor("D2", {"1": (piece("heat", 0, "hot", 0, np.full(200, 9.0)),)})
    made = one([("heat", 0, "hot", 0, 2), ("heat", 0, "warm", 0, 1), ("heat", 1, "hot", 0, 3)], other)
    made.enter("heat", 0, "hot", 0, joined=False)
    z = taken(made, 184 * 3)
    np.testing.assert_allclose(z[:184], 2.0, atol=1e-6)
    np.testing.assert_allclose(z[200 : 184 * 2], 3.0, atol=1e-6)
    np.testing.assert_allclose(z[184 * 2 + 16 :], 9.0, atol=1e-6)


def test_nothing_is_repeated_within_a_minute():
    """A donor with short trials: a second of scores comes again after a minute at the earliest."""
    made = track()
    made.enter("heat", 0, "hot", 0, joined=False)
    z, seen = taken(made, 3200), {}
    for at in range(len(z) - 16):
        before = seen.setdefault(z[at : at + 16].tobytes(), at)
        assert before == at or (at - before) * STEP_S >= 60.0
        seen[z[at : at + 16].tobytes()] = at


def test_joins_are_no_steps_and_keep_the_variance():
    made = track()
    made.enter("heat", 0, "hot", 0, joined=False)
    z = taken(made, 12_000)
    steps = np.abs(np.diff(z))
    joins = [1984 * k + 16 * (k > 0) + d for k in range(1, 6) for d in range(-17, 17)]
    assert steps[joins].max() <= 1.2 * steps.max()
    assert steps[joins].mean() < 1.5 * steps.mean()
    assert z.std() == pytest.approx(1.0, abs=0.15)


def test_phase_that_no_donor_has_is_refused_without_the_arm():
    with pytest.raises(WrongInput, match="no donor has scores for the phase 'walk'"):
        track().enter("walk", 0, "", 0, joined=False)


def test_before_the_first_piece_there_is_no_score():
    assert math.isnan(track().next())
