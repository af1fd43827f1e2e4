"""Joins the parts of a session, opened in the order in which they may fail: stream, folder, stimulator, record.

In: a plan that has been checked whole. Out: an engine that is ready to run. Kept: nothing. If a part cannot be opened,
those that were opened before are closed again.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neurofb.acquisition.absent_source import AbsentSource
from neurofb.acquisition.source import Source
from neurofb.blinding.side_file import SideFile
from neurofb.blinding.unblinding import unblinding_words
from neurofb.clock import Clock, ManualClock
from neurofb.dsp.rules import CURRENT
from neurofb.engine.commands import Commands
from neurofb.engine.earlier_dose import WATCHDOG_LOG
from neurofb.engine.engine import Engine, SessionParts
from neurofb.engine.heat_calibration import HeatCalibration
from neurofb.engine.heat_conditions import HeatConditions
from neurofb.engine.planning import SessionPlan
from neurofb.engine.prompting import Prompting
from neurofb.engine.recorded_loop import RecordedLoop
from neurofb.engine.sequencer import Sequencer
from neurofb.engine.session_files import (
    note_account_begin,
    note_account_unused,
    write_results,
    write_settings,
)
from neurofb.engine.session_log import LogColumns, SessionLog
from neurofb.engine.simulated_participant import (
    SimulatedOperator,
    SimulatedParticipant,
    simulated_participant,
    simulated_source,
)
from neurofb.engine.status import Heading, StatusBuilder
from neurofb.engine.stimulus_control import StimulusController
from neurofb.engine.view_heartbeats import ViewHeartbeats
from neurofb.errors import RecordingFailed, StimulatorMissing, UnsafeHeat, WrongStream
from neurofb.events import Event
from neurofb.loop.loop import Loop
from neurofb.loop.settings import LoopSettings
from neurofb.lsl.session_streams import CommandInlet, Listener, Publisher
from neurofb.messages import Command
from neurofb.protocol.ratings import Prompt
from neurofb.recording.bench_record import bench_refusal
from neurofb.recording.folder import SessionFolder
from neurofb.recording.writer import Recorder
from neurofb.signing import CommandGate, SessionKey, read_key_file
from neurofb.simulation.head import Head
from neurofb.spatial.montage import Montage
from neurofb.status import SessionStatus
from neurofb.stimulation.calibrated_heat import CalibratedHeat, load_calibration, save_calibration
from neurofb.stimulation.calibration import CalibrationVisit, PainCalibration, Ramps
from neurofb.stimulation.client import StimulatorClient, open_stimulator
from neurofb.stimulation.thermode_file import SIMULATED_THERMODE


@dataclass(frozen=True, slots=True)
class Hooks:
    """Listeners and callbacks that a front end adds to a session."""

    #: Returns where commands come from; takes the session's uid and a function that stops heat at once (who: str).
    listeners: Callable[[str, Callable[[str], None]], Sequence[Listener]] = lambda _uid, _stop: ()
    #: Called with each status.
    on_status: Callable[[SessionStatus], None] | None = None
    #: Called with each event.
    on_event: Callable[[Event], None] | None = None
    #: Whether a person sits at the terminal that this session runs in, who counts as an operator's view.
    has_person: Callable[[], bool] = lambda: False
    #: Takes a command ``pair`` of a window on another computer; called from the thread that listens, never waits.
    on_pair: Callable[[Command], None] = lambda _command: None


@dataclass(frozen=True, slots=True)
class Assembled:
    """A session that is ready to run."""

    engine: Engine
    folder: SessionFolder
    uid: str
    session_log: SessionLog
    sequencer: Sequencer
    #: For the windows that are opened.
    key: SessionKey
    views: ViewHeartbeats
    #: Who sends the EEG, in a sentence; "" where nobody does.
    sender: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """The opened parts of a session; the head of a simulated source."""

    uid: str
    key: SessionKey
    plan: SessionPlan
    source: Source
    head: Head | None
    folder: SessionFolder
    client: StimulatorClient | None
    #: How long the stimulator takes to baseline at most, s.
    return_s: float
    loop: Loop
    recorder: Recorder
    #: Of a blinded session.
    side_file: SideFile | None


def open_source(plan: SessionPlan, clock: Clock) -> tuple[Source, Head | None]:
    """Return the EEG, started, and the head it comes from if that is a simulated one.

    A protocol that needs no EEG gets none, unless a stream is named.
    """
    asked, profile = plan.asked, plan.profile
    named = (asked.stream, asked.stream_like, asked.where)
    if not asked.simulate and not plan.protocol.needs.eeg and named == (None, None, None):
        return AbsentSource(profile.labels, profile.rate_hz, clock), None
    if not asked.simulate:
        from neurofb.acquisition.live import LslSource
        from neurofb.lsl.matching import StreamQuery

        query = StreamQuery(name=asked.stream, like=asked.stream_like, profile=profile, predicate=asked.where)
        source = LslSource(query, asked.unit, keep_raw=True, program=asked.program)
        source.start()
        return source, None
    return simulated_source(plan, clock)


def assemble(
    plan: SessionPlan, clock: Clock, hooks: Hooks | None = None, *, publish: bool = True
) -> Assembled:
    """Open everything that a session needs.

    Parameters
    ----------
    plan : SessionPlan
    clock : Clock
        LSL's, or a manual one: then everything is simulated and computed on the spot.
    hooks : Hooks, optional
    publish : bool
        Whether the session sends and listens over LSL.

    Raises
    ------
    NeurofbError
        If a part cannot be opened: the stream, the stimulator, the folder.
    """
    with contextlib.ExitStack() as undo:
        opened = _open(plan, clock, undo)
        assembled = _join(opened.plan, clock, hooks or Hooks(), opened, publish=publish)
        undo.pop_all()
    return assembled


def _open(plan: SessionPlan, clock: Clock, undo: contextlib.ExitStack) -> _Opened:
    """Open the parts that may fail, in the order in which they may."""
    source, head = open_source(plan, clock)
    undo.callback(source.stop)
    plan = _as_sent(plan, source)
    if source.labels != plan.profile.labels:
        raise WrongStream(
            f"the stream's channels {', '.join(source.labels)} are not those of {plan.profile.title}, "
            f"{', '.join(plan.profile.labels)}; choose the device that fits with --device"
        )
    folder = _made_folder(plan, undo)
    note_account_begin(plan, folder)
    undo.callback(note_account_unused, plan, folder)
    client, return_s = _open_stimulator(plan, clock, folder.path / WATCHDOG_LOG)
    if client is not None:
        undo.callback(client.close)
    is_manual = isinstance(clock, ManualClock)
    uid = plan.stable_uid() if is_manual else uuid.uuid4().hex[:12]
    earlier = plan.earlier
    participant_fit, baselines = (earlier.fit, earlier.baselines) if earlier else (None, ())
    key_file = plan.asked.key_file
    key = SessionKey(uid, None if key_file is None else read_key_file(key_file, create=True))
    plan = plan.open_envelope()  # the last that may fail before the record: a slot is not bound for nothing
    loop = Loop(_loop_settings(plan, source), participant_fit, baselines, plan.delivery)
    side_file = None if plan.blinded is None else plan.blinded.side_file(folder.path)
    write_settings(plan, uid, loop.settings, folder)
    recorder = Recorder(folder.recording, waits=is_manual)
    undo.callback(recorder.close)
    return _Opened(uid, key, plan, source, head, folder, client, return_s, loop, recorder, side_file)


def _as_sent(plan: SessionPlan, source: Source) -> SessionPlan:
    """Return the plan with the device as the program sends it that was found; it decides rails and units."""
    from neurofb.acquisition.live import LslSource

    sender = source.sender if isinstance(source, LslSource) else None
    return plan if sender is None else replace(plan, profile=sender.profile, sender=sender)


def _made_folder(plan: SessionPlan, undo: contextlib.ExitStack) -> SessionFolder:
    """Make the session's folder; if another part fails before anything is in it, it goes again."""
    data = plan.asked.data
    is_new = not data.exists()
    folder = SessionFolder.create(data, plan.asked.participant, plan.visit, plan.task)

    def remove_empty() -> None:
        with contextlib.suppress(OSError):  # the first that is not empty ends it
            for made in (
                folder.path,
                folder.path.parent,
                folder.path.parent.parent,
                *([data] if is_new else []),
            ):
                made.rmdir()

    undo.callback(remove_empty)
    return folder


