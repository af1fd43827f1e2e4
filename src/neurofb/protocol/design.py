"""An experiment as one TOML file, read into frozen, checked data.

In: the name of a bundled protocol or the path of a file. Out: a `Protocol`, or one ``WrongFile`` with every problem,
its line, what was found and what would be right. What needs a headset, a seed or a participant is not looked at here
(`neurofb.protocol.checks.check`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, ValidationInfo, field_validator

from neurofb import __version__
from neurofb.blinding.study_file import Blinding
from neurofb.config import Name, Place, Positive, Table, lines_of, message, problems_of, several, toml_content
from neurofb.errors import UnknownName, WrongFile, WrongInput, nearest
from neurofb.features.feature_specs import Feature
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings
from neurofb.loop.blink_effects import Blinks
from neurofb.protocol.bundled import protocol_text
from neurofb.protocol.checks.citations import CITED_TABLES, number_paths, uncited
from neurofb.protocol.feature_tables import parse_features
from neurofb.protocol.heat_plan import HeatPlan
from neurofb.protocol.phases import Phase
from neurofb.protocol.ratings import GUESS, Scale
from neurofb.protocol.study import ONLY_ARM, Arm, Needs, StopSettings, Study, Visit
from neurofb.stimulation.calibration import CalibrationSettings

Problems = list[tuple[Place, str]]
#: Tables of a protocol at most, so that a check answers at once; those that come along have 4, 3 and 9 (assumed).
MOST_TABLES = {"features": 50, "scales": 100, "phases": 500, "sessions": 500, "arms": 100}
Part = TypeVar("Part", bound=Table)


class FeedbackPlan(FeedbackSettings):
    """Feedback: which feature is trained, and when the participant sees it."""

    mode: Literal["continuous", "summary", "instruction"] = Field(
        default="continuous",
        description="'continuous', 'summary' (a sum after each block) or 'instruction' (none is shown, only recorded)",
    )
    sound: bool = Field(
        default=True, description="whether --screens starts the sound as well: phases, feedback and rewards"
    )
    control_feature: Name | None = Field(
        default=None,
        description='the feature that an arm with feedback "sham:other_band" gets instead; computed in every arm',
    )


class BaselinePlan(BaselineSettings):
    """Settings of a sufficient baseline, and how long a session waits for it."""

    longest_s: Positive = Field(
        default=180.0,
        le=14_400,
        validate_default=True,
        description="after how long a baseline that is still not enough ends the session: least_s or more, in s",
    )

    @field_validator("longest_s")
    @classmethod
    def _long_enough(cls, value: float, info: ValidationInfo) -> float:
        if value < info.data.get("least_s", value):
            raise ValueError(f"it is not shorter than least_s, {info.data['least_s']:g} s")
        return value


class Cleaning(Table):
    """The table [cleaning]: what is done about artifacts beside withholding values."""

    blinks: Blinks = Field(
        default="withhold",
        description="'withhold': no values of features that blinks reach; 'project': blinks are projected out where "
        "the participant's baseline shows that this is exact enough (from 8 channels on, one of them at the forehead)",
    )


class Protocol(Table):
    """One experiment.

    The order of the fields matters: a check sees the fields above its own, so that all problems are found at once.
    """

    neurofb: str = Field(description='the version of neurofb it needs at least, as ">=0.1"')
    study: Study = Field(description="the table [study]")
    needs: Needs = Field(default_factory=Needs, description="the table [needs]")
    reference: Literal["average"] | tuple[Name, ...] | None = Field(
        default=None,
        description='"average", or labels of channels, as ["TP9", "TP10"]; left out: as recorded',
    )
    line_hz: float | None = Field(
        default=None, description="the mains: 50.0 or 60.0; left out: both are looked for"
    )
    features: tuple[Feature, ...] = Field(
        min_length=1,
        description='tables [[features]]: a preset, as preset = "posterior_alpha", or a declaration',
    )
    feedback: FeedbackPlan | None = Field(
        default=None, description="the table [feedback]; left out: a session without feedback"
    )
    baseline: BaselinePlan = Field(default_factory=BaselinePlan, description="the table [baseline]")
    cleaning: Cleaning = Field(default_factory=Cleaning, description="the table [cleaning]")
    heat: HeatPlan | None = Field(default=None, description="the table [heat]; left out: no heat")
    calibration: CalibrationSettings | None = Field(
        default=None, validate_default=True, description="the table [calibration], for levels with pain"
    )
    scales: tuple[Scale, ...] = Field(default=(), description="tables [[scales]], one for each question")
    phases: tuple[Phase, ...] = Field(min_length=1, description="tables [[phases]], in their order")
    sessions: tuple[Visit, ...] = Field(
        default=(), description="tables [[sessions]]; left out: one session with all phases"
    )
    arms: tuple[Arm, ...] = Field(default=(), description="tables [[arms]]; left out: all get the same")
    blinding: Blinding | None = Field(
        default=None,
        description='"open" (everybody may know the arms), or a table [blinding] that says who must not; needed with '
        "several arms and real participants",
    )
    stop: StopSettings = Field(default_factory=StopSettings, description="the table [stop]")
    sources: Mapping[str, str] = Field(
        default={},
        validate_default=True,
        description='the table [sources]: a key, as "heat.levels.hot", and "sourced: where" or "assumed: why"',
    )

    _text: str = PrivateAttr(default="")
    _title: str = PrivateAttr(default="")

    @field_validator("neurofb")
    @classmethod
    def _new_enough(cls, value: str) -> str:
        found = re.match(r"^>=\s*(\d+(?:\.\d+)*)$", value.strip())
        if not found:
            raise ValueError('right is the least version, as ">=0.1"')
        if _numbers(__version__) < _numbers(found[1]):
            raise ValueError(f"this is neurofb {__version__}; install a newer one to run this protocol")
        return value

    @field_validator("line_hz")
    @classmethod
    def _is_mains(cls, value: float | None) -> float | None:
        if value not in (None, 50.0, 60.0):
            raise ValueError("the mains have 50.0 or 60.0 Hz")
        return value

    @field_validator("features", mode="before")
    @classmethod
    def _parse_features(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        specs, found = parse_features(value)
        if found:
            raise several(found)
        return specs

    @field_validator("features", "scales", "phases", "sessions", "arms")
    @classmethod
    def _once(cls, value: Any) -> Any:
        names = [getattr(each, "name", None) or getattr(each, "id", None) for each in value]
        found = [
            ((i,), f"{name!r} stands there before; each has its own name")
            for i, name in enumerate(names)
            if name in names[:i]
        ]
        if found:
            raise several(found)
        return value

    @field_validator("feedback")
    @classmethod
    def _has_eeg(cls, value: FeedbackPlan | None, info: ValidationInfo) -> FeedbackPlan | None:
        needs = info.data.get("needs")
        if value is not None and needs is not None and not needs.eeg:
            raise ValueError("a protocol with needs.eeg = false has no feedback; leave one of both out")
        return value

    @field_validator("feedback")
    @classmethod
    def _features_exist(cls, value: FeedbackPlan | None, info: ValidationInfo) -> FeedbackPlan | None:
        names = [each.name for each in info.data.get("features", ())]
        if value is None or not names:
            return value
        used: list[tuple[Place, str]] = [
            (("feature",), value.feature),
            *((("inhibits", i, "feature"), each.feature) for i, each in enumerate(value.inhibits)),
            *([] if value.control_feature is None else [(("control_feature",), value.control_feature)]),
        ]
        found = [
            (place, f"no feature {name!r} is declared; {nearest(name, names)}")
            for place, name in used
            if name not in names
        ]
        if found:
            raise several(found)
        return value

    @field_validator("calibration")
    @classmethod
    def _calibrates(
        cls, value: CalibrationSettings | None, info: ValidationInfo
    ) -> CalibrationSettings | None:
        heat = info.data.get("heat")
        if value is None and heat is not None and heat.calibrated:
            raise ValueError(
                f"levels {', '.join(heat.calibrated)} are given as pain: a table [calibration] says how their "
                "temperature is found"
            )
        if value is not None and heat is not None:
            pains = [heat.levels[name].pain for name in heat.calibrated]
            if found := value.unreachable([pain for pain in pains if pain is not None]):
                raise ValueError(found)
        return value

    @field_validator("phases")
    @classmethod
    def _phases_fit(cls, value: tuple[Phase, ...], info: ValidationInfo) -> tuple[Phase, ...]:
        found = [
            ((i, *place), text) for i, phase in enumerate(value) for place, text in _misfits(phase, info.data)
        ]
        if found:
            raise several(found)
        return value

    @field_validator("sessions")
    @classmethod
    def _sessions_fit(cls, value: tuple[Visit, ...], info: ValidationInfo) -> tuple[Visit, ...]:
        found: Problems = []
        names = [phase.name for phase in info.data.get("phases", ())]
        ids = [visit.id for visit in value]
        for i, visit in enumerate(value):
            absent = dict.fromkeys(name for name in visit.phases if names and name not in names)
            found += [((i, "phases"), f"no phase {name!r}; {nearest(name, names)}") for name in absent]
            earlier = visit.temperatures_of
            if earlier is not None and earlier not in ids[:i]:
                text = f"no earlier session {earlier!r}; {nearest(earlier, ids[:i])}"
                found.append(((i, "temperatures_of"), text))
        if found:
            raise several(found)
        return value

    @field_validator("blinding", mode="before")
    @classmethod
    def _open(cls, value: Any) -> Any:
        return Blinding.open() if value == "open" else value

    @field_validator("arms")
    @classmethod
    def _arms_fit(cls, value: tuple[Arm, ...], info: ValidationInfo) -> tuple[Arm, ...]:
        found: Problems = []
        names = [phase.name for phase in info.data.get("phases", ())]
        labels = [arm.label for arm in value]
        for i, arm in enumerate(value):
            for key, mapping in (("texts", arm.texts), ("sounds", arm.sounds)):
                absent = [name for name in mapping if names and name not in names]
                found += [((i, key, name), f"no phase {name!r}; {nearest(name, names)}") for name in absent]
            if arm.label in labels[:i]:
                found.append(((i, "label"), f"another arm is shown as {arm.label!r}, too"))
        if found:
            raise several(found)
        return value

    @field_validator("sources")
    @classmethod
    def _sources_fit(cls, value: Mapping[str, str], info: ValidationInfo) -> Mapping[str, str]:
        found: Problems = []
        study = info.data.get("study")
        published = study is not None and study.status == "as_published"
        for key, words in value.items():
            if not re.match(r"^(sourced|assumed): \S", words):
                found.append(((key,), f'found {words!r}; right is "sourced: where" or "assumed: why"'))
            elif published and words.startswith("assumed"):
                found.append(
                    ((key,), 'a value is assumed: then the study is not "as_published" but "adapted"')
                )
        if found:
            raise several(found)
        return value

    @property
    def text(self) -> str:
        """The file as it was given, for the record."""
        return self._text

    @property
    def title(self) -> str:
        """The name of the file in messages: its path, or its name."""
        return self._title or self.study.id

    def scale(self, name: str) -> Scale:
        """Return a scale by its name."""
        return _named("scale", name, {each.name: each for each in self.scales})

    def phase(self, name: str) -> Phase:
        """Return a phase by its name."""
        return _named("phase", name, {each.name: each for each in self.phases})

    def session(self, session: str | None = None) -> Visit:
        """Return one session; None for the first, or the only one.

        A protocol without a list of sessions takes any name for its only one.
        """
        if not self.sessions:
            return Visit(id=session or "1", phases=tuple(phase.name for phase in self.phases))
        if session is None:
            return self.sessions[0]
        return _named("session", session, {each.id: each for each in self.sessions})

    def arm(self, arm: str | None = None) -> Arm:
        """Return an arm; None for the only one.

        Raises
        ------
        WrongInput
            If there are several and none was named.
        """
        if not self.arms and arm in (None, ONLY_ARM.id):
            return ONLY_ARM
        if arm is None and len(self.arms) == 1:
            return self.arms[0]
        if arm is None:
            labels = ", ".join(each.label for each in self.arms)
            raise WrongInput(
                f"this protocol has several arms ({labels}): say which one with --arm, by its id in the file"
            )
        return _named("arm", arm, {each.id: each for each in self.arms})

    @property
    def has_sham(self) -> bool:
        """Whether feedback of an arm is a sham."""
        return any(arm.feedback.startswith("sham") for arm in self.arms)

    @property
    def masked(self) -> tuple[str, ...]:
        """Who must not know a participant's arm; nobody where the arms are open or nothing is said."""
        return () if self.blinding is None else self.blinding.masked

    @property
    def assumed(self) -> tuple[str, ...]:
        """The numbers of the file that no publication gives: those marked so, and those not marked at all."""
        marked = [key for key, words in self.sources.items() if words.startswith("assumed")]
        return (*marked, *self.unmarked)

    @property
    def unmarked(self) -> tuple[str, ...]:
        """The numbers of heat, calibration, scales and phases that no key of ``sources`` covers."""
        content = self.model_dump(include=set(CITED_TABLES), exclude_unset=True)
        return uncited(number_paths(content), self.sources)


