"""The participant's view, without any screen."""

import itertools
import random
from string import Formatter

import pytest
from screen_parts import most_changes_per_s, relative_luminance
from stand_in import prompt, status

from neurofb import messages
from neurofb.errors import UnknownName
from neurofb.views.flash_limits import FADE_S, LIMIT_PER_S, Faded, Slow
from neurofb.views.participant import ParticipantView, Words
from neurofb.views.rating import Rating
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording, languages

WORDING = Wording("en")


def row(level, now_s, *, usable=1.0, reward=0.0):
    return {"level": level, "reward": reward, "usable": usable, "time_s": now_s, "came_s": now_s}


def settle(view, seconds=4.0, start_s=0.0, **known):
    """Show the same snapshot for some seconds; return the last picture."""
    now_s = start_s
    picture = None
    for _ in range(round(seconds * 60)):
        now_s += 1 / 60
        fed = known.get("feedback")
        given = {**known, "feedback": {**fed, "came_s": now_s}} if fed else known
        picture = view.picture(Snapshot(now_s, status_age_s=0.1, **given))
    return picture


def test_calm_follows_the_level_slowly():
    view = ParticipantView(WORDING)
    assert settle(view, status=status(), feedback=row(1.0, 0)).calm == 1.0
    before = settle(view, 1 / 60, start_s=4.0, status=status(), feedback=row(0.0, 0)).calm
    assert before == pytest.approx(1.0 - LIMIT_PER_S / 60)
    assert settle(view, start_s=5.0, status=status(), feedback=row(0.0, 0)).calm == 0.0


def test_feedback_no_feedback_and_waiting_look_different():
    feedback = settle(ParticipantView(WORDING), status=status(), feedback=row(0.5, 0))
    neutral = settle(ParticipantView(WORDING), status=status(), feedback=row(0.5, 0, usable=0.0))
    waiting = settle(ParticipantView(WORDING), status=status(), missing=(messages.STATUS,))
    assert (feedback.appearance, feedback.filled, feedback.dotted, feedback.note) == (
        "feedback",
        1.0,
        0.0,
        "",
    )
    assert (neutral.appearance, neutral.filled, neutral.dotted) == ("neutral", 0.0, 0.0)
    assert "nothing for you to do" in neutral.note
    assert (waiting.appearance, waiting.filled, waiting.dotted) == ("waiting", 0.0, 1.0)
    assert "waiting for the session" in waiting.note


def test_unusable_feedback_looks_like_neither_success_nor_failure():
    view = ParticipantView(WORDING)
    settle(view, status=status(), feedback=row(1.0, 0, reward=1.0))
    picture = settle(view, start_s=4.0, status=status(), feedback=row(1.0, 0, usable=0.0, reward=1.0))
    assert (picture.calm, picture.glow) == (0.5, 0.0)


@pytest.mark.parametrize("mode", ["summary", "instruction"])
def test_level_is_hidden_in_other_modes(mode):
    picture = settle(ParticipantView(WORDING), status=status(feedback={"mode": mode}), feedback=row(1.0, 0))
    assert (picture.appearance, picture.calm, picture.note) == ("neutral", 0.5, "")


def test_stale_feedback_row_gives_way_to_the_status():
    view = ParticipantView(WORDING)
    old = {**row(1.0, 0), "came_s": -100.0}
    picture = None
    for i in range(240):
        picture = view.picture(Snapshot(i / 60, status(feedback={"level": 0.0}), 0.1, (), old))
    assert picture.calm == 0.0


def test_unknown_level_is_neutral():
    picture = settle(ParticipantView(WORDING), status=status(feedback={"level": None, "usable": True}))
    assert picture.appearance == "neutral"


def test_summary_follows_its_block_until_the_next_phase_but_one():
    view, summary = ParticipantView(WORDING), {"success": 0.61, "rewarded": 31}

    def seen(start_s, index, on, **phase):
        known = status(
            phase={"index": index, "summary": summary, **phase}, feedback={"on": on, "mode": "summary"}
        )
        return settle(view, start_s=start_s, status=known).words

    assert seen(0.0, 2, False).headline == ""  # the screen came late: it is not the phase after a block
    assert seen(4.0, 3, True).headline == ""
    after = seen(8.0, 4, False)
    assert after.headline == "This part is over."
    assert "60 %" in after.text
    assert seen(12.0, 5, False, text="next") == Words("", "next")
    unknown = status(
        phase={"index": 6, "summary": {"success": None, "rewarded": 0}},
        feedback={"on": False, "mode": "summary"},
    )
    seen(16.0, 5, True)
    assert settle(view, start_s=20.0, status=unknown).words == Words("This part is over.", "")


