"""The guard in each of its states: what it is asked there, what it answers, and what may still come."""

import math

import pytest
from stimulation_parts import SITE, Bench

from neurofb.clock import ManualClock
from neurofb.errors import SafetyStop, StimulatorMissing, UnsafeHeat
from neurofb.stimulation.conditions import NOTHING, Facts
from neurofb.stimulation.drivers.simulated import LINK_S, SimulatedThermode
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import GAP_S, LATE_S, RETURN_S, Guard
from neurofb.stimulation.heat_profile import HeatProfile, dose_per_s
from neurofb.stimulation.thermal_dose import Outlook, SiteLedger

PROFILE = HeatProfile(47.0, 2.0)


class Thermode(SimulatedThermode):
    """Reads so much away from what it is, hears no abort while it is deaf, and counts what it is told."""

    off_c = 0.0
    is_deaf = is_mute = False
    n_aborts = n_lowered = 0

    def read(self):
        if self.is_mute:
            raise StimulatorMissing("read: no answer")
        reading = super().read()
        return reading._replace(measured_c=reading.measured_c + self.off_c)

    def abort(self):
        self.n_aborts += 1
        if self.is_deaf:
            raise StimulatorMissing("abort: no answer")
        super().abort()

    def lower(self, target_c):
        self.n_lowered += 1
        super().lower(target_c)


def bench_with(thermode=Thermode, **how):
    bench = Bench(**how)
    bench.thermode = thermode(bench.clock)
    bench.guard = Guard(bench.thermode, bench.envelope, bench.clock, required=NOTHING)
    bench.guard.connect()
    bench.guard.place(SITE)
    bench.run(0.05)
    bench.events.clear()
    return bench


# Off.


def test_guard_that_is_off_reads_nothing_and_says_nothing():
    clock = ManualClock(100.0)
    thermode = Thermode(clock)
    guard = Guard(thermode, Envelope(), clock, required=NOTHING)
    for _ in range(3):
        clock.advance(0.01)
        guard.step()
        assert (guard.pop_events(), guard.readings(), guard.is_hot) == ([], [], False)
    with pytest.raises(SafetyStop, match="the stimulator is off; connect it first"):
        guard.reset()
    guard.abort("stop")
    assert (guard.state, thermode.n_aborts) == ("off", 0)
    guard.connect()
    guard._latched = False
    guard.place(SITE)
    clock.advance(0.01)
    guard.step()
    guard.arm(PROFILE, SITE)
    guard.close()
    guard.pop_events(), guard.readings()
    n_aborts = thermode.n_aborts
    clock.advance(0.01)
    guard.step()
    assert (guard.pop_events(), guard.readings(), thermode.n_aborts) == ([], [], n_aborts)


def test_time_before_connect_is_nobody_s_dose():
    clock = ManualClock(100.0)
    guard = Guard(Thermode(clock), Envelope(), clock, required=NOTHING)
    clock.advance(3600.0)
    guard.connect()
    guard.place(SITE)
    clock.advance(1.0)
    guard.step()
    clock.advance(1.0)
    guard.step()
    assert guard.used()[SITE] == pytest.approx(2.0 * dose_per_s(32.0), rel=0.1)
    assert [reading.target_c for reading in guard.readings()] == [32.0, 32.0]


def test_guard_needs_every_condition_unless_told_otherwise():
    clock = ManualClock(100.0)
    guard = Guard(Thermode(clock), Envelope(), clock)
    guard.connect()
    guard.place(SITE)
    clock.advance(0.01)
    guard.step()
    lines = {}
    for name, facts in {
        "none": None,
        "eeg": Facts(clock.now_s(), None, True, True),
        "recording": Facts(clock.now_s(), 0.1, False, True),
        "view": Facts(clock.now_s(), 0.1, True, False),
    }.items():
        if facts is not None:
            guard.note_facts(facts)
        with pytest.raises(UnsafeHeat) as caught:
            guard.arm(PROFILE, SITE)
        lines[name] = str(caught.value)
    assert "has not said yet" in lines["none"]
    assert "no sample of EEG" in lines["eeg"]
    assert "the recording fails" in lines["recording"]
    assert "no operator's view" in lines["view"]
    guard.note_facts(Facts(clock.now_s(), 0.1, True, True))
    guard.arm(PROFILE, SITE)


