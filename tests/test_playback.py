"""Recordings of other programs: read as MNE and pyxdf read them, and played as a source on any clock."""

from __future__ import annotations

import gzip
import struct
from itertools import pairwise
from pathlib import Path

import mne
import numpy as np
import pytest
import pyxdf
import scipy.io

from neurofb.acquisition.play import play, wait_for_listener
from neurofb.acquisition.playback import PlaybackSource
from neurofb.acquisition.recorded import Recording, with_gaps
from neurofb.acquisition.recordings import read_recording
from neurofb.acquisition.source import Source
from neurofb.chunk import Chunk
from neurofb.clock import ManualClock
from neurofb.devices import load_profile
from neurofb.documents import Event
from neurofb.errors import StreamMissing, UnknownFile, WrongFile, WrongInput, WrongShape, WrongStream

MUSE = "muse_xdf_labrecorder/sub-P001_ses-S001_task-Default_run-001_eeg.xdf"
RECONNECT = "labrecorder_made_here/multi_format_reconnect.xdf"
OPENBCI = "openbci_gui_samples/OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"


def made_recording(n_samples: int = 1000, gap: tuple[int, int] | None = None) -> Recording:
    samples_uv = np.random.default_rng(5).normal(0.0, 20.0, (n_samples, 3))
    if gap:
        samples_uv[gap[0] : gap[0] + gap[1]] = np.nan
    return Recording(("C3", "Cz", "C4"), 250.0, samples_uv)


def raw_of(recording: Recording) -> mne.io.RawArray:
    info = mne.create_info(list(recording.labels), recording.rate_hz, "eeg")
    return mne.io.RawArray(recording.samples_uv.T * 1e-6, info, verbose="error")


def all_of(source: Source, clock: ManualClock, steps_s: list[float]) -> list[Chunk]:
    """Pull without waiting after each step of the clock, until the steps are used up."""
    source.start()
    chunks = [source.pull()]
    for step_s in steps_s:
        clock.advance(step_s)
        chunks.append(source.pull())
    return chunks


# --- what is read -------------------------------------------------------------------------------------------


def test_eegmmidb_is_what_mne_reads_with_labels_made_right(data_dir: Path) -> None:
    path = data_dir / "physionet_eegmmidb/S001R01.edf"
    recording = read_recording(path)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    mne.datasets.eegbci.standardize(raw)
    np.testing.assert_array_equal(recording.samples_uv, raw.get_data().T * 1e6)
    assert recording.labels == tuple(raw.ch_names)
    assert (recording.rate_hz, recording.duration_s) == (160.0, 60.0)
    assert 10 < np.std(recording.samples_uv) < 200, "EEG is tens of µV"


def test_eegmat_leaves_out_what_is_no_eeg(data_dir: Path) -> None:
    path = data_dir / "eegmat/Subject00_2.edf"
    recording = read_recording(path)
    raw = mne.io.read_raw_edf(path, preload=True, verbose="error")
    np.testing.assert_array_equal(recording.samples_uv, raw.get_data(picks=raw.ch_names[:19]).T * 1e6)
    assert recording.labels[:7] == ("Fp1", "Fp2", "F3", "F4", "F7", "F8", "T3")
    assert "left out, as no EEG: EEG A2-A1, ECG ECG" in recording.notes


def test_profile_puts_channels_in_its_order(data_dir: Path) -> None:
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
def test_each_format_that_mne_reads(tmp_path: Path, ending: str, tolerance_uv: float) -> None:
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


def test_xdf_made_by_hand_plain_and_packed(tmp_path: Path) -> None:
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
    with pytest.raises(
        WrongStream, match=r"'made', type 'eeg', .*names no unit; say by --device which device"
    ):
        read_recording(tmp_path / "made.xdf")
    own = load_profile("simulated").model_copy(
        update={"labels": ("Cz", "Fz"), "regions": {}, "unit": "millivolts", "lsl": ()}
    )
    recording = read_recording(tmp_path / "made.xdf", profile=own)
    assert recording.labels == ("Cz", "Fz")
    np.testing.assert_array_equal(recording.samples_uv, np.full((10, 2), 1000.0))


