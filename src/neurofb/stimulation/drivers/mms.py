"""A Medoc thermode by its maker's program, Main Station, over the network.

In: the guard's orders. Out: requests, each on a connection of its own, readings, and what the device tells. Kept: the
exchanges that are open, the program that is selected, and the requests that select and start the next. Nothing waits,
but in ``connect``, ``self_test`` and ``close``: each call goes on with what is open and asks for the next reading.

Rules, each against a hazard that was read about (the page on the Main Station has the sources):

- Main Station runs programs; a stimulus is one of those in the file's table, or it is refused. Nothing here can make a
  program hotter, or check what it really holds: only the readings can.
- TRIGGER is sent when the test is in the state in which the program waits for it; what starts is known from the
  readings. One that is lost starts nothing, and the guard ends it.
- ABORT goes out at once on a connection of its own, and again until the readings are at baseline: its answer, and a
  test that is gone, prove nothing. STOP is never used for that.
- Which form the length of a request has is found with STATUS, which moves nothing.
- A server that tells no temperature is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pydantic import Field

from neurofb.clock import Clock, readings_of
from neurofb.config import NotNegative, Table, checked
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
from neurofb.stimulation.drivers import mms_words as words
from neurofb.stimulation.drivers.network import Exchange, Network, open_network
from neurofb.stimulation.drivers.progress import REST, Progress
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import DriverSetup
from neurofb.stimulation.thermode_file import Program, ThermodeFile

#: From one STATUS to the next. Assumed: 20 Hz; the fastest ramp of a Pathway moves by half a degree between two.
ASK_S = 0.05
#: An answer that is not whole by then is given up, and asked for again. Assumed: stalls of 0.1 to 1 s were seen on
#: healthy networks; a reading may be 1 s old at most (``Envelope.stale_s``).
ANSWER_S = 0.3
#: A server that has answered no STATUS for so long is lost. Assumed: three that were given up.
LOST_S = 0.9
#: From one ABORT to the next, as long as the guard asks for it; each has a connection. Assumed: a connection takes a
#: few ms, or stalls; four a second flood nobody.
ABORT_AGAIN_S = 0.25
#: So many ABORTs at most are on their way; the oldest is given up. Assumed: as long as the longest stall, 1 s.
MOST_ABORTS = 4
#: So long the first STATUS is waited for, in each form of its length. Assumed: three times ``ANSWER_S``.
GREETING_S = 1.0
#: From one look at an exchange to the next, while something is waited for. Assumed: as in the guard's step.
_LOOK_S = 0.002


class Settings(Table):
    """The table ``[settings]`` of a Main Station."""

    length: str = Field(
        "find",
        pattern="^(find|little|big)$",
        description='the form of a request\'s length: "little", "big", or "find"',
    )
    starts: int = Field(
        1,
        ge=1,
        le=2,
        description="how often START is sent: 2 where the program has a pre-test that START ends, else 1",
    )
    waits: str = Field(
        "ready",
        pattern="^(ready|running)$",
        description='the state of the test in which the program waits for TRIGGER: "ready" or "running"',
    )
    pause_s: NotNegative = Field(0.1, description="so many s lie between two requests that select and start")


class Asked(NamedTuple):
    """A request that is on its way."""

    exchange: Exchange
    command: int
    time: int
    since_s: float

    def answer(self) -> words.Answer | None:
        """Return its answer, if it is whole: one to another request is none."""
        found = words.answer_in(self.exchange.poll())
        is_own = found is not None and (found.time, found.command) == (self.time, self.command)
        return found if is_own else None


class MainStation:
    """A driver of a thermode behind Main Station.

    Parameters
    ----------
    file : ThermodeFile
        Its description: the address, the programs, what it can do.
    clock : Clock
        The engine's.
    open_network : callable
        Finds the address, and returns what asks there.
    """

    def __init__(
        self, file: ThermodeFile, clock: Clock, open_network: Callable[[ThermodeFile], Network] = open_network
    ) -> None:
        if not file.programs:
            raise WrongInput(
                f"{file.name}: which programs are set up in Main Station? Each stimulus needs one, as a table "
                "[[programs]] with code, target_c and plateau_s"
            )
        self._file, self._clock, self._open_network = file, clock, open_network
        self._settings = checked(Settings, file.settings, f"{file.name}: [settings]")
        self._wall_s = readings_of(clock)
        self._abilities = file.capabilities()
        self._network: Network | None = None
        self._order: words.Order = "big" if self._settings.length == "big" else "little"
        self._cap_c = 0.0
        self._progress = Progress(self._abilities)
        self._status: Asked | None = None
        self._next_ask_s = self._answered_s = clock.now_s()
        self._silence = ""
        #: The newest answer to STATUS, and when it was asked for.
        self._said: words.Answer | None = None
        #: What is still to be asked until the program waits for its trigger, and the first of it that is on its way.
        self._todo: list[tuple[int, int | None]] = []
        self._step: Asked | None = None
        self._next_step_s = 0.0
        self._selected: int | None = None
        self._trigger: Asked | None = None
        self._aborts: list[Asked] = []
        self._aborted_s: float | None = None
        self._ticket: Ticket | None = None
        self._is_confirmed = False
        self._n_tickets = 0
        self._is_pressed = False
        self._trouble = ""
        self._news: list[News] = []
        self._last = Reading(clock.now_s(), REST.baseline_c, float("nan"), "off")

    # -- before the session ------------------------------------------------------------------------------------

    def connect(self, cap_c: float) -> None:
        """Find the server and the form of its requests; end whatever test is on there."""
        self._network, self._cap_c = self._open_network(self._file), cap_c
        try:
            answer = self._greet()
            if answer.is_old:
                raise StimulatorMissing(
                    f"the Main Station at {self._file.where} tells no temperature (answers of 17 bytes): without that "
                    "nothing guards the skin; a newer version of it would be right"
                )
            self._progress.state = "baseline"
            self._abort_now()
            self._look()
        except BaseException:
            self._let_go()
            raise

    def capabilities(self) -> Capabilities:
        """Return what the file says; the server says nothing of itself."""
        return self._abilities

    def prepare(self) -> list[str]:
        """Do nothing: the device's own test is started in Main Station, and was, or it would not listen."""
        return []

    def self_test(self) -> list[str]:
        """Return what is wrong with Main Station, as far as its status shows."""
        self._look()
        assert self._said is not None
        found = []
        if self._said.trouble:
            found.append(
                f"Main Station says {self._said.trouble}; see to it there, with the probe off the skin"
            )
        if self._said.system == "test":
            found.append("a test is on in Main Station: end it there, and choose Go to Test")
        return found

    # -- a stimulus --------------------------------------------------------------------------------------------

    def arm(self, profile: HeatProfile) -> Ticket:
        """Select and start the program of this stimulus, if it is not the one that waits already."""
        if profile.target_c > self._cap_c:
            raise UnsafeHeat(
                f"{self._cap_c:g} °C at most may be given; a program of {profile.target_c:g} °C is asked"
            )
        program = self._program_of(profile)
        self._n_tickets += 1
        self._ticket, self._is_confirmed = Ticket(self._n_tickets, profile), False
        self._aborted_s = None
        self._progress.arm(profile)
        waits = not self._todo and self._selected == program.code and self._is_in_test
        if not waits:
            may_be_on = self._is_in_test or self._selected is not None or bool(self._todo)
            self._todo = [(words.Command.STOP, None)] if may_be_on else []
            self._todo += [
                (words.Command.SELECT, program.code),
                *[(words.Command.START, None)] * self._settings.starts,
            ]
            self._selected = None
            self._drop(self._step)
            self._step = None
        self._next_step_s = self._clock.now_s()
        self._turn()
        return self._ticket

    def fire(self, ticket: Ticket) -> None:
        """Trigger the program that waits."""
        if self._ticket is None or ticket.number != self._ticket.number:
            raise WrongInput(f"ticket {ticket.number} is not armed, or was fired: a ticket is good for once")
        if not self._is_confirmed:
            raise StimulatorMissing("Main Station does not wait for the trigger of this stimulus yet")
        self._ticket = None
        self._trigger = self._ask(words.Command.TRIGGER)
        self._news += self._progress.fire(self._clock.now_s(), self._last.measured_c)

    def lower(self, target_c: float) -> None:
        """Do nothing: a program that is on cannot be lowered."""

    def abort(self) -> None:
        """Send ABORT at once; again while this is called, whatever was answered."""
        now_s = self._clock.now_s()
        if self._aborted_s is None or now_s - self._aborted_s >= ABORT_AGAIN_S:
            self._abort_now()
        self._see_aborts()

    def read(self) -> Reading:
        """Return the newest reading.

        Raises
        ------
        StimulatorMissing
            If nothing has been answered for long.
        """
        self._turn()
        silent_s = self._clock.now_s() - self._answered_s
        if silent_s > LOST_S:
            raise StimulatorMissing(
                f"the Main Station at {self._file.where} has not answered for {silent_s:.1f} s"
                + (f" ({self._silence})" if self._silence else "")
            )
        return self._last

    def pop_news(self) -> list[News]:
        """Return what the device has told since the last call."""
        found, self._news = self._news, []
        return found

    def close(self) -> None:
        """Return to baseline and let the server go."""
        if self._network is None:
            return
        try:
            self._abort_now()
            until_s = self._clock.now_s() + ANSWER_S
            while self._aborts and self._clock.now_s() < until_s:
                self._pause()
                self._see_aborts()
        finally:
            self._let_go()

    # -- asking without waiting --------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Go on with what is open, and ask for what is due."""
        now_s = self._clock.now_s()
        self._opened()
        self._see_status(now_s)
        self._see_aborts()
        self._see_trigger(now_s)
        self._see_step(now_s)
        if self._status is None and now_s >= self._next_ask_s:
            self._status, self._next_ask_s = self._ask(words.Command.STATUS), now_s + ASK_S
            self._see_status(now_s)

    def _see_status(self, now_s: float) -> None:
        asked = self._status
        if asked is None:
            return
        answer = asked.answer()
        if answer is None and not asked.exchange.over and now_s - asked.since_s <= ANSWER_S:
            return
        self._status = None
        self._silence = asked.exchange.over
        asked.exchange.close()
        if answer is not None:
            self._answered_s = asked.since_s
            self._take(answer, asked.since_s)

    def _take(self, answer: words.Answer, asked_s: float) -> None:
        """Take a reading as of the time at which it was asked for, so that it is never younger than it says."""
        self._said = answer
        pressed, self._is_pressed = self._is_pressed, answer.yes or answer.no
        if self._is_pressed and not pressed:
            self._news.append(Stopped("participant", asked_s))
        trouble, self._trouble = self._trouble, answer.trouble
        if self._trouble and not trouble:
            self._news.append(Failed(f"Main Station says {self._trouble}", asked_s))
        self._news += self._progress.follow(
            answer.measured_c, asked_s, may_begin=answer.test in ("running", "ready")
        )
        if self._progress.has_begun and self._progress.is_on and answer.system == "idle":
            self._progress.stop()  # the test is gone, and nobody here has ended it
        target_c = self._progress.target_c(asked_s, REST.baseline_c)
        state = "fault" if self._trouble else self._progress.state
        self._last = Reading(asked_s, target_c, answer.measured_c, state)
        self._confirm(asked_s)

    @property
    def _is_in_test(self) -> bool:
        return self._said is not None and self._said.system == "test"

    @property
    def _waits(self) -> bool:
        """Whether the program that is on waits for its trigger, by the newest status."""
        return self._said is not None and self._is_in_test and self._said.test == self._settings.waits

    def _confirm(self, asked_s: float) -> None:
        """Confirm what is armed when the program waits for its trigger, seen after the last request was obeyed."""
        is_done = self._selected is not None and not self._todo and asked_s >= self._next_step_s
        if is_done and self._waits and self._ticket is not None and not self._is_confirmed:
            self._is_confirmed = True
            self._news.append(Confirmed(self._ticket.number))

    def _see_step(self, now_s: float) -> None:
        """Ask for the next of what selects and starts a program; a request that is refused is tried again."""
        if self._step is None:
            if self._todo and now_s >= self._next_step_s:
                self._step = self._ask(*self._todo[0])
            return
        asked, answer = self._step, self._step.answer()
        if answer is None and not asked.exchange.over and now_s - asked.since_s <= ANSWER_S:
            return
        self._drop(asked)
        self._step, self._next_step_s = None, now_s + self._settings.pause_s
        if answer is None:
            return
        if answer.result in (words.Result.ILLEGAL_STATE, words.Result.ILLEGAL_TEST_STATE):
            self._refused(asked.command)
            return
        if answer.result == words.Result.ILLEGAL_ARGUMENT:
            code = self._todo[0][1]
            self._news.append(Failed(f"Main Station knows no program with the code {code}", now_s))
            self._todo.clear()
            return
        _, code = self._todo.pop(0)
        self._selected = code if asked.command == words.Command.SELECT else self._selected

    def _refused(self, command: int) -> None:
        """Go on after a request that cannot be obeyed now: it is asked again, unless its answer was lost before."""
        if command == words.Command.STOP or (command == words.Command.START and self._waits):
            self._todo.pop(0)  # there is nothing to be ended, or it was started
        elif command == words.Command.SELECT and self._is_in_test:
            self._todo.insert(0, (words.Command.STOP, None))

    def _see_trigger(self, now_s: float) -> None:
        if self._trigger is None:
            return
        answer = self._trigger.answer()
        if answer is not None and answer.result in words.REFUSALS:
            self._news.append(Failed(f"Main Station did not take the trigger: {answer.why}", now_s))
        if answer is not None or self._trigger.exchange.over:
            self._drop(self._trigger)
            self._trigger = None

    def _see_aborts(self) -> None:
        """Go on with each that is on its way; what it answers proves nothing."""
        for asked in list(self._aborts):
            if asked.answer() is not None or asked.exchange.over:
                self._aborts.remove(asked)
                self._drop(asked)

    def _abort_now(self) -> None:
        self._ticket, self._is_confirmed, self._selected = None, False, None
        self._todo.clear()
        self._drop(self._step)
        self._drop(self._trigger)
        self._step = self._trigger = None
        if self._progress.state != "baseline" or self._progress.is_on:
            self._progress.stop()
        self._aborted_s = self._clock.now_s()
        while len(self._aborts) >= MOST_ABORTS:
            self._drop(self._aborts.pop(0))
        self._aborts.append(self._ask(words.Command.ABORT))

    def _ask(self, command: int, parameter: int | None = None) -> Asked:
        network = self._opened()
        time = int(self._wall_s().wall_s) & 0xFFFFFFFF
        question = words.request(command, time, self._order, parameter)
        return Asked(network(question), command, time, self._clock.now_s())

    def _opened(self) -> Network:
        if self._network is None:
            raise StimulatorMissing(f"the {self._file.title} is not connected; connect it first")
        return self._network

    def _program_of(self, profile: HeatProfile) -> Program:
        for program in self._file.programs:
            if program.profile == profile:
                return program
        raise UnsafeHeat("; ".join(self._abilities.cannot(profile)) or "no program gives this stimulus")

    @staticmethod
    def _drop(asked: Asked | None) -> None:
        if asked is not None:
            asked.exchange.close()

    def _let_go(self) -> None:
        for asked in (self._status, self._step, self._trigger, *self._aborts):
            self._drop(asked)
        self._status = self._step = self._trigger = self._network = None
        self._aborts.clear()
        self._progress.stop("off")

    # -- asking and waiting, before there is heat ----------------------------------------------------------------

    def _greet(self) -> words.Answer:
        """Ask for the status in each form that may be right, until one is answered."""
        orders: tuple[words.Order, ...] = (self._order,)
        if self._settings.length == "find":
            orders = ("little", "big")
        why = ""
        for self._order in orders:
            asked = self._ask(words.Command.STATUS)
            until_s = self._clock.now_s() + GREETING_S
            while self._clock.now_s() < until_s:
                if (answer := asked.answer()) is not None:
                    self._drop(asked)
                    self._answered_s = self._clock.now_s()
                    return answer
                if asked.exchange.over:
                    why = f" ({asked.exchange.over})"
                    break
                self._pause()
            self._drop(asked)
        raise StimulatorMissing(
            f"the Main Station at {self._file.where} does not answer{why}; see that it listens (External Control on, a "
            "patient chosen, Go to Test), and that host and tcp_port are right"
        )

    def _look(self) -> None:
        """Wait for a status that is asked for now."""
        since_s = self._clock.now_s()
        until_s = since_s + GREETING_S
        while self._last.time_s <= since_s:
            if self._clock.now_s() > until_s:
                raise StimulatorMissing(f"the Main Station at {self._file.where} does not answer any more")
            self._pause()
            self._turn()
        # Whatever was pressed before counts for nothing now.
        self._news.clear()

    def _pause(self) -> None:
        self._clock.wait_until(self._clock.now_s() + _LOOK_S)


def make(setup: DriverSetup) -> MainStation:
    """Return the driver of the thermode that a file describes."""
    if setup.file is None:
        raise WrongInput("a Main Station is described by a file: give its path with --thermode")
    if setup.faults:
        raise WrongInput("--thermode-fault is for the simulated thermode; a real one has its own faults")
    return MainStation(setup.file, setup.clock)
