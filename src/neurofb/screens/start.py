"""Opens a screen, or raises an error that names the reason: no Qt, no display, no session.

Nothing of Qt is imported before it is known to be there.

run("participant", uid="…")      also: python -m neurofb.screens participant --session UID
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from neurofb import messages
from neurofb.errors import NeurofbError, StreamMissing, WrongInput, nearest

if TYPE_CHECKING:
    from neurofb.signing import WindowKey
    from neurofb.views.session_client import SessionClient
    from neurofb.views.setup import Chosen
    from neurofb.views.texts import Wording

KINDS = ("participant", "operator", "setup")
SEARCH_S = 3.0
#: Of the only monitor; the operator's window has more in it, and needs so many pixels for all of it.
PARTICIPANTS_SHARE, PARTICIPANTS_LEAST_SHARE = 0.4, 0.3
OPERATORS_LEAST_PX = 1120
#: Libraries that Qt loads and that a bare Linux lacks, and the packages of Debian and Ubuntu that have them.
ALWAYS: Mapping[str, str] = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
}
FOR_X: Mapping[str, str] = {
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xinerama.so.0": "libxcb-xinerama0",
}


class NoScreen(NeurofbError, RuntimeError):
    """A screen cannot be shown here; the message says what is missing and how it comes."""

    exit_code = 2


def run(
    kind: str,
    uid: str | None = None,
    *,
    language: str = "en",
    dark: bool = True,
    full_screen: bool = True,
    beside: bool = False,
    key: WindowKey | None = None,
) -> int:
    """Show the participant's or the operator's screen until its window is closed; return the exit code.

    Parameters
    ----------
    kind : {"participant", "operator"}
    uid : str, optional
        The session; left out: the only one there is.
    language : str
        ``en`` or ``de``.
    dark : bool
        Dark or light.
    full_screen : bool
        Whether the participant's window covers the screen; F11 changes it.
    beside : bool
        Whether the other window is opened on this computer, too: the participant's covers a second monitor, and where
        there is one alone both share it.
    key : WindowKey, optional
        To check what is shown and to sign commands; left out: nothing is checked, and only a stop is obeyed.

    Raises
    ------
    NoScreen
        If Qt, its libraries or a display are missing.
    StreamMissing
        If there is no such session; the message lists those that are seen.
    """
    if kind not in ("participant", "operator"):
        raise WrongInput(f"no screen {kind!r}; {nearest(kind, KINDS)}")
    check_display()
    from neurofb.views.texts import Wording

    wording = Wording(language)
    session = find_session(uid)
    app = _application()
    client = _client(session, kind, key)
    if kind == "participant":
        screen = _participant_screen(client, wording, dark=dark)
    else:
        screen = _operator_screen(client, wording, dark=dark)
    _step_back()
    client.start()
    screen.start()
    _show(screen, kind, full_screen=full_screen, beside=beside)
    try:
        return _executed(app)
    finally:
        client.close()


def _show(screen: Any, kind: str, *, full_screen: bool, beside: bool) -> None:
    """Show a window where it belongs: no window may lie over the other."""
    from PySide6.QtGui import QGuiApplication

    monitors = QGuiApplication.screens() if beside else []
    if len(monitors) > 1 and kind == "participant":
        other = next(each for each in monitors if each != QGuiApplication.primaryScreen())
        screen.setGeometry(other.geometry())
    elif len(monitors) == 1:
        free = monitors[0].availableGeometry()
        box = (free.left(), free.top(), free.width(), free.height())
        screen.setGeometry(*share_of_monitor(kind, box))
        full_screen = False
    if kind == "participant" and full_screen:
        screen.showFullScreen()
    else:
        screen.show()


def share_of_monitor(kind: str, monitor: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of a window where both share one monitor: the participant's at the left.

    On a narrow one the operator's, whose stops must be in sight, covers some of the participant's.
    """
    left, top, width, height = monitor
    for_operator = min(width, max(OPERATORS_LEAST_PX, round(width * (1 - PARTICIPANTS_SHARE))))
    if kind == "operator":
        return left + width - for_operator, top, for_operator, height
    return left, top, max(width - for_operator, round(width * PARTICIPANTS_LEAST_SHARE)), height


def _client(session: str, kind: str, key: WindowKey | None) -> SessionClient:
    from neurofb.lsl.inlet import LslClock
    from neurofb.views.session_client import FOR_OPERATOR, FOR_PARTICIPANT, SessionClient

    return SessionClient(
        session, kind, LslClock(), FOR_PARTICIPANT if kind == "participant" else FOR_OPERATOR, key
    )


def _participant_screen(client: SessionClient, wording: Wording, *, dark: bool) -> Any:
    from neurofb.screens.participant import ParticipantScreen
    from neurofb.screens.theme import theme

    screen = ParticipantScreen(client, wording, theme(dark))
    screen.resize(1280, 720)
    return screen


def _operator_screen(client: SessionClient, wording: Wording, *, dark: bool) -> Any:
    from neurofb.screens.operator import OperatorScreen
    from neurofb.screens.theme import theme

    return OperatorScreen(client, wording, theme(dark))


def run_setup(protocol: str | None = None, *, language: str = "en", dark: bool = True) -> Chosen | None:
    """Show the page before a session; return the stream and device that were chosen, None if none was.

    Raises
    ------
    NoScreen
        If Qt, its libraries or a display are missing.
    """
    check_display()
    from neurofb.views.texts import Wording

    wording = Wording(language)
    from neurofb.screens.setup_page import SetupPage
    from neurofb.screens.theme import theme

    app = _application()
    page = SetupPage(wording, theme(dark), protocol)
    page.start()
    page.show()
    _executed(app)
    return page.chosen