# At rest.


@pytest.mark.parametrize("off_c, is_right", [(3.8, True), (4.2, False), (-3.0, True)])
def test_self_test_looks_at_the_probe_and_leaves_it_at_baseline(off_c, is_right):
    """Up to a degree above the warmest baseline a probe is at rest."""
    bench = bench_with()
    bench.thermode.off_c = off_c
    n_aborts = bench.thermode.n_aborts
    found = bench.guard.self_test()
    assert [text for text in found if "at rest; it should be at baseline" in text] == found
    assert len(found) == (not is_right)
    assert bench.thermode.n_aborts == n_aborts + 1


def test_lowering_at_rest_holds_for_the_next_and_is_an_event():
    bench = bench_with()
    bench.guard.lower(1.5)
    (event,) = bench.guard.pop_events()
    assert (event.kind, event.details["by_c"]) == ("heat_lowered", 1.5)
    assert bench.guard.arm(PROFILE, SITE).profile.target_c == 45.5


def test_request_that_is_read_too_late_is_refused():
    bench = bench_with()
    now_s = bench.clock.now_s()
    with pytest.raises(UnsafeHeat, match="it was read 0.25 s too late"):
        bench.guard.schedule(PROFILE, SITE, now_s + 1.0, now_s - 0.25)
    assert (bench.guard.state, bench.guard.is_hot) == ("baseline", False)
    bench.guard.schedule(PROFILE, SITE, now_s + 1.0, now_s)
    assert bench.guard.due_s == now_s + 1.0


@pytest.mark.parametrize("late_s, starts", [(LATE_S, True), (LATE_S + 0.125, False)])
def test_stimulus_starts_at_its_time_or_a_second_late_at_most(late_s, starts):
    bench = bench_with()
    bench.clock.advance(0.125 - bench.clock.now_s() % 0.125)  # times without rounding
    bench.guard.step()
    bench.guard.schedule(PROFILE, SITE, bench.clock.now_s() + 0.125)
    bench.clock.advance(0.125 + late_s)
    bench.guard.step()
    assert bench.guard.state == ("rising" if starts else "baseline")


def test_gap_at_rest_is_no_fault():
    bench = bench_with()
    bench.clock.advance(30.0)
    bench.guard.step()
    assert bench.guard.pop_events() == []
    bench.guard.arm(PROFILE, SITE)


@pytest.mark.parametrize("gap_s, goes_on", [(GAP_S, True), (GAP_S + 0.125, False)])
def test_gap_in_a_stimulus_may_be_so_long(gap_s, goes_on):
    bench = bench_with()
    bench.fire(HeatProfile(46.0, 5.0))
    bench.run(3.0)
    bench.clock.advance(0.125 - bench.clock.now_s() % 0.125)
    bench.guard.step()
    bench.clock.advance(gap_s)
    bench.guard.step()
    assert bench.guard.state == ("plateau" if goes_on else "aborted")


def test_place_without_budget_is_no_fault_at_rest():
    bench = bench_with(used=1.0)
    bench.guard = Guard(bench.thermode, bench.envelope, bench.clock, SiteLedger({SITE: 1.0}), NOTHING)
    bench.guard.connect()
    bench.guard.place(SITE)
    bench.run(0.5)
    assert bench.kinds() == ["probe_placed"]


# Armed.


def test_event_of_arming_names_the_guard_s_ticket_and_site():
    bench = bench_with()
    for n in (1, 2):
        ticket = bench.guard.arm(PROFILE, SITE)
        bench.guard.lower(0.5)  # the device counts one ticket more
        armed = [event for event in bench.guard.pop_events() if event.kind == "heat_armed"]
        assert [(each.details["ticket"], each.details["site"]) for each in armed] == [(n, SITE)]
        assert ticket.number == n


