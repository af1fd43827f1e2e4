"""What keeps the participant's screen from flashing: numbers that move slowly, words that fade, and how to count.

The law: in no second does any part of the screen change its brightness more than three times. A change is a swing of
a tenth of the whole range or more, the size that the general flash threshold of WCAG 2.2 (success criterion 2.3.1)
counts; it counts pairs, we count each. It holds by construction, whatever is received:

- a number that brightness follows moves at most 0.6 of its range a second, and no place of the picture has more than
  half the range from black to white to go: a change takes a third of a second;
- words and signs change only when they are invisible, and take ``FADE_S`` to go and to come.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Of a number between 0 and 1, per second.
LIMIT_PER_S = 0.4
#: From invisible to visible; away and back again is 0.9 s, two changes.
FADE_S = 0.45
#: A swing of this much of the range from black to white is a change.
CHANGE = 0.1
#: A frame that comes late does not catch up at once: that would be a jump.
LONGEST_FRAME_S = 0.1

Content = TypeVar("Content", bound=Hashable)


class Slow:
    """A number between 0 and 1 that follows another at a limited speed.

    Parameters
    ----------
    value : float
        Where it begins.
    limit_per_s : float
    """

    def __init__(self, value: float, limit_per_s: float = LIMIT_PER_S) -> None:
        self.value, self._limit_per_s = value, limit_per_s

    def follow(self, wanted: float, elapsed_s: float) -> float:
        """Move towards ``wanted`` for some seconds, and give where it is then."""
        step = self._limit_per_s * min(max(elapsed_s, 0.0), LONGEST_FRAME_S)
        wanted = min(1.0, max(0.0, wanted))
        self.value += min(step, max(-step, wanted - self.value))
        return self.value


@dataclass(slots=True)
class Faded(Generic[Content]):
    """Something that is shown, and how visible it is: it becomes something else only while invisible.

    What has begun to come comes wholly, and what has begun to go goes wholly: half-shown things that are wanted and
    not wanted in turn would flicker.

    Attributes
    ----------
    content : hashable
    nothing : hashable
        The content that is never to be seen: it makes way at once.
    opacity : float
        0–1.
    going : bool
        Whether it is on its way out.
    """

    content: Content
    nothing: Content
    opacity: float = 0.0
    going: bool = False

    def become(self, wanted: Content, elapsed_s: float) -> None:
        """Fade towards ``wanted`` for some seconds."""
        step = min(max(elapsed_s, 0.0), LONGEST_FRAME_S) / FADE_S
        if self.opacity >= 1.0 and wanted != self.content:
            self.going = True
        if self.going:
            self.opacity = max(0.0, self.opacity - step)
            self.going = self.opacity > 0.0
        elif self.opacity == 0.0:
            self.content = wanted
            self.opacity = 0.0 if wanted == self.nothing else step
        else:
            self.opacity = min(1.0, self.opacity + step)


def relative_luminance(red: float, green: float, blue: float) -> float:
    """Return the relative luminance, 0–1, of an sRGB colour with parts 0–255 (WCAG 2.2)."""

    def linear(part: float) -> float:
        share = part / 255.0
        return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)

    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def most_changes_per_s(times_s: Sequence[float], luminances: Sequence[float], size: float = CHANGE) -> int:
    """Return the largest number of changes in any second.

    A change is complete when the luminance has moved by ``size`` from its last turning point.
    """
    moments: list[float] = []
    low = high = luminances[0]
    direction = 0
    for time_s, value in zip(times_s, luminances, strict=True):
        low, high = min(low, value), max(high, value)
        if direction <= 0 and value - low >= size:
            moments.append(time_s)
            direction, high, low = 1, value, value
        elif direction >= 0 and high - value >= size:
            moments.append(time_s)
            direction, high, low = -1, value, value
    return max(
        (sum(1 for other in moments if 0 <= other - first < 1.0 - 1e-9) for first in moments), default=0
    )
