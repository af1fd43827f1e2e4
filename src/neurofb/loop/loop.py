"""What is computed of the EEG of one session: pipeline, baselines, feedback. The same object live and in a re-run.

In: chunks, and instructions (`Loop.do`) that hold for the samples after them. Out: feature values and feedback samples.
Kept: the pipeline and feedback; samples of the first baselines until the pipeline has been fitted to them. It reads no
clock and draws no random number: the same samples with the same instructions at the same indices give the same bits.

===================== ==========================================================================================
instruction           what it does
===================== ==========================================================================================
collect(condition)    values are collected for a baseline: ``iaf``, ``eyes``, ``rest``, ``warm`` or ``pain``
collected()           until here
discard()             what has been collected since then does not count
fit(until)            the pipeline is made anew for this participant from the baselines that ended by ``until``
start_block(condition) a feedback block begins, scored against this condition's baseline
end_block()           it ends, and the threshold may move
heat_onset()          heat rises from here on: the evoked response earns nothing
expect(expected)      no sample has come for a while, and this one should be there by now
enter(phase, …)       in a blinded session: the phase, block, level and stimulus whose donor is followed from here on
===================== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from neurofb.blinding.sham import Delivery
from neurofb.chunk import Chunk, FloatArray
from neurofb.errors import UnknownName, WrongInput, nearest
from neurofb.events import Event
from neurofb.features.value import FeatureValue
from neurofb.feedback.baseline import CONDITIONS, Baseline, BaselineCollector, measures_of
from neurofb.feedback.feedback import Feedback, FeedbackSample
from neurofb.feedback.settings import Condition
from neurofb.loop.participant_fit import ParticipantFit, fit
from neurofb.loop.pipeline import Pipeline
from neurofb.loop.settings import LoopSettings

#: Baselines that the pipeline is fitted to, without values that later ones are scored against.
WITHOUT_VALUES = ("iaf", "eyes")


@dataclass(frozen=True, slots=True)
class Output:
    """Feature values and feedback samples, in order."""

    #: As they may be seen: in a blinded session, the delivered ones.
    values: list[FeatureValue]
    samples: list[FeedbackSample]
    #: The participant's own, where they may not be seen.
    measured: list[FeatureValue] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Range:
    """Samples that a baseline is made of."""

    kind: str
    first: int
    end: int | None = None


class Loop:
    """Pipeline, baselines and feedback of a session.

    Parameters
    ----------
    settings : LoopSettings
    participant_fit : ParticipantFit, optional
        What an earlier session found of this participant; left out: `fit` finds it.
    baselines : sequence of Baseline
        Of an earlier session.
    delivery : Delivery, optional
        Of a blinded session: decides what feedback is made of.
    """

    def __init__(
        self,
        settings: LoopSettings,
        participant_fit: ParticipantFit | None = None,
        baselines: tuple[Baseline, ...] = (),
        delivery: Delivery | None = None,
    ) -> None:
        self.settings, self._delivery = settings, delivery
        self.participant_fit = participant_fit
        self.measures = measures_of(settings.features)
        self.baselines: dict[tuple[str, Condition], Baseline] = {
            (each.feature, each.condition): each for each in baselines
        }
        self.pipeline = self._make_pipeline(participant_fit)
        self.feedback: Feedback | None = None
        #: The result of the last block, as a plain dict.
        self.block_result: Mapping[str, Any] | None = None
        self.next_index = 0
        self._kept: list[FloatArray] | None = None
        self._kept_from = 0
        self._ranges: list[_Range] = []
        self._collectors: list[BaselineCollector] = []
        self._collecting: str | None = None
        self._last_expected = -1

    # -- samples -----------------------------------------------------------------------------------------------

    def push(self, chunk: Chunk) -> Output:
        """Process the next samples."""
        if not len(chunk):
            return Output([], [])
        if self._kept is not None:
            self._kept.append(chunk.samples)
        values = self.pipeline.push(chunk)
        self.next_index = chunk.first_index + len(chunk)
        for collector in self._collectors:
            collector.add(values)
        if self._delivery is None:
            return Output(values, self.feedback.step(values) if self.feedback else [])
        delivered = self._delivery.delivered(values)
        samples = self.feedback.step(delivered) if self.feedback else []
        return Output(*self._delivery.shown(delivered, samples), values)

    @property
    def is_blinded(self) -> bool:
        """Whether feedback may be made of another value than the participant's own."""
        return self._delivery is not None

    @property
    def samples_to_hop(self) -> int:
        """Number of samples until the next values."""
        hop = self.pipeline.hop_size.hop
        return hop - self.next_index % hop

    @property
    def is_giving_feedback(self) -> bool:
        """True while a feedback block is running."""
        return self.feedback is not None and self.feedback.is_in_block

    def pop_events(self) -> list[Event]:
        """Return the pipeline's events since the last call."""
        return self.pipeline.pop_events()

    def missing(self) -> str:
        """Return in words what the baseline that is being collected still lacks; empty if it may end."""
        return "; ".join(filter(None, (collector.missing() for collector in self._collectors)))

    # -- instructions ------------------------------------------------------------------------------------------

    def do(self, instruction: str, **details: Any) -> list[FeedbackSample]:
        """Execute an instruction from the next sample on; return the feedback it leads to, most often none.

        Raises
        ------
        WrongInput
            If it cannot be followed now: what is missing.
        UnknownName
            If there is no such instruction.
        """
        known: Mapping[str, Callable[..., list[FeedbackSample] | None]] = {
            "collect": self._collect,
            "collected": self._collected,
            "discard": self._discard,
            "fit": self._fit,
            "start_block": self._start_block,
            "end_block": self._end_block,
            "heat_onset": self._heat_onset,
            "expect": self._expect,
            "enter": self._enter,
        }
        if instruction not in known:
            raise UnknownName(f"no instruction {instruction!r}; {nearest(instruction, known)}")
        return known[instruction](**details) or []

    def _collect(self, condition: str) -> None:
        if condition not in (*CONDITIONS, *WITHOUT_VALUES):
            raise UnknownName(
                f"no baseline {condition!r}; {nearest(condition, (*CONDITIONS, *WITHOUT_VALUES))}"
            )
        if self._collecting is not None:
            raise WrongInput(
                f"the {self._collecting!r} baseline is still being collected; collected() ends it"
            )
        self._collecting = condition
        if self.participant_fit is None:
            if self._kept is None:
                self._kept, self._kept_from = [], self.next_index
            self._ranges.append(_Range(condition, self.next_index))
        if condition not in WITHOUT_VALUES:
            self._collectors = self._new_collectors(cast(Condition, condition))

    def _collected(self) -> None:
        if self._collecting is None:
            raise WrongInput("no baseline is being collected, so none can end")
        if self.participant_fit is None:
            begun = self._ranges.pop()
            self._ranges.append(_Range(begun.kind, begun.first, self.next_index))
        else:
            for collector in self._collectors:
                self._add(collector)
        self._collectors, self._collecting = [], None

    def _discard(self) -> None:
        if self._collecting is None:
            raise WrongInput("no baseline is being collected, so none can be discarded")
        if self.participant_fit is None:
            self._ranges.pop()
        self._collectors, self._collecting = [], None

    def _add(self, collector: BaselineCollector) -> None:
        """Store a baseline. That of the trained feature must be complete; those of others may be missing."""
        trained = self.settings.feedback and self.settings.feedback.feature
        if collector.missing() and collector.measure.name != trained:
            return
        baseline = collector.finish()
        self.baselines[baseline.feature, baseline.condition] = baseline

    def _new_collectors(self, condition: Condition) -> list[BaselineCollector]:
        rate_hz, enough = self.settings.rate_hz, self.settings.enough
        wanted = self.wanted
        return [
            BaselineCollector(each, condition, rate_hz, enough)
            for each in self.measures.values()
            if each.name in wanted
        ]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Features whose baselines feedback needs: the trained one, and inhibits whose limit is in SD."""
        feedback = self.settings.feedback
        if feedback is None:
            return tuple(self.measures)
        control = self._delivery and self._delivery.control
        return (
            feedback.feature,
            *(each.feature for each in feedback.inhibits if each.unit == "z"),
            *([control] if control else []),
        )

    # -- fitting -----------------------------------------------------------------------------------------------

    @property
    def can_fit(self) -> bool:
        """True if there are baselines that the pipeline has not been fitted to."""
        return self.participant_fit is None and bool(self._ranges) and self._ranges[-1].end is not None

    def fit_job(self, until: int | None = None) -> Callable[[], ParticipantFit]:
        """Return a function that fits the participant to the samples kept so far; it may run in another thread."""
        end = self.next_index if until is None else until
        kept, first = self._samples_kept()[: end - self._kept_from], self._kept_from
        done = [each for each in self._ranges if each.end is not None and each.end <= end]
        ranges = {each.kind: kept[each.first - first : cast(int, each.end) - first] for each in done}
        settings = self.settings
        return lambda: _fit(ranges, settings, end)

    def trial_fit_job(self, ahead_s: float = 0.0) -> Callable[[], str]:
        """Return a function that tries a fit and returns what the current baseline would lack; empty if nothing.

        Nothing is lacking only if that holds whatever the next ``ahead_s`` seconds bring.
        Before a fit the limits of artifacts are assumed ones, and may take a participant's usual EEG for movement.
        """
        kept, first, end = self._samples_kept(), self._kept_from, self.next_index
        ranges = [
            _Range(each.kind, each.first, end if each.end is None else each.end) for each in self._ranges
        ]
        settings = self.settings

        def try_fit() -> str:
            samples = {each.kind: kept[each.first - first : cast(int, each.end) - first] for each in ranges}
            try:
                participant_fit = _fit(samples, settings, end)
            except WrongInput as error:
                return str(error)
            times = np.full(len(kept), np.nan)
            values = self._make_pipeline(participant_fit).push(Chunk(kept, first, times, times))
            last = ranges[-1]
            collectors = (
                [] if last.kind in WITHOUT_VALUES else self._new_collectors(cast(Condition, last.kind))
            )
            for collector in collectors:
                collector.add([value for value in values if last.first <= value.index < end])
            return "; ".join(filter(None, (collector.missing(ahead_s) for collector in collectors)))

        return try_fit

    def adopt(self, participant_fit: ParticipantFit) -> None:
        """Replace the pipeline by one made for this participant, with the samples since the first baseline.

        The instruction of it is ``fit`` with ``until = participant_fit.until``: the same again, computed on the spot.
        """
        kept = self._samples_kept()
        pipeline = self._make_pipeline(participant_fit)
        times = np.full(len(kept), np.nan)
        values = pipeline.push(Chunk(kept, self._kept_from, times, times))
        pipeline.pop_events()  # told when it happened, by the pipeline before
        for each in self._ranges:
            if each.kind in WITHOUT_VALUES:
                continue
            for collector in self._new_collectors(cast(Condition, each.kind)):
                end = each.end or self.next_index
                collector.add([value for value in values if each.first <= value.index < end])
                self._add(collector)
        self.participant_fit, self.pipeline = participant_fit, pipeline
        self._kept, self._ranges = None, []

    def _fit(self, until: int) -> None:
        self.adopt(self.fit_job(until)())

    def _samples_kept(self) -> FloatArray:
        if self._kept is None:
            raise WrongInput("there is no baseline to fit to; collect one first")
        n_channels = len(self.settings.montage.labels)
        self._kept = [np.concatenate([np.empty((0, n_channels)), *self._kept])]
        return self._kept[0]

    def _make_pipeline(self, participant_fit: ParticipantFit | None) -> Pipeline:
        settings = self.settings
        return Pipeline(
            settings.features,
            settings.montage,
            settings.rate_hz,
            reference=settings.reference,
            iaf_hz=participant_fit.iaf_hz if participant_fit else None,
            calibration=participant_fit.calibration if participant_fit else None,
            spectrum=participant_fit.spectrum if participant_fit else None,
            line_hz=settings.line_hz,
            rules=settings.rules,
            blink_fit=participant_fit.blinks if participant_fit else None,
            blinks=settings.blinks,
        )

    # -- feedback ----------------------------------------------------------------------------------------------

    def _start_block(self, condition: Condition) -> None:
        settings = self.settings.feedback
        if settings is None:
            raise WrongInput("this session has no feedback: its protocol has no [feedback] table")
        if self.feedback is None:
            there = [c for c in CONDITIONS if (settings.feature, c) in self.baselines]
            self.feedback = Feedback(
                settings, self.measures, self.baselines.values(), there or [condition], self.settings.rate_hz
            )
        self.feedback.start_block(condition)
        if self._delivery is not None:
            control = self.baselines.get((self._delivery.control or "", condition))
            self._delivery.start_block(self.baselines[settings.feature, condition], control)

    def _enter(self, phase: str, block: int, level: str, number: int) -> None:
        if self._delivery is not None:  # else the participant's own value is asked for, as in a what-if
            self._delivery.enter(phase, block, level, number)

    def _end_block(self) -> None:
        if self._delivery is not None:
            self._delivery.end_block()
        self.block_result = asdict(self._started_feedback().end_block())

    def _heat_onset(self) -> None:
        if self.feedback is not None:
            self.feedback.heat_onset(self.next_index)

    def _expect(self, expected: int) -> list[FeedbackSample]:
        if self.feedback is None or expected <= self._last_expected:
            return []
        self._last_expected = expected
        samples = self.feedback.step([], expected)
        return samples if self._delivery is None else self._delivery.shown([], samples)[1]

    def _started_feedback(self) -> Feedback:
        if self.feedback is None:
            raise WrongInput("no block has begun, so none can end")
        return self.feedback


def _fit(samples: Mapping[str, FloatArray], settings: LoopSettings, until: int) -> ParticipantFit:
    return fit(
        samples,
        settings.montage,
        settings.rate_hz,
        until,
        settings.rules,
        settings.features,
        settings.reference,
    )
