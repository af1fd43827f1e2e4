"""Bang's and James' indices: the published reference case, limits, and intervals by another way."""

import math

import numpy as np
import pytest

from neurofb.blinding.indices import blinding_indices
from neurofb.errors import WrongInput

#: Rows guessed arm 1, arm 2, unknown; columns arm 1, arm 2: the case of the R package BI.
REFERENCE = [[48, 22], [4, 30], [330, 319]]


def test_reference_case_of_the_package_bi():
    found = blinding_indices(REFERENCE)
    rounded = [[round(x, 3) for x in (i.value, i.se, i.low, i.high)] for i in (found.james, *found.bang)]
    assert rounded == [
        [0.896, 0.011, 0.875, 0.918],
        [0.115, 0.018, 0.08, 0.15],
        [0.022, 0.019, -0.016, 0.060],
    ]
    assert [index.n for index in (found.james, *found.bang)] == [753, 382, 371]


def test_standard_error_is_that_of_bang_and_of_resampling():
    found, table = blinding_indices(REFERENCE), np.array(REFERENCE)
    for arm in (0, 1):
        c, i, n = table[arm, arm], table[1 - arm, arm], table[:, arm].sum()
        p, q = c / n, i / n
        assert found.bang[arm].se == pytest.approx(
            math.sqrt((p * (1 - p) + q * (1 - q) + 2 * p * q) / n), rel=1e-6
        )
    drawn = np.random.default_rng(1).multinomial(table.sum(), table.ravel() / table.sum(), 400)
    values = [blinding_indices(each.reshape(3, 2)).james.value for each in drawn]
    assert np.std(values) == pytest.approx(found.james.se, rel=0.12)


@pytest.mark.parametrize(
    "counts, james, bang",
    [
        ([[20, 0], [0, 20], [0, 0]], 0.0, [1, 1]),
        ([[10, 10], [10, 10], [0, 0]], 0.5, [0, 0]),
        ([[0, 20], [20, 0], [0, 0]], 1.0, [-1, -1]),
        ([[0, 0], [0, 0], [20, 20]], 1.0, [0, 0]),
        ([[10, 10, 10], [10, 10, 10], [10, 10, 10], [0, 0, 0]], 0.5, [0, 0, 0]),
        ([[9, 0, 0], [0, 9, 0], [0, 0, 9], [0, 0, 0]], 0.0, [1, 1, 1]),
    ],
)
def test_limits(counts, james, bang):
    found = blinding_indices(counts)
    assert found.james.value == pytest.approx(james)
    assert [index.value for index in found.bang] == pytest.approx(bang)


def test_small_study_has_a_wide_interval_and_an_empty_one_none():
    index = blinding_indices([[10, 10], [10, 10], [0, 0]]).bang[0]
    assert (index.high - index.low) / 2 == pytest.approx(0.44, abs=0.01)
    assert math.isnan(blinding_indices(np.zeros((3, 2))).james.value)


@pytest.mark.parametrize(
    "counts", [[1, 2], [[1, 2], [3, 4]], [[1, 2], [3, -4], [0, 0]], [[1, 2], [3, 0.5], [0, 0]]]
)
def test_what_is_no_table_of_guesses_is_refused(counts):
    with pytest.raises(WrongInput):
        blinding_indices(counts)
