"""The dsp on real recordings (skipped where they are not beside the checkout)."""

import mne
import numpy as np
import pytest
from scipy import signal

from neurofb.dsp.bands import BandFilter
from neurofb.dsp.power import BandPower, decibels
from neurofb.dsp.spectrum import baseline_spectrum
from neurofb.dsp.synchrony import Synchrony
from neurofb.spatial.filters import ssd

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def eegmmidb(data_dir, run, channels):
    raw = mne.io.read_raw_edf(data_dir / "physionet_eegmmidb" / f"S001R{run:02d}.edf", verbose=False)
    raw.rename_channels(lambda name: name.rstrip("."))
    return raw.get_data(picks=channels).T * 1e6, raw.info["sfreq"]


def mean_power(x, rate_hz):
    bands = BandFilter({"theta": (4, 8), "alpha": (8, 12)}, rate_hz, x.shape[1], 0.1)
    power = BandPower(2, x.shape[1], rate_hz, window_s=1.0).process(bands.process(x))
    return np.nanmean(power, axis=0)


def test_eyes_closed_raises_alpha_more_than_theta(data_dir):
    open_eyes, rate_hz = eegmmidb(data_dir, 1, ["O1"])
    closed_eyes, _ = eegmmidb(data_dir, 2, ["O1"])
    theta, alpha = decibels(mean_power(closed_eyes, rate_hz), mean_power(open_eyes, rate_hz))[:, 0]
    assert alpha >= 6
    assert theta < 4


def test_amplifier_offset_does_not_bias_alpha(data_dir):
    """Cyton, up to +62 mV of offset: alpha with eyes closed over open at O1 and O2 is what an offline filter finds."""
    path = data_dir / "openbci_gui_samples" / "OpenBCI_GUI-v6-blinks-jawClench-alpha.txt"
    rows = [line.split(",")[1:9] for line in path.read_text().splitlines() if line[:1].isdigit()]
    x = np.array(rows, dtype=float)
    assert np.abs(x.mean(axis=0)).max() > 40_000
    z = BandFilter({"alpha": (10, 13)}, 250, 8, 0.1).process(x)
    assert np.isfinite(z[250:]).all()
    offline = mne.filter.filter_data((x - x.mean(axis=0)).T, 250.0, 10, 13, verbose=False).T

    def rise(power):
        occipital = power[:, 6:]
        return decibels(
            occipital[28 * 250 : 58 * 250].mean(axis=0), occipital[2 * 250 : 26 * 250].mean(axis=0)
        )

    ours, theirs = rise(np.abs(z[:, 0]) ** 2 / 2), rise(offline**2)
    assert (theirs > 3).all()
    np.testing.assert_allclose(ours, theirs, atol=0.5)


def test_band_power_agrees_with_offline_band(data_dir):
    x, rate_hz = eegmmidb(data_dir, 2, ["O1", "Oz", "O2"])
    bands = BandFilter({"alpha": (8, 12)}, rate_hz, 3, 0.1, baseline_spectrum(x, rate_hz))
    offline = mne.filter.filter_data(x.T, rate_hz, 8, 12, verbose=False)
    ours = np.nanmean(np.abs(bands.process(x)) ** 2 / 2, axis=0)[0]
    np.testing.assert_allclose(ours, offline.var(axis=1), rtol=0.1)
    assert bands.measure_correlation(x).min() > 0.97


def test_ssd_component_has_higher_correlation_than_electrodes(data_dir):
    x, rate_hz = eegmmidb(data_dir, 2, "all")
    half = len(x) // 2
    component = ssd(x[:half], rate_hz, 10.0).process(x)

    def accuracy(signal):
        spectrum = baseline_spectrum(signal[:half], rate_hz)
        bands = BandFilter({"alpha": (8, 12)}, rate_hz, signal.shape[1], 0.0, spectrum)
        return bands.measure_correlation(signal[half:])

    assert accuracy(component).max() > np.median(accuracy(x)) + 0.05


