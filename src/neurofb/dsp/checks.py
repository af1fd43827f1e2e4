"""Checks of a stage's input before it reaches a kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from neurofb import _kernels
from neurofb.chunk import FloatArray
from neurofb.errors import WrongInput, WrongShape


def samples_2d(samples: ArrayLike, n_channels: int) -> FloatArray:
    """Return ``samples`` as C-ordered float64 ``(n_samples, n_channels)``; a copy only where needed.

    NaN marks a missing sample and passes; an infinite value is refused, and so is any other shape or type.
    """
    array = _real_numbers(samples)
    if array.ndim != 2 or array.shape[1] != n_channels:
        raise WrongShape(
            f"samples need shape (n_samples, {n_channels}), one column per channel; found {array.shape}"
            + (". For one sample, pass x[np.newaxis, :]" if array.shape == (n_channels,) else "")
        )
    at = _kernels.first_infinite(array)
    if at >= 0:
        sample, channel = divmod(at, n_channels)
        raise WrongInput(
            f"sample {sample}, channel {channel} is {array[sample, channel]}: samples are finite µV, "
            "or NaN where one is missing"
        )
    return array


def _real_numbers(samples: ArrayLike) -> FloatArray:
    array = _array(samples)
    if array.dtype.kind not in "iuf":
        raise WrongInput(f"samples need real numbers in µV, found an array of {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.float64)


def _array(values: ArrayLike) -> NDArray[Any]:
    if isinstance(values, np.ma.MaskedArray):
        raise WrongInput("a masked array was given, whose mask would be lost; give values.filled(np.nan)")
    try:
        return np.asarray(values)
    except ValueError as failure:
        raise WrongShape(f"rows of different lengths are no array: {failure}") from failure


def recording_2d(samples: ArrayLike, what: str) -> FloatArray:
    """Return a whole recording as float64 ``(n_samples, n_channels)`` with whatever number of channels it has."""
    shape = _array(samples).shape
    if len(shape) != 2 or shape[1] < 1:
        raise WrongShape(f"{what} needs shape (n_samples, n_channels), found {shape}")
    return samples_2d(samples, shape[1])


def complex_parts(z: ArrayLike, n_bands: int, n_channels: int) -> FloatArray:
    """Return complex ``(n_samples, n_bands, n_channels)`` as float64 with a last axis (real, imaginary)."""
    array = _array(z)
    if array.dtype.kind != "c":
        raise WrongInput(f"a band filter's complex output is needed, found an array of {array.dtype}")
    if array.ndim != 3 or array.shape[1:] != (n_bands, n_channels):
        raise WrongShape(
            f"complex bands need shape (n_samples, {n_bands}, {n_channels}), found {array.shape}"
        )
    array = np.ascontiguousarray(array, dtype=np.complex128)
    parts: NDArray[np.float64] = array.view(np.float64).reshape(*array.shape, 2)
    if _kernels.first_infinite(parts.reshape(-1, 2)) >= 0:
        raise WrongInput("complex bands hold an infinite value; they are finite, or NaN where unusable")
    return parts


def count(value: int, name: str) -> int:
    """Return ``value`` if it is a whole number of at least one."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise WrongInput(f"{name} needs a whole number of at least 1, found {value!r}")
    return int(value)


def positive(value: float, name: str) -> float:
    """Return ``value`` if it is finite and above zero."""
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and value > 0):
        raise WrongInput(f"{name} needs a finite number above 0, found {value!r}")
    return float(value)


def window_or_decay(window_s: float | None, time_constant_s: float | None) -> None:
    """Raise unless exactly one of a box window and an exponential time constant is set."""
    if (window_s is None) == (time_constant_s is None):
        raise WrongInput(
            "say either window_s (a box window) or time_constant_s (exponential weights), one of them; found "
            f"window_s={window_s!r}, time_constant_s={time_constant_s!r}"
        )
