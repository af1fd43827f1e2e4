"""The sample clock and the indexer: their times against the truth, and no sample uncounted."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurofb.acquisition.chunking import ChunkBuilder, PacketFormat
from neurofb.acquisition.sample_clock import SampleClock
from neurofb.acquisition.sample_indexing import SampleIndexer
from neurofb.errors import WrongInput

RATE_HZ = 256.0
PACKET = 12
JITTERS = {
    "none": lambda rng, n, size_s: np.zeros(n),
    "normal": lambda rng, n, size_s: rng.normal(0.0, size_s, n),
    "uniform": lambda rng, n, size_s: rng.uniform(-size_s, size_s, n),
    "late": lambda rng, n, size_s: rng.exponential(size_s, n),
    "late, half normal": lambda rng, n, size_s: np.abs(rng.normal(0.0, size_s, n)),
    "late, evenly": lambda rng, n, size_s: rng.uniform(0.0, size_s, n),
}


class Device:
    """A device that sends packets: when each sample was, what its stamp says, and which packets got through."""

    def __init__(
        self,
        duration_s: float,
        *,
        jitter: str = "none",
        size_s: float = 0.02,
        drift: float = 200e-6,
        packet: int = PACKET,
        together: int | None = None,
        loss: float = 0.0,
        away: tuple[tuple[float, float], ...] = (),
        seed: int = 0,
    ) -> None:
        rng = np.random.default_rng(seed)
        n_packets = int(duration_s * RATE_HZ) // packet
        self.n_sent = n_packets * packet
        self.true_s = 1000.0 + np.arange(self.n_sent) / RATE_HZ * (1.0 + drift)
        shared = together or packet
        delays_s = JITTERS[jitter](rng, -(-self.n_sent // shared), size_s)
        self.stamps_s = self.true_s + np.repeat(delays_s, shared)[: self.n_sent]
        kept = rng.random(n_packets) >= loss
        # A loss before the first or after the last packet that came is nobody's to know.
        kept[:5] = kept[-5:] = True
        begin_s = self.true_s[::packet] - 1000.0
        for from_s, to_s in away:
            kept[(begin_s >= from_s) & (begin_s < to_s)] = False
        self.kept = np.repeat(kept, packet)


def run(indexer: SampleIndexer, stamps_s: np.ndarray, chunk: int = PACKET) -> tuple[np.ndarray, np.ndarray]:
    """Pass stamps through an indexer in chunks; return presence and times of every index."""
    indexed = [indexer.push(stamps_s[i : i + chunk]) for i in range(0, len(stamps_s), chunk)]
    indexed.append(indexer.flush())
    return np.concatenate([p.present for p in indexed]), np.concatenate([p.times_s for p in indexed])


@pytest.mark.parametrize("drift", [200e-6, -200e-6])
@pytest.mark.parametrize(
    ("jitter", "together", "jitter_kind"),
    [
        ("normal", 1, "auto"),
        ("uniform", 1, "auto"),
        ("uniform", PACKET, "auto"),
        ("late", 1, "auto"),
        ("late", PACKET, "auto"),
        ("late, half normal", PACKET, "auto"),
        ("late, evenly", PACKET, "late"),
    ],
)
def test_sample_times_after_30_s_are_within_bounds(
    jitter: str, together: int, jitter_kind: str, drift: float
) -> None:
    for seed in range(4):
        device = Device(120.0, jitter=jitter, together=together, drift=drift, seed=seed)
        _, times_s = run(SampleIndexer(RATE_HZ, PACKET, jitter_kind), device.stamps_s)  # type: ignore[arg-type]
        assert len(times_s) == device.n_sent
        error_s = np.abs(times_s - device.true_s)[device.true_s > 1030.0]
        assert np.quantile(error_s, 0.95) < 0.002
        assert error_s.max() < 0.005


def test_sample_times_with_shared_normal_jitter_are_as_good_as_640_stamps() -> None:
    # 20 ms over the root of 30 s of packets, times 2 for a line's end: 1.6 ms is the best standard error.
    errors_s = []
    for seed in range(6):
        device = Device(120.0, jitter="normal", seed=seed)
        _, times_s = run(SampleIndexer(RATE_HZ, PACKET), device.stamps_s)
        errors_s.append(np.abs(times_s - device.true_s)[device.true_s > 1030.0])
    assert np.quantile(np.concatenate(errors_s), 0.95) < 0.003
    assert np.max(np.concatenate(errors_s)) < 0.005


def test_wrong_jitter_kind_is_off_by_its_mean() -> None:
    device = Device(120.0, jitter="late", seed=1)
    clocks = {kind: SampleIndexer(RATE_HZ, PACKET, kind) for kind in ("late", "symmetric")}
    errors_s = {}
    for kind, indexer in clocks.items():
        _, times_s = run(indexer, device.stamps_s)
        errors_s[kind] = np.median(times_s[-2560:] - device.true_s[-2560:])
    assert abs(errors_s["late"]) < 0.001
    assert errors_s["symmetric"] > 0.010


def test_clock_states_its_error_and_measures_the_rate() -> None:
    device = Device(120.0, jitter="late", drift=150e-6)
    indexer = SampleIndexer(RATE_HZ, PACKET)
    _, times_s = run(indexer, device.stamps_s)
    assert np.abs(times_s - device.true_s)[-256:].max() < max(indexer.clock.error_s, 2e-4)
    assert indexer.clock.rate_hz == pytest.approx(RATE_HZ / (1 + 150e-6), rel=3e-5)
    assert indexer.clock.settled


@settings(max_examples=30, deadline=None)
@given(
    jitter=st.sampled_from(sorted(JITTERS)),
    size_s=st.floats(1e-4, 0.02),
    loss=st.floats(0.0, 0.1),
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(1, 700), min_size=1, max_size=40),
)
def test_times_and_indices_do_not_depend_on_chunking(
    jitter: str, size_s: float, loss: float, seed: int, cuts: list[int]
) -> None:
    device = Device(12.0, jitter=jitter, size_s=size_s, loss=loss, away=((4.0, 5.2),), seed=seed)
    stamps_s = device.stamps_s[device.kept]
    values = np.random.default_rng(seed).normal(0.0, 20.0, (len(stamps_s), 2))
    whole = ChunkBuilder(("A", "B"), RATE_HZ, PacketFormat(PACKET))
    chunks = [whole.push(values, stamps_s), whole.flush()]
    parts = ChunkBuilder(("A", "B"), RATE_HZ, PacketFormat(PACKET))
    pieces, at, i = [], 0, 0
    while at < len(stamps_s):
        step = cuts[i % len(cuts)]
        pieces.append(parts.push(values[at : at + step], stamps_s[at : at + step]))
        at, i = at + step, i + 1
    pieces.append(parts.flush())
    for name in ("samples", "received_s", "times_s"):
        expected = np.concatenate([getattr(chunk, name) for chunk in chunks])
        found = np.concatenate([getattr(chunk, name) for chunk in pieces])
        np.testing.assert_array_equal(found, expected)
    ends = np.cumsum([len(chunk) for chunk in pieces])
    assert [chunk.first_index for chunk in pieces] == [0, *ends[:-1]]
    assert [e.to_json() for e in parts.pop_events()] == [e.to_json() for e in whole.pop_events()] or (
        # Where the first summary ends depends on the chunk that brought it.
        jitter != "none"
    )


@settings(max_examples=20, deadline=None)
@given(jitter=st.sampled_from(sorted(JITTERS)), seed=st.integers(0, 10_000))
def test_sample_times_always_increase(jitter: str, seed: int) -> None:
    device = Device(10.0, jitter=jitter, seed=seed, loss=0.05)
    _, times_s = run(SampleIndexer(RATE_HZ, PACKET), device.stamps_s[device.kept], 7)
    assert (np.diff(times_s) > 0.0).all()


@pytest.mark.parametrize(
    ("jitter", "size_s"), [("none", 0.0), ("late", 0.001), ("late", 0.005), ("normal", 0.002)]
)
def test_indexer_counts_received_and_missing_exactly(jitter: str, size_s: float) -> None:
    device = Device(
        600.0,
        jitter=jitter,
        size_s=size_s,
        drift=300e-6,
        loss=0.05,
        away=((100.0, 103.3), (250.0, 261.0), (400.0, 400.9)),
        seed=3,
    )
    indexer = SampleIndexer(RATE_HZ, PACKET)
    present, times_s = run(indexer, device.stamps_s[device.kept], 20)
    assert indexer.n_received == np.count_nonzero(device.kept)
    assert indexer.n_missing == np.count_nonzero(~device.kept)
    assert len(present) == device.n_sent
    events = indexer.pop_events()
    assert sum(e.details["n_samples"] for e in events if e.kind == "gap") == indexer.n_missing
    assert Counter(e.kind for e in events)["clock_jump"] == 0
    if jitter == "none":
        np.testing.assert_array_equal(present, device.kept)
    error_s = np.abs(times_s - device.true_s)[device.kept & (device.true_s > 1030.0)]
    assert np.quantile(error_s, 0.95) < 0.002
    assert error_s.max() < 0.005


@pytest.mark.parametrize("seed", range(20, 26))
@pytest.mark.parametrize(("jitter", "size_s"), [("none", 0.0), ("late", 0.002), ("normal", 0.005)])
def test_indexer_counts_exactly_with_any_seed(jitter: str, size_s: float, seed: int) -> None:
    away = ((60.0 + seed, 63.3), (110.0, 121.0 + seed / 100), (200.0, 200.9))
    device = Device(300.0, jitter=jitter, size_s=size_s, drift=300e-6, loss=0.05, away=away, seed=seed)
    indexer = SampleIndexer(RATE_HZ, PACKET)
    present, _ = run(indexer, device.stamps_s[device.kept], 20)
    assert indexer.n_received == np.count_nonzero(device.kept)
    assert indexer.n_missing == np.count_nonzero(~device.kept)
    assert len(present) == device.n_sent


@pytest.mark.parametrize("seed", [103, 7, 8, 9])
def test_small_jitter_is_not_taken_for_a_rate_deviation(seed: int) -> None:
    # 1 ms between the ends of two packets looks like a rate 1 % off: the times would be off by a packet soon.
    device = Device(60.0, jitter="uniform", size_s=0.001, drift=300e-6, loss=0.05, seed=seed)
    indexer = SampleIndexer(RATE_HZ, PACKET)
    present, times_s = run(indexer, device.stamps_s[device.kept], 20)
    assert len(present) == device.n_sent
    assert np.abs(times_s - device.true_s).max() < 0.005


def test_counter_column_counts_losses_that_stamps_cannot() -> None:
    # Single samples lost under 20 ms of jitter: no stamp tells, the device's counter does, through its turns.
    device = Device(60.0, jitter="late", packet=1, together=PACKET, loss=0.03, seed=5)
    counts = (np.arange(device.n_sent) % 128).astype(float)[device.kept]
    stamps_s = device.stamps_s[device.kept]
    indexer = SampleIndexer(RATE_HZ, 1, counter_modulus=128)
    present = []
    for i in range(0, len(stamps_s), 10):
        present.append(indexer.push(stamps_s[i : i + 10], None, counts[i : i + 10]).present)
    present.append(indexer.flush().present)
    np.testing.assert_array_equal(np.concatenate(present), device.kept)


def test_counter_modulus_is_learned() -> None:
    n = 1280
    indexer = SampleIndexer(RATE_HZ)
    stamps_s = 1000.0 + np.arange(n) / RATE_HZ
    indexer.push(stamps_s, None, (np.arange(n) % 129).astype(float))
    indexer.flush()
    assert indexer.counter_modulus == 129
    assert indexer.n_missing == 0
    assert [e.kind for e in indexer.pop_events()] == ["counter"]


def test_gap_event_has_time_and_length() -> None:
    stamps_s = 1000.0 + np.arange(5000) / RATE_HZ
    kept = np.ones(5000, dtype=bool)
    kept[2400:2424] = False
    indexer = SampleIndexer(RATE_HZ, PACKET)
    present, _ = run(indexer, stamps_s[kept])
    np.testing.assert_array_equal(present, kept)
    (event,) = indexer.pop_events()
    assert event.kind == "gap"
    assert event.index == 2400
    assert event.time_s == pytest.approx(stamps_s[2400], abs=1e-4)
    assert event.details["n_samples"] == 24
    assert "24 samples (0.094 s) are missing from sample 2400 on" in event.message


def test_burst_after_stall_is_no_gap() -> None:
    # For 1.5 s nothing comes, then all at once, stamped as it arrives: late, but nothing is lost.
    n = 10_000
    true_s = 1000.0 + np.arange(n) / RATE_HZ
    stamps_s = true_s.copy()
    stalled = (true_s >= 1020.0) & (true_s < 1021.5)
    stamps_s[stalled] = 1021.5 + np.arange(stalled.sum()) * 1e-5
    indexer = SampleIndexer(RATE_HZ, PACKET)
    present, times_s = run(indexer, stamps_s)
    assert present.all()
    assert len(present) == n
    assert np.abs(times_s - true_s).max() < 0.005
    # The samples of the burst stand closer than a period, so it ends with a step back; that is all there is to say.
    assert [event.kind for event in indexer.pop_events()] == ["backwards"]


@pytest.mark.parametrize("jump_s", [-1000.0, -3.0, 5000.0])
def test_jump_of_senders_clock_is_no_gap(jump_s: float) -> None:
    n = 10_000
    true_s = 1000.0 + np.arange(n) / RATE_HZ
    stamps_s = true_s + np.where(np.arange(n) >= 5000, jump_s, 0.0)
    indexer = SampleIndexer(RATE_HZ, PACKET)
    indexed = [indexer.push(stamps_s[i : i + 12], true_s[i : i + 12] + 0.01) for i in range(0, n, 12)]
    indexed.append(indexer.flush())
    assert indexer.n_missing == 0
    times_s = np.concatenate([p.times_s for p in indexed])
    assert np.abs(times_s - true_s).max() < 0.01
    jumps = [event for event in indexer.pop_events() if event.kind == "clock_jump"]
    assert len(jumps) == 1
    assert jumps[0].details["jump_s"] == pytest.approx(jump_s, abs=0.02)
    assert "time stamps jumped by" in jumps[0].message


def test_backwards_stamps_are_logged_once_and_summed_up() -> None:
    device = Device(130.0, jitter="normal", together=15, packet=1, size_s=0.01)
    indexer = SampleIndexer(RATE_HZ)
    run(indexer, device.stamps_s)
    events = [event for event in indexer.pop_events() if event.kind == "backwards"]
    # Those after the last summary are not said yet: the next minute would.
    stamps = np.diff(device.stamps_s)
    assert 2 <= len(events) <= 3
    assert sum(event.details["n_stamps"] for event in events) <= (stamps < 0).sum()
    assert max(event.details["largest_s"] for event in events) == pytest.approx(-stamps.min(), rel=0.5)


@pytest.mark.parametrize("off", [0.006, -0.012])
def test_rate_off_nominal_is_logged_once(off: float) -> None:
    n = 20_000
    stamps_s = 1000.0 + np.arange(n) / (RATE_HZ * (1.0 + off))
    indexer = SampleIndexer(RATE_HZ, PACKET)
    present, _ = run(indexer, stamps_s)
    assert present.all()
    (event,) = indexer.pop_events()
    assert event.kind == "rate"
    assert event.details["rate_hz"] == pytest.approx(RATE_HZ * (1 + off), rel=1e-4)
    assert f"{100 * off:+.2f} % off the nominal 256 Hz" in event.message


def test_rate_within_half_a_percent_is_not_logged() -> None:
    indexer = SampleIndexer(RATE_HZ, PACKET)
    run(indexer, 1000.0 + np.arange(20_000) / (RATE_HZ * 1.004))
    assert indexer.pop_events() == []


def test_restarted_device_may_miss_any_number_of_samples() -> None:
    stamps_s = 1000.0 + np.arange(6000) / RATE_HZ
    indexer = SampleIndexer(RATE_HZ, PACKET)
    indexer.push(stamps_s[:3000])
    indexer.restart()
    indexer.push(stamps_s[3000 + 17 :])
    indexer.flush()
    assert indexer.n_missing == 17


@pytest.mark.parametrize("seed", [1, 3])
def test_hidden_loss_is_counted_once_at_block_end_within_gap(seed: int) -> None:
    # 8 ms lost below the jitter at a block's beginning, and before the second block ends a gap of 0.3 s, which
    # is measured from the line and so holds both.
    block = SampleClock(RATE_HZ).block_samples
    n, hidden, gap_at = 40 * block, 20 * block, 21 * block + 100
    late_s = np.random.default_rng(seed).normal(0.0, 0.005, n)
    late_s[hidden:] += 0.008
    late_s[gap_at:] += 0.300
    builder = ChunkBuilder(("A",), RATE_HZ)
    stamps_s = 1000.0 + np.arange(n) / RATE_HZ + late_s
    chunks = [builder.push(np.ones((12, 1)), stamps_s[i : i + 12]) for i in range(0, n - 11, 12)]
    chunks.append(builder.flush())
    assert sum(len(chunk) for chunk in chunks) == builder.indexer.n_received + builder.indexer.n_missing
    assert builder.indexer.n_missing == pytest.approx(0.308 * RATE_HZ, abs=1.2)
    assert (
        sum(e.details["n_samples"] for e in builder.pop_events() if e.kind == "gap")
        == builder.indexer.n_missing
    )


@settings(max_examples=60, deadline=None)
@given(
    parts=st.lists(
        st.tuples(
            st.integers(1, 400),  # samples
            st.sampled_from(
                [0.0, 0.0, 1e-3, 0.03, 0.2, 1.0, 30.0, -0.03, -0.2, -1.0, -30.0]
            ),  # a jump before
            st.sampled_from([0.0, 0.5, 0.98, 1.0, 1.0, 1.02, 1.5]),  # periods from stamp to stamp
            st.sampled_from([0.0, 1e-4, 5e-3, 0.05]),  # jitter
        ),
        min_size=1,
        max_size=12,
    ),
    packet=st.sampled_from([1, 12]),
    chunk=st.integers(1, 300),
    seed=st.integers(0, 1000),
)
def test_any_stamps_give_each_sample_one_index_and_increasing_times(
    parts: list[tuple[int, float, float, float]], packet: int, chunk: int, seed: int
) -> None:
    rng, now_s, stamps = np.random.default_rng(seed), 1000.0, []
    for n, jump_s, periods, jitter_s in parts:
        times_s = now_s + jump_s + np.arange(1, n + 1) * periods / RATE_HZ
        stamps.append(times_s + rng.normal(0.0, jitter_s, n))
        now_s = times_s[-1]
    stamps_s = np.concatenate(stamps)
    values = np.arange(len(stamps_s), dtype=float)[:, None] + 1.0
    builder = ChunkBuilder(("A",), RATE_HZ, PacketFormat(packet))
    chunks = [
        builder.push(values[i : i + chunk], stamps_s[i : i + chunk]) for i in range(0, len(values), chunk)
    ]
    chunks.append(builder.flush())
    samples = np.concatenate([each.samples for each in chunks])[:, 0]
    ends = np.cumsum([len(each) for each in chunks])
    assert [each.first_index for each in chunks] == [0, *ends[:-1]]
    # All that came is there, in order, but for what came twice; the rest is what is recorded as missing.
    assert np.isfinite(samples).sum() == builder.indexer.n_received
    assert np.isnan(samples).sum() == builder.indexer.n_missing
    assert builder.indexer.n_received + builder.screen.n_repeated == len(values)
    assert (np.diff(samples[np.isfinite(samples)]) > 0).all()
    assert (np.diff(np.concatenate([each.times_s for each in chunks])) > 0).all()
    gaps = [event.details["n_samples"] for event in builder.pop_events() if event.kind == "gap"]
    assert sum(gaps) == builder.indexer.n_missing


def test_flush_returns_few_samples() -> None:
    indexer = SampleIndexer(RATE_HZ)
    assert len(indexer.push(1000.0 + np.arange(10) / RATE_HZ).present) == 0
    assert indexer.n_held == 10
    indexed = indexer.flush()
    assert indexed.present.all()
    assert len(indexed.times_s) == 10


def test_flush_without_samples_is_empty() -> None:
    indexer = SampleIndexer(RATE_HZ)
    assert len(indexer.push(np.empty(0)).times_s) == 0
    assert len(indexer.flush().times_s) == 0


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, math.nan])
def test_sample_clock_refuses_bad_rate(rate_hz: float) -> None:
    with pytest.raises(WrongInput, match="needs a rate above 0 Hz, found"):
        SampleClock(rate_hz)


def test_indexer_refuses_empty_packet() -> None:
    with pytest.raises(WrongInput, match="at least 1 sample, found 0"):
        SampleIndexer(RATE_HZ, 0)
