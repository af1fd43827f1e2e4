"""The operator's window, offscreen: every button is a command, and what is drawn is what came."""

import pytest

pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")
pytest.importorskip(
    "pyqtgraph", reason="the operator's screen needs pyqtgraph: pip install 'neurofb[screens]'"
)

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel
from stand_in import LABELS, status

from neurofb import messages
from neurofb.lsl.inlet import LslClock
from neurofb.screens.operator import OperatorScreen
from neurofb.screens.theme import DARK, LIGHT
from neurofb.screens.widgets.eeg_sweep import EegSweep
from neurofb.views.operator import Line
from neurofb.views.session_client import FOR_OPERATOR, SessionClient
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording


class FakeSession:
    """A session whose status is set by the test."""

    uid = "u"

    def __init__(self):
        self.changes, self.sent, self.eeg, self.dropped = {}, [], np.empty((0, 4)), 0
        self.rows = ((), np.empty(0), np.empty((0, 0)))
        self.drawn = []

    def snapshot(self):
        return Snapshot(10.0, status(**self.changes), 0.1)

    def pop_eeg(self):
        samples, self.eeg = self.eeg, np.empty((0, 4))
        dropped, self.dropped = self.dropped, 0
        return samples, dropped, LABELS, 256.0

    def history(self, name):
        return self.rows

    def events(self):
        return [{"kind": "trial", "message": "trial 1", "time_s": 8000.0}]

    def send(self, name, **content):
        self.sent.append((name, content))

    def stop(self):
        self.sent.append(("stop", {}))

    def report_drawn(self, clock_s):
        self.drawn.append(clock_s)

    def stop_heat(self):
        self.sent.append(("stop_heat", {}))

    def has_listeners(self):
        return True


@pytest.fixture
def fake_session():
    return FakeSession()


@pytest.fixture
def screen(qtbot, fake_session):
    screen = OperatorScreen(fake_session, Wording("en"), DARK)
    qtbot.addWidget(screen)
    screen.show()
    return screen


def see(screen, fake_session, **changes):
    fake_session.changes = changes
    for _ in range(8):
        screen.tick()


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_each_button_sends_its_command(screen, fake_session, qtbot):
    see(screen, fake_session, phase={"waits": True})
    names = ["continue", "pause", "end", "stop_heat", "stop"]
    for name in names:
        click(qtbot, screen.buttons[name])
    assert [name for name, _ in fake_session.sent] == names
    see(screen, fake_session, state="paused", paused_by=["participant"])
    click(qtbot, screen.buttons["pause"])
    assert fake_session.sent[-1] == ("pause", {})  # the participant's end of the pause is not the operator's
    see(screen, fake_session, state="paused", paused_by=["operator"])
    assert screen.buttons["pause"].text() == "Resume"
    click(qtbot, screen.buttons["pause"])
    assert fake_session.sent[-1] == ("resume", {})


def test_mark_sends_the_note(screen, fake_session, qtbot):
    see(screen, fake_session)
    click(qtbot, screen.buttons["mark"])
    assert fake_session.sent == []
    qtbot.keyClicks(screen.note, " cough ")
    qtbot.keyClick(screen.note, Qt.Key.Key_Return)
    qtbot.keyClicks(screen.note, "sneeze")
    click(qtbot, screen.buttons["mark"])
    assert fake_session.sent == [("mark", {"text": "cough"}), ("mark", {"text": "sneeze"})]
    assert screen.note.text() == ""


def test_escape_stops_while_note_has_focus(screen, fake_session, qtbot):
    screen.activateWindow()
    screen.note.setFocus()
    qtbot.waitUntil(screen.isActiveWindow)
    qtbot.keyClick(screen.note, Qt.Key.Key_Escape)
    assert fake_session.sent == [("stop", {})]


def test_buttons_are_disabled_by_state_except_stop(screen, fake_session, qtbot):
    see(screen, fake_session, state="finished")
    assert [name for name, button in screen.buttons.items() if button.isEnabled()] == ["mark", "stop"]
    see(screen, fake_session)
    assert [name for name, button in screen.buttons.items() if button.isEnabled()] == [
        "pause",
        "mark",
        "end",
        "stop_heat",
        "stop",
    ]


