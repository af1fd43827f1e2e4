"""The participant's window, offscreen: every key and point against a pretended session, and frames that never flash."""

import random

import pytest

pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")

import numpy as np
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QImage, QKeyEvent
from screen_parts import most_changes_per_s
from stand_in import prompt, status

from neurofb import messages
from neurofb.lsl.inlet import LslClock
from neurofb.screens.participant import ParticipantScreen
from neurofb.screens.theme import DARK, LIGHT
from neurofb.views.session_client import FOR_PARTICIPANT, SessionClient
from neurofb.views.snapshot import Snapshot
from neurofb.views.texts import Wording


class FakeSession:
    """A session whose status is set by the test."""

    uid = "u"

    def __init__(self):
        self.now_s, self.changes, self.level, self.sent = 0.0, {}, None, []
        self.missing, self.usable, self.reward = (), 1.0, 0.0
        self.drawn = []

    def snapshot(self):
        row = None
        if self.level is not None:
            row = {"level": self.level, "usable": self.usable, "reward": self.reward, "came_s": self.now_s}
        return Snapshot(self.now_s, status(**self.changes), 0.1, self.missing, row)

    def report_drawn(self, clock_s):
        self.drawn.append(clock_s)

    def send(self, name):
        self.sent.append((name, None))

    def stop(self):
        self.sent.append(("stop", None))

    def stop_heat(self):
        self.sent.append(("stop_heat", None))

    def rate(self, prompt, value):
        self.sent.append((prompt, value))


@pytest.fixture
def fake_session():
    return FakeSession()


@pytest.fixture
def screen(qtbot, fake_session):
    screen = ParticipantScreen(fake_session, Wording("en"), DARK)
    qtbot.addWidget(screen)
    screen.resize(640, 360)
    screen.show()
    return screen


def see(screen, fake_session, seconds=2.0, frame_s=1 / 60, **changes):
    fake_session.changes = changes
    for _ in range(round(seconds / frame_s)):
        fake_session.now_s += frame_s
        screen.tick()


def at(point) -> QPoint:
    return (point if isinstance(point, QPointF) else point.center()).toPoint()


@pytest.mark.parametrize(
    "changes", [{}, {"prompt": prompt()}, {"prompt": prompt("text")}, {"state": "paused"}, {"phase": None}]
)
def test_escape_and_stop_area_always_stop(screen, fake_session, qtbot, changes):
    see(screen, fake_session, **changes)
    target = screen.focusWidget() or screen
    qtbot.keyClick(target, Qt.Key.Key_Escape)
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.stop_area))
    assert fake_session.sent == [("stop", None)] * 2


#: What a session may be doing, and what is asked then.
SCENES = {
    "rest": {},
    "cue": {"step": {"kind": "cue", "level": "warm"}},
    "anticipation": {"step": {"kind": "anticipation"}, "heat": {"state": "armed"}},
    "heat": {"step": {"kind": "heat"}, "heat": {"state": "plateau"}},
    "relief": {"step": {"kind": "relief"}},
    "ramp": {"step": {"kind": "calibration"}, "heat": {"state": "rising", "button": True}},
    "line": {"prompt": prompt()},
    "choice": {"prompt": prompt("probe")},
    "line in heat": {"prompt": prompt(), "heat": {"state": "plateau"}},
    "instruction": {"phase": {"waits": True}},
    "paused": {"state": "paused"},
    "no heat": {"heat": None},
    "no heat, instruction": {"heat": None, "phase": {"waits": True}},
}
ASKS = ("line", "choice", "line in heat")
WAITS = ("instruction", "no heat, instruction")
Key = Qt.Key
#: What each key does: a name sent, or "" for nothing; by scene where it is not the same everywhere.
MEANINGS = {
    Key.Key_Escape: "stop",
    Key.Key_Space: "stop_heat",
    Key.Key_4: "stop_heat",
    Key.Key_Period: "stop_heat",
    Key.Key_3: "button",
    Key.Key_Return: "go on",
    Key.Key_Enter: "go on",
    Key.Key_2: "go on",
    Key.Key_Delete: "decline",
    **dict.fromkeys((Key.Key_1, Key.Key_Left, Key.Key_Right, Key.Key_Up, Key.Key_Down), "move"),
    **dict.fromkeys((Key.Key_PageUp, Key.Key_PageDown), "move"),
    **dict.fromkeys((Key.Key_S, Key.Key_Backspace, Key.Key_B, Key.Key_Tab, Key.Key_5, Key.Key_F4), "nothing"),
}


