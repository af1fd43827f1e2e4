"""The account of the skin before a session: never less than the probe truly gave, whatever was killed or lost."""

import copy
import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from session_parts import START_S, command, run
from stimulation_parts import share_per_s

from neurofb.engine import engine
from neurofb.engine.earlier_dose import doses_by_account, doses_in, used_before, used_in
from neurofb.engine.planning import Asked, _used, wall_time_s
from neurofb.errors import SafetyStop, WrongFile
from neurofb.recording.skin_account import AccountEntry

SITE = "left forearm"
LEDGER, RECORDING, LOG, SETTINGS = "heat-ledger.json", "recording.xdf", "watchdog.jsonl", "session.json"
HEATS = """
neurofb = ">=0.1"
[study]
id = "heats"
title = "Heats"
status = "adapted"
[[features]]
preset = "frontal_midline_theta"
[heat]
sites = ["left forearm"]
[heat.levels.hot]
celsius = 46.0
plateau_s = 3.0
[[phases]]
name = "heat"
kind = "heat"
[phases.trials]
counts = { hot = 2 }
lead_s = 2.0
anticipation_s = 0.0
relief_s = 9.0
ratings = []
"""


@pytest.fixture(scope="module")
def heats(tmp_path_factory):
    path = tmp_path_factory.mktemp("protocol") / "heats.toml"
    path.write_text(HEATS)
    return str(path)


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory, heats):
    """Run a session that went to its end, and the witness of its probe."""
    folder, witnesses = tmp_path_factory.mktemp("witnessed"), []
    ran = run(
        folder / "data", protocol=heats, prepare=lambda made: witnesses.append(Witness(made, folder / "kept"))
    )
    assert ran.outcome.kind == "finished"
    return ran.folder, witnesses[0]


@pytest.fixture
def ended(tmp_path, witnessed):
    """Make a copy of that session in a dataset of its own."""
    folder = tmp_path / "data" / "sourcedata" / "neurofb" / witnessed[0].name
    shutil.copytree(witnessed[0], folder)
    return folder


def guard_of(assembled):
    return assembled.engine._stimulus_control._client._guard


class Witness:
    """Watches the probe of a session, and every 1.7 s keeps what lies on the disk then."""

    def __init__(self, assembled, kept: Path):
        self.thermode, self.folder, self.kept = guard_of(assembled)._driver, assembled.folder.path, kept
        self.truth, self.last_s, self.due_s = 0.0, START_S, START_S + 2.0
        self.moments: list[tuple[Path, float]] = []
        act = assembled.engine._each_step[0]

        def watch(now_s):
            act(now_s)
            self.truth += (now_s - self.last_s) * share_per_s(self.thermode.probe_c)
            self.last_s = now_s
            if now_s >= self.due_s:
                self.due_s += 1.7
                self.keep(now_s)

        assembled.engine._each_step = (watch,)

    def keep(self, now_s):
        """Keep the folder as a kill of engine and watchdog leaves it, and what the device gives alone from then on."""
        path = self.kept / f"moment-{now_s:.2f}"
        shutil.copytree(self.folder, path)
        alone, dose = copy.deepcopy(self.thermode), 0.0
        while (alone._clock.now_s() - now_s) < 2.0:
            alone._clock.advance(0.01)
            dose += 0.01 * share_per_s(alone.probe_c)
        self.moments.append((path, self.truth + dose))


def test_account_is_no_less_than_the_truth_whatever_survives(witnessed):
    """Both programs killed at many moments of a session × each set of files that is left."""
    folder, witness = witnessed
    assert len(witness.moments) > 10
    assert witness.truth > 0.02
    for path, truth in [*witness.moments, (folder, witness.truth)]:
        for lost in itertools.chain.from_iterable(
            itertools.combinations((LEDGER, RECORDING, LOG, SETTINGS), n) for n in range(5)
        ):
            check(path, truth, lost)


def check(path, truth, lost):
    """Check the account of a copy of a run without some of its files; what cannot be known is refused."""
    trial = path.with_name("trial")
    shutil.copytree(path, trial, copy_function=os.link)
    for name in lost:
        (trial / name).unlink(missing_ok=True)
    try:
        if {RECORDING, LOG, SETTINGS} <= set(lost) and not (trial / LEDGER).exists():
            with pytest.raises(WrongFile, match="cannot be known"):
                used_in(trial)
            return
        assert used_in(trial).get(SITE, 0.0) >= truth - 1e-4, (path.name, lost)  # baseline is no heat
    finally:
        shutil.rmtree(trial)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"left forearm": "much"}', '{"left forearm": -1}', None])
