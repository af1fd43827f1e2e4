"""The model of the probe alone: which readings count, how old, how far away, and for how long."""

import math

import pytest

from neurofb.stimulation.driver import Reading
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.probe_model import (
    AHEAD_S,
    AT_BASELINE_C,
    AT_ONCE,
    CAP_TOLERANCE_C,
    COLDEST_C,
    FRESH_S,
    HOTTEST_C,
    ProbeModel,
)

NOW_S = 100.0


def model(measured_c=None, expected_c=32.0, envelope=None):
    made = ProbeModel(envelope or Envelope(), 0.1, expected_c, NOW_S)
    if measured_c is not None:
        made.add_reading(Reading(NOW_S, expected_c, measured_c, "baseline"), NOW_S)
    return made


def test_before_the_first_reading_nothing_is_measured():
    fresh = model()
    assert math.isnan(fresh.measured_c)
    fresh.add_reading(None, NOW_S)
    assert math.isnan(fresh.measured_c)
    assert fresh.worst_c == 32.0
    assert not fresh.is_at(32.0, NOW_S - 1.0)
    assert fresh.age_s(NOW_S + 0.5) == 0.5
    assert fresh.not_at_rest(32.0, NOW_S) == [
        "the probe is not known to be at its baseline of 32 °C: it read nan °C 0.00 s ago"
    ]


@pytest.mark.parametrize(
    "celsius, is_used",
    [
        (COLDEST_C, True),
        (COLDEST_C - 0.01, False),
        (HOTTEST_C, True),
        (HOTTEST_C + 0.01, False),
        (math.nan, False),
    ],
)
def test_reading_is_used_where_a_thermode_can_read_it(celsius, is_used):
    probe = model(33.0)
    probe.add_reading(Reading(NOW_S + 0.25, 32.0, celsius, "baseline"), NOW_S + 0.25)
    assert (probe.measured_c, probe.age_s(NOW_S + 0.25)) == ((celsius, 0.0) if is_used else (33.0, 0.25))


@pytest.mark.parametrize(
    "ahead_s, is_used", [(AHEAD_S - 0.01, True), (AHEAD_S + 0.01, False), (0.0, True), (-0.01, False)]
)
def test_reading_is_not_far_ahead_and_not_from_before_the_last(ahead_s, is_used):
    probe = model(33.0)
    probe.add_reading(Reading(NOW_S + ahead_s, 32.0, 34.0, "baseline"), NOW_S)
    assert probe.measured_c == (34.0 if is_used else 33.0)


def test_reading_counts_until_it_is_stale():
    probe = model(33.0, envelope=Envelope(stale_s=0.5))
    probe.add_reading(None, NOW_S + 0.5)
    assert probe.measured_c == 33.0
    assert probe.cause(True, NOW_S + 0.5) == ""
    probe.add_reading(None, NOW_S + 0.625)
    assert math.isnan(probe.measured_c)
    assert probe.worst_c == 32.0
    for running in (True, False):
        assert probe.cause(running, NOW_S + 0.625).startswith(
            "the last reading is 0.62 s old; more than 0.5 s"
        )


@pytest.mark.parametrize("measured_c, expected_c", [(40.0, 35.0), (35.0, 40.0)])
def test_skin_is_charged_with_the_hotter(measured_c, expected_c):
    assert model(measured_c, expected_c).worst_c == 40.0


@pytest.mark.parametrize("baseline_c", [30.0, 34.0])
def test_at_baseline_needs_a_reading_since_then_that_is_no_hotter(baseline_c):
    probe = model(baseline_c + AT_BASELINE_C)
    assert probe.is_at(baseline_c, NOW_S - 0.01)
    assert not probe.is_at(baseline_c, NOW_S)
    assert not probe.is_at(baseline_c - 0.01, NOW_S - 0.01)
    assert probe.is_at(baseline_c + 5.0, NOW_S - 0.01), "cooler is no heat"


@pytest.mark.parametrize(
    "off_c, age_s, is_rest",
    [
        (AT_BASELINE_C, 0.0, True),
        (-AT_BASELINE_C, 0.0, True),
        (AT_BASELINE_C + 0.01, 0.0, False),
        (-AT_BASELINE_C - 0.01, 0.0, False),
        (0.0, FRESH_S - 0.01, True),
        (0.0, FRESH_S + 0.01, False),
    ],
)
def test_stimulus_starts_from_a_fresh_reading_near_its_baseline(off_c, age_s, is_rest):
    probe = model(33.0 + off_c)
    found = probe.not_at_rest(33.0, NOW_S + age_s)
    assert (found == []) is is_rest
    if not is_rest:
        read = f"baseline of 33 °C: it read {33.0 + off_c:.1f} °C {age_s:.2f} s ago"
        assert found[0].endswith(read)


