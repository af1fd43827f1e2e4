"""The streaming band filters: exact against the oracle, honest about gaps, offsets, delay and accuracy."""

import mne
import numpy as np
import pytest
from dsp_parts import CHUNKINGS, in_chunks, noise, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import band_filter as slow_filter
from scipy import signal

from neurofb.dsp.bands import BandFilter
from neurofb.dsp.offline_reference import offline_band
from neurofb.dsp.spectrum import Spectrum, baseline_spectrum, prior_spectrum
from neurofb.dsp.wiener import envelope_correlation, zero_phase_taps
from neurofb.errors import UnknownName, WrongInput, WrongShape

BANDS = {"theta": (4.0, 8.0), "alpha": (8.0, 12.0), "beta": (13.0, 30.0)}


@pytest.mark.parametrize("rate_hz", [128, 160, 250, 256, 500, 1000, 2000])
@pytest.mark.parametrize("low, high", [(4, 8), (8, 12), (13, 30), (1, 4), (30, 45), (7.3, 11.3), (0.5, 3)])
def test_zero_phase_taps_equal_mne_default_filter(rate_hz, low, high):
    theirs = mne.filter.create_filter(None, rate_hz, low, high, verbose=False)
    ours = zero_phase_taps(low, high, rate_hz)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)


def test_offline_band_equals_mne_filter_and_hilbert():
    x = noise(2500, 2) + 100
    theirs = mne.filter.filter_data(x.T, 250.0, 8, 12, verbose=False)
    np.testing.assert_allclose(offline_band(x, 8, 12, 250.0).real[300:-300], theirs.T[300:-300], atol=1e-9)


@pytest.mark.parametrize("rate_hz", [160, 250, 256, 512, 1000])
@pytest.mark.parametrize("n_channels", [1, 3, 8, 11])
def test_matches_oracle(rate_hz, n_channels):
    x = noise(int(2.2 * rate_hz), n_channels)
    x[int(1.5 * rate_hz), 0] = np.nan
    bands = BandFilter(BANDS, rate_hz, n_channels, 0.1)
    width = max(1, round(rate_hz / 250))
    expected = slow_filter(x, bands.taps, np.round(bands.reach_s * rate_hz).astype(int), width)
    z = bands.process(x)
    assert np.array_equal(np.isnan(z), np.isnan(expected))
    assert np.isfinite(z).any()
    np.testing.assert_allclose(z, expected, rtol=1e-10, atol=1e-10)


def test_each_channel_has_its_own_design():
    x = noise(5000, 10, seed=1)
    x[:, 4] = np.cumsum(x[:, 4])
    bands = BandFilter(BANDS, 250, 10, 0.05, baseline_spectrum(x, 250))
    assert not np.allclose(bands.taps[:, 4], bands.taps[:, 5])
    np.testing.assert_allclose(
        bands.process(x[:600]),
        slow_filter(x[:600], bands.taps, np.round(bands.reach_s * 250).astype(int), 1),
        rtol=1e-10,
        atol=1e-9,
    )


@settings(max_examples=25, deadline=None)
@given(sizes=CHUNKINGS, every=st.sampled_from([1, 3, 4]), adapt_s=st.sampled_from([None, 5.0]))
def test_output_does_not_depend_on_chunking(sizes, every, adapt_s):
    x = noise(1600, 5)
    x[700:712] = np.nan
    x[1100, 2] = np.nan

    def fresh():
        return BandFilter(BANDS, 250, 5, 0.1, every=every, adapt_s=adapt_s)

    assert same_bits(in_chunks(fresh().process, x, sizes), fresh().process(x))


@pytest.mark.parametrize("every", [2, 4, 7])
def test_every_k_returns_each_kth_output(every):
    x = noise(1500, 3)
    all_of_them = BandFilter(BANDS, 250, 3, 0.1).process(x)
    some = BandFilter(BANDS, 250, 3, 0.1, every=every)
    assert same_bits(in_chunks(some.process, x, [13]), np.ascontiguousarray(all_of_them[every - 1 :: every]))
    assert some.output_indices(5, 3 * every).tolist() == [
        n for n in range(5, 5 + 3 * every) if (n + 1) % every == 0
    ]