def test_torn_or_missing_ledger_leaves_the_other_two(ended, content):
    whole = used_in(ended)[SITE]
    (ended / LEDGER).unlink()
    if content is not None:
        (ended / LEDGER).write_text(content)
    assert whole * 0.95 <= used_in(ended)[SITE] <= whole * 1.05


def test_cut_recording_leaves_the_log(ended):
    whole = used_in(ended)[SITE]
    content = (ended / RECORDING).read_bytes()
    (ended / LEDGER).unlink()
    for share in (0.0, 0.1, 0.5, 0.9):
        (ended / RECORDING).write_bytes(content[: int(len(content) * share)])
        assert used_in(ended)[SITE] >= 0.95 * whole


def test_safety_stop_leaves_no_closed_ledger(tmp_path, heats):
    """A watchdog that is gone, or a fault: the doses that the engine heard last are not the last word."""

    def lose_watchdog(assembled):
        client, step = assembled.engine._stimulus_control._client, guard_of(assembled).step

        def beat(facts=None):
            if assembled.engine._clock.now_s() > START_S + 5.0:
                raise SafetyStop("the stimulator's watchdog is gone")
            guard_of(assembled).note_facts(facts)
            step()
            client._write_news()

        def close():
            raise SafetyStop("the stimulator's watchdog is gone")

        client.beat, client.close = beat, close

    ran = run(tmp_path / "data", protocol=heats, prepare=lose_watchdog)
    assert ran.outcome.exit_code == 4
    assert not (ran.folder / LEDGER).exists()
    found = doses_in(ran.folder, float("inf"))
    assert [(each.site, each.source) for each in found] == [(SITE, "watchdog log")]
    second = run(tmp_path / "fault", protocol=heats, thermode_faults=("wrong_readback@4:5",))
    assert second.outcome.exit_code == 4
    assert not (second.folder / LEDGER).exists()
    assert used_in(second.folder)[SITE] > 0


def test_stale_ledger_of_a_killed_watchdog_does_not_outweigh_its_log(ended):
    """As it was seen: the ledger said 0.0108, the log 0.0457."""
    (ended / RECORDING).unlink()
    (ended / LEDGER).write_text(json.dumps({SITE: 0.0108}))
    log = {"kind": "doses", "wall_s": 1.0, "used": {SITE: 0.0457}, "outlook": None}
    with (ended / LOG).open("a") as file:
        file.write(json.dumps(log) + "\n")
    assert used_in(ended)[SITE] == pytest.approx(0.0457)


def test_runs_of_another_spelling_count(tmp_path, ended):
    whole = used_before(tmp_path / "data", "P01", "1")
    assert whole[SITE] > 0
    ended.rename(ended.with_name(ended.name.replace("sub-P01", "sub-p01")))
    assert used_before(tmp_path / "data", "P01", "1") == whole


def test_other_sessions_of_the_last_day_count_where_the_account_lacks_them(tmp_path, ended):
    data, date = tmp_path / "data", "2026-03-02T10:00:00+0000"
    settings = json.loads((ended / SETTINGS).read_text())
    (ended / SETTINGS).write_text(json.dumps({**settings, "date": "2026-03-02T09:00:00+0000"}))
    whole = used_before(data, "P01", "1")
    asked = Asked("heats", "simulated", "P01", data=data, date=date)
    assert whole[SITE] > 0
    assert _used(asked, "2", []) == whole
    noted = AccountEntry("P01", str(data.resolve()), ended.name, "1", date, 0.0, (SITE,), 1.0, whole)
    assert _used(asked, "2", [replace(noted, wall_s=wall_time_s(date))]) == whole  # once
    assert _used(replace(asked, participant="P02"), "2", []) == {}
    assert _used(replace(asked, date="2026-03-03T09:00:01+0000"), "2", []) == {}
    assert _used(replace(asked, simulate=True), "2", []) == {}


