"""The watchdog's log: whatever is killed, and wherever the log breaks off, it says no less than the skin has had."""

import json
import math
import os
import threading
from dataclasses import asdict, replace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stimulation_parts import SITE, Bench, share_per_s

from neurofb.events import Event
from neurofb.stimulation.drivers import simulated
from neurofb.stimulation.heat_profile import HeatProfile, dose
from neurofb.stimulation.thermal_dose import Outlook
from neurofb.stimulation.watchdog_log import (
    DOSES,
    ENDED,
    OPENED,
    LoggedDose,
    WatchdogLog,
    read_watchdog_log,
)

#: Cooler than this the probe heats nobody: a degree above the baseline of the profiles.
BASELINE_C = 33.0
PROFILES = st.builds(
    HeatProfile,
    target_c=st.floats(40.0, 47.0),
    plateau_s=st.floats(0.0, 6.0),
    rise_c_per_s=st.floats(4.0, 40.0),
    return_c_per_s=st.floats(4.0, 40.0),
)


class LoggedBench(Bench):
    """A bench whose guard writes a log as the watchdog does, and the true dose of the probe."""

    def __init__(self, path, **how):
        super().__init__(**how)
        self.truth = 0.0
        self.log = WatchdogLog(path, at_once=True)
        self.log.open(self.guard, self.wall_s, self.clock.now_s())

    @property
    def wall_s(self):
        return self.clock.readings().wall_s

    def step(self):
        known = len(self.events)
        super().step()
        self.count_truth()
        news = len(self.events) > known
        self.log.write_doses(self.guard, self.wall_s, self.clock.now_s(), news=news)

    def count_truth(self):
        if self.thermode.probe_c > BASELINE_C:  # a day at 33 °C is 0.05 of the limit
            self.truth += self.tick_s * share_per_s(self.thermode.probe_c)

    def run_alone(self, for_s):
        """Let time go on for a device whose guard is gone."""
        for _ in range(round(for_s / self.tick_s)):
            self.clock.advance(self.tick_s)
            self.count_truth()


@settings(max_examples=40, deadline=None)
@given(
    profile=PROFILES,
    killed_s=st.floats(0.0, 10.0),
    who=st.sampled_from(["engine", "watchdog", "hung"]),
    link_s=st.sampled_from([0.5, math.inf]),
    torn=st.integers(0, 60),
)
def test_account_is_no_less_than_the_truth(tmp_path_factory, profile, killed_s, who, link_s, torn):
    """An engine that is killed leaves a watchdog that ends the heat; one that is killed or hangs leaves the device."""
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    with mock.patch.object(simulated, "LINK_S", link_s):
        bench = LoggedBench(path, tick_s=0.02)
        bench.fire(profile, 0.1)
        bench.run(killed_s)
        if who == "engine":
            bench.run(0.5)
            bench.guard.abort("nothing was heard from the engine")
            bench.run_to_rest()
            bench.guard.close()
            bench.log.write_doses(bench.guard, bench.wall_s, bench.clock.now_s(), news=True)
        else:
            bench.run_alone(20.0)
            path.write_bytes(path.read_bytes() + b'{"kind": "doses", "used": {'[: torn % 28])
    account = read_watchdog_log(path).with_outlook(bench.wall_s)[SITE]
    assert account >= bench.truth
    if who == "hung":  # it wakes, and charges what it slept over
        bench.step()
        bench.run_to_rest()
        assert read_watchdog_log(path).with_outlook(bench.wall_s)[SITE] >= bench.truth


def test_guard_that_hung_over_a_whole_stimulus_charges_its_peak(tmp_path):
    """It was stopped in the rise and goes on when the probe is cool again: neither reading shows how hot it was."""
    with mock.patch.object(simulated, "LINK_S", math.inf):
        bench = LoggedBench(tmp_path / "log.jsonl", tick_s=0.02)
        bench.fire(HeatProfile(46.0, 1.0), 0.1)
        bench.run(1.0)
        bench.run_alone(20.0)
        bench.step()
        bench.run_to_rest()
    assert bench.guard.used()[SITE] >= 20.0 * share_per_s(46.0) >= bench.truth


