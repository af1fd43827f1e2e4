"""The brain's rhythms: bursts at a stated peak, coupled with a stated coherence and lag.

In: sample times, block after block. Out: one complex signal per regional rhythm, of mean square 1, whose
absolute value is the waxing and waning amplitude and whose angle is the phase. Kept between blocks: filter
states, bursts under way, and the place in each random stream.

A rhythm is complex Gaussian noise through two equal resonators (its amplitude wanders as that of an alpha
rhythm does, its phase drifts), times a floor with bursts on it. Coupling is a sum of signals,
``c·leader·exp(-i·lag) + √(1 - c²)·own``: leader and follower then have coherence c at every frequency and
the lag as the phase of their cross-spectrum, exactly. That is the truth against which an estimate of
synchrony can be held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import signal

from neurofb.chunk import ComplexArray, FloatArray
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.simulation.pulses import PulseLaw, PulseTrain, hann, random_stream

#: Where each region's sources lie, by the 10-05 position above them.
REGIONS: Mapping[str, str] = {
    "frontal_midline": "Fz",
    "left_frontal": "F3",
    "right_frontal": "F4",
    "left_sensorimotor": "C3",
    "right_sensorimotor": "C4",
    "left_temporal": "TP7",
    "right_temporal": "TP8",
    "left_parietal": "P3",
    "right_parietal": "P4",
    "posterior": "Oz",
}


@dataclass(frozen=True, slots=True)
class Rhythm:
    """One rhythm of one region."""

    #: Where (see ``REGIONS``) and what it is called; together its name, as ``posterior.alpha``.
    region: str
    band: str
    #: The frequency of its peak and the full width at half maximum of the steady part of its spectrum.
    peak_hz: float
    width_hz: float
    #: Root mean square at the electrode above the region, eyes open, without heat, in µV.
    rms_uv: float
    #: What its amplitude is multiplied by when the eyes are closed, and at full pain on the side opposite to the heat
    #: or on the midline (the side of the heat has half of that change; assumed).
    closed_gain: float = 1.0
    pain_gain: float = 1.0
    #: Bursts per second, cycles per burst on average, and what remains between bursts as a part of a burst.
    burst_rate_hz: float = 0.5
    burst_cycles: float = 10.0
    floor: float = 0.4

    def __post_init__(self) -> None:
        if self.region not in REGIONS:
            raise UnknownName(f"no region {self.region!r} for a rhythm; {nearest(self.region, REGIONS)}")
        if not (self.peak_hz > 0 and 0 < self.width_hz <= self.peak_hz and self.rms_uv >= 0):
            raise WrongInput(
                f"{self.name} needs peak_hz > 0, 0 < width_hz <= peak_hz and rms_uv >= 0, found {self}"
            )

    @property
    def name(self) -> str:
        """Its name, ``region.band``."""
        return f"{self.region}.{self.band}"


@dataclass(frozen=True, slots=True)
class Coupling:
    """A rhythm that follows another."""

    #: Names of two rhythms with the same peak, width and bursts.
    leader: str
    follower: str
    #: Their coherence (magnitude), 0 to 1; also the correlation of their complex signals.
    strength: float
    #: How far the follower's phase is behind the leader's.
    lag_rad: float = np.pi / 2

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise WrongInput(f"the strength of a coupling lies between 0 and 1, found {self.strength}")


def resting_rhythms() -> tuple[Rhythm, ...]:
    """Return the rhythms of a resting adult.

    Directions are those of the literature: alpha rises when the eyes close, most of all at the back; under
    heat, central alpha and beta fall, frontal gamma and theta rise (Peng 2014, doi
    10.1371/journal.pone.0091052; Schulz 2015, PMC4816790). All amplitudes and the sizes of these changes
    are assumed. Gamma stands at 40 Hz so that the slowest headsets (125 Hz) can carry it.
    """
    alpha = {"peak_hz": 10.0, "width_hz": 1.5}
    beta = {"peak_hz": 20.0, "width_hz": 4.0}
    gamma = {"peak_hz": 40.0, "width_hz": 10.0, "burst_cycles": 12.0}
    rhythms = [
        Rhythm("posterior", "alpha", rms_uv=4.0, closed_gain=3.0, **alpha),
        Rhythm("frontal_midline", "theta", peak_hz=6.0, width_hz=1.2, rms_uv=3.0, pain_gain=1.35),
        Rhythm("frontal_midline", "gamma", rms_uv=0.6, pain_gain=1.8, **gamma),
    ]
    for side in ("left", "right"):
        rhythms += [
            Rhythm(f"{side}_parietal", "alpha", rms_uv=2.5, closed_gain=2.5, **alpha),
            Rhythm(f"{side}_sensorimotor", "alpha", rms_uv=4.0, closed_gain=1.1, pain_gain=0.6, **alpha),
            Rhythm(f"{side}_sensorimotor", "beta", rms_uv=1.6, pain_gain=0.8, **beta),
            Rhythm(f"{side}_sensorimotor", "gamma", rms_uv=0.4, pain_gain=1.6, **gamma),
            Rhythm(f"{side}_temporal", "alpha", rms_uv=2.0, closed_gain=2.0, **alpha),
            Rhythm(f"{side}_frontal", "alpha", rms_uv=2.0, closed_gain=1.5, **alpha),
            Rhythm(f"{side}_frontal", "beta", rms_uv=1.2, **beta),
        ]
    return tuple(rhythms)


class _Carrier:
    """One rhythm on its own, as complex noise of mean square 1."""

    def __init__(self, rhythm: Rhythm, rate_hz: float, seed: int) -> None:
        self._rng = random_stream(seed, f"rhythm {rhythm.name}")
        # Two equal poles with half-width h each give a full width of 2h·√(√2 - 1) at half maximum.
        half_width_hz = rhythm.width_hz / (2 * np.sqrt(np.sqrt(2) - 1))
        radius = np.exp(-2 * np.pi * half_width_hz / rate_hz)
        pole = radius * np.exp(2j * np.pi * rhythm.peak_hz / rate_hz)
        self._a = np.array([1.0, -2 * pole, pole**2])
        # The variance that white noise of variance 1 has behind two poles of this radius.
        variance = (1 + radius**2) / (1 - radius**2) ** 3
        self._b = np.array([np.sqrt(0.5 / variance)])
        self._state = np.zeros(2, dtype=complex)
        self._resonate(round(8 * rate_hz / half_width_hz / (2 * np.pi)) + 1)
        law = PulseLaw(rhythm.burst_rate_hz, rhythm.burst_cycles / rhythm.peak_hz)
        self._bursts = PulseTrain(random_stream(seed, f"bursts {rhythm.name}"), law, hann)
        # Campbell: overlapping random pulses have mean rate·∫h and variance rate·∫h²; of sin² these are
        # 1/2, 3/8.
        busy = law.rate_hz * law.duration_s
        self._floor = rhythm.floor
        self._scale = 1 / np.sqrt((rhythm.floor + busy / 2) ** 2 + 3 / 8 * busy)

    def _resonate(self, n_samples: int) -> ComplexArray:
        noise = self._rng.standard_normal((n_samples, 2)).view(complex)[:, 0]
        out, self._state = signal.lfilter(self._b, self._a, noise, zi=self._state)
        return np.asarray(out, dtype=complex)

    def make(self, times_s: FloatArray) -> ComplexArray:
        envelope, _ = self._bursts.render(times_s)
        envelope += self._floor
        return np.asarray(self._resonate(len(times_s)) * (envelope * self._scale), dtype=complex)


class RhythmBank:
    """The rhythms of a head, coupled.

    Parameters
    ----------
    rhythms : sequence of Rhythm
        Their order is that of the columns.
    couplings : sequence of Coupling
        At most one leader for each follower, and no circle.
    rate_hz : float
    seed : int
    """

    def __init__(
        self, rhythms: Sequence[Rhythm], couplings: Sequence[Coupling], rate_hz: float, seed: int
    ) -> None:
        self.names = tuple(rhythm.name for rhythm in rhythms)
        _check_rhythms(rhythms, rate_hz)
        self._carriers = [_Carrier(rhythm, rate_hz, seed) for rhythm in rhythms]
        by_name = {rhythm.name: rhythm for rhythm in rhythms}
        for coupling in couplings:
            _check_pair(coupling, by_name)
        self._couplings = _leaders_first(couplings)

    def make(self, times_s: FloatArray) -> ComplexArray:
        """Return the next block, shape (n_samples, n_rhythms), mean square 1."""
        out = np.empty((len(times_s), len(self._carriers)), dtype=complex)
        for column, carrier in enumerate(self._carriers):
            out[:, column] = carrier.make(times_s)
        for coupling in self._couplings:
            leader, follower = self.names.index(coupling.leader), self.names.index(coupling.follower)
            out[:, follower] *= np.sqrt(1 - coupling.strength**2)
            out[:, follower] += coupling.strength * np.exp(-1j * coupling.lag_rad) * out[:, leader]
        return out


def _check_rhythms(rhythms: Sequence[Rhythm], rate_hz: float) -> None:
    names = [rhythm.name for rhythm in rhythms]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise WrongInput(
            f"{', '.join(twice)} is there more than once; give each rhythm of a region its own band"
        )
    for rhythm in rhythms:
        if rhythm.peak_hz + rhythm.width_hz / 2 >= rate_hz / 2:
            raise WrongInput(
                f"{rhythm.name} peaks at {rhythm.peak_hz} Hz, which {rate_hz} Hz cannot carry; "
                f"peak_hz + width_hz/2 must lie below {rate_hz / 2} Hz"
            )


def _check_pair(coupling: Coupling, by_name: Mapping[str, Rhythm]) -> None:
    for name in (coupling.leader, coupling.follower):
        if name not in by_name:
            raise UnknownName(f"no rhythm {name!r} to couple; {nearest(name, by_name)}")
    shapes = [
        (each.peak_hz, each.width_hz, each.burst_rate_hz, each.burst_cycles, each.floor)
        for each in (by_name[coupling.leader], by_name[coupling.follower])
    ]
    if shapes[0] != shapes[1]:
        raise WrongInput(
            f"{coupling.leader} and {coupling.follower} differ in peak, width or bursts ({shapes[0]} and "
            f"{shapes[1]}), so their true coherence is not one number; couple rhythms that are alike"
        )


def _leaders_first(couplings: Sequence[Coupling]) -> list[Coupling]:
    """Order the couplings so that a leader is complete before its followers take from it."""
    followers = [coupling.follower for coupling in couplings]
    twice = sorted({name for name in followers if followers.count(name) > 1})
    if twice:
        raise WrongInput(f"{', '.join(twice)} has more than one leader; a rhythm can follow only one")
    waiting, ordered = list(couplings), []
    while waiting:
        open_followers = {coupling.follower for coupling in waiting}
        ready = [coupling for coupling in waiting if coupling.leader not in open_followers]
        if not ready:
            raise WrongInput(
                f"{', '.join(sorted(open_followers))} follow each other in a circle; leave one link out"
            )
        ordered += ready
        waiting = [coupling for coupling in waiting if coupling not in ready]
    return ordered
