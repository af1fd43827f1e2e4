"""The picture at the terminal: the operator's view, drawn by a process that nothing can end."""

import io
import json
import threading

from rich.console import Console
from stand_in import prompt, status, status_document

from neurofb.commands import terminal, terminal_view
from neurofb.events import Event


def drawn(typed="", **known):
    console = Console(width=110, file=io.StringIO())
    console.print(terminal_view.draw(status(**known), typed))
    return console.file.getvalue()


def test_picture_has_lines_of_the_operator_view():
    shown = drawn()
    for words in (
        "Mindfulness and heat · p01",
        "running   7:10 left",
        "4/6  training 2",
        "level 0.50   z +0.40   threshold +0.10",
        "32.1 °C, target 32.0 °C",
        "left forearm: 31 % of its budget",
        "Muse: flowing, 80000 samples, 0 missing",
        "TP9 AF7 AF8 TP10",
        "███████████████░░░░",
        "Esc or s: END THE SESSION   Space: stop this heat   p: pause",
    ):
        assert words in shown, words


def test_picture_shows_failing_recording():
    shown = drawn(recording={"ok": False, "why": "No space left on device"})
    assert "THE RECORDING FAILS: No space left on device" in shown


def test_picture_shows_open_question_and_typed_answer():
    shown = drawn("47", prompt=prompt(), state="paused", paused_by=["operator"], phase={"waits": True})
    assert "How intense was it?  47" in shown
    assert "c: continue" in shown
    assert "p: resume" in shown


def test_picture_shows_newest_events_and_a_stream_that_never_sends():
    console = Console(width=150, file=io.StringIO())
    stream = {"state": "silent", "received": 0, "hints": {"en": "press Start Streaming in BlueMuse"}}
    events = ("3 s  the values deviate by 2e+07 µV", "9 s  two\x1b[2J lines")
    console.print(terminal_view.draw(status(stream=stream), "", "", *events))
    shown = console.file.getvalue()
    assert "events  3 s  the values deviate by 2e+07 µV" in shown
    assert "9 s  two" in shown
    assert "\x1b" not in shown
    assert "Muse: connected, no sample in 5 s: press Start Streaming in BlueMuse" in shown


def test_picture_of_incomplete_status():
    nothing = {"heat": None, "phase": None, "step": None, "timeline": [], "left_s": None, "progress": None}
    assert "no stimulator" in drawn(**nothing, latency_ms=None, feedback={"on": False, "level": None})


def test_malformed_status_line_leaves_the_picture(monkeypatch):
    shown = []
    monkeypatch.setattr(
        terminal_view, "draw", lambda status, *words: shown.append((status.state, *words)) or ""
    )
    good = f"{json.dumps(['1', 'code'])}\t{json.dumps(status_document())}\n"
    terminal_view.main(io.StringIO(f"{{broken\n{good}\tnothing\n\n{json.dumps(['2', ''])}\t[]\n{good}"))
    assert shown == [("running", "1", "code"), ("running", "1", "code")]


def test_picture_shows_the_code_to_pair_with():
    console = Console(width=110, file=io.StringIO())
    console.print(terminal_view.draw(status(), "", "code 123 456, for 5 min"))
    shown = console.file.getvalue()
    assert "code 123 456, for 5 min" in shown
    assert "k: code" in shown


def test_picture_says_where_the_probe_is_to_be():
    shown = drawn(probe={"site": "left forearm, middle", "before": "right calf", "waits": False})
    assert "Move the probe to: left forearm, middle" in shown
    assert "It was at: right calf" in shown
    assert "y: the probe is there" in shown


def test_terminal_that_stands_still_holds_nothing_up(monkeypatch):
    """Ctrl-S, or a pager: the engine's thread waited for the terminal."""
    may_go_on, shown = threading.Event(), []

    def echo(text):
        may_go_on.wait(30.0)
        shown.append(text)

    monkeypatch.setattr(terminal.click, "echo", echo)
    lines = terminal.EventLines()
    for i in range(terminal.MOST_LINES + 20):  # more than wait: none of them blocks
        lines.print(Event("note", float(i), f"line {i}"), 0.0)
    assert shown == []
    may_go_on.set()
    lines.close()
    assert len(shown) in (terminal.MOST_LINES - 1, terminal.MOST_LINES, terminal.MOST_LINES + 1)
    assert shown[5].split() == ["5.0", "s", "note", "line", "5"]


def test_line_that_fails_does_not_silence_the_next(monkeypatch):
    shown = []

    def echo(text):
        if "µ" in text:
            raise UnicodeEncodeError("ascii", text, 0, 1, "no such letter")
        shown.append(text)

    monkeypatch.setattr(terminal.click, "echo", echo)
    lines = terminal.EventLines()
    for words in ("first", "5 µV", "last"):
        lines.print(Event("note", 1.0, words), 0.0)
    lines.close()
    assert [text.split()[-1] for text in shown] == ["first", "last"]
