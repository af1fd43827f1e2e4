"""The windows of a session, each a process of its own: started until it draws, later reported when it ends by itself.

In: heartbeats of windows, as the engine knows them. Out: processes, notes, whether all windows draw. Kept: how often
each window was started. A thread for each window waits for its process; the engine waits for none of them.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

from neurofb.errors import ScreenMissing
from neurofb.signing import SessionKey

#: The session's streams may come late: the windows look for them so long.
FIND_S = 30.0
#: A window that does not draw the session by then is started again. Assumed: ten times what it takes on an idle
#: computer (2 s).
DRAWS_S = 20.0
#: So often a window is started; then the session does not begin.
TRIES = 3
#: From one look at a window that starts to the next.
LOOK_S = 0.1
#: A window that is asked to close and hangs is closed all the same.
CLOSE_S = 2.0


class Windows:
    """The participant's and the operator's window; each gets its keys through a pipe that nobody else reads.

    Parameters
    ----------
    uid : str
        The session's.
    echo : callable
        Prints a note.
    key : SessionKey
    draws : callable
        Returns whether a window, by its kind, draws the session and receives all its streams; read by threads.
    kinds : tuple of str
    """

    def __init__(
        self,
        uid: str,
        echo: Callable[[str], object],
        key: SessionKey,
        draws: Callable[[str], bool],
        kinds: tuple[str, ...] = ("participant", "operator"),
    ) -> None:
        self._uid, self._print, self._key = uid, echo, key
        self._draws, self._kinds = draws, kinds
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        #: Of windows that were started in vain: why.
        self._failed: dict[str, str] = {}
        self._drawing: set[str] = set()
        self._threads = [
            threading.Thread(target=self._keep, args=(kind,), name=f"neurofb-window-{kind}", daemon=True)
            for kind in kinds
        ]
        for thread in self._threads:
            thread.start()

    def are_ready(self) -> bool:
        """Return whether each window has drawn the session; never waits.

        Raises
        ------
        ScreenMissing
            If a window was started ``TRIES`` times in vain.
        """
        for kind, why in list(self._failed.items()):
            raise ScreenMissing(
                f"the {kind}'s window {why}, {TRIES} times; the session does not begin. `neurofb doctor` looks for "
                "what is missing; without --screens the session runs in the terminal"
            )
        return self._drawing.issuperset(self._kinds)

    def close(self) -> None:
        """Close the open windows, also one that hangs."""
        with self._lock:
            self._closing.set()
            processes = list(self._processes.values())
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(CLOSE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for thread in self._threads:
            thread.join(CLOSE_S)

    # -- a thread for each window ------------------------------------------------------------------------------

    def _keep(self, kind: str) -> None:
        """Start a window until it draws; then report it when it ends by itself."""
        for number in range(1, TRIES + 1):
            why = self._start(kind)
            if self._closing.is_set():
                return
            if not why:
                self._drawing.add(kind)
                self._report_end(kind)
                return
            again = "it is started again" if number < TRIES else "the session does not begin"
            self._print(f"note: the {kind}'s window {why}; {again}")
        self._failed[kind] = why

    def _start(self, kind: str) -> str:
        """Start a window and wait until it draws; return why it did not."""
        words = ["screen", kind, "--session", self._uid, "--wait", f"{FIND_S:g}", "--key-stdin"]
        with self._lock:
            if self._closing.is_set():
                return "is not needed any more"
            try:
                process = subprocess.Popen([sys.executable, "-m", "neurofb", *words], stdin=subprocess.PIPE)
            except OSError as error:
                return f"could not be opened: {error}"
            self._processes[kind] = process
        assert process.stdin is not None
        with contextlib.suppress(OSError), process.stdin as pipe:  # one that is gone is reported by its code
            pipe.write(self._key.window(kind).to_line().encode())
        for _ in range(round(DRAWS_S / LOOK_S)):
            if self._draws(kind):
                return ""
            if self._closing.is_set():
                return "is not needed any more"
            try:
                return f"ended by itself, with code {process.wait(LOOK_S)}"
            except subprocess.TimeoutExpired:
                continue
        process.kill()
        process.wait()
        return f"drew nothing of the session in {DRAWS_S:g} s"

    def _report_end(self, kind: str) -> None:
        code = self._processes[kind].wait()
        if code != 0 and not self._closing.is_set():
            self._print(
                f"note: the {kind}'s window ended by itself, with code {code}. Open it again: neurofb screen {kind} "
                f"--session {self._uid} --key-file FILE"
            )
