"""A running session as a person at the terminal sees it: a process of its own that draws the operator's view.

In: on standard input, one a line, what is being typed and what was said about pairing, and a status document (see
``neurofb.status``). Out: one picture, drawn anew for each. Whatever happens here, the session goes on: it only writes
into a pipe, and never waits for it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from neurofb.errors import WrongInput
from neurofb.format import accept_every_letter, clean
from neurofb.status import FeedbackStatus, SessionStatus
from neurofb.views.contact_advice import Tone
from neurofb.views.operator import OperatorView, operator_view
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

_STYLES: Mapping[Tone, str] = {"good": "green", "attention": "yellow", "bad": "bold red", "plain": "none"}
_BAR = 30


def draw(status: SessionStatus, typed: str = "", said: str = "", *events: str) -> Panel:
    """Return the picture of a status, of the rating that is being typed, what was said about pairing, and events."""
    view = operator_view(Snapshot(0.0, status, 0.0, is_verified=True), Wording("en"), uid=status.session)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right", min_width=9)
    rows.add_column()
    for name, content in _rows(view, status, typed):
        rows.add_row(name, content)
    if said:
        rows.add_row("pairing", Text(clean(said), style="bold"))
    for i, each in enumerate(events):
        rows.add_row("" if i else "events", Text(clean(each)))
    keys = Text(_keys(view, status), style="dim")
    return Panel(Group(rows, Text(""), keys), title=Text(view.title), title_align="left")


def _rows(view: OperatorView, status: SessionStatus, typed: str) -> Iterator[tuple[str, RenderableType]]:
    if view.banner is not None:
        yield "", Text(view.banner.text, style=f"bold {_STYLES[view.banner.tone]}")
    if view.probe is not None:
        yield "probe", Text(f"{view.probe.headline} {view.probe.site}", style="bold yellow reverse")
        for words in view.probe.more:
            yield "", Text(words)
    yield "", ProgressBar(total=1.0, completed=min(1.0, status.progress or 0.0), width=_BAR * 2)
    for line in view.lines:
        yield line.name, Text(line.text, style=_STYLES[line.tone])
    if status.feedback.on:
        yield "level", _level_bar(status.feedback)
    yield "contact", Text(" ").join(Text(each.label, style=_STYLES[each.tone]) for each in view.contacts)
    for advice in view.advice:
        yield "", Text(advice)
    for bar in view.bars:
        yield "", Text(bar.text, style=_STYLES[bar.tone])
    if status.phase is not None:
        yield "eyes", Text(status.phase.eyes)
        yield "", Text(status.phase.text, style="italic")
    if status.prompt is not None:
        yield "rating", Text(f"{status.prompt.question}  {typed}▏", style="bold cyan")


def _level_bar(feedback: FeedbackStatus) -> Text:
    full = round(_BAR * min(1.0, max(0.0, 0.5 if feedback.level is None else feedback.level)))
    text = Text("█" * full, style="green" if feedback.usable else "dim")
    text.append("░" * (_BAR - full), style="dim")
    return text


def _keys(view: OperatorView, status: SessionStatus) -> str:
    keys = ["Esc or s: END THE SESSION"]
    if status.heat is not None:
        keys.append("Space: stop this heat")
    if view.probe is not None:
        keys.append("y: the probe is there")
    if status.heat is not None and status.heat.button:
        keys.append("h: now it hurts")
    if status.prompt is not None:
        keys.append("0–100 and Enter: rating")
    if "continue" in view.enabled:
        keys.append("c: continue")
    keys += [
        "p: resume" if view.is_paused else "p: pause",
        "m: mark",
        "w: open windows",
        "k: code",
        "q: end in order",
    ]
    return "   ".join(keys)


def main(lines: TextIO = sys.stdin) -> None:
    """Draw each status that comes until there are no more; a line that is none leaves the picture as it is."""
    console = Console()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for line in lines:
            words, _, document = line.partition("\t")
            with contextlib.suppress(WrongInput, ValueError):
                typed, said, *events = map(str, json.loads(words))
                live.update(draw(SessionStatus.from_json(document), typed, said, *events), refresh=True)


if __name__ == "__main__":
    accept_every_letter()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8")  # so it is written, whatever the terminal's code page
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
