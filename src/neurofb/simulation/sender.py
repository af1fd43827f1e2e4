"""A simulated device on the network: EEG, the truth beside it, and inlets for heat and feedback.

In: a plan, a clock. Out: two LSL streams. Kept: how far the sending has come.

Sending moves in steps of ``STEP_S``; the next step is due one step after the last was *due*, so that
lateness does not add up. At a speed other than 1 the stream's time runs faster than the clock: samples and
stamps keep their nominal distance, and the stamps run ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.errors import WrongInput
from neurofb.lsl.inlet import LatestSample
from neurofb.lsl.outlet import (
    Channel,
    NumericOutlet,
    OutletFormat,
    eeg_channels,
    outlet_format_of,
    stable_source_id,
)
from neurofb.lsl.senders import OWN
from neurofb.simulation.arrivals import Sent
from neurofb.simulation.artifacts import ArtifactSettings
from neurofb.simulation.faults import FaultPlan
from neurofb.simulation.head import EyesState, Head, HeadSettings
from neurofb.simulation.headset import Headset, settings_of
from neurofb.simulation.learner import Learner, LearnerSettings

if TYPE_CHECKING:
    from neurofb.devices import DeviceProfile, Program

STEPS_PER_S = 200
STEP_S = 1 / STEPS_PER_S
#: LSL sends in the background, and drops what is not yet sent when an outlet closes.
LINGER_S = 0.25
STIMULUS_STREAM, STIMULUS_LABEL = "neurofb-stimulus", "measured_c"
FEEDBACK_STREAM, FEEDBACK_LABELS = "neurofb-feedback", ("level", "usable")
#: Feedback older than this teaches nothing.
_FEEDBACK_LASTS_S = 1.0


@dataclass(frozen=True, slots=True)
class SendPlan:
    """Settings of a sender."""

    profile: DeviceProfile
    seed: int = 0
    eyes: EyesState = "open"
    #: Seconds of EEG for each second of the clock.
    speed: float = 1.0
    faults: FaultPlan = field(default_factory=FaultPlan)
    #: None for somebody who does not listen.
    learner: LearnerSettings | None = None
    #: See ``HeadsetSettings``; many programs stamp samples only when they arrive.
    stamps: Literal["device", "arrival"] = "device"
    #: Whose outlet to imitate; None for a stream as it should be.
    program: str | None = None
    #: Name of the EEG stream; by default ``neurofb-simulated-<device>``, or the program's.
    name: str | None = None
    #: Names of the streams that are listened to.
    stimulus: str = STIMULUS_STREAM
    feedback: str = FEEDBACK_STREAM

    def __post_init__(self) -> None:
        if self.eyes not in ("open", "closed"):
            raise WrongInput(f"eyes are open or closed, found {self.eyes!r}")
        if not (self.speed > 0 and np.isfinite(self.speed)):
            raise WrongInput(f"the speed must be above 0, found {self.speed}; 1 is real time")

    @property
    def imitated(self) -> Program | None:
        """The program whose stream is imitated."""
        return None if self.program is None else self.profile.program(self.program)

    @property
    def stream_name(self) -> str:
        """The name of the EEG stream."""
        if self.name is not None:
            return self.name
        if self.imitated is not None and self.imitated.names:
            return self.imitated.names[0].replace("*", "simulated")
        return f"neurofb-simulated-{self.profile.name}"


def make_headset(plan: SendPlan, start_s: float = 0.0) -> Headset:
    """Return the headset of a plan, on a head."""
    profile, faults = plan.profile, plan.faults
    artifacts = ArtifactSettings(scheduled=faults.artifacts, contacts=faults.contacts)
    settings = HeadSettings(seed=plan.seed, eyes=((0.0, plan.eyes),), artifacts=artifacts)
    places = [profile.position(label) for label in profile.labels]
    head = Head(places, profile.rate_hz, settings, labels=profile.labels)
    radio = settings_of(profile, seed=plan.seed, stamps=plan.stamps, faults=faults.headset, **faults.steady)
    return Headset(head, radio, profile.labels, start_s)


def truth_channels(head: Head) -> list[Channel]:
    """Return the columns of the truth stream; ``truth_values`` fills them."""
    columns = [Channel("index", "none", "Index")]
    for name in head.rhythm_names:
        columns += [
            Channel(f"{name}.amplitude", "microvolts", "Truth"),
            Channel(f"{name}.phase", "rad", "Truth"),
        ]
    columns += [Channel(f"artifact.{kind}", "none", "Truth") for kind in head.artifact_kinds]
    columns += [
        Channel("pain", "none", "Truth"),
        Channel("temperature", "celsius", "Truth"),
        Channel("eyes_closed", "none", "Truth"),
        Channel("lost", "none", "Truth"),
        Channel("connected", "none", "Truth"),
    ]
    return columns


def truth_values(sent: Sent) -> FloatArray:
    """Return the truth of samples that were taken, lost or not, shape (n_samples, n_columns).

    ``lost`` is the part of the channels that did not get through, ``connected`` is 0 during a disconnect.
    """
    truth, n_samples = sent.signal.truth, len(sent.true_s)
    rhythms = np.stack([truth.amplitude_uv, truth.phase_rad], axis=2).reshape(n_samples, -1)
    index = sent.signal.first_index + np.arange(n_samples)
    rest = [truth.pain, truth.temperature_c, truth.eyes_closed]
    fate = [np.full(n_samples, sent.lost.mean()), np.full(n_samples, float(sent.connected))]
    return np.column_stack([index, rhythms, truth.artifacts, *rest, *fate])


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a sender."""

    #: Seconds of EEG that were sent, and how late the last step was.
    stream_s: float
    late_s: float
    #: Whether anybody receives the EEG, and whether the headset's link is up.
    listeners: bool
    connected: bool
    #: What the learner's rhythm is multiplied by.
    gain: float
    temperature_c: float


