"""A recording as a source: the same samples however they are cut, in time on any clock."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from neurofb.acquisition.playback import PlaybackSource, play, wait_for_listener
from neurofb.acquisition.readers.recording import Recording
from neurofb.acquisition.source import Source
from neurofb.chunk import Chunk
from neurofb.clock import ManualClock
from neurofb.errors import WrongInput
from neurofb.events import Event


def made_recording(n_samples: int = 1000, gap: tuple[int, int] | None = None) -> Recording:
    samples_uv = np.random.default_rng(5).normal(0.0, 20.0, (n_samples, 3))
    if gap:
        samples_uv[gap[0] : gap[0] + gap[1]] = np.nan
    return Recording.of_array(("C3", "Cz", "C4"), 250.0, samples_uv)


def pulled(source: Source, clock: ManualClock, steps_s: list[float]) -> tuple[list[Chunk], list[Event]]:
    """Pull without waiting after each step of the clock, until the steps are used up."""
    source.start()
    batches = [source.pull()]
    for step_s in steps_s:
        clock.advance(step_s)
        batches.append(source.pull())
    return [batch.chunk for batch in batches], [event for batch in batches for event in batch.events]


@pytest.mark.parametrize("chunk_samples", [1, 7, 12, 256, 5000])
@pytest.mark.parametrize("speed", [1.0, 2.5])
def test_playback_samples_do_not_depend_on_chunking(chunk_samples: int, speed: float) -> None:
    recording = made_recording(gap=(300, 17))
    clock = ManualClock(40.0)
    source = PlaybackSource(recording, clock, chunk_samples=chunk_samples, speed=speed)
    steps_s = np.random.default_rng(chunk_samples).exponential(0.03, 400).tolist()
    chunks, events = pulled(source, clock, steps_s)
    samples_uv = np.concatenate([chunk.samples for chunk in chunks])
    np.testing.assert_array_equal(samples_uv, recording.samples_uv)
    for before, after in pairwise(chunks):
        assert after.first_index == before.first_index + len(before)
    if chunk_samples < 1000:
        assert {len(chunk) % chunk_samples for chunk in chunks} <= {0, 1000 % chunk_samples}
    times_s = np.concatenate([chunk.times_s for chunk in chunks])
    np.testing.assert_array_equal(times_s, 40.0 + np.arange(1000) / 250.0)
    received_s = np.concatenate([chunk.received_s for chunk in chunks])
    assert np.flatnonzero(np.isnan(received_s)).tolist() == list(range(300, 317))
    assert source.finished
    assert source.state == "lost"
    assert [(e.kind, e.index) for e in events] == [("gap", 300), ("ended", 999)]
    assert source.rate_hz == 250.0


def test_playback_returns_nothing_before_due() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(), clock, chunk_samples=10)
    source.start()
    assert source.state == "waiting"
    assert len(source.pull().chunk) == 0
    clock.advance(9 / 250 - 1e-4)
    assert len(source.pull().chunk) == 0
    assert source.state == "waiting"
    clock.advance(1e-4)
    assert len(source.pull().chunk) == 10
    assert source.state == "flowing"


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
def test_playback_speed_changes_due_times_only(speed: float) -> None:
    clock = ManualClock(3.0)
    source = PlaybackSource(made_recording(), clock, chunk_samples=7, speed=speed)
    source.start()
    n = 0
    while not source.finished:
        n += len(source.pull(timeout_s=10.0).chunk)
    assert n == 1000
    assert clock.now_s() == pytest.approx(3.0 + 999 / 250 / speed)


def test_pull_waits_for_first_chunk_up_to_timeout() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(), clock, chunk_samples=10)
    source.start()
    assert len(source.pull(timeout_s=0.02).chunk) == 0
    assert clock.now_s() == 0.02
    assert len(source.pull(timeout_s=5.0).chunk) == 10
    assert clock.now_s() == pytest.approx(9 / 250)


def test_looped_playback_continues_index() -> None:
    recording = made_recording(100, gap=(90, 10))
    clock = ManualClock()
    source = PlaybackSource(recording, clock, chunk_samples=7, loop=True)
    chunks, events = pulled(source, clock, [0.05] * 40)
    samples_uv = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples_uv) == source.n_played == 7 * ((2 * 250 + 1) // 7)
    np.testing.assert_array_equal(samples_uv, np.tile(recording.samples_uv, (6, 1))[: len(samples_uv)])
    assert not source.finished
    assert source.state == "flowing"
    assert [e.index for e in events if e.kind == "looped"] == [100, 200, 300, 400]
    assert [e.index for e in events if e.kind == "gap"] == [90, 190, 290, 390, 490]
    assert events[0].details == {"missing_samples": 10, "missing_s": 0.04}
    assert events[0].time_s == 90 / 250


def test_missing_channel_is_no_gap() -> None:
    samples_uv = made_recording(10).samples_uv
    samples_uv[4, 1] = np.nan
    clock = ManualClock()
    source = PlaybackSource(Recording.of_array(("C3", "Cz", "C4"), 250.0, samples_uv), clock, chunk_samples=1)
    (_, chunk), events = pulled(source, clock, [1.0])
    assert np.isfinite(chunk.received_s).all()
    assert np.isnan(chunk.samples).sum() == 1
    assert [event.kind for event in events] == ["ended"]


def test_looped_playback_of_single_sample() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(1), clock, chunk_samples=1, loop=True)
    _, events = pulled(source, clock, [0.004, 0.004])
    assert [(e.kind, e.index) for e in events] == [("looped", 1), ("looped", 2)]


def test_looped_playback_pulled_at_once() -> None:
    recording = made_recording(100)
    clock = ManualClock()
    source = PlaybackSource(recording, clock, chunk_samples=1, loop=True)
    chunks, events = pulled(source, clock, [2.0])
    np.testing.assert_array_equal(chunks[1].samples, np.tile(recording.samples_uv, (6, 1))[1:501])
    assert [e.index for e in events] == [100, 200, 300, 400, 500]


def test_playback_restarts_and_pull_requires_start() -> None:
    clock = ManualClock()
    source = PlaybackSource(made_recording(10), clock, chunk_samples=1)
    with pytest.raises(WrongInput, match=r"between start\(\) and stop\(\); call start\(\) first"):
        source.pull()
    first = np.concatenate([chunk.samples for chunk in pulled(source, clock, [1.0])[0]])
    source.stop()
    source.stop()
    again = np.concatenate([chunk.samples for chunk in pulled(source, clock, [1.0])[0]])
    np.testing.assert_array_equal(first, again)


def test_changed_chunk_leaves_recording_unchanged() -> None:
    recording = made_recording(10)
    before = recording.samples_uv.copy()
    clock = ManualClock()
    source = PlaybackSource(recording, clock, chunk_samples=10)
    pulled(source, clock, [1.0])[0][1].samples[:] = 0.0
    np.testing.assert_array_equal(recording.samples_uv, before)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"chunk_samples": 0}, r"at least 1 sample, found chunk_samples = 0"),
        ({"speed": 0.0}, r"a speed is a number above 0, such as 1 or 2.5; found 0.0"),
        ({"speed": float("nan")}, r"a speed is a number above 0"),
        ({"speed": float("inf")}, r"a speed is a number above 0"),
    ],
)
def test_playback_refuses_wrong_settings(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(WrongInput, match=message):
        PlaybackSource(made_recording(), ManualClock(), **wrong)  # type: ignore[arg-type]


class Kept:
    """A sink that keeps what it was sent."""

    def __init__(self) -> None:
        self.samples: list[np.ndarray] = []
        self.stamps: list[np.ndarray] = []
        self.asked = 0

    def push(self, samples_uv: np.ndarray, stamps_s: np.ndarray) -> None:
        self.samples.append(samples_uv)
        self.stamps.append(stamps_s)

    def has_listeners(self) -> bool:
        self.asked += 1
        return self.asked > 3


def test_play_sends_present_samples_in_time() -> None:
    recording = made_recording(gap=(500, 100))
    clock, kept, shown = ManualClock(7.0), Kept(), list[int]()
    events: list[Event] = []
    play(PlaybackSource(recording, clock), kept, shown.append, events.append)
    there = np.r_[0:500, 600:1000]
    np.testing.assert_array_equal(np.concatenate(kept.samples), recording.samples_uv[there])
    np.testing.assert_array_equal(np.concatenate(kept.stamps), 7.0 + there / 250.0)
    assert [event.kind for event in events] == ["gap", "ended"]
    assert shown == sorted(shown)
    assert shown[-1] == 1000
    assert clock.now_s() == pytest.approx(7.0 + 999 / 250)


def test_wait_for_listener_polls_until_one_listens() -> None:
    clock, kept = ManualClock(), Kept()
    wait_for_listener(kept, clock)
    assert kept.asked == 4
    assert clock.now_s() == pytest.approx(0.15)


def test_play_stops_source_when_sink_fails() -> None:
    class Broken:
        def push(self, samples_uv: np.ndarray, stamps_s: np.ndarray) -> None:
            raise ConnectionError("gone")

        def has_listeners(self) -> bool:
            return True

    source = PlaybackSource(made_recording(), ManualClock())
    with pytest.raises(ConnectionError, match="gone"):
        play(source, Broken())
    with pytest.raises(WrongInput, match="call start"):
        source.pull()
