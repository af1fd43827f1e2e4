"""The bench procedure of a thermode, its record, and what is refused without it."""

import json
import math
import re
from dataclasses import replace

import pytest
from stimulation_parts import thermode_text
from tcs_device import MemoryPort, TcsDevice

from neurofb.clock import ManualClock
from neurofb.events import Event
from neurofb.recording import bench_record
from neurofb.recording.bench_record import bench_refusal, note_bench, read_benches
from neurofb.stimulation import bench
from neurofb.stimulation.bench import WARM, Check, ThermodeBench, fingerprint
from neurofb.stimulation.driver import Reading
from neurofb.stimulation.drivers.tcs2 import Tcs2
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermode_file import load_thermode

FILE = load_thermode("tcs-ii")
ALL = [
    "connection and self-test",
    "the device's own test",
    "a stimulus of 44 °C",
    "an abort",
    "the participant's button",
    "a computer that dies",
    "the power switch",
    "the emergency button",
    "the cable",
]


@pytest.fixture(autouse=True)
def own_record(monkeypatch, tmp_path):
    """Keep the results of a test to itself, and step less often."""
    monkeypatch.setenv("NEUROFB_THERMODE_BENCH", str(tmp_path / "lab" / "bench.jsonl"))
    monkeypatch.setattr(bench, "TURN_S", 0.02)


def run(faults=(), answers=lambda text: True, presses=True, file=FILE, **device):
    """Run the procedure with a device, and somebody who presses the button when asked."""
    clock, there = ManualClock(100.0), TcsDevice("v16", faults, **device)
    asked = []

    def ask(text):
        asked.append(text)
        if "Press the participant's button" in text and presses:
            there.move = press
        return answers(text)

    def press(dt_s):
        there.pressed[1] = there.hottest_c > 41.0
        TcsDevice.move(there, dt_s)

    found = ThermodeBench(Tcs2(file, clock, lambda _file: MemoryPort(clock, there)), file, clock, ask)
    found.run()
    return found, there, asked


def test_good_device_passes_all_that_is_tried():
    found, there, asked = run()
    assert [check.name for check in found.checks] == ALL
    assert all(check.passed for check in found.checks), found.checks
    assert len(asked) == 4
    words = {check.name: check.found for check in found.checks}
    assert "firmware 16.1.2, probe 01 02 03 04 05 06 07 08" in words["connection and self-test"]
    assert words["a stimulus of 44 °C"].startswith("began 0.0")
    assert "at baseline after 0.30 s" in words["an abort"]
    assert there.hottest_c == 32.0


@pytest.mark.parametrize(
    "how, name, why",
    [
        ({"faults": ["cap ignored"]}, "the device", "does not keep its cap"),
        ({"faults": ["dead"]}, "the device", "does not answer"),
        ({"faults": ["overheated"]}, "a stimulus of 44 °C", "would be right"),
        ({"faults": ["zones apart"]}, "a stimulus of 44 °C", "3.0 °C apart"),
        ({"abort_c_per_s": 5.0}, "an abort", "the file says 8 °C/s"),
        ({"presses": False}, "the participant's button", "no press was seen"),
        ({"answers": lambda text: "Press the" not in text}, "the participant's button", "not tried"),
        ({"answers": lambda text: "power switch" not in text}, "the power switch", "as the operator says"),
    ],
)
def test_bad_device_does_not_pass(how, name, why):
    found, there, _ = run(**how)
    failed = [check for check in found.checks if not check.passed]
    assert [check.name for check in failed] == [name]
    assert re.search(why, failed[0].found)
    assert there.hottest_c <= 45.0


def test_device_that_goes_on_without_its_computer_does_not_pass():
    clock, there = ManualClock(100.0), TcsDevice("v16")
    found = ThermodeBench(
        Tcs2(FILE, clock, lambda _file: MemoryPort(clock, there)), FILE, clock, lambda text: True
    )
    silence = found._silence

    def hold():
        there.lasts = property(lambda self: None)
        there.move = lambda dt_s: None if there.hottest_c > 40.0 else TcsDevice.move(there, dt_s)
        there.lasts = [99.0] * 5
        silence()

    found._button, found._silence = lambda: None, hold
    found.run()
    [failed] = [check for check in found.checks if not check.passed]
    assert failed.name == "a computer that dies"
    assert "after the last word of the computer" in failed.found


# Step by step, with what happens between two steps told to it.