def sent_by(meaning, scene):
    """Return what a key sends in a scene."""
    has_heat = not scene.startswith("no heat")
    return {
        "stop": ["stop"],
        "stop_heat": ["stop_heat"] if has_heat else [],
        "button": ["button"] if scene == "ramp" else [],
        "go on": ["continue"] if scene in WAITS else [],
        "decline": ["p1"] if scene in ASKS else [],
    }.get(meaning, [])


@pytest.mark.parametrize("scene", SCENES)
def test_each_key_has_its_one_meaning_in_each_scene(screen, fake_session, qtbot, scene):
    """Space was "now it hurts" in calibration and ended the session in trials; Return answered and ended it."""
    for key, meaning in MEANINGS.items():
        changes = dict(SCENES[scene])
        if "prompt" in changes:  # a new question for each key
            changes["prompt"] = {**changes["prompt"], "id": "p1"}
            screen.view.rating.answered.clear()
            see(screen, fake_session, 1.5, 0.1, prompt=None)
        see(screen, fake_session, 1.5, 0.1, **changes)
        before = screen.view.rating.value, screen.view.rating.choice
        fake_session.sent.clear()
        qtbot.keyClick(screen, key)
        assert [name for name, _ in fake_session.sent] == sent_by(meaning, scene), key
        moved = (screen.view.rating.value, screen.view.rating.choice) != before
        assert moved == (meaning == "move" and scene in ASKS), key


@pytest.mark.parametrize("scene", SCENES)
def test_points_do_what_keys_do(screen, fake_session, qtbot, scene):
    see(screen, fake_session, **SCENES[scene])
    middle = ("continue_area", "go on") if scene in WAITS else ("hurts_area", "button")
    for area, meaning in (("stop_area", "stop"), ("stop_heat_area", "stop_heat"), middle):
        fake_session.sent.clear()
        qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(getattr(screen, area)))
        assert [name for name, _ in fake_session.sent] == sent_by(meaning, scene), area


def test_areas_do_not_overlap(screen, fake_session):
    see(screen, fake_session)
    where = screen.question_places
    stops = [screen.stop_area, screen.stop_heat_area]
    assert not any(
        stop.intersects(box) for stop in stops for box in (screen.continue_area, screen.hurts_area)
    )
    assert not stops[0].intersects(stops[1])
    assert not any(
        stop.intersects(box) for stop in stops for box in (where.confirm, where.decline, where.line)
    )


def test_one_return_after_onset_aborts_nothing(screen, fake_session, qtbot):
    see(screen, fake_session, heat={"state": "rising"}, step={"kind": "heat"})
    qtbot.keyClick(screen, Qt.Key.Key_Return)
    assert fake_session.sent == []


def test_held_keys_send_once(screen, fake_session, qtbot):
    see(screen, fake_session, heat={"state": "rising", "button": True}, phase={"waits": True})
    for key in (Qt.Key.Key_Space, Qt.Key.Key_3, Qt.Key.Key_Return):
        for text in (QKeyEvent.Type.KeyPress,) * 3:
            event = QKeyEvent(text, key, Qt.KeyboardModifier.NoModifier, "", True)
            screen.keyPressEvent(event)
    assert fake_session.sent == []


def test_stopped_heat_says_so_and_shows_relief(screen, fake_session, qtbot):
    on = {"step": {"kind": "heat"}, "heat": {"state": "plateau"}}
    see(screen, fake_session, **on)
    assert screen.picture.sign.kind == "heat"
    qtbot.keyClick(screen, Qt.Key.Key_Space)
    see(screen, fake_session, 0.8, **on)
    assert screen.picture.words.headline == "This heat is being stopped."
    see(screen, fake_session, 2.0, **on)
    assert "take your arm away" in screen.picture.words.text
    see(screen, fake_session, 2.0, step={"kind": "heat"}, heat={"state": "baseline"})
    assert (screen.picture.sign.kind, screen.picture.words.headline) == ("relief", "")
    see(screen, fake_session, 2.0, step={"kind": "rest"})
    see(screen, fake_session, 2.0, **on)
    assert screen.picture.sign.kind == "heat"