def test_hole_of_hours_is_not_laid_out(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((10, 2)), "uV", hole_s=7200.0))
    recording = read_recording(tmp_path / "made.xdf")
    assert recording.gaps() == [(5, 60000)]
    assert any("a gap of 7200 s is played as 600 s" in note for note in recording.notes)


@pytest.mark.parametrize(("hole_s", "missing"), [(0.6, 60), (1.0, 100), (37.0, 3700)])
def test_hole_has_the_length_its_stamps_say(tmp_path: Path, hole_s: float, missing: int) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((300, 2)), "uV", hole_s=hole_s))
    assert read_recording(tmp_path / "made.xdf").gaps() == [(150, missing)]


def test_clock_set_back_joins_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((300, 2)), "uV", hole_s=-20.0))
    recording = read_recording(tmp_path / "made.xdf")
    assert recording.samples_uv.shape == (300, 2)
    assert recording.gaps() == []
    assert any(
        "the clock was set back by 19.990 s; the samples before and after are" in n for n in recording.notes
    )


def test_xdf_channels_of_another_type_are_no_eeg(tmp_path: Path) -> None:
    (tmp_path / "made.xdf").write_bytes(made_xdf(np.ones((10, 2)), "uV", types=("EEG", "AUX")))
    recording = read_recording(tmp_path / "made.xdf")
    assert recording.labels == ("Fz",)
    assert recording.notes == ("left out, as no EEG: Cz",)


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
    return (
        b"XDF:"
        + block(1, b"<?xml version='1.0'?><info><version>1.0</version></info>")
        + block(2, stream + header.encode())
        + block(3, stream + b"\x04" + struct.pack("<I", len(values)) + samples)
    )


def test_pause_of_the_amplifier_is_nan_and_other_annotations_are_not(tmp_path: Path) -> None:
    raw = raw_of(made_recording())
    raw.set_annotations(mne.Annotations([0.4, 2.0], [0.2, 0.1], ["BAD_ACQ_SKIP", "BAD_blink"]))
    raw.save(tmp_path / "paused_raw.fif", verbose="error")
    recording = read_recording(tmp_path / "paused_raw.fif")
    assert recording.gaps() == [(100, 50)]
    assert np.isfinite(np.delete(recording.samples_uv, np.arange(100, 150), axis=0)).all()


def test_muse_xdf_is_what_pyxdf_reads(data_dir: Path) -> None:
    recording = read_recording(data_dir / MUSE)
    streams, _ = pyxdf.load_xdf(data_dir / MUSE)
    eeg = next(s for s in streams if s["info"]["type"] == ["EEG"])
    np.testing.assert_array_equal(recording.samples_uv, eeg["time_series"][:, :4].astype(float))
    assert recording.labels == ("TP9", "AF7", "AF8", "TP10")
    assert recording.rate_hz == 256.0
    assert recording.notes == ("left out, as no EEG: AUX_RIGHT",)
    same = read_recording(data_dir / MUSE, "EEG", load_profile("muse-2"))
    np.testing.assert_array_equal(recording.samples_uv, same.samples_uv)


def test_stream_that_went_and_came_back_has_its_gap(data_dir: Path) -> None:
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


def test_integer_streams_and_files_broken_off(data_dir: Path) -> None:
    whole = read_recording(data_dir / MUSE)
    cut = read_recording(data_dir / "labrecorder_made_here/truncated_muse_P001_60000bytes.xdf")
    assert 1000 < len(cut.samples_uv) < len(whole.samples_uv)
    np.testing.assert_array_equal(cut.samples_uv, whole.samples_uv[: len(cut.samples_uv)])
    assert any("corruption" in note for note in cut.notes)
    killed = read_recording(data_dir / "labrecorder_made_here/killed_no_footer.xdf", "eeg_int16")
    assert killed.samples_uv.dtype == np.float64
    assert killed.labels == ("O1", "Oz", "O2", "Pz")