@pytest.mark.parametrize(
    "step, words",
    [
        ({"kind": "cue", "level": "moderate"}, "Next: moderate"),
        ({"kind": "cue", "level": None}, "Attention"),
        ({"kind": "cue", "level": "odd_one"}, "Attention"),  # the protocol's own name is not for people
        ({"kind": "cue", "level": "odd_one", "labels": {"en": "strong", "de": "stark"}}, "Next: strong"),
        ({"kind": "cue", "level": "hot", "labels": {"de": "stark"}}, "Next: hot"),
        ({"kind": "anticipation"}, "It is about to begin"),
        ({"kind": "heat", "level": "moderate"}, "Now"),
        ({"kind": "relief"}, "It is over: let go"),
        ({"kind": "rest"}, ""),
    ],
)
def test_sign_of_each_step(step, words):
    picture = settle(ParticipantView(WORDING), status=status(step=step))
    assert picture.sign.words == words
    assert bool(words) == (picture.sign_opacity == 1.0 and picture.left is not None)


def test_heat_and_button_flags_of_the_picture():
    without = settle(ParticipantView(WORDING), status=status(heat=None))
    quiet = settle(ParticipantView(WORDING), status=status())
    limits = settle(ParticipantView(WORDING), status=status(heat={"button": True}))
    assert (without.heat, quiet.heat, quiet.button, limits.button) == (False, True, False, True)
    assert (without.heat_opacity, quiet.heat_opacity, limits.button_opacity) == (0.0, 1.0, 1.0)
    assert "Press 3" in limits.words.text


def test_unconfirmed_stop_tells_the_participant_what_to_do():
    view = ParticipantView(WORDING)
    view.note_stop(0.0)
    assert settle(view, 0.9, status=status(), unconfirmed=("stop",)).words.text == ""
    assert (
        "take your arm away" in settle(view, start_s=1.0, status=status(), unconfirmed=("stop",)).words.text
    )
    ended = {"outcome": "stopped", "message": ""}
    over = settle(view, start_s=6.0, status=status(state="aborted", ended=ended))
    assert over.words.headline == "It has been stopped."
    assert over.over


def test_pause_without_an_operators_screen_says_so():
    def text(*, alive):
        views = [{"name": "operator", "drew_age_s": 4.0, "missing": "", "alive": alive}]
        return settle(ParticipantView(WORDING), status=status(state="paused", views=views)).words.text

    assert "screen is gone, and there is no heat without it" in text(alive=False)
    assert text(alive=True).startswith("You may move")


@pytest.mark.parametrize(
    "changes, headline",
    [
        ({"state": "paused"}, "Pause"),
        ({"state": "finished"}, "This session has ended."),
        ({"state": "aborted"}, "This session was ended early."),
        ({"phase": {"eyes": "closed"}}, "Close your eyes."),
    ],
)
def test_words_for_each_state(changes, headline):
    assert settle(ParticipantView(WORDING), status=status(**changes)).words.headline == headline


def test_picture_in_german():
    picture = settle(ParticipantView(Wording("de_AT.UTF-8")), status=status(step={"kind": "relief"}))
    assert picture.sign.words == "Es ist vorbei: loslassen"


def test_languages_have_the_same_keys_and_fields():
    assert languages() == ("de", "en")
    keys = {language: Wording(language).keys() for language in languages()}
    assert keys["de"].keys() == keys["en"].keys()
    for key in keys["en"]:
        words = [
            sorted(name for _, name, _, _ in Formatter().parse(keys[each][key]) if name)
            for each in ("en", "de")
        ]
        assert words[0] == words[1], key
    with pytest.raises(UnknownName, match=r"do not speak 'fr'; .*there are: de, en"):
        Wording("fr")


# -- never more than three changes of brightness a second ------------------------------------------------------


