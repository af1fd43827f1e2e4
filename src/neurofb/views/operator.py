"""The operator's view, as data: lines, tones, pieces of a timeline, bars of a budget, advice.

In: a ``Snapshot``. Out: an ``OperatorView``, which a window or a terminal draws. It shows the
feedback as it was delivered; nothing here reads or shows the arm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neurofb import messages
from neurofb.events import is_told
from neurofb.format import clean, clock, number, signed
from neurofb.status import (
    OPERATOR,
    SILENT_S,
    ChannelStatus,
    FeatureStatus,
    FeedbackStatus,
    HeatStatus,
    ProbeStatus,
    RatingStatus,
    RecordingStatus,
    SessionStatus,
    StepStatus,
    StreamStatus,
    ViewStatus,
)
from neurofb.views.body import BodyPlace, place_on_body
from neurofb.views.contact_advice import Tone, advice, tone
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

#: Of a site's budget: from here on it is worth a look.
NEARLY_USED = 0.8
RATINGS_SHOWN, EVENTS_SHOWN = 8, 40


@dataclass(frozen=True, slots=True)
class Line:
    """A name and a text; the tone says how urgent it is."""

    name: str
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Piece:
    """A phase on the timeline: where it begins and ends, as shares of the whole."""

    name: str
    kind: str
    begins: float
    ends: float
    is_current: bool


@dataclass(frozen=True, slots=True)
class Bar:
    """The used share of a site's budget, 0–1, and its text."""

    text: str
    share: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Contact:
    """A channel."""

    label: str
    state: str
    words: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """The place where the operator is to put the probe and to confirm it."""

    headline: str
    site: str
    #: None where the name does not say it: then no place is drawn.
    place: BodyPlace | None
    more: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OperatorView:
    """Everything the operator's screen shows in words."""

    title: str
    #: The most urgent message.
    banner: Line | None
    lines: tuple[Line, ...] = ()
    pieces: tuple[Piece, ...] = ()
    #: Where on the timeline the session is, 0–1.
    at: float | None = None
    bars: tuple[Bar, ...] = ()
    contacts: tuple[Contact, ...] = ()
    advice: tuple[str, ...] = ()
    ratings: tuple[str, ...] = ()
    #: Commands that make sense now; ``stop`` and ``mark`` always do.
    enabled: frozenset[str] = frozenset({"stop", "mark"})
    is_paused: bool = False
    #: None where the probe is at its place.
    probe: ProbeStep | None = None


def operator_view(
    snapshot: Snapshot, wording: Wording, *, uid: str, has_listeners: bool = True, dropped: int = 0
) -> OperatorView:
    """Return the operator's view of a snapshot.

    ``dropped`` samples were not drawn.
    """
    status = snapshot.status
    banner = _banner(snapshot, wording, uid, has_listeners)
    if status is None:
        return OperatorView(uid, banner)
    return OperatorView(
        title=f"{status.title} · {status.participant}",
        banner=banner,
        lines=(*_lines(status, wording, dropped), *_unverified(snapshot, wording)),
        pieces=pieces(status),
        at=_at(status, snapshot.status_age_s),
        bars=tuple(_bars(status.heat, wording)),
        contacts=tuple(_contacts(status.channels, wording)),
        advice=tuple(_advice(status, wording)),
        ratings=tuple(_rating(each, wording) for each in reversed(status.ratings[-RATINGS_SHOWN:])),
        enabled=_enabled(snapshot),
        is_paused=OPERATOR in status.paused_by,
        probe=None if snapshot.is_over else probe_step(status.probe, wording),
    )


def probe_step(probe: ProbeStatus | None, wording: Wording) -> ProbeStep | None:
    """Return the place that waits for the operator's confirmation, in words and on the body."""
    if probe is None:
        return None
    place = place_on_body(probe.site)
    more = [
        "" if probe.before is None else wording("operator.probe_before", site=probe.before),
        wording("operator.probe_waits" if probe.waits else "operator.probe_first"),
        "" if place is not None else wording("operator.probe_unknown"),
    ]
    headline = wording("operator.probe_put" if probe.before is None else "operator.probe_move")
    return ProbeStep(headline, probe.site, place, tuple(filter(None, more)))


