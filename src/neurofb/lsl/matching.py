"""Streams on the network: their descriptions, the device they match, and the choice of one.

In: ``StreamInfo``, read from the network by ``lsl``. Out: the profile that fits, why, and what is missing; the
one stream that was asked for; the columns and the scale that turn its values into µV. No LSL here.

A stream is never known by its source_id alone: Muse gives one to four streams, an amplifier to its EEG and its
markers, the OpenBCI GUI to everybody.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.devices import DeviceProfile
from neurofb.devices.columns import EegColumns, absent_labels, columns_of_profile, columns_on_head, unit_uv
from neurofb.devices.electrodes import standard_labels
from neurofb.errors import StreamMissing, WrongStream, nearest
from neurofb.format import clean

#: Columns in which devices count their samples, in small letters without blanks.
COUNTERS = ("counter", "samplecounter", "sampleindex", "packagenum", "packagenumber")
RATE_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """The description of a stream, by itself; empty texts where it lacks something.

    Attributes
    ----------
    name, type, source_id, uid, hostname, manufacturer : str
    n_channels : int
    rate_hz : float
        Nominal rate, 0 if irregular.
    value_format : str
        ``float32``, ``double64``, ``int16`` …, ``string``.
    labels, units : tuple of str
        Of the channels that it describes, "" where one has none; empty if no channel has any.
    answered : bool
        False if it did not answer when it was asked: then labels and units are unknown, not absent.
    """

    name: str
    type: str
    source_id: str
    uid: str
    hostname: str
    n_channels: int
    rate_hz: float
    value_format: str
    labels: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    manufacturer: str = ""
    answered: bool = True

    @property
    def label_problem(self) -> str:
        """What is wrong with the labels, in words; "" if nothing: each channel has one, or none has any."""
        if self.labels and len(self.labels) != self.n_channels:
            return f"it describes {len(self.labels)} channels but sends {self.n_channels}"
        unnamed = [str(i + 1) for i, label in enumerate(self.labels) if not label.strip()]
        return f"it names its channels, but not number {', '.join(unnamed)}" if unnamed else ""

    def describe(self) -> str:
        """Return the stream in a few words."""
        rate = f"{self.rate_hz:g} Hz" if self.rate_hz else "irregular"
        return (
            f"{clean(self.name)!r}, type {clean(self.type)!r}, {self.n_channels} ch, {rate}, "
            f"on {clean(self.hostname) or 'an unnamed computer'}, uid {clean(self.uid)}"
        )


@dataclass(frozen=True, slots=True)
class ProfileMatch:
    """How well a profile describes a stream.

    Attributes
    ----------
    profile : DeviceProfile
    score : int
        Larger is better.
    reasons, missing, against : tuple of str
        What speaks for it, what the profile must supply, and what contradicts it.
    """

    profile: DeviceProfile
    score: int
    reasons: tuple[str, ...]
    missing: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether nothing contradicts it and more than the type speaks for it."""
        return not self.against and self.score >= 3


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """Which stream is wanted; what is None may be anything, but without all of them the type is EEG.

    Attributes
    ----------
    name : str or None
        The stream's name; ``*`` stands for any text.
    type : str or None
        The stream's type, in small or capital letters.
    profile : DeviceProfile or None
        A device that must fit.
    predicate : str or None
        An XPath 1.0 condition as LSL takes it, such as ``starts-with(name,'Muse') and hostname='lab2'``.
    """

    name: str | None = None
    type: str | None = None
    profile: DeviceProfile | None = None
    predicate: str | None = None

    def accepts(self, info: StreamInfo) -> bool:
        """Return whether a stream is what is wanted; the predicate has been asked by LSL already."""
        if self.name is not None and not fnmatchcase(info.name, self.name):
            return False
        wanted = self.type
        if wanted is None and self.name is None and self.predicate is None:
            wanted = "EEG"
        if wanted is not None and info.type.strip().lower() != wanted.strip().lower():
            return False
        named = self.name is not None or self.predicate is not None
        return self.profile is None or named or not match_profile(info, self.profile).against

    def describe(self) -> str:
        """Return what is wanted in words."""
        wanted = [f"named {self.name!r}" if self.name else "", f"of type {self.type!r}" if self.type else ""]
        wanted += [f"from {self.profile.title}" if self.profile else ""]
        wanted += [f"with {self.predicate}" if self.predicate else ""]
        return " ".join(filter(None, wanted)) or "of type 'EEG'"


