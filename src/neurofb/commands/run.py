"""``neurofb run``: a session with a participant; and how a session is shown at the terminal."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import secrets
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from neurofb.clock import Clock, ManualClock
from neurofb.commands.options import (
    DEVICE,
    HEADLESS,
    KEY_FILE,
    OUTCOME_AS_JSON,
    PROGRAM,
    SCREENS,
    SESSION,
    SKIN_ACCOUNT,
    STREAM,
    STREAM_LIKE,
    UNIT,
    WHERE,
    dataset,
)
from neurofb.commands.screen_processes import KINDS, Windows
from neurofb.commands.sound_process import SoundProcess
from neurofb.commands.terminal import EventLines, Keys, Picture, has_person
from neurofb.errors import NeurofbError, WrongInput
from neurofb.events import Told
from neurofb.format import NOTICE

if TYPE_CHECKING:
    from neurofb.engine.assembly import Assembled
    from neurofb.engine.blinded_session import BlindedSession
    from neurofb.engine.engine import Outcome
    from neurofb.engine.planning import Asked, SessionPlan
    from neurofb.lsl.pairing_streams import PairingDesk
    from neurofb.lsl.session_streams import Listener
    from neurofb.messages import Command
    from neurofb.status import SessionStatus

#: Where a simulated session on a manual clock begins: any reading does, and the same one gives the same session.
FAST_START_S = 1000.0
SWITCH_S = 0.0005
EVENTS_DRAWN = 4
#: As ``nice`` counts: below 0 is before others.
PRIORITY = -10


@dataclass(frozen=True, slots=True)
class Presentation:
    """How a session is shown, and what is made of its recording."""

    #: Lines only: no picture at the terminal, no windows.
    headless: bool = False
    #: On a manual clock, as fast as it can: everything simulated.
    fast: bool = False
    #: Open the participant's and the operator's windows.
    screens: bool = False
    #: The end as JSON, for programs.
    as_json: bool = False
    #: Made of the record when the session is over: BIDS, and a page to read.
    export: bool = True
    report: bool = False


@click.command("run")
@click.argument("protocol")
@DEVICE
@click.option("--participant", required=True, help="A pseudonym of letters and digits, as P07.")
@SESSION
@click.option("--arm", help="Which arm, by its id; needed where there are several.")
@click.option(
    "--allocation",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A list outside the dataset, to note the arm in.",
)
@click.option(
    "--envelope",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of neurofb allocate: the arm is in the participant's envelope, and nobody sees it.",
)
@click.option(
    "--stratum",
    multiple=True,
    help="With --envelope, for a new participant: a factor and its level, as site=A; once for each.",
)
@click.option(
    "--engine-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --envelope: the file with the engine's private key.  [default: what NEUROFB_ENGINE_KEY holds]",
)
@click.option(
    "--donors",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --envelope, of a study with a sham: the frozen pool of neurofb donors build.",
)
@click.option(
    "--enrol", is_flag=True, help="Yes, this participant is new and gets the next envelope for good."
)
@STREAM
@STREAM_LIKE
@WHERE
@PROGRAM
@UNIT
@dataset()
@click.option(
    "--seed", type=click.IntRange(0), help="Of every random choice.  [default: drawn, and recorded]"
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="The folder of an earlier session: its baseline serves again.",
)
@click.option("--again", is_flag=True, help="Yes, this participant has this session once more.")
@click.option("--same-person", is_flag=True, help="Yes, this code is the same person as in another dataset.")
@click.option(
    "--code-is-no-name", is_flag=True, help="Yes, the code is a pseudonym, though it looks like a name."
)
@click.option(
    "--probe-is-off", is_flag=True, help="Yes, the probe is off the skin while a real thermode tests itself."
)
@SKIN_ACCOUNT
@click.option("--simulate", is_flag=True, help="A simulated participant in a simulated headset.")
@click.option(
    "--answers/--no-answers",
    default=True,
    show_default=True,
    help="With --simulate: whether the simulated participant answers; without, somebody at a screen does.",
)
@click.option("--fast", is_flag=True, help="With --simulate: as fast as it can.")
@click.option(
    "--unattended-simulation",
    "unattended",
    is_flag=True,
    default=None,
    help="With a simulated stimulator: heat though nobody watches; --simulate implies it.",
)
@click.option(
    "--thermode",
    default="simulated",
    show_default=True,
    help="The stimulator: a name, or the path of a file.",
)
@click.option("--thermode-fault", "thermode_faults", multiple=True, help="With a simulated one: as stuck@40.")
@click.option(
    "--fault", "headset_faults", multiple=True, help="With --simulate: as stall@10+2; see neurofb simulate."
)
@KEY_FILE
@click.option(
    "--trust-network",
    is_flag=True,
    help="Obey every program on the network, as neurofb 0.1 did; the record says so.",
)
@HEADLESS
@SCREENS
@click.option("--export/--no-export", default=True, show_default=True, help="Write BIDS when it is over.")
@click.option("--report", is_flag=True, help="Write a report when it is over.")
@OUTCOME_AS_JSON
def command(seed: int | None, **words: Any) -> None:
    """Run a session of PROTOCOL with a participant, on real or simulated devices, and record it.

    Keys: Esc or s ends the session at once, Space stops this heat only, y confirms the place of the probe, h says "now
    it hurts", digits and Enter rate, c continues, p pauses and resumes, m marks, w opens windows that are gone, k
    makes a code for a window on another computer, q ends in order. Ctrl-C ends in order, the stimulus first.
    """
    from neurofb.engine.planning import Asked

    shown = Presentation(**{name: words.pop(name) for name in Presentation.__slots__})
    asked = Asked(seed=secrets.randbelow(2**31) if seed is None else seed, **words)
    sys.exit(run_session(asked, shown).exit_code)


def run_session(asked: Asked, options: Presentation, blinded: BlindedSession | None = None) -> Outcome:
    """Run a session and print its outcome; of a blinded session with its opened envelope.

    Raises
    ------
    NeurofbError
        If it cannot start: nothing was started or written then.
    """
    from neurofb.engine.assembly import Hooks, assemble
    from neurofb.engine.planning import plan_session

    asked = replace(asked, date=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
    _check_simulated(asked, options)
    plan = plan_session(asked, blinded)
    _confirm(plan, is_asked=has_person() and not options.as_json)
    shown = _Shown(options, is_heard=_is_heard(plan))
    clock = _clock(options)
    echo = (lambda text: click.echo(text, err=True)) if options.as_json else click.echo
    for line in (NOTICE, *_notes(plan)):
        echo(line)
    assembled = assemble(
        plan,
        clock,
        Hooks(
            shown.listeners,
            shown.show if shown.wants_status else None,
            shown.print_event,
            has_person,
            shown.hear_pairing,
        ),
        publish=not options.fast,
    )
    with _interruptible(assembled):  # from here on to the last key that is read
        echo(
            f"Session {assembled.uid}: {plan.protocol.study.title}; about {plan.timeline.duration_s:.0f} s; recorded "
            f"in {assembled.folder.path}"
        )
        if assembled.sender:
            echo(f"The EEG is {assembled.sender}")
        with shown.open(assembled, clock), _undisturbed():
            outcome = assembled.engine.run(shown.is_ready)
    made: dict[str, str] = {}
    lost = assembled.folder.loss
    try:
        if not lost:
            _afterwards(assembled, plan.asked.data, options, made)
    except KeyboardInterrupt:
        folder = assembled.folder.path
        click.echo(
            f"Interrupted: the session is recorded and whole, its export is not. Again: neurofb export {folder}",
            err=True,
        )
        outcome = replace(outcome, exit_code=outcome.exit_code or 130)
    _print_end(outcome, assembled, made, options, [lost, *_locked(plan, assembled)] if lost else [])
    return outcome


def _check_simulated(asked: Asked, options: Presentation) -> None:
    """Refuse what only a simulated session can do."""
    if options.fast and not asked.simulate:
        raise NeurofbError(
            "--fast is for simulated sessions: a headset's second lasts a second; leave it out, or add --simulate"
        )
    if asked.headset_faults and not asked.simulate:
        raise NeurofbError(
            f"--fault {asked.headset_faults[0]} is for simulated headsets: a real one has its own faults; leave it "
            "out, or add --simulate"
        )


def _notes(plan: SessionPlan) -> Iterator[str]:
    """Return what somebody should know before the session begins, a line each."""
    if plan.protocol.heat is not None and plan.asked.thermode == "simulated" and not plan.asked.simulate:
        yield "note: the thermode is simulated: nobody is heated in this session"
    if plan.protocol.heat is not None and plan.asked.unattended:
        yield "note: an unattended simulation: the simulated stimulator works though nobody watches"
    if plan.protocol.heat is not None and plan.thermode is not None:
        yield f"note: {plan.thermode.outlives()}"
    yield from (f"note: {warning}" for warning in plan.warnings)


def _confirm(plan: SessionPlan, *, is_asked: bool) -> None:
    """Ask what should be confirmed about the participant's code; where nobody can be asked, refuse it all at once."""
    from neurofb.engine.participant_questions import envelope_question, probe_question, questions
    from neurofb.recording.skin_account import read_account

    entries = [] if plan.account is None else read_account(plan.account)
    found = list(questions(plan.asked, plan.visit, entries))
    if plan.protocol.heat is not None and (about_probe := probe_question(plan.asked, plan.thermode)):
        found.append(about_probe)
    if about_envelope := envelope_question(plan.sealed_arm, plan.asked):
        found.append(about_envelope)
    if found and not is_asked:
        raise WrongInput("; ".join(each.refusal for each in found))
    for each in found:
        if not click.confirm(f"note: {each.facts}.\n{each.question}", err=True):
            raise WrongInput(f"{each.facts}; nothing was started")


