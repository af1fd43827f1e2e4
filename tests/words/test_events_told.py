"""Every kind of event that the program can write is told to a person, or listed as silent with a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import neurofb
from neurofb.commands.terminal import print_event
from neurofb.events import FREQUENT, SILENT, TOLD_EVERY_S, Event, Told, is_told
from neurofb.views.operator import event_lines
from neurofb.views.texts import Wording, languages

#: Kinds that are no literal where an event is made.
COMPOSED = {
    "heat_rule_lower",
    "heat_rule_end_block",
    "view_alive",
    "view_lost",
    "zeros",
    "repeat",
    "reordered",
    "converted",
    "loop",
    "withheld",
    "earning",
}
MAKERS = ("Event", "log", "log_block", "_log", "_event", "warn", "write")
KNOWN = (
    "unit",
    "foreign_clock",
    "reopened",
    "several",
    "gap",
    "clock_jump",
    "rate",
    "computer_slept",
    "sync_late",
)


def literals(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def kinds() -> set[str]:
    """Return the kinds of all events that are made anywhere in the program."""
    found = set(COMPOSED)
    for path in Path(str(neurofb.__file__)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if name in MAKERS:
                    found |= {word for word in literals(node.args[0]) if word.isidentifier()}
    return found


def test_each_kind_is_told_in_each_language_or_silent_with_a_reason() -> None:
    made = kinds()
    assert set(KNOWN) <= made
    assert set(SILENT) - {"state"} <= made
    for language in languages():
        titles = dict(Wording(language).table("event"))
        assert set(titles) == made - set(SILENT) | {"state"}, language
        assert all(titles.values())
    assert all(len(reason.split()) >= 4 for reason in SILENT.values())
    assert not set(KNOWN) & set(SILENT)


@pytest.mark.parametrize("kind", sorted(kinds() - set(SILENT)))
def test_kind_that_matters_is_told_at_the_terminal_and_to_the_operator(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    event = Event(kind, 12.0, "something\nhappened")
    print_event(event, 10.0)
    assert capsys.readouterr().out.split() == ["2.0", "s", kind, "something", "happened"]
    document = {"kind": kind, "time_s": 12.0, "message": event.message, "details": {}}
    (line,) = event_lines([document], 10.0, Wording("de"))
    assert line == f"0:02  {Wording('de').table('event')[kind]}: something happened"


def test_silent_kinds_take_no_line_of_the_operator() -> None:
    silent = [{"kind": kind, "time_s": 1.0, "message": "x", "details": {}} for kind in SILENT] * 50
    told = {"kind": "unit", "time_s": 1.0, "message": "volts", "details": {}}
    assert event_lines([told, *silent], 0.0) == ["0:01  volts"]
    assert not is_told("state", {"before": "preparing", "after": "running"})
    assert is_told("state", {"before": "running", "after": "paused"})


def test_frequent_events_are_told_with_their_number_and_others_each() -> None:
    told = Told()
    assert set(FREQUENT).isdisjoint(SILENT)
    heard = [told.words(Event("gap", 100.0 + 0.1 * i, f"gap {i}")) for i in range(50)]
    assert heard[0] == "gap 0"
    assert set(heard[1:]) == {None}
    assert told.words(Event("stale", 101.0, "overdue")) == "overdue"
    assert told.words(Event("gap", 100.0 + TOLD_EVERY_S, "later")) == "later (and 49 more since the last)"
    assert told.words(Event("gap", 300.0, "last")) == "last"
    assert [told.words(Event("unit", 1.0 + i, "u")) for i in range(3)] == ["u"] * 3
