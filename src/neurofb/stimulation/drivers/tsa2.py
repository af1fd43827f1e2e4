"""A Medoc TSA-2 at its own serial interface.

In: the guard's orders. Out: frames, readings, and what the device tells. Kept: the frames that are not sent yet, the
one whose answer is waited for, the commands that arm a stimulus, and how far an abort has got. Nothing waits, but in
``connect``, ``prepare``, ``self_test`` and ``close``.

Rules, each against a hazard that was read about (the page on the TSA-2 has the sources):

- One command at a time is waited for, by its token; an answer that is cut or late belongs to none. A command that is
  not answered while a stimulus is armed arms nothing: a ramp is never sent twice.
- The device runs three ramps by itself: up, hold, back, each by time, and each stopped by either button. What a press
  does to the ramps behind is not known, so that the driver ends the stimulus itself as well.
- The abort is a ladder: end the test; if the readings do not fall, clear the ramps and run one to baseline; if they
  still do not, its safe mode, which only its operator ends.
- Its own table of temperatures and times, its emergency button, errors and health end a stimulus.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from pydantic import Field

from neurofb.clock import Clock
from neurofb.config import Table, checked
from neurofb.errors import StimulatorMissing, UnsafeHeat, WrongInput
from neurofb.stimulation.driver import (
    Capabilities,
    Confirmed,
    Failed,
    News,
    Reading,
    Stopped,
    Ticket,
)
from neurofb.stimulation.drivers import tsa2_words as words
from neurofb.stimulation.drivers.progress import REST, Progress
from neurofb.stimulation.drivers.serial_port import Port, open_port
from neurofb.stimulation.drivers.tsa2_words import Command, State
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import DriverSetup
from neurofb.stimulation.thermode_file import ThermodeFile

#: From one status to the next. Assumed: 40 Hz; an answer of 59 bytes takes 5 ms at 115200 baud.
ASK_S = 0.025
#: An answer that is not whole by then is given up. Assumed: as the maker's own timeout, 0.2 s.
ANSWER_S = 0.2
#: From one end of the test to the next while the device still runs it. Assumed: as for other devices.
ABORT_AGAIN_S = 0.05
#: Readings that have not fallen by ``FALLS_C`` for so long have not obeyed: the next rung. Assumed: 8 °C/s, the slowest
#: ramp that is expected of an abort, falls by five times as much.
RUNG_S = 0.3
#: The same for the ramp to baseline, before the safe mode. Assumed: twice as long.
LAST_RUNG_S = 0.6
#: So much cooler is falling. Assumed: ten times the noise of a reading.
FALLS_C = 0.5
#: A probe so far above its baseline is not there yet. Assumed: as the guard's (``probe_model.AT_BASELINE_C``).
NEAR_C = 1.0
#: So long the device's own test may take: the maker's sample waits 30 s.
SELF_TEST_S = 45.0
#: So long an answer is waited for while there is no heat. Assumed: five times what the maker's client waits.
GREETING_S = 1.0
#: From one look at the port to the next, while something is waited for. Assumed: as in the guard's step.
_LOOK_S = 0.002
#: Bytes that are kept of what makes no frame: two of the longest frames.
_MOST_BYTES = 1024


class Settings(Table):
    """The table ``[settings]`` of a TSA-2."""

    thermode: int = Field(
        1,
        ge=0,
        le=7,
        description="the number of the thermode's type: 0 CHEPS, 1 TSA, 6 a second TSA, 7 DCHEPS",
    )


class Asked(NamedTuple):
    """A command whose answer is waited for."""

    command: Command
    token: int
    since_s: float


class Tsa2:
    """A driver of a TSA-2.

    Parameters
    ----------
    file : ThermodeFile
        Its description: the port, what it can do.
    clock : Clock
        The engine's.
    open_port : callable
        Opens the port.
    """

    def __init__(
        self, file: ThermodeFile, clock: Clock, open_port: Callable[[ThermodeFile], Port] = open_port
    ) -> None:
        self._file, self._clock, self._open_port = file, clock, open_port
        self._settings = checked(Settings, file.settings, f"{file.name}: [settings]")
        self._abilities = file.capabilities()
        self._port: Port | None = None
        self._version = ""
        self._cap_c = 0.0
        self._progress = Progress(self._abilities)
        self._token = 0
        #: Frames that wait for the port, and how much of the first is sent.
        self._unsent: list[bytes] = []
        self._n_sent = 0
        self._came = b""
        self._asked: Asked | None = None
        self._answer: words.Answer | None = None
        self._next_ask_s = 0.0
        self._todo: list[tuple[Command, bytes]] = []
        self._run_token: int | None = None
        self._status: words.Status | None = None
        self._trouble = ""
        #: The first error that was looked up while the device reports one; None if none was.
        self._error: int | None = None
        self._is_pressed = self._is_emergency = self._is_tested = False
        #: The rung of the ladder; since when, and from what temperature, the readings have not fallen.
        self._rung, self._rung_s, self._rung_c = 0, 0.0, 0.0
        self._aborted_s: float | None = None
        self._baseline_c = REST.baseline_c
        self._ticket: Ticket | None = None
        self._is_confirmed = False
        self._n_tickets = 0
        self._armed_s = self._fired_s = 0.0
        self._has_run = False
        self._news: list[News] = []
        self._last = Reading(clock.now_s(), REST.baseline_c, float("nan"), "off")

    # -- before the session ------------------------------------------------------------------------------------

    def connect(self, cap_c: float) -> None:
        """Open the port, learn the firmware, choose the thermode, end whatever is on."""
        self._port, self._cap_c = self._open_port(self._file), cap_c
        try:
            version = self._ask(Command.VERSION)
            self._version = version.data[1:].decode("ascii", "replace").strip("\x00 \r\n")
            kind = self._settings.thermode
            for command, data in (
                (Command.END_TEST, b""),
                (Command.CLEAR, b""),
                (Command.ENABLE, bytes([kind, 1])),
                (Command.SET_ACTIVE, bytes([kind])),
                (Command.SET_STATE, bytes([State.REST, 0])),
            ):
                answer = self._ask(command, data)
                if answer.acknowledgement and command in (Command.ENABLE, Command.SET_ACTIVE):
                    raise StimulatorMissing(
                        f"the {self._file.title} does not take thermode {kind} ({answer.why}): enable it, and set it "
                        "current, in Main Station once; the number is thermode in [settings]"
                    )
            self._progress.state = "baseline"
            self._look()
        except BaseException:
            self._let_go()
            raise

    def capabilities(self) -> Capabilities:
        """Return what the file says, and the firmware."""
        return replace(self._abilities, firmware=self._version)

    def prepare(self) -> list[str]:
        """Let the device test itself, which may take 30 s, with the probe off the skin; return what is wrong."""
        answer = self._ask(Command.SET_STATE, bytes([State.REST, 1]))
        if answer.acknowledgement:
            return [f"it did not begin its own test ({answer.why}); see to it in Main Station"]
        self._is_tested = True
        began_s = still_s = self._clock.now_s()
        state: int = State.SELF_TEST
        while self._clock.now_s() - began_s < SELF_TEST_S and self._clock.now_s() - still_s < GREETING_S:
            self._look()
            state = State.SAFE if self._status is None else self._status.state
            if state == State.SELF_TEST:
                still_s = self._clock.now_s()
        if state in (State.REST, State.TEST_INIT):
            return []
        return [
            "its own test did not end at rest; see to it in Main Station, with the probe off the skin: after an "
            "emergency nothing else helps"
        ]

    def self_test(self) -> list[str]:
        """Return what is wrong, as its status, its health and its first error say."""
        self._look()
        assert self._status is not None
        found = []
        if self._is_tested and self._status.state == State.SAFE:
            found.append(
                "it is in its safe mode: see to it in Main Station, and let it test itself there, with the probe off "
                "the skin"
            )
        if self._status.health:
            found.append(f"its health is 0x{self._status.health:04X}; 0x0000 would be right: see the manual")
        if self._status.has_error:
            error = words.first_error(self._ask(Command.ERRORS).data)
            if error is not None and error & words.GRAVE:
                found.append(f"it reports {words.error_in_words(error)}")
        if not self._status.zones_c:
            found.append("it tells no temperature of its thermode: see that it is plugged in")
        return found

    # -- a stimulus --------------------------------------------------------------------------------------------

    def arm(self, profile: HeatProfile) -> Ticket:
        """Clear the ramps that are queued, and queue those of a stimulus; the last answer confirms them."""
        if profile.target_c > self._cap_c:
            raise UnsafeHeat(f"{self._cap_c:g} °C at most may be given; {profile.target_c:g} °C is asked")
        self._n_tickets += 1
        given = self._abilities.rounded(profile)
        self._ticket, self._is_confirmed, self._aborted_s = Ticket(self._n_tickets, given), False, None
        self._baseline_c, self._run_token = given.baseline_c, None
        self._progress.arm(given)
        self._todo = [(Command.END_TEST, b""), (Command.CLEAR, b"")]
        self._todo.append((Command.SET_STATE, bytes([State.TEST_INIT, 0])))
        self._todo += [(Command.RAMP, each) for each in words.ramps(given)]
        self._armed_s = float("inf")
        self._turn()
        return self._ticket

    def fire(self, ticket: Ticket) -> None:
        """Run what is queued."""
        if self._ticket is None or ticket.number != self._ticket.number:
            raise WrongInput(f"ticket {ticket.number} is not armed, or was fired: a ticket is good for once")
        if not self._is_confirmed:
            raise StimulatorMissing("the device has not taken the ramps of this stimulus")
        self._ticket = None
        self._run_token = self._say(Command.RUN_TEST, b"\x00")
        self._fired_s, self._has_run = self._clock.now_s(), False
        self._news += self._progress.fire(self._clock.now_s(), self._last.measured_c)
        self._turn()

    def lower(self, target_c: float) -> None:
        """Do nothing: ramps that run are not changed."""

    def abort(self) -> None:
        """End the test at once, and again while it runs; climb the ladder while the readings do not fall."""
        now_s = self._clock.now_s()
        if self._aborted_s is None:
            self._begin_abort(now_s)
        elif now_s - self._aborted_s >= ABORT_AGAIN_S:
            self._aborted_s = now_s
            self._climb(now_s)
        self._pump()

    def read(self) -> Reading:
        """Return the newest reading."""
        self._turn()
        return self._last

    def pop_news(self) -> list[News]:
        """Return what the device has told since the last call."""
        found, self._news = self._news, []
        return found

    def close(self) -> None:
        """Return to baseline and let the port go."""
        if self._port is None:
            return
        try:
            self._begin_abort(self._clock.now_s())
            until_s = self._clock.now_s() + ANSWER_S
            while self._unsent and self._clock.now_s() < until_s:
                self._pump()
                self._pause()
        finally:
            self._let_go()

    # -- the abort ---------------------------------------------------------------------------------------------

    def _begin_abort(self, now_s: float) -> None:
        self._ticket, self._is_confirmed, self._run_token = None, False, None
        self._todo.clear()
        self._progress.stop()
        self._aborted_s, self._rung, self._rung_s = now_s, 1, now_s
        self._rung_c = self._last.measured_c
        del self._unsent[
            1 if self._n_sent else 0 :
        ]  # what is half sent ends whole: else its rest would be garbage
        self._say(Command.END_TEST)

    def _climb(self, now_s: float) -> None:
        """Take the next rung if the readings do not fall."""
        seen_c, is_new = self._last.measured_c, self._last.time_s > self._rung_s
        if is_new and (seen_c <= self._baseline_c + NEAR_C or seen_c <= self._rung_c - FALLS_C):
            self._rung_s, self._rung_c = now_s, seen_c
        waited_s = now_s - self._rung_s
        if self._rung == 1:
            if self._status is None or self._status.state in (State.TEST_RUN, State.PAUSED):
                self._say(Command.END_TEST)
            if waited_s >= RUNG_S:
                self._rung, self._rung_s, self._rung_c = 2, now_s, seen_c
                self._todo = self._ramp_to_baseline(seen_c)
        elif self._rung == 2 and waited_s >= LAST_RUNG_S:
            self._rung, self._rung_s = 3, now_s
            self._todo.clear()
        if self._rung == 3:
            self._say(Command.SET_STATE, bytes([State.SAFE, 0]))

    def _ramp_to_baseline(self, from_c: float) -> list[tuple[Command, bytes]]:
        """Return the commands of the second rung: nothing runs unless the ramps before it are known to be gone."""
        lasts_s = max(0.05, (from_c - self._baseline_c) / self._abilities.abort_c_per_s)
        return [
            (Command.CLEAR, b""),
            (Command.SET_STATE, bytes([State.TEST_INIT, 0])),
            (Command.RAMP, words.ramp(self._baseline_c, lasts_s)),
            (Command.RUN_TEST, b"\x00"),
        ]

    # -- talking without waiting -------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Send what can be sent, understand what has come, ask for what is due."""
        now_s = self._clock.now_s()
        self._pump()
        self._came = (self._came + self._opened().read())[-_MOST_BYTES:]
        while (found := words.answer_in(self._came)) is not None:
            self._came = self._came[found[1] :]
            self._hear(found[0], now_s)
        if self._asked is not None and now_s - self._asked.since_s > ANSWER_S:
            if self._asked.command != Command.STATUS:
                self._todo.clear()  # nobody knows whether it was obeyed
                self._error = None if self._asked.command == Command.ERRORS else self._error
            self._asked, self._came = None, b""
        if self._asked is None and not self._unsent:
            self._ask_next(now_s)
        self._pump()

    def _ask_next(self, now_s: float) -> None:
        command, data = Command.STATUS, b""
        if now_s >= self._next_ask_s:
            self._next_ask_s = now_s + ASK_S
        elif self._todo:
            command, data = self._todo[0]
        else:
            return
        self._asked = Asked(command, self._say(command, data), now_s)

    def _hear(self, answer: words.Answer, now_s: float) -> None:
        if answer.token == self._run_token and answer.command == Command.RUN_TEST:
            self._run_token = None
            if answer.acknowledgement:
                self._news.append(Failed(f"the device did not run its ramps ({answer.why})", now_s))
        asked = self._asked
        if asked is None or (answer.command, answer.token) != (asked.command, asked.token):
            return  # late, or to what nobody waits for
        self._asked, self._answer = None, answer
        if asked.command == Command.STATUS:
            if (status := words.status_in(answer.data)) is not None and not answer.acknowledgement:
                self._take(status, asked.since_s)
        elif asked.command == Command.ERRORS:
            self._hear_error(words.first_error(answer.data), now_s)
        elif self._todo and self._todo[0][0] == asked.command:
            self._go_on(answer, now_s)

    def _go_on(self, answer: words.Answer, now_s: float) -> None:
        """Go on with what arms a stimulus, or with the second rung; a command that is refused ends it."""
        command, _ = self._todo.pop(0)
        if answer.acknowledgement and command != Command.END_TEST:  # there may be nothing to be ended
            self._todo.clear()
            if self._ticket is not None:
                self._news.append(
                    Failed(f"the device did not take a stimulus ({command.name}: {answer.why})", now_s)
                )
        elif not self._todo:
            self._armed_s = now_s

    def _take(self, status: words.Status, asked_s: float) -> None:
        """Take a reading as of the time at which it was asked for, so that it is never younger than it says."""
        self._status = status
        hottest_c = max(status.zones_c, default=float("nan"))
        self._news += self._progress.follow(hottest_c, asked_s, may_begin=status.state == State.TEST_RUN)
        self._hear_trouble(status, asked_s)
        # A status that was on its way when the ramps were started says nothing of them.
        self._has_run = self._has_run or (status.state == State.TEST_RUN and asked_s > self._fired_s)
        if self._progress.is_on and self._progress.has_begun and self._has_run:
            self._see_end(status, hottest_c)
        target_c = self._progress.target_c(asked_s, self._baseline_c)
        zones_c = status.zones_c if len(status.zones_c) > 1 else ()
        self._last = Reading(asked_s, target_c, hottest_c, self._progress.state, zones_c)
        if self._trouble:
            self._last = self._last._replace(state="fault")
        elif status.state == State.SAFE:
            self._last = self._last._replace(state="off")
        is_queued = self._ticket is not None and not self._todo and asked_s >= self._armed_s
        if is_queued and status.state == State.TEST_INIT and not self._is_confirmed:
            assert self._ticket is not None
            self._is_confirmed = True
            self._news.append(Confirmed(self._ticket.number))

    def _see_end(self, status: words.Status, hottest_c: float) -> None:
        """End the test when the stimulus is over; note one that the device has ended itself."""
        if self._progress.state == "baseline":
            if hottest_c <= self._baseline_c + NEAR_C:
                self._progress.stop("baseline")
                self._say(Command.END_TEST)
        elif status.state != State.TEST_RUN and self._progress.state != "returning":
            self._progress.stop()

    def _hear_trouble(self, status: words.Status, time_s: float) -> None:
        pressed, self._is_pressed = self._is_pressed, status.pressed
        if status.pressed and not pressed:
            self._news.append(Stopped("participant", time_s))
            if self._progress.is_on:
                self._begin_abort(self._clock.now_s())
        self._hear_emergency(bool(status.health & words.Health.EMERGENCY), time_s)
        other = status.health & ~words.Health.EMERGENCY
        trouble, self._trouble = self._trouble, f"health 0x{other:04X}" if other else ""
        if self._trouble and not trouble:
            self._news.append(Failed(self._trouble, time_s))
        if not status.has_error:
            self._error = None
        elif self._error is None:
            self._error = 0
            self._todo.insert(0, (Command.ERRORS, b""))
        elif self._error & words.GRAVE:
            self._trouble = words.error_in_words(self._error)

    def _hear_error(self, error: int | None, time_s: float) -> None:
        if self._todo and self._todo[0][0] == Command.ERRORS:
            self._todo.pop(0)
        self._error = error or 0
        if self._error == words.EMERGENCY_ERROR:
            self._hear_emergency(True, time_s)
        elif self._error & words.GRAVE:
            self._trouble = words.error_in_words(self._error)
            self._news.append(Failed(self._trouble, time_s))

    def _hear_emergency(self, is_pressed: bool, time_s: float) -> None:
        before, self._is_emergency = self._is_emergency, is_pressed or self._error == words.EMERGENCY_ERROR
        if self._is_emergency and not before:
            self._news.append(Stopped("emergency", time_s))

    def _say(self, command: Command, data: bytes = b"") -> int:
        """Queue a command; return its token."""
        self._token = self._token % 0xFFFFFFFF + 1
        self._unsent.append(words.frame(command, self._token, data))
        return self._token

    def _pump(self) -> None:
        """Send what waits, frame by frame."""
        port = self._opened()
        while self._unsent:
            self._n_sent += port.write(self._unsent[0][self._n_sent :])
            if self._n_sent < len(self._unsent[0]):
                return
            del self._unsent[0]
            self._n_sent = 0

    def _opened(self) -> Port:
        if self._port is None:
            raise StimulatorMissing(f"the {self._file.title} is not connected; connect it first")
        return self._port

    def _let_go(self) -> None:
        port, self._port = self._port, None
        self._progress.stop("off")
        if port is not None:
            port.close()

    # -- talking and waiting, before there is heat -------------------------------------------------------------

    def _ask(self, command: Command, data: bytes = b"") -> words.Answer:
        """Send a command and wait for its answer; once more if none comes."""
        for _ in range(2):
            now_s = self._clock.now_s()
            self._answer, self._todo = None, []
            self._asked = Asked(command, self._say(command, data), now_s)
            until_s = now_s + GREETING_S
            while self._clock.now_s() < until_s and self._asked is not None:
                self._pause()
                self._turn()
                if self._answer is not None and self._answer.command == command:
                    return self._answer
            self._asked = None
        raise StimulatorMissing(
            f"the {self._file.title} at {self._file.where} does not answer {command.name}; see that it is on, and that "
            "port and baud are right: 115200, or 9600 where it was never set up"
        )

    def _look(self) -> None:
        """Wait for a status that is asked for now."""
        since_s = self._clock.now_s()
        until_s = since_s + GREETING_S
        self._next_ask_s = since_s
        while self._last.time_s <= since_s:
            if self._clock.now_s() > until_s:
                raise StimulatorMissing(
                    f"the {self._file.title} at {self._file.where} does not answer with a status that can be read"
                )
            self._pause()
            self._turn()

    def _pause(self) -> None:
        self._clock.wait_until(self._clock.now_s() + _LOOK_S)


def make(setup: DriverSetup) -> Tsa2:
    """Return the driver of the thermode that a file describes."""
    if setup.file is None:
        raise WrongInput("a TSA-2 is described by a file: give its path with --thermode")
    if setup.faults:
        raise WrongInput("--thermode-fault is for the simulated thermode; a real one has its own faults")
    return Tsa2(setup.file, setup.clock)
