"""How well a blinding held: the indices of Bang and of James, with their intervals.

In: how many people of each arm guessed which arm, or did not know. Out: indices. Kept: nothing.

Bang, Ni and Davis 2004 (Control. Clin. Trials 25:143) and James et al. 1996 (Stat. Med. 15:1421), for two arms as
published. For k arms, Bang's is taken against one's own arm, a wrong guess counting 1/(k-1), so that guessing at random
gives 0 (assumed). The standard error is that of a multinomial sample, to first order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neurofb.errors import WrongInput

Array = npt.NDArray[np.float64]
#: Of the standard normal distribution, for 95 %.
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Index:
    """An index with its 95 % interval; ``value`` is NaN where it is not defined."""

    value: float
    se: float
    low: float
    high: float
    #: Answers it is made of.
    n: int


@dataclass(frozen=True, slots=True)
class BlindingIndices:
    """The indices of one table of guesses."""

    #: 0 everybody knew, 0.5 guessed at random, 1 nobody knew or all were wrong.
    james: Index
    #: For each arm: -1 all guessed another, 0 at random, 1 all guessed their own.
    bang: tuple[Index, ...]


def blinding_indices(counts: npt.ArrayLike) -> BlindingIndices:
    """Return the indices of Bang and James.

    Parameters
    ----------
    counts : array of shape (n_arms + 1, n_arms)
        People by guess (rows, in the order of the arms; the last row: did not know) and arm (columns).

    Raises
    ------
    WrongInput
        If the shape is another one, or a count is negative or no whole number.
    """
    table = np.asarray(counts, dtype=float)
    if table.ndim != 2 or table.shape[1] < 2 or table.shape[0] != table.shape[1] + 1:
        raise WrongInput(
            f"found a table of shape {table.shape}; expected: a row for each guess and one for “do not know”, a column "
            "for each of two or more arms"
        )
    if not np.all(np.isfinite(table)) or np.any(table < 0) or np.any(table != np.round(table)):
        raise WrongInput("counts of people are whole numbers from 0")
    n_arms = table.shape[1]
    return BlindingIndices(
        _index(_james, table, 0.0, 1.0),
        tuple(_index(_bang(arm, n_arms), table[:, arm], -1.0, 1.0) for arm in range(n_arms)),
    )


def _bang(arm: int, n_arms: int) -> Callable[[Array], float]:
    weights = np.full(n_arms + 1, -1.0 / (n_arms - 1))
    weights[arm], weights[-1] = 1.0, 0.0
    return lambda column: float(weights @ column) / float(column.sum())


def _james(table: Array) -> float:
    p = table / table.sum()
    unknown = float(p[-1].sum())
    if unknown >= 1.0:
        return 1.0
    known, guesses = 1.0 - unknown, p[:-1]
    weights = 0.5 * (1.0 - np.eye(table.shape[1]))
    observed = float(np.sum(weights * guesses)) / known
    expected = float(np.sum(weights * np.outer(guesses.sum(axis=1), guesses.sum(axis=0)))) / known**2
    if expected == 0.0:
        return math.nan
    return (1.0 + unknown + known * (observed - expected) / expected) / 2.0


def _index(of: Callable[[Array], float], counts: Array, low: float, high: float) -> Index:
    """Return an index with its interval: the variance is the sum of count times squared slope."""
    n = int(counts.sum())
    value = of(counts) if n else math.nan
    if math.isnan(value):
        return Index(math.nan, math.nan, math.nan, math.nan, n)
    variance = 0.0
    for place in np.ndindex(counts.shape):
        if counts[place] > 0:
            step = 1e-4 * float(counts[place])
            more, less = np.array(counts), np.array(counts)
            more[place] += step
            less[place] -= step
            variance += float(counts[place]) * ((of(more) - of(less)) / (2.0 * step)) ** 2
    se = math.sqrt(variance)
    if math.isnan(se):
        return Index(value, math.nan, math.nan, math.nan, n)
    return Index(value, se, max(low, value - _Z * se), min(high, value + _Z * se), n)
