"""The driver of Medoc's Main Station against a server that reads the protocol once more on its own (``mms_device``)."""

import math
from itertools import pairwise

import pytest
from driver_lab import PROFILE, DriverLab
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mms_device import MainStationDevice, MemoryNetwork, TcpDevice
from stimulation_parts import SITE

from neurofb.clock import ManualClock
from neurofb.errors import NeurofbError, StimulatorMissing, UnsafeHeat, WrongFile, WrongInput
from neurofb.stimulation.bench import ThermodeBench, fingerprint
from neurofb.stimulation.driver import Capabilities, Confirmed, Failed, Onset, Stopped
from neurofb.stimulation.drivers import mms_words as words
from neurofb.stimulation.drivers.mms import MainStation
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import make_driver
from neurofb.stimulation.thermode_file import Program, ThermodeFile, load_thermode

BUNDLED = load_thermode("medoc-main-station")
ROWS = [(18, 44.0, 3.0), (19, 42.0, 10.0), (20, 46.0, 3.0), (21, 33.0, 1.0)]
FILE = BUNDLED.model_copy(
    update={"programs": tuple(Program(code=code, target_c=c, plateau_s=s) for code, c, s in ROWS)}
)
#: 2024-11-14 or so, as the golden bytes have it.
TIME = 0x6553F100


def own(**changes):
    return FILE.model_copy(update={"settings": {**FILE.settings, **changes}})


class Lab(DriverLab):
    """A Main Station in memory."""

    usual_in_s = 0.5

    def __init__(self, file=FILE, cap_c=49.0, tick_s=0.004, connect=True, faults=(), **device):
        clock, made = ManualClock(100.0), MainStationDevice(faults=faults, **device)
        self.network = MemoryNetwork(clock, made)
        driver = MainStation(file, clock, lambda _file: self.network)
        super().__init__(clock, made, self.network, driver, cap_c=cap_c, tick_s=tick_s, connect=connect)

    def sent(self):
        """Return what moves something, in order: a STATUS moves nothing."""
        return [(command, parameter) for _, command, parameter in self.device.log if command]


# Bytes, written down from the facts.


@pytest.mark.parametrize(
    "order, command, parameter, wire",
    [
        ("little", words.Command.STATUS, None, "05 00 00 00  00 f1 53 65  00"),
        ("big", words.Command.STATUS, None, "00 00 00 05  00 f1 53 65  00"),
        ("little", words.Command.SELECT, 18, "09 00 00 00  00 f1 53 65  01  12 00 00 00"),
        ("big", words.Command.SELECT, 18, "00 00 00 09  00 f1 53 65  01  12 00 00 00"),
        ("little", words.Command.SELECT, 0, "09 00 00 00  00 f1 53 65  01  00 00 00 00"),
        ("little", words.Command.START, None, "05 00 00 00  00 f1 53 65  02"),
        ("little", words.Command.TRIGGER, None, "05 00 00 00  00 f1 53 65  04"),
        ("big", words.Command.STOP, None, "00 00 00 05  00 f1 53 65  05"),
        ("little", words.Command.ABORT, None, "05 00 00 00  00 f1 53 65  06"),
    ],
)
def test_request_is_these_bytes(order, command, parameter, wire):
    assert words.request(command, TIME, order, parameter) == bytes.fromhex(wire)


RUNNING = "13 00 00 00  00 f1 53 65  00 02 01 00 00  39 30 00 00  2a 12  00 00 00 00"
REFUSED = "1f 00 00 00  00 f1 53 65  04 02 03 03 00  00 00 00 00  8a 0c  00 00 00 00" + b"not possible".hex()


