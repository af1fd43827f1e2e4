"""Every block of commands and Python in README, CONTRIBUTING and docs does what it says, or says why it is not run.

A comment in front of a block says how it is tested:

    <!-- test: not run: REASON -->     not run here; commands of neurofb are still held against the command line
    <!-- test: as: COMMAND -->         this is run instead, a quicker form
    <!-- test: given -->               the demonstration, which was run once for all pages
    <!-- test: background -->          runs on while the rest of the page is tried
    <!-- test: interrupted -->         a session that is ended by Ctrl-C when it is under way
    <!-- test: file: NAME -->          the block is the content of this file
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pytest

from neurofb.cli import commands
from neurofb.devices import load_profile

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]
BLOCK = re.compile(r"(?:<!-- test: (?P<how>[^>]*?) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
#: Blocks that cannot be run here; more of them need a look whether each is worth it.
MOST_NOT_RUN = 26
DEMO = "neurofb demo --fast"
RUN = "neurofb-demo/sourcedata/neurofb/sub-demo_ses-1_task-demo_run-01"


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    kind: str
    how: str
    argument: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its commands, without what is said about them."""
        lines = (re.sub(r"\s+#.*$", "", line).strip() for line in self.text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    found = []
    for match in BLOCK.finditer(page.read_text("utf-8")):
        how, _, argument = (match["how"] or "").partition(": ")
        found.append(Block(match["kind"], how, argument, match["text"]))
    return found


@pytest.fixture(scope="session")
def recorded(tmp_path_factory) -> Path:
    """Give a folder with the session that pages speak of."""
    folder = tmp_path_factory.mktemp("docs")
    say(DEMO, folder)
    return folder


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONWARNINGS": "ignore", "COLUMNS": "200"}


def say(line: str, folder: Path, *, well: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        line,
        shell=True,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in well, f"{line}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def running(line: str, folder: Path) -> Iterator[None]:
    """Let a command run on; it has begun when it has said its first line."""
    with subprocess.Popen(
        shlex.split(line),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline(), f"{line}: ended without a word"
        try:
            yield
        finally:
            process.terminate()
            process.stdout.read()


def interrupted(line: str, folder: Path) -> None:
    """Begin a session and end it as a person does, with Ctrl-C."""
    with subprocess.Popen(
        shlex.split(line),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for told in process.stdout:
            said.append(told)
            if re.search(r"\d s\s+phase\s+rest", told):
                process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0 or "interrupted" in "".join(said), "".join(said)
    assert any("recorded in" in told for told in said), "".join(said)


def try_block(block: Block, folder: Path, opened: ExitStack) -> None:
    if block.how == "file":
        (folder / block.argument).write_text(block.text, "utf-8")
    elif block.how == "given":
        assert block.lines == [DEMO]
    elif block.how == "not run" or block.kind not in ("console", "python"):
        return
    elif block.kind == "python":
        script = folder / "block.py"
        script.write_text(block.text, "utf-8")
        say(f"{shlex.quote(sys.executable)} block.py", folder)
    else:
        for line in [block.argument] if block.how == "as" else block.lines:
            if block.how == "background":
                opened.enter_context(running(line, folder))
            elif block.how == "interrupted":
                interrupted(line, folder)
            else:
                # The doctor may find a computer without sound or windows; that is no fault of the page.
                say(line, folder, well=(0, 3) if line.startswith("neurofb doctor") else (0,))


def write_recording(path: Path, labels: Sequence[str], rate_hz: int, n_s: int) -> None:
    """Write EDF with an alpha rhythm under noise, as a stand-in for the recording that a page names."""
    n = len(labels)
    head = b"0".ljust(8) + b"X".ljust(80) + b"Y".ljust(80) + b"01.01.20" + b"00.00.00"
    head += f"{256 * (n + 1):<8}{'':<44}{n_s:<8}{1:<8}{n:<4}".encode()
    columns = [
        (16, list(labels)),
        *((width, [text] * n) for width, text in ((80, ""), (8, "uV"), (8, "-3276.8"))),
    ]
    columns += [(width, [text] * n) for width, text in ((8, "3276.7"), (8, "-32768"), (8, "32767"), (80, ""))]
    columns += [(8, [str(rate_hz)] * n), (32, [""] * n)]
    head += b"".join("".join(text.ljust(width) for text in texts).encode() for width, texts in columns)
    times_s = np.arange(rate_hz * n_s) / rate_hz
    random = np.random.default_rng(0)
    eeg = random.standard_normal((len(times_s), n)) * 6 + 8 * np.sin(2 * np.pi * 10 * times_s)[:, None]
    steps = np.round(eeg / 0.1).astype("<i2").reshape(n_s, rate_hz, n)
    path.write_bytes(head + steps.transpose(0, 2, 1).tobytes())


def prepare(page: Path, folder: Path, recorded: Path) -> None:
    """Lay out what a page takes as given."""
    text = page.read_text("utf-8")
    if RUN in text:
        shutil.copytree(recorded / "neurofb-demo", folder / "neurofb-demo")
    for name in re.findall(r"neurofb play (\S+\.edf)", text):
        labels = load_profile("generic-10-20").labels
        write_recording(folder / name, labels, 160, 20)


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_page_does_what_it_says(page, tmp_path, recorded):
    prepare(page, tmp_path, recorded)
    with ExitStack() as opened:
        for block in blocks(page):
            try_block(block, tmp_path, opened)


def neurofb_lines() -> Iterator[tuple[str, str]]:
    for page, name in zip(PAGES, IDS, strict=True):
        for block in blocks(page):
            if block.kind == "console":
                yield from ((name, line) for line in block.lines if line.startswith("neurofb "))


@pytest.mark.parametrize("name, line", sorted(set(neurofb_lines())))
def test_commands_that_pages_name_exist_with_their_options(name, line):
    words = shlex.split(line)[1:]
    command: click.Command = commands
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        command = command.get_command(click.Context(command), words.pop(0))
    if isinstance(command, click.Group):
        assert set(words) <= {"--version", "--help"}
        return
    known = {word for option in command.params for word in (*option.opts, *option.secondary_opts)}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}


def test_what_is_not_run_says_why_and_is_little():
    reasons = [
        (name, each)
        for page, name in zip(PAGES, IDS, strict=True)
        for each in blocks(page)
        if each.how == "not run"
    ]
    assert all(each.argument.strip() for _, each in reasons)
    assert len(reasons) <= MOST_NOT_RUN, [(name, each.argument) for name, each in reasons]
    assert {each.how for page in PAGES for each in blocks(page)} <= {
        "",
        "not run",
        "as",
        "background",
        "interrupted",
        "file",
        "given",
    }


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_each_test_that_a_page_names_is_there(page):
    named = set(re.findall(r"`(test_\w+)`", page.read_text("utf-8")))
    assert named <= names_of_tests(), sorted(named - names_of_tests())


@functools.cache
def names_of_tests() -> frozenset[str]:
    texts = (path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(name for text in texts for name in re.findall(r"^ *def (test_\w+)", text, re.M))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_block_hides_from_the_tests(page):
    text = page.read_text("utf-8")
    assert not re.search(r"^[ \t]+```", text, re.M), "an indented block is not found"
    assert text.count("\n```") == 2 * len(blocks(page))
    assert text.count("<!-- test:") == sum(bool(block.how) for block in blocks(page))


def test_make_can_make_what_pages_name():
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for page in PAGES:
        text = page.read_text("utf-8")
        assert set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", text, re.M)) <= {
            pair for name in made for pair in ((name, ""), ("", name))
        }, page.name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_between_pages_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    made = generated()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target) or target.startswith("#"):
            continue
        place = (page.parent / target.split("#")[0]).resolve()
        if place.is_relative_to(ROOT / "docs") and place.relative_to(ROOT / "docs").as_posix() in made:
            continue
        assert place.exists(), f"{page.name} points to {target}"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_pages_claim_nothing_and_keep_their_lines(page):
    text = page.read_text("utf-8")
    for line in text.splitlines():
        assert not re.search(r"\b(cures?|heals?|treats pain|relieves your|proven to)\b", line, re.I), line
    assert "TODO" not in text


# -- what the code writes ------------------------------------------------------------------------------------------


@functools.cache
def generated() -> dict[str, str]:
    return generator().pages()


def generator():
    spec = importlib.util.spec_from_file_location(
        "generate_reference", ROOT / "docs" / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_has_every_command_and_option():
    page = generated()["reference/cli.md"]
    for name, command in generator().walk(commands, "neurofb"):
        assert f"## {name}\n" in page
        assert all(
            f"{option.opts[0]}" in page for option in command.params if isinstance(option, click.Option)
        )


@pytest.mark.parametrize(
    "model, path", [("protocol", "reference/protocol.md"), ("device", "reference/device-profile.md")]
)
def test_reference_has_every_key_with_its_description(model, path):
    from neurofb.devices.profile import DeviceProfile
    from neurofb.protocol.design import Protocol

    schema = (Protocol if model == "protocol" else DeviceProfile).model_json_schema()
    page = generated()[path]
    for name, table in {"The file itself": schema, **schema["$defs"]}.items():
        assert f"## {name}\n" in page
        for key, field in table["properties"].items():
            assert f"| `{key}` |" in page
            if "description" not in field:
                assert key == "kind", f"{name}.{key} has no description"
                continue
            assert field["description"].replace("|", "\\|").split("<")[0] in page


def test_no_link_in_the_generated_pages_is_dead():
    for text in generated().values():
        headings = {
            line[3:].lower().replace(" ", "-") for line in text.splitlines() if line.startswith("## ")
        }
        assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_every_page_stands_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    there = {
        page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page.is_relative_to(ROOT / "docs")
    }
    assert set(re.findall(r": (\S+\.md)$", text, re.M)) == there | set(generated())


def test_docs_build_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    say(
        f"{shlex.quote(sys.executable)} -m mkdocs build --strict --quiet --site-dir {shlex.quote(str(tmp_path))}",
        ROOT,
    )
    assert (tmp_path / "reference" / "protocol.html").exists()
    assert "BandFilter" in (tmp_path / "reference" / "python.html").read_text("utf-8")


# -- completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_asks_neurofb_itself(shell, tmp_path):
    script = say(f"_NEUROFB_COMPLETE={shell}_source neurofb", tmp_path)
    assert f"_NEUROFB_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script, "utf-8")
        say(f"{shell} -n script", tmp_path)


def test_completion_offers_commands_and_options(tmp_path):
    offered = say('COMP_WORDS="neurofb si" COMP_CWORD=1 _NEUROFB_COMPLETE=bash_complete neurofb', tmp_path)
    assert offered.split() == ["plain,simulate"]
    offered = say(
        'COMP_WORDS="neurofb rerun --c" COMP_CWORD=2 _NEUROFB_COMPLETE=bash_complete neurofb', tmp_path
    )
    assert "--check" in offered
