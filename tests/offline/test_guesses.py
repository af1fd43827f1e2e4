"""Blinding guesses of recorded sessions: read from one whole session, counted, and as the command prints them."""

import json
import shutil
from dataclasses import replace

import pytest
from blinding_parts import made_keys, study_text
from command_line import invoke
from offline_parts import PROTOCOL, session

from neurofb.blinding.envelope_folder import allocate, append_log, bind, open_list
from neurofb.blinding.keys import read_private_key
from neurofb.blinding.study_file import read_study
from neurofb.cli import commands
from neurofb.errors import NeurofbError, WrongFile, WrongInput
from neurofb.offline.bids.sidecars import protocol_document
from neurofb.offline.bids.tables import rating_rows, ratings_document
from neurofb.offline.guesses import Guess, arms_of_envelopes, arms_of_list, count_guesses, read_guesses
from neurofb.offline.session import read_session
from neurofb.recording.session_recording import open_session_recording

CONDITIONS = {"real": "real feedback", "yoked": "a recording"}
GUESS = (
    '[[scales]]\nname = "guess"\nkind = "blinding_guess"\nwho = "operator"\nanswer_s = 2.0\n'
    'conditions = { real = "real feedback", yoked = "a recording" }\n\n'
)
REST = (
    PROTOCOL[: PROTOCOL.index("[heat]")]
    + PROTOCOL[PROTOCOL.index("[[scales]]") : PROTOCOL.index("[[phases]]")]
)
TEXT = (
    REST.replace("[[scales]]", f"{GUESS}[[scales]]", 1)
    + '[[phases]]\nname = "rest"\nkind = "rest_baseline"\neyes = "open"\nduration_s = 8.0\nratings = ["guess"]\n'
    '\n[[arms]]\nid = "real"\nlabel = "A"\n\n[[arms]]\nid = "yoked"\nlabel = "B"\nfeedback = "none"\n'
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A session that asked the operator for a guess, and the list of who had which arm."""
    folder = tmp_path_factory.mktemp("guess")
    (folder / "data").mkdir()
    ran = session(folder / "data", text=TEXT, arm="real", allocation=folder / "list.jsonl")
    assert ran.outcome.kind == "finished", ran.outcome.message
    return ran.folder, folder / "list.jsonl"


def guess(participant, arm, answered=True, **keys):
    usual = Guess(participant, "1", "end", "g", "participant", CONDITIONS, answered, arm, 50.0, "")
    return replace(usual, **keys)


def test_a_guess_of_a_session_is_read_and_exported_and_tells_no_arm(recorded):
    folder, _ = recorded
    (found,) = read_guesses(open_session_recording(folder))
    answers = {each["scale"]: each["value"] for each in open_session_recording(folder).ratings}
    assert list(answers) == ["guess_condition", "guess_certainty", "guess_why"]
    assert (found.who, found.phase, dict(found.conditions)) == ("operator", "rest", CONDITIONS)
    assert CONDITIONS.get(found.arm, "I do not know") == answers["guess_condition"] or not found.is_answered
    assert (found.certainty, found.why) == (answers["guess_certainty"], answers["guess_why"] or "")
    opened = read_session(folder)
    assert {"guess_condition", "guess_certainty", "guess_why"} <= set(
        ratings_document(opened)["scale"]["Levels"]
    )
    assert len(rating_rows(opened)) == 3
    assert "yoked" not in (folder / "session.json").read_text()
    document, _ = protocol_document((folder / "protocol.toml").read_text())
    assert "yoked" not in json.dumps(document)


def test_command_counts_without_arms_and_gives_indices_with_them(recorded):
    folder, listed = recorded
    data = folder.parents[2]
    shown = invoke(commands, "blinding", data).output
    assert "operator, session 1, phase rest (guess): 1 answered" in shown
    assert "arms are not known, so guesses are only counted" in shown
    assert "Bang" not in shown
    shown = invoke(commands, "blinding", data, "--allocation", listed).output
    assert "Bang, arm real:" in shown
    assert "James: " in shown
    assert " to " not in shown  # one answer has no interval
    document = json.loads(invoke(commands, "blinding", data, "--allocation", listed, "--json").output)
    (table,) = document["tables"]
    assert document["arms_known"]
    assert sum(table["guessed_by_arm"]["real"].values()) == table["bang"]["real"]["n"] == 1
    assert table["bang"]["yoked"]["value"] is None
    with pytest.raises(NeurofbError, match="--envelope DIR and --key FILE belong together"):
        invoke(commands, "blinding", data, "--key", listed)
    with pytest.raises(NeurofbError, match="give one of both"):
        invoke(commands, "blinding", data, "--key", listed, "--allocation", listed)


def test_answer_that_the_protocol_beside_it_does_not_have_is_refused(recorded, tmp_path):
    folder = shutil.copytree(recorded[0], tmp_path / "copy")
    path, text = folder / "protocol.toml", (folder / "protocol.toml").read_text()
    for was, now in (("real feedback", "x"), ("a recording", "y"), ('who = "', 'language = "de"\nwho = "')):
        text = text.replace(was, now, 1)
    path.write_text(text)
    with pytest.raises(WrongFile, match=r"has the answer .* to 'guess', .*was that file changed"):
        read_guesses(open_session_recording(folder))
    path.write_text(text.replace("conditions", "conditoins"))
    with pytest.raises(WrongFile, match="cannot be read by this version"):
        read_guesses(open_session_recording(folder))


def test_published_table_gives_the_published_indices():
    """The counts of Bang's example (R package BI 1.2.0): James .896, Bang .115 and .022."""
    found, arms = [], {}
    for row, numbers in zip(("real", "yoked", None), ((48, 22), (4, 30), (330, 319)), strict=True):
        for arm, number in zip(CONDITIONS, numbers, strict=True):
            for _ in range(number):
                code = f"P{len(found)}"
                arms[code] = arm
                found.append(guess(code, row))
    (table,) = count_guesses(found, arms)
    assert table.counts == {"real": (48, 4, 330), "yoked": (22, 30, 319)}
    assert table.indices.james.value == pytest.approx(0.896, abs=5e-4)
    assert [each.value for each in table.indices.bang] == pytest.approx([0.115, 0.022], abs=5e-4)


def test_last_answer_of_a_participant_counts_and_no_answer_is_no_guess():
    found = [
        guess("P01", "real"),
        guess("p01", "yoked"),
        guess("P01", None, answered=False, certainty=None),
        guess("P02", None, answered=False, certainty=None),
        guess("P03", None, certainty=90.0),
        guess("P04", "real", session="2"),
        guess("P04", "real", who="operator"),
    ]
    first, *others = count_guesses(found)
    assert (first.guessed, first.n_unanswered, first.certainty) == ((0, 1, 1), 1, 50.0)
    assert (first.counts, first.indices) == (None, None)
    assert [(each.who, each.session) for each in others] == [("participant", "2"), ("operator", "1")]
    (known, *_) = count_guesses(found, {"P-01": "yoked"})
    assert (known.counts, known.n_without_arm) == ({"real": (0, 0, 0), "yoked": (0, 1, 0)}, 1)
    (nobody, *_) = count_guesses(found, {})
    assert (nobody.indices, nobody.n_without_arm) == (None, 2)


def test_guesses_and_arms_of_different_studies_are_refused():
    with pytest.raises(WrongInput, match="P01 had arm 'book', and 'g' is about real, yoked"):
        count_guesses([guess("P01", "real")], {"P01": "book"})
    with pytest.raises(WrongInput, match="about real, yoked of P01 and about a, b of P02"):
        count_guesses([guess("P01", "real"), guess("P02", "a", conditions={"a": "1", "b": "2"})])


def test_arms_come_from_the_list_of_runs(tmp_path):
    path = tmp_path / "list.jsonl"
    with pytest.raises(NeurofbError, match="no .*list.jsonl; give the file"):
        arms_of_list(path)
    path.write_text('{"participant": "P01", "arm": "real"}\n\n{"participant": "P01", "arm": "real"}\n')
    assert arms_of_list(path) == {"P01": "real"}
    path.write_text('{"participant": "P01", "arm": "real"}\n{"participant": "P01", "arm": "yoked"}\n')
    with pytest.raises(WrongFile, match="line 2: P01 has two arms, real and yoked"):
        arms_of_list(path)
    path.write_text("P01,real\n")
    with pytest.raises(WrongFile, match="line 1: found 'P01,real'"):
        arms_of_list(path)


def test_arms_come_from_the_sealed_list_for_those_who_have_a_slot(recorded, tmp_path):
    text = study_text('method = "simple"\nslots = 2', arms=(("real", 1), ("yoked", 1)))
    (tmp_path / "study.toml").write_text(text)
    folder, key = tmp_path / "envelopes", tmp_path / "statistician.key"
    allocate(tmp_path / "study.toml", folder, made_keys(tmp_path))
    bound = bind(folder, read_study(folder / "study.toml")[0], "P01", "")
    _, slots = open_list(folder, read_private_key(key))
    arm = next(slot.arm for slot in slots if slot.slot == bound.slot)
    assert arms_of_envelopes(folder, read_private_key(key)) == {"P01": arm}
    data = recorded[0].parents[2]
    shown = invoke(commands, "blinding", data, "--envelope", folder, "--key", key, "--json").output
    (table,) = json.loads(shown)["tables"]
    assert [sum(table["guessed_by_arm"][each].values()) for each in (arm, *(CONDITIONS.keys() - {arm}))] == [
        1,
        0,
    ]
    with pytest.raises(WrongFile, match="sealed for other keys"):
        arms_of_envelopes(folder, read_private_key(tmp_path / "engine.key"))
    append_log(folder / "bound", lambda: {"participant": "P08", "slot": 9, "stratum": ""})
    with pytest.raises(WrongFile, match="binds P08 to slot 9, and its list has none such"):
        arms_of_envelopes(folder, read_private_key(key))
