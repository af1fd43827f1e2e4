"""The simulated thermode: its course, its lags, its own cut-offs, and every fault."""

import math

import pytest

from neurofb.clock import ManualClock
from neurofb.errors import StimulatorMissing, UnknownName, UnsafeHeat, WrongInput
from neurofb.stimulation.drivers.simulated import (
    LAG_S,
    MAX_C,
    HeatFault,
    SimulatedThermode,
    parse_heat_faults,
)
from neurofb.stimulation.heat_profile import HeatProfile

PROFILE = HeatProfile(47.0, 2.0)


def thermode(*faults, seed=1):
    clock = ManualClock(50.0)
    made = SimulatedThermode(clock, seed, parse_heat_faults(faults))
    made.connect(49.0)
    return clock, made


def fired(*faults, profile=PROFILE):
    clock, made = thermode(*faults)
    made.fire(made.arm(profile))
    return clock, made


def run(clock, made, for_s, step_s=0.01, listening=True):
    """Give what is read, once a step; a computer that died reads nothing."""
    found = []
    for _ in range(round(for_s / step_s)):
        clock.advance(step_s)
        if listening:
            found.append(made.read())
    return found


def test_the_probe_follows_with_its_lag_and_the_skin_behind_it():
    clock, made = fired()
    run(clock, made, 1.0)
    assert made.commanded_c == pytest.approx(40.0)
    assert made.probe_c == pytest.approx(40.0 - 8.0 * LAG_S, abs=0.1)
    assert 32.0 < made.skin_c < made.probe_c
    run(clock, made, 2.5)
    assert made.probe_c == pytest.approx(47.0, abs=0.01)
    assert made.skin_c == pytest.approx(47.0, abs=0.3)
    run(clock, made, 5.0)
    assert made.probe_c == pytest.approx(32.0, abs=0.01)
    assert made.read().state == "baseline"


def test_states_in_their_order():
    clock, made = thermode()
    assert made.read().state == "baseline"
    ticket = made.arm(PROFILE)
    assert made.read().state == "armed"
    made.fire(ticket)
    states = [reading.state for reading in run(clock, made, 7.0)]
    assert list(dict.fromkeys(states)) == ["rising", "plateau", "returning", "baseline"]


def test_readings_are_seeded_and_noisy():
    def read(seed):
        clock, made = thermode(seed=seed)
        return [reading.measured_c for reading in run(clock, made, 0.5)]

    assert read(1) == read(1)
    assert read(1) != read(2)
    assert 0.005 < max(read(1)) - 32.0 < 0.1


def test_a_ticket_is_good_for_once():
    _, made = thermode()
    ticket = made.arm(PROFILE)
    made.fire(ticket)
    with pytest.raises(WrongInput, match="ticket 1 is not armed, or was fired"):
        made.fire(ticket)
    newer = made.arm(PROFILE)
    with pytest.raises(WrongInput, match="ticket 1 is not armed"):
        made.fire(ticket)
    made.fire(newer)


def test_an_abort_voids_what_is_armed():
    _, made = thermode()
    ticket = made.arm(PROFILE)
    made.abort()
    with pytest.raises(WrongInput, match="ticket 1 is not armed"):
        made.fire(ticket)


def test_the_device_has_a_cap_of_its_own():
    _, made = thermode()
    with pytest.raises(UnsafeHeat, match="the device takes 49 °C at most; asked for 50 °C"):
        made.arm(HeatProfile(50.0, 1.0))


def test_abort_cools_fast():
    clock, made = fired(profile=HeatProfile(49.0, 5.0))
    run(clock, made, 4.0)
    made.abort()
    assert made.commanded_c == 32.0
    run(clock, made, 0.44)
    assert made.probe_c == pytest.approx(32.0, abs=0.05)


def test_lower_goes_down_only():
    clock, made = fired(profile=HeatProfile(47.0, 5.0))
    run(clock, made, 3.0)
    made.lower(48.5)
    run(clock, made, 0.5)
    assert made.commanded_c == 47.0
    made.lower(45.0)
    run(clock, made, 1.0)
    assert made.commanded_c == 45.0
    assert made.probe_c == pytest.approx(45.0, abs=0.05)


