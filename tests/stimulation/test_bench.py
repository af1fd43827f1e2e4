"""The bench procedure of a thermode, its record, and what is refused without it."""

import json
import re
from dataclasses import replace

import pytest
from stimulation_parts import thermode_text
from tcs_device import MemoryPort, TcsDevice

from neurofb.clock import ManualClock
from neurofb.recording import bench_record
from neurofb.recording.bench_record import bench_refusal, note_bench, read_benches
from neurofb.stimulation import bench
from neurofb.stimulation.bench import Check, ThermodeBench, fingerprint
from neurofb.stimulation.drivers.tcs2 import Tcs2
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
