"""The sound of a session as a process of its own, started with the windows where the protocol is heard.

In: the lines that the process prints. Out: notes, and a sentence in the record where the session cannot be heard. Kept:
the process. A thread reads its lines; the engine waits for none of this, and a session goes on without sound.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable

from neurofb.signing import SessionKey

#: The session's streams may come late: the sound looks for them so long.
FIND_S = 30.0
#: After the session's end its last chime rings out, and the process ends by itself (3.5 s).
RINGS_S = 5.0
#: A process that is asked to end and hangs is ended all the same.
CLOSE_S = 2.0
#: How the process says that it has no device; what follows is why.
UNHEARD = "NO SOUND: "


class SoundProcess:
    """Plays the session until it ends.

    Parameters
    ----------
    uid : str
        The session's.
    key : SessionKey
    echo : callable
        Prints a note.
    note : callable
        Takes a sentence for the session's record.
    """

    def __init__(
        self, uid: str, key: SessionKey, echo: Callable[[str], object], note: Callable[[str], object]
    ) -> None:
        self._print, self._note = echo, note
        self._again = f"`neurofb screen sound --session {uid}` plays it, also on another computer"
        self._closing = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None
        words = ["screen", "sound", "--session", uid, "--wait", f"{FIND_S:g}", "--key-stdin"]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "neurofb", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            self._tell(str(error))
            return
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(OSError), pipe:  # one that is gone is reported by its end
            pipe.write(key.window("sound").to_line())
        self._thread = threading.Thread(target=self._follow, name="neurofb-sound", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Let the last chime ring out, then end the sound, also one that hangs."""
        self._closing.set()
        if self._process is None:
            return
        for wait_s, end in ((RINGS_S, self._process.terminate), (CLOSE_S, self._process.kill)):
            try:
                self._process.wait(wait_s)
            except subprocess.TimeoutExpired:
                end()
        self._process.wait()
        if self._thread is not None:
            self._thread.join(CLOSE_S)

    def _follow(self) -> None:
        """Read what the process says until it ends."""
        assert self._process is not None
        assert self._process.stdout is not None
        last = ""
        for line in self._process.stdout:
            last = line.strip() or last
            if last.startswith(UNHEARD):
                self._tell(last.removeprefix(UNHEARD))
        code = self._process.wait()
        if code != 0 and not self._closing.is_set():
            self._tell(last.removeprefix("neurofb: ") or f"its process ended with code {code}")

    def _tell(self, why: str) -> None:
        """Say that nobody hears the session, at the terminal and in the record."""
        self._print(f"note: the session cannot be heard: {why}. {self._again}")
        self._note(f"the session cannot be heard: {why}")
