"""The page: Jinja2 templates of this package, with numbers as a person reads them. Every text is escaped.

In: contexts, plain dicts and dataclasses. Out: the HTML; nothing in it is fetched from anywhere.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

NOTICE = (
    "Research software. Not a medical device. Not for diagnosis, treatment or relief of pain. Use it only in "
    "ethics-approved studies, by trained staff."
)
#: What a page of ours begins with, after its doctype: only such a file is ever replaced.
MARK = "<!-- neurofb session report -->"
DASH = "–"


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.{digits}f}{unit}"


def signed(value: float, digits: int = 2, unit: str = "") -> str:
    """Return a number with its sign, or a dash where there is none."""
    if not math.isfinite(value):
        return DASH
    return f"{round(value, digits) + 0.0:+.{digits}f}{unit}".replace("-", "−")  # + 0.0: never a negative zero


def percent(fraction: float, digits: int = 0) -> str:
    """Return a fraction in percent, or a dash where there is none."""
    return f"{100 * fraction:.{digits}f} %" if math.isfinite(fraction) else DASH


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss or m:ss."""
    if not math.isfinite(seconds):
        return DASH
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{1000 * seconds:.1f}"


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
    )
    found.filters.update(number=number, percent=percent, clock=clock, ms=milliseconds)
    found.tests["finite"] = math.isfinite
    return found


def render(title: str, contexts: Mapping[str, Mapping[str, Any] | None]) -> str:
    """Return the page.

    Parameters
    ----------
    title : str
    contexts : mapping
        Name of a section's template → what stands in it; None where there is nothing to say.
    """
    return environment().get_template("page.html").render(page_title=title, **contexts)