def test_window_shows_the_texts_of_the_operator_view(screen, fake_session):
    see(
        screen,
        fake_session,
        channels={"AF7": {"state": "flat", "why": "", "out": False}},
        message="a message <b>",
    )
    assert screen.title.text() == "Mindfulness and heat · p01"
    assert screen.banner.text() == "a message <b>"
    assert screen.advice.text() == "AF7 flat: press the sensor above the left eyebrow"
    assert screen.ratings.text() == "intensity, trial 1 (warm): 21"
    assert screen.events.item(0).text().endswith("trial 1")
    assert "frontal midline theta: 3.20" in screen.lines.text()


def test_window_never_shows_the_arm(screen, fake_session):
    see(screen, fake_session, arm="sham-xyz")
    from PySide6.QtWidgets import QLabel

    assert not any("sham-xyz" in label.text() for label in screen.findChildren(QLabel))


def coloured(widget, colour):
    image = widget.grab().toImage()
    wanted = QColor(colour)
    return {
        (x, y)
        for x in range(80, image.width())
        for y in range(image.height())
        if QColor(image.pixel(x, y)) == wanted
    }


def test_eeg_is_drawn_at_its_line_and_bad_channels_in_their_tone(qtbot):
    eeg = EegSweep(DARK)
    qtbot.addWidget(eeg)
    eeg.resize(400, 200)
    eeg.show()
    bad = {"AF7": ("flat", "bad")}
    eeg.show_states(bad)
    x = np.zeros((512, 4))
    x[:, 0] = 20 * np.sin(np.arange(512))
    eeg.add(x, 0, LABELS, 256.0)
    plain, flat = coloured(eeg, DARK.tones["plain"]), coloured(eeg, DARK.tones["bad"])
    assert {y // 50 for _, y in plain} == {0, 2, 3}
    assert {y // 50 for _, y in flat} == {1}
    heights = {lane: len({y for _, y in plain if y // 50 == lane}) for lane in (0, 2)}
    assert heights[0] > 10
    assert heights[2] <= 2
    assert max(x for x, _ in plain) < 80 + (400 - 74) // 4 + 2  # two of eight seconds


def test_gap_is_not_drawn_and_dropped_samples_are_counted(qtbot):
    eeg = EegSweep(LIGHT)
    qtbot.addWidget(eeg)
    eeg.resize(400, 200)
    eeg.show()
    eeg.add(np.full((512, 4), np.nan), 0, LABELS, 256.0)
    assert coloured(eeg, LIGHT.tones["plain"]) == set()
    eeg.add(np.zeros((64, 4)), 100, LABELS, 256.0)
    assert eeg.n_dropped == 100


def test_sweep_is_redrawn_after_change_of_scale_or_size(screen, fake_session, qtbot):
    fake_session.eeg = np.random.default_rng(0).normal(0, 20, (512, 4))
    see(screen, fake_session)
    before = len(coloured(screen.eeg, DARK.tones["plain"]))
    screen.eeg.rescale(-1)
    assert screen.eeg.scale_uv == 25.0
    assert len(coloured(screen.eeg, DARK.tones["plain"])) > before > 0
    screen.eeg.rescale(-10)
    screen.eeg.rescale(99)
    assert screen.eeg.scale_uv == 1000.0
    screen.resize(1300, 800)
    see(screen, fake_session)


def test_last_minute_is_drawn(screen, fake_session):
    times_s = np.arange(0.0, 100.0, 0.2)
    rows = np.column_stack([np.sin(times_s), np.full(len(times_s), 0.1), np.full(len(times_s), np.nan)])
    fake_session.rows = (("z", "threshold", "level"), times_s, rows)
    see(screen, fake_session)
    x, y = screen.history._curves[0].getData()
    assert x[0] == pytest.approx(-60.0, abs=0.2)
    assert y[-1] == pytest.approx(np.sin(99.8))


def test_closed_operator_window_prints_reopen_command(screen, fake_session, capsys):
    assert screen.close()
    assert "neurofb screen operator --session u" in capsys.readouterr().out
    assert fake_session.sent == []


def test_operator_window_shows_session_lost_and_found(qtbot, session, until):
    client = SessionClient(session.uid, "operator", LslClock(), FOR_OPERATOR)
    screen = OperatorScreen(client, Wording("en"), DARK)
    qtbot.addWidget(screen)
    screen.show()
    screen.tick()
    assert "nothing has come" in screen.banner.text()

    def step():
        session.status()
        session.listen()
        session.eeg(np.random.default_rng(0).normal(0, 10, (16, 4)))
        session.stimulus(32.0, 32.0)
        client.step()
        screen.tick()

    until(step, lambda: screen.banner.text() == "" and screen.view.title.startswith("Mindfulness"))
    until(step, lambda: len(coloured(screen.eeg, DARK.tones["plain"])) > 20)
    session.lose(messages.EEG)
    until(
        lambda: (session.status(), client.step(), screen.tick()),
        lambda: "waiting for neurofb-eeg" in screen.banner.text(),
    )
    session.open(messages.EEG)
    until(step, lambda: screen.banner.text() == "")
    click(qtbot, screen.buttons["stop"])
    until(session.listen, lambda: any(each.name == "stop" for each in session.heard))
    assert session.heard[0].by == "operator"
    client.close()


def test_window_reports_the_status_that_it_has_painted(qtbot):
    """A window that is not shown paints nothing, and so reports nothing, however often it is told to draw."""
    session = FakeSession()
    screen = OperatorScreen(session, Wording("en"), DARK)
    qtbot.addWidget(screen)
    session.changes = {"clock_s": 8123.4}
    screen._refresh()
    assert session.drawn == []
    with qtbot.waitExposed(screen):
        screen.show()
    qtbot.waitUntil(lambda: bool(session.drawn))
    session.changes = {"clock_s": 8123.6}
    screen._refresh()
    qtbot.waitUntil(lambda: session.drawn[-1] == 8123.6)


def test_markup_in_names_is_shown_as_it_is(qtbot):
    screen = OperatorScreen(FakeSession(), Wording("en"), DARK)
    qtbot.addWidget(screen)
    labels = [each for each in screen.findChildren(QLabel) if each.objectName() != "name"]
    assert [each for each in labels if each.textFormat() != Qt.TextFormat.PlainText] == [screen.lines]
    assert "<img" not in screen._table((Line("<img src='a'>", "<img src='file:///b'>"),))


PROBE = {"site": "left forearm, middle", "before": None, "waits": True}


@pytest.mark.parametrize("by_key", [True, False])
def test_place_of_probe_is_shown_big_and_confirmed_by_key_or_click(qtbot, screen, fake_session, by_key):
    see(screen, fake_session)
    assert not screen.probe.isVisible()
    see(screen, fake_session, probe=PROBE)
    assert screen.probe.isVisible()
    assert screen.probe.site.text() == "left forearm, middle"
    assert screen.probe.outline.place.part == "forearm"
    assert "waits for your confirmation" in screen.probe.more.text()
    if by_key:
        screen.note.setFocus()
        qtbot.keyClick(screen.note, Qt.Key.Key_F2)
    else:
        click(qtbot, screen.probe.button)
    assert fake_session.sent == [("placed", {"site": "left forearm, middle"})]
    see(screen, fake_session)
    assert not screen.probe.isVisible()
    qtbot.keyClick(screen, Qt.Key.Key_F2)
    assert len(fake_session.sent) == 1


def test_unknown_place_of_probe_is_named_and_not_drawn(screen, fake_session):
    see(screen, fake_session, probe={**PROBE, "site": "P-spot 3", "before": "left forearm"})
    assert screen.probe.site.text() == "P-spot 3"
    assert not screen.probe.outline.isVisible()
    assert "It was at: left forearm" in screen.probe.more.text()


@pytest.mark.parametrize("changes", [{}, {"state": "paused"}, {"heat": {"state": "plateau"}}, {"heat": None}])
@pytest.mark.parametrize("in_note", [True, False])
def test_keys_of_the_operator_mean_the_same_everywhere(qtbot, screen, fake_session, changes, in_note):
    see(screen, fake_session, **changes)
    target = screen.note if in_note else screen
    for key in (Qt.Key.Key_F4, Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Escape):
        qtbot.keyClick(target, key)
    has_heat = changes.get("heat", {}) is not None
    assert fake_session.sent == [("stop_heat", {})] * has_heat + [("stop", {})]
