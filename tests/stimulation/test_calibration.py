"""Calibration of heat with simulated participants: what they would rate is known."""

import dataclasses
import itertools
import json
import math
import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.config import checked
from neurofb.errors import WrongFile, WrongInput
from neurofb.stimulation.calibrated_heat import (
    CalibratedHeat,
    calibration_path,
    load_calibration,
    save_calibration,
)
from neurofb.stimulation.calibration import (
    Answer,
    CalibrationSettings,
    CalibrationVisit,
    PainCalibration,
    Ramps,
)
from neurofb.stimulation.envelope import Envelope

SITE = "left forearm"


class Person:
    """Rates ``slope`` points per °C above a threshold of ``at_c`` with noise, presses the button there."""

    def __init__(self, at_c=44.5, slope=15.0, noise=0.0, seed=0, silent=()):
        self.at_c, self.slope, self.noise, self.silent = at_c, slope, noise, silent
        self.random = random.Random(seed)
        self.n = 0
        self.given = []

    def answer(self, request):
        self.n += 1
        self.given.append(request)
        top_c = request.profile.target_c
        if request.kind == "limits":
            return Answer(None, self.at_c if self.at_c <= top_c else None)
        if self.n in self.silent:
            return Answer(None, top_c)
        rating = self.slope * (top_c - self.at_c) + self.random.gauss(0.0, self.noise)
        return Answer(min(100.0, max(0.0, rating)), top_c)


def calibration(pains=(20.0, 40.0), stored=None, envelope=None, **settings):
    return PainCalibration(
        CalibrationSettings(**settings),
        CalibrationVisit("p01", SITE, "2026-01-01"),
        pains,
        envelope or Envelope(),
        stored=stored,
    )


def carry_out(made, person):
    while (request := made.next()) is not None:
        made.add_answer(person.answer(request))
    return made


def test_the_temperatures_of_a_person_who_is_a_line():
    person = Person()
    found = carry_out(calibration(ladder_below_c=0.0), person).result()
    assert found.threshold_c == pytest.approx(44.5)
    assert found.slope == pytest.approx(15.0)
    assert found.temperatures[20.0] == pytest.approx(44.5 + 20 / 15, abs=0.11)
    assert found.temperatures[40.0] == pytest.approx(44.5 + 40 / 15, abs=0.11)
    assert found.verified[40.0] == pytest.approx(40.0, abs=2.0)
    assert (found.participant, found.site, found.date) == ("p01", SITE, "2026-01-01")
    kinds = [request.kind for request in person.given]
    assert kinds == ["limits"] * 3 + ["ladder"] * kinds.count("ladder") + ["verify"] * 6
    assert [request.level for request in person.given[-6:]] == [20.0] * 3 + [40.0] * 3
    assert len(found.answers) == len(person.given)


def test_next_is_the_same_until_it_is_answered():
    made = calibration()
    assert made.next() is made.next()
    assert made.next().profile.rise_c_per_s == 1.0
    assert made.next().profile.target_c == 49.0


def test_the_ladder_ends_at_a_high_rating():
    person = Person(slope=30.0)
    found = carry_out(calibration(ladder_n=12, stop_rating=60.0, ladder_below_c=0.0), person).result()
    rungs = [request.profile.target_c for request in person.given if request.kind == "ladder"]
    assert rungs == [44.5, 45.0, 45.5, 46.0, 46.5]
    assert any("the ladder ended at 46.5 °C: rated 60" in note for note in found.notes)


def test_the_ladder_ends_below_the_limits():
    person = Person(at_c=47.0, slope=5.0)
    found = carry_out(
        calibration(
            (10.0, 80.0), None, Envelope(cap_c=48.0), ladder_below_c=0.0, ladder_step_c=0.25, stop_rating=90.0
        ),
        person,
    ).result()
    assert max(request.profile.target_c for request in person.given) <= 48.0
    assert any("nothing hotter is allowed" in note for note in found.notes)
    assert found.temperatures[80.0] == 48.0
    assert any(
        "a rating of 80 would need 63.0 °C; 48.0 °C is as far as it may go" in note for note in found.notes
    )
    assert 80.0 not in found.verified
    assert any("48.0 °C is not verified for a rating of 80: it was rated 5" in note for note in found.notes)


def test_a_long_plateau_lowers_what_is_allowed():
    person = Person(at_c=46.0, slope=10.0)
    found = carry_out(calibration(pains=(60.0,), plateau_s=40.0, ladder_n=5), person).result()
    assert found.temperatures[60.0] < 47.1
    for request in person.given:
        assert Envelope().problems(request.profile) == []


def test_nothing_is_set_more_than_a_step_above_what_was_bearable():
    """By the line this person would need 62 °C; each look adds the ladder's step to what was called bearable."""
    person = Person(at_c=42.0, slope=4.0)
    found = carry_out(calibration(pains=(79.0,), ladder_n=6, least_answers=4, verify_n=2), person).result()
    rungs = [request.profile.target_c for request in person.given if request.kind == "ladder"]
    tries = [request.profile.target_c for request in person.given if request.kind == "verify"]
    assert max(rungs) == 43.5
    assert tries == [44.0, 44.0, 44.5, 44.5]
    assert found.temperatures == {79.0: 44.5}


