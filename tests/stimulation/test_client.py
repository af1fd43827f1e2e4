"""What the engine holds of a stimulator, on a manual clock: beside a guard, and before a watchdog's pipe."""

import json
from dataclasses import asdict

import pytest
from stimulation_parts import SITE, START_S, thermode_text

from neurofb.clock import ManualClock
from neurofb.errors import SafetyStop, UnknownName, UnsafeHeat, WrongInput
from neurofb.events import Event
from neurofb.stimulation import client as clients
from neurofb.stimulation.client import (
    ANSWER_S,
    BEAT_S,
    DOUBT_S,
    END_S,
    PREPARE_S,
    SILENT_S,
    LocalClient,
    Reply,
    WatchdogClient,
    open_stimulator,
)
from neurofb.stimulation.conditions import NOTHING, Facts, Required
from neurofb.stimulation.driver import Capabilities, Reading
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.thermode_file import load_thermode
from neurofb.stimulation.watchdog_log import DOSES, ENDED, OPENED

PROFILE = HeatProfile(45.0, 1.0)
FACTS = Facts(START_S, 0.1, recording=True, view=True)
ABILITIES = Capabilities("x", 50.0, 70.0, 40.0, 40.0, 0.1)


class StubGuard:
    """Writes down what it is asked, and refuses what it is told to refuse."""

    link_s, is_hot = 0.5, False

    def __init__(self):
        self.calls, self.refuses, self.news = [], (), []

    def __getattr__(self, name):
        def call(*arguments):
            self.calls.append((name, *arguments))
            if name in self.refuses:
                raise UnsafeHeat(f"{name} is refused")
            return {"connect": ABILITIES, "used": {SITE: 0.25}}.get(name)

        return call

    def pop_events(self):
        found, self.news = self.news, []
        return found


class Local:
    """A local client with a stub of a guard, and its log."""

    def __init__(self, path):
        self.guard, self.clock, self.path = StubGuard(), ManualClock(START_S), path
        self.client = LocalClient(self.guard, self.clock, path)

    def logged(self):
        return [json.loads(line) for line in self.path.read_text("utf-8").splitlines()]


@pytest.fixture
def local(tmp_path):
    return Local(tmp_path / "log.jsonl")


@pytest.mark.parametrize("name, arguments", [("end", ("button",)), ("abort", ("stop key",))])
def test_local_client_passes_on_at_once(local, name, arguments):
    getattr(local.client, name)(*arguments)
    for each in ("prepare", "self_test", "readings", "used"):
        getattr(local.client, each)()
    names = ["prepare", "self_test", "readings", "used"]
    assert local.guard.calls == [(name, *arguments), *((each,) for each in names)]


def test_local_client_writes_its_log_without_a_thread(local):
    assert local.client._log._writer is None
    assert local.client.connect() is ABILITIES
    local.clock.advance(1.0)
    local.guard.news = [Event("heat_fault", START_S, "a fault")]
    local.client.beat()
    assert [each["kind"] for each in local.logged()] == [OPENED, "heat_fault", DOSES], "at the beat"
    local.guard.news = [Event("heat_ended", START_S, "late")]
    assert [event.kind for event in local.client.pop_events()] == ["heat_fault", "heat_ended"]
    assert local.client.pop_events() == []
    local.guard.news = [Event("heat_aborted", START_S, "last")]
    local.client.close()
    assert [event.kind for event in local.client.pop_events()] == ["heat_aborted"]
    opened, *_, ended = local.logged()
    assert (opened["time_s"], opened["wall_s"]) == (START_S, START_S)
    assert ended == {"kind": ENDED, "time_s": START_S + 1.0, "why": "closed"}
    assert [each["kind"] for each in local.logged()][-3:-1] == ["heat_aborted", DOSES]
    assert ("close",) in local.guard.calls


def test_local_client_numbers_its_requests_and_says_what_became_of_them(local):
    client, guard = local.client, local.guard
    guard.refuses = ("place", "schedule")
    assert [client.place(SITE, "operator"), client.schedule(PROFILE, SITE, 7.0)] == [1, 2]
    assert guard.calls == [("place", SITE, "operator"), ("schedule", PROFILE, SITE, 7.0)], "and no step"
    assert client.pop_replies() == [Reply(1, "place is refused"), Reply(2, "schedule is refused")]
    assert client.pop_replies() == []
    guard.calls, guard.refuses = [], ()
    assert [client.lower(1.0), client.reset(), client.schedule(PROFILE, SITE, 7.0)] == [3, 4, 5]
    assert guard.calls == [("lower", 1.0), ("reset",), ("schedule", PROFILE, SITE, 7.0), ("step",)]
    assert client.pop_replies() == [Reply(3, ""), Reply(4, ""), Reply(5, "")]
    with pytest.raises(WrongInput, match="lowered by more than 0 °C"):
        client.lower(0.0)
    assert client.pop_replies() == []


