"""The status document: what is read from it is what was written, and nothing else is read."""

import dataclasses
import json
import math
import re

import pytest
from stand_in import prompt, status, status_document

from neurofb.errors import WrongInput
from neurofb.status import SessionStatus

#: Added to the document after the first release of the stream; older engines do not send them.
LATER = {"why", "write_age_s", "sync_age_s", "queued_bytes", "free_bytes"}
LATER_FIELDS = {
    each.name for each in dataclasses.fields(SessionStatus) if each.default != dataclasses.MISSING
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"heat": None, "latency_ms": None, "phase": None, "step": None, "timeline": [], "left_s": None},
        {"prompt": prompt("probe"), "ended": {"outcome": "finished", "message": "the end"}},
        {"ratings": [{"scale": "words", "trial": None, "level": None, "value": "a tingle"}]},
        {"phase": {"summary": {"success": None, "rewarded": 3}, "sound": "breath.wav"}},
        {"feedback": {"level": None, "z": None}},
    ],
)
def test_document_is_read_and_written_without_a_change(changes):
    document = status_document(**changes)
    read = SessionStatus.from_json(json.dumps(document))
    written = json.loads(read.to_json())
    for key in LATER:
        written["recording"].pop(key)
    assert written["stream"].pop("hints") == {}
    for key in LATER_FIELDS:
        written.pop(key)
    assert written == document
    assert SessionStatus.from_json(read.to_json()) == read


def test_keys_of_a_newer_engine_are_passed_over():
    document = status_document() | {"mood": "calm"}
    document["feedback"]["colour"] = "blue"
    assert SessionStatus.from_json(json.dumps(document)) == status()


def test_values_that_are_not_finite_are_written_as_null():
    changed = dataclasses.replace(status(), progress=math.nan)
    assert json.loads(changed.to_json())["progress"] is None


def test_document_of_an_older_engine_lacks_later_fields():
    assert LATER_FIELDS == {"views", "unmet", "paused_by"}
    assert (status().views, status().unmet, status().paused_by) == ((), (), ())


@pytest.mark.parametrize(
    "key", [each.name for each in dataclasses.fields(SessionStatus) if each.name not in LATER_FIELDS]
)
def test_missing_key_is_refused_by_name(key):
    document = status_document()
    del document[key]
    with pytest.raises(WrongInput, match=rf"no status of a session: {key}: Field required"):
        SessionStatus.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "changes, key",
    [
        ({"feedback": {"level": "high"}}, "feedback.level"),
        ({"feedback": {"on": 1}}, "feedback.on"),
        ({"phase": {"index": 1.5}}, "phase.index"),
        ({"now_s": math.nan}, "now_s"),
        ({"channels": {"AF7": {"state": "ok"}}}, "channels.AF7.why"),
    ],
)
def test_value_of_another_type_is_refused_by_key(changes, key):
    with pytest.raises(WrongInput, match=re.escape(f"no status of a session: {key}: ")):
        SessionStatus.from_json(json.dumps(status_document(**changes)))


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "[" * 100_000, "{" * 2_000_000])
def test_text_that_is_no_document_is_refused(text):
    with pytest.raises(WrongInput):
        SessionStatus.from_json(text)


def test_session_is_over_by_its_state_or_its_end():
    assert not status().is_over
    assert status(state="aborted").is_over
    assert status(ended={"outcome": "stopped", "message": "stop"}).is_over
