"""Simulated artifacts: blinks, gaze shifts, a clenched jaw, sweat, and electrodes that lose contact.

In: sample times, block after block, and how far the eyes are closed. Out: µV at each electrode, and which
kind of artifact is on. Kept between blocks: what is under way, filter states, the place in each random
stream.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from neurofb.chunk import FloatArray
from neurofb.devices.electrodes import positions
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.simulation.noise import FilteredNoise
from neurofb.simulation.pulses import Pulse, PulseLaw, PulseTrain, Shape, hann, lid, plateau, random_stream
from neurofb.simulation.scalp import mix_into, spread

ArtifactKind = Literal["blink", "saccade", "jaw", "sweat"]
KINDS: tuple[str, ...] = get_args(ArtifactKind)
ContactKind = Literal["off", "noisy", "flat"]

_SHAPES: Mapping[str, Shape] = {"blink": lid, "saccade": plateau, "jaw": plateau, "sweat": hann}
#: How blinks, gaze shifts, clenches and sweat come by themselves: per second, lasting s, size µV. Sizes are
#: at the electrode that sees them best: Fp1/Fp2, F7/F8, T7/T8 (rms), forehead and temples (rms). Some 15
#: blinks a minute of 0.3 s and 100 to 400 µV are usual with open eyes; everything here is assumed.
_USUAL: Mapping[str, PulseLaw] = {
    "blink": PulseLaw(0.25, 0.3, 200.0, duration_cv=0.2, height_sigma=0.35, apart=True),
    "saccade": PulseLaw(0.2, 1.0, 30.0, duration_cv=0.5, height_sigma=0.5, signed=True, apart=True),
    "jaw": PulseLaw(0.01, 1.5, 40.0, height_sigma=0.4, apart=True),
    "sweat": PulseLaw(0.0, 60.0, 80.0, apart=True),
}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A scheduled artifact."""

    kind: ArtifactKind
    start_s: float
    duration_s: float
    #: µV at the electrode that sees it best (jaw and sweat: rms); negative turns a gaze shift to the right. None for
    #: the usual size.
    size_uv: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownName(f"no artifact {self.kind!r}; {nearest(self.kind, KINDS)}")
        if not self.duration_s > 0:
            raise WrongInput(f"an artifact lasts longer than 0 s, found {self.duration_s}")


@dataclass(frozen=True, slots=True)
class BadContact:
    """An electrode that is bad for a while."""

    channel: str
    start_s: float
    duration_s: float
    #: ``off``: floating, sees mains and drift instead of the brain; ``noisy``: too high an impedance, the brain with
    #: mains and hiss on it; ``flat``: bridged to the reference, nothing at all.
    kind: ContactKind = "off"

    def __post_init__(self) -> None:
        if self.kind not in get_args(ContactKind):
            raise UnknownName(f"no contact {self.kind!r}; {nearest(self.kind, get_args(ContactKind))}")
        if not self.duration_s > 0:
            raise WrongInput(f"a bad contact lasts longer than 0 s, found {self.duration_s}")


@dataclass(frozen=True, slots=True)
class ArtifactSettings:
    """Settings of the artifacts."""

    #: How many of each kind start per second, where that is not the usual; 0 for none.
    rates_hz: Mapping[str, float] | None = None
    scheduled: tuple[Artifact, ...] = ()
    contacts: tuple[BadContact, ...] = ()

    def law(self, kind: str) -> PulseLaw:
        """Return how artifacts of a kind come at random."""
        usual = _USUAL[kind]
        rate_hz = (self.rates_hz or {}).get(kind, usual.rate_hz)
        return PulseLaw(
            rate_hz,
            usual.duration_s,
            usual.height,
            usual.duration_cv,
            usual.height_sigma,
            usual.signed,
            usual.apart,
        )


NO_ARTIFACTS = ArtifactSettings(rates_hz=dict.fromkeys(KINDS, 0.0))


