"""A computer that sleeps, and a wall clock that is set: heat ends, and the skin is charged with the sleep."""

import math
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stimulation_parts import SITE, share_per_s

from neurofb import clock as clocks
from neurofb.clock import ClockChange, ClockWatch, ManualClock, readings_of, system_readings
from neurofb.errors import UnsafeHeat
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.drivers import simulated
from neurofb.stimulation.drivers.simulated import SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile, dose_per_s


class DeviceOfItsOwn(SimulatedThermode):
    """A device whose time goes on while the computer sleeps; its readings have the computer's time."""

    def __init__(self, computer):
        self.own_clock, self.computer = ManualClock(), computer
        super().__init__(self.own_clock)

    def read(self):
        return super().read()._replace(time_s=self.computer.now_s())


class Bedside:
    """A guard on a computer that may sleep, a device that does not, and the true dose of the probe."""

    def __init__(self):
        self.clock = ManualClock(100.0)
        self.device = DeviceOfItsOwn(self.clock)
        self.guard = Guard(self.device, Envelope(), self.clock, required=NOTHING)
        self.guard.connect()
        self.guard.place(SITE)
        self.truth = 0.0

    def fire(self, profile):
        self.guard.fire(self.guard.arm(profile, SITE), self.clock.now_s())

    def run(self, for_s):
        for _ in range(round(for_s / 0.01)):
            self.clock.advance(0.01)
            self._pass(0.01)
            self.guard.step()

    def sleep(self, for_s):
        self.clock.sleep_computer(for_s)
        n = math.ceil(for_s / 0.05)
        for _ in range(n):
            self._pass(for_s / n)

    def _pass(self, dt_s):
        self.device.own_clock.advance(dt_s)
        self.truth += dt_s * share_per_s(self.device.probe_c) if self.device.probe_c > 33.0 else 0.0

    def said(self, kind):
        return [event for event in self.guard.pop_events() if event.kind == kind]


def test_computer_that_slept_comes_back_to_baseline_and_a_charged_skin():
    with mock.patch.object(simulated, "LINK_S", math.inf):
        bed = Bedside()
        bed.fire(HeatProfile(45.0, 5.0))
        bed.run(4.0)
        assert bed.device.probe_c == pytest.approx(45.0, abs=0.1)
        before = bed.guard.used()[SITE]
        bed.sleep(60.0)
        bed.run(2.0)
    assert "the computer slept for 60.0 s" in bed.said("heat_fault")[0].message
    assert bed.guard.state == "aborted"
    assert bed.device.probe_c < 33.0
    assert bed.guard.used()[SITE] - before >= 60.0 * share_per_s(45.0)
    with pytest.raises(UnsafeHeat, match="the schedule must reset it"):
        bed.guard.arm(HeatProfile(45.0, 1.0), "another")


def test_sleep_at_rest_forbids_heat_until_reset():
    bed = Bedside()
    bed.run(0.1)
    bed.sleep(3600.0)
    bed.run(0.5)
    with pytest.raises(UnsafeHeat, match="the schedule must reset it"):
        bed.guard.arm(HeatProfile(45.0, 1.0), SITE)
    bed.guard.reset()
    bed.guard.arm(HeatProfile(45.0, 1.0), SITE)


def test_armed_stimulus_does_not_fire_after_a_sleep():
    bed = Bedside()
    bed.guard.fire(bed.guard.arm(HeatProfile(45.0, 1.0), SITE), bed.clock.now_s() + 0.5)
    bed.run(0.1)
    bed.sleep(10.0)
    bed.run(3.0)
    assert bed.said("heat_fired") == []
    assert bed.device.probe_c < 33.0


@settings(max_examples=40, deadline=None)
@given(
    target_c=st.floats(40.0, 47.0),
    plateau_s=st.floats(0.0, 4.0),
    at_s=st.floats(0.0, 6.0),
    slept_s=st.floats(0.11, 20.0),
    link_s=st.sampled_from([0.5, math.inf]),
)
def test_account_counts_a_sleep_at_any_time(target_c, plateau_s, at_s, slept_s, link_s):
    with mock.patch.object(simulated, "LINK_S", link_s):
        bed = Bedside()
        bed.fire(HeatProfile(target_c, plateau_s))
        bed.run(at_s)
        bed.sleep(slept_s)
        bed.run(2.0)
        assert not bed.guard.is_hot
        assert bed.guard.used()[SITE] >= bed.truth


@pytest.mark.parametrize("step_s", [-7200.0, -1.0, 1.0, 3600.0])
def test_set_wall_clock_ends_no_heat(step_s):
    bed = Bedside()
    bed.fire(HeatProfile(45.0, 5.0))
    bed.run(2.0)
    bed.clock.set_wall_clock(step_s)
    bed.run(0.5)
    assert bed.said("heat_fault") == []


def test_clock_watch_tells_sleep_and_steps_apart():
    clock = ManualClock(5.0)
    watch = ClockWatch(readings_of(clock))
    clock.advance(100.0)
    assert watch.check() == ClockChange(0.0, 0.0)
    clock.sleep_computer(30.0)
    assert watch.check() == ClockChange(30.0, 0.0)
    clock.set_wall_clock(-30.0)
    assert watch.check() == ClockChange(0.0, -30.0)
    clock.sleep_computer(2.0)
    clock.set_wall_clock(5.0)
    assert watch.check() == ClockChange(2.0, 5.0)
    clock.set_wall_clock(0.05)
    assert watch.check() == ClockChange()


def test_clocks_of_this_computer_agree_while_it_is_awake():
    watch = ClockWatch(system_readings)
    for _ in range(1000):
        assert watch.check().slept_s == 0.0


def test_clocks_that_are_read_far_apart_are_read_again(monkeypatch):
    """The thread was held up between two clocks: that is no sleep."""
    awake = iter([1.0, 1.3, 1.3, 1.3, 1.3])
    monkeypatch.setattr(clocks, "_awake_s", lambda: next(awake))
    monkeypatch.setattr(clocks, "_total_s", lambda: 1.3)
    assert system_readings()[:2] == (1.3, 1.3)


@pytest.mark.parametrize("slept_s, charged_s", [(300.0, 7.0), (2.0, 2.0)])
def test_sleep_is_charged_as_long_as_the_device_can_have_gone_on(slept_s, charged_s):
    """What is left of the stimulus and the device's own time without a word, or the sleep if that was shorter."""
    profile = HeatProfile(46.0, 8.0)
    bed = Bedside()
    bed.fire(profile)
    bed.run(profile.duration_s - 6.5)
    before = bed.guard.used()[SITE]
    bed.sleep(slept_s)
    bed.run(0.02)
    charged = bed.guard.used()[SITE] - before
    assert charged_s * dose_per_s(45.9) <= charged <= (charged_s + 0.1) * dose_per_s(46.2)