def test_gap_while_armed_is_charged_at_baseline():
    bench = bench_with()
    bench.guard.arm(PROFILE, SITE)
    before = bench.guard.used()[SITE]
    bench.clock.advance(20.0)
    bench.guard.step()
    assert bench.guard.used()[SITE] - before <= 20.0 * dose_per_s(32.5)


def test_stimulus_starts_in_the_step_of_its_time():
    bench = bench_with()
    bench.clock.advance(0.125 - bench.clock.now_s() % 0.125)
    bench.guard.step()
    bench.guard.schedule(PROFILE, SITE, bench.clock.now_s() + 0.125)
    bench.clock.advance(0.125)
    bench.guard.step()
    assert bench.guard.state == "rising"


def test_end_voids_what_is_armed_and_its_return_is_heat_until_a_reading():
    bench = bench_with()
    ticket = bench.guard.arm(PROFILE, SITE)
    bench.guard.end("button")
    assert bench.guard.is_hot
    assert bench.guard.state == "returning"
    with pytest.raises(UnsafeHeat, match="the probe cannot be at 'right forearm' now"):
        bench.guard.place("right forearm")
    with pytest.raises(UnsafeHeat, match="is not armed"):
        bench.guard.fire(ticket, bench.clock.now_s())
    with pytest.raises(SafetyStop, match="heat goes on only from baseline"):
        bench.guard.reset()
    bench.run(0.05)
    assert (bench.guard.is_hot, bench.guard.state) == (False, "baseline")
    assert "heat_ended" not in bench.kinds(), "nothing was on"


def test_reset_without_an_abort_changes_nothing():
    bench = bench_with()
    bench.guard.arm(PROFILE, SITE)
    bench.guard.reset()
    assert bench.guard.state == "armed"
    assert bench.guard.is_hot


def test_stimulus_that_is_not_started_leaves_the_device_at_baseline():
    bench = bench_with()
    bench.fire(PROFILE, in_s=0.2)
    n_aborts = bench.thermode.n_aborts
    bench.thermode.off_c = 1.5
    bench.run(0.3)
    assert bench.kinds() == ["heat_armed", "heat_refused"]
    assert bench.thermode.n_aborts == n_aborts + 1


def test_device_that_fails_at_firing_has_fired_nothing():
    class Failing(Thermode):
        def fire(self, ticket):
            raise StimulatorMissing("fire: no answer")

    bench = bench_with(Failing)
    bench.fire(PROFILE)
    bench.run(0.1)
    assert bench.kinds() == ["heat_armed", "heat_fault", "heat_aborted"]
    assert "fire failed: fire: no answer" in bench.events[1].message
    bench.run(0.1)
    assert (bench.guard.state, bench.guard.is_hot) == ("aborted", False)


# On, and on its way back.


@pytest.mark.parametrize("site", [SITE, "right forearm"])
def test_nothing_is_armed_while_something_is_on_or_returns(site):
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(1.0)
    with pytest.raises(UnsafeHeat, match="another stimulus is on; one ends before the next is armed"):
        bench.guard.arm(PROFILE, site)
    assert bench.guard.state == "rising"
    bench.guard.end("button")
    with pytest.raises(UnsafeHeat, match="another stimulus is on; one ends before the next is armed"):
        bench.guard.arm(PROFILE, site)
    bench.run_to_rest()
    bench.guard.arm(HeatProfile(40.0, 1.0), SITE)
    bench.guard.end("button")
    with pytest.raises(UnsafeHeat, match="another stimulus is on; one ends before the next is armed"):
        bench.guard.arm(PROFILE, SITE)


def test_end_after_an_abort_allows_nothing():
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(3.0)
    bench.guard.abort("stop")
    bench.guard.end("button")
    assert bench.guard.state == "aborted"
    bench.run_to_rest()
    bench.run(9.0)
    with pytest.raises(UnsafeHeat, match="heat was aborted; the schedule must reset it at baseline first"):
        bench.guard.arm(PROFILE, SITE)


