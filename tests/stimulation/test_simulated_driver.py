"""The simulated thermode: its course, its lags, its own cut-offs, and every fault."""

import math

import pytest

from neurofb.clock import ManualClock
from neurofb.errors import StimulatorMissing, UnknownName, UnsafeHeat, WrongInput
from neurofb.stimulation.driver import Capabilities
from neurofb.stimulation.drivers.simulated import (
    COOL_C_PER_S,
    COOLANT_C,
    LAG_S,
    LINK_S,
    MAX_C,
    PASSIVE_S,
    RISE_C_PER_S,
    SKIN_LAG_S,
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


# The physics in closed form, and both sides of each edge.


def test_probe_and_skin_approach_a_new_baseline_with_their_lags():
    clock, made = thermode()
    made.arm(HeatProfile(45.0, 1.0, baseline_c=34.0))
    probe_c = skin_c = 32.0
    for _ in range(100):
        clock.advance(0.005)
        probe_c += (34.0 - probe_c) * (1 - math.exp(-0.005 / LAG_S))
        skin_c += (probe_c - skin_c) * (1 - math.exp(-0.005 / SKIN_LAG_S))
        assert made.probe_c == pytest.approx(probe_c, abs=1e-9)
        assert made.skin_c == pytest.approx(skin_c, abs=1e-9)


@pytest.mark.parametrize("to_c, rate", [(49.0, RISE_C_PER_S), (32.0, -COOL_C_PER_S)])
def test_probe_is_no_faster_than_the_device(to_c, rate):
    """A command that jumps: the lag would ask for more."""
    clock, made = thermode()
    made.arm(HeatProfile(49.0, 1.0, baseline_c=32.0))
    made._probe_c, made._baseline_c = 81.0 - to_c, to_c
    clock.advance(0.02)
    assert made.probe_c == pytest.approx(81.0 - to_c + rate * 0.02)


def test_aborted_probe_cools_in_a_straight_line_and_stops_at_baseline():
    clock, made = fired(profile=HeatProfile(48.0, 5.0))
    run(clock, made, 4.0)
    made.abort()
    before_c = made.probe_c
    clock.advance(0.1)
    assert made.probe_c == pytest.approx(before_c - 0.1 * COOL_C_PER_S)
    assert made.read().state == "aborted"
    clock.advance(0.4)
    assert made.probe_c == 32.0


@pytest.mark.parametrize("kind", ["stuck", "runaway"])
def test_probe_without_power_cools_to_its_coolant(kind):
    clock, made = fired(f"{kind}@3", profile=HeatProfile(46.0, 5.0))
    run(clock, made, 3.02)
    made.abort()
    before_c = made.probe_c
    clock.advance(0.5)
    expected_c = COOLANT_C + (before_c - COOLANT_C) * math.exp(-0.5 / PASSIVE_S)
    assert made.probe_c == pytest.approx(expected_c)


def test_stuck_probe_stays_whatever_is_commanded():
    clock, made = fired("stuck@1")
    run(clock, made, 1.0)
    before_c = made.probe_c
    run(clock, made, 3.0)
    assert made.probe_c == pytest.approx(before_c, abs=8.0 * 0.011)


def test_device_that_cut_its_power_says_so_and_stays_cold():
    clock, made = fired("runaway@1+0.5")
    run(clock, made, 4.0)
    assert made.self_test() == [f"the device's own cut-off at {MAX_C:g} °C has cut its power"]
    made.fire(made.arm(PROFILE))
    run(clock, made, 3.0)
    assert made.probe_c < 32.0


@pytest.mark.parametrize("silent_s, goes_on", [(LINK_S - 0.02, True), (LINK_S + 0.02, False)])
def test_device_waits_so_long_for_a_word(silent_s, goes_on):
    clock, made = fired(profile=HeatProfile(46.0, 10.0))
    run(clock, made, 4.0)
    clock.advance(silent_s)
    assert made.commanded_c == (46.0 if goes_on else 32.0)
    assert made.read().state == ("plateau" if goes_on else "aborted")


def test_each_word_is_heard():
    for word in (
        lambda made: made.read(),
        lambda made: made.self_test(),
        lambda made: made.lower(49.0),
    ):
        clock, made = fired(profile=HeatProfile(46.0, 10.0))
        run(clock, made, 4.0)
        for _ in range(3):
            clock.advance(LINK_S - 0.1)
            word(made)
        assert made.commanded_c == 46.0


@pytest.mark.parametrize("t_s, is_on", [(1.99, False), (2.0, True), (3.99, True), (4.0, False)])
def test_fault_is_on_from_its_start_to_its_end(t_s, is_on):
    assert HeatFault("stuck", 2.0, 2.0).is_on(t_s) is is_on
    assert HeatFault("stuck", 2.0).is_on(1e9)
    assert HeatFault("stuck", 2.0).by_c == 3.0


def test_times_of_faults_count_from_connect():
    clock = ManualClock(50.0)
    made = SimulatedThermode(clock, 1, parse_heat_faults(["wrong_readback@1"]))
    clock.advance(100.0)
    made.connect(49.0)
    assert made.read().measured_c == pytest.approx(32.0, abs=0.1)
    clock.advance(1.01)
    assert made.read().measured_c == pytest.approx(35.0, abs=0.1)


def test_two_wrong_readbacks_add_up():
    clock, made = thermode("wrong_readback@1:2", "wrong_readback@1:0.5")
    clock.advance(1.5)
    assert made.read().measured_c == pytest.approx(34.5, abs=0.1)


def test_reading_says_what_is_commanded_and_when():
    clock, made = fired()
    run(clock, made, 1.0)
    reading = made.read()
    assert (reading.time_s, reading.target_c) == (pytest.approx(51.0), pytest.approx(40.0))
    assert made.read().measured_c != reading.measured_c, "noise"


def test_command_stays_below_the_device_s_cap_and_its_baseline_is_one():
    _, made = thermode()
    made.connect(46.0)
    assert made.arm(HeatProfile(46.0, 1.0)).number == 1
    with pytest.raises(UnsafeHeat, match="takes 46 °C at most; asked for 46.1 °C"):
        made.arm(HeatProfile(46.1, 1.0))
    made.connect(30.5)
    assert made.commanded_c == 32.0


def test_stimulus_of_another_baseline_goes_there_first():
    clock, made = thermode()
    made.arm(HeatProfile(45.0, 1.0, baseline_c=34.0))
    run(clock, made, 1.5)
    assert made.probe_c == pytest.approx(34.0, abs=1e-3)
    assert made.commanded_c == 34.0
    made.abort()
    run(clock, made, 0.5)
    assert made.probe_c == pytest.approx(34.0, abs=1e-3)


def test_arming_ends_what_is_on():
    clock, made = fired(profile=HeatProfile(47.0, 10.0))
    run(clock, made, 4.0)
    made.arm(HeatProfile(40.0, 1.0))
    assert (made.commanded_c, made.read().state) == (32.0, "armed")


def test_close_goes_to_baseline_and_before_connect_nothing_is_aborted():
    clock, made = fired(profile=HeatProfile(47.0, 10.0))
    run(clock, made, 4.0)
    made.close()
    clock.advance(0.5)
    assert made.probe_c == 32.0
    fresh = SimulatedThermode(clock)
    fresh.close()
    with pytest.raises(StimulatorMissing, match="read: the simulated thermode is not connected"):
        fresh.read()


def test_lost_device_hears_no_lowering_and_no_connect():
    clock, made = fired("lost@1+1")
    clock.advance(1.25)
    with pytest.raises(StimulatorMissing, match="lower: no answer"):
        made.lower(40.0)
    lost = SimulatedThermode(clock, 0, parse_heat_faults(["lost@0"]))
    with pytest.raises(StimulatorMissing, match="connect: no answer"):
        lost.connect(49.0)


def test_what_the_device_says_of_itself():
    _, made = thermode()
    assert made.capabilities() == Capabilities(
        "simulated thermode",
        max_c=MAX_C,
        rise_c_per_s=RISE_C_PER_S,
        return_c_per_s=COOL_C_PER_S,
        abort_c_per_s=COOL_C_PER_S,
        lag_s=LAG_S,
        on_silence="returns",
        silence_s=LINK_S,
        simulated=True,
    )
    assert made.self_test() == []


@pytest.mark.parametrize(
    "text",
    ["stuck@1+-2", "runaway@inf", "runaway@1+inf", "runaway@inf+1", "lost@1+nan", "wrong_readback@1:x"],
)
def test_more_faults_that_cannot_be_read(text):
    with pytest.raises(WrongInput):
        parse_heat_faults([text])


def test_fault_at_the_start_and_a_wrong_reading_without_a_number():
    assert parse_heat_faults(["wrong_readback@0"]) == (HeatFault("wrong_readback", 0.0, math.inf, 3.0),)
    assert parse_heat_faults(["wrong_readback@1:0"])[0].by_c == 0.0


def test_each_question_alone_moves_the_device_on():
    clock, made = fired()
    assert made.read().state == "rising"
    clock.advance(0.4)
    assert made.skin_c > 32.5
    clock, made = thermode("lost@1")
    ticket = made.arm(PROFILE)
    clock.advance(1.25)
    with pytest.raises(StimulatorMissing, match="fire: no answer"):
        made.fire(ticket)


def test_lowering_at_rest_and_a_stale_first_reading():
    _, made = thermode("stale@0")
    made.lower(40.0)
    assert made.commanded_c == 32.0
    assert made.read() == made.read()
