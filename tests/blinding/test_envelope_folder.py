"""The folder of an allocation: what the lab can see of it, and who has which slot."""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys

import pytest
from blinding_parts import SITES, made_keys, study_text

from neurofb.blinding.allocation import Person
from neurofb.blinding.envelope_folder import (
    BOUND,
    LIST,
    SLOTS,
    STUDY,
    Recipients,
    add_slots,
    allocate,
    bind,
    bound_slot,
    open_list,
    open_slot,
    read_bindings,
    read_slots,
    verify,
)
from neurofb.blinding.envelopes import Sealed, write_envelope
from neurofb.blinding.keys import read_private_key
from neurofb.blinding.study_file import parse_levels, read_study, study_hash
from neurofb.errors import UnknownFile, WrongFile, WrongInput


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return folder, made_keys(folder)


@pytest.fixture(scope="module")
def sent(tmp_path_factory, keys):
    """The folder as the statistician sent it: 4 strata of 4 slots."""
    folder = tmp_path_factory.mktemp("sent")
    text = study_text('method = "blocks"\nblock_sizes = [4]\nslots = 4', SITES)
    (folder / "study.toml").write_text(text)
    allocate(folder / "study.toml", folder / "envelopes", keys[1])
    return folder / "envelopes"


@pytest.fixture
def folder(sent, tmp_path):
    """A copy to work with: hard links, since envelopes are only read."""
    copy = tmp_path / "envelopes"
    copy.mkdir()
    for path in sent.iterdir():
        if path.is_file():
            os.link(path, copy / path.name)
    return copy


STRATUM = "site=A/sex=f"


def test_folder_shows_no_arm_and_all_envelopes_look_alike(sent, keys):
    names = {path.name for path in sent.iterdir()}
    assert names == {STUDY, SLOTS, LIST, *(f"slot-{n:03d}.age" for n in range(1, 17))}
    assert len({(p.stat().st_size, p.stat().st_mtime) for p in sent.glob("*.age") if p.name != LIST}) == 1
    assert "trained" not in (sent / SLOTS).read_text()
    assert len({frozenset(each) for each in json.loads((sent / SLOTS).read_text())["slots"]}) == 1
    assert (sent / LIST).stat().st_size > 1 << 16
    for name in ("engine", "emergency"):
        with pytest.raises(WrongFile, match="sealed for other keys"):
            open_list(sent, read_private_key(keys[0] / f"{name}.key"))


def test_list_is_what_its_seed_gives_and_what_the_envelopes_hold(sent, folder, keys):
    statistician, engine = (read_private_key(keys[0] / f"{name}.key") for name in ("statistician", "engine"))
    assert verify(sent, statistician) == 16
    _, slots = open_list(sent, statistician)
    study, text = read_study(sent / STUDY)
    opened = [open_slot(sent, each, study_hash(text), engine) for each in read_slots(sent)]
    assert [each.arm for each in opened] == [slot.arm for slot in slots]
    assert {slot.stratum for slot in slots} == set(study.all_strata)
    (folder / STUDY).unlink()
    (folder / STUDY).write_text(text + "\n")
    with pytest.raises(WrongFile, match=r"study\.toml was changed since the allocation"):
        verify(folder, statistician)
    with pytest.raises(WrongFile, match="sealed for another study"):
        open_slot(folder, read_slots(folder)[0], study_hash(text + "\n"), engine)


def test_exchanged_envelopes_are_refused(sent, folder, keys, tmp_path):
    statistician = read_private_key(keys[0] / "statistician.key")
    _, text = read_study(sent / STUDY)
    (folder / "slot-002.age").unlink()
    to = [keys[1].statistician, keys[1].emergency, keys[1].engine]
    write_envelope(folder, Sealed(study_hash(text), 2, STRATUM, "trained"), to)
    with pytest.raises(WrongFile, match=r"not the envelope of .*slots\.json"):
        open_slot(folder, read_slots(folder)[1], study_hash(text), statistician)
    with pytest.raises(WrongInput, match="not empty, and no allocation is overwritten"):
        allocate(sent / STUDY, folder, keys[1])


def test_engine_key_must_not_be_the_statisticians(keys):
    one = keys[1].statistician
    with pytest.raises(WrongInput, match="three different keys"):
        Recipients(one, keys[1].emergency, one)


def test_a_participant_has_one_slot_and_a_slot_one_participant(folder):
    study, _ = read_study(folder / STUDY)
    given = [bind(folder, study, f"P{n}", STRATUM).slot for n in (1, 2, 1, 3)]
    assert given == [1, 2, 1, 3]
    assert bind(folder, study, "P9", "site=B/sex=f").slot == 9
    assert bound_slot(folder, "P7") is None
    with pytest.raises(WrongInput, match="'p1' is 'P1' spelt another way, who has a slot"):
        bind(folder, study, "p1", STRATUM)
    with pytest.raises(WrongInput, match="P1 has slot 1 of site=A/sex=f, not of site=B/sex=f"):
        bind(folder, study, "P1", "site=B/sex=f")
    bind(folder, study, "P4", STRATUM)
    with pytest.raises(WrongInput, match="all 4 slots of site=A/sex=f are taken; the statistician adds more"):
        bind(folder, study, "P5", STRATUM)


