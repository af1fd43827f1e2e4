"""A thermode that does not exist: probe, skin behind it, the device's own cut-offs, and faults on purpose.

What it is like. The probe follows the commanded course with a lag of ``LAG_S``; it heats by 70 °C/s at most and an
abort cools it by 40 °C/s, the figures of CHEPS, so that from 50 °C an abort reaches a baseline of 32 °C in
0.45 s. The skin is a second first-order lag behind the probe. If its controller is broken (stuck, runaway) an abort
can only cut the power; then the probe cools passively towards its coolant, from 50.5 °C to within 1 °C of 32 °C in
0.9 s (``PASSIVE_S`` is a choice, no device's figure). Two cut-offs are the device's own and independent of the
computer: at ``MAX_C`` it cuts the power for good, and after ``LINK_S`` without a word from the computer it aborts. A
real device without these two can't give the same promises when its link or the computer dies; its driver must say so
in its capabilities.

What is measured. ``read`` gives the probe with noise, as a real device does. ``probe_c``, ``skin_c`` and
``commanded_c`` are the truth, for tests and for a simulated head.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from neurofb.clock import Clock
from neurofb.config import parse_fault
from neurofb.errors import StimulatorMissing, UnknownName, UnsafeHeat, WrongInput, nearest
from neurofb.stimulation.driver import Capabilities, News, Reading, State, Ticket
from neurofb.stimulation.heat_profile import Course, HeatProfile
from neurofb.stimulation.registry import DriverSetup

#: Assumed: the time constants of the probe behind its command, and of the skin behind the probe.
LAG_S, SKIN_LAG_S = 0.1, 0.3
#: Assumed: the noise of a reading, standard deviation.
NOISE_C = 0.02
#: Assumed: where the device cuts its own power: half a degree above ``ABSOLUTE_CAP_C``.
MAX_C = 50.5
#: Assumed: after so long without a word from the computer the device aborts; few real ones do (see the how-to).
LINK_S = 0.5
#: CHEPS, by the README of ilalena/TSA-external-control.
RISE_C_PER_S, COOL_C_PER_S = 70.0, 40.0
#: Assumed: what a probe without power cools to, and how fast.
COOLANT_C, PASSIVE_S = 20.0, 1.0

#: Assumed: the step of its physics, a twentieth of the probe's time constant.
_STEP_S = 0.005

HeatFaultKind = Literal["stuck", "runaway", "deaf_runaway", "lost", "wrong_readback", "stale"]

#: Faults by name, and what each does.
FAULTS: dict[str, str] = {
    "stuck": "the probe stays as it is; only cutting the power lets it cool",
    "runaway": "the probe heats with full power whatever is commanded, until the power is cut",
    "deaf_runaway": "the same, and it does not hear the abort: the device's own cut-off ends it",
    "lost": "nothing comes from the device and nothing reaches it",
    "wrong_readback": "the probe is as commanded, what is read is off by so many °C",
    "stale": "the same old reading comes again and again",
}
HOW = (
    "write stuck@12.5 (from 12.5 s on), runaway@3+2 (at 3 s for 2 s), deaf_runaway@3, lost@5+1, stale@6+3, or "
    "wrong_readback@4+10:-2 (reads 2 °C too low)"
)


@dataclass(frozen=True, slots=True)
class HeatFault:
    """A fault: its kind, its start and duration in s since ``connect``, and by how many °C a wrong reading is off."""

    kind: HeatFaultKind
    at_s: float
    lasts_s: float = math.inf
    by_c: float = 3.0

    def is_on(self, t_s: float) -> bool:
        """Return whether it is there, ``t_s`` seconds after the start."""
        return self.at_s <= t_s < self.at_s + self.lasts_s


def parse_heat_faults(texts: Sequence[str]) -> tuple[HeatFault, ...]:
    """Read faults as they are given on the command line; without a duration a fault stays.

    Raises
    ------
    WrongInput
        If one cannot be read; the message shows how to write it.
    """
    return tuple(_parse_heat_fault(text) for text in texts)


def _parse_heat_fault(text: str) -> HeatFault:
    found = parse_fault(text)
    if found is None or found.start is None or (found.duration or "").startswith("-"):
        raise WrongInput(f"the thermode's fault {text!r} cannot be read; {HOW}")
    if found.name not in FAULTS:
        raise UnknownName(f"no thermode fault {found.name!r}; {nearest(found.name, FAULTS)}; {HOW}")
    if found.value is not None and found.name != "wrong_readback":
        raise WrongInput(f"only wrong_readback has a value in °C: found {text!r}; {HOW}")
    try:
        numbers = [
            None if each is None else float(each) for each in (found.start, found.duration, found.value)
        ]
    except ValueError:
        numbers = [math.nan]
    if not all(each is None or math.isfinite(each) for each in numbers):
        raise WrongInput(f"the thermode's fault {text!r} has something that is no number; {HOW}")
    at_s, lasts_s, by_c = numbers
    return HeatFault(
        cast(HeatFaultKind, found.name),
        at_s or 0.0,
        math.inf if lasts_s is None else lasts_s,
        3.0 if by_c is None else by_c,
    )


class SimulatedThermode:
    """A driver of a simulated device on any clock; the device moves on when it is asked something.

    Parameters
    ----------
    clock : Clock
        What its time is.
    seed : int
        Of the noise of its readings.
    faults : sequence of HeatFault
        What goes wrong, and when, in seconds since ``connect``.
    """

    def __init__(self, clock: Clock, seed: int = 0, faults: Sequence[HeatFault] = ()) -> None:
        self._clock = clock
        self._noise = random.Random(seed)
        self._faults = tuple(faults)
        self._edges = sorted(
            {edge for f in faults for edge in (f.at_s, f.at_s + f.lasts_s) if edge < math.inf}
        )
        self._start_s = self._now_s = self._heard_s = clock.now_s()
        self._baseline_c = self._probe_c = self._skin_c = 32.0
        self._cap_c = 0.0
        self._mode: State = "off"
        self._course: Course | None = None
        self._fired_s = 0.0
        self._armed: Ticket | None = None
        self._n_tickets = 0
        self._tripped = False
        self._last: Reading | None = None

    def connect(self, cap_c: float) -> None:
        """Start at baseline with a cap of its own: it commands nothing above, whatever it is told."""
        self._start_s = self._now_s = self._heard_s = self._clock.now_s()
        self._cap_c = cap_c
        self._mode = "baseline"
        self._reach("connect")

    def capabilities(self) -> Capabilities:
        """Return what it can do."""
        return Capabilities(
            "simulated thermode",
            max_c=MAX_C,
            rise_c_per_s=RISE_C_PER_S,
            return_c_per_s=COOL_C_PER_S,
            abort_c_per_s=COOL_C_PER_S,
            lag_s=LAG_S,
            on_silence="returns" if math.inf > LINK_S else "holds",
            silence_s=LINK_S,
            simulated=True,
        )

    def prepare(self) -> list[str]:
        """Do nothing: it needs no preparation."""
        return []

    def pop_news(self) -> list[News]:
        """Return nothing: it begins when it is told to, and has no buttons."""
        return []

    def self_test(self) -> list[str]:
        """Return what keeps the device from heating: its power, if its own cut-off has cut it."""
        self._reach("self-test")
        return [f"the device's own cut-off at {MAX_C:g} °C has cut its power"] if self._tripped else []

    def arm(self, profile: HeatProfile) -> Ticket:
        """Go to the stimulus' baseline and give the ticket for it."""
        self._reach("arm")
        if profile.target_c > self._cap_c:
            raise UnsafeHeat(
                f"the device takes {self._cap_c:g} °C at most; asked for {profile.target_c:g} °C"
            )
        self._n_tickets += 1
        self._armed = Ticket(self._n_tickets, profile)
        self._baseline_c, self._mode, self._course = profile.baseline_c, "armed", None
        return self._armed

    def fire(self, ticket: Ticket) -> None:
        """Start the armed stimulus."""
        self._reach("fire")
        if self._armed is None or ticket.number != self._armed.number:
            raise WrongInput(f"ticket {ticket.number} is not armed, or was fired: a ticket is good for once")
        self._course, self._fired_s, self._armed = Course(self._armed.profile), self._now_s, None
        self._mode = "rising"

    def lower(self, target_c: float) -> None:
        """Lower the running target."""
        self._reach("lower")
        if self._course is not None:
            self._course.lower_to(target_c)

    def abort(self) -> None:
        """Cool to baseline as fast as it can."""
        self._reach("abort")
        self._abort()

    def read(self) -> Reading:
        """Return the probe's temperature, as a device would."""
        self._reach("read")
        if self._is_on("stale") and self._last is not None:
            return self._last
        bias_c = sum(f.by_c for f in self._on() if f.kind == "wrong_readback")
        measured_c = self._probe_c + bias_c + self._noise.gauss(0.0, NOISE_C)
        self._last = Reading(self._now_s, self._commanded_c(), measured_c, self._mode)
        return self._last

    def close(self) -> None:
        """Return to baseline and stop answering."""
        self._advance()
        self._abort()

    @property
    def commanded_c(self) -> float:
        """What the probe is told now."""
        self._advance()
        return self._commanded_c()

    @property
    def probe_c(self) -> float:
        """What the probe is."""
        self._advance()
        return self._probe_c

    @property
    def skin_c(self) -> float:
        """What the skin under the probe is."""
        self._advance()
        return self._skin_c

    def _reach(self, what: str) -> None:
        self._advance()
        if self._mode == "off":
            raise StimulatorMissing(f"{what}: the simulated thermode is not connected; connect it first")
        if self._is_on("lost"):
            raise StimulatorMissing(f"{what}: no answer from the thermode; look at its cable and its power")
        self._heard_s = self._now_s

    def _abort(self) -> None:
        self._armed = self._course = None
        if self._mode != "off":
            self._mode = "aborted"

    def _on(self) -> list[HeatFault]:
        if not self._faults:
            return []
        t_s = self._now_s - self._start_s
        return [fault for fault in self._faults if fault.is_on(t_s)]

    def _is_on(self, kind: str) -> bool:
        return any(fault.kind == kind for fault in self._on())

    def _commanded_c(self) -> float:
        course_c = self._baseline_c if self._course is None else self._course.commanded_c
        return min(course_c, max(self._cap_c, self._baseline_c))

    def _advance(self) -> None:
        until_s = self._clock.now_s()
        while self._now_s < until_s:
            next_s = self._quiet_until(until_s)
            if next_s <= self._now_s:
                next_s = min(until_s, self._now_s + _STEP_S)
                self._move(next_s - self._now_s, next_s)
            self._now_s = next_s

    def _quiet_until(self, until_s: float) -> float:
        """Return the time up to which nothing moves: at rest the next fault, else now."""
        at_rest = self._course is None and self._probe_c == self._skin_c == self._baseline_c
        if not at_rest or self._tripped or self._on():
            return self._now_s
        # A little past the fault's time: sums of times round, and a jump that stops just before it would pass it by.
        ahead = [edge_s for e in self._edges if (edge_s := e + self._start_s + 1e-6) > self._now_s]
        return min([until_s, *ahead])

    def _move(self, dt_s: float, now_s: float) -> None:
        if self._course is not None and now_s - self._heard_s > LINK_S:
            self._abort()
        if self._course is not None:
            self._course.advance_to(now_s - self._fired_s)
            phase = self._course.phase
            self._mode = "baseline" if phase == "ended" else phase
            self._course = None if phase == "ended" else self._course
        self._probe_c = self._probe_after(dt_s)
        self._tripped = self._tripped or self._probe_c >= MAX_C
        self._skin_c += (self._probe_c - self._skin_c) * -math.expm1(-dt_s / SKIN_LAG_S)
        if abs(self._skin_c - self._probe_c) < 1e-6:
            self._skin_c = self._probe_c

    def _probe_after(self, dt_s: float) -> float:
        kinds = {fault.kind for fault in self._on()}
        cut = self._tripped or (self._mode == "aborted" and kinds & {"stuck", "runaway"})
        if cut:
            return COOLANT_C + (self._probe_c - COOLANT_C) * math.exp(-dt_s / PASSIVE_S)
        if kinds & {"runaway", "deaf_runaway"}:
            return self._probe_c + RISE_C_PER_S * dt_s
        if "stuck" in kinds:
            return self._probe_c
        goal_c = self._commanded_c()
        if self._mode == "aborted" and self._probe_c > goal_c:
            return max(goal_c, self._probe_c - COOL_C_PER_S * dt_s)
        step_c = (goal_c - self._probe_c) * -math.expm1(-dt_s / LAG_S)
        step_c = min(RISE_C_PER_S * dt_s, max(-COOL_C_PER_S * dt_s, step_c))
        return goal_c if abs(goal_c - self._probe_c) < 1e-6 else self._probe_c + step_c


def make(setup: DriverSetup) -> SimulatedThermode:
    """Return the simulated thermode."""
    return SimulatedThermode(setup.clock, setup.seed, parse_heat_faults(setup.faults))
