"""The page: Jinja2 templates of this package, which escape every text.

In: contexts, plain dicts and dataclasses. Out: the HTML; nothing in it is fetched from anywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from neurofb.format import clean, clock, number, percent

#: A page of ours begins with this, after its doctype: only such a file is ever replaced.
MARK = "<!-- neurofb session report -->"


def has_mark(path: Path, mark: str) -> bool:
    """Return whether a file begins as one of ours does; False if it cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return mark in file.read(400)
    except (OSError, ValueError):
        return False


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{1000 * seconds:.1f}"


def _cleaned(value: Any) -> Any:
    """Return words as the page may show them; what is markup of ours stays as it is."""
    return clean(value, lines=True) if type(value) is str else value


@functools.cache
def environment() -> Environment:
    """Return the templates; a name that a context lacks is an error."""
    found = Environment(
        loader=PackageLoader("neurofb.offline.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_cleaned,
    )
    found.filters.update(
        number=number, percent=percent, clock=functools.partial(clock, hours=True), ms=milliseconds
    )
    found.tests["finite"] = math.isfinite
    return found


def render(title: str, contexts: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the page.

    ``contexts`` holds what stands in each section's template by its name; None where there is nothing.
    """
    return environment().get_template("page.html").render(page_title=title, **contexts)
