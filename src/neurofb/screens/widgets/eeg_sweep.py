"""Draws a ``SweepEnvelope``: EEG written once from left to right, which stays until the sweep comes round again."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QWidget

from neurofb.chunk import FloatArray
from neurofb.screens.theme import Theme
from neurofb.screens.widgets.scene import font, with_alpha
from neurofb.views.contact_advice import GLYPHS, Tone
from neurofb.views.history import SweepEnvelope

SPAN_S = 8.0
SCALES_UV = (10.0, 25.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
#: Ahead of the pen so many columns are blank.
AHEAD = 14
_LABELS_PX = 74


class EegSweep(QWidget):
    """Qt view of the ``SweepEnvelope`` model; a channel whose contact is bad is drawn in its tone, with its sign."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._labels: tuple[str, ...] = ()
        self._rate_hz = 0.0
        self._scale = 2
        self._sweep: SweepEnvelope | None = None
        self._pixmap: QPixmap | None = None
        self._states: Mapping[str, tuple[str, Tone]] = {}
        #: Samples that came too fast to be drawn.
        self.n_dropped = 0
        self.setMinimumSize(320, 160)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    @property
    def scale_uv(self) -> float:
        """How many µV a channel's line is high."""
        return SCALES_UV[self._scale]

    def rescale(self, steps: int) -> None:
        """Show smaller or larger signals."""
        self._scale = min(len(SCALES_UV) - 1, max(0, self._scale + steps))
        self._redraw()

    def show_states(self, states: Mapping[str, tuple[str, Tone]]) -> None:
        """Show the state of each channel."""
        if dict(states) != dict(self._states):
            self._states = dict(states)
            self.update(QRectF(0, 0, _LABELS_PX, self.height()).toRect())

    def add(self, samples_uv: FloatArray, n_dropped: int, labels: tuple[str, ...], rate_hz: float) -> None:
        """Draw new samples."""
        if not labels or rate_hz <= 0:
            return
        if (labels, rate_hz) != (self._labels, self._rate_hz):
            self._labels, self._rate_hz = labels, rate_hz
            self._begin()
        self.n_dropped += n_dropped
        if self._sweep is None or self._pixmap is None:
            return
        changed = self._sweep.add(samples_uv, n_dropped)
        if changed:
            self._draw_columns(self._sweep, self._pixmap, changed)
            self.update()

    def _begin(self) -> None:
        if self._labels and self.width() > _LABELS_PX + 16:
            columns = self.width() - _LABELS_PX
            self._sweep = SweepEnvelope(len(self._labels), self._rate_hz, SPAN_S, columns)
            self._pixmap = QPixmap(columns, max(1, self.height()))
            self._pixmap.fill(QColor(self._theme.panel))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Clear the sweep at another width, redraw it at another height."""
        if self._sweep is not None and self._sweep.n_columns == self.width() - _LABELS_PX:
            self._pixmap = QPixmap(self._sweep.n_columns, max(1, self.height()))
            self._redraw()
        else:
            self._begin()
        super().resizeEvent(event)

    def _redraw(self) -> None:
        if self._sweep is not None and self._pixmap is not None:
            self._pixmap.fill(QColor(self._theme.panel))
            n, head = self._sweep.n_columns, self._sweep.head
            self._draw_columns(self._sweep, self._pixmap, [(head + 1 + i) % n for i in range(n)])
            self.update()

    def _draw_columns(self, sweep: SweepEnvelope, pixmap: QPixmap, columns: list[int]) -> None:
        """Wipe some columns and draw a stroke from least to greatest in each, joined to the column before."""
        painter = QPainter(pixmap)
        ground = QColor(self._theme.panel)
        n, height = len(self._labels), pixmap.height()
        lane = height / n
        for column in range(columns[-1] + 1, columns[-1] + 1 + AHEAD):
            painter.fillRect(column % sweep.n_columns, 0, 1, height, ground)
        at = np.array(columns)
        before = (at - 1) % sweep.n_columns
        middles = (np.arange(n) + 0.5) * lane
        per_uv = lane / self.scale_uv
        low, high = sweep.least[at], sweep.greatest[at]
        # A stroke reaches to the column before, so that a steep slope has no holes.
        joined = at != 0
        low = np.where(joined[:, None], np.fmin(low, sweep.greatest[before]), low)
        high = np.where(joined[:, None], np.fmax(high, sweep.least[before]), high)
        tops = np.clip(middles - per_uv * high, middles - lane, middles + lane)
        bottoms = np.clip(middles - per_uv * low, middles - lane, middles + lane)
        there = ~np.isnan(sweep.least[at])
        tones = self._theme.tones
        for i, column in enumerate(columns):
            painter.fillRect(column, 0, 1, height, ground)
            for channel in np.flatnonzero(there[i]).tolist():
                tone = self._states.get(self._labels[channel], ("ok", "plain"))[1]
                colour = tones["plain" if tone == "good" else tone]
                top = tops[i, channel]
                painter.fillRect(
                    QRectF(column, top, 1.0, max(1.0, bottoms[i, channel] - top)), QColor(colour)
                )
        painter.end()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Show what was drawn, the pen, and the labels with their marks."""
        painter = QPainter(self)
        theme, height = self._theme, self.height()
        painter.fillRect(0, 0, _LABELS_PX, height, QColor(theme.panel))
        if self._pixmap is None or self._sweep is None:
            painter.fillRect(self.rect(), QColor(theme.panel))
            painter.end()
            return
        painter.drawPixmap(_LABELS_PX, 0, self._pixmap)
        pen_x = _LABELS_PX + self._sweep.head % self._sweep.n_columns + 1
        painter.setPen(QPen(with_alpha(theme.accent, 0.8), 1.5))
        painter.drawLine(QPointF(pen_x, 0), QPointF(pen_x, height))
        lane = height / len(self._labels)
        every = max(1, round(11 / lane))
        painter.setFont(font(min(15.0, max(9.0, 0.7 * lane * every))))
        for i in range(0, len(self._labels), every):
            state, tone = self._states.get(self._labels[i], ("ok", "plain"))
            painter.setPen(QColor(theme.tones["plain" if tone == "good" else tone]))
            mark = "" if state == "ok" else f" {GLYPHS.get(state, '?')}"
            box = QRectF(4, lane * i, _LABELS_PX - 8, lane * every)
            painter.drawText(box, int(Qt.AlignmentFlag.AlignVCenter), self._labels[i] + mark)
        painter.end()