def test_default_calibration_gives_no_more_than_a_step_above_what_was_bearable():
    """Default numbers, pain 60, and a person whose hottest rung was rated 33: 47.5 °C were given to one like this."""
    person = Person(at_c=43.0, slope=13.0)
    found = carry_out(calibration(pains=(60.0,)), person).result()
    rungs = [request.profile.target_c for request in person.given if request.kind == "ladder"]
    tries = [request.profile.target_c for request in person.given if request.kind == "verify"]
    assert max(rungs) == 45.5
    assert tries == [46.0] * 3 + [46.5] * 3
    assert found.temperatures == {60.0: 46.5}


def test_a_wrong_temperature_is_corrected_once():
    """Between the ladder and the second look this person gets used to heat: 20 points less at the same temperature."""

    class Used(Person):
        def answer(self, request):
            if request.kind == "verify":
                self.at_c = 44.5 + 20.0 / 15.0
            return super().answer(request)

    found = carry_out(calibration(pains=(40.0,), ladder_below_c=0.0), Used()).result()
    assert any("47.1 °C was rated 19 instead of 40; corrected to 48.1 °C" in note for note in found.notes)
    assert found.verified[40.0] == pytest.approx(34.0, abs=1.0)


def test_what_does_not_agree_is_not_verified():
    class Numb(Person):
        def answer(self, request):
            answer = super().answer(request)
            return Answer(3.0, answer.reached_c) if request.kind == "verify" else answer

    person = Numb()
    found = carry_out(calibration(pains=(40.0,)), person).result()
    assert found.verified == {}
    assert any("is not verified for a rating of 40: it was rated 3" in note for note in found.notes)
    assert sum(request.kind == "verify" for request in person.given) == 6


def test_a_rating_too_high_is_not_asked_for_again():
    class Sore(Person):
        def answer(self, request):
            answer = super().answer(request)
            return Answer(95.0, answer.reached_c) if request.kind == "verify" else answer

    person = Sore()
    made = carry_out(calibration(pains=(40.0,)), person)
    tries = [request.profile.target_c for request in person.given if request.kind == "verify"]
    assert len(tries) == 2
    assert tries[1] < tries[0]
    with pytest.raises(
        WrongInput, match="for a rating of 40 nothing was given whole and called bearable in the second"
    ):
        made.result()


def test_missing_ratings_are_missing_and_not_zero():
    asked = {"ladder_below_c": 0.0, "ladder_n": 6}
    whole = carry_out(calibration(**asked), Person()).result()
    some = carry_out(calibration(**asked), Person(silent=(5, 7))).result()
    assert some.slope == pytest.approx(whole.slope)
    assert [rating for _, _, rating in some.answers].count(None) == 3 + 2


def test_too_few_answers_are_refused():
    made = carry_out(calibration(ladder_n=6), Person(silent=(4, 5, 6, 7)))
    with pytest.raises(WrongInput, match="2 stimuli were rated; at least 4 are needed for a line; explain"):
        made.result()


def test_ratings_that_do_not_rise_are_refused():
    made = carry_out(calibration(), Person(slope=0.0))
    with pytest.raises(WrongInput, match=r"ratings do not rise with temperature \(0.0 points per °C\)"):
        made.result()


def test_nobody_presses():
    made = calibration()
    for _ in range(3):
        made.next()
        made.add_answer(Answer(None, None))
    assert made.next().kind == "ladder"
    assert made.next().profile.target_c <= 48.0


def test_an_aborted_ramp_ends_the_calibration():
    made = calibration()
    made.next()
    made.add_answer(Answer(None, None, aborted=True))
    assert made.next() is None
    with pytest.raises(WrongInput, match="a ramp was aborted before the threshold was found"):
        made.result()


@pytest.mark.parametrize("n_whole, missing", [(0, "20, 40"), (1, "40"), (3, "40")])
def test_an_aborted_second_look_without_a_whole_stimulus_gives_no_result(n_whole, missing):
    """What nobody has borne is no result: 46.5 °C were, where the first look was refused."""

    class Leaves(Person):
        def answer(self, request):
            answer = super().answer(request)
            n_tries = sum(each.kind == "verify" for each in self.given)
            return Answer(None, None, True) if n_tries > n_whole else answer

    person = Leaves()
    made = carry_out(calibration(), person)
    assert sum(request.kind == "verify" for request in person.given) == n_whole + 1
    with pytest.raises(
        WrongInput, match=f"for a rating of {missing} nothing was given whole and called bearable"
    ):
        made.result()


def test_an_aborted_second_look_with_a_whole_stimulus_of_each_rating_is_a_result():
    class Leaves(Person):
        def answer(self, request):
            answer = super().answer(request)
            n_tries = sum(each.kind == "verify" for each in self.given)
            return Answer(None, None, True) if n_tries > 4 else answer

    found = carry_out(calibration(), Leaves()).result()
    assert set(found.verified) == {20.0}
    assert found.notes[-1] == "a rating of 40 was not verified: aborted or refused"


def test_silence_in_the_second_look_is_no_result():
    made = carry_out(calibration(), Person(silent=range(12, 30)))
    with pytest.raises(
        WrongInput, match="for a rating of 20, 40 nothing was given whole and called bearable"
    ):
        made.result()


def test_a_rung_that_nobody_rated_is_given_again():
    person = Person(silent=(4, 5, 7))
    carry_out(calibration(ladder_below_c=0.0), person)
    rungs = [request.profile.target_c for request in person.given if request.kind == "ladder"]
    assert rungs[:5] == [44.5, 44.5, 44.5, 45.0, 45.0]


