"""Channel quality, four times a second: ok, noisy, flat, railed, line noise, detached, missing.

In: samples ``(n_samples, n_channels)`` in µV as recorded (before any filter or reference), in quarters of a second cut
by sample index. Out: a state and a reason for each channel. Kept between quarters: the measures of the last second.

Contact is judged by what is left in the bands that are used: mains and their harmonics are fitted and taken out, and a
channel with much of both is compared with those that measure something. Where none other does, what is left decides.

A Riemannian distance of the covariance (pyriemann's potato) was considered and left out: at 4 channels it says what
these measures say, but not which channel or why, and on a bad channel it closes the gate for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.devices import QualityLimits
from neurofb.dsp import rules as rules_
from neurofb.dsp.checks import count, positive

State = Literal["ok", "noisy", "flat", "railed", "line noise", "detached", "missing"]
#: Quarters that are judged together.
QUARTERS = 4
#: Mains this many times over the limit of a poor contact are those of a wire that touches nothing …
DETACHED_LINE = 5.0
#: … if they are also this many times those of the other channels. Mains that all have alike come from the room: every
#: channel of a real recording by a battery amplifier without notch had 100 to 500 µV, with good EEG below them.
OWN_LINE = 3.0
#: A converter sends nothing beyond its rails: where this part of a channel's quarter is, they are another program's.
BEYOND_RAILS = 0.25
#: Harmonics of the mains that are taken out, where they, or what they are folded to, lie above the bands that are used.
HARMONICS, USED_BELOW_HZ = 3, 45.0
#: A quarter with this many samples at a rail, or at its own extreme where rails are unknown, is cut off.
RAILED_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class ChannelState:
    """The quality state of a channel."""

    #: ``ok``, or what is wrong.
    state: State
    #: The same with the number that decided it; empty if ok.
    why: str = ""
    #: Whether features may use it all the same: mains that all channels share do not reach the bands.
    tolerable: bool = False

    @property
    def bad(self) -> bool:
        """True if the channel is not usable."""
        return self.state != "ok" and not self.tolerable


OK = ChannelState("ok")


@dataclass(frozen=True, slots=True)
class Converter:
    """The range of an amplifier's converter, needed to detect rails."""

    #: Lowest and highest value.
    rails_uv: tuple[float, float] | None = None
    #: Where a silent channel rests.
    dc_level_uv: float = 0.0
    #: Whether a level far from it is a fault, and rails are believed though values lie beyond them: only so that
    #: sessions of before that judged so are computed again as they were.
    judges_level: bool = False