def test_clock_resets_and_a_stream_without_labels(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "xdf_example_files/clock_resets.xdf"
    with pytest.raises(
        WrongStream, match=r"'BioSemi'.*names no channels; say by --device which device it was"
    ):
        read_recording(path)
    recording = read_recording(path, profile=load_profile("openbci-cyton"))
    assert recording.labels == load_profile("openbci-cyton").labels
    streams, _ = pyxdf.load_xdf(path)
    eeg = next(s for s in streams if s["info"]["name"] == ["BioSemi"])
    there = np.isfinite(recording.samples_uv).all(axis=1)
    np.testing.assert_array_equal(recording.samples_uv[there], eeg["time_series"])
    assert any("samples are missing in 1 gaps" in note for note in recording.notes)


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
def test_streams_are_shown_not_guessed(data_dir: Path, file: str, stream: str | None, message: str) -> None:
    with pytest.raises(StreamMissing, match=message) as caught:
        read_recording(data_dir / file, stream)
    assert caught.value.exit_code == 3
    assert "There are:\n  1: " in str(caught.value)


def test_stream_in_another_unit_is_no_eeg(data_dir: Path) -> None:
    with pytest.raises(WrongStream, match=r"has the unit 'g'; EEG needs a voltage, such as microvolts"):
        read_recording(data_dir / MUSE, "ACC")


def test_malformed_xdf_is_one_message(data_dir: Path) -> None:
    with pytest.raises(WrongFile, match=r"chunk_length_lie\.xdf cannot be read as XDF: ValueError"):
        read_recording(data_dir / "xdf_rs_odd/chunk_length_lie.xdf")


def test_openbci_text(data_dir: Path) -> None:
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
    assert f"{length} samples are missing in 1 places, by the sample index" in recording.notes
    assert "the last line is broken off and left out" in recording.notes


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
        ("a.edf", "hello", r"a\.edf cannot be read by MNE: "),
        ("a.xdf", "hello", r"a\.xdf is no XDF file: it does not begin with 'XDF:'"),
        ("a.wav", "hello", r"a\.wav has an ending that no reader knows; they read \.edf \.bdf"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(WrongFile, match=message):
        read_recording(tmp_path / name)


def test_file_that_is_not_there(tmp_path: Path) -> None:
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


def test_file_without_eeg(tmp_path: Path) -> None:
    info = mne.create_info(["STI"], 100.0, "stim")
    mne.io.RawArray(np.zeros((1, 100)), info, verbose="error").save(
        tmp_path / "stim_raw.fif", verbose="error"
    )
    with pytest.raises(WrongFile, match=r"stim_raw\.fif has no EEG channels; it has STI"):
        read_recording(tmp_path / "stim_raw.fif")


def test_recordings_that_contradict_themselves() -> None:
    with pytest.raises(WrongShape, match=r"2 labels needs samples of shape \(n_samples, 2\), found \(5, 3\)"):
        Recording(("Fz", "Cz"), 250.0, np.zeros((5, 3)))
    with pytest.raises(WrongInput, match=r"a regular rate above 0 Hz, found 0"):
        Recording(("Fz",), 0.0, np.zeros((5, 1)))
    with pytest.raises(WrongInput, match=r"at least one sample, found none"):
        Recording(("Fz",), 250.0, np.zeros((0, 1)))
    with pytest.raises(WrongShape, match=r"2 pieces have 1 gaps between them, found 0"):
        with_gaps([np.zeros((2, 1)), np.zeros((2, 1))], [])


# --- how it is played ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_samples", [1, 7, 12, 256, 5000])
@pytest.mark.parametrize("speed", [1.0, 2.5])
def test_samples_do_not_depend_on_how_they_are_cut(chunk_samples: int, speed: float) -> None:
    recording = made_recording(gap=(300, 17))
    clock = ManualClock(40.0)
    source = PlaybackSource(recording, clock, chunk_samples=chunk_samples, speed=speed)
    steps_s = np.random.default_rng(chunk_samples).exponential(0.03, 400).tolist()
    chunks = all_of(source, clock, steps_s)
    samples_uv = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(samples_uv, recording.samples_uv)
    for before, after in pairwise(chunks):
        assert after.first_index == before.first_index + len(before)
    if chunk_samples < 1000:
        assert {len(chunk) % chunk_samples for chunk in chunks} <= {0, 1000 % chunk_samples}
    times_s = np.concatenate([chunk.times_s for chunk in chunks])
    np.testing.assert_array_equal(times_s, 40.0 + np.arange(1000) / 250.0)
    received_s = np.concatenate([chunk.received_s for chunk in chunks])
    assert np.flatnonzero(np.isnan(received_s)).tolist() == list(range(300, 317))
    assert source.finished
    assert source.state == "lost"
    assert [(e.kind, e.index) for e in source.take_events()] == [("gap", 300), ("ended", 999)]
    assert source.rate_hz == 250.0


def test_nothing_comes_before_it_is_due() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(), clock, chunk_samples=10)
    source.start()
    assert source.state == "waiting"
    assert len(source.pull()) == 0
    clock.advance(9 / 250 - 1e-4)
    assert len(source.pull()) == 0
    assert source.state == "waiting"
    clock.advance(1e-4)
    assert len(source.pull()) == 10
    assert source.state == "flowing"


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_speed_is_how_soon_samples_come_not_what_they_are(speed: float) -> None:
    clock = ManualClock(3.0)
    source = PlaybackSource(made_recording(), clock, chunk_samples=7, speed=speed)
    source.start()
    n = 0
    while not source.finished:
        n += len(source.pull(timeout_s=10.0))
    assert n == 1000
    assert clock.now_s() == pytest.approx(3.0 + 999 / 250 / speed)


def test_pull_waits_for_the_first_chunk_and_no_longer_than_it_may() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(), clock, chunk_samples=10)
    source.start()
    assert len(source.pull(timeout_s=0.02)) == 0
    assert clock.now_s() == 0.02
    assert len(source.pull(timeout_s=5.0)) == 10
    assert clock.now_s() == pytest.approx(9 / 250)


