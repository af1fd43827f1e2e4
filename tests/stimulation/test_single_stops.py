"""Each single thing that ends, lowers or counts heat, with nothing else beside it that could do the same."""

import math

import pytest
from stimulation_parts import SITE, Bench, share_per_s

from neurofb.errors import SafetyStop, StimulatorMissing, UnsafeHeat
from neurofb.stimulation.conditions import NOTHING
from neurofb.stimulation.driver import Capabilities, Reading
from neurofb.stimulation.drivers.simulated import COOL_C_PER_S, SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile, dose, dose_per_s, ramp_dose
from neurofb.stimulation.probe_model import ProbeModel
from neurofb.stimulation.thermal_dose import DoseTracker, SiteLedger

PROFILE = HeatProfile(47.0, 2.0)


class CountedThermode(SimulatedThermode):
    """Counts what it is asked, and can stop answering questions while it still hears commands."""

    def __init__(self, *how):
        super().__init__(*how)
        self.n_aborts = self.n_closed = 0
        self.is_mute = False

    def abort(self):
        self.n_aborts += 1
        super().abort()

    def close(self):
        self.n_closed += 1
        super().close()

    def read(self):
        if self.is_mute:
            raise StimulatorMissing("read: no answer")
        return super().read()


def counted(thermode=CountedThermode, **how):
    bench = Bench(**how)
    bench.thermode = thermode(bench.clock)
    bench.guard = Guard(bench.thermode, bench.envelope, bench.clock, SiteLedger({SITE: bench.used}), NOTHING)
    bench.guard.connect()
    bench.guard.place(SITE)
    bench.guard.pop_events()
    return bench


# Lowering.


def test_lowered_armed_stimulus_is_charged_to_its_site():
    bench = Bench()
    ticket = bench.guard.arm(PROFILE, SITE)
    bench.guard.lower(1.0)
    bench.guard.fire(ticket, bench.clock.now_s() + 0.05)
    bench.run_to_rest()
    assert bench.guard.used() == {SITE: pytest.approx(dose(PROFILE.lowered(1.0)), rel=0.05)}
    assert bench.site_share <= bench.guard.used()[SITE]
    assert bench.said("heat_fired")[0].details["site"] == SITE
    assert bench.said("heat_ended")[0].details["dose"] >= bench.contacts[0]


def test_lowered_armed_stimulus_keeps_interval_and_limits():
    bench = Bench(used=0.9, envelope=Envelope(single=0.05))
    plateau_s = bench.envelope.longest_plateau_s(PROFILE) - 0.01
    ticket = bench.guard.arm(HeatProfile(47.0, plateau_s), SITE)
    bench.guard.lower(0.1)
    bench.guard.fire(ticket, bench.clock.now_s() + 0.05)
    bench.run_to_rest()
    with pytest.raises(UnsafeHeat, match="'left forearm' is refused: .* has had 0.9[3-5] of its budget"):
        bench.guard.arm(HeatProfile(49.0, 1.0), SITE)
    ticket = bench.guard.arm(HeatProfile(40.0, 0.1), SITE)
    with pytest.raises(UnsafeHeat, match="at least 8 s must lie between"):
        bench.guard.fire(ticket, bench.clock.now_s() + 1.0)


# Baselines other than the one a device starts from.


@pytest.mark.parametrize("baseline_c", [30.0, 31.0, 33.5, 35.0])
def test_stimulus_from_any_baseline_ends_there_without_fault(baseline_c):
    bench = Bench()
    bench.fire(HeatProfile(46.0, 1.0, baseline_c))
    bench.run(2.0)
    while not bench.said("heat_ended"):
        bench.step()
    assert bench.thermode.probe_c <= baseline_c + 1.1
    assert bench.kinds() == ["heat_armed", "heat_fired", "heat_plateau", "heat_returning", "heat_ended"]
    bench.run(0.1)
    assert bench.guard.readings()[-1].target_c == baseline_c
    assert bench.guard.state == "baseline"


@pytest.mark.parametrize("baseline_c", [30.0, 31.0, 33.5, 35.0])
@pytest.mark.parametrize("what", ["end", "abort"])
def test_return_is_over_at_that_baseline_and_not_before(baseline_c, what):
    bench = Bench()
    bench.fire(HeatProfile(47.0, 5.0, baseline_c))
    bench.run(4.0)
    getattr(bench.guard, what)("stop")
    while bench.guard.is_hot:
        assert "heat_fault" not in bench.kinds()
        bench.step()
    assert baseline_c - 0.1 <= bench.thermode.probe_c <= baseline_c + 1.1
    assert "heat_fault" not in bench.kinds()


# The account.