class ChannelQuality:
    """Detects the state of each channel from the last second.

    Parameters
    ----------
    n_channels : int
    rate_hz : float
    n_samples : int
        Length of a quarter.
    limits : QualityLimits
        From the device profile.
    converter : Converter
    line_hz : float, optional
        Frequency of the mains; left out: 50 and 60 Hz, whichever is stronger.
    rules : int
        See `neurofb.dsp.rules`.
    """

    def __init__(
        self,
        n_channels: int,
        rate_hz: float,
        n_samples: int,
        limits: QualityLimits,
        converter: Converter | None = None,
        line_hz: float | None = None,
        rules: int = rules_.CURRENT,
    ) -> None:
        self._n_channels, self._n_samples = count(n_channels, "n_channels"), count(n_samples, "n_samples")
        self._limits, self._converter = limits, converter or Converter()
        mains = [hz for hz in ((50.0, 60.0) if line_hz is None else (line_hz,)) if hz < rate_hz / 2 - 4]
        self._line = _line_weights(mains, positive(rate_hz, "rate_hz"), self._n_samples)
        self._first_rules = rules == rules_.FIRST
        self._level_and_mains = _mains_space(mains, rate_hz, self._n_samples)
        self._measures = np.full((QUARTERS, len(_MEASURES), self._n_channels), np.nan)
        self._fine = [True] * QUARTERS
        self._rails_uv = self._converter.rails_uv
        self._all_ok = (OK,) * self._n_channels
        self._states: tuple[ChannelState, ...] = self._all_ok

    @property
    def states(self) -> tuple[ChannelState, ...]:
        """State of each channel, as of the last quarter."""
        return self._states

    def process(self, quarter: FloatArray) -> tuple[ChannelState, ...]:
        """Process the next quarter, shape (n_samples, n_channels); return the state of each channel."""
        self._measures[:-1] = self._measures[1:]
        self._measure(quarter, self._measures[-1])
        self._fine = [*self._fine[1:], self._is_fine(self._measures[-1])]
        if all(self._fine):  # then nothing that is judged over a second can be wrong, either
            self._states = self._all_ok
        else:
            suspects = self._suspects()
            self._states = tuple(
                self._state_of(channel) if suspect else OK for channel, suspect in enumerate(suspects)
            )
        return self._states

    def _measure(self, x: FloatArray, out: FloatArray) -> None:
        """Write a quarter's deviation, line amplitude, level, samples at a rail, share of missing ones, and rest."""
        n = len(x)
        missing, out[4] = None, 0.0
        level = np.add.reduce(x, axis=0) / n
        if math.isnan(np.add.reduce(level)):
            missing = np.isnan(x)
            out[4] = np.add.reduce(missing, axis=0) / n
            present = np.maximum(n - np.add.reduce(missing, axis=0), 1)
            level = np.add.reduce(np.where(missing, 0.0, x), axis=0) / present
            x = np.where(missing, level, x)
        around = x - level
        with np.errstate(over="ignore"):  # a broken headset may send any number
            out[0] = np.sqrt(np.add.reduce(around * around, axis=0) / n)
        out[1] = self._line_uv(around)
        out[2] = level
        out[3] = self._at_rails(x, missing)
        out[5] = out[0] if self._first_rules else self._rest_uv(around)
        if missing is not None:
            out[:3, out[4] == 1.0] = out[5, out[4] == 1.0] = np.nan

    def _is_fine(self, measures: FloatArray) -> bool:
        """Return whether no channel breaks any limit in this quarter: a fast check of all channels at once."""
        most, least = (
            np.maximum.reduce(measures, axis=1).tolist(),
            np.minimum.reduce(measures, axis=1).tolist(),
        )
        limits, rest_uv, most_off_uv = self._limits, self._converter.dc_level_uv, self._most_off_uv
        return bool(
            least[0] >= limits.flat_uv
            and most[0] <= limits.noisy_uv
            and most[1] <= limits.line_uv
            and most[2] - rest_uv <= most_off_uv
            and rest_uv - least[2] <= most_off_uv
            and most[3] == 0
            and most[4] == 0
        )

    def _line_uv(self, around: FloatArray) -> FloatArray:
        if not self._line.size:
            return np.zeros(self._n_channels)
        parts = np.empty((self._n_channels, self._line.shape[1]))
        _kernels.project(np.ascontiguousarray(around.T), self._line, parts)
        squared = parts[:, 0::2] ** 2 + parts[:, 1::2] ** 2
        amplitude: FloatArray = np.sqrt(np.maximum.reduce(squared, axis=1))
        return amplitude

    def _rest_uv(self, around: FloatArray) -> FloatArray:
        """Return the deviation (SD, µV) of what mains and their harmonics leave of a quarter."""
        fitted = self._level_and_mains
        with np.errstate(over="ignore", invalid="ignore"):
            left = around - fitted @ (fitted.T @ around)
            rest: FloatArray = np.sqrt(np.add.reduce(left * left, axis=0) / len(left))
        return rest

    def _at_rails(self, x: FloatArray, missing: NDArray[np.bool_] | None) -> FloatArray:
        if self._rails_uv is not None and not self._converter.judges_level:
            self._check_rails(x)
        if self._rails_uv is not None:
            low, high = self._rails_uv
            margin = 1e-3 * (high - low)
            beyond = (x <= low + margin) | (x >= high - margin)
        else:
            return self._at_plateaus(x, missing)
        if missing is not None:
            beyond &= ~missing
        return np.asarray(np.add.reduce(beyond, axis=0), dtype=float)

    def _check_rails(self, x: FloatArray) -> None:
        """Forget the rails if values lie beyond them: then they belong to another program than the one that sends."""
        assert self._rails_uv is not None
        low, high = self._rails_uv
        margin = 1e-3 * (high - low)
        if np.minimum.reduce(x, axis=None) < low - margin or np.maximum.reduce(x, axis=None) > high + margin:
            beyond = ((x < low - margin) | (x > high + margin)).mean(axis=0)
            if beyond.max() >= BEYOND_RAILS:
                self._rails_uv = None

    @property
    def _most_off_uv(self) -> float:
        """How far a level may lie from rest: any distance, but in sessions that judged it."""
        most_uv = self._limits.max_dc_uv
        return most_uv if self._converter.judges_level and most_uv is not None else math.inf

    def _at_plateaus(self, x: FloatArray, missing: NDArray[np.bool_] | None) -> FloatArray:
        """Count samples on a plateau at a far extreme, for devices whose rails are unknown."""
        top, bottom = np.maximum.reduce(x, axis=0), np.minimum.reduce(x, axis=0)
        far = (np.maximum(top, -bottom) > 20 * self._limits.noisy_uv) & (top > bottom)
        if not far.any():
            return np.zeros(self._n_channels)
        there = True if missing is None else ~missing
        counts = np.maximum(
            np.add.reduce((x == top) & there, axis=0), np.add.reduce((x == bottom) & there, axis=0)
        )
        return np.where(far & (counts >= RAILED_SAMPLES), counts, 0).astype(np.float64)

    def _suspects(self) -> NDArray[np.bool_]:
        """Return which channels break any limit; only these need a check one by one."""
        deviation, line, level, rails, share, _ = _last_second(self._measures)
        limits = self._limits
        wrong: NDArray[np.bool_] = (
            (deviation[1] < limits.flat_uv) | (deviation[0] > limits.noisy_uv) | (line > limits.line_uv)
        )
        wrong |= np.abs(level - self._converter.dc_level_uv) > self._most_off_uv
        wrong |= (rails >= RAILED_SAMPLES) | (share >= 0.5)
        return wrong

    def _state_of(self, channel: int) -> ChannelState:
        """Return the state of one channel, the first that applies: each explains those below it."""
        second = _last_second(self._measures)
        deviation, line, level, rails, share, rest_uv = (each[..., channel] for each in second)
        limits, off_uv = self._limits, abs(float(level) - self._converter.dc_level_uv)
        if self._first_rules:
            rest_uv = np.sqrt(max(float(deviation[0]) ** 2 - float(line) ** 2 / 2, 0.0))
        if share >= 0.5:
            return ChannelState("missing", f"{100 * share:.0f} % of the last second did not come")
        if rails >= RAILED_SAMPLES:
            return ChannelState("railed", f"{rails:.0f} samples cut off in the last second")
        if off_uv > self._most_off_uv:
            return ChannelState("detached", f"its level is {off_uv:.0f} µV off, limit {self._most_off_uv:g}")
        if deviation[1] < limits.flat_uv:
            return ChannelState("flat", f"deviation {deviation[1]:.3g} µV, limit {limits.flat_uv:g}")
        own = self._is_own(channel, second)
        if own and line > DETACHED_LINE * limits.line_uv:
            return ChannelState("detached", f"{line:.0f} µV of mains: it touches nothing")
        if rest_uv > limits.noisy_uv:
            return ChannelState("noisy", f"deviation {rest_uv:.0f} µV, limit {limits.noisy_uv:g}")
        if line > limits.line_uv:
            below = ", as all channels" if self._first_rules else ", with EEG below them"
            where = "" if own else below
            return ChannelState(
                "line noise", f"{line:.0f} µV of mains{where}, limit {limits.line_uv:g}", not own
            )
        return OK

    def _is_own(self, channel: int, second: _Second) -> bool:
        """Return whether a channel's mains are its own, by the others that measure something."""
        deviation, line, level, rails, share, rest = second
        if self._first_rules:
            return bool(self._n_channels < 3 or line[channel] > OWN_LINE * np.median(line))
        limits = self._limits
        measuring = (share < 0.5) & (rails < RAILED_SAMPLES) & (deviation[1] >= limits.flat_uv)
        # An open wire has noise instead of EEG, or next to nothing.
        measuring &= (rest <= limits.noisy_uv) & (rest >= rest[channel] / OWN_LINE)
        measuring &= np.abs(level - self._converter.dc_level_uv) <= self._most_off_uv
        measuring[channel] = False
        return bool(measuring.any() and line[channel] > OWN_LINE * np.median(line[measuring]))


