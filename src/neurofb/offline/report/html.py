"""Pieces of the page: tables, figures, numbers as a person reads them. Every text from outside is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence

from neurofb.offline.report.style import CSS

NOTICE = (
    "Research software. Not a medical device. Not for diagnosis, treatment or relief of pain. Use it only in "
    "ethics-approved studies, by trained staff."
)
#: What a page of ours begins with, after its doctype: only such a file is ever replaced.
MARK = "<!-- neurofb session report -->"
DASH = "–"


class Raw(str):
    """HTML that is ours, and not to be escaped."""

    __slots__ = ()


def text(value: object) -> Raw:
    """Return a text as HTML."""
    return value if isinstance(value, Raw) else Raw(html.escape(str(value), quote=True))


def table(header: Sequence[str], rows: Iterable[Sequence[object]], numbers: Sequence[int] = ()) -> Raw:
    """Return a table; the columns ``numbers`` are set to the right."""
    css = dict.fromkeys(numbers, ' class="n"')
    head = "".join(f"<th{css.get(i, '')}>{text(name)}</th>" for i, name in enumerate(header))
    body = "".join(
        "<tr>" + "".join(f"<td{css.get(i, '')}>{text(cell)}</td>" for i, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    if not body:
        return Raw("")
    return Raw(f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def figure(svg: str, caption: str, css: str = "") -> Raw:
    """Return a figure with its caption."""
    of = f' class="{css}"' if css else ""
    return Raw(f"<figure{of}>{svg}<figcaption>{text(caption)}</figcaption></figure>")


def section(name: str, title: str, *parts: str) -> Raw:
    """Return a section of the page."""
    return Raw(f'<section id="{name}"><h2>{text(title)}</h2>{"".join(parts)}</section>')


def paragraph(words: str, css: str = "") -> Raw:
    """Return a paragraph."""
    of = f' class="{css}"' if css else ""
    return Raw(f"<p{of}>{text(words)}</p>")


def heading(words: str) -> Raw:
    """Return a heading within a section."""
    return Raw(f"<h3>{text(words)}</h3>")


def folded(title: str, *parts: str) -> Raw:
    """Return parts that are shown when asked for."""
    return Raw(f"<details><summary>{text(title)}</summary>{''.join(parts)}</details>")


def bar(share: float, css: str = "") -> Raw:
    """Return a share as a bar."""
    if not math.isfinite(share):
        return Raw("")
    return Raw(f'<span class="bar {css}"><i style="width:{100 * min(max(share, 0.0), 1.0):.1f}%"></i></span>')


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


def percent(share: float, digits: int = 0) -> str:
    """Return a share in percent, or a dash where there is none."""
    return f"{100 * share:.{digits}f} %" if math.isfinite(share) else DASH


def clock(seconds: float) -> str:
    """Return seconds as h:mm:ss or m:ss."""
    if not math.isfinite(seconds):
        return DASH
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def page(title: str, parts: Iterable[str]) -> str:
    """Return the whole page: nothing in it is fetched from anywhere."""
    return (
        f'<!doctype html>\n{MARK}\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        f"<title>{text(title)}</title><style>{CSS}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )
