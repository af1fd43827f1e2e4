"""The driver of the TCS II against a device that reads the protocol once more on its own (``tcs_device``)."""

import math
import os
import signal
import time
from itertools import pairwise

import pytest
from driver_lab import PROFILE, DriverLab
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stimulation_parts import SITE
from tcs_device import MemoryPort, PtyDevice, TcsDevice

from neurofb.clock import ManualClock
from neurofb.errors import NeurofbError, SafetyStop, StimulatorMissing, UnsafeHeat, WrongInput
from neurofb.stimulation.driver import Confirmed, Onset, Stopped
from neurofb.stimulation.drivers import tcs2_words as words
from neurofb.stimulation.drivers.tcs2 import Tcs2
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import make_driver
from neurofb.stimulation.thermode_file import load_thermode

FILE = load_thermode("tcs-ii")
FIRMWARES = ["v16", "v12", "old"]


class Lab(DriverLab):
    """A TCS II at a port in memory."""

    usual_in_s = 0.2

    def __init__(self, firmware="v16", faults=(), cap_c=49.0, tick_s=0.004, connect=True, **device):
        clock, made = ManualClock(100.0), TcsDevice(firmware, faults, **device)
        self.port = MemoryPort(clock, made)
        driver = Tcs2(FILE, clock, lambda _file: self.port)
        super().__init__(clock, made, self.port, driver, cap_c=cap_c, tick_s=tick_s, connect=connect)


# Bytes, written down from the facts.


def test_stimulus_is_these_bytes():
    """46.5 °C from 32 °C at 8 °C/s, 2 s of plateau: a rise of 1.8125 s, so 3812 ms."""
    held = words.settings_of(HeatProfile(46.5, 2.0), (1, 2, 3, 4, 5))
    assert held.commands(5) == [b"N320", b"S11111", b"C0465", b"V00080", b"R00080", b"D003812"]
    assert held.commands(4)[-1] == b"D03812"
    assert sum(map(len, held.commands(5))) == 34
    assert words.cap(47.0) == b"Om470"
    assert words.settings_of(HeatProfile(45.5, 2.0), (2, 4)).commands(5)[1:3] == [b"S01010", b"C0455"]


@pytest.mark.parametrize(
    "answer, zones_c, buttons",
    [
        (b"\r300+320+321+319+320+320\r00", (32.0, 32.1, 31.9, 32.0, 32.0), (False, False)),
        (b"\r300 320 321 319 320 320\r01", (32.0, 32.1, 31.9, 32.0, 32.0), (False, True)),
        (b"\r300+320-021+319+320+320\r10", (32.0, -2.1, 31.9, 32.0, 32.0), (True, False)),
    ],
)
def test_reading_is_these_bytes(answer, zones_c, buttons):
    assert len(answer) == 27
    for before in (b"", b"\n", b"\rTCS", answer[:9], b"+301+302+303+304+305\n"):
        seen, end = words.seen_in(before + answer)
        assert (seen.neutral_c, seen.zones_c, (seen.stim, seen.response)) == (30.0, zones_c, buttons)
        assert end == len(before) + 27
    assert all(words.seen_in(answer[:n]) is None for n in range(27))


def test_newest_reading_counts():
    old, new = b"\r300+320+320+320+320+320\r00", b"\r300+400+400+400+400+400\r00"
    assert words.seen_in(old + new)[0].zones_c == (40.0,) * 5


PARAMETERS = b"\rN300 T255300 I1 Y0000 S11111\r" + b"C450 V1000 R1000 D01000\r" * 5


def test_parameters_are_these_bytes():
    held = words.settings_in(PARAMETERS, 5)
    assert held == [words.Settings(300, "11111", 450, 1000, 1000, 1000)] * 5
    assert all(words.settings_in(PARAMETERS[:n], 5) is None for n in range(len(PARAMETERS) - 1))


@pytest.mark.parametrize("charge", [0, 5, 87, 100])
def test_battery_has_three_digits(charge):
    assert words.battery_in(b"\r12.3456v %03d%%" % charge) == charge
    assert words.battery_in(b"\r12.3456v 0") is None


@pytest.mark.parametrize(
    "answer, errors", [(b"\r000000", "000000"), (b"000200", "000200"), (b"\r00000", None)]
)
def test_errors_have_six_digits(answer, errors):
    assert words.errors_in(answer) == errors


