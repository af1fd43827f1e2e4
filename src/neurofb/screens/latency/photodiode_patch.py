"""The latency test's window: black, with a patch in a corner that turns white at the marks. The only file here with Qt.

In: a pattern and a clock. Out: when each mark was ordered: just before the window is told to paint.
"""

from __future__ import annotations

import os
import sys

import numpy as np
from PySide6.QtCore import QEventLoop, QRectF, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QApplication, QWidget

from neurofb.chunk import FloatArray
from neurofb.clock import Clock
from neurofb.errors import StreamMissing
from neurofb.screens.latency.marks import Pattern

#: Of the screen's height; large enough for any photodiode to lie within it.
PATCH_SHARE = 0.16
CORNERS = ("lower left", "lower right", "upper left", "upper right")
TEXT = "Lay the photodiode on the white corner. Space begins, Escape ends"


class PatchWindow(QWidget):
    """Shows a pattern."""

    def __init__(self, pattern: Pattern, clock: Clock, corner: str = CORNERS[0]) -> None:
        super().__init__()
        self.setWindowTitle("neurofb latency")
        self.setCursor(Qt.CursorShape.BlankCursor)
        #: When each mark was ordered, on the clock.
        self.marks_s: list[float] = []
        self._clock, self._corner = clock, corner
        # Each change with the time from the start at which it is due: on, off, on, off.
        on_s = pattern.offsets_s
        self._due_s = np.column_stack([on_s, on_s + pattern.on_s]).ravel().tolist()
        self._next = 0
        self._started_s: float | None = None
        self._is_on = True
        self._loop = QEventLoop()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._change)

    def run(self, *, at_once: bool = False) -> None:
        """Show it until it is over or somebody ends it; ``at_once`` without waiting for a key."""
        self.showFullScreen()
        if at_once:
            self.begin()
        self._loop.exec()
        self.close()

    def begin(self) -> None:
        """Start the pattern, once."""
        if self._started_s is None:
            self._is_on = False
            self.repaint()
            self._started_s = self._clock.now_s()
            self._wait()

    def _wait(self) -> None:
        if self._next >= len(self._due_s):
            self._timer.timeout.disconnect()
            self._timer.timeout.connect(self._loop.quit)
            self._timer.start(1000)  # what is on its way to the screen is still recorded
            return
        assert self._started_s is not None
        left_s = self._started_s + self._due_s[self._next] - self._clock.now_s()
        self._timer.start(max(0, round(1e3 * left_s)))

    def _change(self) -> None:
        self._is_on = self._next % 2 == 0
        self._next += 1
        if self._is_on:
            self.marks_s.append(self._clock.now_s())
        self.repaint()  # now, not when Qt finds time: what Qt does later would count as the screen's delay
        self._wait()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Draw the patch as it is."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("black"))
        size = PATCH_SHARE * self.height()
        left = 0.0 if "left" in self._corner else self.width() - size
        top = 0.0 if "upper" in self._corner else self.height() - size
        if self._is_on:
            painter.fillRect(QRectF(left, top, size, size), QColor("white"))
        if self._started_s is None:
            painter.setPen(QColor("lightgray"))
            font = painter.font()
            font.setPixelSize(max(12, self.height() // 30))
            painter.setFont(font)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, TEXT)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Begin with the space bar, end with Escape."""
        if event.key() == Qt.Key.Key_Space:
            self.begin()
        elif event.key() == Qt.Key.Key_Escape:
            self._loop.quit()

    def closeEvent(self, event: QCloseEvent) -> None:
        """End."""
        self._timer.stop()
        self._loop.quit()
        event.accept()


def show(pattern: Pattern, clock: Clock, corner: str = CORNERS[0], *, at_once: bool = False) -> FloatArray:
    """Show a pattern; return when each mark was ordered; fewer than it has if somebody ended it.

    Raises
    ------
    StreamMissing
        If there is no display.
    """
    variables = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(each) for each in variables):
        raise StreamMissing(
            "no display: neither DISPLAY nor WAYLAND_DISPLAY is set, so no patch can be shown; run it on the computer "
            "with the participant's screen"
        )
    application = QApplication.instance() or QApplication([])
    window = PatchWindow(pattern, clock, corner)
    window.run(at_once=at_once)
    application.processEvents()
    return np.array(window.marks_s)
