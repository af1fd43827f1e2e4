"""Finds the temperatures of one participant at one place, stimulus by stimulus.

In: the time, what the stimulator did, the button, answers. Out: stimuli with their due times, prompts, and at the end
temperatures. Kept: which stimulus is on and what it waits for. What comes next is decided by
``stimulation.calibration``, which knows no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from neurofb.engine import stimulus_control
from neurofb.engine.prompting import Prompting
from neurofb.engine.session_log import SessionLog
from neurofb.engine.stimulus_control import StimulusController
from neurofb.errors import WrongInput
from neurofb.events import Event
from neurofb.protocol.ratings import Rating, Scale
from neurofb.protocol.stop_rules import Action
from neurofb.stimulation.calibrated_heat import CalibratedHeat
from neurofb.stimulation.calibration import Answer, HeatRequest, PainCalibration

#: From being asked for to its start. Assumed: arming takes milliseconds (34 ms on old firmware of a TCS II).
LEAD_S = 0.5

#: A stimulus is about to come so long before its start, as in a trial, which asks for it so early.
SOON_S = stimulus_control.LEAD_S

#: A calibration gives so many ramps again that were stopped; after one more it ends without a result. Assumed.
RAMPS_AGAIN = 2

_Waits = Literal["nothing", "stimulus", "answer", "interval"]


class HeatCalibration:
    """Runs a calibration as part of a session.

    It is at ``site``. ``scale`` is asked after each stimulus; ``interval_s`` is the time at baseline between two;
    ``on_done`` is called with the result.
    """

    def __init__(
        self,
        calibration: PainCalibration,
        scale: Scale,
        interval_s: float,
        stimulator: StimulusController,
        prompting: Prompting,
        log: SessionLog,
        on_done: Callable[[CalibratedHeat], None],
    ) -> None:
        self._calibration, self._scale, self.site = calibration, scale, calibration.site
        self._interval_s, self._stimulator, self._prompting = interval_s, stimulator, prompting
        self._log, self._on_done = log, on_done
        self._request: HeatRequest | None = None
        self._waits: _Waits = "nothing"
        self._next_s = 0.0
        self._pressed_c: float | None = None
        self._answer: Answer | None = None
        self._rated_c: float | None = None
        self._n = self._n_again = 0
        self.is_on = self._is_held = False
        self.found: Mapping[float, float] = {}

    @property
    def limits_on(self) -> bool:
        """Whether a ramp rises that the participant ends with the button."""
        return (
            self.is_on
            and self._waits == "stimulus"
            and self._request is not None
            and self._request.kind == "limits"
        )

    def begin(self, now_s: float) -> None:
        """Begin with the first stimulus."""
        self.is_on = True
        self._waits, self._next_s = "interval", now_s

    def step(self, now_s: float) -> None:
        """Follow the stimulator's events, and ask for the next stimulus when it is time."""
        for event in self._stimulator.pop_events():
            if self._waits == "stimulus" and event.kind in ("heat_ended", "heat_aborted", "heat_refused"):
                self._stimulus_over(event, now_s)
        if self._waits == "stimulus" and self._stimulator.pop_refusal():
            self._answered(Answer(rating=None, reached_c=None, aborted=True), now_s)
        if self._waits == "interval" and now_s >= self._next_s and not self._is_held:
            self._schedule_next(now_s)

    def pause(self) -> None:
        """Ask for nothing until ``resume``; a stimulus that is armed or on ends, and is given again afterwards, whole.

        The first part gives no answer: a ramp that a pause has ended was not ended by the button, and did
        not reach its top.
        """
        if not self.is_on:
            return
        self._is_held = True
        if self._waits == "stimulus":
            self._waits = "interval"

    def resume(self, now_s: float) -> None:
        """Go on, after the time that lies between two stimuli."""
        self._is_held = False
        self._next_s = max(self._next_s, now_s + self._interval_s)

    def too_much(self, action: Action) -> None:
        """Follow a stop rule: nothing near what was rated is given again, or the calibration ends without a result."""
        if action.kind == "end_block":
            self._calibration.give_up(action.message)
        elif self._rated_c is not None:
            self._calibration.not_above(self._rated_c - action.by_c)

    def too_much_after_all(self, action: Action) -> None:
        """Follow a stop rule that a later answer called for; the next stimulus, if asked for, ends too."""
        self.too_much(action)
        if self._waits == "stimulus":
            self._stimulator.end(action.message)

    def button(self) -> None:
        """The participant says "now it hurts": the temperature is read and returns."""
        if not self.limits_on:
            raise WrongInput("the button means something while the temperature rises only")
        last = self._stimulator.last
        self._pressed_c = None if last is None else last.measured_c
        self._stimulator.end("button")

    def stop(self, why: str, now_s: float) -> bool:
        """End the stimulus that is armed or on, which gives no answer; return whether there was one.

        One that was about to be asked for comes a whole interval later: whoever stops it must not feel it at once. A
        slow ramp is given again, ``RAMPS_AGAIN`` times in all: it may have been the wrong key. Of other stimuli none
        as hot is given again.
        """
        if self._waits == "interval" and not self._is_held and self._next_s + LEAD_S - now_s <= SOON_S:
            self._next_s = now_s + self._interval_s
            return True
        if self._waits != "stimulus" or self._request is None:
            return False
        self._pressed_c = None
        self._stimulator.end(why)
        if self._request.kind == "limits" and self._n_again < RAMPS_AGAIN:
            self._n_again += 1
            self._stimulator.forget()
            self._waits, self._next_s = "interval", now_s + self._interval_s
        elif not self._stimulator.is_given:  # it was armed only, and no event says that it ended
            self._answered(Answer(rating=None, reached_c=None, aborted=True), now_s)
        return True

    def rated(self, rating: Rating, now_s: float) -> None:
        """Add the answer to the stimulus to the calibration."""
        if self._waits == "answer":
            value = rating.value if isinstance(rating.value, float) else None
            # Added when the interval is over: until then a higher answer may still come.
            self._answer = Answer(rating=value, reached_c=self._stimulator.highest_c, aborted=False)
            self._waits, self._next_s = "interval", now_s + self._interval_s

    def rated_again(self, rating: Rating) -> None:
        """Hear a later answer to the same stimulus: the higher counts."""
        if self._answer is None or self._answer.rating is None or not isinstance(rating.value, float):
            return
        self._answer = replace(self._answer, rating=max(self._answer.rating, rating.value))

    def _schedule_next(self, now_s: float) -> None:
        if self._stimulator.unmet(now_s):
            return  # asked for later; the engine pauses the session if that lasts
        if self._answer is not None:
            self._calibration.add_answer(self._answer)
            self._answer = None
        self._request = self._calibration.next()
        if self._request is None:
            self._finish()
            return
        self._pressed_c = None
        self._stimulator.schedule(self._request.profile, self.site, now_s + LEAD_S)
        if self._stimulator.pop_refusal():
            self._answered(Answer(rating=None, reached_c=None, aborted=True), now_s)
        else:
            self._waits = "stimulus"
            self._n += 1

    def _stimulus_over(self, event: Event, now_s: float) -> None:
        assert self._request is not None
        self._stimulator.forget()
        # What ends early without the button was no whole stimulus, and says nothing.
        kind = "cut" if event.details.get("early") and self._pressed_c is None else event.kind
        if self._request.kind == "limits":
            self._answered(
                Answer(rating=None, reached_c=self._pressed_c, aborted=kind != "heat_ended"), now_s
            )
        elif kind == "heat_ended":
            self._waits, self._rated_c = "answer", self._request.profile.target_c
            self._prompting.ask(self._scale, now_s, trial=self._n, level=self._request.kind, site=self.site)
        else:
            self._answered(Answer(rating=None, reached_c=None, aborted=True), now_s)

    def _answered(self, answer: Answer, now_s: float) -> None:
        self._calibration.add_answer(answer)
        self._waits, self._next_s = "interval", now_s + self._interval_s

    def _finish(self) -> None:
        result = self._calibration.result()
        self.found = result.temperatures
        self.is_on = False
        words = ", ".join(f"{celsius:.1f} °C for {k:g}" for k, celsius in result.temperatures.items())
        self._log.log("calibrated_heat", f"{self.site}: {words}", result=result.model_dump(mode="json"))
        self._on_done(result)
