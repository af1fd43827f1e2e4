"""The participant's code before a session: one person has one spelling and one account, and no name."""

import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner
from session_parts import START_S
from test_skin_account import HEATS

from neurofb.cli import commands
from neurofb.clock import ManualClock
from neurofb.engine.assembly import assemble
from neurofb.engine.participant_questions import questions
from neurofb.engine.planning import Asked, plan_session
from neurofb.errors import NeurofbError, UnknownName, WrongFile, WrongInput
from neurofb.protocol.checks.check import RunContext, check_protocol
from neurofb.protocol.study import name_question
from neurofb.recording.skin_account import AccountEntry, account_path, note_begin, note_end, read_account

SITE = "left forearm"
DATE = "2026-11-27T12:00:00+0000"
NOON_S = 1795780800.0


def entry(data, code="P07", date=DATE, wall_s=NOON_S, sites=(SITE,), run=1, session="1"):
    folder = f"sub-{code}_ses-{session}_task-heats_run-{run:02d}"
    return AccountEntry(code, str(data.resolve()), folder, session, date, wall_s, sites, 1.0)


@pytest.fixture
def heats(tmp_path):
    path = tmp_path / "heats.toml"
    path.write_text(HEATS)
    return str(path)


def asked(heats, data, participant="P07", **words):
    return Asked(heats, "simulated", participant, data=data, date=DATE, **words)


def options(heats, data, **words):
    """Return which confirmations a session needs."""
    plan = plan_session(asked(heats, data, **words))
    entries = [] if plan.account is None else read_account(plan.account)
    return [each.option for each in questions(plan.asked, plan.visit, entries)]


@pytest.mark.parametrize(
    "code", ["AnnaMueller", "Anna", "annaMueller", "anna", "AM", "Anna7", "mueller12", "P7Anna", "JSmith"]
)
def test_code_that_may_be_a_name_is_questioned(code):
    assert code in name_question(code)


@pytest.mark.parametrize(
    "code", ["P07", "p7", "sub01", "Pilot3", "VP12", "S1B2", "007", "TEST1", "ABCD12", "abc1"]
)
def test_usual_code_is_not_questioned(code):
    assert name_question(code) == ""


def test_simulated_session_asks_nothing(heats, tmp_path):
    for participant in ("demo", "AnnaMueller", "P07"):
        assert options(heats, tmp_path / "data", participant=participant, simulate=True) == []


def test_each_confirmation_is_asked_once_and_answered_by_its_option(heats, tmp_path):
    data, other = tmp_path / "data", tmp_path / "other"
    assert options(heats, data) == []
    assert options(heats, data, participant="Anna7") == ["--code-is-no-name"]
    assert options(heats, data, participant="Anna7", code_is_no_name=True) == []
    known = entry(other, date="2026-11-01", wall_s=NOON_S - 1e6)
    note_begin(account_path(), known)
    note_end(account_path(), known.dataset, known.folder, {})
    assert options(heats, data) == ["--same-person"]
    assert options(heats, data, same_person=True) == []
    assert options(heats, other) == []
    (data / "sourcedata" / "neurofb" / "sub-P07_ses-1_task-demo_run-01").mkdir(parents=True)
    assert options(heats, data, same_person=True) == ["--again"]
    assert options(heats, data, same_person=True, again=True) == []


def test_terminal_without_a_person_refuses_and_starts_nothing(heats, tmp_path):
    data = tmp_path / "data"
    words = ["run", heats, "--participant", "AnnaMueller", "--data", str(data)]
    found = CliRunner().invoke(commands, words)
    assert isinstance(found.exception, WrongInput)
    assert str(found.exception) == (
        "the participant code 'AnnaMueller' has no digit, as a name has none; usual is a letter and a number, as P07. "
        "Is it a pseudonym, and no part of a name? If so, add --code-is-no-name; otherwise change the code or the "
        "session"
    )
    assert not data.exists()


def test_person_at_a_terminal_is_asked(heats, tmp_path, monkeypatch):
    from neurofb.commands import run as run_command

    plan = plan_session(asked(heats, tmp_path, participant="AnnaMueller"))
    said = []
    monkeypatch.setattr("click.confirm", lambda text, **_: said.append(text) or len(said) == 1)
    run_command._confirm(plan, is_asked=True)
    with pytest.raises(WrongInput, match="nothing was started"):
        run_command._confirm(plan, is_asked=True)
    assert "Is it a pseudonym" in said[0]


@pytest.mark.parametrize(
    "person, as_json, is_asked", [(True, False, True), (True, True, False), (False, False, False)]
)
@pytest.mark.parametrize("headless", [True, False])
def test_what_must_be_confirmed_is_asked_or_refused_with_its_options(
    heats, tmp_path, monkeypatch, person, as_json, is_asked, headless
):
    """Lines only is no reason not to ask; where nobody can answer, each option is named at once."""
    from neurofb.commands import run as run_command

    data, said = tmp_path / "data", []
    (data / "sourcedata" / "neurofb" / "sub-AnnaMueller_ses-1_task-demo_run-01").mkdir(parents=True)
    monkeypatch.setattr(run_command, "has_person", lambda: person)
    monkeypatch.setattr("click.confirm", lambda text, **_: said.append(text))
    shown = run_command.Presentation(headless=headless, as_json=as_json)
    with pytest.raises(WrongInput) as refused:
        run_command.run_session(asked(heats, data, participant="AnnaMueller"), shown)
    assert bool(said) is is_asked
    options = [each in str(refused.value) for each in ("--code-is-no-name", "--again")]
    assert all(options) is not is_asked