@pytest.mark.parametrize("running", [True, False])
def test_above_the_cap_is_a_cause_at_once(running):
    envelope = Envelope(cap_c=46.0)
    for over_c, is_cause in ((CAP_TOLERANCE_C - 0.01, False), (CAP_TOLERANCE_C + 0.01, True)):
        cause = model(46.0 + over_c, 46.0, envelope).cause(running, NOW_S)
        assert cause.endswith("above the cap of 46 °C") is is_cause


def test_heat_while_nothing_is_on_is_a_cause():
    limits = Envelope(baseline_high_c=34.0, deviation_c=0.5)
    limit_c = 34.0 + AT_ONCE * 0.5
    assert model(limit_c, 32.0, limits).cause(False, NOW_S) == ""
    assert "while no stimulus is on" in model(limit_c + 0.01, 32.0, limits).cause(False, NOW_S)
    assert "while no stimulus is on" not in model(limit_c + 0.01, 34.9, limits).cause(True, NOW_S)


def test_twice_as_far_and_hotter_is_not_waited_for():
    limits = Envelope(deviation_c=0.5, deviation_s=1.0)
    assert model(45.0 + AT_ONCE * 0.5, 45.0, limits).cause(True, NOW_S) == ""
    cause = model(45.0 + AT_ONCE * 0.5 + 0.01, 45.0, limits).cause(True, NOW_S)
    assert cause == (
        "the probe reads 46.01 °C where 45.00 °C would be right: more than 0.5 °C apart, and hotter"
    )
    assert model(40.0, 45.0, limits).cause(True, NOW_S) == "", "cooler is waited for"


@pytest.mark.parametrize("side", [-1, 1])
def test_apart_for_so_long_is_a_cause_and_a_moment_together_begins_anew(side):
    probe = ProbeModel(Envelope(deviation_c=0.5, deviation_s=0.5), 0.1, 45.0, NOW_S)

    def at(t_s, off_c):
        probe.add_reading(Reading(NOW_S + t_s, 45.0, 45.0 + side * off_c, "plateau"), NOW_S + t_s)
        return probe.cause(True, NOW_S + t_s)

    assert at(0.25, 0.75) == at(0.5, 0.75) == ""
    assert at(0.625, 0.5) == "", "exactly half a degree is near enough"
    assert at(0.75, 0.75) == at(1.0, 0.75) == ""
    assert at(1.25, 0.75).endswith("more than 0.5 °C apart for 0.50 s")
    assert "while no stimulus is on" in probe.cause(False, NOW_S + 1.375)
    assert at(1.4375, 0.75) == "", "at rest it begins anew"
    assert at(2.0, 0.75) != ""
    probe.restart()
    assert at(2.0625, 0.75) == ""


# Where a probe is whose onset is not known, or that was told to return.


def waiting(lag_s=0.25, early_c=40.0, late_c=32.0, dt_s=0.125):
    """Give a model that expects a probe between a course that began at once and one that begins as late as it may."""
    model = ProbeModel(Envelope(), lag_s, 32.0, 100.0)
    model.follow(early_c, dt_s)
    model.follow_latest(late_c, dt_s)
    return model


def test_late_course_follows_its_own_command_with_the_lag():
    model = waiting(early_c=32.0, late_c=36.0)
    share = 1.0 - math.exp(-0.125 / 0.25)
    assert model._latest_c == pytest.approx(32.0 + 4.0 * share)
    model.follow_latest(40.0, 0.25)
    first_c = 32.0 + 4.0 * share
    assert model._latest_c == pytest.approx(first_c + (40.0 - first_c) * (1.0 - math.exp(-1.0)))
    assert waiting(lag_s=0.0, late_c=36.0)._latest_c == 36.0
    assert waiting(lag_s=-1.0, late_c=36.0)._latest_c == 36.0


def test_late_course_starts_from_where_the_early_one_is():
    model = ProbeModel(Envelope(), 0.25, 34.0, 100.0)
    model.follow_latest(34.0, 0.125)
    assert model._latest_c == 34.0


@pytest.mark.parametrize("measured_c, expected_c", [(33.0, 33.0), (31.0, 32.0), (60.0, 40.0), (None, 40.0)])
@pytest.mark.parametrize("turned", [False, True])
def test_known_onset_puts_the_probe_where_it_is_measured_between_both_courses(measured_c, expected_c, turned):
    early_c, late_c = (32.0, 40.0) if turned else (40.0, 32.0)
    model = waiting(lag_s=0.0, early_c=early_c, late_c=late_c)
    assert model._bounds_c() == (32.0, 40.0)
    if measured_c is not None:
        model.add_reading(Reading(100.1, 32.0, measured_c, ""), 100.1)
    model.know_onset()
    assert model.expected_c == (early_c if measured_c is None else expected_c)
    assert model._bounds_c() == (model.expected_c, model.expected_c), "one course is left"
    model.know_onset()
    assert model.expected_c == (early_c if measured_c is None else expected_c)


def test_new_stimulus_forgets_the_late_course_of_the_one_before():
    model = waiting(lag_s=0.0)
    model.restart()
    assert model._bounds_c() == (40.0, 40.0)