_MEASURES = ("deviation", "line", "level", "rails", "share", "rest")
_Second = tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]


def _last_second(measures: FloatArray) -> _Second:
    """Sum up the quarters: deviation (second least; most of two), line, level, rails, missing share, rest.

    The second least of four: one quarter with a blink in it makes no channel noisy, nor two. For flatness the last two
    must be flat: a brain is never silent for half a second.
    """
    known = measures[~np.isnan(measures[:, 4, 0])]
    ordered = np.sort(known[:, :2], axis=0)  # NaN last
    second = min(1, len(known) - 1)
    deviation = np.stack([ordered[second, 0], np.maximum.reduce(known[-2:, 0], axis=0)])
    line: FloatArray = ordered[second, 1]
    rest: FloatArray = np.sort(known[:, 5], axis=0)[second]
    return deviation, line, known[-1, 2], np.add.reduce(known[:, 3], axis=0), known[:, 4].mean(axis=0), rest


def _mains_space(mains: Sequence[float], rate_hz: float, n_samples: int) -> FloatArray:
    """Return orthonormal columns: a constant, and the mains with their harmonics, shape (n_samples, n_columns)."""
    found: list[float] = []
    for hz in (hz * order for hz in mains for order in range(1, HARMONICS + 1)):
        folded = abs(hz - round(hz / rate_hz) * rate_hz)
        if USED_BELOW_HZ < folded < rate_hz / 2 - 1 and all(abs(folded - other) > 2 for other in found):
            found.append(folded)
    turns = np.arange(n_samples)[:, None] * (2 * np.pi * np.asarray(found) / rate_hz)
    columns = np.concatenate([np.ones((n_samples, 1)), np.cos(turns), np.sin(turns)], axis=1)
    return np.ascontiguousarray(np.linalg.qr(columns)[0])


