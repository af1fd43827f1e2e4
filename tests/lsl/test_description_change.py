"""A stream that came back: what is mapped, what is converted, and what is refused in words."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from neurofb.devices import load_profile
from neurofb.errors import WrongStream
from neurofb.lsl import description_change
from neurofb.lsl.description_change import adapt
from neurofb.lsl.matching import StreamInfo, eeg_columns
from neurofb.lsl.senders import Sender, sender_of

LABELS = ("TP9", "AF7", "AF8", "TP10", "AUX")
BEFORE = StreamInfo(
    name="Muse",
    type="EEG",
    source_id="Muse_00:55",
    uid="u1",
    hostname="lab",
    n_channels=5,
    rate_hz=256.0,
    value_format="float32",
    labels=LABELS,
    units=("microvolts",) * 5,
)
UNNAMED = replace(BEFORE, labels=(), units=())


def adapted(before: StreamInfo, **changes: object):  # type: ignore[no-untyped-def]
    eeg = eeg_columns(before, load_profile("muse-2"))
    return adapt(before, eeg, replace(before, uid="u2", **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hostname": "other"},
        {"units": ("uV",) * 5},
        {"labels": ("tp9 ", "AF7.", "af8", "TP10", "aux")},
    ],
)
@pytest.mark.parametrize("before", [BEFORE, UNNAMED])
def test_same_stream_goes_on_as_it_is(before: StreamInfo, changes: dict[str, object]) -> None:
    changes = {
        key: value for key, value in changes.items() if before.labels or key not in ("labels", "units")
    }
    values = np.arange(10, dtype=np.float32).reshape(2, 5)
    found = adapted(before, **changes)
    assert found.apply(values) is values
    assert found.notes == ()


def test_channels_in_another_order_are_taken_by_name_aux_included() -> None:
    order = ("TP10", "AUX", "AF8", "AF7", "TP9")
    found = adapted(BEFORE, labels=order)
    values = np.array([[LABELS.index(label) for label in order]], dtype=np.float32)
    np.testing.assert_array_equal(found.apply(values), [[0, 1, 2, 3, 4]])
    ((kind, words),) = found.notes
    assert kind == "reordered"
    assert "TP10, AUX, AF8, AF7, TP9" in words
    assert "TP9, AF7, AF8, TP10, AUX" in words


@pytest.mark.parametrize(("unit", "uv"), [("V", 1e6), ("mV", 1e3), ("nanovolts", 1e-3), ("-6", 1.0)])
def test_another_unit_is_converted_in_the_format_that_is_recorded(unit: str, uv: float) -> None:
    found = adapted(BEFORE, units=(unit,) * 5, labels=LABELS[::-1])
    values = (np.array([[50.0, 40.0, 30.0, 20.0, 10.0]]) / uv).astype(np.float32)
    converted = found.apply(values)
    assert converted.dtype == np.float32
    np.testing.assert_allclose(converted, [[10.0, 20.0, 30.0, 40.0, 50.0]], rtol=1e-6)
    kinds = [kind for kind, _ in found.notes]
    assert kinds == (["reordered"] if uv == 1.0 else ["reordered", "converted"])
    if uv != 1.0:
        assert f"{unit}: its values are converted to the unit before, microvolts" in found.notes[1][1]


def test_each_channel_is_converted_by_its_own_unit() -> None:
    found = adapted(BEFORE, units=("V", "uV", "mV", "nV", "uV"))
    values = np.array([[1e-5, 20.0, 0.03, 4e4, 50.0]], dtype=np.float32)
    np.testing.assert_allclose(found.apply(values), [[10.0, 20.0, 30.0, 40.0, 50.0]], rtol=1e-6)


def test_unit_that_is_named_now_is_converted_to_the_one_of_the_profile() -> None:
    found = adapted(replace(BEFORE, units=()), units=("V",) * 4 + ("",))
    values = np.full((1, 5), 1e-5, dtype=np.float32)
    np.testing.assert_allclose(found.apply(values), [[10.0, 10.0, 10.0, 10.0, 1e-5]], rtol=1e-6)
    assert "microvolts, by the profile of Muse 2" in found.notes[0][1]


def test_value_that_its_format_cannot_hold_becomes_infinite_and_not_another_one() -> None:
    found = adapted(BEFORE, units=("V",) * 5)
    assert np.isinf(found.apply(np.full((1, 5), 3e38, dtype=np.float32))).all()


@pytest.mark.parametrize(
    ("before", "changes", "words"),
    [
        (BEFORE, {"rate_hz": 128.0}, "256 Hz before, 128 Hz now"),
        (BEFORE, {"rate_hz": 0.0}, "256 Hz before, 0 Hz now"),
        (BEFORE, {"value_format": "int16"}, "numbers as float32 before, as int16 now"),
        (BEFORE, {"manufacturer": "InteraXon"}, "manufacturer '' before, 'InteraXon' now"),
        (BEFORE, {"source_id": "Muse_00:66"}, "source_id 'Muse_00:55' before, 'Muse_00:66' now"),
        (
            BEFORE,
            {"n_channels": 4, "labels": LABELS[:4], "units": ("uV",) * 4},
            "5 channels before, 4 now",
        ),
        (BEFORE, {"labels": ("TP9", "AF7", "AF8", "Fz", "AUX")}, "AF8, TP10, AUX before, .*AF8, Fz, AUX now"),
        (BEFORE, {"labels": ("TP9", "AF7", "AF7", "TP10", "AUX")}, "AF7, AF7, TP10"),
        (BEFORE, {"labels": ("TP9", "AF7", "AF8", "TP10", "")}, r"\(no name\) now"),
        (BEFORE, {"labels": ("TP10", "AF7", "AF8", "TP9")}, "TP10, AF7, AF8, TP9 now"),
        (BEFORE, {"labels": ()}, "TP10, AUX before, without names now"),
        (UNNAMED, {"labels": LABELS}, "without names before, TP9"),
        (BEFORE, {"units": ("counts",) * 5}, "of TP9 was named 'microvolts' before, was named 'counts' now"),
        (BEFORE, {"units": ()}, "of TP9 was named 'microvolts' before, was not named now"),
        (BEFORE, {"units": ("uV",) * 4 + ("g",)}, "of AUX was named 'microvolts' before, was named 'g' now"),
        (
            replace(BEFORE, value_format="int32"),
            {"units": ("nV",) * 5},
            "numbers as int32 cannot be converted without loss",
        ),
    ],
)
def test_anything_else_is_refused_in_words(
    before: StreamInfo, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(WrongStream, match=words):
        adapted(before, **changes)


def test_two_channels_of_one_name_are_not_told_apart() -> None:
    twice = replace(BEFORE, n_channels=6, labels=(*LABELS, "AUX"), units=("uV",) * 6)
    assert adapted(twice).columns is None  # in the order of before nothing has to be told apart
    with pytest.raises(WrongStream, match="AUX, AUX before"):
        adapted(twice, labels=(*LABELS[::-1], "AUX"))


@pytest.mark.parametrize(
    ("before", "changes", "words"),
    [
        # A maker that a program says only now, or otherwise, makes no other program of it.
        ({"name": "Muse", "source_id": "Muse00:55", "manufacturer": "Muse"}, {"manufacturer": ""}, ""),
        ({"name": "Muse-1A2B (00:55) EEG", "source_id": "BlueMuse"}, {"manufacturer": "InteraXon"}, ""),
        (
            {"name": "SOMETHING", "source_id": "x"},
            {"manufacturer": "b"},
            "manufacturer '' before, 'b' now",
        ),
    ],
)
def test_program_that_sends_is_recognised_again(
    before: dict[str, str], changes: dict[str, str], words: str
) -> None:
    first = replace(BEFORE, **before)  # type: ignore[arg-type]
    profile = load_profile("muse-2")
    eeg, now = eeg_columns(first, profile), replace(first, uid="u2", **changes)  # type: ignore[arg-type]
    if words:
        with pytest.raises(WrongStream, match=words):
            adapt(first, eeg, now, profile)
    else:
        assert sender_of(first, profile).name == sender_of(now, profile).name != ""
        assert adapt(first, eeg, now, profile).notes == ()


def test_another_program_of_the_same_maker_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile("muse-2")
    eeg = eeg_columns(BEFORE, profile)
    muselsl, other = profile.programs[:2]
    told = iter((muselsl, other))
    monkeypatch.setattr(
        description_change,
        "sender_of",
        lambda _info, each: Sender(each.sent_by(program := next(told)), (program,), ""),
    )
    words = f"sent by {re.escape(muselsl.program)} before, by {re.escape(other.program)} now"
    with pytest.raises(WrongStream, match=words):
        adapt(BEFORE, eeg, replace(BEFORE, uid="u2"), profile)


def test_every_difference_is_listed() -> None:
    with pytest.raises(WrongStream, match="256 Hz before, 250 Hz now; numbers as float32"):
        adapted(BEFORE, rate_hz=250.0, value_format="double64")