def test_where_nobody_presses_the_last_rung_is_the_hottest_allowed():
    made = calibration(limits_n=1, ladder_n=5)
    made.next()
    made.add_answer(Answer(None, None))
    rungs = []
    while (request := made.next()) is not None and request.kind == "ladder":
        rungs.append(request.profile.target_c)
        made.add_answer(Answer(10.0 * len(rungs), rungs[-1]))
    assert rungs == [47.0, 47.5, 48.0, 48.5, 49.0]


def test_nothing_hotter_than_what_was_no_longer_bearable():
    """81 at the first of two levels, and the second has been hotter by the line."""
    made = second_look((20.0, 60.0))
    hot_c = made.next().profile.target_c
    assert made._temperatures[60.0] > hot_c
    made.add_answer(Answer(81.0, hot_c))
    given = []
    while (request := made.next()) is not None:
        given.append(request.profile.target_c)
        made.add_answer(Answer(40.0, given[-1]))
    assert max(given) <= hot_c
    assert max(made.result().temperatures.values()) <= hot_c
    assert 60.0 not in made.result().verified


def test_a_mean_that_agrees_is_not_verified_where_one_was_too_much():
    made = second_look((60.0,))
    for rating in (50.0, 50.0, 81.0):
        at_c = made.next().profile.target_c
        made.add_answer(Answer(rating, at_c))
    assert made._verified == {}
    assert made.next().profile.target_c < at_c


def test_a_rating_of_exactly_stop_rating_is_no_longer_bearable():
    made = second_look((20.0, 60.0))
    hot_c = made.next().profile.target_c
    made.add_answer(Answer(80.0, hot_c))
    assert made._highest_c == hot_c
    assert max(made._bearable_c) < hot_c


def test_a_cooler_level_that_comes_down_keeps_its_rating_and_the_limit():
    """Not the rating for the temperature: 20 and 30 points are below every baseline."""
    made = second_look((20.0, 30.0))
    hot_c = made.next().profile.target_c
    made.add_answer(Answer(81.0, hot_c))
    while (request := made.next()).level != 30.0:
        made.add_answer(Answer(20.0, request.profile.target_c))
    assert hot_c - 0.5 <= request.profile.target_c <= hot_c
    assert any("a rating of 30 would need" in note for note in made._notes)


@pytest.mark.parametrize("answer", [Answer(5.0, 45.0, aborted=True), Answer(None, 45.0)])
def test_what_was_not_whole_or_not_rated_was_not_called_bearable(answer):
    made = second_look((20.0,))
    before = list(made._bearable_c)
    made.next()
    made.add_answer(answer)
    assert made._bearable_c == before
    assert made._looked_at == set()


def test_a_rated_ramp_calls_nothing_bearable():
    made = calibration(limits_n=1)
    made.next()
    made.add_answer(Answer(10.0, 48.5))
    assert made._bearable_c == []


@pytest.mark.parametrize("pressed_c", [(44.0, None), (None, 44.0)])
def test_one_press_is_a_threshold(pressed_c):
    made = calibration(limits_n=2)
    for celsius in pressed_c:
        made.next()
        made.add_answer(Answer(None, celsius))
    assert made.next().profile.target_c == (44.0 + 49.0) / 2 - 1.0


def test_ladder_starts_two_steps_below_the_hottest_allowed_at_most():
    made = calibration(limits_n=1, ladder_below_c=0.0)
    made.next()
    made.add_answer(Answer(None, 48.9))
    assert made.next().profile.target_c == 48.0


def test_a_rating_that_is_never_bearable_is_not_looked_for():
    with pytest.raises(WrongInput, match=r"below its stop_rating of 80, .* found 90: ask for less, or raise"):
        calibration((20.0, 80.0, 90.0))
    with pytest.raises(WrongInput, match="found 80: ask for less"):
        calibration((80.0,))
    calibration((79.9,))


@pytest.mark.parametrize(
    "changed",
    [{"answers": ()}, {"plateau_s": 2.0}, {"answers": (("limits", 45.0, None), ("ladder", 45.0, 85.0))}],
)
def test_what_nobody_called_bearable_is_not_looked_at_again(changed):
    """A file of an earlier version, or of shorter stimuli: the calibration is done anew."""
    first = carry_out(calibration(), Person()).result()
    made = calibration(stored=first.model_copy(update=changed))
    assert made.next().kind == "limits"
    found = carry_out(made, Person()).result()
    assert "the temperatures of 2026-01-01 are not used: nothing was called bearable for 5 s" in found.notes


def test_a_later_visit_starts_a_step_above_what_was_bearable_at_most():
    """A file of an earlier version, with a temperature that was found and never borne."""
    first = carry_out(calibration(), Person()).result()
    hottest_c = max(at_c for kind, at_c, _ in first.answers if kind != "limits")
    old = first.model_copy(update={"temperatures": {20.0: 45.4, 40.0: 48.9}})
    person = Person()
    found = carry_out(calibration(stored=old), person).result()
    assert hottest_c < 48.0
    assert max(request.profile.target_c for request in person.given) <= hottest_c + 0.5
    assert max(found.temperatures.values()) <= hottest_c + 0.5


