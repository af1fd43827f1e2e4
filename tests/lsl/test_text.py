"""Text streams over real LSL: documents with their stamps, bytes that are no text, and a sender that ends."""

from __future__ import annotations

import uuid

import pylsl
import pytest

from neurofb.errors import StreamLost
from neurofb.lsl.inlet import Resolver
from neurofb.lsl.text import TextInlet, TextOutlet

BOUND_S = 30.0


@pytest.fixture
def name() -> str:
    return f"neurofb-test-{uuid.uuid4().hex}"


def resolved(name: str) -> pylsl.StreamInfo:
    resolver, end_s = Resolver.by_name(name), pylsl.local_clock() + BOUND_S
    while not (found := resolver.results()):
        assert pylsl.local_clock() < end_s, "the stream is not found"
    return found[0]


def received(inlet: TextInlet, n: int) -> list[tuple[str, float]]:
    texts: list[tuple[str, float]] = []
    end_s = pylsl.local_clock() + BOUND_S
    while len(texts) < n:
        assert pylsl.local_clock() < end_s, f"only {texts} came"
        texts += inlet.pop(0.1)
    return texts


def test_text_inlet_returns_texts_in_order_with_stamps(name: str) -> None:
    outlet = TextOutlet(name, "Status", f"id-{name}", session="UID")
    handle = resolved(name)
    inlet = TextInlet(handle)
    assert inlet.pop() == []
    sent = [("{}", 5.0), ("zwei ü", 6.0), ("", 7.5)]
    for text, time_s in sent:
        outlet.push(text, time_s)
    assert received(inlet, 3) == sent
    assert outlet.has_listeners()
    inlet.close()
    outlet.close()
    outlet.push("nobody")
    assert not outlet.has_listeners()


def test_text_inlet_returns_at_most_as_many_as_asked(name: str) -> None:
    outlet = TextOutlet(name, "Status", f"id-{name}")
    inlet = TextInlet(resolved(name))
    for text in "abc":
        outlet.push(text)
    assert [text for text, _ in inlet.pop(BOUND_S, most=1)] == ["a"]
    assert [text for text, _ in received(inlet, 2)] == ["b", "c"]


def test_text_inlet_survives_undecodable_bytes(name: str) -> None:
    """One bad sender must not end the thread of a screen, nor make an engine deaf."""
    info = pylsl.StreamInfo(name, "Commands", 1, 0.0, "string", f"id-{name}")
    outlet = pylsl.StreamOutlet(info)
    inlet = TextInlet(resolved(name))
    outlet.push_sample([b"\xff\xfe"])
    outlet.push_sample(["stop"])
    assert [text for text, _ in received(inlet, 2)] == [r"no text, but bytes: b'\xff\xfe'", "stop"]


def test_text_inlet_is_lost_after_last_text_of_ended_sender(name: str) -> None:
    outlet = TextOutlet(name, "Status", f"id-{name}")
    inlet = TextInlet(resolved(name))
    outlet.push("last")
    assert [text for text, _ in received(inlet, 1)] == ["last"]
    outlet.close()
    with pytest.raises(StreamLost, match=f"the stream '{name}' is gone"):
        received(inlet, 1)


def test_text_inlet_opened_in_background_receives_later_texts(name: str) -> None:
    outlet = TextOutlet(name, "Commands", f"id-{name}")
    inlet = TextInlet(resolved(name), open_timeout_s=None)
    end_s = pylsl.local_clock() + BOUND_S
    while not outlet.has_listeners():
        assert inlet.pop() == []
        assert pylsl.local_clock() < end_s, "it never connects"
    outlet.push("now")
    assert [text for text, _ in received(inlet, 1)] == ["now"]


def test_resolver_finds_streams_of_one_session_only(name: str) -> None:
    uid = uuid.uuid4().hex
    ours = TextOutlet(name, "Status", f"neurofb-{uid}-status")
    other = TextOutlet(name, "Status", f"neurofb-{uid}x-status")
    everywhere, here = Resolver.by_source_id(f"neurofb-{uid}"), Resolver.by_source_id(f"neurofb-{uid}-")
    end_s = pylsl.local_clock() + BOUND_S
    while len(everywhere.results()) < 2 or not here.results():
        assert pylsl.local_clock() < end_s, "never found"
    assert [info.source_id() for info in here.results()] == [f"neurofb-{uid}-status"]
    assert not ours.has_listeners()
    assert not other.has_listeners()
