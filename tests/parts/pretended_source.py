"""A source whose samples the test determines, and the description of a stream."""

from __future__ import annotations

import numpy as np

from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk
from neurofb.lsl.matching import StreamInfo

MUSE = ("TP9", "AF7", "AF8", "TP10")


def facts(
    name: str = "Muse", labels: tuple[str, ...] = MUSE, rate_hz: float = 256.0, **more: str
) -> StreamInfo:
    given = {
        "type": "EEG",
        "source_id": f"id of {name}",
        "uid": name,
        "hostname": "lab",
        "value_format": "float32",
    }
    units = ("microvolts",) * len(labels)
    return StreamInfo(
        name=name, n_channels=len(labels), rate_hz=rate_hz, labels=labels, units=units, **given | more
    )


class PretendedSource:
    """Returns a quarter of a second of noise at each pull; channels in ``flat`` are flat."""

    def __init__(self, labels: tuple[str, ...] = MUSE, rate_hz: float = 256.0) -> None:
        self.labels, self.rate_hz, self.state = labels, rate_hz, "waiting"
        self.flat: set[str] = set()
        self.sends, self.closed, self.error = True, False, None
        self._rng, self._n = np.random.default_rng(0), 0

    def start(self) -> None:
        if self.error:
            raise self.error
        self.state = "flowing"

    def pull(self, timeout_s: float = 0.0) -> Batch:
        n = 64 if self.sends else 0
        x = self._rng.normal(0.0, 10.0, (n, len(self.labels)))
        for label in self.flat:
            x[:, self.labels.index(label)] = 0.0
        first, self._n = self._n, self._n + n
        times_s = np.arange(first, first + n) / self.rate_hz
        return Batch(Chunk(x, first, times_s, times_s))

    def stop(self) -> None:
        self.closed = True
