"""A running session as a person at the terminal sees it: a process of its own that draws what it is told.

In: status documents (see ``neurofb.messages``), one a line, on standard input. Out: one picture, drawn anew for each.
Whatever happens here, the session goes on: it only writes into a pipe, and never waits for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_STATE_STYLES = {
    "running": "bold green",
    "paused": "bold yellow",
    "aborted": "bold red",
    "stopping": "bold red",
}
_BAR = 30


def draw(status: Mapping[str, Any]) -> Panel:
    """Return the picture of a status."""
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", justify="right", min_width=9)
    rows.add_column()
    for name, content in _rows(status):
        rows.add_row(name, content)
    title = f"{status['title']} · {status['participant']}"
    keys = _keys(status)
    return Panel(Group(rows, Text(""), Text(keys, style="dim")), title=Text(title), title_align="left")


def _rows(status: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    state = Text(status["state"], style=_STATE_STYLES.get(status["state"], "bold"))
    if status["left_s"] is not None:
        state.append(f"   {_clock(status['left_s'])} left", style="none")
    yield "session", state
    yield "", _progress(status["progress"] or 0.0)
    phase, step = status["phase"], status["step"]
    if phase:
        yield "phase", Text(f"{phase['index'] + 1}/{phase['n']}  {phase['name']}  (eyes {phase['eyes']})")
        if phase["text"]:
            yield "", Text(phase["text"], style="italic")
    if step and step["kind"] not in ("phase", "rest"):
        trial = f"  trial {step['trial']}/{step['n_trials']}" if step["n_trials"] else ""
        yield "now", Text(f"{step['kind']}{trial}")
    if status["prompt"]:
        yield "rating", Text(f"{status['prompt']['question']}  {status.get('typed', '')}▏", style="bold cyan")
    yield "feedback", _feedback(status["feedback"])
    if status["heat"]:
        yield "heat", _heat(status["heat"])
    yield "contact", _contact(status["channels"])
    yield "stream", _stream(status)
    if status["message"]:
        yield "", Text(status["message"], style="yellow")


def _feedback(feedback: Mapping[str, Any]) -> Text:
    if not feedback["on"]:
        return Text("none in this phase", style="dim")
    level = feedback["level"] if feedback["level"] is not None else 0.5
    full = round(_BAR * level)
    text = Text("█" * full, style="green" if feedback["usable"] else "dim")
    text.append("░" * (_BAR - full), style="dim")
    if feedback["usable"]:
        text.append(f"  {level:.2f}  z {feedback['z']:+.2f}  threshold {feedback['threshold']:+.2f}")
        text.append("  ●" if feedback["reward"] else "  ○", style="green")
    else:
        text.append(f"  none now: {feedback['why']}", style="yellow")
    return text


def _heat(heat: Mapping[str, Any]) -> Text:
    hot = heat["state"] not in ("baseline", "armed", "off")
    text = Text(f"{heat['measured_c']:.1f} °C", style="bold red" if hot else "none")
    text.append(f"  (target {heat['target_c']:.1f} °C, {heat['state']})", style="dim")
    for site, used in heat["used"].items():
        text.append(f"  {site} {used / heat['limit']:.0%} of its budget", style="dim")
    return text


def _contact(channels: Mapping[str, Mapping[str, Any]]) -> Text:
    text = Text()
    for label, channel in channels.items():
        good = channel["state"] == "ok" and not channel["out"]
        text.append(f"{label} ", style="green" if good else "bold red")
    bad = [f"{label}: {channel['state']}" for label, channel in channels.items() if channel["state"] != "ok"]
    if bad:
        text.append(" " + ", ".join(bad), style="red")
    return text


def _stream(status: Mapping[str, Any]) -> Text:
    stream, latency = status["stream"], status["latency_ms"]
    style = "none" if stream["state"] == "flowing" else "bold red"
    text = Text(f"{stream['name']} {stream['state']}", style=style)
    text.append(f"  {stream['received']} samples, {stream['missing']} missing", style="dim")
    if latency:
        text.append(
            f"  feedback {latency['median']:.1f} ms after the sample (99 %: {latency['p99']:.1f})",
            style="dim",
        )
    return text


def _progress(share: float) -> ProgressBar:
    return ProgressBar(total=1.0, completed=min(1.0, share), width=_BAR * 2)


def _keys(status: Mapping[str, Any]) -> str:
    keys = ["Esc or s: STOP", "p: resume" if status["state"] == "paused" else "p: pause", "m: mark", "q: end"]
    if status["phase"] and status["phase"]["waits"]:
        keys.insert(1, "c: continue")
    if status["prompt"]:
        keys.insert(1, "0–100 and Enter: rating")
    return "   ".join(keys)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def main(lines: TextIO = sys.stdin) -> None:
    """Draw each status that comes until there are no more."""
    console = Console()
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for line in lines:
            live.update(draw(json.loads(line)), refresh=True)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(0)
