"""The dose of the skin in closed form: what may still come, what is added, and to which place."""

import math

import pytest

from neurofb.errors import WrongInput
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile, abort_dose, dose_per_s
from neurofb.stimulation.thermal_dose import MOST_SHARE, DoseTracker, Outlook, SiteLedger

SITE = "left forearm"


@pytest.mark.parametrize(
    "outlook, link_s, alone_s, longest_s",
    [
        (Outlook(SITE, 47.0, 3.0), 0.5, 100.0, 3.5),
        (Outlook(SITE, 47.0, 3.0), math.inf, 100.0, 100.0),
        (Outlook(SITE, 47.0, 3.0), math.inf, 1.0, 3.0),
        (Outlook(SITE, 47.0, 1.5, is_returning=True), 0.5, 100.0, 1.5),
        (Outlook(SITE, 47.0, 1.5, is_returning=True), math.inf, 100.0, 1.5),
    ],
)
def test_heat_that_may_still_come_is_counted_at_its_longest(outlook, link_s, alone_s, longest_s):
    assert outlook.longest_s(link_s, alone_s) == longest_s
    expected = longest_s * dose_per_s(47.0) + abort_dose(47.0)
    assert outlook.most_dose(link_s, alone_s) == pytest.approx(expected, rel=1e-12)


def test_more_than_out_of_use_is_not_counted():
    assert Outlook(SITE, 49.0, 1.0).most_dose(math.inf, 1e6) == MOST_SHARE


@pytest.mark.parametrize("dt_s, celsius", [(-0.1, 40.0), (math.inf, 40.0), (math.nan, 40.0), (0.1, math.nan)])
def test_what_is_no_time_or_temperature_is_not_added(dt_s, celsius):
    ledger = SiteLedger({SITE: 0.25})
    with pytest.raises(WrongInput, match="time and temperature are numbers"):
        ledger.add(SITE, dt_s, celsius)
    assert ledger.as_dict() == {SITE: 0.25}
    assert ledger.add(SITE, 0.0, 47.0) == 0.0


@pytest.mark.parametrize("share", [-0.1, math.inf, math.nan])
def test_what_is_no_share_is_not_taken(share):
    with pytest.raises(WrongInput, match="is a number of 0 or more"):
        SiteLedger({SITE: share})
    assert SiteLedger({SITE: 0}).as_dict() == {SITE: 0.0}


def test_shares_add_up_by_site_under_its_first_spelling():
    ledger = SiteLedger({SITE: 0.25})
    ledger.add_shares({"Left  Forearm": 0.5, "right forearm": 0.125})
    assert ledger.as_dict() == {SITE: 0.75, "right forearm": 0.125}
    assert (ledger.used("LEFT FOREARM"), ledger.used("hand")) == (0.75, 0.0)


def test_nothing_is_charged_before_a_site_is_named():
    ledger = SiteLedger()
    tracker = DoseTracker(Envelope(), ledger)
    tracker.charge(1.0, 47.0)
    assert (ledger.as_dict(), tracker.contact) == ({}, 0.0)
    tracker.site = SITE
    tracker.charge(1.0, 40.0)
    assert tracker.contact == dose_per_s(47.0), "the hotter of two ticks, also across the naming"


@pytest.mark.parametrize("apart_s, is_allowed", [(7.9, False), (8.0, True)])
def test_interval_counts_from_the_last_end_at_that_site(apart_s, is_allowed):
    tracker = DoseTracker(Envelope(), SiteLedger())
    tracker.site = SITE
    tracker.end(100.0)
    profile = HeatProfile(40.0, 1.0)
    assert (tracker.problems(profile, "Left forearm", 100.0 + apart_s) == []) is is_allowed
    assert tracker.problems(profile, "right forearm", 100.0) == []
    assert tracker.problems(profile, SITE) == [], "without a time: at any later one"


@pytest.mark.parametrize("limit", ["single", "budget"])
def test_stimulus_ends_before_its_own_end_passes_a_limit(limit):
    leaving = abort_dose(47.0, 33.0)
    for left, is_too_much in ((1.01 * leaving, False), (0.99 * leaving, True)):
        tracker = DoseTracker(Envelope(), SiteLedger({SITE: 1.0 - left} if limit == "budget" else {}))
        tracker.site = SITE
        tracker.contact = 0.5 - left if limit == "single" else 0.0
        found = tracker.too_much(47.0, 33.0)
        assert bool(found) is is_too_much
        assert ("this contact reaches 0.5" if limit == "single" else "its budget of 1") in (
            found or "this contact reaches 0.5 its budget of 1"
        )


def test_outlook_does_not_change():
    assert Outlook.__dataclass_params__.frozen
    assert "__slots__" in vars(Outlook)
