"""``neurofb protocols``: what comes with neurofb, for whom it is, and a copy to change."""

import json

import pytest
from click.testing import CliRunner

from neurofb.commands import protocols
from neurofb.commands.check import command as check
from neurofb.devices import load_profile, load_profiles
from neurofb.errors import UnknownName, WrongInput
from neurofb.format import clock
from neurofb.protocol.bundled import protocol_names, protocol_text
from neurofb.protocol.checks.check import RunContext, problems
from neurofb.protocol.design import load_protocol
from neurofb.protocol.timeline import expand


def called(*words):
    return CliRunner().invoke(protocols.command, list(words))


def test_list_has_each_protocol_with_the_headsets_that_check_lets_run_it():
    rows = [line.split("\t") for line in called().output.splitlines()]
    assert tuple(rows[0]) == protocols.LIST_HEADER
    assert [row[0] for row in rows[1:]] == protocol_names()
    for row in rows[1:]:
        protocol, fit = load_protocol(row[0]), row[-1].split()
        for profile in load_profiles():
            assert (profile.name in fit) == (not problems(protocol, RunContext(profile))), profile.name


def test_owners_of_each_consumer_headset_but_brainbit_find_one_that_fits():
    fitting = {name: protocols.protocol_document(name)["devices"] for name in protocol_names()}
    without = [p.name for p in load_profiles() if not any(p.name in each for each in fitting.values())]
    assert without == ["brainbit"]  # it measures no frontal region


def test_sheet_says_what_one_is():
    document = json.loads(called("wielgosz-adapted", "--json").output)
    assert document["sessions"].keys() == {"pre", "post"}
    assert document["arms"] == {"mbsr": "A", "hep": "B", "waitlist": "C"}
    output = called("breath-heat").output
    assert "heat\twarm 37 °C, hot at pain 60, at most 48 °C" in output
    assert f"lasts\tat most {clock(expand(load_protocol('breath-heat')).duration_s)}" in output


def test_copy_is_the_file_as_it_is_and_can_be_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = called("demo", "--copy")
    assert (tmp_path / "demo.toml").read_text(encoding="utf-8") == protocol_text("demo")[0]
    said = result.output.split("`neurofb check ")[1].rstrip("`\n")
    assert CliRunner().invoke(check, [said]).exit_code == 0


def test_copy_keeps_a_file_that_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.toml").write_text("mine")
    result = called("demo", "--copy")
    assert isinstance(result.exception, WrongInput)
    assert "--out" in str(result.exception)
    assert (tmp_path / "demo.toml").read_text() == "mine"
    assert called("demo", "--out", str(tmp_path / "other.toml")).exit_code == 0
    no_folder = called("demo", "--out", str(tmp_path / "missing" / "other.toml"))
    assert isinstance(no_folder.exception, WrongInput)


@pytest.mark.parametrize(("words", "error"), [(["dmeo"], UnknownName), (["--copy"], WrongInput)])
def test_what_is_asked_wrongly_is_refused_in_one_line(words, error):
    result = called(*words)
    assert isinstance(result.exception, error)
    assert "\n" not in str(result.exception)


def test_no_headset_fits_what_it_lacks_electrodes_for():
    from neurofb.protocol.checks.check import fits

    assert not fits(load_protocol("breath-heat"), load_profile("muse-2"))
    assert not fits(None, load_profile("muse-2"))