def test_return_counts_from_its_first_cause_and_names_it():
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(3.0)
    bench.thermode.off_c = 10.0
    bench.guard.end("button")
    bench.run(1.0)
    bench.guard.abort("stop")
    bench.run(RETURN_S - 1.0 - 0.02)
    assert bench.guard.state == "aborted"
    bench.run(0.04)
    assert bench.guard.state == "fault"
    (fault,) = [event for event in bench.said("heat_fault") if event.details["cause"].startswith("it reads")]
    assert fault.details["cause"] == f"it reads {bench.guard._probe.measured_c:.1f} °C 1.5 s after an abort"
    bench.thermode.off_c = 0.0
    bench.run(0.05)
    assert bench.said("heat_ended")[0].message == "ended early: button"


def test_return_that_is_never_confirmed_says_so():
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(3.0)
    bench.thermode.is_deaf = True
    bench.guard.end("button")
    bench.run(RETURN_S + 0.05)
    assert bench.said("heat_fault")[0].details["cause"] == "abort failed: abort: no answer"


def test_return_goes_on_while_the_device_does_not_hear():
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(3.0)
    bench.guard.end("button")
    bench.run(0.1)
    bench.thermode.is_deaf = True
    bench.run(1.0)
    assert bench.thermode.probe_c == pytest.approx(32.0, abs=0.1)
    assert bench.guard.is_hot
    bench.thermode.is_deaf = False
    bench.run(0.05)
    assert not bench.guard.is_hot


def test_lowering_during_a_return_leaves_the_device_to_it():
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(3.0)
    bench.guard.end("button")
    bench.guard.lower(2.0)
    assert bench.thermode.n_lowered == 0
    bench.run_to_rest()
    bench.run(9.0)
    assert bench.guard.arm(PROFILE, SITE).profile.target_c == 45.0


@pytest.mark.parametrize("what", ["hot", "old"])
def test_stimulus_ends_with_a_fresh_reading_at_baseline_only(what):
    bench = bench_with()
    bench.fire(PROFILE)
    bench.run(PROFILE.duration_s - 0.2)
    if what == "hot":
        bench.thermode.off_c = 1.3
    else:
        old = bench.thermode.read()._replace(measured_c=32.0)
        bench.thermode.read = lambda: old
    bench.run(0.7)
    assert (bench.guard.state, bench.guard.is_hot) == ("returning", True)
    bench.thermode.off_c = 0.0
    bench.thermode.__dict__.pop("read", None)
    bench.run(0.05)
    assert (bench.events[-1].kind, bench.events[-1].message) == ("heat_ended", "at baseline")
    assert (bench.guard.state, bench.guard.is_hot) == ("baseline", False)


def test_abort_that_is_not_heard_is_charged_as_the_heat_that_was_on():
    """No reading comes and no abort gets through: the probe may be where it was."""
    bench = bench_with()
    bench.fire(HeatProfile(47.0, 10.0))
    bench.run(4.0)
    bench.thermode.is_mute = bench.thermode.is_deaf = True
    before = bench.guard.used()[SITE]
    bench.run(5.0)
    assert bench.guard.used()[SITE] - before >= 5.0 * dose_per_s(46.9)


@pytest.mark.parametrize("after_s", [0.02, 0.2, 1.0])
def test_rise_of_a_device_that_hears_no_abort_is_charged(after_s):
    """Its link breaks just after it was fired: it goes on until its own cut-off, and nobody sees how hot it gets."""
    bench = bench_with()
    bench.fire(HeatProfile(45.0, 1.0, rise_c_per_s=20.0, return_c_per_s=20.0))
    bench.run(0.05 + after_s)
    bench.thermode.is_mute = bench.thermode.is_deaf = True
    before, truth = bench.guard.used()[SITE], bench.shares[SITE]
    bench.run(1.2)
    assert bench.guard.used()[SITE] - before >= bench.shares[SITE] - truth > 0.0


