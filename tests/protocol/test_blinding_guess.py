"""The blinding guess as a protocol declares it: three questions, about the protocol's own arms."""

import pytest
from protocol_parts import protocol_with, text_with

from neurofb.protocol.delivery import training_sha256
from neurofb.protocol.design import read_protocol
from neurofb.protocol.ratings import Scale
from neurofb.protocol.timeline import expand

ARMS = (
    '\n[[arms]]\nid = "real"\nlabel = "A"\n\n[[arms]]\nid = "yoked"\nlabel = "B"\nfeedback = "sham:yoked"\n'
)
GUESS = """
[[scales]]
name = "guess"
kind = "blinding_guess"
who = "participant"
answer_s = 20.0

[scales.conditions]
real = "real feedback"
yoked = "a recording of somebody else"
"""
AT_REST = ('kind = "rest_baseline"\n', 'kind = "rest_baseline"\nratings = ["guess"]\n')


def found(*changes, more=ARMS, guess=GUESS):
    text = text_with(AT_REST, ("[[phases]]", f"{guess}\n[[phases]]"), *changes, more=more)
    protocol, problems = read_protocol(text, "small.toml")
    return protocol, [(".".join(map(str, place)), words) for place, words in problems]


def test_a_guess_is_asked_as_three_plain_questions_in_every_arm():
    protocol, problems = found()
    assert problems == []
    asked = [
        [
            (step.scales[0], step.duration_s, step.text)
            for step in expand(protocol, arm=arm).steps
            if step.scales
        ]
        for arm in ("real", "yoked")
    ]
    assert asked[0] == asked[1]
    parts = [scale for scale, _, _ in asked[0][:3]]
    assert [(part.name, part.kind) for part in parts] == [
        ("guess_condition", "probe"),
        ("guess_certainty", "vas"),
        ("guess_why", "text"),
    ]
    assert parts[0].choices == ("real feedback", "a recording of somebody else", "I do not know")
    assert [each[1:] for each in asked[0][:3]] == [(20.0, part.question) for part in parts]
    assert not any(part.of_heat for part in parts)


def test_words_are_those_of_the_language_and_of_who_is_asked_unless_the_protocol_has_its_own():
    keys = {"name": "g", "kind": "blinding_guess", "conditions": {"a": "echt", "b": "eine Aufnahme"}}
    english = Scale(who="operator", **keys).parts
    german = Scale(who="participant", language="de", **keys).parts
    assert english[0].question == "Which of these do you think this participant was given?"
    assert german[0].question == "Was davon haben Sie wohl bekommen?"
    assert german[0].choices[-1] == "Ich weiß es nicht"
    assert (german[1].low, german[1].high, german[2].question) == (
        "nur geraten",
        "völlig sicher",
        "Woran machen Sie das fest?",
    )
    assert Scale(who="assessor", question="And?", **keys).parts[0].question == "And?"


@pytest.mark.parametrize(
    "was, now, place, words",
    [
        ('who = "participant"\n', "", "scales.1.who", "says who answers"),
        ('who = "participant"', 'who = "nurse"', "scales.1.who", "'participant', 'operator' or 'assessor'"),
        (
            'yoked = "a rec',
            'sham = "a rec',
            "scales.1.conditions",
            "found real, sham; right are the ids of all arms",
        ),
        ('yoked = "a recording of somebody else"\n', "", "scales.1.conditions", "for two or more arms"),
        ("a recording of somebody else", "Real  feedback", "scales.1.conditions", "all different"),
        ("a recording of somebody else", "I do not know", "scales.1.conditions", "is added"),
        ('who = "part', 'asks = "intensity"\nwho = "part', "scales.1.asks", "asks for no pain"),
        ('who = "part', 'low = "a"\nwho = "part', "scales.1.low", "has no ends"),
        ('who = "part', 'choices = ["a", "b"]\nwho = "part', "scales.1.choices", "has no choices"),
        (
            'kind = "blinding_guess"',
            'kind = "text"\nquestion = "?"',
            "scales.1.who",
            "only a blinding guess has it",
        ),
        (
            "\n[[scales]]",
            '\n[[scales]]\nname = "guess_why"\nkind = "text"\nquestion = "?"\n\n[[scales]]',
            "scales.2.name",
            "recorded as 'guess_why', and another scale has that name",
        ),
    ],
)
def test_wrong_guesses_are_refused_at_their_place(was, now, place, words):
    assert was in GUESS
    _, problems = found(guess=GUESS.replace(was, now, 1))
    assert any(where.startswith(place) and words in text for where, text in problems), problems


def test_guesses_without_arms_or_after_each_trial_are_refused():
    _, problems = found(more="")
    assert any("there are none" in text or "which are none" in text for _, text in problems), problems
    _, problems = found(('ratings = ["intensity"]', 'ratings = ["guess"]'))
    assert [place for place, _ in problems] == ["phases.1.trials.ratings"]


def test_other_scales_need_their_question_still():
    _, problems = found(('question = "How strong?"\n', ""))
    assert [(place, "needed is what is asked" in text) for place, text in problems] == [
        ("scales.0.question", True)
    ]


def test_a_guess_changes_nothing_of_the_training_that_donors_must_share():
    with_guess, _ = found()
    assert training_sha256(with_guess) == training_sha256(protocol_with(more=ARMS))