def test_a_lowered_stimulus_is_entered_as_what_it_was():
    made = calibration(ladder_below_c=0.0)
    person = Person()
    for _ in range(3):
        made.add_answer(person.answer(made.next()))
    made.next()
    made.add_answer(Answer(0.0, 43.0))
    person.n = 3
    found = carry_out(made, person).result()
    assert found.answers[3] == ("ladder", 43.0, 0.0)


def test_a_later_visit_only_looks_again():
    first = carry_out(calibration(), Person()).result()
    person = Person(at_c=44.8)
    made = PainCalibration.verifying(first, CalibrationSettings(), Envelope(), "2026-03-01")
    found = carry_out(made, person).result()
    assert {request.kind for request in person.given} == {"verify"}
    assert found.temperatures == first.temperatures
    assert set(found.verified) == {20.0, 40.0}
    assert found.date == "2026-03-01"
    assert "the temperatures of 2026-01-01 were tried again" in found.notes


def test_a_later_visit_keeps_a_tighter_envelope():
    first = carry_out(calibration(), Person()).result()
    made = calibration(stored=first, envelope=Envelope(cap_c=46.0))
    assert carry_out(made, Person()).result().temperatures[40.0] == 46.0


@settings(max_examples=150, deadline=None)
@given(
    st.floats(38.0, 52.0),
    st.floats(-5.0, 60.0),
    st.floats(0.0, 30.0),
    st.integers(0, 10000),
    st.sampled_from([44.0, 47.0, 49.0, 50.0]),
    st.sampled_from([2.0, 8.0, 30.0]),
)
def test_whoever_answers_every_stimulus_keeps_the_envelope(at_c, slope, noise, seed, cap_c, plateau_s):
    envelope = Envelope(cap_c=cap_c)
    person = Person(at_c, slope, noise, seed)
    made = calibration((15.0, 50.0, 75.0), envelope=envelope, plateau_s=plateau_s)
    carry_out(made, person)
    assert len(person.given) <= 3 + 8 + 3 * 6
    for request in person.given:
        assert envelope.problems(request.profile) == []
    tries = [request for request in person.given if request.kind == "verify"]
    for before, after in itertools.pairwise(tries):
        if before.level == after.level:
            assert after.profile.target_c <= before.profile.target_c + 1.0 + 1e-9


class Rater:
    """Somebody in a calibration: noisy, with the scale reversed, asleep, refusing, or behind a cap of the device."""

    KINDS = ("plain", "noisy", "reversed", "sleepy", "refusing", "capped", "lowered", "numb", "sore")

    def __init__(self, kind, at_c, slope, seed):
        self.kind, self.at_c, self.slope = kind, at_c, slope
        self.random = random.Random(seed)
        self.cap_c = at_c + 4.0 * self.random.random()

    def answer(self, request):
        top_c, chance = request.profile.target_c, self.random.random()
        if (self.kind == "refusing" and chance < 0.1) or (self.kind == "capped" and top_c > self.cap_c):
            return Answer(None, None, aborted=True) if request.kind != "limits" else Answer(None, self.at_c)
        if self.kind == "sleepy" and chance < 0.5:
            return Answer(None, None if request.kind == "limits" else top_c)
        if request.kind == "limits":
            return Answer(None, self.at_c if self.at_c <= top_c else None)
        reached_c = top_c - 1.0 if self.kind == "lowered" and chance < 0.3 else top_c
        rating = self.slope * (reached_c - self.at_c)
        if self.kind in ("noisy", "sore", "numb"):
            rating += self.random.gauss(0.0, 20.0)
        if self.kind == "reversed":
            rating = 100.0 - rating
        if request.kind == "verify":
            rating += {"sore": 40.0, "numb": -40.0}.get(self.kind, 0.0)
        return Answer(min(100.0, max(0.0, rating)), reached_c)