# -- a computer that sleeps ------------------------------------------------------------------------------------------


def sleeping(at_s, slept_s=0.0, set_by_s=0.0):
    """Return what lets the computer of a session sleep, or sets its wall clock."""

    def prepare(assembled):
        act, done = assembled.engine._each_step[0], []

        def watch(now_s):
            act(now_s)
            if now_s >= START_S + at_s and not done:
                done.append(now_s)
                assembled.engine._clock.sleep_computer(slept_s)
                assembled.engine._clock.set_wall_clock(set_by_s)

        assembled.engine._each_step = (watch,)

    return prepare


def test_sleep_ends_a_session_with_heat(tmp_path, heats):
    ran = run(tmp_path, protocol=heats, prepare=sleeping(5.0, slept_s=40.0))
    assert ran.outcome.exit_code == 4
    assert "the computer slept for 40.0 s" in ran.outcome.message
    (event,) = ran.of_kind("computer_slept")
    assert event["details"]["slept_s"] == pytest.approx(40.0)
    assert event["index"] is not None
    assert not (ran.folder / LEDGER).exists()


def test_operator_resumes_a_session_without_heat_after_a_sleep(tmp_path):
    acts = [(8, command("resume")), (10, command("end"))]
    prepare = sleeping(5.0, slept_s=40.0)
    ran = run(tmp_path, acts, protocol="breath-muse", device="muse-2", prepare=prepare)
    after = [each["details"]["after"] for each in ran.of_kind("state")]
    assert after[-4:] == ["paused", "running", "stopping", "finished"]
    assert not ran.of_kind("refused")


@pytest.mark.parametrize("watched_s, ends_s", [(0.0, 5.0 + 8.0), (16.0, 16.0 + 8.0)])
def test_session_without_heat_ends_after_a_sleep_if_nobody_is_there(tmp_path, monkeypatch, watched_s, ends_s):
    """It waits as long as somebody watches, and for UNWATCHED_S afterwards."""
    monkeypatch.setattr(engine, "UNWATCHED_S", 8.0)

    def prepare(assembled):
        sleeping(5.0, slept_s=40.0)(assembled)
        clock = assembled.engine._clock
        assembled.views._has_person = lambda: clock.now_s() < START_S + watched_s

    ran = run(tmp_path, protocol="breath-muse", device="muse-2", prepare=prepare)
    assert ran.outcome.exit_code == 4
    assert "nobody is there to resume the session" in ran.outcome.message
    assert ran.of_kind("end")[0]["time_s"] - START_S == pytest.approx(ends_s, abs=0.2)


def test_set_wall_clock_is_told_and_changes_nothing(tmp_path, heats):
    ran = run(tmp_path, protocol=heats, prepare=sleeping(5.0, set_by_s=-3600.0))
    assert ran.outcome.kind == "finished"
    (event,) = ran.of_kind("clock_step")
    assert event["details"]["step_s"] == pytest.approx(-3600.0)
    assert "was set back by 3600.0 s" in event["message"]


@pytest.mark.parametrize("used, share", [({SITE: 0.3}, 0.3), (None, 0.8)])
def test_emptied_folder_of_a_run_counts_what_the_account_knows(tmp_path, used, share):
    """The folder is there and says nothing: the account, or the whole budget where that has no end."""
    entry = AccountEntry(
        "P01", str(tmp_path.resolve()), "sub-P01_ses-1_task-heats_run-01", "1", "", 0.0, (SITE,), 0.8, used
    )
    entry.path.mkdir(parents=True)
    assert used_before(tmp_path, "P01", "1") == {}
    (found,) = doses_by_account([entry], tmp_path, "1", 10.0)
    assert [(each.site, each.share) for each in found.doses] == [(SITE, share)]


def test_run_whose_folder_says_as_much_as_the_account_counts_once(ended):
    data = ended.parent.parent.parent
    whole = used_before(data, "P01", "1")
    entry = AccountEntry("P01", str(data.resolve()), ended.name, "1", "", 0.0, (SITE,), 1.0, whole)
    assert doses_by_account([entry], data, "1", 10.0) == []
    (more,) = doses_by_account([replace(entry, used={SITE: whole[SITE] + 0.1})], data, "1", 10.0)
    assert more.doses[0].share == pytest.approx(0.1)
