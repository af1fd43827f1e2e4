"""Offset and line noise: gone, without a long transient, without a trace of what was missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from reference import notch, triangular_mean_removed
from test_bands import CHUNKINGS, in_chunks, noise, same_bits

from neurofb.dsp.cleaning import LineNotch, OffsetRemoval
from neurofb.errors import WrongInput

STAGES = {
    "offset": lambda n_channels: OffsetRemoval(n_channels, 250),
    "notch": lambda n_channels: LineNotch(50, n_channels, 250),
}


def test_offset_removal_matches_oracle():
    x = noise(900, 3) + [60_000, -100_000, 0]
    np.testing.assert_allclose(
        OffsetRemoval(3, 250).process(x), triangular_mean_removed(x, 125), rtol=0, atol=1e-8
    )


def test_notch_matches_oracle():
    x = noise(900, 3) + [60_000, -100_000, 0]
    stage = LineNotch(50, 3, 250)
    assert stage.notches_hz == (50, 100)
    np.testing.assert_allclose(stage.process(x), notch(x, (50, 100), 4, 250), rtol=1e-10)


@pytest.mark.parametrize("stage", STAGES)
@settings(max_examples=15, deadline=None)
@given(sizes=CHUNKINGS)
def test_chunks_make_no_difference(stage, sizes):
    x = noise(800, 3) + 1e4
    x[:30, 1] = np.nan
    x[200:230] = np.nan
    x[:, 2] = np.nan
    assert same_bits(in_chunks(STAGES[stage](3).process, x, sizes), STAGES[stage](3).process(x))


@pytest.mark.parametrize("stage", STAGES)
def test_missing_samples_stay_missing_and_spoil_nothing(stage):
    x = noise(1500, 2) + 500
    spoiled = x.copy()
    spoiled[600:620, 0] = np.nan
    before = spoiled.copy()
    clean, out = STAGES[stage](2).process(x), STAGES[stage](2).process(spoiled)
    assert np.array_equal(np.isnan(out), np.isnan(spoiled))
    assert np.array_equal(spoiled, before, equal_nan=True)
    np.testing.assert_allclose(out[620 + 250 :], clean[620 + 250 :], atol=1e-3)
    assert same_bits(np.ascontiguousarray(out[:, 1]), np.ascontiguousarray(clean[:, 1]))


def test_an_offset_of_60_mv_leaves_no_transient_longer_than_a_second():
    x = np.zeros((2000, 1))
    x[:] = 60_000.0
    x[1000:] -= 60_000.0
    stage_1, stage_2 = OffsetRemoval(1, 250), LineNotch(50, 1, 250)
    out = stage_2.process(stage_1.process(x))[:, 0]
    assert np.abs(out[:1000]).max() < 1e-6  # from the first sample on
    assert np.abs(out[1000:1250]).max() > 10_000
    assert np.abs(out[1250:]).max() < 1.0


def test_line_noise_goes_and_alpha_stays():
    n = np.arange(3000) / 250
    x = (20 * np.sin(2 * np.pi * 50 * n) + 10 * np.sin(2 * np.pi * 10 * n))[:, None]
    out = LineNotch(50, 1, 250).process(x)[1000:, 0]
    spectrum = np.abs(np.fft.rfft(out)) / len(out) * 2
    freqs = np.fft.rfftfreq(len(out), 1 / 250)
    assert spectrum[freqs == 50] < 0.01
    assert spectrum[freqs == 10] == pytest.approx(10, rel=0.01)


def test_refuses_a_notch_the_rate_cannot_carry():
    with pytest.raises(
        WrongInput, match="a notch at 60 Hz, 4 Hz wide, needs a rate above 124 Hz; found 100 Hz"
    ):
        LineNotch(60, 1, 100)
    with pytest.raises(WrongInput, match="width_hz needs a finite number above 0, found nan"):
        LineNotch(50, 1, 250, float("nan"))
