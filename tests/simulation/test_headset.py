"""The simulated headset: converter, packets, radio and clock do what is stated, and the log of samples is exact."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from simulation_parts import arrivals_until, random_faults

from neurofb.clock import ManualClock
from neurofb.devices import load_profile
from neurofb.errors import UnknownName, WrongInput
from neurofb.simulation.arrivals import Arrival
from neurofb.simulation.artifacts import Artifact, BadContact
from neurofb.simulation.faults import (
    ClockJump,
    Disconnect,
    LostPackets,
    Saturation,
    Stall,
    parse_faults,
)
from neurofb.simulation.head import Head, HeadSettings
from neurofb.simulation.headset import Headset, HeadsetSettings, settings_of
from neurofb.simulation.source import SimulatedSource

RATE_HZ = 250.0
LABELS = ("Fz", "C3", "C4", "Oz")


def headset(start_s: float = 0.0, labels: tuple[str, ...] = LABELS, **settings: object) -> Headset:
    head = Head(labels, RATE_HZ, HeadSettings(seed=1))
    return Headset(head, HeadsetSettings(**settings), labels, start_s)  # type: ignore[arg-type]


def everything(device: Headset, until_s: float) -> list[Arrival]:
    return list(arrivals_until(device, device.start_s + until_s))


def joined(arrivals: list[Arrival], name: str) -> np.ndarray:
    return np.concatenate([getattr(arrival, name) for arrival in arrivals])


# the same whatever the steps


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(st.lists(st.floats(0.0, 0.7), min_size=1, max_size=12))
def test_arrivals_do_not_depend_on_polling(steps_s: list[float]) -> None:
    faults = (Stall(0.3, 0.2), Disconnect(1.0, 0.4), LostPackets(2.0, 0.1), ClockJump(1.5, 0.3))
    settings = {"packet_samples": 5, "loss": 0.1, "jitter_s": 0.02, "interval_s": 0.03, "faults": faults}
    end_s = sum(steps_s)
    at_once = headset(**settings)
    whole = at_once.advance_to(end_s)
    stepwise = headset(**settings)
    pieces = [arrival for step_s in np.cumsum(steps_s) for arrival in stepwise.advance_to(float(step_s))]
    pieces += stepwise.advance_to(end_s)
    assert len(pieces) == len(whole)
    for one, other in zip(whole, pieces, strict=True):
        assert (one.first_index, one.arrival_s) == (other.first_index, other.arrival_s)
        np.testing.assert_array_equal(one.samples, other.samples)
        np.testing.assert_array_equal(one.stamps_s, other.stamps_s)
    assert repr(at_once.sent_log) == repr(stepwise.sent_log)
    assert at_once.sent_log.entries == stepwise.sent_log.entries


def test_without_faults_all_samples_arrive_in_order() -> None:
    device = headset(packet_samples=7)
    arrivals = everything(device, 10.0)
    samples = joined(arrivals, "samples")
    same_head = Head(LABELS, RATE_HZ, HeadSettings(seed=1)).generate(len(samples)).samples
    np.testing.assert_array_equal(samples, same_head)
    assert [arrival.first_index for arrival in arrivals] == list(range(0, len(samples), 7))


# the log of samples sent


def check_counts(device: Headset, arrivals: list[Arrival]) -> None:
    """Count again from the arrivals and the entries, and compare with the log's own sums."""
    sent_log = device.sent_log
    assert sent_log.sent == sent_log.delivered + sent_log.zeroed + sent_log.lost + sent_log.in_flight
    assert sent_log.sent == device.head.next_index
    assert sent_log.delivered == sum(len(each.samples) for each in arrivals if not each.zeroed.all())
    assert sent_log.zeroed == sum(len(each.samples) for each in arrivals if each.zeroed.all())
    whole = [entry for entry in sent_log.entries if entry.channel is None]
    assert sent_log.lost == sum(entry.n_samples for entry in whole if entry.fate == "lost")
    seen = np.zeros(sent_log.sent, dtype=int)
    for arrival in arrivals:
        seen[arrival.first_index : arrival.first_index + len(arrival.samples)] += 1
    for entry in whole:
        if entry.fate == "lost":
            seen[entry.first_index : entry.first_index + entry.n_samples] += 1
    arrived_until = arrivals[-1].first_index + len(arrivals[-1].samples)
    assert np.all(seen[:arrived_until] == 1)


