"""Draws the participant's ``Picture``: still hills and water, a shape that breathes, signs and words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QLinearGradient,
    QPainter,
    QPainterPath,
    QPen,
    QPixmap,
    QPolygonF,
    QRadialGradient,
)

from neurofb.screens.theme import Theme
from neurofb.views.participant import Picture

#: As shares of the height: letters that are read from 2 m on a screen of 30 cm are 12 mm high and more.
HEADLINE, TEXT, NOTE = 0.058, 0.044, 0.036
CENTRE_Y, RADIUS = 0.37, 0.17
HORIZON = 0.66
_POINTS = 120
#: Waves of a restless edge: how many around, how high, and turns per second of the wave itself; slow, so that no
#: place at the edge lights up and darkens more often than about twice in three seconds.
_WAVES = ((3, 0.55, 0.06), (5, 0.3, -0.08), (8, 0.15, 0.11))
_WAVE_HEIGHT = 0.3


def with_alpha(colour: str, alpha: float) -> QColor:
    """Return a colour with an opacity, 0–1."""
    made = QColor(colour)
    made.setAlphaF(min(1.0, max(0.0, alpha)))
    return made


def font(height: float, *, bold: bool = False) -> QFont:
    """Return the font for a height in pixels."""
    made = QFont("DejaVu Sans")
    made.setStyleHint(QFont.StyleHint.SansSerif)
    made.setPixelSize(max(8, round(height)))
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return made


class Landscape:
    """The still background, painted once for each size."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._pixmap: QPixmap | None = None

    def draw(self, painter: QPainter, width: int, height: int) -> None:
        """Draw it over the whole window."""
        if self._pixmap is None or (self._pixmap.width(), self._pixmap.height()) != (width, height):
            self._pixmap = self._made(width, height)
        painter.drawPixmap(0, 0, self._pixmap)

    def _made(self, width: int, height: int) -> QPixmap:
        pixmap = QPixmap(width, height)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        sky = QLinearGradient(0, 0, 0, height * HORIZON)
        sky.setColorAt(0.0, QColor(self._theme.sky_top))
        sky.setColorAt(1.0, QColor(self._theme.sky_low))
        painter.fillRect(0, 0, width, height, sky)
        for row, colour in enumerate(self._theme.hills[:2]):
            painter.fillPath(_hill(width, height, row), QColor(colour))
        water = QLinearGradient(0, height * HORIZON, 0, height)
        water.setColorAt(0.0, QColor(self._theme.hills[1]))
        water.setColorAt(1.0, QColor(self._theme.hills[2]))
        painter.fillRect(QRectF(0, height * HORIZON, width, height), water)
        painter.end()
        return pixmap


def _hill(width: int, height: int, row: int) -> QPainterPath:
    base = height * (HORIZON - 0.05 + 0.03 * row)
    path = QPainterPath(QPointF(0, height * HORIZON))
    for i in range(81):
        x = i / 80
        rise = (
            math.sin(2 * math.pi * (1.1 * x + 0.13 + 0.31 * row))
            + 0.5 * math.sin(2 * math.pi * (2.7 * x + 0.6 * row))
        ) * (0.045 - 0.018 * row)
        path.lineTo(x * width, min(height * HORIZON, base - rise * height))
    path.lineTo(width, height * HORIZON)
    path.closeSubpath()
    return path


@dataclass(frozen=True, slots=True)
class _Shape:
    """Place of the shape, in pixels, and its visibility, 0–1."""

    centre: QPointF
    radius: float
    opacity: float


