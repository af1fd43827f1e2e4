"""The LSL outlet over real LSL: values, stamps and descriptions, as they should be and as other programs' are."""

from __future__ import annotations

import uuid

import numpy as np
import pylsl
import pytest

from neurofb.devices import load_profile
from neurofb.errors import UnknownName, WrongInput, WrongShape
from neurofb.lsl.inlet import LatestSample
from neurofb.lsl.outlet import (
    UNIX_OFFSET_S,
    Channel,
    NumericOutlet,
    OutletFormat,
    eeg_channels,
    outlet_format_of,
    stable_source_id,
)

LABELS = ("TP9", "AF7", "AF8")


@pytest.fixture
def name() -> str:
    return f"neurofb-test-{uuid.uuid4().hex}"


def listen(name: str) -> tuple[pylsl.StreamInlet, pylsl.StreamInfo]:
    """Connect by bare pylsl; the samples pushed from now on are received."""
    found = pylsl.resolve_byprop("name", name, minimum=1, timeout=20)
    assert len(found) == 1, f"{len(found)} streams of the name {name}"
    inlet = pylsl.StreamInlet(found[0])
    info = inlet.info(timeout=20)
    inlet.open_stream(timeout=20)
    return inlet, info


def receive(inlet: pylsl.StreamInlet, n_samples: int) -> tuple[np.ndarray, np.ndarray]:
    samples, stamps = [], []
    while len(stamps) < n_samples:
        sample, stamp = inlet.pull_sample(timeout=20)
        assert stamp is not None, f"no more than {len(stamps)} of {n_samples} samples came"
        samples.append(sample)
        stamps.append(stamp)
    return np.array(samples), np.array(stamps)


def test_outlet_describes_itself_and_sends_exact_values_and_stamps(name: str) -> None:
    outlet = NumericOutlet(name, eeg_channels(LABELS), 256.0)
    inlet, info = listen(name)
    assert info.get_channel_labels() == list(LABELS)
    assert info.get_channel_units() == ["microvolts"] * 3
    assert info.get_channel_types() == ["EEG"] * 3
    assert (info.type(), info.nominal_srate(), info.source_id()) == ("EEG", 256.0, outlet.source_id)
    assert info.channel_format() == pylsl.cf_float32
    assert info.desc().child_value("manufacturer") == "neurofb"
    sent = np.random.default_rng(0).normal(0, 50, (40, 3))
    stamps_s = 1000.0 + np.arange(40) / 256
    outlet.push(sent[:10], stamps_s[:10])
    outlet.push(sent[10:], list(stamps_s[10:]))
    samples, received_s = receive(inlet, 40)
    np.testing.assert_array_equal(samples, sent.astype(np.float32))
    np.testing.assert_array_equal(received_s, stamps_s)
    assert outlet.n_sent == 40
    assert outlet.has_listeners()
    inlet.close_stream()
    outlet.close()


def test_push_without_stamps_stamps_last_sample_now(name: str) -> None:
    outlet = NumericOutlet(name, eeg_channels(LABELS), 256.0)
    inlet, _ = listen(name)
    before_s = pylsl.local_clock()
    outlet.push(np.ones((4, 3)))
    after_s = pylsl.local_clock()
    _, stamps_s = receive(inlet, 4)
    assert before_s <= stamps_s[-1] <= after_s
    np.testing.assert_allclose(np.diff(stamps_s), 1 / 256, atol=1e-9)


@pytest.mark.parametrize(("unit", "factor"), [("volts", 1e-6), ("millivolts", 1e-3), ("nanovolts", 1e3)])
def test_outlet_sends_in_the_unit_it_names(name: str, unit: str, factor: float) -> None:
    outlet = NumericOutlet(
        name, eeg_channels(LABELS, unit), 256.0, format=OutletFormat(value_format="double64")
    )
    inlet, info = listen(name)
    assert info.get_channel_units() == [unit] * 3
    outlet.push(np.array([[1.5, -20.0, 300.0]]), [5.0])
    samples, _ = receive(inlet, 1)
    np.testing.assert_allclose(samples[0], np.array([1.5, -20.0, 300.0]) * factor)


def test_extra_columns_count_samples_and_show_stamps(name: str) -> None:
    format = OutletFormat(columns_before=("Timestamp", "Counter"), columns_after=("Battery", "Right AUX"), clock="unix",
                value_format="double64")  # fmt: skip
    outlet = NumericOutlet(name, eeg_channels(LABELS), 256.0, format=format)
    inlet, info = listen(name)
    assert info.get_channel_labels() == ["Timestamp", "Counter", *LABELS, "Battery", "Right AUX"]
    assert info.get_channel_types() == ["Timestamp", "Counter", "EEG", "EEG", "EEG", "Battery", "AUX"]
    stamps_s = np.array([7.0, 7.5, 8.0])
    outlet.push(np.full((2, 3), 2.0), stamps_s[:2])
    outlet.push(np.full((1, 3), 2.0), stamps_s[2:])
    samples, received_s = receive(inlet, 3)
    np.testing.assert_array_equal(received_s, stamps_s + UNIX_OFFSET_S)
    np.testing.assert_array_equal(samples[:, 0], received_s)
    np.testing.assert_array_equal(samples[:, 1], [0, 1, 2])
    np.testing.assert_array_equal(samples[:, 2:], [[2, 2, 2, 100, 0]] * 3)


