"""The operator's view, without any screen."""

import math

import pytest
from stand_in import status

from neurofb import messages
from neurofb.devices.electrodes import ROWS, is_position
from neurofb.views.contact_advice import GLYPHS, WORST_FIRST, advice, advice_for, place_key, tone
from neurofb.views.head import places_2d
from neurofb.views.operator import event_lines, operator_view, session_start_s
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

WORDING = Wording("en")


def seen(known=None, **more):
    given = {k: more.pop(k) for k in ("missing", "unconfirmed") if k in more}
    snapshot = Snapshot(100.0, status(**(known or {})), 0.1, feedback=None, **given)
    return operator_view(snapshot, WORDING, uid="u", **more)


def line(found, name):
    return next(each for each in found.lines if each.name == name)


def test_operator_view_of_a_running_session():
    found = seen()
    assert found.title == "Mindfulness and heat · p01"
    assert line(found, "session").text == "running   7:10 left"
    assert line(found, "phase").text == "4/6  training 2   1:48 left"
    assert line(found, "now").text == "rest, trial 3 of 8"
    assert line(found, "feedback").text == "level 0.50   z +0.40   threshold +0.10   success 60 %"
    assert line(found, "heat").text == "32.1 °C, target 32.0 °C, baseline, left forearm"
    assert line(found, "stream").text == "Muse: flowing, 80000 samples, 0 missing"
    assert line(found, "latency").text == "0.5 ms after the sample (99 %: 2.1), filter 120 ms"
    assert line(found, "recording").text == "1.2 MB"
    assert found.ratings == ("intensity, trial 1 (warm): 21",)
    assert found.advice == ("all electrodes are well",)
    assert found.banner is None
    assert found.enabled == {"stop", "mark", "end", "pause", "stop_heat"}


def test_timeline_pieces_are_shares_of_its_length():
    found = seen()
    assert [round(each.begins * 742) for each in found.pieces] == [0, 60, 180, 240, 420, 660]
    assert found.pieces[-1].ends == 1.0
    assert [each.name for each in found.pieces if each.is_current] == ["training 2"]
    assert found.at == pytest.approx(312.1 / 742)


def test_bars_show_the_used_budget_of_each_site():
    found = seen({"heat": {"used": {"a": 0.31, "b": 0.85, "c": 1.2}}})
    assert [(each.share, each.tone) for each in found.bars] == [
        (0.31, "good"),
        (0.85, "attention"),
        (1.0, "bad"),
    ]
    assert found.bars[2].text == "c: 120 % of its budget"


@pytest.mark.parametrize(
    "known, more, said",
    [
        ({}, {"missing": (messages.STATUS,)}, "waiting for the session: no status for 0 s"),
        ({}, {"missing": (messages.EEG, messages.EVENTS)}, "waiting for neurofb-eeg, neurofb-events"),
        ({"recording": {"ok": False}}, {}, "THE RECORDING FAILS"),
        ({}, {"unconfirmed": ("stop",)}, "sent and not confirmed yet: stop"),
        ({}, {"has_listeners": False}, "the session does not hear this screen yet"),
        ({"message": "AF7 left"}, {}, "AF7 left"),
        (
            {"state": "aborted", "ended": {"outcome": "aborted", "message": "stop by participant"}},
            {},
            "stop by part",
        ),
    ],
)
def test_banner_shows_the_most_urgent(known, more, said):
    assert said in seen(known, **more).banner.text


def test_operator_view_before_the_first_status():
    found = operator_view(Snapshot(0.0), WORDING, uid="abc")
    assert found.banner.text == "waiting for the session abc: nothing has come from it yet"
    assert found.enabled == {"stop", "mark"}


@pytest.mark.parametrize(
    "known, more",
    [
        ({"state": "paused", "paused_by": ["operator", "participant"]}, {"end", "resume", "stop_heat"}),
        (
            {"state": "paused", "paused_by": ["participant"]},
            {"end", "pause", "stop_heat"},
        ),  # a hold of one's own
        ({"state": "paused", "paused_by": ["view"]}, {"end", "pause", "stop_heat"}),
        ({"state": "finished"}, set()),
        ({"phase": {"waits": True}}, {"end", "pause", "continue", "stop_heat"}),
        ({"state": "preparing", "heat": None}, {"end"}),
        (
            {"probe": {"site": "left hand", "before": None, "waits": True}},
            {"end", "pause", "stop_heat", "placed"},
        ),
    ],
)
def test_enabled_commands_by_state(known, more):
    assert seen(known).enabled == {"stop", "mark"} | more


def test_feedback_line_gives_the_reason_and_dashes_for_unknown_numbers():
    found = seen({"feedback": {"usable": False, "why": "AF7 is flat"}})
    assert (line(found, "feedback").text, line(found, "feedback").tone) == (
        "none now: AF7 is flat",
        "attention",
    )
    found = seen({"feedback": {"z": None, "threshold": math.nan, "success_index": None, "reward": True}})
    assert line(found, "feedback").text == "level 0.50   z –   threshold –   ● reward"
    assert line(seen({"feedback": {"on": False}}), "feedback").text == "none in this phase"


def test_operator_view_without_heat_phase_or_latency():
    found = seen(
        {"heat": None, "latency_ms": None, "phase": None, "step": None, "timeline": [], "left_s": None}
    )
    assert line(found, "heat").text == "no stimulator in this session"
    assert (found.bars, found.pieces, found.at) == ((), (), None)


