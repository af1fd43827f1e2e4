"""The loop: samples in, features out. The same object live and offline, a pure function of samples and settings.

In: chunks as a source gives them. Out: ``FeatureValue`` for every feature at every hop (slow ones at every
``slow``-th), and events. Kept: the hop that is being filled, and the states of all stages. It never reads a clock:
time travels with the samples, windows are cut by sample index.

What can be done before a hop is full is done then (the filters), and what holds for the next hop only is done when its
values are out (the judgement of the channels): a value waits for nothing that it is not made of.

One hop::

    samples → band filter → [reference] → power     → power, ratio, asymmetry ┐
        │          │                  └→ synchrony  → synchrony               ├→ gate → values
        │          └→ muscle band ┐                                           │
        ├→ artifact finder ←──────┘ → muscle and ocular index, gate ──────────┘
        └→ channel quality (each quarter of a second) → who is in use from the next hop on, gate
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from neurofb.chunk import Chunk, ComplexArray, FloatArray
from neurofb.devices import DeviceProfile
from neurofb.dsp.artifacts import ArtifactFinder, Calibration, eye_channels
from neurofb.dsp.hop_size import Hops
from neurofb.dsp.power import BandPower
from neurofb.dsp.quality import ChannelQuality, ChannelState, Membership
from neurofb.dsp.spectrum import Spectrum
from neurofb.errors import WrongInput, WrongShape
from neurofb.events import Event
from neurofb.features.checks import check_features
from neurofb.features.feature_estimators import (
    Bank,
    IndexEstimator,
    Meter,
    PowerEstimator,
    Reference,
    SynchronyEstimator,
    project_complex,
)
from neurofb.features.feature_specs import (
    USUAL_IAF_HZ,
    MuscleIndex,
    OcularIndex,
    SynchronyOf,
    band_hz,
    is_relative,
)
from neurofb.features.gate import Gate
from neurofb.features.presets import AnyFeature, preset
from neurofb.features.value import FeatureValue
from neurofb.spatial.filters import SpatialFilter, rereference
from neurofb.spatial.montage import Montage

_NOT_YET, _GAP = "not enough data yet", "gap: samples are missing"


class Pipeline:
    """From samples to features.

    Parameters
    ----------
    features : sequence of declared features, optional
        What to compute. Default: the preset ``frontal_midline_theta``.
    montage : Montage or DeviceProfile
        Labels, regions and limits of the headset.
    rate_hz : float
        Sampling rate of the stream.
    reference : "average" or sequence of str, optional
        Re-reference to the mean of all good channels, or of these. Default: as recorded.
    iaf_hz : float, optional
        The participant's alpha peak, which relative bands follow; 10 Hz if nobody measured it, and an event says so.
    calibration : Calibration, optional
        Limits for blinks, jumps and muscle from the participant's baseline. Default: assumed ones.
    spectrum : Spectrum, optional
        The participant's baseline spectrum, for which the band filters are designed. Default: a documented prior.
    line_hz : float, optional
        50 or 60; default: both are looked for.

    Raises
    ------
    WrongInput
        If a feature cannot be computed; the message lists every problem of every feature.
    """

    def __init__(
        self,
        features: Sequence[AnyFeature] | None,
        montage: Montage | DeviceProfile,
        rate_hz: float,
        *,
        reference: Reference = None,
        iaf_hz: float | None = None,
        calibration: Calibration | None = None,
        spectrum: Spectrum | None = None,
        line_hz: float | None = None,
    ) -> None:
        self.montage = montage = montage if isinstance(montage, Montage) else Montage.of(montage)
        self.features = tuple([preset()] if features is None else features)
        check_features(self.features, montage, rate_hz, iaf_hz, reference)
        self.hops = hops = Hops.at(rate_hz)
        n = len(montage.labels)
        self._bank = Bank.of(self.features, hops, n, iaf_hz, spectrum)
        self._reference, self._eyes = reference, eye_channels(montage.positions)
        self._finder = ArtifactFinder(n, rate_hz, hops.hop, calibration or Calibration.assumed(n))
        quarter = hops.hop * hops.slow
        self._quality = ChannelQuality(n, rate_hz, quarter, montage.limits, montage.converter, line_hz)
        self._membership = Membership(n)
        self._gate = Gate(montage.labels, self._eyes, hops)
        self._meters = [self._meter(feature, iaf_hz) for feature in self.features]
        self._powers = {
            meter.declared.smoothing_s: self._power(meter.declared.smoothing_s)
            for meter in self._meters
            if isinstance(meter, PowerEstimator)
        }
        self._limits = {
            each.name: limit for each in self.features if (limit := getattr(each, "limit", None)) is not None
        }
        self._inhibiting = any(each.inhibits for each in self.features)
        self._mix = self._mixing()
        self._block, self._quarter = np.full((hops.hop, n), np.nan), np.full((quarter, n), np.nan)
        self._bands = np.empty((hops.hop // hops.every, len(self._bank.keys), n), np.complex128)
        self._n_outputs = 0
        self._unsettled: int | None = None
        self._next_index: int | None = None
        self._first_hop, self._time_s = 0, math.nan
        self._events: list[Event] = []
        self._calibration_due: tuple[int, Calibration] | None = None
        self._iaf_hz = iaf_hz
        self._assumed_iaf = iaf_hz is None and any(is_relative(b) for f in self.features for b in f.bands)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def channel_states(self) -> dict[str, ChannelState]:
        """How each channel is, as of the last quarter of a second."""
        self._settle()
        return dict(zip(self.montage.labels, self._quality.states, strict=True))

    @property
    def channels_out(self) -> tuple[str, ...]:
        """Channels that have left the features because they were bad for long."""
        self._settle()
        return self._left()

    @property
    def last_hop(self) -> FloatArray:
        """The samples of the last hop that was full, shape (hop, n_channels)."""
        self._settle()
        n, at = self.hops.hop, (self._at // self.hops.hop - 1) % self.hops.slow
        return self._quarter[at * n : (at + 1) * n].copy()

    def describe(self) -> list[str]:
        """Return a line for each feature: bands as resolved, delay and how often it comes."""
        lines = []
        for meter in self._meters:
            edges = [band_hz(band, self._iaf_hz) for band in meter.declared.bands]
            bands = " and ".join(f"{low:g}–{high:g} Hz" for low, high in edges) or "an index of artifacts"
            rate_hz = self.hops.slow_hz if meter.slow else self.hops.fast_hz
            lines.append(
                f"{meter.declared.name}: {meter.declared.kind}, {bands}, {1000 * meter.delay_s:.0f} ms filter delay, "
                f"{rate_hz:.1f} values/s"
            )
        return lines

    def __repr__(self) -> str:
        names = ", ".join(feature.name for feature in self.features)
        return f"<Pipeline of {names}: {len(self.montage.labels)} channels at {self.hops.rate_hz:g} Hz>"

    # -- what it does ------------------------------------------------------------------------------------------

    def push(self, chunk: Chunk) -> list[FeatureValue]:
        """Take in samples and give the values that became due, in the order of time and declaration."""
        x = chunk.samples
        if x.shape[1] != len(self.montage.labels):
            raise WrongShape(
                f"a chunk needs {len(self.montage.labels)} channels, as the montage has; found {chunk.n_channels}"
            )
        values: list[FeatureValue] = []
        if not len(x):
            return values
        values += self._go_to(chunk.first_index)
        hop, start = self.hops.hop, 0
        while start < len(x):
            stop = min(len(x), start + hop - self._at % hop)
            self._fill(x[start:stop])
            start = stop
            if self._at % hop == 0:
                time_s = chunk.times_s.item(stop - 1)
                self._time_s = self._time_s if math.isnan(time_s) else time_s
                values += self._hop()
        self._next_index = self._at
        return values

    def pop_events(self) -> list[Event]:
        """Return what has happened since the last call, in order."""
        self._settle()
        events, self._events = self._events, []
        return events

    def calibrate(self, calibration: Calibration, from_index: int | None = None) -> None:
        """Put limits from a baseline in force with the first hop that begins at ``from_index`` or later.

        Give the index that the event ``calibrated`` names to do the same again offline. Default: the next hop.
        """
        if len(calibration.swing_uv) != len(self.montage.labels):
            raise WrongShape(
                f"{len(self.montage.labels)} channels need a calibration of as many, found {len(calibration.swing_uv)}"
            )
        self._calibration_due = (-1 if from_index is None else from_index, calibration)

    # -- one hop -----------------------------------------------------------------------------------------------

    def _go_to(self, index: int) -> list[FeatureValue]:
        """Go on at a sample index; samples that were left out on the way are missing ones."""
        hop = self.hops.hop
        if self._next_index is None:
            self._at = index // hop * hop
            self._first_hop = self._at // hop
        elif index < self._next_index:
            raise WrongInput(
                f"samples go on from {self._next_index}, found a chunk from {index}: a sample is taken once, in order"
            )
        values: list[FeatureValue] = []
        while self._at < index:
            n = min(hop - self._at % hop, index - self._at)
            self._fill(np.full((n, len(self.montage.labels)), np.nan))
            if self._at % hop == 0:
                values += self._hop()
        return values

    def _fill(self, piece: FloatArray) -> None:
        """Take the next samples of a hop, and filter them."""
        self._settle()
        filled = self._at % self.hops.hop
        self._block[filled : filled + len(piece)] = piece
        self._at += len(piece)
        outputs = self._bank.filter.process(piece)
        first = self._n_outputs if filled else 0
        self._n_outputs = first + len(outputs)
        self._bands[first : self._n_outputs] = outputs

    def _hop(self) -> list[FeatureValue]:
        """Compute everything for the hop that is now full."""
        block, hop = self._block, self._at // self.hops.hop - 1
        if self._assumed_iaf:
            self._assumed_iaf = False
            self._say(
                "assumed",
                f"the alpha peak is not known: bands relative to it take {USUAL_IAF_HZ:g} Hz for it",
            )
        if self._calibration_due is not None and hop * self.hops.hop >= self._calibration_due[0]:
            self._recalibrate(hop * self.hops.hop)
        z = self._bands
        if self._finder.process(block, z[-1, -1]):
            self._gate.look(hop, self._finder)
        self._unsettled = hop
        return self._values(hop, z)

    def _values(self, hop: int, z: ComplexArray) -> list[FeatureValue]:
        mixed = z if self._mix is None else project_complex(self._mix, z)
        powers = {smoothing_s: power.process(mixed)[-1] for smoothing_s, power in self._powers.items()}
        is_slow = (hop + 1) % self.hops.slow == 0
        given: list[tuple[Meter, float, str]] = []
        for meter in self._meters:
            why = self._gate.reason(hop, meter.watch)
            if isinstance(meter, PowerEstimator):
                value = meter.value(powers[meter.declared.smoothing_s])
            elif isinstance(meter, IndexEstimator):
                value = meter.value(self._finder)
            else:
                meter.take(z[:, meter.band], bool(why))
                if not is_slow:
                    continue
                value = meter.value()
            if not why and math.isnan(value):
                why = self._nothing(hop, meter)
            given.append((meter, value, why))
        if self._inhibiting:
            given = self._inhibited(given)
        index = self._at - 1
        return [
            FeatureValue(meter.declared.name, value, index, not why, why, meter.delay_s)
            for meter, value, why in given
        ]

    def _inhibited(self, given: list[tuple[Meter, float, str]]) -> list[tuple[Meter, float, str]]:
        """Withhold what a feature inhibits that is over its limit or not known."""
        levels = {meter.declared.name: value for meter, value, _ in given}
        inhibited = []
        for meter, value, why in given:
            for name in meter.declared.inhibits:
                if not why and not levels[name] <= self._limits[name]:
                    why = f"{name} is not known" if math.isnan(levels[name]) else f"{name} is over its limit"
            inhibited.append((meter, value, why))
        return inhibited

    def _nothing(self, hop: int, meter: Meter) -> str:
        """Return why there is no value: the beginning, or a gap."""
        needed_s = meter.reach_s + 0.5
        if isinstance(meter, SynchronyEstimator):
            return _NOT_YET
        return _NOT_YET if hop - self._first_hop < self.hops.count(needed_s) else _GAP

    def _settle(self) -> None:
        """Go on with the quarter; when it is full, judge the channels and settle who is in use from the next hop on.

        Done before anything reads or needs it, so the numbers are the same whenever that is.
        """
        if self._unsettled is None:
            return
        at, n = self._unsettled % self.hops.slow, self.hops.hop
        self._unsettled = None
        self._quarter[at * n : (at + 1) * n] = self._block
        if at != self.hops.slow - 1:
            return
        states = self._quality.process(self._quarter)
        changed = self._membership.update(states)
        self._gate.judge_channels(states, self._membership.out)
        if changed:
            for channel in changed:
                self._announce(channel, states[channel])
            for meter in self._meters:
                meter.use(self._membership.out)
            self._mix = self._mixing()

    # -- parts -------------------------------------------------------------------------------------------------

    def _meter(self, feature: AnyFeature, iaf_hz: float | None) -> Meter:
        if isinstance(feature, SynchronyOf):
            return SynchronyEstimator(feature, self.montage, self._bank, iaf_hz, self._reference)
        if isinstance(feature, MuscleIndex | OcularIndex):
            return IndexEstimator(feature, self.montage, self._eyes)
        return PowerEstimator(feature, self.montage, self._bank, iaf_hz, self._reference)

    def _power(self, smoothing_s: float) -> BandPower:
        shape = (len(self._bank.keys), len(self.montage.labels))
        return BandPower(*shape, self._bank.filter.output_rate_hz, time_constant_s=smoothing_s)

    def _mixing(self) -> SpatialFilter | None:
        """Return the re-reference to the channels in use; None to leave all as recorded."""
        if self._reference is None:
            return None
        named = self.montage.labels if isinstance(self._reference, str) else self._reference
        bad = self._left()
        if all(label in bad for label in named):
            bad = ()  # nothing left to refer to; the gate is closed
        return rereference(self.montage.labels, self._reference, bad=bad)

    def _left(self) -> tuple[str, ...]:
        return tuple(
            label for label, out in zip(self.montage.labels, self._membership.out, strict=True) if out
        )

    def _recalibrate(self, index: int) -> None:
        assert self._calibration_due is not None
        calibration, self._calibration_due = self._calibration_due[1], None
        self._finder.calibrate(calibration)
        self._say("calibrated", f"artifact limits from {calibration.source}, from sample {index} on", index)

    def _announce(self, channel: int, state: ChannelState) -> None:
        """Say that a channel has left or come back, and whose weights changed."""
        label, out = self.montage.labels[channel], self._membership.out[channel]
        touched = [meter.declared.name for meter in self._meters if channel in meter.watch.channels]
        details: dict[str, Any] = {"channel": label, "state": state.state, "features": touched}
        whose = f"; the weights of {', '.join(touched)} change" if touched else ""
        if out and channel in self._eyes and all(self._membership.out[eye] for eye in self._eyes):
            whose += "; blinks are no longer seen by the forehead"
        if out:
            message = f"{label} is {state.state} ({state.why}) and leaves from sample {self._at} on{whose}"
            self._say("channel_left", message, self._at, **details)
        else:
            message = f"{label} is good again and comes back from sample {self._at} on{whose}"
            self._say("channel_back", message, self._at, **details)

    def _say(self, kind: str, message: str, index: int | None = None, **details: Any) -> None:
        self._events.append(Event(kind, self._time_s, message, index, details))
