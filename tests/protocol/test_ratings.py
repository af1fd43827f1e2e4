"""Ratings: asked, answered, late, missing; what too much pain asks for; and somebody who is not there."""

import json

import numpy as np
import pytest

from neurofb.errors import UnknownName, WrongInput
from neurofb.protocol.ratings import Prompt, Prompts, Rating, Scale, SimulatedRater
from neurofb.protocol.stop_rules import StopRules
from neurofb.protocol.study import StopSettings

INTENSITY = Scale(
    name="intensity",
    kind="vas",
    asks="intensity",
    question="How strong?",
    low="none",
    high="most",
    answer_s=8.0,
)
UNPLEASANT = INTENSITY.model_copy(update={"name": "unpleasantness", "asks": "unpleasantness"})
MOOD = INTENSITY.model_copy(update={"name": "mood", "asks": "other"})
WANDERING = Scale(name="where", kind="probe", question="Where?", choices=("here", "away"))
WORDS = Scale(name="words", kind="text", question="What?")


def test_answer_gives_rating_with_times():
    prompts = Prompts()
    prompt = prompts.open(INTENSITY, 100.0, trial=3, level="hot", site="left", phase="heat")
    assert prompts.open_prompts == (prompt,)
    assert prompt.due_s == 108.0
    rating = prompts.answer(prompt.id, 62, 102.5)
    assert (rating.value, rating.answered_s, rating.trial, rating.level, rating.site) == (
        62.0,
        102.5,
        3,
        "hot",
        "left",
    )
    assert not rating.is_missing
    assert prompts.open_prompts == ()
    event = rating.to_event()
    assert (event.kind, event.time_s) == ("rating", 102.5)
    details = json.loads(event.to_json())["details"]
    assert details["value"] == 62.0
    assert details["reaction_s"] == 2.5
    assert details["prompted_s"] == 100.0
    assert (details["phase"], details["trial"], details["missing"]) == ("heat", 3, False)


def test_missing_answer_is_missing_not_zero():
    prompts = Prompts()
    prompt = prompts.open(INTENSITY, 100.0)
    assert prompts.expire(108.0) == []
    (rating,) = prompts.expire(108.1)
    assert rating.value is None
    assert rating.is_missing
    details = json.loads(rating.to_event().to_json())["details"]
    assert details["value"] is None
    assert details["missing"] is True
    assert rating.to_event().time_s == 108.0
    assert "no answer" in rating.to_event().message
    assert prompts.expire(200.0) == []
    with pytest.raises(WrongInput, match="'p1' was not answered in time"):
        prompts.answer(prompt.id, 5, 108.2)


def test_zero_answer_is_not_missing():
    prompts = Prompts()
    assert prompts.answer(prompts.open(INTENSITY, 0.0).id, 0, 1.0).value == 0.0


def test_late_repeated_or_unknown_answer_is_refused():
    prompts = Prompts()
    first, second = prompts.open(INTENSITY, 0.0), prompts.open(INTENSITY, 0.0)
    prompts.answer(first.id, 10, 1.0)
    with pytest.raises(WrongInput, match="'p1' has been answered; the first answer counts"):
        prompts.answer(first.id, 20, 1.5)
    with pytest.raises(WrongInput, match=r"came 0.25 s too late: it was waited for 8 s"):
        prompts.answer(second.id, 20, 8.25)
    with pytest.raises(UnknownName, match="no prompt 'p9' is open; .*p2"):
        prompts.answer("p9", 20, 1.0)


def test_invalid_answer_leaves_prompt_open():
    prompts = Prompts()
    prompt = prompts.open(INTENSITY, 0.0)
    for value in (101, -1, float("nan"), True, "much"):
        with pytest.raises(WrongInput, match="'intensity' takes a number from 0 to 100"):
            prompts.answer(prompt.id, value, 1.0)
    assert prompts.answer(prompt.id, 7.5, 2.0).value == 7.5


def test_no_answer_closes_prompt():
    prompts = Prompts()
    rating = prompts.answer(prompts.open(INTENSITY, 0.0).id, None, 1.0)
    assert rating.is_missing
    assert rating.to_event().time_s == 1.0  # when it was said, not when the time would have been over
    assert prompts.open_prompts == ()


def test_open_prompts_close_at_end_of_block():
    prompts = Prompts()
    prompt = prompts.open(INTENSITY, 0.0)
    assert [rating.is_missing for rating in prompts.end()] == [True]
    with pytest.raises(WrongInput, match="was open when its block ended"):
        prompts.answer(prompt.id, 1, 1.0)


def test_choice_scale_accepts_choice_or_number_and_text_scale_words():
    assert WANDERING.read("away") == "away"
    assert WANDERING.read(0) == "here"
    for wrong in (2, 0.5, "hare", True, None):
        with pytest.raises(WrongInput, match="takes one of 'here', 'away', or its number from 0"):
            WANDERING.read(wrong)
    assert WORDS.read("I counted breaths.") == "I counted breaths."
    assert WORDS.read("x" * 5000).endswith("(cut)")
    with pytest.raises(WrongInput, match="'words' takes words"):
        WORDS.read(3)


# -- stop rules ------------------------------------------------------------------------------------------------


