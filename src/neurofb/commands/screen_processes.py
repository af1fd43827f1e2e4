"""The windows of a session, each a process of its own: one that fails is reported and changes nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

from neurofb.signing import SessionKey

#: The session's streams may come late: the windows look for them so long.
FIND_S = 30.0
#: A window that is asked to close and hangs is closed all the same.
CLOSE_S = 2.0


class Windows:
    """The participant's and the operator's window; each gets its keys through a pipe that nobody else reads."""

    def __init__(
        self,
        uid: str,
        echo: Callable[[str], object],
        key: SessionKey,
        kinds: tuple[str, ...] = ("participant", "operator"),
    ) -> None:
        self._uid, self._print, self._key = uid, echo, key
        self._is_closing = False
        self._open = [(kind, process) for kind in kinds if (process := self._opened(kind)) is not None]
        for kind, process in self._open:
            threading.Thread(
                target=self._watch, args=(kind, process), name=f"neurofb-window-{kind}", daemon=True
            ).start()

    def _opened(self, kind: str) -> subprocess.Popen[bytes] | None:
        words = ["screen", kind, "--session", self._uid, "--wait", f"{FIND_S:g}", "--key-stdin"]
        try:
            process = subprocess.Popen([sys.executable, "-m", "neurofb", *words], stdin=subprocess.PIPE)
        except OSError as error:
            self._print_note(kind, f"could not be opened: {error}")
            return None
        assert process.stdin is not None
        with (
            contextlib.suppress(OSError),
            process.stdin as pipe,
        ):  # one that is gone already is reported by its code
            pipe.write(self._key.window(kind).to_line().encode())
        return process

    def _watch(self, kind: str, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if code != 0 and not self._is_closing:
            self._print_note(kind, f"ended by itself, with code {code}")

    def _print_note(self, kind: str, what: str) -> None:
        self._print(
            f"note: the {kind}'s window {what}. The session goes on; open it again: neurofb screen {kind} --session "
            f"{self._uid} --key-file FILE"
        )

    def close(self) -> None:
        """Close the open windows, also one that hangs."""
        self._is_closing = True
        for _, process in self._open:
            process.terminate()
        for _, process in self._open:
            try:
                process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