class Artifacts:
    """The sizes of all artifacts over time.

    Parameters
    ----------
    settings : ArtifactSettings
    seed : int
    """

    def __init__(self, settings: ArtifactSettings, seed: int) -> None:
        unknown = sorted(set(settings.rates_hz or ()) - set(KINDS))
        if unknown:
            raise UnknownName(f"no artifact {unknown[0]!r} to set the rate of; {nearest(unknown[0], KINDS)}")
        self._random, self._planned = [], []
        for kind in KINDS:
            rng = random_stream(seed, kind)
            usual_uv = _USUAL[kind].height
            pulses = [
                Pulse(each.start_s, each.duration_s, usual_uv if each.size_uv is None else each.size_uv)
                for each in settings.scheduled
                if each.kind == kind
            ]
            self._random.append(PulseTrain(rng, settings.law(kind), _SHAPES[kind]))
            self._planned.append(PulseTrain(rng, PulseLaw(0.0, 1.0), _SHAPES[kind], pulses))

    def make(self, times_s: FloatArray, eyes_closed: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Return the size of each kind in µV and whether it is on, both of shape (n_samples, n_kinds).

        Blinks and gaze shifts that come by themselves stop while the eyes are closed.
        """
        sizes_uv = np.empty((len(times_s), len(KINDS)))
        on = np.empty(sizes_uv.shape, dtype=bool)
        seeing = 1.0 - eyes_closed
        for column, kind in enumerate(KINDS):
            values, happening = self._random[column].render(times_s)
            if kind in ("blink", "saccade"):
                values *= seeing
                happening &= seeing > 0.5
            planned, planned_on = self._planned[column].render(times_s)
            sizes_uv[:, column] = values + planned
            on[:, column] = happening | planned_on
        return sizes_uv, on


class Eyes:
    """Topographies of blinks and gaze shifts: steep exponentials around the eyes.

    A blink makes the forehead positive, about a third as much at F3 and F4 and a few hundredths at the
    back; a gaze to the left makes F7 positive and F8 negative as much.
    """

    def __init__(self, places: FloatArray) -> None:
        blink = _falloff(places, "Fp1") + _falloff(places, "Fp2")
        self._blink = blink / (1.0 + _falloff(positions(["Fp1"]), "Fp2"))
        gaze = _falloff(places, "F7") - _falloff(places, "F8")
        self._gaze = gaze / (1.0 - _falloff(positions(["F7"]), "F8"))

    def add(self, out: FloatArray, blink_uv: FloatArray, gaze_uv: FloatArray) -> None:
        """Add blinks and gaze shifts of these sizes to ``out``, shape (n_samples, n_electrodes), in µV."""
        mix_into(out, np.column_stack([blink_uv, gaze_uv]), np.stack([self._blink, self._gaze]))


def _falloff(places: FloatArray, name: str, scale_rad: float = 0.5) -> FloatArray:
    cosine = np.clip(places @ positions([name])[0], -1.0, 1.0)
    return np.asarray(np.exp(-np.arccos(cosine) / scale_rad), dtype=float)


class Muscles:
    """The chewing muscles on both sides: noise from 20 Hz up, of rms 1 before it is scaled."""

    def __init__(self, places: FloatArray, rate_hz: float, seed: int) -> None:
        self.topographies = spread(positions(["T7", "T8"]), places, 0.5)
        top_hz = min(150.0, 0.45 * rate_hz)  # EMG goes on to some 300 Hz, but falls (assumed)
        sos = signal.butter(2, [20.0, top_hz], "bandpass", fs=rate_hz, output="sos")
        grid_hz, gain = signal.freqz_sos(sos, worN=4096, fs=rate_hz)
        self._scale = 1.0 / np.sqrt(np.trapezoid(np.abs(gain) ** 2, grid_hz) * 2 / rate_hz)
        self._noise = FilteredNoise(random_stream(seed, "muscles"), np.asarray(sos), 2, round(rate_hz))

    def make(self, n_samples: int) -> FloatArray:
        """Return the next block, shape (n_samples, 2), left and right."""
        return np.asarray(self._noise.make(n_samples) * self._scale, dtype=float)


class Skin:
    """Sweat: slow potentials of the forehead and the temples, of rms 1 before they are scaled."""

    def __init__(self, places: FloatArray, rate_hz: float, seed: int) -> None:
        self._topographies = spread(positions(["Fp1", "Fp2", "Fz", "T7", "T8"]), places, 0.5)
        radius = np.exp(
            -2 * np.pi * 0.1 / rate_hz
        )  # two poles at 0.1 Hz: most power below 0.1, little above 0.3
        gain = np.sqrt((1 - radius**2) ** 3 / (1 + radius**2))
        sos = np.array([[gain, 0.0, 0.0, 1.0, -2 * radius, radius**2]])
        self._noise = FilteredNoise(random_stream(seed, "skin"), sos, 5, round(10 * rate_hz))

    def add(self, out: FloatArray, size_uv: FloatArray) -> None:
        """Add the next block to ``out``, shape (n_samples, n_electrodes), in µV."""
        drift = self._noise.make(len(out))
        if size_uv.any():
            mix_into(out, drift * size_uv[:, None], self._topographies)


class Contacts:
    """The effect of bad contacts on the signal.

    Parameters
    ----------
    contacts : sequence of BadContact
    labels : sequence of str
    line_hz : float
        The mains they pick up.
    seed : int
    """

    def __init__(
        self, contacts: Sequence[BadContact], labels: Sequence[str], line_hz: float, seed: int
    ) -> None:
        for contact in contacts:
            if contact.channel not in labels:
                raise UnknownName(
                    f"no channel {contact.channel!r} to go bad; {nearest(contact.channel, labels)}"
                )
        self._contacts = [
            (contact, list(labels).index(contact.channel), random_stream(seed, f"contact {number}"))
            for number, contact in enumerate(contacts)
        ]
        self._line_hz = line_hz

    def make(self, times_s: FloatArray, n_channels: int) -> tuple[FloatArray, FloatArray] | None:
        """Return the factor and the term for the signal, each for all samples; None without a bad contact."""
        here = [
            each
            for each in self._contacts
            if each[0].start_s <= times_s[-1] and times_s[0] < each[0].start_s + each[0].duration_s
        ]
        if not here:
            return None
        keep = np.ones((len(times_s), n_channels))
        extra = np.zeros((len(times_s), n_channels))
        for contact, column, rng in here:
            during = (times_s >= contact.start_s) & (times_s < contact.start_s + contact.duration_s)
            keep[during, column] = 1.0 if contact.kind == "noisy" else 0.0
            extra[during, column] = self._pickup(contact, times_s, rng)[during]
        return keep, extra

    def _pickup(self, contact: BadContact, times_s: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return the signal of a bad electrode, µV; the sizes are assumed."""
        if contact.kind == "flat":
            return np.zeros(len(times_s))
        mains_uv, hiss_uv, wander_uv = (250.0, 10.0, 300.0) if contact.kind == "off" else (30.0, 15.0, 0.0)
        elapsed_s = times_s - contact.start_s
        wander = wander_uv * np.sin(2 * np.pi * 0.15 * elapsed_s)
        mains = mains_uv * np.sin(2 * np.pi * self._line_hz * times_s)
        return np.asarray(mains + wander + hiss_uv * rng.standard_normal(len(times_s)), dtype=float)
