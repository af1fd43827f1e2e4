"""Synchrony: equal to the formulas and to MNE-Connectivity, honest about noise, mixing, gaps and too little data."""

import mne
import numpy as np
import pytest
from dsp_parts import CHUNKINGS
from hypothesis import given, settings
from hypothesis import strategies as st
from mne_connectivity import envelope_correlation, spectral_connectivity_epochs, spectral_connectivity_time
from reference import synchrony as slow_synchrony

from neurofb.dsp.bands import BandFilter
from neurofb.dsp.effective_samples import default_autocorrelation, effective_samples, null_level
from neurofb.dsp.spectrum import Spectrum, baseline_spectrum
from neurofb.dsp.synchrony import Synchrony
from neurofb.errors import WrongInput, WrongShape

MEASURES = ("coherence", "imaginary_coherence", "plv", "ciplv", "wpli", "debiased_wpli2", "aec_orth")
WINDOWS = [{"window_s": 2.0}, {"time_constant_s": 1.0}]
RATE = 100.0


def readings(synchrony):
    return {name: getattr(synchrony, name)() for name in MEASURES}


def same_readings(a, b):
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in MEASURES)


def complex_noise(n, n_bands, n_channels, seed=0):
    """Narrow-band noise with some coupling, so that no measure is trivially 0."""
    rng = np.random.default_rng(seed)
    shape = (n + 40, n_bands, n_channels)
    white = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    white[..., 1:] += 0.5 * np.exp(0.7j) * white[..., :1]
    kernel = np.hanning(20)[:, None, None]
    smooth = sum(kernel[k] * white[k : k + n] for k in range(20))
    return smooth * 7


def weights_of(window, n):
    if "window_s" in window:
        return np.where(np.arange(n) >= n - window["window_s"] * RATE, 1.0, 0.0)
    return np.exp(-np.arange(n - 1, -1, -1.0) / (window["time_constant_s"] * RATE))


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("pairs", ["all", [(3, 1), (0, 4), (3, 0), (3, 2)]])
@pytest.mark.parametrize("autocorrelation", [None, "independent"])
def test_matches_oracle(window, pairs, autocorrelation):
    z = complex_noise(650, 2, 12)
    z[300:310, :, 1] = np.nan
    z[640, :, 4] = np.nan
    ours = Synchrony(12, 2, RATE, **window, pairs=pairs, autocorrelation=autocorrelation)
    ours.process(z)
    near = np.round(ours.near_s * RATE)
    assert (near > 0).all() == (autocorrelation is None)
    weights = weights_of(window, len(z))
    for p, (i, j) in enumerate(ours.pairs):
        for b in range(2):
            expected = slow_synchrony(z[:, b, i], z[:, b, j], weights, near[b])
            for name in MEASURES:
                value = getattr(ours, name)()[b, p]
                assert value == pytest.approx(expected[name], rel=1e-10, abs=1e-11), (name, i, j)


def spectral_epochs(z, method):
    """MNE-Connectivity with every sample an epoch: its means over epochs are ours over samples."""
    n_channels = z.shape[1]
    info = mne.create_info(n_channels, 100.0, "eeg")
    spectrum = mne.time_frequency.EpochsSpectrumArray(
        z[:, :, None], info, freqs=np.array([10.0]), verbose=False
    )
    found = spectral_connectivity_epochs(spectrum, method=method, verbose=False)
    return np.array([part.get_data("dense")[:, :, 0] for part in np.atleast_1d(found)])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("window", WINDOWS)
