"""Channels to regions: weights, references, bad channels, Laplacian, SSD."""

import numpy as np
import pytest
from dsp_parts import CHUNKINGS, in_chunks, noise, same_bits
from hypothesis import given, settings
from reference import laplacian as slow_laplacian

from neurofb.dsp.bands import BandFilter
from neurofb.dsp.offline_reference import offline_band
from neurofb.errors import UnknownName, WrongInput, WrongShape
from neurofb.spatial.filters import SpatialFilter, laplacian, regions, rereference, ssd

LABELS = ("Fz", "C3", "C4", "Pz", "O1", "O2")
GROUPS = {"frontal": ["Fz"], "posterior": ["Pz", "O1", "O2"]}


def test_region_is_mean_of_its_channels():
    x = noise(50, 6)
    out = regions(LABELS, GROUPS).process(x)
    np.testing.assert_allclose(out, np.stack([x[:, 0], x[:, 3:].mean(axis=1)], axis=1), rtol=1e-12)
    weighted = regions(LABELS, {"posterior": {"O1": 1, "O2": 3}})
    np.testing.assert_allclose(weighted.process(x)[:, 0], x[:, 4] / 4 + x[:, 5] * 3 / 4, rtol=1e-12)


def test_bad_missing_channel_is_left_out():
    x = noise(50, 6)
    x[:, 4] = np.nan
    out = regions(LABELS, GROUPS, bad=["O1"], reference="average").process(x)
    good = np.delete(x, 4, axis=1)
    mean = good.mean(axis=1)
    np.testing.assert_allclose(
        out, np.stack([x[:, 0] - mean, x[:, [3, 5]].mean(axis=1) - mean], axis=1), atol=1e-12
    )
    assert np.isnan(regions(LABELS, GROUPS).process(x)[:, 1]).all()


def test_rereference_subtracts_mean_of_reference():
    x = noise(50, 6)
    np.testing.assert_allclose(
        rereference(LABELS, "average").process(x), x - x.mean(axis=1, keepdims=True), atol=1e-12
    )
    linked = rereference(LABELS, ["C3", "C4"]).process(x)
    np.testing.assert_allclose(linked, x - x[:, 1:3].mean(axis=1, keepdims=True), atol=1e-12)
    # A channel named twice is no heavier.
    np.testing.assert_allclose(rereference(LABELS, ["C3", "C4", "C3"]).process(x), linked, atol=1e-12)
    # After the average reference, the recording's own reference makes no difference.
    other = x - x[:, [0]]
    average = regions(LABELS, GROUPS, reference="average")
    np.testing.assert_allclose(average.process(other), average.process(x), atol=1e-12)


def test_laplacian_matches_oracle_and_is_reference_free():
    rng = np.random.default_rng(3)
    positions = rng.standard_normal((6, 3))
    x = noise(50, 6)
    stage = laplacian(LABELS, positions)
    np.testing.assert_allclose(stage.process(x), slow_laplacian(x, positions, 4), atol=1e-12)
    np.testing.assert_allclose(
        stage.process(x + 1000 * rng.standard_normal((50, 1))), stage.process(x), atol=1e-9
    )
    assert not laplacian(LABELS, positions, bad=["C3"]).weights[1, [0, 2, 3, 4, 5]].any()


@settings(max_examples=15, deadline=None)
@given(sizes=CHUNKINGS)
def test_output_does_not_depend_on_chunking(sizes):
    x = noise(800, 6)
    x[300, 4] = np.nan
    stage = regions(LABELS, GROUPS, reference="average")
    assert same_bits(in_chunks(stage.process, x, sizes), stage.process(x))
    assert same_bits(stage.process(np.asfortranarray(x)), stage.process(x))


def hidden_alpha(seed=0, n=250 * 60, n_channels=8):
    """Alpha bursts from one place, under 1/f noise from everywhere."""
    rng = np.random.default_rng(seed)
    freqs = np.fft.rfftfreq(n, 1 / 250)

    def shaped(gain, size):
        return np.fft.irfft(np.fft.rfft(rng.standard_normal((n, size)), axis=0) * gain[:, None], n, axis=0)

    alpha = shaped(np.exp(-0.5 * ((freqs - 10) / 0.7) ** 2), 1) * 40
    background = shaped(1 / np.sqrt(np.maximum(freqs, 1)), 20) * 30
    pattern = rng.standard_normal((1, n_channels))
    return alpha @ pattern + background @ rng.standard_normal((20, n_channels)), alpha[:, 0], pattern[0]


def in_alpha(a, b):
    """Correlation of two signals between 8 and 12 Hz."""
    banded = offline_band(np.stack([a, b], axis=1), 8, 12, 250).real
    return abs(np.corrcoef(banded.T)[0, 1])


