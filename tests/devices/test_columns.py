"""Labels, units and columns of streams and files: what the world writes, and what it means."""

from __future__ import annotations

import numpy as np
import pytest

from neurofb.devices import load_profile
from neurofb.devices.columns import EegColumns, columns_of_profile, columns_on_head, unit_uv
from neurofb.devices.electrodes import is_position, standard_label, standard_labels
from neurofb.errors import WrongStream


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Fc5.", "FC5"),
        ("Fp1.", "Fp1"),
        ("T10.", "T10"),
        ("EEG Fp1", "Fp1"),
        ("EEG FCZ-REF", "FCz"),
        ("EEG_TP9", "TP9"),
        ("FP2-LE", "Fp2"),
        (" iz ", "Iz"),
        ("ccp3H", "CCP3h"),
        ("T3", "T3"),
        ("EEG A2-A1", "EEG A2-A1"),
        ("EEG Fp1-A2", "Fp1"),
        ("C3-M2", "C3"),
        ("EEG Fpz-Cz", "EEG Fpz-Cz"),
        ("ECG ECG", "ECG ECG"),
        ("AUX_RIGHT", "AUX_RIGHT"),
        ("M1", "M1"),
        ("A11", "A11"),
        ("", ""),
    ],
)
def test_standard_label_spells_as_10_05_system(text: str, label: str) -> None:
    assert standard_label(text) == label


def test_standard_labels_keeps_labels_that_would_coincide() -> None:
    assert standard_labels(["Cz", "EEG Cz", "fz."]) == ("Cz", "EEG Cz", "Fz")


@pytest.mark.parametrize("name", ["", "EEG1", "FZ", "Fp", "Q7", "Cz2", "F11", "AF 7", "A3", "Ah", "T3"])
def test_is_position_refuses_other_names(name: str) -> None:
    assert not is_position(name)


@pytest.mark.parametrize(
    ("text", "uv"),
    [
        ("microvolts", 1.0),
        ("Microvolt", 1.0),
        (" uV", 1.0),
        ("µV", 1.0),
        ("\u03bcV", 1.0),
        ("-6", 1.0),
        ("volts", 1e6),
        ("V", 1e6),
        ("0", 1e6),
        ("mV", 1e3),
        ("millivolts", 1e3),
        ("-3", 1e3),
        ("nV", 1e-3),
        ("", None),
        ("MV", None),
        ("mmHg", None),
        ("a.u.", None),
        ("g", None),
    ],
)
def test_unit_uv_of_texts(text: str, uv: float | None) -> None:
    assert unit_uv(text) == uv


def test_columns_on_the_head() -> None:
    assert columns_on_head(["TP9", "AF7", "AF8", "TP10", "AUX_RIGHT"]) == (0, 1, 2, 3)
    assert columns_on_head(["Status", "EEG T3", "fz.", "ECG"]) == (1, 2)
    assert columns_on_head([f"E{i}" for i in range(1, 9)]) == tuple(range(8)), "numbered caps name no places"
    assert columns_on_head([f"A{i}" for i in range(1, 17)]) == tuple(range(16)), "BioSemi's A1 is no ear lobe"


def test_columns_of_profile_by_label() -> None:
    muse = load_profile("muse-2")
    assert columns_of_profile(muse, 5, ["TP9", "AF7", "AF8", "TP10", "Right AUX"]) == (0, 1, 2, 3)
    assert columns_of_profile(muse, 5, ["AUX", "TP10", "AF8", "AF7", "TP9"]) == (4, 3, 2, 1)
    athena = load_profile("muse-s-athena")
    assert columns_of_profile(athena, 5, ["AUX_1", "EEG_TP9", "EEG_AF7", "EEG_AF8", "EEG_TP10"]) == (
        1,
        2,
        3,
        4,
    )
    unicorn = load_profile("unicorn-hybrid-black")
    assert columns_of_profile(unicorn, 9, ["Counter", *(f"EEG {i}" for i in range(1, 9))]) == tuple(
        range(1, 9)
    )
    brainbit = load_profile("brainbit")
    assert columns_of_profile(brainbit, 4, ["O1", "O2", "T7", "T8"]) == (2, 3, 0, 1)


def test_columns_of_profile_by_layout() -> None:
    assert columns_of_profile(load_profile("openbci-cyton"), 8) == tuple(range(8))
    assert columns_of_profile(load_profile("emotiv-epoc-x"), 19) == tuple(range(3, 17))
    assert columns_of_profile(load_profile("unicorn-hybrid-black"), 16) == tuple(range(8))
    assert columns_of_profile(load_profile("neurosity-crown"), 8) == tuple(range(8))


def test_columns_contradicting_the_profile_are_refused() -> None:
    muse = load_profile("muse-2")
    with pytest.raises(
        WrongStream, match=r"found 8 columns without labels, but Muse 2 has 4 or 5; choose"
    ) as caught:
        columns_of_profile(muse, 8)
    assert caught.value.exit_code == 3
    with pytest.raises(
        WrongStream,
        match=r"Muse 2 has the channels TP9, .*; found Fz, Cz, TP9: missing or twice AF7, AF8, TP10",
    ):
        columns_of_profile(muse, 3, ["Fz", "Cz", "TP9"])
    with pytest.raises(WrongStream, match=r"found TP9, TP9, AF7, AF8, TP10: missing or twice TP9\."):
        columns_of_profile(muse, 5, ["TP9", "TP9", "AF7", "AF8", "TP10"])


def test_infinite_values_are_missing_ones() -> None:
    columns = EegColumns.in_microvolts(("Fz", "Pz"))
    values = np.array([[1.0, np.inf], [-np.inf, 2.0], [np.nan, 3.0]], dtype=np.float32)
    expected = [[1.0, np.nan], [np.nan, 2.0], [np.nan, 3.0]]
    np.testing.assert_array_equal(columns.to_uv(values), expected)
    assert np.isinf(values).sum() == 2  # what was received stays as it is, for the record


@pytest.mark.parametrize("columns", [(1, 2), (2, 0)])
def test_values_are_microvolts_by_the_scale_of_their_own_channel(columns):
    values = np.array([[1.0, 2.0, 3.0], [10.0, np.nan, -np.inf]], dtype=np.float32)
    scaled = EegColumns(("a", "b"), columns, np.array([0.5, 4.0]), "as given")
    np.testing.assert_array_equal(
        scaled.to_uv(values), np.where(np.isinf(values), np.nan, values)[:, list(columns)] * [0.5, 4.0]
    )
    plain = EegColumns(("a", "b"), columns, np.ones(2), "as given")
    np.testing.assert_array_equal(
        plain.to_uv(values), np.where(np.isinf(values), np.nan, values)[:, list(columns)]
    )
    assert plain.to_uv(values).dtype == np.float64
