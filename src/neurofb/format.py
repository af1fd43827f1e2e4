"""Numbers, times, the notice, and words from outside as a person reads them: on screens, at the terminal, in files.

A value that is not known is a dash, never a zero and never "nan". Words that somebody else wrote (names of streams and
channels, hosts, notes, answers, annotations, protocols) pass through ``clean`` before a person or a table reads them.
"""

from __future__ import annotations

import io
import math
import re
import sys
import unicodedata

DASH = "–"
SHORT_NOTICE = "Research software. Not a medical device. Not for diagnosis, treatment or relief of pain."
NOTICE = f"{SHORT_NOTICE} Use it only in ethics-approved studies, by trained staff."


#: What a terminal takes for an instruction: CSI …, OSC … and other strings up to their end, and two-letter escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
#: Letters that show nothing, or a space, although Unicode's category says otherwise: fillers, variation selectors, the
#: blank Braille pattern (of its Default_Ignorable_Code_Point, those that are no control or format letters).
INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
_INVISIBLE = re.compile(f"[{INVISIBLE}\u180b-\u180f\U000e0100-\U000e01ef]")
#: More marks than so many on one letter climb into the lines around it. Assumed: no script in use needs more.
_MARKS = re.compile(
    r"(\w[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})"
    r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
_PLAIN = re.compile(r"[\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff]*")
#: A longer word from outside is cut. Assumed: a name, a note or a message of ours is shorter.
LONGEST = 4000


def clean(text: str, longest: int = LONGEST, *, lines: bool = False) -> str:
    """Return words from outside as they may be shown and written into a table.

    Escape sequences, bidirectional controls and invisible letters are dropped, control characters and breaks become
    spaces, what is no letter becomes ``�``, and what is too long ends with ``…``. Markup stays as it is: where a text
    is shown as HTML, it is escaped there.

    Parameters
    ----------
    text : str
    longest : int
        In letters.
    lines : bool
        Whether line breaks stay, for texts that have paragraphs.
    """
    if len(text) <= longest and _PLAIN.fullmatch(text):
        return text
    text = _ESCAPES.sub("", text[: 8 * longest])
    kept = "".join(_shown(letter, lines=lines) for letter in _INVISIBLE.sub("", text))
    kept = _MARKS.sub(r"\1", kept)
    return kept if len(kept) <= longest else kept[: longest - 1] + "…"


def _shown(letter: str, *, lines: bool) -> str:
    """Return a letter as it is shown: itself, a space, or nothing."""
    if letter == "\n" and lines:
        return letter
    category = unicodedata.category(letter)
    if category == "Cf":
        return ""
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "�" if category in ("Cs", "Cn", "Co") else letter


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


def accept_every_letter() -> None:
    """Let the terminal, or a file or pipe in its place, show ``?`` for a letter that its code page does not have.

    A console of Windows, or a log written through a pipe, may know no ``µ`` and no ``≤``; without this the first one
    would end the command.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a test or a window may have put something else there
            stream.reconfigure(errors="replace")