def test_sent_log_is_exact_over_10_minutes_of_faults() -> None:
    faults = random_faults(seed=5, duration_s=600.0, n_disconnects=3, n_stalls=3)
    device = headset(packet_samples=5, loss=0.05, jitter_s=0.02, drift_ppm=300.0, faults=faults)
    arrivals = everything(device, 600.0)
    check_counts(device, arrivals)
    assert device.sent_log.sent == pytest.approx(600 * RATE_HZ * (1 + 300e-6), abs=5)
    cut = [entry for entry in device.sent_log.entries if entry.cause == "disconnect"]
    assert len(cut) == 3
    down_s = [fault.duration_s for fault in faults if isinstance(fault, Disconnect)]
    assert [entry.n_samples / RATE_HZ for entry in cut] == pytest.approx(down_s, abs=0.25)
    by_radio = sum(entry.n_samples for entry in device.sent_log.entries if entry.cause == "radio")
    assert by_radio / device.sent_log.sent == pytest.approx(0.05, rel=0.1)


def test_zero_filling_device_logs_zeroed_packets() -> None:
    device = headset(packet_samples=12, loss=0.1, lost_as="zeros", dc_level_uv=700.0)
    arrivals = everything(device, 60.0)
    check_counts(device, arrivals)
    assert device.sent_log.lost == 0
    assert device.sent_log.zeroed > 0
    for arrival in arrivals:
        assert arrival.zeroed.all() == (not arrival.samples.any())
    zeros = {arrival.first_index for arrival in arrivals if arrival.zeroed.all()}
    logged = {
        index
        for e in device.sent_log.entries
        for index in range(e.first_index, e.first_index + e.n_samples, 12)
    }
    assert zeros <= logged


def test_channels_with_own_packets_are_lost_separately() -> None:
    device = headset(packet_samples=12, loss=0.1, lost_as="zeros", channelwise=True)
    arrivals = everything(device, 120.0)
    check_counts(device, arrivals)
    zeroed = np.array([arrival.zeroed for arrival in arrivals])
    np.testing.assert_allclose(zeroed.mean(axis=0), 0.1, atol=0.03)
    assert np.abs(np.corrcoef(zeroed.T)[0, 1]) < 0.2
    for arrival in arrivals:
        np.testing.assert_array_equal(arrival.zeroed, ~arrival.samples.any(axis=0))
    per_channel = sum(entry.n_samples for entry in device.sent_log.entries if entry.channel is not None)
    partly = [each for each in arrivals if each.zeroed.any() and not each.zeroed.all()]
    assert per_channel >= sum(int(each.zeroed.sum()) * 12 for each in partly)


def test_scheduled_loss_drops_packets_complete_then() -> None:
    device = headset(packet_samples=5, faults=(LostPackets(1.0, 0.2), LostPackets(3.0)))
    everything(device, 5.0)
    long, single = device.sent_log.entries
    assert (long.cause, long.fate, long.n_samples) == ("fault", "lost", 50)
    assert single.n_samples == 5
    assert single.first_index / RATE_HZ == pytest.approx(3.0, abs=0.02)


def test_packets_in_flight_at_disconnect_are_lost() -> None:
    device = headset(packet_samples=5, delay_s=0.1, faults=(Disconnect(1.0, 1.0),))
    arrivals = everything(device, 4.0)
    check_counts(device, arrivals)
    assert not [arrival for arrival in arrivals if 1.0 <= arrival.arrival_s < 2.0]
    (entry,) = device.sent_log.entries
    assert entry.n_samples / RATE_HZ == pytest.approx(1.1, abs=0.03)
    assert device.connected(0.99)
    assert not device.connected(1.5)
    assert device.connected(2.0)