@pytest.mark.parametrize("language", ["en", "de"])
def test_hints_name_every_key(language):
    wording = Wording(language)
    named = {
        "participant.stop_hint": ["Esc"],
        "participant.stop_heat_hint": ["Space" if language == "en" else "Leertaste", "4"],
        "participant.hurts_hint": ["3"],
        "participant.continue_hint": ["Enter" if language == "en" else "Eingabetaste", "2"],
        "rating.hint_vas": ["←", "→", "1", "2"],
        "rating.hint_probe": ["↑", "↓", "1", "2"],
        "rating.decline": ["Delete" if language == "en" else "Entf"],
        "operator.stop": ["Esc"],
        "operator.stop_heat": ["F4"],
        "operator.placed": ["F2"],
    }
    for key, words in named.items():
        assert all(word in wording(key) for word in words), key


def test_vas_is_answered_by_keys(screen, fake_session, qtbot):
    see(screen, fake_session, prompt=prompt())
    for key in (Qt.Key.Key_Return, Qt.Key.Key_Right, Qt.Key.Key_PageUp, Qt.Key.Key_Left, Qt.Key.Key_Return):
        qtbot.keyClick(screen, key)
    assert fake_session.sent == [("p1", 59.0)]
    qtbot.keyClick(screen, Qt.Key.Key_Return)
    assert len(fake_session.sent) == 1


def test_vas_is_answered_by_mouse(screen, fake_session, qtbot):
    see(screen, fake_session, prompt=prompt())
    line = screen.question_places.line
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.question_places.confirm))
    assert fake_session.sent == []
    start, end = QPointF(line.left(), line.top() + 6), QPointF(line.left() + 0.25 * line.width(), line.top())
    qtbot.mousePress(screen, Qt.MouseButton.LeftButton, pos=at(start))
    qtbot.mouseMove(screen, at(end))
    qtbot.mouseRelease(screen, Qt.MouseButton.LeftButton, pos=at(end))
    if screen.view.rating.value == 0.0:  # moves without a button are what some platforms make of it
        qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(end))
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.question_places.confirm))
    assert fake_session.sent == [("p1", pytest.approx(25.0, abs=0.5))]


def test_vas_is_answered_by_two_buttons(screen, fake_session, qtbot):
    see(screen, fake_session, prompt=prompt())
    for key in (Qt.Key.Key_1, Qt.Key.Key_1, Qt.Key.Key_2):
        qtbot.keyClick(screen, key)
    assert fake_session.sent == [("p1", 4.0)]


def test_probe_is_answered_by_keys_and_mouse(screen, fake_session, qtbot):
    see(screen, fake_session, prompt=prompt("probe"))
    qtbot.keyClick(screen, Qt.Key.Key_Down)
    qtbot.keyClick(screen, Qt.Key.Key_Down)
    qtbot.keyClick(screen, Qt.Key.Key_Return)
    see(screen, fake_session, prompt=prompt("probe", id="p2"))
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.question_places.choices[2]))
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.question_places.confirm))
    assert fake_session.sent == [("p1", "elsewhere"), ("p2", "nowhere")]


def test_text_prompt_is_answered_by_typing(screen, fake_session, qtbot):
    see(screen, fake_session, prompt=prompt("text"))
    edit = screen._edit
    assert not edit.isHidden()
    qtbot.keyClicks(edit, "warm, s then calm")
    qtbot.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert fake_session.sent == [("p1", "warm, s then calm")]
    see(screen, fake_session)
    assert edit.isHidden()


def test_prompt_can_be_declined(screen, fake_session, qtbot):
    see(screen, fake_session, prompt=prompt())
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.question_places.decline))
    see(screen, fake_session, prompt=prompt(id="p2"))
    qtbot.keyClick(screen, Qt.Key.Key_Delete)
    assert fake_session.sent == [("p1", None), ("p2", None)]


def test_waiting_instruction_continues_by_key_and_point(screen, fake_session, qtbot):
    see(screen, fake_session)
    qtbot.keyClick(screen, Qt.Key.Key_Return)
    assert fake_session.sent == []
    see(screen, fake_session, phase={"waits": True})
    qtbot.keyClick(screen, Qt.Key.Key_Return)
    qtbot.mouseClick(screen, Qt.MouseButton.LeftButton, pos=at(screen.continue_area))
    assert fake_session.sent == [("continue", None)] * 2


def test_closed_participant_window_prints_reopen_command(screen, fake_session, capsys):
    see(screen, fake_session)
    assert screen.close()
    assert "the session goes on" in (said := capsys.readouterr().out)
    assert "neurofb screen participant --session u" in said
    assert fake_session.sent == []