class Witness:
    """Writes down what was borne, and holds each next stimulus against it."""

    def __init__(self, settings):
        self.settings = settings
        self.borne_c = self.too_much_c = None
        self.n_rungs = 0
        self.looked_at = set()

    def visit(self, made, rater):
        """Carry out one visit; a rating of 90 or more lowers, as the engine does it."""
        self.too_much_c, self.n_rungs = math.inf, 0
        if made.next().kind == "limits":
            self.borne_c = None
        while (request := made.next()) is not None:
            target_c = request.profile.target_c
            if request.kind != "limits":
                assert target_c <= self.too_much_c + 1e-9
                if request.kind == "verify" or self.n_rungs > 0:
                    assert target_c <= (self.borne_c or self.first_c) + self.step_c + 1e-9
                else:
                    self.first_c = target_c
                self.n_rungs += request.kind == "ladder"
            answer = rater.answer(request)
            if answer.rating is not None and answer.rating >= 90 and request.kind != "limits":
                made.not_above(target_c - 1.0)
                self.too_much_c = min(self.too_much_c, target_c - 1.0)
            made.add_answer(answer)
            if request.kind != "limits" and not answer.aborted and answer.rating is not None:
                self.see(request, answer)

    @property
    def step_c(self):
        return self.settings.ladder_step_c if self.borne_c is not None else 0.0

    def see(self, request, answer):
        if answer.rating >= self.settings.stop_rating:
            self.too_much_c = min(self.too_much_c, answer.reached_c)
        else:
            self.borne_c = max(self.borne_c or 0.0, answer.reached_c)
            self.looked_at |= {request.level} - {None}


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(Rater.KINDS),
    st.floats(39.0, 48.0),
    st.floats(3.0, 50.0),
    st.integers(0, 10**6),
    st.sampled_from([0.2, 0.5, 1.0]),
    st.sampled_from([(60.0,), (20.0, 60.0), (30.0, 45.0, 70.0)]),
    st.sampled_from([60.0, 80.0, 100.0]),
    st.sampled_from([45.0, 48.0, 50.0]),
)
def test_nothing_is_raised_above_what_is_called_bearable(kind, at_c, slope, seed, step_c, pains, stop, cap_c):
    """Two visits of anybody, in any protocol: the sum of line, corrections and visits is one step of the ladder."""
    asked = {
        "ladder_step_c": step_c, "stop_rating": stop, "verify_n": 1 + seed % 3, "limits_n": 1 + seed % 2,
        "ladder_n": 4 + seed % 5, "least_answers": 3, "tolerance": 5.0 + seed % 10, "ladder_below_c": seed % 3 / 1.0,
    }  # fmt: skip
    pains = tuple(pain for pain in pains if pain < stop) or (stop - 1.0,)
    rater, witness, stored = Rater(kind, at_c, slope, seed), Witness(CalibrationSettings(**asked)), None
    for _ in range(2):
        made = calibration(pains, stored, Envelope(cap_c=cap_c), **asked)
        witness.looked_at = set()
        witness.visit(made, rater)
        try:
            stored = made.result()
        except WrongInput:
            continue
        assert witness.looked_at == set(pains)
        assert set(stored.temperatures) == set(pains)
        assert max(stored.temperatures.values()) <= min(witness.borne_c, witness.too_much_c) + 1e-9
        assert set(stored.verified) <= set(pains)


@pytest.mark.parametrize(
    "pains, match", [((), "found \\[\\]"), ((0.0,), "between 0 and 100"), ((100.0,), "between 0 and 100")]
)
def test_asked_ratings_that_cannot_be(pains, match):
    with pytest.raises(WrongInput, match=match):
        calibration(pains)


def test_answers_that_cannot_be():
    made = calibration()
    with pytest.raises(WrongInput, match="there is no stimulus to be answered"):
        made.add_answer(Answer(10.0, 45.0))
    made.next()
    with pytest.raises(WrongInput, match="a rating is from 0 to 100, or none; found 101"):
        made.add_answer(Answer(101.0, 45.0))
    with pytest.raises(WrongInput, match="not done: its part 'limits' goes on"):
        made.result()


def test_a_plateau_that_no_temperature_allows():
    with pytest.raises(WrongInput, match="no stimulus of 60 s is allowed"):
        calibration(plateau_s=60.0, envelope=Envelope(single=1e-5))


def test_settings_say_what_would_be_right():
    with pytest.raises(
        WrongInput, match="limits_c_per_s: found 10.0: .* up to 4, so that the button can follow"
    ):
        checked(CalibrationSettings, {"limits_c_per_s": 10.0}, "calibration")


def test_versions_are_appended_and_come_back(tmp_path):
    assert load_calibration(tmp_path, "p01", SITE) is None
    first = carry_out(calibration(), Person()).result()
    path = save_calibration(tmp_path, first)
    assert path == tmp_path / "sourcedata" / "neurofb" / "sub-p01" / "heat-left-forearm.json"
    assert load_calibration(tmp_path, "p01", SITE) == first
    second = first.model_copy(update={"date": "2026-03-01"})
    save_calibration(tmp_path, second)
    assert load_calibration(tmp_path, "p01", SITE) == second
    versions = json.loads(path.read_text("utf-8"))["versions"]
    assert [CalibratedHeat.model_validate(each) for each in versions] == [first, second]
    assert load_calibration(tmp_path, "p01", "right forearm") is None


def test_calibration_is_on_the_disk_whole_before_it_takes_the_place_of_the_old_one(tmp_path, monkeypatch):
    found = carry_out(calibration(), Person()).result().model_copy(update={"notes": ("wärmer",)})
    path, synced = calibration_path(tmp_path, "p01", SITE), []

    def fsync(_):
        synced.append((path.exists(), path.with_suffix(".new").read_text("utf-8")))

    monkeypatch.setattr(os, "fsync", fsync)
    save_calibration(tmp_path, found)
    assert synced == [(False, path.read_text("utf-8"))]
    assert "wärmer" in path.read_text("utf-8"), "readable by a person"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_broken_file_is_not_overwritten(tmp_path):
    path = calibration_path(tmp_path, "p01", SITE)
    path.parent.mkdir(parents=True)
    path.write_text('{"versions": [{"particip', "utf-8")
    first = carry_out(calibration(), Person()).result()
    for call in (lambda: load_calibration(tmp_path, "p01", SITE), lambda: save_calibration(tmp_path, first)):
        with pytest.raises(WrongFile, match="is no file of heat calibrations .*; it was left as it is"):
            call()
    assert path.read_text("utf-8") == '{"versions": [{"particip'


@pytest.mark.parametrize(
    "participant, site, match",
    [
        ("../p01", SITE, "letters and digits only; found '../p01'"),
        ("p 01", SITE, "letters and digits only"),
        ("p01", "…", "needs a name with letters or digits"),
    ],
)
def test_names_that_are_no_file_names(tmp_path, participant, site, match):
    with pytest.raises(WrongInput, match=match):
        calibration_path(tmp_path, participant, site)


