"""TOML files and tables, read into checked data; one error lists all problems by line.

In: TOML text, or a mapping. Out: a frozen `Table`, or one ``WrongFile`` or ``WrongInput`` that lists, for each
problem, the line, the key, what was found and what would be right. The last comes from the ``description`` of
the model's fields, so that the documentation of a key and the answer to a mistake are one text.
"""

from __future__ import annotations

import codecs
import importlib.resources
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from neurofb import limits
from neurofb.errors import NeurofbError, UnknownFile, UnknownName, WrongFile, WrongInput, nearest

#: Types of values in tables: a text is no number, and NaN and infinity are none either.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
NotNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Share = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, lt=1)]
Level = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, Field(min_length=1)]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]


class Table(BaseModel):
    """A table of a TOML file: frozen; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class TomlFiles:
    """The TOML files of one kind: those that come with neurofb by name, and a user's own by path."""

    #: What messages call one of them, and in short.
    kind: str
    short: str
    #: The package they lie in; there is no second place to look, so no wrong one is loaded.
    package: str
    #: The path of a user's own file, for messages.
    example: str
    no_name: type[UnknownName] = UnknownName
    no_file: type[UnknownName] = UnknownFile
    wrong: type[WrongFile] = WrongFile

    def names(self) -> list[str]:
        """Return the names of all that come with neurofb, sorted."""
        return sorted(self._bundled())

    def read(self, name_or_path: str | Path) -> tuple[str, str]:
        """Return the text of a file, and its name in messages: its path.

        Parameters
        ----------
        name_or_path : str or Path
            The name of a bundled file (``muse-2``; ``Muse 2`` and ``muse_2`` are the same), or the path of a user's
            own: a ``Path``, or a text that ends in ``.toml`` or has a folder in it.
        """
        text = str(name_or_path)
        if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text or "\\" in text:
            path = Path(name_or_path)
            return self._read_own(path), str(path)
        bundled = self._bundled()
        name = "-".join(re.split(r"[\s_-]+", text.strip().lower()))
        if name not in bundled:
            raise self.no_name(
                f"no {self.kind} {text!r}; {nearest(name, bundled)}. "
                f"A {self.short} of your own is given by its path, as {self.example}"
            )
        return bundled[name].read_text("utf-8"), str(bundled[name])

    def _read_own(self, path: Path) -> str:
        try:
            content = limits.read_bytes(path, limits.MOST_TOML_BYTES)
        except FileNotFoundError:
            beside = [each.name for each in path.parent.glob("*.toml")]
            raise self.no_file(
                f"no {self.short} file {path}; in its folder {nearest(path.name, beside)}; "
                f"bundled {self.short}s are {', '.join(self.names())}"
            ) from None
        except OSError as error:
            raise self.wrong(
                f"{path} cannot be read: {error.strerror}; give the path of a .toml file"
            ) from None
        try:
            return text_of(content)
        except WrongInput as error:
            raise self.wrong(f"{path} {error}; save it as UTF-8") from None

    def _bundled(self) -> dict[str, Traversable]:
        try:
            folder = importlib.resources.files(self.package)
        except ModuleNotFoundError:
            here = Path(__file__).resolve().parents[2]
            raise NeurofbError(
                f"the {self.kind}s are missing: neurofb runs from its source tree without being installed; "
                f"run `pip install -e .` in {here}"
            ) from None
        return {
            each.name.removesuffix(".toml"): each for each in folder.iterdir() if each.name.endswith(".toml")
        }


