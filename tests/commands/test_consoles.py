"""Every command through a pipe in old code pages, numbers that are none, and files as editors on Windows save them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from protocol_parts import TEXT

from neurofb import cli
from neurofb.cli import NAMES
from neurofb.commands.options import Finite
from neurofb.protocol.design import parse_protocol

#: What is typed: every command with a help, and those that print what people measure (µV, °C, ≤).
TYPED = [
    *([name, "--help"] for name in NAMES),
    ["check", "breath-heat", "--device", "generic-10-20"],
    ["devices"],
    ["devices", "muse-2"],
    ["simulate", "muse-2", "--fault", "help"],
    ["check", "großer-µ-Test.toml"],
    ["report", "Sitzung-≤-2"],
]
#: Runs each as the command line does, in one process; the exit codes go to a file, beside what is printed.
RUNNER = """
import json, sys
from neurofb.cli import main
codes = []
for typed in json.loads(sys.argv[1]):
    sys.argv = ["neurofb", *typed]
    try:
        main()
        codes.append(0)
    except SystemExit as stop:
        codes.append(stop.code or 0)
open("codes.json", "w").write(json.dumps(codes))
"""


def printed(folder: Path, encoding: str, typed: list[list[str]]) -> tuple[bytes, list[int]]:
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps(typed)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=True,
    )
    return done.stdout, json.loads((folder / "codes.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def in_utf8(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[int]]:
    out, codes = printed(tmp_path_factory.mktemp("utf8"), "utf-8", TYPED)
    return out.decode("utf-8"), codes


@pytest.mark.parametrize("encoding", ["cp1252", "cp932", "cp437", "cp1251"])
def test_command_prints_same_lines_in_every_code_page(
    encoding: str, in_utf8: tuple[str, list[int]], tmp_path: Path
) -> None:
    text, codes = in_utf8
    assert any(letter in text for letter in "µ≤°")
    out, codes_here = printed(tmp_path, encoding, TYPED)
    assert codes_here == codes
    assert out == text.encode(encoding, "replace")
    assert b"Traceback" not in out


def test_session_prints_same_lines_in_a_code_page_without_micro(tmp_path: Path) -> None:
    """After the first µ all later lines of the session were lost."""
    (tmp_path / "small.toml").write_text(TEXT, "utf-8")
    session = [
        "run",
        "./small.toml",
        "--participant",
        "P01",
        "--simulate",
        "--fast",
        "--seed",
        "1",
        "--no-export",
    ]
    faulty = [[*session, "--fault", "flat@1+30:Fz"]]
    texts = {}
    for encoding in ("utf-8", "cp932"):
        folder = tmp_path / encoding
        folder.mkdir()
        (folder / "small.toml").write_text(TEXT, "utf-8")
        out, _ = printed(folder, encoding, faulty)
        texts[encoding] = [line for line in out.decode(encoding).splitlines() if " s  " in line]
    assert len(texts["utf-8"]) > 5
    shown = [line.encode("cp932", "replace").decode("cp932") for line in texts["utf-8"]]
    assert texts["cp932"] == shown


# -- numbers -----------------------------------------------------------------------------------------------------------


def all_options(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Parameter]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), name)
            assert inner is not None
            yield from all_options(inner, (*path, name))
    for parameter in command.params:
        yield " ".join((*path, *parameter.opts)), parameter


def test_every_number_on_the_command_line_is_checked_to_be_finite() -> None:
    numbers = {
        name: each.type
        for name, each in all_options(cli.commands)
        if isinstance(each.type, click.types.FloatParamType)
    }
    assert len(numbers) >= 6
    assert {name for name, kind in numbers.items() if not isinstance(kind, Finite)} == set()


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "NaN", "ten"])
def test_number_that_is_none_is_refused(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["neurofb", "streams", "--wait", text])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "--wait" in capsys.readouterr().err


# -- files as editors save them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_protocol_is_read_with_byte_order_mark_and_line_ends_of_windows(
    encoding: str, line_end: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(TEXT.replace("\n", line_end).encode(encoding))
    assert parse_protocol(path).problems == parse_protocol(_plain(tmp_path)).problems
    assert parse_protocol(path).protocol is not None


def _plain(folder: Path) -> Path:
    path = folder / "plain.toml"
    path.write_text(TEXT, "utf-8")
    return path


@pytest.mark.parametrize(
    "content, words",
    [
        (TEXT.encode("utf-16"), "UTF-16"),
        (TEXT.encode("utf-16-le"), "UTF-16"),
        (
            b'\n[study]\ntitle = "Sch\xe4fer"\n',
            "line 3 has a letter of Latin-1 or another code page (byte 0xE4",
        ),
    ],
)
def test_file_in_another_encoding_is_named(
    content: bytes,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "mine.toml").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["neurofb", "check", "./mine.toml"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    error = capsys.readouterr().err.strip()
    assert (stop.value.code, error.count("\n")) == (2, 0)
    assert words in error
    assert error.endswith("save it as UTF-8")
