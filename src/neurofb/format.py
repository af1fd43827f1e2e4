"""Numbers, times and the notice as a person reads them: on screens, at the terminal, in the report.

A value that is not known is a dash, never a zero and never "nan".
"""

from __future__ import annotations

import math

DASH = "–"
SHORT_NOTICE = "Research software. Not a medical device. Not for diagnosis, treatment or relief of pain."
NOTICE = f"{SHORT_NOTICE} Use it only in ethics-approved studies, by trained staff."


def number(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number with its unit."""
    return DASH if value is None or not math.isfinite(value) else f"{value:.{digits}f}{unit}"


def signed(value: float | None, digits: int = 2, unit: str = "") -> str:
    """Return a number with its sign, a true minus where it is below zero."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{round(value, digits) + 0.0:+.{digits}f}{unit}".replace("-", "−")  # + 0.0: never a negative zero


def percent(share: float | None, digits: int = 0) -> str:
    """Return a share of 1 in percent."""
    return DASH if share is None or not math.isfinite(share) else f"{100 * share:.{digits}f} %"


def clock(seconds: float | None, *, hours: bool = False, tenths: bool = False) -> str:
    """Return a time from zero on as ``m:ss``; before zero it is 0:00.

    Parameters
    ----------
    seconds : float or None
    hours : bool
        Whether 60 minutes become an hour, ``h:mm:ss``.
    tenths : bool
        Whether tenths of a second are shown where there are any.
    """
    if seconds is None or not math.isfinite(seconds):
        return DASH
    whole, tenth = divmod(round(10 * max(0.0, seconds)), 10) if tenths else (round(max(0.0, seconds)), 0)
    minutes, rest = divmod(whole, 60)
    text = f"{minutes // 60}:{minutes % 60:02d}" if hours and minutes >= 60 else f"{minutes}"
    return f"{text}:{rest:02d}" + (f".{tenth}" if tenth else "")
