"""What a device may say of itself, and what it is then not used for."""

import dataclasses
import math

import pytest

from neurofb.stimulation.driver import Capabilities, Ticket
from neurofb.stimulation.heat_profile import HeatProfile

DEVICE = Capabilities("device", 50.5, 20.0, 10.0, 40.0, lag_s=0.1, on_silence="finishes")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"abort_c_per_s": 0.0}, "how fast an abort cools is above 0 °C/s: found 0"),
        ({"abort_c_per_s": math.nan}, "how fast an abort cools"),
        ({"abort_c_per_s": 0.5}, ""),
        ({"lag_s": 1.0}, "the lag of the probe is below 1 s: found 1 s"),
        ({"lag_s": 0.99}, ""),
        ({"lag_s": 0.0}, ""),
        ({"lag_s": -0.01}, "the lag of the probe is below 1 s"),
        ({"on_silence": "holds"}, "it never returns to baseline by itself"),
        ({"on_silence": "holds", "simulated": True}, ""),
        ({"period_s": 0.3}, ""),
        ({"period_s": 0.31}, "the time between two readings is from 0 to 0.3 s: found 0.31 s"),
        ({}, ""),
    ],
)
def test_device_without_a_way_down_or_too_slow_is_unfit(change, words):
    found = dataclasses.replace(DEVICE, **change).unfit()
    assert len(found) == bool(words)
    assert words in "".join(found)


@pytest.mark.parametrize("name, most", [("rise_c_per_s", 20.0), ("return_c_per_s", 10.0)])
def test_ramp_may_be_as_steep_as_the_device_follows(name, most):
    profile = HeatProfile(45.0, 1.0)
    assert DEVICE.cannot(dataclasses.replace(profile, **{name: most})) == []
    (found,) = DEVICE.cannot(dataclasses.replace(profile, **{name: most + 0.5}))
    assert found == f"{name} of {most + 0.5:g} is asked; the device follows {most:g} at most"


def test_device_lowers_and_is_real_unless_it_says_otherwise():
    assert (DEVICE.lowers, DEVICE.simulated, DEVICE.outlasts_s) == (True, False, 0.0)
    silent = Capabilities("device", 50.5, 20.0, 10.0, 40.0, lag_s=0.1)
    assert (silent.on_silence, silent.outlasts_s) == ("holds", math.inf)


def test_numbers_at_a_limit_of_the_device_are_taken():
    """A number that is a step, or as long as the device holds, is no less and no more than it can."""
    profile = HeatProfile(45.0, 2.0, 32.0, 0.5, 0.5)
    device = dataclasses.replace(DEVICE, step_c_per_s=0.5)
    assert device.cannot(profile) == []
    nearly = dataclasses.replace(profile, rise_c_per_s=0.5 * (1.0 - 0.9e-6))
    assert device.cannot(nearly) == [], "a millionth of a step is none"
    below = dataclasses.replace(profile, rise_c_per_s=0.5 * (1.0 - 2e-6))
    assert len(device.cannot(below)) == 1
    at_most = dataclasses.replace(DEVICE, longest_s=profile.rise_s + profile.plateau_s)
    assert at_most.cannot(profile) == []
    (found,) = dataclasses.replace(DEVICE, longest_s=20.0).cannot(profile)
    assert "a plateau of at most 0 s would be right" in found
    assert DEVICE.onset_s == DEVICE.confirm_s == DEVICE.period_s == DEVICE.step_s == DEVICE.step_c == 0.0
    assert DEVICE.step_c_per_s == 0.0


ODD = HeatProfile(45.27, 2.38, 31.96, 3.14, 2.72)


@pytest.mark.parametrize(
    "steps, expected",
    [
        ({}, ODD),
        ({"step_c": 0.1}, dataclasses.replace(ODD, target_c=45.2, baseline_c=31.9)),
        ({"step_c_per_s": 0.5}, dataclasses.replace(ODD, rise_c_per_s=3.0, return_c_per_s=2.5)),
        ({"step_s": 0.25}, dataclasses.replace(ODD, plateau_s=2.25)),
    ],
)
def test_only_numbers_with_a_step_are_rounded(steps, expected):
    assert dataclasses.replace(DEVICE, **steps).rounded(ODD) == expected


def test_profile_of_a_device_without_steps_is_the_same_object():
    assert DEVICE.rounded(ODD) is ODD


def test_rounding_leaves_no_dust():
    found = dataclasses.replace(DEVICE, step_c=0.1).rounded(dataclasses.replace(ODD, target_c=44.3))
    assert found.target_c == 44.3
    thirds = dataclasses.replace(DEVICE, step_s=1 / 3).rounded(dataclasses.replace(ODD, plateau_s=2.0 / 3))
    assert thirds.plateau_s == 0.666666667


@pytest.mark.parametrize(
    "from_c, baseline_c, takes_s", [(45.0, 32.0, 0.3 + 0.1 + 1.0), (32.5, 32.0, 1.1), (20.0, 32.0, 1.1)]
)
def test_way_back_is_counted_from_a_degree_above_baseline(from_c, baseline_c, takes_s):
    assert DEVICE.longest_return_s(from_c, baseline_c) == pytest.approx(takes_s)


@pytest.mark.parametrize("fixed", [DEVICE, Ticket(1, HeatProfile(45.0, 1.0))])
def test_what_was_said_does_not_change(fixed):
    name = dataclasses.fields(fixed)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(fixed, name, 2)
    assert not hasattr(fixed, "__dict__")
