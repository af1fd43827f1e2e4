"""Before a session: which stream, which device, and whether the contact is good enough for the protocol.

In: the streams that are seen, a ``Source`` that is open. Out: the state of each channel, what to do about it in words,
and every reason why it cannot go on yet. Kept: one quarter of a second of samples. No Qt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.acquisition.source import Source
from neurofb.chunk import Chunk
from neurofb.devices import DeviceProfile, load_profile, profile_names
from neurofb.dsp.hop_size import Hops
from neurofb.dsp.quality import ChannelQuality, ChannelState
from neurofb.lsl.matching import StreamInfo, StreamQuery, best_matches
from neurofb.protocol.checks.check import Circumstances, examine
from neurofb.spatial.montage import Montage
from neurofb.views.contact_advice import Tone, advice, tone
from neurofb.views.texts import Wording

#: So long every place that the protocol looks at must have had good contact.
SETTLED_S = 3.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """The outcome: which stream, and which device; None for a stream that says all itself."""

    query: StreamQuery
    device: DeviceProfile | None


@dataclass(frozen=True, slots=True)
class Need:
    """A place that the protocol looks at: one good channel of it is enough."""

    name: str
    channels: tuple[str, ...]


def eeg_streams(seen: Sequence[StreamInfo]) -> list[StreamInfo]:
    """Return those that may be EEG, those of type EEG first; a session's own are none."""
    usable = [
        each
        for each in seen
        if each.value_format != "string" and each.rate_hz >= 50 and not each.name.startswith("neurofb-")
    ]
    return sorted(usable, key=lambda each: (each.type.strip().lower() != "eeg", each.name, each.uid))


def fitting_device(facts: StreamInfo) -> str | None:
    """Return the name of the profile that fits a stream best; None if none does."""
    fits = best_matches(facts, [load_profile(name) for name in profile_names()])
    return fits[0].profile.name if fits else None


def query_of(facts: StreamInfo, device: DeviceProfile | None) -> StreamQuery:
    """Return what finds this stream again, today and after its program was started anew."""
    conditions = [f"name='{facts.name}'"]
    if facts.source_id:
        conditions.append(f"source_id='{facts.source_id}'")
    if facts.hostname:
        conditions.append(f"hostname='{facts.hostname}'")
    return StreamQuery(name=facts.name, profile=device, predicate=" and ".join(conditions))


def protocol_needs(
    protocol: str | None, device: DeviceProfile | None, rate_hz: float | None
) -> tuple[list[Need], list[str]]:
    """Return the places a protocol looks at with a device, and every reason why it cannot be used with it."""
    if protocol is None:
        return [], []
    report = examine(protocol, Circumstances(device=device, rate_hz=rate_hz))
    if report.protocol is None or report.problems or device is None:
        return [], list(report.problems)
    montage = Montage.of(device)
    needs = {
        str(place): montage.channels(place)
        for feature in report.protocol.features
        for place in feature.places
    }
    return [Need(name, channels) for name, channels in needs.items()], []


class ContactCheck:
    """Looks at a stream until the contact is good.

    Parameters
    ----------
    source : Source
        Not started yet.
    device : DeviceProfile or None
    wording : Wording
    protocol : str, optional
        The name or path of the protocol that is to be run.
    """

    def __init__(
        self, source: Source, device: DeviceProfile | None, wording: Wording, protocol: str | None = None
    ) -> None:
        self._source, self._device, self._say, self._protocol = source, device, wording, protocol
        self._quality: ChannelQuality | None = None
        self._refusals: list[str] = []
        self.needs: list[Need] = []
        self.states: dict[str, ChannelState] = {}
        self.positions: Mapping[str, str] = {}
        self.good_s = 0.0
        self.n_quarters = 0
        self._n_filled = 0

    def start(self) -> None:
        """Open the stream; errors are those of the source."""
        source = self._source
        source.start()
        montage = Montage.of(self._device) if self._device is not None else Montage(source.labels)
        self.positions = dict(zip(montage.labels, montage.positions, strict=True))
        hops = Hops.at(source.rate_hz)
        n = hops.hop * hops.slow
        self._quarter_s = n / source.rate_hz
        self._quarter = np.full((n, len(source.labels)), np.nan)
        self._quality = ChannelQuality(
            len(source.labels), source.rate_hz, n, montage.limits, montage.converter
        )
        self.needs, self._refusals = protocol_needs(self._protocol, self._device, source.rate_hz)

    def step(self, timeout_s: float = 0.0) -> None:
        """Take in what came."""
        chunk = self._source.pull(timeout_s).chunk
        self.push(chunk)

    def push(self, chunk: Chunk) -> None:
        """Take in samples; a quarter that is full is judged."""
        x, at = chunk.samples, 0
        while at < len(x) and self._quality is not None:
            n = min(len(self._quarter) - self._n_filled, len(x) - at)
            self._quarter[self._n_filled : self._n_filled + n] = x[at : at + n]
            self._n_filled, at = self._n_filled + n, at + n
            if self._n_filled == len(self._quarter):
                self._n_filled = 0
                self._judge(self._quality.process(self._quarter))

    def _judge(self, states: Sequence[ChannelState]) -> None:
        self.states = dict(zip(self._source.labels, states, strict=True))
        self.n_quarters += 1
        self.good_s = 0.0 if self._bad_places() else self.good_s + self._quarter_s

    def _bad_places(self) -> list[str]:
        """Return every place without one good channel, in words."""
        needs = self.needs or [Need("", tuple(self.states))]
        lines = []
        for need in needs:
            inside = [label for label in need.channels if label in self.states]
            if inside and all(self.states[label].bad for label in inside):
                lines += [
                    self._say(
                        "setup.problem_bad",
                        label=label,
                        state=self._say.known("quality", self.states[label].state),
                    )
                    for label in inside
                ]
        return list(dict.fromkeys(lines))

    def problems(self) -> list[str]:
        """Return every reason why it cannot go on; empty when it can."""
        if self._refusals:
            return list(self._refusals)
        if self._source.state in ("lost", "stale") or not self.n_quarters:
            return [self._say("setup.problem_silent")]
        bad = self._bad_places()
        if not bad and self.good_s < SETTLED_S:
            return [self._say("setup.problem_unsettled", s=f"{SETTLED_S:g}", found=f"{self.good_s:.1f}")]
        return bad

    @property
    def may_proceed(self) -> bool:
        """Whether the protocol can use what comes."""
        return not self.problems()

    def advice(self) -> list[str]:
        """Return what to do, the worst first."""
        states = {label: state.state for label, state in self.states.items()}
        return advice(states, self._say, self.positions)

    def contacts(self) -> dict[str, tuple[str, Tone]]:
        """Return state and tone of each channel."""
        return {
            label: (state.state, "attention" if state.tolerable else tone(state.state))
            for label, state in self.states.items()
        }

    def status(self) -> str:
        """Return how the stream is, in a line."""
        if self._source.state in ("lost", "stale"):
            return self._say("setup.lost")
        if not self.n_quarters:
            return self._say("setup.waits")
        return self._say("setup.checking") if self.n_quarters < 4 else ""

    def close(self) -> None:
        """Close the stream."""
        self._source.stop()
