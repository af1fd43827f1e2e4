"""A session as MNE gets it: V, positions, annotations at the right samples, gaps marked; also when it was cut."""

import datetime
import json
import shutil

import mne
import numpy as np
import pytest
from offline_parts import eventful

import neurofb
from neurofb.errors import UnknownFile, UnknownName, WrongFile
from neurofb.offline import gaps as gaps_of
from neurofb.offline.gaps import find_gaps
from neurofb.offline.to_mne import RecordedRaw
from neurofb.recording.session_recording import open_session_recording


@pytest.fixture(scope="module")
def session():
    return neurofb.read_session(eventful())


@pytest.fixture(scope="module")
def raw(session):
    return session.raw()


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(eventful(), tmp_path / "copy")
    return tmp_path / "copy"


def spans(raw, start):
    return [
        (a["onset"], a["duration"], a["description"])
        for a in raw.annotations
        if a["description"].startswith(start)
    ]


def test_raw_has_the_samples_in_volts(session, raw):
    uv = session.recording.eeg()
    assert raw.get_data().shape == uv.T.shape
    there = ~np.isnan(uv.T)
    np.testing.assert_array_equal(raw.get_data()[there], (uv * 1e-6).T[there])
    assert np.isfinite(raw.get_data()).all()
    assert 1e-6 < raw.get_data()[:, :1000].std() < 1e-4


def test_raw_read_in_pieces_equals_whole(raw):
    whole = raw.get_data()
    np.testing.assert_array_equal(
        raw.get_data(picks=["Fz", "Oz"], start=4990, stop=5050), whole[[3, 14], 4990:5050]
    )
    np.testing.assert_array_equal(raw.copy().load_data().get_data(), whole)
    assert not raw.preload


def test_raw_has_positions_date_and_names(session, raw):
    assert raw.ch_names == list(session.recording.labels)
    assert set(raw.get_channel_types()) == {"eeg"}
    places = raw.get_montage().get_positions()["ch_pos"]
    assert places["Fz"][1] > 0.05 > 0 > places["Oz"][1]
    assert raw.info["subject_info"]["his_id"] == "P01"
    assert raw.info["device_info"]["model"] == "Simulated headset"
    assert raw.info["meas_date"] is None  # the test's session has no date


def test_raw_has_the_date_of_the_session(copied):
    settings = json.loads((copied / "session.json").read_text("utf-8"))
    settings["date"] = "2026-11-24T19:18:27+0200"
    (copied / "session.json").write_text(json.dumps(settings), "utf-8")
    wanted = datetime.datetime(2026, 11, 24, 17, 18, 27, tzinfo=datetime.UTC)
    assert neurofb.read_session(copied).raw().info["meas_date"] == wanted


def test_raw_annotations_have_phases_steps_ratings_and_notes(session, raw):
    assert [name for *_, name in spans(raw, "phase")] == ["phase/rest", "phase/training"]
    (onset, lasts, _), (after, *_) = spans(raw, "phase")
    assert (onset, after) == (0, pytest.approx(lasts))
    assert [name for *_, name in spans(raw, "step")] == [
        "step/cue/hot",
        "step/anticipation/hot",
        "step/relief/hot",
        "step/rating/hot",
    ]
    assert len(spans(raw, "rating/intensity")) == 1
    assert len(spans(raw, "feedback/rest")) >= 1
    assert [(round(onset, 1), name) for onset, _, name in spans(raw, "note")] == [(5.0, "note")]
    ((onset, lasts, _),) = spans(raw, "channel_left/")
    left = next(event for event in session.events if event.kind == "channel_left")
    assert onset == pytest.approx(left.index / 250)
    assert lasts > 3


def test_heat_annotation_spans_the_warm_readings(session, raw):
    ((onset, lasts, name),) = spans(raw, "heat")
    assert name == "heat/hot"
    table = session.stimulus
    above = table["onset_s"][table["target_c"] > 32.0]
    assert onset == pytest.approx(above[0], abs=0.05)
    assert onset + lasts == pytest.approx(above[-1], abs=0.05)
    (heat,) = (each for each in session.annotations if each.kind == "heat")
    assert heat.details["target_c"] == 46.0
    assert (heat.details["trial"], heat.details["phase"]) == (1, "training")


def test_artifact_annotations_span_withheld_feedback(session, raw):
    found = {name for *_, name in spans(raw, "artifact")}
    assert "artifact/blink" in found
    table = session.feedback
    for onset, lasts, _ in spans(raw, "artifact/blink"):
        inside = (table["onset_s"] >= onset - 1e-6) & (table["onset_s"] < onset + lasts - 1e-6)
        assert inside.any()
        assert not table["usable"][inside].any()


