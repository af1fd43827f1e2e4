"""A participant's own numbers from the first baselines: alpha peak, spectrum, limits of artifacts.

In: the samples of each baseline in µV, or the folder of an earlier session. Out: a frozen `ParticipantFit`, or a
`ParticipantRecord` of the fit and the baselines; JSON holds both to the last bit (``baseline.json``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurofb import limits
from neurofb.chunk import FloatArray
from neurofb.dsp.artifacts import Calibration
from neurofb.dsp.rules import BLINKS_BY_EFFECT, CURRENT, FIRST, SHARP_RHYTHMS, known
from neurofb.dsp.spectrum import SHORTEST_BASELINE_S, Spectrum, baseline_spectrum, with_mains
from neurofb.errors import UnknownFile, WrongFile, WrongInput
from neurofb.features.alpha_frequency import SHORTEST_S as SHORTEST_ALPHA_S
from neurofb.features.alpha_frequency import AlphaFrequency, alpha_frequency
from neurofb.features.feature_estimators import Reference
from neurofb.features.presets import AnyFeature
from neurofb.feedback.baseline import Baseline
from neurofb.loop.blink_effects import BlinkFit, fit_blinks
from neurofb.spatial.montage import Montage

#: The bands follow the alpha peak of the back of the head, which is the usual measure.
IAF_REGION = "posterior"
#: In a session's folder: its `ParticipantRecord`.
BASELINE_FILE = "baseline.json"


@dataclass(frozen=True, eq=False)
class ParticipantFit:
    """A participant's EEG as measured from baselines, to which the pipeline is fitted."""

    #: The sample that the measured ones end before.
    until: int
    #: Alpha peak; None if there is no clear one, and 10 Hz are taken for it.
    iaf_hz: float | None
    calibration: Calibration
    spectrum: Spectrum
    #: Sentences for the researcher.
    notes: tuple[str, ...] = ()
    #: By which it was measured; a session that is given it goes by them, too.
    rules: int = CURRENT
    #: Blinks, and what they do to each feature; None where too few were seen.
    blinks: BlinkFit | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        limits = self.calibration
        return {
            "until": self.until,
            "iaf_hz": self.iaf_hz,
            "calibration": {
                "swing_uv": list(limits.swing_uv),
                "jump_uv": list(limits.jump_uv),
                "muscle_uv2": list(limits.muscle_uv2),
                "source": limits.source,
            },
            "spectrum": _spectrum_as_dict(self.spectrum),
            "notes": list(self.notes),
            "rules": self.rules,
            "blinks": None if self.blinks is None else self.blinks.as_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ParticipantFit:
        """Return the fit that ``as_dict`` was called on.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a key is missing or its value is of another kind.
        """
        limits, spectrum = content["calibration"], content["spectrum"]
        return cls(
            int(content["until"]),
            None if content["iaf_hz"] is None else float(content["iaf_hz"]),
            Calibration(
                tuple(limits["swing_uv"]),
                tuple(limits["jump_uv"]),
                tuple(limits["muscle_uv2"]),
                str(limits["source"]),
            ),
            _spectrum_from_dict(spectrum),
            tuple(content.get("notes", ())),
            known(content.get("rules", FIRST)),
            None if content.get("blinks") is None else BlinkFit.from_dict(content["blinks"]),
        )


@dataclass(frozen=True, eq=False)
class ParticipantRecord:
    """A session's record of its participant for later sessions: the fit, and the baselines that feedback needs."""

    fit: ParticipantFit
    baselines: tuple[Baseline, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            **self.fit.as_dict(),
            "baselines": [each.model_dump(mode="json") for each in self.baselines],
        }

    @classmethod
    def from_dict(cls, content: Any, title: str = "the baseline given") -> ParticipantRecord:
        """Return the record that ``as_dict`` was called on; messages call it ``title``.

        Raises
        ------
        WrongFile
            If it is something else: what is wrong with it.
        WrongInput
            If one of its baselines cannot be scored against.
        """
        try:
            if not isinstance(content, dict):
                raise TypeError("needed is a table with spectrum, iaf_hz and baselines")
            participant_fit, baselines = (
                ParticipantFit.from_dict(content),
                tuple(content.get("baselines", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            wrong = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise _not_a_record(title, wrong) from None
        return cls(participant_fit, tuple(Baseline.read(each) for each in baselines))


def read_baseline(path: str | Path) -> ParticipantRecord:
    """Return the participant's record in the folder of a session, or in its ``baseline.json``.

    Raises
    ------
    UnknownFile
        If there is nothing.
    WrongFile
        If it is something else: what is wrong with it.
    WrongInput
        If one of its baselines cannot be scored against.
    """
    file = Path(path)
    file = file / BASELINE_FILE if file.is_dir() else file
    if not file.is_file():
        raise UnknownFile(
            f"no baseline in {path}: a session's folder has {BASELINE_FILE} once its baselines are taken; give such a "
            "folder"
        )
    try:
        content = limits.read_json(file)
    except ValueError as error:
        raise _not_a_record(str(file), str(error)) from None
    return ParticipantRecord.from_dict(content, str(file))


def _not_a_record(title: str, wrong: str) -> WrongFile:
    return WrongFile(
        f"{title} is not what a session writes about its participant: {wrong}; give the folder of a session that "
        "neurofb recorded"
    )


def fit(
    baselines: Mapping[str, FloatArray],
    montage: Montage,
    rate_hz: float,
    until: int,
    rules: int = CURRENT,
    features: Sequence[AnyFeature] = (),
    reference: Reference = None,
) -> ParticipantFit:
    """Measure a participant.

    Parameters
    ----------
    baselines : mapping of str to ndarray, shape (n_samples, n_channels)
        µV, NaN where missing, by kind: ``iaf`` (closed eyes, for the alpha peak), ``eyes`` (blinks and glances) and
        others, at least one.
    montage : Montage
    rate_hz : float
    until : int
        The sample that they end before.
    rules : int
        See `neurofb.dsp.rules`.
    features : sequence of declared features
        Those to measure the effect of blinks on.
    reference : "average", sequence of str or None
        As the pipeline will have it.

    Raises
    ------
    WrongInput
        If there is too little: how much is needed.
    """
    if not baselines:
        raise WrongInput("there is no baseline to measure a participant from")
    rest = [each for kind, each in baselines.items() if kind not in ("iaf", "eyes")] or list(
        baselines.values()
    )
    x = np.concatenate(rest)
    good = _measurable(x, rate_hz)
    notes = [f"{label} could not be measured: flat or missing" for label, is_good in
             zip(montage.labels, good, strict=True) if not is_good]  # fmt: skip
    if np.isnan(x).all():
        raise WrongInput(
            f"no sample came in the baseline of {len(x) / rate_hz:.1f} s; look whether the headset's program still "
            "sends, as with: neurofb streams"
        )
    if not good.any():
        raise WrongInput(
            f"no channel has {SHORTEST_BASELINE_S:g} s of EEG in the baseline of {len(x) / rate_hz:.1f} s; "
            "look at the contact of the electrodes and take the baseline again"
        )
    alpha = _alpha(baselines.get("iaf", x), montage, rate_hz)
    if not alpha.found:
        notes.append(f"alpha peak: {alpha.why}; 10 Hz are taken for it")
    iaf_hz, spectrum = alpha.peak_hz if alpha.found else None, _spectrum(x, good, rate_hz)
    blinks = None
    if rules >= BLINKS_BY_EFFECT and features:
        parts = [each for kind, each in baselines.items() if kind != "iaf"]
        blinks, why = fit_blinks(
            parts, good, features, montage, rate_hz, reference, (iaf_hz, with_mains(spectrum))
        )
        if why:
            notes.append(f"blinks: {why}; each feature is withheld in blinks")
    return ParticipantFit(
        until,
        iaf_hz,
        _calibration(x, good, rate_hz),
        spectrum if rules >= SHARP_RHYTHMS else spectrum.without_fine(),
        tuple(notes),
        rules,
        blinks,
    )


def _measurable(x: FloatArray, rate_hz: float) -> NDArray[np.bool_]:
    """Return which channels have enough samples that are not all the same."""
    there = np.isfinite(x)
    enough = there.sum(axis=0) >= SHORTEST_BASELINE_S * rate_hz
    lowest = np.where(there, x, np.inf).min(axis=0, initial=np.inf)
    highest = np.where(there, x, -np.inf).max(axis=0, initial=-np.inf)
    return np.asarray(enough & (highest > lowest))


def _alpha(x: FloatArray, montage: Montage, rate_hz: float) -> AlphaFrequency:
    if len(x) < SHORTEST_ALPHA_S * rate_hz:
        why = f"{len(x) / rate_hz:.1f} s of baseline, {SHORTEST_ALPHA_S:g} s needed"
        return AlphaFrequency(math.nan, math.nan, math.nan, 0, why)
    named = montage.regions.get(IAF_REGION, montage.labels)
    return alpha_frequency(x[:, [montage.labels.index(label) for label in named]], rate_hz)


def _calibration(x: FloatArray, good: NDArray[np.bool_], rate_hz: float) -> Calibration:
    """Measure the limits of good channels; the others keep the assumed ones."""
    measured = Calibration.from_baseline(np.ascontiguousarray(x[:, good]), rate_hz)
    if good.all():
        return measured
    assumed = Calibration.assumed(len(good))

    def merged(name: str) -> tuple[float, ...]:
        limits = np.array(getattr(assumed, name))
        limits[good] = getattr(measured, name)
        return tuple(limits.tolist())

    return Calibration(merged("swing_uv"), merged("jump_uv"), merged("muscle_uv2"), measured.source)


def _spectrum(x: FloatArray, good: NDArray[np.bool_], rate_hz: float) -> Spectrum:
    """Measure the spectra of good channels; the others get the mean of those."""
    measured = baseline_spectrum(np.ascontiguousarray(x[:, good]), rate_hz)
    if good.all():
        return measured
    return _filled_up(measured, good)


def _filled_up(measured: Spectrum, good: NDArray[np.bool_]) -> Spectrum:
    density = np.repeat(measured.density.mean(axis=0, keepdims=True), len(good), axis=0)
    density[good] = measured.density
    fine = None if measured.fine is None else _filled_up(measured.fine, good)
    return Spectrum(measured.freqs_hz, density, fine)


def _spectrum_as_dict(spectrum: Spectrum) -> dict[str, Any]:
    content: dict[str, Any] = {
        "freqs_hz": spectrum.freqs_hz.tolist(),
        "density": spectrum.density.tolist(),
    }
    return content if spectrum.fine is None else {**content, "fine": _spectrum_as_dict(spectrum.fine)}


def _spectrum_from_dict(content: Mapping[str, Any]) -> Spectrum:
    fine = content.get("fine")
    return Spectrum(
        np.array(content["freqs_hz"]),
        np.array(content["density"]),
        None if fine is None else _spectrum_from_dict(fine),
    )