def test_times_and_temperatures_that_are_whole_stay_so_and_none_is_0_ms():
    assert words.settings_of(HeatProfile(32.1, 0.0, 32.0, 70.0), (1,)).duration == 1
    assert words.settings_of(HeatProfile(32.0, 0.0, 32.0, 8.0), (1,)).duration == 1
    assert words.settings_of(HeatProfile(32.0, 0.002, 32.0, 8.0), (1,)).duration == 2
    assert words.settings_of(HeatProfile(32.0, 0.0019, 32.0, 8.0), (1,)).duration == 1
    for ms in range(1, 3000, 7):
        assert words.settings_of(HeatProfile(32.0, ms / 1000, 32.0, 8.0), (1,)).duration == ms
    assert words.tenths(0.29999) == 2


def test_help_without_some_lines_says_nothing_of_them():
    bare = words.firmware_in(b"Firmware : 16.1.2\r\n")
    assert (bare.version, bare.serial, bare.probe, bare.duration_digits) == ("16.1.2", "", "", None)
    full = words.firmware_in(b"Firmware : 16\r\nProbe ID : 01 02 \r\nProbe TYPE : T03\r\nDsxxxxx Ol Ose/d\n")
    assert (full.serial, full.probe, full.duration_digits) == ("01 02", "T03", 5)


@pytest.mark.parametrize("kind", [words.Firmware, words.Seen, words.Settings])
def test_what_was_understood_does_not_change(kind):
    assert kind.__dataclass_params__.frozen
    assert "__slots__" in vars(kind)


@pytest.mark.parametrize(
    "version, is_slow", [("008", True), ("13.9", True), ("14", False), ("16.1.2", False), ("?", True)]
)
def test_firmware_before_14_is_slow(version, is_slow):
    text = f"\rFirmware: {version}\rProbe ID: 01 02\rProbe TYPE: T03\rDsxxxx\r\n".encode()
    found = words.firmware_in(text)
    assert (found.is_slow, found.serial, found.probe, found.duration_digits) == (is_slow, "01 02", "T03", 4)
    assert words.firmware_in(text[:-1]) is None


# Before the session.


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_device_is_silenced_learned_capped_and_at_rest_before_anything(firmware):
    lab = Lab(firmware)
    sent = bytes(lab.device.log)
    assert sent.startswith(b"AAAAAAAAFFH")
    proof = sent.index(b"Om400C0450P")
    assert proof < sent.index(b"Om490") < sent.index(b"N320S11111C0320V00080R00080D")
    assert not lab.device.streams
    assert (lab.device.cap, lab.device.target) == (49.0, [32.0] * 5)
    assert b"L" not in sent
    assert b"Od" not in sent
    assert (b"Osd" in sent, lab.device.trigger_in) == ((True, False) if firmware == "v16" else (False, True))
    assert bool(lab.abilities.warnings) is (firmware != "v16")  # its trigger input cannot be switched off
    assert lab.abilities.longest_s == (9.999 if firmware == "old" else 99.999)
    assert lab.abilities.serial == "01 02 03 04 05 06 07 08"


def test_old_firmware_gets_a_character_a_millisecond():
    lab = Lab("old", tick_s=0.0005)
    lab.give().run(1.0)
    times = [time_s for time_s, _ in lab.port.writes]
    assert all(len(data) == 1 for _, data in lab.port.writes)
    assert min(b - a for a, b in pairwise(times)) >= 0.00099


def test_cap_that_does_not_bind_is_refused_without_heat():
    lab = Lab(faults=["cap ignored"], connect=False)
    with pytest.raises(UnsafeHeat, match="does not keep its cap"):
        lab.guard.connect()
    assert lab.port.is_closed
    assert lab.device.hottest_c == 32.0


@pytest.mark.parametrize("faults", [["dead"], ["never quiet"]])
def test_device_that_does_not_answer_is_missing(faults):
    lab = Lab(faults=faults, connect=False)
    began_s = lab.clock.now_s()
    if faults == ["dead"]:
        with pytest.raises(StimulatorMissing, match="does not answer with its help"):
            lab.guard.connect()
        assert lab.clock.now_s() - began_s < 6.0
    else:
        lab.guard.connect()  # one line a second at rest leaves whole answers in between


