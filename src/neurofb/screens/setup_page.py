"""The page before a session: draws ``views.setup`` and returns the stream and device that were chosen."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from neurofb.acquisition.source import Source
from neurofb.devices import load_profile, profile_names
from neurofb.errors import NeurofbError
from neurofb.format import clean
from neurofb.lsl.matching import StreamInfo, StreamQuery
from neurofb.screens.operator import style_sheet
from neurofb.screens.theme import Theme
from neurofb.screens.widgets.head_map import HeadMap
from neurofb.views.setup import (
    Chosen,
    ContactCheck,
    code_problem,
    code_question,
    eeg_streams,
    fitting_device,
    query_of,
)
from neurofb.views.texts import Wording

STEP_MS = 50
SEARCH_S = 2.0


def search_streams() -> list[StreamInfo]:
    """Return the streams on the network; takes some seconds."""
    from neurofb.lsl.inlet import find_streams

    return [facts for facts, _ in find_streams(wait_s=SEARCH_S)]


def open_stream(query: StreamQuery) -> Source:
    """Return the source of a stream, not started yet."""
    from neurofb.acquisition.live import LslSource

    return LslSource(query)


class SetupPage(QWidget):
    """Qt view of the ``ContactCheck`` model.

    ``search`` returns the streams and runs in a thread; ``source_for`` returns the source of a query.
    """

    done = Signal()

    def __init__(
        self,
        wording: Wording,
        theme: Theme,
        protocol: str | None = None,
        *,
        search: Callable[[], list[StreamInfo]] = search_streams,
        source_for: Callable[[StreamQuery], Source] = open_stream,
    ) -> None:
        super().__init__()
        self._wording, self._theme, self._protocol = wording, theme, protocol
        self._search, self._source_for = search, source_for
        self._results: SimpleQueue[tuple[Callable[[Any], None], Any]] = SimpleQueue()
        self._busy = False
        self._streams: list[StreamInfo] = []
        self.check: ContactCheck | None = None
        #: Stream and device; None until "go on", and if the page is closed without it.
        self.chosen: Chosen | None = None
        self._candidate: Chosen | None = None
        self.setWindowTitle(wording("setup.title"))
        self.setStyleSheet(style_sheet(theme))
        self.resize(1000, 640)
        self.streams, self.devices = QComboBox(), QComboBox()
        self.devices.addItem(wording("setup.device_unknown"), None)
        for name in profile_names():
            self.devices.addItem(load_profile(name).title, name)
        self.streams.currentIndexChanged.connect(self._stream_chosen)
        self.code, self.code_note = QLineEdit(), QLabel()
        self.code.setPlaceholderText(wording("setup.code_usual"))
        self._wrong_code = False
        self.head = HeadMap(theme)
        self.status, self.advice, self.problems = QLabel(), QLabel(), QLabel()
        for label in (self.status, self.advice, self.problems):
            label.setTextFormat(Qt.TextFormat.PlainText)  # names of streams are anybody's
        self.search_button = self._button("look", self.search)
        self.connect_button = self._button("connect", self.connect_stream)
        self.go_button = self._button("proceed", self.proceed)
        self.go_button.setObjectName("go")
        self.cancel_button = self._button("cancel", self.close)
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._refresh()

    def start(self) -> None:
        """Search streams, and draw from now on."""
        self._timer.start(STEP_MS)
        self.search()

    # -- what its buttons do -----------------------------------------------------------------------------------

    def search(self) -> None:
        """Search streams in a thread."""
        self.status.setText(self._wording("setup.looking"))
        self._aside(self._search, self._found)

    def connect_stream(self) -> None:
        """Open the chosen stream in a thread, and check its contact from then on."""
        index = self.streams.currentIndex()
        if not 0 <= index < len(self._streams):
            self.problems.setText(self._wording("setup.problem_no_stream"))
            return
        self._close_check()
        name = self.devices.currentData()
        device = load_profile(name) if name else None
        self._candidate = Chosen(query_of(self._streams[index], device), device)
        check = ContactCheck(self._source_for(self._candidate.query), device, self._wording, self._protocol)
        self.status.setText(self._wording("setup.connecting"))

        def opened() -> ContactCheck:
            check.start()
            return check

        self._aside(opened, self._opened)

    def proceed(self) -> None:
        """Keep the choice and close the page, if the protocol can use the stream."""
        if self.check is not None and self._candidate is not None and not self._problems():
            self.chosen = replace(self._candidate, participant=self.code.text().strip())
            self._close_check()
            self.done.emit()
            self.close()

    def tick(self) -> None:
        """Read results of threads and samples of the stream, and draw them."""
        while not self._results.empty():
            show, result = self._results.get()
            self._busy = False
            if isinstance(result, NeurofbError):
                self.status.setText("")
                self.problems.setText(str(result))
            else:
                show(result)
        if self.check is not None:
            self.check.step()
        self._refresh()

    # -- parts -------------------------------------------------------------------------------------------------

    def _aside(self, task: Callable[[], Any], show: Callable[[Any], None]) -> None:
        def run() -> None:
            try:
                self._results.put((show, task()))
            except NeurofbError as error:
                self._results.put((show, error))

        self._busy = True
        threading.Thread(target=run, name="neurofb-setup", daemon=True).start()

    def _found(self, seen: list[StreamInfo]) -> None:
        self._streams = eeg_streams(seen)
        self.streams.clear()
        for facts in self._streams:
            self.streams.addItem(
                clean(f"{facts.name}  ·  {facts.n_channels} ch, {facts.rate_hz:g} Hz  ·  {facts.hostname}")
            )
        self.status.setText("" if self._streams else self._wording("setup.none"))

    def _stream_chosen(self, index: int) -> None:
        if 0 <= index < len(self._streams):
            found = self.devices.findData(fitting_device(self._streams[index]))
            self.devices.setCurrentIndex(max(0, found))

    def _opened(self, check: ContactCheck) -> None:
        self.check = check

    def _refresh(self) -> None:
        check = self.check
        self.search_button.setEnabled(not self._busy)
        self.connect_button.setEnabled(not self._busy and bool(self._streams))
        problems = self._problems()
        self.code_note.setText(code_question(self.code.text().strip(), self._wording))
        self.go_button.setEnabled(check is not None and not problems)
        told = "\n".join([self._wording("setup.refused"), *(f"■ {each}" for each in problems)])
        if check is None:
            if not self._busy and (problems or self._wrong_code):
                self.problems.setText(told if problems else "")
            self._wrong_code = bool(problems)
            return
        self.status.setText(check.status())
        self.head.show_states(check.contacts(), check.positions)
        lines = check.advice()
        good = check.n_quarters >= 4 and not lines
        self.advice.setText(self._wording("setup.good") if good else "\n".join(f"• {line}" for line in lines))
        self.problems.setText(told if problems else "")

    def _problems(self) -> list[str]:
        """Return why the session cannot begin: the participant's code, then the contact."""
        wrong = code_problem(self.code.text().strip(), self._wording)
        return [*([wrong] if wrong else []), *(self.check.problems() if self.check is not None else [])]

    def _button(self, name: str, action: Callable[[], object]) -> QPushButton:
        button = QPushButton(self._wording(f"setup.{name}"))
        button.clicked.connect(lambda: action())
        return button

    def _lay_out(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(22, 18, 22, 18)
        grid.setSpacing(12)
        for row, (name, widget, button) in enumerate(
            (("stream", self.streams, self.search_button), ("device", self.devices, self.connect_button))
        ):
            label = QLabel(self._wording(f"setup.{name}"))
            label.setObjectName("name")
            grid.addWidget(label, row, 0)
            grid.addWidget(widget, row, 1, 1, 2)
            grid.addWidget(button, row, 3)
        code_name = QLabel(self._wording("setup.code"))
        code_name.setObjectName("name")
        grid.addWidget(code_name, 2, 0)
        grid.addWidget(self.code, 2, 1)
        grid.addWidget(self.code_note, 2, 2, 1, 2)
        self.code_note.setWordWrap(True)
        self.code_note.setStyleSheet(f"color: {self._theme.tones['attention']};")
        grid.addWidget(self.head, 3, 0, 3, 2)
        for row, text in enumerate((self.status, self.advice, self.problems), start=3):
            text.setWordWrap(True)
            text.setAlignment(Qt.AlignmentFlag.AlignTop)
            grid.addWidget(text, row, 2, 1, 2)
        self.status.setObjectName("name")
        self.advice.setStyleSheet("font-size: 17px;")
        self.problems.setStyleSheet(f"color: {self._theme.tones['attention']}; font-size: 15px;")
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.go_button)
        grid.addLayout(buttons, 6, 0, 1, 4)
        for column, stretch in ((1, 1), (2, 1)):
            grid.setColumnStretch(column, stretch)
        grid.setRowStretch(4, 1)
        grid.setRowStretch(5, 1)

    def _close_check(self) -> None:
        if self.check is not None:
            self.check.close()
            self.check = None

    def closeEvent(self, event: QCloseEvent) -> None:
        """Close the stream with the window."""
        self._timer.stop()
        self._close_check()
        super().closeEvent(event)
