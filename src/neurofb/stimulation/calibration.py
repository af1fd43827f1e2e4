"""Temperatures that hurt one participant as much as a protocol asks: limits, a ladder, a line, and a second look.

In: answers to stimuli. Out: the next stimulus, and in the end temperatures. Kept: all answers. Nothing here has a clock
or a device; the stimuli go through the guard like all others.

First the method of limits: slow ramps, each ended by the participant with a button; the mean is the threshold. Then
a ladder of short stimuli upwards around it, ended early at a high rating; a straight line through the ratings; the
temperature of each asked rating from the line; and each temperature given again several times. A rating that was not
given is missing, it is not zero. At a later visit only the last part is done, with the stored temperatures.

What it promises, whatever the answers are. A stimulus is called bearable if it was given whole and rated below
``stop_rating``; a higher rating takes that back for its temperature and all above.

- After its first rung, no stimulus is hotter than the hottest that was called bearable, plus one step of the ladder:
  not by the line, a correction or a later visit, nor by several of them together.
- Nothing is hotter than what was rated ``stop_rating`` or more, for the rest of the visit.
- What is found for a rating is no hotter than what was called bearable, and was given whole and called bearable once
  in the second look; else there is no result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from neurofb.config import Positive, Table
from neurofb.errors import WrongInput
from neurofb.stimulation.calibrated_heat import CalibratedHeat
from neurofb.stimulation.envelope import Envelope
from neurofb.stimulation.heat_profile import HeatProfile

#: A temperature is not corrected upwards by more than this at once, in °C, and only as far as the ladder's next step.
#: Assumed: two steps of the default ladder.
MOST_UP_C = 1.0
#: Steps in which temperatures are set, in °C: the TCS II takes tenths (mpcoll/pytcsii, the device's help text).
STEP_C = 0.1

Kind = Literal["limits", "ladder", "verify"]

_Count = Annotated[int, Field(strict=True, ge=1, le=20)]
_Points = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0, le=100)]


class CalibrationSettings(Table):
    """How a protocol finds each participant's temperatures."""

    limits_n: _Count = Field(default=3, description="how many slow ramps find the threshold: 1 to 20")
    limits_c_per_s: Annotated[Positive, Field(le=4.0)] = Field(
        default=1.0, description="how steep they are, in °C/s: up to 4, so that the button can follow"
    )
    ladder_n: Annotated[int, Field(strict=True, ge=3, le=20)] = Field(
        default=8, description="how many stimuli the ladder has at most: 3 to 20"
    )
    ladder_step_c: Annotated[Positive, Field(le=1.0)] = Field(
        default=0.5, description="from one to the next, in °C: up to 1"
    )
    ladder_below_c: Annotated[float, Field(strict=True, ge=0.0, le=5.0)] = Field(
        default=1.0, description="how far below the threshold it starts, in °C: 0 to 5"
    )
    plateau_s: Annotated[Positive, Field(le=60.0)] = Field(
        default=5.0, description="how long its stimuli are, in s; those of the protocol should be alike"
    )
    stop_rating: _Points = Field(
        default=80.0, description="the rating, 0 to 100, that is no longer bearable: nothing hotter is tried"
    )
    least_answers: Annotated[int, Field(strict=True, ge=3, le=20)] = Field(
        default=4, description="the fewest ratings that a line is drawn through: 3 to 20"
    )
    verify_n: _Count = Field(default=3, description="how many times each temperature is given again: 1 to 20")
    tolerance: _Points = Field(
        default=10.0, description="how far their mean may be from the asked rating, in points"
    )

    def unreachable(self, pains: Sequence[float]) -> str:
        """Return why some ratings cannot be looked for; "" if all can."""
        beyond = [pain for pain in pains if pain >= self.stop_rating]
        if not beyond:
            return ""
        return (
            f"a calibration looks for ratings below its stop_rating of {self.stop_rating:g}, at which nothing hotter "
            f"is tried; found {max(beyond):g}: ask for less, or raise stop_rating"
        )