def draw_scene(
    painter: QPainter, picture: Picture, theme: Theme, width: int, height: int, now_s: float
) -> None:
    """Draw the shape, its light on the water, the sign and the words."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    centre = QPointF(width / 2, height * CENTRE_Y)
    shape = _Shape(
        centre,
        height * RADIUS * (0.93 + 0.14 * picture.breath),
        picture.scene_opacity
        * (1.0 - picture.point)
        * (1.0 - 0.6 * picture.sign_opacity * bool(picture.sign.kind)),
    )
    _draw_light(painter, picture, theme, shape)
    _draw_water(painter, picture, theme, shape, height, now_s)
    _draw_shape(painter, picture, theme, shape, height, now_s)
    if picture.point > 0:
        _draw_point(painter, picture, theme, centre, height)
    if picture.sign.kind and picture.sign_opacity > 0:
        _draw_sign(painter, picture, theme, centre, height)
    _draw_words(painter, picture, theme, width, height)


def _outline(shape: _Shape, restless: float, now_s: float) -> QPolygonF:
    points = []
    for i in range(_POINTS):
        angle = 2 * math.pi * i / _POINTS
        wave = sum(
            share * math.sin(around * angle + 2 * math.pi * turns * now_s) for around, share, turns in _WAVES
        )
        r = shape.radius * (1.0 + _WAVE_HEIGHT * restless * wave)
        points.append(QPointF(shape.centre.x() + r * math.cos(angle), shape.centre.y() + r * math.sin(angle)))
    return QPolygonF(points)


def _draw_light(painter: QPainter, picture: Picture, theme: Theme, shape: _Shape) -> None:
    """Draw a halo that grows a little with calm, and with reward."""
    strength = picture.filled * shape.opacity * (0.10 + 0.08 * picture.calm + 0.14 * picture.glow)
    if strength <= 0.003:
        return
    reach = shape.radius * 1.9
    halo = QRadialGradient(shape.centre, reach)
    halo.setColorAt(0.45, with_alpha(theme.shape, strength))
    halo.setColorAt(1.0, with_alpha(theme.shape, 0.0))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(halo)
    painter.drawEllipse(shape.centre, reach, reach)


def _draw_shape(
    painter: QPainter, picture: Picture, theme: Theme, shape: _Shape, height: int, now_s: float
) -> None:
    shown = shape.opacity
    outline = _outline(shape, (1.0 - picture.calm) * picture.filled, now_s)
    body = QRadialGradient(shape.centre, shape.radius * 1.25)
    body.setColorAt(0.0, with_alpha(theme.shape_core, 0.62 * picture.filled * shown))
    body.setColorAt(1.0, with_alpha(theme.shape, 0.5 * picture.filled * shown))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(body)
    painter.drawPolygon(outline)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    thick = height * 0.007
    if picture.dotted < 1.0:
        painter.setPen(QPen(with_alpha(theme.shape, 0.75 * shown * (1.0 - picture.dotted)), thick))
        painter.drawPolygon(outline)
    if picture.dotted > 0.0:
        pen = QPen(with_alpha(theme.faint, 0.7 * shown * picture.dotted), thick)
        pen.setDashPattern([0.1, 3.2])
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawPolygon(outline)


def _draw_water(
    painter: QPainter, picture: Picture, theme: Theme, shape: _Shape, height: int, now_s: float
) -> None:
    """Draw the light of the shape on the water: still when it is calm, broken when it is not."""
    # Words stand on the water: it is dark below them.
    has_words = bool(picture.words.headline or picture.words.text)
    covered = max(picture.words_opacity * has_words, picture.sign_opacity * bool(picture.sign.words))
    strength = 0.30 * picture.filled * shape.opacity * (1.0 - covered)
    if strength <= 0.003:
        return
    rows = 9
    for row in range(rows):
        depth = (row + 0.6) / rows
        y = height * (HORIZON + (0.985 - HORIZON) * depth * 0.55)
        half = shape.radius * (0.95 - 0.55 * depth)
        drift = (1.0 - picture.calm) * shape.radius * 0.35 * math.sin(2 * math.pi * 0.07 * now_s + 1.7 * row)
        half *= 1.0 - (1.0 - picture.calm) * 0.45 * (
            0.5 + 0.5 * math.sin(2.1 * row + 2 * math.pi * 0.09 * now_s)
        )
        painter.setPen(
            QPen(
                with_alpha(theme.shape_core, strength * (1.0 - 0.7 * depth)),
                height * 0.004,
                Qt.PenStyle.SolidLine,
                Qt.PenCapStyle.RoundCap,
            )
        )
        middle = shape.centre.x() + drift
        painter.drawLine(QPointF(middle - half, y), QPointF(middle + half, y))


def _draw_point(painter: QPainter, picture: Picture, theme: Theme, centre: QPointF, height: int) -> None:
    """Draw a disc, a cross in it and a dot in that.

    Eyes rest on it more steadily than on any other target that was tried (Thaler et al. 2013, Vision Res. 76:31).
    """
    outer, inner = height * 0.018, height * 0.006
    hidden = picture.sign_opacity * bool(picture.sign.kind)
    opacity = picture.point * picture.scene_opacity * (1.0 - hidden)
    ink, ground = with_alpha(theme.ink, opacity), with_alpha(theme.sky_top, opacity)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawEllipse(centre, outer, outer)
    painter.setPen(QPen(ground, 2 * inner, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
    painter.drawLine(QPointF(centre.x() - outer, centre.y()), QPointF(centre.x() + outer, centre.y()))
    painter.drawLine(QPointF(centre.x(), centre.y() - outer), QPointF(centre.x(), centre.y() + outer))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ink)
    painter.drawEllipse(centre, inner, inner)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _draw_sign(painter: QPainter, picture: Picture, theme: Theme, centre: QPointF, height: int) -> None:
    """Draw a sign: a diamond says what comes, a triangle that it is about to, a square that it is, a bowl relief."""
    size = height * 0.075
    ink = with_alpha(theme.ink, 0.95 * picture.sign_opacity)
    pen = QPen(ink, height * 0.011)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    x, y, kind = centre.x(), centre.y(), picture.sign.kind
    if kind == "cue":
        painter.drawPolygon(
            QPolygonF(
                [QPointF(x, y - size), QPointF(x + size, y), QPointF(x, y + size), QPointF(x - size, y)]
            )
        )
    elif kind == "anticipation":
        painter.drawPolygon(
            QPolygonF(
                [QPointF(x, y - size), QPointF(x + size, y + 0.8 * size), QPointF(x - size, y + 0.8 * size)]
            )
        )
    elif kind == "heat":
        painter.setBrush(with_alpha(theme.ink, 0.35 * picture.sign_opacity))
        painter.drawRect(QRectF(x - 0.85 * size, y - 0.85 * size, 1.7 * size, 1.7 * size))
    else:
        painter.drawArc(QRectF(x - size, y - 1.3 * size, 2 * size, 2 * size), 200 * 16, 140 * 16)
    if picture.left is not None and kind != "relief":
        reach = height * RADIUS * 1.35
        pen = QPen(with_alpha(theme.ink, 0.55 * picture.sign_opacity), height * 0.008)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        box = QRectF(x - reach, y - reach, 2 * reach, 2 * reach)
        painter.drawArc(box, 90 * 16, round(-360 * 16 * picture.left))


def _draw_words(painter: QPainter, picture: Picture, theme: Theme, width: int, height: int) -> None:
    words, top = picture.words, height * 0.69
    if picture.sign.words and picture.sign_opacity > 0:
        where = QRectF(width * 0.08, top, width * 0.84, height * 0.12)
        draw_text(
            painter,
            where,
            picture.sign.words,
            height * HEADLINE,
            with_alpha(theme.ink, picture.sign_opacity),
            bold=True,
        )
    if words.headline:
        where = QRectF(width * 0.08, top, width * 0.84, height * 0.09)
        draw_text(
            painter,
            where,
            words.headline,
            height * HEADLINE,
            with_alpha(theme.ink, picture.words_opacity),
            bold=True,
        )
        top += height * 0.09
    if words.text:
        where = QRectF(width * 0.12, top, width * 0.76, height * 0.865 - top)
        draw_text(painter, where, words.text, height * TEXT, with_alpha(theme.ink, picture.words_opacity))


def draw_text(
    painter: QPainter,
    where: QRectF,
    text: str,
    size: float,
    colour: QColor,
    *,
    bold: bool = False,
    align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop,
) -> None:
    """Draw text that wraps, in smaller letters if it would not fit."""
    flags = int(align) | int(Qt.TextFlag.TextWordWrap)
    while (
        size > 10
        and QFontMetricsF(font(size, bold=bold)).boundingRect(where, flags, text).height() > where.height()
    ):
        size *= 0.92
    painter.setFont(font(size, bold=bold))
    painter.setPen(colour)
    painter.drawText(where, flags, text)
