"""A serial port that never waits: what has come so far, and as much sent as the system takes now.

In: the port and speed of a thermode's file. Out: bytes. Kept: the port. The only file with pyserial.
"""

from __future__ import annotations

from typing import Protocol

from neurofb.errors import StimulatorMissing, WrongInput
from neurofb.stimulation.thermode_file import ThermodeFile


class Port(Protocol):
    """What a driver needs of a port. Every call returns at once, or raises ``StimulatorMissing``."""

    def read(self) -> bytes:
        """Return what has come since the last call."""
        ...

    def write(self, data: bytes) -> int:
        """Send as much as is taken now; return how many bytes that was."""
        ...

    def close(self) -> None:
        """Let the port go."""
        ...


class SerialPort:
    """A port of this computer.

    Parameters
    ----------
    name : str
        As "/dev/ttyACM0" or "COM3".
    baud : int
        Its speed; 8 bits, no parity, 1 stop bit, no flow control.

    Raises
    ------
    StimulatorMissing
        If pyserial is not installed, or the port cannot be opened, or another program has it.
    """

    def __init__(self, name: str, baud: int) -> None:
        try:
            import serial
        except ImportError:
            raise StimulatorMissing(
                "a thermode at a serial port needs pyserial, which is not installed: pip install 'neurofb[thermode]'"
            ) from None
        self._name = name
        self._errors = (serial.SerialException, OSError)
        try:
            self._port = serial.Serial(name, baud, timeout=0, write_timeout=0, exclusive=True)
        except (*self._errors, ValueError) as error:
            raise StimulatorMissing(
                f"the thermode's port {name} cannot be opened ({error}); look at the cable, at [link] in its file, and "
                "whether another program has the port"
            ) from None

    def read(self) -> bytes:
        """Return what has come since the last call."""
        try:
            return bytes(self._port.read(4096))
        except self._errors as error:
            raise self._lost(error) from None

    def write(self, data: bytes) -> int:
        """Send as much as is taken now; return how many bytes that was."""
        try:
            return self._port.write(data) or 0
        except self._errors as error:
            raise self._lost(error) from None

    def close(self) -> None:
        """Let the port go."""
        self._port.close()

    def _lost(self, error: Exception) -> StimulatorMissing:
        return StimulatorMissing(
            f"the thermode's port {self._name} is gone ({error}); look at its cable and power"
        )


def open_port(file: ThermodeFile) -> Port:
    """Return the port that a thermode's file names."""
    if file.link.port is None or file.link.baud is None:
        raise WrongInput(f"{file.name}: a {file.title} is at a serial port; [link] needs port and baud")
    return SerialPort(file.link.port, file.link.baud)