def test_loop_goes_on_counting() -> None:
    recording = made_recording(100, gap=(90, 10))
    clock = ManualClock()
    source = PlaybackSource(recording, clock, chunk_samples=7, loop=True)
    chunks = all_of(source, clock, [0.05] * 40)
    samples_uv = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples_uv) == source.n_given == 7 * ((2 * 250 + 1) // 7)
    np.testing.assert_array_equal(samples_uv, np.tile(recording.samples_uv, (6, 1))[: len(samples_uv)])
    assert not source.finished
    assert source.state == "flowing"
    events = source.take_events()
    assert [e.index for e in events if e.kind == "looped"] == [100, 200, 300, 400]
    assert [e.index for e in events if e.kind == "gap"] == [90, 190, 290, 390, 490]
    assert events[0].details == {"missing_samples": 10, "missing_s": 0.04}
    assert events[0].time_s == 90 / 250


def test_one_channel_that_is_missing_is_no_gap() -> None:
    samples_uv = made_recording(10).samples_uv
    samples_uv[4, 1] = np.nan
    clock = ManualClock()
    source = PlaybackSource(Recording(("C3", "Cz", "C4"), 250.0, samples_uv), clock, chunk_samples=1)
    chunk = all_of(source, clock, [1.0])[1]
    assert np.isfinite(chunk.received_s).all()
    assert np.isnan(chunk.samples).sum() == 1
    assert [event.kind for event in source.take_events()] == ["ended"]


def test_loop_of_a_single_sample() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(1), clock, chunk_samples=1, loop=True)
    all_of(source, clock, [0.004, 0.004])
    assert [(e.kind, e.index) for e in source.take_events()] == [("looped", 1), ("looped", 2)]


