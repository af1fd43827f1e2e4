"""The driver of the TSA-2 against a device that reads the protocol once more on its own (``tsa2_device``)."""

import math
import time

import pytest
from driver_lab import PROFILE, DriverLab
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stimulation_parts import SITE
from tcs_device import MemoryPort, PtyDevice
from tsa2_device import Tsa2Device

from neurofb.clock import ManualClock
from neurofb.errors import NeurofbError, StimulatorMissing, UnsafeHeat, WrongInput
from neurofb.stimulation.bench import ThermodeBench
from neurofb.stimulation.driver import Confirmed, Failed, Onset, Stopped
from neurofb.stimulation.drivers import tsa2_words as words
from neurofb.stimulation.drivers.tsa2 import Tsa2
from neurofb.stimulation.drivers.tsa2_words import Command
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import make_driver
from neurofb.stimulation.thermode_file import load_thermode

FILE = load_thermode("medoc-tsa-2")


class Lab(DriverLab):
    """A TSA-2 at a port in memory."""

    def __init__(self, faults=(), cap_c=49.0, tick_s=0.004, connect=True, **device):
        clock, made = ManualClock(100.0), Tsa2Device(faults, **device)
        self.port = MemoryPort(clock, made)
        driver = Tsa2(FILE, clock, lambda _file: self.port)
        super().__init__(clock, made, self.port, driver, cap_c=cap_c, tick_s=tick_s, connect=connect)

    def sent(self):
        """Return what moves something, in order."""
        return [command for command, _ in self.device.log if command not in (33, 35, 37)]


# Bytes, written down from the facts.


@pytest.mark.parametrize(
    "command, token, data, wire",
    [
        (Command.VERSION, 2, "", "76 00 08 25 00 00 00 02 00"),  # the maker's own test vector
        (45, 18569, "00", "70 00 09 2d 00 00 48 89 00 00"),  # the maker's as well
        (Command.STATUS, 3, "", "c7 00 08 21 00 00 00 03 00"),
        (Command.SET_STATE, 4, "02 01", "a3 00 0a 29 00 00 00 04 00 02 01"),
        (Command.SET_STATE, 5, "03 01", "a0 00 0a 29 00 00 00 05 00 03 01"),
        (Command.SET_STATE, 10, "00 00", "4a 00 0a 29 00 00 00 0a 00 00 00"),
        (Command.ENABLE, 3, "01 01", "c5 00 0a 53 00 00 00 03 00 01 01"),
        (Command.SET_ACTIVE, 4, "01", "4d 00 09 12 00 00 00 04 00 01"),
        (Command.RUN_TEST, 7, "00", "82 00 09 16 00 00 00 07 00 00"),
        (47, 8, "", "e9 00 08 2f 00 00 00 08 00"),
        (Command.END_TEST, 9, "", "af 00 08 19 00 00 00 09 00"),
        (Command.CLEAR, 11, "", "d7 00 08 1b 00 00 00 0b 00"),
        (Command.RAMP, 6, "12 2a 00 00 07 08 80 01 00", "48 00 11 1c 00 00 00 06 00 12 2a 00 00 07 08 80 01 00"),
        (29, 6, "12 2a 00 32 00 32 00 00 07 08 80 03 00",
         "ad 00 15 1d 00 00 00 06 00 12 2a 00 32 00 32 00 00 07 08 80 03 00"),
    ],
)  # fmt: skip
def test_frame_is_these_bytes(command, token, data, wire):
    assert words.frame(command, token, bytes.fromhex(data)) == bytes.fromhex(wire)


VERSION = bytes.fromhex("37 00 15 25 00 00 00 02 00 00 0b 56 53 41 20 32 2e 30 2e 30 2e 37")
RESTING = bytes.fromhex(
    "4e 00 3a 21 00000003 00 00 0000ea60 00000000 00000000 02 00 00 14 14 01 0c80 01 0c4e 0898 0ed8 80 04"
    "00 00 00 0000 00 00 00000000 00000000 00 00 0000 00"
)


