"""A run whose folder goes away in the middle: the end says what was lost, and which place on the skin is locked."""

import json
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from session_parts import START_S

from neurofb.clock import ManualClock
from neurofb.commands import run as run_command
from neurofb.commands import skin
from neurofb.engine import assembly
from neurofb.engine.planning import Asked
from neurofb.engine.stimulus_control import StimulusController

SITE = "left forearm"
HEATS = f"""
neurofb = ">=0.1"
[study]
id = "heats"
title = "Heat alone"
status = "adapted"
[needs]
eeg = false
[[features]]
preset = "frontal_midline_theta"
[heat]
sites = ["{SITE}"]
baseline_c = 32.0
rise_c_per_s = 8.0
return_c_per_s = 8.0
[heat.levels.hot]
celsius = 45.0
plateau_s = 2.0
[[phases]]
name = "heats"
kind = "heat"
[phases.trials]
counts = {{ hot = 1 }}
lead_s = 2.0
anticipation_s = 0.0
relief_s = 4.0
ratings = []
"""
DATE = "2026-11-27T12:00:00+0000"


@pytest.fixture
def ended(tmp_path, monkeypatch, capsys):
    """Return a run of a session that is not simulated, on a manual clock, whose files something happens to."""
    protocol = tmp_path / "heats.toml"
    protocol.write_text(HEATS)
    assemble = assembly.assemble

    def run(happens, **options):
        def assembled(plan, clock, hooks, *, publish):
            made = assemble(plan, clock, hooks, publish=publish)
            done = []

            def act(now_s):
                if now_s > START_S + 3.0 and not done:
                    done.append(happens(made.folder.path))

            made.engine._each_step = (*made.engine._each_step, act)
            return made

        monkeypatch.setattr(assembly, "assemble", assembled)
        monkeypatch.setattr(run_command, "_check_simulated", lambda *_: None)
        monkeypatch.setattr(run_command, "_clock", lambda _: ManualClock(START_S))
        monkeypatch.setattr(run_command, "time", SimpleNamespace(strftime=lambda _: DATE, time=lambda: 0.0))
        asked = Asked(str(protocol), "simulated", "P07", data=tmp_path / "data", seed=1, unattended=True)
        shown = run_command.Presentation(headless=True, fast=True, export=False, **options)
        outcome = run_command.run_session(asked, shown)
        return outcome, capsys.readouterr()

    return run


def test_end_says_that_the_folder_is_gone_and_what_with_it(ended):
    """The guard let the device go in order: the account has its word, and no place is locked."""
    outcome, said = ended(shutil.rmtree)
    assert outcome.exit_code == 3
    assert "recorded in" not in said.out.splitlines()[-1]
    (line,) = [each for each in said.err.splitlines() if each.startswith("NOT recorded: ")]
    assert "heats_run-01 is gone, and with it the EEG, the feedback, the events and the ratings" in line
    assert "locked" not in said.err


def test_end_and_account_say_why_a_place_is_locked(ended, monkeypatch, tmp_path):
    monkeypatch.setattr(StimulusController, "is_accounted", property(lambda _: False))
    _, said = ended(shutil.rmtree)
    words = (
        f"'{SITE}' is locked until 2026-11-28 12:00, and in session '1' for good: nothing is left that says how much "
        "heat run sub-P07_ses-1_task-heats_run-01 gave it (its folder is gone or empty), so its whole budget counts. "
        "Use another place"
    )
    assert words in said.err.splitlines()
    told = CliRunner().invoke(skin.command, ["P07", "--data", str(tmp_path / "data")])
    assert f"note: {words}" in told.output
    told = CliRunner().invoke(skin.command, ["P07", "--data", str(tmp_path / "data"), "--json"])
    assert json.loads(told.output)["locked"] == [words]


def test_end_as_json_says_what_was_lost(ended):
    _, said = ended(lambda folder: (folder / "recording.xdf").unlink(), as_json=True)
    (lost,) = json.loads(said.out)["lost"]
    assert lost.startswith("NOT recorded: recording.xdf is gone from ")


def test_session_that_keeps_its_folder_is_recorded_there(ended, tmp_path):
    outcome, said = ended(lambda _: None)
    assert outcome.exit_code == 0, said
    assert "recorded in" in said.out.splitlines()[-1]
    assert "NOT recorded" not in said.err
