"""Stamps of every kind, rates that are not what a stream says, samples that are late: each value stands at its time.

The device and its program are simulated, on the manual clock; the connection is the one that reads a live stream.
"""

from __future__ import annotations

import numpy as np
import pytest
from simulated_inlet import START_S, Device, Taken, take

from neurofb.acquisition import live

UNIX_S = 1_790_000_000.0
LOST = frozenset(np.flatnonzero(np.random.RandomState(5).random_sample(1000) < 0.1).tolist())
#: Times are right to this: what the sample clock needs, and the least time that a sample is under way.
WITHIN_S = 0.006


def is_lost(packet: int) -> bool:
    """Whether a packet is among the tenth that is lost."""
    return packet in LOST


def at(hz: float):
    """Return when samples are taken at a rate."""
    return lambda k: k / hz


def from_3s_at(hz: float):
    """Return when samples are taken, at 250 Hz first and at another rate from 3 s on."""
    return lambda k: np.where(k < 750, k / 250.0, 3.0 + (k - 750) / hz)


def assert_all_is_placed(taken: Taken, device: Device) -> None:
    """Assert that every sample that was sent stands once, at its place and time, and what is lost is missing."""
    first, last = min(taken.inlet.sent), max(taken.inlet.sent)
    there = np.isfinite(taken.numbers)
    assert there.sum() == len(taken.inlet.sent)  # received once each
    assert len(taken.numbers) == last - first + 1  # sent = received + missing
    assert not taken.misplaced.any()
    assert taken.ages_s.min() >= 0.0


def assert_times_are_right(taken: Taken, device: Device, from_s: float = 0.0) -> None:
    """Assert that times are those at which samples were taken, to the time that they were under way."""
    there = np.isfinite(taken.numbers)
    taken_s = device.taken_s(np.round(taken.numbers[there]))
    off_s = (taken.times_s[there] - START_S - taken_s)[taken_s >= from_s]
    assert -WITHIN_S <= off_s.min() <= off_s.max() <= WITHIN_S


STAMPS = {
    "right": (lambda _k, t, _s: START_S + t, None),
    "30 s ahead": (lambda _k, t, _s: START_S + t + 30.0, "another clock, +30.0 s off LSL's clock"),
    "0.5 s ahead": (lambda _k, t, _s: START_S + t + 0.5, "another clock, +0.5 s off"),
    "5 s behind": (lambda _k, t, _s: START_S + t - 5.0, "another clock, -5.0 s off"),
    "an hour behind": (lambda _k, t, _s: START_S + t - 3600.0, "another clock, -3600.0 s off"),
    "unix time": (lambda _k, t, _s: UNIX_S + t, "unix time (seconds since 1970)"),
    "milliseconds": (lambda _k, t, _s: 1e3 * (START_S + t), "milliseconds of another clock"),
    "unix milliseconds": (lambda _k, t, _s: 1e3 * (UNIX_S + t), "milliseconds of unix time"),
    "zero": (lambda _k, t, _s: 0.0 * t, "one and the same time (0)"),
    "constant": (lambda _k, t, _s: 0.0 * t + 77.0, "one and the same time (77)"),
    "backwards": (lambda _k, t, _s: START_S - t, "times that run backwards"),
    "no order": (lambda k, t, _s: START_S + 10.0 * np.sin(1e4 * k**1.5), "times without order"),
    "one stamp a packet": (lambda _k, t, s: 0.0 * t + s, None),
}


