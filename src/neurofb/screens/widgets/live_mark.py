"""A small mark that is drawn anew with each status, and reports what has really been painted."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

SIZE_PX = 14


class LiveMark(QWidget):
    """A dot in the colour of the stream's state.

    ``on_painted`` is called with the clock of the status that was shown when Qt painted the window: a window that is
    hidden, or whose drawing hangs, is not painted and reports nothing.
    """

    def __init__(self, on_painted: Callable[[float], None]) -> None:
        super().__init__()
        self._on_painted = on_painted
        self._clock_s: float | None = None
        self._colour = ""
        self.setFixedSize(SIZE_PX, SIZE_PX)

    def show_status(self, clock_s: float | None, colour: str) -> None:
        """Show that the status of ``clock_s`` is on the screen; None for no status yet."""
        self._clock_s, self._colour = clock_s, colour
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw it, and report it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self._colour))
        painter.drawEllipse(QRectF(2, 2, SIZE_PX - 4, SIZE_PX - 4))
        painter.end()
        if self._clock_s is not None:
            self._on_painted(self._clock_s)