def test_ssd_extracts_rhythm():
    x, alpha, _ = hidden_alpha()
    component = ssd(x[:7500], 250, 10.0).process(x[7500:])[:, 0]
    best_channel = max(in_alpha(alpha[7500:], x[7500:, c]) for c in range(8))
    assert in_alpha(alpha[7500:], component) > best_channel + 0.1


def test_ssd_raises_measured_correlation():
    x, _, _ = hidden_alpha(1)
    component = ssd(x[:7500], 250, 10.0)

    def accuracy(signal):
        from neurofb.dsp.spectrum import baseline_spectrum

        bands = BandFilter(
            {"alpha": (8, 12)}, 250, signal.shape[1], 0.0, baseline_spectrum(signal[:7500], 250)
        )
        return bands.measure_correlation(signal[7500:]).max()

    assert accuracy(component.process(x)) > accuracy(x) + 0.02


def test_ssd_with_average_reference_and_gaps():
    x, alpha, _ = hidden_alpha(2)
    x = x - x.mean(axis=1, keepdims=True)
    x[1000:1010] = np.nan
    stage = ssd(x, 250, 10.0, n_components=3)
    assert stage.names == ("SSD 1", "SSD 2", "SSD 3")
    found = [in_alpha(alpha[2000:], stage.process(x)[2000:, k]) for k in range(3)]
    best_channel = max(in_alpha(alpha[2000:], x[2000:, c]) for c in range(8))
    assert found[0] > best_channel + 0.1
    assert found[0] > max(found[1:])


def test_composed_filter_equals_both_in_sequence():
    x = noise(40, 6)
    first, second = rereference(LABELS, "average"), regions(LABELS, GROUPS)
    np.testing.assert_allclose(second.after(first).process(x), second.process(first.process(x)), atol=1e-12)


@pytest.mark.parametrize(
    "make, error, message",
    [
        (
            lambda: regions(LABELS, {"x": ["Oz"]}),
            UnknownName,
            "region 'x' names channel 'Oz', which is not there",
        ),
        (lambda: regions(LABELS, GROUPS, bad=["Cz"]), UnknownName, "bad channels names channel 'Cz'"),
        (
            lambda: regions(LABELS, GROUPS, bad=["Fz"]),
            WrongInput,
            "region 'frontal' has no usable weight left: Fz dropped",
        ),
        (lambda: regions(LABELS, GROUPS, bad="O1"), WrongInput, r"bad channels are a list .* give \['O1'\]"),
        (lambda: rereference(LABELS, "average", bad=["Cz"]), UnknownName, "bad channels names channel 'Cz'"),
        (
            lambda: laplacian(LABELS, np.eye(6)[:, :3], bad=["Cz"]),
            UnknownName,
            "bad channels names channel 'Cz'",
        ),
        (lambda: rereference(["a", "b", "a"], "average"), WrongInput, "two channels are named 'a'"),
        (lambda: rereference(LABELS, "linked"), WrongInput, 'a reference is "average" or a list of channels'),
        (
            lambda: rereference(LABELS, ["C3"], bad=["C3"]),
            WrongInput,
            "the reference has no good channel left",
        ),
        (lambda: laplacian(LABELS, np.zeros((5, 3))), WrongShape, r"positions need shape \(6, 3\)"),
        (
            lambda: laplacian(LABELS, np.zeros((6, 3)), n_neighbours=6),
            WrongInput,
            "needs at least 7 good channels",
        ),
        (lambda: ssd(noise(500, 3), 250, 10), WrongShape, "at least 10 s long; found 2.0 s"),
        (
            lambda: ssd(np.column_stack([noise(5000, 2), np.full(5000, np.nan)]), 250, 10),
            WrongShape,
            r"0\.0 s of them with every channel\. Leave out channels \[2\], which never came",
        ),
        (lambda: ssd(np.zeros((5000, 2)), 250, 10), WrongInput, "every channel of the baseline is flat"),
        (lambda: ssd(noise(5000, 3), 250, 10, half_width_hz=-1), WrongInput, "half_width_hz needs"),
        (lambda: ssd(noise(5000, 3), 250, 4), WrongInput, "needs flanks from -1 to 9 Hz"),
        (
            lambda: ssd(noise(5000, 3), 250, 10, n_components=4),
            WrongInput,
            "n_components lies between 1 and 3",
        ),
        (
            lambda: SpatialFilter(np.ones(3)),
            WrongShape,
            r"weights need shape \(n_channels, n_outputs\), found \(3,\)",
        ),
        (lambda: SpatialFilter([[np.nan]]), WrongInput, "weights must be finite"),
        (lambda: SpatialFilter(np.ones((2, 2)), ["a"]), WrongShape, "2 outputs need as many names, found 1"),
        (
            lambda: SpatialFilter(np.ones((2, 2))).after(SpatialFilter(np.ones((2, 3)))),
            WrongShape,
            "has 3 outputs",
        ),
    ],
)
def test_wrong_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
