"""The windows of a session, each a process of its own: started until it draws, opened again when it is gone.

In: heartbeats of windows, as the engine knows them; the wish to open again what is gone. Out: processes, notes, whether
all windows draw. Kept: how often each window was opened. A thread for each open window waits for its process; the
engine waits for none of them.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

from neurofb.errors import ScreenMissing
from neurofb.signing import SessionKey

KINDS = ("participant", "operator")
#: The session's streams may come late: the windows look for them so long.
FIND_S = 30.0
#: A window that does not draw the session by then is started again. Assumed: ten times what it takes on an idle
#: computer (2 s).
DRAWS_S = 20.0
#: So often a window is started; then the session does not begin.
TRIES = 3
#: From one look at a window that starts to the next.
LOOK_S = 0.1
#: A window that fails in the session is opened again by itself so often; then a person is asked to. The same holds for
#: one that is closed by hand where nobody sits at a terminal, whose keys would open it.
REOPENED = 3
#: What a window has drawn counts for ``view_heartbeats.VIEW_S`` after its end: for longer than that, a heartbeat may be
#: that of the window before.
OLD_BEATS_S = 4.0
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
        Those that are opened at once; the session waits for them.
    note : callable, optional
        Takes a sentence for the session's record.
    has_person : callable, optional
        Returns whether somebody sits at this session's terminal, and so can press its keys; read by threads.
    """

    def __init__(
        self,
        uid: str,
        echo: Callable[[str], object],
        key: SessionKey,
        draws: Callable[[str], bool],
        kinds: tuple[str, ...] = KINDS,
        note: Callable[[str], object] = lambda _words: None,
        has_person: Callable[[], bool] = lambda: True,
    ) -> None:
        self._uid, self._print, self._key = uid, echo, key
        self._draws, self._kinds, self._note, self._has_person = draws, kinds, note, has_person
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        #: Of windows that were started in vain: why.
        self._failed: dict[str, str] = {}
        self._drawing: set[str] = set()
        self._threads: dict[str, threading.Thread] = {}
        self._open(kinds)

    def open_again(self) -> None:
        """Open each window that is not there, with its key; never waits."""
        opened = self._open(KINDS)
        if not opened:
            self._print("note: the participant's and the operator's windows are open")
        for kind in opened:
            self._tell(f"the {kind}'s window is opened by a key")

    def _open(self, kinds: tuple[str, ...]) -> list[str]:
        """Start a thread for each of these windows that has none; return which."""
        opened = []
        with self._lock:
            for kind in kinds:
                known = self._threads.get(kind)
                if self._closing.is_set() or (known is not None and known.is_alive()):
                    continue
                self._threads[kind] = threading.Thread(
                    target=self._keep, args=(kind,), name=f"neurofb-window-{kind}", daemon=True
                )
                self._threads[kind].start()
                opened.append(kind)
        return opened

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
        for thread in list(self._threads.values()):
            thread.join(CLOSE_S)

    # -- a thread for each window ------------------------------------------------------------------------------

    def _keep(self, kind: str) -> None:
        """Keep a window open until a person at the terminal closes it, or it has ended too often."""
        for n_ended in range(REOPENED + 1):
            if not self._start_until_drawn(kind):
                return
            code = self._processes[kind].wait()
            if self._closing.is_set():
                return
            ended = "was closed" if code == 0 else f"ended by itself, with code {code}"
            if n_ended == REOPENED or (code == 0 and self._has_person()):
                break
            self._tell(f"the {kind}'s window {ended}; it is opened again ({n_ended + 1} of {REOPENED})")
        self._tell(f"the {kind}'s window {ended}; {self._way_back(kind)}")

    def _way_back(self, kind: str) -> str:
        """Return how a person opens a window again."""
        if self._has_person():
            return "the key w at the session's terminal opens it again"
        return (
            f"neurofb screen {kind} --session {self._uid} --key-file FILE opens it again, with the file of "
            "neurofb run --key-file"
        )

    def _start_until_drawn(self, kind: str) -> bool:
        """Start a window until it draws; return whether it does."""
        is_first = kind in self._kinds and kind not in self._drawing
        for number in range(1, TRIES + 1):
            why = self._start(kind)
            if self._closing.is_set():
                return False
            if not why:
                self._drawing.add(kind)
                return True
            last = "the session does not begin" if is_first else self._way_back(kind)
            self._print(
                f"note: the {kind}'s window {why}; {'it is started again' if number < TRIES else last}"
            )
        if is_first:
            self._failed[kind] = why
        else:
            self._note(f"the {kind}'s window {why}, {TRIES} times; {self._way_back(kind)}")
        return False

    def _tell(self, words: str) -> None:
        """Print it at the terminal, and log it in the record."""
        self._print(f"note: {words}")
        self._note(words)

    def _start(self, kind: str) -> str:
        """Start a window and wait until it draws; return why it did not."""
        words = ["screen", kind, "--session", self._uid, "--wait", f"{FIND_S:g}", "--key-stdin", "--beside"]
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
        n_old = round(OLD_BEATS_S / LOOK_S) if kind in self._drawing else 0
        for n_looks in range(round(DRAWS_S / LOOK_S)):
            if n_looks >= n_old and self._draws(kind):
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
