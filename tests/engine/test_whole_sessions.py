"""Whole sessions, drawn: protocols × faults of devices, streams, windows and processes × commands of all kinds.

Each session runs through the real engine and the real guard (for two of three in the real watchdog's loop) on the
manual clock; what is true of probe and skin is written down beside it. A hundred seeds here; NEUROFB_SESSIONS=2000
(``make fuzz``) draws so many others, anew each day. A failing session is made smaller, and what is left is printed as
it can be pasted below as a case of its own.
"""

import os
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import pytest
from drawn_sessions import (
    ACCIDENTS,
    COMMANDS,
    DEVICE_FAULTS,
    FORMS,
    STREAM_FAULTS,
    DrawnSession,
    draw_session,
)
from session_truth import problems
from whole_sessions import play

from neurofb.stimulation.conditions import Facts

MORE = int(os.environ.get("NEUROFB_SESSIONS", "0"))
#: The first of the day's numbers; none of the hundred that are always tried is among them.
FIRST = int(os.environ.get("NEUROFB_SEED", datetime.now(UTC).strftime("%Y%m%d0000"))) if MORE else 0
SEEDS = range(FIRST, FIRST + (MORE or 100))
#: So many seeds are one test: more than one, so that thousands are not thousands of lines.
BLOCK = 20 if MORE else 2
#: Whoever makes a session smaller tries no more than this.
TRIES = 40

SEVEN = DrawnSession(
    seed=7, rotation="by block", cap_c=46.36, baseline_c=33.45, rise_c_per_s=19.76, return_c_per_s=39.8,
    levels=((41.95, 2.43), (46.36, 2.42)), asks=False, moves_s=4.0, views=(("operator", 0.0, 0.0),),
    accident=("program error", 8.06, 0.1), guard="local", pull_s=0.01,
)  # fmt: skip


def found_in(drawn: DrawnSession, *, also_pyxdf: bool = False) -> list[str]:
    """Return what is wrong with a session, played in a folder of its own; an error counts too."""
    with TemporaryDirectory() as folder:
        try:
            return problems(play(drawn, Path(folder)), also_pyxdf=also_pyxdf)
        except Exception as error:
            return [f"{type(error).__name__}: {error}"]


def smallest(drawn: DrawnSession, name: str) -> DrawnSession:
    """Return the session without what is not needed for it to fail in the same check."""
    tries, goes_on = 0, True
    while goes_on and tries < TRIES:
        goes_on = False
        for smaller in drawn.smaller():
            tries += 1
            if any(text.startswith(name) for text in found_in(smaller)):
                drawn, goes_on = smaller, True
                break
            if tries >= TRIES:
                break
    return drawn


@pytest.mark.parametrize("first", SEEDS[::BLOCK])
def test_nothing_unsafe_or_untrue_happens_in_a_drawn_session(first):
    for seed in range(first, min(first + BLOCK, SEEDS.stop)):
        drawn = draw_session(seed)
        if found := found_in(drawn, also_pyxdf=seed % 5 == 0):
            less = smallest(drawn, found[0].split(":")[0])
            pytest.fail(f"{'; '.join(found)}\n\ndrawn: {drawn!r}\n\nenough is: {less!r}", pytrace=False)


def test_a_seed_gives_the_same_session_everywhere():
    """If this fails, the tests above try other sessions than they did before."""
    assert draw_session(7) == SEVEN


def test_a_session_prints_as_it_can_be_pasted():
    drawn = draw_session(1)
    assert eval(repr(drawn)) == drawn


def test_one_part_of_a_session_can_be_left_out():
    smaller = list(SEVEN.smaller())
    assert replace(SEVEN, accident=()) in smaller
    assert all(each != SEVEN and each.seed == 7 for each in smaller)


def test_the_drawn_sessions_are_of_all_kinds():
    """A generator that draws one kind no more would make the tests above pass for nothing."""
    drawn = [draw_session(seed) for seed in range(400)]
    assert {text.split("@")[0] for each in drawn for text in each.device_faults} == set(DEVICE_FAULTS)
    assert {fault[0] for each in drawn for fault in each.stream_faults} == set(STREAM_FAULTS)
    assert {act[1] for each in drawn for act in each.acts} == set(COMMANDS)
    assert {act[2] for each in drawn for act in each.acts} == set(FORMS)
    assert {each.accident[0] for each in drawn if each.accident} == set(ACCIDENTS)
    for name, least in (
        ("guard", 2),
        ("rater", 5),
        ("sites", 4),
        ("rotation", 3),
        ("calibrates", 2),
        ("trains", 2),
    ):
        assert len({getattr(each, name) for each in drawn}) >= least, name


