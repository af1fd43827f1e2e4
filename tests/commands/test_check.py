"""Output of ``neurofb check``: a table or plain lines, JSON, a bar, and everything that is wrong."""

import json
from importlib.resources import files

import pytest
from click.testing import CliRunner
from protocol_parts import TEXT, text_with

from neurofb.commands import check
from neurofb.errors import WrongFile, WrongInput
from neurofb.protocol.design import load_protocol
from neurofb.protocol.timeline import expand

PROTOCOLS = files("neurofb.protocols")


@pytest.fixture
def called():
    """Return a call of the command with its options, which gives the result with its exception."""

    def call(protocol, as_json=False, **options):
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        return CliRunner().invoke(check.command, [str(protocol), *words, *(["--json"] if as_json else [])])

    return call


def test_piped_check_is_one_row_per_line(called):
    result = called("demo")
    assert result.exit_code == 0, result.output
    rows = [line.split("\t") for line in result.output.splitlines()]
    assert rows[0][:4] == ["from", "lasts", "phase", "kind"]
    assert rows[3][:3] == ["0:27", "1:03", "training"]
    assert "2 × warm 36 °C; 2 × hot 46 °C; asks intensity, unpleasantness" in rows[3]
    assert "feedback against rest" in rows[3]
    assert ["in all: 1:30, 1:03 with feedback, 4 stimuli, 8 questions"] in rows
    feature = next(row for row in rows if row[0] == "frontal_midline_theta")
    assert feature[1:5] == ["Fz", "4–8 Hz", "150 ms", "0.12 s"]
    assert "usual spectrum" in feature[5]
    assert any(row[:2] == ["left forearm", "4"] and row[-1] == "4%" for row in rows)
    reward = (
        "reward: 65% (what rule 'percentile' aims at, of clean time); in the first block 42% to 84% for nine"
    )
    assert reward in result.output
    assert "note: assumed, not published: heat, scales, phases" in result.output


def test_check_json_holds_the_whole_timeline(called):
    result = called("breath-heat", as_json=True, seed=3)
    content = json.loads(result.output)
    timeline = expand(load_protocol("breath-heat"), seed=3)
    assert content["duration_s"] == timeline.duration_s
    assert [step["onset_s"] for step in content["steps"]] == [step.onset_s for step in timeline.steps]
    assert content["problems"] == []
    assert {each["site"] for each in content["heat"]} == set(load_protocol("breath-heat").heat.sites)
    assert result.exit_code == 0


def test_problems_follow_tables_with_exit_code_2(called, tmp_path):
    result = called("demo", device="muse-2")
    assert isinstance(result.exception, WrongFile)
    assert result.exception.exit_code == 2
    assert "training" in result.output
    assert "demo.toml has 2 problems:" in str(result.exception)
    as_json = called("demo", device="muse-2", as_json=True)
    assert as_json.exit_code == 2
    assert len(json.loads(as_json.output)["problems"]) == 2
    path = tmp_path / "wrong.toml"
    path.write_text(text_with(("plateau_s = 5.0", "plateau_s = -5.0")), "utf-8")
    broken = called(path, as_json=True)
    assert broken.exit_code == 2
    assert json.loads(broken.output)["protocol"] is None


def test_check_takes_session_arm_and_participant(called):
    result = called("zeidan-adapted", session="2", arm="book")
    assert "20:00" in result.output
    assert "practice" in result.output
    wrong = called("zeidan-adapted", session="5")
    assert "no session '5' in this protocol" in str(wrong.exception)
    assert "no arm 'tape'" in str(called("zeidan-adapted", arm="tape").exception)
    assert "looks like an e-mail" in str(called("demo", participant="a@b.org").exception)


def test_missing_baseline_is_reported(called, tmp_path):
    assert "no baseline in" in str(called("demo", baseline=str(tmp_path)).exception)


