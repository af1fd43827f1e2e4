"""Words that somebody else wrote: what a terminal, a screen, a report and a table show of them."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import status_document

from neurofb.cli import main
from neurofb.commands.tables import show_table
from neurofb.commands.terminal import print_event
from neurofb.errors import WrongInput
from neurofb.events import Event
from neurofb.format import LONGEST, clean
from neurofb.offline.bids.tables import write_tsv
from neurofb.offline.report.html import environment
from neurofb.status import SessionStatus

EVIL = {
    "colours": ("\x1b[31;1mred\x1b[0m", "red"),
    "clears the screen": ("\x1b[2J\x1b[Hgone", "gone"),
    "a title": ("\x1b]0;owned\x07Muse", "Muse"),
    "a link (OSC 8)": ("\x1b]8;;http://evil\x1b\\Muse\x1b]8;;\x1b\\", "Muse"),
    "eight-bit CSI": ("\x9b31mred", "red"),
    "bidi override": ("Muse\u202egpj.exe", "Musegpj.exe"),
    "bidi isolate": ("\u2066Muse\u2069", "Muse"),
    "zero width": ("Mu\u200bse\ufeff", "Muse"),
    "invisible letters": ("Mu\u3164se\u034f\u2800", "Muse"),
    "NUL": ("Mu\0se", "Mu se"),
    "lines and tabs": ("a\tb\r\nc\u2028d", "a b  c d"),
    "a lone surrogate": ("a\ud800b", "a�b"),
    "marks": ("a" + "\u0301" * 40, "a" + "\u0301" * 3),
    "plain words": ("Köln, µV – naïve 日本 ✓", "Köln, µV – naïve 日本 ✓"),
    "markup": ("<script>x</script> [bold]", "<script>x</script> [bold]"),
}


@pytest.mark.parametrize("given, shown", EVIL.values(), ids=EVIL)
def test_words_from_outside_lose_what_is_no_word(given, shown):
    assert clean(given) == shown
    assert clean(clean(given)) == shown


def test_long_words_are_cut_and_paragraphs_kept_where_they_are_wanted():
    assert clean("a" * 10 * LONGEST) == "a" * (LONGEST - 1) + "…"
    assert clean("a\nb", lines=True) == "a\nb"


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_cleaned_text_has_no_control_and_stays_as_it_is(text):
    shown = clean(text)
    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert clean(shown) == shown


NAME = "\x1b]0;owned\x07Mu\u202ese\t\n<b>"


def is_harmless(shown):
    return not set("\x1b\x07\u202e") & set(shown)


def test_terminal_shows_words_alone(capsys, monkeypatch):
    print_event(Event("note", 3.0, NAME), 0.0)
    show_table("streams", ("name",), [(NAME,)])
    shown = capsys.readouterr().out
    assert is_harmless(shown)
    assert shown.count("\n") == 3

    def fails(**_words):
        raise WrongInput(f"no stream {NAME}")

    monkeypatch.setattr("neurofb.cli.commands", fails)
    with pytest.raises(SystemExit):
        main()
    assert is_harmless(capsys.readouterr().err)


def test_status_of_a_screen_has_words_alone_and_choices_as_they_came():
    prompt = {
        "id": "p1", "scale": "s", "kind": "probe", "question": NAME, "low": "", "high": "",
        "choices": ["a\u200d", "b"], "due_s": 1.0,
    }  # fmt: skip
    document = status_document(
        "u", message=NAME, stream={"name": NAME}, prompt=prompt, warnings=[NAME],
        channels={NAME: {"state": "ok", "why": NAME, "out": False}},
    )  # fmt: skip
    status = SessionStatus.from_json(json.dumps(document))
    assert status.prompt.choices == ("a\u200d", "b")
    for shown in (
        status.message,
        status.stream.name,
        status.prompt.question,
        *status.warnings,
        *status.channels,
    ):
        assert is_harmless(shown)


def test_report_and_table_have_words_alone(tmp_path):
    page = environment().from_string("{{ name }}").render(name=NAME)
    assert is_harmless(page)
    assert "&lt;b&gt;" in page
    write_tsv(tmp_path / "events.tsv", ("a", "b"), [(NAME, 1)])
    text = (tmp_path / "events.tsv").read_text("utf-8")
    assert is_harmless(text)
    assert text == "a\tb\nMuse <b>\t1\n"
