"""The participant's window: draws ``views.participant`` and turns keys and points into commands."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QPlainTextEdit, QWidget

from neurofb.screens.theme import Theme
from neurofb.screens.widgets.question import MIDDLE, Places, draw_question, draw_time_left, places
from neurofb.screens.widgets.scene import NOTE, Landscape, draw_scene, draw_text, with_alpha
from neurofb.views.participant import ParticipantView, Picture
from neurofb.views.rating import Action, Answer
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

FRAME_MS = 16
_ACTIONS: dict[int, Action] = {
    Qt.Key.Key_Left: "less",
    Qt.Key.Key_Right: "more",
    Qt.Key.Key_Up: "less",
    Qt.Key.Key_Down: "more",
    Qt.Key.Key_PageDown: "much less",
    Qt.Key.Key_PageUp: "much more",
    Qt.Key.Key_1: "next",
    Qt.Key.Key_2: "confirm",
    Qt.Key.Key_Return: "confirm",
    Qt.Key.Key_Enter: "confirm",
    Qt.Key.Key_Delete: "decline",
}
#: Each key has one meaning through the whole session. 1 to 4 are those of a response box.
_STOP_HEAT = (Qt.Key.Key_Space, Qt.Key.Key_4, Qt.Key.Key_Period)
_HURTS = (Qt.Key.Key_3,)
_CONTINUE = (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_2)


class Session(Protocol):
    """The part of ``views.session_client.SessionClient`` that the window uses."""

    uid: str

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        ...

    def send(self, name: str) -> None:
        """Send a command."""
        ...

    def stop(self) -> None:
        """Send a stop."""
        ...

    def stop_heat(self) -> None:
        """Send a stop of this heat."""
        ...

    def rate(self, prompt: str, value: float | str | None) -> None:
        """Answer a prompt."""
        ...

    def report_drawn(self, clock_s: float) -> None:
        """Report that the status of that time on the session's clock was drawn."""
        ...


