"""Recordings of other programs, read as MNE and pyxdf read them: µV, labels, gaps, and plain words for the rest."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pytest
import pyxdf
import scipy.io

from neurofb.acquisition.readers.open import read_recording
from neurofb.acquisition.readers.recording import Recording
from neurofb.devices import load_profile
from neurofb.errors import StreamMissing, UnknownFile, WrongFile, WrongInput, WrongShape, WrongStream

MUSE = "muse_xdf_labrecorder/sub-P001_ses-S001_task-Default_run-001_eeg.xdf"
RECONNECT = "labrecorder_made_here/multi_format_reconnect.xdf"
OPENBCI = "openbci_gui_samples/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"


def made_recording() -> Recording:
    samples_uv = np.random.default_rng(5).normal(0.0, 20.0, (1000, 3))
    return Recording.of_array(("C3", "Cz", "C4"), 250.0, samples_uv)


def raw_of(recording: Recording) -> mne.io.RawArray:
    info = mne.create_info(list(recording.labels), recording.rate_hz, "eeg")
    return mne.io.RawArray(recording.samples_uv.T * 1e-6, info, verbose="error")


def test_eegmmidb_equals_mne_with_standard_labels(data_dir: Path) -> None:
    path = data_dir / "physionet_eegmmidb/S001R01.edf"
    recording = read_recording(path)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    mne.datasets.eegbci.standardize(raw)
    np.testing.assert_allclose(recording.samples_uv, raw.get_data().T * 1e6, rtol=0, atol=1e-9)
    assert recording.labels == tuple(raw.ch_names)
    assert (recording.rate_hz, recording.duration_s) == (160.0, 60.0)
    assert 10 < np.std(recording.samples_uv) < 200, "EEG is tens of µV"


def test_eegmat_channels_other_than_eeg_are_left_out(data_dir: Path) -> None:
    path = data_dir / "eegmat/Subject00_2.edf"
    recording = read_recording(path)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    microvolts = raw.get_data(picks=raw.ch_names[:19]).T * 1e6
    np.testing.assert_allclose(recording.samples_uv, microvolts, rtol=0, atol=1e-9)
    assert recording.labels[:7] == ("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3")
    assert recording.notes == (
        "left out, as no EEG: EEG A2-A1 (its label names no place on the head), ECG ECG (ECG by its label)",
    )


def test_channels_are_in_order_of_profile(data_dir: Path) -> None:
    profile = load_profile("openbci-cyton")
    path = data_dir / "physionet_eegmmidb/S001R01.edf"
    recording, everything = read_recording(path, profile=profile), read_recording(path)
    assert recording.labels == profile.labels
    columns = [everything.labels.index(label) for label in profile.labels]
    np.testing.assert_array_equal(recording.samples_uv, everything.samples_uv[:, columns])
    assert "recorded at 160 Hz, but OpenBCI Cyton has 250 Hz" in recording.notes
    with pytest.raises(
        WrongStream, match=r"Muse 2 has the channels .*; found .*: missing or twice TP9, TP10"
    ):
        read_recording(path, profile=load_profile("muse-2"))


def write_edf(path: Path, made: Recording, step_uv: float) -> None:
    """Write EDF, or BDF with its 24 bits, by the published layout: a header in ASCII, then records of 1 s."""
    bits = 24 if path.suffix == ".bdf" else 16
    n, rate = made.samples_uv.shape[1], round(made.rate_hz)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    start = b"\xffBIOSEMI" if bits == 24 else b"0".ljust(8)
    head = start + b"X".ljust(80) + b"Y".ljust(80) + b"01.01.20" + b"00.00.00"
    n_records = len(made.samples_uv) // rate
    head += f"{256 * (n + 1):<8}{'24BIT' if bits == 24 else '':<44}{n_records:<8}{1:<8}{n:<4}".encode()
    for width, texts in (
        (16, list(made.labels)),
        (80, [""] * n),
        (8, ["uV"] * n),
        (8, [f"{low * step_uv:.8g}"[:8]] * n),
        (8, [f"{high * step_uv:.8g}"[:8]] * n),
        (8, [str(low)] * n),
        (8, [str(high)] * n),
        (80, [""] * n),
        (8, [str(rate)] * n),
        (32, [""] * n),
    ):
        head += "".join(text.ljust(width) for text in texts).encode()
    steps = np.round(made.samples_uv / step_uv).astype("<i4")
    records = [steps[i : i + rate].T.ravel() for i in range(0, len(steps), rate)]
    path.write_bytes(head + b"".join(r.view("u1").reshape(-1, 4)[:, : bits // 8].tobytes() for r in records))


def write_brainvision(path: Path, made: Recording) -> None:
    channels = "\n".join(f"Ch{i}={label},,0.5,µV" for i, label in enumerate(made.labels, 1))
    path.write_text(
        "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile=made.eeg\nMarkerFile=made.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n"
        f"NumberOfChannels={len(made.labels)}\nSamplingInterval={1e6 / made.rate_hz:g}\n"
        f"[Binary Infos]\nBinaryFormat=IEEE_FLOAT_32\n[Channel Infos]\n{channels}\n",
        encoding="utf-8",
    )
    marker = "Mk1=New Segment,,1,1,0,20200101000000000000"
    path.with_suffix(".vmrk").write_text(
        "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\nCodepage=UTF-8\n"
        f"DataFile=made.eeg\n[Marker Infos]\n{marker}\n",
        encoding="utf-8",
    )
    path.with_suffix(".eeg").write_bytes((made.samples_uv / 0.5).astype("<f4").tobytes())


def write_eeglab(path: Path, made: Recording) -> None:
    n_samples, n_channels = made.samples_uv.shape
    places = np.array([(label, "EEG") for label in made.labels], dtype=[("labels", object), ("type", object)])
    fields = {"data": made.samples_uv.T, "srate": made.rate_hz, "nbchan": n_channels, "pnts": n_samples}
    fields |= {"trials": 1, "xmin": 0.0, "xmax": (n_samples - 1) / made.rate_hz, "chanlocs": places}
    fields |= {"event": np.empty(0), "epoch": np.empty(0), "setname": "made"}
    scipy.io.savemat(path, {"EEG": fields}, appendmat=False)


@pytest.mark.parametrize(
    ("ending", "tolerance_uv"), [("fif", 1e-9), ("edf", 0.06), ("bdf", 0.06), ("vhdr", 1e-5), ("set", 1e-5)]
)
def test_each_mne_format_is_read_in_uv(tmp_path: Path, ending: str, tolerance_uv: float) -> None:
    made, path = made_recording(), tmp_path / ("made_raw.fif" if ending == "fif" else f"made.{ending}")
    if ending == "fif":
        raw_of(made).save(path, fmt="double", verbose="error")
    elif ending == "vhdr":
        write_brainvision(path, made)
    elif ending == "set":
        write_eeglab(path, made)
    else:
        write_edf(path, made, {"edf": 0.1, "bdf": 0.0625}[ending])
    recording = read_recording(path)
    assert recording.labels == made.labels
    assert recording.rate_hz == made.rate_hz
    np.testing.assert_allclose(recording.samples_uv, made.samples_uv, atol=tolerance_uv, rtol=1e-6)


def test_xdf_units_are_scaled_and_packed_file_is_equal(tmp_path: Path) -> None:
    """Volts stay right, whatever the writer calls them, and a packed file is the same file."""
    samples_uv = np.random.default_rng(1).normal(0, 20, (100, 2))
    for text, uv in (("volts", 1e6), ("0", 1e6), ("-6", 1.0), ("µV", 1.0), ("millivolts", 1e3)):
        file = made_xdf(samples_uv / uv, text)
        (tmp_path / "made.xdf").write_bytes(file)
        recording = read_recording(tmp_path / "made.xdf")
        np.testing.assert_allclose(recording.samples_uv, samples_uv, rtol=1e-12)
        assert recording.labels == ("Fz", "Cz")
    with gzip.open(tmp_path / "made.xdf.gz", "wb") as packed:
        packed.write(file)
    same = read_recording(tmp_path / "made.xdf.gz")
    np.testing.assert_array_equal(same.samples_uv, recording.samples_uv)


def test_xdf_without_a_unit_needs_a_device(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((10, 2)), ""))
    with pytest.raises(WrongFile, match=r"'made', type 'eeg', .*names no unit; say by --device which device"):
        read_recording(tmp_path / "made.xdf")
    own = load_profile("simulated").model_copy(
        update={"labels": ("Cz", "Fz"), "regions": {}, "unit": "millivolts", "lsl": ()}
    )
    recording = read_recording(tmp_path / "made.xdf", profile=own)
    assert recording.labels == ("Cz", "Fz")
    np.testing.assert_array_equal(recording.samples_uv, np.full((10, 2), 1000.0))


def test_xdf_gap_of_hours_is_limited(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((10, 2)), "uV", hole_s=7200.0))
    recording = read_recording(tmp_path / "made.xdf")
    assert recording.gaps() == [(5, 60000)]
    assert any("gaps of 7200 s in all are played as 600 s" in note for note in recording.notes)


@pytest.mark.parametrize(("hole_s", "missing"), [(0.6, 60), (1.0, 100), (37.0, 3700)])
def test_xdf_gap_has_length_of_its_stamps(tmp_path: Path, hole_s: float, missing: int) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((300, 2)), "uV", hole_s=hole_s))
    assert read_recording(tmp_path / "made.xdf").gaps() == [(150, missing)]


def test_xdf_clock_set_back_joins_with_note(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((300, 2)), "uV", hole_s=-20.0))
    recording = read_recording(tmp_path / "made.xdf")
    assert recording.samples_uv.shape == (300, 2)
    assert recording.gaps() == []
    assert any(
        "the clock was set back by 19.990 s; the samples before and after are" in n for n in recording.notes
    )


def test_xdf_channels_of_other_type_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((10, 2)), "uV", types=("EEG", "AUX")))
    recording = read_recording(tmp_path / "made.xdf")
    assert recording.labels == ("Fz",)
    assert recording.notes[0] == "left out, as no EEG: Cz (of type AUX)"


def made_xdf(
    values: np.ndarray, unit: str, hole_s: float = 0.0, types: tuple[str, str] = ("EEG", "EEG")
) -> bytes:
    """Give an XDF file with one stream of 100 Hz, by the published layout, perhaps with a hole in the middle."""

    def block(tag: int, content: bytes) -> bytes:
        return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content

    channels = "".join(
        f"<channel><label>{label}</label><type>{kind}</type>{f'<unit>{unit}</unit>' if unit else ''}</channel>"
        for label, kind in zip(("Fz", "Cz"), types, strict=True)
    )
    header = (
        "<?xml version='1.0'?><info><name>made</name><type>eeg</type><channel_count>2</channel_count>"
        "<nominal_srate>100</nominal_srate><channel_format>double64</channel_format>"
        f"<desc><channels>{channels}</channels></desc></info>"
    )
    samples = b""
    for i, row in enumerate(values):
        stamp_s = 50.0 + i / 100 + (hole_s if i >= len(values) // 2 else 0.0)
        samples += b"\x08" + struct.pack("<d", stamp_s) + row.astype("<f8").tobytes()
    stream = struct.pack("<I", 1)
    footer = (
        f"<?xml version='1.0'?><info><first_timestamp>50</first_timestamp><last_timestamp>{stamp_s}</last_timestamp>"
        f"<sample_count>{len(values)}</sample_count></info>"
    )
    return (
        b"XDF:"
        + block(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
        + block(2, stream + header.encode())
        + block(3, stream + b"\x04" + struct.pack("<I", len(values)) + samples)
        + block(6, stream + footer.encode())
    )


def test_only_acquisition_skips_are_nan(tmp_path: Path) -> None:
    raw = raw_of(made_recording())
    raw.set_annotations(mne.Annotations([0.4, 2.0], [0.2, 0.1], ["BAD_ACQ_SKIP", "BAD_blink"]))
    raw.save(tmp_path / "paused_raw.fif", verbose="error")
    recording = read_recording(tmp_path / "paused_raw.fif")
    assert recording.gaps() == [(100, 50)]
    assert np.isfinite(np.delete(recording.samples_uv, np.arange(100, 150), axis=0)).all()


def test_muse_xdf_equals_pyxdf(data_dir: Path) -> None:
    recording = read_recording(data_dir / MUSE)
    streams, _ = pyxdf.load_xdf(data_dir / MUSE)
    eeg = next(s for s in streams if s["info"]["type"] == ["EEG"])
    np.testing.assert_array_equal(recording.samples_uv, eeg["time_series"][:, :4].astype(float))
    assert recording.labels == ("TP9", "AF7", "AF8", "TP10")
    assert recording.rate_hz == 256.0
    assert recording.notes == ("left out, as no EEG: AUX_RIGHT (AUX_RIGHT by its label)",)
    same = read_recording(data_dir / MUSE, "EEG", load_profile("muse-2"))
    np.testing.assert_array_equal(recording.samples_uv, same.samples_uv)


def test_xdf_reconnected_stream_has_gap(data_dir: Path) -> None:
    recording = read_recording(data_dir / RECONNECT, "eeg_float32")
    streams, _ = pyxdf.load_xdf(data_dir / RECONNECT)
    eeg = next(s for s in streams if s["info"]["name"] == ["eeg_float32"])
    ((first, length),) = recording.gaps()
    assert first == 4513
    assert length / 160.0 == pytest.approx(13.0, abs=0.1), "the outlet was away for 13 s"
    assert len(recording.samples_uv) == len(eeg["time_series"]) + length
    there = np.isfinite(recording.samples_uv).all(axis=1)
    np.testing.assert_array_equal(recording.samples_uv[there], eeg["time_series"])
    stamps_s = eeg["time_stamps"]
    assert len(recording.samples_uv) / 160.0 == pytest.approx(stamps_s[-1] - stamps_s[0], abs=0.05)
    assert f"{length} samples are missing in 1 gaps" in recording.notes


def test_xdf_integer_streams_and_broken_off_files_are_read(data_dir: Path) -> None:
    whole = read_recording(data_dir / MUSE)
    cut = read_recording(data_dir / "labrecorder_made_here/truncated_muse_P001_60000bytes.xdf")
    assert 1000 < len(cut.samples_uv) < len(whole.samples_uv)
    np.testing.assert_array_equal(cut.samples_uv, whole.samples_uv[: len(cut.samples_uv)])
    assert any("broken off or is damaged from byte 59833 of 60000 on" in note for note in cut.notes)
    killed = read_recording(data_dir / "labrecorder_made_here/killed_no_footer.xdf", "eeg_int16")
    assert killed.samples_uv.dtype == np.float64
    assert killed.labels == ("O1", "Oz", "O2", "Pz")
    for broken in (cut, killed):
        assert any("no footer: its recording was broken off" in note for note in broken.notes)
    assert not any("footer" in note for note in whole.notes)


def test_xdf_clock_resets_and_labels_by_profile(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "xdf_example_files/clock_resets.xdf"
    with pytest.raises(WrongFile, match=r"'BioSemi'.*names no channels; say by --device which device it was"):
        read_recording(path)
    recording = read_recording(path, profile=load_profile("openbci-cyton"))
    assert recording.labels == load_profile("openbci-cyton").labels
    streams, _ = pyxdf.load_xdf(path)
    eeg = next(s for s in streams if s["info"]["name"] == ["BioSemi"])
    there = np.isfinite(recording.samples_uv).all(axis=1)
    np.testing.assert_array_equal(recording.samples_uv[there], eeg["time_series"])
    # It says 100 Hz and sent 92.93; the sender's clock was away for 273.6 s.
    assert recording.rate_hz == pytest.approx(eeg["info"]["effective_srate"], abs=0.01)
    longest = max(length for _, length in recording.gaps())
    assert longest / recording.rate_hz == pytest.approx(273.55, abs=0.1)
    assert any("samples came at 92.93 Hz, but the stream says 100 Hz" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("file", "stream", "message"),
    [
        (RECONNECT, None, r"exactly one EEG stream with samples, 5 fit; choose one by --stream"),
        (RECONNECT, "eeg_int64", r"'eeg_int64', the one that fits has no regular samples of EEG"),
        (RECONNECT, "EEG", r"name, type or number 'EEG', 7 fit"),
        (RECONNECT, "mrk", r"'mrk', the one that fits has no regular samples"),
        (MUSE, "Muse", r"'Muse', 4 fit(.|\n)*type 'PPG', 3 channels, 64 Hz, 0 samples"),
        (MUSE, "alpha", r"'alpha', none fits"),
        ("xdf_example_files/empty_streams.xdf", None, r"EEG stream with samples, none fits"),
    ],
)
def test_xdf_ambiguous_stream_lists_all(data_dir: Path, file: str, stream: str | None, message: str) -> None:
    with pytest.raises(StreamMissing, match=message) as caught:
        read_recording(data_dir / file, stream)
    assert caught.value.exit_code == 3
    assert "There are:\n  1: " in str(caught.value)


def test_xdf_stream_in_other_unit_is_refused(data_dir: Path) -> None:
    with pytest.raises(WrongFile, match=r"has no EEG channels; it has .* \(in g, no voltage\)"):
        read_recording(data_dir / MUSE, "ACC")


def test_xdf_without_readable_stream_is_refused(data_dir: Path) -> None:
    message = r"chunk_length_lie\.xdf cannot be read as XDF: a header cannot be read: a header is no XML"
    with pytest.raises(WrongFile, match=message):
        read_recording(data_dir / "xdf_rs_odd/chunk_length_lie.xdf")


@pytest.mark.parametrize("file", ["out_of_order_clock_offsets.xdf", "out_of_order_sample_chunk.xdf"])
def test_xdf_with_chunks_out_of_order_has_no_eeg(data_dir: Path, file: str) -> None:
    with pytest.raises(StreamMissing, match=rf"{file}: .*, none fits(.|\n)*There are:\n  0: '000000000'"):
        read_recording(data_dir / "xdf_rs_odd" / file)


def test_xdf_cut_anywhere_is_read_in_part_or_refused(data_dir: Path, tmp_path: Path) -> None:
    """Whatever a crash leaves: a beginning of the samples and a note, or one message; never another error."""
    whole, bytes_ = read_recording(data_dir / MUSE), (data_dir / MUSE).read_bytes()
    cut, refused = tmp_path / "cut.xdf", []
    for length in np.random.default_rng(0).integers(0, 80_000, 25):
        cut.write_bytes(bytes_[:length])
        try:
            recording = read_recording(cut)
        except (WrongFile, StreamMissing, WrongStream) as error:
            refused.append(str(error))
            continue
        assert any("broken off" in note for note in recording.notes)
        np.testing.assert_array_equal(recording.samples_uv, whole.samples_uv[: len(recording.samples_uv)])
    assert len(refused) < 15
    assert all("cut.xdf" in message for message in refused)


def test_openbci_text_equals_its_numbers(data_dir: Path) -> None:
    recording = read_recording(data_dir / OPENBCI)
    by_hand = np.genfromtxt(data_dir / OPENBCI, delimiter=",", skip_header=5, usecols=range(1, 9))
    np.testing.assert_array_equal(recording.samples_uv, by_hand)
    assert recording.labels == load_profile("openbci-cyton").labels
    assert recording.rate_hz == 250.0
    assert "the file names no electrodes: labels as OpenBCI Cyton's default montage" in recording.notes


@pytest.mark.parametrize(("first", "length"), [(1000, 1), (1000, 30), (1000, 255), (1000, 256), (1000, 700)])
def test_openbci_lost_packets_are_gaps_of_their_length(
    data_dir: Path, tmp_path: Path, first: int, length: int
) -> None:
    lines = (data_dir / OPENBCI).read_text("utf-8").splitlines()
    del lines[5 + first : 5 + first + length]
    path = tmp_path / "lossy.txt"
    path.write_text("\n".join([*lines[:4000], lines[4000][:30]]), encoding="utf-8")
    recording, whole = read_recording(path), read_recording(data_dir / OPENBCI)
    assert recording.gaps() == [(first, length)]
    there = np.isfinite(recording.samples_uv)
    n = len(recording.samples_uv)
    assert n == 4000 - 5 + length
    np.testing.assert_array_equal(recording.samples_uv[there], whole.samples_uv[:n][there])
    assert f"{length} samples are missing in 1 gaps" in recording.notes
    assert "the last line is broken off and left out" in recording.notes


def _reindexed(data_dir: Path, tmp_path: Path, change: Callable[[list[list[str]]], None]) -> Recording:
    """Return the OpenBCI recording, its first 5000 lines of cells changed by ``change``."""
    lines = (data_dir / OPENBCI).read_text("utf-8").splitlines()[:5005]
    cells = [line.split(",") for line in lines[5:]]
    change(cells)
    path = tmp_path / "reindexed.txt"
    path.write_text("\n".join([*lines[:5], *(",".join(row) for row in cells)]), encoding="utf-8")
    return read_recording(path)


def _wrong_in_four(cells: list[list[str]]) -> None:
    for line, index in ((700, "9"), (1500, "200"), (1501, "77"), (3000, cells[2999][0]), (4000, "300")):
        cells[line][0] = index


def _began_again(cells: list[list[str]]) -> None:
    for line in range(2000, 5000):
        cells[line][0] = str((line - 2000) % 256)


def _wrong_beside_a_loss(cells: list[list[str]]) -> None:
    cells[1500][0] = "3"
    del cells[1502:1512]


def _lost_with_one_between(cells: list[list[str]]) -> None:
    """More than a turn is lost, but for one sample in the middle."""
    del cells[1641:1782], cells[1500:1640]


@pytest.mark.parametrize("has_stamps", [True, False])
@pytest.mark.parametrize(
    ("change", "gaps", "note"),
    [
        (_wrong_in_four, [], "wrong in 4 places"),
        (_began_again, [], "wrong in 1 places"),
        (_wrong_beside_a_loss, [(1500, 10)], "wrong in 1 places"),
        (_lost_with_one_between, [(1500, 140), (1641, 141)], ""),
    ],
)
def test_openbci_index_is_held_against_time(
    data_dir: Path,
    tmp_path: Path,
    has_stamps: bool,
    change: Callable[[list[list[str]]], None],
    gaps: list[tuple[int, int]],
    note: str,
) -> None:
    """A wrong index loses nothing: it comes back to its course, or no time has passed.

    Nothing is set on this file: the rule is arithmetic, its bound of 0.25 s is the shortest turn of any board.
    """

    def changed(cells: list[list[str]]) -> None:
        change(cells)
        for row in cells if not has_stamps else ():
            row[-3] = " nan"

    recording = _reindexed(data_dir, tmp_path, changed)
    if not has_stamps and change in (_began_again, _lost_with_one_between):
        return  # nobody can tell without the time
    assert recording.gaps() == gaps
    assert any(note in text for text in recording.notes if "index" in text) or not note


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.txt",
            "hello",
            r"a\.txt is no text file of the OpenBCI GUI: it needs the lines '%Number of channels = 8'",
        ),
        (
            "a.txt",
            "%Number of channels = 8\n%Sample Rate = 250 Hz\nSample Index, EXG Channel 0\n",
            r"a\.txt holds no samples",
        ),
        (
            "a.txt",
            "%Number of channels = 3\n%Sample Rate = 250 Hz\n0,1,2,3\n",
            r"3 channels without labels; name a",
        ),
        (
            "a.txt",
            "%Number of channels = 1\n%Sample Rate = 9 Hz\n0,1\n1,2,3\n2,1\n",
            r"1 channels without labels",
        ),
        (
            "a.txt",
            "%Number of channels = 4\n%Sample Rate = 200 Hz\n0,1,2,3,4\n1,2,3\n2,1,2,3,4\n",
            r"3 columns in line 4, but 5 before; cut the file there",
        ),
        ("a.edf", "hello", r"a\.edf is no EDF or BDF file: it does not begin with their header"),
        ("a.vhdr", "hello", r"a\.vhdr is no BrainVision file: it does not begin with 'Brain Vision"),
        ("a.fif", "hello", r"a\.fif cannot be read by MNE: "),
        ("a.xdf", "hello", r"a\.xdf is no XDF file: it does not begin with 'XDF:'"),
        ("a.wav", "hello", r"a\.wav has an ending that no reader knows; they read \.edf \.bdf"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(WrongFile, match=message):
        read_recording(tmp_path / name)


def test_missing_file_lists_neighbours(tmp_path: Path) -> None:
    (tmp_path / "rest.edf").touch()
    with pytest.raises(
        UnknownFile, match=r"no file .*rast\.edf; in its folder did you mean 'rest\.edf'\?"
    ) as e:
        read_recording(tmp_path / "rast.edf")
    assert e.value.exit_code == 3
    with pytest.raises(
        WrongFile, match=r"rest\.edf holds no streams to choose 'EEG' from; only XDF files do"
    ):
        read_recording(tmp_path / "rest.edf", stream="EEG")


def test_file_without_eeg_is_refused(tmp_path: Path) -> None:
    info = mne.create_info(["STI"], 100.0, "stim")
    mne.io.RawArray(np.zeros((1, 100)), info, verbose="error").save(
        tmp_path / "stim_raw.fif", verbose="error"
    )
    with pytest.raises(WrongFile, match=r"stim_raw\.fif has no EEG channels; it has STI"):
        read_recording(tmp_path / "stim_raw.fif")


def test_recording_with_contradictions_is_refused() -> None:
    with pytest.raises(WrongShape, match=r"2 labels needs samples of shape \(n_samples, 2\), found \(5, 3\)"):
        Recording.of_array(("Fz", "Cz"), 250.0, np.zeros((5, 3)))
    with pytest.raises(WrongInput, match=r"a regular rate above 0 Hz, found 0"):
        Recording.of_array(("Fz",), 0.0, np.zeros((5, 1)))
    with pytest.raises(WrongInput, match=r"at least one sample, found none"):
        Recording.of_array(("Fz",), 250.0, np.zeros((0, 1)))
