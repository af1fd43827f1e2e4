"""A simulated headset on a head: converter steps and rails, packets, a radio, and a clock of its own.

In: a ``Head`` and the time up to which things have happened. Out: arrivals, in the order in which a
computer would get them, and an exact count of samples sent and lost. Kept: packets on their way, and the
radio's random stream. Nothing depends on how often ``advance_to`` is called.

Three times belong to a sample: when it was really taken (``true_s``), what the device's clock said (which
has an offset and a drift), and when its packet arrived. All are in seconds on the computer's clock, whose
reading at the headset's start is ``start_s``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.simulation.arrivals import Arrival, Fate, Sent, SentEntry, SentLog
from neurofb.simulation.faults import ClockJump, Disconnect, Fault, LostPackets, Saturation, Stall
from neurofb.simulation.head import Head
from neurofb.simulation.pulses import random_stream

if TYPE_CHECKING:
    from neurofb.devices import DeviceProfile

_F = TypeVar("_F")


@dataclass(frozen=True, slots=True)
class HeadsetSettings:
    """Settings of a headset, its radio and its clock."""

    seed: int = 0
    #: How many samples travel together.
    packet_samples: int = 1
    #: What a lost packet leaves: nothing, or samples of 0.
    lost_as: Literal["gap", "zeros"] = "gap"
    #: Whether each channel has packets of its own, as in a Muse; only where a loss leaves zeros.
    channelwise: bool = False
    #: Part of the packets that get lost at random.
    loss: float = 0.0
    #: A packet takes ``delay_s`` and an exponentially distributed time of this standard deviation more; it never
    #: overtakes another.
    delay_s: float = 0.02
    jitter_s: float = 0.0
    #: The radio delivers only at multiples of this time, all that waits at once; 0 for at any time.
    interval_s: float = 0.0
    #: The device's clock shows this much more than the computer's at the start, and its second is shorter by this part:
    #: it takes more samples a second than it says, if positive.
    offset_s: float = 0.0
    drift_ppm: float = 0.0
    #: Whether samples are stamped by the device's clock, or counted back from the arrival of their packet.
    stamps: Literal["device", "arrival"] = "device"
    #: The converter's step.
    resolution_uv: float | None = None
    #: The lowest and highest value it can give.
    rails_uv: tuple[float, float] | None = None
    #: The level of a silent channel, and the standard deviation of the electrodes' own offsets.
    dc_level_uv: float = 0.0
    dc_spread_uv: float = 0.0
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.packet_samples < 1:
            raise WrongInput(f"a packet holds 1 sample or more, found packet_samples = {self.packet_samples}")
        if not 0 <= self.loss < 1:
            raise WrongInput(f"the lost part of the packets lies between 0 and 1, found loss = {self.loss}")
        if min(self.delay_s, self.jitter_s, self.interval_s, self.dc_spread_uv) < 0:
            raise WrongInput(f"delay_s, jitter_s, interval_s and dc_spread_uv are 0 or more, found {self}")
        if not abs(self.drift_ppm) <= 1e5:
            raise WrongInput(f"a clock drifts by at most 100000 ppm, found drift_ppm = {self.drift_ppm}")
        if self.channelwise and self.lost_as != "zeros":
            raise WrongInput("a packet of a single channel can only leave zeros: set lost_as = 'zeros'")


def settings_of(profile: DeviceProfile, **others: Any) -> HeadsetSettings:
    """Return the settings of a device: packets, converter and levels from its profile, ``others`` as given.

    Where the profile does not know the packets, they last 20 ms (assumed).
    """
    known: dict[str, Any] = {
        "packet_samples": max(1, round(0.02 * profile.rate_hz)),
        "resolution_uv": profile.resolution_uv,
        "rails_uv": profile.rails_uv,
        "dc_level_uv": profile.dc_level_uv,
    }
    if profile.packets is not None:
        known |= {"packet_samples": profile.packets.samples, "lost_as": profile.packets.lost}
    return HeadsetSettings(**(known | others))


class Headset:
    """A headset on a head, with faults.

    Parameters
    ----------
    head : Head
    settings : HeadsetSettings
    labels : sequence of str, optional
        Names of the channels, for faults that name one.
    start_s : float
        The computer's time when the first sample is taken.

    Attributes
    ----------
    sent_log : SentLog
    keep_signals : bool
        Whether to keep what the head gave for ``pop_signals``; False by default, as it needs memory.
    """

    def __init__(
        self,
        head: Head,
        settings: HeadsetSettings,
        labels: Sequence[str] | None = None,
        start_s: float = 0.0,
    ) -> None:
        self.head = head
        self.settings = settings
        self.start_s = start_s
        self.sent_log = SentLog()
        self.keep_signals = False
        self._labels = tuple(labels or ())
        self._rng = random_stream(settings.seed, "radio")
        self._true_rate_hz = head.rate_hz * (1 + settings.drift_ppm * 1e-6)
        self._on_the_way: deque[Arrival] = deque()
        self._signals: list[Sent] = []
        self._last_arrival_s = -np.inf
        offsets_uv = random_stream(settings.seed, "dc").standard_normal(head.n_electrodes)
        self._dc_uv = settings.dc_level_uv + settings.dc_spread_uv * offsets_uv
        self._losses = _of(settings.faults, LostPackets)
        self._stalls = sorted(_of(settings.faults, Stall), key=lambda stall: stall.at_s)
        self._disconnects = _of(settings.faults, Disconnect)
        self._jumps = _of(settings.faults, ClockJump)
        self._saturations = [
            (fault, self._columns(fault.channels)) for fault in _of(settings.faults, Saturation)
        ]
        if self._saturations and settings.rails_uv is None:
            raise WrongInput("a saturation needs the rails of the converter; set rails_uv, which is None")

    def _columns(self, channels: tuple[str, ...]) -> list[int] | slice:
        for channel in channels:
            if channel not in self._labels:
                raise UnknownName(f"no channel {channel!r} to saturate; {nearest(channel, self._labels)}")
        return [self._labels.index(channel) for channel in channels] if channels else slice(None)

    def true_times_s(self, first_index: int, n_samples: int) -> FloatArray:
        """Return when samples are really taken, in seconds on the computer's clock."""
        return np.asarray(
            self.start_s + (first_index + np.arange(n_samples)) / self._true_rate_hz, dtype=float
        )

    @property
    def next_packet_s(self) -> float:
        """Time at which the next packet will be complete."""
        last = self.head.next_index + self.settings.packet_samples - 1
        return float(self.start_s + last / self._true_rate_hz)

    def connected(self, time_s: float) -> bool:
        """Return whether the link is up at ``time_s``."""
        return not any(_during(fault, time_s - self.start_s) for fault in self._disconnects)

    def advance_to(self, time_s: float) -> list[Arrival]:
        """Return the packets that have arrived by ``time_s`` since the last call, in order."""
        while self.next_packet_s <= time_s:
            self._send_packet()
        arrived = []
        while self._on_the_way and self._on_the_way[0].arrival_s <= time_s:
            arrival = self._on_the_way.popleft()
            self.sent_log.in_flight -= len(arrival.samples)
            if arrival.zeroed.all():
                self.sent_log.zeroed += len(arrival.samples)
            else:
                self.sent_log.delivered += len(arrival.samples)
            arrived.append(arrival)
        return arrived

    def pop_signals(self) -> list[Sent]:
        """Return the head's signals since the last call, lost or not; none unless ``keep_signals``."""
        signals, self._signals = self._signals, []
        return signals

    def _send_packet(self) -> None:
        signal = self.head.generate(self.settings.packet_samples)
        true_s = self.true_times_s(signal.first_index, len(signal.samples))
        samples = self._convert(signal.samples, true_s)
        # Drawn for every packet, used or not, so that one fault does not change all others.
        n_channels = samples.shape[1]
        unlucky = self._rng.random(n_channels if self.settings.channelwise else 1) < self.settings.loss
        lateness_s = self.settings.jitter_s * float(self._rng.exponential())
        self.sent_log.sent += len(samples)
        arrival_s = self._arrival_s(true_s[-1], lateness_s)
        cause = self._cause(true_s[-1], arrival_s)
        zeroed = np.broadcast_to(unlucky | (cause is not None), n_channels).copy()
        if self.keep_signals:
            self._signals.append(Sent(signal, true_s, zeroed, cause != "disconnect"))
        gone = cause == "disconnect" or (zeroed.all() and self.settings.lost_as == "gap")
        self._log_sent(signal.first_index, true_s, zeroed, "lost" if gone else "zeros", cause or "radio")
        if gone:
            self.sent_log.lost += len(samples)
            return
        samples[:, zeroed] = 0.0
        self.sent_log.in_flight += len(samples)
        self._last_arrival_s = arrival_s
        stamps_s = self._stamps_s(signal.first_index, true_s, arrival_s)
        self._on_the_way.append(Arrival(samples, zeroed, signal.first_index, stamps_s, true_s, arrival_s))

    def _log_sent(
        self, first_index: int, true_s: FloatArray, hit: NDArray[np.bool_], fate: Fate, cause: str
    ) -> None:
        if hit.all():
            self.sent_log.add(SentEntry(first_index, len(true_s), fate, cause, float(true_s[0])))
            return
        for channel in np.flatnonzero(hit):
            entry = SentEntry(first_index, len(true_s), fate, cause, float(true_s[0]), int(channel))
            self.sent_log.add(entry)

    def _cause(self, complete_s: float, arrival_s: float) -> str | None:
        """Return the fault by which a packet is lost, if any: also for one in flight when the link breaks."""
        if not (self.connected(complete_s) and self.connected(arrival_s)):
            return "disconnect"
        at_s = complete_s - self.start_s
        packet_s = self.settings.packet_samples / self._true_rate_hz
        for fault in self._losses:
            if fault.at_s <= at_s < fault.at_s + max(fault.duration_s, packet_s):
                return "fault"
        return None

    def _convert(self, samples_uv: FloatArray, true_s: FloatArray) -> FloatArray:
        """Return the converter's output: offsets, saturation, steps, rails, in this order."""
        settings = self.settings
        out = samples_uv + self._dc_uv
        for fault, columns in self._saturations:
            during = _during_all(fault, true_s - self.start_s)
            if during.any():
                block = out[:, columns]
                block[during] = -np.inf if fault.low else np.inf
                out[:, columns] = block
        if settings.resolution_uv is not None:
            out = np.round(out / settings.resolution_uv) * settings.resolution_uv
        return np.asarray(out if settings.rails_uv is None else np.clip(out, *settings.rails_uv), dtype=float)

    def _arrival_s(self, complete_s: float, lateness_s: float) -> float:
        settings = self.settings
        arrival_s = complete_s + settings.delay_s + lateness_s
        if settings.interval_s > 0:
            arrival_s = float(np.ceil(arrival_s / settings.interval_s)) * settings.interval_s
        for stall in self._stalls:
            if _during(stall, arrival_s - self.start_s):
                arrival_s = self.start_s + stall.at_s + stall.duration_s
        return max(arrival_s, self._last_arrival_s)

    def _stamps_s(self, first_index: int, true_s: FloatArray, arrival_s: float) -> FloatArray:
        """Return the stamps: by the device's clock, which believes in its rate, or back from the arrival."""
        settings, rate_hz = self.settings, self.head.rate_hz
        numbers = np.arange(len(true_s))
        if settings.stamps == "arrival":
            return np.asarray(arrival_s + settings.offset_s - (len(true_s) - 1 - numbers) / rate_hz)
        jumped_s = np.zeros(len(true_s))
        for jump in self._jumps:
            jumped_s += jump.step_s * (true_s - self.start_s >= jump.at_s)
        return np.asarray(self.start_s + settings.offset_s + (first_index + numbers) / rate_hz + jumped_s)


def _of(faults: Sequence[Fault], kind: type[_F]) -> list[_F]:
    return [fault for fault in faults if isinstance(fault, kind)]


def _during(fault: Disconnect | Stall, at_s: float) -> bool:
    return fault.at_s <= at_s < fault.at_s + fault.duration_s


def _during_all(fault: Saturation, at_s: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((at_s >= fault.at_s) & (at_s < fault.at_s + fault.duration_s))
