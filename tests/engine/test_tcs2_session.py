"""Whole sessions by the real command, with a TCS II that is simulated byte by byte."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tcs_device import MemoryPort, TcsDevice

from neurofb import cli
from neurofb.commands import run as run_command
from neurofb.errors import UnsafeHeat, WrongInput
from neurofb.recording.bench_record import note_bench
from neurofb.stimulation.bench import Check
from neurofb.stimulation.drivers import tcs2
from neurofb.stimulation.thermode_file import load_thermode

PROTOCOL = str(Path(__file__).parents[1] / "parts" / "short-session.toml")
FILE = load_thermode("tcs-ii")


class Lab:
    """A computer with a benched TCS II, and a person at the terminal."""

    def __init__(self, monkeypatch, tmp_path, **device):
        self.device, self.data = TcsDevice(**device), tmp_path / "data"
        self.hottest_c, before = 0.0, self.device.move
        monkeypatch.setenv("NEUROFB_THERMODE_BENCH", str(tmp_path / "bench.jsonl"))
        monkeypatch.setattr(run_command, "has_person", lambda: True)
        monkeypatch.setattr(
            tcs2,
            "make",
            lambda setup: tcs2.Tcs2(setup.file, setup.clock, lambda _: MemoryPort(setup.clock, self.device)),
        )

        def move(dt_s):
            before(dt_s)
            self.hottest_c = max(self.hottest_c, self.device.hottest_c)

        self.device.move = move

    def bench(self):
        version = {"v16": "16.1.2", "v12": "012", "old": "008"}[self.device.firmware]
        abilities = replace(FILE.capabilities(), firmware=version, serial="01 02 03 04 05 06 07 08")
        note_bench(FILE, abilities, [Check("all", True, "")], by="AB", date="2026-01-02")

    def run(self, *more):
        words = ["run", PROTOCOL, "--device", "simulated", "--participant", "P01", "--data", str(self.data)]
        words += [
            "--simulate",
            "--fast",
            "--headless",
            "--no-export",
            "--seed",
            "3",
            "--thermode",
            "tcs-ii",
            *more,
        ]
        return CliRunner().invoke(cli.commands, words)

    @property
    def folder(self):
        [path] = self.data.glob("sourcedata/neurofb/*_run-*")
        return path


def test_session_is_given_recorded_and_run_again(monkeypatch, tmp_path):
    lab = Lab(monkeypatch, tmp_path)
    lab.bench()
    ran = lab.run("--probe-is-off")
    assert ran.exit_code == 0, (ran.output, ran.exception)
    assert "finishes its stimulus when its computer dies" in ran.output
    assert lab.hottest_c == pytest.approx(45.0)
    assert lab.device.hottest_c == 32.0
    assert bytes(lab.device.log).count(b"Ol") == 2  # the device's own test, and the stimulus
    kinds = [
        each["kind"]
        for each in map(json.loads, (lab.folder / "watchdog.jsonl").read_text("utf-8").splitlines())
    ]
    assert [each for each in kinds if each in ("heat_device", "heat_fired", "heat_onset", "heat_ended")] == [
        "heat_device",
        "heat_fired",
        "heat_onset",
        "heat_ended",
    ]
    assert "heat_fault" not in kinds
    again = CliRunner().invoke(cli.commands, ["rerun", "--check", str(lab.folder)])
    assert again.exit_code == 0, again.output


def test_session_needs_a_bench_and_a_probe_off_the_skin(monkeypatch, tmp_path):
    lab = Lab(monkeypatch, tmp_path)
    unasked = lab.run("--json")  # for programs: nobody is asked
    assert isinstance(unasked.exception, WrongInput), unasked.output
    assert "--probe-is-off" in str(unasked.exception)
    unbenched = lab.run("--probe-is-off")
    assert isinstance(unbenched.exception, UnsafeHeat)
    assert "no bench result is recorded" in str(unbenched.exception)
    assert lab.hottest_c <= 32.0