def test_gap_in_real_recording_has_no_effect_after_window(data_dir):
    x, rate_hz = eegmmidb(data_dir, 2, ["O1", "O2", "Fz"])
    bands = BandFilter({"alpha": (8, 12)}, rate_hz, 3, 0.1)
    synchrony = Synchrony.of(bands, window_s=4)
    spoiled = x.copy()
    spoiled[3200:3300] = np.nan
    synchrony.process(bands.process(spoiled))
    again = BandFilter({"alpha": (8, 12)}, rate_hz, 3, 0.1)
    clean = Synchrony.of(again, window_s=4)
    clean.process(again.process(x))
    np.testing.assert_allclose(synchrony.debiased_wpli2(), clean.debiased_wpli2(), rtol=1e-9)


@pytest.mark.parametrize("subject", [3, 7])
def test_unrelated_windows_of_people_are_below_their_null_level(data_dir, subject):
    """The two of EEGMAT's eight with the sharpest alpha, a minute of baseline, O1 against later windows of O2.

    With the spectrum of 2 s segments alone up to 10 % are above; no limit was set on these recordings.
    """
    path = data_dir / "eegmat" / f"Subject{subject:02d}_1.edf"
    raw = mne.io.read_raw_edf(path, verbose=False)
    x = raw.get_data(picks=["EEG O1", "EEG O2"]).T[::2] * 1e6
    bands = BandFilter({"alpha": (8, 12)}, 250, 2, 0.1, baseline_spectrum(x[: 60 * 250], 250), every=5)
    z = bands.process(x)[61 * 50 :]
    names = ("coherence", "imaginary_coherence", "ciplv", "wpli", "debiased_wpli2")
    above = []
    windows = np.stack(np.array_split(z[: len(z) // 300 * 300], len(z) // 300))
    synchrony = Synchrony.of(bands, window_s=6.0)
    for shift in range(2, len(windows) - 1):
        for first, second in zip(windows, np.roll(windows, shift, axis=0), strict=True):
            synchrony.process(np.stack([first[..., 0], second[..., 1]], axis=-1))
            sizes = [getattr(synchrony, name)()[0, 0] for name in names]
            sizes[1] = abs(sizes[1])
            levels = [synchrony.null_level(name)[0, 0] for name in names]
            above.append([size > level for size, level in zip(sizes, levels, strict=True)])
    assert len(above) >= 300
    assert np.mean(above, axis=0).max() <= 0.08


def test_power_is_as_low_as_told_and_accuracy_no_worse(data_dir):
    """Theta and alpha of EEGMAT subject 03 at no delay and at 0.1 s, a minute learnt, the next minute judged."""
    raw = mne.io.read_raw_edf(data_dir / "eegmat" / "Subject03_1.edf", verbose=False)
    x = raw.get_data(picks=["EEG Fz", "EEG O1"]).T[: 120 * 500 : 2] * 1e6
    named, rest = {"theta": (4, 8), "alpha": (8, 12)}, slice(62 * 250, 118 * 250)
    offline = [mne.filter.filter_data(x.T, 250.0, *edges, verbose=False).T[rest] for edges in named.values()]
    for delay_s in (0.0, 0.1):
        bands = BandFilter(named, 250, 2, delay_s, baseline_spectrum(x[: 60 * 250], 250))
        z = np.roll(bands.process(x), -round(delay_s * 250), axis=0)[rest]
        for band, theirs in enumerate(offline):
            lower = decibels((np.abs(z[:, band]) ** 2 / 2).mean(axis=0), (theirs**2).mean(axis=0))
            np.testing.assert_allclose(lower, bands.expected_level_db[band], atol=0.4)
            envelope = np.abs(signal.hilbert(theirs, axis=0))
            r = [np.corrcoef(envelope[:, c], np.abs(z[:, band, c]))[0, 1] for c in range(2)]
            assert (r > bands.expected_correlation[band] - 0.02).all()
