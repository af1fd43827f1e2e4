"""The study file as far as allocation needs it: arms, strata, how slots are drawn, and who is masked.

In: TOML. Out: a checked `StudyFile`. Kept: nothing. The file is no secret: it says which arms there are, and no slot.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from neurofb import limits
from neurofb.config import Count, Name, Place, Table, parse_toml, several, text_of
from neurofb.errors import UnknownFile, WrongFile, WrongInput, nearest

#: Who may be kept from knowing the arms.
Masked = Literal["participant", "operator", "assessor", "analyst"]
_Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
_Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
_Level = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+$")]
_Hash = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
#: Slots of a study at most (assumed).
MOST_SLOTS = 5000


class Blinding(Table):
    """Who does not know the arm of a participant."""

    masked: tuple[Masked, ...] = Field(
        min_length=1,
        description='who must not know the arm: of "participant", "operator", "assessor" and "analyst"',
    )

    @field_validator("masked")
    @classmethod
    def _once(cls, value: tuple[Masked, ...]) -> tuple[Masked, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each stands there once")
        return value

    @classmethod
    def open(cls) -> Blinding:
        """Return what ``blinding = "open"`` says: nobody is kept from knowing."""
        return cls.model_construct(masked=())


class StudyHead(Table):
    """What the study is."""

    id: _Id = Field(description='small letters, digits and hyphens, as "nf-sham"')
    title: Name = Field(description="what it is, in a few words")


class AllocationPlan(Table):
    """How slots are drawn."""

    method: Literal["blocks", "simple", "minimise"] = Field(
        description='"blocks" (permuted blocks in each stratum), "simple" (each slot alone), or "minimise" (after '
        "Pocock and Simon: one person after another, by their factors)"
    )
    block_sizes: tuple[Annotated[int, Field(strict=True, ge=2, le=100)], ...] = Field(
        default=(),
        validate_default=True,
        description="for blocks: sizes that are drawn from, as [4, 6], each a multiple of the sum of the ratios",
    )
    slots: Annotated[int, Field(strict=True, ge=1, le=MOST_SLOTS)] | None = Field(
        default=None,
        validate_default=True,
        description="slots of each stratum; blocks are completed. Left out for minimise: one for each person",
    )
    biased_coin: Annotated[float, Field(strict=True, gt=0.5, le=1)] = Field(
        default=0.8, description="for minimise: the probability of the arm that balances best: above 0.5"
    )
    imbalance: Literal["range", "sd"] = Field(
        default="range", description='for minimise: how counts of a level spread over arms: "range" or "sd"'
    )

    @field_validator("block_sizes")
    @classmethod
    def _of_blocks(cls, value: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        method = info.data.get("method")
        if method == "blocks" and not value:
            raise ValueError("blocks need sizes, as block_sizes = [4, 6]")
        if method in ("simple", "minimise") and value:
            raise ValueError(f"method {method!r} has no blocks; leave it out")
        return value

    @field_validator("slots")
    @classmethod
    def _counted(cls, value: int | None, info: ValidationInfo) -> int | None:
        method = info.data.get("method")
        if method in ("blocks", "simple") and value is None:
            raise ValueError("missing; how many people each stratum may have, a few more than are planned")
        if method == "minimise" and value is not None:
            raise ValueError("minimise makes one slot for each person of --people; leave it out")
        return value


class Factor(Table):
    """A property by which people are stratified."""

    name: _Word = Field(description='small letters, digits and underscores, as "site"')
    levels: tuple[_Level, ...] = Field(
        min_length=2, description='two or more of letters, digits, "_", "." and "-", as ["A", "B"]'
    )

    @field_validator("levels")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("each level stands there once")
        return value


class StudyArm(Table):
    """An arm that people are allocated to."""

    id: _Word = Field(description="the arm's id in the protocol")
    ratio: Count = Field(default=1, description="its share of people, as 2 for 2:1")
    protocol: Name = Field(description="the name of a bundled protocol, or a path beside this file")
    protocol_sha256: _Hash = Field(
        default="", description="the SHA-256 of that protocol's text, so that nobody gets another one"
    )


class StudyFile(Table):
    """A study's allocation."""

    study: StudyHead = Field(description="the table [study]")
    allocation: AllocationPlan = Field(description="the table [allocation]")
    strata: tuple[Factor, ...] = Field(
        default=(), validate_default=True, description="tables [[strata]]; left out: one stratum"
    )
    blinding: Blinding = Field(description='a table [blinding] that says who is masked, or "open"')
    donor_pool_sha256: _Hash = Field(
        default="", description="of the frozen pool of donors for a yoked sham; left out: none"
    )
    arms: tuple[StudyArm, ...] = Field(min_length=2, description="two or more tables [[arms]]")

    @field_validator("blinding", mode="before")
    @classmethod
    def _open(cls, value: object) -> object:
        return Blinding.open() if value == "open" else value

    @field_validator("strata")
    @classmethod
    def _factors(cls, value: tuple[Factor, ...], info: ValidationInfo) -> tuple[Factor, ...]:
        names = [factor.name for factor in value]
        if len(set(names)) < len(names):
            raise ValueError("two factors have one name; each has its own")
        plan = info.data.get("allocation")
        if plan is not None and plan.method == "minimise" and not value:
            raise ValueError("minimise balances factors, and there are none: add tables [[strata]]")
        if plan is not None and plan.method == "simple" and value:
            raise ValueError('method "simple" has no strata; take "blocks", or leave them out')
        return value

    @field_validator("arms")
    @classmethod
    def _arms_fit(cls, value: tuple[StudyArm, ...], info: ValidationInfo) -> tuple[StudyArm, ...]:
        found: list[tuple[Place, str]] = []
        ids = [arm.id for arm in value]
        found += [((i, "id"), "it stands there before") for i, name in enumerate(ids) if name in ids[:i]]
        plan, blinding = info.data.get("allocation"), info.data.get("blinding")
        total = sum(arm.ratio for arm in value)
        if plan is not None:
            wrong = [size for size in plan.block_sizes if size % total]
            if wrong:
                found.append(((), f"a block of {wrong[0]} cannot have the ratio: give multiples of {total}"))
            if plan.method == "minimise" and len({arm.ratio for arm in value}) > 1:
                found.append(((), 'minimise is for equal ratios; for others take method = "blocks"'))
        if (
            blinding is not None
            and "operator" in blinding.masked
            and len({arm.protocol_sha256 for arm in value}) > 1
        ):
            text = "the operator is masked, and who starts another protocol knows the arm: give all arms one"
            found.append(((), text))
        if found:
            raise several(found)
        return value

    def arm(self, arm: str) -> StudyArm | None:
        """Return an arm by its id; None for none."""
        return next((each for each in self.arms if each.id == arm), None)

    @property
    def all_strata(self) -> list[str]:
        """Every combination of levels, as ``site=A/sex=f``; one empty text without factors."""
        named = [[f"{factor.name}={level}" for level in factor.levels] for factor in self.strata]
        return ["/".join(levels) for levels in itertools.product(*named)]

    def stratum(self, given: Mapping[str, str]) -> str:
        """Return the stratum of levels by factor.

        Raises
        ------
        WrongInput
            If a factor or level does not exist, or one is missing.
        """
        names = [factor.name for factor in self.strata]
        for name in given:
            if name not in names:
                raise WrongInput(f"this study has no factor {name!r}; {nearest(name, names)}")
        words = []
        for factor in self.strata:
            level = given.get(factor.name)
            if level is None:
                raise WrongInput(
                    f"the level of {factor.name!r} is missing; one of {', '.join(factor.levels)}, "
                    f"as --stratum {factor.name}={factor.levels[0]}"
                )
            if level not in factor.levels:
                raise WrongInput(f"{factor.name!r} has no level {level!r}; {nearest(level, factor.levels)}")
            words.append(f"{factor.name}={level}")
        return "/".join(words)


