"""What the engine holds of a stimulator: a guard it steps itself, or one in a process of its own.

On a manual clock, in simulations and tests, ``LocalClient`` is enough. With a person under the probe it is
``WatchdogClient``: the guard must outlive the engine. ``open_stimulator`` makes either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from neurofb.clock import Clock, ManualClock
from neurofb.errors import NeurofbError, SafetyStop, WrongInput
from neurofb.events import Event
from neurofb.stimulation.conditions import Facts, Required
from neurofb.stimulation.driver import Capabilities, Reading
from neurofb.stimulation.drivers.simulated import parse_heat_faults
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.guard import Guard, check_lowering
from neurofb.stimulation.heat_profile import ABSOLUTE_CAP_C, HeatProfile
from neurofb.stimulation.registry import SIMULATED, make_driver, maker_of
from neurofb.stimulation.thermal_dose import SiteLedger
from neurofb.stimulation.thermode_file import ThermodeFile
from neurofb.stimulation.watchdog_log import ENDED, WatchdogLog
from neurofb.stimulation.watchdog_pipe import OFF, WatchdogPipe

#: How often the watchdog is told that the engine lives; a tenth of what it waits for, ``watchdog.HEARTBEAT_S``.
BEAT_S = 0.05
#: A watchdog that sends nothing for so long, or does not answer a heartbeat, can no longer be relied on. Assumed: 50
#: of its readings, and what a reading may be old at most (``Envelope.stale_s``).
SILENT_S = 1.0
#: How long an answer is waited for at least. Assumed: it takes a few ms, and so long does the watchdog trust an
#: engine that is silent.
ANSWER_S = 0.5
#: What speaks against the watchdog must hold for so long: its answer may lie in the pipe. Assumed: 50 steps.
DOUBT_S = 0.25
#: How long the device may take to be at baseline when it is let go. Assumed: a passive return takes 1.5 s
#: (``guard.RETURN_S``), and this is several of them.
END_S = 10.0
#: How long a device may test itself before the session. Assumed: twice what the maker of the TSA-2 waits for.
PREPARE_S = 60.0
#: The fastest of so many answers has the offset of the clocks. Assumed: one of them is not held up.
_N_CLOCK_QUESTIONS = 16


class Reply(NamedTuple):
    """What became of a request that was sent to the guard."""

    number: int
    #: Why it was refused; "" if it was not.
    refusal: str


class StimulatorClient(Protocol):
    """What the engine may ask. Only ``schedule`` leads to heat, and only the protocol's schedule calls it.

    ``connect``, ``prepare``, ``self_test`` and ``close`` wait for the device. Nothing else waits: requests
    return a number, and ``pop_replies`` returns what became of each.
    """

    def connect(self) -> Capabilities:
        """Open the device at baseline."""
        ...

    def prepare(self) -> list[str]:
        """Let the device test itself, with the probe off the skin, for 60 s at most; return what is wrong."""
        ...

    def self_test(self) -> list[str]:
        """Return what is wrong with the device; nothing: an empty list."""
        ...

    def place(self, site: str, by: str) -> int:
        """Pass on that somebody confirms the probe at a site; return the number of the request.

        The guard's answer is a ``Reply``, and an event ``probe_placed`` if it was taken.
        """
        ...

    def schedule(self, profile: HeatProfile, site: str, at_s: float) -> int:
        """Ask for a stimulus at ``at_s`` on the engine's clock; return the number of the request.

        The guard's answer is an event, ``heat_armed`` or ``heat_refused``, and a ``Reply`` with that number.
        """
        ...

    def lower(self, by_c: float) -> int:
        """Lower what is on, what is armed and all later stimuli; return the number of the request."""
        ...

    def end(self, why: str) -> None:
        """End what is on or armed, in order; the next stimulus may follow."""
        ...

    def abort(self, why: str) -> None:
        """Go to baseline at once; nothing more until ``reset``."""
        ...

    def reset(self) -> int:
        """Allow stimuli again after an abort, at baseline; for the schedule only; return the number of the request."""
        ...

    def beat(self, facts: Facts | None = None) -> None:
        """Send a heartbeat of the engine, with what it knows of the conditions of heat.

        To be called in every step, every 0.2 s at least. Without facts those of before get older.
        """
        ...

    def pop_replies(self) -> list[Reply]:
        """Return the replies since the last call."""
        ...

    def readings(self) -> list[Reading]:
        """Return the readings since the last call, about 50 a second."""
        ...

    def pop_events(self) -> list[Event]:
        """Return what happened since the last call."""
        ...

    def used(self) -> dict[str, float]:
        """Return the dose of each site, as a fraction of the contact-burn limit."""
        ...

    def close(self) -> None:
        """Go to baseline and let the device go."""
        ...


class LocalClient:
    """A guard in this process, stepped by ``beat``: for manual clocks and tests, not for a person.

    If the engine dies, so does this guard; only the device's own cut-offs are left then.

    Parameters
    ----------
    guard : Guard
        What it steps.
    clock : ManualClock
    log : Path, optional
        Where a watchdog would write its events and doses.
    """

    def __init__(self, guard: Guard, clock: ManualClock, log: Path | None = None) -> None:
        self._guard, self._clock = guard, clock
        self._log = WatchdogLog(log, at_once=True)
        self._n_requests = 0
        self._replies: list[Reply] = []
        self._events: list[Event] = []
        self.prepare = guard.prepare
        self.self_test = guard.self_test
        self.end = guard.end
        self.abort = guard.abort
        self.readings = guard.readings
        self.used = guard.used

    def connect(self) -> Capabilities:
        """Open the device at baseline."""
        abilities = self._guard.connect()
        self._log.open(self._guard, self._clock.readings().wall_s, self._clock.now_s())
        return abilities

    def pop_events(self) -> list[Event]:
        """Return what happened since the last call."""
        self._write_news()
        found, self._events = self._events, []
        return found

    def close(self) -> None:
        """Let the device go."""
        self._guard.close()
        self._write_news()
        self._log.write({"kind": ENDED, "time_s": self._clock.now_s(), "why": "closed"})
        self._log.finish()

    def _write_news(self) -> None:
        news = self._guard.pop_events()
        self._events += news
        self._log.write_news(self._guard, news, self._clock.readings().wall_s, self._clock.now_s())

    def beat(self, facts: Facts | None = None) -> None:
        """Note the facts, and step the guard."""
        if facts is not None:
            self._guard.note_facts(facts)
        self._guard.step()
        self._write_news()

    def place(self, site: str, by: str) -> int:
        """Pass on that somebody confirms the probe at a site."""
        return self._request(lambda: self._guard.place(site, by))

    def schedule(self, profile: HeatProfile, site: str, at_s: float) -> int:
        """Ask for a stimulus at ``at_s``, at once if that is now; its answer is there when this returns."""
        number = self._request(lambda: self._guard.schedule(profile, site, at_s))
        if not self._replies[-1].refusal:
            self._guard.step()
        return number

    def lower(self, by_c: float) -> int:
        """Lower what is on, what is armed and all later stimuli."""
        check_lowering(by_c)
        return self._request(lambda: self._guard.lower(by_c))

    def reset(self) -> int:
        """Allow stimuli again after an abort, at baseline."""
        return self._request(self._guard.reset)

    def pop_replies(self) -> list[Reply]:
        """Return the replies since the last call."""
        found, self._replies = self._replies, []
        return found

    def _request(self, action: Callable[[], None]) -> int:
        self._n_requests += 1
        refusal = ""
        try:
            action()
        except NeurofbError as error:
            refusal = str(error)
        self._replies.append(Reply(self._n_requests, refusal))
        return self._n_requests


class WatchdogClient:
    """A guard in a process of its own, which ends all heat when this one dies.

    ``abort`` may be called from any thread; all else belongs to the engine's thread, which waits for the process in
    ``connect``, ``prepare``, ``self_test`` and ``close`` only. ``beat`` raises when the process is silent, or owes an
    answer.

    Parameters
    ----------
    kind, envelope, seed, faults, used, required, file :
        As for ``open_stimulator``.
    clock : Clock
        The engine's clock, which its thread reads as well: any clock that is safe to read from threads.
    log : Path, optional
        Where the watchdog writes its events, last words included.
    """

    def __init__(
        self,
        kind: str,
        envelope: Envelope,
        clock: Clock,
        *,
        seed: int = 0,
        faults: Sequence[str] = (),
        used: Mapping[str, float] | None = None,
        log: Path | None = None,
        required: Required | None = None,
        file: ThermodeFile | None = None,
    ) -> None:
        parse_heat_faults(faults)
        self._clock = clock
        self._opening: dict[str, Any] = {
            "kind": kind,
            "envelope": envelope.model_dump(),
            "seed": seed,
            "faults": list(faults),
            "used": dict(used or {}),
            "log": None if log is None else str(log),
            "required": asdict(Required() if required is None else required),
            "file": None if file is None else file.model_dump(mode="json", exclude_unset=True),
        }
        self._pipe = WatchdogPipe(clock)
        self._end_s = END_S
        self._beat_s = clock.now_s()
        self._facts: Facts | None = None
        #: By number: what was asked, and until when its answer is waited for.
        self._unanswered: dict[int, tuple[str, float]] = {}
        self._replies: list[Reply] = []
        self._doubted_s: float | None = None

    def connect(self) -> Capabilities:
        """Start the process, agree on the time, and open the device at baseline."""
        self._pipe.start()
        self._pipe.ask("open", offset_s=self._offset_s(), **self._opening)
        abilities = Capabilities.from_document(self._pipe.ask("connect"))
        self._end_s = max(END_S, 2.0 * abilities.longest_return_s(ABSOLUTE_CAP_C, 30.0))
        return abilities

    def prepare(self) -> list[str]:
        """Let the device test itself; return what is wrong."""
        return list(self._pipe.ask("prepare", wait_s=PREPARE_S))

    def self_test(self) -> list[str]:
        """Return what is wrong with the device; nothing: an empty list."""
        return list(self._pipe.ask("self_test"))

    def place(self, site: str, by: str) -> int:
        """Pass on that somebody confirms the probe at a site."""
        return self._request("place", self._clock.now_s() + ANSWER_S, site=site, by=by)

    def schedule(self, profile: HeatProfile, site: str, at_s: float) -> int:
        """Ask for a stimulus at ``at_s``: answered before its time, or not given.

        One that is asked for at its time, or shortly before, has ``ANSWER_S``.
        """
        by_s = max(at_s, self._clock.now_s() + ANSWER_S)
        # With the facts: those of the last heartbeat may be older than what the engine has just decided on.
        facts = None if self._facts is None else asdict(self._facts)
        return self._request("schedule", by_s, profile=asdict(profile), site=site, at_s=at_s, facts=facts)

    def lower(self, by_c: float) -> int:
        """Lower what is on, what is armed and all later stimuli."""
        check_lowering(by_c)
        return self._request("lower", self._clock.now_s() + ANSWER_S, by_c=by_c)

    def end(self, why: str) -> None:
        """End what is on or armed, in order; the next stimulus may follow."""
        self._pipe.send("end", why=why)

    def abort(self, why: str) -> None:
        """Go to baseline at once; from any thread."""
        self._pipe.send("abort", why=why)

    def reset(self) -> int:
        """Allow stimuli again after an abort, at baseline; for the schedule only."""
        return self._request("reset", self._clock.now_s() + ANSWER_S)

    def beat(self, facts: Facts | None = None) -> None:
        """Send a heartbeat with the facts, and check that the watchdog reads and answers.

        Raises
        ------
        SafetyStop
            If it does not; then nothing guards the device any more but its own cut-off.
        """
        self._facts = facts
        self._read_answers()
        now_s = self._clock.now_s()
        found = self._doubt(now_s)
        if not found:
            self._doubted_s = None
        elif self._doubted_s is None:
            self._doubted_s = now_s  # where this process was busy, what was sent meanwhile lies in the pipe
        elif now_s - self._doubted_s >= DOUBT_S:
            raise SafetyStop(f"{found}: {OFF}")
        if now_s - self._beat_s >= BEAT_S:
            self._beat_s = now_s
            self._request("beat", now_s + SILENT_S, facts=None if facts is None else asdict(facts))

    def pop_replies(self) -> list[Reply]:
        """Return the replies since the last call."""
        self._read_answers()
        found, self._replies = self._replies, []
        return found

    def readings(self) -> list[Reading]:
        """Return the readings since the last call."""
        return [Reading(*each) for several in self._pipe.pop_readings() for each in several]

    def pop_events(self) -> list[Event]:
        """Return what happened since the last call."""
        return [Event(**each) for each in self._pipe.pop_events()]

    def used(self) -> dict[str, float]:
        """Return the dose of each site, as of half a second ago."""
        return dict(self._pipe.used or self._opening["used"])

    def close(self) -> None:
        """Go to baseline and let the device go; the process ends when it is there."""
        self._pipe.close(self._end_s)

    @property
    def pid(self) -> int | None:
        """The watchdog's process, None before ``connect``."""
        return self._pipe.pid

    def _request(self, do: str, answer_by_s: float, **content: Any) -> int:
        number = self._pipe.send(do, answer_by_s=answer_by_s, **content)
        self._unanswered[number] = do, answer_by_s
        return number

    def _read_answers(self) -> None:
        for answer in self._pipe.pop_answers():
            do, _ = self._unanswered.pop(answer["id"], ("beat", 0.0))
            if do != "beat":
                self._replies.append(Reply(answer["id"], answer.get("message", "")))

    def _doubt(self, now_s: float) -> str:
        """Return why the watchdog can no longer be relied on; "" if it can."""
        silent_s = now_s - self._pipe.heard_s
        if silent_s > SILENT_S:
            return f"the watchdog has said nothing for {silent_s:.1f} s; it should say something 50 times a second"
        late = next((do for do, by_s in self._unanswered.values() if now_s > by_s), "")
        return f"the watchdog has not answered {late!r} in time" if late else ""

    def _offset_s(self) -> float:
        """Return this clock minus the watchdog's; the answer that came fastest tells it best."""
        found = []
        for _ in range(_N_CLOCK_QUESTIONS):
            asked_s = self._clock.now_s()
            theirs_s = self._pipe.ask("clock")
            answered_s = self._clock.now_s()
            found.append((answered_s - asked_s, (asked_s + answered_s) / 2 - theirs_s))
        return float(min(found)[1])


