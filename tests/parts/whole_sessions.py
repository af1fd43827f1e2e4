"""Plays a drawn session through the real engine on a manual clock, and writes down what is true of it.

In: a `DrawnSession` and a folder. Out: `Played`: the probe and the skin at every step of the thermode's physics, when
samples came, what was asked, how it ended. Kept: nothing outside; what the program does not have (other processes,
people, windows, accidents) stands here, and is stepped as the clock moves.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from drawn_sessions import DrawnSession
from pretended_stream import PretendedStream

from neurofb.clock import ManualClock
from neurofb.engine import engine as engine_module
from neurofb.engine.assembly import Assembled, Hooks, assemble
from neurofb.engine.engine import Outcome
from neurofb.engine.planning import Asked, plan_session
from neurofb.errors import NeurofbError, SafetyStop, StimulatorMissing
from neurofb.events import Event
from neurofb.messages import COMMANDS, Command
from neurofb.signing import CommandGate, Refused, SessionKey, Signer
from neurofb.stimulation import client, watchdog, watchdog_pipe
from neurofb.stimulation.drivers.simulated import SimulatedThermode, parse_heat_faults

START_S = 1000.0
DEVICE = str(Path(__file__).with_name("two-channels.toml"))
PARTICIPANT = "P01"
#: So much longer than planned a session may take before somebody ends it.
PATIENCE_S = 10.0
#: After the session the device is looked at for so long.
AFTER_S = 6.0
#: A window says so often that it draws.
BEAT_S = 0.5
#: Documents that are no commands.
NONSENSE = (
    "[" * 5_000,
    "{}",
    "",
    '{"command": "fire", "session": "UID", "target_c": 49}',
    '{"command": "rating", "session": "UID", "prompt": "p1", "value": 1' + "0" * 400 + "}",
    '{"command": "mark", "session": "UID", "text": "\\ud800"}',
    '{"command": "rating", "session": "UID", "prompt": {"a": 1}, "value": 5}',
    '{"command": "pause", "session": "UID", "celsius": 50}',
    "\ud800",
)


class Killed(BaseException):
    """The engine's process ends here."""


class ProgramError(Exception):
    """A mistake of the program."""


class Witness(SimulatedThermode):
    """A thermode that writes down what is true of it, at each step of its physics, whoever looks or not."""

    def __init__(self, *how: Any) -> None:
        super().__init__(*how)
        self.rows: list[tuple[float, float, float, float, float, bool, int]] = []
        self.sites: list[str] = [""]

    def _move(self, dt_s: float, now_s: float) -> None:
        super()._move(dt_s, now_s)
        on = self._course is not None
        commanded_c = self._commanded_c()
        self.rows.append((now_s, dt_s, commanded_c, self._probe_c, self._skin_c, on, len(self.sites) - 1))


@dataclass
class World:
    """The time, and what goes on in it without the engine."""

    drawn: DrawnSession
    clock: ManualClock = field(default_factory=lambda: ManualClock(START_S))
    device: Witness | None = None
    pipe: PipeHere | None = None
    #: What has happened already.
    done: set[str] = field(default_factory=set)

    def t_s(self) -> float:
        """Return the time of the session."""
        return self.clock.now_s() - START_S

    def is_due(self, *kinds: str) -> bool:
        """Return whether the accident is one of these, and its time has come."""
        accident = self.drawn.accident
        return bool(accident) and accident[0] in kinds and self.t_s() >= accident[1]

    def go_to(self, time_s: float) -> None:
        """Let time pass, and the watchdog do what it does meanwhile."""
        while (now_s := self.clock.now_s()) < time_s:
            if self.pipe is None or not self.pipe.is_running:
                self.clock.wait_until(time_s)
                return
            self.clock.wait_until(min(time_s, max(now_s + 1e-6, self.pipe.next_turn_s)))
            self.pipe.turn()

    def fail_watchdog(self) -> None:
        """Let the watchdog have its accident, if that is what is drawn."""
        if self.pipe is not None and self.is_due("watchdog killed", "both killed"):
            self.pipe.kill()


