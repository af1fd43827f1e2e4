"""A protocol's study: its source, requirements, arms and sessions, and the form of a participant's code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from neurofb.config import Name, Table

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
#: As BIDS takes it for ``ses-…``.
Label = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Status = Literal["as_published", "adapted"]
#: The most letters of a participant's code: it goes into file names.
LONGEST_CODE = 32
_PSEUDONYM = (
    'right is a code of letters and digits that means nothing, as "P07"; keep the list of names elsewhere'
)


class Study(Table):
    """The study that a protocol runs or follows."""

    id: Id = Field(description='small letters, digits and hyphens, as "breath-heat"')
    title: Name = Field(description="what it is, in a few words")
    citation: str = Field(default="", description="the publication it follows; left out: none")
    doi: str = Field(default="", description='the DOI of that publication, as "10.1000/182"')
    status: Status = Field(
        description='"as_published" if every value is the publication\'s (see [sources]), else "adapted"'
    )
    experimental: bool = Field(
        default=False, description="true where there is no evidence yet that this can be trained"
    )
    deception: bool = Field(
        default=False, description="true if a participant is told something that is not so"
    )
    debrief: str = Field(
        default="",
        validate_default=True,
        description="what participants are told afterwards; needed with deception = true",
    )
    notes: tuple[Name, ...] = Field(default=(), description="what a researcher should know, as sentences")

    @field_validator("doi")
    @classmethod
    def _is_a_doi(cls, value: str) -> str:
        if value and not re.match(r"^10\.\d{4,9}/\S+$", value):
            raise ValueError('that is no DOI; it begins with "10." and has a slash, as "10.1000/182"')
        return value

    @field_validator("debrief")
    @classmethod
    def _debriefed(cls, value: str, info: ValidationInfo) -> str:
        if info.data.get("deception") and not value.strip():
            raise ValueError(
                "a study with deception needs the text that participants are told afterwards (and an ethics "
                "approval for both)"
            )
        return value


class Needs(Table):
    """Requirements of a study."""

    regions: tuple[Word, ...] = Field(
        default=(), description='regions of the headset, as ["posterior"]; those of the features are added'
    )
    eeg: bool = Field(
        default=True,
        description="whether heat needs fresh EEG; false for a heat test without EEG, which has no feedback",
    )
    also: tuple[Name, ...] = Field(
        default=(), description='what must be recorded beside the EEG, in words, as ["respiration"]'
    )


class Arm(Table):
    """One of the groups that participants are allocated to."""

    id: Word = Field(description="for the analysis; sealed during a session")
    label: Name = Field(description='what is shown to everybody: neutral, as "A"')
    feedback: Annotated[str, StringConstraints(pattern=r"^(real|none|sham:[a-z_]+)$")] = Field(
        default="real", description='"real", "none", or a sham as "sham:replay"'
    )
    texts: Mapping[str, str] = Field(
        default={}, description="a phase's name and the text that this arm gets there instead"
    )
    sounds: Mapping[str, str] = Field(
        default={}, description="a phase's name and the sound that this arm gets there instead"
    )


#: What is taken where a protocol has no arms.
ONLY_ARM = Arm(id="all", label="A")


class Visit(Table):
    """One of several sessions, with its phases."""

    id: Label = Field(description='letters and digits, as "pre" or "1"')
    title: str = Field(default="", description="what it is")
    phases: tuple[Name, ...] = Field(
        min_length=1, description="names of phases in their order; one may come more than once"
    )
    temperatures_of: str | None = Field(
        default=None,
        description="the session whose calibrated temperatures are used again; left out: this one's own",
    )


class StopSettings(Table):
    """Settings of the stop rules."""

    rating_limit: Annotated[float, Field(strict=True, gt=0, le=90)] = Field(
        default=90.0, description="a rating of heat from which on it is lowered: above 0, at most 90"
    )
    lower_by_c: Annotated[float, Field(strict=True, ge=0.5, le=20)] = Field(
        default=1.0, description="by how much, in °C: 0.5 to 20"
    )
    in_a_row: Annotated[int, Field(strict=True, ge=1, le=2)] = Field(
        default=2, description="after how many such trials in a row the block ends: 1 or 2"
    )


def pseudonym_problem(code: str) -> str:
    """Return in words why a participant's code is no pseudonym; empty if nothing is against it."""
    why = _why_no_pseudonym(code)
    return f"the participant code {code!r} {why}; {_PSEUDONYM}" if why else ""


#: Words that codes are made of, as "pilot3": no names.
_CODE_WORDS = {
    "case", "control", "demo", "part", "participant", "patient", "person", "pilot", "proband", "sub", "subj",
    "subject", "test", "tester",
}  # fmt: skip
#: A word of at least so many letters may be a name.
_NAME_LETTERS = 4


def name_question(code: str) -> str:
    """Return in words why a participant's code may be a name; empty if it is the usual kind of code."""
    if not re.search(r"\d", code):
        return f"the participant code {code!r} has no digit, as a name has none; usual is a letter and a number, as P07"
    words = [word for word in re.findall(r"[A-Za-z]+", code) if word.lower() not in _CODE_WORDS]
    named = next((word for word in words if len(word) >= _NAME_LETTERS and not word.isupper()), None)
    if named is not None:
        return f"the participant code {code!r} has {named!r} in it, which looks like a name"
    return ""


def _why_no_pseudonym(code: str) -> str:
    if not code:
        return "is empty"
    if "@" in code:
        return "looks like an e-mail address"
    if re.search(r"\d{8}|\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", code):
        return "looks like a date, and a birthday tells who somebody is"
    if re.search(r"\s", code):
        return "has a space in it, as a name has"
    if not code.isascii():
        return "has a letter with an accent or umlaut, which file names of other systems spoil"
    if not re.fullmatch(r"[A-Za-z0-9]+", code):
        return f"has {', '.join(sorted(set(re.findall(r'[^A-Za-z0-9]', code))))} in it, which BIDS labels cannot have"
    if re.search(r"[A-Za-z]{2,}(19|20)\d\d(?!\d)|(?<!\d)(19|20)\d\d[A-Za-z]{2,}", code):
        return "looks like a name or initials with a year of birth"
    if len(code) > LONGEST_CODE:
        return f"is longer than {LONGEST_CODE} letters"
    return ""
