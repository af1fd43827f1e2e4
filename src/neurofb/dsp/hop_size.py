"""Division of the stream into hops of about 32 ms and quarters of a second, both by sample index alone.

Everything above the kernels but the band filter sees whole hops. So it need not care how samples arrived, and its
NumPy gives the same bits for every chunking: it always works on arrays of the same shape.
"""

from __future__ import annotations

from dataclasses import dataclass

from neurofb.dsp.checks import positive
from neurofb.errors import WrongInput

#: Fast features come at least this often, slow ones too.
FAST_HZ, SLOW_HZ = 30.0, 4.0
#: Band filters give at least this many outputs a second: more would add cost, not accuracy, to running means.
OUTPUT_HZ = 125.0


@dataclass(frozen=True, slots=True)
class HopSize:
    """The grid of sample indices on which values are computed."""

    rate_hz: float
    #: Samples between two outputs of the band filters.
    every: int
    #: Samples of a hop, a multiple of ``every``: hops end at samples n with (n + 1) % hop == 0.
    hop: int
    #: Hops between two values of slow features, and of a judgement of the channels.
    slow: int

    @classmethod
    def at(cls, rate_hz: float) -> HopSize:
        """Return the grid for a sampling rate, which must be at least 64 Hz."""
        if positive(rate_hz, "rate_hz") < 64:
            raise WrongInput(f"features need a rate of at least 64 Hz, found {rate_hz:g} Hz")
        every = max(1, int(rate_hz // OUTPUT_HZ))
        hop = int(rate_hz // FAST_HZ) // every * every
        return cls(float(rate_hz), every, hop, int(rate_hz / hop // SLOW_HZ))

    @property
    def fast_hz(self) -> float:
        """Hops a second."""
        return self.rate_hz / self.hop

    @property
    def slow_hz(self) -> float:
        """Slow values a second."""
        return self.fast_hz / self.slow

    def count(self, seconds: float) -> int:
        """Return how many hops last at least that long."""
        return -int(-seconds * self.fast_hz // 1)
