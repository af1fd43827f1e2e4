"""Files of kinds that people have reported, by the real command: a value is right or absent, a refusal is one line.

The files are made here; each kind is named as the folder of its first example was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_files import (
    LABELS,
    EdfSignal,
    eeg_edf,
    made_eeg,
    openbci_text,
    write_brainvision,
    write_edf,
    write_xdf,
)

from neurofb import cli

RATE_HZ = 250.0


class KeptOutlet:
    """What `neurofb play` sends, instead of an LSL outlet: nobody else listens."""

    last: KeptOutlet

    def __init__(self, name: str, channels, rate_hz: float) -> None:
        self.name, self.source_id, self.rate_hz = name, "kept", rate_hz
        self.labels = tuple(channel.label for channel in channels)
        self.units = {channel.unit for channel in channels}
        self.n_sent = 0
        self.samples: list[np.ndarray] = []
        self.stamps: list[np.ndarray] = []
        KeptOutlet.last = self

    def push(self, samples_uv: np.ndarray, stamps_s: np.ndarray) -> None:
        self.samples.append(samples_uv)
        self.stamps.append(stamps_s)
        self.n_sent += len(samples_uv)

    def has_listeners(self) -> bool:
        return False

    def close(self) -> None:
        pass


class Played:
    """One run of the command: what was sent, at which index, and what was said."""

    def __init__(self, code: int, said: str, errors: str) -> None:
        self.code, self.said, self.errors = code, said, errors
        if code == 0:
            outlet = KeptOutlet.last
            self.labels, self.rate_hz, self.units = outlet.labels, outlet.rate_hz, outlet.units
            self.samples_uv = np.concatenate(outlet.samples)
            stamps_s = np.concatenate(outlet.stamps)
            self.index = np.round((stamps_s - stamps_s[0]) * outlet.rate_hz).astype(int)
            first, _, rest = said.rpartition("Sent ")[2].partition(" samples")
            missing = rest.partition(" are missing")[0].strip("; .\n")
            self.sent, self.missing = int(first), int(missing or 0)
            assert self.sent == len(self.samples_uv)
            # Sent and missing together are the recording, to the sample.
            assert self.sent + self.missing == self.index[-1] + 1


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Played]:
    """Run the command itself, in this process; time passes a hundred thousand times as fast."""
    monkeypatch.setattr("neurofb.lsl.outlet.NumericOutlet", KeptOutlet)

    def run(path: Path, *words: str) -> Played:
        monkeypatch.setattr("sys.argv", ["neurofb", "play", str(path), "--speed", "1e5", *words])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return Played(code, shown.out, shown.err)

    return run


def assert_eeg(
    played: Played, samples_uv: np.ndarray, at: np.ndarray | None = None, step_uv: float = 0.11
) -> None:
    assert played.code == 0, played.errors
    assert (played.labels, played.rate_hz, played.units) == (LABELS, RATE_HZ, {"microvolts"})
    np.testing.assert_allclose(played.samples_uv, samples_uv, rtol=0, atol=step_uv)
    np.testing.assert_array_equal(played.index, np.arange(len(samples_uv)) if at is None else at)


def assert_refused(played: Played, *words: str) -> None:
    assert played.code == 2, played.said
    assert played.errors.startswith("neurofb: ")
    assert played.errors.count("\n") == 1, "one line"
    for word in words:
        assert word in played.errors


# -- units -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "uv"),
    [
        ("uV", 1.0),
        ("UV", 1.0),
        ("uv", 1.0),
        ("µV", 1.0),
        ("µV".encode(), 1.0),
        ("μV".encode(), 1.0),
        ("nV", 1e-3),
        ("mV", 1e3),
        ("V", 1e6),
        ("microvol", 1.0),
        ("microV", 1.0),
        ("uVolts", 1.0),
        (b"\x83\xcaV", 1.0),
        ("µV".encode("cp437"), 1.0),
    ],
)
@pytest.mark.parametrize("ending", ["edf", "bdf"])
def test_edf_unit_in_any_spelling_is_uv(play, tmp_path, text, uv, ending):
    samples_uv = made_eeg(500)
    assert_eeg(play(eeg_edf(tmp_path / f"a.{ending}", samples_uv, text, uv)), samples_uv)


@pytest.mark.parametrize("text", ["", "MV", "xV", "uV/bit", "?V"])
def test_edf_unit_not_understood_is_refused_or_given(play, tmp_path, text):
    samples_uv = made_eeg(500)
    path = eeg_edf(tmp_path / "a.edf", samples_uv, text)
    assert_refused(play(path), "channel Fz", repr(text) if text else "names no unit", "--unit uV")
    assert_eeg(play(path, "--unit", "uV"), samples_uv)
    assert_refused(play(path, "--unit", "bananas"), "'bananas' is no unit of voltage")


@pytest.mark.parametrize(
    ("unit", "uv", "encoding"),
    [("µV", 1.0, "utf-8"), ("μV", 1.0, "utf-8"), ("µV", 1.0, "latin-1"), ("uV", 1.0, "utf-8"), ("nV", 1e-3, "utf-8"),
     ("mV", 1e3, "utf-8"), ("V", 1e6, "utf-8"), ("", 1.0, "utf-8")],
)  # fmt: skip
def test_brainvision_unit_in_any_spelling_is_uv(play, tmp_path, unit, uv, encoding):
    samples_uv = made_eeg(500)
    path = write_brainvision(tmp_path / "a.vhdr", samples_uv, unit=unit, uv=uv, encoding_=encoding)
    assert_eeg(play(path), samples_uv)


def test_brainvision_unit_not_understood_is_refused(play, tmp_path):
    path = write_brainvision(tmp_path / "a.vhdr", made_eeg(500), units=["µV", "xV", "µV", "µV"])
    assert_refused(play(path), "channel Cz has the unit 'xV', which is not understood")


@pytest.mark.parametrize(("unit", "uv"), [("volts", 1e6), ("microvolts", 1.0), ("mV", 1e3), ("nV", 1e-3)])
def test_xdf_unit_is_each_channels_own_beside_a_trigger_without_one(play, tmp_path, unit, uv):
    samples_uv = made_eeg(500)
    values = np.column_stack((samples_uv / uv, np.arange(500) % 2))
    labels, units = (*LABELS, "TRIGGER"), [unit] * 4 + [""]
    path = write_xdf(tmp_path / "a.xdf", values, np.arange(500) / RATE_HZ, labels=labels, units=units)
    played = play(path)
    assert_eeg(played, samples_uv, step_uv=1e-9)
    assert "left out, as no EEG: TRIGGER" in played.said


def test_xdf_channels_have_units_of_their_own(play, tmp_path):
    samples_uv = made_eeg(500)
    values = samples_uv / [1.0, 1e6, 1e3, 1.0]
    path = write_xdf(tmp_path / "a.xdf", values, np.arange(500) / RATE_HZ, units=["uV", "V", "mV", "µV"])
    assert_eeg(play(path), samples_uv, step_uv=1e-9)
    path = write_xdf(tmp_path / "b.xdf", values, np.arange(500) / RATE_HZ, units=["uV", "", "mV", "µV"])
    assert_refused(play(path), "channel Cz names no unit")


@pytest.mark.parametrize(("factor", "size"), [(1e3, "Fz 7.2e+03 µV"), (1e-3, "Fz 0.0072 µV")])
def test_size_that_no_eeg_has_is_told(play, tmp_path, factor, size):
    samples_uv = made_eeg(1000) * factor
    path = write_xdf(tmp_path / "a.xdf", samples_uv, np.arange(1000) / RATE_HZ)
    played = play(path)
    assert_eeg(played, samples_uv, step_uv=1e-9)
    assert "the size of the values cannot be EEG" in played.said
    assert size in played.said


@pytest.mark.parametrize("ending", ["fif", "set"])
def test_fif_and_eeglab_in_the_other_ones_unit_are_refused_and_given(play, tmp_path, ending):
    import mne
    import scipy.io

    samples_uv = made_eeg(500)
    path = tmp_path / f"a_raw.{ending}"
    if ending == "fif":
        info = mne.create_info(list(LABELS), RATE_HZ, "eeg")
        mne.io.RawArray(samples_uv.T, info, verbose="error").save(path, fmt="double", verbose="error")
    else:
        places = np.array([(label, "EEG") for label in LABELS], dtype=[("labels", object), ("type", object)])
        fields = {
            "data": samples_uv.T * 1e-6,
            "srate": RATE_HZ,
            "nbchan": 4,
            "pnts": 500,
            "trials": 1,
            "xmin": 0.0,
        }
        fields |= {
            "xmax": 2.0,
            "chanlocs": places,
            "event": np.empty(0),
            "epoch": np.empty(0),
            "setname": "a",
        }
        scipy.io.savemat(path, {"EEG": fields}, appendmat=False)
    unit = "uV" if ending == "fif" else "V"
    assert_refused(play(path), f"was it saved in {unit}? Say so by --unit {unit}")
    assert_eeg(play(path, "--unit", unit), samples_uv, step_uv=1e-5)


# -- only EEG is EEG -------------------------------------------------------------------------------------------


def test_polysomnogram_has_its_eeg_and_names_the_rest(play, tmp_path):
    eeg, other = made_eeg(500, n_channels=2), made_eeg(500, seed=1)
    signals = [
        EdfSignal("EEG Fpz-Cz", eeg[:, 0]),
        EdfSignal("EOG horizontal", other[:, 0]),
        EdfSignal("EEG Pz-Oz", eeg[:, 1]),
        EdfSignal("Temp rectal", np.full(500, 37.0), "DegC"),
        EdfSignal("SaO2", np.full(500, 97.0), "%"),
        EdfSignal("Pulse", np.full(500, 60.0), "bpm"),
        EdfSignal("EMG submental", other[:, 1]),
    ]
    played = play(write_edf(tmp_path / "a.edf", signals))
    assert played.labels == ("EEG Fpz-Cz", "EEG Pz-Oz")
    np.testing.assert_allclose(played.samples_uv, eeg, atol=0.11)
    for why in (
        "EOG horizontal (EOG",
        "Temp rectal (in DegC",
        "SaO2 (in %",
        "Pulse (in bpm",
        "EMG submental (EMG",
    ):
        assert why in played.said


@pytest.mark.parametrize(
    ("labels", "eeg"),
    [
        (("C3-M2", "C4-M1", "E1-M2", "E2-M2", "Chin1-Chin2", "Leg/L"), ("C3", "C4")),
        (("FP1-F7", "F7-T7", "ECG", "VNS"), ("FP1-F7", "F7-T7")),
        (("A1", "A2", "A3", "B1", "C3", "EXG1", "Status"), ("A1", "A2", "A3", "B1", "C3")),
        (("EEG 001", "EEG 002", "MEG 003", "STI 014"), ("EEG 001", "EEG 002")),
        (("COUNTER", "AF3", "F7", "GYROX", "CQ_AF3"), ("AF3", "F7")),
    ],
)
def test_labels_decide_what_is_eeg(play, tmp_path, labels, eeg):
    samples_uv = made_eeg(500, n_channels=len(labels))
    signals = [EdfSignal(label, samples_uv[:, i]) for i, label in enumerate(labels)]
    played = play(write_edf(tmp_path / "a.edf", signals))
    assert played.labels == eeg
    columns = [i for i, label in enumerate(labels) if label.split("-M")[0] in eeg]
    np.testing.assert_allclose(played.samples_uv, samples_uv[:, columns], atol=0.11)
    assert all(f"{label} (" in played.said for i, label in enumerate(labels) if i not in columns)


def test_eeg_keeps_its_rate_beside_a_faster_signal(play, tmp_path):
    samples_uv = made_eeg(500)
    signals = [EdfSignal(label, samples_uv[:, i]) for i, label in enumerate(LABELS)]
    signals.insert(2, EdfSignal("EMG chin", made_eeg(2000)[:, 0], rate_hz=1000))
    played = play(write_edf(tmp_path / "a.edf", signals))
    assert_eeg(played, samples_uv)
    assert "EMG chin" in played.said
    signals[2] = EdfSignal("C3", made_eeg(2000)[:, 0], rate_hz=1000)
    played = play(write_edf(tmp_path / "b.edf", signals))
    assert_eeg(played, samples_uv)
    assert "C3 (at 1000 Hz, while others have 250 Hz)" in played.said


# -- breaks are gaps -------------------------------------------------------------------------------------------


def test_edf_d_has_its_gaps_and_edf_c_none(play, tmp_path):
    samples_uv = made_eeg(1000)
    at = np.concatenate((np.arange(500), np.arange(500) + 3000))
    path = eeg_edf(tmp_path / "a.edf", samples_uv, onsets_s=[0, 1, 12, 13], form="EDF+D")
    played = play(path)
    assert_eeg(played, samples_uv, at)
    assert "2500 samples are missing in 1 gaps" in played.said
    path = eeg_edf(tmp_path / "b.bdf", samples_uv, onsets_s=[7.5, 8.5, 9.5, 10.5], form="BDF+C")
    assert_eeg(play(path), samples_uv)


def test_edf_d_that_says_nowhere_when_is_refused(play, tmp_path):
    assert_refused(play(eeg_edf(tmp_path / "a.edf", made_eeg(500), form="EDF+D")), "breaks (EDF+D)")


@pytest.mark.parametrize(
    ("second", "missing"), [("20240101100003400000", 350), ("0", 250), ("20240101100002000000", 0)]
)
def test_brainvision_new_segment_is_a_gap(play, tmp_path, second, missing):
    samples_uv = made_eeg(1000)
    markers = [
        "New Segment,,1,1,0,20240101100000000000",
        "Stimulus,S  1,70,1,0",
        f"New Segment,,501,1,0,{second}",
    ]
    path = write_brainvision(tmp_path / "a.vhdr", samples_uv, markers=markers)
    played = play(path)
    assert_eeg(played, samples_uv, np.concatenate((np.arange(500), np.arange(500) + 500 + missing)))
    assert ("do not say how long the break" in played.said) == (second == "0")


@pytest.mark.parametrize("n_missing", [1, 2, 12, 100])
@pytest.mark.parametrize("drift", [0.0, 3e-4])
def test_xdf_hole_of_any_length_is_a_gap(play, tmp_path, n_missing, drift):
    samples_uv = made_eeg(4000)
    at = np.delete(
        np.arange(4000 + 2 * n_missing), [*range(900, 900 + n_missing), *range(2000, 2000 + n_missing)]
    )
    stamps_s = 1000.0 + at / RATE_HZ * (1 + drift) + np.random.default_rng(2).normal(0, 2e-4, 4000)
    played = play(write_xdf(tmp_path / "a.xdf", samples_uv, stamps_s))
    assert_eeg(played, samples_uv, at, step_uv=1e-9)
    assert f"{2 * n_missing} samples are missing in 2 gaps" in played.said


@pytest.mark.parametrize("stamps", ["steady", "late packets", "scattered packets", "one stamp a packet"])
@pytest.mark.parametrize("device", [[], ["--device", "muse-2"]])
def test_lost_packets_of_a_muse_are_gaps(play, tmp_path, stamps, device):
    """Twelve samples come together; they are lost together, however their stamps scatter."""
    rng, n_packets = np.random.default_rng(5), 500
    kept = np.delete(np.arange(n_packets), [40, 41, 200, 333, 334, 335, 430])
    at = (kept[:, None] * 12 + np.arange(12)).ravel()
    stamps_s = 1000.0 + at / 256.0
    if stamps == "late packets":
        stamps_s += np.repeat(rng.exponential(4e-3, len(kept)), 12)
    elif stamps == "scattered packets":
        stamps_s += np.repeat(rng.normal(0, 2e-3, len(kept)), 12)
    elif stamps == "one stamp a packet":
        stamps_s = np.repeat(1000.0 + (kept * 12 + 11) / 256.0 + rng.exponential(2e-3, len(kept)), 12)
    samples_uv = made_eeg(len(at))
    labels = ("TP9", "AF7", "AF8", "TP10")
    path = write_xdf(tmp_path / "a.xdf", samples_uv, stamps_s, labels=labels, rate_hz=256.0, every=12)
    played = play(path, *device)
    assert played.labels == labels
    assert played.rate_hz == 256.0
    np.testing.assert_array_equal(played.samples_uv, samples_uv)
    np.testing.assert_array_equal(played.index, at)


@pytest.mark.parametrize(("per_s", "told"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1.0, "")])
def test_xdf_stamps_in_other_units_are_seconds(play, tmp_path, per_s, told):
    samples_uv = made_eeg(1000)
    at = np.delete(np.arange(1010), range(400, 410))
    path = write_xdf(tmp_path / "a.xdf", samples_uv, (1.7e9 + at / RATE_HZ) * per_s)
    played = play(path)
    assert_eeg(played, samples_uv, at, step_uv=1e-9)
    assert (f"time stamps are in {told}" in played.said) == bool(told)


@pytest.mark.parametrize("off_s", [10.0, -10.0, 0.5, -0.5, np.nan])
def test_glitch_of_a_few_stamps_moves_nothing(play, tmp_path, off_s):
    samples_uv = made_eeg(1000)
    stamps_s = 1000.0 + np.arange(1000) / RATE_HZ
    stamps_s[500:505] += off_s
    assert_eeg(play(write_xdf(tmp_path / "a.xdf", samples_uv, stamps_s)), samples_uv, step_uv=1e-9)


def test_samples_at_another_rate_than_said_have_their_own(play, tmp_path):
    samples_uv = made_eeg(2000)
    played = play(write_xdf(tmp_path / "a.xdf", samples_uv, np.arange(2000) / 500.0))
    assert played.rate_hz == 500.0
    assert played.missing == 0
    assert "samples came at 500.00 Hz, but the stream says 250 Hz; 500.00 Hz is taken" in played.said


def test_gaps_are_limited_together_and_short_ones_are_exact(play, tmp_path):
    samples_uv = made_eeg(1000)
    onset = np.zeros(1000)
    onset[100:] += 10 / RATE_HZ
    onset[300:] += 7200.0
    onset[600:] += 400.0
    played = play(write_xdf(tmp_path / "a.xdf", samples_uv, np.arange(1000) / RATE_HZ + onset))
    assert played.index[100] == 110
    assert played.missing == pytest.approx(600 * RATE_HZ, abs=2)
    assert "gaps of 7600 s in all are played as 600 s" in played.said


def test_eeglab_boundary_and_joined_fif_are_gaps(play, tmp_path):
    import mne
    import scipy.io

    samples_uv = made_eeg(1000)
    info = mne.create_info(list(LABELS), RATE_HZ, "eeg")
    parts = [
        mne.io.RawArray(part.T * 1e-6, info, verbose="error") for part in (samples_uv[:400], samples_uv[400:])
    ]
    mne.concatenate_raws(parts, verbose="error").save(tmp_path / "a_raw.fif", fmt="double", verbose="error")
    played = play(tmp_path / "a_raw.fif")
    assert_eeg(played, samples_uv, np.concatenate((np.arange(400), np.arange(600) + 650)), step_uv=1e-6)
    assert "do not say how long the break was" in played.said
    places = np.array([(label, "EEG") for label in LABELS], dtype=[("labels", object), ("type", object)])
    event = np.array(
        [("boundary", 400.5, 75.0)], dtype=[("type", object), ("latency", object), ("duration", object)]
    )
    fields = {
        "data": samples_uv.T,
        "srate": RATE_HZ,
        "nbchan": 4,
        "pnts": 1000,
        "trials": 1,
        "xmin": 0.0,
        "xmax": 4.0,
    }
    fields |= {"chanlocs": places, "event": event, "epoch": np.empty(0), "setname": "a"}
    scipy.io.savemat(tmp_path / "a.set", {"EEG": fields}, appendmat=False)
    played = play(tmp_path / "a.set")
    assert_eeg(played, samples_uv, np.concatenate((np.arange(400), np.arange(600) + 475)), step_uv=1e-6)


# -- text of the OpenBCI GUI -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dialect",
    [
        {},
        {"decimal": ","},
        {"between": ";", "decimal": ","},
        {"between": "\t", "decimal": ","},
        {"between": "\t"},
        {"between": ","},
        {"names": True},
        {"counted": False},
        {"counted": False, "names": True, "between": ";", "decimal": ","},
    ],
)
def test_openbci_text_of_any_dialect_has_its_values(play, tmp_path, dialect):
    samples_uv = made_eeg(600, n_channels=8)
    kept = np.delete(np.arange(600), range(250, 260))
    text = openbci_text(samples_uv[kept], index=kept % 256, **dialect)
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    played = play(tmp_path / "a.txt")
    assert played.code == 0, played.errors
    np.testing.assert_allclose(played.samples_uv, samples_uv[kept], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(played.index, kept)
    assert played.rate_hz == 250.0


def test_openbci_text_that_a_spreadsheet_rewrote_is_refused_by_line(play, tmp_path):
    lines = openbci_text(made_eeg(50, n_channels=8), between=";", decimal=",").splitlines()
    cells = lines[20].split(";")
    cells[3] = "03. Mrz"
    lines[20] = ";".join(cells)
    (tmp_path / "a.txt").write_text("\n".join(lines), encoding="utf-8")
    assert_refused(play(tmp_path / "a.txt"), "'03 Mrz' in column 4 of line 21", "spreadsheet")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (openbci_text(made_eeg(9, n_channels=8), between=",", decimal=","), "decimal commas"),
        ("%STOP AT\n%Total time mS\n00,FFD29E,FFD29E,00A1B2,FFD29E,FFD29E,FFD29E,FFD29E,FFD29E\n", "SD card"),
        ("%OpenBCI\n%Number of channels = 16\n%Sample Rate = 125.0 Hz\n0,1.5,2.5,3.5\n1,1.5,2.5,3.5\n", "missing"),
        (openbci_text(made_eeg(9, n_channels=8), names=True).replace("Accel Channel 2", "Accel Channel 2, X"), "names"),
        ("%OpenBCI\n%Number of channels = 8\n%Sample Rate = 250.0 Hz\n", "holds no samples"),
    ],
)  # fmt: skip
def test_openbci_text_that_cannot_be_told_is_refused(play, tmp_path, text, word):
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert_refused(play(tmp_path / "a.txt"), word)


# -- files with nothing in them, and files with odd parts ------------------------------------------------------


def test_edf_without_samples_is_refused(play, tmp_path):
    assert_refused(play(eeg_edf(tmp_path / "a.edf", made_eeg(0))), "holds no samples: it is a header alone")
    path = write_edf(tmp_path / "b.edf", [], onsets_s=[0.0, 1.0], form="EDF+C")
    assert_refused(play(path), "holds no samples, only annotations")
    (tmp_path / "c.edf").write_bytes((tmp_path / "a.edf").read_bytes()[:700])
    assert_refused(play(tmp_path / "c.edf"), "is broken off in its header")


def test_brainvision_renamed_part_is_named(play, tmp_path):
    path = write_brainvision(tmp_path / "new.vhdr", made_eeg(500), data="old.eeg")
    assert_refused(play(path), "asks for DataFile=old.eeg", "did you mean", "new.eeg")
    path = write_brainvision(tmp_path / "b.vhdr", made_eeg(500))
    (tmp_path / "b.vmrk").unlink()
    assert_refused(play(path), "asks for MarkerFile=b.vmrk")


@pytest.mark.parametrize("vectorized", [False, True])
def test_brainvision_place_of_zeros_is_unknown_not_no_eeg(play, tmp_path, vectorized):
    samples_uv = made_eeg(500)
    more = "[Coordinates]\nCh1=1,90,90\nCh2=0,0,0\nCh3=1,45,-90\nCh4=0,0,0\n"
    path = write_brainvision(tmp_path / "a.vhdr", samples_uv, more=more, vectorized=vectorized)
    assert_eeg(play(path), samples_uv)


def test_labels_that_stand_twice_are_numbered_and_told(play, tmp_path):
    samples_uv = made_eeg(500)
    path = write_brainvision(tmp_path / "a.vhdr", samples_uv, labels=("Fz", "Cz", "FZ", "Oz"))
    played = play(path)
    assert played.labels == ("Fz-1", "Cz", "Fz-2", "Oz")
    np.testing.assert_allclose(played.samples_uv, samples_uv, atol=0.11)
    assert "2 channels are called Fz" in played.said


@pytest.mark.parametrize("n_channels", [1, 256])
def test_one_channel_and_two_hundred_and_fifty_six(play, tmp_path, n_channels):
    samples_uv = made_eeg(500, n_channels=n_channels)
    labels = [f"E{i + 1}" for i in range(n_channels)]
    signals = [EdfSignal(label, samples_uv[:, i], step=0.1) for i, label in enumerate(labels)]
    played = play(write_edf(tmp_path / "a.bdf", signals))
    assert played.labels == tuple(labels)
    np.testing.assert_allclose(played.samples_uv, samples_uv, atol=0.11)


def test_infinite_values_are_missing(play, tmp_path):
    samples_uv = made_eeg(500)
    samples_uv[100, 1], samples_uv[200] = np.inf, np.nan
    played = play(write_xdf(tmp_path / "a.xdf", samples_uv, np.arange(500) / RATE_HZ))
    assert (played.sent, played.missing) == (499, 1)
    assert np.isnan(played.samples_uv[100, 1])
    assert np.isnan(played.samples_uv).sum() == 1