class EngineClock(ManualClock):
    """The clock as the engine's process reads it: that may be killed, or hang, at any reading."""

    def __init__(self, world: World) -> None:
        super().__init__(START_S)
        self.world = world

    def now_s(self) -> float:
        """Return the present time, if this process lives."""
        world = self.world
        if world.drawn.accident and "engine" not in world.done:
            if world.is_due("engine killed", "both killed"):
                world.done.add("engine")
                raise Killed
            if world.is_due("engine hangs"):
                world.done.add("engine")
                world.go_to(world.clock.now_s() + world.drawn.accident[2])
        return world.clock.now_s()

    def wait_until(self, time_s: float) -> None:
        """Let time pass until then."""
        self.world.go_to(time_s)

    def advance(self, step_s: float) -> None:
        """Let time pass."""
        self.world.go_to(self.world.clock.now_s() + step_s)


class LinesHere:
    """A watchdog's stdin and stdout, without threads."""

    def __init__(self, pipe: PipeHere) -> None:
        self.requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.send = pipe.receive

    def finish(self) -> None:
        """Nothing waits."""


class PipeHere:
    """The real watchdog on the world's clock instead of in a process; as ``watchdog_pipe.WatchdogPipe``."""

    def __init__(self, world: World) -> None:
        self._world, self._lines = world, LinesHere(self)
        self._dog: watchdog.Watchdog | None = None
        self._n, self._is_gone = 0, False
        self._answers: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._readings: list[list[Any]] = []
        self.heard_s = world.clock.now_s()
        self.used: dict[str, float] | None = None
        self.pid = None

    def start(self) -> None:
        """Nothing to start."""

    def receive(self, document: dict[str, Any]) -> None:
        """Sort what the watchdog sends."""
        self.heard_s = self._world.clock.now_s()
        document = json.loads(json.dumps(document))
        if "readings" in document:
            self._readings.append(document["readings"])
        elif "event" in document:
            self._events.append(document["event"])
        elif "used" in document:
            self.used = document["used"]
        else:
            self._answers.append(document)

    def send(self, do: str, **content: Any) -> int:
        """Send a request, and return its number."""
        if self._is_gone:
            raise SafetyStop("the stimulator's watchdog is gone")
        self._n += 1
        self._lines.requests.put(json.loads(json.dumps({"do": do, "id": self._n, **content})))
        return self._n

    def ask(self, do: str, **content: Any) -> Any:
        """Send a request and return its answer."""
        if do == "clock":
            return self._world.clock.now_s()
        if do == "open":
            self._dog = watchdog.open_watchdog(content, self._world.clock, self._lines)
            return 0
        number = self.send(do, **content)
        while self.is_running:
            self.turn()
            for answer in self.pop_answers():
                if answer["id"] == number:
                    return watchdog_pipe._value(answer)
            self._world.go_to(self._world.clock.now_s() + 0.01)
        raise StimulatorMissing("the stimulator's watchdog is gone")

    def pop_answers(self) -> list[dict[str, Any]]:
        """Return the answers since the last call."""
        found, self._answers = self._answers, []
        return found

    def pop_events(self) -> list[dict[str, Any]]:
        """Return the events since the last call."""
        found, self._events = self._events, []
        return found

    def pop_readings(self) -> list[list[Any]]:
        """Return the readings since the last call."""
        found, self._readings = self._readings, []
        return found

    def close(self, wait_s: float) -> None:
        """Let the watchdog go, and wait for it."""
        if self._dog is not None:
            self._lines.requests.put({"do": "close"})
            until_s = self._world.clock.now_s() + wait_s
            while self.is_running and self._world.clock.now_s() < until_s:
                self._world.go_to(min(until_s, self.next_turn_s))
            if self.is_running:
                raise SafetyStop(f"the probe is not back at baseline after {wait_s:g} s")

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._dog is not None

    @property
    def next_turn_s(self) -> float:
        """When the watchdog does something again."""
        assert self._dog is not None
        return self._world.clock.now_s() + 0.005 if self._hangs else self._dog.next_turn_s

    @property
    def _hangs(self) -> bool:
        accident, t_s = self._world.drawn.accident, self._world.t_s()
        return bool(accident) and accident[0] == "watchdog hangs" and 0 <= t_s - accident[1] < accident[2]

    def turn(self) -> None:
        """Let it do one turn, if it does not hang."""
        self._world.fail_watchdog()
        if self._dog is None or self._hangs:
            return
        self._dog.turn(self._dog._next_now())
        if self._dog.is_over:
            self._dog.close()
            self._dog, self._is_gone = None, True

    def kill(self) -> None:
        """End the process as the system would: what it had not written yet is lost."""
        self._dog, self._is_gone = None, True

    def engine_is_gone(self) -> None:
        """The other end of the pipe has ended."""
        self._lines.requests.put({"do": "eof"})