@pytest.mark.parametrize(
    "disguise",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1][::-1],
        lambda x: np.lib.stride_tricks.as_strided(x, writeable=False),
        lambda x: x.tolist(),
    ],
    ids=["fortran", "sliced", "reversed", "read-only", "list"],
)
def test_output_does_not_depend_on_input_layout(disguise):
    x = noise(700, 4)
    given_before = x.copy()
    assert same_bits(
        BandFilter(BANDS, 250, 4, 0.1).process(disguise(x)), BandFilter(BANDS, 250, 4, 0.1).process(x)
    )
    assert np.array_equal(x, given_before)


def test_gap_is_nan_for_reach_of_taps():
    x = noise(3000, 2)
    spoiled = x.copy()
    spoiled[1000:1012, 0] = np.nan
    clean, z = BandFilter(BANDS, 250, 2, 0.1).process(x), BandFilter(BANDS, 250, 2, 0.1).process(spoiled)
    reach = np.round(BandFilter(BANDS, 250, 2, 0.1).reach_s * 250).astype(int)
    assert reach.tolist() == [250, 188, 125]
    for b, unusable in enumerate(np.isnan(z[:, :, 0]).T):
        assert unusable[: reach[b] - 1].all()  # not yet filled
        assert not unusable[reach[b] - 1 : 1000].any()
        assert unusable[1000 : 1011 + reach[b]].all()
        assert not unusable[1011 + reach[b] :].any()
    assert same_bits(np.ascontiguousarray(z[1261:, :, 0]), np.ascontiguousarray(clean[1261:, :, 0]))
    assert same_bits(np.ascontiguousarray(z[:, :, 1]), np.ascontiguousarray(clean[:, :, 1]))


def test_offset_drift_and_step_are_rejected():
    n = np.arange(2000.0)[:, None]
    z = BandFilter(BANDS, 250, 1, 0.1).process(0 * n + 60_000)
    assert np.nanmax(np.abs(z)) < 1e-4  # µV, of 60 mV
    drifting = BandFilter(BANDS, 250, 1, 0.1).process(60_000 + 100 / 250 * n)
    assert np.nanmax(np.abs(drifting)) < 2  # µV, of 100 µV/s: sweat
    stepped = BandFilter(BANDS, 250, 1, 0.1).process(np.where(n >= 1000, 60_000.0, 0.0))
    assert np.abs(stepped[1000:1249]).max() > 100
    assert np.abs(stepped[1250:]).max() < 1e-4


@pytest.mark.parametrize("delay_s", [0.05, 0.1, 0.2])
def test_sine_is_delayed_by_declared_delay(delay_s):
    """The output of a sine in the band is the sine delayed by ``delay_s``, in phase."""
    n = np.arange(1500)
    wave = 10 * np.cos(2 * np.pi * 10 * n / 250)
    flat = Spectrum(np.array([0.0, 125.0]), np.ones(2))
    z = BandFilter({"alpha": (8, 12)}, 250, 1, delay_s, flat).process(wave[:, None])[600:, 0, 0]
    expected = 10 * np.exp(2j * np.pi * 10 * (n[600:] / 250 - delay_s))
    assert np.abs(np.angle(z / expected)).max() < np.deg2rad(12)
    if delay_s >= 0.1:
        np.testing.assert_allclose(np.abs(z), 10, rtol=0.1)


def test_taps_are_the_least_squares_solution():
    """No other taps that ignore an offset come closer to the delayed offline band on the design's own noise."""
    rate, n = 128, 60_000
    rng = np.random.default_rng(5)
    x = np.fft.irfft(
        np.fft.rfft(rng.standard_normal(n))
        * np.sqrt(prior_spectrum(rate).at(np.fft.rfftfreq(n, 1 / rate))[0])
    )
    bands = BandFilter({"alpha": (8, 12)}, rate, 1, 8 / rate)
    target = np.roll(offline_band(x[:, None], 8, 12, rate)[:, 0], 8)
    at = slice(500, -500)

    def squared_error(taps):
        return np.mean(np.abs(np.convolve(x, taps)[:n] - target)[at] ** 2)

    best = squared_error(bands.taps[0, 0])
    allowed = np.linalg.svd(np.ones((1, bands.taps.shape[2])))[2][1:]
    for _ in range(20):
        change = rng.standard_normal(len(allowed)) @ allowed
        change *= 0.1 * np.linalg.norm(bands.taps[0, 0]) / np.linalg.norm(change)
        assert squared_error(bands.taps[0, 0] + change) > best
    agreement = np.abs(np.vdot(target[at], np.convolve(x, bands.taps[0, 0])[:n][at])) ** 2
    agreement /= np.vdot(target[at], target[at]).real
    agreement /= np.sum(np.abs(np.convolve(x, bands.taps[0, 0])[:n][at]) ** 2)
    assert bands.agreement[0, 0] == pytest.approx(agreement, abs=0.01)


