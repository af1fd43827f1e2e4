"""Draws the timeline of phases and the budget of each site."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QWidget

from neurofb.screens.theme import Theme
from neurofb.screens.widgets.scene import font, with_alpha
from neurofb.views.operator import Bar, Piece


class TimelineBar(QWidget):
    """Qt view of ``OperatorView.pieces`` and ``OperatorView.at``."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._pieces: tuple[Piece, ...] = ()
        self._at: float | None = None
        self.setFixedHeight(46)

    def show_pieces(self, pieces: tuple[Piece, ...], at: float | None) -> None:
        """Show the phases and where the session is."""
        self._pieces, self._at = pieces, at
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width, height = self.width(), self.height()
        painter.setFont(font(13))
        for piece in self._pieces:
            colour = QColor(self._theme.phases.get(piece.kind, self._theme.line))
            left, right = piece.begins * width, piece.ends * width
            box = QRectF(left + 1, 9, max(1.0, right - left - 2), height - 13)
            painter.setPen(QPen(QColor(self._theme.ink), 2) if piece.is_current else Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRoundedRect(box, 4, 4)
            painter.setPen(QColor(self._theme.ink))
            inside = box.adjusted(5, 0, -3, 0)
            shown = QFontMetricsF(painter.font()).elidedText(
                piece.name, Qt.TextElideMode.ElideRight, inside.width()
            )
            if len(shown) > 2:
                painter.drawText(inside, int(Qt.AlignmentFlag.AlignVCenter), shown)
        if self._at is not None:
            x = self._at * width
            painter.setPen(QPen(QColor(self._theme.ink), 2))
            painter.drawLine(QPointF(x, 4), QPointF(x, height))
            painter.setBrush(QColor(self._theme.ink))
            painter.drawPolygon(QPolygonF([QPointF(x - 6, 0), QPointF(x + 6, 0), QPointF(x, 8)]))
        painter.end()


class BudgetBars(QWidget):
    """Qt view of ``OperatorView.bars``."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._theme = theme
        self._bars: tuple[Bar, ...] = ()

    def show_bars(self, bars: tuple[Bar, ...]) -> None:
        """Show the budgets."""
        if bars != self._bars:
            self._bars = bars
            self.setFixedHeight(24 * len(bars) + 2)
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw them."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font(13))
        for i, bar in enumerate(self._bars):
            box = QRectF(1, 24 * i + 2, self.width() - 2, 20)
            painter.setPen(QPen(QColor(self._theme.line), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 4, 4)
            tone = self._theme.tones[bar.tone]
            painter.setPen(QPen(QColor(tone), 1))
            painter.setBrush(with_alpha(tone, 0.35))
            painter.drawRoundedRect(
                QRectF(box.left(), box.top(), max(4.0, box.width() * bar.share), 20), 4, 4
            )
            painter.setPen(QColor(self._theme.ink))
            painter.drawText(box.adjusted(8, 0, -4, 0), int(Qt.AlignmentFlag.AlignVCenter), bar.text)
        painter.end()
