"""QST.Lab's TCS II and II.1 at a serial port.

In: the guard's orders. Out: bytes, readings, and what the device tells. Kept: the settings that it should hold, what is
still to be sent, and what has come and is not understood yet. Nothing waits, but in ``connect``, ``prepare``,
``self_test`` and ``close``: each call sends what can be sent, reads what is there, and asks for the next reading.

Rules, each against a hazard that was read about (the page on the TCS II has the sources):

- A command is written in one piece. An abort drops what is not sent yet and sends ``A`` eight times, as a command that
  was cut off takes the first of them for its digits; then ``A`` every 50 ms, as long as the guard asks.
- The device runs its stimulus by itself (``L``, or ``Ol`` that its button can stop) and ends it by its own clock.
  Follow mode, which holds its temperature for ever, is never used.
- The cap (``Om``) is proved in ``connect``, without heat: a target above it must come back lowered.
- A stimulus starts only when the device has answered that it holds its settings.
- The stream is silenced, and silenced again whenever an answer is not whole.
- The trigger input is switched off where the firmware can; a press of the device's stimulus button counts as an
  emergency, as nobody knows what it starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from neurofb.clock import Clock
from neurofb.errors import StimulatorMissing, UnsafeHeat, WrongInput
from neurofb.stimulation.driver import Capabilities, Confirmed, News, Reading, Stopped, Ticket
from neurofb.stimulation.drivers import tcs2_words as words
from neurofb.stimulation.drivers.progress import ONSET_C, REST, Progress
from neurofb.stimulation.drivers.serial_port import Port, open_port
from neurofb.stimulation.heat_profile import HeatProfile
from neurofb.stimulation.registry import DriverSetup
from neurofb.stimulation.thermode_file import ThermodeFile

T = TypeVar("T")

#: From one question for temperatures and buttons to the next. Assumed: 50 Hz, half of what the device streams at.
ASK_S = 0.02
#: An answer that is not whole by then is given up, and the stream silenced once more. Assumed: 28 bytes take 2.4 ms.
ANSWER_S = 0.2
#: From one abort to the next, as long as the guard asks for it. Assumed: twice what eight characters take at most.
ABORT_AGAIN_S = 0.05
#: The pause after each character before firmware 14: K-Demin/DecNef, qstm14.
CHARACTER_S = 0.001
#: What the help may take: up to 10 kB, 0.9 s at 115200 baud.
HELP_S = 2.0
#: What is proved in ``connect``: a cap, and a target above it that must come back lowered. Assumed: below any pain.
PROOF_CAP_C, PROOF_TARGET_C = 40.0, 45.0
#: Least charge before a session: the maker's own clients warn there.
LEAST_BATTERY = 20
#: The ramp of the device's own test: so much above baseline, mean and worst deviation: a five-zone experiment with a
#: TCS II.1 uses 5 °C, 1.5 °C and 4 °C.
TEST_C, TEST_MEAN_C, TEST_WORST_C = 2.0, 1.5, 4.0
#: Bytes that are kept of what is not understood: a help of 10 kB, and as much again.
_MOST_BYTES = 20_000
UNPLUG = "firmware {} cannot switch its trigger input off: unplug that cable, a pulse there could start heat"


class Tcs2:
    """A driver of a TCS II.

    Parameters
    ----------
    file : ThermodeFile
        Its description: the port, the zones that heat, what it can do.
    clock : Clock
        The engine's.
    open_port : callable
        Opens the port.
    """

    def __init__(
        self, file: ThermodeFile, clock: Clock, open_port: Callable[[ThermodeFile], Port] = open_port
    ) -> None:
        if not file.zones:
            raise WrongInput(f"{file.name}: which zones heat? zones = [1, 2, 3, 4, 5] would be right for all")
        self._file, self._clock, self._open_port = file, clock, open_port
        self._abilities = file.capabilities()
        self._port: Port | None = None
        self._firmware: words.Firmware | None = None
        self._digits = 5
        self._pace_s = CHARACTER_S
        self._unsent = bytearray()
        self._sent_s = -1.0
        self._came = b""
        self._asked_s: float | None = None
        self._next_ask_s = 0.0
        #: Whether the question that is open is for settings, else for temperatures and buttons.
        self._asks_settings = False
        self._wanted: words.Settings | None = None
        self._ticket: Ticket | None = None
        self._is_confirmed = False
        self._n_tickets = 0
        self._progress = Progress(self._abilities)
        self._aborted_s: float | None = None
        self._is_pressed = (False, False)
        self._news: list[News] = []
        self._last = Reading(clock.now_s(), 32.0, float("nan"), "off")

    # -- before the session ------------------------------------------------------------------------------------

    def connect(self, cap_c: float) -> None:
        """Open the port, silence the device, learn its firmware, prove its cap, and go to baseline."""
        self._port = self._open_port(self._file)
        try:
            self._greet()
            self._prove_cap()
            self._say(words.cap(cap_c))
            self._write_settings(words.settings_of(REST, self._file.zones))
            self._progress.state = "baseline"
            self._look()
        except BaseException:
            self._let_go()
            raise

    def capabilities(self) -> Capabilities:
        """Return what the file says, less what the firmware cannot."""
        firmware = self._firmware
        if firmware is None:
            return self._abilities
        longest_s = min(self._abilities.longest_s, (10**self._digits - 1) / 1000)
        return replace(
            self._abilities,
            longest_s=longest_s,
            firmware=firmware.version,
            serial=firmware.serial,
            warnings=() if firmware.has_trigger_off else (UNPLUG.format(firmware.version),),
        )

    def prepare(self) -> list[str]:
        """Ramp to 2 °C above baseline and back, with the probe off the skin; return how badly it follows."""
        profile = replace(REST, target_c=REST.baseline_c + TEST_C, plateau_s=1.0)
        ticket = self.arm(profile)
        self._wait_for(lambda: True if self._is_confirmed else None, "its settings")
        self.fire(ticket)
        began_s, off_c = self._clock.now_s(), []
        while (t_s := self._clock.now_s() - began_s) < profile.duration_s + 0.5:
            self._pause()
            reading = self.read()
            # While it may not have begun, or may have ended, either temperature is right.
            right = [
                profile.temperature_c(reading.time_s - began_s - late_s) for late_s in (0.0, self._late_s)
            ]
            off_c.append(max(min(right) - reading.measured_c, reading.measured_c - max(right), 0.0))
        self._rest()
        self._look()
        found = []
        if not sum(off_c) / max(1, len(off_c)) <= TEST_MEAN_C:
            found.append(
                f"it is {sum(off_c) / len(off_c):.1f} °C off on a ramp of {TEST_C:g} °C, on the average"
            )
        if not max(off_c, default=0.0) <= TEST_WORST_C:
            found.append(f"it is {max(off_c):.1f} °C off on a ramp of {TEST_C:g} °C")
        if t_s and not self._progress.has_begun:
            found.append(f"it did not rise by {ONSET_C:g} °C when it was told to rise by {TEST_C:g} °C")
        return found

    def self_test(self) -> list[str]:
        """Return what is wrong with battery, errors, firmware and zones."""
        found = []
        charge = self._ask(words.BATTERY, words.battery_in, "its battery")
        if charge < LEAST_BATTERY:
            found.append(f"the battery has {charge} %; {LEAST_BATTERY} % at least are needed: charge it")
        errors = self._ask(words.ERRORS, words.errors_in, "its errors")
        if errors != "000000":
            found.append(
                f"the device reports errors {errors}, five zones and the neutral; 000000 would be right"
            )
        firmware = self._firmware
        if self._file.firmware and firmware is not None and self._file.firmware != firmware.version:
            found.append(
                f"its firmware is {firmware.version}; {self._file.name} was written for {self._file.firmware}: bench "
                "it again, and correct the file"
            )
        self._look()
        return found

    # -- a stimulus --------------------------------------------------------------------------------------------

    def arm(self, profile: HeatProfile) -> Ticket:
        """Write the settings of a stimulus and ask for them again; the answer confirms them."""
        self._n_tickets += 1
        self._ticket, self._is_confirmed = Ticket(self._n_tickets, self._abilities.rounded(profile)), False
        self._aborted_s = None
        self._progress.arm(self._ticket.profile)
        self._wanted = words.settings_of(self._ticket.profile, self._file.zones)
        self._say(*self._wanted.commands(self._digits))
        self._next_ask_s, self._asks_settings = self._clock.now_s(), False
        self._turn()
        return self._ticket

    def fire(self, ticket: Ticket) -> None:
        """Start the armed stimulus."""
        if self._ticket is None or ticket.number != self._ticket.number:
            raise WrongInput(f"ticket {ticket.number} is not armed, or was fired: a ticket is good for once")
        if not self._is_confirmed:
            raise StimulatorMissing("the device has not confirmed the settings of this stimulus")
        self._ticket = None
        self._say(b"Ol" if self._firmware is not None and self._firmware.has_button else b"L")
        self._news += self._progress.fire(self._clock.now_s(), self._last.measured_c)
        self._turn()

    def lower(self, target_c: float) -> None:
        """Do nothing: whether a new target is heard during a stimulus is not known."""

    def abort(self) -> None:
        """Send the abort at once, ahead of all that waits; again every 50 ms while this is called."""
        now_s = self._clock.now_s()
        if self._aborted_s is None:
            self._ticket = None
            self._progress.stop()
            self._unsent[:] = words.ABORT  # what was cut off takes some of them for its digits
            self._aborted_s = now_s
        elif now_s - self._aborted_s >= ABORT_AGAIN_S and not self._unsent:
            self._unsent += b"A"
            self._aborted_s = now_s
        self._pump(now_s)

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
            self._aborted_s = None
            self.abort()
            until_s = self._clock.now_s() + 0.1
            while self._unsent and self._clock.now_s() < until_s:
                self._pause()
                self._pump(self._clock.now_s())
        finally:
            self._let_go()

    # -- talking without waiting -------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Send what can be sent, read what has come, ask for what is due."""
        now_s = self._clock.now_s()
        self._pump(now_s)
        self._came = (self._came + self._opened().read())[-_MOST_BYTES:]
        self._understand()
        if self._asked_s is not None and now_s - self._asked_s > ANSWER_S:
            self._came, self._asked_s = b"", None  # cut, or never sent: the stream may be on again
            self._say(words.QUIET)
        if self._asked_s is None and now_s >= self._next_ask_s and not self._unsent:
            # In turn, so that readings go on while settings are not confirmed.
            is_open = self._wanted is not None and not self._is_confirmed
            self._asks_settings = is_open and not self._asks_settings
            self._say(words.PARAMETERS if self._asks_settings else words.LOOK)
            self._asked_s, self._next_ask_s = now_s, now_s + ASK_S
            self._pump(now_s)

    def _understand(self) -> None:
        if self._asked_s is None:
            self._came = b""  # nothing was asked: a late answer, or the stream
            return
        if self._asks_settings:
            if (settings := self._settings_in(self._came)) is not None:
                self._came, self._asked_s = b"", None
                self._compare(settings)
        elif (found := words.seen_in(self._came)) is not None:
            self._came = self._came[found[1] :]
            asked_s, self._asked_s = self._asked_s, None
            self._take(found[0], asked_s)

    def _settings_in(self, data: bytes) -> list[words.Settings] | None:
        return words.settings_in(data, self._digits)

    def _compare(self, settings: list[words.Settings]) -> None:
        on = [each for i, each in enumerate(settings, 1) if i in self._file.zones]
        if on and all(each == self._wanted for each in on):
            self._is_confirmed = True
            if self._ticket is not None:
                self._news.append(Confirmed(self._ticket.number))

    def _take(self, seen: words.Seen, asked_s: float) -> None:
        """Take a reading as of the time at which it was asked for, so that it is never younger than it says."""
        zones_c = tuple(seen.zones_c[zone - 1] for zone in self._file.zones)
        hottest_c = max(zones_c)
        self._hear_buttons(seen, asked_s)
        self._news += self._progress.follow(hottest_c, asked_s)
        target_c = self._progress.target_c(asked_s, seen.neutral_c)
        self._last = Reading(asked_s, target_c, hottest_c, self._progress.state, zones_c)

    def _hear_buttons(self, seen: words.Seen, time_s: float) -> None:
        before, self._is_pressed = self._is_pressed, (seen.stim, seen.response)
        if seen.stim and not before[0]:
            self._news.append(Stopped("emergency", time_s))
        if seen.response and not before[1]:
            self._news.append(Stopped("participant", time_s))

    def _say(self, *commands: bytes) -> None:
        """Queue commands, whole."""
        for command in commands:
            self._unsent += command

    def _pump(self, now_s: float) -> None:
        """Send what waits; on old firmware one character a millisecond."""
        port = self._opened()
        if self._pace_s and self._unsent and now_s - self._sent_s >= self._pace_s:
            n = port.write(bytes(self._unsent[:1]))
            self._sent_s = now_s
        elif not self._pace_s and self._unsent:
            n = port.write(bytes(self._unsent))
        else:
            return
        del self._unsent[:n]

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

    def _greet(self) -> None:
        """Silence the device, whatever it was in the middle of, and learn its firmware."""
        self._pace_s = CHARACTER_S
        self._say(words.ABORT, words.QUIET, words.QUIET)
        self._flush()
        firmware = self._ask(words.HELP, words.firmware_in, "its help (H)", HELP_S)
        if firmware.duration_digits is None:
            raise StimulatorMissing(
                f"the help of firmware {firmware.version} does not say how many digits a duration has (Dsxxxx or "
                "Dsxxxxx): without that no stimulus can be sent"
            )
        self._firmware, self._digits = firmware, firmware.duration_digits
        self._pace_s = CHARACTER_S if firmware.is_slow else 0.0
        if firmware.has_trigger_off:
            self._say(b"Osd")

    def _prove_cap(self) -> None:
        """Send a target above a cap, all zones off: the device must lower it."""
        self._say(b"S00000", b"N320", words.cap(PROOF_CAP_C), b"C0%03d" % words.tenths(PROOF_TARGET_C))
        settings = self._ask(words.PARAMETERS, self._settings_in, "its parameters (P)")
        most = max(each.target for each in settings)
        if most != words.tenths(PROOF_CAP_C):
            raise UnsafeHeat(
                f"the {self._file.title} does not keep its cap: {PROOF_TARGET_C:g} °C after a cap of {PROOF_CAP_C:g} "
                f"°C came back as {most / 10:g} °C; such a device must not heat a person"
            )

    def _write_settings(self, settings: words.Settings) -> None:
        self._say(*settings.commands(self._digits))
        self._wanted, self._is_confirmed, self._ticket = settings, False, None
        self._wait_for(lambda: True if self._is_confirmed else None, "its settings")

    def _rest(self) -> None:
        """Go back to baseline after the device's own test."""
        self.abort()
        until_s = self._clock.now_s() + self._abilities.longest_return_s(
            REST.baseline_c + TEST_C, REST.baseline_c
        )
        while self._clock.now_s() < until_s:
            self._pause()
            self.abort()
            self._turn()

    @property
    def _late_s(self) -> float:
        return self._abilities.onset_s + self._abilities.lag_s

    def _ask(
        self, question: bytes, answer_in: Callable[[bytes], T | None], what: str, wait_s: float = 1.0
    ) -> T:
        """Ask, and wait for a whole answer; once more if none comes."""
        for _ in range(2):
            self._flush()
            self._came, self._asked_s = b"", None
            self._opened().read()
            self._say(question)
            until_s = self._clock.now_s() + wait_s
            while self._clock.now_s() < until_s:
                self._pause()
                self._pump(self._clock.now_s())
                self._came = (self._came + self._opened().read())[-_MOST_BYTES:]
                if (found := answer_in(self._came)) is not None:
                    self._came = b""
                    return found
            self._say(words.QUIET)
        raise self._silent(what)

    def _wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        until_s = self._clock.now_s() + 2.0
        while self._clock.now_s() < until_s:
            self._turn()
            if (found := condition()) is not None:
                return found
            self._pause()
        raise self._silent(what)

    def _look(self) -> None:
        """Wait for temperatures that are asked for now: whoever comes next finds a fresh reading."""
        since_s = self._clock.now_s()
        self._wait_for(lambda: True if self._last.time_s > since_s else None, "temperatures")

    def _flush(self) -> None:
        until_s = self._clock.now_s() + 1.0
        while self._unsent and self._clock.now_s() < until_s:
            self._pump(self._clock.now_s())
            self._pause()

    def _pause(self) -> None:
        self._clock.wait_until(self._clock.now_s() + CHARACTER_S)

    def _silent(self, what: str) -> StimulatorMissing:
        return StimulatorMissing(
            f"the {self._file.title} at {self._file.where} does not answer with {what}; see that it is on, that its "
            "display shows no picture, and that baud and port are right"
        )


def make(setup: DriverSetup) -> Tcs2:
    """Return the driver of the thermode that a file describes."""
    if setup.file is None:
        raise WrongInput("a TCS II is described by a file: give its path with --thermode")
    if setup.faults:
        raise WrongInput("--thermode-fault is for the simulated thermode; a real one has its own faults")
    return Tcs2(setup.file, setup.clock)
