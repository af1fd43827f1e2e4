"""Files drawn at random, units × rates × breaks × formats: a value at its electrode, time, unit and rate, or none."""

from __future__ import annotations

import os
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from foreign_files import LABELS, EdfSignal, made_eeg, write_brainvision, write_edf, write_xdf
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.acquisition.playback import PlaybackSource
from neurofb.acquisition.readers.open import read_recording
from neurofb.acquisition.readers.xdf_holes import heaviest_rising
from neurofb.clock import ManualClock
from neurofb.errors import WrongFile

UNITS = {"uV": 1.0, "UV": 1.0, "µV": 1.0, "μV": 1.0, "nV": 1e-3, "mV": 1e3, "V": 1e6, "xV": None, "Hz": None}
#: Files to draw; `make fuzz` multiplies them.
N_FILES = 60 * int(os.environ.get("NEUROFB_FUZZ", "1"))

gaps = st.lists(st.integers(0, 40), min_size=3, max_size=3)


def seconds_on_grid(gaps_s: list[int]) -> np.ndarray:
    """Return when each of four seconds of samples begins, with gaps between them."""
    return np.cumsum([0, *(1 + gap for gap in gaps_s)]).astype(float)


def assert_right(
    path: Path, samples_uv: np.ndarray, index: np.ndarray, rate_hz: float, order: list[int]
) -> None:
    """Hold what is played against what was measured: nothing at a wrong place, nothing invented, nothing lost."""
    recording = read_recording(path)
    assert recording.rate_hz == rate_hz
    assert recording.labels == tuple(LABELS[i] for i in order)
    assert recording.n_samples == index[-1] + 1
    clock, received, at = ManualClock(), [], []
    source = PlaybackSource(recording, clock, chunk_samples=7)
    source.start()
    while not source.finished:
        clock.advance(0.4)
        chunk = source.pull().chunk
        came = np.flatnonzero(~np.isnan(chunk.received_s))
        received.append(chunk.samples[came])
        at.append(chunk.first_index + came)
    np.testing.assert_array_equal(np.concatenate(at), index)
    np.testing.assert_allclose(np.concatenate(received), samples_uv[:, order], rtol=0, atol=0.11)


@settings(max_examples=N_FILES, deadline=None)
@given(
    ending=st.sampled_from(["edf", "bdf", "vhdr", "xdf"]),
    unit=st.sampled_from(sorted(UNITS)),
    rate_hz=st.sampled_from([128, 250, 500]),
    gaps_s=gaps,
    order=st.permutations(range(4)),
    aux_hz=st.sampled_from([0, 32, 1000]),
    seed=st.integers(0, 1000),
)
def test_value_of_a_drawn_file_is_right_or_absent(ending, unit, rate_hz, gaps_s, order, aux_hz, seed):
    uv = UNITS[unit]
    samples_uv = made_eeg(4 * rate_hz, seed)
    values = samples_uv / (uv or 1.0)
    starts_s = seconds_on_grid(gaps_s)
    index = (starts_s[:, None] * rate_hz + np.arange(rate_hz)).ravel().astype(int)
    labels = [LABELS[i] for i in order]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        if ending in ("edf", "bdf"):
            signals = [
                EdfSignal(label, values[:, i], unit.encode(), rate_hz, 0.1 / (uv or 1.0))
                for i, label in zip(order, labels, strict=True)
            ]
            if aux_hz:
                signals.insert(1, EdfSignal("EMG chin", made_eeg(4 * aux_hz)[:, 0], "uV", aux_hz))
            write_edf(path, signals, onsets_s=starts_s, form=f"{ending.upper()}+D")
        elif ending == "vhdr":
            markers = [
                f"New Segment,,{i * rate_hz + 1},1,0,202401011000{round(start):02d}000000"
                for i, start in enumerate(np.minimum(starts_s, 59))
            ]
            index = (np.minimum(starts_s, 59)[:, None] * rate_hz + np.arange(rate_hz)).ravel().astype(int)
            if len(np.unique(index)) < len(index):
                return  # more than a minute of breaks, which this marker cannot write
            write_brainvision(
                path,
                samples_uv[:, order],
                labels=labels,
                unit=unit,
                uv=uv or 1.0,
                markers=markers,
                rate_hz=rate_hz,
            )
        else:
            stamps_s = 100.0 + index / rate_hz
            write_xdf(path, values[:, order], stamps_s, labels=labels, units=[unit] * 4, rate_hz=rate_hz)
        if uv is None:
            with pytest.raises(WrongFile):
                read_recording(path)
            return
        assert_right(path, samples_uv, index, float(rate_hz), list(order))


