"""A session as BIDS: nothing is lost, nothing overwritten, no arm told; and others than we find no error in it."""

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mne
import mne_bids
import numpy as np
import pytest
from command_line import invoke
from offline_parts import PROTOCOL, eventful, session

import neurofb
from neurofb.commands import export as export_command
from neurofb.errors import RecordingFailed, UnknownFile, WrongFile, WrongInput
from neurofb.offline.bids import export as bids_of
from neurofb.offline.bids.export import export, export_session
from neurofb.offline.bids.shared_tables import SharedTable, remove_row
from neurofb.offline.bids.tables import _newest as newest
from neurofb.offline.bids.tables import cell

STEM = "sub-P01_ses-1_task-shortHeat_run-01"


def validator():
    """The program that checks BIDS datasets, where it is installed."""
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("bids-validator-deno", path=places)
    if found is None:
        pytest.skip("bids-validator-deno is not installed: pip install bids-validator-deno")
    return found


def dated(folder, date="2026-11-24T19:18:27+0000"):
    settings = json.loads((folder / "session.json").read_text("utf-8"))
    settings["date"] = date
    (folder / "session.json").write_text(json.dumps(settings), "utf-8")


def copy_of(session_folder, data):
    folder = data / "sourcedata" / "neurofb" / session_folder.name
    shutil.copytree(session_folder, folder)
    dated(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    data = tmp_path_factory.mktemp("dataset")
    export(copy_of(eventful(), data), data)
    return data


@pytest.fixture
def fresh(tmp_path):
    return copy_of(eventful(), tmp_path / "data"), tmp_path / "data"


def table(path):
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [line.split("\t") for line in content.decode("utf-8").splitlines()]


def columns(path):
    header, *rows = table(path)
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


def eeg(data, end):
    return data / "sub-P01" / "ses-1" / "eeg" / f"{STEM}_{end}"


def document(data, end):
    return json.loads(eeg(data, end).read_text("utf-8"))


def test_exported_dataset_passes_the_validator(dataset):
    ran = subprocess.run([validator(), str(dataset), "--json"], capture_output=True, text=True)
    issues = json.loads(ran.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert ran.returncode == 0


def test_exported_eeg_is_read_back_by_mne(dataset):
    raw = mne.io.read_raw_brainvision(eeg(dataset, "eeg.vhdr"), verbose="error")
    ours = neurofb.read_session(eventful()).raw()
    assert np.abs(raw.get_data() - ours.get_data()).max() < 1e-3 * 1e-6
    assert raw.ch_names == ours.ch_names
    assert raw.info["sfreq"] == 250.0
    assert raw.info["meas_date"].isoformat() == "2026-11-24T19:18:27+00:00"


def test_exported_eeg_events_and_positions_are_read_back_by_mne_bids(dataset):
    place = mne_bids.BIDSPath(
        subject="P01", session="1", task="shortHeat", run="01", datatype="eeg", root=dataset
    )
    raw = mne_bids.read_raw_bids(place, verbose="error")
    ours = neurofb.read_session(eventful()).raw()
    kept = [name for name in ours.annotations.description if name]
    assert sorted(raw.annotations.description) == sorted(kept)
    heat = raw.annotations[raw.annotations.description == "heat/hot"]
    assert heat.onset == pytest.approx(ours.annotations.onset[ours.annotations.description == "heat/hot"])
    assert raw.info["bads"] == ours.info["bads"]
    places = raw.get_montage().get_positions()["ch_pos"]
    theirs = ours.get_montage().get_positions()["ch_pos"]
    np.testing.assert_allclose(np.linalg.norm(places["Fz"] - places["Oz"]),
                               np.linalg.norm(theirs["Fz"] - theirs["Oz"]), rtol=1e-3)  # fmt: skip


def test_events_table_has_stimuli_ratings_and_gaps(dataset):
    events = columns(eeg(dataset, "events.tsv"))
    assert [float(onset) for onset in events["onset"]] == sorted(float(onset) for onset in events["onset"])
    at = events["trial_type"].index("heat/hot")
    row = {name: column[at] for name, column in events.items()}
    assert (row["target_c"], row["site"], row["level"], row["trial"]) == ("46", "left forearm", "hot", "1")
    assert float(row["onset"]) == pytest.approx(int(row["sample"]) / 250, abs=0.002)
    at = events["trial_type"].index("rating/intensity")
    answered = neurofb.read_session(eventful()).ratings["value"][0]
    assert float(events["rating"][at]) == answered
    assert events["trial_type"].count("BAD_gap") >= 2
    assert "a door" not in eeg(dataset, "events.tsv").read_text("utf-8")
    about = document(dataset, "events.json")
    assert set(about["trial_type"]["Levels"]) == set(events["trial_type"])
    assert all(about["trial_type"]["Levels"].values())
    assert set(events) <= set(about)


def test_newest_sample_is_never_one_of_the_future():
    onsets_s = np.array([0.0, 0.02, 0.04, 0.06])
    grid_s = np.array([0.0, 0.0199, 0.02, 0.0399, 0.06, 0.5])
    assert newest(onsets_s, grid_s).tolist() == [0, 0, 1, 1, 3, 3]
    assert newest(onsets_s, np.array([-0.1])).tolist() == [0], "before the first there is only the first"


def test_channels_table_names_bad_channels_with_reason(dataset):
    channels = columns(eeg(dataset, "channels.tsv"))
    why = dict(zip(channels["name"], channels["status_description"], strict=True))
    assert set(channels["type"]) == {"EEG"}
    assert why["P3"].startswith("out of use for ")
    assert why["Fz"] == "n/a"


def test_channel_out_of_use_for_long_is_bad(tmp_path):
    ran = session(tmp_path, headset_faults=("off@15+30:P3",))
    data = tmp_path / "out"
    export(ran.folder, data)
    channels = columns(eeg(data, "channels.tsv"))
    assert [name for name, is_ in zip(channels["name"], channels["status"], strict=True) if is_ == "bad"] == [
        "P3"
    ]


def test_eeg_sidecar_has_required_and_known_fields(dataset):
    about = document(dataset, "eeg.json")
    assert about["TaskName"] == "shortHeat"
    assert about["SamplingFrequency"] == 250
    assert isinstance(about["SamplingFrequency"], float)
    for key in ("EEGReference", "PowerLineFrequency", "SoftwareFilters", "EEGGround", "HardwareFilters"):
        assert key in about
    assert about["ManufacturersModelName"] == "Simulated headset"
    assert about["SoftwareVersions"].startswith(f"neurofb {neurofb.__version__}")
    assert about["RecordingComplete"] is True
    assert about["RecordingDuration"] == pytest.approx(neurofb.read_session(eventful()).duration_s, abs=0.01)


def test_temperature_and_feedback_are_sampled_beside_the_eeg(dataset):
    about = document(dataset, "recording-thermode_physio.json")
    rows = np.array(table(eeg(dataset, "recording-thermode_physio.tsv.gz")), dtype=float)
    times_s = about["StartTime"] + np.arange(len(rows)) / about["SamplingFrequency"]
    assert about["Columns"] == ["target_temperature", "measured_temperature"]
    stimulus = neurofb.read_session(eventful()).stimulus
    now = np.interp(times_s, stimulus["onset_s"], stimulus["measured_c"])
    np.testing.assert_allclose(rows[:, 1], now, atol=1e-6)
    assert rows[:, 0].max() == 46
    about = document(dataset, "recording-feedback_stim.json")
    rows = table(eeg(dataset, "recording-feedback_stim.tsv.gz"))
    assert about["SamplingFrequency"] == pytest.approx(250 / 8)
    rewards = sum(float(row[1]) for row in rows if row[1] != "n/a")
    ours = neurofb.read_session(eventful()).feedback["reward"].sum()
    assert rewards == pytest.approx(ours, rel=0.1)
    assert ours > 0


def test_missing_rating_is_na_in_beh_table(tmp_path):
    ran = session(tmp_path, answers=False)
    export(ran.folder, tmp_path / "out")
    ratings = columns(tmp_path / "out" / "sub-P01" / "ses-1" / "beh" / f"{STEM}_beh.tsv")
    assert ratings["response"] == ["n/a"]
    assert ratings["response_time"] == ["n/a"]
    assert ratings["scale"] == ["intensity"]


def test_derivatives_have_features_protocol_and_versions(dataset):
    derived = dataset / "derivatives" / "neurofb"
    assert (
        json.loads((derived / "dataset_description.json").read_text("utf-8"))["DatasetType"] == "derivative"
    )
    found = derived / "sub-P01" / "ses-1" / "eeg"
    features = columns(found / f"{STEM}_desc-features_timeseries.tsv")
    ours = neurofb.read_session(eventful()).features["frontal_midline_theta"]
    theirs = [float("nan") if each == "n/a" else float(each) for each in features["frontal_midline_theta"]]
    np.testing.assert_array_equal(theirs, ours)
    made = json.loads((found / f"{STEM}_desc-provenance_settings.json").read_text("utf-8"))
    assert made["provenance"]["kernels_sha256"]
    protocol = json.loads((found / f"{STEM}_desc-protocol_settings.json").read_text("utf-8"))
    assert protocol["study"]["id"] == "short-heat"


def test_export_never_names_the_arm(tmp_path):
    arms = """
[[arms]]
id = "zenlike"
label = "A"
texts = { training = "Watch your breath, zen way." }

[[arms]]
id = "plainish"
label = "B"

[sources]"""
    ran = session(tmp_path, text=PROTOCOL.replace("\n[sources]", arms), arm="zenlike")
    assert ran.outcome.kind == "finished"
    export(ran.folder, tmp_path / "out")
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) > 15
    for path in written:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        for word in (b"zenlike", b"plainish", b"zen way"):
            assert word not in content, path
            assert word.decode() not in path.name


def test_second_export_overwrites_nothing(fresh):
    folder, data = fresh
    header = export(folder, data)
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(WrongInput, match=r"is there already, and nothing is overwritten; .* --out"):
        export(folder, data)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
    second = folder.with_name(folder.name.replace("run-01", "run-02"))
    shutil.copytree(folder, second)
    settings = json.loads((second / "session.json").read_text("utf-8"))
    (second / "session.json").write_text(json.dumps({**settings, "run": 2}), "utf-8")
    assert export(second, data).name == header.name.replace("run-01", "run-02")
    own = {path: content for path, content in before.items() if STEM in path.name}
    assert all(path.read_bytes() == content for path, content in own.items())


def test_export_after_failed_or_killed_one_succeeds(fresh, monkeypatch):
    folder, data = fresh

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(bids_of, "_write_ratings", full)
        with pytest.raises(RecordingFailed, match=r"cannot be written to .*No space left on device"):
            export(folder, data)
    assert not [path for path in data.rglob(f"{STEM}_*") if "sourcedata" not in str(path)]
    header = export(folder, data)
    last = next(data.rglob("*_desc-provenance_settings.json"))
    last.unlink()  # as if it had been killed before its end
    assert export(folder, data) == header
    assert last.exists()
    assert table(data / "sub-P01" / "ses-1" / "sub-P01_ses-1_scans.tsv")[1:] == [
        [f"eeg/{STEM}_eeg.vhdr", "2026-11-24T19:18:27.000000Z"]
    ]


def test_export_keeps_description_and_readme_of_a_dataset(fresh):
    folder, data = fresh
    said = {"Name": "Ours", "BIDSVersion": "1.7.0", "DatasetType": "raw"}
    (data / "dataset_description.json").write_text(json.dumps(said), "utf-8")
    (data / "README").write_text("Our own words.", "utf-8")
    export(folder, data)
    assert json.loads((data / "dataset_description.json").read_text("utf-8"))["Name"] == "Ours"
    assert [path.name for path in data.glob("README*")] == ["README"]


def test_shift_dates_moves_all_dates_but_sourcedata(fresh):
    folder, data = fresh
    done = export_session(folder, data, shift_dates=40_000)
    assert any("keeps the true ones" in note for note in done.notes)
    assert not any("before 1925" in note for note in done.notes)
    for path in data.rglob("*"):
        if path.is_file() and "sourcedata" not in str(path) and path.suffix != ".gz":
            assert b"2026-11" not in path.read_bytes(), path
            assert b"20261124" not in path.read_bytes(), path
    raw = mne.io.read_raw_brainvision(done.path, verbose="error")
    assert raw.info["meas_date"].isoformat() == "1917-05-20T19:18:27+00:00"


def test_shift_dates_too_short_is_noted(fresh):
    folder, data = fresh
    notes = export_session(folder, data, shift_dates=100).notes
    assert any("asks for dates before 1925" in note for note in notes)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_export_of_broken_off_session_is_noted(fresh, share):
    folder, data = fresh
    file = folder / "recording.xdf"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    done = export_session(folder, data)
    assert any("was broken off and is exported as far as it goes" in note for note in done.notes)
    about = document(data, "eeg.json")
    assert about["RecordingComplete"] is False
    assert mne.io.read_raw_brainvision(done.path, verbose="error").n_times > 1000
    made = json.loads(next(data.rglob("*_desc-provenance_settings.json")).read_text("utf-8"))
    assert made["recording"]["problems"]


def test_export_command_takes_a_session_or_a_dataset(fresh, tmp_path):
    folder, data = fresh
    result = invoke(export_command.command, folder)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"exported: {data}")
    second = folder.with_name(folder.name.replace("run-01", "run-02"))
    second.mkdir()
    (second / "recording.xdf").write_bytes(b"XDF:")
    result = invoke(export_command.command, data, "--json")
    assert result.exit_code == 2
    rows = json.loads(result.stdout)["sessions"]
    assert [row["state"] for row in rows] == ["there already", "failed"]
    again = invoke(export_command.command, folder / "recording.xdf", "--out", tmp_path / "other")
    assert again.exit_code == 0
    assert (tmp_path / "other" / "sub-P01").is_dir()
    with pytest.raises(UnknownFile, match="is neither a session"):
        invoke(export_command.command, tmp_path / "other")
    alone = tmp_path / "alone"
    shutil.copytree(folder, alone)
    with pytest.raises(WrongInput, match=r"does not lie in a dataset, .* --out"):
        invoke(export_command.command, alone)