def test_return_that_is_heard_but_not_seen_is_charged_as_heat_for_a_second():
    """The last reading counts for as long as a reading may be old, and no longer."""
    bench = bench_with()
    bench.fire(HeatProfile(47.0, 10.0))
    bench.run(4.0)
    bench.thermode.is_mute = True
    before = bench.guard.used()[SITE]
    bench.run(5.0)
    charged = bench.guard.used()[SITE] - before
    assert dose_per_s(46.9) <= charged <= 1.1 * dose_per_s(47.2)


# What may still come: the account of a guard that ends now.


def test_outlook_in_each_state():
    bench = bench_with()
    bench.guard.abort("an earlier return, which the device confirmed")
    bench.run(0.05)
    bench.guard.reset()
    assert bench.guard.outlook() is None
    ticket = bench.guard.arm(PROFILE, SITE)
    assert bench.guard.outlook() == Outlook(SITE, 47.0, PROFILE.duration_s)
    bench.guard.fire(ticket, bench.clock.now_s())
    bench.run(1.0)
    rising = bench.guard.outlook()
    assert (rising.site, rising.target_c, rising.is_returning) == (SITE, 47.0, False)
    assert rising.left_s == pytest.approx(PROFILE.duration_s - 0.99, abs=0.011)
    bench.thermode.off_c = 0.75
    bench.run(2.0)
    plateau = bench.guard.outlook()
    assert plateau.target_c == pytest.approx(47.75, abs=0.1), "what is measured is hotter"
    assert plateau.left_s == pytest.approx(PROFILE.duration_s - 2.99, abs=0.011)
    bench.thermode.off_c = 0.0
    bench.run(2.3)
    returning = bench.guard.outlook()
    assert bench.guard.state == "returning"
    assert returning.is_returning
    assert returning.left_s == pytest.approx(PROFILE.duration_s - 5.29 + RETURN_S, abs=0.011)
    assert returning.target_c == pytest.approx(bench.thermode.probe_c, abs=0.5)
    bench.run_to_rest()
    assert bench.guard.outlook() is None


def test_outlook_of_a_lowered_stimulus_is_where_it_still_is():
    bench = bench_with()
    bench.fire(HeatProfile(48.0, 5.0, return_c_per_s=2.0))
    bench.run(3.5)
    bench.guard.lower(4.0)
    bench.run(0.5)
    outlook = bench.guard.outlook()
    assert outlook.target_c == pytest.approx(47.0, abs=0.3), "the command is on its way down to 44 °C"
    bench.run(3.0)
    assert bench.guard.outlook().target_c == pytest.approx(44.0, abs=0.3)


def test_outlook_of_a_return_that_the_device_confirmed_or_not():
    bench = bench_with()
    bench.fire(HeatProfile(48.0, 5.0))
    bench.run(3.5)
    bench.thermode.is_deaf = True
    left_s = bench.guard.outlook().left_s
    bench.guard.end("button")
    unheard = bench.guard.outlook()
    assert not unheard.is_returning, "an abort that was not heard ends nothing"
    assert unheard.left_s == left_s
    bench.thermode.is_deaf = False
    bench.run(0.02)
    heard = bench.guard.outlook()
    assert (heard.is_returning, heard.left_s) == (True, RETURN_S)
    assert heard.target_c == pytest.approx(48.0, abs=1.5)
    bench.thermode.off_c = 10.0  # never seen to arrive
    bench.run(RETURN_S + 0.2)
    assert bench.guard.state == "fault"
    overdue = bench.guard.outlook()
    assert not overdue.is_returning
    assert overdue.left_s > 0


def test_outlook_of_an_abort_that_is_not_heard_at_rest():
    bench = bench_with()
    bench.thermode.is_deaf = True
    bench.guard.abort("stop")
    assert bench.guard.outlook() == Outlook(SITE, bench.guard._probe.worst_c, 0.0)


def test_device_s_own_time_without_a_word_is_known_once_it_is_connected():
    clock = ManualClock(100.0)
    guard = Guard(Thermode(clock), Envelope(), clock, required=NOTHING)
    assert guard.link_s == math.inf
    guard.connect()
    assert guard.link_s == LINK_S