@pytest.mark.parametrize("loses", [False, True], ids=["all come", "some are lost"])
@pytest.mark.parametrize("kind", STAMPS)
def test_stamps_of_any_clock_place_every_sample_at_its_time(
    kind: str, loses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps, words = STAMPS[kind]
    device = Device(stamps=stamps, **({"lost": is_lost} if loses else {}))
    taken = take(device, 4.0, monkeypatch)
    assert_all_is_placed(taken, device)
    assert_times_are_right(taken, device)
    assert taken.unfit == ""
    told = [event.message for event in taken.told("foreign_clock")]
    assert len(told) == (words is not None)  # once, and only where it is another clock
    if words:
        assert words in told[0]
        is_time = kind not in ("zero", "constant", "backwards", "no order")
        assert ("moved by what lies between" if is_time else "timed by their arrival instead") in told[0]
        assert taken.told("foreign_clock")[0].details["timed_by"] == ("sender" if is_time else "arrival")


def early(jump_s: float):
    """Return stamps that jump in the first half second, while their clock is still judged."""
    return lambda _k, t, _s: START_S + t + np.where(t < 0.3, 0.0, jump_s)


CHANGES = {
    "jump ahead at once": early(40.0),
    "jump back at once": early(-40.0),
    "from unix time at once": lambda _k, t, _s: np.where(t < 0.3, UNIX_S + t, START_S + t),
    "back and forth": lambda _k, t, _s: START_S + t + 3.0 * (t // 0.7 % 2),
    "a glitch now and then": lambda k, t, _s: START_S + t + 1e6 * (k % 131 == 7),
    "no number now and then": lambda k, t, _s: np.where(k % 7 < 2, np.nan, START_S + t + (t > 2.0)),
    "jump ahead": lambda _k, t, _s: START_S + t + np.where(t < 2.0, 0.0, 30.0),
    "small jump ahead": lambda _k, t, _s: START_S + t + np.where(t < 2.0, 0.0, 0.3),
    "jump back": lambda _k, t, _s: START_S + t - np.where(t < 2.0, 0.0, 30.0),
    "jumps again and again": lambda _k, t, _s: START_S + t + np.floor(t / 1.5),
    "to unix time": lambda _k, t, _s: np.where(t < 2.0, START_S + t, UNIX_S + t),
    "to milliseconds": lambda _k, t, _s: np.where(t < 2.0, START_S + t, 1e3 * (START_S + t)),
    "to zero": lambda _k, t, _s: np.where(t < 2.0, START_S + t, 0.0),
    "stand still": lambda _k, t, _s: START_S + np.minimum(t, 2.0),
    "lose order": lambda k, t, _s: START_S + np.where(t < 2.0, t, 10.0 * np.sin(1e4 * k**1.5)),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_stamps_that_change_in_a_session_move_no_sample(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(stamps=CHANGES[kind])
    taken = take(device, 5.0, monkeypatch)
    assert_all_is_placed(taken, device)
    assert_times_are_right(taken, device)
    assert {"clock_jump", "foreign_clock"} & {event.kind for event in taken.events}  # told
    assert len(taken.told("clock_jump")) <= 20


def test_what_is_lost_at_a_jump_is_counted_when_samples_stay_older(monkeypatch: pytest.MonkeyPatch) -> None:
    # From the stamps alone nobody knows what lies between a jump's two sides: arrivals tell it, by whole packets.
    device = Device(
        stamps=lambda _k, t, _s: START_S + t - 30.0 * (t > 2.8), lost=lambda packet: 50 <= packet < 70
    )
    taken = take(device, 6.0, monkeypatch)
    assert_all_is_placed_but_for_order(taken)
    assert_times_are_right(taken, device, from_s=3.6)
    assert sum(event.details["n_samples"] for event in taken.told("gap")) == taken.n_missing == 200


def assert_all_is_placed_but_for_order(taken: Taken) -> None:
    """Assert that every sample stands once, in order, and that as many are missing as were lost."""
    there = np.isfinite(taken.numbers)
    assert there.sum() == len(taken.inlet.sent)
    assert (np.diff(taken.numbers[there]) > 0).all()
    assert len(taken.numbers) == max(taken.inlet.sent) - min(taken.inlet.sent) + 1


def test_stamp_of_a_packet_that_is_fetched_in_two_pulls_is_of_its_last_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device(
        packet=5,
        delay_s=0.03,
        stamps=lambda k, _t, _s: START_S + (k // 10 * 10 + 9) / 250.0,
        lost=lambda half: half // 2 in LOST,
    )
    taken = take(device, 4.0, monkeypatch)
    assert_all_is_placed(taken, device)
    assert_times_are_right(taken, device)


@pytest.mark.parametrize("kind", ["right", "unix time", "zero", "30 s ahead"])
def test_what_was_not_sent_while_the_computer_slept_is_missing(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The program that sends sleeps too: 7 s of the headset reach nobody, and LSL's clock lacks them.
    monkeypatch.setattr(live, "_HOST", "h")
    slept_s, first, after = 7.0, 500, 500 + 1750
    device = Device(
        taken_s=lambda k: np.where(k < first, k, np.where(k < after, first, k - (after - first))) / 250.0,
        stamps=STAMPS[kind][0],
        lost=lambda packet: first <= 10 * packet < after,
        sleeps=((first / 250.0 + 0.001, slept_s),),
    )
    taken = take(device, 5.0, monkeypatch)
    assert_all_is_placed(taken, device)
    assert_times_are_right(taken, device)
    assert (np.diff(taken.times_s) > 0.0).all()
    (gap,) = taken.told("gap")
    assert gap.details["n_samples"] == after - first
    assert gap.time_s == pytest.approx(START_S + 2.0, abs=0.05)
    assert not {"clock_jump", "rate"} & {event.kind for event in taken.events}


def test_late_last_pull_without_stamps_is_no_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody looked for a while, and the last packet waited: what comes at the end is late, as far as is known.
    for until_s in (3.0, 3.03, 3.06):
        device = Device(
            stamps=STAMPS["zero"][0],
            stalls=tuple((0.1 * i + 1e-4, 0.1 * (i + 1)) for i in range(40)),
        )
        taken = take(device, until_s, monkeypatch, looks_s=0.1)
        assert_all_is_placed(taken, device)


def test_stamps_counted_from_the_nominal_rate_are_held_to_arrivals(monkeypatch: pytest.MonkeyPatch) -> None:
    # 0.1 % faster than it says: in a session of an hour such stamps are 4 s ahead.
    device = Device(taken_s=at(250.25), stamps=lambda k, _t, _s: START_S + k / 250.0)
    taken = take(device, 12.0, monkeypatch)
    assert_all_is_placed(taken, device)
    assert_times_are_right(taken, device)
    assert taken.unfit == ""
    assert (np.diff(taken.times_s) > 0).all()


def deduced(k: np.ndarray, _taken_s: np.ndarray, sent_s: float) -> np.ndarray:
    """Return stamps as liblsl makes them of a packet: its last sample now, the others at the nominal rate before."""
    return sent_s - (k[-1] - k) / 250.0


WRONG = {
    "twice": (Device(taken_s=at(500.0)), 0.0, 500.0),
    "half": (Device(taken_s=at(125.0)), 0.0, 125.0),
    "2 % fast": (Device(taken_s=at(255.0)), 0.0, 255.0),
    "2 % slow": (Device(taken_s=at(245.0)), 0.0, 245.0),
    "twice, stamps made by LSL": (Device(taken_s=at(500.0), stamps=deduced), 0.0, 500.0),
    "2 % slow, stamps made by LSL": (Device(taken_s=at(245.0), stamps=deduced), 0.0, 245.0),
    "half, stamps made by LSL": (Device(taken_s=at(125.0), stamps=deduced), 0.0, 125.0),
    "4 % slow, in bursts": (Device(taken_s=at(240.0), stamps=deduced, packet=50), 0.0, 240.0),
    "twice, no stamps": (Device(taken_s=at(500.0), stamps=lambda _k, t, _s: 0.0 * t), 0.0, 500.0),
    "2 % slow, no stamps": (Device(taken_s=at(245.0), stamps=lambda _k, t, _s: 0.0 * t), 0.0, 245.0),
    "twice, stamps counted": (
        Device(taken_s=at(500.0), stamps=lambda k, _t, _s: START_S + k / 250.0),
        0.0,
        500.0,
    ),
    "twice from 3 s on": (Device(taken_s=from_3s_at(500.0)), 3.0, 500.0),
    "half from 3 s on": (Device(taken_s=from_3s_at(125.0)), 3.0, 125.0),
    "2 % slow from 3 s on": (Device(taken_s=from_3s_at(245.0)), 3.0, 245.0),
    "2 % fast from 3 s on": (Device(taken_s=from_3s_at(255.0)), 3.0, 255.0),
    "unix time, twice": (Device(taken_s=at(500.0), stamps=lambda _k, t, _s: UNIX_S + t), 0.0, 500.0),
}


@pytest.mark.parametrize("kind", WRONG)
def test_another_rate_than_said_makes_samples_unfit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device, from_s, hz = WRONG[kind]
    taken = take(device, 5.0, monkeypatch)
    assert from_s < taken.unfit_s[0] < from_s + 4.0
    assert taken.unfit_s[1] > 5.0  # and for good
    event = taken.told("rate")[0]
    assert event.details["rate_hz"] == pytest.approx(hz, rel=0.01)
    assert "not the 250 that the stream or its profile says: every band would be another one" in event.message
    assert len(taken.events) < 160  # what a wrong rate makes of stamps is told as a sum
    assert taken.ages_s.min() >= 0.0


@pytest.mark.parametrize("slow_by", [0.02, 0.5])
def test_counted_stamps_that_fall_behind_are_a_lower_rate(
    slow_by: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    hz = 250.0 * (1.0 - slow_by)
    device = Device(taken_s=at(hz), stamps=lambda k, _t, _s: START_S + k / 250.0)
    taken = take(device, 14.0, monkeypatch)
    assert taken.unfit
    assert taken.told("rate")[0].details["rate_hz"] == pytest.approx(hz, rel=0.05)


def test_rate_that_is_right_again_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(
        taken_s=lambda k: np.where(
            k < 500, k / 250, np.where(k < 1500, 2 + (k - 500) / 500, 4 + (k - 1500) / 250)
        )
    )
    taken = take(device, 10.0, monkeypatch)
    assert 2.0 < taken.unfit_s[0] < 4.0 < taken.unfit_s[1] < 9.0
    assert [event.details["wrong"] for event in taken.told("rate")] == [True, False]
    assert "samples come at 250 Hz again" in taken.told("rate")[1].message


HONEST = {
    "a quartz 50 ppm fast": Device(taken_s=at(250.0125)),
    "0.4 % slow": Device(taken_s=at(249.0)),
    "bursts": Device(packet=50, stamps=deduced),
    "long bursts": Device(packet=125),
    "a tenth of the packets lost": Device(lost=is_lost),
    "packets lost, stamps made by LSL": Device(lost=is_lost, stamps=deduced),
    "packets lost from bursts": Device(packet=50, lost=is_lost),
    "each third packet lost": Device(lost=lambda packet: packet % 3 == 1),
    "single samples lost": Device(packet=1, lost=lambda sample: (sample * 7919) % 97 < 10),
    "packets lost, no stamps": Device(lost=is_lost, stamps=lambda _k, t, _s: 0.0 * t, jitter_s=0.008),
    "each third packet lost, no stamps": Device(
        lost=lambda packet: packet % 3 == 1, stamps=lambda _k, t, _s: 0.0 * t
    ),
    "stalls": Device(stalls=((1.0, 1.4), (2.0, 3.2))),
    "stalls, no stamps": Device(stalls=((1.0, 1.4), (2.0, 3.2)), stamps=lambda _k, t, _s: 0.0 * t),
    "stalls again and again, no stamps": Device(
        stalls=tuple((1.0 + 0.2 * i, 1.15 + 0.2 * i) for i in range(10)), stamps=lambda _k, t, _s: 0.0 * t
    ),
    "late, no stamps": Device(jitter_s=0.02, stamps=lambda _k, t, _s: 0.0 * t),
}


@pytest.mark.parametrize("kind", HONEST)
def test_losses_and_late_samples_are_no_lower_rate(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = HONEST[kind]
    taken = take(device, 5.0, monkeypatch)
    assert taken.unfit == ""
    assert_all_is_placed(taken, device)


WAITED = ("right", "30 s ahead", "0.5 s ahead", "an hour behind", "unix time", "unix milliseconds")


@pytest.mark.parametrize("kind", WAITED)
def test_losses_among_what_had_waited_are_counted(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # What waits in a buffer comes at once, or piece by piece: only the last piece tells how far the clock is ahead.
    for waited_s, piece in ((0.6, 130), (1.1, 130), (2.3, 0), (2.3, 130), (2.3, 260)):
        device = Device(
            stamps=STAMPS[kind][0], lost=lambda packet: packet % 7 == 3, stalls=((0.0, waited_s),)
        )
        taken = take(device, 3.5, monkeypatch, piece=piece)
        assert_all_is_placed(taken, device)
        assert sum(event.details["n_samples"] for event in taken.told("gap")) == taken.n_missing
        assert not taken.told("clock_jump")


def test_rate_of_counted_stamps_of_another_clock_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # They run ahead of their arrivals for good: that is no buffer that is fetched.
    device = Device(taken_s=at(500.0), stamps=lambda k, _t, _s: UNIX_S + k / 250.0)
    taken = take(device, 6.0, monkeypatch)
    assert taken.unfit
    assert taken.ages_s.min() >= 0.0


def test_packets_that_come_in_whole_pulls_are_no_other_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    # From where stamps jump, arrivals count: of a packet of 12 every 46.9 ms, four tenths of a second bring 96 or 108.
    device = Device(
        says_hz=256.0,
        taken_s=at(256.0),
        packet=12,
        delay_s=0.01,
        stalls=tuple((0.1 * i + 1e-4, 0.1 * (i + 1)) for i in range(79)),
        stamps=lambda _k, t, _s: START_S + t + 40.0 * np.floor((t + 0.05) / 1.3),
    )
    taken = take(device, 8.0, monkeypatch)
    assert not taken.told("rate")
    assert np.isfinite(taken.numbers).sum() == len(taken.inlet.sent)