def text_of(content: bytes) -> str:
    """Return the text of a file in UTF-8, with the mark at its beginning that editors on Windows write or without.

    Raises
    ------
    WrongInput
        If it is in another encoding; the message goes on after the name of the file, and names the encoding.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in content:
        raise WrongInput("is text in UTF-16 (which some editors call Unicode), or no text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        letter = content[error.start : error.start + 1].decode("cp1252", "replace")
        raise WrongInput(
            f"is not text in UTF-8: line {line} has a letter of Latin-1 or another code page "
            f"(byte 0x{content[error.start]:02X}, in Latin-1 {letter!r})"
        ) from None


Place = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_TABLE = re.compile(rf"^\s*\[\s*({_DOTTED})\s*\]\s*(?:#.*)?$")
_ROW = re.compile(rf"^\s*\[\[\s*({_DOTTED})\s*\]\]\s*(?:#.*)?$")
#: A key of too many names: tomllib needs the square of their number.
_DEEP = re.compile(
    rf"(?<![A-Za-z0-9_-])(?:{_KEY}\.){{{limits.DEEPEST_KEY}}}"
    rf"|^\s*\[*\s*(?:{_KEY}\s*\.\s*){{{limits.DEEPEST_KEY}}}{_KEY}\s*[=\]]"
)
_VALUE = re.compile(rf"^\s*({_DOTTED})\s*=")
_FAULT = re.compile(r"(?P<name>\w+)@(?P<start>[\d.]+)(?:\+(?P<duration>-?[\d.]+))?(?::(?P<value>[\w.-]+))?")


def several(problems: Iterable[tuple[Place, str]]) -> PydanticCustomError:
    """Return one error that a validator can raise for many problems, each at its own place below the field."""
    found = list(problems)
    return PydanticCustomError(
        "several", "{text}", {"text": "; ".join(t for _, t in found), "problems": found}
    )


def unknown_facts(named: Iterable[str], facts: Sequence[str]) -> list[tuple[Place, str]]:
    """Return a problem for each key that names no fact."""
    return [((key,), f"no fact has this name; {nearest(key, facts)}") for key in named if key not in facts]


def require_sources(sources: Mapping[str, str], given: Iterable[str], facts: Sequence[str]) -> None:
    """Raise, for a validator, what ``[sources]`` lacks of the facts that are given, and what names no fact."""
    found: list[tuple[Place, str]] = [
        ((fact,), f'missing; say where {fact} is known from, or write {fact} = "assumed: why"')
        for fact in given
        if fact not in sources
    ]
    if found := found + unknown_facts(sources, facts):
        raise several(found)


class FaultText(NamedTuple):
    """A fault as somebody wrote it, in pieces that are still text; None for a piece that is not there.

    ``name@start``, ``name@start+duration`` and ``name@start+duration:value`` have a start, ``name=value`` has none.
    """

    name: str
    value: str | None
    start: str | None = None
    duration: str | None = None


def parse_fault(text: str) -> FaultText | None:
    """Return the pieces of a fault; None if it is written otherwise."""
    name, equals, value = text.partition("=")
    if equals:
        return FaultText(name, value)
    found = _FAULT.fullmatch(text)
    return None if found is None else FaultText(**found.groupdict())


def parse_toml(model: type[Model], text: str, title: str, wrong: type[WrongFile] = WrongFile) -> Model:
    """Return the checked content of TOML ``text``.

    Parameters
    ----------
    model : type of pydantic model
        What the file must hold; every field has a ``description`` that says what would be right.
    text : str
        The file's text.
    title : str
        How messages call the file: its path.
    wrong : type of WrongFile
        What is raised if something is wrong in it.

    Raises
    ------
    WrongFile
        With every problem, in the order of the file.
    """
    content = toml_content(text, title, wrong)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = problems_of(model, error)
        raise wrong(message(title, found, lines_of(text, content))) from None


def toml_content(text: str, title: str, wrong: type[WrongFile] = WrongFile) -> dict[str, Any]:
    """Return the content of TOML ``text``, unchecked.

    Raises
    ------
    WrongFile
        If it is no TOML, or nested deeper, or with longer numbers, than any file needs.
    """
    for number, line in enumerate(text.splitlines(), 1):
        if _DEEP.search(line):
            raise WrongFile(f"{title}, line {number}: a key has {limits.DEEPEST_KEY} names at most")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise wrong(f"{title} is not TOML: {error}; text needs quotes, and a key stands once") from None
    except RecursionError:
        raise WrongFile(
            f"{title} is nested too deep; a table or list stands in a few others at most"
        ) from None
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        raise WrongFile(
            f"{title} has a number with thousands of digits; give numbers with the digits that count"
        ) from None


def checked(model: type[Model], content: Mapping[str, Any], title: str) -> Model:
    """Return ``content`` as a checked ``model``.

    Raises
    ------
    WrongInput
        With every problem: the place, what was found, what would be right.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise WrongInput(message(title, problems_of(model, error), {}, whole="the whole")) from None


def problems_of(model: type[BaseModel], error: ValidationError) -> list[tuple[Place, str]]:
    """Return pydantic's errors as (place, text): what was found and what would be right."""
    found = error.errors(include_url=False)
    problems = [item for detail in found[: limits.MOST_LISTED] for item in _problems(model, detail)]
    if len(found) > limits.MOST_LISTED:
        problems.append(((), f"{len(found) - limits.MOST_LISTED} more problems, not shown"))
    return problems