@settings(max_examples=N_FILES, deadline=None)
@given(
    lost=st.lists(
        st.tuples(st.integers(20, 960), st.integers(1, 300)), max_size=6, unique_by=lambda pair: pair[0] // 80
    ),
    glitches=st.lists(st.tuples(st.integers(20, 960), st.integers(1, 5), st.floats(-30, 30)), max_size=2),
    drift=st.sampled_from([0.0, 2e-4, -2e-4]),
    jitter_s=st.sampled_from([0.0, 2e-4]),
    per_s=st.sampled_from([1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_holes_in_drawn_stamps_are_found_to_the_sample(lost, glitches, drift, jitter_s, per_s, seed):
    """Whole holes and nothing but holes, whatever a few stamps say."""
    missing = np.zeros(1000, dtype=int)
    for at, n in lost:
        missing[at] += n
    index = np.arange(1000) + np.cumsum(missing)
    stamps_s = 1000.0 + index / 250.0 * (1 + drift) + np.random.default_rng(seed).normal(0, jitter_s, 1000)
    for at, n, off_s in glitches:
        near = np.abs(np.array([place for place, _ in lost] or [-1000]) - at)
        if (near > 12).all():  # a glitch at a hole leaves no good stamp to say where the hole is
            stamps_s[at : at + n] += off_s
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.xdf"
        write_xdf(path, made_eeg(1000, seed), stamps_s * per_s)
        assert_right(path, made_eeg(1000, seed), index, 250.0, [0, 1, 2, 3])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(1, 9)), min_size=1, max_size=9))
def test_heaviest_rising_series_is_that_of_a_search_through_all(drawn):
    levels, weights = [float(level) for level, _ in drawn], [weight for _, weight in drawn]
    heaviest = 0
    for chosen in range(1 << len(levels)):
        places = [i for i in range(len(levels)) if chosen >> i & 1]
        if all(levels[a] <= levels[b] for a, b in pairwise(places)):
            heaviest = max(heaviest, sum(weights[i] for i in places))
    found = heaviest_rising(levels, weights)
    assert all(levels[a] <= levels[b] for a, b in pairwise(found))
    assert sum(weights[i] for i in found) == heaviest


@settings(max_examples=N_FILES, deadline=None)
@given(
    ending=st.sampled_from(["edf", "bdf", "vhdr", "xdf"]),
    at=st.floats(0, 1),
    bytes_=st.binary(min_size=1, max_size=8),
    cut=st.floats(0.01, 1),
)
def test_damaged_file_is_read_or_refused_in_one_line(ending, at, bytes_, cut):
    """Whatever stands in a file: samples, or one of our own messages."""
    from neurofb.errors import NeurofbError

    samples_uv = made_eeg(500)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{ending}"
        if ending == "vhdr":
            write_brainvision(path, samples_uv)
        elif ending == "xdf":
            write_xdf(path, samples_uv, np.arange(500) / 250.0)
        else:
            signals = [EdfSignal(label, samples_uv[:, i]) for i, label in enumerate(LABELS)]
            write_edf(path, signals, onsets_s=[0.0, 3.0], form=f"{ending.upper()}+D")
        content = bytearray(path.read_bytes())
        place = int(at * min(len(content), 2000))
        content[place : place + len(bytes_)] = bytes_
        path.write_bytes(content[: max(int(cut * len(content)), 1)])
        refused = ""
        try:
            recording = read_recording(path)
            recording.read(0, min(recording.n_samples, 5000))
        except NeurofbError as error:
            refused = str(error)
        assert ending == "xdf" or "\n" not in refused