def test_recorded_answer_is_understood():
    """Of a device: GetVersion."""
    for before in (b"", b"\x0a\x0d", VERSION[:9], b"\x00" * 30, b"\xff" * 600):
        answer, end = words.answer_in(before + VERSION + b"\x00")
        assert answer == words.Answer(37, 2, 0, b"\x0bVSA 2.0.0.7")
        assert end == len(before) + len(VERSION)
    assert all(words.answer_in(VERSION[:n]) is None for n in range(len(VERSION)))
    for i in range(len(VERSION)):
        broken = bytearray(VERSION)
        broken[i] ^= 0x10
        assert words.answer_in(bytes(broken)) is None


@pytest.mark.parametrize(
    "wire, why", [("82 00 09 16 00 00 00 07 00 00", 0), ("9e 00 09 16 00 00 00 07 00 04", 4)]
)
def test_acknowledgement_is_understood(wire, why):
    answer, _ = words.answer_in(bytes.fromhex(wire))
    assert (answer.command, answer.token, answer.acknowledgement, answer.data) == (22, 7, why, b"")
    assert words.Answer(22, 7, 4, b"").why == "not possible in its state"
    assert words.Answer(22, 7, 99, b"").why == "for a reason that is not known (99)"


def test_status_is_these_bytes():
    assert len(RESTING) == 59
    answer, _ = words.answer_in(RESTING)
    assert words.status_in(answer.data) == words.Status(2, 0, False, False, (32.0,), 0)
    assert all(words.status_in(answer.data[:n]) is None for n in range(len(answer.data)))
    assert words.status_in(answer.data + b"\x00") is None


def with_byte(at, value):
    data = bytearray(words.answer_in(RESTING)[0].data)
    data[at] = value
    return words.status_in(bytes(data))


def test_bits_of_the_status():
    assert [with_byte(12, 0x40 + n).state for n in range(5)] == [0, 1, 2, 3, 4]
    assert with_byte(12, 0x42).has_error
    assert not with_byte(12, 0x32).has_error
    assert [with_byte(14, bits).pressed for bits in range(8)] == [False, True, True, True] + [
        False,
        True,
        True,
        True,
    ]
    assert with_byte(11, 7).running_token == 7
    assert with_byte(-3, 2).health == words.Health.EMERGENCY
    without_heater = words.answer_in(RESTING)[0].data
    without_heater = without_heater[:17] + b"\x00" + without_heater[20:]
    assert words.status_in(without_heater).zones_c == (31.5,)


@pytest.mark.parametrize("layout", [4, 5])
@pytest.mark.parametrize("heaters", [0, 1, 4])
def test_status_of_each_layout_is_read(layout, heaters):
    device = Tsa2Device(heaters=heaters, layout=layout)
    _, data = device.do_status(b"", b"")
    assert words.status_in(data).zones_c == ((32.0,) * heaters or (31.5,))
    device.coolers, device.truth = [], []
    assert words.status_in(device.do_status(b"", b"")[1]).zones_c == ()


def test_stimulus_is_these_ramps():
    """Each is stopped by either button, and the plateau is a ramp by time."""
    assert [each.hex() for each in words.ramps(HeatProfile(46.5, 2.0))] == [
        "122a" + "00000714" + "800300",
        "122a" + "000007d0" + "800300",
        "0c80" + "00000714" + "800300",
    ]
    assert len(words.ramps(HeatProfile(46.5, 0.0))) == 2
    assert words.ramp(45.57, 1.0006)[:6].hex() == "11cd" + "000003e8"


def test_first_error_counts():
    assert words.first_error(b"\x00") is words.first_error(b"") is words.first_error(b"\x01\x80") is None
    assert words.first_error(b"\x02\x80\x01" + bytes(15)) == 0x8001
    assert words.error_in_words(0x8019) == "error 0x8019: its emergency button was pressed"
    assert words.error_in_words(0x8011) == "error 0x8011: see the manual"


# Before the session.


def test_device_is_asked_and_put_to_rest_before_anything():
    lab = Lab()
    assert lab.device.log[0] == (37, b"")
    assert [(c, d) for c, d in lab.device.log if c in (83, 18, 41)] == [
        (83, b"\x01\x01"),
        (18, b"\x01"),
        (41, b"\x02\x00"),
    ]
    assert lab.abilities.firmware == "VSA 2.0.0.7"
    assert (lab.device.enabled, lab.device.active, lab.device.state) == ({1}, 1, 2)
    assert lab.guard.self_test() == []
    assert lab.driver.lower(30.0) is None