def test_added_fault_does_not_change_random_ones() -> None:
    settings = {"packet_samples": 5, "loss": 0.1, "jitter_s": 0.01}
    plain, faulty = headset(**settings), headset(**settings, faults=(LostPackets(3.0, 0.5),))
    everything(plain, 10.0)
    everything(faulty, 10.0)
    lost = [{index for e in d.sent_log.entries for index in range(e.first_index, e.first_index + e.n_samples)}
            for d in (plain, faulty)]  # fmt: skip
    assert lost[0] < lost[1]
    assert {index for index in lost[1] - lost[0] if not 2.9 < index / RATE_HZ < 3.6} == set()


# the radio


def test_arrivals_have_stated_latency_and_keep_order() -> None:
    device = headset(packet_samples=25, delay_s=0.03, jitter_s=0.02)
    arrivals = everything(device, 600.0)
    late_s = np.array([arrival.arrival_s - arrival.true_s[-1] for arrival in arrivals])
    assert late_s.min() == pytest.approx(0.03, abs=0.001)
    assert np.std(late_s) == pytest.approx(0.02, rel=0.06)
    assert np.mean(late_s) == pytest.approx(0.05, rel=0.05)
    assert np.all(np.diff([arrival.arrival_s for arrival in arrivals]) >= 0)


def test_interval_bundles_packets_into_bursts() -> None:
    device = headset(packet_samples=2, interval_s=0.1)
    times_s = np.array([arrival.arrival_s for arrival in everything(device, 10.0)])
    np.testing.assert_allclose(times_s / 0.1, np.round(times_s / 0.1), atol=1e-9)
    _, counts = np.unique(np.round(times_s / 0.1), return_counts=True)
    assert np.median(counts) >= 12


def test_stall_delays_without_loss() -> None:
    device = headset(packet_samples=5, faults=(Stall(2.0, 1.5),))
    arrivals = everything(device, 6.0)
    assert device.sent_log.entries == []
    times_s = np.array([arrival.arrival_s for arrival in arrivals])
    assert not np.any((times_s >= 2.0) & (times_s < 3.5))
    assert np.sum(times_s == 3.5) == pytest.approx(1.5 * RATE_HZ / 5, abs=2)


# the clock


@pytest.mark.parametrize(("offset_s", "drift_ppm"), [(0.0, 0.0), (3.25, 200.0), (-1000.0, -300.0)])
def test_device_stamps_have_set_offset_and_drift(offset_s: float, drift_ppm: float) -> None:
    device = headset(start_s=77.0, packet_samples=5, offset_s=offset_s, drift_ppm=drift_ppm)
    arrivals = everything(device, 300.0)
    stamps_s, true_s = joined(arrivals, "stamps_s"), joined(arrivals, "true_s")
    slope, start = np.polyfit(true_s - 77.0, stamps_s - 77.0, 1)
    assert (slope - 1) * 1e6 == pytest.approx(drift_ppm, abs=1e-3)
    assert start == pytest.approx(offset_s, abs=1e-6)
    np.testing.assert_allclose(np.diff(stamps_s), 1 / RATE_HZ, atol=1e-9)
    assert true_s[0] == 77.0


def test_clock_jump_moves_stamps_not_samples() -> None:
    device = headset(packet_samples=5, faults=(ClockJump(2.0, -0.5),))
    arrivals = everything(device, 4.0)
    error_s = joined(arrivals, "stamps_s") - joined(arrivals, "true_s")
    true_s = joined(arrivals, "true_s")
    np.testing.assert_allclose(error_s[true_s < 1.999], 0.0, atol=1e-9)
    np.testing.assert_allclose(error_s[true_s > 2.001], -0.5, atol=1e-9)
    np.testing.assert_array_equal(np.diff(joined(arrivals, "true_s")) > 0, True)


def test_stamps_counted_back_from_late_arrivals_decrease() -> None:
    device = headset(packet_samples=15, jitter_s=0.03, stamps="arrival")
    arrivals = everything(device, 60.0)
    steps_s = np.diff(joined(arrivals, "stamps_s"))
    assert 0 < np.mean(steps_s <= 0) < 1 / 15
    for arrival in arrivals:
        assert arrival.stamps_s[-1] == pytest.approx(arrival.arrival_s)


