"""The operator's window: draws ``views.operator``; every button is a command of the engine."""

from __future__ import annotations

from typing import Any, Protocol

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QCloseEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from neurofb.chunk import FloatArray
from neurofb.messages import STATUS
from neurofb.screens.theme import Theme
from neurofb.screens.widgets.bars import BudgetBars, TimelineBar
from neurofb.screens.widgets.body_outline import ProbePanel
from neurofb.screens.widgets.eeg_sweep import SPAN_S, EegSweep
from neurofb.screens.widgets.head_map import HeadMap
from neurofb.screens.widgets.live_mark import LiveMark
from neurofb.screens.widgets.plots import HistoryPlot
from neurofb.views.operator import Line, OperatorView, event_lines, operator_view, session_start_s
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording

FRAME_MS = 16
#: Words and curves are drawn anew so often; the EEG with every frame.
SLOW_EVERY = 8
COMMANDS = ("continue", "pause", "mark", "end", "stop_heat", "stop")


class Session(Protocol):
    """The part of ``views.session_client.SessionClient`` that the window uses."""

    uid: str

    def snapshot(self) -> Snapshot:
        """Return the newest snapshot."""
        ...

    def pop_eeg(self) -> tuple[FloatArray, int, tuple[str, ...], float]:
        """Return EEG since the last call, how much was dropped, labels and rate."""
        ...

    def history(self, name: str) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
        """Return columns, times and values of the last minute of a stream."""
        ...

    def events(self) -> list[Any]:
        """Return the last events."""
        ...

    def send(self, name: str, **content: Any) -> None:
        """Send a command."""
        ...

    def stop(self) -> None:
        """Send a stop."""
        ...

    def stop_heat(self) -> None:
        """Send a stop of this heat."""
        ...

    def has_listeners(self) -> bool:
        """Return whether the session receives commands."""
        ...

    def report_drawn(self, clock_s: float) -> None:
        """Report that the status of that time on the session's clock was drawn."""
        ...


#: A thermode's own noise, some hundredths of a degree, stays a line.
LEAST_SPAN_C = 6.0