def test_answers_are_these_bytes():
    whole = bytes.fromhex(RUNNING)
    assert words.answer_in(whole) == words.Answer(TIME, 0, "test", "running", 0, 46.5, False, False, "")
    assert all(words.answer_in(whole[:n]) is None for n in range(len(whole)))
    assert words.answer_in(whole + b"\x00") == words.answer_in(whole)
    refused = words.answer_in(bytes.fromhex(REFUSED))
    assert (refused.command, refused.test, refused.result, refused.measured_c) == (4, "ready", 3, 32.1)
    assert refused.why.endswith("(result 0x0003): not possible")
    cold = bytes.fromhex(RUNNING.replace("2a 12  00 00 00", "9c ff  00 01 02"))
    assert words.answer_in(cold).measured_c == -1.0
    assert (words.answer_in(cold).yes, words.answer_in(cold).no) == (True, True)


def test_answer_of_an_old_server_has_no_temperature():
    old = words.answer_in(bytes.fromhex("0d 00 00 00  00 f1 53 65  00 01 00 00 00  39 30 00 00"))
    assert old.is_old
    assert (old.system, old.test) == ("ready", "idle")
    assert not words.answer_in(bytes.fromhex(RUNNING)).is_old


@pytest.mark.parametrize("n_bytes", [0, 12, 2020, 318_767_104, 0xFFFFFFFF])
def test_answer_of_an_impossible_length_is_none(n_bytes):
    """318,767,104 is what a client reads that takes the length for big-endian."""
    assert words.answer_in(n_bytes.to_bytes(4, "little") + bytes(4000)) is None
    assert words.answer_in((19 + 2000).to_bytes(4, "little") + bytes(2019)) is not None
    assert words.answer_in((13).to_bytes(4, "little") + bytes(13)) is not None


@pytest.mark.parametrize(
    "result, trouble",
    [
        (0, ""),
        (3, ""),
        (0x2000, ""),
        (0x1000, "does not reach its device (result 0x1000)"),
        (0x3000, "waits for somebody"),
        (0x4000, "safety error"),
        (0x2001, "not known (result 0x2001)"),
        (0x6000, "not known"),
    ],
)
def test_result_counts_as_a_whole_value(result, trouble):
    """3 is no 1 and 2, 0x3000 no warning and device error at once; what is not known is trouble."""
    answer = words.Answer(TIME, 0, "test", "running", result, 32.0, False, False, "")
    assert trouble in answer.trouble
    assert bool(answer.trouble) is bool(trouble)


def test_unknown_states_have_names():
    answer = words.answer_in(bytes.fromhex(RUNNING.replace("02 01", "03 04")))
    assert (answer.system, answer.test) == ("unknown (3)", "unknown (4)")


# Before the session.


@pytest.mark.parametrize("length, forms", [("little", "l"), ("any", "l"), ("big", "lb")])
def test_form_of_the_length_is_found_with_status_only(length, forms):
    lab = Lab(length=length)
    assert lab.driver._order == forms[-1].replace("l", "little").replace("b", "big")
    lab.give().run(8.0)
    assert lab.hottest_c == pytest.approx(46.0)
    assert lab.device.log[0][1] == 0
    commands = [question[8] for _, question in lab.network.asked if question[8]]
    assert commands == [6, 1, 2, 4]


@pytest.mark.parametrize("length, other", [("little", "big"), ("big", "little")])
def test_form_that_is_set_is_the_only_one_tried(length, other):
    assert Lab(own(length=length), length=length).driver._order == length
    lab = Lab(own(length=length), length=other, connect=False)
    with pytest.raises(StimulatorMissing, match="does not answer; see that it listens"):
        lab.guard.connect()
    assert all(each.over for each in lab.network.open)


@pytest.mark.parametrize(
    "faults, why",
    [
        (["no temperature"], "tells no temperature"),
        (["dead"], r"192.168.0.5:20121 does not answer; see"),
        (["no listener"], r"does not answer \(Connection refused\)"),
        (["closes without answer"], r"does not answer \(the other side has closed"),
    ],
)
def test_server_that_cannot_be_used_is_refused_in_words(faults, why):
    lab = Lab(faults=faults, connect=False)
    with pytest.raises(StimulatorMissing, match=why):
        lab.guard.connect()
    assert lab.clock.now_s() - 100.0 < 2.5
    assert all(each.over for each in lab.network.open)
    assert [command for command, _ in lab.sent() if command != 6] == []
    with pytest.raises(StimulatorMissing, match="not connected"):
        lab.driver.abort()