# A rating that is too much, at each part.


def second_look(pains, **how):
    """A calibration of a person who is a line, with its ladder done."""
    made, person = calibration(pains, **how), Person()
    while (request := made.next()) is not None and request.kind != "verify":
        made.add_answer(person.answer(request))
    return made


def test_too_much_in_the_second_look_lowers_all_levels():
    """As the engine does at a rating of 92: nothing hotter than a degree below is given or found afterwards."""
    made = second_look((20.0, 40.0, 60.0))
    hot_c = made.next().profile.target_c
    made.not_above(hot_c - 1.0)
    made.add_answer(Answer(92.0, hot_c))
    given = []
    while (request := made.next()) is not None:
        given.append(request.profile.target_c)
        made.add_answer(Answer(max(0.0, 15.0 * (given[-1] - 44.0)), given[-1]))
    assert len(given) >= 3
    assert max(given) <= hot_c - 1.0
    found = made.result()
    assert set(found.temperatures) == {20.0, 40.0, 60.0}
    assert max(found.temperatures.values()) <= hot_c - 1.0


def test_too_much_at_the_hottest_leaves_cooler_levels_as_they_are():
    made = second_look((20.0, 60.0), verify_n=1)
    cool_c = made.next().profile.target_c
    made.add_answer(Answer(20.0, cool_c))
    hot_c = made.next().profile.target_c
    assert hot_c - 1.0 > cool_c
    made.not_above(hot_c - 1.0)
    made.add_answer(Answer(92.0, hot_c))
    while (request := made.next()) is not None:
        made.add_answer(Answer(60.0, request.profile.target_c))
    found = made.result()
    assert found.temperatures[20.0] == cool_c
    assert found.temperatures[60.0] <= hot_c - 1.0
    assert any(f"{hot_c:.1f} °C for a rating of 60 became {hot_c - 1.0:.1f} °C" in n for n in found.notes)


def test_nothing_is_found_above_a_limit_set_between_two_levels():
    """The limit lies between the two: the one above comes down to it, the one below stays."""
    made = second_look((20.0, 60.0))
    before = dict(made._temperatures)
    limit_c = (before[20.0] + before[60.0]) / 2
    made.not_above(limit_c)
    assert made._temperatures == {20.0: before[20.0], 60.0: round(limit_c, 2)}


@pytest.mark.parametrize("n_answers", [0, 2, 5, 12])
def test_a_calibration_that_is_given_up_gives_no_result(n_answers):
    made, person = calibration(), Person()
    for _ in range(n_answers):
        made.add_answer(person.answer(made.next()))
    pending = made.next()
    assert pending is not None
    made.give_up("two ratings in a row were too much")
    made.add_answer(person.answer(pending))
    assert made.next() is None
    with pytest.raises(
        WrongInput, match="no temperatures for 'p01' at 'left forearm': two ratings in a row were too much"
    ):
        made.result()


# Numbers that are kept.


def test_stored_line_gives_each_temperature_back():
    found = carry_out(calibration((20.0, 40.0), ladder_below_c=0.0), Person()).result()
    assert found.slope == pytest.approx(15.0)
    assert found.intercept == pytest.approx(-15.0 * 44.5)
    for pain, celsius in found.temperatures.items():
        assert found.intercept + found.slope * celsius == pytest.approx(pain, abs=1.5)


def test_later_visit_reads_a_new_level_from_the_stored_line():
    first = carry_out(calibration((20.0, 40.0), ladder_below_c=0.0), Person()).result()
    later = calibration((30.0,), stored=first)
    assert later.next().level == 30.0
    assert later.next().profile.target_c == pytest.approx(44.5 + 30.0 / 15.0, abs=0.11)


@pytest.mark.parametrize("single", [0.005, 0.02, 0.05])
def test_slow_ramp_turns_where_it_would_be_too_much(single):
    envelope = Envelope(single=single)
    made = calibration(envelope=envelope, limits_c_per_s=0.1, plateau_s=0.5)
    ramp = made.next().profile
    assert (made.next().kind, ramp.rise_c_per_s, ramp.plateau_s) == ("limits", 0.1, 0.0)
    assert 33.0 < ramp.target_c < 49.0
    assert envelope.problems(ramp) == []
    assert envelope.problems(dataclasses.replace(ramp, target_c=ramp.target_c + 0.11)) != []


# Edges: what is entered, where the ladder starts and ends, and which line is drawn.


def up_to_ladder(pressed_c=44.5, **how):
    made = calibration(limits_n=1, **how)
    made.next()
    made.add_answer(Answer(None, pressed_c))
    return made


@pytest.mark.parametrize(
    "off_c, entered_c", [(-0.2, 45.0), (0.5, 45.0), (-0.35, 44.65), (-2.0, 43.0), (None, 45.0)]
)
def test_what_was_clearly_lower_is_entered_as_what_it_was(off_c, entered_c):
    made = up_to_ladder(45.0, ladder_below_c=0.0)
    assert made.next().profile.target_c == 45.0
    made.add_answer(Answer(30.0, None if off_c is None else 45.0 + off_c))
    assert made._answers[-1] == ("ladder", pytest.approx(entered_c), 30.0)


