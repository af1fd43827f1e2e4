"""Texts of the front ends by key, in a language, from ``views/languages/*.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from neurofb.errors import UnknownName, nearest

_FOLDER = files("neurofb.views.languages")


def languages() -> tuple[str, ...]:
    """Return the languages that exist, as ``("de", "en")``."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


class Wording:
    """The texts of one language.

    Of a longer language, ``de_AT.UTF-8``, the beginning counts.

    Raises
    ------
    UnknownName
        If there is no such language; the message lists those that exist.
    """

    def __init__(self, language: str = "en") -> None:
        self.language = language.replace("-", "_").split("_")[0].split(".")[0].lower()
        if self.language not in languages():
            raise UnknownName(f"the screens do not speak {language!r}; {nearest(self.language, languages())}")
        text = (_FOLDER / f"{self.language}.toml").read_text("utf-8")
        self._texts: dict[str, dict[str, str]] = tomllib.loads(text)

    def keys(self) -> dict[str, str]:
        """Return every text by its key, ``table.name``."""
        return {f"{table}.{name}": text for table, row in self._texts.items() for name, text in row.items()}

    def table(self, name: str) -> Mapping[str, str]:
        """Return the texts of one table by their names in it."""
        return self._texts[name]

    def __call__(self, key: str, **words: Any) -> str:
        """Return a text with its words filled in."""
        table, name = key.split(".", 1)
        return self._texts[table][name].format(**words)

    def find(self, table: str, name: str) -> str:
        """Return the text for a word from elsewhere; "" where there is none."""
        return self._texts[table].get(name, "")

    def translate(self, table: str, name: str | None) -> str:
        """Return the text for a word from elsewhere; the word itself where there is no translation."""
        return self._texts[table].get(name or "none", (name or "").replace("_", " "))