def open_stimulator(
    kind: str = "simulated",
    *,
    envelope: Envelope,
    clock: Clock,
    seed: int = 0,
    faults: Sequence[str] = (),
    used: Mapping[str, float] | None = None,
    log: Path | None = None,
    required: Required | None = None,
    file: ThermodeFile | None = None,
) -> StimulatorClient:
    """Return the client of a stimulator, not connected yet.

    Parameters
    ----------
    kind : str
        A driver, as ``registry.kinds`` lists them.
    envelope : Envelope
        The limits.
    clock : Clock
        The engine's; with a manual one the guard is in this process, else in a watchdog's.
    seed : int
        Of a simulated device's noise.
    faults : sequence of str
        What goes wrong with a simulated device, as ``drivers.simulated.parse_heat_faults`` reads it.
    used : mapping of str to float, optional
        The dose of each site before, in this session.
    log : Path, optional
        Where the watchdog writes its events and doses.
    required : Required, optional
        Which conditions must hold while there is heat; all of them if left out.
    file : ThermodeFile, optional
        The device, as it is described; a real one needs it.

    Raises
    ------
    UnknownName, WrongInput
        If there is no stimulator of that kind, no such fault, or a real one would heat unwatched; no process is
        started then.
    """
    maker_of(kind)
    if required is not None and not (required.recording and required.view) and kind not in SIMULATED:
        raise WrongInput(
            f"the stimulator {kind!r} heats a person: it needs a recording and somebody who watches; without them "
            f"only a simulated one works ({', '.join(SIMULATED)})"
        )
    parse_heat_faults(faults)
    if isinstance(clock, ManualClock):
        driver = make_driver(kind, clock, seed, faults, file)
        return LocalClient(Guard(driver, envelope, clock, SiteLedger(used), required), clock, log)
    return WatchdogClient(
        kind, envelope, clock, seed=seed, faults=faults, used=used, log=log, required=required, file=file
    )