@pytest.mark.parametrize(
    "faults, why",
    [
        (["dead"], "does not answer VERSION.*115200, or 9600"),
        (["wrong baud"], "does not answer VERSION"),
        (["no thermode"], "does not take thermode 1 .the thermode is disabled.*Main Station"),
    ],
)
def test_device_that_cannot_be_used_is_missing(faults, why):
    lab = Lab(faults, connect=False)
    with pytest.raises(StimulatorMissing, match=why):
        lab.guard.connect()
    assert lab.port.is_closed
    assert lab.clock.now_s() - 100.0 < 3.0
    with pytest.raises(StimulatorMissing, match="not connected"):
        lab.driver.abort()


def test_own_test_is_waited_for():
    lab = Lab(connect=False, test_s=20.0)
    lab.guard.connect()
    assert lab.guard.prepare() == []
    assert 20.0 < lab.clock.now_s() - 100.0 < 23.0
    assert lab.device.state == 2
    lab.device.test_s = 99.0
    began_s = lab.clock.now_s()
    assert "did not end at rest" in lab.guard.prepare()[0]
    assert lab.clock.now_s() - began_s < 50.0


def test_emergency_needs_its_operator_and_does_not_hang():
    lab = Lab(["emergency"], connect=False)
    lab.guard.connect()
    lab.device.press_emergency()
    assert "did not begin its own test (not possible in its state)" in lab.guard.prepare()[0]
    lab = Lab(connect=False)
    lab.guard.connect()
    assert lab.guard.prepare() == []
    lab.device.press_emergency()
    found = " ".join(lab.guard.self_test())
    assert "in its safe mode: see to it in Main Station" in found
    assert "0x0200" in found
    assert "error 0x8019: its emergency button was pressed" in found
    assert lab.clock.now_s() < 110.0


def test_warning_is_no_reason_and_a_missing_sensor_is():
    lab = Lab()
    lab.device.error = 0x2003
    assert lab.driver.self_test() == []
    lab.device.truth, lab.device.coolers = [], []
    assert "tells no temperature" in lab.driver.self_test()[0]


def test_file_and_settings_are_checked():
    with pytest.raises(WrongInput, match="described by a file"):
        make_driver("tsa2", ManualClock())
    with pytest.raises(WrongInput, match="for the simulated thermode"):
        make_driver("tsa2", ManualClock(), faults=["stuck@1"], file=FILE)
    with pytest.raises(WrongInput, match=r"medoc-tsa-2: \[settings\](.|\n)*thermode"):
        Tsa2(FILE.model_copy(update={"settings": {"thermode": 8}}), ManualClock())


# A stimulus.


@pytest.mark.parametrize("after", ["holds", "leaves"])
@pytest.mark.parametrize("heaters, layout", [(1, 4), (3, 5)])
def test_stimulus_is_given_as_planned(after, heaters, layout):
    lab = Lab(after=after, heaters=heaters, layout=layout).give().run(8.0)
    assert lab.said("heat_fault") == lab.said("heat_refused") == []
    assert lab.hottest_c == pytest.approx(46.0)
    [onset], [ended] = lab.said("heat_onset"), lab.said("heat_ended")
    assert onset.details["onset_s"] == pytest.approx(lab.said("heat_fired")[0].time_s + 0.05, abs=0.03)
    assert not ended.details["early"]
    assert lab.hot_s == pytest.approx(PROFILE.duration_s - 2 / 8.0, abs=0.06)
    assert lab.device.state in (2, 3)
    assert lab.sent().count(22) == 1
    lab.give(in_s=8.5).run(16.0)
    assert len(lab.said("heat_ended")) == 2
    assert lab.said("heat_fault") == []


def test_stimulus_waits_for_its_ramps():
    lab = Lab()
    ticket = lab.driver.arm(PROFILE)
    with pytest.raises(StimulatorMissing, match="has not taken the ramps"):
        lab.driver.fire(ticket)
    for _ in range(40):
        lab.clock.advance(0.005)
        lab.driver.read()
    assert lab.driver.pop_news() == [Confirmed(ticket.number)]
    assert len(lab.device.ramps) == 3
    lab.driver.fire(ticket)
    with pytest.raises(WrongInput, match="good for once"):
        lab.driver.fire(ticket)