def find_session(uid: str | None, wait_s: float = SEARCH_S) -> str:
    """Return the uid of a session that is there.

    Raises
    ------
    StreamMissing
        If there is none, or, without ``uid``, not exactly one; the message lists those that are seen.
    """
    seen = sessions_seen(uid, wait_s)
    if uid is not None and uid in seen:
        return uid
    if uid is None and len(seen) == 1:
        return seen[0]
    there = f"there are: {', '.join(seen)}" if seen else "no session is seen on the network"
    wanted = f"no session {uid!r}" if uid is not None else "which session? say --session UID"
    raise StreamMissing(
        f"{wanted}; {there}. The session's terminal shows its uid; a session on another computer must be reachable "
        "over LSL (same network, no firewall between)"
    )


def sessions_seen(uid: str | None, wait_s: float) -> list[str]:
    """Return the uids of the sessions on the network; come back at once when ``uid`` is among them."""
    from neurofb.lsl.inlet import LslClock, Resolver

    clock, streams = LslClock(), Resolver.by_source_id("neurofb-")
    end = messages.source_id("", messages.STATUS).removeprefix("neurofb-")
    until_s = clock.now_s() + wait_s
    while True:
        found = sorted(
            info.source_id().removeprefix("neurofb-").removesuffix(end)
            for info in streams.results()
            if info.name() == messages.STATUS and info.source_id().endswith(end)
        )
        if clock.now_s() >= until_s or (uid is not None and uid in found):
            return found
        clock.wait_until(clock.now_s() + 0.05)


def check_display(environment: Mapping[str, str] | None = None) -> None:
    """Check that a window can be shown, before Qt ends the program without a word.

    Raises
    ------
    NoScreen
        With the packages to install, or how to get a display.
    """
    given = os.environ if environment is None else environment
    if importlib.util.find_spec("PySide6") is None or importlib.util.find_spec("pyqtgraph") is None:
        raise NoScreen("the screens need Qt, which is not installed: pip install 'neurofb[screens]'")
    if sys.platform.startswith("linux"):
        platform = given.get("QT_QPA_PLATFORM", "").split(":")[0]
        wayland = bool(given.get("WAYLAND_DISPLAY")) and platform != "xcb"
        needs_x = platform == "xcb" or (not platform and not wayland)
        if needs_x and not given.get("DISPLAY"):
            raise NoScreen(
                "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set. Start the screen on a desktop, over "
                "ssh with `ssh -X`, or without any monitor under `xvfb-run -s '-screen 0 1280x800x24'`"
            )
        _check_libraries({**ALWAYS, **FOR_X} if needs_x else ALWAYS)
        if needs_x:
            _check_x(given["DISPLAY"])
    _check_references()


def _check_libraries(wanted: Mapping[str, str]) -> None:
    absent = [name for name in wanted if not _is_there(name)]
    if absent:
        packages = " ".join(wanted[name] for name in absent)
        raise NoScreen(
            f"Qt needs libraries that are not there: {', '.join(absent)}. On Debian or Ubuntu: "
            f"sudo apt-get install {packages}"
        )


def _is_there(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _check_x(display: str) -> None:
    """Check the connection to the X server, without which Qt would abort."""
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        raise NoScreen("Qt needs libxcb.so.1. On Debian or Ubuntu: sudo apt-get install libxcb1") from None
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(display.encode(), None)
    failed = bool(xcb.xcb_connection_has_error(connection))
    xcb.xcb_disconnect(connection)
    if failed:
        raise NoScreen(
            f"the display {display!r} cannot be reached: is its X server running, and may this user show windows on "
            "it? DISPLAY says which one is meant; `xvfb-run` makes one without a monitor"
        )


def _check_references() -> None:
    """Find a Qt binding that would end the program after some minutes.

    PySide6 6.12.0 takes away a reference to None with every call that gives none, which Python before 3.12 does not
    survive: "Fatal Python error: none_dealloc". A screen must not vanish in the middle of a session.
    """
    try:
        import PySide6
        from PySide6.QtCore import QRectF
    except ImportError as error:
        raise NoScreen(
            f"Qt cannot be loaded: {error}. Try: pip install --force-reinstall 'neurofb[screens]'"
        ) from None
    box = QRectF()
    before = sys.getrefcount(None)
    for _ in range(100):
        box.setWidth(1.0)
    if sys.getrefcount(None) < before - 50:
        raise NoScreen(
            f"PySide6 {PySide6.__version__} would crash on Python {sys.version_info[0]}.{sys.version_info[1]} after "
            "some minutes; install one before 6.12: pip install 'PySide6-Essentials<6.12'"
        )


def _step_back() -> None:
    """Lower this process's priority below the session's: late feedback is worse than a late frame."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(5)


def _application() -> Any:
    from PySide6.QtWidgets import QApplication

    return QApplication.instance() or QApplication(["neurofb"])


def _executed(app: Any) -> int:
    """Run until the last window is closed; Ctrl-C in the terminal closes it, too."""
    # Frames run Python many times a second, so that the signal is heard.
    before = signal.signal(signal.SIGINT, lambda *_: app.closeAllWindows())
    try:
        return int(app.exec())
    finally:
        signal.signal(signal.SIGINT, before)
