"""The page before a session, offscreen."""

import pytest

pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")

from pretended_source import PretendedSource, facts
from PySide6.QtCore import Qt

from neurofb.errors import StreamMissing
from neurofb.screens.setup_page import SetupPage
from neurofb.screens.theme import DARK
from neurofb.views.texts import Wording


@pytest.fixture
def source():
    return PretendedSource()


def opened(qtbot, source, seen):
    page = SetupPage(Wording("en"), DARK, search=lambda: seen, source_for=lambda query: source)
    qtbot.addWidget(page)
    page.show()
    return page


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def checked(qtbot, page, until):
    click(qtbot, page.search_button)
    until(page.tick, lambda: page.streams.count() > 0)
    click(qtbot, page.connect_button)
    until(page.tick, lambda: page.check is not None)


def test_setup_page_from_search_to_proceed(qtbot, source, until):
    page = opened(qtbot, source, [facts()])
    assert not page.connect_button.isEnabled()
    checked(qtbot, page, until)
    assert page.devices.currentData().startswith("muse")
    assert not page.go_button.isEnabled()
    assert "contact has to be good" in page.problems.text() or "no samples" in page.problems.text()
    until(page.tick, page.go_button.isEnabled)
    assert (page.problems.text(), page.advice.text()) == ("", "All electrodes are well.")
    with qtbot.waitSignal(page.done):
        click(qtbot, page.go_button)
    assert page.chosen.query.name == "Muse"
    assert page.chosen.device.name == page.devices.currentData()
    assert source.closed


def test_bad_contact_is_refused_with_advice(qtbot, source, until):
    source.flat = set(source.labels)
    page = opened(qtbot, source, [facts()])
    checked(qtbot, page, until)
    until(page.tick, lambda: "AF7 flat: press the sensor above the left eyebrow" in page.advice.text())
    assert "AF7 is flat" in page.problems.text()
    assert not page.go_button.isEnabled()
    page.proceed()
    assert page.chosen is None


def test_missing_stream_names_program_to_start(qtbot, source, until):
    page = opened(qtbot, source, [])
    click(qtbot, page.search_button)
    until(page.tick, lambda: "neurofb simulate muse-2" in page.status.text())
    page.connect_stream()
    assert page.problems.text() == "no stream is chosen"


def test_unopenable_stream_shows_reason(qtbot, source, until):
    source.error = StreamMissing("the stream 'Muse' is gone")
    page = opened(qtbot, source, [facts()])
    click(qtbot, page.search_button)
    until(page.tick, lambda: page.streams.count() > 0)
    click(qtbot, page.connect_button)
    until(page.tick, lambda: page.problems.text() == "the stream 'Muse' is gone")
    assert page.connect_button.isEnabled()


def test_cancelled_page_chooses_nothing_and_closes_stream(qtbot, source, until):
    page = opened(qtbot, source, [facts()])
    checked(qtbot, page, until)
    click(qtbot, page.cancel_button)
    assert page.chosen is None
    assert source.closed


def test_code_that_is_wrong_is_refused_and_a_name_is_questioned(qtbot, source, until):
    page = opened(qtbot, source, [facts()])
    checked(qtbot, page, until)
    until(page.tick, page.go_button.isEnabled)
    page.code.setText("anna@b.org")
    page.tick()
    assert not page.go_button.isEnabled()
    assert "“anna@b.org” cannot be a code" in page.problems.text()
    page.code.setText("AnnaMueller")
    page.tick()
    assert "“AnnaMueller” may be a name" in page.code_note.text()
    page.code.setText(" P07 ")
    page.tick()
    assert (page.problems.text(), page.code_note.text()) == ("", "")
    click(qtbot, page.go_button)
    assert page.chosen.participant == "P07"
