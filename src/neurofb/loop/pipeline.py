"""The pipeline from samples to features. The same object live and offline, a pure function of samples and settings.

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
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.power import BandPower
from neurofb.dsp.quality import ChannelQuality, ChannelState, Membership
from neurofb.dsp.rules import BLINKS_BY_EFFECT, CURRENT, FIRST, SHARP_RHYTHMS
from neurofb.dsp.spectrum import Spectrum, with_mains
from neurofb.errors import WrongInput, WrongShape
from neurofb.events import Event
from neurofb.features.checks import check_features
from neurofb.features.feature_estimators import (
    Bank,
    Estimator,
    IndexEstimator,
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
from neurofb.features.presets import AnyFeature, preset
from neurofb.features.usability import Gate
from neurofb.features.value import FeatureValue
from neurofb.loop.blink_cleaning import BlinkCleaning, SwingsWithoutBlinks
from neurofb.loop.blink_effects import BlinkFit, Blinks, Course
from neurofb.spatial.filters import SpatialFilter, rereference
from neurofb.spatial.montage import Montage

_NOT_YET, _GAP = "not enough data yet", "gap: samples are missing"
_TOO_SHARP = "not enough: so sharp a rhythm needs a longer window"


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
    rules : int
        Those of the recording that is computed again (`neurofb.dsp.rules`).
    blink_fit : BlinkFit, optional
        What the participant's blinks do to each feature. Default: features are withheld in all blinks.
    blinks : "withhold" or "project"
        Whether blinks may be projected out of features that they reach.

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
        rules: int = CURRENT,
        blink_fit: BlinkFit | None = None,
        blinks: Blinks = "withhold",
    ) -> None:
        self.montage = montage = montage if isinstance(montage, Montage) else Montage.of(montage)
        self.features = tuple([preset()] if features is None else features)
        check_features(self.features, montage, rate_hz, iaf_hz, reference)
        self.hop_size = hop_size = HopSize.at(rate_hz)
        n = len(montage.labels)
        if spectrum is not None and rules != FIRST:
            spectrum = with_mains(spectrum, line_hz)
        if spectrum is not None and rules < SHARP_RHYTHMS:
            spectrum = spectrum.without_fine()
        self._bank = Bank.of(self.features, hop_size, n, iaf_hz, spectrum)
        self._reference, self._eyes = reference, eye_channels(montage.positions)
        self._finder = ArtifactFinder(n, rate_hz, hop_size.hop, calibration or Calibration.assumed(n))
        quarter = hop_size.hop * hop_size.slow
        self._quality = ChannelQuality(n, rate_hz, quarter, montage.limits, montage.converter, line_hz, rules)
        self._membership = Membership(n)
        self._gate = Gate(montage.labels, self._eyes, hop_size, rules)
        self._estimators = [self._make_estimator(feature, iaf_hz) for feature in self.features]
        self._clean_blinks(blink_fit if rules >= BLINKS_BY_EFFECT else None, blinks, calibration)
        self._powers = {
            (estimator.spec.smoothing_s, estimator.projected): self._make_power(estimator.spec.smoothing_s)
            for estimator in self._estimators
            if isinstance(estimator, PowerEstimator)
        }
        self._limits = {
            each.name: limit for each in self.features if (limit := getattr(each, "limit", None)) is not None
        }
        self._inhibiting = any(each.inhibits for each in self.features)
        self._block, self._quarter = np.full((hop_size.hop, n), np.nan), np.full((quarter, n), np.nan)
        self._bands = np.empty((hop_size.hop // hop_size.every, len(self._bank.keys), n), np.complex128)
        self._n_outputs = 0
        self._unjudged_hop: int | None = None
        #: The sample that comes next; a hop boundary below the first one at the start.
        self._position = 0
        self._next_index: int | None = None
        self._first_hop, self._time_s = 0, math.nan
        self._events: list[Event] = []
        self._calibration_due: tuple[int, Calibration] | None = None
        self._iaf_hz = iaf_hz
        self._assumed_iaf = iaf_hz is None and any(is_relative(b) for f in self.features for b in f.bands)

    # -- what it is --------------------------------------------------------------------------------------------

    @property
    def channel_states(self) -> dict[str, ChannelState]:
        """State of each channel, as of the last quarter of a second."""
        self._update_channels()
        return dict(zip(self.montage.labels, self._quality.states, strict=True))

    @property
    def channels_out(self) -> tuple[str, ...]:
        """Channels that have left the features because they were bad for long."""
        self._update_channels()
        return self._left()

    @property
    def last_hop(self) -> FloatArray:
        """The samples of the last hop that was full, shape (hop, n_channels)."""
        self._update_channels()
        n, at = self.hop_size.hop, (self._position // self.hop_size.hop - 1) % self.hop_size.slow
        return self._quarter[at * n : (at + 1) * n].copy()

    def describe(self) -> list[str]:
        """Return a line for each feature: bands as resolved, delay, how often it comes; and one of it in blinks."""
        lines = []
        for estimator in self._estimators:
            edges = [band_hz(band, self._iaf_hz) for band in estimator.spec.bands]
            bands = " and ".join(f"{low:g}–{high:g} Hz" for low, high in edges) or "an index of artifacts"
            rate_hz = self.hop_size.slow_hz if estimator.slow else self.hop_size.fast_hz
            lines.append(
                f"{estimator.spec.name}: {estimator.spec.kind}, {bands}, "
                f"{1000 * estimator.delay_s:.0f} ms filter delay, {rate_hz:.1f} values/s"
            )
        if self._cleaning is not None:
            lines += [line for each in self._estimators if (line := self._cleaning.describe(each.spec))]
        return lines

    def __repr__(self) -> str:
        names = ", ".join(feature.name for feature in self.features)
        return f"<Pipeline of {names}: {len(self.montage.labels)} channels at {self.hop_size.rate_hz:g} Hz>"

    # -- what it does ------------------------------------------------------------------------------------------

    def push(self, chunk: Chunk) -> list[FeatureValue]:
        """Process samples; return the values that became due, in the order of time and declaration."""
        x = chunk.samples
        if x.shape[1] != len(self.montage.labels):
            raise WrongShape(
                f"a chunk needs {len(self.montage.labels)} channels, as the montage has; found {chunk.n_channels}"
            )
        values: list[FeatureValue] = []
        if not len(x):
            return values
        values += self._advance_to(chunk.first_index)
        hop, start = self.hop_size.hop, 0
        while start < len(x):
            stop = min(len(x), start + hop - self._position % hop)
            self._fill(x[start:stop])
            start = stop
            if self._position % hop == 0:
                time_s = chunk.times_s.item(stop - 1)
                self._time_s = self._time_s if math.isnan(time_s) else time_s
                values += self._hop()
        self._next_index = self._position
        return values

    def pop_events(self) -> list[Event]:
        """Return the events since the last call, in order."""
        self._update_channels()
        events, self._events = self._events, []
        return events

    def calibrate(self, calibration: Calibration, from_index: int | None = None) -> None:
        """Replace the artifact limits from the first hop that begins at ``from_index`` or later.

        Give the index that the event ``calibrated`` names to do the same again offline. Default: the next hop.
        """
        if len(calibration.swing_uv) != len(self.montage.labels):
            raise WrongShape(
                f"{len(self.montage.labels)} channels need a calibration of as many, found {len(calibration.swing_uv)}"
            )
        self._calibration_due = (-1 if from_index is None else from_index, calibration)

    # -- one hop -----------------------------------------------------------------------------------------------

    def _advance_to(self, index: int) -> list[FeatureValue]:
        """Advance to a sample index; skipped samples are missing ones."""
        hop = self.hop_size.hop
        if self._next_index is None:
            self._position = index // hop * hop
            self._first_hop = self._position // hop
        elif index < self._next_index:
            raise WrongInput(
                f"samples go on from {self._next_index}, found a chunk from {index}: a sample is taken once, in order"
            )
        values: list[FeatureValue] = []
        while self._position < index:
            n = min(hop - self._position % hop, index - self._position)
            self._fill(np.full((n, len(self.montage.labels)), np.nan))
            if self._position % hop == 0:
                values += self._hop()
        return values

    def _fill(self, piece: FloatArray) -> None:
        """Copy the next samples of a hop, and filter them."""
        self._update_channels()
        filled = self._position % self.hop_size.hop
        self._block[filled : filled + len(piece)] = piece
        self._position += len(piece)
        outputs = self._bank.filter.process(piece)
        first = self._n_outputs if filled else 0
        self._n_outputs = first + len(outputs)
        self._bands[first : self._n_outputs] = outputs

    def _hop(self) -> list[FeatureValue]:
        """Compute everything for the hop that is now full."""
        block, hop = self._block, self._position // self.hop_size.hop - 1
        if self._assumed_iaf:
            self._assumed_iaf = False
            self._log(
                "assumed",
                f"the alpha peak is not known: bands relative to it take {USUAL_IAF_HZ:g} Hz for it",
            )
        if self._calibration_due is not None and hop * self.hop_size.hop >= self._calibration_due[0]:
            self._recalibrate(hop * self.hop_size.hop)
        z = self._bands
        found, still = self._finder.process(block, z[-1, -1]), self._still
        if still is not None:
            found = still.process(block) or found
        if found:
            self._gate.update_artifacts(hop, self._finder, None if still is None else still.finder)
        self._unjudged_hop = hop
        return self._values(hop, z)

    def _values(self, hop: int, z: ComplexArray) -> list[FeatureValue]:
        mixed = {
            projected: z if mix is None else project_complex(mix, z) for projected, mix in self._mixes.items()
        }
        powers = {key: power.process(mixed[key[1]])[-1] for key, power in self._powers.items()}
        is_slow = (hop + 1) % self.hop_size.slow == 0
        results: list[tuple[Estimator, float, str]] = []
        for estimator, watch in zip(self._estimators, self._watches, strict=True):
            why = self._gate.reason(hop, watch)
            if isinstance(estimator, PowerEstimator):
                value = estimator.value(powers[estimator.spec.smoothing_s, estimator.projected])
            elif isinstance(estimator, IndexEstimator):
                value = estimator.value(self._finder)
            else:
                estimator.process(z[:, estimator.band], bool(why))
                if not is_slow:
                    continue
                value = estimator.value()
            if not why and math.isnan(value):
                why = self._why_no_value(hop, estimator)
            results.append((estimator, value, why))
        if self._inhibiting:
            results = self._inhibited(results)
        index = self._position - 1
        return [
            FeatureValue(estimator.spec.name, value, index, not why, why, estimator.delay_s)
            for estimator, value, why in results
        ]

    def _inhibited(self, results: list[tuple[Estimator, float, str]]) -> list[tuple[Estimator, float, str]]:
        """Withhold what a feature inhibits that is over its limit or not known."""
        levels = {estimator.spec.name: value for estimator, value, _ in results}
        inhibited = []
        for estimator, value, why in results:
            for name in estimator.spec.inhibits:
                if not why and not levels[name] <= self._limits[name]:
                    why = f"{name} is not known" if math.isnan(levels[name]) else f"{name} is over its limit"
            inhibited.append((estimator, value, why))
        return inhibited

    def _why_no_value(self, hop: int, estimator: Estimator) -> str:
        """Return why there is no value: the beginning, or a gap."""
        needed_s = estimator.reach_s + 0.5
        if isinstance(estimator, SynchronyEstimator):
            return _TOO_SHARP if estimator.is_too_short else _NOT_YET
        return _NOT_YET if hop - self._first_hop < self.hop_size.count(needed_s) else _GAP

    def _update_channels(self) -> None:
        """Add the hop to its quarter; when that is full, update which channels are in use from the next hop on.

        Done before anything reads or needs it, so the numbers are the same whenever that is.
        """
        if self._unjudged_hop is None:
            return
        at, n = self._unjudged_hop % self.hop_size.slow, self.hop_size.hop
        self._unjudged_hop = None
        self._quarter[at * n : (at + 1) * n] = self._block
        if at != self.hop_size.slow - 1:
            return
        states = self._quality.process(self._quarter)
        changed = self._membership.update(states)
        self._gate.update_channels(states, self._membership.out)
        if changed:
            for channel in changed:
                self._log_channel(channel, states[channel])
            for estimator in self._estimators:
                estimator.exclude(self._membership.out)
            if self._cleaning is not None:
                self._cleaning.exclude(self._membership.out)
            self._mix_channels()

    # -- parts -------------------------------------------------------------------------------------------------

    def _make_estimator(self, feature: AnyFeature, iaf_hz: float | None) -> Estimator:
        if isinstance(feature, SynchronyOf):
            return SynchronyEstimator(feature, self.montage, self._bank, iaf_hz, self._reference)
        if isinstance(feature, MuscleIndex | OcularIndex):
            return IndexEstimator(feature, self.montage, self._eyes)
        return PowerEstimator(feature, self.montage, self._bank, iaf_hz, self._reference)

    def _make_power(self, smoothing_s: float) -> BandPower:
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

    def _clean_blinks(self, fit: BlinkFit | None, blinks: Blinks, calibration: Calibration | None) -> None:
        """Decide for each feature whether it goes on in blinks."""
        n, hop_size = len(self.montage.labels), self.hop_size
        self._cleaning, self._still = None, None
        self._courses: list[Course] = ["withheld"] * len(self._estimators)
        if fit is not None:
            self._cleaning = BlinkCleaning(fit, blinks, self.montage.labels, self._eyes, self._reference)
            self._still = SwingsWithoutBlinks(
                self._cleaning, hop_size.rate_hz, hop_size.hop, calibration or Calibration.assumed(n)
            )
            self._courses = [self._cleaning.course(each.spec) for each in self._estimators]
        for estimator, course in zip(self._estimators, self._courses, strict=True):
            if isinstance(estimator, PowerEstimator):
                estimator.projected = course == "projected"
        self._mix_channels()

    def _mix_channels(self) -> None:
        """Make the matrices from channels to what power is taken of, and what each feature watches."""
        mix, cleaning = self._mixing(), self._cleaning
        self._mixes = {False: mix}
        self._watches = [estimator.watch for estimator in self._estimators]
        if cleaning is None:
            return
        if "projected" in self._courses:
            self._mixes[True] = cleaning.projector if mix is None else mix.after(cleaning.projector)
        for i, (estimator, course) in enumerate(zip(self._estimators, self._courses, strict=True)):
            self._watches[i] = cleaning.watch(estimator, course)
            if isinstance(estimator, SynchronyEstimator) and course == "projected":
                estimator.project(cleaning.projector)

    def _left(self) -> tuple[str, ...]:
        return tuple(
            label for label, out in zip(self.montage.labels, self._membership.out, strict=True) if out
        )

    def _recalibrate(self, index: int) -> None:
        assert self._calibration_due is not None
        calibration, self._calibration_due = self._calibration_due[1], None
        self._finder.calibrate(calibration)
        if self._still is not None:
            self._still.finder.calibrate(calibration)
        self._log("calibrated", f"artifact limits from {calibration.source}, from sample {index} on", index)

    def _log_channel(self, channel: int, state: ChannelState) -> None:
        """Log that a channel has left or come back, and which features' weights changed."""
        label, out = self.montage.labels[channel], self._membership.out[channel]
        touched = [
            estimator.spec.name for estimator in self._estimators if channel in estimator.watch.channels
        ]
        details: dict[str, Any] = {"channel": label, "state": state.state, "features": touched}
        whose = f"; the weights of {', '.join(touched)} change" if touched else ""
        if out and channel in self._eyes and all(self._membership.out[eye] for eye in self._eyes):
            whose += "; blinks are no longer seen by the forehead"
        if out:
            message = (
                f"{label} is {state.state} ({state.why}) and leaves from sample {self._position} on{whose}"
            )
            self._log("channel_left", message, self._position, **details)
        else:
            message = f"{label} is good again and comes back from sample {self._position} on{whose}"
            self._log("channel_back", message, self._position, **details)

    def _log(self, kind: str, message: str, index: int | None = None, **details: Any) -> None:
        self._events.append(Event(kind, self._time_s, message, index, details))
