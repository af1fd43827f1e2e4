"""The gate: whether a feature is usable now, and if not, why in plain words.

In: what the artifact finder and the channel quality say, hop by hop. Out: a reason, empty if the feature may be used.
Kept between hops: when each artifact was last seen, for a filter rings on after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.dsp.artifacts import MUSCLE_ANY_DB, MUSCLE_OWN_DB, SWING_S, ArtifactFinder
from neurofb.dsp.hop_size import HopSize
from neurofb.dsp.quality import OK, ChannelState
from neurofb.dsp.rules import CURRENT, FIRST
from neurofb.features.feature_specs import Check

_LONG_AGO = -(10**9)
#: States in which a channel may speak for others. A row of blinks or a clenched jaw makes channels noisy: just then
#: they must be heard. One that stays noisy leaves after 2 s.
_TRUSTED_STATES = ("ok", "noisy", "line noise")
#: Seconds after a jump in which the swing of its channel may be that of the jump.
SPIKE_S = SWING_S + 0.1


@dataclass(frozen=True, slots=True)
class Watch:
    """The channels and artifacts that make a feature unusable."""

    #: Columns of each place it is made of; a place without a good channel leaves nothing to measure.
    places: tuple[tuple[int, ...], ...]
    #: Artifacts that count.
    checks: tuple[Check, ...]
    #: Seconds after an artifact in which the filters still ring.
    after_s: float
    #: The same after a jump, which reaches as far as the filter's taps.
    after_jump_s: float
    #: Columns whose contact counts as well: those from which projecting takes much.
    also: tuple[int, ...] = ()
    #: Whether blinks are projected out of it: then movement counts as it is seen after that.
    projected: bool = False

    @property
    def channels(self) -> tuple[int, ...]:
        """Columns of all places."""
        return tuple(dict.fromkeys(channel for place in self.places for channel in place))


class Gate:
    """Keeps recent artifacts and decides which features are usable.

    Parameters
    ----------
    labels : sequence of str
    eyes : tuple of int
        Columns that see the eyes.
    hop_size : HopSize
    rules : int
        See `neurofb.dsp.rules`.
    """

    def __init__(
        self, labels: Sequence[str], eyes: tuple[int, ...], hop_size: HopSize, rules: int = CURRENT
    ) -> None:
        self._first_rules = rules == FIRST
        self._labels, self._eyes, self._hop_size = tuple(labels), eyes, hop_size
        n = len(labels)
        self._blink = _LONG_AGO
        self._muscle_any, self._muscle_where = _LONG_AGO, 0
        self._moved, self._jumped, self._muscle = [_LONG_AGO] * n, [_LONG_AGO] * n, [_LONG_AGO] * n
        #: The same of channels with blinks projected out.
        self._moved_still, self._jumped_still = [_LONG_AGO] * n, [_LONG_AGO] * n
        self._newest = _LONG_AGO
        self._states: Sequence[ChannelState] = (OK,) * n
        self._out: Sequence[bool] = (False,) * n
        self._all_good = True

    def update_channels(self, states: Sequence[ChannelState], out: Sequence[bool]) -> None:
        """Update the states of channels, and which have left."""
        self._states, self._out = states, tuple(out)
        self._all_good = not any(state.bad for state in states) and not any(out)

    def update_artifacts(self, hop: int, finder: ArtifactFinder, still: ArtifactFinder | None = None) -> None:
        """Record the artifacts of this hop; called when a finder detects any.

        ``still`` sees the same channels with blinks taken out, those of the eyes as recorded.
        """
        swing, jumped, muscle = finder.swing, finder.jumped, finder.muscle_db
        if still is not None:
            self._update_still(hop, still)
            swing, jumped = np.fmin(swing, still.swing), np.fmin(jumped, still.jumped)
        self._newest = hop
        for channel in range(len(self._labels)):
            trusted = not self._out[channel] and self._states[channel].state in _TRUSTED_STATES
            if jumped[channel] > 1:
                self._jumped[channel] = hop
            if swing[channel] > 1:
                if channel not in self._eyes or (trusted and self._is_spike(channel, hop, swing)):
                    self._moved[channel] = hop
                elif trusted:
                    self._blink = hop
            if muscle[channel] > MUSCLE_OWN_DB:
                self._muscle[channel] = hop
            if trusted and muscle[channel] > MUSCLE_ANY_DB and self._is_muscle(channel, muscle):
                self._muscle_any, self._muscle_where = hop, channel

    def _update_still(self, hop: int, still: ArtifactFinder) -> None:
        swing, jumped = still.swing, still.jumped
        for channel in range(len(self._labels)):
            if jumped[channel] > 1:
                self._jumped_still[channel] = hop
            if swing[channel] > 1 and channel not in self._eyes:
                self._moved_still[channel] = hop

    def _is_muscle(self, channel: int, muscle: FloatArray) -> bool:
        """Return whether another channel has muscle, too: it spreads, and the ringing of a spike does not."""
        if self._first_rules or len(muscle) == 1:
            return True
        others = np.delete(muscle, channel)
        return bool((~(others <= MUSCLE_OWN_DB)).any())

    def _is_spike(self, channel: int, hop: int, swing: FloatArray) -> bool:
        """Return whether a swing is that of a jump which no other channel at the forehead sees: a blink moves all."""
        if self._first_rules or hop - self._jumped[channel] > self._hop_size.count(SPIKE_S):
            return False
        others = [
            other
            for other in self._eyes
            if other != channel and not self._out[other] and self._states[other].state in _TRUSTED_STATES
        ]
        return bool(others) and all(swing[other] <= 1 for other in others)

    def reason(self, hop: int, watch: Watch) -> str:
        """Return why a feature may not be used at this hop; empty if it may."""
        if not self._all_good:
            why = self._contact(watch)
            if why:
                return why
        since = hop - self._newest
        if since > self._hop_size.count(max(watch.after_s, watch.after_jump_s)):
            return ""
        return self._artifact(hop, watch)

    def _contact(self, watch: Watch) -> str:
        for place in watch.places:
            if place and all(self._out[channel] for channel in place):
                lost = ", ".join(self._labels[channel] for channel in place)
                return f"bad contact: no channel left of {lost}"
        for channel in (*watch.channels, *watch.also):
            state = self._states[channel]
            if state.bad and not self._out[channel]:
                return f"bad contact: {self._labels[channel]} {state.state} ({state.why})"
        return ""

    def _artifact(self, hop: int, watch: Watch) -> str:
        after = hop - self._hop_size.count(watch.after_s)
        used = [channel for channel in watch.channels if not self._out[channel]]
        moved, jumped = (
            (self._moved_still, self._jumped_still) if watch.projected else (self._moved, self._jumped)
        )
        if "jump" in watch.checks:
            after_jump = hop - self._hop_size.count(watch.after_jump_s)
            for channel in used:
                if jumped[channel] >= after_jump:
                    return f"jump: {self._labels[channel]}"
                if moved[channel] >= after:
                    return f"movement: {self._labels[channel]}"
        if "blink" in watch.checks and self._blink >= after:
            return "blink"
        if "muscle" in watch.checks:
            for channel in used:
                if self._muscle[channel] >= after:
                    return f"muscle: {self._labels[channel]}"
            if self._muscle_any >= after:
                return f"muscle: {self._labels[self._muscle_where]}"
        return ""