def test_strata_are_named_by_factor(folder):
    study, _ = read_study(folder / STUDY)
    assert study.stratum(parse_levels(["sex=f", "site=A"])) == STRATUM
    for words, refusal in (
        (["site=A"], "the level of 'sex' is missing; one of f, m"),
        (["site=C", "sex=f"], "'site' has no level 'C'"),
        (["hand=l"], "no factor 'hand'"),
        (["A"], "expected: a factor and its level"),
        (["site=A", "site=B"], "has 'site' twice"),
    ):
        with pytest.raises(WrongInput, match=refusal):
            study.stratum(parse_levels(words))


def test_slots_are_added_after_those_that_are_there(keys, tmp_path):
    (tmp_path / "s.toml").write_text(study_text('method = "minimise"', SITES))
    statistician = read_private_key(keys[0] / "statistician.key")
    people = [Person(f"P{n}", "site=A/sex=m") for n in range(4)]
    allocate(tmp_path / "s.toml", tmp_path / "out", keys[1], people[:3])
    assert add_slots(tmp_path / "out", keys[1], statistician, people[3:]) == 1
    assert verify(tmp_path / "out", statistician) == 4
    study, _ = read_study(tmp_path / "out" / STUDY)
    assert bind(tmp_path / "out", study, "P3", "site=A/sex=m").slot == 4
    with pytest.raises(WrongInput, match="P8 has no envelope: with minimisation the statistician makes it"):
        bind(tmp_path / "out", study, "P8", "site=A/sex=m")
    with pytest.raises(WrongInput, match="P0 is for site=A/sex=m, and asked was site=A/sex=f"):
        bind(tmp_path / "out", study, "P0", "site=A/sex=f")


def test_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(UnknownFile, match="give the folder that neurofb allocate made"):
        read_slots(tmp_path)
    (tmp_path / SLOTS).write_text("[1]")
    with pytest.raises(WrongFile, match="no list of slots"):
        read_slots(tmp_path)
    (tmp_path / BOUND).mkdir()
    (tmp_path / BOUND / "00001.json").write_text("")
    with pytest.raises(WrongFile, match="bring it back from the backup"):
        read_bindings(tmp_path)


def _bind_many(folder, first, start):
    study, _ = read_study(folder / STUDY)
    start.wait()
    for n in range(first, first + 4):
        with contextlib.suppress(WrongInput):
            bind(folder, study, f"P{n % 6}", STRATUM)


def test_programs_at_once_bind_nothing_twice(folder):
    """Three programs bind overlapping participants to the four slots at the same time."""
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    start = context.Event()
    programs = [context.Process(target=_bind_many, args=(folder, n, start)) for n in (0, 2, 4)]
    for each in programs:
        each.start()
    start.set()
    for each in programs:
        each.join()
    found = read_bindings(folder)
    assert sorted(binding.slot for binding in found) == [1, 2, 3, 4]
    assert len({binding.participant for binding in found}) == 4


#: Forks children that bind P1, each killed one line later than the one before, until one is not killed any more.
KILLED = """
import os, signal, sys
from pathlib import Path
from neurofb.blinding import envelope_folder
from neurofb.blinding.study_file import read_study

folder = Path(sys.argv[1])
study, _ = read_study(folder / envelope_folder.STUDY)
line = 0

def trace(frame, event, arg):
    global line
    if frame.f_code.co_filename != envelope_folder.__file__:
        return None
    line += event == "line"
    if line == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return trace

at, seen = 0, set()
while True:
    at += 1
    child = os.fork()
    if child == 0:
        sys.settrace(trace)
        envelope_folder.bind(folder, study, "P1", "site=A/sex=f")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    found = [(each.participant, each.slot) for each in envelope_folder.read_bindings(folder)]
    assert found in ([], [("P1", 1)]), found
    seen.add(bool(found))
    if not os.WIFSIGNALED(status):
        break
    if at % 3 and found:  # most begin with nothing bound, some with what was left behind
        (folder / envelope_folder.BOUND / "00001.json").unlink()
print(at, sorted(seen))
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_kill_9_while_binding_leaves_one_slot_bound_once(folder):
    """A program is killed before each line of the binding in turn: the entry is there whole, or not at all."""
    shown = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder)], capture_output=True, text=True, check=True
    )
    n_moments, seen = shown.stdout.split(" ", 1)
    assert int(n_moments) > 25
    assert seen.strip() == "[False, True]"
    study, _ = read_study(folder / STUDY)
    assert bind(folder, study, "P1", STRATUM).slot == 1
    assert bind(folder, study, "P2", STRATUM).slot == 2