def test_profile_is_rounded_down_and_the_devices_own_table_holds():
    lab = Lab(cap_c=50.0)
    assert lab.guard.arm(HeatProfile(45.578, 2.00049), SITE).profile == HeatProfile(45.57, 2.0)
    with pytest.raises(UnsafeHeat, match="own table ends them after 10 s"):
        Lab().guard.arm(HeatProfile(49.0, 12.0), SITE)
    with pytest.raises(UnsafeHeat, match="40 °C at most may be given"):
        Lab(cap_c=40.0).driver.arm(PROFILE)
    assert Lab(cap_c=46.0).driver.arm(PROFILE).profile == PROFILE


@pytest.mark.parametrize("late_s", [0.0, 0.2])
def test_status_from_before_the_start_is_no_end(late_s):
    """A rise that no reading shows begins with its command; a status was on its way then."""
    lab = Lab(tick_s=0.02, late_s=late_s).give(
        HeatProfile(33.0, 0.0, rise_c_per_s=1.0, return_c_per_s=1.0), in_s=0.5
    )
    lab.run(4.0)
    assert lab.said("heat_fault") == []
    assert not lab.said("heat_ended")[0].details["early"]


def test_ramp_that_is_not_answered_is_never_sent_twice():
    lab = Lab()
    before = lab.device.say
    lab.device.say = lambda command, *more: None if command == 28 else before(command, *more)
    lab.give().run(2.5)
    assert lab.sent().count(28) == 1
    assert "has not confirmed its settings" in lab.why("heat_refused")
    assert lab.hottest_c == 32.0


@pytest.mark.parametrize(
    "command, ack, why", [(27, 4, "CLEAR"), (41, 4, "SET_STATE"), (28, 7, "RAMP: its buffer is full")]
)
def test_refused_command_starts_nothing(command, ack, why):
    lab = Lab()
    before = lab.device.say
    lab.device.say = lambda asked, token, result, *more: before(
        asked, token, ack if asked == command else result, *more
    )
    lab.give().run(2.5)
    assert why in lab.why("heat_fault")
    assert lab.hottest_c == 32.0


def test_run_that_is_refused_is_said():
    lab = Lab()
    lab.device.do_run = lambda data, token: 4
    lab.give().run(2.0)
    assert "did not run its ramps (not possible in its state)" in lab.why("heat_fault")


@pytest.mark.parametrize("which", [1, 2])
@pytest.mark.parametrize("fault", [[], ["button starts the next"]])
def test_participants_button_ends_this_stimulus(which, fault):
    """In the device where it can; where a press only starts the next ramp, by the driver."""
    lab = Lab(fault).give().run(2.0)
    lab.device.io = which
    lab.run(0.3)
    lab.device.io = 0
    lab.run(4.0)
    assert lab.said("heat_fault") == lab.said("heat_aborted") == []
    assert [event.details["by"] for event in lab.said("heat_stopped")] == ["participant"]
    assert lab.device.hottest_c == 32.0
    assert lab.hot_s < 2.5
    lab.give(in_s=8.5).run(9.5)
    assert len(lab.said("heat_fired")) == 2


# An abort.


@pytest.mark.parametrize("after_s", [0.01, 0.1, 0.31, 2.0])
def test_first_abort_is_on_the_wire_at_once(after_s):
    lab = Lab(tick_s=0.002).give().run(after_s)
    n, asked_s = len(lab.port.writes), lab.clock.now_s()
    lab.guard.abort("stop")
    sent_s = next(at_s for at_s, data in lab.port.writes[n:] if data[3] == 25)
    assert sent_s == asked_s
    lab.run(2.0)
    assert lab.device.hottest_c == 32.0
    assert lab.device.running is None


