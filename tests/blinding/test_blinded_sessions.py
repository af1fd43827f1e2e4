"""Whole blinded sessions on simulated devices: what is delivered, that no place tells the arm, unlocking."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from blind_audit import Wiretap
from blinded_parts import blinded, key_file, keys, noise_pool, short_protocol
from click.testing import CliRunner
from session_parts import run

from neurofb.blinding.sham import DonorTrack
from neurofb.blinding.side_file import ENVELOPE, SIDE_FILE, UNLOCKED, open_side_file
from neurofb.cli import commands
from neurofb.engine import simulated_participant
from neurofb.engine.planning import Asked, plan_session
from neurofb.errors import NeurofbError, WrongFile, WrongInput
from neurofb.offline.bids.export import export
from neurofb.offline.blinded import blinded_loop, check_blinded, unlock
from neurofb.offline.donor_sessions import build_pool
from neurofb.offline.report.document import report_of, save
from neurofb.offline.rerun import compute, loop_of
from neurofb.offline.session import read_session
from neurofb.protocol.design import load_protocol
from neurofb.recording.session_recording import open_session_recording

ARMS = ("real", "yoked")
#: Whatever would tell an arm; the protocol itself, which lies beside each recording, lists the arms of the study.
TELLING = re.compile(r"sham|yoked|donor_seed|\"real\"|'real'|arm real", re.IGNORECASE)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The protocol with stimuli in its blocks, and its pool."""
    protocol = short_protocol(tmp_path_factory.mktemp("study"), heat=True)
    return protocol, noise_pool(protocol)


@pytest.fixture(scope="module")
def pair(study, tmp_path_factory):
    """The same participant, seed and headset in both arms; nobody learns, so that the EEG is the same."""
    protocol, pool = study
    found = {}
    for arm in ARMS:
        tap, opened = Wiretap(), set()

        def prepare(assembled, tap=tap):
            assembled.session_log._publisher = tap

        def look(_event, opened=opened):
            opened |= {
                os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd)
            }

        with mock.patch.object(simulated_participant, "LEARNS_PER_MIN", 0.0):
            ran = run(
                tmp_path_factory.mktemp("data"), protocol=str(protocol), session="1", seed=7, prepare=prepare,
                on_event=look if os.path.isdir("/proc/self/fd") else None, blinded=blinded(arm, pool=pool),
            )  # fmt: skip
        found[arm] = ran, tap, opened
    return found


def _is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


@pytest.fixture(scope="module")
def sealed(pair):
    return {arm: open_side_file(pair[arm][0].folder, keys().statistician) for arm in ARMS}


def copied(folder, to, without=()):
    """Copy the files of a session."""
    to.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_file() and path.name not in without:
            (to / path.name).write_bytes(path.read_bytes())
    return to


def feedback_of(rows):
    names = (
        "index",
        "level",
        "reward",
        "usable",
        "value",
        "z",
        "threshold",
        "success_index",
        "delay_s",
        "age_s",
    )
    return {name: rows.tables["feedback"][:, i] for i, name in enumerate((*names, "time_s"))}


# -- what is delivered ---------------------------------------------------------------------------------------------


def test_own_feature_is_measured_in_both_arms_and_delivered_in_one(sealed):
    """The side file tells the arm with certainty: there the audit must see."""
    real, yoked = (feedback_of(sealed[arm]) for arm in ARMS)
    there = real["usable"] == 1
    assert there.sum() > 300
    np.testing.assert_array_equal(sealed["real"].tables["measured"], sealed["yoked"].tables["measured"])
    own = dict(sealed["real"].tables["measured"][:, :2])
    assert all(own[i] == v for i, v in zip(real["index"][there], real["value"][there], strict=True))
    assert not np.any(real["z"][there] == yoked["z"][there])


def test_reactions_to_artifacts_contact_and_heat_are_the_same_to_the_hop(sealed, pair):
    real, yoked = (feedback_of(sealed[arm]) for arm in ARMS)
    for name in ("index", "usable", "delay_s", "age_s", "time_s"):
        np.testing.assert_array_equal(real[name], yoked[name])
    assert 0.1 < real["usable"].mean() < 0.95  # there was something to react to
    reasons = [[e for e in pair[arm][0].events if e["kind"] in ("withheld", "earning")] for arm in ARMS]
    assert reasons[0] == reasons[1]
    assert any("evoked response" in e["message"] for e in reasons[0])