def test_account_charges_the_hotter_of_two_ticks():
    ledger = SiteLedger()
    tracker = DoseTracker(Envelope(), ledger)
    tracker.site = SITE
    for celsius in (32.0, 47.0, 40.0, 40.0):
        tracker.charge(0.5, celsius)
    expected = 0.5 * (dose_per_s(32.0) + 2 * dose_per_s(47.0) + dose_per_s(40.0))
    assert ledger.used(SITE) == pytest.approx(expected, rel=1e-12)
    assert tracker.contact == pytest.approx(expected, rel=1e-12)


def test_expected_temperature_falls_no_faster_than_the_device_cools():
    model = ProbeModel(Envelope(), 0.1, 47.0, 0.0)
    model.cool(32.0, 40.0, 0.125)
    assert model.expected_c == 42.0
    model.cool(32.0, 40.0, 1.0)
    assert model.expected_c == 32.0
    model.cool(33.0, 40.0, 1.0)
    assert model.expected_c == 32.0, "cooling never raises"


def test_return_without_readings_is_charged_as_the_device_cools():
    bench = counted()
    bench.fire(HeatProfile(48.0, 5.0))
    bench.run(4.0)
    before = bench.guard.used()[SITE]
    bench.thermode.is_mute = True
    bench.guard.abort("stop")
    bench.run(1.5)
    charged = bench.guard.used()[SITE] - before
    # The probe is believed to be at its last reading for a second: more than the truth, never less.
    assert charged >= ramp_dose(48.0, 32.0, COOL_C_PER_S)
    assert bench.site_share <= bench.guard.used()[SITE]


def test_return_that_nobody_saw_begin_is_charged_as_the_device_cools():
    """No usable reading for a second, then an abort: what is left is the model alone."""
    bench = counted()
    bench.fire(HeatProfile(48.0, 10.0))
    bench.run(3.5)
    model = bench.guard._probe
    model.measured_c = model._last_c = math.nan
    bench.thermode.is_mute = True
    before = bench.guard.used()[SITE]
    bench.guard.abort("stop")
    bench.run(0.5)
    charged = bench.guard.used()[SITE] - before
    assert charged == pytest.approx(ramp_dose(48.0, 32.0, COOL_C_PER_S), rel=0.3)
    assert charged >= ramp_dose(48.0, 32.0, COOL_C_PER_S)


# The end.


def test_end_without_arrival_is_said_once_and_latches():
    """After the participant's button the probe stays hot: nothing else would forbid the next stimulus."""
    bench = Bench(("wrong_readback@3+3:6",))
    bench.fire(PROFILE)
    bench.run(2.98)
    bench.guard.end("button")
    bench.run(2.5)
    assert bench.guard.state == "fault"
    assert bench.kinds().count("heat_fault") == 1
    assert "take the probe off the skin" in bench.said("heat_fault")[0].message
    bench.run(3.0)
    assert not bench.guard.is_hot
    assert bench.guard.state == "aborted"
    with pytest.raises(UnsafeHeat, match="the schedule must reset it at baseline first"):
        bench.guard.arm(PROFILE, "right forearm")
    bench.guard.reset()
    bench.guard.place("right forearm")
    bench.guard.arm(PROFILE, "right forearm")


def test_probe_back_in_time_latches_nothing_after_end():
    bench = counted()
    bench.fire(PROFILE)
    bench.run(3.0)
    bench.guard.end("button")
    bench.run(3.0)
    assert "heat_fault" not in bench.kinds()
    bench.guard.place("right forearm")
    bench.guard.arm(PROFILE, "right forearm")


def test_closing_closes_the_device_once():
    bench = counted()
    bench.fire(HeatProfile(47.0, 5.0))
    bench.run(3.0)
    bench.guard.close()
    assert bench.thermode.commanded_c == 32.0
    assert (bench.thermode.n_closed, bench.guard.state, bench.guard.is_hot) == (1, "off", False)
    bench.guard.close()
    assert bench.thermode.n_closed == 1
    bench.run(1.0)
    assert bench.thermode.probe_c <= 33.0


def test_end_does_nothing_where_nothing_is_on():
    bench = counted()
    bench.run(0.1)
    n_aborts = bench.thermode.n_aborts
    bench.guard.end("button")
    assert bench.thermode.n_aborts == n_aborts
    assert (bench.guard.state, bench.guard.is_hot) == ("baseline", False)
    bench.guard.arm(PROFILE, SITE)


@pytest.mark.parametrize("what", ["end", "abort"])
def test_readings_of_a_return_say_that_baseline_is_commanded(what):
    bench = Bench()
    bench.fire(HeatProfile(47.0, 5.0))
    bench.run(4.0)
    assert bench.guard.readings()[-1].target_c == 47.0
    getattr(bench.guard, what)("stop")
    bench.run(0.3)
    readings = bench.guard.readings()
    assert len(readings) >= 10
    assert [reading.target_c for reading in readings] == [32.0] * len(readings)


