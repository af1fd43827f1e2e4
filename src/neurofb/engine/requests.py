"""What is asked of a session from outside: commands over LSL, keys of the terminal, a simulated participant.

All come as the same documents (``neurofb.messages.Command``), whoever sends them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from neurofb.lsl.session_streams import Listener


class Requests:
    """Gathers the texts of commands from all who may ask.

    Parameters
    ----------
    listeners : sequence of Listener
    """

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self._listeners = tuple(listeners)
        self._own: deque[str] = deque()

    def add(self, text: str) -> None:
        """Ask for something from within the program."""
        self._own.append(text)

    def take(self) -> list[str]:
        """Return everything that was asked since the last call, in the order of the listeners."""
        texts = []
        while self._own:
            texts.append(self._own.popleft())
        for listener in self._listeners:
            texts += listener.take()
        return texts

    def close(self) -> None:
        """Stop listening."""
        for listener in self._listeners:
            listener.close()