def test_donors_scores_begin_anew_at_each_actual_onset_of_heat(pair):
    told = [e["details"] for e in pair["yoked"][0].of_kind("loop") if e["details"]["do"] == "enter"]
    assert [(e["phase"], e["block"], e["level"], e["number"]) for e in told] == [
        ("training", 0, "", 0), ("training", 0, "warm", 0), ("training", 0, "hot", 0), ("training", 0, "warm", 1)
    ]  # fmt: skip


def test_heat_and_ratings_are_the_same_in_both_arms(pair):
    stimulus = [pair[arm][0].streams["neurofb-stimulus"]["time_series"] for arm in ARMS]
    np.testing.assert_array_equal(*stimulus)
    assert pair["real"][0].of_kind("rating") == pair["yoked"][0].of_kind("rating")


# -- leaks, each by itself ---------------------------------------------------------------------------------------


def test_recording_settings_and_all_other_files_are_byte_for_byte_the_same(pair):
    """With the EEG in the clear beside them, delivered values would tell: they are in the sealed half alone."""
    folders = [pair[arm][0].folder for arm in ARMS]
    names = [sorted(path.name for path in folder.iterdir() if path.is_file()) for folder in folders]
    assert names[0] == names[1]
    assert {"recording.xdf", "session.json", "baseline.json", ENVELOPE, SIDE_FILE} <= set(names[0])
    for name in set(names[0]) - {ENVELOPE, SIDE_FILE, "watchdog.jsonl", "report.html", "cred-nf.json"}:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    recording = open_session_recording(folders[1])
    assert len(recording.features["index"]) == len(recording.feedback["index"]) == 0
    assert recording.n_samples > 5000


def test_sizes_of_sealed_files_follow_from_the_number_of_values_alone(pair):
    sizes = {
        name: [(pair[arm][0].folder / name).stat().st_size for arm in ARMS] for name in (ENVELOPE, SIDE_FILE)
    }
    assert sizes[ENVELOPE][0] == sizes[ENVELOPE][1]
    # The library adds a stanza of random length to the header, whatever is sealed.
    assert abs(sizes[SIDE_FILE][0] - sizes[SIDE_FILE][1]) < 300


def test_settings_and_events_name_no_arm(pair):
    for arm in ARMS:
        ran, tap, _ = pair[arm]
        for text in ((ran.folder / "session.json").read_text(), *(document for document, _ in tap.events)):
            assert not TELLING.search(text), TELLING.search(text)


def test_events_are_the_same_and_results_of_blocks_are_not_in_them(pair):
    assert pair["real"][1].events == pair["yoked"][1].events
    for ended in pair["yoked"][0].of_kind("block_ended"):
        assert set(ended["details"]) == {"condition", "withheld"}


def test_lsl_has_the_delivered_series_under_the_features_name_and_no_other(pair, sealed):
    """``neurofb-features`` beside ``neurofb-feedback`` are one series; other features would go with the true one."""
    for arm in ARMS:
        tap = pair[arm][1]
        features, feedback = np.array(tap.features_rows), np.array(tap.feedback_rows)
        value, earned = features[:, 0], np.isfinite(features[:, 0])
        assert np.isnan(features[:, 2]).all()  # posterior_alpha
        usable = feedback[:, 2] == 1
        np.testing.assert_array_equal(value[earned], feedback[usable, 3])
        assert np.isnan(feedback[~usable, 3]).all()
        given = feedback_of(sealed[arm])
        np.testing.assert_array_equal(value[earned], given["value"][given["usable"] == 1])
    real, yoked = (np.array(pair[arm][1].features_rows) for arm in ARMS)
    np.testing.assert_array_equal(np.isnan(real), np.isnan(yoked))
    np.testing.assert_array_equal(real[:, 1::2][:, :2], yoked[:, 1::2][:, :2])  # usable flags


