"""One name for one thing: what is the same but for its spelling is found."""

import pytest

from neurofb.folding import first_twins, folded, spelt_as


@pytest.mark.parametrize(
    "spelling",
    ["Left Forearm", "left-forearm", "left_forearm", "leftforearm", " left  forearm ", "left\u00a0forearm",
     "left\u200bforearm", "le\u00adft forearm", "ｌｅｆｔ forearm", "left‑forearm", "left\ufe0f forearm",
     "left\u3164forearm", "\u202eleft forearm", "left\U000e0020forearm"],
)  # fmt: skip
def test_spellings_of_one_place_are_one(spelling):
    assert folded(spelling) == folded("left forearm")


def test_letters_of_other_languages_fold_and_stay():
    assert folded("Größe") == folded("GRÖSSE") == folded("Gro\u0308ße")
    assert folded("left forearm 1") != folded("left forearm 2")
    assert folded("forearm 1.5") != folded("forearm 15")


def test_twins_and_known_spellings():
    assert first_twins(["a", "b"]) is None
    assert first_twins(["arm", "leg", "arm"]) == ("arm", "arm")
    assert first_twins(["left arm", "leg", "Left-Arm"]) == ("left arm", "Left-Arm")
    assert spelt_as("p7", ["P7", "P8"]) == "P7"
    assert spelt_as("P7", ["P7", "p7"]) is None
    assert spelt_as("P9", ["P7"]) is None