def test_whatever_is_on_there_ends_when_the_driver_connects():
    lab = Lab(connect=False)
    lab.device.act(1, 20), lab.device.act(2, None)
    lab.device.move(0.01)
    lab.device.act(4, None)
    lab.device.advance(2.0)
    assert lab.device.truth_c > 40.0
    lab.network.start_s -= 2.0
    lab.guard.connect()
    lab.run(1.0)
    assert lab.device.truth_c == 32.0
    assert lab.guard.self_test() == []


def test_self_test_names_what_main_station_says():
    lab = Lab()
    lab.device.status_result = lambda: 0x3000
    assert "waits for somebody to do something by hand" in lab.guard.self_test()[0]
    lab.device.status_result = lambda: 0
    lab.device.system = 2
    assert lab.driver.self_test() == ["a test is on in Main Station: end it there, and choose Go to Test"]
    lab.device.system = 1
    assert lab.driver.prepare() == lab.driver.self_test() == []
    lab.device.faults.add("dead")
    with pytest.raises(StimulatorMissing, match="does not answer any more"):
        lab.driver.self_test()


@pytest.mark.parametrize(
    "change, why",
    [
        ({"length": "middle"}, "little"),
        ({"starts": 3}, "START"),
        ({"waits": "paused"}, "ready"),
        ({"pause_s": -1.0}, "pause_s"),
        ({"ports": 1}, "ports"),
    ],
)
def test_wrong_setting_is_refused_in_words(change, why):
    with pytest.raises(WrongInput, match=rf"medoc-main-station: \[settings\](.|\n)*{why}"):
        MainStation(own(**change), ManualClock())


def test_file_without_programs_or_an_address_is_refused():
    with pytest.raises(WrongInput, match="which programs are set up"):
        MainStation(FILE.model_copy(update={"programs": ()}), ManualClock())
    with pytest.raises(WrongInput, match="described by a file"):
        make_driver("mms", ManualClock())
    with pytest.raises(WrongInput, match="for the simulated thermode"):
        make_driver("mms", ManualClock(), faults=["stuck@1"], file=FILE)
    for link in ({"host": None}, {"tcp_port": None}):
        file = FILE.model_copy(update={"link": FILE.link.model_copy(update=link)})
        with pytest.raises(WrongInput, match="needs host and tcp_port"):
            make_driver("mms", ManualClock(), file=file).connect(49.0)


ROW = "\n[[programs]]\ncode = {}\ntarget_c = {}\nplateau_s = 3.0\n"


@pytest.mark.parametrize(
    "rows, why",
    [
        (ROW.format(5, 44.0) + ROW.format(5, 45.0), "two programs have the same code"),
        (ROW.format(5, 44.0) + ROW.format(6, 44.0), "two programs have the same stimulus"),
        (ROW.format(5, 51.0), "no such heat stimulus"),
        (ROW.format(256, 44.0), "from 0 to 255"),
    ],
)
def test_programs_that_cannot_be_are_refused(rows, why):
    from importlib.resources import files

    from neurofb.config import parse_toml

    text = files("neurofb._devices.thermodes").joinpath("medoc-main-station.toml").read_text("utf-8")
    head, _, rest = text.partition("[[programs]]")
    with pytest.raises(WrongFile, match=why):
        parse_toml(ThermodeFile, head + rows + rest[rest.index("[sources]") :], "own.toml")


def test_bench_result_holds_for_the_programs_and_settings_that_were_benched():
    prints = {fingerprint(each) for each in (FILE, BUNDLED, own(starts=2))}
    assert len(prints) == 3


# A stimulus.