def test_answer_to_a_schedule_is_that_of_the_last_request(local):
    """A refusal before it is another's: what is allowed and due now is fired now."""
    local.guard.refuses = ("place",)
    for _ in range(3):
        local.client.place(SITE, "operator")
    local.client.schedule(PROFILE, SITE, START_S)
    assert local.guard.calls[-1] == ("step",)


def test_local_beat_without_facts_leaves_those_of_before(local):
    local.client.beat(FACTS)
    local.client.beat()
    assert local.guard.calls == [("note_facts", FACTS), ("step",), ("step",)]


# Before a pipe.


class StubPipe:
    """A pipe without a process: it writes down what is sent; the watchdog's part is played by the test."""

    def __init__(self, clock):
        self.clock, self.sent, self.asked, self.answers = clock, [], [], []
        self.heard_s, self.used, self.pid = clock.now_s(), None, 4711
        self.events, self.batches, self.closed, self.started = [], [], [], 0
        self.delays_s = iter(())
        self.abilities = asdict(ABILITIES)

    def start(self):
        self.started += 1

    def ask(self, do, **content):
        self.asked.append((do, content))
        if do == "clock":
            there_s, back_s = next(self.delays_s, (0.0, 0.0))
            self.clock.advance(there_s)
            theirs_s = self.clock.now_s() - 30.0
            self.clock.advance(back_s)
            return theirs_s
        return {"connect": self.abilities, "prepare": ("a valve",), "self_test": ("a fan",)}.get(do)

    def send(self, do, **content):
        self.sent.append((do, content))
        return 100 + len(self.sent)

    def pop_answers(self):
        found, self.answers = self.answers, []
        return found

    def pop_events(self):
        return self.events

    def pop_readings(self):
        return self.batches

    def close(self, wait_s):
        self.closed.append(wait_s)


@pytest.fixture
def watched(monkeypatch):
    """Give a function that makes a client before a stub of a pipe."""
    monkeypatch.setattr(clients, "WatchdogPipe", StubPipe)

    def give(**how):
        clock = ManualClock(START_S)
        return WatchdogClient("simulated", Envelope(), clock, **how)

    return give


def hear(client):
    """Let the watchdog say something now."""
    client._pipe.heard_s = client._clock.now_s()


def test_watchdog_is_opened_as_it_is_asked(watched, tmp_path):
    client = watched()
    assert (client.connect(), client._pipe.started, client.pid) == (ABILITIES, 1, 4711)
    *clock, (opening, asked), (connect, nothing) = client._pipe.asked
    assert len(clock) == 16
    assert (opening, connect, nothing) == ("open", "connect", {})
    assert asked == {
        "offset_s": 30.0,
        "kind": "simulated",
        "envelope": Envelope().model_dump(),
        "seed": 0,
        "faults": [],
        "used": {},
        "log": None,
        "required": asdict(Required()),
        "file": None,
    }
    path = tmp_path / "tcs.toml"
    path.write_text(thermode_text("tcs2"), "utf-8")
    file = load_thermode(path)
    client = watched(seed=3, faults=("lost@1",), used={SITE: 0.5}, log=path, required=NOTHING, file=file)
    client.connect()
    asked = client._pipe.asked[-2][1]
    assert (asked["seed"], asked["faults"], asked["used"]) == (3, ["lost@1"], {SITE: 0.5})
    assert (asked["log"], asked["required"]) == (str(path), asdict(NOTHING))
    assert asked["file"] == file.model_dump(mode="json", exclude_unset=True)
    assert len(json.dumps(asked)) > len(json.dumps(file.model_dump(mode="json", exclude_unset=True)))
    with pytest.raises(WrongInput, match="the thermode's fault 'x' cannot be read"):
        watched(faults=("x",))


def test_fastest_of_the_answers_tells_how_far_the_clocks_are_apart(watched):
    client = watched()
    client._pipe.delays_s = iter([(0.5, 0.0), (0.25, 0.125), (0.0625, 0.0625), (0.0, 0.75)])
    client._pipe.asked.clear()
    times = [client._offset_s()]
    assert times == [30.0], "instant ones follow"
    client._pipe.delays_s = iter([(0.5, 0.0), (0.125, 0.0), *[(0.0, 1.0)] * 14])
    assert client._offset_s() == 30.0 - 0.0625


@pytest.mark.parametrize("abort_c_per_s, wait_s", [(40.0, END_S), (1.0, 2.0 * ((50.0 - 30.0) / 1.0 + 0.1))])
def test_device_has_twice_its_return_to_be_at_baseline(watched, abort_c_per_s, wait_s):
    client = watched()
    client.close()
    client._pipe.abilities["abort_c_per_s"] = abort_c_per_s
    client.connect()
    client.close()
    assert client._pipe.closed == [END_S, pytest.approx(wait_s)]


