"""A session among strangers on its network: what they send changes nothing and is told; a stop always passes."""

import json
from types import SimpleNamespace
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_parts import START_S, Window, command, run, wired

from neurofb.clock import ManualClock
from neurofb.engine.commands import MOST_IN_A_STEP, TELL_EVERY_S, Commands
from neurofb.engine.heat_calibration import HeatCalibration
from neurofb.engine.prompting import Prompting
from neurofb.engine.sequencer import STREAM
from neurofb.engine.view_heartbeats import ViewHeartbeats
from neurofb.messages import Command
from neurofb.protocol.ratings import Scale
from neurofb.protocol.stop_rules import Action
from neurofb.signing import CommandGate, SessionKey

UID = "abc123"
KEY = SessionKey(UID)


class Sequencer:
    """Counts what is asked of it."""

    uid = UID

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *given: self.calls.append(name)


class Log:
    """Keeps events."""

    def __init__(self):
        self.events = []

    def log(self, kind, message, index, now_s, **details):
        self.events.append((kind, message, now_s, details))

    warn = log


class Network:
    """Texts that pass the gate in its own thread, here at once."""

    def __init__(self, texts=()):
        self.gate = CommandGate(UID, KEY)
        self.waiting = [each for each in map(self.gate.admit, texts) if each is not None]

    def pop(self, most):
        popped, self.waiting = self.waiting[:most], self.waiting[most:]
        return popped

    def pop_refused(self):
        return self.gate.pop_refused()

    def close(self):
        pass


def unsigned(name, **content):
    return Command(name, content, "operator", UID).to_json()


def test_thousand_unsigned_commands_a_second_call_nothing_and_are_told_once_in_five_seconds():
    sequencer, log, network = Sequencer(), Log(), Network()
    commands = Commands((), sequencer, log, ViewHeartbeats(), network)
    for step in range(3000):  # 15 s of the engine's steps
        for n in range(5):
            network.gate.admit(unsigned(("pause", "resume", "end", "continue", "button")[n]))
        commands.run_pending(0, 0.005 * step)
    assert not sequencer.calls
    assert {kind for kind, *_ in log.events} == {"refused"}
    assert len(log.events) <= 5 * (15 / TELL_EVERY_S)
    told = sum(details["n"] for *_, details in log.events)
    assert told >= 15_000 - 5 * 1000 * TELL_EVERY_S / 5


def test_network_takes_a_bounded_part_of_a_step():
    sender = Window("operator", KEY, UID)
    sequencer, network = Sequencer(), Network([sender.says("continue") for _ in range(100)])
    Commands((), sequencer, Log(), ViewHeartbeats(), network).run_pending(0, 0.0)
    assert len(sequencer.calls) == MOST_IN_A_STEP


def test_request_to_pair_calls_nothing_in_the_engine():
    """It is taken by the pairing's thread; one that comes here all the same is refused and told."""
    sequencer, log = Sequencer(), Log()
    network = Network([Command("pair", {"exchange": "1"}, "operator", UID).to_json()])
    Commands((), sequencer, log, ViewHeartbeats(), network).run_pending(0, 0.0)
    assert not sequencer.calls
    assert [kind for kind, *_ in log.events] == ["refused"]


signed_and_not = st.lists(
    st.tuples(
        st.sampled_from(["pause", "resume", "end", "stop", "mark", "rating", "continue", "button"]),
        st.sampled_from(["signed", "unsigned", "wrong key", "again", "other session"]),
    ),
    max_size=20,
)


@settings(max_examples=50)
@given(signed_and_not)
def test_sequencer_is_called_for_genuine_commands_and_stops_alone(acts):
    own, stranger = Window("operator", KEY, UID), Window("operator", SessionKey(UID), UID)
    sent, expected = [], []
    for name, how in acts:
        content = {"rating": {"prompt": "p1", "value": 2.0}, "mark": {"text": "a"}}.get(name, {})
        if how == "again":
            again = [
                text
                for text in sent
                if (json.loads(text)["command"], json.loads(text)["session"]) == (name, UID)
            ]
            if not again:
                continue
            sent.append(again[-1])
        elif how == "other session":
            sent.append(Command(name, content, "operator", "other").to_json())
            continue
        else:
            speaks = {"signed": own.says, "wrong key": stranger.says, "unsigned": unsigned}[how]
            sent.append(speaks(name, **content))
        if name == "stop" or how == "signed":
            expected.append(name)
    sequencer = Sequencer()
    commands = Commands((), sequencer, Log(), ViewHeartbeats(), Network(sent))
    for step in range(3):
        commands.run_pending(0, float(step))
    calls = {"end": "end_early", "continue": "continue_phase", "rating": "answer"}
    assert sequencer.calls == [calls.get(name, name) for name in expected if name != "mark"]


