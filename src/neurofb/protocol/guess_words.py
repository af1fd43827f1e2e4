"""The words of a blinding guess where a protocol gives none, in English and German.

In: a language and who is asked. Out: the questions. Kept: nothing. "Assessor" is whoever judges the outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "de"]
#: Who may be asked.
Who = Literal["participant", "operator", "assessor"]


@dataclass(frozen=True, slots=True)
class GuessWords:
    """The questions of a guess, and the answers that every guess has."""

    #: To the participant, and to those who were not treated themselves.
    condition: str
    condition_of_other: str
    unknown: str
    certainty: str
    #: At both ends of the scale of certainty.
    guessed: str
    certain: str
    why: str

    def question(self, who: Who) -> str:
        """Return the first question as it is put to somebody."""
        return self.condition if who == "participant" else self.condition_of_other


GUESS_WORDS: Mapping[Language, GuessWords] = {
    "en": GuessWords(
        "Which of these do you think you were given?",
        "Which of these do you think this participant was given?",
        "I do not know",
        "How certain are you?",
        "only guessed",
        "completely certain",
        "What makes you think so?",
    ),
    "de": GuessWords(
        "Was davon haben Sie wohl bekommen?",
        "Was davon hat diese Person wohl bekommen?",
        "Ich weiß es nicht",
        "Wie sicher sind Sie?",
        "nur geraten",
        "völlig sicher",
        "Woran machen Sie das fest?",
    ),
}