def rated(value, trial, scale=INTENSITY, level="hot"):
    prompt = Prompt(f"p{trial}{scale.name}", scale, 0.0, 8.0, trial, level, "left", "heat")
    return Rating(prompt, value, None if value is None else 1.0)


def kinds(rules, *ratings):
    return [[action.kind for action in rules.check(rating)] for rating in ratings]


def test_one_high_rating_lowers_heat_and_two_end_block():
    rules = StopRules()
    (action,) = rules.check(rated(90.0, 1))
    assert (action.kind, action.by_c) == ("lower", 1.0)
    assert "intensity was rated 90, the limit is 90: heat is lowered by 1 °C" in action.message
    lower, end = rules.check(rated(95.0, 2))
    assert (lower.kind, end.kind) == ("lower", "end_block")
    assert "2 trials in a row" in end.message


def test_bearable_trial_resets_count():
    assert kinds(StopRules(), rated(92.0, 1), rated(89.9, 2), rated(92.0, 3)) == [["lower"], [], ["lower"]]


def test_two_ratings_of_one_trial_count_once():
    rules = StopRules()
    trial = [rated(95.0, 1), rated(96.0, 1, UNPLEASANT)]
    assert kinds(rules, *trial) == [["lower"], []]
    rules = StopRules()
    first = [rated(50.0, 1), rated(96.0, 1, UNPLEASANT)]
    second = [rated(50.0, 2), rated(96.0, 2, UNPLEASANT)]
    assert kinds(rules, *first, *second) == [[], ["lower"], [], ["lower", "end_block"]]


def test_missing_answer_leaves_count_unchanged():
    assert kinds(StopRules(), rated(92.0, 1), rated(None, 2), rated(92.0, 3))[-1] == ["lower", "end_block"]


def test_warm_trials_do_not_reset_count_of_hot_ones():
    found = kinds(StopRules(), rated(92.0, 1), rated(5.0, 2, level="warm"), rated(92.0, 3))
    assert found == [["lower"], [], ["lower", "end_block"]]


def test_stop_rules_ignore_ratings_without_heat():
    rules = StopRules()
    assert kinds(rules, rated(99.0, 1, MOOD), rated(99.0, 2, level=None), rated(99.0, 3, WORDS)) == [
        [],
        [],
        [],
    ]


def test_new_block_resets_count_and_settings_apply():
    rules = StopRules(StopSettings(rating_limit=70.0, lower_by_c=2.0, in_a_row=2))
    assert rules.check(rated(70.0, 1))[0].by_c == 2.0
    rules.start_block()
    assert [action.kind for action in rules.check(rated(75.0, 1))] == ["lower"]
    at_once = StopRules(StopSettings(in_a_row=1))
    assert [action.kind for action in at_once.check(rated(91.0, 1))] == ["lower", "end_block"]


# -- the simulated rater ---------------------------------------------------------------------------------------


def asked(i, scale=INTENSITY):
    return Prompt(f"p{i}", scale, 0.0, scale.answer_s)


def test_simulated_rater_is_seeded():
    one, again = SimulatedRater(4), SimulatedRater(4)
    backwards = [again.answer(asked(i), 46.0) for i in reversed(range(20))]
    assert [one.answer(asked(i), 46.0) for i in range(20)] == backwards[::-1]
    assert SimulatedRater(5).threshold_c != one.threshold_c


def test_simulated_ratings_rise_with_temperature_and_vary_between_raters():
    people = [SimulatedRater(seed) for seed in range(300)]
    assert np.mean([person.threshold_c for person in people]) == pytest.approx(44.0, abs=0.15)
    for celsius, rating in ((43.3, 30.0), (45.4, 50.0), (47.1, 70.0)):
        assert np.mean([person.intensity(celsius) for person in people]) == pytest.approx(rating, abs=4.0)
    assert people[0].intensity(36.0) == 0.0
    assert people[0].intensity(60.0) == 100.0
    assert people[0].intensity(float("nan")) == 0.0
    assert people[0].hurts(people[0].threshold_c)
    assert not people[0].hurts(people[0].threshold_c - 0.01)


def test_simulated_unpleasantness_noise_and_misses_are_as_set():
    person = SimulatedRater(1, threshold_c=44.0, per_c=10.0, noise=4.0, missed=0.1)
    answers = [person.answer(asked(i), 46.0)[0] for i in range(2000)]
    given = [value for value in answers if value is not None]
    assert len(given) / 2000 == pytest.approx(0.9, abs=0.03)
    assert np.mean(given) == pytest.approx(56.0, abs=0.5)
    assert np.std(given) == pytest.approx(4.0, abs=0.3)
    unpleasant = [person.answer(asked(i, UNPLEASANT), 46.0)[0] for i in range(2000)]
    assert np.mean([v for v in unpleasant if v is not None]) == pytest.approx(0.9 * 56.0, abs=0.5)


def test_simulated_answers_are_in_time_and_fit_scale():
    person = SimulatedRater(2, missed=0.0)
    for scale in (INTENSITY, WANDERING, WORDS):
        for i in range(50):
            value, reaction_s = person.answer(asked(i, scale), 45.0)
            assert scale.read(value) == value
            assert 0.4 <= reaction_s <= 0.9 * scale.answer_s
    quick = INTENSITY.model_copy(update={"answer_s": 0.5})
    assert all(person.answer(asked(i, quick), 45.0)[1] < 0.5 for i in range(50))