def _line_weights(mains: Sequence[float], rate_hz: float, n_samples: int) -> FloatArray:
    """Return the columns (cos, sin for each frequency) whose product with a quarter is the amplitude there."""
    window = np.hanning(n_samples + 2)[1:-1]
    scaled = 2.0 * window / window.sum()
    turns = np.arange(n_samples)[:, None] * (2 * np.pi * np.asarray(mains)[None, :] / rate_hz)
    parts = np.stack([np.cos(turns), np.sin(turns)], axis=-1).reshape(n_samples, -1)
    return np.ascontiguousarray(scaled[:, None] * parts)


class Membership:
    """Which channels are in use: one that is bad for long leaves, one that is good for longer comes back.

    Parameters
    ----------
    n_channels : int
    leave_after, return_after : int
        Successive quarters: 2 s and 5 s.
    """

    def __init__(self, n_channels: int, leave_after: int = 8, return_after: int = 20) -> None:
        self._leave_after, self._return_after = leave_after, return_after
        self._bad_for = [0] * n_channels
        self._good_for = [0] * n_channels
        self.out = [False] * n_channels

    def update(self, states: Sequence[ChannelState]) -> list[int]:
        """Add a quarter's states; return the channels that have just left or come back."""
        if all(state.state == "missing" for state in states):
            return []  # a stream that stopped says nothing of any contact
        changed = []
        for channel, state in enumerate(states):
            bad = state.bad
            self._bad_for[channel] = self._bad_for[channel] + 1 if bad else 0
            self._good_for[channel] = 0 if bad else self._good_for[channel] + 1
            out = self.out[channel]
            if (not out and self._bad_for[channel] >= self._leave_after) or (
                out and self._good_for[channel] >= self._return_after
            ):
                self.out[channel] = not out
                changed.append(channel)
        return changed
