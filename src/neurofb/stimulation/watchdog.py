"""The process that owns the stimulator: it outlives the engine, and ends all heat when the engine is gone.

``python -m neurofb.stimulation.watchdog``, started by ``client.WatchdogClient`` in a session of its own, so that a
Ctrl-C in the terminal does not reach it. In: one JSON document a line on stdin. Out: replies, events and readings,
the same way, on stdout. It steps the guard every ``TICK_S`` while there is heat and takes commands between two steps
without waiting for any.

It goes to baseline when stdin ends (the engine has died or let go), when nothing was heard for ``HEARTBEAT_S`` while
a stimulus is armed or on, at SIGTERM, and when it fails itself. Then it stays until the probe is at baseline, writes
its last events to its log, if it has one, and ends. If this process is killed, the device is alone: a simulated one
dies with it, a real one needs its own cut-off (``Capabilities.on_silence``) or somebody at the power switch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import queue
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neurofb.clock import Clock, ManualClock, readings_of
from neurofb.errors import NeurofbError
from neurofb.events import Event
from neurofb.stimulation.conditions import Facts, Required
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import make_driver
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.stimulation.thermode_file import ThermodeFile
from neurofb.stimulation.watchdog_log import ENDED, WatchdogLog
from neurofb.stimulation.watchdog_pipe import read_lines, write_line

#: From one step of the guard to the next while there is heat. Assumed: the fastest ramp, 70 °C/s, moves by 0.14 °C.
TICK_S = 0.002
#: The same while nothing is armed or on. Assumed: a quarter of a reading's 0.02 s.
IDLE_TICK_S = 0.005
#: An engine that sends nothing for so long is gone, or hangs. Assumed: ten of its heartbeats (``client.BEAT_S``); at
#: 49 °C half a second is 2 % of the contact-burn line.
HEARTBEAT_S = 0.5
#: How often the doses are sent. Assumed: as often as somebody looks; the guard itself does not depend on it.
USED_S = 0.5
#: A device that is not at baseline by then is left to its own cut-off. Assumed: any device cools in that time.
STAY_S = 60.0

_ON = ("armed", "rising", "plateau", "returning")
Request = dict[str, Any]


class EngineClock:
    """The engine's clock, read in this process: the system's steady clock and the offset that was measured."""

    def __init__(self, offset_s: float) -> None:
        self._offset_s = offset_s

    def now_s(self) -> float:
        """Return the present time in seconds."""
        return time.monotonic() + self._offset_s

    def wait_until(self, time_s: float) -> None:
        """Return when ``now_s()`` has reached ``time_s``."""
        while (left_s := time_s - self.now_s()) > 0:
            time.sleep(left_s)


class Lines:
    """Stdin and stdout as queues, so that the guard never waits for either. The last request is ``eof``."""

    def __init__(self) -> None:
        self.requests: queue.Queue[Request] = queue.Queue()
        self._out: queue.Queue[Request | None] = queue.Queue()
        self._writer = threading.Thread(target=self._write, daemon=True)
        threading.Thread(target=self._read, daemon=True).start()
        self._writer.start()

    def send(self, document: Request) -> None:
        """Send a document; if nobody reads for long, readings are dropped, and nothing else."""
        if "readings" not in document or self._out.qsize() < 1000:
            self._out.put(document)

    def finish(self) -> None:
        """Send what is left, for a second at most."""
        self._out.put(None)
        self._writer.join(1.0)

    def _read(self) -> None:
        # Half a line of an engine that died is no JSON, and the end as well.
        with contextlib.suppress(OSError, ValueError):
            for line in read_lines(sys.stdin.fileno()):
                self.requests.put(json.loads(line))
        self.requests.put({"do": "eof"})

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the engine is gone; stdin says the same
            while (document := self._out.get()) is not None:
                write_line(sys.stdout.fileno(), document)


class Watchdog:
    """Steps a guard, and handles requests in between.

    Parameters
    ----------
    guard : Guard
        The device with its limits.
    clock : Clock
        The engine's time: an ``EngineClock``.
    lines : Lines
        Where requests come from and answers go.
    log : Path or None
        Where every event is written as well, one JSON document a line.
    """

    def __init__(self, guard: Guard, clock: Clock, lines: Lines, log: Path | None) -> None:
        self._guard, self._clock, self._lines = guard, clock, lines
        self._log = WatchdogLog(log, at_once=isinstance(clock, ManualClock))
        self._readings = readings_of(clock)
        self._heard_s = clock.now_s()
        self._used_s = -math.inf
        self._ending: str | None = None
        self._ending_s = math.inf
        self.terminated = False

    def run(self) -> None:
        """Go on until the engine lets go and the probe is at baseline."""
        while not self.is_over:
            self.turn(self._next())
        self.close()

    def turn(self, request: Request | None = None) -> None:
        """Handle a request and all that wait, then step the guard."""
        while request is not None:
            self._handle(request)
            request = self._next_now()
        self._check_heartbeat()
        self._guard.step()
        self._send_news()

    def close(self) -> None:
        """Let the device go, and write what is left."""
        self._guard.close()
        self._used_s = -math.inf
        self._send_news()
        self._log.write({"kind": ENDED, "time_s": self._clock.now_s(), "why": self._ending})
        self._log.finish()

    def fail(self, error: BaseException) -> None:
        """Go to baseline after a failure of this process itself, whatever else fails."""
        self._log.write({"kind": "watchdog_failed", "time_s": self._clock.now_s(), "why": repr(error)})
        until_s = self._clock.now_s() + 2.0
        while self._clock.now_s() < until_s:
            self._guard.abort(f"the watchdog failed: {error!r}")
            self._clock.wait_until(self._clock.now_s() + 0.01)
        self._guard.close()
        self._log.write_doses(self._guard, self._readings().wall_s, self._clock.now_s(), news=True)
        self._log.finish()

    @property
    def next_turn_s(self) -> float:
        """When the guard is to be stepped again, counted from now."""
        now_s = self._clock.now_s()
        return min(now_s + (TICK_S if self._guard.is_hot else IDLE_TICK_S), max(now_s, self._guard.due_s))

    def _next(self) -> Request | None:
        """Wait for a request, until the next step is due."""
        wait_s = self.next_turn_s - self._clock.now_s()
        try:
            return self._lines.requests.get(timeout=wait_s) if wait_s > 0 else self._next_now()
        except queue.Empty:
            return None

    def _next_now(self) -> Request | None:
        try:
            return self._lines.requests.get_nowait()
        except queue.Empty:
            return None

    def _check_heartbeat(self) -> None:
        if self.terminated and self._ending is None:
            self._end("the watchdog was told to end (SIGTERM)")
        silent_s = self._clock.now_s() - self._heard_s
        if silent_s > HEARTBEAT_S and self._guard.state in _ON:
            self._guard.abort(f"nothing was heard from the engine for {silent_s:.2f} s")

    def _end(self, why: str) -> None:
        if self._ending is None:
            self._ending, self._ending_s = why, self._clock.now_s()
            self._guard.abort(why)

    @property
    def is_over(self) -> bool:
        """Whether the engine has let go, and the probe is at baseline."""
        if self._ending is None:
            return False
        return not self._guard.is_hot or self._clock.now_s() - self._ending_s > STAY_S

    def _handle(self, request: Request) -> None:
        self._heard_s = self._clock.now_s()
        try:
            value = self._do(request)
        except NeurofbError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        else:
            answer = {"value": value}
        self._send_news()
        if "id" in request:
            self._lines.send({"id": request["id"], **answer})

    def _do(self, request: Request) -> Any:
        guard = self._guard
        if request.get("facts") is not None:
            guard.note_facts(Facts(**request["facts"]))
        match request["do"]:
            case "beat":
                return None
            case "abort":
                return guard.abort(request["why"])
            case "end":
                return guard.end(request["why"])
            case "lower":
                return guard.lower(request["by_c"])
            case "schedule":
                profile = HeatProfile(**request["profile"])
                return guard.schedule(profile, request["site"], request["at_s"], request["answer_by_s"])
            case "place":
                return guard.place(request["site"], request["by"])
            case "reset":
                return guard.reset()
            case "connect":
                abilities = guard.connect()
                self._log.open(guard, self._readings().wall_s, self._clock.now_s())
                return asdict(abilities)
            case "prepare":
                return guard.prepare()
            case "self_test":
                return guard.self_test()
            case "close":
                return self._end("closed") if guard.is_hot else self._let_go()
            case "eof":
                return self._end("the engine is gone: its pipe has ended")
        return None

    def _let_go(self) -> None:
        self._ending, self._ending_s = "closed", self._clock.now_s()

    def _send_news(self) -> None:
        news = self._guard.pop_events()
        for event in news:
            self._lines.send({"event": json.loads(event.to_json())})
        self._log.write_news(self._guard, news, self._readings().wall_s, self._clock.now_s())
        if readings := self._guard.readings():
            self._lines.send({"readings": readings})
        if self._clock.now_s() - self._used_s >= USED_S:
            self._used_s = self._clock.now_s()
            self._lines.send({"used": self._guard.used()})


def _opening(lines: Lines) -> Request | None:
    """Answer the questions for this process' time until the device is to be opened; None if the engine went."""
    while (request := lines.requests.get())["do"] != "eof":
        if request["do"] == "open":
            return request
        lines.send({"id": request["id"], "value": time.monotonic()})
    return None


