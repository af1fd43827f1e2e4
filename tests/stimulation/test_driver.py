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


@pytest.mark.parametrize("fixed", [DEVICE, Ticket(1, HeatProfile(45.0, 1.0))])
def test_what_was_said_does_not_change(fixed):
    name = dataclasses.fields(fixed)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(fixed, name, 2)
    assert not hasattr(fixed, "__dict__")
