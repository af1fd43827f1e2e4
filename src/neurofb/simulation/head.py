"""A simulated head: EEG at the electrodes in µV, with the ground truth of its parts.

In: how many samples; the temperature of the skin; gains that a learner sets. Out: ``HeadSignal``. Kept: a
block of ``BLOCK`` samples made ahead, and the states of everything random.

Two layers, so that the same samples come out however they are asked for, and the head still reacts at once:

- everything random (rhythms of unit size, noise, artifacts) does not depend on any input; it is made ahead
  in blocks of a fixed size, where filters and random numbers always see the same pieces;
- what depends on inputs (pain, gains) is applied to each sample when it is asked for, with elementwise
  arithmetic and a first-order recursion, which give the same bits for any chunking.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from neurofb.chunk import FloatArray
from neurofb.devices.electrodes import position, positions
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.simulation.artifacts import KINDS, Artifacts, ArtifactSettings, Contacts, Eyes, Muscles, Skin
from neurofb.simulation.noise import Background, NoiseSettings, Pickup
from neurofb.simulation.rhythms import REGIONS, Coupling, Rhythm, RhythmBank, resting_rhythms
from neurofb.simulation.scalp import mix_into, spread

BLOCK = 256
#: Blur of a rhythm's source on the scalp, rad: C3 sees a fiftieth of what lies under C4.
_RHYTHM_WIDTH_RAD = 0.45
#: The eyes' effect on the rhythms comes and goes with this time constant (assumed).
_EYES_LAG_S = 0.3

EyesState = Literal["open", "closed"]
#: From the times of samples, in seconds since the first, to temperatures of the skin in °C, same shape.
Temperature = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class HeatReaction:
    """The response to heat: from skin temperature to pain, and effects of pain other than ``pain_gain``."""

    #: The side of the body that is heated; the rhythms of the other side of the head react most.
    side: Literal["left", "right"] = "left"
    #: Pain is 0 up to the first and 1 from the second temperature on, a straight line between (assumed; heat pain
    #: thresholds lie around 44 °C).
    threshold_c: float = 44.0
    full_c: float = 49.0
    #: Time constant with which pain follows the temperature (assumed).
    lag_s: float = 0.8
    #: EMG of the temples at full pain, rms µV: people tense (assumed).
    tension_uv: float = 1.5
    #: The temperature of the skin where nothing else is said.
    rest_c: float = 32.0

    def __post_init__(self) -> None:
        if self.side not in ("left", "right"):
            raise WrongInput(f"the heated side is left or right, found {self.side!r}")
        if not (self.full_c > self.threshold_c and self.lag_s > 0):
            raise WrongInput(f"a heat reaction needs full_c > threshold_c and lag_s > 0, found {self}")

    def gain(self, rhythm: Rhythm) -> float:
        """Return the gain of a rhythm at full pain; on the heated side half of the change is seen."""
        change = rhythm.pain_gain - 1.0
        return 1.0 + (0.5 * change if rhythm.region.startswith(self.side) else change)


@dataclass(frozen=True, slots=True)
class HeadSettings:
    """Settings of a simulated head."""

    seed: int = 0
    #: From when on, in seconds, the eyes are what; the first entry counts from the start.
    eyes: tuple[tuple[float, EyesState], ...] = ((0.0, "open"),)
    rhythms: tuple[Rhythm, ...] = field(default_factory=resting_rhythms)
    #: None by default: all rhythms are independent, so every synchrony that is seen is blur.
    couplings: tuple[Coupling, ...] = ()
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    artifacts: ArtifactSettings = field(default_factory=ArtifactSettings)
    heat: HeatReaction = field(default_factory=HeatReaction)
    #: 10-05 positions whose mean is subtracted from every electrode; empty for a reference that sees nothing.
    reference: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wrong = [state for _, state in self.eyes if state not in ("open", "closed")]
        if wrong or not self.eyes:
            raise WrongInput(
                f"eyes are open or closed from some time on, as ((0.0, 'open'),); found {self.eyes!r}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Ground truth of the head's samples."""

    #: Each rhythm at its source, in the order of ``Head.rhythm_names``; its signal is amplitude · cos(phase); shape
    #: (n_samples, n_rhythms).
    amplitude_uv: FloatArray
    phase_rad: FloatArray
    #: Whether an artifact of each of ``Head.artifact_kinds`` is on; the last is a bad contact; shape (n_samples,
    #: n_kinds).
    artifacts: NDArray[np.bool_]
    #: 0 to 1; shape (n_samples,).
    pain: FloatArray
    #: Shape (n_samples,).
    temperature_c: FloatArray
    #: 0 to 1; shape (n_samples,).
    eyes_closed: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class HeadSignal:
    """A run of samples of the head."""

    #: µV; shape (n_samples, n_electrodes).
    samples: FloatArray
    #: How many samples came before.
    first_index: int
    truth: Truth


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The part of ``BLOCK`` samples that depends on no input."""

    fixed_uv: FloatArray
    waves: FloatArray
    amplitude: FloatArray
    phase_rad: FloatArray
    muscles: FloatArray
    clench_uv: FloatArray
    on: NDArray[np.bool_]
    closed: FloatArray
    contact: tuple[FloatArray, FloatArray] | None


class Head:
    """A seeded head under given electrodes.

    Parameters
    ----------
    electrodes : sequence of str
        10-05 positions, in the order of the columns.
    rate_hz : float
    settings : HeadSettings
    temperature : callable, optional
        Gives the temperature of the skin for the times of samples; None for skin at rest.
    labels : sequence of str, optional
        Names of the channels for ``BadContact``, where they are not the positions.
    """

    artifact_kinds: tuple[str, ...] = (*KINDS, "contact")

    def __init__(
        self,
        electrodes: Sequence[str],
        rate_hz: float,
        settings: HeadSettings | None = None,
        temperature: Temperature | None = None,
        labels: Sequence[str] | None = None,
    ) -> None:
        self.settings = settings = settings or HeadSettings()
        self.rate_hz = float(rate_hz)
        self.temperature = temperature
        self.rhythm_names = tuple(rhythm.name for rhythm in settings.rhythms)
        self.n_electrodes = len(electrodes)
        places = positions([*electrodes, *settings.reference])
        self._bank = RhythmBank(settings.rhythms, settings.couplings, self.rate_hz, settings.seed)
        self._background = Background(places, self.rate_hz, settings.noise, settings.seed)
        self._pickup = Pickup(len(places), self.rate_hz, settings.noise, settings.seed)
        self._artifacts = Artifacts(settings.artifacts, settings.seed)
        self._eyes, self._skin = Eyes(places), Skin(places, self.rate_hz, settings.seed)
        self._muscles = Muscles(places, self.rate_hz, settings.seed)
        bad = settings.artifacts.contacts
        self._contacts = Contacts(bad, labels or electrodes, settings.noise.line_hz, settings.seed)
        self._size_uv = np.sqrt(2) * np.array([rhythm.rms_uv for rhythm in settings.rhythms])
        self._pain_change = np.array([settings.heat.gain(rhythm) - 1.0 for rhythm in settings.rhythms])
        self._closed_change = np.array([rhythm.closed_gain - 1.0 for rhythm in settings.rhythms])
        sources = np.array([position(REGIONS[rhythm.region]) for rhythm in settings.rhythms]).reshape(-1, 3)
        self._topographies = spread(sources, places, _RHYTHM_WIDTH_RAD)
        self._gains = np.ones(len(settings.rhythms))
        self._pain_state = np.zeros(1)
        self._closed_state = np.array([_lag(_EYES_LAG_S, self.rate_hz) * (settings.eyes[0][1] == "closed")])
        self._block: _Block | None = None
        self._index = 0

    @property
    def next_index(self) -> int:
        """Index of the next sample."""
        return self._index

    def gain(self, rhythm: str) -> float:
        """Return the present factor of a rhythm's amplitude."""
        return float(self._gains[self._column(rhythm)])

    def set_gain(self, rhythm: str, gain: float) -> None:
        """Multiply the amplitude of a rhythm by ``gain`` from the next sample on."""
        if not (gain >= 0 and np.isfinite(gain)):
            raise WrongInput(f"the gain of {rhythm} must be 0 or more, found {gain}")
        self._gains[self._column(rhythm)] = gain

    def _column(self, rhythm: str) -> int:
        if rhythm not in self.rhythm_names:
            raise UnknownName(f"the head has no rhythm {rhythm!r}; {nearest(rhythm, self.rhythm_names)}")
        return self.rhythm_names.index(rhythm)

    def topography(self, rhythm: str) -> FloatArray:
        """Return how strongly each electrode sees a rhythm, against the reference, shape (n_electrodes,)."""
        seen = self._topographies[self._column(rhythm)]
        reference = seen[self.n_electrodes :]
        return np.asarray(
            seen[: self.n_electrodes] - (reference.mean() if len(reference) else 0.0), dtype=float
        )

    def generate(self, n_samples: int) -> HeadSignal:
        """Return the next ``n_samples`` samples and their truth."""
        if n_samples < 0:
            raise WrongInput(f"a head can give 0 samples or more, asked for {n_samples}")
        pieces = []
        first = self._index
        while self._index < first + n_samples:
            if self._block is None or self._index % BLOCK == 0:
                self._block = self._make_block()
            start = self._index % BLOCK
            stop = min(BLOCK, start + first + n_samples - self._index)
            pieces.append(self._finish(self._block, slice(start, stop)))
            self._index += stop - start
        return _joined(pieces, first) if pieces else self._nothing()

    def _make_block(self) -> _Block:
        times_s = (self._index + np.arange(BLOCK)) / self.rate_hz
        closed = self._eyes_closed(times_s)
        sizes_uv, on = self._artifacts.make(times_s, closed)
        fixed = np.zeros((BLOCK, self._topographies.shape[1]))
        self._background.add(fixed)
        self._pickup.add(fixed, times_s)
        self._eyes.add(fixed, sizes_uv[:, 0], sizes_uv[:, 1])
        self._skin.add(fixed, sizes_uv[:, 3])
        contact = self._contacts.make(times_s, self.n_electrodes)
        rhythms = self._bank.make(times_s)
        return _Block(
            fixed_uv=fixed,
            waves=np.ascontiguousarray(rhythms.real),
            amplitude=np.abs(rhythms),
            phase_rad=np.angle(rhythms),
            muscles=self._muscles.make(BLOCK),
            clench_uv=sizes_uv[:, 2],
            on=np.column_stack([on, np.any(contact[0] != 1, axis=1) if contact else np.zeros(BLOCK, bool)]),
            closed=closed,
            contact=contact,
        )

    def _eyes_closed(self, times_s: FloatArray) -> FloatArray:
        target = np.zeros(len(times_s))
        for from_s, state in self.settings.eyes:
            target[times_s >= from_s] = state == "closed"
        closed, self._closed_state = _follow(target, _lag(_EYES_LAG_S, self.rate_hz), self._closed_state)
        return closed

    def _finish(self, block: _Block, part: slice) -> HeadSignal:
        """Apply what depends on inputs: elementwise, so that the bits do not depend on the chunking."""
        heat = self.settings.heat
        n_samples = part.stop - part.start
        temperature_c = np.full(n_samples, heat.rest_c)
        if self.temperature is not None:
            temperature_c[:] = self.temperature((self._index + np.arange(n_samples)) / self.rate_hz)
        target = np.clip((temperature_c - heat.threshold_c) / (heat.full_c - heat.threshold_c), 0.0, 1.0)
        pain, self._pain_state = _follow(target, _lag(heat.lag_s, self.rate_hz), self._pain_state)
        closed = block.closed[part]
        size_uv = (self._size_uv * self._gains) * (1.0 + pain[:, None] * self._pain_change)
        size_uv *= 1.0 + closed[:, None] * self._closed_change
        out = block.fixed_uv[part].copy()
        mix_into(out, size_uv * block.waves[part], self._topographies)
        tension_uv = block.clench_uv[part] + heat.tension_uv * pain
        mix_into(out, block.muscles[part] * tension_uv[:, None], self._muscles.topographies)
        out = self._against_reference(out)
        if block.contact is not None:
            out = out * block.contact[0][part] + block.contact[1][part]
        truth = Truth(
            size_uv * block.amplitude[part],
            block.phase_rad[part],
            block.on[part],
            pain,
            temperature_c,
            closed,
        )
        return HeadSignal(out, self._index, truth)

    def _against_reference(self, out: FloatArray) -> FloatArray:
        n = self.n_electrodes
        if out.shape[1] == n:
            return out
        reference = out[:, n].copy()
        for column in range(n + 1, out.shape[1]):
            reference += out[:, column]
        return np.asarray(out[:, :n] - (reference / (out.shape[1] - n))[:, None], dtype=float)

    def _nothing(self) -> HeadSignal:
        n_rhythms = len(self.rhythm_names)
        empty = np.empty(0)
        truth = Truth(
            np.empty((0, n_rhythms)),
            np.empty((0, n_rhythms)),
            np.empty((0, len(self.artifact_kinds)), dtype=bool),
            empty,
            empty,
            empty,
        )
        return HeadSignal(np.empty((0, self.n_electrodes)), self._index, truth)


def _lag(time_constant_s: float, rate_hz: float) -> float:
    """Return the pole of a first-order lag."""
    return float(np.exp(-1.0 / (time_constant_s * rate_hz)))


def _follow(target: FloatArray, pole: float, state: FloatArray) -> tuple[FloatArray, FloatArray]:
    followed, state = signal.lfilter([1.0 - pole], [1.0, -pole], target, zi=state)
    return np.asarray(followed, dtype=float), np.asarray(state, dtype=float)


def _joined(pieces: list[HeadSignal], first_index: int) -> HeadSignal:
    if len(pieces) == 1:
        return pieces[0]

    def join(name: str) -> NDArray[np.generic]:
        return np.concatenate([getattr(piece.truth, name) for piece in pieces])

    truth = Truth(**{name: join(name) for name in Truth.__slots__})  # type: ignore[arg-type]
    return HeadSignal(np.concatenate([piece.samples for piece in pieces]), first_index, truth)