def test_expected_correlation_holds_for_gaussian_noise():
    rate, n = 250, 250 * 400
    rng = np.random.default_rng(2)
    spectrum = prior_spectrum(rate)
    x = np.fft.irfft(
        np.fft.rfft(rng.standard_normal(n)) * np.sqrt(spectrum.at(np.fft.rfftfreq(n, 1 / rate))[0])
    )
    for delay_s in (0.0, 0.05, 0.1):
        bands = BandFilter(BANDS, rate, 1, delay_s, spectrum)
        np.testing.assert_allclose(
            bands.measure_correlation(x[:, None]), bands.expected_correlation, atol=0.03
        )


@pytest.mark.parametrize("rate_hz", [100.3, 400, 512, 1000, 2048])
def test_agreement_holds_at_other_rates(rate_hz):
    """Against MNE's filter and Hilbert, the exact delay later: where taps stand apart, in gamma, at odd rates."""
    n = int(rate_hz * 100)
    gain = np.sqrt(prior_spectrum(rate_hz).at(np.fft.rfftfreq(n, 1 / rate_hz))[0])
    x = np.fft.irfft(np.fft.rfft(np.random.default_rng(1).standard_normal(n)) * gain, n)
    for edges in [(8, 12), (30, 45), (60, 90), (80, 150)][: 2 if rate_hz < 300 else 4]:
        bands = BandFilter({"band": edges}, rate_hz, 1, 0.1)
        real = mne.filter.filter_data(x, rate_hz, *edges, verbose=False)
        shift = np.exp(-2j * np.pi * 0.1 * np.fft.fftfreq(n, 1 / rate_hz))
        truth = np.fft.ifft(np.fft.fft(signal.hilbert(real)) * shift)
        inner = slice(int(3 * rate_hz), -int(3 * rate_hz))
        ours, truth = bands.process(x[:, None])[inner, 0, 0], truth[inner]
        coherency = np.vdot(truth, ours) / np.linalg.norm(truth) / np.linalg.norm(ours)
        assert bands.agreement[0, 0] == pytest.approx(abs(coherency) ** 2, abs=0.005)
        assert abs(np.angle(coherency)) < np.deg2rad(0.5)
        assert bands.agreement[0, 0] > 0.97


def test_agreement_increases_with_delay():
    expected = [BandFilter(BANDS, 250, 1, d).expected_correlation[:, 0] for d in (0, 0.05, 0.1, 0.2)]
    assert np.all(np.diff(expected, axis=0) > 0)
    # A long delay gets taps that reach on both sides of it.
    assert np.all(BandFilter(BANDS, 250, 1, 1.2).expected_correlation[:, 0] > expected[-1])
    assert envelope_correlation(np.array([0.0, 1.0])) == pytest.approx([0, 1])
    assert BandFilter({"alpha": (8, 12)}, 250, 2, 0.1).describe() == [
        "alpha 8–12 Hz at 100 ms delay: expected r = 0.98 or more, power 0.1 dB low"
    ]


def test_delay_is_settable_per_band():
    both = BandFilter(BANDS, 250, 1, {"theta": 0.2, "alpha": 0.1, "beta": 0.05})
    alone = BandFilter(BANDS, 250, 1, 0.1)
    assert both.delay_s.tolist() == [0.2, 0.1, 0.05]
    assert np.array_equal(both.taps[1], alone.taps[1])


def test_autocorrelation_equals_measured_one():
    x = noise(250 * 400, 1, seed=9)
    flat = Spectrum(np.array([0.0, 125.0]), np.ones(2))
    bands = BandFilter(BANDS, 250, 1, 0.1, flat, every=2)
    z = bands.process(x)[250:, :, 0]
    for lag in (0, 5, 10, 25, 50):
        measured = np.mean(z[lag:] * z[: len(z) - lag].conj(), axis=0) / np.mean(np.abs(z) ** 2, axis=0)
        np.testing.assert_allclose(bands.autocorrelation[:, 0, lag], measured, atol=0.05)