def pixels(screen) -> np.ndarray:
    """Return relative luminance, averaged over blocks of 16 × 16 pixels."""
    image = screen.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    width, height = image.width(), image.height()
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(height, image.bytesPerLine() // 4, 4)
    share = raw[:, :width, 2::-1].astype(float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    light = linear @ np.array([0.2126, 0.7152, 0.0722])
    rows, columns = height // 16, width // 16
    return light[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16).mean(axis=(1, 3))


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_frames_do_not_flash_whatever_is_received(qtbot, fake_session, theme):
    """Each 0.1 s another scene, each frame another extreme: in no second more than three changes, at no place."""
    screen = ParticipantScreen(fake_session, Wording("en"), theme)
    qtbot.addWidget(screen)
    screen.resize(480, 272)
    rng = random.Random(4)
    scenes = [
        {},
        {"state": "paused"},
        {"phase": {"text": "another"}},
        {"step": {"kind": "cue", "level": "warm"}},
        {"step": {"kind": "heat"}},
        {"prompt": prompt()},
        {"prompt": prompt("probe", id="p2")},
        {"phase": {"waits": True}},
        {"heat": {"state": "rising"}},
        {"feedback": {"on": False}},
    ]
    times_s, frames = [], []
    for i in range(240):
        fake_session.now_s = i / 30
        if i % 3 == 0:
            fake_session.changes = rng.choice(scenes)
        fake_session.level, fake_session.usable = float(i % 2), float(rng.random() > 0.2)
        fake_session.reward = float(rng.random() > 0.5)
        fake_session.missing = (messages.STATUS,) if rng.random() > 0.95 else ()
        screen.tick()
        times_s.append(fake_session.now_s)
        frames.append(pixels(screen))
    light = np.array(frames)
    assert light.std(axis=0).max() > 0.005, "nothing was drawn at all"
    assert most_changes_per_s(times_s, light.mean(axis=(1, 2)).tolist()) == 0
    moving = np.argwhere(np.ptp(light, axis=0) >= 0.1)
    worst = max(
        (most_changes_per_s(times_s, light[:, row, column].tolist()) for row, column in moving), default=0
    )
    assert worst <= 3


def test_three_appearances_are_drawn_differently(screen, fake_session):
    fake_session.level = 0.5
    pictures = []
    for usable, missing in ((1.0, ()), (0.0, ()), (1.0, (messages.STATUS,))):
        fake_session.usable, fake_session.missing = usable, missing
        see(screen, fake_session, 5.0)
        pictures.append(pixels(screen))
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert np.abs(pictures[one] - pictures[other]).max() > 0.01


def test_reopened_screen_catches_up_after_kill(qtbot, session, until):
    def opened():
        client = SessionClient(session.uid, "participant", LslClock(), FOR_PARTICIPANT)
        screen = ParticipantScreen(client, Wording("en"), DARK)
        qtbot.addWidget(screen)
        return client, screen

    asked = prompt(id="p9")
    first, screen = opened()
    until(lambda: (session.status(), first.step(), screen.tick()), lambda: screen.picture.note == "")
    first.close()
    second, screen = opened()
    until(
        lambda: (session.status(prompt=asked), session.listen(), second.step(), screen.tick()),
        lambda: screen.picture.asks and second.has_listeners(),
    )
    screen.view.rating.point(0.3)
    qtbot.keyClick(screen, Qt.Key.Key_Return)
    until(lambda: (second.step(), session.listen()), lambda: bool(session.heard))
    assert session.heard[0] == messages.Command(
        "rating", {"prompt": "p9", "value": 30.0}, "participant", session.uid
    )
    second.close()


def test_screen_waits_for_lost_session(qtbot, session, until):
    client = SessionClient(session.uid, "participant", LslClock(), FOR_PARTICIPANT)
    screen = ParticipantScreen(client, Wording("en"), DARK)
    qtbot.addWidget(screen)
    until(
        lambda: (session.status(), client.step(), screen.tick()),
        lambda: screen.picture.appearance == "feedback",
    )
    session.lose()
    until(lambda: (client.step(), screen.tick()), lambda: "waiting for the session" in screen.picture.note)
    session.open()
    until(
        lambda: (session.status(), client.step(), screen.tick()),
        lambda: screen.picture.appearance == "feedback",
    )
    client.close()


def test_window_reports_the_status_that_it_has_painted(qtbot):
    session = FakeSession()
    screen = ParticipantScreen(session, Wording("en"), DARK)
    qtbot.addWidget(screen)
    session.changes = {"clock_s": 8123.4}
    screen.tick()
    assert session.drawn == []
    with qtbot.waitExposed(screen):
        screen.show()
    screen.tick()
    qtbot.waitUntil(lambda: 8123.4 in session.drawn)
