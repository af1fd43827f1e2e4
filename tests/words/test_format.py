"""Numbers and times as a person reads them."""

import math

import pytest

from neurofb.format import NOTICE, SHORT_NOTICE, clock, number, percent, signed


@pytest.mark.parametrize("write", [number, signed, percent, clock])
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_unknown_value_is_a_dash(write, value):
    assert write(value) == "–"


def test_number_has_its_digits_and_unit():
    assert (number(1), number(2.345, 1, " °C"), number(0)) == ("1.00", "2.3 °C", "0.00")


def test_signed_number_has_a_true_minus_and_no_negative_zero():
    assert (signed(0.4), signed(-0.4), signed(-0.001)) == ("+0.40", "−0.40", "+0.00")


def test_percent():
    assert (percent(0.306), percent(0.306, 1)) == ("31 %", "30.6 %")


@pytest.mark.parametrize(
    "seconds, shown", [(0, "0:00"), (187.4, "3:07"), (59.97, "1:00"), (4500, "75:00"), (-3, "0:00")]
)
def test_clock_in_minutes_and_seconds(seconds, shown):
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    "seconds, shown", [(0, "0:00"), (65, "1:05"), (65.5, "1:05.5"), (59.97, "1:00"), (1200, "20:00")]
)
def test_clock_with_tenths_where_there_are_any(seconds, shown):
    assert clock(seconds, tenths=True) == shown


@pytest.mark.parametrize("seconds, shown", [(3599.6, "1:00:00"), (59, "0:59"), (7384, "2:03:04")])
def test_clock_with_hours(seconds, shown):
    assert clock(seconds, hours=True) == shown


def test_notice_begins_with_the_short_one():
    assert NOTICE.startswith(SHORT_NOTICE)
