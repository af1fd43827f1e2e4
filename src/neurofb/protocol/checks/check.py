"""The check of a session before it starts: its timeline, expected accuracy and all problems.

In: a protocol, a device, and what is known of the participant. Out: a `CheckReport`; nothing is started or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from neurofb.config import Place, lines_of, message, toml_content
from neurofb.devices import DeviceProfile
from neurofb.errors import NeurofbError, nearest
from neurofb.features.checks import problems as feature_problems
from neurofb.loop.participant_fit import ParticipantRecord
from neurofb.protocol.bundled import protocol_names
from neurofb.protocol.checks.heat_check import SiteBudget, heat_problems, site_budgets
from neurofb.protocol.checks.order_check import order_problems, order_warnings
from neurofb.protocol.checks.partial_parse import PartialProtocol, partial_parse
from neurofb.protocol.checks.prediction import (
    FeatureOutlook,
    RewardOutlook,
    blink_outlook,
    feature_outlook,
    reward_outlook,
)
from neurofb.protocol.design import ParsedProtocol, Problems, Protocol, parse_protocol
from neurofb.protocol.study import pseudonym_problem
from neurofb.protocol.timeline import Timeline, expand
from neurofb.spatial.montage import Montage
from neurofb.stimulation.driver import Capabilities

#: How a problem of the participant's code begins among those of the file.
_PARTICIPANT = "participant: "


@dataclass(frozen=True)
class RunContext:
    """The device, participant and earlier sessions that a protocol is to be run with."""

    #: None: nothing that needs a headset is checked.
    device: DeviceProfile | None = None
    #: Ids; None for the first session, and for an arm that nobody has chosen yet.
    session: str | None = None
    arm: str | None = None
    seed: int = 0
    #: The participant's code.
    participant: str | None = None
    #: The record of an earlier session.
    earlier: ParticipantRecord | None = None
    #: Calibrated temperatures of pain levels, °C.
    temperatures: Mapping[str, float] = field(default_factory=dict)
    #: Dose that each site has had already.
    used: Mapping[str, float] = field(default_factory=dict)
    #: Rate of the stream; None: that of the profile.
    rate_hz: float | None = None
    #: What the thermode can do; None: nothing is known of it.
    thermode: Capabilities | None = None

    @property
    def stream_rate_hz(self) -> float:
        """The sampling rate used for the check."""
        assert self.device is not None
        return self.rate_hz or self.device.rate_hz


@dataclass(frozen=True)
class CheckReport:
    """The report of a check."""

    #: Path or name of the file.
    title: str
    #: None if it has mistakes.
    protocol: Protocol | None = None
    timeline: Timeline | None = None
    #: Problems, each with its line.
    problems: tuple[str, ...] = ()
    #: Warnings, which do not prevent a session.
    warnings: tuple[str, ...] = ()
    features: tuple[FeatureOutlook, ...] = ()
    budgets: tuple[SiteBudget, ...] = ()
    reward: RewardOutlook | None = None

    @property
    def refusal(self) -> str:
        """All problems as one message; empty without any. A participant's code is no fault of the file."""
        codes = [each for each in self.problems if each.startswith(_PARTICIPANT)]
        in_file = [each for each in self.problems if each not in codes]
        count = "1 problem" if len(in_file) == 1 else f"{len(in_file)} problems"
        lines = [f"{self.title} has {count}:", *(f"  {each}" for each in in_file)] if in_file else []
        return "\n".join([*lines, *(each.removeprefix(_PARTICIPANT) for each in codes)])


def check_protocol(protocol: str | Path | ParsedProtocol, context: RunContext) -> CheckReport:
    """Check a protocol by its name or path, or as it was parsed before; everything that is wrong is found at once.

    Raises
    ------
    UnknownName, UnknownFile
        If there is no such protocol.
    WrongFile
        If it is no TOML at all.
    """
    parsed = protocol if isinstance(protocol, ParsedProtocol) else parse_protocol(protocol)
    if parsed.protocol is None or parsed.problems:
        rest = partial_parse(parsed.content, parsed.problems)
        more = [] if rest is None else _beside(parsed.problems, rest, context)
        if context.participant is not None:
            more += _participant_problems(context.participant)
        return CheckReport(
            parsed.title, problems=_with_lines(parsed.title, [*parsed.problems, *more], parsed.text)
        )
    found = tuple(problems(parsed.protocol, context))
    return _with_outlook(CheckReport(parsed.title, parsed.protocol, problems=found), parsed.protocol, context)


def problems(protocol: Protocol, context: RunContext) -> list[str]:
    """Return all that keeps a protocol from being run with a device and a participant, each with its line."""
    found: Problems = list(_outer_problems(protocol, context, ordered=True))
    if context.participant is not None:
        found += _participant_problems(context.participant)
    return list(_with_lines(protocol.title, found, protocol.text))


def _beside(found_before: Problems, rest: PartialProtocol, context: RunContext) -> Problems:
    """Return the problems of heat and headset in the valid part of a file, where none was listed yet."""
    places = {place for place, _ in found_before}
    found = [(rest.place_in_file(place), text) for place, text in _outer_problems(rest.protocol, context)]
    return [(place, text) for place, text in found if place not in places]


