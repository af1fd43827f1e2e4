"""``neurofb devices``: a list, a sheet, JSON; one message and exit code 3 for what does not exist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stimulation_parts import thermode_text

from neurofb import cli
from neurofb.devices import load_profile, profile_names
from neurofb.stimulation.thermode_file import thermode_names


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.commands, ["devices", *arguments], catch_exceptions=False)


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program itself, as its exit code is decided outside click."""
    code = "from neurofb.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


def test_piped_list_is_one_line_per_device() -> None:
    lines = run().output.splitlines()
    assert lines[0].split("\t") == ["name", "device", "by", "channels", "rate_hz", "assumed facts"]
    n = len(profile_names())
    assert [line.split("\t")[0] for line in lines[1 : n + 1]] == profile_names()
    assert lines[n + 1].split("\t")[:4] == ["name", "thermode", "by", "driver"]
    assert [line.split("\t")[0] for line in lines[n + 2 :]] == ["simulated", *thermode_names()]
    assert "muse-2\tMuse 2\tInteraXon\t4\t256\t4" in lines


def test_thermode_is_explained_with_its_sources(tmp_path) -> None:
    shown = run("tcs-ii").output
    assert "TCS II by QST.Lab" in shown
    assert "finishes its stimulus when its computer dies" in shown
    assert "assumed: how fast the command A cools" in shown
    own = tmp_path / "mine.toml"
    own.write_text(thermode_text("tcs2", port='"COM7"'), "utf-8")
    assert "COM7" in run(str(own)).output
    document = json.loads(run("tcs-ii", "--json").output)
    assert (document["device"], document["limits"]["on_silence"]) == ("thermode", "finishes")
    assert document in json.loads(run("--json").output)


@pytest.mark.parametrize("name", profile_names())
def test_piped_sheet_has_each_fact_with_its_source(name: str) -> None:
    profile = load_profile(name)
    rows = [line.split("\t") for line in run(name).output.splitlines()]
    assert rows[0] == ["fact", "value", "known from"]
    sources = {fact: source for fact, _, source in rows}
    assert {fact: sources[fact] for fact in profile.sources} == dict(profile.sources)
    values = {fact: value for fact, value, _ in rows}
    for region, channels in profile.regions.items():
        assert values[f"region {region}"] == " ".join(channels)
    assert values["quality"].startswith(f"flat below {profile.quality.flat_uv:g} µV")
    assert {f"program {each.program}" for each in profile.programs} <= set(values)


def test_sheet_explains_odd_facts() -> None:
    cyton = run("openbci-cyton").output
    assert "default: the user places the electrodes" in cyton
    assert "names no labels and no unit" in cyton
    epoc = run("emotiv-epoc-x").output
    assert "columns Timestamp, Counter, Interpolate, 14 EEG, HardwareMarker, Markers" in epoc
    assert "128 (one of 128, 256)" in epoc
    assert "unix time stamps" in run("muse-2").output
    assert "T3 (T7)" in run("brainbit").output
    assert "not recognised by its stream: name it with --program" in run("neurosity-crown").output
    assert "none is known that sends its EEG" in run("generic-10-20").output
    athena = run("muse-s-athena").output
    assert re.search(r"^disputed: resolution_uv\t0.0885 µV a count .* or 0.403", athena, re.MULTILINE)
    assert "the package called OpenMuse on the package index is an unrelated program" in athena
    assert re.search(r"^program muselsl\t.*around 0 µV, rails -725", athena, re.MULTILINE)
    assert re.search(r"^program BlueMuse\t.*rails not known", athena, re.MULTILINE)
    assert re.search(r"^rails_uv\tnot known", run("neurosity-crown").output, re.MULTILINE)


def test_json_is_the_whole_profile() -> None:
    document = json.loads(run("muse-2", "--json").output)
    profile = load_profile("muse-2")
    assert document.pop("assumed") == [
        "quality",
        "program BlueMuse",
        "program Mind Monitor",
        "program BrainFlow",
    ]
    assert type(profile).model_validate(document) == profile
    everything = json.loads(run("--json").output)
    assert [each["name"] for each in everything] == [*profile_names(), *thermode_names()]


def test_own_profile_is_read_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    document = (files("neurofb._devices") / "muse-2.toml").read_text("utf-8")
    path.write_text(document.replace('"Muse 2"', '"My [odd] Muse"'), encoding="utf-8")
    assert "My [odd] Muse by InteraXon" in run(str(path)).output


def test_devices_prints_table_on_terminal() -> None:
    leader, follower = pytest.importorskip("pty").openpty()
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    code = "from neurofb.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "devices", "muse-2"], stdout=follower, env=environment
    )
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(leader)
    assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert "━" in text or "─" in text
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()) <= 100


def test_unknown_device_is_one_message_and_exit_code_3() -> None:
    result = program("devices", "muse-3")
    assert result.returncode == 3
    assert result.stdout == ""
    assert result.stderr.startswith("neurofb: no device profile 'muse-3'; did you mean 'muse-s'? there are: ")
    assert "Traceback" not in result.stderr


def test_wrong_profile_is_one_message_and_exit_code_3(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('title = "Mine"\n', encoding="utf-8")
    result = program("devices", str(path))
    assert result.returncode == 3
    assert "mine.toml has 12 problems:\n  name: missing; needed is the profile's own name" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_stays_light() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom neurofb.cli import commands\n"
        "assert CliRunner().invoke(commands, ['devices', '--help']).exit_code == 0\n"
        "heavy = {'mne', 'pydantic', 'pylsl', 'PySide6', 'rich'}\nprint(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
