"""Draws the head from above with every electrode: how its contact is, by sign, shape and tone."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from neurofb.screens.theme import Theme
from neurofb.screens.widgets.scene import font, with_alpha
from neurofb.views.contact_advice import GLYPHS, Tone
from neurofb.views.head import places_2d


class HeadMap(QWidget):
    """Contact of each electrode: good ones are filled discs, others open ones with the sign of what is wrong."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._states: dict[str, tuple[str, Tone]] = {}
        self._places: dict[str, tuple[float, float]] = {}
        self._positions: Mapping[str, str] = {}
        self.setMinimumSize(180, 180)

    def show_states(
        self, states: Mapping[str, tuple[str, Tone]], positions: Mapping[str, str] | None = None
    ) -> None:
        """Show the state of each channel; ``positions`` are 10-05 names where labels are none."""
        if tuple(states) != tuple(self._states) or (positions or {}) != self._positions:
            self._positions = dict(positions or {})
            names = {label: self._positions.get(label, label) for label in states}
            found = places_2d(list(names.values()))
            self._places = {label: found[name] for label, name in names.items()}
        self._states = dict(states)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lowest = min([-1.1, *(y for _, y in self._places.values())])
        unit = min(self.width() / 2.5, self.height() / (1.25 - lowest + 0.15))
        centre = QPointF(self.width() / 2, unit * 1.25)
        self._draw_head(painter, centre, unit)
        n = len(self._places)
        size = unit * (0.155 if n <= 8 else 0.115 if n <= 20 else 0.085 if n <= 40 else 0.068)
        for label, (x, y) in self._places.items():
            self._draw_electrode(
                painter, label, QPointF(centre.x() + x * unit, centre.y() - y * unit), size, n
            )
        painter.end()

    def _draw_head(self, painter: QPainter, centre: QPointF, unit: float) -> None:
        painter.setPen(QPen(QColor(self._theme.faint), max(1.5, unit * 0.015)))
        nose = QPainterPath(QPointF(centre.x() - 0.12 * unit, centre.y() - 0.99 * unit))
        nose.lineTo(centre.x(), centre.y() - 1.13 * unit)
        nose.lineTo(centre.x() + 0.12 * unit, centre.y() - 0.99 * unit)
        painter.drawPath(nose)
        for side in (-1.0, 1.0):
            painter.drawArc(
                QRectF(
                    centre.x() + side * 1.03 * unit - 0.06 * unit,
                    centre.y() - 0.16 * unit,
                    0.12 * unit,
                    0.32 * unit,
                ),
                (-90 if side > 0 else 90) * 16,
                180 * 16,
            )
        painter.setBrush(with_alpha(self._theme.ink, 0.03))
        painter.drawEllipse(centre, unit, unit)

    def _draw_electrode(self, painter: QPainter, label: str, at: QPointF, size: float, n: int) -> None:
        state, tone = self._states[label]
        colour = QColor(self._theme.tones[tone])
        painter.setPen(QPen(colour, max(1.5, size * 0.14)))
        painter.setBrush(with_alpha(colour.name(), 0.85) if tone == "good" else QColor(self._theme.panel))
        if tone == "bad":
            painter.drawRect(QRectF(at.x() - size, at.y() - size, 2 * size, 2 * size))
        else:
            painter.drawEllipse(at, size, size)
        box = QRectF(at.x() - 2 * size, at.y() - size, 4 * size, 2 * size)
        good = tone == "good"
        if n <= 40:
            painter.setFont(font(size * (0.72 if good else 1.2), bold=True))
            painter.setPen(QColor(self._theme.panel) if good else colour)
            painter.drawText(
                box, int(Qt.AlignmentFlag.AlignCenter), label if good else GLYPHS.get(state, "?")
            )
        if not good:
            below = QRectF(at.x() - 3 * size, at.y() + size * 1.05, 6 * size, 1.2 * size)
            painter.setFont(font(max(9.0, size * 0.78)))
            painter.setPen(colour)
            painter.drawText(below, int(Qt.AlignmentFlag.AlignHCenter), label)