@pytest.mark.parametrize(
    "battery, errors, why",
    [(5, "000000", "battery has 5 %"), (87, "000200", "errors 000200"), (20, "000000", "")],
)
def test_self_test_reads_battery_and_errors(battery, errors, why):
    lab = Lab()
    lab.device.battery, lab.device.errors = battery, errors
    found = lab.guard.self_test()
    assert why in " ".join(found)
    assert bool(found) is bool(why)


def test_preparation_moves_by_two_degrees_and_comes_back():
    lab = Lab(connect=False)
    lab.guard.connect()
    hottest_c, before = 0.0, lab.device.move

    def move(dt_s):
        nonlocal hottest_c
        before(dt_s)
        hottest_c = max(hottest_c, lab.device.hottest_c)

    lab.device.move = move
    assert lab.guard.prepare() == []
    assert 33.9 <= hottest_c <= 34.0
    assert lab.device.hottest_c == 32.0
    lab.device.late_s = 99.0
    assert "did not rise" in " ".join(lab.guard.prepare())


def test_file_without_a_port_or_zones_is_refused():
    with pytest.raises(WrongInput, match="which zones heat"):
        Tcs2(FILE.model_copy(update={"zones": ()}), ManualClock())
    with pytest.raises(WrongInput, match="described by a file"):
        make_driver("tcs2", ManualClock())
    with pytest.raises(WrongInput, match="for the simulated thermode"):
        make_driver("tcs2", ManualClock(), faults=["stuck@1"], file=FILE)


# A stimulus.


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_stimulus_is_given_as_planned(firmware):
    lab = Lab(firmware).give().run(8.0)
    assert lab.said("heat_fault") == lab.said("heat_refused") == []
    assert lab.hottest_c == pytest.approx(46.0)
    [onset], [ended] = lab.said("heat_onset"), lab.said("heat_ended")
    began_s = lab.said("heat_fired")[0].time_s + 0.05
    assert onset.details["onset_s"] == pytest.approx(began_s, abs=0.03)
    assert not ended.details["early"]
    assert lab.hot_s == pytest.approx(PROFILE.duration_s - 2 / 8.0, abs=0.05)
    last = bytes(lab.device.log)
    assert last.count(b"Ol" if firmware == "v16" else b"L") == 1


def test_stimulus_waits_for_its_settings():
    lab = Lab()
    ticket = lab.driver.arm(PROFILE)
    with pytest.raises(StimulatorMissing, match="not confirmed"):
        lab.driver.fire(ticket)
    for _ in range(10):
        lab.clock.advance(0.005)
        lab.driver.read()
    assert lab.driver.pop_news() == [Confirmed(ticket.number)]
    lab.driver.fire(ticket)
    with pytest.raises(WrongInput, match="good for once"):
        lab.driver.fire(ticket)


def test_settings_that_come_back_otherwise_start_nothing():
    lab = Lab()
    lab.device.do_V = lambda rest: None
    lab.give(HeatProfile(46.0, 3.0, rise_c_per_s=9.0)).run(4.0)
    assert "has not confirmed its settings" in lab.why("heat_refused")
    assert lab.hottest_c == 32.0


def test_profile_is_rounded_down():
    lab = Lab()
    ticket = lab.guard.arm(HeatProfile(45.57, 2.00049, rise_c_per_s=8.19), SITE)
    assert ticket.profile == HeatProfile(45.5, 2.0, rise_c_per_s=8.1)
    with pytest.raises(UnsafeHeat, match="ends both after 9.999 s"):
        Lab("old").give(HeatProfile(42.0, 9.0))


@pytest.mark.parametrize("firmware", FIRMWARES)
def test_participants_button_ends_this_stimulus(firmware):
    lab = Lab(firmware).give().run(3.0)
    lab.device.pressed[1] = True
    lab.run(0.2)
    lab.device.pressed[1] = False
    lab.run(4.0)
    assert lab.said("heat_fault") == lab.said("heat_aborted") == []
    assert [event.details["by"] for event in lab.said("heat_stopped")] == ["participant"]
    assert lab.said("heat_ended")[0].details["early"]
    assert lab.device.hottest_c == 32.0
    lab.give(in_s=8.5).run(9.5)
    assert len(lab.said("heat_fired")) == 2


