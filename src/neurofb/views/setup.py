"""Before a session: which stream, which device, and whether the contact is good enough for the protocol.

In: the streams that are seen, a ``Source`` that is open. Out: the state of each channel, what to do about it in words,
and every reason why the session cannot begin yet. Kept: one quarter of a second of samples. No Qt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.acquisition.source import AWAY, Source
from neurofb.chunk import Chunk, FloatArray
from neurofb.devices import DeviceProfile, load_profile, profile_names
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.quality import ChannelQuality, ChannelState
from neurofb.lsl.matching import StreamInfo, StreamQuery, best_matches, xpath_text
from neurofb.lsl.senders import Sender
from neurofb.protocol.checks.check import RunContext, check_protocol
from neurofb.protocol.study import name_question, pseudonym_problem
from neurofb.spatial.montage import Montage
from neurofb.status import SILENT_S
from neurofb.views.contact_advice import Tone, advice, tone
from neurofb.views.texts import Wording

#: So long every place that the protocol looks at must have had good contact.
SETTLED_S = 3.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """The outcome: which stream, and which device; None for a stream that says all itself."""

    query: StreamQuery
    device: DeviceProfile | None
    #: The participant's code; empty if none was entered.
    participant: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """A place that the protocol looks at: one good channel of it is enough."""

    name: str
    channels: tuple[str, ...]


def code_problem(code: str, wording: Wording) -> str:
    """Return why a participant's code cannot be one, in words; empty if it can, and without a code."""
    return wording("setup.code_wrong", code=code) if code and pseudonym_problem(code) else ""


def code_question(code: str, wording: Wording) -> str:
    """Return in words that a code may be a name; empty if it is a usual one, wrong, or not there."""
    if not code or pseudonym_problem(code) or not name_question(code):
        return ""
    return wording("setup.code_name", code=code)


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
    """Return the query that finds this stream again, also after its program was restarted."""
    known = {"source_id": facts.source_id, "hostname": facts.hostname}
    conditions = [f"{name}={xpath_text(text)}" for name, text in known.items() if text]
    return StreamQuery(name=facts.name, profile=device, predicate=" and ".join(conditions) or None)


def protocol_needs(
    protocol: str | None, device: DeviceProfile | None, rate_hz: float | None
) -> tuple[list[Need], list[str]]:
    """Return the places a protocol looks at with a device, and every reason why it cannot be used with it."""
    if protocol is None:
        return [], []
    report = check_protocol(protocol, RunContext(device=device, rate_hz=rate_hz))
    if report.protocol is None or report.problems or device is None:
        return [], list(report.problems)
    montage = Montage.of(device)
    needs = {
        str(place): montage.channels(place)
        for feature in report.protocol.features
        for place in feature.selections
    }
    return [Need(name, channels) for name, channels in needs.items()], []


class _Quarters:
    """Samples of a quarter of a second, and the quality of the channels in it."""

    def __init__(self, n_samples: int, n_channels: int, rate_hz: float, quality: ChannelQuality) -> None:
        self.length_s = n_samples / rate_hz
        self._samples_uv = np.full((n_samples, n_channels), np.nan)
        self._n = 0
        self._quality = quality

    def push(self, samples_uv: FloatArray) -> Iterator[Sequence[ChannelState]]:
        """Add samples; return the states of the channels for each quarter that they fill."""
        at = 0
        while at < len(samples_uv):
            n = min(len(self._samples_uv) - self._n, len(samples_uv) - at)
            self._samples_uv[self._n : self._n + n] = samples_uv[at : at + n]
            self._n, at = self._n + n, at + n
            if self._n == len(self._samples_uv):
                self._n = 0
                yield self._quality.process(self._samples_uv)