def event_lines(
    events: Sequence[Mapping[str, Any]], start_s: float | None, wording: Wording | None = None
) -> list[str]:
    """Return the events that an operator must know, newest first: when, a word for each, and the message."""
    lines = []
    titles = {} if wording is None else wording.table("event")
    told = [event for event in events if is_told(str(event.get("kind", "")), event.get("details") or {})]
    for event in list(reversed(told))[:EVENTS_SHOWN]:
        message = str(event.get("message") or event.get("kind", ""))
        time_s = event.get("time_s")
        is_known = start_s is not None and isinstance(time_s, int | float) and abs(time_s) < 1e12
        when = clock(float(time_s or 0.0) - (start_s or 0.0)) if is_known else "–:––"
        title = titles.get(str(event.get("kind", "")), "")
        lines.append(f"{when}  {f'{title}: ' if title else ''}{clean(message)}")
    return lines


def session_start_s(status: SessionStatus | None) -> float | None:
    """Return when the session began, on LSL's clock."""
    return None if status is None else status.clock_s - status.now_s


def _banner(snapshot: Snapshot, wording: Wording, uid: str, has_listeners: bool) -> Line | None:
    status = snapshot.status
    name = wording("operator.screen")
    if status is None:
        return Line(name, wording("operator.waiting_never", uid=uid), "attention")
    if snapshot.is_over:
        message = (status.ended.message if status.ended else "") or wording.translate("state", status.state)
        words = wording("operator.ended", message=message)
        if not status.recording.ok:
            return Line(name, f"{_recording(status.recording, wording).text}   {words}", "bad")
        return Line(name, words, "plain")
    if messages.STATUS in snapshot.missing:
        return Line(name, wording("operator.waiting_session", age=round(snapshot.status_age_s)), "bad")
    if not status.recording.ok:
        return Line(name, _recording(status.recording, wording).text, "bad")
    if snapshot.second_voices:
        return Line(name, wording("operator.second_voice", hosts=", ".join(snapshot.second_voices)), "bad")
    if status.unmet:
        return Line(name, wording("operator.heat_held", why="; ".join(status.unmet)), "bad")
    if status.warnings:
        return Line(name, status.warnings[0], "attention")
    if gone := [each for each in status.views if not each.alive and each.name != OPERATOR]:
        return Line(name, wording("operator.window_gone", age=round(gone[0].drew_age_s)), "bad")
    if snapshot.missing:
        return Line(name, wording("operator.waiting_stream", stream=", ".join(snapshot.missing)), "attention")
    if snapshot.unconfirmed:
        return Line(name, wording("operator.unheard", commands=", ".join(snapshot.unconfirmed)), "attention")
    if not has_listeners:
        return Line(name, wording("operator.nobody_hears"), "attention")
    return Line(name, status.message) if status.message else None


def _lines(status: SessionStatus, wording: Wording, dropped: int) -> list[Line]:
    state = status.state
    words = wording.translate("state", state)
    if status.left_s is not None:
        words += "   " + wording("operator.left", clock=clock(status.left_s))
    tones: dict[str, Tone] = {"running": "good", "paused": "attention", "stopping": "bad", "aborted": "bad"}
    lines = [Line(wording("operator.session"), words, tones.get(state, "plain"))]
    phase, step = status.phase, status.step
    if phase is not None:
        text = f"{phase.index + 1}/{phase.n}  {phase.name}"
        if phase.end_s is not None:
            text += "   " + wording("operator.left", clock=clock(phase.end_s - status.now_s))
        lines.append(Line(wording("operator.phase"), text))
    if step is not None:
        lines.append(Line(wording("operator.now"), _step(step, wording)))
    lines.append(_feedback(status.feedback, wording))
    lines += _features(status.features, wording)
    lines += [_heat(status.heat, wording), _stream(status.stream, wording)]
    latency = status.latency_ms
    if latency is not None:
        words = wording(
            "operator.latency_line",
            median=number(latency.median, 1),
            p99=number(latency.p99, 1),
            filter=number(latency.filter, 0),
        )
        lines.append(Line(wording("operator.latency"), words))
    lines.append(_recording(status.recording, wording))
    if status.views:
        lines.append(_windows(status.views, wording))
    if dropped:
        lines.append(Line(wording("operator.screen"), wording("operator.dropped", n=dropped), "attention"))
    return lines