def test_outlet_without_labels_units_types_has_empty_description(name: str) -> None:
    outlet = NumericOutlet(
        name,
        eeg_channels(LABELS),
        250.0,
        format=OutletFormat(has_labels=False, has_unit=False, has_type=False),
    )
    _, info = listen(name)
    assert info.desc().first_child().empty()
    assert outlet.source_id


@pytest.mark.parametrize(
    ("device", "program", "format"),
    [
        ("muse-2", "muselsl", OutletFormat(columns_after=("Right AUX",), clock="unix", chunk_samples=12)),
        (
            "openbci-cyton",
            "OpenBCI GUI",
            OutletFormat(has_labels=False, has_unit=False, has_type=False, chunk_samples=15),
        ),
        ("muse-2", None, OutletFormat()),
    ],
)
def test_outlet_format_of_program_is_that_of_profile(
    device: str, program: str | None, format: OutletFormat
) -> None:
    assert outlet_format_of(load_profile(device), program) == format


def test_outlet_format_refuses_unknown_program_and_lists_known() -> None:
    with pytest.raises(UnknownName, match=r"Muse 2 knows no program 'GreenMuse'; .* muselsl"):
        outlet_format_of(load_profile("muse-2"), "GreenMuse")


def test_stable_source_id_is_unique_for_each_stream() -> None:
    ids = [stable_source_id(*facts) for facts in (("a", "b"), ("a", "b"), ("a", "c"), ("ab",))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_outlet_refuses_wrong_unit_shape_and_push_after_close(name: str) -> None:
    with pytest.raises(WrongInput, match="cannot be sent in 'kilovolts'; the unit is one of"):
        eeg_channels(LABELS, "kilovolts")
    outlet = NumericOutlet(name, eeg_channels(LABELS), 256.0)
    with pytest.raises(WrongShape, match=r"shape \(n_samples, 3\), found \(5, 2\)"):
        outlet.push(np.zeros((5, 2)))
    outlet.push(np.zeros((0, 3)))
    assert outlet.n_sent == 0
    outlet.close()
    outlet.close()
    assert not outlet.has_listeners()
    with pytest.raises(WrongInput, match="is closed; make a new outlet"):
        outlet.push(np.zeros((1, 3)))


# listening


def receive_latest(latest: LatestSample, outlet: NumericOutlet, sample: list[float]) -> tuple[float, ...]:
    """Push until it is received: LSL finds and connects in its own time."""
    deadline_s = pylsl.local_clock() + 20
    while pylsl.local_clock() < deadline_s:
        outlet.push(np.array([sample]))
        heard = latest.pop()
        if heard is not None:
            return heard
    raise AssertionError("nothing was heard in 20 s")


def feedback(name: str, *labels: str) -> NumericOutlet:
    return NumericOutlet(name, [Channel(label, "none", "Feedback") for label in labels], 0.0, type="Feedback")


def test_latest_sample_has_the_wanted_channels(name: str) -> None:
    latest = LatestSample(name, ("level", "usable"))
    assert latest.pop() is None
    outlet = feedback(name, "level", "reward", "usable")
    assert receive_latest(latest, outlet, [0.25, 0.0, 1.0]) == (0.25, 1.0)
    latest.close()
    outlet.close()


def test_latest_sample_refuses_stream_without_wanted_channels(name: str) -> None:
    latest = LatestSample(name, ("level", "usable"))
    outlet = feedback(name, "level", "reward")
    with pytest.raises(WrongInput, match=r"has no channel usable; it has \['level', 'reward'\]"):
        receive_latest(latest, outlet, [0.25, 0.0])


def test_latest_sample_follows_an_outlet_that_ends_and_comes_again(name: str) -> None:
    latest = LatestSample(name, ("level",))
    outlet = feedback(name, "level")
    assert receive_latest(latest, outlet, [0.25]) == (0.25,)
    outlet.close()
    deadline_s = pylsl.local_clock() + 20
    while latest._inlet is not None:
        latest.pop()
        assert pylsl.local_clock() < deadline_s
    again = feedback(name, "other", "level")
    assert receive_latest(latest, again, [0.0, 0.75]) == (0.75,)
    latest.close()
