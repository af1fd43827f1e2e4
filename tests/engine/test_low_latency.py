"""Wake-up and cache warm-up before the sample that completes a hop, and that neither changes a result."""

from dataclasses import replace

import numpy as np
import pytest
from loop_parts import MONTAGE, RATE_HZ, THETA, bits, chunk, record

from neurofb.acquisition.arrival_timing import ExpectedArrival
from neurofb.acquisition.source import Batch
from neurofb.chunk import Chunk
from neurofb.clock import ManualClock
from neurofb.engine.low_latency import CacheWarmer, HopWaiter
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.features.presets import frontal_midline_theta
from neurofb.feedback.settings import BaselineSettings, FeedbackSettings
from neurofb.loop.loop import Loop
from neurofb.loop.settings import LoopSettings

SETTINGS = LoopSettings(
    (frontal_midline_theta(),),
    MONTAGE,
    RATE_HZ,
    FeedbackSettings(feature=THETA),
    BaselineSettings(least_s=10.0),
)
HOP = 8
EMPTY = Batch(Chunk.empty(0, len(MONTAGE.labels)))


@pytest.fixture(scope="module")
def eeg():
    return record(40, seed=3).samples


class Silent:
    """A session log that keeps what is logged."""

    def __init__(self):
        self.said = []

    def log(self, kind, message, *_, **details):
        self.said.append((kind, message))

    def write_feedback(self, samples):
        return list(samples)

    def write(self, batch, output):
        return list(output.samples)


def in_block(eeg, *, at_once=True):
    """A loop in a running block, with 7000 samples behind it."""
    recorded_loop = RecordedLoop(Loop(SETTINGS), Silent(), at_once=at_once)
    recorded_loop.do("collect", condition="rest")
    recorded_loop.push(Batch(chunk(eeg[:5000])), 20.0)
    recorded_loop.do("collected")
    recorded_loop.do("fit", until=5000)
    recorded_loop.push(Batch(chunk(eeg[5000:7000], 5000)), 28.0)
    recorded_loop.do("start_block", condition="rest")
    return recorded_loop


class DueSource:
    """Gives one sample when the clock has come to ``comes_s``; notes how it was asked."""

    def __init__(self, clock, comes_s, due):
        self._clock, self._comes_s, self.next_arrival = clock, comes_s, due
        self.asked_s = []

    def pull(self, timeout_s=0.0):
        self.asked_s.append(timeout_s)
        self._clock.wait_until(min(self._clock.now_s() + timeout_s, max(self._comes_s, self._clock.now_s())))
        came = self._clock.now_s() >= self._comes_s
        return Batch(chunk(np.zeros((1, len(MONTAGE.labels))))) if came else EMPTY


def ready(monkeypatch, recorded_loop, comes_s=1.004, due=None, until_s=9.0, n_to_hop=1):
    """Pull once at 1 s."""
    clock, warmed = ManualClock(1.0), []
    source = DueSource(clock, comes_s, due or ExpectedArrival(1.004, 0.0002, 1))
    monkeypatch.setattr(recorded_loop, "warm_caches", lambda: warmed.append(clock.now_s()))
    monkeypatch.setattr(Loop, "samples_to_hop", property(lambda self: n_to_hop))
    hop_waiter = HopWaiter(source, recorded_loop.loop, lambda: recorded_loop.warm_caches(), clock)
    return hop_waiter.pull(0.005, until_s), source, warmed, clock, hop_waiter


def test_caches_are_warm_when_sample_is_due(monkeypatch, eeg):
    got, source, warmed, clock, _ = ready(monkeypatch, in_block(eeg))
    assert len(got.chunk) == 1
    assert warmed == [pytest.approx(1.0038)]
    assert source.asked_s == [pytest.approx(0.0038), pytest.approx(0.0004)]
    assert clock.now_s() == pytest.approx(1.004)


def test_wait_for_missing_sample_ends_when_it_is_overdue(monkeypatch, eeg):
    got, _, warmed, clock, _ = ready(monkeypatch, in_block(eeg), comes_s=5.0)
    assert len(got.chunk) == 0
    assert len(warmed) == 1
    assert clock.now_s() == pytest.approx(1.0042)


def test_events_and_raw_samples_without_a_chunk_are_kept(monkeypatch, eeg):
    """Every pull hands over what there is: what comes before the sample must not be dropped with the empty batch."""
    recorded_loop, clock = in_block(eeg), ManualClock(1.0)
    source = DueSource(clock, 1.004, ExpectedArrival(1.004, 0.0002, 1))
    pull, n = source.pull, []

    def pull_with_more(timeout_s=0.0):
        n.append(len(n))
        return replace(pull(timeout_s), raw=[n[-1]], clock_offsets=[(n[-1], 0.0)], events=[f"event {n[-1]}"])

    source.pull = pull_with_more
    monkeypatch.setattr(Loop, "samples_to_hop", property(lambda self: 1))
    batch = HopWaiter(source, recorded_loop.loop, recorded_loop.warm_caches, clock).pull(0.005, 9.0)
    assert len(batch.chunk) == 1
    assert len(n) == 2
    assert list(batch.raw) == n
    assert list(batch.events) == [f"event {i}" for i in n]
    assert [time_s for time_s, _ in batch.clock_offsets] == n


def test_early_sample_is_returned_at_once(monkeypatch, eeg):
    got, _, warmed, clock, _ = ready(monkeypatch, in_block(eeg), comes_s=1.002)
    assert len(got.chunk) == 1
    assert not warmed
    assert clock.now_s() == pytest.approx(1.002)