ATTACK = [(t / 10, name) for t in range(1, 80, 3) for name in ("pause", "resume", "end", "continue")]


def test_session_runs_as_if_strangers_were_not_there(tmp_path):
    """All that they ask for is refused, whole session long; events and statuses say so, and nothing else differs."""
    alone = run(tmp_path / "a", [(8, command("end"))])
    among = run(
        tmp_path / "b",
        [(8, command("end"))],
        prepare=wired(
            lambda key, uid: [(t, Command(name, {}, "operator", uid).to_json()) for t, name in ATTACK]
        ),
    )
    told = [event for event in among.events if event["kind"] == "refused"]
    assert 4 <= len(told) <= 4 * 2
    assert all("not signed by a window of this session" in each["message"] for each in told)
    assert any("not signed" in words for status in among.statuses for words in status["warnings"])
    assert [e for e in among.events if e["kind"] != "refused"] == alone.events
    assert (among.column("neurofb-feedback", "level") == alone.column("neurofb-feedback", "level")).all()


def test_strangers_stop_ends_the_session(tmp_path):
    ran = run(tmp_path, prepare=wired(lambda key, uid: [(5, '{"command": "stop"}')]))
    assert (ran.outcome.kind, ran.outcome.exit_code) == ("stopped", 4)


def test_signed_commands_are_obeyed_and_recorded_with_their_sender(tmp_path):
    def acts(key, uid):
        window = Window("operator", key, uid)
        return [(2, window.says("mark", text="cough")), (5, window.says("end"))]

    ran = run(tmp_path, prepare=wired(acts))
    assert ran.outcome.kind == "ended"
    asked = [each["details"] for each in ran.of_kind("command")]
    assert [each["sender"] for each in asked if each["by"] == "operator"] == ["w1", "w1"]
    assert ran.of_kind("note")[0]["message"] == "cough"


def test_trusted_network_is_obeyed_and_the_record_says_so(tmp_path):
    acts = wired(lambda key, uid: [(5, Command("end", {}, "anybody", uid).to_json())], trusts=True)
    ran = run(tmp_path, prepare=acts, trust_network=True)
    assert ran.outcome.kind == "ended"
    assert ran.of_kind("start")[0]["details"]["network"] == "trusted"
    assert "every program on this network" in ran.of_kind("start")[0]["details"]["warnings"][0]
    assert run(tmp_path, [(2, command("end"))]).of_kind("start")[0]["details"]["network"] == "signed"


@pytest.mark.parametrize("with_file", [False, True])
def test_key_is_nowhere_in_the_record(tmp_path, with_file):
    path = tmp_path / "lab.key" if with_file else None

    def acts(key, uid):
        return [(2, Window("operator", key, uid).says("end"))]

    ran = run(tmp_path / "data", prepare=wired(acts), key_file=path)
    key = ran.assembled.key
    secrets = [key.engine, key._root, *(key.own(role) for role in ("participant", "operator", "sound"))]
    if path is not None:
        secrets.append(bytes.fromhex(path.read_text()))
    for file in (tmp_path / "data").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not any(each in content or each.hex().encode() in content for each in secrets), file
            assert b"lab.key" not in content


# -- the more careful answer, and who may resume ---------------------------------------------------------------------


def rated_twice(tmp_path, first, second, **asked):
    """A session whose first question about heat is answered twice, at once; the first answer is the rating."""
    waiting = []

    def answer_twice(event):
        if event.kind == "prompt" and event.details["level"] is not None and not waiting:
            waiting.append((event.details["prompt"], event.time_s))

    class Answers:
        def pop(self):
            if len(waiting) != 1:
                return []
            waiting.append(None)
            return [command("rating", prompt=waiting[0][0], value=value) for value in (first, second)]

        def close(self):
            pass

    def prepare(assembled):
        answers = Answers()
        answers.pop, pop = lambda: [each.replace("UID", assembled.uid) for each in pop()], answers.pop
        assembled.engine._commands._listeners = (*assembled.engine._commands._listeners, answers)

    return run(
        tmp_path, [(80, command("end"))], prepare=prepare, on_event=answer_twice, answers=False, **asked
    )