# the converter


def test_samples_are_quantized_within_rails_at_device_level() -> None:
    settings = {"resolution_uv": 0.5, "rails_uv": (0.0, 1450.0), "dc_level_uv": 725.0, "dc_spread_uv": 300.0}
    device = headset(packet_samples=5, **settings)
    samples = joined(everything(device, 30.0), "samples")
    np.testing.assert_allclose(samples / 0.5, np.round(samples / 0.5))
    assert samples.min() >= 0.0
    assert samples.max() <= 1450.0
    assert np.ptp(samples.mean(axis=0)) > 50
    fine = headset(packet_samples=5, dc_level_uv=725.0, dc_spread_uv=300.0)
    unspoilt = joined(everything(fine, 30.0), "samples")
    np.testing.assert_allclose(samples, np.clip(unspoilt, 0.0, 1450.0), atol=0.25 + 1e-9)


def test_saturated_channel_alone_is_at_rail() -> None:
    faults = (Saturation(1.0, 0.5, ("C3",)), Saturation(2.0, 0.5, low=True))
    device = headset(packet_samples=5, rails_uv=(-1000.0, 999.5), resolution_uv=0.5, faults=faults)
    arrivals = everything(device, 4.0)
    samples, true_s = joined(arrivals, "samples"), joined(arrivals, "true_s")
    high, low = (true_s >= 1.0) & (true_s < 1.5), (true_s >= 2.0) & (true_s < 2.5)
    assert np.all(samples[high, 1] == 999.5)
    assert np.all(samples[low] == -1000.0)
    assert not np.any(np.abs(np.delete(samples[high], 1, axis=1)) > 900)
    assert not np.any(np.abs(samples[~high & ~low]) > 900)


def test_device_settings_come_from_profile() -> None:
    profile = load_profile("muse-2")
    settings = settings_of(profile, loss=0.1)
    assert (settings.packet_samples, settings.lost_as, settings.loss) == (12, "zeros", 0.1)
    assert settings.rails_uv == profile.rails_uv
    assert settings.resolution_uv == 0.48828125
    assert settings_of(load_profile("actichamp-64")).packet_samples == 10


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"packet_samples": 0}, "packet_samples = 0"),
        ({"loss": 1.0}, r"between 0 and 1, found loss = 1\.0"),
        ({"jitter_s": -0.1}, "0 or more"),
        ({"channelwise": True}, "lost_as = 'zeros'"),
        ({"drift_ppm": -1e6}, "at most 100000 ppm"),
        ({"seed": -1}, "from 0 on, found -1"),
        ({"faults": (Saturation(1.0, 1.0),)}, "rails_uv"),
        ({"faults": (Saturation(1.0, 1.0, ("Pz",)),), "rails_uv": (-1.0, 1.0)}, "no channel 'Pz'"),
    ],
)
def test_impossible_headset_is_refused(settings: dict, match: str) -> None:
    with pytest.raises((WrongInput, UnknownName), match=match):
        headset(**settings)


# faults in words


def test_faults_are_parsed() -> None:
    words = "stall@10+2 loss@10+0.5 loss@11 disconnect@30+5 jump@20+-0.4 saturation@5+1:AF7 off@5+3:TP9 blink@3 jaw@4+1"
    plan = parse_faults([*words.split(), "loss=0.05", "drift=200"])
    assert plan.headset == (
        Stall(10.0, 2.0),
        LostPackets(10.0, 0.5),
        LostPackets(11.0, 0.0),
        Disconnect(30.0, 5.0),
        ClockJump(20.0, -0.4),
        Saturation(5.0, 1.0, ("AF7",)),
    )
    assert plan.contacts == (BadContact("TP9", 5.0, 3.0, "off"),)
    assert plan.artifacts == (Artifact("blink", 3.0, 0.3), Artifact("jaw", 4.0, 1.0))
    assert plan.steady == {"loss": 0.05, "drift_ppm": 200.0}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("stal@10+2", "did you mean 'stall'"),
        ("stall", "cannot be read; write stall@10"),
        ("stall@10", "for how long"),
        ("stall@10+0", "longer than 0 s"),
        ("off@10+2", "which channel"),
        ("loss=much", "'much' is no number"),
        ("jiter=0.1", "did you mean 'jitter'"),
        ("stall@1.2.3+1", r"'1\.2\.3' is no number"),
        ("jitter=nan", "'nan' is no number"),
    ],
)
def test_invalid_fault_is_refused_with_syntax(text: str, match: str) -> None:
    with pytest.raises((WrongInput, UnknownName), match=match):
        parse_faults([text])