def _open_stimulator(plan: SessionPlan, clock: Clock, log: Path) -> tuple[StimulatorClient | None, float]:
    """Return the stimulator at baseline, tested, and how long it takes there at most; None without heat."""
    heat = plan.protocol.heat
    if heat is None:
        return None, 0.0
    client = open_stimulator(
        SIMULATED_THERMODE if plan.thermode is None else plan.thermode.kind,
        envelope=heat.envelope,
        clock=clock,
        seed=plan.asked.seed,
        faults=plan.asked.thermode_faults,
        used=plan.used,
        log=log,
        required=plan.required,
        file=plan.thermode,
    )
    abilities = client.connect()
    found = []
    if plan.thermode is not None:
        if refusal := bench_refusal(plan.thermode, abilities):
            client.close()
            raise UnsafeHeat(f"{refusal}. The session was not started")
        found = client.prepare()
    found += client.self_test()
    if found:
        client.close()
        raise StimulatorMissing(
            f"the stimulator is not ready: {'; '.join(found)}. The session was not started"
        )
    return client, abilities.longest_return_s(heat.envelope.cap_c, heat.envelope.baseline_low_c)


def _join(plan: SessionPlan, clock: Clock, hooks: Hooks, opened: _Opened, *, publish: bool) -> Assembled:
    uid, source, folder, loop = opened.uid, opened.source, opened.folder, opened.loop
    session_log = _session_log(plan, clock, hooks, opened, publish=publish)
    recorded_loop = RecordedLoop(loop, session_log, at_once=isinstance(clock, ManualClock))
    participant = None if opened.head is None else simulated_participant(plan, uid, opened.head)
    views = ViewHeartbeats(hooks.has_person)
    conditions = HeatConditions(plan.required, session_log.recorder_state, views)
    stimulus_control = None
    if opened.client is not None:
        on_reading = None if participant is None else participant.feel
        stimulus_control = StimulusController(
            opened.client, session_log, clock, conditions, on_reading, opened.return_s
        )
    listeners: list[Listener] = [
        *([] if participant is None else [participant]),
        *hooks.listeners(uid, _stopping(stimulus_control)),
    ]
    network = _network(plan, hooks, opened, _stopping(stimulus_control)) if publish else None
    sequencer = _sequencer(plan, uid, recorded_loop, stimulus_control, participant, session_log)
    if plan.asked.simulate or plan.unattended:
        listeners.insert(0, _simulated_operator(uid, sequencer))
    _log_start(plan, uid, session_log)
    parts = SessionParts(
        source,
        recorded_loop,
        sequencer,
        stimulus_control,
        Commands(listeners, sequencer, session_log, views, network),
        session_log,
        StatusBuilder(
            _heading(plan, uid, source, folder),
            source,
            recorded_loop,
            sequencer,
            stimulus_control,
            session_log,
            conditions,
        ),
        conditions,
    )
    each_step = [] if participant is None else [_acting(participant, recorded_loop, sequencer)]
    engine = Engine(
        parts,
        clock,
        hooks.on_status,
        each_step,
        on_end=lambda: write_results(plan, loop, stimulus_control, folder),
    )
    sender = "" if plan.sender is None else plan.sender.describe()
    return Assembled(engine, folder, uid, session_log, sequencer, opened.key, views, sender)


