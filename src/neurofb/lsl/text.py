"""JSON documents over LSL, and the streams of one session as they come and go.

In: texts to send; streams on the network. Out: texts and numbers as they came, or ``StreamLost``. Nothing here waits
unless it is asked to, so that a screen or an engine may call it in its own step.
"""

from __future__ import annotations

import pylsl

from neurofb.chunk import FloatArray
from neurofb.errors import StreamLost
from neurofb.lsl.inlet import Inlet, read_facts

#: How long a sender keeps what a slow receiver has not fetched, in seconds (text: that many hundred documents).
KEPT_S = 10
OPEN_TIMEOUT_S = 2.0


class TextOutlet:
    """A string stream of one channel that says which session it belongs to.

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
        info = pylsl.StreamInfo(name, type, 1, 0.0, "string", source_id)
        info.desc().append_child_value("manufacturer", "neurofb")
        info.desc().append_child_value("session", session)
        self._outlet: pylsl.StreamOutlet | None = pylsl.StreamOutlet(info, max_buffered=KEPT_S)

    def push(self, text: str, time_s: float = 0.0) -> None:
        """Send a text; its time stamp is on LSL's clock, in seconds, 0 for now."""
        if self._outlet is not None:
            self._outlet.push_sample([text], time_s)

    def has_listeners(self) -> bool:
        """Return whether anybody receives."""
        return self._outlet is not None and bool(self._outlet.have_consumers())

    def close(self) -> None:
        """Take the stream off the network; harmless when it is closed."""
        self._outlet = None


class TextInlet:
    """What a string stream sends, without ever waiting for it."""

    def __init__(self, info: pylsl.StreamInfo) -> None:
        # No recovery by liblsl: it says nothing when it happens.
        self._open = info.name()
        try:
            self._inlet = pylsl.StreamInlet(info, max_buflen=KEPT_S, recover=False)
            self._inlet.open_stream(timeout=OPEN_TIMEOUT_S)
        except RuntimeError as error:
            raise _no_answer(self._open, error) from error

    def take(self) -> list[tuple[str, float]]:
        """Return the texts that have come since the last call, each with its time stamp.

        Raises
        ------
        StreamLost
            If the sender is gone.
        """
        try:
            samples, stamps = self._inlet.pull_chunk(timeout=0.0)
        except RuntimeError as error:  # all that pylsl raises: lost, and liblsl's own trouble
            raise StreamLost(
                f"the stream {self._open!r} is gone; its program ended or the network broke"
            ) from error
        return [(str(sample[0]), float(stamp)) for sample, stamp in zip(samples, stamps, strict=True)]

    def close(self) -> None:
        """End the connection."""
        self._inlet.close_stream()


class NumberInlet:
    """What a numeric stream sends, without ever waiting for it.

    Attributes
    ----------
    labels : tuple of str
        Of its channels.
    rate_hz : float
        0 if irregular.
    """

    def __init__(self, info: pylsl.StreamInfo) -> None:
        self._open = info.name()
        try:
            facts = read_facts(info)
            self._inlet = Inlet(facts, info)
            self._inlet.open(OPEN_TIMEOUT_S)
        except RuntimeError as error:
            raise _no_answer(self._open, error) from error
        self.labels, self.rate_hz = facts.labels, facts.rate_hz

    def take(self) -> tuple[FloatArray, FloatArray]:
        """Return what has come since the last call, shape (n, n_channels), and its time stamps in seconds.

        Raises
        ------
        StreamLost
            If the sender is gone.
        """
        try:
            n = self._inlet.pull(0.0)
        except RuntimeError as error:  # all that pylsl raises: lost, and liblsl's own trouble
            raise StreamLost(
                f"the stream {self._open!r} is gone; its program ended or the network broke"
            ) from error
        return self._inlet.values[:n].astype(float), self._inlet.stamps_s[:n].copy()

    def close(self) -> None:
        """End the connection."""
        self._inlet.close()


class SessionStreams:
    """Looks on and on, in liblsl's own thread, for streams whose ``source_id`` begins with a text.

    Parameters
    ----------
    prefix : str
        ``neurofb-<uid>-`` for one session, ``neurofb-`` for all.
    """

    def __init__(self, prefix: str) -> None:
        quoted = prefix.replace("'", "")
        self._resolver = pylsl.ContinuousResolver(pred=f"starts-with(source_id,'{quoted}')", forget_after=3.0)

    def seen(self) -> list[pylsl.StreamInfo]:
        """Return the streams that are there now; one that died is listed for some seconds."""
        found: list[pylsl.StreamInfo] = self._resolver.results()
        return found


def _no_answer(name: str, error: Exception) -> StreamLost:
    return StreamLost(f"the stream {name!r} was seen but does not answer ({error})")
