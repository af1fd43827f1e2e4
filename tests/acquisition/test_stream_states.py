"""A stream that never sends has a state and words of its own; a stall is judged by the stream's own bursts."""

from __future__ import annotations

import numpy as np
import pytest

from neurofb.acquisition.stream_health import MagnitudeCheck, StreamHealth
from neurofb.devices import load_profile, load_profiles
from neurofb.events import Event
from neurofb.lsl.matching import StreamInfo
from neurofb.lsl.senders import sender_of
from neurofb.status import SILENT_S, StreamStatus
from neurofb.views.operator import _stream as stream_line
from neurofb.views.texts import Wording

BLUE = StreamInfo(
    "Muse-1A2B (00:55) EEG", "EEG", "BlueMuse", "u", "lab", 4, 256.0, "float32", ("TP9", "AF7", "AF8", "TP10")
)


def followed(
    health: StreamHealth, arrivals_s: list[float], until_s: float, step_s: float = 0.005
) -> list[Event]:
    """Return the events of a stream whose samples arrive at these times, looked at as a session does."""
    events, coming = [], list(arrivals_s)
    health.opened(0.0)
    for now_s in np.arange(0.0, until_s, step_s):
        if coming and now_s >= coming[0]:
            while coming and now_s >= coming[0]:
                coming.pop(0)
            events += health.samples_came(float(now_s), 0)
        else:
            events += health.nothing_came(float(now_s), 0)
    return events


def test_stream_that_never_sends_is_silent_with_the_hint_of_its_program() -> None:
    sender = sender_of(BLUE, load_profile("muse-2"))
    health = StreamHealth(BLUE.name, 256.0, 12 / 256, sender.start_hint())
    assert health.state == "waiting"
    (event,) = followed(health, [], 30.0)
    assert health.state == "silent"
    assert event.kind == "silent"
    assert event.time_s == pytest.approx(SILENT_S, abs=0.02)
    assert event.message == f"connected to '{BLUE.name}', no sample in 5 s: press Start Streaming in BlueMuse"
    (again,) = health.samples_came(31.0, 0)
    assert (again.kind, health.state) == ("resumed", "flowing")


def test_unknown_program_has_a_hint_all_the_same() -> None:
    (event,) = followed(StreamHealth("x", 256.0), [], 6.0)
    assert event.message.endswith("look whether the device is connected and its program is streaming")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Muse: connected, no sample in 5 s: press Start Streaming in BlueMuse"),
        ("de", "Muse: verbunden, in 5 s kein Messwert: in BlueMuse Start Streaming drücken"),
    ],
)
def test_operator_reads_what_to_do_about_a_silent_stream(language: str, words: str) -> None:
    hints = sender_of(BLUE, load_profile("muse-2")).hints
    line = stream_line(StreamStatus("Muse", "silent", 256.0, 0, 0, hints), Wording(language))
    assert (line.text, line.tone) == (words, "bad")
    unknown = stream_line(StreamStatus("Muse", "silent", 256.0, 0, 0), Wording(language))
    assert Wording(language)("operator.stream_hint") in unknown.text


def test_each_hint_is_there_in_both_languages() -> None:
    for profile in load_profiles():
        for program in profile.programs:
            assert set(program.start) in ({"en", "de"}, set()), (profile.name, program.program)


@pytest.mark.parametrize(
    ("burst_s", "stall_s", "kinds"),
    [
        (0.004, 0.03, []),
        (0.004, 0.2, []),
        (0.004, 0.4, ["stale", "resumed"]),
        (0.047, 0.064, []),
        (0.047, 0.6, ["stale", "resumed"]),
        (0.2, 0.45, []),
        (0.2, 0.9, ["stale", "resumed"]),
        (0.2, 2.5, ["stale", "lost", "resumed"]),
        (1.0, 1.3, []),
        (1.0, 3.0, ["lost", "resumed"]),
    ],
)
def test_stall_is_an_event_beyond_the_bursts_of_the_stream(
    burst_s: float, stall_s: float, kinds: list[str]
) -> None:
    before = [burst_s * (i + 1) for i in range(round(4.0 / burst_s))]
    after = [before[-1] + stall_s + burst_s * i for i in range(round(2.0 / burst_s))]
    health = StreamHealth("x", 250.0, burst_s)
    assert [event.kind for event in followed(health, before + after, after[-1])] == kinds


def test_state_is_stale_at_once_though_nobody_is_told_of_a_short_stall() -> None:
    health = StreamHealth("x", 250.0, 0.02)
    health.opened(0.0)
    health.samples_came(0.0, 0)
    assert health.nothing_came(0.1, 5) == []
    assert health.state == "stale"


@pytest.mark.parametrize(
    ("level_uv", "is_told"), [(0.0, False), (700.0, False), (-20.0, False), (2000.0, True), (-1500.0, True)]
)
def test_values_beyond_the_rails_of_the_program_are_told(level_uv: float, is_told: bool) -> None:
    check = MagnitudeCheck(250.0, 1.0, "microvolts, by the stream", (-725.0, 725.0))
    values = level_uv + np.random.default_rng(3).normal(0.0, 10.0, (1000, 4))
    events = check.push(values, 1.0)
    assert [event.kind for event in events] == (["rails"] if is_told else [])
    if is_told:
        assert "--program" in events[0].message