def test_exponential_window_equals_mne_connectivity(window):
    """For exponential weights w, √w·z makes every average a weighted one; for the phase measures √w·z/|z| does."""
    z = complex_noise(300, 1, 5)[:, 0]
    ours = Synchrony(5, 1, RATE, **window, autocorrelation="independent")
    ours.process(z[:, None])
    weighted = np.sqrt(weights_of(window, len(z)))[:, None] * z
    weighted = weighted[np.abs(weighted[:, 0]) > 0]
    lower = np.tril_indices(5, -1)
    order = np.lexsort((lower[0], lower[1]))  # their lower triangle in the order of our upper one

    def theirs(method, signal):
        return spectral_epochs(signal, method)[0][lower][order]

    def close(ours, theirs):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)

    close(ours.coherence()[0], theirs(["coh"], weighted))
    # Their first channel of a lower-triangle pair is our second.
    close(-ours.imaginary_coherence()[0], theirs(["imcoh"], weighted))
    close(ours.wpli()[0], theirs(["wpli"], weighted))
    close(ours.debiased_wpli2()[0], theirs(["wpli2_debiased"], weighted))
    if "window_s" in window:
        close(ours.plv()[0], theirs(["plv"], weighted))
        close(ours.ciplv()[0], theirs(["ciplv"], weighted))
    else:
        phases = np.sqrt(weights_of(window, len(z)))[:, None] * z / np.abs(z)
        u = theirs(["cohy"], phases)
        close(ours.plv()[0], np.abs(u))
        close(ours.ciplv()[0], np.abs(u.imag) / np.sqrt(1 - u.real**2))