def _misfits(phase: Phase, above: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Return the problems of a phase: names that do not exist, and missing tables."""
    if "scales" in above:
        scales = [scale.name for scale in above["scales"]]
        asked: list[tuple[Place, Iterable[str]]] = [(("ratings",), phase.ratings)]
        if phase.trials:
            asked.append((("trials", "ratings"), phase.trials.ratings))
        for place, names in asked:
            yield from (
                (place, f"no scale {name!r}; {nearest(name, scales)}") for name in names if name not in scales
            )
    if "feedback" in above and phase.kind == "training" and above["feedback"] is None:
        yield ("kind",), "training needs a table [feedback]"
    if "needs" in above and not above["needs"].eeg and phase.baseline != "none":
        yield ("kind",), "a protocol with needs.eeg = false collects no baseline"
    if "heat" not in above or phase.trials is None:
        return
    heat: HeatPlan | None = above["heat"]
    if heat is None:
        yield ("trials",), "trials need a table [heat]"
        return
    place = ("trials", "order" if phase.trials.order else "counts")
    for level in dict.fromkeys(phase.trials.levels):
        if level not in heat.levels:
            yield place, f"no level {level!r}; {nearest(level, heat.levels)}"


def _named(what: str, name: str, known: Mapping[str, Part]) -> Part:
    if not known:
        raise UnknownName(f"no {what} {name!r}: this protocol has none; leave it out")
    if name not in known:
        raise UnknownName(f"no {what} {name!r} in this protocol; {nearest(name, known)}")
    return known[name]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def load_protocol(name_or_path: str | Path) -> Protocol:
    """Return a protocol.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a bundled one (``breath-heat``), or the path of a file: a ``Path``, or a text that ends in
        ``.toml`` or has a folder in it.

    Raises
    ------
    UnknownName, UnknownFile
        If there is no such protocol; the message lists what exists.
    WrongFile
        If something is wrong in it; the message lists every problem with its line.
    """
    parsed = parse_protocol(name_or_path)
    if parsed.protocol is None or parsed.problems:
        raise WrongFile(message(parsed.title, parsed.problems, lines_of(parsed.text, parsed.content)))
    return parsed.protocol


@dataclass(frozen=True, eq=False)
class ParsedProtocol:
    """A protocol file that was read once: its text, and the protocol or its problems."""

    #: How messages call the file.
    title: str
    text: str
    #: The TOML, whatever is in it.
    content: dict[str, Any]
    #: None if the content cannot be understood.
    protocol: Protocol | None
    problems: Problems


def parse_protocol(name_or_path: str | Path) -> ParsedProtocol:
    """Return the protocol of a name or path, and everything that is wrong in the file.

    Raises
    ------
    UnknownName, UnknownFile
        If there is no such protocol.
    WrongFile
        If it is no TOML.
    """
    text, title = protocol_text(name_or_path)
    content = _toml(text, title)
    return ParsedProtocol(title, text, content, *validated(content, text, title))


def read_protocol(text: str, title: str) -> tuple[Protocol | None, Problems]:
    """Return the protocol that a text holds, if it can be understood, and all that is wrong in it by place.

    Raises
    ------
    WrongFile
        If it is no TOML.
    """
    return validated(_toml(text, title), text, title)


def _toml(text: str, title: str) -> dict[str, Any]:
    content = toml_content(text, title)
    for key, most in MOST_TABLES.items():
        if isinstance(rows := content.get(key), list) and len(rows) > most:
            raise WrongFile(f"{title} has {len(rows)} tables [[{key}]]; a protocol has {most} at most")
    return content


def validated(
    content: Mapping[str, Any], text: str = "", title: str = ""
) -> tuple[Protocol | None, Problems]:
    """Return the protocol that parsed TOML is, if it is one, and all that is wrong in it."""
    try:
        protocol = Protocol.model_validate(content)
    except ValidationError as error:
        return None, problems_of(Protocol, error)
    protocol._text, protocol._title = text, title
    return protocol, [*_unsourced(protocol), *_misfit_guesses(protocol)]


def _misfit_guesses(protocol: Protocol) -> Iterator[tuple[Place, str]]:
    """A blinding guess is about the protocol's arms, under names that nothing else has, and no part of a trial."""
    arms = [arm.id for arm in protocol.arms]
    names = [scale.name for scale in protocol.scales]
    taken = [part.name for scale in protocol.scales for part in scale.parts]
    for i, scale in enumerate(protocol.scales):
        if scale.kind != GUESS:
            continue
        if set(scale.conditions) != set(arms):
            there = f"are {', '.join(arms)}" if arms else "are none: a table [[arms]] declares each"
            text = f"found {', '.join(scale.conditions)}; right are the ids of all arms, which {there}"
            yield ("scales", i, "conditions"), text
        for part in scale.parts:
            if part.name in names or taken.count(part.name) > 1:
                text = (
                    f"its answers are recorded as {part.name!r}, and another scale has that name; rename one"
                )
                yield ("scales", i, "name"), text
    guesses = {scale.name for scale in protocol.scales if scale.kind == GUESS}
    for i, phase in enumerate(protocol.phases):
        for name in () if phase.trials is None else phase.trials.ratings:
            if name in guesses:
                text = (
                    f"{name!r} is a blinding guess, not asked after each trial; give it to a phase's ratings"
                )
                yield ("phases", i, "trials", "ratings"), text


def _unsourced(protocol: Protocol) -> Iterator[tuple[Place, str]]:
    """Sources must be of numbers that exist; a published protocol needs one for each."""
    paths = list(number_paths(protocol.model_dump(include=set(CITED_TABLES), exclude_unset=True)))
    for key in protocol.sources:
        if not any(path == key or path.startswith(f"{key}.") for path in paths):
            known = {path.rsplit(".", n)[0] for path in paths for n in range(path.count(".") + 1)}
            yield ("sources", key), f"the file sets no number there; {_near(key, known)}"
    if protocol.study.status == "as_published":
        for path in protocol.unmarked:
            text = f'"as_published" needs a source for every number, and {path} has none: add it to [sources]'
            yield ("study", "status"), text


def _near(key: str, known: Iterable[str]) -> str:
    """Return the nearest of many keys; a list of all would be too long."""
    return nearest(key, known).split("there are: ", maxsplit=1)[0].strip() or "keys are as heat.levels.hot"