@pytest.mark.parametrize("n_bytes", [1, 5, 17])
def test_abort_lets_half_a_frame_end_whole(n_bytes):
    lab = Lab().give().run(2.0)
    write = lab.port.write
    lab.port.write = lambda data: write(data[:n_bytes]) if data[3:4] == b"\x1c" else write(data)
    lab.driver._say(Command.RAMP, words.ramp(46.0, 1.0))
    lab.driver._pump()
    lab.driver._say(Command.RAMP, words.ramp(47.0, 1.0))
    lab.port.write = write
    lab.guard.abort("stop")
    assert [command for command, _ in lab.device.log[-2:]] == [28, 25]
    assert lab.device.running is None


def test_abort_drops_what_is_not_sent():
    """A port that takes nothing for a while: no start comes out of it after the abort."""
    lab = Lab().give().run(0.2)
    write, n = lab.port.write, len(lab.device.log)
    lab.port.write = lambda data: 0
    lab.driver._say(Command.RUN_TEST, b"\x00")
    lab.driver._pump()
    lab.guard.abort("stop")
    lab.port.write = write
    lab.run(1.0)
    assert 22 not in [command for command, _ in lab.device.log[n:]]
    assert 25 in [command for command, _ in lab.device.log[n:]]
    assert lab.hottest_c == 32.0


def test_tokens_count_up():
    lab = Lab().give().run(1.0)
    tokens = [int.from_bytes(data[4:8], "big") for _, data in lab.port.writes]
    assert tokens == list(range(1, len(tokens) + 1))
    lab.driver._token = 0xFFFFFFFF
    assert lab.driver._say(Command.STATUS) == 1


@pytest.mark.parametrize(
    "fault, sent, state",
    [
        ("goes on after abort", {25, 41}, 0),
        ("abort swallowed", {25}, 3),
        ("end does not cool", {25, 27, 41, 28, 22}, 4),
    ],
)
def test_ladder_is_climbed_until_the_readings_fall(fault, sent, state):
    lab = Lab([fault]).give().run(3.0)
    n = len(lab.device.log)
    lab.guard.abort("stop")
    lab.run(4.0)
    after = [command for command, _ in lab.device.log[n:] if command != 33]
    assert sent <= set(after)
    assert (lab.device.state, lab.device.hottest_c) == (state, 32.0)
    assert lab.hot_s < 5.0
    assert len(after) < 30
    if fault == "abort swallowed":
        assert 27 not in after


def test_second_rung_runs_nothing_unless_the_ramps_are_cleared():
    lab = Lab(["end does not cool"]).give().run(3.0)
    before = lab.device.say
    lab.device.say = lambda command, *more: None if command == 27 else before(command, *more)
    n = len(lab.device.log)
    lab.guard.abort("stop")
    lab.run(3.0)
    after = [command for command, _ in lab.device.log[n:]]
    assert 22 not in after
    assert lab.device.state == 0
    assert lab.device.hottest_c == 32.0


def test_no_ladder_at_rest():
    lab = Lab()
    lab.guard.abort("stop")
    lab.run(3.0)
    assert set(lab.sent()[5:]) <= {25}
    assert lab.device.state == 2
    lab.guard.reset()
    lab.give().run(8.0)
    assert lab.said("heat_ended")


# What can go wrong.

FAULTS = {
    "overheat error when hot": "error 0x8001: overheated",
    "water low when hot": "health 0x0400",
    "resets when hot": "'off'",
    "bad crc": "reading is",
    "late echo": "reading is",
    "silent when hot": "reading is",
    "cut answers": "did not begin",
    "overheated": "would be right",
    "hotter than told": "and hotter",
    "probe unplugged": "reading is",
}


@pytest.mark.parametrize("fault, why", FAULTS.items())
def test_fault_of_the_device_ends_the_stimulus(fault, why):
    lab = Lab([fault]).give().run(9.0)
    assert why in lab.why("heat_fault")
    assert lab.hottest_c <= 49.0
    assert lab.hot_s <= PROFILE.duration_s + 0.2
    assert lab.device.hottest_c == 32.0


@pytest.mark.parametrize("fault", ["warning when hot", "doubled answers"])
def test_what_is_no_fault_ends_nothing(fault):
    lab = Lab([fault]).give().run(9.0)
    assert lab.said("heat_fault") == lab.said("heat_refused") == []
    assert lab.hottest_c == pytest.approx(46.0)