def match_profile(info: StreamInfo, profile: DeviceProfile) -> ProfileMatch:
    """Match a stream with a profile: how well it is described, and why."""
    reasons: list[str] = []
    missing: list[str] = []
    against: list[str] = []
    score = 0
    programs = [outlet for outlet in profile.lsl if outlet.fits_name(info.name)]
    if programs:
        score += 2
        reasons.append(f"named {info.name!r} as by {programs[0].program}")
    if info.type.strip().lower() in {"eeg", *(outlet.type.lower() for outlet in profile.lsl)}:
        score += 1
    elif info.type:
        against.append(f"its type is {info.type!r}, not EEG")
    if wrong := _contradiction(info, profile):
        against.append(wrong)
    else:
        score += 3 if info.labels else 1
        reasons.append(
            "has its channel labels" if info.labels else f"has {info.n_channels} channels, as it may"
        )
    if any(abs(info.rate_hz / rate_hz - 1) < RATE_TOLERANCE for rate_hz in profile.rates_hz):
        score += 1
        reasons.append(f"{info.rate_hz:g} Hz")
    else:
        rates = " or ".join(f"{rate_hz:g}" for rate_hz in profile.rates_hz)
        against.append(f"its rate is {info.rate_hz:g} Hz, not {rates}")
    if not info.labels:
        missing.append(f"labels (from the profile: {' '.join(profile.labels)})")
    if not any(info.units):
        missing.append(f"unit (from the profile: {profile.unit})")
    return ProfileMatch(profile, score, tuple(reasons), tuple(missing), tuple(against))


def _contradiction(info: StreamInfo, profile: DeviceProfile) -> str:
    """Return how the channels of a stream contradict a profile, in words; "" if they do not."""
    if len(info.labels) not in (0, info.n_channels):
        return info.label_problem
    try:
        columns_of_profile(profile, info.n_channels, info.labels)
    except WrongStream:
        own = ", ".join(info.labels) if info.labels else str(info.n_channels)
        missing = absent_labels(profile, info.labels)
        words = f"its channels {own} are not {', '.join(profile.labels)}"
        detail = f": missing or twice {', '.join(missing)}" if info.labels else ""
        return "; ".join(filter(None, (words + detail, info.label_problem)))
    return ""


def best_matches(info: StreamInfo, profiles: Iterable[DeviceProfile]) -> list[ProfileMatch]:
    """Return the profiles that fit best: none, one, or several that cannot be told apart."""
    fits = [each for each in (match_profile(info, profile) for profile in profiles) if each.fits]
    best = max((each.score for each in fits), default=0)
    return [each for each in fits if each.score == best]


def choose(found: Sequence[StreamInfo], query: StreamQuery, waited_s: float) -> StreamInfo:
    """Return the one stream that is wanted.

    Raises
    ------
    StreamMissing
        If there is none or more than one; the message lists what was seen.
    """
    wanted = [info for info in found if query.accepts(info)]
    if query.profile is not None and len(wanted) > 1:
        profile = query.profile
        wanted = [info for info in wanted if not match_profile(info, profile).against] or wanted
    if len(wanted) == 1:
        return wanted[0]
    if wanted:
        seen = "\n".join(f"  {info.describe()}" for info in wanted)
        raise StreamMissing(
            f"asked for one stream {query.describe()}, found {len(wanted)}:\n{seen}\n"
            "Say which: by its name, its type, its device, or a predicate such as \"uid='…'\""
        )
    seen = "\n".join(f"  {info.describe()}{_why_not(info, query)}" for info in found)
    raise StreamMissing(
        f"no stream {query.describe()} came up in {waited_s:g} s. "
        + (f"Seen meanwhile:\n{seen}" if found else NOTHING_SEEN)
        + (f"\nNames: {nearest(query.name, {info.name for info in found})}" if query.name and found else "")
    )


#: What to do when the network seems empty.
NOTHING_SEEN = (
    "No stream at all was seen meanwhile. Is the device's program running, and its LSL output switched on? "
    "On a computer without multicast (a virtual machine, some VPNs, a bare loopback) LSL finds streams only if "
    "a file named by the environment variable LSLAPICFG has the lines\n"
    "  [multicast]\n  ResolveScope = machine\n  [lab]\n  KnownPeers = {127.0.0.1}\n"
    "with the addresses of the computers that send; both sides need the same"
)


def _why_not(info: StreamInfo, query: StreamQuery) -> str:
    if query.profile is None:
        return ""
    against = match_profile(info, query.profile).against
    return f": {'; '.join(against)}" if against else ""