class OperatorScreen(QWidget):
    """Qt view of the ``OperatorView`` model, the EEG and the last minute."""

    def __init__(self, session: Session, wording: Wording, theme: Theme) -> None:
        super().__init__()
        self._session, self._wording, self._theme = session, wording, theme
        self._n_frames = 0
        self.view = OperatorView(session.uid, None)
        self.setWindowTitle(wording("operator.title"))
        self.setStyleSheet(style_sheet(theme))
        self.resize(1440, 900)
        self.banner, self.title = QLabel(), QLabel()
        self.banner.setWordWrap(True)
        self.title.setObjectName("title")
        self.live_mark = LiveMark(session.report_drawn)
        self.timeline, self.bars = TimelineBar(theme), BudgetBars(theme)
        self.head, self.eeg = HeadMap(theme), EegSweep(theme)
        self.lines, self.advice, self.ratings = QLabel(), QLabel(), QLabel()
        self.events = QListWidget()
        self.events.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.events.setWordWrap(True)
        self.history = HistoryPlot(theme, ("z", "threshold", "level"), wording("operator.course"))
        self.temperature = HistoryPlot(
            theme, ("measured_c", "target_c"), wording("operator.temperature"), least_span=LEAST_SPAN_C
        )
        self.eeg_title = QLabel()
        self.note = QLineEdit()
        self.note.setPlaceholderText(wording("operator.mark_hint"))
        self.note.returnPressed.connect(self._mark)
        self.buttons = {name: self._button(name) for name in COMMANDS}
        self.probe = ProbePanel(wording, theme, self._placed)
        self._lay_out()
        # Without asking back, wherever the cursor is.
        QShortcut(QKeySequence(Qt.Key.Key_Escape), self, self._session.stop)
        QShortcut(QKeySequence(Qt.Key.Key_F2), self, self._placed)
        QShortcut(QKeySequence(Qt.Key.Key_F4), self, self._stop_heat)
        QShortcut(QKeySequence("Ctrl++"), self, lambda: self.eeg.rescale(-1))
        QShortcut(QKeySequence("Ctrl+-"), self, lambda: self.eeg.rescale(1))
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)

    def start(self) -> None:
        """Draw from now on."""
        self._timer.start(FRAME_MS)

    def tick(self) -> None:
        """Draw the EEG that came; every few frames the rest."""
        self.eeg.add(*self._session.pop_eeg())
        if self._n_frames % SLOW_EVERY == 0:
            self._refresh()
        self._n_frames += 1

    def _refresh(self) -> None:
        snapshot = self._session.snapshot()
        self.view = found = operator_view(
            snapshot,
            self._wording,
            uid=self._session.uid,
            has_listeners=self._session.has_listeners(),
            dropped=self.eeg.n_dropped,
        )
        self.title.setText(found.title)
        self._show_banner(found.banner)
        tone = "good" if STATUS not in snapshot.missing else "bad"
        clock_s = None if snapshot.status is None else snapshot.status.clock_s
        self.live_mark.show_status(clock_s, self._theme.tones[tone])
        self.probe.show_step(found.probe)
        self.lines.setText(self._table(found.lines))
        self.timeline.show_pieces(found.pieces, found.at)
        self.bars.show_bars(found.bars)
        states = {each.label: (each.state, each.tone) for each in found.contacts}
        self.head.show_states(states)
        self.eeg.show_states(states)
        self.advice.setText("\n".join(found.advice))
        self.ratings.setText("\n".join(found.ratings) or "–")
        scale = self._wording("operator.eeg_scale", uv=f"{self.eeg.scale_uv:g}", span=f"{SPAN_S:g}")
        self.eeg_title.setText(f"{self._wording('operator.eeg')}   {scale}   (Ctrl + −)")
        self._show_events(
            event_lines(self._session.events(), session_start_s(snapshot.status), self._wording)
        )
        self.history.show_history(self._session.history("status"))
        self.temperature.show_history(self._session.history("stimulus"))
        self._show_buttons(found)

    # -- parts -------------------------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(14, 10, 14, 12)
        grid.setSpacing(10)
        grid.addLayout(self._row(self.live_mark, self.title, self.banner), 0, 0, 1, 3)
        grid.addWidget(self.timeline, 1, 0, 1, 3)
        left = self._column(
            self._named("contact", self.head), self.advice, self.bars, self._named("ratings", self.ratings)
        )
        left.setStretch(0, 1)
        middle = self._column(self.eeg_title, self.eeg, self.history)
        middle.setStretch(1, 3)
        middle.setStretch(2, 2)
        right = self._column(self.lines, self.temperature, self._named("events", self.events))
        right.setStretch(1, 2)
        right.setStretch(2, 3)
        for column, (layout, stretch) in enumerate(((left, 24), (middle, 46), (right, 30))):
            grid.addLayout(layout, 2, column)
            grid.setColumnStretch(column, stretch)
        grid.addWidget(self.probe, 2, 1)  # over EEG and curves, while it is shown
        buttons = QHBoxLayout()
        for name in ("continue", "pause"):
            buttons.addWidget(self.buttons[name])
        buttons.addWidget(self.note, 1)
        for name in ("mark", "end", "stop_heat", "stop"):
            buttons.addWidget(self.buttons[name])
        grid.addLayout(buttons, 3, 0, 1, 3)
        grid.setRowStretch(2, 1)
        for label in (self.lines, self.advice, self.ratings):
            label.setWordWrap(True)
            label.setAlignment(Qt.AlignmentFlag.AlignTop)
        for label in (self.title, self.banner, self.advice, self.ratings, self.eeg_title):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.lines.setTextFormat(Qt.TextFormat.RichText)

    def _row(self, *widgets: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        for i, widget in enumerate(widgets):
            row.addWidget(widget, int(i == len(widgets) - 1))
        return row

    def _column(self, *widgets: QWidget) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(8)
        for widget in widgets:
            column.addWidget(widget)
        return column

    def _named(self, name: str, widget: QWidget) -> QWidget:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        title = QLabel(self._wording(f"operator.{name}"))
        title.setObjectName("name")
        column.addWidget(title)
        column.addWidget(widget, 1)
        return box

    def _button(self, name: str) -> QPushButton:
        button = QPushButton(self._wording(f"operator.{name}"))
        button.setObjectName(name)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        actions = {
            "stop": self._session.stop,
            "stop_heat": self._stop_heat,
            "mark": self._mark,
            "pause": self._pause,
        }
        action = actions.get(name, lambda: self._session.send(name))
        button.clicked.connect(lambda: action())
        return button

    def _stop_heat(self) -> None:
        if "stop_heat" in self.view.enabled:
            self._session.stop_heat()

    def _placed(self) -> None:
        if self.view.probe is not None:
            self._session.send("placed", site=self.view.probe.site)

    def _pause(self) -> None:
        self._session.send("resume" if self.view.is_paused else "pause")

    def _mark(self) -> None:
        text = self.note.text().strip()
        if text:
            self._session.send("mark", text=text)
            self.note.clear()

    def _show_buttons(self, found: OperatorView) -> None:
        self.buttons["pause"].setText(
            self._wording("operator.resume" if found.is_paused else "operator.pause")
        )
        for name, button in self.buttons.items():
            wanted = "resume" if name == "pause" and found.is_paused else name
            button.setEnabled(wanted in found.enabled)

    def _show_banner(self, banner: Line | None) -> None:
        self.banner.setText(f"{_sign(banner)}  {banner.text}".strip() if banner else "")
        self.banner.setTextFormat(Qt.TextFormat.PlainText)
        if banner:
            colour = self._theme.tones[banner.tone]
            self.banner.setStyleSheet(f"color: {colour}; font-weight: 600; font-size: 16px;")

    def _show_events(self, lines: list[str]) -> None:
        if [self.events.item(i).text() for i in range(self.events.count())] != lines:
            self.events.clear()
            self.events.addItems(lines)

    def _table(self, lines: tuple[Line, ...]) -> str:
        rows = [
            f"<tr><td style='color:{self._theme.faint}; padding-right:12px'>{_plain(line.name)}</td>"
            f"<td style='color:{self._theme.tones[line.tone]}'>{_sign(line)} {_plain(line.text)}</td></tr>"
            for line in lines
        ]
        return f"<table cellspacing='2'>{''.join(rows)}</table>"

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close the window and print how to open it again: the session does not depend on it."""
        self._timer.stop()
        print(self._wording("operator.closed", uid=self._session.uid), flush=True)
        super().closeEvent(event)


def _sign(line: Line) -> str:
    return {"attention": "▲", "bad": "■"}.get(line.tone, "")


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("   ", " &nbsp; ")


def style_sheet(theme: Theme) -> str:
    """Return Qt's style sheet for windows with many parts."""
    return f"""
    QWidget {{ background: {theme.ground}; color: {theme.ink}; font-family: "DejaVu Sans"; font-size: 14px; }}
    QLabel#title {{ font-size: 19px; font-weight: 600; }}
    QLabel#name {{ color: {theme.faint}; }}
    QListWidget, QLineEdit, QComboBox {{ background: {theme.panel}; border: 1px solid {theme.line};
        border-radius: 6px; padding: 5px; }}
    QPushButton {{ background: {theme.panel}; border: 1px solid {theme.line}; border-radius: 8px;
        padding: 10px 22px; font-size: 15px; }}
    QPushButton:hover {{ border-color: {theme.accent}; }}
    QPushButton:disabled {{ color: {theme.line}; }}
    QPushButton#stop_heat {{ border: 2px solid {theme.stop}; font-weight: 700; font-size: 18px; padding: 10px 40px; }}
    QPushButton#stop {{ background: {theme.stop}; color: {theme.stop_ink}; font-weight: 700; font-size: 18px;
        padding: 12px 24px; border: none; }}
    QPushButton#go {{ border: 2px solid {theme.accent}; font-weight: 600; }}
    """
