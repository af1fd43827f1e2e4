"""The commands of blinding, as a statistician and a site use them."""

import os
import subprocess
import sys

import pytest
from blinding_parts import SITES, study_text
from command_line import invoke
from protocol_parts import text_with

from neurofb.blinding.envelope_folder import open_list
from neurofb.blinding.keys import read_private_key
from neurofb.cli import commands
from neurofb.errors import NeurofbError
from neurofb.recording.provenance import text_hash

ARMS = (
    '\n[[arms]]\nid = "trained"\nlabel = "A"\n\n[[arms]]\nid = "other"\nlabel = "B"\nfeedback = "none"\n'
    '\n[blinding]\nmasked = ["participant", "operator"]\n'
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with keys, a protocol and a study."""
    folder = tmp_path_factory.mktemp("study")
    shown = invoke(commands, "keys", "statistician", "emergency", "engine", "--out", folder)
    assert shown.output.count("stays with the statistician") == 1
    assert "AGE-SECRET" not in shown.output
    (folder / "p.toml").write_text(text_with(more=ARMS))
    sha256 = text_hash(text_with(more=ARMS))
    (folder / "study.toml").write_text(study_text('method = "simple"\nslots = 3', sha256=sha256))
    (folder / "people.toml").write_text(study_text('method = "minimise"', SITES, sha256=sha256))
    return folder


def allocated(place, *words, study="study.toml"):
    keys = [w for n in ("emergency", "engine") for w in (f"--{n}", place / f"{n}.pub")]
    return invoke(commands, "allocate", place / study, "--key", place / "statistician.pub", *keys, *words)


def test_allocation_is_made_and_verified_without_an_arm_printed(place, tmp_path):
    shown = allocated(place, "--out", tmp_path / "out")
    assert shown.output.startswith("3 envelopes in ")
    words = (
        "allocate",
        place / "study.toml",
        "--out",
        tmp_path / "out",
        "--identity",
        place / "statistician.key",
    )
    again = invoke(commands, *words, "--verify")
    assert again.output.startswith("3 envelopes are those of the list")
    assert allocated(
        place, "--out", tmp_path / "out", "--identity", place / "statistician.key"
    ).output.startswith("3 ")
    for text in (shown.output, again.output):
        assert "trained" not in text
    _, slots = open_list(tmp_path / "out", read_private_key(place / "statistician.key"))
    assert {slot.arm for slot in slots} <= {"trained", "other"}
    assert len(slots) == 6


def test_people_are_minimised_from_a_csv_file(place, tmp_path):
    people = tmp_path / "people.csv"
    people.write_text("participant,site,sex\nP01,A,f\nP02,B,m\n")
    shown = allocated(place, "--out", tmp_path / "out", "--people", people, study="people.toml")
    assert shown.output.startswith("2 envelopes")
    for rows, words in (
        ("participant,site,sex\nAnna Muster,A,f\n", r"people.csv, line 2: .*'Anna Muster'"),
        ("participant,site,sex\nP03,C,f\n", r"line 2: 'site' has no level 'C'"),
        ("participant,site\nP03,A\n", r"line 2: the level of 'sex' is missing"),
        ("", "needed: a line participant,site,sex"),
    ):
        people.write_text(rows)
        with pytest.raises(NeurofbError, match=words):
            allocated(place, "--out", tmp_path / "x", "--people", people, study="people.toml")


def test_wrong_allocations_are_refused_before_anything_is_written(place, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(NeurofbError, match="--emergency and --engine missing; envelopes are sealed for"):
        invoke(commands, "allocate", place / "study.toml", "--key", place / "statistician.pub", "--out", out)
    with pytest.raises(NeurofbError, match="--verify opens the list"):
        allocated(place, "--out", out, "--verify")
    good = (place / "study.toml").read_text()
    wrong = place / "wrong.toml"
    for change, words in (
        (
            ("protocol_sha256", 'protocol_sha256 = "" #'),
            'if it is the right one: protocol_sha256 = "[0-9a-f]{64}"',
        ),
        (('id = "other"', 'id = "third"'), "no arm 'third' in this protocol"),
        (
            ('["participant", "operator"]', '["operator"]'),
            "masks operator, and p.toml masks participant, operator",
        ),
        (("p.toml", "q.toml"), "q.toml"),
    ):
        text = good.replace(*change)
        if change[0] == "protocol_sha256":
            text = good.replace(good.split('protocol_sha256 = "')[1][:64], "")
        wrong.write_text(text)
        with pytest.raises(NeurofbError, match=words):
            allocated(place, "--out", out, study="wrong.toml")
    assert not out.exists()


@pytest.mark.skipif(os.name != "posix", reason="keys are files with modes")
def test_every_command_takes_the_engine_key_out_of_its_environment(place):
    secret = (place / "engine.key").read_text().split()[-1]
    code = (
        "import os, sys; from neurofb import cli; sys.argv[1:] = ['--version']\n"
        "try: cli.main()\nexcept SystemExit: pass\nprint(dict(os.environ))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "NEUROFB_ENGINE_KEY": secret}, capture_output=True
    )
    assert shown.stdout.startswith(b"neurofb")
    assert b"PATH" in shown.stdout
    assert secret.encode() not in shown.stdout + shown.stderr