@pytest.mark.filterwarnings("ignore")
def test_box_window_equals_mne_connectivity():
    z = complex_noise(200, 1, 4)[:, 0]
    ours = Synchrony(4, 1, RATE, window_s=2.0, autocorrelation="independent")
    ours.process(z[:, None])
    info = mne.create_info(4, RATE, "eeg")
    tfr = mne.time_frequency.EpochsTFRArray(
        info, z.T[None, :, None, :], np.arange(200) / RATE, np.array([10.0])
    )
    found = spectral_connectivity_time(
        tfr,
        freqs=np.array([10.0]),
        method=["coh", "plv", "ciplv", "wpli"],
        sm_times=0,
        average=True,
        verbose=False,
    )
    lower = np.tril_indices(4, -1)
    order = np.lexsort((lower[0], lower[1]))
    for name, theirs in zip(("coherence", "plv", "ciplv", "wpli"), found, strict=True):
        dense = theirs.get_data("dense")[:, :, 0]
        np.testing.assert_allclose(getattr(ours, name)()[0], dense[lower][order], rtol=0, atol=1e-12)
    correlation = envelope_correlation(z.T[None], orthogonalize="pairwise", absolute=False, verbose=False)
    dense = correlation.combine().get_data("dense")[:, :, 0]
    np.testing.assert_allclose(ours.aec_orth()[0], dense[lower][order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("window", WINDOWS)
@settings(max_examples=15, deadline=None)
@given(sizes=CHUNKINGS, read_between=st.booleans())
def test_measures_do_not_depend_on_chunking_or_reads(window, sizes, read_between):
    z = complex_noise(700, 2, 5)
    z[100:110, :, 2] = np.nan
    whole, parts = Synchrony(5, 2, RATE, **window), Synchrony(5, 2, RATE, **window)
    whole.process(z)
    start = turn = 0
    parts.process(z[:0])
    while start < len(z):
        size = sizes[turn % len(sizes)]
        parts.process(z[start : start + size])
        start, turn = start + size, turn + 1
        if read_between and turn % 3 == 0:
            parts.coherence()
    parts.process(z[:0])
    assert same_readings(readings(parts), readings(whole))


def test_input_is_not_written_and_layout_has_no_effect():
    z = complex_noise(300, 2, 5)
    before = z.copy()
    z.flags.writeable = False
    results = []
    for form in (z, np.asfortranarray(z), np.repeat(z, 2, axis=2)[:, :, ::2]):
        synchrony = Synchrony(5, 2, RATE, window_s=2)
        synchrony.process(form)
        results.append(readings(synchrony))
    assert np.array_equal(z, before)
    assert same_readings(results[0], results[1])
    assert same_readings(results[0], results[2])


@pytest.mark.parametrize("n_channels", [2, 3, 8, 9, 17])
def test_pairs_equal_numpy_triu_indices(n_channels):
    z = complex_noise(200, 1, n_channels)
    everything = Synchrony(n_channels, 1, RATE, window_s=2)
    assert everything.pairs.tolist() == np.transpose(np.triu_indices(n_channels, 1)).tolist()
    everything.process(z)
    chosen = Synchrony(n_channels, 1, RATE, window_s=2, pairs=[(n_channels - 1, 0)])
    chosen.process(z)
    place = everything.pairs.tolist().index([0, n_channels - 1])
    assert chosen.coherence()[0, 0] == everything.coherence()[0, place]
    assert chosen.imaginary_coherence()[0, 0] == -everything.imaginary_coherence()[0, place]


def test_measures_after_24_hours_have_no_drift():
    """The box after a day at 25 Hz, with bursts of a million times the amplitude on the way, is the box summed anew."""
    rate, n = 25.0, 24 * 3600 * 25
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((n, 1, 2)) + 1j * rng.standard_normal((n, 1, 2))) * np.where(
        rng.random(n) < 1e-4, 1e6, 1
    )[:, None, None]
    z[-400:] /= np.maximum(1, np.abs(z[-400:]) / 10)  # the last burst is more than a window away
    ours = Synchrony(2, 1, rate, window_s=6.0)
    for start in range(0, n, 100_000):
        ours.process(z[start : start + 100_000])
        ours.coherence()
    near = round(ours.near_s[0] * rate)
    expected = slow_synchrony(z[-150:, 0, 0], z[-150:, 0, 1], np.ones(150), near)
    for name in MEASURES:
        assert getattr(ours, name)()[0, 0] == pytest.approx(expected[name], rel=1e-10, abs=1e-11), name


# -- noise reads as noise ------------------------------------------------------------------------------------------


def filtered_noise(kind, seconds, n_channels, seed, delay_s=0.1):
    """Independent noises through a filter designed on a baseline of the same kind, as in a session."""
    rate = 125
    rng = np.random.default_rng(seed)
    n = int(seconds * rate) + 80 * rate
    x = rng.standard_normal((n, n_channels))
    if kind == "1/f":
        freqs = np.fft.rfftfreq(n, 1 / rate)
        x = np.fft.irfft(np.fft.rfft(x, axis=0) / np.sqrt(np.maximum(freqs, 0.5))[:, None], n, axis=0)
    baseline = baseline_spectrum(x[: 78 * rate], rate)
    shared = Spectrum(baseline.freqs_hz, baseline.density.mean(axis=0))
    bands = BandFilter(
        {"theta": (4, 8), "alpha": (8, 12), "beta": (13, 30)}, rate, n_channels, delay_s, shared
    )
    return bands, bands.process(x[-int(seconds * rate) - 2 * rate :])[2 * rate :]


@pytest.mark.parametrize("kind", ["white", "1/f"])
@pytest.mark.parametrize("window_s", [1, 2, 4, 8])
@pytest.mark.parametrize("shape", ["box", "exponential"])
def test_debiased_measures_of_independent_noise_are_zero(kind, window_s, shape):
    """200 windows of 8 channels: the means of both debiased measures lie within ±0.02 of 0, in every band."""
    n_runs = 200
    bands, z = filtered_noise(kind, n_runs * window_s * (1 if shape == "box" else 2), 8, seed=window_s)
    window = {"window_s": window_s} if shape == "box" else {"time_constant_s": window_s / 2}
    synchrony = Synchrony.of(bands, **window, least_samples=2.5)
    lagged, squared, levels = [], [], []
    for part in np.array_split(z, n_runs):
        synchrony.process(part)
        lagged.append(synchrony.debiased_wpli2())
        squared.append(synchrony.debiased_coherence2())
        levels.append(synchrony.coherence() > null_level("coherence", synchrony.effective_samples()))
    assert np.abs(np.mean(lagged, axis=(0, 2))).max() < 0.02
    assert np.abs(np.mean(squared, axis=(0, 2))).max() < 0.02
    assert np.mean(levels) == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("window_s", [2, 4, 8])
def test_debiased_measures_of_independent_rhythms_are_zero(window_s):
    """Four of eight channels have an alpha of their own, 1.2 Hz wide: with a baseline, none reads as synchrony."""
    rate, n_runs = 125, 200
    rng = np.random.default_rng(window_s)
    n = (n_runs * window_s + 100) * rate
    freqs = np.fft.rfftfreq(n, 1 / rate)[:, None]
    rhythm = np.arange(8) >= 4
    density = 1 / np.maximum(freqs, 0.5) + 5 * rhythm * np.exp(-0.5 * ((freqs - 10) / 0.5) ** 2)
    x = np.fft.irfft(np.fft.rfft(rng.standard_normal((n, 8)), axis=0) * np.sqrt(density), n, axis=0) * 20
    bands = BandFilter({"alpha": (8, 12)}, rate, 8, 0.1, baseline_spectrum(x[: 90 * rate], rate))
    z = bands.process(x[-(n_runs * window_s + 2) * rate :])[2 * rate :]
    synchrony = Synchrony.of(bands, window_s=window_s)
    lagged, squared, above = [], [], []
    for part in np.array_split(z, n_runs):
        synchrony.process(part)
        lagged.append(synchrony.debiased_wpli2()[0])
        squared.append(synchrony.debiased_coherence2()[0])
        above.append((synchrony.coherence() > null_level("coherence", synchrony.effective_samples()))[0])
    first, second = synchrony.pairs.T
    for kind in (rhythm[first], ~rhythm[second]):  # both have the rhythm, neither has
        assert abs(np.mean(lagged, axis=0)[kind].mean()) < 0.04 / np.sqrt(window_s)
        assert abs(np.mean(squared, axis=0)[kind].mean()) < 0.05 / np.sqrt(window_s)
        assert np.mean(above, axis=0)[kind].mean() < 0.1
    mixed = ~rhythm[first] & rhythm[second]
    assert np.mean(above, axis=0)[mixed].mean() < 0.05
    samples = synchrony.effective_samples()[0]
    assert samples[rhythm[first]].max() < samples[mixed].min() < samples[~rhythm[second]].min()


def noise_like(autocorrelation, n_windows, n_samples, rng):
    """Windows of Gaussian noise by the Cholesky factor of their covariance."""
    at = np.arange(n_samples)
    lags = at[:, None] - at[None, :]
    covariance = np.where(lags >= 0, autocorrelation[np.abs(lags)], autocorrelation[np.abs(lags)].conj())
    factor = np.linalg.cholesky(covariance + 1e-9 * np.eye(n_samples))
    parts = rng.standard_normal((2, n_windows, n_samples))
    return (parts[0] + 1j * parts[1]) @ factor.T / np.sqrt(2)


@pytest.mark.parametrize("width_hz, n_samples", [(0.5, 120), (1.5, 40)])
def test_null_levels_hold_for_samples_that_resemble_each_other(width_hz, n_samples):
    """5 % of unrelated windows at the number of independent samples: PLV 2.5, AEC 0.5–1.7, wPLI 1–3 % before."""
    rate, rng = 20.0, np.random.default_rng(1)
    lags_s = np.arange(200) / rate
    repeats = (np.exp(-3.56 * (width_hz * lags_s) ** 2) * np.exp(2j * lags_s)).astype(complex)
    synchrony = Synchrony(2, 1, rate, window_s=n_samples / rate, autocorrelation=repeats[None, None])
    near = round(synchrony.near_s[0] * rate)
    z = [noise_like(repeats, 2500, n_samples, rng) for _ in range(2)]
    synchrony.process(np.stack([each[0] for each in z], axis=1)[:, None])
    assert 5 < synchrony.effective_samples()[0, 0] < 6
    levels = {name: synchrony.null_level(name)[0, 0] for name in MEASURES}
    above = dict.fromkeys(MEASURES, 0)
    for x, y in zip(*z, strict=True):
        found = slow_synchrony(x, y, np.ones(n_samples), near)
        for name in MEASURES:
            above[name] += (
                abs(found[name]) > levels[name] if name != "debiased_wpli2" else found[name] > levels[name]
            )
    for name in set(MEASURES) - {"aec_orth"}:
        assert 0.038 < above[name] / 2500 < 0.062, name
    assert synchrony.null_level("plv", 0.5)[0, 0] < levels["plv"]


def sharp_alpha(width_hz, seconds, rng, rate=125):
    """Two unrelated channels: 1/f, and an alpha so wide at half its power, twelve times as strong as 8–12 Hz of it."""
    n = int(seconds * rate)
    freqs = np.fft.rfftfreq(n, 1 / rate)[:, None]
    slope, peak = 1 / np.maximum(freqs, 0.5), np.exp2(-(((freqs - 10) / (width_hz / 2)) ** 2))
    band = (freqs >= 8) & (freqs <= 12)
    density = slope + 12 * peak * slope[band].sum() / peak.sum()
    return np.fft.irfft(np.fft.rfft(rng.standard_normal((n, 2)), axis=0) * np.sqrt(density), n, axis=0) * 20


def made_for(baseline, rate, window_s, every=3):
    bands = BandFilter(
        {"alpha": (8, 12)}, rate, baseline.shape[1], 0.1, baseline_spectrum(baseline, rate), every=every
    )
    return bands, Synchrony.of(bands, window_s=window_s, refuse=False)


def test_sharp_rhythms_are_below_their_null_levels_or_not_given():
    """Alpha 0.3 Hz wide, three people with a minute of baseline: 5 % of their unrelated windows of 6 s are above.

    With the spectrum of 2 s segments alone, 9 to 20 % are.
    """
    rng, above, found = np.random.default_rng(5), [], []
    names = ("coherence", "imaginary_coherence", "plv", "ciplv")
    for _ in range(3):
        x = sharp_alpha(0.3, 60 + 5 + 100 * 6, rng)
        bands, synchrony = made_for(x[: 60 * 125], 125, 6.0)
        z = bands.process(x[60 * 125 :])
        for part in np.array_split(z[125:], 100):
            synchrony.process(part)
            sizes = [np.abs(getattr(synchrony, name)()[0, 0]) for name in names]
            above.append(
                [size > synchrony.null_level(name)[0, 0] for size, name in zip(sizes, names, strict=True)]
            )
            found.append(synchrony.debiased_wpli2()[0, 0])
    assert abs(np.mean(found)) < 0.05
    assert (np.abs(np.mean(above, axis=0) - 0.05) < 0.035).all()
    _, too_short = made_for(x[: 60 * 125], 125, 2.0)
    too_short.process(z)
    assert too_short.is_too_short
    assert np.isnan(too_short.debiased_wpli2()).all()
    assert np.isnan(too_short.null_level("plv")).all()
    with pytest.raises(WrongInput, match="times as long|twice as long"):
        Synchrony.of(bands, window_s=2.0)


def test_pair_with_too_few_samples_is_nan_alone():
    slow = np.exp(-0.5 * (np.arange(200) / 60) ** 2)
    quick = np.exp(-0.5 * (np.arange(200) / 5) ** 2)
    synchrony = Synchrony(4, 1, RATE, window_s=2, autocorrelation=[[quick, quick, slow, slow]])
    synchrony.process(complex_noise(300, 1, 4))
    assert np.isnan(synchrony.coherence()[0]).tolist() == [False] * 5 + [True]
    assert np.isnan(synchrony.effective_samples()[0]).tolist() == [False] * 5 + [True]


def test_effective_samples_of_a_short_window_are_the_inverse_mean_of_squared_coherence():
    """Half a second of a 4 Hz band, 20,000 pairs of unrelated channels; the first-order form is 4 % lower there."""
    rate, n = 50.0, 25
    rng = np.random.default_rng(0)
    lags = np.subtract.outer(np.arange(n), np.arange(n))
    correlation = default_autocorrelation(rate)[np.abs(lags)].real
    powers, modes = np.linalg.eigh(correlation)
    shaped = modes * np.sqrt(np.maximum(powers, 0.0))
    x, y = (
        (rng.standard_normal((20_000, n)) + 1j * rng.standard_normal((20_000, n))) @ shaped.T
        for _ in range(2)
    )
    cross = np.abs((x * y.conj()).sum(axis=1)) ** 2
    coherence2 = cross / ((np.abs(x) ** 2).sum(axis=1) * (np.abs(y) ** 2).sum(axis=1))
    expected = 1 / coherence2.mean()
    first_order = n**2 / (correlation**2).sum()
    assert effective_samples(np.ones(n), default_autocorrelation(rate)) == pytest.approx(expected, rel=0.015)
    assert first_order < 0.965 * expected


def test_null_levels_are_not_far_above_unrelated_noise():
    """A level that is too high would read real synchrony as none: with many samples 3 to 5.5 % are above each."""
    rng, n_samples = np.random.default_rng(0), 60
    above = {name: [] for name in MEASURES}
    for _ in range(20):
        z = rng.standard_normal((n_samples, 1, 40)) + 1j * rng.standard_normal((n_samples, 1, 40))
        synchrony = Synchrony(40, 1, 1.0, window_s=n_samples, autocorrelation="independent")
        synchrony.process(z)
        for name, value in readings(synchrony).items():
            size = np.abs(value) if name == "imaginary_coherence" else value
            above[name].append(size > synchrony.null_level(name))
    for name in MEASURES:
        assert (0.03 if name == "aec_orth" else 0.04) <= np.mean(above[name]) <= 0.055, name


@pytest.mark.parametrize("n_samples", [6, 9, 16, 40])
def test_null_level_holds_for_independent_samples(n_samples):
    rng = np.random.default_rng(n_samples)
    above = {name: [] for name in MEASURES}
    for _ in range(20):
        z = rng.standard_normal((n_samples, 1, 40)) + 1j * rng.standard_normal((n_samples, 1, 40))
        synchrony = Synchrony(40, 1, 1.0, window_s=n_samples, autocorrelation="independent")
        synchrony.process(z)
        assert synchrony.effective_samples() == pytest.approx(n_samples)
        for name in MEASURES:
            value = getattr(synchrony, name)()
            size = np.abs(value) if name == "imaginary_coherence" else value
            above[name].append(size > synchrony.null_level(name))
    for name in MEASURES:
        assert 0.04 <= np.mean(above[name]) <= 0.06, name


def test_null_levels_of_few_samples_can_be_reached():
    """At six samples the level of wPLI was 1, which no window passes."""
    assert 0.955 < null_level("wpli", np.array([6.0]))[0] < 0.97
    assert 0.85 < null_level("debiased_wpli2", np.array([6.0]))[0] < 0.93
    for name in MEASURES:
        levels = null_level(name, np.geomspace(6, 500, 40))
        assert (np.diff(levels) < 0).all(), name
        at_30 = null_level(name, np.array([29.999, 30.001]))
        assert at_30[0] == pytest.approx(at_30[1], rel=1e-3), name
    np.testing.assert_allclose(null_level("wpli", np.array([400.0])), 1.96 * np.sqrt(2 / 400), rtol=0.01)


def test_volume_conduction_does_not_raise_lag_measures():
    """One source in two channels plus noise: coherence and PLV are high, the others stay at their null."""
    rate, seconds = 125, 400
    rng = np.random.default_rng(3)
    source, own = rng.standard_normal((rate * seconds, 1)), rng.standard_normal((rate * seconds, 2))
    bands = BandFilter({"alpha": (8, 12)}, rate, 2, 0.1)
    z = bands.process(source * [1.0, 0.7] + 0.5 * own)[2 * rate :]
    synchrony = Synchrony.of(bands, window_s=6)
    seen = {name: [] for name in MEASURES}
    for part in np.array_split(z, seconds // 6):
        synchrony.process(part)
        for name in MEASURES:
            value, level = getattr(synchrony, name)()[0, 0], synchrony.null_level(name)[0, 0]
            seen[name].append(abs(value) > level if name != "debiased_wpli2" else value > level)
    share = {name: np.mean(values) for name, values in seen.items()}
    assert share["coherence"] > 0.99
    assert share["plv"] > 0.99
    for name in ("imaginary_coherence", "ciplv", "wpli", "debiased_wpli2"):
        assert share[name] < 0.12, (name, share[name])


def test_coupling_at_45_degrees_is_found_with_direction():
    rate, seconds = 125, 60
    rng = np.random.default_rng(4)
    n = rate * seconds
    freqs = np.fft.rfftfreq(n, 1 / rate)
    rhythm = np.fft.rfft(rng.standard_normal(n)) * np.exp(-0.5 * (freqs - 10) ** 2)
    first, second = np.fft.irfft(rhythm, n), np.fft.irfft(rhythm * np.exp(-1j * np.pi / 4), n)
    x = np.stack([first, second], axis=1) * 10 + 0.3 * rng.standard_normal((n, 2))
    bands = BandFilter({"alpha": (8, 12)}, rate, 2, 0.1)
    synchrony = Synchrony.of(bands, window_s=6)
    synchrony.process(bands.process(x))
    for name in ("ciplv", "wpli", "debiased_wpli2", "imaginary_coherence"):
        assert getattr(synchrony, name)()[0, 0] > synchrony.null_level(name)[0, 0], name
    assert synchrony.imaginary_coherence()[0, 0] == pytest.approx(np.sin(np.pi / 4), abs=0.12)


# -- gaps and too little ---------------------------------------------------------------------------------------------


def test_gap_affects_own_pairs_for_one_window():
    z = complex_noise(900, 1, 3)
    spoiled = z.copy()
    spoiled[400:420, :, 0] = np.nan
    clean, ours = Synchrony(3, 1, RATE, window_s=2), Synchrony(3, 1, RATE, window_s=2)
    for n in range(0, 900, 10):
        clean.process(z[n : n + 10])
        ours.process(spoiled[n : n + 10])
        assert np.array_equal(ours.coherence()[0, 2], clean.coherence()[0, 2], equal_nan=True)
        in_window = 400 <= n + 9 and n + 9 - 200 < 419
        if n >= 200 and not in_window:
            # A few roundings differ until the sums are begun anew.
            np.testing.assert_allclose(ours.debiased_wpli2(), clean.debiased_wpli2(), rtol=1e-9)
        if in_window:
            assert (ours.effective_samples()[0, :2] < clean.effective_samples()[0, :2]).all()


@pytest.mark.parametrize("size", [30, 1e3, 1e5])
def test_box_after_artifact_is_exact_or_nan(size):
    """An electrode off for half a second: when it has left the window, its fourth power has left rounding behind."""
    z = complex_noise(1400, 1, 2)
    z[300:350] *= size
    synchrony = Synchrony(2, 1, RATE, window_s=2)
    near = round(synchrony.near_s[0] * RATE)
    hidden = []
    for n in range(0, 1400, 10):
        synchrony.process(z[n : n + 10])
        if n >= 550:
            part = z[n - 190 : n + 10, 0]
            expected = slow_synchrony(part[:, 0], part[:, 1], np.ones(200), near)
            value = synchrony.debiased_wpli2()[0, 0]
            hidden.append(np.isnan(value))
            assert hidden[-1] or value == pytest.approx(expected["debiased_wpli2"], abs=1e-4)
            assert synchrony.coherence()[0, 0] == pytest.approx(expected["coherence"], abs=1e-4)
            assert synchrony.aec_orth()[0, 0] == pytest.approx(expected["aec_orth"], abs=1e-4)
    assert any(hidden) == (size > 30)
    assert not any(hidden[20:])  # sums were begun anew within a window


def test_measures_of_too_few_samples_are_nan():
    z = complex_noise(200, 1, 3)
    synchrony = Synchrony(3, 1, RATE, window_s=2)
    assert all(np.isnan(values).all() for values in readings(synchrony).values())
    given = []
    for n in range(200):
        synchrony.process(z[n : n + 1])
        enough = synchrony.effective_samples()
        given.append(np.isfinite(enough).all())
        assert np.isfinite(synchrony.coherence()).all() == given[-1]
        assert not (enough < 3).any()
    assert given == sorted(given)
    assert 25 < given.index(True) < 60  # 3 samples of a band some 8 Hz wide
    assert np.isnan(null_level("coherence", np.array([np.nan])))


def test_missing_channel_is_nan():
    z = complex_noise(300, 1, 3)
    z[:, :, 1] = np.nan
    synchrony = Synchrony(3, 1, RATE, window_s=2)
    synchrony.process(z)
    assert np.isnan(synchrony.coherence()[0]).tolist() == [True, False, True]
    assert np.isnan(synchrony.aec_orth()[0]).tolist() == [True, False, True]


def test_silent_channel_is_nan():
    z = complex_noise(300, 1, 3)
    z[:, :, 1] = 0
    synchrony = Synchrony(3, 1, RATE, window_s=2)
    synchrony.process(z)
    for values in readings(synchrony).values():
        assert np.isnan(values[0, 0])


def test_identical_channels_have_coherence_without_lag():
    z = complex_noise(300, 1, 1)
    synchrony = Synchrony(2, 1, RATE, window_s=2)
    synchrony.process(np.repeat(z, 2, axis=2))
    assert synchrony.coherence() == pytest.approx(1)
    assert synchrony.debiased_coherence2() == pytest.approx(1)
    assert synchrony.plv() == pytest.approx(1)
    assert synchrony.imaginary_coherence() == pytest.approx(0, abs=1e-12)
    assert synchrony.wpli() == 0
    assert synchrony.debiased_wpli2() == 0


@pytest.mark.parametrize(
    "change, message",
    [
        ({}, "say either window_s"),
        ({"window_s": 2, "pairs": "some"}, 'pairs is "all" or a sequence'),
        ({"window_s": 2, "pairs": [(0, 0)]}, r"pair \(0, 0\) needs two different channels between 0 and 3"),
        ({"window_s": 2, "pairs": [(0, 4)]}, r"pair \(0, 4\) needs two different channels"),
        ({"window_s": 2, "pairs": [(0, 1), (1, 0)]}, "a pair of channels is given twice"),
        ({"window_s": 2, "pairs": []}, "pairs needs at least one"),
        ({"window_s": 2, "pairs": [(0.5, 1)]}, "of whole numbers"),
        (
            {"window_s": 0.1},
            r"this window ever holds 1\.\d independent samples .* at least \d\.\d times as long",
        ),
        ({"window_s": 2, "autocorrelation": "none"}, "array, None or \"independent\", found 'none'"),
        (
            {"window_s": 2, "autocorrelation": np.ones((1, 3, 5))},
            r"autocorrelation needs shape \(1, 4 or 1, n_lags\), found \(1, 3, 5\)",
        ),
        ({"window_s": 2, "autocorrelation": np.zeros((1, 1, 5))}, "autocorrelation is 1 at lag 0"),
        ({"time_constant_s": 1e-9}, "this window ever holds"),
        ({"window_s": 2, "n_channels": 1}, "synchrony needs at least two channels, found 1"),
        ({"window_s": 2, "least_samples": -1}, "least_samples needs a finite number above 0"),
    ],
)
def test_wrong_settings_are_refused(change, message):
    settings_ = {"n_channels": 4, "n_bands": 1, "rate_hz": RATE} | change
    with pytest.raises((WrongInput, WrongShape), match=message):
        Synchrony(**settings_)


def test_unknown_null_level_is_refused():
    with pytest.raises(WrongInput, match="no null level is known for 'pli'; there are: coherence"):
        null_level("pli", np.array([5.0]))
    with pytest.raises(WrongInput, match="quantile lies between 0 and 1, found 1"):
        null_level("plv", np.array([5.0]), 1)
