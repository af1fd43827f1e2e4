"""The program that sends a stream, recognised from what the stream says of itself.

In: a stream's description and a device profile. Out: the program, why it is thought to be that one, and the profile of
the device as that program sends it: rails, level, unit and layout belong to the sender, not to the headset alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from neurofb.devices import DeviceProfile, Program
from neurofb.devices.electrodes import standard_labels
from neurofb.format import clean

if TYPE_CHECKING:
    from neurofb.lsl.matching import StreamInfo

#: What speaks for a program, and against it. A name alone is enough, unless the stream's source_id denies it.
NAME, SOURCE_ID, OTHER_SOURCE_ID, MAKER, OTHER_MAKER, LABELS = 2, 2, -1, 1, -1, 1
ENOUGH = 2
GIVEN = "as given"
#: The manufacturer in streams of neurofb itself: simulated devices and files that are played.
OWN = "neurofb"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends a stream of a device.

    Attributes
    ----------
    profile : DeviceProfile
        Of the device, as this program sends it.
    programs : tuple of Program
        The program; several if they cannot be told apart and send alike; none if nobody can say.
    why : str
        What it was recognised by, or why it was not.
    """

    profile: DeviceProfile
    programs: tuple[Program, ...]
    why: str

    @property
    def name(self) -> str:
        """The name of the program; "" if it is not known."""
        return " or ".join(each.program for each in self.programs)

    @property
    def is_known(self) -> bool:
        """Whether a program of the profile was recognised, or the profile names none to recognise."""
        return bool(self.programs) or not self.profile.programs

    @property
    def hints(self) -> Mapping[str, str]:
        """What to do in this program if it sends nothing, by language; empty if that is not known."""
        return (
            {str(language): words for language, words in self.programs[0].start.items()}
            if self.programs
            else {}
        )

    def start_hint(self, language: str = "en") -> str:
        """Return what to do in this program if it sends nothing; "" if that is not known."""
        return self.hints.get(language, "")

    def describe(self) -> str:
        """Return who sends, and within what limits, in a sentence."""
        rails_uv = self.profile.rails_uv
        limits = (
            "the values it clips at are not known"
            if rails_uv is None
            else f"values from {rails_uv[0]:g} to {rails_uv[1]:g} µV"
        )
        if self.programs:
            return f"sent by {self.name} ({self.why}); {limits}"
        return f"sent by a program that is not recognised ({self.why}); {limits}"

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it, without the stream's own words: they may name a device."""
        by = [fact for fact in ("name", "source_id") if f"by its {fact}" in self.why]
        return {
            "name": self.name or None,
            "recognised_by": by or (["--program"] if self.why == GIVEN else []),
        }


def sender_of(info: StreamInfo, profile: DeviceProfile, program: str | None = None) -> Sender:
    """Return the program that sends a stream.

    Parameters
    ----------
    info : StreamInfo
    profile : DeviceProfile
        Of the device that the stream comes from.
    program : str, optional
        The program by its name, where the stream cannot tell.

    Raises
    ------
    UnknownName
        If the profile knows no program of that name.
    """
    if program is not None:
        named = profile.program(program)
        return Sender(profile.sent_by(named), (named,), GIVEN)
    if not profile.programs:
        return Sender(profile, (), f"the profile of {profile.title} names no programs")
    if info.manufacturer == OWN:
        return Sender(profile, (), "neurofb itself sends it")
    evidence = {each.program: _evidence(info, profile, each) for each in profile.programs}
    best = max(score for score, _ in evidence.values())
    likely = tuple(each for each in profile.programs if evidence[each.program][0] == best)
    if best < ENOUGH:
        names = ", ".join(each.program for each in profile.programs)
        return Sender(
            profile.sent_by_unknown(),
            (),
            f"named {clean(info.name)!r}, source_id {clean(info.source_id)!r}; known are {names}: "
            "name it with --program",
        )
    if len({_range(profile.sent_by(each)) for each in likely}) > 1:
        names = " or ".join(each.program for each in likely)
        return Sender(
            profile.sent_by_unknown(), (), f"it may be {names}, which differ: name it with --program"
        )
    sent = profile.sent_by(likely[0]).model_copy(update={"programs": likely})
    return Sender(sent, likely, evidence[likely[0].program][1])


def _range(sent: DeviceProfile) -> tuple[Any, ...]:
    """Return what would make a value another one."""
    return (sent.unit, sent.rails_uv, sent.resolution_uv, sent.programs[0].uv_per_count)


def _evidence(info: StreamInfo, profile: DeviceProfile, program: Program) -> tuple[int, str]:
    """Return how much speaks for a program, and what."""
    score, why = 0, []
    if program.fits_name(info.name):
        score += NAME
        why.append(f"by its name {clean(info.name)!r}")
    if _fits(info.source_id, program.source_ids):
        score += SOURCE_ID
        why.append(f"by its source_id {clean(info.source_id)!r}")
    if not why:
        return 0, ""
    if info.source_id and program.source_ids and not _fits(info.source_id, program.source_ids):
        score += OTHER_SOURCE_ID
    if info.manufacturer and program.manufacturers:
        score += MAKER if _fits(info.manufacturer, program.manufacturers) else OTHER_MAKER
    own = (*program.labels, *program.columns_before, *program.columns_after)
    if info.labels and own and set(standard_labels(own)) <= set(standard_labels(info.labels)):
        score += LABELS
    if not info.labels and info.n_channels not in program.column_counts(profile.n_channels):
        return 0, ""
    return score, " and ".join(why)


def _fits(text: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)