def test_cell_formats_missing_and_numbers():
    assert [cell(value) for value in (None, "", float("nan"), 0.0, 2.5, 7, True, "a\tb\nc")] == [
        "n/a", "n/a", "n/a", "0", "2.5", "7", "True", "a b c",
    ]  # fmt: skip
    assert float(cell(0.1 + 0.2)) == 0.1 + 0.2
    assert cell(np.float64(1.5)) == "1.5"


#: Tables of participants as other programs write them: the bytes, and the line that is added for P01.
KEPT_TABLES = {
    "lines of Windows": (b"participant_id\tage\r\nsub-P00\t31\r\n", b"sub-P01\tn/a\r\n"),
    "lines of an old Mac": (b"participant_id\tage\rsub-P00\t31\r", b"sub-P01\tn/a\r"),
    "no line end at its end": (b"participant_id\tage\nsub-P00\t31", b"\nsub-P01\tn/a\n"),
    "a byte-order mark": (b"\xef\xbb\xbfparticipant_id\tage\nsub-P00\t31\n", b"sub-P01\tn/a\n"),
    "more columns in another order": (
        "group\thand\tparticipant_id\tNotiz\n2\tR\tsub-P00\tmüde\n".encode(),
        b"n/a\tn/a\tsub-P01\tn/a\n",
    ),
    "quotes, blanks and empty cells": (
        b'"participant_id"\t"age"\t"note"\n"sub-P00"\t 31 \t"a, b"\nsub-P02\t\t\n',
        b"sub-P01\tn/a\tn/a\n",
    ),
    "rows twice and unsorted": (
        b"participant_id\tage\nsub-P09\t3\nsub-P00\t31\nsub-P00\t32\n",
        b"sub-P01\tn/a\n",
    ),
    "rows of other lengths": (b"participant_id\tage\nsub-P00\nsub-P02\t1\t2\t3\n\n", b"sub-P01\tn/a\n"),
    "the participant already": (b"participant_id\tage\tx\nsub-P01\t31\t7\n", b""),
    "the participant in quotes": (b'participant_id\tage\r\n"sub-P01"\t31\r\n', b""),
    "names alone": (b"participant_id\nsub-P00\n", b"sub-P01\n"),
    "nothing": (b"", b"participant_id\tage\tsex\nsub-P01\tn/a\tn/a\n"),
}
REFUSED_TABLES = {
    "semicolons": (
        b"participant_id;age\nsub-P00;31\n",
        r"no column 'participant_id' between tabs; .* by ';'",
    ),
    "commas": (b"participant_id,age\nsub-P00,31\n", r"no column 'participant_id' between tabs; .* by ','"),
    "UTF-16": ("participant_id\tage\nsub-P00\t31\n".encode("utf-16"), r"is text in UTF-16"),
    "Latin-1": (
        "participant_id\tNotiz\nsub-P00\tmüde\n".encode("latin-1"),
        r"line 2 has a letter of Latin-1",
    ),
    "no such column": (b"subject\tage\nP00\t31\n", r"no column 'participant_id' between tabs"),
    "an open quotation mark": (
        b'participant_id\tnote\nsub-P00\t"tired\n',
        r"quotation mark that is not closed",
    ),
}
ROW = {"participant_id": "sub-P01", "age": "n/a", "sex": "n/a"}