def test_abort_alone_latches_a_device_at_baseline():
    bench = Bench()
    bench.run(0.1)
    bench.guard.abort("stop")
    bench.run(0.1)
    with pytest.raises(UnsafeHeat, match="the schedule must reset it at baseline first"):
        bench.guard.arm(PROFILE, SITE)


# The model of the probe.


def test_probe_without_lag_is_where_it_is_commanded():
    model = ProbeModel(Envelope(), 0.0, 32.0, 0.0)
    model.follow(40.0, 0.002)
    assert model.expected_c == 40.0
    model.follow(38.0, 0.0)
    assert model.expected_c == 38.0


def test_device_without_lag_gives_a_whole_stimulus():
    class Direct(SimulatedThermode):
        def capabilities(self):
            return Capabilities("direct", 50.5, 70.0, 40.0, 40.0, lag_s=0.0, simulated=True)

        def read(self):
            reading = super().read()
            return reading._replace(measured_c=self.commanded_c)

    bench = counted(Direct)
    bench.fire(PROFILE)
    bench.run_to_rest()
    assert bench.kinds() == ["heat_armed", "heat_fired", "heat_plateau", "heat_returning", "heat_ended"]


def test_probe_approaches_the_command_with_its_lag():
    model = ProbeModel(Envelope(), 0.1, 32.0, 0.0)
    model.follow(42.0, 0.1)
    assert model.expected_c == pytest.approx(32.0 + 10.0 * (1 - math.exp(-1.0)), rel=1e-12)


def test_observer_and_guard_have_the_same_line():
    """The test's own account and the guard's are one formula; else the comparisons above mean nothing."""
    for celsius in (32.0, 45.0, 50.0):
        assert share_per_s(celsius) == pytest.approx(dose_per_s(celsius), rel=1e-12)


def test_reset_needs_a_reading_at_baseline_made_since_the_abort():
    bench = counted()
    bench.fire(HeatProfile(47.0, 5.0))
    bench.run(4.0)
    bench.thermode.is_mute = True
    bench.guard.abort("stop")
    bench.run(3.0)
    assert bench.thermode.probe_c == pytest.approx(32.0)
    with pytest.raises(SafetyStop, match="heat goes on only from baseline"):
        bench.guard.reset()
    bench.thermode.is_mute = False
    bench.run(0.1)
    bench.guard.reset()
    assert bench.guard.state == "baseline"


def test_reading_of_a_later_device_clock_is_not_used():
    model = ProbeModel(Envelope(), 0.1, 32.0, 10.0)
    model.add_reading(Reading(10.2, 32.0, 33.0, "baseline"), 10.0)
    assert math.isnan(model.measured_c)
    model.add_reading(Reading(10.05, 32.0, 33.0, "baseline"), 10.0)
    assert model.measured_c == 33.0


# The start.


class Elsewhere(CountedThermode):
    """Reads so many degrees away from what it is, and its readings are so old."""

    off_c = old_s = 0.0

    def read(self):
        reading = super().read()
        return reading._replace(
            measured_c=reading.measured_c + self.off_c, time_s=reading.time_s - self.old_s
        )


@pytest.mark.parametrize("off_c", [1.2, -1.2, 2.0])
def test_stimulus_does_not_start_from_elsewhere_than_its_baseline(off_c):
    """Too little for a fault: only the look at the start is there."""
    bench = counted(Elsewhere)
    bench.fire(PROFILE, in_s=0.2)
    bench.thermode.off_c = off_c
    bench.run(1.0)
    assert bench.kinds() == ["heat_armed", "heat_refused"]
    assert "is not known to be at its baseline of 32 °C" in bench.events[-1].message
    assert bench.commanded_c == 32.0


def test_stimulus_does_not_start_on_an_old_reading():
    bench = counted(Elsewhere)
    bench.run(0.1)
    bench.fire(PROFILE, in_s=0.4)
    bench.thermode.old_s = 0.15
    bench.run(1.0)
    assert bench.kinds() == ["heat_armed", "heat_refused"]
    assert "0.15 s ago" in bench.events[-1].message


def test_stimulus_starts_within_a_degree_and_on_a_reading_of_a_tenth_of_a_second():
    bench = counted(Elsewhere)
    bench.run(0.1)
    bench.thermode.off_c, bench.thermode.old_s = 0.9, 0.09
    bench.fire(PROFILE, in_s=0.4)
    bench.run(0.6)
    assert bench.kinds()[:2] == ["heat_armed", "heat_fired"]