def test_stimulus_is_given_as_planned():
    lab = Lab().give().run(8.0)
    assert lab.said("heat_fault") == lab.said("heat_refused") == []
    assert lab.hottest_c == pytest.approx(46.0)
    [onset], [ended] = lab.said("heat_onset"), lab.said("heat_ended")
    assert onset.details["onset_s"] == pytest.approx(lab.said("heat_fired")[0].time_s + 0.05, abs=0.03)
    assert not ended.details["early"]
    assert lab.hot_s == pytest.approx(PROFILE.duration_s - 2 / 8.0, abs=0.05)
    assert lab.sent() == [(6, None), (1, 20), (2, None), (4, None)]


def test_same_stimulus_again_needs_only_a_trigger_and_another_its_program():
    lab = Lab()
    lab.give().run(16.0).give().run(16.0)
    assert lab.sent()[3:] == [(4, None), (4, None)]
    lab.give(HeatProfile(44.0, 3.0)).run(16.0)
    assert lab.sent()[5:] == [(5, None), (1, 18), (2, None), (4, None)]
    assert lab.said("heat_fault") == []
    assert len(lab.said("heat_ended")) == 3
    assert lab.hottest_c == pytest.approx(46.0)


@pytest.mark.parametrize("waits, state", [("ready", 3), ("running", 1)])
@pytest.mark.parametrize("starts", [1, 2])
def test_program_is_triggered_where_it_waits(waits, state, starts):
    lab = Lab(own(waits=waits, starts=starts), waits=state, starts=starts, pretest_s=0.2)
    lab.give().run(8.0)
    assert lab.said("heat_fault") == []
    assert lab.hottest_c == pytest.approx(46.0)
    assert [command for command, _ in lab.sent()] == [6, 1, *[2] * starts, 4]


@pytest.mark.parametrize(
    "device, file",
    [({"pretest_s": 3.0}, FILE), ({"waits": 1}, FILE), ({"waits": 3}, own(waits="running"))],
)
def test_program_that_is_not_ready_in_time_starts_nothing(device, file):
    lab = Lab(file, **device).give().run(3.0)
    assert "has not confirmed its settings" in lab.why("heat_refused")
    assert lab.hottest_c == 32.0
    assert 4 not in dict(lab.sent())
    assert lab.sent()[-1] == (6, None)


def test_stimulus_that_no_program_gives_is_refused_with_the_nearest():
    lab = Lab()
    with pytest.raises(
        UnsafeHeat, match="no program of the device gives 45.5 °C for 3 s.*nearest gives 46 °C"
    ):
        lab.guard.arm(HeatProfile(45.5, 3.0), SITE)
    near_44 = "nearest gives 44 °C for 3 s from 32 °C, up at 8 and back at 8 °C/s"
    with pytest.raises(UnsafeHeat, match=near_44):
        lab.guard.arm(HeatProfile(44.0, 3.0, rise_c_per_s=7.0), SITE)
    with pytest.raises(UnsafeHeat, match="no program of the device gives"):
        lab.driver.arm(HeatProfile(45.5, 3.0))
    with pytest.raises(UnsafeHeat, match="40 °C at most may be given"):
        Lab(cap_c=40.0).driver.arm(PROFILE)
    assert Lab(cap_c=46.0).driver.arm(PROFILE).profile == PROFILE


def test_capabilities_survive_the_way_to_the_engine():
    import json
    from dataclasses import asdict

    able = FILE.capabilities()
    assert Capabilities.from_document(json.loads(json.dumps(asdict(able)))) == able
    assert able.programs == tuple(HeatProfile(c, s) for _, c, s in ROWS)


def test_code_that_main_station_does_not_know_is_said():
    lab = Lab(programs={18: (44.0, 3.0, 8.0, 8.0)}).give().run(1.5)
    assert "knows no program with the code 20" in lab.why("heat_fault")
    assert lab.hottest_c == 32.0
    assert lab.said("heat_fired") == []


