"""The unit of data that stages exchange: samples with their index and time.

Inside neurofb a sample is in µV (float64), time in seconds, arrays are ``(n_samples, n_channels)``.
Values are converted once on arrival and once in ``offline/to_mne.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neurofb.errors import WrongShape

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A run of successive samples.

    Attributes
    ----------
    samples : ndarray, shape (n_samples, n_channels)
        µV; NaN where a sample is known to be missing.
    first_index : int
        Place of the first sample in the stream, missing samples counted; the next chunk goes on from here.
    received_s : ndarray, shape (n_samples,)
        LSL time stamps as they came, NaN for samples that never came.
    times_s : ndarray, shape (n_samples,)
        The same samples on the smoothed, corrected clock of this computer, in seconds.
    """

    samples: FloatArray
    first_index: int
    received_s: FloatArray
    times_s: FloatArray

    def __post_init__(self) -> None:
        if self.samples.ndim != 2:
            raise WrongShape(
                f"a chunk needs samples of shape (n_samples, n_channels), found {self.samples.shape}"
            )
        n = len(self.samples)
        if self.received_s.shape != (n,) or self.times_s.shape != (n,):
            raise WrongShape(
                f"a chunk of {n} samples needs {n} time stamps, found {self.received_s.shape} received "
                f"and {self.times_s.shape} corrected"
            )

    @classmethod
    def empty(cls, first_index: int, n_channels: int) -> Chunk:
        """Return a chunk without samples: nothing has come, the next sample will be ``first_index``."""
        return cls(np.empty((0, n_channels)), first_index, np.empty(0), np.empty(0))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[1])