def test_rating_of_an_aborted_stimulus_counts_for_nothing():
    made = up_to_ladder(least_answers=4)
    for rating in (5.0, 10.0, 15.0):
        made.add_answer(Answer(rating, made.next().profile.target_c))
    at_c = made.next().profile.target_c
    made.add_answer(Answer(20.0, at_c, aborted=True))
    assert made._answers[-1] == ("ladder", at_c, None)
    assert made._notes[-1] == f"the ladder ended at {at_c:.1f} °C: the stimulus was aborted or refused"
    assert made.next() is None
    with pytest.raises(WrongInput, match="3 stimuli were rated; at least 4 are needed"):
        made.result()


def test_aborted_rung_ends_the_ladder_with_the_line_so_far():
    made = up_to_ladder()
    for rating in (5.0, 10.0, 15.0, 20.0):
        made.add_answer(Answer(rating, made.next().profile.target_c))
    made.next()
    made.add_answer(Answer(None, None, aborted=True))
    assert made.next().kind == "verify"


def test_too_much_for_the_session_ends_the_ladder_below_stop_rating():
    """The engine calls 91 too much where the protocol's stop_rating is 95."""
    made = up_to_ladder(stop_rating=95.0, ladder_step_c=0.25)
    for rating in (5.0, 20.0, 40.0):
        made.add_answer(Answer(rating, made.next().profile.target_c))
    at_c = made.next().profile.target_c
    made.not_above(at_c - 0.1)
    made.add_answer(Answer(91.0, at_c))
    assert made._notes == [f"the ladder ended at {at_c:.1f} °C: rated 91"]
    assert made.next().kind == "verify"


def test_ramps_are_those_of_the_protocol():
    ramps = Ramps(baseline_c=33.0, rise_c_per_s=5.0, return_c_per_s=6.0)
    made = PainCalibration(
        CalibrationSettings(limits_n=1), CalibrationVisit("p01", SITE), (40.0,), Envelope(), ramps
    )
    slow = made.next().profile
    assert (slow.baseline_c, slow.rise_c_per_s, slow.return_c_per_s) == (33.0, 1.0, 6.0)
    made.add_answer(Answer(None, 44.0))
    rung = made.next().profile
    assert (rung.baseline_c, rung.rise_c_per_s, rung.return_c_per_s) == (33.0, 5.0, 6.0)


def test_later_look_may_be_at_other_ratings():
    first = carry_out(calibration((20.0, 40.0), ladder_below_c=0.0), Person()).result()
    made = PainCalibration.verifying(first, CalibrationSettings(), Envelope(), "2026-03-01", (30.0,))
    assert set(carry_out(made, Person()).result().temperatures) == {30.0}


@pytest.mark.parametrize("cap_c, is_allowed", [(33.0, False), (33.1, True)])
def test_plateau_is_to_be_a_degree_above_baseline(cap_c, is_allowed):
    if is_allowed:
        calibration(envelope=Envelope(cap_c=cap_c))
        return
    with pytest.raises(WrongInput, match="no stimulus of 5 s is allowed"):
        calibration(envelope=Envelope(cap_c=cap_c))


def test_ladder_starts_a_degree_above_baseline_at_least():
    assert up_to_ladder(32.6).next().profile.target_c == 33.0


def test_ramp_without_a_press_is_noted_and_one_with_is_not():
    made = calibration(limits_n=3)
    for celsius in (None, 44.0, None):
        made.next()
        made.add_answer(Answer(None, celsius))
    assert made._notes == ["a ramp went up to 49.0 °C and the button was not pressed"] * 2


def test_limit_at_a_temperature_leaves_it_without_a_note():
    made = second_look((40.0,))
    (celsius,) = made._temperatures.values()
    n_notes = len(made._notes)
    made.not_above(celsius)
    assert made._temperatures == {40.0: celsius}
    assert len(made._notes) == n_notes


def test_ratings_of_one_temperature_are_no_line():
    made = up_to_ladder(ladder_n=4)
    for rating in (5.0, 10.0, 20.0, 30.0):
        made.next()
        made.add_answer(Answer(rating, 43.0))
    with pytest.raises(WrongInput, match="ratings do not rise with temperature"):
        made.result()


def test_line_is_drawn_through_a_short_ladder():
    """In closed form: the least squares of four points."""
    made = up_to_ladder(44.0, ladder_n=4, ladder_step_c=0.25, ladder_below_c=0.0)
    rungs = []
    for rating in (10.0, 12.0, 20.0, 22.0):
        rungs.append(made.next().profile.target_c)
        made.add_answer(Answer(rating, rungs[-1]))
    assert rungs == [44.0, 44.25, 44.5, 44.75]
    assert made._line[1] == pytest.approx((3 * (22.0 - 10.0) + (20.0 - 12.0)) / 10 / 0.25)
    assert made._line[0] == pytest.approx(16.0 - made._line[1] * 44.375)


@pytest.mark.parametrize("pain, is_right", [(0.0, False), (0.5, True), (100.0, False)])
def test_rating_that_is_looked_for_is_between_0_and_100(pain, is_right):
    if is_right:
        calibration((pain,))
        return
    with pytest.raises(WrongInput):
        calibration((pain,))


def test_temperature_is_a_degree_above_baseline_at_least():
    made = calibration((1.0, 30.0), limits_n=1, ladder_n=4)
    made.next()
    made.add_answer(Answer(None, 32.6))
    for rating in (10.0, 20.0, 30.0, 40.0):
        made.add_answer(Answer(rating, made.next().profile.target_c))
    assert made._temperatures == {1.0: 33.0, 30.0: 34.0}
    assert made._notes == ["a rating of 1 would need 32.5 °C; 33.0 °C is as far as it may go"]


