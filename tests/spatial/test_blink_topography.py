"""The blink projector as arithmetic: it takes out what has the pattern of a blink, and as little else as it can."""

import numpy as np
import pytest

from neurofb.errors import WrongShape
from neurofb.spatial.blinks import (
    BlinkTopography,
    blink_topography,
    eye_activity,
    eye_weights,
    n_projected,
)

RATE_HZ = 250.0
LABELS = ("Fp1", "Fp2", "F3", "F4", "Fz", "C3", "C4", "Cz", "Pz")
BLINK = np.array([1.0, 0.95, 0.45, 0.45, 0.4, 0.2, 0.2, 0.15, 0.1])
GLANCE = np.array([0.5, -0.5, 0.3, -0.3, 0.0, 0.1, -0.1, 0.0, 0.0])


def recording(seconds=40, seed=0):
    """Give EEG that neighbours share, with a blink each 2 s and a glance each 5 s, and when those are."""
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    x = 3 * rng.standard_normal((n, 9)) + 4 * rng.standard_normal((n, 1))
    blinks, glances = np.zeros(n), np.zeros(n)
    for at in range(250, n - 100, 500):
        blinks[at : at + 75] = 150 * np.hanning(75)
    for at in range(600, n - 100, 1250):
        glances[at : at + 75] = 80 * np.hanning(75)
    return x + np.outer(blinks, BLINK) + np.outer(glances, GLANCE), blinks + glances


def measured(x, good=None):
    activity = eye_activity(x, np.ones(len(x), bool), eye_weights(LABELS, (0, 1)), RATE_HZ)
    good = np.ones(9, bool) if good is None else good
    return activity, blink_topography(x, x, activity, activity.runs, good)


@pytest.mark.parametrize(
    ("n_channels", "n_eyes", "k"),
    [(4, 2, 0), (7, 2, 0), (8, 2, 1), (15, 1, 1), (16, 2, 2), (64, 8, 2), (64, 0, 0)],
)
def test_number_of_patterns_follows_channels(n_channels, n_eyes, k):
    assert n_projected(n_channels, n_eyes) == k


def test_eye_activity_is_where_blinks_and_glances_are():
    x, truth = recording()
    activity, _ = measured(x)
    found = np.zeros(len(x), bool)
    for start, stop in activity.runs:
        found[start:stop] = True
    assert found[truth > 30].all()
    assert not truth[activity.beside].any()
    assert activity.beside.mean() > 0.2


def test_projector_removes_blinks_and_glances_and_spares_eeg():
    x, _ = recording()
    topography = measured(x)[1]
    matrix = topography.projector(2, LABELS)
    left = np.abs(matrix.process(np.vstack([BLINK, GLANCE]))[:, 2:])
    assert left.max() < 0.03
    quiet = recording(seed=1)[0][850:1200]
    fz = matrix.process(quiet)[:, LABELS.index("Fz")]
    assert np.corrcoef(fz, quiet[:, LABELS.index("Fz")])[0, 1] > 0.95


def test_projector_without_patterns_leaves_everything():
    x, _ = recording()
    np.testing.assert_array_equal(measured(x)[1].projector(0, LABELS).weights, np.eye(9))


def test_channel_that_left_is_in_no_other_and_blinks_are_still_removed():
    x, _ = recording()
    matrix = measured(x)[1].projector(2, LABELS, bad=["Fp2"])
    gone = LABELS.index("Fp2")
    np.testing.assert_array_equal(matrix.weights[gone], np.eye(9)[gone])
    spoilt = np.where(np.arange(9) == gone, np.nan, BLINK)[None]
    left = matrix.process(spoilt)[0]
    assert np.abs(np.delete(left, gone)[1:]).max() < 0.03


def test_channel_that_was_not_measured_is_left_as_it_is():
    x, _ = recording()
    good = np.arange(9) != 5
    matrix = measured(x, good)[1].projector(2, LABELS).weights
    np.testing.assert_array_equal(matrix[5], np.eye(9)[5])
    np.testing.assert_array_equal(matrix[:, 5], np.eye(9)[5])


def test_projector_is_rounded_so_that_last_bits_are_nobodys():
    x, _ = recording()
    topography = measured(x)[1]
    nudged = BlinkTopography(topography.patterns * (1 + 1e-15), topography.covariance * (1 - 1e-15), 3)
    np.testing.assert_array_equal(
        topography.projector(2, LABELS).weights, nudged.projector(2, LABELS).weights
    )


def test_misshapen_topography_is_refused():
    with pytest.raises(WrongShape, match=r"found \(2, 9\) and \(8, 8\)"):
        BlinkTopography(np.ones((2, 9)), np.eye(8), 3)


def test_second_pattern_is_kept_only_where_glances_are():
    x, _ = recording()
    assert len(measured(x)[1].patterns) == 2
    rng = np.random.default_rng(3)
    n = len(x)
    blinks = np.zeros(n)
    for at in range(250, n - 100, 500):
        blinks[at : at + 75] = 150 * np.hanning(75)
    only = 3 * rng.standard_normal((n, 9)) + 4 * rng.standard_normal((n, 1)) + np.outer(blinks, BLINK)
    assert len(measured(only)[1].patterns) == 1
