"""Opening a screen, and every reason why it cannot be opened."""

import ctypes
import os
import subprocess
import sys

import pytest

from neurofb.errors import StreamMissing, WrongInput
from neurofb.screens import __main__ as entry
from neurofb.screens import start
from neurofb.screens.start import NoScreen, check_display, find_session

OFFSCREEN = {"QT_QPA_PLATFORM": "offscreen"}
on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="displays are another thing elsewhere"
)


def test_missing_qt_names_package_to_install(monkeypatch):
    monkeypatch.setattr(start.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NoScreen, match=r"need Qt, which is not installed: pip install 'neurofb\[screens\]'"):
        check_display(OFFSCREEN)


def needs_qt():
    pytest.importorskip("PySide6", reason="the screens need Qt: pip install 'neurofb[screens]'")
    pytest.importorskip(
        "pyqtgraph", reason="the operator's screen needs pyqtgraph: pip install 'neurofb[screens]'"
    )


@on_linux
def test_missing_display_names_remedy():
    needs_qt()
    with pytest.raises(NoScreen, match=r"neither DISPLAY nor WAYLAND_DISPLAY is set.*ssh -X.*xvfb-run"):
        check_display({})


@on_linux
def test_absent_display_is_reported(monkeypatch):
    needs_qt()
    monkeypatch.setattr(start, "_check_libraries", lambda wanted: None)
    if not start._is_there("libxcb.so.1"):
        pytest.skip("no libxcb on this computer")
    with pytest.raises(NoScreen, match=r"the display ':987' cannot be reached"):
        check_display({"DISPLAY": ":987"})


@on_linux
def test_missing_libraries_are_named_with_their_packages(monkeypatch):
    needs_qt()
    real = ctypes.CDLL

    def load(name, *more):
        if name in ("libEGL.so.1", "libxcb-cursor.so.0"):
            raise OSError(name)
        return real(name, *more)

    monkeypatch.setattr(start.ctypes, "CDLL", load)
    with pytest.raises(NoScreen, match=r"libEGL\.so\.1.*sudo apt-get install libegl1$"):
        check_display(OFFSCREEN)
    monkeypatch.setattr(start, "_is_there", lambda name: name not in ("libEGL.so.1", "libxcb-cursor.so.0"))
    with pytest.raises(NoScreen, match=r"sudo apt-get install libegl1 libxcb-cursor0"):
        check_display({"DISPLAY": ":0"})


def test_crashing_qt_binding_is_refused(monkeypatch):
    needs_qt()
    counts = iter([10_000, 9_900])
    monkeypatch.setattr(start.sys, "getrefcount", lambda thing: next(counts))
    with pytest.raises(NoScreen, match=r"would crash on Python .* pip install 'PySide6-Essentials<6\.12'"):
        start._check_references()


def test_unknown_session_lists_available_ones(session):
    with pytest.raises(StreamMissing, match=f"no session 'nobody'; there are: .*{session.uid}"):
        find_session("nobody", 1.0)


def test_session_is_found_by_its_uid(session):
    assert find_session(session.uid, 20.0) == session.uid


def test_several_sessions_require_a_uid(session):
    from stand_in import StandIn

    other = StandIn()
    with pytest.raises(StreamMissing, match=r"which session\? say --session UID; there are: .*, "):
        find_session(None, 1.5)
    other.close()


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"kind": "audience"}, "no screen 'audience'; there are: "),
    ],
)
def test_unknown_screen_options_are_refused(arguments, error):
    with pytest.raises(WrongInput, match=error):
        start.run(**arguments)


def test_screen_command_has_messages_and_exit_codes(monkeypatch, capsys):
    needs_qt()
    monkeypatch.setattr(start, "SEARCH_S", 0.3)
    monkeypatch.setattr(start, "find_session", lambda uid: find_session(uid, 0.3))
    assert entry.main(["operator", "--session", "nobody"]) == 3
    assert "no session 'nobody'" in capsys.readouterr().err
    assert entry.main(["participant", "--language", "fr"]) == 2
    assert "do not speak 'fr'" in capsys.readouterr().err


@on_linux
def test_missing_display_prints_no_traceback():
    needs_qt()
    environment = {
        k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    }
    shown = subprocess.run(
        [sys.executable, "-m", "neurofb.screens", "participant"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    assert shown.stderr.startswith("neurofb: ")


@pytest.mark.parametrize("kind", ["participant", "operator"])
def test_screen_opens_and_closes(request, monkeypatch, session, capsys, kind):
    """The whole way of ``run``, until the window is closed."""
    needs_qt()
    request.getfixturevalue("qtbot")
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    stepped = []
    monkeypatch.setattr(start.os, "nice", stepped.append)
    QTimer.singleShot(300, QApplication.closeAllWindows)
    QTimer.singleShot(1500, QApplication.quit)
    assert start.run(kind, session.uid) == 0
    assert stepped == [5]  # the session goes first
    assert f"neurofb screen {kind} --session {session.uid}" in capsys.readouterr().out


def test_views_load_no_qt():
    code = (
        "import sys, pkgutil, importlib, neurofb.views.session_client, neurofb.screens.start, neurofb.views as m\n"
        "for each in pkgutil.iter_modules(m.__path__): importlib.import_module(f'neurofb.views.{each.name}')\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('PySide6', 'pyqtgraph')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("monitor", [(0, 0, 1920, 1080), (100, 30, 2560, 1400)])
def test_windows_share_the_only_monitor_without_overlap(monitor):
    left, top, width, height = monitor
    seen = {kind: start.share_of_monitor(kind, monitor) for kind in ("participant", "operator")}
    assert seen["participant"][0] == left
    assert seen["participant"][0] + seen["participant"][2] == seen["operator"][0]
    assert seen["operator"][0] + seen["operator"][2] == left + width
    assert {(each[1], each[3]) for each in seen.values()} == {(top, height)}


def test_narrow_monitor_keeps_all_of_the_operators_window():
    seen = {kind: start.share_of_monitor(kind, (0, 0, 1366, 768)) for kind in ("participant", "operator")}
    assert seen["operator"] == (1366 - start.OPERATORS_LEAST_PX, 0, start.OPERATORS_LEAST_PX, 768)
    assert seen["participant"][2] >= 400


def test_window_by_itself_covers_the_screen_and_beside_the_other_it_does_not(monkeypatch):
    needs_qt()
    from PySide6.QtWidgets import QApplication, QWidget

    QApplication.instance() or QApplication([])
    alone, beside = QWidget(), QWidget()
    start._show(alone, "participant", full_screen=True, beside=False)
    start._show(beside, "participant", full_screen=True, beside=True)
    assert alone.isFullScreen()
    assert not beside.isFullScreen()
    assert beside.width() < alone.width()