def test_ticket_is_good_once_and_only_when_the_program_waits():
    lab = Lab()
    ticket = lab.driver.arm(PROFILE)
    with pytest.raises(StimulatorMissing, match="does not wait for the trigger"):
        lab.driver.fire(ticket)
    for _ in range(100):
        lab.clock.advance(0.005)
        lab.driver.read()
    assert lab.driver.pop_news() == [Confirmed(ticket.number)]
    assert lab.driver.pop_news() == []
    lab.driver.fire(ticket)
    with pytest.raises(WrongInput, match="good for once"):
        lab.driver.fire(ticket)


def test_program_that_is_armed_anew_half_way_is_selected_from_the_start():
    lab = Lab()
    lab.driver.arm(PROFILE)
    for n in range(1, 20):
        lab.driver.arm(PROFILE if n % 2 else HeatProfile(44.0, 3.0))
        for _ in range(n):
            lab.clock.advance(0.01)
            lab.driver.read()
    lab.driver.pop_news()
    ticket = lab.driver.arm(HeatProfile(42.0, 10.0))
    for _ in range(300):
        lab.clock.advance(0.005)
        lab.driver.read()
    assert lab.driver.pop_news() == [Confirmed(ticket.number)]
    assert lab.device.program[0] == 42.0


@pytest.mark.parametrize("command", [1, 2])
def test_answer_that_is_lost_while_selecting_is_made_good(command):
    lab = Lab()
    before, lost = lab.device.act, []

    def act(asked, parameter):
        result = before(asked, parameter)
        if asked == command and not lost:
            lost.append(asked)
            lab.network.noise = lambda: b""
        else:
            lab.network.noise = None
        return result

    lab.device.act = act
    lab.give(in_s=1.0).run(8.0)
    assert lab.said("heat_fault") == lab.said("heat_refused") == []
    assert lab.hottest_c == pytest.approx(46.0)


@pytest.mark.parametrize("which", ["yes", "no"])
def test_participants_button_ends_this_stimulus(which):
    lab = Lab().give().run(3.0)
    setattr(lab.device, which, 1)
    lab.run(0.2)
    setattr(lab.device, which, 0)
    lab.run(4.0)
    assert lab.said("heat_fault") == lab.said("heat_aborted") == []
    assert [event.details["by"] for event in lab.said("heat_stopped")] == ["participant"]
    assert lab.device.truth_c == 32.0
    lab.give(in_s=8.5).run(9.5)
    assert len(lab.said("heat_fired")) == 2


def test_operator_who_ends_the_test_there_is_a_fault():
    lab = Lab().give().run(3.0)
    lab.device.stop(aborting=True)
    lab.device.system = 0
    lab.run(1.0)
    assert "the device says of itself: 'aborted'" in lab.why("heat_fault")


def test_lowering_ends_the_stimulus():
    lab = Lab().give().run(3.0)
    lab.guard.lower(1.0)
    lab.run(2.0)
    assert lab.device.truth_c == 32.0
    lab.driver.lower(30.0)
    with pytest.raises(UnsafeHeat, match="no program of the device gives 45 °C"):
        lab.guard.arm(PROFILE, SITE)


# An abort.


@pytest.mark.parametrize("after_s", [0.02, 0.2, 0.55, 3.0])
def test_abort_is_on_the_wire_at_once_on_a_connection_of_its_own(after_s):
    lab = Lab(tick_s=0.002).give().run(after_s)
    n, asked_s = len(lab.network.asked), lab.clock.now_s()
    lab.guard.abort("stop")
    assert (asked_s, 6) in [(at_s, question[8]) for at_s, question in lab.network.asked[n:]]
    lab.run(2.0)
    assert lab.device.truth_c == 32.0
    assert ((4, None) in lab.sent()) is (after_s > 0.5)
    assert (5, None) not in lab.sent()


