"""Commands from outside, run if they may be run: over LSL, from the terminal's keys, from a simulated participant.

In: texts of commands from this process, and commands from the network that have passed the gate (``neurofb.signing``).
Out: calls of the sequencer, heartbeats of windows, events. Kept: what was refused and is not told yet.

Nothing that comes from outside starts or raises heat: ``messages.Command`` knows no command that could, and each leads
to a method of the sequencer that only ends, lowers, answers or waits. What was done and what was refused is recorded;
refusals of the network are told together, so that a flood of them fills neither the record nor the engine's time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from neurofb.engine.sequencer import ENGINES_PAUSES, Sequencer
from neurofb.engine.session_log import SessionLog
from neurofb.engine.view_heartbeats import ViewHeartbeats
from neurofb.errors import UnknownName, WrongInput
from neurofb.lsl.session_streams import Listener
from neurofb.messages import Command
from neurofb.signing import Refusals, Refused

#: So much of a document that was refused is in the record.
_KEPT = 500
#: Refusals of the network are told so often at most.
TELL_EVERY_S = 5.0
#: So many commands of the network are run in one step; others wait. Assumed: a person sends a few a second.
MOST_IN_A_STEP = 20


class Network(Protocol):
    """Where commands of other processes come from, checked."""

    def pop(self, most: int) -> list[Command]:
        """Return commands that came since the last call, ``most`` of them."""
        ...

    def pop_refused(self) -> list[Refused]:
        """Return what was refused since the last call."""
        ...

    def close(self) -> None:
        """Stop listening."""
        ...


class Commands:
    """The commands of one session.

    ``listeners`` are of this process: its terminal's keys, a simulated participant. ``network`` is None for a session
    that is not on the network.
    """

    def __init__(
        self,
        listeners: Sequence[Listener],
        sequencer: Sequencer,
        session_log: SessionLog,
        views: ViewHeartbeats,
        network: Network | None = None,
    ) -> None:
        self._listeners, self._sequencer, self._session_log = tuple(listeners), sequencer, session_log
        self._views, self._network = views, network
        self._refused = Refusals()
        self._told_s = float("-inf")

    def run_pending(self, index: int, now_s: float) -> None:
        """Run everything that was asked since the last call, in the order of the listeners, the network last."""
        for text in [text for listener in self._listeners for text in listener.pop()]:
            self._run_text(text, index, now_s)
        if self._network is None:
            return
        for command in self._network.pop(MOST_IN_A_STEP):
            try:
                self._run(command, index, now_s, sender=command.sender)
            except (WrongInput, UnknownName) as error:
                self._refused.add(Refused(str(error), command.to_json()))
        for refused in self._network.pop_refused():
            self._refused.add(refused)
        if self._refused and now_s - self._told_s >= TELL_EVERY_S:
            self._told_s = now_s
            self._tell(index, now_s)

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.close()
        if self._network is not None:
            self._network.close()

    def _tell(self, index: int, now_s: float) -> None:
        for each in self._refused.pop():
            times = "" if each.n == 1 else f" ({each.n} of them)"
            message = f"not done{times}: {each.reason}"
            self._session_log.warn("refused", message, index, now_s, asked=_kept(each.asked), n=each.n)

    def _run_text(self, text: str, index: int, now_s: float) -> None:
        """Run the command in a document of this process, if it is for this session."""
        try:
            command = Command.read(text)
            if command.session in ("", self._sequencer.uid):
                self._run(command, index, now_s)
        except (WrongInput, UnknownName) as error:
            self._session_log.log("refused", f"not done: {error}", index, now_s, asked=_kept(text))

    def _run(self, command: Command, index: int, now_s: float, **details: str) -> None:
        self._call(command, index, now_s)
        if command.name == "alive":
            return  # two a second of each window; the engine logs when a view comes and goes
        self._session_log.log(
            "command", f"{command.name} by {command.by or 'unnamed'}", index, now_s,
            command=command.name, by=command.by, **details, **{f"asked_{k}": v for k, v in command.content.items()},
        )  # fmt: skip

    def _call(self, command: Command, index: int, now_s: float) -> None:
        sequencer, content, who = self._sequencer, command.content, command.by or "somebody"
        if who in ENGINES_PAUSES:  # a name that any program of a trusted network may give itself
            who = repr(who)
        listed: dict[str, Callable[[], None]] = {
            "stop": lambda: sequencer.stop(who),
            "end": lambda: sequencer.end_early("ended before its time", "ended"),
            "pause": lambda: sequencer.pause(now_s, f"paused by {who}", who),
            "resume": lambda: sequencer.resume(now_s, f"resumed by {who}", who),
            "continue": lambda: sequencer.continue_phase(now_s),
            "button": sequencer.button,
            "stop_heat": lambda: sequencer.stop_heat(who, now_s),
            "placed": lambda: sequencer.place_probe(content["site"], who),
            "mark": lambda: self._session_log.log("note", content["text"], index, now_s),
            "rating": lambda: sequencer.answer(content["prompt"], content["value"], now_s),
            "alive": lambda: self._note_view(command, now_s),
        }
        if command.name not in listed:
            raise WrongInput(f"the command {command.name!r} is none for the engine")
        listed[command.name]()

    def _note_view(self, command: Command, now_s: float) -> None:
        """Note a window's heartbeat; the participant's window cannot speak for the operator's."""
        content = command.content
        if content["view"] != command.by:
            raise WrongInput(
                f"a window reports itself alone; {command.by!r} reports {content['view'][:40]!r}"
            )
        self._views.beat(command.by, float(content["drew_s"]), content.get("missing", ""), now_s)


def _kept(text: str) -> str:
    """Return as much of a refused document as is recorded."""
    return text[:_KEPT].encode("utf-8", "replace").decode()
