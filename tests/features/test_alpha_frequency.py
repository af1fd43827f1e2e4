"""The individual alpha frequency: right on known peaks, silent where there is none."""

import mne
import numpy as np
import pytest
from scipy import signal

from neurofb.errors import WrongInput, WrongShape
from neurofb.features.alpha_frequency import alpha_frequency

RATE_HZ = 250.0
POSTERIOR = ["P3", "P4", "Pz", "O1", "O2"]


def background(n_s, n_channels, seed):
    """1/f noise, 10 µV rms."""
    rng = np.random.default_rng(seed)
    n = int(n_s * RATE_HZ)
    spectrum = np.fft.rfft(rng.standard_normal((n, n_channels)), axis=0)
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    x = np.fft.irfft(spectrum / np.sqrt(np.maximum(f, 0.5))[:, None], n, axis=0)
    return 10 * x / x.std()


def rhythm(n_s, hz, rms_uv, seed):
    n = int(n_s * RATE_HZ)
    sos = signal.butter(2, [hz - 0.7, hz + 0.7], "bandpass", fs=RATE_HZ, output="sos")
    x = signal.sosfilt(sos, np.random.default_rng(seed).standard_normal(n))
    return rms_uv * x / x.std()


@pytest.mark.parametrize("hz", [8.0, 9.3, 10.0, 11.2, 12.2])
def test_alpha_frequency_finds_known_peak(hz):
    x = background(120, 4, seed=1) + rhythm(120, hz, 8.0, seed=2)[:, None] * [0.6, 1.0, 1.2, 0.9]
    found = alpha_frequency(x, RATE_HZ)
    assert found.found
    assert found.n_channels == 4
    assert abs(found.peak_hz - hz) < 0.3
    assert abs(found.gravity_hz - hz) < 0.5
    assert found.quality > 3


def test_quality_increases_with_peak_and_is_zero_for_noise():
    qualities = []
    for rms_uv in (3.0, 6.0, 12.0):
        x = background(120, 4, seed=3) + rhythm(120, 10.0, rms_uv, seed=4)[:, None]
        qualities.append(alpha_frequency(x, RATE_HZ).quality)
    assert qualities[0] < qualities[1] < qualities[2]


def test_alpha_frequency_is_not_found_in_noise():
    results = [alpha_frequency(background(120, 5, seed), RATE_HZ) for seed in range(10)]
    for result in results:
        if not result.found:
            assert "channels, 3 needed" in result.why
            assert np.isnan([result.peak_hz, result.gravity_hz, result.quality]).all()
    assert sum(result.found for result in results) <= 1


def test_two_equal_peaks_are_not_found():
    slow, fast = rhythm(120, 8.3, 10.0, seed=5), rhythm(120, 11.7, 10.0, seed=6)

    def height(x):
        density = signal.welch(x, RATE_HZ, "hamming", nperseg=1000)[1]
        return signal.savgol_filter(density, 11, 5).max()

    fast *= np.sqrt(height(slow) / height(fast))
    weak = background(120, 3, seed=7) * 0.2
    assert not alpha_frequency(weak + (slow + fast)[:, None], RATE_HZ).found
    assert alpha_frequency(weak + (slow + 0.7 * fast)[:, None], RATE_HZ).peak_hz == pytest.approx(
        8.3, abs=0.4
    )


def test_gaps_are_excluded_from_spectrum():
    x = background(120, 3, seed=9) + rhythm(120, 10.0, 8.0, seed=10)[:, None]
    whole = alpha_frequency(x, RATE_HZ)
    x[5000:5010] = np.nan
    assert alpha_frequency(x, RATE_HZ).peak_hz == pytest.approx(whole.peak_hz, abs=0.1)
    x[::500] = np.nan
    assert "without gaps" in alpha_frequency(x, RATE_HZ).why


def test_too_short_or_misshapen_baseline_is_refused():
    with pytest.raises(WrongInput, match="at least 20 s of baseline, found 10.0 s"):
        alpha_frequency(np.zeros((2500, 2)), RATE_HZ)
    with pytest.raises(WrongShape, match="n_samples, n_channels"):
        alpha_frequency(np.zeros(25000), RATE_HZ)


def centre_of_the_peak(x, rate_hz):
    """An estimate of another kind: the centre of the power within 1 Hz of the highest point of the mean spectrum."""
    freqs, density = signal.welch(x, rate_hz, nperseg=int(4 * rate_hz), axis=0)
    mean = (density / density[(freqs > 2) & (freqs < 30)].mean(axis=0)).mean(axis=1)
    inside = (freqs >= 7) & (freqs <= 13)
    top = freqs[inside][mean[inside].argmax()]
    near = np.abs(freqs - top) <= 1.0
    rest = np.median(mean[(freqs > 4) & (freqs < 30)])
    return np.average(freqs[near], weights=mean[near]), mean[inside].max() / rest


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("subject", range(8))
def test_alpha_frequency_agrees_with_other_estimate_on_real_rest(data_dir, subject):
    raw = mne.io.read_raw_edf(data_dir / "eegmat" / f"Subject{subject:02d}_1.edf", verbose=False)
    x = raw.get_data(picks=[f"EEG {name}" for name in POSTERIOR]).T * 1e6
    found = alpha_frequency(x, raw.info["sfreq"])
    other_hz, height = centre_of_the_peak(x, raw.info["sfreq"])
    assert height > 4, "all eight have a clear peak"
    assert found.found
    assert abs(found.peak_hz - other_hz) <= 0.5
    assert abs(found.gravity_hz - other_hz) <= 0.6
