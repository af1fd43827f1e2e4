"""Streams of texts: the outlet and the inlet of JSON documents.

In: texts to send, streams on the network. Out: texts with their time stamps, or ``StreamLost``. Kept: one connection.
Nothing waits unless it is asked to, so that a screen or an engine may call it in its own step.
"""

from __future__ import annotations

import pylsl

from neurofb.lsl.inlet import OPEN_TIMEOUT_S, gone, no_answer

#: How long a sender keeps what a slow receiver has not fetched, in seconds (text: that many hundred documents).
KEPT_S = 10


class TextOutlet:
    """A string stream of one channel that names its session.

    Parameters
    ----------
    name, type : str
        Such as ``neurofb-commands`` and ``Commands``.
    source_id : str
        Unique for each sender.
    session : str
        The uid of the session, as ``desc/session``.
    """

    def __init__(self, name: str, type: str, source_id: str, session: str = "") -> None:
        self.name = name
        info = pylsl.StreamInfo(name, type, 1, 0.0, "string", source_id)
        info.desc().append_child_value("manufacturer", "neurofb")
        info.desc().append_child_value("session", session)
        self._outlet: pylsl.StreamOutlet | None = pylsl.StreamOutlet(info, max_buffered=KEPT_S)

    def push(self, text: str, time_s: float = 0.0) -> None:
        """Send a text; its time stamp is on LSL's clock, in seconds, 0 for now."""
        if self._outlet is not None:
            self._outlet.push_sample([text], time_s)

    @property
    def uid(self) -> str:
        """LSL's own id of this outlet; empty when it is closed."""
        return "" if self._outlet is None else str(self._outlet.get_info().uid())

    def has_listeners(self) -> bool:
        """Return whether anybody receives."""
        return self._outlet is not None and bool(self._outlet.have_consumers())

    def close(self) -> None:
        """Remove the stream from the network; harmless when it is closed."""
        self._outlet = None


class TextInlet:
    """A connection to a string stream.

    Parameters
    ----------
    handle : pylsl.StreamInfo
        The stream, as a resolver found it.
    open_timeout_s : float or None
        How long to wait for the sender's answer; None to connect in the background, with the first ``pop``.

    Raises
    ------
    StreamLost
        If it does not answer in time.
    """

    def __init__(self, handle: pylsl.StreamInfo, open_timeout_s: float | None = OPEN_TIMEOUT_S) -> None:
        self.name, self.uid = handle.name(), handle.uid()
        try:
            # No recovery by liblsl: it says nothing when it happens.
            self._inlet = pylsl.StreamInlet(handle, max_buflen=KEPT_S, recover=False)
            if open_timeout_s is not None:
                self._inlet.open_stream(timeout=open_timeout_s)
        except RuntimeError as error:
            raise no_answer(self.name, error) from error

    def pop(self, timeout_s: float = 0.0, most: int = 1024) -> list[tuple[str, float]]:
        """Return the texts since the last call with their time stamps; bytes that are no text as a sentence about them.

        Parameters
        ----------
        timeout_s : float
            How long to wait for the first.
        most : int
            How many to return at once; others wait.

        Raises
        ------
        StreamLost
            If the sender is gone and everything that came from it has been returned.
        """
        received: list[tuple[str, float]] = []
        while len(received) < most:
            try:
                sample, stamp_s = self._inlet.pull_sample(timeout=0.0 if received else timeout_s)
            except UnicodeDecodeError as error:
                received.append((f"no text, but bytes: {error.object[:80]!r}", float(pylsl.local_clock())))
                continue
            except RuntimeError as error:  # all that pylsl raises: lost, and liblsl's own trouble
                if received:
                    break  # the next call says so
                raise gone(self.name) from error
            if sample is None:
                break
            received.append((str(sample[0]), float(stamp_s)))
        return received

    def close(self) -> None:
        """End the connection."""
        self._inlet.close_stream()
