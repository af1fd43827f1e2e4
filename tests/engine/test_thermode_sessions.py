"""Whole sessions by the real command, with each thermode simulated byte by byte."""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner
from mms_device import MainStationDevice, MemoryNetwork
from tcs_device import MemoryPort, TcsDevice
from tsa2_device import Tsa2Device

from neurofb import cli
from neurofb.commands import run as run_command
from neurofb.errors import UnsafeHeat, WrongInput
from neurofb.recording.bench_record import note_bench
from neurofb.stimulation.bench import Check
from neurofb.stimulation.drivers import mms, tcs2, tsa2
from neurofb.stimulation.thermode_file import load_thermode

PROTOCOL = str(Path(__file__).parents[1] / "parts" / "short-session.toml")


#: Kind: the file, its module, and the firmware and probe that the device tells.
KINDS = {
    "tcs2": ("tcs-ii", tcs2, "16.1.2", "01 02 03 04 05 06 07 08"),
    "tsa2": ("medoc-tsa-2", tsa2, "VSA 2.0.0.7", ""),
    "mms": ("medoc-main-station", mms, "", ""),
}


class Lab:
    """A computer with a benched thermode, and a person at the terminal."""

    def __init__(self, monkeypatch, tmp_path, kind="tcs2"):
        self.kind, self.data = kind, tmp_path / "data"
        self.file, module, self.firmware, self.serial = KINDS[kind]
        monkeypatch.setenv("NEUROFB_THERMODE_BENCH", str(tmp_path / "bench.jsonl"))
        monkeypatch.setattr(run_command, "has_person", lambda: True)
        if kind == "mms":
            self.file = tmp_path / "own.toml"
            text = files("neurofb._devices.thermodes").joinpath("medoc-main-station.toml").read_text("utf-8")
            row = "[[programs]]\ncode = 30\ntarget_c = 45.0\nplateau_s = 4.0\n\n[sources]"
            self.file.write_text(text.replace("[sources]", row), "utf-8")
            self.device = MainStationDevice(programs={30: (45.0, 4.0, 8.0, 8.0)})
            make = lambda setup: mms.MainStation(  # noqa: E731
                setup.file, setup.clock, lambda _: MemoryNetwork(setup.clock, self.device)
            )
        else:
            self.device = TcsDevice() if kind == "tcs2" else Tsa2Device()
            driver = tcs2.Tcs2 if kind == "tcs2" else tsa2.Tsa2
            make = lambda setup: driver(  # noqa: E731
                setup.file, setup.clock, lambda _: MemoryPort(setup.clock, self.device)
            )
        monkeypatch.setattr(module, "make", make)
        self.hottest_c, before = 0.0, self.device.move

        def move(dt_s):
            before(dt_s)
            self.hottest_c = max(self.hottest_c, self.device.hottest_c)

        self.device.move = move

    def bench(self):
        file = load_thermode(self.file)
        abilities = replace(file.capabilities(), firmware=self.firmware, serial=self.serial)
        note_bench(file, abilities, [Check("all", True, "")], by="AB", date="2026-01-02")

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
            str(self.file),
            *more,
        ]
        return CliRunner().invoke(cli.commands, words)

    @property
    def folder(self):
        [path] = self.data.glob("sourcedata/neurofb/*_run-*")
        return path


@pytest.mark.parametrize("kind", KINDS)
def test_session_is_given_recorded_and_run_again(monkeypatch, tmp_path, kind):
    lab = Lab(monkeypatch, tmp_path, kind)
    lab.bench()
    ran = lab.run("--probe-is-off")
    assert ran.exit_code == 0, (ran.output, ran.exception)
    assert "finishes its stimulus when its computer dies" in ran.output
    assert lab.hottest_c == pytest.approx(45.0)
    assert lab.device.hottest_c == 32.0
    if kind == "tcs2":
        assert bytes(lab.device.log).count(b"Ol") == 2  # the device's own test, and the stimulus
    kinds = [
        each["kind"]
        for each in map(json.loads, (lab.folder / "watchdog.jsonl").read_text("utf-8").splitlines())
    ]
    told = ["heat_device"] if lab.firmware else []
    assert [each for each in kinds if each in ("heat_device", "heat_fired", "heat_onset", "heat_ended")] == [
        *told,
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