class Told(ThermodeBench):
    """A bench whose time passes as it is told: how long it waits is written down."""

    def __init__(self, script=lambda bench: None):
        self.clock, self.calls, self.script, self.reading_c = ManualClock(100.0), [], script, 32.0
        self.fired = False
        super().__init__(self, FILE, self.clock, lambda text: True)
        self.abilities = replace(FILE.capabilities(), confirm_s=0.5, onset_s=0.25, step_c=0.1)
        self._guard = self

    def schedule(self, profile, site, at_s):
        self.calls.append(("schedule", profile, site, at_s - self.clock.now_s()))

    def abort(self, *why):
        self.calls.append(("abort", *why))

    def reset(self):
        self.calls.append(("reset",))

    def arm(self, profile):
        self.calls.append(("arm", profile))
        return "a ticket"

    def fire(self, ticket):
        self.calls.append(("fire", ticket, self.clock.now_s()))

    def read(self):
        return Reading(self.clock.now_s(), 32.0, self.reading_c, "baseline")

    def pop_news(self):
        self.calls.append(("news",))
        return []

    def happened(self, kind, time_s=0.0, **details):
        self._events.append(Event(kind, time_s, f"it is {kind}", details=details))

    def measured(self, *rows):
        self._readings += [Reading(time_s, celsius, celsius, "") for time_s, celsius in rows]

    def _go(self, for_s, until=""):
        self.calls.append(("go", round(for_s, 6), until))
        self.clock.advance(for_s)
        self.script(self)

    def done(self, name):
        self.calls.clear()
        getattr(self, name)()
        return self.checks[-1]


RISE_S = WARM.rise_s


def test_next_stimulus_waits_for_its_interval_and_starts_a_second_later():
    told = Told()
    told.happened("heat_fault")
    told.measured((1.0, 50.0))
    told._give()
    assert told.calls == [("go", 9.0, ""), ("schedule", WARM, bench.DUMMY, 1.0), ("go", 5.0, "heat_fired")]
    assert (told._events, told._readings) == ([], []), "what was before is not of this one"


def given(plateau_c=44.0, *, early=False, ended=True, onset=True, fired=True):
    """Say what happens in a stimulus that begins at 200 s."""

    def script(told):
        if told.calls[-1] != ("go", round(WARM.duration_s + 3.0, 6), ""):
            return
        if fired:
            told.happened("heat_fired", 200.0)
        if onset:
            told.happened("heat_onset", onset_s=200.125)
        told.happened("heat_plateau", 210.0)
        middle_s = 210.0 + WARM.plateau_s / 2
        told.measured((210.0, 20.0), (middle_s, plateau_c), (middle_s + 0.1, 44.0), (213.0, 20.0))
        if ended:
            told.happened("heat_ended", 220.0, early=early)

    return script


@pytest.mark.parametrize(
    "how, passed, words",
    [
        ({}, True, "began 0.125 s after its command; off by 0.00 °C at most"),
        ({"plateau_c": 44.0 + bench.PLATEAU_OFF_C}, True, "off by 1.00 °C"),
        ({"plateau_c": 42.75}, False, "off by 1.25 °C"),
        ({"early": True}, False, "off by 0.00 °C"),
        ({"ended": False}, False, "off by 0.00 °C"),
        ({"onset": False}, True, "began 0.000 s"),
        ({"fired": False}, True, "began 0.000 s"),
    ],
)
def test_stimulus_is_right_if_its_plateau_is_and_it_ends_in_time(how, passed, words):
    check = Told(given(**how)).done("_stimulus")
    assert (check.name, check.passed) == ("a stimulus of 44 °C", passed)
    assert words in check.found


def test_stimulus_without_a_plateau_says_why():
    def script(told):
        if told.calls[-1][0] == "go" and len(told.calls) > 3:
            told.happened("heat_refused")
            told.happened("heat_fault")

    check = Told(script).done("_stimulus")
    assert (check.passed, check.found) == (False, "it is heat_refused; it is heat_fault")


def aborted(from_c=44.0, falls_s=0.25, cool_s=1.0):
    """Say how the probe cools after an abort."""

    def script(told):
        if ("abort", "the bench") not in told.calls:
            told.measured((told.clock.now_s() - 1.0, 20.0), (told.clock.now_s(), from_c))
            return
        at_s = told._readings[-1].time_s
        told.measured(
            (at_s + falls_s / 2, from_c - 1.0),
            (at_s + falls_s, from_c - 1.125),
            (at_s + cool_s - 0.01, WARM.baseline_c + 1.125),
            (at_s + cool_s, WARM.baseline_c + 1.0),
            (at_s + 99.0, WARM.baseline_c),
        )

    return script