def test_later_visit_keeps_the_threshold_and_only_what_was_rated_as_a_plateau():
    first = carry_out(calibration(), Person()).result()
    answers = (("limits", 48.5, 10.0), ("ladder", 45.0, 30.0), ("ladder", 46.0, None))
    made = calibration(stored=first.model_copy(update={"answers": answers, "date": ""}))
    assert made._bearable_c == [45.0]
    assert made._notes[0] == "the temperatures of an earlier visit were tried again"
    again = carry_out(calibration(stored=first), Person()).result()
    assert again.threshold_c == first.threshold_c == 44.5


def test_exactly_stop_rating_in_the_second_look_is_too_much():
    made = second_look((40.0,))
    hot_c = made.next().profile.target_c
    made.add_answer(Answer(80.0, hot_c))
    assert made.next().profile.target_c < hot_c


# Edges of the second look.


def answered(made, *ratings):
    """Answer one stimulus after the other; return what was given."""
    given = []
    for rating in ratings:
        given.append(made.next().profile.target_c)
        made.add_answer(Answer(rating, given[-1]))
    return given


@pytest.mark.parametrize("rating, is_right", [(50.0, True), (30.0, True), (50.5, False), (29.5, False)])
def test_mean_may_be_as_far_as_the_tolerance(rating, is_right):
    made = second_look((40.0,), verify_n=1)
    answered(made, rating)
    assert made._verified == ({40.0: rating} if is_right else {})


def test_each_level_is_corrected_once():
    made = second_look((20.0, 40.0), verify_n=1, ladder_below_c=0.0)
    before = dict(made._temperatures)
    low_c, low_again_c, high_c, high_again_c = answered(made, 5.0, 5.0, 60.0, 60.0)
    assert (low_c, high_c) == (before[20.0], before[40.0])
    assert low_again_c == pytest.approx(low_c + 1.0, abs=0.11)
    assert high_again_c == pytest.approx(high_c - 20.0 / 15.0, abs=0.11)
    assert made.next() is None


def test_level_that_can_go_no_higher_is_given_no_more_often():
    made = second_look((79.0,), envelope=Envelope(cap_c=46.0), verify_n=2, ladder_n=10)
    given = answered(made, 20.0, 20.0)
    assert given == [46.0, 46.0]
    assert made.next() is None
    assert made._notes[-1] == "46.0 °C is not verified for a rating of 79: it was rated 20"
    assert "corrected" not in " ".join(made._notes)


def test_stop_rating_takes_back_its_own_temperature():
    made = up_to_ladder()
    (celsius,) = answered(made, 20.0)
    assert made._bearable_c == [celsius]
    made.next()
    made.add_answer(Answer(85.0, celsius))
    assert made._bearable_c == []


def test_level_that_was_verified_comes_down_with_what_is_bearable():
    made = second_look((20.0, 40.0), verify_n=1)
    (low_c,) = answered(made, 20.0)
    assert made._verified == {20.0: 20.0}
    made.next()
    made.add_answer(Answer(95.0, low_c - 0.9))  # lowered on its way, and still too much
    (last_c,) = answered(made, 35.0)
    found = made.result()
    rung_c = max(made._bearable_c)
    assert last_c < rung_c < low_c - 0.9
    assert found.temperatures == {20.0: rung_c, 40.0: last_c}
    assert 20.0 not in found.verified
    became = f"{low_c:.1f} °C for a rating of 20 became {rung_c:.1f} °C: nothing hotter was called bearable"
    assert found.notes[-1] == became


def test_nothing_is_found_where_all_that_was_bearable_is_taken_back():
    made = second_look((20.0, 40.0), verify_n=2)
    answered(made, 20.0, 20.0, 40.0)
    made.next()
    made.add_answer(Answer(95.0, 40.0))
    answered(made, None, None)
    assert made.next() is None
    with pytest.raises(
        WrongInput, match="for a rating of 20, 40 nothing was given whole and called bearable"
    ):
        made.result()


def test_threshold_of_a_press_is_one_whenever_it_was():
    made = calibration(limits_n=2)
    for celsius in (48.0, None):
        made.next()
        made.add_answer(Answer(None, celsius))
    assert made.next().profile.target_c == 47.5


def test_flat_line_that_rises_is_a_line():
    made = up_to_ladder(ladder_n=4, stop_rating=50.0)
    answered(made, 10.0, 10.4, 10.8, 11.2)
    assert made._line[1] == pytest.approx(0.8)
    assert made.next().kind == "verify"


@pytest.mark.parametrize("name", [each for each in CalibrationSettings.model_fields if each.endswith("_n")])
def test_counts_of_a_calibration_are_whole_numbers(name):
    for wrong in ("3", 3.0, True):
        with pytest.raises(WrongInput, match=name):
            checked(CalibrationSettings, {name: wrong}, "calibration")


@pytest.mark.parametrize("name", ["stop_rating", "tolerance", "ladder_below_c"])
def test_points_and_degrees_of_a_calibration_are_numbers(name):
    for wrong in ("1", True, math.nan, math.inf):
        with pytest.raises(WrongInput, match=name):
            checked(CalibrationSettings, {name: wrong}, "calibration")