def _session_log(
    plan: SessionPlan, clock: Clock, hooks: Hooks, opened: _Opened, *, publish: bool
) -> SessionLog:
    source, loop, heat = opened.source, opened.loop, plan.protocol.heat
    units = {name: measure.unit for name, measure in loop.measures.items()}
    publisher = None
    if publish:
        hop_hz, stimulus = loop.pipeline.hop_size.fast_hz, opened.client is not None
        publisher = Publisher(
            opened.uid, units, source.labels, source.rate_hz, hop_hz, stimulus=stimulus, key=opened.key
        )
    columns = LogColumns(source.stream_info, source.eeg_columns, units, heat.sites if heat else ())
    return SessionLog(opened.recorder, publisher, clock, columns, hooks.on_event, opened.side_file)


def _loop_settings(plan: SessionPlan, source: Source) -> LoopSettings:
    protocol = plan.protocol
    return LoopSettings(
        protocol.features,
        Montage.of(plan.profile),
        source.rate_hz,
        protocol.feedback,
        protocol.baseline,
        protocol.reference,
        protocol.line_hz,
        CURRENT if plan.earlier is None else plan.earlier.fit.rules,
        protocol.cleaning.blinks,
    )


def _stopping(stimulus_control: StimulusController | None) -> Callable[[str], None]:
    """Return the callback by which a stop reaches the stimulator before the engine has read it."""

    def stop_at_once(by: str) -> None:
        if stimulus_control is not None:
            stimulus_control.abort(f"stopped by {by}")

    return stop_at_once