def test_abort_is_measured_from_where_it_was_to_a_degree_above_baseline():
    told = Told(aborted())
    check = told.done("_abort")
    rate = told.abilities.abort_c_per_s
    waits = [call[1] for call in told.calls if call[0] == "go"]
    assert waits[2:] == [
        round(RISE_S + 1.5, 6),
        round(told.abilities.longest_return_s(44.0, WARM.baseline_c), 6),
    ]
    assert check.found == (
        f"from 44.0 °C: 1 °C cooler after 0.25 s, at baseline after 1.00 s, 11.0 °C/s; the file says {rate:g} °C/s"
    )
    assert check.passed
    assert told.calls[-1] == ("reset",)


@pytest.mark.parametrize(
    "from_c, cool_s, passed",
    [
        (44.0, 11.0 / 7.2, True),
        (44.0, 11.0 / 7.0, False),
        (43.0, 0.5, False),
        (43.1, 0.5, True),
        (44.0, 98.0, False),
    ],
)
def test_abort_that_is_slow_or_of_no_heat_is_none(from_c, cool_s, passed):
    assert FILE.limits.abort_c_per_s == 8.0
    told = Told(aborted(from_c, cool_s=cool_s))
    assert told.done("_abort").passed is passed
    assert (("reset",) in told.calls) is passed


@pytest.mark.parametrize(
    "kinds, passed, words",
    [
        (["heat_stopped"], True, "it ended the stimulus"),
        (["heat_fault", "heat_stopped"], True, "it ended the stimulus"),
        (["heat_fault"], False, "it is heat_fault"),
        ([], False, "no press was seen"),
    ],
)
def test_button_ends_a_warm_stimulus_of_ten_seconds(kinds, passed, words):
    def script(told):
        if told.calls[-1][2] == "heat_ended":
            for kind in kinds:
                told.happened(kind)

    told = Told(script)
    check = told.done("_button")
    assert (check.passed, check.found) == (passed, words)
    assert told.calls[1][1] == replace(WARM, target_c=42.0, plateau_s=bench.PRESS_S)
    assert told.calls[-1] == ("go", bench.PRESS_S + 6.0, "heat_ended")


@pytest.mark.parametrize("reading_c, passed", [(32.0, True), (33.0, True), (33.1, False)])
def test_device_is_left_alone_as_long_as_its_stimulus_may_take(reading_c, passed):
    told = Told()
    told.reading_c = reading_c
    check = told.done("_silence")
    assert check.passed is passed
    longest_s = WARM.duration_s + told.abilities.outlasts_s + 0.25 + bench.ALONE_S
    assert check.found == f"{reading_c:.1f} °C {longest_s:.1f} s after the last word of the computer"
    assert told.calls[:2] == [("go", 9.0, ""), ("arm", WARM)]
    [(_, ticket, fired_s)] = [call for call in told.calls if call[0] == "fire"]
    assert ticket == "a ticket"
    assert fired_s == pytest.approx(100.0 + 9.0 + 0.5 + 0.2, abs=0.021)
    assert told.clock.now_s() == pytest.approx(fired_s + longest_s + 0.5, abs=0.021)
    assert told.calls.count(("news",)) > 30, "its words are taken"


def test_device_that_outlasts_its_computer_is_waited_for():
    told = Told()
    told.abilities = replace(told.abilities, on_silence="returns", silence_s=3.0)
    told.done("_silence")
    assert told.clock.now_s() > 100.0 + 9.0 + 0.7 + WARM.duration_s + 3.0 + 2.0


def test_no_reading_is_no_temperature():
    told = Told()
    assert math.isnan(told._newest_c())
    told.measured((1.0, 40.0), (2.0, 41.0))
    assert told._newest_c() == 41.0


def test_plateau_is_looked_at_from_a_third_on_to_its_end():
    told = Told()
    assert told._plateau(WARM) == []
    told.happened("heat_plateau", 100.0)
    first_s, last_s = 100.0 + 0.3 * WARM.plateau_s, 100.0 + 0.8 * WARM.plateau_s
    told.measured((first_s - 0.01, 1.0), (first_s, 2.0), (last_s, 3.0), (last_s + 0.01, 4.0))
    assert told._plateau(WARM) == [2.0, 3.0]


def test_time_is_passed_in_turns_until_it_is_over_or_something_happens():
    found, _, _ = run()
    start_s = found._clock.now_s()
    found._go(0.5)
    assert found._clock.now_s() == pytest.approx(start_s + 0.5, abs=0.021)
    found._events = [Event("heat_fired", 0.0, "")]
    found._go(0.5, until="heat_fired")
    assert found._clock.now_s() == pytest.approx(start_s + 0.5, abs=0.021)
    found._events.append(Event("", 0.0, ""))
    found._go(0.5)
    assert found._clock.now_s() == pytest.approx(start_s + 1.0, abs=0.042), "without a kind nothing ends it"