# as a source


def source(**settings: object) -> tuple[SimulatedSource, ManualClock]:
    clock = ManualClock(100.0)
    return SimulatedSource(headset(start_s=100.0, **settings), LABELS, clock), clock


@pytest.mark.parametrize("step_s", [0.001, 0.05, 1.7])
def test_source_returns_each_index_once_and_lost_samples_as_nan(step_s: float) -> None:
    faults = (Disconnect(2.0, 3.0), Stall(8.0, 0.6))
    given, clock = source(packet_samples=5, loss=0.1, jitter_s=0.01, drift_ppm=100.0, faults=faults)
    given.start()
    chunks, events = [], []
    while clock.now_s() < 112.0:
        clock.wait_until(min(112.0, clock.now_s() + step_s))
        batch = given.pull()
        chunks.append(batch.chunk)
        events += batch.events
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert [chunk.first_index for chunk in chunks] == list(np.cumsum([0, *map(len, chunks[:-1])]))
    missing = np.isnan(samples).all(axis=1)
    expected = np.zeros(len(samples), dtype=bool)
    for entry in given.headset.sent_log.entries:
        expected[entry.first_index : entry.first_index + entry.n_samples] = True
    np.testing.assert_array_equal(missing, expected)
    received_s = np.concatenate([chunk.received_s for chunk in chunks])
    np.testing.assert_array_equal(np.isnan(received_s), missing)
    times_s = np.concatenate([chunk.times_s for chunk in chunks])
    np.testing.assert_allclose(np.diff(times_s), 1 / (RATE_HZ * 1.0001), rtol=1e-6)
    assert sum(event.details["n_samples"] for event in events if event.kind == "gap") == missing.sum()
    kinds = [event.kind for event in events if event.kind != "gap"]
    assert kinds == ["stale", "lost", "resumed", "stale", "resumed"]
    assert given.state == "flowing"
    assert given.pull().events == []


def test_zeroed_samples_of_one_channel_are_nan_in_it_alone() -> None:
    given, clock = source(packet_samples=12, loss=0.2, lost_as="zeros", channelwise=True)
    given.start()
    clock.advance(20.0)
    batch = given.pull()
    samples = batch.chunk.samples
    assert not np.any(samples == 0.0)
    assert 0.1 < np.isnan(samples).mean() < 0.3
    assert not np.isnan(samples).all(axis=0).any()
    gaps = [event for event in batch.events if event.kind == "gap"]
    n_values = sum(event.details["n_samples"] * len(event.details["channels"]) for event in gaps)
    assert n_values == np.isnan(samples).sum()
    assert "came as zeros on" in gaps[0].message


def test_pull_waits_for_first_samples_up_to_timeout() -> None:
    given, clock = source(packet_samples=25, delay_s=0.05)
    given.start()
    assert given.state == "waiting"
    assert len(given.pull(timeout_s=0.05).chunk) == 0
    assert clock.now_s() == pytest.approx(100.05)
    assert len(given.pull(timeout_s=1.0).chunk) == 25
    assert 100.14 < clock.now_s() < 100.26
    assert given.state == "flowing"
    assert (given.labels, given.rate_hz) == (LABELS, RATE_HZ)


def test_source_not_started_or_without_labels_is_refused() -> None:
    given, clock = source()
    with pytest.raises(WrongInput, match="not started"):
        given.pull()
    given.start()
    given.stop()
    given.stop()
    with pytest.raises(WrongInput, match="not started"):
        given.pull()
    with pytest.raises(WrongInput, match="4 electrodes, found 2 labels: a, b"):
        SimulatedSource(headset(), ("a", "b"), clock)