def test_stimulus_button_of_the_device_is_an_emergency():
    lab = Lab().give().run(3.0)
    lab.device.pressed[0] = True
    lab.run(2.0)
    assert "emergency" in lab.why("heat_aborted")
    assert lab.device.hottest_c == 32.0


# An abort.


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize("busy_s", [0.0, 0.003, 0.01, 0.02])
def test_first_abort_is_on_the_wire_within_20_ms(firmware, busy_s):
    """Also while settings of the next stimulus are being sent."""
    lab = Lab(firmware, tick_s=0.002).give().run(3.0)
    lab.driver._say(*words.settings_of(PROFILE, FILE.zones).commands(lab.driver._digits))
    lab.run(busy_s)
    n, asked_s = len(lab.port.writes), lab.clock.now_s()
    lab.guard.abort("stop")
    lab.run(0.05)
    sent_s = next(time_s for time_s, data in lab.port.writes[n:] if b"A" in data)
    assert sent_s - asked_s <= 0.02
    lab.run(1.0)
    assert lab.device.aborting
    assert lab.device.hottest_c == 32.0


@pytest.mark.parametrize("n_digits", range(1, 7))
def test_abort_is_heard_in_the_middle_of_a_command(n_digits):
    lab = Lab().give().run(3.0)
    lab.device.feed(b"D003812"[:n_digits])  # and the rest never comes
    lab.guard.abort("stop")
    lab.device.advance(lab.clock.now_s() - lab.port.start_s + 0.001)
    assert lab.device.aborting


def test_aborts_are_few():
    lab = Lab(tick_s=0.002).give().run(3.0)
    n = lab.device.log.count(b"A")
    lab.guard.abort("stop")
    lab.run(0.4)
    assert 8 <= lab.device.log.count(b"A") - n <= 8 + 0.4 / 0.05 + 1


# What can go wrong. The truth is the device's own.

#: Fault: how it may end. "deaf" and the like: the device ends its stimulus by its own clock.
FAULTS = {
    "never quiet": None,
    "cut answers": "heat_fault",
    "doubled answers": None,
    "swallows the first aborts": None,
    "deaf to abort": None,
    "stuck zone": "heat_fault",
    "zones apart": "heat_fault",
    "probe unplugged": "heat_fault",
    "overheated": "heat_fault",
    "resets when hot": "heat_fault",
    "silent when hot": "heat_fault",
}


@pytest.mark.parametrize("fault, end", FAULTS.items())
def test_fault_of_the_device_ends_in_time(fault, end):
    lab = Lab(faults=[fault]).give().run(9.0)
    if end:
        assert lab.said(end)
    assert lab.hottest_c <= 46.0 + 0.01
    assert lab.hot_s <= PROFILE.duration_s + 0.5 or fault == "stuck zone"


def test_cable_pulled_is_a_fault_and_the_device_finishes_alone():
    lab = Lab().give().run(2.0)
    lab.port.gone_s = lab.clock.now_s()
    for _ in range(1500):
        lab.clock.advance(0.004)
        lab.guard.step()
        lab.events += lab.guard.pop_events()
        lab.device.advance(lab.clock.now_s() - lab.port.start_s)
    assert "the cable is out" in lab.why("heat_fault")
    assert lab.device.hottest_c == 32.0
    assert lab.guard.link_s == 0.0


ANSWERS = [
    b"\r300+320+321+319+320+320\r00",
    PARAMETERS,
    b"\r12.3456v 087%",
    b"\r000000",
    b"\rFirmware: 16\r",
    b"\n",
]


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60), st.sampled_from(ANSWERS), st.sampled_from(ANSWERS).map(lambda a: a[:-3])
        )
    ),
    st.sampled_from(["rest", "hot"]),
)
@example([b"\r999" + b"+999" * 5 + b"\r11"], "hot")
@settings(max_examples=25, deadline=None)
def test_no_bytes_break_the_driver(answers, when):
    lab = Lab(faults=[], tick_s=0.01)
    if when == "hot":
        lab.give().run(2.5)
    lab.device.say = lambda text: None
    for answer in answers:
        lab.device.out += answer
        lab.clock.advance(0.01)
        try:
            reading = lab.driver.read()
            news = lab.driver.pop_news()
        except StimulatorMissing:
            continue
        assert reading.time_s <= lab.clock.now_s()
        assert math.isnan(reading.measured_c) or -100.0 <= reading.measured_c <= 100.0
        assert all(isinstance(each, Onset | Stopped | Confirmed) for each in news)