def test_adaptation_follows_changed_spectrum():
    """A filter designed for white noise comes to foretell alpha over strong drift as well as a design for it."""
    rate = 250
    rng = np.random.default_rng(4)
    n = rate * 60
    shape = Spectrum(np.linspace(0, 125, 500), 1 / (0.3 + np.linspace(0, 125, 500)) ** 2)
    gain = np.sqrt(shape.at(np.fft.rfftfreq(n, 1 / rate))[0])
    x = np.fft.irfft(np.fft.rfft(rng.standard_normal(n)) * gain)[:, None] * 30
    flat = Spectrum(np.array([0.0, 125.0]), np.ones(2))
    kwargs = {"bands": {"alpha": (8, 12)}, "rate_hz": rate, "n_channels": 1, "delay_s": 0.0}
    adaptive = BandFilter(**kwargs, spectrum=flat, adapt_s=10)
    fixed, informed = (
        BandFilter(**kwargs, spectrum=flat),
        BandFilter(**kwargs, spectrum=baseline_spectrum(x, rate)),
    )
    target = np.abs(offline_band(x, 8, 12, rate)[:, 0])
    r = [
        np.corrcoef(np.abs(f.process(x)[30 * rate : -rate, 0, 0]), target[30 * rate : -rate])[0, 1]
        for f in (fixed, adaptive, informed)
    ]
    assert r[1] > r[0] + 0.05
    assert r[1] > r[2] - 0.02


def test_adaptation_cross_fades_within_a_second():
    """The first design falls due after 4 s; every sixteenth of a second taps go a sixteenth of the way."""
    x = noise(250 * 10, 1)
    bands = BandFilter({"alpha": (8, 12)}, 250, 1, 0.1, adapt_s=5)
    taps = []
    for start in range(0, 1400, 16):  # a tick is 16 samples
        bands.process(x[start : start + 16])
        taps.append(bands.taps[0, 0])
    way = [np.linalg.norm(t - taps[0]) / np.linalg.norm(taps[-1] - taps[0]) for t in taps]
    np.testing.assert_allclose(way[:63], 0, atol=1e-6)
    np.testing.assert_allclose(way[63:79], np.arange(1, 17) / 16, atol=1e-4)
    np.testing.assert_allclose(way[79:], 1, atol=1e-6)


def test_adaptation_skips_flat_or_absent_channel():
    x = noise(250 * 20, 3)
    x[:, 1] = 7.0
    x[:, 2] = np.nan
    bands = BandFilter(BANDS, 250, 3, 0.1, adapt_s=5)
    before = bands.taps
    bands.process(x)
    assert not np.array_equal(bands.taps[:, 0], before[:, 0])
    assert np.array_equal(bands.taps[:, 1:], before[:, 1:])


def test_measured_correlation_with_gaps_and_too_short_baseline():
    x = noise(250 * 30, 3)
    x[1000:1100, 0] = np.nan
    x[:, 2] = np.nan
    r = BandFilter(BANDS, 250, 3, 0.1).measure_correlation(x)
    assert np.all(r[:, :2] > 0.8)
    assert np.isnan(r[:, 2]).all()
    with pytest.raises(WrongInput, match=r"a rehearsal needs at least 3 s, found 2\.0 s"):
        BandFilter(BANDS, 250, 3, 0.1).measure_correlation(x[:500])


GOOD = {"bands": BANDS, "rate_hz": 250, "n_channels": 4, "delay_s": 0.1}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"bands": {"gamma": (60, 130)}},
            r"band 'gamma' reaches 130 Hz; at 250 Hz .* below the Nyquist frequency 125 Hz",
        ),
        (
            {"bands": {"alpha": (12, 8)}},
            r"band 'alpha' needs 0 < low < high in Hz, found \(12, 8\); it is upside down",
        ),
        ({"bands": {"alpha": (0, 8)}}, r"needs 0 < low < high"),
        ({"bands": {"alpha": 8}}, r"band 'alpha' needs two edges \(low, high\) in Hz, found 8"),
        ({"bands": {"a": (12, 8), "b": (1, 200)}}, r"band 'a' .*; band 'b' "),
        ({"bands": {}}, r"no band was given"),
        ({"bands": None}, r"bands is a mapping name → \(low, high\) in Hz, or pairs of these; found None"),
        ({"bands": [("alpha", 8, 12)]}, r"or pairs of these; found \[\('alpha', 8, 12\)\]"),
        ({"bands": [("alpha", (8, 12)), ("alpha", (9, 13))]}, r"two bands are named 'alpha'"),
        ({"delay_s": -0.1}, r"delay_s is -0\.1 s: an output cannot be earlier than its sample"),
        ({"delay_s": float("nan")}, r"delay_s needs a finite number of seconds, found nan"),
        ({"delay_s": {"theta": 0.1, "alpha": 0.1}}, r"no delay is given for 'beta'"),
        ({"rate_hz": 0}, r"rate_hz needs a finite number above 0, found 0"),
        ({"rate_hz": True}, r"rate_hz needs a finite number above 0, found True"),
        ({"n_channels": 2.5}, r"n_channels needs a whole number of at least 1, found 2\.5"),
        ({"every": 0}, r"every needs a whole number"),
        ({"spectrum": np.ones(5)}, r"spectrum needs a Spectrum"),
        (
            {"spectrum": Spectrum(np.array([0.0, 125]), np.ones((3, 2)))},
            r"has 3 rows; 4 channels need 1 row or 4",
        ),
    ],
)
def test_wrong_settings_are_refused(change, message):
    with pytest.raises(WrongInput, match=message):
        BandFilter(**(GOOD | change))