def _afterwards(assembled: Assembled, data: Path, options: Presentation, made: dict[str, str]) -> None:
    """Write the export and the report that were asked for; a failure is printed, and the record stays as it is."""
    folder = assembled.folder.path
    if options.export:
        from neurofb.offline.bids.export import export

        with _told("exported to BIDS", f"neurofb export {folder}"):
            made["bids"] = str(export(folder, data))
    if options.report:
        from neurofb.offline.report.document import report_of, save

        with _told("reported", f"neurofb report {folder}"):
            made["report"] = str(save(report_of(folder)))


@contextlib.contextmanager
def _told(what: str, again: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the record is closed and whole, whatever a library makes of it
        words = str(error) if isinstance(error, NeurofbError) else repr(error)
        click.echo(
            f"The session was not {what}: {words}. It is recorded all the same; again: {again}", err=True
        )


def _clock(options: Presentation) -> Clock:
    if options.fast:
        return ManualClock(FAST_START_S)
    from neurofb.lsl.inlet import LslClock

    return LslClock()


class _Shown:
    """How a session is shown at the terminal: as a picture, or as lines."""

    def __init__(self, options: Presentation, *, is_heard: bool = False) -> None:
        self._options, self._is_heard = options, is_heard
        self._is_picture = sys.stdout.isatty() and not (options.headless or options.fast or options.as_json)
        self._picture: Picture | None = None
        self._lines = EventLines()
        #: The newest events that a person must know, for the picture.
        self._told, self._events = Told(), deque[str](maxlen=EVENTS_DRAWN)
        self._keys: Keys | None = None
        self._windows: Windows | None = None
        self._pairing: PairingDesk | None = None
        #: What was last said about pairing; has the code.
        self._said = ""
        self._start_s = 0.0

    def listeners(self, uid: str, stop: Callable[[str], None]) -> Sequence[Listener]:
        """Return the listeners of this terminal: its keys."""
        self._keys = Keys(uid, lambda: stop("a key"))
        return (self._keys,)

    @contextlib.contextmanager
    def open(self, assembled: Assembled, clock: Clock) -> Iterator[None]:
        """Show the session while this lasts."""
        assert self._keys is not None
        self._start_s = clock.now_s()
        windows = None
        if not self._options.fast:  # what is over in seconds is not published
            views = assembled.views
            windows = Windows(
                assembled.uid,
                _to_stderr,
                assembled.key,
                lambda kind: views.draws_all(kind, clock.now_s()),
                KINDS if self._options.screens else (),
                self._keys.note,
                has_person,
            )
            self._keys.actions["w"] = windows.open_again
            self._open_pairing(assembled, self._keys)
        self._windows = windows
        sound = None
        if windows is not None and self._options.screens and self._is_heard:
            sound = SoundProcess(assembled.uid, assembled.key, _to_stderr, self._keys.note)
        try:
            with contextlib.nullcontext() if self._options.fast else self._keys.reading():
                if self._is_picture:
                    self._picture = Picture()
                yield
        finally:
            self._lines.close()
            if self._picture is not None:
                self._picture.close()
            if self._pairing is not None:
                self._pairing.close()
            if windows is not None:
                windows.close()
            if sound is not None:
                sound.close()

    def _open_pairing(self, assembled: Assembled, keys: Keys) -> None:
        """Let the key k make a code for a window on another computer."""
        from neurofb.lsl.pairing_streams import PairingDesk

        self._pairing = PairingDesk(assembled.uid, assembled.key, self._say, keys.note)
        keys.actions["k"] = self._pairing.make_code

    def hear_pairing(self, command: Command) -> None:
        """Pass on what a window on another computer asks; called from the thread that listens."""
        if self._pairing is not None:
            self._pairing.hear(command)

    def _say(self, words: str) -> None:
        """Show a sentence about pairing, in the picture where there is one."""
        self._said = words
        if self._picture is None:
            _to_stderr(f"note: {words}")

    def is_ready(self, _now_s: float) -> bool:
        """Return whether all windows that were asked for draw the session."""
        return self._windows is None or self._windows.are_ready()

    @property
    def wants_status(self) -> bool:
        """Whether there is a picture to draw, or a question that keys may answer."""
        return self._is_picture or sys.stdin.isatty()

    def show(self, status: SessionStatus) -> None:
        """Show the status."""
        typed = ""
        if self._keys is not None:
            from neurofb.status import OPERATOR

            prompt = status.prompt
            self._keys.prompt = prompt.id if prompt and prompt.kind == "vas" else None
            self._keys.is_paused = OPERATOR in status.paused_by
            self._keys.site = None if status.probe is None else status.probe.site
            typed = self._keys.typed
        if self._picture is not None:
            self._picture.show(status, typed, self._said, tuple(self._events))

    def print_event(self, event: Any) -> None:
        """Print an event, or keep it for the picture; times count from the start of the timeline."""
        if event.kind == "state" and event.details["before"] == "preparing":
            self._start_s = event.time_s
        if self._is_picture:
            words = self._told.words(event)
            if words is not None:
                self._events.append(f"{event.time_s - self._start_s:.0f} s  {words}")
        elif not self._options.as_json:
            self._lines.print(event, self._start_s)


def _is_heard(plan: SessionPlan) -> bool:
    """Return whether a protocol has feedback that is heard."""
    feedback = plan.protocol.feedback
    return feedback is not None and feedback.sound and feedback.mode != "instruction"


def _to_stderr(words: str) -> None:
    click.echo(words, err=True)


@contextlib.contextmanager
def _interruptible(assembled: Assembled) -> Iterator[None]:
    """End in order on Ctrl-C, and on the system's signals to end."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        assembled.engine.interrupt()

    # A terminal that is closed (SIGHUP) is one as well.
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {each: signal.signal(each, interrupt) for each in (getattr(signal, name) for name in names)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep pauses away from feedback: those of the garbage collector, of other threads, of other programs.

    Garbage that was there before is not looked at again; a thread of ours keeps the interpreter for half a millisecond
    at most; and where the system allows it, this process comes before others.
    """
    gc.collect()
    gc.freeze()
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    if hasattr(os, "setpriority"):
        with contextlib.suppress(OSError):  # an ordinary user may not; the session runs all the same
            os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    try:
        yield
    finally:
        sys.setswitchinterval(interval_s)
        gc.unfreeze()


def _locked(plan: SessionPlan, assembled: Assembled) -> list[str]:
    """Return which places on the skin are locked because nothing is left that says how much heat they had."""
    from neurofb.commands.skin import locked_words
    from neurofb.engine.earlier_dose import doses_of_entry
    from neurofb.recording.skin_account import read_account

    if plan.protocol.heat is None or plan.account is None:
        return []
    here = assembled.folder.path.resolve()
    return [
        locked_words(dose.site, entry.date, entry.session, entry.folder)
        for entry in read_account(plan.account)
        if entry.path == here
        for dose in doses_of_entry(entry, time.time())
        if dose.source == "unknown"
    ]


def _print_end(
    outcome: Outcome, assembled: Assembled, made: dict[str, str], options: Presentation, lost: list[str]
) -> None:
    folder = assembled.folder.path
    if options.as_json:
        document = {
            "outcome": outcome.kind,
            "message": outcome.message,
            "exit_code": outcome.exit_code,
            "session": assembled.uid,
            "folder": str(folder),
            **({"lost": lost} if lost else {}),
            **made,
        }
        click.echo(json.dumps(document))
        return
    click.echo(f"{outcome.kind}: {outcome.message}", err=outcome.exit_code != 0)
    for line in lost:
        click.echo(line, err=True)
    if not lost:
        click.echo(f"recorded in {folder}")
    for name, path in made.items():
        click.echo(f"{name}: {path}")