# What was found, each with its name.

FOUND = {
    # The fired device heard no abort and went on rising; the account stood at where it had been.
    "a link that breaks just after the stimulus was fired": DrawnSession(
        seed=202611281657,
        rise_c_per_s=21.99,
        trains=True,
        device_faults=("lost@9.34+3.67",),
        views=(("operator", 0.0, 1e9),),
        accident=("both killed", 14.59, 1.45),
        pull_s=0.01,
    ),
    # The samples by which it was refused were not recorded, those after them were.
    "a stream that is refused soon after the start": DrawnSession(
        seed=3, sites=1, stream_faults=(("rate", 0.0, 0.8),)
    ),
    "a stream that is refused with losses": DrawnSession(
        seed=202611281530, stream_faults=(("rate", 0.0, 0.5), ("rate", 0.0, 0.5))
    ),
    "a headset that sends no numbers is no EEG": DrawnSession(
        asks=False, stream_faults=(("bad", 3.7, 6.0, "nan"),)
    ),
    "a device is let go also where the recording takes its readings no more": DrawnSession(
        cap_c=47.55,
        baseline_c=34.73,
        rise_c_per_s=70.0,
        levels=((47.55, 2.0),),
        trials=1,
        asks=False,
        accident=("disk full", 5.9, 0.0),
        pull_s=0.02,
    ),
    "a stop just before a calibration asks for its next stimulus": DrawnSession(
        seed=202611280161,
        baseline_c=30.59,
        rise_c_per_s=19.3,
        return_c_per_s=31.45,
        calibrates=True,
        moves_s=0.2,
        acts=((27.31, "stop_heat", "signed", 1),),
        accident=("watchdog hangs", 6.82, 1.54),
        guard="local",
        pull_s=0.01,
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_mended(name):
    assert found_in(FOUND[name]) == []


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e300"])
def test_session_goes_on_after_numbers_that_are_no_eeg(tmp_path, value):
    drawn = DrawnSession(trials=1, asks=False, stream_faults=(("bad", 0.3, 0.4, value),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none is printed to the terminal
        played = play(drawn, tmp_path)
    assert problems(played) == []
    assert played.outcome.kind == "finished"
    assert "heat_fired" in {event.kind for event in played.events}


# The checks can fail: each against a program with one mistake.

CALM = DrawnSession(trials=1, asks=False)
HOT = replace(CALM, levels=((46.0, 2.0),), cap_c=46.0)


@pytest.mark.parametrize(
    ("drawn", "broken", "instead", "check"),
    [
        (CALM, "stimulation.thermal_dose.DoseTracker.charge", lambda *_: None, "account_is_not_less"),
        (
            replace(HOT, device_faults=("runaway@7.0",)),
            "stimulation.probe_model.ProbeModel.cause",
            lambda *_: "",
            "probe_keeps_the_cap",
        ),
        (
            replace(CALM, acts=((6.5, "stop", "signed", 1),)),
            "engine.stimulus_control.StimulusController.abort",
            lambda *_: None,
            "heat_ends_with_its_cause",
        ),
        (
            replace(HOT, accident=("engine killed", 8.5, 0.1)),
            "engine.earlier_dose.doses_in",
            lambda *_: [],
            "account_is_not_less",
        ),
        (
            replace(CALM, views=(("operator", 0.0, 0.5),)),
            "engine.heat_conditions.HeatConditions.facts",
            lambda _, now_s: Facts(now_s, 0.0, recording=True, view=True),
            "heat_has_its_three_conditions",
        ),
        (CALM, "recording.writer.Recorder.close", lambda *_: None, "record_can_be_read"),
        (CALM, "loop.loop.Loop.push", lambda *_: 1 / 0, "end_makes_sense"),
    ],
    ids=["dose", "cap", "stop", "killed", "unwatched", "record", "error"],
)
def test_checks_find_a_mistake_of_the_program(drawn, broken, instead, check):
    assert found_in(drawn) == []
    with mock.patch(f"neurofb.{broken}", instead):
        assert any(text.startswith(check) for text in found_in(drawn))