def test_status_differs_in_nothing_but_delivered_numbers(pair):
    """The operator's and the participant's screens are drawn from it."""
    delivered = {"level", "reward", "value", "z", "threshold", "success_index", "success", "rewarded"}

    def hidden(document):
        if isinstance(document, dict):
            return {
                k: (v is None if k in delivered and k != "reward" else k == "reward" or hidden(v))
                for k, v in document.items()
            }
        return [hidden(each) for each in document] if isinstance(document, list) else document

    statuses = [pair[arm][1].statuses for arm in ARMS]
    for documents in statuses:
        for document in documents:
            document["recording"] = {
                k: v
                for k, v in document["recording"].items()
                if k not in ("path", "free_bytes", "queued_bytes")
            }
    assert len(statuses[0]) > 100
    for one, other in zip(*statuses, strict=True):
        assert hidden(one) == hidden(other)
    assert not TELLING.search(json.dumps(statuses[1]))
    assert all(s["features"]["posterior_alpha"]["value"] is None for s in statuses[1] if s["features"])


def test_no_key_envelope_or_pool_is_open_while_a_session_runs(pair):
    for arm in ARMS:
        opened = pair[arm][2]
        if opened:
            assert not [path for path in opened if path.endswith((".age", ".npz", ".key"))]
    assert {Path(p).name for p in pair["real"][2]} == {Path(p).name for p in pair["yoked"][2]}


def test_report_and_crednf_are_the_same_and_say_that_feedback_is_sealed(pair):
    texts = []
    for arm in ARMS:
        folder = pair[arm][0].folder
        save(report_of(folder))
        found = [
            (folder / name).read_text().replace(str(folder), "") for name in ("report.html", "cred-nf.json")
        ]
        texts.append([re.sub(r"data\d+", "data", text) for text in found])
    assert texts[0] == texts[1]
    assert "sealed until the study is locked" in texts[0][0]
    assert "sealed until the study is locked" in texts[0][1]


def test_bids_dataset_is_the_same(pair, tmp_path):
    trees = []
    for arm in ARMS:
        out = export(pair[arm][0].folder, tmp_path / arm)
        assert out.exists()
        trees.append(
            {
                path.relative_to(tmp_path / arm): path.read_bytes()
                for path in sorted((tmp_path / arm).rglob("*"))
                if path.is_file() and path.name not in ("watchdog.jsonl", ENVELOPE, SIDE_FILE)
            }
        )
    assert list(trees[0]) == list(trees[1])
    differ = [str(path) for path in trees[0] if trees[0][path] != trees[1][path]]
    assert differ == []
    for content in trees[1].values():
        assert not re.search(rb"yoked", content)


def test_annotations_are_the_same(pair):
    found = [
        [(a.onset_s, a.duration_s, a.name) for a in read_session(pair[arm][0].folder).annotations]
        for arm in ARMS
    ]
    assert found[0] == found[1]
    assert len(found[0]) > 10


def test_nobody_can_compute_a_blinded_session_again_without_its_envelope(pair, study):
    for arm in ARMS:
        folder = str(pair[arm][0].folder)
        for words in ([folder, "--check"], [folder], [folder, "--protocol", str(study[0])]):
            refused = CliRunner().invoke(commands, ["rerun", *words])
            assert isinstance(refused.exception, WrongInput)
            assert "blinded" in str(refused.exception)
            assert not TELLING.search(str(refused.exception))


def test_check_with_the_envelope_answers_equal_and_nothing_else(pair, study, tmp_path):
    from neurofb.blinding.donors import pool_bytes

    (tmp_path / "pool.npz").write_bytes(pool_bytes(study[1]))
    key = key_file(tmp_path, "engine")
    for arm in ARMS:
        words = [
            "rerun",
            "--check",
            str(pair[arm][0].folder),
            "--key",
            str(key),
            "--donors",
            str(tmp_path / "pool.npz"),
        ]
        done = CliRunner().invoke(commands, words)
        assert (done.exit_code, done.output) == (0, "equal\n")