@pytest.mark.parametrize("fault, n", [("goes on after abort", 8), ("abort swallowed", 2)])
def test_abort_is_sent_until_the_readings_fall(fault, n):
    lab = Lab(faults=[fault]).give().run(3.0)
    lab.guard.abort("stop")
    lab.run(8.0)
    aborts = [at_s for at_s, command, _ in lab.device.log[1:] if command == 6][1:]
    assert len(aborts) >= n
    assert min(b - a for a, b in pairwise(aborts)) >= 0.25
    assert lab.device.truth_c == 32.0
    assert lab.hot_s < PROFILE.duration_s


def test_aborts_in_flight_are_few():
    lab = Lab().give().run(3.0)
    lab.device.faults.add("dead")
    lab.guard.abort("stop")
    lab.run(4.0)
    assert sum(not each.over for each in lab.network.open) <= 4 + 1
    assert len(lab.driver._aborts) == 4


def test_nothing_is_triggered_after_an_abort():
    """A trigger that waits in a stalled connection is dropped with it."""
    lab = Lab()
    before = lab.network.__class__.__call__

    class Stalled(MemoryNetwork):
        def __call__(self, question):
            exchange = before(self, b"") if question[8] == 4 else before(self, question)
            if question[8] == 4:
                exchange.question, exchange.opens_s = question, self.clock.now_s() + 0.9
            return exchange

    lab.network.__class__ = Stalled
    lab.give().run(4.0)
    assert "did not begin within 0.5 s" in lab.why("heat_fault")
    assert lab.hottest_c == 32.0
    assert (4, None) not in lab.sent()


# What can go wrong.

FAULTS = {
    "0x1000 when hot": "does not reach its device",
    "0x3000 when hot": "waits for somebody",
    "0x4000 when hot": "safety error",
    "0x2800 when hot": "not known",
    "trigger lost": "did not begin",
    "frozen": "did not begin",
    "resets when hot": "aborted",
    "silent when hot": "has not answered for 0.9 s",
    "half closed": r"has not answered for 0.9 s (the other side has closed",
    "late echo": "has not answered",
    "cut answers": "did not begin",
    "overheated": "would be right",
    "hotter than told": "and hotter",
}


@pytest.mark.parametrize("fault, why", FAULTS.items())
def test_fault_of_the_device_ends_the_stimulus(fault, why):
    lab = Lab(faults=[fault]).give().run(9.0)
    assert why in lab.why("heat_fault")
    assert lab.hottest_c <= 49.0
    assert lab.hot_s <= PROFILE.duration_s + 0.2
    assert lab.device.truth_c == 32.0


@pytest.mark.parametrize("fault", ["0x2000 when hot", "in pieces", "stalls"])
def test_what_is_no_fault_ends_nothing(fault):
    """A warning, an answer in pieces, a connection in fifty that stalls."""
    lab = Lab(faults=[fault]).give().run(9.0)
    assert lab.said("heat_fault") == lab.said("heat_refused") == []
    assert lab.hottest_c == pytest.approx(46.0)


def test_trigger_that_is_refused_is_said():
    lab = Lab().give(in_s=1.0).run(0.5)
    lab.device.act = lambda command, parameter: 3
    lab.run(2.0)
    assert "did not take the trigger: what was asked cannot be done" in lab.why("heat_fault")


def test_network_that_is_gone_is_a_fault():
    lab = Lab().give().run(3.0)
    lab.network.gone_s = lab.clock.now_s()
    lab.run(1.2)
    assert "192.168.0.5:20121 has not answered for 0.9" in lab.why("heat_fault")
    assert "No route to host" in lab.why("heat_fault") or "Connection refused" in lab.why("heat_fault")


def test_safe_mode_arms_nothing():
    lab = Lab(faults=["safe mode"]).give().run(3.0)
    assert "has not confirmed" in lab.why("heat_refused")
    assert lab.hottest_c == 32.0


ANSWER = bytes.fromhex(RUNNING)