@dataclass
class Window:
    """One of the session's own windows: it signs what it sends, and says twice a second what it has drawn last."""

    role: str
    key: SessionKey
    uid: str
    born_s: float
    dies_s: float
    #: When it said so.
    alive_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.signer = Signer(self.key.own(self.role), COMMANDS)

    def says(self, name: str, **content: Any) -> str:
        """Return a command as this window sends it."""
        return self.signer.sign(self.unsigned(name, **content))

    def unsigned(self, name: str, uid: str = "", **content: Any) -> str:
        """Return a command as somebody else would send it in this window's name."""
        return Command(name, content, self.role, uid or self.uid, "w1").to_json()

    def beat(self, now_s: float) -> list[str]:
        """Return the heartbeat that is due while the window draws."""
        is_drawn = self.born_s <= now_s - START_S < self.dies_s
        if not is_drawn or (self.alive_s and now_s - self.alive_s[-1] < BEAT_S):
            return []
        self.alive_s.append(now_s)
        return [self.says("alive", view=self.role, drew_s=now_s)]


@dataclass
class People:
    """Participant, operator, their windows, and others on the network: all of it passes the session's own gate."""

    world: World
    assembled: Assembled
    #: Times at which a stop was handed to the engine.
    stops_s: list[float] = field(default_factory=list)
    heat_stops_s: list[float] = field(default_factory=list)
    #: Every event, as it was told.
    events: list[Event] = field(default_factory=list)
    #: What passed the gate and should not have.
    wrongly: list[str] = field(default_factory=list)
    done: int = 0
    sent: list[str] = field(default_factory=list)
    _waiting: list[Command] = field(default_factory=list)
    _answers: list[tuple[float, float]] = field(default_factory=list)
    _prompt: str = "p1"
    _felt_c: float = 0.0
    _asked_s: float | None = None

    def __post_init__(self) -> None:
        key, uid = self.assembled.key, self.assembled.uid
        self._gate = CommandGate(uid, key)
        spans = {role: (born_s, dies_s) for role, born_s, dies_s in self.world.drawn.views}
        self.windows = {
            role: Window(role, key, uid, *spans.get(role, (math.inf, math.inf)))
            for role in ("operator", "participant")
        }
        self._other = Window("operator", SessionKey("another"), uid, 0.0, 0.0)

    def hear(self, event: Event) -> None:
        """Note an event; answer a question."""
        self.events.append(event)
        if event.kind == "probe_placed" and event.details["by"] == "simulated operator":
            assert self.world.device is not None
            self.world.device.sites.append(event.details["site"])
        if event.kind != "prompt":
            return
        self._prompt = str(event.details["prompt"])
        rater, felt_c = self.world.drawn.rater, self._felt_c
        self._felt_c = 0.0
        values = {
            "felt": min(100.0, max(0.0, 10.5 * (felt_c - 40.4))),
            "ninety_five": 95.0,
            "two": 2.0,
            "wild": (37.0 * int(event.time_s)) % 101.0,
        }
        if rater in values:
            self._answers.append((event.time_s + 0.4, values[rater]))

    def pop(self, most: int) -> list[Command]:
        """Return the commands that have passed the gate by now."""
        now_s = self.world.clock.now_s()
        for text in self._own(now_s):
            self._send(text, now_s, is_right=True)
        acts = self.world.drawn.acts
        while self.done < len(acts) and now_s - START_S >= acts[self.done][0]:
            name, form, times = acts[self.done][1:]
            for _ in range(times):
                self._send(self._act(name, form), now_s, is_right=form == "signed")
            self.done += 1
        popped, self._waiting = self._waiting[:most], self._waiting[most:]
        return popped

    def pop_refused(self) -> list[Refused]:
        """Return what was refused."""
        return self._gate.pop_refused()

    def close(self) -> None:
        """Nothing is open."""

    def _send(self, text: str, now_s: float, *, is_right: bool) -> None:
        command = self._gate.admit(text)
        if command is None:
            return
        if command.name == "stop":
            self.stops_s.append(now_s)
            control = self.assembled.engine._stimulus_control
            if control is not None:
                control.abort("stopped by a command")
        elif command.name == "stop_heat":
            self.heat_stops_s.append(now_s)
        elif not is_right:
            self.wrongly.append(text)
        self._waiting.append(command)

    def _own(self, now_s: float) -> list[str]:
        """Return what the session's people and windows send now."""
        operator, participant = self.windows["operator"], self.windows["participant"]
        texts = operator.beat(now_s) + participant.beat(now_s)
        texts += [
            participant.says("rating", prompt=self._prompt, value=value)
            for at_s, value in self._answers
            if at_s <= now_s
        ]
        self._answers = [each for each in self._answers if each[0] > now_s]
        texts += self._feel(participant) + self._place(operator, now_s)
        if now_s - START_S > self.world.drawn.lasts_s + PATIENCE_S:
            texts.append(operator.says("end"))  # it is paused, or waits for EEG
        return texts

    def _feel(self, participant: Window) -> list[str]:
        device = self.world.device
        if device is None or self.world.drawn.rater == "silent":
            return []
        self._felt_c = max(self._felt_c, device._probe_c)
        calibration = self.assembled.sequencer.calibration
        is_too_much = calibration is not None and calibration.limits_on and device._probe_c > 43.0
        return [participant.says("button")] if is_too_much else []

    def _place(self, operator: Window, now_s: float) -> list[str]:
        """Put the probe where it is asked for, after a while, and confirm it."""
        move = self.assembled.sequencer.probe_place.move
        if move is None:
            self._asked_s = None
            return []
        self._asked_s = now_s if self._asked_s is None else self._asked_s
        if now_s < self._asked_s + self.world.drawn.moves_s:
            return []
        self._asked_s = math.inf
        assert self.world.device is not None
        self.world.device.sites.append(move.site)
        return [operator.says("placed", site=move.site)]

    def _act(self, name: str, form: str) -> str:
        window = self.windows["participant" if name in ("rating", "button") else "operator"]
        content: dict[str, Any] = {}
        if name == "nonsense":
            return NONSENSE[self.done % len(NONSENSE)].replace("UID", window.uid)
        if name == "heat":
            return json.dumps({"command": "heat", "session": window.uid, "target_c": 49.0})
        if name == "rating":
            content = {"prompt": self._prompt, "value": float(7 * self.done % 101)}
        elif name == "mark":
            content = {"text": "a note"}
        if form == "replayed" and self.sent:
            return self.sent[self.done % len(self.sent)]
        if form == "another's key":
            return self._other.says(name, **content)
        if form != "signed":
            return window.unsigned(name, "another" if form == "other session" else "", **content)
        self.sent.append(window.says(name, **content))
        return self.sent[-1]