@pytest.mark.parametrize(
    "first, second", [(2, 95), (95, 2), (None, 95)], ids=["low first", "high first", "none first"]
)
def test_highest_of_two_answers_lowers_heat(tmp_path, first, second):
    ran = rated_twice(tmp_path, first, second)
    assert "rated 95" in ran.of_kind("heat_rule_lower")[0]["message"]
    kept = next(each for each in ran.of_kind("rating"))
    assert kept["details"]["value"] == first
    again = ran.of_kind("rating_again")[0]
    assert (again["details"]["value"], again["details"]["prompt"]) == (second, kept["details"]["prompt"])


def test_repeated_answer_is_refused_and_not_logged_again(tmp_path):
    ran = rated_twice(tmp_path, 20, 20)
    assert not ran.of_kind("rating_again")
    assert "the first answer counts" in ran.of_kind("refused")[0]["message"]


def test_highest_of_two_answers_counts_in_calibration():
    clock = ManualClock(START_S)
    added = []

    class Calibration:
        site = "left"

        def next(self):
            return None

        def add_answer(self, answer):
            added.append(answer.rating)

        def result(self):
            return CalibrationResult()

        def not_above(self, celsius):
            added.append(("not above", celsius))

    class CalibrationResult:
        temperatures: ClassVar = {}

        def model_dump(self, mode):
            return {}

    scale = Scale(name="intensity", kind="vas", asks="intensity", question="?", low="a", high="b")
    log = Log()
    log.log = lambda *a, **k: None
    prompting = Prompting(log)
    stimulator = SimpleNamespace(
        pop_events=list, pop_refusal=lambda: False, unmet=lambda now_s: (), highest_c=44.0
    )
    running = HeatCalibration(Calibration(), scale, 9.0, stimulator, prompting, log, lambda found: None)
    running.is_on, running._waits, running._rated_c = True, "answer", 44.0
    asked = prompting.ask(scale, START_S, trial=1, level="ladder", site="left")
    running.rated(prompting.answer(asked.id, 2, START_S + 1), START_S + 1)
    running.rated_again(prompting.later_answer(asked.id, 95, START_S + 2))
    running.too_much_after_all(Action("lower", 1.0, "too much"))
    clock.advance(20)
    running.step(clock.now_s())
    assert added == [("not above", 43.0), 95.0]


def test_only_who_paused_resumes_and_the_operator_may_always_pause(tmp_path):
    acts = [
        (2, command("pause", by="participant")),
        (3, command("resume", by="operator")),
        (4, command("pause", by="operator")),
        (5, command("resume", by="participant")),
        (6, command("resume", by="operator")),
        (7, command("end")),
    ]
    ran = run(tmp_path, acts)
    (refused,) = ran.of_kind("refused")
    assert "paused by participant, and only who paused resumes" in refused["message"]
    running = [
        each["time_s"] - START_S for each in ran.of_kind("state") if each["details"]["after"] == "running"
    ]
    assert running[1] == pytest.approx(6, abs=0.1)
    assert [each["details"]["by"] for each in ran.of_kind("command")[1:]] == [
        "participant", "operator", "participant", "operator", "operator",
    ]  # fmt: skip


@pytest.mark.parametrize("said", [[(2, "pause"), (15, "resume")], [(7, "resume")]])
def test_nobody_pauses_or_resumes_in_the_engines_name(tmp_path, said):
    def strangers(_key, uid):
        return [(at_s, Command(name, {}, STREAM, uid).to_json()) for at_s, name in said]

    ran = run(
        tmp_path, [(16, command("end"))], prepare=wired(strangers, trusts=True), trust_network=True,
        headset_faults=("stall@3+10",),
    )  # fmt: skip
    assert ran.outcome.kind == "ended"
    running = [each["time_s"] for each in ran.of_kind("state") if each["details"]["after"] == "running"]
    assert running[-1] - START_S > 12  # when the EEG is there again, and nobody is in the way


def test_window_without_a_key_is_told_as_such_and_not_as_an_attack():
    gate = CommandGate(UID, KEY)
    assert gate.admit(unsigned("alive", view="operator", drew_s=1.0)) is None
    assert gate.admit(unsigned("resume")) is None
    window, stranger = gate.pop_refused()
    assert window.reason.startswith("a window without this session's key is open: it counts as no view")
    assert "somebody else on the network" in stranger.reason
