"""Limits that keep the participant's screen from flashing: numbers that move slowly, words that fade.

The law: in no second does any part of the screen change its brightness more than three times. A change is a swing of
a tenth of the whole range or more, the size that the general flash threshold of WCAG 2.2 (success criterion 2.3.1)
counts; it counts pairs, we count each. It holds by construction, whatever is received:

- a number that brightness follows moves at most 0.6 of its range a second, and no place of the picture has more than
  half the range from black to white to go: a change takes a third of a second;
- words and signs change only when they are invisible, and take ``FADE_S`` to go and to come.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

#: Of a number between 0 and 1, per second.
LIMIT_PER_S = 0.4
#: From invisible to visible; away and back again is 0.9 s, two changes.
FADE_S = 0.45
#: A frame that comes late does not catch up at once: that would be a jump.
LONGEST_FRAME_S = 0.1

Content = TypeVar("Content", bound=Hashable)


class Slow:
    """A number between 0 and 1 that follows another at a limited speed."""

    def __init__(self, value: float, limit_per_s: float = LIMIT_PER_S) -> None:
        self.value, self._limit_per_s = value, limit_per_s

    def follow(self, wanted: float, elapsed_s: float) -> float:
        """Move towards ``wanted`` for some seconds; return where it is then."""
        step = self._limit_per_s * min(max(elapsed_s, 0.0), LONGEST_FRAME_S)
        wanted = min(1.0, max(0.0, wanted))
        self.value += min(step, max(-step, wanted - self.value))
        return self.value


@dataclass(slots=True)
class Faded(Generic[Content]):
    """Something that is shown, and how visible it is: it becomes something else only while invisible.

    What has begun to come comes wholly, and what has begun to go goes wholly: half-shown things that are wanted and
    not wanted in turn would flicker.
    """

    content: Content
    #: The content that is never shown: it makes way at once.
    nothing: Content
    #: 0–1.
    opacity: float = 0.0
    #: Whether the content is fading out.
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