@given(
    st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 27).map(lambda n: ANSWER[:n])), min_size=1),
    st.sampled_from(["rest", "hot"]),
)
@example([bytes([19, 0, 0, 0]) + bytes(4) + b"\xff" * 15], "hot")
@settings(max_examples=25, deadline=None)
def test_no_bytes_break_the_driver(answers, when):
    lab = Lab(tick_s=0.01)
    if when == "hot":
        lab.give().run(2.0)
    left = list(answers)

    def noise():
        answer = left.pop(0) if left else b""
        # With the time of the question, so that it is taken for an answer.
        asked = int(lab.clock.readings().wall_s).to_bytes(4, "little")
        return answer[:4] + asked + answer[8:] if len(answer) > 8 and len(left) % 2 else answer

    lab.network.noise = noise
    for _ in range(60):
        lab.clock.advance(0.01)
        try:
            reading = lab.driver.read()
        except StimulatorMissing:
            continue
        assert reading.time_s <= lab.clock.now_s()
        assert math.isnan(reading.measured_c) or abs(reading.measured_c) < 330.0
        assert all(isinstance(each, Onset | Stopped | Confirmed | Failed) for each in lab.driver.pop_news())


@given(st.binary(max_size=100))
@settings(max_examples=15, deadline=None)
def test_no_bytes_break_the_greeting(noise):
    lab = Lab(connect=False)
    lab.network.noise = lambda: noise
    with pytest.raises(NeurofbError):
        lab.guard.connect()
    assert lab.clock.now_s() - 100.0 < 6.0


# The bench, and the network of this computer.


def test_good_device_passes_the_bench(monkeypatch):
    from neurofb.stimulation import bench

    monkeypatch.setattr(bench, "TURN_S", 0.02)
    clock, device = ManualClock(100.0), MainStationDevice()
    network = MemoryNetwork(clock, device)

    def ask(text):
        if "Press the participant's button" in text:
            move = device.move
            device.move = lambda dt_s: (move(dt_s), setattr(device, "yes", int(device.truth_c > 41.0)))
        return True

    found = ThermodeBench(MainStation(FILE, clock, lambda _: network), FILE, clock, ask).run()
    assert all(check.passed for check in found), found
    assert len(found) == 9


def test_real_connections_carry_a_session():
    """Sockets of this computer, in real time; then a listener that is gone."""
    from neurofb.stimulation.watchdog import EngineClock

    there = TcpDevice(MainStationDevice("big"))
    link = FILE.link.model_copy(update={"host": "127.0.0.1", "tcp_port": there.port})
    file = own(length="big").model_copy(update={"link": link})
    clock = EngineClock(0.0)
    driver = make_driver("mms", clock, file=file)
    try:
        driver.connect(49.0)
        assert driver.read().measured_c == 32.0
        assert driver.self_test() == []
        ticket = driver.arm(HeatProfile(33.0, 1.0))
        until_s, news = clock.now_s() + 10.0, []
        while Confirmed(ticket.number) not in news:
            assert clock.now_s() < until_s
            driver.read()
            news += driver.pop_news()
            clock.wait_until(clock.now_s() + 0.002)
        driver.fire(ticket)
        while there.hottest_c < 33.0:
            assert clock.now_s() < until_s
            driver.read()
            clock.wait_until(clock.now_s() + 0.002)
        driver.close()
        while there.device.truth_c > 32.0:
            assert clock.now_s() < until_s
            clock.wait_until(clock.now_s() + 0.002)
        assert there.hottest_c == 33.0
        assert [(c, p) for _, c, p in there.device.log if c] == [
            (6, None),
            (1, 21),
            (2, None),
            (4, None),
            (6, None),
        ]
    finally:
        there.close()
    with pytest.raises(StimulatorMissing, match=r"does not answer \(Connection refused\)"):
        make_driver("mms", clock, file=file).connect(49.0)


def test_computer_that_is_not_known_says_what_to_write():
    link = FILE.link.model_copy(update={"host": "no-such-computer.invalid"})
    with pytest.raises(StimulatorMissing, match="no-such-computer.invalid of the Main Station is not known"):
        make_driver("mms", ManualClock(), file=FILE.model_copy(update={"link": link})).connect(49.0)