def test_emergency_button_is_one():
    lab = Lab(["emergency when hot"]).give().run(6.0)
    assert [event.details["by"] for event in lab.said("heat_stopped")] == ["emergency"]
    assert "emergency" in lab.why("heat_aborted")
    assert lab.device.hottest_c == 32.0
    lab.guard.reset()
    with pytest.raises(UnsafeHeat, match="says of itself"):
        lab.guard.arm(PROFILE, SITE)


def test_zones_far_apart_are_a_fault_where_the_file_says_so():
    lab = Lab(["zones apart"], heaters=3)
    lab.give().run(8.0)
    assert lab.hottest_c == pytest.approx(46.0)
    assert len(lab.driver.read().zones_c) == 3
    assert lab.driver.read().measured_c == 32.0


def test_error_that_stays_arms_nothing():
    lab = Lab()
    lab.device.error = 0x8004
    lab.run(0.5)
    assert "sensors disagree" in lab.why("heat_fault")
    lab.guard.reset()
    with pytest.raises(UnsafeHeat, match="says of itself: 'fault'"):
        lab.guard.arm(PROFILE, SITE)
    lab.device.error = 0
    lab.run(0.5)
    lab.give().run(8.0)
    assert lab.said("heat_ended")


def test_silence_trips_the_devices_own_watchdog():
    lab = Lab(link_s=3.0).give().run(2.0)
    lab.device.advance(lab.clock.now_s() - lab.port.start_s + 20.0)
    assert lab.device.error == 0x800C
    assert lab.device.hottest_c == 32.0


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


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 59).map(lambda n: RESTING[:n])), min_size=1),
    st.sampled_from(["rest", "hot"]),
)
@example([b"\x00" * 600], "hot")
@settings(max_examples=25, deadline=None)
def test_no_bytes_break_the_driver(answers, when):
    lab = Lab(tick_s=0.01)
    if when == "hot":
        lab.give().run(2.0)
    lab.device.say = lambda *more: None
    for answer in answers:
        lab.device.out += answer
        asked = lab.driver._asked
        if asked is not None and len(answer) == 59:  # a frame of its own token, with bytes that mean anything
            body = (
                RESTING[1:3] + bytes([asked.command]) + asked.token.to_bytes(4, "big") + b"\x00" + answer[9:]
            )
            lab.device.out += bytes([words.checksum(body)]) + body
        lab.clock.advance(0.01)
        reading = lab.driver.read()
        assert reading.time_s <= lab.clock.now_s()
        assert math.isnan(reading.measured_c) or abs(reading.measured_c) < 330.0
        assert all(isinstance(each, Onset | Stopped | Confirmed | Failed) for each in lab.driver.pop_news())


@given(st.binary(max_size=700))
@settings(max_examples=10, deadline=None)
def test_no_bytes_break_the_greeting(noise):
    lab = Lab(connect=False)
    lab.device.say = lambda *more: lab.device.out.extend(noise)
    began_s = time.process_time()
    with pytest.raises(NeurofbError):
        lab.guard.connect()
    assert lab.port.is_closed
    assert time.process_time() - began_s < 30.0


def test_good_device_passes_the_bench(monkeypatch):
    from neurofb.stimulation import bench

    monkeypatch.setattr(bench, "TURN_S", 0.02)
    clock, device = ManualClock(100.0), Tsa2Device()

    def ask(text):
        if "Press the participant's button" in text:
            move = device.move
            device.move = lambda dt_s: (
                move(dt_s),
                setattr(device, "io", device.hottest_c > (38.0 if device.io else 41.0)),
            )
        return True

    found = ThermodeBench(Tsa2(FILE, clock, lambda _: MemoryPort(clock, device)), FILE, clock, ask).run()
    assert all(check.passed for check in found), found
    assert len(found) == 9


def test_real_port_carries_a_session_of_bytes():
    from neurofb.stimulation.watchdog import EngineClock

    there = PtyDevice(Tsa2Device())
    try:
        file = FILE.model_copy(update={"link": FILE.link.model_copy(update={"port": there.name})})
        driver = make_driver("tsa2", EngineClock(0.0), file=file)
        driver.connect(49.0)
        assert driver.read().measured_c == 32.0
        assert driver.self_test() == []
        driver.close()
    finally:
        there.close()
