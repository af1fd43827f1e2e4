"""Where the probe is to be: the outline of a body with the place, its name, and the button that confirms it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPainterPathStroker, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from neurofb.screens.theme import Theme
from neurofb.views.body import LINES, BodyPlace
from neurofb.views.operator import ProbeStep
from neurofb.views.texts import Wording

#: Thickness of the parts as fractions of the height.
_THICK = {"upper arm": 0.055, "forearm": 0.045, "hand": 0.045, "thigh": 0.085, "calf": 0.06, "foot": 0.04}
_TRUNK = ((0.035, 0.15), (0.12, 0.175), (0.145, 0.21), (0.105, 0.3), (0.095, 0.4), (0.11, 0.52), (0.0, 0.56))


class BodyOutline(QWidget):
    """A body from the front or from behind, with a place marked on it."""

    def __init__(self, wording: Wording, theme: Theme) -> None:
        super().__init__()
        self._wording, self._theme = wording, theme
        self.place: BodyPlace | None = None
        self.setMinimumSize(220, 320)

    def show_place(self, place: BodyPlace | None) -> None:
        """Draw this place; no body without one."""
        self.place = place
        self.setVisible(place is not None)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw the outline, its sides and the place."""
        if self.place is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._draw_body(painter)
        self._draw_words(painter, self.place)
        self._draw_place(painter, self.place)
        painter.end()

    @property
    def _tall(self) -> float:
        """How tall the body is, in pixels."""
        return 0.9 * min(self.height(), self.width() / 0.75)

    def _at(self, point: tuple[float, float]) -> QPointF:
        return QPointF(self.width() / 2 + point[0] * self._tall, self.height() * 0.03 + point[1] * self._tall)

    def _draw_body(self, painter: QPainter) -> None:
        outline = QPainterPath()
        for sign in (-1, 1):
            for part, thick in _THICK.items():
                outline = outline.united(self._limb(part, thick, sign))
        trunk = QPainterPath(self._at(_TRUNK[0]))
        for point in _TRUNK[1:]:
            trunk.lineTo(self._at(point))
        for x, y in reversed(_TRUNK):
            trunk.lineTo(self._at((-x, y)))
        trunk.closeSubpath()
        head = QPainterPath()
        head.addEllipse(self._at((0.0, 0.07)), 0.052 * self._tall, 0.068 * self._tall)
        neck = QPainterPath()
        neck.addRect(QRectF(self._at((-0.03, 0.12)), self._at((0.03, 0.17))))
        painter.setPen(QPen(QColor(self._theme.faint), 2.0))
        painter.setBrush(QColor(self._theme.panel))
        painter.drawPath(outline.united(trunk).united(neck).united(head).simplified())

    def _limb(self, part: str, thick: float, sign: int) -> QPainterPath:
        """Return the outline of a limb around its centre line."""
        (x0, y0), (x1, y1) = LINES[part]
        centre = QPainterPath(self._at((sign * x0, y0)))
        centre.lineTo(self._at((sign * x1, y1)))
        return _around(centre, thick * self._tall)

    def _draw_words(self, painter: QPainter, place: BodyPlace) -> None:
        left, right = (self._wording(f"operator.body_{side}") for side in ("left", "right"))
        letters = painter.font()
        letters.setPixelSize(max(11, round(0.035 * self._tall)))
        painter.setFont(letters)
        painter.setPen(QColor(self._theme.faint))
        high = QRectF(0, self._at((0, 0.78)).y(), self.width() / 2 - 0.13 * self._tall, 0.06 * self._tall)
        painter.drawText(high, Qt.AlignmentFlag.AlignRight, left if place.is_behind else right)
        high.moveLeft(self.width() / 2 + 0.13 * self._tall)
        painter.drawText(high, Qt.AlignmentFlag.AlignLeft, right if place.is_behind else left)
        view = self._wording("operator.body_behind" if place.is_behind else "operator.body_front")
        below = QRectF(0, self._at((0, 1.0)).y(), self.width(), 0.06 * self._tall)
        painter.drawText(below, Qt.AlignmentFlag.AlignCenter, view)

    def _draw_place(self, painter: QPainter, place: BodyPlace) -> None:
        first, last = place.ends
        stretch = QPainterPath(self._at(first))
        stretch.lineTo(self._at(last))
        colour = QColor(self._theme.tones["attention"])
        painter.setPen(QPen(colour, 3.0))
        colour.setAlphaF(0.75)
        painter.setBrush(colour)
        painter.drawPath(_around(stretch, 0.045 * self._tall))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        middle = (self._at(first) + self._at(last)) / 2
        painter.drawEllipse(middle, 0.085 * self._tall, 0.085 * self._tall)


class ProbePanel(QFrame):
    """Tells the operator where the probe is to be, and takes the confirmation; hidden where it is there."""

    def __init__(self, wording: Wording, theme: Theme, on_placed: Callable[[], None]) -> None:
        super().__init__()
        self._wording = wording
        self.outline = BodyOutline(wording, theme)
        self.headline, self.site, self.more = QLabel(), QLabel(), QLabel()
        for label, size, weight in ((self.headline, 22, 500), (self.site, 40, 700), (self.more, 16, 400)):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setStyleSheet(f"font-size: {size}px; font-weight: {weight};")
        self.button = QPushButton(wording("operator.placed"))
        self.button.setObjectName("go")
        self.button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.button.clicked.connect(lambda: on_placed())
        words = QVBoxLayout()
        words.addStretch(1)
        for widget in (self.headline, self.site, self.more, self.button):
            words.addWidget(widget)
        words.addStretch(1)
        row = QHBoxLayout(self)
        row.addWidget(self.outline, 1)
        row.addLayout(words, 1)
        self.setObjectName("probe")
        self.setStyleSheet(
            f"QFrame#probe {{ border: 3px solid {theme.tones['attention']}; border-radius: 12px; }}"
        )
        self.hide()

    def show_step(self, step: ProbeStep | None) -> None:
        """Show the place that waits for a confirmation, or nothing."""
        self.setVisible(step is not None)
        if step is None:
            return
        self.headline.setText(step.headline)
        self.site.setText(step.site)
        self.more.setText("\n".join(step.more))
        self.outline.show_place(step.place)
        layout = self.layout()
        if layout is not None:
            layout.activate()


def _around(centre: QPainterPath, thick: float) -> QPainterPath:
    stroker = QPainterPathStroker()
    stroker.setWidth(thick)
    stroker.setCapStyle(Qt.PenCapStyle.RoundCap)
    return stroker.createStroke(centre)