def test_watchdog_killed_on_a_plateau_counts_the_rest_of_the_stimulus(tmp_path):
    profile = HeatProfile(46.0, 10.0)
    bench = LoggedBench(tmp_path / "log.jsonl")
    bench.fire(profile)
    bench.run(5.0)
    found = read_watchdog_log(tmp_path / "log.jsonl")
    assert found.outlook.site == SITE
    assert found.outlook.target_c >= 46.0
    assert found.outlook.left_s == pytest.approx(profile.duration_s - 5.0, abs=0.3)
    assert dose(profile) <= found.with_outlook(bench.wall_s)[SITE] <= 1.7 * dose(profile)


def test_device_without_a_cut_off_counts_until_it_is_seen_at_baseline(tmp_path):
    with mock.patch.object(simulated, "LINK_S", math.inf):
        bench = LoggedBench(tmp_path / "log.jsonl")
        bench.fire(HeatProfile(45.0, 10.0))
        bench.run(5.0)
    found = read_watchdog_log(tmp_path / "log.jsonl")
    minute, hour = (found.with_outlook(found.last_wall_s + s)[SITE] for s in (60.0, 3600.0))
    assert minute == pytest.approx(found.used[SITE] + 60 * share_per_s(45.0), rel=0.1)
    assert hour == pytest.approx(10.0, rel=0.01)  # out of use: ten times what any envelope allows


def test_log_at_baseline_has_nothing_ahead(tmp_path):
    bench = LoggedBench(tmp_path / "log.jsonl")
    bench.fire(HeatProfile(45.0, 0.5))
    bench.run_to_rest()
    found = read_watchdog_log(tmp_path / "log.jsonl")
    assert found.outlook is None
    assert found.used == found.with_outlook(math.inf) == bench.guard.used()


def test_log_of_an_older_version_counts_what_it_says(tmp_path):
    def event(kind, **details):
        return json.dumps({"kind": kind, "time_s": 1.0, "message": "", "index": None, "details": details})

    path = tmp_path / "log.jsonl"
    armed = event("heat_armed", site=SITE, target_c=45.0, plateau_s=4.0)
    path.write_text("\n".join([armed, event("heat_ended", site=SITE, used=0.0457)]) + "\n")
    assert read_watchdog_log(path).with_outlook(math.inf) == {SITE: 0.0457}
    with path.open("a") as file:
        file.write(armed + "\n")
    found = read_watchdog_log(path).with_outlook(math.inf)[SITE]
    assert found >= 0.0457 + dose(HeatProfile(45.0, 4.0, 30.0, 1.0, 1.0))


@pytest.mark.parametrize("content", ["", "no JSON\n", "[1]\n", '{"kind": "doses"}\n', '{"a": 1}\n'])
def test_log_without_a_line_that_can_be_read_says_nothing(tmp_path, content):
    path = tmp_path / "log.jsonl"
    path.write_text(content)
    found = read_watchdog_log(path)
    assert found is None or (not found.used and found.outlook is None)
    assert read_watchdog_log(tmp_path / "none.jsonl") is None


def test_lines_of_doses_come_while_there_is_heat_only(tmp_path):
    path = tmp_path / "log.jsonl"
    bench = LoggedBench(path)
    bench.run(5.0)
    assert len(path.read_text().splitlines()) == 1
    bench.fire(HeatProfile(45.0, 1.0))
    bench.run_to_rest()
    kinds = [json.loads(line)["kind"] for line in path.read_text().splitlines()]
    assert kinds.count(DOSES) >= 10


# Line by line.


def line(kind, **content):
    return json.dumps({"kind": kind, "time_s": 1.0, **content})