@given(st.binary(max_size=300))
@settings(max_examples=25, deadline=None)
def test_no_bytes_break_the_greeting(noise):
    lab = Lab(connect=False)
    lab.device.say = lambda text: lab.device.out.extend(noise)
    began_s = time.process_time()
    with pytest.raises(NeurofbError):
        lab.guard.connect()
    assert lab.port.is_closed
    assert time.process_time() - began_s < 30.0


# The port.


def test_real_port_carries_a_session_of_bytes():
    """A pseudo-terminal and pyserial: the ways of the system, in real time."""
    from neurofb.stimulation.watchdog import EngineClock

    there = PtyDevice(TcsDevice("v16"))
    try:
        file = FILE.model_copy(update={"link": FILE.link.model_copy(update={"port": there.name})})
        driver = make_driver("tcs2", EngineClock(0.0), file=file)
        driver.connect(49.0)
        assert driver.read().measured_c == 32.0
        assert driver.self_test() == []
        with pytest.raises(StimulatorMissing, match="cannot be opened"):
            make_driver("tcs2", EngineClock(0.0), file=file).connect(49.0)  # one program at a time
        driver.close()
    finally:
        there.close()


def test_port_that_is_not_there_says_what_to_look_at():
    link = FILE.link.model_copy(update={"port": "/dev/no-such-port"})
    with pytest.raises(StimulatorMissing, match=r"/dev/no-such-port cannot be opened .*\[link\]"):
        make_driver("tcs2", ManualClock(), file=FILE.model_copy(update={"link": link})).connect(49.0)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_device_finishes_by_its_own_clock_when_the_watchdog_is_gone(tmp_path, how):
    """The process that ships, a real port, and in the middle of a stimulus a death, or a standstill: nothing heats on.

    The engine ends the session either way: it hears nothing for a second.
    """
    from neurofb.stimulation.client import open_stimulator
    from neurofb.stimulation.conditions import Facts
    from neurofb.stimulation.watchdog import EngineClock
    from neurofb.stimulation.watchdog_log import read_watchdog_log

    there, clock, events = PtyDevice(TcsDevice("v16")), EngineClock(0.0), []
    file = FILE.model_copy(update={"link": FILE.link.model_copy(update={"port": there.name})})
    log = tmp_path / "watchdog.jsonl"
    client = open_stimulator("tcs2", envelope=Envelope(), clock=clock, file=file, log=log)

    def wait_for(kind):
        until_s = clock.now_s() + 30.0
        while not any(event.kind == kind for event in events):
            assert clock.now_s() < until_s, [(event.kind, event.message) for event in events]
            client.beat(Facts(clock.now_s(), 0.0, True, True))
            events.extend(client.pop_events())
            clock.wait_until(clock.now_s() + 0.01)

    def beat_until(time_s):
        while clock.now_s() < time_s:
            client.beat(Facts(clock.now_s(), 0.0, True, True))
            clock.wait_until(clock.now_s() + 0.05)

    try:
        assert client.connect().firmware == "16.1.2"
        assert client.self_test() == []
        client.place(SITE, "the test")
        wait_for("probe_placed")
        profile = HeatProfile(40.0, 0.5, rise_c_per_s=20.0, return_c_per_s=20.0)
        client.schedule(profile, SITE, clock.now_s() + 0.5)
        wait_for("heat_onset")
        os.kill(client.pid, how)
        until_s = clock.now_s() + 30.0
        while there.hottest_c < 39.9 or there.device.hottest_c > 32.0:
            assert clock.now_s() < until_s
            clock.wait_until(clock.now_s() + 0.01)
        assert there.hottest_c <= 40.0
        with pytest.raises(SafetyStop):
            beat_until(until_s)
        assert (
            read_watchdog_log(log).outlook.most_dose(0.0, 0.0) > 0
        )  # and the account knows what it may have been
    finally:
        client._pipe._process.kill()
        there.close()