class ContactCheck:
    """Checks the contact of a stream until it is good.

    The source is not started yet; ``protocol`` is the name or path of the one to be run.
    """

    def __init__(
        self, source: Source, device: DeviceProfile | None, wording: Wording, protocol: str | None = None
    ) -> None:
        self._source, self._device, self._wording, self._protocol = source, device, wording, protocol
        self._quarters: _Quarters | None = None
        self._refusals: list[str] = []
        self.needs: list[Need] = []
        self.states: dict[str, ChannelState] = {}
        self.positions: Mapping[str, str] = {}
        self.good_s = 0.0
        self.n_quarters = 0
        #: Who sends; known once it is open.
        self._sender: Sender | None = None

    def start(self) -> None:
        """Open the stream; errors are those of the source."""
        source = self._source
        source.start()
        self._sender = getattr(source, "sender", None)  # only streams of the network have one
        device = self._device if self._sender is None else self._sender.profile
        montage = Montage.of(device) if device is not None else Montage(source.labels)
        self.positions = dict(zip(montage.labels, montage.positions, strict=True))
        hop_size = HopSize.at(source.rate_hz)
        n, n_channels = hop_size.hop * hop_size.slow, len(source.labels)
        quality = ChannelQuality(n_channels, source.rate_hz, n, montage.limits, montage.converter)
        self._quarters = _Quarters(n, n_channels, source.rate_hz, quality)
        self.needs, self._refusals = protocol_needs(self._protocol, self._device, source.rate_hz)

    def step(self, timeout_s: float = 0.0) -> None:
        """Read the samples that came."""
        self.push(self._source.pull(timeout_s).chunk)

    def push(self, chunk: Chunk) -> None:
        """Add samples; check the contact whenever a quarter of a second is full."""
        if self._quarters is None:
            return
        for states in self._quarters.push(chunk.samples):
            self.states = dict(zip(self._source.labels, states, strict=True))
            self.n_quarters += 1
            self.good_s = 0.0 if self._bad_places() else self.good_s + self._quarters.length_s

    def _bad_places(self) -> list[str]:
        """Return every place without one good channel, in words."""
        needs = self.needs or [Need("", tuple(self.states))]
        lines = []
        for need in needs:
            inside = [label for label in need.channels if label in self.states]
            if inside and all(self.states[label].bad for label in inside):
                lines += [
                    self._wording(
                        "setup.problem_bad",
                        label=label,
                        state=self._wording.translate("quality", self.states[label].state),
                    )
                    for label in inside
                ]
        return list(dict.fromkeys(lines))

    def problems(self) -> list[str]:
        """Return every reason why the session cannot begin; empty when it can."""
        if self._refusals:
            return list(self._refusals)
        if self._source.state == "silent":
            return [self._silent()]
        if self._source.state in (*AWAY, "stale") or not self.n_quarters:
            return [self._wording("setup.problem_silent")]
        bad = self._bad_places()
        if not bad and self.good_s < SETTLED_S:
            return [self._wording("setup.problem_unsettled", s=f"{SETTLED_S:g}", found=f"{self.good_s:.1f}")]
        return bad

    @property
    def may_proceed(self) -> bool:
        """Whether the protocol can use what comes."""
        return not self.problems()

    def advice(self) -> list[str]:
        """Return the advice for all channels, the worst first."""
        states = {label: state.state for label, state in self.states.items()}
        return advice(states, self._wording, self.positions)

    def contacts(self) -> dict[str, tuple[str, Tone]]:
        """Return state and tone of each channel."""
        return {
            label: (state.state, "attention" if state.tolerable else tone(state.state))
            for label, state in self.states.items()
        }

    def status(self) -> str:
        """Return the state of the stream, in a line."""
        if self._source.state == "silent":
            return self._silent()
        if self._source.state in (*AWAY, "stale"):
            return self._wording("setup.changed" if self._source.state == "changed" else "setup.lost")
        if not self.n_quarters:
            return self._wording("setup.waits")
        return self._wording("setup.checking") if self.n_quarters < 4 else ""

    def _silent(self) -> str:
        """Return what to do about a stream that is there and sends nothing."""
        hint = "" if self._sender is None else self._sender.start_hint(self._wording.language)
        return self._wording(
            "setup.silent", s=f"{SILENT_S:g}", hint=hint or self._wording("operator.stream_hint")
        )

    def close(self) -> None:
        """Close the stream."""
        self._source.stop()