def open_watchdog(opening: Request, clock: EngineClock, lines: Lines) -> Watchdog:
    """Return the watchdog that the engine's first request asks for."""
    described = opening.get("file")
    # The file as the engine has read it: it may have changed since.
    file = None if described is None else ThermodeFile.model_validate_json(json.dumps(described))
    driver = make_driver(opening["kind"], clock, opening["seed"], opening["faults"], file)
    envelope, required = Envelope(**opening["envelope"]), Required(**opening["required"])
    guard = Guard(driver, envelope, clock, SiteLedger(opening["used"]), required)
    return Watchdog(guard, clock, lines, None if opening["log"] is None else Path(opening["log"]))


def main() -> int:
    """Run the process; 0 if it ended in order, 4 if it failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(0.0005)
    lines = Lines()
    opening = _opening(lines)
    if opening is None:
        return 0
    clock = EngineClock(opening["offset_s"])
    watchdog = open_watchdog(opening, clock, lines)

    def terminate(*_: object) -> None:
        watchdog.terminated = True

    signal.signal(signal.SIGTERM, terminate)
    lines.send({"id": opening["id"], "value": os.getpid()})
    try:
        watchdog.run()
    except Exception as error:
        watchdog.fail(error)
        lines.send({"event": json.loads(Event("heat_fault", clock.now_s(), repr(error)).to_json())})
        lines.finish()
        raise
    lines.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