def test_check_of_a_changed_record_answers_different_and_nothing_else(pair, study):
    """One bit of the EEG."""
    recording = open_session_recording(pair["yoked"][0].folder)
    whole = recording.eeg

    def changed(*where):
        found = whole(*where).copy()
        found[len(found) // 2] += 1e-3
        return found

    with mock.patch.object(recording, "eeg", changed):
        assert not check_blinded(recording, keys().engine, study[1]).is_equal


@pytest.mark.parametrize("arm", ARMS)
def test_wrong_pool_is_refused_in_the_same_words_in_every_arm(study, arm, tmp_path):
    protocol, pool = study
    other = noise_pool(protocol, tuple(f"E{i}" for i in range(12)))
    few = noise_pool(protocol, tuple(f"D{i}" for i in range(5)))
    asked = Asked(str(protocol), "simulated", "P01", data=tmp_path, seed=1, simulate=True)
    mine = blinded(arm, pool=pool)
    with pytest.raises(WrongInput) as wrong:
        plan_session(asked, type(mine)(mine.envelope, mine.sealed, other, mine.public_keys))
    assert "not the one that the study was allocated with" in str(wrong.value)
    with pytest.raises(WrongInput) as small:
        plan_session(asked, blinded(arm, pool=few))
    assert "5 donors, expected: 12" in str(small.value)
    for error in (wrong, small):
        assert not TELLING.search(str(error.value))


def test_error_of_the_program_tells_no_arm_in_message_traceback_or_exit_code(study, tmp_path):
    found = []
    for arm in ARMS:
        with (
            mock.patch.object(DonorTrack, "next", side_effect=RuntimeError("broken")),
            pytest.raises(RuntimeError),
        ):
            run(tmp_path / arm, protocol=str(study[0]), session="1", blinded=blinded(arm, pool=study[1]))
        (folder,) = (tmp_path / arm / "sourcedata" / "neurofb").iterdir()
        events = open_session_recording(folder).events
        (error,) = [event for event in events if event.kind == "error"]
        trace = re.sub(r'File "[^"]*"', "", str(error.details))  # of modules, which run in every arm
        found.append((error.message, trace, events[-1].message))
    assert found[0] == found[1]
    assert not TELLING.search(str(found))


def test_timeline_of_a_blinded_plan_tells_no_arm(study, tmp_path):
    for arm in ARMS:
        asked = Asked(str(study[0]), "simulated", "P01", data=tmp_path, simulate=True)
        plan = plan_session(asked, blinded(arm, pool=study[1]))
        assert (plan.timeline.arm, plan.timeline.feedback) == ("sealed", "sealed")
        assert not TELLING.search(f"{plan.timeline!r} {plan.delivery!r} {plan.blinded!r}")


# -- unlocking ---------------------------------------------------------------------------------------------------


def test_unlocking_needs_the_right_key_and_the_word_that_the_study_is_locked(pair, tmp_path):
    folder = str(pair["yoked"][0].folder)
    key = str(key_file(tmp_path))
    refused = CliRunner().invoke(commands, ["unlock", folder, "--key", key])
    assert "--study-is-locked" in str(refused.exception)
    recording = open_session_recording(folder)
    from blinded_parts import stranger

    with pytest.raises(WrongFile, match="cannot be opened"):
        unlock(recording, stranger())
    assert not (pair["yoked"][0].folder / UNLOCKED).exists()


def test_unlocked_session_has_delivered_and_own_values_and_its_arm(pair, sealed, study, tmp_path):
    key = str(key_file(tmp_path))
    for arm, feedback in zip(ARMS, ("real", "sham:yoked"), strict=True):
        folder = copied(pair[arm][0].folder, tmp_path / arm)
        computed = blinded_loop(open_session_recording(folder), keys().statistician, study[1])
        done = CliRunner().invoke(
            commands, ["unlock", str(folder), "--key", key, "--study-is-locked", "--json"]
        )
        (told,) = json.loads(done.output)["sessions"]
        assert (told["arm"], told["feedback"]) == (arm, feedback)
        recording = open_session_recording(folder)
        assert not recording.is_sealed
        given = feedback_of(sealed[arm])
        np.testing.assert_array_equal(recording.feedback["z"], given["z"])
        np.testing.assert_array_equal(recording.measured["index"], recording.features["index"])
        usable = recording.feedback["usable"] == 1
        own = dict(zip(recording.measured["index"], recording.measured["frontal_midline_theta"], strict=True))
        same = [
            own[i] == v
            for i, v in zip(
                recording.feedback["index"][usable], recording.feedback["value"][usable], strict=True
            )
        ]
        assert all(same) == (arm == "real")
        assert "posterior_alpha" in recording.measured
        again = compute(recording, computed)
        np.testing.assert_array_equal(again.feedback["level"], recording.feedback["level"])
    assert "sealed until" not in report_of(folder).html


def test_only_sessions_with_real_feedback_become_donors(pair, sealed, tmp_path):
    """Whether it was real is computed from the EEG, and not taken from a label."""
    folders = [copied(pair[arm][0].folder, tmp_path / f"sub-{arm}") for arm in ARMS]
    with pytest.raises(WrongInput, match="it is sealed"):
        build_pool(folders)
    for folder in folders:
        unlock(open_session_recording(folder), keys().statistician)
    built = build_pool(folders)
    assert [(path.name, why) for path, why in built.left_out] == [
        ("sub-yoked", "its feedback does not follow from its own EEG: it was not real")
    ]
    (donor,) = built.pool.donors
    pieces = donor.sessions["1"]
    assert [(p.phase, p.block, p.level, p.number) for p in pieces] == [
        ("training", 0, "", 0), ("training", 0, "warm", 0), ("training", 0, "hot", 0), ("training", 0, "warm", 1)
    ]  # fmt: skip
    given = feedback_of(sealed["real"])
    scores = np.concatenate([piece.z for piece in pieces])
    np.testing.assert_array_equal(scores[np.isfinite(scores)], given["z"][given["usable"] == 1])
    out = str(tmp_path / "pool.npz")
    done = CliRunner().invoke(commands, ["donors", "build", str(folders[0]), "--out", out])
    assert "1 donors with 1 sessions" in done.output
    judged = CliRunner().invoke(commands, ["donors", "check", out, "--protocol", "nf-sham"])
    assert judged.exit_code == 2
    assert "trained by another protocol" in judged.output


def test_session_that_broke_off_is_unlocked_by_computing_it_again(pair, sealed, study, tmp_path):
    folder = copied(pair["yoked"][0].folder, tmp_path / "broken", without=(SIDE_FILE,))
    recording = open_session_recording(folder)
    with pytest.raises(WrongInput, match="give --donors POOL"):
        unlock(recording, keys().statistician)
    assert unlock(recording, keys().statistician, study[1]).feedback == "sham:yoked"
    given, found = feedback_of(sealed["yoked"]), open_session_recording(folder).feedback
    for name in ("index", "level", "z", "threshold"):
        np.testing.assert_array_equal(found[name], given[name])
    assert np.isnan(found["age_s"]).all()


def test_own_values_of_a_blinded_session_are_asked_for_by_name(pair):
    recording = open_session_recording(pair["yoked"][0].folder)
    with pytest.raises(NeurofbError, match="blinded"):
        loop_of(recording)
    assert loop_of(recording, own_values=True).is_blinded is False


# -- what a protocol must declare ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('feedback = "sham:yoked"', 'feedback = "sham:replay"'), "sham:yoked"),
        (('masked = ["participant", "operator", "assessor", "analyst"]', 'masked = ["assessor"]'), "is none"),
        (('feedback = "sham:yoked"', 'feedback = "sham:other_band"'), "feedback.control_feature"),
        (('mode = "continuous"', 'mode = "continuous"\ncontrol_feature = "gamma"'), "gamma"),
    ],
)
def test_sham_that_cannot_be_blind_is_refused(tmp_path, change, words):
    path = short_protocol(tmp_path)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change))
    refused = CliRunner().invoke(commands, ["check", str(path), "--device", "simulated"])
    assert isinstance(refused.exception, WrongFile)
    assert words in str(refused.exception)


def test_sham_without_an_envelope_is_refused_whichever_arm_is_named(tmp_path):
    for arm in (None, *ARMS):
        with pytest.raises(WrongInput, match="come from sealed envelopes"):
            plan_session(Asked("nf-sham", "simulated", "P01", arm=arm, data=tmp_path, simulate=True))
    assert list(tmp_path.iterdir()) == []


def test_bundled_blinded_protocol_has_two_arms_and_is_masked():
    protocol = load_protocol("nf-sham")
    assert [arm.feedback for arm in protocol.arms] == ["real", "sham:yoked"]
    assert {"participant", "operator"} <= set(protocol.masked)