@pytest.mark.parametrize("what", KEPT_TABLES)
def test_row_is_added_to_a_table_and_no_byte_of_it_changes(what, tmp_path):
    (path := tmp_path / "participants.tsv").write_bytes(KEPT_TABLES[what][0])
    SharedTable(path, "participant_id").add(ROW)
    assert path.read_bytes() == b"".join(KEPT_TABLES[what])
    before = path.read_bytes()
    SharedTable(path, "participant_id").add(ROW)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("what", REFUSED_TABLES)
def test_table_that_cannot_take_a_row_stops_the_export(what, tmp_path):
    content, why = REFUSED_TABLES[what]
    (path := tmp_path / "participants.tsv").write_bytes(content)
    with pytest.raises(WrongFile, match=f"(?s)participants.tsv .*{why}.*Nothing was exported.*--out"):
        SharedTable(path, "participant_id")
    assert path.read_bytes() == content


def test_removed_row_leaves_all_others_as_they_are(tmp_path):
    header, row = b"\xef\xbb\xbffilename\tx\r\n", b"eeg/a_eeg.vhdr\t1\r\n"
    (path := tmp_path / "scans.tsv").write_bytes(header + row + b"eeg/b_eeg.vhdr\t2")
    remove_row(path, "eeg/c_eeg.")
    remove_row(path, "eeg/b_eeg.")
    assert path.read_bytes() == header + row
    remove_row(path, "eeg/a_eeg.")
    assert not path.exists()


