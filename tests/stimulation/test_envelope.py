"""The limits and the account of each place on the skin: nothing loosens the first or empties the second."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stimulation_parts import profiles

from neurofb.config import checked
from neurofb.errors import WrongInput
from neurofb.stimulation.envelope import Envelope, planned_dose
from neurofb.stimulation.heat_profile import HeatProfile, abort_dose, contact_line_s, dose
from neurofb.stimulation.thermal_dose import SiteLedger


def test_an_ordinary_stimulus_is_allowed():
    assert Envelope().problems(HeatProfile(47.0, 10.0)) == []
    assert Envelope().problems(HeatProfile(49.0, 12.0)) == []


@pytest.mark.parametrize(
    "profile, how, match",
    [
        (HeatProfile(49.5, 3.0), {}, "49.5 °C is asked; at most 49 °C is allowed"),
        (HeatProfile(45.0, 3.0, baseline_c=25.0), {}, "a baseline of 25 °C is asked; it is from 30 to 35 °C"),
        (HeatProfile(45.0, 3.0, baseline_c=36.0), {}, "a baseline of 36 °C is asked"),
        (HeatProfile(45.0, 3.0), {"since_last_s": 4.0}, "ended 4.0 s before; at least 8 s must lie between"),
        (
            HeatProfile(49.0, 14.0),
            {},
            r"14 s at 49 °C with its ramps is 0\.\d+ .*one stimulus may be 0.5 .* 12\.\d s",
        ),
        (
            HeatProfile(49.0, 0.0, rise_c_per_s=0.2, return_c_per_s=0.2),
            {},
            "its ramps alone are too much",
        ),
        (
            HeatProfile(47.0, 10.0),
            {"used": 0.95},
            "has had 0.95 of its budget of 1 and the stimulus adds 0.13",
        ),
    ],
)
def test_what_is_refused_and_why(profile, how, match):
    (problem,) = Envelope().problems(profile, **how)
    assert re.search(match, problem), problem


def test_all_problems_come_at_once():
    profile = HeatProfile(50.0, 30.0, baseline_c=20.0)
    assert len(Envelope().problems(profile, used=0.9, since_last_s=1.0)) == 5


def test_longest_plateau_is_allowed_and_a_little_more_is_not():
    for target_c in (44.0, 46.0, 48.0, 49.0):
        envelope, profile = Envelope(), HeatProfile(target_c, 1.0)
        most_s = envelope.longest_plateau_s(profile)
        assert most_s < 0.5 * contact_line_s(target_c)
        assert envelope.problems(HeatProfile(target_c, most_s - 0.01)) == []
        assert envelope.problems(HeatProfile(target_c, most_s + 0.01)) != []


@settings(max_examples=200, deadline=None)
@given(profiles(), st.floats(0.0, 1.2))
def test_what_is_allowed_keeps_every_limit(profile, used):
    envelope = Envelope()
    if envelope.problems(profile, used=used) == []:
        assert profile.target_c <= 49.0
        assert dose(profile) <= 0.5
        assert profile.plateau_s <= 0.5 * contact_line_s(profile.target_c)
        assert used + dose(profile) <= 1.0


@pytest.mark.parametrize(
    "content, match",
    [
        ({"cap_c": 50.5}, "cap_c: found 50.5: .*less than or equal to 50; needed is the hottest"),
        ({"cap_c": math.inf}, "cap_c"),
        ({"cap_c": math.nan}, "cap_c"),
        ({"single": 0.6}, "single: found 0.6"),
        ({"budget": 1.5}, "budget: found 1.5"),
        ({"interval_s": 5.0}, "interval_s: found 5.0"),
        ({"stale_s": 2.0}, "stale_s: found 2.0"),
        ({"deviation_c": 1.5}, "deviation_c: found 1.5"),
        ({"deviation_s": 1.5}, "deviation_s: found 1.5"),
        ({"baseline_high_c": 36.0}, "baseline_high_c: found 36.0"),
        ({"baseline_low_c": 34.0, "baseline_high_c": 33.0}, "not below baseline_low_c, 34 °C"),
        ({"cap": 45.0}, "cap: no such key"),
    ],
)
def test_no_envelope_is_wider_than_the_bounds(content, match):
    with pytest.raises(WrongInput, match=match):
        checked(Envelope, content, "envelope")


def test_an_envelope_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Envelope().cap_c = 50.0


def test_a_protocol_may_only_tighten():
    lab = Envelope()
    assert lab.loosened_by(Envelope(cap_c=47.0, single=0.3, interval_s=20.0, baseline_low_c=31.0)) == []
    (cap, interval) = Envelope(interval_s=20.0).loosened_by(Envelope(cap_c=50.0, interval_s=10.0))
    assert "cap_c: 50 is asked, 49 is the limit" in cap
    assert "interval_s: 10 is asked, 20 is the limit" in interval


def test_the_ledger_adds_up_and_comes_back():
    ledger = SiteLedger()
    assert ledger.used("left forearm") == 0.0
    for _ in range(100):
        ledger.add("left forearm", 0.1, 46.0)
    ledger.add("right forearm", 1.0, 32.0)
    assert ledger.used("left forearm") == pytest.approx(10 / contact_line_s(46.0))
    assert ledger.used("right forearm") < 1e-6
    again = SiteLedger(ledger.as_dict())
    assert again.as_dict() == ledger.as_dict()


@pytest.mark.parametrize("dt_s, temperature_c", [(-1.0, 40.0), (math.nan, 40.0), (1.0, math.nan)])
def test_the_ledger_takes_no_nonsense(dt_s, temperature_c):
    with pytest.raises(WrongInput, match="time and temperature are numbers"):
        SiteLedger().add("arm", dt_s, temperature_c)


def test_a_ledger_does_not_start_below_zero():
    with pytest.raises(WrongInput, match="what 'arm' has had is a number of 0 or more; found -0.5"):
        SiteLedger({"arm": -0.5})


# Both sides of each bound.

#: Of each key the outermost that is allowed, and the next that is not.
BOUNDS = {
    "cap_c": [(50.0, 50.1), (30.1, 30.0)],
    "single": [(0.5, 0.51), (0.01, 0.0)],
    "budget": [(1.0, 1.01), (0.01, 0.0)],
    "interval_s": [(8.0, 7.9)],
    "baseline_low_c": [(30.0, 29.9), (35.0, 35.1)],
    "baseline_high_c": [(30.0, 29.9), (35.0, 35.1)],
    "stale_s": [(1.0, 1.01), (0.01, 0.0)],
    "deviation_c": [(1.0, 1.01), (0.01, 0.0)],
    "deviation_s": [(1.0, 1.01), (0.0, -0.01)],
}


@pytest.mark.parametrize("name", list(Envelope.model_fields))
def test_bounds_of_each_limit(name):
    for inside, outside in BOUNDS[name]:
        other = {"baseline_high_c": 35.0} if name == "baseline_low_c" else {}
        assert getattr(checked(Envelope, {name: inside, **other}, "envelope"), name) == inside
        with pytest.raises(WrongInput, match=f"{name}: found"):
            checked(Envelope, {name: outside, **other}, "envelope")
        with pytest.raises(WrongInput, match=f"{name}: found"):
            checked(Envelope, {name: str(inside)}, "envelope")


def test_defaults_of_the_limits():
    defaults = Envelope().model_dump()
    assert defaults == {
        "cap_c": 49.0,
        "single": 0.5,
        "budget": 1.0,
        "interval_s": 8.0,
        "baseline_low_c": 30.0,
        "baseline_high_c": 35.0,
        "stale_s": 1.0,
        "deviation_c": 1.0,
        "deviation_s": 1.0,
    }


def test_default_baseline_is_checked_against_a_given_one():
    with pytest.raises(ValueError, match="not below baseline_low_c"):
        Envelope(baseline_low_c=34.0, baseline_high_c=33.9)
    assert Envelope(baseline_low_c=34.0, baseline_high_c=34.0).baseline_high_c == 34.0


@pytest.mark.parametrize(
    "profile, how",
    [
        (HeatProfile(49.0, 1.0), {}),
        (HeatProfile(45.0, 1.0, baseline_c=30.0), {}),
        (HeatProfile(45.0, 1.0, baseline_c=35.0), {}),
        (HeatProfile(45.0, 1.0), {"since_last_s": 8.0}),
    ],
)
def test_what_is_at_a_limit_is_allowed(profile, how):
    assert Envelope().problems(profile, **how) == []


@pytest.mark.parametrize(
    "profile, how",
    [
        (HeatProfile(49.01, 1.0), {}),
        (HeatProfile(45.0, 1.0, baseline_c=29.9), {}),
        (HeatProfile(45.0, 1.0, baseline_c=35.1), {}),
        (HeatProfile(45.0, 1.0), {"since_last_s": 7.9}),
    ],
)
def test_what_is_beyond_a_limit_is_not(profile, how):
    assert len(Envelope().problems(profile, **how)) == 1


def test_planned_dose_is_the_dose_with_its_reserve_and_a_sudden_end():
    profile = HeatProfile(47.0, 5.0)
    expected = 1.02 * dose(profile) + abort_dose(47.0)
    assert planned_dose(profile) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("target_c, plateau_s", [(44.0, 1.0), (47.0, 5.0), (49.0, 0.0)])
def test_longest_plateau_uses_the_whole_limit(target_c, plateau_s):
    """Whatever plateau was asked: with the longest one the planned dose is the limit."""
    profile = HeatProfile(target_c, plateau_s)
    most_s = Envelope(single=0.3).longest_plateau_s(profile)
    assert planned_dose(HeatProfile(target_c, most_s)) == pytest.approx(0.3, rel=1e-9)
    assert Envelope(single=0.001).longest_plateau_s(HeatProfile(49.0, 1.0)) == 0.0


def test_budget_counts_the_planned_dose():
    profile = HeatProfile(47.0, 5.0)
    share = planned_dose(profile)
    assert Envelope().problems(profile, used=1.0 - share - 1e-6) == []
    (found,) = Envelope().problems(profile, used=1.0 - share + 1e-6)
    assert "of its budget" in found


@pytest.mark.parametrize(
    "single, right", [(0.1, "at most 1.9 s would"), (0.06, r"at most 0\.\d s would"), (0.02, "ramps alone")]
)
def test_refusal_says_what_would_be_right(single, right):
    (found,) = Envelope(single=single).problems(HeatProfile(49.0, 5.0))
    assert re.search(right, found)


def test_equal_limits_loosen_nothing_and_each_is_compared():
    assert Envelope().loosened_by(Envelope()) == []
    tight = Envelope(
        cap_c=45.0,
        single=0.25,
        budget=0.5,
        interval_s=20.0,
        baseline_low_c=31.0,
        baseline_high_c=34.0,
        stale_s=0.5,
        deviation_c=0.5,
        deviation_s=0.5,
    )
    assert Envelope().loosened_by(tight) == []
    found = tight.loosened_by(Envelope())
    assert [text.split(":")[0] for text in found] == list(Envelope.model_fields)
    for text in found:
        is_least = text.startswith(("interval_s", "baseline_low_c"))
        assert text.endswith("or more" if is_least else "or less")


@pytest.mark.parametrize("name", list(Envelope.model_fields))
@pytest.mark.parametrize("wrong", [math.inf, math.nan, True])
def test_limit_is_a_finite_number(name, wrong):
    with pytest.raises(WrongInput, match=f"{name}: "):
        checked(Envelope, {name: wrong}, "envelope")