@pytest.mark.parametrize(
    "how",
    [
        {"n_to_hop": 2},
        {"until_s": 1.0041},
        {"due": ExpectedArrival(1.02, 0.0002, 1)},
        {"due": ExpectedArrival(0.99, 0.0002, 1)},
    ],
    ids=["no hop ends", "something else is due", "too early", "overdue"],
)
def test_no_warm_up_unless_hop_ends_soon(monkeypatch, eeg, how):
    _, source, warmed, _, _ = ready(monkeypatch, in_block(eeg), **how)
    assert source.asked_s == [0.005]
    assert not warmed


def test_warm_up_is_skipped_without_time_for_it(monkeypatch, eeg):
    """A warm-up that outlasts the wait would hold up the very sample that it is for."""
    recorded_loop = in_block(eeg)
    _, source, warmed, clock, hop_waiter = ready(monkeypatch, recorded_loop)

    def pull_and_count(comes_in_s, warm_up_s=0.0):
        monkeypatch.setattr(
            recorded_loop, "warm_caches", lambda: (warmed.append(0), clock.advance(warm_up_s))
        )
        warmed.clear()
        source.next_arrival = ExpectedArrival(clock.now_s() + comes_in_s, 0.0002, 1)
        source._comes_s = clock.now_s() + comes_in_s
        assert len(hop_waiter.pull(0.005, 999.0).chunk) == 1
        return len(warmed)

    assert pull_and_count(0.004) == 1
    assert [pull_and_count(0.004, 0.02) for _ in range(20)].count(
        1
    ) < 12  # a slow computer: then no more of it
    assert pull_and_count(0.004) == 0
    assert sum(pull_and_count(0.004) for _ in range(60)) > 20  # but it is tried again
    for _ in range(30):
        pull_and_count(0.004, 0.0005)
    assert pull_and_count(0.0003, 0.0005) == 0  # too late for one of half a millisecond


def test_no_warm_up_outside_block(monkeypatch):
    recorded_loop = RecordedLoop(Loop(SETTINGS), Silent(), at_once=True)
    _, source, warmed, _, _ = ready(monkeypatch, recorded_loop)
    assert source.asked_s == [0.005]
    assert not warmed


# -- cache warm-up -----------------------------------------------------------------------------------------------


def test_warm_up_changes_no_bit(eeg):
    plain, warmed = in_block(eeg), in_block(eeg)
    cache_warmer = CacheWarmer(warmed.loop, "rest")
    outputs = []
    for recorded_loop in (plain, warmed):
        given, values = [], []
        for i in range(7000, 9000):
            if recorded_loop is warmed and recorded_loop.loop.samples_to_hop == 1:
                cache_warmer.process_hop()
            given += recorded_loop.push(Batch(chunk(eeg[i : i + 1], i)), i / RATE_HZ)
            values.append(recorded_loop.newest[THETA])
        outputs.append((bits(given), bits(values)))
    assert outputs[0] == outputs[1]
    assert len(outputs[0][0]) > 200


def test_cache_warmer_processes_previous_hop(eeg):
    """The warmer ends with the values that the loop had a hop ago."""
    recorded_loop = in_block(eeg)
    cache_warmer = CacheWarmer(recorded_loop.loop, "rest")
    played, loops = [], []
    for i in range(7000, 9000):
        if recorded_loop.loop.samples_to_hop == 1:
            cache_warmer.process_hop()
            played.append(cache_warmer._loop.feedback._last)
        recorded_loop.push(Batch(chunk(eeg[i : i + 1], i)), i / RATE_HZ)
        if i % HOP == HOP - 1:
            loops.append(recorded_loop.newest[THETA])
    assert len(played) == len(loops) == 2000 // HOP
    for one, other in zip(played[201:], loops[200:], strict=False):  # what was before the block has faded
        assert (one.usable, one.value) == (other.usable, pytest.approx(other.value, rel=1e-3))


def test_cache_warmer_exists_in_live_session_only(eeg):
    recorded_loop = in_block(eeg, at_once=False)
    assert recorded_loop._cache_warmer.result(timeout=60)._main is recorded_loop.loop
    recorded_loop.close()
    assert in_block(eeg)._cache_warmer is None


def test_failing_cache_warmer_is_switched_off(monkeypatch, eeg):
    recorded_loop = in_block(eeg, at_once=False)
    recorded_loop._cache_warmer.result(timeout=60)
    monkeypatch.setattr(CacheWarmer, "process_hop", lambda self: 1 / 0)
    recorded_loop.warm_caches()
    recorded_loop.warm_caches()
    told = [message for kind, message in recorded_loop._session_log.said if kind == "error"]
    assert told == ["the practice of a hop failed and is off now: ZeroDivisionError('division by zero')"]
    recorded_loop.close()


def test_session_continues_without_thread_for_cache_warmer(monkeypatch, eeg):
    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("concurrent.futures.ThreadPoolExecutor.submit", no_thread)
    recorded_loop = in_block(eeg, at_once=False)
    assert recorded_loop.loop.is_giving_feedback
    kinds = [kind for kind, _ in recorded_loop._session_log.said]
    assert kinds[-2:] == ["loop", "error"]  # the instruction is in the record, and what failed after it
    recorded_loop.warm_caches()
    recorded_loop.close()