def test_export_keeps_the_tables_of_a_dataset(fresh):
    folder, data = fresh
    people = b"\xef\xbb\xbfgroup\tparticipant_id\tage\r\n2\tsub-P00\t31\r\n2\tsub-P00\t31"
    about = b'{"group": {"Description": "ours"}}'
    visits = b"session_id\tpain\r\nses-1\t7"
    scans = b"filename\tnote\r\neeg/other_eeg.edf\tkept"
    visit = data / "sub-P01" / "ses-1"
    visit.mkdir(parents=True)
    (data / "participants.tsv").write_bytes(people)
    (data / "participants.json").write_bytes(about)
    (data / "sub-P01" / "sub-P01_sessions.tsv").write_bytes(visits)
    (visit / "sub-P01_ses-1_scans.tsv").write_bytes(scans)
    export(folder, data)
    assert (data / "participants.tsv").read_bytes() == people + b"\r\nn/a\tsub-P01\tn/a\r\n"
    assert (data / "participants.json").read_bytes() == about
    assert (data / "sub-P01" / "sub-P01_sessions.tsv").read_bytes() == visits
    added = f"\r\neeg/{STEM}_eeg.vhdr\tn/a\r\n".encode()
    assert (visit / "sub-P01_ses-1_scans.tsv").read_bytes() == scans + added
    assert not list(data.glob(".neurofb*"))


def test_export_stops_before_it_writes_into_a_dataset_whose_table_it_cannot_keep(fresh):
    folder, data = fresh
    (data / "participants.tsv").write_bytes(b"participant_id;age\nsub-P00;31\n")
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    with pytest.raises(WrongFile, match="separated by ';'"):
        invoke(export_command.command, folder)
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before