def test_gaps_are_bad_and_bridged(session, raw):
    missing = np.isnan(session.recording.eeg()).all(axis=1)
    first = np.flatnonzero(np.diff(missing.astype(int)) == 1) + 1
    found = spans(raw, "BAD_gap")
    assert [round(onset * 250) for onset, *_ in found] == first.tolist()
    assert round(sum(lasts for _, lasts, _ in found) * 250) == missing.sum() > 400
    long = [lasts for _, lasts, _ in spans(raw, "BAD_ACQ_SKIP")]
    assert long == [max(lasts for _, lasts, _ in found)]
    x, at = raw.get_data(), first[0]
    end = at + int((~missing[at:]).argmax())
    line = np.linspace(x[:, at - 1], x[:, end], end - at + 2, axis=1)
    np.testing.assert_allclose(x[:, at - 1 : end + 1], line, atol=1e-15)


def test_raw_filters_and_saves_without_warnings(raw, tmp_path):
    filtered = raw.copy().load_data().filter(1.0, 40.0, verbose="error")
    assert np.isfinite(filtered.get_data()).all()
    raw.save(tmp_path / "session_raw.fif", verbose="error")
    again = mne.io.read_raw_fif(tmp_path / "session_raw.fif", verbose="error")
    np.testing.assert_allclose(again.get_data(), raw.get_data(), atol=1e-9)
    assert list(again.annotations.description) == list(raw.annotations.description)


def test_epochs_by_event(session):
    epochs = session.epochs("heat", tmin=-0.5, tmax=1.0, reject_by_annotation=False)
    assert list(epochs.event_id) == ["heat/hot"]
    assert epochs.get_data(copy=False).shape == (1, 16, 376)
    onset_s = next(each.onset_s for each in session.annotations if each.kind == "heat")
    assert epochs.events[0, 0] == round(onset_s * 250)
    assert len(session.epochs("step", tmin=0, tmax=0.2, reject_by_annotation=False)) == 4
    with pytest.raises(UnknownName, match=r"no event 'heet' .*'heat/hot'|no event 'heet' .*heat/hot"):
        session.epochs("heet")


def test_session_tables_are_columns(session):
    assert session.features["onset_s"][0] == session.features["index"][0] / 250
    assert len({len(column) for column in session.feedback.values()}) == 1
    assert set(session.stimulus["site"]) == {"", "left forearm"}
    assert session.ratings["scale"].tolist() == ["intensity"]
    assert session.ratings["value"].dtype == object
    assert 0 < session.ratings["onset_s"][0] < session.duration_s


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.97])
def test_recording_cut_anywhere_opens_to_its_end(copied, share):
    file = copied / "recording.xdf"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    session = neurofb.read_session(copied)
    assert not session.is_whole
    assert session.problems
    assert "broken off" in repr(session)
    raw = session.raw()
    assert raw.n_times == session.recording.n_samples
    assert raw.n_times == pytest.approx(share * neurofb.read_session(eventful()).recording.n_samples, abs=400)
    assert raw.annotations.onset.max() <= raw.times[-1]


def test_raw_without_eeg_is_refused(copied):
    file = copied / "recording.xdf"
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(WrongFile, match="has no EEG: "):
        neurofb.read_session(copied).raw()
    with pytest.raises(UnknownFile, match=r"has no recording\.xdf"):
        neurofb.read_session(copied.parent)


class Given:
    """Samples as a recording gives them."""

    labels = ("A", "B")

    def __init__(self, x):
        self.x, self.n_samples, self.path = x, len(x), eventful() / "recording.xdf"

    def eeg(self, start, stop):
        return self.x[start:stop].copy()


@pytest.mark.parametrize("piece_s", [0.01, 0.03, 60.0])
def test_gaps_are_found_however_the_recording_is_cut(monkeypatch, piece_s):
    monkeypatch.setattr(gaps_of, "_PIECE_S", piece_s)
    x = np.arange(20.0).reshape(10, 2)
    x[0, 0] = x[3:5] = x[6, 1] = x[8:, 0] = np.nan
    found = find_gaps(Given(x), 100.0)
    assert [(gap.first, gap.end, gap.channels.tolist()) for gap in found] == [
        (0, 1, [0]),
        (3, 5, [0, 1]),
        (6, 7, [1]),
        (8, 10, [0]),
    ]
    bridged = x.copy()
    for gap in found:
        gap.bridge(bridged, 0)
    wanted = np.arange(20.0).reshape(10, 2)
    wanted[0, 0], wanted[8:, 0] = 2.0, 14.0
    np.testing.assert_allclose(bridged, wanted)
    raw = RecordedRaw(Given(x), mne.create_info(["A", "B"], 100.0, "eeg"), found)
    np.testing.assert_allclose(raw.get_data(start=4, stop=7), 1e-6 * wanted[4:7].T)


def test_session_has_settings_and_length_of_its_recording(session):
    assert session.duration_s == session.recording.n_samples / 250
    assert session.settings == open_session_recording(eventful()).settings
    assert repr(session) == f"<Session sub-P01_ses-1_task-shortHeat_run-01: {session.duration_s:.1f} s>"