def test_bar_marks_every_stimulus():
    timeline = expand(load_protocol("demo"))
    pieces, marks = check.bar(timeline, 90)
    assert "".join(letters for letters, _ in pieces) == "i" * 3 + "r" * 24 + "T" * 63
    assert [i for i, mark in enumerate(marks) if mark == "^"] == [
        int(at_s) for at_s in timeline.heat_onsets_s
    ]


def test_bar_is_printed_on_terminal(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    path = tmp_path / "small.toml"
    path.write_text(TEXT, "utf-8")
    check.command.callback(
        str(path),
        "simulated",
        None,
        "simulated",
        None,
        False,
        session=None,
        arm=None,
        seed=0,
        participant=None,
    )
    shown = capsys.readouterr().out
    assert "rrrrrrrr" in shown
    assert "r rest_baseline" in shown
    assert "^ stimulus" in shown


def test_waiting_phase_lasts_at_most_its_time(called, tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(
        TEXT + '\n[[phases]]\nname = "end"\nkind = "pause"\nwaits = true\nduration_s = 60.0\n', "utf-8"
    )
    output = called(path).output
    assert "≤ 1:00\tend\tpause\topen\twaits" in output
    assert "in all: at most " in output


@pytest.mark.parametrize(
    "rated, is_warned", [("plateau_s = 8.0\n", False), ("plateau_s = 7.9\n", True), ("", True)]
)
def test_heat_that_is_held_for_longer_than_its_calibration_rates_is_warned_of(
    called, tmp_path, rated, is_warned
):
    text = PROTOCOLS.joinpath("breath-heat.toml").read_text("utf-8")
    head, tail = text.split("[calibration]\n")
    path = tmp_path / "breath-heat.toml"
    path.write_text(head + "[calibration]\n" + tail.replace("plateau_s = 8.0\n", rated, 1))
    said = called(path).output
    assert ("level 'hot' is held for 8 s, but its calibration rates" in said) is is_warned
    assert "level 'warm'" not in said
    if is_warned:
        assert "Set calibration.plateau_s to at least 8" in said


def _text_of(page):
    return page.read_text(encoding="utf-8")


def test_plan_is_a_page_with_the_timeline_to_scale_and_what_a_participant_meets(called, tmp_path):
    page = tmp_path / "plan.html"
    result = called("demo", html=page)
    assert f"drawn: {page}" in result.output
    shown = _text_of(page)
    assert "Follow your breath. When warmth or heat comes" in shown
    assert "<i>asks:</i>" in shown
    assert "left forearm" in shown
    assert shown.count("<svg") == 1
    assert "http" not in shown.replace("http-equiv", "")  # nothing is fetched
    assert called("demo", html=page).exit_code == 0  # its own page is replaced


def test_plan_of_a_wrong_file_has_its_problems_and_no_figure(called, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(TEXT + "\n[nonsense]\nx = '<b>'\n")
    page = tmp_path / "plan.html"
    assert isinstance(called(file, html=page).exception, WrongFile)
    assert "cannot be run so" in _text_of(page)
    assert "nonsense" in _text_of(page)
    assert "<svg" not in _text_of(page)


def test_plan_replaces_no_file_of_somebody_else(called, tmp_path):
    page = tmp_path / "mine.html"
    page.write_text("<!doctype html>mine")
    result = called("demo", html=page)
    assert isinstance(result.exception, WrongInput)
    assert _text_of(page) == "<!doctype html>mine"
    assert isinstance(called("demo", html=tmp_path / "missing" / "p.html").exception, WrongInput)


def test_plan_draws_each_dose_where_it_grows():
    from neurofb.devices import load_profile
    from neurofb.offline.report.plan import _growth
    from neurofb.protocol.checks.check import RunContext, check_protocol

    report = check_protocol("breath-heat", RunContext(load_profile("simulated")))
    for budget in report.budgets:
        times_s, shares = _growth(report, report.timeline, budget.site)
        assert times_s == sorted(times_s)
        assert shares[-1] == pytest.approx(budget.share)