@dataclass(frozen=True, slots=True)
class HeatRequest:
    """A stimulus to be given; ``level`` is the rating that is looked for, None before there is one."""

    kind: Kind
    profile: HeatProfile
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a stimulus: the rating and the temperature that was reached, each None if there was none."""

    rating: float | None
    reached_c: float | None
    aborted: bool = False


@dataclass(frozen=True, slots=True)
class CalibrationVisit:
    """Whose calibration it is, where on the skin, and when (the date as text)."""

    participant: str
    site: str
    date: str = ""


@dataclass(frozen=True, slots=True)
class Ramps:
    """What all stimuli of a calibration start from, and how fast they rise and return."""

    baseline_c: float = 32.0
    rise_c_per_s: float = 8.0
    return_c_per_s: float = 8.0


class PainCalibration:
    """One calibration, stimulus by stimulus: ``next`` and ``add_answer``, until ``next`` returns None.

    Parameters
    ----------
    settings : CalibrationSettings
    visit : CalibrationVisit
    pains : sequence of float
        The ratings that temperatures are looked for, 0–100.
    envelope : Envelope
        The limits; every stimulus keeps them.
    ramps : Ramps
        As the protocol has them.
    stored : CalibratedHeat, optional
        What an earlier visit found: then it is only looked at again, if it says what was called bearable for as long.

    Raises
    ------
    WrongInput
        If a rating that is looked for lies at ``stop_rating`` or above, or no plateau is allowed.
    """

    def __init__(
        self,
        settings: CalibrationSettings,
        visit: CalibrationVisit,
        pains: Sequence[float],
        envelope: Envelope,
        ramps: Ramps | None = None,
        stored: CalibratedHeat | None = None,
    ) -> None:
        wrong = [pain for pain in pains if not 0 < pain < 100]
        if wrong or not pains:
            raise WrongInput(f"temperatures are looked for ratings between 0 and 100; found {list(pains)}")
        if found := settings.unreachable(pains):
            raise WrongInput(found)
        self._settings, self._envelope = settings, envelope
        self._participant, self._site, self._date = visit.participant, visit.site, visit.date
        self._pains = sorted({float(pain) for pain in pains})
        ramps = ramps or Ramps()
        self._baseline_c, self._rise, self._return = (
            ramps.baseline_c,
            ramps.rise_c_per_s,
            ramps.return_c_per_s,
        )
        self._kind: Kind | Literal["done"] = "limits"
        self._pending: HeatRequest | None = None
        self._answers: list[tuple[str, float, float | None]] = []
        self._limits_c: list[float] = []
        self._is_pressed = False
        self._ladder: list[tuple[float, float | None]] = []
        self._threshold_c: float | None = None
        self._line = (math.nan, math.nan)
        self._temperatures: dict[float, float] = {}
        self._verified: dict[float, float] = {}
        #: Temperatures that were called bearable, and the ratings for which one was in the second look.
        self._bearable_c: list[float] = []
        self._looked_at: set[float] = set()
        self._left: list[float] = []
        self._tries: list[float | None] = []
        self._corrected = False
        self._notes: list[str] = []
        self._failed = ""
        self._is_too_hot = False
        self._highest_c = self._allowed_c()
        if stored is not None:
            self._begin_with(stored)

    @classmethod
    def verifying(
        cls,
        stored: CalibratedHeat,
        settings: CalibrationSettings,
        envelope: Envelope,
        date: str,
        pains: Sequence[float] = (),
    ) -> PainCalibration:
        """Return a calibration that only looks again at stored temperatures."""
        asked = pains or list(stored.temperatures)
        visit = CalibrationVisit(stored.participant, stored.site, date)
        return cls(settings, visit, asked, envelope, stored=stored)

    @property
    def site(self) -> str:
        """Where on the skin it is."""
        return self._site

    def next(self) -> HeatRequest | None:
        """Return the stimulus to be given now, the same one until it is answered; None when all is done."""
        if self._pending is None and self._kind != "done":
            self._pending = self._request(self._kind)
        return self._pending

    def add_answer(self, answer: Answer) -> None:
        """Add the answer to the stimulus that ``next`` returned.

        Raises
        ------
        WrongInput
            If none was given, or the rating is none.
        """
        request = self._pending
        if request is None:
            raise WrongInput("there is no stimulus to be answered; ask for the next one first")
        if answer.rating is not None and not 0 <= answer.rating <= 100:
            raise WrongInput(f"a rating is from 0 to 100, or none; found {answer.rating!r}")
        self._pending = None
        asked_c = request.profile.target_c
        # A stimulus that was lowered on its way is entered as what it was; noise is not.
        is_lower = answer.reached_c is not None and answer.reached_c < asked_c - 0.3
        at_c = answer.reached_c if is_lower and answer.reached_c is not None else asked_c
        self._answers.append((request.kind, at_c, None if answer.aborted else answer.rating))
        if self._kind == "done":
            return
        if request.kind != "limits" and not answer.aborted and answer.rating is not None:
            self._take_note(request, at_c, answer.rating)
        if request.kind == "limits":
            self._after_limits(answer, asked_c)
        elif request.kind == "ladder":
            self._after_rung(at_c, answer)
        else:
            self._after_try(answer)

    def _take_note(self, request: HeatRequest, at_c: float, rating: float) -> None:
        """Keep what was called bearable, and take back what no longer is."""
        stop = self._settings.stop_rating
        self._bearable_c = _still_bearable(self._bearable_c, at_c, rating, stop)
        if rating >= stop:
            self._highest_c = min(self._highest_c, at_c)
        elif request.level is not None:
            self._looked_at.add(request.level)

    def not_above(self, celsius: float) -> None:
        """Ask for, and find, nothing hotter from now on: it was rated as too much."""
        self._highest_c = max(self._baseline_c, min(self._highest_c, celsius))
        self._temperatures = {pain: self._cooler(pain, c) for pain, c in self._temperatures.items()}
        self._is_too_hot = True

    def _cooler(self, pain: float, before_c: float) -> float:
        if before_c <= self._highest_c:
            return before_c
        self._notes.append(f"{before_c:.1f} °C for a rating of {pain:g} became {self._highest_c:.1f} °C")
        return round(self._highest_c, 2)

    def give_up(self, why: str) -> None:
        """End without a result; an answer that comes later changes nothing."""
        self._fail(why)

    def result(self) -> CalibratedHeat:
        """Return what was found.

        Raises
        ------
        WrongInput
            If it is not done, or no line could be drawn; the message says why and what would be right.
        """
        if self._failed:
            raise WrongInput(self._failed)
        if self._kind != "done":
            raise WrongInput(f"the calibration is not done: its part {self._kind!r} goes on")
        return CalibratedHeat(
            participant=self._participant,
            site=self._site,
            date=self._date,
            plateau_s=self._settings.plateau_s,
            slope=self._line[1],
            intercept=self._line[0],
            threshold_c=self._threshold_c,
            temperatures=self._temperatures,
            verified=self._verified,
            notes=tuple(self._notes),
            answers=tuple(self._answers),
        )

    # Which stimulus.

    def _request(self, kind: Kind) -> HeatRequest:
        if kind == "limits":
            return HeatRequest(kind, self._ramp(self._top_c()))
        if kind == "ladder":
            return HeatRequest(kind, self._profile(self._rung_c()))
        pain = self._left[0]
        if self._temperatures[pain] > self._most_c():
            self._temperatures[pain] = self._clipped(pain, self._temperatures[pain])
        return HeatRequest(kind, self._profile(self._temperatures[pain]), pain)

    def _most_c(self) -> float:
        """Return the hottest that may be given now: one step above what was called bearable."""
        step_c = self._settings.ladder_step_c
        return min(self._highest_c, max(self._bearable_c, default=self._baseline_c) + step_c)

    def _profile(self, target_c: float) -> HeatProfile:
        return HeatProfile(target_c, self._settings.plateau_s, self._baseline_c, self._rise, self._return)

    def _ramp(self, target_c: float) -> HeatProfile:
        return HeatProfile(target_c, 0.0, self._baseline_c, self._settings.limits_c_per_s, self._return)

    def _hottest_c(self, profile_of: Callable[[float], HeatProfile]) -> float:
        """Return the hottest target, from the cap down in steps, with which the envelope allows a profile."""
        top_c = self._envelope.cap_c
        while top_c > self._baseline_c and self._envelope.problems(profile_of(top_c)):
            top_c -= STEP_C
        return top_c

    def _top_c(self) -> float:
        """Return where a ramp turns if nobody presses: the cap, or below where a slow ramp would be too much."""
        return max(self._hottest_c(self._ramp), self._baseline_c)

    def _allowed_c(self) -> float:
        """Return the hottest plateau that the envelope allows."""
        top_c = self._hottest_c(self._profile)
        if top_c <= self._baseline_c + 1.0:
            raise WrongInput(
                f"no stimulus of {self._settings.plateau_s:g} s is allowed: "
                + "; ".join(self._envelope.problems(self._profile(self._envelope.cap_c)))
            )
        return top_c

    def _rung_c(self) -> float:
        assert self._threshold_c is not None
        lowest_c = max(self._baseline_c + 1.0, self._threshold_c - self._settings.ladder_below_c)
        # Where nobody pressed there is no threshold: then the last rung is the hottest that is allowed.
        below = 2 if self._is_pressed else self._settings.ladder_n - 1
        lowest_c = min(lowest_c, self._highest_c - below * self._settings.ladder_step_c)
        lowest_c = max(self._baseline_c, lowest_c)
        rung_c = lowest_c + len(self._ladder) * self._settings.ladder_step_c
        # A rung that nobody called bearable is no step.
        step_c = self._settings.ladder_step_c
        return round(min(rung_c, max(self._bearable_c) + step_c if self._bearable_c else lowest_c), 2)

    # What comes of it.

    def _after_limits(self, answer: Answer, top_c: float) -> None:
        if answer.aborted:
            self._fail("a ramp was aborted before the threshold was found")
            return
        if answer.reached_c is None:
            self._notes.append(f"a ramp went up to {top_c:.1f} °C and the button was not pressed")
        self._is_pressed = self._is_pressed or answer.reached_c is not None
        self._limits_c.append(top_c if answer.reached_c is None else min(answer.reached_c, top_c))
        if len(self._limits_c) == self._settings.limits_n:
            self._threshold_c = sum(self._limits_c) / len(self._limits_c)
            self._kind = "ladder"

    def _after_rung(self, at_c: float, answer: Answer) -> None:
        self._ladder.append((at_c, None if answer.aborted else answer.rating))
        rating, next_c = answer.rating, self._rung_c()
        if answer.aborted:
            self._notes.append(f"the ladder ended at {at_c:.1f} °C: the stimulus was aborted or refused")
        elif rating is not None and (rating >= self._settings.stop_rating or self._is_too_hot):
            self._notes.append(f"the ladder ended at {at_c:.1f} °C: rated {rating:g}")
        elif next_c > self._highest_c:
            self._notes.append(f"the ladder ended at {at_c:.1f} °C: nothing hotter is allowed")
        elif len(self._ladder) < self._settings.ladder_n:
            return
        self._fit()

    def _fit(self) -> None:
        points = [(at_c, rating) for at_c, rating in self._ladder if rating is not None]
        least = self._settings.least_answers
        if len(points) < least:
            self._fail(f"{len(points)} stimuli were rated; at least {least} are needed for a line")
            return
        mean_c = sum(c for c, _ in points) / len(points)
        mean = sum(r for _, r in points) / len(points)
        spread = sum((c - mean_c) ** 2 for c, _ in points)
        slope = sum((c - mean_c) * (r - mean) for c, r in points) / spread if spread > 0 else 0.0
        if not slope > 0:
            self._fail(f"ratings do not rise with temperature ({slope:.1f} points per °C)")
            return
        self._line = mean - slope * mean_c, slope
        self._verify_all({pain: self._from_line(pain) for pain in self._pains})

    def _from_line(self, pain: float) -> float:
        return (pain - self._line[0]) / self._line[1]

    def _clipped(self, pain: float, wanted_c: float) -> float:
        clipped_c = min(max(self._baseline_c + 1.0, wanted_c), self._most_c())
        if clipped_c != wanted_c:
            self._notes.append(
                f"a rating of {pain:g} would need {wanted_c:.1f} °C; {clipped_c:.1f} °C is as far as it may go"
            )
        # Downwards where it is cut, so that rounding passes no limit.
        return _floored(clipped_c)

    def _begin_with(self, stored: CalibratedHeat) -> None:
        stop, when = self._settings.stop_rating, stored.date or "an earlier visit"
        bearable_c: list[float] = []
        for kind, at_c, rating in stored.answers:
            if kind != "limits" and rating is not None:
                bearable_c = _still_bearable(bearable_c, at_c, rating, stop)
        if not bearable_c or stored.plateau_s < self._settings.plateau_s:
            self._notes.append(
                f"the temperatures of {when} are not used: nothing was called bearable for "
                f"{self._settings.plateau_s:g} s"
            )
            return
        self._bearable_c = bearable_c
        self._line = stored.intercept, stored.slope
        self._threshold_c = stored.threshold_c
        self._notes.append(f"the temperatures of {when} were tried again")
        self._verify_all({pain: stored.temperatures.get(pain, self._from_line(pain)) for pain in self._pains})

    def _verify_all(self, wanted_c: dict[float, float]) -> None:
        if not self._bearable_c:
            self._fail("no stimulus was called bearable")
            return
        self._temperatures = {pain: self._clipped(pain, c) for pain, c in wanted_c.items()}
        self._kind, self._left = "verify", list(self._pains)

    def _after_try(self, answer: Answer) -> None:
        if answer.aborted:
            self._notes += [
                f"a rating of {pain:g} was not verified: aborted or refused" for pain in self._left
            ]
            self._settle()
            return
        pain, rating = self._left[0], answer.rating
        self._tries.append(rating)
        too_much = rating is not None and rating >= self._settings.stop_rating
        if len(self._tries) == self._settings.verify_n or too_much:
            self._judge(pain, too_much)

    def _judge(self, pain: float, too_much: bool) -> None:
        ratings = [rating for rating in self._tries if rating is not None]
        self._tries = []
        mean = sum(ratings) / len(ratings) if ratings else None
        if mean is not None and not too_much and abs(mean - pain) <= self._settings.tolerance:
            self._verified[pain] = mean
        elif mean is not None and not self._corrected and self._correct(pain, mean):
            return
        else:
            found = "no rating was given" if mean is None else f"it was rated {mean:.0f}"
            self._notes.append(
                f"{self._temperatures[pain]:.1f} °C is not verified for a rating of {pain:g}: {found}"
            )
        self._corrected = False
        del self._left[0]
        if not self._left:
            self._settle()

    def _settle(self) -> None:
        """End with what was called bearable; without a result if a rating has nothing that was."""
        self._kind, self._left = "done", []
        missing = [f"{pain:g}" for pain in self._pains if pain not in self._looked_at]
        if missing or not self._bearable_c:
            ratings = ", ".join(missing or [f"{pain:g}" for pain in self._pains])
            self._fail(
                f"for a rating of {ratings} nothing was given whole and called bearable in the second look"
            )
            return
        most_c = min(self._highest_c, max(self._bearable_c))
        for pain, before_c in self._temperatures.items():
            if before_c > most_c:
                self._temperatures[pain] = _floored(most_c)
                self._verified.pop(pain, None)
                self._notes.append(
                    f"{before_c:.1f} °C for a rating of {pain:g} became {self._temperatures[pain]:.1f} °C: nothing "
                    "hotter was called bearable"
                )

    def _correct(self, pain: float, mean: float) -> bool:
        """Set a temperature anew, once; False if it stays as it was."""
        before_c = self._temperatures[pain]
        wanted_c = before_c + min(MOST_UP_C, (pain - mean) / self._line[1])
        after_c = self._clipped(pain, wanted_c)
        if after_c == before_c:
            return False
        self._temperatures[pain], self._corrected = after_c, True
        self._notes.append(
            f"{before_c:.1f} °C was rated {mean:.0f} instead of {pain:g}; corrected to {after_c:.1f} °C"
        )
        return True

    def _fail(self, why: str) -> None:
        self._kind = "done"
        self._failed = (
            f"no temperatures for {self._participant!r} at {self._site!r}: {why}; explain the scale once more and "
            "calibrate again, at another place on the skin"
        )


def _still_bearable(before_c: Sequence[float], at_c: float, rating: float, stop_rating: float) -> list[float]:
    """Return the temperatures that are called bearable after one more rating."""
    return [*before_c, at_c] if rating < stop_rating else [c for c in before_c if c < at_c]


def _floored(celsius: float) -> float:
    """Return a temperature that can be set, at or below another."""
    return round(math.floor(celsius / STEP_C + 1e-9) * STEP_C, 2)
