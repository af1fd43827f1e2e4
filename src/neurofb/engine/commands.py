"""Commands from outside, run if they may be run: over LSL, from the terminal's keys, from a simulated participant.

In: texts of commands (``messages.Command``), whoever sends them. Out: calls of the sequencer, events. Kept: nothing.

Nothing that comes from outside starts or raises heat: ``messages.Command`` knows no command that could, and each leads
to a method of the sequencer that only ends, lowers, answers or waits. What was done and what was refused is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neurofb.engine.sequencer import Sequencer
from neurofb.engine.session_log import SessionLog
from neurofb.errors import UnknownName, WrongInput
from neurofb.lsl.session_streams import Listener
from neurofb.messages import Command

#: So much of a document that was refused is in the record.
_KEPT = 500


class Commands:
    """The commands of one session."""

    def __init__(self, listeners: Sequence[Listener], sequencer: Sequencer, session_log: SessionLog) -> None:
        self._listeners, self._sequencer, self._session_log = tuple(listeners), sequencer, session_log

    def run_pending(self, index: int, now_s: float) -> None:
        """Run everything that was asked since the last call, in the order of the listeners."""
        for text in [text for listener in self._listeners for text in listener.pop()]:
            self._run(text, index, now_s)

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.close()

    def _run(self, text: str, index: int, now_s: float) -> None:
        """Run the command in a document, if it is for this session."""
        try:
            command = Command.read(text)
            if command.session not in ("", self._sequencer.uid):
                return
            self._call(command, index, now_s)
        except (WrongInput, UnknownName) as error:
            asked = text[:_KEPT].encode("utf-8", "replace").decode()
            self._session_log.log("refused", f"not done: {error}", index, now_s, asked=asked)
            return
        self._session_log.log(
            "command", f"{command.name} by {command.by or 'unnamed'}", index, now_s,
            command=command.name, by=command.by, **{f"asked_{k}": v for k, v in command.content.items()},
        )  # fmt: skip

    def _call(self, command: Command, index: int, now_s: float) -> None:
        sequencer, content, who = self._sequencer, command.content, command.by or "somebody"
        listed: dict[str, Callable[[], None]] = {
            "stop": lambda: sequencer.stop(who),
            "end": lambda: sequencer.end_early("ended before its time", "ended"),
            "pause": lambda: sequencer.pause(now_s, f"paused by {who}"),
            "resume": lambda: sequencer.resume(now_s, f"resumed by {who}"),
            "continue": lambda: sequencer.continue_phase(now_s),
            "button": sequencer.button,
            "mark": lambda: self._session_log.log("note", content["text"], index, now_s),
            "rating": lambda: sequencer.answer(content["prompt"], content["value"], now_s),
        }
        listed[command.name]()
