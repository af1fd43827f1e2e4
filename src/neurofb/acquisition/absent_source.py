"""No headset: the source of a heat test without EEG, which never has a sample.

In: a clock. Out: empty batches, at the pace at which the engine waits. Kept: nothing.
"""

from __future__ import annotations

from neurofb.acquisition.generated_source import GeneratedSource
from neurofb.acquisition.source import Batch
from neurofb.clock import Clock


class AbsentSource(GeneratedSource):
    """Implements ``acquisition.source.Source`` without samples; its state stays ``waiting``.

    Parameters
    ----------
    labels : tuple of str
        Those of the device that the session was asked for.
    rate_hz : float
    clock : Clock
    """

    def __init__(self, labels: tuple[str, ...], rate_hz: float, clock: Clock) -> None:
        super().__init__("none", labels, rate_hz, keep_raw=True)
        self._clock = clock

    def start(self) -> None:
        """Open nothing."""

    def stop(self) -> None:
        """Close nothing."""

    def pull(self, timeout_s: float = 0.0) -> Batch:
        """Return no samples, after ``timeout_s``."""
        self._clock.wait_until(self._clock.now_s() + timeout_s)
        return self.flush()