def parse_levels(words: Iterable[str]) -> dict[str, str]:
    """Return the levels by factor of texts ``site=A``.

    Raises
    ------
    WrongInput
        If one is written otherwise, or a factor comes twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, level = word.partition("=")
        if not equals or not name or not level:
            raise WrongInput(f"found --stratum {word}; expected: a factor and its level, as site=A")
        if name in found:
            raise WrongInput(f"--stratum has {name!r} twice; give each factor once")
        found[name] = level
    return found


def read_study(path: Path) -> tuple[StudyFile, str]:
    """Return a study file and its text.

    Raises
    ------
    UnknownFile, WrongFile
        If there is none, or something is wrong in it; the message lists every problem.
    """
    try:
        text = text_of(limits.read_bytes(path, limits.MOST_TOML_BYTES))
    except FileNotFoundError:
        raise UnknownFile(f"no study file {path}; give the path of a .toml file") from None
    except OSError as error:
        raise WrongFile(f"the study file {path} cannot be read: {error.strerror}") from None
    except WrongFile:
        raise
    except WrongInput as error:
        raise WrongFile(f"{path} {error}; save it as UTF-8") from None
    return parse_toml(StudyFile, text, str(path)), text


def study_hash(text: str) -> str:
    """Return the SHA-256 of a study file's text."""
    return hashlib.sha256(text.encode()).hexdigest()