def read(path, *lines):
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return read_watchdog_log(path)


OPENED_LINE = line(OPENED, wall_s=100.0, used={SITE: 0.25}, link_s=None)
AHEAD = Outlook(SITE, 45.0, 5.0)


def test_each_line_says_what_it_says(tmp_path):
    path = tmp_path / "log.jsonl"
    assert read(path, OPENED_LINE) == LoggedDose({SITE: 0.25}, {SITE: 0.25}, None, math.inf, 100.0, 100.0)
    with_link = line(OPENED, wall_s=100.0, used={}, link_s=0.5)
    assert read(path, with_link).link_s == 0.5
    doses = line(DOSES, wall_s=107.0, used={SITE: 0.5}, outlook=asdict(AHEAD))
    expected = LoggedDose({SITE: 0.5}, {SITE: 0.25}, AHEAD, math.inf, 100.0, 107.0)
    assert read(path, OPENED_LINE, doses) == expected
    at_rest = line(DOSES, wall_s=109.0, used={SITE: 0.75}, outlook=None)
    found = read(path, OPENED_LINE, doses, "{broken", at_rest)
    assert (found.used, found.outlook, found.last_wall_s, found.is_closed) == (
        {SITE: 0.75},
        None,
        109.0,
        False,
    )
    found = read(path, OPENED_LINE, doses, line(ENDED))
    assert found == replace(expected, is_closed=True)
    assert read(path, line(ENDED)).is_closed


def test_what_a_log_said_does_not_change():
    assert LoggedDose.__dataclass_params__.frozen
    assert "__slots__" in vars(LoggedDose)


def test_events_count_only_where_there_are_no_lines_of_doses(tmp_path):
    ended = line("heat_ended", details={"site": SITE, "used": 0.9})
    armed = line("heat_armed", details={"site": SITE, "target_c": 45.0, "plateau_s": 4.0})
    other = line("heat_fired", details=None)
    path = tmp_path / "log.jsonl"
    new = read(path, OPENED_LINE, armed, ended)
    assert (new.used, new.outlook) == ({SITE: 0.25}, None)
    old = read(path, ended, other, armed, other)
    assert old.used == {SITE: 0.9}
    assert old.outlook == Outlook(SITE, 45.0, 4.0 + 2 * (45.0 - 30.0) / 1.0)
    cool = line("heat_armed", details={"site": SITE, "target_c": 25.0, "plateau_s": 4.0})
    assert read(path, cool).outlook == Outlook(SITE, 25.0, 4.0)
    assert read(path, armed, ended).outlook is None
    assert read(path, ended, line("heat_ended", details={"site": "hand", "used": 0.1})).used == {
        SITE: 0.9,
        "hand": 0.1,
    }


@pytest.mark.parametrize("last_wall_s, alone_s", [(107.0, 20.0), (math.nan, 0.0)])
@pytest.mark.parametrize("link_s", [0.5, math.inf])
def test_heat_that_no_line_ends_is_added(last_wall_s, alone_s, link_s):
    logged = LoggedDose({SITE: 0.25}, {}, AHEAD, link_s, 100.0, last_wall_s)
    most = AHEAD.most_dose(link_s, alone_s)
    assert logged.with_outlook(127.0) == {SITE: 0.25 + most}
    assert replace(logged, used={}).with_outlook(127.0) == {SITE: most}
    assert logged.used == {SITE: 0.25}, "what was read stays as it is"
    short = Outlook(SITE, 45.0, 0.5)
    assert replace(logged, used={}, outlook=short).with_outlook(127.0) == {
        SITE: short.most_dose(link_s, alone_s)
    }


class StubGuard:
    """What the log asks of a guard."""

    link_s, is_hot, ahead = math.inf, False, None

    def used(self):
        return {SITE: 0.25}

    def outlook(self):
        return self.ahead


