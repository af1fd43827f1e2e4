"""The picture at the terminal: the operator's view, drawn by a process that nothing can end."""

import io
import json

from rich.console import Console
from stand_in import prompt, status, status_document

from neurofb.commands import terminal_view


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
    shown = drawn("47", prompt=prompt(), state="paused", phase={"waits": True})
    assert "How intense was it?  47" in shown
    assert "c: continue" in shown
    assert "p: resume" in shown


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