def _outer_problems(
    protocol: Protocol, context: RunContext, *, ordered: bool = False
) -> Iterator[tuple[Place, str]]:
    """Return the problems of heat and headset, and if ``ordered`` of the order of phases."""
    if context.device is not None:
        yield from _device_problems(protocol, context)
    found_before: set[tuple[Place, str]] = set()
    for session in _sessions(protocol, context):
        here = replace(context, session=session, used=context.used if session == context.session else {})
        for place, text in dict.fromkeys(_timeline_problems(protocol, here, ordered)):
            if (place, text) not in found_before:
                found_before.add((place, text))
                yield place, text if session == context.session else f"{text} (session {session!r})"


def _sessions(protocol: Protocol, context: RunContext) -> list[str | None]:
    """Return the session that was asked for; where none was, the first, and then all others, too."""
    others = [visit.id for visit in protocol.sessions[1:]] if context.session is None else []
    return [context.session, *others]


def _timeline_problems(protocol: Protocol, context: RunContext, ordered: bool) -> Iterator[tuple[Place, str]]:
    """Return the problems of one session: of its heat, which arms share, and of the order of each arm's phases."""
    try:
        yield from heat_problems(protocol, _timeline(protocol, context), context.used, context.thermode)
        chosen = context.arm is not None or not protocol.arms
        arms = [context.arm] if chosen else [arm.id for arm in protocol.arms]
        for arm in arms if ordered else ():
            timeline = _timeline(protocol, replace(context, arm=arm))
            yield from order_problems(protocol, timeline, context.earlier, context.temperatures)
    except NeurofbError as error:
        if ordered:
            yield (), str(error)


def _timeline(protocol: Protocol, context: RunContext) -> Timeline:
    """Return the timeline; that of the first arm where none was chosen: arms do not differ in time."""
    arm = context.arm
    if arm is None and protocol.arms:
        arm = protocol.arms[0].id
    return expand(
        protocol, session=context.session, arm=arm, seed=context.seed, temperatures=context.temperatures
    )


def _device_problems(protocol: Protocol, context: RunContext) -> Iterator[tuple[Place, str]]:
    device = context.device
    assert device is not None
    missing = [region for region in protocol.needs.regions if region not in device.regions]
    for region in missing:
        text = f"{device.title} has no region {region!r}; {nearest(region, device.regions)}"
        text += _fitting(device) if region == missing[-1] else ""
        yield ("needs", "regions", protocol.needs.regions.index(region)), text
    iaf_hz = context.earlier.fit.iaf_hz if context.earlier else None
    names = [feature.name for feature in protocol.features]
    for text in feature_problems(
        protocol.features, Montage.of(device), context.stream_rate_hz, iaf_hz, protocol.reference
    ):
        if any(f"no region {region!r}" in text for region in missing):
            continue  # its cause is named already
        at = next((i for i, name in enumerate(names) if text.startswith(f"feature {name!r}: ")), None)
        words = f"with {device.title}: {text}"
        yield (("features", at), words) if at is not None else (("features",), words)


def fits(protocol: Protocol | None, device: DeviceProfile) -> bool:
    """Return whether a headset has the electrodes and the rate that a protocol needs; False where there is none."""
    return (
        protocol is not None
        and set(protocol.needs.regions) <= set(device.regions)
        and not feature_problems(
            protocol.features, Montage.of(device), device.rate_hz, None, protocol.reference
        )
    )


def _fitting(device: DeviceProfile) -> str:
    """Return the bundled protocols that a headset has the electrodes for, as the end of a problem's text."""
    fitting = [name for name in protocol_names() if fits(parse_protocol(name).protocol, device)]
    return f"; bundled protocols that fit it: {', '.join(fitting)}" if fitting else ""


def _participant_problems(code: str) -> Problems:
    problem = pseudonym_problem(code)
    return [(("participant",), problem)] if problem else []


def _with_lines(title: str, found: Problems, text: str) -> tuple[str, ...]:
    """Return each problem with its line and place, in the order of the file."""
    if not found:
        return ()
    lines = lines_of(text, toml_content(text, title)) if text else {}
    return tuple(dict.fromkeys(row.strip() for row in message(title, found, lines).splitlines()[1:]))


def _with_outlook(report: CheckReport, protocol: Protocol, context: RunContext) -> CheckReport:
    """Add the outlook of the session to a report, as far as it can be computed."""
    try:
        timeline = _timeline(protocol, context)
    except NeurofbError:
        return report
    warnings = order_warnings(protocol, timeline)
    if protocol.assumed:
        warnings.append(f"assumed, not published: {', '.join(protocol.assumed)}")
    report = replace(
        report,
        timeline=timeline,
        warnings=tuple(warnings),
        budgets=tuple(site_budgets(protocol, timeline)),
    )
    return report if context.device is None else _with_numbers(report, protocol, context)


def _with_numbers(report: CheckReport, protocol: Protocol, context: RunContext) -> CheckReport:
    assert context.device is not None
    montage, rate_hz, earlier = Montage.of(context.device), context.stream_rate_hz, context.earlier
    outlooks = []
    for feature in protocol.features:
        outlook = feature_outlook(feature, montage, rate_hz, earlier)
        if outlook is not None:
            outlooks.append(replace(outlook, in_blinks=blink_outlook(feature, montage, protocol, earlier)))
    reward = None
    if protocol.feedback is not None:
        trained = next(each for each in protocol.features if each.name == protocol.feedback.feature)
        try:
            reward = reward_outlook(protocol.feedback, trained, rate_hz, earlier)
        except NeurofbError as error:
            report = replace(report, problems=(*report.problems, f"feedback.threshold: {error}"))
    return replace(report, features=tuple(outlooks), reward=reward)
