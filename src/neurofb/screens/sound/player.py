"""Players of sound: a sound device, or a stand-in that renders on a clock and can be listened to.

Both pull from a renderer (``render_into``); the device from a thread of its own, in which nothing is allocated that
grows and nothing is waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.errors import StreamLost, StreamMissing, WrongInput

#: The most that the device's callback asks for in one go; what is beyond is rendered in pieces.
PIECE = 4096


class Renderer(Protocol):
    """A source of samples."""

    rate_hz: float

    def render_into(self, out: FloatArray) -> None:
        """Fill an array of shape (n_samples,)."""
        ...


class Player(Protocol):
    """A sink of samples."""

    def start(self) -> None:
        """Begin to play."""
        ...

    def step(self) -> None:
        """Play what is due; raise if the device has stopped."""
        ...

    def stop(self) -> None:
        """End; harmless when it has ended."""
        ...


class SilentDevice:
    """A stand-in for a sound device: it renders the samples that would have been heard, at the same times.

    Parameters
    ----------
    renderer : Renderer
    clock : Clock
        After ``t`` seconds on it, exactly ``round(t · rate)`` samples have been rendered.
    keep : bool
        Whether to keep all of it for ``heard``; else nothing is kept, so that hours cost nothing.
    """

    def __init__(self, renderer: Renderer, clock: Clock, *, keep: bool = False) -> None:
        self._renderer, self._clock, self._keep = renderer, clock, keep
        self._pieces: list[NDArray[np.float32]] = []
        self._started_s: float | None = None
        self._stopped = False
        self._room = np.zeros(PIECE)
        self.n_rendered = 0

    @property
    def heard(self) -> NDArray[np.float32]:
        """The samples that would have been heard, shape (n_samples,); the first at the clock's time of ``start``."""
        return np.concatenate(self._pieces) if self._pieces else np.zeros(0, np.float32)

    def start(self) -> None:
        """Begin now."""
        self._started_s = self._clock.now_s()

    def step(self) -> None:
        """Render what has been due up to now."""
        if self._started_s is None or self._stopped:
            return
        due = round((self._clock.now_s() - self._started_s) * self._renderer.rate_hz)
        while self.n_rendered < due:
            room = self._room[: min(PIECE, due - self.n_rendered)]
            self._renderer.render_into(room)
            if self._keep:
                self._pieces.append(room.astype(np.float32))
            self.n_rendered += len(room)

    def stop(self) -> None:
        """Render up to now and no further."""
        self.step()
        self._stopped = True


class DevicePlayer:
    """A sound device, through PortAudio.

    Parameters
    ----------
    renderer : Renderer
    sounddevice : module
        The package of that name, loaded.
    device : str or int or None
        Its name, a part of it, or its number; None for the system's own.
    """

    def __init__(self, renderer: Renderer, sounddevice: Any, device: str | int | None = None) -> None:
        self._renderer = renderer
        self._room = np.zeros(PIECE)
        #: How often the device had to play silence because samples came too late.
        self.n_underflows = 0
        self._failure: BaseException | None = None
        try:
            facts = sounddevice.query_devices(device, "output")
            self._channels = min(2, int(facts["max_output_channels"]))
            self._stream = sounddevice.OutputStream(
                samplerate=renderer.rate_hz,
                device=device,
                channels=self._channels,
                dtype="float32",
                latency="low",
                callback=self._fill,
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise StreamMissing(_no_device(sounddevice, device, error)) from error
        self.name = str(facts["name"])
        #: From a sample's rendering to its sound, as the device reports it.
        self.latency_s = float(self._stream.latency)

    def start(self) -> None:
        """Begin to play."""
        self._stream.start()

    def step(self) -> None:
        """Check that the device still plays.

        Raises
        ------
        StreamLost
            If not: the device was unplugged, or rendering failed.
        """
        if self._failure is not None:
            raise StreamLost(f"the sound could not be made: {self._failure!r}") from self._failure
        if not self._stream.active:
            raise StreamLost(f"the sound device {self.name!r} does not play any more; was it unplugged?")

    def stop(self) -> None:
        """End."""
        self._stream.close()

    def _fill(self, out: NDArray[np.float32], n: int, _time: Any, status: Any) -> None:
        """Render the device's next ``n`` samples; runs in PortAudio's thread, where an error would only be printed."""
        if status.output_underflow:
            self.n_underflows += 1
        out.fill(0.0)
        if self._failure is not None:
            return
        try:
            for first in range(0, n, PIECE):
                room = self._room[: min(PIECE, n - first)]
                self._renderer.render_into(room)
                out[first : first + len(room)] = room[:, None]
        except Exception as error:
            self._failure = error


def open_player(
    renderer: Renderer,
    clock: Clock,
    *,
    device: str | int | None = None,
    silent: bool = False,
    echo: Callable[[str], None] = print,
    load: Callable[[], Any] | None = None,
) -> Player:
    """Return a player: the sound device, or with a notice the stand-in where there is none.

    Parameters
    ----------
    renderer : Renderer
    clock : Clock
    device : str or int or None
        Which; if it was named and is not there, that is an error and no stand-in.
    silent : bool
        True for the stand-in in any case.
    echo : callable
        Takes the notice.
    load : callable, optional
        Gives the package ``sounddevice``.

    Raises
    ------
    StreamMissing
        If the device that was asked for does not exist; the message lists those that do.
    """
    if silent:
        return SilentDevice(renderer, clock)
    try:
        sounddevice = (load or _load)()
        return DevicePlayer(renderer, sounddevice, device)
    except ModuleNotFoundError:
        why = "the package sounddevice is not installed; for sound: pip install 'neurofb[sound]'"
    except OSError as error:
        why = f"PortAudio cannot be loaded ({error}); on Debian and Ubuntu: apt install libportaudio2"
    except StreamMissing as error:
        if device is not None:
            raise
        why = str(error)
    echo(f"NO SOUND: {why}\nThe session's sound runs on in silence, on its clock; nobody hears it")
    return SilentDevice(renderer, clock)


def device_of(text: str | None) -> str | int | None:
    """Return the device that a text of the command line names: by its number, or by a part of its name."""
    if text is None:
        return None
    if not text.strip():
        raise WrongInput("a sound device is a number or a part of its name, found an empty text")
    return int(text) if text.strip().isdigit() else text


def _load() -> Any:
    import sounddevice

    return sounddevice


def _no_device(sounddevice: Any, device: str | int | None, error: Exception) -> str:
    # PortAudio itself may be what fails: then there are none to list.
    try:
        outputs = [each for each in sounddevice.query_devices() if each["max_output_channels"] > 0]
    except sounddevice.PortAudioError:
        outputs = []
    names = "; ".join(f"{each['index']}: {each['name']}" for each in outputs) or "none"
    wanted = "the system's own" if device is None else repr(device)
    return f"no sound device {wanted} that can be used ({error}); there are: {names}"
