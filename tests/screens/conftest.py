"""Fixtures of the screens' tests: no window is shown, except on a display without a monitor."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

WITHOUT_QT = "the screens need Qt: pip install 'neurofb[screens]'"
#: Programs that a display without a monitor needs, and a test that presses its keys.
TOOLS = ("Xvfb", "xdotool")


@pytest.fixture
def display():
    """Start a display of our own."""
    pytest.importorskip("PySide6", reason=WITHOUT_QT)
    from neurofb.screens.start import ALWAYS, FOR_X, _is_there

    absent = [name for name in TOOLS if shutil.which(name) is None]
    absent += [name for name in {**ALWAYS, **FOR_X} if not _is_there(name)]
    if absent:
        pytest.skip(f"needs a display without a monitor and Qt's libraries; not there: {', '.join(absent)}")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset"],
        pass_fds=(writing,),
        stderr=subprocess.DEVNULL,
    )
    # Without -noreset it begins anew, deaf for a moment, whenever its last client leaves: each xdotool is one.
    os.close(writing)
    with os.fdopen(reading) as said:
        number = said.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(timeout=10)