def _network(plan: SessionPlan, hooks: Hooks, opened: _Opened, stop: Callable[[str], None]) -> CommandInlet:
    """Return where commands of other processes come from."""
    gate = CommandGate(opened.uid, None if plan.asked.trust_network else opened.key)
    return CommandInlet(gate, lambda _text: stop("a command"), hooks.on_pair)


def _simulated_operator(uid: str, sequencer: Sequencer) -> SimulatedOperator:
    """Return an operator who confirms each place of the probe as soon as it is waited for."""

    def wanted() -> str | None:
        move = sequencer.probe_place.move
        return None if move is None else move.site

    return SimulatedOperator(uid, wanted)


def _acting(
    participant: SimulatedParticipant, recorded_loop: RecordedLoop, sequencer: Sequencer
) -> Callable[[float], None]:
    """Return the callbacks by which a simulated participant acts in every step of the engine."""

    def act(now_s: float) -> None:
        feedback = recorded_loop.last if sequencer.block is not None else None
        calibration = sequencer.calibration
        participant.act(now_s, feedback, rising=calibration is not None and calibration.limits_on)

    return act


def _sequencer(
    plan: SessionPlan,
    uid: str,
    recorded_loop: RecordedLoop,
    stimulus_control: StimulusController | None,
    participant: SimulatedParticipant | None,
    session_log: SessionLog,
) -> Sequencer:
    def think(prompt: Prompt) -> None:
        if participant is not None:
            participant.think(
                prompt, float("nan") if stimulus_control is None else stimulus_control.highest_c
            )

    prompting = Prompting(session_log, think)
    return Sequencer(
        uid,
        plan,
        recorded_loop,
        stimulus_control,
        _calibration(plan, stimulus_control, prompting, session_log),
        prompting,
        session_log,
    )


def _calibration(
    plan: SessionPlan,
    stimulus_control: StimulusController | None,
    prompting: Prompting,
    session_log: SessionLog,
) -> HeatCalibration | None:
    protocol, asked = plan.protocol, plan.asked
    planned = any(phase.kind == "calibration" for phase in plan.timeline.phases)
    if stimulus_control is None or protocol.heat is None or protocol.calibration is None or not planned:
        return None
    site = protocol.heat.calibration_site
    pains = sorted({level.pain for level in protocol.heat.levels.values() if level.pain is not None})
    scale = next(scale for scale in protocol.scales if scale.asks == "intensity")
    stored = load_calibration(asked.data, asked.participant, site)
    finder = PainCalibration(
        protocol.calibration,
        CalibrationVisit(asked.participant, site, asked.date),
        pains,
        protocol.heat.envelope,
        Ramps(protocol.heat.baseline_c, protocol.heat.rise_c_per_s, protocol.heat.return_c_per_s),
        stored,
    )

    def keep(found: CalibratedHeat) -> None:
        try:
            save_calibration(asked.data, found)
        except OSError as error:
            raise RecordingFailed(f"the calibration of {site!r} cannot be kept: {error.strerror}") from error

    return HeatCalibration(
        finder, scale, protocol.heat.interval_s + 1.0, stimulus_control, prompting, session_log, keep
    )


def _heading(plan: SessionPlan, uid: str, source: Source, folder: SessionFolder) -> Heading:
    feedback = plan.protocol.feedback
    return Heading(
        uid,
        plan.asked.participant,
        plan.protocol.study.id,
        plan.protocol.study.title,
        feedback.mode if feedback else "instruction",
        feedback.level.neutral if feedback else 0.5,
        source.stream_info.name,
        folder.recording,
        plan.protocol.heat.budget if plan.protocol.heat else 1.0,
        {} if plan.sender is None else plan.sender.hints,
        {name: level.label for name, level in plan.protocol.heat.levels.items()}
        if plan.protocol.heat
        else {},
    )


def _log_start(plan: SessionPlan, uid: str, session_log: SessionLog) -> None:
    envelope: dict[str, Any] = {} if plan.opened is None else {"envelope": plan.opened.document}
    session_log.log(
        "start",
        f"{plan.protocol.study.title}: {plan.asked.participant}, session {plan.visit}",
        0,
        session=uid,
        protocol=plan.protocol.study.id,
        seed=plan.asked.seed,
        stimulator=None if plan.protocol.heat is None else plan.asked.thermode,
        unattended=plan.unattended,
        warnings=list(plan.warnings),
        network="trusted" if plan.asked.trust_network else "signed",
        **envelope,
    )
    for each in () if plan.sealed_arm is None else plan.sealed_arm.unblindings:
        session_log.log("unblinded", unblinding_words(each), 0, **each)
