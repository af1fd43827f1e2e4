"""Which signals of a file are EEG, what they are called, and how many µV one of their unit is.

In: what the file says of each signal. Out: columns, labels, scales, and a note for everything that was left out. A
value is right or absent: a signal whose unit cannot be told is refused by name, unless the user says the unit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neurofb import limits
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import columns_of_profile, unit_uv
from neurofb.devices.electrodes import OLD_POSITIONS, is_position, standard_label, standard_labels
from neurofb.errors import WrongFile, WrongInput

#: Units that no EEG has, in lower case; a signal in one of them is left out, whatever it is called.
_OTHER_UNITS = frozenset({
    "degc", "deg", "°c", "c", "celsius", "degf", "°f", "k", "%", "bpm", "1/min", "/min", "rpm", "mmhg", "cmh2o",
    "mbar", "hpa", "kpa", "pa", "bar", "l/min", "l/s", "ml", "ml/s", "l", "lux", "lx", "g", "mg", "m/s2", "m/s^2",
    "m/s²", "dps", "deg/s", "°/s", "rad/s", "rad", "ohm", "ohms", "kohm", "Ω", "ω", "kω", "s", "ms", "us", "µs",
    "μs", "us/cm", "siemens", "hz", "khz", "n", "mm", "cm", "m", "bool", "boolean", "a.u.", "au", "db", "dbm", "t",
    "ft", "counts",
})  # fmt: skip
#: Words by which a label says that its signal is something else: the standard texts of EDF+
#: (https://www.edfplus.info/specs/edftexts.html) and names that amplifiers give to their other inputs.
_OTHER_KIND = re.compile(
    r"(?<![a-z])([HV]?EOG[LRUD]?|ECG|EKG|EMG|ERG|MEG|MCG|GSR|EDA|PPG|PPW|BVP|resp\w*|temp\w*|sao2|spo2|osat|pulse\w*|"
    r"pleth\w*|air ?flow|flow|nasal|snor\w*|light|sound|mic\w*|events?|markers?|trig\w*|status|sti\w*|battery|accel\w*|"
    r"acc[ _-]?[xyz]?|gyro\w*|aux[ _-]?\w*|photo\w*|exg[ _-]?\d*|counter|"
    r"body|thor\w*|abdo\w*|chest|hr|rate|position|annotations?|"
    r"timestamps?|sample ?(?:index|counter))(?![a-z])",
    re.IGNORECASE,
)
_EEG = re.compile(r"EEG[ _:-]", re.IGNORECASE)
_PARTS = re.compile(r"[-–/]")
#: How caps number their electrodes: ``E12``, ``A5``, ``Ch 3``, ``EEG 001``.
_NUMBERED = re.compile(r"(EEG|[a-z]{1,2}|chan?(nel)?)[ _-]?\d+", re.IGNORECASE)
_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Signal:
    """What a file says of one of its signals."""

    label: str
    #: The text of its unit; empty if it has none.
    unit: str = ""
    #: Its type, such as "EEG" or "EOG", where the format has one; empty if it says none.
    kind: str = ""
    rate_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of a file."""

    #: The device that was recorded: gives the EEG channels and their order, and labels and unit where there are none.
    profile: DeviceProfile | None = None
    #: The unit of its values, against whatever the file says.
    unit: str | None = None

    @property
    def unit_uv(self) -> float | None:
        """How many µV one of the given unit is; None if none was given."""
        if self.unit is None:
            return None
        scale_uv = unit_uv(self.unit)
        if scale_uv is None:
            raise WrongInput(f"{self.unit!r} is no unit of voltage; right would be uV, nV, mV or V")
        return scale_uv


@dataclass(frozen=True, slots=True)
class EegSignals:
    """The EEG among the signals of a file."""

    columns: tuple[int, ...]
    labels: tuple[str, ...]
    scales_uv: tuple[float, ...]
    rate_hz: float


def choose_eeg(path: Path, signals: Sequence[Signal], asked: Asked, notes: list[str]) -> EegSignals:
    """Return the EEG among ``signals``, and note what was left out and why.

    Raises
    ------
    WrongFile
        If there is none, or if the unit of one cannot be told.
    """
    profile = asked.profile
    left_out: dict[int, str] = {}
    if profile is not None:
        named = all(signal.label for signal in signals)
        columns = columns_of_profile(
            profile, len(signals), [signal.label for signal in signals] if named else ()
        )
        labels = profile.labels
        left_out = {i: f"no channel of {profile.title}" for i in range(len(signals)) if i not in columns}
    else:
        left_out = _other_kinds(signals, asked)
        rest = [i for i in range(len(signals)) if i not in left_out]
        left_out |= _off_head(signals, rest)
        columns = tuple(i for i in rest if i not in left_out)
        if not columns:
            reasons = ", ".join(f"{signals[i].label} ({why})" for i, why in [*left_out.items()][:_MOST_NAMED])
            raise WrongFile(f"{path} has no EEG channels; it has {reasons or 'no signals at all'}")
        left_out |= (others := _other_rates(signals, columns))
        columns = tuple(i for i in columns if i not in others)
        labels = distinct_labels([signals[i].label or f"channel {i + 1}" for i in columns], notes)
    if left_out:
        notes.append(_left_out_note(signals, left_out))
    rates = {signals[i].rate_hz for i in columns}
    if len(rates) > 1:
        raise WrongFile(
            f"{path}: the channels of {profile.title if profile else 'the file'} were recorded at different rates, "
            f"{', '.join(f'{rate:g}' for rate in sorted(rates))} Hz; only one rate can be played"
        )
    if max(rates) > limits.MOST_RATE_HZ:
        raise WrongFile(
            f"{path} claims {max(rates):g} samples a second; {limits.MOST_RATE_HZ:,.0f} can be: is it damaged?"
        )
    scales = _scales_uv(path, [signals[i] for i in columns], asked, notes)
    return EegSignals(columns, labels, scales, rates.pop())