class Asked(Told):
    """A bench whose device has something to say before it heats."""

    says = ()

    def connect(self):
        return replace(FILE.capabilities(), firmware="1.2")

    def self_test(self):
        return list(self.says)

    def prepare(self):
        return list(self.says)

    def place(self, *where):
        self.calls.append(("place", *where))


@pytest.mark.parametrize("says", [(), ("a fan is weak", "it is old")])
def test_device_s_own_words_are_in_the_record(says):
    told = Asked()
    told.says = says
    passed = not says
    assert told.done("_connect") == Check(
        "connection and self-test",
        passed,
        "; ".join(says) or "firmware 1.2, probe not told",
    )
    assert told.done("_device_test") == Check("the device's own test", passed, "; ".join(says) or "passed")
    assert told.calls == [("place", bench.DUMMY, "the bench")]


def test_bench_gives_a_short_stimulus_and_lets_the_device_go():
    assert HeatProfile(44.0, 3.0) == WARM
    found, _, _ = run(faults=["dead"])
    assert found._guard.state == "off"
    assert found._guard._envelope.interval_s == 8.0
    assert found.run() is found.checks
    good, there, _ = run(answers=lambda text: "Press the" not in text)
    assert (good._guard.state, there.hottest_c) == ("off", 32.0)


def test_what_was_found_does_not_change():
    assert Check.__dataclass_params__.frozen
    assert "__slots__" in vars(Check)


# The record.

ABILITIES = replace(FILE.capabilities(), firmware="16.1.2", serial="01 02")
GOOD, BAD = [Check("a", True, "")], [Check("a", True, ""), Check("an abort", False, "slow")]


def test_device_without_a_result_is_refused():
    assert "no bench result is recorded for this TCS II with firmware 16.1.2" in bench_refusal(
        FILE, ABILITIES
    )
    note_bench(FILE, ABILITIES, GOOD, by="AB", date="2026-01-02")
    assert bench_refusal(FILE, ABILITIES) == ""


@pytest.mark.parametrize("other", [{"firmware": "17"}, {"serial": "03 04"}])
def test_result_of_another_device_does_not_count(other):
    note_bench(FILE, ABILITIES, GOOD, by="AB", date="2026-01-02")
    assert "no bench result" in bench_refusal(FILE, replace(ABILITIES, **other))


def test_newest_result_counts():
    note_bench(FILE, ABILITIES, GOOD, by="AB", date="2026-01-02")
    note_bench(FILE, ABILITIES, BAD, by="AB", date="2026-02-03")
    assert "the bench of 2026-02-03 found this TCS II unfit (an abort)" in bench_refusal(FILE, ABILITIES)
    note_bench(FILE, ABILITIES, GOOD, by="AB", date="2026-03-04")
    assert bench_refusal(FILE, ABILITIES) == ""
    assert [each.passed for each in read_benches()] == [True, False, True]


def test_bench_without_checks_does_not_pass():
    assert note_bench(FILE, ABILITIES, [], by="AB", date="2026-01-02").passed is False


def test_other_facts_need_another_bench(tmp_path):
    note_bench(FILE, ABILITIES, GOOD, by="AB", date="2026-01-02")
    path = tmp_path / "own.toml"
    path.write_text(thermode_text("tcs2", abort_c_per_s="30.0"), "utf-8")
    assert "says other things of the device" in bench_refusal(load_thermode(path), ABILITIES)
    path.write_text(thermode_text("tcs2", port='"COM7"'), "utf-8")  # the port is no fact of the device
    assert fingerprint(load_thermode(path)) == fingerprint(FILE)
    assert re.fullmatch("[0-9a-f]{16}", fingerprint(FILE))
    turned = FILE.model_copy(update={"settings": {"b": {"d": 1, "c": 2}, "a": 3}})
    again = FILE.model_copy(update={"settings": {"a": 3, "b": {"c": 2, "d": 1}}})
    assert fingerprint(turned) == fingerprint(again) != fingerprint(FILE), "whatever their order"


@pytest.mark.parametrize("damage", ["", "{", "null", "[1]", '{"date": 1}', "\ufeff"])
def test_damaged_record_allows_nothing(damage):
    bench_record.bench_path().parent.mkdir(parents=True)
    bench_record.bench_path().write_text(damage + "\n", "utf-8")
    assert "no bench result" in bench_refusal(FILE, ABILITIES)


