"""Recorded instructions: WAV files in, samples at the rate of the sound out."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import signal

from neurofb.chunk import FloatArray
from neurofb.errors import UnknownFile, WrongFile, nearest

LONGEST_S = 600.0


def read_speech(path: Path, rate_hz: float) -> FloatArray:
    """Return a WAV file's samples as one channel at ``rate_hz``, full scale 1.

    Raises
    ------
    UnknownFile
        If there is no such file; the message lists what lies beside it.
    WrongFile
        If it is not PCM, empty, or longer than ten minutes.
    """
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.wav")] if path.parent.is_dir() else []
        raise UnknownFile(f"no recording {path}; {nearest(path.name, beside)}")
    try:
        with wave.open(str(path), "rb") as file:
            n, file_rate_hz, width = file.getnframes(), file.getframerate(), file.getsampwidth()
            if not 0 < n <= LONGEST_S * file_rate_hz:
                raise WrongFile(
                    f"{path.name} lasts {n / max(file_rate_hz, 1):g} s; needed is more than 0 s and at most "
                    f"{LONGEST_S:g} s: cut it into one file for each phase"
                )
            x = _samples(file.readframes(n), width).reshape(-1, file.getnchannels()).mean(axis=1)
    except (wave.Error, EOFError, OSError, ValueError) as error:
        if isinstance(error, WrongFile):
            raise
        raise WrongFile(
            f"{path.name} is no WAV file with plain samples ({error}); save it as WAV, PCM, 16 bit"
        ) from None
    if not np.any(x):
        raise WrongFile(f"{path.name} is silent from begin to end; record it anew")
    return _at_rate(x, file_rate_hz, rate_hz)


def _samples(data: bytes, width: int) -> FloatArray:
    """Return PCM of 1 to 4 bytes as numbers within ±1."""
    if width == 1:  # the only unsigned one
        return np.frombuffer(data, np.uint8).astype(np.float64) / 128 - 1
    whole = np.frombuffer(data[: len(data) // width * width], np.uint8).reshape(-1, width)
    padded = np.zeros((len(whole), 4), np.uint8)
    padded[:, 4 - width :] = whole
    return padded.view("<i4")[:, 0] / 2.0**31


def _at_rate(x: FloatArray, from_hz: int, to_hz: float) -> FloatArray:
    """Return ``x`` at another rate, in whole hertz; silence is before and after it."""
    ratio = Fraction(round(to_hz), from_hz)
    if ratio == 1:
        return x
    resampled = signal.resample_poly(x, ratio.numerator, ratio.denominator)
    return np.asarray(resampled, dtype=np.float64)[: round(len(x) * ratio)]