def distinct_labels(texts: Sequence[str], notes: list[str]) -> tuple[str, ...]:
    """Return labels in standard spelling; a name that several channels have is numbered for each, and noted.

    None of them keeps the bare name: which of them was meant, nobody can say.
    """
    labels = list(standard_labels(texts))
    names = [standard_label(text).lower() for text in texts]
    twice = {name for name, n in Counter(names).items() if n > 1}
    taken = {label.lower() for label, name in zip(labels, names, strict=True) if name not in twice}
    for name in sorted(twice):
        number = 0
        for i in (i for i, each in enumerate(names) if each == name):
            number += 1
            while f"{name}-{number}" in taken:
                number += 1
            labels[i] = f"{standard_label(texts[i])}-{number}"
        notes.append(
            f"{number} channels are called {standard_label(texts[names.index(name)])}: they are numbered, as nobody "
            f"can say which is meant"
        )
    return tuple(labels)


def is_on_head(label: str) -> bool:
    """Return whether a label names a place on the head, alone or against a reference: ``Fz``, ``EEG Fpz-Cz``."""
    standard = standard_label(label)
    if is_position(standard) or standard in OLD_POSITIONS:
        return not _is_ear(standard)
    first = standard_label(_PARTS.split(_EEG.sub("", label.strip(), count=1))[0])
    return (is_position(first) and not _is_ear(first)) or first in OLD_POSITIONS


def _is_ear(label: str) -> bool:
    return label in ("A1", "A2", "M1", "M2")


def _other_kinds(signals: Sequence[Signal], asked: Asked) -> dict[int, str]:
    """Return what is something else by its type, its unit or its label, with the reason."""
    some_are_eeg = any(signal.kind.lower() == "eeg" for signal in signals)
    some_have_units = any(unit_uv(signal.unit) is not None for signal in signals)
    others: dict[int, str] = {}
    for i, signal in enumerate(signals):
        kind, unit = signal.kind.lower(), signal.unit.strip()
        named = is_on_head(signal.label) or _EEG.match(signal.label) is not None
        word = None if is_on_head(signal.label) else _OTHER_KIND.search(signal.label)
        if kind not in ("", "eeg"):
            others[i] = f"of type {signal.kind}"
        elif unit.lower() in _OTHER_UNITS and asked.unit is None:
            others[i] = f"in {unit}, no voltage"
        elif word:
            others[i] = f"{word[0]} by its label"
        elif some_are_eeg and not kind:
            others[i] = "of no type, while others are EEG"
        elif unit and unit_uv(unit) is None and not named and some_have_units and asked.unit is None:
            others[i] = f"in {unit!r}, no voltage"
        elif not unit and not named and some_have_units:
            others[i] = "names no unit, while others do"
    return others


def _off_head(signals: Sequence[Signal], rest: Sequence[int]) -> dict[int, str]:
    """Return what names no place on the head, where others do; a cap may number all of its electrodes, or most."""
    off = [i for i in rest if not is_on_head(signals[i].label)]
    if len(off) == len(rest):
        return {}
    if 2 * len(off) > len(rest):
        off = [i for i in off if not _NUMBERED.fullmatch(signals[i].label.strip())]
    return dict.fromkeys(off, "its label names no place on the head")


def _other_rates(signals: Sequence[Signal], columns: Sequence[int]) -> dict[int, str]:
    """Return which EEG has another rate than most of it, or than the faster half."""
    rates = Counter(signals[i].rate_hz for i in columns)
    usual_hz = max(rates, key=lambda rate_hz: (rates[rate_hz], rate_hz))
    return {
        i: f"at {signals[i].rate_hz:g} Hz, while others have {usual_hz:g} Hz"
        for i in columns
        if signals[i].rate_hz != usual_hz
    }


def _left_out_note(signals: Sequence[Signal], left_out: dict[int, str]) -> str:
    named = [f"{signals[i].label or f'channel {i + 1}'} ({why})" for i, why in sorted(left_out.items())]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return f"left out, as no EEG: {', '.join(named[:_MOST_NAMED])}{more}"


def _scales_uv(path: Path, signals: Sequence[Signal], asked: Asked, notes: list[str]) -> tuple[float, ...]:
    """Return how many µV the unit of each is: by the user's word, by the file, else by the profile."""
    if asked.unit_uv is not None:
        said = sorted({signal.unit for signal in signals if unit_uv(signal.unit) != asked.unit_uv})
        if said:
            notes.append(
                f"values are taken as {asked.unit}, as given; the file says {', '.join(map(repr, said))}"
            )
        return (asked.unit_uv,) * len(signals)
    scales, from_profile = [], 0
    for signal in signals:
        scale_uv = unit_uv(signal.unit)
        if scale_uv is None and not signal.unit.strip() and asked.profile is not None:
            scale_uv, from_profile = asked.profile.unit_uv, from_profile + 1
        if scale_uv is None:
            says = (
                f"has the unit {signal.unit!r}, which is not understood"
                if signal.unit.strip()
                else "names no unit"
            )
            raise WrongFile(
                f"{path}: channel {signal.label or '1'} {says}; EEG needs a voltage, such as uV, mV or V: "
                "say it by --unit uV, or by --device which device it was, if its profile gives it"
            )
        scales.append(scale_uv)
    if from_profile and asked.profile is not None:
        notes.append(f"the file names no unit: {asked.profile.unit}, by the profile of {asked.profile.title}")
    return tuple(scales)