@dataclass
class Played:
    """A session that is over, and what was true of it."""

    drawn: DrawnSession
    data: Path
    #: Why it was refused before anything was opened; "" if it was not.
    refused: str = ""
    outcome: Outcome | None = None
    #: What the engine raised, if it raised.
    error: BaseException | None = None
    folder: Path | None = None
    #: Rows of the physics: time, length, commanded, probe, skin (°C), whether a stimulus is on, number of the site.
    truth: np.ndarray = field(default_factory=lambda: np.empty((0, 7)))
    sites: list[str] = field(default_factory=list)
    arrivals_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    stops_s: list[float] = field(default_factory=list)
    #: When somebody asked that the stimulus ends, and the session goes on.
    heat_stops_s: list[float] = field(default_factory=list)
    #: When the operator's window said that it draws.
    alive_s: np.ndarray = field(default_factory=lambda: np.empty(0))
    #: What came unsigned, twice or from elsewhere, and passed the gate.
    wrongly: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    #: When the engine had done its last step.
    ended_s: float = math.nan
    #: The dose by site as the guard knew it in the end; None if it died.
    used: dict[str, float] | None = None
    took_s: float = 0.0

    @property
    def was_killed(self) -> bool:
        """Whether the engine's process ended on the spot."""
        return isinstance(self.error, Killed)


