"""The layout of channel pairs in the lanes of the synchrony kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairing:
    """Pairs in groups: one seed column, LANES neighbouring partner columns."""

    #: Channels of each pair, in the order of the output; shape (n_pairs, 2).
    pairs: Indices
    #: Channel in each column; -1 for padding. The first n_channels columns are the channels; shape (n_columns,).
    column_channel: Indices
    #: Column of the first channel; first of the columns of the second channels; shape (n_groups,).
    group_seed: Indices
    group_column: Indices
    #: Place of each lane's pair in the output; -1 for padding; shape (n_groups, LANES).
    pair_of: Indices

    @property
    def n_pairs(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    @property
    def n_columns(self) -> int:
        """Number of columns, padding included."""
        return len(self.column_channel)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.group_seed)

    def in_lanes(self, values: FloatArray) -> FloatArray:
        """Lay out values, shape (n_bands, n_pairs or 1), as the sums lie: (n_bands, n_groups, LANES); padding ∞."""
        everywhere = np.broadcast_to(values, (len(values), self.n_pairs))
        return np.ascontiguousarray(np.where(self.pair_of >= 0, everywhere[:, self.pair_of], np.inf))

    @classmethod
    def of(cls, pairs: Literal["all"] | Sequence[tuple[int, int]], n_channels: int) -> Pairing:
        """Lay out all pairs, or chosen ones."""
        if isinstance(pairs, str):
            if pairs != "all":
                raise WrongInput(f'pairs is "all" or a sequence of (channel, channel), found {pairs!r}')
            return cls._all(n_channels)
        return cls._chosen(_checked(pairs, n_channels), n_channels)

    @classmethod
    def _all(cls, n_channels: int) -> Pairing:
        """Lay out all pairs: partners of channel i are its right-hand neighbours, so no column is copied."""
        if n_channels < 2:
            raise WrongInput(f"synchrony needs at least two channels, found {n_channels}")
        first, second = np.triu_indices(n_channels, 1)
        lanes = _kernels.LANES
        seeds, columns, places = [], [], []
        for seed in range(n_channels - 1):
            start = int(np.searchsorted(first, seed))
            for step in range(0, n_channels - 1 - seed, lanes):
                seeds.append(seed)
                columns.append(seed + 1 + step)
                places.append(_lanes(start + step, min(lanes, n_channels - 1 - seed - step)))
        channels = np.concatenate([np.arange(n_channels), np.full(lanes, -1)])
        return cls._built(np.stack([first, second], axis=1), channels, seeds, columns, places)

    @classmethod
    def _chosen(cls, pairs: Indices, n_channels: int) -> Pairing:
        """Lay out chosen pairs: partners of one seed are copied into neighbouring columns."""
        lanes = _kernels.LANES
        channels = list(range(n_channels))
        seeds, columns, places = [], [], []
        for seed in np.unique(pairs[:, 0]):
            mine = np.flatnonzero(pairs[:, 0] == seed)
            for step in range(0, len(mine), lanes):
                some = mine[step : step + lanes]
                seeds.append(int(seed))
                columns.append(len(channels))
                places.append(np.concatenate([some, np.full(lanes - len(some), -1)]))
                channels += [*pairs[some, 1].tolist(), *[-1] * (lanes - len(some))]
        return cls._built(pairs, np.array(channels), seeds, columns, places)

    @classmethod
    def _built(
        cls, pairs: Indices, channels: Indices, seeds: list[int], columns: list[int], places: list[Indices]
    ) -> Pairing:
        integers = (np.array(part, dtype=np.int64) for part in (pairs, channels, seeds, columns, places))
        return cls(*integers)


def _lanes(start: int, n: int) -> Indices:
    places = np.full(_kernels.LANES, -1)
    places[:n] = np.arange(start, start + n)
    return places


def _checked(pairs: Sequence[tuple[int, int]], n_channels: int) -> Indices:
    array = np.asarray(pairs)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu" or not len(array):
        raise WrongInput(f"pairs needs at least one (channel, channel) of whole numbers, found {pairs!r}")
    for first, second in array.tolist():
        if not (0 <= first < n_channels and 0 <= second < n_channels) or first == second:
            raise WrongInput(
                f"pair ({first}, {second}) needs two different channels between 0 and {n_channels - 1}"
            )
    if len(np.unique(np.sort(array, axis=1), axis=0)) < len(array):
        raise WrongInput("a pair of channels is given twice; each is measured once")
    return array.astype(np.int64)