def message(
    title: str, found: Iterable[tuple[Place, str]], lines: Mapping[Place, int], whole: str = "the file"
) -> str:
    """Return the list of problems, those with a line first and in its order; ``whole`` names what has no key."""
    located = [(_line(place, lines), place, text) for place, text in found]
    located.sort(key=lambda item: (item[0] is None, item[0] or 0))
    count = "1 problem" if len(located) == 1 else f"{len(located)} problems"
    rows = []
    for line, place, text in located:
        where = f"line {line}, " if line else ""
        rows.append(f"  {where}{_spelled(place) or whole}: {text}")
    return "\n".join([f"{title} has {count}:", *rows])


def _problems(model: type[BaseModel], detail: ErrorDetails) -> list[tuple[Place, str]]:
    """Return the texts of one of pydantic's errors; a validator's list of problems one by one."""
    place: Place = detail["loc"]
    if detail["type"] == "several":
        return [((*place, *below), text) for below, text in detail["ctx"]["problems"]]
    if detail["type"] == "extra_forbidden":
        owner = _owner(model, place)
        return [(place, f"no such key; {nearest(str(place[-1]), owner.model_fields)}")]
    field = _field(model, place)
    needed = field.description if field is not None and field.description else ""
    if detail["type"] == "missing":
        return [(place, f"missing; needed is {needed}")]
    words = detail["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    right = f"; needed is {needed}" if needed and detail["type"] != "value_error" else ""
    # TOML has no None: what is wrong is that a key is not there.
    found = "" if detail["input"] is None else f"found {_shown(detail['input'])}: "
    return [(place, f"{found}{words}{right}")]


def _shown(value: Any) -> str:
    """Return what was found as it stood in the file, shortened."""
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _spelled(place: Place) -> str:
    """Return ``('lsl', 0, 'clock')`` as ``lsl[1].clock``: people count from one."""
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".")


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models named anywhere in a type, such as ``Outlet`` in ``tuple[Outlet, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in _models_in(part)]


def _owner(model: type[BaseModel], place: Place) -> type[BaseModel]:
    """Return the model whose key is the last part of ``place``."""
    for part in place[:-1]:
        field = model.model_fields.get(str(part))
        inside = _models_in(field.annotation) if field is not None else []
        model = inside[0] if inside else model
    return model


def _field(model: type[BaseModel], place: Place) -> FieldInfo | None:
    """Return the field that an error is about, or about whose items it is."""
    names = [part for part in place if isinstance(part, str)]
    while names:
        field = _owner(model, tuple(names)).model_fields.get(str(names[-1]))
        if field is not None:
            return field
        names.pop()
    return None


def _line(place: Place, lines: Mapping[Place, int]) -> int | None:
    """Return the line of a key, or of the nearest thing around it that has one."""
    while place:
        if place in lines:
            return lines[place]
        place = place[:-1]
    return None


def lines_of(text: str, content: dict[str, Any]) -> dict[Place, int]:
    """Return the line each key and table begins on; tomllib itself keeps no places.

    A line that merely looks like a key, inside an array or a long text, is told apart by what tomllib read.
    """
    lines: dict[Place, int] = {}
    rows: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if found := _ROW.match(line):
            *above, last = _parts(found[1])
            key = (*_inside(above, rows), last)
            rows[key] = rows.get(key, -1) + 1
            here, opens = (*key, rows[key]), True
        elif found := _TABLE.match(line):
            here, opens = _inside(_parts(found[1]), rows), True
        elif found := _VALUE.match(line):
            here, opens = (*table, *_parts(found[1])), False
        else:
            continue
        if _exists(content, here):
            lines.setdefault(here, number)
            table = here if opens else table
    return lines


def _inside(keys: Iterable[str | int], rows: dict[Place, int]) -> Place:
    """Return the place of a table whose header names arrays of tables: it belongs to the last row of each so far."""
    place: Place = ()
    for key in keys:
        place = (*place, key)
        if place in rows:
            place = (*place, rows[place])
    return place


def _parts(dotted: str) -> Place:
    """Return the keys of ``a."b.c".d``."""
    return tuple(key.strip("\"'") for key in re.findall(_KEY, dotted))


def _exists(content: Any, place: Place) -> bool:
    """Return whether the parsed file has anything at ``place``."""
    for part in place:
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