class ParticipantScreen(QWidget):
    """Qt view of the ``ParticipantView`` model, full screen; a frame each 16 ms, or as many as the computer draws."""

    def __init__(self, session: Session, wording: Wording, theme: Theme) -> None:
        super().__init__()
        self._session, self._wording, self._theme = session, wording, theme
        self.view = ParticipantView(wording)
        self.picture = Picture()
        self._now_s = 0.0
        self._clock_s: float | None = None
        self._landscape = Landscape(theme)
        self._pressed: QRectF | None = None
        self.setWindowTitle("neurofb")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self._edit = self._made_edit()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)

    def start(self) -> None:
        """Draw from now on."""
        self._timer.start(FRAME_MS)

    def tick(self) -> None:
        """Draw the newest snapshot."""
        snapshot = self._session.snapshot()
        self._now_s = snapshot.now_s
        self._clock_s = None if snapshot.status is None else snapshot.status.clock_s
        self.picture = self.view.picture(snapshot)
        self._show_edit()
        self.update()

    # -- where things are --------------------------------------------------------------------------------------

    @property
    def stop_area(self) -> QRectF:
        """The area that ends the session."""
        width, height = self.width(), self.height()
        return QRectF(width * 0.02, height * 0.87, width * 0.24, height * 0.11)

    @property
    def stop_heat_area(self) -> QRectF:
        """The large area that stops this heat."""
        width, height = self.width(), self.height()
        return QRectF(width * 0.72, height * 0.85, width * 0.26, height * 0.13)

    @property
    def hurts_area(self) -> QRectF:
        """The large area that says "now it hurts"; it is where "continue" is in phases that wait, never both."""
        width, height = self.width(), self.height()
        return QRectF(width * 0.33, height * 0.85, width * 0.34, height * 0.13)

    @property
    def continue_area(self) -> QRectF:
        """The area that goes on from an instruction."""
        width, height = self.width(), self.height()
        return QRectF(width * 0.38, height * 0.87, width * 0.24, height * 0.1)

    @property
    def question_places(self) -> Places:
        """Places of the parts of a question."""
        prompt = self.view.rating.prompt
        n = len(prompt.choices) if prompt is not None and self.view.rating.kind == "probe" else 0
        return places(self.width(), self.height(), n)

    # -- drawing -----------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw the picture."""
        width, height, picture, theme = self.width(), self.height(), self.picture, self._theme
        painter = QPainter(self)
        self._landscape.draw(painter, width, height)
        draw_scene(painter, picture, theme, width, height, self._now_s)
        if self.view.rating.prompt is not None:
            draw_question(
                painter, self.view.rating, self.question_places, theme, self._wording, picture.ask_opacity
            )
            if picture.asks and picture.left is not None:
                draw_time_left(painter, self.question_places, theme, picture.left, picture.ask_opacity)
        if picture.note:
            note = QRectF(width * 0.03, height * 0.02, width * 0.94, height * 0.06)
            draw_text(
                painter, note, picture.note, height * NOTE, with_alpha(theme.faint, self.view.note_opacity)
            )
        if picture.proceed_opacity > 0:
            painter.setOpacity(picture.proceed_opacity)
            self._draw_area(painter, self.continue_area, "participant.continue", "participant.continue_hint")
            painter.setOpacity(1.0)
        if picture.button_opacity > 0:
            painter.setOpacity(picture.button_opacity)
            self._draw_area(painter, self.hurts_area, "participant.hurts", "participant.hurts_hint")
            painter.setOpacity(1.0)
        if picture.stop:
            self._draw_stop(painter, self.stop_area, "participant.stop", 0.35)
        if picture.heat_opacity > 0:
            painter.setOpacity(picture.heat_opacity)
            self._draw_stop(painter, self.stop_heat_area, "participant.stop_heat", 0.95)
        painter.end()
        if self._clock_s is not None:
            self._session.report_drawn(self._clock_s)

    def _draw_area(self, painter: QPainter, box: QRectF, key: str, hint: str) -> None:
        painter.setPen(QPen(with_alpha(self._theme.accent, 0.9), box.height() * 0.03))
        painter.setBrush(with_alpha(self._theme.accent, 0.22))
        painter.drawRoundedRect(box, box.height() / 4, box.height() / 4)
        ink, top = with_alpha(self._theme.ink, 1.0), box.adjusted(0, 0, 0, -box.height() * 0.36)
        draw_text(painter, top, self._wording(key), box.height() * 0.42, ink, bold=True, align=MIDDLE)
        low = box.adjusted(0, box.height() * 0.6, 0, -box.height() * 0.06)
        draw_text(painter, low, self._wording(hint), box.height() * 0.24, ink, align=MIDDLE)

    def _draw_stop(self, painter: QPainter, box: QRectF, key: str, filling: float) -> None:
        theme = self._theme
        painter.setPen(
            QPen(with_alpha(theme.stop_ink, 0.55), box.height() * (0.06 if self._pressed == box else 0.02))
        )
        painter.setBrush(with_alpha(theme.stop, filling))
        painter.drawRoundedRect(box, box.height() / 5, box.height() / 5)
        ink = with_alpha(theme.stop_ink if filling > 0.5 else theme.ink, 1.0)
        top = box.adjusted(0, 0, 0, -box.height() * 0.34)
        draw_text(painter, top, self._wording(key), box.height() * 0.3, ink, bold=True, align=MIDDLE)
        low = box.adjusted(box.width() * 0.03, box.height() * 0.6, -box.width() * 0.03, -box.height() * 0.06)
        draw_text(painter, low, self._wording(f"{key}_hint"), box.height() * 0.22, ink, align=MIDDLE)

    # -- keys and points ---------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the session, without asking back."""
        self._pressed = self.stop_area
        self.view.note_stop(self._session.snapshot().now_s)
        self._session.stop()

    def stop_heat(self) -> None:
        """Stop this heat, without asking back; nothing happens in a session without heat."""
        if self.picture.heat:
            self._pressed = self.stop_heat_area
            self.view.note_stop_heat(self._session.snapshot().now_s)
            self._session.stop_heat()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """End the session, stop this heat, press the button ("now it hurts"), answer or continue."""
        key = event.key()
        if key == Qt.Key.Key_F11:
            self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)
        elif key == Qt.Key.Key_Escape:
            self.stop()
        elif event.isAutoRepeat() and key not in _ACTIONS:
            return
        elif key in _STOP_HEAT:
            self.stop_heat()
        elif key in _HURTS:
            self._say_it_hurts()
        elif self.view.rating.is_open and key in _ACTIONS:
            if not (event.isAutoRepeat() and key in _CONTINUE):
                self._act(_ACTIONS[Qt.Key(key)])
        elif self.picture.proceed and key in _CONTINUE:
            if not event.isAutoRepeat():
                self._session.send("continue")
        else:
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Draw the areas as they were."""
        self._pressed = None
        super().keyReleaseEvent(event)

    def _say_it_hurts(self) -> None:
        if self.picture.button:
            self._session.send("button")

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Do by a point what keys do."""
        point = event.position()
        if self.stop_area.contains(point) and self.picture.stop:
            self.stop()
        elif self.stop_heat_area.contains(point) and self.picture.heat:
            self.stop_heat()
        elif self.hurts_area.contains(point) and self.picture.button:
            self._say_it_hurts()
        elif self.view.rating.is_open:
            self._point(point)
        elif self.picture.proceed and self.continue_area.contains(point):
            self._session.send("continue")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Move the mark along the line."""
        if event.buttons() & Qt.MouseButton.LeftButton and self.view.rating.is_open:
            self._point(event.position(), moved=True)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002
        """Draw the areas as they were."""
        self._pressed = None

    def _point(self, point: QPointF, *, moved: bool = False) -> None:
        where, rating = self.question_places, self.view.rating
        share = where.share(point) if rating.kind == "vas" else None
        if share is not None:
            rating.point(share)
        elif moved:
            return
        elif where.confirm.contains(point):
            self._act("confirm")
        elif where.decline.contains(point):
            self._act("decline")
        else:
            for i, box in enumerate(where.choices):
                if box.contains(point):
                    rating.choose(i)

    def _act(self, action: Action) -> None:
        answer: Answer | None = self.view.rating.act(action)
        if answer is not None:
            self._session.rate(answer.prompt, answer.value)

    # -- free text ---------------------------------------------------------------------------------------------

    def _made_edit(self) -> QPlainTextEdit:
        edit = QPlainTextEdit(self)
        edit.setStyleSheet(
            f"QPlainTextEdit {{ background: {self._theme.panel}; color: {self._theme.ink}; border: 2px solid "
            f"{self._theme.accent}; border-radius: 12px; padding: 12px; }}"
        )
        edit.textChanged.connect(lambda: self.view.rating.write(edit.toPlainText()))
        edit.installEventFilter(self)
        edit.hide()
        return edit

    def _show_edit(self) -> None:
        rating = self.view.rating
        wanted = rating.is_open and rating.kind == "text" and self.picture.ask_opacity > 0.99
        if wanted and self._edit.isHidden():
            self._edit.setPlainText(rating.text)
            self._edit.setGeometry(self.question_places.text.toRect())
            letters = self._edit.font()
            letters.setPixelSize(max(12, round(self.height() * 0.036)))
            self._edit.setFont(letters)
            self._edit.show()
            self._edit.setFocus()
        elif not wanted and not self._edit.isHidden():
            self._edit.hide()
            self.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """End the session by Escape while somebody writes, and finish by Ctrl-Enter."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() == Qt.Key.Key_Escape:
                self.stop()
                return True
            control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
            if control and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._act("confirm")
                return True
        return super().eventFilter(watched, event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close the window and print how to open it again: the session does not depend on it."""
        self._timer.stop()
        if not self.picture.over:
            print(self._wording("participant.closed", uid=self._session.uid), flush=True)
        super().closeEvent(event)