def test_most_changes_per_s_counts_swings():
    times_s = [i / 60 for i in range(120)]
    assert most_changes_per_s(times_s, [0.5] * 120) == 0
    assert most_changes_per_s(times_s, [i / 120 for i in range(120)]) == 1  # one long rise is one change
    blinking = [float(i // 6 % 2) for i in range(120)]
    assert most_changes_per_s(times_s, blinking) == 10
    assert most_changes_per_s(times_s, [0.09 * value for value in blinking]) == 0
    assert relative_luminance(255, 255, 255) == pytest.approx(1.0)
    assert relative_luminance(0, 0, 0) == 0.0


def test_slow_and_faded_cannot_flash():
    slow, faded = Slow(0.5), Faded("a", "")
    values, opacities = [], []
    for i in range(600):
        values.append(slow.follow(float(i % 2), 1 / 60))
        faded.become("ab"[i // 27 % 2], 1 / 60)  # as fast as it can be made to fade
        opacities.append(faded.opacity)
    times_s = [i / 60 for i in range(600)]
    assert most_changes_per_s(times_s, values) == 0
    assert 1 <= most_changes_per_s(times_s, opacities) <= 3
    assert 2 / (2 * FADE_S) <= 3  # away and back are two changes


def test_late_frame_does_not_jump():
    slow = Slow(0.0)
    assert slow.follow(1.0, 30.0) <= LIMIT_PER_S * 0.1


@pytest.mark.parametrize("seed", range(3))
def test_picture_does_not_flash_whatever_is_received(seed):
    """Every status another scene, every level another extreme: no part of the picture changes too often."""
    rng = random.Random(seed)
    scenes = [
        {"state": "paused"},
        {"phase": {"text": "one"}},
        {"phase": {"text": "two"}},
        {"phase": None},
        {"step": {"kind": "cue", "level": "warm"}},
        {"step": {"kind": "heat"}},
        {"prompt": prompt(id="a")},
        {"feedback": {"usable": False}},
        {"feedback": {"on": False}},
    ]
    view = ParticipantView(WORDING)
    times_s = [i / 60 for i in range(1200)]
    parts = (
        "calm",
        "filled",
        "dotted",
        "glow",
        "words_opacity",
        "sign_opacity",
        "scene_opacity",
        "ask_opacity",
    )
    shown = {part: [] for part in parts}
    words = []
    scene = {}
    for i, now_s in enumerate(times_s):
        if i % 3 == 0:
            scene = rng.choice(scenes)
        fed = row(float(rng.random() > 0.5), now_s, usable=float(rng.random() > 0.3), reward=float(i % 2))
        missing = (messages.STATUS,) if rng.random() > 0.9 else ()
        picture = view.picture(Snapshot(now_s, status(**scene), 0.1, missing, fed))
        for part in parts:
            # No place has more than half the range from black to white; what fades may have it all.
            fades = part in ("words_opacity", "sign_opacity", "ask_opacity")
            shown[part].append(getattr(picture, part) * (1.0 if fades else 0.5))
        words.append((picture.words, picture.words_opacity))
    for part, values in shown.items():
        assert most_changes_per_s(times_s, values) <= 3, part
    for (before, was), (after, now) in itertools.pairwise(words):
        assert before == after or was == 0.0 or now == 0.0, "words became others in sight"


# -- questions -------------------------------------------------------------------------------------------------


def asked(kind="vas", **changes):
    rating = Rating()
    rating.ask(status(prompt=prompt(kind, **changes)).prompt)
    return rating


def test_empty_vas_cannot_be_confirmed():
    rating = asked()
    assert (rating.value, rating.is_answer, rating.act("confirm")) == (None, False, None)
    rating.act("more")
    assert rating.value == 50.0
    rating.act("much more")
    rating.act("less")
    assert rating.value == 59.0
    answer = rating.act("confirm")
    assert (answer.prompt, answer.value) == ("p1", 59.0)
    assert not rating.is_open
    assert rating.act("confirm") is None


def test_vas_value_of_a_point_stays_on_the_line():
    rating = asked()
    rating.point(1.7)
    assert rating.value == 100.0
    rating.act("more")
    assert rating.value == 100.0
    rating.point(0.123)
    assert rating.value == 12.3


def test_vas_is_answered_with_two_buttons():
    rating = asked()
    for _ in range(3):
        rating.act("next")
    assert rating.value == 8.0
    rating.point(1.0)
    rating.act("next")
    assert rating.value == 0.0
    probe = asked("probe")
    for _ in range(4):
        probe.act("next")
    assert probe.act("confirm").value == "with the breath"


def test_probe_answers_its_choice_and_text_its_words():
    probe = asked("probe")
    probe.act("less")
    assert probe.act("confirm").value == "nowhere"
    probe = asked("probe")
    probe.choose(1)
    probe.choose(7)
    assert probe.act("confirm").value == "elsewhere"
    text = asked("text")
    text.write("  ")
    assert text.act("confirm") is None
    text.write(" a tingle ")
    assert text.act("confirm").value == "a tingle"
    assert asked("probe", choices=[]).kind == "vas"


def test_declined_prompt_is_answered_with_none():
    assert asked().act("decline").value is None


def test_next_prompt_clears_the_answer_and_the_same_keeps_it():
    rating = asked()
    rating.point(0.5)
    rating.ask(status(prompt=prompt()).prompt)
    assert rating.value == 50.0
    rating.ask(status(prompt=prompt(id="p2")).prompt)
    assert rating.value is None
    rating.ask(None)
    assert (rating.kind, rating.act("more"), rating.is_open) == (None, None, False)


def test_open_question_dims_the_rest():
    view = ParticipantView(WORDING)
    picture = settle(view, status=status(prompt=prompt(), step={"kind": "heat"}))
    assert (picture.asks, picture.ask_opacity, picture.sign, picture.words) == (
        True,
        1.0,
        picture.sign,
        Words(),
    )
    assert picture.sign.words == ""
    assert picture.scene_opacity == 0.25


def test_shape_breathes_only_at_a_pace_that_the_protocol_asks_for():
    still = settle(ParticipantView(WORDING), status=status())
    assert still.breath == 0.5
    view, seen = ParticipantView(WORDING), []
    for i in range(60 * 30):
        paced = status(phase={"breaths_per_min": 6.0})
        seen.append(view.picture(Snapshot(i / 60, paced, 0.1)).breath)
    late = seen[60 * 10 :]
    assert min(late) < 0.01
    assert max(late) > 0.99
    assert late[: 60 * 10] == pytest.approx(late[60 * 10 :], abs=1e-6)  # 10 s a breath


@pytest.mark.parametrize(
    "changes, point",
    [
        ({"phase": {"shows": "point"}, "feedback": {"on": False}}, 1.0),
        ({"phase": {"shows": "point"}, "feedback": {"on": True, "mode": "instruction"}}, 1.0),
        ({"phase": {"shows": "point"}, "feedback": {"on": True}}, 0.0),  # feedback is there to be seen
        ({"phase": {"shows": "point", "eyes": "closed"}, "feedback": {"on": False}}, 0.0),
        ({"phase": {"shows": "point"}, "feedback": {"on": False}, "state": "paused"}, 0.0),
        ({"phase": {"shows": "shape"}, "feedback": {"on": False}}, 0.0),
        ({"phase": None, "feedback": {"on": False}}, 0.0),
    ],
)
def test_point_stands_where_the_eyes_are_to_rest(changes, point):
    picture = settle(ParticipantView(WORDING), status=status(**changes))
    assert picture.point == point


def test_question_shows_its_time_left_and_no_word_about_feedback():
    view = ParticipantView(WORDING)
    early = settle(view, status=status(prompt=prompt(), now_s=310.1), feedback=row(0.5, 0, usable=0.0))
    assert early.asks
    assert early.note == ""
    assert early.left == pytest.approx(1.0, abs=0.01)
    half = settle(view, start_s=4.0, status=status(prompt=prompt(), now_s=320.0))
    assert half.left == pytest.approx(0.5, abs=0.02)
    over = settle(view, start_s=8.0, status=status(prompt=prompt(), now_s=331.0))
    assert over.left == 0.0
    other = settle(view, start_s=12.0, status=status(prompt=prompt(id="p2", due_s=361.0), now_s=331.0))
    assert other.left == pytest.approx(1.0, abs=0.01)
    assert settle(view, start_s=16.0, status=status(prompt=prompt(id="p3", due_s=None))).left is None
