"""Sizes are weighed before they are believed: what claims too much is refused in 2 s, 300 MB and one message."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from neurofb import limits
from neurofb.config import toml_content
from neurofb.errors import WrongFile
from neurofb.protocol.design import MOST_TABLES, load_protocol

INPUTS = Path(__file__).parent / "weighed_inputs.py"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of a process are those of Linux")
def test_inputs_that_claim_too_much_are_refused_within_time_and_memory(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, INPUTS, tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) > 40
    wrong = {name: answer for name, answer in answers.items() if answer[0] != 2}
    assert not wrong
    # A protocol's problems stand one in a line; everything else is one line.
    assert not {
        name: text for name, (_, text) in answers.items() if text.count("\n") > limits.MOST_LISTED + 1
    }
    assert not {name: text for name, (_, text) in answers.items() if len(text) > 40_000}


def test_most_phases_are_still_read(tmp_path: Path) -> None:
    """The limit is above what is asked for: a protocol of as many phases as there may be is fine."""
    demo = load_protocol("demo")
    text = Path(tmp_path / "many.toml")
    from importlib.resources import files

    phases = "".join(
        f'\n[[phases]]\nname = "n{i}"\nkind = "instruction"\ntext = "x"\nduration_s = 1.0\n'
        for i in range(MOST_TABLES["phases"] - len(demo.phases))
    )
    text.write_text(files("neurofb.protocols").joinpath("demo.toml").read_text("utf-8") + phases, "utf-8")
    assert len(load_protocol(text).phases) == MOST_TABLES["phases"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("x = " + "[" * 5000, "nested too deep"),
        ("x = " + "9" * 5000, "a number with thousands of digits"),
        (".".join("a" * 60) + " = 1", "a key has 50 names at most"),
    ],
)
def test_toml_of_no_use_is_refused(text: str, words: str) -> None:
    with pytest.raises(WrongFile, match=words):
        toml_content(text, "a.toml")


def test_long_text_with_many_dots_is_no_key() -> None:
    assert toml_content('x = """\n' + "wait. " * 100 + '= 3\n"""', "a.toml")


def test_json_nested_too_deep_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="nested too deep"):
        limits.parse_json("[" * 200_000)


def test_too_large_a_file_names_its_size(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1" * 101)
    with pytest.raises(WrongFile, match="has 101 bytes; a file of its kind has 100 at most"):
        limits.read_text(tmp_path / "a.json", 100)
    assert limits.read_text(tmp_path / "a.json", 101) == "1" * 101