def test_worst_is_the_hotter_course_or_what_is_measured():
    model = waiting(lag_s=0.0)
    assert model.worst_c == 40.0
    model.add_reading(Reading(100.1, 32.0, 41.0, ""), 100.1)
    assert model.worst_c == 41.0
    model.add_reading(Reading(100.2, 32.0, 39.0, ""), 100.2)
    assert model.worst_c == 40.0


@pytest.mark.parametrize(
    "from_c, dt_s, to_c", [(45.0, 0.5, 40.0), (45.0, 2.0, 32.0), (32.0, 1.0, 32.0), (31.0, 1.0, 31.0)]
)
def test_confirmed_return_cools_to_baseline_and_no_further(from_c, dt_s, to_c):
    model = ProbeModel(Envelope(), 0.0, from_c, 100.0)
    model.cool(32.0, 10.0, dt_s)
    assert model.expected_c == to_c


@pytest.mark.parametrize(
    "late_c, measured_c, is_right",
    [(None, 41.5, False), (44.0, 44.9, True), (44.0, 46.5, False), (32.0, 41.9, True)],
)
def test_reading_is_right_between_both_courses_and_what_is_commanded(late_c, measured_c, is_right):
    model = ProbeModel(Envelope(), 0.0, 39.0, 100.0)
    if late_c is not None:
        model.follow_latest(late_c, 0.01)
        model.follow(40.0 if late_c < 40.0 else 39.0, 0.01)
    model.add_reading(Reading(100.1, 39.0, measured_c, ""), 100.1)
    assert (model.cause(True, 100.1) == "") is is_right


def test_command_that_the_probe_does_not_follow_yet_is_right_as_well():
    for lag_s, commanded_c in ((10.0, 45.0), (10.0, 33.0)):
        model = ProbeModel(Envelope(), lag_s, 39.0, 100.0)
        for step in range(1, 200):
            model.follow(commanded_c, 0.01)
            now_s = 100.0 + step / 100
            model.add_reading(Reading(now_s, commanded_c, commanded_c, ""), now_s)
            assert model.cause(True, now_s) == ""


def test_early_course_follows_its_command_with_the_lag():
    model = ProbeModel(Envelope(), 0.25, 32.0, 100.0)
    model.follow(40.0, 0.125)
    assert model.expected_c == pytest.approx(32.0 + 8.0 * (1.0 - math.exp(-0.5)))
    for lag_s in (0.0, -1.0):
        at_once = ProbeModel(Envelope(), lag_s, 32.0, 100.0)
        at_once.follow(40.0, 0.125)
        assert at_once.expected_c == 40.0
    slow = ProbeModel(Envelope(), 2.0, 32.0, 100.0)
    slow.follow(40.0, 1.0)
    assert slow.expected_c == pytest.approx(32.0 + 8.0 * (1.0 - math.exp(-0.5)))


def seldom_read(courses, taken_s, measured_c):
    """Give a model read every 0.25 s, its course in steps of an eighth of a second, and the cause it finds last."""
    model, cause = ProbeModel(Envelope(), 0.0, courses[0], 100.0, 0.25), ""
    for step, commanded_c in enumerate(courses):
        now_s = 100.0 + step / 8
        model.follow(commanded_c, 0.125)
        is_last = step == len(courses) - 1
        if step == 0 and not (is_last or taken_s == 0.0):
            model.add_reading(Reading(now_s, 0.0, commanded_c, ""), now_s)
        elif is_last:
            model.add_reading(Reading(100.0 + taken_s, 0.0, measured_c, ""), now_s)
        cause = model.cause(True, now_s)
    return model, cause


FALLING, RISING = (40.0, 38.0, 36.0, 34.0, 32.0), (32.0, 34.0, 36.0, 38.0, 40.0)


@pytest.mark.parametrize(
    "courses, taken_s, measured_c, is_apart",
    [
        (FALLING, 0.25, 38.0, False),  # 2 °C above what was right when it was taken
        (FALLING, 0.25, 38.25, True),
        (FALLING, 0.0, 38.0, False),  # older than a period: held against the period before now
        (FALLING, 0.0, 38.25, True),
        (FALLING, 0.5, 34.25, True),
        (FALLING[:4], 0.4375, 36.25, True),  # ahead of its time: held against now
        (FALLING[:4], 0.4375, 36.0, False),
    ],
)
def test_reading_is_held_against_what_was_right_since_it_was_taken(courses, taken_s, measured_c, is_apart):
    _, cause = seldom_read(courses, taken_s, measured_c)
    assert ("and hotter" in cause) is is_apart


@pytest.mark.parametrize("measured_c, is_apart", [(35.0, False), (34.75, True)])
def test_cool_reading_is_held_against_the_coolest_since_it_was_taken(measured_c, is_apart):
    model, cause = seldom_read(RISING, 0.25, measured_c)
    assert cause == ""
    assert (model._apart_s is not None) is is_apart
