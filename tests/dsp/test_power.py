"""Power of complex bands: exact windows, honest gaps, relative, dB and region forms."""

import numpy as np
import pytest
from dsp_parts import CHUNKINGS, in_chunks, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import power_box, power_exponential

from neurofb.dsp.bands import BandFilter
from neurofb.dsp.power import BandPower, decibels
from neurofb.errors import WrongInput, WrongShape


def bands_with_gaps(n=400, n_bands=2, n_channels=3, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, n_bands, n_channels)) + 1j * rng.standard_normal((n, n_bands, n_channels))
    z[:20] = np.nan
    z[150:190, :, 1] = np.nan
    z[300, 0, 2] = np.nan
    return z


def test_box_matches_oracle():
    z = bands_with_gaps()
    ours = BandPower(2, 3, 100, window_s=0.5, least_filled=0.3).process(z)
    expected = power_box(z, 50, 15)
    assert np.array_equal(np.isnan(ours), np.isnan(expected))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


def test_exponential_matches_oracle():
    z = bands_with_gaps()
    ours = BandPower(2, 3, 100, time_constant_s=0.25).process(z)
    decay = np.exp(-1 / 25)
    expected = power_exponential(z, decay, 0.5 / (1 - decay))
    assert np.array_equal(np.isnan(ours), np.isnan(expected))
    np.testing.assert_allclose(ours, expected, rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(sizes=CHUNKINGS, kind=st.sampled_from(["window_s", "time_constant_s"]))
def test_output_does_not_depend_on_chunking(sizes, kind):
    z = bands_with_gaps()
    assert same_bits(
        in_chunks(BandPower(2, 3, 100, **{kind: 0.4}).process, z, sizes),
        BandPower(2, 3, 100, **{kind: 0.4}).process(z),
    )


def test_input_may_be_read_only_or_strided_and_is_not_written():
    z = bands_with_gaps()
    before = z.copy()
    z.flags.writeable = False
    expected = BandPower(2, 3, 100, window_s=0.4).process(z)
    strided = np.repeat(z, 2, axis=2)[:, :, ::2]
    assert same_bits(BandPower(2, 3, 100, window_s=0.4).process(strided), expected)
    assert same_bits(BandPower(2, 3, 100, window_s=0.4).process(np.asfortranarray(z)), expected)
    assert np.array_equal(z, before, equal_nan=True)


def test_box_forgets_huge_artifact_exactly():
    z = np.ones((300, 1, 1), complex)
    z[100] = 1e9
    after = BandPower(1, 1, 100, window_s=0.5).process(z)[150:]
    np.testing.assert_allclose(after, 0.5, rtol=1e-12)


def test_box_forgets_float32_maximum():
    """What a broken driver can send, up to float32's limit, is gone when the sum has been begun anew."""
    z = bands_with_gaps(400)
    z[195:215] *= 3e38
    after = BandPower(2, 3, 100, window_s=0.5).process(z)[300:]
    np.testing.assert_allclose(after, power_box(z, 50, 25)[300:], rtol=1e-12)


def test_power_after_24_hours_has_no_drift():
    """24 h at 25 Hz with artifacts of a million times the power, against the window summed anew."""
    rng = np.random.default_rng(0)
    n, window = 24 * 3600 * 25, 100
    z = (rng.standard_normal((n, 1, 1)) + 1j * rng.standard_normal((n, 1, 1))) * np.where(
        rng.random(n) < 1e-4, 1e3, 1
    )[:, None, None]
    power = BandPower(1, 1, 25, window_s=4)
    for start in range(0, n, 50_000):
        last = power.process(z[start : start + 50_000])[-1, 0, 0]
    assert last == pytest.approx(np.mean(np.abs(z[-window:]) ** 2) / 2, rel=1e-12)


def test_power_equals_variance_in_band():
    """A sine of 10 µV has a power of 50 µV²; white noise the integral of its density over the band."""
    n = np.arange(250 * 20)
    sine = 10 * np.sin(2 * np.pi * 10 * n / 250)[:, None]
    bands = BandFilter({"alpha": (8, 12)}, 250, 1, 0.1)
    assert BandPower(1, 1, 250, window_s=1).process(bands.process(sine))[-1, 0, 0] == pytest.approx(
        50, rel=0.05
    )


def test_decibels_of_zero_are_nan():
    power = np.array([[[1.0, 4.0, np.nan], [3.0, 12.0, 1.0]]])
    np.testing.assert_allclose(decibels(power, 4.0)[0, 0, :2], [-6.0206, 0.0], atol=1e-4)
    assert np.isnan(decibels(0.0))
    assert np.isnan(decibels(1.0, 0.0))


@pytest.mark.parametrize(
    "settings_, message",
    [
        ({}, "say either window_s .* or time_constant_s"),
        ({"window_s": 1, "time_constant_s": 1}, "one of them; found window_s=1, time_constant_s=1"),
        ({"window_s": -1}, "window_s needs a finite number above 0, found -1"),
        ({"window_s": True}, "window_s needs a finite number above 0, found True"),
        ({"window_s": 1, "least_filled": 0}, "least_filled needs a finite number above 0, found 0"),
        ({"window_s": 1, "least_filled": 1.5}, "least_filled is a share above 0 and at most 1, found 1.5"),
    ],
)
def test_wrong_settings_are_refused(settings_, message):
    with pytest.raises(WrongInput, match=message):
        BandPower(2, 3, 100, **settings_)


def test_wrong_input_is_refused():
    with pytest.raises(WrongShape, match=r"complex bands need shape \(n_samples, 2, 3\), found \(5, 3, 2\)"):
        BandPower(2, 3, 100, window_s=1).process(np.zeros((5, 3, 2), complex))
    with pytest.raises(
        WrongInput, match="a band filter's complex output is needed, found an array of float64"
    ):
        BandPower(2, 3, 100, window_s=1).process(np.zeros((5, 2, 3)))
    with pytest.raises(WrongInput, match="infinite"):
        BandPower(2, 3, 100, window_s=1).process(np.full((5, 2, 3), np.inf + 0j))
