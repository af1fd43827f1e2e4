"""The CRED-nf checklist: its form, its counts, and that it says only what is recorded."""

import json

import pytest
from report_parts import BLOCKS, REST_ONLY, demo, session

from neurofb.offline.report.crednf import DOMAINS, ITEMS, as_document, checklist
from neurofb.offline.report.facts import facts_of
from neurofb.recording.provenance import text_hash
from neurofb.recording.session_recording import open_session_recording

IDS = [
    *("1a", "1b"), *("2a", "2b", "2c", "2c", "2d", "2e"), *("3a", "3b", "3c", "3d", "3e"),
    *("4a", "4b", "4c", "4d", "4e"), *("5a", "5b", "5c"), *("6a", "6b"), "7a",
]  # fmt: skip


def document_of(folder):
    facts = facts_of(open_session_recording(folder))
    return facts, as_document(facts, checklist(facts))


@pytest.fixture(scope="module")
def demo_list():
    return document_of(demo())


@pytest.fixture(scope="module")
def trained_list():
    return document_of(session(BLOCKS, "verum_of_the_trial"))


def box(document, item, number=1):
    return next(each for each in document["boxes"] if (each["item"], each["box"]) == (item, number))


def test_items_boxes_and_domains():
    assert [item.id for item in ITEMS] == IDS
    assert len(set(IDS)) == 23
    assert [item.box for item in ITEMS if item.id == "2c"] == [1, 2]
    assert sorted({item.id[0] for item in ITEMS}) == sorted(DOMAINS) == list("1234567")


@pytest.mark.parametrize("protocol", [REST_ONLY, None])
def test_document_has_its_form(protocol):
    _, document = document_of(session(protocol) if protocol else demo())
    assert set(document) == {
        "format", "checklist", "source", "level", "session", "participant", "protocol", "protocol_sha256", "neurofb",
        "whole", "n_items", "n_boxes", "counts", "boxes",
    }  # fmt: skip
    assert (document["n_items"], document["n_boxes"], len(document["boxes"])) == (23, 24, 24)
    assert sum(document["counts"].values()) == 24
    for each in document["boxes"]:
        assert set(each) == {"item", "box", "domain", "words", "level", "state", "known", "author"}
        assert each["level"] is None
        assert each["state"] in ("filled", "partly", "author")
        assert all(isinstance(line, str) and line for line in each["known"])
        assert (each["author"] == "") == (each["state"] == "filled")
        assert each["state"] == "author" or each["known"], "a filled box says something"
    assert json.loads(json.dumps(document)) == document


def test_unknowable_boxes_are_left_to_the_author(demo_list, trained_list):
    for _, document in (demo_list, trained_list):
        for item in ("1b", "2e", "5c"):
            assert box(document, item)["state"] == "author"
        assert box(document, "2c", 2)["state"] == "author"


def test_checklist_values_equal_the_record(demo_list):
    facts, document = demo_list
    given = facts.recording.feedback
    n = len(given["level"])
    assert any(line.startswith(f"{n} values in recording.xdf") for line in box(document, "4d")["known"])
    assert box(document, "4d")["state"] == "filled"
    protocol_hash = text_hash((demo() / "protocol.toml").read_text())
    assert protocol_hash in box(document, "1a")["known"][0]
    feature = box(document, "4a")["known"]
    assert "frontal_midline_theta, trained up" in feature
    assert "channels: Fz" in feature
    assert any("150 ms filter delay" in line for line in feature)
    withheld = box(document, "3e")["known"][0]
    assert f"{n} feedback values, {1 - given['usable'].mean():.1%} withheld" in withheld
    assert "movement: Fz" in withheld
    assert any("neurofb 0." in line and "numpy" in line for line in box(document, "4e")["known"])
    assert "the participant and the devices were simulated" in box(document, "4e")["known"]
    assert any("success 0." in line and "intensity, hot" in line for line in box(document, "6b")["known"])


def test_instructions_are_quoted_word_for_word(demo_list):
    _, document = demo_list
    known = box(document, "3b")
    assert known["state"] == "filled"
    assert any("“Rest with open eyes and look at the dot.”" in line for line in known["known"])


def test_session_with_blocks_fills_more(trained_list):
    facts, document = trained_list
    success = box(document, "5a")
    assert success["state"] == "filled"
    assert f"block 1 (rest): success index {facts.blocks[0].success:.4f}" in success["known"][0]
    assert any(line.startswith("slope over 3 blocks (rest)") for line in success["known"])
    lines = box(document, "5b")["known"]
    assert any("rest before (rest before) and after (rest after)" in line for line in lines)
    assert box(document, "3a")["state"] == "partly"  # effort was asked
    assert box(document, "3c")["state"] in ("filled", "partly")  # strategy was asked
    assert box(document, "2a")["known"] == ["2 arms in the protocol; feedback: real"]


def test_session_without_feedback_claims_none():
    _, document = document_of(session(REST_ONLY))
    for item in ("3e", "4a", "4b", "4c", "4d", "5a", "5b", "6a", "6b"):
        assert (box(document, item)["state"], box(document, item)["known"]) == ("author", [])