def test_device_has_a_minute_to_test_itself(watched):
    client = watched()
    assert (client.prepare(), client.self_test()) == (["a valve"], ["a fan"])
    assert client._pipe.asked == [("prepare", {"wait_s": PREPARE_S}), ("self_test", {})]


def test_each_request_says_until_when_it_may_be_answered(watched):
    client, soon_s = watched(), START_S + ANSWER_S
    numbers = [client.place(SITE, "operator"), client.lower(2.0), client.reset()]
    numbers.append(client.schedule(PROFILE, SITE, START_S + 60.0))
    client.beat(FACTS)
    numbers.append(client.schedule(PROFILE, SITE, START_S + 0.25))
    client.end("button")
    client.abort("stop key")
    stimulus = {"profile": asdict(PROFILE), "site": SITE}
    assert client._pipe.sent == [
        ("place", {"answer_by_s": soon_s, "site": SITE, "by": "operator"}),
        ("lower", {"answer_by_s": soon_s, "by_c": 2.0}),
        ("reset", {"answer_by_s": soon_s}),
        ("schedule", {"answer_by_s": START_S + 60.0, **stimulus, "at_s": START_S + 60.0, "facts": None}),
        ("schedule", {"answer_by_s": soon_s, **stimulus, "at_s": START_S + 0.25, "facts": asdict(FACTS)}),
        ("end", {"why": "button"}),
        ("abort", {"why": "stop key"}),
    ]
    assert numbers == [101, 102, 103, 104, 105]
    with pytest.raises(WrongInput, match="lowered by more than 0 °C"):
        client.lower(-1.0)


def test_heartbeats_come_as_often_as_they_should_with_the_facts(watched):
    client = watched()
    for facts in (FACTS, None, FACTS):
        client._clock.advance(BEAT_S * 0.6)
        hear(client)
        client.beat(facts)
    assert client._pipe.sent == [
        ("beat", {"answer_by_s": client._clock.now_s() - BEAT_S * 0.6 + SILENT_S, "facts": None})
    ]
    client._pipe.answers = [{"id": 101, "value": None}]
    client._clock.wait_until(START_S + 2.2 * BEAT_S + 1e-9)
    hear(client)
    client.beat(FACTS)
    assert client._pipe.sent[1:] == [
        ("beat", {"answer_by_s": client._clock.now_s() + SILENT_S, "facts": asdict(FACTS)})
    ]
    client.beat(FACTS)
    assert len(client._pipe.sent) == 2
    assert client.pop_replies() == [], "the answer to a heartbeat is nobody's"


def test_heartbeat_is_due_when_its_time_has_come_to_the_microsecond(watched, monkeypatch):
    monkeypatch.setattr(clients, "BEAT_S", 0.0625)  # no rounding
    client = watched()
    client._clock.advance(0.0625)
    hear(client)
    client.beat()
    assert [do for do, _ in client._pipe.sent] == ["beat"]


def test_replies_say_what_was_refused_once(watched):
    client = watched()
    client.place(SITE, "operator")
    client.reset()
    client._pipe.answers = [
        {"id": 101, "error": "UnsafeHeat", "message": "too hot"},
        {"id": 102, "value": None},
        {"id": 999, "value": None},
    ]
    assert client.pop_replies() == [Reply(101, "too hot"), Reply(102, "")]
    assert client.pop_replies() == []


def test_what_comes_from_the_watchdog_is_unpacked(watched):
    client = watched(used={SITE: 0.5})
    client._pipe.batches = [[[1.0, 32.0, 32.5, "baseline"]], [[2.0, 45.0, 44.5, "plateau"]] * 2]
    plateau = Reading(2.0, 45.0, 44.5, "plateau")
    assert client.readings() == [Reading(1.0, 32.0, 32.5, "baseline"), plateau, plateau]
    event = Event("heat_fault", 3.0, "a fault", details={"site": SITE})
    client._pipe.events = [json.loads(event.to_json())]
    assert client.pop_events() == [event]
    assert client.used() == {SITE: 0.5}
    client._pipe.used = {SITE: 0.75}
    assert client.used() == {SITE: 0.75}


def test_silent_watchdog_stops_the_session_after_a_second_look(watched):
    client = watched()
    client._clock.advance(SILENT_S)
    client.beat()
    assert client._doubted_s is None, "a second is allowed"
    client._clock.advance(1.0)
    client.beat()
    client._clock.advance(DOUBT_S - 0.125)
    client.beat()
    client._clock.advance(0.125)
    with pytest.raises(SafetyStop, match=r"has said nothing for 2\.2 s; .*: switch the stimulator off"):
        client.beat()