def test_loop_pulled_in_one_go() -> None:
    recording = made_recording(100)
    clock = ManualClock()
    source = PlaybackSource(recording, clock, chunk_samples=1, loop=True)
    chunks = all_of(source, clock, [2.0])
    np.testing.assert_array_equal(chunks[1].samples, np.tile(recording.samples_uv, (6, 1))[1:501])
    assert [e.index for e in source.take_events()] == [100, 200, 300, 400, 500]


def test_source_can_be_started_again_and_must_be_started() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(10), clock, chunk_samples=1)
    with pytest.raises(WrongInput, match=r"between start\(\) and stop\(\); call start\(\) first"):
        source.pull()
    first = np.concatenate([chunk.samples for chunk in all_of(source, clock, [1.0])])
    source.stop()
    source.stop()
    again = np.concatenate([chunk.samples for chunk in all_of(source, clock, [1.0])])
    np.testing.assert_array_equal(first, again)


def test_a_chunk_is_no_window_onto_the_recording() -> None:
    recording = made_recording(10)
    before = recording.samples_uv.copy()
    clock = ManualClock()
    source = PlaybackSource(recording, clock, chunk_samples=10)
    all_of(source, clock, [1.0])[1].samples[:] = 0.0
    np.testing.assert_array_equal(recording.samples_uv, before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"chunk_samples": 0}, r"at least 1 sample, found chunk_samples = 0"),
        ({"speed": 0.0}, r"a speed is a number above 0, such as 1 or 2.5; found 0.0"),
        ({"speed": float("nan")}, r"a speed is a number above 0"),
        ({"speed": float("inf")}, r"a speed is a number above 0"),
    ],
)
def test_wrong_settings(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        PlaybackSource(made_recording(), ManualClock(), **wrong)  # type: ignore[arg-type]


class Kept:
    """A sink that keeps what it was sent."""

    def __init__(self) -> None:
        self.samples: list[np.ndarray] = []
        self.stamps: list[np.ndarray] = []
        self.asked = 0

    def push(self, samples_uv: np.ndarray, stamps_s: np.ndarray) -> None:
        self.samples.append(samples_uv)
        self.stamps.append(stamps_s)

    def has_listeners(self) -> bool:
        self.asked += 1
        return self.asked > 3


def test_play_sends_what_is_there_in_time_and_not_what_is_missing() -> None:
    recording = made_recording(gap=(500, 100))
    clock, kept, shown = ManualClock(7.0), Kept(), list[int]()
    events: list[Event] = []
    play(PlaybackSource(recording, clock), kept, shown.append, events.append)
    there = np.r_[0:500, 600:1000]
    np.testing.assert_array_equal(np.concatenate(kept.samples), recording.samples_uv[there])
    np.testing.assert_array_equal(np.concatenate(kept.stamps), 7.0 + there / 250.0)
    assert [event.kind for event in events] == ["gap", "ended"]
    assert shown == sorted(shown)
    assert shown[-1] == 1000
    assert clock.now_s() == pytest.approx(7.0 + 999 / 250)


def test_waiting_for_somebody_to_listen() -> None:
    clock, kept = ManualClock(), Kept()
    wait_for_listener(kept, clock)
    assert kept.asked == 4
    assert clock.now_s() == pytest.approx(0.15)


def test_play_closes_its_source_when_the_sink_fails() -> None:
    class Broken:
        def push(self, samples_uv: np.ndarray, stamps_s: np.ndarray) -> None:
            raise ConnectionError("gone")

        def has_listeners(self) -> bool:
            return True

    source = PlaybackSource(made_recording(), ManualClock())
    with pytest.raises(ConnectionError, match="gone"):
        play(source, Broken())
    with pytest.raises(WrongInput, match="call start"):
        source.pull()