def test_ratings_without_answer_and_with_free_text():
    ratings = [
        {"scale": "intensity", "trial": 2, "level": None, "value": None},
        {"scale": "words", "trial": None, "level": None, "value": "a tingle"},
    ]
    assert seen({"ratings": ratings}).ratings == ("words, trial –: a tingle", "intensity, trial 2: no answer")


def test_operator_view_never_shows_the_arm():
    """Whatever a status or an event carries about it."""
    found = seen({"arm": "sham-xyz", "feedback": {"arm": "sham-xyz", "source": "sham-xyz"}})
    assert "sham-xyz" not in repr(found)
    lines = event_lines(
        [{"kind": "start", "message": "started", "details": {"arm": "sham-xyz"}, "time_s": 1.0}], 0.0
    )
    assert lines == ["0:01  started"]


def test_event_lines_are_newest_first_with_session_time():
    events = [{"kind": "a", "message": "one", "time_s": 8000.0}, {"kind": "b", "message": "", "time_s": None}]
    start_s = session_start_s(status(clock_s=8100.0, now_s=130.0))
    assert event_lines(events, start_s) == ["–:––  b", "0:30  one"]


def test_dropped_samples_have_a_line():
    assert any("12 samples not drawn" in each.text for each in seen(dropped=12).lines)


# -- electrodes ------------------------------------------------------------------------------------------------


def test_advice_names_the_place():
    assert advice_for("AF7", "flat", WORDING) == "AF7 flat: press the sensor above the left eyebrow"
    assert advice_for("ch1", "flat", WORDING, "TP10") == "ch1 flat: press the sensor behind the right ear"
    assert advice_for("odd", "noisy", WORDING).endswith("press the sensor odd, and ask for a loose jaw")
    assert advice_for("AF7", "ok", WORDING) == ""


def test_every_channel_state_has_advice_glyph_and_word_in_every_language():
    for language in ("en", "de"):
        wording = Wording(language)
        for state in WORST_FIRST:
            assert advice_for("Fz", state, wording)
            assert GLYPHS[state]
            assert wording.translate("quality", state) == wording.keys()[f"quality.{state}"]
    assert len(set(GLYPHS.values())) == len(GLYPHS)


def test_advice_is_worst_first_and_one_line_for_a_shared_problem():
    found = advice({"Fz": "noisy", "Cz": "detached", "Pz": "ok"}, WORDING)
    assert [each.split()[0] for each in found] == ["Cz", "Fz"]
    assert advice({"Fz": "line noise", "Cz": "line noise"}, WORDING)[0].startswith("all electrodes hum")
    assert advice({"Fz": "missing", "Cz": "missing"}, WORDING)[0].startswith("no samples come")
    assert (tone("ok"), tone("flat"), tone("ok", out=True)) == ("good", "bad", "bad")


@pytest.mark.parametrize(
    "label, place",
    [
        ("AF7", "eyebrow_left"),
        ("Fp1", "forehead_left"),
        ("AFz", "forehead_middle"),
        ("F8", "temple_right"),
        ("Fz", "front_middle"),
        ("Cz", "top_middle"),
        ("C4", "top_right"),
        ("T3", "ear_left"),
        ("T8", "ear_right"),
        ("TP9", "behind_ear_left"),
        ("M2", "behind_ear_right"),
        ("A1", "earlobe_left"),
        ("Pz", "back_middle"),
        ("O2", "back_right"),
        ("EEG 7", "unknown"),
    ],
)
def test_place_key_of_an_electrode(label, place):
    assert place_key(label) == f"place.{place}"


def test_channel_without_a_place_stands_below_the_head():
    places = places_2d(["Cz", "what", "ever"])
    assert places["Cz"] == (0.0, 0.0)
    assert places["what"][1] == places["ever"][1] == -1.3


def test_every_10_05_position_has_words():
    names = [f"{row}{c}" for row in ROWS for c in ("z", *range(1, 11), "5h", "6h")]
    for name in filter(is_position, names):
        assert place_key(name).split(".")[1] in {k.split(".")[1] for k in WORDING.keys()}  # noqa: SIM118


def test_held_heat_is_the_banner_with_its_reason():
    found = seen({"unmet": ["no operator's view is alive"], "message": "x"}, missing=(messages.EEG,))
    assert found.banner.text == "HEAT IS HELD: no operator's view is alive"
    assert found.banner.tone == "bad"


@pytest.mark.parametrize(
    ("view", "text", "tone"),
    [
        ({"alive": True}, "operator draws", "good"),
        ({"alive": True, "missing": "neurofb-eeg"}, "operator lacks neurofb-eeg", "attention"),
        ({"alive": False, "drew_age_s": 4.2}, "operator: nothing new for 4 s", "bad"),
    ],
)
def test_state_of_each_window_is_a_line(view, text, tone):
    other = {"name": "participant", "alive": True, "drew_age_s": 0.2, "missing": ""}
    found = line(seen({"views": [{**other, "name": "operator", **view}, other]}), "windows")
    assert (found.text, found.tone) == (f"{text}, participant draws", tone)


@pytest.mark.parametrize(
    "language, words",
    [("en", "THE PARTICIPANT'S WINDOW IS GONE"), ("de", "DAS FENSTER DER VERSUCHSPERSON IST WEG")],
)
def test_participants_window_that_is_gone_is_the_banner(language, words):
    view = {"name": "participant", "alive": False, "drew_age_s": 4.2, "missing": ""}
    found = operator_view(Snapshot(100.0, status(views=[view]), 0.1), Wording(language), uid="abc").banner
    assert found.text.startswith(f"{words}: ")
    assert "4 s" in found.text
    assert found.tone == "bad"
