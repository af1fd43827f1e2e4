"""Values that no amplifier measures: missing, for their channel alone, and told."""

from __future__ import annotations

import numpy as np
import pytest

from neurofb.acquisition.value_limits import MOST_UV, SUMMARY_S, ValueLimits
from neurofb.devices.columns import EegColumns

#: Two EEG channels behind a counter, in another order than their columns.
EEG = EegColumns(("Fz", "Pz"), (2, 1), np.ones(2), "microvolts, as the test says")
LARGEST = {name: np.iinfo(name) for name in ("int8", "int16", "int32", "int64")}
WRONG = [
    *((each, value) for each in ("float32", "float64") for value in (np.inf, -np.inf, np.nan)),
    *((each, sign * np.finfo(each).max) for each in ("float32", "float64") for sign in (1, -1)),
    *((each, value) for each in ("float32", "float64") for value in (1.01 * MOST_UV, -1.01 * MOST_UV)),
    *((name, value) for name, limits in LARGEST.items() for value in (limits.min, limits.max)),
]


def pushed(limits: ValueLimits, values: np.ndarray, first_s: float = 0.0) -> np.ndarray:
    """Return the µV after the limits."""
    samples = EEG.to_uv(values)
    limits.push(values, samples, first_s + np.arange(len(values)) / 128.0)
    return samples


@pytest.mark.parametrize(("value_format", "value"), WRONG)
def test_value_at_a_limit_is_missing_in_its_channel_alone(value_format: str, value: float) -> None:
    limits = ValueLimits(EEG)
    values = np.tile(np.array([9, 20, 10]), (6, 1)).astype(value_format)
    values[3, 2] = value
    received = values.copy()
    samples = pushed(limits, values, 5.0)
    assert np.argwhere(np.isnan(samples)).tolist() == [[3, 0]]
    np.testing.assert_array_equal(np.delete(samples, 3, axis=0), [[10.0, 20.0]] * 5)
    np.testing.assert_array_equal(values, received)  # the record keeps what came
    (event,) = limits.pop_events()
    assert (event.kind, event.time_s) == ("no_value", 5.0 + 3 / 128)
    assert event.details == {"channels": ["Fz"], "n_samples": [1], "first": str(received[3, 2])}
    assert f"1 of Fz, the first {received[3, 2]!s}" in event.message


@pytest.mark.parametrize("value_format", ["float32", "float64", "int8", "int16", "int32", "int64"])
def test_values_inside_the_limits_stay(value_format: str) -> None:
    limits = ValueLimits(EEG)
    most = min(MOST_UV, float(LARGEST[value_format].max - 1) if value_format in LARGEST else MOST_UV)
    values = np.array([[0, most, -most], [0, -most, 0]]).astype(value_format)
    np.testing.assert_array_equal(pushed(limits, values), [[-most, most], [0, -most]])
    assert limits.pop_events() == []


def test_limits_of_other_columns_are_nobodys_business() -> None:
    limits = ValueLimits(EEG)
    values = np.array([[np.inf, 1.0, 2.0], [1e30, 1.0, 2.0]])
    assert not np.isnan(pushed(limits, values)).any()
    assert limits.pop_events() == []


def test_more_values_are_summed_up_and_all_are_counted() -> None:
    limits, n = ValueLimits(EEG), round(2.5 * SUMMARY_S)
    events = []
    for second in range(n):
        values = np.tile([0.0, 20.0, np.inf], (3, 1))
        if second == 7:
            values[1, 1] = -np.inf
        pushed(limits, values, float(second))
        events += limits.pop_events()
    limits.flush()
    events += limits.pop_events()
    assert [event.time_s for event in events] == [
        0.0,
        7.0 + 1 / 128,
        1.0,
        1.0 + SUMMARY_S,
        1.0 + 2 * SUMMARY_S,
    ]
    told = dict.fromkeys(EEG.labels, 0)
    for event in events:
        for label, n_samples in zip(event.details["channels"], event.details["n_samples"], strict=True):
            told[label] += n_samples
    assert told == {"Fz": 3 * n, "Pz": 1}