def test_passed_must_be_a_truth(tmp_path):
    note_bench(FILE, ABILITIES, GOOD, by="AB", date="2026-01-02")
    document = json.loads(bench_record.bench_path().read_text("utf-8"))
    document["passed"] = "no"
    bench_record.bench_path().write_text(json.dumps(document) + "\n", "utf-8")
    assert "unfit" in bench_refusal(FILE, ABILITIES)


def test_session_with_a_device_that_was_not_benched_is_not_started(tmp_path, monkeypatch):
    from neurofb.engine.assembly import _open_stimulator
    from neurofb.engine.planning import Asked, plan_session
    from neurofb.errors import UnsafeHeat
    from neurofb.stimulation import client

    clock, there = ManualClock(1000.0), TcsDevice("v16")
    port = MemoryPort(clock, there)
    driver = Tcs2(FILE, clock, lambda _file: port)
    monkeypatch.setattr(client, "make_driver", lambda *_given: driver)
    asked = Asked("demo", "simulated", "P01", data=tmp_path, thermode="tcs-ii", simulate=True)
    with pytest.raises(UnsafeHeat, match="no bench result is recorded.*The session was not started"):
        _open_stimulator(plan_session(asked), clock, tmp_path / "watchdog.jsonl")
    assert there.hottest_c == 32.0
    assert b"L" not in there.log
    note_bench(FILE, Tcs2.capabilities(driver), GOOD, by="AB", date="2026-01-02")
    _, return_s = _open_stimulator(plan_session(asked), clock, tmp_path / "watchdog.jsonl")
    assert return_s > 3.0  # 8 °C/s
    assert b"Ol" in there.log  # the device's own test


# What is said before.


def thermode_file(tmp_path, **changes):
    path = tmp_path / "own.toml"
    path.write_text(thermode_text("tcs2", **changes), "utf-8")
    return str(path)


def test_check_refuses_a_plateau_that_the_device_would_cut(tmp_path):
    from click.testing import CliRunner

    from neurofb import cli

    def check(**changes):
        words = ["check", "breath-heat", "--thermode", thermode_file(tmp_path, **changes), "--json"]
        shown = CliRunner().invoke(cli.commands, words)
        return json.loads(shown.output)

    well = check()
    assert well["problems"] == []
    assert "stand at its power switch" in " ".join(well["warnings"])
    short = " ".join(check(longest_s="2.0")["problems"])
    assert "heat.levels" in short
    assert "TCS II" in short
    assert "a plateau of at most" in short
    assert "TCS II" in " ".join(check(rise_c_per_s="3.0")["problems"])
    assert "contact-burn line" in " ".join(check(abort_c_per_s="0.01")["problems"])


def test_session_asks_whether_the_probe_is_off_the_skin():
    from neurofb.engine.participant_questions import probe_question
    from neurofb.engine.planning import Asked

    asked = Asked("demo", "simulated", "P01", thermode="tcs-ii", simulate=True)
    question = probe_question(asked, FILE)
    assert "finishes its stimulus when its computer dies" in question.facts
    assert "--probe-is-off" in question.refusal
    assert probe_question(replace(asked, probe_is_off=True), FILE) is None
    assert probe_question(asked, None) is None


def test_doctor_talks_without_heat(monkeypatch):
    from neurofb.commands import doctor_thermode

    clock, there = ManualClock(100.0), TcsDevice("v12")
    port = MemoryPort(clock, there)
    monkeypatch.setattr(
        doctor_thermode, "make_driver", lambda *_, **__: Tcs2(FILE, clock, lambda _file: port)
    )
    found = {each.check: each for each in doctor_thermode.thermode_findings("tcs-ii", clock)}
    assert "firmware 012, probe 01 02" in found["thermode"].found
    assert found["thermode's readings"].found == "32.0 °C"
    assert "unplug that cable" in found["thermode's cables"].found
    assert "no bench result" in found["thermode's bench"].found
    assert found["thermode's bench"].state == "missing"
    assert port.is_closed
    assert b"L" not in there.log
    there.battery = 3
    again = doctor_thermode.thermode_findings("tcs-ii", clock)
    assert any("battery has 3 %" in each.found and each.state == "missing" for each in again)
    there.gone = True
    [silent] = doctor_thermode.thermode_findings("tcs-ii", clock)
    assert (silent.state, "does not answer" in silent.found) == ("missing", True)
    assert doctor_thermode.thermode_findings("oven")[0].state == "missing"
