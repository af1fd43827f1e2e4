"""Draws a ``Rating`` on the participant's screen, and maps points on it to answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF

from neurofb.screens.theme import Theme
from neurofb.screens.widgets.scene import HEADLINE, NOTE, TEXT, draw_text, with_alpha
from neurofb.views.rating import GREATEST, Rating
from neurofb.views.texts import Wording

LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop
MIDDLE = Qt.AlignmentFlag.AlignCenter


@dataclass(slots=True)
class Places:
    """Places of the parts, in pixels."""

    width: int
    height: int
    line: QRectF
    confirm: QRectF
    decline: QRectF
    text: QRectF
    choices: list[QRectF] = field(default_factory=list)

    def share(self, point: QPointF) -> float | None:
        """Return where on the line a point is, 0–1; None if it is not near the line."""
        near = self.line.adjusted(
            -0.04 * self.width, -0.09 * self.height, 0.04 * self.width, 0.09 * self.height
        )
        return (point.x() - self.line.left()) / self.line.width() if near.contains(point) else None


def places(width: int, height: int, n_choices: int = 0) -> Places:
    """Return the places in a window of this size."""
    row = min(0.105, 0.40 / max(1, n_choices))
    return Places(
        width,
        height,
        QRectF(width * 0.14, height * 0.47, width * 0.72, 1.0),
        QRectF(width * 0.40, height * 0.735, width * 0.20, height * 0.095),
        QRectF(width * 0.33, height * 0.85, width * 0.34, height * 0.06),
        QRectF(width * 0.18, height * 0.28, width * 0.64, height * 0.36),
        [
            QRectF(width * 0.25, height * (0.27 + row * i), width * 0.5, height * (row - 0.02))
            for i in range(n_choices)
        ],
    )


def draw_question(
    painter: QPainter, rating: Rating, where: Places, theme: Theme, wording: Wording, opacity: float
) -> None:
    """Draw the question, the possible answers and the present choice."""
    if rating.prompt is None or opacity <= 0.0:
        return
    width, height = where.width, where.height
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    veil = QRectF(0, 0, width, height)
    painter.fillRect(veil, with_alpha(theme.sky_top, 0.55 * opacity))
    ink, faint = with_alpha(theme.ink, opacity), with_alpha(theme.faint, opacity)
    box = QRectF(width * 0.08, height * 0.08, width * 0.84, height * 0.17)
    draw_text(painter, box, rating.prompt.question, height * HEADLINE, ink, bold=True)
    hint = f"rating.hint_{rating.kind}"
    if rating.kind == "vas":
        _draw_line(painter, rating, where, theme, opacity)
        hint += "" if rating.value is not None else "_empty"
    elif rating.kind == "probe":
        _draw_choices(painter, rating, where, theme, opacity)
    box = QRectF(width * 0.08, height * 0.665, width * 0.84, height * 0.06)
    draw_text(painter, box, wording(hint), height * NOTE, faint)
    _draw_button(painter, where.confirm, wording("rating.confirm"), theme, opacity, ready=rating.is_answer)
    decline = (
        "rating.decline_text" if rating.kind == "text" else "rating.decline"
    )  # while one writes, keys write
    draw_text(painter, where.decline, wording(decline), height * NOTE, faint, align=MIDDLE)


def draw_time_left(painter: QPainter, where: Places, theme: Theme, left: float, opacity: float) -> None:
    """Draw how much of the time for an answer is left, as a thin line that grows shorter."""
    full = where.width * 0.30
    y, x = where.height * 0.045, where.width / 2
    for length, strength in ((full, 0.18), (full * left, 0.7)):
        pen = QPen(with_alpha(theme.faint, strength * opacity), where.height * 0.006)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawLine(QPointF(x - length / 2, y), QPointF(x + length / 2, y))


def _draw_line(painter: QPainter, rating: Rating, where: Places, theme: Theme, opacity: float) -> None:
    assert rating.prompt is not None
    height, line = where.height, where.line
    ink = with_alpha(theme.ink, opacity)
    painter.setPen(QPen(ink, height * 0.007, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    painter.drawLine(line.topLeft(), line.topRight())
    for x in (line.left(), line.right()):
        painter.drawLine(QPointF(x, line.top() - height * 0.025), QPointF(x, line.top() + height * 0.025))
    half = where.width * 0.27
    below = line.top() + height * 0.05
    low = QRectF(line.left() - where.width * 0.06, below, half, height * 0.14)
    high = QRectF(line.right() + where.width * 0.06 - half, below, half, height * 0.14)
    draw_text(painter, low, rating.prompt.low, height * TEXT, ink, align=LEFT)
    draw_text(painter, high, rating.prompt.high, height * TEXT, ink, align=RIGHT)
    if rating.value is None:
        return
    x, y, size = line.left() + line.width() * rating.value / GREATEST, line.top(), height * 0.035
    accent = with_alpha(theme.accent, opacity)
    painter.setPen(QPen(ink, height * 0.004))
    painter.setBrush(accent)
    tip = y - height * 0.006
    painter.drawPolygon(
        QPolygonF(
            [
                QPointF(x, tip),
                QPointF(x - 0.8 * size, tip - 1.6 * size),
                QPointF(x + 0.8 * size, tip - 1.6 * size),
            ]
        )
    )
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _draw_choices(painter: QPainter, rating: Rating, where: Places, theme: Theme, opacity: float) -> None:
    assert rating.prompt is not None
    for i, (box, text) in enumerate(zip(where.choices, rating.prompt.choices, strict=True)):
        chosen = i == rating.choice
        painter.setPen(
            QPen(with_alpha(theme.accent if chosen else theme.faint, opacity), where.height * 0.005)
        )
        painter.setBrush(with_alpha(theme.accent, (0.28 if chosen else 0.05) * opacity))
        painter.drawRoundedRect(box, box.height() / 3, box.height() / 3)
        shown = f"●  {text}" if chosen else text
        draw_text(painter, box, shown, where.height * TEXT, with_alpha(theme.ink, opacity), align=MIDDLE)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _draw_button(
    painter: QPainter, box: QRectF, text: str, theme: Theme, opacity: float, *, ready: bool
) -> None:
    strength = opacity * (1.0 if ready else 0.4)
    painter.setPen(QPen(with_alpha(theme.accent, strength), box.height() * 0.04))
    painter.setBrush(with_alpha(theme.accent, 0.25 * strength))
    painter.drawRoundedRect(box, box.height() / 3, box.height() / 3)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    draw_text(
        painter, box, text, box.height() * 0.5, with_alpha(theme.ink, strength), bold=True, align=MIDDLE
    )