@pytest.mark.parametrize("simulate", [True, False])
def test_code_in_another_spelling_is_refused_with_the_known_one(heats, tmp_path, simulate):
    (tmp_path / "sourcedata" / "neurofb" / "sub-P7_ses-1_task-demo_run-01").mkdir(parents=True)
    with pytest.raises(WrongInput, match="'p7' is 'P7' spelt another way.*right is --participant P7"):
        plan_session(asked(heats, tmp_path, participant="p7", simulate=simulate))
    note_begin(account_path(), entry(tmp_path / "elsewhere", code="K1"))
    if not simulate:
        with pytest.raises(WrongInput, match="'k1' is 'K1' spelt another way"):
            plan_session(asked(heats, tmp_path / "new", participant="k1"))


def test_sites_that_are_one_are_refused_with_both_spellings(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(HEATS.replace('["left forearm"]', '["left forearm", "Left-Forearm"]'))
    found = check_protocol(path, RunContext()).problems
    assert any("'left forearm' and 'Left-Forearm' are one place spelt in two ways" in each for each in found)


# -- the account over datasets ---------------------------------------------------------------------------------------


def test_session_in_another_dataset_starts_from_the_account(heats, tmp_path):
    """Another folder for --data forgets nothing: by the run's folder, by the account, and if both are lost, in full."""
    first, second = tmp_path / "first", tmp_path / "second"
    path = account_path()
    plan = replace(plan_session(asked(heats, first, simulate=True, seed=1)), account=path)
    made = assemble(plan, ManualClock(START_S), publish=False)
    assert [each.used for each in read_account(path)] == [None]
    assert made.engine.run().kind == "finished"
    (noted,) = read_account(path)
    assert noted.used[SITE] > 0.02
    given = plan_session(asked(heats, second)).used[SITE]
    assert given == pytest.approx(noted.used[SITE], rel=0.05)
    shutil.rmtree(first)
    assert plan_session(asked(heats, second)).used[SITE] == pytest.approx(noted.used[SITE])
    assert plan_session(asked(heats, first)).used[SITE] == pytest.approx(noted.used[SITE])
    note_begin(path, replace(noted, used=None))
    with pytest.raises(WrongInput, match="has had 1.00 of its budget"):
        plan_session(asked(heats, second))
    later = replace(asked(heats, second), date="2026-11-28T12:00:01+0000")
    assert plan_session(later).used == {}


def test_other_session_of_the_day_counts_and_is_not_counted_twice(heats, tmp_path):
    path = account_path()
    note_begin(path, entry(tmp_path, session="pre"))
    note_end(path, str(tmp_path.resolve()), "sub-P07_ses-pre_task-heats_run-01", {"LEFT forearm": 0.25})
    assert plan_session(asked(heats, tmp_path)).used == {"LEFT forearm": 0.25}
    folder = tmp_path / "sourcedata" / "neurofb" / "sub-P07_ses-1_task-heats_run-01"
    folder.mkdir(parents=True)
    (folder / "heat-ledger.json").write_text(json.dumps({SITE: 0.125}))
    note_begin(path, entry(tmp_path))
    note_end(path, str(tmp_path.resolve()), folder.name, {SITE: 0.125})
    assert sum(plan_session(asked(heats, tmp_path)).used.values()) == pytest.approx(0.375)


def test_account_without_its_last_line_goes_on_and_a_damaged_one_is_refused(heats, tmp_path):
    path = account_path()
    note_begin(path, entry(tmp_path))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "begun", "code": "P0')
    assert len(read_account(path)) == 1
    note_begin(path, entry(tmp_path, code="P08"))
    assert [each.code for each in read_account(path)] == ["P07", "P08"]
    path.write_bytes(b"nonsense\n" + whole)
    with pytest.raises(WrongFile, match="line 1 of the account of the skin .* cannot be read; repair it"):
        plan_session(asked(heats, tmp_path))


def test_account_that_cannot_be_written_starts_no_session(heats, tmp_path):
    (tmp_path / "a file").write_text("")
    plan = replace(
        plan_session(asked(heats, tmp_path / "data", simulate=True)), account=tmp_path / "a file" / "account"
    )
    with pytest.raises(NeurofbError, match="account of the skin .* cannot be written"):
        assemble(plan, ManualClock(START_S), publish=False)
    assert not (tmp_path / "data").exists()


def test_session_that_could_not_be_opened_counts_nothing(heats, tmp_path):
    path = account_path()
    words = asked(heats, tmp_path / "data", simulate=True, thermode_faults=("lost@0",))
    with pytest.raises(NeurofbError, match="no answer from the thermode"):
        assemble(replace(plan_session(words), account=path), ManualClock(START_S), publish=False)
    assert [each.used for each in read_account(path)] == [{}]
    assert plan_session(asked(heats, tmp_path / "data")).used == {}


def test_skin_prints_sites_with_date_and_source(tmp_path):
    path = account_path()
    note_begin(path, entry(tmp_path / "gone"))
    note_end(path, str((tmp_path / "gone").resolve()), "sub-P07_ses-1_task-heats_run-01", {SITE: 0.25})
    words = ["skin", "p07", "--data", str(tmp_path / "none"), "--json"]
    content = json.loads(CliRunner().invoke(commands, words).stdout)
    assert content["runs"] == [
        {
            "site": SITE, "dose": 0.25, "date": DATE, "in_last_day": content["runs"][0]["in_last_day"],
            "session": "1", "run": "sub-P07_ses-1_task-heats_run-01", "dataset": str((tmp_path / "gone").resolve()),
            "source": "account",
        }
    ]  # fmt: skip
    shown = CliRunner().invoke(commands, words[:-1])
    assert shown.exit_code == 0
    assert "0.250" in shown.stdout
    unknown = CliRunner().invoke(commands, ["skin", "P99", "--data", str(tmp_path)])
    assert isinstance(unknown.exception, UnknownName)
    assert unknown.exception.exit_code == 2