def test_a_device_that_hears_nothing_ends_the_stimulus_itself():
    clock, made = fired(profile=HeatProfile(47.0, 20.0))
    run(clock, made, 4.0)
    assert made.probe_c == pytest.approx(47.0, abs=0.1)
    run(clock, made, 1.1, listening=False)
    assert made.probe_c == pytest.approx(32.0, abs=0.1)


def test_stuck_stays_until_the_power_is_cut():
    clock, made = fired("stuck@3")
    run(clock, made, 6.0)
    assert made.commanded_c < 35.0
    assert made.probe_c == pytest.approx(47.0, abs=0.1)
    made.abort()
    run(clock, made, 0.9)
    assert made.probe_c < 33.0


def test_runaway_hears_an_abort_and_the_deaf_one_the_cut_off():
    clock, made = fired("runaway@3")
    run(clock, made, 3.02)
    assert made.probe_c > 47.5
    made.abort()
    hottest_c = made.probe_c
    run(clock, made, 0.1)
    assert made.probe_c < hottest_c
    clock, made = fired("deaf_runaway@3")
    run(clock, made, 3.02)
    made.abort()
    readings = run(clock, made, 2.0)
    assert MAX_C - 0.1 < max(reading.measured_c for reading in readings) < MAX_C + 0.5
    assert made.probe_c < 33.0
    assert made.self_test() == [f"the device's own cut-off at {MAX_C:g} °C has cut its power"]


def test_lost_raises_at_everything_and_comes_back():
    clock, made = thermode("lost@1+1")
    clock.advance(1.5)
    for call in (made.read, made.abort, made.self_test, lambda: made.arm(PROFILE)):
        with pytest.raises(StimulatorMissing, match="no answer from the thermode; look at its cable"):
            call()
    clock.advance(1.0)
    assert made.read().measured_c == pytest.approx(32.0, abs=0.2)


def test_wrong_readback_is_off_by_what_was_said():
    clock, made = thermode("wrong_readback@1+2:-1.5")
    assert made.read().measured_c == pytest.approx(32.0, abs=0.2)
    clock.advance(2.0)
    assert made.read().measured_c == pytest.approx(30.5, abs=0.2)
    assert made.probe_c == 32.0


def test_stale_repeats_the_old_reading():
    clock, made = thermode("stale@1")
    old = made.read()
    clock.advance(2.0)
    assert made.read() == old


def test_before_connect_it_does_not_answer():
    with pytest.raises(StimulatorMissing, match="not connected; connect it first"):
        SimulatedThermode(ManualClock()).read()


def test_the_course_does_not_depend_on_how_often_it_is_asked():
    ends = []
    for step_s in (0.005, 0.02, 0.2):
        clock, made = fired()
        run(clock, made, 3.0, step_s)
        ends.append(made.probe_c)
    assert max(ends) - min(ends) < 0.01


@pytest.mark.parametrize("at_s", [8.791, 8.633, 9.177, 7.107, 0.1, 3.3])
def test_a_fault_starts_on_time_however_far_the_clock_jumps(at_s):
    clock, made = thermode(f"deaf_runaway@{at_s}")
    made.read()
    clock.advance(at_s + 0.1)
    assert made.probe_c == pytest.approx(32.0 + 7.0, abs=0.1)


def test_faults_as_text():
    assert parse_heat_faults(["stuck@12.5", "runaway@3+2", "wrong_readback@4+10:-2"]) == (
        HeatFault("stuck", 12.5, math.inf),
        HeatFault("runaway", 3.0, 2.0),
        HeatFault("wrong_readback", 4.0, 10.0, -2.0),
    )


@pytest.mark.parametrize(
    "text, kind, match",
    [
        ("melted@3", UnknownName, "no thermode fault 'melted'; there are: deaf_runaway"),
        ("stuk@3", UnknownName, "did you mean 'stuck'"),
        ("stuck", WrongInput, "the thermode's fault 'stuck' cannot be read; write stuck@12.5"),
        ("stuck@1.2.3", WrongInput, "something that is no number"),
        ("stuck@3:2", WrongInput, "only wrong_readback has a value in °C: found 'stuck@3:2'"),
    ],
)
def test_faults_that_cannot_be_read(text, kind, match):
    with pytest.raises(kind, match=match):
        parse_heat_faults([text])