def eeg_columns(
    info: StreamInfo, profile: DeviceProfile | None = None, unit: str | None = None
) -> EegColumns:
    """Return which columns are EEG, what they are called, and how many µV one of their unit is.

    Parameters
    ----------
    info : StreamInfo
    profile : DeviceProfile, optional
        Gives labels and unit where the stream has none.
    unit : str, optional
        The user's word for the unit, against the stream's and the profile's.

    Raises
    ------
    WrongStream
        If the stream contradicts the profile, or labels or unit are known from nowhere.
    """
    if info.value_format == "string":
        raise WrongStream(f"the stream {info.describe()} carries text, not samples; choose the EEG stream")
    if profile is not None:
        against = match_profile(info, profile).against
        if against:
            raise WrongStream(
                f"the stream {info.describe()} is not from {profile.title}: {'; '.join(against)}. "
                "Choose the stream or the device that fits; `neurofb streams` shows both"
            )
        columns, labels = columns_of_profile(profile, info.n_channels, info.labels), profile.labels
    elif info.label_problem:
        raise WrongStream(
            f"the stream {info.describe()} cannot be read: {info.label_problem}. Name every channel in its program"
        )
    elif info.labels:
        columns = tuple(i for i in columns_on_head(info.labels) if _counter_name(info.labels[i]) is None)
        standard = standard_labels(info.labels)
        labels = tuple(standard[i] for i in columns)
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise WrongStream(
                f"the stream {info.describe()} has more than one channel {', '.join(twice)}; a name stands for one "
                "electrode. Name each channel differently in its program"
            )
    else:
        raise WrongStream(
            f"the stream {info.describe()} does not name its channels. Give the device it comes from, as "
            "--device openbci-cyton, or a profile of your own; `neurofb devices` lists those that are known"
        )
    scale_uv, unit_from = _scales(info, columns, profile, unit)
    counters = [i for i, label in enumerate(_all_labels(info, profile)) if _counter_name(label) is not None]
    return EegColumns(labels, columns, scale_uv, unit_from, counters[0] if len(counters) == 1 else None)


def _counter_name(label: str) -> str | None:
    plain = "".join(label.lower().replace("_", " ").split())
    return plain if plain in COUNTERS else None


def _all_labels(info: StreamInfo, profile: DeviceProfile | None) -> tuple[str, ...]:
    if info.labels or profile is None:
        return info.labels
    for outlet in profile.lsl:
        if info.n_channels in outlet.column_counts(profile.n_channels):
            return (*outlet.columns_before, *profile.labels, *outlet.columns_after, *outlet.columns_optional)
    return profile.labels


def _scales(
    info: StreamInfo, columns: tuple[int, ...], profile: DeviceProfile | None, unit: str | None
) -> tuple[FloatArray, str]:
    n = len(columns)
    if unit is not None:
        uv = unit_uv(unit)
        if uv is None:
            raise WrongStream(
                f"{unit!r} is no unit of voltage; right would be microvolts, millivolts or volts"
            )
        return np.full(n, uv), f"{unit}, as given"
    texts = [info.units[i] for i in columns] if any(info.units) else []
    known = [unit_uv(text) for text in texts]
    if texts and all(uv is not None for uv in known):
        return np.array(known, dtype=np.float64), f"{' '.join(sorted(set(texts)))}, by the stream"
    said = f"says {', '.join(sorted(set(map(repr, texts))))}" if texts else "does not say its unit"
    if profile is None:
        raise WrongStream(
            f"the stream {info.describe()} {said}, so its values could be volts or microvolts, a million "
            "times apart. Choose: a device whose profile knows it (--device), or the unit (--unit microvolts)"
        )
    if any(uv not in (None, profile.unit_uv) for uv in known):
        raise WrongStream(
            f"the stream {info.describe()} {said} for its EEG, but {profile.title} sends {profile.unit}: no unit holds "
            "for all channels. Name the unit of every channel in its program"
        )
    return np.full(
        n, profile.unit_uv
    ), f"{profile.unit}, by the profile of {profile.title} (the stream {said})"


def burst_s(profile: DeviceProfile | None, info: StreamInfo) -> float:
    """Return how long the samples last that this stream sends at once, as far as the profile knows."""
    if profile is None:
        return 0.0
    sizes = [max(each.chunk_sizes) for each in profile.lsl if each.fits_name(info.name) and each.chunk_sizes]
    packet = profile.packets.samples if profile.packets else 1
    return max([packet, *sizes[:1]]) / profile.rate_hz
