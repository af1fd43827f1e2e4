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
from neurofb.devices import UNIT_UV, DeviceProfile
from neurofb.devices.columns import (
    EegColumns,
    UnknownOrder,
    absent_labels,
    columns_of_profile,
    columns_on_head,
    unit_uv,
)
from neurofb.devices.electrodes import standard_labels
from neurofb.errors import StreamMissing, WrongStream, nearest
from neurofb.format import clean
from neurofb.lsl.senders import Sender, sender_of

#: Columns in which devices count their samples, in small letters without blanks.
COUNTERS = ("counter", "samplecounter", "sampleindex", "packagenum", "packagenumber")
#: The device of a session for which none is named: nobody's electrodes stand in its order by chance.
SIMULATED = "simulated"
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
        The stream's name, exactly; no character has a meaning of its own.
    like : str or None
        Its name, with ``*`` for any text.
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
    like: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether a stream is asked for by its name or another fact of its own."""
        return self.name is not None or self.like is not None or self.predicate is not None

    def accepts(self, info: StreamInfo) -> bool:
        """Return whether a stream is what is wanted; the predicate has been asked by LSL already."""
        if self.name is not None and info.name != self.name:
            return False
        if self.like is not None and not fnmatchcase(info.name, self.like):
            return False
        wanted = self.type
        if wanted is None and not self.is_named:
            wanted = "EEG"
        if wanted is not None and info.type.strip().lower() != wanted.strip().lower():
            return False
        return self.profile is None or self.is_named or not match_profile(info, self.profile).against

    def describe(self) -> str:
        """Return what is wanted in words."""
        wanted = [
            "" if self.name is None else f"named {clean(self.name)!r}",
            f"named like {clean(self.like)!r}" if self.like else "",
            f"of type {self.type!r}" if self.type else "",
        ]
        wanted += [f"from {self.profile.title}" if self.profile else ""]
        wanted += [f"with {self.predicate}" if self.predicate else ""]
        return " ".join(filter(None, wanted)) or "of type 'EEG'"


def match_profile(info: StreamInfo, profile: DeviceProfile) -> ProfileMatch:
    """Match a stream with a profile: how well it is described, and why."""
    reasons: list[str] = []
    missing: list[str] = []
    against: list[str] = []
    score = 0
    named = [each for each in profile.programs if each.fits_name(info.name)]
    sender = sender_of(info, profile)
    if sender.programs:
        score += 2
        reasons.append(f"sent by {sender.name}, {sender.why}")
    elif named:
        score += 2
        reasons.append(f"named {clean(info.name)!r} as by {named[0].program}")
    if info.type.strip().lower() in {"eeg", *(each.type.lower() for each in profile.programs)}:
        score += 1
    elif info.type:
        against.append(f"its type is {info.type!r}, not EEG")
    if wrong := _contradiction(info, sender.profile):
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
        says = (
            f"its rate is {info.rate_hz:g} Hz" if info.rate_hz else "it says that it has no fixed rate (0 Hz)"
        )
        against.append(f"{says}, not {rates}")
    if not info.labels:
        missing.append(f"labels (from the profile: {' '.join(profile.labels)})")
    if not any(info.units):
        missing.append(f"unit (from the profile: {' or '.join(sender.profile.units)})")
    return ProfileMatch(profile, score, tuple(reasons), tuple(missing), tuple(against))


def _contradiction(info: StreamInfo, profile: DeviceProfile) -> str:
    """Return how the channels of a stream contradict a profile, in words; "" if they do not."""
    if len(info.labels) not in (0, info.n_channels):
        return info.label_problem
    if not info.labels and profile.name == SIMULATED:
        return "it names no channels, as the simulated headset does; choose the device that it comes from"
    try:
        columns_of_profile(profile, info.n_channels, info.labels)
    except UnknownOrder:
        return ""  # a program that is named decides
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
            "Say which: by its name (--stream), its device (--device), or a predicate (--where \"uid='…'\")"
        )
    seen = "\n".join(f"  {info.describe()}{_why_not(info, query)}" for info in found)
    raise StreamMissing(
        f"no stream {query.describe()} came up in {waited_s:g} s. "
        + (f"Seen meanwhile:\n{seen}" if found else NOTHING_SEEN)
        + _names_hint(query, found)
    )


#: What to do when the network seems empty.
NOTHING_SEEN = (
    "No stream at all was seen meanwhile. Is the device's program running, and its LSL output switched on? "
    "On a computer without multicast (a virtual machine, some VPNs, a bare loopback) LSL finds streams only if "
    "a file named by the environment variable LSLAPICFG has the lines\n"
    "  [multicast]\n  ResolveScope = machine\n  [lab]\n  KnownPeers = {127.0.0.1}\n"
    "with the addresses of the computers that send; both sides need the same"
)


def _names_hint(query: StreamQuery, found: Sequence[StreamInfo]) -> str:
    """Return the nearest names, and the option for a text that was meant as a pattern or a predicate."""
    if not query.name or not found:
        return ""
    hint = f"\nNames: {nearest(query.name, {info.name for info in found})}"
    if any(fnmatchcase(info.name, query.name) for info in found):
        return f"{hint}. A name is taken as it is; a pattern is given by --stream-like"
    return f"{hint}. A name is taken as it is; a predicate is given by --where" if "=" in query.name else hint


def xpath_text(text: str) -> str:
    """Return a text as a literal of XPath 1.0, whatever quotation marks it has."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    parts = [f"'{part}'" for part in text.split("'")]
    return "concat(" + ', "\'", '.join(parts) + ")"