def test_doses_are_written_with_news_at_each_change_and_ten_times_a_second(tmp_path):
    path, guard = tmp_path / "log.jsonl", StubGuard()
    log = WatchdogLog(path, at_once=True)
    log.open(guard, 100.0, 0.0)
    written = []
    for time_s, is_hot, news in [
        (0.0, False, False),
        (0.25, False, True),
        (1.0, False, False),
        (1.25, True, False),
        (1.3, True, False),
        (1.375, True, False),
        (1.4, True, True),
        (1.45, True, False),
        (1.46, False, False),
        (5.0, False, False),
    ]:
        before = len(path.read_text("utf-8").splitlines())
        guard.is_hot, guard.ahead = is_hot, AHEAD if is_hot else None
        log.write_doses(guard, 100.0 + time_s, time_s, news=news)
        if len(path.read_text("utf-8").splitlines()) > before:
            written.append(time_s)
    assert '"link_s": null' in path.read_text("utf-8").splitlines()[0]
    assert written == [0.25, 1.25, 1.375, 1.4, 1.46]
    found = read_watchdog_log(path)
    assert (found.last_wall_s, found.outlook, found.link_s) == (101.46, None, math.inf)


def test_first_look_at_a_hot_guard_is_written(tmp_path):
    path, guard = tmp_path / "log.jsonl", StubGuard()
    guard.is_hot, guard.ahead, guard.link_s = True, AHEAD, 0.5
    log = WatchdogLog(path, at_once=True)
    log.open(guard, 100.0, 0.0)
    log.write_doses(guard, 100.0, 0.0, news=False)
    found = read_watchdog_log(path)
    assert (found.outlook, found.link_s) == (AHEAD, 0.5)


def test_news_are_written_before_the_doses_that_they_led_to(tmp_path):
    path = tmp_path / "log.jsonl"
    log = WatchdogLog(path, at_once=True)
    log.write_news(StubGuard(), [Event("heat_ended", 1.0, "am Unterarm: 45 °C")], 101.0, 1.0)
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(each)["kind"] for each in lines] == ["heat_ended", DOSES]
    assert "°C" in lines[0], "readable by a person"
    log.write_news(StubGuard(), [], 101.0, 1.0)
    assert len(path.read_text("utf-8").splitlines()) == 2


@pytest.mark.parametrize("at_once", [True, False])
def test_log_without_a_path_writes_nothing(tmp_path, monkeypatch, at_once):
    monkeypatch.chdir(tmp_path)
    log = WatchdogLog(None, at_once=at_once)
    log.write({"kind": "a"})
    log.finish()
    assert list(tmp_path.iterdir()) == []


def test_disk_that_fails_stops_nobody(tmp_path):
    log = WatchdogLog(tmp_path / "no folder" / "log.jsonl", at_once=True)
    log.write({"kind": "a"})


def test_thread_writes_and_syncs_all_in_order_and_ends(tmp_path, monkeypatch):
    synced, threads = [], set()

    def fsync(_):
        synced.append(path.stat().st_size)
        threads.add(threading.current_thread())

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "log.jsonl"
    log = WatchdogLog(path)
    for n in range(100):
        log.write({"n": n})
    log.finish()
    assert threads == {log._writer}, "whoever writes does not wait for the disk"
    assert not log._writer.is_alive()
    assert log._writer.daemon, "whoever cannot write does not keep the process"
    assert [json.loads(each)["n"] for each in path.read_text().splitlines()] == list(range(100))
    assert synced[-1] == path.stat().st_size, "flushed before it is synced"


def test_thread_goes_on_after_each_batch(tmp_path, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: done.set())
    path = tmp_path / "log.jsonl"
    log = WatchdogLog(path)
    for n in range(3):
        done.clear()
        log.write({"n": n})
        assert done.wait(10.0)
    log.finish()
    assert len(path.read_text().splitlines()) == 3
