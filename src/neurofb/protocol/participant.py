"""A participant's code must be a pseudonym: it says nothing about who it is, and fits into file names."""

from __future__ import annotations

import re

from neurofb.errors import WrongInput

_RIGHT = (
    'right is a code of letters and digits that means nothing, as "P07"; keep the list of names elsewhere'
)
LONGEST = 32


def pseudonym_problem(code: str) -> str:
    """Say in words why a code is no pseudonym; empty if nothing is against it."""
    why = _why(code)
    return f"the participant code {code!r} {why}; {_RIGHT}" if why else ""


def check_pseudonym(code: str) -> str:
    """Return the code if it is a pseudonym.

    Raises
    ------
    WrongInput
        If it is none; what is wrong with it.
    """
    problem = pseudonym_problem(code)
    if problem:
        raise WrongInput(problem)
    return code


def _why(code: str) -> str:
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
    if len(code) > LONGEST:
        return f"is longer than {LONGEST} letters"
    return ""