def test_delay_of_unknown_band_is_refused():
    with pytest.raises(UnknownName, match="band 'alfa', which is not in the bank; did you mean 'alpha'"):
        BandFilter(BANDS, 250, 1, {"alfa": 0.1})


@pytest.mark.parametrize(
    "samples, message",
    [
        (np.zeros((5, 3)), r"samples need shape \(n_samples, 4\), one column per channel; found \(5, 3\)"),
        (np.zeros(4), r"For one sample, pass x\[np.newaxis, :\]"),
        (np.zeros((5, 4), complex), r"samples need real numbers in µV, found an array of complex128"),
        (np.array([["a"] * 4]), r"samples need real numbers in µV"),
        ([[1.0, 2.0], [3.0]], "rows of different lengths are no array"),
        (np.ma.masked_less(np.zeros((5, 4)), 1), r"mask would be lost; give values\.filled\(np\.nan\)"),
        (
            np.array([[1, 2, 3, 4], [1, 2, np.inf, 4]]),
            r"sample 1, channel 2 is inf: samples are finite µV, or NaN",
        ),
        (
            np.array([[1, 2, 3, -np.inf], [1, 2, np.inf, 4]]),
            r"sample 0, channel 3 is -inf: samples are finite µV, or NaN",
        ),
    ],
)
def test_wrong_samples_are_refused_without_changing_state(samples, message):
    x = noise(600, 4)
    bands, untouched = BandFilter(**GOOD), BandFilter(**GOOD)
    bands.process(x[:300])
    untouched.process(x[:300])
    with pytest.raises(WrongInput, match=message):
        bands.process(samples)
    assert same_bits(bands.process(x[300:]), untouched.process(x[300:]))


@pytest.mark.parametrize(
    "samples, message",
    [
        (np.zeros((1000, 2)), "a baseline needs at least 6 s without gaps; found 4.0 s"),
        (
            np.column_stack([noise(5000, 1), np.full(5000, np.nan)]),
            r"Leave out channels \[1\], which never came",
        ),
        (np.full((5000, 2), np.inf), "sample 0, channel 0 is inf"),
        (np.zeros(5000), r"a baseline needs shape \(n_samples, n_channels\), found \(5000,\)"),
        (np.column_stack([np.zeros(5000), noise(5000, 1)]), r"channels \[0\] are flat"),
    ],
)
def test_uninformative_baseline_is_refused(samples, message):
    with pytest.raises(WrongInput, match=message):
        baseline_spectrum(samples, 250)


def test_prior_spectrum_does_not_depend_on_rate():
    freqs = np.linspace(1, 50, 99)
    np.testing.assert_allclose(prior_spectrum(20_000).at(freqs), prior_spectrum(250).at(freqs), rtol=0.05)


@pytest.mark.parametrize(
    "freqs, density, error",
    [
        ([0, 0], [1, 1], WrongInput),
        ([0, 1], [1, 1, 1], WrongShape),
        ([0, 1], [1, -1], WrongInput),
        ([0, 1], [0, 0], WrongInput),
    ],
)
def test_invalid_spectrum_is_refused(freqs, density, error):
    with pytest.raises(error):
        Spectrum(np.array(freqs, float), np.array(density, float))


def test_baseline_spectrum_equals_welch():
    x = noise(5000, 3)
    ours = baseline_spectrum(x, 250)
    freqs, theirs = signal.welch(x, 250, "hann", nperseg=500, noverlap=375, axis=0)
    np.testing.assert_allclose(ours.freqs_hz, freqs)
    np.testing.assert_allclose(ours.density, theirs.T, rtol=1e-10)
