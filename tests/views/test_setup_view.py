"""Before a session: streams that may be EEG, contact in words, and what is refused."""

from dataclasses import replace

import pytest
from pretended_source import PretendedSource, facts

from neurofb.devices import load_profile
from neurofb.lsl.senders import sender_of
from neurofb.views import setup
from neurofb.views.setup import (
    SETTLED_S,
    ContactCheck,
    Need,
    eeg_streams,
    fitting_device,
    protocol_needs,
    query_of,
)
from neurofb.views.texts import Wording

WORDING = Wording("en")
MUSE = load_profile("muse-2")


@pytest.fixture
def source():
    return PretendedSource()


@pytest.fixture
def check(source):
    check = ContactCheck(source, MUSE, WORDING)
    check.start()
    return check


def run(check, seconds):
    for _ in range(round(seconds * 4)):
        check.step()


def test_eeg_streams_come_first_and_our_own_are_left_out():
    seen = [
        facts("markers", value_format="string"),
        facts("slow", rate_hz=0.0),
        facts("other", type="signal"),
        facts("Muse"),
        facts("neurofb-eeg"),
    ]
    assert [each.name for each in eeg_streams(seen)] == ["Muse", "other"]


def test_fitting_device_and_query_of_a_stream():
    assert fitting_device(facts()) in ("muse-2", "muse-s", "muse-2016", "muse")
    assert fitting_device(facts("odd", ("a", "b"), 777.0)) is None
    query = query_of(facts(), MUSE)
    assert query.accepts(facts())
    assert query.name == "Muse"
    assert query.predicate == "source_id='id of Muse' and hostname='lab'"


def test_contact_check_passes_after_settled_contact(check):
    assert check.problems() == ["no samples come"]
    run(check, SETTLED_S - 0.5)
    assert check.problems()[0].startswith("contact has to be good for 3 s; so far 2.")
    run(check, 1.0)
    assert check.may_proceed
    assert check.advice() == []
    assert check.contacts()["AF7"] == ("ok", "good")


def test_bad_electrode_has_advice_and_place_without_a_good_one_is_refused(check, source):
    check.needs = [Need("frontal", ("AF7", "AF8"))]
    source.flat = {"AF7"}
    run(check, 5)
    assert check.advice() == ["AF7 flat: press the sensor above the left eyebrow"]
    assert check.may_proceed  # AF8 is enough
    source.flat = {"AF7", "AF8"}
    run(check, 2)
    assert check.problems() == ["AF7 is flat", "AF8 is flat"]
    source.flat = set()
    run(check, 2)
    assert not check.may_proceed  # from anew
    run(check, 3)
    assert check.may_proceed


def test_lost_stream_is_refused_with_words(check, source):
    run(check, 5)
    source.state, source.sends = "lost", False
    check.step()
    assert check.problems() == ["no samples come"]
    assert check.status().startswith("The stream is lost")


def test_device_that_the_protocol_cannot_use_is_refused_with_its_reason(monkeypatch, source):
    assert protocol_needs(None, MUSE, 256.0) == ([], [])
    monkeypatch.setattr(
        setup, "protocol_needs", lambda *given: ([], [f"{given[0]} needs Fz at {given[2]:g} Hz"])
    )
    check = ContactCheck(source, MUSE, WORDING, "mine")
    check.start()
    run(check, 5)
    assert check.problems() == ["mine needs Fz at 256 Hz"]


def test_protocol_needs_are_places_or_problems():
    from neurofb.protocol.bundled import protocol_names

    if not protocol_names():
        pytest.skip("no protocol comes with this version")
    for name in protocol_names():
        needs, problems = protocol_needs(name, MUSE, 256.0)
        assert bool(needs) != bool(problems), name


def test_stream_without_a_profile_is_checked_by_its_own_labels():
    source = PretendedSource(("Fz", "Cz"), 500.0)
    check = ContactCheck(source, None, WORDING)
    check.start()
    run(check, 20)
    assert check.may_proceed
    check.close()
    assert source.closed


@pytest.mark.parametrize("language", ["en", "de"])
def test_stream_that_never_sends_says_what_to_do_in_its_program(source, language):
    stream = replace(facts("Muse-1A2B (00:55) EEG"), source_id="BlueMuse.App")
    source.sender = sender_of(stream, MUSE)
    check = ContactCheck(source, MUSE, Wording(language))
    check.start()
    source.state = "silent"
    hint = MUSE.program("BlueMuse").start[language]
    words = Wording(language)("setup.silent", s="5", hint=hint)
    assert (check.status(), check.problems()) == (words, [words])
    assert not check.may_proceed
    source.sender = None
    unknown = ContactCheck(source, MUSE, Wording(language))
    unknown.start()
    source.state = "silent"
    assert Wording(language)("operator.stream_hint") in unknown.status()
