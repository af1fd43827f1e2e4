"""What is asked from outside, done if it may be done; both are recorded.

Nothing that comes from outside starts or raises heat: commands are read by ``wire.Command``, which knows none that
could, and each leads to a method of the sequencer that only ends, lowers, answers or waits.
"""

from __future__ import annotations

from collections.abc import Callable

from neurofb.engine.sequencer import Sequencer
from neurofb.engine.session_log import SessionLog
from neurofb.errors import UnknownName, WrongInput
from neurofb.messages import Command

#: So much of a document that was refused is in the record.
_KEPT = 500


class Commands:
    """Obeys commands.

    Parameters
    ----------
    sequencer : Sequencer
    session_log : SessionLog
    """

    def __init__(self, sequencer: Sequencer, session_log: SessionLog) -> None:
        self._sequencer, self._session_log = sequencer, session_log

    def ask(self, text: str, index: int, now_s: float) -> None:
        """Do what a document asks for, if it is for this session."""
        try:
            command = Command.read(text)
            if command.session not in ("", self._sequencer.uid):
                return
            self._obey(command, index, now_s)
        except (WrongInput, UnknownName) as error:
            asked = text[:_KEPT].encode("utf-8", "replace").decode()
            self._session_log.log("refused", f"not done: {error}", index, now_s, asked=asked)
            return
        self._session_log.log(
            "command", f"{command.name} by {command.by or 'unnamed'}", index, now_s,
            command=command.name, by=command.by, **{f"asked_{k}": v for k, v in command.content.items()},
        )  # fmt: skip

    def _obey(self, command: Command, index: int, now_s: float) -> None:
        sequencer, content, who = self._sequencer, command.content, command.by or "somebody"
        known: dict[str, Callable[[], None]] = {
            "stop": lambda: sequencer.stop(who),
            "end": lambda: sequencer.end_early("ended before its time", "ended"),
            "pause": lambda: sequencer.pause(now_s, f"paused by {who}"),
            "resume": lambda: sequencer.resume(now_s, f"resumed by {who}"),
            "continue": lambda: sequencer.go_on(now_s),
            "button": sequencer.button,
            "mark": lambda: self._session_log.log("note", content["text"], index, now_s),
            "rating": lambda: sequencer.answer(content["prompt"], content["value"], now_s),
        }
        known[command.name]()