def play(drawn: DrawnSession, data: Path) -> Played:
    """Play a session whole, whatever happens in it; its dataset is in ``data``."""
    began_s = time.process_time()
    played = Played(drawn, data)
    world = World(drawn)
    protocol = data / "drawn.toml"
    protocol.write_text(drawn.protocol(), "utf-8")
    asked = Asked(
        protocol=str(protocol),
        device=DEVICE,
        participant=PARTICIPANT,
        seed=drawn.seed,
        data=data,
        unattended=drawn.unattended,
        skin_account=data / "skin-account.jsonl",
        thermode_faults=drawn.device_faults,
    )
    streams: list[PretendedStream] = []
    with _instead(world, streams):
        try:
            plan = plan_session(asked)
            assembled = assemble(plan, EngineClock(world), Hooks(), publish=False)
        except NeurofbError as error:
            played.refused = str(error)
            return played
        except Killed:
            played.refused = "killed before it began"
            return played
        played.folder = assembled.folder.path
        people = People(world, assembled)
        assembled.engine._commands._network = people
        assembled.session_log._on_event = people.hear
        _run(assembled, world, played)
        _let_time_pass(world)
    assert world.device is not None
    played.truth = np.array(world.device.rows).reshape(-1, 7)
    played.sites, played.events, played.stops_s = world.device.sites, people.events, people.stops_s
    played.alive_s = np.array(people.windows["operator"].alive_s)
    played.wrongly, played.heat_stops_s = people.wrongly, people.heat_stops_s
    played.arrivals_s = np.array(streams[0].arrivals_s if streams else [])
    played.took_s = time.process_time() - began_s
    return played


@contextlib.contextmanager
def _instead(world: World, streams: list[PretendedStream]) -> Iterator[None]:
    """Put the world's device, stream and watchdog where the program makes its own."""

    def make_driver(_kind: str, _clock: Any, seed: int = 0, faults: Any = (), _file: Any = None) -> Witness:
        world.device = Witness(world.clock, seed, parse_heat_faults(faults))
        return world.device

    def open_source(_plan: Any, clock: Any) -> tuple[PretendedStream, None]:
        streams.append(PretendedStream(clock, world.drawn.stream_faults))
        return streams[0], None

    def pipe(_clock: Any) -> PipeHere:
        world.pipe = PipeHere(world)
        return world.pipe

    def open_stimulator(kind: str, *, envelope: Any, clock: Any, **how: Any) -> Any:
        if world.drawn.guard == "local":
            return client.open_stimulator(kind, envelope=envelope, clock=clock, **how)
        return client.WatchdogClient(kind, envelope, clock, **how)

    with contextlib.ExitStack() as patches:
        for where, name, instead in (
            (client, "make_driver", make_driver),
            (watchdog, "make_driver", make_driver),
            (client, "WatchdogPipe", pipe),
        ):
            patches.enter_context(mock.patch.object(where, name, instead))
        patches.enter_context(mock.patch("neurofb.engine.assembly.open_source", open_source))
        patches.enter_context(mock.patch("neurofb.engine.assembly.open_stimulator", open_stimulator))
        patches.enter_context(mock.patch.object(engine_module, "PULL_S", world.drawn.pull_s))
        yield


def _run(assembled: Assembled, world: World, played: Played) -> None:
    """Run the engine to whatever end is drawn for it."""
    engine = assembled.engine

    def accidents(_now_s: float) -> None:
        world.fail_watchdog()
        if world.is_due("interrupt"):
            engine.interrupt()
        elif world.is_due("program error"):
            raise ProgramError
        elif world.is_due("disk full"):
            assembled.session_log._recorder._failure = OSError(errno.ENOSPC, "No space left on device")
        elif "engine" in world.done and world.drawn.accident[0] != "engine hangs":
            engine._end = lambda *_, **__: None  # nothing is closed any more

    end = engine._end

    def end_if_alive(*given: Any, **how: Any) -> Any:
        return None if world.done and world.drawn.accident[0] != "engine hangs" else end(*given, **how)

    engine._each_step = (*engine._each_step, accidents)
    engine._end = end_if_alive
    try:
        played.outcome = engine.run()
    except BaseException as error:
        played.error = error
        if not isinstance(error, Exception | Killed):
            raise
    played.ended_s = world.clock.now_s()
    if isinstance(played.error, Killed):
        _abandon(assembled)
        if world.pipe is not None and world.pipe.is_running:
            world.pipe.engine_is_gone()
    else:
        control = engine._stimulus_control
        played.used = None if control is None else control.used


def _abandon(assembled: Assembled) -> None:
    """Leave the record as a killed process does: what was handed to the disk is there, all else is not."""
    recorder = assembled.session_log._recorder
    recorder._jobs.put(None)
    recorder._thread.join()


def _let_time_pass(world: World) -> None:
    """Look at the device when everybody has gone; the watchdog goes on if it is there."""
    end_s = world.clock.now_s() + AFTER_S
    while world.clock.now_s() < end_s:
        world.go_to(world.clock.now_s() + 0.05)
        assert world.device is not None
        world.device._advance()