def _unverified(snapshot: Snapshot, wording: Wording) -> list[Line]:
    """Return the line that says that this screen has no key; none where status and events are checked."""
    if snapshot.is_verified:
        return []
    return [Line(wording("operator.screen"), wording("operator.unverified"), "attention")]


def _step(step: StepStatus, wording: Wording) -> str:
    name = wording.translate("step", step.kind)
    if step.level:
        name += f" ({wording.translate('level', step.level)})"
    if not step.n_trials:
        return name
    return wording("operator.trial", step=name, trial=step.trial, n=step.n_trials)


def _feedback(feedback: FeedbackStatus, wording: Wording) -> Line:
    name = wording("operator.feedback")
    if not feedback.on:
        return Line(name, wording("operator.feedback_off"))
    if not feedback.usable:
        return Line(name, wording("operator.feedback_none", why=feedback.why or "–"), "attention")
    text = wording(
        "operator.feedback_on",
        level=number(feedback.level),
        z=signed(feedback.z),
        threshold=signed(feedback.threshold),
    )
    if feedback.reward:
        text += "   ● " + wording("operator.feedback_reward")
    if feedback.success_index is not None:
        text += "   " + wording("operator.success", percent=round(100 * feedback.success_index))
    return Line(name, text, "good")


def _features(features: Mapping[str, FeatureStatus], wording: Wording) -> list[Line]:
    return [
        Line(
            wording("operator.features") if i == 0 else "",
            f"{name.replace('_', ' ')}: {number(each.value)}" + ("" if each.usable else f"   – {each.why}"),
            "plain" if each.usable else "attention",
        )
        for i, (name, each) in enumerate(features.items())
    ]


def _heat(heat: HeatStatus | None, wording: Wording) -> Line:
    name = wording("operator.heat")
    if heat is None:
        return Line(name, wording("operator.no_heat"))
    text = wording(
        "operator.heat_line",
        measured=number(heat.measured_c, 1),
        target=number(heat.target_c, 1),
        state=heat.state,
        site=heat.site or wording("operator.no_site"),
    )
    tones: dict[str, Tone] = {"baseline": "plain", "off": "plain", "aborted": "bad", "fault": "bad"}
    return Line(name, text, tones.get(heat.state, "attention"))


def _stream(stream: StreamStatus, wording: Wording) -> Line:
    state = stream.state
    if state == "silent":
        hint = stream.hints.get(wording.language) or wording("operator.stream_hint")
        text = wording("operator.stream_silent", name=stream.name, s=f"{SILENT_S:g}", hint=hint)
        return Line(wording("operator.stream"), text, "bad")
    words = wording.translate("stream", state)
    text = wording(
        "operator.stream_line",
        name=stream.name,
        state=words,
        received=stream.received,
        missing=stream.missing,
    )
    return Line(wording("operator.stream"), text, "good" if state == "flowing" else "bad")


def _recording(recording: RecordingStatus, wording: Wording) -> Line:
    name = wording("operator.recording")
    if not recording.ok:
        why = f": {recording.why}" if recording.why else ""
        return Line(name, wording("operator.recording_bad") + why, "bad")
    return Line(name, wording("operator.recording_ok", megabytes=number(recording.bytes / 1e6, 1)), "good")