def test_doubt_ends_when_the_watchdog_speaks(watched):
    client = watched()
    for _ in range(3):
        client._clock.advance(SILENT_S + 1.0)
        client.beat()  # a doubt, and not the second one of the same
        hear(client)
        client._pipe.answers = [{"id": 100 + n} for n in range(1, 9)]
        client.beat()


@pytest.mark.parametrize("do", ["place", "lower", "reset", "schedule"])
def test_request_without_an_answer_in_time_stops_the_session(watched, do):
    client = watched()
    asked = {
        "place": lambda: client.place(SITE, "operator"),
        "lower": lambda: client.lower(1.0),
        "reset": client.reset,
        "schedule": lambda: client.schedule(PROFILE, SITE, START_S),
    }
    asked[do]()

    def beat(at_s):
        client._clock.wait_until(START_S + at_s)
        hear(client)
        client._pipe.answers = [{"id": 100 + n} for n in range(2, 99)]  # all others
        client.beat()

    beat(ANSWER_S)
    assert client._doubted_s is None
    beat(ANSWER_S + 0.125)
    with pytest.raises(SafetyStop, match=f"has not answered '{do}' in time: switch the stimulator off"):
        beat(ANSWER_S + 0.125 + DOUBT_S)


def test_heartbeat_without_an_answer_stops_the_session(watched):
    client = watched()

    def beat_for_long():
        for _ in range(100):
            client._clock.advance(BEAT_S)
            hear(client)
            client.beat()

    with pytest.raises(SafetyStop, match="has not answered 'beat' in time"):
        beat_for_long()
    late_s = client._clock.now_s() - START_S - BEAT_S
    assert SILENT_S + DOUBT_S <= late_s <= SILENT_S + DOUBT_S + 3 * BEAT_S + 1e-9


# Which of the two.


@pytest.mark.parametrize("required", [NOTHING, Required(recording=False), Required(view=False)])
def test_real_stimulator_without_a_recording_or_a_view_is_refused(required):
    with pytest.raises(
        WrongInput, match="'tcs2' heats a person: it needs a recording and somebody who watch"
    ):
        open_stimulator("tcs2", envelope=Envelope(), clock=ManualClock(), required=required)


@pytest.mark.parametrize("required", [None, Required(), Required(eeg=False)])
def test_real_stimulator_that_is_watched_is_opened(tmp_path, required):
    path = tmp_path / "tcs.toml"
    path.write_text(thermode_text("tcs2"), "utf-8")
    file = load_thermode(path)

    client = open_stimulator("tcs2", envelope=Envelope(), clock=ManualClock(), required=required, file=file)
    assert isinstance(client, LocalClient)


class LiveClock:
    """A clock that is not manual, and stands."""

    def now_s(self):
        return START_S


@pytest.mark.usefixtures("watched")
def test_clock_decides_whether_there_is_a_process(tmp_path):
    log = tmp_path / "log.jsonl"
    how = {"seed": 3, "faults": ("lost@1",), "used": {SITE: 0.5}, "log": log, "required": NOTHING}
    client = open_stimulator(envelope=Envelope(), clock=LiveClock(), **how)
    assert isinstance(client, WatchdogClient)
    opening = client._opening
    assert (opening["kind"], opening["seed"], opening["faults"]) == ("simulated", 3, ["lost@1"])
    assert (opening["used"], opening["log"]) == ({SITE: 0.5}, str(log))
    assert open_stimulator(envelope=Envelope(), clock=LiveClock())._opening["seed"] == 0
    local = open_stimulator(envelope=Envelope(), clock=ManualClock(), **how)
    assert isinstance(local, LocalClient)
    assert local.used() == {SITE: 0.5}
    local.connect()
    assert log.exists()


@pytest.mark.usefixtures("watched")
@pytest.mark.parametrize("clock", [ManualClock(), LiveClock()])
def test_unknown_kind_or_fault_is_refused_before_anything_is_started(clock):
    with pytest.raises(UnknownName, match="no stimulator 'oven'"):
        open_stimulator("oven", envelope=Envelope(), clock=clock, required=NOTHING)
    with pytest.raises(WrongInput, match="the thermode's fault 'x' cannot be read"):
        open_stimulator(envelope=Envelope(), clock=clock, faults=("x",))


@pytest.mark.parametrize("seed, same", [(0, True), (1, False)])
def test_seed_of_the_noise_is_0_if_nothing_is_said(seed, same):
    def measured(**how):
        client = open_stimulator(envelope=Envelope(), clock=ManualClock(), required=NOTHING, **how)
        client.connect()
        client.beat()
        return [reading.measured_c for reading in client.readings()]

    assert measured()
    assert (measured() == measured(seed=seed)) == same
