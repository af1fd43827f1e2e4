"""A heat stimulus as numbers: its course and its dose, against plain numerical integration."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stimulation_parts import profiles

from neurofb.errors import WrongInput
from neurofb.stimulation.heat_profile import (
    Course,
    HeatProfile,
    abort_dose,
    contact_line_s,
    dose,
    dose_per_s,
    ramp_dose,
)


@pytest.mark.parametrize(
    "temperature_c, line_s",
    [(44, 549), (45, 290), (46, 156), (47, 85), (48, 47), (49, 26), (50, 14.7)],
)
def test_the_line_has_the_published_anchors(temperature_c, line_s):
    assert contact_line_s(temperature_c) == pytest.approx(line_s, rel=0.02)


@pytest.mark.parametrize("temperature_c", [0.0, -5.0])
def test_cold_has_no_line(temperature_c):
    assert contact_line_s(temperature_c) == math.inf
    assert dose_per_s(temperature_c) == 0.0


@settings(max_examples=100, deadline=None)
@given(profiles())
def test_dose_is_the_integral_over_the_whole_course(profile):
    edges = [0.0, profile.rise_s, profile.rise_s + profile.plateau_s, profile.duration_s]
    total = 0.0
    for start, end in itertools.pairwise(edges):
        times = np.linspace(start, end, 2001)
        total += np.trapezoid([1 / contact_line_s(profile.temperature_c(t)) for t in times], times)
    assert dose(profile) == pytest.approx(total, rel=1e-4, abs=1e-9)


def test_examples_of_the_budget():
    """20 × 10 s at 46 °C are 1.28 of the line, 10 × 12 s at 49 °C are 4.6, without their ramps."""
    assert 20 * 10 / contact_line_s(46) == pytest.approx(1.28, abs=0.01)
    assert 10 * 12 / contact_line_s(49) == pytest.approx(4.6, abs=0.1)
    assert dose(HeatProfile(49.0, 12.0)) > 12 / contact_line_s(49)


def test_the_course_of_a_stimulus():
    profile = HeatProfile(48.0, 10.0, rise_c_per_s=8.0, return_c_per_s=4.0)
    assert (profile.rise_s, profile.return_s, profile.duration_s) == (2.0, 4.0, 16.0)
    course = [profile.temperature_c(t) for t in (-1.0, 0.0, 1.0, 2.0, 12.0, 14.0, 16.0, 20.0)]
    assert course == [32.0, 32.0, 40.0, 48.0, 48.0, 40.0, 32.0, 32.0]


@settings(max_examples=100, deadline=None)
@given(profiles(), st.lists(st.floats(0.001, 3.0), max_size=30))
def test_a_running_course_is_the_profile_whatever_the_steps(profile, steps):
    course, t_s = Course(profile), 0.0
    for step in steps:
        t_s += step
        assert course.advance_to(t_s) == pytest.approx(profile.temperature_c(t_s), abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(profiles(), st.lists(st.tuples(st.floats(0.01, 2.0), st.floats(20.0, 60.0)), min_size=1, max_size=20))
def test_a_course_is_only_ever_lowered(profile, lowerings):
    course, t_s, most_c = Course(profile), 0.0, profile.target_c
    for step, target_c in lowerings:
        t_s += step
        assert course.advance_to(t_s) <= profile.temperature_c(t_s) + 1e-6
        before_c = course.commanded_c
        course.lower_to(target_c)
        assert course.target_c <= most_c
        assert course.target_c >= profile.baseline_c
        most_c = course.target_c
        assert course.commanded_c == before_c
    assert course.advance_to(t_s + profile.duration_s + 100.0) == profile.baseline_c
    assert course.phase == "ended"


def test_a_lowered_target_is_reached_at_the_return_rate_and_ends_on_time():
    course = Course(HeatProfile(48.0, 10.0, return_c_per_s=4.0))
    course.advance_to(3.0)
    assert course.phase == "plateau"
    course.lower_to(46.0)
    assert course.advance_to(3.25) == pytest.approx(47.0)
    assert course.phase == "plateau"
    assert course.advance_to(12.0) == pytest.approx(46.0)
    assert course.advance_to(13.0) == pytest.approx(42.0)
    assert course.phase == "returning"


def test_lowering_a_profile():
    assert HeatProfile(48.0, 5.0).lowered(1.5).target_c == 46.5
    assert HeatProfile(33.0, 5.0).lowered(5.0).target_c == 32.0
    with pytest.raises(WrongInput, match="lowered by 0 °C or more; asked to lower it by -1 °C"):
        HeatProfile(48.0, 5.0).lowered(-1.0)


@pytest.mark.parametrize(
    "change, match",
    [
        ({"target_c": 50.1}, "target_c is from the baseline, 32 °C, to 50 °C: found 50.1"),
        ({"target_c": 31.0}, "target_c is from the baseline"),
        ({"target_c": math.nan}, "target_c"),
        ({"plateau_s": -1.0}, "plateau_s is from 0 to 600 s: found -1"),
        ({"plateau_s": math.inf}, "plateau_s"),
        ({"baseline_c": 5.0}, "baseline_c is from 10 to 50 °C: found 5"),
        ({"rise_c_per_s": 0.0}, "rise_c_per_s is above 0 and at most 70 °C/s: found 0"),
        ({"return_c_per_s": math.nan}, "return_c_per_s"),
    ],
)
def test_impossible_stimuli_are_refused(change, match):
    with pytest.raises(WrongInput, match=match):
        HeatProfile(**({"target_c": 45.0, "plateau_s": 5.0} | change))


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(WrongInput, match=r"target_c.*plateau_s.*rise_c_per_s"):
        HeatProfile(60.0, -1.0, rise_c_per_s=100.0)


# Both sides of each bound, and the sums in closed form.


@pytest.mark.parametrize(
    "name, inside, outside",
    [
        ("target_c", 50.0, 50.01),
        ("target_c", 32.0, 31.99),
        ("plateau_s", 0.0, -0.01),
        ("plateau_s", 600.0, 600.1),
        ("baseline_c", 10.0, 9.99),
        ("rise_c_per_s", 70.0, 70.1),
        ("rise_c_per_s", 0.1, 0.0),
        ("return_c_per_s", 70.0, 70.1),
        ("return_c_per_s", 0.1, 0.0),
    ],
)
def test_bounds_of_a_stimulus(name, inside, outside):
    given_else = {"target_c": 45.0, "plateau_s": 5.0}
    assert getattr(HeatProfile(**(given_else | {name: inside})), name) == inside
    with pytest.raises(WrongInput, match=f"no such heat stimulus: {name}"):
        HeatProfile(**(given_else | {name: outside}))


def test_baseline_may_be_the_hottest_there_is():
    assert HeatProfile(50.0, 1.0, baseline_c=50.0).duration_s == 1.0
    with pytest.raises(WrongInput, match=r"target_c is from .*; baseline_c is from 10 to 50 °C: found 51"):
        HeatProfile(51.0, 1.0, baseline_c=51.0)


def test_defaults_of_a_stimulus():
    profile = HeatProfile(45.0, 5.0)
    assert (profile.baseline_c, profile.rise_c_per_s, profile.return_c_per_s) == (32.0, 8.0, 8.0)
    with pytest.raises(AttributeError):
        profile.target_c = 50.0
    assert not hasattr(profile, "__dict__")


@pytest.mark.parametrize("by_c", [math.inf, math.nan, -0.1])
def test_what_is_no_lowering(by_c):
    with pytest.raises(WrongInput, match="lowered by 0 °C or more"):
        HeatProfile(48.0, 5.0).lowered(by_c)


def test_lowering_by_little_or_nothing():
    assert HeatProfile(48.0, 5.0).lowered(0.0).target_c == 48.0
    assert HeatProfile(48.0, 5.0).lowered(0.5).target_c == 47.5


def test_dose_of_a_second_is_the_line():
    for celsius in (0.5, 1.0, 32.0, 47.0):
        expected = math.exp(28.3 * math.log(celsius) - 113.4)
        assert dose_per_s(celsius) == pytest.approx(expected, rel=1e-12)
        assert contact_line_s(celsius) == pytest.approx(1 / expected, rel=1e-12)


@pytest.mark.parametrize(
    "from_c, to_c, rate", [(44.0, 48.0, 8.0), (48.0, 44.0, 8.0), (-5.0, 47.0, 2.0), (47.0, -5.0, 2.0)]
)
def test_dose_of_a_ramp_is_its_integral(from_c, to_c, rate):
    times = np.linspace(0.0, abs(to_c - from_c) / rate, 20001)
    course = [dose_per_s(from_c + math.copysign(rate, to_c - from_c) * t) for t in times]
    assert ramp_dose(from_c, to_c, rate) == pytest.approx(np.trapezoid(course, times), rel=1e-5)


def test_dose_of_cold_ramps_is_nothing():
    assert ramp_dose(-5.0, -1.0, 2.0) == ramp_dose(0.0, 0.0, 2.0) == 0.0


def test_sudden_end_is_counted_from_half_a_degree_above_at_10_degrees_a_second():
    assert abort_dose(47.0) == ramp_dose(47.5, 32.0, 10.0)
    assert abort_dose(47.0, 35.0) == ramp_dose(47.5, 35.0, 10.0)


def test_course_begins_at_baseline_and_says_its_phase_at_each_edge():
    course = Course(HeatProfile(48.0, 2.0, rise_c_per_s=8.0, return_c_per_s=4.0))
    assert (course.commanded_c, course.target_c, course.phase) == (32.0, 48.0, "rising")
    said = {}
    for t_s in (0.0, 1.0, 1.875, 2.0, 3.0, 3.875, 4.0, 4.25, 7.75, 8.0, 9.0):
        said[t_s] = (course.advance_to(t_s), course.phase)
    assert said == {
        0.0: (32.0, "rising"),
        1.0: (40.0, "rising"),
        1.875: (47.0, "rising"),
        2.0: (48.0, "plateau"),
        3.0: (48.0, "plateau"),
        3.875: (48.0, "plateau"),
        4.0: (48.0, "returning"),
        4.25: (47.0, "returning"),
        7.75: (33.0, "returning"),
        8.0: (32.0, "ended"),
        9.0: (32.0, "ended"),
    }


def test_course_stands_still_when_time_does_or_goes_back():
    course = Course(HeatProfile(48.0, 2.0))
    assert course.advance_to(1.0) == 40.0
    assert course.advance_to(1.0) == 40.0
    assert course.advance_to(0.5) == 40.0
    assert course.advance_to(1.5) == 44.0
    course.advance_to(5.0)
    before_c = course.commanded_c
    assert course.advance_to(4.5) == before_c == 40.0


def test_one_long_step_goes_through_the_whole_course():
    course = Course(HeatProfile(48.0, 2.0, return_c_per_s=4.0))
    assert course.advance_to(5.0) == 44.0
    assert course.phase == "returning"


def test_course_that_is_almost_there_is_there():
    course = Course(HeatProfile(32.3, 1.0, rise_c_per_s=0.1, return_c_per_s=0.1))
    for n in range(1, 31):
        course.advance_to(n * 0.1)
    assert course.commanded_c == 32.3
    assert course.phase == "plateau"