def _why_not(info: StreamInfo, query: StreamQuery) -> str:
    if query.profile is None:
        return ""
    against = match_profile(info, query.profile).against
    return f": {'; '.join(against)}" if against else ""


def eeg_columns(
    info: StreamInfo,
    profile: DeviceProfile | None = None,
    unit: str | None = None,
    program: str | None = None,
) -> EegColumns:
    """Return which columns are EEG, what they are called, and how many µV one of their unit is.

    Parameters
    ----------
    info : StreamInfo
    profile : DeviceProfile, optional
        Gives labels and unit where the stream has none.
    unit : str, optional
        The user's word for the unit, against the stream's and the profile's.
    program : str, optional
        The program that sends, where the stream does not tell.

    Raises
    ------
    WrongStream
        If the stream contradicts the profile, or labels or unit are known from nowhere.
    """
    if info.value_format == "string":
        raise WrongStream(f"the stream {info.describe()} carries text, not samples; choose the EEG stream")
    sender = None
    if profile is not None:
        sender = sender_of(info, profile, program)
        profile = sender.profile
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
    scale_uv, unit_from = _scales(info, columns, sender, unit)
    counters = [i for i, label in enumerate(_all_labels(info, profile)) if _counter_name(label) is not None]
    return EegColumns(labels, columns, scale_uv, unit_from, counters[0] if len(counters) == 1 else None)


def _counter_name(label: str) -> str | None:
    plain = "".join(label.lower().replace("_", " ").split())
    return plain if plain in COUNTERS else None


def _all_labels(info: StreamInfo, profile: DeviceProfile | None) -> tuple[str, ...]:
    if info.labels or profile is None:
        return info.labels
    for each in profile.programs:
        if info.n_channels in each.column_counts(profile.n_channels):
            return (*each.columns_before, *profile.labels, *each.columns_after, *each.columns_optional)
    return profile.labels


def _scales(
    info: StreamInfo, columns: tuple[int, ...], sender: Sender | None, unit: str | None
) -> tuple[FloatArray, str]:
    """Return µV per unit of each column, and where that is known from: user, program, stream or profile."""
    n = len(columns)
    if unit is not None:
        uv = unit_uv(unit)
        if uv is None:
            raise WrongStream(
                f"{unit!r} is no unit of voltage; right would be microvolts, millivolts or volts"
            )
        return np.full(n, uv), f"{unit}, as given"
    texts = [info.units[i].strip() for i in columns] if any(info.units) else []
    known = [unit_uv(text) for text in texts]
    program = sender.programs[0] if sender is not None and sender.programs else None
    if program is not None and program.uv_per_count is not None:
        return np.full(n, program.uv_per_count), (
            f"counts of {program.program}, {program.uv_per_count:g} µV each, by the profile"
        )
    if texts and all(uv is not None for uv in known):
        if program is not None and program.unit is not None and set(known) != {UNIT_UV[program.unit]}:
            raise WrongStream(
                f"the stream {info.describe()} says {_quoted(texts)}, but {program.program} sends {program.unit} "
                "by the profile; which of them is right must be given: --unit volts, or --unit microvolts"
            )
        return np.array(known, dtype=np.float64), f"{' '.join(sorted(set(texts)))}, by the stream"
    if any(text and uv is None for text, uv in zip(texts, known, strict=True)):
        raise WrongStream(
            f"the stream {info.describe()} says {_quoted(texts)} as the unit of its EEG, which is no unit of voltage; "
            "give the unit of its values, as --unit microvolts, or a profile with its program and uv_per_count"
        )
    scale_uv = _profile_uv(info, sender)
    if any(uv not in (None, scale_uv) for uv in known):
        assert sender is not None
        raise WrongStream(
            f"the stream {info.describe()} says {_quoted(texts)} for its EEG, but {sender.profile.title} sends "
            f"{sender.profile.unit}: no unit holds for all channels. Name the unit of every channel in its program"
        )
    return np.full(n, scale_uv), (
        ""
        if sender is None
        else f"{sender.profile.unit}, by the profile of {sender.profile.title}"
        " (the stream does not say its unit)"
    )


def _profile_uv(info: StreamInfo, sender: Sender | None) -> float:
    """Return µV per unit of a stream that does not say its unit."""
    if sender is None:
        raise WrongStream(
            f"the stream {info.describe()} does not say its unit, so its values could be volts or microvolts, a "
            "million times apart. Choose: a device whose profile knows it (--device), or the unit "
            "(--unit microvolts)"
        )
    profile = sender.profile
    counts = [each.program for each in profile.programs if each.uv_per_count is not None]
    if not sender.programs and (len(profile.units) > 1 or counts):
        sent = ", ".join(
            f"{each.program} {'counts' if each.uv_per_count else each.unit or profile.unit}"
            for each in profile.programs
        )
        raise WrongStream(
            f"the stream {info.describe()} does not say its unit, and the program that sends it is not recognised; "
            f"they differ: {sent}. Name it with --program, or give the unit, as --unit microvolts"
        )
    return profile.unit_uv


def _quoted(texts: Sequence[str]) -> str:
    return ", ".join(sorted({repr(clean(text)) for text in texts}))


def burst_s(profile: DeviceProfile | None, info: StreamInfo) -> float:
    """Return how long the samples last that this stream sends at once, as far as the profile knows."""
    if profile is None:
        return 0.0
    likely = profile.programs if len(profile.programs) == 1 else ()
    programs = likely or [each for each in profile.programs if each.fits_name(info.name)]
    sizes = [max(each.chunk_sizes) for each in programs if each.chunk_sizes]
    packet = profile.packets.samples if profile.packets else 1
    return max([packet, *sizes[:1]]) / profile.rate_hz
