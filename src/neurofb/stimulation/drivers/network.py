"""A question to a program in the network, on a connection of its own, that never waits.

In: an address and the bytes of the question. Out: what has been answered so far. Kept: one socket.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Protocol

from neurofb.errors import StimulatorMissing, WrongInput
from neurofb.stimulation.thermode_file import ThermodeFile

#: No answer of a thermode's program is longer. Assumed: twenty bytes and a sentence.
MOST_BYTES = 4096
#: What a connection says that is still being made.
_PENDING = {
    0,
    errno.EINPROGRESS,
    errno.EWOULDBLOCK,
    errno.EAGAIN,
    errno.ENOTCONN,
    errno.EALREADY,
    10035,
    10057,
}


class Exchange(Protocol):
    """One question and its answer. Nothing waits, and nothing is raised."""

    #: Why there will be no answer, or no more of it; "" while there may.
    over: str

    def poll(self) -> bytes:
        """Go on with sending and hearing; return all that has come."""
        ...

    def close(self) -> None:
        """Let the connection go."""
        ...


#: Asks a question: begins an exchange with these bytes.
Network = Callable[[bytes], Exchange]


class TcpExchange:
    """A question by TCP.

    Parameters
    ----------
    family : int
        IPv4 or IPv6, as ``socket.getaddrinfo`` says.
    address : tuple
        Where to.
    question : bytes
        What is sent as soon as there is a connection.
    """

    def __init__(self, family: int, address: tuple[str, int], question: bytes) -> None:
        self.over = ""
        self._unsent, self._came = question, b""
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        error = self._socket.connect_ex(address)
        if error not in _PENDING:
            self._end(os.strerror(error))
        self.poll()

    def poll(self) -> bytes:
        """Go on with sending and hearing; return all that has come."""
        if self.over:
            return self._came
        try:
            if self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            self._hear()
        except OSError as error:
            if error.errno not in _PENDING:
                self._end(str(error.strerror))
        return self._came

    def close(self) -> None:
        """Let the connection go."""
        self._end("closed here")

    def _hear(self) -> None:
        came = self._socket.recv(MOST_BYTES)
        self._came = (self._came + came)[:MOST_BYTES]
        if not came:
            self._end("the other side has closed the connection")

    def _end(self, why: str) -> None:
        self.over = self.over or why
        self._socket.close()


def open_network(file: ThermodeFile) -> Network:
    """Return what asks the program at the address of a thermode's file.

    Raises
    ------
    StimulatorMissing
        If the name of that computer is not known.
    """
    host, port = file.link.host, file.link.tcp_port
    if host is None or port is None:
        raise WrongInput(f"{file.name}: a {file.title} is at an address; [link] needs host and tcp_port")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise StimulatorMissing(
            f"the computer {host} of the {file.title} is not known ({error.strerror}); give its address in [link], as "
            '"192.168.0.5"'
        ) from None
    return lambda question: TcpExchange(family, (str(address[0]), int(address[1])), question)