def _windows(views: Sequence[ViewStatus], wording: Wording) -> Line:
    texts, tones = [], set()
    for each in views:
        name = wording.translate("window", each.name)
        if not each.alive:
            texts.append(wording("operator.window_hangs", name=name, age=round(each.drew_age_s)))
            tones.add("bad")
        elif each.missing:
            texts.append(wording("operator.window_lacks", name=name, missing=each.missing))
            tones.add("attention")
        else:
            texts.append(wording("operator.window_draws", name=name))
    worst: Tone = "bad" if "bad" in tones else "attention" if tones else "good"
    return Line(wording("operator.windows"), ", ".join(texts), worst)


def pieces(status: SessionStatus) -> tuple[Piece, ...]:
    """Return the phases of the timeline as shares of its length."""
    timeline = status.timeline
    whole_s = _whole_s(status)
    current = status.phase.index if status.phase is not None else None
    return tuple(
        Piece(
            each.name,
            each.kind,
            each.start_s / whole_s,
            (each.start_s + (each.duration_s or 0.0)) / whole_s,
            i == current,
        )
        for i, each in enumerate(timeline)
        if each.start_s is not None
    )


def _whole_s(status: SessionStatus) -> float:
    ends = [each.start_s + (each.duration_s or 0.0) for each in status.timeline if each.start_s is not None]
    return float(max([1e-9, *ends]))


def _at(status: SessionStatus, age_s: float) -> float | None:
    if not status.timeline:
        return None
    moves = age_s if status.state == "running" and math.isfinite(age_s) else 0.0
    return float(min(1.0, max(0.0, (status.now_s + moves) / _whole_s(status))))


def _bars(heat: HeatStatus | None, wording: Wording) -> list[Bar]:
    if heat is None:
        return []
    bars = []
    for site, used in heat.used.items():
        share = used / heat.limit if heat.limit else 1.0
        bar_tone: Tone = "bad" if share >= 1.0 else "attention" if share >= NEARLY_USED else "good"
        text = wording("operator.budget", site=site, percent=round(100 * share))
        bars.append(Bar(text, min(1.0, share), bar_tone))
    return bars


def _contacts(channels: Mapping[str, ChannelStatus], wording: Wording) -> list[Contact]:
    return [
        Contact(
            label,
            each.state,
            wording.translate("quality", "out" if each.out else each.state),
            tone(each.state, out=each.out),
        )
        for label, each in channels.items()
    ]


def _advice(status: SessionStatus, wording: Wording) -> list[str]:
    channels = status.channels
    lines = advice({label: each.state for label, each in channels.items()}, wording)
    lines += [
        wording("advice.out", label=label)
        for label, each in channels.items()
        if each.out and each.state == "ok"
    ]
    return lines or ([wording("operator.all_good")] if channels else [])


def _rating(rating: RatingStatus, wording: Wording) -> str:
    value = rating.value
    shown = (
        wording("operator.no_answer")
        if value is None
        else value
        if isinstance(value, str)
        else f"{value:.0f}"
    )
    level = f" ({wording.translate('level', rating.level)})" if rating.level else ""
    trial = "–" if rating.trial is None else rating.trial
    return wording("operator.rating_line", scale=rating.scale, trial=trial, level=level, value=shown)


def _enabled(snapshot: Snapshot) -> frozenset[str]:
    status = snapshot.status
    enabled = {"stop", "mark"}
    if status is None or snapshot.is_over:
        return frozenset(enabled)
    enabled |= {"end"} if status.heat is None else {"end", "stop_heat"}
    if OPERATOR in status.paused_by:
        enabled |= {"resume"}
    elif status.state in ("running", "paused"):  # also on top of somebody else's pause, which may end
        enabled |= {"pause"}
    if status.phase is not None and status.phase.waits:
        enabled |= {"continue"}
    if status.probe is not None:
        enabled |= {"placed"}
    return frozenset(enabled)
