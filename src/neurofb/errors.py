"""Errors that neurofb raises on purpose: one tree, each also the builtin a caller would expect.

A message says what was asked, what was found, what would be right, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NeurofbError(Exception):
    """The root of all errors neurofb raises on purpose.

    Attributes
    ----------
    exit_code : int
        What the command line returns for it: 2 wrong input, 3 stream or device missing or lost,
        4 safety stop.
    """

    exit_code = 2


class WrongInput(NeurofbError, ValueError):
    """A value, shape or type that cannot be right."""


class WrongShape(WrongInput):
    """An array with the wrong number of dimensions, channels or bands."""


class WrongFile(WrongInput):
    """A profile, protocol or recording with something wrong in it; the message lists every problem."""


class WrongProfile(WrongFile):
    """A device profile with something wrong in it: with it no stream can be understood."""

    exit_code = 3


class UnknownName(NeurofbError, LookupError):
    """A name that is not among those that exist; the message lists them and the nearest."""


class UnknownDevice(UnknownName):
    """A device profile that does not exist."""

    exit_code = 3


class UnknownFile(UnknownName):
    """A recording that does not exist; the message lists the files beside it."""

    exit_code = 3


class StreamMissing(NeurofbError, LookupError):
    """No stream, or several, where exactly one was asked for."""

    exit_code = 3


class StreamLost(NeurofbError, ConnectionError):
    """A stream that was there stopped for good."""

    exit_code = 3


class WrongStream(NeurofbError, ValueError):
    """A stream that contradicts its profile: channels, unit or rate."""

    exit_code = 3


class UnsafeHeat(WrongInput):
    """A heat stimulus that the safety envelope refuses before it starts; the message lists every reason."""


class SafetyStop(NeurofbError, RuntimeError):
    """Heat was ended for safety, or its guard is gone: no more stimuli until somebody has looked."""

    exit_code = 4


class StimulatorMissing(NeurofbError, ConnectionError):
    """A stimulator, or the process that guards it, that cannot be reached or does not answer any more."""

    exit_code = 3


class ScreenMissing(NeurofbError, RuntimeError):
    """A window that was asked for and does not draw; the message says which and what it did."""

    exit_code = 3


class RecordingFailed(NeurofbError, OSError):
    """A recording that cannot be made or cannot go on; what was written before stays readable."""

    exit_code = 3


def nearest(name: str, known: Iterable[str]) -> str:
    """Return "there are: …" for the names that exist, with the nearest first named if one is near."""
    known = sorted(known)
    if not known:
        return "there are none"
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}there are: {', '.join(known)}"