class Sender:
    """Sends the samples of a headset when they arrive.

    Parameters
    ----------
    plan : SendPlan
    clock : Clock
        LSL's clock, or a faster one: stamps are its readings.
    """

    def __init__(self, plan: SendPlan, clock: Clock) -> None:
        self.plan = plan
        self._clock = clock
        self._start_s = clock.now_s()
        self.headset = headset = make_headset(plan, self._start_s)
        headset.keep_signals = True
        program = plan.imitated
        maker = OWN if program is None else (*program.manufacturers, plan.profile.manufacturer)[0]
        self._format = replace(outlet_format_of(plan.profile, plan.program), manufacturer=maker)
        # With the seed in it, two simulations of the same device have two ids, and each keeps its own.
        self.source_id = stable_source_id(plan.stream_name, plan.profile.name, str(plan.seed))
        self.eeg: NumericOutlet | None = self._open_eeg()
        self.truth = NumericOutlet(
            f"{plan.stream_name}-truth",
            truth_channels(headset.head),
            plan.profile.rate_hz,
            type="Truth",
            source_id=f"{self.source_id}-truth",
            format=OutletFormat(value_format="double64"),
        )
        self._temperature_c = headset.head.settings.heat.rest_c
        self._heat = LatestSample(plan.stimulus, [STIMULUS_LABEL])
        headset.head.temperature = self._temperature
        self._learner = None if plan.learner is None else Learner(headset.head, plan.learner)
        self._feedback_inlet = None if plan.learner is None else LatestSample(plan.feedback, FEEDBACK_LABELS)
        self._feedback: tuple[float, ...] = (0.0, 0.0)
        self._feedback_age_s = np.inf
        self._silent_s = 0.0

    def _open_eeg(self) -> NumericOutlet:
        profile, plan = self.plan.profile, self.plan
        program = plan.imitated
        kind = "EEG" if program is None else program.type
        labels = profile.labels if program is None else program.labels or profile.labels
        channels = eeg_channels(labels, profile.unit)
        return NumericOutlet(plan.stream_name, channels, profile.rate_hz, kind, self.source_id, self._format)

    def _temperature(self, times_s: FloatArray) -> FloatArray:
        return np.full(len(times_s), self._temperature_c)

    def describe(self) -> dict[str, Any]:
        """Return the streams sent and listened to, as JSON can hold it."""
        profile = self.plan.profile
        listens = {"heat": self.plan.stimulus}
        if self._feedback_inlet is not None:
            listens["feedback"] = self.plan.feedback
        return {
            "kind": "sending",
            "device": profile.name,
            "seed": self.plan.seed,
            "eyes": self.plan.eyes,
            "speed": self.plan.speed,
            "eeg": self.plan.stream_name,
            "labels": list(profile.labels),
            "rate_hz": profile.rate_hz,
            "unit": profile.unit,
            "source_id": self.source_id,
            "truth": self.truth.name,
            "listens": listens,
        }

    def counts(self) -> dict[str, Any]:
        """Return the counts of samples sent, delivered and lost so far, as JSON can hold it."""
        sent_log = self.headset.sent_log
        counts = {key: getattr(sent_log, key) for key in ("sent", "delivered", "zeroed", "lost", "in_flight")}
        return {"kind": "sent", **counts, "not_through": [asdict(entry) for entry in sent_log.entries]}

    def wait_for_listener(self) -> None:
        """Wait for a listener of the EEG, and start the head then, so that the listener gets the first sample."""
        while self.eeg is not None and not self.eeg.has_listeners():
            self._clock.wait_until(self._clock.now_s() + STEP_S)
        self._start_s = self.headset.start_s = self._clock.now_s()

    def run(
        self, duration_s: float | None, on_progress: Callable[[Progress], None] = lambda _: None
    ) -> Progress:
        """Send ``duration_s`` seconds of EEG (None: until stopped), and report progress each second.

        Whatever ends it, the streams are closed.
        """
        if duration_s is not None and not duration_s > 0:
            raise WrongInput(f"the duration must be above 0 s, found {duration_s}")
        progress = self._progress(0.0, 0.0)
        try:
            reported_s = 0
            for progress in self._steps(duration_s):
                if progress.stream_s >= reported_s + 1:
                    reported_s = int(progress.stream_s)
                    on_progress(progress)
            if progress.listeners:
                self._clock.wait_until(self._clock.now_s() + LINGER_S)
        finally:
            self.close()
        return progress

    def _steps(self, duration_s: float | None) -> Iterator[Progress]:
        due_s, stream_s = self._start_s, 0.0
        n_steps = 0
        while duration_s is None or stream_s < duration_s:
            n_steps += 1
            due_s += STEP_S
            self._clock.wait_until(due_s)
            stream_s = n_steps * self.plan.speed / STEPS_PER_S  # so that whole seconds are whole
            if duration_s is not None:
                stream_s = min(stream_s, duration_s)
            self._listen(STEP_S * self.plan.speed)
            self._send(self._start_s + stream_s)
            yield self._progress(stream_s, self._clock.now_s() - due_s)

    def _progress(self, stream_s: float, late_s: float) -> Progress:
        listeners = self.eeg is not None and self.eeg.has_listeners()
        gain = 1.0 if self._learner is None else self._learner.gain
        connected = self.headset.connected(self._start_s + stream_s)
        return Progress(stream_s, late_s, listeners, connected, gain, self._temperature_c)

    def _listen(self, step_s: float) -> None:
        heat = self._heat.pop()
        if heat is not None and np.isfinite(heat[0]):
            self._temperature_c = heat[0]
        if self._learner is None or self._feedback_inlet is None:
            return
        heard = self._feedback_inlet.pop()
        self._feedback_age_s = 0.0 if heard is not None else self._feedback_age_s + step_s
        self._feedback = heard or self._feedback
        if self._feedback_age_s < _FEEDBACK_LASTS_S:
            level, usable = self._feedback
            self._learner.update(level, step_s, usable > 0.5)

    def _send(self, now_s: float) -> None:
        arrivals = self.headset.advance_to(now_s)
        connected = self.headset.connected(now_s)
        if connected and self.eeg is None:  # back under the same source_id, with a new uid
            self.eeg = self._open_eeg()
        if self.eeg is not None and arrivals:
            samples = np.concatenate([arrival.samples for arrival in arrivals])
            self.eeg.push(samples, np.concatenate([arrival.stamps_s for arrival in arrivals]))
        # The stream dies with the link, but not before LSL has sent what it was given.
        self._silent_s = 0.0 if connected else self._silent_s + STEP_S
        if self._silent_s > LINGER_S and self.eeg is not None:
            self.eeg.close()
            self.eeg = None
        sent = self.headset.pop_signals()
        if sent:
            values = np.concatenate([truth_values(each) for each in sent])
            self.truth.push(values, np.concatenate([each.true_s for each in sent]))

    def close(self) -> None:
        """Close the streams."""
        if self.eeg is not None:
            self.eeg.close()
        self.truth.close()
        self._heat.close()
        if self._feedback_inlet is not None:
            self._feedback_inlet.close()
